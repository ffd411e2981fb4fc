-- Teams and people from the users' own tables: kpi.sync_people().
\set old :DBNAME
CREATE DATABASE regress_sync_people;
\c regress_sync_people
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE EXTENSION pg_kpi;
RESET TimeZone;
RESET client_min_messages;
SET kpi.now = '2026-10-05 12:00:00+00';
SET DateStyle = 'German, DMY';
CREATE SCHEMA sy;
CREATE TABLE sy.teams (id integer, name text, parent_id integer);
CREATE TABLE sy.users (id bigint, name text, team_id integer, created_at timestamptz, deactivated_at timestamptz);
CREATE FUNCTION sy.sync(dry_run boolean DEFAULT false, partial boolean DEFAULT false, missing text DEFAULT 'end')
RETURNS TABLE (action text, object text, what text, reason text) LANGUAGE sql AS $$
    SELECT * FROM kpi.sync_people(
        teams   => 'SELECT id AS key, name, parent_id AS parent FROM sy.teams ORDER BY md5(id::text)',
        members => 'SELECT deactivated_at AS until, id AS key, name, team_id AS team, created_at AS since FROM sy.users',
        dry_run => dry_run, partial => partial, missing => missing) $$;
CREATE VIEW sy.tree AS
    SELECT t.key, t.name, p.key AS parent, l.since::text, l.until::text FROM kpi.team t
      LEFT JOIN kpi.team_parent l ON l.team_id = t.id LEFT JOIN kpi.team p ON p.id = l.parent_id WHERE t.id > 2
     ORDER BY t.key COLLATE "C", l.since NULLS FIRST;
CREATE VIEW sy.people AS
    SELECT m.key, m.name, t.key AS team, s.since, s.until FROM kpi.member m
      LEFT JOIN kpi.membership s ON s.member_id = m.id LEFT JOIN kpi.team t ON t.id = s.team_id
     ORDER BY m.key COLLATE "C", s.since NULLS FIRST;
CREATE VIEW sy.version AS SELECT org, names FROM kpi_internal.version;

-- At first: children before their parents, a leaver, one of the company, one of no team.
INSERT INTO sy.teams VALUES (3, 'Berlin', 2), (2, 'DACH', 1), (1, 'EMEA', NULL), (4, 'APAC', NULL);
INSERT INTO sy.users VALUES
    (17, ' Ann ', 3, '2026-01-05 09:00+00', NULL), (42, 'Bob', 2, '2025-03-01 08:00+00', '2026-02-28 17:00+00'),
    (5, NULL, 4, NULL, NULL), (6, 'Eve', NULL, NULL, NULL), (7, 'Max', 1, NULL, '2026-12-31 23:00+00');
SELECT * FROM sy.sync(dry_run => true);
SELECT count(*) AS still FROM kpi.team;
SELECT * FROM sy.sync();
SELECT * FROM sy.tree;
SELECT * FROM sy.people;
-- nothing to do: no row, and nothing is written
SELECT org, names FROM sy.version \gset before_
SELECT pg_current_xact_id_if_assigned() IS NULL AS none, count(*) FROM sy.sync();
BEGIN;
SELECT count(*) FROM sy.sync();
SELECT pg_current_xact_id_if_assigned() IS NULL AS nothing_written;
COMMIT;
SELECT org - :before_org AS org, names - :before_names AS names FROM sy.version;

-- Names, moves of teams, all at once: what was below comes above.
UPDATE sy.teams SET name = 'Berlin & Brandenburg', parent_id = NULL WHERE id = 3;
UPDATE sy.teams SET parent_id = 2 WHERE id = 1;
UPDATE sy.teams SET parent_id = 3 WHERE id = 2;
INSERT INTO sy.teams VALUES (12, 'New below new', 11), (11, 'New', 4);
UPDATE sy.users SET team_id = 12, name = 'Ann Adams' WHERE id = 17;
UPDATE sy.users SET team_id = 1 WHERE id = 6;
UPDATE sy.users SET deactivated_at = NULL WHERE id = 7;
DELETE FROM sy.users WHERE id = 5;
CREATE TEMP TABLE told AS SELECT * FROM sy.sync(dry_run => true);
SELECT * FROM sy.sync();
SELECT org - :before_org AS org, names - :before_names AS names FROM sy.version;
SELECT * FROM sy.tree;
SELECT * FROM sy.people;
SELECT count(*) FROM sy.sync();

-- Who comes back joins again; on the same day as if never away.
INSERT INTO sy.users VALUES (5, 'Lee', 4);
SELECT * FROM sy.sync();
SELECT * FROM sy.people WHERE key = '5';
DELETE FROM sy.users WHERE id = 5;
SELECT * FROM sy.sync(missing => 'keep');
SELECT * FROM sy.sync();
SET kpi.now = '2026-11-01 12:00:00+00';
INSERT INTO sy.users VALUES (5, 'Lee', 2);
SELECT * FROM sy.sync();
SELECT * FROM sy.people WHERE key = '5';

