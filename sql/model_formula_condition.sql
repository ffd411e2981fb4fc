-- Formulas: CASE, comparisons, AND, OR, NOT, without their source.
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.f(formula text, a numeric DEFAULT NULL, b numeric DEFAULT NULL) RETURNS numeric LANGUAGE sql AS
    $$SELECT kpi_internal.formula_value(formula, '{a,b}', ARRAY[a, b])$$;
-- Each comparison, of less, equal, greater and nothing: as SQL has it.
SELECT op, string_agg(coalesce(pg_temp.f('CASE WHEN a ' || op || ' b THEN 1 WHEN NOT a ' || op || ' b THEN 0 END', x, 2)::text, '-'), ' ' ORDER BY x NULLS LAST) AS is_so
  FROM unnest('{<,<=,=,<>,!=,>=,>}'::text[]) op, unnest('{1,2,3,NULL}'::numeric[]) x GROUP BY op ORDER BY op;
-- AND, OR and NOT have three values; 1 is true, 0 is false, NULL is not known.
SELECT a, b, pg_temp.f('CASE WHEN a = 1 AND b = 1 THEN 1 WHEN NOT (a = 1 AND b = 1) THEN 0 END', a, b) AS "and",
       CASE WHEN a = 1 AND b = 1 THEN 1 WHEN NOT (a = 1 AND b = 1) THEN 0 END AS sql_and,
       pg_temp.f('CASE WHEN a = 1 OR b = 1 THEN 1 WHEN NOT (a = 1 OR b = 1) THEN 0 END', a, b) AS "or",
       CASE WHEN a = 1 OR b = 1 THEN 1 WHEN NOT (a = 1 OR b = 1) THEN 0 END AS sql_or
  FROM unnest('{1,0,NULL}'::numeric[]) a, unnest('{1,0,NULL}'::numeric[]) b;
-- CASE in both forms, with and without ELSE; the first branch that fits.
SELECT x, pg_temp.f('CASE a WHEN 1 THEN 10 WHEN 1 THEN 11 WHEN b THEN 20 ELSE 30 END', x, 2) AS simple,
       pg_temp.f('CASE a WHEN 1 THEN 10 END', x) AS without_else,
       pg_temp.f('CASE WHEN a > 2 THEN a / 0 WHEN a > 1 THEN a ELSE -a END', x) AS searched,
       pg_temp.f('CASE WHEN CASE WHEN a > 1 THEN b ELSE 5 END > 3 AND NOT a = 4 THEN 1 ELSE 0 END', x, 7) AS nested
  FROM unnest('{1,2,3,4,NULL}'::numeric[]) x;
-- Precedence.
SELECT pg_temp.f('CASE WHEN a + 1 > b * 2 OR a = 0 AND b = 0 THEN 1 ELSE 0 END', 0, 0) AS one,
       pg_temp.f('CASE WHEN NOT a > b AND b > a THEN 1 ELSE 0 END', 1, 2) AS one_too;
-- A number is no condition, and the reverse.
SELECT pg_temp.f('a < b');
SELECT pg_temp.f('a AND b');
SELECT pg_temp.f('1 + (a < b)');
SELECT pg_temp.f('NOT a');
SELECT pg_temp.f('(a < b) = (b < a)');
SELECT pg_temp.f('CASE WHEN a THEN b END');
SELECT pg_temp.f('CASE a WHEN a > 1 THEN b END');
SELECT pg_temp.f('CASE WHEN a > 1 THEN b > 1 END');
SELECT pg_temp.f('CASE WHEN a > 1 THEN b ELSE NOT b > 1 END');
SELECT pg_temp.f('coalesce(a, b = 1)');
SELECT pg_temp.f('a < b < 3');
SELECT pg_temp.f('CASE WHEN a > 1 THEN b');
SELECT pg_temp.f('case when ä > 1 then "ö" and b > 2 end');
