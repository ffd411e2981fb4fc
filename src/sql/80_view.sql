-- 80_view: what people read.
--
-- How these views stay cheap: they join base tables by indexed columns, so
-- that conditions reach the indexes; what is dear or depends on the clock
-- stands in lateral subqueries behind OFFSET 0, which are computed once for a
-- row and not at all when nobody asks for their columns.

-- Periods are those of the organisation's calendar, whatever calendar cuts the
-- days of a source.
CREATE FUNCTION kpi_internal.period_start(day date, grain text) RETURNS date
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_view_period_start';
CREATE FUNCTION kpi_internal.period_name(period_start date, grain text) RETURNS text
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_view_period_name';
CREATE FUNCTION kpi_internal.day_of(moment timestamptz, calendar_id integer) RETURNS date
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_view_day_of';

-- From the definitions each backend keeps in memory.
CREATE TRIGGER definition_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kpi.kpi
    FOR EACH STATEMENT EXECUTE FUNCTION kpi_internal.definition_changed();
CREATE TRIGGER definition_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kpi.source
    FOR EACH STATEMENT EXECUTE FUNCTION kpi_internal.definition_changed();
CREATE TRIGGER definition_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kpi_internal.formula_input
    FOR EACH STATEMENT EXECUTE FUNCTION kpi_internal.definition_changed();
CREATE FUNCTION kpi_internal.kpi_calendar(kpi_id integer) RETURNS integer
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_kpi_calendar';
CREATE FUNCTION kpi_internal.leaf_kpis(kpi_id integer) RETURNS integer[]
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_leaf_kpis';
CREATE FUNCTION kpi_internal.combine(kpi_id integer, ids integer[], "values" numeric[], facts bigint[],
                                     OUT value numeric, OUT numerator numeric, OUT denominator numeric,
                                     OUT facts_below bigint)
    STABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_combine';

CREATE FUNCTION kpi_internal.goal_pace(direction text, is_additive boolean, is_complete boolean,
                                       target numeric, value numeric, team_id integer,
                                       period_start date, period_end date, today date,
                                       OUT actual numeric, OUT expected_today numeric,
                                       OUT workdays integer, OUT workdays_elapsed integer,
                                       OUT workdays_left integer, OUT status text)
    STABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_pace';
CREATE FUNCTION kpi_internal.goal_status_rank(status text) RETURNS integer
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_status_rank';
CREATE FUNCTION kpi_internal.goal_status_reason(direction text, is_additive boolean, is_complete boolean,
                                                target numeric, actual numeric, expected numeric,
                                                period_start date, period_end date, today date,
                                                unit text) RETURNS text
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_status_reason';

-- Whether the catalogs say nothing against a source going on (refresh/recheck.c).
CREATE FUNCTION kpi_internal.capture_works(source_id integer, relation text, attached oid) RETURNS boolean
    STABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_capture_works';

-- How far the numbers of a KPI are. A formula is as complete and as old as the
-- worst of what is below it.
CREATE VIEW kpi_internal.measure_state AS
    SELECT m.kpi_id, st.as_of, st.refreshed_at,
           st.status = 'active' AND b.version IS NOT DISTINCT FROM x.version
           AND kpi_internal.capture_works(s.id, s.relation, st.relid) AS is_complete
      FROM kpi_internal.measure m
      JOIN kpi_internal.stream x ON x.id = m.stream_id
      JOIN kpi.source s ON s.id = x.source_id
      JOIN kpi_internal.source_state st ON st.source_id = x.source_id
      LEFT JOIN kpi_internal.measure_built b ON b.measure_id = m.id;

CREATE VIEW kpi_internal.kpi_state AS
    SELECT k.id AS kpi_id,
           coalesce(l.is_complete AND l.measures = pg_catalog.cardinality(f.ids)
                    AND (k.formula IS NULL OR EXISTS (SELECT FROM kpi_internal.formula_built b
                                                       WHERE b.kpi_id = k.id AND b.formula = k.formula)),
                    false) AS is_complete,
           l.as_of, l.refreshed_at,
           kpi_internal.kpi_calendar(k.id) AS calendar_id,
           kpi_internal.today(kpi_internal.kpi_calendar(k.id)) AS today
      FROM kpi.kpi k
     CROSS JOIN LATERAL (SELECT kpi_internal.leaf_kpis(k.id) AS ids OFFSET 0) f
     CROSS JOIN LATERAL (
           SELECT pg_catalog.bool_and(m.is_complete) AS is_complete, pg_catalog.count(*) AS measures,
                  pg_catalog.min(m.as_of) AS as_of, pg_catalog.min(m.refreshed_at) AS refreshed_at
             FROM kpi_internal.measure_state m WHERE m.kpi_id = ANY (f.ids)) l;

