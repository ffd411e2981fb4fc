/*-------------------------------------------------------------------------
 *
 * posts.c
 *	  The posts of workers: who is at them, and who comes next.
 *
 * In the launcher.  A slot has two posts, of the worker that applies deltas and
 * of the builder.  Who has work and no worker waits, whatever kind it is, and
 * of those that wait the one that has waited longest is next (kpi.max_workers).
 * Builders may have all places but one: of a build that lasts nobody else's
 * deltas wait.  Where that leaves none, or the server has no process for one,
 * the database's other worker builds itself.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* After a worker failed: 1 s, doubled each time, up to a minute. */
#define MAX_RESTART_SECONDS 60

/* How often a worker looks whether the extension has been updated, at most. */
#define DIFFERS_WAIT_MS 5000

/* How often to try again when no background worker can be had, and to say so. */
#define NO_WORKER_WAIT_MS 1000
#define NO_WORKER_LOG_MS (60 * 60 * 1000)

/* How long a worker may take to come up, if its handle was lost. */
#define START_TIMEOUT_MS 10000

/* Who works and who waits. */
typedef struct Turnout
{
	int			nrunning;
	int			nbuilders;		/* of them */
	int			nwaiting;		/* for any place */
	int			nwaiting_builds;	/* builds, for that or for a builder's */
	KpiSlot    *next;			/* who has waited longest, or NULL */
	KpiWorkerKind next_kind;
} Turnout;

static TimestampTz no_worker_logged = 0;

static int
slot_number(const KpiSlot *slot)
{
	return slot - kpi_shared->slots;
}

static KpiPostWatch *
watch_of(const KpiSlot *slot, KpiWorkerKind kind)
{
	return &kpi_worker_attendances[slot_number(slot)].posts[kind];
}

/* ---- what a post is at ---- */

static bool
is_running(const KpiSlot *slot, KpiWorkerKind kind)
{
	return pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &slot->posts[kind].state)) != KPI_WORKER_NONE ||
		watch_of(slot, kind)->handle != NULL;
}

static bool
has_wakes(KpiPost *post)
{
	return pg_atomic_read_u64(&post->wakes) != pg_atomic_read_u64(&post->drained);
}

static bool
has_work(KpiPost *post, TimestampTz now)
{
	return has_wakes(post) || (TimestampTz) pg_atomic_read_u64(&post->next_due) <= now;
}

bool
kpi_worker_post_has_wakes(int i, KpiWorkerKind kind)
{
	return has_wakes(&kpi_shared->slots[i].posts[kind]);
}

bool
kpi_worker_slot_is_running(int i)
{
	for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
	{
		if (is_running(&kpi_shared->slots[i], kind))
			return true;
	}
	return false;
}

bool
kpi_worker_slot_is_idle(int i, TimestampTz now)
{
	KpiSlot    *slot = &kpi_shared->slots[i];
	bool		has_builder = kpi_max_workers > 1 && pg_atomic_read_u32(&slot->builds_itself) == 0;

	return !has_work(&slot->posts[KPI_WORKER_DELTAS], now) &&
		!(has_builder && has_work(&slot->posts[KPI_WORKER_BUILDS], now)) &&
		!kpi_worker_slot_is_running(i);
}

/* ---- ends ---- */

/* Gives up a worker that was asked for and has ended before it began. */
static void
give_up_start(KpiPost *post)
{
	uint32		starting = KPI_WORKER_STARTING;

	if (pg_atomic_compare_exchange_u32(&post->state, &starting, KPI_WORKER_NONE))
		pg_atomic_exchange_u32(&post->outcome, KPI_WORKER_FAILED);
}

static void
worker_ended(KpiSlot *slot, KpiWorkerKind kind, TimestampTz now)
{
	KpiPost    *post = &slot->posts[kind];
	KpiPostWatch *watch = watch_of(slot, kind);

	kpi_worker_attendances[slot_number(slot)].left_at = now;
	if (kind == KPI_WORKER_DELTAS)
		kpi_worker_attendances[slot_number(slot)].probing = false;
	if (watch->outdated)
		pg_atomic_exchange_u64(&post->next_due, now);
	watch->outdated = false;
	switch ((KpiWorkerOutcome) pg_atomic_exchange_u32(&post->outcome, KPI_WORKER_LEFT))
	{
		case KPI_WORKER_NO_EXTENSION:
			kpi_worker_slot_has_no_extension(slot_number(slot), now);
			break;
		case KPI_WORKER_LEFT:
			watch->failures = 0;
			break;
		case KPI_WORKER_DIFFERS:
			/* The command that ends it wakes; commits of writers do, too. */
			watch->failures = 0;
			watch->not_before = TimestampTzPlusMilliseconds(now, DIFFERS_WAIT_MS);
			pg_atomic_exchange_u64(&post->next_due, DT_NOEND);
			break;
		case KPI_WORKER_FAILED:
			/* One that has worked for long has mended what was wrong before. */
			if (TimestampDifferenceExceeds(post->started, now, 1000 * MAX_RESTART_SECONDS))
				watch->failures = 0;
			watch->failures = Min(watch->failures + 1, 10);
			watch->not_before = TimestampTzPlusMilliseconds(now, 1000 * Min(1 << (watch->failures - 1),
																			MAX_RESTART_SECONDS));
			/* It may have taken wake-ups with it. */
			pg_atomic_exchange_u64(&post->next_due, now);
			break;
	}
}

