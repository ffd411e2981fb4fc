/*-------------------------------------------------------------------------
 *
 * step.c
 *	  One step of a worker: a source is run in a transaction of its own.
 *
 * An error is noted in another transaction, and the next source is worked on.
 * A step that reads facts is cancelled when it lasts longer than
 * kpi.query_limit: then it has failed like any other, and is tried again after a
 * pause that grows with each time.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "refresh/refresh.h"
#include "storage/latch.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* An expression may have caught the cancellation: it comes again. */
#define CANCEL_AGAIN_MS 1000

static KpiAgendaSource *in_hand = NULL;
static KpiRunMode run_mode;
static KpiRunResult run_result;
static TimestampTz run_started; /* by the real clock */
static ErrorData *failure = NULL;	/* of the source in hand, to be noted */

static TimeoutId limit_timeout;
static bool limit_is_set = false;
static volatile sig_atomic_t limit_has_passed = false;

/* ---- the limit ---- */

static void
limit_passes(void)
{
	limit_has_passed = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

void
kpi_worker_limit_begin(void)
{
	static bool is_registered = false;

	limit_has_passed = false;
	if (kpi_query_limit == 0)
		return;
	if (!is_registered)
		limit_timeout = RegisterTimeout(USER_TIMEOUT, limit_passes);
	is_registered = true;
	limit_is_set = true;
	enable_timeout_every(limit_timeout, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kpi_query_limit),
						 CANCEL_AGAIN_MS);
}

void
kpi_worker_limit_end(void)
{
	if (limit_is_set)
		disable_timeout(limit_timeout, false);
	limit_is_set = false;
}

bool
kpi_worker_limit_name(ErrorData *error)
{
	if (!limit_has_passed || error->sqlerrcode != ERRCODE_QUERY_CANCELED)
		return false;
	error->message = psprintf("canceled after kpi.query_limit (%s)",
							  GetConfigOptionByName("kpi.query_limit", NULL, false));
	error->hint = pstrdup("Raise kpi.query_limit, or run it yourself, which has no limit.");
	return true;
}

/* ---- errors ---- */

static void
count_yield(void)
{
	kpi_worker_failure_count_yield(in_hand->id);
}

/* Blocks the source in hand for a while: who waited may have more to do. */
static void
yield_to(int waiter)
{
	int			pause_ms;

	(void) kpi_worker_transaction(count_yield);
	pause_ms = kpi_worker_blocked_to_yield(in_hand->id, in_hand->yields);
	ereport(LOG,
			(errmsg("refresh of source \"%s\" gave way to process %d, which waited for a table",
					in_hand->name, waiter),
			 errdetail("It begins again after %d ms.", pause_ms)));
}

/* Notes the error in the source's state; in the log only if it is another one. */
static void
note_failure(void)
{
	bool		known = kpi_worker_failure_note(in_hand->id, run_mode != KPI_RUN_DELTAS, run_started, failure);

	ereport(known ? DEBUG1 : LOG,
			(errcode(failure->sqlerrcode),
			 errmsg("refresh of source \"%s\" failed: %s", in_hand->name, failure->message),
			 failure->detail ? errdetail_internal("%s", failure->detail) : 0,
			 failure->hint ? errhint("%s", failure->hint) : 0,
			 failure->context ? errcontext("%s", failure->context) : 0));
}

/* Does what follows from the error that ended the step. */
static void
step_failed(void)
{
	int			waiter = kpi_worker_waiters_cancelled(kpi_worker_self.post);
	bool		is_cancelled;

	failure = kpi_worker_take_error();
	is_cancelled = failure->sqlerrcode == ERRCODE_QUERY_CANCELED;
	if (is_cancelled && kpi_is_evicted(MyDatabaseId))
		kpi_worker_self.leaving = true;
	else if (is_cancelled && waiter != 0)
		yield_to(waiter);
	else
	{
		(void) kpi_worker_limit_name(failure);
		if (kpi_error_class(failure) == KPI_ERROR_CONFLICT || !kpi_worker_transaction(note_failure))
			kpi_worker_blocked_by_lock(in_hand->id);
	}
	FreeErrorData(failure);
	failure = NULL;
}

/* ---- the step ---- */

/* Has the builder know of it, and whoever comes after a crash. */
static void
note_build_due(void)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi_internal.source_state AS s (source_id, status, build_due)"
				 " SELECT id, 'building', true FROM kpi.source WHERE id = $1"
				 " ON CONFLICT (source_id) DO UPDATE SET build_due = true",
				 1, KPI_INT4(in_hand->id));
	kpi_spi_end(&spi);
}

static void
run_source(void)
{
	List	   *ids;

	run_started = GetCurrentTimestamp();
	ids = kpi_refresh_lock_sources(in_hand->id);
	run_result = kpi_refresh_source(linitial_int(ids), run_mode, NULL);
	if (run_result == KPI_RUN_BUILD_DUE && !in_hand->build_due)
		note_build_due();
}

void
kpi_worker_say(const char *source)
{
	char	   *activity;

	kpi_post_report(kpi_worker_self.post, MyProcPid, source ? source : "");
	if (source == NULL)
	{
		pgstat_report_activity(STATE_IDLE, NULL);
		set_ps_display("waiting");
		return;
	}
	activity = psprintf("refreshing source \"%s\"", source);
	pgstat_report_activity(STATE_RUNNING, activity);
	set_ps_display(activity);
	pfree(activity);
}

bool
kpi_worker_step(KpiAgendaSource *source, KpiRunMode mode, KpiRunResult *result)
{
	KpiPost    *post = kpi_worker_self.post;
	bool		is_done;

	in_hand = source;
	run_mode = mode;
	kpi_worker_set_lock_timeout(kpi_worker_blocked_lock_timeout(source->id));
	kpi_worker_waiters_begin(post, source->yields);
	kpi_worker_say(source->name);
	pg_atomic_exchange_u32(&post->source_id, source->id);
	limit_has_passed = false;
	if (mode != KPI_RUN_DELTAS)
		kpi_worker_limit_begin();
	is_done = kpi_worker_transaction(run_source);
	kpi_worker_limit_end();
	if (is_done)
		kpi_worker_blocked_release(source->id);
	else
		step_failed();
	pg_atomic_exchange_u32(&post->source_id, 0);
	in_hand = NULL;
	*result = run_result;
	return is_done;
}
