-- A formula is evaluated in every refresh, whoever wrote it: it is bounded, and
-- can be cancelled wherever it is evaluated.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.f(formula text, a numeric) RETURNS numeric LANGUAGE sql AS $$ SELECT kpi_internal.formula_value(formula, '{a}', ARRAY[a]) $$;
SELECT pg_temp.f('a' || repeat(' + a', 497) || ' + 1 - 0', 1);
SELECT pg_temp.f('-a' || repeat(' + a', 499), 1);
SELECT pg_temp.f('-a' || repeat(' + a', 500), 1);
SELECT pg_temp.f('coalesce(a' || repeat(', a', 998) || ')', 1);
SELECT pg_temp.f('coalesce(a' || repeat(', a', 999) || ')', 1);
SELECT pg_temp.f('"ä"' || repeat(' + "öüß"', 500), 1);
\set VERBOSITY default
SELECT kpi.create_kpi('x_long', formula => '1' || repeat(' * 2', 15000), unit => 'EUR');

-- Numbers of many digits, with which it takes long.
SET statement_timeout = '100ms';
DO $$
DECLARE
    started timestamptz := clock_timestamp();
BEGIN
    PERFORM kpi_internal.formula_value('a' || repeat(' * a', 400), '{a}', ARRAY[('0.' || repeat('1', 16000))::numeric]);
    RAISE 'it was not cancelled';
EXCEPTION WHEN query_canceled THEN
    RAISE NOTICE 'cancelled, at once: %', clock_timestamp() < started + interval '2 s';
END $$;
RESET statement_timeout;
