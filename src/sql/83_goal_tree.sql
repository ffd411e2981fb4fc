-- 83_goal_tree: goals that are parts of others (define/goal_tree.c), and how they are made of them
-- (define/cascade.c).

DO $overloads$
DECLARE
    goal text;
BEGIN
    FOREACH goal IN ARRAY '{bigint,text}'::text[] LOOP
        EXECUTE pg_catalog.format($$
CREATE FUNCTION kpi.cascade(goal %1$s, across text, by text DEFAULT NULL, step numeric DEFAULT NULL, over_assign numeric DEFAULT 1,
                            dry_run boolean DEFAULT false, steps text[] DEFAULT NULL, per text DEFAULT NULL, cycle text DEFAULT NULL,
                            OUT goal_id bigint, OUT kpi text, OUT scope text, OUT team text, OUT member text, OUT period text,
                            OUT weight numeric, OUT target numeric, OUT target_high numeric, OUT needed numeric, OUT needed_per_day numeric,
                            OUT action text, OUT message text)
    RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'kpi_sql_cascade';
COMMENT ON FUNCTION kpi.cascade(%1$s, text, text, numeric, numeric, boolean, text[], text, text) IS
'Cuts a goal, known by its %2$s, into goals that are parts of it, and returns a row for each: action create, replace (its target was another), keep or drop, and none where there is to be no goal; message says why. across: teams (those right below), members (of the team and all below it), quarters, months, weeks, or activities. A team or member that is there only for a part of the period, and elsewhere for another, has a goal for its days there; a week or month that lies only in part in the period one for its days in it. Targets of KPIs that add up, and of balances, are split, each part a multiple of step (1 of a count, else 0.01), so that all sum to target x over_assign, rounded to it; what is left of rounding goes to those that were cut most, of equals to the first by key. A balance is split over time by what it is to grow by. Averages, rates and all else is handed down as it is. by: history (of teams and members the default: what a period brought each, kpi.forecast_basis, less where it is not there for all of it; of balances what is held; who has no history counts as the mean of the others), season (of periods the default: what the time of the year makes of it x working days), capacity (working days of who is there, new people less as kpi.set_ramp() says), equal, or weights as an object by key: {"emea": 3, "apac": 2}; who is not in it gets none. Again: parts that nobody has altered are replaced, others are named and kept. across activities: what has to be done for what is missing to come in, by what came of what in closed periods. steps: a KPI that counts what brings the amount of per (a KPI: what one brings) each, and then rates, quotients or counts, one after the other: a rate, or the share of what the step before counts, divides, so many for each multiplies; of counts it is the one over the other. needed: how many from now on, needed_per_day: for each member and working day left, of which those do not count that are closer to the end than cycle (a KPI in days). A rate of 0, or no day left: NULL. target: with what is done already. dry_run does the same and takes it back. Errors: goal unknown; one that recurs or has no target; nobody to cut to; a target that is no multiple of step; weights below 0, all 0 or of unknown keys'$$,
            goal, CASE goal WHEN 'text' THEN 'name' ELSE 'id' END);
    END LOOP;
END
$overloads$;

