-- Goals and their progress.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET kpi.now = '2026-11-20 12:00:00+00';
CREATE SCHEMA goal_test;
CREATE TABLE goal_test.deals (id integer PRIMARY KEY, owner text, stage text, amount numeric, days numeric, product text, closed_at date);
INSERT INTO goal_test.deals VALUES
    (1, 'ann', 'won', 1000, 10, 'a', '2026-10-05'), (2, 'ann', 'won', 500, 30, 'b', '2026-11-03'),
    (3, 'bob', 'lost', 900, 50, 'a', '2026-11-10'), (4, 'bob', 'won', 300, 20, NULL, '2026-11-12'),
    (5, 'bob', 'won', 700, 20, 'a', '2026-07-15'), (6, 'eve', 'won', 50, 5, 'a', '2026-11-16');
CREATE TABLE goal_test.costs (id integer PRIMARY KEY, team text, spend numeric, day date);
INSERT INTO goal_test.costs VALUES (1, 'g_emea', 400, '2026-10-01'), (2, 'g_emea', 300, '2026-11-02');
SELECT count(kpi.create_team('g_emea', name => 'EMEA')) + count(kpi.create_team('g_dach', parent => 'g_emea'));
SELECT count(kpi.add_member('ann', team => 'g_dach', name => 'Ann')) + count(kpi.add_member('bob', team => 'g_emea'));
SELECT kpi.move_member('ann', team => 'g_emea', since => '2026-12-01');
SELECT kpi.create_source('g_deals', relation => 'goal_test.deals', key => 'id', owner => 'owner', at => 'closed_at',
                         dimensions => '{"product": "product"}') > 0 AS created;
