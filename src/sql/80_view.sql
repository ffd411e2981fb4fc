-- 80_view: what people read.
--
-- How these views stay cheap: they are flat joins of definitions, cells or places
-- and names by indexed columns, so that conditions, by name or by id, reach the
-- indexes whatever they are joined with. All that is computed stands in the target
-- list, so it is not computed when nobody asks for it, and for ORDER BY ... LIMIT
-- only for the rows that are shown.

-- What the row of a goal says, computed (goal/progress.c).
CREATE FUNCTION kpi_internal.goal_stand(program text, scope_kind integer, scope_id integer, dim_id integer, period_start date, period_end date, grain text,
                                        own_since date, own_until date, today date, team_id integer, is_complete boolean, is_rate boolean,
                                        direction text, target_kind text, target numeric, target_high numeric, pace text,
                                        milestone_days date[], milestone_amounts numeric[], unit text,
                                        basis text, basis_start date, basis_end date, level float8, level_denominator float8, season float8,
                                        noise float8, may_fall boolean, shares float8[], weight float8,
                                        denominator_shares float8[], denominator_weight float8,
                                        OUT is_additive boolean, OUT actual numeric, OUT actual_to_date numeric, OUT numerator numeric,
                                        OUT denominator numeric, OUT workdays_left integer, OUT elapsed_ratio numeric,
                                        OUT expected_today numeric, OUT forecast numeric, OUT forecast_low numeric, OUT forecast_high numeric,
                                        OUT attainment_probability numeric, OUT required_of_rest numeric, OUT headroom numeric,
                                        OUT status text, OUT status_rule integer, OUT status_reason text)
    STABLE PARALLEL SAFE COST 1000 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_stand';
CREATE FUNCTION kpi_internal.goal_status_rank(status text) RETURNS integer
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_status_rank';
-- Whether the catalogs say nothing against a source going on (refresh/recheck.c).
CREATE FUNCTION kpi_internal.capture_works(source_id integer, relation text, attached oid, former text,
                                           renamed_at timestamptz) RETURNS boolean
    STABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_capture_works';

-- How far the numbers of a KPI are, by its program. A formula is as complete and
-- as old as the worst of what is below it.
CREATE FUNCTION kpi_internal.is_complete(program text, since date) RETURNS boolean
    STABLE STRICT PARALLEL SAFE COST 100 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_is_complete';
CREATE FUNCTION kpi_internal.complete_since(program text) RETURNS date
    STABLE STRICT PARALLEL SAFE COST 100 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_complete_since';
CREATE FUNCTION kpi_internal.as_of(program text) RETURNS timestamptz
    STABLE STRICT PARALLEL SAFE COST 100 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_as_of';
CREATE FUNCTION kpi_internal.refreshed_at(program text) RETURNS timestamptz
    STABLE STRICT PARALLEL SAFE COST 100 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_refreshed_at';

-- Whether somebody belongs elsewhere today than on the day whose teams were credited.
CREATE FUNCTION kpi_internal.credit_moves(credit_day date) RETURNS boolean
    STABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_credit_moves';

CREATE VIEW kpi_internal.measure_state AS
    SELECT m.id AS measure_id, m.kpi_id, st.as_of, st.refreshed_at,
           st.status = 'active' AND kpi_internal.capture_works(s.id, s.relation, st.relid, st.former_relation, st.renamed_at)
           AND (x.credit = 'then' OR NOT kpi_internal.credit_moves(st.credit_day)) AS is_captured,
           CASE WHEN b.version = x.version
                THEN greatest(b.days_since, b.rollups_since,
                              (SELECT pg_catalog.max(CASE WHEN m.id <> ALL (l.measures) THEN greatest(l.last_day + 1, l.missing_until)
                                                          WHEN m.id = ANY (l.unbuilt) THEN l.missing_until END)
                                 FROM kpi_internal.seal l WHERE l.source_id = s.id))
                ELSE 'infinity' END AS complete_since
      FROM kpi_internal.measure m
      JOIN kpi_internal.stream x ON x.id = m.stream_id
      JOIN kpi.source s ON s.id = x.source_id
      JOIN kpi_internal.source_state st ON st.source_id = x.source_id
      LEFT JOIN kpi_internal.measure_built b ON b.measure_id = m.id;

CREATE VIEW kpi_internal.kpi_state AS
    SELECT s.kpi_id, s.program,
           kpi_internal.as_of(s.program) AS as_of,
           kpi_internal.refreshed_at(s.program) AS refreshed_at,
           kpi_internal.today_of(s.program) AS today
      FROM kpi_internal.kpi_stream s
     WHERE s.position = 1;

-- Days of members, as rows of rollup_cell would be: the base cells of the owners
-- that counted for the member at the last refresh, each day once. A cell of some
-- values of dimensions, or of one owner of several, is only a part of the day.
CREATE VIEW kpi_internal.member_day AS
    SELECT b.stream_id, a.source_id, a.owner_kind, 2 AS scope_kind, a.member_id AS scope_id, 0 AS grain, 0 AS dim_id,
           b.day AS start, CASE WHEN b.dim_id = 0 AND kpi_internal.has_one_owner(a.source_id, a.member_id) THEN b.cell END AS cell,
           NULL::kpi.cell AS recent, b.is_carried
      FROM (SELECT d.stream_id, d.owner_id, d.day, d.dim_id, d.cell, false AS is_carried
              FROM kpi_internal.day_cell d
             UNION ALL     -- what balances bring (below), at the first of the owners
            SELECT y.stream_id, w.owner_id, p.start, 0, NULL, true
              FROM kpi_internal.measure z
              JOIN kpi_internal.stream x ON x.id = z.stream_id
              JOIN kpi.calendar o ON o.id = 1
             CROSS JOIN LATERAL kpi_internal.carried_periods(z.stream_id, 0, o.week_start, o.fiscal_year_start) p
              JOIN kpi_internal.rollup_cell y
                   ON y.stream_id = z.stream_id AND y.scope_kind = 2 AND y.grain = 5 AND y.dim_id = 0 AND y.start <= p.last_day
              JOIN kpi_internal.applied_attribution w ON w.source_id = x.source_id AND w.member_id = y.scope_id
             WHERE z.kind = 'balance' AND z.role = 'value'
               AND NOT EXISTS (SELECT FROM kpi_internal.measure e
                                WHERE e.stream_id = z.stream_id AND e.kind = 'balance' AND e.role = 'value' AND e.id < z.id)
               AND NOT EXISTS (SELECT FROM kpi_internal.rollup_cell e
                                WHERE e.stream_id = y.stream_id AND e.scope_kind = 2 AND e.scope_id = y.scope_id
                                  AND e.grain = 5 AND e.dim_id = 0 AND e.start < y.start)
               AND NOT EXISTS (SELECT FROM kpi_internal.applied_attribution e
                                WHERE e.source_id = w.source_id AND e.member_id = w.member_id
                                  AND (e.owner_id < w.owner_id OR e.owner_id = w.owner_id AND e.since < w.since))
           ) b
      JOIN kpi_internal.applied_attribution a
           ON a.owner_kind IN (0, 3) AND a.owner_id = b.owner_id AND a.member_id <> 0 AND a.since <= b.day AND a.until > b.day
     WHERE b.day > '-infinity'
       AND NOT EXISTS (SELECT FROM kpi_internal.day_cell e
                        WHERE e.stream_id = b.stream_id AND e.owner_id = b.owner_id AND e.day = b.day
                          AND e.dim_id < b.dim_id)
       AND kpi_internal.is_first_owner(a.source_id, a.member_id, b.stream_id, b.owner_id, b.day);

