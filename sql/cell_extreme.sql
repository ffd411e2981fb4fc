-- States of min, max, first and last: a group as far as it is known.
SET search_path = kpi, kpi_internal, public;

-- Few values are all known.
SELECT cell_agg('1:max,2:min', v, v) FROM (VALUES (3), (1), (3), (NULL)) t (v);
SELECT cell_value(c, 1) AS largest, cell_value(c, 2) AS smallest, cell_facts(c, 1) AS facts
  FROM (SELECT cell_agg('1:max,2:min', v, v) AS c FROM (VALUES (3.50), (1), (-2), (NULL)) t (v)) s;
-- What is taken away leaves what was there before, in whatever order.
SELECT whole - part = rest AS same, rest + part = whole AS same_again, is_empty(rest - rest) AS empty
  FROM (SELECT cell_agg('1:max', v) AS whole, cell_agg('1:max', v) FILTER (WHERE v % 3 = 0) AS part,
               cell_agg('1:max', v) FILTER (WHERE v % 3 <> 0) AS rest FROM generate_series(1, 20) v) s;

-- Of many, the 32 most extreme are known: what is taken from the others costs nothing.
CREATE TABLE state AS SELECT cell_agg('1:max', v) AS c FROM generate_series(1, 1000) v;
CREATE FUNCTION part(since integer, until integer) RETURNS cell LANGUAGE sql AS
    'SELECT kpi_internal.cell_agg(''1:max'', v) FROM generate_series(since, until) v';
SELECT c::text LIKE '1:max n=1000 nonfinite=0 entries=32 bounded=1 value=969 count=1 value=1000 count=1 value=999 %' AS known,
       c::text LIKE '%value=969' AS last_known
  FROM (SELECT btrim(substr(c::text, 3), '{}') AS c FROM state) s;
SELECT cell_value(c - part(1, 900), 1) AS largest FROM state;
SELECT cell_value(c - part(970, 1000), 1) AS largest FROM state;
-- All that were known are gone: no value, and still so many facts.
SELECT cell_value(c - part(969, 1000), 1) AS largest, cell_facts(c - part(969, 1000), 1) AS facts FROM state;
-- Whoever knows more is not contradicted by who knows less.
SELECT c - part(950, 1000) + part(950, 1000) = c AS same, c - part(951, 1000) = part(1, 950) AS as_much_as_both_know FROM state;

-- The order is that of numbers, whatever their size, and NaN and the infinities are counted apart.
SELECT cell_value(c, 1) AS largest, cell_value(c, 2) AS smallest, kpi_internal.cell_nonfinite(c) AS nonfinite
  FROM (SELECT cell_agg('1:max,2:min', v, v) AS c
          FROM (VALUES (9.5), (10::numeric), ('-1e40'), ('1e45'), ('1e-25'), ('NaN'), ('Infinity')) t (v)) s;

-- first and last go by the time, then by the key: as a number, or by the bytes of a text.
SELECT cell_value(cell_agg('1:first', v, at, key), 1) AS first, cell_value(cell_agg('1:last', v, at, key), 1) AS last
  FROM (VALUES (1, timestamp '2026-01-02', 10), (2, '2026-01-01', 9), (3, '2026-01-01', 10), (4, '2026-01-02', 9),
               (NULL, '2025-01-01', 1)) t (v, at, key);
SELECT cell_value(cell_agg('1:first', v, at, key), 1) AS first, cell_value(cell_agg('1:last', v, at, key), 1) AS last
  FROM (VALUES (1, date '2026-01-02', '10'), (2, '2026-01-01', '9'), (3, '2026-01-01', '10'), (4, '2026-01-02', '9')) t (v, at, key);
SELECT cell_agg('1:first', v, at, key) FROM (VALUES (1.50, date '2000-01-02', 'a'), (2, '2000-01-01', NULL)) t (v, at, key);
SELECT cell_agg('1:first', 1, 2, 3);
SELECT cell_agg('1:max', 'a'::text);

-- Text and binary forms; what is wrong is refused.
SELECT c::text::kpi.cell::text = c::text AS same FROM state;
SELECT 'v1{1:max n=1 nonfinite=0 entries=1 bounded=0 count=1 value=2.50}'::kpi.cell;
SELECT 'v1{1:max n=1 nonfinite=0 entries=2 bounded=0 count=1 value=2 count=1 value=3}'::kpi.cell;
SELECT 'v1{1:max n=1 nonfinite=0 entries=1 bounded=1 value=3 count=1 value=2}'::kpi.cell;
SELECT 'v1{1:max n=1 nonfinite=0 entries=33 bounded=0}'::kpi.cell;
SELECT 'v1{1:last n=1 nonfinite=0 entries=1 bounded=0 count=1 at=5 text=6g value=2}'::kpi.cell;
DROP FUNCTION part(integer, integer);
DROP TABLE state;
