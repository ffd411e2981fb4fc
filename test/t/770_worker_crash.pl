# A worker that crashes again and again: the server stays up for longer and
# longer, says what it was, and goes on by itself when that is over.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my $node = new_server('crash', 'restart_after_crash' => 'on');

define($node, 'postgres');
$node->safe_psql('postgres', q{
	CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
		-- for the worker, not for writers
		IF current_setting('application_name') = 'pg_kpi' THEN PERFORM pg_sleep(600); END IF;
		RETURN $1;
	END $$;
	INSERT INTO deals DEFAULT VALUES});
count_is($node, 'postgres', 1, 'a fact');
$node->safe_psql('postgres', 'CREATE DATABASE other');
define($node, 'other');
$node->safe_psql('other', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'other', 1, 'and one in another database');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.health() WHERE problem = 'worker_crash'}), 0, 'nothing has crashed');

sub crashes
{
	return $node->safe_psql('postgres', q{SELECT coalesce(max(substring(detail FROM 'in a row: (\d+)')::int), 0)
		FROM kpi.health() WHERE problem = 'worker_crash'});
}

# Waits for a server that recovers, and that it is more than about to.
sub recovered
{
	my ($name) = @_;

	ok($node->poll_query_until('postgres', 'SELECT true'), "$name: the server is there again");
	return;
}

# Crashes the worker of this database in the middle of its work on deals.
sub crash
{
	my ($name) = @_;
	my $pid;

	building($node, 'postgres', 'deals', "$name: the builder works");
	$pid = builder_pid($node, 'postgres');
	kill 'SEGV', $pid;
	$node->wait_for_log(qr/\(PID $pid\) was terminated by signal 11/);
	recovered($name);
	return Time::HiRes::time();
}

$node->safe_psql('postgres', q{SELECT kpi.alter_source('deals', owner => 'public.slow(owner)')});
my @pauses;
my $crashed = crash('first');
for my $n (1 .. 3)
{
	is(crashes(), $n, "crash $n is counted");
	is($node->safe_psql('postgres', q{SELECT severity, object, remedy FROM kpi.health() WHERE problem = 'worker_crash'}),
		q{error|source "deals"|Run SELECT kpi.pause('deals'), or drop the source; the log of the server says why.}, 'kpi.health() names the source');
	like($node->safe_psql('postgres', q{SELECT detail FROM kpi.health() WHERE problem = 'worker_crash'}),
		qr/^Crashes of this database's worker in a row: $n, the last at 2.*; it is not started again before 2/, 'and says when it goes on');
	last if $n == 3;

	# Others need not wait: their workers only had to quit.
	my $seen = $node->safe_psql('other', 'SELECT count(*) FROM deals');
	$node->safe_psql('other', 'INSERT INTO deals DEFAULT VALUES');
	wait_for($node, 'other', current(), 'another database goes on meanwhile');
	is($node->safe_psql('other', q{SELECT count(*) FROM kpi.health() WHERE problem = 'worker_crash'}), 0, 'where nothing has crashed');
	is(worker_pid($node, 'postgres') . builder_pid($node, 'postgres'), '', 'and this one waits');
	# Neither a commit nor a reload is a reason not to.
	$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
	$node->reload;

	my $again = crash("after crash $n");
	push @pauses, $again - $crashed;
	$crashed = $again;
}
cmp_ok($pauses[0], '>=', 4, 'there is a pause');
cmp_ok($pauses[1], '>=', 9, 'and a longer one');

# ---- what is remembered, and of whom ----

# Some other process crashes: its doing is not counted as the worker's.
my $session = $node->background_psql('postgres');
my $backend = $session->query_safe('SELECT pg_backend_pid()');
kill 'KILL', $backend;
$node->wait_for_log(qr/\(PID $backend\) was terminated by signal 9/);
recovered('a session');
eval { $session->quit };
is(crashes(), 3, 'the crash of a session is none of the worker, and what was known is');
$node->restart;
is(crashes(), 3, 'and after a restart');
$node->stop('immediate');
$node->start;
is(crashes(), 3, 'and after an immediate one');

# ---- it can be taken away, and is forgotten ----

$node->safe_psql('postgres', q{SELECT kpi.pause('deals')});
wait_for($node, 'postgres', q{SELECT count(*) = 0 FROM kpi.health() WHERE problem = 'worker_crash'}, 'all that is left to do was done');
$node->safe_psql('postgres', q{SELECT kpi.alter_source('deals', owner => 'owner'); SELECT kpi.resume('deals')});
wait_for($node, 'postgres', current(), 'the worker is content');
exact($node, 'postgres', 'after the crashes');
$node->restart;
is(crashes(), 0, 'it is forgotten for good');

# A busy worker that only has to quit with the others has not crashed.
$node->safe_psql('postgres', q{SELECT kpi.alter_source('deals', owner => 'public.slow(owner)')});
building($node, 'postgres', 'deals', 'it works');
$session = $node->background_psql('postgres');
$backend = $session->query_safe('SELECT pg_backend_pid()');
kill 'KILL', $backend;
$node->wait_for_log(qr/\(PID $backend\) was terminated by signal 9/);
recovered('a session while the worker is busy');
eval { $session->quit };
is(crashes(), 0, 'is not blamed for it');

# ---- a server that does not restart by itself ----

$node->append_conf('postgresql.conf', 'restart_after_crash = off');
$node->reload;
wait_for($node, 'postgres', q{SELECT NOT current_setting('restart_after_crash')::boolean}, 'the server has heard of it');
building($node, 'postgres', 'deals', 'it works again');
kill 'SEGV', builder_pid($node, 'postgres');
$node->wait_for_log(qr/shutting down because restart_after_crash is off/);
$node->{_pid} = undef;
ok(poll_start(), 'somebody starts the server again');
is(crashes(), 1, 'and the crash is known');
# DROP EXTENSION, as somebody in a hurry would.
$node->safe_psql('postgres', 'DROP EXTENSION pg_kpi CASCADE; CREATE EXTENSION pg_kpi');
wait_for($node, 'postgres', q{SELECT count(*) = 0 FROM kpi.health() WHERE problem = 'worker_crash'}, 'a worker finds that there is nothing to do');

# The postmaster may need a moment to be gone.
sub poll_start
{
	for (1 .. 100)
	{
		return 1 if $node->start(fail_ok => 1);
		select undef, undef, undef, 0.1;
	}
	return 0;
}

$node->stop;
done_testing();
