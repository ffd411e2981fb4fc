# A preloaded server keeps its databases current: nobody here calls
# kpi.refresh().
use strict;
use warnings FATAL => 'all';

use FindBin;
use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('worker');

is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_kpi launcher'}),
	1, 'there is a launcher');
$node->safe_psql('postgres', 'CREATE DATABASE one');
define($node, 'one');
$node->safe_psql('one', 'INSERT INTO deals (amount) SELECT i FROM generate_series(1, 10) i');
count_is($node, 'one', 10, 'facts are counted');
$node->safe_psql('one', 'DELETE FROM deals WHERE id > 7');
count_is($node, 'one', 7, 'deleted facts are not');

# ---- it comes and goes ----

wait_for($node, 'one', q{SELECT state = 'asleep' AND pid IS NULL AND pending_commits = 0 FROM kpi.worker_status WHERE database = 'one'},
	'the worker leaves');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_kpi worker'}),
	0, 'no process is left');
is($node->safe_psql('one', q{SELECT string_agg(concat_ws(' ', kind, database, state), ', ' ORDER BY kind) FROM kpi.worker_status}),
	'launcher running, worker one asleep', 'status while idle');
$node->safe_psql('one', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'one', 8, 'and comes again');
is($node->safe_psql('one', 'SELECT count(*) FROM kpi.goal_progress'), 0, 'no goal yet');
$node->safe_psql('one', q{SELECT kpi.create_goal('many', kpi => 'deals', team => 'emea', period => '2026-03', target => '100')});
is($node->safe_psql('one', 'SELECT actual FROM kpi.goal_progress'), 8, 'goal progress');

# ---- what it looks like from outside ----

