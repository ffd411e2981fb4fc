/*-------------------------------------------------------------------------
 *
 * deltas.c
 *	  The passes of the worker of deltas: all that is due and short.
 *
 * A pass applies what the queue has of each source that is due, then writes rollup
 * tables.  Where facts must be read the source is left to the builder
 * (builds.c).  What the agenda says is kept until a definition may have changed.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "refresh/refresh.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/*
 * Commands that may concern sources' tables can be many, and there can be many
 * sources: between two rechecks there is a pause of so many times as long as
 * the recheck took, within these bounds.
 */
#define MIN_RECHECK_PAUSE_MS 1000
#define MAX_RECHECK_PAUSE_MS 30000
#define RECHECK_PAUSE_FACTOR 9

/* A source of which no deltas can be applied is looked at again after so many times as long as that took. */
#define HANDED_PAUSE_FACTOR 20

/* When to follow the beginning of a day again after that failed. */
#define NEXT_DAY_RETRY_MS 60000

/* When to look again at goals whose rows somebody had locked. */
#define LOCKED_GOALS_RETRY_MS 250

static MemoryContext agenda_context;	/* of agenda, reset when it is loaded */
static KpiAgenda *agenda = NULL;	/* NULL: to be loaded */
static uint64 loaded_changes = 0;	/* of definitions, when it was loaded */
static bool loaded_capture = true;	/* kpi.capture, then */
static MemoryContext queued_context;
static Bitmapset *queued = NULL;	/* sources with rows in the queue */
static TimestampTz next_recheck = 0;	/* no recheck because of commands
										 * before */
static TimestampTz next_day = DT_NOBEGIN;	/* by kpi_now(): when begin_day()
											 * is due */
static bool goals_wait = false; /* to be looked at once more */
static TimestampTz next_goals = DT_NOBEGIN; /* not before */
static TimestampTz next_compaction = DT_NOBEGIN;	/* DT_NOBEGIN: none waits */
static uint64 pass_wakes = 0;	/* before the pass */
static bool built_itself = false;	/* in the pass before */

void
kpi_worker_deltas_init(void)
{
	agenda_context = AllocSetContextCreate(kpi_worker_self.context, "pg_kpi worker sources",
										   ALLOCSET_DEFAULT_SIZES);
	queued_context = AllocSetContextCreate(kpi_worker_self.context, "pg_kpi worker queue",
										   ALLOCSET_SMALL_SIZES);
}

/* ---- what is due ---- */

/* Makes blocked sources due: they were when they met a lock, maybe for a recheck. */
static void
blocked_are_due(void)
{
	ListCell   *lc;

	foreach(lc, agenda->sources)
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

	if (agenda == NULL)
	{
		MemoryContextReset(agenda_context);
		old = MemoryContextSwitchTo(agenda_context);
		agenda = kpi_worker_agenda_load();
		MemoryContextSwitchTo(old);
		blocked_are_due();
		if (kpi_worker_agenda_has_builds(agenda) || kpi_worker_people_look())
			kpi_worker_builder_wake();
	}
	MemoryContextReset(queued_context);
	old = MemoryContextSwitchTo(queued_context);
	queued = kpi_worker_agenda_queued(agenda);
	MemoryContextSwitchTo(old);
	goals_wait = kpi_goal_recheck_waits();
	kpi_worker_pace_look();
	pg_atomic_exchange_u32(&kpi_worker_self.slot->confirmed, 1);
}

/* Follows the beginning of a day; a new worker does so at once. */
static void
begin_day(void)
{
	kpi_calendar_day_follow();
	kpi_goal_notify_days();
	kpi_worker_rollups_redefined();
	/* Sources with KPIs that count for the teams of today are due. */
	agenda = NULL;
	next_day = kpi_worker_agenda_next_day(kpi_now());
}

/* Logs the error and tries again later: it keeps no source back. */
static void
begin_day_failed(void)
{
	if (kpi_error_class(kpi_worker_self.error) != KPI_ERROR_CONFLICT &&
		kpi_worker_self.error->sqlerrcode != ERRCODE_QUERY_CANCELED)
		ereport(LOG,
				(errcode(kpi_worker_self.error->sqlerrcode),
				 errmsg("could not follow the beginning of a day: %s", kpi_worker_self.error->message),
				 kpi_worker_self.error->context ? errcontext("%s", kpi_worker_self.error->context) : 0));
	next_day = TimestampTzPlusMilliseconds(kpi_now(), NEXT_DAY_RETRY_MS);
}

