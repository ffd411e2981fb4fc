# Queries of people that the worker remembers: run by themselves, with the rights
# of their definer only; what fails or is slow is shown and holds nothing else back.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('people', 'kpi.people_interval' => '1s', 'kpi.query_limit' => '2s');

define($node, 'postgres');
$node->safe_psql('postgres', q{
	CREATE ROLE app LOGIN;
	CREATE ROLE hr LOGIN;
	SELECT kpi.grant_editor('hr');
	CREATE SCHEMA crm;
	GRANT USAGE, CREATE ON SCHEMA crm TO app;
	GRANT USAGE ON SCHEMA crm TO hr;
	SET ROLE app;
	CREATE TABLE crm.teams (id integer PRIMARY KEY, name text, parent_id integer);
	CREATE TABLE crm.users (id text PRIMARY KEY, name text, team_id integer, since timestamptz);
	INSERT INTO crm.teams VALUES (1, 'One', NULL), (2, 'Two', 1);
	INSERT INTO crm.users VALUES ('alice', 'Alice', 1, NULL), ('bob', 'Bob', 2, NULL);
	GRANT SELECT ON crm.teams, crm.users TO hr});

sub as_app { return $node->safe_psql('postgres', "SET ROLE app; $_[0]"); }

sub remember
{
	my ($options) = @_;

	return $node->safe_psql('postgres', qq{SET ROLE hr; SELECT count(*) FROM kpi.sync_people(
		teams => 'SELECT id AS key, name, parent_id AS parent FROM crm.teams',
		members => 'SELECT id AS key, name, team_id AS team FROM crm.users', remember => true @{[ $options || '' ]})});
}

sub status_is
{
	my ($condition, $name) = @_;

	wait_for($node, 'postgres', "SELECT coalesce((SELECT $condition FROM kpi.people_sync_status), false)", $name);
	return;
}

# SQL: the organisation is what the tables say.
my $synced = q{SELECT NOT EXISTS (SELECT FROM (
		SELECT m.key, m.name, t.key AS team FROM kpi.member m
			LEFT JOIN kpi.membership s ON s.member_id = m.id AND kpi.today() >= coalesce(s.since, '-infinity')
				AND kpi.today() < coalesce(s.until, 'infinity')
			LEFT JOIN kpi.team t ON t.id = s.team_id) k
		FULL JOIN (SELECT id AS key, name, team_id::text AS team FROM crm.users) u USING (key)
		WHERE (k.name, k.team) IS DISTINCT FROM (u.name, u.team) AND NOT (u.key IS NULL AND k.team IS NULL))
	AND NOT EXISTS (SELECT FROM crm.teams c LEFT JOIN kpi.team t ON t.key = c.id::text WHERE t.name IS DISTINCT FROM c.name)};

sub count_of_runs { return $node->safe_psql('postgres', 'SELECT extract(epoch FROM checked_at) FROM kpi.people_sync_status'); }

# Waits until the queries have run to the end once more.
sub another_run
{
	my ($name) = @_;
	my $last = $node->safe_psql('postgres', 'SELECT checked_at FROM kpi.people_sync_status');

	status_is("checked_at > '$last'", $name);
	return;
}

# ---- as long as all goes well ----

remember();
status_is("status = 'current' AND definer = 'hr'", 'runs by itself');
as_app(q{INSERT INTO crm.teams VALUES (3, 'Three', 4), (4, 'Four', NULL);
	INSERT INTO crm.users VALUES ('cid', 'Cid', 3, NULL);
	UPDATE crm.users SET team_id = 2, name = 'Alice A.' WHERE id = 'alice';
	DELETE FROM crm.users WHERE id = 'bob'});
wait_for($node, 'postgres', $synced, 'follows the tables');
$node->safe_psql('postgres', q{INSERT INTO deals (at) VALUES (now())});
wait_for($node, 'postgres', q{SELECT EXISTS (SELECT FROM kpi.team_monthly WHERE kpi = 'deals' AND team = '2' AND is_current AND value = 1)},
	'facts count where their owner has moved to');
status_is('last_changes > 0 AND changed_at IS NOT NULL', 'told');
my $version = $node->safe_psql('postgres', 'SELECT org, names FROM kpi_internal.version');
another_run('a run with nothing to do');
another_run('and another');
is($node->safe_psql('postgres', 'SELECT org, names FROM kpi_internal.version'), $version, 'which raise nothing');
is($node->safe_psql('postgres', 'SELECT * FROM kpi.verify()'), '', 'exact');

