-- How the views are read: conditions reach the index of the cells, whatever
-- they look like; a column that is not selected is not computed; ORDER BY and
-- LIMIT come before the dear columns; and a parallel plan gives the same rows.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET jit = off;
SET kpi.now = '2026-06-15 12:00+00';
CREATE SCHEMA plan_test;
CREATE TABLE plan_test.deals (id integer PRIMARY KEY, owner text, amount numeric, product text, opened_on date, closed_on date);
CREATE TABLE plan_test.costs (id integer PRIMARY KEY, team text, cost numeric, day date);
INSERT INTO plan_test.deals
SELECT g, 'm' || g % 300, g % 1000, 'p' || g % 3, date '2024-07-01' + g % 730 - 10 * (g % 3), date '2024-07-01' + g % 730 FROM generate_series(1, 40000) g;
INSERT INTO plan_test.costs SELECT t * 730 + d, 't' || t, d % 100, date '2024-07-01' + d FROM generate_series(0, 39) t, generate_series(0, 729) d;
SELECT count(kpi.create_team('t' || g, parent => CASE WHEN g < 3 THEN 'company' ELSE 't' || g % 3 END)) FROM generate_series(0, 39) g;
SELECT count(kpi.add_member('m' || g, team => 't' || g % 40)) FROM generate_series(0, 299) g;
SELECT kpi.create_source('plan_deals', relation => 'plan_test.deals', key => 'id', owner => 'owner', at => 'closed_on', dimensions => '{"product": "product"}') > 0 AS source;
SELECT kpi.create_source('plan_costs', relation => 'plan_test.costs', key => 'id', team => 'team', at => 'day') > 0 AS source;
SELECT count(kpi.create_kpi(name, source => source, measure => measure, at => at))
  FROM (VALUES ('plan_sum', 'plan_deals', 'sum(amount)', NULL), ('plan_count', 'plan_deals', 'count(*)', NULL), ('plan_avg', 'plan_deals', 'avg(amount)', NULL),
               ('plan_opened', 'plan_deals', 'count(*)', 'opened_on'), ('plan_cost', 'plan_costs', 'sum(cost)', NULL)) k (name, source, measure, at);
SELECT kpi.create_kpi('plan_mean', formula => 'plan_sum / plan_count') > 0 AS formula;
SELECT kpi.create_kpi('plan_cac', formula => 'plan_cost / plan_opened') > 0 AS formula;
CALL kpi.refresh();
VACUUM ANALYZE;

-- What the execution of a statement does: rows; blocks of shared buffers,
-- those of its planning apart; and whether it reads all cells.
CREATE FUNCTION plan_test.look(statement text, OUT rows bigint, OUT buffers bigint, OUT scans text) LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    -- caches are warm the second time
    FOR i IN 1 .. 2 LOOP
        EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT json) ' || statement INTO plan;
    END LOOP;
    plan := plan -> 0 -> 'Plan';
    rows := plan ->> 'Actual Rows';
    buffers := (plan ->> 'Shared Hit Blocks')::bigint + (plan ->> 'Shared Read Blocks')::bigint;
    SELECT string_agg(DISTINCT n ->> 'Relation Name', ' ') INTO scans
      FROM jsonb_path_query(plan, '$.** ? (@."Node Type" == "Seq Scan")') n
     WHERE n ->> 'Relation Name' IN ('rollup_cell', 'day_cell', 'delta');
END
$$;

-- the views, and a place that each has
CREATE TABLE plan_test.grains AS
SELECT * FROM (VALUES (1, 'daily', 'day', date '2026-05-05'), (2, 'weekly', 'week', '2026-05-04'), (3, 'monthly', 'month', '2026-05-01'),
                      (4, 'quarterly', 'quarter', '2026-04-01'), (5, 'yearly', 'year', '2026-01-01')) g (n, suffix, grain, period_start);
CREATE TABLE plan_test.views AS
SELECT row_number() OVER () AS n, v.level, v.view, k.kpi, v.period_start, v.extra, v.has_names
  FROM (SELECT 1 AS kind, g.n, level, level || '_' || suffix AS view, period_start, '' AS extra, true AS has_names
          FROM unnest('{team, member}'::text[]) level, plan_test.grains g
        UNION ALL
        SELECT 2, g.n, level, 'kpi_value', period_start, format('AND v.grain = %L', grain), false
          FROM unnest('{team, member}'::text[]) level, plan_test.grains g WHERE level = 'team' OR g.n > 1
        UNION ALL
        SELECT 3, g.n, 'team', 'team_breakdown_' || suffix, period_start, $$AND v.dimension = 'product' AND v.dimension_value = 'p1'$$, true
          FROM plan_test.grains g WHERE g.n > 2
        UNION ALL
        SELECT 4, g.n, 'team', 'kpi_breakdown', period_start, format($$AND v.grain = %L AND v.dimension = 'product' AND v.dimension_value = 'p1'$$, grain), false
          FROM plan_test.grains g WHERE g.n > 2
         ORDER BY 1, 3 DESC, 2) v,
       unnest('{plan_sum, plan_mean, plan_cac}'::text[]) k (kpi)
 WHERE v.kind < 3 OR k.kpi <> 'plan_cac';
