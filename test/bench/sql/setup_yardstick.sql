-- The yardstick of readers: 500 reps, 50 teams in three levels, ten KPIs of two
-- streams (deals closed, deals opened), two of them formulas, one of which is over both.
-- Variable: rows.
\set owners 500
\ir common.sql
VACUUM ANALYZE;

SELECT kpi.create_team('division' || t) FROM generate_series(1, 5) AS t;
SELECT kpi.create_team('region' || t, parent => 'division' || (t % 5 + 1)) FROM generate_series(1, 10) AS t;
SELECT kpi.create_team('team' || t, parent => 'region' || (t % 10 + 1)) FROM generate_series(1, 35) AS t;
SELECT kpi.add_member(m::text, team => 'team' || (m % 35 + 1)) FROM generate_series(1, 500) AS m;
SELECT kpi.create_source('deals', relation => 'public.deals', key => 'id', owner => 'owner_id',
                         at => 'closed_at');
SELECT kpi.create_kpi(name, source => 'deals', measure => measure, filter => filter, at => at)
  FROM (VALUES ('won', 'count(*)', 'stage = ''won''', NULL),
               ('revenue', 'sum(amount)', 'stage = ''won''', NULL),
               ('lost', 'count(*)', 'stage = ''lost''', NULL),
               ('lost_revenue', 'sum(amount)', 'stage = ''lost''', NULL),
               ('win_rate', 'rate(stage = ''won'', stage IN (''won'', ''lost''))', NULL, NULL),
               ('cycle', 'avg(closed_at - created_at)', 'stage = ''won''', NULL),
               ('opened', 'count(*)', NULL, 'created_at'),
               ('opened_revenue', 'sum(amount)', NULL, 'created_at')) AS k (name, measure, filter, at);
SELECT kpi.create_kpi('deal_size', formula => 'revenue / won'),
       kpi.create_kpi('yield', formula => 'revenue / opened_revenue');
CALL kpi.refresh();
VACUUM ANALYZE;
CHECKPOINT;
