/*-------------------------------------------------------------------------
 *
 * builds.c
 *	  The builder's passes: sources whose facts must be read.
 *
 * The builder does one step of a source, then of the next one that waits, so
 * that builds take turns; which one it had last is in shared memory, as it may
 * leave between two steps.  After each step it lets the worker of deltas in, if that
 * waits for the source (src/worker/README, "Builds").
 *
 * Where there is no place for a builder, the worker of deltas does one step
 * after each of its passes.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker/worker_internal.h"

/* How long the builder waits for the other worker to take its turn on a source. */
#define LET_IN_MS 200
#define LET_IN_STEP_MS 10

/* Definitions that follow each other hold a build up so many times as long as one. */
#define MAX_BUILD_DELAYS 10

static MemoryContext agenda_context = NULL;
static KpiAgenda *to_build = NULL;	/* in agenda_context; NULL: not read */

void
kpi_worker_builds_init(void)
{
	agenda_context = AllocSetContextCreate(kpi_worker_self.context, "pg_kpi worker builds", ALLOCSET_DEFAULT_SIZES);
}

bool
kpi_worker_builds_itself(void)
{
	return kpi_worker_self.kind == KPI_WORKER_DELTAS &&
		(kpi_max_workers == 1 || pg_atomic_read_u32(&kpi_worker_self.slot->builds_itself) != 0);
}

/* ---- what is due ---- */

/*
 * Returns when sources with new measures may be built: those that are
 * defined one after the other are built together.  Somebody who never stops
 * defining does not hold that up for ever, nor does a clock that was set back.
 */
static TimestampTz
defined_long_ago_at(TimestampTz now)
{
	KpiSlot    *slot = kpi_worker_self.slot;
	TimestampTz last = (TimestampTz) pg_atomic_read_u64(&slot->defined_at);
	TimestampTz since = (TimestampTz) pg_atomic_read_u64(&slot->defining_since);

	if (TimestampDifferenceExceeds(now, last, KPI_CLOCK_TOLERANCE_MS))
		return now;
	return Min(TimestampTzPlusMilliseconds(last, kpi_build_delay),
			   TimestampTzPlusMilliseconds(since, (int64) kpi_build_delay * MAX_BUILD_DELAYS));
}

/* Returns when, by the real clock, the next step of a source's build is due. */
static TimestampTz
build_due_at(const KpiAgendaSource *source, TimestampTz now)
{
	TimestampTz at = kpi_worker_agenda_build_at(source);

	if (at == DT_NOEND)
		return DT_NOEND;
	at = Max(kpi_worker_real_moment(at, now), kpi_worker_blocked_until(source->id));
	return source->must_build ? Max(at, defined_long_ago_at(now)) : at;
}

TimestampTz
kpi_worker_builds_next_due(const KpiAgenda *agenda)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	ListCell   *lc;

	foreach(lc, agenda->sources)
		next = Min(next, build_due_at(lfirst(lc), now));
	return next;
}

TimestampTz
kpi_worker_builder_next_due(void)
{
	if (to_build == NULL)
		return GetCurrentTimestamp();
	return Min(kpi_worker_builds_next_due(to_build), kpi_worker_people_due_at());
}

static int
compare_ids(const ListCell *a, const ListCell *b)
{
	int32		id_a = ((const KpiAgendaSource *) lfirst(a))->id;
	int32		id_b = ((const KpiAgendaSource *) lfirst(b))->id;

	return (id_a > id_b) - (id_a < id_b);
}

/* Returns the sources in the order in which it is their turn. */
static List *
in_turn(const KpiAgenda *agenda)
{
	int32		last = (int32) pg_atomic_read_u32(&kpi_worker_self.slot->built_last);
	List	   *sorted = list_copy(agenda->sources);
	List	   *result = NIL;
	ListCell   *lc;

	list_sort(sorted, compare_ids);
	foreach(lc, sorted)
	{
		if (((KpiAgendaSource *) lfirst(lc))->id > last)
			result = lappend(result, lfirst(lc));
	}
	foreach(lc, sorted)
	{
		if (((KpiAgendaSource *) lfirst(lc))->id <= last)
			result = lappend(result, lfirst(lc));
	}
	list_free(sorted);
	return result;
}

/* ---- between the two workers ---- */

