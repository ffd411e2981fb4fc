-- 86_preview: what a move would change (define/preview.c).

-- Values of teams in the months, quarters and years in which a member has facts, and where goals of
-- these teams and of the member stand, as of now. To be compared as a whole.
CREATE FUNCTION kpi_internal.preview_numbers(member_id integer, team_ids integer[]) RETURNS jsonb
    VOLATILE LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    WITH months AS (
        SELECT DISTINCT x.id AS stream_id, date_trunc('month', d.day::timestamp)::date AS month
          FROM kpi.source s
         CROSS JOIN LATERAL (SELECT DISTINCT z.owner_id FROM kpi_internal.applied_attribution z
                              WHERE z.source_id = s.id AND z.member_id = $1 AND z.member_id <> 0) a
          JOIN kpi_internal.stream x ON x.source_id = s.id AND x.owner_kind = 'member'
          JOIN kpi_internal.day_cell d ON d.stream_id = x.id AND d.owner_id = a.owner_id AND d.day > '-infinity'),
    places AS (
        SELECT DISTINCT k.kpi_id, g.number AS grain, kpi.period_start(m.month, g.grain) AS start
          FROM months m
          JOIN kpi_internal.kpi_stream k ON k.stream_id = m.stream_id
         CROSS JOIN (VALUES (2, 'month'), (3, 'quarter'), (4, 'year')) g (number, grain)),
    numbers AS (
        SELECT p.kpi_id, t.id AS team_id, p.grain, p.start,
               CASE WHEN kpi_internal.facts(k.program, 0, 1, t.id, p.grain, 0, p.start, NULL) > 0
                    THEN kpi_internal.value(k.program, 0, 1, t.id, p.grain, 0, p.start, NULL) END AS value
          FROM places p
          JOIN kpi_internal.kpi_stream k ON k.kpi_id = p.kpi_id AND k.position = 1
         CROSS JOIN unnest($2) t (id))
    SELECT jsonb_build_object(
        'kpis', (SELECT coalesce(jsonb_agg(to_jsonb(n) ORDER BY n.kpi_id, n.team_id, n.grain, n.start), '[]') FROM numbers n WHERE n.value IS NOT NULL),
        'goals', (SELECT coalesce(jsonb_agg(jsonb_build_object('goal_id', g.goal_id, 'period', g.period, 'actual', g.actual, 'status', g.status)
                                            ORDER BY g.goal_id, g.period_start), '[]')
                    FROM kpi_internal.goal_now g
                   WHERE g.goal_id IN (SELECT z.id FROM kpi.goal z WHERE z.team_id = ANY ($2) OR z.member_id = $1)))
$$;
COMMENT ON FUNCTION kpi_internal.preview_numbers(integer, integer[]) IS 'Values of teams in the periods in which a member has facts, and goals of these teams and of the member: for kpi.preview_move()';

CREATE FUNCTION kpi_internal.preview_difference(numbers_before jsonb, numbers_after jsonb)
    RETURNS TABLE (kind text, kpi text, scope_team text, scope_member text, grain text, period text, before numeric, after numeric,
                   goal text, status_before text, status_after text)
    VOLATILE LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'kpi', k.name, t.key, NULL, (ARRAY['month', 'quarter', 'year'])[n.grain - 1],
           kpi_internal.period_name(n.start, n.grain, (SELECT c.fiscal_year_start FROM kpi.calendar c WHERE c.id = 1)),
           n.before, n.after, NULL, NULL, NULL
      FROM (SELECT kpi_id, team_id, grain, start, b.value AS before, a.value AS after
              FROM jsonb_to_recordset($1 -> 'kpis') b (kpi_id integer, team_id integer, grain integer, start date, value numeric)
              FULL JOIN jsonb_to_recordset($2 -> 'kpis') a (kpi_id integer, team_id integer, grain integer, start date, value numeric)
                   USING (kpi_id, team_id, grain, start)
             WHERE b.value IS DISTINCT FROM a.value) n
      JOIN kpi.kpi k ON k.id = n.kpi_id
      JOIN kpi.team t ON t.id = n.team_id
    UNION ALL
    SELECT 'goal', k.name, t.key, m.key, g.grain, n.period, n.before, n.after,
           coalesce(g.name, 'goal ' || g.id), n.status_before, n.status_after
      FROM (SELECT goal_id, period, b.actual AS before, a.actual AS after, b.status AS status_before, a.status AS status_after
              FROM jsonb_to_recordset($1 -> 'goals') b (goal_id bigint, period text, actual numeric, status text)
              FULL JOIN jsonb_to_recordset($2 -> 'goals') a (goal_id bigint, period text, actual numeric, status text)
                   USING (goal_id, period)
             WHERE (b.actual, b.status) IS DISTINCT FROM (a.actual, a.status)) n
      JOIN kpi.goal g ON g.id = n.goal_id
      JOIN kpi.kpi k ON k.id = g.kpi_id
      LEFT JOIN kpi.team t ON t.id = g.team_id
      LEFT JOIN kpi.member m ON m.id = g.member_id
     ORDER BY 1 DESC, 2, 3, 4, 5, 6, 9
$$;
COMMENT ON FUNCTION kpi_internal.preview_difference(jsonb, jsonb) IS 'Where two results of kpi_internal.preview_numbers() differ, with names';

-- The team's key is of the type of the member's or, as in kpi.move_member(), of another.
DO $$
DECLARE
    team_type text;
BEGIN
    FOREACH team_type IN ARRAY '{text,anyelement}'::text[] LOOP
        EXECUTE pg_catalog.format($create$
CREATE FUNCTION kpi.preview_move(member anycompatible, team %1$s, since date, until date DEFAULT NULL)
    RETURNS TABLE (kind text, kpi text, scope_team text, scope_member text, grain text, period text, before numeric, after numeric,
                   goal text, status_before text, status_after text)
    VOLATILE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_preview_move'$create$, team_type);
        EXECUTE pg_catalog.format('COMMENT ON FUNCTION kpi.preview_move(anycompatible, %s, date, date) IS %L', team_type,
'What kpi.move_member() with the same arguments would change, and nothing is changed: a row (kind kpi) for each KPI, team and month, quarter or year whose value would be another, and one (kind goal) for each goal whose value or status would. scope_team and scope_member: whose it is. before and after are values of the KPI, NULL: none; status_before and status_after those of the goal. As of now: what waits to be refreshed is counted in both. Numbers of sources that are paused, suspended or to be built are left out, with a notice. Refreshes wait while it runs. Errors: as kpi.move_member()');
    END LOOP;
END
$$;
