-- People: attributes, what they are and when.
SET client_min_messages = warning;
SET DateStyle = 'ISO';
SELECT kpi.create_team('north') IS NOT NULL AS team;
SELECT kpi.add_member('ann', team => 'north') IS NOT NULL AS member, kpi.add_member(7, team => 'north') IS NOT NULL AS member;
CREATE VIEW history AS
    SELECT m.key, a.name, a.value, a.since, a.until FROM kpi.member_attribute a JOIN kpi.member m ON m.id = a.member_id
     ORDER BY m.key COLLATE "C", a.name, a.since NULLS FIRST;
CREATE TABLE org AS SELECT org FROM kpi_internal.version;

-- From the beginning, from a day on, corrected, ended.
SELECT kpi.set_attribute('ann', name => 'experience', value => 'junior');
SELECT kpi.set_attribute('ann', name => 'experience', value => 'senior', since => '2026-03-01');
TABLE history;
SELECT kpi.set_attribute('ann', name => 'experience', value => 'senior', since => '2026-02-01');
TABLE history;
SELECT kpi.set_attribute('ann', name => 'experience', value => 'medium', since => '2026-01-01', until => '2026-01-11');
TABLE history;
SELECT kpi.set_attribute('ann', name => 'experience', value => 'junior', since => '-infinity');
SELECT kpi.set_attribute('ann', name => 'experience', value => NULL, since => '2026-03-01');
TABLE history;
SELECT kpi.set_attribute('ann', name => 'experience', value => 'lead');
TABLE history;
SELECT kpi.set_attribute('ann', name => 'experience', value => NULL);
TABLE history;

-- Keys and values of any type; what they are is their text.
SELECT kpi.set_attribute(7, name => 'grade', value => 3, since => '2026-01-01');
SELECT kpi.set_attribute(7::bigint, name => 'grade', value => 4.50, since => '2026-02-01');
SELECT kpi.set_attribute('7', name => 'hired', value => date '2025-09-01');
SELECT kpi.set_attribute(7, name => 'office', value => 'Wien', since => '2026-01-01', until => 'infinity');
TABLE history;

-- Mistakes.
SELECT kpi.set_attribute('eve', name => 'experience', value => 'junior');
SELECT kpi.set_attribute(NULL, name => 'experience', value => 'junior');
SELECT kpi.set_attribute('ann', name => '', value => 'junior');
SELECT kpi.set_attribute('ann', name => NULL, value => 'junior');
SELECT kpi.set_attribute('ann', name => 'experience', value => '');
SELECT kpi.set_attribute('ann', name => 'experience', value => 'junior', since => '2026-03-01', until => '2026-03-01');
SELECT kpi.set_attribute(7, name => 'grade', value => 5, since => '2026-01-15', until => '2026-02-15');
SELECT kpi.set_attribute(7, name => 'grade', value => 5, until => '2026-02-15');
SELECT kpi.add_alias(7, 'seven');
SELECT kpi.set_attribute('seven', name => 'grade', value => 5);
CREATE ROLE regress_kpi_att;
SELECT kpi.grant_reader('regress_kpi_att');
SET ROLE regress_kpi_att;
SELECT kpi.set_attribute(7, name => 'grade', value => 5);
SELECT name, value FROM kpi.member_attribute ORDER BY 1, 2;
RESET ROLE;
SELECT kpi.revoke_reader('regress_kpi_att');
DROP ROLE regress_kpi_att;
TABLE history;

-- No dimension is any of them: refreshes have not been told.
SELECT kpi.add_member('bob') IS NOT NULL AS member;
UPDATE org SET org = (SELECT v.org FROM kpi_internal.version v);
SELECT kpi.set_attribute('bob', name => 'experience', value => 'junior');
SELECT v.org - o.org AS raised FROM kpi_internal.version v, org o;

-- They go with their member, merged or dropped.
SELECT kpi.set_attribute('ann', name => 'experience', value => 'senior');
SELECT kpi.merge_member('bob', 'ann');
TABLE history;
SELECT kpi.drop_member(7);
TABLE history;

-- Dimensions that are one.
CREATE SCHEMA pa;
CREATE TABLE pa.deals (id int PRIMARY KEY, owner text, team text, amount numeric, closed date);
CREATE FUNCTION pa.attribute(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT $1 $$;
SELECT kpi.create_source('pa', relation => 'pa.deals', owner => 'owner', at => 'closed', dimensions => '{"e": "upper(attribute(''experience''))"}');
SELECT kpi.create_source('pa', relation => 'pa.deals', owner => 'owner', at => 'closed', dimensions => '{"e": "attribute(owner)"}');
SELECT kpi.create_source('pa', relation => 'pa.deals', owner => 'owner', at => 'closed', dimensions => '{"e": "attribute()"}');
SELECT kpi.create_source('pa', relation => 'pa.deals', owner => 'owner', at => 'closed', dimensions => '{"e": "attribute('''')"}');
SELECT kpi.create_source('pa', relation => 'pa.deals', at => 'closed', dimensions => '{"e": "attribute(''experience'')"}');
SELECT kpi.create_source('pa', relation => 'pa.deals', team => 'team', at => 'closed', dimensions => '{"e": "attribute(''experience'')"}');
SELECT kpi.create_source('pa', relation => 'pa.deals', owner => 'owner', at => 'closed', dimensions => '{"team": "team"}');
SELECT kpi.create_source('pa', relation => 'pa.deals', owner => 'owner', at => 'closed', dimensions => '{"company": "team"}');
SELECT kpi.create_source('pa', relation => 'pa.deals', owner => 'owner', at => 'closed',
                         dimensions => '{"e": " attribute ( ''it''''s'' ) ", "f": "pa.attribute(owner)"}') IS NOT NULL AS source;
SELECT name, expression, attribute FROM kpi.dimension ORDER BY position;
SELECT kpi_internal.facts_query('pa');
-- One that is none still costs nothing.
SELECT kpi.create_kpi('pa', source => 'pa', measure => 'count(*)') IS NOT NULL AS kpi;
CALL kpi.refresh('pa');
UPDATE org SET org = (SELECT v.org FROM kpi_internal.version v);
SELECT kpi.set_attribute('ann', name => 'experience', value => 'lead');
SELECT v.org - o.org AS raised FROM kpi_internal.version v, org o;
SELECT kpi.set_attribute('ann', name => 'it''s', value => 'so');
SELECT v.org - o.org AS raised FROM kpi_internal.version v, org o;
SELECT kpi.alter_source('pa', team => 'team');
SELECT kpi.alter_source('pa', dimensions => '{"member": "owner"}');
SELECT kpi.alter_source('pa', dimensions => '{"e": "attribute(''it'') || ''s''"}');
SELECT name, expression, attribute FROM kpi.dimension ORDER BY position;

SELECT kpi.drop_source('pa', cascade => true);
SELECT kpi.drop_member('ann');
SELECT count(*) FROM kpi.member_attribute;
SELECT kpi.drop_team('north');
DROP SCHEMA pa CASCADE;
DROP TABLE org;
DROP VIEW history;
