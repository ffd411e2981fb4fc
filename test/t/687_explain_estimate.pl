# kpi.estimate_source() beside what comes: each source of a CRM, and tables that are sampled, are estimated, created and built.
# Rows, bytes and WAL are within a factor of 2, as the function's comment says; where all facts are read, the rows are as many.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Full-page images are none of what is estimated, and nobody else writes WAL.
my $node = new_node('explain_estimate', 'full_page_writes = off', 'autovacuum = off');

# Arguments of both functions, and the measures.
my %source = (
	deals => [ q{relation => 'crm.deal', key => 'deal_id', owner => 'owner_id', at => 'closed_at', filter => 'NOT is_deleted', dimensions => '{"product": "product_id", "deal_type": "deal_type"}'},
		qw{count(*) sum(amount) avg(amount)} ],
	orders => [ q{relation => 'crm.order_line', key => 'line_id', owner => 'owner_id', at => 'ordered_at', dimensions => '{"location": "location", "product": "product_id"}'}, qw{count(*) count(DISTINCT_account_id)} ],
	activities => [ q{relation => 'crm.activity', key => 'activity_id', owner => 'owner_id', at => 'at'}, qw{count(*)} ],
	leads => [ q{relation => 'crm.lead', key => 'lead_id', owner => 'owner_id', at => 'created_at', dimensions => '{"channel": "channel"}'}, qw{count(*) median(score)} ],
	costs => [ q{relation => 'crm.cost', key => 'cost_id', team => 'team', at => 'month'}, qw{count(*)} ],
	# few owners have most of the facts
	skewed => [ q{relation => 'big.skewed', key => 'id', owner => 'owner_id', at => 'at', dimensions => '{"product": "product"}'}, qw{count(*) sum(amount)} ],
	# in no relation to time, of which the table has more blocks than are read
	wide => [ q{relation => 'big.wide', key => 'id', owner => 'owner_id', at => 'at'}, qw{count(*) sum(amount)} ],
	parted => [ q{relation => 'big.parted', owner => 'owner_id', at => 'at'}, qw{count(*)} ]);

$node->safe_psql('postgres', 'CREATE EXTENSION pg_kpi');
run_crm($node, 'crm.sql');
$node->safe_psql('postgres', q{
	SELECT kpi.create_team(team, parent => parent) FROM (SELECT * FROM crm.team WHERE parent IS NOT NULL ORDER BY parent <> 'company', team) t;
	SELECT kpi.add_member(rep_id, team => team, until => nullif(until, 'infinity')) FROM (SELECT * FROM crm.rep_team WHERE since = '-infinity' ORDER BY rep_id) m;
	SELECT kpi.add_member('m' || i, team => 'uk') FROM generate_series(1, 200) i;
	CREATE SCHEMA big;
	CREATE TABLE big.skewed (id integer PRIMARY KEY, owner_id text, product integer, amount numeric, at date);
	INSERT INTO big.skewed SELECT i, 'm' || 1 + (power(h / 1e6, 3) * 199)::int, (power(h % 1000 / 1e3, 2) * 9)::int, i, date '2024-01-01' + i * 7919 % 900
	FROM (SELECT i, i * 2654435761 % 1000000 AS h FROM generate_series(1, 150000) i) x;
	CREATE TABLE big.wide (id integer PRIMARY KEY, owner_id text, amount numeric, at date, padding text);
	ALTER TABLE big.wide ALTER padding SET STORAGE PLAIN;
	INSERT INTO big.wide SELECT i, 'm' || i * 2654435761 % 1000 / 20, i, date '2024-01-01' + i / 100, repeat('x', 3800) FROM generate_series(1, 64000) i;
	CREATE TABLE big.parted (owner_id text, at date) PARTITION BY RANGE (at);
	CREATE TABLE big.parted_1 PARTITION OF big.parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
	CREATE TABLE big.parted_2 PARTITION OF big.parted FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
	INSERT INTO big.parted SELECT 'm' || i * 2654435761 % 30, date '2024-01-01' + i % 700 FROM generate_series(1, 50000) i});

sub row
{
	return split /\|/, $node->safe_psql('postgres', "SET client_min_messages = warning; $_[0]");
}

my $stored = q{SELECT (SELECT count(*) FROM kpi_internal.day_cell), (SELECT count(*) FROM kpi_internal.rollup_cell),
	pg_total_relation_size('kpi_internal.day_cell') + pg_total_relation_size('kpi_internal.rollup_cell')};

sub is_near
{
	my ($estimated, $came, $what) = @_;
	cmp_ok($estimated, '<=', 2 * $came, "$what: $estimated are no more than twice $came");
	cmp_ok($estimated, '>=', 0.5 * $came, "$what: nor less than half");
	return;
}

foreach my $name (sort keys %source)
{
	my ($arguments, @measures) = @{ $source{$name} };
	s/_account/ account/ for @measures;
	my $list = join ', ', map { "'$_'" } @measures;
	my ($facts, $read, $days, $rollups, $bytes, $wal) = row(qq{SELECT facts, facts_read, day_cells, rollup_cells, bytes, wal_bytes_per_change
		FROM kpi.estimate_source('$name', $arguments, measures => ARRAY[$list])});
	my @before = row($stored);

	row("SELECT kpi.create_source('$name', $arguments)");
	row("SELECT kpi.create_kpi('$name ' || n, source => '$name', measure => m) FROM unnest(ARRAY[$list]) WITH ORDINALITY u (m, n)");
	row("CALL kpi.refresh('$name')");
	my @came = row($stored);
	$came[$_] -= $before[$_] for 0 .. 2;

	cmp_ok($read, '<=', 30000, "$name: $read facts are read of $facts");
	is_near($days, $came[0], "$name: day cells");
	is_near($rollups, $came[1], "$name: cells of rollups");
	is_near($bytes, $came[2], "$name: bytes") if $came[2] > 1000000;
	is("$days $rollups", "$came[0] $came[1]", "$name: each is counted") if $read == $facts;
}

# what a thousand changes anywhere write, less what they write without capture
sub written
{
	my ($table, $key, $column, $refresh) = @_;
	my ($bytes) = row(qq{CREATE TEMP TABLE ids AS SELECT $key AS id FROM $table ORDER BY hashint8($key) LIMIT 1000;
		SELECT pg_current_wal_insert_lsn() AS began \\gset
		UPDATE $table SET $column = $column + 1 WHERE $key IN (SELECT id FROM ids);
		$refresh;
		SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'began')::bigint});
	return $bytes / 1000;
}

foreach my $of ([ 'deals', 'crm.deal', 'deal_id', 'amount' ], [ 'skewed', 'big.skewed', 'id', 'amount' ])
{
	my ($name, $table, $key, $column) = @$of;
	my ($arguments, @measures) = @{ $source{$name} };
	my $list = join ', ', map { "'$_'" } @measures;
	my ($wal) = row(qq{SELECT wal_bytes_per_change FROM kpi.estimate_source('other', $arguments, measures => ARRAY[$list])});
	my $with = written($table, $key, $column, "CALL kpi.refresh('$name')");

	row("SELECT kpi.drop_source('$name', cascade => true)");
	is_near($wal, $with - written($table, $key, $column, 'SELECT'), "$name: WAL of a change");
}

$node->stop;
done_testing();
