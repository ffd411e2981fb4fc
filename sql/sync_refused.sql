-- What kpi.sync_people() refuses: rows, with all that depend on them, and queries.
\set old :DBNAME
CREATE DATABASE regress_sync_refused;
\c regress_sync_refused
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE EXTENSION pg_kpi;
RESET TimeZone;
RESET client_min_messages;
SET kpi.now = '2026-10-05 12:00:00+00';
\set SHOW_CONTEXT never
CREATE SCHEMA sr;
CREATE TABLE sr.teams (key text, parent text);
CREATE TABLE sr.users (key text, team text, name text);
CREATE FUNCTION sr.sync(partial boolean DEFAULT true, dry_run boolean DEFAULT false)
RETURNS TABLE (action text, object text, what text, reason text) LANGUAGE sql AS $$
    SELECT * FROM kpi.sync_people('SELECT * FROM sr.teams', 'SELECT * FROM sr.users', partial => partial, dry_run => dry_run) $$;
CREATE VIEW sr.tree AS
    SELECT t.key, p.key AS parent, l.since, l.until FROM kpi.team t JOIN kpi.team_parent l ON l.team_id = t.id
      JOIN kpi.team p ON p.id = l.parent_id WHERE t.id > 2 ORDER BY t.key COLLATE "C", l.since NULLS FIRST;

-- All sorts at once: nothing is done, or the rest is.
INSERT INTO sr.teams VALUES ('good', NULL), ('good below', 'good'), ('c1', 'c2'), ('c2', 'c3'), ('c3', 'c1'), ('below c', 'c1'),
    ('self', 'self'), ('orphan', 'nowhere'), ('below orphan', 'orphan'), ('twice', NULL), ('twice', 'good'), ('below twice', 'twice'),
    (NULL, 'good'), ('', NULL), (' x', NULL), (repeat('x', 501), NULL), ('(unassigned)', NULL), ('company', 'good'),
    ('below nobody', '(unassigned)');
INSERT INTO sr.users VALUES ('ann', 'good below'), ('bob', 'below c'), ('cid', 'nowhere'), ('dan', 'good'), ('dan', 'good'),
    ('eve', '(unassigned)'), (NULL, 'good'), ('fay ', 'good'), ('hal', 'company');
INSERT INTO sr.users VALUES ('gus', 'good', repeat('x', 501));
SELECT * FROM sr.sync(partial => false);
SELECT * FROM sr.sync(partial => false, dry_run => true);
SELECT count(*) FROM sr.tree;
SELECT action, object, what, reason FROM sr.sync(dry_run => true) ORDER BY action, object COLLATE "C";
SELECT action, count(*) FROM sr.sync() GROUP BY action ORDER BY action;
SELECT * FROM sr.tree;
SELECT m.key, t.key AS team FROM kpi.member m LEFT JOIN kpi.membership s ON s.member_id = m.id LEFT JOIN kpi.team t ON t.id = s.team_id ORDER BY 1;
SELECT action, count(*) FROM sr.sync() GROUP BY action ORDER BY action;

-- Who is refused is not missing: it stays as it is.
INSERT INTO sr.users VALUES ('ann', 'good');
SELECT * FROM sr.sync() WHERE object = 'member "ann"';
SELECT count(*) FROM kpi.membership s JOIN kpi.member m ON m.id = s.member_id WHERE m.key = 'ann' AND s.until IS NULL;

-- Circles with what is recorded: of a team that is not in the query; of a later day.
DELETE FROM sr.teams WHERE key NOT IN ('good', 'good below') OR key IS NULL;
DELETE FROM sr.users;
INSERT INTO sr.users VALUES ('ann', 'good below');
UPDATE sr.teams SET parent = 'good below' WHERE key = 'good';
SELECT * FROM sr.sync();
DELETE FROM sr.teams WHERE key = 'good below';
SELECT * FROM sr.sync();
SELECT kpi.create_team('later'), kpi.move_team('good', parent => 'later', since => '2026-12-01') \gset x_
UPDATE sr.teams SET parent = NULL;
INSERT INTO sr.teams VALUES ('later', 'good below'), ('good below', 'good');
SELECT * FROM sr.sync();
-- refused, those under it too, and then a circle of what they keep
UPDATE sr.teams SET parent = NULL WHERE key = 'later';
INSERT INTO sr.teams VALUES ('u', 'good below'), ('v', 'u');
SELECT action, object FROM sr.sync();
UPDATE sr.teams SET parent = CASE key WHEN 'good below' THEN 'v' WHEN 'u' THEN 'nowhere' WHEN 'v' THEN NULL ELSE parent END;
SELECT * FROM sr.sync();
UPDATE sr.teams SET parent = CASE key WHEN 'u' THEN 'v' ELSE parent END;
SELECT * FROM sr.sync();
SELECT * FROM sr.tree WHERE key IN ('good below', 'u', 'v');

