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
#include "nodes/bitmapset.h"

/* What a level has of one source, on its way to the source's queue. */
typedef struct SourceFlush
{
	int32		source_id;
	KpiQueueWriter writer;
} SourceFlush;

static void
note_source(KpiDelta *delta, void *arg)
{
	Bitmapset **sources = arg;

	if (!bms_is_member(delta->key->source_id, *sources))
		*sources = bms_add_member(*sources, delta->key->source_id);
}

static void
write_delta(KpiDelta *delta, void *arg)
{
	SourceFlush *flush = arg;

	if (delta->key->source_id == flush->source_id && (kpi_capture_is_note(delta->key->stream_id) || !kpi_cell_is_empty(delta->cell)))
		kpi_capture_queue_delta(&flush->writer, delta);
}

/* So that they share rows, the deltas of one source are written after those of another. */
static void
flush_source(KpiSubxactDeltas *subxact, int32 source_id)
{
	SourceFlush flush = {.source_id = source_id};

	if (kpi_capture_merge_failed)
		kpi_capture_mark(source_id, KPI_DELTA_RECOMPUTE, NULL);
	if (!kpi_capture_queue_open(&flush.writer, source_id))
		return;
	flush.writer.loaded_at = kpi_capture_subxact_loaded_at(subxact, source_id);
	kpi_capture_subxact_foreach(subxact, write_delta, &flush);
	kpi_capture_queue_close(&flush.writer);
}

void
kpi_capture_flush_subxact(KpiSubxactDeltas *subxact)
{
	Bitmapset  *sources = NULL;
	int			source_id = -1;
	ListCell   *lc;

	if (kpi_capture_subxact_is_empty(subxact) || subxact->written_at != 0)
		return;
	kpi_capture_subxact_foreach(subxact, note_source, &sources);
	foreach(lc, subxact->loaded)
		sources = bms_add_member(sources, ((KpiLoaded *) lfirst(lc))->source_id);
	while ((source_id = bms_next_member(sources, source_id)) >= 0)
		flush_source(subxact, source_id);
	bms_free(sources);
}

void
kpi_capture_flush_now(void)
{
	int			nest_level = GetCurrentTransactionNestLevel();

	for (KpiSubxactDeltas *subxact = kpi_capture_subxact_top; subxact != NULL; subxact = subxact->parent)
	{
		/* Who asks for this consumes the markers: later ones are news. */
		subxact->markers = NIL;
		if (kpi_capture_subxact_is_empty(subxact) || subxact->written_at != 0)
			continue;
		kpi_capture_flush_subxact(subxact);
		if (subxact->nest_level == nest_level)
			kpi_capture_subxact_clear(subxact);
		else
			subxact->written_at = nest_level;
	}
	CommandCounterIncrement();
}
