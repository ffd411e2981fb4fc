/*-------------------------------------------------------------------------
 *
 * goal_sql.c
 *	  SQL functions that define goals.
 *
 * Arguments are read and goals found here; what is done with them, and under which locks,
 * is in goal.c.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal.h"
#include "utils/date.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(kpi_sql_create_goal);
PG_FUNCTION_INFO_V1(kpi_sql_alter_goal);
PG_FUNCTION_INFO_V1(kpi_sql_drop_goal);
PG_FUNCTION_INFO_V1(kpi_sql_renew_forecast);
PG_FUNCTION_INFO_V1(kpi_sql_target_of_day);

static Jsonb *
milestones_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);
}

static void
review_arg(FunctionCallInfo fcinfo, int n, KpiGoalSpec *spec)
{
	spec->review_given = !PG_ARGISNULL(n);
	if (spec->review_given)
		spec->review_on = PG_GETARG_DATEADT(n);
}

/*
 * kpi.create_goal(name, kpi, team, member, period, target, plan, dimension,
 * dimension_value, minimum, stretch, pace, milestones, description, responsible,
 * review_on, parent)
 */
Datum
kpi_sql_create_goal(PG_FUNCTION_ARGS)
{
	KpiGoalSpec spec = {
		.name = kpi_arg_optional_name(fcinfo, 0, "name of the goal"),
		.kpi = kpi_arg_name(fcinfo, 1, "kpi"),
		.team = kpi_fact_key_optional_arg(fcinfo, 2, "team"),
		.member = kpi_fact_key_optional_arg(fcinfo, 3, "member"),
		.period = kpi_arg_name(fcinfo, 4, "period"),
		.target = kpi_arg_text(fcinfo, 5),
		.plan = kpi_arg_name(fcinfo, 6, "plan"),
		.dimension = kpi_arg_text(fcinfo, 7),
		.dimension_value = kpi_arg_text(fcinfo, 8),
		.minimum = kpi_arg_text(fcinfo, 9),
		.stretch = kpi_arg_text(fcinfo, 10),
		.pace = kpi_arg_text(fcinfo, 11),
		.milestones = milestones_arg(fcinfo, 12),
		.description = kpi_arg_text(fcinfo, 13),
		.responsible = kpi_arg_text(fcinfo, 14),
	};
	int64		id;
	KpiSpi		spi;

	kpi_require_editor();
	review_arg(fcinfo, 15, &spec);
	kpi_spi_begin(&spi);
	kpi_define_goal_parent_arg(fcinfo, 16, &spec);
	id = kpi_define_goal_make(&spec);
	kpi_spi_end(&spi);
	kpi_goal_notify_goal(id);
	PG_RETURN_INT64(id);
}

/* The goal named by argument 0: its id (bigint) or its name (text). */
int64
kpi_define_goal_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("goal must not be null")));

	if (get_fn_expr_argtype(fcinfo->flinfo, 0) == INT8OID)
		return kpi_define_goal_of_id(PG_GETARG_INT64(0));
	return kpi_define_goal_named(kpi_arg_text(fcinfo, 0));
}

/*
 * kpi.alter_goal(goal, target, name, minimum, stretch, pace, milestones, description, responsible,
 * review_on, since, reason, parent)
 */
Datum
kpi_sql_alter_goal(PG_FUNCTION_ARGS)
{
	KpiGoalSpec spec = {
		.target = kpi_arg_text(fcinfo, 1),
		.name = kpi_arg_optional_name(fcinfo, 2, "name of the goal"),
		.minimum = kpi_arg_text(fcinfo, 3),
		.stretch = kpi_arg_text(fcinfo, 4),
		.pace = kpi_arg_text(fcinfo, 5),
		.milestones = milestones_arg(fcinfo, 6),
		.description = kpi_arg_text(fcinfo, 7),
		.responsible = kpi_arg_text(fcinfo, 8),
		.since_given = !PG_ARGISNULL(10),
		.reason = kpi_define_arg_given(fcinfo, 11),
	};
	int64		id;
	KpiSpi		spi;

	kpi_require_editor();
	review_arg(fcinfo, 9, &spec);
	if (spec.since_given)
		spec.since = PG_GETARG_DATEADT(10);
	kpi_spi_begin(&spi);
	id = kpi_define_goal_argument(fcinfo);
	kpi_define_goal_parent_arg(fcinfo, 12, &spec);
	kpi_define_goal_change(id, &spec);
	kpi_spi_end(&spi);
	kpi_goal_notify_goal(id);
	PG_RETURN_VOID();
}

/* kpi.drop_goal(goal) */
Datum
kpi_sql_drop_goal(PG_FUNCTION_ARGS)
{
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	kpi_define_goal_remove(kpi_define_goal_argument(fcinfo));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}

/* kpi.renew_forecast(goal) */
Datum
kpi_sql_renew_forecast(PG_FUNCTION_ARGS)
{
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	kpi_goal_basis_renew(kpi_define_goal_argument(fcinfo));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}

/* kpi.target_of_day(goal, day) */
Datum
kpi_sql_target_of_day(PG_FUNCTION_ARGS)
{
	static const char *const columns[] = {
		"goal_id", "version", "since", "period", "target", "target_high", "minimum", "stretch", "target_text", "made_at",
		"made_by", "reason"
	};
	KpiParam	day = kpi_arg_day_param(fcinfo, 1);
	KpiRows		rows;
	KpiSpi		spi;

	InitMaterializedSRF(fcinfo, 0);
	kpi_spi_begin(&spi);
	kpi_rows_begin(&rows, "SELECT * FROM kpi_internal.target_of_day($1, $2)", 2, KPI_INT8(kpi_define_goal_argument(fcinfo)), day);
	kpi_rows_put(&rows, (ReturnSetInfo *) fcinfo->resultinfo, columns, lengthof(columns));
	kpi_spi_end(&spi);
	return (Datum) 0;
}
