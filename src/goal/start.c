/*-------------------------------------------------------------------------
 *
 * start.c
 *	  What is to be expected of a team or member in a period before it begins.
 *
 * The forecast of test/goals/MATH.md with nothing gone and nothing in, of what history
 * says now: for advice on targets that nobody has set yet, and on whether one that
 * is set can be reached.  Nothing is frozen and nothing is written.
 *
 * Who has no history of its own is expected to bring what the members of its team do
 * on average, times as many whole members as there are: working days of
 * membership, times the ramp (capacity.c), over those of the period.
 *
 * Reads cells and the organisation under the active snapshot.
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
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(kpi_sql_goal_start);

/* ---- the days that count ---- */

/* On which the member belongs to a team, of all if it does on none. */
static void
find_own_days(KpiStart *start)
{
	KpiRows		rows;
	DateADT		since;
	DateADT		last;

	if (start->place.scope_kind != KPI_SCOPE_MEMBER)
		return;
	kpi_rows_begin_read(&rows, "SELECT CASE WHEN pg_catalog.count(since) = pg_catalog.count(*) THEN pg_catalog.min(since) END AS since,"
						" CASE WHEN pg_catalog.count(until) = pg_catalog.count(*) THEN pg_catalog.max(until) - 1 END AS last"
						" FROM kpi.membership WHERE member_id = $1", 1, KPI_INT4(start->place.scope_id));
	(void) kpi_rows_next(&rows);
	since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
	last = kpi_rows_date(&rows, "last", DATEVAL_NOEND);
	kpi_rows_end(&rows);
	if (Max(since, start->first) > Min(last, start->last))
		return;
	start->first = Max(since, start->first);
	start->last = Min(last, start->last);
}

/* The team that a member belongs to when they begin; 0: to none. */
static int32
team_of(const KpiStart *start)
{
	KpiRows		rows;
	int32		team_id = 0;

	if (start->place.scope_kind == KPI_SCOPE_TEAM)
		return start->place.scope_id;
	kpi_rows_begin_read(&rows, "SELECT team_id FROM kpi.membership WHERE member_id = $1"
						" AND (since IS NULL OR since <= $2) AND (until IS NULL OR until > $2)",
						2, KPI_INT4(start->place.scope_id), KPI_VALUE(DATEOID, DateADTGetDatum(start->first)));
	if (kpi_rows_next(&rows))
		team_id = kpi_rows_int4(&rows, "team_id");
	kpi_rows_end(&rows);
	return team_id;
}

static double
own_share(KpiHistory *history, const KpiStart *start, bool of_denominator)
{
	int32		calendar_id = kpi_people_team_calendar_id(start->team_id != 0 ? start->team_id : KPI_TEAM_COMPANY,
														  start->first);
	double		ends = kpi_goal_history_filled(history, &start->place, start->last, of_denominator, calendar_id);

	return Max(ends - kpi_goal_history_filled(history, &start->place, start->first - 1, of_denominator, calendar_id), 0.0);
}

static void
find_shares(KpiHistory *history, KpiStart *start)
{
	start->share = start->share_denominator = 1;
	if (start->first <= start->place.start && start->last >= kpi_value_place_end(&start->place))
		return;
	start->share = own_share(history, start, false);
	start->share_denominator = start->shape == KPI_SHAPE_QUOTIENT ? own_share(history, start, true) : start->share;
}

/* ---- without a history of its own ---- */

/* The scope's working days, as whole members. */
static double
people_of(const KpiStart *start)
{
	bool		of_member = start->place.scope_kind == KPI_SCOPE_MEMBER;
	const KpiCalendar *cal;
	int			workdays;
	double		days = 0;
	ListCell   *lc;

	foreach(lc, kpi_goal_capacities(of_member ? KPI_TEAM_COMPANY : start->place.scope_id,
									of_member ? start->place.scope_id : 0, start->first, start->last))
		days += ((const KpiCapacity *) lfirst(lc))->days;
	cal = kpi_calendar_get(kpi_people_team_calendar_id(start->team_id, start->first));
	workdays = kpi_calendar_workdays(start->place.start, kpi_value_place_end(&start->place), cal);
	return workdays > 0 ? days / workdays : 0;
}

