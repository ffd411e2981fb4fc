-- 82_dba: what a DBA looks at.

CREATE VIEW kpi.refresh_log AS
    SELECT l.id, l.source_id, s.name AS source, l.kind, l.started_at, l.runs, l.duration_ms, l.max_duration_ms,
           l.deltas, l.cells, l.is_worker, l.role, l.sqlstate,
           kpi_internal.error_shown(current_user, s.definer, t.definer_oid, l.error) AS error
      FROM kpi_internal.refresh_log l
      JOIN kpi.source s ON s.id = l.source_id
      LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id;
COMMENT ON VIEW kpi.refresh_log IS 'Refreshes that had something to do, for kpi.log_retention days. Refreshes of the worker that begin within a minute share a row';
COMMENT ON COLUMN kpi.refresh_log.id IS 'Key of the row';
COMMENT ON COLUMN kpi.refresh_log.source_id IS 'The source (kpi.source.id)';
COMMENT ON COLUMN kpi.refresh_log.source IS 'Name of the source';
COMMENT ON COLUMN kpi.refresh_log.kind IS 'refresh: changes were applied; build: something was computed from the facts; verify, repair: as called';
COMMENT ON COLUMN kpi.refresh_log.started_at IS 'When it began; of several the first';
COMMENT ON COLUMN kpi.refresh_log.runs IS 'How many refreshes the row stands for';
COMMENT ON COLUMN kpi.refresh_log.duration_ms IS 'How long they took together, in milliseconds';
COMMENT ON COLUMN kpi.refresh_log.max_duration_ms IS 'How long the longest of them took, in milliseconds';
COMMENT ON COLUMN kpi.refresh_log.deltas IS 'Changes taken from the queue';
COMMENT ON COLUMN kpi.refresh_log.cells IS 'Rows of cells and places written';
COMMENT ON COLUMN kpi.refresh_log.is_worker IS 'True: the background worker did it';
COMMENT ON COLUMN kpi.refresh_log.role IS 'The role that did it';
COMMENT ON COLUMN kpi.refresh_log.sqlstate IS 'SQLSTATE of the error the worker met; NULL: it succeeded';
COMMENT ON COLUMN kpi.refresh_log.error IS 'Message of that error; its condition for those who are neither superusers nor members of the source''s definer';

CREATE FUNCTION kpi.health(OUT severity text, OUT problem text, OUT object text, OUT detail text, OUT remedy text)
RETURNS SETOF record
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'kpi_sql_health';
COMMENT ON FUNCTION kpi.health() IS
'One row for each thing that keeps numbers from being current or will do so, and what to do about it; none when all is well. severity: error, numbers are not current or not complete; warning, they may not stay so, or it costs more than it should; notice, it is as somebody wanted it, which may have been forgotten. problem is one word for programs, object says what has it';
