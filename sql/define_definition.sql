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
       sources, dimensions, goals, formulas, rollups, status, is_complete, complete_since, description
FROM kpi.definition WHERE sources ~ 'deals|regions' ORDER BY kpi;
\x
-- What it is used by is all that uses it, and how far it is follows its sources.
SELECT d.kpi, (SELECT count(*) FROM kpi.goal g WHERE g.kpi_id = d.kpi_id) AS goals, (SELECT count(*) FROM kpi.rollup_column c WHERE c.kpi_id = d.kpi_id) AS rollups,
       (SELECT count(*) FROM kpi_internal.formula_input f WHERE f.input_kpi_id = d.kpi_id) AS formulas
  FROM kpi.definition d WHERE sources ~ 'deals|regions'
   AND (cardinality(coalesce(string_to_array(d.goals, ', '), '{}')), cardinality(coalesce(string_to_array(d.rollups, ', '), '{}')), cardinality(coalesce(string_to_array(d.formulas, ', '), '{}')))
       IS DISTINCT FROM ((SELECT count(*) FROM kpi.goal g WHERE g.kpi_id = d.kpi_id), (SELECT count(*) FROM kpi.rollup_column c WHERE c.kpi_id = d.kpi_id),
                         (SELECT count(*) FROM kpi_internal.formula_input f WHERE f.input_kpi_id = d.kpi_id));
CALL kpi.refresh();
SELECT kpi, status, is_complete, complete_since FROM kpi.definition WHERE sources ~ 'deals|regions' ORDER BY kpi;
SELECT kpi.pause('regions');
SELECT kpi, status FROM kpi.definition WHERE sources ~ 'deals|regions' ORDER BY kpi;
SELECT kpi.resume('regions');
SELECT kpi.drop_rollup('public.definition_monthly');
SELECT kpi.drop_source('deals', cascade => true);
SELECT kpi.drop_source('regions', cascade => true);
DROP TABLE IF EXISTS definition_monthly;
DROP TABLE definition_deal;