static void
recheck_post(KpiSlot *slot, KpiWorkerKind kind, TimestampTz now)
{
	KpiPost    *post = &slot->posts[kind];
	KpiPostWatch *watch = watch_of(slot, kind);
	bool		ended = false;
	pid_t		pid;

	if (watch->handle != NULL && GetBackgroundWorkerPid(watch->handle, &pid) == BGWH_STOPPED)
	{
		pfree(watch->handle);
		watch->handle = NULL;
		ended = true;
	}
	if (ended || (watch->handle == NULL &&
				  TimestampDifferenceExceeds(post->started, now, START_TIMEOUT_MS)))
		give_up_start(post);
	/* One that an earlier launcher has started has no handle. */
	if (watch->handle == NULL && pg_atomic_read_u32(&post->state) == KPI_WORKER_NONE &&
		(ended || pg_atomic_read_u32(&post->outcome) != KPI_WORKER_LEFT))
		worker_ended(slot, kind, now);
}

void
kpi_worker_posts_recheck(TimestampTz now)
{
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		KpiSlot    *slot = &kpi_shared->slots[i];

		if (pg_atomic_read_u32(&slot->confirmed) != 0)
			kpi_worker_attendances[i].probing = false;
		for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
			recheck_post(slot, kind, now);
	}
}

/* ---- starts ---- */

static bool
has_no_worker(void)
{
	return pg_atomic_read_u64(&kpi_shared->no_worker_since) != 0;
}

static bool
register_worker(KpiSlot *slot, KpiWorkerKind kind, Oid dbid, const char *database)
{
	KpiWorkerOrder order = {.slot = slot_number(slot),.kind = kind,.dbid = dbid};
	const char *type = kind == KPI_WORKER_BUILDS ? "pg_kpi builder" : "pg_kpi worker";
	BackgroundWorker bgw;

	order.ticket = pg_atomic_add_fetch_u32(&slot->posts[kind].ticket, 1);
	memset(&bgw, 0, sizeof(bgw));
	bgw.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	bgw.bgw_start_time = BgWorkerStart_RecoveryFinished;
	bgw.bgw_restart_time = BGW_NEVER_RESTART;
	bgw.bgw_notify_pid = MyProcPid;
	strlcpy(bgw.bgw_library_name, "pg_kpi", BGW_MAXLEN);
	strlcpy(bgw.bgw_function_name, "kpi_worker_main", BGW_MAXLEN);
	strlcpy(bgw.bgw_type, type, BGW_MAXLEN);
	snprintf(bgw.bgw_name, BGW_MAXLEN, "%s %s", type, database);
	memcpy(bgw.bgw_extra, &order, sizeof(order));
	return RegisterDynamicBackgroundWorker(&bgw, &watch_of(slot, kind)->handle);
}

/*
 * Starts the worker of a post; false: there is no place for another one in the
 * server.  A command that wants the database for itself notes that first and then
 * reads the state, and here it is the other way round: one of the two sees the
 * other.
 */
static bool
start_worker(KpiSlot *slot, KpiWorkerKind kind)
{
	KpiPost    *post = &slot->posts[kind];
	Oid			dbid = pg_atomic_read_u32(&slot->dbid);
	char		name[NAMEDATALEN];

	if (!kpi_worker_database_name(dbid, name))
	{
		kpi_worker_slot_forget(slot_number(slot));
		return true;
	}
	SpinLockAcquire(&post->mutex);
	post->started = post->since = GetCurrentTimestamp();
	SpinLockRelease(&post->mutex);
	pg_atomic_exchange_u32(&post->outcome, KPI_WORKER_FAILED);
	pg_atomic_exchange_u64(&post->next_due, DT_NOEND);
	pg_atomic_exchange_u32(&post->state, KPI_WORKER_STARTING);
	if (!kpi_is_evicted(dbid) && register_worker(slot, kind, dbid, name))
	{
		watch_of(slot, kind)->waiting_since = 0;
		return true;
	}
	pg_atomic_exchange_u32(&post->state, KPI_WORKER_NONE);
	pg_atomic_exchange_u32(&post->outcome, KPI_WORKER_LEFT);
	pg_atomic_exchange_u64(&post->next_due, GetCurrentTimestamp());
	return kpi_is_evicted(dbid);
}

static void
count_post(Turnout *turnout, KpiSlot *slot, KpiWorkerKind kind, int max_builders, TimestampTz now)
{
	KpiPostWatch *watch = watch_of(slot, kind);
	bool		builds = kind == KPI_WORKER_BUILDS;

	if (is_running(slot, kind))
	{
		turnout->nrunning++;
		return;
	}
	if (!has_work(&slot->posts[kind], now) || watch->not_before > now ||
		kpi_is_evicted(pg_atomic_read_u32(&slot->dbid)) || (builds && max_builders == 0))
		return;
	if (watch->waiting_since == 0)
		watch->waiting_since = now;
	turnout->nwaiting_builds += builds;
	if (builds && turnout->nbuilders >= max_builders)
		return;
	turnout->nwaiting++;
	if (turnout->next == NULL ||
		watch->waiting_since < watch_of(turnout->next, turnout->next_kind)->waiting_since)
	{
		turnout->next = slot;
		turnout->next_kind = kind;
	}
}

