/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  Shared memory of writers, launcher and workers; waking.
 *
 * A writer's commit leaves here that its database has work for a worker.
 *
 * Invariants: a slot's database is set and cleared by the launcher only.  What
 * a committing transaction does (kpi_wake) is a few atomic operations and
 * setting a latch: no lock, no memory, no error, as the transaction is already
 * committed.  After adding to the counter it looks at the slot's database
 * again: the launcher may have given the slot to another meanwhile, and then
 * it announces its own instead.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

/* How long kpi_evict() waits for a worker to be gone, and how often it checks. */
#define EVICT_WAIT_MS 2000
#define EVICT_STEP_MS 10

KpiShared  *kpi_shared = NULL;
bool		kpi_am_worker = false;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;
static void (*on_new_memory) (void) = NULL;

/* What the current transaction does when it commits. */
static bool wake_wanted = false;
static bool wake_definitions = false;
static Oid	wake_database = InvalidOid;
static bool recheck_wanted = false;
static bool recheck_everywhere = false;

/* The current transaction has evicted workers. */
static bool evicting = false;

/* This backend's slot, as last seen. */
static KpiSlot *my_slot = NULL;

/* ---- setting up ---- */

static Size
shared_size(void)
{
	return add_size(offsetof(KpiShared, slots), mul_size(kpi_max_databases, sizeof(KpiSlot)));
}

static void
request_shmem(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shared_size());
}

static void
init_post(KpiPost *post)
{
	pg_atomic_init_u32(&post->state, KPI_WORKER_NONE);
	pg_atomic_init_u32(&post->procno, KPI_NO_PROC);
	pg_atomic_init_u32(&post->outcome, KPI_WORKER_LEFT);
	pg_atomic_init_u32(&post->ticket, 0);
	pg_atomic_init_u64(&post->wakes, 0);
	pg_atomic_init_u64(&post->drained, 0);
	pg_atomic_init_u64(&post->next_due, DT_NOEND);
	pg_atomic_init_u32(&post->waiter, 0);
	pg_atomic_init_u32(&post->uncancellable, 0);
	pg_atomic_init_u32(&post->told_to_quit, 0);
	pg_atomic_init_u32(&post->source_id, 0);
	SpinLockInit(&post->mutex);
}

static void
init_slot(KpiSlot *slot)
{
	pg_atomic_init_u32(&slot->dbid, InvalidOid);
	pg_atomic_init_u32(&slot->confirmed, 0);
	pg_atomic_init_u32(&slot->differs, 0);
	pg_atomic_init_u64(&slot->changes, 0);
	pg_atomic_init_u64(&slot->defined_at, 0);
	pg_atomic_init_u64(&slot->defining_since, 0);
	pg_atomic_init_u64(&slot->commands, 0);
	pg_atomic_init_u64(&slot->rechecked, 0);
	pg_atomic_init_u32(&slot->builds_itself, 0);
	pg_atomic_init_u32(&slot->built_last, 0);
	pg_atomic_init_u32(&slot->wanted, 0);
	pg_atomic_init_u32(&slot->held_mark, 0);
	pg_atomic_init_u64(&slot->held_since, 0);
	pg_atomic_init_u32(&slot->held_refreshes, 0);
	for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
		init_post(&slot->posts[kind]);
}

static void
startup_shmem(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	kpi_shared = ShmemInitStruct("pg_kpi", shared_size(), &found);
	if (!found)
	{
		memset(kpi_shared, 0, shared_size());
		kpi_shared->nslots = kpi_max_databases;
		pg_atomic_init_u32(&kpi_shared->launcher_procno, KPI_NO_PROC);
		pg_atomic_init_u32(&kpi_shared->launcher_pid, 0);
		pg_atomic_init_u64(&kpi_shared->launcher_since, 0);
		pg_atomic_init_u32(&kpi_shared->waiting, 0);
		pg_atomic_init_u32(&kpi_shared->waiting_builds, 0);
		pg_atomic_init_u64(&kpi_shared->no_worker_since, 0);
		pg_atomic_init_u32(&kpi_shared->search_all, 0);
		for (int i = 0; i < KPI_ANNOUNCEMENTS; i++)
			pg_atomic_init_u32(&kpi_shared->announced[i], InvalidOid);
		for (int i = 0; i < KPI_EVICTIONS; i++)
			pg_atomic_init_u64(&kpi_shared->evict[i], 0);
		for (int i = 0; i < kpi_shared->nslots; i++)
			init_slot(&kpi_shared->slots[i]);
		on_new_memory();
	}
	LWLockRelease(AddinShmemInitLock);
}

