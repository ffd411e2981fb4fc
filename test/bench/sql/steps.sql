-- The GROUP BY and the build of five KPIs in steps, with what its first step took.
-- Variables: label, workers.
SELECT bench.drop_kpis('deals', '');
CALL kpi.refresh('deals');
VACUUM;
SELECT bench.create_kpis('deals', '');
SELECT coalesce(max(id), 0) AS last FROM kpi.refresh_log \gset
\set source deals
\set group_by group_by. :label
\set build build. :label
SET max_parallel_workers_per_gather = :workers;
\ir on.sql
\warn @time :group_by
\ir group_by.sql
\warn @time :build
CALL kpi.refresh('deals');
\ir off.sql
SELECT round((array_agg(duration_ms ORDER BY id))[1]) AS first, round(max(duration_ms)) AS longest, count(*) AS steps
  FROM kpi.refresh_log WHERE id > :last AND kind = 'build' \gset
\set first_label first. :label
\warn @is :first_label :first
\set longest_label longest. :label
\warn @is :longest_label :longest
\set steps_label steps. :label
\warn @is :steps_label :steps
