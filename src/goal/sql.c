/*-------------------------------------------------------------------------
 *
 * sql.c
 *	  SQL functions of the arithmetic: kpi_internal.forecast_additive() and its kin.
 *
 * NULL is a number that is not known, in and out.  Nothing here reads a table; the
 * calendar comes from the caches of this backend.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(kpi_sql_forecast_level);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_season);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_noise);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_noise_ratio);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_share_in);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_profile);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_own_span);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_additive);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_quotient);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_known_denominator);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_stock);
PG_FUNCTION_INFO_V1(kpi_sql_goal_gone);
PG_FUNCTION_INFO_V1(kpi_sql_goal_phased);
PG_FUNCTION_INFO_V1(kpi_sql_goal_capacity);
PG_FUNCTION_INFO_V1(kpi_sql_goal_suggest);
PG_FUNCTION_INFO_V1(kpi_sql_goal_split);
PG_FUNCTION_INFO_V1(kpi_sql_goal_shape);
PG_FUNCTION_INFO_V1(kpi_sql_goal_activities);
PG_FUNCTION_INFO_V1(kpi_sql_goal_status_rule);

/* ---- arguments and results ---- */

static double
number_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? KPI_UNKNOWN : PG_GETARG_FLOAT8(n);
}

static bool
bool_arg(FunctionCallInfo fcinfo, int n)
{
	return !PG_ARGISNULL(n) && PG_GETARG_BOOL(n);
}

static double *
numbers_arg(FunctionCallInfo fcinfo, int n, int *count)
{
	ArrayType  *array;
	Datum	   *items;
	bool	   *nulls;
	double	   *numbers;

	*count = 0;
	if (PG_ARGISNULL(n))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(n);
	deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &items, &nulls, count);
	numbers = palloc(*count * sizeof(double));
	for (int i = 0; i < *count; i++)
		numbers[i] = nulls[i] ? KPI_UNKNOWN : DatumGetFloat8(items[i]);
	return numbers;
}

static void
require_same_length(int a, int b)
{
	if (a != b)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays have different lengths")));
}

static KpiTargetKind
kind_arg(FunctionCallInfo fcinfo, int n)
{
	char	   *name = PG_ARGISNULL(n) ? pstrdup("") : text_to_cstring(PG_GETARG_TEXT_PP(n));

	if (strcmp(name, "at_least") == 0)
		return KPI_AT_LEAST;
	if (strcmp(name, "at_most") == 0)
		return KPI_AT_MOST;
	if (strcmp(name, "between") == 0)
		return KPI_BETWEEN;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("kind of target \"%s\" does not exist", name),
			 errhint("The kinds are at_least, at_most and between.")));
}

/* (kind, target, high) from argument 0 on. */
static KpiTarget
target_args(FunctionCallInfo fcinfo)
{
	KpiTarget	target = {kind_arg(fcinfo, 0), number_arg(fcinfo, 1), number_arg(fcinfo, 2)};

	return target;
}

static KpiGrain
grain_arg(FunctionCallInfo fcinfo, int n)
{
	return kpi_calendar_grain(text_to_cstring(PG_GETARG_TEXT_PP(n)));
}

#define RETURN_NUMBER(number) \
	do { \
		double		returned = (number); \
		if (isnan(returned)) \
			PG_RETURN_NULL(); \
		PG_RETURN_FLOAT8(returned); \
	} while (0)

