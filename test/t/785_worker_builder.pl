# What reads facts is the builder's: a build that lasts keeps nothing else from
# being fresh, and wherever it ends, is ended or has no process, it is done.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('builder', 'kpi.max_workers' => 3);

# An expression that waits, in a build, while somebody holds lock 1.
my $slow = q{CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
	WHILE current_setting('application_name') = 'pg_kpi' AND NOT pg_try_advisory_xact_lock_shared(1) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN $1;
END $$};

# A database with sources deals and calls, both built.
sub database
{
	my ($name) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	define($node, $name);
	$node->safe_psql($name, "$slow; " . q{
		CREATE TABLE calls (id bigserial PRIMARY KEY, at timestamptz DEFAULT '2026-03-04');
		SELECT kpi.create_source('calls', relation => 'public.calls', key => 'id', at => 'at');
		SELECT kpi.create_kpi('calls', source => 'calls', measure => 'count(*)');
		INSERT INTO deals DEFAULT VALUES; INSERT INTO calls DEFAULT VALUES});
	count_is($node, $name, 1, "$name: deals");
	calls_follow($name, 'is built');
	return;
}

# A change of calls arrives.
sub calls_follow
{
	my ($database, $name) = @_;

	$node->safe_psql($database, 'INSERT INTO calls DEFAULT VALUES');
	wait_for($node, $database, q{SELECT value = (SELECT count(*) FROM calls) FROM kpi.team_yearly WHERE kpi = 'calls' AND team = 'company'},
		"$database: calls: $name");
	return;
}

# Holds the builds of a database.
sub hold
{
	my ($database) = @_;
	my $holder = $node->background_psql($database);

	$holder->query_safe('SELECT pg_advisory_lock(1)');
	return $holder;
}

# Has deals built by another expression, which waits where the builds are held.
my $expressions = 0;
sub build
{
	my ($database) = @_;

	$expressions++;
	$node->safe_psql($database, "SELECT kpi.alter_source('deals', owner => 'public.slow(owner || ''$expressions'')')");
	return;
}

sub is_built
{
	my ($database, $name) = @_;

	wait_for($node, $database, q{SELECT count(*) = 0 FROM kpi_internal.stream s JOIN kpi_internal.measure m ON m.stream_id = s.id
		WHERE NOT EXISTS (SELECT FROM kpi_internal.measure_built b WHERE b.measure_id = m.id AND b.version = s.version)}, "$name: it is built");
	return;
}

