/*-------------------------------------------------------------------------
 *
 * suggest.c
 *	  kpi.suggest_target(): what to ask for in a period, and why.
 *
 * The arithmetic is start.c's.  Of what less of is better a target is a bound above
 * the forecast where it is cautious, and below it where it is ambitious.  A
 * target that could not be missed or met, below 0 of what never falls or
 * beyond 0 and 1 of a rate, is set to that bound, with the probability that it has then.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal_internal.h"
#include "lib/stringinfo.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kpi_sql_suggest_target);

/* Decimals of targets and ratios. */
#define SCALE 6

/* A season, or the part of a whole member, that is told. */
#define TOLD 0.005

/* Columns of the result. */
enum
{
	OUT_SUGGESTION,
	OUT_TARGET,
	OUT_PROBABILITY,
	OUT_PREVIOUS_PERIOD,
	OUT_PREVIOUS_VALUE,
	OUT_GROWTH_RATIO,
	OUT_YEAR_AGO_PERIOD,
	OUT_YEAR_AGO_VALUE,
	OUT_YOY_GROWTH_RATIO,
	OUT_FORECAST_BASIS,
	OUT_WHY,
	OUT_COLUMNS
};

/* What a target is compared with. */
typedef struct Earlier
{
	char	   *period;			/* NULL, as the value: none that is over has
								 * one */
	Numeric		value;
} Earlier;

typedef struct Advice
{
	KpiValueCall call;
	KpiHistory *history;
	KpiStart	start;
	KpiOutlook	outlook;
	Earlier		previous;
	Earlier		year_ago;
	char	   *why;
} Advice;

static Numeric
numeric_of(double number)
{
	if (isnan(number) || isinf(number))
		return NULL;
	return DatumGetNumeric(DirectFunctionCall2(numeric_round, DirectFunctionCall1(float8_numeric, Float8GetDatum(number)),
											   Int32GetDatum(SCALE)));
}

/* A number as people read it: of a large one no decimals, as a forecast does not know them. */
static char *
words(const Advice *advice, double number)
{
	Numeric		value = numeric_of(fabs(number) >= 1000 ? rint(number) : rint(number * 1e4) / 1e4);

	return value == NULL ? pstrdup("nothing known") :
		kpi_value_formatted(DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(value))),
							advice->call.kpi);
}

/* ---- what it is compared with ---- */

static void
read_earlier(const Advice *advice, const KpiPlace *place, Earlier *earlier)
{
	KpiValue	value;
	bool		has_facts = kpi_value_at(advice->call.program, place, &value);

	earlier->value = kpi_goal_value_or_zero(advice->call.program, kpi_value_place_end(place), has_facts, &value);
	if (earlier->value == NULL)
		return;
	earlier->period = palloc(KPI_PERIOD_NAME_LEN);
	kpi_calendar_period_name(place->grain, place->start, kpi_calendar_get(KPI_DEFAULT_CALENDAR), earlier->period);
}

/* The last period that is over, and the same a year ago if that is. */
static void
read_earlier_ones(Advice *advice, DateADT today)
{
	KpiPlace	previous = kpi_value_place_shift(&advice->call.place, -1);
	KpiPlace	year_ago = kpi_value_place_year_ago(&advice->call.place);

	while (kpi_value_place_end(&previous) >= today)
		previous = kpi_value_place_shift(&previous, -1);
	read_earlier(advice, &previous, &advice->previous);
	if (kpi_value_place_end(&year_ago) < today)
		read_earlier(advice, &year_ago, &advice->year_ago);
}

/* NULL where there is nothing above 0 to compare with. */
static Numeric
growth(double target, const Earlier *earlier)
{
	double		base = earlier->value == NULL ? 0 : kpi_goal_number(earlier->value);

	return base > 0 ? numeric_of(target / base - 1) : NULL;
}

/* ---- why ---- */

static char *
level_words(const Advice *advice)
{
	const KpiBasis *basis = &advice->start.basis;
	double		people = advice->start.members > 0 && advice->start.people > 0 ? advice->start.people : 1;

	if (advice->start.shape == KPI_SHAPE_QUOTIENT)
		return words(advice, basis->level / basis->level_denominator);
	if (advice->start.shape == KPI_SHAPE_OF_OPENING)
		return words(advice, basis->level / people / advice->start.opening);
	return words(advice, basis->level / people);
}

