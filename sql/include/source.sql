-- A table with columns of many types, in schema source_test, which is new, and two
-- roles that may define sources.
SET client_min_messages = warning;
CREATE ROLE regress_kpi_definer;
CREATE ROLE regress_kpi_other;
GRANT USAGE ON SCHEMA kpi TO regress_kpi_definer, regress_kpi_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kpi TO regress_kpi_definer, regress_kpi_other;
GRANT SELECT ON kpi.source, kpi.kpi, kpi.dimension TO regress_kpi_definer, regress_kpi_other;
CREATE SCHEMA source_test;
GRANT USAGE, CREATE ON SCHEMA source_test TO regress_kpi_definer, regress_kpi_other;

CREATE TYPE source_test.stage AS ENUM ('open', 'won', 'lost');
CREATE TABLE source_test.deals (
    id bigint PRIMARY KEY,
    owner_id integer,
    team text,
    closed_at timestamptz,
    created_at timestamp,
    month date,
    stage source_test.stage,
    amount numeric(12,2),
    price double precision,
    product text COLLATE "C",
    name text COLLATE "POSIX",
    is_deleted boolean,
    tags text[],
    doc jsonb,
    duration interval
);
CREATE FUNCTION source_test.net(numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 0.81; END';
CREATE FUNCTION source_test.looks_up(numeric) RETURNS numeric STABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION source_test.many(integer) RETURNS SETOF integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN NEXT $1; END';
