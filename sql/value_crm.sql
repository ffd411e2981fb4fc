-- The main job on a real CRM export: 8,800 opportunities of 35 agents under 6
-- managers in 3 regional offices.  Every number at every level and grain is
-- compared with a GROUP BY over the raw tables that knows nothing of pg_kpi.
--
-- The data is not part of the project: KPI_CRM_DATA says where it is.
\set crm_data ../shared/data/crm
\getenv crm_data KPI_CRM_DATA

SET client_min_messages = warning;
SET datestyle = 'ISO, MDY';
SET kpi.now = '2017-11-15 12:00:00+00';

CREATE SCHEMA crm;
CREATE TABLE crm.pipeline (
    opportunity_id text PRIMARY KEY,
    sales_agent    text,
    product        text,
    account        text,
    deal_stage     text,
    engage_date    date,
    close_date     date,
    close_value    numeric
);
CREATE TABLE crm.sales_team (
    sales_agent     text,
    manager         text,
    regional_office text
);

-- \copy takes no variables, a variable may hold a \copy
\set load '\\copy crm.pipeline FROM ''' :crm_data '/sales_pipeline.csv'' WITH (FORMAT csv, HEADER)'
:load
\set load '\\copy crm.sales_team FROM ''' :crm_data '/sales_teams.csv'' WITH (FORMAT csv, HEADER)'
:load

SELECT deal_stage, count(*), sum(close_value) FROM crm.pipeline GROUP BY 1 ORDER BY 1;

--
-- Teams: company > regional office > manager > agents
--
SELECT count(kpi.create_team(office, parent => 'company'))
FROM (SELECT DISTINCT regional_office AS office FROM crm.sales_team ORDER BY 1) o;
SELECT count(kpi.create_team(manager, parent => office))
FROM (SELECT DISTINCT manager, regional_office AS office FROM crm.sales_team ORDER BY 1) m;
SELECT count(kpi.add_member(sales_agent, team => manager))
FROM (SELECT * FROM crm.sales_team ORDER BY sales_agent) a;

--
-- Source, KPIs, goals
--
SELECT kpi.create_source('crm', relation => 'crm.pipeline', key => 'opportunity_id',
                         owner => 'sales_agent', at => 'close_date',
                         dimensions => '{"product": "product"}') IS NOT NULL AS created;

SELECT count(*) FROM (VALUES
    (kpi.create_kpi('revenue', source => 'crm', measure => 'sum(close_value)',
                    filter => $$deal_stage = 'Won'$$, unit => 'USD')),
    (kpi.create_kpi('won', source => 'crm', measure => 'count(*)', filter => $$deal_stage = 'Won'$$)),
    (kpi.create_kpi('lost', source => 'crm', measure => 'count(*)', filter => $$deal_stage = 'Lost'$$,
                    direction => 'down')),
    (kpi.create_kpi('win_rate', source => 'crm',
                    measure => $$rate(deal_stage = 'Won', deal_stage IN ('Won', 'Lost'))$$)),
    (kpi.create_kpi('cycle', source => 'crm', measure => 'avg(close_date - engage_date)',
                    filter => $$deal_stage = 'Won'$$, unit => 'days', direction => 'down')),
    (kpi.create_kpi('opened', source => 'crm', measure => 'count(*)', at => 'engage_date')),
    (kpi.create_kpi('deal_size', formula => 'revenue / won', unit => 'USD'))) AS k;

-- a tenth above what the manager sold in the quarter; most of them are over
SET client_min_messages = error;
SELECT count(kpi.create_goal(manager || ' ' || quarter || ' ' || kpi, kpi => kpi, team => manager,
                             period => quarter, target => target))
FROM (SELECT manager, to_char(close_date, '"2017-Q"Q') AS quarter, k.kpi,
             CASE k.kpi WHEN 'revenue' THEN round(sum(close_value) FILTER (WHERE deal_stage = 'Won') * 1.1)
                        ELSE 0.6 END::text AS target
      FROM crm.pipeline JOIN crm.sales_team USING (sales_agent),
           (VALUES ('revenue'), ('win_rate')) AS k (kpi)
      WHERE close_date IS NOT NULL
      GROUP BY 1, 2, 3 ORDER BY 1, 2, 3) g;
