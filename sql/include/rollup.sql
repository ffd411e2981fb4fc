-- The oracle of the tests of rollup tables, in schema rollup_test, which is new: what
-- the tables have against what the views say.
CREATE SCHEMA rollup_test;

CREATE FUNCTION rollup_test.differences(OUT relation text, OUT problem text, OUT key text, OUT stored text, OUT expected text)
RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    r record;
    c record;
    of_view text;
    condition text;
    keys text;
    names text;
BEGIN
    FOR r IN SELECT * FROM kpi.rollup ORDER BY id LOOP
        relation := r.relation;
        of_view := format('kpi.%s%s_%s', r.per, CASE WHEN r.dimension IS NOT NULL THEN '_breakdown' ELSE '' END,
                          CASE r.grain WHEN 'day' THEN 'daily' ELSE r.grain || 'ly' END);
        condition := format('(%L::date IS NULL OR period_end >= %L::date)', r.since, r.since)
            || CASE WHEN r.dimension IS NOT NULL THEN format(' AND dimension = %L', r.dimension) ELSE '' END
            || format(' AND kpi_id IN (SELECT kpi_id FROM kpi.rollup_column WHERE rollup_id = %s)', r.id);
        keys := format('concat_ws('' '', %s_id, %s period_start)', r.per,
                       CASE WHEN r.dimension IS NOT NULL THEN 'coalesce(dimension_value, ''(none)''), ' ELSE '' END);
        names := CASE r.per WHEN 'team' THEN 'team, team_name, team_path, team_level, parent_team, period, period_end'
                      ELSE 'member, member_name, team_id, team, period, period_end' END;
        problem := 'rows and names';
        FOR key, stored, expected IN EXECUTE format(
            'SELECT coalesce(t.k, v.k), t.n::text, v.n::text'
            '  FROM (SELECT %1$s AS k, ROW(%2$s) AS n FROM %3$s) t'
            '  FULL JOIN (SELECT DISTINCT %4$s AS k, ROW(%2$s) AS n FROM %5$s WHERE %6$s) v ON v.k = t.k'
            ' WHERE t.n IS DISTINCT FROM v.n ORDER BY 1',
            replace(keys, 'coalesce(dimension_value, ''(none)'')', 'dimension_value'), names, r.relation, keys, of_view, condition)
        LOOP
            RETURN NEXT;
        END LOOP;
        FOR c IN SELECT x.name, x.kpi_id FROM kpi.rollup_column x WHERE x.rollup_id = r.id ORDER BY x.position LOOP
            problem := c.name;
            FOR key, stored, expected IN EXECUTE format(
                'SELECT coalesce(t.k, v.k), t.n::text, v.n::text'
                '  FROM (SELECT %1$s AS k, %2$I AS n FROM %3$s WHERE %2$I IS NOT NULL) t'
                '  FULL JOIN (SELECT %4$s AS k, value AS n FROM %5$s WHERE %6$s AND kpi_id = %7$L AND value IS NOT NULL) v ON v.k = t.k'
                ' WHERE t.n IS DISTINCT FROM v.n ORDER BY 1',
                replace(keys, 'coalesce(dimension_value, ''(none)'')', 'dimension_value'), c.name, r.relation, keys, of_view, condition, c.kpi_id)
            LOOP
                RETURN NEXT;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