-- The days of teams and members, the weeks of members: one row per measure.
CREATE VIEW kpi_internal.team_day_cell AS
    SELECT m.kpi_id, m.id AS measure_id, m.divisor, r.scope_id, r.start AS period_start, r.cell
      FROM kpi_internal.measure m
      JOIN kpi_internal.measure_built b ON b.measure_id = m.id
      JOIN kpi_internal.rollup_cell r ON r.stream_id = m.stream_id
     WHERE r.scope_kind = 1 AND r.grain = 0 AND r.dim_id = 0;

CREATE VIEW kpi_internal.member_cell AS
    SELECT m.kpi_id, m.id AS measure_id, m.divisor, p.id AS scope_id, c.day, c.cell
      FROM kpi_internal.measure m
      JOIN kpi_internal.measure_built b ON b.measure_id = m.id
      JOIN kpi_internal.stream x ON x.id = m.stream_id AND x.owner_kind = 'member'
      JOIN kpi_internal.day_cell c ON c.stream_id = m.stream_id
      JOIN kpi_internal.owner o ON o.id = c.owner_id
      JOIN kpi.member p ON p.key COLLATE "C" = o.key
     WHERE c.day > '-infinity';

CREATE VIEW kpi_internal.member_day_cell AS
    SELECT c.kpi_id, c.measure_id, c.divisor, c.scope_id, c.day AS period_start, kpi.merge(c.cell) AS cell
      FROM kpi_internal.member_cell c
     GROUP BY c.kpi_id, c.measure_id, c.divisor, c.scope_id, c.day;

CREATE VIEW kpi_internal.member_week_cell AS
    SELECT c.kpi_id, c.measure_id, c.divisor, c.scope_id,
           kpi_internal.period_start(c.day, 'week') AS period_start, kpi.merge(c.cell) AS cell
      FROM kpi_internal.member_cell c
     GROUP BY c.kpi_id, c.measure_id, c.divisor, c.scope_id, kpi_internal.period_start(c.day, 'week');

-- The views of one level and grain, all from two templates: over the stored
-- values, and over cells that are finalized here.
DO $generate$
DECLARE
    -- what a KPI amounts to in the days from %1$s until %2$s
    range_value constant text := $$(
           SELECT (kpi_internal.combine(v.kpi_id, pg_catalog.array_agg(x.kpi_id), pg_catalog.array_agg((x.f).value),
                                        pg_catalog.array_agg((x.f).facts))).value
             FROM (SELECT r.kpi_id, kpi.cell_final(kpi.merge(r.cell), r.measure_id, r.divisor) AS f
                     FROM %1$s r
                    WHERE r.kpi_id = ANY (kpi_internal.leaf_kpis(v.kpi_id)) AND r.scope_id = v.scope_id
                      AND r.%2$s >= %3$s AND r.%2$s < %4$s
                    GROUP BY r.kpi_id, r.measure_id, r.divisor) x
            WHERE (x.f).facts > 0)$$;
    -- a stored value of the period that begins on %2$s
    stored_value constant text := $$(
           SELECT o.value FROM kpi.kpi_value o
            WHERE o.kpi_id = v.kpi_id AND o.team_id %1$s AND o.member_id %2$s
              AND o.grain = %3$L AND o.period_start = %4$s)$$;
    stored constant text := $$(
           SELECT w.*, w.%1$s_id AS scope_id FROM kpi.kpi_value w
            WHERE w.grain = %2$L AND w.team_id %3$s AND w.member_id %4$s)$$;
    computed constant text := $$(
           SELECT (y.kpi_id::bigint << 48) | (y.scope_id::bigint << 22) | (y.period_start - '0001-01-01'::date) AS id,
                  y.kpi_id, %1$L::text COLLATE "C" AS scope, y.scope_id,
                  %2$L::text COLLATE "C" AS grain, y.period_start,
                  y.value, y.numerator, y.denominator, y.facts
             FROM (SELECT z.kpi_id, z.scope_id, z.period_start,
                          (z.f).value, (z.f).numerator, (z.f).denominator, (z.f).facts
                     FROM (SELECT c.kpi_id, c.scope_id, c.period_start,
                                  kpi.cell_final(c.cell, c.measure_id, c.divisor) AS f
                             FROM kpi_internal.%3$s c) z
                    WHERE (z.f).facts > 0
                   UNION ALL
                   SELECT z.kpi_id, z.scope_id, z.period_start,
                          (z.f).value, (z.f).numerator, (z.f).denominator, (z.f).facts_below
                     FROM (SELECT k.id AS kpi_id, l.scope_id, l.period_start,
                                  kpi_internal.combine(k.id, pg_catalog.array_agg(l.kpi_id),
                                                       pg_catalog.array_agg((l.f).value),
                                                       pg_catalog.array_agg((l.f).facts)) AS f
                             FROM kpi.kpi k
                            CROSS JOIN LATERAL (
                                  SELECT c.kpi_id, c.scope_id, c.period_start,
                                         kpi.cell_final(c.cell, c.measure_id, c.divisor) AS f
                                    FROM kpi_internal.%3$s c
                                   WHERE c.kpi_id = ANY (kpi_internal.leaf_kpis(k.id))) l
                            WHERE k.kind = 'formula' AND (l.f).facts > 0
                            GROUP BY k.id, l.scope_id, l.period_start) z
                    WHERE (z.f).facts_below > 0) y)$$;
    template constant text := $$