SET client_min_messages = warning;

CALL kpi.refresh();

--
-- The oracle.  crm.assignment is its own record of who was where and when.
--
CREATE TABLE crm.assignment (agent text, manager text, office text, days daterange);
INSERT INTO crm.assignment SELECT sales_agent, manager, regional_office, '(,)' FROM crm.sales_team;

-- num and den of each fact for each KPI; a sum or count has no den
CREATE VIEW crm.fact AS
SELECT k.kpi, p.sales_agent AS agent, k.day, p.product, k.num::numeric, k.den::numeric
FROM crm.pipeline p,
     LATERAL (VALUES
         ('revenue', close_date, deal_stage = 'Won' AND close_value IS NOT NULL, close_value, NULL),
         ('won', close_date, deal_stage = 'Won', 1, NULL),
         ('lost', close_date, deal_stage = 'Lost', 1, NULL),
         ('win_rate', close_date, deal_stage IN ('Won', 'Lost'), (deal_stage = 'Won')::int, 1),
         ('cycle', close_date, deal_stage = 'Won' AND engage_date IS NOT NULL, close_date - engage_date, 1),
         ('opened', engage_date, true, 1, NULL),
         ('deal_size', close_date, deal_stage = 'Won' AND close_value IS NOT NULL, close_value, 1)
     ) AS k (kpi, day, counts, num, den)
WHERE k.counts AND k.day IS NOT NULL;

CREATE VIEW crm.expected AS
SELECT f.kpi, s.scope, s.key, g.grain, date_trunc(g.grain, f.day)::date AS period_start,
       b.dimension_value,
       coalesce(sum(num) / nullif(sum(den), 0), sum(num)) AS value,
       CASE WHEN sum(den) IS NOT NULL THEN sum(num) END AS numerator,
       sum(den) AS denominator,
       count(*) * CASE f.kpi WHEN 'deal_size' THEN 2 ELSE 1 END AS facts    -- those of both KPIs in the formula
FROM crm.fact f
     LEFT JOIN crm.assignment a ON a.agent = f.agent AND f.day <@ a.days,
     LATERAL (VALUES ('member', f.agent), ('team', coalesce(a.manager, '(unassigned)')),
                     ('team', a.office), ('team', 'company')) AS s (scope, key),
     (VALUES ('day'), ('week'), ('month'), ('quarter'), ('year')) AS g (grain),
     LATERAL (VALUES (NULL), (product)) AS b (dimension_value)
WHERE s.key IS NOT NULL
      AND (b.dimension_value IS NULL
           OR (s.scope = 'team' AND g.grain IN ('month', 'quarter', 'year')))
GROUP BY 1, 2, 3, 4, 5, 6;

CREATE VIEW crm.actual AS
SELECT kpi, 'team' AS scope, team AS key, grain, period_start, NULL::text AS dimension_value, value, numerator, denominator, facts FROM kpi.team_daily
UNION ALL SELECT kpi, 'team', team, grain, period_start, NULL, value, numerator, denominator, facts FROM kpi.team_weekly
UNION ALL SELECT kpi, 'team', team, grain, period_start, NULL, value, numerator, denominator, facts FROM kpi.team_monthly
UNION ALL SELECT kpi, 'team', team, grain, period_start, NULL, value, numerator, denominator, facts FROM kpi.team_quarterly
UNION ALL SELECT kpi, 'team', team, grain, period_start, NULL, value, numerator, denominator, facts FROM kpi.team_yearly
UNION ALL SELECT kpi, 'member', member, grain, period_start, NULL, value, numerator, denominator, facts FROM kpi.member_daily
UNION ALL SELECT kpi, 'member', member, grain, period_start, NULL, value, numerator, denominator, facts FROM kpi.member_weekly
UNION ALL SELECT kpi, 'member', member, grain, period_start, NULL, value, numerator, denominator, facts FROM kpi.member_monthly
UNION ALL SELECT kpi, 'member', member, grain, period_start, NULL, value, numerator, denominator, facts FROM kpi.member_quarterly
UNION ALL SELECT kpi, 'member', member, grain, period_start, NULL, value, numerator, denominator, facts FROM kpi.member_yearly
UNION ALL SELECT k.name, b.scope, t.key, b.grain, b.period_start, b.dimension_value, b.value, b.numerator, b.denominator, b.facts
          FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id JOIN kpi.team t ON t.id = b.team_id;