CREATE VIEW kpi.goal_mismatch AS
    SELECT x.goal_id, coalesce(r.goal, x.name) AS goal, x.plan, k.name AS kpi, CASE WHEN x.member_id IS NULL THEN 'team' ELSE 'member' END AS scope,
           t.key AS team, m.key AS member, x.period, x.across, x.parts, x.target, x.over_assign, x.meant, x.parts_target,
           x.parts_target - x.meant AS difference
      FROM (SELECT p.id AS goal_id, p.name, p.plan, p.kpi_id, p.team_id, p.member_id, p.period, p.target, c.across,
                   pg_catalog.count(*) AS parts, coalesce(pg_catalog.max(c.over_assign), 1) AS over_assign,
                   p.target * coalesce(pg_catalog.max(c.over_assign), 1) AS meant,
                   CASE WHEN p.shape = 'balance' AND c.is_in_time THEN (pg_catalog.array_agg(c.target ORDER BY c.period_end DESC, c.id))[1]
                        ELSE pg_catalog.sum(c.target) END AS parts_target,
                   coalesce(pg_catalog.max(c.cascade_step), 0) AS step
              FROM (SELECT g.*, kpi_internal.goal_shape(s.program) AS shape,
                           coalesce(v.target, g.target) AS target_now
                      FROM kpi.goal g
                      JOIN kpi_internal.kpi_stream s ON s.kpi_id = g.kpi_id AND s.position = 1
                      LEFT JOIN kpi.goal_target v ON v.goal_id = g.id AND v.period_start = g.period_start AND v.valid_until IS NULL
                     WHERE NOT g.is_recurring AND EXISTS (SELECT FROM kpi.goal e WHERE e.parent_id = g.id)) q
             CROSS JOIN LATERAL (SELECT q.id, q.name, q.plan, q.kpi_id, q.team_id, q.member_id, q.period, q.target_now AS target, q.shape) p
              JOIN LATERAL (
                   SELECT e.id, e.over_assign, e.cascade_step, e.period_end, coalesce(v.target, e.target) AS target, z.is_in_time,
                          coalesce(e.cascaded, CASE WHEN z.is_in_time THEN e.grain || 's' WHEN e.member_id IS NULL THEN 'teams' ELSE 'members' END) AS across
                     FROM kpi.goal e
                    CROSS JOIN LATERAL (SELECT e.team_id IS NOT DISTINCT FROM q.team_id AND e.member_id IS NOT DISTINCT FROM q.member_id AS is_in_time) z
                     LEFT JOIN kpi.goal_target v ON v.goal_id = e.id AND v.period_start = e.period_start AND v.valid_until IS NULL
                    WHERE e.parent_id = q.id AND e.plan = q.plan AND e.kpi_id = q.kpi_id AND NOT e.is_recurring
                      AND e.dimension IS NOT DISTINCT FROM q.dimension AND e.dimension_value IS NOT DISTINCT FROM q.dimension_value) c ON true
             WHERE p.shape IN ('additive', 'balance') AND p.target IS NOT NULL
             GROUP BY p.id, p.name, p.plan, p.kpi_id, p.team_id, p.member_id, p.period, p.target, p.shape, c.across, c.is_in_time) x
      JOIN kpi.kpi k ON k.id = x.kpi_id
      LEFT JOIN kpi.team t ON t.id = x.team_id
      LEFT JOIN kpi.member m ON m.id = x.member_id
      LEFT JOIN kpi.goal_progress r ON r.goal_id = x.goal_id
     WHERE pg_catalog.abs(x.parts_target - x.meant) > x.step / 2;
COMMENT ON VIEW kpi.goal_mismatch IS 'Goals whose parts (of the same KPI and plan) do not add up to what was meant: a target was altered, a part came or went. Empty where all do. Each way in which a goal is cut is a row of its own. Only of KPIs that add up, and of balances, whose last period has to be where the goal is';
COMMENT ON COLUMN kpi.goal_mismatch.goal_id IS 'The goal (kpi.goal.id)';
COMMENT ON COLUMN kpi.goal_mismatch.goal IS 'Name of the goal, as in kpi.goal_progress';
COMMENT ON COLUMN kpi.goal_mismatch.plan IS 'The plan it belongs to';
COMMENT ON COLUMN kpi.goal_mismatch.kpi IS 'Name of the KPI';
COMMENT ON COLUMN kpi.goal_mismatch.scope IS 'What it is of: team or member';
COMMENT ON COLUMN kpi.goal_mismatch.team IS 'Key of the team whose goal it is; NULL: a member''s';
COMMENT ON COLUMN kpi.goal_mismatch.member IS 'Key of the member whose goal it is; NULL: a team''s';
COMMENT ON COLUMN kpi.goal_mismatch.period IS 'Name of the period';
COMMENT ON COLUMN kpi.goal_mismatch.across IS 'Into what it is cut: teams, members, weeks, months, quarters, or ranges of days';
COMMENT ON COLUMN kpi.goal_mismatch.parts IS 'How many parts there are';
COMMENT ON COLUMN kpi.goal_mismatch.target IS 'What the goal asks for';
COMMENT ON COLUMN kpi.goal_mismatch.over_assign IS 'What that was multiplied by before it was split';
COMMENT ON COLUMN kpi.goal_mismatch.meant IS 'target x over_assign';
COMMENT ON COLUMN kpi.goal_mismatch.parts_target IS 'What the parts ask for together; of a balance that is cut by time the last one';
COMMENT ON COLUMN kpi.goal_mismatch.difference IS 'parts_target - meant';