CREATE VIEW kpi.%1$s AS
    SELECT v.id, v.kpi_id, k.name AS kpi, k.title AS kpi_title, k.unit, v.scope, %2$s,
           v.grain, %3$s AS period, v.period_start, %4$s AS period_end, n.is_current,
           v.value, v.numerator, v.denominator, v.facts,
           p.previous_value, p.previous_value_to_date,
           pg_catalog.round((v.value - p.base_value) / nullif(pg_catalog.abs(p.base_value), 0), 6) AS growth_ratio,
           p.year_ago_value,
           pg_catalog.round((v.value - p.year_ago_value) / nullif(pg_catalog.abs(p.year_ago_value), 0), 6) AS yoy_growth_ratio,
           s.is_complete, s.as_of, s.refreshed_at, %5$s AS changed_at
      FROM %6$s v
      JOIN kpi.kpi k ON k.id = v.kpi_id
     CROSS JOIN LATERAL (SELECT z.* FROM kpi_internal.kpi_state z WHERE z.kpi_id = v.kpi_id OFFSET 0) s
      %7$s
     CROSS JOIN LATERAL (SELECT s.today >= v.period_start AND s.today <= %4$s AS is_current,
                                (v.period_start - %8$L::interval)::date AS previous_start,
                                (v.period_start - %9$L::interval)::date AS year_ago_start) n
     CROSS JOIN LATERAL (
           SELECT q.*, CASE WHEN n.is_current THEN q.previous_value_to_date ELSE q.previous_value END AS base_value
             FROM (SELECT %10$s AS previous_value,
                          CASE WHEN n.is_current THEN %11$s END AS previous_value_to_date,
                          %12$s AS year_ago_value
                   OFFSET 0) q
           OFFSET 0) p
      %13$s$$;
    team_columns constant text :=
        'v.scope_id AS team_id, t.key AS team, t.name AS team_name,'
        ' kpi_internal.team_path(v.scope_id) AS team_path, kpi_internal.team_level(v.scope_id) AS team_level,'
        ' kpi_internal.parent_team(v.scope_id) AS parent_team';
    member_columns constant text :=
        'v.scope_id AS member_id, m.key AS member, m.name AS member_name, w.team_id, t.key AS team';
    member_team constant text := $$
      JOIN kpi.member m ON m.id = v.scope_id$$;
    member_team_join constant text := $$
     CROSS JOIN LATERAL (
           SELECT (SELECT h.team_id FROM kpi.membership h
                    WHERE h.member_id = v.scope_id
                      AND (h.since IS NULL OR h.since <= least(s.today, %1$s))
                      AND (h.until IS NULL OR h.until > least(s.today, %1$s))) AS team_id
           OFFSET 0) w
      LEFT JOIN kpi.team t ON t.id = w.team_id$$;
    to_date constant text := 'least(n.previous_start + (s.today - v.period_start) + 1, v.period_start)';
    g record;
    own text;
    other text;
    cells text;
    day_column text;
    period_end text;
