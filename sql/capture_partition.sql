-- Capture: partitions that are there, that come later with other columns, that are written to directly.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/capture.sql
\set ECHO none
\i :oracle
\set ECHO all

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
CALL empty_queue();
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
CALL empty_queue();

DROP SCHEMA capture_test CASCADE;
