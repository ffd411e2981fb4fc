-- Who may do what: outsiders nothing, readers read, editors define.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_priv_outsider;
CREATE ROLE regress_priv_reader;
CREATE ROLE regress_priv_editor;
CREATE ROLE regress_priv_owner;
CREATE SCHEMA priv_test;
GRANT USAGE, CREATE ON SCHEMA priv_test TO regress_priv_owner, regress_priv_editor, regress_priv_reader;
SET ROLE regress_priv_owner;
CREATE TABLE priv_test.deals (id integer PRIMARY KEY, owner text, amount numeric, day date);
RESET ROLE;

-- Nothing is for PUBLIC: neither schemas, tables nor functions.
SELECT nspname FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname IN ('kpi', 'kpi_internal') AND a.grantee = 0;
SELECT c.oid::regclass FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace IN ('kpi'::regnamespace, 'kpi_internal'::regnamespace) AND a.grantee = 0;
-- what is left to PUBLIC computes with cells or is a trigger; without USAGE on the schemas nobody can name it
SELECT count(*) FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 WHERE p.pronamespace IN ('kpi'::regnamespace, 'kpi_internal'::regnamespace) AND a.grantee = 0
   AND p.prokind <> 'a' AND p.prorettype <> 'trigger'::regtype AND p.prorettype <> 'kpi.cell'::regtype
   AND NOT ('kpi.cell'::regtype = ANY (p.proargtypes::oid[]));
-- no function runs with its owner's rights
SELECT oid::regprocedure FROM pg_proc WHERE pronamespace IN ('kpi'::regnamespace, 'kpi_internal'::regnamespace) AND prosecdef;

SET ROLE regress_priv_outsider;
SELECT * FROM kpi.team;
SELECT * FROM kpi.goal_progress;
SELECT kpi.create_team('p_x');
SELECT kpi.today();
CALL kpi.refresh();
SELECT kpi.grant_reader('regress_priv_outsider');
SELECT * FROM kpi_internal.version;
RESET ROLE;
-- also where others may look into the schema
GRANT USAGE ON SCHEMA kpi TO regress_priv_outsider;
SET ROLE regress_priv_outsider;
SELECT * FROM kpi.team;
SELECT kpi.create_team('p_x');
SELECT kpi.create_source('p', relation => 'priv_test.deals', at => 'day');
SELECT kpi.create_kpi('p', source => 'p', measure => 'count(*)');
SELECT kpi.create_goal('p', kpi => 'p', period => '2026', target => 1);
SELECT kpi.create_calendar('p', 'UTC');
CALL kpi.refresh();
SELECT * FROM kpi.verify();
SELECT kpi.grant_editor('regress_priv_outsider');
RESET ROLE;
REVOKE USAGE ON SCHEMA kpi FROM regress_priv_outsider;

SELECT kpi.grant_reader('regress_priv_reader');
SELECT kpi.grant_editor('regress_priv_editor');
SELECT kpi.grant_reader('nobody at all');
SELECT kpi.grant_reader('public');
SELECT kpi.grant_editor(NULL);

-- nor may whoever can execute it hand out rights
GRANT USAGE ON SCHEMA kpi TO regress_priv_outsider;
GRANT USAGE ON SCHEMA kpi_internal TO regress_priv_outsider;
GRANT EXECUTE ON FUNCTION kpi.grant_reader(text), kpi_internal.set_rights(text, text, boolean) TO regress_priv_outsider;
SET ROLE regress_priv_outsider;
SELECT kpi.grant_reader('regress_priv_outsider');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION kpi.grant_reader(text), kpi_internal.set_rights(text, text, boolean) FROM regress_priv_outsider;
REVOKE USAGE ON SCHEMA kpi FROM regress_priv_outsider;
REVOKE USAGE ON SCHEMA kpi_internal FROM regress_priv_outsider;

