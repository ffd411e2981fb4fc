/*-------------------------------------------------------------------------
 *
 * stored.c
 *	  Whether what is stored has a fact as it is now.
 *
 * A fact as the table has it is in the numbers unless something of it is still to come:
 * its source takes no changes, all of its facts are to be read again, the measure is
 * not built at its day, or a change of its cell waits in the queue.  The queue has cells
 * and no facts: a change of one that shares owner, day and values of dimensions cannot be
 * told from one of the fact, but of a measure that it does not move it can.
 *
 * Rows of the queue are those of the active snapshot, as are the facts, which are read
 * under the same.  Cost: one pass over what waits of the source, whatever is asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture.h"
#include "explain/explain_internal.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* A cell that is asked for, and the measures that something waits of. */
typedef struct AskedCell
{
	const KpiStream *stream;
	char	   *owner;			/* or NULL */
	DateADT		day;
	List	   *dims;			/* char *, or NULL */
	List	   *waiting;		/* ids of measures; 0: facts that failed */
} AskedCell;

struct KpiStored
{
	const KpiSource *source;
	char	   *status;			/* as kpi.source_status has it; of it only
								 * what stops changes: suspended, held, paused */
	char	   *reason;			/* of that, as a note; or NULL */
	bool		swapped;		/* another table has the name, to be taken */
	bool		recompute;		/* all facts are to be read again */
	bool		reads_entities; /* kept rows of some entities are */
	List	   *asked;			/* AskedCell */
};

/* ---- the source ---- */

KpiStored *
kpi_explain_stored_begin(const KpiSource *source)
{
	KpiStored  *stored = palloc0(sizeof(KpiStored));
	KpiRows		rows;

	stored->source = source;
	kpi_rows_begin_read(&rows, "SELECT CASE WHEN t.status IN ('suspended', 'held', 'capture_off') THEN t.status"
						"  WHEN s.is_paused THEN 'paused'"
						"  WHEN t.status = 'active' AND c.problem IS NOT NULL AND NOT c.is_swapped THEN 'suspended' END AS status,"
						" coalesce(t.reason, '" KPI_NOTE_OWN "' || c.problem) AS reason, c.is_swapped"
						" FROM kpi.source s LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id"
						" CROSS JOIN LATERAL kpi_internal.capture_state(s.id, s.relation, t.relid, t.former_relation,"
						"  t.renamed_at, s.on_swap = 'follow') c WHERE s.id = $1",
						1, KPI_INT4(source->id));
	if (kpi_rows_next(&rows))
	{
		stored->status = kpi_rows_text(&rows, "status");
		stored->reason = kpi_rows_text(&rows, "reason");
		stored->swapped = kpi_rows_bool(&rows, "is_swapped");
	}
	kpi_rows_end(&rows);
	return stored;
}

static bool
is_suspended(const KpiStored *stored)
{
	return stored->status != NULL && strcmp(stored->status, "suspended") == 0;
}

/* ---- cells ---- */

int
kpi_explain_stored_ask(KpiStored *stored, const KpiStream *stream, const char *owner, DateADT day,
					   char **dims, int ndims)
{
	AskedCell  *asked = palloc0(sizeof(AskedCell));

	asked->stream = stream;
	asked->owner = owner ? pstrdup(owner) : NULL;
	asked->day = day;
	for (int d = 0; d < ndims; d++)
		asked->dims = lappend(asked->dims, dims[d] ? pstrdup(dims[d]) : NULL);
	stored->asked = lappend(stored->asked, asked);
	return list_length(stored->asked) - 1;
}

static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The owner is the first of the values of a delta. */
static bool
is_cell(const AskedCell *asked, const KpiUnpack *delta)
{
	List	   *values;
	ListCell   *lc;

	if (delta->stream_id != asked->stream->id || delta->version != asked->stream->version ||
		delta->day != asked->day || delta->ndims != list_length(asked->dims))
		return false;
	values = kpi_capture_unpack_values(delta);
	if (!is_same(linitial(values), asked->owner))
		return false;
	foreach(lc, asked->dims)
	{
		if (!is_same(lfirst(lc), list_nth(values, foreach_current_index(lc) + 1)))
			return false;
	}
	return true;
}

/* The measures of the delta; what failed as a whole is of none of them, and 0. */
static List *
measures_of(const KpiUnpack *delta, const KpiStream *stream)
{
	int32	   *ids = palloc((stream->nmeasures + 1) * sizeof(int32));
	int			n = kpi_cell_measures(delta->cell, ids, stream->nmeasures + 1);
	List	   *measures = NIL;

	if (delta->day == KPI_ERROR_DAY)
		return list_make1_int(0);

	for (int i = 0; i < n; i++)
		measures = lappend_int(measures, ids[i]);
	return measures;
}

static void
look_at_delta(KpiStored *stored, const KpiUnpack *delta, MemoryContext caller)
{
	ListCell   *lc;

	if (kpi_capture_is_note(delta->stream_id))
	{
		stored->reads_entities = true;
		return;
	}
	foreach(lc, stored->asked)
	{
		AskedCell  *asked = lfirst(lc);
		List	   *measures;
		MemoryContext old;

		if (!is_cell(asked, delta))
			continue;
		measures = measures_of(delta, asked->stream);
		old = MemoryContextSwitchTo(caller);
		asked->waiting = list_concat_unique_int(asked->waiting, measures);
		MemoryContextSwitchTo(old);
	}
}

