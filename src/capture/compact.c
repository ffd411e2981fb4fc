/*-------------------------------------------------------------------------
 *
 * compact.c
 *	  Many rows of a source's queue become few.
 *
 * Cells are a group, so deltas of one cell may be merged before a refresh takes
 * them.  One segment is sealed, what it has is read and written to the other one,
 * and it is emptied as after a refresh (segment.c).  Of one that is too large for
 * that a part is read and deleted, and the rest left to the next call.
 *
 * What is written has the lowest transaction number of all that was read, by
 * which deltas of a replaced function are known, and its earliest time.  Deltas
 * of different versions of a stream are not merged.  Of the markers one of
 * each kind is kept, of suspensions the first.
 *
 * The caller holds the source's lock, so no refresh is under way; writers are
 * not waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "capture/capture_internal.h"
#include "cell/cell.h"
#include "common/hashfn.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Of segments with more pages than this so much is read at a time. */
#define MAX_BLOCKS 1024
#define MAX_BYTES ((Size) MAX_BLOCKS * BLCKSZ)

typedef struct Compaction
{
	int32		source_id;
	KpiSubxactDeltas *merged;
	StringInfoData key;			/* of the delta at hand */
	MemoryContext row_cxt;
	TimestampTz captured_at;
	FullTransactionId lowest_xid;
	TimestampTz loaded_at;
	bool		recompute;		/* there is a marker of this kind */
	bool		suspend;
	char	   *suspend_error;
	KpiQueueWriter writer;
} Compaction;

/* The key of a delta, as a writer has it. */
static KpiDelta
delta_key(Compaction *c, const KpiUnpack *unpack)
{
	KpiDelta	delta = {0};
	KpiDeltaKey key = {
		.source_id = c->source_id,
		.stream_id = unpack->stream_id,
		.version = unpack->version,
		.day = unpack->day,
		.leaf = unpack->leaf,
		.ndims = unpack->ndims
	};

	resetStringInfo(&c->key);
	appendBinaryStringInfo(&c->key, (char *) &key, offsetof(KpiDeltaKey, values));
	appendBinaryStringInfo(&c->key, unpack->values, unpack->values_len);
	delta.key = (KpiDeltaKey *) c->key.data;
	delta.key_len = c->key.len;
	delta.hash = hash_bytes((unsigned char *) delta.key, delta.key_len);
	return delta;
}

static void
merge_delta(Compaction *c, const KpiUnpack *unpack)
{
	KpiDelta	model = delta_key(c, unpack);
	KpiDelta   *delta = kpi_capture_subxact_find(c->merged, &model);

	if (delta == NULL)
		delta = kpi_capture_subxact_insert(c->merged, &model, unpack->cell);
	else
		kpi_capture_subxact_set_cell(c->merged, delta, kpi_cell_merge(delta->cell, unpack->cell));
	if (unpack->error != NULL)
		kpi_capture_subxact_set_error(c->merged, delta, unpack->error);
}

static void
merge_row(Compaction *c, KpiQueueScan *scan)
{
	KpiUnpack	unpack;
	TimestampTz at = kpi_capture_scan_committed_at(scan);
	FullTransactionId xid = kpi_capture_scan_writer(scan);

	if (at == 0)
		at = kpi_capture_scan_captured_at(scan);
	c->captured_at = Min(c->captured_at, at);
	c->loaded_at = Max(c->loaded_at, kpi_capture_scan_loaded_at(scan));
	if (!FullTransactionIdIsValid(c->lowest_xid) || FullTransactionIdPrecedes(xid, c->lowest_xid))
		c->lowest_xid = xid;

	if (scan->kind == KPI_DELTA_RECOMPUTE)
		c->recompute = true;
	else if (scan->kind == KPI_DELTA_SUSPEND)
	{
		if (!c->suspend)
			c->suspend_error = kpi_capture_scan_error(scan);
		c->suspend = true;
	}
	else if (scan->kind == KPI_DELTA_CELL)
	{
		MemoryContext old = MemoryContextSwitchTo(c->row_cxt);

		kpi_capture_unpack_begin(&unpack, kpi_capture_scan_data(scan));
		while (kpi_capture_unpack_next(&unpack))
			merge_delta(c, &unpack);
		MemoryContextSwitchTo(old);
		MemoryContextReset(c->row_cxt);
	}
}

