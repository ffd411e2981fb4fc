# Errors of sources, locks others hold, and every kind of sudden end: the worker
# goes on by itself and nothing is lost or counted twice.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('failure', 'kpi.worker_idle_timeout' => '10s');

define($node, 'postgres');
$node->safe_psql('postgres', q{
	CREATE TABLE calls (id bigserial PRIMARY KEY, at timestamptz DEFAULT '2026-03-04');
	SELECT kpi.create_source('calls', relation => 'public.calls', key => 'id', at => 'at');
	SELECT kpi.create_kpi('calls', source => 'calls', measure => 'count(*)')});
sub calls_are
{
	my ($count, $name) = @_;

	wait_for($node, 'postgres', qq{SELECT v.value = $count FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id
		WHERE k.name = 'calls' AND v.team_id = 1 AND v.grain = 'year'}, $name);
	return;
}
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES; INSERT INTO calls DEFAULT VALUES');
count_is($node, 'postgres', 1, 'deals');
calls_are(1, 'calls');

# ---- an error in one source ----

$node->safe_psql('postgres', q{
	CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN RAISE invalid_parameter_value USING MESSAGE = 'out of order', DETAIL = 'A detail.'; END $$;
	CREATE TRIGGER fail BEFORE UPDATE ON kpi_internal.source_state FOR EACH ROW
		WHEN (OLD.source_id = 1 AND NEW.refreshed_at IS DISTINCT FROM OLD.refreshed_at) EXECUTE FUNCTION fail();
	INSERT INTO deals DEFAULT VALUES});
wait_for($node, 'postgres', q{SELECT failures >= 2 FROM kpi_internal.source_state WHERE source_id = 1}, 'it is tried again');
is($node->safe_psql('postgres', q{SELECT last_error || ' ' || (next_try > failing_since) || ' ' || status
		FROM kpi_internal.source_state WHERE source_id = 1}), '22023 out of order true active', 'the error is recorded');
$node->safe_psql('postgres', 'INSERT INTO calls DEFAULT VALUES');
calls_are(2, 'the other source goes on');
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.delta'), 1, 'nothing is lost');
wait_for($node, 'postgres', q{SELECT failures >= 3 AND next_try - clock_timestamp() > interval '2 s' FROM kpi_internal.source_state WHERE source_id = 1},
	'with growing pauses');
is($node->safe_psql('postgres', q{SELECT count(*) >= 3, min(deltas), bool_and(is_worker), min(sqlstate || ' ' || error || ' ' || kind)
		FROM kpi.refresh_log WHERE source = 'deals' AND error IS NOT NULL}), 't|0|t|22023 out of order refresh', 'each try is in kpi.refresh_log');
like($node->safe_psql('postgres', q{SELECT severity, problem, object, detail, remedy FROM kpi.health() WHERE problem <> 'autovacuum'}),
	qr/^error\|failing\|source "deals"\|out of order \(SQLSTATE 22023\), [3-9] times since 2.*\|Mend the cause, then run CALL kpi.refresh\('deals'\)\.$/,
	'kpi.health() shows it');
is($node->safe_psql('postgres', q{SELECT last_error || ' ' || last_sqlstate || ' ' || (failures >= 3) || ' ' || (next_try > failing_since)
		FROM kpi.source_status WHERE source = 'deals'}), 'out of order 22023 true true', 'and kpi.source_status');
is(() = slurp_file($node->logfile) =~ /LOG:  refresh of source "deals" failed: out of order/g, 1, 'it is logged once');
like(slurp_file($node->logfile), qr/refresh of source "deals" failed: out of order\n.*DETAIL:  A detail/, 'with its detail');
$node->safe_psql('postgres', 'DROP TRIGGER fail ON kpi_internal.source_state');
count_is($node, 'postgres', 2, 'it recovers by itself');
is($node->safe_psql('postgres', q{SELECT error IS NULL AND deltas = 1 FROM kpi.refresh_log WHERE source = 'deals' ORDER BY id DESC LIMIT 1}),
	't', 'which is a row of its own in kpi.refresh_log');
is($node->safe_psql('postgres', q{SELECT string_agg(problem, ' ') FROM kpi.health()}), 'autovacuum', 'and kpi.health() is content, but for autovacuum');
is($node->safe_psql('postgres', q{SELECT failures || coalesce(last_error, '-') || coalesce(next_try::text, '-') FROM kpi_internal.source_state
		WHERE source_id = 1}), '0--', 'and the error is cleared');