static void
look_at_row(KpiStored *stored, KpiQueueScan *scan, MemoryContext caller)
{
	KpiUnpack	delta;

	if (scan->kind == KPI_DELTA_RECOMPUTE || scan->kind == KPI_DELTA_SUSPEND)
		stored->recompute = true;
	if (scan->kind != KPI_DELTA_CELL)
		return;
	kpi_capture_unpack_begin(&delta, kpi_capture_scan_data(scan));
	while (kpi_capture_unpack_next(&delta))
		look_at_delta(stored, &delta, caller);
}

void
kpi_explain_stored_look(KpiStored *stored)
{
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi queue row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = CurrentMemoryContext;
	KpiQueueScan scan;

	kpi_capture_scan_begin(&scan, stored->source->id, InvalidOid, GetActiveSnapshot(), AccessShareLock);
	while (kpi_capture_scan_next(&scan))
	{
		/* The scan keeps what it needs in the caller's memory. */
		MemoryContextSwitchTo(row);
		look_at_row(stored, &scan, caller);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row);
	}
	kpi_capture_scan_end(&scan);
	MemoryContextDelete(row);
}

/* ---- what that means for a fact ---- */

static bool
is_waiting(const KpiStored *stored, int asked, int32 measure_id)
{
	const AskedCell *cell = asked < 0 ? NULL : list_nth(stored->asked, asked);

	return stored->swapped || stored->recompute || stored->reads_entities ||
		(cell != NULL && (list_member_int(cell->waiting, measure_id) || list_member_int(cell->waiting, 0)));
}

/* Why a source takes no changes, as a sentence. */
static char *
why_stopped(const KpiStored *stored)
{
	const KpiSource *source = stored->source;

	if (strcmp(stored->status, "paused") == 0)
		return psprintf("Source \"%s\" is paused: a change of it waits for kpi.resume().", source->name);
	if (stored->reason == NULL)
		return psprintf("Source \"%s\" does not take changes: kpi.source_status says why.", source->name);
	return psprintf("Source \"%s\" is %s: %s.", source->name, stored->status,
					kpi_note_shown(stored->reason, GetUserId(), source->definer, source->definer_oid));
}

char *
kpi_explain_stored_unfit(const KpiStored *stored, const ErrorData *error)
{
	const KpiSource *source = stored->source;

	if (is_suspended(stored))
		return why_stopped(stored);
	return psprintf("Facts of source \"%s\" cannot be read: %s.", source->name,
					kpi_note_shown(kpi_error_note(error), GetUserId(), source->definer, source->definer_oid));
}

static char *
what_waits(const KpiStored *stored)
{
	if (stored->swapped)
		return psprintf("Another table is called %s now, which the next refresh reads.", stored->source->relation);
	if (stored->recompute)
		return "All facts are read again by the next refresh.";
	if (stored->reads_entities)
		return "Changes of tables that the source follows wait for the next refresh.";
	return "A change of it, or of a fact with the same owner, day and dimensions, waits for the next refresh.";
}

KpiStoredStatus
kpi_explain_stored_kept(const KpiStored *stored, char **detail)
{
	const KpiSource *source = stored->source;
	bool		is_read = source->nstreams > 0 && source->streams[0].measures[0].is_known;

	if (is_read && !is_suspended(stored) && !is_waiting(stored, -1, 0))
		return KPI_STORED_AS_IT_IS;
	*detail = stored->status != NULL ? why_stopped(stored) :
		is_read ? what_waits(stored) : "The next refresh reads all.";
	return stored->status != NULL ? KPI_STORED_SUSPENDED : KPI_STORED_PENDING;
}

KpiStoredStatus
kpi_explain_stored_status(const KpiStored *stored, const KpiMeasure *measure, int asked, DateADT day, char **detail)
{
	DateADT		since = Max(measure->days_since, measure->rollups_since);

	if (is_suspended(stored))
	{
		*detail = why_stopped(stored);
		return KPI_STORED_SUSPENDED;
	}
	if (!measure->is_known)
	{
		*detail = psprintf("KPI \"%s\" is not built yet.", measure->kpi_name);
		return KPI_STORED_PENDING;
	}
	if (day < since)
	{
		*detail = since == DATEVAL_NOEND ? psprintf("KPI \"%s\" is being built.", measure->kpi_name) :
			psprintf("KPI \"%s\" is being built, and complete from %s on so far.", measure->kpi_name,
					 kpi_day_text(since));
		return KPI_STORED_UNBUILT;
	}
	if (!is_waiting(stored, asked, measure->id))
		return KPI_STORED_AS_IT_IS;
	if (stored->status != NULL)
	{
		*detail = why_stopped(stored);
		return KPI_STORED_SUSPENDED;
	}
	*detail = what_waits(stored);
	return KPI_STORED_PENDING;
}
