# kpi.why() against kpi.facts() and the views, for some facts and KPIs of source "deals".
package KpiWhy;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';

our @EXPORT = qw(why_difference_sql);

# Statuses that say where a fact counts; what waits, is suspended or not built is none.
my $counts = q{'counted', 'no_owner', 'unknown_owner', 'ahead'};

# A fact is one of the month of its day, at the places that why says and with its
# numbers, just if it counts.  The month of one of them is what its facts are.
# KPIs whose facts have no number of their own are compared without.
sub why_difference_sql
{
	my ($seed) = @_;

	return qq{
	WITH picked AS MATERIALIZED (
		SELECT id::text AS key FROM crm.deals ORDER BY md5(id || '$seed') LIMIT 8),
	why AS MATERIALIZED (
		SELECT f.key, w.*, to_char(w.day, 'YYYY-MM') AS period,
			   k.measure ~ '^(sum|count|avg|rate|ratio|max|last)[(](?!DISTINCT)' AS has_number
		  FROM picked f, kpi.why('deals', key => f.key) w JOIN kpi.kpi k ON k.name = w.kpi
		 WHERE k.measure !~ '^balance' AND w.status <> 'nonfinite'),
	fact AS MATERIALIZED (
		SELECT m.period, f.* FROM (SELECT DISTINCT kpi, period FROM why WHERE period IS NOT NULL) m,
			   kpi.facts(m.kpi, period => m.period) f),
	difference AS (
		SELECT 'fact' AS what, w.kpi, w.key, w.status, w.counts_for, w.value, f.value
		  FROM why w LEFT JOIN fact f ON f.fact_kpi = w.kpi AND f.fact_key = w.key AND f.period = w.period
		 WHERE w.status NOT IN ($counts) IS DISTINCT FROM (w.counts_for = 'nothing')
			OR (w.counts_for = 'nothing') IS DISTINCT FROM (f.fact_key IS NULL)
			OR (f.fact_key IS NOT NULL AND (w.day, w.owner, w.member, w.team) IS DISTINCT FROM (f.day, f.owner, f.fact_member, f.fact_team))
			OR (f.fact_key IS NOT NULL AND w.has_number AND (w.value, w.numerator, w.denominator) IS DISTINCT FROM (f.value, f.numerator, f.denominator))),
	month AS MATERIALIZED (
		SELECT w.kpi, w.period, to_date(w.period, 'YYYY-MM') AS start FROM why w
		 WHERE w.kpi IN ('won', 'created', 'revenue') AND w.counts_for <> 'nothing' ORDER BY md5(w.key || '$seed') LIMIT 1),
	counted AS MATERIALIZED (
		SELECT m.kpi, m.period, w.member, w.value
		  FROM month m JOIN crm.deals d ON d.closed_at BETWEEN m.start - 2 AND m.start + 33 OR d.created_at BETWEEN m.start - 2 AND m.start + 33,
			   kpi.why('deals', key => d.id, kpi => m.kpi) w
		 WHERE to_char(w.day, 'YYYY-MM') = m.period AND w.counts_for <> 'nothing'),
	total AS (
		SELECT 'company' AS what, kpi, period, NULL AS member, sum(value) AS of_why,
			   (SELECT v.value FROM kpi.team_monthly v WHERE v.kpi = c.kpi AND v.period = c.period AND v.team = 'company') AS of_view
		  FROM counted c GROUP BY kpi, period
		UNION ALL
		SELECT 'member', kpi, period, member, sum(value),
			   (SELECT v.value FROM kpi.member_monthly v WHERE v.kpi = c.kpi AND v.period = c.period AND v.member = c.member)
		  FROM counted c WHERE member IS NOT NULL GROUP BY kpi, period, member)
	SELECT * FROM difference
	UNION ALL SELECT what, kpi, period, member, NULL, of_why, of_view FROM total WHERE of_why IS DISTINCT FROM of_view};
}

1;