-- The views of one level and grain, all from one template, so that they look the
-- same; and those over all of them.
DO $generate$
DECLARE
    -- the arguments of a column: the program of the KPI at the place of the row, with
    -- the cell if that is all of it
    row constant text := 's.program, c.stream_id, c.scope_kind, c.scope_id, c.grain, c.dim_id, c.start, '
        || 'CASE WHEN c.recent IS NULL THEN c.cell END';
    row_id constant text := 'kpi_internal.row_id(k.id, c.scope_kind, c.scope_id, c.grain, c.dim_id, c.start)';
    period constant text := $$kpi_internal.period_name(c.start, c.grain,
                                    (SELECT o.fiscal_year_start FROM kpi.calendar o WHERE o.id = 1)) AS period,
           c.start AS period_start, kpi_internal.period_end(c.start, c.grain) AS period_end$$;
    kpi_columns constant text := 'k.id AS kpi_id, k.name AS kpi, k.title AS kpi_title, k.unit';
    team_columns constant text := $$t.id AS team_id, t.key AS team, t.name AS team_name,
           kpi_internal.team_path(t.id) AS team_path, kpi_internal.team_level(t.id) AS team_level,
           kpi_internal.parent_team(t.id) AS parent_team$$;
    member_team constant text := $$(SELECT %1$s FROM kpi.membership h%2$s
             WHERE h.member_id = m.id
               AND (h.since IS NULL OR h.since <= least(kpi_internal.today_of(s.program), kpi_internal.period_end(c.start, c.grain)))
               AND (h.until IS NULL OR h.until > least(kpi_internal.today_of(s.program), kpi_internal.period_end(c.start, c.grain))))$$;
    member_columns constant text := 'm.id AS member_id, m.key AS member, m.name AS member_name, '
        || pg_catalog.format(member_team, 'h.team_id', '') || ' AS team_id, '
        || pg_catalog.format(member_team, 'u.key', ' JOIN kpi.team u ON u.id = h.team_id') || ' AS team';
    -- What facts bring, and what balances bring: a place of each scope in each period from its first until
    -- today. The second is a query of its own, for the planner as well: it gets the periods and the ids of scopes
    -- that are asked for by constants, and no parameters, as it would not run in parallel by those.
    cells constant text := $$kpi.kpi k
      JOIN kpi_internal.kpi_stream s ON s.kpi_id = k.id
      JOIN (SELECT r.stream_id, r.scope_kind, r.scope_id, r.grain, r.dim_id, r.start, r.cell, r.recent, false AS is_carried
              FROM kpi_internal.rollup_cell r
             UNION ALL
            SELECT a.stream_id, a.scope_kind, a.scope_id, p.grain, a.dim_id, p.start, NULL, NULL, true
              FROM kpi_internal.measure z
              JOIN kpi.calendar o ON o.id = 1
             CROSS JOIN LATERAL kpi_internal.carried_periods(z.stream_id, %s, o.week_start, o.fiscal_year_start) p
              JOIN kpi_internal.rollup_cell a
                   ON a.stream_id = z.stream_id AND a.grain = 5 AND a.start <= p.last_day
                  AND (p.grain > 0 OR a.scope_kind = 1) AND (p.grain > 1 OR a.dim_id = 0)
             WHERE z.kind = 'balance' AND z.role = 'value'
               AND NOT EXISTS (SELECT FROM kpi_internal.measure e     -- once for a stream
                                WHERE e.stream_id = z.stream_id AND e.kind = 'balance' AND e.role = 'value' AND e.id < z.id)
               AND NOT EXISTS (SELECT FROM kpi_internal.rollup_cell e -- and for a scope, at its first year
                                WHERE e.stream_id = a.stream_id AND e.scope_kind = a.scope_kind AND e.scope_id = a.scope_id
                                  AND e.grain = 5 AND e.dim_id = a.dim_id AND e.start < a.start)
           ) c ON c.stream_id = s.stream_id AND (s.is_carried OR NOT c.is_carried)$$;
    has_value constant text := pg_catalog.format(
        'CASE WHEN c.is_carried THEN kpi_internal.has_balance(%1$s) ELSE kpi_internal.has_value(%1$s) END', row);
    member_days constant text := $$kpi.kpi k
      JOIN kpi_internal.kpi_stream s ON s.kpi_id = k.id AND s.for_members
      JOIN kpi_internal.member_day c ON c.stream_id = s.stream_id AND c.source_id = s.source_id
           AND c.owner_kind = s.owner_kind AND (s.is_carried OR NOT c.is_carried)$$;
    dimensions constant text := $$
      JOIN kpi_internal.dim x ON x.id = c.dim_id
      JOIN kpi.dimension d ON d.source_id = x.source_id AND d.position = x.position$$;
    grains constant text := $$
      JOIN (VALUES (0, 'day'::text COLLATE "C"), (1, 'week'), (2, 'month'), (3, 'quarter'), (4, 'year'))
           AS g (number, grain) ON g.number = c.grain$$;
    series_template constant text := $$
CREATE VIEW kpi.%1$s AS
    SELECT %2$s AS id, %3$s,
           %4$L::text COLLATE "C" AS scope, %5$s,
           %6$L::text COLLATE "C" AS grain,
           %7$s,
           kpi_internal.is_current(s.program, c.grain, c.start) AS is_current,
           kpi_internal.value(%8$s) AS value,
           kpi_internal.value_to_date(%8$s) AS value_to_date,
           kpi_internal.numerator(%8$s) AS numerator,
           kpi_internal.denominator(%8$s) AS denominator,
           kpi_internal.facts(%8$s) AS facts,
           kpi_internal.previous_value(%8$s) AS previous_value,
           kpi_internal.previous_value_to_date(%8$s) AS previous_value_to_date,
           kpi_internal.growth_ratio(%8$s) AS growth_ratio,
           kpi_internal.year_ago_value(%8$s) AS year_ago_value,
           kpi_internal.yoy_growth_ratio(%8$s) AS yoy_growth_ratio,
           kpi_internal.is_complete(s.program, c.start) AS is_complete,
           kpi_internal.complete_since(s.program) AS complete_since,
           kpi_internal.as_of(s.program) AS as_of,
           kpi_internal.refreshed_at(s.program) AS refreshed_at
      FROM %9$s AND c.scope_kind = %10$s AND c.grain = %11$s AND c.dim_id = 0
      JOIN %12$s
     WHERE %13$s$$;
    breakdown_template constant text := $$
