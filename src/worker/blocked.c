/*-------------------------------------------------------------------------
 *
 * blocked.c
 *	  Sources that a worker leaves alone for a while: somebody has locked them,
 *	  the builder has them, or their refresh has yielded to somebody.
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

typedef struct BlockedSource
{
	int32		id;
	int			timeout_ms;		/* of the next try */
	TimestampTz until;
} BlockedSource;

static List *blocked_sources = NIL; /* in TopMemoryContext */

static BlockedSource *
find_blocked(int32 id)
{
	ListCell   *lc;

	foreach(lc, blocked_sources)
	{
		BlockedSource *blocked = lfirst(lc);

		if (blocked->id == id)
			return blocked;
	}
	return NULL;
}

static BlockedSource *
block(int32 id)
{
	BlockedSource *blocked = find_blocked(id);
	MemoryContext old;

	if (blocked != NULL)
		return blocked;
	old = MemoryContextSwitchTo(TopMemoryContext);
	blocked = palloc0(sizeof(BlockedSource));
	blocked->id = id;
	blocked->timeout_ms = MIN_LOCK_TIMEOUT_MS;
	blocked_sources = lappend(blocked_sources, blocked);
	MemoryContextSwitchTo(old);
	return blocked;
}

void
kpi_worker_blocked_by_lock(int32 source_id)
{
	BlockedSource *blocked = block(source_id);

	blocked->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), blocked->timeout_ms * LOCK_RETRY_FACTOR);
	blocked->timeout_ms = Min(blocked->timeout_ms * 2, KPI_MAX_LOCK_TIMEOUT_MS);
}

int
kpi_worker_blocked_to_yield(int32 source_id, int yields)
{
	int			pause_ms = GIVE_WAY_PAUSE_MS << Min(yields, MAX_PAUSE_DOUBLED);

	block(source_id)->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
	return pause_ms;
}

void
kpi_worker_blocked_by_builder(int32 source_id)
{
	(void) block(source_id);
}

void
kpi_worker_blocked_release(int32 source_id)
{
	BlockedSource *blocked = find_blocked(source_id);

	if (blocked == NULL)
		return;
	blocked_sources = list_delete_ptr(blocked_sources, blocked);
	pfree(blocked);
}

bool
kpi_worker_blocked_any(void)
{
	return blocked_sources != NIL;
}

bool
kpi_worker_is_blocked(int32 source_id)
{
	return find_blocked(source_id) != NULL;
}

TimestampTz
kpi_worker_blocked_until(int32 source_id)
{
	const BlockedSource *blocked = find_blocked(source_id);

	return blocked ? blocked->until : DT_NOBEGIN;
}

int
kpi_worker_blocked_lock_timeout(int32 source_id)
{
	const BlockedSource *blocked = find_blocked(source_id);

	return blocked ? blocked->timeout_ms : MIN_LOCK_TIMEOUT_MS;
}
