-- The views of all levels and grains against independent GROUP BYs.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET jit = off;
SET kpi.now = '2026-11-20 12:00:00+00';
CREATE SCHEMA view_test;
CREATE TABLE view_test.deals (id integer PRIMARY KEY, owner_id integer, stage text, amount numeric, product text,
                              created_at timestamptz, closed_at timestamptz);
INSERT INTO view_test.deals
SELECT g, g % 7, CASE g % 3 WHEN 0 THEN 'won' WHEN 1 THEN 'lost' ELSE 'open' END, g % 100,
       CASE WHEN g % 5 > 0 THEN 'p' || g % 2 END, timestamptz '2025-06-01 00:00Z' + g * interval '8 hours',
       CASE WHEN g % 3 < 2 THEN timestamptz '2025-06-01 00:00Z' + g * interval '9 hours 20 minutes' END
  FROM generate_series(1, 1400) g;

SELECT count(kpi.create_team(key, parent => parent, name => name))
  FROM (VALUES (1, 'emea', 'company', 'EMEA'), (2, 'dach', 'emea', 'DACH'), (3, 'apac', 'company', 'APAC'))
       AS t(n, key, parent, name);
-- owner 6 is a member without a team, owner 0 is nobody we know
SELECT count(kpi.add_member(g, team => CASE WHEN g < 3 THEN 'dach' WHEN g < 5 THEN 'emea' WHEN g < 6 THEN 'apac' END))
  FROM generate_series(1, 6) g;
SELECT kpi.move_member(1, team => 'apac', since => '2026-03-15');
SELECT kpi.move_team('dach', parent => 'apac', since => '2026-06-10');
SELECT kpi.create_source('view_deals', relation => 'view_test.deals', key => 'id', owner => 'owner_id', at => 'closed_at',
                         dimensions => '{"product": "product"}') > 0 AS created;
SELECT kpi.create_kpi('v_revenue',  source => 'view_deals', measure => 'sum(amount)', filter => $$stage = 'won'$$, unit => 'EUR') > 0 AS created;
SELECT kpi.create_kpi('v_won',      source => 'view_deals', measure => 'count(*)', filter => $$stage = 'won'$$) > 0 AS created;
SELECT kpi.create_kpi('v_created',  source => 'view_deals', measure => 'count(*)', at => 'created_at') > 0 AS created;
SELECT kpi.create_kpi('v_rate',     source => 'view_deals', measure => $$rate(stage = 'won', stage IN ('won', 'lost'))$$) > 0 AS created;
SELECT kpi.create_kpi('v_per_deal', formula => 'v_revenue / v_won', unit => 'EUR') > 0 AS created;
SELECT kpi.create_kpi('v_twice',    formula => 'v_per_deal * 2 + v_created') > 0 AS created;

-- before the first refresh nothing is complete
SELECT source, status, kpis, facts_ignored, pending_deltas, as_of IS NULL AS never FROM kpi.source_status WHERE source = 'view_deals';
CALL kpi.refresh('view_deals');
ANALYZE;
SELECT source, status, reason, kpis, facts_ignored, last_fact_error, nonfinite_inputs, pending_deltas,
       as_of <= refreshed_at AS in_order FROM kpi.source_status WHERE source = 'view_deals';
SELECT source, kind, owner, facts, first_day, last_day FROM kpi.unassigned WHERE source = 'view_deals';
SELECT count(*), least(min(created_at), min(closed_at))::date AS first_day, greatest(max(created_at), max(closed_at))::date AS last_day
  FROM view_test.deals WHERE owner_id = 0;

-- every fact once for every scope it counts for, by hand
CREATE VIEW view_test.fact AS
    SELECT k.kpi, d.owner_id::text AS member, d.day, d.num, d.den, s.team
      FROM (SELECT *, (closed_at AT TIME ZONE 'UTC')::date AS closed, (created_at AT TIME ZONE 'UTC')::date AS created FROM view_test.deals) r
     CROSS JOIN LATERAL (VALUES
           ('v_revenue', CASE WHEN stage = 'won' THEN amount END, NULL::numeric, closed),
           ('v_won', CASE WHEN stage = 'won' THEN 1 END, NULL, closed),
           ('v_rate', (stage = 'won')::int, CASE WHEN stage IN ('won', 'lost') THEN 1 END, closed),
           ('v_created', 1, NULL, created)) k(kpi, num, den, day)
     CROSS JOIN LATERAL (SELECT r.owner_id, k.day, k.num, k.den) d
     CROSS JOIN LATERAL (
           SELECT CASE WHEN r.owner_id IN (0, 6) THEN '(unassigned)'
                       WHEN r.owner_id = 1 THEN CASE WHEN d.day < '2026-03-15' THEN 'dach' ELSE 'apac' END
                       WHEN r.owner_id = 2 THEN 'dach' WHEN r.owner_id < 5 THEN 'emea' ELSE 'apac' END AS team) o
     CROSS JOIN LATERAL (
           SELECT 'company' AS team
            UNION SELECT o.team
            UNION SELECT CASE WHEN d.day < '2026-06-10' THEN 'emea' ELSE 'apac' END WHERE o.team = 'dach') s
     WHERE d.day IS NOT NULL AND d.num IS NOT NULL AND (k.kpi <> 'v_rate' OR d.den IS NOT NULL);

