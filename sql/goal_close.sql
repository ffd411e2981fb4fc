-- A quarter-end: what was reported stays, the live number goes on, and nothing counts twice.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET kpi.now = '2026-12-20 12:00+00';
CREATE SCHEMA gcl;
CREATE TABLE gcl.deals (id integer PRIMARY KEY, owner text, product text, stage text, closed_on date, amount numeric);
SELECT count(kpi.create_team(t)) FROM unnest('{gcl_emea,gcl_apac}'::text[]) t;
SELECT count(kpi.add_member(m, team => t)) FROM (VALUES ('gcl_ann', 'gcl_emea'), ('gcl_bob', 'gcl_apac')) v (m, t);
SELECT kpi.create_source('gcl', relation => 'gcl.deals', key => 'id', owner => 'owner', at => 'closed_on', dimensions => '{"product": "product"}') > 0 AS source,
       kpi.create_kpi('gcl_revenue', source => 'gcl', measure => 'sum(amount)', filter => $$stage = 'won'$$) > 0 AS revenue,
       kpi.create_kpi('gcl_rate', source => 'gcl', measure => $$rate(stage = 'won', stage IN ('won', 'lost'))$$) > 0 AS rate;
INSERT INTO gcl.deals VALUES (1, 'gcl_ann', 'a', 'won', '2026-10-05', 100), (2, 'gcl_ann', 'b', 'won', '2026-12-18', 250.50), (3, 'gcl_ann', 'a', 'lost', '2026-11-02', 70),
    (4, 'gcl_bob', 'a', 'won', '2026-11-20', 40);
CALL kpi.refresh();
SELECT kpi.create_goal('gcl q4', kpi => 'gcl_revenue', team => 'gcl_emea', period => '2026-Q4', target => 300) > 0 AS q4,
       kpi.create_goal('gcl q4 a', kpi => 'gcl_revenue', team => 'gcl_emea', period => '2026-Q4', target => 90, dimension => 'product', dimension_value => 'a') > 0 AS q4_a,
       kpi.create_goal('gcl bob', kpi => 'gcl_revenue', member => 'gcl_bob', period => '2026-Q4', target => 50) > 0 AS bob,
       kpi.create_goal('gcl rate', kpi => 'gcl_rate', team => 'gcl_emea', period => '2026-Q4', target => 0.5) > 0 AS rate,
       kpi.create_goal('gcl months', kpi => 'gcl_revenue', team => 'gcl_emea', period => 'every month of 2026', target => 100) > 0 AS months,
       kpi.create_goal('gcl year', kpi => 'gcl_revenue', team => 'gcl_emea', period => '2026', target => 1000) > 0 AS year,
       kpi.create_goal('gcl q1', kpi => 'gcl_revenue', team => 'gcl_emea', period => '2027-Q1', target => '+10% qoq') > 0 AS q1,
       kpi.create_goal('gcl next', kpi => 'gcl_revenue', team => 'gcl_emea', period => 'every quarter', target => '+5% qoq', plan => 'other') > 0 AS next;

CREATE VIEW gcl.goals AS
    SELECT p.goal, p.period, p.target, p.actual, p.reported_actual, p.restated_difference, p.reported_at::date AS reported_on, p.status
      FROM kpi.goal_progress p WHERE p.goal LIKE 'gcl%' AND (p.period_start >= '2026-10-01' OR p.grain = 'year');
-- what the facts say, in plain SQL
CREATE VIEW gcl.oracle AS
    SELECT p.goal, p.period, p.actual, x.actual AS expected
      FROM kpi.goal_progress p
     CROSS JOIN LATERAL (
           SELECT CASE p.kpi WHEN 'gcl_revenue' THEN coalesce(sum(d.amount) FILTER (WHERE d.stage = 'won'), 0)
                             ELSE round((count(*) FILTER (WHERE d.stage = 'won'))::numeric / nullif(count(*) FILTER (WHERE d.stage IN ('won', 'lost')), 0), 10) END AS actual
             FROM gcl.deals d
            WHERE d.owner = CASE WHEN p.member = 'gcl_bob' THEN 'gcl_bob' ELSE 'gcl_ann' END
              AND (p.dimension IS NULL OR d.product = p.dimension_value)
              AND d.closed_on BETWEEN p.period_start AND p.period_end) x
     WHERE p.goal LIKE 'gcl%' AND p.period_end >= '2026-10-01' AND p.actual IS DISTINCT FROM x.actual;

-- the period is over, and it is won
SET kpi.now = '2027-01-04 12:00+00';
CALL kpi.refresh();
SELECT kpi.close_period('2026-Q4', reason => 'board of January');
SELECT * FROM gcl.goals ORDER BY goal, period;
SELECT * FROM gcl.oracle ORDER BY 1, 2;
SELECT g.name, r.period, c.period AS closed_with, r.reported_target, r.reported_actual, r.reported_numerator, r.reported_denominator, r.reported_status, r.reason
  FROM kpi.goal_reported r JOIN kpi.goal g ON g.id = r.goal_id JOIN kpi.closed_period c ON c.id = r.closed_period_id ORDER BY 1, 2;
SELECT k.name, c.grain, c.period, c.closed_at::date, c.reason FROM kpi.closed_period c JOIN kpi.kpi k ON k.id = c.kpi_id ORDER BY 1;

