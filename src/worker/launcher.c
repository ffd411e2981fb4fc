/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The launcher: which databases have the extension, and which of them have
 *	  a slot.
 *
 * One process per cluster, started after recovery.  It is connected to no
 * database and reads pg_database only.  Whether a database has the extension
 * is found out by a worker in it, which leaves at once if not; after a start
 * of the server every database is asked, one at a time.  Later ones announce
 * themselves (base/wake.c, utility.c).
 *
 * It alone gives slots to databases and takes them away, and starts workers
 * (posts.c).  When there are more
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

/* However far the next event is: the clock may be set forward meanwhile. */
#define MAX_SLEEP_MS 60000

KpiAttendance *kpi_worker_attendances;

static List *probes = NIL;		/* databases to be asked */
static List *slotless = NIL;	/* those known to have the extension */
static TimestampTz next_quantum = 0;	/* of the first of them */

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

bool
kpi_worker_database_name(Oid dbid, char *name)
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

	if (kpi_worker_post_has_wakes(i, KPI_WORKER_DELTAS))
		probes = lcons_oid(dbid, probes);
	memset(&kpi_worker_attendances[i], 0, sizeof(KpiAttendance));
}

void
kpi_worker_slot_forget(int i)
{
	pg_atomic_exchange_u32(&kpi_shared->slots[i].dbid, InvalidOid);
	memset(&kpi_worker_attendances[i], 0, sizeof(KpiAttendance));
}

/*
 * The extension may have been created just after the worker had looked, and
 * where another worker is still there it is asked again.
 */
void
kpi_worker_slot_has_no_extension(int i, TimestampTz now)
{
	KpiPost    *post = &kpi_shared->slots[i].posts[KPI_WORKER_DELTAS];

	if (kpi_worker_slot_is_running(i))
		pg_atomic_exchange_u64(&post->next_due, now);
	else if (!kpi_worker_post_has_wakes(i, KPI_WORKER_DELTAS))
		free_slot(i);
}

static void
give_slot(int i, Oid dbid)
{
	KpiSlot    *slot = &kpi_shared->slots[i];

	memset(&kpi_worker_attendances[i], 0, sizeof(KpiAttendance));
	kpi_worker_attendances[i].probing = true;
	pg_atomic_exchange_u32(&slot->confirmed, 0);
	pg_atomic_exchange_u32(&slot->differs, 0);
	pg_atomic_exchange_u32(&slot->builds_itself, 0);
	pg_atomic_exchange_u32(&slot->wanted, 0);
	pg_atomic_exchange_u32(&slot->held_mark, 0);
	pg_atomic_exchange_u32(&slot->held_refreshes, 0);
	for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
	{
		KpiPost    *post = &slot->posts[kind];

		pg_atomic_exchange_u32(&post->outcome, KPI_WORKER_LEFT);
		pg_atomic_exchange_u64(&post->next_due, DT_NOEND);
		pg_atomic_exchange_u64(&post->drained, pg_atomic_read_u64(&post->wakes));
	}
	pg_atomic_exchange_u64(&slot->defined_at, 0);
	pg_atomic_exchange_u64(&slot->defining_since, 0);
	/* Commands that came while it had none were counted nowhere. */
	pg_atomic_exchange_u64(&slot->rechecked, pg_atomic_read_u64(&slot->commands) - 1);
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
		if (kpi_worker_slot_is_idle(i, now) &&
			(oldest < 0 || kpi_worker_attendances[i].left_at < kpi_worker_attendances[oldest].left_at))
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
		if (kpi_worker_attendances[i].probing && OidIsValid(slot_database(i)))
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

/* ---- the loop ---- */

/* Sources that wait for kpi.capture are due now: no commit tells of that. */
static void
reload(void)
{
	bool		was_off = !kpi_capture_enabled;

	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	for (int i = 0; was_off && kpi_capture_enabled && i < kpi_shared->nslots; i++)
	{
		if (OidIsValid(slot_database(i)))
			kpi_wake(slot_database(i), true);
	}
}

static long
time_to_wait(TimestampTz now)
{
	TimestampTz until = Min(kpi_worker_waiters_next_recheck(now), kpi_worker_posts_next_event(now));
	ListCell   *lc;

	foreach(lc, probes)
	{
		TimestampTz retry_at = kpi_worker_crash_retry_at(lfirst_oid(lc), now);

		if (retry_at > now)
			until = Min(until, retry_at);
	}
	if (slotless != NIL)
		until = Min(until, next_quantum);
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
			reload();
			forget = true;
		}
		if (forget)
		{
			next_quantum = now;
			kpi_worker_posts_forget_moments(now);
		}
		last = now;
		kpi_worker_posts_recheck(now);
		kpi_worker_waiters_serve(now);
		timeout = -1;
		if (kpi_enabled)
		{
			take_announcements();
			next_probe(now);
			kpi_worker_posts_start(now);
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
	kpi_worker_attendances = palloc0(sizeof(KpiAttendance) * kpi_shared->nslots);
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
