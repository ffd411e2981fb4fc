# Schedules that pg_cron runs.  It starts a job once a minute, so this file
# waits for up to that long.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('schedule');
$node->init;
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

# The error that a statement raises.
sub error_of
{
	my ($cluster, $database, $sql) = @_;
	my ($status, $output, $errors) = $cluster->psql($database, $sql);

	isnt($status, 0, "an error: $sql");
	return $errors;
}

# ---- without pg_cron ----

my $name = q{'Bob''s "deals"'};
my $schedule = "SELECT kpi.schedule($name, '0 6 * * 1-5')";
like(error_of($node, 'postgres', $schedule),
	qr/extension "pg_cron" is not installed\n.*HINT:  .*postgresql-\d+-cron.*shared_preload_libraries/s,
	'without pg_cron: what to install');
like(error_of($node, 'postgres', "SELECT kpi.unschedule($name)"), qr/extension "pg_cron" is not installed/, 'the same');
is($node->safe_psql('postgres', 'SELECT refresh_mode FROM kpi.source'), 'continuous', 'the mode is as it was');

if (!-f $node->config_data('--sharedir') . '/extension/pg_cron.control')
{
	SKIP: { skip 'pg_cron is not installed', 1 }
	$node->stop;
	done_testing();
	exit;
}

# ---- with it ----

$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
cron.timezone = 'UTC'
max_worker_processes = 20
});
$node->restart;

my $jobs = q{SELECT jobname, schedule, command, database, active FROM cron.job ORDER BY jobname, database};
my $mode = 'SELECT refresh_mode FROM kpi.source';

like(error_of($node, 'postgres', $schedule),
	qr/extension "pg_cron" is not installed in database "postgres"\nHINT:  Run CREATE EXTENSION pg_cron/,
	'the library without the extension');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');

my $command = q{CALL kpi.refresh('Bob''s "deals"')};
my $job = q{pg_kpi: postgres: Bob's "deals"};
is($node->safe_psql('postgres', "$schedule IS NOT NULL"), 't', 'scheduled');
is($node->safe_psql('postgres', $jobs), "$job|0 6 * * 1-5|$command|postgres|t", 'the job');
is($node->safe_psql('postgres', $mode), 'manual', 'the source is manual');
$node->safe_psql('postgres', "SELECT kpi.schedule($name, '30 7 1 * *')");
is($node->safe_psql('postgres', $jobs), "$job|30 7 1 * *|$command|postgres|t", 'another schedule takes its place');

$node->safe_psql('postgres', "SELECT kpi.set_refresh($name, 'continuous')");
like(error_of($node, 'postgres', "SELECT kpi.schedule($name, 'at six')"),
	qr/pg_cron refused the schedule of source "Bob's "deals""\nDETAIL:  pg_cron says: .*at six.*\nHINT:  A schedule has five fields/,
	'a cron expression that pg_cron refuses');
is($node->safe_psql('postgres', "$jobs; $mode"), "$job|30 7 1 * *|$command|postgres|t\ncontinuous", 'all is as it was');
like(error_of($node, 'postgres', "SELECT kpi.schedule('x', '0 6 * * *')"), qr/source "x" does not exist/, 'unknown source');

$node->safe_psql('postgres', q{CREATE ROLE editor; SELECT kpi.grant_editor('editor')});
like(error_of($node, 'postgres', "SET ROLE editor; SELECT kpi.schedule($name, '0 6 * * *')"),
	qr/pg_cron refused.*permission denied for schema cron/s, 'a role that may not use pg_cron');
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA cron TO editor');
like(error_of($node, 'postgres', "SET ROLE editor; SELECT kpi.unschedule($name)"),
	qr/source "Bob's "deals"" has no schedule\nDETAIL:  There is no job .* that role "editor" may see/, 'not the job of this role');

$node->safe_psql('postgres', "SELECT kpi.unschedule($name)");
is($node->safe_psql('postgres', $jobs), '', 'unscheduled');
like(error_of($node, 'postgres', "SELECT kpi.unschedule($name)"), qr/has no schedule/, 'nothing to unschedule');

# pg_cron runs it, which it does once a minute at most
$node->safe_psql('postgres', "SELECT kpi.schedule($name, '* * * * *'); INSERT INTO deals VALUES (1, 'alice', '2026-11-02', 10)");

# from another database, with the statement that the error gives
$node->safe_psql('postgres', 'CREATE DATABASE other');
define($node, 'other');
my $error = error_of($node, 'other', $schedule);
like($error, qr/pg_cron keeps its jobs in database "postgres", not in "other"/, 'pg_cron is in another database');
my ($there, $here) = $error =~ /HINT:  Run in database "postgres": (.*?); and here: (.*);/;
$node->safe_psql('postgres', $there);
$node->safe_psql('other', $here);
is($node->safe_psql('postgres', "SELECT command, database FROM cron.job WHERE jobname = 'pg_kpi: other: Bob''s \"deals\"'"),
	"$command|other", 'the statement makes the job');
$node->safe_psql('postgres', 'ALTER DATABASE other RENAME TO renamed');
like($node->safe_psql('postgres', q{SELECT detail, remedy FROM kpi.health() WHERE problem = 'schedule'}),
	qr/^Its database "other" does not exist any more\|Run SELECT cron\.unschedule\(\d+\); where the database was renamed, run kpi\.schedule\(\) in it\.$/,
	'a database with a schedule is renamed');
$node->safe_psql('postgres', 'ALTER DATABASE renamed RENAME TO other');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.health() WHERE problem = 'schedule'}), '0', 'and back');
($there) = error_of($node, 'other', "SELECT kpi.unschedule($name)") =~ /Run in database "postgres": (.*)/;
$node->safe_psql('postgres', $there);
is($node->safe_psql('postgres', $jobs), "$job|* * * * *|$command|postgres|t", 'and the other one removes it');

ok($node->poll_query_until('postgres', 'SELECT pending_deltas = 0 FROM kpi.source_status'), 'pg_cron has refreshed');
is($node->safe_psql('postgres', q{SELECT kind, deltas, is_worker FROM kpi.refresh_log ORDER BY id DESC LIMIT 1}),
	'refresh|1|f', 'and it is in the log');

# a job outlives its source
$node->safe_psql('postgres', "SELECT kpi.drop_source($name, cascade => true)");
like($node->safe_psql('postgres', 'SELECT problem, detail, remedy FROM kpi.health()'),
	qr/^schedule\|Its source "Bob's "deals"" does not exist any more\|Run SELECT kpi.unschedule\(/, 'health says so');
$node->safe_psql('postgres', "SELECT kpi.unschedule($name)");
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi.health()'), '0', 'mended');
$node->stop;
done_testing();
