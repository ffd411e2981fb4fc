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
SELECT kpi.facts_query('t_evil') <> '' AS shown;
SELECT kpi.facts_query('t_evil', 't_evil') <> '' AS shown;
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

-- An expression that writes to its own table, or to another source, or starts
-- a refresh, spoils nobody's numbers.
CREATE TABLE trust_test.other (id integer, owner text, day date);
CREATE FUNCTION trust_test.write_more(i integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF i BETWEEN 1 AND 3 THEN
        INSERT INTO trust_test.deals SELECT i * 10, repeat('x', 3000) || n, 1, '2026-10-06' FROM generate_series(1, 3) n;
        INSERT INTO trust_test.deals SELECT i + 1, repeat('y', 3000), 1, '2026-10-06' WHERE i < 3;
        GRANT SELECT ON trust_test.deals TO regress_trust_evil;
        INSERT INTO trust_test.other VALUES (i, 'ann', '2026-10-06');
    END IF;
    IF i = 7 THEN
        CALL kpi.refresh('t_own');
    END IF;
    IF i = 8 THEN
        PERFORM kpi.drop_source('t_other', cascade => true);
    END IF;
END $$;
CREATE FUNCTION trust_test.writes(i integer, t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM trust_test.write_more(i);
    RETURN upper(t) || i;
END $$;
TRUNCATE trust_test.deals;
SELECT kpi.create_source('t_own', relation => 'trust_test.deals', at => 'day', owner => $$lower(owner) || left(trust_test.writes(id, owner), 5)$$,
    dimensions => '{"a": "left(owner, 9) || id::text", "b": "left(trust_test.writes(-id, owner), 9)"}') > 0 AS created;
SELECT kpi.create_kpi('t_own', source => 't_own', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_source('t_other', relation => 'trust_test.other', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('t_other', source => 't_other', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh();
INSERT INTO trust_test.deals VALUES (1, 'ann', 1, '2026-10-06');
UPDATE trust_test.deals SET id = 0, amount = 5 WHERE id IN (1, 2, 3);
INSERT INTO trust_test.deals VALUES (7, 'ann', 100, '2026-10-06'), (8, 'ann', 100, '2026-10-06');
UPDATE trust_test.deals SET id = 3 WHERE owner = 'ann' AND id = 0;
CALL kpi.refresh();
SELECT source, status, facts_ignored, last_fact_error FROM kpi.source_status WHERE source IN ('t_own', 't_other') ORDER BY 1;
SELECT kpi, value FROM kpi.team_daily WHERE kpi IN ('t_own', 't_other') AND team = 'company' ORDER BY 1;
SELECT sum(amount) FILTER (WHERE id NOT IN (7, 8)) FROM trust_test.deals;
SELECT count(*) FROM trust_test.other;
SELECT * FROM kpi.verify('t_other');
SELECT kpi.drop_source('t_own', cascade => true);
SELECT kpi.drop_source('t_other', cascade => true);
RESET ROLE;

-- Triggers of ours that others made count nothing: under another name, with a
-- condition, on another table, or with another's source.
SET ROLE regress_trust_evil;
CREATE TABLE trust_test.facts (id integer, day date);
SELECT kpi.create_source('t_facts', relation => 'trust_test.facts', at => 'day') AS id \gset
SELECT kpi.create_kpi('t_facts', source => 't_facts', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh('t_facts');
CREATE TRIGGER again AFTER INSERT ON trust_test.facts FOR EACH ROW EXECUTE FUNCTION kpi.capture(:id);
CREATE TRIGGER again_truncate AFTER TRUNCATE ON trust_test.facts EXECUTE FUNCTION kpi.capture_truncate(:id);
CREATE TABLE trust_test.stranger (LIKE trust_test.facts);
DO $$
BEGIN
    EXECUTE format('CREATE TRIGGER kpi_capture_%1$s AFTER INSERT ON trust_test.stranger FOR EACH ROW EXECUTE FUNCTION kpi.capture(%1$L)',
                   (SELECT id FROM kpi.source WHERE name = 't_facts'));
END $$;
CREATE TRIGGER other AFTER INSERT ON trust_test.stranger FOR EACH ROW EXECUTE FUNCTION kpi.capture('x');
CREATE TABLE trust_test.namesake (id integer);
CREATE FUNCTION trust_test.own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
DO $$
BEGIN
    EXECUTE format('CREATE TRIGGER kpi_capture_%s AFTER INSERT ON trust_test.namesake FOR EACH ROW EXECUTE FUNCTION trust_test.own()',
                   (SELECT id FROM kpi.source WHERE name = 't_facts'));
END $$;
INSERT INTO trust_test.facts VALUES (1, '2026-10-05');
INSERT INTO trust_test.stranger VALUES (1, '2026-10-05');
CALL kpi.refresh('t_facts');
SELECT * FROM kpi.verify('t_facts');
SELECT value FROM kpi.team_daily WHERE kpi = 't_facts' AND team = 'company';
DO $$
DECLARE
    id integer := (SELECT id FROM kpi.source WHERE name = 't_facts');
BEGIN
    EXECUTE format('DROP TRIGGER kpi_capture_%s ON trust_test.facts', id);
    EXECUTE format('CREATE TRIGGER kpi_capture_%1$s AFTER INSERT ON trust_test.facts FOR EACH ROW WHEN (NEW.id > 1) EXECUTE FUNCTION kpi.capture(%1$L)', id);
    EXECUTE format('ALTER TABLE trust_test.facts ENABLE ALWAYS TRIGGER kpi_capture_%s', id);
END $$;
INSERT INTO trust_test.facts VALUES (1, '2026-10-05');
CALL kpi.refresh('t_facts');
SELECT kpi.resume('t_facts');
CALL kpi.refresh('t_facts');
SELECT value FROM kpi.team_daily WHERE kpi = 't_facts' AND team = 'company';

-- Another's table that has come under the name is neither locked nor attached.
ALTER TABLE trust_test.facts RENAME TO facts_old;
GRANT CREATE ON SCHEMA trust_test TO PUBLIC;
RESET ROLE;
CREATE TABLE trust_test.facts (id integer, day date);
SET ROLE regress_trust_evil;
BEGIN;
SELECT kpi.resume('t_facts');
ROLLBACK;
SELECT kpi.create_kpi('t_facts_2', source => 't_facts', measure => 'count(*)');
BEGIN;
SELECT kpi.alter_kpi('t_facts', title => 'Facts');
SELECT mode FROM pg_locks WHERE relation = 'trust_test.facts'::regclass;
SELECT kpi.drop_source('t_facts', cascade => true);
SELECT mode FROM pg_locks WHERE relation = 'trust_test.facts'::regclass;
COMMIT;
RESET ROLE;
SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('trust_test.facts'::regclass, 'trust_test.facts_old'::regclass) AND tgname LIKE 'kpi%';
-- One that only has our name is nobody's but its table's.
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'trust_test.namesake'::regclass;

-- Triggers that write as the extension's owner are nobody's but its own, and
-- serve its own tables only.
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 WHERE p.pronamespace IN ('kpi'::regnamespace, 'kpi_internal'::regnamespace) AND a.grantee = 0
   AND p.prorettype = 'trigger'::regtype ORDER BY 1;
GRANT USAGE ON SCHEMA kpi_internal TO regress_trust_evil;
SET ROLE regress_trust_evil;
CREATE TRIGGER inject AFTER INSERT ON trust_test.stranger FOR EACH ROW EXECUTE FUNCTION kpi_internal.check_reference('id', 'pg_authid; SELECT 1');
RESET ROLE;
GRANT EXECUTE ON FUNCTION kpi_internal.check_reference() TO regress_trust_evil;
SET ROLE regress_trust_evil;
CREATE TRIGGER inject AFTER INSERT ON trust_test.stranger FOR EACH ROW EXECUTE FUNCTION kpi_internal.check_reference('id', 'pg_authid; SELECT 1');
CREATE FUNCTION trust_test.inject() RETURNS void SECURITY DEFINER LANGUAGE sql AS 'INSERT INTO trust_test.stranger VALUES (1)';
SELECT trust_test.inject();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION kpi_internal.check_reference() FROM regress_trust_evil;
REVOKE USAGE ON SCHEMA kpi_internal FROM regress_trust_evil;

SELECT kpi.revoke_reader('regress_trust_evil');
DROP SCHEMA trust_test CASCADE;
DROP ROLE regress_trust_evil, regress_trust_super;