# ---- a source that somebody holds ----

my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; INSERT INTO deals DEFAULT VALUES; CALL kpi.refresh(\'deals\')');
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES; INSERT INTO calls DEFAULT VALUES');
calls_are(3, 'a what-if of one source does not hold up the other');
$node->safe_psql('postgres', 'INSERT INTO calls DEFAULT VALUES');
calls_are(4, 'again');
$holder->query_safe('ROLLBACK');
$holder->quit;
count_is($node, 'postgres', 3, 'when it is let go, it follows');
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.source_state WHERE failures > 0'), 0, 'no failure was recorded');

# ---- a definer without rights ----

$node->safe_psql('postgres', q{
	CREATE ROLE rep NOLOGIN; CREATE TABLE visits (id bigserial PRIMARY KEY, at date DEFAULT '2026-03-04');
	GRANT SELECT, INSERT, TRIGGER ON visits TO rep; SELECT kpi.grant_editor('rep');
	SET ROLE rep;
	SELECT kpi.create_source('visits', relation => 'public.visits', key => 'id', at => 'at');
	SELECT kpi.create_kpi('visits', source => 'visits', measure => 'count(*)')});
wait_for($node, 'postgres', q{SELECT status = 'active' FROM kpi.source_status WHERE source = 'visits'}, 'a role that cannot log in is a definer');
$node->safe_psql('postgres', 'REVOKE SELECT ON visits FROM rep; INSERT INTO visits DEFAULT VALUES');
wait_for($node, 'postgres', q{SELECT status = 'suspended' AND reason LIKE '%lacks rights on table%' FROM kpi.source_status WHERE source = 'visits'},
	'one who lost rights suspends the source');
$node->safe_psql('postgres', q{GRANT SELECT ON visits TO rep; SELECT kpi.resume('visits')});
wait_for($node, 'postgres', q{SELECT value = 1 FROM kpi.team_yearly WHERE kpi = 'visits' AND team = 'company'}, 'and gets it back');
$node->safe_psql('postgres', q{SELECT kpi.drop_source('visits', cascade => true); DROP TABLE visits; SELECT kpi.revoke_reader('rep'); DROP ROLE rep});

# ---- terminated, killed, crashed ----

sub go_on
{
	my ($name) = @_;

	wait_for($node, 'postgres', current(), "$name: goes on");
	exact($node, 'postgres', $name);
	return;
}

# Whoever cancels it, for a table that it had just released, means no harm.
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK ' . $node->safe_psql('postgres',
	q{SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relnamespace = 'kpi_internal'::regnamespace AND relname ~ '^queue_[0-9]+_[01]$'}));
$node->safe_psql('postgres', q{SELECT kpi.create_team('new')});
my $waiting = q{FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.backend_type = 'pg_kpi worker'};
wait_for($node, 'postgres', "SELECT count(*) > 0 $waiting", 'the worker cannot read the queue');
my $pid = worker_pid($node, 'postgres');
my $cancelled = $node->safe_psql('postgres', "SELECT clock_timestamp() FROM pg_cancel_backend($pid)");
wait_for($node, 'postgres', "SELECT count(*) > 0 $waiting AND l.waitstart > '$cancelled'", 'it tries again after it was cancelled');
is(worker_pid($node, 'postgres'), $pid, 'it is the same process');
$locker->query_safe('ROLLBACK');
$locker->quit;

my @writers = writers($node, 'postgres', 2);
wait_for($node, 'postgres', 'SELECT count(*) > 50 FROM deals', 'facts are written');
$pid = worker_pid($node, 'postgres');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
wait_for($node, 'postgres', "SELECT pid <> $pid FROM kpi.worker_status WHERE kind = 'worker'", 'another worker after pg_terminate_backend()');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_kpi launcher'});
wait_for($node, 'postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_kpi launcher'}, 'another launcher');
stop_writers($node, @writers);
go_on('terminated');

