/*-------------------------------------------------------------------------
 *
 * main.c
 *	  A database's worker: refreshes what is due, waits a while, leaves.
 *
 * Started by the launcher for one slot and one database.  Each source is
 * refreshed in a transaction of its own; an error in it is noted in another,
 * and the next source is worked on.  Rollup tables are written after that, in
 * the same manner.  Between transactions the worker holds
 * nothing; its first lock in each is the extension's, so that DROP EXTENSION
 * and the worker wait for each other there and cannot deadlock.
 *
 * Before it waits it has read the database's counter of wake-ups; before it
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
#include "calendar/calendar.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "refresh/refresh.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* The quantum: how long it works on while other databases wait for a worker. */
#define QUANTUM_MS 1000

/*
 * Commands that may concern sources' tables can be many, and there can be many
 * sources: between two rechecks there is a pause of so many times as long as
 * the recheck took, within these bounds.
 */
#define MIN_RECHECK_PAUSE_MS 1000
#define MAX_RECHECK_PAUSE_MS 30000
#define RECHECK_PAUSE_FACTOR 9

/*
 * The batch delay after a pass is so many times as long as the pass took,
 * within this bound: commits gather meanwhile, and of a core the worker takes a
 * third at most while passes are short.
 */
#define BATCH_DELAY_FACTOR 2
#define MAX_BATCH_DELAY_MS 5

/* When to follow the beginning of a day again after that failed. */
#define NEXT_DAY_RETRY_MS 60000

/* When to look again at goals whose rows somebody had locked. */
#define LOCKED_GOALS_RETRY_MS 250

/* Definitions that follow each other hold a build up so many times as long as one. */
#define MAX_BUILD_DELAYS 10

typedef struct KpiWorker
{
	KpiSlot    *slot;
	Oid			extension;		/* InvalidOid: not read yet */
	bool		no_extension;	/* gone, or never there */
	bool		leaving;
	bool		crashed;		/* the last ones have, since work was done */
	MemoryContext context;		/* of what follows, and of errors */
	MemoryContext due_context;	/* of due, reset when it is loaded */
	KpiAgenda  *due;			/* NULL: to be loaded */
	uint64		changes;		/* of definitions, when due was loaded */
	MemoryContext queued_context;
	Bitmapset  *queued;			/* sources with rows in the queue */
	TimestampTz next_recheck;	/* no recheck because of commands before */
	TimestampTz next_day;		/* by kpi_now(): when begin_day() is due */
	bool		goals_wait;		/* to be looked at once more */
	TimestampTz next_goals;		/* not before */
	TimestampTz last_now;		/* the clocks as they were last seen */
	TimestampTz last_kpi_now;
	KpiAgendaSource *source;	/* in hand */
	TimestampTz started;		/* its refresh, by the real clock */
	ErrorData  *error;			/* what ended the last transaction */
	ErrorData  *failure;		/* of the source in hand, to be noted */
} KpiWorker;

static KpiWorker worker;

/* ---- beginning and end ---- */

/*
 * Ends this process because another has crashed.  The slot says so, as the
 * postmaster takes a worker that dies without a word for the one (crash.c).
 */
static void
quit(SIGNAL_ARGS)
{
	if (worker.slot != NULL)
		pg_atomic_write_u32(&worker.slot->told_to_quit, 1);
	SignalHandlerForCrashExit(postgres_signal_arg);
}

/*
 * Takes the slot, if the launcher still means this start.  worker.slot is set
 * before anybody can see that.
 */
static bool
take_slot(const KpiWorkerOrder *order)
{
	KpiSlot    *slot = &kpi_shared->slots[order->slot];
	uint32		starting = KPI_WORKER_STARTING;

	if (pg_atomic_read_u32(&slot->dbid) != order->dbid ||
		pg_atomic_read_u32(&slot->ticket) != order->ticket)
		return false;
	worker.slot = slot;
	pg_atomic_exchange_u32(&slot->procno, kpi_my_procno());
	if (!pg_atomic_compare_exchange_u32(&slot->state, &starting, KPI_WORKER_AWAKE))
		return false;
	kpi_slot_report(slot, MyProcPid, "");
	return true;
}

