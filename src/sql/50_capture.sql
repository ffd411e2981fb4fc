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
