-- kpi.suggest_target() on the real CRM export, against the worked cases of
-- test/goals/examples.json (group 31), whose level, season and noise are the reference's,
-- to 6 digits; and what has happened since then.
--
-- The data is not part of the project: KPI_CRM_DATA says where it is.
\set crm_data ../shared/data/crm
\getenv crm_data KPI_CRM_DATA
\set examples `cat test/goals/examples.json`
SET client_min_messages = error;
SET datestyle = 'ISO, MDY';
SET kpi.now = '2017-10-24 12:00:00+00';
CREATE SCHEMA crms;
CREATE TABLE crms.pipeline (opportunity_id text PRIMARY KEY, sales_agent text, product text, account text, deal_stage text, engage_date date, close_date date, close_value numeric);
CREATE TABLE crms.sales_team (sales_agent text, manager text, regional_office text);
\set load '\\copy crms.pipeline FROM ''' :crm_data '/sales_pipeline.csv'' WITH (FORMAT csv, HEADER)'
:load
\set load '\\copy crms.sales_team FROM ''' :crm_data '/sales_teams.csv'' WITH (FORMAT csv, HEADER)'
:load
SELECT count(kpi.create_team(office)) FROM (SELECT DISTINCT regional_office AS office FROM crms.sales_team ORDER BY 1) o;
SELECT count(kpi.create_team(manager, parent => office)) FROM (SELECT DISTINCT manager, regional_office AS office FROM crms.sales_team ORDER BY 1) m;
SELECT count(kpi.add_member(sales_agent, team => manager)) FROM (SELECT * FROM crms.sales_team ORDER BY sales_agent) a;
SELECT kpi.create_source('crms', relation => 'crms.pipeline', key => 'opportunity_id', owner => 'sales_agent', at => 'close_date') > 0 AS created;
SELECT kpi.create_kpi('revenue', source => 'crms', measure => 'sum(close_value)', filter => $$deal_stage = 'Won'$$, unit => 'USD') > 0 AS created;
SELECT kpi.create_kpi('won', source => 'crms', measure => 'count(*)', filter => $$deal_stage = 'Won'$$) > 0 AS created;
SELECT kpi.create_kpi('lost', source => 'crms', measure => 'count(*)', filter => $$deal_stage = 'Lost'$$, direction => 'down') > 0 AS created;
SELECT kpi.create_kpi('win_rate', source => 'crms', measure => $$rate(deal_stage = 'Won', deal_stage IN ('Won', 'Lost'))$$) > 0 AS created;
CALL kpi.refresh();

CREATE TABLE crms.example AS
    SELECT c ->> 'kpi' AS kpi, c ->> 'scope' AS scope, (c ->> 'day')::date AS day, c ->> 'grain' AS grain, kpi.period_name((c ->> 'day')::date, c ->> 'grain') AS period,
           coalesce(c ->> 'level', c ->> 'N0')::float8 AS n, (c ->> 'D0')::float8 AS d, coalesce(c ->> 'season', '1')::float8 AS season, (c ->> 'phi')::float8 AS phi
      FROM jsonb_array_elements(:'examples'::jsonb) e, jsonb_array_elements(e -> 'cases') c WHERE e ->> 'name' LIKE '31 %';
-- as test/goals/MATH.md has it, before the period
CREATE VIEW crms.wanted AS
    SELECT x.kpi, x.scope, x.period, s.suggestion, s.probability, x.mean + s.z * x.sd AS target
      FROM (SELECT DISTINCT e.kpi, e.scope, e.period,
                   CASE WHEN d IS NULL THEN n * season ELSE n / d END AS mean,
                   CASE WHEN d IS NULL THEN sqrt(phi * n * season * 3 + (0.2 * n * season) ^ 2) ELSE sqrt(phi * d * 3 + (0.2 * n) ^ 2) / d END AS sd
              FROM crms.example e) x
     CROSS JOIN (VALUES ('cautious', 0.8, -0.8416212335729143), ('likely', 0.5, 0), ('ambitious', 0.25, 0.6744897501960817)) s (suggestion, probability, z);
CREATE VIEW crms.said AS
    SELECT e.kpi, e.scope, e.period, t.*
      FROM (SELECT DISTINCT kpi, scope, period FROM crms.example) e
     CROSS JOIN LATERAL kpi.suggest_target(e.kpi, period => e.period,
                                           team => (SELECT t.key FROM kpi.team t WHERE t.key = e.scope),
                                           member => (SELECT m.key FROM kpi.member m WHERE m.key = e.scope)) t;