-- An empty query of members is no news of everybody's leaving.
DELETE FROM sr.users;
SELECT * FROM sr.sync();
SELECT action, object, reason FROM kpi.sync_people(NULL, 'SELECT * FROM sr.users', missing => 'keep');
INSERT INTO sr.users VALUES ('ann', 'good below');

-- Queries.
SELECT * FROM kpi.sync_people(NULL, NULL);
SELECT * FROM kpi.sync_people('', ' ');
SELECT * FROM kpi.sync_people('SELECT parent FROM sr.teams', NULL);
SELECT * FROM kpi.sync_people(NULL, 'SELECT key FROM sr.users');
SELECT * FROM kpi.sync_people('SELECT key, parent AS parent_id FROM sr.teams', NULL);
SELECT * FROM kpi.sync_people('SELECT key, key FROM sr.teams', NULL);
SELECT * FROM kpi.sync_people('SELECT key FROM sr.nothing', NULL);
SELECT * FROM kpi.sync_people('SELECT key FROM', NULL);
SELECT * FROM kpi.sync_people('SELECT 1/0 AS key', NULL);
SELECT * FROM kpi.sync_people(NULL, $$SELECT key, team, '2026-01-01' AS since FROM sr.users$$);
SELECT * FROM kpi.sync_people('SELECT key FROM sr.teams', NULL, effective => 'tomorrow');
SELECT * FROM kpi.sync_people('SELECT key FROM sr.teams', NULL, effective => NULL);
SELECT * FROM kpi.sync_people('SELECT key FROM sr.teams', NULL, missing => 'drop');
-- that write, are none or several
SELECT * FROM kpi.sync_people('DELETE FROM sr.teams RETURNING key', NULL);
SELECT * FROM kpi.sync_people('WITH d AS (DELETE FROM sr.teams RETURNING key) SELECT key FROM d', NULL);
SELECT * FROM kpi.sync_people('SELECT key FROM sr.teams FOR UPDATE', NULL);
SELECT * FROM kpi.sync_people('SELECT key INTO sr.x FROM sr.teams', NULL);
SELECT * FROM kpi.sync_people('SELECT key FROM sr.teams; DROP TABLE sr.teams', NULL);
SELECT * FROM kpi.sync_people('SHOW search_path', NULL);
SELECT * FROM kpi.sync_people('DO $x$ BEGIN END $x$', NULL);
SELECT * FROM kpi.sync_people('SELECT key FROM sr.teams WHERE key = $1', NULL);
CREATE FUNCTION sr.writes() RETURNS text LANGUAGE sql AS 'DELETE FROM sr.teams RETURNING key';
CREATE FUNCTION sr.sets() RETURNS text LANGUAGE plpgsql AS
$$BEGIN SET transaction_read_only = off; DELETE FROM sr.teams; RETURN 'x'; END$$;
SELECT * FROM kpi.sync_people('SELECT sr.writes() AS key', NULL);
SELECT * FROM kpi.sync_people('SELECT sr.sets() AS key', NULL);
SELECT count(*) FROM sr.teams;
-- afterwards it may be written again, caught or not
DO $$ BEGIN
    BEGIN PERFORM kpi.sync_people('SELECT sr.writes() AS key', NULL); EXCEPTION WHEN read_only_sql_transaction THEN NULL; END;
    INSERT INTO sr.teams VALUES ('after');
END $$;
SELECT count(*) FROM sr.sync() WHERE action = 'create';

\c :old
DROP DATABASE regress_sync_refused;
