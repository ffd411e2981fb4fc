/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The launcher: which databases have the extension, and which of them get
 *	  a worker now.
 *
 * One process per cluster, started after recovery.  It is connected to no
 * database and reads pg_database only.  Whether a database has the extension
 * is found out by a worker in it, which leaves at once if not; after a start
 * of the server every database is asked, one at a time.  Later ones announce
 * themselves (base/wake.c, utility.c).
 *
 * It alone gives slots to databases and takes them away.  When there are more
 * databases than slots, one whose worker has left long ago loses its slot; it
 * gets one again by its next commit, or when its turn comes.  A database whose
 * worker crashed gets none until it may be tried again (crash.c).
 *
 * What it knows besides shared memory is in "attendances", and can be lost:
 * when the launcher restarts, the slots are still there.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/base.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* After a worker failed: 1 s, doubled each time, up to a minute. */
#define MAX_RESTART_SECONDS 60

/* How often to try again when no background worker can be had, and to say so. */
#define NO_WORKER_WAIT_MS 1000
#define NO_WORKER_LOG_MS (60 * 60 * 1000)

/* However far the next event is: the clock may be set forward meanwhile. */
#define MAX_SLEEP_MS 60000

/* How long a worker may take to come up, if its handle was lost. */
#define START_TIMEOUT_MS 10000

/* What the launcher itself knows of the worker of a slot. */
typedef struct Attendance
{
	BackgroundWorkerHandle *handle; /* until the postmaster has seen its end */
	bool		probing;		/* to find out whether the extension is there */
	bool		outdated;		/* runs by settings that have changed since */
	int			failures;		/* workers that failed, in a row */
	TimestampTz not_before;		/* of the next start */
	TimestampTz waiting_since;	/* 0: nothing to do */
	TimestampTz left_at;
} Attendance;

static Attendance *attendances;
static List *probes = NIL;		/* databases to be asked */
static List *slotless = NIL;	/* those known to have the extension */
static TimestampTz next_quantum = 0;	/* of the first of them */
static TimestampTz no_worker_logged = 0;

/* ---- databases ---- */

static void
begin_transaction(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end_transaction(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(TopMemoryContext);
}

static bool
is_connectable(Form_pg_database database)
{
	return database->datallowconn && !KPI_DATABASE_IS_INVALID(database);
}

/* Puts every database that has no slot on the list of those to be asked. */
static void
search_all(void)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	MemoryContext old;

	begin_transaction();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	old = MemoryContextSwitchTo(TopMemoryContext);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (is_connectable(database) && kpi_slot_find(database->oid) == NULL)
			probes = list_append_unique_oid(probes, database->oid);
	}
	MemoryContextSwitchTo(old);
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	end_transaction();
}

/* Reads a database's name; false if it is gone or takes no connections. */
static bool
database_name(Oid dbid, char *name)
{
	HeapTuple	tuple;
	bool		result = false;

	begin_transaction();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dbid));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		result = is_connectable(database);
		strlcpy(name, NameStr(database->datname), NAMEDATALEN);
		ReleaseSysCache(tuple);
	}
	end_transaction();
	return result;
}

/* ---- slots ---- */

static Oid
slot_database(int i)
{
	return pg_atomic_read_u32(&kpi_shared->slots[i].dbid);
}

static bool
is_running(int i)
{
	return pg_atomic_read_u32(&kpi_shared->slots[i].state) != KPI_WORKER_NONE ||
		attendances[i].handle != NULL;
}

static bool
has_wakes(int i)
{
	KpiSlot    *slot = &kpi_shared->slots[i];

	return pg_atomic_read_u64(&slot->wakes) != pg_atomic_read_u64(&slot->drained);
}

static TimestampTz
slot_due(int i)
{
	return (TimestampTz) pg_atomic_read_u64(&kpi_shared->slots[i].next_due);
}

/*
 * Takes the slot from its database.  A commit reads the database after raising
 * the counter, and this reads the counter after clearing the database: either
 * the commit announces itself, or it is seen here.
 */