/* The mean of those who belong to the team on the first day that counts, and have a history. */
static bool
expect_of_members(KpiHistory *history, KpiStart *start)
{
	bool		of_member = start->place.scope_kind == KPI_SCOPE_MEMBER;
	ListCell   *lc;

	if (start->place.dim_id != 0 || start->team_id == 0)
		return false;
	foreach(lc, kpi_goal_capacities(start->team_id, 0, start->first, start->first))
	{
		KpiPlace	place = start->place;
		KpiBasis	basis;

		place.scope_kind = KPI_SCOPE_MEMBER;
		place.scope_id = ((const KpiCapacity *) lfirst(lc))->member_id;
		if (of_member && place.scope_id == start->place.scope_id)
			continue;
		basis = kpi_goal_history_basis(history, &place);
		if (strcmp(basis.basis, "target") == 0)
			continue;
		start->basis.level += basis.level;
		start->basis.level_denominator += basis.level_denominator;
		start->members++;
	}
	if (start->members == 0)
		return false;
	start->basis.basis = "members";
	start->people = people_of(start);
	start->basis.level *= start->people / start->members;
	start->basis.level_denominator *= start->people / start->members;
	return true;
}

/* ---- what is to be expected ---- */

/* Of a balance: what is held when the period begins, or now. */
static void
find_opening(KpiStart *start, DateADT today)
{
	KpiPlace	now = start->place;
	KpiValue	value = {NULL};

	if (start->first <= today)
	{
		now.grain = KPI_DAY;
		now.start = start->first;
		(void) kpi_value_opening(start->program, &now, &value);
	}
	else
	{
		now.grain = KPI_DAY;
		now.start = today;
		(void) kpi_value_at(start->program, &now, &value);
		start->ahead = start->first - today - 1;
	}
	start->opening = kpi_goal_number(value.value);
}

static void
find_noise(KpiHistory *history, KpiStart *start)
{
	KpiPlace	company = start->place;
	bool		may_fall;

	start->noise = kpi_goal_history_noise(history, &start->place, &start->may_fall);
	/* The variance of what all hold is not that of what one does. */
	if (!isnan(start->noise) || start->shape == KPI_SHAPE_BALANCE)
		return;
	company.scope_kind = KPI_SCOPE_TEAM;
	company.scope_id = KPI_TEAM_COMPANY;
	company.dim_id = 0;
	start->noise = kpi_goal_history_noise(history, &company, &may_fall);
	start->noise_of_company = !isnan(start->noise);
	start->may_fall |= may_fall;
}

bool
kpi_goal_start(KpiHistory *history, const KpiProgram *program, const KpiPlace *place, DateADT first, DateADT last,
			   DateADT today, bool down, KpiStart *start)
{
	memset(start, 0, sizeof(*start));
	start->program = program;
	start->place = *place;
	start->first = first;
	start->last = last;
	start->down = down;
	start->shape = program->nodes[program->nnodes - 1].shape;
	start->share = start->share_denominator = 1;
	start->season = 1;
	start->basis = kpi_goal_history_basis(history, place);
	if (start->shape == KPI_SHAPE_OTHER)
		return false;
	find_own_days(start);
	start->team_id = team_of(start);
	if (strcmp(start->basis.basis, "target") != 0)
		find_shares(history, start);
	else if (!expect_of_members(history, start))
		return false;
	start->season = kpi_goal_history_season(history, place);
	find_noise(history, start);
	if (start->shape == KPI_SHAPE_BALANCE)
		find_opening(start, today);
	else if (start->shape == KPI_SHAPE_OF_OPENING)
	{
		KpiValue	value = {NULL};

		(void) kpi_value_at(program, place, &value);
		start->opening = kpi_goal_number(value.denominator);
	}
	return true;
}

