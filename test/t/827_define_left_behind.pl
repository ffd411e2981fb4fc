# shared_preload_libraries that is left behind: after DROP EXTENSION the library rests;
# without the library's file the server does not start, and starts with the setting taken away.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('left');

define($node, 'postgres');
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'postgres', 1, 'before');
$node->safe_psql('postgres', 'DROP EXTENSION pg_kpi');
my $log = -s $node->logfile;
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES; TRUNCATE deals; INSERT INTO deals DEFAULT VALUES');
wait_for($node, 'postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pg_kpi worker'}, 'no worker stays');
$node->restart;
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
is($node->safe_psql('postgres', 'SELECT count(*) FROM deals'), '2', 'the table is written as any other');
is(join('', grep { /ERROR|WARNING|PANIC/ } split /^/, slurp_file($node->logfile, $log)), '', 'the log says nothing');

# As after the package was removed.
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_kpi_removed'");
$log = -s $node->logfile;
is($node->start(fail_ok => 1), 0, 'without the file the server does not start');
like(slurp_file($node->logfile, $log), qr/FATAL:  could not access file "pg_kpi_removed"/, 'and names it');
$node->command_ok([ 'pg_ctl', '-D', $node->data_dir, '-w', '-l', $node->logfile, '-o', q{-c shared_preload_libraries=''}, 'start' ], 'it starts without the setting');
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
$node->command_ok([ 'pg_ctl', '-D', $node->data_dir, '-w', '-m', 'fast', 'stop' ], 'stopped');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
is($node->safe_psql('postgres', 'SELECT count(*) FROM deals'), '3', 'with all there was');
$node->stop;
done_testing();
