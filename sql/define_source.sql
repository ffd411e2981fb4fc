-- Sources: what is stored of one, what is missing, and which relations can be one.
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir /sql/include/source.sql
\set ECHO none
\i :setup
\set ECHO all

-- A source, and what it is stored as.  The schema is not on the search_path.
SELECT kpi.create_source('deals', relation => 'source_test.deals', key => 'id', owner => 'owner_id', at => 'closed_at',
    filter => 'is_deleted IS NOT TRUE',
    dimensions => '{"product": "product", "size": "CASE WHEN amount > 50000 THEN ''large'' ELSE ''small'' END"}') > 0 AS created;
SELECT name, relation, key, owner, team, at, filter, grain, definer FROM kpi.source;
SELECT position, name, expression FROM kpi.dimension ORDER BY position;
SELECT kpi_internal.facts_query('deals');
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
SELECT kpi_internal.facts_query('parts');
SELECT kpi.drop_source('parts');

SELECT kpi.drop_source('deals');

DROP SCHEMA source_test CASCADE;
DROP SERVER regress_kpi_server;
DROP FOREIGN DATA WRAPPER regress_kpi_fdw;
DROP OWNED BY regress_kpi_definer, regress_kpi_other;
DROP ROLE regress_kpi_definer, regress_kpi_other;
