--
-- Balances by attributes of people: what is held goes with its owner from one value to the next
--
SET client_min_messages = warning;
CREATE SCHEMA rba;
CREATE TABLE rba.contracts (id int PRIMARY KEY, owner text, mrr numeric, product text, started date, ended date);
INSERT INTO rba.contracts
SELECT i, (ARRAY['rba_ann', 'rba_bob', 'rba_b2', 'rba_who', NULL])[1 + i % 5], i - 30, (ARRAY['p', 'q', NULL])[1 + i % 3],
       date '2023-01-01' + i * 3, CASE WHEN i % 4 > 0 THEN date '2023-01-01' + i * 3 + i * 7 % 300 END
FROM generate_series(1, 200) i;
SELECT kpi.create_team('rba_north') IS NOT NULL AS a, kpi.create_team('rba_alps', parent => 'rba_north') IS NOT NULL AS b;
SELECT kpi.add_member('rba_ann', team => 'rba_north') IS NOT NULL AS a, kpi.add_member('rba_bob', team => 'rba_alps') IS NOT NULL AS b;
SELECT kpi.add_alias('rba_bob', 'rba_b2');
SELECT kpi.set_attribute('rba_ann', name => 'level', value => 'junior'), kpi.set_attribute('rba_ann', name => 'level', value => 'senior', since => '2023-06-15');
-- One with a dimension of the facts beside those of people, and one with none.
SELECT kpi.create_source('rba', relation => 'rba.contracts', key => 'id', owner => 'owner', at => 'started',
                         dimensions => '{"product": "product", "level": "attribute(''level'')", "office": "attribute(''office'')"}') IS NOT NULL AS a,
       kpi.create_source('rba_only', relation => 'rba.contracts', key => 'id', owner => 'owner', at => 'started',
                         dimensions => '{"level": "attribute(''level'')"}') IS NOT NULL AS b;
SELECT kpi.create_kpi('rba_mrr', source => 'rba', measure => 'balance(mrr)', until => 'ended') IS NOT NULL AS a,
       kpi.create_kpi('rba_only', source => 'rba_only', measure => 'balance(mrr)', until => 'ended') IS NOT NULL AS b;

-- What is held at the end of each month, by facts, memberships and attributes of that day.
CREATE VIEW rba.held AS
WITH RECURSIVE fact AS (
    SELECT c.*, d.day::date AS day, m.id AS member_id
      FROM generate_series(date '2023-02-01', '2024-12-01', interval '1 month') e (first)
           CROSS JOIN LATERAL (SELECT e.first::date - 1 AS day) d
           JOIN rba.contracts c ON c.started <= d.day AND (c.ended IS NULL OR c.ended > d.day)
           LEFT JOIN kpi.member_alias a ON a.alias = c.owner
           LEFT JOIN kpi.member m ON m.id = a.member_id OR m.key = c.owner
), placed AS (
    SELECT f.*, coalesce((SELECT s.team_id FROM kpi.membership s WHERE s.member_id = f.member_id AND f.day <@ daterange(s.since, s.until)), 2) AS team_id,
           (SELECT a.value FROM kpi.member_attribute a WHERE a.member_id = f.member_id AND a.name = 'level' AND f.day <@ daterange(a.since, a.until)) AS level,
           (SELECT a.value FROM kpi.member_attribute a WHERE a.member_id = f.member_id AND a.name = 'office' AND f.day <@ daterange(a.since, a.until)) AS office
      FROM fact f
), up AS (
    SELECT DISTINCT day, team_id, team_id AS ancestor_id FROM placed
    UNION
    SELECT u.day, u.team_id, t.parent_id FROM up u JOIN kpi.team_parent t ON t.team_id = u.ancestor_id AND u.day <@ daterange(t.since, t.until)
)
SELECT x.kpi, t.key AS team, x.dimension, x.value AS dimension_value, p.day, sum(p.mrr) AS held, count(*) AS facts
  FROM placed p JOIN up USING (day, team_id) JOIN kpi.team t ON t.id = up.ancestor_id,
       LATERAL (VALUES ('rba_mrr', 'product', product), ('rba_mrr', 'level', level), ('rba_mrr', 'office', office), ('rba_only', 'level', level)) x (kpi, dimension, value)
 GROUP BY 1, 2, 3, 4, 5;
-- Nothing is held where all has left: rows of such parts say 0.
CREATE VIEW rba.shown AS
SELECT b.kpi, b.team, b.dimension, b.dimension_value, (b.period_start + interval '1 month')::date - 1 AS day, b.value AS held, b.facts
  FROM kpi.team_breakdown_monthly b
 WHERE b.kpi IN ('rba_mrr', 'rba_only') AND b.period_start BETWEEN '2023-01-01' AND '2024-11-01' AND (b.facts <> 0 OR b.value <> 0);
