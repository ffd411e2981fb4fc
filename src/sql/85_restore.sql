-- 85_restore: foreign keys that do not stand in the way of a restore.
--
-- pg_dump keeps no order between the data of an extension's tables, and
-- pg_restore -j loads them at once, so a row may arrive before the one it
-- refers to.  Between tables that are dumped, the check of new rows is
-- therefore done by a trigger of ours, which lets rows of a dump pass.  The
-- foreign keys stay: for those who read them, and to keep what is referred to
-- from being deleted.

CREATE FUNCTION kpi_internal.check_reference() RETURNS trigger
AS 'MODULE_PATHNAME', 'kpi_sql_check_reference' LANGUAGE C;

DO $$
DECLARE
    reference record;
    ri_trigger name;
BEGIN
    FOR reference IN
        SELECT c.oid, c.conname, c.conrelid::pg_catalog.regclass AS relation, a.attname,
               c.confrelid::pg_catalog.regclass AS referred, r.attname AS referred_column
          FROM pg_catalog.pg_constraint c
          JOIN pg_catalog.pg_extension e ON e.extname = 'pg_kpi'
               AND c.conrelid = ANY (e.extconfig) AND c.confrelid = ANY (e.extconfig)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
          JOIN pg_catalog.pg_attribute r ON r.attrelid = c.confrelid AND r.attnum = c.confkey[1]
         WHERE c.contype = 'f'
    LOOP
        FOR ri_trigger IN
            SELECT t.tgname FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
             WHERE t.tgconstraint = reference.oid AND p.proname IN ('RI_FKey_check_ins', 'RI_FKey_check_upd')
        LOOP
            EXECUTE pg_catalog.format('ALTER TABLE %s DISABLE TRIGGER %I', reference.relation, ri_trigger);
        END LOOP;
        EXECUTE pg_catalog.format(
            'CREATE TRIGGER %I AFTER INSERT OR UPDATE OF %I ON %s FOR EACH ROW '
            'EXECUTE FUNCTION kpi_internal.check_reference(%L, %L, %L)',
            reference.conname, reference.attname, reference.relation, reference.attname, reference.referred,
            reference.referred_column);
    END LOOP;
END
$$;

-- With several jobs, teams and people may come when a worker has already
-- refreshed: the next refresh must see them.
CREATE FUNCTION kpi_internal.restore_org() RETURNS trigger
AS 'MODULE_PATHNAME', 'kpi_sql_restore_org' LANGUAGE C;

CREATE TRIGGER restore_org AFTER INSERT ON kpi.team
    FOR EACH STATEMENT EXECUTE FUNCTION kpi_internal.restore_org();
CREATE TRIGGER restore_org AFTER INSERT ON kpi.team_parent
    FOR EACH STATEMENT EXECUTE FUNCTION kpi_internal.restore_org();
CREATE TRIGGER restore_org AFTER INSERT ON kpi.member
    FOR EACH STATEMENT EXECUTE FUNCTION kpi_internal.restore_org();
CREATE TRIGGER restore_org AFTER INSERT ON kpi.membership
    FOR EACH STATEMENT EXECUTE FUNCTION kpi_internal.restore_org();
CREATE TRIGGER restore_org AFTER INSERT ON kpi.member_alias
    FOR EACH STATEMENT EXECUTE FUNCTION kpi_internal.restore_org();
