/*-------------------------------------------------------------------------
 *
 * capture.h
 *	  The writers' side: triggers, the buffer of a transaction, the queue.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_CAPTURE_H
#define KPI_CAPTURE_H

#include "postgres.h"

/* ---- queue.c ---- */

/* Columns of kpi_internal.delta. */
enum
{
	DELTA_SOURCE,
	DELTA_STREAM,
	DELTA_VERSION,
	DELTA_KIND,
	DELTA_OWNER,
	DELTA_DAY,
	DELTA_DIMS,
	DELTA_CELL,
	DELTA_ERROR,
	DELTA_CAPTURED_AT,
	DELTA_COLUMNS
};

/* Kinds of queue rows (kpi_internal.delta.kind). */
#define KPI_DELTA_CELL		'd'
#define KPI_DELTA_RECOMPUTE	'r'
#define KPI_DELTA_SUSPEND	's'

/* ---- flush.c ---- */

/* Writes this transaction's buffered deltas to the queue now. */
extern void kpi_capture_flush_now(void);

/* ---- marker.c ---- */

/*
 * How many facts and markers this process has captured so far, and the source of
 * the last of them: who runs a user's code sees whether it wrote any.
 */
extern uint64 kpi_capture_count(int32 *source_id);

/* ---- xact.c ---- */

/*
 * Has the ends of transactions write what they captured; to be called when the
 * library is loaded.
 */
extern void kpi_capture_init(void);

/* ---- attach.c ---- */

/*
 * Makes sure every leaf of a source's table has its TRUNCATE trigger and the
 * row triggers are there.  The definer's rights on the table
 * were checked.
 */
extern void kpi_capture_attach(int32 source_id, Oid relid, Oid definer);

/* The name of the row trigger, or of the TRUNCATE trigger, of a source. */
extern char *kpi_capture_trigger_name(int32 source_id, bool for_row);
extern void kpi_capture_detach(int32 source_id, const char *relation);

/*
 * ACCESS EXCLUSIVE on every table that has a trigger of ours, for DROP
 * EXTENSION: writers lock a table of facts first and the queue at last.
 */
extern void kpi_capture_lock_tables(void);

/*
 * What is to be known of a leaf and its triggers, as text: changes whenever a
 * trigger was dropped, disabled or re-enabled, or the table rewritten or
 * truncated.  "" when the row trigger is missing or not ALWAYS.
 */
extern char *kpi_capture_trigger_state(int32 source_id, Oid leaf);

#endif							/* KPI_CAPTURE_H */
