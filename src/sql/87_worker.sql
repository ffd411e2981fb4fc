-- 87_worker: what the background workers are doing.  After 80_view, whose list
-- of comments is for the views people build reports on.

CREATE FUNCTION kpi_internal.worker_status(OUT kind text, OUT task text, OUT database_id oid, OUT state text, OUT pid integer,
    OUT started_at timestamptz, OUT state_since timestamptz, OUT source text, OUT pending_commits bigint,
    OUT next_due timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_sql_worker_status' LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 10;

CREATE VIEW kpi.worker_status AS
    SELECT w.kind, w.task, d.datname::text AS database, w.state, w.pid, w.started_at, w.state_since, w.source,
           w.pending_commits, w.next_due
      FROM kpi_internal.worker_status() w
      LEFT JOIN pg_catalog.pg_database d ON d.oid = w.database_id
     WHERE w.kind = 'launcher' OR d.oid IS NOT NULL;

COMMENT ON VIEW kpi.worker_status IS
'The launcher and each database with the extension that it looks after: one row for the launcher, one for each database, and a second for one whose builder has something to do';
COMMENT ON COLUMN kpi.worker_status.kind IS 'launcher or worker';
COMMENT ON COLUMN kpi.worker_status.task IS
'What the worker does: deltas (it applies what has changed, and builds where there is no place for a builder) or builds (it reads facts: of new sources and KPIs, and where changes cannot be followed); NULL for the launcher';
COMMENT ON COLUMN kpi.worker_status.database IS 'The database; NULL for the launcher';
COMMENT ON COLUMN kpi.worker_status.state IS
'Launcher: running; disabled (kpi.enabled is off); no free process (all of max_worker_processes are taken, so that a database waits); not running (in recovery, or just restarting); not preloaded (pg_kpi is not in shared_preload_libraries: only kpi.refresh() keeps the KPIs current). Worker: starting; working; waiting for more; leaving; asleep (nothing to do, no process); queued (there is work, and no worker yet)';
COMMENT ON COLUMN kpi.worker_status.pid IS 'Process id; NULL: there is no process now';
COMMENT ON COLUMN kpi.worker_status.started_at IS 'When the process was started';
COMMENT ON COLUMN kpi.worker_status.state_since IS 'Since when a worker has its source in hand, or has none; for the launcher, since when a database waits for a free process';
COMMENT ON COLUMN kpi.worker_status.source IS 'The source that is being refreshed; NULL: none';
COMMENT ON COLUMN kpi.worker_status.pending_commits IS 'Commits that asked for work and are not worked off; NULL for builds';
COMMENT ON COLUMN kpi.worker_status.next_due IS 'When there is work without any commit: an interval is over, a failed source is tried again, a day begins; NULL: not known yet';

-- The moment before which a snapshot that is held open was taken, the transaction
-- number it is not after, and how often sources are refreshed at most because of it.
CREATE FUNCTION kpi_internal.held_snapshot(OUT since timestamptz, OUT before xid, OUT pause_seconds integer)
AS 'MODULE_PATHNAME', 'kpi_sql_held_snapshot' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi_internal.held_snapshot() IS 'Whether workers refresh sources less often because somebody holds a snapshot open; NULLs: they do not';

-- A source that has no state at all came with a dump.  It waits until the
-- restore has brought its triggers, on every table that has the row trigger the
-- one of TRUNCATE as well: before that its table is not filled, and attaching
-- it would make the restore fail over triggers that are there.
CREATE VIEW kpi_internal.agenda AS
    SELECT s.id AS source_id, s.name AS source, t.refreshed_at, t.calendar_shape,
           t.org_version IS DISTINCT FROM (SELECT p.org FROM kpi_internal.version p)
           OR t.goals_calendar IS DISTINCT FROM (SELECT p.calendar FROM kpi_internal.version p)
           OR t.credit_day IS DISTINCT FROM kpi.today()
              AND EXISTS (SELECT FROM kpi_internal.stream x WHERE x.source_id = s.id AND x.credit = 'today')
           OR t.rates_version IS DISTINCT FROM (SELECT p.rates FROM kpi_internal.version p)
              AND EXISTS (SELECT FROM kpi_internal.stream x WHERE x.source_id = s.id AND x.currency IS NOT NULL) AS must_refresh,
           coalesce(t.last_deltas, 0) > 0 AS had_deltas,
           s.refresh_mode = 'continuous' AS is_continuous, coalesce(s.refresh_seconds, 0) AS refresh_seconds,
           coalesce(t.status = 'suspended', false) AS is_suspended,
           coalesce(t.status = 'capture_off', false) AS is_capture_off,
           t.next_try, coalesce(t.build_fails, false) AS build_fails, coalesce(t.yields, 0) AS yields,
           coalesce(t.build_due, false)
           AND NOT EXISTS (SELECT FROM kpi_internal.build_cancelled c WHERE c.source_id = s.id) AS build_due,
           NOT EXISTS (SELECT FROM kpi_internal.build_cancelled c WHERE c.source_id = s.id)
           AND (t.refreshed_at IS NULL
           OR t.loaded_by IS DISTINCT FROM s.loaded_at AND s.loaded_at IS NOT NULL
           OR EXISTS (SELECT FROM kpi_internal.stream x JOIN kpi_internal.unknown_day u ON u.stream_id = x.id WHERE x.source_id = s.id)
           OR EXISTS (SELECT FROM kpi_internal.measure m
                        JOIN kpi_internal.stream x ON x.id = m.stream_id
                       WHERE x.source_id = s.id
                         AND NOT EXISTS (SELECT FROM kpi_internal.measure_built b
                                          WHERE b.measure_id = m.id AND b.stream_id = x.id AND b.version = x.version
                                            AND b.days_since = '-infinity' AND b.rollups_since = '-infinity'))) AS must_build
      FROM kpi.source s
      LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id
     WHERE s.refresh_mode <> 'manual' AND NOT s.is_paused AND (t.status IS DISTINCT FROM 'suspended' OR s.on_swap = 'follow')
       AND (t.source_id IS NOT NULL
            OR (SELECT pg_catalog.count(r.oid) > 0 AND pg_catalog.count(r.oid) = pg_catalog.count(c.oid)
                  FROM pg_catalog.pg_trigger r
                  LEFT JOIN pg_catalog.pg_trigger c ON c.tgrelid = r.tgrelid AND c.tgname = 'kpi_truncate_' || s.id
                 WHERE r.tgname = 'kpi_capture_' || s.id
                   AND r.tgfoid = 'kpi.capture()'::pg_catalog.regprocedure));
COMMENT ON VIEW kpi_internal.agenda IS
'Sources that workers look after. must_refresh: the organisation, the working days of its goals, of KPIs with credit today the day, or of amounts in currencies the exchange rates are others than the last refresh saw; must_build: it or a measure is new, some cells are to be made anew, or it says by another expression when rows are loaded; build_due: a refresh has found that facts must be read; build_fails: that is what next_try is about; is_suspended: there is nothing to do but to see whether another table has come; is_capture_off: nor while kpi.capture is off';
