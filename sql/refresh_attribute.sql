-- Refresh: facts count for the attribute that their owner has on their day.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA ra;
CREATE TABLE ra.deals (id int PRIMARY KEY, owner text, amount numeric, product text, is_won boolean, closed date);
INSERT INTO ra.deals
SELECT i, (ARRAY['ann', 'bob', 'b2', 'who', NULL])[1 + i % 5], i, (ARRAY['p', 'q', NULL])[1 + i % 3], i % 2 = 0, date '2026-01-01' + i % 180
FROM generate_series(1, 900) i;
SELECT kpi.create_team('north') IS NOT NULL AS team, kpi.create_team('alps', parent => 'north') IS NOT NULL AS team;
SELECT kpi.add_member('ann', team => 'north') IS NOT NULL AS member, kpi.add_member('bob', team => 'alps') IS NOT NULL AS member;
SELECT kpi.add_alias('bob', 'b2');
SELECT kpi.set_attribute('ann', name => 'level', value => 'junior');
SELECT kpi.set_attribute('ann', name => 'level', value => 'senior', since => '2026-03-10');
SELECT kpi.create_source('ra', relation => 'ra.deals', key => 'id', owner => 'owner', at => 'closed',
                         dimensions => '{"product": "product", "level": "attribute(''level'')", "office": "attribute(''office'')"}') IS NOT NULL AS source;
SELECT count(kpi.create_kpi(k.name, source => 'ra', measure => k.measure, credit => k.credit))
FROM (VALUES ('ra_sum', 'sum(amount)', 'then'), ('ra_rate', 'rate(is_won, true)', 'then'), ('ra_now', 'sum(amount)', 'today')) k (name, measure, credit);

-- What the facts amount to by facts, memberships and attributes of each day, in plain SQL.
CREATE FUNCTION ra.difference() RETURNS TABLE (side text, kpi text, team text, dimension text, dimension_value text, period_start date, value numeric)
LANGUAGE sql AS $$
WITH RECURSIVE fact AS (
    SELECT d.*, m.id AS member_id, k.kpi, CASE k.kpi WHEN 'ra_now' THEN kpi.today() ELSE d.closed END AS day
      FROM ra.deals d LEFT JOIN kpi.member_alias a ON a.alias = d.owner
           LEFT JOIN kpi.member m ON m.id = a.member_id OR m.key = d.owner,
           (VALUES ('ra_sum'), ('ra_rate'), ('ra_now')) k (kpi)
), placed AS (
    SELECT f.*, coalesce((SELECT s.team_id FROM kpi.membership s WHERE s.member_id = f.member_id AND f.day <@ daterange(s.since, s.until)), 2) AS team_id,
           (SELECT a.value FROM kpi.member_attribute a WHERE a.member_id = f.member_id AND a.name = 'level' AND f.day <@ daterange(a.since, a.until)) AS level,
           (SELECT a.value FROM kpi.member_attribute a WHERE a.member_id = f.member_id AND a.name = 'office' AND f.day <@ daterange(a.since, a.until)) AS office
      FROM fact f
), up AS (
    SELECT DISTINCT day, team_id, team_id AS ancestor_id FROM placed
    UNION
    SELECT u.day, u.team_id, t.parent_id FROM up u JOIN kpi.team_parent t ON t.team_id = u.ancestor_id AND u.day <@ daterange(t.since, t.until)
), expected AS (
    SELECT p.kpi, t.key AS team, x.dimension, x.dimension_value, date_trunc('month', closed)::date AS period_start,
           round(CASE p.kpi WHEN 'ra_rate' THEN avg(is_won::int) ELSE sum(amount) END, 10) AS value
      FROM placed p JOIN up USING (day, team_id) JOIN kpi.team t ON t.id = up.ancestor_id,
           LATERAL (VALUES ('product', product), ('level', level), ('office', office)) x (dimension, dimension_value)
     GROUP BY 1, 2, 3, 4, 5
), shown AS (
    SELECT b.kpi, b.team, b.dimension, b.dimension_value, b.period_start, round(b.value, 10)
      FROM kpi.team_breakdown_monthly b WHERE b.kpi LIKE 'ra\_%'
)
SELECT 'shown', s.* FROM (TABLE shown EXCEPT ALL TABLE expected) s
UNION ALL
SELECT 'expected', e.* FROM (TABLE expected EXCEPT ALL TABLE shown) e
$$;
CREATE PROCEDURE ra.check(what text) LANGUAGE plpgsql AS $$
BEGIN
    CALL kpi.refresh('ra');
    RAISE NOTICE '%: % differences, % found by verify()', what, (SELECT count(*) FROM ra.difference()), (SELECT count(*) FROM kpi.verify('ra'));
