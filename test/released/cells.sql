-- Prints cells of every kind as this version writes them, as lines of cells.tsv: version,
-- kinds, and the cell as text, as its binary form, and as it is stored.  For psql -q in a
-- database without the extension.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET bytea_output = hex;
\o /dev/null
CREATE EXTENSION pg_kpi;
CREATE EXTENSION hll;
CREATE TABLE facts (id integer PRIMARY KEY, owner text, a numeric, b integer, day date, until date, currency text, ok boolean);
INSERT INTO facts
SELECT i, 'o', CASE i % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN 1e40 + i WHEN 2 THEN -1e-30 * i ELSE i END, nullif(i - 4, 5),
       '2026-03-01'::date + i % 3, '2026-03-20'::date + i, CASE i % 2 WHEN 0 THEN 'EUR' ELSE 'USD' END, i % 3 = 0
  FROM generate_series(1, 9) i;
SELECT kpi.alter_company(currency => 'EUR');
SELECT kpi.create_source('facts', relation => 'public.facts', key => 'id', owner => 'owner', at => 'day');
SELECT kpi.create_kpi('kpi_' || i, source => 'facts', measure => m)
  FROM unnest(ARRAY['count(*)', 'sum(a)', 'avg(b)', 'rate(ok, b > 0)', 'ratio(a, b)', 'count(DISTINCT b)', 'count_distinct_approx(b)',
                    'min(b)', 'max(b)', 'first(b)', 'last(b)', 'median(b)', 'percentile(0.9, a)', 'variance(b)',
                    'stddev(b)', 'sum(1 / b)', 'sum(b, currency => currency)']) WITH ORDINALITY u (m, i);
SELECT kpi.create_kpi('held', source => 'facts', measure => 'balance(b)', at => 'day', until => 'until');
CALL kpi.refresh();
-- returns what is stored as it is
CREATE FUNCTION stored(kpi.cell) RETURNS bytea LANGUAGE internal STRICT AS 'xmltotext';
\o
COPY (
SELECT (SELECT v.installed FROM kpi.version() v),
       (SELECT string_agg(DISTINCT m[1], ' ' ORDER BY m[1]) FROM regexp_matches(c.cell::text, '[{ ]\d+:([a-z_]+)', 'g') m) AS kinds,
       c.cell::text, kpi_internal.cell_send(c.cell), stored(c.cell)
  FROM (SELECT r.cell FROM kpi_internal.rollup_cell r WHERE r.scope_kind = 1 AND r.scope_id = 1 AND r.grain = 2
         UNION ALL
        SELECT d.cell FROM kpi_internal.day_cell d JOIN kpi_internal.stream x ON x.id = d.stream_id WHERE x.part = 'left_out'
         UNION ALL
        SELECT 'v1{7:distinct facts=3 forgotten=-4*5}') c
 ORDER BY kinds, c.cell::text) TO STDOUT;
