-- An expression's error may quote the fact it failed on: its text is for the
-- source's definer and superusers, others learn the condition.
SET client_min_messages = warning;
\set SHOW_CONTEXT always
CREATE ROLE regress_text_definer;
CREATE ROLE regress_text_member IN ROLE regress_text_definer;
CREATE ROLE regress_text_editor IN ROLE pg_monitor;
CREATE ROLE regress_text_monitor IN ROLE pg_monitor;
SELECT kpi.grant_editor('regress_text_definer'), kpi.grant_editor('regress_text_editor'), kpi.grant_editor('regress_text_member');
CREATE SCHEMA et AUTHORIZATION regress_text_definer;
GRANT USAGE ON SCHEMA et TO PUBLIC;
SET ROLE regress_text_definer;
CREATE TABLE et.people (id integer, at date, income text);
INSERT INTO et.people VALUES (1, '2026-10-05', '10'), (2, '2026-10-05', 'SSN 078-05-1120');
SELECT kpi.create_source('et_people', relation => 'et.people', at => 'at') > 0 AS created;
SELECT kpi.create_kpi('et_income', source => 'et_people', measure => 'sum(income::numeric)') > 0 AS created;
CALL kpi.refresh('et_people');
RESET ROLE;

-- What each role sees of texts, wherever they stand.
CREATE VIEW et.texts AS
    SELECT reason, last_fact_error, last_error, last_sqlstate FROM kpi.source_status WHERE source = 'et_people';
CREATE VIEW et.log AS
    SELECT DISTINCT sqlstate, error FROM kpi.refresh_log WHERE source = 'et_people' AND error IS NOT NULL;
CREATE VIEW et.health AS
    SELECT problem, regexp_replace(detail, ' since .*', '') AS detail FROM kpi.health() WHERE object = 'source "et_people"' AND severity <> 'notice';
ALTER VIEW et.texts SET (security_invoker);
ALTER VIEW et.log SET (security_invoker);
ALTER VIEW et.health SET (security_invoker);
GRANT SELECT ON et.texts, et.log, et.health TO PUBLIC;
\set texts 'SELECT current_user, t.* FROM et.texts t; SELECT current_user, h.* FROM et.health h ORDER BY 2;'
:texts
SET ROLE regress_text_member;
:texts
SET ROLE regress_text_editor;
:texts
SET ROLE regress_text_monitor;
:texts
RESET ROLE;

-- A fact that a writer captured.
CALL kpi.refresh('et_people');
INSERT INTO et.people VALUES (3, '2026-10-06', 'SSN 219-09-9999');
CALL kpi.refresh('et_people');
SET ROLE regress_text_definer;
SELECT last_fact_error FROM et.texts;
SET ROLE regress_text_monitor;
SELECT last_fact_error FROM et.texts;
RESET ROLE;

-- An error that suspends: the function says what it has read, when constants
-- are folded.  It does so after as many calls as the fuse says.
CREATE SEQUENCE et.calls;
CREATE SEQUENCE et.fuse;
SELECT setval('et.fuse', 1000000) > 0 AS long;
GRANT ALL ON SEQUENCE et.calls, et.fuse TO PUBLIC;
SET ROLE regress_text_definer;
CREATE FUNCTION et.burn() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('et.calls') > (SELECT last_value FROM et.fuse) THEN
        RAISE EXCEPTION 'SSN %', (SELECT max(income) FROM et.people) USING ERRCODE = 'KP001', DETAIL = 'SSN in detail', HINT = 'SSN in hint';
    END IF;
END $$;
CREATE FUNCTION et.one(i integer) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM et.burn(); RETURN i; END';
SELECT kpi.create_kpi('et_one', source => 'et_people', measure => 'sum(et.one(1))') > 0 AS created;
CALL kpi.refresh('et_people');
SELECT setval('et.fuse', 1) > 0 AS short;
SET ROLE regress_text_editor;
CALL kpi.refresh('et_people');
:texts
SELECT source_name, level, stored FROM kpi.verify('et_people');
SET ROLE regress_text_member;
CALL kpi.refresh('et_people');
:texts
SELECT source_name, level, stored FROM kpi.verify('et_people');
RESET ROLE;

-- An error that ends a refresh: looking at the source takes so many calls, and
-- a build looks twice.
SELECT setval('et.fuse', 1000000) > 0 AS long, setval('et.calls', 1, false) > 0 AS from_one;
SELECT kpi.resume('et_people');
SELECT setval('et.fuse', 2 * last_value) > 0 AS cut FROM et.calls;
SELECT setval('et.calls', 1, false) > 0 AS from_one;
SET ROLE regress_text_editor;
CALL kpi.refresh('et_people');
SELECT setval('et.calls', 1, false) > 0 AS from_one;
SELECT kpi.verify('et_people');
SELECT setval('et.calls', 1, false) > 0 AS from_one;
SELECT kpi.repair('et_people');
SELECT setval('et.calls', 1, false) > 0 AS from_one;
CALL kpi.refresh();
:texts
SELECT * FROM et.log;
SET ROLE regress_text_monitor;
:texts
SELECT * FROM et.log;
\set SHOW_CONTEXT never
SET ROLE regress_text_member;
SELECT setval('et.calls', 1, false) > 0 AS from_one;
CALL kpi.refresh('et_people');
SELECT setval('et.calls', 1, false) > 0 AS from_one;
CALL kpi.refresh();
:texts
SELECT * FROM et.log;
RESET ROLE;

-- Our own words are for everybody.
SELECT setval('et.fuse', 1000000) > 0 AS long;
CALL kpi.refresh('et_people');
ALTER TABLE et.people DISABLE TRIGGER USER;
SET ROLE regress_text_editor;
CALL kpi.refresh('et_people');
SELECT reason FROM et.texts;
RESET ROLE;

-- A role that came under the definer's name is not the one that made it.
SELECT kpi.revoke_reader('regress_text_definer');
ALTER TABLE et.people OWNER TO CURRENT_USER;
ALTER ROLE regress_text_definer RENAME TO regress_text_gone;
CREATE ROLE regress_text_definer IN ROLE pg_monitor;
SET ROLE regress_text_definer;
SELECT last_fact_error FROM et.texts;
RESET ROLE;

SELECT kpi.drop_source('et_people', cascade => true);
DROP SCHEMA et CASCADE;
SELECT kpi.revoke_reader('regress_text_editor'), kpi.revoke_reader('regress_text_member');
DROP ROLE regress_text_definer, regress_text_gone, regress_text_member, regress_text_editor, regress_text_monitor;
