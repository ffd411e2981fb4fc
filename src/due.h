/*-------------------------------------------------------------------------
 *
 * due.h
 *	  Which sources are due, and when something becomes due.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_DUE_H
#define KPI_DUE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

/* A source that the worker looks after; all times by kpi_now(). */
typedef struct KpiDueSource
{
	int32		id;
	char	   *name;
	bool		follows_queue;	/* also due as soon as there are deltas */
	bool		must_build;		/* it, a measure or a formula is new */
	int			interval;		/* seconds, or 0 */
	TimestampTz at;				/* due from then on, DT_NOEND: not by itself */
	TimestampTz queue_at;		/* with rows in the queue from then on */
	int			give_ways;		/* refreshes cancelled for waiters since one
								 * was done */
	TimestampTz not_before;		/* after a failure; else DT_NOBEGIN */
} KpiDueSource;

typedef struct KpiDue
{
	List	   *sources;		/* KpiDueSource, the longest waiting first */
} KpiDue;

/*
 * Reads the definitions and their state.  Sources that are manual, paused or
 * suspended are not in the result.  Called in a transaction; the result is in
 * the current memory context.
 */
extern KpiDue *kpi_due_load(void);

/* Sources that have rows in the queue. */
extern Bitmapset *kpi_due_queued(void);

/*
 * Whether a source is due now, and from which moment it is (DT_NOEND: not
 * before something happens).
 */
extern bool kpi_due_is(const KpiDueSource *source, Bitmapset *queued, TimestampTz now);
extern TimestampTz kpi_due_when(const KpiDueSource *source, Bitmapset *queued);

/* Continuous sources are due, once: something they stand on may have changed. */
extern void kpi_due_look(KpiDue *due);

/*
 * A source was refreshed just now, and had changes or not.  An interval that
 * passes without any is not repeated: the next change is refreshed at once.
 */
extern void kpi_due_done(KpiDueSource *source, bool had_changes);

/* The first moment after now that begins a day in some calendar. */
extern TimestampTz kpi_due_next_day(TimestampTz now);

/* When to try again after so many failures in a row, from 1 on. */
extern TimestampTz kpi_due_retry(TimestampTz now, int failures);

#endif							/* KPI_DUE_H */
