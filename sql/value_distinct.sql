--
-- count(DISTINCT x): the union over teams and periods, after whatever has become of the facts and the people
--
CREATE SCHEMA ds;
SELECT kpi.create_team('ds_all') IS NOT NULL AND kpi.create_team('ds_a', parent => 'ds_all') IS NOT NULL AND
       kpi.create_team('ds_b', parent => 'ds_all') IS NOT NULL AS teams;
SELECT kpi.add_member('ds_' || m, team => CASE WHEN m < 4 THEN 'ds_a' ELSE 'ds_b' END) IS NOT NULL AS member FROM generate_series(1, 6) m;
CREATE TYPE ds.kind AS ENUM ('new', 'old', 'lost');
CREATE TABLE ds.visits (id int PRIMARY KEY, rep text, account int, name text, score numeric, kind ds.kind, active boolean, code uuid, day date, product text);
CREATE FUNCTION ds.visit(i int) RETURNS ds.visits LANGUAGE sql AS $$
    SELECT i, 'ds_' || 1 + i * 7 % 6, nullif(i * i % 61, 3), 'Account ' || i * i % 61,
           (ARRAY[1, 1.0, 1.00, 2.5, 2.50, NULL])[1 + i % 6], (ARRAY['new', 'old', 'lost'])[1 + i % 3]::ds.kind, i % 5 > 0,
           ('00000000-0000-0000-0000-' || lpad((i % 40)::text, 12, '0'))::uuid, '2026-01-20'::date + i % 100, 'p' || i % 4
$$;
INSERT INTO ds.visits SELECT (ds.visit(i)).* FROM generate_series(1, 1200) i;
SELECT kpi.create_source('ds_visits', relation => 'ds.visits', key => 'id', owner => 'rep', at => 'day', dimensions => '{"product": "product"}') > 0 AS source;
SELECT kpi.create_kpi(k, source => 'ds_visits', measure => m, filter => f) > 0 AS kpi
  FROM (VALUES ('ds_accounts', 'count(DISTINCT account)', NULL), ('ds_names', 'count(DISTINCT name)', $$kind <> 'lost'$$),
               ('ds_scores', 'count( distinct score )', NULL), ('ds_kinds', 'count(DISTINCT kind)', NULL), ('ds_active', 'count(DISTINCT active)', NULL),
               ('ds_codes', 'pg_catalog.count(DISTINCT code)', NULL), ('ds_days', 'count(DISTINCT day)', NULL), ('ds_reps', 'count(DISTINCT rep)', NULL),
               ('ds_visits', 'count(*)', NULL)) v (k, m, f);
SELECT kpi.create_kpi('ds_per_account', formula => 'ds_visits / ds_accounts') > 0 AS kpi;
SELECT name, measure, is_additive FROM kpi.kpi WHERE name LIKE 'ds\_%' ORDER BY name;
CALL kpi.refresh('ds_visits');

-- The same in plain SQL, by the memberships of the day of the fact.
CREATE VIEW ds.fact AS
SELECT v.*, k.kpi, k.x,
       (SELECT t.key FROM kpi.member m JOIN kpi.membership h ON h.member_id = m.id JOIN kpi.team t ON t.id = h.team_id
         WHERE m.key = v.rep AND (h.since IS NULL OR h.since <= v.day) AND (h.until IS NULL OR h.until > v.day)) AS own_team
  FROM ds.visits v,
       LATERAL (VALUES ('ds_accounts', account::text), ('ds_names', CASE WHEN kind <> 'lost' THEN name END), ('ds_scores', trim_scale(score)::text),
                       ('ds_kinds', kind::text), ('ds_active', active::text), ('ds_codes', code::text), ('ds_days', day::text), ('ds_reps', rep)) k (kpi, x);
CREATE VIEW ds.expected AS
SELECT f.kpi, t.team, p.grain, p.start, count(DISTINCT f.x) AS value, count(f.x) AS facts
  FROM ds.fact f,
       LATERAL (VALUES ('company'), ('ds_all'), (f.own_team)) t (team),
       LATERAL (SELECT g, date_trunc(g, f.day)::date FROM unnest('{day, week, month, quarter, year}'::text[]) g) p (grain, start)
 WHERE t.team = 'company' OR f.own_team IS NOT NULL
 GROUP BY 1, 2, 3, 4 HAVING count(f.x) > 0;
