/*-------------------------------------------------------------------------
 *
 * trap.c
 *	  Work whose error does not end the transaction.
 *
 * The only place that begins subtransactions.  Whatever happens in one, it is
 * over when kpi_try() is left, by an error as well: nobody further out would
 * end it.  A procedure called in autocommit has no transaction block, and to
 * the session its open subtransaction would be a block that failed, which no
 * ROLLBACK can end.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* Tells an error's class; a function that RAISEs whatever code fails like any other. */
KpiErrorClass
kpi_error_class(const ErrorData *error)
{
	if (error->funcname != NULL && strcmp(error->funcname, "exec_stmt_raise") == 0)
		return KPI_ERROR_TRAPPED;
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return KPI_ERROR_CONFLICT;
	if (error->sqlerrcode == ERRCODE_DATA_CORRUPTED || error->sqlerrcode == ERRCODE_INDEX_CORRUPTED)
		return KPI_ERROR_SERVER;

	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
			return KPI_ERROR_STOP;
		case ERRCODE_TRANSACTION_ROLLBACK:
			return KPI_ERROR_CONFLICT;
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_SYSTEM_ERROR:
			return KPI_ERROR_SERVER;
		default:
			return KPI_ERROR_TRAPPED;
	}
}

/* Runs work in a subtransaction, which is kept only if it succeeds and is wanted, which the work may say. */
static ErrorData *
run_in_subtransaction(const bool *keep, void (*body) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		body(arg);
		if (*keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

ErrorData *
kpi_try(KpiErrorClass most, void (*body) (void *arg), void *arg)
{
	bool		keep = true;
	ErrorData  *error = run_in_subtransaction(&keep, body, arg);

	if (error != NULL && kpi_error_class(error) > most)
		ReThrowError(error);
	return error;
}

void
kpi_done_if(const bool *wanted, void (*body) (void *arg), void *arg)
{
	ErrorData  *error = run_in_subtransaction(wanted, body, arg);

	if (error != NULL)
		ReThrowError(error);
}

void
kpi_undone(void (*body) (void *arg), void *arg)
{
	bool		wanted = false;

	kpi_done_if(&wanted, body, arg);
}

TimestampTz
kpi_retry_at(TimestampTz now, int failures)
{
	int			seconds = KPI_MAX_RETRY_SECONDS;

	if (failures <= 9)
		seconds = 1 << (Max(failures, 1) - 1);
	return now + Min(seconds, KPI_MAX_RETRY_SECONDS) * USECS_PER_SEC;
}
