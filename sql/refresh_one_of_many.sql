-- Refresh: one source's error and no other's, names that do not exist, and a source that goes at once.
SET client_min_messages = error;
SET TimeZone = 'UTC';
CREATE SCHEMA rf;

-- One source's error holds no other back, and is shown until it is refreshed.
CREATE TABLE rf.bad (at date);
CREATE TABLE rf.good (at date);
SELECT kpi.create_source('rf_bad', relation => 'rf.bad', at => 'at') IS NOT NULL AS source;
SELECT kpi.create_kpi('rf_bad', source => 'rf_bad', measure => 'count(*)') IS NOT NULL AS kpi;
SELECT kpi.create_source('rf_good', relation => 'rf.good', at => 'at') IS NOT NULL AS source;
SELECT kpi.create_kpi('rf_good', source => 'rf_good', measure => 'count(*)') IS NOT NULL AS kpi;
CALL kpi.refresh();
CREATE FUNCTION rf.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.source_id = (SELECT id FROM kpi.source WHERE name = 'rf_bad') AND NEW.refreshed_at <> OLD.refreshed_at THEN
        RAISE 'out of order' USING DETAIL = 'A detail.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE UPDATE ON kpi_internal.source_state FOR EACH ROW EXECUTE FUNCTION rf.fail();
INSERT INTO rf.bad VALUES ('2026-01-01');
INSERT INTO rf.good VALUES ('2026-01-01');
SET client_min_messages = warning;
CALL kpi.refresh();
SET client_min_messages = error;
CALL kpi.refresh();
CREATE VIEW rf.both AS
SELECT k.name, v.value FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id
WHERE k.name IN ('rf_bad', 'rf_good') AND v.team_id = 1 AND v.grain = 'year' ORDER BY 1;
SELECT * FROM rf.both;
SELECT source, status, failures, last_sqlstate, last_error, pending_deltas FROM kpi.source_status
WHERE source LIKE 'rf\_%d' ORDER BY source;
\set SHOW_CONTEXT never
CALL kpi.refresh('rf_bad');
\unset SHOW_CONTEXT
-- In a transaction.
BEGIN;
INSERT INTO rf.good VALUES ('2026-01-02');
CALL kpi.refresh();
SELECT * FROM rf.both;
ROLLBACK;
DROP TRIGGER fail ON kpi_internal.source_state;
CALL kpi.refresh();
SELECT * FROM rf.both;
SELECT failures, last_sqlstate, last_error FROM kpi.source_status WHERE source = 'rf_bad';
SELECT * FROM kpi.verify();
SELECT kpi.drop_source('rf_bad', cascade => true), kpi.drop_source('rf_good', cascade => true);

-- Mistakes
CALL kpi.refresh('nothing');
SELECT * FROM kpi.verify('nothing');
SELECT kpi.repair('nothing');
SELECT kpi.resume('nothing');

-- Made and dropped in one transaction
BEGIN;
CREATE TABLE rf.facts (at date);
SELECT kpi.create_source('rf_gone', relation => 'rf.facts', at => 'at') IS NOT NULL AS source;
SELECT kpi.create_kpi('rf_gone_count', source => 'rf_gone', measure => 'count(*)') IS NOT NULL AS kpi;
INSERT INTO rf.facts VALUES ('2026-01-01');
SELECT kpi.drop_source('rf_gone', cascade => true);
COMMIT;
SELECT count(*) AS left_in_queue FROM kpi_internal.delta;
CALL kpi.refresh();
SELECT count(*) AS left_in_queue FROM kpi_internal.delta;
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();
