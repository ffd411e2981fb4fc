-- What the owner of a rollup table puts there runs with his rights, and holds nothing back.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_rollup_owner;
CREATE ROLE regress_rollup_victim;
CREATE ROLE regress_rollup_reader;
SELECT kpi.grant_editor('regress_rollup_owner'), kpi.grant_editor('regress_rollup_victim'), kpi.grant_reader('regress_rollup_reader');
CREATE SCHEMA ruh;
GRANT USAGE, CREATE ON SCHEMA ruh TO regress_rollup_owner;
CREATE TABLE ruh.deals (id integer PRIMARY KEY, day date, amount numeric);
GRANT INSERT, SELECT ON ruh.deals TO regress_rollup_owner;
SELECT kpi.create_source('ruh_deals', relation => 'ruh.deals', at => 'day') > 0 AS made;
SELECT kpi.create_kpi('ruh_sum', source => 'ruh_deals', measure => 'sum(amount)') > 0 AS made;
SET ROLE regress_rollup_owner;
SELECT kpi.create_rollup('ruh.hostile', kpis => '{ruh_sum}') > 0 AS made;
SELECT kpi.create_rollup('ruh.good', kpis => '{ruh_sum}') > 0 AS made;
CREATE TABLE ruh.seen (what text);
RESET ROLE;
CREATE VIEW ruh.state AS
SELECT relation, status, pending_rows, last_error, last_sqlstate, hint, failures FROM kpi.rollup_status WHERE relation IN ('ruh.hostile', 'ruh.good', 'ruh.renamed') ORDER BY relation;
-- whatever happens to the one, the source and the other table are current
CREATE FUNCTION ruh.others(OUT value numeric, OUT good numeric, OUT hostile numeric) LANGUAGE plpgsql AS $$
BEGIN
    SELECT v.value INTO value FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id
     WHERE k.name = 'ruh_sum' AND v.team_id = 1 AND v.grain = 'month';
    SELECT ruh_sum INTO good FROM ruh.good;
    SELECT ruh_sum INTO hostile FROM ruh.hostile;
END $$;
INSERT INTO ruh.deals VALUES (1, '2026-10-05', 1);
CALL kpi.refresh();
SELECT * FROM ruh.others();

-- its code runs as the owner, in an operation that keeps it from becoming somebody else
SET ROLE regress_rollup_owner;
CREATE FUNCTION ruh.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ruh.seen VALUES (current_user || ', ' || current_setting('search_path'));
    BEGIN EXECUTE 'ALTER ROLE regress_rollup_owner CREATEROLE'; EXCEPTION WHEN OTHERS THEN INSERT INTO ruh.seen VALUES (SQLSTATE); END;
    BEGIN EXECUTE 'SET ROLE postgres'; EXCEPTION WHEN OTHERS THEN INSERT INTO ruh.seen VALUES (SQLERRM); END;
    BEGIN EXECUTE 'SET SESSION AUTHORIZATION postgres'; EXCEPTION WHEN OTHERS THEN INSERT INTO ruh.seen VALUES (SQLERRM); END;
    BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXCEPTION WHEN OTHERS THEN INSERT INTO ruh.seen VALUES (SQLERRM); END;
    BEGIN EXECUTE 'CREATE TEMP TABLE t (a int)'; EXCEPTION WHEN OTHERS THEN INSERT INTO ruh.seen VALUES (SQLERRM); END;
    BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1'; EXCEPTION WHEN OTHERS THEN INSERT INTO ruh.seen VALUES (SQLERRM); END;
    BEGIN EXECUTE 'SELECT * FROM kpi_internal.version'; EXCEPTION WHEN OTHERS THEN INSERT INTO ruh.seen VALUES (SQLERRM); END;
    BEGIN EXECUTE 'CALL kpi.refresh()'; EXCEPTION WHEN OTHERS THEN INSERT INTO ruh.seen VALUES (SQLERRM); END;
    PERFORM set_config('search_path', 'ruh', false);
    RETURN NEW;
END $$;
CREATE TRIGGER look BEFORE INSERT ON ruh.hostile FOR EACH ROW EXECUTE FUNCTION ruh.look();
RESET ROLE;
INSERT INTO ruh.deals VALUES (2, '2026-10-05', 1);
CALL kpi.refresh();
SELECT * FROM ruh.seen;
SHOW search_path;
SELECT rolcreaterole FROM pg_roles WHERE rolname = 'regress_rollup_owner';
SELECT * FROM ruh.others();
DROP TRIGGER look ON ruh.hostile;

