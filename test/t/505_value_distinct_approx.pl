# count_distinct_approx(x), as a KPI and as an aggregate: without extension hll an
# error that says what to install; with it an estimate near to count(DISTINCT x),
# that corrections leave as if they had been there first.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('approx');
# Columns of each type that can be told apart.
my %column = (
	account => 'text', n => 'bigint', short => 'smallint', score => 'numeric', padded => 'character(20)', name => 'name', code => 'uuid',
	kind => 'visits.kind', is_new => 'boolean', seen => 'date');
my $columns = join ', ', map { "$_ $column{$_}" } sort keys %column;
my $rows = q{SELECT i, '2026-01-01'::date + i % 90, 'account ' || i % 40000, (ARRAY['a', 'b', 'c'])[1 + i % 3]::visits.kind, i % 40000 * 1000003::bigint,
	i % 7 = 0, (i % 30000)::numeric / (ARRAY[10, 10.0, 10.00])[1 + i % 3], 'p' || i % 20000, 'n' || i % 9, (i % 5000 - 2500)::smallint,
	'0044-03-15 BC'::date + i % 8000, md5((i % 12000)::text)::uuid FROM generate_series(1, 80000) i};

$node->safe_psql('postgres', qq{
	CREATE EXTENSION IF NOT EXISTS pg_kpi;
	CREATE SCHEMA visits;
	CREATE TYPE visits.kind AS ENUM ('a', 'b', 'c');
	CREATE TABLE visits.visits (id integer PRIMARY KEY, day date, $columns);
	INSERT INTO visits.visits (id, day, account, kind, n, is_new, score, padded, name, short, seen, code) $rows;
	SELECT kpi.create_source('visits', relation => 'visits.visits', key => 'id', at => 'day')});

sub ask { return $node->safe_psql('postgres', $_[0]); }

# The error that a statement raises.
sub error_of
{
	my ($sql) = @_;
	my ($status, $output, $errors) = $node->psql('postgres', $sql);

	isnt($status, 0, "an error: $sql");
	return $errors;
}

# ---- without hll ----

my $needs = qr/count_distinct_approx\(\) needs the extension "hll"\n.*HINT:  Install the package postgresql-\d+-hll, and run CREATE EXTENSION hll/s;
my $create = q{SELECT kpi.create_kpi('accounts', source => 'visits', measure => 'count_distinct_approx(account)')};

like(error_of($create), $needs, 'without hll: what to install');
like(error_of('SELECT kpi.count_distinct_approx(n) FROM visits.visits'), $needs, 'the same of the aggregate');
is(ask('SELECT count(*) FROM kpi.kpi'), '0', 'and there is no KPI');

if (!-f $node->config_data('--sharedir') . '/extension/hll.control')
{
	SKIP: { skip 'hll is not installed', 1 }
	$node->stop;
	done_testing();
	exit;
}

# ---- with it ----

ask('CREATE SCHEMA hll; CREATE EXTENSION hll SCHEMA hll');
ask("SELECT kpi.create_kpi('$_', source => 'visits', measure => 'count_distinct_approx($_)')") for sort keys %column;
ask('CALL kpi.refresh()');

# What is estimated, and what is there, of the first quarter.
sub pairs
{
	return map { [ $_, split /\|/, ask("SELECT kpi.value('$_', period => '2026-Q1'), (SELECT count(DISTINCT $_) FROM visits.visits)") ] } sort keys %column;
}

# Each is within four times the error that is to be expected, and the aggregate's is the same.
sub check
{
	my ($when) = @_;

	for (pairs())
	{
		my ($name, $value, $exact) = @$_;

		cmp_ok(abs($value - $exact), '<=', $exact < 20 ? 0 : 0.065 * $exact, "$when: $name, $value of $exact");
	}
	is(ask('SELECT ' . join(', ', map { "kpi.count_distinct_approx($_)" } sort keys %column) . ' FROM visits.visits'),
		join('|', map { $_->[1] } pairs()), "$when: the aggregate says the same");
	is(ask("SELECT count(*) FROM kpi.verify('visits')"), '0', "$when: and a recount");
	return;
}

