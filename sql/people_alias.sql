-- Aliases: one person under several keys; and members that are merged.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET kpi.now = '2026-10-15 12:00+00';
CREATE SCHEMA people_alias;
CREATE TABLE people_alias.deals (id integer PRIMARY KEY, owner text, at date, product text, amount numeric);
CREATE TABLE people_alias.calls (id integer PRIMARY KEY, agent text, at date, minutes numeric);
CREATE TABLE people_alias.budget (id integer PRIMARY KEY, team text, at date, amount numeric);
SELECT count(kpi.create_team(key, parent => parent)) FROM (VALUES ('uk', 'emea'), ('emea', NULL), ('us', NULL)) t (key, parent);
SELECT kpi.add_member('42', team => 'uk', name => 'Ann') > 0 AS added, kpi.add_member('17', team => 'us', name => 'Bob') > 0 AS added,
       kpi.add_member('al', name => 'Al') > 0 AS added;
SELECT kpi.move_member('42', team => 'us', since => '2026-09-10');
SELECT kpi.create_source('deals', relation => 'people_alias.deals', key => 'id', owner => 'owner', at => 'at', dimensions => '{"product": "product"}') > 0 AS created,
       kpi.create_source('calls', relation => 'people_alias.calls', key => 'id', owner => 'agent', at => 'at') > 0 AS created,
       kpi.create_source('budget', relation => 'people_alias.budget', key => 'id', team => 'team', at => 'at') > 0 AS created;
SELECT kpi.create_kpi('sales', source => 'deals', measure => 'sum(amount)') > 0 AS created,
       kpi.create_kpi('size', source => 'deals', measure => 'avg(amount)') > 0 AS created,
       kpi.create_kpi('talk', source => 'calls', measure => 'sum(minutes)') > 0 AS created,
       kpi.create_kpi('budget', source => 'budget', measure => 'sum(amount)') > 0 AS created;
INSERT INTO people_alias.deals SELECT n, (ARRAY['42', 'agent-9911', '17', 'al', 'x', NULL])[1 + n % 6], date '2026-08-20' + n % 53,
       CASE n % 3 WHEN 0 THEN 'basic' WHEN 1 THEN 'plus' END, n % 17 FROM generate_series(1, 300) n;
INSERT INTO people_alias.calls SELECT n, (ARRAY['42', 'agent-9911', '17', 'phone-7'])[1 + n % 4], date '2026-08-25' + n % 41, n % 11 FROM generate_series(1, 200) n;
INSERT INTO people_alias.budget VALUES (1, 'agent-9911', '2026-09-01', 100), (2, 'uk', '2026-09-01', 10);
CALL kpi.refresh();

-- The oracle: whom each key means, and plain SQL over the facts.
CREATE TABLE people_alias.means (key text, source text, member text);
CREATE FUNCTION people_alias.wrong() RETURNS SETOF text LANGUAGE sql AS $$
WITH fact AS (
    SELECT k.kpi, 'deals' AS source, owner AS key, at AS day, amount, CASE k.kpi WHEN 'size' THEN 1 END AS den FROM people_alias.deals, (VALUES ('sales'), ('size')) k (kpi)
    UNION ALL SELECT 'talk', 'calls', agent, at, minutes, NULL FROM people_alias.calls),
person AS (
    SELECT f.*, coalesce(a.member, f.key) AS member FROM fact f LEFT JOIN people_alias.means a ON a.key = f.key AND coalesce(a.source, f.source) = f.source),
placed AS (
    SELECT p.*, coalesce(t.key, '(unassigned)') AS team FROM person p
      LEFT JOIN kpi.member m ON m.key = p.member
      LEFT JOIN kpi.membership s ON s.member_id = m.id AND day <@ daterange(s.since, s.until) LEFT JOIN kpi.team t ON t.id = s.team_id),
scoped AS (
    SELECT p.*, 'member' AS scope, m.key AS scope_key FROM placed p JOIN kpi.member m ON m.key = p.member
    UNION ALL
    SELECT p.*, 'team', a.ancestor FROM placed p JOIN kpi.team_ancestor a ON a.team = p.team AND day <@ daterange(a.since, a.until)),
