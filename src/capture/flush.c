/*-------------------------------------------------------------------------
 *
 * flush.c
 *	  From the levels of the transaction to the queue.
 *
 * kpi_capture_flush_now() in a subtransaction must show a refresh all that
 * the transaction did, outer levels included, but rows written now vanish
 * when the current subtransaction aborts, and the outer levels' changes do
 * not.  So outer levels are written and kept, marked with the nesting level by
 * whose fate the rows live (subxact.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "capture/capture_internal.h"
#include "cell/cell.h"

static void
visit_delta(KpiDelta *delta, void *arg)
{
	if (kpi_capture_merge_failed)
		kpi_capture_mark(delta->key->source_id, KPI_DELTA_RECOMPUTE, NULL);
	if (!kpi_cell_is_empty(delta->cell))
		kpi_capture_queue_delta(arg, delta);
}

/*
 * Most transactions write a row or two: those leave their garbage to the
 * current memory context, which lives no longer than the transaction.
 */
void
kpi_capture_flush_subxact(KpiSubxactDeltas *subxact)
{
	KpiQueueWriter writer;

	if (subxact->ndeltas == 0 || subxact->written_at != 0 ||
		!kpi_capture_queue_open(&writer, subxact->ndeltas > KPI_FEW_DELTAS))
		return;
	kpi_capture_subxact_foreach(subxact, visit_delta, &writer);
	kpi_capture_queue_close(&writer);
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
		kpi_capture_flush_subxact(subxact);
		if (subxact->nest_level == nest_level)
			kpi_capture_subxact_clear(subxact);
		else
			subxact->written_at = nest_level;
	}
	CommandCounterIncrement();
}