-- the deal of December is reopened in January, lost money of October is refunded, and it is won again in February
UPDATE gcl.deals SET stage = 'open', closed_on = NULL WHERE id = 2;
CALL kpi.refresh();
SELECT * FROM gcl.goals WHERE goal IN ('gcl q4', 'gcl months', 'gcl year') ORDER BY goal, period;
SET kpi.now = '2027-02-10 12:00+00';
UPDATE gcl.deals SET stage = 'won', closed_on = '2027-02-09' WHERE id = 2;
INSERT INTO gcl.deals VALUES (5, 'gcl_ann', 'a', 'won', '2026-10-05', -100);
UPDATE gcl.deals SET stage = 'won' WHERE id = 3;
CALL kpi.refresh();
SELECT * FROM gcl.goals WHERE goal NOT IN ('gcl months') ORDER BY goal, period;
SELECT * FROM gcl.oracle ORDER BY 1, 2;
SELECT * FROM kpi.verify('gcl');
-- each quarter as reported, or as it is where it is not, and what was restated: the sum is that of the facts
SELECT (SELECT sum(coalesce(p.reported_actual, p.actual) + coalesce(p.restated_difference, 0)) FROM kpi.goal_progress p WHERE p.goal IN ('gcl q4', 'gcl q1'))
     = (SELECT sum(d.amount) FROM gcl.deals d WHERE d.owner = 'gcl_ann' AND d.stage = 'won' AND d.closed_on BETWEEN '2026-10-01' AND '2027-03-31') AS adds_up;

-- what is asked for in the next quarter follows from what was reported; versions tell
SELECT t.version, t.target, t.baseline, t.baseline_period, t.is_fixed, t.valid_until IS NULL AS is_valid
  FROM kpi.goal_target t JOIN kpi.goal g ON g.id = t.goal_id WHERE g.name = 'gcl q1' ORDER BY t.version;
SELECT t.period, t.target, t.baseline FROM kpi.goal_target t JOIN kpi.goal g ON g.id = t.goal_id WHERE g.name = 'gcl next' AND t.valid_until IS NULL ORDER BY t.period;
SELECT kpi.create_goal('gcl new', kpi => 'gcl_revenue', team => 'gcl_emea', period => '2027-Q1', target => '+20% qoq', plan => 'new') > 0 AS created,
       kpi.create_goal('gcl yoy', kpi => 'gcl_revenue', team => 'gcl_emea', period => '2027-12', target => '+100% yoy', plan => 'new') > 0 AS yoy,
       kpi.create_goal('gcl avg', kpi => 'gcl_revenue', team => 'gcl_emea', period => '2027-01', target => 'avg of 3 months +10%', plan => 'new') > 0 AS average;
SELECT goal, target, baseline, baseline_period FROM kpi.goal_progress WHERE goal IN ('gcl new', 'gcl yoy', 'gcl avg') ORDER BY goal;

-- a goal that is made for it later is closed by closing it again; then all are
SELECT kpi.create_goal('gcl late', kpi => 'gcl_revenue', team => 'gcl_apac', period => '2026-12', target => 10) > 0 AS created;
SELECT kpi.close_period('2026-Q4', kpis => '{gcl_revenue}');
SELECT goal, period, actual, reported_actual, restated_difference FROM kpi.goal_progress WHERE goal = 'gcl late';

-- names change, what was reported does not
SELECT kpi.alter_team('gcl_emea', name => 'EMEA'), kpi.alter_kpi('gcl_revenue', new_name => 'gcl_sales');
SELECT goal, kpi, team_name, reported_actual FROM kpi.goal_progress WHERE goal = 'gcl q4';
SELECT kpi.alter_kpi('gcl_sales', new_name => 'gcl_revenue');

-- reopened for one KPI: the live number is the only one, and the target may change; then it is closed anew
SELECT kpi.reopen_period('2026-Q4', kpis => '{gcl_revenue}', reason => 'the auditor');
SELECT * FROM gcl.goals WHERE goal IN ('gcl q4', 'gcl rate', 'gcl bob') ORDER BY goal, period;
SELECT kpi.alter_goal('gcl q4', target => 60);
SELECT kpi.close_period('2026-Q4', kpis => '{gcl_revenue}', reason => 'as audited');
SELECT * FROM gcl.goals WHERE goal IN ('gcl q4', 'gcl q1') ORDER BY goal, period;
SELECT r.reported_target, r.reported_actual, r.reason, r.reopen_reason FROM kpi.goal_reported r JOIN kpi.goal g ON g.id = r.goal_id WHERE g.name = 'gcl q4' ORDER BY r.id;
SELECT * FROM kpi.verify('gcl');

-- who closes quarters is reminded of the next one, ten days after its end
SET kpi.now = '2027-04-10 12:00+00';
CALL kpi.refresh();
SELECT object, detail, remedy FROM kpi.health() WHERE problem = 'not_closed';
SET kpi.now = '2027-04-11 12:00+00';
CALL kpi.refresh();
SELECT object, detail, remedy FROM kpi.health() WHERE problem = 'not_closed';
SET kpi.close_reminder = 0;
SELECT object FROM kpi.health() WHERE problem = 'not_closed';
RESET kpi.close_reminder;
SELECT kpi.close_period('2027-Q1');
SELECT object FROM kpi.health() WHERE problem = 'not_closed';

SELECT kpi.reopen_period('2026-Q4', reason => 'the end'), kpi.reopen_period('2027-Q1', reason => 'the end');
SELECT count(kpi.drop_goal(id)) FROM kpi.goal WHERE name LIKE 'gcl%';
SELECT count(*) FROM kpi.goal_reported;
SELECT kpi.drop_source('gcl', cascade => true);
SELECT count(kpi.drop_member(m)) FROM unnest('{gcl_ann,gcl_bob}'::text[]) m;
SELECT count(kpi.drop_team(t)) FROM unnest('{gcl_emea,gcl_apac}'::text[]) t;
DROP SCHEMA gcl CASCADE;
RESET kpi.now;
