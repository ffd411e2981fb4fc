/*-------------------------------------------------------------------------
 *
 * blocked.c
 *	  Sources that a worker leaves alone for a while: somebody has locked them,
 *	  or their refresh has yielded to somebody.
 *
 * A worker's own memory, which goes with it: what was blocked is due for the
 * next one.  All moments are by the real clock.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/*
 * Waiting for locks: at most this long at first, then longer, and between two
 * tries always so many times as long, so that a source somebody has locked
 * takes little of the others' time.
 */
#define MIN_LOCK_TIMEOUT_MS 50
#define LOCK_RETRY_FACTOR 5

/* After yielding to who waited for a table; doubled each time in a row. */
#define GIVE_WAY_PAUSE_MS 1000
#define MAX_PAUSE_DOUBLED 6

typedef struct HeldSource
{
	int32		id;
	int			timeout_ms;		/* of the next try */
	TimestampTz until;
} HeldSource;

static List *held_sources = NIL;	/* in TopMemoryContext */

static HeldSource *
find_blocked(int32 id)
{
	ListCell   *lc;

	foreach(lc, held_sources)
	{
		HeldSource *held = lfirst(lc);

		if (held->id == id)
			return held;
	}
	return NULL;
}

static HeldSource *
hold(int32 id)
{
	HeldSource *held = find_blocked(id);
	MemoryContext old;

	if (held != NULL)
		return held;
	old = MemoryContextSwitchTo(TopMemoryContext);
	held = palloc0(sizeof(HeldSource));
	held->id = id;
	held->timeout_ms = MIN_LOCK_TIMEOUT_MS;
	held_sources = lappend(held_sources, held);
	MemoryContextSwitchTo(old);
	return held;
}

void
kpi_worker_blocked_by_lock(int32 source_id)
{
	HeldSource *held = hold(source_id);

	held->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), held->timeout_ms * LOCK_RETRY_FACTOR);
	held->timeout_ms = Min(held->timeout_ms * 2, KPI_MAX_LOCK_TIMEOUT_MS);
}

int
kpi_worker_blocked_to_give_way(int32 source_id, int yields)
{
	int			pause_ms = GIVE_WAY_PAUSE_MS << Min(yields, MAX_PAUSE_DOUBLED);

	hold(source_id)->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
	return pause_ms;
}

void
kpi_worker_blocked_release(int32 source_id)
{
	HeldSource *held = find_blocked(source_id);

	if (held == NULL)
		return;
	held_sources = list_delete_ptr(held_sources, held);
	pfree(held);
}

bool
kpi_worker_blocked_any(void)
{
	return held_sources != NIL;
}

bool
kpi_worker_is_blocked(int32 source_id)
{
	return find_blocked(source_id) != NULL;
}

TimestampTz
kpi_worker_blocked_until(int32 source_id)
{
	const HeldSource *held = find_blocked(source_id);

	return held ? held->until : DT_NOBEGIN;
}

int
kpi_worker_blocked_lock_timeout(int32 source_id)
{
	const HeldSource *held = find_blocked(source_id);

	return held ? held->timeout_ms : MIN_LOCK_TIMEOUT_MS;
}
