/*-------------------------------------------------------------------------
 *
 * goal.c
 *	  SQL functions that define goals.
 *
 * A goal is only ever read by the view kpi.goal_progress, so nobody has to be
 * told of a change.  Locks: that of the goal's row, and those that keep what it
 * stands on (ground.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "goal/goal.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(kpi_sql_create_goal);
PG_FUNCTION_INFO_V1(kpi_sql_alter_goal);
PG_FUNCTION_INFO_V1(kpi_sql_drop_goal);

/* What a goal is for. */
typedef struct GoalScope
{
	int32		kpi_id;
	int32		team_id;		/* 0: a member's */
	int32		member_id;		/* 0: a team's */
	char	   *dimension;
	char	   *dimension_value;
	KpiGrain	grain;
	DateADT		start;
	DateADT		end;
	char		period[KPI_PERIOD_NAME_LEN];
} GoalScope;

static const char *
skip_digits(const char *p, bool *any)
{
	for (; *p >= '0' && *p <= '9'; p++)
		*any = true;
	return p;
}

/* A finite decimal, as numeric's input takes it, with nothing around it. */
static bool
is_plain_number(const char *text)
{
	const char *p = text;
	bool		digits = false;

	if (*p == '+' || *p == '-')
		p++;
	p = skip_digits(p, &digits);
	if (*p == '.')
		p = skip_digits(p + 1, &digits);
	if (digits && (*p == 'e' || *p == 'E'))
	{
		digits = false;
		p++;
		if (*p == '+' || *p == '-')
			p++;
		p = skip_digits(p, &digits);
	}
	return digits && *p == '\0';
}

static Datum
parse_target(const char *target)
{
	if (target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("target must not be null"),
				 errhint("Give the number to reach, e.g. target => '2000000'.")));
	if (!is_plain_number(target))
	{
		/* What is meant to become a rule is not the same as a slip. */
		bool		relative = strchr(target, '%') != NULL;

		ereport(ERROR,
				(errcode(relative ? ERRCODE_FEATURE_NOT_SUPPORTED :
						 ERRCODE_INVALID_TEXT_REPRESENTATION),
				 relative ?
				 errmsg("target \"%s\" is not supported", target) :
				 errmsg("target \"%s\" is not a number", target),
				 errhint("Give the number to reach, e.g. target => '2000000', or '0.25' for a rate of 25%%.")));
	}
	return DirectFunctionCall3(numeric_in, CStringGetDatum(target),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* Only what refreshes store can be compared with a target. */
static void
check_grain(const GoalScope *goal, const char *period)
{
	bool		member = goal->member_id != 0;
	bool		breakdown = goal->dimension != NULL;

	if (goal->grain >= (member || breakdown ? KPI_MONTH : KPI_WEEK))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a goal for the %s \"%s\" is not supported",
					kpi_calendar_grain_name(goal->grain), period),
			 member ?
			 errdetail("Goals of members are for a month, a quarter or a year.") :
			 breakdown ?
			 errdetail("Goals of a dimension's value are for a month, a quarter or a year.") :
			 errdetail("Goals of teams are for a week, a month, a quarter or a year."),
			 errhint("Give a longer period, e.g. period => '2026-10' or '2026-Q4'.")));
}

static void
check_dimension(const GoalScope *goal)
{
	if (goal->dimension == NULL && goal->dimension_value != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"dimension_value\" needs a dimension"),
				 errhint("Say of which: dimension => ...")));
	if (goal->dimension != NULL && goal->member_id != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a goal of a member for a dimension's value is not supported"),
				 errhint("Set it for a team.")));
}

