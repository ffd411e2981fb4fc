-- What sums leave out (NaN, infinities, numbers of more than 1,000 digits) is
-- counted, and to a formula such a KPI is 0, as one without facts is.
SET client_min_messages = warning;
CREATE SCHEMA left_out;
CREATE TABLE left_out.t (id integer PRIMARY KEY, d date, n numeric, m numeric);
SELECT kpi.create_source('lo', relation => 'left_out.t', at => 'd') > 0 AS created;
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('lo_n', source => 'lo', measure => 'sum(n)')),
    (kpi.create_kpi('lo_m', source => 'lo', measure => 'sum(m)')),
    (kpi.create_kpi('lo_avg', source => 'lo', measure => 'avg(n)'))) k;
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('lo_both', formula => 'lo_n + lo_m')),
    (kpi.create_kpi('lo_ratio', formula => 'lo_m / lo_n')),
    (kpi.create_kpi('lo_mean', formula => 'lo_m + lo_avg'))) k;
CREATE VIEW left_out.shown AS
SELECT period, kpi, value, facts FROM kpi.team_monthly WHERE kpi LIKE 'lo\_%' AND team = 'company'
UNION ALL SELECT period, kpi, value, facts FROM kpi.team_daily WHERE kpi = 'lo_both' AND team = 'company' AND period LIKE '%-01'
ORDER BY 1, 2;
CALL kpi.refresh('lo');
INSERT INTO left_out.t VALUES (1, '2026-01-01', 'NaN', 5), (2, '2026-02-01', NULL, 5), (3, '2026-03-01', repeat('9', 1001)::numeric, 5),
    (4, '2026-04-01', repeat('9', 1000)::numeric, NULL), (5, '2026-05-01', '-Infinity', NULL), (6, '2026-05-01', 7, NULL);
CALL kpi.refresh('lo');
SELECT period, kpi, CASE WHEN value > 1e900 THEN 1e6 ELSE round(value, 3) END AS value, facts FROM left_out.shown;
SELECT nonfinite_inputs, facts_ignored FROM kpi.source_status WHERE source = 'lo';
SELECT * FROM kpi.verify('lo');
-- once it is a number it counts
UPDATE left_out.t SET n = 1 WHERE id = 1;
DELETE FROM left_out.t WHERE id = 3;
CALL kpi.refresh('lo');
SELECT * FROM left_out.shown WHERE period < '2026-04';
SELECT nonfinite_inputs FROM kpi.source_status WHERE source = 'lo';
SELECT * FROM kpi.verify('lo');
SELECT kpi.drop_source('lo', cascade => true);
DROP SCHEMA left_out CASCADE;
