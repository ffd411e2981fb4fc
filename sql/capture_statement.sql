-- Capture: every kind of statement, by whoever changes rows.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/capture.sql
\set deals :abs_srcdir /sql/include/capture_deals.sql
\set ECHO none
\i :oracle
\i :deals
\set ECHO all

-- the triggers
SELECT tgname ~ '^kpi_(capture|truncate)_[0-9]+$' AS named, tgenabled, tgtype, tgfoid::regproc,
       (SELECT string_agg(d.deptype::text || ' ' || d.refclassid::regclass, ', ') FROM pg_depend d
         WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.refclassid IN ('pg_extension'::regclass, 'pg_proc'::regclass)) AS depends
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

SELECT kpi.drop_source('deals', cascade => true);
CALL empty_queue();
SELECT kpi.drop_calendar('berlin');
DROP SCHEMA capture_test CASCADE;
