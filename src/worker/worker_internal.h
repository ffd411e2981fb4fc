/*-------------------------------------------------------------------------
 *
 * worker_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_WORKER_INTERNAL_H
#define KPI_WORKER_INTERNAL_H

#include "base/base.h"
#include "datatype/timestamp.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "storage/spin.h"
#include "worker/worker.h"

/* ---- crash.c ---- */

/* Forgets the crashes of a database's worker. */
extern void kpi_worker_crash_forget(Oid dbid);

/* ---- waiters.c ---- */

/* Cancels, in the launcher, long refreshes that somebody waits for. */
extern void kpi_worker_waiters_serve(TimestampTz now);

/* Returns when to do that again; DT_NOEND: no worker is there. */
extern TimestampTz kpi_worker_waiters_next_recheck(TimestampTz now);

/*
 * Returns, in a worker whose refresh was cancelled, the process id of who
 * waited; 0: that was not why.
 */
extern int	kpi_worker_waiters_cancelled(KpiPost *post);

/*
 * Begins, in a worker, a refresh of a source that has yielded so often since one
 * was done: after too many it is uncancellable.
 */
extern void kpi_worker_waiters_begin(KpiPost *post, int yields);

/* What a worker is started with (bgw_extra). */
typedef struct KpiWorkerOrder
{
	int			slot;
	KpiWorkerKind kind;
	uint32		ticket;
	Oid			dbid;
} KpiWorkerOrder;

/* ---- launcher.c, posts.c ---- */

/* What the launcher itself knows of the worker at a post. */
typedef struct KpiPostWatch
{
	BackgroundWorkerHandle *handle; /* until the postmaster has seen its end */
	bool		outdated;		/* runs by settings that have changed since */
	int			failures;		/* workers that failed, in a row */
	TimestampTz not_before;		/* of the next start */
	TimestampTz waiting_since;	/* 0: nothing to do */
} KpiPostWatch;

/* And of a slot. */
typedef struct KpiAttendance
{
	bool		probing;		/* to find out whether the extension is there */
	TimestampTz left_at;		/* when the last worker did */
	KpiPostWatch posts[KPI_WORKER_KINDS];
} KpiAttendance;

extern KpiAttendance *kpi_worker_attendances;	/* one for each slot */

/* Reads a database's name; false if it is gone or takes no connections. */
extern bool kpi_worker_database_name(Oid dbid, char *name);

/* Frees the slot of a database that is gone: nobody can commit there. */
extern void kpi_worker_slot_forget(int i);

/* Follows that a worker has found no extension. */
extern void kpi_worker_slot_has_no_extension(int i, TimestampTz now);

extern bool kpi_worker_slot_is_running(int i);

/* Nobody is there, and nothing is to do. */
extern bool kpi_worker_slot_is_idle(int i, TimestampTz now);
extern bool kpi_worker_post_has_wakes(int i, KpiWorkerKind kind);

/* Follows ends, starts whom there is a place for, forgets what was noted for later. */
extern void kpi_worker_posts_recheck(TimestampTz now);
extern void kpi_worker_posts_start(TimestampTz now);
extern void kpi_worker_posts_forget_moments(TimestampTz now);

/* When a post becomes due; DT_NOEND: not before something happens. */
extern TimestampTz kpi_worker_posts_next_event(TimestampTz now);

/* ---- agenda.c ---- */

/* A source that the worker looks after; all times by kpi_now(). */
typedef struct KpiAgendaSource
{
	int32		id;
	char	   *name;
	bool		follows_queue;	/* also due as soon as there are deltas */
	bool		must_build;		/* it, a measure or a formula is new */
	bool		build_due;		/* a refresh has found that facts must be read */
	bool		build_fails;	/* not the deltas */
	int			interval;		/* seconds, or 0 */
	TimestampTz at;				/* due from then on, DT_NOEND: not by itself */
	TimestampTz queue_at;		/* with rows in the queue from then on */
	int			yields;			/* refreshes cancelled for waiters since one
								 * was done */
	TimestampTz not_before;		/* after a failure; else DT_NOBEGIN */
	TimestampTz refreshed;		/* by the real clock; DT_NOBEGIN: never */
	bool		handed;			/* the builder has it: not due but by commits */
	uint64		handed_wakes;	/* after these */
	TimestampTz handed_until;	/* and not before, by the real clock */
} KpiAgendaSource;

