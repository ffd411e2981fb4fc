-- 12_aggregate: what measures compute and PostgreSQL has no aggregate for, for any
-- query.  None is named like one of PostgreSQL's, so that a search_path with schema
-- kpi changes no query.

CREATE FUNCTION kpi_internal.adhoc_combine(internal, internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_adhoc_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.adhoc_combine(internal, internal) IS 'Merges two states of an aggregate of kpi.rate() and its kin';
CREATE FUNCTION kpi_internal.adhoc_serialize(internal) RETURNS bytea
    AS 'MODULE_PATHNAME', 'kpi_sql_adhoc_serialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.adhoc_serialize(internal) IS 'A state of an aggregate of kpi.rate() and its kin, for another process';
CREATE FUNCTION kpi_internal.adhoc_deserialize(bytea, internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_adhoc_deserialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.adhoc_deserialize(bytea, internal) IS 'A state of an aggregate of kpi.rate() and its kin, from another process';
CREATE FUNCTION kpi_internal.adhoc_final(internal) RETURNS numeric
    AS 'MODULE_PATHNAME', 'kpi_sql_adhoc_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.adhoc_final(internal) IS 'The value of an aggregate of kpi.rate() and its kin';
CREATE FUNCTION kpi_internal.adhoc_final_interval(internal) RETURNS interval
    AS 'MODULE_PATHNAME', 'kpi_sql_adhoc_final_interval' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.adhoc_final_interval(internal) IS 'The value of kpi.median() or kpi.percentile() of durations';

CREATE FUNCTION kpi_internal.rate_add(internal, boolean, boolean) RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_rate_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.rate_add(internal, boolean, boolean) IS 'Adds a row to a state of kpi.rate()';
CREATE FUNCTION kpi_internal.rate_remove(internal, boolean, boolean) RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_rate_remove' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.rate_remove(internal, boolean, boolean) IS 'Takes a row away from a state of kpi.rate()';
CREATE AGGREGATE kpi.rate(condition boolean, of boolean) (
    SFUNC = kpi_internal.rate_add, STYPE = internal, SSPACE = 1000,
    FINALFUNC = kpi_internal.adhoc_final,
    COMBINEFUNC = kpi_internal.adhoc_combine, SERIALFUNC = kpi_internal.adhoc_serialize, DESERIALFUNC = kpi_internal.adhoc_deserialize,
    MSFUNC = kpi_internal.rate_add, MINVFUNC = kpi_internal.rate_remove, MSTYPE = internal, MSSPACE = 1000,
    MFINALFUNC = kpi_internal.adhoc_final,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi.rate(boolean, boolean) IS 'The share of the rows where "of" is true in which the condition is true as well; NULL without such rows. The same number as a KPI with the measure rate(condition, of)';

CREATE FUNCTION kpi_internal.ratio_add(internal, "any", "any") RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_ratio_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.ratio_add(internal, "any", "any") IS 'Adds a row to a state of kpi.ratio()';
CREATE FUNCTION kpi_internal.ratio_remove(internal, "any", "any") RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_ratio_remove' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.ratio_remove(internal, "any", "any") IS 'Takes a row away from a state of kpi.ratio()';
CREATE AGGREGATE kpi.ratio(x "any", y "any") (
    SFUNC = kpi_internal.ratio_add, STYPE = internal, SSPACE = 1000,
    FINALFUNC = kpi_internal.adhoc_final,
    COMBINEFUNC = kpi_internal.adhoc_combine, SERIALFUNC = kpi_internal.adhoc_serialize, DESERIALFUNC = kpi_internal.adhoc_deserialize,
    MSFUNC = kpi_internal.ratio_add, MINVFUNC = kpi_internal.ratio_remove, MSTYPE = internal, MSSPACE = 1000,
    MFINALFUNC = kpi_internal.adhoc_final,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi.ratio("any", "any") IS 'The sum of x over the sum of y; numbers of any type, floats by their shortest decimal. Rows where either is NaN or infinite are left out of both sums. NULL without values or where the sum of y is 0. The same number as a KPI with the measure ratio(x, y)';

CREATE FUNCTION kpi_internal.median_add(internal, "any") RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_median_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.median_add(internal, "any") IS 'Adds a row to a state of kpi.median()';
CREATE FUNCTION kpi_internal.median_remove(internal, "any") RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_median_remove' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.median_remove(internal, "any") IS 'Takes a row away from a state of kpi.median()';
CREATE AGGREGATE kpi.median(x "any") (
    SFUNC = kpi_internal.median_add, STYPE = internal, SSPACE = 1000,
    FINALFUNC = kpi_internal.adhoc_final,
    COMBINEFUNC = kpi_internal.adhoc_combine, SERIALFUNC = kpi_internal.adhoc_serialize, DESERIALFUNC = kpi_internal.adhoc_deserialize,
    MSFUNC = kpi_internal.median_add, MINVFUNC = kpi_internal.median_remove, MSTYPE = internal, MSSPACE = 1000,
    MFINALFUNC = kpi_internal.adhoc_final,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi.median("any") IS 'The value that half of the values lie below, off by at most 1 % of it; numbers of any type. It is what percentile_cont(0.5) says of the buckets of a logarithmic histogram, with six digits. NaN and infinite values are left out; sizes below 2^-30 or from 2^50 on count as the nearest between. NULL without values. The same number as a KPI with the measure median(x)';

CREATE FUNCTION kpi_internal.median_add(internal, interval) RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_median_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.median_add(internal, interval) IS 'Adds a row to a state of kpi.median()';
CREATE FUNCTION kpi_internal.median_remove(internal, interval) RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_median_remove' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.median_remove(internal, interval) IS 'Takes a row away from a state of kpi.median()';
CREATE AGGREGATE kpi.median(x interval) (
    SFUNC = kpi_internal.median_add, STYPE = internal, SSPACE = 1000,
    FINALFUNC = kpi_internal.adhoc_final_interval,
    COMBINEFUNC = kpi_internal.adhoc_combine, SERIALFUNC = kpi_internal.adhoc_serialize, DESERIALFUNC = kpi_internal.adhoc_deserialize,
    MSFUNC = kpi_internal.median_add, MINVFUNC = kpi_internal.median_remove, MSTYPE = internal, MSSPACE = 1000,
    MFINALFUNC = kpi_internal.adhoc_final_interval,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi.median(interval) IS 'The value that half of the values lie below, off by at most 1 % of it; durations. It is what percentile_cont(0.5) says of the buckets of a logarithmic histogram, with six digits. NaN and infinite values are left out; sizes below 2^-30 or from 2^50 on count as the nearest between. NULL without values. The same number as a KPI with the measure median(x)';

CREATE FUNCTION kpi_internal.percentile_add(internal, double precision, "any") RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_percentile_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.percentile_add(internal, double precision, "any") IS 'Adds a row to a state of kpi.percentile()';
CREATE FUNCTION kpi_internal.percentile_remove(internal, double precision, "any") RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_percentile_remove' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.percentile_remove(internal, double precision, "any") IS 'Takes a row away from a state of kpi.percentile()';
CREATE AGGREGATE kpi.percentile(p double precision, x "any") (
    SFUNC = kpi_internal.percentile_add, STYPE = internal, SSPACE = 1000,
    FINALFUNC = kpi_internal.adhoc_final,
    COMBINEFUNC = kpi_internal.adhoc_combine, SERIALFUNC = kpi_internal.adhoc_serialize, DESERIALFUNC = kpi_internal.adhoc_deserialize,
    MSFUNC = kpi_internal.percentile_add, MINVFUNC = kpi_internal.percentile_remove, MSTYPE = internal, MSSPACE = 1000,
    MFINALFUNC = kpi_internal.adhoc_final,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi.percentile(double precision, "any") IS 'The value that the share p of the values lies below, off by at most 1 % of it; numbers of any type. It is what percentile_cont(p) says of the buckets of a logarithmic histogram, with six digits. NaN and infinite values are left out; sizes below 2^-30 or from 2^50 on count as the nearest between. NULL without values. The same number as a KPI with the measure percentile(p, x). Error 22023 for a p outside of 0 to 1 or one that differs within a group';

CREATE FUNCTION kpi_internal.percentile_add(internal, double precision, interval) RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_percentile_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.percentile_add(internal, double precision, interval) IS 'Adds a row to a state of kpi.percentile()';
CREATE FUNCTION kpi_internal.percentile_remove(internal, double precision, interval) RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_percentile_remove' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.percentile_remove(internal, double precision, interval) IS 'Takes a row away from a state of kpi.percentile()';
CREATE AGGREGATE kpi.percentile(p double precision, x interval) (
    SFUNC = kpi_internal.percentile_add, STYPE = internal, SSPACE = 1000,
    FINALFUNC = kpi_internal.adhoc_final_interval,
    COMBINEFUNC = kpi_internal.adhoc_combine, SERIALFUNC = kpi_internal.adhoc_serialize, DESERIALFUNC = kpi_internal.adhoc_deserialize,
    MSFUNC = kpi_internal.percentile_add, MINVFUNC = kpi_internal.percentile_remove, MSTYPE = internal, MSSPACE = 1000,
    MFINALFUNC = kpi_internal.adhoc_final_interval,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi.percentile(double precision, interval) IS 'The value that the share p of the values lies below, off by at most 1 % of it; durations. It is what percentile_cont(p) says of the buckets of a logarithmic histogram, with six digits. NaN and infinite values are left out; sizes below 2^-30 or from 2^50 on count as the nearest between. NULL without values. The same number as a KPI with the measure percentile(p, x). Error 22023 for a p outside of 0 to 1 or one that differs within a group';

-- Values of any type, by any order.
CREATE FUNCTION kpi_internal.end_combine(internal, internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_end_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.end_combine(internal, internal) IS 'Merges two states of kpi.first() or kpi.last()';
CREATE FUNCTION kpi_internal.end_serialize(internal) RETURNS bytea
    AS 'MODULE_PATHNAME', 'kpi_sql_end_serialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.end_serialize(internal) IS 'A state of kpi.first() or kpi.last(), for another process';
CREATE FUNCTION kpi_internal.end_deserialize(bytea, internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_end_deserialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.end_deserialize(bytea, internal) IS 'A state of kpi.first() or kpi.last(), from another process';
CREATE FUNCTION kpi_internal.end_final(internal, anyelement, "any") RETURNS anyelement
    AS 'MODULE_PATHNAME', 'kpi_sql_end_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.end_final(internal, anyelement, "any") IS 'The value of kpi.first() or kpi.last()';

CREATE FUNCTION kpi_internal.first_add(internal, anyelement, "any") RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_first_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.first_add(internal, anyelement, "any") IS 'Adds a row to a state of kpi.first()';
CREATE AGGREGATE kpi.first(x anyelement, at "any") (
    SFUNC = kpi_internal.first_add, STYPE = internal, SSPACE = 200,
    FINALFUNC = kpi_internal.end_final, FINALFUNC_EXTRA,
    COMBINEFUNC = kpi_internal.end_combine, SERIALFUNC = kpi_internal.end_serialize, DESERIALFUNC = kpi_internal.end_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi.first(anyelement, "any") IS 'The x of the row with the earliest "at", a time or anything else that can be sorted; of several rows the least x. Rows where either is NULL do not count; NULL without rows. To choose by a key among rows of one time, as a KPI with the measure first(x) does, write (at, key) as "at". Error 42883 for an "at" that has no order';

CREATE FUNCTION kpi_internal.last_add(internal, anyelement, "any") RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_last_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.last_add(internal, anyelement, "any") IS 'Adds a row to a state of kpi.last()';
CREATE AGGREGATE kpi.last(x anyelement, at "any") (
    SFUNC = kpi_internal.last_add, STYPE = internal, SSPACE = 200,
    FINALFUNC = kpi_internal.end_final, FINALFUNC_EXTRA,
    COMBINEFUNC = kpi_internal.end_combine, SERIALFUNC = kpi_internal.end_serialize, DESERIALFUNC = kpi_internal.end_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi.last(anyelement, "any") IS 'The x of the row with the latest "at", a time or anything else that can be sorted; of several rows the greatest x. Rows where either is NULL do not count; NULL without rows. To choose by a key among rows of one time, as a KPI with the measure last(x) does, write (at, key) as "at". Error 42883 for an "at" that has no order';

CREATE FUNCTION kpi_internal.distinct_approx_add(internal, "any") RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_distinct_approx_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.distinct_approx_add(internal, "any") IS 'Adds a row to a state of kpi.count_distinct_approx()';
CREATE FUNCTION kpi_internal.distinct_approx_remove(internal, "any") RETURNS internal
    AS 'MODULE_PATHNAME', 'kpi_sql_distinct_approx_remove' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.distinct_approx_remove(internal, "any") IS 'Takes a row away from a state of kpi.count_distinct_approx()';
CREATE AGGREGATE kpi.count_distinct_approx(x "any") (
    SFUNC = kpi_internal.distinct_approx_add, STYPE = internal, SSPACE = 8000,
    FINALFUNC = kpi_internal.adhoc_final,
    COMBINEFUNC = kpi_internal.adhoc_combine, SERIALFUNC = kpi_internal.adhoc_serialize, DESERIALFUNC = kpi_internal.adhoc_deserialize,
    MSFUNC = kpi_internal.distinct_approx_add, MINVFUNC = kpi_internal.distinct_approx_remove, MSTYPE = internal, MSSPACE = 8000,
    MFINALFUNC = kpi_internal.adhoc_final,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi.count_distinct_approx("any") IS 'About how many different values there are, as extension hll estimates it: off by 1.6 % in two of three cases. x is text, an integer, numeric, uuid, enum, boolean or date; NULL is no value. NULL without values. The same number as a KPI with the measure count_distinct_approx(x). Error 0A000 without extension hll, 42804 for other types';
