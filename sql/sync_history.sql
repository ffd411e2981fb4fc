-- kpi.sync_people(effective => 'history'): since and until of the query are real.
\set old :DBNAME
CREATE DATABASE regress_sync_history;
\c regress_sync_history
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE EXTENSION pg_kpi;
RESET TimeZone;
RESET client_min_messages;
SET kpi.now = '2026-10-05 12:00:00+00';
CREATE SCHEMA sh;
CREATE TABLE sh.stays (who text, team text, since timestamp, until timestamp, name text);
CREATE FUNCTION sh.sync(partial boolean DEFAULT false)
RETURNS TABLE (action text, object text, what text, reason text) LANGUAGE sql AS $$
    SELECT * FROM kpi.sync_people('SELECT DISTINCT team AS key FROM sh.stays WHERE team IS NOT NULL',
        'SELECT who AS key, team, since, until, name FROM sh.stays ORDER BY random()',
        effective => 'history', partial => partial) $$;
CREATE VIEW sh.people AS
    SELECT m.key, m.name, t.key AS team, s.since, s.until FROM kpi.member m
      LEFT JOIN kpi.membership s ON s.member_id = m.id LEFT JOIN kpi.team t ON t.id = s.team_id
     ORDER BY m.key, s.since NULLS FIRST;

-- several a member; a gap; a move within a day; a day that two rows begin on; neighbours in one team
INSERT INTO sh.stays VALUES
    ('ann', 'a', NULL, '2026-01-01', 'Ann Old'), ('ann', 'b', '2026-01-01', '2026-03-05 15:00', 'Ann Mid'),
    ('ann', 'c', '2026-03-05 15:00', NULL, 'Ann New'),
    ('bob', 'a', '2025-01-01', '2025-02-01', NULL), ('bob', 'a', '2025-06-01', '2025-07-01 12:00', NULL),
    ('cid', 'a', '2026-05-01 08:00', '2026-05-01 10:00', NULL), ('cid', 'b', '2026-05-01 10:00', '2026-05-01 17:00', NULL),
    ('dan', 'a', '2026-01-01', '2026-02-01', NULL), ('dan', 'a', '2026-02-01', '2026-04-01', NULL),
    ('eve', 'b', '2026-06-01', '2026-06-01', NULL), ('fay', NULL, NULL, NULL, NULL);
SELECT * FROM sh.sync();
SELECT * FROM sh.people;
SELECT * FROM sh.sync();

-- The past is corrected: all that is recorded goes by the rows.
SELECT kpi.move_member('bob', team => 'c', since => '2027-01-01');
UPDATE sh.stays SET until = '2025-12-15' WHERE who = 'ann' AND team = 'a';
DELETE FROM sh.stays WHERE who = 'dan' AND since = '2026-02-01';
UPDATE sh.stays SET until = NULL WHERE who = 'cid' AND team = 'b';
DELETE FROM sh.stays WHERE who = 'eve';
SELECT * FROM sh.sync();
SELECT * FROM sh.people;
SELECT count(*) FROM sh.sync();
-- who vanishes has his past; there is no saying when he left
DELETE FROM sh.stays WHERE who = 'cid';
SELECT * FROM sh.sync();
SELECT * FROM sh.people WHERE key = 'cid';
SELECT count(*) FROM sh.sync();

-- Rows that contradict each other, or themselves.
INSERT INTO sh.stays VALUES ('bob', 'b', '2025-06-15', '2025-06-20'), ('gus', 'a', '2026-03-01', '2026-02-01'),
    ('hal', 'a', '2026-01-01', '2026-01-02 12:00'), ('hal', 'b', '2026-01-02 00:00', NULL);
SELECT * FROM sh.sync();
SELECT * FROM sh.sync(partial => true);
SELECT * FROM sh.people WHERE key IN ('bob', 'gus', 'hal');
SELECT count(*) FROM sh.sync(partial => true);
DELETE FROM sh.stays WHERE who IN ('gus') OR (who = 'bob' AND team = 'b');

-- One of no day does not overlap, and hides none that do.
INSERT INTO sh.stays VALUES ('lea', 'a', '2026-01-01', '2026-06-01'), ('lea', 'b', '2026-02-01', '2026-02-01'), ('mia', 'a', '2026-01-01', '2026-06-01'),
    ('mia', 'b', '2026-02-01', '2026-02-01'), ('mia', 'b', '2026-03-01', NULL);
SELECT * FROM sh.sync(partial => true);
SELECT * FROM sh.people WHERE key IN ('lea', 'mia');
DELETE FROM sh.stays WHERE who IN ('lea', 'mia');

-- A last day for all time; infinite ones.
INSERT INTO sh.stays VALUES ('ivy', 'a', '-infinity', '9999-12-31'), ('joe', 'a', '2026-01-01', 'infinity'), ('kim', 'a', 'infinity', NULL);
SELECT * FROM sh.sync();
SELECT * FROM sh.people WHERE key IN ('ivy', 'joe', 'kim');

-- The day of a moment is that of the default calendar, whatever the session's zone.
SELECT kpi.alter_calendar('default', time_zone => 'America/New_York');
SET TimeZone = 'Asia/Tokyo';
SELECT * FROM kpi.sync_people(NULL, $$SELECT 'leo' AS key, 'a' AS team, '2026-05-01 03:00:00+00'::timestamptz AS since,
    '2026-06-01 04:00:00+00'::timestamptz AS until$$, effective => 'history', missing => 'keep') WHERE action <> 'missing';

\c :old
DROP DATABASE regress_sync_history;
