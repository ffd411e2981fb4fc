-- Goals that are parts of others: parent, cycles, and parts that do not add up.
SET client_min_messages = warning;
\set VERBOSITY default
\set SHOW_CONTEXT never
SET kpi.now = '2026-11-10 12:00:00+00';
SELECT count(kpi.create_team(k)) FROM unnest('{gt_emea,gt_apac}'::text[]) k;
SELECT kpi.add_member('gt_ann', team => 'gt_emea') > 0 AS added;
CREATE SCHEMA gt;
CREATE TABLE gt.deals (id integer PRIMARY KEY, owner text, day date, amount numeric, won boolean);
INSERT INTO gt.deals SELECT i, 'gt_ann', date '2025-01-01' + i, i, i % 2 = 0 FROM generate_series(0, 600) i;
SELECT kpi.create_source('gt', relation => 'gt.deals', key => 'id', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('gt_revenue', source => 'gt', measure => 'sum(amount)') > 0 AS created,
       kpi.create_kpi('gt_rate', source => 'gt', measure => 'rate(won, true)') > 0 AS rate;
CALL kpi.refresh();
SELECT kpi.create_goal('gt year', kpi => 'gt_revenue', period => '2026', target => 100) > 0 AS created;
-- by name, by id, as text of a column
SELECT kpi.create_goal('gt emea', kpi => 'gt_revenue', team => 'gt_emea', period => '2026', target => 60, parent => 'gt year') > 0 AS created;
SELECT kpi.create_goal('gt apac', kpi => 'gt_revenue', team => 'gt_apac', period => '2026', target => '30', parent => (SELECT id FROM kpi.goal WHERE name = 'gt year')) > 0 AS created;
-- of another KPI: no part of the sum
SELECT kpi.create_goal('gt rate', kpi => 'gt_rate', period => '2026', target => '50%', parent => x.name) > 0 AS created FROM (VALUES ('gt year'::text)) x (name);
CREATE VIEW gt.tree AS SELECT g.name, p.name AS parent FROM kpi.goal g LEFT JOIN kpi.goal p ON p.id = g.parent_id WHERE g.name LIKE 'gt %' ORDER BY 1;
SELECT * FROM gt.tree;
CREATE VIEW gt.mismatch AS SELECT goal, kpi, team, member, period, across, parts, target, over_assign, meant, parts_target, difference FROM kpi.goal_mismatch ORDER BY goal, across;
SELECT * FROM gt.mismatch;
SELECT kpi.alter_goal('gt apac', target => 40);
SELECT * FROM gt.mismatch;
-- periods of its own scope are another cut
SET client_min_messages = error;
SELECT count(kpi.create_goal(kpi => 'gt_revenue', period => '2026-Q' || q, target => 25, parent => 'gt year')) FROM generate_series(1, 3) q;
SET client_min_messages = warning;
SELECT * FROM gt.mismatch;
SELECT kpi.create_goal(kpi => 'gt_revenue', period => '2026-Q4', target => 25, parent => 'gt year') > 0 AS created;
SELECT * FROM gt.mismatch;
-- altering: what is not given stays, '' takes it out
SELECT kpi.alter_goal('gt emea', description => 'new customers');
SELECT * FROM gt.tree WHERE name = 'gt emea';
SELECT kpi.alter_goal('gt emea', parent => '');
SELECT * FROM gt.tree WHERE name = 'gt emea';
SELECT * FROM gt.mismatch;
SELECT kpi.alter_goal('gt emea', parent => 'gt year');
-- bad input
SELECT kpi.alter_goal('gt year', parent => 'gt year');
SELECT kpi.alter_goal('gt rate', parent => 'gt emea');
SELECT kpi.alter_goal('gt year', parent => 'gt rate');
SELECT kpi.alter_goal('gt year', parent => 'gt nobody');
SELECT kpi.alter_goal('gt year', parent => -1);
SELECT kpi.alter_goal('gt year', parent => 1.5);
SELECT kpi.create_goal('gt x', kpi => 'gt_revenue', period => '2026-01', target => 1, parent => 'gt nobody');
SELECT * FROM gt.tree;
-- a parent that goes leaves its parts
SELECT kpi.drop_goal('gt year');
SELECT * FROM gt.tree;

-- the next one to win: of a year cut to quarters, months and weeks this week, then the next
SELECT kpi.create_goal('gt year', kpi => 'gt_revenue', period => '2027', target => 3650) > 0 AS created;
SELECT count(*), sum(target) FROM kpi.cascade('gt year', across => 'quarters');
SELECT count(*), sum(c.target) FROM kpi.goal g, kpi.cascade(g.id, across => 'months') c WHERE g.period = '2027-Q1' AND g.parent_id IS NOT NULL;
SELECT count(*), sum(c.target) FROM kpi.goal g, kpi.cascade(g.id, across => 'weeks') c WHERE g.period = '2027-01' AND g.parent_id IS NOT NULL;
SELECT goal, next_period, next_period_end, next_status FROM kpi.goal_next WHERE plan = 'default' ORDER BY 1, 2;
SET kpi.now = '2027-01-12 12:00:00+00';
CALL kpi.refresh();
SELECT goal, next_period, next_period_end FROM kpi.goal_next ORDER BY 1, 2;
SELECT count(*) FROM gt.mismatch;

SELECT count(kpi.drop_goal(g.id)) FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id WHERE k.name LIKE 'gt\_%';
SELECT kpi.drop_source('gt', cascade => true);
SELECT kpi.drop_member('gt_ann');
SELECT count(kpi.drop_team(k)) FROM unnest('{gt_emea,gt_apac}'::text[]) k;
DROP SCHEMA gt CASCADE;
