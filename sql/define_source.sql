-- Sources: what can be one, whose it is, and which expressions it takes.
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

-- A source, and what it is stored as.  The schema is not on the search_path.
SELECT kpi.create_source('deals', relation => 'source_test.deals', key => 'id', owner => 'owner_id', at => 'closed_at',
    filter => 'is_deleted IS NOT TRUE',
    dimensions => '{"product": "product", "size": "CASE WHEN amount > 50000 THEN ''large'' ELSE ''small'' END"}') > 0 AS created;
SELECT name, relation, key, owner, team, at, filter, grain, definer FROM kpi.source;
SELECT position, name, expression FROM kpi.dimension ORDER BY position;
SELECT kpi.facts_query('deals');
SELECT kpi.create_source('deals', relation => 'source_test.deals', at => 'closed_at');

-- What is missing or unknown.
SELECT kpi.create_source('x', relation => 'source_test.deals');
SELECT kpi.create_source('x', relation => NULL, at => 'closed_at');
SELECT kpi.create_source('', relation => 'source_test.deals', at => 'closed_at');
SELECT kpi.create_source('x', relation => 'source_test.nothing', at => 'closed_at');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', grain => 'hour');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', calendar => 'moon');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', owner => 'owner_id', team => 'team');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', dimensions => '["product"]');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', dimensions => '{"product": 1}');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', dimensions => '{"day": "product"}');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', dimensions => '{"m1_2": "product"}');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', dimensions => '{"": "product"}');

-- Relations that cannot be one.
CREATE VIEW source_test.v AS SELECT * FROM source_test.deals;
CREATE MATERIALIZED VIEW source_test.mv AS SELECT 1 AS n, now() AS at;
CREATE TEMPORARY TABLE t (at timestamptz);
CREATE UNLOGGED TABLE source_test.u (at timestamptz);
CREATE SEQUENCE source_test.s;
CREATE TABLE source_test.parent (at timestamptz);
CREATE TABLE source_test.child () INHERITS (source_test.parent);
CREATE FOREIGN DATA WRAPPER regress_kpi_fdw;
CREATE SERVER regress_kpi_server FOREIGN DATA WRAPPER regress_kpi_fdw;
CREATE FOREIGN TABLE source_test.f (at timestamptz) SERVER regress_kpi_server;
CREATE TABLE source_test.p (owner text, junk text, at timestamptz, amount integer) PARTITION BY RANGE (at);
CREATE TABLE source_test.p1 PARTITION OF source_test.p FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE FOREIGN TABLE source_test.p2 PARTITION OF source_test.p FOR VALUES FROM ('2027-01-01') TO ('2028-01-01') SERVER regress_kpi_server;
SELECT kpi.create_source('x', relation => 'source_test.v', at => 'closed_at');
SELECT kpi.create_source('x', relation => 'source_test.mv', at => 'at');
SELECT kpi.create_source('x', relation => 't', at => 'at');
SELECT kpi.create_source('x', relation => 'source_test.u', at => 'at');
SELECT kpi.create_source('x', relation => 'source_test.s', at => 'last_value');
SELECT kpi.create_source('x', relation => 'source_test.f', at => 'at');
SELECT kpi.create_source('x', relation => 'source_test.parent', at => 'at');
SELECT kpi.create_source('x', relation => 'source_test.child', at => 'at');
SELECT kpi.create_source('x', relation => 'source_test.p1', at => 'at');
SELECT kpi.create_source('x', relation => 'source_test.p', at => 'at');
SELECT kpi.create_source('x', relation => 'pg_catalog.pg_class', at => 'now()');
SELECT kpi.create_source('x', relation => 'information_schema.sql_features', at => 'now()');
SELECT kpi.create_source('x', relation => 'kpi.source', at => 'created_at');

