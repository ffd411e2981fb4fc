-- n facts of today come.
INSERT INTO deals (owner_id, stage, amount, created_at, closed_at)
SELECT i % 500 + 1, (ARRAY['won', 'lost'])[i % 2 + 1], i, '2026-11-01', '2026-11-18 12:00+00'
  FROM generate_series(1, :n) AS i;
\ir on.sql
\warn @time :label
CALL kpi.refresh('deals');
\ir off.sql
