-- Targets and periods of goals: what is asked for in which, compared with what,
-- and its versions.
SET TimeZone = 'UTC';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET kpi.now = '2026-11-20 12:00:00+00';
CREATE SCHEMA gp;
CREATE TABLE gp.deals (id integer PRIMARY KEY, owner bigint, stage text, amount numeric, cost numeric, product text, at date);
-- one deal a month of 100, 200, ... from January 2025; in every quarter one of four lost
INSERT INTO gp.deals SELECT i, 7, CASE WHEN i % 4 = 0 THEN 'lost' ELSE 'won' END, 100 * i, 10, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END,
                            date '2025-01-10' + (i - 1) * interval '1 month' FROM generate_series(1, 23) i;
SELECT kpi.create_team('4711', name => 'North') > 0 AS created;
SELECT kpi.add_member(7::bigint, team => '4711') > 0 AS created;
SELECT kpi.create_source('gp', relation => 'gp.deals', key => 'id', owner => 'owner', at => 'at', dimensions => '{"product": "product"}') > 0 AS created;
SELECT count(kpi.create_kpi(name, source => 'gp', measure => measure, unit => unit, direction => direction))
  FROM (VALUES ('gp_money', 'sum(amount)', 'EUR', 'up'), ('gp_rate', $$rate(stage = 'won', true)$$, NULL, 'up'), ('gp_cost', 'sum(cost)', 'EUR', 'down'),
               ('gp_size', 'avg(amount)', 'EUR', 'up')) AS k (name, measure, unit, direction);

-- before there are numbers there is nothing to compare with
SELECT kpi.create_goal('early', kpi => 'gp_money', period => '2026', target => '+5% yoy');
SELECT kpi.create_goal('early', kpi => 'gp_money', period => 'every month', target => '+5% yoy') > 0 AS created;
SELECT goal, period, target, status, status_reason FROM kpi.goal_progress ORDER BY period_start;
SELECT kpi.drop_goal('early');
CALL kpi.refresh();

CREATE VIEW gp.asked AS
    SELECT g.name, g.grain, t.period, t.period_start AS since, t.period_end AS until, t.version AS v, t.target, t.target_high AS high, t.minimum AS min, t.stretch, t.target_kind AS kind,
           t.baseline, t.baseline_period, t.is_fixed AS fixed, t.valid_until IS NULL AS valid
      FROM kpi.goal g JOIN kpi.goal_target t ON t.goal_id = g.id ORDER BY g.id, t.period_start, t.version;

-- a target never shares the type of keys
SELECT kpi.create_goal('bigint key', kpi => 'gp_money', member => 7::bigint, period => '2026-Q4', target => '+5% yoy') > 0 AS created;
SELECT kpi.create_goal('text key', kpi => 'gp_money', team => '4711', period => '2026-Q4', target => 3000) > 0 AS created;
SELECT kpi.create_goal('integer key', kpi => 'gp_money', team => 4711, period => '2026-11', target => 3000.5, minimum => 2000, stretch => 4000::bigint) > 0 AS created;
PREPARE untyped AS SELECT kpi.create_goal($1, kpi => $2, period => $3, target => $4, plan => 'untyped') > 0 AS created;
EXECUTE untyped ('untyped', 'gp_money', '2026-Q4', '+10% qoq');
SELECT * FROM gp.asked;
SELECT count(kpi.drop_goal(id)) FROM kpi.goal;

