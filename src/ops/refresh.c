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

#include "access/xact.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "capture/capture.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "explain/explain.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "model/model.h"
#include "ops/ops_internal.h"
#include "refresh/refresh.h"
#include "rollup/rollup.h"
#include "sync/sync.h"
#include "tcop/pquery.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
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
static KpiRunResult
refresh_one_of_many(int32 source_id)
{
	KpiRunResult result;
	ErrorData  *error = kpi_worker_refresh_caught(source_id, &result);
	char	   *hidden;

	if (error == NULL)
		return result;
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
	return KPI_RUN_DONE;
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

/*
 * Whether the steps of a build can be transactions of their own: the procedure was
 * not called within a transaction of the user's, nor by other code, which would
 * find what it has done so far committed, or not, as there is something to build.
 */
static bool
may_commit(FunctionCallInfo fcinfo)
{
	return !SPI_inside_nonatomic_context() && fcinfo->context != NULL && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic && !IsSubTransaction();
}

/* The locks go with the transaction, so whoever waits for the source has a turn. */
static void
commit_step(int32 source_id)
{
	SPI_commit();
	EnsurePortalSnapshotExists();
	(void) kpi_refresh_lock_sources(source_id);
}

/* Until a source is built, too; the source's lock is held. */
static void
refresh_fully(int32 source_id, bool one_of_many, bool commits)
{
	for (;;)
	{
		KpiRunResult result = one_of_many ? refresh_one_of_many(source_id) :
		kpi_worker_for_user(source_id, KPI_RUN_REFRESH, &kpi_refresh_all_days, NULL);

		if (result != KPI_RUN_MORE)
			return;
		if (commits)
			commit_step(source_id);
		/* Somebody may have paused it meanwhile. */
		if (kpi_ops_source_is_paused(source_id))
			return;
	}
}

/* Notes the entities that were named, which the refresh reads. */
static void
note_entities(FunctionCallInfo fcinfo, int n)
{
	KpiKeyed   *keyed;
	char	   *source;
	Datum	   *entities;
	bool	   *nulls;
	int			nentities;

	/* The SQL of an earlier version has no such argument. */
	if (PG_NARGS() <= n || PG_ARGISNULL(n))
		return;
	source = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	keyed = source ? kpi_model_keyed_load(kpi_model_source_id(source), false) : NULL;
	if (keyed == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("entities are those of one keyed source"),
				 errhint("Name a source that has a query (kpi.keyed_source), or leave entities out.")));
	if (list_length(keyed->entity) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the entity of source \"%s\" has several columns", source),
				 errhint("Refresh the source as a whole.")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false, TYPALIGN_INT, &entities, &nulls, &nentities);
	for (int i = 0; i < nentities; i++)
	{
		if (!nulls[i])
			kpi_capture_note_entity(keyed->source_id, keyed->version, TextDatumGetCString(entities[i]));
	}
	kpi_capture_flush_now();
}