CREATE PROCEDURE rba.check(what text) LANGUAGE plpgsql AS $$
DECLARE n record;
BEGIN
    CALL kpi.refresh();
    SELECT (SELECT count(*) FROM rba.held) AS expected, (SELECT count(*) FROM (TABLE rba.held EXCEPT TABLE rba.shown) x) AS missing,
           (SELECT count(*) FROM (TABLE rba.shown EXCEPT TABLE rba.held) x) AS others,
           (SELECT count(*) FROM kpi.verify('rba')) + (SELECT count(*) FROM kpi.verify('rba_only')) AS verified INTO n;
    RAISE NOTICE '%: % missing, % others, % found by kpi.verify()', what, n.missing, n.others, n.verified;
    IF n.expected < 500 THEN
        RAISE EXCEPTION 'too little to compare: %', n.expected;
    END IF;
END $$;
SET client_min_messages = notice;
CALL rba.check('built');
SELECT dimension_value, held FROM rba.shown WHERE kpi = 'rba_mrr' AND team = 'rba_north' AND dimension = 'level' AND day IN ('2023-05-31', '2023-06-30') ORDER BY day, 1;
-- A change goes before all that is held, into the middle, behind all of it, away, and back.
SELECT kpi.set_attribute('rba_bob', name => 'level', value => 'trainee', since => '2022-01-01', until => '2022-02-01');
CALL rba.check('before');
SELECT kpi.set_attribute('rba_bob', name => 'level', value => 'senior', since => '2023-03-31', until => '2023-11-01');
SELECT kpi.set_attribute('rba_ann', name => 'level', value => 'senior', since => '2023-04-02');
SELECT kpi.set_attribute('rba_ann', name => 'office', value => 'Wien', since => '2023-08-01');
CALL rba.check('among');
SELECT kpi.set_attribute('rba_bob', name => 'level', value => 'lead', since => '2024-10-05');
CALL rba.check('behind');
-- On the days on which something comes and goes, those before and after.
SELECT kpi.set_attribute('rba_ann', name => 'office', value => 'Graz ' || d, since => c.started + d) FROM rba.contracts c, generate_series(-1, 1) d WHERE c.id IN (80, 120) ORDER BY c.id, d;
SELECT kpi.set_attribute('rba_bob', name => 'office', value => 'Linz', since => c.ended + d, until => c.ended + d + 1) FROM rba.contracts c, generate_series(-1, 1) d WHERE c.id = 71 ORDER BY d;
CALL rba.check('on days of facts');
-- With moves of people and teams, new, changed and deleted facts.
SELECT kpi.move_member('rba_bob', team => 'rba_north', since => '2023-07-10');
SELECT kpi.move_team('rba_alps', parent => 'company', since => '2023-03-31');
UPDATE rba.contracts SET ended = started + 40 WHERE id % 11 = 0;
UPDATE rba.contracts SET ended = NULL, mrr = mrr + 100 WHERE id % 13 = 0;
UPDATE rba.contracts SET started = started - 70 WHERE id % 10 = 3;
UPDATE rba.contracts SET owner = 'rba_ann', product = 'q' WHERE id % 12 = 5;
DELETE FROM rba.contracts WHERE id % 16 = 3;
SELECT kpi.set_attribute('rba_ann', name => 'level', value => NULL, since => '2023-12-01');
CALL rba.check('all at once');
-- Facts alone change, while attributes stay as they are.
UPDATE rba.contracts SET mrr = mrr * 2 WHERE id % 5 < 3;
INSERT INTO rba.contracts SELECT 1000 + i, 'rba_who', i, 'p', date '2023-02-01' + i, NULL FROM generate_series(1, 40) i;
CALL rba.check('corrected');
SELECT kpi.add_member('rba_who', team => 'rba_alps', since => '2023-03-01') IS NOT NULL AS member;
SELECT kpi.set_attribute('rba_who', name => 'level', value => 'junior', since => '2023-02-15');
CALL rba.check('a new member');
SELECT kpi.merge_member('rba_who', 'rba_ann');
CALL rba.check('merged');
SELECT kpi.set_attribute('rba_ann', name => 'level', value => 'junior');
CALL rba.check('replaced');
SELECT kpi.repair('rba') AS repaired, kpi.repair('rba_only') AS only;

SET client_min_messages = warning;
SELECT kpi.drop_source('rba', cascade => true), kpi.drop_source('rba_only', cascade => true);
SELECT kpi.drop_member('rba_ann'), kpi.drop_member('rba_bob');
SELECT kpi.drop_team('rba_alps'), kpi.drop_team('rba_north');
DROP SCHEMA rba CASCADE;
