-- Few facts for many, and broken down: 10,000 members in 1,000 teams of six levels,
-- five dimensions of 20, 10, 5, 5 and 5 values.  Variables: rows, kpis.
\set owners 10000
\ir common.sql
ALTER TABLE deals ADD d1 integer, ADD d2 integer, ADD d3 integer, ADD d4 integer, ADD d5 integer;
UPDATE deals SET d1 = id % 20, d2 = id / 20 % 10, d3 = id / 200 % 5, d4 = id / 1000 % 5, d5 = id / 5000 % 5;
-- each team has four below it, as far as 1,000 reach: 1, 4, 16, 64, 256, 659
SELECT kpi.create_team('team' || t, parent => CASE t WHEN 1 THEN 'company' ELSE 'team' || ((t - 2) / 4 + 1) END)
  FROM generate_series(1, 1000) AS t;
SELECT kpi.add_member(m::text, team => 'team' || (342 + m % 659)) FROM generate_series(1, 10000) AS m;
SELECT kpi.create_source('deals', relation => 'public.deals', key => 'id', owner => 'owner_id', at => 'closed_at',
                         dimensions => '{"d1": "d1", "d2": "d2", "d3": "d3", "d4": "d4", "d5": "d5"}');
SELECT bench.create_more_kpis(1, :kpis);
VACUUM ANALYZE;
CHECKPOINT;
