-- 84_left_out: facts that are in no number, or not in all, and why.

-- Those that cells count, and as reason 'counted' those in the company's value; those that
-- count for nothing and these only, or all (explain/left_out_cells.c).
CREATE FUNCTION kpi_internal.left_out_cells(of_source integer DEFAULT NULL, for_nothing boolean DEFAULT false, OUT source_id integer, OUT kpi_id integer, OUT reason text,
                                            OUT facts bigint, OUT first_day date, OUT last_day date)
    RETURNS SETOF record STABLE COST 10000 ROWS 10 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_left_out_cells';

CREATE VIEW kpi.left_out AS
    SELECT s.id AS source_id, s.name AS source, k.id AS kpi_id, k.name AS kpi, r.reason,
           CASE WHEN r.reason IN ('no_owner', 'unknown_owner') THEN 'company'
                WHEN r.reason = 'ahead' THEN 'value, not to date'
                WHEN r.reason = 'lookup_missing' THEN 'value'
                ELSE 'nothing' END AS counts_for,
           r.facts, r.first_day, r.last_day
      FROM kpi.source s
     CROSS JOIN LATERAL (
           SELECT c.kpi_id, c.reason, c.facts, c.first_day, c.last_day
             FROM kpi_internal.left_out_cells(s.id) c
            WHERE c.reason <> 'counted'
           UNION ALL
           SELECT NULL, 'lookup_missing', pg_catalog.sum(l.facts_missing)::bigint, NULL, NULL
             FROM kpi_internal.lookup_state l
            WHERE l.source_id = s.id
           HAVING pg_catalog.sum(l.facts_missing) > 0
           UNION ALL
           SELECT NULL, 'no_key', t.rows_without_key, NULL, NULL
             FROM kpi_internal.keyed_state t
            WHERE t.source_id = s.id AND t.rows_without_key > 0) r
      LEFT JOIN kpi.kpi k ON k.id = r.kpi_id;
COMMENT ON VIEW kpi.left_out IS 'Facts that are in no number of a KPI, or not in all of them: one row per source, KPI and reason, as of the last refresh. A fact that passes the filters of a source and a KPI is in the numbers, or in one of these rows. Of a formula, see the KPIs that it is made of';
COMMENT ON COLUMN kpi.left_out.source_id IS 'The source (kpi.source.id)';
COMMENT ON COLUMN kpi.left_out.source IS 'Its name';
COMMENT ON COLUMN kpi.left_out.kpi_id IS 'The KPI (kpi.kpi.id); NULL: all of the source';
COMMENT ON COLUMN kpi.left_out.kpi IS 'Its name';
COMMENT ON COLUMN kpi.left_out.reason IS 'Why, the first of these that holds for a fact and the KPI. error: an expression failed on it. lookup_missing: a lookup found nothing. nonfinite: its number is NaN, infinite or has more than 1,000 digits before the decimal point. no_rate: its currency has no exchange rate on its day. no_owner: its owner (team) is NULL; unknown_owner: it is the key of no member (team). ahead: it is dated after the day that the KPI is judged by, today. no_key: a row of the query of a keyed source that has no key, or no entity';
COMMENT ON COLUMN kpi.left_out.counts_for IS 'What such facts count for still: nothing; company: the company and team (unassigned) only; value, not to date: numbers of the whole period, and not those to date; value: all numbers, what was looked up being NULL';
COMMENT ON COLUMN kpi.left_out.facts IS 'How many facts. Of lookup_missing once for each lookup that finds nothing; of no_key rows, as of when all were read last';
COMMENT ON COLUMN kpi.left_out.first_day IS 'Day of the first of them (of amounts without an exchange rate the first of its month); NULL: they have no day';
COMMENT ON COLUMN kpi.left_out.last_day IS 'Day of the last of them (of amounts without an exchange rate the last of its month); NULL: they have no day';
