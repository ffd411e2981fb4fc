-- No expression of a source fails a user's write: neither a careless nor a
-- hostile one, however deep the writer has recursed.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA harm;
CREATE TABLE harm.deals (id integer PRIMARY KEY, amount numeric, day date);
CREATE TABLE harm.plain (id integer PRIMARY KEY, amount numeric, day date);
CREATE VIEW harm.status AS SELECT source, status, facts_ignored, last_fact_error FROM kpi.source_status;
CREATE VIEW harm.total AS SELECT value FROM kpi.team_yearly WHERE kpi = 'h_amount' AND team = 'company';

-- Too deep an expression is refused where it is written, not where it is used.
SELECT kpi.create_source('h_deals', relation => 'harm.deals', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('h_sum', source => 'h_deals', measure => 'sum(' || repeat('abs(', 150) || 'amount' || repeat(')', 151)) > 0 AS created;
\set VERBOSITY terse
SELECT kpi.create_kpi('h_deep', source => 'h_deals', measure => 'sum(' || repeat('abs(', 250) || 'amount' || repeat(')', 251));
SELECT kpi.create_kpi('h_deep', source => 'h_deals', measure => 'sum(amount' || repeat(' + amount', 100000) || ')');
SELECT kpi.create_kpi('h_deep', source => 'h_deals', measure => 'count(*)', filter => repeat('NOT ', 200) || 'amount > 0');
SELECT kpi.create_source('h_deep', relation => 'harm.plain', at => 'day' || repeat(' + 1', 1000));
\set VERBOSITY default
-- Width is no depth.
SELECT kpi.create_kpi('h_wide', source => 'h_deals', measure => 'count(*)',
    filter => (SELECT string_agg('amount = ' || i, ' OR ') FROM generate_series(1, 1000) i)) > 0 AS created;
SELECT kpi.create_kpi('h_amount', source => 'h_deals', measure => 'sum(amount)') > 0 AS created;
CALL kpi.refresh('h_deals');

-- A function that never returns, and those that pass for somebody else's error.
CREATE FUNCTION harm.fail(id integer, amount numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    CASE id
        WHEN 101 THEN RETURN harm.fail(id, amount);
        WHEN 102 THEN RAISE query_canceled;
        WHEN 103 THEN RAISE admin_shutdown;
        WHEN 104 THEN RAISE out_of_memory;
        WHEN 105 THEN RAISE deadlock_detected;
        WHEN 106 THEN RAISE data_corrupted;
        WHEN 107 THEN RAISE lock_not_available;
        WHEN 108 THEN ASSERT false;
        WHEN 109 THEN RAISE statement_too_complex;
        ELSE RETURN amount;
    END CASE;
END $$;
SELECT kpi.create_source('h_fail', relation => 'harm.plain', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('h_fail', source => 'h_fail', measure => 'sum(harm.fail(id, amount))') > 0 AS created;
CALL kpi.refresh('h_fail');
INSERT INTO harm.plain SELECT i, 1, '2026-03-01' FROM generate_series(100, 110) i;
CALL kpi.refresh('h_fail');
SELECT value FROM kpi.team_yearly WHERE kpi = 'h_fail' AND team = 'company';
SELECT source, status, facts_ignored FROM harm.status WHERE source = 'h_fail';
UPDATE harm.plain SET amount = 2;
DELETE FROM harm.plain WHERE id > 104;
CALL kpi.refresh('h_fail');
SELECT value FROM kpi.team_yearly WHERE kpi = 'h_fail' AND team = 'company';
SELECT source, status, facts_ignored FROM harm.status WHERE source = 'h_fail';
SELECT * FROM kpi.verify('h_fail');
SELECT kpi.drop_source('h_fail', cascade => true);
TRUNCATE harm.plain;

-- The user's own cancellation is the user's.
CREATE FUNCTION harm.slow(id integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM pg_sleep(600) WHERE id = 1;
    RETURN id;
END $$;
SELECT kpi.create_source('h_slow', relation => 'harm.plain', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('h_slow', source => 'h_slow', measure => 'sum(harm.slow(id))') > 0 AS created;
CALL kpi.refresh('h_slow');
SET statement_timeout = '100ms';
INSERT INTO harm.plain VALUES (1, 1, '2026-03-01');
RESET statement_timeout;
SELECT kpi.drop_source('h_slow', cascade => true);

-- Who has recursed to the end of the stack, and can still write, writes.  The
-- trigger has to compile at that depth.
SET client_min_messages = error;
CREATE TABLE harm.lost (id integer);
CREATE PROCEDURE harm.dive(level integer) LANGUAGE plpgsql AS $$
BEGIN
    CALL harm.dive(level + 1);
EXCEPTION WHEN statement_too_complex THEN
    INSERT INTO harm.plain VALUES (level, level, '2026-03-01');
    BEGIN
        INSERT INTO harm.deals VALUES (level, level, '2026-03-01');
    EXCEPTION WHEN statement_too_complex THEN
        INSERT INTO harm.lost VALUES (level);
    END;
END $$;
\c -
SET client_min_messages = warning;
\set SHOW_CONTEXT never
INSERT INTO harm.deals VALUES (-1, 1000, '2026-03-01');
CALL kpi.refresh('h_deals');
\c -
SET client_min_messages = warning;
CALL harm.dive(1);
SELECT (SELECT count(*) FROM harm.deals WHERE id > 0) = (SELECT count(*) FROM harm.plain) AS written, count(*) AS lost FROM harm.lost;
SELECT DISTINCT kind FROM kpi_internal.delta d JOIN kpi.source s ON s.id = d.source_id WHERE s.name = 'h_deals' ORDER BY 1;
CALL kpi.refresh('h_deals');
SELECT value = (SELECT sum(amount) FROM harm.deals) AS exact FROM harm.total;
SELECT source, status, facts_ignored FROM harm.status;
SELECT * FROM kpi.verify('h_deals');

SELECT kpi.drop_source('h_deals', cascade => true);
DROP SCHEMA harm CASCADE;
