-- Aggregates for any query: kpi.rate(), kpi.ratio(), kpi.percentile(), kpi.median().
CREATE TABLE adhoc AS
SELECT i AS id, i % 7 AS grp, i % 3 = 0 AS won, CASE WHEN i % 5 > 0 THEN i % 2 = 0 END AS closed,
       CASE WHEN i % 97 = 0 THEN 'NaN' WHEN i % 11 = 0 THEN NULL ELSE (i * 7919 % 10007)::numeric / 100 END AS x,
       (i % 50 + 1)::smallint AS y, i::bigint * 1000000007 AS large, (i % 1000 / 7.0)::float8 AS f, make_interval(secs => i * 7.5) AS d
  FROM generate_series(1, 4000) i;

-- No rows, or none that counts.
SELECT kpi.rate(won, closed) AS rate, kpi.ratio(x, y) AS ratio, kpi.percentile(0.9, x) AS percentile, kpi.median(x) AS median, kpi.median(d) AS duration
  FROM adhoc WHERE false;
SELECT kpi.rate(won, NULL) AS rate, kpi.ratio(NULL::int, NULL::int) AS ratio, kpi.percentile(0.9, NULL::int) AS percentile, kpi.median(NULL::interval) AS median FROM adhoc;
SELECT kpi.ratio(x, y - y) AS ratio FROM adhoc;

-- Against plain aggregates.
SELECT grp, kpi.rate(won, closed) = count(*) FILTER (WHERE won AND closed)::numeric / count(*) FILTER (WHERE closed) AS rate,
       round(kpi.ratio(x, y), 10) = round(sum(x) FILTER (WHERE x <> 'NaN') / sum(y) FILTER (WHERE x IS DISTINCT FROM 'NaN'), 10) AS ratio,
       round(kpi.ratio(large, f), 6) = round(sum(large) / sum(f::text::numeric), 6) AS types,
       abs(kpi.median(x) / percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FILTER (WHERE x <> 'NaN')::numeric - 1) <= 0.01 AS median,
       abs(kpi.percentile(0.9, large) / percentile_cont(0.9) WITHIN GROUP (ORDER BY large)::numeric - 1) <= 0.01 AS percentile,
       abs(extract(epoch FROM kpi.percentile(0.9, d)) / extract(epoch FROM percentile_cont(0.9) WITHIN GROUP (ORDER BY d)) - 1) <= 0.01 AS duration
  FROM adhoc GROUP BY grp ORDER BY grp;
SELECT kpi.median(d) AS median, kpi.percentile(1, d) AS most, kpi.percentile(0, y) AS least, kpi.median(DISTINCT y) AS different FROM adhoc;
-- to the same number as a cell's
SELECT kpi.rate(won, closed) = kpi_internal.cell_value(kpi_internal.cell_agg('1:rate', won, closed), 1) AS rate, kpi.ratio(x, f) = kpi_internal.cell_value(kpi_internal.cell_agg('1:ratio', x, f), 1) AS ratio,
       kpi.median(f) = kpi_internal.cell_value(kpi_internal.cell_agg('1:percentile', f), 1) AS median,
       kpi.percentile(0.9, x) = kpi_internal.cell_value(kpi_internal.cell_agg('1:percentile', x), 1, p => 0.9) AS percentile FROM adhoc;

-- A window's frame moves: what leaves it is taken away.
CREATE VIEW adhoc_windows AS
SELECT id, kpi.rate(won, closed) OVER w AS rate, kpi.ratio(x, f) OVER w AS ratio, kpi.median(x) OVER w AS median, kpi.percentile(0.75, d) OVER w AS duration
  FROM adhoc WHERE id <= 500 WINDOW w AS (ORDER BY id ROWS BETWEEN 20 PRECEDING AND 5 FOLLOWING);
SELECT count(*) AS rows, count(*) FILTER (WHERE (a.rate, a.ratio, a.median, a.duration) IS DISTINCT FROM (b.rate, b.ratio, b.median, b.duration)) AS differing
  FROM adhoc_windows a, LATERAL (SELECT kpi.rate(won, closed) AS rate, kpi.ratio(x, f) AS ratio, kpi.median(x) AS median, kpi.percentile(0.75, d) AS duration
                                   FROM adhoc WHERE id BETWEEN a.id - 20 AND least(a.id + 5, 500)) b;
SELECT count(*) AS moving FROM pg_aggregate WHERE aggfnoid::oid IN (SELECT oid FROM pg_proc WHERE pronamespace = 'kpi'::regnamespace AND proname IN ('rate', 'ratio', 'percentile', 'median')) AND aggminvtransfn <> 0;

-- Parallel workers.
SELECT kpi.rate(won, closed) AS rate, kpi.ratio(x, f) AS ratio, kpi.median(x) AS median, kpi.percentile(0.9, d) AS percentile FROM adhoc \gset
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
ALTER TABLE adhoc SET (parallel_workers = 2);
EXPLAIN (COSTS off) SELECT kpi.rate(won, closed), kpi.ratio(x, f), kpi.median(x), kpi.percentile(0.9, d) FROM adhoc;
SELECT kpi.rate(won, closed) = :rate AS rate, kpi.ratio(x, f) = :ratio AS ratio, kpi.median(x) = :median AS median, kpi.percentile(0.9, d) = :'percentile' AS percentile FROM adhoc;
RESET ALL;

-- Errors.
SELECT kpi.percentile(1.1, x) FROM adhoc;
SELECT kpi.percentile(-0.1, x) FROM adhoc;
SELECT kpi.percentile('NaN', x) FROM adhoc;
SELECT kpi.percentile(NULL, x) FROM adhoc;
SELECT kpi.percentile(id / 10000.0, x) FROM adhoc;
SELECT kpi.percentile(0.5, id::text) FROM adhoc;
SELECT kpi.median(won) FROM adhoc;
SELECT kpi.ratio(d, y) FROM adhoc;
SELECT kpi_internal.median_add(NULL, 1);
-- but p may differ from group to group
SELECT grp, kpi.percentile(grp / 6.0, id) AS percentile FROM adhoc GROUP BY grp ORDER BY grp;

-- Whoever may use the schema may use them, and nothing behind them.
CREATE ROLE regress_adhoc;
GRANT USAGE ON SCHEMA kpi TO regress_adhoc;
SET ROLE regress_adhoc;
SELECT kpi.rate(i % 2 = 0, true), kpi.ratio(i, 2), kpi.percentile(0.9, i), kpi.median(i), kpi.median(make_interval(secs => i)) FROM generate_series(1, 9) i;
SELECT kpi.median(i) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM generate_series(1, 3) i;
RESET ROLE;
DROP OWNED BY regress_adhoc;
DROP ROLE regress_adhoc;
-- none is named like one of PostgreSQL's
SELECT proname FROM pg_proc p WHERE pronamespace = 'kpi'::regnamespace AND prokind = 'a' AND EXISTS (SELECT FROM pg_proc q WHERE q.pronamespace = 'pg_catalog'::regnamespace AND q.proname = p.proname);
DROP VIEW adhoc_windows;
DROP TABLE adhoc;