static Turnout
count_posts(TimestampTz now)
{
	Turnout		turnout = {0};
	int			max_builders = kpi_max_workers - 1;

	/* First, as they say whether another one may come. */
	for (int i = 0; i < kpi_shared->nslots; i++)
		turnout.nbuilders += is_running(&kpi_shared->slots[i], KPI_WORKER_BUILDS);
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		KpiSlot    *slot = &kpi_shared->slots[i];

		if (!OidIsValid(pg_atomic_read_u32(&slot->dbid)))
			continue;
		for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
			count_post(&turnout, slot, kind, max_builders, now);
	}
	return turnout;
}

static void
wake_workers(void)
{
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
		{
			uint32		procno = pg_atomic_read_u32(&kpi_shared->slots[i].posts[kind].procno);

			if (procno != KPI_NO_PROC)
				SetLatch(&GetPGProcByNumber(procno)->procLatch);
		}
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

/*
 * The server has no process for a builder: the database's other worker does its
 * work until it has.
 */
static void
let_other_build(KpiSlot *slot, TimestampTz now)
{
	watch_of(slot, KPI_WORKER_BUILDS)->not_before = TimestampTzPlusMilliseconds(now, NO_WORKER_WAIT_MS);
	if (pg_atomic_exchange_u32(&slot->builds_itself, 1) == 0)
		kpi_wake(pg_atomic_read_u32(&slot->dbid), true);
}

/* Starts workers as long as there are places; others' workers hear of it. */
void
kpi_worker_posts_start(TimestampTz now)
{
	bool		no_worker = false;
	uint32		before;
	Turnout		turnout;

	for (turnout = count_posts(now);
		 turnout.next != NULL && turnout.nrunning < kpi_max_workers;
		 turnout = count_posts(now))
	{
		bool		builds = turnout.next_kind == KPI_WORKER_BUILDS;

		if (start_worker(turnout.next, turnout.next_kind))
		{
			if (builds)
				pg_atomic_exchange_u32(&turnout.next->builds_itself, 0);
			continue;
		}
		if (builds)
		{
			let_other_build(turnout.next, now);
			continue;
		}
		no_worker = true;
		break;
	}
	report_no_worker(no_worker, now);
	before = pg_atomic_exchange_u32(&kpi_shared->waiting, turnout.nwaiting);
	before += pg_atomic_exchange_u32(&kpi_shared->waiting_builds, turnout.nwaiting_builds);
	if (before == 0 && turnout.nwaiting + turnout.nwaiting_builds > 0)
		wake_workers();
}

/* ---- moments ---- */

/*
 * Forgets moments that were noted: they mean nothing any more, as the clock was
 * set back or settings have changed (kpi.now is one).  Each post becomes due.
 * One that is running may leave before it has heard of that, and note another
 * such moment: whatever it notes, the post gets the next one, too.  A builder
 * that nobody has asked for is not.
 */
void
kpi_worker_posts_forget_moments(TimestampTz now)
{
	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		KpiSlot    *slot = &kpi_shared->slots[i];
		KpiAttendance *att = &kpi_worker_attendances[i];

		if (!OidIsValid(pg_atomic_read_u32(&slot->dbid)))
			continue;
		att->left_at = Min(att->left_at, now);
		for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
		{
			KpiPost    *post = &slot->posts[kind];
			KpiPostWatch *watch = &att->posts[kind];

			watch->outdated = is_running(slot, kind);
			watch->not_before = 0;
			watch->waiting_since = Min(watch->waiting_since, now);
			if (kind == KPI_WORKER_DELTAS || pg_atomic_read_u64(&post->next_due) != DT_NOEND)
				pg_atomic_exchange_u64(&post->next_due, now);
		}
	}
}

TimestampTz
kpi_worker_posts_next_event(TimestampTz now)
{
	TimestampTz until = has_no_worker() ? TimestampTzPlusMilliseconds(now, NO_WORKER_WAIT_MS) : DT_NOEND;

	for (int i = 0; i < kpi_shared->nslots; i++)
	{
		KpiSlot    *slot = &kpi_shared->slots[i];

		if (!OidIsValid(pg_atomic_read_u32(&slot->dbid)))
			continue;
		for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
		{
			KpiPost    *post = &slot->posts[kind];
			TimestampTz due;

			if (is_running(slot, kind))
				continue;
			due = has_wakes(post) ? now : (TimestampTz) pg_atomic_read_u64(&post->next_due);
			due = Max(due, watch_of(slot, kind)->not_before);
			/* What is due already waits for another event. */
			if (due > now)
				until = Min(until, due);
		}
	}
	return until;
}