/* Reads, and deletes if that is wanted, at most so many bytes; false: not all. */
static bool
merge_rows(Compaction *c, KpiQueueScan *scan, bool delete, Size max_bytes)
{
	Size		bytes = 0;

	while (bytes < max_bytes)
	{
		if (!kpi_capture_scan_next(scan))
			return true;
		merge_row(c, scan);
		if (delete)
			kpi_capture_scan_delete(scan);
		bytes += kpi_capture_scan_size(scan);
	}
	return false;
}

/*
 * The segment that is sealed, and with both the other one, which may have what
 * was compacted before.  False: more is left of it.
 */
static bool
read_segments(Compaction *c, Oid segment, bool both)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		is_read;
	KpiQueueScan scan;

	PushActiveSnapshot(snapshot);
	kpi_capture_scan_begin_segment(&scan, segment, snapshot);
	is_read = merge_rows(c, &scan, !both, both ? SIZE_MAX : MAX_BYTES);
	kpi_capture_scan_end(&scan);
	if (is_read)
		kpi_capture_segment_consumed(segment);
	if (both)
	{
		kpi_capture_scan_begin(&scan, c->source_id, InvalidOid, snapshot, RowExclusiveLock);
		(void) merge_rows(c, &scan, true, SIZE_MAX);
		kpi_capture_scan_end(&scan);
	}
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	return is_read;
}

static void
write_delta(KpiDelta *delta, void *arg)
{
	if (kpi_capture_is_note(delta->key->stream_id) || !kpi_cell_is_empty(delta->cell))
		kpi_capture_queue_delta(arg, delta);
}

static void
write_merged(Compaction *c)
{
	if (!FullTransactionIdIsValid(c->lowest_xid))
		return;
	if (!kpi_capture_queue_open(&c->writer, c->source_id))
		elog(ERROR, "source %d has no queue", c->source_id);
	c->writer.captured_at = c->captured_at;
	c->writer.lowest_xid = c->lowest_xid;
	c->writer.loaded_at = c->loaded_at;
	if (c->recompute)
		kpi_capture_queue_marker(&c->writer, KPI_DELTA_RECOMPUTE, NULL);
	if (c->suspend)
		kpi_capture_queue_marker(&c->writer, KPI_DELTA_SUSPEND, c->suspend_error);
	kpi_capture_subxact_foreach(c->merged, write_delta, &c->writer);
	kpi_capture_queue_close(&c->writer);
}

bool
kpi_capture_compact(int32 source_id, BlockNumber *blocks)
{
	Oid			segment = kpi_capture_segment_seal(source_id);
	MemoryContext mcxt;
	MemoryContext old;
	Compaction	c = {.source_id = source_id,.captured_at = DT_NOEND,.loaded_at = DT_NOBEGIN};
	bool		both = kpi_capture_segments_blocks(source_id) <= MAX_BLOCKS;
	bool		is_done;

	if (!OidIsValid(segment))
		return false;
	mcxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi compaction", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(mcxt);
	c.merged = kpi_capture_subxact_create(mcxt);
	c.merged->context = mcxt;
	c.row_cxt = AllocSetContextCreate(mcxt, "pg_kpi queue row", ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&c.key);
	is_done = read_segments(&c, segment, both);
	write_merged(&c);
	if (both)
		*blocks = c.writer.bytes / BLCKSZ + 1;
	else
		*blocks = is_done ? kpi_capture_segments_blocks(source_id) : 0;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(mcxt);
	return true;
}
