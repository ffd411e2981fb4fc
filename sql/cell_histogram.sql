-- The kind percentile: a histogram that facts are taken away from as they came.
SET search_path = public, kpi, kpi_internal;

-- Which bucket a number falls into: equal numbers into one, of whatever type and scale.
SELECT kpi_internal.cell_agg('1:percentile', x) FROM unnest('{0, 1, 1.0, 1.000, -1, 1.0199, 1.0201, 0.9999, 2, 4, 1024, NULL, NaN, Infinity, -Infinity}'::numeric[]) x;
SELECT kpi_internal.cell_agg('1:percentile,2:percentile,3:percentile,4:percentile,5:percentile,6:percentile', x::numeric, x::float8, x::float4, x::int8, x::int4, x::int2)
  FROM generate_series(1, 32767, 511) x \gset
SELECT count(*) AS states, count(DISTINCT m[1]) AS different FROM regexp_matches(:'cell_agg', 'percentile ([^;}]*)', 'g') m;
-- more digits than a double has, at several scales
SELECT kpi_internal.cell_agg('1:percentile', x) FROM (VALUES (1048576000000.12345678), (1048576000000.1234567800), (1048576000000.12345678000000000000)) v(x);
-- outside: the nearest, counted
SELECT kpi_internal.cell_agg('1:percentile', x) FROM unnest('{1e-30, -1e-30, 1e-9, -1e-9, 1e15, -1e15, 1125899906842623.5, 1125899906842624, 1e30, 1e999, -1e999, 1e1000, 0}'::numeric[]) x;
SELECT kpi_internal.cell_agg('1:percentile', x) FROM unnest(ARRAY[('0.' || repeat('0', 400) || '1')::numeric, ('-0.' || repeat('0', 400) || '1')::numeric]) x;
SELECT kpi_internal.cell_agg('1:percentile', x) FROM unnest('{4.9e-324, -4.9e-324, 1.7e308, NaN, Infinity, -0}'::float8[]) x;
SELECT kpi_internal.cell_clamped(kpi_internal.cell_agg('1:percentile,2:percentile,3:sum', x, -x, x)) FROM unnest('{1e-30, 1, 1e30, NaN}'::numeric[]) x;

-- How fine they are.
SELECT kpi_internal.cell_agg('1:percentile(4),2:percentile(35),3:percentile(400),4:percentile', 100, 100, 100, 100);
SELECT kpi_internal.cell_agg('1:percentile(3)', 1);
SELECT kpi_internal.cell_agg('1:percentile(401)', 1);
SELECT kpi_internal.cell_agg('1:percentile(99999999999999999999)', 1);
SELECT kpi_internal.cell_agg('1:percentile()', 1);
SELECT kpi_internal.cell_agg('1:percentile(35', 1);
SELECT kpi_internal.cell_agg('1:percentile(3.5)', 1);
SELECT kpi_internal.cell_agg('1:percentile(35)x', 1);
SELECT kpi_internal.cell_agg('1:sum(35)', 1);
SELECT kpi_internal.cell_agg('1:percentile(35)', 1) + kpi_internal.cell_agg('1:percentile(36)', 1);
-- but a state that is empty has none
SELECT kpi_internal.cell_agg('1:percentile(35)', NULL::int) + kpi_internal.cell_agg('1:percentile(36)', 1),
       kpi_internal.cell_agg('1:percentile(36)', 1) + (kpi_internal.cell_agg('1:percentile(35)', 1) - kpi_internal.cell_agg('1:percentile(35)', 1));

