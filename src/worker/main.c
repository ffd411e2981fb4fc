/*-------------------------------------------------------------------------
 *
 * main.c
 *	  A database's worker: does what is due, waits a while, leaves.
 *
 * Started by the launcher for one post of one database: that of deltas
 * (deltas.c) or that of builds (builds.c).  Each source is worked on in a
 * transaction of its own (step.c).  Between transactions the worker holds
 * nothing; its first lock in each is the extension's, so that DROP EXTENSION
 * and the worker wait for each other there and cannot deadlock.
 *
 * Before it waits it has read its post's counter of wake-ups; before it
 * leaves it says so and reads it again (src/worker/README, "Waking").
 *
 * It runs as the bootstrap superuser: the engine switches to the extension's
 * owner for our tables and to a source's definer for expressions.  Its commits
 * are asynchronous: a crash takes back the result and the deletion of the
 * deltas together, or neither.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* The quantum: how long it works on while other databases wait for a worker. */
#define QUANTUM_MS 1000

/*
 * The batch delay after a pass is so many times as long as the pass took,
 * within this bound: commits gather meanwhile, and of a core the worker takes a
 * third at most while passes are short.
 */
#define BATCH_DELAY_FACTOR 2
#define MAX_BATCH_DELAY_MS 5

/* And after one that had nothing to do while sources are refreshed less often (pace.c). */
#define PACED_DELAY_MS 50

KpiWorker	kpi_worker_self;

static emit_log_hook_type previous_log_hook = NULL;

/* ---- beginning and end ---- */

/*
 * Ends this process because another has crashed.  The post says so, as the
 * postmaster takes a worker that dies without a word for the one (crash.c).
 */
static void
quit(SIGNAL_ARGS)
{
	if (kpi_worker_self.post != NULL)
		pg_atomic_write_u32(&kpi_worker_self.post->told_to_quit, 1);
	SignalHandlerForCrashExit(postgres_signal_arg);
}

/*
 * An error that nothing catches ends this process on SIGTERM (die): code of others
 * that runs here could keep a cancellation from it, and so the server from its
 * end.  It is nothing that an administrator has to see at each stop, though.
 */
