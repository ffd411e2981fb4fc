-- 84_freshness: how old the numbers are, made to be alerted on.

-- What lag means.  A change that is in the queue has not been committed before
-- the last refresh's snapshot, and not before it was captured, so it has waited
-- for no longer than since the later of the two; where commit times are kept it
-- is known to the microsecond.  The age of as_of alone would not do: of a source
-- in which nothing has happened for days it is days, also in the moment between
-- a commit and the worker's refresh.  Where capture has stopped, or nothing was
-- ever computed, nobody knows what is missing, and all since then is.  What waits
-- has waited for a millisecond at least: 0 is for nothing waits.
CREATE VIEW kpi.freshness AS
    SELECT s.id AS source_id, s.name AS source, t.as_of, t.refreshed_at,
           CASE WHEN w.since IS NULL THEN 0
                ELSE greatest(pg_catalog.round(extract(epoch FROM pg_catalog.statement_timestamp() - w.since), 3), 0.001)
           END AS lag_seconds,
           c.is_captured
           AND NOT (EXISTS (SELECT FROM kpi_internal.stream x WHERE x.source_id = s.id AND x.credit = 'today')
                    AND kpi_internal.credit_moves(t.credit_day))
           AND NOT EXISTS (SELECT FROM kpi_internal.stream x
                             JOIN kpi_internal.measure m ON m.stream_id = x.id
                             LEFT JOIN kpi_internal.measure_built b
                                    ON b.measure_id = m.id AND b.version = x.version
                                       AND b.days_since = '-infinity' AND b.rollups_since = '-infinity'
                            WHERE x.source_id = s.id AND b.measure_id IS NULL) AS is_complete,
           l.loaded_at, coalesce(l.is_stale, false) AS is_stale
      FROM kpi.source s
      LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id
      LEFT JOIN kpi_internal.source_load l ON l.source_id = s.id
     CROSS JOIN LATERAL (
           SELECT coalesce(t.status = 'active' AND kpi_internal.capture_works(s.id, s.relation, t.relid, t.former_relation, t.renamed_at),
                           false) AS is_captured
           OFFSET 0) c
     CROSS JOIN LATERAL (
           SELECT CASE WHEN c.is_captured
                       THEN (SELECT CASE WHEN q.deltas > 0 THEN greatest(q.oldest_at, t.as_of) END
                               FROM kpi_internal.queue_state(s.id) q)
                       ELSE coalesce(t.as_of, s.created_at) END AS since
           OFFSET 0) w;

COMMENT ON VIEW kpi.freshness IS 'How old the numbers of each source are. To be alerted on: WHERE lag_seconds > 60 OR NOT is_complete';
COMMENT ON COLUMN kpi.freshness.source_id IS 'The source (kpi.source.id)';
COMMENT ON COLUMN kpi.freshness.source IS 'Name of the source';
COMMENT ON COLUMN kpi.freshness.as_of IS 'The numbers hold all changes committed up to this moment; old in a source in which nothing happens, see lag_seconds. NULL: nothing is computed yet';
COMMENT ON COLUMN kpi.freshness.refreshed_at IS 'When the source was last refreshed; NULL: never';
COMMENT ON COLUMN kpi.freshness.lag_seconds IS 'For how long the oldest change of facts has waited that is not in the numbers; 0: none waits. At most since it was captured, so that a transaction that captured long before it committed counts for more, unless track_commit_timestamp is on. While changes are not captured (kpi.source_status says why) since as_of, or since the source was made';
COMMENT ON COLUMN kpi.freshness.is_complete IS 'False while the numbers are not all there: the source or one of its KPIs is not built yet, it is suspended or about to be, held, or left as it was because kpi.capture is off, or over a table that was swapped and not read yet (kpi.source_status), or somebody has changed teams today and KPIs with credit today have not followed';
COMMENT ON COLUMN kpi.freshness.loaded_at IS 'When its facts were loaded last, as they say: the latest loaded_at (kpi.create_source()) of the rows that are in the numbers; NULL: no row says, or the source has no loaded_at';
COMMENT ON COLUMN kpi.freshness.is_stale IS 'True when the facts are older than kpi.set_refresh(..., stale_after => ...) allows, by the working days of the source''s calendar: nothing is wrong with the numbers, but the load is late. Counted from loaded_at or, without one, from the last change of facts that is in the numbers';
