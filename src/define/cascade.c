/*-------------------------------------------------------------------------
 *
 * cascade.c
 *	  kpi.cascade(): a goal is cut into goals that are parts of it.
 *
 * The arguments are read and the goal here; then the parts are found (cascade_part.c),
 * weighed (cascade_weight.c) and given their targets (cascade_split.c), or the activities found that
 * lead to it (cascade_activity.c), and the goals are made what the parts say (cascade_write.c).  A dry
 * run does all of it and takes it back, so it says what a run would do.
 *
 * Locks: those that keep what goals of the KPI stand on (ground.c), the row of the goal, so that of two
 * who cut it one comes after the other, and then those of its parts.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "define/cascade.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kpi_sql_cascade);

enum
{
	ARG_GOAL,
	ARG_ACROSS,
	ARG_BY,
	ARG_STEP,
	ARG_OVER_ASSIGN,
	ARG_DRY_RUN,
	ARG_STEPS,
	ARG_PER,
	ARG_CYCLE
};

enum
{
	OUT_GOAL_ID,
	OUT_KPI,
	OUT_SCOPE,
	OUT_TEAM,
	OUT_MEMBER,
	OUT_PERIOD,
	OUT_WEIGHT,
	OUT_TARGET,
	OUT_TARGET_HIGH,
	OUT_NEEDED,
	OUT_NEEDED_PER_DAY,
	OUT_ACTION,
	OUT_MESSAGE,
	OUT_COLUMNS
};

static const char *const across_names[] = {
	[KPI_ACROSS_TEAMS] = "teams",
	[KPI_ACROSS_MEMBERS] = "members",
	[KPI_ACROSS_WEEKS] = "weeks",
	[KPI_ACROSS_MONTHS] = "months",
	[KPI_ACROSS_QUARTERS] = "quarters",
	[KPI_ACROSS_ACTIVITIES] = "activities",
};

/* ---- numbers ---- */

Numeric
kpi_define_numeric(double number)
{
	return DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(number)));
}

Numeric
kpi_define_numeric_call(PGFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

int
kpi_define_numeric_compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

int
kpi_define_numeric_sign(Numeric number)
{
	return kpi_define_numeric_compare(number, int64_to_numeric(0));
}

char *
kpi_define_numeric_text(Numeric number)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, DirectFunctionCall1(numeric_trim_scale,
																				NumericGetDatum(number))));
}

/* ---- what is asked for ---- */

static void
read_across(KpiCascade *cascade, const char *across)
{
	for (int i = 0; across != NULL && i < lengthof(across_names); i++)
	{
		if (strcmp(across, across_names[i]) != 0)
			continue;
		cascade->across = (KpiAcross) i;
		cascade->across_name = across_names[i];
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 across == NULL ? errmsg("across must not be null") : errmsg("a goal cannot be cut across \"%s\"", across),
			 errhint("Write across => 'teams', 'members', 'quarters', 'months', 'weeks' or 'activities'.")));
}

static bool
is_in_time(const KpiCascade *cascade)
{
	return cascade->across == KPI_ACROSS_WEEKS || cascade->across == KPI_ACROSS_MONTHS ||
		cascade->across == KPI_ACROSS_QUARTERS;
}

static void
read_by(KpiCascade *cascade, char *by)
{
	static const char *const names[] = {"history", "season", "capacity", "equal"};

	cascade->by = is_in_time(cascade) ? KPI_BY_SEASON : KPI_BY_HISTORY;
	if (by == NULL)
		return;
	if (by[strspn(by, " \t\r\n")] == '{')
	{
		cascade->by = KPI_BY_WEIGHTS;
		cascade->weights = by;
		return;
	}
	for (int i = 0; i <= lengthof(names); i++)
	{
		if (i == lengthof(names))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a goal cannot be cut by \"%s\"", by),
					 errhint("Write by => 'history', 'season', 'capacity' or 'equal', or weights by key: by => '{\"emea\": 3, \"apac\": 2}'.")));
		if (strcmp(by, names[i]) == 0)
		{
			cascade->by = (KpiCascadeBy) i;
			break;
		}
	}
	if (cascade->by == (is_in_time(cascade) ? KPI_BY_HISTORY : KPI_BY_SEASON))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a goal cannot be cut across %s by %s", cascade->across_name, by),
				 is_in_time(cascade) ?
				 errdetail("History says how much teams and members bring; how a year fills is its season.") :
				 errdetail("Seasons are of periods; how much teams and members bring is their history."),
				 errhint("Write by => '%s'.", is_in_time(cascade) ? "season" : "history")));
}

