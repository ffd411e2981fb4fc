-- The status that listeners know is the one that kpi.goal_progress shows, at once where it is
-- settled and on the next day in any case, whatever changed it: facts of each grain, a rebuild,
-- a calendar, a move.
SET client_min_messages = error;
SET kpi.now = '2026-11-18 12:00+00';
CREATE SCHEMA announced_test;
CREATE TABLE announced_test.deals (id integer PRIMARY KEY, owner text, closed_at date, amount numeric, product text);
INSERT INTO announced_test.deals VALUES (1, 'an_ann', '2026-11-02', 1, 'a'), (2, 'an_bob', '2026-11-02', 60, 'a');
SELECT kpi.create_team('an_emea') > 0 AS created;
SELECT kpi.create_team('an_dach', parent => 'an_emea') > 0 AS created;
SELECT kpi.create_team('an_apac') > 0 AS created;
SELECT kpi.add_member('an_ann', team => 'an_dach') > 0 AS created;
SELECT kpi.add_member('an_bob', team => 'an_apac') > 0 AS created;
SELECT kpi.create_source('an_deals', relation => 'announced_test.deals', key => 'id', owner => 'owner', at => 'closed_at',
                         dimensions => '{"product": "product"}') > 0 AS created;
SELECT kpi.create_kpi('an_revenue', source => 'an_deals', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('an_double', formula => 'an_revenue * 2') > 0 AS created;
CALL kpi.refresh();
SELECT kpi.create_goal('1 week', kpi => 'an_revenue', team => 'an_dach', period => '2026-W47', target => 5) > 0 AS created;
SELECT kpi.create_goal('2 month', kpi => 'an_revenue', team => 'an_dach', period => '2026-11', target => 10) > 0 AS created;
SELECT kpi.create_goal('3 quarter', kpi => 'an_revenue', team => 'an_emea', period => '2026-Q4', target => 10) > 0 AS created;
SELECT kpi.create_goal('4 year', kpi => 'an_revenue', period => '2026', target => 70) > 0 AS created;
SELECT kpi.create_goal('5 member', kpi => 'an_revenue', member => 'an_ann', period => '2026-11', target => 15) > 0 AS created;
SELECT kpi.create_goal('6 product', kpi => 'an_revenue', team => 'an_dach', period => '2026-11', target => 10, dimension => 'product', dimension_value => 'a') > 0 AS created;
SELECT kpi.create_goal('7 formula', kpi => 'an_double', team => 'an_dach', period => '2026-W47', target => 20) > 0 AS created;
CREATE VIEW announced_test.statuses AS
    SELECT p.goal, s.status AS announced, p.status AS shown, p.expected_today FROM kpi.goal_progress p
      LEFT JOIN kpi_internal.goal_status s USING (goal_id) ORDER BY p.goal;
SELECT * FROM announced_test.statuses;

-- the last day of what the facts touch, of each grain
INSERT INTO announced_test.deals VALUES (3, 'an_ann', '2026-11-18', 9, 'a');
CALL kpi.refresh();
SELECT * FROM announced_test.statuses;
-- a fact on the first day of the periods alone
INSERT INTO announced_test.deals VALUES (4, 'an_ann', '2026-11-16', 50, 'a');
CALL kpi.refresh();
SELECT * FROM announced_test.statuses;
-- everything is computed anew
TRUNCATE announced_test.deals;
CALL kpi.refresh();
SELECT * FROM announced_test.statuses;
INSERT INTO announced_test.deals VALUES (1, 'an_ann', '2026-11-02', 5, 'a'), (2, 'an_ann', '2026-11-17', 3, 'b');
CALL kpi.refresh();
SELECT * FROM announced_test.statuses;

-- holidays and working days, of the organisation and of a team and those below
SELECT kpi.add_holiday('2026-11-20', 'x');
CALL kpi.refresh();
SELECT * FROM announced_test.statuses;
SELECT kpi.drop_holiday('2026-11-20');
CALL kpi.refresh();
SELECT * FROM announced_test.statuses;
SELECT kpi.alter_calendar('default', working_days => 'thu,fri');
CALL kpi.refresh();
SELECT * FROM announced_test.statuses;
SELECT kpi.alter_calendar('default', working_days => 'mon,tue,wed,thu,fri');
SELECT kpi.create_calendar('an_calendar', 'UTC', working_days => 'fri') > 0 AS created;
SELECT kpi.alter_team('an_emea', calendar => 'an_calendar');
CALL kpi.refresh();
SELECT * FROM announced_test.statuses;
-- a team and a member leave for where another calendar holds; read before and
-- after by one session
SELECT kpi.move_team('an_dach', parent => 'an_apac');
CALL kpi.refresh();
SELECT * FROM announced_test.statuses;
SELECT kpi.alter_team('an_dach', calendar => 'an_calendar');
CALL kpi.refresh();
SELECT * FROM announced_test.statuses WHERE goal = '5 member';
SELECT kpi.move_member('an_ann', team => 'an_apac', since => '2026-11-18');
CALL kpi.refresh();
SELECT * FROM announced_test.statuses WHERE goal = '5 member';
-- on that very day another day of the source's calendar begins
SET kpi.now = '2026-11-19 00:00+00';
CALL kpi.refresh();
SELECT * FROM announced_test.statuses;

SELECT kpi.drop_goal(id) FROM kpi.goal;
SELECT kpi.drop_source('an_deals', cascade => true);
SELECT kpi.drop_member('an_ann'), kpi.drop_member('an_bob');
SELECT kpi.drop_team('an_dach');
SELECT kpi.drop_team('an_emea');
SELECT kpi.drop_team('an_apac');
SELECT kpi.drop_calendar('an_calendar');
DROP SCHEMA announced_test CASCADE;