static void
worker_exit(int code, Datum arg)
{
	KpiSlot    *slot = (KpiSlot *) DatumGetPointer(arg);

	/* A blocked source may be due for a recheck, which nobody else knows. */
	if (kpi_worker_blocked_any())
		pg_atomic_fetch_add_u64(&slot->commands, 1);
	kpi_slot_report(slot, 0, "");
	pg_atomic_exchange_u32(&slot->procno, KPI_NO_PROC);
	pg_atomic_exchange_u32(&slot->state, KPI_WORKER_NONE);
	kpi_wake_launcher();
}

pg_noreturn static void
leave(KpiWorkerOutcome outcome)
{
	pg_atomic_exchange_u32(&worker.slot->outcome, outcome);
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

/*
 * Locks the extension until the end of the transaction; false if it is not the
 * one that this worker found first.  After DROP EXTENSION, even if it was
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
	if (!OidIsValid(extension) || (OidIsValid(worker.extension) && worker.extension != extension))
	{
		worker.no_extension = true;
		return false;
	}
	worker.extension = extension;
	return true;
}

bool
kpi_worker_transaction(void (*body) (void))
{
	if (worker.error != NULL)
		FreeErrorData(worker.error);
	worker.error = NULL;

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
		MemoryContextSwitchTo(worker.context);
		worker.error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		/* The cancelled work is over: the next one is not meant. */
		QueryCancelPending = false;
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(worker.context);
	pgstat_report_stat(false);
	return worker.error == NULL;
}

ErrorData *
kpi_worker_take_error(void)
{
	ErrorData  *error = worker.error;

	worker.error = NULL;
	return error;
}

/* ---- what is due ---- */

/* Makes blocked sources due: they were when they met a lock, maybe for a recheck. */
static void
blocked_are_due(void)
{
	ListCell   *lc;

	foreach(lc, worker.due->sources)
	{
		KpiAgendaSource *source = lfirst(lc);

		if (kpi_worker_is_blocked(source->id))
			source->at = DT_NOBEGIN;
	}
}

static void
look(void)
{
	MemoryContext old;

	if (worker.due == NULL)
	{
		MemoryContextReset(worker.due_context);
		old = MemoryContextSwitchTo(worker.due_context);
		worker.due = kpi_worker_agenda_load();
		MemoryContextSwitchTo(old);
		blocked_are_due();
	}
	MemoryContextReset(worker.queued_context);
	old = MemoryContextSwitchTo(worker.queued_context);
	worker.queued = kpi_worker_agenda_queued();
	MemoryContextSwitchTo(old);
	worker.goals_wait = kpi_goal_recheck_waits();
	pg_atomic_exchange_u32(&worker.slot->confirmed, 1);
}

/* Follows the beginning of a day; a new worker does so at once. */
static void
begin_day(void)
{
	kpi_calendar_day_follow();
	kpi_goal_notify_days();
	kpi_worker_rollups_redefined();
	worker.next_day = kpi_worker_agenda_next_day(kpi_now());
}

/* Logs the error and tries again later: it keeps no source back. */
static void
begin_day_failed(void)
{
	if (kpi_error_class(worker.error) != KPI_ERROR_CONFLICT &&
		worker.error->sqlerrcode != ERRCODE_QUERY_CANCELED)
		ereport(LOG,
				(errcode(worker.error->sqlerrcode),
				 errmsg("could not follow the beginning of a day: %s", worker.error->message),
				 worker.error->context ? errcontext("%s", worker.error->context) : 0));
	worker.next_day = TimestampTzPlusMilliseconds(kpi_now(), NEXT_DAY_RETRY_MS);
}

static void
recheck_goals(void)
{
	worker.goals_wait = kpi_goal_recheck();
}

/* An error, as of a goal that was dropped meanwhile, leaves the list as it was. */
static void
look_at_goals(void)
{
	if (!kpi_worker_transaction(recheck_goals))
		ereport(DEBUG1,
				(errmsg("could not look at goals once more: %s", worker.error->message)));
	worker.next_goals = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOCKED_GOALS_RETRY_MS);
}

/* ---- sources ---- */

static void
refresh_source(void)
{
	List	   *ids;
	KpiRunResult result;

	worker.started = GetCurrentTimestamp();
	ids = kpi_refresh_lock_sources(worker.source->id);

	result = kpi_refresh_source(linitial_int(ids), KPI_RUN_REFRESH, NULL);
	if (result != KPI_RUN_DONE && result != KPI_RUN_MORE)
		worker.due = NULL;
}

