-- One month of 50 teams and 10 KPIs, by names, as who writes the statement does,
-- and by ids.  PREPARE is in month_prepare.sql.
\ir on.sql
\warn @time month_planned
SELECT kpi, team, value FROM kpi.team_monthly
 WHERE kpi = ANY (:'kpis') AND team = ANY (:'teams') AND period_start = '2026-10-01';
\warn @time month_names
EXECUTE month_names(:'kpis', :'teams', '2026-10-01');
\warn @time month_ids
EXECUTE month_ids(:'kpi_ids', :'team_ids', '2026-10-01');
\ir off.sql
