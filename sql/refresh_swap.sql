-- Tables that are swapped under a source's name: the next refresh follows, and
-- only what differs is written.  Only what does not fit suspends.
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SCHEMA sw;
CREATE TABLE sw.deals (id integer, owner_id text, amount numeric, day date);
INSERT INTO sw.deals SELECT i, 'o' || i % 7, i, date '2026-01-01' + i % 60 FROM generate_series(1, 700) i;
SELECT kpi.create_source('sw_deals', relation => 'sw.deals', key => 'id', owner => 'owner_id', at => 'day',
                         dimensions => '{"size": "CASE WHEN amount > 350 THEN ''big'' ELSE ''small'' END"}') > 0 AS created;
SELECT kpi.create_kpi('sw_revenue', source => 'sw_deals', measure => 'sum(amount)', unit => 'EUR') > 0 AS created;
SELECT kpi.create_kpi('sw_count', source => 'sw_deals', measure => 'count(*)', filter => 'amount > 10') > 0 AS created;
CALL kpi.refresh('sw_deals');
CALL kpi.refresh('sw_deals');

-- What is stored of each month and size against the facts: how many differ.
CREATE FUNCTION sw.look(OUT status text, OUT fresh boolean, OUT complete boolean, OUT differ bigint, OUT facts bigint)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT s.status, f.is_complete,
           (SELECT bool_and(m.is_complete) FROM kpi.team_monthly m WHERE m.kpi = 'sw_revenue')
      INTO status, fresh, complete
      FROM kpi.source_status s JOIN kpi.freshness f USING (source_id) WHERE s.source = 'sw_deals';
    SELECT count(*) FILTER (WHERE f.revenue IS DISTINCT FROM s.value), sum(f.n) INTO differ, facts
      FROM (SELECT date_trunc('month', d.day)::date AS month, CASE WHEN d.amount > 350 THEN 'big' ELSE 'small' END AS size,
                   sum(d.amount) AS revenue, count(*) AS n
              FROM sw.deals d GROUP BY 1, 2) f
      FULL JOIN (SELECT v.period_start AS month, v.dimension_value AS size, v.value
                   FROM kpi.team_breakdown_monthly v
                  WHERE v.kpi = 'sw_revenue' AND v.team = 'company') s USING (month, size);
END $$;
SELECT * FROM sw.look();

-- As dbt does it, in one transaction: one row changed, one gone, one new.
BEGIN;
CREATE TABLE sw.deals__dbt_tmp AS
    SELECT day, id, owner_id, CASE WHEN id = 77 THEN 7700 ELSE amount END AS amount, 'x' AS extra FROM sw.deals WHERE id <> 5
    UNION ALL SELECT '2026-02-03', 1001, 'o1', 55, 'y';
ALTER TABLE sw.deals RENAME TO deals__dbt_backup;
ALTER TABLE sw.deals__dbt_tmp RENAME TO deals;
DROP TABLE sw.deals__dbt_backup CASCADE;
COMMIT;
SELECT * FROM sw.look();
SELECT status, reason, hint FROM kpi.source_status WHERE source = 'sw_deals';
SELECT severity, problem, detail, remedy FROM kpi.health() WHERE object = 'source "sw_deals"';
SELECT coalesce(max(id), 0) AS last FROM kpi.refresh_log \gset
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();
-- What was written follows what has changed: days of three facts, and what is above them.
SELECT kind, cells < 40 AS few FROM kpi.refresh_log WHERE source = 'sw_deals' AND id > :last ORDER BY id;
SELECT * FROM kpi.verify('sw_deals');
-- Captured from then on.
UPDATE sw.deals SET amount = amount + 1 WHERE id < 20;
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();

-- Within one transaction, with a refresh in it, and undone.
BEGIN;
CREATE TABLE sw.new AS SELECT * FROM sw.deals WHERE id > 100;
ALTER TABLE sw.deals RENAME TO old;
ALTER TABLE sw.new RENAME TO deals;
INSERT INTO sw.deals VALUES ('2026-01-05', 2000, 'o3', 12);
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();
INSERT INTO sw.deals VALUES ('2026-01-05', 2001, 'o3', 13);
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();
ROLLBACK;
SELECT * FROM sw.look();
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();

