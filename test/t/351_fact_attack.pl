# Attacks by a role that owns a table, or the schema of one, and has no other
# rights: what it plants must never run with anybody else's.  A refresh, a build
# by the worker and a writer are let run into each; afterwards the role is what
# it was, has read no file and no other role's table.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('attack');
my $db = 'postgres';

# What is planted tries all it could gain, and notes whose rights it has.
$node->safe_psql($db, q{
	CREATE EXTENSION pg_kpi;
	CREATE SCHEMA secrets;
	CREATE TABLE secrets.salary (amount numeric);
	INSERT INTO secrets.salary VALUES (4711);
	CREATE ROLE mallory LOGIN;
	GRANT CREATE ON DATABASE postgres TO mallory;
	SET ROLE mallory;
	CREATE SCHEMA loot;
	GRANT USAGE ON SCHEMA loot TO PUBLIC;
	CREATE TABLE loot.who (name name);
	CREATE TABLE loot.loot (t text);
	GRANT INSERT ON loot.who, loot.loot TO PUBLIC;
	CREATE FUNCTION loot.attempt(statement text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE statement;
	EXCEPTION WHEN OTHERS THEN
	END $$;
	CREATE FUNCTION loot.rob() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO loot.who VALUES (current_user);
		PERFORM loot.attempt('ALTER ROLE mallory SUPERUSER');
		PERFORM loot.attempt('ALTER ROLE mallory CREATEROLE');
		PERFORM loot.attempt('GRANT pg_execute_server_program TO mallory');
		PERFORM loot.attempt('INSERT INTO loot.loot SELECT amount FROM secrets.salary');
		PERFORM loot.attempt($i$INSERT INTO loot.loot SELECT pg_read_file('PG_VERSION')$i$);
		PERFORM loot.attempt($i$COPY loot.loot FROM PROGRAM 'echo owned'$i$);
	END $$;
	CREATE FUNCTION loot.trap(i integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		PERFORM loot.rob();
		RETURN i;
	END $$});

# Mallory has gained nothing, and has come by with nobody's rights but its own.
sub is_harmless
{
	my ($name, $who) = @_;

	is($node->safe_psql($db, q{SELECT rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = 'mallory'}),
		'f|f|f', "$name: has no more rights");
	is($node->safe_psql($db, q{SELECT count(*) FROM pg_auth_members m WHERE m.member = 'mallory'::regrole}),
		'0', "$name: is a member of no role");
	is($node->safe_psql($db, 'SELECT t FROM loot.loot'), '', "$name: has read nothing");
	is($node->safe_psql($db, 'SELECT DISTINCT name FROM loot.who'), $who, "$name: whose rights the code had");
	# for the next one, whatever this one has achieved
	$node->safe_psql($db, q{ALTER ROLE mallory NOSUPERUSER NOCREATEROLE; REVOKE pg_execute_server_program FROM mallory;
		TRUNCATE loot.who, loot.loot});
	return;
}

sub mallory
{
	my ($sql) = @_;

	return $node->safe_psql($db, $sql, extra_params => [ '-U', 'mallory' ]);
}

# A table of Mallory's, with a source that a superuser has made.
sub victim
{
	my ($name, $mode) = @_;

	mallory(qq{CREATE SCHEMA $name;
		CREATE TABLE $name.t (id integer, amt numeric, day date);
		INSERT INTO $name.t VALUES (1, 10, '2026-10-05')});
	$node->safe_psql($db, qq{
		BEGIN;
		SELECT kpi.create_source('$name', relation => '$name.t', at => 'day');
		SELECT kpi.set_refresh('$name', '$mode');
		SELECT kpi.create_kpi('$name', source => '$name', measure => 'sum(amt)');
		COMMIT});
	return;
}

sub value
{
	my ($name) = @_;

	return qq{SELECT sum(value) FROM kpi.team_yearly WHERE kpi = '$name' AND team = 'company'};
}

# An index whose expression the planner folds, and a change of a column that has
# the worker read the facts again.
victim('idx', 'continuous');
wait_for($node, $db, q{SELECT (} . value('idx') . q{) = 10}, 'index: built');
mallory(q{CREATE INDEX ON idx.t ((id + loot.trap(1))); ALTER TABLE idx.t ALTER amt TYPE numeric(20,3);
	UPDATE idx.t SET amt = 20});
wait_for($node, $db, q{SELECT (} . value('idx') . q{) = 20}, 'index: the worker has read the facts again');
is_harmless('index', 'mallory');

# A source from before the rule, whose definer is the superuser.  A worker that is at
# the source would write over the row what it had read of it.
$node->safe_psql($db, q{SELECT kpi.pause('idx')});
wait_for($node, $db, q{SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = x'4B50'::int)},
	'an old source: nobody is at it');
$node->safe_psql($db, q{
	BEGIN;
	UPDATE kpi.source SET definer = current_user WHERE name = 'idx';
	UPDATE kpi_internal.source_state SET definer_oid = current_user::regrole, table_owner = NULL
	 WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'idx');
	SELECT kpi.resume('idx');
	COMMIT});
mallory('ALTER TABLE idx.t ALTER amt TYPE numeric(20,2); UPDATE idx.t SET amt = 30');
wait_for($node, $db, q{SELECT (} . value('idx') . q{) = 30}, 'an old source: goes on');
is($node->safe_psql($db, q{SELECT s.definer, t.status FROM kpi.source s JOIN kpi.source_status t ON t.source = s.name
	WHERE s.name = 'idx'}), 'mallory|active', 'an old source: the owner is its definer');
