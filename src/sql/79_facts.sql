-- 79_facts: the facts behind a number.

CREATE FUNCTION kpi.facts(kpi text, team anycompatible DEFAULT NULL, member anycompatible DEFAULT NULL,
                          period text DEFAULT NULL, dimension text DEFAULT NULL, dimension_value text DEFAULT NULL,
                          left_out text DEFAULT NULL,
                          OUT fact_kpi text, OUT fact_key text, OUT day date, OUT owner text, OUT fact_member text, OUT fact_team text,
                          OUT value numeric, OUT numerator numeric, OUT denominator numeric)
    RETURNS SETOF record STABLE COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_explain_facts';
COMMENT ON FUNCTION kpi.facts(text, anycompatible, anycompatible, text, text, text, text) IS
'The facts that make what kpi.value() says at the same place, one row each, by day and key: the KPI (of a formula those it is over, in the periods it looks at), the key of the source, its day and owner, the member and team that it counts for (those of its day), and what it brings: value, of a rate, ratio or average also what is divided and by what. Of a balance the facts that are held when the period ends, today at the latest, with the team that holds them then. Amounts are in the currency of the company. As the facts are now, where kpi.value() is as of the last refresh; facts that are left out are not among them. With left_out, a reason of kpi.left_out, those that are left out of the KPI for it instead, of all days if period is NULL, and in any period those that have no day (day NULL): by the owner that they have on their day, those without one today; value is NULL where they count for nothing; of lookup_missing once for each lookup that finds nothing. The caller needs SELECT on the table of the source. Cost: the facts of the period, by an index on their time if there is one; of a balance all until its end. Errors: as kpi.value(); unknown reason; 42501 with the GRANT that is missing';

CREATE FUNCTION kpi.fact_events(source text, key anycompatible,
                                OUT relation text, OUT row_key text, OUT row_data jsonb)
    RETURNS SETOF record STABLE COST 10000 ROWS 10 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_fact_events';
COMMENT ON FUNCTION kpi.fact_events(text, anycompatible) IS
'The rows that a fact is made of, by its key (of any type, as text; of several columns, joined by '', ''): of a keyed source the rows of each table that it follows which touch the entity of the fact, by table and key; of a source over a table the row itself. relation is the table, row_key its primary key, as text (NULL: it has none; of a source over a table the key of the fact), row_data the row. As the tables are now. The caller needs SELECT on each table. Cost: of follow queries that are columns of the table the rows of the entity, by an index on these; of others the table. Errors: unknown source; it has no key, or is a keyed source that follows no table; no fact with that key; 42501 with the GRANT that is missing';
