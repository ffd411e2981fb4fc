-- kpi.facts() of formulas: the facts of the KPIs that the number comes to, in the periods in which it looks at them,
-- each once for each of these; and none of others.
SET kpi.now = '2026-03-20 12:00+00';
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT count(kpi.create_team(name, parent => 'company')) FROM unnest('{ff_north, ff_south}'::text[]) name;
SELECT count(kpi.add_member(name, team => team)) FROM (VALUES ('ff_ann', 'ff_north'), ('ff_bob', 'ff_south')) m (name, team);
SELECT kpi.move_member('ff_bob', team => 'ff_north', since => '2026-02-11', until => '2026-03-04');
CREATE SCHEMA ff;
CREATE TABLE ff.deals (id integer PRIMARY KEY, owner text, amount numeric, product text, closed_on date);
INSERT INTO ff.deals VALUES (1, 'ff_ann', 100, 'p', '2025-02-10'), (2, 'ff_ann', 40, 'p', '2026-01-20'), (3, 'ff_bob', 70, 'q', '2026-02-05'), (4, 'ff_bob', 30, 'q', '2026-02-20'),
    (5, 'ff_ann', 10, 'p', '2026-02-28'), (6, 'ff_ann', 5, 'p', '2026-03-03'), (7, 'ff_ann', 8, 'p', '2026-03-25'), (8, 'ff_ann', 20, 'p', '2025-03-10');
CREATE TABLE ff.subs (id integer PRIMARY KEY, owner text, mrr numeric, started_on date, ended_on date);
INSERT INTO ff.subs VALUES (1, 'ff_ann', 100, '2025-06-01', NULL), (2, 'ff_ann', 50, '2026-01-10', '2026-02-15'), (3, 'ff_bob', 20, '2026-02-01', NULL), (4, 'ff_ann', 7, '2026-02-28', '2026-03-01'),
    (5, 'ff_ann', 9, '2026-02-20', '2026-02-20'), (6, 'ff_ann', 3, '2026-03-15', NULL);
SELECT kpi.create_source('ff_deals', relation => 'ff.deals', key => 'id', owner => 'owner', at => 'closed_on', dimensions => '{"product": "product"}') > 0 AS source;
SELECT kpi.create_source('ff_subs', relation => 'ff.subs', key => 'id', owner => 'owner', at => 'started_on') > 0 AS source;
SELECT count(kpi.create_kpi(name, source => source, measure => measure, filter => filter, at => at, until => until))
  FROM (VALUES ('ff_sum', 'ff_deals', 'sum(amount)', NULL, NULL, NULL), ('ff_held', 'ff_subs', 'balance(mrr)', NULL, 'started_on', 'ended_on'),
               ('ff_left', 'ff_subs', 'sum(mrr)', 'ended_on > started_on', 'ended_on', NULL)) k (name, source, measure, filter, at, until);
SELECT count(kpi.create_kpi(name, formula => formula))
  FROM (VALUES ('ff_previous', 'previous(ff_sum)'), ('ff_year_ago', 'year_ago(ff_sum)'), ('ff_rolling', $$rolling(ff_sum, 2, 'month') / 2$$), ('ff_days', 'rolling(ff_sum, 28)'),
               ('ff_ytd', 'ytd(ff_sum)'), ('ff_growth', 'growth(ff_sum)'), ('ff_opening', 'opening(ff_held)'), ('ff_average', 'daily_average(ff_held)'),
               ('ff_to_end', 'daily_average(ff_held) / ff_held'), ('ff_churn', 'ff_left / opening(ff_held)'), ('ff_share', 'ff_sum / whole(ff_sum)'),
               ('ff_part', 'ff_sum / ytd(ff_sum)'), ('ff_either', 'CASE WHEN ff_sum > 50 THEN previous(ff_sum) ELSE year_ago(ff_sum) END')) k (name, formula);
SELECT count(kpi.create_kpi(name, formula => formula))
  FROM (VALUES ('ff_of_previous', 'previous(ff_growth)'), ('ff_whole_churn', 'ff_churn + 0 * ff_opening')) k (name, formula);
CALL kpi.refresh();

