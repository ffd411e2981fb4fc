-- 79_left_out: facts that count for nothing.

-- Of all sources if source_id is NULL. Days are of facts that have one.
CREATE FUNCTION kpi_internal.left_out_counts(source_id integer DEFAULT NULL)
RETURNS TABLE (source_id integer, kpi_id integer, reason text, facts bigint, first_day date, last_day date)
    STABLE COST 1000 ROWS 100 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_left_out_counts';

-- NULL also where the caller may not read the facts.  Of the source, if kpi_id is NULL.
CREATE FUNCTION kpi_internal.left_out_example(source_id integer, kpi_id integer, reason text) RETURNS text
    STABLE COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_left_out_example';

-- KPIs of which it has not been said yet, since they were defined, what counts for nothing
-- (explain/left_out.c).
CREATE TABLE kpi_internal.left_out_unsaid (
    kpi_id integer PRIMARY KEY REFERENCES kpi.kpi ON DELETE CASCADE
);
COMMENT ON TABLE kpi_internal.left_out_unsaid IS 'KPIs of which the next CALL kpi.refresh() that finds them built, and facts in their source, says why many of these count for nothing';
