-- What a KPI was for a team or member, asked for by names.  PREPARE is in
-- by_name_prepare.sql.
\ir on.sql
\warn @time :label.value
SELECT kpi, :level, period_start, value FROM kpi.:view
 WHERE kpi = :'kpi' AND :level = :'key' AND period_start >= :'since';
\warn @time :label.planned
SELECT * FROM kpi.:view WHERE kpi = :'kpi' AND :level = :'key' AND period_start >= :'since';
\warn @time :label.generic
EXECUTE by_name(:'kpi', :'key', :'since');
\ir off.sql
SELECT format('EXECUTE by_name(%L, %L, %L)', :'kpi', :'key', :'since') AS statement \gset
SELECT rows, buffers FROM bench.cost(:'statement') \gset
\warn @is :label.rows :rows
\warn @is :label.buffers :buffers
