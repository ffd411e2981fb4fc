-- 75_notify: what was last announced of each goal.  Not dumped: the first
-- refresh after a restore notes the statuses anew and announces nothing.

CREATE TABLE kpi_internal.goal_status (
    goal_id bigint PRIMARY KEY REFERENCES kpi.goal ON DELETE CASCADE,
    status  text NOT NULL
) WITH (fillfactor = 80);

-- The day of each calendar for which goals were last looked at.
CREATE TABLE kpi_internal.announced_day (
    calendar_id integer PRIMARY KEY REFERENCES kpi.calendar ON DELETE CASCADE,
    day         date NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE kpi_internal.announced_day IS 'Up to which day statuses that follow from the date are announced';
COMMENT ON TABLE kpi_internal.goal_status IS 'The status of each goal that listeners to kpi_progress know';