-- A move that is recorded for later stays; one that begins later, too.
SELECT kpi.move_member('17', team => '4', since => '2026-12-01');
SELECT kpi.move_team('11', parent => 'company', since => '2026-12-01');
SELECT count(*) FROM sy.sync();
UPDATE sy.users SET team_id = 3 WHERE id = 17;
UPDATE sy.users SET team_id = 4, created_at = '2026-11-15 00:00+00' WHERE id = 7;
UPDATE sy.teams SET parent_id = 1 WHERE id = 11;
SELECT * FROM sy.sync();
SELECT * FROM sy.people WHERE key IN ('17', '7');
SELECT * FROM sy.tree WHERE key = '11';
SELECT count(*) FROM sy.sync();
-- leaves, by the row
UPDATE sy.users SET deactivated_at = '2026-10-20 10:00+00' WHERE id = 17;
UPDATE sy.users SET team_id = NULL WHERE id = 6;
SELECT * FROM sy.sync();
SELECT * FROM sy.people WHERE key IN ('17', '6');
SELECT count(*) FROM sy.sync();

-- Teams that are not there any more: of use, with a past only, never used.
DELETE FROM sy.teams WHERE id IN (4, 12, 11);
INSERT INTO sy.teams VALUES (20, 'Never', NULL), (21, 'Never below', 20);
SELECT * FROM sy.sync(partial => true);
UPDATE sy.users SET team_id = 3 WHERE id = 7;
DELETE FROM sy.teams WHERE id IN (20, 21);
SELECT * FROM sy.sync(missing => 'keep');
SELECT * FROM sy.sync();
SELECT key FROM sy.tree GROUP BY key ORDER BY key;
SELECT count(*) FROM sy.sync();

-- One kind alone; columns that are left out change nothing.
SELECT * FROM kpi.sync_people(teams => NULL, members => $$VALUES$$);
SELECT * FROM kpi.sync_people(NULL, $$SELECT id AS key, 1 AS team FROM sy.users WHERE id <> 42$$);
SELECT * FROM kpi.sync_people($$SELECT key FROM kpi.team WHERE id > 2$$, NULL);
SELECT * FROM kpi.sync_people($$SELECT 'company' AS key, 'Acme' AS name$$, '', missing => 'keep');
SELECT name FROM kpi.team WHERE id = 1;

-- A dry run tells what is done.
TRUNCATE sy.teams, sy.users;
INSERT INTO sy.teams SELECT id, 'T' || id, nullif(id / 2, 0) FROM generate_series(1, 9) id;
INSERT INTO sy.users SELECT id, 'U' || id, id % 9 + 1, NULL, CASE WHEN id % 4 = 0 THEN '2026-10-30 00:00+00'::timestamptz END
  FROM generate_series(5, 20) id;
CREATE TEMP TABLE dry AS SELECT row_number() OVER () AS n, d.* FROM sy.sync(dry_run => true) d;
CREATE TEMP TABLE wet AS SELECT row_number() OVER () AS n, d.* FROM sy.sync() d;
SELECT count(*) > 20 AS many, bool_and(d IS NOT DISTINCT FROM w) AS same FROM dry d FULL JOIN wet w USING (n);
SELECT count(*) FROM sy.sync();

-- In a read-only transaction it can be told, and after ROLLBACK nothing was.
BEGIN READ ONLY;
SELECT count(*) FROM sy.sync(dry_run => true);
UPDATE sy.users SET name = 'x';
ROLLBACK;
BEGIN;
UPDATE sy.users SET team_id = 1;
SELECT count(*) > 5 AS seen_in_transaction FROM sy.sync();
SELECT count(*) FROM sy.sync();
ROLLBACK;
SELECT count(*) FROM sy.sync();

-- Keys of any type, written as facts and as the other functions write them.
TRUNCATE sy.teams, sy.users;
CREATE DOMAIN sy.code AS char(6);
CREATE TABLE sy.typed (team sy.code, member uuid, amount numeric, is_on boolean);
INSERT INTO sy.typed VALUES ('ab', '00000000-0000-0000-0000-00000000000a', 42.50, true);
SELECT * FROM kpi.sync_people('SELECT team AS key FROM sy.typed', 'SELECT member AS key, team FROM sy.typed', missing => 'keep')
 WHERE action = 'create';
SELECT * FROM kpi.sync_people('SELECT amount AS key, is_on AS name FROM sy.typed', NULL, missing => 'keep') WHERE action = 'create';
SELECT kpi.move_team('42.5', parent => 'ab');
SELECT kpi.add_member(7.50::numeric) > 0 AS added;
SELECT * FROM kpi.sync_people(NULL, $$SELECT 7.5 AS key, 'ab'::char(9) AS team$$, missing => 'keep') WHERE action <> 'missing';

