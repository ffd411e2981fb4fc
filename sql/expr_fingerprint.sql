-- Immutable is not constant: what expressions reach may come to mean something
-- else.  The next refresh sees that and computes everything anew, and nothing
-- is computed anew for less.
SET client_min_messages = warning;
CREATE SCHEMA fp;
CREATE TYPE fp.stage AS ENUM ('open', 'won');
CREATE DOMAIN fp.price AS numeric;
CREATE DOMAIN fp.paid AS fp.price;
CREATE TABLE fp.deals (id integer PRIMARY KEY, stage fp.stage, amount numeric, closed timestamptz);
INSERT INTO fp.deals SELECT i, CASE WHEN i % 2 = 0 THEN 'won' ELSE 'open' END::fp.stage, i, timestamptz '2026-03-01 00:30+00' + i * interval '1 day'
    FROM generate_series(1, 10) i;

-- One function of each kind, and each reached in another way.
CREATE FUNCTION fp.plain(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n; END';
CREATE FUNCTION fp.below(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n; END';
CREATE FUNCTION fp.body(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT SET work_mem = '4MB' RETURN fp.below(n);
CREATE FUNCTION fp.inlined_below(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n; END';
CREATE FUNCTION fp.inlined(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT fp.inlined_below(n)';
CREATE FUNCTION fp.plus(a numeric, b numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN a + b; END';
CREATE OPERATOR fp.<+> (FUNCTION = fp.plus, LEFTARG = numeric, RIGHTARG = numeric);
CREATE FUNCTION fp.constant(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n; END';
CREATE FUNCTION fp.checked(n numeric) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';

SELECT kpi.create_source('fp_deals', relation => 'fp.deals', at => 'closed', dimensions => '{"stage": "stage"}') > 0 AS created;
SELECT kpi.create_kpi('f_plain', source => 'fp_deals', measure => 'sum(fp.plain(amount))') > 0 AS created;
SELECT kpi.create_kpi('f_body', source => 'fp_deals', measure => 'sum(fp.body(amount))') > 0 AS created;
SELECT kpi.create_kpi('f_inlined', source => 'fp_deals', measure => 'sum(fp.inlined(amount))') > 0 AS created;
SELECT kpi.create_kpi('f_plus', source => 'fp_deals', measure => 'sum(amount OPERATOR(fp.<+>) 1)') > 0 AS created;
SELECT kpi.create_kpi('f_constant', source => 'fp_deals', measure => 'sum(amount * fp.constant(1))') > 0 AS created;
SELECT kpi.create_kpi('f_domain', source => 'fp_deals', measure => 'sum(amount::fp.paid)') > 0 AS created;
CALL kpi.refresh('fp_deals');

CREATE VIEW fp.now AS SELECT kpi, value FROM kpi.team_yearly WHERE kpi LIKE 'f\_%' AND team = 'company' ORDER BY kpi;
CREATE VIEW fp.differences AS SELECT v.* FROM kpi.verify('fp_deals') v;
CREATE PROCEDURE fp.look(INOUT what text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    last_build bigint := (SELECT max(id) FROM kpi.refresh_log WHERE kind = 'build');
BEGIN
    CALL kpi.refresh('fp_deals');
    what := CASE WHEN (SELECT max(id) FROM kpi.refresh_log WHERE kind = 'build') > last_build
                 THEN 'built anew' ELSE 'nothing to do' END;
END $$;
SELECT * FROM fp.now;
CALL fp.look();

-- Each replacement is seen, by the numbers too.
CREATE OR REPLACE FUNCTION fp.plain(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n * 2; END';
CALL fp.look();
CREATE OR REPLACE FUNCTION fp.below(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n * 3; END';
CALL fp.look();
CREATE OR REPLACE FUNCTION fp.inlined_below(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n * 4; END';
CALL fp.look();
CREATE OR REPLACE FUNCTION fp.plus(a numeric, b numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN a + b + 1; END';
CALL fp.look();
CREATE OR REPLACE FUNCTION fp.constant(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n * 5; END';
CALL fp.look();
SELECT * FROM fp.now;
SELECT * FROM fp.differences;
ALTER DOMAIN fp.price ADD CHECK (VALUE < 10);
CALL fp.look();
ALTER DOMAIN fp.paid ADD CHECK (fp.checked(VALUE));
CALL fp.look();
CREATE OR REPLACE FUNCTION fp.checked(n numeric) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n > 1; END';
CALL fp.look();
SELECT * FROM fp.now WHERE kpi = 'f_domain';
SELECT facts_ignored FROM kpi.source_status WHERE source = 'fp_deals';
-- of two functions that change their parts, too
ALTER FUNCTION fp.plain(numeric) RENAME TO swap;
ALTER FUNCTION fp.constant(numeric) RENAME TO plain;
ALTER FUNCTION fp.swap(numeric) RENAME TO constant;
CALL fp.look();
-- another one behind the same name
DROP FUNCTION fp.plain(numeric);
CREATE FUNCTION fp.plain(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n * 7; END';
CALL fp.look();
SELECT * FROM fp.now WHERE kpi IN ('f_plain', 'f_constant');
-- The labels of an enum are dimension values.
ALTER TYPE fp.stage RENAME VALUE 'won' TO 'closed';
CALL fp.look();
SELECT DISTINCT b.dimension_value FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id WHERE k.name = 'f_plain' ORDER BY 1;
DELETE FROM fp.deals WHERE id IN (1, 2);
CALL fp.look();
SELECT * FROM fp.differences;

-- What changes no meaning has nothing built.
ALTER TYPE fp.stage ADD VALUE 'lost' BEFORE 'open';
CALL fp.look();
CREATE OR REPLACE FUNCTION fp.plain(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n * 7; END';
GRANT EXECUTE ON FUNCTION fp.plain(numeric) TO PUBLIC;
COMMENT ON FUNCTION fp.plain(numeric) IS 'seven times';
CALL fp.look();
CREATE OR REPLACE FUNCTION fp.unused(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 7; END';
CALL fp.look();

-- A time zone or a collation that has become another one.
CREATE PROCEDURE fp.pretend(kind text) LANGUAGE sql AS $$
    UPDATE kpi_internal.source_state s SET fingerprints = (
        SELECT jsonb_object_agg(p.key, CASE WHEN starts_with(p.key, kind) THEN 'other' ELSE p.value END) FROM jsonb_each_text(s.fingerprints) p)
     WHERE s.source_id = (SELECT id FROM kpi.source WHERE name = 'fp_deals')
$$;
CALL fp.pretend('source time zone');
CALL fp.look();
SELECT kpi.create_kpi('f_zone', source => 'fp_deals', measure => 'count(*)', filter => $$closed AT TIME ZONE 'Europe/Berlin' < '2026-03-29'$$) > 0 AS created;
SELECT kpi.create_kpi('f_order', source => 'fp_deals', measure => 'count(*)', filter => $$stage::text < 'd' COLLATE "und-x-icu" AND stage::text <> 'z'$$) > 0 AS created;
CALL fp.look();
CALL fp.look();
CALL fp.pretend('time zone Europe/Berlin');
CALL fp.look();
CALL fp.pretend('expression (((stage)::text <');
CALL fp.look();
SELECT p.key FROM kpi_internal.source_state s, jsonb_each_text(s.fingerprints) p WHERE p.key LIKE '%time zone%' ORDER BY 1;
SELECT * FROM fp.differences;
SELECT kpi.drop_source('fp_deals', cascade => true);
DROP SCHEMA fp CASCADE;