CREATE FUNCTION ds.check() RETURNS TABLE (what text, rows bigint, differing bigint) LANGUAGE sql AS $$
    SELECT 'teams', count(*), count(*) FILTER (WHERE e.value IS DISTINCT FROM a.value OR e.facts IS DISTINCT FROM a.facts)
      FROM ds.expected e
      FULL JOIN (SELECT k.name AS kpi, t.key AS team, v.grain, v.period_start AS start, v.value, v.facts
                   FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id JOIN kpi.team t ON t.id = v.team_id
                  WHERE k.name LIKE 'ds\_%' AND k.name NOT IN ('ds_visits', 'ds_per_account')
                    AND t.key IN ('company', 'ds_all', 'ds_a', 'ds_b') AND v.facts > 0) a USING (kpi, team, grain, start)
    UNION ALL
    SELECT 'members', count(*), count(*) FILTER (WHERE e.value IS DISTINCT FROM a.value)
      FROM (SELECT kpi, rep AS member, date_trunc('month', day)::date AS start, count(DISTINCT x) AS value FROM ds.fact
             WHERE rep IS NOT NULL GROUP BY 1, 2, 3 HAVING count(x) > 0) e
      FULL JOIN (SELECT kpi, member, period_start AS start, value FROM kpi.member_monthly
                  WHERE kpi LIKE 'ds\_%' AND kpi NOT IN ('ds_visits', 'ds_per_account') AND facts > 0) a USING (kpi, member, start)
    UNION ALL
    SELECT 'products', count(*), count(*) FILTER (WHERE e.value IS DISTINCT FROM a.value)
      FROM (SELECT kpi, coalesce(product, '-') AS product, date_trunc('quarter', day)::date AS start, count(DISTINCT x) AS value FROM ds.fact
             GROUP BY 1, 2, 3 HAVING count(x) > 0) e
      FULL JOIN (SELECT kpi, coalesce(nullif(dimension_value, '(none)'), '-') AS product, period_start AS start, value FROM kpi.team_breakdown_quarterly
                  WHERE kpi LIKE 'ds\_%' AND kpi NOT IN ('ds_visits', 'ds_per_account') AND team = 'company' AND facts > 0) a USING (kpi, product, start)
    UNION ALL
    SELECT 'verify', count(*), count(*) FROM kpi.verify('ds_visits')
$$;
SELECT grain, count(*) > 0 AS rows FROM kpi.kpi_value WHERE kpi_id = (SELECT id FROM kpi.kpi WHERE name = 'ds_accounts') GROUP BY grain ORDER BY grain;
SELECT * FROM ds.check();

-- No sum: neither of the teams, nor of the months, nor of the products
SELECT kpi.value('ds_accounts', team => 'ds_all', period => '2026-Q1') AS both,
       kpi.value('ds_accounts', team => 'ds_a', period => '2026-Q1') + kpi.value('ds_accounts', team => 'ds_b', period => '2026-Q1') AS sum_of_teams,
       (SELECT sum(value) FROM kpi.team_monthly WHERE kpi = 'ds_accounts' AND team = 'company' AND period LIKE '2026-0_' AND period < '2026-04') AS sum_of_months;
SELECT value, numerator, denominator, facts > 60 AS facts, previous_value FROM kpi.team_quarterly WHERE kpi = 'ds_accounts' AND team = 'company' AND period = '2026-Q2';
SELECT kpi.value('ds_accounts', period => '2027') AS nothing_is_no_value, kpi.value('ds_per_account', period => '2027') AS nor_by_nothing,
       kpi.value('ds_per_account', period => '2026') = round(1200 / (SELECT count(DISTINCT account) FROM ds.visits)::numeric, 10) AS formula;

-- corrections, deletions, late facts
UPDATE ds.visits SET account = account + 1 WHERE id % 10 = 0;
UPDATE ds.visits SET rep = 'ds_' || 1 + id % 6, day = day - 30 WHERE id % 17 = 0;
UPDATE ds.visits SET score = score * 1.00, name = upper(name), product = NULL WHERE id % 23 = 0;
DELETE FROM ds.visits WHERE account = 1 OR id % 29 = 0;
BEGIN;
INSERT INTO ds.visits SELECT (ds.visit(i)).* FROM generate_series(1201, 1260) i;
SAVEPOINT s;
UPDATE ds.visits SET account = id WHERE id > 1000;
ROLLBACK TO s;
UPDATE ds.visits SET account = id WHERE id > 1230;
COMMIT;
CALL kpi.refresh('ds_visits');
SELECT * FROM ds.check();
-- people and teams move, a team alone and backdated
SELECT kpi.move_member('ds_3', team => 'ds_b', since => '2026-02-11');
SELECT kpi.move_team('ds_b', parent => NULL, since => '2026-05-01');
SELECT kpi.move_team('ds_b', parent => 'ds_all', since => '2026-05-01');
CALL kpi.refresh('ds_visits');
SELECT * FROM ds.check();
-- who is nobody's counts for the company
UPDATE ds.visits SET rep = NULL WHERE id % 31 = 0;
CALL kpi.refresh('ds_visits');
SELECT * FROM ds.check();
-- built anew it is the same
SELECT kpi.alter_kpi('ds_names', filter => $$kind <> 'old'$$) IS NOT NULL AS altered, kpi.alter_kpi('ds_accounts', measure => 'count(DISTINCT (account + 0))') IS NOT NULL AS too;
CREATE OR REPLACE VIEW ds.fact AS
SELECT v.*, k.kpi, k.x,
       (SELECT t.key FROM kpi.member m JOIN kpi.membership h ON h.member_id = m.id JOIN kpi.team t ON t.id = h.team_id
         WHERE m.key = v.rep AND (h.since IS NULL OR h.since <= v.day) AND (h.until IS NULL OR h.until > v.day)) AS own_team
  FROM ds.visits v,
       LATERAL (VALUES ('ds_accounts', account::text), ('ds_names', CASE WHEN kind <> 'old' THEN name END), ('ds_scores', trim_scale(score)::text),
                       ('ds_kinds', kind::text), ('ds_active', active::text), ('ds_codes', code::text), ('ds_days', day::text), ('ds_reps', rep)) k (kpi, x);
