-- A source whose changes cannot be captured says so once, not once for each
-- transaction, and one that is suspended takes nothing from its writers.
SET client_min_messages = error;
\set SHOW_CONTEXT never
CREATE SCHEMA susp;
CREATE TABLE susp.deals (id integer, amount numeric, day date NOT NULL) PARTITION BY LIST (id);
CREATE TABLE susp.one PARTITION OF susp.deals FOR VALUES IN (1);
CREATE TABLE susp.two PARTITION OF susp.deals FOR VALUES IN (2);
SELECT kpi.create_source('susp', relation => 'susp.deals', key => 'id', at => 'day') > 0 AS created;
CREATE FUNCTION susp.net(x numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN x; END';
SELECT kpi.create_kpi('susp', source => 'susp', measure => 'sum(susp.net(amount))') > 0 AS created;
INSERT INTO susp.deals VALUES (1, 1, '2026-03-01');
CALL kpi.refresh('susp');
CREATE VIEW susp.queue AS SELECT status, reason, pending_deltas,
    (SELECT string_agg(d.kind::text || CASE d.kind WHEN 's' THEN ': ' || d.error ELSE '' END, ', ' ORDER BY d.kind) FROM kpi_internal.delta d JOIN kpi.source s ON s.id = d.source_id
      WHERE s.name = 'susp') AS queue
  FROM kpi.source_status WHERE source = 'susp';
CREATE VIEW susp.total AS SELECT value, value = (SELECT sum(amount) FROM susp.deals) AS exact FROM kpi.team_yearly WHERE kpi = 'susp' AND team = 'company';

-- A marker that is rolled back is none.
ALTER FUNCTION susp.net(numeric) RENAME TO gross;
BEGIN;
INSERT INTO susp.deals VALUES (1, 2, '2026-03-02');
SELECT * FROM susp.queue;
ROLLBACK;
BEGIN;
SAVEPOINT s;
INSERT INTO susp.deals VALUES (1, 4, '2026-03-02');
ROLLBACK TO s;
SELECT * FROM susp.queue;
INSERT INTO susp.deals VALUES (1, 8, '2026-03-02');
COMMIT;
SELECT * FROM susp.queue;
-- Any number of transactions later it is still one.
DO $$ BEGIN
    FOR i IN 1 .. 20 LOOP
        INSERT INTO susp.deals VALUES (1, i, '2026-03-02');
        UPDATE susp.deals SET amount = amount + 1 WHERE amount = i;
        COMMIT;
    END LOOP;
END $$;
SELECT * FROM susp.queue;
CALL kpi.refresh('susp');
SELECT * FROM susp.queue;
INSERT INTO susp.deals VALUES (2, 64, '2026-03-03');
\c -
SET client_min_messages = error;
\set SHOW_CONTEXT never
DO $$ BEGIN
    FOR i IN 1 .. 20 LOOP
        INSERT INTO susp.deals VALUES (1 + i % 2, i, '2026-03-03');
        COMMIT;
    END LOOP;
END $$;
TRUNCATE susp.two;
SELECT * FROM susp.queue;

-- Mended, and broken again.
ALTER FUNCTION susp.gross(numeric) RENAME TO net;
INSERT INTO susp.deals VALUES (2, 256, '2026-03-04');
SELECT kpi.resume('susp');
SELECT * FROM susp.queue;
INSERT INTO susp.deals VALUES (2, 512, '2026-03-04');
CALL kpi.refresh('susp');
SELECT * FROM susp.total;
SELECT * FROM susp.queue;
SELECT * FROM kpi.verify('susp');
ALTER FUNCTION susp.net(numeric) RENAME TO gross;
BEGIN;
INSERT INTO susp.deals VALUES (2, 1024, '2026-03-04');
ALTER FUNCTION susp.gross(numeric) RENAME TO net;
SELECT kpi.resume('susp');
ALTER FUNCTION susp.net(numeric) RENAME TO gross;
INSERT INTO susp.deals VALUES (2, 2048, '2026-03-04');
COMMIT;
SELECT * FROM susp.queue;
INSERT INTO susp.deals VALUES (2, 4096, '2026-03-04');
ALTER FUNCTION susp.gross(numeric) RENAME TO net;
SELECT kpi.resume('susp');
CALL kpi.refresh('susp');
SELECT * FROM susp.total;

-- Suspended by what no writer meets: they queue nothing from then on.
ALTER TABLE susp.two DISABLE TRIGGER ALL;
CALL kpi.refresh('susp');
DO $$ BEGIN
    FOR i IN 1 .. 20 LOOP
        INSERT INTO susp.deals VALUES (1, i, '2026-03-05');
        COMMIT;
    END LOOP;
END $$;
INSERT INTO susp.two VALUES (2, 1, '2026-03-05');
SELECT * FROM susp.queue;
SELECT kpi.resume('susp');
INSERT INTO susp.deals VALUES (1, 16384, '2026-03-05');
CALL kpi.refresh('susp');
SELECT * FROM susp.total;
SELECT * FROM susp.queue;

-- A suspension, and the end of one, that are rolled back.
BEGIN;
ALTER TABLE susp.two DISABLE TRIGGER ALL;
CALL kpi.refresh('susp');
INSERT INTO susp.deals VALUES (1, 1, '2026-03-06');
SELECT * FROM susp.queue;
ROLLBACK;
INSERT INTO susp.deals VALUES (1, 2, '2026-03-06');
BEGIN;
SAVEPOINT s;
ALTER TABLE susp.two DISABLE TRIGGER ALL;
CALL kpi.refresh('susp');
INSERT INTO susp.deals VALUES (1, 4, '2026-03-06');
ROLLBACK TO s;
INSERT INTO susp.deals VALUES (1, 8, '2026-03-06');
COMMIT;
SELECT * FROM susp.queue;
CALL kpi.refresh('susp');
SELECT * FROM susp.total;
ALTER TABLE susp.two DISABLE TRIGGER ALL;
CALL kpi.refresh('susp');
BEGIN;
SELECT kpi.resume('susp');
INSERT INTO susp.deals VALUES (1, 16, '2026-03-06');
ROLLBACK;
INSERT INTO susp.deals VALUES (1, 32, '2026-03-06');
SELECT * FROM susp.queue;
SELECT kpi.resume('susp');
CALL kpi.refresh('susp');
SELECT * FROM susp.total;
SELECT * FROM kpi.verify('susp');
SELECT kpi.drop_source('susp', cascade => true);
DROP SCHEMA susp CASCADE;
