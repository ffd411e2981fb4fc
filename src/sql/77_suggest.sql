-- 77_suggest: what to ask for, before a period begins (goal/start.c, goal/suggest.c).

CREATE FUNCTION kpi.suggest_target(kpi text, team anycompatible DEFAULT NULL, member anycompatible DEFAULT NULL, period text DEFAULT NULL,
                                   dimension text DEFAULT NULL, dimension_value text DEFAULT NULL,
                                   OUT suggestion text, OUT target numeric, OUT probability numeric,
                                   OUT previous_period text, OUT previous_value numeric, OUT growth_ratio numeric,
                                   OUT year_ago_period text, OUT year_ago_value numeric, OUT yoy_growth_ratio numeric,
                                   OUT forecast_basis text, OUT why text)
    RETURNS SETOF record STABLE COST 10000 ROWS 3 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_suggest_target';
COMMENT ON FUNCTION kpi.suggest_target(text, anycompatible, anycompatible, text, text, text) IS
'What to ask for of a KPI in a week, month, quarter or year, by team or member, else by the company: rows cautious, likely and ambitious with the target that is reached with a probability of 80, 50 and 25 percent by the forecast before the period begins (doc/goals.md), of a KPI of which less is better the bound that is kept. Only what is over by today is history, so periods to come may be asked for, and past ones show what would have been said. growth_ratio and yoy_growth_ratio: what it means against the last period that is over, and against that of a year ago, as a fraction; NULL: nothing above 0 to compare with, or that is not over. forecast_basis: history; finer (shorter periods only); members: there is no history of its own, and it is the mean of the members of the team times ramp and days of membership (kpi.set_ramp()). why: level, season, average growth and ramp in words. Where nothing says how much days differ there is only the row likely. Without any history, or of a formula without a forecast: no rows, and a notice. Cost: that of the history, three years of periods and one of days. Errors: as kpi.value(); a day, or days';

-- What was to be expected before the period began, and the best of those that are over.
CREATE FUNCTION kpi_internal.goal_start(program text, scope_kind integer, scope_id integer, dim_id integer, grain integer, start date,
                                        first_day date, last_day date, today date, target_kind text, target float8, target_high float8, is_down boolean,
                                        OUT forecast float8, OUT probability float8, OUT forecast_basis text, OUT best numeric, OUT best_period text)
    STABLE COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_start';
