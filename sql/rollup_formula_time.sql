-- What is kept of formulas over time follows as far as they look back: goals, rollup tables, targets, days.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET kpi.now = '2026-11-15 12:00+00';
CREATE SCHEMA rf;
CREATE TABLE rf.deals (id integer PRIMARY KEY, amount numeric, day date);
INSERT INTO rf.deals SELECT n, 100, date '2025-01-10' + n FROM generate_series(0, 670) n;
SELECT kpi.create_source('rf_deals', relation => 'rf.deals', key => 'id', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('rf_sum', source => 'rf_deals', measure => 'sum(amount)') > 0 AS created;
SELECT count(kpi.create_kpi(name, formula => formula)) FROM (VALUES ('rf_before', 'previous(rf_sum)'), ('rf_yoy', $$growth(rf_sum, 'year_ago')$$),
    ('rf_ytd', 'ytd(rf_sum)'), ('rf_40', 'rolling(rf_sum, 40)'), ('rf_gap', 'target(rf_sum) - rf_sum'), ('rf_attained', 'attainment(rf_sum)')) f (name, formula);
SELECT k.name, reach, reach_periods, reach_days, follows_day
  FROM kpi_internal.kpi_stream JOIN kpi.kpi k ON k.id = kpi_id WHERE k.name LIKE 'rf\_%' ORDER BY k.name;
SELECT kpi.create_rollup('rf.monthly', kpis => '{rf_sum,rf_before,rf_yoy,rf_ytd,rf_40,rf_gap,rf_attained}') > 0 AS created;
SELECT kpi.create_goal('rf growth', kpi => 'rf_yoy', period => '2026-11', target => '0.1') > 0 AS goal;
SELECT kpi.create_goal('rf ytd', kpi => 'rf_ytd', period => '2026-11', target => '40000') > 0 AS goal;
CALL kpi.refresh();
-- The table and the views say the same of each month; goals too.
CREATE VIEW rf.differing AS
    SELECT t.period, k.name AS kpi, n.value AS stored, v.value AS expected
      FROM rf.monthly t CROSS JOIN LATERAL (VALUES ('rf_sum', rf_sum), ('rf_before', rf_before), ('rf_yoy', rf_yoy), ('rf_ytd', rf_ytd), ('rf_40', rf_40),
                                         ('rf_gap', rf_gap), ('rf_attained', rf_attained)) n (kpi, value)
      JOIN kpi.kpi k ON k.name = n.kpi LEFT JOIN kpi.team_monthly v ON v.kpi = n.kpi AND v.team = t.team AND v.period = t.period
     WHERE n.value IS DISTINCT FROM v.value;
SELECT count(*) FROM rf.monthly;
SELECT * FROM rf.differing;
SELECT goal, actual, actual_to_date FROM kpi.goal_progress WHERE kpi LIKE 'rf\_%' ORDER BY goal;
-- A correction far back moves the month after, the rest of the year, and a year later.
SELECT * FROM (SELECT period, rf_before, rf_ytd, rf_40, rf_yoy FROM rf.monthly WHERE period IN ('2025-12', '2026-11')) b ORDER BY period;
UPDATE rf.deals SET amount = 1000 WHERE day IN ('2025-11-10', '2026-01-31');
CALL kpi.refresh();
SELECT * FROM rf.differing;
SELECT period, rf_before, rf_ytd, rf_40, rf_yoy FROM rf.monthly WHERE period IN ('2025-12', '2026-11') ORDER BY period;
SELECT goal, actual, actual_to_date FROM kpi.goal_progress WHERE kpi LIKE 'rf\_%' ORDER BY goal;
SELECT * FROM kpi.verify();
-- A goal that is set, changed and dropped.
SELECT period, rf_gap, rf_attained FROM rf.monthly WHERE period IN ('2026-09', '2026-10') ORDER BY period;
SELECT kpi.create_goal('rf october', kpi => 'rf_sum', period => '2026-10', target => '6200') > 0 AS goal;
CALL kpi.refresh();
SELECT period, rf_gap, rf_attained FROM rf.monthly WHERE period IN ('2026-09', '2026-10') ORDER BY period;
SELECT kpi.alter_goal('rf october', target => '3100');
SELECT kpi.create_goal('rf gap', kpi => 'rf_attained', period => '2026-10', target => '1') > 0 AS goal;
CALL kpi.refresh();
SELECT period, rf_gap, rf_attained FROM rf.monthly WHERE period = '2026-10';
SELECT kpi.alter_goal('rf october', target => '1550');
CALL kpi.refresh();
SELECT goal, actual FROM kpi.goal_progress WHERE goal = 'rf gap';
SELECT kpi.value('rf_attained', period => '2026-10'), kpi.value('rf_attained', period => '2026-Q4') AS of_another_grain;
SELECT kpi.drop_goal('rf october'), kpi.drop_goal('rf gap');
CALL kpi.refresh();
SELECT period, rf_gap, rf_attained FROM rf.monthly WHERE period = '2026-10';
-- The next day.
SET kpi.now = '2026-11-16 12:00+00';
CALL kpi.refresh();
SELECT * FROM rf.differing;
SELECT * FROM kpi.verify();
DROP VIEW rf.differing;
SELECT kpi.drop_rollup('rf.monthly', drop_table => true);
SELECT kpi.drop_source('rf_deals', cascade => true);
DROP SCHEMA rf CASCADE;
