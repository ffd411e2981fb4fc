-- Capture: what writers do to a source's table reaches the queue, exactly.

CREATE SCHEMA capture_test;
SET search_path = capture_test;
SET client_min_messages = warning;
SET datestyle = 'ISO';

-- The oracle: the deltas of a source, merged, against a recomputation, days
-- that no fact can have counted apart.  All tables here start empty, so the
-- queue alone must say what they hold.
CREATE FUNCTION differences(source_name text)
RETURNS TABLE (kpi text, owner text, day date, dims text[], queue text, facts text)
LANGUAGE plpgsql AS $$
DECLARE
    stream record;
BEGIN
    FOR stream IN
        SELECT s.id, s.version, min(k.name) AS kpi,
               string_agg(format('SELECT CASE WHEN o.ok THEN f.owner::text END AS owner,
                                        CASE WHEN o.ok THEN f.day ELSE ''-infinity'' END AS day,
                                        CASE WHEN o.ok THEN %s::text[] END AS dims,
                                        kpi.cell_agg(%L, %s) AS cell, count(*) AS facts
                                   FROM (%s) f, LATERAL (SELECT f.day BETWEEN ''1900-01-01'' AND ''2200-12-31'' AS ok) o
                                  GROUP BY 1, 2, 3',
                                 coalesce(d.list, 'NULL'), m.id || ':' || m.kind,
                                 (SELECT string_agg(format('f.m%s_%s', m.id, i), ', ' ORDER BY i) FROM generate_subscripts(m.inputs, 1) i),
                                 kpi.facts_query(source_name, k.name)), ' UNION ALL ') AS facts
          FROM kpi_internal.stream s
          JOIN kpi_internal.measure m ON m.stream_id = s.id
          JOIN kpi.kpi k ON k.id = m.kpi_id
          JOIN kpi.source o ON o.id = s.source_id
         CROSS JOIN LATERAL (SELECT 'ARRAY[' || string_agg(format('f.%I', d.name), ', ' ORDER BY d.position) || ']'
                               FROM kpi.dimension d WHERE d.source_id = o.id) d (list)
         WHERE o.name = source_name
         GROUP BY s.id
    LOOP
        RETURN QUERY EXECUTE format(
            'WITH q AS (SELECT owner, day, dims, kpi.merge(cell) AS cell FROM kpi_internal.delta
                         WHERE stream_id = %s AND version = %s AND kind = ''d'' GROUP BY owner, day, dims),
                  f AS (SELECT u.owner, u.day, u.dims,
                               CASE WHEN u.day = ''-infinity'' THEN format(''v1{0:errors n=%%s}'', max(u.facts))::kpi.cell
                                    ELSE kpi.merge(u.cell) END AS cell
                          FROM (%s) u GROUP BY 1, 2, 3)
             SELECT %L, coalesce(q.owner, f.owner), coalesce(q.day, f.day), coalesce(q.dims, f.dims),
                    q.cell::text, f.cell::text
               FROM q FULL JOIN f
                 ON q.day = f.day AND coalesce(q.owner, ''(null)'') = coalesce(f.owner, ''(null)'')
                    AND coalesce(q.dims::text, '''') = coalesce(f.dims::text, '''')
              WHERE coalesce(q.cell, ''v1{}'') OPERATOR(kpi.<>) coalesce(f.cell, ''v1{}'') ORDER BY 2, 3, 4',
            stream.id, stream.version, stream.facts, stream.kpi);
    END LOOP;
END $$;

-- what the queue holds of a source, and no more
CREATE VIEW queue AS
SELECT s.name AS source, d.kind, d.owner, d.day, d.dims,
       regexp_replace(kpi.merge(d.cell)::text, '[0-9]+:', '#:', 'g') AS cell, count(*) AS rows, max(d.error) AS error
  FROM kpi_internal.delta d JOIN kpi.source s ON s.id = d.source_id
 GROUP BY s.name, d.kind, d.owner, d.day, d.dims;