# The worker leaves in between, and the server is started again.
wait_for($node, 'postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pg_kpi builder'}, 'the builder leaves');
$node->restart;
as_app(q{INSERT INTO crm.users VALUES ('dan', 'Dan', 1, NULL)});
wait_for($node, 'postgres', $synced, 'after a restart');
another_run('again and again');

# ---- rows that are refused ----

as_app(q{UPDATE crm.teams SET parent_id = 2 WHERE id = 1; INSERT INTO crm.users VALUES ('eve', 'Eve', 4, NULL)});
status_is("status = 'failing' AND last_sqlstate = '22023'", 'a circle');
is($node->safe_psql('postgres', q{SELECT severity, object FROM kpi.health() WHERE problem = 'people_failing'}),
	'error|remembered queries of people', 'is shown');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.member WHERE key = 'eve'}), '0', 'nothing was done');
remember(', partial => true');
status_is("status = 'refusing' AND refused_rows > 0", 'with partial the rest is');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.member WHERE key = 'eve'}), '1', 'is done');
is($node->safe_psql('postgres', q{SELECT severity FROM kpi.health() WHERE problem = 'people_refused'}), 'warning', 'is shown, too');
as_app(q{UPDATE crm.teams SET parent_id = NULL WHERE id = 1});
status_is("status = 'current'", 'mended');
wait_for($node, 'postgres', $synced, 'and done');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.health() WHERE problem ~ '^people'}), '0', 'healthy');

# ---- a table that is emptied for a moment ----

as_app(q{TRUNCATE crm.users});
status_is("status = 'failing' AND last_error LIKE '%has no rows'", 'an empty table');
is($node->safe_psql('postgres', q{SELECT count(*) > 0 FROM kpi.membership WHERE until IS NULL}), 't', 'ends nobody');
as_app(q{INSERT INTO crm.users VALUES ('alice', 'Alice', 1, NULL), ('eve', 'Eve', 4, NULL)});
status_is("status = 'current'", 'filled again');
wait_for($node, 'postgres', $synced, 'and done');

# ---- DDL ----

as_app(q{BEGIN; ALTER TABLE crm.users RENAME TO old; CREATE TABLE crm.users (LIKE crm.old); INSERT INTO crm.users SELECT * FROM crm.old;
	GRANT SELECT ON crm.users TO hr; DROP TABLE crm.old; INSERT INTO crm.users VALUES ('fay', 'Fay', 1, NULL); COMMIT});
wait_for($node, 'postgres', $synced, 'a swapped table');
as_app(q{ALTER TABLE crm.users RENAME TO people});
status_is("status = 'failing' AND last_sqlstate = '42P01'", 'a table that is gone');
as_app(q{ALTER TABLE crm.people RENAME TO users});
status_is("status = 'current'", 'and back');
timed($node, 'postgres', q{SET ROLE app; ALTER TABLE crm.users ADD COLUMN more text}, 30, 'DDL');

# ---- code of others ----

# What reads the secret as whoever calls it, and would keep it.
$node->safe_psql('postgres', q{CREATE TABLE secret (s text); INSERT INTO secret VALUES ('x'); GRANT SELECT ON secret TO hr;
	CREATE TABLE crm.loot (role text, s text); ALTER TABLE crm.loot OWNER TO app; GRANT INSERT ON crm.loot TO hr;
	CREATE TABLE seen (n int)});
as_app(q{CREATE FUNCTION crm.steal(t text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO crm.loot SELECT current_user, s FROM public.secret; RETURN t; EXCEPTION WHEN OTHERS THEN RETURN t; END $$;
	BEGIN; ALTER TABLE crm.users RENAME TO real; CREATE VIEW crm.users AS SELECT id, crm.steal(name) AS name, team_id FROM crm.real;
	GRANT SELECT ON crm.users TO hr; COMMIT});
status_is("status = 'failing' AND last_sqlstate = '42501'", 'a view with a function in the place of a table');
is($node->safe_psql('postgres', 'SELECT count(*) FROM crm.loot'), '0', 'the function was not run');
# Accepted, its writes still come to nothing.
remember(', partial => true');
status_is("status = 'current'", 'accepted by being remembered again');
another_run('again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM crm.loot'), '0', 'it writes nothing');
as_app(q{BEGIN; DROP VIEW crm.users; ALTER TABLE crm.real RENAME TO users; COMMIT});
another_run('the table again');

