# A snapshot that is held open: what was rewritten under it a thousand times is
# found as before, workers refresh less often and say so, and go on when it is
# gone.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('snapshot', 'max_prepared_transactions' => 5);

define($node, 'postgres');
$node->safe_psql('postgres', q{
	SELECT kpi.create_goal('many', kpi => 'deals', team => 'emea', period => '2026-03', target => '100');
	INSERT INTO deals DEFAULT VALUES});
count_is($node, 'postgres', 1, 'a fact');
my $reader;

# Holds a snapshot open; returns the process id of who does.
sub hold
{
	$reader->quit if defined $reader;
	$reader = $node->background_psql('postgres');
	return $reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_backend_pid()');
}

# ---- a thousand refreshes ----

# The buffers that one refresh looks at, of the tables that each rewrites.
sub refreshes
{
	my ($n) = @_;
	my $buffers = q{SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read) FROM pg_statio_all_tables
		WHERE schemaname LIKE 'kpi%' AND relname IN ('rollup_cell', 'day_cell')};
	my $before = $node->safe_psql('postgres', $buffers);

	$node->safe_psql('postgres', join("\n", ('INSERT INTO deals DEFAULT VALUES;', 'CALL kpi.refresh();') x $n)
		  . "\nSELECT pg_stat_force_next_flush();\nSELECT 1");
	return ($node->safe_psql('postgres', $buffers) - $before) / $n;
}

$node->safe_psql('postgres', q{SELECT kpi.set_refresh('deals', 'manual')});
refreshes(10);
my $without = refreshes(20);
hold();
refreshes(1000);
my $with = refreshes(20);
note("buffers of a refresh: $without without, $with under an old snapshot");
cmp_ok($with, '<=', 2 * $without, 'rewritten rows are found without their old versions');
is($node->safe_psql('postgres', 'SELECT * FROM kpi.verify()'), '', 'and all of them');
is($reader->query_safe(q{SELECT value FROM kpi.team_monthly WHERE kpi = 'deals' AND team = 'emea'}), 31, 'the snapshot shows what it showed');
$reader->query_safe('COMMIT');

# ---- the worker ----

my $held = 'FROM kpi_internal.held_snapshot()';
sub old_snapshot
{
	return $node->safe_psql('postgres', q{SELECT severity, object, detail, remedy FROM kpi.health() WHERE problem = 'old_snapshot'});
}

# Seconds between two refreshes, while somebody writes.
sub pause
{
	my ($name) = @_;
	my $refreshed = $node->safe_psql('postgres', 'SELECT refreshed_at FROM kpi.source_status');

	for (1 .. 2)
	{
		wait_for($node, 'postgres', "SELECT refreshed_at > '$refreshed' FROM kpi.source_status", "$name: a refresh");
		$refreshed = $node->safe_psql('postgres', 'SELECT refreshed_at FROM kpi.source_status') if $_ == 1;
	}
	return $node->safe_psql('postgres', "SELECT extract(epoch FROM refreshed_at - '$refreshed') FROM kpi.source_status");
}

$node->safe_psql('postgres', q{SELECT kpi.set_refresh('deals', 'continuous')});
my $pid = hold();
my @writers = writers($node, 'postgres', 2);
wait_for($node, 'postgres', "SELECT pause_seconds = 1 $held", 'after many refreshes they are made less often');
cmp_ok(pause('once a second'), '>=', 0.9, 'once a second');
like(old_snapshot(), qr/^warning\|process $pid of role "\w+"\|Open since 2.*, so that workers refresh a source once in 1 s at most; the oldest numbers are [\d.]+ s behind\|End that transaction, or run SELECT pg_terminate_backend\($pid\)\.$/,
	'kpi.health() says so');
$node->safe_psql('postgres', 'BEGIN; LOCK TABLE deals IN SHARE MODE; CALL kpi.refresh(); COMMIT');
is($node->safe_psql('postgres', q{BEGIN; LOCK TABLE deals IN SHARE MODE; CALL kpi.refresh(); } . current()), 't', 'whoever calls a refresh need not wait');
wait_for($node, 'postgres', "SELECT pause_seconds = 5 $held", 'and still less after some more');
cmp_ok(pause('once in five'), '>=', 4.5, 'once in five seconds');
$reader->query_safe('COMMIT');
wait_for($node, 'postgres', "SELECT pause_seconds IS NULL $held", 'when it is gone, so is that');
cmp_ok(pause('gone'), '<', 0.9, 'they are as fast as before');
is(old_snapshot(), '', 'and kpi.health() is content');
stop_writers($node, @writers);
exact($node, 'postgres', 'at the end');
$reader->quit;

$node->stop;
done_testing();