CREATE VIEW kpi.%1$s AS
    SELECT %2$s AS id, %3$s,
           'team'::text COLLATE "C" AS scope, %4$s,
           d.name COLLATE "C" AS dimension, x.vals[1] AS dimension_value,
           %5$L::text COLLATE "C" AS grain,
           %6$s,
           kpi_internal.is_current(s.program, c.grain, c.start) AS is_current,
           kpi_internal.value(%7$s) AS value,
           kpi_internal.value_to_date(%7$s) AS value_to_date,
           kpi_internal.numerator(%7$s) AS numerator,
           kpi_internal.denominator(%7$s) AS denominator,
           kpi_internal.facts(%7$s) AS facts,
           kpi_internal.previous_value(%7$s) AS previous_value,
           kpi_internal.year_ago_value(%7$s) AS year_ago_value,
           kpi_internal.is_complete(s.program, c.start) AS is_complete,
           kpi_internal.complete_since(s.program) AS complete_since,
           kpi_internal.as_of(s.program) AS as_of,
           kpi_internal.refreshed_at(s.program) AS refreshed_at
      FROM %8$s AND s.has_breakdown AND c.scope_kind = 1 AND c.grain = %9$s AND c.dim_id <> 0%10$s
      JOIN kpi.team t ON t.id = c.scope_id
     WHERE %11$s$$;
    g record;
BEGIN
    FOR g IN
        SELECT * FROM (VALUES (0, 'day', 'daily'), (1, 'week', 'weekly'), (2, 'month', 'monthly'),
                              (3, 'quarter', 'quarterly'), (4, 'year', 'yearly')) AS x (number, grain, suffix)
    LOOP
        EXECUTE pg_catalog.format(series_template, 'team_' || g.suffix, row_id, kpi_columns, 'team', team_columns,
                                  g.grain, period, row, pg_catalog.format(cells, g.number), 1, g.number,
                                  'kpi.team t ON t.id = c.scope_id', has_value);
        EXECUTE pg_catalog.format(series_template, 'member_' || g.suffix, row_id, kpi_columns, 'member', member_columns,
                                  g.grain, period, row,
                                  CASE g.grain WHEN 'day' THEN member_days ELSE pg_catalog.format(cells, g.number) END,
                                  2, g.number, 'kpi.member m ON m.id = c.scope_id', has_value);
        IF g.grain IN ('month', 'quarter', 'year') THEN
            EXECUTE pg_catalog.format(breakdown_template, 'team_breakdown_' || g.suffix, row_id, kpi_columns, team_columns,
                                      g.grain, period, row, pg_catalog.format(cells, g.number), g.number, dimensions, has_value);
        END IF;
    END LOOP;

    EXECUTE pg_catalog.format($$
CREATE VIEW kpi.kpi_value AS
    SELECT %1$s AS id, k.id AS kpi_id, p.scope, t.id AS team_id, m.id AS member_id, g.grain,
           %2$s,
           kpi_internal.value(%3$s) AS value,
           kpi_internal.numerator(%3$s) AS numerator,
           kpi_internal.denominator(%3$s) AS denominator,
           kpi_internal.facts(%3$s) AS facts
      FROM %4$s AND c.grain < 5 AND c.dim_id = 0 AND (c.scope_kind = 1 OR c.grain > 0)%5$s
      JOIN (VALUES (1, 'team'::text COLLATE "C"), (2, 'member')) AS p (kind, scope) ON p.kind = c.scope_kind
      LEFT JOIN kpi.team t ON c.scope_kind = 1 AND t.id = c.scope_id
      LEFT JOIN kpi.member m ON c.scope_kind = 2 AND m.id = c.scope_id
     WHERE (t.id IS NOT NULL OR m.id IS NOT NULL) AND %6$s$$,
        row_id, period, row, pg_catalog.format(cells, 'NULL'), grains, has_value);

    EXECUTE pg_catalog.format($$
CREATE VIEW kpi.kpi_breakdown AS
    SELECT %1$s AS id, k.id AS kpi_id, 'team'::text COLLATE "C" AS scope, t.id AS team_id, NULL::integer AS member_id,
           d.name COLLATE "C" AS dimension, x.vals[1] AS dimension_value, g.grain,
           %2$s,
           kpi_internal.value(%3$s) AS value,
           kpi_internal.numerator(%3$s) AS numerator,
           kpi_internal.denominator(%3$s) AS denominator,
           kpi_internal.facts(%3$s) AS facts
      FROM %4$s AND s.has_breakdown AND c.scope_kind = 1 AND c.grain > 1 AND c.grain < 5 AND c.dim_id <> 0%5$s%6$s
      JOIN kpi.team t ON t.id = c.scope_id
     WHERE %7$s$$,
        row_id, period, row, pg_catalog.format(cells, 'NULL'), dimensions, grains, has_value);
END
$generate$;

-- Where goals are measured: by what program, for whom. No dim_id: no fact has the
-- dimension's value.
CREATE VIEW kpi_internal.goal_place AS
    SELECT g.id AS goal_id, s.program, kpi_internal.is_complete(s.program, '-infinity') AS is_complete, s.today,
           CASE WHEN g.member_id IS NULL THEN 1 ELSE 2 END AS scope_kind, coalesce(g.team_id, g.member_id) AS scope_id,
           CASE WHEN g.dimension IS NULL THEN 0 ELSE x.id END AS dim_id,
           pg_catalog.array_position('{day,week,month,quarter,year}', g.grain) - 1 AS grain_number
      FROM kpi.goal g
      JOIN kpi.kpi k ON k.id = g.kpi_id
      JOIN kpi_internal.kpi_state s ON s.kpi_id = g.kpi_id
      LEFT JOIN kpi.dimension d ON d.source_id = k.source_id AND d.name = g.dimension
      LEFT JOIN kpi_internal.dim x
             ON x.source_id = d.source_id AND x.position = d.position
            AND pg_catalog.hash_array_extended(x.vals, 0) = pg_catalog.hash_array_extended(ARRAY[g.dimension_value] COLLATE "C", 0)
            AND x.vals = ARRAY[g.dimension_value] COLLATE "C";
COMMENT ON VIEW kpi_internal.goal_place IS 'Where goals are measured: by which program, for whom, with which dimension value; is_complete: all of the history is there';

