# Rollup tables and the background worker: filled and kept current by itself;
# what the owner of one puts there, or whoever locks it, holds nothing else back.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('rollup', 'kpi.worker_idle_timeout' => '1s', 'kpi.rollup_timeout' => '300ms');

define($node, 'postgres');
$node->safe_psql('postgres', q{
	CREATE ROLE hostile LOGIN;
	SELECT kpi.grant_editor('hostile');
	CREATE SCHEMA reporting;
	GRANT USAGE, CREATE ON SCHEMA reporting TO hostile;
	GRANT INSERT ON deals TO hostile;
	GRANT USAGE ON SEQUENCE deals_id_seq TO hostile;
	SELECT kpi.create_kpi('double', formula => '2 * deals');
	INSERT INTO deals (at) SELECT '2026-01-01'::timestamptz + n * interval '1 day' FROM generate_series(1, 300) n;
	SELECT kpi.create_rollup('reporting.good', kpis => '{deals, double}', grain => 'day');
	SET ROLE hostile;
	SELECT kpi.create_rollup('reporting.bad', kpis => '{deals}', per => 'member', grain => 'month')});

# SQL: a table says what its view says.
sub same
{
	my ($table, $view, $column) = @_;

	return qq{SELECT count(*) = 0 FROM (SELECT period_start, $column AS value FROM reporting.$table) t
		FULL JOIN (SELECT period_start, value FROM kpi.$view WHERE kpi = '$column') v USING (period_start, value)
		WHERE NOT (t IS NOT NULL AND v IS NOT NULL)};
}

# The table with 300 periods has the company, emea and 300 days each.
sub good_is_current
{
	my ($name) = @_;

	wait_for($node, 'postgres', q{SELECT count(*) = 0 FROM
		(SELECT team_id, period_start, deals, "double" FROM reporting.good) t (team_id, period_start, deals, d)
		FULL JOIN (SELECT a.team_id, a.period_start, a.value, b.value FROM kpi.team_daily a JOIN kpi.team_daily b USING (team_id, period_start)
			WHERE a.kpi = 'deals' AND b.kpi = 'double') v (team_id, period_start, deals, d) USING (team_id, period_start)
		WHERE t.deals IS DISTINCT FROM v.deals OR t.d IS DISTINCT FROM v.d}, "$name: the other table is current");
	is($node->safe_psql('postgres', current()), 't', "$name: the source is current");
	return;
}

sub bad_is
{
	my ($condition, $name) = @_;

	wait_for($node, 'postgres', "SELECT $condition FROM kpi.rollup_status WHERE relation = 'reporting.bad'", $name);
	return;
}

sub insert
{
	$node->safe_psql('postgres', q{INSERT INTO deals DEFAULT VALUES});
	wait_for($node, 'postgres', current(), 'refreshed');
	return;
}

wait_for($node, 'postgres', q{SELECT count(*) = 600 FROM reporting.good}, 'filled by itself');
good_is_current('at first');
wait_for($node, 'postgres', same('bad', 'member_monthly', 'deals'), 'of members');
insert();
good_is_current('after a change');
bad_is("status = 'current'", 'both');

# ---- definitions, without any fact ----

$node->safe_psql('postgres', q{SELECT kpi.alter_team('emea', name => 'E'), kpi.alter_member('alice', name => 'A')});
wait_for($node, 'postgres', q{SELECT min(member_name) = 'A' AND max(member_name) = 'A' FROM reporting.bad}, 'a name');
wait_for($node, 'postgres', q{SELECT bool_and(team_name = 'E' AND team_path = 'Company / E') FROM reporting.good WHERE team = 'emea'}, 'a path');
$node->safe_psql('postgres', q{SELECT kpi.alter_kpi('double', formula => 'deals + deals + deals')});
wait_for($node, 'postgres', q{SELECT bool_and("double" = 3 * deals) FROM reporting.good}, 'a formula');
$node->safe_psql('postgres', q{SELECT kpi.alter_rollup('reporting.good', since => '2026-06-01')});
wait_for($node, 'postgres', q{SELECT min(period_start) = '2026-06-01' FROM reporting.good}, 'a beginning');
$node->safe_psql('postgres', q{SELECT kpi.alter_rollup('reporting.good', since => '-infinity')});
good_is_current('all again');
is($node->safe_psql('postgres', 'SELECT * FROM kpi.verify()'), '', 'exact');

# ---- constraints that are deferred work, and code of the owner stays his ----

$node->safe_psql('postgres', q{
	SET ROLE hostile;
	CREATE TABLE reporting.person (id integer PRIMARY KEY);
	INSERT INTO reporting.person VALUES (1);
	ALTER TABLE reporting.bad ADD FOREIGN KEY (member_id) REFERENCES reporting.person DEFERRABLE INITIALLY DEFERRED;
	CREATE TABLE reporting.seen (who text, what text);
	CREATE FUNCTION reporting.later() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO reporting.seen VALUES (current_user, session_user);
		BEGIN ALTER ROLE hostile SUPERUSER; EXCEPTION WHEN OTHERS THEN INSERT INTO reporting.seen VALUES (current_user, SQLERRM); END;
		BEGIN SET CONSTRAINTS ALL DEFERRED; INSERT INTO reporting.again VALUES (1); EXCEPTION WHEN OTHERS THEN INSERT INTO reporting.seen VALUES (current_user, SQLERRM); END;
		RETURN NULL;
	END $$;
	CREATE TABLE reporting.again (a int);
	CREATE CONSTRAINT TRIGGER again AFTER INSERT ON reporting.again DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reporting.later();
	CREATE CONSTRAINT TRIGGER later AFTER INSERT OR UPDATE ON reporting.bad DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reporting.later()});
