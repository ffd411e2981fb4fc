-- Numbers as they are shown: quotients with at most 10 decimals, what is exact as it is, none with more than 28 digits.
SET timezone = 'UTC';
SET kpi.now = '2026-10-20 12:00:00+00';
SET client_min_messages = warning;
CREATE SCHEMA sn;
CREATE TABLE sn.deal (id integer PRIMARY KEY, at date, amount numeric, fine numeric, huge numeric, took interval, product text);
INSERT INTO sn.deal VALUES
    (1, '2026-10-01', 2.50, 0.000000000000000001, 12345678901234567890, '1 hour', 'x'), (2, '2026-10-02', -1.25, 1.5, 0.1234567890123, '20 minutes', 'x'),
    (3, '2026-10-03', 0, 0, 0, '0', 'y'), (4, '2026-09-01', 7, 1, 123456789012345678901234567890.75, '8 hours', 'x'),
    (5, '2026-09-02', 7, 1, 0, '8 hours', 'x'), (6, '2026-09-03', 6, 1, 0, '8 hours', 'y');
SELECT kpi.create_source('sn', relation => 'sn.deal', at => 'at', dimensions => '{"product": "product"}') IS NOT NULL AS source;
SELECT k, kpi.create_kpi('sn_' || k, source => 'sn', measure => m, unit => u) IS NOT NULL AS kpi
  FROM (VALUES ('sum', 'sum(amount)', NULL), ('fine', 'sum(fine)', NULL), ('huge', 'sum(huge)', NULL), ('mean', 'avg(amount)', NULL),
               ('large', 'avg(huge)', NULL), ('rate', 'rate(amount > 0, amount IS NOT NULL)', NULL), ('took', 'sum(took)', 'days'), ('spread', 'stddev(amount)', NULL)) x (k, m, u);
SELECT kpi.create_kpi('sn_back', formula => 'sn_mean * 3') IS NOT NULL AS kpi, kpi.create_kpi('sn_net', formula => 'sn_sum + sn_sum') IS NOT NULL AS kpi,
       kpi.create_kpi('sn_third', formula => 'sn_sum / 3') IS NOT NULL AS kpi, kpi.create_kpi('sn_over', formula => 'sn_third * 3 - sn_sum') IS NOT NULL AS kpi;
SELECT kpi.create_goal('sn goal', kpi => 'sn_mean', period => '2026-10', target => 0.5) IS NOT NULL AS goal;
SELECT kpi.create_rollup('sn.month', kpis => '{"mean": "sn_mean", "sum": "sn_sum"}') IS NOT NULL AS rollup;
CALL kpi.refresh();

-- What was rounded ends in no zeros, what was not is as it was. Formulas go on with what was not rounded: sn_back is a sum.
SELECT kpi, period, value, numerator, denominator, value_to_date, previous_value FROM kpi.team_monthly WHERE kpi LIKE 'sn\_%' ORDER BY 1, 2;
SELECT dimension_value, kpi, value, previous_value FROM kpi.team_breakdown_monthly WHERE kpi IN ('sn_mean', 'sn_sum', 'sn_huge') AND period = '2026-10' ORDER BY 1, 2;
SELECT v.grain, v.value, v.numerator FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id WHERE k.name = 'sn_mean' AND v.period_start >= '2026-09-28' ORDER BY 1, v.period_start;
SELECT kpi.value('sn_mean', period => '2026-10') AS mean, kpi.value('sn_rate', period => '2026-10') AS rate, kpi.value('sn_fine', period => '2026-10') AS fine,
       kpi.value('sn_large', period => '2026-10') AS large, kpi.value('sn_huge', period => '2026-09') AS huge, kpi.value('sn_took', period => '2026-10') AS took;
SELECT period, value, value_to_date FROM kpi.series('sn_mean', since => '2026-08-01');
SELECT part_1, value, other, difference FROM kpi.breakdown('sn_mean', by => '{product}', period => '2026-10', against => 'previous');
SELECT actual, actual_to_date, numerator, denominator, remaining, attainment_ratio FROM kpi.goal_progress WHERE goal = 'sn goal';
SELECT team, period, mean, sum FROM sn.month ORDER BY 1, 2;
SELECT kpi.query('sn_mean', period => '2026-10') LIKE '%round(%, 10) AS value%' AS query_rounds;
SELECT * FROM kpi.verify();
-- No number of any view has more than 28 digits, but for those before the point; what is exact is what plain SQL says.
SELECT count(*) > 50 AS numbers, max(length(translate(split_part(n::text, '.', 2), '-', ''))) FILTER (WHERE kpi NOT IN ('sn_fine', 'sn_huge', 'sn_large')) AS decimals,
       count(*) FILTER (WHERE n <> trunc(n) AND length(translate(n::text, '-.', '')) > 28) AS too_long
  FROM (SELECT * FROM kpi.team_daily UNION ALL SELECT * FROM kpi.team_weekly UNION ALL SELECT * FROM kpi.team_monthly UNION ALL SELECT * FROM kpi.team_yearly) v
 CROSS JOIN LATERAL (VALUES (v.value), (v.value_to_date), (v.numerator), (v.denominator), (v.previous_value)) x (n) WHERE kpi LIKE 'sn\_%';
SELECT sum(fine) = kpi.value('sn_fine', period => '2026-10') AS fine, sum(amount) = kpi.value('sn_sum', period => '2026-10') AS sum,
       round(avg(amount), 10) = kpi.value('sn_mean', period => '2026-10') AS mean FROM sn.deal WHERE at >= '2026-10-01';

SELECT kpi.drop_goal('sn goal');
SELECT kpi.drop_rollup('sn.month');
SELECT kpi.drop_source('sn', cascade => true);
DROP SCHEMA sn CASCADE;