static void
recheck_goals(void)
{
	goals_wait = kpi_goal_recheck();
}

/* An error, as of a goal that was dropped meanwhile, leaves the list as it was. */
static void
look_at_goals(void)
{
	if (!kpi_worker_transaction(recheck_goals))
		ereport(DEBUG1,
				(errmsg("could not look at goals once more: %s", kpi_worker_self.error->message)));
	next_goals = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOCKED_GOALS_RETRY_MS);
}

/* ---- sources ---- */

/* Checks whether commands came after which the sources are to be rechecked now. */
static bool
must_recheck(uint64 commands)
{
	return pg_atomic_read_u64(&kpi_worker_self.slot->rechecked) != commands &&
		GetCurrentTimestamp() >= next_recheck;
}

/* Returns when the next recheck may begin. */
static TimestampTz
after_recheck(TimestampTz started)
{
	TimestampTz now = GetCurrentTimestamp();
	long		pause_ms = RECHECK_PAUSE_FACTOR * TimestampDifferenceMilliseconds(started, now);

	return TimestampTzPlusMilliseconds(now, Max(MIN_RECHECK_PAUSE_MS, Min(pause_ms, MAX_RECHECK_PAUSE_MS)));
}

/* A source that was handed to the builder is due again when something was committed since. */
static TimestampTz
due_at(const KpiAgendaSource *source)
{
	return kpi_worker_agenda_due_at(source, source->handed && source->handed_wakes == pass_wakes ? NULL : queued);
}

/* Returns when, by the real clock, a source that is due may be worked on. */
static TimestampTz
not_before(const KpiAgendaSource *source)
{
	TimestampTz moment = kpi_worker_blocked_until(source->id);
	int			pause_ms = kpi_worker_pace_ms();

	if (source->handed)
		moment = Max(moment, source->handed_until);
	/* Only for what waits in the queue. */
	if (pause_ms > 0 && source->refreshed != DT_NOBEGIN && source->at > kpi_now())
		moment = Max(moment, TimestampTzPlusMilliseconds(source->refreshed, pause_ms));
	return moment;
}

/* Applies what the queue has of a source; what needs more is the builder's. */
static void
work_on(KpiAgendaSource *source)
{
	TimestampTz started = GetCurrentTimestamp();
	TimestampTz now;
	KpiRunResult result;

	if (!kpi_worker_step(source, KPI_RUN_DELTAS, &result))
	{
		agenda = NULL;
		return;
	}
	if (result == KPI_RUN_DONE || result == KPI_RUN_MORE)
	{
		kpi_worker_agenda_done(source, bms_is_member(source->id, queued));
		kpi_worker_pace_count();
	}
	else if (result != KPI_RUN_BUILD_DUE)
		agenda = NULL;
	if (result != KPI_RUN_MORE && result != KPI_RUN_BUILD_DUE)
		return;
	if (!source->build_due)
		kpi_worker_builder_wake();
	now = GetCurrentTimestamp();
	kpi_worker_agenda_hand(source, pass_wakes,
						   result == KPI_RUN_MORE ? DT_NOBEGIN : now + HANDED_PAUSE_FACTOR * (now - started));
}

/* The builder has it: it wakes us after its step, and it is due then as it is now. */
static void
leave_to_builder(KpiAgendaSource *source)
{
	kpi_worker_blocked_by_builder(source->id);
	kpi_worker_agenda_hand(source, pass_wakes, DT_NOBEGIN);
}

/* ---- passes ---- */

