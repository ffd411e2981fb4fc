-- What happens to a table between refreshes, or around one in a transaction,
-- without a row trigger telling: every number is exact all the same, and
-- nobody is locked out.
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SCHEMA fo;
CREATE TABLE fo.deals (id integer, owner_id text, amount numeric, day timestamptz)
	PARTITION BY RANGE (day);
CREATE TABLE fo.deals_1 PARTITION OF fo.deals FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
INSERT INTO fo.deals SELECT i, 'o' || i % 3, i, '2026-01-01'::timestamptz + i * interval '7 hours'
	FROM generate_series(1, 90) i;
SELECT kpi.create_source('fo_deals', relation => 'fo.deals', key => 'id', owner => 'owner_id', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('fo_revenue', source => 'fo_deals', measure => 'sum(amount)') > 0 AS created;

-- Of the company in 2026: as stored, and as it is.
\set exact 'SELECT v.value AS stored, f.sum AS actual, v.value IS NOT DISTINCT FROM f.sum AS exact FROM (SELECT sum(amount) FROM fo.deals) f LEFT JOIN kpi.team_yearly v ON v.kpi = ''fo_revenue'' AND v.team = ''company'';'

-- The first build locks no writer out.
BEGIN;
CALL kpi.refresh('fo_deals');
SELECT relation::regclass, mode FROM pg_locks
 WHERE pid = pg_backend_pid() AND relation IN ('fo.deals'::regclass, 'fo.deals_1'::regclass) ORDER BY 1, 2;
COMMIT;
:exact

-- A new partition that was filled and dropped before any refresh saw it.
CREATE TABLE fo.deals_2 PARTITION OF fo.deals FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO fo.deals VALUES (1000, 'o1', 77, '2026-02-05');
DROP TABLE fo.deals_2;
CALL kpi.refresh('fo_deals');
:exact
CREATE TABLE fo.deals_2 PARTITION OF fo.deals FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO fo.deals VALUES (1000, 'o1', 77, '2026-02-05');
ALTER TABLE fo.deals DETACH PARTITION fo.deals_2;
CALL kpi.refresh('fo_deals');
:exact

-- Attached with rows; no lock for its sake either.
ALTER TABLE fo.deals ATTACH PARTITION fo.deals_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
BEGIN;
CALL kpi.refresh('fo_deals');
SELECT DISTINCT mode FROM pg_locks
 WHERE pid = pg_backend_pid() AND relation IN ('fo.deals'::regclass, 'fo.deals_1'::regclass, 'fo.deals_2'::regclass);
COMMIT;
:exact

-- Once a refresh has seen it, nothing is recomputed for its sake.
INSERT INTO fo.deals VALUES (1001, 'o1', 5, '2026-02-06');
SELECT count(*) AS markers FROM kpi_internal.delta WHERE kind <> 'd';
CALL kpi.refresh('fo_deals');
:exact

-- Truncated by itself: it has no TRUNCATE trigger of its own.
TRUNCATE fo.deals_2;
CALL kpi.refresh('fo_deals');
:exact

-- Two TRUNCATEs of one transaction, of which the second reuses the file, with
-- a refresh between them.
BEGIN;
TRUNCATE fo.deals;
CALL kpi.refresh('fo_deals');
:exact
INSERT INTO fo.deals VALUES (1002, 'o2', 100, '2026-01-15');
CALL kpi.refresh('fo_deals');
TRUNCATE fo.deals;
INSERT INTO fo.deals VALUES (1003, 'o2', 200, '2026-01-15');
COMMIT;
CALL kpi.refresh('fo_deals');
:exact

-- A trigger disabled and enabled in the transaction that made it.
BEGIN;
SELECT kpi.resume('fo_deals');
SELECT 'kpi_capture_' || id AS trigger FROM kpi.source WHERE name = 'fo_deals' \gset
ALTER TABLE fo.deals_1 DISABLE TRIGGER :trigger;
INSERT INTO fo.deals VALUES (1004, 'o2', 300, '2026-01-15');
ALTER TABLE fo.deals_1 ENABLE ALWAYS TRIGGER :trigger;
COMMIT;
CALL kpi.refresh('fo_deals');
:exact

-- A column under the same name that is another one.
BEGIN;
ALTER TABLE fo.deals DROP COLUMN amount;
ALTER TABLE fo.deals ADD COLUMN amount numeric DEFAULT 3;
COMMIT;
CALL kpi.refresh('fo_deals');
:exact
ALTER TABLE fo.deals ADD COLUMN other numeric DEFAULT 7;
BEGIN;
ALTER TABLE fo.deals DROP COLUMN amount;
ALTER TABLE fo.deals RENAME COLUMN other TO amount;
COMMIT;
CALL kpi.refresh('fo_deals');
:exact

-- A type that is stored alike: the day is another one in another zone.
CREATE TABLE fo.calls (id integer PRIMARY KEY, at timestamptz);
SELECT kpi.create_calendar('fo_sp', time_zone => 'America/Sao_Paulo') > 0 AS created;
SELECT kpi.create_source('fo_calls', relation => 'fo.calls', key => 'id', at => 'at', calendar => 'fo_sp') > 0 AS created;
SELECT kpi.create_kpi('fo_calls', source => 'fo_calls', measure => 'count(*)') > 0 AS created;
INSERT INTO fo.calls VALUES (1, '2026-03-01 01:00Z');
CALL kpi.refresh('fo_calls');
SELECT period FROM kpi.team_monthly WHERE kpi = 'fo_calls';
SELECT pg_relation_filenode('fo.calls') AS file \gset
ALTER TABLE fo.calls ALTER at TYPE timestamp;
SELECT pg_relation_filenode('fo.calls') = :file AS not_rewritten;
CALL kpi.refresh('fo_calls');
SELECT period FROM kpi.team_monthly WHERE kpi = 'fo_calls';

-- Within a statement that writes the facts some are not captured yet: they
-- must not be counted now and again when they are.
SELECT kpi.create_kpi('fo_count', source => 'fo_deals', measure => 'count(*)') > 0 AS created;
CREATE FUNCTION fo.refresh() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN CALL kpi.refresh(''fo_deals''); RETURN NULL; END';
CREATE TRIGGER a_refresh AFTER INSERT ON fo.deals FOR EACH ROW EXECUTE FUNCTION fo.refresh();
INSERT INTO fo.deals (id, owner_id, amount, day) VALUES (2000, 'o1', 10, '2026-01-20'), (2001, 'o1', 20, '2026-01-21');
DROP TRIGGER a_refresh ON fo.deals;
WITH i AS (INSERT INTO fo.deals (id, owner_id, amount, day) VALUES (2002, 'o1', 40, '2026-01-20') RETURNING id)
SELECT count(*), kpi.repair('fo_deals') FROM i;
CALL kpi.refresh('fo_deals');
:exact
SELECT v.* FROM kpi.source s, kpi.verify(s.name) v WHERE s.name LIKE 'fo_%';

-- A publication of all tables does not hinder us: the queue has no key.
SET client_min_messages = error;
CREATE PUBLICATION fo_all FOR ALL TABLES;
SET client_min_messages = warning;
INSERT INTO fo.calls VALUES (2, '2026-03-02');
TRUNCATE fo.calls;
SELECT kpi.resume('fo_calls');
BEGIN;
INSERT INTO fo.calls VALUES (3, '2026-03-02');
SELECT kpi.drop_source('fo_calls', cascade => true);
COMMIT;
SELECT kpi.drop_source('fo_deals', cascade => true);
DROP PUBLICATION fo_all;
-- What goes takes what it had in the queue along.
SELECT count(*) FROM kpi_internal.queue_orphan;
SELECT kpi.drop_calendar('fo_sp');
DROP SCHEMA fo CASCADE;
