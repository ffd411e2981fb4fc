/*-------------------------------------------------------------------------
 *
 * reason.c
 *	  Why the status of a goal is what it is: one sentence, with its numbers.
 *
 * It follows from the rule that decided (status.c), and reads nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "goal/goal_internal.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* Decimals of a number in a sentence: four, but where there are many digits before them. */
#define DECIMALS 4
#define LARGE 1000

/* A number as people read it. */
static char *
words(const KpiReason *reason, Numeric number)
{
	Datum		rounded = DirectFunctionCall2(numeric_round, NumericGetDatum(number), Int32GetDatum(DECIMALS));
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, DirectFunctionCall1(numeric_trim_scale, rounded)));

	return reason->unit ? psprintf("%s %s", text, reason->unit) : text;
}

/* A forecast is not known to decimals, where it is large. */
static char *
rough_words(const KpiReason *reason, Numeric number)
{
	int			decimals = fabs(kpi_goal_number(number)) >= LARGE ? 0 : DECIMALS;

	return words(reason, DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(number),
															 Int32GetDatum(decimals))));
}

static char *
distance(const KpiReason *reason, Numeric a, Numeric b)
{
	Datum		difference = DirectFunctionCall2(numeric_sub, NumericGetDatum(a), NumericGetDatum(b));

	return words(reason, DatumGetNumeric(DirectFunctionCall1(numeric_abs, difference)));
}

/* "at least 5", "at most 5", "between 4 and 5" */
static char *
asked(const KpiReason *reason, Numeric number)
{
	switch (reason->kind)
	{
		case KPI_AT_LEAST:
			return psprintf("at least %s", words(reason, number));
		case KPI_AT_MOST:
			return psprintf("at most %s", words(reason, number));
		case KPI_BETWEEN:
			return psprintf("between %s and %s", words(reason, reason->target), words(reason, reason->high));
	}
	return NULL;
}

static bool
is_below(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b))) < 0;
}

/* How far off a bound it is. */
static char *
off(const KpiReason *reason, Numeric bound)
{
	if (reason->kind == KPI_BETWEEN)
		bound = is_below(reason->actual, reason->target) ? reason->target : reason->high;
	return psprintf("%s %s", distance(reason, reason->actual, bound),
					is_below(reason->actual, bound) ? "short" : "over");
}

/* Of a goal that its forecast judges. */
static char *
forecasted(const KpiReason *reason)
{
	return psprintf("It is %s, and %s is likely by the end: %s comes with a probability of %.0f %%",
					words(reason, reason->actual), rough_words(reason, reason->forecast),
					asked(reason, reason->target), 100 * reason->probability);
}

/* Of one that is judged by its pace. */
static char *
paced(const KpiReason *reason, bool kept)
{
	if (!reason->additive || reason->kind == KPI_BETWEEN)
		return kept ? psprintf("It is %s, the goal is %s", words(reason, reason->actual), asked(reason, reason->target)) :
			psprintf("It is %s, the goal is %s: %s", words(reason, reason->actual), asked(reason, reason->target),
					 off(reason, reason->target));
	return kept ? psprintf("It is %s, %s by today keeps the pace", words(reason, reason->actual),
						   asked(reason, reason->expected)) :
		psprintf("It is %s, %s by today would keep the pace: %s", words(reason, reason->actual),
				 asked(reason, reason->expected), off(reason, reason->expected));
}

static char *
sentence(const KpiReason *reason)
{
	switch (reason->rule)
	{
		case 0:
			return "There is no target, as what it is compared with has no value above 0";
		case 1:
			return "The numbers are not complete: kpi.source_status says why";
		case 2:
			return psprintf("The period begins on %s", kpi_day_text(reason->start));
		case 3:
		case 9:
			return "There are no facts to compute it from";
		case 4:
		case 8:
			return psprintf("It is %s, the goal is %s", words(reason, reason->actual), asked(reason, reason->target));
		case 5:
		case 6:
		case 7:
			return psprintf("It is %s, the goal is %s: %s", words(reason, reason->actual), asked(reason, reason->target),
							off(reason, reason->target));
		case 10:
		case 11:
		case 12:
			return forecasted(reason);
		case 13:
			return psprintf("It is %s, and too early to tell", words(reason, reason->actual));
		case 14:
			return paced(reason, true);
		default:
			return paced(reason, false);
	}
}

char *
kpi_goal_reason(const KpiReason *reason)
{
	char	   *text = sentence(reason);

	if (reason->ahead != NULL)
		return psprintf("%s; %s dated ahead, not counted yet.", text, words(reason, reason->ahead));
	return psprintf("%s.", text);
}
