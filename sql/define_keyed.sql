-- Keyed sources: the life of the table of kept rows, from creation to the end.
SET client_min_messages = warning;
CREATE ROLE kd_owner NOLOGIN;
CREATE ROLE kd_other NOLOGIN;
CREATE ROLE kd_reader NOLOGIN;
CREATE SCHEMA kd AUTHORIZATION kd_owner;
SELECT kpi.grant_editor('kd_owner'), kpi.grant_editor('kd_other');
SET ROLE kd_owner;
CREATE DOMAIN kd.label AS text CHECK (VALUE <> 'forbidden');
CREATE TABLE kd.lead (lead_id integer PRIMARY KEY, owner_id text, created_at timestamptz NOT NULL, channel kd.label, deal_id integer);
CREATE TABLE kd.activity (id integer PRIMARY KEY, lead_id integer, at timestamptz);
CREATE INDEX ON kd.activity (lead_id);
INSERT INTO kd.lead SELECT i, 'u' || i % 3, '2026-01-01'::timestamptz + i * interval '1 day', 'web', i FROM generate_series(1, 20) i;
INSERT INTO kd.activity SELECT i, i % 25, '2026-01-03'::timestamptz + i * interval '7 hours' FROM generate_series(1, 60) i;

-- What the kept rows are to be, by the query itself, and what is counted.
CREATE VIEW kd.truth AS
    SELECT l.lead_id, l.owner_id, l.created_at, l.channel, count(a.at) AS touches
      FROM kd.lead l LEFT JOIN kd.activity a ON a.lead_id = l.lead_id AND a.at >= l.created_at GROUP BY l.lead_id;
SELECT kpi.create_source('journeys', key => 'lead_id', owner => 'owner_id', at => 'created_at', query => $$
    SELECT l.lead_id, l.owner_id, l.created_at, l.channel, count(a.at) AS touches
      FROM kd.lead l LEFT JOIN kd.activity a ON a.lead_id = l.lead_id AND a.at >= l.created_at GROUP BY l.lead_id $$,
    follow => '{"kd.lead": "lead_id", "kd.activity": "lead_id"}', dimensions => '{"channel": "channel"}') > 0 AS created;
SELECT kpi.create_kpi('touched', source => 'journeys', measure => 'rate(touches > 0, true)') > 0 AS created;
SELECT kpi.create_kpi('leads', source => 'journeys', measure => 'count(*)') > 0 AS created;
RESET ROLE;
CREATE FUNCTION kd_differences(source text) RETURNS TABLE (kept bigint, expected bigint, differ bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT (SELECT count(*) FROM kpi_data.%1$I), (SELECT count(*) FROM kd.truth),
        (SELECT count(*) FROM ((SELECT lead_id, owner_id, created_at, touches FROM kpi_data.%1$I EXCEPT ALL SELECT lead_id, owner_id, created_at, touches FROM kd.truth)
          UNION ALL (SELECT lead_id, owner_id, created_at, touches FROM kd.truth EXCEPT ALL SELECT lead_id, owner_id, created_at, touches FROM kpi_data.%1$I)) d)', source);
END $$;
CREATE VIEW kd_triggers AS
    SELECT t.tgrelid::regclass::text AS relation, regexp_replace(t.tgname, '\d+', 'N') AS trigger, t.tgenabled
      FROM pg_trigger t WHERE t.tgname ~ '^kpi_(capture|truncate|follow)';
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT * FROM kpi.verify();
SELECT value FROM kpi.team_yearly WHERE kpi = 'leads' AND team = 'company';

-- The table: its columns have no domain, its comments say what is in them.
SELECT a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum)
  FROM pg_attribute a WHERE a.attrelid = 'kpi_data.journeys'::regclass AND a.attnum > 0 ORDER BY a.attnum;
-- 17 has one right more, to maintain.
SELECT obj_description('kpi_data.journeys'::regclass), pg_get_userbyid(relowner), replace(relacl::text, 'm', '') AS relacl FROM pg_class WHERE oid = 'kpi_data.journeys'::regclass;
SELECT * FROM kd_triggers ORDER BY 1, 2;

