\ir on.sql
\warn @time growth
SELECT kpi, team, period_start, value, growth_ratio FROM kpi.team_monthly;
\ir off.sql
SELECT count(*) AS rows FROM kpi.team_monthly \gset
\warn @is growth_rows :rows
