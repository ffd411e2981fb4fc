-- Capture: its trigger functions used for anything else.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/capture.sql
\set ECHO none
\i :oracle
\set ECHO all

CREATE TABLE other (id int);
SELECT kpi.capture();
SELECT kpi.capture_truncate();
CREATE TRIGGER a BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION kpi.capture('1');
INSERT INTO other VALUES (1);
DROP TRIGGER a ON other;
CREATE TRIGGER a AFTER INSERT ON other EXECUTE FUNCTION kpi.capture_truncate('1');
INSERT INTO other VALUES (1);
DROP TRIGGER a ON other;
CREATE TRIGGER a AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION kpi.capture('1');
CREATE TRIGGER b AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION kpi.capture('99999999999');
CREATE TRIGGER c AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION kpi.capture();
INSERT INTO other VALUES (1);
SELECT count(*) FROM kpi_internal.delta;
-- a trigger of someone else that has our name
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
DO $$ BEGIN
    EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON other EXECUTE FUNCTION nothing()',
                   'kpi_capture_' || nextval('kpi.source_id_seq') + 1);
END $$;
\set VERBOSITY sqlstate
SELECT kpi.create_source('other', relation => 'capture_test.other', at => '''2026-01-01''::date');
\set VERBOSITY default
SELECT count(*) FROM kpi.source;

DROP SCHEMA capture_test CASCADE;