-- relative targets are said back
SET client_min_messages = notice;
SELECT kpi.create_goal('money yoy', kpi => 'gp_money', period => '2026-Q4', target => '+5% yoy') > 0 AS created;
SELECT kpi.create_goal('rate yoy', kpi => 'gp_rate', period => '2026-Q3', target => '+5% yoy') > 0 AS created;
SELECT kpi.create_goal('rate points', kpi => 'gp_rate', period => '2026-Q4', target => '-2.5pp qoq') > 0 AS created;
SELECT kpi.create_goal('average', kpi => 'gp_money', period => '2026-12', target => 'avg of 3 months +10%') > 0 AS created;
SELECT kpi.create_goal('average rate', kpi => 'gp_rate', period => '2026-11', target => 'avg of 5 months -10%') > 0 AS created;
SELECT kpi.create_goal('average size', kpi => 'gp_size', period => '2026-Q4', target => 'avg of 1 quarter +0%') > 0 AS created;
SELECT kpi.create_goal('cost', kpi => 'gp_cost', period => '2026-Q4', target => '+3% yoy') > 0 AS created;
SELECT kpi.create_goal('cost at least', kpi => 'gp_cost', period => '2026-11', target => 'at least +3% yoy') > 0 AS created;
SELECT kpi.create_goal('range', kpi => 'gp_money', period => '2026-10-15..2026-12-15', target => '+5% yoy') > 0 AS created;
SELECT kpi.create_goal('between', kpi => 'gp_money', period => '2026-11', target => '1000..3000', plan => 'b') > 0 AS created;
SELECT kpi.create_goal('at most', kpi => 'gp_money', period => '2026-11', target => 'at most 3000', stretch => '2000', minimum => '4000', plan => 'c') > 0 AS created;
SET client_min_messages = warning;
SELECT name, period, target, high, min, stretch, kind, baseline, baseline_period, fixed FROM gp.asked;
SELECT goal, period, target, actual, status FROM kpi.goal_progress WHERE goal IN ('range', 'between', 'at most', 'cost at least') ORDER BY goal_id;

-- refused, and nothing half done
CREATE FUNCTION gp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE || ': ' || message, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT args, gp.refused('SELECT kpi.create_goal(kpi => ''gp_money'', plan => ''x'', ' || args || ')')
  FROM unnest(ARRAY[
       $$period => '2025-Q1', target => '+5% yoy'$$, $$period => '2026-Q4', target => 'avg of 8 quarters +1%'$$, $$period => '2026-Q4', target => '+5% mom'$$,
       $$period => '2026-10-15..2026-12-15', target => '+5% mom'$$, $$period => '2026-10-15..2026-12-15', target => 'avg of 3 months +1%'$$,
       $$period => '2026-12-15..2026-10-15', target => 5$$, $$period => '2026-10-15..', target => 5$$, $$period => '2026-10..2026-12', target => 5$$, $$period => '1926-10-15..2026-10-15', target => 5$$,
       $$period => 'every moon', target => 5$$, $$period => 'every', target => 5$$, $$period => 'every month of', target => 5$$, $$period => 'every month of 2026-10', target => 5$$,
       $$period => 'every month 2026-10-15..2026-12-15', target => 5$$, $$period => 'every month of 2026-10-15..2026-12-15', target => 5$$, $$period => 'this', target => 5$$,
       $$period => 'this moon', target => 5$$, $$period => 'some day', target => 5$$,
       $$period => '2026-Q4', target => '60..40'$$, $$period => '2026-Q4', target => 50, minimum => 60$$, $$period => '2026-Q4', target => 50, stretch => 40$$,
       $$period => '2026-Q4', target => 'at most 50', minimum => '40'$$, $$period => '2026-Q4', target => 'at most 50', stretch => '60'$$, $$period => '2026-Q4', target => '40..60', minimum => '30'$$,
       $$period => '2026-Q4', target => '50', minimum => '+5% yoy'$$, $$period => '2026-Q4', target => '50', stretch => 'a lot'$$,
       $$period => '2026-Q4', target => 50, pace => 'slow'$$, $$period => '2026-Q4', target => 50, pace => 'phased'$$, $$period => '2026-Q4', target => 50, pace => 'linear', milestones => '{"2026-10-31": 20}'$$,
       $$period => '2026-Q4', target => 50, milestones => '{"2026-09-30": 20}'$$, $$period => '2026-Q4', target => 50, milestones => '{"2026-10-31": 20, "2026-11-30": 20}'$$,
       $$period => '2026-Q4', target => 50, milestones => '{"2026-10-31": 60}'$$, $$period => '2026-Q4', target => 50, milestones => '[1]'$$, $$period => '2026-Q4', target => 50, milestones => '{}'$$,
       $$period => '2026-Q4', target => 50, milestones => '{"2026-10-31": "20"}'$$, $$period => '2026-Q4', target => 50, milestones => '{"2026-10": 20}'$$, $$period => '2026-Q4', target => 50, milestones => '{"soon": 20}'$$,
       $$period => 'every month', target => 50, milestones => '{"2026-10-31": 20}'$$]) WITH ORDINALITY AS a (args, n) ORDER BY n;
