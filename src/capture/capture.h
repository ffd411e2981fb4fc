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

#include "access/tableam.h"
#include "access/transam.h"
#include "cell/cell.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/block.h"
#include "storage/lockdefs.h"
#include "utils/date.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* ---- segment.c ---- */

/* A source has so many tables of the queue. */
#define KPI_SEGMENTS 2

/* Keeps the tables of a source's queue from being emptied by another file, until the transaction ends. */
extern void kpi_capture_segments_lock(int32 source_id);

/* Columns of kpi_internal.queue_<source id>_<segment>. */
enum
{
	KPI_QUEUE_CAPTURED_AT,
	KPI_QUEUE_DELTAS,
	KPI_QUEUE_KIND,
	KPI_QUEUE_XID,
	KPI_QUEUE_LOADED_AT,
	KPI_QUEUE_ERROR,
	KPI_QUEUE_DATA,
	KPI_QUEUE_COLUMNS
};

/* False before the first refresh of a source that came with a dump. */
extern bool kpi_capture_segments_exist(int32 source_id);

/* From so many pages on a segment has grown. */
extern BlockNumber kpi_capture_grown_blocks(void);

/* What the source's queue takes, dead rows included. */
extern BlockNumber kpi_capture_segments_blocks(int32 source_id);

/*
 * Drops the tables of a source; one that somebody uses just then is dropped
 * when a source is created.  The caller holds the source's lock, and ACCESS
 * EXCLUSIVE on the table of facts.
 */
extern void kpi_capture_segments_drop(int32 source_id);

/*
 * Seals a segment that has grown: until the end of the transaction nobody
 * writes to it, and a snapshot taken from now on shows all that is in it.
 * InvalidOid: there is none, or it cannot be had at once.  The caller holds the
 * source's lock.
 */
extern Oid	kpi_capture_segment_seal(int32 source_id);

/*
 * All rows of a segment that was sealed are consumed.  They are not to be
 * deleted: the segment is emptied when the transaction commits, and counts as
 * empty in it from now on.
 */
extern void kpi_capture_segment_consumed(Oid relid);

/* ---- pack.c ---- */

/* Deltas of a row, one after the other. */
typedef struct KpiUnpack
{
	const char *next;
	const char *end;
	int			ndeltas;		/* read so far */
	int32		stream_id;
	int32		version;
	DateADT		day;
	Oid			leaf;			/* whose fact, if no refresh had seen it */
	const char *owner;			/* or NULL; '\0' behind it */
	int			owner_len;
	int			ndims;
	const char *dims;			/* packed */
	const char *values;			/* owner and dims, packed: equal where they
								 * are */
	int			values_len;
	const char *error;			/* or NULL */
	KpiCell    *cell;			/* palloc'd */
} KpiUnpack;

/* Errors where the value is damaged, or of a later version. */
extern void kpi_capture_unpack_begin(KpiUnpack *unpack, struct varlena *data);
extern bool kpi_capture_unpack_next(KpiUnpack *unpack);

/* The dimensions of the present delta, a text[]; ndims is not 0. */
extern Datum kpi_capture_unpack_dims(const KpiUnpack *unpack);

/* The owner and the dimensions, one after the other: texts, or NULL. */
extern List *kpi_capture_unpack_values(const KpiUnpack *unpack);

/* ---- queue.c ---- */

/* Kinds of queue rows (kpi_internal.queue_*.kind). */
#define KPI_DELTA_CELL		'd'
#define KPI_DELTA_RECOMPUTE	'r'
#define KPI_DELTA_SUSPEND	's'
#define KPI_DELTA_LOADED	'l'

/* ---- follow.c ---- */

/*
 * The stream of a note: minus the position of the relation in which a row has
 * changed, or this, if all is to be read.  A note has no cell.
 */
#define KPI_NOTE_ALL PG_INT32_MIN

/* Or this, if the values are those of an entity that is to be read. */
#define KPI_NOTE_ENTITY (PG_INT32_MIN + 1)

/* Notes an entity, of one column, for the refresh that follows in this transaction. */
extern void kpi_capture_note_entity(int32 source_id, int32 version, const char *entity);

static inline bool
kpi_capture_is_note(int32 stream_id)
{
	return stream_id < 0;
}

/* ---- read.c ---- */

