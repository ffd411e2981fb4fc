/*-------------------------------------------------------------------------
 *
 * baseline.c
 *	  What relative targets are compared with: earlier values of the KPI.
 *
 * Where a goal for the earlier period is closed, that is what was reported of it (closed.c);
 * else what its cells say, under the active snapshot.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal_internal.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "value/value.h"

PG_FUNCTION_INFO_V1(kpi_sql_goal_baseline);
PG_FUNCTION_INFO_V1(kpi_sql_goal_has_begun);

/* A baseline, and what it is the value of. */
typedef struct Baseline
{
	Numeric		value;			/* NULL: none */
	char	   *period;
	DateADT		end;			/* last day of it */
	int			found;			/* periods that have a value */
} Baseline;

static bool
has_begun(const KpiProgram *program, DateADT day)
{
	KpiPlace	company = {KPI_SCOPE_TEAM, KPI_TEAM_COMPANY, KPI_DAY, 0, day};

	return kpi_value_has_begun(program, &company);
}

static bool
is_additive(const KpiProgram *program)
{
	return program->nodes[program->nnodes - 1].shape == KPI_SHAPE_ADDITIVE;
}

/* What adds up is 0 where nothing is dated, if anybody's facts have begun by then. */
Numeric
kpi_goal_value_or_zero(const KpiProgram *program, DateADT end, bool has_facts, const KpiValue *value)
{
	if (has_facts && value->value != NULL)
		return value->value;
	/* Facts may have no number that counts. */
	return is_additive(program) && (has_facts || has_begun(program, end)) ? int64_to_numeric(0) : NULL;
}

static Numeric
call(PGFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

static bool
is_above_zero(Numeric number)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(number),
											 NumericGetDatum(int64_to_numeric(0)))) > 0;
}

static Numeric
sum(Numeric a, Numeric b)
{
	return a == NULL ? b : call(numeric_add, a, b);
}

static char *
period_name(const KpiPlace *place)
{
	char	   *name = palloc(KPI_PERIOD_NAME_LEN);

	kpi_calendar_period_name(place->grain, place->start, kpi_calendar_get(KPI_DEFAULT_CALENDAR), name);
	return name;
}

/* The value of a period, reported or not; NULL: none.  *value has its numerator and denominator. */
static Numeric
value_of_period(const KpiProgram *program, const KpiPlace *place, KpiValue *value)
{
	DateADT		end = kpi_value_place_end(place);
	bool		has_facts;

	if (kpi_goal_closed_value(program, place, end, value))
		return value->value;
	has_facts = kpi_value_at(program, place, value);
	return kpi_goal_value_or_zero(program, end, has_facts, value);
}

static Baseline
of_period(const KpiProgram *program, const KpiPlace *place)
{
	Baseline	baseline = {.end = kpi_value_place_end(place),.period = period_name(place)};
	KpiValue	value;

	baseline.value = value_of_period(program, place, &value);
	baseline.found = baseline.value != NULL;
	return baseline;
}

/* The same days of the year before. */
static Baseline
of_range(const KpiProgram *program, const KpiPlace *place, DateADT end)
{
	KpiPlace	last = *place;
	KpiPlace	ago;
	Baseline	baseline;
	KpiValue	value;
	bool		has_facts;

	last.start = end;
	last = kpi_value_place_year_ago(&last);
	ago = kpi_value_place_year_ago(place);
	baseline.end = last.start;
	baseline.period = psprintf("%s..%s", kpi_day_text(ago.start), kpi_day_text(last.start));
	if (kpi_goal_closed_value(program, &ago, last.start, &value))
		baseline.value = value.value;
	else
	{
		has_facts = kpi_value_between(program, &ago, last.start, &value);
		baseline.value = kpi_goal_value_or_zero(program, last.start, has_facts, &value);
	}
	baseline.found = baseline.value != NULL;
	return baseline;
}