for my $victim ('pg_kpi worker', 'pg_kpi launcher', 'client backend')
{
	@writers = writers($node, 'postgres', 2);
	$pid = undef;
	wait_for($node, 'postgres', qq{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = '$victim' AND pid <> pg_backend_pid()
		AND (backend_type <> 'client backend' OR query LIKE 'DO%')}, "$victim: is there");
	$pid = $node->safe_psql('postgres', qq{SELECT pid FROM pg_stat_activity WHERE backend_type = '$victim' AND pid <> pg_backend_pid()
		AND (backend_type <> 'client backend' OR query LIKE 'DO%') LIMIT 1});
	kill 'KILL', $pid;
	$_->finish for @writers;
	$node->poll_query_until('postgres', 'SELECT true');
	go_on("kill -9 of a $victim");
}

@writers = writers($node, 'postgres', 2);
my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM deals');
wait_for($node, 'postgres', "SELECT count(*) > $before + 50 FROM deals", 'facts are written');
$node->stop('immediate');
$_->finish for @writers;
$node->start;
go_on('immediate stop');
@writers = writers($node, 'postgres', 2);
timed_stop('fast');
timed_stop('smart');
unlike(timed_stop('fast'), qr/FATAL/, 'a worker that waits ends as if nothing were the matter');
$locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK ' . $node->safe_psql('postgres', q{SELECT 'kpi_internal.queue_' || id || '_0' FROM kpi.source WHERE name = 'deals'}));
$node->safe_psql('postgres', q{SELECT kpi.create_team('newer')});
wait_for($node, 'postgres', "SELECT count(*) > 0 $waiting", 'the worker is in the middle of something');
like(timed_stop('fast'), qr/FATAL:  terminating connection due to administrator command/, 'so does one that works, while a session says so');

# Returns what the server has logged meanwhile.
sub timed_stop
{
	my ($mode) = @_;
	my $began = time;
	my $logged = -s $node->logfile;
	my $log;

	isnt(worker_pid($node, 'postgres'), '', "$mode shutdown: a worker is there");
	$node->stop($mode);
	cmp_ok(time - $began, '<=', 3, "$mode shutdown is prompt");
	$log = slurp_file($node->logfile, $logged);
	unlike($log, qr/FATAL:.*background worker/, "$mode shutdown: the worker is silent");
	$_->finish for @writers;
	@writers = ();
	$node->start;
	go_on("$mode shutdown");
	$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
	go_on("after $mode shutdown");
	return $log;
}

# ---- no place for a worker ----

$node->append_conf('postgresql.conf', "max_worker_processes = 1\nmax_logical_replication_workers = 0");
$node->restart;
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
wait_for($node, 'postgres', q{SELECT pid IS NOT NULL FROM kpi.worker_status WHERE kind = 'launcher'}, 'the launcher has the only place');
sub exhausted
{
	return () = slurp_file($node->logfile) =~ /no background worker is free for pg_kpi/g;
}
ok(poll(sub { exhausted() == 1 }), 'it says that there is none for a worker');
wait_for($node, 'postgres', q{SELECT state = 'no free process' AND state_since > started_at FROM kpi.worker_status WHERE kind = 'launcher'},
	'and so does its status');
# It tries once a second; this takes five.
wait_for($node, 'postgres', q{SELECT count(*) = 1 FROM kpi.health() WHERE problem = 'no_worker'}, 'and kpi.health(), if it lasts');
is($node->safe_psql('postgres', q{SELECT severity, problem, detail, remedy FROM kpi.health() WHERE problem ~ 'worker'}),
	'error|no_worker|Its state is "no free process", so that sources are refreshed by CALL kpi.refresh() only|Raise max_worker_processes and restart the server.'
	  . "\nwarning|max_worker_processes|It is 1, but the launcher and kpi.max_workers = 2 workers need 3|"
	  . 'Raise max_worker_processes and restart the server, or lower kpi.max_workers.', 'with remedies');
is(exhausted(), 1, 'the log has it once');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is($node->safe_psql('postgres', current()), 't', 'refresh works');
$node->append_conf('postgresql.conf', "max_worker_processes = 8");
$node->restart;
go_on('with places again');
is($node->safe_psql('postgres', q{SELECT state, state_since IS NULL FROM kpi.worker_status WHERE kind = 'launcher'}), 'running|t', 'the launcher is content');

sub poll
{
	my ($condition) = @_;

	for (1 .. 1800)
	{
		return 1 if $condition->();
		select undef, undef, undef, 0.1;
	}
	return 0;
}

$node->stop;
done_testing();
