/*-------------------------------------------------------------------------
 *
 * failure.c
 *	  Errors that end a refresh: caught, and noted in the source's state.
 *
 * The worker refreshes each source in a transaction of its own; CALL
 * kpi.refresh() of all sources has only one, and there each source has a
 * subtransaction.  Either way one source's error holds no other source back,
 * and kpi.source_status and kpi.health() show it until the source is
 * refreshed.
 *
 * Locks: the caller holds the source's, for the second.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "refresh/refresh.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

bool
kpi_worker_failure_note(int32 source_id, bool builds, TimestampTz started, const ErrorData *error)
{
	char	   *sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	char	   *note = kpi_error_note(error);
	TimestampTz now = kpi_now();
	int			failures = 1;
	bool		known = false;
	KpiSpi		spi;
	KpiRows		rows;

	kpi_spi_begin(&spi);
	kpi_rows_begin(&rows, "SELECT failures, last_sqlstate = $2 AND last_error = $3 AS is_known"
				   " FROM kpi_internal.source_state WHERE source_id = $1",
				   3, KPI_INT4(source_id), KPI_TEXT(sqlstate), KPI_TEXT(note));
	if (kpi_rows_next(&rows))
	{
		failures += kpi_rows_int4(&rows, "failures");
		known = kpi_rows_bool(&rows, "is_known");
	}
	kpi_rows_end(&rows);
	kpi_spi_exec("INSERT INTO kpi_internal.source_state AS s"
				 " (source_id, status, last_error, last_sqlstate, failing_since, failures, next_try, build_fails)"
				 " SELECT id, 'building', $2, $3, $4, $5, $6, $7 FROM kpi.source WHERE id = $1"
				 " ON CONFLICT (source_id) DO UPDATE SET last_error = EXCLUDED.last_error,"
				 " last_sqlstate = EXCLUDED.last_sqlstate, failures = EXCLUDED.failures,"
				 " failing_since = coalesce(s.failing_since, EXCLUDED.failing_since),"
				 " next_try = EXCLUDED.next_try, build_fails = EXCLUDED.build_fails",
				 7, KPI_INT4(source_id), KPI_TEXT(note), KPI_TEXT(sqlstate),
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(now)), KPI_INT4(failures),
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(kpi_retry_at(now, failures))),
				 KPI_BOOL(builds));
	kpi_spi_end(&spi);
	kpi_refresh_log_failure(source_id, started, (GetCurrentTimestamp() - started) / 1000.0,
							sqlstate, note);
	return known;
}

void
kpi_worker_failure_count_yield(int32 source_id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi_internal.source_state AS s (source_id, status, yields)"
				 " SELECT id, 'building', 1 FROM kpi.source WHERE id = $1"
				 " ON CONFLICT (source_id) DO UPDATE SET yields = s.yields + 1",
				 1, KPI_INT4(source_id));
	kpi_spi_end(&spi);
}

/* A refresh whose error is caught. */
typedef struct Attempt
{
	int32		source_id;
	KpiRunResult result;
} Attempt;

static void
refresh_source(void *arg)
{
	Attempt    *attempt = arg;

	/*
	 * What a failed one leaves is in the subtransaction's memory, and goes
	 * with it.
	 */
	MemoryContextSwitchTo(CurTransactionContext);
	attempt->result = kpi_refresh_source(attempt->source_id, KPI_RUN_REFRESH, NULL);
}

ErrorData *
kpi_worker_refresh_caught(int32 source_id, KpiRunResult *result)
{
	TimestampTz started = GetCurrentTimestamp();
	Attempt		attempt = {source_id};
	ErrorData  *failure = kpi_try(KPI_ERROR_SERVER, refresh_source, &attempt);

	if (failure != NULL && kpi_error_class(failure) != KPI_ERROR_CONFLICT)
		(void) kpi_worker_failure_note(source_id, false, started, failure);
	*result = attempt.result;
	return failure;
}

KpiRunResult
kpi_worker_for_user(int32 source_id, KpiRunMode mode, const KpiDays *days, KpiReport *report)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *hidden = kpi_hidden_source(source_id);
	KpiRunResult result = KPI_RUN_GONE;

	PG_TRY();
	{
		result = kpi_refresh_source_days(source_id, mode, days, report);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (hidden == NULL)
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		if (kpi_error_conceal(error, hidden))
			error->message = psprintf("refresh of source \"%s\" failed: %s", hidden, error->message);
		ReThrowError(error);
	}
	PG_END_TRY();
	return result;
}