-- a trigger that raises
SET ROLE regress_rollup_owner;
CREATE FUNCTION ruh.raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'secret %', NEW.ruh_sum USING ERRCODE = 'KP001'; END $$;
CREATE TRIGGER raise AFTER INSERT OR UPDATE ON ruh.hostile FOR EACH ROW EXECUTE FUNCTION ruh.raise();
RESET ROLE;
INSERT INTO ruh.deals VALUES (3, '2026-10-05', 1);
CALL kpi.refresh();
SELECT * FROM ruh.others();
SELECT * FROM ruh.state;
SELECT problem, object, regexp_replace(detail, ' since .*', '') AS detail, remedy FROM kpi.health() WHERE problem = 'rollup_table';
-- its text is for those who may see what it says
SET ROLE regress_rollup_reader;
SELECT relation, status, last_error FROM kpi.rollup_status WHERE failures > 0;
SET ROLE regress_rollup_victim;
SELECT problem, object, regexp_replace(detail, ' since .*', '') AS detail FROM kpi.health() WHERE problem = 'rollup_table';
CALL kpi.refresh();
SET ROLE regress_rollup_owner;
SELECT problem, object, regexp_replace(detail, ' since .*', '') AS detail FROM kpi.health() WHERE problem = 'rollup_table';
RESET ROLE;
SELECT level, source_name, stored, expected FROM kpi.verify();
DROP TRIGGER raise ON ruh.hostile;
-- mended: by whoever calls, at once
CALL kpi.refresh();
SELECT * FROM ruh.others();
SELECT * FROM ruh.state;

-- one that says no to a row: verification says so
SET ROLE regress_rollup_owner;
CREATE FUNCTION ruh.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER no BEFORE INSERT OR UPDATE ON ruh.hostile FOR EACH ROW EXECUTE FUNCTION ruh.no();
RESET ROLE;
INSERT INTO ruh.deals VALUES (4, '2026-10-05', 1);
CALL kpi.refresh();
SELECT * FROM ruh.others();
SELECT source_name, level, kpi, stored, expected FROM kpi.verify();
DROP TRIGGER no ON ruh.hostile;
SELECT kpi.repair('ruh_deals');
SELECT * FROM ruh.others();

-- one that writes to a source's table would have no end
SET ROLE regress_rollup_owner;
CREATE FUNCTION ruh.loop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO ruh.deals SELECT max(id) + 1, '2026-10-05', 1 FROM ruh.deals; RETURN NULL; END $$;
CREATE TRIGGER loop AFTER INSERT OR UPDATE ON ruh.hostile FOR EACH STATEMENT EXECUTE FUNCTION ruh.loop();
RESET ROLE;
INSERT INTO ruh.deals VALUES (5, '2026-10-05', 1);
CALL kpi.refresh();
SELECT * FROM ruh.others();
SELECT * FROM ruh.state;
SELECT count(*) FROM ruh.deals;
DROP TRIGGER loop ON ruh.hostile;

-- a deferred trigger would run at the end of the caller's transaction, with his rights
SET ROLE regress_rollup_owner;
TRUNCATE ruh.seen;
CREATE FUNCTION ruh.later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO ruh.seen VALUES (current_user); EXECUTE 'ALTER ROLE regress_rollup_owner SUPERUSER'; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT OR UPDATE ON ruh.hostile DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ruh.later();
RESET ROLE;
CALL kpi.refresh();
SELECT * FROM ruh.state;
-- also one of another table, and by a trigger that defers it
ALTER TABLE ruh.hostile DISABLE TRIGGER later;
SET ROLE regress_rollup_owner;
CREATE TABLE ruh.elsewhere (a int);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON ruh.elsewhere DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION ruh.later();
CREATE FUNCTION ruh.defer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN SET CONSTRAINTS ALL DEFERRED; INSERT INTO ruh.elsewhere VALUES (1); RETURN NULL; END $$;
CREATE TRIGGER defer AFTER INSERT OR UPDATE ON ruh.hostile FOR EACH ROW EXECUTE FUNCTION ruh.defer();
RESET ROLE;
CALL kpi.refresh();
SELECT last_error FROM ruh.state WHERE failures > 0;
SELECT * FROM ruh.seen;
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_rollup_owner';
DROP TRIGGER defer ON ruh.hostile;
-- those that wait for the caller go on waiting
BEGIN;
CREATE TABLE ruh.parent (a int PRIMARY KEY);
CREATE TABLE ruh.child (a int REFERENCES ruh.parent DEFERRABLE INITIALLY DEFERRED);
INSERT INTO ruh.child VALUES (1);
CALL kpi.refresh();
SELECT * FROM ruh.others();
INSERT INTO ruh.parent VALUES (1);
COMMIT;
SELECT * FROM ruh.state;