void
kpi_worker_builder_wake(void)
{
	if (kpi_max_workers > 1)
		kpi_post_wake(&kpi_worker_self.slot->posts[KPI_WORKER_BUILDS]);
}

/*
 * The builder clears what it has in hand and then reads what is wanted, and here it
 * is the other way round: either it sees that, or here is seen that it is done.
 */
bool
kpi_worker_builder_has(int32 source_id)
{
	KpiSlot    *slot = kpi_worker_self.slot;
	KpiPost    *builder = &slot->posts[KPI_WORKER_BUILDS];

	if (pg_atomic_read_u32(&builder->source_id) != (uint32) source_id)
		return false;
	pg_atomic_exchange_u32(&slot->wanted, (uint32) source_id);
	return pg_atomic_read_u32(&builder->source_id) == (uint32) source_id;
}

void
kpi_worker_builder_wanted(int32 source_id)
{
	if (pg_atomic_read_u32(&kpi_worker_self.slot->wanted) != (uint32) source_id)
		pg_atomic_exchange_u32(&kpi_worker_self.slot->wanted, (uint32) source_id);
}

/*
 * Wakes the worker of deltas, as another source may be due now, or the same for
 * other reasons; before the next step of a source it wants, it is let in.
 */
static void
let_in(int32 source_id, bool has_more)
{
	KpiSlot    *slot = kpi_worker_self.slot;

	kpi_wake(MyDatabaseId, true);
	for (int waited = 0; has_more && waited < LET_IN_MS; waited += LET_IN_STEP_MS)
	{
		if (pg_atomic_read_u32(&slot->wanted) != (uint32) source_id || kpi_worker_must_leave())
			break;
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LET_IN_STEP_MS, PG_WAIT_EXTENSION);
	}
}

/* ---- passes ---- */

static void
build_step(KpiAgendaSource *source)
{
	KpiRunResult result;
	bool		is_done;

	pg_atomic_write_u32(&kpi_worker_self.slot->built_last, (uint32) source->id);
	is_done = kpi_worker_step(source, KPI_RUN_REFRESH, &result);
	if (kpi_worker_self.kind == KPI_WORKER_BUILDS)
		let_in(source->id, is_done && result == KPI_RUN_MORE);
}

static bool
is_due(const KpiAgendaSource *source)
{
	TimestampTz now = GetCurrentTimestamp();

	return build_due_at(source, now) <= now;
}

/* A step may take long, so whether to go on is asked between two. */
static bool
may_go_on(void)
{
	kpi_worker_absorb_interrupts();
	SetCurrentStatementStartTimestamp();
	return !kpi_worker_must_leave();
}

bool
kpi_worker_builds_one(KpiAgenda *agenda)
{
	List	   *sources = in_turn(agenda);
	bool		worked = false;
	ListCell   *lc;

	foreach(lc, sources)
	{
		worked = may_go_on() && is_due(lfirst(lc));
		if (!worked)
			continue;
		build_step(lfirst(lc));
		break;
	}
	list_free(sources);
	return worked;
}

static void
load(void)
{
	MemoryContext old;

	MemoryContextReset(agenda_context);
	old = MemoryContextSwitchTo(agenda_context);
	to_build = kpi_worker_agenda_load();
	MemoryContextSwitchTo(old);
}

/* Errors outside a source end the worker, but for those that pass. */
bool
kpi_worker_builds_pass(void)
{
	bool		worked = false;
	List	   *sources;
	ListCell   *lc;

	to_build = NULL;
	kpi_worker_people_redefined();
	kpi_worker_set_lock_timeout(KPI_MAX_LOCK_TIMEOUT_MS);
	if (!kpi_worker_transaction(load))
	{
		if (kpi_error_class(kpi_worker_self.error) == KPI_ERROR_CONFLICT ||
			kpi_worker_self.error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			return true;
		ReThrowError(kpi_worker_self.error);
	}
	if (kpi_worker_self.no_extension)
		return false;
	sources = in_turn(to_build);
	foreach(lc, sources)
	{
		if (!may_go_on() || (worked && kpi_worker_quantum_is_over()))
			break;
		if (!is_due(lfirst(lc)))
			continue;
		build_step(lfirst(lc));
		worked = true;
	}
	list_free(sources);
	worked |= kpi_worker_people_pass();
	if (worked)
		kpi_worker_say(NULL);
	return worked;
}