insert();
wait_for($node, 'postgres', q{SELECT count(*) > 0 FROM reporting.seen}, 'a deferred trigger ran');
good_is_current('a deferred trigger');
is($node->safe_psql('postgres', q{SELECT DISTINCT who FROM reporting.seen}), 'hostile', 'as the owner of the table');
is($node->safe_psql('postgres', q{SELECT DISTINCT what FROM reporting.seen WHERE what <> 'postgres' ORDER BY 1}),
	"cannot fire deferred trigger within security-restricted operation\nmust be superuser to alter superuser roles or change superuser attribute",
	'who gets no more rights, and defers nothing');
is($node->safe_psql('postgres', q{SELECT rolsuper FROM pg_roles WHERE rolname = 'hostile'}), 'f', 'none at all');
$node->safe_psql('postgres', 'DROP TRIGGER later ON reporting.bad');
bad_is("status = 'current'", 'it was written');

# ---- one that raises ----

$node->safe_psql('postgres', q{
	SET ROLE hostile;
	CREATE FUNCTION reporting.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
	CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON reporting.bad FOR EACH ROW EXECUTE FUNCTION reporting.fail()});
insert();
bad_is("status = 'failing' AND last_error = 'no' AND failures >= 2 AND next_try > failing_since AND pending_rows > 0", 'an error is noted and tried again');
good_is_current('an error');
like($node->safe_psql('postgres', q{SELECT severity, problem, object, detail FROM kpi.health() WHERE problem = 'rollup_table'}),
	qr/^error\|rollup_table\|rollup table reporting.bad\|no \(SQLSTATE P0001\), [2-9] times since 2/, 'kpi.health() shows it');
is(() = slurp_file($node->logfile) =~ /LOG:  rollup table reporting.bad could not be written: no/g, 1, 'it is logged once');
$node->safe_psql('postgres', 'DROP TRIGGER fail ON reporting.bad');
wait_for($node, 'postgres', same('bad', 'member_monthly', 'deals'), 'it recovers by itself');
bad_is("status = 'current' AND failures = 0 AND last_error IS NULL", 'and the error is cleared');

# ---- one that sleeps ----

$node->safe_psql('postgres', q{
	SET ROLE hostile;
	CREATE FUNCTION reporting.sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$;
	CREATE TRIGGER sleep BEFORE INSERT OR UPDATE ON reporting.bad FOR EACH ROW EXECUTE FUNCTION reporting.sleep()});
insert();
bad_is("status = 'failing' AND last_error = 'canceling statement due to statement timeout'", 'one that sleeps is ended');
insert();
good_is_current('one that sleeps');
$node->safe_psql('postgres', 'DROP TRIGGER sleep ON reporting.bad');
wait_for($node, 'postgres', same('bad', 'member_monthly', 'deals'), 'it goes on');

# ---- a loop ----

$node->safe_psql('postgres', q{
	SET ROLE hostile;
	CREATE FUNCTION reporting.loop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.deals DEFAULT VALUES; RETURN NULL; END $$;
	CREATE TRIGGER loop AFTER INSERT OR UPDATE ON reporting.bad FOR EACH ROW EXECUTE FUNCTION reporting.loop()});
my $count = $node->safe_psql('postgres', 'SELECT count(*) FROM deals');
insert();
bad_is(q{status = 'failing' AND last_error = 'writing table reporting.bad writes to the table of source "deals": a loop'}, 'a loop is named');
good_is_current('a loop');
is($node->safe_psql('postgres', 'SELECT count(*) FROM deals'), $count + 1, 'and leads nowhere');
$node->safe_psql('postgres', 'DROP TRIGGER loop ON reporting.bad');
wait_for($node, 'postgres', same('bad', 'member_monthly', 'deals'), 'it goes on after that');

# ---- a lock ----

my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE reporting.bad IN ACCESS EXCLUSIVE MODE');
insert();
wait_for($node, 'postgres', q{SELECT last_error = '00000 could not obtain a lock on table reporting.bad' AND failures >= 2
	FROM kpi_internal.rollup_state s JOIN kpi.rollup r ON r.id = s.rollup_id WHERE r.relation = 'reporting.bad'}, 'a lock is noted');
insert();
good_is_current('a lock');
$holder->query_safe('COMMIT');
$holder->quit;
wait_for($node, 'postgres', same('bad', 'member_monthly', 'deals'), 'when it is free it goes on');

# ---- a crash between the refresh and the table ----

$node->safe_psql('postgres', q{CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON reporting.bad FOR EACH ROW EXECUTE FUNCTION reporting.fail()});
insert();
bad_is("status = 'failing'", 'it waits');
$node->safe_psql('postgres', 'CHECKPOINT');
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', 'DROP TRIGGER fail ON reporting.bad');
wait_for($node, 'postgres', same('bad', 'member_monthly', 'deals'), 'a crash loses nothing');
good_is_current('a crash');

# ---- and then there is nothing to do ----

wait_for($node, 'postgres', q{SELECT state = 'asleep' FROM kpi.worker_status WHERE database = 'postgres'}, 'the worker sleeps');
is($node->safe_psql('postgres', q{SELECT string_agg(problem, ' ') FROM kpi.health() WHERE problem <> 'autovacuum'}), '', 'all is well');
is($node->safe_psql('postgres', 'SELECT * FROM kpi.verify()'), '', 'and exact');
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.rollup_queue'), '0', 'the queue is empty');

done_testing();