-- Where every goal stands now, as the row of kpi.goal_progress says it (goal/table.c).
-- Judged by what is dated until today: what is dated ahead is no progress yet.
CREATE VIEW kpi_internal.goal_now AS
    SELECT kpi_internal.goal_period_id(g.id, e.period_start) AS id, g.id AS goal_id,
           coalesce(g.name, pg_catalog.concat_ws(' ', k.title, coalesce(m.name, t.name),
                                                 coalesce(g.dimension_value, 'without ' || g.dimension), e.period)) AS goal,
           g.plan,
           g.kpi_id, k.name AS kpi, k.title AS kpi_title, k.unit, k.direction,
           CASE WHEN g.member_id IS NULL THEN 'team' ELSE 'member' END COLLATE "C" AS scope,
           t.id AS team_id, t.key AS team, t.name AS team_name,
           kpi_internal.team_path(t.id) AS team_path, kpi_internal.team_level(t.id) AS team_level,
           g.member_id, m.key AS member, m.name AS member_name,
           g.dimension, g.dimension_value,
           g.grain, e.period, e.period_start, e.period_end,
           s.today >= e.period_start AND s.today <= e.period_end AS is_current,
           e.target, e.target_high, coalesce(e.target_kind, CASE k.direction WHEN 'down' THEN 'at_most' ELSE 'at_least' END) AS target_kind,
           e.minimum, e.stretch, e.baseline, e.baseline_period,
           kpi_internal.shown(s.program, (p.f).actual) AS actual,
           kpi_internal.shown(s.program, (p.f).actual_to_date) AS actual_to_date, (p.f).numerator, (p.f).denominator,
           pg_catalog.round((p.f).actual / nullif(e.target, 0), 6) AS attainment_ratio,
           kpi_internal.shown(s.program, e.target - (p.f).actual) AS remaining,
           (p.f).elapsed_ratio,
           (p.f).expected_today,
           pg_catalog.round((p.f).actual_to_date / nullif((p.f).expected_today, 0), 6) AS pace_ratio,
           CASE WHEN (p.f).is_additive AND (p.f).workdays_left > 0
                THEN pg_catalog.round(greatest(e.target - (p.f).actual_to_date, 0) / (p.f).workdays_left, 6)
           END AS required_per_workday,
           (p.f).workdays_left,
           (p.f).forecast, (p.f).forecast_low, (p.f).forecast_high, (p.f).attainment_probability,
           coalesce(b.forecast_basis, 'none') AS forecast_basis,
           (p.f).required_of_rest, (p.f).headroom,
           n.amount AS next_milestone, n.day AS next_milestone_date,
           (p.f).status, kpi_internal.goal_status_rank((p.f).status) AS status_rank, (p.f).status_rule, (p.f).status_reason,
           s.is_complete,
           s.as_of IS NULL OR (s.numbers_day < s.today AND s.numbers_day <= e.period_end AND s.today >= e.period_start) AS is_stale,
           s.is_complete AND s.today > e.period_end AND coalesce(s.numbers_day > e.period_end, false) AS is_final,
           r.reported_actual, r.reported_at,
           CASE WHEN r.id IS NULL THEN NULL    -- nothing is 0 of what adds up, so that reported and restated do
                ELSE kpi_internal.shown(s.program, CASE WHEN (p.f).is_additive THEN coalesce((p.f).actual, 0) - coalesce(r.reported_actual, 0)
                                                        ELSE (p.f).actual - r.reported_actual END) END AS restated_difference,
           s.today AS as_of_day, s.as_of, s.refreshed_at
      FROM kpi.goal g
     CROSS JOIN LATERAL (    -- after the goal, whatever is known of the table
           SELECT z.* FROM kpi.goal_target z WHERE z.goal_id = g.id AND z.valid_until IS NULL
           OFFSET 0) e
      LEFT JOIN kpi.goal_reported r ON r.goal_id = g.id AND r.period_start = e.period_start AND r.reopened_at IS NULL
      JOIN kpi.kpi k ON k.id = g.kpi_id
     CROSS JOIN LATERAL (
           SELECT z.program, kpi_internal.is_complete(z.program, g.period_start) AS is_complete, z.as_of, z.refreshed_at, z.today,
                  kpi_internal.day_of(z.program, z.as_of) AS numbers_day
             FROM kpi_internal.kpi_state z WHERE z.kpi_id = g.kpi_id
           OFFSET 0) s
      LEFT JOIN kpi.dimension d ON d.source_id = k.source_id AND d.name = g.dimension
      LEFT JOIN kpi_internal.dim x
             ON x.source_id = d.source_id AND x.position = d.position
            AND pg_catalog.hash_array_extended(x.vals, 0) = pg_catalog.hash_array_extended(ARRAY[g.dimension_value] COLLATE "C", 0)
            AND x.vals = ARRAY[g.dimension_value] COLLATE "C"
      LEFT JOIN kpi.member m ON m.id = g.member_id
      LEFT JOIN kpi.membership h
             ON h.member_id = g.member_id
            AND (h.since IS NULL OR h.since <= least(s.today, e.period_end))
            AND (h.until IS NULL OR h.until > least(s.today, e.period_end))
      JOIN kpi.team t ON t.id = coalesce(g.team_id, h.team_id, 2)
      LEFT JOIN kpi.forecast_basis b
             ON b.kpi_id = g.kpi_id AND b.grain = e.forecast_grain AND b.period_start = e.forecast_start
            AND coalesce(b.team_id, 0) = coalesce(g.team_id, 0) AND coalesce(b.member_id, 0) = coalesce(g.member_id, 0)
            AND b.dimension IS NOT DISTINCT FROM g.dimension AND b.dimension_value IS NOT DISTINCT FROM g.dimension_value
      LEFT JOIN kpi_internal.forecast_company y ON y.kpi_id = b.kpi_id AND y.grain = b.grain AND y.period_start = b.period_start
     CROSS JOIN LATERAL (
           SELECT kpi_internal.goal_stand(s.program, CASE WHEN g.member_id IS NULL THEN 1 ELSE 2 END, coalesce(g.team_id, g.member_id),
                                          CASE WHEN g.dimension IS NULL THEN 0 ELSE x.id END, e.period_start, e.period_end, g.grain,
                                          o.since, o.until, s.today, coalesce(g.team_id, h.team_id, 1), s.is_complete,
                                          coalesce((SELECT q.kind = 'rate' FROM kpi_internal.measure q WHERE q.kpi_id = g.kpi_id AND q.role = 'value'), false),
                                          k.direction, e.target_kind, e.target, e.target_high, g.pace, w.days, w.amounts, k.unit,
                                          b.forecast_basis, b.period_start, b.period_end, b.level, b.level_denominator, b.season,
                                          b.noise, b.may_fall, y.shares, y.weight, y.denominator_shares, y.denominator_weight) AS f
             FROM (SELECT CASE WHEN pg_catalog.count(u.since) = pg_catalog.count(*) THEN pg_catalog.min(u.since) END AS since,
                          CASE WHEN pg_catalog.count(u.until) = pg_catalog.count(*) THEN pg_catalog.max(u.until) END AS until
                     FROM kpi.membership u WHERE u.member_id = g.member_id) o
             LEFT JOIN (SELECT pg_catalog.array_agg(c.day ORDER BY c.day) AS days, pg_catalog.array_agg(c.amount ORDER BY c.day) AS amounts
                          FROM kpi.goal_milestone c WHERE c.goal_id = g.id) w ON g.pace = 'phased'
           OFFSET 0) p
      LEFT JOIN LATERAL (
           SELECT c.amount, c.day FROM kpi.goal_milestone c
            WHERE c.goal_id = g.id AND g.pace = 'phased' AND c.day >= s.today AND c.amount > coalesce((p.f).actual_to_date, 0)
            ORDER BY c.day LIMIT 1) n ON true
     WHERE NOT g.is_draft;

