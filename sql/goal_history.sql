-- A goal's days are kept, also one on which its numbers were no longer there.
SET kpi.now = '2026-05-11 12:00+00';
CREATE SCHEMA gh;
CREATE TABLE gh.deals (owner text, amount numeric, day date);
INSERT INTO gh.deals VALUES ('gh_a', 10, '2026-05-10');
SELECT kpi.create_source('gh', relation => 'gh.deals', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('gh_money', source => 'gh', measure => 'sum(amount)') > 0 AS created;
CALL kpi.refresh();
SELECT kpi.create_goal('gh', kpi => 'gh_money', period => '2026-05', target => 100) > 0 AS created;
CREATE VIEW gh.kept AS SELECT h.day, h.target, h.actual_to_date, h.status FROM kpi.goal_progress_history h JOIN kpi.goal g ON g.id = goal_id WHERE g.name = 'gh';
SET kpi.now = '2026-05-12 12:00+00';
CALL kpi.refresh();
SELECT * FROM gh.kept ORDER BY day;

-- the source stops within a day, and facts come meanwhile
INSERT INTO gh.deals VALUES ('gh_a', 5, '2026-05-12');
CALL kpi.refresh();
-- the warning names a measure by its number
SET client_min_messages = error;
ALTER TABLE gh.deals ALTER amount TYPE text;
INSERT INTO gh.deals VALUES ('gh_a', '7', '2026-05-12');
CALL kpi.refresh();
SELECT status, is_complete FROM kpi.goal_progress WHERE goal = 'gh';
SELECT * FROM gh.kept ORDER BY day;
SET kpi.now = '2026-05-13 12:00+00';
CALL kpi.refresh();
SELECT * FROM gh.kept ORDER BY day;

-- it goes on: the day that was not complete is as it was before, and none for one that never was
ALTER TABLE gh.deals ALTER amount TYPE numeric USING amount::numeric;
SELECT kpi.resume('gh');
SET kpi.now = '2026-05-14 12:00+00';
CALL kpi.refresh();
SELECT actual_to_date, is_complete FROM kpi.goal_progress WHERE goal = 'gh';
SELECT * FROM gh.kept ORDER BY day;

-- complete again before the day is over: its end counts
ALTER TABLE gh.deals ALTER amount TYPE text;
CALL kpi.refresh();
SELECT * FROM gh.kept ORDER BY day;
INSERT INTO gh.deals VALUES ('gh_a', '9', '2026-05-14');
ALTER TABLE gh.deals ALTER amount TYPE numeric USING amount::numeric;
SELECT kpi.resume('gh');
CALL kpi.refresh();
SET kpi.now = '2026-05-15 12:00+00';
CALL kpi.refresh();
SELECT * FROM gh.kept ORDER BY day;

SELECT count(kpi.drop_goal(id)) FROM kpi.goal WHERE name = 'gh';
SELECT kpi.drop_source('gh', cascade => true);
DROP SCHEMA gh CASCADE;
RESET kpi.now;
