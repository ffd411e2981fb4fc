PREPARE of_goals(text, text) AS
    SELECT team, target, actual, attainment_ratio, status FROM kpi.goal_progress
     WHERE kpi = $1 AND period = $2;
PREPARE of_copy(text, text) AS
    SELECT team, target, actual, attainment_ratio, status FROM bench.progress
     WHERE kpi = $1 AND period = $2;