-- Smaller wins on the way: of each goal that is cut into shorter periods the part that can be won next.
CREATE VIEW kpi.goal_next AS
    WITH RECURSIVE below (top_id, goal_id) AS (
        SELECT p.id, g.id
          FROM kpi.goal p
          JOIN kpi.goal g ON g.parent_id = p.id AND g.kpi_id = p.kpi_id AND g.plan = p.plan
               AND g.team_id IS NOT DISTINCT FROM p.team_id AND g.member_id IS NOT DISTINCT FROM p.member_id
        UNION
        SELECT b.top_id, g.id
          FROM below b
          JOIN kpi.goal p ON p.id = b.goal_id
          JOIN kpi.goal g ON g.parent_id = p.id AND g.kpi_id = p.kpi_id AND g.plan = p.plan
               AND g.team_id IS NOT DISTINCT FROM p.team_id AND g.member_id IS NOT DISTINCT FROM p.member_id)
    SELECT DISTINCT ON (t.goal_id, t.period_start)
           t.goal_id, t.goal, t.plan, t.kpi, t.scope, t.team, t.member, t.period,
           n.goal_id AS next_goal_id, n.goal AS next_goal, n.period AS next_period, n.period_end AS next_period_end,
           n.target AS next_target, n.actual_to_date AS next_actual_to_date, n.remaining AS next_remaining, n.workdays_left AS next_workdays_left,
           n.attainment_probability AS next_attainment_probability, n.status AS next_status
      FROM below b
      JOIN kpi.goal_progress t ON t.goal_id = b.top_id
      JOIN kpi.goal_progress n ON n.goal_id = b.goal_id
     WHERE n.status NOT IN ('achieved', 'missed', 'over_limit', 'no_target') AND n.period_end >= n.as_of_day
     ORDER BY t.goal_id, t.period_start, n.period_end, n.period_start DESC, n.goal_id;
COMMENT ON VIEW kpi.goal_next IS 'Of each goal that is cut into shorter periods the part to be won next: the one that ends first of those that are not won yet. Of a year that is cut into quarters, months and weeks it is this week';
COMMENT ON COLUMN kpi.goal_next.goal_id IS 'The goal (kpi.goal.id)';
COMMENT ON COLUMN kpi.goal_next.goal IS 'Name of the goal, as in kpi.goal_progress';
COMMENT ON COLUMN kpi.goal_next.plan IS 'The plan it belongs to';
COMMENT ON COLUMN kpi.goal_next.kpi IS 'Name of the KPI';
COMMENT ON COLUMN kpi.goal_next.scope IS 'What it is of: team or member';
COMMENT ON COLUMN kpi.goal_next.team IS 'Key of the team, as in kpi.goal_progress';
COMMENT ON COLUMN kpi.goal_next.member IS 'Key of the member whose goal it is; NULL: a team''s';
COMMENT ON COLUMN kpi.goal_next.period IS 'Name of the period';
COMMENT ON COLUMN kpi.goal_next.next_goal_id IS 'The part to be won next (kpi.goal.id)';
COMMENT ON COLUMN kpi.goal_next.next_goal IS 'Its name';
COMMENT ON COLUMN kpi.goal_next.next_period IS 'Name of its period';
COMMENT ON COLUMN kpi.goal_next.next_period_end IS 'Last day of that';
COMMENT ON COLUMN kpi.goal_next.next_target IS 'What it asks for';
COMMENT ON COLUMN kpi.goal_next.next_actual_to_date IS 'What is there of it';
COMMENT ON COLUMN kpi.goal_next.next_remaining IS 'What is missing';
COMMENT ON COLUMN kpi.goal_next.next_workdays_left IS 'Working days left for it, today included';
COMMENT ON COLUMN kpi.goal_next.next_attainment_probability IS 'How probable it is that it is met, as in kpi.goal_progress';
COMMENT ON COLUMN kpi.goal_next.next_status IS 'Where it stands, as in kpi.goal_progress';
