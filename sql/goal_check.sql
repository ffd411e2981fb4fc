-- kpi.check_goals(): each criterion with each verdict, and the probability against
-- kpi.suggest_target().
SET client_min_messages = warning;
SET datestyle = 'ISO, MDY';
SET kpi.now = '2026-11-20 12:00:00+00';
CREATE SCHEMA check_test;
CREATE TABLE check_test.deal (id integer PRIMARY KEY, rep text, day date, amount numeric, cost numeric);
SELECT count(kpi.create_team(x.key, parent => x.parent)) FROM (VALUES ('ck_all', NULL), ('ck_north', 'ck_all')) x (key, parent);
SELECT count(kpi.add_member(x.key, team => 'ck_north', since => x.since::date)) FROM (VALUES ('ck_a', NULL), ('ck_b', NULL), ('ck_new', '2026-12-01')) x (key, since);
INSERT INTO check_test.deal
SELECT row_number() OVER (), m.key, d::date, m.amount * (1 + extract(day FROM d)::integer % 7), m.amount * 2
  FROM (VALUES ('ck_a', 100), ('ck_b', 200)) m (key, amount), generate_series('2024-07-01', '2026-11-19', interval '1 day') d;
SELECT kpi.create_source('check', relation => 'check_test.deal', key => 'id', owner => 'rep', at => 'day') > 0 AS created;
SELECT kpi.create_kpi(x.name, source => 'check', measure => x.measure, unit => x.unit, direction => x.direction) > 0 AS created
  FROM (VALUES ('ck_revenue', 'sum(amount)', 'EUR', 'up'), ('ck_costs', 'sum(cost)', 'EUR', 'down'), ('ck_deals', 'count(*)', NULL, 'up')) x (name, measure, unit, direction);
SELECT kpi.create_kpi('ck_average', formula => 'ck_revenue / ck_deals', unit => 'EUR') > 0 AS created;
CALL kpi.refresh();
SELECT kpi.set_ramp('{0.25, 0.5, 0.75}', team => 'ck_all');

-- goals that ask for what is suggested, and for others
CREATE FUNCTION check_test.suggested(which text, OUT target numeric) LANGUAGE sql AS
$$ SELECT round(s.target) FROM kpi.suggest_target('ck_revenue', team => 'ck_north', period => '2027-Q1') s WHERE s.suggestion = which $$;
SELECT kpi.create_goal('ck_company', kpi => 'ck_average', team => 'company', period => '2027', target => '500', plan => 'ck', description => 'larger deals with old customers', review_on => '2027-06-30') > 0 AS created;
SELECT kpi.create_goal('ck_likely', kpi => 'ck_revenue', team => 'ck_north', period => '2027-Q1', target => check_test.suggested('likely'), plan => 'ck', description => 'two more calls a day', review_on => '2027-02-01') > 0 AS created;
SELECT kpi.create_goal('ck_easy', kpi => 'ck_revenue', team => 'ck_north', period => '2027-01', target => '1000', plan => 'ck', description => 'just so') > 0 AS created;
SELECT kpi.create_goal('ck_hard', kpi => 'ck_revenue', team => 'ck_north', period => '2027', target => '100000000', plan => 'ck', review_on => '2026-11-01') > 0 AS created;
SELECT kpi.create_goal('ck_member', kpi => 'ck_deals', member => 'ck_new', period => '2027-Q2', target => '60', plan => 'ck', description => 'by calling everybody twice') > 0 AS created;
SELECT kpi.create_goal('ck_alone', kpi => 'ck_deals', team => 'ck_north', period => 'every month', target => '40', plan => 'ck_alone', description => 'we shall see') > 0 AS created;
SELECT kpi.create_goal('ck_over', kpi => 'ck_costs', team => 'ck_all', period => '2026-10', target => '30000', plan => 'ck_alone', description => 'we have paid less') > 0 AS created;
SELECT goal_name, criterion, verdict, reason FROM kpi.check_goals(plan => 'ck', costs => 'ck_costs');
SELECT goal_name, criterion, verdict, reason FROM kpi.check_goals(plan => 'ck_alone');
-- the rank is the verdict's; a row for each goal and criterion
SELECT count(*), count(DISTINCT (goal_id, criterion)), string_agg(DISTINCT goal_plan, ' ') AS plans FROM kpi.check_goals(plan => 'ck');
SELECT goal_name, count(*) FROM kpi.check_goals(goal => 'ck_easy') GROUP BY 1;
SELECT goal_name, count(*) FROM kpi.check_goals((SELECT id FROM kpi.goal WHERE name = 'ck_easy')) GROUP BY 1;
-- all that are not over
SELECT DISTINCT goal_name FROM kpi.check_goals() WHERE goal_plan LIKE 'ck%' ORDER BY 1;
-- the probability before it begins is that of what is suggested, at each bound of the verdicts
CREATE TABLE check_test.bound AS
    SELECT s.likely + z.z * (s.ambitious - s.likely) / 0.6744897501960817 AS target, z.p, z.verdict
      FROM (SELECT max(target) FILTER (WHERE suggestion = 'likely') AS likely, max(target) FILTER (WHERE suggestion = 'ambitious') AS ambitious
              FROM kpi.suggest_target('ck_revenue', team => 'ck_north', period => '2027-Q3')) s,
           (VALUES (1.6449, 0.05, 'fail'), (1.6448, 0.05, 'warn'), (0.67450, 0.25, 'warn'), (0.67448, 0.25, 'pass'), (-1.28155, 0.9, 'pass'), (-1.28156, 0.9, 'warn')) z (z, p, verdict);
