-- 50 KPIs built from nothing.
SELECT count(kpi.drop_kpi(name)) FROM kpi.kpi;
CALL kpi.refresh('deals');
VACUUM;
SELECT bench.create_more_kpis(1, 50);
SET max_parallel_workers_per_gather = 0;
\ir on.sql
\warn @time wide_build
CALL kpi.refresh('deals');
\ir off.sql
