/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  The engine's side of the queue: deltas are read once and taken out.
 *
 * The source's lock is held and the run's snapshot was taken after it.  Every
 * row of the source the snapshot shows is consumed: merged when its version is
 * the stream's and its day is built (build.c), discarded otherwise.
 *
 * A segment of the queue that has grown is sealed, if that can be had at once
 * (capture/segment.c).  When the run's snapshot shows all that is in it, its
 * rows need not be deleted: it is emptied as a whole when the transaction
 * commits.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/tableam.h"
#include "access/transam.h"
#include "base/base.h"
#include "capture/capture.h"
#include "cell/cell.h"
#include "executor/tuptable.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

void
kpi_refresh_note_fact_error(KpiRun *run, const char *error)
{
	if (run->stats.fact_error)
		pfree(run->stats.fact_error);
	run->stats.fact_error = MemoryContextStrdup(run->mcxt, error);
}

/* Adds one delta to the sum, if it is of the present definition. */
static void
merge_delta(KpiRun *run, KpiQueue *queue, const KpiUnpack *delta)
{
	const KpiStream *stream = kpi_model_stream_find(run->source, delta->stream_id);
	KpiCellKey	key = {.columns = {0}};

	/* A note has been read before (keyed.c). */
	if (kpi_capture_is_note(delta->stream_id) || stream == NULL || stream->version != delta->version)
		return;
	/* What was written to a leaf before it was known is read with the leaf. */
	if (OidIsValid(delta->leaf) && !list_member_oid(run->table.known, delta->leaf))
		return;

	kpi_refresh_drop_unknown_states(delta->cell, stream);
	if (kpi_cell_is_empty(delta->cell) ||
		!kpi_refresh_build_takes(run, stream - run->source->streams, delta->cell, delta->day))
		return;

	run->at.is_known = true;
	run->at.day = delta->day;
	run->at.owner = delta->owner;
	run->at.owner_len = delta->owner_len;
	key.day.stream_id = stream->id;
	key.day.owner_id = kpi_refresh_dict_owner(queue->dict, delta->owner, delta->owner_len);
	key.day.day = delta->day;
	key.day.dim_combination_id =
		kpi_refresh_dict_dim_combination(queue->dict,
										 delta->ndims > 0 ? kpi_capture_unpack_dims(delta) : (Datum) 0,
										 delta->ndims == 0);
	kpi_refresh_cellmap_add(queue->cells, &key, delta->cell);
	run->at.is_known = false;

	if (delta->error != NULL)
		kpi_refresh_note_fact_error(run, delta->error);
}

static void
read_marker(KpiQueueScan *scan, bool *recompute, char **suspend)
{
	if (scan->kind == KPI_DELTA_RECOMPUTE)
		*recompute = true;
	else if (scan->kind == KPI_DELTA_SUSPEND && *suspend == NULL)
	{
		*suspend = kpi_capture_scan_error(scan);
		if (*suspend == NULL)
			*suspend = pstrdup(KPI_NOTE_OWN "a change could not be captured");
	}
}

static bool
is_marker(const KpiQueueScan *scan)
{
	return scan->kind != KPI_DELTA_CELL;
}

/* A row of the queue into the sums; leaves nothing behind in the row's context. */
static void
consume_row(KpiRun *run, KpiQueue *queue, KpiQueueScan *scan, MemoryContext row_cxt)
{
	KpiUnpack	unpack;
	MemoryContext old;

	run->stats.ndeltas += scan->ndeltas;
	run->stats.loaded_at = Max(run->stats.loaded_at, kpi_capture_scan_loaded_at(scan));
	if (is_marker(scan))
	{
		read_marker(scan, &queue->recompute, &queue->suspend);
		return;
	}
	old = MemoryContextSwitchTo(row_cxt);
	kpi_capture_unpack_begin(&unpack, kpi_capture_scan_data(scan));
	while (kpi_capture_unpack_next(&unpack))
		merge_delta(run, queue, &unpack);
	MemoryContextSwitchTo(old);
	MemoryContextReset(row_cxt);
}

static void
delete_visible(Oid segment, Snapshot snapshot)
{
	KpiQueueScan scan;

	kpi_capture_scan_begin_segment(&scan, segment, snapshot);
	while (kpi_capture_scan_next(&scan))
		kpi_capture_scan_delete(&scan);
	kpi_capture_scan_end(&scan);
}

/*
 * What has committed between the run's snapshot and the seal is for the next
 * run, and then the segment cannot be emptied as a whole.
 */