-- The declared name wins: what is written to the table before does not count,
-- though it had our trigger; also while no refresh has come by.
CREATE TABLE sw.new AS SELECT * FROM sw.deals WHERE id % 2 = 0;
BEGIN;
UPDATE sw.deals SET amount = 1 WHERE id = 8;
ALTER TABLE sw.deals RENAME TO backup;
ALTER TABLE sw.new RENAME TO deals;
COMMIT;
INSERT INTO sw.backup VALUES ('2026-01-05', 3000, 'o3', 1e9);
SELECT * FROM sw.look();
INSERT INTO sw.deals VALUES ('2026-01-05', 3001, 'o3', 5);
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();
INSERT INTO sw.backup VALUES ('2026-01-05', 3002, 'o3', 1e9);
INSERT INTO sw.deals VALUES ('2026-01-05', 3003, 'o3', 6);
TRUNCATE sw.backup;
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();
SELECT kind FROM kpi.refresh_log WHERE source = 'sw_deals' ORDER BY id DESC LIMIT 1;
-- Nothing of ours is left on it, so that it can become anything.
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'sw.backup'::regclass;

-- Away and back before any refresh: what was written meanwhile counts.
BEGIN;
ALTER TABLE sw.deals RENAME TO aside;
CREATE TABLE sw.deals (LIKE sw.aside);
COMMIT;
INSERT INTO sw.aside VALUES ('2026-01-05', 3004, 'o3', 6);
BEGIN;
DROP TABLE sw.deals;
ALTER TABLE sw.aside RENAME TO deals;
COMMIT;
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();

-- Two swaps between refreshes, and then the first table again.
ALTER TABLE sw.backup RENAME TO c;
CREATE TABLE sw.b AS SELECT * FROM sw.deals WHERE id < 50;
CALL kpi.refresh('sw_deals');
BEGIN; ALTER TABLE sw.deals RENAME TO a; ALTER TABLE sw.b RENAME TO deals; COMMIT;
BEGIN; ALTER TABLE sw.deals RENAME TO b; ALTER TABLE sw.c RENAME TO deals; COMMIT;
INSERT INTO sw.deals VALUES ('2026-01-05', 1, 'o3', 5);
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();
BEGIN; ALTER TABLE sw.deals RENAME TO c; ALTER TABLE sw.a RENAME TO deals; COMMIT;
INSERT INTO sw.deals VALUES ('2026-01-05', 3005, 'o3', 5);
CALL kpi.refresh('sw_deals');
INSERT INTO sw.deals VALUES ('2026-01-05', 3006, 'o3', 5);
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();

-- Two renames, each a transaction, with a refresh between them: the second is meant.
ALTER TABLE sw.deals RENAME TO deals_old;
CALL kpi.refresh('sw_deals');
SELECT relation FROM kpi.source WHERE name = 'sw_deals';
ALTER TABLE sw.b RENAME TO deals;
INSERT INTO sw.deals_old VALUES ('2026-01-05', 3007, 'o3', 1e9);
SELECT * FROM sw.look();
CALL kpi.refresh('sw_deals');
SELECT relation FROM kpi.source WHERE name = 'sw_deals';
SELECT * FROM sw.look();

-- Dropped, and a refresh comes before it is created again.
DROP TABLE sw.deals;
SET client_min_messages = error;
CALL kpi.refresh('sw_deals');
RESET client_min_messages;
SELECT status, reason FROM kpi.source_status WHERE source = 'sw_deals';
CREATE TABLE sw.deals AS SELECT * FROM sw.deals_old WHERE id < 300;
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();

-- A partitioned table for a plain one, which becomes its partition; and back.
BEGIN;
ALTER TABLE sw.deals RENAME TO deals_1;
CREATE TABLE sw.deals (LIKE sw.deals_1) PARTITION BY RANGE (id);
ALTER TABLE sw.deals ATTACH PARTITION sw.deals_1 FOR VALUES FROM (0) TO (500);
CREATE TABLE sw.deals_2 PARTITION OF sw.deals FOR VALUES FROM (500) TO (9999);
INSERT INTO sw.deals SELECT * FROM sw.deals_old WHERE id >= 500;
COMMIT;
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();
UPDATE sw.deals SET id = id + 200 WHERE id BETWEEN 290 AND 310;
DELETE FROM sw.deals WHERE id < 10;
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();
SELECT * FROM kpi.verify('sw_deals');
BEGIN;
ALTER TABLE sw.deals RENAME TO deals_p;
CREATE TABLE sw.deals AS SELECT * FROM sw.deals_p WHERE id <> 600;
COMMIT;
INSERT INTO sw.deals_p VALUES ('2026-01-05', 3008, 'o3', 1e9);
CALL kpi.refresh('sw_deals');
INSERT INTO sw.deals VALUES ('2026-01-05', 3009, 'o3', 9);
INSERT INTO sw.deals_2 VALUES ('2026-01-05', 3010, 'o3', 1e9);
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid IN ('sw.deals_p'::regclass, 'sw.deals_1'::regclass, 'sw.deals_2'::regclass);