expected AS (
    SELECT kpi, scope, scope_key, g AS grain, date_trunc(g, day::timestamp)::date AS start, round(sum(amount) / coalesce(sum(den), 1), 10) AS value
      FROM scoped, unnest('{day,week,month,quarter,year}'::text[]) g GROUP BY 1, 2, 3, 4, 5),
actual AS (
    SELECT v.kpi, v.scope, v.key, v.grain, v.period_start, round(v.value, 10) FROM (
        SELECT kpi, 'member' AS scope, member AS key, grain, period_start, value FROM kpi.member_daily
        UNION ALL SELECT kpi, 'member', member, grain, period_start, value FROM kpi.member_weekly
        UNION ALL SELECT kpi, 'member', member, grain, period_start, value FROM kpi.member_monthly
        UNION ALL SELECT kpi, 'member', member, grain, period_start, value FROM kpi.member_quarterly
        UNION ALL SELECT kpi, 'member', member, grain, period_start, value FROM kpi.member_yearly
        UNION ALL SELECT kpi, 'team', team, grain, period_start, value FROM kpi.team_daily
        UNION ALL SELECT kpi, 'team', team, grain, period_start, value FROM kpi.team_weekly
        UNION ALL SELECT kpi, 'team', team, grain, period_start, value FROM kpi.team_monthly
        UNION ALL SELECT kpi, 'team', team, grain, period_start, value FROM kpi.team_quarterly
        UNION ALL SELECT kpi, 'team', team, grain, period_start, value FROM kpi.team_yearly) v WHERE v.kpi <> 'budget')
(SELECT 'expected ' || x FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM actual) x)
UNION ALL
(SELECT 'actual ' || x FROM (SELECT * FROM actual EXCEPT ALL SELECT * FROM expected) x)
UNION ALL
SELECT 'verify ' || v FROM kpi.source s, kpi.verify(s.name) v
UNION ALL
SELECT 'value() ' || x FROM kpi.member_weekly x WHERE value IS DISTINCT FROM kpi.value(kpi, member => member, period => period)
UNION ALL
SELECT 'surplus place ' || c FROM kpi_internal.rollup_cell c
 WHERE c.cell IS NULL AND c.scope_kind = 2 AND c.grain = 1 AND c.scope_id NOT IN (SELECT w.member_id FROM kpi.member_weekly w WHERE w.period_start = c.start)
 LIMIT 10
$$;
SELECT * FROM people_alias.wrong();
SELECT kind, owner FROM kpi.unassigned ORDER BY 1, 2;

-- In one source, and in all; facts that come later, and earlier ones, count for
-- the member. Only what is the alias' is touched, and no fact is read.
SELECT kpi.add_alias('42', alias => 'agent-9911', source => 'calls');
INSERT INTO people_alias.means VALUES ('agent-9911', 'calls', '42');
CALL kpi.refresh();
SELECT * FROM people_alias.wrong();
SELECT source, kind, owner FROM kpi.unassigned WHERE owner <> 'x' ORDER BY 1, 2, 3;
SELECT kpi.drop_alias('agent-9911', source => 'calls');
SELECT kpi.add_alias('42', 'agent-9911'), kpi.add_alias('17', 'phone-7', 'calls');
TRUNCATE people_alias.means;
INSERT INTO people_alias.means VALUES ('agent-9911', NULL, '42'), ('phone-7', 'calls', '17');
CREATE TABLE people_alias.before AS SELECT xmin::text AS written_by, * FROM kpi_internal.day_cell;
CREATE TABLE people_alias.rollups_before AS SELECT xmin::text AS written_by, * FROM kpi_internal.rollup_cell;
CALL kpi.refresh();
SELECT * FROM people_alias.wrong();
SELECT count(*) AS day_cells_written FROM kpi_internal.day_cell c WHERE NOT EXISTS (SELECT FROM people_alias.before b WHERE b.written_by = c.xmin::text AND b.stream_id = c.stream_id AND b.owner_id = c.owner_id AND b.day = c.day AND b.dim_id = c.dim_id);
SELECT DISTINCT CASE c.scope_kind WHEN 2 THEN m.key ELSE t.key END AS written
  FROM kpi_internal.rollup_cell c LEFT JOIN kpi.member m ON m.id = c.scope_id LEFT JOIN kpi.team t ON t.id = c.scope_id
 WHERE NOT EXISTS (SELECT FROM people_alias.rollups_before b WHERE b.written_by = c.xmin::text AND (b.stream_id, b.scope_kind, b.scope_id, b.grain, b.dim_id, b.start) = (c.stream_id, c.scope_kind, c.scope_id, c.grain, c.dim_id, c.start)) ORDER BY 1;
