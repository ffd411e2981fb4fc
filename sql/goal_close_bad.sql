-- Closing and reopening periods: what is refused, by name and with the remedy, and changes nothing.
SET client_min_messages = error;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET kpi.now = '2026-12-20 12:00+00';
CREATE SCHEMA gcb;
CREATE TABLE gcb.deals (id integer PRIMARY KEY, owner text, day date, amount numeric);
SELECT kpi.create_team('gcb_emea') > 0 AS team, kpi.add_member('gcb_ann', team => 'gcb_emea') > 0 AS member;
SELECT kpi.create_source('gcb', relation => 'gcb.deals', key => 'id', owner => 'owner', at => 'day') > 0 AS source,
       kpi.create_kpi('gcb_money', source => 'gcb', measure => 'sum(amount)') > 0 AS money, kpi.create_kpi('gcb_deals', source => 'gcb', measure => 'count(*)') > 0 AS deals,
       kpi.create_kpi('gcb_grown', formula => 'gcb_money / previous(gcb_money)') > 0 AS grown;
INSERT INTO gcb.deals VALUES (1, 'gcb_ann', '2026-10-05', 100), (2, 'gcb_ann', '2026-07-05', 50);
CALL kpi.refresh();
SELECT kpi.create_goal('gcb q4', kpi => 'gcb_money', team => 'gcb_emea', period => '2026-Q4', target => 300) > 0 AS q4,
       kpi.create_goal('gcb ann', kpi => 'gcb_deals', member => 'gcb_ann', period => '2026-10', target => 3) > 0 AS ann,
       kpi.create_goal('gcb grown', kpi => 'gcb_grown', team => 'gcb_emea', period => '2026-Q4', target => 1.1) > 0 AS grown,
       kpi.create_goal('gcb months', kpi => 'gcb_money', team => 'gcb_emea', period => 'every month', target => 100) > 0 AS months;
SELECT kpi.close_period(NULL);
SELECT kpi.close_period('2026-Q5');
SELECT kpi.close_period('every month of 2026');
SELECT kpi.close_period('2026-Q4', kpis => '{gcb_mony}');
SELECT kpi.close_period('2026-Q4', kpis => '{gcb_money,NULL}');
SELECT kpi.close_period('2026-Q4', kpis => '{}');
SELECT kpi.close_period('2024');
-- it runs
SELECT kpi.close_period('2026-Q4');
SELECT kpi.close_period('2026-12', kpis => '{gcb_money}');
SELECT kpi.reopen_period('2026-Q4', reason => 'what for');
-- changes wait: of its days, or of those a formula looks back to; not of others
SET kpi.now = '2027-01-04 12:00+00';
CALL kpi.refresh();
INSERT INTO gcb.deals VALUES (3, 'gcb_ann', '2026-11-05', 7);
SELECT kpi.close_period('2026-Q4');
CALL kpi.refresh();
INSERT INTO gcb.deals VALUES (4, 'gcb_ann', '2026-08-05', 7);
SELECT kpi.close_period('2026-Q4', kpis => '{gcb_grown}');
BEGIN;
SELECT kpi.close_period('2026-Q4', kpis => '{gcb_money}');
ROLLBACK;
CALL kpi.refresh();
SELECT kpi.end_membership('gcb_ann', until => '2026-11-01');
SELECT kpi.close_period('2026-Q4');
CALL kpi.refresh();
-- the source takes no changes
ALTER TABLE gcb.deals ALTER amount TYPE text;
CALL kpi.refresh();
SELECT kpi.close_period('2026-Q4');
SELECT count(*) FROM kpi.closed_period;
SELECT count(*) FROM kpi.goal_reported;
ALTER TABLE gcb.deals ALTER amount TYPE numeric USING amount::numeric;
SELECT kpi.resume('gcb');
CALL kpi.refresh();