CREATE FUNCTION view_test.measures(level text, grain text)
RETURNS TABLE (kpi text, scope text, start date, value numeric, facts bigint) LANGUAGE sql AS $$
    SELECT f.kpi, f.scope, date_trunc(grain, f.day)::date, CASE WHEN f.kpi = 'v_rate' THEN sum(num) / sum(den) ELSE sum(num) END, count(*)
      FROM (SELECT kpi, team AS scope, day, num, den FROM view_test.fact WHERE level = 'team'
            UNION ALL
            SELECT kpi, member, day, num, den FROM view_test.fact WHERE level = 'member' AND team = 'company' AND member <> '0') f
     GROUP BY f.kpi, f.scope, date_trunc(grain, f.day)
$$;
CREATE FUNCTION view_test.expected(level text, grain text)
RETURNS TABLE (kpi text, scope text, start date, value numeric, facts bigint) LANGUAGE sql AS $$
    WITH m AS MATERIALIZED (SELECT * FROM view_test.measures(level, grain)),
         p AS (SELECT scope, start, max(value) FILTER (WHERE kpi = 'v_revenue') AS revenue, max(value) FILTER (WHERE kpi = 'v_won') AS won,
                      max(value) FILTER (WHERE kpi = 'v_created') AS created,
                      sum(facts) FILTER (WHERE kpi IN ('v_revenue', 'v_won')) AS facts,
                      sum(facts) FILTER (WHERE kpi <> 'v_rate') AS all_facts
                 FROM m GROUP BY scope, start)
    SELECT * FROM m
    UNION ALL
    SELECT 'v_per_deal', scope, start, revenue / won, facts FROM p WHERE facts > 0
    UNION ALL
    SELECT 'v_twice', scope, start, revenue / won * 2 + coalesce(created, 0), all_facts FROM p WHERE all_facts > 0
$$;
-- what is in one and not in the other, and how many there are
CREATE FUNCTION view_test.differences(level text, suffix text, grain text)
RETURNS TABLE (view text, rows bigint, differing bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        SELECT %1$L, count(v.*), count(*) FILTER (WHERE
                   v.kpi IS NULL OR e.kpi IS NULL OR round(v.value, 10) IS DISTINCT FROM round(e.value, 10)
                   OR v.facts <> e.facts OR v.period <> kpi.period_name(v.period_start, %4$L)
                   OR v.period_end <> kpi.period_end(v.period_start, %4$L)
                   OR v.is_current <> ('2026-11-20' BETWEEN v.period_start AND v.period_end)
                   OR v.grain <> %4$L OR v.scope <> %3$L OR NOT v.is_complete)
          FROM (SELECT * FROM kpi.%1$I WHERE kpi LIKE 'v\_%%') v
          FULL JOIN view_test.expected(%3$L, %4$L) e ON e.kpi = v.kpi AND e.scope = v.%2$I AND e.start = v.period_start
        $q$, level || '_' || suffix, level, level, grain);
END
$$;
SELECT d.* FROM (VALUES ('team'), ('member')) l(level),
       (VALUES (1, 'daily', 'day'), (2, 'weekly', 'week'), (3, 'monthly', 'month'), (4, 'quarterly', 'quarter'), (5, 'yearly', 'year')) g(n, suffix, grain),
       view_test.differences(level, suffix, grain) d ORDER BY level DESC, n;

-- the same after changes of facts, of a member and of the tree
UPDATE view_test.deals SET amount = amount + 7, owner_id = (owner_id + 1) % 7 WHERE id % 10 = 3;
DELETE FROM view_test.deals WHERE id % 50 = 9;
INSERT INTO view_test.deals VALUES (5000, 3, 'won', 12345.67, 'p1', '2026-11-01 10:00Z', '2026-11-02 10:00Z');
CALL kpi.refresh('view_deals');
SELECT d.* FROM (VALUES ('team'), ('member')) l(level),
       (VALUES (1, 'daily', 'day'), (2, 'weekly', 'week'), (3, 'monthly', 'month'), (4, 'quarterly', 'quarter'), (5, 'yearly', 'year')) g(n, suffix, grain),
       view_test.differences(level, suffix, grain) d ORDER BY level DESC, n;