# ---- slow, locked, cancelled ----

as_app(q{CREATE FUNCTION crm.wait(t text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN IF EXISTS (SELECT FROM crm.teams WHERE name = 'slow') THEN PERFORM pg_sleep(1000); END IF; RETURN t; END $$});
$node->safe_psql('postgres', q{SET ROLE hr; SELECT count(*) FROM kpi.sync_people(NULL,
	'SELECT id AS key, crm.wait(name) AS name, team_id AS team FROM crm.users', remember => true)});
status_is("status = 'current'", 'quick');
as_app(q{INSERT INTO crm.teams VALUES (9, 'slow', NULL)});
status_is("status = 'failing' AND last_error LIKE 'canceled after kpi.query_limit%'", 'too slow');
$node->safe_psql('postgres', q{INSERT INTO deals (at) VALUES (now())});
wait_for($node, 'postgres', current(), 'sources are refreshed meanwhile');
timed($node, 'postgres', q{SET ROLE app; ALTER TABLE crm.users DROP COLUMN more}, 30, 'DDL of a table that is being read');
as_app(q{DELETE FROM crm.teams WHERE id = 9});
status_is("status = 'current'", 'quick again');

my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK crm.users');
as_app(q{INSERT INTO crm.teams VALUES (10, 'Ten', NULL)});
$node->safe_psql('postgres', q{INSERT INTO deals (at) VALUES (now())});
wait_for($node, 'postgres', current(), 'sources are refreshed while the table is locked');
$locker->query_safe('ROLLBACK');
$locker->quit;
another_run('unlocked');

# ---- the definer ----

$node->safe_psql('postgres', q{SELECT kpi.revoke_editor('hr')});
status_is("status = 'failing' AND last_sqlstate = '42501'", 'no editor any more');
$node->safe_psql('postgres', q{SELECT kpi.grant_editor('hr')});
status_is("status = 'current'", 'an editor again');
$node->safe_psql('postgres', q{ALTER ROLE hr CREATEROLE});
status_is("status = 'failing' AND last_error LIKE '%cannot be the definer%'", 'with more rights than those on tables');
$node->safe_psql('postgres', q{ALTER ROLE hr NOCREATEROLE});
status_is("status = 'current'", 'without');
$node->safe_psql('postgres', q{REVOKE SELECT ON crm.users FROM hr});
status_is("status = 'failing' AND last_sqlstate = '42501'", 'no right to the table');
is($node->safe_psql('postgres', q{SET ROLE app; SET SESSION AUTHORIZATION DEFAULT; SELECT kpi.grant_reader('app'); SET ROLE app;
	SELECT last_error FROM kpi.people_sync_status}), "\ninsufficient_privilege (SQLSTATE 42501)", 'others do not read its text');
$node->safe_psql('postgres', q{GRANT SELECT ON crm.users TO hr});
status_is("status = 'current'", 'with it');
is($node->safe_psql('postgres', 'SET ROLE hr; SELECT kpi.forget_people()'), 't', 'forgotten');
as_app(q{INSERT INTO crm.users VALUES ('gus', 'Gus', 1)});
$node->safe_psql('postgres', q{INSERT INTO deals (at) VALUES (now())});
wait_for($node, 'postgres', current(), 'refreshed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.member WHERE key = 'gus'}), '0', 'and not run any more');

# ---- a server with a place for one worker only ----

remember();
status_is("status = 'current'", 'remembered once more');
$node->append_conf('postgresql.conf', 'kpi.max_workers = 1');
$node->restart;
as_app(q{INSERT INTO crm.users VALUES ('hal', 'Hal', 1)});
wait_for($node, 'postgres', q{SELECT count(*) = 1 FROM kpi.member WHERE key = 'hal'}, 'by the only worker');
is($node->safe_psql('postgres', q{SELECT count(*) FROM seen}), '0', 'nobody has written elsewhere');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|terminated by signal|crashed/, 'no crash');
done_testing();
