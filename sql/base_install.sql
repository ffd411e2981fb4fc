-- CREATE EXTENSION runs as a superuser, in a database where others may have
-- planted operators, functions and casts that fit better than those of
-- pg_catalog: none of them is called, whatever schema is named.
SET client_min_messages = warning;
-- The tests that follow cut days in UTC, whatever zone this session has.
SELECT kpi.alter_calendar('default', time_zone => 'UTC');
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT current_database() AS home \gset
CREATE ROLE regress_planter;
CREATE DATABASE regress_kpi_install;
\c regress_kpi_install
SET client_min_messages = warning;
GRANT CREATE ON SCHEMA public TO regress_planter;
GRANT CREATE ON DATABASE regress_kpi_install TO regress_planter;
SET ROLE regress_planter;
CREATE SCHEMA planted;

-- Counts its calls, also those of a script that fails, and takes what it can.
CREATE SEQUENCE public.calls;
CREATE FUNCTION public.note(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.nextval('public.calls');
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
        ALTER ROLE regress_planter SUPERUSER;
    END IF;
END $$;

-- Every operator that a script might write between every two types that it
-- might have, where pg_catalog has none for just these two.
DO $$
DECLARE
    o record;
BEGIN
    FOR o IN
        SELECT n.name, l.type AS l, r.type AS r, t.type AS result, t.value, s.schema, pg_catalog.row_number() OVER () AS i
          FROM (VALUES ('=', 'boolean', 'true'), ('<>', 'boolean', 'false'), ('~~', 'boolean', 'true'), ('?', 'boolean', 'true'),
                       ('||', 'text', $v$''$v$), ('->>', 'text', $v$''$v$), ('&&', 'boolean', 'true')) AS n (name, type, value)
         CROSS JOIN LATERAL (SELECT n.type, n.value) t
         CROSS JOIN pg_catalog.unnest('{oid,regnamespace,regtype,regclass,regproc,regprocedure,name,text,"\"char\"",varchar,integer,smallint,jsonb,oidvector,oid[],smallint[]}'::text[]) AS l (type)
         CROSS JOIN pg_catalog.unnest('{oid,regnamespace,regtype,regclass,regproc,regprocedure,name,text,"\"char\"",varchar,integer,smallint,jsonb,oidvector,oid[],smallint[]}'::text[]) AS r (type)
         CROSS JOIN (VALUES ('public'), ('planted')) AS s (schema)
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_operator p WHERE p.oprname = n.name
                            AND p.oprleft = l.type::regtype::oid AND p.oprright = r.type::regtype::oid)
    LOOP
        EXECUTE pg_catalog.format('CREATE FUNCTION %I.f_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', o.schema, o.i, o.l, o.r, o.result,
            pg_catalog.format('BEGIN PERFORM public.note(%L); RETURN %s; END', o.l || ' ' || o.name || ' ' || o.r, o.value));
        EXECUTE pg_catalog.format('CREATE OPERATOR %1$I.%2$s (FUNCTION = %1$I.f_%3$s, LEFTARG = %4$s, RIGHTARG = %5$s)', o.schema, o.name, o.i, o.l, o.r);
    END LOOP;
END $$;

-- Functions of the names that a script might call.
DO $$
DECLARE
    f record;
BEGIN
    FOR f IN
        SELECT s.schema, n.name, a.args, n.result, n.value
          FROM (VALUES ('format', 'text', $v$''$v$), ('quote_ident', 'text', $v$''$v$), ('split_part', 'text', $v$''$v$),
                       ('pg_get_userbyid', 'name', $v$''$v$), ('pg_has_role', 'boolean', 'true'), ('array_agg', 'text[]', 'NULL'),
                       ('count', 'bigint', '0'), ('min', 'text', $v$''$v$), ('coalesce_all', 'text', $v$''$v$),
                       ('pg_extension_config_dump', 'void', 'NULL'), ('setval', 'bigint', '1')) AS n (name, result, value)
         CROSS JOIN (VALUES ('text'), ('name'), ('text, name'), ('text, name, name'), ('text, text, text'), ('text, regclass'),
                            ('text, regprocedure'), ('regclass'), ('regclass, text'), ('oid, text'), ('text, integer')) AS a (args)
         CROSS JOIN (VALUES ('public'), ('planted')) AS s (schema)
    LOOP
        EXECUTE pg_catalog.format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.schema, f.name, f.args, f.result,
            pg_catalog.format('BEGIN PERFORM public.note(%L); RETURN%s; END', f.name, CASE WHEN f.result = 'void' THEN '' ELSE ' ' || f.value END));
    END LOOP;
END $$;

-- Casts from what catalogs hold to a type of its own, with operators on that,
-- and types of names that a script writes without a schema.
CREATE TYPE public.bait AS (t text);
CREATE FUNCTION public.bite(text) RETURNS public.bait LANGUAGE plpgsql AS 'BEGIN PERFORM public.note(''cast''); RETURN ROW($1)::public.bait; END';
CREATE FUNCTION public.bite(oid) RETURNS public.bait LANGUAGE plpgsql AS 'BEGIN PERFORM public.note(''cast''); RETURN ROW($1)::public.bait; END';
CREATE CAST (text AS public.bait) WITH FUNCTION public.bite(text) AS IMPLICIT;
CREATE CAST (oid AS public.bait) WITH FUNCTION public.bite(oid) AS ASSIGNMENT;
CREATE FUNCTION public.checked(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM public.note(''domain''); RETURN true; END';
CREATE DOMAIN public.regnamespace AS text CHECK (public.checked(VALUE));
CREATE DOMAIN public.jsonb AS text CHECK (public.checked(VALUE));
CREATE VIEW public.pg_class AS SELECT public.checked('view'), c.* FROM pg_catalog.pg_class c;
RESET ROLE;

-- The traps work: this is what a script without care would run.
SET ROLE regress_planter;
SELECT count(*) > 0 AS found FROM pg_catalog.pg_class c WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace;
SELECT is_called FROM public.calls;
SELECT pg_catalog.setval('public.calls', 1, false);
RESET ROLE;

CREATE EXTENSION pg_kpi;
DROP EXTENSION pg_kpi;
CREATE EXTENSION pg_kpi SCHEMA planted;
-- What it leaves runs with the path of whoever calls it.
SET search_path = public, planted;
SELECT kpi.grant_editor('regress_planter');
SELECT kpi.revoke_reader('regress_planter');
SELECT count(*) FROM kpi.source_status;
SELECT count(*) FROM kpi.goal_progress;
SELECT count(*) FROM kpi.health();
RESET search_path;
DROP EXTENSION pg_kpi;

SELECT is_called FROM public.calls;
SELECT rolname, rolsuper FROM pg_catalog.pg_roles WHERE rolname = 'regress_planter';
\c :home
DROP DATABASE regress_kpi_install;
DROP ROLE regress_planter;