-- A partitioned table: facts are those of all partitions.
DROP FOREIGN TABLE source_test.p2;
CREATE TABLE source_test.p3 (amount integer, at timestamptz, owner text);
ALTER TABLE source_test.p DROP COLUMN junk;
ALTER TABLE source_test.p ATTACH PARTITION source_test.p3 FOR VALUES FROM ('2028-01-01') TO ('2029-01-01');
SELECT kpi.create_source('parts', relation => 'source_test.p', at => 'at', owner => 'owner') > 0 AS created;
SELECT kpi.facts_query('parts');
SELECT kpi.drop_source('parts');

-- Rights: the owner, or SELECT and TRIGGER, and no row security.
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at');
RESET ROLE;
GRANT SELECT ON source_test.deals TO regress_kpi_definer;
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at');
RESET ROLE;
GRANT TRIGGER ON source_test.deals TO regress_kpi_definer;
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', owner => 'owner_id') > 0 AS created;
SELECT name, definer FROM kpi.source WHERE name = 'x';
RESET ROLE;
ALTER TABLE source_test.deals ENABLE ROW LEVEL SECURITY;
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('y', relation => 'source_test.deals', at => 'closed_at');
SELECT kpi.alter_source('x', at => 'month');
RESET ROLE;
ALTER TABLE source_test.deals DISABLE ROW LEVEL SECURITY;
SET ROLE regress_kpi_other;
SELECT kpi.alter_source('x', at => 'month');
SELECT kpi.drop_source('x');
SELECT kpi.create_kpi('x_count', source => 'x', measure => 'count(*)');
RESET ROLE;
-- A member of the definer's role may; expressions still run as the definer.
GRANT regress_kpi_definer TO regress_kpi_other;
REVOKE EXECUTE ON FUNCTION source_test.net FROM PUBLIC;
SET ROLE regress_kpi_other;
SELECT kpi.alter_source('x', at => 'month');
SELECT kpi.create_kpi('x_net', source => 'x', measure => 'sum(source_test.net(amount))');
RESET ROLE;
GRANT EXECUTE ON FUNCTION source_test.net TO PUBLIC;
-- A superuser's expressions call no function that another could replace.
SET ROLE regress_kpi_definer;
CREATE FUNCTION source_test.planted(numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
RESET ROLE;
SELECT kpi.create_source('y', relation => 'source_test.deals', at => 'closed_at', filter => 'source_test.planted(amount) > 0');
-- Whose role is gone.
UPDATE kpi.source SET definer = 'regress_kpi_gone' WHERE name = 'x';
SELECT kpi.alter_source('x', filter => 'amount > 0');
SELECT kpi.drop_source('x');

-- Expressions that cannot be part of one.
CREATE FUNCTION pg_temp.tmp(numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION source_test.try(filter text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM kpi.create_source('try', relation => 'source_test.deals', at => 'closed_at', filter => filter);
    RETURN (SELECT s.filter FROM kpi.source s WHERE s.name = 'try');
END $$;
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'amont > 0');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'deal_stage = 1');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'amount > > 0');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'net(amount) > 0');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'amount');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'amount > 0; DROP TABLE x');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'amount > 0 FROM source_test.p');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'true UNION SELECT false');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'is_deleted, true');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'is_deleted AS deleted');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => '*');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => '   ');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'amount > (SELECT 1)');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'sum(amount) > 1');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'row_number() OVER () > 1');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'source_test.many(owner_id) > 1');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'generate_series(1, owner_id) > 1');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'amount > $1');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'xmin = ''1''');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'deals IS NOT NULL');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'deals.* IS NOT NULL');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'source_test.looks_up(amount) > 0');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'random() > 0.5');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'closed_at > now()');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'month > current_date');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'closed_at::date = ''2026-01-01''');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'closed_at > created_at');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'pg_temp.tmp(amount) > 0');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'product = name');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'amount > 1/0');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'stage = ''maybe''');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', filter => 'current_user = product');
SELECT name FROM kpi.source ORDER BY name;

-- Times.
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'product');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'date_trunc(''month'', closed_at)');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'owner_id');
SELECT kpi.create_source('x1', relation => 'source_test.deals', at => 'created_at') > 0 AS created;
SELECT kpi.create_source('x2', relation => 'source_test.deals', at => 'month') > 0 AS created;
SELECT kpi.facts_query('x1');
SELECT kpi.facts_query('x2');
SELECT kpi.drop_source('x1');
SELECT kpi.drop_source('x2');

