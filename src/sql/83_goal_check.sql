-- 83_goal_check: whether goals are such that people can work by them.

-- A goal in the period that runs or comes next, else in its last: what it asks for, and
-- what was to be expected before that began.
CREATE VIEW kpi_internal.goal_expected AS
    SELECT g.id AS goal_id, g.plan, g.kpi_id, k.name AS kpi, k.unit, k.direction,
           coalesce(g.name, pg_catalog.concat_ws(' ', k.title, coalesce(m.name, t.name),
                                                 coalesce(g.dimension_value, 'without ' || g.dimension), g.period)) AS goal,
           g.team_id, t.key AS team, g.member_id, m.key AS member, g.dimension,
           -- whose goals it may be a part of
           coalesce(g.team_id, (SELECT h.team_id FROM kpi.membership h
                                 WHERE h.member_id = g.member_id AND (h.since IS NULL OR h.since <= e.period_end) AND (h.until IS NULL OR h.until > e.period_start)
                                 ORDER BY h.since NULLS FIRST LIMIT 1)) AS of_team_id,
           p.program, p.scope_kind, p.scope_id, p.dim_id, p.today, p.is_complete,
           coalesce(e.period, g.period) AS period, coalesce(e.period_start, g.period_start) AS period_start, coalesce(e.period_end, g.period_end) AS period_end,
           e.target, e.target_high, e.forecast_grain, e.forecast_start, pg_catalog.array_position('{day,week,month,quarter,year}', e.forecast_grain) - 1 AS grain_number,
           coalesce(e.target_kind, CASE k.direction WHEN 'down' THEN 'at_most' ELSE 'at_least' END) AS target_kind,
           g.grain, g.period_end AS last_day, g.is_recurring, g.review_on, g.target_text, g.parent_id,
           -- its own, or else that of what it is a part of
           (WITH RECURSIVE up (parent_id, description) AS (
                SELECT g.parent_id, g.description
                UNION ALL
                SELECT o.parent_id, o.description FROM up u JOIN kpi.goal o ON o.id = u.parent_id WHERE u.description IS NULL)
            SELECT u.description FROM up u WHERE u.description IS NOT NULL) AS description
      FROM kpi.goal g
      JOIN kpi.kpi k ON k.id = g.kpi_id
      JOIN kpi_internal.goal_place p ON p.goal_id = g.id
      LEFT JOIN kpi.team t ON t.id = g.team_id
      LEFT JOIN kpi.member m ON m.id = g.member_id
      LEFT JOIN LATERAL (
           SELECT z.* FROM kpi.goal_target z
            WHERE z.goal_id = g.id AND z.valid_until IS NULL
            ORDER BY z.period_end < p.today, CASE WHEN z.period_end >= p.today THEN z.period_start END, z.period_start DESC
            LIMIT 1) e ON true;
COMMENT ON VIEW kpi_internal.goal_expected IS 'Goals in the period that runs or comes next, else in their last one: for checks';

-- KPIs that a KPI is computed of, and those over it, at any depth.
CREATE FUNCTION kpi_internal.formula_kin(kpi_id integer) RETURNS SETOF integer
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE
        below (id) AS (SELECT $1 UNION SELECT f.input_kpi_id FROM below b JOIN kpi_internal.formula_input f ON f.kpi_id = b.id),
        above (id) AS (SELECT $1 UNION SELECT f.kpi_id FROM above a JOIN kpi_internal.formula_input f ON f.input_kpi_id = a.id)
    SELECT id FROM below UNION SELECT id FROM above
$$;

