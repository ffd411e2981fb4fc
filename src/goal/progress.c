/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  Where a goal stands: its status and the sentence that explains it.
 *
 * A view asks on every row, so nothing here reads a table: the team's
 * calendar comes from the caches of this backend.
 *
 * A goal is reached at least (the KPI's direction is up) or kept at most
 * (down).  While its period runs, the actual number is compared with what is
 * expected by today: of an additive KPI the target's share of the working
 * days gone, else the target itself.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "fmgr.h"
#include "funcapi.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(kpi_sql_goal_pace);
PG_FUNCTION_INFO_V1(kpi_sql_goal_status_rank);
PG_FUNCTION_INFO_V1(kpi_sql_goal_status_reason);

/* Off the expected number by up to this share of it: at_risk, not behind. */
#define AT_RISK_MARGIN "0.1"

/* Worst first: an index here plus 1 is the status_rank. */
static const char *const statuses[] = {
	"missed", "over_limit", "behind", "at_risk", "incomplete", "no_data",
	"on_track", "achieved", "not_started"
};

typedef struct Goal
{
	bool		down;
	bool		additive;
	bool		complete;
	Datum		target;
	Datum		actual;			/* not valid if no_actual */
	bool		no_actual;
	Datum		expected;
	DateADT		start;
	DateADT		end;
	DateADT		today;
} Goal;

/* False if one of the first nine arguments is null that cannot be. */
static bool
goal_from_args(FunctionCallInfo fcinfo, Goal *goal)
{
	for (int i = 0; i < 9; i++)
		if (i != 4 && PG_ARGISNULL(i))
			return false;

	goal->down = VARDATA_ANY(PG_GETARG_TEXT_PP(0))[0] == 'd';
	goal->additive = PG_GETARG_BOOL(1);
	goal->complete = PG_GETARG_BOOL(2);
	goal->target = PG_GETARG_DATUM(3);
	goal->no_actual = PG_ARGISNULL(4);
	goal->actual = PG_GETARG_DATUM(4);
	goal->start = kpi_calendar_day_clamp(PG_GETARG_DATEADT(6));
	goal->end = Max(kpi_calendar_day_clamp(PG_GETARG_DATEADT(7)), goal->start);
	goal->today = kpi_calendar_day_clamp(PG_GETARG_DATEADT(8));
	return true;
}

static int
compare(Datum a, Datum b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, a, b));
}

/* The furthest from the expected number that is only at_risk. */
static Datum
risk_limit(const Goal *goal)
{
	Datum		share = DirectFunctionCall3(numeric_in, CStringGetDatum(AT_RISK_MARGIN),
											ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	Datum		margin = DirectFunctionCall2(numeric_mul, share,
											 DirectFunctionCall1(numeric_abs, goal->expected));

	return goal->down ?
		DirectFunctionCall2(numeric_add, goal->expected, margin) :
		DirectFunctionCall2(numeric_sub, goal->expected, margin);
}

static const char *
status_of(const Goal *goal)
{
	bool		over = goal->today > goal->end;
	int			to_target;
	int			to_expected;
	int			sign = goal->down ? -1 : 1;

	if (!goal->complete)
		return "incomplete";
	if (goal->today < goal->start)
		return "not_started";
	if (goal->no_actual)
		return "no_data";

	/* Positive is better, whatever the direction. */
	to_target = sign * compare(goal->actual, goal->target);
	if (over)
		return to_target >= 0 ? "achieved" :
			(goal->down && goal->additive) ? "over_limit" : "missed";
	if (goal->additive && goal->down && to_target < 0)
		return "over_limit";
	if (goal->additive && !goal->down && to_target >= 0)
		return "achieved";

	to_expected = sign * compare(goal->actual, goal->expected);
	if (to_expected >= 0)
		return "on_track";
	return sign * compare(goal->actual, risk_limit(goal)) >= 0 ? "at_risk" : "behind";
}

/* part / whole * number, to six decimals. */
static Datum
share_of(Datum number, int part, int whole)
{
	Datum		product = DirectFunctionCall2(numeric_mul, number,
											  NumericGetDatum(int64_to_numeric(part)));

	return DirectFunctionCall2(numeric_round,
							   DirectFunctionCall2(numeric_div, product,
												   NumericGetDatum(int64_to_numeric(whole))),
							   Int32GetDatum(6));
}

/*
 * The working days of a period, and the result's row type.  Kept for the call
 * site, as most goals of a query share their period.
 */
typedef struct PaceState
{
	TupleDesc	tupdesc;
	int32		calendar_id;	/* 0: nothing computed yet */
	DateADT		start;
	DateADT		end;
	DateADT		today;
	int			total;
	int			elapsed;
	int			left;
} PaceState;

static PaceState *
pace_state(FunctionCallInfo fcinfo)
{
	PaceState  *state = fcinfo->flinfo->fn_extra;

	if (state == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		state = palloc0(sizeof(PaceState));
		if (get_call_result_type(fcinfo, NULL, &state->tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		state->tupdesc = BlessTupleDesc(state->tupdesc);
		fcinfo->flinfo->fn_extra = state;
		MemoryContextSwitchTo(old);
	}
	return state;
}

/* A period without working days runs by all its days. */
static void
set_workdays(PaceState *state, const Goal *goal, int32 calendar_id)
{
	const KpiCalendar *cal;

	if (state->calendar_id == calendar_id && state->start == goal->start &&
		state->end == goal->end && state->today == goal->today)
		return;

	cal = kpi_calendar_get(calendar_id);
	state->total = kpi_calendar_workdays(goal->start, goal->end, cal);
	state->elapsed = kpi_calendar_workdays(goal->start, Min(goal->today, goal->end), cal);
	state->left = kpi_calendar_workdays(Max(goal->today, goal->start), goal->end, cal);
	if (state->total == 0)
	{
		state->total = goal->end - goal->start + 1;
		state->elapsed = Max(Min(goal->today, goal->end) - goal->start + 1, 0);
	}
	state->start = goal->start;
	state->end = goal->end;
	state->today = goal->today;
	state->calendar_id = calendar_id;
}

/*
 * kpi_internal.goal_pace(direction, is_additive, is_complete, target, value,
 * team_id, period_start, period_end, today): actual, expected_today, workdays,
 * workdays_elapsed, workdays_left, status.
 */
Datum
kpi_sql_goal_pace(PG_FUNCTION_ARGS)
{
	PaceState  *state;
	Goal		goal;
	Datum		values[6];
	bool		nulls[6] = {false};

	if (!goal_from_args(fcinfo, &goal))
		PG_RETURN_NULL();

	state = pace_state(fcinfo);
	set_workdays(state, &goal, kpi_people_team_calendar_id(PG_GETARG_INT32(5), goal.today));
	if (goal.no_actual && goal.additive && goal.complete)
	{
		goal.actual = NumericGetDatum(int64_to_numeric(0));
		goal.no_actual = false;
	}
	goal.expected = goal.additive ?
		share_of(goal.target, state->elapsed, state->total) : goal.target;

	values[0] = goal.actual;
	nulls[0] = goal.no_actual;
	values[1] = goal.expected;
	values[2] = Int32GetDatum(state->total);
	values[3] = Int32GetDatum(state->elapsed);
	values[4] = Int32GetDatum(state->left);
	values[5] = CStringGetTextDatum(status_of(&goal));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(state->tupdesc, values, nulls)));
}

/* kpi_internal.goal_status_rank(status) */
Datum
kpi_sql_goal_status_rank(PG_FUNCTION_ARGS)
{
	char	   *status = text_to_cstring(PG_GETARG_TEXT_PP(0));

	for (int i = 0; i < lengthof(statuses); i++)
		if (strcmp(status, statuses[i]) == 0)
			PG_RETURN_INT32(i + 1);
	PG_RETURN_NULL();
}

/* A number as people read it: four decimals at most, with its unit. */
static char *
words(Datum number, const char *unit)
{
	Datum		rounded = DirectFunctionCall2(numeric_round, number, Int32GetDatum(4));
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out,
														   DirectFunctionCall1(numeric_trim_scale,
																			   rounded)));

	return unit ? psprintf("%s %s", text, unit) : text;
}

