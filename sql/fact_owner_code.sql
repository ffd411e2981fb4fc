-- Whoever reads a table runs code of its owner.  A superuser who makes a source
-- of another's table, refreshes it and verifies it runs none of it with his
-- rights, whichever way it is planted: it runs as the owner.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_foc_super SUPERUSER;
CREATE ROLE regress_foc_app;
CREATE SCHEMA foc AUTHORIZATION regress_foc_app;
SET ROLE regress_foc_app;
CREATE TABLE foc.seen (what text, who name);
CREATE FUNCTION foc.write(what text) RETURNS void LANGUAGE sql AS 'INSERT INTO foc.seen VALUES (what, current_user)';
CREATE FUNCTION foc.note(what text, i integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM foc.write(what);
    RETURN i;
END $$;
CREATE VIEW foc.who AS SELECT DISTINCT what, who FROM foc.seen ORDER BY 1, 2;
RESET ROLE;
-- What the superuser does, each time in a session that has read nothing yet.
\set look 'CALL kpi.refresh(''foc''); SELECT value FROM kpi.team_monthly WHERE kpi = ''foc'' AND team = ''company''; SELECT * FROM kpi.verify(''foc''); SELECT kpi.repair(''foc''), kpi_internal.facts_query(''foc'') <> '''' AS shown; SELECT kpi.resume(''foc''); CALL kpi.refresh(''foc'');'
\set define 'SELECT kpi.create_source(''foc'', relation => ''foc.t'', owner => ''owner'', at => ''day'') > 0 AS created; SELECT kpi.create_kpi(''foc'', source => ''foc'', measure => ''sum(amt)'') > 0 AS created;'

-- An expression and a predicate of an index.
SET ROLE regress_foc_app;
CREATE TABLE foc.t (id integer, owner text, amt numeric, day date);
INSERT INTO foc.t SELECT i, 'ann', i, '2026-10-05' FROM generate_series(1, 10) i;
CREATE INDEX ON foc.t ((id + foc.note('index expression', 1)));
CREATE INDEX ON foc.t (id) WHERE id > foc.note('index predicate', 0);
TRUNCATE foc.seen;
\c -
SET client_min_messages = warning;
SET ROLE regress_foc_super;
:define
:look
SELECT * FROM foc.who;
SELECT kpi.drop_source('foc', cascade => true);

-- Planted once the source is there, with a change that has it built anew.
SET ROLE regress_foc_app;
DROP TABLE foc.t;
CREATE TABLE foc.t (id integer, owner text, amt numeric, day date);
INSERT INTO foc.t SELECT i, 'ann', i, '2026-10-05' FROM generate_series(1, 10) i;
SET ROLE regress_foc_super;
:define
CALL kpi.refresh('foc');
SET ROLE regress_foc_app;
CREATE INDEX ON foc.t ((id + foc.note('index of later', 1)));
ALTER TABLE foc.t ALTER amt TYPE numeric(20,3);
TRUNCATE foc.seen;
\c -
SET client_min_messages = warning;
SET ROLE regress_foc_super;
:look
SELECT * FROM foc.who;
SELECT kpi.drop_source('foc', cascade => true);

-- Extended statistics.
SET ROLE regress_foc_app;
DROP TABLE foc.t;
CREATE TABLE foc.t (id integer, owner text, amt numeric, day date);
INSERT INTO foc.t SELECT i, 'ann', i, '2026-10-05' FROM generate_series(1, 10) i;
CREATE STATISTICS foc.s ON (id + foc.note('statistics', 1)), (id + 1) FROM foc.t;
ANALYZE foc.t;
TRUNCATE foc.seen;
\c -
SET client_min_messages = warning;
SET ROLE regress_foc_super;
:define
:look
SELECT * FROM foc.who;
SELECT kpi.drop_source('foc', cascade => true);

-- A CHECK constraint, which the planner holds against the condition, and the
-- bounds of partitions.
SET ROLE regress_foc_app;
DROP TABLE foc.t;
CREATE TABLE foc.t (id integer, owner text, amt numeric, day date) PARTITION BY RANGE ((id + foc.note('partition bound', 0)));
CREATE TABLE foc.t_1 PARTITION OF foc.t FOR VALUES FROM (0) TO (100);
ALTER TABLE foc.t_1 ADD CHECK (id > foc.note('constraint', 0));
INSERT INTO foc.t SELECT i, 'ann', i, '2026-10-05' FROM generate_series(1, 10) i;
TRUNCATE foc.seen;
\c -
SET client_min_messages = warning;
SET ROLE regress_foc_super;
:define
\c -
SET client_min_messages = warning;
SET ROLE regress_foc_super;
:look
SELECT * FROM foc.who;
SELECT kpi.drop_source('foc', cascade => true);

-- A domain: its constraint runs where a column becomes one.
SET ROLE regress_foc_app;
DROP TABLE foc.t;
CREATE DOMAIN foc.dom AS numeric;
CREATE TABLE foc.t (id integer, owner text, amt numeric, day date);
INSERT INTO foc.t SELECT i, 'ann', i, '2026-10-05' FROM generate_series(1, 10) i;
SET ROLE regress_foc_super;
SELECT kpi.create_source('foc', relation => 'foc.t', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('foc', source => 'foc', measure => 'sum(amt::foc.dom)', filter => $$'{1}'::foc.dom[] IS NOT NULL$$) > 0 AS created;
SET ROLE regress_foc_app;
ALTER DOMAIN foc.dom ADD CHECK (foc.note('domain', VALUE::integer) = VALUE);
TRUNCATE foc.seen;
\c -
SET client_min_messages = warning;
SET ROLE regress_foc_super;
INSERT INTO foc.t VALUES (11, 'ann', 11, '2026-10-05');
:look
SELECT * FROM foc.who;
SELECT kpi.drop_source('foc', cascade => true);

-- A deferred constraint trigger would wait for the end of the operation that
-- restricts, and then run as whoever commits.
SET ROLE regress_foc_app;
DROP TABLE foc.t;
CREATE TABLE foc.t (id integer, owner text, amt numeric, day date);
INSERT INTO foc.t SELECT i, 'ann', i, '2026-10-05' FROM generate_series(1, 10) i;
CREATE TABLE foc.bait (i integer);
CREATE FUNCTION foc.deferred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM foc.write('deferred trigger');
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON foc.bait DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION foc.deferred();
CREATE FUNCTION foc.lay(i integer) RETURNS void LANGUAGE sql AS 'INSERT INTO foc.bait VALUES (i)';
CREATE FUNCTION foc.bait(i integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM foc.write('index with bait');
    BEGIN
        PERFORM foc.lay(i);
    EXCEPTION WHEN insufficient_privilege THEN
        PERFORM foc.write('deferred trigger refused');
    END;
    RETURN i;
END $$;
CREATE INDEX ON foc.t ((id + foc.bait(1)));
TRUNCATE foc.seen, foc.bait;
\c -
SET client_min_messages = warning;
SET ROLE regress_foc_super;
:define
:look
SELECT * FROM foc.who;
SELECT count(*) FROM foc.bait;
SELECT kpi.drop_source('foc', cascade => true);

-- A view in the place of the table.
SET ROLE regress_foc_app;
DROP TABLE foc.t;
CREATE TABLE foc.t (id integer, owner text, amt numeric, day date);
SET ROLE regress_foc_super;
:define
SET ROLE regress_foc_app;
ALTER TABLE foc.t RENAME TO t_old;
CREATE VIEW foc.t AS SELECT id, owner, amt + foc.note('view', 1) AS amt, day FROM foc.t_old;
TRUNCATE foc.seen;
\c -
SET client_min_messages = warning;
SET ROLE regress_foc_super;
CALL kpi.refresh('foc');
SELECT kpi_internal.facts_query('foc') <> '' AS shown;
SELECT kpi.resume('foc');
CALL kpi.refresh('foc');
SELECT * FROM foc.who;
SELECT kpi.drop_source('foc', cascade => true);

RESET ROLE;
DROP SCHEMA foc CASCADE;
DROP ROLE regress_foc_super, regress_foc_app;