SELECT count(kpi.create_goal('ck_bound' || n, kpi => 'ck_revenue', team => 'ck_north', period => '2027-Q3', target => target, plan => 'ck_bound' || n))
  FROM (SELECT row_number() OVER (ORDER BY target) AS n, target FROM check_test.bound) x;
SELECT b.p, b.verdict, c.verdict AS said, split_part(c.reason, ',', 1) AS reason
  FROM (SELECT row_number() OVER (ORDER BY target) AS n, b.* FROM check_test.bound b) b
 CROSS JOIN LATERAL kpi.check_goals(plan => 'ck_bound' || b.n) c WHERE c.criterion = 'achievable' ORDER BY b.n;
-- focus
SET kpi.focus_limit = 1;
SELECT goal_name, verdict, reason FROM kpi.check_goals(plan => 'ck') WHERE criterion = 'focus' ORDER BY 1;
SELECT count(kpi.create_goal('ck_more' || n, kpi => 'ck_revenue', team => 'ck_north', period => '2027-W0' || n, target => '1000', plan => 'ck')) FROM generate_series(1, 3) n;
SELECT goal_name, verdict, reason FROM kpi.check_goals(goal => 'ck_more2') WHERE criterion = 'focus' ORDER BY 1;
RESET kpi.focus_limit;
-- a part of another
SELECT kpi.create_goal('ck_part', kpi => 'ck_revenue', team => 'ck_north', period => '2027-Q4', target => '50000', plan => 'ck', parent => 'ck_hard') > 0 AS created;
SELECT goal_name, verdict, reason FROM kpi.check_goals(goal => 'ck_part') WHERE criterion = 'relevant';
-- what the whole is reached by, its parts are
SELECT verdict, reason FROM kpi.check_goals(goal => 'ck_part') WHERE criterion = 'specific';
SELECT kpi.alter_goal('ck_hard', description => 'a second product line');
SELECT verdict, reason FROM kpi.check_goals(goal => 'ck_part') WHERE criterion = 'specific';
SELECT kpi.alter_goal('ck_hard', description => '');

-- mistakes
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT * FROM kpi.check_goals(goal => 'ck_likly');
SELECT * FROM kpi.check_goals(goal => 0);
SELECT * FROM kpi.check_goals(plan => 'ck_');
-- a plan without goals is one, and nothing is wrong with it
SELECT kpi.create_plan('ck_empty');
SELECT count(*) FROM kpi.check_goals(plan => 'ck_empty');
SELECT kpi.drop_plan('ck_empty');
SELECT * FROM kpi.check_goals(plan => 'ck', costs => 'ck_cost');
SELECT * FROM kpi.check_goals(goal => 'ck_easy', plan => 'ck');

SELECT kpi.set_ramp(NULL, team => 'ck_all');
SELECT count(kpi.drop_goal(id)) FROM kpi.goal WHERE plan LIKE 'ck%';
SELECT kpi.drop_source('check', cascade => true);
SELECT count(kpi.drop_member(key)) FROM kpi.member WHERE key LIKE 'ck\_%';
SELECT kpi.move_team('ck_north', NULL);
SELECT count(kpi.drop_team(key)) FROM kpi.team WHERE key LIKE 'ck\_%';
DROP SCHEMA check_test CASCADE;
