-- The next day begins: all current goals are judged by it.
SELECT set_config('kpi.now', (current_setting('kpi.now')::timestamptz + interval '1 day')::text, false);
\ir on.sql
\warn @time day
CALL kpi.refresh();
\ir off.sql
SELECT count(*) AS goals FROM kpi.goal_progress WHERE is_current AND as_of_day = current_setting('kpi.now')::date \gset
\warn @is day_goals :goals