-- Nobody reads it who was not let.
SET ROLE kd_reader;
SELECT count(*) FROM kpi_data.journeys;
SET ROLE kd_other;
SELECT kpi.grant_source('journeys', 'kd_other');
SELECT kpi.alter_source('journeys', entity => 'lead_id');
SET ROLE kd_owner;
SELECT kpi.grant_source('journeys', 'public');
SELECT kpi.grant_source('nothing', 'kd_reader');
SELECT kpi.grant_source('journeys', 'kd_reader');
SET ROLE kd_reader;
SELECT count(*) FROM kpi_data.journeys;
DELETE FROM kpi_data.journeys;
TRUNCATE kpi_data.journeys;
SET ROLE kd_owner;
SELECT kpi.revoke_source('journeys', 'kd_reader');
RESET ROLE;
SELECT has_schema_privilege('kd_reader', 'kpi_data', 'USAGE') AS usage, has_table_privilege('kd_reader', 'kpi_data.journeys', 'SELECT') AS "select";
-- not even by default privileges
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO kd_reader, PUBLIC;
SET ROLE kd_owner;
SELECT kpi.create_source('by_default', key => 'lead_id', at => 'created_at', query => 'SELECT lead_id, created_at FROM kd.lead', follow => '{"kd.lead": "lead_id"}') > 0 AS created;
RESET ROLE;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM kd_reader, PUBLIC;
SELECT replace(relacl::text, 'm', '') AS relacl FROM pg_class WHERE oid = 'kpi_data.by_default'::regclass;
SELECT kpi.drop_source('by_default');
SELECT to_regclass('kpi_data.by_default');

-- Another query: the table changes in place, grants and views of what stays survive.
SELECT kpi.grant_source('journeys', 'kd_reader');
SET ROLE kd_owner;
CREATE VIEW kd.owners AS SELECT lead_id, owner_id FROM kpi_data.journeys;
CREATE VIEW kd.channels AS SELECT channel FROM kpi_data.journeys;
SELECT kpi.alter_source('journeys', query => $$
    SELECT l.lead_id, l.owner_id, l.created_at, count(a.at) AS touches, min(a.at) AS first_at
      FROM kd.lead l LEFT JOIN kd.activity a ON a.lead_id = l.lead_id AND a.at >= l.created_at GROUP BY l.lead_id $$, dimensions => '{}');
DROP VIEW kd.channels;
-- the dimension reads a column that goes
SELECT kpi.alter_source('journeys', query => $$
    SELECT l.lead_id, l.owner_id, l.created_at, count(a.at) AS touches, min(a.at) AS first_at
      FROM kd.lead l LEFT JOIN kd.activity a ON a.lead_id = l.lead_id AND a.at >= l.created_at GROUP BY l.lead_id $$);
SELECT kpi.alter_source('journeys', query => $$
    SELECT l.lead_id, l.owner_id, l.created_at, count(a.at) AS touches, min(a.at) AS first_at
      FROM kd.lead l LEFT JOIN kd.activity a ON a.lead_id = l.lead_id AND a.at >= l.created_at GROUP BY l.lead_id $$, dimensions => '{}');
RESET ROLE;
SELECT count(*) FROM kd.owners;
SET ROLE kd_reader;
SELECT count(*), count(first_at) FROM kpi_data.journeys;
RESET ROLE;
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT count(*) AS kept, count(first_at) = (SELECT count(*) FROM kd.truth WHERE touches > 0) AS first_is_there FROM kpi_data.journeys;
SELECT * FROM kpi.verify();
INSERT INTO kd.activity VALUES (100, 3, '2026-02-01');
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');

-- A reading of all rewrites nothing that is as it was.
SELECT max(xmin::text::bigint) AS last FROM kpi_data.journeys \gset
SELECT kpi.alter_source('journeys', follow => '{"kd.lead": "SELECT changed.lead_id", "kd.activity": "lead_id"}');
CALL kpi.refresh();
SELECT count(*) FILTER (WHERE xmin::text::bigint > :last) AS rewritten, count(*) AS kept FROM kpi_data.journeys;
SELECT kpi.resume('journeys');
CALL kpi.refresh();
SELECT count(*) FILTER (WHERE xmin::text::bigint > :last) AS rewritten, count(*) AS kept FROM kpi_data.journeys;

-- A column that gets another type.
DROP VIEW kd.truth;
ALTER TABLE kd.lead ALTER COLUMN owner_id TYPE varchar(20);
CREATE VIEW kd.truth AS
    SELECT l.lead_id, l.owner_id, l.created_at, l.channel, count(a.at) AS touches
      FROM kd.lead l LEFT JOIN kd.activity a ON a.lead_id = l.lead_id AND a.at >= l.created_at GROUP BY l.lead_id;
