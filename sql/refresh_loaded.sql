-- When facts were loaded last, when they are stale, and what goals make of it.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET kpi.now = '2026-11-25 12:00:00+00';  -- a Wednesday
CREATE SCHEMA loaded;
CREATE TABLE loaded.deals (id integer PRIMARY KEY, owner text, day date, amount numeric, seen timestamptz, local timestamp, batch date, raw text, nonsense integer);
INSERT INTO loaded.deals VALUES (1, 'ann', '2026-11-02', 10, '2026-11-24 08:00Z', '2026-11-24 08:00', '2026-11-24', '2026-11-24'),
                                (2, 'ann', '2026-11-03', 20, '2026-11-24 09:00Z', '2026-11-24 09:00', '2026-11-23', 'no date');
SELECT count(kpi.create_calendar('loaded_berlin', time_zone => 'Europe/Berlin'));
CREATE VIEW loaded.status AS
    SELECT f.source, f.loaded_at, f.is_stale, s.stale_seconds, f.loaded_at IS NOT DISTINCT FROM s.loaded_at AND f.is_stale = s.is_stale AS same
      FROM kpi.freshness f JOIN kpi.source_status s USING (source_id) ORDER BY f.source;

-- What may say it: any expression of a time, local ones in the zone of the source's calendar.
SELECT kpi.create_source('l_bad', relation => 'loaded.deals', at => 'day', loaded_at => 'nonsense');
SELECT kpi.create_source('l_bad', relation => 'loaded.deals', at => 'day', loaded_at => 'raw');
SELECT kpi.create_source('l_bad', relation => 'loaded.deals', at => 'day', loaded_at => 'see');
SELECT kpi.create_source('l_bad', relation => 'loaded.deals', at => 'day', loaded_at => 'now()');
SELECT kpi.create_source('l_bad', relation => 'loaded.deals', at => 'day', loaded_at => 'max(seen)');
SELECT count(*) FROM (VALUES
    (kpi.create_source('l_date', relation => 'loaded.deals', at => 'day', loaded_at => 'batch', calendar => 'loaded_berlin')),
    (kpi.create_source('l_local', relation => 'loaded.deals', at => 'day', loaded_at => 'local', calendar => 'loaded_berlin')),
    (kpi.create_source('l_none', relation => 'loaded.deals', at => 'day')),
    (kpi.create_source('l_text', relation => 'loaded.deals', at => 'day', loaded_at => $$make_date(split_part(raw, '-', 1)::int, split_part(raw, '-', 2)::int, split_part(raw, '-', 3)::int)$$)),
    (kpi.create_source('l_zone', relation => 'loaded.deals', at => 'day', owner => 'owner', loaded_at => 'seen'))) v;
SELECT count(kpi.create_kpi(name || '_kpi', source => name, measure => 'sum(amount)')) FROM kpi.source WHERE name LIKE 'l\_%';
SELECT * FROM loaded.status;
CALL kpi.refresh();
SELECT * FROM loaded.status;