static void
free_slot(int i)
{
	KpiSlot    *slot = &kpi_shared->slots[i];
	Oid			dbid = pg_atomic_exchange_u32(&slot->dbid, InvalidOid);

	if (has_wakes(i))
		probes = lcons_oid(dbid, probes);
	memset(&attendances[i], 0, sizeof(Attendance));
}

/* Frees the slot of a database that is gone: nobody can commit there. */
static void
forget_slot(int i)
{
	pg_atomic_exchange_u32(&kpi_shared->slots[i].dbid, InvalidOid);
	memset(&attendances[i], 0, sizeof(Attendance));
}

static void
give_slot(int i, Oid dbid)
{
	KpiSlot    *slot = &kpi_shared->slots[i];

	memset(&attendances[i], 0, sizeof(Attendance));
	attendances[i].probing = true;
	pg_atomic_exchange_u32(&slot->confirmed, 0);
	pg_atomic_exchange_u32(&slot->outcome, KPI_WORKER_LEFT);
	pg_atomic_exchange_u64(&slot->next_due, DT_NOEND);
	pg_atomic_exchange_u64(&slot->defined_at, 0);
	pg_atomic_exchange_u64(&slot->defining_since, 0);
	/* Commands that came while it had none were counted nowhere. */
	pg_atomic_exchange_u64(&slot->rechecked, pg_atomic_read_u64(&slot->commands) - 1);
	pg_atomic_exchange_u64(&slot->drained, pg_atomic_read_u64(&slot->wakes));
	pg_atomic_exchange_u32(&slot->dbid, dbid);
	kpi_wake(dbid, true);
	slotless = list_delete_oid(slotless, dbid);
}

/*
 * Finds a free slot, or takes the one whose database has been without work for
 * the longest time; -1 if all are busy.
 */
static int
find_slot(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int			oldest = -1;

	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		if (!OidIsValid(slot_database(i)))
			return i;
		if (!is_running(i) && !has_wakes(i) && slot_due(i) > now &&
			(oldest < 0 || attendances[i].left_at < attendances[oldest].left_at))
			oldest = i;
	}
	if (oldest >= 0)
	{
		slotless = list_append_unique_oid(slotless, slot_database(oldest));
		free_slot(oldest);
	}
	return oldest;
}

static bool
is_probing(void)
{
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		if (attendances[i].probing && OidIsValid(slot_database(i)))
			return true;
	}
	return false;
}

/* Has databases that announced themselves asked before others. */
static void
take_announcements(void)
{
	for (int i = 0; i < KPI_ANNOUNCEMENTS; i++)
	{
		Oid			dbid = pg_atomic_read_u32(&kpi_shared->announced[i]);

		if (!OidIsValid(dbid))
			continue;
		pg_atomic_exchange_u32(&kpi_shared->announced[i], InvalidOid);
		if (kpi_slot_find(dbid) != NULL)
			kpi_wake(dbid, true);
		else
		{
			probes = list_delete_oid(probes, dbid);
			probes = lcons_oid(dbid, probes);
		}
	}
	if (pg_atomic_exchange_u32(&kpi_shared->search_all, 0) != 0)
		search_all();
}

