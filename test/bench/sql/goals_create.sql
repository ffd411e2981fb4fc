-- A thousand goals are made in one transaction, which is rolled back.
BEGIN;
\ir on.sql
\warn @time goals_create
SELECT count(kpi.create_goal(m.key || ' of new plan ' || p, kpi => 'revenue', member => m.key, period => '2026-11',
                             target => '20000', plan => 'new plan ' || p))
  FROM generate_series(1, 1000 / (SELECT count(*)::integer FROM kpi.member)) p
 CROSS JOIN kpi.member m;
\ir off.sql
ROLLBACK;
