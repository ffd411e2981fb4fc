/*-------------------------------------------------------------------------
 *
 * flush.c
 *	  From the buffer to the queue.
 *
 * When the transaction commits or is prepared, when a level is spilled, and
 * when a refresh must see what its own transaction did, rows go to
 * kpi_internal.delta by direct heap insert: that needs no rights of the
 * writer, runs no user's code, and keeps the rows out of logical decoding.
 * The table has no index, no trigger and no constraint but NOT NULL, which
 * these rows keep.
 *
 * Locks: ROW EXCLUSIVE on kpi_internal.delta until the end of the
 * transaction; nobody waits for it but DDL on that table.
 *
 * After the flush at pre-commit another extension's callback may still write
 * facts, so from then on each change is written at once.  The callbacks are
 * there from when the library is loaded: preloaded, they are among the last to
 * be called, and what others write at pre-commit is in the buffer.
 *
 * When kpi_internal.delta is gone, the transaction itself has dropped the
 * extension, and there is nobody to write for.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/base.h"
#include "capture/capture_internal.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "tcop/pquery.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

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
	DELTA_COLUMNS
};

/* A row larger than this is split, so that it needs no out-of-line storage. */
#define MAX_ROW_SIZE (BLCKSZ - 512)

/* Rows written together; the split of a wide cell may bring some more. */
#define BATCH_SIZE 64
#define MAX_SLOTS (2 * BATCH_SIZE)

/* Enough for the usual batch, so that resetting its context costs nothing. */
#define ROWS_BLOCK_SIZE (128 * 1024)

typedef struct QueueWriter
{
	Relation	rel;
	MemoryContext context;		/* of the rows, reset when all are written;
								 * NULL: the current one */
	TupleTableSlot **slots;		/* [MAX_SLOTS], NULL: one row at a time */
	BulkInsertState bistate;	/* or NULL */
	int			nslots;			/* slots filled */
	int			nmade;			/* slots that exist */
} QueueWriter;

bool		kpi_capture_write_through = false;

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

static void
write_batch(QueueWriter *writer)
{
	if (writer->nslots > 0)
		heap_multi_insert(writer->rel, writer->slots, writer->nslots,
						  GetCurrentCommandId(true), 0, writer->bistate);
	for (int i = 0; i < writer->nslots; i++)
		ExecClearTuple(writer->slots[i]);
	writer->nslots = 0;
}

static void
write_row(QueueWriter *writer, HeapTuple row)
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
		MemoryContext oldcontext = MemoryContextSwitchTo(MemoryContextGetParent(writer->context));

		writer->slots[writer->nmade++] =
			MakeSingleTupleTableSlot(RelationGetDescr(writer->rel), &TTSOpsHeapTuple);
		MemoryContextSwitchTo(oldcontext);
	}
	ExecStoreHeapTuple(row, writer->slots[writer->nslots++], true);
}

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
write_cell(QueueWriter *writer, const KpiDelta *delta, const KpiCell *cell)
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

static void
visit_delta(KpiDelta *delta, void *arg)
{
	QueueWriter *writer = arg;

	if (kpi_capture_merge_failed)
		kpi_capture_queue_marker(delta->key->source_id, KPI_DELTA_RECOMPUTE, NULL);
	if (!kpi_cell_is_empty(delta->cell))
		write_cell(writer, delta, delta->cell);

	if (writer->nslots >= BATCH_SIZE)
		write_batch(writer);
	if (writer->nslots == 0 && writer->context != NULL)
		MemoryContextReset(writer->context);
}

/* Batches, in memory of their own. */
static void
write_many(KpiSubxactDeltas *subxact, QueueWriter *writer)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi flush",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext;

	writer->context = AllocSetContextCreate(context, "pg_kpi queue rows",
											0, ROWS_BLOCK_SIZE, ROWS_BLOCK_SIZE);
	writer->bistate = GetBulkInsertState();
	/* Only heap_insert() can keep rows out of logical decoding. */
	if (!RelationIsLogicallyLogged(writer->rel))
		writer->slots = MemoryContextAlloc(context, sizeof(TupleTableSlot *) * MAX_SLOTS);

	oldcontext = MemoryContextSwitchTo(writer->context);
	kpi_capture_subxact_foreach(subxact, visit_delta, writer);
	write_batch(writer);
	for (int i = 0; i < writer->nmade; i++)
		ExecDropSingleTupleTableSlot(writer->slots[i]);
	FreeBulkInsertState(writer->bistate);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
}

/*
 * Most transactions write a row or two: those leave their garbage to the
 * current memory context, which lives no longer than the transaction.
 */
void
kpi_capture_subxact_write(KpiSubxactDeltas *subxact)
{
	QueueWriter writer = {0};

	if (subxact->ndeltas == 0 || subxact->written_at != 0)
		return;
	writer.rel = open_queue();
	if (writer.rel == NULL)
		return;
	kpi_wake_request(false);

	if (subxact->ndeltas > KPI_FEW_DELTAS)
		write_many(subxact, &writer);
	else
		kpi_capture_subxact_foreach(subxact, visit_delta, &writer);
	table_close(writer.rel, NoLock);
}