/* Returns the database to be asked next; one whose worker crashed waits its time. */
static Oid
database_to_ask(TimestampTz now)
{
	ListCell   *lc;

	foreach(lc, probes)
	{
		if (kpi_worker_crash_retry_at(lfirst_oid(lc), now) <= now)
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

/* Asks one database after the other, after kpi.naptime also those without slot. */
static void
next_probe(TimestampTz now)
{
	int			slot;
	Oid			dbid;

	if (slotless != NIL && now >= next_quantum)
	{
		probes = list_append_unique_oid(probes, linitial_oid(slotless));
		slotless = list_delete_first(slotless);
		next_quantum = TimestampTzPlusMilliseconds(now, (int64) kpi_naptime * 1000);
	}
	while (!is_probing() && OidIsValid(dbid = database_to_ask(now)))
	{
		if (kpi_slot_find(dbid) == NULL)
		{
			slot = find_slot();
			if (slot < 0)
				return;
			give_slot(slot, dbid);
		}
		probes = list_delete_oid(probes, dbid);
	}
}

/* ---- workers ---- */

/* Gives up a worker that was asked for and has ended before it began. */
static void
give_up_start(int i)
{
	uint32		starting = KPI_WORKER_STARTING;

	if (pg_atomic_compare_exchange_u32(&kpi_shared->slots[i].state, &starting, KPI_WORKER_NONE))
		pg_atomic_exchange_u32(&kpi_shared->slots[i].outcome, KPI_WORKER_FAILED);
}

static void
worker_ended(int i, TimestampTz now)
{
	KpiSlot    *slot = &kpi_shared->slots[i];
	Attendance *att = &attendances[i];

	att->probing = false;
	att->left_at = now;
	if (att->outdated)
		pg_atomic_exchange_u64(&slot->next_due, now);
	att->outdated = false;
	switch ((KpiWorkerOutcome) pg_atomic_exchange_u32(&slot->outcome, KPI_WORKER_LEFT))
	{
		case KPI_WORKER_NO_EXTENSION:
			/* It may have been created just after the worker had looked. */
			if (!has_wakes(i))
				free_slot(i);
			break;
		case KPI_WORKER_LEFT:
			att->failures = 0;
			break;
		case KPI_WORKER_FAILED:
			/* One that has worked for long has mended what was wrong before. */
			if (TimestampDifferenceExceeds(slot->started, now, 1000 * MAX_RESTART_SECONDS))
				att->failures = 0;
			att->failures = Min(att->failures + 1, 10);
			att->not_before = TimestampTzPlusMilliseconds(now, 1000 * Min(1 << (att->failures - 1),
																		  MAX_RESTART_SECONDS));
			/* It may have taken wake-ups with it. */
			pg_atomic_exchange_u64(&slot->next_due, now);
			break;
	}
}

static void
recheck_after_workers(TimestampTz now)
{
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		KpiSlot    *slot = &kpi_shared->slots[i];
		Attendance *att = &attendances[i];
		bool		ended = false;
		pid_t		pid;

		if (att->probing && pg_atomic_read_u32(&slot->confirmed) != 0)
			att->probing = false;
		if (att->handle != NULL && GetBackgroundWorkerPid(att->handle, &pid) == BGWH_STOPPED)
		{
			pfree(att->handle);
			att->handle = NULL;
			ended = true;
		}
		if (ended || (att->handle == NULL &&
					  TimestampDifferenceExceeds(slot->started, now, START_TIMEOUT_MS)))
			give_up_start(i);
		/* One that an earlier launcher has started has no handle. */
		if (att->handle == NULL && pg_atomic_read_u32(&slot->state) == KPI_WORKER_NONE &&
			(ended || pg_atomic_read_u32(&slot->outcome) != KPI_WORKER_LEFT))
			worker_ended(i, now);
	}
}

static bool
has_no_worker(void)
{
	return pg_atomic_read_u64(&kpi_shared->no_worker_since) != 0;
}

static bool
register_worker(int i, Oid dbid, const char *database)
{
	KpiSlot    *slot = &kpi_shared->slots[i];
	KpiWorkerOrder order = {.slot = i,.dbid = dbid};
	BackgroundWorker bgw;

	order.ticket = pg_atomic_add_fetch_u32(&slot->ticket, 1);
	memset(&bgw, 0, sizeof(bgw));
	bgw.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	bgw.bgw_start_time = BgWorkerStart_RecoveryFinished;
	bgw.bgw_restart_time = BGW_NEVER_RESTART;
	bgw.bgw_notify_pid = MyProcPid;
	strlcpy(bgw.bgw_library_name, "pg_kpi", BGW_MAXLEN);
	strlcpy(bgw.bgw_function_name, "kpi_worker_main", BGW_MAXLEN);
	strlcpy(bgw.bgw_type, "pg_kpi worker", BGW_MAXLEN);
	snprintf(bgw.bgw_name, BGW_MAXLEN, "pg_kpi worker %s", database);
	memcpy(bgw.bgw_extra, &order, sizeof(order));
	return RegisterDynamicBackgroundWorker(&bgw, &attendances[i].handle);
}

/*
 * Starts the worker of a slot; false: there is no place for another one in the
 * server.  A command that wants the database for itself notes that first and then
 * reads the state, and here it is the other way round: one of the two sees the
 * other.
 */
static bool
start_worker(int i)
{
	KpiSlot    *slot = &kpi_shared->slots[i];
	Oid			dbid = slot_database(i);
	char		name[NAMEDATALEN];

	if (!database_name(dbid, name))
	{
		forget_slot(i);
		return true;
	}
	SpinLockAcquire(&slot->mutex);
	slot->started = slot->since = GetCurrentTimestamp();
	SpinLockRelease(&slot->mutex);
	pg_atomic_exchange_u32(&slot->outcome, KPI_WORKER_FAILED);
	pg_atomic_exchange_u64(&slot->next_due, DT_NOEND);
	pg_atomic_exchange_u32(&slot->state, KPI_WORKER_STARTING);
	if (!kpi_is_evicted(dbid) && register_worker(i, dbid, name))
	{
		attendances[i].waiting_since = 0;
		return true;
	}
	pg_atomic_exchange_u32(&slot->state, KPI_WORKER_NONE);
	pg_atomic_exchange_u32(&slot->outcome, KPI_WORKER_LEFT);
	pg_atomic_exchange_u64(&slot->next_due, GetCurrentTimestamp());
	return kpi_is_evicted(dbid);
}

/* Finds the slot that has waited for a worker for the longest time, or -1. */
static int
next_waiting(TimestampTz now, int *nrunning, int *nwaiting)
{
	int			first = -1;

	*nrunning = *nwaiting = 0;
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		Attendance *att = &attendances[i];

		if (!OidIsValid(slot_database(i)))
			continue;
		if (is_running(i))
		{
			(*nrunning)++;
			continue;
		}
		if ((!has_wakes(i) && slot_due(i) > now) || att->not_before > now ||
			kpi_is_evicted(slot_database(i)))
			continue;
		if (att->waiting_since == 0)
			att->waiting_since = now;
		(*nwaiting)++;
		if (first < 0 || att->waiting_since < attendances[first].waiting_since)
			first = i;
	}
	return first;
}

