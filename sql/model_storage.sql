-- A source's table has its rows itself: neither elsewhere, as Citus keeps
-- them, nor in columns, nor in another server.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA storage;
CREATE TABLE storage.deals (id integer, amount numeric, day date NOT NULL);
INSERT INTO storage.deals VALUES (1, 10, '2026-03-01');
CREATE VIEW storage.status AS SELECT status, reason, hint FROM kpi.source_status WHERE source = 's_deals';

-- The catalog of Citus, as far as it says which tables are distributed.
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition (partmethod "char", logicalrelid regclass);
RESET allow_system_table_mods;
INSERT INTO pg_catalog.pg_dist_partition VALUES ('h', 'storage.deals');
SELECT kpi.create_source('s_deals', relation => 'storage.deals', key => 'id', at => 'day');
DELETE FROM pg_catalog.pg_dist_partition;
SELECT kpi.create_source('s_deals', relation => 'storage.deals', key => 'id', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('s_amount', source => 's_deals', measure => 'sum(amount)') > 0 AS created;
CALL kpi.refresh('s_deals');
INSERT INTO pg_catalog.pg_dist_partition VALUES ('n', 'storage.deals');
CALL kpi.refresh('s_deals');
SELECT * FROM storage.status;
SELECT kpi.resume('s_deals');
DELETE FROM pg_catalog.pg_dist_partition;
INSERT INTO storage.deals VALUES (2, 20, '2026-03-02');
SELECT kpi.resume('s_deals');
CALL kpi.refresh('s_deals');
SELECT * FROM storage.status;
SELECT value FROM kpi.team_yearly WHERE kpi = 's_amount' AND team = 'company';

-- Another thing of that name is none of Citus'.
SET allow_system_table_mods = on;
DROP TABLE pg_catalog.pg_dist_partition;
CREATE VIEW pg_catalog.pg_dist_partition AS SELECT 'storage.deals'::regclass AS logicalrelid;
CALL kpi.refresh('s_deals');
DROP VIEW pg_catalog.pg_dist_partition;
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid text);
CALL kpi.refresh('s_deals');
DROP TABLE pg_catalog.pg_dist_partition;
RESET allow_system_table_mods;
SELECT * FROM storage.status;

-- Access methods: what is like the heap is accepted.
CREATE ACCESS METHOD columnar TYPE TABLE HANDLER heap_tableam_handler;
CREATE ACCESS METHOD heap_too TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE storage.columns (id integer, day date) USING columnar;
SELECT kpi.create_source('s_columns', relation => 'storage.columns', key => 'id', at => 'day');
CREATE TABLE storage.too (id integer, day date) USING heap_too;
SELECT kpi.create_source('s_too', relation => 'storage.too', key => 'id', at => 'day') > 0 AS created;
SELECT kpi.drop_source('s_too');
ALTER TABLE storage.deals SET ACCESS METHOD columnar;
CALL kpi.refresh('s_deals');
SELECT * FROM storage.status;
ALTER TABLE storage.deals SET ACCESS METHOD heap;
SELECT kpi.resume('s_deals');
CALL kpi.refresh('s_deals');
SELECT * FROM storage.status;
SELECT kpi.drop_source('s_deals', cascade => true);

-- Partitions, as well.
CREATE FOREIGN DATA WRAPPER storage_none;
CREATE SERVER storage_none FOREIGN DATA WRAPPER storage_none;
CREATE TABLE storage.parts (id integer, amount numeric, day date NOT NULL) PARTITION BY LIST (id);
CREATE TABLE storage.part1 PARTITION OF storage.parts FOR VALUES IN (1);
CREATE TABLE storage.part2 PARTITION OF storage.parts FOR VALUES IN (2) USING columnar;
SELECT kpi.create_source('s_deals', relation => 'storage.parts', key => 'id', at => 'day');
DROP TABLE storage.part2;
CREATE FOREIGN TABLE storage.part3 PARTITION OF storage.parts FOR VALUES IN (3) SERVER storage_none;
SELECT kpi.create_source('s_deals', relation => 'storage.parts', key => 'id', at => 'day');
DROP FOREIGN TABLE storage.part3;
SELECT kpi.create_source('s_deals', relation => 'storage.parts', key => 'id', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('s_amount', source => 's_deals', measure => 'sum(amount)') > 0 AS created;
INSERT INTO storage.parts VALUES (1, 10, '2026-03-01');
CALL kpi.refresh('s_deals');
CREATE TABLE storage.part2 PARTITION OF storage.parts FOR VALUES IN (2) USING columnar;
CALL kpi.refresh('s_deals');
SELECT * FROM storage.status;
DROP TABLE storage.part2;
SELECT kpi.resume('s_deals');
CALL kpi.refresh('s_deals');
SELECT * FROM storage.status;
CREATE FOREIGN TABLE storage.part3 PARTITION OF storage.parts FOR VALUES IN (3) SERVER storage_none;
CALL kpi.refresh('s_deals');
SELECT * FROM storage.status;
DROP FOREIGN TABLE storage.part3;
SELECT kpi.resume('s_deals');
CALL kpi.refresh('s_deals');
SELECT * FROM storage.status;
SELECT value FROM kpi.team_yearly WHERE kpi = 's_amount' AND team = 'company';
SELECT kpi.drop_source('s_deals', cascade => true);
DROP SCHEMA storage CASCADE;
DROP SERVER storage_none;
DROP FOREIGN DATA WRAPPER storage_none;
DROP ACCESS METHOD columnar;
DROP ACCESS METHOD heap_too;
