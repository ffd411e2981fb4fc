-- Every value of months, quarters and years, each once.
\ir on.sql
\warn @time extract
SELECT sum(value) FROM kpi.kpi_value WHERE grain IN ('month', 'quarter', 'year');
\ir off.sql
SELECT count(*) AS rows FROM kpi.kpi_value WHERE grain IN ('month', 'quarter', 'year') \gset
\warn @is extract_rows :rows
