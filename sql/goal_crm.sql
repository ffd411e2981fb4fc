-- Forecasts and statuses on the real CRM export, against the worked cases of
-- test/goals/examples.json (group 31): what is frozen when the period begins, and what rows
-- say on three days, to 6 digits.
--
-- The data is not part of the project: KPI_CRM_DATA says where it is.
\set crm_data ../shared/data/crm
\getenv crm_data KPI_CRM_DATA
\set examples `cat test/goals/examples.json`
SET client_min_messages = error;
SET datestyle = 'ISO, MDY';
SET kpi.now = '2017-10-24 12:00:00+00';
CREATE SCHEMA crmf;
CREATE TABLE crmf.pipeline (opportunity_id text PRIMARY KEY, sales_agent text, product text, account text, deal_stage text, engage_date date, close_date date, close_value numeric);
CREATE TABLE crmf.sales_team (sales_agent text, manager text, regional_office text);
\set load '\\copy crmf.pipeline FROM ''' :crm_data '/sales_pipeline.csv'' WITH (FORMAT csv, HEADER)'
:load
\set load '\\copy crmf.sales_team FROM ''' :crm_data '/sales_teams.csv'' WITH (FORMAT csv, HEADER)'
:load
CREATE TABLE crmf.example AS
    SELECT c ->> 'kpi' AS kpi, c ->> 'scope' AS scope, (c ->> 'day')::date AS day, c ->> 'grain' AS grain, c
      FROM jsonb_array_elements(:'examples'::jsonb) e, jsonb_array_elements(e -> 'cases') c WHERE e ->> 'name' LIKE '31 %';
SELECT count(*), count(DISTINCT day) FROM crmf.example;

SELECT count(kpi.create_team(office)) FROM (SELECT DISTINCT regional_office AS office FROM crmf.sales_team ORDER BY 1) o;
SELECT count(kpi.create_team(manager, parent => office)) FROM (SELECT DISTINCT manager, regional_office AS office FROM crmf.sales_team ORDER BY 1) m;
SELECT count(kpi.add_member(sales_agent, team => manager)) FROM (SELECT * FROM crmf.sales_team ORDER BY sales_agent) a;
SELECT kpi.create_source('crmf', relation => 'crmf.pipeline', key => 'opportunity_id', owner => 'sales_agent', at => 'close_date') > 0 AS created;
SELECT kpi.create_kpi('revenue', source => 'crmf', measure => 'sum(close_value)', filter => $$deal_stage = 'Won'$$, unit => 'USD') > 0 AS created;
SELECT kpi.create_kpi('won', source => 'crmf', measure => 'count(*)', filter => $$deal_stage = 'Won'$$) > 0 AS created;
SELECT kpi.create_kpi('win_rate', source => 'crmf', measure => $$rate(deal_stage = 'Won', deal_stage IN ('Won', 'Lost'))$$) > 0 AS created;
CALL kpi.refresh();
-- a goal for each case: of the days they are of, each period once
SELECT count(kpi.create_goal(concat_ws('|', kpi, scope, grain), kpi => kpi, period => kpi.period_name(day, grain), target => target,
                             team => CASE WHEN EXISTS (SELECT FROM kpi.team t WHERE t.key = lower(scope) OR t.key = scope AND EXISTS (
                                          SELECT FROM crmf.sales_team s WHERE scope IN (s.manager, s.regional_office))) THEN CASE scope WHEN 'company' THEN 'company' ELSE scope END END,
                             member => CASE WHEN EXISTS (SELECT FROM crmf.sales_team s WHERE s.sales_agent = scope) THEN scope END))
  FROM (SELECT kpi, scope, grain, min(day) AS day, min((c ->> 'target')::numeric) AS target FROM crmf.example WHERE grain = 'quarter' GROUP BY 1, 2, 3 ORDER BY 1, 2) e;