typedef struct KpiAgenda
{
	List	   *sources;		/* KpiAgendaSource, the longest waiting first */
} KpiAgenda;

/*
 * Reads the definitions and their state.  Sources that are manual, paused or
 * suspended are not in the result.  Called in a transaction; the result is in
 * the current memory context.
 */
extern KpiAgenda *kpi_worker_agenda_load(void);

/* Returns those of the sources that have rows in the queue. */
extern Bitmapset *kpi_worker_agenda_queued(const KpiAgenda *due);

/* Returns from which moment a source is due (DT_NOEND: not before something happens). */
extern TimestampTz kpi_worker_agenda_due_at(const KpiAgendaSource *source, Bitmapset *queued);

/*
 * Returns from which moment the builder is to work on a source; DT_NOEND: it
 * has no facts to read there.
 */
extern TimestampTz kpi_worker_agenda_build_at(const KpiAgendaSource *source);

extern bool kpi_worker_agenda_has_builds(const KpiAgenda *due);

/*
 * Leaves a source to the builder, after so many wake-ups: what it is due for
 * only the builder can do, and wakes us then.  Commits may bring deltas that can
 * be applied meanwhile, but not before a moment by the real clock.
 */
extern void kpi_worker_agenda_hand(KpiAgendaSource *source, uint64 wakes, TimestampTz until);

/* Makes continuous sources due, once: something they depend on may have changed. */
extern void kpi_worker_agenda_recheck(KpiAgenda *due);

/*
 * Sets when a source is due that was refreshed just now, and had changes or not.
 * An interval that passes without any is not repeated: the next change is
 * refreshed at once.
 */
extern void kpi_worker_agenda_done(KpiAgendaSource *source, bool had_changes);

/* Returns the first moment after now that begins a day in some calendar. */
extern TimestampTz kpi_worker_agenda_next_day(TimestampTz now);

/* ---- failure.c ---- */

/*
 * Notes the error in the source's state, with when to try again, and in
 * kpi.refresh_log.  The refresh, begun then, has been rolled back.  True: the
 * last refresh failed by the same error.
 */
extern bool kpi_worker_failure_note(int32 source_id, bool builds, TimestampTz started, const ErrorData *error);

/* Counts in the source's state a refresh that was cancelled for a waiter. */
extern void kpi_worker_failure_count_yield(int32 source_id);

/* ---- blocked.c ---- */

/* How long the worker waits for a lock at most. */
#define KPI_MAX_LOCK_TIMEOUT_MS 1600

/* Blocks a source whose refresh met a lock, each time for longer. */
extern void kpi_worker_blocked_by_lock(int32 source_id);

/*
 * Blocks a source whose refresh has yielded, as so many before it in a row;
 * returns for how long, in ms.
 */
extern int	kpi_worker_blocked_to_yield(int32 source_id, int yields);

/* Blocks one that the builder has, so that it is due when the agenda is loaded again. */
extern void kpi_worker_blocked_by_builder(int32 source_id);

/* Unblocks a source that was refreshed. */
extern void kpi_worker_blocked_release(int32 source_id);

extern bool kpi_worker_blocked_any(void);
extern bool kpi_worker_is_blocked(int32 source_id);

/* Returns until when it is blocked, by the real clock; DT_NOBEGIN: it is not. */
extern TimestampTz kpi_worker_blocked_until(int32 source_id);

/* Returns how long its next refresh may wait for a lock, in ms. */
extern int	kpi_worker_blocked_lock_timeout(int32 source_id);

/* ---- pace.c ---- */

/* Looks, in a transaction, whether a snapshot is held open. */
extern void kpi_worker_pace_look(void);

/* Counts a refresh that had something to do. */
extern void kpi_worker_pace_count(void);

/* How long to wait at least between two refreshes of a source. */
extern int	kpi_worker_pace_ms(void);

/* ---- main.c ---- */

typedef struct KpiWorker
{
	KpiWorkerKind kind;
	KpiSlot    *slot;
	KpiPost    *post;
	Oid			extension;		/* InvalidOid: not read yet */
	bool		no_extension;	/* gone, never there, or of another version
								 * than the library: it differs */
	bool		differs;
	bool		leaving;
	bool		crashed;		/* the last ones have, since work was done */
	MemoryContext context;		/* of errors and of what lasts */
	TimestampTz quantum_started;
	TimestampTz last_now;		/* the clocks as they were last seen */
	TimestampTz last_kpi_now;
	ErrorData  *error;			/* what ended the last transaction */
} KpiWorker;