KpiOutlook
kpi_goal_start_outlook(const KpiStart *start, const KpiTarget *target)
{
	double		level = start->basis.level * start->season * start->share;
	KpiStanding standing;

	if (start->shape == KPI_SHAPE_ADDITIVE || start->shape == KPI_SHAPE_OF_OPENING)
	{
		KpiAdditive known = {.basis = level,.noise = start->noise,.may_fall = start->may_fall};

		standing = kpi_goal_standing(0, target);
		return start->shape == KPI_SHAPE_ADDITIVE ? kpi_goal_outlook_additive(target, &standing, &known) :
			kpi_goal_outlook_known_denominator(target, &standing, &known, start->opening);
	}
	else if (start->shape == KPI_SHAPE_QUOTIENT)
	{
		const KpiProgramNode *node = &start->program->nodes[start->program->nnodes - 1];
		KpiQuotient known = {
			.value = KPI_UNKNOWN,
			.basis_numerator = level,
			.basis_denominator = start->basis.level_denominator * start->share_denominator,
			.noise = start->noise,
			.bounded = node->formula == NULL && node->kind == KPI_RATE
		};

		standing = kpi_goal_standing(KPI_UNKNOWN, target);
		return kpi_goal_outlook_quotient(target, &standing, &known);
	}
	else
	{
		double		days = kpi_value_place_end(&start->place) + 1 - start->place.start;
		double		opening = start->opening + start->basis.level * start->ahead / days;
		KpiStock	known = {
			.opening = opening,.now = opening,.flow = level,.variance = start->noise,
			.days = start->last + 1 - start->first + start->ahead
		};

		standing = kpi_goal_standing(opening, target);
		return kpi_goal_outlook_stock(target, &standing, &known);
	}
}

/* ---- for checks of goals ---- */

static void
set_float(Datum *values, bool *nulls, int column, double number)
{
	nulls[column] = isnan(number);
	values[column] = Float8GetDatum(number);
}

static double
float_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? KPI_UNKNOWN : PG_GETARG_FLOAT8(n);
}

/*
 * kpi_internal.goal_start(program, scope_kind, scope_id, dim_id, grain, start, first_day,
 * last_day, today, target_kind, target, target_high, is_down): forecast, probability, basis,
 * best, best_period
 */
Datum
kpi_sql_goal_start(PG_FUNCTION_ARGS)
{
	const KpiProgram *program;
	KpiPlace	place;
	DateADT		today;
	char	   *kind;
	KpiTarget	target;
	bool		down;
	KpiHistory *history;
	KpiStart	start;
	KpiOutlook	outlook;
	KpiPlace	best_place;
	Numeric		best;
	TupleDesc	tupdesc;
	Datum		values[5] = {0};
	bool		nulls[5] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	/* Of a day, or a range beyond a year, there is no period with a history. */
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (PG_ARGISNULL(i) && i != 10 && i != 11)
			PG_RETURN_NULL();
	}
	program = kpi_model_program(PG_GETARG_TEXT_PP(0));
	place = (KpiPlace)
	{
		(KpiScopeKind) PG_GETARG_INT32(1), PG_GETARG_INT32(2), (KpiGrain) PG_GETARG_INT32(4),
			PG_GETARG_INT32(3), PG_GETARG_DATEADT(5)
	};
	today = PG_GETARG_DATEADT(8);
	kind = text_to_cstring(PG_GETARG_TEXT_PP(9));
	target = (KpiTarget)
	{
		KPI_AT_LEAST, float_arg(fcinfo, 10), float_arg(fcinfo, 11)
	};
	down = PG_GETARG_BOOL(12);
	history = kpi_goal_history(program, place.start, today);
	best = kpi_goal_history_best(history, &place, down, &best_place);
	outlook.forecast = outlook.probability = KPI_UNKNOWN;
	target.kind = strcmp(kind, "at_most") == 0 ? KPI_AT_MOST : strcmp(kind, "between") == 0 ? KPI_BETWEEN : KPI_AT_LEAST;
	if (kpi_goal_start(history, program, &place, PG_GETARG_DATEADT(6), PG_GETARG_DATEADT(7), today, down, &start))
		outlook = kpi_goal_start_outlook(&start, &target);
	set_float(values, nulls, 0, outlook.forecast);
	set_float(values, nulls, 1, isnan(target.target) ? KPI_UNKNOWN : outlook.probability);
	values[2] = CStringGetTextDatum(start.basis.basis);
	nulls[3] = nulls[4] = best == NULL;
	if (best != NULL)
	{
		char		name[KPI_PERIOD_NAME_LEN];

		kpi_calendar_period_name(best_place.grain, best_place.start, kpi_calendar_get(KPI_DEFAULT_CALENDAR), name);
		values[3] = NumericGetDatum(kpi_value_shown(program, best));
		values[4] = CStringGetTextDatum(name);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
