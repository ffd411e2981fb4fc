-- Keyed sources: code of a hostile table owner, view owner or author never runs with the rights of others.
SET client_min_messages = error;
CREATE ROLE kh_evil NOLOGIN;
CREATE ROLE kh_victim NOLOGIN;
CREATE SCHEMA kh AUTHORIZATION kh_evil;
GRANT USAGE ON SCHEMA kh TO PUBLIC;
SELECT kpi.grant_editor('kh_evil'), kpi.grant_editor('kh_victim');
SET ROLE kh_evil;
CREATE TABLE kh.log (who text, trick text);
GRANT INSERT ON kh.log TO PUBLIC;
-- What every trick calls: it says as whom it runs, and tries to become more.
CREATE FUNCTION kh.note(trick text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    BEGIN
        INSERT INTO kh.log VALUES (current_user, trick);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    BEGIN
        EXECUTE 'ALTER ROLE kh_evil SUPERUSER';
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
END $$;
CREATE FUNCTION kh.evil(trick text, value integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM kh.note(trick); RETURN value; END $$;
CREATE FUNCTION kh.evil_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM kh.note('trigger ' || tg_op); RETURN coalesce(NEW, OLD); END $$;
CREATE FUNCTION kh.evil_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM kh.note('statement ' || tg_op); RETURN NULL; END $$;
CREATE DOMAIN kh.evil_domain AS integer CHECK (kh.evil('domain', VALUE) IS NOT NULL);
CREATE TYPE kh.mood AS ENUM ('good', 'bad');
CREATE FUNCTION kh.mood_number(kh.mood) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM kh.note('cast'); RETURN 1; END $$;
CREATE CAST (kh.mood AS integer) WITH FUNCTION kh.mood_number(kh.mood) AS IMPLICIT;
CREATE FUNCTION kh.evil_equal(integer, integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM kh.note('operator'); RETURN $1 = $2; END $$;
CREATE OPERATOR kh.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = kh.evil_equal);
CREATE FUNCTION kh.count(integer) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
CREATE TABLE kh.lead (lead_id integer PRIMARY KEY, at timestamptz, n kh.evil_domain, m kh.mood, i integer);
CREATE INDEX ON kh.lead (kh.evil('index expression', i));
CREATE INDEX ON kh.lead (i) WHERE kh.evil('index predicate', i) > 0;
ALTER TABLE kh.lead ADD CHECK (kh.evil('constraint', i) IS NOT NULL);
CREATE STATISTICS kh.extended ON (kh.evil('statistics', i)), at FROM kh.lead;
INSERT INTO kh.lead SELECT x, '2026-01-01', x, 'good', x FROM generate_series(1, 5) x;
ANALYZE kh.lead;
CREATE VIEW kh.view AS SELECT lead_id, at, n, m, i, kh.evil('view', i) AS v FROM kh.lead;
SET search_path = kh, pg_catalog;
SELECT kpi.create_source('evil', key => 'lead_id', at => 'at', query => 'SELECT lead_id, at, n, m, i, v FROM kh.view', follow => '{"kh.lead": "lead_id"}') > 0 AS created;
SELECT kpi.create_kpi('evil', source => 'evil', measure => 'sum(i)') > 0 AS created;
CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON kpi_data.evil FOR EACH ROW EXECUTE FUNCTION kh.evil_row();
CREATE TRIGGER b BEFORE TRUNCATE OR INSERT ON kpi_data.evil FOR EACH STATEMENT EXECUTE FUNCTION kh.evil_statement();
CREATE TRIGGER c AFTER TRUNCATE ON kpi_data.evil FOR EACH STATEMENT EXECUTE FUNCTION kh.evil_statement();
CREATE INDEX ON kpi_data.evil (kh.evil('kept index', i));
ALTER TABLE kpi_data.evil ADD CHECK (kh.evil('kept constraint', i) IS NOT NULL);
ALTER TABLE kpi_data.evil ADD COLUMN d integer DEFAULT kh.evil('kept default', 1);
CREATE STATISTICS kh.kept ON (kh.evil('kept statistics', i)), at FROM kpi_data.evil;
RESET search_path;
RESET ROLE;
TRUNCATE kh.log;

-- A superuser does all there is to be done with it.
CALL kpi.refresh();
SET ROLE kh_evil;
INSERT INTO kh.lead SELECT 6, '2026-01-02', 6, 'bad', 6;
RESET ROLE;
CALL kpi.refresh();
SELECT count(*) FROM kpi.verify();
SELECT kpi.repair('evil') >= 0 AS repaired;
SELECT kpi.alter_source('evil', query => 'SELECT lead_id, at, n, m, i, v, n AS n2, m AS m2 FROM kh.view');
CALL kpi.refresh();
SELECT kpi.alter_source('evil', key => 'i, lead_id', entity => 'lead_id');
CALL kpi.refresh();
SELECT kpi.alter_source('evil', key => 'm', entity => 'lead_id');
SELECT kpi.alter_source('evil', key => 'lead_id', dimensions => '{"i": "i"}');
CALL kpi.refresh();
SELECT kpi.resume('evil');
CALL kpi.refresh();
SET ROLE kh_evil;
ALTER TABLE kpi_data.evil DROP CONSTRAINT evil_pkey;
ALTER TABLE kpi_data.evil ALTER COLUMN m2 TYPE text;
RESET ROLE;
CALL kpi.refresh();
SELECT kpi.resume('evil');
CALL kpi.refresh();
SELECT kpi.alter_source('evil', new_name => 'evil2');
SELECT kpi.grant_source('evil2', 'kh_victim');
SELECT kpi_internal.facts_query('evil2') IS NOT NULL AS facts;
SELECT kpi.alter_source('evil2', definer => 'kh_victim');
SELECT kpi.alter_source('evil2', definer => 'postgres');
SELECT DISTINCT who FROM kh.log ORDER BY 1;
SELECT rolsuper FROM pg_roles WHERE rolname = 'kh_evil';
-- over whose tables it makes a source: the owner is the definer
SELECT kpi.create_source('mine', key => 'lead_id', at => 'at', query => 'SELECT lead_id, at, v FROM kh.view', follow => '{"kh.lead": "lead_id"}') > 0 AS created;
SELECT definer, pg_get_userbyid(relowner) FROM kpi.source, pg_class WHERE name = 'mine' AND oid = 'kpi_data.mine'::regclass;
CALL kpi.refresh();
SELECT DISTINCT who FROM kh.log ORDER BY 1;
-- literals of its types
SELECT kpi.create_source('literal', key => 'lead_id', at => 'at', query => $$ SELECT lead_id, at, '{1}'::kh.evil_domain[] AS d FROM kh.lead $$, follow => '{"kh.lead": "lead_id"}');
SELECT DISTINCT who FROM kh.log ORDER BY 1;

-- Whoever reads its table by grants is not given more of its code by a change of a column's type.
GRANT SELECT, TRIGGER ON kh.lead TO kh_victim;
SET ROLE kh_victim;
SELECT kpi.create_source('victim', key => 'lead_id', at => 'at', query => 'SELECT lead_id, at, i + 1 AS j FROM kh.lead', follow => '{"kh.lead": "lead_id"}') > 0 AS created;
SELECT kpi.create_source('other', key => 'lead_id', at => 'at', query => 'SELECT lead_id, at FROM kh.lead',
    follow => '{"kh.lead": "lead_id", "kpi.goal": "SELECT changed.id::integer"}');
RESET ROLE;
CALL kpi.refresh();
TRUNCATE kh.log;
SET ROLE kh_evil;
DROP VIEW kh.view;
SELECT kpi.drop_source('mine'), kpi.drop_source('evil2', cascade => true);
ALTER TABLE kh.lead DROP COLUMN i;
ALTER TABLE kh.lead ADD COLUMN i kh.mood;
RESET ROLE;
TRUNCATE kh.log;
SET client_min_messages = warning;
CALL kpi.refresh();
SELECT status, reason FROM kpi.source_status WHERE source = 'victim';
SELECT DISTINCT who, trick FROM kh.log WHERE trick = 'cast' ORDER BY 1;

-- Nobody makes, moves or renames tables in the schema.
SET ROLE kh_victim;
CREATE TABLE kpi_data.mine (i integer);
ALTER TABLE kpi_data.victim RENAME TO evil;
RESET ROLE;
SELECT rolsuper FROM pg_roles WHERE rolname = 'kh_evil';

SET client_min_messages = warning;
SELECT kpi.drop_source('victim');
SELECT kpi.revoke_reader('kh_evil'), kpi.revoke_reader('kh_victim');
DROP OWNED BY kh_evil, kh_victim CASCADE;
DROP SCHEMA IF EXISTS kh CASCADE;
DROP ROLE kh_evil, kh_victim;
