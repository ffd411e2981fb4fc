-- The day of a fact: what no fact can have is left out and counted, whatever
-- the calendar; the day's borders, and the table of days.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA fact_day;
CREATE TABLE fact_day.t (id integer PRIMARY KEY, d date, n integer);
CREATE VIEW fact_day.seen AS
SELECT (SELECT sum(value) FROM kpi.team_yearly WHERE kpi = 'fd' AND team = 'company') AS value,
       (SELECT array_agg(period ORDER BY period) FROM kpi.team_yearly WHERE kpi = 'fd' AND team = 'company') AS years,
       status, facts_ignored, last_fact_error FROM kpi.source_status WHERE source = 'fd';

SELECT kpi.alter_calendar('default', fiscal_year_start => 4);
SELECT kpi.create_source('fd', relation => 'fact_day.t', at => 'd') > 0 AS created;
SELECT kpi.create_kpi('fd', source => 'fd', measure => 'sum(n)') > 0 AS created;
CALL kpi.refresh('fd');
SELECT count(*) AS days FROM kpi.calendar_day \gset
INSERT INTO fact_day.t VALUES (1, '9999-12-31', 1), (2, '0001-01-01', 1), (3, '0001-01-01 BC', 1), (4, '20000-01-01', 1),
    (5, '1899-12-31', 1), (6, '2201-01-01', 1), (7, '2026-03-31', 1000), (8, 'infinity', 1), (9, NULL, 1);
CALL kpi.refresh('fd');
SELECT * FROM fact_day.seen;
SELECT count(*) - :days AS more_days FROM kpi.calendar_day;
SELECT * FROM kpi.verify('fd');
-- the grouped statement and capture count the same; what is mended counts
TRUNCATE fact_day.t;
INSERT INTO fact_day.t SELECT i, CASE WHEN i % 2 = 0 THEN '9999-12-31' ELSE '2026-05-05' END::date, 1 FROM generate_series(1, 40) i;
CALL kpi.refresh('fd');
SELECT value, facts_ignored FROM fact_day.seen;
UPDATE fact_day.t SET d = '2026-06-06' WHERE id = 2;
DELETE FROM fact_day.t WHERE id IN (4, 5);
CALL kpi.refresh('fd');
SELECT value, facts_ignored FROM fact_day.seen;
SELECT * FROM kpi.verify('fd');
SELECT count(*) - :days AS more_days FROM kpi.calendar_day;
-- the borders themselves
INSERT INTO fact_day.t VALUES (101, '1900-01-01', 1), (102, '2200-12-31', 1);
SELECT day, error FROM kpi_internal.delta ORDER BY day;
DELETE FROM fact_day.t WHERE id > 100;
SELECT kpi.drop_source('fd', cascade => true);
SELECT kpi.alter_calendar('default', fiscal_year_start => 1);

-- An hour that comes twice, around midnight: the day begins when it comes first.
CREATE TABLE fact_day.b (id integer PRIMARY KEY, at timestamptz);
SELECT kpi.create_calendar('beirut', time_zone => 'Asia/Beirut') > 0 AS created;
SELECT kpi.create_source('fb', relation => 'fact_day.b', at => 'at', calendar => 'beirut') > 0 AS created;
SELECT kpi.create_kpi('fb', source => 'fb', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh('fb');
INSERT INTO fact_day.b VALUES (1, '2026-10-24 20:00+00'), (2, '2026-10-24 20:59:59.999999+00'), (3, '2026-10-24 21:00+00'),
    (4, '2026-10-24 21:59:59.999999+00'), (5, '2026-10-24 22:00+00');
CALL kpi.refresh('fb');
SELECT period, value FROM kpi.team_daily WHERE kpi = 'fb' AND team = 'company' ORDER BY period;
SELECT (at AT TIME ZONE 'Asia/Beirut')::date AS day, count(*) FROM fact_day.b GROUP BY 1 ORDER BY 1;
SELECT * FROM kpi.verify('fb');
SELECT kpi.drop_source('fb', cascade => true);
SELECT kpi.drop_calendar('beirut');

-- The years known to be in kpi.calendar_day are forgotten with a rollback.
CREATE TABLE fact_day.c (d date);
SELECT kpi.create_source('fc', relation => 'fact_day.c', at => 'd') > 0 AS created;
SELECT kpi.create_kpi('fc', source => 'fc', measure => 'count(*)') > 0 AS created;
DELETE FROM kpi.calendar_day WHERE day >= '2070-01-01' OR day < '2000-01-01';
BEGIN;
INSERT INTO fact_day.c VALUES ('2070-05-05');
CALL kpi.refresh('fc');
INSERT INTO fact_day.c VALUES ('2070-05-06');
CALL kpi.refresh('fc');
ROLLBACK;
INSERT INTO fact_day.c VALUES ('2070-05-05');
CALL kpi.refresh('fc');
SELECT count(*) FROM kpi.calendar_day WHERE calendar_id = 1 AND day BETWEEN '2070-01-01' AND '2070-12-31';
SELECT kpi.drop_source('fc', cascade => true);
DELETE FROM kpi.calendar_day WHERE day >= '2040-01-01';
DROP SCHEMA fact_day CASCADE;
