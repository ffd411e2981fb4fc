-- 66_policy: when sources are refreshed, and what refreshes did.

CREATE FUNCTION kpi.set_refresh(source text, mode text DEFAULT NULL, every interval DEFAULT NULL,
                                stale_after text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'kpi_sql_set_refresh';
COMMENT ON FUNCTION kpi.set_refresh(text, text, interval, text) IS
'Says when the background worker refreshes a source: mode ''continuous'', as soon as a change commits (the default); every => interval ''5 minutes'', at most that often; mode ''manual'', never (CALL kpi.refresh() and kpi.schedule() do). every is taken to the second, a month as 30 days. stale_after => ''8 hours'' says after how long without news (loaded_at of the source, or else any change of its facts) the facts are stale, which kpi.freshness, kpi.source_status and kpi.health() then say; only the working days of the source''s calendar count, with all of their hours; '''' ends it. What is not given stays. Errors: source unknown; nothing given, or both mode and every (mode ''interval'' goes with every); an unknown mode; an interval below one second, for stale_after also one above 366 days or none; the caller is neither the definer of the source nor an editor';

-- Until when sources have their facts. Without loaded_at nothing but a change
-- tells that somebody still loads them. judged_until: what is dated later is not
-- there yet, so nobody is behind for want of it (value/today.c); a source that is
-- not stale yet may have its last word of today, so without loaded_at it is the
-- moment when it became so.
CREATE VIEW kpi_internal.source_load AS
    SELECT s.id AS source_id, l.loaded_at, a.stale_at,
           coalesce(a.stale_at <= kpi_internal.now(), false) AS is_stale,
           coalesce(l.loaded_at, a.stale_at) AS judged_until
      FROM kpi.source s
      LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id
     CROSS JOIN LATERAL (
           SELECT CASE WHEN s.loaded_at IS NOT NULL THEN t.loaded_at END AS loaded_at) l
     CROSS JOIN LATERAL (
           SELECT kpi_internal.work_until(coalesce(CASE WHEN s.loaded_at IS NULL THEN t.changed_at ELSE l.loaded_at END,
                                                   s.created_at),
                                          s.stale_seconds, s.calendar_id) AS stale_at) a
     WHERE s.loaded_at IS NOT NULL OR s.stale_seconds IS NOT NULL;
COMMENT ON VIEW kpi_internal.source_load IS 'Until when sources have their facts, and since when they are stale; of those alone that say anything about it';

CREATE FUNCTION kpi.pause(source text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'kpi_sql_pause';
COMMENT ON FUNCTION kpi.pause(text) IS
'Stops refreshes of a source, or of every source, until kpi.resume(): its changes are captured and wait in the queue, its numbers stay as they are; writers notice nothing. The worker and CALL kpi.refresh() pass it over; CALL kpi.refresh() of just this source and kpi.repair() raise an error, and kpi.verify() returns a row that says it is paused. A refresh that has begun still ends. Errors: source unknown; the caller is neither the definer of the source nor an editor';

CREATE FUNCTION kpi.resume(source text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'kpi_sql_resume';
COMMENT ON FUNCTION kpi.resume(text) IS
'Lets a source go on, or every source that is paused or suspended. A paused one is refreshed. A suspended one (and one that is neither, if it is named) has its capture attached again, for which writers of its table wait until the end of this transaction; the next refresh, by the worker or CALL kpi.refresh(), rebuilds it from the facts of the table that now has its name. Of a held one that is named the loss is accepted, and it is refreshed. Named, it accepts the code of other roles that its expressions reach now. If it still cannot be refreshed, a warning says why and it stays suspended. Of many, those that cannot be rebuilt stay suspended, with a warning. Errors: source unknown; there is no such table; the caller is neither the definer of the source nor an editor, or not its definer where it is to be rebuilt';

CREATE FUNCTION kpi.schedule(source text, cron text)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'kpi_sql_schedule';
COMMENT ON FUNCTION kpi.schedule(text, text) IS
'Has pg_cron refresh a source by a cron expression (''0 6 * * 1-5'': at six on working days), as the caller, and returns the number of the job in cron.job. The job is called ''pg_kpi: <database>: <source>'' and takes the place of one of that name. The refresh mode of the source becomes manual, so that nothing but the schedule (and you) refreshes it. Errors: source unknown; pg_cron is not installed, or is in another database (the hint has the statement to run there); a cron expression that pg_cron refuses; the caller is neither the definer of the source nor an editor';

CREATE FUNCTION kpi.unschedule(source text)
RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'kpi_sql_unschedule';
COMMENT ON FUNCTION kpi.unschedule(text) IS
'Removes what kpi.schedule() made, also of a source that was dropped. The refresh mode stays manual: see kpi.set_refresh(). Errors: there is no such job, or not one of the caller''s; pg_cron is not installed, or is in another database';

-- What refreshes did.  Those of the worker that follow each other closely
-- share a row, so that the log is bounded however many there are.
CREATE TABLE kpi_internal.refresh_log (
    id              bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    source_id       integer NOT NULL,
    kind            text NOT NULL,
    started_at      timestamptz NOT NULL,
    duration_ms     double precision NOT NULL,
    max_duration_ms double precision NOT NULL,
    runs            integer NOT NULL DEFAULT 1,
    deltas          bigint NOT NULL,
    cells           bigint NOT NULL,
    is_worker       boolean NOT NULL,
    role            text NOT NULL,
    sqlstate        text,
    error           text
) WITH (fillfactor = 80);
COMMENT ON TABLE kpi_internal.refresh_log IS 'What refreshes did, as kpi.refresh_log shows it';
CREATE INDEX ON kpi_internal.refresh_log (source_id, id);
CREATE INDEX ON kpi_internal.refresh_log (started_at);