CREATE FUNCTION plan_test.id_of(kind text, key text) RETURNS integer LANGUAGE sql STABLE AS $$
SELECT CASE kind WHEN 'kpi' THEN (SELECT id FROM kpi.kpi WHERE name = key) WHEN 'team' THEN (SELECT id FROM kpi.team t WHERE t.key = id_of.key)
                 ELSE (SELECT id FROM kpi.member m WHERE m.key = id_of.key) END
$$;
CREATE FUNCTION plan_test.scope(level text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT CASE level WHEN 'team' THEN 't3' ELSE 'm3' END $$;
CREATE TABLE plan_test.wanted (kpi text, team text, member text, kpi_id integer, team_id integer, member_id integer, period_start date);
INSERT INTO plan_test.wanted
SELECT DISTINCT kpi, CASE level WHEN 'team' THEN plan_test.scope(level) END, CASE level WHEN 'member' THEN plan_test.scope(level) END, plan_test.id_of('kpi', kpi),
       CASE level WHEN 'team' THEN plan_test.id_of(level, plan_test.scope(level)) END, CASE level WHEN 'member' THEN plan_test.id_of(level, plan_test.scope(level)) END, period_start
  FROM plan_test.views;
ANALYZE plan_test.wanted;

-- One place, said in each way: constants, parameters of a generic plan, a join
-- with a small table; by names and by ids.  Selected are the value alone, or all
-- columns (ten of them derived).
CREATE FUNCTION plan_test.statement(v plan_test.views, way text, named boolean, columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    kpi_column text := CASE WHEN named THEN 'kpi' ELSE 'kpi_id' END;
    scope_column text := v.level || CASE WHEN named THEN '' ELSE '_id' END;
    kpi_value text := CASE WHEN named THEN quote_literal(v.kpi) ELSE plan_test.id_of('kpi', v.kpi)::text END;
    scope_value text := CASE WHEN named THEN quote_literal(plan_test.scope(v.level)) ELSE plan_test.id_of(v.level, plan_test.scope(v.level))::text END;
    type text := CASE WHEN named THEN 'text' ELSE 'integer' END;
BEGIN
    IF way = 'constant' THEN
        RETURN format('SELECT %s FROM kpi.%I v WHERE v.%I = %s AND v.%I = %s AND v.period_start = %L %s', columns, v.view, kpi_column, kpi_value,
                      scope_column, scope_value, v.period_start, v.extra);
    ELSIF way = 'join' THEN
        RETURN format('SELECT %1$s FROM plan_test.wanted w JOIN kpi.%2$I v ON v.%3$I = w.%3$I AND v.%4$I = w.%4$I AND v.period_start = w.period_start %5$s'
                      ' WHERE w.%3$I = %6$s AND w.period_start = %7$L', columns, v.view, kpi_column, scope_column, v.extra, kpi_value, v.period_start);
    END IF;
    EXECUTE format('PREPARE place (%s, %s, date) AS SELECT %s FROM kpi.%I v WHERE v.%I = $1 AND v.%I = $2 AND v.period_start = $3 %s', type, type, columns,
                   v.view, kpi_column, scope_column, v.extra);
    RETURN format('EXECUTE place (%s, %s, %L)', kpi_value, scope_value, v.period_start);
END
$$;
CREATE FUNCTION plan_test.look_all(derived integer, columns text)
RETURNS TABLE (view text, kpi text, way text, said_by text, rows bigint, buffers bigint, scans text) LANGUAGE plpgsql AS $$
DECLARE
    v plan_test.views;
    named boolean;
BEGIN
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);
    FOR v IN SELECT * FROM plan_test.views ORDER BY n LOOP
        FOREACH way IN ARRAY '{constant, generic plan, join}'::text[] LOOP
            FOREACH named IN ARRAY CASE WHEN v.has_names THEN '{t, f}' ELSE '{f}' END::boolean[] LOOP
                view := v.view;
                kpi := v.kpi;
                said_by := CASE WHEN named THEN 'name' ELSE 'id' END;
                SELECT l.* INTO rows, buffers, scans FROM plan_test.look(plan_test.statement(v, way, named, columns)) l;
                IF way = 'generic plan' THEN
                    DEALLOCATE place;
                END IF;
                -- a join reads its own table as well; a plan with parameters looks for balances, too
                IF rows <> 1 OR scans IS NOT NULL OR buffers > 25 + 10 * derived + (CASE way WHEN 'join' THEN 10 WHEN 'generic plan' THEN 45 ELSE 0 END) THEN
                    RETURN NEXT;
                END IF;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
SELECT count(DISTINCT view) AS views, count(*) AS places FROM plan_test.views;
-- the failures: none
SELECT * FROM plan_test.look_all(1, 'v.period, v.value');
SELECT * FROM plan_test.look_all(10, 'v.*');

-- what dashboards ask: a KPI and a month of all teams; a team's months since a day; all months of some KPIs
CREATE FUNCTION plan_test.look_at(view text, condition text) RETURNS TABLE (rows bigint, within_buffers text, scans text) LANGUAGE sql AS $$
-- days of members: the planner may read those of their stream, as it knows the owners of a member last
SELECT l.rows, CASE WHEN l.buffers <= 20 + (CASE WHEN view = 'member_daily' THEN 50 ELSE 10 END) * l.rows THEN 'yes' ELSE 'no: ' || l.buffers END, l.scans
  FROM plan_test.look(format('SELECT kpi, period, value FROM kpi.%I WHERE %s', view, condition)) l
$$;
SELECT * FROM plan_test.look_at('team_monthly', $$kpi = 'plan_sum' AND period_start = '2026-05-01'$$);
SELECT * FROM plan_test.look_at('team_monthly', $$kpi = 'plan_cac' AND period_start = '2026-05-01'$$);
SELECT * FROM plan_test.look_at('team_monthly', $$kpi = 'plan_sum' AND team = 't3' AND period_start >= '2026-01-01'$$);
SELECT * FROM plan_test.look_at('team_daily', $$kpi = 'plan_sum' AND team = 't3' AND period_start BETWEEN '2026-05-01' AND '2026-05-31'$$);
SELECT * FROM plan_test.look_at('team_weekly', $$kpi IN ('plan_sum', 'plan_avg') AND team = 't3' AND period_start > '2026-03-01'$$);
SELECT * FROM plan_test.look_at('member_weekly', $$kpi = 'plan_sum' AND member = 'm3' AND period_start > '2026-03-01'$$);
SELECT * FROM plan_test.look_at('member_daily', $$kpi = 'plan_sum' AND member = 'm3' AND period_start > '2026-03-01'$$);
SELECT * FROM plan_test.look_at('member_monthly', $$kpi = 'plan_mean' AND member = 'm3'$$);

-- Calls of the functions behind the columns (those of one transaction), without
-- those for each row that there is: whether it has a value, the value to order by,
-- and what is as cheap as a name.
CREATE TABLE plan_test.calls_before (name text, calls bigint);
CREATE FUNCTION plan_test.calls(query text) RETURNS TABLE (name text, calls bigint) LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM plan_test.calls_before;
    INSERT INTO plan_test.calls_before SELECT funcname, f.calls FROM pg_stat_xact_user_functions f WHERE schemaname = 'kpi_internal';
    EXECUTE query;
    RETURN QUERY
    SELECT f.funcname::text, f.calls - coalesce(b.calls, 0)
      FROM pg_stat_xact_user_functions f LEFT JOIN plan_test.calls_before b ON b.name = f.funcname
     WHERE f.schemaname = 'kpi_internal' AND f.calls > coalesce(b.calls, 0) AND f.funcname NOT IN ('has_value', 'capture_works')
       AND (query NOT LIKE '% LIMIT %' OR (SELECT max(p.procost) FROM pg_proc p WHERE p.oid = f.funcid) >= 100 AND f.funcname <> 'value')
     ORDER BY 1;
END
$$;
SET track_functions = 'all';
-- for ten rows only
SELECT count(*) > 10 AS more FROM kpi.team_monthly WHERE kpi = 'plan_sum' AND period_start >= '2025-01-01';
SELECT * FROM plan_test.calls($$SELECT * FROM kpi.team_monthly WHERE kpi = 'plan_sum' AND period_start >= '2025-01-01' ORDER BY value DESC LIMIT 10$$);
SELECT * FROM plan_test.calls($$SELECT * FROM kpi.team_daily WHERE kpi = 'plan_cac' AND team = 't3' ORDER BY value DESC LIMIT 10$$);
-- the first of them in the order of the index, without ORDER BY
SELECT * FROM plan_test.calls($$SELECT * FROM kpi.member_monthly WHERE kpi = 'plan_sum' LIMIT 10$$);
-- not selected, not computed
SELECT * FROM plan_test.calls($$SELECT team, period_start FROM kpi.team_monthly WHERE kpi = 'plan_sum' AND team = 't3' AND period_start = '2026-05-01'$$);
SELECT * FROM plan_test.calls($$SELECT value FROM kpi.team_monthly WHERE kpi = 'plan_sum' AND team = 't3' AND period_start = '2026-05-01'$$);
SELECT * FROM plan_test.calls($$SELECT growth_ratio FROM kpi.team_monthly WHERE kpi = 'plan_sum' AND team = 't3' AND period_start = '2026-05-01'$$);
SELECT * FROM plan_test.calls($$SELECT team FROM kpi.team_breakdown_monthly WHERE kpi = 'plan_sum' AND team = 't3' AND period_start = '2026-05-01'$$);
RESET track_functions;

-- What the planner knows of the functions: dear, and safe in parallel.
SELECT p.proname, p.procost, p.proparallel, p.provolatile FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE l.lanname = 'c' AND (p.pronamespace = 'kpi_internal'::regnamespace AND p.proname ~ '^(value|has_value|previous_|year_ago_|growth_|yoy_|numerator|denominator|facts$)'
                            OR p.pronamespace = 'kpi'::regnamespace AND p.proname = 'value')
 ORDER BY 1, 2;

-- The same rows from parallel plans: all of it in a worker, and the scans of
-- cells in several.
CREATE FUNCTION plan_test.parallel(view text, since date) RETURNS TABLE (name text, rows bigint, in_worker boolean, scans boolean, differing bigint) LANGUAGE plpgsql AS $$
DECLARE
    -- (names of periods, and teams of members, are subqueries, which stay with the leader)
    columns text := (SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = format('kpi.%I', view)::regclass AND attnum > 0 AND attname <> 'period'
                       AND (view NOT LIKE 'member%' OR attname NOT IN ('team_id', 'team')));
    query text := format('SELECT %s FROM kpi.%I v WHERE kpi_id IN (SELECT id FROM kpi.kpi WHERE name IN (''plan_sum'', ''plan_mean'', ''plan_cac''))'
                         ' AND period_start >= %L', columns, view, since);
    forced text := (SELECT s.name FROM pg_settings s WHERE s.name IN ('force_parallel_mode', 'debug_parallel_query'));
    plan jsonb;
BEGIN
    name := view;
    PERFORM set_config('max_parallel_workers_per_gather', '0', true);
    EXECUTE 'CREATE TEMP TABLE serial_rows AS ' || query;
    PERFORM set_config('max_parallel_workers_per_gather', '2', true), set_config('parallel_setup_cost', '1000000', true), set_config(forced, 'on', true);
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    in_worker := plan -> 0 -> 'Plan' ->> 'Node Type' = 'Gather';
    EXECUTE 'CREATE TEMP TABLE worker_rows AS ' || query;
    PERFORM set_config(forced, 'off', true), set_config('parallel_setup_cost', '1', true), set_config('parallel_tuple_cost', '0', true),
            set_config('min_parallel_table_scan_size', '0', true), set_config('min_parallel_index_scan_size', '0', true);
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    scans := plan::text ~ '"Gather';
    EXECUTE 'CREATE TEMP TABLE scan_rows AS ' || query;
    SELECT count(*) INTO rows FROM serial_rows;
    SELECT count(*) INTO differing
      FROM ((TABLE serial_rows EXCEPT ALL TABLE worker_rows) UNION ALL (TABLE worker_rows EXCEPT ALL TABLE serial_rows)
            UNION ALL (TABLE serial_rows EXCEPT ALL TABLE scan_rows) UNION ALL (TABLE scan_rows EXCEPT ALL TABLE serial_rows)) d;
    RETURN NEXT;
    DROP TABLE serial_rows, worker_rows, scan_rows;
END
$$;
-- (of a month and longer periods)
SELECT p.* FROM (SELECT view, min(n) AS n FROM plan_test.views GROUP BY view) v,
       plan_test.parallel(view, CASE WHEN view ~ '(week|month|quarter|year)ly' THEN date '2026-01-01' ELSE '2026-05-01' END) p ORDER BY v.n;

SELECT kpi.drop_kpi('plan_mean'), kpi.drop_kpi('plan_cac');
SELECT kpi.drop_source('plan_deals', cascade => true), kpi.drop_source('plan_costs', cascade => true);
SELECT count(kpi.drop_member(key)) FROM kpi.member;
SELECT count(kpi.drop_team(key)) FROM (SELECT key FROM kpi.team WHERE id > 2 ORDER BY id DESC) t;
DROP SCHEMA plan_test CASCADE;
