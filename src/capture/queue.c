/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  Rows of the queue: deltas and markers.
 *
 * They go to kpi_internal.delta by direct heap insert: that needs no rights of
 * the writer, runs no user's code, and keeps the rows out of logical decoding.
 * The table has no index, no trigger and no constraint but NOT NULL, which
 * these rows keep.
 *
 * Locks: ROW EXCLUSIVE on kpi_internal.delta until the end of the
 * transaction; nobody waits for it but DDL on that table.
 *
 * When kpi_internal.delta is gone, the transaction itself has dropped the
 * extension, and there is nobody to write for.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/base.h"
#include "capture/capture_internal.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "executor/tuptable.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* A row larger than this is split, so that it needs no out-of-line storage. */
#define MAX_ROW_SIZE (BLCKSZ - 512)

/* Rows written together; the split of a wide cell may bring some more. */
#define BATCH_SIZE 64
#define MAX_SLOTS (2 * BATCH_SIZE)

/* Enough for the usual batch, so that resetting its context costs nothing. */
#define ROWS_BLOCK_SIZE (128 * 1024)

/* kpi_internal.delta, as long as nothing has happened to it. */
static Oid	queue_relid = InvalidOid;

static void
table_changed(Oid relid)
{
	if (!OidIsValid(relid) || relid == queue_relid)
		queue_relid = InvalidOid;
}

static Relation
open_queue(void)
{
	if (!OidIsValid(queue_relid))
	{
		Oid			namespace = get_namespace_oid("kpi_internal", true);

		kpi_on_relcache_change(table_changed);
		if (OidIsValid(namespace))
			queue_relid = get_relname_relid("delta", namespace);
	}
	return OidIsValid(queue_relid) ? try_table_open(queue_relid, RowExclusiveLock) : NULL;
}

/* Batches, in memory of their own. */
static void
begin_batches(KpiQueueWriter *writer)
{
	writer->context = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi flush",
											ALLOCSET_DEFAULT_SIZES);
	writer->rows = AllocSetContextCreate(writer->context, "pg_kpi queue rows",
										 0, ROWS_BLOCK_SIZE, ROWS_BLOCK_SIZE);
	writer->bistate = GetBulkInsertState();
	/* Only heap_insert() can keep rows out of logical decoding. */
	if (!RelationIsLogicallyLogged(writer->rel))
		writer->slots = MemoryContextAlloc(writer->context, sizeof(TupleTableSlot *) * MAX_SLOTS);
}

bool
kpi_capture_queue_open(KpiQueueWriter *writer, bool many)
{
	memset(writer, 0, sizeof(KpiQueueWriter));
	writer->rel = open_queue();
	if (writer->rel == NULL)
		return false;
	writer->now = GetCurrentTimestamp();
	kpi_wake_request(false);
	if (many)
		begin_batches(writer);
	return true;
}

static void
write_batch(KpiQueueWriter *writer)
{
	if (writer->nslots > 0)
		heap_multi_insert(writer->rel, writer->slots, writer->nslots,
						  GetCurrentCommandId(true), 0, writer->bistate);
	for (int i = 0; i < writer->nslots; i++)
		ExecClearTuple(writer->slots[i]);
	writer->nslots = 0;
}

static void
write_row(KpiQueueWriter *writer, HeapTuple row)
{
	if (writer->slots == NULL)
	{
		heap_insert(writer->rel, row, GetCurrentCommandId(true),
					HEAP_INSERT_NO_LOGICAL, writer->bistate);
		return;
	}

	if (writer->nslots == MAX_SLOTS)
		write_batch(writer);
	if (writer->nslots == writer->nmade)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(writer->context);

		writer->slots[writer->nmade++] =
			MakeSingleTupleTableSlot(RelationGetDescr(writer->rel), &TTSOpsHeapTuple);
		MemoryContextSwitchTo(oldcontext);
	}
	ExecStoreHeapTuple(row, writer->slots[writer->nslots++], true);
}

void
kpi_capture_queue_close(KpiQueueWriter *writer)
{
	if (writer->context != NULL)
	{
		write_batch(writer);
		for (int i = 0; i < writer->nmade; i++)
			ExecDropSingleTupleTableSlot(writer->slots[i]);
		FreeBulkInsertState(writer->bistate);
		MemoryContextDelete(writer->context);
	}
	table_close(writer->rel, NoLock);
}

/* ---- deltas ---- */

static const char *
next_value(const char **from)
{
	const char *value = *from;

	if (*value == '\0')
	{
		*from = value + 1;
		return NULL;
	}
	*from = value + strlen(value) + 1;
	return value + 1;
}

