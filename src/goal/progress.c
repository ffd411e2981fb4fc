/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  Where a goal stands: what its row says, computed.
 *
 * A row is a function of the goal's target, of what its forecast is based on (frozen), of
 * cells, and of the day: nothing else goes into it, so it can be verified.  What
 * must be exact is computed in decimals: what is reached is reached to the cent.  A
 * view asks on every row, so tables are read for cells only; the team's calendar comes
 * from the caches of this backend.
 *
 * The days that count are those of the period, or those within it on which the
 * member was there; shares of the period are taken over them (MATH.md, own span).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal_internal.h"
#include "people/people.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(kpi_sql_goal_stand);
PG_FUNCTION_INFO_V1(kpi_sql_goal_status_rank);

/* Decimals of numbers that are computed in doubles, and of ratios. */
#define SCALE 6

/* Worst first: an index here plus 1 is the status_rank. */
static const char *const statuses[] = {
	"missed", "over_limit", "behind", "at_risk", "incomplete", "no_data",
	"on_track", "achieved", "not_started", "no_target"
};

/* Arguments of kpi_internal.goal_stand(). */
enum
{
	Arg_program,
	Arg_scope_kind,
	Arg_scope_id,
	Arg_dim_id,
	Arg_period_start,
	Arg_period_end,
	Arg_grain,
	Arg_own_since,
	Arg_own_until,
	Arg_today,
	Arg_team_id,
	Arg_is_complete,
	Arg_is_rate,
	Arg_direction,
	Arg_target_kind,
	Arg_target,
	Arg_target_high,
	Arg_pace,
	Arg_milestone_days,
	Arg_milestone_amounts,
	Arg_unit,
	Arg_basis,
	Arg_basis_start,
	Arg_basis_end,
	Arg_level,
	Arg_level_denominator,
	Arg_season,
	Arg_noise,
	Arg_may_fall,
	Arg_shares,
	Arg_weight,
	Arg_denominator_shares,
	Arg_denominator_weight
};

/* Columns of its result. */
enum
{
	Out_is_additive,
	Out_actual,
	Out_actual_to_date,
	Out_numerator,
	Out_denominator,
	Out_workdays_left,
	Out_elapsed_ratio,
	Out_expected_today,
	Out_forecast,
	Out_forecast_low,
	Out_forecast_high,
	Out_probability,
	Out_required_of_rest,
	Out_headroom,
	Out_status,
	Out_status_rule,
	Out_status_reason,
	N_OUT
};

/* How a period fills: shares that are in at the end of each of its days, and their weight. */
typedef struct Filling
{
	DateADT		start;
	DateADT		end;
	const double *shares;		/* NULL: by the calendar alone */
	int			n;
	double		weight;
} Filling;

typedef struct Goal
{
	const KpiProgram *program;
	KpiShape	shape;
	KpiPlace	place;			/* from the first day that counts */
	bool		has_place;		/* a fact has the dimension's value */
	bool		is_period;		/* by_period is one of its grain, for formulas
								 * that look at others */
	KpiPlace	by_period;
	DateADT		end;			/* of the period */
	DateADT		first;			/* days that count */
	DateADT		last;
	DateADT		today;
	bool		complete;
	KpiTargetKind kind;
	Numeric		target;			/* NULL: none */
	Numeric		high;
	const KpiCalendar *cal;

	/* what there is */
	Numeric		actual;			/* each may be NULL */
	Numeric		to_date;
	Numeric		opening;		/* of a balance; else NULL */
	KpiValue	whole;
	KpiValue	until_today;
	KpiValue	until_yesterday;

	/* what is expected */
	Numeric		expected;
	KpiOutlook	outlook;
	double		gone;			/* share of the days that count, by the
								 * profile */
} Goal;

static Numeric
call(PGFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

static int
compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

static Numeric
rounded(Numeric number)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(number), Int32GetDatum(SCALE)));
}

/* NULL if it is not known, or beyond what doubles hold. */
static Numeric
numeric_of(double number)
{
	if (isnan(number) || isinf(number))
		return NULL;
	return rounded(DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(number))));
}

/* ---- arguments ---- */

static Numeric
numeric_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_NUMERIC(n);
}

static double
number_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? KPI_UNKNOWN : PG_GETARG_FLOAT8(n);
}

