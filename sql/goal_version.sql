-- A goal's target of a day: given from a day on, earlier, later, back; what was said stays.
SET kpi.now = '2026-11-10 12:00+00';
SET client_min_messages = notice;
CREATE SCHEMA gv;
CREATE TABLE gv.deals (owner text, amount numeric, day date);
INSERT INTO gv.deals SELECT 'gv_a', 10, d FROM generate_series('2025-09-01'::date, '2026-11-09', '1 day') d;
SELECT kpi.create_source('gv', relation => 'gv.deals', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('gv_money', source => 'gv', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_team('gv_t') IS NOT NULL AS created;
SELECT kpi.add_member('gv_a', team => 'gv_t', since => '2020-01-01') IS NOT NULL AS created;
CALL kpi.refresh();
SELECT kpi.create_goal('gv', kpi => 'gv_money', team => 'gv_t', period => '2026-Q4', target => 1000) > 0 AS created;
CREATE VIEW gv.version AS
    SELECT g.name, v.version, v.since, v.target_text, v.target, v.minimum, v.stretch, v.is_pending, v.reason, v.made_by = current_user AS mine
      FROM kpi.goal_version v JOIN kpi.goal g ON g.id = v.goal_id;
CREATE VIEW gv.progress AS SELECT goal, period, target, minimum FROM kpi.goal_progress WHERE kpi = 'gv_money';
-- the target of every day, by plain SQL over the versions
CREATE VIEW gv.days AS
    SELECT min(x.day) AS first, max(x.day) AS last, x.version, x.target FROM (
        SELECT d.day::date AS day, v.version, v.target, d.day::date - row_number() OVER (PARTITION BY v.version ORDER BY d.day)::integer AS island
          FROM generate_series('2026-10-01'::date, '2026-12-31', '1 day') d (day)
         CROSS JOIN LATERAL (SELECT z.version, z.target FROM kpi.goal_version z JOIN kpi.goal g ON g.id = z.goal_id
                              WHERE g.name = 'gv' AND z.since <= d.day ORDER BY z.version DESC LIMIT 1) v) x
     GROUP BY x.version, x.target, x.island;

-- from today on, where no day is given
SELECT kpi.alter_goal('gv', target => 1200, reason => 'a new rep');
SET kpi.now = '2026-11-12 12:00+00';
CALL kpi.refresh();
-- from an earlier day on: the rows of history stay as they were said
SELECT kpi.alter_goal('gv', target => 1500, since => '2026-11-01', reason => 'agreed with the board');
SELECT h.day, h.target FROM kpi.goal_progress_history h JOIN kpi.goal g ON g.id = h.goal_id WHERE g.name = 'gv' ORDER BY h.day;
SELECT * FROM gv.progress;
-- the same again is none
SELECT kpi.alter_goal('gv', target => 1500, since => '2026-11-05');
SELECT * FROM gv.version ORDER BY version;
SELECT * FROM gv.days ORDER BY first;
-- a day to come
SELECT kpi.alter_goal('gv', target => 2000, since => '2026-12-01', reason => 'the fair');
SELECT * FROM gv.progress;
SELECT d.day, t.version, t.since, t.period, t.target, t.reason
  FROM unnest('{2026-09-30,2026-10-01,2026-11-04,2026-11-30,2026-12-01,2027-01-01}'::date[]) d (day) LEFT JOIN kpi.target_of_day('gv', d.day) t ON true ORDER BY d.day;
SELECT t.version, t.target FROM kpi.target_of_day('gv') t;
SELECT target_text, target FROM kpi.goal WHERE name = 'gv';
SET kpi.now = '2026-11-30 23:00+00';
CALL kpi.refresh();
SELECT * FROM gv.progress;
SET kpi.now = '2026-12-01 08:00+00';
CALL kpi.refresh();
SELECT * FROM gv.progress;
SELECT target_text, target FROM kpi.goal WHERE name = 'gv';
SELECT * FROM kpi.verify('gv');
-- one that has not begun is replaced, and named
SELECT kpi.alter_goal('gv', target => 3000, since => '2026-12-20');
SELECT kpi.alter_goal('gv', minimum => '900', reason => 'a floor');
SELECT * FROM gv.version ORDER BY version;
SELECT * FROM gv.progress;
SET kpi.now = '2026-12-21 08:00+00';
CALL kpi.refresh();
SELECT * FROM gv.progress;
-- over: the last of its days
SET kpi.now = '2027-01-05 08:00+00';
CALL kpi.refresh();
SELECT kpi.alter_goal('gv', target => 2100);
SELECT version, since, target FROM gv.version ORDER BY version DESC LIMIT 1;
-- names change, versions stay
SELECT kpi.alter_kpi('gv_money', new_name => 'gv_cash');
SELECT kpi.alter_team('gv_t', new_key => 'gv_team');
SELECT t.version, t.target FROM kpi.target_of_day('gv', '2026-11-04') t;

-- recurring: all periods that end thereafter
SET kpi.now = '2026-11-12 12:00+00';
SELECT kpi.create_goal('gvm', kpi => 'gv_cash', team => 'gv_team', period => 'every month of 2026', target => 100) > 0 AS created;
SELECT kpi.alter_goal('gvm', target => 110);
SELECT period, target FROM kpi.goal_progress WHERE goal = 'gvm' AND period > '2026-08' ORDER BY period;
SELECT kpi.alter_goal('gvm', target => 105, since => '2026-10-10');
SELECT kpi.alter_goal('gvm', target => 120, since => '2026-12-01');
SELECT period, target FROM kpi.goal_progress WHERE goal = 'gvm' AND period > '2026-08' ORDER BY period;
SELECT d.day, t.period, t.version, t.target FROM unnest('{2026-10-09,2026-10-10,2026-11-11,2026-11-12,2026-12-01}'::date[]) d (day), kpi.target_of_day('gvm', d.day) t ORDER BY d.day;
SELECT kpi.create_kpi('gv_n', source => 'gv', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_goal('gvn', kpi => 'gv_n', team => 'gv_team', period => '2026-Q4', target => 10) > 0 AS created;
-- relative: what it came to
SELECT kpi.create_goal('gvr', kpi => 'gv_cash', team => 'gv_team', period => '2026-11', target => '+10% yoy', plan => 'gvp') > 0 AS created;
SELECT kpi.alter_goal('gvr', target => '+20% yoy', since => '2026-11-05');
SELECT d.day, t.version, t.target, t.target_text FROM unnest('{2026-11-04,2026-11-05}'::date[]) d (day), kpi.target_of_day('gvr', d.day) t ORDER BY d.day;
-- documents have the target of today, the log says why
SELECT e ->> 'target' AS target FROM jsonb_array_elements(kpi.export() -> 'goals') e WHERE e ->> 'name' = 'gvm';
SELECT action, new ->> 'target' AS target, reason FROM kpi.definition_log WHERE kind = 'goal' AND new ->> 'name' = 'gv' ORDER BY id;

-- what is wrong changes nothing
SELECT count(*) AS versions FROM kpi.goal_version \gset
SELECT kpi.alter_goal('gv', target => 1, since => '2027-01-01');
SELECT kpi.alter_goal('gv', target => 1, since => '2026-09-30');
SELECT kpi.alter_goal('gv', target => 1, since => 'infinity');
SELECT kpi.alter_goal('gv', since => '2026-11-01');
SELECT kpi.alter_goal('gv', minimum => '1', since => '2026-11-01');
SELECT kpi.alter_goal('gv', name => 'x', reason => 'typo');
SELECT kpi.alter_goal('gv', target => 'much', since => '2026-11-01');
SELECT kpi.alter_goal('gv', target => 100, minimum => 200, since => '2026-12-20');
SELECT kpi.alter_goal('gvr', target => 'avg of 30 months +5%', since => '2026-11-20');
SELECT kpi.alter_goal('gvm', target => '0', since => '2025-12-31');
SELECT kpi.alter_goal('gvn', target => -1, since => '2026-12-20');
SELECT * FROM kpi.target_of_day('gv_none');
SELECT count(*) = :versions AS same FROM kpi.goal_version;

SELECT count(kpi.drop_goal(id)) FROM kpi.goal WHERE name LIKE 'gv%';
SELECT count(*) FROM kpi.goal_version;
SELECT kpi.drop_plan('gvp');
SELECT kpi.drop_source('gv', cascade => true);
SELECT kpi.drop_member('gv_a');
SELECT kpi.drop_team('gv_team');
DROP SCHEMA gv CASCADE;
RESET kpi.now;
