-- goals of what accumulates over what was held when the period began: churn below 2 %
SET client_min_messages = error;
SET TimeZone = 'UTC';
SET kpi.now = '2026-11-18 12:00+00';
CREATE SCHEMA go;
CREATE TABLE go.subs (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, team text, since date, until date);
-- 600 are there when it begins, of whom one leaves each day from March on; every day four come, of whom some leave
INSERT INTO go.subs (team, since, until)
    SELECT CASE WHEN n % 5 < 3 THEN 'go_a' ELSE 'go_b' END, '2025-02-10', CASE WHEN n % 2 = 0 THEN date '2025-03-01' + n / 2 END
      FROM generate_series(0, 599) AS n;
INSERT INTO go.subs (team, since, until)
    SELECT CASE WHEN n % 5 < 3 THEN 'go_a' ELSE 'go_b' END, d::date,
           CASE WHEN n % 3 > 0 AND d::date + 40 + (n * 37 % 300)::integer < '2026-11-18' THEN d::date + 40 + (n * 37 % 300)::integer END
      FROM generate_series('2025-03-01'::timestamp, '2026-11-17', '6 hours') WITH ORDINALITY AS t (d, n);
SELECT count(kpi.create_team(t)) FROM unnest('{go_a,go_b}'::text[]) t;
SELECT kpi.create_source('go_subs', relation => 'go.subs', key => 'id', team => 'team', at => 'since') > 0 AS created;
SELECT kpi.create_kpi('go_held', source => 'go_subs', measure => 'balance(1)', at => 'since', until => 'until') > 0 AS created;
SELECT kpi.create_kpi('go_left', source => 'go_subs', measure => 'count(*)', at => 'until', direction => 'down') > 0 AS created;
SELECT kpi.create_kpi('go_churn', formula => 'go_left / opening(go_held)', direction => 'down') > 0 AS created;
SELECT kpi.create_kpi('go_per_1000', formula => '1000 * go_left / nullif(opening(go_held), 0)', unit => 'per 1000', direction => 'down') > 0 AS created;
SELECT kpi.create_kpi('go_net', formula => '(go_left - 2 * go_left) / (2 * opening(go_held))') > 0 AS created;
SELECT kpi.create_kpi('go_mixed', formula => 'go_left / (opening(go_held) + go_left)', direction => 'down') > 0 AS created;
CALL kpi.refresh();

-- what was held, and what a goal for the numerator asks for then
CREATE VIEW go.held AS
    SELECT t.team, p.period, count(s.id) FILTER (WHERE s.since < p.start AND (s.until IS NULL OR s.until >= p.start)) AS held
      FROM (VALUES ('company'), ('go_a'), ('go_b')) AS t (team)
     CROSS JOIN (VALUES ('2026-11', date '2026-11-01'), ('2026-Q4', '2026-10-01'), ('2026-10', '2026-10-01'), ('2026', '2026-01-01')) AS p (period, start)
      LEFT JOIN go.subs s ON s.team = t.team OR t.team = 'company'
     GROUP BY t.team, p.period;
SELECT count(kpi.create_goal('share', kpi => 'go_churn', team => h.team, period => h.period, target => 0.06, pace => p.pace, plan => p.pace)),
       count(kpi.create_goal('per 1000', kpi => 'go_per_1000', team => h.team, period => h.period, target => 60, pace => p.pace, plan => p.pace)),
       count(kpi.create_goal('number', kpi => 'go_left', team => h.team, period => h.period, target => 0.06 * h.held, pace => p.pace, plan => p.pace))
  FROM go.held h CROSS JOIN (VALUES ('seasonal'), ('workdays'), ('linear')) AS p (pace);
-- as the goal for the numerator, over what was held; the opening is the independent one
CREATE VIEW go.differs AS
    SELECT g.team, g.period, g.plan, g.goal, x.*
      FROM kpi.goal_progress g
      JOIN kpi.goal_progress n ON n.team = g.team AND n.period = g.period AND n.plan = g.plan AND n.goal = 'number'
      JOIN go.held h ON h.team = g.team AND h.period = g.period
     CROSS JOIN LATERAL (SELECT CASE g.goal WHEN 'share' THEN h.held ELSE h.held / 1000.0 END AS by) b
     CROSS JOIN LATERAL (VALUES ('actual', g.actual, n.actual / by, 0.000001), ('to date', g.actual_to_date, n.actual_to_date / by, 0.000001),
                                ('expected', g.expected_today, n.expected_today / by, 0.00001), ('forecast', g.forecast, n.forecast / by, 0.00001),
                                ('low', g.forecast_low, n.forecast_low / by, 0.00001), ('high', g.forecast_high, n.forecast_high / by, 0.00001),
                                ('probability', g.attainment_probability, n.attainment_probability, 0.000001)) AS x (what, here, should, within)
     WHERE g.goal IN ('share', 'per 1000') AND (x.here IS NULL <> (x.should IS NULL) OR abs(x.here - x.should) > x.within);
SELECT count(*) AS goals, count(*) FILTER (WHERE forecast_low < forecast_high) AS with_range, count(DISTINCT period) AS periods FROM kpi.goal_progress WHERE goal <> 'number';
SELECT * FROM go.differs ORDER BY 1, 2, 3, 4, 5;
SELECT team, period, forecast_basis, status, status_rule FROM kpi.goal_progress WHERE plan = 'seasonal' AND goal = 'share' ORDER BY 1, 2;
-- a correction moves both
UPDATE go.subs SET until = until - 20 WHERE id % 7 = 0;
DELETE FROM go.subs WHERE id % 11 = 0;
CALL kpi.refresh();
SELECT count(kpi.alter_goal(g.id, target => 0.06 * h.held)) FROM kpi.goal g JOIN kpi.team t ON t.id = g.team_id JOIN go.held h ON h.team = t.key AND h.period = g.period
 WHERE g.name = 'number';
SELECT count(kpi.renew_forecast(id)) FROM kpi.goal;
SELECT * FROM go.differs ORDER BY 1, 2, 3, 4, 5;
-- a numerator that is a difference may fall again; what is no opening alone has no forecast
SELECT kpi.create_goal('net', kpi => 'go_net', period => '2026-11', target => -0.05) IS NULL AS failed, kpi.create_goal('mixed', kpi => 'go_mixed', period => '2026-11', target => 0.05) IS NULL AS failed;
SELECT k.name, b.forecast_basis, b.may_fall FROM kpi.forecast_basis b JOIN kpi.kpi k ON k.id = b.kpi_id
 WHERE b.period = '2026-11' AND b.team_id = (SELECT id FROM kpi.team WHERE key = 'company') AND k.name LIKE 'go\_%' ORDER BY 1;
-- nobody was there when the period began
SELECT kpi.create_team('go_c') > 0 AS created;
INSERT INTO go.subs (team, since) VALUES ('go_c', '2026-11-03');
CALL kpi.refresh();
SELECT kpi.create_goal('new', kpi => 'go_churn', team => 'go_c', period => '2026-11', target => 0.05) IS NULL AS failed;
SELECT actual, expected_today, forecast, status FROM kpi.goal_progress WHERE goal = 'new';
SELECT * FROM kpi.verify('go_subs');

SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT kpi.drop_kpi('go_mixed'), kpi.drop_kpi('go_net'), kpi.drop_kpi('go_per_1000'), kpi.drop_kpi('go_churn');
SELECT kpi.drop_source('go_subs', cascade => true);
SELECT kpi.drop_team('go_a'), kpi.drop_team('go_b'), kpi.drop_team('go_c');
DROP SCHEMA go CASCADE;