/* ---------------- markers ---------------- */

static bool
marker_is_queued(int32 source_id, char kind)
{
	ListCell   *lc;

	for (KpiSubxactDeltas *subxact = kpi_capture_subxact_top; subxact != NULL; subxact = subxact->parent)
	{
		foreach(lc, subxact->markers)
		{
			KpiMarker  *marker = lfirst(lc);

			if (marker->source_id == source_id && marker->kind == kind)
				return true;
		}
	}
	return false;
}

/* The level remembers what it queued: one marker a transaction is enough. */
static void
remember_marker(int32 source_id, char kind)
{
	KpiSubxactDeltas *subxact = kpi_capture_subxact_current();
	MemoryContext oldcontext = MemoryContextSwitchTo(TopTransactionContext);
	KpiMarker  *marker = palloc(sizeof(KpiMarker));

	marker->source_id = source_id;
	marker->kind = kind;
	subxact->markers = lappend(subxact->markers, marker);
	MemoryContextSwitchTo(oldcontext);
}

void
kpi_capture_queue_marker(int32 source_id, char kind, const char *error)
{
	Datum		values[DELTA_COLUMNS] = {0};
	bool		nulls[DELTA_COLUMNS];
	Relation	rel;
	HeapTuple	row;

	if (marker_is_queued(source_id, kind))
		return;
	rel = open_queue();
	if (rel == NULL)
		return;
	kpi_wake_request(false);

	memset(nulls, true, sizeof(nulls));
	values[DELTA_SOURCE] = Int32GetDatum(source_id);
	values[DELTA_KIND] = CharGetDatum(kind);
	nulls[DELTA_SOURCE] = nulls[DELTA_STREAM] = nulls[DELTA_VERSION] = nulls[DELTA_KIND] = false;
	if (error != NULL)
	{
		values[DELTA_ERROR] = CStringGetTextDatum(error);
		nulls[DELTA_ERROR] = false;
	}
	row = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	heap_insert(rel, row, GetCurrentCommandId(true), HEAP_INSERT_NO_LOGICAL, NULL);
	heap_freetuple(row);
	table_close(rel, NoLock);

	remember_marker(source_id, kind);
}

/* ---------------- when ---------------- */

/*
 * A table with out-of-line storage is written under a snapshot, and at this
 * point the transaction has none left.
 */
static void
flush_at_commit(void)
{
	/* All subtransactions are over: there is one level at most. */
	if (kpi_capture_subxact_top == NULL)
		return;
	if (kpi_capture_subxact_top->ndeltas > 0)
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		kpi_capture_subxact_write(kpi_capture_subxact_top);
		PopActiveSnapshot();
	}
	kpi_capture_subxact_clear(kpi_capture_subxact_top);
}

void
kpi_capture_flush_now(void)
{
	int			nest_level = GetCurrentTransactionNestLevel();

	for (KpiSubxactDeltas *subxact = kpi_capture_subxact_top; subxact != NULL; subxact = subxact->parent)
	{
		/* Who asks for this consumes the markers: later ones are news. */
		subxact->markers = NIL;
		if (subxact->ndeltas == 0 || subxact->written_at != 0)
			continue;
		kpi_capture_subxact_write(subxact);
		if (subxact->nest_level == nest_level)
			kpi_capture_subxact_clear(subxact);
		else
			subxact->written_at = nest_level;
	}
	CommandCounterIncrement();
}

/* In the commit callback: nothing here can fail. */
static void
note_committed_markers(void)
{
	ListCell   *lc;

	if (kpi_capture_subxact_top == NULL)
		return;
	foreach(lc, kpi_capture_subxact_top->markers)
	{
		KpiMarker  *marker = lfirst(lc);

		if (marker->kind == KPI_DELTA_SUSPEND)
			kpi_capture_reported(marker->source_id);
	}
}

static void
transaction_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			flush_at_commit();
			kpi_capture_write_through = true;
			break;
		case XACT_EVENT_COMMIT:
			note_committed_markers();
			/* FALLTHROUGH */
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			kpi_capture_buffer_forget();
			kpi_capture_release();
			kpi_capture_write_through = false;
			break;
		default:
			break;
	}
}

/*
 * A library that is loaded by the callback of another is not called any more at
 * this pre-commit.  Where no statement is running that may be so; a logical
 * worker runs none, either, but loads it when it writes.
 */
static bool
may_be_too_late(void)
{
	return !process_shared_preload_libraries_in_progress && IsTransactionState() &&
		ActivePortal == NULL && !IsLogicalWorker();
}

void
kpi_capture_init(void)
{
	RegisterXactCallback(transaction_callback, NULL);
	RegisterSubXactCallback(kpi_capture_subtransaction_callback, NULL);
	kpi_capture_write_through = may_be_too_late();
}