static bool
is_number(Numeric number)
{
	return !numeric_is_nan(number) && !numeric_is_inf(number);
}

static void
require_positive(Numeric number, const char *what)
{
	if (!is_number(number) || kpi_define_numeric_sign(number) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s %s is not above 0", what, kpi_define_numeric_text(number)),
				 strcmp(what, "step") == 0 ?
				 errhint("It is the least amount that a part may differ by: step => 0.01.") :
				 errhint("It is what the target is multiplied by before it is split: over_assign => 1.08.")));
}

/* Arguments that only activities have. */
static void
read_activity_args(FunctionCallInfo fcinfo, KpiCascade *cascade)
{
	bool		activities = cascade->across == KPI_ACROSS_ACTIVITIES;

	cascade->per = kpi_arg_optional_name(fcinfo, ARG_PER, "per");
	cascade->cycle = kpi_arg_optional_name(fcinfo, ARG_CYCLE, "cycle");
	if (!PG_ARGISNULL(ARG_STEPS))
	{
		Datum	   *items;
		bool	   *nulls;
		int			n;

		deconstruct_array(PG_GETARG_ARRAYTYPE_P(ARG_STEPS), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
		for (int i = 0; i < n; i++)
			cascade->steps = lappend(cascade->steps, nulls[i] ? "" : TextDatumGetCString(items[i]));
	}
	if (activities && (cascade->steps == NIL || cascade->per == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("activities need %s", cascade->steps == NIL ? "steps" : "per"),
				 errhint("Say what leads to the goal, and what one of the first step brings: steps => '{deals_won, win_rate, lead_to_opportunity_rate, calls_per_lead}', per => 'average_deal_size'.")));
	if (activities && !PG_ARGISNULL(ARG_BY))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("activities follow from what came of what, and not by \"%s\"", cascade->weights ? "weights" : kpi_arg_text(fcinfo, ARG_BY)),
				 errhint("Leave by out.")));
	if (!activities && (cascade->steps != NIL || cascade->per != NULL || cascade->cycle != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("steps, per and cycle are for activities, not for %s", cascade->across_name),
				 errhint("Leave them out, or write across => 'activities'.")));
}

static void
read_args(FunctionCallInfo fcinfo, KpiCascade *cascade)
{
	read_across(cascade, kpi_arg_text(fcinfo, ARG_ACROSS));
	if (cascade->across != KPI_ACROSS_ACTIVITIES)
		read_by(cascade, kpi_arg_text(fcinfo, ARG_BY));
	read_activity_args(fcinfo, cascade);
	cascade->step = PG_ARGISNULL(ARG_STEP) ? NULL : PG_GETARG_NUMERIC(ARG_STEP);
	cascade->over_assign = PG_ARGISNULL(ARG_OVER_ASSIGN) ? int64_to_numeric(1) : PG_GETARG_NUMERIC(ARG_OVER_ASSIGN);
	if (cascade->step != NULL)
		require_positive(cascade->step, "step");
	require_positive(cascade->over_assign, "over_assign");
}

/* ---- the goal ---- */

/* What is asked for in its period; of a draft, which has no versions, as it was written. */
#define GOAL \
	"SELECT g.*, coalesce('\"' || g.name || '\"', g.id::text) AS label, k.name AS kpi, k.measure, s.program, s.today, p.dim_id," \
	" t.key AS team, m.key AS member, v.target_kind, coalesce(v.target, g.target)::text AS target_now, v.target_high::text AS target_high," \
	" kpi_internal.goal_shape(s.program) AS shape, v.forecast_grain, v.forecast_start" \
	" FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id JOIN kpi_internal.kpi_state s ON s.kpi_id = k.id" \
	" JOIN kpi_internal.goal_place p ON p.goal_id = g.id" \
	" LEFT JOIN kpi.team t ON t.id = g.team_id LEFT JOIN kpi.member m ON m.id = g.member_id" \
	" LEFT JOIN kpi.goal_target v ON v.goal_id = g.id AND v.period_start = g.period_start AND v.valid_until IS NULL" \
	" WHERE g.id = $1"

