-- The rows of keyed sources where a random stream hardly comes: texts of
-- entities, keys that are taken over, rows that are no facts, tables that lose
-- their name, roles that may do little.  The oracle is the query, run by itself.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
CREATE SCHEMA rk;
CREATE FUNCTION rk.difference(source text) RETURNS TABLE (side text, fact text) LANGUAGE plpgsql AS $$
DECLARE
    wanted text := (SELECT format('SELECT * FROM (%s) q WHERE (%s) IS NOT NULL', query, (SELECT string_agg(quote_ident(c), ', ') FROM unnest(key_columns || entity_columns) c))
                    FROM kpi.keyed_source JOIN kpi.source s ON s.id = source_id WHERE s.name = source);
BEGIN
    RETURN QUERY EXECUTE format('SELECT ''query'', x::text FROM (%1$s EXCEPT ALL SELECT * FROM kpi_data.%2$I) x'
                                ' UNION ALL SELECT ''kept'', x::text FROM (SELECT * FROM kpi_data.%2$I EXCEPT ALL (%1$s)) x ORDER BY 1, 2', wanted, source);
END $$;
CREATE FUNCTION rk.entities_read() RETURNS bigint LANGUAGE sql AS $$ SELECT entities_read FROM kpi_internal.keyed_state ORDER BY source_id DESC LIMIT 1 $$;

--
-- Notes are texts, of types that have a length, and of names that are quoted
--
CREATE TYPE rk.kind AS ENUM ('a', 'b');
CREATE TABLE rk."Deal" (id integer PRIMARY KEY, code char(8), "Flags" bit(4), kind rk.kind, day date, at timestamptz, amount numeric);
INSERT INTO rk."Deal" SELECT i, 'code' || i % 3, (i % 5)::bit(4), (ARRAY['a', 'b'])[1 + i % 2]::rk.kind, date '2026-01-01' + i, '2026-01-01 10:00+00', i FROM generate_series(1, 12) i;
SELECT kpi.create_source('rk_text', key => 'code, "Flags", kind, at', at => 'day', follow => '{"rk.\"Deal\"": "code, \"Flags\", kind, at"}',
                         query => $$SELECT code, "Flags", kind, at, max(day) AS day, sum(amount) AS "select", count(*) AS is_row FROM rk."Deal" GROUP BY 1, 2, 3, 4$$) > 0 AS source;
SELECT kpi.create_kpi('rk_text', source => 'rk_text', measure => 'sum("select")') > 0 AS kpi;
CALL kpi.refresh();
SELECT count(*) FROM kpi_data.rk_text;
SET DateStyle = German; SET TimeZone = 'Asia/Kathmandu';
UPDATE rk."Deal" SET amount = amount + 100 WHERE id = 5;
UPDATE rk."Deal" SET code = 'other', "Flags" = B'1111', at = at + interval '1 microsecond' WHERE id = 7;
RESET DateStyle; SET TimeZone = 'UTC';
CALL kpi.refresh();
SELECT rk.entities_read(), count(*) FROM rk.difference('rk_text');
-- a name that changes while a note of it waits
UPDATE rk."Deal" SET amount = amount + 1 WHERE kind = 'b';
ALTER TYPE rk.kind RENAME VALUE 'b' TO 'c';
CALL kpi.refresh();
SELECT * FROM rk.difference('rk_text');
-- a column that a KPI is not of, and a change that changes nothing: nothing is noted
UPDATE rk."Deal" SET id = id + 100, amount = amount;
SELECT count(*) FROM kpi_internal.delta;
-- nor is anything where all is rolled back
BEGIN; SAVEPOINT s; UPDATE rk."Deal" SET amount = 0; ROLLBACK TO s; COMMIT;
SELECT count(*) FROM kpi_internal.delta;
-- what is emptied is asked for as a whole
TRUNCATE rk."Deal";
SELECT count(*) > 0 AS asked FROM kpi_internal.delta;
CALL kpi.refresh();
SELECT count(*) FROM kpi_data.rk_text;
SELECT value FROM kpi.team_yearly WHERE kpi = 'rk_text';
SELECT * FROM kpi.verify('rk_text');
SELECT kpi.drop_source('rk_text', cascade => true);

--
-- Keys that are kept under an entity that nothing touched, as it was said not to change
--
CREATE TABLE rk.deal (id integer, owner text, amount numeric, day date);
CREATE TABLE rk.team_of (owner text, team text);
INSERT INTO rk.team_of VALUES ('x', 'X'), ('y', 'Y'), ('z', 'X');
INSERT INTO rk.deal SELECT i, (ARRAY['x', 'y', 'z'])[1 + i % 3], i, date '2026-01-01' + i FROM generate_series(1, 6) i;
SELECT kpi.create_source('rk_moved', key => 'id', entity => 'team', at => 'day', static => '{rk.team_of}', follow => '{"rk.deal": "SELECT team FROM rk.team_of WHERE owner = changed.owner"}',
                         query => 'SELECT id, team, day, amount FROM rk.deal JOIN rk.team_of USING (owner)') > 0 AS source;