-- Owners, teams and dimensions.
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', owner => 'tags');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', owner => 'doc');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', team => 'price');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', team => 'duration');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', owner => 'closed_at');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', owner => 'row(1, 2)');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', dimensions => '{"tags": "tags"}');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', owner => 'amount',
    dimensions => '{"stage": "stage", "month": "month", "deleted": "is_deleted", "owned": "owner_id", "const": "''a''", "Größe \"x\"": "lower(name)"}') > 0 AS created;
SELECT kpi.facts_query('x');
SELECT kpi.drop_source('x');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', team => 'stage') > 0 AS created;
SELECT kpi.facts_query('x');
SELECT kpi.drop_source('x');

-- Equality that is not that of the text, mended as the hint says.
CREATE COLLATION source_test.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE source_test.insensitive (at date, owner text COLLATE source_test.ci);
SELECT kpi.create_source('x', relation => 'source_test.insensitive', at => 'at', owner => 'owner') > 0 AS created;
SELECT kpi.create_source('x', relation => 'source_test.insensitive', at => 'at', owner => 'lower(owner) COLLATE "C"') > 0 AS created;
SELECT kpi.facts_query('x');
SELECT kpi.drop_source('x');

-- Constants mean the same whatever the session's settings.
SET DateStyle = 'German';
SET TimeZone = 'Europe/Berlin';
SELECT source_test.try($$closed_at >= '01.02.2026' AND month < '31.12.2026' AND duration > '1 day' AND price < 0.1$$);
SELECT kpi.drop_source('try');
RESET DateStyle;
RESET TimeZone;

-- Names: capitals, quotes, other scripts, reserved words.
CREATE SCHEMA "Source ""Test""";
CREATE TABLE "Source ""Test"""."Ünïcode ""Deals""" ("select" timestamptz, "Owner Id" text, "группа" text, "order" integer);
SELECT kpi.create_source('Ünï "c"', relation => '"Source ""Test"""."Ünïcode ""Deals"""', at => '"select"', owner => '"Owner Id"',
    filter => '"order" > 0', dimensions => '{"группа": "группа", "from": "\"order\""}') > 0 AS created;
SELECT kpi.facts_query('Ünï "c"');
SELECT kpi.drop_source('Ünï "c"');
DROP SCHEMA "Source ""Test""" CASCADE;

-- Planted functions and operators capture no name, however the caller's path is set.
CREATE SCHEMA source_trap;
CREATE FUNCTION source_trap.lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT 'trapped'$$;
CREATE FUNCTION source_trap.gt(numeric, integer) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR source_trap.> (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = source_trap.gt);
CREATE TABLE source_trap.deals (closed_at date, amount numeric, product text);
SET search_path = source_trap, pg_catalog;
SELECT kpi.create_source('x', relation => 'deals', at => 'closed_at', filter => 'amount > 0', dimensions => '{"product": "lower(product)"}') > 0 AS created;
SELECT relation, filter FROM kpi.source WHERE name = 'x';
SELECT expression FROM kpi.dimension WHERE name = 'product' ORDER BY id DESC LIMIT 1;
SELECT kpi.drop_source('x');
-- Written with its schema, a user's function or operator is meant and stays so.
SELECT kpi.create_source('x', relation => 'deals', at => 'closed_at', filter => 'source_test.net(amount) > 0 AND amount OPERATOR(source_trap.>) 1') > 0 AS created;
SELECT filter FROM kpi.source WHERE name = 'x';
SELECT kpi.drop_source('x');
RESET search_path;
DROP SCHEMA source_trap CASCADE;

-- What is stored can be checked again, and is the same then: nothing to compute anew.
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', owner => 'stage',
    filter => $$name IN ('a', 'b') AND stage::text LIKE 'w%'$$,
    dimensions => '{"stage": "stage", "month": "month", "owned": "owner_id", "own text": "stage::text"}') > 0 AS created;
