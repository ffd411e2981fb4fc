-- What a BI tool sends to show a table.
\ir on.sql
\warn @time first.:view
SELECT * FROM kpi.:view LIMIT 10000;
\ir off.sql
