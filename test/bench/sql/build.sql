-- The GROUP BY and the build of five KPIs from the same rows, in turns.
SELECT bench.drop_kpis(:'source', :'prefix');
CALL kpi.refresh(:'source');
VACUUM;
SELECT bench.create_kpis(:'source', :'prefix');
SET max_parallel_workers_per_gather = :workers;
\ir on.sql
\warn @time :group_by
\ir group_by.sql
\warn @time :build
CALL kpi.refresh(:'source');
\ir off.sql
