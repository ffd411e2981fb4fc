--
-- What is stored is compact and means the same as the cell in memory
--
CREATE TABLE compact_facts (id int, owner text, amount numeric, n int, day date);
INSERT INTO compact_facts
SELECT i, 'o', CASE i % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN 1e300 + i WHEN 2 THEN -1e-30 * i WHEN 3 THEN NULL ELSE i - 200 END,
       i * (-1) ^ i, '2026-01-01'::date + i % 50
FROM generate_series(1, 400) i;
SELECT kpi.create_source('compact', relation => 'compact_facts'::regclass::text, owner => 'owner', at => 'day') IS NOT NULL AS source;
SELECT count(kpi.create_kpi('compact_' || i, source => 'compact', measure => m))
FROM unnest(ARRAY['count(*)', 'sum(amount)', 'avg(n)', 'rate(n > 0, n IS NOT NULL)', 'ratio(amount, n)', 'sum(n)', 'sum(1 / (n - 7))'])
     WITH ORDINALITY u(m, i);
CALL kpi.refresh('compact');
DELETE FROM compact_facts WHERE id % 3 = 0;
UPDATE compact_facts SET amount = -amount WHERE id % 7 = 0;
CALL kpi.refresh('compact');
SELECT * FROM kpi.verify('compact');
-- The months of the company in plain SQL; what only one side has.
CREATE VIEW compact_expected AS
SELECT k.kpi, to_char(f.day, 'YYYY-MM') AS period, k.value
FROM (SELECT date_trunc('month', day) AS day, count(*) AS n1, sum(amount) FILTER (WHERE amount <> 'NaN') AS n2, avg(n) AS n3,
             avg((n > 0)::int) AS n4,
             sum(amount) FILTER (WHERE amount <> 'NaN') / sum(n) FILTER (WHERE amount IS DISTINCT FROM 'NaN') AS n5,
             sum(n) AS n6, sum(1 / (n - 7)) AS n7
      FROM compact_facts GROUP BY 1) f,
     LATERAL (VALUES ('compact_1', n1), ('compact_2', n2), ('compact_3', n3), ('compact_4', n4), ('compact_5', n5),
                     ('compact_6', n6), ('compact_7', n7)) k (kpi, value);
CREATE VIEW compact_actual AS
SELECT kpi, period, value FROM kpi.team_monthly WHERE kpi LIKE 'compact%' AND team = 'company';
SELECT count(*) FROM compact_actual;
SELECT kpi, period, e.value AS expected, a.value AS actual
FROM compact_expected e FULL JOIN compact_actual a USING (kpi, period), LATERAL (SELECT CASE WHEN abs(e.value) < 1e17 THEN 10 ELSE 0 END) d (digits)
WHERE round(e.value, digits) IS DISTINCT FROM round(a.value, digits) ORDER BY 1, 2;

-- Every stored cell survives text, binary and the group operations, and takes less room than in memory
SELECT count(*) AS cells,
       bool_and(c.cell OPERATOR(kpi.=) c.cell::text::kpi.cell) AS text,
       bool_and(kpi_internal.is_empty(c.cell OPERATOR(kpi.-) c.cell)) AS inverse,
       bool_and(pg_column_size(c.cell) < pg_column_size(c.cell::text::kpi.cell)) AS smaller
FROM kpi_internal.day_cell c JOIN kpi_internal.stream s ON s.id = c.stream_id JOIN kpi.source o ON o.id = s.source_id
WHERE o.name = 'compact';
SELECT kpi_internal.merge(c.cell) OPERATOR(kpi.=) (SELECT kpi_internal.merge(r.cell) FROM kpi_internal.rollup_cell r WHERE r.stream_id = c.stream_id
       AND r.scope_kind = 1 AND r.scope_id = 1 AND r.grain = 2 AND r.dim_id = 0) AS months_hold_all_days
FROM kpi_internal.day_cell c JOIN kpi_internal.stream s ON s.id = c.stream_id JOIN kpi.source o ON o.id = s.source_id
WHERE o.name = 'compact' AND s.part <> 'left_out' GROUP BY c.stream_id;

SELECT kpi.drop_source('compact', cascade => true);
DROP VIEW compact_expected, compact_actual;
DROP TABLE compact_facts;
