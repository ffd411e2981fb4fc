-- Sync: further columns of the query of members are attributes.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA sa;
CREATE TABLE sa.users (id int PRIMARY KEY, name text, team text, role text, grade numeric, since date);
INSERT INTO sa.users VALUES (1, 'Ann', 'north', 'rep', 1.0, NULL), (2, 'Bob', 'north', 'lead', 2.50, '2026-01-01'),
                            (3, 'Eve', 'north', ' ', NULL, NULL);
SELECT kpi.create_team('north') IS NOT NULL AS team;
-- Today, and days of it, by names that do not change.
CREATE FUNCTION sa.at(text) RETURNS text STABLE LANGUAGE sql AS $$ SELECT replace($1, kpi.today()::text, 'today') $$;
CREATE VIEW sa.history AS
    SELECT m.key, a.name, a.value, sa.at(a.since::text) AS since, sa.at(a.until::text) AS until
      FROM kpi.member_attribute a JOIN kpi.member m ON m.id = a.member_id ORDER BY m.key, a.name, a.since NULLS FIRST;
CREATE FUNCTION sa.sync(columns text, effective text DEFAULT 'today', dry_run boolean DEFAULT false)
    RETURNS TABLE (action text, object text, what text) LANGUAGE sql AS $$
    SELECT s.action, s.object, sa.at(s.what)
      FROM kpi.sync_people(NULL, 'SELECT id AS key, name, team, ' || columns || ' FROM sa.users', effective => sync.effective,
                           dry_run => sync.dry_run) s $$;

SELECT * FROM sa.sync('role, grade', dry_run => true);
SELECT count(*) FROM kpi.member_attribute;
SELECT * FROM sa.sync('role, grade, since');
TABLE sa.history;
SELECT * FROM sa.sync('role, grade, since');

-- Known members: from today on.
UPDATE sa.users SET role = 'lead' WHERE id = 1;
UPDATE sa.users SET grade = NULL WHERE id = 2;
UPDATE sa.users SET role = 'rep' WHERE id = 3;
SELECT * FROM sa.sync('role, grade, since');
TABLE sa.history;
-- What is recorded for a later day stays.
SELECT kpi.set_attribute(3, name => 'role', value => 'lead', since => '2999-01-01');
SELECT * FROM sa.sync('role, grade, since');
UPDATE sa.users SET role = 'manager' WHERE id = 3;
SELECT * FROM sa.sync('role, grade, since');
-- A column less says nothing.
SELECT * FROM sa.sync('grade, since');
TABLE sa.history;
-- Every day as the rows say.
SELECT * FROM sa.sync('role, since', effective => 'history');
TABLE sa.history;

-- Mistakes change nothing.
SELECT * FROM sa.sync('role, role');
SELECT * FROM sa.sync('1');
SELECT * FROM kpi.sync_people('SELECT ''north'' AS key, 1 AS role', NULL);
TABLE sa.history;

-- Only those that are dimensions concern refreshes.
CREATE TABLE sa.deals (id int PRIMARY KEY, owner int, closed date);
INSERT INTO sa.deals SELECT i, 1 + i % 3, kpi.today() - 1 + i % 2 FROM generate_series(1, 60) i;
SELECT kpi.create_source('sa', relation => 'sa.deals', owner => 'owner', at => 'closed', dimensions => '{"role": "attribute(''role'')"}') IS NOT NULL AS source;
SELECT kpi.create_kpi('sa', source => 'sa', measure => 'count(*)') IS NOT NULL AS kpi;
CALL kpi.refresh('sa');
CREATE TABLE sa.org AS SELECT org FROM kpi_internal.version;
UPDATE sa.users SET grade = 9;
SELECT * FROM sa.sync('role, grade, since');
SELECT v.org - o.org AS raised FROM kpi_internal.version v, sa.org o;
UPDATE sa.users SET role = 'rep';
SELECT count(*) FROM sa.sync('role, since');
SELECT v.org - o.org AS raised FROM kpi_internal.version v, sa.org o;
CALL kpi.refresh('sa');
SELECT * FROM kpi.verify('sa');
SELECT dimension_value, sum(value) FROM kpi.team_breakdown_monthly WHERE kpi = 'sa' AND team = 'company' GROUP BY 1 ORDER BY 1;
SELECT CASE WHEN closed = kpi.today() OR owner = 1 AND false THEN 'rep' ELSE CASE owner WHEN 1 THEN 'lead' WHEN 2 THEN 'lead' ELSE 'manager' END END AS role, count(*)
FROM sa.deals GROUP BY 1 ORDER BY 1;

SELECT kpi.drop_source('sa', cascade => true);
SELECT kpi.drop_member(1), kpi.drop_member(2), kpi.drop_member(3), kpi.drop_team('north');
DROP SCHEMA sa CASCADE;
