-- Cases of goals that are seldom, each against plain arithmetic (test/goals/MATH.md says which): a day of
-- 23 hours, a calendar ahead of UTC, facts on the last day of each month only, two closed
-- periods of which one is 0, a cap of 0 on a table never loaded, a refund, a move on the 15th, one KPI in
-- two plans, nothing elapsed, nothing left, no working day left, a row changed by hand.
SET client_min_messages = error;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA gx;
CREATE TABLE gx.deals (id serial PRIMARY KEY, owner text, at timestamptz, amount numeric);
CREATE TABLE gx.costs (id serial PRIMARY KEY, team text, day date, amount numeric);
SELECT count(kpi.create_team(t)) FROM unnest('{gx_one,gx_two}'::text[]) t;
SELECT count(kpi.add_member(m, team => 'gx_one')) FROM unnest('{gx_a,gx_b,gx_c}'::text[]) m;
SELECT kpi.create_calendar('gx_berlin', 'Europe/Berlin') > 0 AS berlin, kpi.create_calendar('gx_auckland', 'Pacific/Auckland') > 0 AS auckland;
SELECT kpi.create_source('gx', relation => 'gx.deals', key => 'id', owner => 'owner', at => 'at', calendar => 'gx_berlin') > 0 AS berlin,
       kpi.create_source('gx_east', relation => 'gx.deals', key => 'id', owner => 'owner', at => 'at', calendar => 'gx_auckland') > 0 AS auckland,
       kpi.create_source('gx_costs', relation => 'gx.costs', key => 'id', team => 'team', at => 'day') > 0 AS costs;
SELECT kpi.create_kpi('gx_sum', source => 'gx', measure => 'sum(amount)') > 0 AS sum, kpi.create_kpi('gx_east', source => 'gx_east', measure => 'sum(amount)') > 0 AS east,
       kpi.create_kpi('gx_cost', source => 'gx_costs', measure => 'sum(amount)', direction => 'down') > 0 AS cost;

-- A day of 23 hours: 29 March 2026 in Berlin is from 23:00 to 22:00 UTC.  East of the server the days are others.
SET kpi.now = '2026-03-29 21:59:59+00';
INSERT INTO gx.deals (owner, at, amount) VALUES ('gx_a', '2026-03-28 22:59:59+00', 1), ('gx_a', '2026-03-28 23:00+00', 10), ('gx_a', '2026-03-29 21:59:59+00', 100), ('gx_a', '2026-03-29 22:00+00', 1000);
CALL kpi.refresh();
SELECT count(kpi.create_goal(k || ' ' || p, kpi => k, member => 'gx_a', period => p, target => 2000, pace => 'linear')) FROM unnest('{gx_sum,gx_east}'::text[]) k, unnest('{2026-03,2026-03-29,2026-03-30}'::text[]) p;
CREATE VIEW gx.days AS
    SELECT p.goal, p.as_of_day, p.is_current AS current, p.actual, p.actual_to_date, p.elapsed_ratio, p.expected_today, p.status,
           p.as_of_day = t.today AND p.actual IS NOT DISTINCT FROM f.actual AND p.actual_to_date IS NOT DISTINCT FROM f.to_date
           AND p.expected_today IS NOT DISTINCT FROM round(2000 * least(greatest(t.today - p.period_start + 1, 0), p.period_end - p.period_start + 1)::numeric / (p.period_end - p.period_start + 1), 6) AS is_right
      FROM kpi.goal_progress p
     CROSS JOIN LATERAL (SELECT CASE p.kpi WHEN 'gx_sum' THEN 'Europe/Berlin' ELSE 'Pacific/Auckland' END AS zone) z
     CROSS JOIN LATERAL (SELECT (current_setting('kpi.now')::timestamptz AT TIME ZONE z.zone)::date AS today) t
     CROSS JOIN LATERAL (
           SELECT coalesce(sum(d.amount), 0) AS actual, coalesce(sum(d.amount) FILTER (WHERE (d.at AT TIME ZONE z.zone)::date <= t.today), 0) AS to_date
             FROM gx.deals d WHERE (d.at AT TIME ZONE z.zone)::date BETWEEN p.period_start AND p.period_end) f
     WHERE p.kpi IN ('gx_sum', 'gx_east') AND p.plan = 'default'
     ORDER BY p.goal_id;
SELECT * FROM gx.days;
SET kpi.now = '2026-03-29 22:00+00';
CALL kpi.refresh();
SELECT * FROM gx.days;
SELECT count(kpi.drop_goal(id)) FROM kpi.goal;

