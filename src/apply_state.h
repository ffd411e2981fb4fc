/*-------------------------------------------------------------------------
 *
 * apply_state.h
 *	  What a refresh finds when it looks at a source, and what it leaves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_APPLY_STATE_H
#define KPI_APPLY_STATE_H

#include "access/transam.h"
#include "apply.h"

/* kpi_internal.source_state and what differs from it. */
typedef struct KpiState
{
	bool		suspended;		/* already: reason and hint say why */
	bool		recompute;		/* all streams, from the facts */
	bool		unattached;		/* never seen yet, and a trigger is missing */
	bool		revalue;		/* all values, from the rollups */
	char	   *suspend_reason; /* must be suspended: why, as a note */
	char	   *suspend_hint;
	char	   *calendar_shape;
	Bitmapset  *used_columns;	/* numbers of those that expressions use */
	Datum		columns;		/* jsonb: how each column is stored */
	Datum		prints;			/* jsonb: what expressions reach */
	FullTransactionId doubt;	/* transactions before it may have captured
								 * with what expressions reached before */
} KpiState;

/*
 * Compares the source with its state, under the run's snapshot; also sets
 * what the run knows of the table and the stamps.
 */
extern KpiState *kpi_state_examine(KpiRun *run);

/*
 * Notes what is to be known of the run's leaves and their triggers.  To be
 * called before the snapshot is taken: what changes afterwards differs from
 * it at the next refresh.
 */
extern void kpi_state_look(KpiRun *run);

/* Notes it, and tells the writers of the table that the source names. */
extern void kpi_state_suspend(int32 source_id, Oid relid, const char *reason, const char *hint);

/* Forgets what was built and seen of a source: the next refresh starts anew. */
extern void kpi_state_reset(int32 source_id, Oid definer, Oid table_owner);

/* What values depend on besides the cells, as text: how periods are cut. */
extern char *kpi_calendar_shape(void);

/* Writes what the run has achieved. */
extern void kpi_state_save(KpiRun *run, const KpiState *state, double duration_ms);

#endif							/* KPI_APPLY_STATE_H */
