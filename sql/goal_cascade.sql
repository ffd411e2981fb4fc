-- kpi.cascade(): a goal is cut into goals that are parts of it.
SET client_min_messages = warning;
\set VERBOSITY default
\set SHOW_CONTEXT never
SET kpi.now = '2026-11-10 12:00:00+00';
SELECT count(kpi.create_team(k)) FROM unnest('{gc_emea,gc_apac}'::text[]) k;
SELECT count(kpi.create_team(k, parent => 'gc_emea')) FROM unnest('{gc_uk,gc_dach}'::text[]) k;
SELECT kpi.add_member('gc_ann', team => 'gc_dach') > 0, kpi.add_member('gc_bob', team => 'gc_uk') > 0, kpi.add_member('gc_cid', team => 'gc_apac') > 0,
       kpi.add_member('gc_mov', team => 'gc_dach') > 0, kpi.add_member('gc_new', team => 'gc_uk', since => '2026-11-16') > 0,
       kpi.add_member('gc_off', team => 'gc_uk') > 0;
SELECT kpi.end_membership('gc_off', until => '2026-10-16');
CREATE SCHEMA gc;
CREATE TABLE gc.deals (id integer PRIMARY KEY, owner text, day date, amount numeric(12,2), won boolean);
INSERT INTO gc.deals SELECT i, (ARRAY['gc_ann','gc_bob','gc_cid','gc_mov','gc_off'])[1 + i % 5], date '2025-01-01' + (i * 7919) % 650, (i * 31 % 1000) * (1 + i % 5), i % 3 = 0
  FROM generate_series(1, 3000) i;
