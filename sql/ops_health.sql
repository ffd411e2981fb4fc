-- kpi.health(): one row per problem, none when all is well.
SET client_min_messages = warning;
SET datestyle = 'ISO';
CREATE SCHEMA health_test;
CREATE TABLE health_test.deals (id integer PRIMARY KEY, owner text, closed_at date, amount text);
INSERT INTO health_test.deals VALUES (1, 'alice', '2026-10-05', '100');
-- without the time of day, and without what is the server's and not ours
CREATE VIEW health_test.health AS
    SELECT severity, problem, object, pg_catalog.regexp_replace(detail, ' \d+-\S+ \S+', ' (when)', 'g') AS detail, remedy
      FROM kpi.health() WHERE problem NOT IN ('not_preloaded', 'no_worker', 'max_worker_processes', 'autovacuum', 'unassigned');

-- No source: nothing can be wrong.
SELECT * FROM health_test.health;

SELECT kpi.create_source('deals', relation => 'health_test.deals', owner => 'owner', at => 'closed_at') > 0 AS created;
SELECT kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount::numeric)') > 0 AS created;
SELECT kpi.set_refresh('deals', 'manual');
CALL kpi.refresh();
SELECT * FROM health_test.health;

-- Facts that are left out.
INSERT INTO health_test.deals VALUES (2, 'bob', '2026-10-05', 'many');
CALL kpi.refresh();
SELECT * FROM health_test.health;
DELETE FROM health_test.deals WHERE id = 2;
CALL kpi.refresh();
SELECT * FROM health_test.health;

-- Paused, and something waits.
SELECT kpi.pause('deals');
SELECT * FROM health_test.health;
INSERT INTO health_test.deals VALUES (2, 'bob', '2026-10-05', '2');
SELECT * FROM health_test.health;
SELECT kpi.resume('deals');
SELECT * FROM health_test.health;

-- Nobody refreshes a source that is to be current.
SELECT kpi.set_refresh('deals', 'continuous');
INSERT INTO health_test.deals VALUES (3, 'bob', '2026-10-05', '2');
UPDATE kpi_internal.source_state SET as_of = as_of - interval '2 minutes';
SELECT * FROM health_test.health;
SELECT kpi.set_refresh('deals', 'manual');
SELECT * FROM health_test.health;
-- A long queue is one, however the source is refreshed.
-- (of a stream that does not exist, so that nothing comes of them)
DO $$
DECLARE
    id integer := (SELECT s.id FROM kpi.source s);
BEGIN
    EXECUTE format($i$INSERT INTO kpi_internal.queue_%s_0 (captured_at, deltas, kind, data)
                      SELECT now(), 100, 'd', '\x01' FROM generate_series(1, 1000)$i$, id);
END $$;
SELECT * FROM health_test.health;
CALL kpi.refresh('deals');
SELECT * FROM health_test.health;

-- The worker met an error.
UPDATE kpi_internal.source_state SET last_error = '22012 division by zero', last_sqlstate = '22012', failing_since = now(), failures = 3, next_try = now();
SELECT * FROM health_test.health;
SELECT last_error, last_sqlstate, failing_since IS NOT NULL AS failing, failures, next_try IS NOT NULL AS next_try FROM kpi.source_status;
UPDATE kpi_internal.source_state SET last_error = NULL, last_sqlstate = NULL, failing_since = NULL, failures = 0, next_try = NULL;

-- Triggers.
ALTER TABLE health_test.deals DISABLE TRIGGER ALL;
SELECT * FROM health_test.health;
SELECT kpi.resume('deals');
SELECT * FROM health_test.health;

-- Suspended.
CREATE TABLE health_test.child () INHERITS (health_test.deals);
CALL kpi.refresh();
SELECT * FROM health_test.health;
DROP TABLE health_test.child;
SELECT kpi.resume();
SELECT * FROM health_test.health;

-- Publications of all tables carry the queue.
SET client_min_messages = error;
CREATE PUBLICATION regress_kpi_all FOR ALL TABLES;
CREATE PUBLICATION regress_kpi_some FOR TABLE health_test.deals, kpi.kpi;
CREATE PUBLICATION "Regress schema" FOR TABLES IN SCHEMA kpi_internal;
SET client_min_messages = warning;
SELECT * FROM health_test.health;
-- They do not hinder what deletes from the queue.
INSERT INTO health_test.deals VALUES (4, 'bob', '2026-10-05', '2');
CALL kpi.refresh();
SELECT kpi.resume('deals');
SELECT kpi.create_source('more', relation => 'health_test.deals', at => 'closed_at') > 0 AS created;
SELECT kpi.drop_source('more');
SELECT count(*) FROM kpi_internal.delta;
DROP PUBLICATION regress_kpi_all, regress_kpi_some, "Regress schema";
SELECT * FROM health_test.health;

SELECT kpi.drop_source('deals', cascade => true);
SELECT * FROM health_test.health;
DROP SCHEMA health_test CASCADE;