-- An editor defines; sources of tables it owns.
SET ROLE regress_priv_editor;
SELECT kpi.create_team('p_team') > 2 AS created;
SELECT kpi.add_member('p_ann', team => 'p_team') > 0 AS added;
SELECT kpi.create_source('p_deals', relation => 'priv_test.deals', key => 'id', owner => 'owner', at => 'day');
CREATE TABLE priv_test.own (id integer PRIMARY KEY, owner text, amount numeric, day date);
SELECT kpi.create_source('p_own', relation => 'priv_test.own', key => 'id', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('p_revenue', source => 'p_own', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('p_half', formula => 'p_revenue / 2') > 0 AS created;
SELECT kpi.create_goal('P', kpi => 'p_revenue', team => 'p_team', period => '2026-Q4', target => 100) > 0 AS created;
SELECT kpi.create_goal('H', kpi => 'p_half', member => 'p_ann', period => '2026-Q4', target => 40) > 0 AS created;
INSERT INTO priv_test.own VALUES (1, 'p_ann', 60, '2026-10-05'), (2, 'zoe', 10, '2026-10-06');
CALL kpi.refresh();
SELECT goal, actual FROM kpi.goal_progress ORDER BY goal;
SELECT * FROM kpi.verify('p_own');
UPDATE kpi_internal.version SET org = 0;
UPDATE kpi.team SET name = 'x';
DELETE FROM kpi.kpi_value;
DELETE FROM kpi_internal.rollup_cell;
SELECT kpi.grant_editor('regress_priv_outsider');
RESET ROLE;

-- The owner of a table is not thereby one who defines.
SET ROLE regress_priv_owner;
SELECT kpi.create_source('p_deals', relation => 'priv_test.deals', key => 'id', owner => 'owner', at => 'day');
INSERT INTO priv_test.deals VALUES (1, 'p_ann', 5, '2026-10-05');
RESET ROLE;

-- A reader reads every table and view, and nothing else.
SET ROLE regress_priv_reader;
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT c.oid::regclass FROM pg_class c
                 WHERE c.relnamespace = 'kpi'::regnamespace AND c.relkind IN ('r', 'v') ORDER BY 1
    LOOP
        EXECUTE format('SELECT * FROM %s', name);
    END LOOP;
END
$$;
SELECT goal, actual FROM kpi.goal_progress ORDER BY goal;
SELECT kpi, team, value FROM kpi.team_daily WHERE team = 'p_team' ORDER BY 1, 2;
SELECT kpi, member, value, previous_value FROM kpi.member_weekly ORDER BY 1, 2;
SELECT source, owner, facts FROM kpi.unassigned;
SELECT ancestor FROM kpi.team_ancestor WHERE team = 'p_team' ORDER BY depth;
SELECT kpi.period_name('2026-10-05', 'quarter'), kpi.workdays('2026-10-01', '2026-11-01');
SELECT kpi.create_team('p_y');
SELECT kpi.drop_goal('P');
SELECT kpi.add_holiday('2026-12-24', 'x');
CALL kpi.refresh();
SELECT * FROM kpi.verify();
SELECT kpi.repair('p_own');
UPDATE kpi.goal SET target = 1;
SELECT * FROM kpi_internal.day_cell;
SELECT kpi_internal.team_path(1);
SELECT kpi.revoke_editor('regress_priv_editor');
RESET ROLE;
-- EXECUTE on the function alone makes nobody an editor does not make a reader a definer
GRANT EXECUTE ON FUNCTION kpi.create_team(anycompatible, anycompatible, text, date, text), kpi.add_member(anycompatible, text, text, date, date),
    kpi.create_goal(text, text, anycompatible, anycompatible, text, numeric, text, text, text, numeric, numeric, text, jsonb, text, text, date, "any") TO regress_priv_reader;
SET ROLE regress_priv_reader;
SELECT kpi.create_team('p_y');
SELECT kpi.add_member('p_y');
SELECT kpi.create_goal('p', kpi => 'p_revenue', period => '2026', target => 1);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION kpi.create_team(anycompatible, anycompatible, text, date, text), kpi.add_member(anycompatible, text, text, date, date),
    kpi.create_goal(text, text, anycompatible, anycompatible, text, numeric, text, text, text, numeric, numeric, text, jsonb, text, text, date, "any") FROM regress_priv_reader;

-- What was given is taken away again, to the last grant.
SELECT kpi.revoke_editor('regress_priv_editor');
SET ROLE regress_priv_editor;
SELECT kpi.create_team('p_z');
SELECT goal FROM kpi.goal_progress ORDER BY goal;
-- its facts still count: the triggers need no rights of the writer
INSERT INTO priv_test.own VALUES (3, 'p_ann', 40, '2026-10-07');
RESET ROLE;
CALL kpi.refresh('p_own');
SELECT goal, actual FROM kpi.goal_progress ORDER BY goal;
SELECT kpi.revoke_reader('regress_priv_editor');
SELECT kpi.revoke_reader('regress_priv_reader');
SET ROLE regress_priv_reader;
SELECT * FROM kpi.team;
RESET ROLE;
SELECT count(*) FROM pg_shdepend WHERE refobjid IN ('regress_priv_reader'::regrole, 'regress_priv_outsider'::regrole)
                                   AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                                   AND classid <> 'pg_namespace'::regclass;

SELECT kpi.drop_goal(id) FROM kpi.goal;
SELECT kpi.drop_kpi('p_half');
SELECT kpi.drop_source('p_own', cascade => true);
SELECT kpi.drop_member('p_ann');
SELECT kpi.drop_team('p_team');
DROP SCHEMA priv_test CASCADE;
DROP ROLE regress_priv_outsider, regress_priv_reader, regress_priv_editor, regress_priv_owner;