static void
wake_workers(void)
{
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		uint32		procno = pg_atomic_read_u32(&kpi_shared->slots[i].procno);

		if (procno != KPI_NO_PROC)
			SetLatch(&GetPGProcByNumber(procno)->procLatch);
	}
}

/*
 * Notes since when a database waits in vain.  Where two share the only place,
 * this comes and goes each second, so the log hears of it once an hour.
 */
static void
report_no_worker(bool no_worker, TimestampTz now)
{
	if (!no_worker)
		pg_atomic_exchange_u64(&kpi_shared->no_worker_since, 0);
	else if (!has_no_worker())
		pg_atomic_exchange_u64(&kpi_shared->no_worker_since, now);

	if (!no_worker || (no_worker_logged != 0 &&
					   !TimestampDifferenceExceeds(no_worker_logged, now, NO_WORKER_LOG_MS)))
		return;
	no_worker_logged = now;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no background worker is free for pg_kpi"),
			 errdetail("Databases wait until there is one."),
			 errhint("Raise max_worker_processes and restart the server.")));
}

/* Starts workers as long as there are places; others' workers hear of it. */
static void
start_workers(TimestampTz now)
{
	bool		no_worker = false;
	int			nrunning;
	int			nwaiting;
	int			next;

	while ((next = next_waiting(now, &nrunning, &nwaiting)) >= 0 && nrunning < kpi_max_workers)
	{
		if (start_worker(next))
			continue;
		no_worker = true;
		break;
	}
	report_no_worker(no_worker, now);
	if (pg_atomic_exchange_u32(&kpi_shared->waiting, nwaiting) == 0 && nwaiting > 0)
		wake_workers();
}

/* ---- the loop ---- */

/*
 * Forgets moments that were noted: they mean nothing any more, as the clock was
 * set back or settings have changed (kpi.now is one).  Each database becomes due.
 * One that is running may leave before it has heard of that, and note another
 * such moment: whatever it notes, the database gets the next one, too.
 */
static void
forget_moments(TimestampTz now)
{
	next_quantum = now;
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		if (!OidIsValid(slot_database(i)))
			continue;
		attendances[i].outdated = is_running(i);
		attendances[i].not_before = 0;
		attendances[i].left_at = Min(attendances[i].left_at, now);
		attendances[i].waiting_since = Min(attendances[i].waiting_since, now);
		pg_atomic_exchange_u64(&kpi_shared->slots[i].next_due, now);
	}
}

