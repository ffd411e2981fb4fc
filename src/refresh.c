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
#include "compat.h"

#include "apply_lock.h"
#include "apply_run.h"
#include "apply_state.h"
#include "engine.h"
#include "error_text.h"
#include "failure.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "notify.h"
#include "policy.h"
#include "spi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kpi_refresh);
PG_FUNCTION_INFO_V1(kpi_verify);
PG_FUNCTION_INFO_V1(kpi_repair);

static int32
source_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		return 0;
	return kpi_source_id(text_to_cstring(PG_GETARG_TEXT_PP(0)));
}

/* A name by id, or the id itself where the row is gone. */
static char *
name_of(const char *sql, int32 id)
{
	KpiSpi		spi;
	MemoryContext caller = CurrentMemoryContext;
	char	   *name = NULL;

	kpi_spi_begin(&spi);
	if (kpi_spi_exec(sql, 1, KPI_INT4(id)) == 1)
		name = kpi_spi_text(0, 1);
	if (name)
		name = MemoryContextStrdup(caller, name);
	kpi_spi_end(&spi);
	MemoryContextSwitchTo(caller);
	return name ? name : psprintf("#%d", id);
}

/* One source's error holds no other source back. */
static void
refresh_one_of_many(int32 source_id)
{
	ErrorData  *error = kpi_refresh_caught(source_id);
	char	   *hidden;

	if (error == NULL)
		return;
	hidden = kpi_hidden_source(source_id);
	if (hidden != NULL)
		(void) kpi_error_conceal(error, hidden);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("refresh of source \"%s\" failed: %s",
					name_of("SELECT name FROM kpi.source WHERE id = $1", source_id), error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
	FreeErrorData(error);
}

/* CALL kpi.refresh(source text DEFAULT NULL) */
Datum
kpi_refresh(PG_FUNCTION_ARGS)
{
	List	   *sources = kpi_lock_sources(source_argument(fcinfo));
	ListCell   *lc;

	if (!PG_ARGISNULL(0))
	{
		kpi_require_not_paused(linitial_int(sources), text_to_cstring(PG_GETARG_TEXT_PP(0)));
		(void) kpi_run_for_user(linitial_int(sources), KPI_RUN_REFRESH, NULL);
		PG_RETURN_VOID();
	}
	foreach(lc, sources)
	{
		if (!kpi_source_is_paused(lfirst_int(lc)))
			refresh_one_of_many(lfirst_int(lc));
	}
	kpi_progress_notify_days();
	PG_RETURN_VOID();
}

/* 'team emea', 'member alice', 'owner 42', as people know them. */
static char *
scope_text(const KpiDifference *diff)
{
	if (diff->team_id != 0)
		return psprintf("team %s", name_of("SELECT key FROM kpi.team WHERE id = $1", diff->team_id));
	if (diff->member_id != 0)
		return psprintf("member %s", name_of("SELECT key FROM kpi.member WHERE id = $1", diff->member_id));
	if (diff->owner_id != 0)
		return psprintf("owner %s", name_of("SELECT key FROM kpi_internal.owner WHERE id = $1", diff->owner_id));
	return pstrdup("no owner");
}

static void
set_text(Datum *values, bool *nulls, int column, const char *value)
{
	nulls[column] = value == NULL;
	values[column] = value ? CStringGetTextDatum(value) : (Datum) 0;
}

void
kpi_report(KpiReport *report, const KpiDifference *diff)
{
	Datum		values[10];
	bool		nulls[10] = {false};

	report->ndifferences++;
	if (report->tupstore == NULL)
		return;
	set_text(values, nulls, 0, report->source_name);
	set_text(values, nulls, 1, diff->level);
	set_text(values, nulls, 2, diff->kpi_id ? name_of("SELECT name FROM kpi.kpi WHERE id = $1", diff->kpi_id) : NULL);
	set_text(values, nulls, 3, diff->level_is_source ? NULL : scope_text(diff));
	set_text(values, nulls, 4, diff->grain);
	values[5] = DateADTGetDatum(diff->start);
	nulls[5] = diff->level_is_source;
	set_text(values, nulls, 6, diff->dimension);
	set_text(values, nulls, 7, diff->dimension_value);
	set_text(values, nulls, 8, diff->stored);
	set_text(values, nulls, 9, diff->expected);
	tuplestore_putvalues(report->tupstore, report->tupdesc, values, nulls);
}

/* A source that stands still is not exact: verification must not be silent about it. */
static void
report_stopped(KpiReport *report, int32 source_id, const char *stored)
{
	KpiDifference diff = {.level = "source",.level_is_source = true,.stored = stored,.expected = "active"};

	report->source_name = name_of("SELECT name FROM kpi.source WHERE id = $1", source_id);
	kpi_report(report, &diff);
}

/* Why a source is suspended, as far as it is for this role. */
static char *
reason_for(int32 source_id, Oid viewer)
{
	KpiSource  *source = kpi_source_load(source_id, false);
	char	   *note = name_of("SELECT s.reason FROM kpi_internal.source_state s WHERE s.source_id = $1", source_id);

	return psprintf("suspended: %s",
					kpi_note_shown(note, viewer, source->definer, source->definer_oid));
}

static void
verify_source(KpiReport *report, int32 source_id)
{
	if (kpi_source_is_paused(source_id))
		report_stopped(report, source_id, "paused");
	else if (kpi_run_for_user(source_id, KPI_RUN_VERIFY, report) == KPI_RUN_SUSPENDED)
		report_stopped(report, source_id, reason_for(source_id, GetUserId()));
}

/* kpi.verify(source text DEFAULT NULL) RETURNS TABLE (...) */
Datum
kpi_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	KpiReport	report = {0};
	List	   *sources;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	report.tupstore = rsinfo->setResult;
	report.tupdesc = rsinfo->setDesc;
	sources = kpi_lock_sources(source_argument(fcinfo));
	foreach(lc, sources)
		verify_source(&report, lfirst_int(lc));
	return (Datum) 0;
}

/* kpi.repair(source text) RETURNS bigint */
Datum
kpi_repair(PG_FUNCTION_ARGS)
{
	KpiReport	report = {0};
	int32		source_id = kpi_source_id(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	(void) kpi_lock_sources(source_id);
	kpi_require_not_paused(source_id, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (kpi_run_for_user(source_id, KPI_RUN_REPAIR, &report) == KPI_RUN_SUSPENDED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" is suspended", text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errhint("See kpi.source_status for the reason, then call kpi.resume().")));
	PG_RETURN_INT64(report.ndifferences);
}