static DateADT
day_arg(FunctionCallInfo fcinfo, int n, DateADT if_null)
{
	return PG_ARGISNULL(n) ? if_null : kpi_calendar_day_clamp(PG_GETARG_DATEADT(n));
}

static KpiTargetKind
kind_args(FunctionCallInfo fcinfo)
{
	char	   *kind;

	if (PG_ARGISNULL(Arg_target_kind))
		return VARDATA_ANY(PG_GETARG_TEXT_PP(Arg_direction))[0] == 'd' ? KPI_AT_MOST : KPI_AT_LEAST;
	kind = text_to_cstring(PG_GETARG_TEXT_PP(Arg_target_kind));
	return strcmp(kind, "at_least") == 0 ? KPI_AT_LEAST : strcmp(kind, "at_most") == 0 ? KPI_AT_MOST : KPI_BETWEEN;
}

/* An array of float8 without nulls, as it is stored. */
static Filling
filling_args(FunctionCallInfo fcinfo, int shares, int weight)
{
	Filling		filling = {
		.start = day_arg(fcinfo, Arg_basis_start, 0),
		.end = day_arg(fcinfo, Arg_basis_end, -1)
	};

	if (!PG_ARGISNULL(shares) && !PG_ARGISNULL(weight))
	{
		ArrayType  *array = PG_GETARG_ARRAYTYPE_P(shares);

		filling.shares = (const double *) ARR_DATA_PTR(array);
		filling.n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
		filling.weight = PG_GETARG_FLOAT8(weight);
		if (ARR_ELEMTYPE(array) != FLOAT8OID || ARR_HASNULL(array) || filling.n != filling.end - filling.start + 2)
			elog(ERROR, "profile of a forecast is damaged");
	}
	return filling;
}

static Goal
goal_args(FunctionCallInfo fcinfo)
{
	Goal		goal = {.target = numeric_arg(fcinfo, Arg_target)};
	DateADT		start = kpi_calendar_day_clamp(PG_GETARG_DATEADT(Arg_period_start));
	DateADT		end = Max(kpi_calendar_day_clamp(PG_GETARG_DATEADT(Arg_period_end)), start);

	goal.program = kpi_model_program(PG_GETARG_TEXT_PP(Arg_program));
	goal.shape = goal.program->nodes[goal.program->nnodes - 1].shape;
	goal.today = kpi_calendar_day_clamp(PG_GETARG_DATEADT(Arg_today));
	goal.complete = PG_GETARG_BOOL(Arg_is_complete);
	goal.kind = kind_args(fcinfo);
	goal.high = goal.kind == KPI_BETWEEN ? numeric_arg(fcinfo, Arg_target_high) : goal.target;
	goal.end = end;
	goal.first = Max(start, day_arg(fcinfo, Arg_own_since, start));
	goal.last = Min(end, day_arg(fcinfo, Arg_own_until, end + 1) - 1);
	if (goal.first > goal.last)
	{
		/* Of days that are none of the period nothing follows for it. */
		goal.first = start;
		goal.last = end;
	}
	goal.has_place = !PG_ARGISNULL(Arg_dim_id);
	goal.place.scope_kind = (KpiScopeKind) PG_GETARG_INT32(Arg_scope_kind);
	goal.place.scope_id = PG_GETARG_INT32(Arg_scope_id);
	goal.place.dim_id = goal.has_place ? PG_GETARG_INT32(Arg_dim_id) : 0;
	goal.place.grain = KPI_DAY;
	goal.place.start = goal.first;
	goal.by_period = goal.place;
	goal.by_period.start = start;
	goal.is_period = goal.program->over_time &&
		kpi_calendar_grain_parse(text_to_cstring(PG_GETARG_TEXT_PP(Arg_grain)), &goal.by_period.grain);
	goal.cal = kpi_calendar_get(kpi_people_team_calendar_id(PG_GETARG_INT32(Arg_team_id), goal.today));
	return goal;
}

/* ---- what there is ---- */

/* What is dated from the first day that counts until this one. */
static bool
value_until(const Goal *goal, DateADT day, KpiValue *value)
{
	memset(value, 0, sizeof(*value));
	if (!goal->has_place || day < goal->first)
		return false;
	if (goal->is_period)
		return kpi_value_until(goal->program, &goal->by_period, Min(day, goal->last), value);
	return kpi_value_between(goal->program, &goal->place, Min(day, goal->last), value);
}

