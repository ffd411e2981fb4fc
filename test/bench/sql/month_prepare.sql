SET plan_cache_mode = force_generic_plan;
SELECT array_agg(name::text) AS kpis, array_agg(id) AS kpi_ids
  FROM (SELECT k.id, k.name FROM kpi.kpi k JOIN kpi.source s ON s.id = k.source_id AND s.name = 'deals'
         ORDER BY k.id LIMIT 10) x \gset
SELECT array_agg(key::text) AS teams, array_agg(id) AS team_ids FROM kpi.team WHERE key ~ '^team' \gset
PREPARE month_names(text[], text[], date) AS
    SELECT kpi, team, value FROM kpi.team_monthly
     WHERE kpi = ANY ($1) AND team = ANY ($2) AND period_start = $3;
PREPARE month_ids(integer[], integer[], date) AS
    SELECT kpi_id, team_id, value FROM kpi.kpi_value
     WHERE kpi_id = ANY ($1) AND team_id = ANY ($2) AND member_id IS NULL
       AND grain = 'month' AND period_start = $3;