BEGIN
    FOR g IN
        SELECT * FROM (VALUES
            ('team', 'daily', 'day', '1 day', '1 year', false, 'team_day_cell'),
            ('team', 'weekly', 'week', '7 days', '364 days', true, NULL),
            ('team', 'monthly', 'month', '1 month', '1 year', true, NULL),
            ('team', 'quarterly', 'quarter', '3 months', '1 year', true, NULL),
            ('team', 'yearly', 'year', '1 year', '1 year', true, NULL),
            ('member', 'daily', 'day', '1 day', '1 year', false, 'member_day_cell'),
            ('member', 'weekly', 'week', '7 days', '364 days', false, 'member_week_cell'),
            ('member', 'monthly', 'month', '1 month', '1 year', true, NULL),
            ('member', 'quarterly', 'quarter', '3 months', '1 year', true, NULL),
            ('member', 'yearly', 'year', '1 year', '1 year', true, NULL))
            AS x (level, suffix, grain, step, year, is_stored, source_view)
    LOOP
        cells := CASE g.level WHEN 'team' THEN 'kpi_internal.team_day_cell' ELSE 'kpi_internal.member_cell' END;
        day_column := CASE g.level WHEN 'team' THEN 'period_start' ELSE 'day' END;
        own := CASE g.level WHEN 'team' THEN '= v.scope_id' ELSE 'IS NULL' END;
        other := CASE g.level WHEN 'team' THEN 'IS NULL' ELSE '= v.scope_id' END;
        period_end := CASE WHEN g.is_stored THEN 'v.period_end'
                           WHEN g.grain = 'day' THEN 'v.period_start'
                           ELSE 'v.period_start + 6' END;
        EXECUTE pg_catalog.format(template,
            g.level || '_' || g.suffix,
            CASE g.level WHEN 'team' THEN team_columns ELSE member_columns END,
            CASE WHEN g.is_stored THEN 'v.period'
                 ELSE pg_catalog.format('kpi_internal.period_name(v.period_start, %L)', g.grain) END,
            period_end,
            CASE WHEN g.is_stored THEN 'v.changed_at' ELSE 's.refreshed_at' END,
            CASE WHEN g.is_stored THEN
                 pg_catalog.format(stored, g.level, g.grain,
                                   CASE g.level WHEN 'team' THEN 'IS NOT NULL' ELSE 'IS NULL' END,
                                   CASE g.level WHEN 'team' THEN 'IS NULL' ELSE 'IS NOT NULL' END)
                 ELSE pg_catalog.format(computed, g.level, g.grain, g.source_view) END,
            CASE g.level WHEN 'team' THEN 'JOIN kpi.team t ON t.id = v.scope_id' ELSE member_team END,
            g.step, g.year,
            CASE WHEN g.is_stored THEN pg_catalog.format(stored_value, own, other, g.grain, 'n.previous_start')
                 ELSE pg_catalog.format(range_value, cells, day_column, 'n.previous_start', 'v.period_start') END,
            pg_catalog.format(range_value, cells, day_column, 'n.previous_start', to_date),
            CASE WHEN g.is_stored THEN pg_catalog.format(stored_value, own, other, g.grain, 'n.year_ago_start')
                 ELSE pg_catalog.format(range_value, cells, day_column, 'n.year_ago_start',
                                        CASE g.grain WHEN 'day' THEN 'n.year_ago_start + 1'
                                             ELSE 'n.year_ago_start + 7' END) END,
            CASE g.level WHEN 'member' THEN pg_catalog.format(member_team_join, period_end) ELSE '' END);
    END LOOP;
END
$generate$;