SELECT source, kind, owner FROM kpi.unassigned ORDER BY 1, 2, 3;
-- both keys on the same day, in the same week; and each of them alone
SELECT d.period_start, d.value, d.facts, (SELECT w.value FROM kpi.member_weekly w WHERE w.kpi = 'sales' AND w.member = '42' AND d.period_start BETWEEN w.period_start AND w.period_end) AS week
  FROM kpi.member_daily d WHERE d.kpi = 'sales' AND d.member = '42' AND d.period_start BETWEEN '2026-09-01' AND '2026-09-08' ORDER BY 1;
SELECT kpi, value, previous_value, value_to_date, facts FROM kpi.member_monthly WHERE member = '42' AND kpi IN ('sales', 'talk') AND period_start = '2026-09-01' ORDER BY 1;
-- changes of either go the same way
UPDATE people_alias.deals SET amount = amount + 1 WHERE owner IN ('42', 'agent-9911') AND id % 4 = 0;
DELETE FROM people_alias.deals WHERE owner = '42' AND at BETWEEN '2026-08-31' AND '2026-09-13';
UPDATE people_alias.calls SET agent = 'agent-9911' WHERE agent = '42' AND id % 3 = 0;
INSERT INTO people_alias.deals VALUES (1001, 'agent-9911', '2026-10-30', 'plus', 7), (1002, '42', '2026-10-30', NULL, 8), (1003, '42', '2026-11-20', 'basic', 9);
CALL kpi.refresh();
SELECT * FROM people_alias.wrong();
-- a week that loses the cells of one key has those of the other
DELETE FROM people_alias.deals WHERE owner = 'agent-9911' AND at BETWEEN '2026-09-14' AND '2026-09-20';
DELETE FROM people_alias.deals WHERE owner IN ('agent-9911', '42') AND at BETWEEN '2026-09-21' AND '2026-09-27';
CALL kpi.refresh();
SELECT * FROM people_alias.wrong();
-- a repair, of all and of some days
UPDATE kpi_internal.rollup_cell SET cell = kpi_internal.merge(cell, cell) WHERE scope_kind = 2 AND cell IS NOT NULL;
SELECT kpi.repair('deals') > 0 AS repaired;
SELECT * FROM people_alias.wrong() WHERE wrong LIKE '%sales%';
SELECT kpi.repair('calls') > 0 AS repaired;
SELECT * FROM people_alias.wrong();
DELETE FROM kpi_internal.day_cell d USING kpi_internal.owner o, kpi_internal.stream x
 WHERE o.id = d.owner_id AND o.key = 'agent-9911' AND x.id = d.stream_id AND x.owner_kind = 'member' AND d.day BETWEEN '2026-09-01' AND '2026-09-30';
SELECT kpi.repair('deals', since => '2026-09-01', until => '2026-10-01') > 0 AS repaired;
SELECT kpi.repair('calls', since => '2026-09-01', until => '2026-10-01') > 0 AS repaired;
SELECT * FROM people_alias.wrong();
SELECT kpi.repair('deals', since => '2026-11-01', until => '2026-12-01') AS repaired;
SELECT * FROM people_alias.wrong();
-- and back
SELECT kpi.drop_alias('agent-9911'), kpi.drop_alias('phone-7', source => 'calls');
TRUNCATE people_alias.means;
CALL kpi.refresh();
SELECT * FROM people_alias.wrong();
SELECT source, kind, owner FROM kpi.unassigned ORDER BY 1, 2, 3;