static void
keep_end_out_of_log(ErrorData *error)
{
	if (error->elevel == FATAL && error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
		error->output_to_server = false;
	else if (previous_log_hook != NULL)
		previous_log_hook(error);
}

/*
 * Takes the post, if the launcher still means this start.  kpi_worker_self.post is
 * set before anybody can see that.
 */
static bool
take_post(const KpiWorkerOrder *order)
{
	KpiSlot    *slot = &kpi_shared->slots[order->slot];
	KpiPost    *post = &slot->posts[order->kind];
	uint32		starting = KPI_WORKER_STARTING;

	if (pg_atomic_read_u32(&slot->dbid) != order->dbid ||
		pg_atomic_read_u32(&post->ticket) != order->ticket)
		return false;
	kpi_worker_self.kind = order->kind;
	kpi_worker_self.slot = slot;
	kpi_worker_self.post = post;
	pg_atomic_exchange_u32(&post->procno, kpi_my_procno());
	if (!pg_atomic_compare_exchange_u32(&post->state, &starting, KPI_WORKER_AWAKE))
		return false;
	kpi_post_report(post, MyProcPid, "");
	return true;
}

/*
 * Leaves the post.  The other worker may wait for a source that this one had in
 * hand, or wait for this one to take its turn.
 */
static void
worker_exit(int code, Datum arg)
{
	KpiSlot    *slot = kpi_worker_self.slot;
	KpiPost    *post = kpi_worker_self.post;
	bool		had_source = pg_atomic_exchange_u32(&post->source_id, 0) != 0;

	if (kpi_worker_self.kind == KPI_WORKER_DELTAS)
	{
		pg_atomic_exchange_u32(&slot->wanted, 0);
		/* A blocked source may be due for a recheck, which nobody else knows. */
		if (kpi_worker_blocked_any())
			pg_atomic_fetch_add_u64(&slot->commands, 1);
	}
	else if (had_source)
		kpi_wake(DatumGetObjectId(arg), true);
	kpi_post_report(post, 0, "");
	pg_atomic_exchange_u32(&post->procno, KPI_NO_PROC);
	pg_atomic_exchange_u32(&post->state, KPI_WORKER_NONE);
	kpi_wake_launcher();
}

pg_noreturn static void
leave(KpiWorkerOutcome outcome)
{
	pg_atomic_exchange_u32(&kpi_worker_self.post->outcome, outcome);
	proc_exit(0);
}

/* ---- transactions ---- */

static void
set_option(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

void
kpi_worker_set_lock_timeout(int ms)
{
	static int	current = -1;
	char		value[16];

	if (ms == current)
		return;
	snprintf(value, sizeof(value), "%d", ms);
	set_option("lock_timeout", value);
	current = ms;
}

/* Says so once in the server's log; kpi.health() does all the time. */
static void
report_difference(void)
{
	if (pg_atomic_exchange_u32(&kpi_worker_self.slot->differs, 1) == 0)
		ereport(LOG,
				(errmsg("worker of database \"%s\" leaves: the library of extension \"pg_kpi\" and its objects are of different versions",
						get_database_name(MyDatabaseId)),
				 errdetail_internal("%s", kpi_extension_difference_text()),
				 errhint("%s", kpi_extension_difference_remedy())));
}

/*
 * Locks the extension until the end of the transaction; false if it is not the
 * one that this worker found first, or of another version than the library.  After DROP EXTENSION, even if it was
 * created again, everything this process has cached may be wrong, so it leaves.
 */
static bool
lock_extension(void)
{
	Oid			extension = get_extension_oid("pg_kpi", true);

	if (OidIsValid(extension))
	{
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		if (get_extension_oid("pg_kpi", true) != extension)
			extension = InvalidOid;
	}
	if (!OidIsValid(extension) || (OidIsValid(kpi_worker_self.extension) && kpi_worker_self.extension != extension))
	{
		kpi_worker_self.no_extension = true;
		return false;
	}
	kpi_worker_self.extension = extension;
	if (kpi_extension_difference() != 0)
	{
		report_difference();
		pg_atomic_exchange_u32(&kpi_worker_self.slot->confirmed, 1);
		kpi_worker_self.no_extension = kpi_worker_self.differs = true;
		return false;
	}
	pg_atomic_exchange_u32(&kpi_worker_self.slot->differs, 0);
	return true;
}

bool
kpi_worker_transaction(void (*body) (void))
{
	if (kpi_worker_self.error != NULL)
		FreeErrorData(kpi_worker_self.error);
	kpi_worker_self.error = NULL;

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (lock_extension())
			body();
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(kpi_worker_self.context);
		kpi_worker_self.error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		/* The cancelled work is over: the next one is not meant. */
		QueryCancelPending = false;
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(kpi_worker_self.context);
	pgstat_report_stat(false);
	return kpi_worker_self.error == NULL;
}

ErrorData *
kpi_worker_take_error(void)
{
	ErrorData  *error = kpi_worker_self.error;

	kpi_worker_self.error = NULL;
	return error;
}

/* ---- whether to go on ---- */

void
kpi_worker_absorb_interrupts(void)
{
	/* A cancellation is meant for work in hand, and there is none. */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

bool
kpi_worker_must_leave(void)
{
	return kpi_worker_self.leaving || kpi_worker_self.no_extension || !kpi_enabled ||
		(kpi_worker_self.kind == KPI_WORKER_BUILDS && kpi_max_workers == 1) ||
		kpi_is_evicted(MyDatabaseId);
}

bool
kpi_worker_quantum_is_over(void)
{
	uint32		waiting = pg_atomic_read_u32(&kpi_shared->waiting);

	if (kpi_worker_self.kind == KPI_WORKER_BUILDS)
		waiting += pg_atomic_read_u32(&kpi_shared->waiting_builds);
	return waiting > 0 &&
		TimestampDifferenceExceeds(kpi_worker_self.quantum_started, GetCurrentTimestamp(), QUANTUM_MS);
}

TimestampTz
kpi_worker_real_moment(TimestampTz moment, TimestampTz now)
{
	return moment == DT_NOEND ? DT_NOEND : now + (Max(moment, kpi_now()) - kpi_now());
}

/* ---- the loop ---- */

/*
 * Moments noted here mean nothing after a clock was set back, so this worker
 * leaves; the next one has none.
 */
static void
recheck_at_clocks(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz pretended;

	SetCurrentStatementStartTimestamp();
	pretended = kpi_now();
	if (TimestampDifferenceExceeds(now, kpi_worker_self.last_now, KPI_CLOCK_TOLERANCE_MS) ||
		TimestampDifferenceExceeds(pretended, kpi_worker_self.last_kpi_now, KPI_CLOCK_TOLERANCE_MS))
		kpi_worker_self.leaving = true;
	kpi_worker_self.last_now = now;
	kpi_worker_self.last_kpi_now = pretended;
}

/*
 * Leaves, unless somebody asked for work after the counter was read: he has seen
 * either that this worker is awake, and then the counter has moved, or that it is
 * not, and then he has woken the launcher.
 */
static void
try_to_leave(uint64 seen)
{
	KpiPost    *post = kpi_worker_self.post;

	pg_atomic_exchange_u32(&post->state, KPI_WORKER_LEAVING);
	if (pg_atomic_read_u64(&post->wakes) == seen)
		leave(KPI_WORKER_LEFT);
	pg_atomic_exchange_u32(&post->state, KPI_WORKER_AWAKE);
}

/*
 * Waits for the batch delay, not for the latch, which each commit sets: who
 * commits then need not wake this process.  Interrupts wait as long, too.
 */
static void
batch_delay_after(TimestampTz pass_started)
{
	long		ms = BATCH_DELAY_FACTOR *
	TimestampDifferenceMilliseconds(pass_started, GetCurrentTimestamp());

	if (pg_atomic_read_u32(&kpi_shared->waiting) == 0)
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min(ms, MAX_BATCH_DELAY_MS),
						 PG_WAIT_EXTENSION);
}

/* Does what is due, once, after so many wake-ups; false if there was nothing. */
static bool
pass(uint64 wakes)
{
	TimestampTz started = GetCurrentTimestamp();

	if (kpi_worker_self.kind == KPI_WORKER_BUILDS)
		return kpi_worker_builds_pass();
	if (!kpi_worker_deltas_pass(wakes))
	{
		/* What commits has to wait, too: it need not be looked at each time. */
		if (kpi_worker_pace_ms() > 0 && pg_atomic_read_u32(&kpi_shared->waiting) == 0)
			(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, PACED_DELAY_MS, PG_WAIT_EXTENSION);
		return false;
	}
	if (!kpi_worker_quantum_is_over())
		batch_delay_after(started);
	return true;
}

/*
 * Returns until when to wait for more.  Commits come again and again, builds do
 * not: the builder waits only for one that it knows will be due.
 */
static TimestampTz
leave_at(TimestampTz idle_since, TimestampTz due)
{
	TimestampTz at = TimestampTzPlusMilliseconds(idle_since, kpi_worker_idle_timeout);

	if (kpi_worker_self.kind == KPI_WORKER_BUILDS && due > at)
		return idle_since;
	return at;
}

/* Waits until something is due or asked for, or leaves. */
static void
wait_or_leave(uint64 seen, TimestampTz idle_since, TimestampTz due)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until = leave_at(idle_since, due);

	if (due <= now)
		return;
	if (now >= until || pg_atomic_read_u32(&kpi_shared->waiting) > 0)
	{
		try_to_leave(seen);
		return;
	}
	pgstat_report_stat(true);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 TimestampDifferenceMilliseconds(now, Min(due, until)), PG_WAIT_EXTENSION);
}

