-- The large table: 500 owners, 50 teams in 5 regions, five KPIs.  Variables:
-- rows, small_rows, copy_rows, csv.
\set owners 500
\ir common.sql

-- plain and captured: the same rows, one of them followed
CREATE TABLE plain (LIKE deals INCLUDING ALL);
CREATE TABLE captured (LIKE deals INCLUDING ALL);
CREATE TABLE copy_plain (LIKE deals INCLUDING ALL);
CREATE TABLE copy_captured (LIKE deals INCLUDING ALL);
-- of all three years
INSERT INTO plain
SELECT row_number() OVER (ORDER BY id), owner_id, stage, amount, created_at, closed_at
  FROM deals WHERE id % (:rows / :small_rows) = 0;
INSERT INTO captured SELECT * FROM plain;
SELECT setval(pg_get_serial_sequence(name, 'id'), :small_rows) FROM unnest('{plain,captured}'::text[]) AS name;
COPY (SELECT owner_id, stage, amount, created_at, closed_at FROM deals ORDER BY random() LIMIT :copy_rows)
  TO :'csv' WITH (FORMAT csv);
-- the planner knows how many days there are
CREATE STATISTICS deals_day ON ((closed_at AT TIME ZONE 'UTC')::date), owner_id FROM deals;
CREATE STATISTICS deals_day_alone ON ((closed_at AT TIME ZONE 'UTC')::date) FROM deals;
CREATE STATISTICS captured_day ON ((closed_at AT TIME ZONE 'UTC')::date), owner_id FROM captured;
CREATE STATISTICS captured_day_alone ON ((closed_at AT TIME ZONE 'UTC')::date) FROM captured;
VACUUM ANALYZE;

SELECT kpi.create_team('region' || r) FROM generate_series(1, 5) AS r;
SELECT kpi.create_team('team' || t, parent => 'region' || (t % 5 + 1)) FROM generate_series(1, 50) AS t;
SELECT kpi.add_member(m::text, team => 'team' || (m % 50 + 1)) FROM generate_series(1, 500) AS m;
SELECT kpi.create_source(name, relation => 'public.' || name, key => 'id', owner => 'owner_id',
                         at => 'closed_at')
  FROM unnest('{deals,captured,copy_captured}'::text[]) AS name;

-- the same five on any of the tables
CREATE FUNCTION bench.create_kpis(source text, prefix text) RETURNS void LANGUAGE sql AS $$
    SELECT kpi.create_kpi(prefix || 'won', source => source, measure => 'count(*)', filter => 'stage = ''won''');
    SELECT kpi.create_kpi(prefix || 'revenue', source => source, measure => 'sum(amount)',
                          filter => 'stage = ''won''');
    SELECT kpi.create_kpi(prefix || 'lost', source => source, measure => 'count(*)', filter => 'stage = ''lost''',
                          direction => 'down');
    SELECT kpi.create_kpi(prefix || 'win_rate', source => source,
                          measure => 'rate(stage = ''won'', stage IN (''won'', ''lost''))');
    SELECT kpi.create_kpi(prefix || 'cycle', source => source, measure => 'avg(closed_at - created_at)',
                          filter => 'stage = ''won''', direction => 'down');
$$;
CREATE FUNCTION bench.drop_kpis(source text, prefix text) RETURNS void LANGUAGE sql AS $$
    SELECT kpi.drop_kpi(prefix || name) FROM unnest('{won,revenue,lost,win_rate,cycle}'::text[]) AS name
$$;
SELECT bench.create_kpis('deals', ''), bench.create_kpis('captured', 'c_'),
       bench.create_kpis('copy_captured', 'f_');
CALL kpi.refresh();
VACUUM ANALYZE;
CHECKPOINT;