/* CALL kpi.refresh(source text DEFAULT NULL, entities text[] DEFAULT NULL) */
Datum
kpi_sql_refresh(PG_FUNCTION_ARGS)
{
	bool		commits = may_commit(fcinfo);
	bool		is_all = PG_ARGISNULL(0);
	List	   *sources;
	ListCell   *lc;

	SPI_connect_ext(commits ? SPI_OPT_NONATOMIC : 0);
	sources = kpi_refresh_lock_sources(source_argument(fcinfo));
	if (!is_all)
	{
		kpi_ops_require_not_paused(linitial_int(sources), text_to_cstring(PG_GETARG_TEXT_PP(0)));
		kpi_ops_build_go_on(linitial_int(sources));
	}
	note_entities(fcinfo, 1);
	foreach(lc, sources)
	{
		/* Its lock has gone where the build of another has committed. */
		(void) kpi_refresh_lock_sources(lfirst_int(lc));
		if (!is_all || !kpi_ops_source_is_paused(lfirst_int(lc)))
			refresh_fully(lfirst_int(lc), is_all, commits);
	}
	kpi_goal_notify_days();
	write_rollups();
	foreach(lc, sources)
		kpi_explain_left_out_say(lfirst_int(lc));
	if (is_all)
		kpi_sync_take_up();
	SPI_finish();
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

/* Suspended or held. */
static char *
status_of(int32 source_id)
{
	return kpi_refresh_name_of("SELECT s.status FROM kpi_internal.source_state s WHERE s.source_id = $1", source_id);
}

/* Returns why a source stands still, as far as this role may know. */
static char *
reason_for(int32 source_id, Oid viewer)
{
	KpiSource  *source = kpi_model_source_load(source_id, false);
	char	   *note = kpi_refresh_name_of("SELECT s.reason FROM kpi_internal.source_state s"
										   " WHERE s.source_id = $1", source_id);

	return psprintf("%s: %s", status_of(source_id),
					kpi_note_shown(note, viewer, source->definer, source->definer_oid));
}

static void
verify_source(KpiReport *report, int32 source_id, KpiRunMode mode, const KpiDays *days)
{
	if (kpi_ops_source_is_paused(source_id))
		report_stopped(report, source_id, "paused");
	else if (kpi_ops_build_is_cancelled(source_id))
		report_stopped(report, source_id, "build cancelled");
	else if (kpi_worker_for_user(source_id, mode, days, report) == KPI_RUN_SUSPENDED)
		report_stopped(report, source_id, reason_for(source_id, GetUserId()));
}

static void
report_failed(KpiReport *report, int32 rollup_id)
{
	KpiDifference diff = {.level = "rollup table",.level_is_source = true,.stored = "not written",.expected = "current"};

	report->source_name = kpi_refresh_name_of("SELECT relation FROM kpi.rollup WHERE id = $1", rollup_id);
	kpi_refresh_report(report, &diff);
}

/* Those of a source (0: all of them). */
static List *
rollups_of(int32 source_id)
{
	return kpi_all_int4("SELECT r.id FROM kpi.rollup r WHERE $1 = 0 OR EXISTS ("
						" SELECT FROM kpi.rollup_column c JOIN kpi_internal.kpi_stream s ON s.kpi_id = c.kpi_id"
						"  WHERE c.rollup_id = r.id AND s.source_id = $1) ORDER BY r.id",
						1, KPI_INT4(source_id));
}

/*
 * Rollup tables of a source (0: all of them), which its refresh may have moved.
 * One that cannot be written is not what it should be.
 */
static void
verify_rollups(KpiReport *report, int32 source_id, bool mend)
{
	ListCell   *lc;

	foreach(lc, rollups_of(source_id))
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

/* Rollup tables of a source, as verify_rollups(), where nothing can be written. */
static void
prove_rollups(KpiReport *report, int32 source_id)
{
	ListCell   *lc;

	foreach(lc, rollups_of(source_id))
	{
		bool		is_compared;
		ErrorData  *error = kpi_rollup_prove_caught(lfirst_int(lc), report, &is_compared);

		if (error != NULL)
		{
			kpi_rollup_warn(lfirst_int(lc), error);
			report_failed(report, lfirst_int(lc));
		}
		else if (!is_compared)
			ereport(NOTICE,
					(errmsg("rollup table %s was not compared",
							kpi_refresh_name_of("SELECT relation FROM kpi.rollup WHERE id = $1", lfirst_int(lc))),
					 errdetail("Some of its rows wait to be written.")));
	}
}

/* The whole months of the days that two arguments give, NULL for an open end. */
static KpiDays
days_argument(FunctionCallInfo fcinfo, int since, int until)
{
	KpiDays		days = kpi_refresh_all_days;
	const KpiCalendar *calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR);

	/* The SQL of an earlier version has no such arguments. */
	if (PG_NARGS() <= until)
		return days;
	if (!PG_ARGISNULL(since) && !DATE_NOT_FINITE(PG_GETARG_DATEADT(since)))
		days.since = PG_GETARG_DATEADT(since);
	if (!PG_ARGISNULL(until) && !DATE_NOT_FINITE(PG_GETARG_DATEADT(until)))
		days.until = PG_GETARG_DATEADT(until);
	if (days.since >= days.until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no day since %s and until %s", kpi_day_text(days.since), kpi_day_text(days.until)),
				 errhint("Give until a later day: it is the first that is not included.")));
	if (days.since != DATEVAL_NOBEGIN)
		days.since = kpi_calendar_period_start(KPI_MONTH, kpi_calendar_day_clamp(days.since), calendar);
	if (days.until != DATEVAL_NOEND)
		days.until = kpi_calendar_period_end(KPI_MONTH, kpi_calendar_day_clamp(days.until - 1), calendar) + 1;
	return days;
}

static void
verify(KpiReport *report, int32 source_id, const KpiDays *days)
{
	ListCell   *lc;

	foreach(lc, kpi_refresh_lock_sources(source_id))
		verify_source(report, lfirst_int(lc), KPI_RUN_VERIFY, days);
	verify_rollups(report, source_id, false);
}

static void
prove(KpiReport *report, int32 source_id, const KpiDays *days)
{
	ListCell   *lc;

	kpi_snapshot_pin(true);
	foreach(lc, kpi_refresh_sources_to_prove(source_id))
		verify_source(report, lfirst_int(lc), KPI_RUN_PROVE, days);
	prove_rollups(report, source_id);
}

/* Where nothing can be written. */
static void
verify_by_looking(KpiReport *report, int32 source_id, const KpiDays *days)
{
	PG_TRY();
	{
		prove(report, source_id, days);
	}
	PG_CATCH();
	{
		kpi_snapshot_pin(false);
		PG_RE_THROW();
	}
	PG_END_TRY();
	kpi_snapshot_pin(false);
}

/* kpi.verify(source text DEFAULT NULL, since date DEFAULT NULL, until date DEFAULT NULL) RETURNS TABLE (...) */
Datum
kpi_sql_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	KpiReport	report = {0};
	KpiDays		days = days_argument(fcinfo, 1, 2);
	int32		source_id;

	InitMaterializedSRF(fcinfo, 0);
	report.tupstore = rsinfo->setResult;
	report.tupdesc = rsinfo->setDesc;
	source_id = source_argument(fcinfo);
	if (XactReadOnly)
		verify_by_looking(&report, source_id, &days);
	else
		verify(&report, source_id, &days);
	return (Datum) 0;
}

/* kpi.repair(source text, since date DEFAULT NULL, until date DEFAULT NULL) RETURNS bigint */
Datum
kpi_sql_repair(PG_FUNCTION_ARGS)
{
	KpiReport	report = {0};
	KpiDays		days;
	int32		source_id;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	days = days_argument(fcinfo, 1, 2);
	source_id = kpi_model_source_id(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	(void) kpi_refresh_lock_sources(source_id);
	kpi_ops_require_not_paused(source_id, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (kpi_worker_for_user(source_id, KPI_RUN_REPAIR, &days, &report) == KPI_RUN_SUSPENDED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" is %s", text_to_cstring(PG_GETARG_TEXT_PP(0)), status_of(source_id)),
				 errhint("See kpi.source_status for the reason, then call kpi.resume().")));
	verify_rollups(&report, source_id, true);
	PG_RETURN_INT64(report.ndifferences);
}
