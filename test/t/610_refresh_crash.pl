# The server dies between a write and its refresh, and in the middle of a
# refresh.  Afterwards nothing is lost and nothing is counted twice.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('crash');
my $write = q{INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT (ARRAY['alice','bob','carol','dave','erin','nobody'])[i % 6 + 1], 'bob',
		   (ARRAY['won','lost','open'])[i % 3 + 1], i * 1.25, i % 7, 'p' || i % 4,
		   '2026-01-01'::timestamptz + i * interval '7 hours', '2026-02-01'::timestamptz + i * interval '9 hours'
	FROM generate_series(1, 300) i};

create_company($node, 'postgres', sql => "$write;");
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'initial build');

# between a write and its refresh
$node->safe_psql('postgres', $write);
$node->safe_psql('postgres', q{UPDATE crm.deals SET amount = amount + 1, owner_id = 'carol' WHERE id % 5 = 0});
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN; DELETE FROM crm.deals WHERE id % 2 = 0; SAVEPOINT a');
$node->stop('immediate');
eval { $open->quit };
$node->start;
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'crash between write and refresh');

# in a refresh that has written part of its rows: it waits for a row another
# session has locked
$node->safe_psql('postgres', q{DELETE FROM crm.deals WHERE id % 7 = 0});
my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.delta');
cmp_ok($before, '>', 0, 'the deletion waits in the queue');
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; SELECT count(*) FROM (SELECT FROM kpi_internal.rollup_cell FOR UPDATE) x');
my $refresher = $node->background_psql('postgres');
$refresher->query_until(qr/start/, "\\echo start\nCALL kpi.refresh();\n");
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity
	WHERE query LIKE 'CALL kpi.refresh%' AND wait_event_type = 'Lock'}), 'the refresh is half way');
$node->stop('immediate');
eval { $_->quit } for $locker, $refresher;
$node->start;
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.delta'), $before, 'the queue is as it was');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'crash during a refresh');

# a refresh that was done, but not committed
$node->safe_psql('postgres', q{UPDATE crm.deals SET stage = 'won' WHERE id % 3 = 0});
$refresher = $node->background_psql('postgres');
$refresher->query_safe('BEGIN; CALL kpi.refresh()');
$node->stop('immediate');
eval { $refresher->quit };
$node->start;
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'crash before the commit of a refresh');

# a server that dies while it builds for the first time
$node->safe_psql('postgres', q{SELECT kpi.drop_kpi('created'); SELECT kpi.create_kpi('created', } . $KPI{created}{create} . ')');
$refresher = $node->background_psql('postgres');
$refresher->query_safe('BEGIN; CALL kpi.refresh()');
$node->stop('immediate');
eval { $refresher->quit };
$node->start;
$node->safe_psql('postgres', $write);
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'crash during the build of a KPI');

$node->stop;
done_testing();
