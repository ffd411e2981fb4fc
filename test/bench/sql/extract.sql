-- Every value of months, quarters and years, each once; and what it takes where
-- the statement is compiled first, as the planner wants it by default.
\ir on.sql
\warn @time extract
SELECT sum(value) FROM kpi.kpi_value WHERE grain IN ('month', 'quarter', 'year');
\ir off.sql
SET jit = on;
\ir on.sql
\warn @time extract_jit
SELECT sum(value) FROM kpi.kpi_value WHERE grain IN ('month', 'quarter', 'year');
\ir off.sql
RESET jit;
SELECT count(*) AS rows FROM kpi.kpi_value WHERE grain IN ('month', 'quarter', 'year') \gset
\warn @is extract_rows :rows
