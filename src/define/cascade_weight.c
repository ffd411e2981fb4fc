/*-------------------------------------------------------------------------
 *
 * cascade_weight.c
 *	  How much each part of a goal has to bring, against the others.
 *
 *	history		what a period brought the team or member: the level that forecasts begin
 *				with, less where the part is not there for all of the period.  Of a balance
 *				what is held.  Who has no history counts as the mean of those who have, less as his
 *				capacity is.
 *	season		what the time of the year makes of a period, times its working days
 *	capacity	working days of who is there, new people less (goal/capacity.c)
 *	equal		the same
 *
 * Weights are not negative: what history says below 0 is 0.  Nothing here writes or takes a lock.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "define/cascade.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

/* ---- capacity ---- */

static double
sum_of_capacities(int32 team_id, int32 member_id, DateADT start, DateADT end)
{
	double		days = 0;
	ListCell   *lc;

	foreach(lc, kpi_goal_capacities(team_id, member_id, start, end))
		days += ((const KpiCapacity *) lfirst(lc))->days;
	return days;
}

/* Whether the part is for days of its own. */
static bool
has_own_days(const KpiCascade *cascade, const KpiPart *part)
{
	return part->period.start != cascade->period.start || part->period.end != cascade->period.end;
}

/* Of members, who come by their keys, as the parts do. */
static void
capacities_of_members(const KpiCascade *cascade, double *capacities)
{
	List	   *all = kpi_goal_capacities(cascade->team_id, 0, cascade->period.start, cascade->period.end);
	ListCell   *lc = list_head(all);

	for (int i = 0; i < cascade->nparts; i++)
	{
		const KpiPart *part = &cascade->parts[i];

		while (lc != NULL && ((const KpiCapacity *) lfirst(lc))->member_id != part->member_id)
			lc = lnext(all, lc);
		if (has_own_days(cascade, part))
			capacities[i] = sum_of_capacities(cascade->team_id, part->member_id, part->period.start, part->period.end);
		else
			capacities[i] = lc != NULL ? ((const KpiCapacity *) lfirst(lc))->days : 0;
	}
}

/* Periods of a team in which nobody is count their working days. */
static void
capacities_of_periods(const KpiCascade *cascade, double *capacities)
{
	double		sum = 0;

	for (int i = 0; i < cascade->nparts; i++)
	{
		const KpiPart *part = &cascade->parts[i];

		capacities[i] = sum_of_capacities(cascade->member_id ? KPI_TEAM_COMPANY : cascade->team_id, cascade->member_id,
										  part->period.start, part->period.end);
		sum += capacities[i];
	}
	for (int i = 0; sum == 0 && i < cascade->nparts; i++)
		capacities[i] = kpi_define_cascade_workdays(cascade->team_id ? cascade->team_id : KPI_TEAM_COMPANY,
													cascade->parts[i].period.start, cascade->parts[i].period.end);
}

/* Of teams that nobody is in by how long they are there. */
static void
capacities_of_teams(const KpiCascade *cascade, double *capacities)
{
	for (int i = 0; i < cascade->nparts; i++)
	{
		const KpiPart *part = &cascade->parts[i];

		capacities[i] = 0;
		for (int s = 0; s < part->nstays; s++)
			capacities[i] += sum_of_capacities(part->team_id, 0, part->stays[s].since, part->stays[s].last);
	}
}

static double *
capacities_of(const KpiCascade *cascade)
{
	double	   *capacities = palloc(cascade->nparts * sizeof(double));

	if (cascade->across == KPI_ACROSS_MEMBERS)
		capacities_of_members(cascade, capacities);
	else if (cascade->across == KPI_ACROSS_TEAMS)
		capacities_of_teams(cascade, capacities);
	else
		capacities_of_periods(cascade, capacities);
	return capacities;
}

/* ---- history ---- */

static KpiPlace
place_of(const KpiCascade *cascade, const KpiPart *part)
{
	KpiPlace	place = {
		part->member_id ? KPI_SCOPE_MEMBER : KPI_SCOPE_TEAM, part->member_id ? part->member_id : part->team_id,
		cascade->history_grain, Max(cascade->dim_id, 0), cascade->history_start
	};

	return place;
}