-- Goals in periods that have begun, of numbers that are complete, for which nobody has
-- frozen yet what a forecast is based on (goal/basis_table.c).
CREATE VIEW kpi_internal.goal_without_basis AS
    SELECT g.id AS goal_id, g.kpi_id, g.team_id, g.member_id, g.dimension, g.dimension_value, t.forecast_grain AS grain,
           t.forecast_start AS period_start, pg_catalog.array_position('{day,week,month,quarter,year}', t.forecast_grain) - 1 AS grain_number,
           p.program, p.scope_kind, p.scope_id, p.dim_id, p.today
      FROM kpi.goal g
     CROSS JOIN LATERAL (
           SELECT z.forecast_grain, z.forecast_start, z.period_start
             FROM kpi.goal_target z
            WHERE z.goal_id = g.id AND z.valid_until IS NULL AND z.forecast_start IS NOT NULL
              AND NOT EXISTS (
                  SELECT FROM kpi.forecast_basis b
                   WHERE b.kpi_id = g.kpi_id AND b.grain = z.forecast_grain AND b.period_start = z.forecast_start
                     AND coalesce(b.team_id, 0) = coalesce(g.team_id, 0) AND coalesce(b.member_id, 0) = coalesce(g.member_id, 0)
                     AND b.dimension IS NOT DISTINCT FROM g.dimension AND b.dimension_value IS NOT DISTINCT FROM g.dimension_value)
           OFFSET 0) t
     CROSS JOIN LATERAL (SELECT q.* FROM kpi_internal.goal_place q WHERE q.goal_id = g.id OFFSET 0) p
     WHERE NOT g.is_draft AND p.is_complete AND p.today >= t.period_start AND p.dim_id IS NOT NULL;
COMMENT ON VIEW kpi_internal.goal_without_basis IS 'Goals whose period has begun and whose forecast has nothing it is based on yet';

-- For verification: columns of a row, by name, that are not what they should be.
CREATE VIEW kpi_internal.goal_difference AS
    SELECT x.goal_id, x.kpi_id, x.kpi, CASE WHEN x.member_id IS NULL THEN x.team_id END AS team_id, x.member_id, x.grain, x.period_start,
           (SELECT pg_catalog.string_agg(f.key || ' ' || coalesce(f.value, 'null'), ', ' ORDER BY f.key)
              FROM pg_catalog.jsonb_each_text(x.stored) f WHERE x.stored -> f.key IS DISTINCT FROM x.expected -> f.key) AS stored,
           (SELECT pg_catalog.string_agg(f.key || ' ' || coalesce(f.value, 'null'), ', ' ORDER BY f.key)
              FROM pg_catalog.jsonb_each_text(x.expected) f WHERE x.stored -> f.key IS DISTINCT FROM x.expected -> f.key) AS expected
      FROM (SELECT n.goal_id, n.kpi_id, n.kpi, n.team_id, n.member_id, n.grain, n.period_start,
                   pg_catalog.to_jsonb(p) - z.moments AS stored, pg_catalog.to_jsonb(n) - z.moments AS expected
              FROM kpi_internal.goal_now n
              LEFT JOIN kpi.goal_progress p ON p.id = n.id
             CROSS JOIN LATERAL (
                   SELECT CASE WHEN kpi_internal.goal_day_matters(n.period_start, n.period_end, p.as_of_day, n.as_of_day)
                               THEN '{as_of,refreshed_at,changed_at,status_since}'
                               ELSE '{as_of,refreshed_at,changed_at,status_since,as_of_day}' END::text[] AS moments) z) x
     WHERE x.stored IS DISTINCT FROM x.expected;
COMMENT ON VIEW kpi_internal.goal_difference IS 'Rows of kpi.goal_progress that are not what kpi_internal.goal_now says, with the columns that differ';

CREATE VIEW kpi.unassigned AS
    SELECT s.id AS source_id, s.name AS source, x.owner_kind AS kind, o.key AS owner,
           pg_catalog.max(c.facts) AS facts, pg_catalog.min(c.first_day) AS first_day,
           pg_catalog.max(c.last_day) AS last_day
      FROM kpi.source s
      JOIN kpi_internal.stream x ON x.source_id = s.id AND x.owner_kind <> 'company'
     CROSS JOIN (
           SELECT o.id, o.key,
                  NOT EXISTS (SELECT FROM kpi.member p WHERE p.key COLLATE "C" = o.key) AS no_member,
                  NOT EXISTS (SELECT FROM kpi.team t WHERE t.key COLLATE "C" = o.key) AS no_team
             FROM kpi_internal.owner o) o
     CROSS JOIN LATERAL (
           SELECT (SELECT pg_catalog.max(kpi_internal.cell_facts(y.cell, m.id))
                     FROM kpi_internal.measure m WHERE m.stream_id = x.id AND m.role = 'value') AS facts,
                  y.first_day, y.last_day
             FROM (SELECT kpi_internal.merge(r.cell) AS cell, pg_catalog.min(r.day) AS first_day,
                          pg_catalog.max(r.day) AS last_day
                     FROM kpi_internal.day_cell r
                    WHERE r.stream_id = x.id AND r.owner_id = o.id AND r.day > '-infinity'
                   HAVING pg_catalog.count(*) > 0) y) c
     WHERE CASE x.owner_kind WHEN 'team' THEN o.no_team ELSE o.no_member END
       AND NOT EXISTS (SELECT FROM kpi.member_alias a
                        WHERE x.owner_kind = 'member' AND a.alias COLLATE "C" = o.key AND coalesce(a.source_id, s.id) = s.id)
     GROUP BY s.id, s.name, x.owner_kind, o.key;

-- An error's text may hold facts: it is shown to who may see those.
CREATE FUNCTION kpi_internal.error_shown(viewer name, definer text, definer_oid oid, note text) RETURNS text
    STABLE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_error_shown';
CREATE FUNCTION kpi_internal.capture_state(source_id integer, relation text, attached oid, former text,
                                           renamed_at timestamptz, follows_swaps boolean,
                                           OUT tables integer, OUT problem text, OUT hint text, OUT is_swapped boolean)
    STABLE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_capture_state';