-- Refused
SELECT kpi.add_alias('42', 'agent-9911', 'calls'), kpi.add_alias('17', 'agent-9911', 'deals'), kpi.add_alias('al', 'all-over');
SELECT kpi.add_alias('17', 'agent-9911', 'calls');
SELECT kpi.add_alias('17', 'agent-9911');
SELECT kpi.add_alias('42', 'all-over', 'deals');
SELECT kpi.add_alias('42', '17');
SELECT kpi.add_alias('42', '42');
SELECT kpi.add_alias('agent-9911', 'z');
SELECT kpi.add_alias('nobody', 'z');
SELECT kpi.add_alias('42', 'z', source => 'nowhere');
SELECT kpi.add_alias('42', NULL);
SELECT kpi.add_alias(NULL, 'z');
SELECT kpi.add_alias('42', ' z');
SELECT kpi.drop_alias('z');
SELECT kpi.drop_alias('all-over', source => 'deals');
SELECT kpi.drop_alias('agent-9911', source => 'budget');
SELECT kpi.drop_alias('agent-9911', source => 'nowhere');
SELECT kpi.drop_alias('42');
SELECT kpi.add_member('agent-9911', team => 'uk');
SELECT kpi.alter_member('42', new_key => 'all-over');
SELECT kpi.move_member('agent-9911', team => 'uk', since => '2026-01-01');
SELECT kpi.end_membership('agent-9911', until => '2026-01-01');
SELECT kpi.create_goal(kpi => 'sales', member => 'agent-9911', period => '2026-10', target => 1);
SELECT kpi.value('sales', member => 'agent-9911', period => '2026-10');
SELECT alias, m.key AS member, s.name AS source FROM kpi.member_alias a JOIN kpi.member m ON m.id = a.member_id LEFT JOIN kpi.source s ON s.id = a.source_id ORDER BY 1, 2;
-- an alias goes with its member, and with its source
INSERT INTO people_alias.means VALUES ('agent-9911', 'calls', '42'), ('agent-9911', 'deals', '17');
SELECT kpi.drop_member('al');
CALL kpi.refresh();
SELECT * FROM people_alias.wrong();
SELECT kpi.drop_source('budget', cascade => true);
SELECT kpi.add_member('al') > 0 AS added;
SELECT kpi.alter_member('17', new_key => '18', name => 'Bo');
UPDATE people_alias.means SET member = '18' WHERE member = '17';
CALL kpi.refresh();
SELECT * FROM people_alias.wrong();
SELECT alias, m.key AS member, s.name AS source FROM kpi.member_alias a JOIN kpi.member m ON m.id = a.member_id LEFT JOIN kpi.source s ON s.id = a.source_id ORDER BY 1, 2;
SELECT kpi.alter_member('18', new_key => '17', name => 'Bob');
UPDATE people_alias.means SET member = '17' WHERE member = '18';

-- Merged: the facts of one count for the other, where that belonged; aliases follow.
SELECT kpi.create_goal('both', kpi => 'sales', member => '42', period => '2026-10', target => 50) > 0 AS created,
       kpi.create_goal('of 17', kpi => 'sales', member => '17', period => '2026-10', target => 60) > 0 AS created,
       kpi.create_goal('only 42', kpi => 'talk', member => '42', period => '2026-10', target => 70) > 0 AS created,
       kpi.create_goal('every', kpi => 'sales', member => '42', period => 'every week of 2026', target => 5, plan => 'p') > 0 AS created,
       kpi.create_goal('a week', kpi => 'sales', member => '17', period => '2026-W40', target => 6, plan => 'p') > 0 AS created;
CALL kpi.refresh();
CREATE TABLE people_alias.history AS SELECT * FROM kpi.goal_progress_history;
SELECT kpi.merge_member('42', into_member => '42');
SELECT kpi.merge_member('42', into_member => 'nobody');
SELECT kpi.merge_member('nobody', into_member => '42');
SELECT kpi.merge_member('42', into_member => 'agent-9911');
SELECT kpi.merge_member('42', into_member => NULL);
SELECT kpi.merge_member('42', into_member => '17', goals => 'keep');
SELECT kpi.merge_member('42', into_member => '17', goals => NULL);
SELECT kpi.merge_member('42', into_member => '17');
SELECT name FROM kpi.goal ORDER BY 1;
BEGIN;
SELECT kpi.merge_member('42', into_member => '17', goals => 'drop');
SELECT name FROM kpi.goal ORDER BY 1;
ROLLBACK;
SELECT kpi.drop_goal('both'), kpi.drop_goal('a week');
SELECT kpi.merge_member('42', into_member => '17');
-- as soon as it is, and then with the numbers
SELECT goal, member, member_name, team, actual, status FROM kpi.goal_progress WHERE goal IN ('only 42', 'of 17') ORDER BY 1;
UPDATE people_alias.means SET member = '17';
INSERT INTO people_alias.means VALUES ('42', NULL, '17');
CALL kpi.refresh();
SELECT goal, member, actual, (SELECT sum(amount) FROM people_alias.deals WHERE owner IN ('42', '17', 'agent-9911') AND at BETWEEN '2026-10-01' AND '2026-10-31') AS sales,
       (SELECT sum(minutes) FROM people_alias.calls WHERE agent IN ('42', '17', 'agent-9911') AND at BETWEEN '2026-10-01' AND '2026-10-31') AS talk
  FROM kpi.goal_progress WHERE goal IN ('only 42', 'of 17') ORDER BY 1;