static void
check_no_such_goal(const GoalScope *goal, const char *plan)
{
	char	   *other;

	other = kpi_first_text("SELECT coalesce('\"' || name || '\"', id::text) FROM kpi.goal"
						   " WHERE plan = $1 AND kpi_id = $2"
						   "   AND team_id IS NOT DISTINCT FROM nullif($3, 0)"
						   "   AND member_id IS NOT DISTINCT FROM nullif($4, 0)"
						   "   AND dimension IS NOT DISTINCT FROM $5"
						   "   AND dimension_value IS NOT DISTINCT FROM $6"
						   "   AND grain = $7 AND period_start = $8", 8,
						   KPI_TEXT(plan), KPI_INT4(goal->kpi_id), KPI_INT4(goal->team_id),
						   KPI_INT4(goal->member_id), KPI_TEXT(goal->dimension),
						   KPI_TEXT(goal->dimension_value), KPI_TEXT(kpi_calendar_grain_name(goal->grain)),
						   KPI_VALUE(DATEOID, DateADTGetDatum(goal->start)));
	if (other == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("there is already a goal for this KPI, scope and period in plan \"%s\"",
					plan),
			 errdetail("It is goal %s.", other),
			 errhint("Use kpi.alter_goal() to change its target, or give another plan.")));
}

static void
resolve_scope(GoalScope *goal, const char *kpi, const char *team, const char *member,
			  const char *period)
{
	const KpiCalendar *cal = kpi_calendar_get(KPI_DEFAULT_CALENDAR);

	if (team && member)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a goal is for a team or for a member, not for both"),
				 errhint("Leave one of them out; without both it is for the company.")));
	goal->kpi_id = kpi_first_int4("SELECT id FROM kpi.kpi WHERE name = $1", 1, KPI_TEXT(kpi));
	if (goal->kpi_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" does not exist", kpi),
				 errhint("The KPIs are in kpi.kpi; kpi.create_kpi() makes one.")));
	kpi_define_ground_lock(goal->kpi_id);
	if (member)
		goal->member_id = kpi_define_member_id(member);
	else
		goal->team_id = kpi_define_team_id(team ? team : "company");
	check_dimension(goal);

	kpi_calendar_period_parse(period, cal, &goal->grain, &goal->start);
	goal->end = kpi_calendar_period_end(goal->grain, goal->start, cal);
	kpi_calendar_period_name(goal->grain, goal->start, cal, goal->period);
	check_grain(goal, period);
}

/*
 * kpi.create_goal(name, kpi, team, member, period, target, plan, dimension,
 * dimension_value)
 */
Datum
kpi_sql_create_goal(PG_FUNCTION_ARGS)
{
	char	   *name = kpi_arg_optional_name(fcinfo, 0, "name of the goal");
	char	   *kpi = kpi_arg_name(fcinfo, 1, "kpi");
	char	   *team = kpi_arg_optional_name(fcinfo, 2, "team");
	char	   *member = kpi_arg_optional_name(fcinfo, 3, "member");
	char	   *period = kpi_arg_name(fcinfo, 4, "period");
	Datum		target = parse_target(kpi_arg_text(fcinfo, 5));
	char	   *plan = kpi_arg_name(fcinfo, 6, "plan");
	GoalScope	goal = {0};
	int64		id;
	KpiSpi		spi;

	kpi_require_editor();
	goal.dimension = kpi_arg_text(fcinfo, 7);
	goal.dimension_value = kpi_arg_text(fcinfo, 8);

	kpi_spi_begin(&spi);
	resolve_scope(&goal, kpi, team, member, period);
	check_no_such_goal(&goal, plan);
	id = kpi_first_int8("INSERT INTO kpi.goal (name, plan, kpi_id, team_id, member_id, dimension,"
						"                      dimension_value, grain, period, period_start,"
						"                      period_end, target)"
						" VALUES ($1, $2, $3, nullif($4, 0), nullif($5, 0), $6, $7, $8, $9, $10, $11, $12)"
						" RETURNING id", 12,
						KPI_TEXT(name), KPI_TEXT(plan), KPI_INT4(goal.kpi_id),
						KPI_INT4(goal.team_id), KPI_INT4(goal.member_id),
						KPI_TEXT(goal.dimension), KPI_TEXT(goal.dimension_value),
						KPI_TEXT(kpi_calendar_grain_name(goal.grain)), KPI_TEXT(goal.period),
						KPI_VALUE(DATEOID, DateADTGetDatum(goal.start)),
						KPI_VALUE(DATEOID, DateADTGetDatum(goal.end)),
						KPI_VALUE(NUMERICOID, target));
	kpi_define_ground_check_goal(id);
	kpi_spi_end(&spi);
	kpi_goal_notify_goal(id);
	PG_RETURN_INT64(id);
}