CREATE TABLE deals (
    id bigint PRIMARY KEY, owner_id int, stage text, amount numeric(12,2), quantity smallint,
    product text, comment text, created_at timestamptz, closed_at timestamptz,
    net numeric GENERATED ALWAYS AS (amount * 0.8) STORED,
    is_deleted boolean NOT NULL DEFAULT false
);
SELECT kpi.create_calendar('berlin', time_zone => 'Europe/Berlin') > 0 AS created;
SELECT kpi.create_source('deals', relation => 'capture_test.deals', key => 'id', owner => 'owner_id',
                         at => 'closed_at', filter => 'NOT is_deleted', calendar => 'berlin',
                         dimensions => '{"product": "product", "size": "CASE WHEN amount > 500 THEN ''large'' ELSE ''small'' END"}') > 0 AS created;
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('won', source => 'deals', measure => 'count(*)', filter => $$stage = 'won'$$)),
    (kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount)', filter => $$stage = 'won'$$)),
    (kpi.create_kpi('net', source => 'deals', measure => 'sum(net)')),
    (kpi.create_kpi('win_rate', source => 'deals', measure => $$rate(stage = 'won', stage IN ('won', 'lost'))$$)),
    (kpi.create_kpi('cycle', source => 'deals', measure => 'avg(closed_at - created_at)', filter => $$stage = 'won'$$)),
    (kpi.create_kpi('per_item', source => 'deals', measure => 'ratio(amount, quantity)')),
    (kpi.create_kpi('created', source => 'deals', measure => 'count(*)', at => 'created_at', owner => 'product')),
    (kpi.create_kpi('company_items', source => 'deals', measure => 'sum(quantity)', at => '(created_at AT TIME ZONE ''UTC'')::date'))
) k;

-- the triggers
SELECT tgname ~ '^kpi_(capture|truncate)_[0-9]+$' AS named, tgenabled, tgtype, tgfoid::regproc,
       (SELECT count(*) FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'x') AS of_extension
  FROM pg_trigger t WHERE tgrelid = 'deals'::regclass ORDER BY tgname;

-- all kinds of statements
INSERT INTO deals (id, owner_id, stage, amount, quantity, product, created_at, closed_at)
SELECT i, i % 5, (ARRAY['won', 'lost', 'open'])[1 + i % 3], i * 9.99, i % 7, 'p' || i % 3,
       '2026-03-28 00:00+00'::timestamptz + i * interval '37 minutes',
       CASE WHEN i % 3 < 2 THEN '2026-03-28 12:00+00'::timestamptz + i * interval '41 minutes' END
  FROM generate_series(1, 100) i;
