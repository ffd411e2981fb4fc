-- One fact comes; its own statement and commit are not measured.
INSERT INTO deals (owner_id, stage, amount, created_at, closed_at)
VALUES (1 + floor(random() * 500)::integer, 'won', 10, '2026-11-01', '2026-11-18 12:00+00');
\ir on.sql
\warn @time :label
CALL kpi.refresh('deals');
\ir off.sql
