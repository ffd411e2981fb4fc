# What needs a listener, the server's log or a transaction left open:
# notifications, the lines of kpi.log_min_duration, what kpi.health() says of
# old snapshots.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dba');
$node->init;
$node->append_conf('postgresql.conf', "track_commit_timestamp = on\nmax_prepared_transactions = 2");
$node->start;
define($node, 'postgres');

sub define
{
	my ($cluster, $database) = @_;

	$cluster->safe_psql($database, q{
		CREATE EXTENSION IF NOT EXISTS pg_kpi;
		CREATE TABLE deals (id integer, owner text, closed_at date, amount numeric);
		SELECT kpi.create_source('Bob''s "deals"', relation => 'public.deals', owner => 'owner', at => 'closed_at');
		SELECT kpi.create_kpi('revenue', source => 'Bob''s "deals"', measure => 'sum(amount)');
		SELECT kpi.create_team('emea');
		SELECT kpi.add_member('alice', team => 'emea');
		CALL kpi.refresh()});
	return;
}

# Runs statements in a session that listens; returns the payloads, one a line.
sub notifications
{
	my ($channel, $sql) = @_;
	my $output = $node->safe_psql('postgres', "SET kpi.now = '2026-11-16 12:00+00';\nLISTEN $channel;\n$sql");

	return join("\n", $output =~ /^Asynchronous notification "$channel" with payload "(.*)" received from/mg);
}

# ---- kpi_progress ----

my $goal = $node->safe_psql('postgres', q{
	SET kpi.now = '2026-11-16 12:00+00';
	INSERT INTO deals VALUES (1, 'alice', '2026-11-02', 10);
	CALL kpi.refresh();
	SELECT kpi.create_goal('EMEA "Q4"', kpi => 'revenue', team => 'emea', period => '2026-Q4', target => 100)});
is(notifications('kpi_progress', q{INSERT INTO deals VALUES (2, 'alice', '2026-11-03', 1); CALL kpi.refresh();}),
	'', 'no change of status, no notification');
my $payload = notifications('kpi_progress', q{INSERT INTO deals VALUES (3, 'alice', '2026-11-03', 90.50); CALL kpi.refresh();});
is($payload,
	qq({"goal":"EMEA \\"Q4\\"","goal_id":$goal,"kpi":"revenue","scope":"team emea","period":"2026-Q4",)
	  . q("old_status":"behind","status":"achieved","actual":101.5,"target":100}),
	'a change of status');
is(notifications('kpi_progress', 'CALL kpi.refresh();'), '', 'announced once');
is(notifications('kpi_progress', "BEGIN; DELETE FROM deals; CALL kpi.refresh(); ROLLBACK; SELECT 1;"), '',
	'what is rolled back is not announced');
is(notifications('kpi_progress', "BEGIN; DELETE FROM deals WHERE id = 3; CALL kpi.refresh();\n"
		. "INSERT INTO deals VALUES (3, 'alice', '2026-11-03', 91); CALL kpi.refresh(); COMMIT; SELECT 1;"),
	'', 'there and back again within a day is no change');
is(notifications('kpi_progress', "SELECT kpi.alter_goal($goal, target => 1000);"), '', 'another target: that it is behind now waits');
my $next_day = "SET kpi.now = '2026-11-17 00:00+00'; CALL kpi.refresh();";
like(notifications('kpi_progress', $next_day),
	qr/"old_status":"achieved","status":"behind","actual":102,"target":1000}$/, 'for the next day');
like(notifications('kpi_progress', "SELECT kpi.alter_goal($goal, milestones => '{\"2026-11-10\": 50, \"2026-12-10\": 500}');"),
	qr/"status":"behind","actual":102,"target":1000,"milestone":50,"milestone_date":"2026-11-10"}$/, 'a milestone');

# A payload is valid and short enough whatever the names are, also longer than
# the functions allow.
$node->safe_psql('postgres', qq{
	UPDATE kpi.goal SET name = repeat(E'\\x01\\\\"\\u00e4', 500);
	UPDATE kpi.kpi SET name = repeat(E'\\x02\\u00df', 500);
	UPDATE kpi.team SET key = repeat(E'\\u20ac', 500) WHERE key = 'emea';
	SELECT kpi.alter_goal($goal, target => '1' || repeat('0', 5000))});
