/*-------------------------------------------------------------------------
 *
 * waiters.c
 *	  Long refreshes yield to whoever waits for a table.
 *
 * A refresh holds weak locks on our tables and on the facts until its end,
 * and the first one of a large table lasts; VACUUM FULL, REINDEX or ALTER
 * TABLE would wait for it, and behind them all writers.  So while a worker
 * has had a source in hand for a while, the launcher reads the lock table
 * every now and then, and cancels a refresh that somebody waits for.  The
 * worker tries again after a pause that grows with each time; once it has
 * yielded too often in a row its refresh is uncancellable and goes on to the
 * end, as it never would otherwise.
 *
 * Locks that are not on relations do not count: waiting for a source's own
 * lock means wanting the very refresh that is running.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* A refresh that lasts longer is checked for waiters, and this often. */
#define LONG_REFRESH_MS 500

/* In a row; the pauses between them add up to half a minute. */
#define MAX_GIVE_WAYS 5

/* Returns the process id of a worker that should yield if somebody waits, or 0. */
static int
long_worker(KpiPost *post, TimestampTz now)
{
	int			pid = 0;

	if (pg_atomic_read_u32(&post->state) != KPI_WORKER_AWAKE ||
		pg_atomic_read_u32(&post->uncancellable) != 0)
		return 0;
	SpinLockAcquire(&post->mutex);
	if (post->source[0] != '\0' && TimestampDifferenceExceeds(post->since, now, LONG_REFRESH_MS))
		pid = post->pid;
	SpinLockRelease(&post->mutex);
	return pid;
}

static bool
is_blocked_by(const LockInstanceData *waiter, const LockInstanceData *holder)
{
	if (memcmp(&waiter->locktag, &holder->locktag, sizeof(LOCKTAG)) != 0)
		return false;
	for (LOCKMODE mode = 1; mode < MAX_LOCKMODES; mode++)
	{
		if ((holder->holdMask & LOCKBIT_ON(mode)) && DoLockModesConflict(waiter->waitLockMode, mode))
			return true;
	}
	return false;
}

/* Finds a process that waits for a relation because of this one, or 0. */
static int
find_waiter(const LockData *locks, int pid)
{
	for (int w = 0; w < locks->nelements; w++)
	{
		const LockInstanceData *waiter = &locks->locks[w];

		if (waiter->waitLockMode == NoLock || waiter->pid == pid ||
			waiter->locktag.locktag_type != LOCKTAG_RELATION)
			continue;
		for (int h = 0; h < locks->nelements; h++)
		{
			if (locks->locks[h].pid == pid && is_blocked_by(waiter, &locks->locks[h]))
				return waiter->pid;
		}
	}
	return 0;
}

/* Cancels the refresh at a post if somebody waits for it; reads the locks when first needed. */
static void
serve_post(KpiPost *post, LockData **locks, TimestampTz now)
{
	int			pid = long_worker(post, now);
	int			waiter;

	if (pid == 0)
		return;
	if (*locks == NULL)
		*locks = GetLockStatusData();
	waiter = find_waiter(*locks, pid);
	if (waiter == 0)
		return;
	/* Noted first: the worker must know why it is cancelled. */
	pg_atomic_exchange_u32(&post->waiter, (uint32) waiter);
	kill(pid, SIGINT);
}

void
kpi_worker_waiters_serve(TimestampTz now)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi locks", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LockData   *locks = NULL;

	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
			serve_post(&kpi_shared->slots[i].posts[kind], &locks, now);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Asks for another check while any worker is there: none tells when it begins to work. */
TimestampTz
kpi_worker_waiters_next_recheck(TimestampTz now)
{
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
		{
			if (pg_atomic_read_u32(&kpi_shared->slots[i].posts[kind].state) != KPI_WORKER_NONE)
				return TimestampTzPlusMilliseconds(now, LONG_REFRESH_MS);
		}
	}
	return DT_NOEND;
}

int
kpi_worker_waiters_cancelled(KpiPost *post)
{
	return (int) pg_atomic_exchange_u32(&post->waiter, 0);
}

void
kpi_worker_waiters_begin(KpiPost *post, int yields)
{
	pg_atomic_exchange_u32(&post->waiter, 0);
	pg_atomic_exchange_u32(&post->uncancellable, yields >= MAX_GIVE_WAYS);
}
