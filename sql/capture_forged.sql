-- Capture: triggers of ours that others made, and tables that others put in the way.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_trust_evil;
SELECT kpi.grant_editor('regress_trust_evil');
CREATE SCHEMA trust_test AUTHORIZATION regress_trust_evil;
GRANT USAGE ON SCHEMA trust_test TO PUBLIC;

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
CREATE TRIGGER inject AFTER INSERT ON trust_test.stranger FOR EACH ROW EXECUTE FUNCTION kpi_internal.check_reference('id', 'pg_authid; SELECT 1', 'oid');
RESET ROLE;
GRANT EXECUTE ON FUNCTION kpi_internal.check_reference() TO regress_trust_evil;
SET ROLE regress_trust_evil;
CREATE TRIGGER inject AFTER INSERT ON trust_test.stranger FOR EACH ROW EXECUTE FUNCTION kpi_internal.check_reference('id', 'pg_authid; SELECT 1', 'oid');
CREATE FUNCTION trust_test.inject() RETURNS void SECURITY DEFINER LANGUAGE sql AS 'INSERT INTO trust_test.stranger VALUES (1)';
SELECT trust_test.inject();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION kpi_internal.check_reference() FROM regress_trust_evil;
REVOKE USAGE ON SCHEMA kpi_internal FROM regress_trust_evil;

SELECT kpi.revoke_reader('regress_trust_evil');
DROP SCHEMA trust_test CASCADE;
DROP ROLE regress_trust_evil;