CREATE VIEW kpi.goal_progress AS
    SELECT g.id, g.id AS goal_id, g.name AS goal, g.plan,
           g.kpi_id, k.name AS kpi, k.title AS kpi_title, k.unit, k.direction,
           CASE WHEN g.member_id IS NULL THEN 'team' ELSE 'member' END COLLATE "C" AS scope,
           t.id AS team_id, t.key AS team, t.name AS team_name,
           kpi_internal.team_path(t.id) AS team_path, kpi_internal.team_level(t.id) AS team_level,
           g.member_id, m.key AS member, m.name AS member_name,
           g.dimension, g.dimension_value,
           g.grain, g.period, g.period_start, g.period_end,
           s.today >= g.period_start AND s.today <= g.period_end AS is_current,
           g.target, (p.f).actual,
           coalesce(v.numerator, i.numerator, b.numerator) AS numerator,
           coalesce(v.denominator, i.denominator, b.denominator) AS denominator,
           pg_catalog.round((p.f).actual / nullif(g.target, 0), 6) AS attainment_ratio,
           g.target - (p.f).actual AS remaining,
           pg_catalog.round((p.f).workdays_elapsed::numeric / (p.f).workdays, 6) AS elapsed_ratio,
           (p.f).expected_today,
           pg_catalog.round((p.f).actual / nullif((p.f).expected_today, 0), 6) AS pace_ratio,
           CASE WHEN k.is_additive AND (p.f).workdays_left > 0
                THEN pg_catalog.round(greatest(g.target - (p.f).actual, 0) / (p.f).workdays_left, 6)
           END AS required_per_workday,
           (p.f).workdays_left,
           (p.f).status, kpi_internal.goal_status_rank((p.f).status) AS status_rank,
           kpi_internal.goal_status_reason(k.direction, k.is_additive, s.is_complete, g.target, (p.f).actual,
                                           (p.f).expected_today, g.period_start, g.period_end, s.today,
                                           k.unit) AS status_reason,
           s.is_complete,
           s.as_of IS NULL OR (s.as_of_day < s.today AND s.as_of_day <= g.period_end) AS is_stale,
           s.is_complete AND coalesce(s.as_of_day > g.period_end, false) AS is_final,
           s.as_of, coalesce(v.changed_at, i.changed_at, b.changed_at) AS changed_at, s.refreshed_at
      FROM kpi.goal g
      JOIN kpi.kpi k ON k.id = g.kpi_id
     CROSS JOIN LATERAL (
           SELECT z.is_complete, z.as_of, z.refreshed_at, z.today,
                  kpi_internal.day_of(z.as_of, z.calendar_id) AS as_of_day
             FROM kpi_internal.kpi_state z WHERE z.kpi_id = g.kpi_id
           OFFSET 0) s
      LEFT JOIN kpi.kpi_value v
             ON v.kpi_id = g.kpi_id AND v.team_id = g.team_id AND v.member_id IS NULL
            AND v.grain = g.grain AND v.period_start = g.period_start AND g.dimension IS NULL
      LEFT JOIN kpi.kpi_value i
             ON i.kpi_id = g.kpi_id AND i.team_id IS NULL AND i.member_id = g.member_id
            AND i.grain = g.grain AND i.period_start = g.period_start
      LEFT JOIN kpi.kpi_breakdown b
             ON b.kpi_id = g.kpi_id AND b.team_id = g.team_id AND b.member_id IS NULL
            AND b.dimension = g.dimension AND b.dimension_value IS NOT DISTINCT FROM g.dimension_value
            AND b.grain = g.grain AND b.period_start = g.period_start
      LEFT JOIN kpi.member m ON m.id = g.member_id
      LEFT JOIN kpi.membership h
             ON h.member_id = g.member_id
            AND (h.since IS NULL OR h.since <= least(s.today, g.period_end))
            AND (h.until IS NULL OR h.until > least(s.today, g.period_end))
      LEFT JOIN kpi.team t ON t.id = coalesce(g.team_id, h.team_id)
     CROSS JOIN LATERAL (
           SELECT kpi_internal.goal_pace(k.direction, k.is_additive, s.is_complete, g.target,
                                         coalesce(v.value, i.value, b.value), coalesce(g.team_id, h.team_id, 1),
                                         g.period_start, g.period_end, s.today) AS f
           OFFSET 0) p;

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
           SELECT (SELECT pg_catalog.max(kpi.cell_facts(y.cell, m.id))
                     FROM kpi_internal.measure m WHERE m.stream_id = x.id) AS facts,
                  y.first_day, y.last_day
             FROM (SELECT kpi.merge(r.cell) AS cell, pg_catalog.min(r.day) AS first_day,
                          pg_catalog.max(r.day) AS last_day
                     FROM kpi_internal.day_cell r
                    WHERE r.stream_id = x.id AND r.owner_id = o.id AND r.day > '-infinity'
                   HAVING pg_catalog.count(*) > 0) y) c
     WHERE CASE x.owner_kind WHEN 'team' THEN o.no_team ELSE o.no_member END
     GROUP BY s.id, s.name, x.owner_kind, o.key;

