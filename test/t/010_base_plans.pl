# Statements of the extension keep their plans for the session: a bounded
# number of them, and none that outlives what it was made for.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('plans');
my $write = q{INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	VALUES ('alice', 'bob', 'won', 10, 1, 'p', '2026-03-01', '2026-03-05')};

create_company($node, 'postgres');
$node->safe_psql('postgres', q{
	CREATE ROLE analyst; SELECT kpi.grant_reader('analyst'); SELECT kpi.grant_editor('analyst');
	CREATE ROLE stranger; GRANT USAGE ON SCHEMA kpi TO stranger});

# One session for all of it.
my $session = $node->background_psql('postgres', on_error_stop => 0);

sub refresh
{
	my ($times, $call) = @_;

	$session->query_safe("$write; " . ($call // 'CALL kpi.refresh()')) for 1 .. $times;
	return;
}

sub plans
{
	return $session->query_safe(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'SPI Plan'});
}

refresh(3);
my $kept = plans();
cmp_ok($kept, '>', 10, 'plans are kept');
refresh(70);
is(plans(), $kept, 'no more for more refreshes');
is_exact($node, 'postgres', 'with kept plans');

# a table grows beyond what a plan was made for
$session->query_safe(q{SELECT kpi.add_member('m' || i, team => 'uk') FROM generate_series(1, 300) i;
	SELECT kpi.move_member('m' || i, team => 'dach', since => '2026-02-01') FROM generate_series(1, 300) i});
refresh(2, q{INSERT INTO crm.deals (owner_id, stage, amount, created_at, closed_at)
	SELECT 'm' || i, 'won', i, '2026-01-01', '2026-01-31' FROM generate_series(1, 300) i; CALL kpi.refresh()});
is_exact($node, 'postgres', 'after many definitions');

# rights are those of who asks
$session->query_safe('SET ROLE analyst');
$session->query_safe('CALL kpi.refresh()');
$session->query_safe('SET ROLE stranger');
$session->query('CALL kpi.refresh()');
like($session->{stderr}, qr/permission denied/, 'a kept plan gives nobody the right to refresh');
$session->{stderr} = '';
$session->query_safe('RESET ROLE');

# and those of the extension's owner, whoever that is now
my $owner = q{UPDATE pg_extension SET extowner = '%s'::regrole WHERE extname = 'pg_kpi'};
$node->safe_psql('postgres', sprintf($owner, 'stranger'));
$session->query('CALL kpi.refresh()');
like($session->{stderr}, qr/permission denied/, 'a kept plan gives a new owner no rights');
$session->{stderr} = '';
$node->safe_psql('postgres', sprintf($owner, 'postgres'));
refresh(2);
is_exact($node, 'postgres', 'after a change of owner');

# the tables of a plan are gone and others have their names
$session->query_safe('DROP EXTENSION pg_kpi; DROP TABLE crm.deals, crm.costs; DROP SCHEMA crm');
create_company($node, 'postgres');
refresh(3);
is_exact($node, 'postgres', 'after the extension was created again');
# what was said of the new KPIs had no plan before
$kept = plans();
refresh(4);
cmp_ok(plans(), '<=', $kept + 5, 'the plans are the ones from before');

$session->quit;
$node->stop;
done_testing();
