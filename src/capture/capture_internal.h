/*-------------------------------------------------------------------------
 *
 * capture_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_CAPTURE_INTERNAL_H
#define KPI_CAPTURE_INTERNAL_H

#include "access/heapam.h"
#include "capture/capture.h"
#include "cell/cell.h"
#include "executor/tuptable.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "model/model.h"
#include "utils/relcache.h"
#include "utils/reltrigger.h"

/*
 * A file of these uses only those before it: segment.c, attach.c, subxact.c,
 * pack.c, queue.c, read.c, compact.c, marker.c, flush.c, buffer.c, switch.c, trigger.c,
 * follow.c, xact.c.
 */

/* ---- subxact.c ---- */

/* The last error of a fact, as the queue shows it, is cut to this. */
#define KPI_ERROR_LEN 200

/*
 * Which cell a delta changes: one string of bytes, so that keys are hashed
 * and compared as a whole.  The owner and then each dimension follow: '\0'
 * for NULL, else '\1', the text and '\0'.
 */
typedef struct KpiDeltaKey
{
	int32		source_id;
	int32		stream_id;
	int32		version;
	DateADT		day;
	Oid			leaf;			/* of a partition that no refresh had seen,
								 * else InvalidOid */
	int32		ndims;
	char		values[FLEXIBLE_ARRAY_MEMBER];
} KpiDeltaKey;

typedef struct KpiDelta
{
	uint32		hash;
	uint32		key_len;		/* bytes of *key */
	KpiDeltaKey *key;
	KpiCell    *cell;
	char	   *error;			/* or NULL */
} KpiDelta;

/* When the rows of a source that were written last were loaded, as they say. */
typedef struct KpiLoaded
{
	int32		source_id;
	TimestampTz at;
} KpiLoaded;

typedef struct KpiMarker
{
	int32		source_id;
	char		kind;
} KpiMarker;

/*
 * Deltas are many, small, and go all together, so they are cut from blocks
 * without a header or rounding of their own; after a spill the blocks are
 * filled again.
 */
typedef struct KpiArenaBlock
{
	struct KpiArenaBlock *next;
	Size		size;
	Size		used;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} KpiArenaBlock;

#define KPI_FEW_DELTAS 8

/*
 * What one (sub)transaction changed and has not written to the queue.  Levels
 * form a stack; there is one only where something was captured, and always at
 * most one for each nesting level.
 */
typedef struct KpiSubxactDeltas
{
	struct KpiSubxactDeltas *parent;
	int			nest_level;
	int			written_at;		/* nesting level whose rows in the queue hold
								 * all deltas of this level; 0: not written */
	MemoryContext context;		/* of the hash and of all blocks but the
								 * first; NULL: there are none yet */
	Size		bytes;			/* what the deltas take */
	KpiArenaBlock *first_block; /* chain of blocks that hold them */
	KpiArenaBlock *block;		/* the one being filled */
	int			ndeltas;
	KpiDelta   *few[KPI_FEW_DELTAS];	/* while there are not more */
	struct delta_hash *hash;	/* else this */
	KpiDelta   *last;			/* the one found last */
	List	   *loaded;			/* KpiLoaded: one of a source */
	List	   *markers;		/* KpiMarker: in the queue since this level */
} KpiSubxactDeltas;

/* The stack's top, or NULL. */
extern KpiSubxactDeltas *kpi_capture_subxact_top;

/* A level that is no (sub)transaction's: deltas by their keys, for who sets its context. */
extern KpiSubxactDeltas *kpi_capture_subxact_create(MemoryContext mcxt);

/* The current (sub)transaction's level, made if need be. */
extern KpiSubxactDeltas *kpi_capture_subxact_current(void);

/*
 * Merging two levels was cut short: what is written must be accompanied by a
 * request to recompute.
 */
extern bool kpi_capture_merge_failed;