SELECT * FROM differences('deals');
-- values at the borders: NULLs, days of 23 and 25 hours, infinity, NaN
INSERT INTO deals (id, owner_id, stage, amount, quantity, product, created_at, closed_at) VALUES
    (201, NULL, 'won', 1, 1, NULL, '2026-03-29 00:59:59.999999+00', '2026-03-29 22:00+00'),
    (202, 1, NULL, NULL, NULL, '', '2026-03-28 23:00+00', '2026-10-24 22:00+00'),
    (203, 1, 'won', 'NaN', 3, 'p1', '2026-10-25 22:59:59.999999+00', '2026-10-25 23:00+00'),
    (204, 2, 'lost', 5, 3, 'p"{,}\', '1970-01-01 00:00+00', '1969-12-31 22:59:59.999999+00'),
    (205, 2, 'won', 5, 3, 'p1', '0850-06-01 12:00+00', '9998-12-31 23:00+00'),
    (206, 3, 'lost', 5, 3, 'p1', NULL, NULL),
    (207, 3, 'lost', 5, 3, 'p1', 'infinity', '-infinity'),
    (208, 3, 'open', 5, 3, 'p1', '-infinity', '2026-01-01 00:00+00'),
    (210, 3, 'open', 99999, 3, repeat('x', 800), '2026-01-01 00:00+00', '2026-01-01 00:00+00');
SELECT * FROM differences('deals') WHERE concat(owner, dims) NOT LIKE '%xxx%';
UPDATE deals SET amount = amount + 1 WHERE id % 4 = 0;
UPDATE deals SET stage = 'won', closed_at = '2026-05-01' WHERE stage = 'open' AND id < 30;
UPDATE deals SET owner_id = 7 WHERE owner_id = 1;
UPDATE deals SET is_deleted = true WHERE id % 10 = 3;
UPDATE deals SET is_deleted = false WHERE id % 20 = 3;
UPDATE deals SET id = id + 1000 WHERE id < 10;
DELETE FROM deals WHERE id % 9 = 2;
SELECT * FROM differences('deals') WHERE concat(owner, dims) NOT LIKE '%xxx%';
-- long keys are cut and told apart by a hash
SELECT length(dims[2]), octet_length(dims[2]), right(dims[2], 33) ~ '^#[0-9a-f]{32}$' AS hashed, cell FROM queue
 WHERE dims[2] LIKE 'xxx%' AND owner = '3';
DELETE FROM deals WHERE id = 210;
SELECT * FROM differences('deals');

-- nothing that an expression uses has changed: nothing is written
SELECT count(*) AS before FROM kpi_internal.delta \gset
UPDATE deals SET comment = 'x', amount = amount;
SELECT count(*) - :before AS rows FROM kpi_internal.delta;
-- a change and its reverse in one transaction: nothing is written
BEGIN;
UPDATE deals SET amount = amount + 1;
UPDATE deals SET amount = amount - 1;
INSERT INTO deals (id, owner_id, stage, amount, created_at, closed_at) VALUES (301, 1, 'won', 5, '2026-01-01', '2026-01-02');
DELETE FROM deals WHERE id = 301;
COMMIT;
SELECT count(*) - :before AS rows FROM kpi_internal.delta;

COPY deals (id, owner_id, stage, amount, quantity, product, created_at, closed_at) FROM stdin WITH (DELIMITER ',');
401,1,won,100.50,2,p1,2026-01-05 10:00+00,2026-02-05 10:00+00
402,2,lost,200.50,2,p2,2026-01-05 10:00+00,2026-02-05 10:00+00
403,2,open,300.50,\N,p2,2026-01-05 10:00+00,\N
\.
SELECT * FROM differences('deals');
INSERT INTO deals (id, owner_id, stage, amount, created_at, closed_at)
VALUES (401, 9, 'won', 1, '2026-01-01', '2026-01-02'), (404, 9, 'won', 1, '2026-01-01', '2026-01-02')
ON CONFLICT (id) DO UPDATE SET amount = deals.amount + excluded.amount, owner_id = excluded.owner_id;
INSERT INTO deals (id, owner_id, stage, amount, created_at, closed_at)
VALUES (401, 8, 'won', 1, '2026-01-01', '2026-01-02'), (405, 8, 'won', 1, '2026-01-01', '2026-01-02')
ON CONFLICT (id) DO NOTHING;
MERGE INTO deals d USING (VALUES (401, 10.0), (402, 20.0), (406, 30.0)) v(id, amount) ON d.id = v.id
WHEN MATCHED AND d.stage = 'lost' THEN DELETE
WHEN MATCHED THEN UPDATE SET amount = v.amount
WHEN NOT MATCHED THEN INSERT (id, owner_id, stage, amount, created_at, closed_at)
     VALUES (v.id, 4, 'won', v.amount, '2026-01-01', '2026-01-02');
WITH gone AS (DELETE FROM deals WHERE id BETWEEN 401 AND 404 RETURNING *),
     moved AS (UPDATE deals SET owner_id = 6 WHERE id BETWEEN 20 AND 30 RETURNING id)
INSERT INTO deals (id, owner_id, stage, amount, created_at, closed_at)
SELECT id + 100, owner_id, 'lost', amount, created_at, closed_at FROM gone;
SELECT * FROM differences('deals');

-- cascades, and BEFORE triggers that change other columns than the statement
CREATE TABLE accounts (id int PRIMARY KEY);
INSERT INTO accounts SELECT generate_series(0, 20);
ALTER TABLE deals ADD CONSTRAINT account FOREIGN KEY (owner_id) REFERENCES accounts ON DELETE CASCADE ON UPDATE CASCADE;
DELETE FROM accounts WHERE id = 4;
UPDATE accounts SET id = 30 WHERE id = 6;
CREATE FUNCTION before_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.amount := NEW.amount * 2;
    IF NEW.comment = 'skip' THEN RETURN NULL; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER before_change BEFORE INSERT OR UPDATE ON deals FOR EACH ROW EXECUTE FUNCTION before_change();
UPDATE deals SET comment = 'double' WHERE id < 40;
UPDATE deals SET comment = 'skip', owner_id = 1 WHERE id BETWEEN 40 AND 50;
DROP TRIGGER before_change ON deals;
SELECT * FROM differences('deals');

-- replication applies with session_replication_role = replica
SET session_replication_role = replica;
UPDATE deals SET amount = 1 WHERE id BETWEEN 60 AND 70;
DELETE FROM deals WHERE id BETWEEN 71 AND 75;
RESET session_replication_role;
SELECT * FROM differences('deals');

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
DELETE FROM kpi_internal.delta;

-- a random stream of changes, savepoints and rollbacks
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
DELETE FROM kpi_internal.delta;
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
DELETE FROM kpi_internal.delta;
ALTER TABLE deals ADD COLUMN quantity text;
UPDATE deals SET amount = 7 WHERE id = 702;
SELECT kind, error FROM kpi_internal.delta;
ALTER TABLE deals ALTER quantity TYPE int USING quantity::int;
TRUNCATE deals;
DELETE FROM kpi_internal.delta;
INSERT INTO deals (id, owner_id, stage, amount, quantity, closed_at) VALUES (801, 1, 'won', 5, 3, '2026-01-02');
SELECT * FROM differences('deals');

SELECT kpi.drop_source('deals', cascade => true);
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'deals'::regclass AND tgname LIKE 'kpi%';
INSERT INTO deals (id, owner_id) VALUES (802, 1);
DROP TABLE deals, accounts;
DELETE FROM kpi_internal.delta;

-- partitions: present, attached later with other columns, written to directly
CREATE TABLE sales (id int, rep text, amount int, day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE sales_2 PARTITION OF sales FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (rep);
CREATE TABLE sales_2a PARTITION OF sales_2 FOR VALUES IN ('ann');
CREATE TABLE sales_2b PARTITION OF sales_2 DEFAULT;
SELECT kpi.create_source('sales', relation => 'capture_test.sales', owner => 'rep', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('sold', source => 'sales', measure => 'sum(amount)') > 0 AS created;
CREATE TABLE sales_3 (day date NOT NULL, junk text, amount int, rep text, id int);
ALTER TABLE sales_3 DROP COLUMN junk;
ALTER TABLE sales ATTACH PARTITION sales_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE sales_4 PARTITION OF sales FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
SELECT tgrelid::regclass, regexp_replace(tgname, '[0-9]+$', '#') AS name, tgenabled
  FROM pg_trigger WHERE tgname ~ '^kpi_(capture|truncate)_' AND tgrelid::regclass::text ~ '^sales' ORDER BY tgrelid::regclass::text, 2;
INSERT INTO sales SELECT i, (ARRAY['ann', 'bob', NULL])[1 + i % 3], i, '2026-01-01'::date + i FROM generate_series(0, 99) i;
INSERT INTO sales_3 (id, rep, amount, day) VALUES (200, 'ann', 5, '2026-03-05');
UPDATE sales_3 SET amount = 6 WHERE rep = 'bob';
UPDATE sales SET day = day + 31 WHERE day < '2026-02-10';
UPDATE sales SET rep = 'ann' WHERE rep = 'bob' AND day < '2026-03-01';
DELETE FROM sales_2 WHERE id % 4 = 0;
SELECT * FROM differences('sales');
-- TRUNCATE of a leaf, of the root, of what is a leaf no more
DELETE FROM kpi_internal.delta;
TRUNCATE sales_1;
SELECT kind, count(*) FROM kpi_internal.delta GROUP BY kind;
TRUNCATE sales;
SELECT kind, count(*) FROM kpi_internal.delta GROUP BY kind;
ALTER TABLE sales DETACH PARTITION sales_1;
TRUNCATE sales_1;
INSERT INTO sales_1 VALUES (1, 'ann', 1, '2026-01-01');
SELECT kind, count(*) FROM kpi_internal.delta GROUP BY kind;
SELECT kpi.drop_source('sales', cascade => true);
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname ~ '^kpi_(capture|truncate)_';
DROP TABLE sales, sales_1;
DELETE FROM kpi_internal.delta;

-- expressions that fail
CREATE FUNCTION picky(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF i = 13 THEN
        RAISE EXCEPTION E'I do not like\n13';
    END IF;
    RETURN i;
END $$;
CREATE TABLE odd (id int, a int, b int, at timestamp);
SELECT kpi.create_source('odd', relation => 'capture_test.odd', at => 'at', dimensions => '{"d": "100 / (a - 1)"}') > 0 AS created;
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('plain', source => 'odd', measure => 'count(*)')),
    (kpi.create_kpi('quotient', source => 'odd', measure => 'sum(a / b)')),
    (kpi.create_kpi('liked', source => 'odd', measure => 'sum(capture_test.picky(b))'))) k;
INSERT INTO odd VALUES (1, 5, 2, '2026-01-01'), (2, 5, 0, '2026-01-01'), (3, 5, 13, '2026-01-01'),
                       (4, 1, 1, '2026-01-01'), (5, 5, 1, '0001-01-01 BC'), (6, 5, 1, '20000-01-01');
SELECT dims, day, cell, error FROM queue ORDER BY day, error NULLS FIRST;
UPDATE odd SET b = 1 WHERE b = 0;
SELECT dims, day, cell FROM queue ORDER BY day;
DELETE FROM odd;
SELECT dims, day, cell FROM queue ORDER BY day;
-- what is no error of an expression reaches the statement
CREATE OR REPLACE FUNCTION picky(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(60);
    RETURN i;
END $$;
SET statement_timeout = '100ms';
INSERT INTO odd VALUES (1, 5, 2, '2026-01-01');
RESET statement_timeout;
SELECT kpi.drop_source('odd', cascade => true);
DELETE FROM kpi_internal.delta;

-- expressions run as the definer, whoever writes
CREATE ROLE regress_kpi_definer;
CREATE ROLE regress_kpi_writer;
SELECT kpi.grant_editor('regress_kpi_definer');
GRANT USAGE, CREATE ON SCHEMA capture_test TO regress_kpi_definer, regress_kpi_writer;
GRANT ALL ON TABLE odd TO regress_kpi_writer, regress_kpi_definer;
CREATE FUNCTION who(i int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN RETURN current_user || ' ' || current_setting('search_path'); END $$;
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('odd', relation => 'capture_test.odd', at => 'at', owner => 'capture_test.who(a)') > 0 AS created;
SELECT kpi.create_kpi('plain', source => 'odd', measure => 'count(*)') > 0 AS created;
SET ROLE regress_kpi_writer;
INSERT INTO odd VALUES (1, 5, 2, '2026-01-01');
RESET ROLE;
SELECT owner, cell FROM queue;
-- a definer without rights, and one that is gone
REVOKE ALL ON TABLE odd FROM regress_kpi_definer;
INSERT INTO odd VALUES (2, 5, 2, '2026-01-01');
SELECT kind, error FROM kpi_internal.delta WHERE kind <> 'd';
DELETE FROM kpi_internal.delta;
GRANT ALL ON TABLE odd TO regress_kpi_definer;
ALTER ROLE regress_kpi_definer RENAME TO regress_kpi_definer2;
INSERT INTO odd VALUES (3, 5, 2, '2026-01-01');
SELECT kind, error FROM kpi_internal.delta;
ALTER ROLE regress_kpi_definer2 RENAME TO regress_kpi_definer;
INSERT INTO odd VALUES (4, 5, 2, '2026-01-01');
SELECT owner, cell FROM queue WHERE kind = 'd';
SELECT kpi.drop_source('odd', cascade => true);
DELETE FROM kpi_internal.delta;
DROP TABLE odd;

-- keys of many types
CREATE TYPE mood AS ENUM ('calm', 'angry');
CREATE DOMAIN code AS text;
CREATE TABLE keys (u uuid, e mood, b boolean, n numeric, c char(5), d date, m code, i bigint, v varchar(9), at timestamptz);
SELECT kpi.create_source('keys', relation => 'capture_test.keys', owner => 'u', at => 'at',
    dimensions => '{"e": "e", "b": "b", "n": "n", "c": "c", "d": "d", "m": "m", "i": "i", "v": "v", "et": "e::text"}') > 0 AS created;
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('keys', source => 'keys', measure => 'count(*)')),
    (kpi.create_kpi('keys_e', source => 'keys', measure => 'count(*)', owner => 'e')),
    (kpi.create_kpi('keys_v', source => 'keys', measure => 'count(*)', owner => 'v')),
    (kpi.create_kpi('keys_m', source => 'keys', measure => 'count(*)', owner => 'm', at => '(d + 1)::timestamp')),
    (kpi.create_kpi('keys_c', source => 'keys', measure => 'sum(n * i - n / 3 + abs(n))', owner => 'c')),
    (kpi.create_kpi('keys_t', source => 'keys', measure => 'avg(at - TIMESTAMPTZ ''2000-01-01 00:00+00'')', owner => 'i'))) k;
INSERT INTO keys VALUES
    ('01234567-89ab-cdef-0123-456789abcdef', 'angry', true, 1.50, 'ab', '2026-01-01', 'x', 9223372036854775807, 'v', '2026-01-01 12:00+00'),
    ('01234567-89ab-cdef-0123-456789abcdef', 'calm', false, 1e-50, 'ab', '2026-01-01', 'y', -1, '', '2026-01-02 12:00+00'),
    (NULL, NULL, NULL, 1e300, NULL, '0001-01-01', NULL, NULL, NULL, '2026-01-02 12:00+00'),
    (NULL, NULL, NULL, 'NaN', NULL, '9000-01-01', NULL, 3, NULL, '0002-01-02 12:00+00'),
    (NULL, NULL, NULL, 'Infinity', NULL, NULL, '', 3, NULL, 'infinity');
UPDATE keys SET i = -i, u = 'fedcba98-89ab-cdef-0123-456789abcdef', e = 'calm' WHERE b;
SELECT * FROM differences('keys');
SELECT kpi.drop_source('keys', cascade => true);
DROP TABLE keys;
DELETE FROM kpi_internal.delta;

-- cells that are too wide for a row
CREATE TABLE wide (id int, owner text, amount numeric, day date);
SELECT kpi.create_source('wide', relation => 'capture_test.wide', owner => 'owner', at => 'day') > 0 AS created;
SELECT count(kpi.create_kpi('wide_' || i, source => 'wide', measure => format('sum(amount * %s)', i))) FROM generate_series(1, 90) i;
INSERT INTO wide VALUES (1, 'ann', 10::numeric ^ 200 + 0.1, '2026-01-01'), (2, 'bob', 1, '2026-01-01'), (3, 'bob', NULL, '2026-01-01');
INSERT INTO wide SELECT 4, 'ann', 1, '2026-01-01';
DELETE FROM wide WHERE id = 1;
INSERT INTO wide SELECT i, 'ann' || i, repeat('7', 150)::numeric + i, '2026-01-01' FROM generate_series(1, 100) i;
SELECT count(*) > count(DISTINCT owner) AS split, count(DISTINCT owner) AS owners FROM kpi_internal.delta WHERE owner ~ '^ann[0-9]';
SELECT pg_relation_size(reltoastrelid) AS out_of_line FROM pg_class WHERE oid = 'kpi_internal.delta'::regclass;
SELECT * FROM differences('wide');
SELECT kpi.drop_source('wide', cascade => true);
DROP TABLE wide;
DELETE FROM kpi_internal.delta;

-- the functions used for anything else
CREATE TABLE other (id int);
SELECT kpi.capture();
SELECT kpi.capture_truncate();
CREATE TRIGGER a BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION kpi.capture('1');
INSERT INTO other VALUES (1);
DROP TRIGGER a ON other;
CREATE TRIGGER a AFTER INSERT ON other EXECUTE FUNCTION kpi.capture_truncate('1');
INSERT INTO other VALUES (1);
DROP TRIGGER a ON other;
CREATE TRIGGER a AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION kpi.capture('1');
CREATE TRIGGER b AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION kpi.capture('99999999999');
CREATE TRIGGER c AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION kpi.capture();
INSERT INTO other VALUES (1);
SELECT count(*) FROM kpi_internal.delta;
-- a trigger of someone else that has our name
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
DO $$ BEGIN
    EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON other EXECUTE FUNCTION nothing()',
                   'kpi_capture_' || nextval('kpi.source_id_seq') + 1);
END $$;
\set VERBOSITY sqlstate
SELECT kpi.create_source('other', relation => 'capture_test.other', at => '''2026-01-01''::date');
\set VERBOSITY default
SELECT count(*) FROM kpi.source;

SELECT kpi.drop_calendar('berlin');
DROP SCHEMA capture_test CASCADE;
SELECT kpi.revoke_reader('regress_kpi_definer');
DROP ROLE regress_kpi_definer, regress_kpi_writer;