/* The goal named by argument 0: its id (bigint) or its name (text). */
static int64
goal_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("goal must not be null")));

	if (get_fn_expr_argtype(fcinfo->flinfo, 0) == INT8OID)
	{
		int64		id = PG_GETARG_INT64(0);

		if (kpi_spi_exec("SELECT FROM kpi.goal WHERE id = $1", 1, KPI_INT8(id)) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("goal %lld does not exist", (long long) id),
					 errhint("The goals are in kpi.goal.")));
		return id;
	}
	else
	{
		char	   *name = kpi_arg_text(fcinfo, 0);
		int64		id;
		KpiRows		rows;

		kpi_rows_begin(&rows, "SELECT id, count(*) OVER () AS n, string_agg(id::text, ', ') OVER () AS ids"
					   " FROM kpi.goal WHERE name = $1 ORDER BY id", 1, KPI_TEXT(name));
		if (!kpi_rows_next(&rows))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("goal \"%s\" does not exist", name),
					 errhint("The goals are in kpi.goal.")));
		if (kpi_rows_int8(&rows, "n") > 1)
			ereport(ERROR,
					(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
					 errmsg("there is more than one goal \"%s\"", name),
					 errdetail("Their ids are %s.", kpi_rows_text(&rows, "ids")),
					 errhint("Give the id instead of the name.")));
		id = kpi_rows_int8(&rows, "id");
		kpi_rows_end(&rows);
		return id;
	}
}

/* kpi.alter_goal(goal, target, name) */
Datum
kpi_sql_alter_goal(PG_FUNCTION_ARGS)
{
	char	   *target = kpi_arg_text(fcinfo, 1);
	char	   *name = kpi_arg_optional_name(fcinfo, 2, "name of the goal");
	KpiParam	number = KPI_NULL(NUMERICOID);
	int64		id;
	KpiSpi		spi;

	kpi_require_editor();
	if (target)
		number = KPI_VALUE(NUMERICOID, parse_target(target));

	kpi_spi_begin(&spi);
	id = goal_argument(fcinfo);
	kpi_define_ground_lock(kpi_first_int4("SELECT kpi_id FROM kpi.goal WHERE id = $1", 1, KPI_INT8(id)));
	kpi_spi_exec("UPDATE kpi.goal SET target = coalesce($2, target), name = coalesce($3, name)"
				 " WHERE id = $1", 3,
				 KPI_INT8(id), number, KPI_TEXT(name));
	if (target)
		kpi_define_ground_check_goal(id);
	kpi_spi_end(&spi);
	kpi_goal_notify_goal(id);
	PG_RETURN_VOID();
}

/* kpi.drop_goal(goal) */
Datum
kpi_sql_drop_goal(PG_FUNCTION_ARGS)
{
	KpiSpi		spi;
	int64		id;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	id = goal_argument(fcinfo);

	/*
	 * In the order of a refresh, which has the row before it notes the goal's
	 * status.
	 */
	kpi_spi_exec("SELECT FROM kpi.goal_progress WHERE goal_id = $1 ORDER BY id FOR UPDATE", 1, KPI_INT8(id));
	kpi_spi_exec("DELETE FROM kpi.goal WHERE id = $1", 1, KPI_INT8(id));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}
