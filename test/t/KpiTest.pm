# What the TAP tests share: a server with the extension, a small company that
# sells, and the oracle: every number the KPIs must have, to date and of other
# periods included, recomputed in plain SQL from the facts and from who belonged
# where, without pg_kpi.
package KpiTest;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use FindBin;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node run_crm create_company difference_sql inconsistency_sql unannounced_sql goal_difference_sql balance_difference_sql left_out_difference_sql explained_difference_sql rollup_differences is_exact %KPI %MEANING);

# What the definitions say besides the KPIs: which rows of crm.deals count, for
# whom (NULL: for the company) and by which dimensions, and how the calendar
# cuts days, weeks (days that one begins after Monday) and years (months that
# one begins after January).
our %MEANING = (
	deals => 'crm.deals',
	filter => 'true',
	owner => 'owner_id',
	dimensions => { product => 'product' },
	time_zone => 'UTC',
	week_start => 0,
	year_start => 0);

# The KPIs of the company: how they are created, and for the oracle a SELECT of
# one row per fact: owner, time, dimensions, and the fact's share of the
# numerator and the denominator (NULL: the value is the numerator alone), or what
# "aggregate" makes the value of where {where} holds; such a one has no goals.
# Words in braces stand for what %MEANING says.
# NaN and infinity count as facts, but are left out of the sums.
my $finite = q{amount NOT IN ('NaN', 'Infinity', '-Infinity')};
our %KPI = (
	revenue => {
		create => q{source => 'deals', measure => 'sum(amount)', filter => $$stage = 'won'$$},
		facts => qq{SELECT {owner}, closed_at, {dimensions}, CASE WHEN $finite THEN amount END, NULL FROM {deals}
			WHERE stage = 'won' AND amount IS NOT NULL},
	},
	won => {
		create => q{source => 'deals', measure => 'count(*)', filter => $$stage = 'won'$$},
		facts => q{SELECT {owner}, closed_at, {dimensions}, 1, NULL FROM {deals} WHERE stage = 'won'},
	},
	win_rate => {
		create => q{source => 'deals', measure => $$rate(stage = 'won', stage IN ('won', 'lost'))$$},
		facts => q{SELECT {owner}, closed_at, {dimensions}, (stage = 'won')::int, 1 FROM {deals}
			WHERE stage IN ('won', 'lost')},
	},
	size => {
		create => q{source => 'deals', measure => 'avg(amount)'},
		facts => qq{SELECT {owner}, closed_at, {dimensions}, CASE WHEN $finite THEN amount ELSE 0 END, ($finite)::int
			FROM {deals} WHERE amount IS NOT NULL},
	},
	margin => {
		create => q{source => 'deals', measure => 'ratio(amount, quantity)'},
		facts => qq{SELECT {owner}, closed_at, {dimensions}, CASE WHEN $finite THEN amount ELSE 0 END,
				CASE WHEN amount IS NULL OR $finite THEN coalesce(quantity, 0) ELSE 0 END
			FROM {deals} WHERE amount IS NOT NULL OR quantity IS NOT NULL},
	},
	created => {
		create => q{source => 'deals', measure => 'count(*)', at => 'created_at'},
		facts => q{SELECT {owner}, created_at, {dimensions}, 1, NULL FROM {deals}},
	},
	sourced => {
		create => q{source => 'deals', measure => 'sum(quantity)', owner => 'sdr_id', at => 'created_at'},
		facts => q{SELECT sdr_id, created_at, {dimensions}, quantity, NULL FROM {deals} WHERE quantity IS NOT NULL},
	},
	spend => {
		create => q{source => 'costs', measure => 'sum(cost)', direction => 'down'},
		team => 1,
		facts => q{SELECT team, day::timestamp AT TIME ZONE '{time_zone}', '{}'::jsonb, CASE WHEN cost NOT IN ('NaN', 'Infinity', '-Infinity') THEN cost END, NULL
			FROM crm.costs WHERE cost IS NOT NULL},
	},
	per_won => {
		create => q{formula => 'spend / won', direction => 'down'},
		quotient => [ 'spend', 'won' ],
	},
	mean => {
		create => q{formula => 'revenue / won'},
		quotient => [ 'revenue', 'won' ],
		one_source => 1,
	});

