/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  Where a goal stands: its status and the sentence that explains it.
 *
 * Called from the view kpi.goal_progress, on every row, so nothing here reads
 * a table.  The view computes the numbers; the judgement is here.
 *
 * A goal is reached at least (the KPI's direction is up) or kept at most
 * (down).  While its period runs, the actual number is compared with what is
 * expected by today: of an additive KPI the target's share of the working
 * days gone, else the target itself.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "args.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(kpi_goal_status);
PG_FUNCTION_INFO_V1(kpi_goal_status_rank);
PG_FUNCTION_INFO_V1(kpi_goal_status_reason);

/* Off the expected number by up to this share of it: at_risk, not behind. */
#define AT_RISK_MARGIN "0.1"

/* Worst first: an index here plus 1 is the status_rank. */
static const char *const statuses[] = {
	"missed", "exceeded", "behind", "at_risk", "incomplete", "no_data",
	"on_track", "achieved", "not_started"
};

/* The arguments that status and reason share, in the order of the view. */
typedef struct Goal
{
	bool		down;
	bool		additive;
	bool		complete;
	Datum		target;
	Datum		actual;			/* not valid if no_actual */
	Datum		expected;
	bool		no_actual;
	DateADT		start;
	DateADT		end;
	DateADT		today;
} Goal;

#define GOAL_ARGS 9

/* False if one of them is null that cannot be. */
static bool
goal_from_args(FunctionCallInfo fcinfo, Goal *goal)
{
	for (int i = 0; i < GOAL_ARGS; i++)
		if (i != 4 && PG_ARGISNULL(i))
			return false;

	goal->down = text_to_cstring(PG_GETARG_TEXT_PP(0))[0] == 'd';
	goal->additive = PG_GETARG_BOOL(1);
	goal->complete = PG_GETARG_BOOL(2);
	goal->target = PG_GETARG_DATUM(3);
	goal->no_actual = PG_ARGISNULL(4);
	goal->actual = PG_GETARG_DATUM(4);
	goal->expected = PG_GETARG_DATUM(5);
	goal->start = PG_GETARG_DATEADT(6);
	goal->end = PG_GETARG_DATEADT(7);
	goal->today = PG_GETARG_DATEADT(8);
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
			(goal->down && goal->additive) ? "exceeded" : "missed";
	if (goal->additive && goal->down && to_target < 0)
		return "exceeded";
	if (goal->additive && !goal->down && to_target >= 0)
		return "achieved";

	to_expected = sign * compare(goal->actual, goal->expected);
	if (to_expected >= 0)
		return "on_track";
	return sign * compare(goal->actual, risk_limit(goal)) >= 0 ? "at_risk" : "behind";
}

/*
 * kpi_internal.goal_status(direction, is_additive, is_complete, target,
 * actual, expected, period_start, period_end, today)
 */
Datum
kpi_goal_status(PG_FUNCTION_ARGS)
{
	Goal		goal;

	if (!goal_from_args(fcinfo, &goal))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(status_of(&goal)));
}

/* kpi_internal.goal_status_rank(status) */
Datum
kpi_goal_status_rank(PG_FUNCTION_ARGS)
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
	if (strcmp(status, "missed") == 0 || strcmp(status, "exceeded") == 0)
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

/* kpi_internal.goal_status_reason(the same, unit) */
Datum
kpi_goal_status_reason(PG_FUNCTION_ARGS)
{
	Goal		goal;
	char	   *unit = kpi_arg_text(fcinfo, GOAL_ARGS);

	if (!goal_from_args(fcinfo, &goal))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(reason_of(&goal, status_of(&goal), unit)));
}
