# The facts of a large table are read by one grouped statement, with parallel
# workers, also where the definer has no rights on schema kpi: reading them row
# by row gives the same numbers, so the plan is looked at.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('grouped', 'max_parallel_workers_per_gather = 2', 'min_parallel_table_scan_size = 0',
	'parallel_setup_cost = 0', 'parallel_tuple_cost = 0');

$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_kpi;
	CREATE ROLE app;
	CREATE SCHEMA app AUTHORIZATION app;
	SET ROLE app;
	CREATE TYPE app.stage AS ENUM ('won', 'lost');
	CREATE TABLE app.t (id integer, stage app.stage, product text, amount numeric, at timestamptz) PARTITION BY RANGE (id);
	CREATE TABLE app.t1 PARTITION OF app.t FOR VALUES FROM (0) TO (10000);
	CREATE TABLE app.t2 PARTITION OF app.t FOR VALUES FROM (10000) TO (100000);
	INSERT INTO app.t SELECT i, CASE WHEN i % 2 = 0 THEN 'won' ELSE 'lost' END::app.stage, 'p' || i % 3, i,
		timestamptz '2026-01-01 12:00Z' + i % 300 * interval '1 day' FROM generate_series(1, 20000) i;
	ANALYZE app.t;
	CREATE TABLE app.plain (id integer, amount numeric, day date);
	INSERT INTO app.plain SELECT i, i, date '2026-01-01' + i % 300 FROM generate_series(1, 20000) i;
	ANALYZE app.plain;
	RESET ROLE;
	SELECT kpi.create_source('t', relation => 'app.t', owner => 'stage', at => 'at', filter => 'id > 10',
		dimensions => '{"Product \"of\" it": "product COLLATE \"C\""}');
	SELECT kpi.create_source('plain', relation => 'app.plain', at => 'day');
	SELECT kpi.create_kpi('plain', source => 'plain', measure => 'sum(amount)')}
	  . join('', map { ";\nSELECT kpi.create_kpi('k$_', source => 't', measure => 'ratio(amount, id + $_)')" } 1 .. 60));
is($node->safe_psql('postgres', q{SELECT DISTINCT definer, has_schema_privilege('app', 'kpi', 'USAGE') FROM kpi.source}),
	'app|f', 'the definer has no rights of ours');

my ($status, $out, $err) = $node->psql('postgres', q{
	LOAD 'auto_explain';
	SET auto_explain.log_min_duration = 0;
	SET auto_explain.log_nested_statements = on;
	SET auto_explain.log_analyze = on;
	SET client_min_messages = log;
	CALL kpi.refresh()});
is($status, 0, 'built');
for my $table ('plain', 't1')
{
	like($err, qr/kpi_internal\.cell_agg(?:(?!Query Text).)*Workers Launched(?:(?!Query Text).)*Parallel Seq Scan on $table/s,
		"$table is read by the grouped statement, in parallel");
}
is($node->safe_psql('postgres', q{SELECT value FROM kpi.team_yearly WHERE kpi = 'plain' AND team = 'company'}),
	$node->safe_psql('postgres', 'SELECT sum(amount) FROM app.plain'), 'the sum is right');
is($node->safe_psql('postgres', q{SELECT k.name, b.dimension_value, round(b.value, 6) FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id
		JOIN kpi.team t ON t.id = b.team_id AND t.key = 'company' WHERE k.name IN ('k1', 'k60') AND b.period = '2026' ORDER BY 1, 2}),
	$node->safe_psql('postgres', q{SELECT 'k' || n, product, round(sum(amount) / sum(id + n), 6) FROM app.t, unnest('{1,60}'::int[]) n
		WHERE id > 10 GROUP BY 1, 2 ORDER BY 1, 2}), 'so are the parts, over more measures than one aggregate takes');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.source s, kpi.verify(s.name)}), 0, 'kpi.verify() finds nothing');

$node->stop;
done_testing();
