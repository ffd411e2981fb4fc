# COPY, and a partitioned table whose partitions come and go.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('load');
my $columns = 'owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at';
my @owners = qw(alice bob carol dave erin nobody);
my $data = join '', map {
	join("\t", $owners[ $_ % 6 ], 'bob', (qw(won lost open))[ $_ % 3 ], $_ / 4, $_ % 9, 'p' . $_ % 3,
		sprintf('2026-%02d-%02d', $_ % 12 + 1, $_ % 28 + 1), sprintf('2026-%02d-%02d', $_ % 12 + 1, $_ % 27 + 2))
	  . "\n"
} 1 .. 5000;

create_company(
	$node, 'postgres',
	table => 'PARTITION BY RANGE (closed_at)',
	sql => q{
		CREATE TABLE crm.deals_h1 PARTITION OF crm.deals FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
		CREATE TABLE crm.deals_h2 PARTITION OF crm.deals FOR VALUES FROM ('2026-07-01') TO ('2027-01-01')
			PARTITION BY LIST (stage);
		CREATE TABLE crm.deals_h2_won PARTITION OF crm.deals_h2 FOR VALUES IN ('won');
		CREATE TABLE crm.deals_h2_rest PARTITION OF crm.deals_h2 DEFAULT;
		CREATE TABLE crm.deals_none PARTITION OF crm.deals DEFAULT;});
$node->safe_psql('postgres', 'CALL kpi.refresh()');

sub copied
{
	my ($into, $rows, $list) = @_;
	my ($out, $err);
	$list //= $columns;
	$node->psql('postgres', "COPY $into ($list) FROM STDIN;\n$rows\\.\n", stdout => \$out, stderr => \$err);
	return $err;
}

is(copied('crm.deals', $data), '', 'COPY');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'COPY');

like(copied('crm.deals', $data . "alice\tbob\twon\tmuch\n"), qr/invalid input syntax|missing data/, 'a COPY that fails');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'COPY that fails');

# right into a leaf
is(copied('crm.deals_h2_won', "300000\tcarol\tbob\twon\t7.77\t1\tp9\t2026-08-01\t2026-08-02\n", "id, $columns"), '', 'COPY into a partition');
# a row that changes its partition
$node->safe_psql('postgres', q{UPDATE crm.deals SET closed_at = closed_at + interval '200 days' WHERE id % 10 = 3});
$node->safe_psql('postgres', q{UPDATE crm.deals SET stage = 'won' WHERE id % 10 = 4});
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'partitions written to and left');

# a partition that is attached with its rows
$node->safe_psql('postgres', q{
	CREATE TABLE crm.deals_2030 (LIKE crm.deals);
	INSERT INTO crm.deals_2030 (id, owner_id, stage, amount, quantity, product, created_at, closed_at)
		SELECT 100000 + i, 'dave', 'won', i, 2, 'new', '2029-12-01', '2030-01-15' FROM generate_series(1, 20) i;
	ALTER TABLE crm.deals ATTACH PARTITION crm.deals_2030 FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
	INSERT INTO crm.deals (owner_id, stage, amount, created_at, closed_at)
		VALUES ('alice', 'won', 1000, '2030-02-01', '2030-02-02');
	CALL kpi.refresh();});
is($node->safe_psql('postgres', q{SELECT status FROM kpi.source_status WHERE source = 'deals'}),
	'active', 'the source stays active');
is_exact($node, 'postgres', 'partition attached with rows');
is($node->safe_psql('postgres', q{SELECT value FROM kpi.team_yearly WHERE kpi = 'won' AND team = 'company' AND period = '2030'}),
	'21', 'its rows count');

# a new, empty one, written to at once
$node->safe_psql('postgres', q{
	CREATE TABLE crm.deals_2031 PARTITION OF crm.deals FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
	INSERT INTO crm.deals_2031 (id, owner_id, stage, amount, created_at, closed_at)
		VALUES (200000, 'bob', 'won', 10, '2031-02-01', '2031-02-02');
	CALL kpi.refresh();});
is_exact($node, 'postgres', 'partition created');

# a partition that is detached, as this source says: never silently wrong
$node->safe_psql('postgres', q{SELECT kpi.alter_source('deals', on_detach => 'remove')});
$node->safe_psql('postgres', 'ALTER TABLE crm.deals DETACH PARTITION crm.deals_2030; CALL kpi.refresh()');
$node->safe_psql('postgres', q{INSERT INTO crm.deals_2030 (id, owner_id, stage, amount, created_at, closed_at)
	VALUES (200001, 'bob', 'won', 10, '2030-02-01', '2030-02-02')});
isnt($node->safe_psql('postgres', q{SELECT status FROM kpi.source_status WHERE source = 'deals'}),
	'', 'a detached partition can still be written');
$node->safe_psql('postgres', q{SELECT kpi.resume('deals'); CALL kpi.refresh()});
is_exact($node, 'postgres', 'partition detached');

$node->safe_psql('postgres', 'TRUNCATE crm.deals_h1; CALL kpi.refresh()');
$node->safe_psql('postgres', q{SELECT kpi.resume('deals'); CALL kpi.refresh()});
is_exact($node, 'postgres', 'partition truncated');

$node->stop;
done_testing();