-- Facts on the last day of each month only; of gx_b two closed months, one of them 0.  The level is their
-- decayed mean, a half in six months; of a month there is what is in and the rest of what is expected.
TRUNCATE gx.deals;
INSERT INTO gx.deals (owner, at, amount) SELECT 'gx_a', (d + interval '1 month - 1 day')::date + time '12:00', 100 + 10 * extract(month FROM d) FROM generate_series(timestamp '2025-06-01', '2026-05-01', '1 month') d;
INSERT INTO gx.deals (owner, at, amount) VALUES ('gx_b', '2026-04-08 12:00+00', 60);
SET kpi.now = '2026-06-15 12:00+00';
CALL kpi.refresh();
SELECT count(kpi.create_goal(m, kpi => 'gx_sum', member => m, period => '2026-06', target => 150)) FROM unnest('{gx_a,gx_b}'::text[]) m;
CREATE VIEW gx.levels AS
    SELECT m.key, b.forecast_basis, b.closed_periods, round(b.level::numeric, 6) AS level,
           (SELECT round((sum(x.total * w) / sum(w))::numeric, 6) FROM (
             SELECT coalesce(sum(d.amount), 0) AS total, 0.5 ^ ((n - 1) / 6.0) AS w
               FROM generate_series(1, b.closed_periods) n
               LEFT JOIN gx.deals d ON d.owner = m.key AND d.at >= timestamp '2026-06-01' - n * interval '1 month' AND d.at < timestamp '2026-06-01' - (n - 1) * interval '1 month'
              GROUP BY n) x) AS expected
      FROM kpi.forecast_basis b JOIN kpi.member m ON m.id = b.member_id WHERE b.period = '2026-06' ORDER BY 1;
SELECT * FROM gx.levels;
SELECT goal, actual_to_date, expected_today < 20 AS is_little, forecast > actual_to_date AS more_comes, forecast_basis, status FROM kpi.goal_progress ORDER BY goal;
-- Next to nothing is expected before the last day, as the company's months say: the share that was in at the
-- same part of each, each counting 0.8 of the one after it, and for a quarter of a month the working days.
SET kpi.now = '2026-06-29 12:00+00';
CALL kpi.refresh();
SELECT goal, actual_to_date, expected_today, round(forecast) AS forecast, status FROM kpi.goal_progress ORDER BY goal;
SELECT round(150 * (0.25 * 21 / 22 + sum(0.8 ^ (n - 1) * share)) / (0.25 + sum(0.8 ^ (n - 1))), 6) AS expected_today
  FROM (SELECT n, (SELECT sum(d.amount * least(greatest(29 / 30.0 * extract(day FROM m.last) - extract(day FROM d.at) + 1, 0), 1)) / sum(d.amount)
                     FROM gx.deals d WHERE d.at::date BETWEEN m.first AND m.last) AS share
          FROM generate_series(1, 11) n
         CROSS JOIN LATERAL (SELECT (timestamp '2026-06-01' - n * interval '1 month')::date AS first, (timestamp '2026-06-01' - (n - 1) * interval '1 month' - interval '1 day')::date AS last) m) x;

-- nothing left: on the last day what is in, and what that day may bring; when it is over, what is in
SET kpi.now = '2026-06-30 12:00+00';
INSERT INTO gx.deals (owner, at, amount) VALUES ('gx_a', '2026-06-30 10:00+00', 160);
CALL kpi.refresh();
SELECT goal, actual_to_date, expected_today, elapsed_ratio, workdays_left, required_per_workday, status FROM kpi.goal_progress ORDER BY goal;
SET kpi.now = '2026-07-01 12:00+00';
CALL kpi.refresh();
SELECT goal, actual_to_date, forecast, forecast_low, forecast_high, attainment_probability AS p, workdays_left, required_per_workday, status FROM kpi.goal_progress ORDER BY goal;
SELECT count(kpi.drop_goal(id)) FROM kpi.goal;

-- nothing elapsed: on the first day, and before it
SET kpi.now = '2026-08-01 12:00+00';
CALL kpi.refresh();
SELECT count(kpi.create_goal(p, kpi => 'gx_sum', member => 'gx_a', period => p, target => 100, pace => 'workdays')) FROM unnest('{2026-08,2026-09}'::text[]) p;
-- 1 August 2026 is a Saturday: no working day is gone, and none is asked for
SELECT goal, actual_to_date, elapsed_ratio, expected_today, workdays_left, required_per_workday, status, status_rule FROM kpi.goal_progress ORDER BY goal;
-- no working day is left: 29 and 30 August are a weekend, the 31st is a holiday
SELECT kpi.add_holiday('2026-08-31', 'gx', calendar => 'default');
SET kpi.now = '2026-08-29 12:00+00';
CALL kpi.refresh();
SELECT goal, actual_to_date, elapsed_ratio, expected_today, workdays_left, required_per_workday, status FROM kpi.goal_progress WHERE goal = '2026-08';
SELECT kpi.drop_holiday('2026-08-31', calendar => 'default');
SELECT count(kpi.drop_goal(id)) FROM kpi.goal;

