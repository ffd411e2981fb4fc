-- Sources: which expressions one takes, and what they mean.
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir /sql/include/source.sql
\set ECHO none
\i :setup
\set ECHO all

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
SELECT kpi_internal.facts_query('x1');
SELECT kpi_internal.facts_query('x2');
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
SELECT kpi_internal.facts_query('x');
SELECT kpi.drop_source('x');
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', team => 'stage') > 0 AS created;
SELECT kpi_internal.facts_query('x');
SELECT kpi.drop_source('x');

-- Equality that is not that of the text, mended as the hint says.
CREATE COLLATION source_test.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE source_test.insensitive (at date, owner text COLLATE source_test.ci);
SELECT kpi.create_source('x', relation => 'source_test.insensitive', at => 'at', owner => 'owner') > 0 AS created;
SELECT kpi.create_source('x', relation => 'source_test.insensitive', at => 'at', owner => 'lower(owner) COLLATE "C"') > 0 AS created;
SELECT kpi_internal.facts_query('x');
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
SELECT kpi_internal.facts_query('Ünï "c"');
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
SELECT s.version FROM (SELECT * FROM kpi_internal.stream WHERE part <> 'left_out') s JOIN kpi.source x ON x.id = s.source_id WHERE x.name = 'x';
SELECT kpi.alter_source('x', filter => 'true');
SELECT s.version FROM (SELECT * FROM kpi_internal.stream WHERE part <> 'left_out') s JOIN kpi.source x ON x.id = s.source_id WHERE x.name = 'x';
SELECT kpi.drop_source('x', cascade => true);

DROP SCHEMA source_test CASCADE;
DROP OWNED BY regress_kpi_definer, regress_kpi_other;
DROP ROLE regress_kpi_definer, regress_kpi_other;