static Datum
dims_datum(const char *from, int ndims)
{
	Datum	   *values = palloc(sizeof(Datum) * ndims);
	bool	   *nulls = palloc(sizeof(bool) * ndims);
	int			lbound = 1;

	for (int d = 0; d < ndims; d++)
	{
		const char *value = next_value(&from);

		nulls[d] = (value == NULL);
		values[d] = value ? CStringGetTextDatum(value) : (Datum) 0;
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, &ndims, &lbound,
											  TEXTOID, -1, false, TYPALIGN_INT));
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

/*
 * Writes one delta, whose cell is packed.  A cell too wide for a row goes in
 * halves by measure; only cells of the error day count errors of whole facts,
 * and those have nothing else, so nothing is written twice.
 */
static void
write_cell(KpiQueueWriter *writer, const KpiDelta *delta, const KpiCell *cell)
{
	Datum		values[DELTA_COLUMNS] = {0};
	bool		nulls[DELTA_COLUMNS] = {false};
	const char *from = delta->key->values;
	const char *owner = next_value(&from);
	HeapTuple	row;

	values[DELTA_SOURCE] = Int32GetDatum(delta->key->source_id);
	values[DELTA_STREAM] = Int32GetDatum(delta->key->stream_id);
	values[DELTA_VERSION] = Int32GetDatum(delta->key->version);
	values[DELTA_KIND] = CharGetDatum(KPI_DELTA_CELL);
	values[DELTA_DAY] = DateADTGetDatum(delta->key->day);
	if (owner != NULL)
		values[DELTA_OWNER] = CStringGetTextDatum(owner);
	nulls[DELTA_OWNER] = (owner == NULL);
	if (delta->key->ndims > 0)
		values[DELTA_DIMS] = dims_datum(from, delta->key->ndims);
	nulls[DELTA_DIMS] = (delta->key->ndims == 0);
	values[DELTA_CELL] = PointerGetDatum(kpi_cell_compact(cell));
	if (delta->error != NULL)
		values[DELTA_ERROR] = CStringGetTextDatum(delta->error);
	nulls[DELTA_ERROR] = (delta->error == NULL);
	values[DELTA_CAPTURED_AT] = TimestampTzGetDatum(writer->now);

	row = heap_form_tuple(RelationGetDescr(writer->rel), values, nulls);
	if (row->t_len > MAX_ROW_SIZE)
	{
		int32	   *ids = palloc(sizeof(int32) * cell->nstates);
		int			nmeasures = kpi_cell_measures(cell, ids, cell->nstates);

		if (nmeasures > 1)
		{
			write_cell(writer, delta, cell_of_range(cell, PG_INT32_MIN, ids[nmeasures / 2]));
			write_cell(writer, delta, cell_of_range(cell, ids[nmeasures / 2], PG_INT32_MAX));
			return;
		}
	}
	write_row(writer, row);
}

void
kpi_capture_queue_delta(KpiQueueWriter *writer, const KpiDelta *delta)
{
	MemoryContext old;

	if (writer->rows == NULL)
	{
		write_cell(writer, delta, delta->cell);
		return;
	}

	old = MemoryContextSwitchTo(writer->rows);
	write_cell(writer, delta, delta->cell);
	if (writer->nslots >= BATCH_SIZE)
		write_batch(writer);
	if (writer->nslots == 0)
		MemoryContextReset(writer->rows);
	MemoryContextSwitchTo(old);
}

/* ---- markers ---- */

void
kpi_capture_queue_marker(KpiQueueWriter *writer, int32 source_id, char kind, const char *error)
{
	Datum		values[DELTA_COLUMNS] = {0};
	bool		nulls[DELTA_COLUMNS];
	HeapTuple	row;

	memset(nulls, true, sizeof(nulls));
	values[DELTA_SOURCE] = Int32GetDatum(source_id);
	values[DELTA_KIND] = CharGetDatum(kind);
	values[DELTA_CAPTURED_AT] = TimestampTzGetDatum(writer->now);
	nulls[DELTA_SOURCE] = nulls[DELTA_STREAM] = nulls[DELTA_VERSION] = nulls[DELTA_KIND] = false;
	nulls[DELTA_CAPTURED_AT] = false;
	if (error != NULL)
	{
		values[DELTA_ERROR] = CStringGetTextDatum(error);
		nulls[DELTA_ERROR] = false;
	}
	row = heap_form_tuple(RelationGetDescr(writer->rel), values, nulls);
	write_row(writer, row);
	if (writer->slots == NULL)
		heap_freetuple(row);
}