static void
work_and_wait(void)
{
	KpiPost    *post = kpi_worker_self.post;
	TimestampTz idle_since = kpi_worker_self.quantum_started = GetCurrentTimestamp();

	for (;;)
	{
		uint64		seen;
		TimestampTz due;

		ResetLatch(MyLatch);
		kpi_worker_absorb_interrupts();
		recheck_at_clocks();
		seen = pg_atomic_read_u64(&post->wakes);
		pg_memory_barrier();
		if (!kpi_worker_must_leave() && pass(seen) && !kpi_worker_quantum_is_over())
		{
			idle_since = GetCurrentTimestamp();
			continue;
		}
		if (kpi_worker_self.no_extension)
		{
			if (!kpi_worker_self.differs)
				kpi_worker_crash_forget(MyDatabaseId);
			pg_atomic_exchange_u64(&post->drained, seen);
			leave(kpi_worker_self.differs ? KPI_WORKER_DIFFERS : KPI_WORKER_NO_EXTENSION);
		}
		if (kpi_worker_must_leave() || kpi_worker_quantum_is_over())
		{
			/* Whatever is left is due at once for the next worker. */
			pg_atomic_exchange_u64(&post->next_due, GetCurrentTimestamp());
			leave(KPI_WORKER_LEFT);
		}
		due = kpi_worker_self.kind == KPI_WORKER_BUILDS ? kpi_worker_builder_next_due() :
			kpi_worker_deltas_next_due();
		pg_atomic_exchange_u64(&post->next_due, due);
		pg_atomic_exchange_u64(&post->drained, seen);
		if (pg_atomic_read_u64(&post->wakes) == seen)
			wait_or_leave(seen, idle_since, due);
	}
}