SELECT kpi.create_kpi('x_n', source => 'x', measure => 'count(*)') > 0 AS created;
SELECT kpi.alter_source('x', grain => 'month', at => 'closed_at', owner => 'stage');
SELECT s.version FROM kpi_internal.stream s JOIN kpi.source x ON x.id = s.source_id WHERE x.name = 'x';
SELECT kpi.alter_source('x', filter => 'true');
SELECT s.version FROM kpi_internal.stream s JOIN kpi.source x ON x.id = s.source_id WHERE x.name = 'x';
SELECT kpi.drop_source('x', cascade => true);

-- Changes: NULL keeps, an empty text clears.
SELECT kpi.create_kpi('n', source => 'deals', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_kpi('early', source => 'deals', measure => 'count(*)', at => 'created_at') > 0 AS created;
CREATE VIEW source_test.streams AS
    SELECT dense_rank() OVER (ORDER BY s.id) AS stream, s.version, s.owner_kind, s.owner, s.at, k.name AS kpi
      FROM kpi_internal.stream s LEFT JOIN kpi_internal.measure m ON m.stream_id = s.id LEFT JOIN kpi.kpi k ON k.id = m.kpi_id;
SELECT * FROM source_test.streams ORDER BY stream, kpi;
SELECT kpi.alter_source('deals', new_name => 'all deals', grain => 'week');
SELECT * FROM source_test.streams ORDER BY stream, kpi;
SELECT kpi.alter_source('all deals', new_name => 'deals', filter => 'amount > 0');
SELECT * FROM source_test.streams ORDER BY stream, kpi;
SELECT kpi.alter_source('deals', team => 'team', filter => '', key => '', dimensions => '{}');
SELECT name, key, owner, team, at, filter, grain FROM kpi.source;
SELECT count(*) FROM kpi.dimension;
SELECT * FROM source_test.streams ORDER BY stream, kpi;
SELECT kpi.alter_source('deals', team => '', at => 'created_at');
SELECT * FROM source_test.streams ORDER BY stream, kpi;
SELECT kpi.alter_source('deals', owner => 'owner_id', team => 'team');
SELECT kpi.alter_source('deals', at => '');
SELECT kpi.alter_source('deals', calendar => 'moon');
SELECT kpi.alter_source('nothing', at => 'month');
DROP VIEW source_test.v;
ALTER TABLE source_test.deals DROP COLUMN created_at;
SELECT kpi.alter_source('deals', filter => 'amount > 1');
SELECT kpi.alter_source('deals', at => 'closed_at');
SELECT kpi.alter_kpi('early', at => 'closed_at');
SELECT kpi.alter_source('deals', at => 'closed_at');
SELECT * FROM source_test.streams ORDER BY stream, kpi;

-- A table that is gone.
BEGIN;
DROP TABLE source_test.deals CASCADE;
SELECT kpi.alter_source('deals', at => 'month');
ROLLBACK;
BEGIN;
DROP TABLE source_test.deals CASCADE;
SELECT kpi.facts_query('deals');
ROLLBACK;
BEGIN;
DROP TABLE source_test.deals CASCADE;
SELECT kpi.drop_source('deals', cascade => true);
ROLLBACK;

-- Dropping.
SELECT kpi.drop_source('deals');
SELECT kpi.drop_source('nothing');
SELECT kpi.drop_source('deals', cascade => true);
SELECT (SELECT count(*) FROM kpi.source) AS sources, (SELECT count(*) FROM kpi.kpi) AS kpis,
       (SELECT count(*) FROM kpi_internal.stream) AS streams, (SELECT count(*) FROM kpi_internal.measure) AS measures;

DROP SCHEMA source_test CASCADE;
DROP SERVER regress_kpi_server;
DROP FOREIGN DATA WRAPPER regress_kpi_fdw;
DROP OWNED BY regress_kpi_definer, regress_kpi_other;
DROP ROLE regress_kpi_definer, regress_kpi_other;
