-- 73_goal_history: what was said of goals on each day, and how far that held.

CREATE TABLE kpi.goal_progress_history (
    goal_id                bigint NOT NULL REFERENCES kpi.goal ON DELETE CASCADE,
    period                 text NOT NULL,
    period_start           date NOT NULL,
    period_end             date NOT NULL,
    day                    date NOT NULL,
    target                 numeric,
    actual_to_date         numeric,
    expected_today         numeric,
    forecast               numeric,
    forecast_low           numeric,
    forecast_high          numeric,
    attainment_probability numeric,
    status                 text NOT NULL,
    PRIMARY KEY (goal_id, period_start, day)
);
SELECT pg_catalog.pg_extension_config_dump('kpi.goal_progress_history', '');
COMMENT ON TABLE kpi.goal_progress_history IS 'Where goals stood at the end of each day on which they were looked at: one row per goal, period and day, written when the next day has begun; of a day on which its numbers were no longer complete, as it was before that. Nothing in it is rewritten by later corrections';
COMMENT ON COLUMN kpi.goal_progress_history.goal_id IS 'The goal (kpi.goal.id)';
COMMENT ON COLUMN kpi.goal_progress_history.period IS 'Name of the period';
COMMENT ON COLUMN kpi.goal_progress_history.period_start IS 'First day of the period';
COMMENT ON COLUMN kpi.goal_progress_history.period_end IS 'Last day of the period';
COMMENT ON COLUMN kpi.goal_progress_history.day IS 'The day';
COMMENT ON COLUMN kpi.goal_progress_history.target IS 'What was asked for on that day';
COMMENT ON COLUMN kpi.goal_progress_history.actual_to_date IS 'Where it stood';
COMMENT ON COLUMN kpi.goal_progress_history.expected_today IS 'Where it should have stood';
COMMENT ON COLUMN kpi.goal_progress_history.forecast IS 'Where it was expected to end';
COMMENT ON COLUMN kpi.goal_progress_history.forecast_low IS 'Lower end of the range that was to hold it with 80 percent';
COMMENT ON COLUMN kpi.goal_progress_history.forecast_high IS 'Upper end of it';
COMMENT ON COLUMN kpi.goal_progress_history.attainment_probability IS 'How probable it was that the target would be met';
COMMENT ON COLUMN kpi.goal_progress_history.status IS 'The status on that day';

-- By tenths of the period that had gone: what was said against what came.
CREATE VIEW kpi.forecast_quality AS
    SELECT k.id AS kpi_id, k.name AS kpi, g.grain, x.elapsed_percent,
           pg_catalog.count(*) AS forecasts, pg_catalog.count(DISTINCT (h.goal_id, h.period_start)) AS periods,
           pg_catalog.round(pg_catalog.avg(h.attainment_probability), 4) AS said_ratio,
           pg_catalog.round(pg_catalog.avg(x.came), 4) AS came_ratio,
           pg_catalog.round(pg_catalog.avg((h.attainment_probability - x.came) * (h.attainment_probability - x.came)), 4) AS brier,
           pg_catalog.round(pg_catalog.avg(x.came) * (1 - pg_catalog.avg(x.came)), 4) AS base_brier,
           pg_catalog.round(pg_catalog.avg((p.actual BETWEEN h.forecast_low AND h.forecast_high)::integer), 4) AS coverage_ratio,
           pg_catalog.round(pg_catalog.sum(pg_catalog.abs(h.forecast - p.actual)) / nullif(pg_catalog.sum(pg_catalog.abs(p.actual)), 0), 4) AS error_ratio
      FROM kpi.goal_progress_history h
      JOIN kpi.goal_progress p ON p.goal_id = h.goal_id AND p.period_start = h.period_start
      JOIN kpi.goal g ON g.id = h.goal_id
      JOIN kpi.kpi k ON k.id = g.kpi_id
     CROSS JOIN LATERAL (
           SELECT (p.status = 'achieved')::integer AS came,
                  (pg_catalog.ceil(10.0 * (h.day - h.period_start + 1) / (h.period_end - h.period_start + 1)) * 10)::integer AS elapsed_percent) x
     WHERE p.is_final AND p.actual IS NOT NULL AND h.attainment_probability IS NOT NULL
     GROUP BY k.id, k.name, g.grain, x.elapsed_percent;
COMMENT ON VIEW kpi.forecast_quality IS 'How far forecasts held, of periods that are over: one row per KPI, grain and tenth of the period that had gone when they were made';
