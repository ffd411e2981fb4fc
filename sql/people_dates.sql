-- Moves on dates that touch, and what a refresh makes of them.
SET client_min_messages = warning;
SET datestyle = 'ISO';
CREATE SCHEMA dates_test;
CREATE TABLE dates_test.deals (id integer PRIMARY KEY, owner text, amount numeric, day date);
INSERT INTO dates_test.deals VALUES (1, 'pd_ann', 1, '2026-06-30'), (2, 'pd_ann', 10, '2026-07-01'), (3, 'pd_bob', 100, '2026-07-01'), (4, 'pd_new', 1000, '2026-07-02');
SELECT kpi.create_source('pd_deals', relation => 'dates_test.deals', key => 'id', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('pd_sum', source => 'pd_deals', measure => 'sum(amount)') > 0 AS created;
SELECT count(kpi.create_team(k)) FROM unnest('{pd_a,pd_b,pd_c}'::text[]) k;
CREATE VIEW dates_test.numbers AS
    SELECT 'team' AS scope, team AS key, period, value FROM kpi.team_daily WHERE kpi = 'pd_sum' AND team <> 'company'
    UNION ALL SELECT 'member', member, period, value FROM kpi.member_daily WHERE kpi = 'pd_sum'
    UNION ALL SELECT 'member', member, period, value FROM kpi.member_monthly WHERE kpi = 'pd_sum' ORDER BY 1 DESC, 2, 3;

-- two teams change places on one day: neither is above itself on any
SELECT kpi.move_team('pd_a', parent => 'pd_b');
SELECT kpi.move_team('pd_a', parent => 'company', since => '2026-07-01');
SELECT kpi.move_team('pd_b', parent => 'pd_a', since => '2026-07-01');
SELECT team, ancestor, depth, since, until FROM kpi.team_ancestor WHERE team LIKE 'pd%' AND depth = 1 ORDER BY 1, since NULLS FIRST;
-- a day earlier they would be, and so would one of three
SELECT kpi.move_team('pd_b', parent => 'pd_a', since => '2026-06-30');
SELECT kpi.move_team('pd_c', parent => 'pd_b', since => '2026-07-01');
SELECT kpi.move_team('pd_a', parent => 'pd_c', since => '2026-07-15');
SELECT kpi.move_team('pd_a', parent => 'pd_c', since => '2026-06-30');

-- the membership that ends is the one of the day before
SELECT kpi.add_member('pd_ann', team => 'pd_a', until => '2026-07-01') > 0 AS created;
SELECT kpi.move_member('pd_ann', team => 'pd_b', since => '2026-07-01');
SELECT kpi.end_membership('pd_ann', until => '2026-07-01');
SELECT t.key, s.since, s.until FROM kpi.membership s JOIN kpi.team t ON t.id = s.team_id ORDER BY s.since NULLS FIRST;
SELECT kpi.end_membership('pd_ann', until => '2026-07-02');
SELECT t.key, s.since, s.until FROM kpi.membership s JOIN kpi.team t ON t.id = s.team_id ORDER BY s.since NULLS FIRST;
SELECT kpi.end_membership('pd_ann', until => '2026-07-03');
-- what touches and is the same team is one; a range that ends where the next begins is none of its business
SELECT kpi.move_member('pd_ann', team => 'pd_b', since => '2026-07-02', until => '2026-07-05');
SELECT kpi.move_member('pd_ann', team => 'pd_c', since => '2026-07-05');
SELECT kpi.move_member('pd_ann', team => 'pd_a', since => '2026-07-03', until => '2026-07-05');
SELECT kpi.move_member('pd_ann', team => 'pd_a', since => '2026-07-04', until => '2026-07-06');
SELECT t.key, s.since, s.until FROM kpi.membership s JOIN kpi.team t ON t.id = s.team_id ORDER BY s.since NULLS FIRST;

-- facts on both sides of the day
CALL kpi.refresh();
SELECT * FROM dates_test.numbers;
-- a member that appears has its own numbers, of the same teams and of others
SELECT kpi.add_member('pd_new') > 0 AS created;
SELECT kpi.add_member('pd_bob', team => 'pd_c') > 0 AS created;
CALL kpi.refresh();
SELECT * FROM dates_test.numbers;
-- a key that becomes another member's
SELECT kpi.alter_member('pd_new', new_key => 'pd_old');
SELECT kpi.alter_member('pd_bob', new_key => 'pd_new');
CALL kpi.refresh();
SELECT * FROM dates_test.numbers;
SELECT count(*) FROM kpi.verify('pd_deals');

-- a refresh within the transaction, and changes after it
BEGIN;
SELECT kpi.create_team('pd_d') > 0 AS created;
CALL kpi.refresh();
SELECT kpi.move_member('pd_ann', team => 'pd_d', since => '-infinity', until => '2026-07-01');
COMMIT;
CALL kpi.refresh();
SELECT * FROM dates_test.numbers WHERE key IN ('pd_a', 'pd_d');
SELECT count(*) FROM kpi.verify('pd_deals');

SELECT kpi.drop_source('pd_deals', cascade => true);
SELECT count(kpi.drop_member(key)) FROM kpi.member;
SELECT kpi.move_team('pd_b', parent => 'company'), kpi.move_team('pd_a', parent => 'company'), kpi.move_team('pd_c', parent => 'company');
SELECT count(kpi.drop_team(key)) FROM kpi.team WHERE key LIKE 'pd%';
DROP SCHEMA dates_test CASCADE;