/* This process, if it is a worker. */
extern KpiWorker kpi_worker_self;

/*
 * Runs a function in a transaction, if the extension is there; false if an error
 * ended it, which is then to be taken, or gone with the next transaction.
 */
extern bool kpi_worker_transaction(void (*body) (void));
extern ErrorData *kpi_worker_take_error(void);

/* How long a lock is waited for from now on. */
extern void kpi_worker_set_lock_timeout(int ms);

/* Follows signals between two pieces of work; whether there is to be another. */
extern void kpi_worker_absorb_interrupts(void);
extern bool kpi_worker_must_leave(void);

/* Checks whether another database should have this worker's place now. */
extern bool kpi_worker_quantum_is_over(void);

/* Turns a moment of kpi_now() into one of the real clock; what is past is now. */
extern TimestampTz kpi_worker_real_moment(TimestampTz moment, TimestampTz now);

/* ---- step.c ---- */

/*
 * Runs a source in a transaction of its own, and does what follows from an error.
 * False if there was one.
 */
extern bool kpi_worker_step(KpiAgendaSource *source, KpiRunMode mode, KpiRunResult *result);

/* Says what this process is at: a source, or nothing. */
extern void kpi_worker_say(const char *source);

/* Between the two what runs is cancelled after kpi.query_limit. */
extern void kpi_worker_limit_begin(void);
extern void kpi_worker_limit_end(void);

/* Has an error say that this was what ended it; false if it was not. */
extern bool kpi_worker_limit_name(ErrorData *error);

/* ---- people.c ---- */

/* What is remembered may be other than it was. */
extern void kpi_worker_people_redefined(void);

/* When it is due, by the real clock; DT_NOBEGIN: that is to be looked up. */
extern TimestampTz kpi_worker_people_due_at(void);

/* Looks when it is due, within a transaction; false: nothing is remembered. */
extern bool kpi_worker_people_look(void);

/* Does it if it is due; true: it was. */
extern bool kpi_worker_people_pass(void);

/* ---- deltas.c: the worker of deltas ---- */

extern void kpi_worker_deltas_init(void);

/* Does what is due, once; false if there was nothing. */
extern bool kpi_worker_deltas_pass(uint64 wakes);

/*
 * When this database has work again without any commit, by the real clock.
 */
extern TimestampTz kpi_worker_deltas_next_due(void);

/* ---- builds.c: the builder, and the other worker in its place ---- */

extern void kpi_worker_builds_init(void);

/* Checks whether this is the worker of deltas and there is no builder. */
extern bool kpi_worker_builds_itself(void);

/* Does one step of each build that is due, or of the one whose turn it is. */
extern bool kpi_worker_builds_pass(void);
extern bool kpi_worker_builds_one(KpiAgenda *agenda);

extern TimestampTz kpi_worker_builds_next_due(const KpiAgenda *agenda);
extern TimestampTz kpi_worker_builder_next_due(void);

/* Has the builder look at the agenda, in the worker of deltas. */
extern void kpi_worker_builder_wake(void);

/*
 * Checks, in the worker of deltas, whether the builder has the source in hand;
 * then it is noted that it is wanted, and it wakes us.
 */
extern bool kpi_worker_builder_has(int32 source_id);

/* So it goes on after this pass, or it has none that is wanted (0). */
extern void kpi_worker_builder_wanted(int32 source_id);

/* ---- rollups.c ---- */

/* A definition or a new day may have moved any rollup table. */
extern void kpi_worker_rollups_redefined(void);

/* When there is something to do for one, by kpi_now(); DT_NOEND: not before something happens. */
extern TimestampTz kpi_worker_rollups_due_at(void);

/* Writes a part of each that is due; false: none was. */
extern bool kpi_worker_rollups_write(void);

/* ---- compact.c ---- */

/*
 * Compacts what waits of one source, if it is much; true: there may be more to
 * do at once.  *next_try, at first DT_NOBEGIN: when to look again in any case, by
 * the real clock.
 */
extern bool kpi_worker_compact(TimestampTz *next_try);

#endif							/* KPI_WORKER_INTERNAL_H */
