/*-------------------------------------------------------------------------
 *
 * xact.c
 *	  What capture does when transactions and subtransactions end.
 *
 * When the transaction commits or is prepared, what it captured is written to the
 * queue.  After that, still at pre-commit, another extension's callback may
 * write facts, so from then on each change is written at once.  The callbacks are
 * there from when the library is loaded: preloaded, they are among the last to
 * be called, and what others write at pre-commit is in the buffer.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "capture/capture_internal.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "tcop/pquery.h"
#include "utils/snapmgr.h"

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
	if (!kpi_capture_subxact_is_empty(kpi_capture_subxact_top))
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		kpi_capture_flush_subxact(kpi_capture_subxact_top);
		PopActiveSnapshot();
	}
	kpi_capture_subxact_clear(kpi_capture_subxact_top);
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
			kpi_capture_segments_empty(event == XACT_EVENT_PRE_COMMIT);
			kpi_capture_write_through = true;
			break;
		case XACT_EVENT_COMMIT:
			note_committed_markers();
			/* FALLTHROUGH */
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			kpi_capture_subxact_forget();
			kpi_capture_segments_forget();
			kpi_capture_release();
			kpi_capture_switch_forget();
			kpi_capture_write_through = false;
			break;
		default:
			break;
	}
}

static void
subtransaction_callback(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_COMMIT_SUB || event == SUBXACT_EVENT_ABORT_SUB)
		kpi_capture_segments_subxact(event == SUBXACT_EVENT_COMMIT_SUB, mySubid, parentSubid);
	if (kpi_capture_subxact_top == NULL)
		return;

	if (event == SUBXACT_EVENT_COMMIT_SUB)
		kpi_capture_subxact_committed(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		kpi_capture_subxact_aborted(GetCurrentTransactionNestLevel());
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
	RegisterSubXactCallback(subtransaction_callback, NULL);
	kpi_capture_write_through = may_be_too_late();
}