static inline bool
kpi_capture_same_key(const KpiDelta *a, const KpiDelta *b)
{
	return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

/* By key and hash; NULL if the level has none. */
extern KpiDelta *kpi_capture_subxact_find(KpiSubxactDeltas *subxact, KpiDelta *wanted);

/* Adds a delta that is not there yet, with copies of the key and this cell. */
extern KpiDelta *kpi_capture_subxact_insert(KpiSubxactDeltas *subxact, const KpiDelta *model,
											const KpiCell *cell);

/*
 * Keeps what a function that changes cells has returned: the delta's own, or a
 * larger one in whatever memory context was current, which is copied.
 */
extern void kpi_capture_subxact_set_cell(KpiSubxactDeltas *subxact, KpiDelta *delta, KpiCell *cell);
extern void kpi_capture_subxact_set_error(KpiSubxactDeltas *subxact, KpiDelta *delta, const char *message);

/* Forgets all deltas of a level, but keeps its memory. */
extern void kpi_capture_subxact_clear(KpiSubxactDeltas *subxact);

/* Whether a level has nothing to be written. */
static inline bool
kpi_capture_subxact_is_empty(const KpiSubxactDeltas *subxact)
{
	return subxact->ndeltas == 0 && subxact->loaded == NIL;
}

/* Notes when a row of the source was loaded; the latest counts. */
extern void kpi_capture_subxact_loaded(KpiSubxactDeltas *subxact, int32 source_id, TimestampTz at);

/* The latest of the source, or DT_NOBEGIN. */
extern TimestampTz kpi_capture_subxact_loaded_at(const KpiSubxactDeltas *subxact, int32 source_id);

/* Calls a function for each delta of a level. */
extern void kpi_capture_subxact_foreach(KpiSubxactDeltas *subxact,
										void (*visit) (KpiDelta *delta, void *arg), void *arg);

/*
 * The subtransaction at this nesting level becomes part of the one above, or is
 * undone.
 */
extern void kpi_capture_subxact_committed(int nest_level);
extern void kpi_capture_subxact_aborted(int nest_level);

/* At the end of the transaction. */
extern void kpi_capture_subxact_forget(void);

/* ---- segment.c ---- */

extern Oid	kpi_capture_segment_relid(int32 source_id, int segment);

/*
 * Makes the tables of a source that has none.  The caller keeps writers of its
 * table away.
 */
extern void kpi_capture_segments_create(int32 source_id);

/* The segment to write to, locked until the end of the transaction; or NULL. */
extern Relation kpi_capture_segment_open(int32 source_id);

extern bool kpi_capture_segment_is_consumed(Oid relid);
extern BlockNumber kpi_capture_segment_blocks(Oid relid);

/*
 * At pre-commit, or before PREPARE (may_lock is false): empties what was
 * consumed.
 */
extern void kpi_capture_segments_empty(bool may_lock);

/* At the end of the transaction, and of a subtransaction. */
extern void kpi_capture_segments_forget(void);
extern void kpi_capture_segments_subxact(bool commit, SubTransactionId subid, SubTransactionId parent);

/* ---- pack.c ---- */

/* Deltas that are to become a row. */
typedef struct KpiPack
{
	StringInfoData data;
	int			ndeltas;
	int32		stream_id;		/* of the last one */
	int32		version;
} KpiPack;

extern void kpi_capture_pack_init(KpiPack *pack);
extern void kpi_capture_pack_begin(KpiPack *pack);	/* empties it */
extern Size kpi_capture_pack_size(const KpiDelta *delta, struct varlena *cell); /* at most */
extern void kpi_capture_pack_add(KpiPack *pack, const KpiDelta *delta, struct varlena *cell);
extern Datum kpi_capture_pack_datum(KpiPack *pack);

/* ---- queue.c ---- */

/* A segment of a source while rows are written to it. */
typedef struct KpiQueueWriter
{
	Relation	rel;
	TimestampTz captured_at;	/* when it was opened, if not set later */
	FullTransactionId lowest_xid;	/* of what is written; invalid: this
									 * transaction's own */
	TimestampTz loaded_at;		/* goes with the next row, or alone;
								 * DT_NOBEGIN: there is nothing to go */
	KpiPack		pack;
	Size		bytes;			/* of rows written */
} KpiQueueWriter;

/*
 * False, and nothing to close, when the source has no segments.  Rows are there
 * for good when the writer is closed.
 */
extern bool kpi_capture_queue_open(KpiQueueWriter *writer, int32 source_id);
extern void kpi_capture_queue_delta(KpiQueueWriter *writer, const KpiDelta *delta);
extern void kpi_capture_queue_marker(KpiQueueWriter *writer, char kind, const char *error);
extern void kpi_capture_queue_close(KpiQueueWriter *writer);

/* ---- marker.c ---- */

/*
 * Appends a marker to the queue, in the current transaction: 'r' asks the
 * next refresh to recompute the source, 's' to suspend it with this note.
 * Takes no lock anyone waits for; usable in triggers.
 */
extern void kpi_capture_mark(int32 source_id, char kind, const char *error);

/* Counts a fact or a marker of the source, for kpi_capture_count(). */
extern void kpi_capture_note(int32 source_id);

/* ---- flush.c ---- */

/* Writes a level's deltas to the queue; keeps them. */
extern void kpi_capture_flush_subxact(KpiSubxactDeltas *subxact);

/* ---- buffer.c ---- */

/* From pre-commit on: nothing may stay in the buffer. */
extern bool kpi_capture_write_through;

/*
 * Adds a fact of stream number s to the current level, or takes it off; spills
 * when the level has grown too large.  leaf: see KpiDeltaKey.
 */
extern void kpi_capture_fact(const KpiSource *source, KpiProjection *proj, int s, Oid leaf,
							 const KpiFact *fact, int sign);

/* Writes a level to the queue when it has grown too large, or nothing may stay in it. */
extern void kpi_capture_spill(KpiSubxactDeltas *subxact);

/* Notes when a row of the source was loaded, in the current level. */
extern void kpi_capture_loaded(int32 source_id, TimestampTz at);

/* ---- switch.c ---- */

/* The source that a trigger is for, by its argument; 0: none. */
extern int32 kpi_capture_trigger_argument(const Trigger *trigger);

/*
 * Whether the transaction captures nothing of what fires this trigger; then a marker asks
 * for the source to be recomputed.
 */
extern bool kpi_capture_is_off(FunctionCallInfo fcinfo);

/* At the end of the transaction: the next one decides anew. */
extern void kpi_capture_switch_forget(void);

/* ---- trigger.c ---- */

/* Error unless called as the trigger that it is meant for: of a row, or of TRUNCATE. */
extern void kpi_capture_check_call(FunctionCallInfo fcinfo, const char *function, bool for_row);

/* A marker that asks to suspend the source has committed: one is enough. */
extern void kpi_capture_reported(int32 source_id);

/* Frees, at the end of the transaction, projections that became stale in it. */
extern void kpi_capture_release(void);

#endif							/* KPI_CAPTURE_INTERNAL_H */
