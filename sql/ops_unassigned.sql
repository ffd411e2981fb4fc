-- kpi.health(): facts of owners who belong to no team.
SET TIME ZONE 'UTC';
SET kpi.now = '2026-05-20 12:00 UTC';
CREATE SCHEMA un;
CREATE TABLE un.deals (id int PRIMARY KEY, owner text, amount numeric, closed_at date);
SELECT kpi.create_team('un_a') IS NOT NULL AS made;
SELECT kpi.add_member('ann', team => 'un_a') IS NOT NULL AS added;
SELECT kpi.add_member('bob', team => 'un_a', until => '2026-05-05') IS NOT NULL AS added;
SELECT kpi.create_source('un', relation => 'un.deals', key => 'id', owner => 'owner', at => 'closed_at') IS NOT NULL AS made;
SELECT kpi.create_kpi('un_sum', source => 'un', measure => 'sum(amount)') IS NOT NULL AS made;
SELECT kpi.create_kpi('un_few', source => 'un', measure => 'count(*)', filter => 'amount > 1000') IS NOT NULL AS made;
CREATE VIEW un.health AS SELECT severity, object, detail, remedy FROM kpi.health() WHERE problem = 'unassigned' AND object LIKE '%"un"';
ALTER VIEW un.health SET (security_invoker);
-- a hundred facts in May, one of an owner nobody knows: that is no more than one percent
INSERT INTO un.deals SELECT i, CASE i WHEN 1 THEN 'u0' ELSE 'ann' END, i, '2026-05-01' FROM generate_series(1, 100) i;
-- in March every second, but that is past
INSERT INTO un.deals SELECT 1000 + i, CASE i % 2 WHEN 1 THEN 'u0' ELSE 'ann' END, i, '2026-03-01' FROM generate_series(1, 10) i;
CALL kpi.refresh('un');
SELECT * FROM un.health;
INSERT INTO un.deals VALUES (101, 'bob', 1, '2026-05-06'), (102, 'bob', 1, '2026-05-04');
CALL kpi.refresh('un');
SELECT * FROM un.health;
-- by owner, those with most first; the month before as well
INSERT INTO un.deals SELECT 200 + i, 'it''s u' || i % 7, 1, '2026-05-07' FROM generate_series(1, 30) i;
INSERT INTO un.deals VALUES (300, NULL, 1, '2026-05-08'), (301, 'late', 1, '2026-04-30'), (302, 'ann', 1, '2026-04-30');
CALL kpi.refresh('un');
SELECT * FROM un.health;
-- keys are for whoever may read facts' owners
CREATE ROLE un_monitor IN ROLE pg_monitor;
GRANT USAGE ON SCHEMA un TO un_monitor;
GRANT SELECT ON un.health TO un_monitor;
SET ROLE un_monitor;
SELECT detail FROM un.health;
RESET ROLE;
-- mended
SELECT count(kpi.add_member(owner, team => 'un_a')) FROM (SELECT DISTINCT owner FROM un.deals WHERE owner LIKE 'it%' OR owner = 'late') o;
UPDATE un.deals SET owner = 'ann' WHERE owner IS NULL;
SELECT kpi.end_membership('bob', until => '2026-05-05', later_facts => 'last_team');
CALL kpi.refresh('un');
SELECT * FROM un.health;
-- facts of teams
CREATE TABLE un.calls (id int PRIMARY KEY, team text, at date);
INSERT INTO un.calls VALUES (1, 'un_a', '2026-05-01'), (2, 'un_x', '2026-05-02');
SELECT kpi.create_source('un_calls', relation => 'un.calls', key => 'id', team => 'team', at => 'at') IS NOT NULL AS made;
SELECT kpi.create_kpi('un_calls', source => 'un_calls', measure => 'count(*)') IS NOT NULL AS made;
CALL kpi.refresh('un_calls');
SELECT severity, object, detail, remedy FROM kpi.health() WHERE problem = 'unassigned' AND object LIKE '%"un\_calls"';

SELECT kpi.drop_source('un', cascade => true), kpi.drop_source('un_calls', cascade => true);
SELECT count(kpi.drop_member(key)) FROM kpi.member WHERE key IN ('ann', 'bob', 'late') OR key LIKE 'it''s%';
SELECT kpi.drop_team('un_a');
SET client_min_messages = warning;
DROP SCHEMA un CASCADE;
DROP ROLE un_monitor;
RESET kpi.now;