CREATE VIEW kpi.source_status AS
    SELECT s.id AS source_id, s.name AS source, s.relation,
           CASE WHEN t.status IN ('suspended', 'held', 'capture_off') THEN t.status
                WHEN s.is_paused THEN 'paused'
                WHEN t.status = 'active' AND a.is_swapped THEN 'swapped'
                WHEN t.status = 'active' AND a.capture_problem IS NOT NULL THEN 'suspended'
                WHEN EXISTS (SELECT FROM kpi_internal.build b WHERE b.source_id = s.id) THEN 'building'
                ELSE coalesce(t.status, 'building') END AS status,
           kpi_internal.error_shown(current_user, s.definer, t.definer_oid,
                                    coalesce(t.reason, CASE WHEN t.status = 'active' AND NOT s.is_paused
                                                            THEN '00000 ' || a.capture_problem END)) AS reason,
           coalesce(t.hint, a.capture_hint) AS hint,
           s.refresh_mode, s.refresh_seconds, s.is_paused,
           a.capture_tables, a.capture_problem,
           (SELECT pg_catalog.count(*) FROM kpi.kpi k WHERE k.source_id = s.id) AS kpis,
           c.facts_ignored,
           kpi_internal.error_shown(current_user, s.definer, t.definer_oid, t.last_fact_error) AS last_fact_error,
           c.nonfinite_inputs, c.clamped_inputs, c.facts_reversed,
           -- of a suspended source nothing more is queued: all its facts wait
           greatest(q.deltas, CASE WHEN t.status = 'suspended' THEN 1 END) AS pending_deltas,
           CASE WHEN q.committed_at IS NOT NULL
                THEN greatest(extract(epoch FROM pg_catalog.statement_timestamp() - q.committed_at), 0)::double precision
           END AS oldest_pending_seconds,
           t.as_of, t.refreshed_at, t.duration_ms,
           t.last_deltas, t.last_cells, coalesce(t.deltas_applied, 0) AS deltas_applied,
           kpi_internal.error_shown(current_user, s.definer, t.definer_oid, t.last_error) AS last_error,
           t.last_sqlstate, t.failing_since, coalesce(t.failures, 0) AS failures, t.next_try,
           r.kept_rows, r.rows_without_key + r.rows_without_entity AS rows_without_key, r.read_at, r.entities_read, r.duration_ms AS reading_ms,
           r.rows_read::double precision / nullif(r.entities_read, 0) AS rows_per_entity,
           l.loaded_at, s.stale_seconds, coalesce(l.is_stale, false) AS is_stale
      FROM kpi.source s
      LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id
      LEFT JOIN kpi_internal.keyed_state r ON r.source_id = s.id
      LEFT JOIN kpi_internal.source_load l ON l.source_id = s.id
     CROSS JOIN LATERAL kpi_internal.queue_state(s.id) q
     CROSS JOIN LATERAL (
           SELECT (z.f).tables AS capture_tables, (z.f).problem AS capture_problem, (z.f).hint AS capture_hint,
                  (z.f).is_swapped
             FROM (SELECT kpi_internal.capture_state(s.id, s.relation, t.relid, t.former_relation, t.renamed_at,
                                                     s.on_swap = 'follow') AS f OFFSET 0) z OFFSET 0) a
     CROSS JOIN LATERAL (
           SELECT coalesce(pg_catalog.sum(kpi_internal.cell_errors(y.cell)), 0)::bigint AS facts_ignored,
                  coalesce(pg_catalog.sum(kpi_internal.cell_nonfinite(y.cell)), 0)::bigint AS nonfinite_inputs,
                  coalesce(pg_catalog.sum(kpi_internal.cell_clamped(y.cell)), 0)::bigint AS clamped_inputs,
                  coalesce(pg_catalog.sum(kpi_internal.cell_reversed(y.cell)), 0)::bigint AS facts_reversed
             FROM (SELECT p.cell
                     FROM kpi_internal.stream x
                     JOIN kpi_internal.rollup_cell r ON r.stream_id = x.id
                    CROSS JOIN LATERAL (VALUES (r.cell), (r.recent)) p (cell)
                    WHERE x.source_id = s.id AND r.scope_kind = 1 AND r.scope_id = 1
                      AND r.grain = 2 AND r.dim_id = 0
                   UNION ALL
                   SELECT e.cell
                     FROM kpi_internal.stream x
                     JOIN kpi_internal.day_cell e ON e.stream_id = x.id
                    WHERE x.source_id = s.id AND x.part <> 'left_out' AND e.owner_id = 0 AND e.day = '-infinity') y) c;

-- "incomplete" is no first status, as nobody has seen a number yet, and is told of
-- where a source stands still, not while it is being built.  What is settled is told
-- at once, any other change when a day has passed over it.
CREATE VIEW kpi_internal.goal_announcement AS
    SELECT p.id, p.goal_id, p.goal, p.kpi,
           CASE WHEN p.member_id IS NULL THEN 'team ' || p.team ELSE 'member ' || p.member END AS scope,
           p.period, e.event, s.status AS old_status, p.status, p.actual_to_date AS actual, p.target, e.milestone, e.milestone_date
      FROM kpi.goal_progress p
      LEFT JOIN kpi_internal.goal_status s ON s.id = p.id
     CROSS JOIN LATERAL (
           SELECT 'status' AS event, NULL::numeric AS milestone, NULL::date AS milestone_date
            WHERE s.status IS DISTINCT FROM p.status
              AND CASE WHEN s.status IS NULL THEN p.status <> 'incomplete'
                       WHEN p.status IN ('achieved', 'over_limit', 'missed') THEN true
                       ELSE EXISTS (SELECT FROM kpi_internal.kpi_stream x
                                     WHERE x.kpi_id = p.kpi_id AND x.position = 1
                                       AND kpi_internal.day_of(x.program, p.status_since) < kpi_internal.today_of(x.program))
                            AND (p.status <> 'incomplete'
                                 OR EXISTS (SELECT FROM kpi_internal.kpi_stream x
                                              JOIN kpi_internal.source_state t ON t.source_id = x.source_id
                                             WHERE x.kpi_id = p.kpi_id AND t.status = 'suspended')) END
           UNION ALL
           SELECT 'milestone', m.amount, m.day
             FROM kpi.goal_milestone m
            WHERE m.goal_id = p.goal_id AND p.is_complete AND p.target_kind <> 'at_most' AND m.amount <= p.actual_to_date
              AND s.status IS NOT NULL AND m.day > coalesce(s.milestone, '-infinity')) e;

COMMENT ON VIEW kpi.kpi_value IS 'Values of all KPIs: one row per KPI, team or member, grain and period that has facts; of members from the week up, their days are in kpi.member_daily. The views team_monthly, member_daily and so on have names as well, and what the values are compared with';
COMMENT ON VIEW kpi.kpi_breakdown IS 'Values of teams by dimension: one row per KPI, team, dimension value, grain (month, quarter, year) and period. Apart from kpi.kpi_value, so that nobody adds totals and parts up';
COMMENT ON VIEW kpi_internal.goal_announcement IS 'What listeners to kpi_progress are to be told now: goals whose status is another than they know (old_status; NULL: none yet), and milestones that are reached';
COMMENT ON VIEW kpi.unassigned IS 'Owners of facts that are no member (or team) known: their facts count for team (unassigned). Add them with kpi.add_member() or correct the facts';
COMMENT ON VIEW kpi.source_status IS 'Sources: what state they are in, and what a DBA looks at';
COMMENT ON VIEW kpi_internal.goal_now IS 'Where every goal stands, computed now: what kpi.goal_progress is made of';