# A running server; further lines for its configuration may be given.
sub new_node
{
	my ($name, @conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', join("\n", "timezone = 'UTC'", @conf, ''));
	$node->start;
	# whoever runs the tests: guides speak of this one
	$node->safe_psql('postgres', 'CREATE ROLE postgres SUPERUSER LOGIN') if getpwuid($<) ne 'postgres';
	return $node;
}

# A file of test/crm, of which nothing may be said.
sub run_crm
{
	my ($node, $name) = @_;

	my $err = '';
	$node->safe_psql('postgres', q{SELECT kpi.alter_calendar('default', time_zone => 'UTC')});
	IPC::Run::run([ 'psql', '-X', '-q', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', "$FindBin::Bin/../crm/$name" ], '2>', \$err);
	is($err, '', $name);
	return;
}

# Teams, members, tables, sources and the KPIs named (all by default) in a
# database.  "table" is what follows the columns of crm.deals.
sub create_company
{
	my ($node, $db, %option) = @_;
	my @kpis = sort_kpis(@{ $option{kpis} // [ keys %KPI ] });
	my $key = $option{table} ? '' : ' PRIMARY KEY';
	my $table = $option{table} // '';
	my $sql = $option{sql} // '';

	$node->safe_psql(
		$db, qq{
		CREATE EXTENSION IF NOT EXISTS pg_kpi;
		SELECT kpi.create_team('emea', parent => 'company');
		SELECT kpi.create_team('dach', parent => 'emea');
		SELECT kpi.create_team('uk', parent => 'emea');
		SELECT kpi.create_team('apac', parent => 'company');
		SELECT kpi.add_member('alice', team => 'dach');
		SELECT kpi.add_member('bob', team => 'dach');
		SELECT kpi.add_member('carol', team => 'uk');
		SELECT kpi.add_member('dave', team => 'apac');
		SELECT kpi.add_member('erin', team => 'emea');

		CREATE SCHEMA crm;
		CREATE TABLE crm.deals (
			id bigint GENERATED BY DEFAULT AS IDENTITY$key,
			owner_id text, sdr_id text, stage text NOT NULL DEFAULT 'open', amount numeric,
			quantity integer, product text, created_at timestamptz NOT NULL, closed_at timestamptz) $table;
		CREATE TABLE crm.costs (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
			team text, day date, cost numeric);
		$sql
		SELECT kpi.create_source('deals', relation => 'crm.deals', key => 'id', owner => 'owner_id',
			at => 'closed_at', dimensions => '{"product": "product"}');
		SELECT kpi.create_source('costs', relation => 'crm.costs', key => 'id', team => 'team', at => 'day');
	} . join('', map { "SELECT kpi.create_kpi('$_', $KPI{$_}{create});\n" } @kpis));
	return;
}

# Measures before the formulas that use them.
sub sort_kpis
{
	return sort { !!$KPI{$a}{quotient} <=> !!$KPI{$b}{quotient} || $a cmp $b } @_;
}

# A KPI's facts with the meaning of today.
sub meant
{
	my ($facts) = @_;
	my %dimension = %{ $MEANING{dimensions} };
	my %word = (
		%MEANING,
		owner => $MEANING{owner} // 'NULL::text',
		dimensions => 'jsonb_build_object(' . join(', ', map { "'$_', ($dimension{$_})::text" } sort keys %dimension) . ')');

	return $facts =~ s/\{(\w+)\}/$word{$1}/gr;
}

# The numbers of one KPI in one period: of all its facts, of those until today,
# and, of the period before the current one, of as many days as have begun of it.
my @numbers = ('', qw(_td _ptd));

# The SELECT of a formula's numbers: a sum or count without facts, or of none but
# NaN, is 0 in a formula; a formula over one source has breakdowns as well.
sub formula_sql
{
	my ($kpi) = @_;
	my ($one, $two) = @{ $KPI{$kpi}{quotient} };
	my $dims = $KPI{$kpi}{one_source} ? 'true' : "dim = ''";
	my $key = 'scope, key, g, one, year, today, begins, dim, dim_value';
	my $input = sub {
		my ($name, $n) = @_;
		return "(SELECT $key, " . join(', ', map { "value$_ AS n$n$_, facts$_ AS f$n$_" } @numbers) . " FROM measured WHERE kpi = '$name' AND $dims)";
	};

	return "SELECT '$kpi', scope, key, g, one, year, today, begins, dim, dim_value, "
	  . join(', ', map { "CASE WHEN f1$_ + f2$_ > 0 THEN n1$_ / nullif(n2$_, 0) END, f1$_ + f2$_" } @numbers)
	  . ", n1, n2 FROM (SELECT $key, "
	  . join(', ', map { my $n = $_; map { "coalesce(n$_$n, 0) AS n$_$n, coalesce(f$_$n, 0) AS f$_$n" } 1, 2 } @numbers)
	  . ' FROM ' . $input->($one, 1) . ' x FULL JOIN ' . $input->($two, 2) . " y USING ($key)) j";
}

# Members by all keys that owners of deals may have.
my $people = q{SELECT m.id, m.key, m.key AS known_as FROM kpi.member m
	UNION ALL SELECT m.id, m.key, a.alias FROM kpi.member_alias a JOIN kpi.member m ON m.id = a.member_id
	LEFT JOIN kpi.source s ON s.id = a.source_id WHERE coalesce(s.name, 'deals') = 'deals'};

# A column as the views show it, with 10 decimals; of large numbers only so many digits: a quotient may have
# more here or there.
sub shown
{
	my ($column, $digits) = @_;

	return "CASE WHEN abs($column) < 1e6 THEN round($column, 10) ELSE round($column, $digits - length(trunc(abs($column))::text)) END AS $column";
}

# A query with a row for each number, or place, that is missing, wrong or too many.
sub difference_sql
{
	my @kpis = @_ ? sort_kpis(@_) : sort_kpis(keys %KPI);
	my $months = "interval '$MEANING{year_start} months'";
	my $facts = join "\nUNION ALL\n", map {
		sprintf q{SELECT '%s', %s, %s, owner, at, b, num::numeric, den::numeric
			FROM (%s) AS f (owner, at, b, num, den) WHERE isfinite(at)},
		  $_, $KPI{$_}{team} ? 'true' : 'false', defined $MEANING{owner} || $KPI{$_}{facts} !~ /\{owner\}/ ? 'true' : 'false',
		  meant($KPI{$_}{facts})
	} grep { $KPI{$_}{facts} } @kpis;
	my $formulas = join "\n", map { 'UNION ALL ' . formula_sql($_) } grep { $KPI{$_}{quotient} } @kpis;
	# sums and counts
	my $additive = join ', ', "''", map { "'$_'" } grep { !$KPI{$_}{aggregate} && ($KPI{$_}{create} // '') =~ /measure => '(?:sum|count)\(/ } @kpis;
	my $columns = 'value, numerator, denominator, facts, value_to_date, previous_value, previous_value_to_date, growth_ratio, year_ago_value, yoy_growth_ratio';
	# parts have no growth
	my $part_columns = $columns =~ s/\w+_to_date(?=, growth)|\w+_ratio/NULL/gr;
	my $actual = join "\nUNION ALL\n", (map {
		my ($grain, $scope) = @$_;
		"SELECT kpi, '$scope', $scope, grain, period_start, NULL, NULL, $columns FROM kpi.${scope}_$grain WHERE kpi <> 'held'"
	} map { [ $_, 'team' ], [ $_, 'member' ] } qw(daily weekly monthly quarterly yearly)), (map {
		"SELECT kpi, 'team', team, grain, period_start, dimension, dimension_value, $part_columns FROM kpi.team_breakdown_$_ WHERE kpi <> 'held'"
	} qw(monthly quarterly yearly));
	my $start = sub {
		return "CASE WHEN g = 'week' THEN date_trunc(g, ($_[0] - $MEANING{week_start})::timestamp)::date + $MEANING{week_start}
					WHEN g IN ('quarter', 'year') THEN (date_trunc(g, $_[0] - $months) + $months)::date
					ELSE date_trunc(g, $_[0]::timestamp)::date END";
	};
	my $growth = sub { return "round(($_[0] - $_[1]) / nullif(abs($_[1]), 0), 6)" };
	my $rounded = sub { return shown($_[0], 14) };
	# as it is, but that no number has more than 28 digits, or else no decimals; what a formula divides may be a quotient
	my $quotients = join ', ', "''", map { "'$_'" } grep { $KPI{$_}{quotient} } @kpis;
	my $exact = sub {
		my ($number) = @_;

		return "round($number, CASE WHEN abs($number) < 1e12 AND kpi IN ($quotients) THEN 10 ELSE greatest(28 - length(trunc(abs($number))::text), 0) END) AS $number";
	};
	my $compared = join ', ', qw(kpi scope key grain start dim dim_value), $rounded->('value'), $exact->('num'), $exact->('den'), 'facts',
	  map { $rounded->($_) } qw(to_date previous previous_to_date growth year_ago yoy);
	my $has_den = "WHERE kpi NOT IN (" . join(', ', "''", map { "'$_'" } grep { $KPI{$_}{aggregate} } @kpis) . ')';
	my $number = sub {
		my ($name, $where) = @_;
		my $others = join ' ', map { "WHEN kpi = '$_' THEN " . $KPI{$_}{aggregate} =~ s/\{where\}/kpi = '$_' AND $where/r } grep { $KPI{$_}{aggregate} } @kpis;
		return "CASE $others WHEN count(den) FILTER (WHERE $where) = 0 THEN sum(num) FILTER (WHERE $where)
				ELSE sum(num) FILTER (WHERE $where) / nullif(sum(den) FILTER (WHERE $where), 0) END AS value$name, count(*) FILTER (WHERE $where) AS facts$name";
	};

	return qq{
	WITH RECURSIVE fact (kpi, of_team, is_owned, owner, at, b, num, den) AS ($facts),
	-- each fact with its day and the team it counts for: (unassigned) if none
	placed AS (
		SELECT f.*, d.day, p.key AS person,
			   CASE WHEN f.is_owned THEN coalesce(CASE WHEN f.of_team THEN t.id ELSE m.team_id END, 2) ELSE 1 END AS team_id
		FROM fact f
			 CROSS JOIN LATERAL (SELECT (f.at AT TIME ZONE '$MEANING{time_zone}')::date AS day) d
			 LEFT JOIN kpi.team t ON f.of_team AND t.key = f.owner
			 LEFT JOIN ($people) p ON NOT f.of_team AND p.known_as = f.owner
			 LEFT JOIN kpi.membership m ON m.member_id = p.id
				 AND d.day <@ daterange(m.since, m.until)
		WHERE d.day BETWEEN '1900-01-01' AND '2200-12-31'),
	up (day, team_id, ancestor_id) AS (
		SELECT DISTINCT day, team_id, team_id FROM placed
		UNION
		SELECT up.day, up.team_id, tp.parent_id
		FROM up JOIN kpi.team_parent tp ON tp.team_id = up.ancestor_id
			 AND up.day <@ daterange(tp.since, tp.until)),
	scoped AS (
		SELECT p.*, 'team' AS scope, t.key
		FROM placed p JOIN up USING (day, team_id) JOIN kpi.team t ON t.id = up.ancestor_id
		UNION ALL
		SELECT p.*, 'member', p.person FROM placed p WHERE p.person IS NOT NULL),
	-- the grains, and of each the period that holds today and the one before
	grains AS MATERIALIZED (
		SELECT g.*, today, start, (start - one)::date AS before
		FROM (VALUES ('day', interval '1 day', interval '1 year'), ('week', '7 days', '364 days'), ('month', '1 month', '1 year'),
					 ('quarter', '3 months', '1 year'), ('year', '1 year', '1 year')) AS g (g, one, year)
			 CROSS JOIN (SELECT (coalesce(nullif(current_setting('kpi.now', true), '')::timestamptz, now()) AT TIME ZONE '$MEANING{time_zone}')::date AS today) n
			 CROSS JOIN LATERAL (SELECT @{[ $start->('today') ]} AS start) s),
	graded AS (
		SELECT s.*, g.g, g.one, g.year, g.today,
			   @{[ $start->('day') ]} AS begins,
			   day BETWEEN g.before AND least(g.before + (g.today - g.start), g.start - 1) AS is_ptd,
			   d.dim, d.dim_value
		FROM scoped s CROSS JOIN grains g,
			 LATERAL (SELECT NULL AS dim, NULL AS dim_value
					  UNION ALL
					  SELECT j.key, j.value FROM jsonb_each_text(b) j
					   WHERE scope = 'team' AND g IN ('month', 'quarter', 'year')) AS d),
	-- (no dimension and no value of one are '' and chr(1) here, for joins)
	measured AS (
		SELECT kpi, scope, key, g, one, year, today, begins, coalesce(dim, '') AS dim, coalesce(dim_value, chr(1)) AS dim_value,
			   @{[ $number->('', 'true') ]}, @{[ $number->('_td', 'day <= today') ]},
			   @{[ $number->('_ptd', 'is_ptd') ]},
			   CASE WHEN sum(den) FILTER ($has_den) IS NOT NULL THEN sum(num) END AS num, sum(den) FILTER ($has_den) AS den
		FROM graded GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
	number AS (
		SELECT * FROM measured
		$formulas),
	-- with those of the period before and the one a year ago
	numbers AS (
		SELECT n.*, n.kpi IN ($additive) AS is_additive, n.today >= n.begins AND n.today < (n.begins + n.one)::date AS is_current,
			   p.value AS value_prev, p.value_ptd AS value_prev_td, y.value AS value_ago
		FROM number n
			 LEFT JOIN number p ON (p.kpi, p.scope, p.key, p.g, p.begins, p.dim, p.dim_value)
							= (n.kpi, n.scope, n.key, n.g, (n.begins - n.one)::date, n.dim, n.dim_value)
			 LEFT JOIN number y ON (y.kpi, y.scope, y.key, y.g, y.begins, y.dim, y.dim_value)
							= (n.kpi, n.scope, n.key, n.g, (n.begins - n.year)::date, n.dim, n.dim_value)),
	-- a sum or count is 0 to date without facts
	said AS (
		SELECT n.*, CASE WHEN is_additive AND facts_td = 0 THEN 0 ELSE value_td END AS to_date,
			   CASE WHEN is_current THEN value_prev_td END AS previous_to_date
		FROM numbers n),
	expected (kpi, scope, key, grain, start, dim, dim_value, value, num, den, facts, to_date, previous, previous_to_date, growth, year_ago, yoy) AS (
		SELECT kpi, scope, key, g, begins, nullif(dim, ''), nullif(dim_value, chr(1)), value, num, den, facts, to_date, value_prev,
			   CASE WHEN dim = '' THEN previous_to_date END,
			   CASE WHEN dim <> '' THEN NULL WHEN is_current THEN @{[ $growth->('to_date', 'previous_to_date') ]} ELSE @{[ $growth->('value', 'value_prev') ]} END,
			   value_ago, CASE WHEN dim = '' THEN @{[ $growth->('value', 'value_ago') ]} END
		FROM said),
	actual (kpi, scope, key, grain, start, dim, dim_value, value, num, den, facts, to_date, previous, previous_to_date, growth, year_ago, yoy) AS ($actual),
	-- periods that have rows without a cell; cells of nothing but errors or dropped KPIs have them as well
	place AS (
		SELECT DISTINCT m.stream_id, scope, key, g AS grain, begins AS start, nullif(dim, '') AS dim, nullif(dim_value, chr(1)) AS dim_value
		FROM measured n JOIN kpi.kpi k ON k.name = n.kpi JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.kpi_id = k.id
		WHERE g NOT IN ('day', 'month')),
	stored_place AS (
		SELECT c.stream_id, CASE c.scope_kind WHEN 1 THEN 'team' ELSE 'member' END AS scope,
			   CASE c.scope_kind WHEN 1 THEN (SELECT t.key FROM kpi.team t WHERE t.id = c.scope_id)
				ELSE (SELECT m.key FROM kpi.member m WHERE m.id = c.scope_id) END AS key,
			   ('{day,week,month,quarter,year}'::text[])[1 + c.grain] AS grain, c.start,
			   n.name AS dim, d.vals[1] AS dim_value
		FROM kpi_internal.rollup_cell c
			 LEFT JOIN kpi_internal.dim d ON d.id = c.dim_id AND c.dim_id <> 0
			 LEFT JOIN kpi.dimension n ON n.source_id = d.source_id AND n.position = d.position
		-- currencies without a rate have places, too, and no dimension
		WHERE c.cell IS NULL AND (c.dim_id = 0 OR n.name IS NOT NULL) AND c.grain <= 4
		  AND c.stream_id NOT IN (SELECT x.id FROM kpi_internal.stream x WHERE x.part = 'balance')),
	surplus_place AS (
		SELECT x.*, (('{"day": 1, "week": 7, "quarter": 3, "year": 12}'::jsonb ->> grain)
					 || CASE WHEN grain IN ('day', 'week') THEN ' days' ELSE ' months' END)::interval AS length
		FROM (SELECT * FROM stored_place EXCEPT ALL SELECT * FROM place) x),
	wrong_place AS (
		SELECT 'no place' AS side, x.* FROM (SELECT * FROM place EXCEPT ALL SELECT * FROM stored_place) x
		UNION ALL
		SELECT 'place', stream_id, scope, key, grain, start, dim, dim_value FROM surplus_place p
		WHERE length IS NULL
		   OR NOT EXISTS (
				SELECT FROM kpi_internal.rollup_cell c LEFT JOIN kpi_internal.dim d ON d.id = c.dim_id
				WHERE c.cell IS NOT NULL AND c.stream_id = p.stream_id
				  AND CASE c.scope_kind WHEN 1 THEN p.scope = 'team' AND c.scope_id = (SELECT t.id FROM kpi.team t WHERE t.key = p.key)
					  ELSE p.scope = 'member' AND c.scope_id = (SELECT m.id FROM kpi.member m WHERE m.key = p.key) END
				  AND c.grain = CASE WHEN p.grain IN ('day', 'week') THEN 0 ELSE 2 END
				  AND (c.dim_id <> 0) = (p.dim IS NOT NULL) AND (c.dim_id = 0 OR d.vals[1] IS NOT DISTINCT FROM p.dim_value)
				  AND c.start >= p.start AND c.start < p.start + p.length)
		  AND NOT EXISTS (
				SELECT FROM kpi_internal.day_cell c JOIN kpi_internal.owner o ON o.id = c.owner_id
				WHERE c.stream_id = p.stream_id AND p.scope = 'member' AND p.grain IN ('day', 'week')
				  AND o.key IN (SELECT k.known_as FROM ($people) k WHERE k.key = p.key)
				  AND c.day >= p.start AND c.day < p.start + p.length)),
	e AS (SELECT $compared FROM expected),
	a AS (SELECT $compared FROM actual)
	SELECT * FROM (
		(SELECT 'expected' AS side, * FROM (SELECT * FROM e EXCEPT ALL SELECT * FROM a) x)
		UNION ALL
		(SELECT 'actual', * FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM e) x)
		UNION ALL
		SELECT side, 'stream ' || stream_id, scope, key, grain, start, dim, dim_value, @{[ join ', ', ('NULL') x 10 ]} FROM wrong_place) AS d
	ORDER BY kpi, scope, key, grain, start, dim_value, side LIMIT 20};
}

# A query with a row for each number that is one thing here and another there:
# in the views of all grains, in those of one, and in kpi.value().
sub inconsistency_sql
{
	my $columns = 'id, kpi_id, scope, grain, period, period_start, period_end, value, numerator, denominator, facts';
	# days of members are in their view alone
	my $by_level = join ' UNION ALL ', (map { "SELECT $columns, team_id, NULL::integer, NULL::text, NULL::text FROM kpi.team_$_" } qw(daily weekly monthly quarterly yearly)),
	  map { "SELECT $columns, NULL, member_id, NULL, NULL FROM kpi.member_$_" } qw(weekly monthly quarterly yearly);
	my $by_part = join ' UNION ALL ', map { "SELECT $columns, team_id, NULL::integer, dimension, dimension_value FROM kpi.team_breakdown_$_" } qw(monthly quarterly yearly);

	return qq{
	WITH one AS (SELECT $columns, team_id, member_id, NULL::text, NULL::text FROM kpi.kpi_value
				 UNION ALL SELECT $columns, team_id, member_id, dimension, dimension_value FROM kpi.kpi_breakdown),
		 many AS ($by_level UNION ALL $by_part),
		 asked AS (
			SELECT kpi, 'team ' || team AS scope, period, value, kpi.value(kpi, team => team, period => period) AS asked FROM kpi.team_weekly
			UNION ALL
			SELECT kpi, 'member ' || member, period, value, kpi.value(kpi, member => member, period => period) FROM kpi.member_quarterly
			UNION ALL
			SELECT kpi, 'team ' || team, period, value, kpi.value(kpi, team => team, period => period, dimension => dimension, dimension_value => dimension_value)
			FROM kpi.team_breakdown_monthly)
	SELECT * FROM (
		(SELECT 'kpi_value' AS side, x::text FROM (TABLE one EXCEPT ALL TABLE many) x)
		UNION ALL
		(SELECT 'views', x::text FROM (TABLE many EXCEPT ALL TABLE one) x)
		UNION ALL
		SELECT 'kpi.value()', x::text FROM asked x WHERE value IS DISTINCT FROM asked) d
	ORDER BY 1, 2 LIMIT 20};
}

# A query with a row for each goal whose status listeners know another of than
# kpi.goal_progress shows, though it is told at once or has lasted for two days.
# "incomplete" is no first status, nor told of while a source is built.
sub unannounced_sql
{
	return q{
	SELECT p.goal_id, p.goal, s.status AS announced, p.status
	FROM kpi.goal_progress p LEFT JOIN kpi_internal.goal_status s ON s.id = p.id
	WHERE s.status IS DISTINCT FROM p.status
	  AND CASE WHEN p.status IN ('achieved', 'over_limit', 'missed') THEN true
		  WHEN p.status = 'incomplete' THEN false
		  ELSE s.status IS NULL
			   OR p.status_since < coalesce(nullif(current_setting('kpi.now', true), '')::timestamptz, now()) - interval '2 days' END
	ORDER BY p.goal_id};
}

# A query with a row for each row of kpi.goal_progress that is missing, wrong or
# too many.  Teams keep the default calendar.
sub goal_difference_sql
{
	my @kpis = @_ ? sort_kpis(@_) : sort_kpis(keys %KPI);
	my $facts = join "\nUNION ALL\n", map {
		sprintf q{SELECT '%s', %s, %s, owner, (at AT TIME ZONE '%s')::date, b, num::numeric, den::numeric FROM (%s) AS f (owner, at, b, num, den) WHERE isfinite(at)},
		  $_, $KPI{$_}{team} ? 'true' : 'false', defined $MEANING{owner} || $KPI{$_}{facts} !~ /\{owner\}/ ? 'true' : 'false',
		  $MEANING{time_zone}, meant($KPI{$_}{facts})
	} grep { $KPI{$_}{facts} } @kpis;
	my $parts = join ', ', map {
		my $kpi = $_;
		my @inputs = @{ $KPI{$kpi}{quotient} // [$kpi] };
		my $additive = $KPI{$kpi}{create} =~ /measure => '(?:sum|count)\(/ ? 'true' : 'false';
		map { "('$kpi', '$inputs[$_]', @{[ $_ + 1 ]}, $additive)" } 0 .. $#inputs
	} @kpis;
	# the number of one input, and of a goal, of the facts that a condition is true of
	my $sums = sub {
		my ($name, $where) = @_;
		return join ', ', map {
			"sum(num) FILTER (WHERE nth = $_ AND $where) AS n$_$name, sum(den) FILTER (WHERE nth = $_ AND $where) AS d$_$name, count(f.kpi) FILTER (WHERE nth = $_ AND $where) AS f$_$name"
		} 1, 2;
	};
	my $value = sub {
		return "coalesce(CASE WHEN NOT is_quotient AND d1$_[0] IS NULL THEN n1$_[0] WHEN NOT is_quotient THEN n1$_[0] / nullif(d1$_[0], 0)
			WHEN f1$_[0] + f2$_[0] > 0 THEN coalesce(n1$_[0], 0) / nullif(coalesce(n2$_[0], 0), 0) END, CASE WHEN is_additive AND has_begun THEN 0 END)";
	};
	my $rounded = sub { return shown($_[0], 12) };
	my $compared = join ', ', qw(goal_id goal plan kpi direction team team_name team_path team_level member member_name dimension
		dimension_value period period_start period_end is_current target elapsed_ratio workdays_left status as_of_day is_complete),
	  map { $rounded->($_) } qw(actual actual_to_date numerator denominator attainment_ratio remaining expected_today pace_ratio required_per_workday);

	return qq{
	WITH RECURSIVE fact (kpi, of_team, is_owned, owner, day, b, num, den) AS ($facts),
	part (kpi, input, nth, is_additive) AS (VALUES $parts),
	placed AS (
		SELECT f.*, CASE WHEN f.is_owned THEN coalesce(CASE WHEN f.of_team THEN t.id ELSE m.team_id END, 2) ELSE 1 END AS team_id, p.id AS member_id
		FROM fact f
			 LEFT JOIN kpi.team t ON f.of_team AND t.key = f.owner
			 LEFT JOIN ($people) p ON NOT f.of_team AND p.known_as = f.owner
			 LEFT JOIN kpi.membership m ON m.member_id = p.id AND f.day <@ daterange(m.since, m.until)
		WHERE f.day BETWEEN '1900-01-01' AND '2200-12-31'),
	up (day, team_id, id, depth) AS (
		SELECT day, team_id, team_id, 0 FROM (SELECT DISTINCT day, team_id FROM placed UNION SELECT today, t.id FROM now, kpi.team t) x
		UNION
		SELECT up.day, up.team_id, tp.parent_id, depth + 1
		FROM up JOIN kpi.team_parent tp ON tp.team_id = up.id AND up.day <@ daterange(tp.since, tp.until)),
	now AS (SELECT (coalesce(nullif(current_setting('kpi.now', true), '')::timestamptz, now()) AT TIME ZONE '$MEANING{time_zone}')::date AS today),
	scoped AS (
		SELECT p.kpi, p.day, p.b, p.num, p.den, up.id AS team_id, NULL::integer AS member_id FROM placed p JOIN up USING (day, team_id)
		UNION ALL
		SELECT kpi, day, b, num, den, NULL, member_id FROM placed WHERE member_id IS NOT NULL),
	paths AS (
		SELECT up.team_id, string_agg(t.name, ' / ' ORDER BY depth DESC) AS path, max(depth) AS level
		FROM up JOIN now ON up.day = now.today JOIN kpi.team t ON t.id = up.id GROUP BY 1),
	-- who came or left within the period is judged over his own days
	own AS (
		SELECT g.id, CASE WHEN since <= until THEN since ELSE period_start END AS first_day, CASE WHEN since <= until THEN until ELSE period_end END AS last_day
		FROM kpi.goal g, LATERAL (SELECT greatest(g.period_start, min(coalesce(h.since, '-infinity'))) AS since, least(g.period_end, max(coalesce(h.until, 'infinity')) - 1) AS until
			FROM kpi.membership h WHERE h.member_id = g.member_id) h),
	begun AS (
		SELECT g.id, bool_or(f.day <= g.period_end) AS has_begun
		FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id JOIN part p ON p.kpi = k.name
			 LEFT JOIN (SELECT kpi, min(day) AS day FROM placed GROUP BY 1) f ON f.kpi = p.input
		GROUP BY 1),
	sums AS (
		SELECT g.id, bool_or(p.nth = 2) AS is_quotient, bool_and(p.is_additive) AS is_additive,
			   @{[ $sums->('', 'true') ]}, @{[ $sums->('_td', 'f.day <= today') ]}
		FROM kpi.goal g CROSS JOIN now JOIN kpi.kpi k ON k.id = g.kpi_id JOIN part p ON p.kpi = k.name
			 JOIN own o ON o.id = g.id LEFT JOIN scoped f ON f.kpi = p.input AND f.day BETWEEN o.first_day AND o.last_day
				AND (f.team_id = g.team_id OR f.member_id = g.member_id)
				AND (g.dimension IS NULL OR f.b ->> g.dimension IS NOT DISTINCT FROM g.dimension_value)
		GROUP BY g.id),
	days AS (
		SELECT g.id, count(*) AS days, count(*) FILTER (WHERE d <= today) AS gone, count(*) FILTER (WHERE d >= today) AS left
		FROM kpi.goal g JOIN own o USING (id) CROSS JOIN now CROSS JOIN generate_series(o.first_day, o.last_day, interval '1 day') d
		WHERE extract(isodow FROM d) < 6 AND NOT EXISTS (SELECT FROM kpi.holiday h WHERE h.calendar_id = 1 AND h.day = d)
		GROUP BY g.id),
	number AS (
		SELECT g.*, o.first_day, o.last_day, s.is_quotient, s.is_additive, d.days, d.gone, d.left, n.today, h.team_id AS in_team,
			   @{[ $value->('') ]} AS value, @{[ $value->('_td') ]} AS to_date,
			   CASE WHEN NOT is_quotient THEN CASE WHEN d1 IS NOT NULL THEN n1 END WHEN f1 + f2 > 0 THEN coalesce(n1, 0) END AS num,
			   CASE WHEN NOT is_quotient THEN d1 WHEN f1 + f2 > 0 THEN coalesce(n2, 0) END AS den,
			   CASE WHEN is_additive THEN round(g.target * d.gone / d.days, 6) ELSE g.target END AS expected
		FROM kpi.goal g CROSS JOIN now n JOIN sums s USING (id) JOIN days d USING (id) JOIN own o USING (id) JOIN begun b USING (id)
			 LEFT JOIN kpi.membership h ON h.member_id = g.member_id AND least(n.today, g.period_end) <@ daterange(h.since, h.until)
		WHERE NOT g.is_draft),
	judged AS (
		SELECT n.*, k.name AS kpi, k.title, k.direction, CASE k.direction WHEN 'up' THEN 1 ELSE -1 END AS sign,
			   CASE WHEN k.direction = 'up' AND expected > 0 THEN to_date / expected WHEN k.direction = 'up' THEN (to_date >= expected)::int
					WHEN to_date > 0 THEN expected / to_date ELSE 1 END AS in_pace,
			   -- the probability is taken as it stands
			   p.attainment_probability AS p, p.status_rule, b.may_fall IS TRUE AS may_fall
		FROM number n JOIN kpi.kpi k ON k.id = n.kpi_id LEFT JOIN kpi.goal_progress p ON p.goal_id = n.id
			 LEFT JOIN kpi.forecast_basis b ON b.kpi_id = n.kpi_id AND b.grain = n.grain AND b.period_start = n.period_start
				AND b.team_id IS NOT DISTINCT FROM n.team_id AND b.member_id IS NOT DISTINCT FROM n.member_id
				AND b.dimension IS NOT DISTINCT FROM n.dimension AND b.dimension_value IS NOT DISTINCT FROM n.dimension_value),
	expected AS (
		SELECT j.id AS goal_id, coalesce(j.name, concat_ws(' ', j.title, coalesce(m.name, t.name), j.dimension_value, j.period)) AS goal, j.plan, j.kpi,
			   j.direction, t.key AS team, t.name AS team_name, a.path AS team_path, a.level AS team_level, m.key AS member, m.name AS member_name,
			   j.dimension, j.dimension_value, j.period, j.period_start, j.period_end, today BETWEEN j.period_start AND j.period_end AS is_current,
			   j.target, value AS actual, to_date AS actual_to_date, num AS numerator, den AS denominator,
			   round(value / nullif(j.target, 0), 6) AS attainment_ratio, j.target - value AS remaining,
			   round(gone::numeric / days, 6) AS elapsed_ratio, expected AS expected_today, round(to_date / nullif(expected, 0), 6) AS pace_ratio,
			   CASE WHEN is_additive AND j.left > 0 THEN round(greatest(j.target - to_date, 0) / j.left, 6) END AS required_per_workday,
			   j.left AS workdays_left,
			   CASE WHEN today < first_day THEN 'not_started'
					WHEN to_date IS NULL THEN 'no_data'
					WHEN (today > last_day OR is_additive AND sign > 0 AND j.target > 0) AND sign * (to_date - j.target) >= 0 THEN 'achieved'
					WHEN is_additive AND sign < 0 AND to_date > j.target AND (today > last_day OR NOT may_fall) THEN 'over_limit'
					WHEN today > last_day THEN 'missed'
					WHEN p >= 0.5 OR p IS NULL AND (in_pace >= 0.95 OR status_rule = 13) THEN 'on_track'
					WHEN p >= 0.2 OR p IS NOT NULL AND status_rule = 11 OR p IS NULL AND in_pace >= 0.8 THEN 'at_risk'
					ELSE 'behind' END AS status,
			   -- what is over, or has not begun, is not looked at each day
			   CASE WHEN today BETWEEN j.period_start AND j.period_end THEN today END AS as_of_day, true AS is_complete
		FROM judged j
			 LEFT JOIN kpi.member m ON m.id = j.member_id
			 JOIN kpi.team t ON t.id = coalesce(j.team_id, j.in_team, 2)
			 JOIN paths a ON a.team_id = t.id),
	actual AS (
		SELECT to_jsonb(x) AS r FROM (SELECT $compared FROM
			(SELECT (jsonb_populate_record(p, jsonb_build_object('as_of_day', CASE WHEN is_current THEN as_of_day END))).* FROM kpi.goal_progress p) p) x),
	wanted AS (SELECT to_jsonb(x) AS r FROM (SELECT $compared FROM expected) x)
	SELECT coalesce(w.r, a.r) ->> 'goal', coalesce(w.r, a.r) ->> 'kpi', d.key, a.r -> d.key AS is, d.value AS should_be
	FROM wanted w FULL JOIN actual a ON a.r -> 'goal_id' = w.r -> 'goal_id'
		 LEFT JOIN LATERAL jsonb_each(w.r) d ON true
	WHERE d.value IS DISTINCT FROM a.r -> d.key OR w.r IS NULL OR a.r IS NULL
	ORDER BY 1, 2, 3 LIMIT 20};
}

# Five tests: pg_kpi finds itself right, the oracle agrees, all ways to read a
# number give the same, and what is said and was announced of goals is what is
# so.  After a refresh of all sources.

# Four tests: pg_kpi finds itself right, the oracle agrees, all ways to read a
# number give the same, and what was announced of goals is what is so.  After a
# refresh of all sources.
# What the balance "held" of the deals' quantities is against plain SQL, at the end of each month until
# today: what was created by then and not closed, for whom its owner belongs to on that very day.
sub balance_difference_sql
{
	my $team = defined $MEANING{owner} ? 'coalesce(m.team_id, 2)' : '1';

	return meant(q{
	WITH RECURSIVE fact AS (
		SELECT {owner} AS owner, {dimensions} AS b, quantity AS v, (created_at AT TIME ZONE '{time_zone}')::date AS since,
			   CASE WHEN closed_at < '2200-12-31 00:00+00' THEN (closed_at AT TIME ZONE '{time_zone}')::date END AS until
		FROM {deals}
		WHERE quantity IS NOT NULL AND created_at >= '1900-01-02 00:00+00' AND created_at < '2200-12-31 00:00+00'
		  AND (closed_at IS NULL OR closed_at >= created_at)),
	today AS (
		SELECT (coalesce(nullif(current_setting('kpi.now', true), '')::timestamptz, now()) AT TIME ZONE '{time_zone}')::date AS today),
	held AS (
		SELECT m::date AS start, least((m + interval '1 month - 1 day')::date, today) AS day, f.*
		FROM today CROSS JOIN generate_series(timestamp '2024-12-01', today, '1 month') m
			 JOIN fact f ON f.since <= least((m + interval '1 month - 1 day')::date, today)
				 AND (f.until IS NULL OR f.until > least((m + interval '1 month - 1 day')::date, today))),
	placed AS (
		SELECT h.*, p.key AS person, } . $team . q{ AS team_id
		FROM held h LEFT JOIN (} . $people . q{) p ON p.known_as = h.owner
			 LEFT JOIN kpi.membership m ON m.member_id = p.id AND h.day <@ daterange(m.since, m.until)),
	up (day, team_id, ancestor_id) AS (
		SELECT DISTINCT day, team_id, team_id FROM placed
		UNION
		SELECT up.day, up.team_id, tp.parent_id
		FROM up JOIN kpi.team_parent tp ON tp.team_id = up.ancestor_id AND up.day <@ daterange(tp.since, tp.until)),
	of_team AS (
		SELECT p.*, t.key FROM placed p JOIN up USING (day, team_id) JOIN kpi.team t ON t.id = up.ancestor_id),
	expected (scope, key, start, dim, part, value, facts) AS (
		SELECT 'team', key, start, '', '', sum(v), count(*) FROM of_team GROUP BY 2, 3
		UNION ALL SELECT 'member', person, start, '', '', sum(v), count(*) FROM placed WHERE person IS NOT NULL GROUP BY 2, 3
		UNION ALL SELECT 'team', t.key, start, d.key, coalesce(d.value, chr(1)), sum(v), count(*)
		FROM of_team t CROSS JOIN LATERAL jsonb_each_text(b) d GROUP BY 2, 3, 4, 5),
	actual (scope, key, start, dim, part, value, facts) AS (
		SELECT 'team', team, period_start, '', '', value, facts FROM kpi.team_monthly WHERE kpi = 'held'
		UNION ALL SELECT 'member', member, period_start, '', '', value, facts FROM kpi.member_monthly WHERE kpi = 'held'
		UNION ALL SELECT 'team', team, period_start, dimension, coalesce(dimension_value, chr(1)), value, facts
		FROM kpi.team_breakdown_monthly WHERE kpi = 'held')
	SELECT scope, key, start, dim, part, e.value, a.value, e.facts, a.facts
	FROM expected e FULL JOIN actual a USING (scope, key, start, dim, part)
	WHERE (coalesce(e.value, 0) <> coalesce(a.value, 0) OR coalesce(e.facts, 0) <> coalesce(a.facts, 0)) AND start >= '2024-12-01'
	ORDER BY 1, 2, 3, 4, 5 LIMIT 20});
}

# What is said to be left out of KPI "revenue" against plain SQL, with the first and last day.
sub left_out_difference_sql
{
	return meant(q{
	WITH fact AS (
		SELECT {filter} AS is_fact, stage, amount, closed_at, (closed_at AT TIME ZONE '{time_zone}')::date AS day FROM crm.deals),
	judged AS (
		SELECT CASE WHEN is_fact IS NULL THEN 'filter_null'
					WHEN NOT is_fact OR stage <> 'won' THEN 'filter_false'
					WHEN closed_at IS NULL OR NOT isfinite(closed_at) THEN 'no_time'
					WHEN day NOT BETWEEN '1900-01-01' AND '2200-12-31' THEN 'day_out_of_range'
					WHEN amount IS NULL THEN 'no_value' END AS reason,
			   CASE WHEN day BETWEEN '1900-01-01' AND '2200-12-31' THEN day END AS day
		FROM fact)
	SELECT reason, e.*, a.* FROM
		(SELECT reason, count(*) AS facts, min(day) AS first_day, max(day) AS last_day FROM judged WHERE reason IS NOT NULL GROUP BY 1) e
		FULL JOIN (SELECT reason, facts, first_day, last_day FROM kpi.left_out WHERE kpi = 'revenue'
			AND reason IN ('filter_false', 'filter_null', 'no_time', 'day_out_of_range', 'no_value')) a USING (reason)
	WHERE (e.facts, e.first_day, e.last_day) IS DISTINCT FROM (a.facts, a.first_day, a.last_day)});
}

# Some numbers of the views against their facts and against their own SQL.
sub explained_difference_sql
{
	my ($seed) = @_;

	return qq{
	WITH place AS MATERIALIZED (
		SELECT p.* FROM (
			SELECT id, kpi, team, NULL AS member, period, value FROM kpi.team_monthly WHERE kpi IN ('won', 'created')
			UNION ALL SELECT id, kpi, team, NULL, period, value FROM kpi.team_quarterly WHERE kpi IN ('won', 'created')
			UNION ALL SELECT id, kpi, NULL, member, period, value FROM kpi.member_monthly WHERE kpi IN ('won', 'created')) p
		ORDER BY md5(p.id || '$seed'), 1 LIMIT 6),
	explained AS (
		SELECT p.*, (SELECT sum(f.value) FROM kpi.facts(p.kpi, team => p.team, member => p.member, period => p.period) f) AS of_facts,
			   ((xpath('//value/text()', query_to_xml(kpi.query(p.kpi, team => p.team, member => p.member, period => p.period), false, true, '')))[1])::text::numeric AS of_query
		FROM place p)
	SELECT * FROM explained WHERE value IS DISTINCT FROM of_facts OR value IS DISTINCT FROM of_query};
}

# What the rollup tables have against what the views say, value by value.
sub rollup_differences
{
	my ($node, $database) = @_;
	my @columns = split /\n/, $node->safe_psql($database, q{
		SELECT coalesce(r.since, '-infinity'), r.relation, r.per, CASE r.grain WHEN 'day' THEN 'daily' ELSE r.grain || 'ly' END, c.name, k.name
		FROM kpi.rollup r JOIN kpi.rollup_column c ON c.rollup_id = r.id JOIN kpi.kpi k ON k.id = c.kpi_id});
	my @differences;

	for (@columns)
	{
		my ($since, $relation, $per, $suffix, $column, $kpi) = split /\|/;

		push @differences, map { "$relation: $_" } split /\n/, $node->safe_psql($database, qq{
			SELECT '$kpi', ${per}_id, period_start, t.n, v.n FROM
				(SELECT ${per}_id, ${per}, period_start, "$column" AS n FROM $relation WHERE "$column" IS NOT NULL) t FULL JOIN
				(SELECT ${per}_id, ${per}, period_start, value AS n FROM kpi.${per}_$suffix WHERE kpi = '$kpi' AND value IS NOT NULL
					AND period_end >= '$since') v
				USING (${per}_id, ${per}, period_start)
			WHERE t.n IS DISTINCT FROM v.n LIMIT 5});
	}
	push @differences, $node->safe_psql($database, 'SELECT relation, last_error FROM kpi.rollup_status WHERE failures > 0') || ();
	return join "\n", @differences;
}

sub is_exact
{
	my ($node, $db, $name, @kpis) = @_;
	my $ok = is($node->safe_psql($db, unannounced_sql()), '', "$name: the status of each goal is announced");

	# What waits is added up where nothing may be written.
	my $proof = q{SET default_transaction_read_only = on; SELECT v.* FROM kpi.source s, kpi.verify(s.name) v WHERE v.level <> 'source'};

	$ok = is($node->safe_psql($db, $proof), '', "$name: kpi.verify() finds nothing where nothing can be written") && $ok;
	$ok = is($node->safe_psql($db, q{SELECT v.* FROM kpi.source s, kpi.verify(s.name) v}),
		'', "$name: kpi.verify() finds nothing") && $ok;
	$ok = is($node->safe_psql($db, $proof), '', "$name: nor then") && $ok;
	$ok = is($node->safe_psql($db, inconsistency_sql()), '', "$name: the numbers are the same wherever they are read") && $ok;
	$ok = is($node->safe_psql($db, goal_difference_sql(@kpis)), '', "$name: goals are where plain SQL sees them") && $ok;
	return is($node->safe_psql($db, difference_sql(@kpis)), '', "$name: the numbers are those of plain SQL") && $ok;
}

1;