-- Schemas that change names.
CREATE SCHEMA sw_new;
CREATE TABLE sw_new.deals AS SELECT * FROM sw.deals WHERE id > 50;
BEGIN;
CREATE SCHEMA sw_old;
ALTER TABLE sw.deals SET SCHEMA sw_old;
ALTER TABLE sw_new.deals SET SCHEMA sw;
COMMIT;
INSERT INTO sw_old.deals VALUES ('2026-01-05', 3011, 'o3', 1e9);
SELECT * FROM sw.look();
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();

-- verify() follows as well.
BEGIN;
CREATE TABLE sw.new AS SELECT * FROM sw.deals WHERE id > 60;
ALTER TABLE sw.deals RENAME TO d1;
ALTER TABLE sw.new RENAME TO deals;
COMMIT;
SELECT * FROM kpi.verify('sw_deals');
SELECT * FROM sw.look();
SELECT kind FROM kpi.refresh_log WHERE source = 'sw_deals' ORDER BY id DESC LIMIT 1;

-- ---- what does not fit ----

-- Each of these, and then a table that fits: nothing else is to be done.
CREATE TABLE sw.good AS SELECT * FROM sw.deals;
CREATE TABLE sw.parent (LIKE sw.deals);
CREATE FUNCTION sw.misfit(make text, kind text DEFAULT 'TABLE') RETURNS TABLE (status text, reason text, hint text, fresh boolean)
LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE sw.deals;
    EXECUTE make;
    CALL kpi.refresh('sw_deals');
    RETURN QUERY SELECT s.status, s.reason, s.hint, f.is_complete
                   FROM kpi.source_status s JOIN kpi.freshness f USING (source_id) WHERE s.source = 'sw_deals';
    EXECUTE format('DROP %s sw.deals', kind);
    CREATE TABLE sw.deals AS SELECT * FROM sw.good;
    CALL kpi.refresh('sw_deals');
END $$;
SET client_min_messages = error;
\x on
SELECT * FROM sw.misfit('CREATE VIEW sw.deals AS SELECT * FROM sw.good', 'VIEW');
SELECT * FROM sw.misfit('CREATE MATERIALIZED VIEW sw.deals AS SELECT * FROM sw.good', 'MATERIALIZED VIEW');
CREATE FOREIGN DATA WRAPPER sw_fdw;
CREATE SERVER sw_server FOREIGN DATA WRAPPER sw_fdw;
SELECT * FROM sw.misfit('CREATE FOREIGN TABLE sw.deals (id integer) SERVER sw_server', 'FOREIGN TABLE');
SELECT * FROM sw.misfit('CREATE UNLOGGED TABLE sw.deals AS SELECT * FROM sw.good');
SELECT * FROM sw.misfit('CREATE TABLE sw.deals () INHERITS (sw.parent)');
SELECT * FROM sw.misfit('CREATE SEQUENCE sw.deals', 'SEQUENCE');
SELECT * FROM sw.misfit('CREATE TABLE sw.deals AS SELECT id, owner_id, day FROM sw.good');
SELECT * FROM sw.misfit('CREATE TABLE sw.deals AS SELECT id, owner_id, amount::text AS amount, day FROM sw.good');
\x off
SELECT * FROM sw.look();

-- on_swap => 'suspend': somebody has to say so.
SELECT kpi.alter_source('sw_deals', on_swap => 'suspend');
BEGIN; DROP TABLE sw.deals; CREATE TABLE sw.deals AS SELECT * FROM sw.good WHERE id > 200; COMMIT;
SELECT * FROM sw.look();
CALL kpi.refresh('sw_deals');
SELECT status, reason, hint FROM kpi.source_status WHERE source = 'sw_deals';
SELECT kpi.alter_source('sw_deals', on_swap => 'follow');
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();