-- An error's text may hold facts: it is shown to who may see those.
CREATE FUNCTION kpi_internal.error_shown(viewer name, definer text, definer_oid oid, note text) RETURNS text
    STABLE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_error_shown';
CREATE FUNCTION kpi_internal.capture_state(source_id integer, relation text, attached oid,
                                           OUT tables integer, OUT problem text, OUT hint text)
    STABLE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_capture_state';
CREATE FUNCTION kpi_internal.commit_time(transaction xid) RETURNS timestamptz
    STABLE STRICT LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_commit_time';

CREATE VIEW kpi.source_status AS
    SELECT s.id AS source_id, s.name AS source, s.relation,
           CASE WHEN t.status = 'suspended' THEN t.status
                WHEN s.is_paused THEN 'paused'
                WHEN t.status = 'active' AND a.capture_problem IS NOT NULL THEN 'suspended'
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
           c.nonfinite_inputs,
           -- of a suspended source nothing more is queued: all its facts wait
           greatest(coalesce(q.pending_deltas, 0), CASE WHEN t.status = 'suspended' THEN 1 END) AS pending_deltas,
           CASE WHEN q.oldest_pending IS NOT NULL
                THEN greatest(extract(epoch FROM pg_catalog.statement_timestamp() - q.oldest_pending), 0)::double precision
           END AS oldest_pending_seconds,
           t.as_of, t.refreshed_at, t.duration_ms,
           t.last_deltas, t.last_cells, t.last_values, coalesce(t.deltas_applied, 0) AS deltas_applied,
           kpi_internal.error_shown(current_user, s.definer, t.definer_oid, t.last_error) AS last_error,
           t.last_sqlstate, t.failing_since, coalesce(t.failures, 0) AS failures, t.next_try
      FROM kpi.source s
      LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id
      LEFT JOIN (
           SELECT d.source_id, pg_catalog.count(*) AS pending_deltas,
                  pg_catalog.min(kpi_internal.commit_time(d.xmin)) AS oldest_pending
             FROM kpi_internal.delta d
            GROUP BY d.source_id) q ON q.source_id = s.id
     CROSS JOIN LATERAL (
           SELECT (z.f).tables AS capture_tables, (z.f).problem AS capture_problem, (z.f).hint AS capture_hint
             FROM (SELECT kpi_internal.capture_state(s.id, s.relation, t.relid) AS f OFFSET 0) z OFFSET 0) a
     CROSS JOIN LATERAL (
           SELECT coalesce(pg_catalog.sum(kpi_internal.cell_errors(y.cell)), 0)::bigint AS facts_ignored,
                  coalesce(pg_catalog.sum(kpi_internal.cell_nonfinite(y.cell)), 0)::bigint AS nonfinite_inputs
             FROM (SELECT r.cell
                     FROM kpi_internal.stream x
                     JOIN kpi_internal.rollup_cell r ON r.stream_id = x.id
                    WHERE x.source_id = s.id AND r.scope_kind = 1 AND r.scope_id = 1
                      AND r.grain = 2 AND r.dim_id = 0
                   UNION ALL
                   SELECT e.cell
                     FROM kpi_internal.stream x
                     JOIN kpi_internal.day_cell e ON e.stream_id = x.id
                    WHERE x.source_id = s.id AND e.owner_id = 0 AND e.day = '-infinity') y) c;

-- "incomplete" is no first status, as nobody has seen a number yet.
CREATE VIEW kpi_internal.goal_announcement AS
    SELECT p.goal_id, p.goal, p.kpi,
           CASE WHEN p.member_id IS NULL THEN 'team ' || p.team ELSE 'member ' || p.member END AS scope,
           p.period, s.status AS old_status, p.status, p.actual, p.target
      FROM kpi.goal_progress p
      LEFT JOIN kpi_internal.goal_status s ON s.goal_id = p.goal_id
     WHERE s.status IS DISTINCT FROM p.status AND (s.status IS NOT NULL OR p.status <> 'incomplete');