SELECT kpi.create_kpi('rk_moved', source => 'rk_moved', measure => 'sum(amount)') > 0 AS kpi;
CALL kpi.refresh();
UPDATE rk.team_of SET team = 'Y' WHERE owner = 'z';
UPDATE rk.deal SET amount = 100 WHERE owner = 'y';
CALL kpi.refresh();
SELECT rk.entities_read(), count(*) FROM rk.difference('rk_moved');
-- a key that comes twice, in one entity and in two of which one is touched
INSERT INTO rk.deal VALUES (1, 'y', 55, '2026-01-01');
CALL kpi.refresh();
DELETE FROM rk.deal WHERE amount = 55;
SELECT kpi.resume('rk_moved');
CALL kpi.refresh();
INSERT INTO rk.deal VALUES (3, 'y', 66, '2026-01-01');
CALL kpi.refresh();
DELETE FROM rk.deal WHERE amount = 66;
SELECT kpi.resume('rk_moved');
CALL kpi.refresh();
SELECT * FROM rk.difference('rk_moved');
-- rows without a key or an entity are no facts, and do not meet
UPDATE rk.team_of SET team = NULL WHERE owner = 'x';
INSERT INTO rk.deal VALUES (1, 'x', 1000, '2026-01-01'), (NULL, 'y', 2000, '2026-01-01'), (NULL, 'y', 3000, '2026-01-01');
CALL kpi.refresh();
SELECT id, team, amount FROM kpi_data.rk_moved ORDER BY id;
TRUNCATE rk.team_of;
INSERT INTO rk.team_of VALUES ('x', NULL), ('y', 'Y'), ('z', 'Y');
ALTER TABLE rk.deal ALTER amount TYPE numeric USING amount + 0.5;
CALL kpi.refresh();
SELECT id, team, amount FROM kpi_data.rk_moved ORDER BY id;
SELECT rows_without_key, rows_without_entity FROM kpi_internal.keyed_state;
SELECT * FROM kpi.verify('rk_moved');

--
-- Tables that lose their name
--
ALTER TABLE rk.deal RENAME TO away;
UPDATE rk.away SET amount = 7 WHERE id = 4;
ALTER TABLE rk.away RENAME TO deal;
CALL kpi.refresh();
SELECT * FROM rk.difference('rk_moved');
-- another has it, which nobody has looked at
ALTER TABLE rk.deal RENAME TO away;
CREATE TABLE rk.deal (LIKE rk.away);
UPDATE rk.away SET amount = 8 WHERE id = 4;
DROP TABLE rk.deal;
ALTER TABLE rk.away RENAME TO deal;
CALL kpi.refresh();
SELECT * FROM rk.difference('rk_moved');
-- another has it for good: what is written to the old one is nothing to us
ALTER TABLE rk.deal RENAME TO away;
CREATE TABLE rk.deal AS SELECT id, owner, amount * 2 AS amount, day FROM rk.away;
CALL kpi.refresh();
UPDATE rk.away SET amount = 9;
SELECT count(*) FROM kpi_internal.delta;
UPDATE rk.deal SET amount = 10 WHERE id = 4;
CALL kpi.refresh();
SELECT rk.entities_read(), count(*) FROM rk.difference('rk_moved');
-- and the old one comes back
DROP TABLE rk.deal;
ALTER TABLE rk.away RENAME TO deal;
CALL kpi.refresh();
SELECT * FROM rk.difference('rk_moved');
-- one is missing: the numbers stay, with the reason, until it is back
UPDATE rk.deal SET amount = 11 WHERE id = 4;
ALTER TABLE rk.deal RENAME TO away;
CALL kpi.refresh();
UPDATE rk.away SET amount = 12 WHERE id = 4;
SELECT status, reason FROM kpi.source_status WHERE source = 'rk_moved';
ALTER TABLE rk.away RENAME TO deal;
SELECT kpi.resume('rk_moved');
CALL kpi.refresh();
UPDATE rk.deal SET amount = 13 WHERE id = 4;
CALL kpi.refresh();
SELECT * FROM rk.difference('rk_moved');
SELECT * FROM kpi.verify('rk_moved');

--
-- Whoever may write to a followed table need have no other right
--
CREATE ROLE regress_rk_writer;
GRANT USAGE ON SCHEMA rk TO regress_rk_writer;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON rk.deal TO regress_rk_writer;
SET ROLE regress_rk_writer;
INSERT INTO rk.deal VALUES (20, 'y', 14, '2026-01-20');
UPDATE rk.deal SET amount = 15 WHERE id = 4;
SELECT count(*) FROM kpi_data.rk_moved;
RESET ROLE;
CALL kpi.refresh();
SELECT * FROM rk.difference('rk_moved');
-- nor does anybody note anything for a source with a table of his own
SELECT id AS source FROM kpi.source WHERE name = 'rk_moved' \gset
GRANT USAGE ON SCHEMA kpi TO regress_rk_writer;
CREATE TABLE rk.hostile (id integer, owner text, amount numeric, day date);
ALTER TABLE rk.hostile OWNER TO regress_rk_writer;
SET ROLE regress_rk_writer;
CREATE TRIGGER hostile AFTER INSERT ON rk.hostile FOR EACH ROW EXECUTE FUNCTION kpi.follow(:source);
INSERT INTO rk.hostile VALUES (1, 'y', 1, '2026-01-01');
RESET ROLE;
SELECT count(*) FROM kpi_internal.delta;

SELECT kpi.drop_source('rk_moved', cascade => true);
DROP SCHEMA rk CASCADE;
REVOKE USAGE ON SCHEMA kpi FROM regress_rk_writer;
DROP ROLE regress_rk_writer;
