-- Whose rights the queries of kpi.sync_people() have, and what may be remembered.
\set old :DBNAME
CREATE DATABASE regress_sync_rights;
\c regress_sync_rights
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_kpi;
SET kpi.now = '2026-10-05 12:00:00+00';
CREATE ROLE regress_sg_app;
CREATE ROLE regress_sg_editor;
CREATE ROLE regress_sg_reader;
SELECT kpi.grant_editor('regress_sg_editor'), kpi.grant_reader('regress_sg_reader');
CREATE SCHEMA sg;
GRANT USAGE, CREATE ON SCHEMA sg TO regress_sg_app, regress_sg_editor;
SET ROLE regress_sg_app;
CREATE TABLE sg.users (id integer, team text);
INSERT INTO sg.users VALUES (1, 'a'), (2, 'b');
CREATE VIEW sg.seen AS SELECT id, team FROM sg.users;
CREATE FUNCTION sg.team(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE TABLE sg.part (key text, team text) PARTITION BY LIST (team);
RESET ROLE;
CREATE TABLE sg.super (key text, team text);
CREATE TABLE sg.part_a PARTITION OF sg.part FOR VALUES IN ('a');
CREATE VIEW sg.definition AS SELECT teams, members, effective, partial, missing, definer, reaches FROM kpi.people_sync;
GRANT SELECT ON sg.definition TO regress_sg_editor;

-- Only editors, with their own rights and search_path.
SET ROLE regress_sg_reader;
SELECT * FROM kpi.sync_people('SELECT 1 AS key', NULL);
SELECT kpi.forget_people();
SELECT * FROM kpi.people_sync_status;
SET ROLE regress_sg_editor;
SELECT * FROM kpi.sync_people('SELECT DISTINCT team AS key FROM sg.users', NULL, dry_run => true);
RESET ROLE;
GRANT SELECT ON sg.users, sg.seen, sg.part TO regress_sg_editor;
SET ROLE regress_sg_editor;
SET search_path = sg;
SELECT * FROM kpi.sync_people('SELECT DISTINCT team AS key, current_user::text || '' '' || team AS name FROM users', NULL);
SELECT * FROM kpi.sync_people(NULL, 'SELECT id AS key, team FROM users', remember => true);
-- names are written out: they mean the same under any search_path
SELECT * FROM sg.definition;
SELECT * FROM kpi.people_sync_status;
-- a dry run remembers nothing, and nothing remembered stays nothing
SELECT * FROM kpi.sync_people(NULL, 'SELECT 3 AS key, ''a'' AS team', missing => 'keep', dry_run => true, remember => true);
SELECT members FROM sg.definition;
-- another takes its place
SELECT count(*) FROM kpi.sync_people('SELECT team AS key FROM seen', 'SELECT id AS key, team(team) FROM seen',
    effective => 'history', missing => 'keep', partial => true, remember => true);
SELECT * FROM sg.definition;
SELECT kpi.forget_people();
SELECT kpi.forget_people();
SELECT * FROM sg.definition;
CREATE TEMP TABLE mine AS SELECT 'a' AS key;
SELECT * FROM kpi.sync_people('SELECT key FROM mine', NULL, missing => 'keep', remember => true);
SELECT * FROM sg.definition;
RESET ROLE;
RESET search_path;

-- A superuser would run the code of others: of owners of tables, views and what is below them, partitions, functions.
SELECT * FROM kpi.sync_people(NULL, 'SELECT id AS key, team FROM sg.users', remember => true);
SELECT * FROM kpi.sync_people(NULL, 'SELECT id AS key, team FROM sg.seen', remember => true);
SELECT * FROM kpi.sync_people(NULL, 'SELECT * FROM sg.part', missing => 'keep', remember => true);
SELECT * FROM kpi.sync_people(NULL, 'SELECT key, sg.team(team) AS team FROM sg.super', missing => 'keep', remember => true);
SELECT * FROM kpi.sync_people(NULL, 'SELECT key, (SELECT max(u.team) FROM sg.users u) AS team FROM sg.super', missing => 'keep', remember => true);
CREATE VIEW sg.above AS SELECT s.id AS key, s.team FROM sg.seen s;
SELECT * FROM kpi.sync_people(NULL, 'SELECT * FROM sg.above', missing => 'keep', remember => true);
SELECT * FROM sg.definition;
-- what is a superuser's may be remembered; and once is as any statement of his
SELECT count(*) FROM kpi.sync_people(NULL, 'SELECT * FROM sg.super', missing => 'keep', remember => true);
SELECT definer = current_user AS own, reaches FROM sg.definition;
SELECT count(*) FROM kpi.sync_people(NULL, 'SELECT id AS key, team FROM sg.users');
ALTER ROLE regress_sg_editor CREATEROLE;
SET ROLE regress_sg_editor;
SELECT * FROM kpi.sync_people(NULL, 'SELECT id AS key, team FROM sg.users', remember => true);
RESET ROLE;

\c :old
DROP DATABASE regress_sync_rights;
DROP ROLE regress_sg_app, regress_sg_editor, regress_sg_reader;
