/*-------------------------------------------------------------------------
 *
 * rollups.c
 *	  Rollup tables are written by the worker, after the sources of a pass.
 *
 * Each step (rollup/step.c) is a transaction of its own, and the next pass goes
 * on where a table has more to do, so that sources are refreshed in between.  A
 * step runs code of the table's owner and may meet locks: it waits for these
 * shortly, and is cancelled when it lasts too long.  What fails is noted in
 * another transaction and tried again after a pause that grows with each time.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "pgstat.h"
#include "refresh/refresh.h"
#include "rollup/rollup.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* How long a lock is waited for: sources wait meanwhile. */
#define LOCK_TIMEOUT_MS 100

static MemoryContext context = NULL;
static List *due = NIL;			/* ids, in the context */
static bool look_at_all = true;
static TimestampTz next_try = DT_NOEND; /* by kpi_now(), of what has failed */
static bool has_more = false;	/* a table was not done with a step */
static int32 rollup_id;			/* in hand */
static ErrorData *failure;		/* of it, to be noted */

void
kpi_worker_rollups_redefined(void)
{
	look_at_all = true;
}

TimestampTz
kpi_worker_rollups_due_at(void)
{
	return look_at_all || has_more || kpi_refresh_rollups_queued ? DT_NOBEGIN : next_try;
}

static void
look(void)
{
	MemoryContext old;

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "pg_kpi worker rollup tables", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(context);
	old = MemoryContextSwitchTo(context);
	due = kpi_rollup_due(look_at_all, false, &next_try);
	MemoryContextSwitchTo(old);
}

static void
write_one(void)
{
	if (kpi_rollup_timeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, kpi_rollup_timeout);
	has_more |= kpi_rollup_step(rollup_id, true);
}

/* In the log only if it is another error than the last. */
static void
note_failure(void)
{
	bool		is_known;
	TimestampTz again = kpi_rollup_note_failure(rollup_id, failure, &is_known);

	next_try = Min(next_try, again);
	ereport(is_known ? DEBUG1 : LOG,
			(errcode(failure->sqlerrcode),
			 errmsg("rollup table %s could not be written: %s",
					kpi_refresh_name_of("SELECT relation FROM kpi.rollup WHERE id = $1", rollup_id),
					failure->message),
			 failure->detail ? errdetail_internal("%s", failure->detail) : 0,
			 failure->hint ? errhint("%s", failure->hint) : 0,
			 failure->context ? errcontext("%s", failure->context) : 0));
}

/* Does what follows from the error that ended a step; where the worker is to leave it is none. */
static void
step_failed(void)
{
	failure = kpi_worker_take_error();
	if (!kpi_worker_must_leave() && !kpi_worker_transaction(note_failure))
		next_try = Min(next_try, kpi_retry_at(kpi_now(), 1));
	FreeErrorData(failure);
	failure = NULL;
}

bool
kpi_worker_rollups_write(void)
{
	ListCell   *lc;

	has_more = false;
	kpi_refresh_rollups_queued = false;
	if (!kpi_worker_transaction(look))
	{
		next_try = kpi_retry_at(kpi_now(), 1);
		look_at_all = true;
		return false;
	}
	look_at_all = false;
	kpi_worker_set_lock_timeout(LOCK_TIMEOUT_MS);
	foreach(lc, due)
	{
		bool		is_written;

		kpi_worker_absorb_interrupts();
		if (kpi_worker_must_leave())
			break;
		SetCurrentStatementStartTimestamp();
		rollup_id = lfirst_int(lc);
		pgstat_report_activity(STATE_RUNNING, "writing a rollup table");
		is_written = kpi_worker_transaction(write_one);
		disable_timeout(STATEMENT_TIMEOUT, false);
		if (!is_written)
			step_failed();
	}
	return due != NIL;
}
