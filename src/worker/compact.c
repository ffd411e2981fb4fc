/*-------------------------------------------------------------------------
 *
 * compact.c
 *	  What waits of sources that nobody refreshes is compacted by the worker.
 *
 * Paused, suspended and manual sources are not on the agenda, and their queues
 * grow.  After the sources of a pass each of them is looked at; one whose queue
 * has grown is compacted, in transactions of bounded size.  A source whose lock
 * is taken, or that fails, is left alone for a while.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "refresh/refresh.h"
#include "utils/elog.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* Nobody is to wait for the worker's waiting for a source that it does not refresh. */
#define LOCK_TIMEOUT_MS 10

#define RETRY_MS 1000

static const List *idle;		/* sources, for the transaction */
static bool compacted;			/* it has compacted one */
static bool crowded;			/* it has found one that it could not */

static void
compact_one(void)
{
	ListCell   *lc;

	compacted = crowded = false;
	foreach(lc, idle)
	{
		if (!kpi_refresh_queue_is_crowded(lfirst_int(lc)))
			continue;
		compacted = kpi_refresh_queue_compact(lfirst_int(lc));
		crowded = !compacted;
		if (compacted)
			break;
	}
}

bool
kpi_worker_compact(const KpiAgenda *due, TimestampTz *next_try)
{
	if (due == NULL || due->idle == NIL || GetCurrentTimestamp() < *next_try)
		return false;
	idle = due->idle;
	*next_try = DT_NOBEGIN;
	kpi_worker_set_lock_timeout(LOCK_TIMEOUT_MS);
	if (!kpi_worker_transaction(compact_one))
	{
		ErrorData  *error = kpi_worker_take_error();

		ereport(kpi_error_class(error) == KPI_ERROR_CONFLICT ? DEBUG1 : LOG,
				(errcode(error->sqlerrcode),
				 errmsg("could not compact the queue of a source: %s", error->message)));
		FreeErrorData(error);
		compacted = false;
		crowded = true;
	}
	if (crowded)
		*next_try = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_MS);
	return compacted;
}