static Numeric
number_or_zero(const Goal *goal, bool has_facts, const KpiValue *value)
{
	return has_facts || goal->complete ? kpi_goal_value_or_zero(goal->program, goal->end, has_facts, value) : NULL;
}

static void
read_values(Goal *goal)
{
	bool		has_facts = value_until(goal, goal->last, &goal->whole);

	goal->actual = number_or_zero(goal, has_facts, &goal->whole);
	if (goal->shape == KPI_SHAPE_BALANCE && goal->has_place && goal->today >= goal->first)
	{
		KpiValue	opening;

		goal->opening = kpi_value_opening(goal->program, &goal->place, &opening) && opening.value != NULL ?
			opening.value : int64_to_numeric(0);
	}
	if (goal->today >= goal->last)
	{
		goal->to_date = goal->actual;
		goal->until_today = goal->whole;
	}
	else
	{
		has_facts = value_until(goal, goal->today, &goal->until_today);
		goal->to_date = number_or_zero(goal, has_facts, &goal->until_today);
	}
	if (goal->today > goal->last)
		goal->until_yesterday = goal->whole;
	else
		(void) value_until(goal, goal->today - 1, &goal->until_yesterday);
}

static KpiStanding
standing_of(const Goal *goal)
{
	KpiStanding standing = {0, 0};

	if (goal->to_date != NULL && goal->target != NULL)
	{
		standing.to_target = compare(goal->to_date, goal->target);
		standing.to_high = goal->high != NULL ? compare(goal->to_date, goal->high) : standing.to_target;
	}
	return standing;
}

static KpiTarget
target_of(const Goal *goal)
{
	KpiTarget	target = {goal->kind, KPI_UNKNOWN, KPI_UNKNOWN};

	if (goal->target != NULL)
		target.target = kpi_goal_number(goal->target);
	if (goal->high != NULL)
		target.high = kpi_goal_number(goal->high);
	return target;
}

/* ---- how far it has gone ---- */

/* The share of the filling's period that is gone at the end of a day. */
static double
filled(const Goal *goal, const Filling *filling, DateADT day)
{
	double		calendar;

	if (day < filling->start)
		return 0;
	if (day >= filling->end)
		return 1;
	calendar = kpi_goal_gone_workdays(filling->start, filling->end, day, goal->cal);
	if (filling->shares == NULL)
		return calendar;
	return kpi_goal_profile_with_calendar(calendar, filling->shares[day - filling->start + 1], filling->weight);
}

/*
 * The shares of the days that count at the ends of yesterday and today, and as much
 * of the basis as they hold.
 */
static void
gone_of(const Goal *goal, Filling filling, double *yesterday, double *today, double *basis)
{
	if (filling.end < filling.start)
	{
		/* There is no history: the days that count fill as the calendar says. */
		filling.start = goal->first;
		filling.end = goal->last;
	}
	*yesterday = filled(goal, &filling, goal->today - 1);
	*today = Max(filled(goal, &filling, goal->today), *yesterday);
	if (goal->first > filling.start || goal->last < filling.end)
		kpi_goal_own_span(filled(goal, &filling, goal->first - 1), filled(goal, &filling, goal->last),
						  yesterday, today, basis);
}

/* ---- what is expected ---- */

/* What the target asks for in the period: of a balance what is to come upon its opening. */
static Numeric
asked_of(const Goal *goal)
{
	return goal->opening ? call(numeric_sub, goal->target, goal->opening) : goal->target;
}

/* part / whole * number, exactly up to SCALE decimals. */
static Numeric
share_of(Numeric number, int part, int whole)
{
	return rounded(call(numeric_div, call(numeric_mul, number, int64_to_numeric(part)), int64_to_numeric(whole)));
}

static Numeric
by_workdays(const Goal *goal)
{
	DateADT		day = Min(goal->today, goal->last);
	int			all = kpi_calendar_workdays(goal->first, goal->last, goal->cal);

	if (all == 0)
		return share_of(asked_of(goal), Max(day - goal->first + 1, 0), goal->last - goal->first + 1);
	return share_of(asked_of(goal), kpi_calendar_workdays(goal->first, day, goal->cal), all);
}

