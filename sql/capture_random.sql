-- Capture: a random stream of changes, savepoints and rollbacks.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/capture.sql
\set deals :abs_srcdir /sql/include/capture_deals.sql
\set ECHO none
\i :oracle
\i :deals
\set ECHO all

CREATE FUNCTION random_changes(depth int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    target int;
BEGIN
    FOR i IN 1 .. 1 + random() * 4 LOOP
        target := random() * 30;
        CASE trunc(random() * 8)
            WHEN 0, 1, 2 THEN
                INSERT INTO deals (id, owner_id, stage, amount, quantity, product, created_at, closed_at)
                VALUES (target, nullif(trunc(random() * 3), 0), (ARRAY['won', 'lost', 'open'])[1 + trunc(random() * 3)],
                        (random() * 1000)::numeric(12, 2), random() * 5, 'p' || trunc(random() * 3),
                        '2026-03-29'::timestamptz + random() * interval '2 days',
                        CASE WHEN random() < 0.8 THEN '2026-10-25'::timestamptz + random() * interval '2 days' END)
                ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, stage = excluded.stage, owner_id = excluded.owner_id;
            WHEN 3 THEN
                UPDATE deals SET amount = amount + 1, closed_at = closed_at + interval '3 hours' WHERE id % 5 = target % 5;
            WHEN 4 THEN
                UPDATE deals SET owner_id = 1, product = 'p1' WHERE id = target;
            WHEN 5 THEN
                DELETE FROM deals WHERE id = target;
            WHEN 6 THEN
                UPDATE deals SET is_deleted = NOT is_deleted, comment = 'x' WHERE id = target;
            ELSE
                IF depth < 4 THEN
                    BEGIN
                        PERFORM random_changes(depth + 1);
                        IF random() < 0.4 THEN
                            RAISE EXCEPTION USING ERRCODE = 'KP000';
                        END IF;
                    EXCEPTION WHEN SQLSTATE 'KP000' THEN
                        NULL;
                    END;
                END IF;
        END CASE;
    END LOOP;
END $$;
CREATE PROCEDURE random_transactions(n int) LANGUAGE plpgsql AS $$
DECLARE
    seed float8 := random();
BEGIN
    PERFORM setseed(seed);
    FOR i IN 1 .. n LOOP
        FOR j IN 1 .. 4 LOOP
            PERFORM random_changes(0);
        END LOOP;
        IF random() < 0.2 THEN ROLLBACK; ELSE COMMIT; END IF;
        IF EXISTS (SELECT FROM differences('deals')) THEN
            RAISE EXCEPTION 'queue and facts differ after transaction %, seed %', i, seed;
        END IF;
    END LOOP;
END $$;
CALL random_transactions(40);
SET kpi.buffer_size = 64;
CALL random_transactions(20);
RESET kpi.buffer_size;

SELECT kpi.drop_source('deals', cascade => true);
CALL empty_queue();
SELECT kpi.drop_calendar('berlin');
DROP SCHEMA capture_test CASCADE;