static void
tell_basis(const Advice *advice, const char *grain, StringInfo why)
{
	const KpiStart *start = &advice->start;
	const char *brings = start->shape == KPI_SHAPE_BALANCE ? " more" : "";

	if (start->members > 0)
	{
		appendStringInfo(why, "there is no history of its own: %d member%s of the team %s %s%s a %s on average",
						 start->members, start->members == 1 ? "" : "s", start->members == 1 ? "has" : "have",
						 level_words(advice), brings, grain);
		if (start->shape != KPI_SHAPE_QUOTIENT)
			appendStringInfo(why, ", times %.2f whole member%s by ramp and days of membership", start->people,
							 fabs(start->people - 1) < TOLD ? "" : "s");
	}
	else if (strcmp(start->basis.basis, "finer") == 0)
		appendStringInfo(why, "no %s is over yet; by shorter periods it is %s%s", grain, level_words(advice), brings);
	else if (start->basis.closed_periods == 1)
		appendStringInfo(why, "the one %s that is over had %s%s", grain, level_words(advice), brings);
	else
		appendStringInfo(why, "the %d %ss that are over had %s%s on average, the last ones counting most",
						 start->basis.closed_periods, grain, level_words(advice), brings);
}

static void
tell_growth(const Advice *advice, const char *grain, StringInfo why)
{
	int			n;
	double		mean = kpi_goal_history_growth(advice->history, &advice->call.place, &n);

	if (n > 0 && fabs(mean) < TOLD / 10)
		appendStringInfo(why, "; from %s to %s it did not grow on average", grain, grain);
	else if (n > 0)
		appendStringInfo(why, "; from %s to %s it %s by %.1f %% on average", grain, grain, mean < 0 ? "fell" : "grew",
						 fabs(mean) * 100);
}

/* Of the members that it has, how many are not whole ones yet. */
static void
tell_ramp(const Advice *advice, StringInfo why)
{
	const KpiStart *start = &advice->start;
	bool		of_member = start->place.scope_kind == KPI_SCOPE_MEMBER;
	int			people = 0;
	int			ramping = 0;
	double		days = 0;
	int			workdays = 0;
	ListCell   *lc;

	foreach(lc, kpi_goal_capacities(of_member ? KPI_TEAM_COMPANY : start->place.scope_id,
									of_member ? start->place.scope_id : 0, start->first, start->last))
	{
		const KpiCapacity *capacity = lfirst(lc);

		people++;
		ramping += capacity->days < capacity->workdays;
		days += capacity->days;
		workdays += capacity->workdays;
	}
	if (ramping == 0)
		return;
	if (of_member)
		appendStringInfo(why, "; its ramp leaves %.0f %% of its capacity", 100 * days / workdays);
	else
		appendStringInfo(why, "; %d of %d people are in their ramp, which leaves %.0f %% of the capacity", ramping, people,
						 100 * days / workdays);
}

static char *
why_words(const Advice *advice)
{
	const KpiStart *start = &advice->start;
	const char *grain = kpi_calendar_grain_name(start->place.grain);
	StringInfoData why;

	initStringInfo(&why);
	tell_basis(advice, grain, &why);
	if (start->shape != KPI_SHAPE_QUOTIENT && fabs(start->season - 1) >= TOLD)
		appendStringInfo(&why, "; the time of the year makes it %.2f times that", start->season);
	if (start->members == 0 && fabs(start->share - 1) >= TOLD)
		appendStringInfo(&why, "; it is there for %.0f %% of what a %s brings", start->share * 100, grain);
	if (start->shape == KPI_SHAPE_BALANCE)
		appendStringInfo(&why, "; %s %s", start->ahead > 0 ? "now it is" : "it opens with", words(advice, start->opening));
	tell_growth(advice, grain, &why);
	tell_ramp(advice, &why);
	if (start->noise_of_company)
		appendStringInfoString(&why, "; how much days differ is taken from the company");
	if (isnan(start->noise))
		appendStringInfoString(&why, "; how much days differ is not known, so nothing is said of how sure it is");
	return why.data;
}

/* ---- the rows ---- */

static void
set_number(Datum *values, bool *nulls, int column, Numeric number)
{
	nulls[column] = number == NULL;
	values[column] = NumericGetDatum(number);
}

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static double
within_bounds(const KpiStart *start, double target)
{
	const KpiProgramNode *node = &start->program->nodes[start->program->nnodes - 1];

	if (node->formula == NULL && node->kind == KPI_RATE)
		return Min(Max(target, 0.0), 1.0);
	return start->shape != KPI_SHAPE_BALANCE && !start->may_fall ? Max(target, 0.0) : target;
}

