-- Tables, schemas and columns that are renamed: the definition follows, its text
-- too, no change of a fact is lost, and nothing is built anew.
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SCHEMA rn;
CREATE TABLE rn.deals (id integer, owner_id text, "Sdr" text, amount numeric, price numeric, stage text, day date, created date)
	PARTITION BY RANGE (id);
CREATE TABLE rn.deals_1 PARTITION OF rn.deals FOR VALUES FROM (0) TO (100);
CREATE TABLE rn.deals_2 (junk integer, created date, day date, stage text, price numeric, amount numeric, "Sdr" text, owner_id text, id integer);
ALTER TABLE rn.deals_2 DROP COLUMN junk;
ALTER TABLE rn.deals ATTACH PARTITION rn.deals_2 FOR VALUES FROM (100) TO (9999);
INSERT INTO rn.deals SELECT i, 'o' || i % 3, 's' || i % 2, i, i * 2, CASE WHEN i % 4 = 0 THEN 'won' ELSE 'amount' END,
                            date '2026-01-01' + i % 60, date '2026-01-01' + i % 50 FROM generate_series(1, 200) i;
SELECT kpi.create_source('rn_deals', relation => 'rn.deals', key => 'id', owner => 'owner_id', at => 'day',
                         filter => $$stage <> 'lost' AND amount IS NOT NULL$$,
                         dimensions => '{"stage": "upper(stage)", "size": "CASE WHEN amount > 50 THEN ''amount'' ELSE ''price'' END"}',
                         loaded_at => 'created') > 0 AS created;