static Numeric
by_milestones(const Goal *goal, FunctionCallInfo fcinfo)
{
	Datum	   *days;
	Datum	   *amounts;
	double		opening = goal->opening ? kpi_goal_number(goal->opening) : 0;
	double	   *shares;
	double	   *values;
	int			n;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(Arg_milestone_days), DATEOID, sizeof(DateADT), true, TYPALIGN_INT,
					  &days, NULL, &n);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(Arg_milestone_amounts), NUMERICOID, -1, false, TYPALIGN_INT,
					  &amounts, NULL, &n);
	shares = palloc((n + 1) * sizeof(double));
	values = palloc((n + 1) * sizeof(double));
	for (int i = 0; i < n; i++)
	{
		shares[i] = kpi_goal_gone_workdays(goal->first, goal->last, DatumGetDateADT(days[i]), goal->cal);
		values[i] = kpi_goal_number(DatumGetNumeric(amounts[i])) - opening;
	}
	shares[n] = 1;
	values[n] = kpi_goal_number(goal->target) - opening;
	return numeric_of(kpi_goal_phased(shares, values, n + 1,
									  kpi_goal_gone_workdays(goal->first, goal->last, goal->today, goal->cal)));
}

/*
 * By the pace that was asked for; seasonal: the outlook's, which of a period without history is
 * that of working days.
 */
static void
expect(Goal *goal, FunctionCallInfo fcinfo)
{
	char	   *pace = text_to_cstring(PG_GETARG_TEXT_PP(Arg_pace));
	bool		seasonal = strcmp(pace, "seasonal") == 0;

	if (goal->target == NULL)
		return;
	if (goal->shape != KPI_SHAPE_ADDITIVE && goal->shape != KPI_SHAPE_OF_OPENING && goal->opening == NULL)
	{
		goal->expected = seasonal ? numeric_of(goal->outlook.expected) : NULL;
		if (goal->expected == NULL || compare(goal->expected, rounded(goal->target)) == 0)
			goal->expected = goal->target;
	}
	else if (strcmp(pace, "linear") == 0)
		goal->expected = share_of(asked_of(goal), Max(Min(goal->today, goal->last) - goal->first + 1, 0),
								  goal->last - goal->first + 1);
	else if (strcmp(pace, "phased") == 0 && !PG_ARGISNULL(Arg_milestone_days))
		goal->expected = by_milestones(goal, fcinfo);
	else if (seasonal && goal->opening == NULL && !PG_ARGISNULL(Arg_weight) && PG_GETARG_FLOAT8(Arg_weight) > 0)
		goal->expected = numeric_of(kpi_goal_number(goal->target) * goal->gone);
	else
		goal->expected = by_workdays(goal);
	if (goal->opening != NULL && goal->expected != NULL)
		goal->expected = call(numeric_add, goal->opening, goal->expected);
}

/* ---- where it will end ---- */

/*
 * What accumulates, from what is in by yesterday and today; asked: what the target asks of it, which is as
 * much as is expected where there is no history.
 */
static KpiAdditive
accumulated(Goal *goal, FunctionCallInfo fcinfo, Numeric yesterday, Numeric today, double asked)
{
	KpiAdditive known = {
		.until_yesterday = kpi_goal_number(yesterday),
		.noise = number_arg(fcinfo, Arg_noise),
		.may_fall = !PG_ARGISNULL(Arg_may_fall) && PG_GETARG_BOOL(Arg_may_fall),
		.over = goal->today > goal->last
	};
	double		level = number_arg(fcinfo, Arg_level);

	known.today = kpi_goal_number(today) - known.until_yesterday;
	known.basis = level * number_arg(fcinfo, Arg_season);
	gone_of(goal, filling_args(fcinfo, Arg_shares, Arg_weight), &known.gone_yesterday, &known.gone_today, &known.basis);
	/* Without history what is asked for is asked of the days that count. */
	if (isnan(level))
		known.basis = asked;
	goal->gone = known.gone_today;
	return known;
}

/* Of two bounds the middle. */
static double
asked_for(const KpiTarget *target)
{
	return target->kind == KPI_BETWEEN ? (target->target + target->high) / 2 : target->target;
}

static void
forecast_additive(Goal *goal, FunctionCallInfo fcinfo, const KpiTarget *target, const KpiStanding *standing)
{
	KpiAdditive known = accumulated(goal, fcinfo, goal->until_yesterday.value, goal->to_date, asked_for(target));

	goal->outlook = kpi_goal_outlook_additive(target, standing, &known);
}