-- Rows that only one side has.  A quotient's last digits may differ.
CREATE VIEW crm.difference AS
WITH e AS (SELECT kpi, scope, key, grain, period_start, dimension_value, round(value, 10) AS value,
                  numerator, denominator, facts FROM crm.expected),
     a AS (SELECT kpi, scope, key, grain, period_start, dimension_value, round(value, 10) AS value,
                  numerator, denominator, facts FROM crm.actual)
(SELECT 'expected' AS side, * FROM (SELECT * FROM e EXCEPT ALL SELECT * FROM a) x)
UNION ALL
(SELECT 'actual' AS side, * FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM e) x);

-- How many numbers there are, and that each is right
SELECT scope, grain, dimension_value IS NOT NULL AS is_breakdown, count(*)
FROM crm.expected GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT * FROM crm.difference ORDER BY kpi, scope, key, grain, period_start LIMIT 20;
SELECT * FROM kpi.verify('crm');

-- The known totals of 2017
SELECT kpi, period, value::numeric(12,2), facts FROM kpi.team_yearly
WHERE team = 'company' AND kpi IN ('won', 'lost', 'revenue') ORDER BY kpi;

-- What a manager looks at
SELECT team, period, kpi, round(value, 4) AS value FROM kpi.team_quarterly
WHERE kpi IN ('revenue', 'win_rate', 'cycle', 'deal_size') AND team_level = 1
ORDER BY team, kpi, period;

-- Goals: the actual is the KPI's value, whichever way it is reached
CREATE VIEW crm.goal_difference AS
SELECT g.goal, g.target, g.actual, e.value AS expected
FROM kpi.goal_progress g
     LEFT JOIN crm.expected e ON (e.kpi, e.scope, e.key, e.grain, e.period_start) =
                                 (g.kpi, 'team', g.team, g.grain, g.period_start)
                                 AND e.dimension_value IS NULL
WHERE round(g.actual, 10) IS DISTINCT FROM round(e.value, 10)
      OR round(g.attainment_ratio, 6) IS DISTINCT FROM round(e.value / g.target, 6);

SELECT count(*) AS goals FROM kpi.goal_progress;
SELECT * FROM crm.goal_difference ORDER BY goal;
-- (the export has the whole quarter: the status goes by what is dated until today)
SELECT team, kpi, period, target, round(actual, 4) AS actual, round(attainment_ratio, 4) AS attainment, round(actual_to_date, 4) AS to_date, status
FROM kpi.goal_progress WHERE period IN ('2017-Q3', '2017-Q4') ORDER BY kpi, period, team;

--
-- Facts change.  The engine follows, and only it writes: before the refresh
-- nothing has moved.
--
CREATE TABLE crm.totals AS
SELECT kpi, period, value FROM kpi.team_yearly WHERE team = 'company';

-- 40 won deals are reopened
UPDATE crm.pipeline SET deal_stage = 'Engaging', close_date = NULL, close_value = NULL
WHERE opportunity_id IN (SELECT opportunity_id FROM crm.pipeline
                         WHERE deal_stage = 'Won' ORDER BY md5(opportunity_id) LIMIT 40);
-- 60 are deleted
DELETE FROM crm.pipeline
WHERE opportunity_id IN (SELECT opportunity_id FROM crm.pipeline ORDER BY md5(opportunity_id || 'd') LIMIT 60);
-- an agent's open and closed deals go to another, of another office
UPDATE crm.pipeline SET sales_agent = 'Hayden Neloms' WHERE sales_agent = 'Anna Snelling';
-- amounts are corrected
UPDATE crm.pipeline SET close_value = close_value * 1.19
WHERE product = 'GTXPro' AND close_date >= '2017-10-01' AND deal_stage = 'Won';
-- late facts: lost deals of March are won after all
UPDATE crm.pipeline SET deal_stage = 'Won', close_value = 1234.5
WHERE opportunity_id IN (SELECT opportunity_id FROM crm.pipeline
                         WHERE deal_stage = 'Lost' AND close_date < '2017-04-01'
                         ORDER BY md5(opportunity_id) LIMIT 25);