-- Text, binary and what is refused.
CREATE FUNCTION cell_error(input text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    d text;
BEGIN
    PERFORM input::kpi.cell;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL;
    RETURN sqlstate || ' ' || d;
END $$;
SELECT input, cell_error('v1{1:percentile ' || input || '}') FROM unnest(ARRAY[
    'nonfinite=0 clamped=0 per_doubling=0 buckets=', 'nonfinite=0 clamped=0 per_doubling=35 buckets=', 'nonfinite=1 clamped=0 per_doubling=35 buckets=',
    'nonfinite=-1 clamped=7 per_doubling=35 buckets=-2800:-5,0:1,2800:70368744177663', 'nonfinite=1 clamped=0 per_doubling=0 buckets=',
    'nonfinite=0 clamped=0 per_doubling=3 buckets=1:1', 'nonfinite=0 clamped=0 per_doubling=401 buckets=1:1', 'nonfinite=0 clamped=0 per_doubling=-35 buckets=1:1',
    'nonfinite=0 clamped=0 per_doubling=35 buckets=2801:1', 'nonfinite=0 clamped=0 per_doubling=35 buckets=-2801:1', 'nonfinite=0 clamped=0 per_doubling=35 buckets=99999999:1',
    'nonfinite=0 clamped=0 per_doubling=35 buckets=1:0', 'nonfinite=0 clamped=0 per_doubling=35 buckets=1:70368744177664', 'nonfinite=0 clamped=0 per_doubling=35 buckets=2:1,1:1',
    'nonfinite=0 clamped=0 per_doubling=35 buckets=1:1,1:1', 'nonfinite=0 clamped=0 per_doubling=35 buckets=1', 'nonfinite=0 clamped=0 per_doubling=35 buckets=1:',
    'nonfinite=0 clamped=0 per_doubling=35 buckets=1:1,', 'nonfinite=0 clamped=0 per_doubling=35 buckets=1:1, 2:1', 'nonfinite=0 clamped=0 per_doubling=35',
    'nonfinite=0 clamped=0 buckets=1:1', 'n=1']) input;
SELECT 'v1{1:percentile nonfinite=0 clamped=0 per_doubling=35 buckets=1:70368744177663}'::kpi.cell + 'v1{1:percentile nonfinite=0 clamped=0 per_doubling=35 buckets=1:1}';

-- The group: facts come and go in any order, and what is left is what is there.
CREATE TABLE histogram_fact AS
SELECT i AS id, i % 13 AS grp, CASE WHEN i % 97 = 0 THEN 'NaN' WHEN i % 31 = 0 THEN 0 WHEN i % 89 = 0 THEN NULL ELSE ((i * 7919 % 10007 - 2000) * 10::float8 ^ (i % 9 - 4))::numeric END AS x
  FROM generate_series(1, 5000) i;
CREATE TABLE histogram_cell AS SELECT id, x, kpi_internal.cell_agg('1:percentile', x) AS cell FROM histogram_fact GROUP BY id, x;
WITH whole AS (SELECT kpi_internal.cell_agg('1:percentile', x) AS cell FROM histogram_fact),
     half AS (SELECT kpi_internal.cell_agg('1:percentile', x) AS cell FROM histogram_fact WHERE id % 2 = 0),
     other AS (SELECT kpi_internal.cell_agg('1:percentile', x) AS cell FROM histogram_fact WHERE id % 2 = 1)
SELECT whole.cell = half.cell + other.cell AS plus, whole.cell - half.cell = other.cell AS minus, (whole.cell - half.cell)::text = other.cell::text AS to_the_byte,
       kpi_internal.is_empty(whole.cell - half.cell - other.cell) AS nothing_left, -(half.cell - whole.cell) = other.cell AS negated,
       (SELECT kpi_internal.merge(cell) FROM (SELECT cell FROM histogram_cell ORDER BY md5(id::text)) c) = whole.cell AS one_by_one,
       (SELECT kpi_internal.merge(cell) FROM (SELECT cell, 'a' || id AS o FROM histogram_cell UNION ALL SELECT -cell, 'b' || id FROM histogram_cell WHERE id % 2 = 0
                                     ORDER BY 2) c) = other.cell AS deletions_later,
       (SELECT kpi_internal.merge(cell) FROM (SELECT cell, md5(id::text) AS o FROM histogram_cell UNION ALL SELECT -cell, md5('x' || id) FROM histogram_cell WHERE id % 2 = 0
                                     ORDER BY 2) c) = other.cell AS deletions_first,
       (SELECT kpi_internal.merge(cell) FROM (SELECT kpi_internal.cell_agg('1:percentile', x) AS cell FROM histogram_fact GROUP BY grp) g) = whole.cell AS grouped,
       whole.cell::text::kpi.cell = whole.cell AS text
  FROM whole, half, other;
-- binary form
CREATE TABLE histogram_copy (cell kpi.cell);
SELECT current_setting('data_directory') || '/histogram.bin' AS file \gset
SELECT kpi_internal.cell_agg('1:percentile', x)::text AS whole FROM histogram_fact \gset
COPY (SELECT kpi_internal.cell_agg('1:percentile', x) FROM histogram_fact) TO :'file' (FORMAT binary);
COPY histogram_copy FROM :'file' (FORMAT binary);
SELECT cell::text = :'whole' AS binary FROM histogram_copy;

-- The value: percentile_cont()'s, within 1 % of it.
CREATE VIEW histogram_data AS
SELECT 'lognormal' AS data, exp(3 * sqrt(-2 * ln((i - 0.5)::float8 / 4001)) * cos(6.2832 * (i * 0.618 % 1)::float8))::numeric AS x FROM generate_series(1, 4001) i
UNION ALL SELECT 'negative', -x FROM (SELECT exp(i * 0.004::float8 - 3)::numeric AS x FROM generate_series(1, 3000) i) n
UNION ALL SELECT 'durations', (i * 7919 % 86400) * 13.37 FROM generate_series(1, 5000) i
UNION ALL SELECT 'zeros', CASE WHEN i % 3 > 0 THEN 0 ELSE i END FROM generate_series(1, 1000) i
UNION ALL SELECT 'mixed', (i * 7919 % 10007 - 4000) * 0.37 FROM generate_series(1, 10007) i
UNION ALL SELECT 'same', 123.45 FROM generate_series(1, 10)
UNION ALL SELECT 'one', 0.000123
UNION ALL SELECT 'two', x FROM unnest('{1, 1000}'::numeric[]) x
UNION ALL SELECT 'wide', (2 ^ (i % 79 - 29)::float8)::numeric FROM generate_series(1, 790) i;
SELECT data, bool_and(abs(estimate - exact) <= 0.01 * abs(exact)) AS within
  FROM (SELECT data, p, kpi_internal.cell_value(kpi_internal.cell_agg('1:percentile', x), 1, p => p) AS estimate, percentile_cont(p) WITHIN GROUP (ORDER BY x)::numeric AS exact
          FROM histogram_data, unnest('{0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1}'::numeric[]) p
         GROUP BY data, p) e
 WHERE data <> 'mixed' GROUP BY data ORDER BY data;
-- between values of different signs: 1 % of the larger of the two
SELECT bool_and(abs(estimate - exact) <= 0.01 * greatest(abs(exact), 0.37)) AS within
  FROM (SELECT p, kpi_internal.cell_value(kpi_internal.cell_agg('1:percentile', x), 1, p => p) AS estimate, percentile_cont(p) WITHIN GROUP (ORDER BY x)::numeric AS exact
          FROM histogram_data, generate_series(0, 1, 0.01) p WHERE data = 'mixed' GROUP BY p) e;
-- finer and coarser ones, as their error says
SELECT error, bool_and(abs(estimate - exact) <= error * exact) AS within, bool_or(abs(estimate - exact) > error / 2 * exact) AS no_better
  FROM (SELECT p, percentile_cont(p) WITHIN GROUP (ORDER BY x)::numeric AS exact, kpi_internal.cell_agg('1:percentile(351),2:percentile(18),3:percentile(5)', x, x, x) AS cell
          FROM histogram_data, generate_series(0, 1, 0.01) p WHERE data = 'lognormal' GROUP BY p) c,
       LATERAL (VALUES (0.001, kpi_internal.cell_value(cell, 1, p => p)), (0.02, kpi_internal.cell_value(cell, 2, p => p)), (0.08, kpi_internal.cell_value(cell, 3, p => p))) e(error, estimate)
 GROUP BY error ORDER BY error;
SELECT kpi_internal.cell_value(kpi_internal.cell_agg('1:percentile', x), 1, p => 0), kpi_internal.cell_value(kpi_internal.cell_agg('1:percentile', x), 1), kpi_internal.cell_value(kpi_internal.cell_agg('1:percentile', x), 1, 60, 1)
  FROM unnest('{60, 120, 180, NaN}'::numeric[]) x;
SELECT kpi_internal.cell_final(kpi_internal.cell_agg('1:percentile', x), 1) FROM unnest('{60, NaN}'::numeric[]) x;
SELECT kpi_internal.cell_final(kpi_internal.cell_agg('1:percentile', x), 1) FROM unnest('{NULL, NaN}'::numeric[]) x;
SELECT kpi_internal.cell_value(kpi_internal.cell_agg('1:percentile', 1), 1, p => 1.01);
SELECT kpi_internal.cell_value(kpi_internal.cell_agg('1:percentile', 1), 1, p => 'NaN');
-- what no facts make
SELECT p, kpi_internal.cell_value('v1{1:percentile nonfinite=0 clamped=0 per_doubling=35 buckets=-5:-1,7:3,9:-1}', 1, p => p) IS NULL AS is_null FROM unnest('{0, 0.5, 1}'::numeric[]) p;

-- A cell of a whole range is bounded.
SELECT kpi_internal.cell_facts(kpi_internal.cell_agg('1:percentile', x), 1) AS facts, array_length(string_to_array(kpi_internal.cell_agg('1:percentile', x)::text, ','), 1) AS buckets
  FROM (SELECT s * 2::float8 ^ (i * 0.002::float8 - 31) AS x FROM generate_series(0, 42000) i, unnest('{-1, 1}'::float8[]) s) f;
DROP VIEW histogram_data;
DROP TABLE histogram_fact, histogram_cell, histogram_copy;
DROP FUNCTION cell_error(text);
