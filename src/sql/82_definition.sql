-- 82_definition: what is defined, for people to read.

CREATE VIEW kpi.definition_text AS
SELECT s.name AS source, k.name AS kpi, d.part, d.name, coalesce(t.typed, d.stored) AS typed, d.stored, d.source_id, d.kpi_id
  FROM kpi_internal.stored_text d
  LEFT JOIN kpi.source s ON s.id = d.source_id
  LEFT JOIN kpi.kpi k ON k.id = d.kpi_id
  LEFT JOIN kpi_internal.typed_text t
         ON CASE WHEN d.kpi_id IS NULL THEN t.source_id = d.source_id ELSE t.kpi_id = d.kpi_id END
        AND t.part = d.part AND t.name IS NOT DISTINCT FROM d.name AND t.stored = d.stored;
COMMENT ON VIEW kpi.definition_text IS 'The texts that sources and KPIs are defined by: as they were typed, and as they are stored and run. Both mean the same under every search_path, as names outside pg_catalog are written with their schema. Where a definition has followed a renamed column or table, what was typed is what is stored';
COMMENT ON COLUMN kpi.definition_text.source IS 'The source; NULL: of a formula';
COMMENT ON COLUMN kpi.definition_text.kpi IS 'The KPI; NULL: the text is the source''s own';
COMMENT ON COLUMN kpi.definition_text.part IS 'What the text is: a parameter of kpi.create_source() or kpi.create_kpi() (key, owner, team, at, until, filter, loaded_at, query, follow, measure, formula), or dimension';
COMMENT ON COLUMN kpi.definition_text.name IS 'Which dimension, or which table of follow; else NULL';
COMMENT ON COLUMN kpi.definition_text.typed IS 'As it was typed';
COMMENT ON COLUMN kpi.definition_text.stored IS 'As it is stored: every name outside pg_catalog qualified, and a column of the kept rows in the place of lookup(...)';
COMMENT ON COLUMN kpi.definition_text.source_id IS 'The source (kpi.source.id)';
COMMENT ON COLUMN kpi.definition_text.kpi_id IS 'The KPI (kpi.kpi.id)';
