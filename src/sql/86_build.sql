-- 86_build: builds while they last.

-- One row for each source of which something is not built. How far it is follows
-- from the measure that is least far: newest days come first, so what is left is
-- before complete_since.
CREATE VIEW kpi.build_progress AS
    SELECT s.id AS source_id, s.name AS source,
           CASE WHEN EXISTS (SELECT FROM kpi_internal.build_cancelled c WHERE c.source_id = s.id) THEN 'cancelled'
                WHEN s.is_paused OR t.status = 'suspended' THEN 'stopped'
                WHEN b.source_id IS NULL THEN 'waiting'
                WHEN f.days_since > '-infinity' THEN 'facts'
                ELSE 'rollups' END COLLATE "C" AS phase,
           CASE WHEN f.complete_since < 'infinity' THEN f.complete_since END AS complete_since,
           b.steps, b.facts AS facts_read,
           CASE WHEN b.expected_facts > 0 AND f.days_since > '-infinity' THEN greatest(b.expected_facts - b.facts, 0)
                WHEN f.days_since = '-infinity' THEN 0 END AS facts_left,
           pg_catalog.round(b.facts * 1000.0 / nullif(b.milliseconds, 0)) AS facts_per_second,
           CASE WHEN f.complete_since < 'infinity' THEN greatest(kpi.today() - f.complete_since, 0) END AS days_done,
           CASE WHEN f.days_since = '-infinity' THEN greatest(f.complete_since - b.first_day, 0) END AS days_left,
           pg_catalog.round(CASE WHEN f.days_since = '-infinity'
                                 THEN (b.milliseconds / 1000.0) * greatest(f.complete_since - b.first_day, 0)
                                      / nullif(kpi.today() - f.complete_since, 0)
                                 WHEN b.expected_facts > 0
                                 THEN (b.milliseconds / 1000.0) * greatest(b.expected_facts - b.facts, 0)
                                      / nullif(b.facts, 0) END) AS seconds_left,
           b.began_at, b.stepped_at
      FROM kpi.source s
      LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id
      LEFT JOIN kpi_internal.build b ON b.source_id = s.id
     CROSS JOIN LATERAL (
           SELECT pg_catalog.max(coalesce(p.days_since, 'infinity')) AS days_since,
                  pg_catalog.max(greatest(coalesce(p.days_since, 'infinity'), coalesce(p.rollups_since, 'infinity'))) AS complete_since
             FROM kpi_internal.stream x
             JOIN kpi_internal.measure m ON m.stream_id = x.id
             LEFT JOIN kpi_internal.measure_built p ON p.measure_id = m.id AND p.version = x.version
            WHERE x.source_id = s.id) f
     WHERE f.complete_since > '-infinity';
COMMENT ON VIEW kpi.build_progress IS
'Sources of which something is not built: a new KPI, or facts that are to be read again. Newest months come first; the numbers of a period are there from complete_since on. A worker builds them in steps (kpi.build_step), and so does CALL kpi.refresh(); kpi.cancel_build() stops it';
COMMENT ON COLUMN kpi.build_progress.source_id IS 'The source (kpi.source.id)';
COMMENT ON COLUMN kpi.build_progress.source IS 'Name of the source';
COMMENT ON COLUMN kpi.build_progress.phase IS 'waiting: not begun; facts: facts are read; rollups: all facts are read, and days are summed up for members and teams; cancelled: by kpi.cancel_build(), until kpi.resume() or CALL kpi.refresh() of the source; stopped: the source is paused or suspended';
COMMENT ON COLUMN kpi.build_progress.complete_since IS 'The first day from which all KPIs of the source are complete; NULL: one of them is not begun';
COMMENT ON COLUMN kpi.build_progress.steps IS 'Steps so far';
COMMENT ON COLUMN kpi.build_progress.facts_read IS 'Facts read so far; where KPIs have an own time or owner they are read once for each';
COMMENT ON COLUMN kpi.build_progress.facts_left IS 'Facts still to be read, by how many rows the table had when the build began';
COMMENT ON COLUMN kpi.build_progress.facts_per_second IS 'Facts read in a second of the steps so far';
COMMENT ON COLUMN kpi.build_progress.days_done IS 'Days from complete_since to today';
COMMENT ON COLUMN kpi.build_progress.days_left IS 'Days from the first fact to complete_since; NULL: not known until all facts are read';
COMMENT ON COLUMN kpi.build_progress.seconds_left IS 'How long the rest takes if it goes on as so far; NULL: not known';
COMMENT ON COLUMN kpi.build_progress.began_at IS 'When its first step was done';
COMMENT ON COLUMN kpi.build_progress.stepped_at IS 'When its last step was done';

CREATE FUNCTION kpi.cancel_build(source text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'kpi_sql_cancel_build';
COMMENT ON FUNCTION kpi.cancel_build(text) IS
'Stops the build of a source where it is: KPIs and periods that are complete stay so and are kept current, the rest waits until kpi.resume() or CALL kpi.refresh() of this source. The step that a worker is in is undone. Errors: source unknown, or not being built; the caller is neither the definer of the source nor an editor';
