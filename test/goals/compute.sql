-- What the library makes of cases in the form of examples.json, and how that
-- differs from what reference.py made of them.
CREATE SCHEMA math;
SET search_path = math, pg_catalog;

-- A rate and money, for targets.
CREATE TABLE deals (id integer PRIMARY KEY, won boolean, amount numeric, day date);
SELECT kpi.create_source('math', relation => 'math.deals', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('math_rate', source => 'math', measure => 'rate(won, true)') > 0 AS created;
SELECT kpi.create_kpi('math_money', source => 'math', measure => 'sum(amount)', unit => 'EUR') > 0 AS created;

CREATE FUNCTION numbers(list jsonb) RETURNS float8[] LANGUAGE sql AS
$$ SELECT coalesce(array_agg(CASE WHEN v = 'null' THEN NULL ELSE (v #>> '{}')::float8 END ORDER BY i), '{}')
     FROM jsonb_array_elements(list) WITH ORDINALITY AS x (v, i) $$;

-- The calendar with these working days (0: Monday) and holidays, made when it is first needed.
CREATE FUNCTION calendar(working jsonb, holidays jsonb) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    days constant text := coalesce((SELECT string_agg(('{mon,tue,wed,thu,fri,sat,sun}'::text[])[d::integer + 1], ',' ORDER BY d)
                                      FROM jsonb_array_elements_text(working) d), 'mon,tue,wed,thu,fri');
    wanted constant text := 'm' || md5(days || coalesce(holidays::text, '[]'));
BEGIN
    IF NOT EXISTS (SELECT FROM kpi.calendar WHERE name = wanted) THEN
        PERFORM kpi.create_calendar(wanted, 'UTC', working_days => days);
        PERFORM kpi.add_holiday(h::date, 'x', wanted) FROM jsonb_array_elements_text(holidays) h;
    END IF;
    RETURN (SELECT id FROM kpi.calendar WHERE name = wanted);
END $$;

CREATE FUNCTION outlook(o kpi_internal.outlook, kind text) RETURNS jsonb LANGUAGE sql AS $$
SELECT CASE kind
       WHEN 'ratio' THEN jsonb_build_object('actual', o.actual, 'remaining_numerator', o.rest_numerator, 'remaining_denominator', o.rest_denominator,
                                            'required_of_rest', o.required_of_rest)
       WHEN 'balance' THEN jsonb_build_object('actual', o.actual, 'closing_share', o.attainment, 'pace_ratio', o.pace)
       ELSE jsonb_build_object('actual_to_date', o.actual, 'attainment_ratio', o.attainment, 'pace_ratio', o.pace, 'rate', o.rate) END
       || jsonb_build_object('expected_today', o.expected, 'forecast', o.forecast, 'sd', o.sd, 'forecast_low', o.low,
                             'forecast_high', o.high, 'attainment_probability', o.probability) $$;

CREATE FUNCTION f(i jsonb, key text) RETURNS float8 LANGUAGE sql AS $$ SELECT (i ->> key)::float8 $$;
CREATE FUNCTION b(i jsonb, key text) RETURNS boolean LANGUAGE sql AS $$ SELECT coalesce((i ->> key)::boolean, false) $$;

CREATE FUNCTION additive(i jsonb) RETURNS kpi_internal.outlook LANGUAGE sql AS
$$ SELECT kpi_internal.forecast_additive(i ->> 'kind', f(i, 'target'), f(i, 'high'), f(i, 'A_yest'), f(i, 'a_today'), f(i, 'G'), f(i, 'F'),
                                         f(i, 'M'), f(i, 'phi'), b(i, 'may_fall'), b(i, 'over')) $$;
CREATE FUNCTION ratio(i jsonb) RETURNS kpi_internal.outlook LANGUAGE sql AS
$$ SELECT kpi_internal.forecast_quotient(i ->> 'kind', f(i, 'target'), f(i, 'high'), f(i, 'N'), f(i, 'D'), f(i, 'FN'), f(i, 'FD'),
                                         f(i, 'N0'), f(i, 'D0'), f(i, 'phi'), coalesce((i ->> 'bounded')::boolean, true), b(i, 'over')) $$;
CREATE FUNCTION status(i jsonb) RETURNS jsonb LANGUAGE sql AS
$$ SELECT to_jsonb(s) FROM kpi_internal.goal_status_rule(i ->> 'kind', f(i, 'target'), f(i, 'high'), b(i, 'additive_'), b(i, 'complete'), b(i, 'started'),
       b(i, 'over'), b(i, 'may_fall'), f(i, 'value'), f(i, 'expected'), f(i, 'F'), NULL, f(i, 'p')) s $$;
CREATE FUNCTION capacity(i jsonb, since text) RETURNS float8 LANGUAGE sql AS
$$ SELECT kpi_internal.goal_capacity(coalesce(i ->> 'start', '2026-11-01')::date, coalesce(i ->> 'end', '2026-11-30')::date, since::date,
                                     numbers(i -> 'ramp'), calendar(i -> 'working', i -> 'holidays')) $$;
CREATE FUNCTION split(total text, weights jsonb, step text) RETURNS jsonb LANGUAGE sql AS
$$ SELECT to_jsonb(kpi_internal.goal_split(total::numeric, (SELECT array_agg(w::numeric) FROM jsonb_array_elements_text(weights) w), step::numeric)) $$;

CREATE FUNCTION outputs(called text, i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE called
    WHEN 'share_workdays' THEN
        (SELECT jsonb_build_object('share', g.workdays, 'workdays', kpi_internal.workdays((i ->> 'start')::date, (i ->> 'end')::date, c),
                                   'gone', CASE WHEN (i ->> 'day')::date < (i ->> 'start')::date THEN 0
                                                ELSE kpi_internal.workdays((i ->> 'start')::date, least((i ->> 'day')::date, (i ->> 'end')::date), c) END)
           FROM calendar(i -> 'working', i -> 'holidays') c, LATERAL kpi_internal.goal_gone((i ->> 'start')::date, (i ->> 'end')::date, (i ->> 'day')::date, c) g)
    WHEN 'level' THEN jsonb_build_object('level', kpi_internal.forecast_level(numbers(i -> 'totals'), i ->> 'grain'))
    WHEN 'season' THEN
        (SELECT jsonb_build_object('season', kpi_internal.forecast_season(numbers(coalesce(jsonb_agg(p -> 0 ORDER BY n), '[]')),
                                                                          numbers(coalesce(jsonb_agg(p -> 1 ORDER BY n), '[]'))))
           FROM jsonb_array_elements(i -> 'pairs') WITH ORDINALITY AS x (p, n))
    WHEN 'dispersion' THEN
        jsonb_build_object('phi', kpi_internal.forecast_noise(
            (SELECT numbers(jsonb_agg(d ORDER BY m, n)) FROM jsonb_array_elements(i -> 'months') WITH ORDINALITY AS x (days, m),
                    jsonb_array_elements(days) WITH ORDINALITY AS y (d, n)),
            (SELECT array_agg(jsonb_array_length(days)::float8 ORDER BY m) FROM jsonb_array_elements(i -> 'months') WITH ORDINALITY AS x (days, m))))
    WHEN 'dispersion_ratio' THEN jsonb_build_object('phi', kpi_internal.forecast_noise_ratio(numbers(i -> 'num_days'), numbers(i -> 'den_days')))
    WHEN 'cum_share' THEN jsonb_build_object('share', kpi_internal.forecast_share_in(numbers(i -> 'days'), f(i, 'u')))
    WHEN 'profile' THEN jsonb_build_object('F', kpi_internal.forecast_profile(f(i, 'base'), numbers(i -> 'shares')))
    WHEN 'own_span' THEN
        (SELECT jsonb_build_object('G', s.gone_yesterday, 'F', s.gone_today, 'M', s.basis)
           FROM kpi_internal.forecast_own_span(f(i, 'F_s'), f(i, 'F_e'), f(i, 'G'), f(i, 'F'), f(i, 'M')) s)
    WHEN 'additive' THEN outlook(additive(i), 'additive')
    WHEN 'ratio' THEN outlook(ratio(i), 'ratio')
    WHEN 'known_denominator' THEN
        outlook(kpi_internal.forecast_known_denominator(i ->> 'kind', f(i, 'target'), f(i, 'high'), f(i, 'A_yest'), f(i, 'a_today'), f(i, 'G'), f(i, 'F'),
                                                        f(i, 'M'), f(i, 'phi'), b(i, 'may_fall'), b(i, 'over'), f(i, 'D')), 'additive')
    WHEN 'balance' THEN
        outlook(kpi_internal.forecast_stock(i ->> 'kind', f(i, 'target'), f(i, 'high'), f(i, 'opening'), f(i, 'now'), f(i, 'G'), f(i, 'F'),
                                            f(i, 'flow0'), f(i, 'var_day'), f(i, 'days'), b(i, 'over')), 'balance')
    WHEN 'largest_remainder' THEN jsonb_build_object('parts', split(i ->> 'total', i -> 'weights', i ->> 'step'))
    WHEN 'capacity' THEN
        (SELECT jsonb_build_object('capacity', jsonb_agg(capacity(i, s) ORDER BY n)) FROM jsonb_array_elements_text(i -> 'since') WITH ORDINALITY AS x (s, n))
    WHEN 'phased' THEN
        (SELECT jsonb_build_object('at', kpi_internal.goal_phased(numbers(jsonb_agg(p -> 0 ORDER BY n)), numbers(jsonb_agg(p -> 1 ORDER BY n)), f(i, 'F_day')))
           FROM jsonb_array_elements(i -> 'points') WITH ORDINALITY AS x (p, n))
    WHEN 'suggest' THEN (SELECT to_jsonb(s) FROM kpi_internal.goal_suggest(f(i, 'M'), f(i, 'phi')) s)
    WHEN 'activities' THEN
        (SELECT jsonb_build_object('needed', to_jsonb(a.needed), 'per_day', to_jsonb(a.per_day))
           FROM kpi_internal.goal_activities(f(i, 'target') - f(i, 'actual'), f(i, 'per_deal'),
                                             (SELECT numbers(jsonb_agg(r -> 1 ORDER BY n)) FROM jsonb_array_elements(i -> 'rates') WITH ORDINALITY AS x (r, n)),
                                             f(i, 'days_left') - f(i, 'lag'), f(i, 'members')) a)
    WHEN 'status' THEN status(i)
    WHEN 'resolve' THEN jsonb_build_object('target', kpi_internal.resolve_target(i ->> 'text', i ->> 'kpi', (i ->> 'baseline')::numeric))
    END;
END $$;

-- The same to 6 digits: numbers, and lists of them.  A key that is missing is null.
CREATE FUNCTION same(a jsonb, b jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    a := coalesce(a, 'null');
    b := coalesce(b, 'null');
    IF jsonb_typeof(a) = 'number' AND jsonb_typeof(b) = 'number' THEN
        RETURN abs(a::float8 - b::float8) <= 1e-6 * greatest(abs(a::float8), abs(b::float8)) + 1e-10;
    ELSIF jsonb_typeof(a) = 'array' AND jsonb_typeof(b) = 'array' THEN
        RETURN jsonb_array_length(a) = jsonb_array_length(b)
               AND NOT EXISTS (SELECT FROM generate_series(0, jsonb_array_length(a) - 1) i WHERE NOT same(a -> i, b -> i));
    END IF;
    RETURN a = b;
END $$;

CREATE FUNCTION difference(name text, called text, inputs jsonb, expected jsonb) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('%s: %s(%s): %s is %s, and %s by the reference', name, called, inputs, key, coalesce(o -> key, 'null'), coalesce(expected -> key, 'null'))
      FROM outputs(called, inputs) o,
           LATERAL (SELECT jsonb_object_keys(coalesce(o, '{}')) UNION SELECT jsonb_object_keys(expected)) k (key)
     WHERE NOT same(o -> key, expected -> key) OR o IS NULL
     ORDER BY key $$;

-- The worked examples, each as one or more calls.
CREATE FUNCTION calls(examples jsonb) RETURNS TABLE (name text, called text, inputs jsonb, expected jsonb) LANGUAGE sql AS $$
    WITH e AS (SELECT x ->> 'name' AS name, split_part(x ->> 'name', ' ', 1) AS n, x -> 'inputs' AS i, x -> 'outputs' AS o, x -> 'cases' AS cases
                 FROM jsonb_array_elements(examples) x)
    SELECT name, i ->> 'function', i - 'function', o FROM e WHERE i ? 'function'
    UNION ALL
    SELECT e.name, c.called, coalesce(c.inputs, e.i), coalesce(c.expected, e.o)
      FROM e
      CROSS JOIN LATERAL (
           SELECT * FROM (VALUES
               ('01', 'share_workdays', NULL::jsonb, NULL::jsonb),
               ('02', 'level', NULL, NULL), ('03', 'level', NULL, NULL), ('04', 'season', NULL, NULL),
               ('05', 'season', i, o - 'none'), ('05', 'season', '{"pairs": []}', jsonb_build_object('season', o -> 'none')),
               ('06', 'dispersion', NULL, NULL), ('07', 'profile', NULL, NULL), ('22f', 'own_span', NULL, NULL),
               ('23', 'largest_remainder', NULL, NULL), ('24', 'largest_remainder', NULL, NULL),
               ('25', 'capacity', i, o - 'parts'),
               ('25', 'largest_remainder', jsonb_build_object('total', '60000.00', 'step', '0.01', 'weights', o -> 'capacity'), o - 'capacity'),
               ('27', 'phased', i || '{"F_day": 0.45}', jsonb_build_object('at', o -> 'at_045')),
               ('27', 'phased', i || '{"F_day": 0.8}', jsonb_build_object('at', o -> 'at_08')),
               ('28', 'suggest', NULL, NULL)) v (n, called, inputs, expected)
            WHERE v.n = e.n) c
    UNION ALL
    SELECT name, 'activities', i, (SELECT jsonb_build_object('needed', jsonb_agg(s -> 1 ORDER BY n), 'per_day', jsonb_agg(s -> 2 ORDER BY n))
                                     FROM jsonb_array_elements(o -> 'steps') WITH ORDINALITY AS x (s, n)) FROM e WHERE n = '29'
    UNION ALL
    SELECT name, 'resolve', jsonb_build_object('text', split_part(key, ' of ', 1), 'kpi', CASE WHEN key LIKE '% of %' THEN 'math_money' ELSE 'math_rate' END,
                                               'baseline', coalesce(nullif(split_part(key, ' of ', 2), '')::numeric, f(i, 'baseline')::numeric)),
           jsonb_build_object('target', value) FROM e, jsonb_each(o) WHERE n = '26'
    UNION ALL
    SELECT name, 'status', c -> 'inputs', c -> 'outputs' FROM e, jsonb_array_elements(cases) c WHERE n = '30'
    UNION ALL
    -- on the real CRM: level, forecast and status of one case each
    SELECT concat_ws(' ', name, c ->> 'kpi', c ->> 'scope', c ->> 'day'), v.*
      FROM e, jsonb_array_elements(cases) c,
           LATERAL (SELECT additive(c || jsonb_build_object('kind', 'at_least', 'M', f(c, 'level') * f(c, 'season'))) AS o) a,
           LATERAL (VALUES ('level', jsonb_build_object('totals', c -> 'closed_periods', 'grain', c -> 'grain'), jsonb_build_object('level', c -> 'level')),
                           ('additive', c || jsonb_build_object('kind', 'at_least', 'M', f(c, 'level') * f(c, 'season')),
                            c - '{kpi,scope,day,grain,closed_periods,baseline,target,level,season,phi,G,F,A_yest,a_today,status,rule}'::text[]),
                           ('status', jsonb_build_object('kind', 'at_least', 'target', c -> 'target', 'additive_', true, 'complete', true, 'started', true,
                                                         'value', c -> 'actual_to_date', 'F', c -> 'F', 'p', (a.o).probability),
                            jsonb_build_object('status', c -> 'status', 'rule', c -> 'rule'))) v
     WHERE n = '31' AND c ? 'level'
    UNION ALL
    SELECT concat_ws(' ', name, c ->> 'kpi', c ->> 'scope', c ->> 'day'), 'ratio', c || '{"kind": "at_least"}',
           c - '{kpi,scope,day,grain,target,N,D,N0,D0,FN,FD,phi}'::text[]
      FROM e, jsonb_array_elements(cases) c WHERE n = '31' AND c ? 'N0' $$;