-- A number as people read it.
CREATE FUNCTION kpi_internal.check_number(value numeric, kpi text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT kpi.format(trim_scale(round($1, CASE WHEN abs($1) >= 1000 THEN 0 ELSE 4 END)), $2)
$$;

CREATE FUNCTION kpi_internal.goal_checks(goal_ids bigint[], costs text,
                                         OUT goal_id bigint, OUT goal text, OUT plan text, OUT kpi text, OUT team text, OUT member text, OUT period text,
                                         OUT number integer, OUT criterion text, OUT verdict text, OUT reason text)
    RETURNS SETOF record LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH checked AS MATERIALIZED (
        SELECT e.*, s.forecast::numeric AS forecast, s.probability, s.forecast_basis, s.best, s.best_period,
               r.people, r.ramping, r.capacity
          FROM kpi_internal.goal_expected e
          LEFT JOIN LATERAL kpi_internal.goal_start(e.program, e.scope_kind, e.scope_id, e.dim_id, e.grain_number, e.forecast_start, e.period_start,
                                                    e.period_end, e.today, e.target_kind, e.target::float8, e.target_high::float8, e.direction = 'down') s
                 ON e.dim_id IS NOT NULL AND e.forecast_start IS NOT NULL
          LEFT JOIN LATERAL (
               SELECT count(*) AS people, count(*) FILTER (WHERE c.days < c.workdays) AS ramping, sum(c.days) / nullif(sum(c.workdays), 0) AS capacity
                 FROM kpi_internal.member_capacity(coalesce(e.team_id, 1), coalesce(e.member_id, 0), e.period_start, e.period_end) c) r
                 ON e.period_end < 'infinity'
         WHERE e.goal_id = ANY ($1))
    SELECT g.goal_id, g.goal, g.plan, g.kpi, g.team, g.member, g.period, c.number, c.criterion, c.verdict, c.reason
      FROM checked g
     CROSS JOIN LATERAL (
        SELECT 1, 'specific',
               CASE WHEN g.description IS NULL THEN 'fail' WHEN array_length(regexp_split_to_array(btrim(g.description), '\s+'), 1) < 3 THEN 'warn' ELSE 'pass' END,
               CASE WHEN g.description IS NULL THEN 'no description says by what it is to be reached'
                    WHEN array_length(regexp_split_to_array(btrim(g.description), '\s+'), 1) < 3 THEN format('"%s" hardly says by what it is to be reached', g.description)
                    ELSE format('to be reached by: %s', g.description) END
        UNION ALL
        SELECT 2, 'measurable',
               CASE WHEN g.target IS NULL OR g.dim_id IS NULL OR NOT b.has_begun THEN 'fail' WHEN NOT g.is_complete THEN 'warn' ELSE 'pass' END,
               CASE WHEN g.target IS NULL THEN format('target %s has nothing to be compared with: there is no number to reach', g.target_text)
                    WHEN g.dim_id IS NULL THEN format('no fact has this value of dimension %s', g.dimension)
                    WHEN NOT b.has_begun THEN format('KPI %s has no fact yet', g.kpi)
                    WHEN NOT g.is_complete THEN format('the numbers of KPI %s are not complete yet (kpi.source_status)', g.kpi)
                    ELSE format('by KPI %s, %s %s%s', g.kpi, replace(g.target_kind, '_', ' '), kpi_internal.check_number(g.target, g.kpi),
                                ' and ' || kpi_internal.check_number(g.target_high, g.kpi)) END
          FROM (SELECT coalesce(kpi_internal.goal_has_begun(g.program, g.today), true) AS has_begun) b
        UNION ALL
        SELECT 3, 'achievable',
               CASE WHEN g.probability IS NULL THEN 'warn' WHEN g.probability < 0.05 THEN 'fail' WHEN g.probability < 0.25 OR g.probability > 0.9 THEN 'warn' ELSE 'pass' END,
               concat_ws('; ',
                   CASE WHEN g.target IS NULL THEN 'there is no number to reach'
                        WHEN g.forecast_start IS NULL OR g.forecast_basis = 'none' THEN 'there is no forecast of such a period or formula'
                        WHEN g.forecast IS NULL THEN 'there is no history to judge it by'
                        WHEN g.probability IS NULL THEN format('%s are to be expected, how sure that is is not known', kpi_internal.check_number(g.forecast, g.kpi))
                        ELSE format('%s %% probable before it begins, with %s to be expected%s', round((g.probability * 100)::numeric, 1),
                                    kpi_internal.check_number(g.forecast, g.kpi), CASE g.forecast_basis WHEN 'members' THEN ' by the members of its team' ELSE '' END)
                             || CASE WHEN g.probability > 0.9 THEN ': it asks for little' ELSE '' END END,
                   CASE WHEN g.best > 0 AND g.grain = g.forecast_grain AND g.target IS NOT NULL
                        THEN format('%s %% %s the best that there was, %s in %s', abs(round((g.target / g.best - 1) * 100, 1)),
                                    CASE WHEN g.target < g.best THEN 'below' ELSE 'above' END, kpi_internal.check_number(g.best, g.kpi), g.best_period) END,
                   CASE WHEN g.ramping > 0 THEN format('%s of %s people in their ramp, which leaves %s %% of the capacity', g.ramping, g.people, round((g.capacity * 100)::numeric)) END)
        UNION ALL
        SELECT 4, 'relevant', CASE WHEN g.team_id = 1 OR g.parent_id IS NOT NULL OR o.goals IS NOT NULL THEN 'pass' ELSE 'fail' END,
               CASE WHEN g.parent_id IS NOT NULL THEN format('a part of goal %s', (SELECT coalesce(q.name, q.id::text) FROM kpi.goal q WHERE q.id = g.parent_id))
                    WHEN o.goals IS NOT NULL THEN format('it serves %s', o.goals)
                    WHEN g.team_id = 1 THEN 'a goal of the company, which others serve'
                    ELSE format('no team above has a goal of KPI %s, or one of its formula, on these days', g.kpi) END
          FROM (SELECT string_agg(format('%s of team %s', quote_ident(u.name), t.key), ', ' ORDER BY u.name, t.key) AS goals
                  FROM (SELECT DISTINCT k.name, q.team_id
                          FROM kpi.goal q
                          JOIN kpi.kpi k ON k.id = q.kpi_id
                          JOIN kpi.team_ancestor a ON a.team_id = g.of_team_id AND a.ancestor_id = q.team_id
                               AND coalesce(a.since, '-infinity') <= g.period_end AND coalesce(a.until, 'infinity') > g.period_start
                         WHERE q.plan = g.plan AND q.id <> g.goal_id AND (a.depth > 0 OR g.member_id IS NOT NULL)
                           AND q.period_start <= g.period_end AND q.period_end >= g.period_start
                           AND q.kpi_id IN (SELECT kpi_internal.formula_kin(g.kpi_id))) u
                  JOIN kpi.team t ON t.id = u.team_id) o
        UNION ALL
        SELECT 5, 'time_bound',
               CASE WHEN g.last_day < g.today THEN 'fail' WHEN g.last_day = 'infinity' OR g.period_end > g.period_start + 366 THEN 'warn' ELSE 'pass' END,
               CASE WHEN g.last_day < g.today THEN format('it is over since %s', to_char(g.last_day, 'YYYY-MM-DD'))
                    WHEN g.last_day = 'infinity' THEN 'it recurs without an end'
                    WHEN g.period_end > g.period_start + 366 THEN format('%s days are longer than a year', g.period_end - g.period_start + 1)
                    WHEN g.period_start > g.today THEN format('from %s to %s', to_char(g.period_start, 'YYYY-MM-DD'), to_char(g.period_end, 'YYYY-MM-DD'))
                    ELSE format('until %s, %s days to come', to_char(g.period_end, 'YYYY-MM-DD'), g.period_end - g.today) END
        UNION ALL
        SELECT 6, 'coverage', v.verdict, v.reason
          FROM (SELECT NULL) n
          LEFT JOIN (SELECT k.name, k.unit, k.direction, x.program FROM kpi.kpi k JOIN kpi_internal.kpi_stream x ON x.kpi_id = k.id AND x.position = 1 WHERE k.name = $2) k ON true
          LEFT JOIN LATERAL kpi_internal.goal_start(k.program, g.scope_kind, g.scope_id, 0, g.grain_number, g.forecast_start, g.period_start, g.period_end, g.today,
                                                    'at_most', NULL, NULL, true) s
                 ON g.forecast_start IS NOT NULL AND g.dimension IS NULL
         CROSS JOIN LATERAL (
               SELECT CASE WHEN $2 IS NULL OR w.not_for IS NOT NULL THEN 'pass' WHEN s.forecast IS NULL OR g.target IS NULL THEN 'warn'
                           WHEN g.target < s.forecast::numeric THEN 'fail' WHEN g.target < s.forecast::numeric * 1.1 THEN 'warn' ELSE 'pass' END AS verdict,
                      CASE WHEN $2 IS NULL THEN 'not asked for: costs => names the KPI of what it has to pay for'
                           WHEN w.not_for IS NOT NULL THEN w.not_for
                           WHEN s.forecast IS NULL OR g.target IS NULL THEN format('of KPI %s nothing is known here', $2)
                           ELSE format('%s asked for, %s of %s to be expected', kpi_internal.check_number(g.target, g.kpi),
                                       kpi_internal.check_number(s.forecast::numeric, $2), $2) END AS reason
                 FROM (SELECT CASE WHEN g.kpi = $2 THEN 'these are the costs' WHEN g.dimension IS NOT NULL THEN 'not for a part by a dimension'
                                   WHEN g.direction = 'down' THEN 'not for what less is better of'
                                   WHEN kpi_internal.goal_has_begun(g.program, g.today) IS NULL THEN 'not for what does not add up'
                                   WHEN g.unit IS DISTINCT FROM k.unit THEN format('not for %s, costs are in %s', coalesce(g.unit, 'a KPI without a unit'), coalesce(k.unit, 'no unit')) END AS not_for) w) v
        UNION ALL
        SELECT 7, 'focus', CASE WHEN o.n > 2 * l.n THEN 'fail' WHEN o.n > l.n THEN 'warn' ELSE 'pass' END,
               format('%s goal%s of %s at once, of %s at most', o.n, CASE WHEN o.n = 1 THEN '' ELSE 's' END,
                      coalesce('member ' || g.member, 'team ' || g.team), l.n)
          FROM (SELECT current_setting('kpi.focus_limit')::integer AS n) l,
               (SELECT least(greatest(g.today, g.period_start), g.period_end) AS day) d,
               LATERAL (SELECT count(*) AS n FROM kpi.goal q
                         WHERE q.plan = g.plan AND q.team_id IS NOT DISTINCT FROM g.team_id AND q.member_id IS NOT DISTINCT FROM g.member_id
                           AND q.period_start <= d.day AND q.period_end >= d.day) o
        UNION ALL
        SELECT 8, 'review', CASE WHEN g.review_on <= g.today THEN 'fail' WHEN g.review_on IS NULL AND g.last_day > g.period_start + 92 OR g.review_on > g.last_day THEN 'warn' ELSE 'pass' END,
               CASE WHEN g.review_on <= g.today THEN format('its review was due on %s', to_char(g.review_on, 'YYYY-MM-DD'))
                    WHEN g.review_on > g.last_day THEN format('its review on %s comes when it is over', to_char(g.review_on, 'YYYY-MM-DD'))
                    WHEN g.review_on IS NOT NULL THEN format('to be reviewed on %s', to_char(g.review_on, 'YYYY-MM-DD'))
                    WHEN g.last_day = 'infinity' OR g.last_day > g.period_start + 92 THEN 'nobody has said when it is looked at again'
                    ELSE 'it ends within a quarter' END) c (number, criterion, verdict, reason)
$$;

CREATE FUNCTION kpi.check_goals(goal anycompatible DEFAULT NULL, plan text DEFAULT NULL, costs text DEFAULT NULL,
                                OUT goal_id bigint, OUT goal_name text, OUT goal_plan text, OUT kpi text, OUT team text, OUT member text, OUT period text,
                                OUT criterion text, OUT verdict text, OUT reason text)
    RETURNS SETOF record STABLE COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_check_goals';
COMMENT ON FUNCTION kpi.check_goals(anycompatible, text, text) IS
'Whether goals are such that people can work by them: of a goal (its id, or its name: all of that name), of all goals of a plan, drafts too, else of all that are not over; a row for each goal and criterion with a verdict (fail, warn, pass) and the numbers in words, the worst first. A recurring goal is judged in the period that runs or comes next. specific: a description, its own or of a goal that it is a part of, says by what. measurable: there is a number to reach, and facts that are complete. achievable: how probable it was before the period begins (kpi.suggest_target()): below 5 % fail, below 25 % and above 90 % warn; with the best period there was, and who is in the ramp. relevant: it is a part of another, or a team above has a goal of the plan of the same KPI, or of one that it is computed of or that is computed of it, on some of these days; or it is the company''s. time_bound: it ends, within a year, and is not over. coverage: with costs, the name of a KPI in the same unit, the target of a KPI that adds up covers what is to be expected of it; by less than a tenth: warn. focus: no more goals of the plan of the same team or member at once than kpi.focus_limit, twice as many: fail. review: review_on is to come; longer than a quarter without one: warn. Cost: that of kpi.suggest_target() for each goal. Errors: goal, plan or KPI unknown; both a goal and a plan are given';
