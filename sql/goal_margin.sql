-- Statuses at the very edges: the margin of a tenth, the target, the first and
-- the last day, both directions.
SET client_min_messages = error;
SET kpi.now = '2026-11-16 12:00+00';
CREATE FUNCTION pg_temp.status(direction text, additive boolean, target numeric, value numeric, today date) RETURNS text LANGUAGE sql AS
$$SELECT (f).expected_today::float8 || ' ' || (f).status FROM (SELECT kpi_internal.goal_pace(direction, additive, true, target, value, 1, '2026-11-02', '2026-11-29', today) AS f) x$$;
-- 20 working days; on the 13th ten are gone: 100 of 200 expected
SELECT d.direction, v.value, pg_temp.status(d.direction, true, 200, v.value, '2026-11-13') AS additive, pg_temp.status(d.direction, false, 100, v.value, '2026-11-13') AS other
  FROM unnest('{up,down}'::text[]) d (direction),
       (VALUES (0), (89.999999), (90), (90.000001), (99.999999), (100), (100.000001), (109.999999), (110), (110.000001), (199.999999), (200), (200.000001)) v (value)
 ORDER BY d.direction DESC, v.value;
-- the same below 0, where a tenth is a tenth of the distance to it
SELECT d.direction, v.value, pg_temp.status(d.direction, true, -200, v.value, '2026-11-13') AS additive, pg_temp.status(d.direction, false, -100, v.value, '2026-11-13') AS other
  FROM unnest('{up,down}'::text[]) d (direction), (VALUES (-200.1), (-200), (-110.1), (-110), (-100.1), (-100), (-90), (-89.9)) v (value)
 ORDER BY d.direction DESC, v.value;
-- days before, in, at the end of and after the period; no value
SELECT t.today, pg_temp.status('up', true, 200, NULL, t.today) AS up, pg_temp.status('down', true, 200, 201, t.today) AS cap, pg_temp.status('down', true, 200, 200, t.today) AS kept,
       pg_temp.status('down', false, 200, 201, t.today) AS rate, pg_temp.status('up', false, 200, NULL, t.today) AS no_data
  FROM (VALUES (date '2026-11-01'), ('2026-11-02'), ('2026-11-28'), ('2026-11-29'), ('2026-11-30')) t (today);
-- one statement, many days, periods and teams
SELECT t.today, p.workdays, p.workdays_elapsed, p.workdays_left
  FROM (VALUES (date '2026-11-13', date '2026-11-02'), ('2026-11-16', '2026-11-02'), ('2026-11-16', '2026-11-09'), ('2026-11-13', '2026-11-09')) t (today, start)
 CROSS JOIN LATERAL kpi_internal.goal_pace('up', true, true, 200, 0, 1, t.start, '2026-11-29', t.today) p;
-- each status and its rank; a word that is none has none
SELECT s, kpi_internal.goal_status_rank(s) FROM unnest('{missed,over_limit,behind,at_risk,incomplete,no_data,on_track,achieved,not_started,exceeded}'::text[]) s;
-- a period without a working day runs by all its days
BEGIN;
SELECT kpi.add_holiday(d::date, 'off') FROM generate_series(timestamp '2026-11-02', '2026-11-29', '1 day') d \g /dev/null
SELECT pg_temp.status('up', true, 280, 100, '2026-11-11') AS tenth_day;
ROLLBACK;
SELECT pg_temp.status('up', true, 200, 100, '2026-11-13') AS again;
