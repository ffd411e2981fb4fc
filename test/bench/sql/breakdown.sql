-- Its build.  Variable: label.
SET max_parallel_workers_per_gather = 0;
SET maintenance_work_mem = '64MB';
\ir on.sql
\warn @time :label
CALL kpi.refresh('deals');
\ir off.sql