static Datum
record_of(FunctionCallInfo fcinfo, const double *numbers, int n)
{
	TupleDesc	tupdesc;
	Datum	   *values = palloc(n * sizeof(Datum));
	bool	   *nulls = palloc(n * sizeof(bool));

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE || tupdesc->natts != n)
		elog(ERROR, "return type must be a row type of %d columns", n);
	for (int i = 0; i < n; i++)
	{
		values[i] = Float8GetDatum(numbers[i]);
		nulls[i] = isnan(numbers[i]);
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

/* ---- what history says ---- */

/* kpi_internal.forecast_level(totals, grain) */
Datum
kpi_sql_forecast_level(PG_FUNCTION_ARGS)
{
	int			n;
	double	   *totals = numbers_arg(fcinfo, 0, &n);

	RETURN_NUMBER(kpi_goal_level(totals, n, grain_arg(fcinfo, 1)));
}

/* kpi_internal.forecast_season(totals, levels) */
Datum
kpi_sql_forecast_season(PG_FUNCTION_ARGS)
{
	int			n;
	int			nlevels;
	double	   *totals = numbers_arg(fcinfo, 0, &n);
	double	   *levels = numbers_arg(fcinfo, 1, &nlevels);

	require_same_length(n, nlevels);
	RETURN_NUMBER(kpi_goal_season(totals, levels, n));
}

/* kpi_internal.forecast_noise(days, lengths) */
Datum
kpi_sql_forecast_noise(PG_FUNCTION_ARGS)
{
	int			n;
	int			nmonths;
	double	   *days = numbers_arg(fcinfo, 0, &n);
	double	   *months = numbers_arg(fcinfo, 1, &nmonths);
	int		   *lengths = palloc(nmonths * sizeof(int));
	int			sum = 0;

	for (int m = 0; m < nmonths; m++)
	{
		/* No month is longer. */
		require_same_length(months[m] >= 0 && months[m] <= 31, true);
		lengths[m] = (int) months[m];
		sum += lengths[m];
	}
	require_same_length(n, sum);
	RETURN_NUMBER(kpi_goal_noise(days, lengths, nmonths));
}

/* kpi_internal.forecast_noise_ratio(numerators, denominators) */
Datum
kpi_sql_forecast_noise_ratio(PG_FUNCTION_ARGS)
{
	int			n;
	int			nd;
	double	   *numerators = numbers_arg(fcinfo, 0, &n);
	double	   *denominators = numbers_arg(fcinfo, 1, &nd);

	require_same_length(n, nd);
	RETURN_NUMBER(kpi_goal_noise_ratio(numerators, denominators, n));
}

/* kpi_internal.forecast_share_in(days, gone) */
Datum
kpi_sql_forecast_share_in(PG_FUNCTION_ARGS)
{
	int			n;
	double	   *days = numbers_arg(fcinfo, 0, &n);
	double		gone = number_arg(fcinfo, 1);

	if (!(gone >= 0 && gone <= 1))
		PG_RETURN_NULL();
	RETURN_NUMBER(kpi_goal_share_in(days, n, gone));
}

/* kpi_internal.forecast_profile(calendar, shares) */
Datum
kpi_sql_forecast_profile(PG_FUNCTION_ARGS)
{
	int			n;
	double	   *shares = numbers_arg(fcinfo, 1, &n);

	RETURN_NUMBER(kpi_goal_profile(number_arg(fcinfo, 0), shares, n));
}

/* kpi_internal.forecast_own_span(begins, ends, gone_yesterday, gone_today, basis) */
Datum
kpi_sql_forecast_own_span(PG_FUNCTION_ARGS)
{
	double		own[3] = {number_arg(fcinfo, 2), number_arg(fcinfo, 3), number_arg(fcinfo, 4)};

	kpi_goal_own_span(number_arg(fcinfo, 0), number_arg(fcinfo, 1), &own[0], &own[1], &own[2]);
	return record_of(fcinfo, own, lengthof(own));
}

/* ---- where it will end ---- */

static Datum
outlook_record(FunctionCallInfo fcinfo, const KpiOutlook *outlook)
{
	double		numbers[] = {
		outlook->actual, outlook->expected, outlook->attainment, outlook->pace, outlook->rate,
		outlook->rest_numerator, outlook->rest_denominator, outlook->required_of_rest,
		outlook->forecast, outlook->sd, outlook->low, outlook->high, outlook->probability
	};

	return record_of(fcinfo, numbers, lengthof(numbers));
}

/* (until_yesterday, today, gone_yesterday, gone_today, basis, noise, may_fall, is_over) from argument 3 on. */
static KpiAdditive
additive_args(FunctionCallInfo fcinfo)
{
	KpiAdditive known = {
		.until_yesterday = number_arg(fcinfo, 3),
		.today = number_arg(fcinfo, 4),
		.gone_yesterday = number_arg(fcinfo, 5),
		.gone_today = number_arg(fcinfo, 6),
		.basis = number_arg(fcinfo, 7),
		.noise = number_arg(fcinfo, 8),
		.may_fall = bool_arg(fcinfo, 9),
		.over = bool_arg(fcinfo, 10)
	};

	return known;
}

/* kpi_internal.forecast_additive(kind, target, high, ...) */
Datum
kpi_sql_forecast_additive(PG_FUNCTION_ARGS)
{
	KpiTarget	target = target_args(fcinfo);
	KpiAdditive known = additive_args(fcinfo);
	KpiStanding standing = kpi_goal_standing(known.until_yesterday + known.today, &target);
	KpiOutlook	outlook = kpi_goal_outlook_additive(&target, &standing, &known);

	return outlook_record(fcinfo, &outlook);
}

/* kpi_internal.forecast_known_denominator(kind, target, high, ..., denominator) */
Datum
kpi_sql_forecast_known_denominator(PG_FUNCTION_ARGS)
{
	KpiTarget	target = target_args(fcinfo);
	KpiAdditive known = additive_args(fcinfo);
	double		denominator = number_arg(fcinfo, 11);
	KpiTarget	whole = {target.kind, target.target * denominator, target.high * denominator};
	KpiStanding standing = kpi_goal_standing(known.until_yesterday + known.today, &whole);
	KpiOutlook	outlook = kpi_goal_outlook_known_denominator(&target, &standing, &known, denominator);

	return outlook_record(fcinfo, &outlook);
}

/*
 * kpi_internal.forecast_quotient(kind, target, high, numerator, denominator,
 * gone_numerator, gone_denominator, basis_numerator, basis_denominator, noise,
 * is_bounded, is_over)
 */
Datum
kpi_sql_forecast_quotient(PG_FUNCTION_ARGS)
{
	KpiTarget	target = target_args(fcinfo);
	KpiQuotient known = {
		.numerator = number_arg(fcinfo, 3),
		.denominator = number_arg(fcinfo, 4),
		.gone_numerator = number_arg(fcinfo, 5),
		.gone_denominator = number_arg(fcinfo, 6),
		.basis_numerator = number_arg(fcinfo, 7),
		.basis_denominator = number_arg(fcinfo, 8),
		.noise = number_arg(fcinfo, 9),
		.bounded = bool_arg(fcinfo, 10),
		.over = bool_arg(fcinfo, 11)
	};
	KpiStanding standing;
	KpiOutlook	outlook;

	known.value = known.denominator != 0 ? known.numerator / known.denominator : KPI_UNKNOWN;
	standing = kpi_goal_standing(known.value, &target);
	outlook = kpi_goal_outlook_quotient(&target, &standing, &known);
	return outlook_record(fcinfo, &outlook);
}

/*
 * kpi_internal.forecast_stock(kind, target, high, opening, now, gone_yesterday,
 * gone_today, flow, variance, days, is_over)
 */
Datum
kpi_sql_forecast_stock(PG_FUNCTION_ARGS)
{
	KpiTarget	target = target_args(fcinfo);
	KpiStock	known = {
		.opening = number_arg(fcinfo, 3),
		.now = number_arg(fcinfo, 4),
		.gone_yesterday = number_arg(fcinfo, 5),
		.gone_today = number_arg(fcinfo, 6),
		.flow = number_arg(fcinfo, 7),
		.variance = number_arg(fcinfo, 8),
		.days = number_arg(fcinfo, 9),
		.over = bool_arg(fcinfo, 10)
	};
	KpiStanding standing = kpi_goal_standing(known.now, &target);
	KpiOutlook	outlook = kpi_goal_outlook_stock(&target, &standing, &known);

	return outlook_record(fcinfo, &outlook);
}

/* ---- where it should be ---- */

static const KpiCalendar *
calendar_arg(FunctionCallInfo fcinfo, int n)
{
	return kpi_calendar_get(PG_GETARG_INT32(n));
}

/* kpi_internal.goal_gone(period_start, period_end, day, calendar_id): days, workdays */
Datum
kpi_sql_goal_gone(PG_FUNCTION_ARGS)
{
	DateADT		start = kpi_calendar_day_clamp(PG_GETARG_DATEADT(0));
	DateADT		end = Max(kpi_calendar_day_clamp(PG_GETARG_DATEADT(1)), start);
	DateADT		day = kpi_calendar_day_clamp(PG_GETARG_DATEADT(2));
	double		gone[2] = {
		kpi_goal_gone_days(start, end, day),
		kpi_goal_gone_workdays(start, end, day, calendar_arg(fcinfo, 3))
	};

	return record_of(fcinfo, gone, lengthof(gone));
}

/* kpi_internal.goal_phased(shares, amounts, gone) */
Datum
kpi_sql_goal_phased(PG_FUNCTION_ARGS)
{
	int			n;
	int			namounts;
	double	   *shares = numbers_arg(fcinfo, 0, &n);
	double	   *amounts = numbers_arg(fcinfo, 1, &namounts);

	require_same_length(n, namounts);
	RETURN_NUMBER(kpi_goal_phased(shares, amounts, n, number_arg(fcinfo, 2)));
}

/* kpi_internal.goal_capacity(period_start, period_end, since, ramp, calendar_id) */
Datum
kpi_sql_goal_capacity(PG_FUNCTION_ARGS)
{
	DateADT		start = kpi_calendar_day_clamp(PG_GETARG_DATEADT(0));
	DateADT		end = kpi_calendar_day_clamp(PG_GETARG_DATEADT(1));
	DateADT		since = kpi_calendar_day_clamp(PG_GETARG_DATEADT(2));
	int			n;
	double	   *ramp = numbers_arg(fcinfo, 3, &n);

	RETURN_NUMBER(kpi_goal_capacity(start, end, since, ramp, n, calendar_arg(fcinfo, 4)));
}

/* ---- what to ask for, and what to do ---- */

/* kpi_internal.goal_suggest(basis, noise) */
Datum
kpi_sql_goal_suggest(PG_FUNCTION_ARGS)
{
	KpiSuggestion suggestion = kpi_goal_suggest(number_arg(fcinfo, 0), number_arg(fcinfo, 1));
	double		numbers[] = {suggestion.cautious, suggestion.likely, suggestion.ambitious, suggestion.sd};

	return record_of(fcinfo, numbers, lengthof(numbers));
}

static int
sign_of(Numeric number)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(number),
											 NumericGetDatum(int64_to_numeric(0))));
}

