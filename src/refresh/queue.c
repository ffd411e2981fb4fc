/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  The engine's side of the queue: deltas are read once and deleted.
 *
 * The source's lock is held and the run's snapshot was taken after it.  Every
 * row of the source the snapshot shows is consumed: merged when its version is
 * the stream's and its day is built (build.c), discarded otherwise.  Rows are
 * deleted by heap_delete, not by a statement, so that a publication FOR ALL
 * TABLES does not demand a replica identity of the queue.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "base/base.h"
#include "capture/capture.h"
#include "cell/cell.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Adds one delta to the sum, if it is of the present definition. */
static void
merge_delta(KpiRun *run, KpiQueue *queue, TupleTableSlot *slot)
{
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;
	const KpiStream *stream = kpi_model_stream_find(run->source, DatumGetInt32(values[DELTA_STREAM]));
	text	   *owner = NULL;
	KpiCell    *cell;
	KpiCellKey	key = {.columns = {0}};

	if (stream == NULL || stream->version != DatumGetInt32(values[DELTA_VERSION]))
		return;

	cell = DatumGetKpiCellPCopy(values[DELTA_CELL]);
	kpi_refresh_drop_unknown_states(cell, stream);
	if (kpi_cell_is_empty(cell) ||
		!kpi_refresh_build_takes(run, stream - run->source->streams, cell, DatumGetDateADT(values[DELTA_DAY])))
		return;

	if (!nulls[DELTA_OWNER])
		owner = DatumGetTextPP(values[DELTA_OWNER]);
	run->at.is_known = true;
	run->at.day = DatumGetDateADT(values[DELTA_DAY]);
	run->at.owner = owner ? VARDATA_ANY(owner) : NULL;
	run->at.owner_len = owner ? VARSIZE_ANY_EXHDR(owner) : 0;
	key.day.stream_id = stream->id;
	key.day.owner_id = kpi_refresh_dict_owner(queue->dict, run->at.owner, run->at.owner_len);
	key.day.day = run->at.day;
	key.day.dim_combination_id = kpi_refresh_dict_dim_combination(queue->dict, values[DELTA_DIMS],
																  nulls[DELTA_DIMS]);
	kpi_refresh_cellmap_add(queue->cells, &key, cell);
	run->at.is_known = false;

	if (!nulls[DELTA_ERROR])
		run->stats.fact_error = MemoryContextStrdup(run->mcxt, TextDatumGetCString(values[DELTA_ERROR]));
}

static void
read_marker(TupleTableSlot *slot, bool *recompute, char **suspend)
{
	char		kind = DatumGetChar(slot->tts_values[DELTA_KIND]);

	if (kind == KPI_DELTA_RECOMPUTE)
		*recompute = true;
	else if (kind == KPI_DELTA_SUSPEND && *suspend == NULL)
		*suspend = slot->tts_isnull[DELTA_ERROR] ? pstrdup(KPI_NOTE_OWN "a change could not be captured") :
			TextDatumGetCString(slot->tts_values[DELTA_ERROR]);
}

/* The scan's next row of this source. */
static bool
next_row(TableScanDesc scan, TupleTableSlot *slot, int32 source_id)
{
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (DatumGetInt32(slot->tts_values[DELTA_SOURCE]) == source_id)
			return true;
	}
	return false;
}

static bool
is_marker(TupleTableSlot *slot)
{
	return DatumGetChar(slot->tts_values[DELTA_KIND]) != KPI_DELTA_CELL;
}

KpiQueue *
kpi_refresh_queue_consume(KpiRun *run)
{
	KpiQueue   *queue = palloc0(sizeof(KpiQueue));
	Relation	rel = table_open(kpi_relation_oid("kpi_internal", "delta"), RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan;
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi queue row",
												  ALLOCSET_DEFAULT_SIZES);

	queue->cells = kpi_refresh_cellmap_create(run);
	queue->dict = kpi_refresh_dict_create(run->mcxt);
	kpi_refresh_cellmap_use_dict(queue->cells, queue->dict, run->source);

	scan = table_beginscan(rel, run->snapshot, 0, NULL);
	while (next_row(scan, slot, run->source->id))
	{
		if (is_marker(slot))
			read_marker(slot, &queue->recompute, &queue->suspend);
		else
		{
			MemoryContext old = MemoryContextSwitchTo(row_cxt);

			merge_delta(run, queue, slot);
			MemoryContextSwitchTo(old);
			MemoryContextReset(row_cxt);
		}
		simple_heap_delete(rel, &slot->tts_tid);
		run->stats.ndeltas++;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	MemoryContextDelete(row_cxt);

	return queue;
}

/* The transaction that wrote the row. */
static TransactionId
row_writer(TupleTableSlot *slot)
{
	bool		isnull;

	return DatumGetTransactionId(slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull));
}

void
kpi_refresh_queue_peek(int32 source_id, Snapshot snapshot, TransactionId suspect_before,
					   bool *recompute, char **suspend)
{
	Relation	rel = table_open(kpi_relation_oid("kpi_internal", "delta"), AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);

	*recompute = false;
	*suspend = NULL;
	while (next_row(scan, slot, source_id))
	{
		if (is_marker(slot))
			read_marker(slot, recompute, suspend);
		else if (TransactionIdIsValid(suspect_before) &&
				 TransactionIdPrecedes(row_writer(slot), suspect_before))
			*recompute = true;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
}

void
kpi_refresh_queue_forget(int32 source_id, bool markers_only)
{
	Relation	rel = table_open(kpi_relation_oid("kpi_internal", "delta"), RowExclusiveLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);

	while (next_row(scan, slot, source_id))
	{
		if (is_marker(slot) || !markers_only)
			simple_heap_delete(rel, &slot->tts_tid);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}