static void
put_row(ReturnSetInfo *rsinfo, const Advice *advice, const char *suggestion, double number)
{
	double		target = within_bounds(&advice->start, number);
	KpiTarget	asked = {advice->start.down ? KPI_AT_MOST : KPI_AT_LEAST, target, target};
	KpiOutlook	outlook = kpi_goal_start_outlook(&advice->start, &asked);
	Datum		values[OUT_COLUMNS] = {0};
	bool		nulls[OUT_COLUMNS] = {false};

	set_text(values, nulls, OUT_SUGGESTION, suggestion);
	set_number(values, nulls, OUT_TARGET, numeric_of(target));
	set_number(values, nulls, OUT_PROBABILITY, numeric_of(outlook.probability));
	set_text(values, nulls, OUT_PREVIOUS_PERIOD, advice->previous.period);
	set_number(values, nulls, OUT_PREVIOUS_VALUE, kpi_value_shown(advice->call.program, advice->previous.value));
	set_number(values, nulls, OUT_GROWTH_RATIO, growth(target, &advice->previous));
	set_text(values, nulls, OUT_YEAR_AGO_PERIOD, advice->year_ago.period);
	set_number(values, nulls, OUT_YEAR_AGO_VALUE, kpi_value_shown(advice->call.program, advice->year_ago.value));
	set_number(values, nulls, OUT_YOY_GROWTH_RATIO, growth(target, &advice->year_ago));
	set_text(values, nulls, OUT_FORECAST_BASIS, advice->start.basis.basis);
	set_text(values, nulls, OUT_WHY, advice->why);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_rows(ReturnSetInfo *rsinfo, const Advice *advice)
{
	KpiSuggestion suggestion = kpi_goal_suggest_around(advice->outlook.forecast, advice->outlook.sd, advice->start.down);

	if (!isnan(suggestion.sd))
		put_row(rsinfo, advice, "cautious", suggestion.cautious);
	put_row(rsinfo, advice, "likely", suggestion.likely);
	if (!isnan(suggestion.sd))
		put_row(rsinfo, advice, "ambitious", suggestion.ambitious);
}

/* ---- the function ---- */

static void
check_call(const KpiValueCall *call)
{
	if (call->is_range || call->place.grain == KPI_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no target is suggested for \"%s\"", call->period),
				 errdetail("History says nothing of days."),
				 errhint("Ask for a week, month, quarter or year, like \"2027-Q1\".")));
}

static void
say_nothing_known(const Advice *advice)
{
	if (advice->start.shape == KPI_SHAPE_OTHER)
		ereport(NOTICE,
				(errmsg("no target of KPI \"%s\" is suggested: of such a formula there is no forecast", advice->call.kpi)));
	else
		ereport(NOTICE,
				(errmsg("no target of KPI \"%s\" is suggested: it has no history here, and no member of the team has one",
						advice->call.kpi)));
}

static bool
is_down(const char *kpi)
{
	KpiRows		rows;
	bool		down;

	kpi_rows_begin_read(&rows, "SELECT direction = 'down' AS down FROM kpi.kpi WHERE name = $1", 1, KPI_TEXT(kpi));
	down = kpi_rows_next(&rows) && kpi_rows_bool(&rows, "down");
	kpi_rows_end(&rows);
	return down;
}

/* kpi.suggest_target(kpi, team, member, period, dimension, dimension_value) */
Datum
kpi_sql_suggest_target(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = CurrentMemoryContext;
	Advice		advice = {{0}};
	KpiTarget	nothing = {KPI_AT_LEAST, KPI_UNKNOWN, KPI_UNKNOWN};
	bool		known = false;
	KpiSpi		spi;

	kpi_value_call_read(fcinfo, &advice.call);
	InitMaterializedSRF(fcinfo, 0);
	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	kpi_value_call_find(&advice.call);
	check_call(&advice.call);
	kpi_value_call_find_dimension(&advice.call);
	if (advice.call.is_met && kpi_value_call_may_have_facts(&advice.call))
	{
		DateADT		today = kpi_value_today(advice.call.program);
		const KpiPlace *place = &advice.call.place;

		advice.history = kpi_goal_history(advice.call.program, place->start, today);
		known = kpi_goal_start(advice.history, advice.call.program, place, place->start, advice.call.last, today,
							   is_down(advice.call.kpi), &advice.start);
		if (known)
			advice.outlook = kpi_goal_start_outlook(&advice.start, &nothing);
		/* Of a rate there may be a history without any case. */
		known = known && !isnan(advice.outlook.forecast);
		if (known)
		{
			read_earlier_ones(&advice, today);
			advice.why = why_words(&advice);
			put_rows(rsinfo, &advice);
		}
	}
	kpi_spi_end(&spi);
	if (!known)
		say_nothing_known(&advice);
	return (Datum) 0;
}