-- What is written says it with the change, filtered out or not, also where nothing else has changed.
INSERT INTO loaded.deals VALUES (3, 'bob', '2026-11-04', 5, '2026-11-24 10:00Z', '2026-11-24 10:00', '2026-11-24', '2026-11-25');
UPDATE loaded.deals SET seen = '2026-11-24 10:30Z' WHERE id = 1;
CALL kpi.refresh();
SELECT * FROM loaded.status;
UPDATE loaded.deals SET seen = '2026-11-24 11:00Z' WHERE id = 1;
SELECT source_id IS NOT NULL AS there, kind, cell FROM kpi_internal.delta WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'l_zone');
SELECT source, pending_deltas FROM kpi.source_status WHERE source = 'l_zone';
CALL kpi.refresh('l_zone');
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_zone';
-- An earlier one, NULL, an infinite one and one that fails say nothing; neither does what is rolled back.
UPDATE loaded.deals SET seen = NULL, raw = 'nonsense' WHERE id = 1;
UPDATE loaded.deals SET seen = 'infinity' WHERE id = 2;
UPDATE loaded.deals SET seen = '2026-11-01', local = '-infinity', raw = '2027-99-99' WHERE id = 3;
BEGIN;
INSERT INTO loaded.deals VALUES (4, 'bob', '2026-11-05', 1, '2026-11-24 11:10Z');
SAVEPOINT a;
UPDATE loaded.deals SET seen = '2026-11-24 20:00Z' WHERE id = 4;
ROLLBACK TO a;
SAVEPOINT b;
UPDATE loaded.deals SET seen = '2026-11-24 11:20Z' WHERE id = 4;
SAVEPOINT c;
UPDATE loaded.deals SET seen = '2026-11-24 21:00Z' WHERE id = 4;
ROLLBACK TO c;
RELEASE b;
CALL kpi.refresh('l_zone');
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_zone';
SAVEPOINT d;
UPDATE loaded.deals SET seen = '2026-11-24 22:00Z' WHERE id = 4;
CALL kpi.refresh('l_zone');
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_zone';
ROLLBACK TO d;
COMMIT;
CALL kpi.refresh();
SELECT * FROM loaded.status;
-- Outer levels that a refresh in a subtransaction has written, and their subtransaction rolled back.
BEGIN;
UPDATE loaded.deals SET seen = '2026-11-24 11:30Z' WHERE id = 4;
SAVEPOINT a;
CALL kpi.refresh('l_zone');
ROLLBACK TO a;
COMMIT;
CALL kpi.refresh();
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_zone';
-- Levels that are merged, with and without changes of cells.
BEGIN;
UPDATE loaded.deals SET seen = '2026-11-24 11:40Z', amount = amount + 1 WHERE id = 4;
SAVEPOINT a;
UPDATE loaded.deals SET seen = '2026-11-24 11:45Z' WHERE id = 4;
RELEASE a;
COMMIT;
CALL kpi.refresh('l_zone');
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_zone';
BEGIN;
UPDATE loaded.deals SET seen = '2026-11-24 11:50Z' WHERE id = 4;
SAVEPOINT a;
UPDATE loaded.deals SET seen = '2026-11-24 11:46Z', amount = amount + 1 WHERE id = 4;
RELEASE a;
COMMIT;
CALL kpi.refresh('l_zone');
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_zone';

-- What is deleted has been loaded; read anew where it is given anew, or all facts are.
DELETE FROM loaded.deals WHERE id = 4;
CALL kpi.refresh();
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_zone';
SELECT kpi.alter_source('l_zone', loaded_at => 'seen');
CALL kpi.refresh();
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_zone';
UPDATE loaded.deals SET seen = '2026-11-24 09:00Z' WHERE id = 2;
CREATE INDEX ON loaded.deals (seen);
SELECT kpi.alter_source('l_zone', loaded_at => 'seen');
CALL kpi.refresh();
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_zone';
TRUNCATE loaded.deals;
CALL kpi.refresh();
SELECT * FROM loaded.status;
INSERT INTO loaded.deals VALUES (1, 'ann', '2026-11-02', 10, '2026-11-24 08:00Z', '2026-11-24 08:00', '2026-11-24', '2026-11-24');
SELECT kpi.alter_source('l_zone', loaded_at => $$seen + interval '1 hour'$$);

SELECT kpi.alter_source('l_zone', loaded_at => $$greatest(seen, timestamptz 'epoch')$$);
SELECT kpi.alter_source('l_date', loaded_at => '');
SELECT kpi.alter_source('l_local', loaded_at => 'nonsense');
CALL kpi.refresh();
SELECT * FROM loaded.status;
SELECT * FROM kpi.verify();

