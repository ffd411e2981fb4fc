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
COMMENT ON COLUMN kpi.refresh_log.kind IS 'refresh: changes were applied; build: something was computed from the facts; reattach: another table has come under the name of the source''s, and is followed; the builds that come after it read its facts; held: a load has removed more facts than hold_if_lost allows, or a swapped table has facts on sealed days; verify, repair: as called';
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

CREATE VIEW kpi.rollup_status AS
    SELECT r.id AS rollup_id, r.relation, o.rolname::text AS owner,
           CASE WHEN s.failures > 0 THEN 'failing' WHEN a.must_compare_all OR a.has_places THEN 'waiting' ELSE 'current' END AS status,
           (SELECT coalesce(pg_catalog.sum(pg_catalog.cardinality(q.scope_ids)), 0)
              FROM kpi_internal.rollup_queue q WHERE q.rollup_id = r.id) AS pending_rows,
           s.written_at,
           kpi_internal.error_shown(current_user, coalesce(o.rolname::text, ''), o.oid, s.last_error) AS last_error,
           s.last_sqlstate, s.hint, s.failing_since, coalesce(s.failures, 0) AS failures, s.next_try
      FROM kpi.rollup r
      JOIN kpi_internal.rollup_agenda a ON a.rollup_id = r.id
      LEFT JOIN kpi_internal.rollup_state s ON s.rollup_id = r.id
      LEFT JOIN pg_catalog.pg_class c ON c.oid = s.relid
      LEFT JOIN pg_catalog.pg_roles o ON o.oid = c.relowner;
COMMENT ON VIEW kpi.rollup_status IS 'Rollup tables: whether they are current, and what keeps one from being written';
COMMENT ON COLUMN kpi.rollup_status.rollup_id IS 'The rollup table (kpi.rollup.id)';
COMMENT ON COLUMN kpi.rollup_status.relation IS 'The table';
COMMENT ON COLUMN kpi.rollup_status.owner IS 'Whom it belongs to; NULL: it is gone';
COMMENT ON COLUMN kpi.rollup_status.status IS 'current: as the views are; waiting: to be written after the next refresh, or while it is written in parts; failing: see last_error';
COMMENT ON COLUMN kpi.rollup_status.pending_rows IS 'Rows that wait to be looked at; one that has moved several times counts for each';
COMMENT ON COLUMN kpi.rollup_status.written_at IS 'When it was last written, or found to be as it should';
COMMENT ON COLUMN kpi.rollup_status.last_error IS 'Message of the error that the last try met; NULL: it met none. The text of an error of the table''s own triggers is shown to superusers and members of its owner only; to others its condition';
COMMENT ON COLUMN kpi.rollup_status.last_sqlstate IS 'SQLSTATE of that error';
COMMENT ON COLUMN kpi.rollup_status.hint IS 'What to do about it';
COMMENT ON COLUMN kpi.rollup_status.failing_since IS 'When the first of the errors in a row was met';
COMMENT ON COLUMN kpi.rollup_status.failures IS 'Errors in a row';
COMMENT ON COLUMN kpi.rollup_status.next_try IS 'When the background worker tries again';

CREATE VIEW kpi.people_sync_status AS
    SELECT p.definer,
           CASE WHEN s.id IS NULL THEN 'restored' WHEN s.failures > 0 THEN 'failing' WHEN s.checked_at IS NULL THEN 'waiting'
                WHEN s.refused > 0 THEN 'refusing' ELSE 'current' END AS status,
           s.checked_at, s.changed_at, s.changes AS last_changes, coalesce(s.refused, 0) AS refused_rows,
           kpi_internal.error_shown(current_user, p.definer, s.definer_oid, s.last_error) AS last_error,
           s.last_sqlstate, s.hint, s.failing_since, coalesce(s.failures, 0) AS failures, s.next_try
      FROM kpi.people_sync p
      LEFT JOIN kpi_internal.people_sync_state s ON s.id = p.id;
COMMENT ON VIEW kpi.people_sync_status IS 'How the remembered queries of people do (kpi.people_sync): one row, or none';
COMMENT ON COLUMN kpi.people_sync_status.definer IS 'The role whose rights they have';
COMMENT ON COLUMN kpi.people_sync_status.status IS 'current: teams and people are what the queries said when they last ran; refusing: but for rows that were refused; waiting: they have not run yet; failing: see last_error; restored: from a dump, and not run before CALL kpi.refresh() of all sources';
COMMENT ON COLUMN kpi.people_sync_status.checked_at IS 'When they last ran to the end';
COMMENT ON COLUMN kpi.people_sync_status.changed_at IS 'When that last changed something';
COMMENT ON COLUMN kpi.people_sync_status.last_changes IS 'How many teams and members it changed then';
COMMENT ON COLUMN kpi.people_sync_status.refused_rows IS 'Teams and members that were refused when they last ran';
COMMENT ON COLUMN kpi.people_sync_status.last_error IS 'Message of the error that the last run met; NULL: it met none. The text of an error of the queries is shown to superusers and members of the definer only; to others its condition';
COMMENT ON COLUMN kpi.people_sync_status.last_sqlstate IS 'SQLSTATE of that error';
COMMENT ON COLUMN kpi.people_sync_status.hint IS 'What to do about it';
COMMENT ON COLUMN kpi.people_sync_status.failing_since IS 'When the first of the errors in a row was met';
COMMENT ON COLUMN kpi.people_sync_status.failures IS 'Errors in a row';
COMMENT ON COLUMN kpi.people_sync_status.next_try IS 'When the worker tries again';

CREATE FUNCTION kpi.version(OUT library text, OUT installed text, OUT fits boolean)
AS 'MODULE_PATHNAME', 'kpi_sql_version' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.version() IS
'Versions of pg_kpi, one row. library: of the library that this session has loaded; installed: of the objects in this database; fits: they are the same. Until they are, facts are captured, and nothing is defined or refreshed: run ALTER EXTENSION pg_kpi UPDATE where the library is newer, else restart the server, or connect anew where it is not preloaded';

CREATE FUNCTION kpi.health(OUT severity text, OUT problem text, OUT object text, OUT detail text, OUT remedy text)
RETURNS SETOF record
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'kpi_sql_health';
COMMENT ON FUNCTION kpi.health() IS
'One row for each thing that keeps numbers from being current or will do so, and what to do about it; none when all is well. severity: error, numbers are not current or not complete; warning, they may not stay so, or it costs more than it should; notice, it is as somebody wanted it, which may have been forgotten. problem is one word for programs, object says what has it';