/* Does what comes before the sources; false if an error that passes kept it from that. */
static bool
prepare(void)
{
	uint64		changes = pg_atomic_read_u64(&kpi_worker_self.slot->changes);

	if (changes != loaded_changes || kpi_capture_enabled != loaded_capture)
	{
		agenda = NULL;
		kpi_worker_rollups_redefined();
		kpi_worker_people_redefined();
	}
	/* What this worker has kept for itself is a builder's now. */
	if (built_itself && !kpi_worker_builds_itself())
		agenda = NULL;
	built_itself = kpi_worker_builds_itself();
	loaded_changes = changes;
	loaded_capture = kpi_capture_enabled;
	kpi_worker_set_lock_timeout(KPI_MAX_LOCK_TIMEOUT_MS);
	if (kpi_now() >= next_day && !kpi_worker_transaction(begin_day))
		begin_day_failed();
	if (!kpi_worker_transaction(look))
	{
		if (kpi_error_class(kpi_worker_self.error) == KPI_ERROR_CONFLICT ||
			kpi_worker_self.error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			return false;
		ReThrowError(kpi_worker_self.error);
	}
	if (!kpi_worker_self.no_extension && goals_wait && GetCurrentTimestamp() >= next_goals)
		look_at_goals();
	return true;
}

/* What a pass over the sources came to. */
typedef struct Pass
{
	bool		worked;
	bool		is_complete;	/* no source was left for the next pass */
	bool		left_any;		/* but one that was due for later */
	int32		wanted;			/* a source that the builder has, or 0 */
} Pass;

static Pass
refresh_sources(void)
{
	Pass		pass = {.is_complete = true};
	List	   *sources = agenda->sources;
	ListCell   *lc;

	foreach(lc, sources)
	{
		KpiAgendaSource *source = lfirst(lc);

		kpi_worker_absorb_interrupts();
		pass.is_complete = !kpi_worker_must_leave() && !(pass.worked && kpi_worker_quantum_is_over());
		if (!pass.is_complete)
			break;
		SetCurrentStatementStartTimestamp();
		if (due_at(source) > kpi_now())
			continue;
		if (not_before(source) > GetCurrentTimestamp())
			pass.left_any = true;
		else if (kpi_worker_builder_has(source->id))
		{
			leave_to_builder(source);
			pass.wanted = source->id;
			pass.left_any = true;
		}
		else
		{
			work_on(source);
			pass.worked = true;
		}
	}
	kpi_worker_builder_wanted(pass.wanted);
	return pass;
}

/*
 * Once all has been done that was due, what crashed before does not any more; a
 * build that is due may be what crashed.
 */
static void
forget_crashes(const Pass *pass)
{
	if (!kpi_worker_self.crashed || !pass->is_complete || pass->left_any || kpi_worker_blocked_any() ||
		agenda == NULL || kpi_worker_builds_next_due(agenda) <= GetCurrentTimestamp())
		return;
	kpi_worker_crash_forget(MyDatabaseId);
	kpi_worker_self.crashed = false;
}

/*
 * Errors outside a source, other than that somebody has locked our tables or
 * cancelled it, end the worker: the launcher starts another after a while.
 */
bool
kpi_worker_deltas_pass(uint64 wakes)
{
	uint64		commands = pg_atomic_read_u64(&kpi_worker_self.slot->commands);
	bool		rechecking;
	TimestampTz recheck_started;
	Pass		pass;

	pass_wakes = wakes;
	if (!prepare())
		return true;
	if (kpi_worker_self.no_extension)
		return false;

	rechecking = must_recheck(commands);
	if (rechecking)
		kpi_worker_agenda_recheck(agenda);
	recheck_started = GetCurrentTimestamp();
	pass = refresh_sources();
	if (rechecking && pass.is_complete)
	{
		pg_atomic_exchange_u64(&kpi_worker_self.slot->rechecked, commands);
		next_recheck = after_recheck(recheck_started);
	}
	if (kpi_worker_builds_itself() && agenda != NULL && kpi_worker_builds_one(agenda))
	{
		agenda = NULL;
		pass.worked = true;
	}
	if (kpi_worker_builds_itself())
		pass.worked |= kpi_worker_people_pass();
	forget_crashes(&pass);
	if (kpi_worker_rollups_due_at() <= kpi_now())
		pass.worked |= kpi_worker_rollups_write();
	pass.worked |= kpi_worker_compact(&next_compaction);
	if (pass.worked)
		kpi_worker_say(NULL);
	return pass.worked;
}

TimestampTz
kpi_worker_deltas_next_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	ListCell   *lc;

	if (agenda == NULL)
		return now;
	if (pg_atomic_read_u64(&kpi_worker_self.slot->rechecked) != pg_atomic_read_u64(&kpi_worker_self.slot->commands))
		next = next_recheck;
	if (goals_wait)
		next = Min(next, next_goals);
	SetCurrentStatementStartTimestamp();
	foreach(lc, agenda->sources)
	{
		KpiAgendaSource *source = lfirst(lc);
		TimestampTz moment = kpi_worker_real_moment(due_at(source), now);

		if (moment != DT_NOEND)
			next = Min(next, Max(moment, not_before(source)));
	}
	if (kpi_worker_builds_itself())
		next = Min(next, Min(kpi_worker_builds_next_due(agenda), kpi_worker_people_due_at()));
	if (next_compaction != DT_NOBEGIN)
		next = Min(next, next_compaction);
	next = Min(next, kpi_worker_real_moment(kpi_worker_rollups_due_at(), now));
	return Min(next, kpi_worker_real_moment(next_day, now));
}
