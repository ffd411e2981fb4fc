# Nothing runs in recovery; after promotion it does.  And a server that does not
# preload the library.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_server('primary', allows_streaming => 1);
define($primary, 'postgres');
$primary->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
count_is($primary, 'postgres', 1, 'the primary');

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
count_is($standby, 'postgres', 2, 'is followed by the standby');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_kpi%'}), 0, 'where nothing of ours runs');
is($standby->safe_psql('postgres', q{SELECT string_agg(kind || ' ' || state, ', ') FROM kpi.worker_status}), 'launcher not running', 'as it says');

# a change that the primary has not worked off
$primary->safe_psql('postgres', 'ALTER SYSTEM SET kpi.enabled = off');
$primary->reload;
wait_for($primary, 'postgres', q{SELECT bool_or(state = 'disabled') FROM kpi.worker_status}, 'disabled');
wait_for($primary, 'postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pg_kpi worker'}, 'no worker');
$primary->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
$primary->wait_for_catchup($standby);
$primary->stop;
$standby->promote;
count_is($standby, 'postgres', 3, 'is worked off after promotion');
$standby->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
count_is($standby, 'postgres', 4, 'and what comes then');
exact($standby, 'postgres', 'promoted');

# ---- not preloaded ----

$standby->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$standby->restart;
$standby->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
is($standby->safe_psql('postgres', q{SELECT kind || ' ' || state FROM kpi.worker_status}), 'launcher not preloaded', 'not preloaded');
is($standby->safe_psql('postgres', q{SELECT pending_deltas FROM kpi.source_status}), 1, 'nobody refreshes');
is($standby->safe_psql('postgres', q{SELECT severity, object, detail, remedy FROM kpi.health() WHERE problem = 'not_preloaded'}),
	'warning|library "pg_kpi"|No background worker runs; sources that are refreshed by CALL kpi.refresh() only: 1|Add pg_kpi to shared_preload_libraries '
	  . 'and restart the server, or say with kpi.set_refresh() or kpi.schedule() that the sources are manual.', 'kpi.health() says what to do');
$standby->safe_psql('postgres', q{SELECT kpi.set_refresh('deals', 'manual')});
is($standby->safe_psql('postgres', q{SELECT count(*) FROM kpi.health() WHERE problem = 'not_preloaded'}), 0, 'nothing if nobody expects a worker');
$standby->safe_psql('postgres', q{SELECT kpi.set_refresh('deals', 'continuous')});
$standby->safe_psql('postgres', 'CALL kpi.refresh()');
is($standby->safe_psql('postgres', current()), 't', 'kpi.refresh() does');
$standby->safe_psql('postgres', q{CREATE DATABASE copy TEMPLATE template1});
define($standby, 'copy');
exact($standby, 'postgres', 'not preloaded');
$standby->safe_psql('postgres', 'DROP EXTENSION pg_kpi CASCADE');

# ---- a day begins ----

$standby->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_kpi'\nkpi.worker_idle_timeout = 100ms");
$standby->safe_psql('copy', q{ALTER DATABASE copy SET kpi.now = '2040-12-31 22:59:57+00'});
$standby->safe_psql('copy', q{SELECT kpi.create_calendar('berlin', 'Europe/Berlin')});
$standby->restart;
my $last_day = 'SELECT max(day) FROM kpi.calendar_day WHERE calendar_id = 1';
wait_for($standby, 'copy', "SELECT ($last_day) = '2050-12-31'", 'the days of ten years ahead are there');
wait_for($standby, 'copy', q{SELECT next_due BETWEEN clock_timestamp() - interval '10 s' AND clock_timestamp() + interval '3 s'
	FROM kpi.worker_status WHERE database = 'copy'}, 'the first midnight of any calendar is due');
# The worker that it starts sees the same moment again, and so a midnight in three seconds.
my $seen = $standby->safe_psql('copy', 'SELECT clock_timestamp()');
wait_for($standby, 'copy', qq{SELECT isfinite(next_due) AND next_due > timestamptz '$seen' + interval '3 s' FROM kpi.worker_status WHERE database = 'copy'}, 'and comes without any commit');
$standby->safe_psql('copy', q{ALTER DATABASE copy SET kpi.now = '2041-01-01 00:00:01+00'});
wait_for($standby, 'copy', "SELECT ($last_day) = '2051-12-31'", 'with the new day, the days that it brings');
$standby->stop;
done_testing();
