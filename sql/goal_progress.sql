-- The table kpi.goal_progress against an oracle in plain SQL over the facts:
-- whatever changes what a row says changes the row, and nothing else does.
SET client_min_messages = error;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET jit = off;
SET kpi.now = '2026-11-18 12:00+00';
CREATE SCHEMA gp;
CREATE TABLE gp.deals (id integer PRIMARY KEY, owner text, product text, stage text, amount numeric, day date);
CREATE TABLE gp.costs (id integer PRIMARY KEY, team text, amount numeric, day date);
-- facts of all the year and of the days ahead
INSERT INTO gp.deals
SELECT g, (ARRAY['gp_ann', 'gp_bob', 'gp_cat', 'nobody', NULL])[1 + g % 5], (ARRAY['p', 'q', NULL])[1 + g % 3],
       (ARRAY['won', 'won', 'lost', 'open'])[1 + g % 4], g % 97, date '2026-07-01' + g % 260
  FROM generate_series(1, 520) g;
INSERT INTO gp.costs
SELECT g, (ARRAY['gp_emea', 'gp_dach', 'gp_apac', 'company'])[1 + g % 4], g % 31, date '2026-07-01' + g % 260
  FROM generate_series(1, 260) g;
SELECT kpi.create_calendar('gp_calendar', 'UTC', working_days => 'mon,tue,sat') > 0 AS created;
SELECT count(kpi.create_team(key, parent => parent, name => name, calendar => calendar))
  FROM (VALUES (1, 'gp_emea', 'company', 'EMEA', NULL), (2, 'gp_dach', 'gp_emea', 'DACH', NULL),
               (3, 'gp_apac', 'company', 'APAC', 'gp_calendar')) AS t (n, key, parent, name, calendar);
SELECT kpi.add_member('gp_ann', team => 'gp_dach', name => 'Ann') > 0 AS created;
SELECT kpi.add_member('gp_bob', team => 'gp_emea', name => 'Bob') > 0 AS created;
SELECT kpi.add_member('gp_cat', team => NULL, name => 'Cat') > 0 AS created;
SELECT kpi.move_member('gp_bob', team => 'gp_apac', since => '2026-11-10');
SELECT kpi.create_source('gp_deals', relation => 'gp.deals', key => 'id', owner => 'owner', at => 'day',
                         dimensions => '{"product": "product"}') > 0 AS created;
