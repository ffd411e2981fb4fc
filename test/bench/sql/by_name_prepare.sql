SET plan_cache_mode = force_generic_plan;
PREPARE by_name(text, text, date) AS
    SELECT * FROM kpi.:view WHERE kpi = $1 AND :level = $2 AND period_start >= $3;