-- columns of the user's own, one that the writing does not fill
ALTER TABLE ruh.hostile ADD COLUMN comment text DEFAULT 'fine', ADD COLUMN half numeric GENERATED ALWAYS AS (ruh_sum / 2) STORED;
INSERT INTO ruh.deals VALUES (6, '2026-11-05', 8);
CALL kpi.refresh();
SELECT period, ruh_sum, comment, half FROM ruh.hostile ORDER BY 1;
ALTER TABLE ruh.hostile ADD COLUMN needed text;
UPDATE ruh.hostile SET needed = 'x';
ALTER TABLE ruh.hostile ALTER needed SET NOT NULL;
INSERT INTO ruh.deals VALUES (7, '2026-12-05', 8);
CALL kpi.refresh();
SELECT count(*) FROM ruh.good;
SELECT last_sqlstate, last_error FROM ruh.state WHERE failures > 0;
ALTER TABLE ruh.hostile DROP COLUMN needed;
CALL kpi.refresh();
-- what does not fit any more is said
ALTER TABLE ruh.hostile RENAME COLUMN team TO who;
CALL kpi.refresh();
INSERT INTO ruh.deals VALUES (8, '2026-12-05', 8);
CALL kpi.refresh();
ALTER TABLE ruh.hostile RENAME COLUMN who TO team;
ALTER TABLE ruh.hostile DROP COLUMN half;
ALTER TABLE ruh.hostile ALTER ruh_sum TYPE numeric(10,2);
CALL kpi.refresh();
ALTER TABLE ruh.hostile ALTER ruh_sum TYPE numeric;
ALTER TABLE ruh.hostile DROP CONSTRAINT hostile_pkey;
CALL kpi.refresh();
ALTER TABLE ruh.hostile ADD UNIQUE (team_id, period_start);
CALL kpi.refresh();
SELECT * FROM ruh.state;
-- its owner may not read, or is another
SELECT kpi.revoke_reader('regress_rollup_owner');
INSERT INTO ruh.deals VALUES (9, '2026-12-05', 8);
CALL kpi.refresh();
ALTER TABLE ruh.hostile OWNER TO regress_rollup_victim;
ALTER TABLE ruh.good OWNER TO regress_rollup_reader;
CALL kpi.refresh();
GRANT USAGE ON SCHEMA ruh TO regress_rollup_victim, regress_rollup_reader;
CALL kpi.refresh();
SELECT relation, status FROM ruh.state;
-- a superuser's table runs nobody else's code
ALTER TABLE ruh.hostile OWNER TO postgres;
CREATE TRIGGER look BEFORE INSERT ON ruh.hostile FOR EACH ROW EXECUTE FUNCTION ruh.look();
INSERT INTO ruh.deals VALUES (10, '2026-12-05', 8);
CALL kpi.refresh();
DROP TRIGGER look ON ruh.hostile;
-- nor that of a table below it
CREATE TABLE ruh.heir () INHERITS (ruh.hostile);
ALTER TABLE ruh.heir OWNER TO regress_rollup_owner;
CALL kpi.refresh();
ALTER TABLE ruh.heir OWNER TO postgres;
CREATE TRIGGER look BEFORE DELETE ON ruh.heir FOR EACH ROW EXECUTE FUNCTION ruh.look();
CALL kpi.refresh();
DROP TABLE ruh.heir;
-- nor that of a condition, of a table that a foreign key changes, or of who has the schema
CREATE TRIGGER look BEFORE UPDATE ON ruh.hostile FOR EACH ROW WHEN (NEW.ruh_sum > 0) EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger();
CALL kpi.refresh();
DROP TRIGGER look ON ruh.hostile;
CREATE TABLE ruh.follower (team_id integer, period_start date, FOREIGN KEY (team_id, period_start) REFERENCES ruh.hostile (team_id, period_start) ON DELETE CASCADE);
ALTER TABLE ruh.follower OWNER TO regress_rollup_owner;
CALL kpi.refresh();
DROP TABLE ruh.follower;
ALTER SCHEMA ruh OWNER TO regress_rollup_owner;
CALL kpi.refresh();
ALTER SCHEMA ruh OWNER TO postgres;
CALL kpi.refresh();
-- gone
DROP TABLE ruh.hostile CASCADE;
INSERT INTO ruh.deals VALUES (11, '2026-12-05', 8);
CALL kpi.refresh();
SELECT ruh_sum FROM ruh.good ORDER BY period;
SELECT kpi.drop_rollup('ruh.hostile'), kpi.drop_rollup('ruh.good');
SELECT count(*) FROM kpi_internal.rollup_state;
CALL kpi.refresh();
SELECT count(*) FROM kpi_internal.rollup_queue;

SELECT kpi.drop_source('ruh_deals', cascade => true);
SELECT kpi.revoke_editor('regress_rollup_victim'), kpi.revoke_reader('regress_rollup_victim'), kpi.revoke_reader('regress_rollup_reader');
DROP SCHEMA ruh CASCADE;
DROP OWNED BY regress_rollup_owner, regress_rollup_victim, regress_rollup_reader;
DROP ROLE regress_rollup_owner, regress_rollup_victim, regress_rollup_reader;