SELECT kpi, count(*), count(DISTINCT (scope, period)) AS cases FROM crms.said GROUP BY 1 ORDER BY 1;
CREATE VIEW crms.wrong AS
SELECT w.*, s.target AS said, s.probability AS said_probability FROM crms.wanted w LEFT JOIN crms.said s USING (kpi, scope, period, suggestion)
 WHERE (abs(s.target - greatest(w.target, 0)) <= 2e-6 * abs(w.target) + 1e-6
        AND (abs(s.probability - w.probability) <= 1e-6 OR w.target < 0 AND s.probability < w.probability)) IS NOT TRUE;
SELECT * FROM crms.wrong WHERE period LIKE '%Q%' ORDER BY 1, 2, 3, 4;
-- growth: of sums of facts
SELECT s.kpi, s.scope, s.suggestion FROM crms.said s
 CROSS JOIN LATERAL (SELECT sum(close_value) FILTER (WHERE deal_stage = 'Won') AS revenue, count(*) FILTER (WHERE deal_stage = 'Won') AS won,
                            count(*) FILTER (WHERE deal_stage = 'Won')::numeric / nullif(count(*) FILTER (WHERE deal_stage IN ('Won', 'Lost')), 0) AS win_rate
                       FROM crms.pipeline p JOIN crms.sales_team t USING (sales_agent)
                      WHERE s.scope IN ('company', t.sales_agent, t.manager, t.regional_office) AND kpi.period_name(p.close_date, CASE WHEN s.period LIKE '%Q%' THEN 'quarter' ELSE 'month' END) = s.previous_period) f
 CROSS JOIN LATERAL (SELECT CASE s.kpi WHEN 'revenue' THEN f.revenue WHEN 'won' THEN f.won ELSE f.win_rate END AS value) v
 WHERE s.kpi IN ('revenue', 'won', 'win_rate') AND NOT (abs(s.previous_value - v.value) < 1e-6 AND abs(s.growth_ratio - (s.target / v.value - 1)) < 1e-5);
SELECT suggestion, round(target, 4) AS target, probability, previous_period, round(previous_value, 4) AS previous_value, growth_ratio, year_ago_period, forecast_basis, why
  FROM kpi.suggest_target('revenue', period => '2017-Q4');
SELECT suggestion, round(target, 4) AS target, probability, previous_period, round(previous_value, 4) AS previous_value, growth_ratio, year_ago_period, forecast_basis, why
  FROM kpi.suggest_target('win_rate', team => 'Dustin Brinkmann', period => '2017-Q4');
-- less is better: the cautious one is the higher bound
SELECT suggestion, target > previous_value AS more, probability FROM kpi.suggest_target('lost', period => '2017-Q4');
-- years and quarters to come: from what is over today, and weeks
SELECT suggestion, target > 0 AS known, previous_period, forecast_basis, regexp_replace(why, '[0-9.]{4,}', 'N', 'g') AS why FROM kpi.suggest_target('revenue', period => '2018');
SELECT suggestion, target > 0 AS known, previous_period, year_ago_period, forecast_basis FROM kpi.suggest_target('revenue', period => '2018-Q2');
SELECT suggestion, target > 0 AS known, previous_period, year_ago_period, forecast_basis FROM kpi.suggest_target('won', member => 'Anna Snelling', period => '2017-W43');
-- months, when October is over; a period that has begun or is over: what would have been said before it began, whatever was corrected or is known since
SET kpi.now = '2017-11-10 12:00:00+00';
SELECT * FROM crms.wrong WHERE period LIKE '2017-11' ORDER BY 1, 2, 3, 4;
CREATE TEMP TABLE before AS SELECT * FROM kpi.suggest_target('revenue', team => 'West', period => '2017-Q4');
SET kpi.now = '2018-03-05 12:00:00+00';
SELECT count(*) FROM before b JOIN kpi.suggest_target('revenue', team => 'West', period => '2017-Q4') s USING (suggestion, target, probability, previous_period, why);

SELECT kpi.drop_source('crms', cascade => true);
SELECT count(kpi.drop_member(sales_agent)) FROM crms.sales_team;
SELECT count(kpi.drop_team(manager)) FROM (SELECT DISTINCT manager FROM crms.sales_team) m;
SELECT count(kpi.drop_team(regional_office)) FROM (SELECT DISTINCT regional_office FROM crms.sales_team) m;
DROP SCHEMA crms CASCADE;