sub set
{
	my ($setting, $value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET $setting = '$value'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$setting') = '$value'") or die "$setting is not $value";
	return;
}

sub processes
{
	my ($type, $database) = @_;

	return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_kpi $type' AND datname = '$database'");
}

# ---- beside a build ----

database('one');
my $holder = hold('one');
build('one');
building($node, 'one', 'deals', 'a build lasts');
calls_follow('one', 'beside a build') for 1 .. 3;
$node->safe_psql('one', 'INSERT INTO deals DEFAULT VALUES');
calls_follow('one', 'beside a build, and changes that wait for it');
is($node->safe_psql('one', q{SELECT string_agg(concat_ws(' ', task, source), ', ' ORDER BY task) FROM kpi.worker_status WHERE database = 'one'}),
	'builds deals, deltas', 'there are two workers');
is($node->safe_psql('one', q{SELECT count(*) FROM kpi_internal.delta}), 1, 'the change is in the queue');
wait_for($node, 'one', q{SELECT state = 'asleep' FROM kpi.worker_status WHERE database = 'one' AND task = 'deltas'}, 'nobody polls for it');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
count_is($node, 'one', 2, 'and is there when the build is');
exact($node, 'one', 'beside a build');
wait_for($node, 'one', q{SELECT count(*) = 0 FROM kpi.worker_status WHERE task = 'builds'}, 'the builder leaves');
is($node->safe_psql('one', q{SELECT count(*) FROM kpi_internal.source_state WHERE build_due}), 0, 'and nothing is left for it');

# What no definition tells: another function in the expressions.
$holder->query_safe('SELECT pg_advisory_lock(1)');
$node->safe_psql('one', $slow =~ s/CREATE FUNCTION/CREATE OR REPLACE FUNCTION/r =~ s/0\.01/0.02/r);
building($node, 'one', 'deals', 'a replaced function: a build');
calls_follow('one', 'beside that');
$node->safe_psql('one', 'TRUNCATE calls; INSERT INTO calls DEFAULT VALUES');
$node->safe_psql('one', q{SELECT kpi.pause('deals')});
calls_are_one('another build waits');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
wait_for($node, 'one', q{SELECT value = 1 FROM kpi.team_yearly WHERE kpi = 'calls' AND team = 'company'}, 'and is done after it');
$node->safe_psql('one', q{SELECT kpi.resume('deals')});
exact($node, 'one', 'a replaced function');

sub calls_are_one
{
	my ($name) = @_;

	wait_for($node, 'one', q{SELECT build_due FROM kpi_internal.source_state t JOIN kpi.source s ON s.id = t.source_id WHERE s.name = 'calls'}, $name);
	return;
}

# ---- ended in the middle ----

for my $signal ('TERM', 'KILL')
{
	$holder = hold('one') if !defined $holder;
	$holder->query_safe('SELECT pg_advisory_lock(1)');
	build('one');
	building($node, 'one', 'deals', "SIG$signal: a build lasts");
	my $pid = builder_pid($node, 'one');
	kill $signal, $pid;
	if ($signal eq 'KILL')
	{
		$node->wait_for_log(qr/\(PID $pid\) was terminated by signal 9/);
		$node->poll_query_until('postgres', 'SELECT true');
		eval { $holder->quit };
		$holder = undef;
		is($node->safe_psql('one', q{SELECT object FROM kpi.health() WHERE problem = 'worker_crash'}), 'source "deals"', 'kpi.health() names it');
	}
	else
	{
		building($node, 'one', 'deals', 'another builder comes');
		isnt(builder_pid($node, 'one'), $pid, 'which is another');
		$holder->query_safe('SELECT pg_advisory_unlock(1)');
	}
	is_built('one', "SIG$signal");
	exact($node, 'one', "SIG$signal");
}
wait_for($node, 'one', q{SELECT count(*) = 0 FROM kpi.health() WHERE problem = 'worker_crash'}, 'it is forgotten');

# ---- cancelled by its owner ----

$holder = hold('one');
build('one');
building($node, 'one', 'deals', 'cancelled: a build lasts');
my $cancelled = builder_pid($node, 'one');
$node->safe_psql('one', q{SELECT kpi.cancel_build('deals')});
wait_for($node, 'one', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $cancelled", 'cancelled: its step is ended');
calls_follow('one', 'beside a cancelled build');
wait_for($node, 'one', q{SELECT count(*) = 0 FROM kpi.worker_status WHERE task = 'builds'}, 'no builder comes for it');
is($node->safe_psql('one', q{SELECT phase FROM kpi.build_progress}), 'cancelled', 'it is shown as cancelled');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
$holder->quit;
$node->safe_psql('one', q{SELECT kpi.resume('deals')});
is_built('one', 'resumed');
exact($node, 'one', 'a cancelled build');

# ---- too long ----

$holder = hold('one');
set('kpi.query_limit', '300ms');
build('one');
wait_for($node, 'one', q{SELECT failures >= 2 AND next_try > failing_since FROM kpi_internal.source_state t JOIN kpi.source s ON s.id = t.source_id
	WHERE s.name = 'deals'}, 'kpi.query_limit: it is cancelled, and tried again');
is($node->safe_psql('one', q{SELECT last_error, last_sqlstate FROM kpi.source_status WHERE source = 'deals'}),
	'canceled after kpi.query_limit (300ms)|57014', 'and says so');
like($node->safe_psql('one', q{SELECT detail FROM kpi.health() WHERE problem = 'failing'}),
	qr/^canceled after kpi.query_limit \(300ms\) \(SQLSTATE 57014\), \d+ times since/, 'kpi.health(), too');
calls_follow('one', 'beside that');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
is_built('one', 'in time');
is($node->safe_psql('one', q{SELECT failures || coalesce(last_error, '-') FROM kpi.source_status WHERE source = 'deals'}), '0-', 'and the error is cleared');
exact($node, 'one', 'kpi.query_limit');

# ---- databases in turn ----

set('kpi.max_workers', 2);
database('two');
my $other = hold('two');
$holder->query_safe('SELECT pg_advisory_lock(1)');
build($_) for 'one', 'two';
for my $database ('one', 'two')
{
	wait_for($node, $database, q{SELECT failures >= 1 FROM kpi.source_status WHERE source = 'deals'}, "$database: its build has a turn");
}
for my $database ('one', 'two')
{
	calls_follow($database, 'beside the builds of two databases');
}
is($node->safe_psql('postgres', q{SELECT count(*) <= 2 FROM pg_stat_activity WHERE backend_type IN ('pg_kpi worker', 'pg_kpi builder')}), 't', 'kpi.max_workers holds');
$_->query_safe('SELECT pg_advisory_unlock(1)') for $holder, $other;
is_built($_, "$_: in turn") for 'one', 'two';
exact($node, $_, "$_: in turn") for 'one', 'two';
set('kpi.query_limit', 0);
$holder->query_safe('SELECT pg_advisory_lock(1)');
build('one');
building($node, 'one', 'deals', 'a build without limit');
calls_follow($_, 'one place is kept for what is short') for 'one', 'two';
$holder->query_safe('SELECT pg_advisory_unlock(1)');
is_built('one', 'without limit');
$_->quit for $holder, $other;

# ---- no place for a builder ----

set('kpi.max_workers', 1);
build('one');
is_built('one', 'one worker');
calls_follow('one', 'one worker');
build($_) for 'one', 'two';
is_built($_, "$_: one worker for two databases") for 'one', 'two';
is(processes('builder', $_), 0, "$_: without a builder") for 'one', 'two';
exact($node, $_, "$_: one worker") for 'one', 'two';

$node->safe_psql('postgres', 'ALTER SYSTEM RESET kpi.max_workers');
$node->adjust_conf('postgresql.conf', 'kpi.max_workers', undef);
$node->append_conf('postgresql.conf', "max_worker_processes = 2\nmax_logical_replication_workers = 0");
$node->restart;
is($node->safe_psql('postgres', 'SHOW kpi.max_workers'), 2, 'two workers are allowed');
$node->safe_psql('postgres', 'DROP DATABASE two');
calls_follow('one', 'one process');
build('one');
is_built('one', 'one process');
calls_follow('one', 'one process, after a build');
is($node->safe_psql('one', q{SELECT state FROM kpi.worker_status WHERE kind = 'launcher'}), 'running', 'nothing waits in vain');
exact($node, 'one', 'one process');

$node->stop;
done_testing();