static void
count_yield(void)
{
	kpi_worker_failure_count_yield(worker.source->id);
}

/* Blocks the source in hand for a while: who waited may have more to do. */
static void
yield_to(int waiter)
{
	int			pause_ms;

	(void) kpi_worker_transaction(count_yield);
	pause_ms = kpi_worker_blocked_to_yield(worker.source->id, worker.source->yields);
	ereport(LOG,
			(errmsg("refresh of source \"%s\" gave way to process %d, which waited for a table",
					worker.source->name, waiter),
			 errdetail("It begins again after %d ms.", pause_ms)));
}

/* Notes the error in the source's state; in the log only if it is another one. */
static void
note_failure(void)
{
	const ErrorData *error = worker.failure;
	bool		known = kpi_worker_failure_note(worker.source->id, worker.started, error);

	ereport(known ? DEBUG1 : LOG,
			(errcode(error->sqlerrcode),
			 errmsg("refresh of source \"%s\" failed: %s", worker.source->name, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0,
			 error->context ? errcontext("%s", error->context) : 0));
}

/* Does what follows from worker.error, which ended the refresh in hand. */
static void
source_failed(void)
{
	int			waiter = kpi_worker_waiters_cancelled(worker.slot);

	worker.failure = kpi_worker_take_error();
	worker.due = NULL;
	if (worker.failure->sqlerrcode == ERRCODE_QUERY_CANCELED && kpi_is_evicted(MyDatabaseId))
		worker.leaving = true;
	else if (worker.failure->sqlerrcode == ERRCODE_QUERY_CANCELED && waiter != 0)
		yield_to(waiter);
	else if (kpi_error_class(worker.failure) == KPI_ERROR_CONFLICT || !kpi_worker_transaction(note_failure))
		kpi_worker_blocked_by_lock(worker.source->id);
	FreeErrorData(worker.failure);
	worker.failure = NULL;
}

static void
say(const char *source)
{
	char	   *activity;

	kpi_slot_report(worker.slot, MyProcPid, source ? source : "");
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

static void
work_on(KpiAgendaSource *source)
{
	worker.source = source;
	kpi_worker_set_lock_timeout(kpi_worker_blocked_lock_timeout(source->id));
	kpi_worker_waiters_begin(worker.slot, source->yields);
	say(source->name);
	pg_atomic_write_u32(&worker.slot->source_id, source->id);
	if (kpi_worker_transaction(refresh_source))
	{
		kpi_worker_agenda_done(source, bms_is_member(source->id, worker.queued));
		kpi_worker_blocked_release(source->id);
	}
	else
		source_failed();
	pg_atomic_write_u32(&worker.slot->source_id, 0);
	worker.source = NULL;
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
	return worker.leaving || worker.no_extension || !kpi_enabled || kpi_is_evicted(MyDatabaseId);
}

/* ---- the loop ---- */

/* Checks whether another database should have this worker's place now. */
static bool
quantum_is_over(TimestampTz started)
{
	return pg_atomic_read_u32(&kpi_shared->waiting) > 0 &&
		TimestampDifferenceExceeds(started, GetCurrentTimestamp(), QUANTUM_MS);
}

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
	if (TimestampDifferenceExceeds(now, worker.last_now, KPI_CLOCK_TOLERANCE_MS) ||
		TimestampDifferenceExceeds(pretended, worker.last_kpi_now, KPI_CLOCK_TOLERANCE_MS))
		worker.leaving = true;
	worker.last_now = now;
	worker.last_kpi_now = pretended;
}

/*
 * Returns when sources with new measures may be built: those that are
 * defined one after the other are built together.  Somebody who never stops
 * defining does not hold that up for ever, nor does a clock that was set back.
 */
static TimestampTz
build_at(TimestampTz now)
{
	TimestampTz last = (TimestampTz) pg_atomic_read_u64(&worker.slot->defined_at);
	TimestampTz since = (TimestampTz) pg_atomic_read_u64(&worker.slot->defining_since);

	if (TimestampDifferenceExceeds(now, last, KPI_CLOCK_TOLERANCE_MS))
		return now;
	return Min(TimestampTzPlusMilliseconds(last, kpi_build_delay),
			   TimestampTzPlusMilliseconds(since, (int64) kpi_build_delay * MAX_BUILD_DELAYS));
}

/* Returns when, by the real clock, a source that is due may be worked on. */
static TimestampTz
not_before(const KpiAgendaSource *source, TimestampTz now)
{
	TimestampTz moment = kpi_worker_blocked_until(source->id);

	return source->must_build ? Max(moment, build_at(now)) : moment;
}

/* Checks whether commands came after which the sources are to be rechecked now. */
static bool
must_recheck(uint64 commands)
{
	return pg_atomic_read_u64(&worker.slot->rechecked) != commands &&
		GetCurrentTimestamp() >= worker.next_recheck;
}

/* Returns when the next recheck may begin. */
static TimestampTz
after_recheck(TimestampTz started)
{
	TimestampTz now = GetCurrentTimestamp();
	long		pause_ms = RECHECK_PAUSE_FACTOR * TimestampDifferenceMilliseconds(started, now);

	return TimestampTzPlusMilliseconds(now, Max(MIN_RECHECK_PAUSE_MS, Min(pause_ms, MAX_RECHECK_PAUSE_MS)));
}

/*
 * Refreshes what is due, once; false if there was nothing.  Errors outside a
 * source, other than that somebody has locked our tables or cancelled it, end
 * the worker: the launcher starts another after a while.
 */
static bool
work(TimestampTz quantum_started)
{
	bool		worked = false;
	bool		complete = true;	/* no source was left for the next pass */
	bool		all = true;		/* none that was due was left for later */
	bool		looking;
	uint64		commands = pg_atomic_read_u64(&worker.slot->commands);
	uint64		changes = pg_atomic_read_u64(&worker.slot->changes);
	TimestampTz recheck_started;
	List	   *sources;
	ListCell   *lc;

	if (changes != worker.changes)
	{
		worker.due = NULL;
		kpi_worker_rollups_redefined();
	}
	worker.changes = changes;
	kpi_worker_set_lock_timeout(KPI_MAX_LOCK_TIMEOUT_MS);
	if (kpi_now() >= worker.next_day && !kpi_worker_transaction(begin_day))
		begin_day_failed();
	if (!kpi_worker_transaction(look))
	{
		if (kpi_error_class(worker.error) == KPI_ERROR_CONFLICT ||
			worker.error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			return true;
		ReThrowError(worker.error);
	}
	if (worker.no_extension)
		return false;
	if (worker.goals_wait && GetCurrentTimestamp() >= worker.next_goals)
		look_at_goals();

	looking = must_recheck(commands);
	if (looking)
		kpi_worker_agenda_recheck(worker.due);
	recheck_started = GetCurrentTimestamp();
	sources = worker.due->sources;
	foreach(lc, sources)
	{
		KpiAgendaSource *source = lfirst(lc);

		kpi_worker_absorb_interrupts();
		complete = !kpi_worker_must_leave() && !(worked && quantum_is_over(quantum_started));
		if (!complete)
			break;
		SetCurrentStatementStartTimestamp();
		if (!kpi_worker_agenda_is_due(source, worker.queued, kpi_now()))
			continue;
		if (not_before(source, GetCurrentTimestamp()) > GetCurrentTimestamp())
		{
			all = false;
			continue;
		}
		work_on(source);
		worked = true;
	}
	if (looking && complete)
	{
		pg_atomic_exchange_u64(&worker.slot->rechecked, commands);
		worker.next_recheck = after_recheck(recheck_started);
	}
	if (worker.crashed && complete && all && !kpi_worker_blocked_any())
	{
		kpi_worker_crash_forget(MyDatabaseId);
		worker.crashed = false;
	}
	if (kpi_worker_rollups_due_at() <= kpi_now())
		worked |= kpi_worker_rollups_write();
	if (worked)
		say(NULL);
	return worked;
}

/*
 * Returns when this database has work again without any commit, by the real clock:
 * a blocked source can be tried, or a moment of kpi_now() comes.
 */
static TimestampTz
next_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	TimestampTz moment;
	ListCell   *lc;

	if (worker.due == NULL)
		return now;
	if (pg_atomic_read_u64(&worker.slot->rechecked) != pg_atomic_read_u64(&worker.slot->commands))
		next = worker.next_recheck;
	if (worker.goals_wait)
		next = Min(next, worker.next_goals);
	foreach(lc, worker.due->sources)
	{
		KpiAgendaSource *source = lfirst(lc);

		moment = kpi_worker_agenda_due_at(source, worker.queued);
		if (moment == DT_NOEND)
			continue;
		SetCurrentStatementStartTimestamp();
		moment = now + (Max(moment, kpi_now()) - kpi_now());
		next = Min(next, Max(moment, not_before(source, now)));
	}
	moment = kpi_worker_rollups_due_at();
	if (moment != DT_NOEND)
		next = Min(next, now + (Max(moment, kpi_now()) - kpi_now()));
	return Min(next, now + (worker.next_day - kpi_now()));
}

/*
 * Leaves, unless a commit came after the counter was read: it has seen either
 * that this worker is awake, and then the counter has moved, or that it is
 * not, and then it has woken the launcher.
 */
static void
try_to_leave(uint64 seen)
{
	pg_atomic_exchange_u32(&worker.slot->state, KPI_WORKER_LEAVING);
	if (pg_atomic_read_u64(&worker.slot->wakes) == seen)
		leave(KPI_WORKER_LEFT);
	pg_atomic_exchange_u32(&worker.slot->state, KPI_WORKER_AWAKE);
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

static void
work_and_wait(void)
{
	TimestampTz quantum_started = GetCurrentTimestamp();
	TimestampTz idle_since = quantum_started;

	for (;;)
	{
		TimestampTz pass_started = GetCurrentTimestamp();
		uint64		seen;
		TimestampTz due;
		TimestampTz leave_at;
		TimestampTz now;

		ResetLatch(MyLatch);
		kpi_worker_absorb_interrupts();
		recheck_at_clocks();
		seen = pg_atomic_read_u64(&worker.slot->wakes);
		pg_memory_barrier();
		if (!kpi_worker_must_leave() && work(quantum_started) && !quantum_is_over(quantum_started))
		{
			batch_delay_after(pass_started);
			idle_since = GetCurrentTimestamp();
			continue;
		}
		if (worker.no_extension)
		{
			kpi_worker_crash_forget(MyDatabaseId);
			pg_atomic_exchange_u64(&worker.slot->drained, seen);
			leave(KPI_WORKER_NO_EXTENSION);
		}

		if (kpi_worker_must_leave() || quantum_is_over(quantum_started))
		{
			/* Whatever is left is due at once for the next worker. */
			pg_atomic_exchange_u64(&worker.slot->next_due, GetCurrentTimestamp());
			leave(KPI_WORKER_LEFT);
		}
		due = next_due();
		pg_atomic_exchange_u64(&worker.slot->next_due, due);
		pg_atomic_exchange_u64(&worker.slot->drained, seen);
		if (pg_atomic_read_u64(&worker.slot->wakes) != seen)
			continue;

		now = GetCurrentTimestamp();
		leave_at = TimestampTzPlusMilliseconds(idle_since, kpi_worker_idle_timeout);
		if (due > now && (now >= leave_at || pg_atomic_read_u32(&kpi_shared->waiting) > 0))
			try_to_leave(seen);
		else if (due > now)
		{
			pgstat_report_stat(true);
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 TimestampDifferenceMilliseconds(now, Min(due, leave_at)), PG_WAIT_EXTENSION);
		}
	}
}

void
kpi_worker_main(Datum arg)
{
	KpiWorkerOrder order;
	KpiCrash	crash;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	kpi_am_worker = true;

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

	if (!take_slot(&order))
		proc_exit(0);
	before_shmem_exit(worker_exit, PointerGetDatum(worker.slot));
	if (kpi_is_evicted(order.dbid))
	{
		pg_atomic_exchange_u64(&worker.slot->next_due, GetCurrentTimestamp());
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
	worker.context = AllocSetContextCreate(TopMemoryContext, "pg_kpi worker", ALLOCSET_DEFAULT_SIZES);
	worker.due_context = AllocSetContextCreate(worker.context, "pg_kpi worker sources",
											   ALLOCSET_DEFAULT_SIZES);
	worker.queued_context = AllocSetContextCreate(worker.context, "pg_kpi worker queue",
												  ALLOCSET_SMALL_SIZES);
	worker.next_day = DT_NOBEGIN;
	worker.next_goals = DT_NOBEGIN;
	SetCurrentStatementStartTimestamp();
	worker.last_now = GetCurrentTimestamp();
	worker.last_kpi_now = kpi_now();
	worker.changes = 0;
	worker.crashed = kpi_worker_crash_find(MyDatabaseId, &crash);
	MemoryContextSwitchTo(worker.context);
	work_and_wait();
}