COMMENT ON VIEW kpi_internal.goal_announcement IS 'Goals whose status is another than listeners to kpi_progress know (old_status; NULL: none yet)';
COMMENT ON VIEW kpi.unassigned IS 'Owners of facts that are no member (or team) known: their facts count for team (unassigned). Add them with kpi.add_member() or correct the facts';
COMMENT ON VIEW kpi.source_status IS 'Sources: what state they are in, and what a DBA looks at';
COMMENT ON VIEW kpi.goal_progress IS 'Where every goal stands, as of the last refresh of its KPI''s source and of this day';

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
        "is_complete": "False while the numbers are not all there: the KPI is not built yet, or its source is suspended or about to be (kpi.source_status)",
        "as_of": "The numbers hold all changes committed up to this moment; of a formula the earliest of its sources",
        "refreshed_at": "When the source was last refreshed; of a formula the earliest of its sources",
        "team_path": "Names of the teams from the company down to this one, as the tree stands today",
        "team_level": "Teams above it, as the tree stands today: 0 is the company"}';
    series constant jsonb := '{
        "id": "Key of the row; it stays the same as long as the row is there",
        "value": "The KPI in the period. Teams contain the teams and members below them and periods contain shorter ones: never add up rows of several levels. NULL: nothing to divide by",
        "numerator": "Of an average, rate or ratio (and a formula that is a quotient): what is divided; else NULL",
        "denominator": "Of an average, rate or ratio (and a formula that is a quotient): what it is divided by; else NULL",
        "facts": "Facts that count; of a formula those of its inputs together",
        "previous_value": "Value of the period before; NULL: no facts there",
        "previous_value_to_date": "Value of the period before, up to as many days after its start as have begun of this one; only in the current period",
        "growth_ratio": "Change against the period before, as a fraction of it: 0.1 is 10 percent more. In the current period against previous_value_to_date. NULL: nothing to compare with, or it is 0",
        "year_ago_value": "Value of the same period of the year before (of a week: 52 weeks before); NULL: no facts there",
        "yoy_growth_ratio": "Change against year_ago_value, as a fraction of it; NULL: nothing to compare with, or it is 0",
        "changed_at": "When a refresh last changed the value; of values that are not stored when their source was last refreshed"}';
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
    goal constant jsonb := '{
        "id": "Key of the row: one per goal and period",
        "goal_id": "The goal (kpi.goal.id)",
        "goal": "Name of the goal, or NULL",
        "plan": "The plan it belongs to",
        "direction": "up: the target is to be reached at least; down: to be kept at most",
        "team_id": "The team whose goal it is; of a member''s goal its team on the last day of the period, or today if that is earlier (kpi.team.id)",
        "team": "Key of that team",
        "team_name": "Name of that team",
        "member_id": "The member whose goal it is (kpi.member.id); NULL: a team''s",
        "member": "Key of the member",
        "member_name": "Name of the member",
        "dimension": "Only facts with one value of this dimension count; NULL: all",
        "dimension_value": "That value; NULL with a dimension: facts without a value",
        "target": "The number to reach (direction up) or to stay within (down), in the KPI''s unit",
        "actual": "The KPI in the period so far. A KPI that accumulates (count, sum) is 0 without facts, another NULL",
        "numerator": "Of an average, rate or ratio (and a formula that is a quotient): what is divided; else NULL",
        "denominator": "Of an average, rate or ratio (and a formula that is a quotient): what it is divided by; else NULL",
        "attainment_ratio": "actual / target, as a fraction: 1 is the target. With direction down 1 and less is good. NULL: the target is 0",
        "remaining": "target - actual: what is missing, or with direction down what is left; negative beyond the target",
        "elapsed_ratio": "Working days of the period gone, today included, as a fraction; by the calendar of the team",
        "expected_today": "What actual should be by the end of today: of a KPI that accumulates the target times elapsed_ratio, else the target",
        "pace_ratio": "actual / expected_today, as a fraction; NULL: nothing is expected yet",
        "required_per_workday": "What is missing (with direction down: what is left) for each working day left; only of a KPI that accumulates, in a period that is not over",
        "workdays_left": "Working days of the period from today on, today included",
        "status": "In one word, for direction up (down): achieved: the target is reached (kept to the end); on_track: not below (above) expected_today; at_risk: off it by up to a tenth of it; behind: by more; missed: the period is over and the target is not reached (kept); over_limit: an accumulating KPI with direction down is above its target; not_started: the period has not begun; no_data: no facts to compute it from; incomplete: see is_complete",
        "status_rank": "Statuses from the worst to the best, for sorting: 1 missed, 2 over_limit, 3 behind, 4 at_risk, 5 incomplete, 6 no_data, 7 on_track, 8 achieved, 9 not_started",
        "status_reason": "Why the status is what it is, in one sentence",
        "is_stale": "True when the numbers are of an earlier day than today, though the period was not over on it",
        "is_final": "True when the numbers are complete and of a day after the period: they change only if the past is corrected",
        "changed_at": "When a refresh last changed actual; NULL: no facts"}';
    unassigned constant jsonb := '{
        "source_id": "The source (kpi.source.id)",
        "source": "Name of the source",
        "kind": "What its facts name as owner: member or team",
        "owner": "The key found in the facts; NULL: facts without an owner",
        "facts": "How many facts (of the KPI that counts most of them)",
        "first_day": "Day of the first of them",
        "last_day": "Day of the last of them"}';
    status constant jsonb := '{
        "source_id": "The source (kpi.source.id)",
        "source": "Name of the source",
        "relation": "The table its facts are in",
        "status": "active: current as of as_of; building: its cells are not built yet, the next refresh does it; paused: by kpi.pause(), until kpi.resume(); suspended: stopped, or stopped by the next refresh; reason says why and hint what to do",
        "reason": "Why it is suspended. Here and below, the text of an error of an expression is shown to superusers and members of the definer only; to others its condition and SQLSTATE",
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
        "pending_deltas": "Changes of facts that wait for the next refresh; of a suspended source at least 1: its facts wait to be read again",
        "oldest_pending_seconds": "For how many seconds the oldest of them has waited since it committed. NULL: none waits, or track_commit_timestamp is off (all have committed after as_of)",
        "as_of": "The numbers hold all changes committed up to this moment",
        "refreshed_at": "When it was last refreshed",
        "duration_ms": "How long that took, in milliseconds",
        "last_deltas": "Changes it took from the queue",
        "last_cells": "Rows of cells it wrote",
        "last_values": "Rows of values it wrote",
        "deltas_applied": "Changes merged since the source was made",
        "last_error": "Message of the error that the background worker''s last refresh met; NULL: it met none",
        "last_sqlstate": "SQLSTATE of that error",
        "failing_since": "When the first of the errors in a row was met; NULL: the last refresh succeeded",
        "failures": "Errors in a row",
        "next_try": "When the background worker tries again"}';
    v record;
    suffix text;
    of_view jsonb;
