/*-------------------------------------------------------------------------
 *
 * people.c
 *	  The builder runs the queries of people that are remembered.
 *
 * They are queries of a user on tables of users, so it is the builder that runs them
 * and not the worker of deltas, whose sources would wait; that one wakes it where
 * there are any, and it says when it will be needed next.  They are cancelled after kpi.query_limit, and when somebody waits for
 * a table they have locked (waiters.c).  An error is noted and holds nothing else back.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "sync/sync.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* When to try again after somebody held a lock, or waited for one. */
#define CONFLICT_PAUSE_MS 1000

/* What the status of the worker says, in the place of a source. */
#define WHAT "(people)"

static TimestampTz due_at = DT_NOBEGIN; /* DT_NOBEGIN: to be looked up */
static TimestampTz not_before = DT_NOBEGIN;
static ErrorData *failure;		/* to be noted */

void
kpi_worker_people_redefined(void)
{
	due_at = DT_NOBEGIN;
}

TimestampTz
kpi_worker_people_due_at(void)
{
	return due_at == DT_NOBEGIN ? GetCurrentTimestamp() : Max(due_at, not_before);
}

static void
look(void)
{
	due_at = Max(kpi_sync_due_at(), DT_NOBEGIN + 1);
}

bool
kpi_worker_people_look(void)
{
	look();
	return due_at != DT_NOEND;
}

/* In the log only if it is another error than the last. */
static void
note_failure(void)
{
	bool		is_known = kpi_sync_note_failure(failure);

	ereport(is_known ? DEBUG1 : LOG,
			(errcode(failure->sqlerrcode),
			 errmsg("people could not be synced: %s", failure->message),
			 failure->detail ? errdetail_internal("%s", failure->detail) : 0,
			 failure->hint ? errhint("%s", failure->hint) : 0,
			 failure->context ? errcontext("%s", failure->context) : 0));
}

static void
step_failed(void)
{
	int			waiter = kpi_worker_waiters_cancelled(kpi_worker_self.post);
	bool		is_limit;
	bool		passes;

	failure = kpi_worker_take_error();
	is_limit = kpi_worker_limit_name(failure);
	passes = kpi_error_class(failure) == KPI_ERROR_CONFLICT ||
		(failure->sqlerrcode == ERRCODE_QUERY_CANCELED && !is_limit);
	if (failure->sqlerrcode == ERRCODE_QUERY_CANCELED && kpi_is_evicted(MyDatabaseId))
		kpi_worker_self.leaving = true;
	else if (waiter != 0)
		ereport(LOG,
				(errmsg("syncing people gave way to process %d, which waited for a table", waiter)));
	if (passes || !kpi_worker_transaction(note_failure))
		not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), CONFLICT_PAUSE_MS);
	FreeErrorData(failure);
	failure = NULL;
}

bool
kpi_worker_people_pass(void)
{
	kpi_worker_absorb_interrupts();
	if (kpi_worker_must_leave() || kpi_worker_people_due_at() > GetCurrentTimestamp())
		return false;
	if (due_at == DT_NOBEGIN && !kpi_worker_transaction(look))
	{
		not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), CONFLICT_PAUSE_MS);
		due_at = not_before;
		return false;
	}
	if (kpi_worker_must_leave() || kpi_worker_people_due_at() > GetCurrentTimestamp())
		return false;
	kpi_worker_set_lock_timeout(KPI_MAX_LOCK_TIMEOUT_MS);
	kpi_worker_waiters_begin(kpi_worker_self.post, 0);
	kpi_post_report(kpi_worker_self.post, MyProcPid, WHAT);
	pgstat_report_activity(STATE_RUNNING, "syncing people");
	kpi_worker_limit_begin();
	if (!kpi_worker_transaction(kpi_sync_step))
	{
		kpi_worker_limit_end();
		step_failed();
	}
	kpi_worker_limit_end();
	due_at = DT_NOBEGIN;
	return true;
}