/* NaN: there is none. */
static double
held_now(const KpiCascade *cascade, const KpiProgram *program, KpiPlace place)
{
	KpiValue	value;

	place.grain = KPI_MONTH;
	place.start = kpi_calendar_period_start(KPI_MONTH, cascade->today, kpi_calendar_get(KPI_DEFAULT_CALENDAR));
	if (!kpi_value_until(program, &place, cascade->today, &value) || value.value == NULL)
		return NAN;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value.value)));
}

/*
 * What a whole period brings each, or NaN.  What is read for one is freed before the next, as there
 * may be many.
 */
static void
read_levels(const KpiCascade *cascade, double *levels)
{
	const KpiProgram *program = kpi_model_program(cstring_to_text(cascade->program));
	KpiHistory *history = kpi_goal_history(program, cascade->history_start, cascade->today);
	MemoryContext one = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi history", ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < cascade->nparts; i++)
	{
		KpiPlace	place = place_of(cascade, &cascade->parts[i]);
		MemoryContext old = MemoryContextSwitchTo(one);

		if (cascade->shape == KPI_SHAPE_BALANCE)
			levels[i] = held_now(cascade, program, place);
		else
		{
			KpiBasis	basis = kpi_goal_history_basis(history, &place);
			bool		known = strcmp(basis.basis, "history") == 0 || strcmp(basis.basis, "finer") == 0;

			levels[i] = known && cascade->dim_id >= 0 ? basis.level : NAN;
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(one);
	}
	MemoryContextDelete(one);
}

/* Who has no history is as the others in the working days that he has. */
static void
fill_in(KpiCascade *cascade, double *levels)
{
	double	   *capacities = capacities_of(cascade);
	double		sum = 0;
	double		days = 0;
	int			known = 0;

	for (int i = 0; i < cascade->nparts; i++)
	{
		if (isnan(levels[i]))
			continue;
		sum += Max(levels[i], 0);
		days = Max(days, capacities[i] / Max(cascade->parts[i].share, 0.001));
		known++;
	}
	for (int i = 0; i < cascade->nparts; i++)
	{
		if (!isnan(levels[i]))
			continue;
		levels[i] = known > 0 ? sum / known * (days > 0 ? Min(capacities[i] / days, 1) : cascade->parts[i].share) : capacities[i];
		cascade->parts[i].message = known > 0 ? "no history: counts as the mean of the others, by its working days" :
			"nobody has a history: counts by its working days";
	}
}

static void
weigh_by_history(KpiCascade *cascade, double *weights)
{
	bool		complete = true;

	read_levels(cascade, weights);
	for (int i = 0; i < cascade->nparts; i++)
	{
		if (isnan(weights[i]))
			complete = false;
		else if (cascade->shape != KPI_SHAPE_BALANCE && cascade->parts[i].share < 1)
			weights[i] *= cascade->parts[i].share;
	}
	if (!complete)
		fill_in(cascade, weights);
}

/* ---- season ---- */

/* Of the period of the grain that holds the part, which may be a part of that. */
static void
weigh_by_season(KpiCascade *cascade, double *weights)
{
	const KpiProgram *program = kpi_model_program(cstring_to_text(cascade->program));
	KpiHistory *history = kpi_goal_history(program, cascade->period.start, cascade->today);
	KpiGrain	grain = cascade->across == KPI_ACROSS_WEEKS ? KPI_WEEK :
	cascade->across == KPI_ACROSS_MONTHS ? KPI_MONTH : KPI_QUARTER;
	int32		team_id = cascade->team_id ? cascade->team_id : KPI_TEAM_COMPANY;

	for (int i = 0; i < cascade->nparts; i++)
	{
		const KpiGoalPeriod *period = &cascade->parts[i].period;
		KpiPlace	place = {
			KPI_SCOPE_TEAM, KPI_TEAM_COMPANY, grain, 0,
			kpi_calendar_period_start(grain, period->start, kpi_calendar_get(KPI_DEFAULT_CALENDAR))
		};

		weights[i] = kpi_goal_history_season(history, &place) *
			kpi_define_cascade_workdays(team_id, period->start, period->end);
	}
}

/* ---- weights that are given ---- */

pg_noreturn static void
refuse_weight(const char *key, const char *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("weight %s of \"%s\" is no number of 0 or more", value, key),
			 errhint("Write weights by key: by => '{\"emea\": 3, \"apac\": 2}'.")));
}

