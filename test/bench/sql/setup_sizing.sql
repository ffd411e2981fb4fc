-- Facts in the order of their time, a few owners with many of them; three levels of teams.
SET client_min_messages = warning;
CREATE EXTENSION pg_kpi;
SELECT kpi.create_team('region ' || i) FROM generate_series(1, 5) i;
SELECT kpi.create_team('team ' || i, parent => 'region ' || 1 + i % 5) FROM generate_series(1, 50) i;
SELECT kpi.add_member('rep ' || i, team => 'team ' || 1 + i % 50) FROM generate_series(1, 500) i;
CREATE TABLE deals (id integer PRIMARY KEY, owner_id text, product text, stage text, customer integer, amount numeric(12,2), closed_at timestamptz);
SELECT setseed(0.42);
INSERT INTO deals
SELECT i, 'rep ' || 1 + floor(power(random(), 2) * 500), 'p' || floor(random() * 10), CASE WHEN random() < 0.5 THEN 'won' ELSE 'lost' END,
       floor(random() * 2000), round((random() * 50000)::numeric, 2), timestamptz '2023-01-01' + i * (interval '1095 days' / :rows)
  FROM generate_series(1, :rows) i;
VACUUM ANALYZE deals;
