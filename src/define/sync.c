/*-------------------------------------------------------------------------
 *
 * sync.c
 *	  SQL functions that take teams and people from queries.
 *
 * The queries run as the caller, before anything else; what is remembered of them
 * is the caller's, too.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "sync/sync.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kpi_sql_sync_people);
PG_FUNCTION_INFO_V1(kpi_sql_forget_people);

/* Reads an argument that is one of two words; true: the second. */
static bool
second_of(FunctionCallInfo fcinfo, int n, const char *name, const char *first, const char *second)
{
	char	   *value = kpi_arg_text(fcinfo, n);

	if (value == NULL || (strcmp(value, first) != 0 && strcmp(value, second) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 value == NULL ? errmsg("\"%s\" must not be null", name) :
				 errmsg("\"%s\" is '%s' or '%s', not '%s'", name, first, second, value),
				 errhint("Say %s => '%s' or %s => '%s'.", name, first, name, second)));
	return strcmp(value, second) == 0;
}

static bool
is_true(FunctionCallInfo fcinfo, int n)
{
	return !PG_ARGISNULL(n) && PG_GETARG_BOOL(n);
}

static void
put(ReturnSetInfo *rsinfo, const KpiSyncChange *change)
{
	const char *texts[] = {change->action, change->object, change->what, change->reason};
	Datum		values[lengthof(texts)];
	bool		nulls[lengthof(texts)];

	for (int i = 0; i < lengthof(texts); i++)
	{
		nulls[i] = texts[i] == NULL;
		values[i] = texts[i] ? CStringGetTextDatum(texts[i]) : (Datum) 0;
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* kpi.sync_people(teams, members, effective, dry_run, partial, missing, remember) */
Datum
kpi_sql_sync_people(PG_FUNCTION_ARGS)
{
	KpiSyncOrder order = {0};
	bool		dry_run = is_true(fcinfo, 3);
	bool		remember = is_true(fcinfo, 6);
	List	   *changes;
	ListCell   *lc;

	kpi_require_editor();
	order.teams = kpi_define_arg_given(fcinfo, 0);
	order.members = kpi_define_arg_given(fcinfo, 1);
	order.history = second_of(fcinfo, 2, "effective", "today", "history");
	order.partial = is_true(fcinfo, 4);
	order.keep_missing = second_of(fcinfo, 5, "missing", "end", "keep");
	if (order.teams == NULL && order.members == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("neither a query of teams nor one of members is given"),
				 errhint("Say teams => 'SELECT id AS key, name, parent_id AS parent FROM ...', or members => 'SELECT id AS key, name, team_id AS team FROM ...', or both.")));

	InitMaterializedSRF(fcinfo, 0);
	changes = kpi_sync_people(&order, dry_run);
	if (remember && !dry_run)
		kpi_sync_remember(&order);
	foreach(lc, changes)
		put((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc));
	return (Datum) 0;
}

/* kpi.forget_people() */
Datum
kpi_sql_forget_people(PG_FUNCTION_ARGS)
{
	kpi_require_editor();
	PG_RETURN_BOOL(kpi_sync_forget());
}
