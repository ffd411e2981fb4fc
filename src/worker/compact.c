/*-------------------------------------------------------------------------
 *
 * compact.c
 *	  What waits of sources that nobody refreshes is compacted by the worker.
 *
 * Paused, suspended and manual sources are not on the agenda, some that are
 * fail, and their queues grow.  After the sources of a pass each source is looked
 * at, but not in every pass; one whose queue has grown is compacted, in
 * transactions of bounded size.  One that is locked, or that fails, is tried again
 * after a while.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "refresh/refresh.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* Nobody is to wait because the worker waits for a source that it does not refresh. */
#define LOCK_TIMEOUT_MS 10

/* From one look to the next, and until what could not be compacted is tried again. */
#define LOOK_MS 100
#define RETRY_MS 1000

static bool compacted;			/* the transaction has compacted a source */
static bool crowded;			/* it has found one that it could not */

static void
compact_one(void)
{
	ListCell   *lc;

	foreach(lc, kpi_all_int4("SELECT s.id FROM kpi.source s ORDER BY s.id", 0))
	{
		if (!kpi_refresh_queue_is_crowded(lfirst_int(lc)))
			continue;
		compacted = kpi_refresh_queue_compact(lfirst_int(lc));
		if (compacted)
			break;
		crowded = true;
	}
}

static void
compaction_failed(void)
{
	ErrorData  *error = kpi_worker_take_error();

	ereport(kpi_error_class(error) == KPI_ERROR_CONFLICT ? DEBUG1 : LOG,
			(errcode(error->sqlerrcode),
			 errmsg("could not compact the queue of a source: %s", error->message)));
	FreeErrorData(error);
	compacted = false;
	crowded = true;
}

bool
kpi_worker_compact(TimestampTz *next_try)
{
	static TimestampTz next_look = DT_NOBEGIN;
	TimestampTz now = GetCurrentTimestamp();

	*next_try = Max(*next_try, next_look);
	if (now < *next_try)
		return false;
	compacted = crowded = false;
	kpi_worker_set_lock_timeout(LOCK_TIMEOUT_MS);
	if (!kpi_worker_transaction(compact_one))
		compaction_failed();
	now = GetCurrentTimestamp();
	*next_try = crowded ? TimestampTzPlusMilliseconds(now, RETRY_MS) : DT_NOBEGIN;
	next_look = compacted ? DT_NOBEGIN : TimestampTzPlusMilliseconds(now, LOOK_MS);
	return compacted;
}
