-- Which changes of goals are announced: kpi_internal.goal_status has what was
-- announced last.  That NOTIFY carries it is tested with a listener.
SET client_min_messages = warning;
SET kpi.now = '2026-11-16 12:00+00';
CREATE SCHEMA notify_test;
CREATE TABLE notify_test.deals (id integer PRIMARY KEY, owner text, closed_at date, amount numeric, product text);
INSERT INTO notify_test.deals VALUES (1, 'alice', '2026-10-05', 10, 'Basic'), (2, 'bob', '2026-11-02', 20, 'Pro');
SELECT kpi.create_team('sales') > 0 AS created;
SELECT kpi.add_member('alice', team => 'sales') > 0 AS created;
SELECT kpi.create_source('deals', relation => 'notify_test.deals', owner => 'owner', at => 'closed_at',
                         dimensions => '{"product": "product"}') > 0 AS created;
SELECT kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('deals', source => 'deals', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_kpi('mean', formula => 'revenue / deals') > 0 AS created;

-- Announced and shown are the same at every step where the goal is achieved, over its limit or
-- missed; what else there is becomes so when a day has passed over it.
CREATE VIEW notify_test.announced AS
    SELECT p.goal, s.status AS announced, p.status FROM kpi.goal_progress p
      LEFT JOIN kpi_internal.goal_status s USING (goal_id) ORDER BY p.goal;
-- How often each was written: a status that stays is not written again.
CREATE TABLE notify_test.log (goal_id bigint, status text, old_status text);
CREATE FUNCTION notify_test.log() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO notify_test.log VALUES (NEW.goal_id, NEW.status, OLD.status); RETURN NULL; END$$;
CREATE TRIGGER log AFTER INSERT OR UPDATE ON kpi_internal.goal_status FOR EACH ROW EXECUTE FUNCTION notify_test.log();
CREATE VIEW notify_test.changes AS
    SELECT g.name AS goal, l.old_status, l.status FROM notify_test.log l JOIN kpi.goal g ON g.id = l.goal_id ORDER BY 1, 2, 3;

-- Nobody has seen a number yet: "incomplete" is no first status.
SELECT kpi.create_goal('company', kpi => 'revenue', period => '2026', target => 40) > 0 AS created;
SELECT kpi.create_goal('alice', kpi => 'deals', member => 'alice', period => '2026-11', target => 2) > 0 AS created;
SELECT kpi.create_goal('sales', kpi => 'revenue', team => 'sales', period => '2026-Q4', target => 100) > 0 AS created;
SELECT kpi.create_goal('pro', kpi => 'revenue', period => '2026-11', target => 25, dimension => 'product', dimension_value => 'Pro') > 0 AS created;
SELECT kpi.create_goal('mean', kpi => 'mean', period => '2026-11', target => 15) > 0 AS created;
SELECT * FROM notify_test.announced;
CALL kpi.refresh();
SELECT * FROM notify_test.announced;
SELECT * FROM notify_test.changes;
TRUNCATE notify_test.log;

-- Nothing changes: nothing is announced.
CALL kpi.refresh();
INSERT INTO notify_test.deals VALUES (3, 'bob', '2026-12-01', 1, 'Basic');
CALL kpi.refresh();
SELECT * FROM notify_test.changes;

-- Values change, and with them some statuses, of formulas and members too.
INSERT INTO notify_test.deals VALUES (4, 'alice', '2026-11-03', 5, 'Pro');
CALL kpi.refresh();
SELECT * FROM notify_test.announced;
SELECT * FROM notify_test.changes;
TRUNCATE notify_test.log;

-- In the transaction that makes it true, or not at all.
BEGIN;
INSERT INTO notify_test.deals VALUES (5, 'alice', '2026-11-03', 100, 'Pro');
CALL kpi.refresh();
SELECT * FROM notify_test.changes;
ROLLBACK;
SELECT * FROM notify_test.announced;
SELECT * FROM notify_test.changes;

-- Another target.
SELECT kpi.alter_goal('sales', target => 1);
SELECT kpi.alter_goal('sales', target => 2);
SELECT kpi.alter_goal('company', name => 'all');
SELECT * FROM notify_test.changes;
TRUNCATE notify_test.log;
-- A goal made when numbers are there has a status at once.
SELECT kpi.create_goal('new', kpi => 'revenue', period => '2026-Q4', target => 'infinity');
SELECT kpi.create_goal('new', kpi => 'revenue', period => '2026-Q4', target => 10) > 0 AS created;
SELECT * FROM notify_test.changes;
TRUNCATE notify_test.log;

-- A suspended source: its goals are incomplete, and who resumes it on the same day need not
-- tell anybody.
ALTER TABLE notify_test.deals DISABLE TRIGGER USER;
CALL kpi.refresh();
SELECT * FROM notify_test.changes;
TRUNCATE notify_test.log;
SELECT kpi.resume('deals');
CALL kpi.refresh();
SELECT * FROM notify_test.changes;
TRUNCATE notify_test.log;

-- A KPI that is changed: incomplete for a while is not announced.
SELECT kpi.alter_kpi('revenue', measure => 'sum(amount * 0.1)');
SELECT * FROM notify_test.announced;
CALL kpi.refresh();
SELECT * FROM notify_test.announced;
SELECT * FROM notify_test.changes;

-- Time moves on, without a fact: paces change, periods end.
TRUNCATE notify_test.log;
SET kpi.now = '2026-11-17 12:00+00';
CALL kpi.refresh();
CALL kpi.refresh();
SELECT * FROM notify_test.changes;
SET kpi.now = '2027-01-01 12:00+00';
CALL kpi.refresh('deals');
SELECT * FROM notify_test.changes;
CALL kpi.refresh();
SELECT * FROM notify_test.changes;
SELECT * FROM notify_test.announced;
SET kpi.now = '2026-11-16 12:00+00';
CALL kpi.refresh();

-- Repaired values count, too.
TRUNCATE notify_test.log;
UPDATE kpi_internal.goal_status SET status = 'missed';
UPDATE kpi.goal_progress SET status_since = status_since - interval '1 day';
TRUNCATE notify_test.log;
SELECT count(*) FROM kpi.verify('deals');
SELECT * FROM notify_test.changes;
SELECT kpi.repair('deals');
SELECT goal, status FROM notify_test.changes;

-- A goal that is dropped leaves nothing behind.
SELECT kpi.drop_goal(id) FROM kpi.goal;
SELECT count(*) FROM kpi_internal.goal_status;

DROP TRIGGER log ON kpi_internal.goal_status;
SELECT kpi.drop_kpi('mean');
SELECT kpi.drop_source('deals', cascade => true);
SELECT kpi.drop_member('alice');
SELECT kpi.drop_team('sales');
DROP SCHEMA notify_test CASCADE;