static void
refuse_split(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a target cannot be split like this"),
			 errdetail("%s", detail)));
}

static bool
is_finite(Numeric number)
{
	return !numeric_is_nan(number) && !numeric_is_inf(number);
}

/* kpi_internal.goal_split(total, weights, step) */
Datum
kpi_sql_goal_split(PG_FUNCTION_ARGS)
{
	Numeric		total = PG_GETARG_NUMERIC(0);
	Numeric		step = PG_GETARG_NUMERIC(2);
	Datum	   *weights;
	Numeric    *numbers;
	Numeric    *parts;
	bool	   *nulls;
	bool		positive = false;
	int			n;

	if (!is_finite(total) || !is_finite(step) || sign_of(step) <= 0)
		refuse_split("Total and step must be finite numbers, the step above 0.");
	if (sign_of(DatumGetNumeric(DirectFunctionCall2(numeric_mod, NumericGetDatum(total), NumericGetDatum(step)))) != 0)
		refuse_split("The total must be a multiple of the step.");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), NUMERICOID, -1, false, TYPALIGN_INT, &weights, &nulls, &n);
	numbers = palloc(n * sizeof(Numeric));
	parts = palloc(n * sizeof(Numeric));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i] || !is_finite(DatumGetNumeric(weights[i])) || sign_of(DatumGetNumeric(weights[i])) < 0)
			refuse_split("Weights must be finite numbers of 0 or more.");
		numbers[i] = DatumGetNumeric(weights[i]);
		positive |= sign_of(numbers[i]) > 0;
	}
	if (!positive)
		refuse_split("One of the weights must be above 0.");
	kpi_goal_split(total, numbers, n, step, parts);
	for (int i = 0; i < n; i++)
		weights[i] = NumericGetDatum(parts[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(weights, n, NUMERICOID, -1, false, TYPALIGN_INT));
}