/* The mean of the last periods before this one that are over; of quotients of the sums of their sides. */
static Baseline
of_average(const KpiProgram *program, const KpiPlace *place, int periods, DateADT today)
{
	Baseline	baseline = {.value = NULL};
	KpiPlace	last = kpi_value_place_shift(place, -1);
	KpiPlace	at;
	Numeric		total = NULL;
	Numeric		numerator = NULL;
	Numeric		denominator = NULL;

	while (kpi_value_place_end(&last) >= today)
		last = kpi_value_place_shift(&last, -1);
	at = last;
	baseline.end = kpi_value_place_end(&last);
	for (; baseline.found < periods; baseline.found++)
	{
		KpiValue	value;
		Numeric		number = value_of_period(program, &at, &value);

		if (number == NULL)
			break;
		total = sum(total, number);
		if (value.denominator != NULL && value.numerator != NULL)
		{
			numerator = sum(numerator, value.numerator);
			denominator = sum(denominator, value.denominator);
		}
		baseline.period = period_name(&at);
		at = kpi_value_place_shift(&at, -1);
	}
	if (baseline.found == periods && baseline.found > 1)
		baseline.period = psprintf("%s to %s", baseline.period, period_name(&last));
	if (baseline.found < periods)
		return baseline;
	if (denominator != NULL)
		baseline.value = is_above_zero(denominator) ? call(numeric_div, numerator, denominator) : NULL;
	else
		baseline.value = call(numeric_div, total, int64_to_numeric(periods));
	return baseline;
}

/*
 * kpi_internal.goal_baseline(program, scope_kind, scope_id, dim_id, grain,
 * period_start, period_end, kind, periods, today): baseline, baseline_period,
 * baseline_end, found.  The grain of a range is NULL.
 */
Datum
kpi_sql_goal_baseline(PG_FUNCTION_ARGS)
{
	const KpiProgram *program = kpi_model_program(PG_GETARG_TEXT_PP(0));
	KpiPlace	place = {
		.scope_kind = (KpiScopeKind) PG_GETARG_INT32(1),
		.scope_id = PG_GETARG_INT32(2),
		.dim_id = PG_GETARG_INT32(3),
		.grain = PG_ARGISNULL(4) ? KPI_DAY : (KpiGrain) PG_GETARG_INT32(4),
		.start = PG_GETARG_DATEADT(5)
	};
	KpiBaseline kind = (KpiBaseline) PG_GETARG_INT32(7);
	Baseline	baseline;
	TupleDesc	tupdesc;
	Datum		values[4];
	bool		nulls[4] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (PG_ARGISNULL(4))
		baseline = of_range(program, &place, PG_GETARG_DATEADT(6));
	else if (kind == KPI_BASELINE_AVERAGE)
		baseline = of_average(program, &place, PG_GETARG_INT32(8), PG_GETARG_DATEADT(9));
	else
	{
		KpiPlace	before = kind == KPI_BASELINE_YEAR_AGO ? kpi_value_place_year_ago(&place) :
		kpi_value_place_shift(&place, -1);

		baseline = of_period(program, &before);
	}
	nulls[0] = baseline.value == NULL;
	if (!nulls[0])
		values[0] = DirectFunctionCall1(numeric_trim_scale,
										DirectFunctionCall2(numeric_round, NumericGetDatum(baseline.value),
															Int32GetDatum(KPI_GOAL_SCALE)));
	nulls[1] = baseline.period == NULL;
	if (!nulls[1])
		values[1] = CStringGetTextDatum(baseline.period);
	values[2] = DateADTGetDatum(baseline.end);
	values[3] = Int32GetDatum(baseline.found);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/*
 * kpi_internal.goal_has_begun(program, day): whether anybody has a fact dated until then, of a
 * KPI that adds up; of another NULL.
 */
Datum
kpi_sql_goal_has_begun(PG_FUNCTION_ARGS)
{
	const KpiProgram *program = kpi_model_program(PG_GETARG_TEXT_PP(0));

	if (!is_additive(program))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(has_begun(program, kpi_calendar_day_clamp(PG_GETARG_DATEADT(1))));
}
