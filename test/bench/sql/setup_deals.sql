-- The large table: 500 owners, 50 teams in 5 regions, five KPIs.  Variables:
-- rows, small_rows.
\set owners 500
\ir common.sql

-- captured: a smaller one
CREATE TABLE captured (LIKE deals INCLUDING ALL);
-- of all three years
INSERT INTO captured
SELECT row_number() OVER (ORDER BY id), owner_id, stage, amount, created_at, closed_at
  FROM deals WHERE id % (:rows / :small_rows) = 0;
-- the planner knows how many days there are
CREATE STATISTICS deals_day ON ((closed_at AT TIME ZONE 'UTC')::date), owner_id FROM deals;
CREATE STATISTICS deals_day_alone ON ((closed_at AT TIME ZONE 'UTC')::date) FROM deals;
CREATE STATISTICS captured_day ON ((closed_at AT TIME ZONE 'UTC')::date), owner_id FROM captured;
CREATE STATISTICS captured_day_alone ON ((closed_at AT TIME ZONE 'UTC')::date) FROM captured;
VACUUM ANALYZE;

\ir people.sql
SELECT kpi.create_source(name, relation => 'public.' || name, key => 'id', owner => 'owner_id',
                         at => 'closed_at')
  FROM unnest('{deals,captured}'::text[]) AS name;
CREATE FUNCTION bench.drop_kpis(source text, prefix text) RETURNS void LANGUAGE sql AS $$
    SELECT kpi.drop_kpi(prefix || name) FROM unnest('{won,revenue,lost,win_rate,cycle}'::text[]) AS name
$$;
SELECT bench.create_kpis('deals', ''), bench.create_kpis('captured', 'c_');
CALL kpi.refresh();
VACUUM ANALYZE;
CHECKPOINT;
