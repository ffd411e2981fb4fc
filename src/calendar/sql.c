/*-------------------------------------------------------------------------
 *
 * sql.c
 *	  SQL functions about periods: kpi.period_start() and its kin.
 *
 * These functions read calendars through cache.c only, write nothing
 * and take no lock beyond its own.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kpi_sql_period_start);
PG_FUNCTION_INFO_V1(kpi_sql_period_end);
PG_FUNCTION_INFO_V1(kpi_sql_period_name);
PG_FUNCTION_INFO_V1(kpi_sql_period_shift);
PG_FUNCTION_INFO_V1(kpi_sql_parse_period);
PG_FUNCTION_INFO_V1(kpi_sql_periods);
PG_FUNCTION_INFO_V1(kpi_sql_workdays);
PG_FUNCTION_INFO_V1(kpi_sql_workdays_internal);
PG_FUNCTION_INFO_V1(kpi_sql_today);
PG_FUNCTION_INFO_V1(kpi_sql_today_internal);
PG_FUNCTION_INFO_V1(kpi_sql_now);

static const KpiCalendar *
calendar_arg(FunctionCallInfo fcinfo, int n)
{
	return kpi_calendar_get(kpi_calendar_id(text_to_cstring(PG_GETARG_TEXT_PP(n))));
}

static KpiGrain
grain_arg(FunctionCallInfo fcinfo, int n)
{
	return kpi_calendar_grain(text_to_cstring(PG_GETARG_TEXT_PP(n)));
}

static void
check_day(DateADT day)
{
	if (!kpi_calendar_day_in_range(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("day out of range"),
				 errdetail("Days lie in years 1 to 9999.")));
}

static DateADT
day_arg(FunctionCallInfo fcinfo, int n)
{
	DateADT		day = PG_GETARG_DATEADT(n);

	check_day(day);
	return day;
}

static Datum
name_datum(KpiGrain grain, DateADT start, const KpiCalendar *cal)
{
	char		name[KPI_PERIOD_NAME_LEN];

	kpi_calendar_period_name(grain, start, cal, name);
	return CStringGetTextDatum(name);
}

Datum
kpi_sql_period_start(PG_FUNCTION_ARGS)
{
	DateADT		day = day_arg(fcinfo, 0);
	KpiGrain	grain = grain_arg(fcinfo, 1);

	PG_RETURN_DATEADT(kpi_calendar_period_start(grain, day, calendar_arg(fcinfo, 2)));
}

Datum
kpi_sql_period_end(PG_FUNCTION_ARGS)
{
	DateADT		day = day_arg(fcinfo, 0);
	KpiGrain	grain = grain_arg(fcinfo, 1);

	PG_RETURN_DATEADT(kpi_calendar_period_end(grain, day, calendar_arg(fcinfo, 2)));
}

Datum
kpi_sql_period_name(PG_FUNCTION_ARGS)
{
	DateADT		day = day_arg(fcinfo, 0);
	KpiGrain	grain = grain_arg(fcinfo, 1);
	const KpiCalendar *cal = calendar_arg(fcinfo, 2);

	PG_RETURN_DATUM(name_datum(grain, kpi_calendar_period_start(grain, day, cal), cal));
}

Datum
kpi_sql_period_shift(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const KpiCalendar *cal = calendar_arg(fcinfo, 2);
	KpiGrain	grain;
	DateADT		start;

	kpi_calendar_period_parse(name, cal, &grain, &start);
	start = kpi_calendar_period_shift(grain, start, PG_GETARG_INT32(1), cal);
	PG_RETURN_DATUM(name_datum(grain, start, cal));
}

Datum
kpi_sql_parse_period(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const KpiCalendar *cal = calendar_arg(fcinfo, 1);
	KpiGrain	grain;
	DateADT		start;
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	kpi_calendar_period_parse(name, cal, &grain, &start);
	values[0] = CStringGetTextDatum(kpi_calendar_grain_name(grain));
	values[1] = DateADTGetDatum(start);
	values[2] = DateADTGetDatum(kpi_calendar_period_end(grain, start, cal));

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}

typedef struct PeriodsState
{
	KpiGrain	grain;
	int32		calendar_id;
	DateADT		next;			/* start of the next period */
	DateADT		until;
} PeriodsState;

/* The calendar is looked up again at each call: it may have left the cache. */
Datum
kpi_sql_periods(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	PeriodsState *state;
	const KpiCalendar *cal;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	DateADT		end;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		DateADT		since = day_arg(fcinfo, 0);

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		state = palloc(sizeof(PeriodsState));
		state->grain = grain_arg(fcinfo, 2);
		cal = calendar_arg(fcinfo, 3);
		state->calendar_id = cal->id;
		state->until = PG_GETARG_DATEADT(1);
		/* The day after the last one there is may stand as "until". */
		if (state->until > since)
		{
			check_day(state->until - 1);
			state->next = kpi_calendar_period_start(state->grain, since, cal);
		}
		else
			state->next = state->until;
		if (get_call_result_type(fcinfo, NULL, &call->tuple_desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		call->tuple_desc = BlessTupleDesc(call->tuple_desc);
		call->user_fctx = state;
		MemoryContextSwitchTo(old);
	}

	call = SRF_PERCALL_SETUP();
	state = call->user_fctx;
	if (state->next >= state->until)
		SRF_RETURN_DONE(call);

	cal = kpi_calendar_get(state->calendar_id);
	end = kpi_calendar_period_end(state->grain, state->next, cal);
	values[0] = name_datum(state->grain, state->next, cal);
	values[1] = DateADTGetDatum(state->next);
	values[2] = DateADTGetDatum(end);
	state->next = end + 1;
	SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc,
															values, nulls)));
}

/* kpi.workdays(): until is exclusive. */
Datum
kpi_sql_workdays(PG_FUNCTION_ARGS)
{
	DateADT		since = day_arg(fcinfo, 0);
	DateADT		until = PG_GETARG_DATEADT(1);

	if (until <= since)
		PG_RETURN_INT32(0);
	check_day(until - 1);
	PG_RETURN_INT32(kpi_calendar_workdays(since, until - 1, calendar_arg(fcinfo, 2)));
}

/* kpi_internal.workdays(): both inclusive, by the calendar's id. */
Datum
kpi_sql_workdays_internal(PG_FUNCTION_ARGS)
{
	DateADT		since = day_arg(fcinfo, 0);
	DateADT		until = day_arg(fcinfo, 1);

	PG_RETURN_INT32(kpi_calendar_workdays(since, until, kpi_calendar_get(PG_GETARG_INT32(2))));
}

Datum
kpi_sql_today(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(kpi_calendar_today(calendar_arg(fcinfo, 0)));
}

Datum
kpi_sql_today_internal(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(kpi_calendar_today(kpi_calendar_get(PG_GETARG_INT32(0))));
}

Datum
kpi_sql_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(kpi_now());
}
