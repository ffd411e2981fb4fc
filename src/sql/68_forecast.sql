-- 68_forecast: the arithmetic of goals (test/goals/MATH.md), for views and tests.  A
-- number that is NULL is not known.

CREATE FUNCTION kpi_internal.forecast_level(totals float8[], grain text) RETURNS float8
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_level';
CREATE FUNCTION kpi_internal.forecast_season(totals float8[], levels float8[]) RETURNS float8
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_season';
CREATE FUNCTION kpi_internal.forecast_noise(days float8[], lengths float8[]) RETURNS float8
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_noise';
CREATE FUNCTION kpi_internal.forecast_noise_ratio(numerators float8[], denominators float8[]) RETURNS float8
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_noise_ratio';
CREATE FUNCTION kpi_internal.forecast_share_in(days float8[], gone float8) RETURNS float8
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_share_in';
CREATE FUNCTION kpi_internal.forecast_profile(calendar float8, shares float8[]) RETURNS float8
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_profile';
CREATE FUNCTION kpi_internal.forecast_own_span(begins float8, ends float8, INOUT gone_yesterday float8,
                                               INOUT gone_today float8, INOUT basis float8)
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_own_span';

CREATE TYPE kpi_internal.outlook AS (
    actual            float8,
    expected          float8,
    attainment        float8,
    pace              float8,
    rate              float8,
    rest_numerator    float8,
    rest_denominator  float8,
    required_of_rest  float8,
    forecast          float8,
    sd                float8,
    low               float8,
    high              float8,
    probability       float8
);
CREATE FUNCTION kpi_internal.forecast_additive(kind text, target float8, high float8, until_yesterday float8, today float8,
                                               gone_yesterday float8, gone_today float8, basis float8, noise float8,
                                               may_fall boolean, is_over boolean) RETURNS kpi_internal.outlook
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_additive';
CREATE FUNCTION kpi_internal.forecast_known_denominator(kind text, target float8, high float8, until_yesterday float8, today float8,
                                                        gone_yesterday float8, gone_today float8, basis float8, noise float8,
                                                        may_fall boolean, is_over boolean, denominator float8) RETURNS kpi_internal.outlook
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_known_denominator';
CREATE FUNCTION kpi_internal.forecast_quotient(kind text, target float8, high float8, numerator float8, denominator float8,
                                               gone_numerator float8, gone_denominator float8, basis_numerator float8,
                                               basis_denominator float8, noise float8, is_bounded boolean, is_over boolean)
    RETURNS kpi_internal.outlook
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_quotient';
CREATE FUNCTION kpi_internal.forecast_stock(kind text, target float8, high float8, opening float8, now float8,
                                            gone_yesterday float8, gone_today float8, flow float8, variance float8,
                                            days float8, is_over boolean) RETURNS kpi_internal.outlook
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forecast_stock';

CREATE FUNCTION kpi_internal.goal_gone(period_start date, period_end date, day date, calendar_id integer,
                                       OUT days float8, OUT workdays float8)
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_gone';
CREATE FUNCTION kpi_internal.goal_phased(shares float8[], amounts float8[], gone float8) RETURNS float8
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_phased';
CREATE FUNCTION kpi_internal.goal_capacity(period_start date, period_end date, since date, ramp float8[], calendar_id integer) RETURNS float8
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_capacity';
CREATE FUNCTION kpi_internal.goal_suggest(basis float8, noise float8, OUT cautious float8, OUT likely float8, OUT ambitious float8, OUT sd float8)
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_suggest';
CREATE FUNCTION kpi_internal.goal_split(total numeric, weights numeric[], step numeric) RETURNS numeric[]
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_split';
CREATE FUNCTION kpi_internal.goal_shape(program text) RETURNS text
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_shape';
CREATE FUNCTION kpi_internal.goal_activities(missing float8, per_deal float8, rates float8[], days float8, members float8,
                                             OUT needed float8[], OUT per_day float8[])
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_activities';
CREATE FUNCTION kpi_internal.goal_status_rule(kind text, target float8, high float8, is_additive boolean, is_complete boolean,
                                              has_begun boolean, is_over boolean, may_fall boolean, value float8, expected float8,
                                              gone float8, pace float8, probability float8, OUT status text, OUT rule integer)
    IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_goal_status_rule';

-- ---- targets as people write them (goal/target.c) ----

CREATE FUNCTION kpi.parse_target(target text, kpi text, period text DEFAULT NULL,
                                 OUT kind text, OUT number numeric, OUT number_high numeric, OUT change numeric, OUT change_in text,
                                 OUT baseline text, OUT baseline_periods integer)
    STABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_parse_target';
COMMENT ON FUNCTION kpi.parse_target(text, text, text) IS
'What a target means for a KPI (and fits the period, if one is given). Forms: 2000000; 65% (0.65 of a rate or of a quotient without a unit, 65 where the unit is %); 1 hour, where the unit is one of time; 40..60, both included; at least 40, at most 200 (else the KPI''s direction decides); +5% yoy, -3% mom, +10% qoq, +4% wow, and in points +2pp yoy, against the year, month, quarter or week before; avg of 4 quarters +10%, against the last four closed. kind: at_least, at_most or between; number, number_high: the target in the KPI''s unit, NULL of a relative one; change: a fraction of the baseline, or points in the KPI''s unit (change_in); baseline: year_ago, previous or average (of baseline_periods). Errors: KPI unknown; malformed; a percent or points of a KPI that is no rate, a time of one that is in no unit of time; crossed bounds; compared with the period before of another length';

CREATE FUNCTION kpi_internal.resolve_target(target text, kpi text, baseline numeric) RETURNS numeric
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_resolve_target';