SELECT count(*) FROM kpi.goal WHERE plan = 'x';
-- a baseline of 0, or below it
INSERT INTO gp.deals VALUES (100, 7, 'won', -10000, 1, 'c', '2024-02-01'), (101, 7, 'won', 0, 1, 'd', '2024-03-01');
CALL kpi.refresh();
SELECT args, gp.refused('SELECT kpi.create_goal(kpi => ''gp_money'', plan => ''x'', target => ''+5% yoy'', ' || args || ')')
  FROM unnest(ARRAY[$$period => '2025-02'$$, $$period => '2025-03'$$, $$period => '2025-04'$$, $$period => '2024-06'$$]) args;
DELETE FROM gp.deals WHERE id >= 100;
CALL kpi.refresh();

-- periods relative to today; the same goal twice
SELECT count(kpi.create_goal(p, kpi => 'gp_size', period => p, target => 5))
  FROM unnest('{this day,last week,THIS  Month,next quarter,this year,next year,2026-W47,2026-11-19,2026-11-01..2026-11-30}'::text[]) p;
SELECT name, period, since, until FROM gp.asked WHERE grain <> 'x' AND name NOT LIKE '% yoy' AND v = 1 AND target = 5;
SELECT p, gp.refused(format('SELECT kpi.create_goal(kpi => ''gp_size'', period => %L, target => 5)', p))
  FROM unnest('{2026-11,this month,every month,every month of 2026,2026-11-01..2026-11-30,every quarter of 2027}'::text[]) p;
SELECT gp.refused($$SELECT kpi.create_goal(kpi => 'gp_size', period => '2026-11-01..2026-11-29', target => 5)$$);
SELECT gp.refused($$SELECT kpi.create_goal(kpi => 'gp_size', period => 'every week of 2027', target => 5)$$);
SELECT count(kpi.drop_goal(id)) FROM kpi.goal;

-- days, weeks, ranges: of members and of dimension values
SELECT count(kpi.create_goal(concat_ws(' ', p, m), kpi => 'gp_money', member => m, team => CASE WHEN m IS NULL THEN 4711 END, period => p, target => 1000,
                             dimension => CASE WHEN m IS NULL THEN 'product' END, dimension_value => CASE WHEN m IS NULL THEN 'a' END))
  FROM unnest('{2026-10-10,2026-W41,2026-10-05..2026-10-10,2026-10-11..2026-12-31,2026-09-15..2026-11-10,2026-10}'::text[]) p, unnest('{NULL,7}'::bigint[]) m;
SELECT g.period, m.member, p.actual, (SELECT coalesce(sum(d.amount), 0) FROM gp.deals d WHERE d.at BETWEEN p.period_start AND p.period_end
                                                 AND (d.product = p.dimension_value OR p.dimension IS NULL)) AS facts
  FROM kpi.goal_progress p JOIN kpi.goal g ON g.id = p.goal_id LEFT JOIN LATERAL (SELECT p.member) m ON true ORDER BY g.id;
SELECT count(kpi.drop_goal(id)) FROM kpi.goal;