static void
consume_sealed(KpiRun *run, KpiQueue *queue, Oid segment, MemoryContext row_cxt)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	bool		is_late = false;
	KpiQueueScan scan;

	kpi_capture_scan_begin_segment(&scan, segment, latest);
	while (kpi_capture_scan_next(&scan))
	{
		if (table_tuple_satisfies_snapshot(scan.rel, scan.slot, run->snapshot))
			consume_row(run, queue, &scan, row_cxt);
		else
			is_late = true;
	}
	kpi_capture_scan_end(&scan);
	UnregisterSnapshot(latest);
	if (is_late)
		delete_visible(segment, run->snapshot);
	else
		kpi_capture_segment_consumed(segment);
}

static KpiQueue *
new_queue(KpiRun *run)
{
	KpiQueue   *queue = palloc0(sizeof(KpiQueue));

	queue->cells = kpi_refresh_cellmap_create(run);
	queue->dict = kpi_refresh_dict_create(run->mcxt);
	kpi_refresh_cellmap_use_dict(queue->cells, queue->dict, run->source);
	return queue;
}

KpiQueue *
kpi_refresh_queue_consume(KpiRun *run)
{
	KpiQueue   *queue = new_queue(run);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi queue row",
												  ALLOCSET_DEFAULT_SIZES);
	Oid			segment = kpi_capture_segment_seal(run->source->id);
	KpiQueueScan scan;

	if (OidIsValid(segment))
		consume_sealed(run, queue, segment, row_cxt);
	kpi_capture_scan_begin(&scan, run->source->id, segment, run->snapshot, RowExclusiveLock);
	while (kpi_capture_scan_next(&scan))
	{
		consume_row(run, queue, &scan, row_cxt);
		kpi_capture_scan_delete(&scan);
	}
	kpi_capture_scan_end(&scan);
	MemoryContextDelete(row_cxt);

	return queue;
}

KpiQueue *
kpi_refresh_queue_sum(KpiRun *run)
{
	KpiQueue   *queue = new_queue(run);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi queue row",
												  ALLOCSET_DEFAULT_SIZES);
	KpiQueueScan scan;

	kpi_capture_scan_begin(&scan, run->source->id, InvalidOid, run->snapshot, AccessShareLock);
	while (kpi_capture_scan_next(&scan))
		consume_row(run, queue, &scan, row_cxt);
	kpi_capture_scan_end(&scan);
	MemoryContextDelete(row_cxt);
	return queue;
}

void
kpi_refresh_queue_peek(int32 source_id, Snapshot snapshot, FullTransactionId suspect_before,
					   bool *recompute, bool *suspect, char **suspend)
{
	KpiQueueScan scan;

	*recompute = *suspect = false;
	*suspend = NULL;
	kpi_capture_scan_begin(&scan, source_id, InvalidOid, snapshot, AccessShareLock);
	while (kpi_capture_scan_next(&scan))
	{
		if (is_marker(&scan))
			read_marker(&scan, recompute, suspend);
		else if (FullTransactionIdIsValid(suspect_before) &&
				 FullTransactionIdPrecedes(kpi_capture_scan_writer(&scan), suspect_before))
			*suspect = true;
	}
	kpi_capture_scan_end(&scan);
}

void
kpi_refresh_queue_forget(int32 source_id)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	KpiQueueScan scan;

	kpi_capture_scan_begin(&scan, source_id, InvalidOid, snapshot, RowExclusiveLock);
	while (kpi_capture_scan_next(&scan))
		kpi_capture_scan_delete(&scan);
	kpi_capture_scan_end(&scan);
	UnregisterSnapshot(snapshot);
}

bool
kpi_refresh_queue_waits(int32 source_id, Snapshot snapshot)
{
	KpiQueueScan scan;
	bool		waits;

	kpi_capture_scan_begin(&scan, source_id, InvalidOid, snapshot, AccessShareLock);
	waits = kpi_capture_scan_next(&scan);
	kpi_capture_scan_end(&scan);
	return waits;
}

/* ---- compaction ---- */

/* It is worth while when both segments have grown, and again when that has doubled. */
bool
kpi_refresh_queue_is_crowded(int32 source_id)
{
	BlockNumber blocks = kpi_capture_segments_blocks(source_id);

	return blocks >= KPI_SEGMENTS * kpi_capture_grown_blocks() &&
		blocks >= 2 * kpi_first_int8("SELECT s.queue_blocks FROM kpi_internal.source_state s WHERE s.source_id = $1",
									 1, KPI_INT4(source_id));
}

bool
kpi_refresh_queue_compact(int32 source_id)
{
	BlockNumber blocks;
	KpiSpi		spi;

	(void) kpi_refresh_lock_sources(source_id);
	if (!kpi_refresh_queue_is_crowded(source_id) || !kpi_capture_compact(source_id, &blocks))
		return false;
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.source_state SET queue_blocks = $2 WHERE source_id = $1",
				 2, KPI_INT4(source_id), KPI_INT8(blocks));
	kpi_spi_end(&spi);
	return true;
}
