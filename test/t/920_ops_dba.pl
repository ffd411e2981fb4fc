# What needs a listener, the server's log or pg_cron: notifications, the lines
# of kpi.log_min_duration, schedules.
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

# The error that a statement raises.
sub error_of
{
	my ($cluster, $database, $sql) = @_;
	my ($status, $output, $errors) = $cluster->psql($database, $sql);

	isnt($status, 0, "an error: $sql");
	return $errors;
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
		. "INSERT INTO deals VALUES (3, 'alice', '2026-11-03', 91); CALL kpi.refresh(); COMMIT; SELECT 1;")
	  =~ tr/\n//, 1, 'there and back again in a transaction are two changes');
like(notifications('kpi_progress', "SELECT kpi.alter_goal($goal, target => 1000);"),
	qr/"old_status":"achieved","status":"behind","actual":102,"target":1000}$/, 'another target');

# A payload is valid and short enough whatever the names are, also longer than
# the functions allow.
$node->safe_psql('postgres', qq{
	UPDATE kpi.goal SET name = repeat(E'\\x01\\\\"\\u00e4', 500);
	UPDATE kpi.kpi SET name = repeat(E'\\x02\\u00df', 500);
	UPDATE kpi.team SET key = repeat(E'\\u20ac', 500) WHERE key = 'emea';
	SELECT kpi.alter_goal($goal, target => '1' || repeat('0', 5000))});
$payload = notifications('kpi_progress', "SELECT kpi.alter_goal($goal, target => 1);");
ok(length($payload) > 500 && length($payload) < 8000, 'a long name');
is($node->safe_psql('postgres', "SELECT (\$\$$payload\$\$::json)->>'status'"), 'achieved', 'valid JSON');
$payload = notifications('kpi_progress', "SELECT kpi.alter_goal($goal, target => ('1' || repeat('0', 5000))::numeric);");
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
	qr/^refresh of source "Bob's "deals"": 1 deltas, [1-9]\d* cells written, [1-9]\d* values written, N ms$/,
	'all that do something are logged');