CALL kpi.refresh('ds_visits');
SELECT * FROM ds.check();
-- what is wrong is found and mended: a cell that has a fact too many, and one that has forgotten
UPDATE kpi_internal.rollup_cell c
   SET cell = CASE c.start WHEN '2026-03-01' THEN kpi_internal.merge(c.cell, format('v1{%s:distinct facts=1 values=99*1}', m.id)::kpi.cell)
                           ELSE format('v1{%s:distinct facts=%s forgotten=1*1}', m.id, kpi_internal.cell_facts(c.cell, m.id))::kpi.cell END
  FROM kpi_internal.measure m JOIN kpi.kpi k ON m.role <> 'left_out' AND k.id = m.kpi_id
 WHERE m.stream_id = c.stream_id AND k.name = 'ds_accounts' AND c.grain = 2 AND c.scope_kind = 1 AND c.scope_id = 1 AND c.dim_id = 0
   AND c.start IN ('2026-03-01', '2026-04-01');
SELECT period, value IS NULL AS missing, facts > 200 AS facts FROM kpi.team_monthly
 WHERE kpi = 'ds_accounts' AND team = 'company' AND period IN ('2026-02', '2026-03', '2026-04') ORDER BY 1;
SELECT kpi.value('ds_accounts', period => '2026-Q2') IS NULL AS missing, kpi.value('ds_per_account', period => '2026-Q2') IS NULL AS and_so_the_formula;
SELECT severity, problem, object, detail, remedy FROM kpi.health() WHERE object LIKE 'KPI "ds\_%' ORDER BY object;
SELECT level, kpi, grain, period_start FROM kpi.verify('ds_visits') ORDER BY period_start;
SELECT kpi.repair('ds_visits');
SELECT * FROM ds.check();
SELECT count(*) AS problems FROM kpi.health() WHERE object LIKE 'KPI "ds\_%' AND problem <> 'left_out';
-- a goal on it: measured, but nothing is forecast
SELECT kpi.create_goal('ds_goal', kpi => 'ds_accounts', team => 'company', period => '2026', target => 100) > 0 AS goal;
SELECT actual = (SELECT count(DISTINCT account) FROM ds.visits WHERE day <= '2026-12-31') AS actual, target, forecast FROM kpi.goal_progress WHERE goal = 'ds_goal';
SELECT kpi.drop_goal('ds_goal');

-- What cannot be told apart by a text, and mistakes
\set ON_ERROR_STOP 0
SELECT kpi.create_kpi('ds_bad', source => 'ds_visits', measure => 'count(DISTINCT day::timestamp)');
SELECT kpi.create_kpi('ds_bad', source => 'ds_visits', measure => 'count(DISTINCT score::float8)');
SELECT kpi.create_kpi('ds_bad', source => 'ds_visits', measure => 'count(DISTINCT account, name)');
SELECT kpi.create_kpi('ds_bad', source => 'ds_visits', measure => 'count(DISTINCT *)');
SELECT kpi.create_kpi('ds_bad', source => 'ds_visits', measure => 'sum(DISTINCT score)');
\set ON_ERROR_STOP 1
SELECT kpi.drop_source('ds_visits', cascade => true);
DROP SCHEMA ds CASCADE;
SELECT kpi.drop_member('ds_' || m) FROM generate_series(1, 6) m;
SELECT kpi.drop_team('ds_a'), kpi.drop_team('ds_b'), kpi.drop_team('ds_all');