static void
refuse_key(const KpiCascade *cascade, const char *key)
{
	List	   *keys = NIL;
	char	   *near;

	for (int i = 0; i < cascade->nparts; i++)
		keys = lappend(keys, cascade->parts[i].key);
	near = kpi_near_names(keys, key);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("goal %s has no part \"%s\" across %s", cascade->label, key, cascade->across_name),
			 errdetail("There are %s.", kpi_list_join(keys)),
			 near ? errhint("Perhaps you mean %s.", near) : 0));
}

/* Parts that are not named get none. */
static void
read_weights(KpiCascade *cascade)
{
	KpiRows		rows;

	for (int i = 0; i < cascade->nparts; i++)
		cascade->parts[i].message = "no weight is given for it";
	kpi_rows_begin(&rows, "SELECT e.key, e.value::text AS value, pg_catalog.jsonb_typeof(e.value) = 'number' AS is_number"
				   " FROM pg_catalog.jsonb_each($1::jsonb) e ORDER BY e.key COLLATE \"C\"", 1, KPI_TEXT(cascade->weights));
	while (kpi_rows_next(&rows))
	{
		char	   *key = kpi_rows_text(&rows, "key");
		char	   *value = kpi_rows_text(&rows, "value");
		Numeric		weight;
		bool		found = false;

		if (!kpi_rows_bool(&rows, "is_number"))
			refuse_weight(key, value);
		weight = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(value), ObjectIdGetDatum(InvalidOid),
													 Int32GetDatum(-1)));
		if (kpi_define_numeric_sign(weight) < 0)
			refuse_weight(key, value);
		for (int i = 0; i < cascade->nparts; i++)
		{
			KpiPart    *part = &cascade->parts[i];

			if (strcmp(part->key, key) != 0)
				continue;
			part->weight = part->share < 1 && has_own_days(cascade, part) ?
				kpi_define_numeric_call(numeric_mul, weight, kpi_define_numeric(part->share)) : weight;
			part->message = NULL;
			found = true;
		}
		if (!found)
			refuse_key(cascade, key);
	}
	kpi_rows_end(&rows);
}

/* ---- all of them ---- */

static void
require_some(const KpiCascade *cascade)
{
	for (int i = 0; i < cascade->nparts; i++)
	{
		if (cascade->parts[i].weight != NULL && kpi_define_numeric_sign(cascade->parts[i].weight) > 0)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("all weights of the parts of goal %s are 0", cascade->label),
			 cascade->by == KPI_BY_WEIGHTS ? errhint("Give a weight above 0 to one of them at least.") :
			 errhint("Cut it by => 'equal', or give weights by key: by => '{\"emea\": 3, \"apac\": 2}'.")));
}

void
kpi_define_cascade_weigh(KpiCascade *cascade)
{
	double	   *weights;

	/* What is handed down as it is needs none, unless it is said who gets it. */
	if (cascade->by == KPI_BY_WEIGHTS)
		read_weights(cascade);
	else if (cascade->shape == KPI_SHAPE_ADDITIVE || cascade->shape == KPI_SHAPE_BALANCE)
	{
		weights = palloc(cascade->nparts * sizeof(double));
		switch (cascade->by)
		{
			case KPI_BY_HISTORY:
				weigh_by_history(cascade, weights);
				break;
			case KPI_BY_SEASON:
				weigh_by_season(cascade, weights);
				break;
			case KPI_BY_CAPACITY:
				weights = capacities_of(cascade);
				break;
			case KPI_BY_EQUAL:
				for (int i = 0; i < cascade->nparts; i++)
					weights[i] = 1;
				break;
			case KPI_BY_WEIGHTS:
				break;
		}
		for (int i = 0; i < cascade->nparts; i++)
			cascade->parts[i].weight = kpi_define_numeric(weights[i] > 0 ? weights[i] : 0);
	}
	else
		return;
	require_some(cascade);
}