static char *
distance(Datum a, Datum b, const char *unit)
{
	return words(DirectFunctionCall1(numeric_abs,
									 DirectFunctionCall2(numeric_sub, a, b)), unit);
}

static char *
reason_of(const Goal *goal, const char *status, const char *unit)
{
	const char *bound = goal->down ? "at most" : "at least";
	const char *off = goal->down ? "over" : "short";
	char	   *actual;
	char	   *target = words(goal->target, unit);

	if (strcmp(status, "incomplete") == 0)
		return "The numbers are not complete: kpi.source_status says why.";
	if (strcmp(status, "not_started") == 0)
		return psprintf("The period begins on %s.", kpi_day_text(goal->start));
	if (strcmp(status, "no_data") == 0)
		return "There are no facts to compute it from.";

	actual = words(goal->actual, unit);
	if (strcmp(status, "achieved") == 0)
		return psprintf("It is %s, the goal is %s %s.", actual, bound, target);
	if (strcmp(status, "missed") == 0 || strcmp(status, "over_limit") == 0)
		return psprintf("It is %s, the goal is %s %s: %s %s.", actual, bound, target,
						distance(goal->actual, goal->target, unit), off);
	if (!goal->additive && strcmp(status, "on_track") == 0)
		return psprintf("It is %s, the goal is %s %s.", actual, bound, target);
	if (!goal->additive)
		return psprintf("It is %s, the goal is %s %s: %s %s.", actual, bound, target,
						distance(goal->actual, goal->target, unit), off);
	if (strcmp(status, "on_track") == 0)
		return psprintf("It is %s, %s %s by today keeps the pace.", actual, bound,
						words(goal->expected, unit));
	return psprintf("It is %s, %s %s by today would keep the pace: %s %s.", actual, bound,
					words(goal->expected, unit),
					distance(goal->actual, goal->expected, unit), off);
}

/*
 * kpi_internal.goal_status_reason(direction, is_additive, is_complete, target,
 * actual, expected_today, period_start, period_end, today, unit)
 */
Datum
kpi_sql_goal_status_reason(PG_FUNCTION_ARGS)
{
	Goal		goal;
	char	   *unit = kpi_arg_text(fcinfo, 9);

	if (!goal_from_args(fcinfo, &goal))
		PG_RETURN_NULL();
	goal.expected = PG_GETARG_DATUM(5);
	PG_RETURN_TEXT_P(cstring_to_text(reason_of(&goal, status_of(&goal), unit)));
}