SELECT count(*) AS moved FROM kpi.team_yearly y JOIN crm.totals t USING (kpi, period)
WHERE y.team = 'company' AND y.value <> t.value;
CALL kpi.refresh('crm');
SELECT * FROM crm.difference ORDER BY kpi, scope, key, grain, period_start LIMIT 20;
SELECT * FROM crm.goal_difference ORDER BY goal;
SELECT * FROM kpi.verify('crm');
SELECT kpi, period, t.value AS before, y.value AS after
FROM kpi.team_yearly y JOIN crm.totals t USING (kpi, period)
WHERE y.team = 'company' AND kpi IN ('won', 'lost', 'opened') ORDER BY kpi, period;

-- In a transaction that is rolled back: nothing of it stays
BEGIN;
DELETE FROM crm.pipeline WHERE sales_agent = 'Darcel Schlecht';
CALL kpi.refresh();
SELECT * FROM crm.difference ORDER BY kpi, scope, key, grain, period_start LIMIT 20;
SELECT count(*) FROM kpi.member_yearly WHERE member = 'Darcel Schlecht';
ROLLBACK;
SELECT * FROM crm.difference ORDER BY kpi, scope, key, grain, period_start LIMIT 20;

-- An agent moves to a manager of another office from a date on
SELECT kpi.move_member('Darcel Schlecht', team => 'Celia Rouche', since => '2017-08-15');
UPDATE crm.assignment SET days = '(,2017-08-15)' WHERE agent = 'Darcel Schlecht';
INSERT INTO crm.assignment VALUES ('Darcel Schlecht', 'Celia Rouche', 'West', '[2017-08-15,)');
CALL kpi.refresh();
SELECT * FROM crm.difference ORDER BY kpi, scope, key, grain, period_start LIMIT 20;
SELECT * FROM crm.goal_difference ORDER BY goal;
SELECT * FROM kpi.verify('crm');

-- A manager's whole team moves
SELECT kpi.move_team('Cara Losch', parent => 'Central', since => '2017-07-01');
INSERT INTO crm.assignment
SELECT agent, manager, 'Central', '[2017-07-01,)' FROM crm.assignment WHERE manager = 'Cara Losch';
UPDATE crm.assignment SET days = '(,2017-07-01)' WHERE manager = 'Cara Losch' AND office = 'East';
-- and an agent nobody knows yet sells something
INSERT INTO crm.pipeline VALUES ('NEW1', 'Somebody New', 'GTXPro', NULL, 'Won', '2017-11-02', '2017-11-10', 777.77);
CALL kpi.refresh();
SELECT * FROM crm.difference WHERE key <> 'Somebody New' ORDER BY kpi, scope, key, grain, period_start LIMIT 20;
SELECT * FROM crm.goal_difference ORDER BY goal;
SELECT kpi, value FROM kpi.team_yearly WHERE team = '(unassigned)' ORDER BY kpi;
SELECT * FROM kpi.verify('crm');

--
-- Leave nothing behind
--
\o /dev/null
SELECT kpi.drop_goal(id) FROM kpi.goal;
SELECT kpi.drop_kpi(k) FROM unnest('{deal_size,revenue,won,lost,win_rate,cycle,opened}'::text[]) AS k;
SELECT kpi.drop_source('crm');
SELECT kpi.drop_member(sales_agent) FROM crm.sales_team;
SELECT kpi.drop_team(manager) FROM (SELECT DISTINCT manager FROM crm.sales_team) m;
SELECT kpi.drop_team(office) FROM (SELECT DISTINCT regional_office AS office FROM crm.sales_team) o;
CALL kpi.refresh();
\o
DROP SCHEMA crm CASCADE;
SELECT key FROM kpi.team ORDER BY id;
SELECT count(*) FROM kpi.member;