/* kpi_internal.goal_shape(program): additive, quotient, balance or other */
Datum
kpi_sql_goal_shape(PG_FUNCTION_ARGS)
{
	const KpiProgram *program = kpi_model_program(PG_GETARG_TEXT_PP(0));

	switch (program->nodes[program->nnodes - 1].shape)
	{
		case KPI_SHAPE_ADDITIVE:
			PG_RETURN_TEXT_P(cstring_to_text("additive"));
		case KPI_SHAPE_QUOTIENT:
			PG_RETURN_TEXT_P(cstring_to_text("quotient"));
		case KPI_SHAPE_BALANCE:
			PG_RETURN_TEXT_P(cstring_to_text("balance"));
		case KPI_SHAPE_OF_OPENING:
		case KPI_SHAPE_OTHER:
			break;
	}
	PG_RETURN_TEXT_P(cstring_to_text("other"));
}

/* kpi_internal.goal_activities(missing, per_deal, rates, days, members): needed and per_day, each an array */
Datum
kpi_sql_goal_activities(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2] = {false, false};
	int			n;
	double	   *rates = numbers_arg(fcinfo, 2, &n);
	double	   *numbers[2] = {palloc(n * sizeof(double)), palloc(n * sizeof(double))};
	int			known = kpi_goal_activities(number_arg(fcinfo, 0), number_arg(fcinfo, 1), rates, n,
											number_arg(fcinfo, 3), number_arg(fcinfo, 4), numbers[0], numbers[1]);
	int			lower = 1;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	for (int k = 0; k < 2; k++)
	{
		Datum	   *items = palloc(n * sizeof(Datum));
		bool	   *unknown = palloc(n * sizeof(bool));

		for (int i = 0; i < known; i++)
		{
			items[i] = Float8GetDatum(numbers[k][i]);
			unknown[i] = isnan(numbers[k][i]);
		}
		values[k] = PointerGetDatum(construct_md_array(items, unknown, 1, &known, &lower, FLOAT8OID, sizeof(float8),
													   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* ---- one word for it ---- */

/*
 * kpi_internal.goal_status_rule(kind, target, high, is_additive, is_complete,
 * has_begun, is_over, may_fall, value, expected, gone, pace, probability): status, rule
 */
Datum
kpi_sql_goal_status_rule(PG_FUNCTION_ARGS)
{
	KpiStatusGround ground = {
		.target = target_args(fcinfo),
		.additive = bool_arg(fcinfo, 3),
		.complete = bool_arg(fcinfo, 4),
		.started = bool_arg(fcinfo, 5),
		.over = bool_arg(fcinfo, 6),
		.may_fall = bool_arg(fcinfo, 7),
		.value = number_arg(fcinfo, 8),
		.expected = number_arg(fcinfo, 9),
		.gone = number_arg(fcinfo, 10),
		.pace = number_arg(fcinfo, 11),
		.probability = number_arg(fcinfo, 12)
	};
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2] = {false, false};
	int			rule;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	ground.standing = kpi_goal_standing(ground.value, &ground.target);
	values[0] = CStringGetTextDatum(kpi_goal_status(&ground, &rule));
	values[1] = Int32GetDatum(rule);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
