/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  SQL functions that make, publish and drop plans of goals.
 *
 * Goals repeat whether their plan is a draft, kept by their foreign key, so that whoever
 * follows goals leaves those of drafts out without looking at plans.
 *
 * Locks: who makes a goal shares the row of its plan (kpi_define_plan_lock()), and who publishes or
 * drops the plan has it alone: no goal comes into a plan unseen by its publication.  Nobody else
 * waits.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kpi_sql_create_plan);
PG_FUNCTION_INFO_V1(kpi_sql_publish_plan);
PG_FUNCTION_INFO_V1(kpi_sql_drop_plan);

static KpiParam
caller(void)
{
	return KPI_TEXT(GetUserNameFromId(GetOuterUserId(), false));
}

/* False: there was one. */
static bool
make_plan(const char *name, const char *status)
{
	return kpi_spi_exec("INSERT INTO kpi.plan (name, status, created_at, created_by, published_at, published_by)"
						" VALUES ($1, $2, kpi_internal.now(), $3, CASE $2 WHEN 'published' THEN kpi_internal.now() END, CASE $2 WHEN 'published' THEN $3 END)"
						" ON CONFLICT DO NOTHING", 3, KPI_TEXT(name), KPI_TEXT(status), caller()) > 0;
}

bool
kpi_define_plan_lock(const char *plan, const char *status_if_new)
{
	(void) make_plan(plan, status_if_new);
	return kpi_spi_exec("SELECT FROM (SELECT p.is_draft FROM kpi.plan p WHERE p.name = $1 FOR KEY SHARE) p WHERE p.is_draft",
						1, KPI_TEXT(plan)) > 0;
}

/* Has the plan alone; error if there is none.  Whether it is a draft. */
static bool
lock_plan(const char *name)
{
	KpiRows		rows;
	bool		draft;

	kpi_rows_begin(&rows, "SELECT p.is_draft FROM kpi.plan p WHERE p.name = $1 FOR UPDATE", 1, KPI_TEXT(name));
	if (!kpi_rows_next(&rows))
	{
		char	   *near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.plan", 0), name);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("plan \"%s\" does not exist", name),
				 near ? errhint("Perhaps you mean %s.", near) : errhint("The plans are in kpi.plan.")));
	}
	draft = kpi_rows_bool(&rows, "is_draft");
	kpi_rows_end(&rows);
	return draft;
}

/* kpi.create_plan(name) */
Datum
kpi_sql_create_plan(PG_FUNCTION_ARGS)
{
	char	   *name = kpi_arg_name(fcinfo, 0, "name of the plan");
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	if (!make_plan(name, "draft"))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("plan \"%s\" exists already", name),
				 errdetail("It is %s.", lock_plan(name) ? "a draft" : "published"),
				 errhint("Give another name.")));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}

/* kpi.publish_plan(plan, reason) */
Datum
kpi_sql_publish_plan(PG_FUNCTION_ARGS)
{
	char	   *name = kpi_arg_name(fcinfo, 0, "plan");
	char	   *reason = kpi_define_arg_given(fcinfo, 1);
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	if (!lock_plan(name))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("plan \"%s\" is published already", name),
				 errdetail("That was on %s.",
						   kpi_first_text("SELECT pg_catalog.to_char(p.published_at, 'YYYY-MM-DD') FROM kpi.plan p WHERE p.name = $1",
										  1, KPI_TEXT(name))),
				 errhint("Its goals are followed; change them with kpi.alter_goal().")));
	kpi_spi_exec("UPDATE kpi.plan SET status = 'published', published_at = kpi_internal.now(), published_by = $2, reason = nullif($3, '')"
				 " WHERE name = $1", 3, KPI_TEXT(name), caller(), KPI_TEXT(reason ? reason : kpi_reason));
	kpi_goal_plan_published(name);
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}

/* kpi.drop_plan(plan) */
Datum
kpi_sql_drop_plan(PG_FUNCTION_ARGS)
{
	char	   *name = kpi_arg_name(fcinfo, 0, "plan");
	KpiSpi		spi;
	bool		draft;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	draft = lock_plan(name);
	if (!draft && kpi_spi_exec("SELECT FROM kpi.goal g WHERE g.plan = $1 LIMIT 1", 1, KPI_TEXT(name)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("plan \"%s\" is published and has goals", name),
				 errdetail("Goals that were followed have a history, which would go with them."),
				 errhint("Drop each with kpi.drop_goal() if that is meant: SELECT kpi.drop_goal(id) FROM kpi.goal WHERE plan = %s.",
						 quote_literal_cstr(name))));
	kpi_spi_exec("DELETE FROM kpi.goal g WHERE g.plan = $1", 1, KPI_TEXT(name));
	kpi_spi_exec("DELETE FROM kpi.plan p WHERE p.name = $1", 1, KPI_TEXT(name));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}
