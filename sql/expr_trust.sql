-- Whose rights an expression has: never more than its definer's, whoever
-- writes, refreshes or looks, and whatever has changed since it was checked.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_trust_evil;
CREATE ROLE regress_trust_super SUPERUSER;
SELECT kpi.grant_editor('regress_trust_evil');
CREATE SCHEMA trust_test AUTHORIZATION regress_trust_evil;
GRANT USAGE ON SCHEMA trust_test TO PUBLIC;
SET ROLE regress_trust_evil;
-- notes who runs it
CREATE TABLE trust_test.seen (what text, who name, path text);
GRANT ALL ON trust_test.seen TO PUBLIC;
CREATE FUNCTION trust_test.note_it(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trust_test.seen VALUES (what, current_user, current_setting('search_path'));
END $$;
CREATE FUNCTION trust_test.note(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM trust_test.note_it(what);
    RETURN true;
END $$;
CREATE FUNCTION trust_test.check_it(i integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT trust_test.note('domain') $$;
CREATE DOMAIN trust_test.spy AS integer CHECK (trust_test.check_it(VALUE));
RESET ROLE;

-- A function runs wherever an expression is parsed, folded or evaluated; the
-- literal of an array of a domain already where it is parsed.
SET ROLE regress_trust_evil;
CREATE TABLE trust_test.deals (id integer, owner text, amount numeric, day date);
SELECT kpi.create_source('t_evil', relation => 'trust_test.deals',
    owner => $$CASE WHEN trust_test.note('owner') THEN owner END$$,
    at => $$CASE WHEN '{1}'::trust_test.spy[] IS NOT NULL THEN day END$$,
    filter => $$1::trust_test.spy IS NOT NULL$$) > 0 AS created;
SELECT kpi.create_kpi('t_evil', source => 't_evil', measure => $$sum(CASE WHEN trust_test.note('constant') THEN amount END)$$) > 0 AS created;
RESET ROLE;
SELECT kpi_internal.facts_query('t_evil') <> '' AS shown;
SELECT kpi_internal.facts_query('t_evil', 't_evil') <> '' AS shown;
CALL kpi.refresh();
INSERT INTO trust_test.deals VALUES (1, 'ann', 1, '2026-10-05'), (2, 'bob', 1, '2026-10-05');
UPDATE trust_test.deals SET amount = 2;
CALL kpi.refresh('t_evil');
SELECT * FROM kpi.verify('t_evil');
SELECT kpi.repair('t_evil');
SELECT kpi.alter_source('t_evil', grain => 'day', filter => 'amount > 0 AND 1::trust_test.spy IS NOT NULL');
SELECT kpi.create_kpi('t_evil_2', source => 't_evil', measure => 'count(*)') > 0 AS created;
SELECT kpi.resume('t_evil');
SELECT DISTINCT what, who, path FROM trust_test.seen ORDER BY 1, 2;
-- after an error the user is who it was
BEGIN;
SAVEPOINT s;
SELECT kpi.create_kpi('t_evil_3', source => 't_evil', measure => 'sum(1 / 0)');
ROLLBACK TO s;
SELECT current_user = session_user AS same, current_setting('search_path') AS path;
ROLLBACK;
SELECT kpi.drop_source('t_evil', cascade => true);

-- A superuser's expression runs no code that belongs to another role, ...
SET ROLE regress_trust_super;
CREATE TABLE trust_test.supers (id integer, owner text, amount numeric, day date, d trust_test.spy, ds trust_test.spy[]);
SELECT kpi.create_source('t_super', relation => 'trust_test.supers', at => 'day', filter => $$trust_test.note('x')$$);
SELECT kpi.create_source('t_super', relation => 'trust_test.supers', at => 'day', filter => $$id::trust_test.spy > 0$$);
SELECT kpi.create_source('t_super', relation => 'trust_test.supers', at => 'day', filter => $$ARRAY[id]::trust_test.spy[] IS NOT NULL$$);
-- ... also where no function or type is named: the literal is read as the type
-- of the column, or of the argument, beside it
TRUNCATE trust_test.seen;
SELECT kpi.create_source('t_super', relation => 'trust_test.supers', at => 'day', filter => $$CASE WHEN id > 0 THEN d END IS NOT NULL$$);
SELECT kpi.create_source('t_super', relation => 'trust_test.supers', at => 'day', filter => $$ds = '{1}'$$);
CREATE FUNCTION trust_test.first(trust_test.spy[]) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1[1]::integer';
SELECT kpi.create_source('t_super', relation => 'trust_test.supers', at => 'day', filter => $$trust_test.first('{1}') > id$$);
SELECT * FROM trust_test.seen;

-- ... nor what came under its names later, where another owns the schema
CREATE FUNCTION trust_test.net(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 1.19';
INSERT INTO trust_test.supers (id, owner, amount, day) VALUES (1, 'ann', 2, '2026-10-05');
SELECT kpi.create_source('t_super', relation => 'trust_test.supers', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('t_super', source => 't_super', measure => 'sum(trust_test.net(amount))') > 0 AS created;
CALL kpi.refresh('t_super');
SELECT round(value, 2) FROM kpi.team_daily WHERE kpi = 't_super' AND team = 'company';
SET ROLE regress_trust_evil;
DROP FUNCTION trust_test.net(numeric);
CREATE FUNCTION trust_test.net(numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM trust_test.note('replaced');
    RETURN 1;
END $$;
SET ROLE regress_trust_super;
INSERT INTO trust_test.supers (id, owner, amount, day) VALUES (2, 'ann', 1, '2026-10-05');
CALL kpi.refresh('t_super');
SELECT kpi.drop_source('t_super', cascade => true);
SELECT * FROM trust_test.seen;

-- Over another's table it runs as the owner, who may retype the columns.
SELECT kpi.create_source('t_super', relation => 'trust_test.deals', owner => 'owner', at => 'day', filter => 'amount > 0') > 0 AS created;
SELECT kpi.create_kpi('t_super', source => 't_super', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh('t_super');
SELECT definer FROM kpi.source WHERE name = 't_super';
SET ROLE regress_trust_evil;
CREATE TYPE trust_test.trap AS (n numeric);
CREATE FUNCTION trust_test.spring(trust_test.trap) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM trust_test.note('cast');
    RETURN 1;
END $$;
CREATE CAST (trust_test.trap AS numeric) WITH FUNCTION trust_test.spring(trust_test.trap) AS IMPLICIT;
ALTER TABLE trust_test.deals ALTER amount TYPE trust_test.trap USING ROW(amount)::trust_test.trap;
SET ROLE regress_trust_super;
INSERT INTO trust_test.deals VALUES (3, 'ann', ROW(1), '2026-10-05');
CALL kpi.refresh('t_super');
SELECT kpi.drop_source('t_super', cascade => true);
SELECT DISTINCT who FROM trust_test.seen;
SET ROLE regress_trust_evil;
ALTER TABLE trust_test.deals ALTER amount TYPE numeric USING (amount).n;
RESET ROLE;

-- What a role may use as definer is looked at again as well.
SET ROLE regress_trust_evil;
CREATE FUNCTION trust_test.half(numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 / 2; END';
SELECT kpi.create_source('t_own', relation => 'trust_test.deals', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('t_own', source => 't_own', measure => 'sum(trust_test.half(amount))') > 0 AS created;
INSERT INTO trust_test.deals VALUES (5, 'ann', 1, '2026-10-05');
ALTER FUNCTION trust_test.half(numeric) VOLATILE;
INSERT INTO trust_test.deals VALUES (6, 'ann', 1, '2026-10-05');
CALL kpi.refresh('t_own');
ALTER FUNCTION trust_test.half(numeric) IMMUTABLE;
SELECT kpi.resume('t_own');
CALL kpi.refresh('t_own');
SELECT value FROM kpi.team_daily WHERE kpi = 't_own' AND team = 'company';
SELECT kpi.drop_source('t_own', cascade => true);
RESET ROLE;

SELECT kpi.revoke_reader('regress_trust_evil');
DROP SCHEMA trust_test CASCADE;
DROP ROLE regress_trust_evil, regress_trust_super;