-- closed: twice, by the month in it, by a longer one
SELECT kpi.close_period('2026-Q4', reason => 'first');
SELECT kpi.close_period('2026-Q4');
SELECT kpi.close_period('2026-10');
SELECT kpi.close_period('last quarter', kpis => '{gcb_deals}');
SELECT kpi.close_period('2026');
-- what it asked for stays, and so does the goal
SELECT kpi.alter_goal('gcb q4', target => 1);
SELECT kpi.alter_goal('gcb q4', stretch => '1000');
SELECT kpi.alter_goal('gcb q4', pace => 'linear');
SELECT kpi.alter_goal('gcb q4', description => 'is no target');
SELECT kpi.drop_goal('gcb q4');
SELECT kpi.drop_goal('gcb months');
SELECT kpi.drop_kpi('gcb_money', cascade => true);
SELECT kpi.drop_kpi('gcb_deals', cascade => true);
SELECT kpi.drop_source('gcb', cascade => true);
SELECT kpi.add_member('gcb_other') > 0 AS other;
SELECT kpi.merge_member('gcb_ann', into_member => 'gcb_other', goals => 'drop');
-- of what recurs the periods that go on follow, and no other
SELECT kpi.alter_goal('gcb months', target => '1', since => '2026-12-15', reason => 'too late');
SELECT kpi.alter_goal('gcb months', target => 120);
SELECT period, target, reported_at IS NOT NULL AS is_closed FROM kpi.goal_progress WHERE goal = 'gcb months' ORDER BY period_start;
-- reopened: a reason, the period that was closed, and nobody's twice
SELECT kpi.reopen_period('2026-Q4');
SELECT kpi.reopen_period('2026-Q4', reason => '');
SELECT kpi.reopen_period('2026-10', reason => 'the month');
SELECT kpi.reopen_period('2026-Q3', reason => 'never was');
SELECT kpi.reopen_period('2026-Q4', kpis => '{gcb_mony}', reason => 'a typo');
SELECT goal, reported_actual FROM kpi.goal_progress WHERE reported_at IS NOT NULL ORDER BY goal;
SELECT kpi.reopen_period('2026-Q4', reason => 'all of it');
SELECT kpi.reopen_period('2026-Q4', reason => 'again');
SELECT kpi.alter_goal('gcb q4', target => 1);
-- readers read, and close nothing
CREATE ROLE regress_kpi_gcb;
SELECT kpi.grant_reader('regress_kpi_gcb');
SET ROLE regress_kpi_gcb;
SELECT count(*) FROM kpi.goal_reported;
SELECT count(*) FROM kpi.closed_period;
SELECT kpi.close_period('2026-Q4');
SELECT kpi.reopen_period('2026-Q4', reason => 'mine');
RESET ROLE;
-- editors do, and are named
SELECT kpi.grant_editor('regress_kpi_gcb');
CALL kpi.refresh();
SET ROLE regress_kpi_gcb;
SELECT kpi.close_period('2026-Q4', kpis => '{gcb_money}');
RESET ROLE;
SELECT closed_by, reason, reopen_reason FROM kpi.closed_period ORDER BY id DESC LIMIT 2;
-- a setting says why, too
SET kpi.reason = 'by setting';
SELECT kpi.reopen_period('2026-Q4');
RESET kpi.reason;
SELECT closed_by, reopen_reason FROM kpi.closed_period ORDER BY id DESC LIMIT 1;
SELECT count(kpi.drop_goal(id)) FROM kpi.goal WHERE name LIKE 'gcb%';
SELECT kpi.drop_kpi('gcb_grown');
SELECT kpi.drop_source('gcb', cascade => true);
SELECT count(kpi.drop_member(m)) FROM unnest('{gcb_ann,gcb_other}'::text[]) m;
SELECT kpi.drop_team('gcb_emea');
SELECT kpi.revoke_reader('regress_kpi_gcb');
DROP ROLE regress_kpi_gcb;
DROP SCHEMA gcb CASCADE;
RESET kpi.now;