BEGIN
    FOR v IN
        SELECT c.relname AS view, a.attname AS "column"
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relnamespace = 'kpi'::regnamespace::oid AND c.relkind = 'v' AND c.relname <> 'team_ancestor'
    LOOP
        suffix := pg_catalog.split_part(v.view, '_', 2);
        of_view := common || CASE
            WHEN v.view = 'goal_progress' THEN goal
            WHEN v.view = 'unassigned' THEN unassigned
            WHEN v.view = 'source_status' THEN status
            WHEN v.view LIKE 'team%' THEN series || team_series
            ELSE series || member_series END;
        IF of_view ->> v."column" IS NULL THEN
            RAISE EXCEPTION 'column %.% has no comment', v.view, v."column";
        END IF;
        EXECUTE pg_catalog.format('COMMENT ON COLUMN kpi.%I.%I IS %L', v.view, v."column",
                                  of_view ->> v."column");
        IF level_of_suffix ? suffix THEN
            EXECUTE pg_catalog.format('COMMENT ON VIEW kpi.%I IS %L', v.view,
                pg_catalog.format('KPIs of %ss by %s: the periods that have facts',
                                  pg_catalog.split_part(v.view, '_', 1), level_of_suffix ->> suffix));
        END IF;
    END LOOP;
END
$comments$;