/* The numerator accumulates, over a denominator that has been known since the period began. */
static void
forecast_of_opening(Goal *goal, FunctionCallInfo fcinfo, const KpiTarget *target, const KpiStanding *standing)
{
	double		denominator = kpi_goal_number(goal->until_today.denominator);
	KpiAdditive known = accumulated(goal, fcinfo, goal->until_yesterday.numerator, goal->until_today.numerator,
									asked_for(target) * denominator);

	goal->outlook = kpi_goal_outlook_known_denominator(target, standing, &known, denominator);
}

static void
forecast_quotient(Goal *goal, FunctionCallInfo fcinfo, const KpiTarget *target, const KpiStanding *standing)
{
	KpiQuotient known = {
		.value = goal->to_date != NULL ? kpi_goal_number(goal->to_date) : KPI_UNKNOWN,
		.numerator = kpi_goal_number(goal->until_today.numerator),
		.denominator = kpi_goal_number(goal->until_today.denominator),
		.basis_numerator = PG_ARGISNULL(Arg_level) ? 0 : PG_GETARG_FLOAT8(Arg_level),
		.basis_denominator = PG_ARGISNULL(Arg_level_denominator) ? 0 : PG_GETARG_FLOAT8(Arg_level_denominator),
		.noise = number_arg(fcinfo, Arg_noise),
		.bounded = PG_GETARG_BOOL(Arg_is_rate),
		.over = goal->today > goal->last
	};
	double		yesterday;

	gone_of(goal, filling_args(fcinfo, Arg_shares, Arg_weight), &yesterday, &known.gone_numerator, &known.basis_numerator);
	gone_of(goal, filling_args(fcinfo, Arg_denominator_shares, Arg_denominator_weight), &yesterday,
			&known.gone_denominator, &known.basis_denominator);
	goal->gone = known.gone_denominator;
	goal->outlook = kpi_goal_outlook_quotient(target, standing, &known);
}

static void
forecast_balance(Goal *goal, FunctionCallInfo fcinfo, const KpiTarget *target, const KpiStanding *standing)
{
	KpiStock	known = {
		.opening = kpi_goal_number(goal->opening),
		.now = kpi_goal_number(goal->to_date),
		.flow = number_arg(fcinfo, Arg_level),
		.variance = number_arg(fcinfo, Arg_noise),
		.days = goal->last - goal->first + 1,
		.over = goal->today > goal->last
	};

	gone_of(goal, filling_args(fcinfo, Arg_shares, Arg_weight), &known.gone_yesterday, &known.gone_today, &known.flow);
	if (isnan(known.flow))
		known.flow = asked_for(target) - known.opening;
	goal->gone = known.gone_today;
	goal->outlook = kpi_goal_outlook_stock(target, standing, &known);
}

/* Of numbers that are complete, in a period that has begun and has a basis. */
static void
forecast(Goal *goal, FunctionCallInfo fcinfo)
{
	KpiTarget	target = target_of(goal);
	KpiStanding standing = standing_of(goal);
	double		unused = 0;

	memset(&goal->outlook, 0, sizeof(goal->outlook));
	goal->outlook.expected = goal->outlook.forecast = goal->outlook.low = goal->outlook.high =
		goal->outlook.probability = goal->outlook.required_of_rest = goal->outlook.pace = KPI_UNKNOWN;
	gone_of(goal, filling_args(fcinfo, Arg_shares, Arg_weight), &unused, &goal->gone, &unused);
	if (PG_ARGISNULL(Arg_basis) || goal->target == NULL || !goal->complete || goal->today < goal->first)
		return;
	if (goal->shape == KPI_SHAPE_ADDITIVE && goal->to_date != NULL)
		forecast_additive(goal, fcinfo, &target, &standing);
	else if (goal->shape == KPI_SHAPE_OF_OPENING && goal->to_date != NULL)
		forecast_of_opening(goal, fcinfo, &target, &standing);
	else if (goal->shape == KPI_SHAPE_QUOTIENT)
		forecast_quotient(goal, fcinfo, &target, &standing);
	else if (goal->opening != NULL && goal->to_date != NULL)
		forecast_balance(goal, fcinfo, &target, &standing);
}

/* ---- the result ---- */

typedef struct Out
{
	Datum		values[N_OUT];
	bool		nulls[N_OUT];
} Out;

static void
set_number(Out *out, int column, Numeric number)
{
	out->nulls[column] = number == NULL;
	out->values[column] = NumericGetDatum(number);
}