SELECT kpi.create_source('g_costs', relation => 'goal_test.costs', key => 'id', team => 'team', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('g_revenue', source => 'g_deals', measure => 'sum(amount)', filter => $$stage = 'won'$$, unit => 'EUR', title => 'Revenue') > 0 AS created;
SELECT kpi.create_kpi('g_rate', source => 'g_deals', measure => $$rate(stage = 'won', true)$$) > 0 AS created;
SELECT kpi.create_kpi('g_cycle', source => 'g_deals', measure => 'avg(days)', unit => 'days', direction => 'down') > 0 AS created;
SELECT kpi.create_kpi('g_spend', source => 'g_costs', measure => 'sum(spend)', unit => 'EUR', direction => 'down') > 0 AS created;
SELECT kpi.create_kpi('g_roi', formula => 'g_revenue / g_spend') > 0 AS created;

-- a goal shows at once, also before the numbers are there
SELECT kpi.create_goal('EMEA Q4 revenue', kpi => 'g_revenue', team => 'g_emea', period => '2026-Q4', target => '4000') > 0 AS created;
SELECT goal, team, actual, expected_today, status, status_reason, is_complete, is_stale, is_final FROM kpi.goal_progress;
CALL kpi.refresh();

-- team, member and company; every grain; a target of any type
SELECT kpi.create_goal('Company 2026', kpi => 'g_revenue', period => '2026', target => 2400.5) > 0 AS created;
SELECT kpi.create_goal('Ann November', kpi => 'g_revenue', member => 'ann', period => '2026-11', target => 900) > 0 AS created;
SELECT kpi.create_goal('Bob Q4', kpi => 'g_revenue', member => 'bob', period => '2026-Q4', target => '2e3') > 0 AS created;
SELECT kpi.create_goal('DACH week', kpi => 'g_revenue', team => 'g_dach', period => '2026-W45', target => 100) > 0 AS created;
SELECT kpi.create_goal('Past', kpi => 'g_revenue', team => 'g_emea', period => '2026-Q3', target => 800) > 0 AS created;
SELECT kpi.create_goal('Future', kpi => 'g_revenue', team => 'g_emea', period => '2027-Q1', target => 800) > 0 AS created;
SELECT kpi.create_goal('Win rate', kpi => 'g_rate', team => 'g_emea', period => '2026-Q4', target => '0.8') > 0 AS created;
SELECT kpi.create_goal('Win rate, low', kpi => 'g_rate', team => 'g_emea', period => '2026-Q4', target => '0.7', plan => 'low') > 0 AS created;
SELECT kpi.create_goal('No facts', kpi => 'g_rate', team => 'g_dach', period => '2026-W46', target => '0.7') > 0 AS created;
SELECT kpi.create_goal('Cycle', kpi => 'g_cycle', team => 'g_emea', period => '2026-11', target => 32) > 0 AS created;
SELECT kpi.create_goal('Cycle, Q3', kpi => 'g_cycle', team => 'g_emea', period => '2026-Q3', target => 15) > 0 AS created;
SELECT kpi.create_goal('Spend', kpi => 'g_spend', team => 'g_emea', period => '2026-Q4', target => 1000) > 0 AS created;
SELECT kpi.create_goal('Spend, low', kpi => 'g_spend', team => 'g_emea', period => '2026-Q4', target => 650, plan => 'low') > 0 AS created;
SELECT kpi.create_goal('Spend, 2026', kpi => 'g_spend', team => 'g_emea', period => '2026', target => 800) > 0 AS created;
SELECT kpi.create_goal('ROI', kpi => 'g_roi', team => 'g_emea', period => '2026-Q4', target => 2.6) > 0 AS created;
SELECT kpi.create_goal('Product a', kpi => 'g_revenue', team => 'g_emea', period => '2026-Q4', target => 1500, dimension => 'product', dimension_value => 'a') > 0 AS created;
SELECT kpi.create_goal('No product', kpi => 'g_revenue', period => '2026-11', target => 300, dimension => 'product') > 0 AS created;
SELECT kpi.create_goal(kpi => 'g_revenue', team => 'g_dach', period => '2026', target => '1500') > 0 AS created;

CREATE VIEW goal_test.progress AS
    SELECT coalesce(goal, 'goal') AS goal, scope, team, member, dimension_value AS value, period, target, round(actual, 4) AS actual, attainment_ratio AS ratio,
           round(remaining, 2) AS remaining, elapsed_ratio AS elapsed, expected_today, pace_ratio AS pace, required_per_workday AS needed, workdays_left AS days_left, status, status_rank AS rank
      FROM kpi.goal_progress ORDER BY goal_id;
SELECT * FROM goal_test.progress;
SELECT goal, is_current, is_complete, status_reason FROM kpi.goal_progress ORDER BY goal_id;
SELECT id = kpi_internal.goal_period_id(goal_id, period_start) AS same, goal, plan, kpi, kpi_title, unit, direction, scope, team, team_name, team_path, team_level, member, member_name,
       grain, period, period_start, period_end, numerator, denominator, changed_at >= refreshed_at AS in_order
  FROM kpi.goal_progress WHERE goal IN ('Win rate', 'Ann November') ORDER BY goal;

-- as old and as final as the last refresh makes it
SELECT kpi.pause('g_deals');
UPDATE kpi_internal.source_state SET as_of = '2026-11-20 09:00Z' WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'g_deals');
SELECT kpi.alter_goal(goal, name => goal) FROM unnest('{Past,DACH week,Ann November}'::text[]) goal;
SELECT goal, is_stale, is_final FROM kpi.goal_progress WHERE goal IN ('Past', 'DACH week', 'Ann November') ORDER BY goal;
SET kpi.now = '2026-11-21 00:00:00+00';
CALL kpi.refresh();
SELECT goal, is_stale, is_final FROM kpi.goal_progress WHERE goal IN ('Past', 'DACH week', 'Ann November') ORDER BY goal;

SELECT kpi.resume('g_deals');
-- today moves on: the last day of the period, the day after it, a holiday
SET kpi.now = '2026-11-30 12:00:00+00';
CALL kpi.refresh();
SELECT * FROM goal_test.progress WHERE goal IN ('Ann November', 'No product', 'Cycle');
SET kpi.now = '2026-12-01 12:00:00+00';
CALL kpi.refresh();
SELECT * FROM goal_test.progress WHERE goal IN ('Ann November', 'No product', 'Cycle');
SELECT kpi.create_calendar('g_calendar', 'UTC') > 0 AS created;
SELECT kpi.add_holiday('2026-11-19', 'Day off', 'g_calendar');
SELECT kpi.alter_team('g_emea', calendar => 'g_calendar');
SET kpi.now = '2026-11-20 12:00:00+00';
CALL kpi.refresh();
-- the team below inherits the calendar; the company keeps its own
SELECT goal, elapsed, days_left FROM goal_test.progress WHERE goal IN ('Ann November', 'No product', 'Cycle');
SELECT kpi.alter_team('g_emea', calendar => '');
SELECT kpi.drop_calendar('g_calendar');

