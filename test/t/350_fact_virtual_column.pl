# Generated columns that are computed when they are read: triggers see no value
# of them, a new expression of theirs writes no row, and partitions may have
# another one than their root.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('virtual_column');

if ($node->safe_psql('postgres', 'SHOW server_version_num') < 180000)
{
	plan skip_all => 'PostgreSQL has no virtual generated columns before 18';
}

my $value = q{SELECT k.name || ' ' || v.value FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id
	WHERE v.team_id = 1 AND v.grain = 'year' ORDER BY k.name};

# What the KPIs are, before and after a refresh that applies what was captured.
sub numbers_are
{
	my ($expected, $name) = @_;

	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	is($node->safe_psql('postgres', $value), $expected, $name);
	is($node->safe_psql('postgres', q{SELECT v.* FROM kpi.source s, kpi.verify(s.name) v}), '', "$name: exact");
	return;
}


$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION pg_kpi;
	CREATE TABLE sales (id bigint PRIMARY KEY, day date NOT NULL, owner text, quantity integer, price numeric,
		amount numeric GENERATED ALWAYS AS (quantity * price) VIRTUAL,
		seller text GENERATED ALWAYS AS (lower(owner)) VIRTUAL,
		share integer GENERATED ALWAYS AS (100 / quantity) VIRTUAL,
		booked timestamp GENERATED ALWAYS AS (day + interval '12 hours') VIRTUAL);
	INSERT INTO sales (id, day, owner, quantity, price) VALUES (1, '2026-03-01', 'ALICE', 2, 10), (2, '2026-03-02', 'bob', 1, 5);
	SELECT kpi.create_team('emea'), kpi.add_member('alice', team => 'emea');
	SELECT kpi.create_source('sales', relation => 'public.sales', key => 'id', owner => 'seller', at => 'booked',
		filter => 'amount > 0', dimensions => '{"size": "CASE WHEN amount >= 20 THEN ''large'' ELSE ''small'' END"}');
	SELECT kpi.create_kpi('revenue', source => 'sales', measure => 'sum(amount)');
	SELECT kpi.create_kpi('share', source => 'sales', measure => 'sum(share)');
});
numbers_are("revenue 25\nshare 150", 'from the facts');

$node->safe_psql('postgres', q{INSERT INTO sales (id, day, owner, quantity, price) VALUES (3, '2026-03-03', 'Alice', 4, 25)});
numbers_are("revenue 125\nshare 175", 'an insert');
is($node->safe_psql('postgres', q{SELECT value FROM kpi.member_yearly WHERE kpi = 'revenue' AND member = 'alice'}),
	'120', 'an owner that is computed');
is($node->safe_psql('postgres', q{SELECT value FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id
	WHERE k.name = 'revenue' AND b.team_id = 1 AND b.grain = 'year' AND b.dimension_value = 'large'}), '120', 'and a dimension');

# only columns that the virtual ones are computed from change
$node->safe_psql('postgres', q{UPDATE sales SET price = price + 1 WHERE id = 1; UPDATE sales SET owner = 'ALICE' WHERE id = 2});
numbers_are("revenue 127\nshare 175", 'an update');
$node->safe_psql('postgres', q{DELETE FROM sales WHERE id = 3});
numbers_are("revenue 27\nshare 150", 'a delete');

# 100 / 0: the measure fails, nothing else, and the row can be corrected
$node->safe_psql('postgres', q{INSERT INTO sales (id, day, owner, quantity, price) VALUES (4, '2026-03-04', 'alice', 0, 1);
	INSERT INTO sales (id, day, owner, quantity, price) VALUES (5, '2026-03-04', 'alice', 1, 1)});
numbers_are("revenue 28\nshare 250", 'an error');
$node->safe_psql('postgres', q{UPDATE sales SET quantity = 5 WHERE id = 4});
numbers_are("revenue 33\nshare 270", 'the error corrected');

$node->safe_psql('postgres', q{
	INSERT INTO sales (id, day, owner, quantity, price) VALUES (6, '2026-03-04', 'alice', 1, 100);
	ALTER TABLE sales ALTER amount SET EXPRESSION AS (quantity * price * 2);
	INSERT INTO sales (id, day, owner, quantity, price) VALUES (7, '2026-03-04', 'alice', 1, 1)});
numbers_are("revenue 268\nshare 470", 'another expression');
$node->safe_psql('postgres', q{
	ALTER TABLE sales ALTER amount SET EXPRESSION AS (quantity * price);
	UPDATE sales SET price = 2 WHERE id = 7;
	ALTER TABLE sales ALTER amount SET EXPRESSION AS (quantity * price * 2)});
numbers_are("revenue 270\nshare 470", 'another and back');

# partitions
$node->safe_psql(
	'postgres', q{
	CREATE TABLE visits (day date NOT NULL, pages integer, weight integer GENERATED ALWAYS AS (pages * 2) VIRTUAL)
		PARTITION BY RANGE (day);
	CREATE TABLE visits_2 (gone text, pages integer, weight integer GENERATED ALWAYS AS (pages * 2) VIRTUAL, day date NOT NULL);
	ALTER TABLE visits_2 DROP gone;
	CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
	ALTER TABLE visits ATTACH PARTITION visits_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
	SELECT kpi.drop_source('sales', cascade => true);
	SELECT kpi.create_source('visits', relation => 'public.visits', at => 'day');
	SELECT kpi.create_kpi('weight', source => 'visits', measure => 'sum(weight)');
	INSERT INTO visits (day, pages) VALUES ('2026-01-05', 1), ('2026-02-05', 10)});
numbers_are('weight 22', 'partitions');
$node->safe_psql('postgres', q{INSERT INTO visits_2 (day, pages) VALUES ('2026-02-06', 100)});
numbers_are('weight 222', 'a partition');

my $suspended = q{SELECT status, reason FROM kpi.source_status WHERE source = 'visits'};
my $problem = qr/^suspended\|partition "visits_[12]" computes column "weight" otherwise than table "visits"$/;

for my $table ('visits_1', 'ONLY visits')
{
	$node->safe_psql('postgres', qq{ALTER TABLE $table ALTER weight SET EXPRESSION AS (pages * 3);
		INSERT INTO visits (day, pages) VALUES ('2026-01-07', 1);
		CALL kpi.refresh()});
	like($node->safe_psql('postgres', $suspended), $problem, "$table is computed otherwise");
	$node->safe_psql('postgres', qq{ALTER TABLE visits ALTER weight SET EXPRESSION AS (pages * 2)});
	$node->safe_psql('postgres', q{SELECT kpi.resume('visits'); CALL kpi.refresh()});
	is($node->safe_psql('postgres', q{SELECT v.value = (SELECT sum(weight) FROM visits) FROM kpi.kpi_value v WHERE v.team_id = 1 AND v.grain = 'year'}),
		't', 'until all agree');
}
$node->safe_psql('postgres', 'ALTER TABLE visits_1 ALTER weight SET EXPRESSION AS (pages * 3)');
my ($status, $stdout, $stderr) =
  $node->psql('postgres', q{SELECT kpi.create_source('others', relation => 'public.visits', at => 'day')});
like(
	$stderr,
	qr/partition "visits_1" computes column "weight" otherwise than table "visits"\n.*HINT:  Give the column the same expression/s,
	'no source is created');

done_testing();
