-- Goals from tables of targets: long and wide, of calendar and fiscal years, again and changed.
SET kpi.now = '2026-11-10 12:00+00';
SET client_min_messages = error;
CREATE SCHEMA gi;
CREATE TABLE gi.deals (owner text, product text, amount numeric, day date);
INSERT INTO gi.deals SELECT 'gi_a', 'p' || extract(day FROM d)::integer % 2, 10, d FROM generate_series('2026-01-01'::date, '2026-11-09', '1 day') d;
SELECT kpi.create_source('gi', relation => 'gi.deals', owner => 'owner', at => 'day', dimensions => '{"product": "product"}') > 0 AS created;
SELECT kpi.create_kpi('gi_money', source => 'gi', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('gi_deals', source => 'gi', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_team('gi_t') IS NOT NULL AS created;
SELECT kpi.create_team('gi_u') IS NOT NULL AS created;
SELECT kpi.add_member('gi_a', team => 'gi_t', since => '2020-01-01') IS NOT NULL AS created;
CALL kpi.refresh();
CREATE VIEW gi.goals AS
    SELECT g.plan, g.is_draft, g.name, k.name AS kpi, t.key AS team, m.key AS member, g.dimension, g.dimension_value, g.period, g.period_start, g.target_text, g.target,
           g.minimum, g.stretch, g.pace, g.responsible, g.review_on
      FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id LEFT JOIN kpi.team t ON t.id = g.team_id LEFT JOIN kpi.member m ON m.id = g.member_id
     WHERE k.name LIKE 'gi%';

-- long
CREATE TABLE gi.quota (kpi text, team text, member text, "Period" text, target numeric(12,2), minimum float8, dimension text, dimension_value varchar(20), name text, responsible char(8), review_on date, pace text);
INSERT INTO gi.quota VALUES
    ('gi_money', 'gi_t', NULL, '2027-Q1', 1000000.00, 900000.5, NULL, NULL, 'Q1', 'ann', '2027-02-01', 'linear'),
    ('gi_money', ' gi_u ', '', '2027', 1500, NULL, 'product', 'p1', NULL, NULL, NULL, NULL),
    ('gi_money', NULL, 'gi_a', 'every month of 2027', 50, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('gi_deals', NULL, NULL, '2027-01-15..2027-02-15', 7, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
-- a dry run is the run, and leaves nothing
CREATE TABLE gi.dry AS SELECT * FROM kpi.import_goals(relation => 'gi.quota', plan => 'gi27', dry_run => true);
SELECT line, action, kpi, team, member, dimension_value, period, target, goal_id, message FROM gi.dry ORDER BY line;
SELECT count(*) FROM gi.goals;
SELECT count(*) FROM kpi.plan WHERE name = 'gi27';
CREATE TABLE gi.run AS SELECT * FROM kpi.import_goals(relation => 'gi.quota', plan => 'gi27');
(TABLE gi.dry EXCEPT TABLE gi.run) UNION ALL (TABLE gi.run EXCEPT TABLE gi.dry);
SELECT * FROM gi.goals ORDER BY kpi, team, member, period;
SELECT name, status FROM kpi.plan WHERE name = 'gi27';
-- the same table again changes nothing
SELECT count(*), sum(version) FROM kpi.goal_version \gset before_
SELECT line, action, goal_id IS NOT NULL AS known, message FROM kpi.import_goals('gi.quota', plan => 'gi27') ORDER BY line;
SELECT count(*) = :before_count AND sum(version) = :before_sum AS same FROM kpi.goal_version;
-- changed: what is left empty stays
UPDATE gi.quota SET target = 1100000, minimum = NULL, responsible = 'bob', name = NULL, review_on = '2027-02-02' WHERE "Period" = '2027-Q1';
UPDATE gi.quota SET target = 60 WHERE member = 'gi_a';
INSERT INTO gi.quota (kpi, team, "Period", target) VALUES ('gi_deals', 'gi_t', '2027-W07', 3);
DELETE FROM gi.quota WHERE "Period" = '2027';
CREATE TABLE gi.dry2 AS SELECT * FROM kpi.import_goals('gi.quota', 'gi27', dry_run => true);
CREATE TABLE gi.run2 AS SELECT * FROM kpi.import_goals('gi.quota', 'gi27');
(TABLE gi.dry2 EXCEPT TABLE gi.run2) UNION ALL (TABLE gi.run2 EXCEPT TABLE gi.dry2);
SELECT line, action, team, member, period, message FROM gi.run2 ORDER BY line;
SELECT * FROM gi.goals ORDER BY kpi, team, member, period;
SELECT v.version, v.target, v.minimum, v.reason FROM kpi.goal_version v JOIN kpi.goal g ON g.id = v.goal_id WHERE g.name = 'Q1' ORDER BY v.version;

-- wide: quarters and months, of a view that gives columns their names
CREATE TABLE gi.wide (kpi text, team text, name text, q1 integer, q2 text, "Q3" numeric, q4 text);
INSERT INTO gi.wide VALUES ('gi_money', 'gi_t', 'Money of T', 100, '+5% yoy', NULL, ''), ('gi_deals', 'gi_u', NULL, 1, '2', 3, '4');
SELECT line, action, kpi, team, period, target, message FROM kpi.import_goals('gi.wide', plan => 'giw', year => '2027', dry_run => true) ORDER BY line, period;
UPDATE gi.wide SET q2 = '200' WHERE team = 'gi_t';
SELECT line, action, kpi, team, period, target, message FROM kpi.import_goals('gi.wide', plan => 'giw', year => '2027') ORDER BY line, period;
SELECT name, kpi, team, period, period_start, target FROM gi.goals WHERE plan = 'giw' ORDER BY kpi, period;
-- a fiscal year: quarters from its first month on, months wherever they are in it
SELECT kpi.drop_plan('giw');
SELECT kpi.drop_plan('gi27');
SELECT kpi.alter_calendar('default', fiscal_year_start => 4);
CREATE VIEW gi.fiscal AS SELECT 'gi_money'::text AS kpi, 'gi_t'::text AS team, 1 AS q1, 4 AS q4, 11 AS jan, 22 AS mar, 33 AS apr, 44 AS dec;
SELECT action, period, target FROM kpi.import_goals('gi.fiscal', plan => 'gif', year => 'FY2027');
SELECT period, period_start, target FROM gi.goals WHERE plan = 'gif' ORDER BY target;
SELECT kpi.drop_plan('gif');
SELECT kpi.alter_calendar('default', fiscal_year_start => 1);

-- parts of goals, by the name of one that there is or a line above
CREATE TABLE gi.tree (name text, kpi text, team text, period text, target text, parent text);
INSERT INTO gi.tree VALUES ('all', 'gi_money', NULL, '2027', '100', NULL), ('part', 'gi_money', 'gi_t', '2027', '60', 'all');
SELECT action, message FROM kpi.import_goals('gi.tree', plan => 'git', dry_run => true);
SELECT action, message FROM kpi.import_goals('gi.tree', plan => 'git');
UPDATE gi.tree SET parent = 'part' WHERE name = 'all';
SELECT action, message, detail FROM kpi.import_goals('gi.tree', plan => 'git', dry_run => true) ORDER BY action;
UPDATE gi.tree SET parent = NULL WHERE name = 'all';
SELECT action, message FROM kpi.import_goals('gi.tree', plan => 'git');
SELECT g.name, p.name AS parent FROM kpi.goal g LEFT JOIN kpi.goal p ON p.id = g.parent_id WHERE g.plan = 'git' ORDER BY 1;
SELECT kpi.drop_plan('git');

-- into a plan that is published: followed at once
SELECT kpi.create_goal(kpi => 'gi_money', team => 'gi_t', period => '2026-Q4', target => 500, plan => 'gin') > 0 AS created;
SELECT line, action, period, message FROM kpi.import_goals('gi.wide', plan => 'gin', year => '2026') ORDER BY line, period;
SELECT goal, kpi, team, period, target FROM kpi.goal_progress WHERE plan = 'gin' ORDER BY kpi, period;
-- names change, goals stay known by what they are
SELECT kpi.alter_team('gi_t', new_key => 'gi_v');
SELECT kpi.alter_kpi('gi_money', new_name => 'gi_cash');
UPDATE gi.wide SET kpi = 'gi_cash', team = 'gi_v' WHERE team = 'gi_t';
SELECT action, count(*) FROM kpi.import_goals('gi.wide', plan => 'gin', year => '2026') GROUP BY action;

-- the reader's rights, and nothing else's
CREATE ROLE regress_gi_editor;
SELECT kpi.grant_editor('regress_gi_editor');
GRANT USAGE ON SCHEMA gi TO regress_gi_editor;
SET ROLE regress_gi_editor;
SELECT * FROM kpi.import_goals('gi.wide', plan => 'gin', year => '2026');
RESET ROLE;
CREATE FUNCTION gi.whoami() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
CREATE VIEW gi.mine WITH (security_invoker) AS SELECT 'gi_deals'::text AS kpi, '2027'::text AS period, 5 AS target, gi.whoami() AS name;
GRANT SELECT ON gi.mine TO regress_gi_editor;
SET ROLE regress_gi_editor;
SELECT action FROM kpi.import_goals('gi.mine', plan => 'gir');
RESET ROLE;
SELECT name FROM kpi.goal WHERE plan = 'gir';
-- nothing that a view calls writes
CREATE FUNCTION gi.writes() RETURNS integer LANGUAGE sql AS $$ INSERT INTO gi.deals VALUES ('x', 'x', 1, '2026-01-01') RETURNING 5 $$;
CREATE VIEW gi.writing AS SELECT 'gi_deals'::text AS kpi, '2027'::text AS period, gi.writes() AS target;
SELECT * FROM kpi.import_goals('gi.writing', plan => 'gir');
SELECT kpi.drop_plan('gir');

SELECT count(kpi.drop_goal(id)) FROM kpi.goal WHERE plan LIKE 'gi%';
SELECT kpi.drop_plan(name) FROM kpi.plan WHERE name LIKE 'gi%';
SELECT kpi.drop_source('gi', cascade => true);
SELECT kpi.drop_member('gi_a');
SELECT kpi.drop_team('gi_v'), kpi.drop_team('gi_u');
SELECT kpi.revoke_reader('regress_gi_editor');
DROP SCHEMA gi CASCADE;
DROP ROLE regress_gi_editor;
RESET kpi.now;