END
$$;
SET client_min_messages = notice;
CALL ra.check('built');
SELECT dimension_value, value FROM kpi.team_breakdown_monthly WHERE kpi = 'ra_sum' AND team = 'company' AND dimension = 'level' AND period_start = '2026-03-01' ORDER BY 1;

-- Before all facts, among them, behind them; what held nothing; and back.
SELECT kpi.set_attribute('ann', name => 'level', value => 'trainee', since => '2025-01-01', until => '2025-02-01');
CALL ra.check('before');
SELECT kpi.set_attribute('ann', name => 'level', value => 'senior', since => '2026-02-15');
SELECT kpi.set_attribute('bob', name => 'level', value => 'senior', since => '2026-02-03', until => '2026-04-20');
CALL ra.check('among');
SELECT kpi.set_attribute('bob', name => 'level', value => 'lead', since => '2027-06-01');
CALL ra.check('behind');
SELECT kpi.set_attribute('bob', name => 'office', value => 'Wien', since => '2026-03-31');
SELECT kpi.set_attribute('ann', name => 'office', value => 'Graz');
CALL ra.check('another one');
SELECT kpi.set_attribute('ann', name => 'level', value => NULL, since => '2026-05-01');
CALL ra.check('ended');
SELECT kpi.set_attribute('ann', name => 'level', value => 'junior');
CALL ra.check('replaced');

-- With moves of people and teams, new and changed facts, all at once.
SELECT kpi.set_attribute('bob', name => 'level', value => 'expert', since => '2026-03-15');
SELECT kpi.move_member('bob', team => 'north', since => '2026-03-10');
SELECT kpi.move_team('alps', parent => 'company', since => '2026-02-10');
UPDATE ra.deals SET closed = closed + 11, amount = amount + 1 WHERE id % 7 = 0;
DELETE FROM ra.deals WHERE id % 11 = 0;
INSERT INTO ra.deals SELECT 1000 + i, 'eve', i, 'p', true, date '2026-01-01' + i FROM generate_series(1, 100) i;
CALL ra.check('all at once');
SELECT kpi.add_member('eve', team => 'alps', since => '2026-02-01') IS NOT NULL AS member;
SELECT kpi.set_attribute('eve', name => 'level', value => 'junior', since => '2026-01-15');
CALL ra.check('a new member');
SELECT kpi.drop_alias('b2');
CALL ra.check('no alias');
SELECT kpi.add_alias('bob', 'b2');
SELECT kpi.merge_member('eve', 'ann');
CALL ra.check('merged');

-- A column is renamed, too; and no fact is read for it all.
SELECT kpi.set_attribute('ann', name => 'level', value => 'senior', since => '2026-04-01');
ALTER TABLE ra.deals RENAME COLUMN product TO kind;
CALL kpi.refresh('ra');
SELECT name, expression FROM kpi.dimension ORDER BY position;
SELECT kpi.set_attribute('ann', name => 'level', value => 'senior', since => '2026-03-01');
SELECT kpi.set_attribute('bob', name => 'shoe', value => '44');
CALL kpi.refresh('ra');
SELECT kind, deltas FROM kpi.refresh_log WHERE source = 'ra' ORDER BY id DESC LIMIT 1;
SELECT * FROM kpi.verify('ra');