SELECT * FROM people_alias.wrong();
SELECT count(*) AS rewritten FROM (SELECT * FROM people_alias.history EXCEPT SELECT * FROM kpi.goal_progress_history) x;
SELECT m.key, m.name, t.key AS team FROM kpi.member m LEFT JOIN kpi.membership s ON s.member_id = m.id LEFT JOIN kpi.team t ON t.id = s.team_id ORDER BY 1;
SELECT alias, m.key AS member, s.name AS source FROM kpi.member_alias a JOIN kpi.member m ON m.id = a.member_id LEFT JOIN kpi.source s ON s.id = a.source_id ORDER BY 1, 2;
SELECT kpi.merge_member('42', into_member => '17');
SELECT kpi.add_member('42');
SELECT kpi.drop_member('42');
-- a chain of merges
SELECT kpi.merge_member('17', into_member => 'al', goals => 'drop');
UPDATE people_alias.means SET member = 'al';
INSERT INTO people_alias.means VALUES ('17', NULL, 'al');
CALL kpi.refresh();
SELECT * FROM people_alias.wrong();
SELECT alias, m.key AS member, s.name AS source FROM kpi.member_alias a JOIN kpi.member m ON m.id = a.member_id LEFT JOIN kpi.source s ON s.id = a.source_id ORDER BY 1, 3;

-- A rollup table of members' days has each day once.
SELECT kpi.create_rollup('people_alias.days', kpis => '{sales}', per => 'member', grain => 'day') > 0 AS created;
CALL kpi.refresh();
SELECT count(*) > 0 AS has_rows, count(*) - count(DISTINCT (member, period_start)) AS twice FROM people_alias.days;
SELECT count(*) AS differing FROM ((SELECT member, period_start, sales FROM people_alias.days EXCEPT SELECT member, period_start, value FROM kpi.member_daily WHERE kpi = 'sales')
    UNION ALL (SELECT member, period_start, value FROM kpi.member_daily WHERE kpi = 'sales' EXCEPT SELECT member, period_start, sales FROM people_alias.days)) x;
SELECT kpi.drop_alias('17');
CALL kpi.refresh();
SELECT count(*) AS differing FROM ((SELECT member, period_start, sales FROM people_alias.days EXCEPT SELECT member, period_start, value FROM kpi.member_daily WHERE kpi = 'sales')
    UNION ALL (SELECT member, period_start, value FROM kpi.member_daily WHERE kpi = 'sales' EXCEPT SELECT member, period_start, sales FROM people_alias.days)) x;
-- who may not define
CREATE ROLE regress_people_alias;
SELECT kpi.grant_reader('regress_people_alias');
SET ROLE regress_people_alias;
SELECT kpi.add_alias('al', 'z');
SELECT kpi.merge_member('al', '17');
SELECT count(*) FROM kpi.member_alias;
RESET ROLE;
SELECT kpi.revoke_reader('regress_people_alias');
DROP ROLE regress_people_alias;

SELECT kpi.drop_rollup('people_alias.days');
SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT kpi.drop_source('deals', cascade => true), kpi.drop_source('calls', cascade => true);
SELECT count(*) FROM kpi.member_alias WHERE source_id IS NOT NULL;
SELECT count(kpi.drop_member(key)) FROM kpi.member;
SELECT count(*) FROM kpi.member_alias;
SELECT kpi.drop_team('uk'), kpi.drop_team('emea'), kpi.drop_team('us');
RESET kpi.now;
DROP SCHEMA people_alias CASCADE;