ALTER VIEW kd.truth OWNER TO kd_owner;
CALL kpi.refresh();
SELECT status, reason, hint FROM kpi.source_status WHERE source = 'journeys';
SET ROLE kd_owner;
SELECT kpi.resume('journeys');
DROP VIEW kd.owners;
SELECT kpi.resume('journeys');
RESET ROLE;
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = 'kpi_data.journeys'::regclass AND attname = 'owner_id';
SELECT * FROM kpi.verify();

-- Another key and entity, several columns of them, and back.
SET ROLE kd_owner;
SELECT kpi.alter_source('journeys', key => 'owner_id, lead_id', entity => 'lead_id');
SELECT key_columns, entity_columns FROM kpi.keyed_source;
SELECT key IS NULL AS no_expression FROM kpi.source;
RESET ROLE;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'kpi_data.journeys'::regclass AND contype = 'p';
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'kpi_data.journeys'::regclass AND NOT indisprimary;
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
UPDATE kd.lead SET owner_id = 'u7' WHERE lead_id = 4;
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT * FROM kpi.verify();
SELECT kpi.alter_source('journeys', key => 'lead_id');
SELECT kpi.alter_source('journeys', entity => '');
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'kpi_data.journeys'::regclass ORDER BY 1;
SELECT kpi.alter_source('journeys', key => '');
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');

-- What is followed: more, less, nothing.
SELECT kpi.alter_source('journeys', follow => '{"kd.lead": "lead_id"}');
SELECT kpi.alter_source('journeys', follow => '{"kd.lead": "lead_id"}', static => '{kd.activity}');
SELECT * FROM kd_triggers ORDER BY 1, 2;
SELECT relation, query, columns FROM kpi.followed_relation ORDER BY position;
CALL kpi.refresh();
INSERT INTO kd.activity VALUES (101, 5, '2026-02-02');
CALL kpi.refresh();
SELECT v.level, v.dimension_value, v.stored, v.expected FROM kpi.verify() v ORDER BY 1, 2;
SELECT count(*) FROM kpi.repair('journeys');
SELECT * FROM kpi.verify();
SELECT kpi.alter_source('journeys', static => '{}', follow => '{}');
SELECT * FROM kd_triggers ORDER BY 1, 2;
SELECT refresh_mode, is_followed FROM kpi.source s JOIN kpi.keyed_source k ON k.source_id = s.id;
INSERT INTO kd.activity VALUES (102, 6, '2026-02-03');
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT kpi.alter_source('journeys', follow => '{"kd.lead": "lead_id", "kd.activity": "lead_id"}');
SELECT refresh_mode, is_followed FROM kpi.source s JOIN kpi.keyed_source k ON k.source_id = s.id;
INSERT INTO kd.activity VALUES (103, 7, '2026-02-03');
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT * FROM kpi.verify();

-- Another name.
SELECT kpi.alter_source('journeys', new_name => repeat('x', 64));
CREATE TABLE kpi_data.taken (i integer);
SELECT kpi.alter_source('journeys', new_name => 'taken');
DROP TABLE kpi_data.taken;
SELECT kpi.alter_source('journeys', new_name => 'Lead journeys');
SELECT name, relation FROM kpi.source;
INSERT INTO kd.activity VALUES (104, 8, '2026-02-03');
CALL kpi.refresh();
SELECT * FROM kd_differences('Lead journeys');
SELECT * FROM kpi.verify();
SELECT kpi.alter_source('Lead journeys', new_name => 'journeys');

-- Another definer, who must have the rights.
SELECT kpi.alter_source('journeys', definer => 'kd_other');
GRANT USAGE ON SCHEMA kd TO kd_other;
SELECT kpi.alter_source('journeys', definer => 'kd_other');
GRANT SELECT, TRIGGER ON kd.lead, kd.activity TO kd_other;
-- whose rights code of the old one must not get
CREATE FUNCTION kd.steal() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
ALTER FUNCTION kd.steal() OWNER TO kd_owner;
SET ROLE kd_owner;
CREATE TRIGGER steal BEFORE UPDATE ON kpi_data.journeys FOR EACH ROW EXECUTE FUNCTION kd.steal();
RESET ROLE;
SELECT kpi.alter_source('journeys', definer => 'kd_other');
DROP TRIGGER steal ON kpi_data.journeys;
SELECT kpi.alter_source('journeys', definer => 'kd_other');
SELECT definer, pg_get_userbyid(relowner), replace(relacl::text, 'm', '') AS relacl FROM kpi.source, pg_class WHERE oid = 'kpi_data.journeys'::regclass;
INSERT INTO kd.activity VALUES (105, 9, '2026-02-03');
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT * FROM kpi.verify();
SELECT kpi.alter_source('journeys', definer => 'kd_owner');