SELECT kpi.create_source('gp_costs', relation => 'gp.costs', key => 'id', team => 'team', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('gp_revenue', source => 'gp_deals', measure => 'sum(amount)', filter => $$stage = 'won'$$,
                      title => 'Revenue', unit => 'EUR') > 0 AS created;
SELECT kpi.create_kpi('gp_won', source => 'gp_deals', measure => 'count(*)', filter => $$stage = 'won'$$) > 0 AS created;
SELECT kpi.create_kpi('gp_rate', source => 'gp_deals', measure => $$rate(stage = 'won', stage IN ('won', 'lost'))$$) > 0 AS created;
SELECT kpi.create_kpi('gp_size', source => 'gp_deals', measure => 'avg(amount)', direction => 'down') > 0 AS created;
SELECT kpi.create_kpi('gp_cost', source => 'gp_costs', measure => 'sum(amount)', direction => 'down') > 0 AS created;
SELECT kpi.create_kpi('gp_profit', formula => 'gp_revenue - gp_cost') > 0 AS created;
SELECT kpi.create_kpi('gp_per_won', formula => 'gp_cost / gp_won', direction => 'down') > 0 AS created;
CALL kpi.refresh();

-- ---- the oracle ----

-- A fact for each leaf KPI it counts for, and the team it counts for on its day.
CREATE VIEW gp.fact AS
    SELECT k.kpi, d.day, k.num, k.den, d.product, d.owner AS member,
           coalesce((SELECT h.team_id FROM kpi.member m JOIN kpi.membership h ON h.member_id = m.id
                      WHERE m.key = d.owner AND d.day <@ daterange(h.since, h.until)), 2) AS team_id
      FROM gp.deals d
     CROSS JOIN LATERAL (VALUES
           ('gp_revenue', CASE WHEN stage = 'won' THEN amount END, NULL::numeric),
           ('gp_won', CASE WHEN stage = 'won' THEN 1 END, NULL),
           ('gp_rate', CASE WHEN stage IN ('won', 'lost') THEN (stage = 'won')::int END, 1),
           ('gp_size', amount, 1)) k (kpi, num, den)
     WHERE k.num IS NOT NULL
    UNION ALL
    SELECT 'gp_cost', c.day, c.amount, NULL, NULL, NULL, coalesce((SELECT t.id FROM kpi.team t WHERE t.key = c.team), 2)
      FROM gp.costs c;

-- The teams above a team on a day, itself included.
CREATE FUNCTION gp.above(team integer, day date) RETURNS TABLE (id integer, depth integer) STABLE LANGUAGE sql AS $$
    WITH RECURSIVE up (id, depth) AS (
        SELECT team, 0
        UNION ALL
        SELECT p.parent_id, u.depth + 1 FROM up u JOIN kpi.team_parent p ON p.team_id = u.id AND day <@ daterange(p.since, p.until))
    SELECT * FROM up
$$;
-- Each fact for everybody it counts for.
CREATE VIEW gp.scoped AS
    WITH fact AS MATERIALIZED (SELECT * FROM gp.fact),
    above AS MATERIALIZED (SELECT f.day, f.team_id, a.id FROM (SELECT DISTINCT day, team_id FROM fact) f, gp.above(f.team_id, f.day) a)
    SELECT f.*, 'team' AS scope, a.id FROM fact f JOIN above a USING (day, team_id)
    UNION ALL
    SELECT f.*, 'member', m.id FROM fact f JOIN kpi.member m ON m.key = f.member;
CREATE FUNCTION gp.calendar(team integer, today date) RETURNS integer STABLE LANGUAGE sql AS $$
    SELECT coalesce((SELECT t.calendar_id FROM gp.above(team, today) a JOIN kpi.team t ON t.id = a.id
                      WHERE t.calendar_id IS NOT NULL ORDER BY a.depth LIMIT 1), 1)
$$;
CREATE TABLE gp.day AS
    SELECT d::date AS day, lower(to_char(d, 'Dy')) AS weekday FROM generate_series(date '2025-01-01', date '2028-01-01', interval '1 day') d;
CREATE INDEX ON gp.day (day);
ANALYZE gp.day;
CREATE FUNCTION gp.workdays(calendar integer, first date, last date) RETURNS bigint STABLE LANGUAGE sql AS $$
    SELECT count(*) FROM gp.day d JOIN kpi.calendar c ON c.id = calendar
     WHERE d.day BETWEEN first AND last AND d.weekday = ANY (string_to_array(c.working_days, ','))
       AND NOT EXISTS (SELECT FROM kpi.holiday h WHERE h.calendar_id = c.id AND h.day = d.day)
$$;
-- How formulas are made of leaves.
CREATE TABLE gp.part (kpi text, first text, second text, operator text, is_additive boolean);
INSERT INTO gp.part VALUES
    ('gp_revenue', 'gp_revenue', NULL, NULL, true), ('gp_won', 'gp_won', NULL, NULL, true),
    ('gp_rate', 'gp_rate', NULL, NULL, false), ('gp_size', 'gp_size', NULL, NULL, false),
    ('gp_cost', 'gp_cost', NULL, NULL, true), ('gp_profit', 'gp_revenue', 'gp_cost', '-', true),
    ('gp_per_won', 'gp_cost', 'gp_won', '/', false);
CREATE VIEW gp.expected AS
    WITH today AS (SELECT (current_setting('kpi.now')::timestamptz AT TIME ZONE 'UTC')::date AS today),
    own AS (    -- whose it is on the day, and the days of work
        SELECT g.*, d.today, k.name AS kpi, k.title, k.unit, k.direction, m.key AS member, m.name AS member_name, x.in_team,
               p.first, p.second, p.operator, p.is_additive,
               o.first_day, o.last_day,
               gp.workdays(c.calendar, o.first_day, o.last_day) AS days,
               gp.workdays(c.calendar, o.first_day, least(d.today, o.last_day)) AS gone,
               gp.workdays(c.calendar, greatest(d.today, o.first_day), o.last_day) AS left,
               -- whether anybody has a fact by then
               EXISTS (SELECT FROM gp.fact f WHERE f.kpi IN (p.first, p.second) AND f.day <= g.period_end) AS has_begun
          FROM kpi.goal g CROSS JOIN today d JOIN kpi.kpi k ON k.id = g.kpi_id JOIN gp.part p ON p.kpi = k.name
          LEFT JOIN kpi.member m ON m.id = g.member_id
         CROSS JOIN LATERAL (SELECT (SELECT h.team_id FROM kpi.membership h WHERE h.member_id = g.member_id
                                        AND least(d.today, g.period_end) <@ daterange(h.since, h.until)) AS in_team) x
         CROSS JOIN LATERAL (SELECT gp.calendar(coalesce(g.team_id, x.in_team, 1), d.today) AS calendar OFFSET 0) c
         -- who came or left within the period is judged over his own days
         CROSS JOIN LATERAL (SELECT CASE WHEN h.since <= h.until THEN h.since ELSE g.period_start END AS first_day,
                                    CASE WHEN h.since <= h.until THEN h.until ELSE g.period_end END AS last_day
                               FROM (SELECT greatest(g.period_start, min(coalesce(h.since, '-infinity'))) AS since,
                                            least(g.period_end, max(coalesce(h.until, 'infinity')) - 1) AS until
                                       FROM kpi.membership h WHERE h.member_id = g.member_id) h OFFSET 0) o),
    sums AS (
        SELECT o.id, sum(f.num) FILTER (WHERE f.kpi = o.first) AS n1, sum(f.den) FILTER (WHERE f.kpi = o.first) AS d1,
               sum(f.num) FILTER (WHERE f.kpi = o.second) AS n2,
               sum(f.num) FILTER (WHERE f.kpi = o.first AND f.day <= o.today) AS n1_to_date,
               sum(f.den) FILTER (WHERE f.kpi = o.first AND f.day <= o.today) AS d1_to_date,
               sum(f.num) FILTER (WHERE f.kpi = o.second AND f.day <= o.today) AS n2_to_date
          FROM own o
          LEFT JOIN gp.scoped f
                 ON f.scope = CASE WHEN o.team_id IS NULL THEN 'member' ELSE 'team' END AND f.id = coalesce(o.team_id, o.member_id)
                AND f.kpi IN (o.first, o.second) AND f.day BETWEEN o.first_day AND o.last_day
                AND (o.dimension IS NULL OR f.product IS NOT DISTINCT FROM o.dimension_value)
         GROUP BY o.id),
    numbers AS (
        SELECT o.*, CASE WHEN o.second IS NULL AND d1 IS NOT NULL OR o.operator = '/' THEN coalesce(n1, 0) END AS num,
               CASE WHEN o.second IS NULL THEN d1 WHEN o.operator = '/' THEN coalesce(n2, 0) END AS den,
               coalesce(CASE WHEN o.second IS NULL THEN CASE WHEN o.is_additive THEN n1 ELSE n1 / d1 END
                             WHEN n1 IS NULL AND n2 IS NULL THEN NULL
                             WHEN o.operator = '-' THEN coalesce(n1, 0) - coalesce(n2, 0)
                             ELSE coalesce(n1, 0) / nullif(coalesce(n2, 0), 0) END,
                        CASE WHEN o.is_additive AND o.has_begun THEN 0 END) AS actual,
               coalesce(CASE WHEN o.second IS NULL THEN CASE WHEN o.is_additive THEN n1_to_date ELSE n1_to_date / d1_to_date END
                             WHEN n1_to_date IS NULL AND n2_to_date IS NULL THEN NULL
                             WHEN o.operator = '-' THEN coalesce(n1_to_date, 0) - coalesce(n2_to_date, 0)
                             ELSE coalesce(n1_to_date, 0) / nullif(coalesce(n2_to_date, 0), 0) END,
                        CASE WHEN o.is_additive AND o.has_begun THEN 0 END) AS to_date,
               CASE WHEN o.is_additive THEN round(o.target * o.gone / o.days, 6) ELSE o.target END AS expected_today
          FROM own o JOIN sums s USING (id)),
    judged AS (
        SELECT n.*, CASE n.direction WHEN 'up' THEN to_date - n.target ELSE n.target - to_date END AS ahead_of_target,
               CASE WHEN n.direction = 'up' AND n.expected_today > 0 THEN n.to_date / n.expected_today WHEN n.direction = 'up' THEN (n.to_date >= n.expected_today)::int
                    WHEN n.to_date > 0 THEN n.expected_today / n.to_date ELSE 1 END AS in_pace,
               -- the probability is taken as it stands (goal_forecast.sql asks about it)
               p.attainment_probability AS p, p.status_rule, b.may_fall IS TRUE AS may_fall
          FROM numbers n LEFT JOIN kpi.goal_progress p ON p.goal_id = n.id
          LEFT JOIN kpi.forecast_basis b ON b.kpi_id = n.kpi_id AND b.grain = n.grain AND b.period_start = n.period_start
               AND b.team_id IS NOT DISTINCT FROM n.team_id AND b.member_id IS NOT DISTINCT FROM n.member_id
               AND b.dimension IS NOT DISTINCT FROM n.dimension AND b.dimension_value IS NOT DISTINCT FROM n.dimension_value)
    SELECT j.id AS goal_id,
           coalesce(j.name, j.title || ' ' || coalesce(j.member_name, t.name) || coalesce(' ' || j.dimension_value, ' without ' || j.dimension, '') || ' ' || j.period) AS goal,
           j.plan, j.kpi_id, j.kpi, j.title AS kpi_title, j.unit, j.direction,
           CASE WHEN j.member_id IS NULL THEN 'team' ELSE 'member' END AS scope,
           t.id AS team_id, t.key AS team, t.name AS team_name,
           (SELECT string_agg(u.name, ' / ' ORDER BY a.depth DESC) FROM gp.above(t.id, j.today) a JOIN kpi.team u ON u.id = a.id) AS team_path,
           (SELECT max(a.depth) FROM gp.above(t.id, j.today) a) AS team_level,
           j.member_id, j.member, j.member_name, j.dimension, j.dimension_value, j.grain, j.period, j.period_start, j.period_end,
           j.today BETWEEN j.period_start AND j.period_end AS is_current,
           j.target, round(j.actual, 10) AS actual, round(j.to_date, 10) AS actual_to_date, j.num AS numerator, j.den AS denominator,
           round(j.actual / j.target, 6) AS attainment_ratio, round(j.target - j.actual, 10) AS remaining,
           round(j.gone::numeric / j.days, 6) AS elapsed_ratio, j.expected_today,
           round(j.to_date / nullif(j.expected_today, 0), 6) AS pace_ratio,
           CASE WHEN j.is_additive AND j.left > 0 THEN round(greatest(j.target - j.to_date, 0) / j.left, 6) END AS required_per_workday,
           j.left AS workdays_left,
           CASE WHEN j.today < j.first_day THEN 'not_started'
                WHEN j.to_date IS NULL THEN 'no_data'
                WHEN j.today > j.last_day THEN CASE WHEN j.ahead_of_target >= 0 THEN 'achieved'
                                                      WHEN j.direction = 'down' AND j.is_additive THEN 'over_limit' ELSE 'missed' END
                WHEN j.is_additive AND j.direction = 'down' AND j.ahead_of_target < 0 AND NOT may_fall THEN 'over_limit'
                WHEN j.is_additive AND j.direction = 'up' AND j.target > 0 AND j.ahead_of_target >= 0 THEN 'achieved'
                WHEN j.p >= 0.5 OR j.p IS NULL AND (j.in_pace >= 0.95 OR j.status_rule = 13) THEN 'on_track'
                WHEN j.p >= 0.2 OR j.p IS NOT NULL AND j.status_rule = 11 OR j.p IS NULL AND j.in_pace >= 0.8 THEN 'at_risk'
                ELSE 'behind' END AS status,
           -- what is over, or has not begun, is not judged anew every day
           CASE WHEN j.today BETWEEN j.period_start AND j.period_end THEN j.today END AS as_of_day
      FROM judged j JOIN kpi.team t ON t.id = coalesce(j.team_id, j.in_team, 2);
-- Columns that are not as expected; and what a day cannot say but a row must.
CREATE VIEW gp.wrong AS
    SELECT coalesce(e.goal, p.goal) AS goal, x.key AS "column", to_jsonb(p) -> x.key AS is, x.value AS should_be
      FROM gp.expected e
      FULL JOIN (SELECT p.*, round(p.actual, 10) AS a, round(p.actual_to_date, 10) AS b, round(p.remaining, 10) AS c
                   FROM kpi.goal_progress p WHERE p.kpi LIKE 'gp\_%') p USING (goal_id)
      LEFT JOIN LATERAL jsonb_each(to_jsonb(e)) x ON e.goal_id IS NOT NULL
     WHERE CASE WHEN p.goal_id IS NULL OR e.goal_id IS NULL THEN true
                WHEN x.key = 'as_of_day' AND x.value = 'null' THEN false
                WHEN x.key IN ('actual', 'actual_to_date', 'remaining')
                THEN x.value IS DISTINCT FROM to_jsonb(p) -> (CASE x.key WHEN 'actual' THEN 'a' WHEN 'remaining' THEN 'c' ELSE 'b' END)
                ELSE x.value IS DISTINCT FROM to_jsonb(p) -> x.key END
        OR p.status_rank <> array_position('{missed,over_limit,behind,at_risk,incomplete,no_data,on_track,achieved,not_started,no_target}', p.status)
        OR NOT p.is_complete OR p.id IS NULL OR p.status_reason IS NULL
     ORDER BY 1, 2;
-- What was written since it was asked last: goals whose rows are other versions,
-- and those of them whose changed_at is an earlier one or the same.
CREATE TABLE gp.version AS SELECT id, ctid AS place, xmin AS writer, changed_at FROM kpi.goal_progress;
CREATE FUNCTION gp.written() RETURNS TABLE (goal text, not_dated boolean) LANGUAGE sql AS $$
    WITH old AS (DELETE FROM gp.version RETURNING *),
         new AS (INSERT INTO gp.version SELECT id, ctid, xmin, changed_at FROM kpi.goal_progress RETURNING *)
    SELECT p.goal, NOT coalesce(new.changed_at > old.changed_at, true)
      FROM new JOIN kpi.goal_progress p USING (id) LEFT JOIN old USING (id)
     WHERE (old.place, old.writer) IS DISTINCT FROM (new.place, new.writer)
     ORDER BY p.goal COLLATE "C"
$$;

-- ---- goals of all kinds ----

SELECT count(kpi.create_goal(kpi => kpi, team => team, member => member, period => period, target => target, pace => 'workdays',
                             dimension => CASE WHEN value IS NOT NULL THEN 'product' END, dimension_value => nullif(value, 'none')))
  FROM (VALUES ('gp_revenue', NULL, NULL, '2026', 20000, NULL), ('gp_revenue', 'gp_emea', NULL, '2026-Q4', 3000, NULL),
               ('gp_revenue', 'gp_dach', NULL, '2026-11', 1200, NULL), ('gp_revenue', 'gp_apac', NULL, '2026-11', 1000, NULL),
               ('gp_revenue', 'gp_apac', NULL, '2026-W47', 50, NULL), ('gp_revenue', 'gp_dach', NULL, '2026-W47', 50, NULL),
               ('gp_revenue', '(unassigned)', NULL, '2026-11', 10, NULL), ('gp_revenue', 'gp_dach', NULL, '2026-10', 100, NULL),
               ('gp_revenue', 'gp_dach', NULL, '2027-01', 2000, NULL), ('gp_revenue', 'gp_dach', NULL, '2025', 5, NULL),
               ('gp_revenue', NULL, 'gp_ann', '2026-11', 500, NULL), ('gp_revenue', NULL, 'gp_bob', '2026-Q4', 1000, NULL),
               ('gp_revenue', NULL, 'gp_bob', '2026-10', 100, NULL), ('gp_revenue', NULL, 'gp_cat', '2026-11', 700, NULL),
               ('gp_revenue', NULL, 'gp_bob', '2027-02', 1000, NULL),
               ('gp_revenue', 'gp_emea', NULL, '2026-11', 900, 'p'), ('gp_revenue', NULL, NULL, '2026-Q4', 900, 'none'),
               ('gp_revenue', NULL, NULL, '2026-Q4', 900, 'no such'),
               ('gp_won', 'gp_dach', NULL, '2026-11', 40, NULL), ('gp_won', NULL, NULL, '2026-11', 60, 'q'),
               ('gp_rate', 'gp_dach', NULL, '2026-11', 0.5, NULL), ('gp_rate', NULL, 'gp_ann', '2026-Q4', 0.9, NULL),
               ('gp_rate', 'gp_dach', NULL, '2025', 0.5, NULL), ('gp_rate', 'gp_dach', NULL, '2027-12', 0.5, NULL),
               ('gp_size', 'gp_apac', NULL, '2026-11', 40, NULL), ('gp_size', 'gp_emea', NULL, '2026-Q3', 60, NULL),
               ('gp_cost', 'gp_emea', NULL, '2026-11', 700, NULL), ('gp_cost', 'gp_dach', NULL, '2026-11', 50, NULL),
               ('gp_cost', 'gp_dach', NULL, '2026-Q3', 50, NULL), ('gp_cost', 'gp_apac', NULL, '2026-Q3', 5000, NULL),
               ('gp_profit', NULL, NULL, '2026', 15000, NULL), ('gp_profit', 'gp_emea', NULL, '2026-11', 1000, NULL),
               ('gp_per_won', 'gp_dach', NULL, '2026-11', 9, NULL), ('gp_per_won', NULL, NULL, '2026-Q3', 9, NULL)
       ) g (kpi, team, member, period, target, value);
SELECT kpi.create_goal('named', kpi => 'gp_revenue', period => '2026-11', target => 3000, pace => 'workdays') > 0 AS created;
SELECT count(*) FROM gp.written();
SELECT * FROM gp.wrong;
SELECT status, count(*) FROM kpi.goal_progress GROUP BY 1 ORDER BY 1;
SELECT goal, actual, actual_to_date, expected_today, workdays_left, status, status_reason FROM kpi.goal_progress
 WHERE kpi IN ('gp_revenue', 'gp_cost') AND is_current ORDER BY goal COLLATE "C";
SELECT bool_and(goal_id = id / 131072) AS stable_key, count(DISTINCT id) = count(*) AS is_key FROM kpi.goal_progress;
-- the look for who missed them finds nothing to write
CALL kpi.refresh();
SELECT * FROM gp.written();
SELECT count(*) FROM kpi_internal.goal_recheck;

-- ---- facts ----

-- of today and ahead: what is ahead is in "actual" alone
INSERT INTO gp.deals VALUES (5001, 'gp_ann', 'p', 'won', 40, '2026-11-18');
CALL kpi.refresh();
SELECT * FROM gp.written();
INSERT INTO gp.deals VALUES (5002, 'gp_ann', 'p', 'won', 100000, '2026-11-19');
CALL kpi.refresh();
SELECT * FROM gp.written();
SELECT * FROM gp.wrong;
SELECT goal, actual, actual_to_date, status FROM kpi.goal_progress WHERE goal = 'Revenue DACH 2026-11';
-- no goal has them; or the goal has what it had
INSERT INTO gp.deals VALUES (5003, 'gp_ann', 'p', 'open', 1, '2024-11-18');
CALL kpi.refresh();
SELECT * FROM gp.written();
UPDATE gp.deals SET stage = 'lost' WHERE id = 5003;
DELETE FROM gp.deals WHERE id = 5003;
CALL kpi.refresh();
SELECT * FROM gp.written();
-- the other source of a formula
INSERT INTO gp.costs VALUES (5001, 'gp_dach', 500, '2026-11-17');
CALL kpi.refresh('gp_costs');
SELECT * FROM gp.written();
SELECT * FROM gp.wrong;
-- in place: nothing that changes with facts is indexed
VACUUM FULL kpi.goal_progress;
BEGIN;
CREATE TEMP VIEW updates AS SELECT n_tup_upd AS n, n_tup_hot_upd AS hot FROM pg_stat_xact_user_tables WHERE relid = 'kpi.goal_progress'::regclass;
CREATE TEMP TABLE before AS SELECT * FROM updates;
UPDATE gp.deals SET amount = amount + 1 WHERE day BETWEEN '2026-11-01' AND '2026-11-18' AND owner = 'gp_cat';
CALL kpi.refresh();
SELECT u.n - b.n AS updates, u.hot - b.hot AS hot FROM updates u, before b;
ROLLBACK;
SELECT DISTINCT a.attname COLLATE "C" AS indexed FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
 WHERE i.indrelid = 'kpi.goal_progress'::regclass ORDER BY 1;
TRUNCATE gp.version;
INSERT INTO gp.version SELECT id, ctid, xmin, changed_at FROM kpi.goal_progress;

-- ---- definitions: at once, without a refresh ----

SELECT kpi.alter_team('gp_emea', name => 'Europe');
SELECT * FROM gp.written();
SELECT * FROM gp.wrong;
SELECT kpi.alter_team('gp_dach', new_key => 'gp_d');
SELECT kpi.alter_team('gp_d', new_key => 'gp_dach');
SELECT kpi.alter_member('gp_ann', name => 'Ann Weber');
SELECT kpi.alter_team('company', name => 'Firma');
SELECT * FROM gp.wrong;
SELECT kpi.alter_team('company', name => 'Company');
SELECT count(*) FROM gp.written();
SELECT kpi.alter_kpi('gp_cost', title => 'Costs', unit => 'EUR');
SELECT * FROM gp.written();
SELECT * FROM gp.wrong;
SELECT kpi.alter_goal('named', target => 50);
SELECT * FROM gp.written();
SELECT kpi.alter_goal('named', name => 'renamed');
SELECT * FROM gp.wrong;
SELECT kpi.drop_goal('renamed');
SELECT count(*) FROM kpi.goal_progress WHERE goal = 'renamed';
SELECT * FROM gp.wrong;
TRUNCATE gp.version;
INSERT INTO gp.version SELECT id, ctid, xmin, changed_at FROM kpi.goal_progress;
SELECT kpi.add_holiday('2026-11-20', 'Day off');
SELECT * FROM gp.wrong;
SELECT kpi.drop_holiday('2026-11-20');
SELECT kpi.alter_calendar('gp_calendar', working_days => 'wed');
SELECT * FROM gp.wrong;
SELECT kpi.alter_team('gp_dach', calendar => 'gp_calendar');
SELECT * FROM gp.wrong;
SELECT kpi.drop_goal(id) FROM kpi.goal WHERE period = '2026-W47' AND kpi_id = (SELECT id FROM kpi.kpi WHERE name = 'gp_revenue') AND team_id = (SELECT id FROM kpi.team WHERE key = 'gp_dach');
CALL kpi.refresh();
SELECT * FROM gp.wrong;
-- a name that nothing changes
TRUNCATE gp.version;
INSERT INTO gp.version SELECT id, ctid, xmin, changed_at FROM kpi.goal_progress;
SELECT kpi.alter_team('gp_emea', name => 'Europe');
SELECT kpi.alter_goal(min(id), target => 20000) FROM kpi.goal;
CALL kpi.refresh();
SELECT * FROM gp.written();

-- moves: the names and paths at once, the numbers with the refresh
SELECT kpi.move_team('gp_dach', parent => 'gp_apac');
CALL kpi.refresh();
SELECT * FROM gp.wrong;
SELECT kpi.move_member('gp_ann', team => 'gp_apac', since => '2026-11-05');
CALL kpi.refresh();
SELECT * FROM gp.wrong;
SELECT kpi.end_membership('gp_ann', until => '2026-11-17');
CALL kpi.refresh();
SELECT * FROM gp.wrong;
-- from a day to come
SELECT kpi.move_member('gp_ann', team => 'gp_emea', since => '2026-11-20');
SELECT kpi.move_team('gp_dach', parent => 'gp_emea', since => '2026-11-19');
CALL kpi.refresh();
SELECT * FROM gp.wrong;

-- ---- days ----

TRUNCATE gp.version;
INSERT INTO gp.version SELECT id, ctid, xmin, changed_at FROM kpi.goal_progress;
-- Later on the day nothing is written; a day later, what is current, and what is
-- below a team that moves.
SET kpi.now = '2026-11-18 23:59:59.999999+00';
CALL kpi.refresh();
SELECT * FROM gp.written();
SET kpi.now = '2026-11-19 00:00+00';
SELECT problem, object, detail FROM kpi.health() WHERE problem = 'day_behind';
SELECT count(*) FROM gp.wrong WHERE "column" = 'as_of_day';
CALL kpi.refresh();
SELECT count(*) FROM kpi.health() WHERE problem = 'day_behind';
SELECT count(*) = (SELECT count(*) FROM gp.expected WHERE is_current OR team_path LIKE '%DACH') AS right_ones, bool_or(w.not_dated) FROM gp.written() w;
SELECT * FROM gp.wrong;
SELECT kpi, scope, period_start, stored, expected FROM kpi.verify();
SELECT goal, actual, actual_to_date, status FROM kpi.goal_progress WHERE goal = 'Revenue Company 2026';
SET kpi.now = '2026-11-20 12:00+00';
CALL kpi.refresh();
SELECT * FROM gp.wrong;
-- no day of work: only its name
SET kpi.now = '2026-11-21 12:00+00';
CALL kpi.refresh();
SELECT * FROM gp.wrong;
-- a period ends and the next begins, and years pass
SET kpi.now = '2026-12-01 12:00+00';
CALL kpi.refresh();
SELECT * FROM gp.wrong;
SELECT kpi, scope, period_start, stored, expected FROM kpi.verify();
SET kpi.now = '2027-01-15 12:00+00';
CALL kpi.refresh();
SELECT * FROM gp.wrong;
SET kpi.now = '2029-01-01 12:00+00';
CALL kpi.refresh();
SELECT * FROM gp.wrong;
SELECT kpi, scope, period_start, stored, expected FROM kpi.verify();
-- and back
SET kpi.now = '2026-11-19 12:00+00';
CALL kpi.refresh();
SELECT * FROM gp.wrong;
SET kpi.now = '2026-11-18 12:00+00';
CALL kpi.refresh();
SELECT * FROM gp.wrong;
SELECT kpi, scope, period_start, stored, expected FROM kpi.verify();
SET kpi.now = '2025-11-18 12:00+00';
CALL kpi.refresh();
SELECT * FROM gp.wrong;
SELECT problem FROM kpi.health() WHERE problem = 'day_behind';
SET kpi.now = '2026-11-18 12:00+00';
CALL kpi.refresh();
SELECT * FROM gp.wrong;

-- ---- who may ----

CREATE ROLE regress_gp_reader;
CREATE ROLE regress_gp_editor;
SELECT kpi.grant_reader('regress_gp_reader');
SELECT kpi.grant_editor('regress_gp_editor');
SET ROLE regress_gp_reader;
SELECT count(*) > 30 AS reads FROM kpi.goal_progress;
UPDATE kpi.goal_progress SET actual = 1;
DELETE FROM kpi.goal_progress;
SELECT FROM kpi.goal_progress FOR UPDATE;
SELECT FROM kpi_internal.goal_now;
SET ROLE regress_gp_editor;
SELECT count(*) > 30 AS reads FROM kpi.goal_progress;
UPDATE kpi.goal_progress SET actual = 1;
INSERT INTO kpi.goal_progress SELECT * FROM kpi.goal_progress;
TRUNCATE kpi.goal_progress;
BEGIN;
LOCK TABLE kpi.goal_progress;
ROLLBACK;
SELECT kpi.create_goal('by editor', kpi => 'gp_revenue', period => '2026-12', target => 3000) > 0 AS created;
SELECT goal, target, status FROM kpi.goal_progress WHERE goal = 'by editor';
SELECT kpi.drop_goal('by editor');
SELECT count(*) FROM kpi.goal_progress WHERE goal = 'by editor';
RESET ROLE;
SELECT kpi.revoke_reader('regress_gp_reader'), kpi.revoke_editor('regress_gp_editor'), kpi.revoke_reader('regress_gp_editor');
DROP ROLE regress_gp_reader, regress_gp_editor;

-- Row security that the owner enables is for readers.
CREATE ROLE regress_gp_reader;
SELECT kpi.grant_editor('regress_gp_reader');
ALTER TABLE kpi.goal_progress ENABLE ROW LEVEL SECURITY;
CREATE POLICY gp_policy ON kpi.goal_progress FOR SELECT TO regress_gp_reader USING (team LIKE 'gp_apac');
SET ROLE regress_gp_reader;
SELECT DISTINCT team FROM kpi.goal_progress;
SELECT kpi.create_goal('hidden', kpi => 'gp_revenue', period => '2026-11', target => 3000, pace => 'workdays') > 0 AS created;
SELECT count(*) FROM kpi.goal_progress WHERE goal = 'hidden';
RESET ROLE;
SELECT goal, actual > 0 AS has_number FROM kpi.goal_progress WHERE goal = 'hidden';
INSERT INTO gp.deals VALUES (5004, 'gp_bob', 'q', 'won', 7, '2026-11-18');
CALL kpi.refresh();
SELECT kpi.create_goal('secured', kpi => 'gp_revenue', period => '2026-12', target => 3000) > 0 AS created;
SELECT * FROM gp.wrong;
SELECT kpi.drop_goal('secured'), kpi.drop_goal('hidden');
DROP POLICY gp_policy ON kpi.goal_progress;
ALTER TABLE kpi.goal_progress DISABLE ROW LEVEL SECURITY;
SELECT kpi.revoke_editor('regress_gp_reader'), kpi.revoke_reader('regress_gp_reader');
DROP ROLE regress_gp_reader;

-- ---- verification and repair ----

CALL kpi.refresh();
SELECT kpi, scope, period_start, stored, expected FROM kpi.verify();
UPDATE kpi.goal_progress SET actual = actual + 1, team_name = 'x' WHERE goal = 'Revenue APAC 2026-11';
UPDATE kpi.goal_progress SET status = 'achieved' WHERE goal = 'gp_rate DACH 2026-11';
UPDATE kpi.goal_progress SET as_of_day = '2026-11-01' WHERE goal = 'gp_won DACH 2026-11';
DELETE FROM kpi.goal_progress WHERE goal = 'Costs Europe 2026-11';
DELETE FROM kpi.goal_progress WHERE goal = 'Revenue DACH 2025';
SELECT source_name, level, kpi, scope, period_start, stored, left(expected, 40) AS expected FROM kpi.verify() ORDER BY 1, 3, 4, 5;
SELECT source_name, kpi, stored FROM kpi.verify('gp_costs') ORDER BY 1, 2;
SELECT kpi.repair('gp_costs') AS repaired;
SELECT kpi.repair('gp_deals') AS repaired;
SELECT kpi, scope, period_start, stored, expected FROM kpi.verify();
SELECT kpi.repair('gp_deals') AS repaired;
SELECT * FROM gp.wrong;

-- ---- a KPI that stands still, and one that goes ----

ALTER TABLE gp.deals DISABLE TRIGGER ALL;
CALL kpi.refresh();
SELECT kpi, status, is_complete, actual IS NULL AS no_number, count(*) FROM kpi.goal_progress GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
ALTER TABLE gp.deals ENABLE TRIGGER ALL;
SELECT kpi.resume('gp_deals');
CALL kpi.refresh();
SELECT * FROM gp.wrong;

SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT count(*) FROM kpi.goal_progress;
SELECT kpi.drop_kpi('gp_profit'), kpi.drop_kpi('gp_per_won');
SELECT kpi.drop_source('gp_deals', cascade => true), kpi.drop_source('gp_costs', cascade => true);
SELECT kpi.drop_member('gp_ann'), kpi.drop_member('gp_bob'), kpi.drop_member('gp_cat');
SELECT kpi.drop_team('gp_dach');
SELECT kpi.drop_team('gp_emea');
SELECT kpi.drop_team('gp_apac');
SELECT kpi.drop_calendar('gp_calendar');
DROP SCHEMA gp CASCADE;
CALL kpi.refresh();
