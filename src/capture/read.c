/*-------------------------------------------------------------------------
 *
 * read.c
 *	  Rows of a source's queue, for who consumes, compacts or counts them.
 *
 * A segment that this transaction has consumed counts as empty, although its
 * rows are there until it commits (segment.c).  Rows are deleted by heap_delete,
 * not by a statement, so that a publication FOR ALL TABLES does not demand a
 * replica identity of the queue.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/commit_ts.h"
#include "access/detoast.h"
#include "access/heapam.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "capture/capture_internal.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

static void
add_segment(KpiQueueScan *scan, Oid relid)
{
	Relation	rel;

	if (!OidIsValid(relid) || kpi_capture_segment_is_consumed(relid))
		return;
	rel = try_table_open(relid, scan->lockmode);
	if (rel != NULL)
		scan->rels[scan->nrels++] = rel;
}

void
kpi_capture_scan_begin(KpiQueueScan *scan, int32 source_id, Oid except, Snapshot snapshot, LOCKMODE lockmode)
{
	memset(scan, 0, sizeof(KpiQueueScan));
	scan->snapshot = snapshot;
	scan->lockmode = lockmode;
	for (int s = 0; s < KPI_SEGMENTS; s++)
	{
		Oid			relid = kpi_capture_segment_relid(source_id, s);

		if (relid != except)
			add_segment(scan, relid);
	}
}

void
kpi_capture_scan_begin_segment(KpiQueueScan *scan, Oid relid, Snapshot snapshot)
{
	memset(scan, 0, sizeof(KpiQueueScan));
	scan->snapshot = snapshot;
	scan->lockmode = RowExclusiveLock;
	add_segment(scan, relid);
}

static void
end_segment(KpiQueueScan *scan)
{
	if (scan->rel == NULL)
		return;
	table_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	table_close(scan->rel, scan->lockmode == AccessShareLock ? AccessShareLock : NoLock);
	scan->rel = NULL;
}

static bool
next_segment(KpiQueueScan *scan)
{
	end_segment(scan);
	if (scan->next_rel == scan->nrels)
		return false;
	scan->rel = scan->rels[scan->next_rel++];
	scan->slot = table_slot_create(scan->rel, NULL);
	/* From the first page on: who reads a part may begin again. */
	scan->scan = table_beginscan_strat(scan->rel, scan->snapshot, 0, NULL, true, false);
	return true;
}

static void
corrupt(KpiQueueScan *scan)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("row of the queue in table \"%s\" is damaged", RelationGetRelationName(scan->rel)),
			 errhint("Call kpi.resume() for its source, which has it rebuilt from its facts.")));
}

bool
kpi_capture_scan_next(KpiQueueScan *scan)
{
	while (scan->rel != NULL || next_segment(scan))
	{
		CHECK_FOR_INTERRUPTS();
		if (table_scan_getnextslot(scan->scan, ForwardScanDirection, scan->slot))
		{
			slot_getallattrs(scan->slot);
			scan->kind = DatumGetChar(scan->slot->tts_values[KPI_QUEUE_KIND]);
			scan->ndeltas = DatumGetInt32(scan->slot->tts_values[KPI_QUEUE_DELTAS]);
			if (scan->slot->tts_isnull[KPI_QUEUE_KIND] || scan->slot->tts_isnull[KPI_QUEUE_DELTAS] ||
				scan->slot->tts_isnull[KPI_QUEUE_CAPTURED_AT] || scan->ndeltas < 0)
				corrupt(scan);
			return true;
		}
		end_segment(scan);
	}
	return false;
}

void
kpi_capture_scan_delete(KpiQueueScan *scan)
{
	simple_heap_delete(scan->rel, &scan->slot->tts_tid);
}

void
kpi_capture_scan_end(KpiQueueScan *scan)
{
	end_segment(scan);
	while (scan->next_rel < scan->nrels)
		table_close(scan->rels[scan->next_rel++],
					scan->lockmode == AccessShareLock ? AccessShareLock : NoLock);
}

Size
kpi_capture_scan_size(KpiQueueScan *scan)
{
	if (scan->slot->tts_isnull[KPI_QUEUE_DATA])
		return 0;
	return toast_raw_datum_size(scan->slot->tts_values[KPI_QUEUE_DATA]);
}

struct varlena *
kpi_capture_scan_data(KpiQueueScan *scan)
{
	if (scan->slot->tts_isnull[KPI_QUEUE_DATA])
		corrupt(scan);
	return PG_DETOAST_DATUM_PACKED(scan->slot->tts_values[KPI_QUEUE_DATA]);
}

char *
kpi_capture_scan_error(KpiQueueScan *scan)
{
	if (scan->slot->tts_isnull[KPI_QUEUE_ERROR])
		return NULL;
	return TextDatumGetCString(scan->slot->tts_values[KPI_QUEUE_ERROR]);
}

static TransactionId
inserter(KpiQueueScan *scan)
{
	bool		isnull;

	return DatumGetTransactionId(slot_getsysattr(scan->slot, MinTransactionIdAttributeNumber, &isnull));
}

static bool
is_compacted(KpiQueueScan *scan)
{
	return !scan->slot->tts_isnull[KPI_QUEUE_XID];
}

/* A transaction that has begun: its number with the epoch it was given in. */
static FullTransactionId
full_xid(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next) && epoch > 0)
		epoch--;
	return FullTransactionIdFromEpochAndXid(epoch, xid);
}

FullTransactionId
kpi_capture_scan_writer(KpiQueueScan *scan)
{
	if (is_compacted(scan))
		return DatumGetFullTransactionId(scan->slot->tts_values[KPI_QUEUE_XID]);
	return full_xid(inserter(scan));
}

/* Of what was compacted captured_at is the time of its commit, where it was known. */
TimestampTz
kpi_capture_scan_committed_at(KpiQueueScan *scan)
{
	TransactionId xid = inserter(scan);
	TimestampTz at;

	/* On a standby the primary decides whether they are kept. */
	if (!track_commit_timestamp || RecoveryInProgress())
		return 0;
	if (is_compacted(scan))
		return kpi_capture_scan_captured_at(scan);
	if (!TransactionIdIsNormal(xid) || !TransactionIdGetCommitTsData(xid, &at, NULL))
		return 0;
	return at;
}

TimestampTz
kpi_capture_scan_captured_at(KpiQueueScan *scan)
{
	return DatumGetTimestampTz(scan->slot->tts_values[KPI_QUEUE_CAPTURED_AT]);
}

TimestampTz
kpi_capture_scan_loaded_at(KpiQueueScan *scan)
{
	return scan->slot->tts_isnull[KPI_QUEUE_LOADED_AT] ? DT_NOBEGIN :
		DatumGetTimestampTz(scan->slot->tts_values[KPI_QUEUE_LOADED_AT]);
}
