-- 89_goal_change: why a goal stands otherwise than it did (explain/goal_change.c).

-- What a KPI amounts to on some days, both included, by parts as of kpi.breakdown(); by nothing: in all. Of what adds up.
CREATE FUNCTION kpi_internal.parts_between(program text, kpi text, scope_kind integer, scope_id integer, since date, until date, by text[],
                                           OUT part_1 text, OUT part_2 text, OUT part_3 text, OUT value numeric)
    RETURNS SETOF record STABLE STRICT COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_parts_between';

-- Of a goal in one of its periods, between two days at whose ends something was said of it, difference being how far that is
-- apart: what is dated after the first, by part, and the rest.
CREATE FUNCTION kpi_internal.goal_change_rows(goal_id bigint, period_start date, period_end date, since date, until date, difference numeric, by text)
    RETURNS TABLE (cause text, part text, amount numeric, detail text)
    STABLE LANGUAGE sql SET jit = off SET search_path = pg_catalog, pg_temp AS $$
    WITH goal AS MATERIALIZED (
        SELECT g.member_id, g.dimension, g.dimension_value, p.program, p.scope_kind, p.scope_id, k.name AS kpi,
               ARRAY(SELECT DISTINCT x.name FROM (VALUES ($7), (g.dimension)) x (name) WHERE x.name IS NOT NULL) AS keys
          FROM kpi.goal g JOIN kpi_internal.goal_place p ON p.goal_id = g.id JOIN kpi.kpi k ON k.id = g.kpi_id WHERE g.id = $1),
    own AS MATERIALIZED (   -- the days that count of a member's goal, as goal/progress.c has them
        SELECT CASE WHEN z.first <= z.last THEN z.first ELSE $2 END AS first, CASE WHEN z.first <= z.last THEN z.last ELSE $3 END AS last
          FROM (SELECT greatest($2, CASE WHEN count(m.since) = count(*) THEN min(m.since) END) AS first,
                       least($3, CASE WHEN count(m.until) = count(*) THEN max(m.until) - 1 END) AS last
                  FROM kpi.membership m JOIN goal g ON g.member_id = m.member_id) z),
    fresh AS MATERIALIZED (
        SELECT (ARRAY[x.part_1, x.part_2])[array_position(g.keys, $7)] AS part, sum(x.value) AS amount
          FROM goal g CROSS JOIN own o
         CROSS JOIN LATERAL kpi_internal.parts_between(g.program, g.kpi, g.scope_kind, g.scope_id, greatest($4 + 1, o.first), least($5, o.last), g.keys) x
         WHERE greatest($4 + 1, o.first) <= least($5, o.last)
           AND (g.dimension IS NULL OR (ARRAY[x.part_1, x.part_2])[array_position(g.keys, g.dimension)] IS NOT DISTINCT FROM g.dimension_value)
         GROUP BY 1)
    SELECT x.cause, x.part, x.amount, x.detail
      FROM (SELECT 1, 'new_facts', f.part, f.amount, NULL::text FROM fresh f
             UNION ALL
            SELECT 2, 'corrections_and_moves', NULL, $6 - coalesce((SELECT sum(f.amount) FROM fresh f), 0),
                   format('Facts dated until %s that came, changed or went after that was said, people and teams that were moved, and what was defined otherwise; of which part they are is not kept',
                          to_char($4, 'YYYY-MM-DD'))) x (rank, cause, part, amount, detail)
     WHERE x.amount <> 0
     ORDER BY x.rank, abs(x.amount) DESC, x.part COLLATE "C"
$$;

DO $overloads$
DECLARE
    goal text;
BEGIN
    FOREACH goal IN ARRAY '{bigint,text}'::text[] LOOP
        EXECUTE pg_catalog.format($$
CREATE FUNCTION kpi.goal_change(goal %1$s, since date, until date DEFAULT NULL, by text DEFAULT NULL,
                                OUT cause text, OUT part text, OUT amount numeric, OUT target_amount numeric,
                                OUT since_day date, OUT until_day date, OUT detail text)
    RETURNS SETOF record STABLE COST 10000 ROWS 20 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_change';
COMMENT ON FUNCTION kpi.goal_change(%1$s, date, date, text) IS
'Why a goal, known by its %2$s, stands otherwise at the end of a day than at that of an earlier one: rows whose amounts, in the KPI''s unit, add up to the difference of what was said on the two (kpi.goal_progress_history.actual_to_date), and whose target_amounts to that of its targets (none counts as 0). until NULL, or today: as it stands now. since_day and until_day are the days on which that was said last, up to those asked for; a since before the period is 0. Of a recurring goal the period that the day after since lies in. cause: new_facts is what is dated after since_day, until until_day, by part, as facts and people are now; corrections_and_moves all else, in one row: facts dated until since_day that came, changed or went, people who were moved, what was defined otherwise; target_changed has a target_amount alone. by: team (the teams below; the team itself, where facts count for it directly), member (part NULL: nobody known), or a dimension of the KPI (part NULL: without a value); NULL: the teams below of a team''s goal, and in all of a member''s. Errors: goal unknown%3$s; since not before until, or not before today; a day in the period before anything was said; a KPI that is no count or sum in one currency; a dimension unknown (near names are offered)'$$,
            goal, CASE goal WHEN 'text' THEN 'name' ELSE 'id' END, CASE goal WHEN 'text' THEN '; several goals of that name' ELSE '' END);
    END LOOP;
END
$overloads$;