-- Comments of all views from one list, so that the same column says the same
-- everywhere; a column without one is an error.
DO $comments$
DECLARE
    level_of_suffix constant jsonb := '{"daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year"}';
    common constant jsonb := '{
        "kpi_id": "The KPI (kpi.kpi.id)",
        "kpi": "Name of the KPI",
        "kpi_title": "The KPI as people call it",
        "unit": "Unit of value, target and actual, or NULL",
        "scope": "What it is of: team or member",
        "grain": "Length of the period: day, week, month, quarter or year",
        "period": "Name of the period, like 2026-Q4",
        "period_start": "First day of the period",
        "period_end": "Last day of the period",
        "is_current": "Whether today lies in the period",
        "complete_since": "The first day from which the numbers of the KPI are complete, while its facts are being read: newest periods come first, and is_complete says of each row whether it is all there. NULL: all of them are, or, where is_complete is false, none",
        "is_complete": "False while the numbers of this period are not all there: the KPI is not built so far back yet, or its source is suspended or about to be (kpi.source_status)",
        "as_of": "The numbers hold all changes committed up to this moment; of a formula the earliest of its sources",
        "refreshed_at": "When the source was last refreshed; of a formula the earliest of its sources",
        "team_path": "Names of the teams from the company down to this one, as the tree stands today",
        "team_level": "Teams above it, as the tree stands today: 0 is the company"}';
    series constant jsonb := '{
        "id": "Key of the row; it stays the same as long as the row is there",
        "value": "The KPI in the period, also what is dated after today. At most 10 decimals of what is divided and of formulas, of counts and sums all; at most 28 digits. Teams contain the teams and members below them and periods contain shorter ones: never add up rows of several levels. NULL: nothing to divide by",
        "value_to_date": "value without what is dated after today; of a KPI that accumulates 0 and of another NULL while nothing else is there",
        "numerator": "Of an average, rate or ratio (and a formula that is a quotient): what is divided; else NULL",
        "denominator": "Of an average, rate or ratio (and a formula that is a quotient): what it is divided by; else NULL",
        "facts": "Facts that count; of a formula those of its inputs together",
        "previous_value": "Value of the period before; NULL: no facts there",
        "previous_value_to_date": "Value of the period before, up to as many days after its start as have begun of this one; only in the current period",
        "growth_ratio": "Change against the period before, as a fraction of it: 0.1 is 10 percent more. In the current period value_to_date against previous_value_to_date. NULL: nothing to compare with, or it is 0",
        "year_ago_value": "Value of the same period of the year before (of a week: 52 weeks before); NULL: no facts there",
        "yoy_growth_ratio": "Change of value against year_ago_value, as a fraction of it; NULL: nothing to compare with, or it is 0"}';
    breakdown constant jsonb := '{
        "dimension": "Name of the dimension, as the source declares it",
        "dimension_value": "Its value; NULL: facts that have none"}';
    team_series constant jsonb := '{
        "team_id": "The team (kpi.team.id)",
        "team": "Key of the team",
        "team_name": "Name of the team",
        "parent_team": "Key of the team above it today; NULL for the company"}';
    member_series constant jsonb := '{
        "member_id": "The member (kpi.member.id)",
        "member": "Key of the member",
        "member_name": "Name of the member",
        "team_id": "Team of the member on the last day of the period, or today if that is earlier (kpi.team.id)",
        "team": "Key of that team; NULL: none"}';
    either constant jsonb := '{
        "team_id": "The team (kpi.team.id); NULL: a member''s. A team contains the teams below it: do not add teams of different levels up",
        "member_id": "The member (kpi.member.id); NULL: a team''s"}';
    goal constant jsonb := '{
        "id": "Key of the row: one per goal and period",
        "goal_id": "The goal (kpi.goal.id)",
        "goal": "Name of the goal; of one without, its KPI, whom it is for, the dimension value and the period",
        "plan": "The plan it belongs to",
        "direction": "up: the target is to be reached at least; down: to be kept at most",
        "team_id": "The team whose goal it is; of a member''s goal its team on the last day of the period, or today if that is earlier, (unassigned) where it has none (kpi.team.id)",
        "team": "Key of that team",
        "team_name": "Name of that team",
        "member_id": "The member whose goal it is (kpi.member.id); NULL: a team''s",
        "member": "Key of the member",
        "member_name": "Name of the member",
        "dimension": "Only facts with one value of this dimension count; NULL: all",
        "dimension_value": "That value; NULL with a dimension: facts without a value",
        "target": "The number to reach or to stay within (target_kind), in the KPI''s unit; NULL: what it is compared with has no value above 0",
        "target_high": "Upper bound of a target between two numbers, else NULL",
        "target_kind": "at_least, at_most or between",
        "minimum": "The least that is acceptable, or NULL",
        "stretch": "What would be more than asked for, or NULL",
        "baseline": "What a relative target is compared with, else NULL",
        "baseline_period": "Name of the period, or the first and last of the periods, that it is the value of",
        "actual": "The KPI in the whole period, also what is dated after as_of_day. A KPI that accumulates (count, sum) is 0 without facts, another NULL",
        "actual_to_date": "The same without what is dated after as_of_day: expected_today, pace_ratio, required_per_workday and status go by it",
        "as_of_day": "The day by which the row was judged: today, when it was written, or, where the source tells (loaded_at, or stale_after of kpi.set_refresh()), the earlier day until which its facts are there",
        "as_of": "The snapshot of the refresh before the row was last changed; how far the numbers are as a whole is in kpi.freshness",
        "refreshed_at": "When that refresh was",
        "numerator": "Of an average, rate or ratio (and a formula that is a quotient): what is divided; else NULL",
        "denominator": "Of an average, rate or ratio (and a formula that is a quotient): what it is divided by; else NULL",
        "attainment_ratio": "actual / target, as a fraction: 1 is the target. To stay within, 1 and less is good. NULL: the target is 0 or there is none",
        "remaining": "target - actual: what is missing, or to stay within what is left; negative beyond the target",
        "elapsed_ratio": "Working days of the period gone (of a member who came or left within it, of the days he was there), today included, as a fraction; by the calendar of the team",
        "expected_today": "What actual_to_date should be by the end of today, by the pace of the goal: of a KPI that accumulates the share of the target that the company''s closed periods had brought by then (seasonal; without any, and with workdays, the share of working days; linear: of days; phased: between milestones); of a rate the target as it usually is by then; else the target",
        "pace_ratio": "actual_to_date / expected_today, as a fraction; NULL: nothing is expected yet",
        "required_per_workday": "What is missing (with direction down: what is left) for each working day left; only of a KPI that accumulates, in a period that is not over",
        "workdays_left": "Working days of the period from today on, today included",
        "forecast": "Where it will end, by what is in and by what closed periods brought; NULL: no forecast (forecast_basis)",
        "forecast_low": "Lower end of the range that holds the end with a probability of 80 percent; NULL: no range",
        "forecast_high": "Upper end of it",
        "attainment_probability": "How probable it is that the target is met in the end, from 0 to 1; while anything can change within 0.02 to 0.98",
        "forecast_basis": "What the forecast is based on (kpi.forecast_basis): history, company, finer, target or none",
        "required_of_rest": "Of an average, rate or ratio: what what is still to come must average for the target to be met",
        "headroom": "Of a target to stay within: target - actual_to_date",
        "next_milestone": "The next milestone that is not reached yet, of a phased pace",
        "next_milestone_date": "By when it should be reached",
        "status_rule": "Number of the rule that the status follows from (doc/forecast.md)",
        "status_since": "Since when the row has this status",
        "status": "In one word, the first that fits: no_target: a relative target has nothing to be compared with; incomplete: see is_complete; not_started: the period has not begun; over: no_data, achieved, over_limit (an accumulating KPI is above its cap) or missed; running: over_limit, achieved (it accumulates and is there), no_data; by attainment_probability on_track (0.5 and more), at_risk (0.2 and more, or less than 5 percent has gone) or behind; without one by pace_ratio on_track (0.95), at_risk (0.8) or behind",
        "status_rank": "Statuses from the worst to the best, for sorting: 1 missed, 2 over_limit, 3 behind, 4 at_risk, 5 incomplete, 6 no_data, 7 on_track, 8 achieved, 9 not_started, 10 no_target",
        "status_reason": "Why the status is what it is, in one sentence",
        "is_stale": "True when the period has begun and the numbers are of an earlier day than today, though it was not over on that",
        "is_final": "True when the numbers are complete and of a day after the period: they change only if the past is corrected",
        "reported_actual": "What was reported when the period was closed (kpi.close_period()); NULL: it is not closed, or there was no value",
        "reported_at": "When it was closed; NULL: it is not",
        "restated_difference": "actual - reported_actual: what facts that came, changed or went since have made of it; of what adds up no value counts as 0. NULL: it is not closed",
        "changed_at": "When the row was last changed"}';
    unassigned constant jsonb := '{
        "source_id": "The source (kpi.source.id)",
        "source": "Name of the source",
        "kind": "What its facts name as owner: member or team",
        "owner": "The key found in the facts; NULL: facts without an owner",
        "facts": "How many facts (of the KPI that counts most of them)",
        "first_day": "Day of the first of them",
        "last_day": "Day of the last of them"}';
    quality constant jsonb := '{
        "elapsed_percent": "Up to which tenth of the period had gone, by its days: 10 is the first tenth",
        "forecasts": "How many forecasts there are, one for each goal and day",
        "periods": "Of how many goals and periods",
        "said_ratio": "Mean probability that was given for the target to be met",
        "came_ratio": "Share of them whose target was met in the end",
        "brier": "Brier score: mean square of the difference between what was said and what came (1 or 0); less is better",
        "base_brier": "The score of who had always said came_ratio, with hindsight",
        "coverage_ratio": "Share whose end lies within the range that was given; 0.8 is meant",
        "error_ratio": "Mean error of the forecast against the mean end, as a fraction"}';
    status constant jsonb := '{
        "source_id": "The source (kpi.source.id)",
        "source": "Name of the source",
        "relation": "The table its facts are in",
        "status": "active: current as of as_of; building: its cells are not built yet, the next refresh does it; paused: by kpi.pause(), until kpi.resume(); swapped: another table has come under its name, which the next refresh takes; held: a load has removed more facts than hold_if_lost allows, or a table that was swapped has facts on days that are sealed, so the numbers stay; capture_off: kpi.capture is off and facts have changed, so the numbers stay until they are read anew when it is on again; suspended: stopped, or stopped by the next refresh; reason says why and hint what to do",
        "reason": "Why it is suspended, held, swapped or capture_off. Here and below, the text of an error of an expression is shown to superusers and members of the definer only; to others its condition and SQLSTATE",
        "hint": "What to do about it",
        "refresh_mode": "When the background worker refreshes it: continuous, as soon as a change commits; interval, every refresh_seconds; manual, never (kpi.set_refresh())",
        "refresh_seconds": "Seconds from one refresh to the next with refresh_mode interval; else NULL",
        "is_paused": "Whether it is paused, also while it is suspended",
        "capture_tables": "Tables (the partitions of a partitioned one) whose changes are to be captured; 0: the table does not exist",
        "capture_problem": "What keeps changes from being captured now, in words; NULL: all triggers are in place",
        "kpis": "How many KPIs are measured on it",
        "facts_ignored": "Facts left out because an expression failed on them, or because their day is outside of 1900 to 2200",
        "last_fact_error": "The last such error",
        "nonfinite_inputs": "Numbers left out of sums because they are NaN or infinite, or have more than 1,000 digits before the decimal point",
        "clamped_inputs": "Numbers below 2^-30 (about 1e-9) or from 2^50 (about 1e15) on, without their sign, which percentiles count as the nearest number between; 0 is none of them",
        "facts_reversed": "Facts left out of balances because they end before they begin, or begin at no time that facts may have",
        "pending_deltas": "Changes of facts that wait for the next refresh; of a suspended source at least 1: its facts wait to be read again",
        "oldest_pending_seconds": "For how many seconds the oldest of them has waited since it committed. NULL: none waits, or track_commit_timestamp is off (all have committed after as_of)",
        "as_of": "The numbers hold all changes committed up to this moment",
        "refreshed_at": "When it was last refreshed",
        "duration_ms": "How long that took, in milliseconds",
        "last_deltas": "Changes it took from the queue",
        "last_cells": "Rows of cells it wrote",
        "deltas_applied": "Changes merged since the source was made",
        "last_error": "Message of the error that the background worker''s last refresh met; NULL: it met none",
        "last_sqlstate": "SQLSTATE of that error",
        "failing_since": "When the first of the errors in a row was met; NULL: the last refresh succeeded",
        "failures": "Errors in a row",
        "next_try": "When the background worker tries again",
        "kept_rows": "Of a keyed source: rows of its query that are kept; NULL: it is none, or was not read yet",
        "rows_without_key": "Rows of the query that are no facts, as their key or entity is NULL, when all were read last",
        "read_at": "As of when its query was run last",
        "entities_read": "Entities that were read then",
        "reading_ms": "How long that took, in milliseconds, with the rows that differed",
        "rows_per_entity": "Rows of tables that were read for one of them, on average",
        "loaded_at": "When its facts were loaded last, as they say: the latest loaded_at of the rows that are in the numbers; NULL: no row says, or the source has no loaded_at",
        "stale_seconds": "After how many seconds of working days without news its facts are stale (kpi.set_refresh()); NULL: never",
        "is_stale": "True when that is over since loaded_at or, without one, since the last change of facts that is in the numbers: the load is late, and goals are judged by the day until which facts are there"}';
    v record;
    suffix text;
    of_view jsonb;