SELECT * FROM kpi.verify('view_deals');

-- comparisons with other periods, by hand: every row of every view
CREATE FUNCTION view_test.wrong_comparisons(level text, suffix text, grain text, step interval, year interval)
RETURNS TABLE (view text, with_previous bigint, with_year_ago bigint, wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        WITH v AS MATERIALIZED (SELECT * FROM kpi.%1$I WHERE kpi LIKE 'v\_%%'),
             e AS MATERIALIZED (SELECT * FROM view_test.expected(%2$L, %3$L))
        SELECT %1$L, count(v.previous_value), count(v.year_ago_value),
               count(*) FILTER (WHERE round(v.previous_value, 10) IS DISTINCT FROM round(p.value, 10)
                                   OR round(v.year_ago_value, 10) IS DISTINCT FROM round(y.value, 10)
                                   OR NOT v.is_current AND round((v.value - p.value) / nullif(abs(p.value), 0), 6) IS DISTINCT FROM v.growth_ratio
                                   OR v.is_current AND round((v.value_to_date - v.previous_value_to_date) / nullif(abs(v.previous_value_to_date), 0), 6) IS DISTINCT FROM v.growth_ratio
                                   OR round((v.value - y.value) / nullif(abs(y.value), 0), 6) IS DISTINCT FROM v.yoy_growth_ratio
                                   OR NOT v.is_current AND v.previous_value_to_date IS NOT NULL)
          FROM v
          LEFT JOIN e p ON p.kpi = v.kpi AND p.scope = v.%2$I AND p.start = (v.period_start - %4$L::interval)::date
          LEFT JOIN e y ON y.kpi = v.kpi AND y.scope = v.%2$I AND y.start = (v.period_start - %5$L::interval)::date
        $q$, level || '_' || suffix, level, grain, step, year);
END
$$;
SELECT d.* FROM (VALUES ('team'), ('member')) l(level),
       (VALUES (1, 'daily', 'day', '1 day', '1 year'), (2, 'weekly', 'week', '7 days', '364 days'), (3, 'monthly', 'month', '1 month', '1 year'),
               (4, 'quarterly', 'quarter', '3 months', '1 year'), (5, 'yearly', 'year', '1 year', '1 year')) g(n, suffix, grain, step, year),
       view_test.wrong_comparisons(level, suffix, grain, step::interval, year::interval) d ORDER BY level DESC, n;
-- 20 November is the 20th day of its month, the 51st of its quarter, the 5th of its week
SELECT suffix, v.previous_value_to_date AS to_date, e.value AS expected
  FROM (SELECT 'month' AS suffix, previous_value_to_date FROM kpi.team_monthly WHERE kpi = 'v_revenue' AND team = 'emea' AND is_current
        UNION ALL SELECT 'quarter', previous_value_to_date FROM kpi.team_quarterly WHERE kpi = 'v_revenue' AND team = 'emea' AND is_current) v
  JOIN (SELECT 'month' AS suffix, sum(num) AS value FROM view_test.fact WHERE kpi = 'v_revenue' AND team = 'emea' AND day BETWEEN '2026-10-01' AND '2026-10-20'
        UNION ALL SELECT 'quarter', sum(num) FROM view_test.fact WHERE kpi = 'v_revenue' AND team = 'emea' AND day BETWEEN '2026-07-01' AND '2026-08-20') e USING (suffix)
 ORDER BY 1;
SELECT v.kpi, v.member, round(v.previous_value_to_date, 6) AS to_date, round(e.value, 6) AS expected
  FROM kpi.member_weekly v
  LEFT JOIN (SELECT kpi, member, sum(num) / coalesce(sum(den), 1) AS value FROM view_test.fact
              WHERE team = 'company' AND day BETWEEN '2026-11-09' AND '2026-11-13' GROUP BY kpi, member) e USING (kpi, member)
 WHERE v.is_current AND v.kpi IN ('v_revenue', 'v_rate') ORDER BY 1, 2;

