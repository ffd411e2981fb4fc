-- Keyed sources that are read again, and what a reading must not do: readings
-- larger than work_mem, entities that were named, kept rows of another source,
-- long intervals, readings that lose most of the rows.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
CREATE SCHEMA rr;
CREATE TABLE rr.lead (lead_id integer PRIMARY KEY, owner text, day date, changed timestamptz);
INSERT INTO rr.lead SELECT i, 'o' || i % 50, date '2026-01-01' + i % 90, '2026-01-01' FROM generate_series(1, 5000) i;

--
-- Rows that do not fit into work_mem leave no file behind
--
SELECT kpi.create_source('rr_second', key => 'lead_id', owner => 'owner', at => 'day',
                         query => 'SELECT lead_id, owner, day, repeat(owner, 20) AS note FROM rr.lead', follow => '{"rr.lead": "lead_id"}') > 0 AS source;
SELECT kpi.create_kpi('rr_second', source => 'rr_second', measure => 'count(*)') > 0 AS kpi;
SET work_mem = '64kB';
CALL kpi.refresh('rr_second');
UPDATE rr.lead SET owner = 'other' WHERE lead_id <= 2000;
CALL kpi.refresh('rr_second');
SELECT * FROM kpi.verify('rr_second');
RESET work_mem;

--
-- Entities that somebody names are read; the others stay as old as they are
--
SELECT kpi.create_source('rr_named', key => 'lead_id', owner => 'owner', at => 'day', query => 'SELECT lead_id, owner, day FROM rr.lead') > 0 AS source;
SELECT kpi.create_kpi('rr_named', source => 'rr_named', measure => 'count(*)') > 0 AS kpi;
CALL kpi.refresh('rr_named');
SELECT as_of AS before FROM kpi.source_status WHERE source = 'rr_named' \gset
UPDATE rr.lead SET owner = 'named' WHERE lead_id IN (1, 2);
CALL kpi.refresh('rr_named', entities => '{1}');
CALL kpi.refresh('rr_named', entities => '{1}');
SELECT as_of = :'before' AS as_old, entities_read FROM kpi.source_status WHERE source = 'rr_named';
SELECT owner, count(*) FROM kpi_data.rr_named WHERE lead_id IN (1, 2) GROUP BY 1 ORDER BY 1;
CALL kpi.refresh('rr_named');
SELECT as_of > :'before' AS newer FROM kpi.source_status WHERE source = 'rr_named';
SELECT kpi.drop_source('rr_named', cascade => true);

--
-- full_every of more than 24 days: what was deleted is not found before
--
SELECT kpi.create_source('rr_full', key => 'lead_id', owner => 'owner', at => 'day', changed_at => 'changed', full_every => '30 days',
                         query => 'SELECT lead_id, owner, day, changed FROM rr.lead') > 0 AS source;
SELECT kpi.create_kpi('rr_full', source => 'rr_full', measure => 'count(*)') > 0 AS kpi;
CALL kpi.refresh('rr_full');
DELETE FROM rr.lead WHERE lead_id = 5000;
UPDATE rr.lead SET changed = '2026-01-02' WHERE lead_id = 1;
CALL kpi.refresh('rr_full');
SELECT count(*), max(changed) FROM kpi_data.rr_full;
UPDATE kpi_internal.keyed_state SET whole_at = whole_at - interval '31 days';
CALL kpi.refresh('rr_full');
SELECT count(*) FROM kpi_data.rr_full;
SELECT kpi.drop_source('rr_full', cascade => true);

