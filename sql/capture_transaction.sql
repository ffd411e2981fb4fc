-- Capture: savepoints, procedures that commit, two-phase commit, and spills.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/capture.sql
\set deals :abs_srcdir /sql/include/capture_deals.sql
\set ECHO none
\i :oracle
\i :deals
\set ECHO all

INSERT INTO deals (id, owner_id, stage, amount, quantity, product, created_at, closed_at)
SELECT i, i % 5, (ARRAY['won', 'lost', 'open'])[1 + i % 3], i * 9.99, i % 7, 'p' || i % 3,
       '2026-03-28 00:00+00'::timestamptz + i * interval '37 minutes',
       CASE WHEN i % 3 < 2 THEN '2026-03-28 12:00+00'::timestamptz + i * interval '41 minutes' END
  FROM generate_series(1, 100) i;

-- savepoints
BEGIN;
UPDATE deals SET amount = 11 WHERE id = 80;
SAVEPOINT a;
UPDATE deals SET amount = 12 WHERE id = 80;
SAVEPOINT b;
UPDATE deals SET owner_id = 3 WHERE id IN (80, 81);
RELEASE b;
SAVEPOINT c;
DELETE FROM deals WHERE id = 82;
ROLLBACK TO c;
UPDATE deals SET amount = 13 WHERE id = 82;
RELEASE a;
SAVEPOINT d;
DELETE FROM deals WHERE id > 80;
SAVEPOINT e;
DELETE FROM deals;
RELEASE e;
ROLLBACK TO d;
ROLLBACK TO d;
UPDATE deals SET amount = 14 WHERE id = 83;
COMMIT;
SELECT * FROM differences('deals');
BEGIN;
SAVEPOINT a;
UPDATE deals SET amount = 21 WHERE id = 84;
ROLLBACK TO a;
SAVEPOINT b;
SAVEPOINT c;
UPDATE deals SET amount = 22 WHERE id = 85;
COMMIT;
SELECT * FROM differences('deals');
BEGIN;
UPDATE deals SET amount = 0;
SAVEPOINT a;
DELETE FROM deals;
ROLLBACK;
SELECT * FROM differences('deals');
DO $$
BEGIN
    UPDATE deals SET amount = 31 WHERE id = 86;
    BEGIN
        UPDATE deals SET amount = 32 WHERE id IN (86, 87);
        BEGIN
            UPDATE deals SET amount = 33 WHERE id = 88;
            PERFORM 1 / 0;
        EXCEPTION WHEN division_by_zero THEN
            UPDATE deals SET amount = 34 WHERE id = 89;
        END;
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
END $$;
SELECT * FROM differences('deals');
-- procedures that commit
DO $$
BEGIN
    UPDATE deals SET amount = 41 WHERE id = 90;
    COMMIT;
    UPDATE deals SET amount = 42 WHERE id IN (90, 91);
    ROLLBACK;
    UPDATE deals SET amount = 43 WHERE id = 92;
END $$;
SELECT * FROM differences('deals');

-- two-phase commit
SELECT current_setting('max_prepared_transactions')::int > 0 AS can_prepare \gset
\if :can_prepare
BEGIN;
UPDATE deals SET amount = 51 WHERE id = 93;
SAVEPOINT a;
UPDATE deals SET amount = 52 WHERE id = 94;
PREPARE TRANSACTION 'capture_test_1';
BEGIN;
UPDATE deals SET amount = 53 WHERE id = 95;
PREPARE TRANSACTION 'capture_test_2';
COMMIT PREPARED 'capture_test_1';
ROLLBACK PREPARED 'capture_test_2';
\endif
SELECT * FROM differences('deals');

-- spills: more cells than the buffer holds, some of them undone
SET kpi.buffer_size = 64;
BEGIN;
INSERT INTO deals (id, owner_id, stage, amount, quantity, product, created_at, closed_at)
SELECT 1000 + i, i % 4, 'won', i, 1, 'p' || i, '2026-06-01', '2026-06-01'::timestamptz + (i % 50) * interval '1 day'
  FROM generate_series(10, 1000) i;
SAVEPOINT a;
UPDATE deals SET amount = amount + 1, product = 'q' || id WHERE id > 1000;
ROLLBACK TO a;
UPDATE deals SET product = product || 'r' WHERE id > 1500;
SAVEPOINT b;
DELETE FROM deals WHERE id > 1800;
RELEASE b;
COMMIT;
RESET kpi.buffer_size;
SELECT * FROM differences('deals');

SELECT kpi.drop_source('deals', cascade => true);
CALL empty_queue();
SELECT kpi.drop_calendar('berlin');
DROP SCHEMA capture_test CASCADE;