/* Rows of a source's queue, both segments, markers and all. */
typedef struct KpiQueueScan
{
	LOCKMODE	lockmode;
	int			nrels;
	int			next_rel;
	Relation	rels[KPI_SEGMENTS];
	Relation	rel;			/* the one that is being read */
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot;		/* the present row */
	char		kind;
	int32		ndeltas;		/* 1 for a marker, 0 if it only says what was
								 * loaded */
} KpiQueueScan;

/*
 * All segments that are not consumed, but for one, or that one alone.  The locks
 * are released with AccessShareLock, else kept.
 */
extern void kpi_capture_scan_begin(KpiQueueScan *scan, int32 source_id, Oid except,
								   Snapshot snapshot, LOCKMODE lockmode);
extern void kpi_capture_scan_begin_segment(KpiQueueScan *scan, Oid relid, Snapshot snapshot);
extern bool kpi_capture_scan_next(KpiQueueScan *scan);
extern void kpi_capture_scan_delete(KpiQueueScan *scan);	/* the present row */
extern void kpi_capture_scan_end(KpiQueueScan *scan);

/* Of the present row. */
extern struct varlena *kpi_capture_scan_data(KpiQueueScan *scan);	/* packed deltas */
extern char *kpi_capture_scan_error(KpiQueueScan *scan);	/* of a marker; or NULL */

/* The first of the transactions that wrote what is in it. */
extern FullTransactionId kpi_capture_scan_writer(KpiQueueScan *scan);

/* The latest time at which rows whose deltas are in it were loaded, or DT_NOBEGIN. */
extern TimestampTz kpi_capture_scan_loaded_at(KpiQueueScan *scan);

extern Size kpi_capture_scan_size(KpiQueueScan *scan);

/*
 * When the oldest of what is in it was committed, where that is known, else 0;
 * and when it was captured.
 */
extern TimestampTz kpi_capture_scan_committed_at(KpiQueueScan *scan);
extern TimestampTz kpi_capture_scan_captured_at(KpiQueueScan *scan);

/* ---- compact.c ---- */

/*
 * Merges deltas of a segment that has grown; false: there is none, or a writer is
 * under way in it.  *blocks: what is left of the queue now, 0 if only a part was
 * merged and there is more to do.  The caller holds the source's lock.
 */
extern bool kpi_capture_compact(int32 source_id, BlockNumber *blocks);

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

/* The same for a relation that a keyed source follows. */
extern void kpi_capture_follow(int32 source_id, Oid relid, Oid definer);

/* Drops those of a source from all relations but these. */
extern void kpi_capture_unfollow_others(int32 source_id, List *relids);

/* Has DROP EXTENSION drop this table, too. */
extern void kpi_capture_bind(Oid relid);

/* Has it drop the triggers of a source, too, which came with a dump. */
extern void kpi_capture_bind_triggers(int32 source_id);

/* Whether a relation has the trigger of kpi_capture_follow(). */
extern bool kpi_capture_is_followed(int32 source_id, Oid relid);

/* As kpi_capture_trigger_state(), for the triggers of kpi_capture_follow(). */
extern char *kpi_capture_follow_state(int32 source_id, Oid leaf);

/* The name of the row trigger, or of the TRUNCATE trigger, of a source. */
extern char *kpi_capture_trigger_name(int32 source_id, bool for_row);
extern void kpi_capture_detach(int32 source_id, const char *relation);

/*
 * Before a source is attached to a table: drops its row triggers from partitions that
 * were tables of their own, so that they can get the root's.
 */
extern void kpi_capture_detach_partitions(int32 source_id, Oid relid);

/*
 * Drops its triggers from all tables but this one and its partitions, where that
 * needs no waiting: there they do nothing, but keep one from becoming a partition.
 */
extern void kpi_capture_detach_others(int32 source_id, Oid relid);

/*
 * ACCESS EXCLUSIVE on every table that has a trigger of ours, for DROP
 * EXTENSION: writers lock a table of facts first and the queue at last.  Has it
 * drop the tables of keyed sources, too.
 */
extern void kpi_capture_before_drop(void);

/*
 * What is to be known of a leaf and its triggers, as text: changes whenever a
 * trigger was dropped, disabled or re-enabled, or the table rewritten or
 * truncated.  "" when the row trigger is missing or not ALWAYS.
 */
extern char *kpi_capture_trigger_state(int32 source_id, Oid leaf);

/* Whether that, or what holds it, says the same as what was seen before. */
extern bool kpi_capture_state_is(const char *state, const char *seen);

#endif							/* KPI_CAPTURE_H */
