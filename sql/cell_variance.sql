-- The kinds variance and stddev: as PostgreSQL's of numeric, and exact under deletions.
SET search_path = public, kpi, kpi_internal;
SELECT kpi_internal.cell_agg('1:variance,2:stddev', x, x) FROM unnest('{1, 2.5, NULL, NaN, Infinity, 4}'::numeric[]) x;
SELECT kpi_internal.cell_final(kpi_internal.cell_agg('1:variance', x), 1) AS variance, kpi_internal.cell_final(kpi_internal.cell_agg('1:stddev', x), 1) AS stddev FROM unnest('{1, 2.5, NULL, NaN, 4}'::numeric[]) x;
-- fewer than two
SELECT kpi_internal.cell_final(kpi_internal.cell_agg('1:variance', x), 1) AS variance, kpi_internal.cell_final(kpi_internal.cell_agg('1:stddev', x), 1) AS stddev FROM unnest('{1, NaN}'::numeric[]) x;
SELECT kpi_internal.cell_value(kpi_internal.cell_agg('1:stddev', x), 1) AS stddev FROM unnest('{7, 7}'::int[]) x;
SELECT kpi_internal.cell_value('v1{}', 1);

CREATE TABLE variance_fact AS
SELECT i AS id, i % 17 AS grp, CASE WHEN i % 101 = 0 THEN 'NaN' WHEN i % 7 = 0 THEN NULL ELSE (i * 7919 % 10007 - 3000)::numeric / 100 END AS x,
       1e9 + i % 3 AS large, ('1e' || i % 40)::numeric + 0.000000000000001 AS wide, (i % 1000 / 7.0)::float8 AS f, i::smallint AS small
  FROM generate_series(1, 3000) i;
SELECT name, count(*) AS groups, count(*) FILTER (WHERE round(kpi, 6) IS DISTINCT FROM round(plain, 6)) AS differing
  FROM (SELECT grp, kpi_internal.cell_agg('1:variance,2:stddev,3:stddev,4:stddev,5:variance,6:stddev', x, x, large, wide, f, small) AS cell,
               variance(x) FILTER (WHERE x <> 'NaN') AS v1, stddev(x) FILTER (WHERE x <> 'NaN') AS v2, stddev(large) AS v3, stddev(wide) AS v4,
               variance(f::text::numeric) AS v5, stddev(small) AS v6
          FROM variance_fact GROUP BY grp) g,
       LATERAL (VALUES ('variance', kpi_internal.cell_value(cell, 1), v1), ('stddev', kpi_internal.cell_value(cell, 2), v2), ('large', kpi_internal.cell_value(cell, 3), v3),
                       ('wide', kpi_internal.cell_value(cell, 4), v4), ('float', kpi_internal.cell_value(cell, 5), v5), ('small', kpi_internal.cell_value(cell, 6), v6)) v (name, kpi, plain)
 GROUP BY name ORDER BY name;
-- the group
WITH c AS (SELECT kpi_internal.cell_agg('1:variance,2:stddev,3:stddev', x, wide, f) AS whole,
                  kpi_internal.cell_agg('1:variance,2:stddev,3:stddev', x, wide, f) FILTER (WHERE id % 3 = 0) AS part,
                  kpi_internal.cell_agg('1:variance,2:stddev,3:stddev', x, wide, f) FILTER (WHERE id % 3 > 0) AS other FROM variance_fact)
SELECT whole - part = other AS minus, (whole - part)::text = other::text AS to_the_byte, part + other = whole AS plus, kpi_internal.is_empty(whole - part - other) AS nothing_left,
       whole::text::kpi.cell = whole AS text FROM c;
-- a square is not to have more digits than a sum
SELECT kpi_internal.cell_final(kpi_internal.cell_agg('1:stddev', x), 1) IS NOT NULL AS some, (kpi_internal.cell_final(kpi_internal.cell_agg('1:stddev', x), 1)).nonfinite
  FROM unnest(ARRAY[1e499, 1e500, -1e999, 1e1001, 5]) x;
-- in other units
SELECT kpi_internal.cell_value(c, 1) AS seconds, kpi_internal.cell_value(c, 1, 60) AS minutes, kpi_internal.cell_value(c, 2, 60) AS square_minutes
  FROM (SELECT kpi_internal.cell_agg('1:stddev,2:variance', x, x) FROM unnest('{0, 120}'::int[]) x) f (c);
-- what no facts make
SELECT kpi_internal.cell_value('v1{1:variance n=3 nonfinite=0 sum=10 squares=1}', 1), kpi_internal.cell_value('v1{1:stddev n=-3 nonfinite=0 sum=10 squares=1}', 1);
DROP TABLE variance_fact;