SELECT kpi.create_kpi('rn_amount', source => 'rn_deals', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('rn_price', source => 'rn_deals', measure => 'sum(price)', filter => $$stage = 'won'$$) > 0 AS created;
SELECT kpi.create_kpi('rn_won', source => 'rn_deals', measure => $$rate(stage = 'won', amount > 0)$$, owner => '"Sdr"', at => 'created') > 0 AS created;
SELECT kpi.create_kpi('rn_by_sdr', source => 'rn_deals', measure => 'avg(price - amount)', owner => '"Sdr"') > 0 AS created;
CREATE TABLE rn.ids AS SELECT m.id, m.kpi_id, s.id AS stream_id, s.version FROM kpi_internal.measure m JOIN kpi_internal.stream s ON s.id = m.stream_id;

\set definition 'SELECT s.relation, s.key, s.owner, s.at, s.filter, s.loaded_at, d.name, d.expression FROM kpi.source s JOIN kpi.dimension d ON d.source_id = s.id WHERE s.name = ''rn_deals'' ORDER BY d.position;'
\set kpis 'SELECT k.name, k.measure, k.filter, k.owner, k.at, s.owner AS stream_owner, s.at AS stream_at, m.inputs FROM kpi.kpi k JOIN kpi_internal.measure m ON m.role <> ''left_out'' AND m.kpi_id = k.id JOIN kpi_internal.stream s ON s.id = m.stream_id WHERE k.name ~ ''^rn_'' ORDER BY k.id;'
-- Which kinds of refreshes there were since the last look, and whether all is what it was.
CREATE TABLE rn.looked AS SELECT 0::bigint AS id;
CREATE FUNCTION rn.look(OUT status text, OUT complete boolean, OUT kinds text, OUT same boolean)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT s.status, f.is_complete,
           (SELECT string_agg(l.kind, ' ' ORDER BY l.id) FROM kpi.refresh_log l, rn.looked k WHERE l.source = 'rn_deals' AND l.id > k.id),
           NOT EXISTS (SELECT m.id, m.kpi_id, s.id, s.version FROM kpi_internal.measure m JOIN kpi_internal.stream s ON s.id = m.stream_id
                       EXCEPT SELECT * FROM rn.ids)
      INTO status, complete, kinds, same
      FROM kpi.source_status s JOIN kpi.freshness f USING (source_id) WHERE s.source = 'rn_deals';
    UPDATE rn.looked SET id = (SELECT max(id) FROM kpi.refresh_log);
END $$;

-- Before any refresh.
ALTER TABLE rn.deals RENAME COLUMN amount TO total;
ALTER TABLE rn.deals RENAME TO orders;
SET quote_all_identifiers = on;
CALL kpi.refresh('rn_deals');
RESET quote_all_identifiers;
:definition
:kpis
SELECT * FROM rn.look();

-- Columns that come up in expressions of all kinds, with writes before and after,
-- and names that have to be quoted.
INSERT INTO rn.orders VALUES (300, 'o1', 's1', 10, 20, 'won', '2026-01-05', '2026-01-06');
ALTER TABLE rn.orders RENAME COLUMN total TO "Order Total";
INSERT INTO rn.orders VALUES (301, 'o1', 's1', 11, 21, 'won', '2026-01-05', '2026-01-06'), (3, 'o1', 's1', 11, 21, 'won', '2026-01-05', '2026-01-06');
ALTER TABLE rn.orders RENAME COLUMN "Sdr" TO sdr;
ALTER TABLE rn.orders RENAME COLUMN stage TO "user";
UPDATE rn.orders SET "user" = 'lost', "Order Total" = 1 WHERE id IN (4, 8, 120);
DELETE FROM rn.orders WHERE id = 301;
SELECT status, reason FROM kpi.source_status WHERE source = 'rn_deals';
CALL kpi.refresh('rn_deals');
:definition
:kpis
SELECT * FROM rn.look();
SELECT * FROM kpi.verify('rn_deals');

-- Two that change names, in one transaction with writes, and with a refresh.
SELECT * FROM rn.look();
BEGIN;
ALTER TABLE rn.orders RENAME COLUMN price TO x;
ALTER TABLE rn.orders RENAME COLUMN "Order Total" TO price;
INSERT INTO rn.orders (id, owner_id, sdr, price, x, "user", day, created) VALUES (302, 'o1', 's1', 10, 25, 'won', '2026-01-05', '2026-01-06');
CALL kpi.refresh('rn_deals');
ALTER TABLE rn.orders RENAME COLUMN x TO "Order Total";
UPDATE rn.orders SET "Order Total" = 26 WHERE id = 302;
ALTER TABLE rn.orders RENAME COLUMN sdr TO y;
ALTER TABLE rn.orders RENAME COLUMN owner_id TO sdr;
ALTER TABLE rn.orders RENAME COLUMN y TO owner_id;
COMMIT;
UPDATE rn.orders SET owner_id = 's7' WHERE id = 20;
CALL kpi.refresh('rn_deals');
:definition
:kpis
SELECT * FROM rn.look();
SELECT * FROM kpi.verify('rn_deals');
SELECT * FROM rn.look();

-- Another that comes under the name of one: the column that was meant is followed.
ALTER TABLE rn.orders RENAME COLUMN price TO amount;
ALTER TABLE rn.orders ADD COLUMN price numeric DEFAULT 1000;
INSERT INTO rn.orders (id, owner_id, sdr, amount, "user", day, created) VALUES (303, 's1', 'o1', 7, 'won', '2026-01-05', '2026-01-06');
CALL kpi.refresh('rn_deals');
:kpis
SELECT * FROM rn.look();

-- A refresh undone with the names.
BEGIN;
ALTER TABLE rn.orders RENAME COLUMN amount TO z;
CALL kpi.refresh('rn_deals');
ROLLBACK;
UPDATE rn.orders SET amount = 8 WHERE id = 303;
CALL kpi.refresh('rn_deals');
SELECT measure FROM kpi.kpi WHERE name = 'rn_amount';
SELECT * FROM rn.look();

-- A schema, and a table into another one.
INSERT INTO rn.orders (id, owner_id, sdr, amount, "user", day, created) VALUES (304, 's1', 'o1', 7, 'won', '2026-01-05', '2026-01-06');
ALTER SCHEMA rn RENAME TO rn2;
INSERT INTO rn2.orders (id, owner_id, sdr, amount, "user", day, created) VALUES (305, 's1', 'o1', 7, 'won', '2026-01-05', '2026-01-06');
CREATE SCHEMA rn;
CALL kpi.refresh('rn_deals');
SELECT relation FROM kpi.source WHERE name = 'rn_deals';
ALTER TABLE rn2.orders SET SCHEMA rn;
INSERT INTO rn.orders (id, owner_id, sdr, amount, "user", day, created) VALUES (306, 's1', 'o1', 7, 'won', '2026-01-05', '2026-01-06');
CALL kpi.refresh('rn_deals');
SELECT relation FROM kpi.source WHERE name = 'rn_deals';
CREATE FUNCTION rn2.look2() RETURNS TABLE (status text, kinds text) LANGUAGE sql AS $$
    SELECT s.status, (SELECT string_agg(l.kind, ' ' ORDER BY l.id) FROM kpi.refresh_log l, rn2.looked k WHERE l.source = 'rn_deals' AND l.id > k.id)
      FROM kpi.source_status s WHERE s.source = 'rn_deals' $$;
SELECT * FROM rn2.look2();
SELECT * FROM kpi.verify('rn_deals');

-- Who changes or reads the definition first finds the new names.
ALTER TABLE rn.orders RENAME COLUMN amount TO amt;
SELECT kpi.alter_kpi('rn_price', filter => $$"user" <> 'won'$$);
SELECT name, measure, filter FROM kpi.kpi WHERE name IN ('rn_amount', 'rn_price') ORDER BY id;
ALTER TABLE rn.orders RENAME COLUMN amt TO amount;
SELECT regexp_replace(kpi_internal.facts_query('rn_deals', 'rn_amount'), 'm\d+_', 'm_') AS query;
SELECT kpi.alter_source('rn_deals', filter => 'amount > 3');
SELECT filter FROM kpi.source WHERE name = 'rn_deals';
ALTER TABLE rn.orders RENAME TO invoices;
SELECT kpi.create_kpi('rn_new', source => 'rn_deals', measure => 'count(*)', filter => 'amount > 9') > 0 AS created;
SELECT * FROM kpi.verify('rn_deals');
SELECT relation FROM kpi.source WHERE name = 'rn_deals';

-- Expressions with functions, whose fingerprints go by their texts: no rebuild either.
CREATE FUNCTION rn.half(x numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN x / 2; END';
SELECT kpi.create_kpi('rn_half', source => 'rn_deals', measure => 'sum(rn.half(amount))') > 0 AS created;
CALL kpi.refresh('rn_deals');
UPDATE rn2.looked SET id = (SELECT max(id) FROM kpi.refresh_log);
INSERT INTO rn.invoices (id, owner_id, sdr, amount, "user", day, created) VALUES (307, 's1', 'o1', 7, 'won', '2026-01-05', '2026-01-06');
ALTER TABLE rn.invoices RENAME COLUMN amount TO amt;
ALTER TABLE rn.invoices RENAME COLUMN "user" TO stage;
INSERT INTO rn.invoices (id, owner_id, sdr, amt, stage, day, created) VALUES (308, 's1', 'o1', 7, 'won', '2026-01-05', '2026-01-06');
CALL kpi.refresh('rn_deals');
INSERT INTO rn.invoices (id, owner_id, sdr, amt, stage, day, created) VALUES (309, 's1', 'o1', 7, 'won', '2026-01-05', '2026-01-06');
CALL kpi.refresh('rn_deals');
SELECT * FROM rn2.look2();
SELECT * FROM kpi.verify('rn_deals');

-- ---- what no longer fits ----

-- Dropped and another in its place: that one is meant, and read.
BEGIN;
ALTER TABLE rn.invoices RENAME COLUMN price TO spare;
ALTER TABLE rn.invoices DROP COLUMN amt;
ALTER TABLE rn.invoices RENAME COLUMN spare TO amt;
COMMIT;
CALL kpi.refresh('rn_deals');
SELECT status, reason FROM kpi.source_status WHERE source = 'rn_deals';
SELECT * FROM kpi.verify('rn_deals');
-- Retyped, and it fits: built anew.
UPDATE rn2.looked SET id = (SELECT max(id) FROM kpi.refresh_log);
ALTER TABLE rn.invoices ALTER COLUMN amt TYPE integer USING amt::integer + 1;
CALL kpi.refresh('rn_deals');
SELECT * FROM rn2.look2();
SELECT * FROM kpi.verify('rn_deals');

-- A column that is used is dropped: the numbers stay, and one call mends it.
SET client_min_messages = error;
\set status 'SELECT s.status, s.reason, (SELECT value FROM kpi.team_yearly WHERE kpi = ''rn_new'' AND team = ''company'') AS new, (SELECT value FROM kpi.team_yearly WHERE kpi = ''rn_amount'' AND team = ''company'') AS amount FROM kpi.source_status s WHERE s.source = ''rn_deals'';'
CALL kpi.refresh('rn_deals');
:status
ALTER TABLE rn.invoices DROP COLUMN "Order Total";
INSERT INTO rn.invoices (id, owner_id, sdr, amt, stage, day, created) VALUES (310, 's1', 'o1', 70, 'won', '2026-01-05', '2026-01-06');
CALL kpi.refresh('rn_deals');
:status
INSERT INTO rn.invoices (id, owner_id, sdr, amt, stage, day, created) VALUES (311, 's1', 'o1', 70, 'won', '2026-01-05', '2026-01-06');
-- Two KPIs use it: the first call leaves the other, and says so.
SET client_min_messages = warning;
SELECT kpi.alter_kpi('rn_price', measure => 'sum(amt * 2)');
:status
SELECT kpi.alter_kpi('rn_by_sdr', measure => 'avg(amt)');
:status
INSERT INTO rn.invoices (id, owner_id, sdr, amt, stage, day, created) VALUES (312, 's1', 'o1', 70, 'won', '2026-01-05', '2026-01-06');
CALL kpi.refresh('rn_deals');
:status
SELECT * FROM kpi.verify('rn_deals');
-- One of the source's own.
ALTER TABLE rn.invoices DROP COLUMN sdr;
SET client_min_messages = error;
CALL kpi.refresh('rn_deals');
:status
SET client_min_messages = warning;
SELECT kpi.alter_source('rn_deals', owner => 'owner_id');
CALL kpi.refresh('rn_deals');
:status
SELECT * FROM kpi.verify('rn_deals');
-- Retyped, and an expression no longer fits.
ALTER TABLE rn.invoices ALTER COLUMN amt TYPE text;
SET client_min_messages = error;
CALL kpi.refresh('rn_deals');
:status
ALTER TABLE rn.invoices ADD COLUMN number numeric;
UPDATE rn.invoices SET number = amt::numeric;
ALTER TABLE rn.invoices DROP COLUMN amt;
ALTER TABLE rn.invoices RENAME COLUMN number TO amt;
SET client_min_messages = warning;
SELECT kpi.alter_source('rn_deals', key => 'id');
CALL kpi.refresh('rn_deals');
:status
SELECT * FROM kpi.verify('rn_deals');

SELECT kpi.drop_source('rn_deals', cascade => true);
DROP SCHEMA rn, rn2 CASCADE;