void
kpi_worker_main(Datum arg)
{
	KpiWorkerOrder order;
	KpiCrash	crash;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	kpi_am_worker = true;
	previous_log_hook = emit_log_hook;
	emit_log_hook = keep_end_out_of_log;

	/*
	 * A cancellation would be an error here; whoever wants us gone repeats
	 * it.
	 */
	pqsignal(SIGINT, SIG_IGN);
	pqsignal(SIGTERM, die);
	pqsignal(SIGQUIT, quit);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	/* The signal of a reload while this process was coming up is lost. */
	ConfigReloadPending = true;

	if (!take_post(&order))
		proc_exit(0);
	before_shmem_exit(worker_exit, ObjectIdGetDatum(order.dbid));
	if (kpi_is_evicted(order.dbid))
	{
		pg_atomic_exchange_u64(&kpi_worker_self.post->next_due, GetCurrentTimestamp());
		leave(KPI_WORKER_LEFT);
	}
	BackgroundWorkerInitializeConnectionByOid(order.dbid, InvalidOid, 0);
	pqsignal(SIGINT, StatementCancelHandler);

	set_option("application_name", "pg_kpi");
	/* What is the default for sessions of this database may stop a refresh. */
	set_option("default_transaction_isolation", "read committed");
	set_option("default_transaction_read_only", "off");
	if (KPI_HAVE_TRANSACTION_TIMEOUT)
		set_option("transaction_timeout", "0");
	set_option("synchronous_commit", "off");
	/* Our tables are small and not analyzed when it matters most: at first. */
	set_option("jit", "off");
	kpi_worker_self.context = AllocSetContextCreate(TopMemoryContext, "pg_kpi worker", ALLOCSET_DEFAULT_SIZES);
	if (order.kind == KPI_WORKER_DELTAS)
		kpi_worker_deltas_init();
	else
		kpi_worker_builds_init();
	SetCurrentStatementStartTimestamp();
	kpi_worker_self.last_now = GetCurrentTimestamp();
	kpi_worker_self.last_kpi_now = kpi_now();
	kpi_worker_self.crashed = kpi_worker_crash_find(MyDatabaseId, &crash);
	MemoryContextSwitchTo(kpi_worker_self.context);
	work_and_wait();
}