-- A table that is gone, and one that does not fit.
SET ROLE kd_owner;
DROP TABLE kpi_data.journeys;
RESET ROLE;
SELECT status, capture_problem FROM kpi.source_status;
CALL kpi.refresh();
SELECT status, reason FROM kpi.source_status;
INSERT INTO kd.activity VALUES (106, 10, '2026-02-03');
SELECT kpi.alter_source('journeys', query => 'SELECT 1 AS lead_id');
SELECT kpi.resume();
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT * FROM kpi.verify();
SELECT * FROM kd_triggers ORDER BY 1, 2;
SET ROLE kd_owner;
ALTER TABLE kpi_data.journeys DROP COLUMN touches CASCADE;
RESET ROLE;
CALL kpi.refresh();
SELECT status, reason FROM kpi.source_status;
SELECT kpi.resume('journeys');
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT * FROM kpi.verify();

-- Its rows: whoever owns them can spoil them, and it is seen and mended.
SET ROLE kd_owner;
UPDATE kpi_data.journeys SET touches = 77 WHERE lead_id = 1;
DELETE FROM kpi_data.journeys WHERE lead_id = 2;
RESET ROLE;
SELECT v.level, v.dimension_value, v.stored, v.expected FROM kpi.verify() v ORDER BY 1, 2;
SELECT count(*) FROM kpi.repair('journeys');
SELECT * FROM kd_differences('journeys');
SELECT * FROM kpi.verify();
SET ROLE kd_owner;
TRUNCATE kpi_data.journeys;
RESET ROLE;
SELECT count(*) FROM kpi.repair('journeys');
SELECT * FROM kd_differences('journeys');
SELECT * FROM kpi.verify();

-- Triggers of followed tables count; a refresh brings them back.
ALTER TABLE kd.activity DISABLE TRIGGER USER;
SELECT status, capture_problem, hint FROM kpi.source_status;
SELECT problem, detail FROM kpi.health() WHERE problem = 'capture';
SELECT DISTINCT is_complete FROM kpi.team_yearly WHERE kpi = 'leads';
INSERT INTO kd.activity VALUES (107, 11, '2026-02-03');
CALL kpi.refresh();
SELECT status, capture_problem FROM kpi.source_status;
SELECT * FROM kd_differences('journeys');
-- a table that is swapped
BEGIN;
ALTER TABLE kd.activity RENAME TO activity_old;
CREATE TABLE kd.activity (LIKE kd.activity_old INCLUDING ALL);
ALTER TABLE kd.activity OWNER TO kd_owner;
INSERT INTO kd.activity SELECT id, lead_id, at FROM kd.activity_old WHERE id > 30;
CREATE OR REPLACE VIEW kd.truth AS
    SELECT l.lead_id, l.owner_id, l.created_at, l.channel, count(a.at) AS touches
      FROM kd.lead l LEFT JOIN kd.activity a ON a.lead_id = l.lead_id AND a.at >= l.created_at GROUP BY l.lead_id;
COMMIT;
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT * FROM kd_triggers ORDER BY 1, 2;
SELECT * FROM kpi.verify();
-- renamed, and back
ALTER TABLE kd.activity RENAME TO events;
SELECT capture_problem, hint FROM kpi.source_status;
CALL kpi.refresh();
SELECT status, reason, hint FROM kpi.source_status;
ALTER TABLE kd.events RENAME TO activity;
ALTER TABLE kd.lead RENAME COLUMN owner_id TO who;
SELECT kpi.resume('journeys');
SELECT status, reason, hint FROM kpi.source_status;
ALTER TABLE kd.lead RENAME COLUMN who TO owner_id;
SELECT kpi.resume('journeys');
CALL kpi.refresh();
SELECT * FROM kd_differences('journeys');
SELECT * FROM kpi.verify();

