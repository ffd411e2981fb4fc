-- What is announced of goals, and when: achieved, over_limit, missed and milestones at once, any
-- other status when it has come to its next day, however often somebody looks.  kpi.goal_event keeps it.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET kpi.now = '2026-11-16 12:00+00';
CREATE SCHEMA ge;
CREATE TABLE ge.deals (id integer PRIMARY KEY, owner text, day date, amount numeric);
INSERT INTO ge.deals VALUES (1, 'ge_a', '2026-11-02', 10), (2, 'ge_b', '2026-11-02', 1);
SELECT kpi.create_team('ge_t') > 0 AS created;
SELECT kpi.add_member('ge_a', team => 'ge_t') > 0 AS a, kpi.add_member('ge_b', team => 'ge_t') > 0 AS b;
SELECT kpi.create_source('ge', relation => 'ge.deals', key => 'id', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('ge_sum', source => 'ge', measure => 'sum(amount)') > 0 AS sum,
       kpi.create_kpi('ge_cost', source => 'ge', measure => 'sum(amount)', direction => 'down') > 0 AS cost;
CALL kpi.refresh();
SELECT kpi.create_goal('plain', kpi => 'ge_sum', team => 'ge_t', period => '2026-11', target => 100, pace => 'workdays') > 0 AS plain,
       kpi.create_goal('steps', kpi => 'ge_sum', team => 'ge_t', period => '2026-11', target => 100, plan => 'steps',
                       milestones => '{"2026-11-05": 5, "2026-11-15": 40, "2026-11-20": 60, "2026-11-25": 90, "2026-11-28": 95}') > 0 AS steps,
       kpi.create_goal('cap', kpi => 'ge_cost', member => 'ge_b', period => '2026-11', target => 20) > 0 AS cap,
       kpi.create_goal('cap steps', kpi => 'ge_cost', member => 'ge_b', period => '2026-11', target => 50, plan => 'steps', milestones => '{"2026-11-15": 5}') > 0 AS cap_steps;
CREATE VIEW ge.events AS
    SELECT goal, event, old_status AS old, status, actual_to_date AS actual, milestone, milestone_date, day FROM kpi.goal_event ORDER BY id;
CREATE VIEW ge.now AS
    SELECT p.goal, s.status AS announced, p.status, p.status_since FROM kpi.goal_progress p LEFT JOIN kpi_internal.goal_status s USING (id) ORDER BY p.goal_id;
-- the first status, and the milestones that are reached then, are no events
SELECT * FROM ge.now;
SELECT * FROM ge.events;

-- a status that follows from numbers waits
INSERT INTO ge.deals VALUES (3, 'ge_a', '2026-11-03', 35);
CALL kpi.refresh();
SELECT * FROM ge.now;
SELECT * FROM ge.events;
-- looked at again and again, it still waits, to the last second of the day
SET kpi.now = '2026-11-16 23:59:59+00';
CALL kpi.refresh();
SELECT kpi.alter_goal('plain', description => 'more');
SELECT * FROM ge.events WHERE event = 'status';
-- the next day has it, without a fact, and once
SET kpi.now = '2026-11-17 00:00+00';
CALL kpi.refresh();
SELECT * FROM ge.now;
CALL kpi.refresh();
SELECT * FROM ge.events;

-- what comes and goes within a day is nobody's news
INSERT INTO ge.deals VALUES (4, 'ge_a', '2026-11-04', 20);
CALL kpi.refresh();
SELECT * FROM ge.now WHERE goal = 'plain';
DELETE FROM ge.deals WHERE id = 4;
SET kpi.now = '2026-11-17 20:00+00';
CALL kpi.refresh();
SELECT * FROM ge.now WHERE goal = 'plain';
SET kpi.now = '2026-11-18 00:00+00';
CALL kpi.refresh();
-- but the milestone that was reached was said, and is not said again
SELECT * FROM ge.events WHERE day > '2026-11-16';
INSERT INTO ge.deals VALUES (4, 'ge_a', '2026-11-04', 20);
CALL kpi.refresh();
SELECT count(*) FROM kpi.goal_event WHERE event = 'milestone';

-- settled: at once; two milestones and the target in one refresh
DELETE FROM kpi.goal_event;
INSERT INTO ge.deals VALUES (5, 'ge_a', '2026-11-05', 100), (6, 'ge_b', '2026-11-05', 50);
CALL kpi.refresh();
SELECT * FROM ge.events;
-- a refund: that it is achieved no more waits, and if it is again the next day, nothing was
UPDATE ge.deals SET amount = -amount WHERE id IN (3, 6);
DELETE FROM ge.deals WHERE id = 5;
CALL kpi.refresh();
SELECT * FROM ge.now;
INSERT INTO ge.deals VALUES (5, 'ge_a', '2026-11-05', 100);
UPDATE ge.deals SET amount = -amount WHERE id IN (3, 6);
CALL kpi.refresh();
SET kpi.now = '2026-11-19 12:00+00';
CALL kpi.refresh();
SELECT count(*) AS events FROM kpi.goal_event;
-- that of a goal for days that are over waits for the next day, too, though the day moves nothing else of it
DELETE FROM ge.deals WHERE id IN (5, 6);
SET kpi.now = '2026-12-10 12:00+00';
CALL kpi.refresh();
DELETE FROM kpi.goal_event;
SELECT * FROM ge.now;
DELETE FROM ge.deals;
CALL kpi.refresh();
SELECT * FROM ge.now WHERE goal = 'plain';
SET kpi.now = '2026-12-11 12:00+00';
CALL kpi.refresh();
SELECT * FROM ge.events;

-- only what commits; only once
DELETE FROM kpi.goal_event;
BEGIN;
INSERT INTO ge.deals VALUES (7, 'ge_a', '2026-11-05', 500);
CALL kpi.refresh();
SELECT goal, event, status FROM ge.events;
ROLLBACK;
CALL kpi.refresh();
SELECT count(*) FROM kpi.goal_event;

-- with names and keys, for readers
INSERT INTO ge.deals VALUES (7, 'ge_b', '2026-11-05', 500);
CALL kpi.refresh();
CREATE ROLE regress_ge_reader;
SELECT kpi.grant_reader('regress_ge_reader');
SET ROLE regress_ge_reader;
SELECT goal, plan, kpi, scope, team, member, dimension, period, period_start, event, old_status, status, target, day, happened_at FROM kpi.goal_event ORDER BY goal, id;
DELETE FROM kpi.goal_event;
RESET ROLE;
SELECT kpi.revoke_reader('regress_ge_reader');
DROP ROLE regress_ge_reader;

SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT count(*) FROM kpi.goal_event;
SELECT kpi.drop_source('ge', cascade => true);
SELECT kpi.drop_member('ge_a'), kpi.drop_member('ge_b');
SELECT kpi.drop_team('ge_t');
DROP SCHEMA ge CASCADE;
