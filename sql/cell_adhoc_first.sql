-- Aggregates for any query: kpi.first() and kpi.last().
SET DateStyle = 'ISO';
SET TimeZone = 'UTC';
CREATE TABLE ends AS
SELECT i AS id, i % 7 AS grp, CASE WHEN i % 11 = 0 THEN NULL ELSE (i * 7919 % 10007)::numeric / 100 END AS x, 'value ' || repeat('x', i % 90) || i AS txt,
       CASE WHEN i % 13 > 0 THEN timestamptz '2026-01-01 00:00+00' + (i * 31 % 997) * interval '1 hour' END AS at, (i * 17 % 1009) AS n
  FROM generate_series(1, 4000) i;

-- No rows, or none that counts.
SELECT kpi.first(x, at) AS first, kpi.last(txt, at) AS last FROM ends WHERE false;
SELECT kpi.first(x, at) AS first, kpi.last(x, at) AS last FROM ends WHERE x IS NULL OR at IS NULL;

-- Against plain SQL; of several rows at one time the least value is the first, the greatest the last, or the key decides.
SELECT grp,
       kpi.first(x, at) = (array_agg(x ORDER BY at, x) FILTER (WHERE x IS NOT NULL AND at IS NOT NULL))[1] AS first,
       kpi.last(x, at) = (array_agg(x ORDER BY at DESC, x DESC) FILTER (WHERE x IS NOT NULL AND at IS NOT NULL))[1] AS last,
       kpi.first(txt, at) = (array_agg(txt ORDER BY at, txt) FILTER (WHERE at IS NOT NULL))[1] AS text,
       kpi.last(txt, (at, id)) FILTER (WHERE at IS NOT NULL) = (array_agg(txt ORDER BY at DESC, id DESC) FILTER (WHERE at IS NOT NULL))[1] AS by_key,
       kpi.last(x, at::date) = (array_agg(x ORDER BY at::date DESC, x DESC) FILTER (WHERE x IS NOT NULL AND at IS NOT NULL))[1] AS day,
       (kpi.first(ARRAY[x, n], n))[1] = (array_agg(x ORDER BY n, x))[1] AS by_number
  FROM ends GROUP BY grp ORDER BY grp;
SELECT pg_typeof(kpi.first(at, n)) AS at, pg_typeof(kpi.last(id, at)) AS id, pg_typeof(kpi.last(e, at)) AS row FROM ends e;
-- Values without an order are any of those at that time.
SELECT kpi.last(json_build_object('id', id), id)::text AS last, kpi.first(point(id, 1), id)::text AS first FROM ends;

-- A moving frame.
SELECT count(*) AS rows, count(*) FILTER (WHERE f <> greatest(id - 3, 1) OR l <> least(id + 2, 99)) AS wrong
  FROM (SELECT id, kpi.first(id, id) OVER w AS f, kpi.last(id, id) OVER w AS l
          FROM ends WHERE id < 100 WINDOW w AS (ORDER BY id ROWS BETWEEN 3 PRECEDING AND 2 FOLLOWING)) v;

-- Parallel workers.
SELECT kpi.first(x, at) AS first, kpi.last(txt, at) AS last, kpi.last(x, (at, id)) AS by_key FROM ends \gset
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
ALTER TABLE ends SET (parallel_workers = 2);
EXPLAIN (COSTS off) SELECT kpi.first(x, at), kpi.last(txt, at), kpi.last(x, (at, id)) FROM ends;
SELECT kpi.first(x, at) = :first AS first, kpi.last(txt, at) = :'last' AS last, kpi.last(x, (at, id)) = :by_key AS by_key FROM ends;
SELECT kpi.first(x, at) IS NULL AS nothing FROM ends WHERE x IS NULL;
-- Partitions, whose states are always merged.
CREATE TABLE ends_parts (LIKE ends) PARTITION BY HASH (id);
CREATE TABLE ends_parts_1 PARTITION OF ends_parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE ends_parts_2 PARTITION OF ends_parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO ends_parts SELECT * FROM ends;
SET max_parallel_workers_per_gather = 0; SET enable_partitionwise_aggregate = on;
EXPLAIN (COSTS off) SELECT kpi.first(x, at), kpi.last(txt, at), kpi.last(x, (at, id)) FROM ends_parts;
SELECT kpi.first(x, at) = :first AS first, kpi.last(txt, at) = :'last' AS last, kpi.last(x, (at, id)) = :by_key AS by_key FROM ends_parts;
RESET ALL;

-- Errors.
SELECT kpi.first(x, point(n, n)) FROM ends;
SELECT kpi.last(x, '2026-01-01') FROM ends;
SELECT kpi.last(x) FROM ends;

-- The number of the KPI: with the key of the source.
CREATE TABLE ends_deals AS SELECT id, x AS amount, at FROM ends WHERE at IS NOT NULL;
SELECT kpi.create_source('ends', relation => 'public.ends_deals', key => 'id', at => 'at') > 0 AS made;
SELECT count(kpi.create_kpi('ends_' || m, source => 'ends', measure => m || '(amount)')) AS made FROM unnest(ARRAY['first', 'last']) m;
CALL kpi.refresh('ends');
SELECT v.kpi, v.period_start, v.value = CASE v.kpi WHEN 'ends_first' THEN d.first ELSE d.last END AS same
  FROM kpi.team_monthly v
  JOIN (SELECT date_trunc('month', at AT TIME ZONE 'UTC')::date AS period_start, kpi.first(amount, (at, id)) AS first, kpi.last(amount, (at, id)) AS last
          FROM ends_deals GROUP BY 1) d USING (period_start)
 WHERE v.kpi LIKE 'ends\_%' AND v.team = 'company' ORDER BY 1, 2;
SELECT kpi.drop_source('ends', cascade => true);
DROP TABLE ends, ends_parts, ends_deals;
