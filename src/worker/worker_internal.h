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
extern int	kpi_worker_waiters_cancelled(KpiSlot *slot);

/*
 * Begins, in a worker, a refresh of a source that has yielded so often since one
 * was done: after too many it is uncancellable.
 */
extern void kpi_worker_waiters_begin(KpiSlot *slot, int yields);

/* What a worker is started with (bgw_extra). */
typedef struct KpiWorkerOrder
{
	int			slot;
	uint32		ticket;
	Oid			dbid;
} KpiWorkerOrder;

/* ---- agenda.c ---- */

/* A source that the worker looks after; all times by kpi_now(). */
typedef struct KpiAgendaSource
{
	int32		id;
	char	   *name;
	bool		follows_queue;	/* also due as soon as there are deltas */
	bool		must_build;		/* it, a measure or a formula is new */
	int			interval;		/* seconds, or 0 */
	TimestampTz at;				/* due from then on, DT_NOEND: not by itself */
	TimestampTz queue_at;		/* with rows in the queue from then on */
	int			yields;			/* refreshes cancelled for waiters since one
								 * was done */
	TimestampTz not_before;		/* after a failure; else DT_NOBEGIN */
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

/*
 * Checks whether a source is due now, and returns from which moment it is
 * (DT_NOEND: not before something happens).
 */
extern bool kpi_worker_agenda_is_due(const KpiAgendaSource *source, Bitmapset *queued, TimestampTz now);
extern TimestampTz kpi_worker_agenda_due_at(const KpiAgendaSource *source, Bitmapset *queued);

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
extern bool kpi_worker_failure_note(int32 source_id, TimestampTz started, const ErrorData *error);

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

/* Unblocks a source that was refreshed. */
extern void kpi_worker_blocked_release(int32 source_id);

extern bool kpi_worker_blocked_any(void);
extern bool kpi_worker_is_blocked(int32 source_id);

/* Returns until when it is blocked, by the real clock; DT_NOBEGIN: it is not. */
extern TimestampTz kpi_worker_blocked_until(int32 source_id);

/* Returns how long its next refresh may wait for a lock, in ms. */
extern int	kpi_worker_blocked_lock_timeout(int32 source_id);

/* ---- main.c ---- */

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
