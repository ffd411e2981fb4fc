/*-------------------------------------------------------------------------
 *
 * refresh.c
 *	  SQL entry points of the engine: refresh, verify, repair.
 *
 * Whoever may call these (see 90_grant.sql) may have every source refreshed;
 * expressions still run as each source's definer.  Our own tables are written
 * by direct heap access and by statements as the extension's owner.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "model/model.h"
#include "ops/ops_internal.h"
#include "refresh/refresh.h"
#include "rollup/rollup.h"
#include "utils/builtins.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(kpi_sql_refresh);
PG_FUNCTION_INFO_V1(kpi_sql_verify);
PG_FUNCTION_INFO_V1(kpi_sql_repair);

static int32
source_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		return 0;
	return kpi_model_source_id(text_to_cstring(PG_GETARG_TEXT_PP(0)));
}

/* Refreshes a source whose error must hold no other source back. */
static void
refresh_one_of_many(int32 source_id)
{
	ErrorData  *error = kpi_worker_refresh_caught(source_id);
	char	   *hidden;

	if (error == NULL)
		return;
	hidden = kpi_hidden_source(source_id);
	if (hidden != NULL)
		(void) kpi_error_conceal(error, hidden);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("refresh of source \"%s\" failed: %s",
					kpi_refresh_name_of("SELECT name FROM kpi.source WHERE id = $1", source_id), error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
	FreeErrorData(error);
}

/* After sources were refreshed, in the same transaction. */
static void
write_rollups(void)
{
	TimestampTz next_try;
	List	   *ids = kpi_rollup_due(true, true, &next_try);
	ListCell   *lc;

	foreach(lc, ids)
	{
		ErrorData  *error = kpi_rollup_write_caught(lfirst_int(lc));

		if (error != NULL)
			kpi_rollup_warn(lfirst_int(lc), error);
	}
	kpi_refresh_rollups_queued = false;
}

/* CALL kpi.refresh(source text DEFAULT NULL) */
Datum
kpi_sql_refresh(PG_FUNCTION_ARGS)
{
	List	   *sources = kpi_refresh_lock_sources(source_argument(fcinfo));
	ListCell   *lc;

	if (!PG_ARGISNULL(0))
	{
		kpi_ops_require_not_paused(linitial_int(sources), text_to_cstring(PG_GETARG_TEXT_PP(0)));
		(void) kpi_worker_for_user(linitial_int(sources), KPI_RUN_REFRESH, NULL);
		kpi_goal_notify_days();
		write_rollups();
		PG_RETURN_VOID();
	}
	foreach(lc, sources)
	{
		if (!kpi_ops_source_is_paused(lfirst_int(lc)))
			refresh_one_of_many(lfirst_int(lc));
	}
	kpi_goal_notify_days();
	write_rollups();
	PG_RETURN_VOID();
}

/* Reports a source that stands still: it is not exact, and verification must say so. */
static void
report_stopped(KpiReport *report, int32 source_id, const char *stored)
{
	KpiDifference diff = {.level = "source",.level_is_source = true,.stored = stored,.expected = "active"};

	report->source_name = kpi_refresh_name_of("SELECT name FROM kpi.source WHERE id = $1", source_id);
	kpi_refresh_report(report, &diff);
}

/* Returns why a source is suspended, as far as this role may know. */
static char *
reason_for(int32 source_id, Oid viewer)
{
	KpiSource  *source = kpi_model_source_load(source_id, false);
	char	   *note = kpi_refresh_name_of("SELECT s.reason FROM kpi_internal.source_state s"
										   " WHERE s.source_id = $1", source_id);

	return psprintf("suspended: %s",
					kpi_note_shown(note, viewer, source->definer, source->definer_oid));
}

static void
verify_source(KpiReport *report, int32 source_id)
{
	if (kpi_ops_source_is_paused(source_id))
		report_stopped(report, source_id, "paused");
	else if (kpi_worker_for_user(source_id, KPI_RUN_VERIFY, report) == KPI_RUN_SUSPENDED)
		report_stopped(report, source_id, reason_for(source_id, GetUserId()));
}

static void
report_failed(KpiReport *report, int32 rollup_id)
{
	KpiDifference diff = {.level = "rollup table",.level_is_source = true,.stored = "not written",.expected = "current"};

	report->source_name = kpi_refresh_name_of("SELECT relation FROM kpi.rollup WHERE id = $1", rollup_id);
	kpi_refresh_report(report, &diff);
}

/*
 * Rollup tables of a source (0: all of them), which its refresh may have moved.
 * One that cannot be written is not what it should be.
 */
static void
verify_rollups(KpiReport *report, int32 source_id, bool mend)
{
	List	   *ids = kpi_all_int4("SELECT r.id FROM kpi.rollup r WHERE $1 = 0 OR EXISTS ("
								   " SELECT FROM kpi.rollup_column c JOIN kpi_internal.kpi_stream s ON s.kpi_id = c.kpi_id"
								   "  WHERE c.rollup_id = r.id AND s.source_id = $1) ORDER BY r.id",
								   1, KPI_INT4(source_id));
	ListCell   *lc;

	foreach(lc, ids)
	{
		ErrorData  *error = kpi_rollup_write_caught(lfirst_int(lc));

		if (error == NULL)
			kpi_rollup_verify(lfirst_int(lc), mend, report);
		else
		{
			kpi_rollup_warn(lfirst_int(lc), error);
			report_failed(report, lfirst_int(lc));
		}
	}
	kpi_refresh_rollups_queued = false;
}

/* kpi.verify(source text DEFAULT NULL) RETURNS TABLE (...) */
Datum
kpi_sql_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	KpiReport	report = {0};
	List	   *sources;
	int32		source_id;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	report.tupstore = rsinfo->setResult;
	report.tupdesc = rsinfo->setDesc;
	source_id = source_argument(fcinfo);
	sources = kpi_refresh_lock_sources(source_id);
	foreach(lc, sources)
		verify_source(&report, lfirst_int(lc));
	verify_rollups(&report, source_id, false);
	return (Datum) 0;
}

/* kpi.repair(source text) RETURNS bigint */
Datum
kpi_sql_repair(PG_FUNCTION_ARGS)
{
	KpiReport	report = {0};
	int32		source_id = kpi_model_source_id(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	(void) kpi_refresh_lock_sources(source_id);
	kpi_ops_require_not_paused(source_id, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (kpi_worker_for_user(source_id, KPI_RUN_REPAIR, &report) == KPI_RUN_SUSPENDED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" is suspended", text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errhint("See kpi.source_status for the reason, then call kpi.resume().")));
	verify_rollups(&report, source_id, true);
	PG_RETURN_INT64(report.ndifferences);
}
