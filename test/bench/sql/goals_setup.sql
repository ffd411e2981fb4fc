-- 50 goals of teams for this quarter, and in each of so many plans one of every
-- member for this month. Variable: plans.
SELECT count(kpi.create_goal(key || ' revenue', kpi => 'revenue', team => key, period => '2026-Q4',
                             target => '1000000'))
  FROM kpi.team WHERE key ~ '^team';
SELECT count(kpi.create_goal(m.key || ' of plan ' || p, kpi => 'revenue', member => m.key, period => '2026-11',
                             target => '20000', plan => 'plan ' || p))
  FROM generate_series(1, :plans) p
 CROSS JOIN kpi.member m;
CREATE TABLE bench.progress AS SELECT * FROM kpi.goal_progress;
CREATE INDEX ON bench.progress (kpi, period);
VACUUM ANALYZE;
