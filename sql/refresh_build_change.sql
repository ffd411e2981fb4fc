-- Builds and definitions that change while they go on.  A function in a definition
-- stops them: where it is told to, it cancels the refresh.
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET kpi.now = '2026-06-15 12:00+00';
SET kpi.build_step = 0;
CREATE SCHEMA rbc;
CREATE TABLE rbc.stop (before date);
INSERT INTO rbc.stop VALUES ('1999-01-01');
CREATE FUNCTION rbc.passes(day date) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF day < (SELECT s.before FROM rbc.stop s) THEN
        PERFORM pg_cancel_backend(pg_backend_pid());
    END IF;
    RETURN true;
END
$$;
CREATE TABLE rbc.deals (id integer PRIMARY KEY, owner text, amount integer, day date, pad text DEFAULT repeat('x', 200));
INSERT INTO rbc.deals SELECT i, 'n' || i % 7, i % 100, '2024-07-01'::date + i / 20 FROM generate_series(0, 15000) i;
CREATE INDEX ON rbc.deals (day);
ANALYZE rbc.deals;
SELECT kpi.create_team('rbc') > 0 AS team, kpi.add_member('n1', team => 'rbc') > 0 AS member;
SELECT kpi.create_source('rbc', relation => 'rbc.deals', key => 'id', owner => 'owner', at => 'day') > 0 AS source;
SELECT kpi.create_kpi('rbc_sum', source => 'rbc', measure => 'sum(amount)') > 0 AS kpi;
CALL kpi.refresh('rbc');

-- A member comes with a new meaning, by which its facts do not count: no week is left of it.
SELECT kpi.alter_source('rbc', filter => $$owner <> 'n2'$$);
SELECT kpi.add_member('n2', team => 'rbc') > 0 AS member;
CALL kpi.refresh('rbc');
SELECT level, scope, grain, count(*) FROM kpi.verify('rbc') GROUP BY 1, 2, 3;

-- One measure is dropped while another is built, which is alone then and meets its cells.
CREATE VIEW rbc.counted AS
    SELECT kpi, sum(value) = (SELECT count(*) FROM rbc.deals WHERE owner <> 'n2') AS is_exact
      FROM kpi.team_monthly WHERE kpi LIKE 'rbc_count%' AND team = 'company' GROUP BY 1;
UPDATE rbc.stop SET before = '2025-12-20';
SELECT kpi.create_kpi('rbc_count', source => 'rbc', measure => 'count(*)', filter => 'rbc.passes(day)') > 0 AS kpi;
CALL kpi.refresh('rbc');
SELECT phase, complete_since FROM kpi.build_progress WHERE source = 'rbc';
SELECT kpi.drop_kpi('rbc_sum');
UPDATE rbc.stop SET before = '1999-01-01';
CALL kpi.refresh('rbc');
SELECT * FROM rbc.counted;
SELECT * FROM kpi.verify('rbc') LIMIT 9;

-- The same where the rest is read in one scan, and goes from the day cells into the rollups.
UPDATE rbc.stop SET before = '2025-12-20';
SELECT kpi.create_kpi('rbc_count_again', source => 'rbc', measure => 'count(*)', filter => 'rbc.passes(day)') > 0 AS kpi;
CALL kpi.refresh('rbc');
DROP INDEX rbc.deals_day_idx;
SELECT kpi.drop_kpi('rbc_count');
UPDATE rbc.stop SET before = '1999-01-01';
CALL kpi.refresh('rbc');
SELECT * FROM rbc.counted;
SELECT * FROM kpi.verify('rbc') LIMIT 9;

-- A build is over when what was built is dropped, and nothing is left of it.
UPDATE rbc.stop SET before = '2025-12-20';
CREATE INDEX ON rbc.deals (day);
SELECT kpi.create_kpi('rbc_passing', source => 'rbc', measure => 'count(*)', filter => 'rbc.passes(day)') > 0 AS kpi;
CALL kpi.refresh('rbc');
SELECT kpi.cancel_build('rbc');
SELECT status FROM kpi.source_status WHERE source = 'rbc';
SELECT kpi.drop_kpi('rbc_passing');
UPDATE rbc.stop SET before = '1999-01-01';
CALL kpi.refresh();
SELECT status FROM kpi.source_status WHERE source = 'rbc';
SELECT * FROM kpi.verify('rbc') LIMIT 9;

-- kpi.repair() builds all, a cancelled build too.
SELECT kpi.create_kpi('rbc_sum', source => 'rbc', measure => 'sum(amount)') > 0 AS kpi;
SELECT kpi.cancel_build('rbc');
CALL kpi.refresh();
SELECT phase FROM kpi.build_progress WHERE source = 'rbc';
SELECT kpi.repair('rbc') AS mended;
SELECT * FROM kpi.verify('rbc') LIMIT 9;
SELECT kpi.create_kpi('rbc_mean', source => 'rbc', measure => 'avg(amount)') > 0 AS kpi;
SELECT phase FROM kpi.build_progress WHERE source = 'rbc';
CALL kpi.refresh();
SELECT count(*) FROM kpi.build_progress WHERE source = 'rbc';

-- Each source is refreshed under its lock, though a build of the one before has committed.
CREATE FUNCTION rbc.is_locked() RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT EXISTS (SELECT FROM pg_locks l JOIN kpi.source s ON s.id = l.classid::integer AND s.name = 'rbc_later'
                    WHERE l.locktype = 'advisory' AND l.objid = 0 AND l.objsubid = x'4b50'::integer AND l.pid = pg_backend_pid())
$$;
CREATE TABLE rbc.later (id integer PRIMARY KEY, day date);
INSERT INTO rbc.later SELECT i, '2026-06-01' FROM generate_series(1, 9) i;
SELECT kpi.create_source('rbc_later', relation => 'rbc.later', key => 'id', at => 'day') > 0 AS source;
SELECT kpi.create_kpi('rbc_locked', source => 'rbc_later', measure => 'count(*)', filter => 'rbc.is_locked()') > 0 AS kpi;
SELECT kpi.alter_source('rbc', filter => '');
CALL kpi.refresh();
SELECT count(*) > 1 AS steps FROM kpi.refresh_log WHERE source = 'rbc' AND kind = 'build';
SELECT period, value FROM kpi.team_monthly WHERE kpi = 'rbc_locked' AND team = 'company';

-- Called by other code it commits nothing that this has done, though there is much to build.
SELECT kpi.alter_source('rbc', filter => 'amount > 0');
DO $$
BEGIN
    INSERT INTO rbc.deals VALUES (20001, 'n1', 5, '2026-05-01');
    CALL kpi.refresh('rbc');
    RAISE 'all of it is undone';
END
$$;
SELECT count(*) FROM rbc.deals WHERE id = 20001;
SELECT count(*) FROM kpi.build_progress WHERE source = 'rbc';

SELECT kpi.drop_source('rbc', cascade => true), kpi.drop_source('rbc_later', cascade => true);
SELECT count(kpi.drop_member('n' || i)) FROM generate_series(1, 2) i;
SELECT kpi.drop_team('rbc');
DROP SCHEMA rbc CASCADE;