static Numeric
number_of(const char *text)
{
	return text == NULL ? NULL :
		DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static KpiShape
shape_of(const char *name)
{
	if (strcmp(name, "additive") == 0)
		return KPI_SHAPE_ADDITIVE;
	if (strcmp(name, "balance") == 0)
		return KPI_SHAPE_BALANCE;
	return strcmp(name, "quotient") == 0 ? KPI_SHAPE_QUOTIENT : KPI_SHAPE_OTHER;
}

/* The last periods that are closed: those before the one that is open, if the goal's is to come. */
static void
find_history(KpiCascade *cascade, const char *grain, DateADT start)
{
	const KpiCalendar *cal = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	DateADT		open;

	if (grain == NULL || !kpi_calendar_grain_parse(grain, &cascade->history_grain))
	{
		cascade->history_grain = KPI_MONTH;
		start = kpi_calendar_period_start(KPI_MONTH, cascade->period.start, cal);
	}
	open = kpi_calendar_period_start(cascade->history_grain, cascade->today, cal);
	cascade->history_start = Min(start, open);
}

static void
read_goal(KpiCascade *cascade)
{
	KpiRows		rows;
	KpiTargetGround ground = {0};
	KpiTargetText target;

	kpi_rows_begin(&rows, GOAL, 1, KPI_INT8(cascade->goal_id));
	if (!kpi_rows_next(&rows))
		elog(ERROR, "goal %lld is gone", (long long) cascade->goal_id);
	cascade->label = kpi_rows_text(&rows, "label");
	cascade->kpi = kpi_rows_text(&rows, "kpi");
	cascade->kpi_id = kpi_rows_int4(&rows, "kpi_id");
	cascade->measure = kpi_rows_text(&rows, "measure");
	cascade->program = kpi_rows_text(&rows, "program");
	cascade->shape = shape_of(kpi_rows_text(&rows, "shape"));
	cascade->plan = kpi_rows_text(&rows, "plan");
	cascade->team = kpi_rows_text(&rows, "team");
	cascade->member = kpi_rows_text(&rows, "member");
	cascade->team_id = kpi_rows_int4(&rows, "team_id");
	cascade->member_id = kpi_rows_int4(&rows, "member_id");
	cascade->dimension = kpi_rows_text(&rows, "dimension");
	cascade->dim_id = kpi_rows_text(&rows, "dim_id") ? kpi_rows_int4(&rows, "dim_id") : -1;
	cascade->period.range = !kpi_calendar_grain_parse(kpi_rows_text(&rows, "grain"), &cascade->period.grain);
	cascade->period.recurring = kpi_rows_bool(&rows, "is_recurring");
	cascade->period.start = kpi_rows_date(&rows, "period_start", DATEVAL_NOBEGIN);
	cascade->period.end = kpi_rows_date(&rows, "period_end", DATEVAL_NOEND);
	strlcpy(cascade->period.name, kpi_rows_text(&rows, "period"), sizeof(cascade->period.name));
	cascade->target_text = kpi_rows_text(&rows, "target_text");
	cascade->kind = kpi_rows_text(&rows, "target_kind");
	cascade->target = number_of(kpi_rows_text(&rows, "target_now"));
	cascade->high = number_of(kpi_rows_text(&rows, "target_high"));
	cascade->today = kpi_rows_date(&rows, "today", DATEVAL_NOBEGIN);
	find_history(cascade, kpi_rows_text(&rows, "forecast_grain"),
				 kpi_rows_date(&rows, "forecast_start", cascade->period.start));
	kpi_rows_end(&rows);
	(void) kpi_goal_target_ground(cascade->kpi, &ground);
	kpi_goal_target_parse(cascade->target_text, &ground, &target);
	cascade->relative = target.baseline != KPI_BASELINE_NONE;
}

static void
require_one_period(const KpiCascade *cascade)
{
	if (cascade->period.recurring)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("goal %s recurs and cannot be cut", cascade->label),
				 errdetail("It is for %s: its parts would have to be made anew for each.", cascade->period.name),
				 errhint("Make a goal for one period, e.g. period => '%.4s', and cut that; or make recurring goals for its parts, with this one as their parent.",
						 kpi_day_text(cascade->today))));
	if (cascade->target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("goal %s has no target yet", cascade->label),
				 errdetail("Its target \"%s\" is compared with a value that is not there.", cascade->target_text),
				 errhint("Give it a number: kpi.alter_goal(..., target => '2000000').")));
}

