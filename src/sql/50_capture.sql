-- 50_capture: the queue and the writers' side.

-- No key and no index: writers append, the engine scans and deletes.
-- kind: 'd' a delta; 'r' the source must be recomputed from its facts;
-- 's' the source must be suspended, error says why. error of a 'd' row: the
-- last error of an ignored fact in it. captured_at: when the row was written,
-- mostly as its transaction committed (kpi.freshness).
CREATE TABLE kpi_internal.delta (
    source_id integer NOT NULL,
    stream_id integer NOT NULL,
    version   integer NOT NULL,
    kind      "char" NOT NULL,
    owner     text,
    day       date,
    dims      text[],
    cell      kpi.cell,
    error     text,
    captured_at timestamptz NOT NULL DEFAULT pg_catalog.statement_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_analyze_threshold = 2000000000);
ALTER TABLE kpi_internal.delta
    ALTER owner SET STORAGE MAIN,
    ALTER dims SET STORAGE MAIN,
    ALTER cell SET STORAGE MAIN,
    ALTER error SET STORAGE MAIN;
ALTER TABLE kpi_internal.delta REPLICA IDENTITY NOTHING;

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

COMMENT ON TABLE kpi_internal.delta IS 'The queue: what committed transactions changed and no refresh has taken yet';
