-- What forecasts are based on: frozen when a period begins, made for the running one; the
-- first period ever, a shorter grain, a team without history, who came within the period,
-- ranges, paces; and the history that is kept of what was said.
SET client_min_messages = error;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\set SHOW_CONTEXT never
SET kpi.now = '2026-05-11 12:00+00';
CREATE SCHEMA gf;
CREATE TABLE gf.deals (id serial PRIMARY KEY, owner text, amount numeric, won boolean, day date);
-- every day 10 of a, from August 2025; b began in February, c has none
INSERT INTO gf.deals (owner, amount, won, day) SELECT 'gf_a', 10, d % 2 = 0, date '2025-08-01' + d FROM generate_series(0, 282) d;
INSERT INTO gf.deals (owner, amount, won, day) SELECT 'gf_b', 20, true, date '2026-02-01' + d FROM generate_series(0, 98, 7) d;
SELECT count(kpi.create_team(t)) FROM unnest('{gf_one,gf_two}'::text[]) t;
SELECT kpi.add_member('gf_a', team => 'gf_one') > 0 AS a, kpi.add_member('gf_b', team => 'gf_one') > 0 AS b, kpi.add_member('gf_c', team => 'gf_two', since => '2026-05-09') > 0 AS c;
SELECT kpi.create_source('gf', relation => 'gf.deals', key => 'id', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('gf_money', source => 'gf', measure => 'sum(amount)') > 0 AS money, kpi.create_kpi('gf_rate', source => 'gf', measure => 'rate(won, true)') > 0 AS rate;
SELECT kpi.create_kpi('gf_net', formula => 'gf_money * 2 - 3 * gf_money') > 0 AS net, kpi.create_kpi('gf_each', formula => 'gf_money / nullif(gf_net, 0)') > 0 AS each,
       kpi.create_kpi('gf_odd', formula => 'greatest(gf_money, gf_net)') > 0 AS odd, kpi.create_kpi('gf_plus', formula => 'gf_money + 1') > 0 AS plus;

-- what is not complete has no basis yet
SELECT kpi.create_goal('early', kpi => 'gf_money', period => '2026-05', target => 400) > 0 AS created;
SELECT count(*) FROM kpi.forecast_basis;
CALL kpi.refresh();
SELECT period, forecast_basis, closed_periods, round(level::numeric, 4) AS level, season, noise, may_fall, made_on FROM kpi.forecast_basis;

-- the basis of each kind; periods that have not begun have none
SELECT count(kpi.create_goal(concat_ws(' ', kpi, scope, period), kpi => kpi, team => CASE WHEN scope LIKE 'gf____%' AND scope NOT IN ('gf_a', 'gf_b', 'gf_c') THEN scope END,
                             member => CASE WHEN scope IN ('gf_a', 'gf_b', 'gf_c') THEN scope END, period => period, target => target))
  FROM (VALUES ('gf_money', 'gf_a', '2026-05', 300), ('gf_money', 'gf_b', '2026-05', 100), ('gf_money', 'gf_c', '2026-05', 100), ('gf_money', 'gf_two', '2026-Q2', 100),
               ('gf_money', 'gf_b', '2026-Q2', 300), ('gf_money', NULL, '2026', 4000), ('gf_money', NULL, '2026-W20', 70), ('gf_money', NULL, '2026-05-11', 10), ('gf_money', NULL, '2025-08', 310), ('gf_money', NULL, '2025-09', 310),
               ('gf_money', NULL, '2026-06', 400), ('gf_money', NULL, '2026-05-04..2026-05-17', 150), ('gf_money', NULL, '2025-12-15..2026-01-14', 300), ('gf_rate', NULL, '2026-05', 0.5), ('gf_rate', 'gf_two', '2026-05', 0.5),
               ('gf_net', NULL, '2026-05', -300), ('gf_each', NULL, '2026-05', -1), ('gf_odd', NULL, '2026-05', 300), ('gf_plus', NULL, '2026-05', 300)) g (kpi, scope, period, target);
SELECT p.goal, b.grain, b.period, b.forecast_basis AS basis, b.closed_periods AS n, round(b.level::numeric, 3) AS level, round(b.level_denominator::numeric, 3) AS denominator, round(b.season::numeric, 4) AS season, round(b.noise::numeric, 4) AS noise, b.may_fall AS falls
  FROM kpi.goal g JOIN kpi.goal_progress p ON p.goal_id = g.id JOIN kpi.goal_target t ON t.goal_id = g.id
  LEFT JOIN kpi.forecast_basis b ON b.kpi_id = g.kpi_id AND b.grain = t.forecast_grain AND b.period_start = t.forecast_start AND b.team_id IS NOT DISTINCT FROM g.team_id AND b.member_id IS NOT DISTINCT FROM g.member_id
 ORDER BY g.id;
SELECT goal, actual_to_date AS actual, expected_today AS expected, forecast, forecast_low AS low, forecast_high AS high, attainment_probability AS p, forecast_basis AS basis, required_of_rest AS rest, headroom, status, status_rule AS rule
  FROM kpi.goal_progress ORDER BY goal_id;
-- the level is the decayed mean of the closed months, of the company's facts
SELECT round(b.level::numeric, 6) = round(kpi_internal.forecast_level((SELECT array_agg(x ORDER BY m) FROM (SELECT date_trunc('month', day) AS m, sum(amount)::float8 AS x FROM gf.deals WHERE day < '2026-05-01' GROUP BY 1) x), 'month')::numeric, 6) AS level
  FROM kpi.forecast_basis b JOIN kpi.kpi k ON k.id = b.kpi_id WHERE k.name = 'gf_money' AND b.period = '2026-05' AND b.team_id = 1;

-- frozen: a correction of the past moves it only when it is asked to
UPDATE gf.deals SET amount = 100 WHERE day = '2026-04-20' AND owner = 'gf_a';
CALL kpi.refresh();
SELECT round(level::numeric, 3) AS level FROM kpi.forecast_basis b JOIN kpi.member m ON m.id = b.member_id WHERE m.key = 'gf_a' AND b.period = '2026-05';
SELECT kpi.renew_forecast('gf_money gf_a 2026-05');
SELECT round(level::numeric, 3) AS level FROM kpi.forecast_basis b JOIN kpi.member m ON m.id = b.member_id WHERE m.key = 'gf_a' AND b.period = '2026-05';
SELECT kpi.renew_forecast('nothing');
SELECT kpi.renew_forecast(-1);
-- a row changed by hand is found, and mended
UPDATE kpi.goal_progress SET forecast = 1, attainment_probability = 0.9 WHERE goal = 'gf_money gf_a 2026-05';
SELECT kpi, period_start, stored, expected FROM kpi_internal.goal_difference;
SELECT kpi.repair('gf') IS NOT NULL AS mended;
SELECT count(*) FROM kpi_internal.goal_difference;

-- paces
SELECT count(kpi.create_goal(pace, kpi => 'gf_money', period => '2026-05', target => 400, plan => pace, pace => pace, milestones => CASE pace WHEN 'phased' THEN '{"2026-05-10": 50, "2026-05-20": 300}'::jsonb END))
  FROM unnest('{seasonal,workdays,linear,phased}'::text[]) pace;
SELECT goal, expected_today, next_milestone, next_milestone_date FROM kpi.goal_progress WHERE plan <> 'default' ORDER BY goal;

-- what was said each day is kept, and what came of it
DELETE FROM gf.deals WHERE day > '2026-05-11';
SELECT kpi.create_goal('weeks', kpi => 'gf_money', period => 'every week', target => 75, plan => 'weeks') > 0 AS created;
SET kpi.now = '2026-05-12 12:00+00';
CALL kpi.refresh();
SELECT g.name, h.period, h.day, h.actual_to_date, h.expected_today, h.forecast, h.attainment_probability AS p, h.status
  FROM kpi.goal_progress_history h JOIN kpi.goal g ON g.id = h.goal_id WHERE g.name IN ('early', 'weeks', 'gf_money 2025-08', 'gf_money 2026-06') ORDER BY 1, 3;
-- the day does not come twice, nor when it goes back
SET kpi.now = '2026-05-11 13:00+00';
CALL kpi.refresh();
SET kpi.now = '2026-05-12 13:00+00';
CALL kpi.refresh();
SELECT h.day, count(*) = count(DISTINCT (h.goal_id, h.period_start)) AS once FROM kpi.goal_progress_history h GROUP BY 1 ORDER BY 1;
INSERT INTO gf.deals (owner, amount, won, day) SELECT 'gf_a', 10, true, date '2026-05-12' + d FROM generate_series(0, 30) d;
SET kpi.now = '2026-05-16 12:00+00';
CALL kpi.refresh();
SET kpi.now = '2026-06-01 12:00+00';
CALL kpi.refresh();
UPDATE kpi_internal.source_state SET as_of = '2026-06-01 11:00Z';
SELECT kpi.alter_goal(id, name => name) FROM kpi.goal \g /dev/null
SELECT kpi, grain, elapsed_percent AS elapsed, forecasts, periods, said_ratio AS said, came_ratio AS came, brier, base_brier, coverage_ratio AS coverage, error_ratio AS error
  FROM kpi.forecast_quality WHERE kpi = 'gf_money' ORDER BY 1, 2, 3;

-- a goal without facts is at 0 from anybody's first fact of the KPI on, dated before the period ends
SELECT kpi.create_kpi('gf_rare', source => 'gf', measure => 'count(*)', filter => 'amount > 5000') > 0 AS rare;
CALL kpi.refresh();
SELECT kpi.create_goal('none yet', kpi => 'gf_rare', team => 'gf_two', period => '2026-06', target => 5) > 0 AS created;
CREATE VIEW gf.rare AS SELECT actual, actual_to_date, status FROM kpi.goal_progress WHERE goal = 'none yet';
SELECT * FROM gf.rare;
INSERT INTO gf.deals (owner, amount, day) VALUES ('gf_a', 6000, '2026-07-01');
CALL kpi.refresh();
SELECT * FROM gf.rare;
INSERT INTO gf.deals (owner, amount, day) VALUES ('gf_a', 6000, '2026-06-30');
CALL kpi.refresh();
SELECT * FROM gf.rare;
DELETE FROM gf.deals WHERE day = '2026-06-30';
CALL kpi.refresh();
SELECT * FROM gf.rare;

-- goals to be looked at again
SELECT kpi.alter_goal('early', review_on => '2026-06-01', responsible => 'Ann');
SELECT severity, problem, object, detail FROM kpi.health() WHERE problem = 'review_due';
SELECT kpi.alter_goal('early', review_on => '2026-06-02');
SELECT count(*) FROM kpi.health() WHERE problem = 'review_due';

SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT count(*) FROM kpi.goal_progress_history;
SELECT kpi.drop_source('gf', cascade => true);
SELECT count(*) FROM kpi.forecast_basis;
SELECT kpi.drop_member('gf_a'), kpi.drop_member('gf_b'), kpi.drop_member('gf_c');
SELECT kpi.drop_team('gf_one'), kpi.drop_team('gf_two');
DROP SCHEMA gf CASCADE;