-- facts and targets change
INSERT INTO goal_test.deals VALUES (7, 'ann', 'won', 400, 10, 'a', '2026-11-19');
CALL kpi.refresh();
SELECT kpi.alter_goal('EMEA Q4 revenue', target => 2000, name => 'EMEA Q4');
SELECT kpi.alter_goal((SELECT id FROM kpi.goal WHERE name IS NULL), name => 'DACH 2026');
SELECT * FROM goal_test.progress WHERE goal IN ('EMEA Q4', 'Ann November', 'DACH 2026', 'Product a');
-- a source that stands still says so in the goals of its KPIs, and in formulas
TRUNCATE goal_test.deals;
CALL kpi.refresh();
SELECT goal, actual, status FROM kpi.goal_progress WHERE goal IN ('EMEA Q4', 'ROI', 'Win rate') ORDER BY goal_id;
UPDATE kpi_internal.source_state SET status = 'suspended' WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'g_deals');
SELECT goal, actual, status, status_reason FROM kpi_internal.goal_now WHERE goal IN ('EMEA Q4', 'ROI', 'Spend') ORDER BY goal_id;
UPDATE kpi_internal.source_state SET status = 'active' WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'g_deals');

-- refused
SELECT kpi.create_goal('x', kpi => 'g_nothing', period => '2026', target => 1);
SELECT kpi.create_goal('x', period => '2026', target => 1);
SELECT kpi.create_goal('x', kpi => 'g_revenue', team => 'nowhere', period => '2026', target => 1);
SELECT kpi.create_goal('x', kpi => 'g_revenue', member => 'nobody', period => '2026', target => 1);
SELECT kpi.create_goal('x', kpi => 'g_revenue', team => 'g_emea', member => 'ann', period => '2026', target => 1);
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2026-Q5', target => 1);
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => 'some year', target => 1);
SELECT kpi.create_goal('x', kpi => 'g_revenue', target => 1);
SELECT kpi.create_goal('x', kpi => 'g_revenue', member => 'ann', period => '2026', target => 1, dimension => 'product', dimension_value => 'a');
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2026', target => 1, dimension => 'colour', dimension_value => 'red');
SELECT kpi.create_goal('x', kpi => 'g_spend', period => '2026', target => 1, dimension => 'product', dimension_value => 'a');
SELECT kpi.create_goal('x', kpi => 'g_roi', period => '2026', target => 1, dimension => 'product', dimension_value => 'a');
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2026', target => 1, dimension_value => 'a');
SELECT kpi.create_source('g_months', relation => 'goal_test.costs', key => 'id', team => 'team', at => 'day', grain => 'month') > 0 AS created;
SELECT kpi.create_kpi('g_monthly', source => 'g_months', measure => 'sum(spend)') > 0 AS created;
SELECT kpi.create_kpi('g_mixed', formula => 'g_monthly + g_revenue') > 0 AS created;
SELECT kpi.create_goal('x', kpi => 'g_monthly', team => 'g_emea', period => '2026-W41', target => 1);
SELECT kpi.create_goal('x', kpi => 'g_mixed', team => 'g_emea', period => '2026-W41', target => 1);
SELECT kpi.drop_source('g_months', cascade => true);
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2026');
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2025', target => '+5% yoy');
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2026', target => 'a lot');
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2026', target => '');
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2026', target => 'NaN');
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2026', target => 'infinity'::numeric);
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2026', target => '2_000');
SELECT kpi.create_goal('x', kpi => 'g_revenue', team => 'g_emea', period => '2026-Q4', target => 5);
SELECT kpi.create_goal('', kpi => 'g_revenue', period => '2026-Q4', target => 5);
SELECT kpi.create_goal('x', kpi => 'g_revenue', period => '2026-Q4', target => 5, plan => NULL);
SELECT kpi.alter_goal('nothing', target => 1);
SELECT kpi.alter_goal(-1, target => 1);
SELECT kpi.alter_goal('ROI', target => '+5%');
SELECT kpi.drop_goal('nothing');
SELECT kpi.drop_goal(-1);
SELECT kpi.drop_goal(NULL::bigint);
SELECT kpi.alter_goal('ROI', name => 'Spend');
CREATE FUNCTION goal_test.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLERRM || ': ' || regexp_replace(detail, '\d+', 'N', 'g');
END
$$;
SELECT goal_test.attempt($$SELECT kpi.drop_goal('Spend')$$);

-- what has goals is not dropped unseen
SELECT kpi.drop_team('g_dach');
SELECT kpi.drop_member('bob');

SELECT kpi.drop_goal('Bob Q4');
SELECT kpi.drop_goal(id) FROM kpi.goal;
SELECT count(*) FROM kpi.goal;
SELECT kpi.drop_kpi('g_roi');
SELECT kpi.drop_source('g_deals', cascade => true);
SELECT kpi.drop_source('g_costs', cascade => true);
SELECT count(kpi.drop_member(key)) FROM kpi.member;
SELECT kpi.drop_team('g_dach');
SELECT kpi.drop_team('g_emea');
DROP SCHEMA goal_test CASCADE;
