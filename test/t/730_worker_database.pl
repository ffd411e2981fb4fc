# Workers are never in the way of commands on whole databases, and many
# databases share few workers and few places in shared memory.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('database', 'kpi.max_workers' => 2, 'kpi.worker_idle_timeout' => '60s');
my $slow = q{CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.008); RETURN $1; END'};

# ---- commands while the worker is awake, or in the middle of a long refresh ----

sub busy
{
	my ($database) = @_;

	$node->safe_psql($database, q{SELECT kpi.alter_source('deals', owner => 'public.slow(owner)')});
	building($node, $database, 'deals', "$database: the builder is busy");
	return;
}

$node->safe_psql('postgres', 'CREATE DATABASE a');
define($node, 'a');
$node->safe_psql('a', "$slow; INSERT INTO deals SELECT FROM generate_series(1, 1000)");
count_is($node, 'a', 1000, 'facts of a');

my $tablespace = $node->basedir . '/tablespace';
mkdir $tablespace or die $!;
$node->safe_psql('postgres', "CREATE TABLESPACE other LOCATION '$tablespace'");

for my $state ('awake', 'busy')
{
	busy('a') if $state eq 'busy';
	timed($node, 'postgres', 'CREATE DATABASE copy TEMPLATE a', 2, "$state: CREATE DATABASE TEMPLATE");
	busy('a') if $state eq 'busy';
	timed($node, 'postgres', 'ALTER DATABASE a RENAME TO b', 2, "$state: ALTER DATABASE RENAME");
	timed($node, 'postgres', 'ALTER DATABASE b SET TABLESPACE other', 2, "$state: ALTER DATABASE SET TABLESPACE");
	timed($node, 'postgres', 'ALTER DATABASE b SET TABLESPACE pg_default; ALTER DATABASE b RENAME TO a', 4, "$state: and back");
	$node->safe_psql('a', q{SELECT kpi.alter_source('deals', owner => 'owner')});
	$node->safe_psql('a', 'INSERT INTO deals DEFAULT VALUES');
	wait_for($node, 'a', current(), "$state: a goes on");
	wait_for($node, 'postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type IN ('pg_kpi worker', 'pg_kpi builder') AND datname = 'a' AND state = 'active'}, "$state: a is done");
	$node->safe_psql('copy', q{SELECT kpi.alter_source('deals', owner => 'owner')});
	wait_for($node, 'copy', q{SELECT status = 'active' FROM kpi.source_status}, "$state: the copy is alive");
	busy('copy') if $state eq 'busy';
	timed($node, 'postgres', 'DROP DATABASE copy', 2, "$state: DROP DATABASE");
}

my $psql = sub { return $node->psql(@_) };
$node->safe_psql('a', 'CREATE ROLE eve LOGIN');
my $pid = worker_pid($node, 'a');
my ($status, $stdout, $stderr) = $psql->('postgres', 'SET ROLE eve; DROP DATABASE a');
like($stderr, qr/must be owner of database a/, 'who may not drop a database');
is(worker_pid($node, 'a'), $pid, 'does not disturb its worker') if $pid ne '';
$node->safe_psql('postgres', 'CREATE DATABASE gone');
define($node, 'gone');
$node->safe_psql('gone', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'gone', 1, 'another database');
timed($node, 'postgres', 'DROP DATABASE gone WITH (FORCE)', 2, 'DROP DATABASE WITH (FORCE)');
timed($node, 'a', 'VACUUM FULL; REINDEX DATABASE a', 20, 'VACUUM FULL and REINDEX');
busy('a');
# To shorten a table it would wait for whoever uses it, for five seconds and by itself.
timed($node, 'a', 'VACUUM (TRUNCATE false) kpi_internal.day_cell, kpi_internal.delta, kpi_internal.rollup_cell', 2, 'busy: VACUUM');
for my $command ('VACUUM FULL kpi_internal.day_cell', 'REINDEX TABLE kpi_internal.rollup_cell', 'CLUSTER kpi_internal.rollup_cell USING rollup_cell_pkey',
	'ALTER TABLE deals ADD COLUMN note text')
{
	busy('a');
	timed($node, 'a', $command, 2, "busy: $command");
}
like(slurp_file($node->logfile), qr/refresh of source "deals" gave way to process \d+/, 'the log says why');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE a');

# a writer, who knows the definitions, has its table and needs the queue to commit
my $writer = $node->background_psql('copy');
$writer->query_safe('INSERT INTO deals DEFAULT VALUES');
$writer->query_safe('BEGIN; INSERT INTO deals DEFAULT VALUES');
my $dropper = $node->background_psql('copy');
$dropper->query_until(qr/begin/, "\\echo begin\nBEGIN; DROP EXTENSION pg_kpi; ROLLBACK; SELECT 'dropped';\n");
wait_for($node, 'copy', q{SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'}, 'DROP EXTENSION waits for a writer');
is($writer->query_safe('COMMIT'), '', 'who can commit');
like($dropper->query_safe('SELECT 1'), qr/1/, 'and then it goes on');

# one who has locked a partitioned table and comes to a partition older than it
$writer->query_safe(q{CREATE TABLE visits_1 (at date NOT NULL); CREATE TABLE visits (at date NOT NULL) PARTITION BY RANGE (at);
	ALTER TABLE visits ATTACH PARTITION visits_1 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
	SELECT kpi.create_source('visits', relation => 'public.visits', at => 'at');
	SELECT kpi.create_kpi('visits', source => 'visits', measure => 'count(*)')});
$writer->query_safe('BEGIN; LOCK ONLY visits IN ROW EXCLUSIVE MODE');
$dropper->query_until(qr/begin/, "\\echo begin\nBEGIN; DROP EXTENSION pg_kpi; ROLLBACK; SELECT 'dropped';\n");
wait_for($node, 'copy', q{SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'}, 'DROP EXTENSION waits for a writer of partitions');
is($writer->query_safe(q{INSERT INTO visits VALUES ('2026-03-04'); COMMIT}), '', 'who reaches them');
like($dropper->query_safe('SELECT 1'), qr/1/, 'and then it goes on, too');
$_->quit for $writer, $dropper;
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');
busy('copy');
timed($node, 'copy', 'DROP EXTENSION pg_kpi CASCADE', 2, 'busy: DROP EXTENSION');
wait_for($node, 'a', q{SELECT count(*) = 0 FROM kpi.worker_status WHERE database = 'copy'}, 'its database is forgotten');
$node->safe_psql('a', q{SELECT kpi.alter_source('deals', owner => 'owner')});
exact($node, 'a', 'a at the end');

# A new database is asked whether it has the extension, just when it goes.
$node->safe_psql('postgres', 'CREATE DATABASE brief; DROP DATABASE brief') for 1 .. 4;
unlike(slurp_file($node->logfile), qr/ERROR:  canceling/, 'a worker that has to leave is no error');

# ---- three databases and one worker ----

$node->append_conf('postgresql.conf', 'kpi.max_workers = 1');
$node->reload;
my @databases = map { "d$_" } 1 .. 3;
for my $database (@databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	define($node, $database);
}
my @writers = map { writers($node, $_, 1) } @databases;
for my $round (1 .. 2)
{
	for my $database (@databases)
	{
		my $seen = $node->safe_psql($database, q{SELECT coalesce(max(value), 0) FROM kpi.kpi_value});
		wait_for($node, $database, "SELECT coalesce(max(value), 0) > $seen FROM kpi.kpi_value", "round $round: $database has its turn");
	}
}
is($node->safe_psql('postgres', q{SELECT count(*) <= 1 FROM pg_stat_activity WHERE backend_type = 'pg_kpi worker'}), 't', 'one worker');
stop_writers($node, @writers);
exact($node, $_, "one worker, $_") for @databases;

# ---- three databases and room for one ----

$node->append_conf('postgresql.conf', "kpi.max_databases = 1\nkpi.naptime = 1s\nkpi.worker_idle_timeout = 0\nkpi.max_workers = 2");
$node->restart;
for my $round (1 .. 2)
{
	$node->safe_psql($_, 'INSERT INTO deals DEFAULT VALUES') for @databases;
	wait_for($node, $_, current(), "room for one, round $round: $_") for @databases;
}
is($node->safe_psql('postgres', 'SELECT 1'), 1, 'alive');
exact($node, $_, "room for one, $_") for @databases;

# an interval, in a database that has no room most of the time
$node->safe_psql('d1', q{BEGIN; UPDATE kpi.source SET refresh_mode = 'interval', refresh_seconds = 1; SELECT kpi.alter_team('emea', name => 'x'); COMMIT});
$node->safe_psql('d2', 'INSERT INTO deals DEFAULT VALUES');
$node->safe_psql('d3', 'INSERT INTO deals DEFAULT VALUES');
my $refreshed = $node->safe_psql('d1', 'SELECT refreshed_at FROM kpi.source_status');
wait_for($node, 'd1', "SELECT refreshed_at > '$refreshed' FROM kpi.source_status", 'databases without room have their turns');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|database \d+ does not exist/, 'nothing strange in the log');
$node->stop;
done_testing();
