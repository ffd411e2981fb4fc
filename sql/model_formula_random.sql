-- Random formulas against the server's own evaluation of the same text.  KPI_SEED repeats a run.
\getenv seed KPI_SEED
\if :{?seed}
\else
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint % 100000 AS seed \gset
\endif
SELECT set_config('kpi_test.seed', :'seed', false) IS NOT NULL AS seeded;
CREATE FUNCTION pg_temp.one_of(VARIADIC words text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
SELECT words[1 + floor(random() * cardinality(words))::int] $$;
CREATE FUNCTION pg_temp.expression(depth int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    x text;
    y text;
BEGIN
    IF depth = 0 OR random() < 0.1 THEN
        RETURN pg_temp.one_of('a', 'b', 'c', '0.0', '1.0', '2.5', '-3.0', 'a', 'b', 'c');
    END IF;
    x := pg_temp.expression(depth - 1);
    y := pg_temp.expression(depth - 1);
    RETURN pg_temp.one_of(
        format('(%s %s %s)', x, pg_temp.one_of('+', '-', '*'), y), format('(%s / nullif(%s, 0))', x, y), format('(- %s)', x),
        format('%s(%s, %s)', pg_temp.one_of('coalesce', 'greatest', 'least', 'nullif'), x, y), format('abs(%s)', x), format('round(%s, 1)', x),
        format('CASE WHEN %s THEN %s ELSE %s END', pg_temp.condition(depth - 1), x, y), format('CASE WHEN %s THEN %s END', pg_temp.condition(depth - 1), x),
        format('CASE %s WHEN %s THEN 1.0 WHEN 2.5 THEN %s ELSE 3.0 END', x, pg_temp.expression(depth - 1), y));
END $$;
CREATE FUNCTION pg_temp.condition(depth int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF depth <= 0 OR random() < 0.5 THEN
        RETURN format('%s %s %s', pg_temp.expression(greatest(depth - 1, 0)), pg_temp.one_of('<', '<=', '=', '<>', '>=', '>'), pg_temp.expression(greatest(depth - 1, 0)));
    END IF;
    RETURN pg_temp.one_of(format('NOT (%s)', pg_temp.condition(depth - 1)),
                          format('(%s %s %s)', pg_temp.condition(depth - 1), pg_temp.one_of('AND', 'OR'), pg_temp.condition(depth - 1)));
END $$;
DO $$
DECLARE
    formula text;
    vals numeric[];
    got numeric;
    expected numeric;
    numbers int := 0;
BEGIN
    PERFORM setseed(current_setting('kpi_test.seed')::numeric % 1000 / 1000);
    FOR n IN 1 .. 500 LOOP
        formula := pg_temp.expression(4);
        vals := ARRAY(SELECT CASE pg_temp.one_of('n', '0', 'x', 'x', 'x') WHEN 'n' THEN NULL WHEN '0' THEN 0 ELSE round((random() * 10 - 5)::numeric, 1) END
                        FROM generate_series(1, 3));
        got := kpi_internal.formula_value(formula, '{a,b,c}', vals);
        EXECUTE 'SELECT (' || formula || ')::numeric FROM (SELECT $1::numeric AS a, $2::numeric AS b, $3::numeric AS c) v' INTO expected USING vals[1], vals[2], vals[3];
        IF round(got, 10) IS DISTINCT FROM round(expected, 10) THEN
            RAISE WARNING 'KPI_SEED=%: % with % is %, and % by SQL', current_setting('kpi_test.seed'), formula, vals, got, expected;
        END IF;
        numbers := numbers + (got IS NOT NULL)::int;
    END LOOP;
    RAISE NOTICE 'most have a value: %', numbers > 200;
END $$;
