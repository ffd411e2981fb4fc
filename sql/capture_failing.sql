-- Capture: expressions that fail.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/capture.sql
\set ECHO none
\i :oracle
\set ECHO all

CREATE FUNCTION picky(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF i = 13 THEN
        RAISE EXCEPTION E'I do not like\n13';
    END IF;
    RETURN i;
END $$;
CREATE TABLE odd (id int, a int, b int, at timestamp);
SELECT kpi.create_source('odd', relation => 'capture_test.odd', at => 'at', dimensions => '{"d": "100 / (a - 1)"}') > 0 AS created;
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('plain', source => 'odd', measure => 'count(*)')),
    (kpi.create_kpi('quotient', source => 'odd', measure => 'sum(a / b)')),
    (kpi.create_kpi('liked', source => 'odd', measure => 'sum(capture_test.picky(b))'))) k;
INSERT INTO odd VALUES (1, 5, 2, '2026-01-01'), (2, 5, 0, '2026-01-01'), (3, 5, 13, '2026-01-01'),
                       (4, 1, 1, '2026-01-01'), (5, 5, 1, '0001-01-01 BC'), (6, 5, 1, '20000-01-01');
SELECT dims, day, cell, error FROM queue ORDER BY day, error NULLS FIRST;
UPDATE odd SET b = 1 WHERE b = 0;
SELECT dims, day, cell FROM queue ORDER BY day;
DELETE FROM odd;
SELECT dims, day, cell FROM queue ORDER BY day;
-- what is no error of an expression reaches the statement
CREATE OR REPLACE FUNCTION picky(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(60);
    RETURN i;
END $$;
SET statement_timeout = '100ms';
INSERT INTO odd VALUES (1, 5, 2, '2026-01-01');
RESET statement_timeout;
SELECT kpi.drop_source('odd', cascade => true);
CALL empty_queue();

DROP SCHEMA capture_test CASCADE;