-- names and places
SELECT DISTINCT team, team_name, team_path, team_level, parent_team FROM kpi.team_yearly WHERE kpi = 'v_won' ORDER BY 1;
SELECT DISTINCT member, member_name, period, team FROM kpi.member_yearly WHERE kpi = 'v_won' AND member IN ('1', '6') ORDER BY 1, 3;
SELECT DISTINCT member, team FROM kpi.member_daily WHERE kpi = 'v_created' AND member = '1' ORDER BY 2;
SELECT kpi.alter_team('dach', name => 'D-A-CH');
SELECT DISTINCT team_path FROM kpi.team_monthly WHERE kpi = 'v_won' AND team = 'dach';
SELECT c.relname, count(*) - count(DISTINCT v.id) AS double_ids
  FROM pg_class c, LATERAL (SELECT id FROM kpi.team_daily WHERE c.relname = 'team_daily'
                            UNION ALL SELECT id FROM kpi.member_daily WHERE c.relname = 'member_daily'
                            UNION ALL SELECT id FROM kpi.member_weekly WHERE c.relname = 'member_weekly') v
 WHERE c.relnamespace = 'kpi'::regnamespace GROUP BY 1 ORDER BY 1;

-- what is left out of the numbers is counted, and counted back
CREATE TABLE view_test.odd (id integer PRIMARY KEY, amount numeric, owner text, day date);
SELECT kpi.create_source('view_odd', relation => 'view_test.odd', key => 'id', owner => 'owner', at => 'day', filter => '100 / amount > 0') > 0 AS created;
SELECT kpi.create_kpi('o_sum', source => 'view_odd', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('o_inverse', source => 'view_odd', measure => 'sum(1 / (amount - 1))') > 0 AS created;
CREATE VIEW view_test.status AS
    SELECT source, status, facts_ignored, last_fact_error, nonfinite_inputs, pending_deltas > 0 AS pending FROM kpi.source_status WHERE source = 'view_odd';
INSERT INTO view_test.odd VALUES (1, 0, 'x', '2026-10-01'), (2, 1, 'x', '2026-10-01'), (3, 5, 'x', '2026-10-01'), (4, 'NaN', 'x', '2026-10-02');
CALL kpi.refresh('view_odd');
SELECT * FROM view_test.status;
INSERT INTO view_test.odd VALUES (11, 0, 'y', '2026-10-01'), (12, 1, NULL, '2026-11-01');
SELECT * FROM view_test.status;
CALL kpi.refresh('view_odd');
SELECT * FROM view_test.status;
SELECT kind, owner, facts, first_day, last_day FROM kpi.unassigned WHERE source = 'view_odd' ORDER BY owner;
DELETE FROM view_test.odd WHERE id IN (4, 11);
CALL kpi.refresh('view_odd');
SELECT * FROM view_test.status;
SELECT kpi, team, value FROM kpi.team_yearly WHERE kpi LIKE 'o\_%' ORDER BY 1, 2;
SELECT kpi.drop_source('view_odd', cascade => true);

-- conditions reach the indexes
CREATE FUNCTION view_test.scans(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line ~ 'Seq Scan on (kpi_value|day_cell|rollup_cell)' THEN RETURN NEXT btrim(line); END IF;
    END LOOP;
END
$$;
SET enable_seqscan = off;
SELECT view_test.scans($$SELECT * FROM kpi.team_monthly WHERE kpi = 'v_won' AND team = 'emea' AND period_start = '2026-10-01'$$);
SELECT view_test.scans($$SELECT * FROM kpi.team_daily WHERE kpi = 'v_won' AND team = 'emea' AND period_start = '2026-10-01'$$);
SELECT view_test.scans($$SELECT * FROM kpi.member_daily WHERE kpi = 'v_won' AND member = '1' AND period_start = '2026-10-01'$$);
RESET enable_seqscan;

-- every column that people read says what it is
SELECT c.relname, a.attname
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relnamespace = 'kpi'::regnamespace AND c.relkind = 'v' AND col_description(c.oid, a.attnum) IS NULL
 ORDER BY 1, 2;
SELECT relname FROM pg_class WHERE relnamespace = 'kpi'::regnamespace AND relkind = 'v' AND obj_description(oid) IS NULL;

SELECT kpi.drop_source('view_deals', cascade => true);
SELECT count(kpi.drop_member(key)) FROM kpi.member;
SELECT kpi.move_team('dach', parent => 'company');
SELECT count(kpi.drop_team(key)) FROM kpi.team WHERE id > 2;
SELECT (SELECT count(*) FROM kpi.kpi) AS kpis, (SELECT count(*) FROM kpi.team) AS teams, (SELECT count(*) FROM kpi.kpi_value) AS kpi_values;
DROP SCHEMA view_test CASCADE;