BEGIN
    FOR v IN
        SELECT c.relname AS view, a.attname AS "column"
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relnamespace = 'kpi'::regnamespace::oid AND (c.relkind = 'v' AND pg_catalog.col_description(c.oid, a.attnum) IS NULL OR c.relname = 'goal_progress')
    LOOP
        suffix := pg_catalog.split_part(v.view, '_', -1);
        of_view := common || CASE
            WHEN v.view = 'goal_progress' THEN goal
            WHEN v.view = 'forecast_quality' THEN quality
            WHEN v.view = 'unassigned' THEN unassigned
            WHEN v.view = 'source_status' THEN status
            WHEN v.view LIKE 'kpi_%' THEN series || team_series || member_series || breakdown || either
            WHEN v.view LIKE 'team_breakdown%' THEN series || team_series || breakdown
            WHEN v.view LIKE 'team%' THEN series || team_series
            ELSE series || member_series END;
        IF of_view ->> v."column" IS NULL THEN
            RAISE EXCEPTION 'column %.% has no comment', v.view, v."column";
        END IF;
        EXECUTE pg_catalog.format('COMMENT ON COLUMN kpi.%I.%I IS %L', v.view, v."column",
                                  of_view ->> v."column");
        IF level_of_suffix ? suffix THEN
            EXECUTE pg_catalog.format('COMMENT ON VIEW kpi.%I IS %L', v.view,
                pg_catalog.format('KPIs of %ss by %s%s: the periods that have facts',
                                  pg_catalog.split_part(v.view, '_', 1), level_of_suffix ->> suffix,
                                  CASE WHEN v.view LIKE '%breakdown%' THEN ' and value of a dimension' ELSE '' END));
        END IF;
    END LOOP;
END
$comments$;