check('built');
my @before = map { $_->[1] } pairs();
ask("DELETE FROM visits.visits WHERE id % 3 > 0; UPDATE visits.visits SET account = 'other ' || account, day = day + 1 - extract(day FROM day)::integer WHERE id % 2 = 0");
ask("CALL kpi.refresh('visits')");
check('corrected');
isnt(join('|', map { $_->[1] } pairs()), join('|', @before), 'other numbers');
ask("DELETE FROM visits.visits WHERE id % 2 = 0; INSERT INTO visits.visits (id, day, account, kind, n, is_new, score, padded, name, short, seen, code) $rows ON CONFLICT DO NOTHING");
ask("CALL kpi.refresh('visits')");
is(join('|', map { $_->[1] } pairs()), join('|', @before), 'away and back: what was there before');
ask("DELETE FROM visits.visits WHERE id > 5; CALL kpi.refresh('visits')");
is(ask(q{SELECT kpi.value('account', period => '2026-Q1'), kpi.value('n', period => '2026')}), '5|5', 'few are counted');

# ---- the aggregate ----

is(ask(q{SELECT kpi.count_distinct_approx(account) IS NULL FROM visits.visits WHERE false}), 't', 'of nothing there is none');
is(ask(q{SELECT count(*) FROM (
	SELECT i, kpi.count_distinct_approx(i % 7) OVER w AS moving,
		(SELECT count(DISTINCT j % 7) FROM generate_series(greatest(i - 4, 1), least(i + 2, 300)) j) AS exact
	FROM generate_series(1, 300) i WINDOW w AS (ORDER BY i ROWS BETWEEN 4 PRECEDING AND 2 FOLLOWING)) x WHERE moving <> exact}), '0', 'a frame moves');
my $parallel = q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;};
ask(q{CREATE TABLE visits.many AS SELECT i AS id, 'x' || i % 30000 AS x FROM generate_series(1, 60000) i; ANALYZE visits.many});
like(ask("$parallel EXPLAIN (COSTS off) SELECT kpi.count_distinct_approx(x) FROM visits.many"), qr/Partial Aggregate/, 'workers take part');
is(ask("$parallel SELECT kpi.count_distinct_approx(x) FROM visits.many"), ask('SELECT kpi.count_distinct_approx(x) FROM visits.many'), 'to the same number');
like(error_of("SELECT kpi.count_distinct_approx(now())"), qr/argument of kpi\.count_distinct_approx\(\) cannot be of type timestamp with time zone/, 'of another type');
like(error_of("SELECT kpi.count_distinct_approx('x')"), qr/argument of kpi\.count_distinct_approx\(\) cannot be of type unknown/, 'of no type');

# ---- when hll goes ----

ask('DROP EXTENSION hll');
is(ask("SELECT value IS NULL, facts FROM kpi.team_yearly WHERE kpi = 'account' AND team = 'company'"), 't|5', 'without it the value is missing, and nothing fails');
is(ask("INSERT INTO visits.visits (id, day, account) VALUES (6, '2026-01-01', 'six'); CALL kpi.refresh('visits');
	SELECT value IS NULL, facts FROM kpi.team_yearly WHERE kpi = 'account' AND team = 'company'"), 't|6', 'facts are counted on');
ask(q{CREATE FUNCTION visits.hll_cardinality(bytea) RETURNS float8 LANGUAGE plpgsql AS 'BEGIN RAISE ''not to be run''; END'});
is(ask("SELECT kpi.value('account', period => '2026-Q1') IS NULL"), 't', 'a function of its name that is not of the extension is not run');
ask('CREATE EXTENSION hll SCHEMA hll');
is(ask("SELECT kpi.value('account', period => '2026-Q1')"), '6', 'and it is there again');
$node->stop;
done_testing();
