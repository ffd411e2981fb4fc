/*-------------------------------------------------------------------------
 *
 * log.c
 *	  What refreshes did: kpi.refresh_log, the server's log, NOTIFY.
 *
 * Rows are written at the end of an engine transaction, under the source's
 * lock, so nobody else writes rows of this source meanwhile.
 *
 * The table is bounded.  The worker may refresh a source many times a second:
 * its refreshes that begin within a minute share a row.  Rows older than
 * kpi.log_retention are deleted by whoever adds one, but only once the oldest
 * is an hour older than that, so at most once an hour; rows another
 * transaction is deleting are left to it, so that nobody waits.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "goal/goal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "refresh/refresh_internal.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Column of kpi_internal.refresh_log. */
#define LOG_STARTED_AT 4

static bool
is_worker(void)
{
	return MyBgworkerEntry != NULL && strcmp(MyBgworkerEntry->bgw_library_name, "pg_kpi") == 0;
}

static void
prune(void)
{
	TimestampTz keep_from = GetCurrentTimestamp() - kpi_log_retention * USECS_PER_DAY;
	TimestampTz oldest = keep_from;
	KpiLookup	rows;

	kpi_lookup_open(&rows, "kpi_internal", "refresh_log", "refresh_log_started_at_idx", 0, SnapshotSelf);
	kpi_lookup_begin(&rows, NULL);
	if (kpi_lookup_next(&rows))
		oldest = DatumGetTimestampTz(kpi_lookup_column(&rows, LOG_STARTED_AT));
	kpi_lookup_close(&rows);
	if (oldest >= keep_from - USECS_PER_HOUR)
		return;
	kpi_spi_exec("DELETE FROM kpi_internal.refresh_log l WHERE l.ctid = ANY (ARRAY("
				 " SELECT o.ctid FROM kpi_internal.refresh_log o WHERE o.started_at < $1"
				 " FOR UPDATE SKIP LOCKED))",
				 1, KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(keep_from)));
}

/* Adds to the last row of the source if that is one of the same minute. */
static bool
extend_row(const KpiLogEntry *entry)
{
	return kpi_spi_exec("UPDATE kpi_internal.refresh_log l SET runs = l.runs + 1,"
						" duration_ms = l.duration_ms + $3, max_duration_ms = greatest(l.max_duration_ms, $3),"
						" deltas = l.deltas + $4, cells = l.cells + $5"
						" WHERE l.id = (SELECT o.id FROM kpi_internal.refresh_log o"
						" WHERE o.source_id = $1 ORDER BY o.id DESC LIMIT 1)"
						" AND l.is_worker AND l.kind = 'refresh' AND l.error IS NULL"
						" AND l.started_at > $2 - interval '1 minute' AND l.started_at <= $2",
						5, KPI_INT4(entry->source_id),
						KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(entry->started)),
						KPI_VALUE(FLOAT8OID, Float8GetDatum(entry->duration_ms)),
						KPI_INT8(entry->ndeltas), KPI_INT8(entry->ncells)) > 0;
}

static void
write_row(const KpiLogEntry *entry)
{
	char	   *role = GetUserNameFromId(GetUserId(), true);
	bool		worker = is_worker();
	KpiSpi		spi;

	if (kpi_log_retention == 0)
		return;
	kpi_spi_begin(&spi);
	if (!worker || entry->error != NULL || strcmp(entry->kind, "refresh") != 0 || !extend_row(entry))
	{
		kpi_spi_exec("INSERT INTO kpi_internal.refresh_log (source_id, kind, started_at, duration_ms,"
					 " max_duration_ms, deltas, cells, is_worker, role, sqlstate, error)"
					 " VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10)",
					 10, KPI_INT4(entry->source_id), KPI_TEXT(entry->kind),
					 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(entry->started)),
					 KPI_VALUE(FLOAT8OID, Float8GetDatum(entry->duration_ms)),
					 KPI_INT8(entry->ndeltas), KPI_INT8(entry->ncells),
					 KPI_BOOL(worker), KPI_TEXT(role ? role : "unknown"), KPI_TEXT(entry->sqlstate),
					 KPI_TEXT(entry->error));
		prune();
	}
	kpi_spi_end(&spi);
}

static void
notify_refresh(const KpiLogEntry *entry)
{
	StringInfoData payload;
	char	   *name = pnstrdup(entry->source, pg_mbcliplen(entry->source, strlen(entry->source),
															KPI_NOTIFY_TEXT));

	initStringInfo(&payload);
	appendStringInfoString(&payload, "{\"source\":");
	escape_json(&payload, name);
	appendStringInfo(&payload, ",\"deltas\":" INT64_FORMAT "}", entry->ndeltas);
	Async_Notify("kpi_refresh", payload.data);
}

void
kpi_refresh_log_run(const KpiLogEntry *entry)
{
	if (strcmp(entry->kind, "refresh") == 0 && entry->ndeltas == 0 && entry->ncells == 0)
		return;
	write_row(entry);
	if (kpi_notify_refresh)
		notify_refresh(entry);
	if (kpi_log_min_duration >= 0 && entry->duration_ms >= kpi_log_min_duration)
		ereport(LOG,
				(errmsg("%s of source \"%s\": " INT64_FORMAT " deltas, " INT64_FORMAT " cells written, %.3f ms",
						entry->kind, entry->source, entry->ndeltas, entry->ncells, entry->duration_ms),
				 errhidestmt(true), errhidecontext(true)));
}

void
kpi_refresh_log_held(int32 source_id, const char *source, TimestampTz started)
{
	KpiLogEntry entry = {
		.source_id = source_id,
		.source = source,
		.kind = "held",
		.started = started,
		.duration_ms = (GetCurrentTimestamp() - started) / 1000.0
	};

	write_row(&entry);
}

void
kpi_refresh_log_failure(int32 source_id, TimestampTz started, double duration_ms,
						const char *sqlstate, const char *message)
{
	KpiLogEntry entry = {
		.source_id = source_id,
		.kind = "refresh",
		.started = started,
		.duration_ms = duration_ms,
		.sqlstate = sqlstate,
		.error = message
	};

	write_row(&entry);
}
