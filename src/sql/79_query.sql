-- 79_query: the value of a KPI as plain SQL.

CREATE FUNCTION kpi.query(kpi text, team anycompatible DEFAULT NULL, member anycompatible DEFAULT NULL,
                          period text DEFAULT NULL, dimension text DEFAULT NULL, dimension_value text DEFAULT NULL,
                          to_date boolean DEFAULT false)
    RETURNS text STABLE COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_query';
COMMENT ON FUNCTION kpi.query(text, anycompatible, anycompatible, text, text, text, boolean) IS
'A query without anything of pg_kpi that gives the number of kpi.value() (to_date: value_to_date of the views) for a KPI, by team or member, else for the company, in a period, or of one value of a dimension: one row with the column value (numeric), to paste or to hand to an auditor. What the organisation, attributes, targets and exchange rates say is written into it as of now; the days of facts are cut in the time zone of their source. It reads the facts, also those that no refresh has met yet, at a cost that follows them, with the rights of who runs it. Percentiles and estimates are exact in it. Of a keyed source it has the query. It may fail on facts on which an expression fails, which the KPI leaves out: a comment in it says so. Errors: as kpi.value(); no fact can be dated in the period; to_date and the period has not begun; the table of a source is gone';
