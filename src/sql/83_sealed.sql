-- 83_sealed: what is kept of partitions that are gone.

CREATE VIEW kpi.sealed AS
    SELECT s.id AS source_id, s.name AS source, p.name AS partition, l.first_day, l.last_day, l.facts,
           l.missing_until, p.is_detached, l.sealed_at, l.id AS seal_id
      FROM kpi_internal.seal l
      JOIN kpi.source s ON s.id = l.source_id
      JOIN kpi_internal.seal_partition p ON p.seal_id = l.id;
COMMENT ON VIEW kpi.sealed IS
'Partitions that were dropped or detached and whose facts still count, as kpi.alter_source(..., on_detach => ''seal'') says: their part of the numbers cannot be computed again, so kpi.verify(), kpi.repair() and builds take it as it is. KPIs that came or changed later are not complete up to last_day, and those that were not built yet up to missing_until. A detached partition that is attached again is read again; kpi.alter_source(..., discard_sealed => true) takes all of a source out of the numbers';
COMMENT ON COLUMN kpi.sealed.source_id IS 'The source (kpi.source.id)';
COMMENT ON COLUMN kpi.sealed.source IS 'Name of the source';
COMMENT ON COLUMN kpi.sealed.partition IS 'Name of the partition, as last seen in the source''s table';
COMMENT ON COLUMN kpi.sealed.first_day IS 'First day of its facts; NULL: none of them is kept. Partitions that went between the same two refreshes have one range';
COMMENT ON COLUMN kpi.sealed.last_day IS 'Last day of its facts; NULL: none of them is kept';
COMMENT ON COLUMN kpi.sealed.facts IS 'How many facts are kept of them, of the KPI that has the most';
COMMENT ON COLUMN kpi.sealed.missing_until IS 'Facts before this day, of KPIs that were not built when it went, or of all when the source was suspended, are in no number; NULL: there are no such';
COMMENT ON COLUMN kpi.sealed.is_detached IS 'True: it was detached, and may be attached again; false: it was dropped';
COMMENT ON COLUMN kpi.sealed.sealed_at IS 'When a refresh found it gone';
COMMENT ON COLUMN kpi.sealed.seal_id IS 'Equal for those that went between the same two refreshes';
