-- 74_goal_version: what goals asked for before, since when, and why that was changed.

CREATE TABLE kpi.goal_version (
    goal_id     bigint NOT NULL REFERENCES kpi.goal ON DELETE CASCADE,
    version     integer NOT NULL,
    since       date NOT NULL,
    target_text text NOT NULL,
    target      numeric,
    target_high numeric,
    minimum     numeric,
    stretch     numeric,
    is_pending  boolean NOT NULL DEFAULT false,
    made_at     timestamptz NOT NULL DEFAULT pg_catalog.now(),
    made_by     text NOT NULL,
    reason      text,
    PRIMARY KEY (goal_id, version)
);
CREATE INDEX goal_version_pending_idx ON kpi.goal_version (since) WHERE is_pending;
SELECT pg_catalog.pg_extension_config_dump('kpi.goal_version', '');
COMMENT ON TABLE kpi.goal_version IS 'The targets that goals have been given: one row per goal and version. On a day the last of those applies that began by then (kpi.target_of_day()). Nothing in it is rewritten';
COMMENT ON COLUMN kpi.goal_version.goal_id IS 'The goal (kpi.goal.id)';
COMMENT ON COLUMN kpi.goal_version.version IS 'Counts from 1 for each goal';
COMMENT ON COLUMN kpi.goal_version.since IS 'The first day on which it applies, until a later version does';
COMMENT ON COLUMN kpi.goal_version.target_text IS 'The target as it was written';
COMMENT ON COLUMN kpi.goal_version.target IS 'The number to reach, in the KPI''s unit; of a range its lower bound; NULL: it is relative';
COMMENT ON COLUMN kpi.goal_version.target_high IS 'Upper bound of a range, else NULL';
COMMENT ON COLUMN kpi.goal_version.minimum IS 'The least that is acceptable, or NULL';
COMMENT ON COLUMN kpi.goal_version.stretch IS 'What would be more than asked for, or NULL';
COMMENT ON COLUMN kpi.goal_version.is_pending IS 'Whether its first day had not come yet when goals were last looked at';
COMMENT ON COLUMN kpi.goal_version.made_at IS 'When it was given';
COMMENT ON COLUMN kpi.goal_version.made_by IS 'By which role';
COMMENT ON COLUMN kpi.goal_version.reason IS 'Why, or NULL';

-- The version of a day, and what it amounts to in the period that holds the day: a relative
-- target is the number that was asked for there.
CREATE FUNCTION kpi_internal.target_of_day(goal_id bigint, day date)
    RETURNS TABLE (goal_id bigint, version integer, since date, period text, target numeric, target_high numeric,
                   minimum numeric, stretch numeric, target_text text, made_at timestamptz, made_by text, reason text)
    LANGUAGE sql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
    SELECT g.id, v.version, v.since, coalesce(t.period, g.period), coalesce(v.target, t.target), v.target_high, v.minimum, v.stretch,
           v.target_text, v.made_at, v.made_by, v.reason
      FROM kpi.goal g
     CROSS JOIN LATERAL (SELECT coalesce($2, (SELECT s.today FROM kpi_internal.kpi_state s WHERE s.kpi_id = g.kpi_id)) AS day) d
     CROSS JOIN LATERAL (SELECT z.* FROM kpi.goal_version z WHERE z.goal_id = g.id AND z.since <= d.day ORDER BY z.version DESC LIMIT 1) v
      LEFT JOIN LATERAL (SELECT z.period, z.target FROM kpi.goal_target z
                          WHERE z.goal_id = g.id AND d.day BETWEEN z.period_start AND z.period_end AND z.target_text = v.target_text
                          ORDER BY z.version DESC LIMIT 1) t ON true
     WHERE g.id = $1 AND d.day BETWEEN g.period_start AND g.period_end
$$;

DO $overloads$
DECLARE
    goal text;
BEGIN
    FOREACH goal IN ARRAY '{bigint,text}'::text[] LOOP
        EXECUTE pg_catalog.format($$
CREATE FUNCTION kpi.target_of_day(goal %1$s, day date DEFAULT NULL)
    RETURNS TABLE (goal_id bigint, version integer, since date, period text, target numeric, target_high numeric,
                   minimum numeric, stretch numeric, target_text text, made_at timestamptz, made_by text, reason text)
    LANGUAGE c STABLE ROWS 1 AS 'MODULE_PATHNAME', 'kpi_sql_target_of_day';
COMMENT ON FUNCTION kpi.target_of_day(%1$s, date) IS
'What a goal, known by its %2$s, asks for on a day (NULL: today): the last version of kpi.goal_version that began by then, and the number that it is; of a relative target what it came to in the period of that day. No row of a day outside the goal''s period. Errors: goal unknown%3$s'$$,
            goal, CASE goal WHEN 'text' THEN 'name' ELSE 'id' END,
            CASE goal WHEN 'text' THEN '; several goals of that name' ELSE '' END);
    END LOOP;
END
$overloads$;