-- ---- rights ----

CREATE ROLE sw_definer;
CREATE ROLE sw_owner;
CREATE ROLE sw_other;
GRANT USAGE ON SCHEMA sw TO sw_definer;
GRANT USAGE, CREATE ON SCHEMA sw TO sw_owner, sw_other;
CREATE TABLE sw.theirs (id integer, day date);
ALTER TABLE sw.theirs OWNER TO sw_owner;
INSERT INTO sw.theirs VALUES (1, '2026-01-01'), (2, '2026-01-02');
GRANT SELECT, TRIGGER ON sw.theirs TO sw_definer;
SELECT kpi.create_source('sw_theirs', relation => 'sw.theirs', at => 'day', definer => 'sw_definer') > 0 AS created;
SELECT kpi.create_kpi('sw_facts', source => 'sw_theirs', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh('sw_theirs');
\set theirs 'SELECT (SELECT value FROM kpi.team_yearly WHERE kpi = ''sw_facts'' AND team = ''company'') AS facts, status, reason, hint FROM kpi.source_status WHERE source = ''sw_theirs'';'
-- The definer has no rights on the new table.
BEGIN;
SET LOCAL ROLE sw_owner;
DROP TABLE sw.theirs;
CREATE TABLE sw.theirs (day date);
INSERT INTO sw.theirs VALUES ('2026-01-01');
COMMIT;
CALL kpi.refresh('sw_theirs');
\x on
:theirs
\x off
GRANT SELECT, TRIGGER ON sw.theirs TO sw_definer;
ALTER DEFAULT PRIVILEGES FOR ROLE sw_owner IN SCHEMA sw GRANT SELECT, TRIGGER ON TABLES TO sw_definer;
SELECT kpi.resume('sw_theirs');
CALL kpi.refresh('sw_theirs');
:theirs
-- The next swap works.
BEGIN;
SET LOCAL ROLE sw_owner;
DROP TABLE sw.theirs;
CREATE TABLE sw.theirs (day date);
INSERT INTO sw.theirs SELECT '2026-01-01' FROM generate_series(1, 5);
COMMIT;
CALL kpi.refresh('sw_theirs');
:theirs
-- Another role puts a table of its own there, whose code would run.
CREATE FUNCTION sw.grab(d date) RETURNS date IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN RAISE WARNING 'runs as %', current_user; RETURN d; END $$;
BEGIN;
DROP TABLE sw.theirs;
SET LOCAL ROLE sw_other;
CREATE TABLE sw.theirs (day date);
CREATE INDEX ON sw.theirs (sw.grab(day));
GRANT SELECT, TRIGGER ON sw.theirs TO sw_definer;
COMMIT;
SET client_min_messages = warning;
CALL kpi.refresh('sw_theirs');
SET client_min_messages = error;
\x on
:theirs
\x off
-- A superuser's, and the definer's own, are fine.
DROP TABLE sw.theirs;
CREATE TABLE sw.theirs (day date);
GRANT SELECT, TRIGGER ON sw.theirs TO sw_definer;
INSERT INTO sw.theirs VALUES ('2026-01-01'), ('2026-01-01');
CALL kpi.refresh('sw_theirs');
:theirs
DROP TABLE sw.theirs;
CREATE TABLE sw.theirs (day date);
ALTER TABLE sw.theirs OWNER TO sw_definer;
INSERT INTO sw.theirs VALUES ('2026-01-01');
CALL kpi.refresh('sw_theirs');
:theirs
-- Row security.
BEGIN;
DROP TABLE sw.theirs;
CREATE TABLE sw.theirs (day date);
ALTER TABLE sw.theirs OWNER TO sw_definer;
ALTER TABLE sw.theirs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
COMMIT;
CALL kpi.refresh('sw_theirs');
\x on
:theirs
\x off

SELECT kpi.drop_source('sw_theirs', cascade => true);
SELECT kpi.drop_source('sw_deals', cascade => true);
SELECT count(*) AS triggers FROM pg_trigger WHERE tgname ~ '^kpi_(capture|truncate)_' AND tgrelid::regclass::text ~ '^sw';
DROP SCHEMA sw, sw_new, sw_old CASCADE;
DROP FOREIGN DATA WRAPPER sw_fdw CASCADE;
DROP ROLE sw_definer, sw_owner, sw_other;
