-- 90_grant: who may do what.  Nothing here is for PUBLIC: whoever reads or
-- defines has been granted it.

-- Rights follow from what a function is, so that a new one cannot be
-- forgotten: what only computes or reads is for readers, the rest of schema
-- kpi for editors.
CREATE FUNCTION kpi_internal.set_rights(role text, statement text, for_editor boolean) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner oid := (SELECT extowner FROM pg_extension WHERE extname = 'pg_kpi');
    preposition text := CASE statement WHEN 'GRANT' THEN 'TO' ELSE 'FROM' END;
    item text;
BEGIN
    IF NOT pg_has_role(current_user, owner, 'USAGE') THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'permission denied to change who may use extension "pg_kpi"',
                  DETAIL = format('The extension belongs to role "%s".', pg_get_userbyid(owner)),
                  HINT = 'Ask its owner or a superuser.';
    END IF;

    -- Not left to GRANT, which takes "public" for everybody.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
        RAISE undefined_object USING MESSAGE = format('role "%s" does not exist', role);
    END IF;

    FOR item IN
        -- readable tables and views
        SELECT format('SELECT ON TABLE %s', c.oid::regclass)
          FROM pg_depend d
          JOIN pg_class c ON c.oid = d.objid AND d.classid = 'pg_class'::regclass::oid
         WHERE d.refclassid = 'pg_extension'::regclass::oid AND d.deptype = 'e' AND NOT for_editor
           AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_kpi')
           AND c.relnamespace = 'kpi'::regnamespace::oid AND c.relkind IN ('r', 'v')
        UNION ALL
        SELECT format('EXECUTE ON ROUTINE %s', p.oid::regprocedure)
          FROM pg_depend d
          JOIN pg_proc p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass::oid
         WHERE d.refclassid = 'pg_extension'::regclass::oid AND d.deptype = 'e'
           AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_kpi')
           AND p.prorettype <> 'trigger'::regtype::oid
           AND CASE WHEN for_editor
                    THEN p.provolatile = 'v' AND p.pronamespace = 'kpi'::regnamespace::oid
                         AND p.proname NOT IN ('grant_reader', 'grant_editor', 'revoke_reader', 'revoke_editor', 'detach_all')
                    ELSE p.provolatile <> 'v' END
        UNION ALL
        SELECT CASE WHEN for_editor THEN 'UPDATE ON TABLE kpi_internal.version' ELSE 'USAGE ON SCHEMA kpi' END
    LOOP
        EXECUTE format('%s %s %s %I', statement, item, preposition, role);
    END LOOP;
END
$$;

CREATE FUNCTION kpi.grant_reader(role text) RETURNS void
    LANGUAGE sql AS $$ SELECT kpi_internal.set_rights(role, 'GRANT', false) $$;
COMMENT ON FUNCTION kpi.grant_reader(text) IS
'Lets a role read the tables and views of schema kpi. To be repeated after an update of the extension. Errors: role unknown; the caller is not the owner of the extension';

CREATE FUNCTION kpi.revoke_reader(role text) RETURNS void
    LANGUAGE sql AS $$ SELECT kpi_internal.set_rights(role, 'REVOKE', true); SELECT kpi_internal.set_rights(role, 'REVOKE', false) $$;
COMMENT ON FUNCTION kpi.revoke_reader(text) IS
'Takes from a role all that kpi.grant_reader() and kpi.grant_editor() gave it. Errors: as kpi.grant_reader()';

CREATE FUNCTION kpi.grant_editor(role text) RETURNS void
    LANGUAGE sql AS $$ SELECT kpi_internal.set_rights(role, 'GRANT', false); SELECT kpi_internal.set_rights(role, 'GRANT', true) $$;
COMMENT ON FUNCTION kpi.grant_editor(text) IS
'Lets a role read, define teams, members, calendars, KPIs and goals, make sources of tables it owns, and refresh. To be repeated after an update of the extension. Errors: as kpi.grant_reader()';

CREATE FUNCTION kpi.revoke_editor(role text) RETURNS void
    LANGUAGE sql AS $$ SELECT kpi_internal.set_rights(role, 'REVOKE', true) $$;
COMMENT ON FUNCTION kpi.revoke_editor(text) IS
'Takes from a role what kpi.grant_editor() gave it beyond reading: it stays a reader. Errors: as kpi.grant_reader()';

-- The algebra of cells stays open to all who can name it: it only computes,
-- and the facts query runs it with the rights of a source's definer.  So do the
-- triggers of facts tables, for whoever attaches a partition.
DO $$
DECLARE
    item regprocedure;
BEGIN
    FOR item IN
        SELECT p.oid
          FROM pg_catalog.pg_proc p
         WHERE p.pronamespace IN ('kpi'::regnamespace::oid, 'kpi_internal'::regnamespace::oid)
           AND p.prokind <> 'a'
           AND NOT (p.prorettype = 'trigger'::regtype::oid AND p.pronamespace = 'kpi'::regnamespace::oid)
           AND p.prorettype <> 'kpi.cell'::regtype::oid
           AND NOT ('kpi.cell'::regtype::oid = ANY (p.proargtypes::oid[]) AND p.provolatile = 'i')
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', item);
    END LOOP;
END
$$;

-- Roles that monitor see how the extension does, and no numbers.
DO $$
DECLARE
    item text;
BEGIN
    GRANT USAGE ON SCHEMA kpi TO pg_monitor;
    FOR item IN
        SELECT pg_catalog.format('SELECT ON TABLE %s', c.oid::regclass)
          FROM pg_catalog.pg_class c
         WHERE c.relnamespace = 'kpi'::regnamespace::oid AND c.relname IN ('source_status', 'refresh_log', 'worker_status', 'freshness', 'rollup_status', 'build_progress', 'people_sync_status')
        UNION ALL
        SELECT pg_catalog.format('EXECUTE ON ROUTINE %s', p.oid::regprocedure)
          FROM pg_catalog.pg_proc p
         WHERE p.pronamespace = 'kpi'::regnamespace::oid AND p.proname IN ('health', 'today', 'version')
            OR p.pronamespace = 'kpi_internal'::regnamespace::oid
               AND p.proname IN ('capture_state', 'capture_works', 'credit_moves', 'queue_state', 'worker_status', 'error_shown', 'work_until', 'now')
    LOOP
        EXECUTE pg_catalog.format('GRANT %s TO pg_monitor', item);
    END LOOP;
END
$$;
