-- real and double precision count as the numbers people see: their shortest
-- exact decimal, in writes, in rebuilds and in an oracle of plain SQL.
SET client_min_messages = warning;
CREATE SCHEMA fact_real;
CREATE DOMAIN fact_real.euro AS real CHECK (VALUE > -1e38);
CREATE TABLE fact_real.t (id integer PRIMARY KEY, d date, r real, p double precision, e fact_real.euro);
CREATE VIEW fact_real.shown AS
SELECT kpi, value, facts FROM kpi.team_yearly WHERE team = 'company' AND kpi LIKE 'fr_%' ORDER BY kpi;
CREATE VIEW fact_real.expected AS
SELECT sum(r::text::numeric) AS fr_r, sum(p::text::numeric) AS fr_p, sum(e::text::numeric) AS fr_e,
       sum((r * 2)::text::numeric) AS fr_twice,
       sum(p::text::numeric) FILTER (WHERE r > 0) AS fr_some
  FROM fact_real.t WHERE id < 100;

SELECT kpi.create_source('fr', relation => 'fact_real.t', at => 'd') > 0 AS created;
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('fr_r', source => 'fr', measure => 'sum(r)')),
    (kpi.create_kpi('fr_p', source => 'fr', measure => 'sum(p)')),
    (kpi.create_kpi('fr_e', source => 'fr', measure => 'sum(e)')),
    (kpi.create_kpi('fr_twice', source => 'fr', measure => 'sum(r * 2)')),
    (kpi.create_kpi('fr_some', source => 'fr', measure => 'sum(p)', filter => 'r > 0')),
    (kpi.create_kpi('fr_avg', source => 'fr', measure => 'avg(r)')),
    (kpi.create_kpi('fr_ratio', source => 'fr', measure => 'ratio(r, p)')),
    -- a cast that the user writes is the user's
    (kpi.create_kpi('fr_cast', source => 'fr', measure => 'sum(r::numeric)'))) k;
CALL kpi.refresh('fr');
INSERT INTO fact_real.t VALUES
    (1, '2026-01-01', 7654321, 12345678901234567, 7654321), (2, '2026-01-01', 0.1, 0.1, 0.1),
    (3, '2026-01-01', 16777216, 9007199254740991, 16777216), (4, '2026-01-02', -3.4e-5, 1e20, 3),
    (5, '2026-02-01', 1.17549e-38, 2.2250738585072014e-308, 0), (6, '2026-02-01', '-0', 1.7976931348623157e308, 0),
    (7, '2026-02-01', 3.4028235e37, -1.7976931348623157e308, 1), (8, '2026-02-01', 33554432, 0.30000000000000004, 1e37);
CALL kpi.refresh('fr');
-- the numbers as text, so that none is rounded by a view on its way
CREATE VIEW fact_real.cells AS
SELECT k.name AS kpi, (kpi_internal.cell_final(kpi_internal.merge(c.cell), m.id, 1)).*
  FROM kpi_internal.day_cell c JOIN kpi_internal.measure m USING (stream_id) JOIN kpi.kpi k ON m.role <> 'left_out' AND k.id = m.kpi_id
 WHERE k.name LIKE 'fr_%' GROUP BY k.name, m.id;
CREATE FUNCTION fact_real.differences() RETURNS TABLE (kpi text, found numeric, expected numeric) LANGUAGE sql AS $$
    SELECT c.kpi, c.value, e.value::numeric FROM fact_real.expected x, jsonb_each_text(to_jsonb(x)) e (kpi, value)
      JOIN fact_real.cells c ON c.kpi = e.kpi WHERE c.value IS DISTINCT FROM e.value::numeric ORDER BY 1 $$;
SELECT * FROM fact_real.differences();
SELECT * FROM kpi.verify('fr');
SELECT value FROM fact_real.shown WHERE kpi = 'fr_cast';

-- what is taken away is what was added; the same when all is read anew
UPDATE fact_real.t SET r = r + 1, p = p / 3 WHERE id < 8;
DELETE FROM fact_real.t WHERE id = 3;
CALL kpi.refresh('fr');
SELECT * FROM fact_real.differences();
SELECT * FROM kpi.verify('fr');
TRUNCATE fact_real.t;
SELECT setseed(0.7);
INSERT INTO fact_real.t SELECT i, '2026-01-01', random() * 10 ^ (i % 30 - 12), (random() - 0.5) * 10 ^ (i % 60 - 30), i / 7.0
  FROM generate_series(1, 90) i;
CALL kpi.refresh('fr');
SELECT * FROM fact_real.differences();
INSERT INTO fact_real.t VALUES (91, '2026-01-01', 0.3, 0.3, 0.3);
CALL kpi.refresh('fr');
SELECT * FROM fact_real.differences();
SELECT * FROM kpi.verify('fr');

-- NaN and infinities are left out and counted
INSERT INTO fact_real.t VALUES (100, '2026-01-01', 'NaN', 'Infinity', 1), (101, '2026-01-01', 'Infinity', 'NaN', 1);
DELETE FROM fact_real.t WHERE id = 91;
UPDATE fact_real.t SET e = 0 WHERE id >= 100;
CALL kpi.refresh('fr');
SELECT * FROM fact_real.differences() WHERE kpi <> 'fr_e';
SELECT kpi, nonfinite FROM fact_real.cells WHERE kpi IN ('fr_r', 'fr_p', 'fr_e') ORDER BY kpi;

-- the cell itself
SELECT kpi_internal.cell_agg('1:sum,2:sum', r, p) FROM (VALUES (7654321::real, 0.1::double precision), (1e-30, 1e300), ('-7654321', '-1e300')) v (r, p);

SELECT kpi.drop_source('fr', cascade => true);
DROP SCHEMA fact_real CASCADE;
