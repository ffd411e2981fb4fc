-- 50_capture: the queue and the writers' side.

-- Each source has two tables, kpi_internal.queue_<source id>_0 and _1, made with
-- it and read by its refreshes alone (capture/segment.c):
--   captured_at  when the row was written, mostly as its transaction committed
--   deltas       how many are in it
--   kind         'd' deltas; 'r' the source must be recomputed from its facts;
--                's' it must be suspended, error says why;
--                'l' rows were loaded that moved no cell, and loaded_at says when
--   lowest_xid   of the transactions whose deltas it has; NULL: the one that wrote it
--   loaded_at    the latest time at which the rows behind it were loaded, as
--                kpi.source.loaded_at says
--   data         the deltas (capture/pack.c)
-- They have no key and no index: writers append, the engine scans and empties.
CREATE FUNCTION kpi_internal.queue_deltas(source_id integer)
RETURNS TABLE (stream_id integer, version integer, kind "char", owner text, day date, dims text[], cell kpi.cell,
               error text, captured_at timestamptz, lowest_xid xid8)
    VOLATILE STRICT LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_queue_deltas';
CREATE VIEW kpi_internal.delta AS
    SELECT s.id AS source_id, d.*
      FROM kpi.source s CROSS JOIN LATERAL kpi_internal.queue_deltas(s.id) d;
CREATE FUNCTION kpi_internal.queue_state(source_id integer, OUT deltas bigint, OUT committed_at timestamptz,
                                         OUT oldest_at timestamptz)
    STABLE STRICT LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_queue_state';

-- Tables of sources that were dropped while somebody used them.
CREATE VIEW kpi_internal.queue_orphan AS
    SELECT c.oid AS relid, c.relname::text AS name
      FROM pg_catalog.pg_class c
     WHERE c.relnamespace = 'kpi_internal'::regnamespace::oid AND c.relkind = 'r'
       AND c.relname ~ '^queue_[0-9]+_[01]$'
       AND NOT EXISTS (SELECT FROM kpi.source s WHERE s.id::text = pg_catalog.split_part(c.relname, '_', 2));

CREATE FUNCTION kpi.capture() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'kpi_sql_capture';
COMMENT ON FUNCTION kpi.capture() IS
    'Trigger of a source''s table: notes what each row written changes. kpi.create_source() attaches it; it never makes the statement fail because of a definition.';

CREATE FUNCTION kpi.capture_truncate() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'kpi_sql_capture_truncate';
COMMENT ON FUNCTION kpi.capture_truncate() IS
    'Trigger of a source''s table: asks for a recomputation after TRUNCATE. kpi.create_source() attaches it.';

-- Whoever creates or attaches a partition of a source's table must be allowed
-- to clone the trigger.  All the functions do when called is refuse.
GRANT EXECUTE ON FUNCTION kpi.capture(), kpi.capture_truncate() TO PUBLIC;

COMMENT ON VIEW kpi_internal.delta IS 'The queue: what committed transactions changed and no refresh has taken yet, a row for each delta or marker';
COMMENT ON VIEW kpi_internal.queue_orphan IS 'Tables of the queue whose source was dropped: the next source that is created drops them';

-- For the bad day: nothing here needs the library, which may be why a table cannot be written.
CREATE FUNCTION kpi.detach_all() RETURNS TABLE (relation text, trigger_name text)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner oid := (SELECT extowner FROM pg_extension WHERE extname = 'pg_kpi');
    item record;
BEGIN
    IF NOT pg_has_role(current_user, owner, 'USAGE') THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'permission denied to detach extension "pg_kpi" from its tables',
                  DETAIL = format('The extension belongs to role "%s".', pg_get_userbyid(owner)),
                  HINT = 'Ask its owner or a superuser.';
    END IF;
    -- Those of partitions go with that of their table; older tables first, as the extension locks them.
    FOR item IN
        SELECT t.tgrelid::regclass::text AS relation, t.tgname::text AS trigger_name
          FROM pg_trigger t
         WHERE t.tgparentid = 0
           AND t.tgfoid IN (SELECT p.oid FROM pg_proc p
                             WHERE p.pronamespace = 'kpi'::regnamespace AND p.prorettype = 'trigger'::regtype)
         ORDER BY t.tgrelid, t.tgname
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', item.trigger_name, item.relation);
        relation := item.relation;
        trigger_name := item.trigger_name;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION kpi.detach_all() IS
'Drops the triggers of pg_kpi from every table, also where its library is missing or does not load, and returns them. Sources are suspended at the next refresh; kpi.resume() attaches each again and reads its facts. Waits for writers of the tables. Errors: the caller is not the owner of the extension; may not drop a trigger of a table';
