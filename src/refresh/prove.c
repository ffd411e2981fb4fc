/*-------------------------------------------------------------------------
 *
 * prove.c
 *	  Verification where nothing can be written: on a standby, in a transaction
 *	  that is READ ONLY.
 *
 * What verification does is a refresh, and then a comparison.  A proof has one snapshot S
 * (all that it reads of our own tables is what S shows, base/snapshot.c), locks
 * nothing but tables against DDL, and makes neither rows nor numbers of rows.  What S
 * shows of the queue and of partitions that no refresh has seen is added up in memory,
 * day cells and, by the attributions that were applied, the rollups above them; what is
 * stored and this together is compared with the facts (compare.c).
 *
 * What else a refresh would do first moves stored cells from one place to another:
 * people, exchange rates, the day of a KPI with credit today, the calendar.  Then
 * the facts are put where the last refresh would have put them, by what it has
 * applied, and it is said what has not been.  Where facts would have to be read to
 * know what is to be stored at all, as during a build, there is nothing to compare,
 * and the source is a difference of its own.
 *
 * The tables of the queue are locked before S (ACCESS SHARE): emptying them is no
 * MVCC.  Who applies deltas meanwhile is not seen, and not held up.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "capture/capture.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"

/* ---- sources of which nothing can be said ---- */

char *
kpi_refresh_prove_stops(const KpiRun *run, const KpiSourceState *state)
{
	const KpiSource *source = run->source;
	char	   *held;

	if (state->suspend_reason != NULL)
		return psprintf("suspended: %s", kpi_note_shown(state->suspend_reason, GetUserId(), source->definer,
														source->definer_oid));
	held = kpi_first_text("SELECT s.reason FROM kpi_internal.source_state s WHERE s.source_id = $1 AND s.status = 'held'",
						  1, KPI_INT4(source->id));
	if (held != NULL)
		return psprintf("held: %s", kpi_note_shown(held, GetUserId(), source->definer, source->definer_oid));
	if (state->recompute)
		return pstrdup("to be computed anew from its facts");
	if (kpi_refresh_build_is_due(run))
		return pstrdup("building");
	if (state->seals)
		return pstrdup("without the seal of a partition that is gone");
	return NULL;
}

void
kpi_refresh_prove_stopped(const KpiRun *run, const KpiSourceState *state, KpiReport *report)
{
	KpiDifference diff = {
		.level = "source",
		.level_is_source = true,
		.stored = kpi_refresh_prove_stops(run, state),
		.expected = "active"
	};

	kpi_refresh_report(report, &diff);
}

/* ---- what waits and is added up ---- */

static void
append_all(KpiCellMap *to, KpiCellMap *from)
{
	const KpiCellItem *item;

	while ((item = kpi_refresh_cellmap_next(from)) != NULL)
		kpi_refresh_cellmap_append(to, &item->key, item->cell);
	kpi_refresh_cellmap_free(from);
}

/* Deltas, and the facts of partitions that have come. */
static void
add_up(KpiRun *run, KpiPending *pending)
{
	KpiQueue   *queue = kpi_refresh_queue_sum(run);

	kpi_refresh_cellmap_sort(queue->cells);
	if (run->table.new_leaves == NIL)
		pending->days = queue->cells;
	else
	{
		pending->days = kpi_refresh_cellmap_create(run);
		append_all(pending->days, queue->cells);
		for (int s = 0; s < run->source->nstreams; s++)
			append_all(pending->days, kpi_refresh_scan_new_leaves(run, s));
		kpi_refresh_cellmap_sort(pending->days);
	}
	pending->rollups = kpi_refresh_cellmap_create(run);
	kpi_refresh_fanout(run, pending->days, pending->rollups);
	kpi_refresh_cellmap_sort(pending->rollups);
}

/* ---- what waits and is said ---- */

/* What the numbers do not follow yet. */
static List *
find_waiting(const KpiRun *run)
{
	List	   *waiting = NIL;

	if (run->plan.people_moved)
		waiting = lappend(waiting, "changes of teams and members");
	if (run->plan.day_came)
		waiting = lappend(waiting, "the teams of today, for KPIs with credit today");
	if (kpi_refresh_exchange_waits(run))
		waiting = lappend(waiting, "exchange rates");
	if (run->plan.new_periods)
		waiting = lappend(waiting, "how the calendar cuts weeks, quarters and years");
	return waiting;
}

static void
tell(const KpiRun *run, const char *what, char *detail)
{
	ereport(NOTICE,
			(errmsg("source \"%s\": %s", run->source->name, what),
			 errdetail_internal("%s", detail)));
}

static void
tell_waiting(const KpiRun *run)
{
	List	   *waiting = find_waiting(run);

	if (waiting != NIL)
		tell(run, "compared as of its last refresh, which knew another state of definitions",
			 psprintf("The next one follows: %s.", kpi_list_join(waiting)));
	if (run->pending->nunknown > 0)
		tell(run, "some cells could not be compared",
			 psprintf("The value of " INT64_FORMAT " cells is not known until the next refresh makes them anew.",
					  run->pending->nunknown));
}

static void
prove_rows(KpiRun *run, KpiReport *report)
{
	char	   *waits = run->keyed ? kpi_refresh_keyed_waits(run) : NULL;

	if (waits != NULL)
		tell(run, "its cells are compared with its rows, and these not with what they are read from",
			 psprintf("For the next refresh: %s.", waits));
	else if (run->keyed != NULL)
		kpi_refresh_keyed_verify(run, report);
}

static void
prove_goals(KpiRun *run, KpiReport *report)
{
	if (find_waiting(run) != NIL || kpi_refresh_goals_prove(run->source->id, report))
		tell(run, "some rows of kpi.goal_progress were not compared",
			 pstrdup("They are to be looked at by the next refresh, as a day has begun or definitions have changed."));
}

void
kpi_refresh_prove(KpiRun *run, const KpiDays *days, KpiReport *report)
{
	KpiPending	pending = {0};

	kpi_refresh_dict_write_none(run->mcxt);
	add_up(run, &pending);
	run->pending = &pending;
	prove_rows(run, report);
	prove_goals(run, report);

	/*
	 * What was applied is proved as well, where it is to be what the
	 * definitions say.
	 */
	if (!run->plan.people_moved && !run->plan.day_came)
		kpi_refresh_attribution_reset(run->attributions, false, false);
	kpi_refresh_check(run, false, days, report);
	tell_waiting(run);
	run->pending = NULL;
}