-- which facts, of which days
CREATE FUNCTION ff.facts(kpi text, period text, team text DEFAULT NULL, product text DEFAULT NULL)
RETURNS TABLE (fact_kpi text, period_start date, period_end date, whole boolean, keys text, value numeric, numerator numeric, denominator numeric) LANGUAGE sql STABLE AS $$
    SELECT f.fact_kpi, f.period_start, f.period_end, f.whole, string_agg(f.fact_key, ' ' ORDER BY f.fact_key), round(sum(f.value), 4), sum(f.numerator), max(f.denominator)
      FROM kpi.facts(kpi, team => team, period => period, dimension => CASE WHEN product IS NOT NULL THEN 'product' END, dimension_value => product) f
     GROUP BY 1, 2, 3, 4, f.denominator IS NULL ORDER BY 1, 2, 3, 4, f.denominator IS NULL
$$;
SELECT k.name, f.fact_kpi, f.period_start, f.period_end, f.keys, f.value, round(kpi.value(k.name, period => '2026-02'), 4) AS number
  FROM unnest('{ff_previous, ff_year_ago, ff_rolling, ff_days, ff_ytd, ff_growth, ff_of_previous, ff_part, ff_either}'::text[]) k (name), ff.facts(k.name, '2026-02') f ORDER BY 1, 2, 3, 4;
-- a period that is open
SELECT k.name, f.fact_kpi, f.period_start, f.period_end, f.keys, f.value, round(kpi.value(k.name, period => '2026-03'), 4) AS number
  FROM unnest('{ff_rolling, ff_days, ff_ytd, ff_growth, ff_either}'::text[]) k (name), ff.facts(k.name, '2026-03') f ORDER BY 1, 2, 3, 4;
-- balances: the day before; each day, where it is held on it; another KPI beside
SELECT k.name, t.team, f.fact_kpi, f.period_start, f.period_end, f.keys, f.value, f.numerator, f.denominator, round(kpi.value(k.name, team => t.team, period => p.period), 4) AS number
  FROM unnest('{ff_opening, ff_average, ff_to_end, ff_churn, ff_whole_churn}'::text[]) k (name), unnest('{2026-02, 2026-03}'::text[]) p (period), unnest('{NULL, ff_north, ff_south}'::text[]) t (team),
       ff.facts(k.name, p.period, t.team) f ORDER BY 1, 2 NULLS FIRST, 3, 4, 5, f.denominator IS NULL;
SELECT fact_key, day, owner, fact_member, fact_team, value, numerator, denominator FROM kpi.facts('ff_average', team => 'ff_south', period => '2026-02');
SELECT fact_key, day, owner, fact_member, fact_team, round(value, 4) AS value, numerator, denominator FROM kpi.facts('ff_average', member => 'ff_bob', period => '2026-03');
-- of all values of a dimension
SELECT f.*, round(kpi.value('ff_share', period => '2026-02', dimension => 'product', dimension_value => 'q'), 4) AS number FROM ff.facts('ff_share', '2026-02', product => 'q') f;
-- what is looked at depends on the value: 50 of p in February, 100 of q
SELECT d.product, f.fact_kpi, f.period_start, f.keys, round(kpi.value('ff_either', period => '2026-02', dimension => 'product', dimension_value => d.product), 4) AS number
  FROM unnest('{p, q}'::text[]) d (product), ff.facts('ff_either', '2026-02', product => d.product) f ORDER BY 1, 3;
-- and of a KPI that is no formula
SELECT * FROM kpi.facts('ff_held', team => 'ff_north', period => '2026-02');

-- facts that no refresh has met yet, where there were none before
INSERT INTO ff.deals VALUES (9, 'ff_ann', 11, 'p', '2024-05-05');
SELECT * FROM ff.facts('ff_share', '2024-05');

SELECT count(kpi.drop_kpi(name)) FROM unnest('{ff_of_previous, ff_whole_churn, ff_previous, ff_year_ago, ff_rolling, ff_days, ff_ytd, ff_growth, ff_opening, ff_average, ff_to_end, ff_churn, ff_share, ff_part, ff_either}'::text[]) name;
SELECT count(kpi.drop_source(name, cascade => true)) FROM unnest('{ff_deals, ff_subs}'::text[]) name;
SELECT count(kpi.drop_member(name)) FROM unnest('{ff_ann, ff_bob}'::text[]) name;
SELECT count(kpi.drop_team(name)) FROM unnest('{ff_north, ff_south}'::text[]) name;
SET client_min_messages = warning;
DROP SCHEMA ff CASCADE;
