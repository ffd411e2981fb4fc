-- Facts are read row by row only where some row shows why they could not be
-- read by one statement; any other error of it is the refresh's.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE fall_owner;
SELECT kpi.grant_editor('fall_owner');
CREATE SCHEMA fall AUTHORIZATION fall_owner;
SET ROLE fall_owner;
CREATE TABLE fall.deals (id integer PRIMARY KEY, kind text, amount numeric, y integer, note text);
INSERT INTO fall.deals VALUES (1, 'won', 10, 2026, '5'), (2, 'won', 20, 2026, '6'), (3, 'draft', 40, 0, 'none');
CREATE VIEW fall.total AS SELECT kpi, value FROM kpi.team_yearly WHERE kpi LIKE 'f\_%' AND team = 'company' AND period = '2026';

-- Fails once, whoever evaluates it.
CREATE SEQUENCE fall.calls;
CREATE FUNCTION fall.once(amount numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF nextval('fall.calls') = 1 THEN
        RAISE 'the shards cannot be reached' USING ERRCODE = 'connection_failure';
    END IF;
    RETURN amount;
END $$;
SELECT kpi.create_source('f_deals', relation => 'fall.deals', at => 'make_date(coalesce(nullif(y, 0), 2026), 1, 1)', filter => $$kind = 'won'$$) > 0 AS created;
SELECT kpi.create_kpi('f_once', source => 'f_deals', measure => 'sum(fall.once(amount))') > 0 AS created;
CALL kpi.refresh('f_deals');
SELECT source, status, last_fact_error FROM kpi.source_status WHERE source = 'f_deals';
ALTER SEQUENCE fall.calls RESTART;
CALL kpi.refresh();
SELECT source, status, failures, last_sqlstate, last_error FROM kpi.source_status WHERE source = 'f_deals';
CALL kpi.refresh();
SELECT * FROM fall.total;
SELECT source, status, facts_ignored, last_error FROM kpi.source_status WHERE source = 'f_deals';
SELECT * FROM kpi.verify('f_deals');

-- Facts that fail are left out; one of them is out of range.
INSERT INTO fall.deals VALUES (4, 'won', 1, 12026, '7');
SELECT kpi.create_kpi('f_note', source => 'f_deals', measure => 'sum(note::integer)') > 0 AS created;
UPDATE fall.deals SET note = 'six' WHERE id = 2;
CALL kpi.refresh('f_deals');
SELECT * FROM fall.total ORDER BY kpi;
SELECT source, status, facts_ignored, last_error FROM kpi.source_status WHERE source = 'f_deals';
SELECT kpi.drop_source('f_deals', cascade => true);

-- Conditions that a planner evaluates in another order: the row that fails one
-- of them is none of the facts.  The function is dear, so it comes last.
TRUNCATE fall.deals;
INSERT INTO fall.deals VALUES (1, 'won', 10, 2026, '5'), (2, 'won', 20, 2026, '6'), (3, 'draft', 40, 0, 'none');
CREATE FUNCTION fall.is_won(kind text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 100000 AS $$ BEGIN RETURN kind = 'won'; END $$;
SELECT count(*) FROM (SELECT make_date(y, 1, 1) AS day FROM ONLY fall.deals WHERE fall.is_won(kind) AND isfinite(make_date(y, 1, 1))) f;
SELECT kpi.create_source('f_deals', relation => 'fall.deals', at => 'make_date(y, 1, 1)', filter => 'fall.is_won(kind)') > 0 AS created;
SELECT kpi.create_kpi('f_at', source => 'f_deals', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_source('f_other', relation => 'fall.deals', at => 'make_date(2026, 1, 1)', filter => 'fall.is_won(kind) AND note::integer > 5') > 0 AS created;
SELECT kpi.create_kpi('f_filter', source => 'f_other', measure => 'sum(amount)') > 0 AS created;
CALL kpi.refresh();
SELECT * FROM fall.total ORDER BY kpi;
SELECT source, status, facts_ignored, last_error FROM kpi.source_status WHERE source LIKE 'f\_%' ORDER BY source;
SELECT * FROM kpi.verify('f_deals');
SELECT * FROM kpi.verify('f_other');
SELECT kpi.drop_source('f_deals', cascade => true), kpi.drop_source('f_other', cascade => true);
RESET ROLE;
SELECT kpi.revoke_reader('fall_owner');
DROP SCHEMA fall CASCADE;
DROP ROLE fall_owner;