static void
set_workdays(Out *out, const Goal *goal)
{
	int			all = kpi_calendar_workdays(goal->first, goal->last, goal->cal);
	DateADT		day = Min(goal->today, goal->last);
	int			gone = kpi_calendar_workdays(goal->first, day, goal->cal);

	if (all == 0)
	{
		all = goal->last - goal->first + 1;
		gone = Max(day - goal->first + 1, 0);
	}
	out->values[Out_workdays_left] = Int32GetDatum(kpi_calendar_workdays(Max(goal->today, goal->first), goal->last,
																		 goal->cal));
	set_number(out, Out_elapsed_ratio, share_of(int64_to_numeric(1), gone, all));
}

static void
set_status(Out *out, const Goal *goal, bool may_fall, char *unit)
{
	KpiStatusGround ground = {
		.target = target_of(goal),
		.standing = standing_of(goal),
		.additive = goal->shape == KPI_SHAPE_ADDITIVE,
		.complete = goal->complete,
		.started = goal->today >= goal->first,
		.over = goal->today > goal->last,
		.may_fall = may_fall,
		.value = goal->to_date != NULL ? kpi_goal_number(goal->to_date) : KPI_UNKNOWN,
		.expected = goal->expected != NULL ? kpi_goal_number(goal->expected) : KPI_UNKNOWN,
		.gone = goal->gone,
		.pace = goal->opening != NULL ? goal->outlook.pace : KPI_UNKNOWN,
		.probability = goal->outlook.probability
	};
	KpiReason	reason = {
		.kind = goal->kind,
		.additive = ground.additive,
		.target = goal->target,
		.high = goal->high,
		.actual = goal->to_date,
		.expected = goal->expected,
		.forecast = numeric_of(goal->outlook.forecast),
		.probability = goal->outlook.probability,
		.start = goal->first,
		.unit = unit
	};

	if (ground.additive && goal->complete && ground.started && goal->actual != NULL && goal->to_date != NULL &&
		compare(goal->actual, goal->to_date) != 0)
		reason.ahead = call(numeric_sub, goal->actual, goal->to_date);
	out->values[Out_status] = CStringGetTextDatum(kpi_goal_status(&ground, &reason.rule));
	out->values[Out_status_rule] = Int32GetDatum(reason.rule);
	out->values[Out_status_reason] = CStringGetTextDatum(kpi_goal_reason(&reason));
}

/* kpi_internal.goal_stand(), whose arguments and columns are listed above */
Datum
kpi_sql_goal_stand(PG_FUNCTION_ARGS)
{
	Goal		goal;
	Out			out = {{0}};
	TupleDesc	tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE || tupdesc->natts != N_OUT)
		elog(ERROR, "return type must be a row type of %d columns", N_OUT);
	goal = goal_args(fcinfo);
	read_values(&goal);
	forecast(&goal, fcinfo);
	expect(&goal, fcinfo);

	out.values[Out_is_additive] = BoolGetDatum(goal.shape == KPI_SHAPE_ADDITIVE);
	set_number(&out, Out_actual, goal.actual);
	set_number(&out, Out_actual_to_date, goal.to_date);
	set_number(&out, Out_numerator, kpi_value_part_shown(goal.program, goal.whole.numerator));
	set_number(&out, Out_denominator, kpi_value_part_shown(goal.program, goal.whole.denominator));
	set_workdays(&out, &goal);
	set_number(&out, Out_expected_today, kpi_value_shown(goal.program, goal.expected));
	set_number(&out, Out_forecast, numeric_of(goal.outlook.forecast));
	set_number(&out, Out_forecast_low, numeric_of(goal.outlook.low));
	set_number(&out, Out_forecast_high, numeric_of(goal.outlook.high));
	set_number(&out, Out_probability, numeric_of(goal.outlook.probability));
	set_number(&out, Out_required_of_rest, numeric_of(goal.outlook.required_of_rest));
	set_number(&out, Out_headroom, goal.kind == KPI_AT_MOST && goal.to_date != NULL && goal.target != NULL ?
			   kpi_value_shown(goal.program, call(numeric_sub, goal.target, goal.to_date)) : NULL);
	set_status(&out, &goal, !PG_ARGISNULL(Arg_may_fall) && PG_GETARG_BOOL(Arg_may_fall),
			   PG_ARGISNULL(Arg_unit) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(Arg_unit)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), out.values, out.nulls)));
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
