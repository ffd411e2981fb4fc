-- 50 goals of teams for this quarter, the others of members for this month and
-- those after it.
SELECT count(kpi.create_goal(key || ' revenue', kpi => 'revenue', team => key, period => '2026-Q4',
                             target => '1000000'))
  FROM kpi.team WHERE key ~ '^team';
SELECT count(kpi.create_goal(m.key || ' ' || p.month, kpi => 'revenue', member => m.key, period => p.month,
                             target => '20000'))
  FROM kpi.member m
 CROSS JOIN (SELECT to_char(timestamp '2026-10-01' + i * interval '1 month', 'YYYY-MM') AS month
               FROM generate_series(1, :months) i) p;
CREATE TABLE bench.progress AS SELECT * FROM kpi.goal_progress;
CREATE INDEX ON bench.progress (kpi, period);
VACUUM ANALYZE;