KpiPart *
kpi_define_cascade_add(KpiCascade *cascade, char *key)
{
	KpiPart    *part;

	if (cascade->nparts == cascade->max_parts)
	{
		cascade->max_parts = Max(2 * cascade->max_parts, 16);
		cascade->parts = cascade->parts ? repalloc_huge(cascade->parts, cascade->max_parts * sizeof(KpiPart)) :
			palloc(cascade->max_parts * sizeof(KpiPart));
	}
	part = &cascade->parts[cascade->nparts++];
	memset(part, 0, sizeof(*part));
	part->key = key;
	part->kpi = cascade->kpi;
	part->kpi_id = cascade->kpi_id;
	part->team_id = cascade->team_id;
	part->member_id = cascade->member_id;
	part->team = cascade->team;
	part->member = cascade->member;
	part->period = cascade->period;
	part->share = 1;
	part->action = "none";
	return part;
}

/* ---- the function ---- */

static void
cut(void *arg)
{
	KpiCascade *cascade = arg;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(cascade->context);	/* the parts outlast SPI */
	kpi_define_ground_lock(kpi_first_int4("SELECT kpi_id FROM kpi.goal WHERE id = $1", 1, KPI_INT8(cascade->goal_id)));
	kpi_define_goal_closing_wait();
	(void) kpi_spi_exec("SELECT FROM kpi.goal WHERE id = $1 FOR NO KEY UPDATE", 1, KPI_INT8(cascade->goal_id));
	read_goal(cascade);
	require_one_period(cascade);
	if (cascade->across == KPI_ACROSS_ACTIVITIES)
		kpi_define_cascade_activities(cascade);
	else
	{
		kpi_define_cascade_parts(cascade);
		kpi_define_cascade_weigh(cascade);
		kpi_define_cascade_split(cascade);
	}
	kpi_define_cascade_write(cascade);
	kpi_spi_end(&spi);
}

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static void
put_number(Datum *values, bool *nulls, int column, Numeric number)
{
	nulls[column] = number == NULL;
	values[column] = NumericGetDatum(number);
}

static void
put_part(ReturnSetInfo *rsinfo, const KpiPart *part)
{
	Datum		values[OUT_COLUMNS];
	bool		nulls[OUT_COLUMNS];

	values[OUT_GOAL_ID] = Int64GetDatum(part->goal_id);
	nulls[OUT_GOAL_ID] = part->goal_id == 0;
	put_text(values, nulls, OUT_KPI, part->kpi);
	put_text(values, nulls, OUT_SCOPE, part->member_id != 0 ? "member" : "team");
	put_text(values, nulls, OUT_TEAM, part->team);
	put_text(values, nulls, OUT_MEMBER, part->member);
	put_text(values, nulls, OUT_PERIOD, part->period.name);
	put_number(values, nulls, OUT_WEIGHT, part->weight);
	put_number(values, nulls, OUT_TARGET, part->target);
	put_number(values, nulls, OUT_TARGET_HIGH, part->high);
	put_number(values, nulls, OUT_NEEDED, part->needed);
	put_number(values, nulls, OUT_NEEDED_PER_DAY, part->per_day);
	put_text(values, nulls, OUT_ACTION, part->action);
	put_text(values, nulls, OUT_MESSAGE, part->message);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* kpi.cascade(goal, across, by, step, over_assign, dry_run, steps, per, cycle) */
Datum
kpi_sql_cascade(PG_FUNCTION_ARGS)
{
	KpiCascade	cascade = {.context = CurrentMemoryContext};
	bool		dry_run = !PG_ARGISNULL(ARG_DRY_RUN) && PG_GETARG_BOOL(ARG_DRY_RUN);
	KpiSpi		spi;

	kpi_require_editor();
	read_args(fcinfo, &cascade);
	kpi_spi_begin(&spi);
	cascade.goal_id = kpi_define_goal_argument(fcinfo);
	kpi_spi_end(&spi);
	InitMaterializedSRF(fcinfo, 0);
	if (dry_run)
		kpi_undone(cut, &cascade);
	else
		cut(&cascade);
	for (int i = 0; i < cascade.nparts; i++)
	{
		KpiPart    *part = &cascade.parts[i];

		if (dry_run && strcmp(part->action, "create") == 0)
			part->goal_id = 0;
		put_part((ReturnSetInfo *) fcinfo->resultinfo, part);
	}
	return (Datum) 0;
}