static long
time_to_wait(TimestampTz now)
{
	TimestampTz until = kpi_worker_waiters_next_recheck(now);
	ListCell   *lc;

	foreach(lc, probes)
	{
		TimestampTz retry_at = kpi_worker_crash_retry_at(lfirst_oid(lc), now);

		if (retry_at > now)
			until = Min(until, retry_at);
	}
	if (slotless != NIL)
		until = Min(until, next_quantum);
	if (has_no_worker())
		until = Min(until, TimestampTzPlusMilliseconds(now, NO_WORKER_WAIT_MS));
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		TimestampTz due;

		if (!OidIsValid(slot_database(i)))
			continue;
		if (is_running(i))
			continue;
		due = Max(has_wakes(i) ? now : slot_due(i), attendances[i].not_before);
		/* What is due already waits for another event. */
		if (due > now)
			until = Min(until, due);
	}
	if (until == DT_NOEND)
		return -1;
	until = Min(until, TimestampTzPlusMilliseconds(now, MAX_SLEEP_MS));
	return Max(TimestampDifferenceMilliseconds(now, until), 1);
}

static void
launcher_exit(int code, Datum arg)
{
	pg_atomic_exchange_u32(&kpi_shared->launcher_procno, KPI_NO_PROC);
	pg_atomic_exchange_u32(&kpi_shared->launcher_pid, 0);
}

static void
launch_and_wait(void)
{
	TimestampTz last = 0;

	search_all();
	while (!ShutdownRequestPending)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool		forget = TimestampDifferenceExceeds(now, last, KPI_CLOCK_TOLERANCE_MS);
		long		timeout;

		ResetLatch(MyLatch);
		QueryCancelPending = false;
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			forget = true;
		}
		if (forget)
			forget_moments(now);
		last = now;
		recheck_after_workers(now);
		kpi_worker_waiters_serve(now);
		timeout = -1;
		if (kpi_enabled)
		{
			take_announcements();
			next_probe(now);
			start_workers(now);
			timeout = time_to_wait(now);
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout >= 0 ? WL_TIMEOUT : 0),
						 timeout, PG_WAIT_EXTENSION);
	}
}

/*
 * Exits with 1, so that the postmaster starts it again after
 * pg_terminate_backend(); at shutdown it does not.
 */
void
kpi_worker_launcher_main(Datum arg)
{
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	/* The signal of a reload while this process was coming up is lost. */
	ConfigReloadPending = true;
	BackgroundWorkerInitializeConnectionByOid(InvalidOid, InvalidOid, 0);

	MemoryContextSwitchTo(TopMemoryContext);
	attendances = palloc0(sizeof(Attendance) * kpi_shared->nslots);
	before_shmem_exit(launcher_exit, (Datum) 0);
	pg_atomic_exchange_u64(&kpi_shared->launcher_since, GetCurrentTimestamp());
	pg_atomic_exchange_u32(&kpi_shared->launcher_pid, MyProcPid);
	pg_atomic_exchange_u32(&kpi_shared->launcher_procno, kpi_my_procno());
	pgstat_report_activity(STATE_IDLE, NULL);
	launch_and_wait();
	proc_exit(1);
}

/* Registers the launcher, but not in pg_upgrade's servers: no worker may be there. */
void
kpi_worker_launcher_register(void)
{
	BackgroundWorker bgw;

	if (IsBinaryUpgrade)
		return;
	memset(&bgw, 0, sizeof(bgw));
	bgw.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	bgw.bgw_start_time = BgWorkerStart_RecoveryFinished;
	bgw.bgw_restart_time = 1;
	strlcpy(bgw.bgw_library_name, "pg_kpi", BGW_MAXLEN);
	strlcpy(bgw.bgw_function_name, "kpi_worker_launcher_main", BGW_MAXLEN);
	strlcpy(bgw.bgw_name, "pg_kpi launcher", BGW_MAXLEN);
	strlcpy(bgw.bgw_type, "pg_kpi launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&bgw);
}
