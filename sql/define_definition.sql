--
-- kpi.definition: what each KPI is, in words and in SQL, and what uses it
--
SET client_min_messages = warning;
CREATE TABLE definition_deal (id int PRIMARY KEY, owner_id text, closed_at date, stage text, amount numeric, region text);
SELECT kpi.create_source('deals', 'definition_deal', key => 'id', owner => 'owner_id', at => 'closed_at',
                         filter => 'amount > 0', dimensions => '{"region": "region", "stage": "stage"}') IS NOT NULL AS created;
SELECT kpi.create_source('regions', 'definition_deal', key => 'id', at => 'closed_at') IS NOT NULL AS created;
SELECT kpi.create_kpi('won', 'deals', 'sum(amount)', filter => $$stage = 'won' OR stage = 'paid'$$, unit => 'EUR', format => 'money',
                      title => 'Won', section => 'Results', sort => 1) IS NOT NULL AS created;
SELECT kpi.create_kpi('all_deals', 'deals', 'count(*)', team => 'region', credit => 'then') IS NOT NULL AS created;
SELECT kpi.create_kpi('today', 'deals', 'count(*)', credit => 'today', at => 'closed_at + 1') IS NOT NULL AS created;
SELECT kpi.create_kpi('company', 'regions', 'count(*)') IS NOT NULL AS created;
SELECT kpi.create_kpi('per_deal', formula => 'won / (all_deals + company)') IS NOT NULL AS created;
SELECT kpi.create_kpi('twice', formula => '2 * per_deal') IS NOT NULL AS created;
SELECT kpi.create_goal('Definition goal', kpi => 'won', period => '2026', target => '100') IS NOT NULL AS created;
SELECT kpi.create_rollup('public.definition_monthly', kpis => '{won, per_deal}', per => 'team', grain => 'month') IS NOT NULL AS created;
\x
SELECT kpi, title, section, sort, unit, direction, format, decimals, definition, measure_sql, filter_sql, at_sql, owner_sql, formula,
       sources, dimensions, goals, formulas, rollups, description
FROM kpi.definition WHERE sources ~ 'deals|regions' ORDER BY kpi;
\x
SELECT kpi.drop_rollup('public.definition_monthly');
SELECT kpi.drop_source('deals', cascade => true);
SELECT kpi.drop_source('regions', cascade => true);
DROP TABLE IF EXISTS definition_monthly;
DROP TABLE definition_deal;