$node->safe_psql('one', q{CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN $1; END'});
wait_for($node, 'one', q{SELECT state = 'asleep' FROM kpi.worker_status WHERE database = 'one'}, 'the worker is gone again');
$node->safe_psql('one', q{SELECT kpi.alter_source('deals', owner => 'public.slow(owner)')});
building($node, 'one', 'deals', 'the source in hand is in kpi.worker_status');
is($node->safe_psql('postgres', q{SELECT datname || ': ' || query || ', ' || state || ', ' || application_name
		FROM pg_stat_activity WHERE backend_type = 'pg_kpi builder'}),
	'one: refreshing source "deals", active, pg_kpi', 'and in pg_stat_activity');
like(scalar(`ps -o args= -p @{[ builder_pid($node, 'one') ]}`), qr/pg_kpi builder one refreshing source "deals"/, 'and in the process title');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_kpi%' AND datname = 'postgres'}),
	0, 'no connection to a database without the extension');
timed($node, 'one', 'ALTER TABLE deals SET (fillfactor = 90)', 2, 'a worker that has just come gives way, too');
$node->safe_psql('one', q{SELECT kpi.alter_source('deals', owner => 'owner')});

# ---- definitions ----

$node->safe_psql('one', q{SELECT kpi.create_kpi('amount', source => 'deals', measure => 'sum(amount)')});
wait_for($node, 'one', q{SELECT count(*) > 0 FROM kpi.team_yearly WHERE kpi = 'amount'}, 'a new KPI is built');
$node->safe_psql('one', q{SELECT kpi.create_kpi('mean', formula => 'amount / deals')});
wait_for($node, 'one', q{SELECT count(*) > 0 FROM kpi.team_yearly WHERE kpi = 'mean'}, 'a formula');
$node->safe_psql('one', q{SELECT kpi.create_team('north'), kpi.move_member('alice', team => 'north', since => '2026-01-01')});
wait_for($node, 'one', q{SELECT value = 8 FROM kpi.team_yearly WHERE kpi = 'deals' AND team = 'north'}, 'a transfer is followed');
$node->safe_psql('one', q{SELECT kpi.alter_calendar('default', fiscal_year_start => 2)});
wait_for($node, 'one', q{SELECT count(*) > 0 FROM kpi.team_yearly WHERE kpi = 'deals' AND period = 'FY2027'}, 'a changed calendar, too');
$node->safe_psql('one', q{SELECT kpi.alter_calendar('default', fiscal_year_start => 1)});
$node->safe_psql('one', 'TRUNCATE deals');
wait_for($node, 'one', q{SELECT count(*) = 0 FROM kpi.team_yearly WHERE kpi = 'deals'}, 'TRUNCATE');
$node->safe_psql('one', 'INSERT INTO deals SELECT FROM generate_series(1, 3)');
count_is($node, 'one', 3, 'and facts after it');

# ---- commands after which no fact is written ----

$node->safe_psql('one', q{
	CREATE TABLE calls (at date NOT NULL) PARTITION BY RANGE (at);
	CREATE TABLE calls_1 PARTITION OF calls FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
	CREATE TABLE calls_2 (at date NOT NULL);
	INSERT INTO calls_1 VALUES ('2026-01-05'); INSERT INTO calls_2 VALUES ('2026-02-05'), ('2026-02-06');
	SELECT kpi.create_source('calls', relation => 'public.calls', key => 'at', at => 'at');
	SELECT kpi.create_kpi('calls', source => 'calls', measure => 'count(*)')});
sub calls_are
{
	my ($count, $name) = @_;

	# Until it is built anew a resumed source shows the numbers of before.
	wait_for($node, 'one', "SELECT y.value = $count AND s.status = 'active' FROM kpi.team_yearly y, kpi.source_status s
		WHERE y.kpi = 'calls' AND y.team = 'company' AND s.source = 'calls'", $name);
	return;
}
sub calls_are_suspended
{
	my ($reason, $name) = @_;

	wait_for($node, 'one', "SELECT status = 'suspended' AND reason LIKE '%$reason%' FROM kpi.source_status WHERE source = 'calls'", $name);
	return;
}
calls_are(1, 'one partition');
$node->safe_psql('one', q{ALTER TABLE calls ATTACH PARTITION calls_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')});
calls_are(3, 'an attached partition is seen');
$node->safe_psql('one', 'TRUNCATE calls_2');
calls_are(1, 'so is that it was truncated, though it has no trigger for that');
$node->safe_psql('one', q{INSERT INTO calls_2 VALUES ('2026-02-05'), ('2026-02-06')});
calls_are(3, 'it has facts again');
# Whatever becomes of the table, nobody calls anything.
$node->safe_psql('one', q{ALTER TABLE calls RENAME TO old_calls; INSERT INTO old_calls VALUES ('2026-02-07')});
calls_are(4, 'a renamed table');
wait_for($node, 'one', q{SELECT relation = 'public.old_calls' FROM kpi.source WHERE name = 'calls'}, 'and its name is followed');
$node->safe_psql('one', q{CREATE TABLE calls AS SELECT * FROM old_calls; INSERT INTO calls VALUES ('2026-02-07')});
calls_are(5, 'another that comes under the name soon is meant');
$node->safe_psql('one', q{BEGIN; CREATE TABLE calls__dbt_tmp AS SELECT * FROM calls UNION ALL SELECT '2026-02-08';
	ALTER TABLE calls RENAME TO calls__dbt_backup; ALTER TABLE calls__dbt_tmp RENAME TO calls;
	DROP TABLE calls__dbt_backup CASCADE; COMMIT});
calls_are(6, 'a table made again by dbt');
$node->safe_psql('one', q{INSERT INTO calls VALUES ('2026-02-09')});
calls_are(7, 'is captured');
wait_for($node, 'one', q{SELECT count(*) >= 2 FROM kpi.refresh_log WHERE source = 'calls' AND kind = 'reattach'}, 'and the log says so');
$node->safe_psql('one', q{DROP TABLE calls});
calls_are_suspended('does not exist', 'a table that was dropped');
$node->safe_psql('one', q{CREATE TABLE calls (at date)});
wait_for($node, 'one', q{SELECT is_complete FROM kpi.freshness WHERE source = 'calls'}, 'goes on when it is there again');
$node->safe_psql('one', q{INSERT INTO calls VALUES ('2026-02-09')});
calls_are(1, 'and is captured');
$node->safe_psql('one', q{ALTER TABLE calls RENAME COLUMN at TO called_at; INSERT INTO calls VALUES ('2026-02-09')});
calls_are(2, 'a renamed column');
wait_for($node, 'one', q{SELECT at = 'called_at' FROM kpi.source WHERE name = 'calls'}, 'is followed');
$node->safe_psql('one', q{ALTER TABLE calls RENAME COLUMN called_at TO at});
wait_for($node, 'one', q{SELECT at = 'at' FROM kpi.source WHERE name = 'calls'}, 'and back');
is($node->safe_psql('one', q{SELECT count(*) FROM kpi.verify('calls')}), '0', 'calls are exact');

# A load that loses too much is held, and looked at again by itself.
$node->safe_psql('one', q{INSERT INTO calls SELECT '2026-02-09' FROM generate_series(1, 8);
	SELECT kpi.alter_source('calls', hold_if_lost => 0.5)});
calls_are(10, 'ten calls');
$node->safe_psql('one', q{DELETE FROM calls});
wait_for($node, 'one', q{SELECT status = 'held' FROM kpi.source_status WHERE source = 'calls'}, 'the loss is held');
my $looked = $node->safe_psql('one', q{SELECT next_try FROM kpi.source_status WHERE source = 'calls'});
$node->safe_psql('one', q{INSERT INTO calls VALUES ('2026-02-09')}) for 1 .. 5;
is($node->safe_psql('one', q{SELECT next_try FROM kpi.source_status WHERE source = 'calls'}), $looked,
	'not each write has it looked at again');
$node->safe_psql('one', q{SELECT kpi.resume('calls')});
calls_are(5, 'until it is accepted');
$node->safe_psql('one', q{TRUNCATE calls});
wait_for($node, 'one', q{SELECT status = 'held' FROM kpi.source_status WHERE source = 'calls'}, 'a TRUNCATE is held');
$node->safe_psql('one', q{INSERT INTO calls SELECT '2026-02-09' FROM generate_series(1, 6);
	UPDATE kpi_internal.source_state SET next_try = now() WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'calls')});
calls_are(6, 'and goes on by itself when the facts are back');
$node->safe_psql('one', q{SELECT kpi.drop_source('calls', cascade => true);
	CREATE ROLE rep; SELECT kpi.grant_editor('rep'); ALTER TABLE calls OWNER TO rep; SET ROLE rep;
	SELECT kpi.create_source('calls', relation => 'public.calls', at => 'at');
	SELECT kpi.create_kpi('calls', source => 'calls', measure => 'count(*)')});
calls_are(6, 'a source of another role');
$node->safe_psql('one', 'ALTER TABLE calls OWNER TO postgres');
calls_are_suspended('belongs to role "postgres" now', 'a table that was given away');
$node->safe_psql('one', q{SELECT kpi.drop_source('calls', cascade => true); DROP TABLE calls; SELECT kpi.revoke_reader('rep'); DROP ROLE rep});

sub won_is
{
	my ($count, $name) = @_;

	wait_for($node, 'one', "SELECT value = $count FROM kpi.team_yearly WHERE kpi = 'won' AND team = 'company'", $name);
	return;
}

# SQL: another function that counts these.
sub counts
{
	return "CREATE OR REPLACE FUNCTION counts(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT @{[ shift ]}'";
}

$node->safe_psql('one', q{CREATE TYPE stage AS ENUM ('open', 'won'); } . counts(q{$1 = ''won''}) . q{;
	CREATE TABLE steps (at date DEFAULT '2026-01-05', stage stage);
	SELECT kpi.create_source('steps', relation => 'public.steps', at => 'at');
	SELECT kpi.create_kpi('won', source => 'steps', measure => 'count(*)', filter => 'public.counts(stage::text)');
	INSERT INTO steps (stage) VALUES ('won'), ('open'), ('open')});
won_is(1, 'steps');
$node->safe_psql('one', q{ALTER TYPE stage RENAME VALUE 'won' TO 'done'; ALTER TYPE stage RENAME VALUE 'open' TO 'won'});
won_is(2, 'values of an enum that were renamed');
$node->safe_psql('one', 'BEGIN; ' . counts(q{$1 = ''done''}) . q{; PREPARE TRANSACTION 'p'});
$node->safe_psql('one', q{COMMIT PREPARED 'p'});
won_is(1, 'a command in a prepared transaction');

# Who holds the source keeps the worker from looking until then.
my $holder = $node->background_psql('one');
$holder->query_safe(q{BEGIN; CALL kpi.refresh('steps')});
$node->safe_psql('one', counts('true'));
wait_for($node, 'one', q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'the worker waits for the source');
wait_for($node, 'one', q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'and gives up');
$holder->query_safe('ROLLBACK');
$holder->quit;
won_is(3, 'it looks when the source is free');

# Counters do not outlive the server.
$node->safe_psql('postgres', 'ALTER SYSTEM SET kpi.enabled = off');
$node->reload;
wait_for($node, 'one', q{SELECT pid IS NULL FROM kpi.worker_status WHERE kind = 'worker'}, 'no worker');
$node->safe_psql('one', counts(q{$1 = ''done''}));
$node->safe_psql('postgres', 'ALTER SYSTEM RESET kpi.enabled');
$node->restart;
won_is(1, 'a command before a restart');
$node->safe_psql('one', q{SELECT kpi.drop_source('steps', cascade => true); DROP TABLE steps; DROP FUNCTION counts(text); DROP TYPE stage});

# ---- savepoints, rolled back and prepared transactions ----

$node->safe_psql('one', 'BEGIN; INSERT INTO deals DEFAULT VALUES; SAVEPOINT a; INSERT INTO deals DEFAULT VALUES; ROLLBACK TO a; COMMIT');
count_is($node, 'one', 4, 'savepoints');
$node->safe_psql('one', q{BEGIN; INSERT INTO deals DEFAULT VALUES; PREPARE TRANSACTION 'p'});
wait_for($node, 'one', q{SELECT state = 'asleep' FROM kpi.worker_status WHERE database = 'one'}, 'a prepared transaction');
$node->safe_psql('one', q{COMMIT PREPARED 'p'});
count_is($node, 'one', 5, 'is seen when it is committed');
$node->safe_psql('one', q{BEGIN; INSERT INTO deals DEFAULT VALUES; PREPARE TRANSACTION 'p'});
$node->restart;
$node->safe_psql('one', q{COMMIT PREPARED 'p'});
count_is($node, 'one', 6, 'also after a restart');

# ---- policies ----

sub asleep
{
	wait_for($node, 'one', q{SELECT state = 'asleep' AND pending_commits = 0 FROM kpi.worker_status WHERE database = 'one'}, shift);
	return;
}

$node->safe_psql('one', q{SELECT kpi.set_refresh('deals', 'manual')});
asleep('manual');
$node->safe_psql('one', 'INSERT INTO deals DEFAULT VALUES');
asleep('worked off');
is($node->safe_psql('one', 'SELECT count(*) FROM kpi_internal.delta'), 1, 'a manual source is left alone');
$node->safe_psql('one', q{SELECT kpi.set_refresh('deals', every => '1 second')});
count_is($node, 'one', 7, 'one with an interval is refreshed');
my $refreshed = $node->safe_psql('one', 'SELECT refreshed_at FROM kpi.source_status');
wait_for($node, 'one', qq{SELECT refreshed_at > '$refreshed' FROM kpi.source_status}, 'again and again, without any commit');
$node->safe_psql('one', q{SELECT kpi.set_refresh('deals', every => '1 hour')});
wait_for($node, 'one', q{SELECT next_due > now() + interval '1 min' AND state = 'asleep' FROM kpi.worker_status WHERE database = 'one'},
	'when it is due is known');
$node->safe_psql('one', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'one', 8, 'a change after an interval without one does not wait');
$node->safe_psql('one', 'INSERT INTO deals DEFAULT VALUES');
asleep('the interval has begun anew');
is($node->safe_psql('one', 'SELECT count(*) FROM kpi_internal.delta'), 1, 'the next change does wait');
$node->safe_psql('one', 'DELETE FROM deals WHERE id IN (SELECT id FROM deals ORDER BY id DESC LIMIT 2)');
$node->safe_psql('one', q{SELECT kpi.set_refresh('deals', 'continuous')});
$node->safe_psql('one', q{SELECT kpi.pause()});
asleep('paused');
$node->safe_psql('one', 'INSERT INTO deals DEFAULT VALUES');
asleep('worked off');
is($node->safe_psql('one', 'SELECT count(*) FROM kpi_internal.delta'), 1, 'a paused source is left alone');
$node->safe_psql('one', q{SELECT kpi.resume()});
is($node->safe_psql('one', current()), 't', 'until it is resumed');
$node->safe_psql('one', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'one', 9, 'and then it is followed again');
$node->safe_psql('one', 'DELETE FROM deals WHERE id = (SELECT max(id) FROM deals)');
count_is($node, 'one', 8, 'and again');

# ---- settings ----

for my $default (q{default_transaction_isolation TO 'serializable'}, 'default_transaction_read_only TO on')
{
	my ($name) = $default =~ /^(\w+)/;

	$node->safe_psql('postgres', "ALTER DATABASE one SET $default");
	asleep($name);
	$node->safe_psql('one', 'BEGIN READ WRITE; INSERT INTO deals DEFAULT VALUES; COMMIT');
	wait_for($node, 'one', current(), 'what sessions default to is not for the worker');
	$node->safe_psql('postgres', "ALTER DATABASE one RESET $name");
}
is($node->safe_psql('one', q{SELECT problem, severity FROM kpi.health()}), 'autovacuum|warning', 'nothing is wrong but what this test has switched off');
$node->safe_psql('one', 'DELETE FROM deals WHERE id IN (SELECT id FROM deals ORDER BY id DESC LIMIT 2)');
$node->safe_psql('postgres', q{ALTER SYSTEM SET kpi.enabled = off});
$node->reload;
wait_for($node, 'one', q{SELECT state = 'disabled' FROM kpi.worker_status WHERE kind = 'launcher'}, 'kpi.enabled = off');
is($node->safe_psql('one', q{SELECT severity, object, detail, remedy FROM kpi.health() WHERE problem = 'no_worker'}),
	'warning|launcher of pg_kpi|Its state is "disabled", so that sources are refreshed by CALL kpi.refresh() only|Set kpi.enabled = on and reload the server.',
	'kpi.health() says so');
wait_for($node, 'one', q{SELECT pid IS NULL FROM kpi.worker_status WHERE kind = 'worker'}, 'no worker');
$node->safe_psql('one', 'INSERT INTO deals DEFAULT VALUES');
wait_for($node, 'one', q{SELECT state = 'queued' FROM kpi.worker_status WHERE kind = 'worker'}, 'there is work for none');
$node->safe_psql('one', q{UPDATE kpi_internal.source_state SET as_of = as_of - interval '2 min'});
is($node->safe_psql('one', q{SELECT severity, object FROM kpi.health() WHERE problem = 'behind'}), 'error|source "deals"', 'and the numbers are behind');
$node->safe_psql('postgres', q{ALTER SYSTEM RESET kpi.enabled});
$node->reload;
count_is($node, 'one', 9, 'kpi.enabled = on');
my ($status, $stdout, $stderr) = $node->psql('postgres', q{ALTER SYSTEM SET kpi.max_workers = 100});
like($stderr, qr/invalid value for parameter "kpi.max_workers": 100.*DETAIL:  Launcher and workers need 101 of max_worker_processes, which is 8\.\n.*HINT:  Raise max_worker_processes/s,
	'more workers than the server can have');

# README has each setting, with its default and who may set it.
my %who = (user => 'everybody', superuser => 'superusers', sighup => 'server', postmaster => 'server, at start');
my $documented = join "\n", sort map { join '|', @$_ } map { [ /^\| `(kpi\.\w+)` \| ([^|]+) \| ([^|]+) \|/ ] }
  grep { /^\| `kpi\.\w+` \|.*(everybody|superusers|server)/ } split /\n/, slurp_file("$FindBin::Bin/../../README.md");
my $defined = join "\n", sort map { my ($name, $context, $default) = split /\|/, $_, 3; "$name|$default|$who{$context}" }
  split /\n/, $node->safe_psql('template1', q{SELECT s.name, s.context, CASE WHEN s.unit IS NOT NULL THEN current_setting(s.name) ELSE coalesce(nullif(s.boot_val, ''), 'empty') END
	FROM pg_settings s WHERE s.name LIKE 'kpi.%' AND s.name NOT IN ('kpi.worker_idle_timeout', 'kpi.build_delay')
	UNION ALL SELECT name, context, '5s' FROM pg_settings WHERE name = 'kpi.worker_idle_timeout' AND boot_val = '5000'
	UNION ALL SELECT name, context, '2s' FROM pg_settings WHERE name = 'kpi.build_delay' AND boot_val = '2000'});
is($documented, $defined, 'the table of settings in README');

# ---- the extension goes and comes ----

my @writers = writers($node, 'one', 1);
wait_for($node, 'one', q{SELECT count(*) > 100 FROM deals}, 'facts are written');
timed($node, 'one', 'DROP EXTENSION pg_kpi CASCADE', 10, 'DROP EXTENSION while the worker is busy');
wait_for($node, 'postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pg_kpi worker'}, 'the worker leaves');
stop_writers($node, @writers);
$node->safe_psql('one', 'ALTER TABLE deals RENAME TO old_deals');
define($node, 'one');
$node->safe_psql('one', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'one', 1, 'CREATE EXTENSION again');
$node->safe_psql('postgres', 'ALTER DATABASE one RENAME TO uno');
$node->safe_psql('uno', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'uno', 2, 'a database with another name');
is($node->safe_psql('uno', q{SELECT database FROM kpi.worker_status WHERE kind = 'worker'}), 'uno', 'is called by it');
exact($node, 'uno', 'at the end');

# ---- a restore, while the worker looks on ----

my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('uno') ], 'dump');
for my $options ([], [ '-j', '2' ], ['-1'])
{
	$node->safe_psql('postgres', 'CREATE DATABASE copy');
	$node->command_ok([ 'pg_restore', '--exit-on-error', @$options, '-d', $node->connstr('copy'), $dump ], "restore @$options");
	count_is($node, 'copy', 2, 'a restored database becomes current');
	$node->safe_psql('copy', 'INSERT INTO deals DEFAULT VALUES');
	count_is($node, 'copy', 3, 'and stays it');
	exact($node, 'copy', 'restored');
	timed($node, 'postgres', 'DROP DATABASE copy', 2, 'it is dropped');
}

unlike(slurp_file($node->logfile), qr/(PANIC|TRAP|terminated by signal)/, 'nothing has crashed');
$node->stop;
done_testing();
