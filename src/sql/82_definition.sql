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

CREATE VIEW kpi.definition AS
WITH RECURSIVE over (kpi_id, input_kpi_id) AS (
    SELECT k.id, k.id FROM kpi.kpi k
     UNION
    SELECT o.kpi_id, f.input_kpi_id FROM over o JOIN kpi_internal.formula_input f ON f.kpi_id = o.input_kpi_id)
SELECT k.id AS kpi_id, k.name AS kpi, k.title, k.section, k.sort, k.unit, k.direction, k.format, k.decimals,
       CASE WHEN k.kind = 'formula' THEN k.formula
            ELSE m.typed || ' of ' || s.name
                 || coalesce(' where ' || nullif(pg_catalog.concat_ws(' and ', '(' || sf.typed || ')', '(' || f.typed || ')'), ''), '')
                 || ', by ' || coalesce(a.typed, sa.typed) || coalesce(' until ' || u.typed, '')
                 || CASE w.kind WHEN 'member' THEN ', for the member ' || w.typed
                                          || CASE k.credit WHEN 'today' THEN ' and the team of today'
                                                           ELSE ' and the team of the day' END
                                WHEN 'team' THEN ', for the team ' || w.typed
                                ELSE ', for the company' END END AS definition,
       k.measure AS measure_sql, nullif(pg_catalog.concat_ws(' AND ', s.filter, k.filter), '') AS filter_sql,
       coalesce(k.at, s.at) AS at_sql,
       CASE WHEN k.owner IS NULL AND k.team IS NULL THEN coalesce(s.owner, s.team) ELSE coalesce(k.owner, k.team) END AS owner_sql,
       k.formula,
       (SELECT pg_catalog.string_agg(DISTINCT i.name, ', ' ORDER BY i.name)
          FROM over o JOIN kpi.kpi ik ON ik.id = o.input_kpi_id JOIN kpi.source i ON i.id = ik.source_id
         WHERE o.kpi_id = k.id) AS sources,
       (SELECT pg_catalog.string_agg(d.name, ', ' ORDER BY d.position) FROM kpi.dimension d
         WHERE d.source_id = k.source_id) AS dimensions,
       (SELECT pg_catalog.string_agg(DISTINCT coalesce(g.name, 'of ' || g.period), ', ' ORDER BY coalesce(g.name, 'of ' || g.period))
          FROM kpi.goal g WHERE g.kpi_id = k.id) AS goals,
       (SELECT pg_catalog.string_agg(n.name, ', ' ORDER BY n.name)
          FROM kpi_internal.formula_input f JOIN kpi.kpi n ON n.id = f.kpi_id WHERE f.input_kpi_id = k.id) AS formulas,
       (SELECT pg_catalog.string_agg(r.relation, ', ' ORDER BY r.relation) FROM kpi.rollup r
         WHERE EXISTS (SELECT FROM kpi.rollup_column c WHERE c.rollup_id = r.id AND c.kpi_id = k.id)) AS rollups,
       (SELECT coalesce(pg_catalog.min(i.status) FILTER (WHERE i.status <> 'active'), 'active')
          FROM over o JOIN kpi.kpi ik ON ik.id = o.input_kpi_id JOIN kpi.source_status i ON i.source_id = ik.source_id
         WHERE o.kpi_id = k.id) AS status,
       (SELECT kpi_internal.is_complete(x.program, '-infinity') FROM kpi_internal.kpi_stream x WHERE x.kpi_id = k.id AND x.position = 1) AS is_complete,
       (SELECT kpi_internal.complete_since(x.program) FROM kpi_internal.kpi_stream x WHERE x.kpi_id = k.id AND x.position = 1) AS complete_since,
       k.description
  FROM kpi.kpi k
  LEFT JOIN kpi.source s ON s.id = k.source_id
  LEFT JOIN kpi.definition_text m ON m.kpi_id = k.id AND m.part = 'measure'
  LEFT JOIN kpi.definition_text f ON f.kpi_id = k.id AND f.part = 'filter'
  LEFT JOIN kpi.definition_text a ON a.kpi_id = k.id AND a.part = 'at'
  LEFT JOIN kpi.definition_text u ON u.kpi_id = k.id AND u.part = 'until'
  LEFT JOIN kpi.definition_text sf ON sf.source_id = k.source_id AND sf.kpi_id IS NULL AND sf.part = 'filter'
  LEFT JOIN kpi.definition_text sa ON sa.source_id = k.source_id AND sa.kpi_id IS NULL AND sa.part = 'at'
  -- Its own owner or team comes before that of the source.
  LEFT JOIN LATERAL (SELECT CASE t.part WHEN 'owner' THEN 'member' ELSE 'team' END AS kind, t.typed
                       FROM kpi.definition_text t
                      WHERE t.source_id = k.source_id AND t.part IN ('owner', 'team') AND (t.kpi_id = k.id OR t.kpi_id IS NULL)
                      ORDER BY t.kpi_id NULLS LAST LIMIT 1) w ON true;
