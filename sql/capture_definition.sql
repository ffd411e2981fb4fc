-- Capture: TRUNCATE, and definitions and tables that change under a writer.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/capture.sql
\set deals :abs_srcdir /sql/include/capture_deals.sql
\set ECHO none
\i :oracle
\i :deals
\set ECHO all

-- TRUNCATE asks for a recomputation, once a transaction
BEGIN;
TRUNCATE deals;
SAVEPOINT a;
TRUNCATE deals;
ROLLBACK TO a;
INSERT INTO deals (id, owner_id, stage, amount, created_at, closed_at) VALUES (1, 1, 'won', 5, '2026-01-01', '2026-01-02');
TRUNCATE deals;
COMMIT;
BEGIN;
SAVEPOINT a;
TRUNCATE deals;
ROLLBACK TO a;
COMMIT;
SELECT kind, count(*) FROM kpi_internal.delta WHERE kind <> 'd' GROUP BY kind;
CALL empty_queue();

-- definitions change under a writer
BEGIN;
INSERT INTO deals (id, owner_id, stage, amount, created_at, closed_at) VALUES (501, 1, 'won', 5, '2026-01-01', '2026-01-02');
SELECT kpi.create_kpi('lost', source => 'deals', measure => 'count(*)', filter => $$stage = 'lost'$$) > 0 AS created;
INSERT INTO deals (id, owner_id, stage, amount, created_at, closed_at) VALUES (502, 1, 'lost', 5, '2026-01-01', '2026-01-02');
SAVEPOINT a;
SELECT kpi.create_kpi('gone', source => 'deals', measure => 'sum(id)') > 0 AS created;
INSERT INTO deals (id, owner_id, stage, amount, created_at, closed_at) VALUES (503, 1, 'lost', 5, '2026-01-01', '2026-01-02');
ROLLBACK TO a;
INSERT INTO deals (id, owner_id, stage, amount, created_at, closed_at) VALUES (504, 1, 'lost', 5, '2026-01-01', '2026-01-02');
COMMIT;
SELECT cell FROM queue WHERE owner = '1' AND day = '2026-01-02';

-- a renamed table is not the source any more; with its name it is again
DELETE FROM deals;
CALL empty_queue();
ALTER TABLE deals RENAME TO deals_backup;
INSERT INTO deals_backup (id, owner_id, stage, amount, closed_at) VALUES (601, 1, 'won', 5, '2026-01-02');
DELETE FROM deals_backup;
TRUNCATE deals_backup;
SELECT count(*) FROM kpi_internal.delta;
ALTER TABLE deals_backup RENAME TO deals;
INSERT INTO deals (id, owner_id, stage, amount, closed_at) VALUES (601, 1, 'won', 5, '2026-01-02');
SELECT * FROM differences('deals');

-- a column that is used is dropped: writes go on, the source is to be suspended
ALTER TABLE deals DROP COLUMN quantity;
BEGIN;
INSERT INTO deals (id, owner_id, stage, amount, closed_at) SELECT i, 1, 'won', 5, '2026-01-02' FROM generate_series(701, 710) i;
SAVEPOINT a;
UPDATE deals SET amount = 6;
ROLLBACK TO a;
DELETE FROM deals WHERE id = 701;
COMMIT;
BEGIN;
SAVEPOINT a;
UPDATE deals SET amount = 6;
ROLLBACK TO a;
COMMIT;
SELECT kind, error, count(*) FROM kpi_internal.delta WHERE kind <> 'd' GROUP BY kind, error;
CALL empty_queue();
ALTER TABLE deals ADD COLUMN quantity text;
UPDATE deals SET amount = 7 WHERE id = 702;
SELECT kind, regexp_replace(error, 'measure \d+', 'measure') AS error FROM kpi_internal.delta;
ALTER TABLE deals ALTER quantity TYPE int USING quantity::int;
TRUNCATE deals;
CALL empty_queue();
INSERT INTO deals (id, owner_id, stage, amount, quantity, closed_at) VALUES (801, 1, 'won', 5, 3, '2026-01-02');
SELECT * FROM differences('deals');

SELECT kpi.drop_source('deals', cascade => true);
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'deals'::regclass AND tgname LIKE 'kpi%';
INSERT INTO deals (id, owner_id) VALUES (802, 1);
DROP TABLE deals;
CALL empty_queue();

SELECT kpi.drop_calendar('berlin');
DROP SCHEMA capture_test CASCADE;
