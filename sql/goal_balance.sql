-- Goals on balances: from the opening to the target, forecast by the net flow.
SET client_min_messages = error;
SET TIME ZONE 'UTC';
SET DateStyle = 'ISO, YMD';
SET kpi.now = '2026-11-15 12:00+00';
CREATE SCHEMA gb;
CREATE TABLE gb.sub (id int PRIMARY KEY, owner text, mrr numeric, started date, ended date);
INSERT INTO gb.sub
SELECT i, (ARRAY['ann','bob'])[1 + i % 2], 10 + i % 5, date '2026-01-05' + i * 3,
       CASE WHEN i % 4 = 0 THEN date '2026-01-05' + i * 3 + 60 END
  FROM generate_series(0, 104) i;
SELECT kpi.create_team('gb') > 0 AS team, kpi.add_member('ann', team => 'gb') > 0 AS member, kpi.add_member('bob', team => 'gb') > 0 AS member;
SELECT kpi.create_source('gb', relation => 'gb.sub', key => 'id', owner => 'owner', at => 'started') > 0 AS source;
SELECT kpi.create_kpi('gb_mrr', source => 'gb', measure => 'balance(mrr)', at => 'started', until => 'ended', unit => 'EUR') > 0 AS kpi;
CALL kpi.refresh();
SELECT count(kpi.create_goal(kpi => 'gb_mrr', team => 'gb', period => period, target => target, pace => pace))
  FROM (VALUES ('2026-10', '1000', 'seasonal'), ('2026-11', '1050', 'linear'), ('2026-11-01..2026-11-30', '1050', 'workdays'),
               ('2026-Q4', '1100', 'seasonal'), ('2026-12', '1200', 'seasonal'), ('2026-Q3', '1', 'seasonal')) g (period, target, pace);
SELECT kpi.create_goal(kpi => 'gb_mrr', member => 'ann', period => '2026-11', target => '+5% mom') > 0 AS goal;
CALL kpi.refresh();

-- What is held on a day, from the facts.
CREATE FUNCTION gb.held(who text, day date) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(mrr), 0) FROM gb.sub WHERE started <= day AND (ended IS NULL OR ended > day) AND owner = coalesce(who, owner)
$$;
CREATE VIEW gb.wrong AS
    SELECT p.goal, p.actual, p.actual_to_date, h.now, p.expected_today, e.expected
      FROM kpi.goal_progress p JOIN kpi.goal g ON g.id = p.goal_id
     CROSS JOIN LATERAL (SELECT gb.held(p.member, least(p.period_end, kpi.today())) AS now, gb.held(p.member, p.period_start - 1) AS opening) h
     CROSS JOIN LATERAL (
           SELECT count(*) FILTER (WHERE extract(isodow FROM d) < 6) AS days,
                  count(*) FILTER (WHERE extract(isodow FROM d) < 6 AND d::date <= kpi.today()) AS gone
             FROM generate_series(p.period_start::timestamp, p.period_end, '1 day') d) w
     CROSS JOIN LATERAL (
           SELECT round(h.opening + (p.target - h.opening) *
                        CASE WHEN g.pace = 'linear' THEN (least(kpi.today(), p.period_end) - p.period_start + 1)::numeric / (p.period_end - p.period_start + 1)
                             ELSE w.gone::numeric / w.days END, 4) AS expected) e
     WHERE p.kpi = 'gb_mrr' AND p.period_start <= kpi.today()
       AND (p.actual IS DISTINCT FROM h.now OR p.actual_to_date IS DISTINCT FROM h.now OR round(p.expected_today, 4) IS DISTINCT FROM e.expected);
SELECT * FROM gb.wrong;
SELECT goal, period, actual, target, round(expected_today, 2) AS expected, forecast_basis, forecast IS NOT NULL AS has_forecast,
       attainment_probability IS NOT NULL AS has_probability, status, status_rule
  FROM kpi.goal_progress WHERE kpi = 'gb_mrr' ORDER BY goal_id;
-- A change long ago moves all that came after it, and nothing before.
UPDATE gb.sub SET ended = '2026-10-20' WHERE id = 3;
INSERT INTO gb.sub VALUES (200, 'ann', 500, '2026-02-01', NULL);
CALL kpi.refresh();
SELECT * FROM gb.wrong;
-- An end that lies ahead does not count yet, and does when the day comes.
UPDATE gb.sub SET ended = '2026-11-20' WHERE id = 200;
CALL kpi.refresh();
SELECT * FROM gb.wrong;
SET kpi.now = '2026-11-21 12:00+00';
CALL kpi.refresh();
SELECT * FROM gb.wrong;
SELECT goal, actual, status FROM kpi.goal_progress WHERE kpi = 'gb_mrr' ORDER BY goal_id;
-- Over: what was held at the end.
SET kpi.now = '2027-01-02 12:00+00';
CALL kpi.refresh();
SELECT * FROM gb.wrong;
SELECT goal, actual, status, forecast = actual AS is_final FROM kpi.goal_progress WHERE kpi = 'gb_mrr' ORDER BY goal_id;
SELECT * FROM kpi.verify('gb');
SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT kpi.drop_source('gb', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob');
SELECT kpi.drop_team('gb');
DROP SCHEMA gb CASCADE;