like(logged(0, 'SELECT * FROM kpi.verify()'), qr/^verify of source .*: 0 deltas, 0 cells written, 0 values written, N ms$/,
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

# ---- pg_cron ----

my $name = q{'Bob''s "deals"'};
my $schedule = "SELECT kpi.schedule($name, '0 6 * * 1-5')";
like(error_of($node, 'postgres', $schedule),
	qr/extension "pg_cron" is not installed\n.*HINT:  .*postgresql-\d+-cron.*shared_preload_libraries/s,
	'without pg_cron: what to install');
like(error_of($node, 'postgres', "SELECT kpi.unschedule($name)"), qr/extension "pg_cron" is not installed/, 'the same');
is($node->safe_psql('postgres', 'SELECT refresh_mode FROM kpi.source'), 'continuous', 'the mode is as it was');
$node->stop;

SKIP:
{
	skip 'pg_cron is not installed', 1 unless -f $node->config_data('--sharedir') . '/extension/pg_cron.control';
	test_pg_cron();
}
done_testing();

sub test_pg_cron
{
	my $jobs = q{SELECT jobname, schedule, command, database, active FROM cron.job ORDER BY jobname, database};
	my $mode = 'SELECT refresh_mode FROM kpi.source';
	my $cron = PostgreSQL::Test::Cluster->new('cron');

	$cron->init;
	$cron->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
cron.timezone = 'UTC'
max_worker_processes = 20
});
	$cron->start;
	define($cron, 'postgres');

	like(error_of($cron, 'postgres', $schedule),
		qr/extension "pg_cron" is not installed in database "postgres"\nHINT:  Run CREATE EXTENSION pg_cron/,
		'the library without the extension');
	$cron->safe_psql('postgres', 'CREATE EXTENSION pg_cron');

	my $command = q{CALL kpi.refresh('Bob''s "deals"')};
	my $job = q{pg_kpi: postgres: Bob's "deals"};
	is($cron->safe_psql('postgres', "$schedule IS NOT NULL"), 't', 'scheduled');
	is($cron->safe_psql('postgres', $jobs), "$job|0 6 * * 1-5|$command|postgres|t", 'the job');
	is($cron->safe_psql('postgres', $mode), 'manual', 'the source is manual');
	$cron->safe_psql('postgres', "SELECT kpi.schedule($name, '30 7 1 * *')");
	is($cron->safe_psql('postgres', $jobs), "$job|30 7 1 * *|$command|postgres|t", 'another schedule takes its place');

	$cron->safe_psql('postgres', "SELECT kpi.set_refresh($name, 'continuous')");
	like(error_of($cron, 'postgres', "SELECT kpi.schedule($name, 'at six')"),
		qr/pg_cron refused the schedule of source "Bob's "deals""\nDETAIL:  pg_cron says: .*at six.*\nHINT:  A schedule has five fields/,
		'a cron expression that pg_cron refuses');
	is($cron->safe_psql('postgres', "$jobs; $mode"), "$job|30 7 1 * *|$command|postgres|t\ncontinuous", 'all is as it was');
	like(error_of($cron, 'postgres', "SELECT kpi.schedule('x', '0 6 * * *')"), qr/source "x" does not exist/, 'unknown source');

	$cron->safe_psql('postgres', q{CREATE ROLE editor; SELECT kpi.grant_editor('editor')});
	like(error_of($cron, 'postgres', "SET ROLE editor; SELECT kpi.schedule($name, '0 6 * * *')"),
		qr/pg_cron refused.*permission denied for schema cron/s, 'a role that may not use pg_cron');
	$cron->safe_psql('postgres', 'GRANT USAGE ON SCHEMA cron TO editor');
	like(error_of($cron, 'postgres', "SET ROLE editor; SELECT kpi.unschedule($name)"),
		qr/source "Bob's "deals"" has no schedule\nDETAIL:  There is no job .* that role "editor" may see/, 'not the job of this role');

	$cron->safe_psql('postgres', "SELECT kpi.unschedule($name)");
	is($cron->safe_psql('postgres', $jobs), '', 'unscheduled');
	like(error_of($cron, 'postgres', "SELECT kpi.unschedule($name)"), qr/has no schedule/, 'nothing to unschedule');

	# pg_cron runs it, which it does once a minute at most
	$cron->safe_psql('postgres', "SELECT kpi.schedule($name, '* * * * *'); INSERT INTO deals VALUES (1, 'alice', '2026-11-02', 10)");

	# from another database, with the statement that the error gives
	$cron->safe_psql('postgres', 'CREATE DATABASE other');
	define($cron, 'other');
	my $error = error_of($cron, 'other', $schedule);
	like($error, qr/pg_cron keeps its jobs in database "postgres", not in "other"/, 'pg_cron is in another database');
	my ($there, $here) = $error =~ /HINT:  Run in database "postgres": (.*?); and here: (.*);/;
	$cron->safe_psql('postgres', $there);
	$cron->safe_psql('other', $here);
	is($cron->safe_psql('postgres', "SELECT command, database FROM cron.job WHERE jobname = 'pg_kpi: other: Bob''s \"deals\"'"),
		"$command|other", 'the statement makes the job');
	$cron->safe_psql('postgres', 'ALTER DATABASE other RENAME TO renamed');
	like($cron->safe_psql('postgres', q{SELECT detail, remedy FROM kpi.health() WHERE problem = 'schedule'}),
		qr/^Its database "other" does not exist any more\|Run SELECT cron\.unschedule\(\d+\); where the database was renamed, run kpi\.schedule\(\) in it\.$/,
		'a database with a schedule is renamed');
	$cron->safe_psql('postgres', 'ALTER DATABASE renamed RENAME TO other');
	is($cron->safe_psql('postgres', q{SELECT count(*) FROM kpi.health() WHERE problem = 'schedule'}), '0', 'and back');
	($there) = error_of($cron, 'other', "SELECT kpi.unschedule($name)") =~ /Run in database "postgres": (.*)/;
	$cron->safe_psql('postgres', $there);
	is($cron->safe_psql('postgres', $jobs), "$job|* * * * *|$command|postgres|t", 'and the other one removes it');

	ok($cron->poll_query_until('postgres', 'SELECT pending_deltas = 0 FROM kpi.source_status'), 'pg_cron has refreshed');
	is($cron->safe_psql('postgres', q{SELECT kind, deltas, is_worker FROM kpi.refresh_log ORDER BY id DESC LIMIT 1}),
		'refresh|1|f', 'and it is in the log');

	# a job outlives its source
	$cron->safe_psql('postgres', "SELECT kpi.drop_source($name, cascade => true)");
	like($cron->safe_psql('postgres', 'SELECT problem, detail, remedy FROM kpi.health()'),
		qr/^schedule\|Its source "Bob's "deals"" does not exist any more\|Run SELECT kpi.unschedule\(/, 'health says so');
	$cron->safe_psql('postgres', "SELECT kpi.unschedule($name)");
	is($cron->safe_psql('postgres', 'SELECT count(*) FROM kpi.health()'), '0', 'mended');
	$cron->stop;
	return;
}
