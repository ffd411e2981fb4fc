# A build, and a refresh of as much, in little memory: the server's address space is
# limited, and what one hash of all cells would take has no room in it.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $limit = 450 * 1024 * 1024;
my $node = new_node(
	'memory', "shared_buffers = '32MB'", "maintenance_work_mem = '16MB'", 'max_parallel_workers_per_gather = 0',
	"kpi.buffer_size = '1MB'", 'max_connections = 20');

$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_kpi;
	CREATE TABLE deals (id integer PRIMARY KEY, owner integer, day date, amount integer, a integer, b integer, c integer);
	INSERT INTO deals SELECT i, i % 2000, '2024-01-01'::date + i * 7919 % 700, i % 1000, i % 20, i / 20 % 10, i / 200 % 5 FROM generate_series(1, 20000) i;
	SELECT kpi.create_team('t' || t, parent => CASE t WHEN 1 THEN 'company' ELSE 't' || ((t - 2) / 4 + 1) END) FROM generate_series(1, 1000) t;
	SELECT kpi.add_member(m::text, team => 't' || (342 + m % 659)) FROM generate_series(0, 1999) m;
	SELECT kpi.create_source('deals', relation => 'deals', key => 'id', owner => 'owner', at => 'day', dimensions => '{"a": "a", "b": "b", "c": "c"}');
	SELECT kpi.create_kpi('k' || i, source => 'deals', measure => format('sum(amount * %s)', i)) FROM generate_series(1, 20) i;
	ALTER SYSTEM SET kpi.build_step = '1h';
	SELECT pg_reload_conf();
});

my $pid = $node->safe_psql('postgres', q{SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)});
my $limited = IPC::Run::run([ 'prlimit', "--as=$limit", "--pid=$pid" ], '>', \my $out, '2>', \my $err);

SKIP:
{
	skip "prlimit cannot be used here: $err", 6 if !$limited;
	# the limit is one: what does not fit fails
	my ($status, undef, $said) = $node->psql('postgres', q{SET work_mem = '2GB'; SELECT count(*) FROM (SELECT repeat(i::text, 50), count(*) FROM generate_series(1, 4000000) i GROUP BY 1 OFFSET 0) x});
	isnt($status, 0, 'the server has little memory');
	like($said, qr/out of memory/, 'and says so');

	my $differences = q{
		WITH RECURSIVE above AS (
			SELECT id, id AS team FROM kpi.team WHERE id > 1
			UNION ALL SELECT a.id, p.parent_id FROM above a JOIN kpi.team_parent p ON p.team_id = a.team WHERE p.parent_id <> 1),
		facts AS (
			SELECT t.team, date_trunc('month', f.day)::date AS period, sum(f.amount) AS value, f.a
			FROM deals f JOIN kpi.member m ON m.key = f.owner::text JOIN kpi.membership h ON h.member_id = m.id
			JOIN above t ON t.id = h.team_id GROUP BY GROUPING SETS ((1, 2), (1, 2, f.a))),
		shown AS (
			SELECT team_id AS team, period_start AS period, value, NULL AS a FROM kpi.team_monthly WHERE kpi = 'k1' AND team LIKE 't%'
			UNION ALL SELECT team_id, period_start, value, dimension_value FROM kpi.team_breakdown_monthly
			WHERE kpi = 'k1' AND team LIKE 't%' AND dimension = 'a')
		SELECT count(*) || ' of ' || (SELECT count(*) FROM facts) FROM (
			(SELECT team, period, value, a::text FROM facts EXCEPT ALL SELECT team, period, value, a FROM shown)
			UNION ALL (SELECT team, period, value, a FROM shown EXCEPT ALL SELECT team, period, value, a::text FROM facts)) x};

	is($node->psql('postgres', q{CALL kpi.refresh('deals')}), 0, 'it is enough for a build');
	like($node->safe_psql('postgres', $differences), qr/^0 of \d{5}$/, 'the numbers are those of plain SQL');
	# as many cells, as changes
	is($node->psql('postgres', q{UPDATE deals SET amount = amount + 1, day = day - 1; CALL kpi.refresh('deals')}), 0, 'and for a refresh');
	like($node->safe_psql('postgres', $differences), qr/^0 of \d{5}$/, 'the numbers are those of plain SQL');
}

$node->stop;
done_testing();
