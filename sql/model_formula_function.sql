-- Formulas over time: how their functions are written.
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.f(formula text, a numeric DEFAULT NULL, b numeric DEFAULT NULL) RETURNS numeric LANGUAGE sql AS
    $$SELECT kpi_internal.formula_value(formula, '{a,b}', ARRAY[a, b])$$;
-- All of them can be written, in any case of letters; a formula of numbers alone has no other periods.
SELECT formula, pg_temp.f(formula, 3, 4) AS no_value
  FROM unnest(ARRAY['previous(a)', 'YEAR_AGO(a)', 'growth(a)', 'growth(a, ''year_ago'')', 'ytd(a)', 'qtd(a)', 'rolling(a, 28)',
                    'rolling(a, 4, ''quarter'')', 'opening(a)', 'closing(a)', 'daily_average(a)', 'target(a)', 'target(a, ''plan B'')',
                    'attainment(a)', 'attainment(a, ''plan B'')', 'whole(a)', 'growth(ytd(a / b), ''year_ago'') + whole(previous(a))']) formula;
SELECT pg_temp.f('coalesce(previous(a), b)', 3, 4) AS four;
-- Their names are names of KPIs where no parenthesis follows.
SELECT kpi_internal.formula_value('previous + "target" * rolling', '{previous,target,rolling}', '{1,2,3}') AS seven;
-- Mistakes, with their positions.
SELECT pg_temp.f('a + previous()');
SELECT pg_temp.f('previous(a, 2)');
SELECT pg_temp.f('previous(a > b)');
SELECT pg_temp.f('growth(a, ''month'')');
SELECT pg_temp.f('growth(a, b)');
SELECT pg_temp.f('rolling(a)');
SELECT pg_temp.f('rolling(a, 0)');
SELECT pg_temp.f('rolling(a, -1)');
SELECT pg_temp.f('rolling(a, 1.5)');
SELECT pg_temp.f('rolling(a, b)');
SELECT pg_temp.f('rolling(a, 10001)');
SELECT pg_temp.f('rolling(a, 4, ''fortnight'')');
SELECT pg_temp.f('rolling(a, 4, b)');
SELECT pg_temp.f('rolling(a, 4, ''week'', 1)');
SELECT pg_temp.f('daily_average(a + b)');
SELECT pg_temp.f('target(1)');
SELECT pg_temp.f('target(a, 2)');
SELECT pg_temp.f('attainment(a + b)');
SELECT pg_temp.f('whole(*)');
SELECT pg_temp.f('previous(k => a)');
SELECT pg_temp.f('"ä" + ytd("ö", 1)');
SELECT pg_temp.f('pg_catalog.previous(a)');
SELECT pg_temp.f('lag(a)');
