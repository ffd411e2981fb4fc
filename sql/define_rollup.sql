-- Rollup tables: what defines one, what it looks like, what is refused.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET datestyle = 'ISO';
CREATE ROLE regress_rollup_editor;
CREATE ROLE regress_rollup_other;
CREATE ROLE regress_rollup_reader;
SELECT kpi.grant_editor('regress_rollup_editor'), kpi.grant_editor('regress_rollup_other'),
       kpi.grant_reader('regress_rollup_reader');
CREATE SCHEMA reporting;
GRANT USAGE, CREATE ON SCHEMA reporting TO regress_rollup_editor, regress_rollup_reader;
GRANT USAGE ON SCHEMA reporting TO regress_rollup_other;
CREATE SCHEMA rollup_facts;
CREATE TABLE rollup_facts.deals (id integer PRIMARY KEY, owner text, day date, amount numeric, won boolean, product text);
CREATE TABLE rollup_facts.plans (id integer PRIMARY KEY, month date, spend numeric);
SELECT kpi.create_source('ru_deals', relation => 'rollup_facts.deals', owner => 'owner', at => 'day',
                         dimensions => '{"product": "product"}') > 0 AS made;
SELECT kpi.create_source('ru_plans', relation => 'rollup_facts.plans', at => 'month', grain => 'month') > 0 AS made;
SELECT kpi.create_kpi('revenue', source => 'ru_deals', measure => 'sum(amount)', unit => 'EUR', title => 'Revenue',
                      description => 'Deals that were won') > 0 AS made;
SELECT kpi.create_kpi('win_rate', source => 'ru_deals', measure => 'rate(won, true)') > 0 AS made;
SELECT kpi.create_kpi('spend', source => 'ru_plans', measure => 'sum(spend)') > 0 AS made;
SELECT kpi.create_kpi('roi', formula => 'revenue / spend') > 0 AS made;
SELECT kpi.create_kpi('double', formula => 'revenue * 2') > 0 AS made;

-- what is created belongs to the caller, and says what it is
SET ROLE regress_rollup_editor;
SELECT kpi.create_rollup('reporting.sales_monthly', kpis => '{revenue, win_rate}', per => 'team', grain => 'month') > 0 AS made;
\d reporting.sales_monthly
SELECT obj_description('reporting.sales_monthly'::regclass, 'pg_class');
SELECT attname, col_description(attrelid, attnum) FROM pg_attribute
 WHERE attrelid = 'reporting.sales_monthly'::regclass AND attnum > 0 ORDER BY attnum;
SELECT relowner::regrole FROM pg_class WHERE oid = 'reporting.sales_monthly'::regclass;
-- of members, with other names, by parameters of any type, in the schema that comes first in search_path
SET search_path = reporting;
SELECT kpi.create_rollup('sales_by_rep', '{"Umsatz": "revenue", "quota %": "win_rate"}'::jsonb, 'member', 'quarter',
                         since => '2026-05-01') > 0 AS made;
SELECT kpi.create_rollup('"By Product"', kpis => ARRAY['double', 'revenue'], grain => 'year', dimension => 'product') > 0 AS made;
RESET search_path;
\d reporting.sales_by_rep
\d reporting."By Product"
SELECT relation, per, grain, dimension, since FROM kpi.rollup ORDER BY id;
SELECT r.relation, c.position, c.name, k.name AS kpi FROM kpi.rollup r JOIN kpi.rollup_column c ON c.rollup_id = r.id
  JOIN kpi.kpi k ON k.id = c.kpi_id ORDER BY r.id, c.position;
-- JSON keeps the order as it is written
SELECT kpi.create_rollup('reporting.ordered', kpis => '{"zz": "revenue", "a": "spend", "mmm": "roi"}') > 0 AS made;
SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
 WHERE attrelid = 'reporting.ordered'::regclass AND atttypid = 'numeric'::regtype;
SELECT kpi.drop_rollup('reporting.ordered', drop_table => true);
SELECT to_regclass('reporting.ordered') IS NULL AS gone;