CREATE FUNCTION crmf.same(a double precision, b double precision) RETURNS boolean LANGUAGE sql AS
$$ SELECT a IS NOT DISTINCT FROM b OR abs(a - b) <= 2e-6 * greatest(abs(a), abs(b)) + 1e-6 $$;
CREATE VIEW crmf.wrong AS
    SELECT e.kpi, e.scope, e.day, x.key, x.found, x.should_be
      FROM crmf.example e
      JOIN kpi.goal_progress p ON p.goal = concat_ws('|', e.kpi, e.scope, e.grain)
      JOIN kpi.forecast_basis b ON b.kpi_id = p.kpi_id AND b.period_start = p.period_start AND b.grain = p.grain
           AND b.member_id IS NOT DISTINCT FROM p.member_id AND (p.member_id IS NOT NULL OR b.team_id = p.team_id)
     CROSS JOIN LATERAL (VALUES
           ('level', b.level, coalesce(e.c ->> 'level', e.c ->> 'N0')), ('level_denominator', b.level_denominator, e.c ->> 'D0'), ('season', b.season, coalesce(e.c ->> 'season', '1')),
           ('noise', b.noise, e.c ->> 'phi'), ('actual_to_date', p.actual_to_date, coalesce(e.c ->> 'actual_to_date', e.c ->> 'actual')),
           ('expected_today', p.expected_today, e.c ->> 'expected_today'), ('pace_ratio', p.pace_ratio, coalesce(e.c ->> 'pace_ratio', p.pace_ratio::text)),
           ('forecast', p.forecast, e.c ->> 'forecast'), ('forecast_low', p.forecast_low, e.c ->> 'forecast_low'), ('forecast_high', p.forecast_high, e.c ->> 'forecast_high'),
           ('probability', p.attainment_probability, e.c ->> 'attainment_probability'), ('required', p.required_of_rest, e.c ->> 'required_of_rest'),
           ('rule', p.status_rule, coalesce(e.c ->> 'rule', p.status_rule::text)),
           ('status', (p.status IS NOT DISTINCT FROM coalesce(e.c ->> 'status', p.status))::int, '1')) x (key, found, should_be)
     WHERE e.day = p.as_of_day AND NOT crmf.same(x.found::float8, x.should_be::float8)
     ORDER BY 1, 2, 3, 4;
SELECT count(*) AS goals, count(*) FILTER (WHERE forecast_basis = 'history') AS with_history FROM kpi.goal_progress WHERE kpi IN ('revenue', 'won', 'win_rate');
SELECT * FROM crmf.wrong;
SELECT goal, round(forecast) AS forecast, round(attainment_probability, 2) AS p, status, status_reason FROM kpi.goal_progress WHERE kpi = 'revenue' ORDER BY goal;
SET kpi.now = '2017-11-15 12:00:00+00';
CALL kpi.refresh();
SELECT count(*) FROM kpi.goal_progress p JOIN crmf.example e ON p.goal = concat_ws('|', e.kpi, e.scope, e.grain) AND p.as_of_day = e.day;
SELECT * FROM crmf.wrong;
SET kpi.now = '2017-12-08 12:00:00+00';
CALL kpi.refresh();
SELECT count(*) FROM kpi.goal_progress p JOIN crmf.example e ON p.goal = concat_ws('|', e.kpi, e.scope, e.grain) AND p.as_of_day = e.day;
SELECT * FROM crmf.wrong;
-- months
SET kpi.now = '2017-11-10 12:00:00+00';
SELECT count(kpi.create_goal(concat_ws('|', kpi, scope, grain), kpi => kpi, period => '2017-11', target => (c ->> 'target')::numeric,
                             team => CASE scope WHEN 'company' THEN scope END, member => CASE WHEN scope <> 'company' THEN scope END))
  FROM crmf.example WHERE grain = 'month' AND day = '2017-11-10';
SELECT * FROM crmf.wrong;
-- relative targets, as the cases have them
SELECT e.kpi, e.scope, e.grain, (kpi_internal.resolve_target(CASE e.grain WHEN 'month' THEN '+5% mom' ELSE '+10% qoq' END, e.kpi, (e.c ->> 'baseline')::numeric) = (e.c ->> 'target')::numeric) AS same
  FROM crmf.example e WHERE e.c ? 'baseline' AND e.day = (SELECT min(day) FROM crmf.example x WHERE x.grain = e.grain) ORDER BY 1, 2, 3;
SELECT kpi.create_goal('relative', kpi => 'revenue', period => '2017-Q4', target => '+10% qoq', plan => 'relative') > 0 AS created;
SELECT p.target = (e.c ->> 'target')::numeric AS same, p.baseline = (e.c ->> 'baseline')::numeric AS baseline, p.baseline_period
  FROM kpi.goal_progress p, crmf.example e WHERE p.goal = 'relative' AND e.kpi = 'revenue' AND e.scope = 'company' AND e.day = '2017-10-24';
SELECT count(*) FROM kpi.verify('crmf');

SELECT count(kpi.drop_goal(g.id)) FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id WHERE k.name IN ('revenue', 'won', 'win_rate');
SELECT kpi.drop_source('crmf', cascade => true);
SELECT count(kpi.drop_member(sales_agent)) FROM crmf.sales_team;
SELECT count(kpi.drop_team(manager)) FROM (SELECT DISTINCT manager FROM crmf.sales_team) m;
SELECT count(kpi.drop_team(regional_office)) FROM (SELECT DISTINCT regional_office FROM crmf.sales_team) m;
DROP SCHEMA crmf CASCADE;
