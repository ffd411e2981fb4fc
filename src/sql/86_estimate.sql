-- 86_estimate: what a source would cost (explain/estimate.c).

CREATE FUNCTION kpi.estimate_source(name text, relation text DEFAULT NULL, key text DEFAULT NULL, owner text DEFAULT NULL,
                                    team text DEFAULT NULL, at text DEFAULT NULL, filter text DEFAULT NULL,
                                    dimensions jsonb DEFAULT NULL, grain text DEFAULT 'day',
                                    calendar text DEFAULT 'default', definer text DEFAULT NULL,
                                    measures text[] DEFAULT '{count(*)}')
    RETURNS TABLE (facts bigint, facts_read bigint, day_cells bigint, rollup_cells bigint, bytes bigint,
                   bytes_per_fact bigint, wal_bytes_per_change bigint, build_seconds numeric)
    VOLATILE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_estimate_source';
COMMENT ON FUNCTION kpi.estimate_source(text, text, text, text, text, text, text, jsonb, text, text, text, text[]) IS
'What kpi.create_source() with these arguments and KPIs of these measures would cost, with the teams and members that there are; nothing is changed. One row. facts: rows that would count; facts_read: the sample of them that all else follows from, at most 30,000, of at most 30,000 blocks of the table, whatever its size. day_cells and rollup_cells: rows by owner, day and dimension values, and by team or member and period above them; bytes: of both with their indexes after a build, bytes_per_fact a fact''s part of it; wal_bytes_per_change: WAL of a change of a fact that moves all measures, one of a thousand that are refreshed together, without its own and without full-page images; build_seconds: of the first refresh in one process on a machine that is as busy as now. Up to 30,000 facts the cells are counted; beyond, they are estimated as ANALYZE estimates numbers of distinct values, too few of them where a few owners have most of the facts. Cells, bytes and WAL are within a factor of 2 of what comes in the tests, the seconds are a rough guide. A dimension that is an attribute counts as one value, and what a balance carries to later days is left out. Locks the table as kpi.create_source(), for a moment only, and reads it as the source''s definer. Errors: as kpi.create_source(), and of measures as kpi.create_kpi(); no SELECT on the facts; an expression that looks something up';