-- recurring: a row for each period that has begun, and the next
SELECT kpi.create_goal('of 2026', kpi => 'gp_money', period => 'every quarter of 2026', target => 500) > 0 AS created;
SELECT kpi.create_goal('on', kpi => 'gp_money', team => '4711', period => 'every month', target => '+10% mom', minimum => '1') > 0 AS created;
SELECT kpi.create_goal('2027', kpi => 'gp_rate', period => 'every month of 2027', target => '60%') > 0 AS created;
SELECT name, period, since, until, v, target, baseline, baseline_period, fixed, valid FROM gp.asked;
SELECT goal, period, is_current, target, actual, status FROM kpi.goal_progress ORDER BY goal_id, period_start;
-- a correction of the month before changes the target within five days, and not later
SET kpi.now = '2026-12-03 12:00:00+00';
UPDATE gp.deals SET amount = 2400 WHERE id = 23;
CALL kpi.refresh();
SELECT period, v, target, baseline, baseline_period, fixed, valid FROM gp.asked WHERE name = 'on';
SET kpi.now = '2026-12-04 12:00:00+00';
CALL kpi.refresh();
SELECT period, v, target, baseline, baseline_period, fixed, valid FROM gp.asked WHERE name = 'on' AND since >= '2026-12-01';
SET kpi.now = '2026-12-06 12:00:00+00';
CALL kpi.refresh();
UPDATE gp.deals SET amount = 2500 WHERE id = 23;
CALL kpi.refresh();
SET kpi.now = '2026-12-07 12:00:00+00';
CALL kpi.refresh();
SELECT period, v, target, baseline, baseline_period, fixed, valid FROM gp.asked WHERE name = 'on' AND since >= '2026-12-01';
-- after the turn of the year the rows of its end are there, and no more of what has an end
SET kpi.now = '2027-02-15 12:00:00+00';
CALL kpi.refresh();
SELECT name, period, v, target, fixed FROM gp.asked WHERE valid AND (name <> 'on' OR since > '2026-12-31');
SELECT goal, count(*) AS periods, count(*) FILTER (WHERE is_current) AS current FROM kpi.goal_progress GROUP BY goal ORDER BY goal;
SELECT count(*) FROM kpi.verify('gp');
-- another target is for what is not over; what was asked for stays
SELECT kpi.alter_goal('on', target => '1000');
SELECT kpi.alter_goal('2027', target => '+2pp mom', stretch => '');
SELECT period, v, target, min, baseline_period, fixed, valid FROM gp.asked WHERE name = 'on' AND since > '2026-12-31';
SELECT period, v, target, baseline_period, fixed, valid FROM gp.asked WHERE name = '2027';
SELECT kpi.alter_goal('on', minimum => '900');
SELECT kpi.alter_goal('on', minimum => '900');
SELECT kpi.alter_goal('on', minimum => '', description => 'By selling', responsible => 'Ann', review_on => '2027-03-01');
SELECT period, v, target, min, valid FROM gp.asked WHERE name = 'on' AND since > '2026-12-31';
SELECT name, description, responsible, review_on, target_text, target, pace FROM kpi.goal ORDER BY id;
SELECT kpi.alter_goal('on', description => '', responsible => '', review_on => 'infinity');
SELECT name, description, responsible, review_on FROM kpi.goal WHERE name = 'on';
SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT count(*) FROM kpi.goal_target;

-- one period: a baseline is fixed; a target given again is compared anew
SET kpi.now = '2026-11-20 12:00:00+00';
SELECT kpi.create_goal('one', kpi => 'gp_money', period => '2026-11', target => '+10% mom') > 0 AS created;
UPDATE gp.deals SET amount = 3000 WHERE id = 22;
CALL kpi.refresh();
SELECT kpi.alter_goal('one', minimum => '1000');
SELECT v, target, min, baseline, valid FROM gp.asked;
SELECT kpi.alter_goal('one', target => '+10% mom');
SELECT v, target, min, baseline, valid FROM gp.asked;
-- milestones
SELECT kpi.alter_goal('one', milestones => '{"2026-11-10": 500, "2026-11-20": 1500.5}');
SELECT pace, m.day, m.amount FROM kpi.goal g JOIN kpi.goal_milestone m ON m.goal_id = g.id ORDER BY m.day;
SELECT gp.refused($$SELECT kpi.alter_goal('one', milestones => '{"2026-12-10": 500}')$$);
SELECT gp.refused($$SELECT kpi.alter_goal('one', pace => 'fast')$$);
SELECT gp.refused($$SELECT kpi.alter_goal('one', target => '1400')$$);
SELECT kpi.alter_goal('one', pace => 'linear');
SELECT pace, (SELECT count(*) FROM kpi.goal_milestone) FROM kpi.goal;
SELECT kpi.alter_goal('one', milestones => '{"2026-11-10": 500}');
SELECT kpi.alter_goal('one', milestones => '{}');
SELECT pace, (SELECT count(*) FROM kpi.goal_milestone) FROM kpi.goal;
-- periods that goals are for stay periods
SELECT kpi.create_goal('quarters', kpi => 'gp_money', period => 'every quarter', target => 1) > 0 AS created;
SELECT gp.refused($$SELECT kpi.alter_calendar('default', fiscal_year_start => 4)$$);

SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT kpi.drop_source('gp', cascade => true);
SELECT kpi.drop_member('7');
SELECT kpi.drop_team('4711');
DROP SCHEMA gp CASCADE;
