-- The queue: a refresh reads its own source's part of it, and not what was
-- consumed before; counted in pages.
SET client_min_messages = warning;
SET datestyle = 'ISO';
CREATE SCHEMA rq;
CREATE TABLE rq.busy (id integer, owner text, day date, amount integer);
CREATE TABLE rq.idle (id integer, owner text, day date, amount integer);
SELECT count(*) FROM (VALUES
    (kpi.create_source('rq_busy', relation => 'rq.busy', owner => 'owner', at => 'day')),
    (kpi.create_source('rq_idle', relation => 'rq.idle', owner => 'owner', at => 'day')),
    (kpi.create_kpi('rq_busy', source => 'rq_busy', measure => 'sum(amount)')),
    (kpi.create_kpi('rq_idle', source => 'rq_idle', measure => 'sum(amount)'))) v;
CALL kpi.refresh();

-- what this session has read of the queue of a source
CREATE VIEW rq.fetched AS
SELECT s.name AS source, sum(pg_stat_get_xact_blocks_fetched(c.oid)) AS blocks
  FROM kpi.source s
  JOIN pg_class c ON c.relnamespace = 'kpi_internal'::regnamespace
   AND c.relname IN (format('queue_%s_0', s.id), format('queue_%s_1', s.id))
 WHERE s.name LIKE 'rq%' GROUP BY s.name;
CREATE VIEW rq.size AS
SELECT s.name AS source, sum(pg_relation_size(c.oid)) / 8192 AS pages
  FROM kpi.source s
  JOIN pg_class c ON c.relnamespace = 'kpi_internal'::regnamespace
   AND c.relname IN (format('queue_%s_0', s.id), format('queue_%s_1', s.id))
 WHERE s.name LIKE 'rq%' GROUP BY s.name;

-- 100,000 deltas of a source that nobody refreshes, in few pages
INSERT INTO rq.idle SELECT i, 'o' || i % 1000, date '2026-01-01' + i / 1000, i FROM generate_series(0, 99999) i;
SELECT source, pending_deltas FROM kpi.source_status WHERE source LIKE 'rq%' ORDER BY 1;
SELECT source, pages BETWEEN 300 AND 900 AS packed FROM rq.size WHERE source = 'rq_idle';
INSERT INTO rq.busy VALUES (1, 'o1', '2026-01-01', 1);
BEGIN;
CREATE TEMP TABLE before ON COMMIT DROP AS SELECT * FROM rq.fetched;
CALL kpi.refresh('rq_busy');
SELECT source, a.blocks - b.blocks BETWEEN 1 AND 20 AS some, a.blocks - b.blocks = 0 AS none
  FROM rq.fetched a JOIN before b USING (source) ORDER BY 1;
COMMIT;
SELECT source, pending_deltas FROM kpi.source_status WHERE source LIKE 'rq%' ORDER BY 1;

-- What is consumed is gone: nothing of it is left to the next refresh.
SELECT kpi.pause('rq_busy');
CALL kpi.refresh();
SELECT kpi.resume('rq_busy');
SELECT source, pending_deltas FROM kpi.source_status WHERE source LIKE 'rq%' ORDER BY 1;
SELECT source, pages < 64 AS emptied FROM rq.size WHERE source = 'rq_idle';
SELECT count(*) FROM kpi.verify();

-- What was consumed counts as such in the transaction that has done it; rolled
-- back, it waits again.
UPDATE rq.idle SET amount = amount + 1 WHERE id < 20000;
BEGIN;
CALL kpi.refresh('rq_idle');
SELECT pending_deltas FROM kpi.source_status WHERE source = 'rq_idle';
INSERT INTO rq.idle VALUES (-1, 'o1', '2026-01-01', 1);
CALL kpi.refresh('rq_idle');
SELECT pending_deltas FROM kpi.source_status WHERE source = 'rq_idle';
SELECT * FROM kpi.verify('rq_idle');
ROLLBACK;
SELECT pending_deltas FROM kpi.source_status WHERE source = 'rq_idle';
BEGIN;
SAVEPOINT s;
CALL kpi.refresh('rq_idle');
INSERT INTO rq.idle VALUES (-2, 'o1', '2026-01-01', 1);
ROLLBACK TO s;
SELECT pending_deltas FROM kpi.source_status WHERE source = 'rq_idle';
INSERT INTO rq.idle VALUES (-3, 'o1', '2026-01-01', 1);
COMMIT;
SELECT pending_deltas FROM kpi.source_status WHERE source = 'rq_idle';
BEGIN;
SAVEPOINT s;
CALL kpi.refresh('rq_idle');
RELEASE s;
INSERT INTO rq.idle VALUES (-4, 'o1', '2026-01-01', 1);
COMMIT;
SELECT pending_deltas FROM kpi.source_status WHERE source = 'rq_idle';
SELECT * FROM kpi.verify('rq_idle');
SELECT v.value = (SELECT sum(amount) FROM rq.idle) AS exact FROM kpi.team_yearly v WHERE v.kpi = 'rq_idle' AND v.team = 'company';

-- The tables go with the source.  One that is in use stays until another is made.
SELECT id AS idle_id FROM kpi.source WHERE name = 'rq_idle' \gset
SELECT kpi.drop_source('rq_idle', cascade => true);
SELECT count(*) FROM pg_class WHERE relnamespace = 'kpi_internal'::regnamespace AND relname LIKE 'queue_' || :idle_id || '\_%';
SELECT count(*) FROM kpi_internal.queue_orphan;

-- They are the extension's own.
SELECT count(*) AS others FROM pg_class c
 WHERE c.relnamespace = 'kpi_internal'::regnamespace AND c.relkind = 'r'
   AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' AND e.extname = 'pg_kpi');
SELECT kpi.drop_source('rq_busy', cascade => true);
DROP SCHEMA rq CASCADE;