void
kpi_shmem_init(void (*on_new) (void))
{
	on_new_memory = on_new;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/* ---- waking ---- */

static void
set_latch_of(uint32 procno)
{
	if (procno != KPI_NO_PROC)
		SetLatch(&GetPGProcByNumber(procno)->procLatch);
}

void
kpi_wake_launcher(void)
{
	set_latch_of(pg_atomic_read_u32(&kpi_shared->launcher_procno));
}

/* Finds the slot of a database; it may be another's at any later moment. */
KpiSlot *
kpi_slot_find(Oid dbid)
{
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		if (pg_atomic_read_u32(&kpi_shared->slots[i].dbid) == dbid)
			return &kpi_shared->slots[i];
	}
	return NULL;
}

/* Leaves a database's id for the launcher, which asks all when no place is left. */
static void
announce(Oid dbid)
{
	for (int i = 0; i < KPI_ANNOUNCEMENTS; i++)
	{
		uint32		found = InvalidOid;

		if (pg_atomic_compare_exchange_u32(&kpi_shared->announced[i], &found, dbid) || found == dbid)
		{
			kpi_wake_launcher();
			return;
		}
	}
	pg_atomic_exchange_u32(&kpi_shared->search_all, 1);
	kpi_wake_launcher();
}

static void
set_latch_at(KpiPost *post)
{
	if (pg_atomic_read_u32(&post->state) == KPI_WORKER_AWAKE)
		set_latch_of(pg_atomic_read_u32(&post->procno));
	else
		kpi_wake_launcher();
}

void
kpi_post_wake(KpiPost *post)
{
	pg_atomic_fetch_add_u64(&post->wakes, 1);
	set_latch_at(post);
}

/*
 * Counts a wake-up and sets the latch of who works it off; false if the slot is
 * another database's by now.  The addition is a full barrier: whoever frees the
 * slot or leaves reads the counter after us.
 */
static bool
wake_slot(KpiSlot *slot, Oid dbid)
{
	KpiPost    *post = &slot->posts[KPI_WORKER_DELTAS];

	pg_atomic_fetch_add_u64(&post->wakes, 1);
	if (pg_atomic_read_u32(&slot->dbid) != dbid)
		return false;
	set_latch_at(post);
	return true;
}

/* Returns the slot of a database, or NULL; this backend's is found at once. */
static KpiSlot *
slot_of(Oid dbid)
{
	if (my_slot != NULL && pg_atomic_read_u32(&my_slot->dbid) == dbid)
		return my_slot;
	return kpi_slot_find(dbid);
}

/*
 * Notes the moment of a definition for the worker, which does not build in the
 * middle of them.  What the launcher wakes it for, as nobody knows what has
 * changed, is none.
 */
static void
note_definition(void)
{
	TimestampTz now = GetCurrentTimestamp();
	KpiSlot    *slot = slot_of(MyDatabaseId);
	TimestampTz last;

	if (slot == NULL)
		return;
	last = (TimestampTz) pg_atomic_exchange_u64(&slot->defined_at, now);
	if (TimestampDifferenceExceeds(last, now, kpi_build_delay))
		pg_atomic_exchange_u64(&slot->defining_since, now);
}

void
kpi_wake(Oid dbid, bool definitions)
{
	KpiSlot    *slot;

	if (kpi_shared == NULL)
		return;
	slot = slot_of(dbid);
	if (slot == NULL)
	{
		announce(dbid);
		return;
	}

	if (definitions)
		pg_atomic_fetch_add_u64(&slot->changes, 1);
	if (!wake_slot(slot, dbid))
		announce(dbid);
	else if (dbid == MyDatabaseId)
		my_slot = slot;
}

static void
wake_to_recheck(bool everywhere)
{
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		KpiSlot    *slot = &kpi_shared->slots[i];
		Oid			dbid = pg_atomic_read_u32(&slot->dbid);

		if (!OidIsValid(dbid) || (dbid != MyDatabaseId && !everywhere))
			continue;
		pg_atomic_fetch_add_u64(&slot->commands, 1);
		(void) wake_slot(slot, dbid);
	}
}

