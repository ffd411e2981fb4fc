/*-------------------------------------------------------------------------
 *
 * cascade_split.c
 *	  The targets of the parts of a goal.
 *
 * What adds up is split exactly (kpi_goal_split()), a range by its lower bound and its width, so
 * that no part has crossed bounds.  A balance is split over time by what it is to grow by: each
 * period begins with what the one before has reached.  Anything else is handed down as it is.
 *
 * Nothing here writes or takes a lock.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "define/cascade.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

char *
kpi_define_cascade_target_text(const char *kind, Numeric target, Numeric high)
{
	char	   *text = kpi_define_numeric_text(target);

	if (high != NULL)
		return psprintf("%s..%s", text, kpi_define_numeric_text(high));
	if (kind == NULL)
		return text;
	return psprintf("%s %s", strcmp(kind, "at_most") == 0 ? "at most" : "at least", text);
}

/* One, of what is counted; else a hundredth. */
static Numeric
usual_step(const KpiCascade *cascade)
{
	bool		counts = cascade->measure != NULL &&
	(strncmp(cascade->measure, "count", 5) == 0 || strcmp(cascade->measure, "balance(1)") == 0);

	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(counts ? "1" : "0.01"),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static Numeric
rounded(Numeric number, Numeric step)
{
	Numeric		steps = kpi_define_numeric_call(numeric_div, number, step);

	steps = DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(steps), Int32GetDatum(0)));
	return kpi_define_numeric_call(numeric_mul, steps, step);
}

/* What a step would have to be for a number to be a multiple: 10^-decimals. */
static char *
finer_step(Numeric number)
{
	char	   *text = kpi_define_numeric_text(number);
	char	   *point = strchr(text, '.');
	int			decimals = point ? (int) strlen(point + 1) : 0;

	return decimals == 0 ? "1" : psprintf("0.%0*d", decimals, 1);
}

/* A number that somebody has given must be one that can be split; what follows from others is rounded. */
static void
require_multiple(const KpiCascade *cascade, Numeric number)
{
	Numeric		rest = kpi_define_numeric_call(numeric_mod, number, cascade->step);
	Numeric		near;

	if (number == NULL || cascade->relative || kpi_define_numeric_sign(rest) == 0)
		return;
	near = rounded(number, cascade->step);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("target %s of goal %s is no multiple of step %s", kpi_define_numeric_text(number), cascade->label,
					kpi_define_numeric_text(cascade->step)),
			 errdetail("Parts that are multiples of it cannot sum to the target."),
			 errhint("Give step => %s, or the goal a target of %s.", finer_step(number), kpi_define_numeric_text(near))));
}

/* Splits a total among the parts that have a weight; the others get nothing. */
static void
split(const KpiCascade *cascade, Numeric total, Numeric *shares)
{
	Numeric    *weights = palloc(cascade->nparts * sizeof(Numeric));
	Numeric    *split_shares = palloc(cascade->nparts * sizeof(Numeric));
	int			n = 0;

	for (int i = 0; i < cascade->nparts; i++)
	{
		shares[i] = NULL;
		if (cascade->parts[i].weight != NULL)
			weights[n++] = cascade->parts[i].weight;
	}
	kpi_goal_split(rounded(total, cascade->step), weights, n, cascade->step, split_shares);
	n = 0;
	for (int i = 0; i < cascade->nparts; i++)
	{
		if (cascade->parts[i].weight != NULL)
			shares[i] = split_shares[n++];
	}
}

/* What is held when the period begins, or now if that is to come. */
static Numeric
opening_of(const KpiCascade *cascade)
{
	const KpiProgram *program = kpi_model_program(cstring_to_text(cascade->program));
	bool		begun = cascade->period.start <= cascade->today;
	KpiPlace	place = {
		cascade->member_id ? KPI_SCOPE_MEMBER : KPI_SCOPE_TEAM, cascade->member_id ? cascade->member_id : cascade->team_id,
		KPI_DAY, Max(cascade->dim_id, 0), begun ? cascade->period.start : cascade->today + 1
	};
	KpiValue	value;

	if (!kpi_value_opening(program, &place, &value) || value.value == NULL)
		return int64_to_numeric(0);
	return rounded(value.value, cascade->step);
}

/* Each period ends where the next begins, and the last where the goal is. */
static void
split_over_time(KpiCascade *cascade, Numeric total, Numeric *shares)
{
	Numeric		reached = opening_of(cascade);

	split(cascade, kpi_define_numeric_call(numeric_sub, rounded(total, cascade->step), reached), shares);
	for (int i = 0; i < cascade->nparts; i++)
	{
		if (shares[i] == NULL)
			continue;
		reached = kpi_define_numeric_call(numeric_add, reached, shares[i]);
		shares[i] = reached;
	}
}

static void
split_target(KpiCascade *cascade)
{
	Numeric    *targets = palloc(cascade->nparts * sizeof(Numeric));
	Numeric    *widths = NULL;
	Numeric		total = kpi_define_numeric_call(numeric_mul, cascade->target, cascade->over_assign);
	bool		over_time = cascade->shape == KPI_SHAPE_BALANCE &&
	cascade->across != KPI_ACROSS_TEAMS && cascade->across != KPI_ACROSS_MEMBERS;

	if (cascade->step == NULL)
		cascade->step = usual_step(cascade);
	require_multiple(cascade, cascade->target);
	if (cascade->high != NULL)
	{
		Numeric		width = kpi_define_numeric_call(numeric_sub, cascade->high, cascade->target);

		require_multiple(cascade, cascade->high);
		width = kpi_define_numeric_call(numeric_mul, width, cascade->over_assign);
		widths = palloc(cascade->nparts * sizeof(Numeric));
		if (!over_time)
			split(cascade, width, widths);
		for (int i = 0; over_time && i < cascade->nparts; i++)
			widths[i] = width;
	}
	if (over_time)
		split_over_time(cascade, total, targets);
	else
		split(cascade, total, targets);
	for (int i = 0; i < cascade->nparts; i++)
	{
		KpiPart    *part = &cascade->parts[i];

		if (part->weight == NULL)
			continue;
		part->target = targets[i];
		part->high = widths ? kpi_define_numeric_call(numeric_add, targets[i], widths[i]) : NULL;
		if (kpi_define_numeric_sign(part->weight) == 0)
			part->message = "its weight is 0";
		else
			part->target_text = kpi_define_cascade_target_text(cascade->kind, part->target, part->high);
	}
}

/* As it was written, unless that is compared with something: then it is the number. */
static void
hand_down(KpiCascade *cascade)
{
	for (int i = 0; i < cascade->nparts; i++)
	{
		KpiPart    *part = &cascade->parts[i];

		if (part->weight == NULL && cascade->by == KPI_BY_WEIGHTS)
			continue;
		part->target = cascade->target;
		part->high = cascade->high;
		part->target_text = cascade->relative ?
			kpi_define_cascade_target_text(cascade->kind, cascade->target, cascade->high) : cascade->target_text;
	}
}

void
kpi_define_cascade_split(KpiCascade *cascade)
{
	if (cascade->shape == KPI_SHAPE_ADDITIVE || cascade->shape == KPI_SHAPE_BALANCE)
		split_target(cascade);
	else
		hand_down(cascade);
}