-- A function of the user's, run as the definer, whose errors are nobody's; and one of somebody else, which must be known.
CREATE ROLE regress_loaded;
GRANT USAGE, CREATE ON SCHEMA loaded TO regress_loaded;
CREATE TABLE loaded.runs (n integer PRIMARY KEY, at timestamptz);
CREATE FUNCTION loaded.seen(at timestamptz) RETURNS timestamptz IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF at = '2026-11-24 13:00Z' THEN
        RAISE 'no';
    END IF;
    RETURN CASE current_user WHEN 'regress_loaded' THEN at END;
END $$;
ALTER TABLE loaded.runs OWNER TO regress_loaded;
GRANT INSERT ON loaded.runs TO PUBLIC;
INSERT INTO loaded.runs VALUES (1, '2026-11-24 12:00Z'), (2, '2026-11-24 13:00Z');
SELECT kpi.create_source('l_runs', relation => 'loaded.runs', at => $$(at AT TIME ZONE 'UTC')$$, definer => 'regress_loaded') > 0 AS created;
SELECT kpi.create_kpi('l_runs_kpi', source => 'l_runs', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh('l_runs');
SELECT kpi.alter_source('l_runs', loaded_at => 'loaded.seen(at)');
CALL kpi.refresh('l_runs');
SELECT source, status, loaded_at, facts_ignored FROM kpi.source_status WHERE source = 'l_runs';
INSERT INTO loaded.runs VALUES (3, '2026-11-24 13:00Z'), (4, '2026-11-24 12:30Z');
CALL kpi.refresh('l_runs');
SELECT source, status, loaded_at, facts_ignored FROM kpi.source_status WHERE source = 'l_runs';
SELECT value FROM kpi.team_yearly WHERE kpi = 'l_runs_kpi';
-- what it does is no part of any number: nothing is computed anew
CREATE OR REPLACE FUNCTION loaded.seen(at timestamptz) RETURNS timestamptz IMMUTABLE LANGUAGE sql AS $$ SELECT at $$;
INSERT INTO loaded.runs VALUES (5, '2026-11-24 13:30Z');
CALL kpi.refresh('l_runs');
SELECT source, status, loaded_at FROM kpi.source_status WHERE source = 'l_runs';
SELECT kind FROM kpi.refresh_log WHERE source = 'l_runs' ORDER BY id;
SELECT kpi.drop_source('l_runs', cascade => true);
DROP FUNCTION loaded.seen;
DROP TABLE loaded.runs;

-- Partitions.
CREATE TABLE loaded.parts (id integer, day date, seen timestamptz) PARTITION BY RANGE (day);
CREATE TABLE loaded.p1 PARTITION OF loaded.parts FOR VALUES FROM ('2026-10-01') TO ('2026-11-01');
CREATE TABLE loaded.p2 (seen timestamptz, day date, id integer);
ALTER TABLE loaded.parts ATTACH PARTITION loaded.p2 FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');
INSERT INTO loaded.parts VALUES (1, '2026-10-05', '2026-11-24 05:00Z'), (2, '2026-11-05', '2026-11-24 06:00Z');
SELECT kpi.create_source('l_parts', relation => 'loaded.parts', at => 'day', loaded_at => 'seen') > 0 AS created;
SELECT kpi.create_kpi('l_parts_kpi', source => 'l_parts', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh();
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_parts';
INSERT INTO loaded.parts VALUES (3, '2026-11-06', '2026-11-24 07:00Z');
CALL kpi.refresh();
SELECT loaded_at FROM kpi.freshness WHERE source = 'l_parts';
SELECT kpi.drop_source(name, cascade => true) FROM kpi.source WHERE name IN ('l_parts', 'l_text', 'l_date', 'l_local');

-- Stale: by working days of the calendar, all of their hours.
SELECT kpi.set_refresh('l_zone', stale_after => '8 parsecs');
SELECT kpi.set_refresh('l_zone', stale_after => '0');
SELECT kpi.set_refresh('l_zone', stale_after => '-1 hour');
SELECT kpi.set_refresh('l_zone', stale_after => '2 years');
SELECT kpi.set_refresh('l_zone', stale_after => '36 hours');
SELECT kpi.set_refresh('l_zone', 'manual');
SELECT refresh_mode, stale_seconds FROM kpi.source WHERE name = 'l_zone';
SELECT kpi.set_refresh('l_zone', 'continuous', stale_after => '1 day 12 hours');
SELECT refresh_mode, stale_seconds FROM kpi.source WHERE name = 'l_zone';
UPDATE loaded.deals SET seen = '2026-11-26 09:00Z' WHERE id = 1;  -- Thursday
CALL kpi.refresh();
SELECT now, is_stale FROM unnest('{2026-11-26 10:00Z,2026-11-27 20:59Z,2026-11-27 21:00Z,2026-11-29 12:00Z,2026-11-30 12:00Z}'::timestamptz[]) now,
       LATERAL (SELECT set_config('kpi.now', now::text, false) OFFSET 0) s,
       LATERAL (SELECT kpi_internal.work_until('2026-11-26 09:00Z', 36 * 3600, 1) <= now AS is_stale OFFSET 0) l;
SET kpi.now = '2026-11-27 20:59Z';
SELECT is_stale FROM kpi.freshness WHERE source = 'l_zone';
SET kpi.now = '2026-11-27 21:00Z';
SELECT is_stale FROM kpi.freshness WHERE source = 'l_zone';
SELECT severity, problem, object, detail, remedy FROM kpi.health() WHERE problem = 'stale';
SELECT kpi_internal.work_until('2026-11-27 09:00Z', 15 * 3600 - 1, 1) AS friday, kpi_internal.work_until('2026-11-27 09:00Z', 15 * 3600, 1) AS monday,
       kpi_internal.work_until('2026-11-28 09:00Z', 1, 1) AS from_saturday;
SELECT kpi.add_holiday('2026-11-30', 'A holiday');
SELECT kpi_internal.work_until('2026-11-27 09:00Z', 15 * 3600, 1) AS tuesday;
SELECT kpi.drop_holiday('2026-11-30');
-- clocks that change: such a day is as long as it is
SELECT kpi.create_calendar('loaded_sundays', time_zone => 'Europe/Berlin', working_days => 'sun') > 0 AS created;
SELECT kpi_internal.work_until('2026-10-24 22:00Z', 24 * 3600, c.id) AS long_day, kpi_internal.work_until('2026-03-28 23:00Z', 23 * 3600, c.id) AS short_day
  FROM kpi.calendar c WHERE c.name = 'loaded_sundays';
SELECT kpi.set_refresh('l_zone', stale_after => '');
SELECT is_stale, stale_seconds FROM kpi.source_status WHERE source = 'l_zone';
-- without loaded_at the last change of facts is the news
SELECT kpi.set_refresh('l_none', stale_after => '1 hour');
SELECT is_stale, loaded_at FROM kpi.freshness WHERE source = 'l_none';
INSERT INTO loaded.deals VALUES (7, 'ann', '2026-11-02', 10);
CALL kpi.refresh();
SELECT is_stale, loaded_at FROM kpi.freshness WHERE source = 'l_none';
SET kpi.now = '2026-11-27 21:59:59Z';
SELECT is_stale, loaded_at FROM kpi.freshness WHERE source = 'l_none';
SET kpi.now = '2026-11-27 22:00Z';
SELECT is_stale, loaded_at FROM kpi.freshness WHERE source = 'l_none';
CALL kpi.refresh();
SELECT is_stale, loaded_at FROM kpi.freshness WHERE source = 'l_none';
SELECT detail, remedy FROM kpi.health() WHERE problem = 'stale';

SELECT kpi.drop_source(name, cascade => true) FROM kpi.source WHERE name IN ('l_zone', 'l_none');
SELECT kpi.drop_calendar(name) FROM kpi.calendar WHERE id > 1;
REVOKE ALL ON SCHEMA loaded FROM regress_loaded;
DROP ROLE regress_loaded;
DROP SCHEMA loaded CASCADE;
