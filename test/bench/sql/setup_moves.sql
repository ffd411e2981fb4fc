-- People who move: 10,000 members in 1,000 teams of six levels, 200 of them in one
-- team; each of these has a fact on every day of three years, the others 20.
-- Variable: rows, that of the others.
\set owners 9800
\ir common.sql
INSERT INTO deals (owner_id, stage, amount, created_at, closed_at)
SELECT 9800 + m, (ARRAY['won', 'lost', 'lost', 'open'])[1 + (d + m) % 4], d + m,
       timestamptz '2023-11-10 12:00+00' + d * interval '1 day', timestamptz '2023-11-19 12:00+00' + d * interval '1 day'
  FROM generate_series(1, 200) AS m, generate_series(0, 1094) AS d;
-- each team has four below it, as far as 1,000 reach: 1, 4, 16, 64, 256, 659
SELECT kpi.create_team('team' || t, parent => CASE t WHEN 1 THEN 'company' ELSE 'team' || ((t - 2) / 4 + 1) END)
  FROM generate_series(1, 1000) AS t;
SELECT kpi.create_team('large', parent => 'team86');
SELECT kpi.add_member(m::text, team => CASE WHEN m > 9800 THEN 'large' ELSE 'team' || (342 + m % 659) END)
  FROM generate_series(1, 10000) AS m;
SELECT kpi.create_source('deals', relation => 'public.deals', key => 'id', owner => 'owner_id', at => 'closed_at',
                         dimensions => '{"stage": "stage"}');
SELECT bench.create_more_kpis(1, 5);
CALL kpi.refresh();
VACUUM ANALYZE;
CHECKPOINT;