-- Sources over the rows of others, by levels.
SET ROLE kd_owner;
SELECT kpi.create_source('table', relation => 'kpi_data.journeys', at => 'created_at');
SELECT kpi.create_source('owners', key => 'owner_id', at => 'since', query => $$
    SELECT owner_id, min(created_at) AS since, sum(touches) AS touches FROM kpi_data.journeys GROUP BY owner_id $$,
    follow => '{"kpi_data.journeys": "owner_id"}') > 0 AS created;
SELECT kpi.create_source('third', key => 'owner_id', at => 'since', query => 'SELECT owner_id, since, touches FROM kpi_data.owners WHERE touches > 1',
    follow => '{"kpi_data.owners": "owner_id"}') > 0 AS created;
SELECT kpi.create_kpi('third_touches', source => 'third', measure => 'sum(touches)') > 0 AS created;
RESET ROLE;
CALL kpi.refresh();
SELECT value = (SELECT sum(t) FROM (SELECT sum(touches) FROM kd.truth GROUP BY owner_id) o(t) WHERE t > 1) AS equal FROM kpi.team_yearly WHERE kpi = 'third_touches' AND team = 'company';
-- the ids of the levels in the other order: the lowest is created anew
SELECT kpi.drop_source('journeys');
SELECT kpi.alter_source('journeys', new_name => 'other');
SELECT kpi.alter_source('owners', query => $$ SELECT owner_id, min(since) AS since, sum(touches) AS touches FROM kpi_data.third GROUP BY owner_id $$,
    follow => '{"kpi_data.third": "owner_id"}');
SET ROLE kd_owner;
SELECT kpi.create_source('lowest', key => 'lead_id', at => 'created_at', query => 'SELECT * FROM kd.truth',
    follow => '{"kd.lead": "lead_id", "kd.activity": "lead_id"}') > 0 AS created;
SELECT kpi.alter_source('owners', query => $$ SELECT owner_id, min(created_at) AS since, sum(touches) AS touches FROM kpi_data.lowest GROUP BY owner_id $$,
    follow => '{"kpi_data.lowest": "owner_id"}');
RESET ROLE;
CALL kpi.refresh();
INSERT INTO kd.activity VALUES (200, 12, '2026-03-01'), (201, 13, '2026-03-01');
UPDATE kd.lead SET owner_id = 'u0' WHERE lead_id = 12;
CALL kpi.refresh();
SELECT value = (SELECT sum(t) FROM (SELECT sum(touches) FROM kd.truth GROUP BY owner_id) o(t) WHERE t > 1) AS equal FROM kpi.team_yearly WHERE kpi = 'third_touches' AND team = 'company';
SELECT (SELECT sum(pending_deltas) FROM kpi.source_status) AS waiting;
SELECT * FROM kpi.verify();
SELECT kpi.drop_source('lowest', cascade => true);
SELECT name FROM kpi.source ORDER BY 1;
SELECT relname FROM pg_class WHERE relnamespace = 'kpi_data'::regnamespace AND relkind = 'r' ORDER BY 1;

-- The end: a view stops it.
SET ROLE kd_owner;
CREATE VIEW kd.owners AS SELECT lead_id, owner_id FROM kpi_data.journeys;
SELECT kpi.drop_source('journeys', cascade => true);
RESET ROLE;
DROP EXTENSION pg_kpi;
DROP VIEW kd.owners;
BEGIN;
DROP EXTENSION pg_kpi;
SELECT nspname FROM pg_namespace WHERE nspname LIKE 'kpi%';
SELECT * FROM kd_triggers;
ROLLBACK;
SELECT kpi.drop_source('journeys', cascade => true);
SELECT count(*) FROM pg_class WHERE relnamespace = 'kpi_data'::regnamespace;
SELECT count(*) FROM kd_triggers;
SELECT (SELECT count(*) FROM kpi.keyed_source) + (SELECT count(*) FROM kpi.followed_relation) + (SELECT count(*) FROM kpi_internal.keyed_state) AS "left";

DROP VIEW kd_triggers;
DROP FUNCTION kd_differences(text);
SELECT kpi.revoke_reader('kd_owner'), kpi.revoke_reader('kd_other');
DROP OWNED BY kd_owner, kd_other, kd_reader CASCADE;
DROP SCHEMA IF EXISTS kd CASCADE;
DROP ROLE kd_owner, kd_other, kd_reader;
