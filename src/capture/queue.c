/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  Rows of the queue: deltas, many in a row, and markers.
 *
 * They go to a segment of their source (segment.c) by direct heap insert: that
 * needs no rights of the writer, runs no user's code, and keeps the rows out of
 * logical decoding.  The tables have no index, no trigger and no constraint.
 *
 * When the segments are gone, the transaction itself has dropped the source or
 * the extension, and there is nobody to write for.  When they have not come yet,
 * the source was restored, and its first refresh will wait for this transaction
 * before it makes them and reads the facts.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/base.h"
#include "capture/capture_internal.h"
#include "cell/cell.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/* What a row has besides its deltas, at most. */
#define ROW_OVERHEAD 64

/* Up to this many bytes of deltas a row is stored as it is, and four fit a page. */
#define MAX_PACKED (TOAST_TUPLE_THRESHOLD - ROW_OVERHEAD)

/* A delta larger than this is split, so that it needs no out-of-line storage. */
#define MAX_DELTA (BLCKSZ - 512)

bool
kpi_capture_queue_open(KpiQueueWriter *writer, int32 source_id)
{
	memset(writer, 0, sizeof(KpiQueueWriter));
	writer->rel = kpi_capture_segment_open(source_id);
	if (writer->rel == NULL)
		return false;
	writer->captured_at = GetCurrentTimestamp();
	writer->loaded_at = DT_NOBEGIN;
	kpi_wake_request(false);
	kpi_capture_pack_init(&writer->pack);
	return true;
}

static void
write_row(KpiQueueWriter *writer, Datum *values, bool *nulls)
{
	HeapTuple	row;

	values[KPI_QUEUE_CAPTURED_AT] = TimestampTzGetDatum(writer->captured_at);
	nulls[KPI_QUEUE_XID] = !FullTransactionIdIsValid(writer->lowest_xid);
	values[KPI_QUEUE_XID] = FullTransactionIdGetDatum(writer->lowest_xid);
	nulls[KPI_QUEUE_LOADED_AT] = writer->loaded_at == DT_NOBEGIN;
	values[KPI_QUEUE_LOADED_AT] = TimestampTzGetDatum(writer->loaded_at);
	writer->loaded_at = DT_NOBEGIN;
	row = heap_form_tuple(RelationGetDescr(writer->rel), values, nulls);
	/* Only this function can keep rows out of logical decoding. */
	heap_insert(writer->rel, row, GetCurrentCommandId(true), HEAP_INSERT_NO_LOGICAL, NULL);
	writer->bytes += row->t_len;
	heap_freetuple(row);
}

/* ---- deltas ---- */

static void
write_pack(KpiQueueWriter *writer)
{
	Datum		values[KPI_QUEUE_COLUMNS] = {0};
	bool		nulls[KPI_QUEUE_COLUMNS] = {false};

	if (writer->pack.ndeltas == 0)
		return;
	values[KPI_QUEUE_DELTAS] = Int32GetDatum(writer->pack.ndeltas);
	values[KPI_QUEUE_KIND] = CharGetDatum(KPI_DELTA_CELL);
	nulls[KPI_QUEUE_ERROR] = true;
	values[KPI_QUEUE_DATA] = kpi_capture_pack_datum(&writer->pack);
	write_row(writer, values, nulls);
	kpi_capture_pack_begin(&writer->pack);
}

typedef struct MeasureRange
{
	int32		since;
	int32		until;			/* exclusive */
} MeasureRange;

static bool
in_range(int32 measure_id, void *arg)
{
	MeasureRange *range = arg;

	return measure_id >= range->since && measure_id < range->until;
}

static KpiCell *
cell_of_range(const KpiCell *cell, int32 since, int32 until)
{
	MeasureRange range = {since, until};
	KpiCell    *part = palloc(VARSIZE(cell));

	memcpy(part, cell, VARSIZE(cell));
	kpi_cell_filter(part, in_range, &range);
	return kpi_cell_pack(part);
}

static void add_cell(KpiQueueWriter *writer, const KpiDelta *delta, const KpiCell *cell);

/*
 * A cell too wide for a row goes in halves by measure; only cells of the error
 * day count errors of whole facts, and those have nothing else, so nothing is
 * written twice.  One measure alone is stored out of line if it must be.
 */
static bool
add_halves(KpiQueueWriter *writer, const KpiDelta *delta, const KpiCell *cell)
{
	MemoryContext halves = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi wide cell",
												 ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(halves);
	int32	   *ids = palloc(sizeof(int32) * cell->nstates);
	int			nmeasures = kpi_cell_measures(cell, ids, cell->nstates);

	if (nmeasures > 1)
	{
		add_cell(writer, delta, cell_of_range(cell, PG_INT32_MIN, ids[nmeasures / 2]));
		add_cell(writer, delta, cell_of_range(cell, ids[nmeasures / 2], PG_INT32_MAX));
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(halves);
	return nmeasures > 1;
}

/* Adds one delta, whose cell is packed, to the row; one that is full is written first. */
static void
add_cell(KpiQueueWriter *writer, const KpiDelta *delta, const KpiCell *cell)
{
	struct varlena *compact = kpi_cell_compact(cell);
	Size		size = kpi_capture_pack_size(delta, compact);

	if (size <= MAX_DELTA || !add_halves(writer, delta, cell))
	{
		if (writer->pack.data.len + size > MAX_PACKED)
			write_pack(writer);
		kpi_capture_pack_add(&writer->pack, delta, compact);
	}
	pfree(compact);
}

void
kpi_capture_queue_delta(KpiQueueWriter *writer, const KpiDelta *delta)
{
	add_cell(writer, delta, delta->cell);
}

/* Rows were loaded that move no cell: nothing waits, but something is to be told. */
static void
write_loaded(KpiQueueWriter *writer)
{
	Datum		values[KPI_QUEUE_COLUMNS] = {0};
	bool		nulls[KPI_QUEUE_COLUMNS] = {false};

	values[KPI_QUEUE_DELTAS] = Int32GetDatum(0);
	values[KPI_QUEUE_KIND] = CharGetDatum(KPI_DELTA_LOADED);
	nulls[KPI_QUEUE_ERROR] = nulls[KPI_QUEUE_DATA] = true;
	write_row(writer, values, nulls);
}

void
kpi_capture_queue_close(KpiQueueWriter *writer)
{
	write_pack(writer);
	if (writer->loaded_at != DT_NOBEGIN)
		write_loaded(writer);
	pfree(writer->pack.data.data);
	table_close(writer->rel, NoLock);
}

/* ---- markers ---- */

void
kpi_capture_queue_marker(KpiQueueWriter *writer, char kind, const char *error)
{
	Datum		values[KPI_QUEUE_COLUMNS] = {0};
	bool		nulls[KPI_QUEUE_COLUMNS] = {false};

	values[KPI_QUEUE_DELTAS] = Int32GetDatum(1);
	values[KPI_QUEUE_KIND] = CharGetDatum(kind);
	nulls[KPI_QUEUE_ERROR] = (error == NULL);
	if (error != NULL)
		values[KPI_QUEUE_ERROR] = CStringGetTextDatum(error);
	nulls[KPI_QUEUE_DATA] = true;
	write_row(writer, values, nulls);
}
