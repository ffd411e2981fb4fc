-- What is stored for each fact, indexes included, the user's own table not.
SELECT round(sum(pg_total_relation_size(c.oid)) / :rows) AS bytes
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname IN ('kpi', 'kpi_internal') AND c.relkind = 'r' \gset
\warn @is :label :bytes
