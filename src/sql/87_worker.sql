-- 87_worker: what the background workers are doing.  After 80_view, whose list
-- of comments is for the views people build reports on.

CREATE FUNCTION kpi_internal.worker_status(OUT kind text, OUT database_id oid, OUT state text, OUT pid integer,
    OUT started_at timestamptz, OUT state_since timestamptz, OUT source text, OUT pending_commits bigint,
    OUT next_due timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_sql_worker_status' LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 10;

CREATE VIEW kpi.worker_status AS
    SELECT w.kind, d.datname::text AS database, w.state, w.pid, w.started_at, w.state_since, w.source,
           w.pending_commits, w.next_due
      FROM kpi_internal.worker_status() w
      LEFT JOIN pg_catalog.pg_database d ON d.oid = w.database_id
     WHERE w.kind = 'launcher' OR d.oid IS NOT NULL;

COMMENT ON VIEW kpi.worker_status IS
'The launcher and each database with the extension that it looks after: one row for the launcher, one for each database';
COMMENT ON COLUMN kpi.worker_status.kind IS 'launcher or worker';
COMMENT ON COLUMN kpi.worker_status.database IS 'The database; NULL for the launcher';
COMMENT ON COLUMN kpi.worker_status.state IS
'Launcher: running; disabled (kpi.enabled is off); no free process (all of max_worker_processes are taken, so that a database waits); not running (in recovery, or just restarting); not preloaded (pg_kpi is not in shared_preload_libraries: only kpi.refresh() keeps the KPIs current). Worker: starting; working; waiting for more; leaving; asleep (nothing to do, no process); queued (there is work, and no worker yet)';
COMMENT ON COLUMN kpi.worker_status.pid IS 'Process id; NULL: there is no process now';
COMMENT ON COLUMN kpi.worker_status.started_at IS 'When the process was started';
COMMENT ON COLUMN kpi.worker_status.state_since IS 'Since when a worker has its source in hand, or has none; for the launcher, since when a database waits for a free process';
COMMENT ON COLUMN kpi.worker_status.source IS 'The source that is being refreshed; NULL: none';
COMMENT ON COLUMN kpi.worker_status.pending_commits IS 'Commits that asked for work and are not worked off';
COMMENT ON COLUMN kpi.worker_status.next_due IS 'When there is work without any commit: an interval is over, a failed source is tried again, a day begins; NULL: not known yet';