SELECT kpi.create_source('gc', relation => 'gc.deals', key => 'id', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('gc_revenue', source => 'gc', measure => 'sum(amount)') > 0, kpi.create_kpi('gc_won', source => 'gc', measure => 'count(*)', filter => 'won') > 0,
       kpi.create_kpi('gc_rate', source => 'gc', measure => 'rate(won, true)') > 0,
       kpi.create_kpi('gc_held', source => 'gc', measure => 'balance(amount)', at => 'day', until => 'day + 400') > 0;
CALL kpi.refresh();

-- What a cut should be by its weights: the largest remainder, of equals the first by key; in plain SQL.
CREATE FUNCTION gc.wrong(cut jsonb, total numeric, step numeric) RETURNS SETOF text LANGUAGE sql AS $$
    WITH part AS (
        SELECT x.*, coalesce(x.member, x.team) AS key, floor(total / step * x.weight / sum(x.weight) OVER ()) AS whole,
               total / step * x.weight / sum(x.weight) OVER () AS exact
          FROM jsonb_to_recordset(cut) x (team text, member text, period text, weight numeric, target numeric)
    ), given AS (
        SELECT p.*, row_number() OVER (ORDER BY exact - whole DESC, key COLLATE "C", period) AS n, total / step - sum(whole) OVER () AS left_over FROM part p)
    SELECT concat_ws(' ', key, period, target, 'and not', (whole + (n <= left_over)::integer) * step) FROM given WHERE target <> (whole + (n <= left_over)::integer) * step
    UNION ALL
    SELECT concat_ws(' ', 'sum', sum(target), 'and not', total) FROM given HAVING sum(target) <> total $$;
CREATE VIEW gc.part AS SELECT p.name AS parent, k.name AS kpi, t.key AS team, m.key AS member, g.period, g.target_text, g.cascaded, g.over_assign, g.altered_at IS NOT NULL AS altered
  FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id LEFT JOIN kpi.goal p ON p.id = g.parent_id LEFT JOIN kpi.team t ON t.id = g.team_id LEFT JOIN kpi.member m ON m.id = g.member_id
  WHERE k.name LIKE 'gc\_%' ORDER BY 1, 2, coalesce(t.key, m.key), g.period_start;

SELECT kpi.create_goal('gc q4', kpi => 'gc_revenue', period => '2026-Q4', target => 100000.01) > 0 AS created;
-- a dry run is what a run is, and does nothing
CREATE TABLE gc.dry AS SELECT * FROM kpi.cascade('gc q4', across => 'teams', over_assign => 1.08, dry_run => true);
SELECT count(*) FROM gc.part WHERE parent IS NOT NULL;
CREATE TABLE gc.run AS SELECT * FROM kpi.cascade('gc q4', across => 'teams', over_assign => 1.08);
SELECT team, target, action, message FROM gc.run ORDER BY team;
SELECT count(*) AS same, count(d.goal_id) AS made FROM gc.dry d JOIN gc.run r ON (to_jsonb(d) - 'goal_id') = (to_jsonb(r) - 'goal_id');
SELECT gc.wrong((SELECT jsonb_agg(r) FROM gc.run r), 108000.01, 0.01);
SELECT * FROM gc.part;
-- history is the level that forecasts begin with
SELECT r.team, r.weight = l.level::numeric AS same
  FROM gc.run r JOIN kpi.team t ON t.key = r.team JOIN kpi_internal.kpi_state s ON s.kpi_id = (SELECT id FROM kpi.kpi WHERE name = 'gc_revenue')
 CROSS JOIN LATERAL kpi_internal.forecast_scope_of(s.program, 1, t.id, 0, 3, '2026-10-01') l ORDER BY 1;
-- again: nothing to do; another target: replaced; who was altered is named, and kpi.goal_mismatch says what is missing
SELECT team, target, action, message FROM kpi.cascade('gc q4', across => 'teams', over_assign => 1.08) ORDER BY team;
SELECT kpi.alter_goal(goal_id, name => 'gc emea', target => 80000) FROM gc.run WHERE team = 'gc_emea';
SELECT kpi.alter_goal('gc q4', target => 120000);
SELECT team, target, action, message FROM kpi.cascade('gc q4', across => 'teams') ORDER BY team;
SELECT goal, across, target, over_assign, meant, parts_target, difference FROM kpi.goal_mismatch WHERE kpi LIKE 'gc\_%';
SELECT team, target_text, altered, over_assign FROM gc.part WHERE parent = 'gc q4';
-- what the goal said before is kept
SELECT t.version, t.target, t.valid_until IS NULL AS valid FROM kpi.goal_target t JOIN gc.run r ON r.goal_id = t.goal_id WHERE r.team = 'gc_apac' ORDER BY 1;

-- members: of the team and below; moved in mid-period both ways, new, and gone
SELECT kpi.move_member('gc_mov', team => 'gc_apac', since => '2026-11-16');
CALL kpi.refresh();
SELECT member, period, target, action, message FROM kpi.cascade('gc emea', across => 'members') ORDER BY member, period;
SELECT kpi.create_goal('gc apac', kpi => 'gc_revenue', team => 'gc_apac', period => '2026-Q4', target => 1000, plan => 'other') > 0 AS created;
SELECT member, period, weight, target, action FROM kpi.cascade('gc apac', across => 'members', by => 'capacity') ORDER BY member, period;
-- working days, with a ramp
BEGIN;
SELECT kpi.set_ramp('{0.25, 0.5, 0.75}', team => 'gc_emea');
SELECT member, weight, target, action FROM kpi.cascade('gc emea', across => 'members', by => 'capacity', dry_run => true) ORDER BY member;
SELECT kpi.workdays('2026-11-16', '2026-12-16') * 0.25 + kpi.workdays('2026-12-16', '2027-01-01') * 0.5 AS new, kpi.workdays('2026-10-01', '2026-10-16') AS off,
       kpi.workdays('2026-10-01', '2026-11-16') AS mov;
ROLLBACK;
-- back again: one goal for all of it, the two for the days go
SELECT kpi.move_member('gc_mov', team => 'gc_dach', since => '2026-11-16');
SELECT member, period, action, message FROM kpi.cascade('gc emea', across => 'members', by => 'equal') ORDER BY member, period;
SELECT member, period, action, message FROM kpi.cascade('gc apac', across => 'members', by => 'equal') ORDER BY member, period;
-- facts of the days count for the goal of the days
SELECT kpi.move_member('gc_mov', team => 'gc_apac', since => '2026-11-16');
SELECT count(*) FROM kpi.cascade('gc emea', across => 'members', by => 'equal');
INSERT INTO gc.deals VALUES (9001, 'gc_mov', '2026-11-15', 100, true), (9002, 'gc_mov', '2026-11-16', 1000, true);
CALL kpi.refresh();
SELECT p.period, p.actual = (SELECT sum(amount) FROM gc.deals WHERE owner = 'gc_mov' AND day BETWEEN p.period_start AND p.period_end) AS same
  FROM kpi.goal_progress p WHERE p.kpi = 'gc_revenue' AND p.member = 'gc_mov' AND p.plan = 'default';

-- weights that are given; who is not named gets none
SELECT kpi.create_goal('gc won', kpi => 'gc_won', period => '2026-Q4', target => 10) > 0 AS created;
SELECT team, weight, target, action, message FROM kpi.cascade('gc won', across => 'teams', by => '{"gc_emea": 2, "gc_apac": 1}') ORDER BY team;
SELECT team, target, action, message FROM kpi.cascade('gc won', across => 'teams', by => '{"gc_apac": 1}') ORDER BY action, team;
-- counts are whole, ties by key
SELECT member, target FROM kpi.cascade('gc won', across => 'members', by => 'equal', dry_run => true) ORDER BY member;
-- months, weeks: working days, as nothing is known of the season
SELECT period, target FROM kpi.cascade('gc won', across => 'months', by => 'equal') ORDER BY period;
SELECT period, target FROM kpi.cascade('gc won', across => 'weeks', by => 'capacity', step => 0.5, dry_run => true) ORDER BY goal_id, period;
SELECT gc.wrong((SELECT jsonb_agg(c) FROM kpi.cascade('gc won', across => 'weeks', step => 0.5, dry_run => true) c), 10, 0.5);
-- a rate is handed down; bounds are split; a cap stays one
SELECT kpi.create_goal('gc rate', kpi => 'gc_rate', period => '2026-Q4', target => '65%') > 0 AS created;
SELECT team, target, action FROM kpi.cascade('gc rate', across => 'teams') ORDER BY team;
SELECT kpi.create_goal('gc range', kpi => 'gc_won', period => '2027-Q1', target => '10..21') > 0 AS created;
SELECT team, target, target_high FROM kpi.cascade('gc range', across => 'teams', by => 'equal') ORDER BY team;
SELECT kpi.create_goal('gc cap', kpi => 'gc_won', period => '2027-Q2', target => 'at most 9') > 0 AS created;
SELECT team, target, action FROM kpi.cascade('gc cap', across => 'teams', by => 'equal') ORDER BY team;
SELECT parent, team, target_text FROM gc.part WHERE parent IN ('gc cap', 'gc range', 'gc rate');
-- a balance: among teams as anything that adds up, over time by what it is to grow by
SELECT kpi.create_goal('gc held', kpi => 'gc_held', period => '2027-Q1', target => 3000000) > 0 AS created;
SELECT sum(target) FROM kpi.cascade('gc held', across => 'teams');
SELECT period, target FROM kpi.cascade('gc held', across => 'months', by => 'equal') ORDER BY period;
SELECT kpi.value('gc_held', period => '2026-11-10') AS held_now;
-- a goal that is there already is named, one that recurs too
SELECT kpi.create_goal('gc mine', kpi => 'gc_won', team => 'gc_emea', period => '2028-Q3', target => 3) > 0 AS created;
SELECT kpi.create_goal('gc every', kpi => 'gc_won', team => 'gc_apac', period => 'every quarter of 2028', target => 3) > 0 AS created;
SELECT kpi.create_goal('gc q3', kpi => 'gc_won', period => '2028-Q3', target => 9) > 0 AS created;
SELECT team, target, action, regexp_replace(message, 'goal \d+', 'goal N') AS message FROM kpi.cascade('gc q3', across => 'teams', by => 'equal') ORDER BY team;
-- all of them stand as they should
SELECT count(*) FROM kpi.verify('gc');
SELECT count(*), count(DISTINCT g.id) FROM kpi.definition_log d JOIN kpi.goal g ON g.id = d.object_id WHERE d.kind = 'goal' AND g.cascaded IS NOT NULL AND d.action = 'create';

SELECT count(kpi.drop_goal(g.id)) > 0 AS dropped FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id WHERE k.name LIKE 'gc\_%';
SELECT kpi.drop_source('gc', cascade => true);
SELECT count(kpi.drop_member(key)) FROM kpi.member WHERE key LIKE 'gc\_%';
SELECT count(kpi.drop_team(k)) FROM unnest('{gc_uk,gc_dach}'::text[]) k;
SELECT count(kpi.drop_team(k)) FROM unnest('{gc_emea,gc_apac}'::text[]) k;
DROP SCHEMA gc CASCADE;
