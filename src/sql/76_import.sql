-- 76_import: goals from tables of targets.

CREATE FUNCTION kpi.import_goals(relation text, plan text, year text DEFAULT NULL, dry_run boolean DEFAULT false,
                                 OUT line bigint, OUT action text, OUT kpi text, OUT team text, OUT member text, OUT dimension text,
                                 OUT dimension_value text, OUT period text, OUT target text, OUT goal_id bigint,
                                 OUT message text, OUT detail text, OUT hint text)
    RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'kpi_sql_import_goals';
COMMENT ON FUNCTION kpi.import_goals(text, text, text, boolean) IS
'Makes and changes goals of a plan as a table or view says, which is read with the caller''s rights; a plan that there is not is made, as a draft. A long table has the columns kpi, team or member (neither: the company), period, target and, if you like, minimum, stretch, dimension, dimension_value, name, description, responsible, review_on, pace, as kpi.create_goal() takes them; a wide one has the targets of a year in q1 ... q4 (its quarters, from its first month on) or jan ... dec (its months of these names) in the place of period and target, each cell a goal, called by name and period. Empty cells say nothing, and goals that the table has not stay. A row per target, in the order of the table: line (its row), action (create, alter, keep or error), the goal that there was, and in message what changes or is wrong. dry_run does the same and takes it back. Errors: a column that means nothing; table or columns missing; year missing or no year; any target that cannot be imported (unknown names, a malformed target or period, the same goal twice), of which nothing is done: dry_run lists them all';
