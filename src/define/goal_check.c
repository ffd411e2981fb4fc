/*-------------------------------------------------------------------------
 *
 * goal_check.c
 *	  kpi.check_goals(): whether goals are such that people can work by them.
 *
 * The checks are in SQL (kpi_internal.goal_checks()), what is to be expected comes from
 * goal/start.c.  Nothing is written, and goals of plans that nobody follows yet are checked
 * as well.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kpi_sql_check_goals);

static const char *const columns[] = {
	"goal_id", "goal", "plan", "kpi", "team", "member", "period", "criterion", "verdict", "reason"
};

/* Error, with near ones, if nothing has the name. */
static void
require(const char *kind, const char *name, const char *find, const char *all_names, const char *table)
{
	char	   *near;

	if (name == NULL || kpi_first_int4(find, 1, KPI_TEXT(name)) != 0)
		return;
	near = kpi_near_names(kpi_all_texts(all_names, 0), name);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s \"%s\" does not exist", kind, name),
			 near ? errhint("Perhaps you mean %s.", near) : errhint("Table %s lists them.", table)));
}

/* The id if argument n is a number, else 0; error if there is no such goal. */
static int64
goal_id_arg(FunctionCallInfo fcinfo, int n, const char *goal)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, n);
	int64		id;

	if (goal == NULL || (type != INT2OID && type != INT4OID && type != INT8OID))
		return 0;
	id = pg_strtoint64(goal);
	if (kpi_spi_read("SELECT FROM kpi.goal WHERE id = $1", 1, KPI_INT8(id)) == 0)
		kpi_define_goal_unknown(id);
	return id;
}

/* kpi.check_goals(goal, plan, costs) */
Datum
kpi_sql_check_goals(PG_FUNCTION_ARGS)
{
	char	   *goal = kpi_arg_text(fcinfo, 0);
	char	   *plan = kpi_arg_optional_name(fcinfo, 1, "plan");
	char	   *costs = kpi_arg_optional_name(fcinfo, 2, "costs");
	int64		goal_id;
	KpiRows		rows;
	KpiSpi		spi;

	if (goal != NULL && plan != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("both a goal and a plan are given"),
				 errhint("Give one of them; without both all goals are checked that are not over.")));
	InitMaterializedSRF(fcinfo, 0);
	kpi_spi_begin(&spi);
	goal_id = goal_id_arg(fcinfo, 0, goal);
	require("goal", goal_id == 0 ? goal : NULL, "SELECT 1 FROM kpi.goal WHERE name = $1 LIMIT 1",
			"SELECT DISTINCT name FROM kpi.goal WHERE name IS NOT NULL", "kpi.goal");
	require("plan", plan, "SELECT 1 FROM kpi.plan WHERE name = $1", "SELECT name FROM kpi.plan", "kpi.plan");
	require("KPI", costs, "SELECT 1 FROM kpi.kpi WHERE name = $1", "SELECT name FROM kpi.kpi", "kpi.kpi");
	kpi_spi_end(&spi);
	kpi_rows_begin_read(&rows, "SELECT c.* FROM kpi_internal.goal_checks(ARRAY(SELECT g.id FROM kpi.goal g"
						"  WHERE CASE WHEN $1 <> 0 THEN g.id = $1 WHEN $2 IS NOT NULL THEN g.name = $2 WHEN $3 IS NOT NULL THEN g.plan = $3"
						"   ELSE g.period_end >= kpi.today() END), $4) c"
						" ORDER BY pg_catalog.array_position('{fail,warn,pass}', c.verdict), c.plan, c.goal COLLATE \"C\", c.goal_id, c.number",
						4, KPI_INT8(goal_id), KPI_TEXT(goal), KPI_TEXT(plan), KPI_TEXT(costs));
	kpi_rows_put(&rows, (ReturnSetInfo *) fcinfo->resultinfo, columns, lengthof(columns));
	return (Datum) 0;
}