-- bad input, and nothing is half done
SELECT kpi.create_rollup('reporting.sales_monthly', kpis => '{revenue}');
SELECT kpi.create_rollup('rollup_facts.x', kpis => '{revenue}');
SELECT kpi.create_rollup('nowhere.x', kpis => '{revenue}');
SELECT kpi.create_rollup('kpi.x', kpis => '{revenue}');
SELECT kpi.create_rollup('pg_temp.x', kpis => '{revenue}');
SELECT kpi.create_rollup('reporting.x', kpis => '{revenues}');
SELECT kpi.create_rollup('reporting.x', kpis => '{}');
SELECT kpi.create_rollup('reporting.x', kpis => NULL::text);
SELECT kpi.create_rollup('reporting.x', kpis => 'revenue');
SELECT kpi.create_rollup('reporting.x', kpis => '{"a": revenue}');
SELECT kpi.create_rollup('reporting.x', kpis => '{"a": 7}');
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue, NULL}');
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue, win_rate, revenue}');
SELECT kpi.create_rollup('reporting.x', kpis => '{"a": "revenue", "a": "spend"}');
SELECT kpi.create_rollup('reporting.x', kpis => '{"period": "revenue"}');
SELECT kpi.create_rollup('reporting.x', kpis => format('{"%s": "revenue"}', repeat('x', 64)));
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue}', per => 'company');
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue}', grain => 'decade');
SELECT kpi.create_rollup('reporting.x', kpis => '{spend}', per => 'member');
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue, spend}', grain => 'week');
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue, roi}', grain => 'day');
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue}', dimension => 'colour');
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue, roi}', dimension => 'product');
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue}', dimension => 'product', per => 'member');
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue}', dimension => 'product', grain => 'week');
SELECT kpi.create_rollup('', kpis => '{revenue}');
SELECT kpi.create_rollup('a.b.c.d', kpis => '{revenue}');
RESET ROLE;
SET ROLE regress_rollup_other;
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue}');
SELECT kpi.alter_rollup('reporting.sales_monthly', since => '2026-01-01');
SELECT kpi.drop_rollup('reporting.sales_monthly');
RESET ROLE;
GRANT EXECUTE ON FUNCTION kpi.create_rollup(text, anycompatible, text, text, text, date) TO regress_rollup_reader;
SET ROLE regress_rollup_reader;
SELECT kpi.create_rollup('reporting.x', kpis => '{revenue}');
SELECT kpi.drop_rollup('reporting.sales_monthly');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION kpi.create_rollup(text, anycompatible, text, text, text, date) FROM regress_rollup_reader;
SELECT kpi.drop_rollup('reporting.nothing');
SELECT kpi.drop_rollup('nothing');
SELECT kpi.alter_rollup('rollup_facts.deals', since => '2026-01-01');
SELECT count(*) FROM pg_class WHERE relnamespace = 'reporting'::regnamespace AND relname = 'x';
SELECT count(*) FROM kpi.rollup;

-- other KPIs: columns come and go, one that stays keeps its own
SET ROLE regress_rollup_editor;
SELECT kpi.alter_rollup('reporting.sales_monthly', kpis => '{"win_rate": "win_rate", "revenue": "double", "deals": "revenue"}',
                        since => '2026-01-01');
SELECT a.attname, col_description(attrelid, attnum) FROM pg_attribute a
 WHERE attrelid = 'reporting.sales_monthly'::regclass AND attnum > 0 AND NOT attisdropped AND atttypid = 'numeric'::regtype ORDER BY attnum;
SELECT since FROM kpi.rollup WHERE relation = 'reporting.sales_monthly';
SELECT kpi.alter_rollup('reporting.sales_monthly', since => '-infinity');
SELECT since FROM kpi.rollup WHERE relation = 'reporting.sales_monthly';
SELECT kpi.alter_rollup('reporting.sales_monthly', kpis => '{spend, nothing}');
SELECT kpi.alter_rollup('reporting.sales_by_rep', kpis => '{spend}');
-- what a view of the user's needs is not dropped
CREATE VIEW reporting.needs AS SELECT deals FROM reporting.sales_monthly;
SELECT kpi.alter_rollup('reporting.sales_monthly', kpis => '{win_rate}');
DROP VIEW reporting.needs;
SELECT kpi.alter_rollup('reporting.sales_monthly', kpis => '{win_rate, revenue}');
-- a table that was renamed is followed
ALTER TABLE reporting.sales_monthly RENAME TO sales_by_month;
SELECT kpi.alter_rollup('reporting.sales_by_month', since => '2026-02-01');
SELECT relation, since FROM kpi.rollup ORDER BY id LIMIT 1;
RESET ROLE;

-- what a rollup table needs is not lost unseen
SELECT kpi.drop_kpi('win_rate');
SELECT kpi.drop_source('ru_deals');
SELECT kpi.alter_source('ru_deals', dimensions => '{}');
SELECT kpi.alter_source('ru_deals', owner => '');
SELECT kpi.alter_kpi('revenue', team => 'product');
SELECT kpi.alter_kpi('double', formula => 'revenue / spend');
SELECT kpi.alter_source('ru_deals', grain => 'year');
-- a KPI that goes leaves an empty column
SELECT kpi.drop_kpi('win_rate', cascade => true);
SELECT c.name, c.kpi_id FROM kpi.rollup_column c JOIN kpi.rollup r ON r.id = c.rollup_id
 WHERE r.relation = 'reporting.sales_by_month' AND c.kpi_id IS NULL;

-- dropped: the definition, and the table only if it is asked for; one that is gone already is anybody's
SET ROLE regress_rollup_editor;
SELECT kpi.drop_rollup('reporting.sales_by_month');
SELECT to_regclass('reporting.sales_by_month');
DROP TABLE reporting.sales_by_rep;
SELECT kpi.alter_rollup('reporting.sales_by_rep', since => '2026-02-01');
RESET ROLE;
SET ROLE regress_rollup_other;
SELECT kpi.drop_rollup('reporting.sales_by_rep', drop_table => true);
RESET ROLE;
SELECT kpi.drop_rollup('reporting."By Product"', drop_table => true);
SELECT count(*) FROM kpi.rollup;
SELECT count(*) FROM kpi.rollup_column;

SELECT kpi.drop_source('ru_deals', cascade => true), kpi.drop_source('ru_plans', cascade => true);
SELECT kpi.revoke_editor('regress_rollup_editor'), kpi.revoke_editor('regress_rollup_other');
SELECT kpi.revoke_reader('regress_rollup_editor'), kpi.revoke_reader('regress_rollup_other'), kpi.revoke_reader('regress_rollup_reader');
DROP SCHEMA reporting, rollup_facts CASCADE;
DROP ROLE regress_rollup_editor, regress_rollup_other, regress_rollup_reader;
