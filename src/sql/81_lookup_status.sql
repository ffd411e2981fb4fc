-- 81_lookup_status: what sources look up, and how many of their facts find nothing.

CREATE VIEW kpi.lookup_status AS
    SELECT l.name AS lookup, s.name AS source, u.expression, u.column_name, t.facts_missing
      FROM kpi.source_lookup u
      JOIN kpi.lookup l ON l.id = u.lookup_id
      JOIN kpi.source s ON s.id = u.source_id
      LEFT JOIN kpi_internal.lookup_state t ON t.source_id = u.source_id AND t.column_name = u.column_name;
COMMENT ON VIEW kpi.lookup_status IS 'What sources look up, and how many of their rows find nothing';
COMMENT ON COLUMN kpi.lookup_status.lookup IS 'The lookup';
COMMENT ON COLUMN kpi.lookup_status.source IS 'The source';
COMMENT ON COLUMN kpi.lookup_status.expression IS 'What is looked for: an expression over a row of the source''s table';
COMMENT ON COLUMN kpi.lookup_status.column_name IS 'The column of kpi_data.<source> that has what was found, and the expressions of the source and its KPIs in the place of lookup(...)';
COMMENT ON COLUMN kpi.lookup_status.facts_missing IS 'Rows of the source, as of its last refresh, whose key is not NULL and has no row in the lookup: their value is NULL; NULL: not read yet';
