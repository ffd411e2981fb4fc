-- Few facts for many: 10,000 members in 1,000 teams of six levels, 50 KPIs.
-- Variable: rows.
\set owners 10000
\ir common.sql
VACUUM ANALYZE;

-- each team has four below it, as far as 1,000 reach: 1, 4, 16, 64, 256, 659
SELECT kpi.create_team('team' || t, parent => CASE t WHEN 1 THEN 'company' ELSE 'team' || ((t - 2) / 4 + 1) END)
  FROM generate_series(1, 1000) AS t;
SELECT kpi.add_member(m::text, team => 'team' || (342 + m % 659)) FROM generate_series(1, 10000) AS m;
SELECT kpi.create_source('deals', relation => 'public.deals', key => 'id', owner => 'owner_id',
                         at => 'closed_at');
VACUUM ANALYZE;
CHECKPOINT;