-- Goals of those who moved are looked at in the same transaction.
CREATE TABLE sy.facts (owner integer, at date, amount numeric);
INSERT INTO sy.facts VALUES (1, '2026-10-01', 5), (1, '2026-11-01', 7);
SELECT kpi.create_source('sy', relation => 'sy.facts', owner => 'owner', at => 'at') > 0 AS created;
SELECT kpi.create_kpi('sy', source => 'sy', measure => 'sum(amount)') > 0 AS created;
INSERT INTO sy.teams VALUES (101, 'A', NULL), (102, 'B', NULL);
INSERT INTO sy.users VALUES (1, 'One', 101, NULL, NULL);
SELECT action, object FROM sy.sync(missing => 'keep') WHERE action = 'create';
SELECT kpi.create_goal('sy one', kpi => 'sy', member => '1', period => '2026', target => 100) > 0 AS created;
SELECT kpi.create_goal('sy b', kpi => 'sy', team => '102', period => '2026', target => 100) > 0 AS created;
CALL kpi.refresh();
SELECT goal, member_name, team_name, actual FROM kpi.goal_progress ORDER BY goal;
UPDATE sy.users SET team_id = 102, name = 'Uno' WHERE id = 1;
UPDATE sy.teams SET name = 'Bee' WHERE id = 102;
SELECT action, object, what FROM sy.sync(missing => 'keep') WHERE action <> 'missing';
SELECT goal, member_name, team_name FROM kpi.goal_progress ORDER BY goal;
CALL kpi.refresh();
SELECT team, period_start, value FROM kpi.team_monthly WHERE kpi = 'sy' AND team IN ('101', '102') ORDER BY team, period_start;
SELECT goal, actual FROM kpi.goal_progress ORDER BY goal;
SELECT * FROM kpi.verify();

-- A key that is an alias by now, of somebody who was merged, say, makes nobody; who is there by an alias only stays.
SELECT kpi.add_member('uno', team => '101') > 0 AS added;
SELECT kpi.merge_member('1', into_member => 'uno');
SELECT * FROM sy.sync() WHERE object ~ 'uno|"1"';
SELECT kpi.end_membership('uno', until => '2026-12-01', later_facts => 'last_team');
INSERT INTO sy.users VALUES (900, 'Nine', 101);
SELECT * FROM kpi.sync_people(NULL, $$SELECT 'uno' AS key, 'Uno' AS name, '101' AS team UNION ALL SELECT id::text, 'x', 'nowhere' FROM sy.users
    WHERE id <> 900$$) WHERE object ~ 'uno|"1"';
SELECT m.key, s.until, s.later_facts FROM kpi.membership s JOIN kpi.member m ON m.id = s.member_id WHERE m.key = 'uno';
SELECT count(*) FROM kpi.member WHERE key = '1';

-- Who was given as a parent earlier in the transaction comes with the query: it stands there for always, as if it had been made first.
BEGIN;
SELECT kpi.create_team('low', parent => 'high') > 0 AS created;
SELECT action, object, what FROM kpi.sync_people($$SELECT * FROM (VALUES ('high', 'High', 'top'), ('top', 'Top', NULL)) t (key, name, parent)$$,
    NULL, missing => 'keep') WHERE action <> 'missing';
SELECT t.key, t.name, p.key AS parent, tp.since FROM kpi.team t JOIN kpi.team_parent tp ON tp.team_id = t.id JOIN kpi.team p ON p.id = tp.parent_id
 WHERE t.key IN ('low', 'high', 'top') ORDER BY 1;
SELECT count(*) FROM kpi.sync_people($$SELECT * FROM (VALUES ('high', 'High', 'top'), ('top', 'Top', NULL)) t (key, name, parent)$$,
    NULL, missing => 'keep') WHERE action <> 'missing';
COMMIT;
SELECT key FROM kpi.team WHERE key IN ('low', 'high', 'top') ORDER BY 1;
-- Nothing else to change; refused, on days before today as well, it has not come.
BEGIN;
SELECT kpi.create_team('low2', parent => 'high2') > 0 AS created;
SELECT action, object, what FROM kpi.sync_people($$SELECT 'high2' AS key$$, NULL, missing => 'keep') WHERE action <> 'missing';
COMMIT;
BEGIN;
SELECT kpi.create_team('low3', parent => 'high3') > 0 AS created;
SELECT action, object, what, reason FROM kpi.sync_people($$SELECT * FROM (VALUES ('high3', 'low3'), ('low3', NULL)) t (key, parent)$$,
    NULL, missing => 'keep', partial => true) WHERE action <> 'missing';
COMMIT;
BEGIN;
SELECT kpi.create_team('low4', parent => 'high4') > 0 AS created;
SELECT count(*) FROM kpi.sync_people($$SELECT 'high4' AS key$$, NULL, missing => 'keep', dry_run => true) WHERE action <> 'missing';
COMMIT;
SELECT key FROM kpi.team WHERE key ~ '^(low|high|top)' ORDER BY 1;

\c :old
DROP DATABASE regress_sync_people;