COMMENT ON VIEW kpi.definition IS 'What each KPI is: in words, as it was typed, in the SQL that runs, and what it is used by';
COMMENT ON COLUMN kpi.definition.kpi_id IS 'The KPI (kpi.kpi.id)';
COMMENT ON COLUMN kpi.definition.kpi IS 'Its name';
COMMENT ON COLUMN kpi.definition.title IS 'What people call it';
COMMENT ON COLUMN kpi.definition.section IS 'Where it stands in a report; NULL: not said';
COMMENT ON COLUMN kpi.definition.sort IS 'Its place there, lower ones first; NULL: not said';
COMMENT ON COLUMN kpi.definition.unit IS 'Unit of the values; NULL: none';
COMMENT ON COLUMN kpi.definition.direction IS 'up: more is better; down: less is better';
COMMENT ON COLUMN kpi.definition.format IS 'How its values are shown (kpi.format()): number, percent, money or duration';
COMMENT ON COLUMN kpi.definition.decimals IS 'How many decimals are shown; NULL: not said';
COMMENT ON COLUMN kpi.definition.definition IS 'What it is, in words: what is measured of which facts, by which time, and who they count for; or the formula';
COMMENT ON COLUMN kpi.definition.measure_sql IS 'The measure as it runs; NULL of a formula';
COMMENT ON COLUMN kpi.definition.filter_sql IS 'The filters of its source and its own, as they run; NULL: none';
COMMENT ON COLUMN kpi.definition.at_sql IS 'When a fact happened, as it runs; NULL of a formula';
COMMENT ON COLUMN kpi.definition.owner_sql IS 'Who a fact counts for, as it runs; NULL: the company, or a formula';
COMMENT ON COLUMN kpi.definition.formula IS 'The formula over other KPIs; NULL of a measure';
COMMENT ON COLUMN kpi.definition.sources IS 'Names of the sources that it rests on';
COMMENT ON COLUMN kpi.definition.dimensions IS 'What the facts of its source can be broken down by; NULL: nothing, or a formula';
COMMENT ON COLUMN kpi.definition.goals IS 'The goals on it, by name, else by period; NULL: none';
COMMENT ON COLUMN kpi.definition.formulas IS 'The formulas that use it; NULL: none';
COMMENT ON COLUMN kpi.definition.rollups IS 'The rollup tables that have it; NULL: none';
COMMENT ON COLUMN kpi.definition.status IS 'Of its source (kpi.source_status.status): active, building, suspended, …; of several one that is not active, if there is one';
COMMENT ON COLUMN kpi.definition.is_complete IS 'True when its numbers of all days are there';
COMMENT ON COLUMN kpi.definition.complete_since IS 'While its facts are being read, newest first: the first day from which its numbers are complete. NULL: all of them are, or, where is_complete is false, none';
COMMENT ON COLUMN kpi.definition.description IS 'What it means, for people';