-- Another dimension, none, and again.
ALTER TABLE ra.deals RENAME COLUMN kind TO product;
SELECT kpi.alter_source('ra', dimensions => '{"level": "attribute(''office'')", "product": "product", "office": "attribute(''level'')"}');
CALL kpi.refresh('ra');
SELECT count(*) FROM kpi.verify('ra');
SELECT DISTINCT dimension, dimension_value FROM kpi.team_breakdown_monthly WHERE kpi = 'ra_sum' AND dimension IN ('level', 'office') ORDER BY 1, 2;
SELECT kpi.alter_source('ra', dimensions => '{"product": "product"}');
CALL kpi.refresh('ra');
SELECT count(*) FROM kpi.verify('ra');
SELECT DISTINCT dimension FROM kpi.team_breakdown_monthly WHERE kpi = 'ra_sum' ORDER BY 1;
SELECT DISTINCT dims FROM kpi_internal.applied_attribution a JOIN kpi.source s ON s.id = a.source_id WHERE s.name = 'ra';
SELECT kpi.alter_source('ra', dimensions => '{"product": "product", "level": "attribute(''level'')", "office": "attribute(''office'')"}');
CALL ra.check('again');

-- What is damaged is found and mended.
UPDATE kpi_internal.applied_attribution SET dims = '{0,0,0}' WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'ra');
INSERT INTO ra.deals SELECT 2000 + i, 'ann', i, 'p', true, date '2026-01-01' + i FROM generate_series(1, 100) i;
CALL kpi.refresh('ra');
SELECT count(*) > 0 AS found FROM kpi.verify('ra');
SELECT count(*) > 0 AS mended FROM kpi.repair('ra');
CALL ra.check('repaired');

-- To date: today's month less what is dated later.
UPDATE ra.deals SET closed = kpi.today() + id % 25 - 12;
SELECT kpi.set_attribute('ann', name => 'level', value => 'lead', since => kpi.today() - 2);
SELECT kpi.set_attribute('bob', name => 'level', value => 'lead', since => kpi.today() + 3);
CALL kpi.refresh('ra');
WITH dated AS (
    SELECT d.*, (SELECT a.value FROM kpi.member_attribute a JOIN kpi.member m ON m.id = a.member_id WHERE a.name = 'level'
                  AND m.key = CASE d.owner WHEN 'b2' THEN 'bob' ELSE d.owner END AND d.closed <@ daterange(a.since, a.until)) AS level
      FROM ra.deals d WHERE date_trunc('month', closed) = date_trunc('month', kpi.today()))
SELECT count(*) AS differences
  FROM (SELECT coalesce(level, '(none)') AS level, sum(amount) FILTER (WHERE closed <= kpi.today()) AS to_date, sum(amount) AS whole FROM dated GROUP BY 1) e
  FULL JOIN (SELECT coalesce(dimension_value, '(none)') AS level, value_to_date, value FROM kpi.team_breakdown_monthly
              WHERE kpi = 'ra_sum' AND team = 'company' AND dimension = 'level' AND is_current) s USING (level)
 WHERE coalesce(e.to_date, 0) IS DISTINCT FROM coalesce(s.value_to_date, 0) OR e.whole IS DISTINCT FROM s.value;

-- Beside a lookup.
CREATE TABLE ra.kinds (product text PRIMARY KEY, family text);
INSERT INTO ra.kinds VALUES ('p', 'old'), ('q', 'new');
SELECT kpi.create_lookup('ra_kinds', relation => 'ra.kinds', key => 'product', value => 'family') IS NOT NULL AS lookup;
SELECT kpi.create_source('ra_looked', relation => 'ra.deals', key => 'id', owner => 'owner', at => 'closed',
                         dimensions => '{"family": "lookup(''ra_kinds'', product)", "level": "attribute(''level'')"}') IS NOT NULL AS source;
SELECT kpi.create_kpi('ra_looked', source => 'ra_looked', measure => 'sum(amount)') IS NOT NULL AS kpi;
CALL kpi.refresh('ra_looked');
SELECT count(*) FROM kpi.verify('ra_looked');
SELECT count(*) > 0 AS shown FROM kpi.team_breakdown_monthly WHERE kpi = 'ra_looked' AND dimension = 'level' AND dimension_value = 'lead';
SELECT count(*) AS differences FROM (
    SELECT period, team, dimension_value, value FROM kpi.team_breakdown_monthly WHERE kpi = 'ra_looked' AND dimension = 'level'
    EXCEPT SELECT period, team, dimension_value, value FROM kpi.team_breakdown_monthly WHERE kpi = 'ra_sum' AND dimension = 'level') d;
SELECT kpi.drop_source('ra_looked', cascade => true), kpi.drop_lookup('ra_kinds');

SET client_min_messages = warning;
SELECT kpi.drop_source('ra', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob');
SELECT kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA ra CASCADE;
