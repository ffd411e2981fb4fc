-- Formulas: arithmetic over KPIs, without their source.
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.f(formula text, a numeric DEFAULT NULL, b numeric DEFAULT NULL) RETURNS numeric LANGUAGE sql AS
    $$SELECT kpi_internal.formula_value(formula, ARRAY['a', 'b', 'Umsatz "netto" €'], ARRAY[a, b, 7])$$;
SELECT pg_temp.f('a + b * 2', 1, 3) AS seven, pg_temp.f('(a + b) * 2', 1, 3) AS eight,
       pg_temp.f('a - b - 1', 9, 3) AS five, pg_temp.f('a / b / 2', 12, 3) AS two,
       pg_temp.f('-a - -b', 1, 3) AS two_again, pg_temp.f('- - a', 1) AS one, pg_temp.f('2 * -a', 3) AS minus_six,
       pg_temp.f('.5 + 1. + a', 1) AS two_and_a_half, pg_temp.f('2 - -3') AS five_too, pg_temp.f('3000000000 + a', 1) AS large;
SELECT pg_temp.f('a*b/100', 2, 50) AS one, pg_temp.f(E'\n a\t+\n b ', 1, 2) AS three, pg_temp.f('a', 5) AS five;
SELECT pg_temp.f('"Umsatz ""netto"" €" + "a"', 1) AS eight;
-- No value: an input without one, a denominator of 0, an overflow.
SELECT pg_temp.f('a + b', 1) AS no_input, pg_temp.f('a / b', 1, 0) AS by_zero, pg_temp.f('a / (b - b)', 1, 5) AS by_zero_too,
       pg_temp.f('unknown + 1') AS unknown;
SELECT pg_temp.f('a * a * a * a', ('1' || repeat('0', 50000))::numeric) AS overflow;
SELECT pg_temp.f('a / b', 'NaN', 1) AS nan, pg_temp.f('a - a', 'Infinity') AS infinite;
-- Functions, in any case of letters.
SELECT pg_temp.f('nullif(a, b)', 3, 3) AS none, pg_temp.f('nullif(a, b)', 3, 4) AS three, pg_temp.f('nullif(a, b)', 3) AS three_too,
       pg_temp.f('nullif(a, b)', 1.0, 1) AS same_number;
SELECT pg_temp.f('COALESCE(a, b, 5)') AS five, pg_temp.f('coalesce(a, b, 5)', NULL, 2) AS two, pg_temp.f('coalesce(a / 0, 1)', 2) AS one;
SELECT pg_temp.f('greatest(a, b, -1)', 3, 8) AS eight, pg_temp.f('least(a, b)', 3, 8) AS three, pg_temp.f('greatest(a, b)', NULL, 8) AS eight_too,
       pg_temp.f('least(a, b)') AS none;
SELECT pg_temp.f('abs(a - b)', 3, 8) AS five, pg_temp.f('round(a / b)', 10, 4) AS three, pg_temp.f('round(a / b, 1)', 10, 4) AS exact,
       pg_temp.f('round(a, -2)', 1234) AS hundreds, pg_temp.f('round(a, b)', 1.2345) AS none;
SELECT pg_temp.f('round(a, b)', 1.2345, 1e20) AS no_such_digits;
-- A function's name may be a KPI's too.
SELECT kpi_internal.formula_value('abs + round(abs, 0)', '{abs}', '{2.4}') AS four_point_four;
-- What is not a formula.
SELECT pg_temp.f('');
SELECT pg_temp.f('   ');
SELECT pg_temp.f('a +');
SELECT pg_temp.f('a b');
SELECT pg_temp.f('(a + b');
SELECT pg_temp.f('a + b)');
SELECT pg_temp.f('a ** b');
SELECT pg_temp.f('a % b');
SELECT pg_temp.f('+a');
SELECT pg_temp.f('a, b');
SELECT pg_temp.f('1.2.3');
SELECT pg_temp.f('12abc');
SELECT pg_temp.f('1e5');
SELECT pg_temp.f('"a');
SELECT pg_temp.f('""');
SELECT pg_temp.f('"Umsätze" € 2');
SELECT pg_temp.f('sqrt(a)');
SELECT pg_temp.f('nullif(a)');
SELECT pg_temp.f('abs()');
SELECT pg_temp.f('round(a, 1, 2)');
SELECT pg_temp.f('a; DROP TABLE kpi.kpi');
SELECT pg_temp.f(repeat('9', 200));
SELECT pg_temp.f(repeat('9', 100)) = repeat('9', 100)::numeric AS hundred_digits;
SELECT pg_temp.f('-1e100000');
-- SQL, but no formula.
SELECT pg_temp.f($$a + '1'$$);
SELECT pg_temp.f('a::int');
SELECT pg_temp.f('$1 + a');
SELECT pg_temp.f('a + (SELECT 1)');
SELECT pg_temp.f('a IS NULL');
SELECT pg_temp.f('a IN (b)');
SELECT pg_temp.f('a BETWEEN b AND 3');
SELECT pg_temp.f('a OPERATOR(pg_catalog.+) b');
SELECT pg_temp.f('a.b + 1');
SELECT pg_temp.f('a.*');
SELECT pg_temp.f('a[1]');
SELECT pg_temp.f('(a, b)');
SELECT pg_temp.f('a FROM kpi.kpi');
SELECT pg_temp.f('round(DISTINCT a)');
SELECT pg_temp.f('round(a) OVER ()');
SELECT pg_temp.f('round(v => a)');
SELECT pg_temp.f('pg_catalog.round(a)');
SELECT pg_temp.f('abs(*)');
SELECT pg_temp.f('extract(year FROM a)');
-- Depth has a bound, and no crash.
SELECT pg_temp.f(repeat('(', 1000) || 'a' || repeat(')', 1000), 1) AS one;
DO $$
BEGIN
    PERFORM kpi_internal.formula_value(repeat('(', 1000000) || 'a' || repeat(')', 1000000), '{a}', '{1}');
EXCEPTION WHEN syntax_error THEN
    RAISE NOTICE '%', left(SQLERRM, 16);
END $$;
-- Null arguments, arrays of different length.
SELECT kpi_internal.formula_value(NULL, '{a}', '{1}') IS NULL AS null_formula,
       kpi_internal.formula_value('a', '{a,b}', '{1}') AS one,
       kpi_internal.formula_value('b', '{a,b}', '{1}') IS NULL AS too_short,
       kpi_internal.formula_value('3', '{}', '{}') AS three;
-- One parse serves many rows; a new formula is parsed anew.
SELECT n, kpi_internal.formula_value(CASE WHEN n % 2 = 0 THEN 'a / 2' ELSE 'a * 2' END, '{a}', ARRAY[n::numeric]) AS value
  FROM generate_series(1, 4) n;
