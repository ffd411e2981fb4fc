-- 75_notify: what was last announced of each goal.  Not dumped: the first
-- refresh after a restore notes the statuses anew and announces nothing.

CREATE TABLE kpi_internal.goal_status (
    goal_id bigint PRIMARY KEY REFERENCES kpi.goal ON DELETE CASCADE,
    status  text NOT NULL
) WITH (fillfactor = 80);
COMMENT ON TABLE kpi_internal.goal_status IS 'The status of each goal that listeners to kpi_progress know';