like(slurp_file($node->logfile), qr/WARNING:  the definer of source "idx" is role "mallory" from now on/,
	'an old source: the log says so');
is_harmless('an old source', 'mallory');

# The key of a partitioned table is read whenever it is opened: also where
# triggers are attached, and by a build.
mallory(q{CREATE SCHEMA part;
	CREATE TABLE part.t (id integer, amt numeric, day date) PARTITION BY RANGE ((id + loot.trap(1)));
	CREATE TABLE part.t1 PARTITION OF part.t FOR VALUES FROM (0) TO (100);
	CREATE INDEX ON part.t1 (id) WHERE id > loot.trap(0);
	CREATE STATISTICS part.s ON (id + loot.trap(0)), id FROM part.t1;
	INSERT INTO part.t VALUES (1, 10, '2026-10-05')});
$node->safe_psql($db, q{SELECT kpi.create_source('part', relation => 'part.t', at => 'day')});
$node->safe_psql($db, q{SELECT kpi.create_kpi('part', source => 'part', measure => 'sum(amt)')});
wait_for($node, $db, q{SELECT (} . value('part') . q{) = 10}, 'partitions: built');
$node->safe_psql($db, q{SELECT kpi.resume('part')});
wait_for($node, $db, q{SELECT status = 'active' FROM kpi.source_status WHERE source = 'part'}, 'partitions: resumed');
is($node->safe_psql($db, q{SELECT count(*) FROM kpi.verify('part')}), '0', 'partitions: verified');
is_harmless('partitions', 'mallory');

# The superuser's own table stands in Mallory's schema.  While a refresh has
# looked at it and not yet read it, a view takes its name.
mallory('CREATE SCHEMA shop; GRANT ALL ON SCHEMA shop TO PUBLIC');
$node->safe_psql($db, q{
	CREATE TABLE shop.t (id integer, amt numeric, day date);
	INSERT INTO shop.t VALUES (1, 10, '2026-10-05');
	BEGIN;
	SELECT kpi.create_source('shop', relation => 'shop.t', at => 'day');
	SELECT kpi.set_refresh('shop', 'manual');
	SELECT kpi.create_kpi('shop', source => 'shop', measure => 'sum(amt)');
	COMMIT});
my $holder = $node->background_psql($db);
my $segment = $node->safe_psql($db, q{SELECT format('kpi_internal.queue_%s_0', id) FROM kpi.source WHERE name = 'shop'});
$holder->query_safe("BEGIN; LOCK TABLE $segment IN SHARE MODE");
my $refresher = $node->background_psql($db, on_error_stop => 0);
$refresher->query_until(qr/sent/, "\\echo sent\nCALL kpi.refresh('shop');\n\\echo done\n");
wait_for($node, $db, "SELECT count(*) > 0 FROM pg_locks WHERE relation = '$segment'::regclass AND NOT granted",
	'swapped: the refresh waits');
mallory(q{ALTER SCHEMA shop RENAME TO shop_old;
	CREATE SCHEMA shop;
	CREATE VIEW shop.t AS SELECT 1 AS id, 777::numeric * loot.trap(1) AS amt, date '2026-10-05' AS day});
$holder->query_safe('COMMIT');
$refresher->query_until(qr/done/, '');
is($node->safe_psql($db, value('shop')), '10', 'swapped: the numbers are those of the table');
$node->safe_psql($db, q{CALL kpi.refresh('shop')});
is($node->safe_psql($db, q{SELECT status FROM kpi.source_status WHERE source = 'shop'}), 'suspended', 'swapped: then it is seen');
is_harmless('swapped', '');
$holder->quit;
$refresher->quit;

# A role that may run programs is no definer over Mallory's table, also when it
# gets that right later, while writers know it already.  (Mallory writes: a
# superuser's own INSERT would run the index.)
victim('prog', 'manual');
$node->safe_psql($db, q{CREATE ROLE operator LOGIN; SELECT kpi.grant_editor('operator')});
mallory('GRANT USAGE ON SCHEMA prog TO operator; GRANT SELECT, TRIGGER ON prog.t TO operator');
$node->safe_psql($db, q{SELECT kpi.alter_source('prog', definer => 'operator'); CALL kpi.refresh('prog')});
is($node->safe_psql($db, value('prog')), '10', 'a role with programs: built while it has no such right');
my $writer = $node->background_psql($db, extra_params => [ '-U', 'mallory' ]);
$writer->query_safe(q{INSERT INTO prog.t VALUES (2, 5, '2026-10-05')});
$node->safe_psql($db, 'GRANT pg_execute_server_program TO operator');
mallory(q{CREATE INDEX ON prog.t ((id + loot.trap(1))); ALTER TABLE prog.t ALTER amt TYPE numeric(20,3);
	TRUNCATE loot.who});
$writer->query_safe(q{INSERT INTO prog.t VALUES (3, 5, '2026-10-05')});
$writer->quit;
$node->safe_psql($db, q{CALL kpi.refresh('prog')});
is($node->safe_psql($db, value('prog')), '20', 'a role with programs: the numbers are right');
is($node->safe_psql($db, q{SELECT definer FROM kpi.source WHERE name = 'prog'}), 'mallory',
	'a role with programs: is the definer no more');
is_harmless('a role with programs', 'mallory');

$node->stop;
done_testing();