$payload = notifications('kpi_progress', "SELECT kpi.alter_goal($goal, target => 1, milestones => '{}');");
ok(length($payload) > 500 && length($payload) < 8000, 'a long name');
is($node->safe_psql('postgres', "SELECT (\$\$$payload\$\$::json)->>'status'"), 'achieved', 'valid JSON');
$next_day =~ s/17/18/;
$payload = notifications('kpi_progress', "SELECT kpi.alter_goal($goal, target => ('1' || repeat('0', 5000))::numeric); $next_day");
is($node->safe_psql('postgres', "SELECT (\$\$$payload\$\$::json)->>'target' IS NULL"), 't', 'a number that is too long');
$node->safe_psql('postgres', "UPDATE kpi.kpi SET name = 'revenue'; UPDATE kpi.team SET key = 'emea' WHERE length(key) = 500");

# ---- kpi_refresh ----

my $insert = "INSERT INTO deals VALUES (4, 'alice', '2026-11-03', 1);";
is(notifications('kpi_refresh', "$insert CALL kpi.refresh();"), '', 'kpi_refresh is not sent unasked');
is(notifications('kpi_refresh', "SET kpi.notify_refresh = on; $insert CALL kpi.refresh(); CALL kpi.refresh();"),
	q({"source":"Bob's \"deals\"","deltas":1}), 'kpi_refresh');

# ---- kpi.log_min_duration ----

sub logged
{
	my ($setting, $sql) = @_;
	my $offset = -s $node->logfile;

	$node->safe_psql('postgres', "SET kpi.log_min_duration = $setting; $sql");
	my @lines = slurp_file($node->logfile, $offset) =~ /LOG:  ((?:refresh|build|verify|repair) of source .*)/g;
	s/\d+\.\d{3} ms/N ms/ for @lines;
	return join("\n", @lines);
}
is(logged(-1, "$insert CALL kpi.refresh();"), '', 'nothing is logged');
is(logged("'1 h'", "$insert CALL kpi.refresh();"), '', 'short refreshes are not logged');
like(logged(0, "$insert CALL kpi.refresh(); CALL kpi.refresh();"),
	qr/^refresh of source "Bob's "deals"": 1 deltas, [1-9]\d* cells written, N ms$/,
	'all that do something are logged');
like(logged(0, 'SELECT * FROM kpi.verify()'), qr/^verify of source .*: 0 deltas, 0 cells written, N ms$/,
	'verify is logged');
is($node->safe_psql('postgres', 'SELECT kind, runs, deltas, is_worker, role FROM kpi.refresh_log ORDER BY id DESC LIMIT 1'),
	'verify|1|0|f|' . $node->safe_psql('postgres', 'SELECT current_user'), 'the last row of the log');

# ---- kpi.source_status where commit timestamps are kept ----

$node->safe_psql('postgres', $insert);
is($node->safe_psql('postgres', q{SELECT pending_deltas, oldest_pending_seconds BETWEEN 0 AND 600 FROM kpi.source_status}),
	'1|t', 'the age of the oldest change');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is($node->safe_psql('postgres', 'SELECT pending_deltas, oldest_pending_seconds IS NULL FROM kpi.source_status'), '0|t',
	'no change waits');

# ---- what keeps the queue from being vacuumed ----

my $old = q{SELECT set_config('kpi.now', (now() + interval '%s min')::text, false) \g /dev/null
	SELECT problem, object, remedy FROM kpi.health() WHERE problem = 'old_snapshot' ORDER BY object};
my $reader = $node->background_psql('postgres');
my $reader_pid = $reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_backend_pid()');
$node->safe_psql('postgres', q{BEGIN; INSERT INTO deals VALUES (5, 'alice', '2026-11-03', 1); PREPARE TRANSACTION 'it''s'});
is($node->safe_psql('postgres', sprintf($old, 29)), '', 'transactions open for less than half an hour');
is($node->safe_psql('postgres', sprintf($old, 31)),
	q{old_snapshot|prepared transaction "it's"|Run COMMIT PREPARED 'it''s' or ROLLBACK PREPARED 'it''s'.} . "\n"
	  . qq{old_snapshot|process $reader_pid of role "} . $node->safe_psql('postgres', 'SELECT current_user')
	  . qq{"|End that transaction, or run SELECT pg_terminate_backend($reader_pid).}, 'and for longer');
$reader->query_safe('COMMIT');
$reader->quit;
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'it''s'});
is($node->safe_psql('postgres', sprintf($old, 31)), '', 'ended');

$node->stop;
done_testing();