-- a cap of 0 on a table that was never loaded; then a cost, and its refund
SELECT kpi.create_goal('no cost', kpi => 'gx_cost', team => 'gx_one', period => '2026-08', target => 0) > 0 AS created;
CREATE VIEW gx.cap AS SELECT actual_to_date, headroom, forecast, attainment_probability AS p, status, status_rule AS rule FROM kpi.goal_progress WHERE goal = 'no cost';
SELECT * FROM gx.cap;
INSERT INTO gx.costs (team, day, amount) VALUES ('gx_two', '2026-08-01', 5);
CALL kpi.refresh();
SELECT * FROM gx.cap;
INSERT INTO gx.costs (team, day, amount) VALUES ('gx_one', '2026-08-02', 5);
CALL kpi.refresh();
SELECT * FROM gx.cap;
DELETE FROM gx.costs WHERE team = 'gx_one';
CALL kpi.refresh();
SELECT * FROM gx.cap;
SELECT kpi.drop_goal('no cost');

-- a refund below the target again, of a KPI that may fall: it was achieved, and is not
INSERT INTO gx.deals (owner, at, amount) VALUES ('gx_a', '2026-08-03 12:00+00', 120);
CALL kpi.refresh();
SELECT kpi.create_goal('first', kpi => 'gx_sum', member => 'gx_a', period => '2026-08', target => 100) > 0 AS first, kpi.create_goal('second', kpi => 'gx_sum', member => 'gx_a', period => '2026-08', target => 110, plan => 'board') > 0 AS second;
CREATE VIEW gx.plans AS SELECT goal, plan, target, actual_to_date, remaining, status, status_rule AS rule FROM kpi.goal_progress WHERE grain = 'month' ORDER BY goal;
SELECT * FROM gx.plans;
INSERT INTO gx.deals (owner, at, amount) VALUES ('gx_a', '2026-08-20 12:00+00', -15);
CALL kpi.refresh();
-- two goals of one KPI in two plans: of the same numbers, each with its own target; and not twice in one
SELECT * FROM gx.plans;
SELECT kpi.create_goal('third', kpi => 'gx_sum', member => 'gx_a', period => '2026-08', target => 1, plan => 'board');
SELECT count(DISTINCT b.id) AS one_basis FROM kpi.forecast_basis b WHERE b.period = '2026-08' AND b.member_id IS NOT NULL;

-- a move on the 15th: each team has the days that were its own
TRUNCATE gx.deals;
INSERT INTO gx.deals (owner, at, amount) SELECT 'gx_c', d + time '12:00', 1 FROM generate_series(date '2026-08-01', '2026-08-31', '1 day') d;
SELECT kpi.move_member('gx_c', team => 'gx_two', since => '2026-08-15');
CALL kpi.refresh();
SELECT count(kpi.create_goal(t, kpi => 'gx_sum', team => t, period => '2026-08', target => 20, plan => 'move')) FROM unnest('{gx_one,gx_two}'::text[]) t, kpi.create_goal('gx_c', kpi => 'gx_sum', member => 'gx_c', period => '2026-08', target => 31, plan => 'move') c;
SELECT p.goal, p.team, p.actual, p.actual_to_date, f.actual = p.actual AND f.to_date = p.actual_to_date AS is_right FROM kpi.goal_progress p
 CROSS JOIN LATERAL (SELECT count(*) AS actual, count(*) FILTER (WHERE at < '2026-08-30') AS to_date FROM gx.deals
                      WHERE p.scope = 'member' OR (at >= '2026-08-15') = (p.team = 'gx_two')) f
 WHERE p.plan = 'move' ORDER BY p.goal;

-- a row changed by hand: found with what it should be, and mended; so is one that is gone, while its goal is there
CALL kpi.refresh();
SELECT count(*) FROM kpi_internal.goal_recheck;
SELECT * INTO gx.were FROM kpi.goal_progress;
UPDATE kpi.goal_progress SET status = 'achieved', actual = actual + 1, next_milestone = 3 WHERE goal = 'gx_one';
UPDATE kpi.goal_progress SET target = 7, as_of_day = '2026-08-28' WHERE goal = 'gx_two';
DELETE FROM kpi.goal_progress WHERE goal = 'gx_c';
SELECT goal_id - (SELECT min(id) FROM kpi.goal) AS goal, stored, expected IS NOT NULL AS has_expected FROM kpi_internal.goal_difference ORDER BY goal_id;
SELECT count(*) AS found FROM kpi.verify('gx');
SELECT kpi.repair('gx') > 0 AS mended;
SELECT count(*) AS found FROM kpi.verify('gx');
SELECT count(*) AS others FROM (SELECT to_jsonb(w) - '{changed_at,status_since,as_of,refreshed_at}'::text[] FROM gx.were w EXCEPT SELECT to_jsonb(p) - '{changed_at,status_since,as_of,refreshed_at}'::text[] FROM kpi.goal_progress p) x;

SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT kpi.drop_source(s, cascade => true) FROM unnest('{gx,gx_east,gx_costs}'::text[]) s;
SELECT kpi.drop_member(m) FROM unnest('{gx_a,gx_b,gx_c}'::text[]) m;
SELECT kpi.drop_team(t) FROM unnest('{gx_one,gx_two}'::text[]) t;
SELECT kpi.drop_calendar(c) FROM unnest('{gx_berlin,gx_auckland}'::text[]) c;
DROP SCHEMA gx CASCADE;
