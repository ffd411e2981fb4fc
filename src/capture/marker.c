/*-------------------------------------------------------------------------
 *
 * marker.c
 *	  Markers: requests of writers to have a source recomputed or suspended.
 *
 * A marker is written to the queue at once, and remembered by the level that
 * wrote it (subxact.c), whose fate the row shares: one of a kind is enough for a
 * source in a transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "capture/capture_internal.h"
#include "utils/memutils.h"

static uint64 captured = 0;
static int32 last_source_id = 0;

void
kpi_capture_note(int32 source_id)
{
	captured++;
	last_source_id = source_id;
}

uint64
kpi_capture_count(int32 *source_id)
{
	*source_id = last_source_id;
	return captured;
}

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
kpi_capture_mark(int32 source_id, char kind, const char *error)
{
	KpiQueueWriter writer;

	kpi_capture_note(source_id);
	if (marker_is_queued(source_id, kind) || !kpi_capture_queue_open(&writer, source_id))
		return;
	kpi_capture_queue_marker(&writer, kind, error);
	kpi_capture_queue_close(&writer);
	remember_marker(source_id, kind);
}
