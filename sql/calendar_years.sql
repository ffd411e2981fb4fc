-- The days of far years come with the facts that need them, also when an
-- earlier try was rolled back in the same session.
SET client_min_messages = warning;
CREATE SCHEMA years_test;
CREATE TABLE years_test.facts (id integer PRIMARY KEY, amount numeric, day date);
SELECT kpi.create_source('cy_facts', relation => 'years_test.facts', key => 'id', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('cy_sum', source => 'cy_facts', measure => 'sum(amount)') > 0 AS created;
CALL kpi.refresh();
CREATE VIEW years_test.days AS
    SELECT extract(year FROM day)::int AS year, count(*), count(DISTINCT calendar_id) AS calendars FROM kpi.calendar_day
     WHERE extract(year FROM day) IN (1950, 2070, 2071) GROUP BY 1 ORDER BY 1;
SELECT * FROM years_test.days;
BEGIN;
INSERT INTO years_test.facts VALUES (1, 1, '2070-05-05');
CALL kpi.refresh();
INSERT INTO years_test.facts VALUES (2, 1, '2070-05-06');
CALL kpi.refresh();
SELECT * FROM years_test.days;
ROLLBACK;
INSERT INTO years_test.facts VALUES (3, 1, '2070-05-05');
CALL kpi.refresh();
SELECT * FROM years_test.days;
-- a savepoint's go as well
BEGIN;
SAVEPOINT s;
INSERT INTO years_test.facts VALUES (4, 1, '1950-05-05');
CALL kpi.refresh();
ROLLBACK TO s;
INSERT INTO years_test.facts VALUES (5, 1, '1950-06-05');
CALL kpi.refresh();
COMMIT;
SELECT * FROM years_test.days;
-- a calendar made later has them, too
SELECT kpi.create_calendar('cy_calendar', 'UTC', fiscal_year_start => 4) > 0 AS created;
SELECT * FROM years_test.days;
SELECT kpi.drop_source('cy_facts', cascade => true);
SELECT kpi.drop_calendar('cy_calendar');
DROP SCHEMA years_test CASCADE;