--
-- Over the kept rows of another: refreshed after it, and it does not go before
--
SELECT kpi.create_source('rr_first', key => 'owner', owner => 'owner', at => 'day', query => 'SELECT owner, max(day) AS day, count(*) AS leads FROM kpi_data.rr_second GROUP BY owner') > 0 AS source;
SELECT kpi.create_kpi('rr_first', source => 'rr_first', measure => 'sum(leads)') > 0 AS kpi;
SELECT kpi.create_source('rr_third', key => 'lead_id', owner => 'owner', at => 'day', query => 'SELECT lead_id, owner, day FROM rr.lead', follow => '{"rr.lead": "lead_id"}') > 0 AS source;
SELECT kpi.alter_source('rr_first', query => 'SELECT owner, max(day) AS day, count(*) AS leads FROM kpi_data.rr_third GROUP BY owner');
SELECT f.relation FROM kpi.followed_relation f JOIN kpi.source s ON s.id = source_id WHERE s.name = 'rr_first';
CALL kpi.refresh();
DELETE FROM rr.lead WHERE lead_id > 4990;
CALL kpi.refresh();
SELECT sum(leads) FROM kpi_data.rr_first;
SELECT kpi.drop_source('rr_second', cascade => true);
SELECT kpi.drop_source('rr_third');
-- a circle
SELECT kpi.alter_source('rr_third', query => 'SELECT leads::integer AS lead_id, owner, day FROM kpi_data.rr_first', follow => '{}');
-- what was only known to be read is not said to be constant
SELECT kpi.alter_source('rr_first', query => 'SELECT l.owner, max(l.day) AS day, count(k.lead_id) AS leads FROM rr.lead l LEFT JOIN kpi_data.rr_third k USING (lead_id) GROUP BY l.owner', follow => '{"rr.lead": "owner"}');
SELECT kpi.drop_source('rr_third', cascade => true);

--
-- Readings that lose too much are held back: all, and of entities
--
SELECT kpi.create_source('rr_hold', key => 'lead_id', owner => 'owner', at => 'day', hold_if_lost => 0.3, query => 'SELECT lead_id, owner, day FROM rr.lead') > 0 AS source;
SELECT kpi.create_kpi('rr_hold', source => 'rr_hold', measure => 'count(*)') > 0 AS kpi;
CALL kpi.refresh('rr_hold');
CREATE TABLE rr.saved AS TABLE rr.lead;
DELETE FROM rr.lead WHERE lead_id > 3000;
CALL kpi.refresh('rr_hold');
SELECT status, reason, kept_rows FROM kpi.source_status WHERE source = 'rr_hold';
SELECT count(*) FROM kpi_data.rr_hold;
SELECT value FROM kpi.team_yearly WHERE kpi = 'rr_hold' AND team = 'company';
-- other keys lose nothing
INSERT INTO rr.lead SELECT lead_id + 10000, owner, day, changed FROM rr.saved WHERE lead_id > 3000;
CALL kpi.refresh('rr_hold');
SELECT status, kept_rows FROM kpi.source_status WHERE source = 'rr_hold';
SELECT value FROM kpi.team_yearly WHERE kpi = 'rr_hold' AND team = 'company';
SELECT kpi.alter_source('rr_hold', follow => '{"rr.lead": "lead_id"}');
CALL kpi.refresh('rr_hold');
DELETE FROM rr.lead WHERE lead_id BETWEEN 2 AND 2400;
CALL kpi.refresh('rr_hold');
SELECT status, reason, kept_rows, pending_deltas > 0 AS waits FROM kpi.source_status WHERE source = 'rr_hold';
SELECT value FROM kpi.team_yearly WHERE kpi = 'rr_hold' AND team = 'company';
SELECT kpi.resume('rr_hold');
CALL kpi.refresh('rr_hold');
SELECT status, kept_rows, pending_deltas FROM kpi.source_status WHERE source = 'rr_hold';
SELECT value FROM kpi.team_yearly WHERE kpi = 'rr_hold' AND team = 'company';
SELECT * FROM kpi.verify('rr_hold');

--
-- A repair counts what it mends, not what only waits
--
UPDATE rr.lead SET owner = 'waits' WHERE lead_id < 14010 AND lead_id > 14000;
SELECT kpi.repair('rr_hold');
UPDATE rr.lead SET owner = 'waits again' WHERE lead_id < 14010 AND lead_id > 14000;
UPDATE kpi_data.rr_hold SET owner = 'changed' WHERE lead_id IN (14020, 14021);
SELECT kpi.repair('rr_hold');
SELECT owner, count(*) FROM kpi_data.rr_hold WHERE lead_id BETWEEN 14000 AND 14021 GROUP BY 1 ORDER BY 1;
SELECT * FROM kpi.verify('rr_hold');
SELECT kpi.drop_source('rr_hold', cascade => true);
DROP SCHEMA rr CASCADE;