static void
release_evictions(void)
{
	for (int i = 0; i < KPI_EVICTIONS; i++)
	{
		if ((uint32) pg_atomic_read_u64(&kpi_shared->evict[i]) == (uint32) MyProcPid)
			pg_atomic_exchange_u64(&kpi_shared->evict[i], 0);
	}
	evicting = false;
	kpi_wake_launcher();
}

static void
wake_at_commit(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;

	if (evicting)
		release_evictions();
	if (event == XACT_EVENT_COMMIT)
	{
		if (wake_definitions)
			note_definition();
		if (wake_wanted)
			kpi_wake(MyDatabaseId, wake_definitions);
		if (OidIsValid(wake_database))
			kpi_wake(wake_database, true);
		if (recheck_wanted)
			wake_to_recheck(recheck_everywhere);
	}
	wake_wanted = wake_definitions = recheck_wanted = recheck_everywhere = false;
	wake_database = InvalidOid;
}

/* Registers the callback when it is first needed: other backends pay nothing. */
static void
register_callback(void)
{
	static bool done = false;

	if (!done)
		RegisterXactCallback(wake_at_commit, NULL);
	done = true;
}

void
kpi_wake_request(bool definitions)
{
	if (kpi_shared == NULL || kpi_am_worker)
		return;
	register_callback();
	wake_wanted = true;
	wake_definitions |= definitions;
}

void
kpi_wake_request_database(Oid dbid)
{
	if (kpi_shared == NULL)
		return;
	register_callback();
	wake_database = dbid;
}

void
kpi_wake_request_recheck(bool everywhere)
{
	if (kpi_shared == NULL || kpi_am_worker)
		return;
	register_callback();
	recheck_wanted = true;
	recheck_everywhere |= everywhere;
}

/* ---- evicting workers ---- */

bool
kpi_is_evicted(Oid dbid)
{
	for (int i = 0; i < KPI_EVICTIONS; i++)
	{
		if ((Oid) (pg_atomic_read_u64(&kpi_shared->evict[i]) >> 32) == dbid)
			return true;
	}
	return false;
}

static bool
note_evict(Oid dbid)
{
	uint64		note = ((uint64) dbid << 32) | (uint32) MyProcPid;

	for (int i = 0; i < KPI_EVICTIONS; i++)
	{
		uint64		found = 0;

		if (pg_atomic_compare_exchange_u64(&kpi_shared->evict[i], &found, note))
			return true;
	}
	return false;
}

/*
 * Has the worker at a post leave, in one step of many; false if there is none.
 * The process is gone when it is no longer counted in the database, which is
 * later than that it has left its post: pid remembers it until then.
 */
static bool
evict_from(KpiPost *post, int *pid, bool cancels)
{
	int			now;

	if (pg_atomic_read_u32(&post->state) == KPI_WORKER_NONE)
		return *pid != 0 && BackendPidGetProc(*pid) != NULL;
	SpinLockAcquire(&post->mutex);
	now = post->pid;
	SpinLockRelease(&post->mutex);
	if (now != 0)
		*pid = now;
	if (cancels && *pid != 0 && BackendPidGetProc(*pid) != NULL)
		kill(*pid, SIGINT);
	set_latch_of(pg_atomic_read_u32(&post->procno));
	return true;
}

/*
 * SIGINT cancels what a worker is doing; it sees the note and leaves.  It is
 * sent again and again, as the worker may just have been between two things.
 */
bool
kpi_evict(Oid dbid)
{
	int			pids[KPI_WORKER_KINDS] = {0};

	if (kpi_shared == NULL)
		return false;
	register_callback();
	evicting = true;
	if (!note_evict(dbid))
		return false;

	for (int waited = 0; waited < EVICT_WAIT_MS; waited += EVICT_STEP_MS)
	{
		KpiSlot    *slot = kpi_slot_find(dbid);
		bool		any = false;

		for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
		{
			if (slot != NULL)
				any |= evict_from(&slot->posts[kind], &pids[kind], waited % (10 * EVICT_STEP_MS) == 0);
			else
				any |= pids[kind] != 0 && BackendPidGetProc(pids[kind]) != NULL;
		}
		if (!any)
			break;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(EVICT_STEP_MS * 1000L);
	}
	return true;
}

/* ---- for kpi.worker_status ---- */

void
kpi_post_report(KpiPost *post, int pid, const char *source)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&post->mutex);
	post->pid = pid;
	post->since = now;
	strlcpy(post->source, source, NAMEDATALEN);
	SpinLockRelease(&post->mutex);
}
