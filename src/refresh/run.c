/*-------------------------------------------------------------------------
 *
 * run.c
 *	  One engine transaction on a source: refresh, verification, repair.
 *
 * A run brings one source's cells up to date, or says in what they differ.  The order of steps is what makes every number exact:
 *
 *	1. the lock of the source (lock.c);
 *	2. if facts will be read, ACCESS SHARE on the table and its leaves: DDL is
 *	   not MVCC, so the facts at a snapshot mean something only under them;
 *	3. one snapshot, taken after the locks, after this transaction's own
 *	   buffered deltas were written;
 *	4. the leaves, triggers and definitions compared with the state: what
 *	   cannot be followed suspends the source;
 *	5. by what differs the plan of the run is made, and all deltas visible in
 *	   the snapshot are consumed: merged, but discarded for the streams that
 *	   are to be built;
 *	6. streams to be built are recomputed from the facts at the snapshot.
 *
 * What commits later stays in the queue.  So a crash or an error at any
 * place leaves the state of before, and a retry is just another run.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "capture/capture.h"
#include "fact/fact.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* ---- steps 2 to 4 ---- */

static void
take_snapshot(KpiRun *run)
{
	CommandCounterIncrement();
	run->as_of = GetCurrentTimestamp();
	run->snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(run->snapshot);
}

static void
drop_snapshot(KpiRun *run)
{
	PopActiveSnapshot();
	UnregisterSnapshot(run->snapshot);
}

static void
lock_relations(KpiRunTable *table, const char *relation)
{
	KpiLockWait wait;
	ListCell   *lc;

	kpi_fact_lock_wait_begin(&wait, relation);
	LockRelationOid(table->relid, AccessShareLock);
	foreach(lc, table->leaves)
		LockRelationOid(lfirst_oid(lc), AccessShareLock);
	kpi_fact_lock_wait_end(&wait);
	table->locked = table->leaves;
	table->locked_relid = table->relid;
}

static bool
is_locked(const KpiRunTable *table)
{
	return table->relid == table->locked_relid && list_difference_oid(table->leaves, table->locked) == NIL;
}

/*
 * While a statement of this very session writes to the table, its rows can be
 * seen but are not captured yet: read now, they would be counted twice.
 */
static bool
is_being_written(Oid relid)
{
	Relation	rel = RelationIdGetRelation(relid);
	bool		in_use;

	if (!RelationIsValid(rel))
		return false;
	in_use = rel->rd_refcnt > 1 ||
		DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) > 0;
	in_use = in_use && CheckRelationLockedByMe(rel, RowExclusiveLock, true);
	RelationClose(rel);
	return in_use;
}

static bool
facts_are_being_written(const KpiRunTable *table)
{
	ListCell   *lc;

	if (is_being_written(table->relid))
		return true;
	foreach(lc, table->leaves)
	{
		if (is_being_written(lfirst_oid(lc)))
			return true;
	}
	return false;
}

static bool
stream_is_built(const KpiStream *stream)
{
	for (int m = 0; m < stream->nmeasures; m++)
	{
		if (!stream->measures[m].built)
			return false;
	}
	return true;
}

/* Streams that must be computed from the facts; all of them with recompute. */
static Bitmapset *
streams_to_build(const KpiSource *source, bool recompute)
{
	Bitmapset  *build = NULL;

	for (int s = 0; s < source->nstreams; s++)
	{
		if (recompute || !stream_is_built(&source->streams[s]))
			build = bms_add_member(build, s);
	}
	return build;
}

static void
refuse_being_written(const KpiSource *source, bool must)
{
	ereport(must ? ERROR : WARNING,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("source \"%s\" cannot be recomputed while a statement of this session writes to its table",
					source->name),
			 errhint("Call it after the statement, not within it or in a trigger that it fires.")));
}

static void
suspend(const KpiSource *source, Oid relid, const KpiSourceState *state)
{
	if (!state->suspended)
		kpi_refresh_source_state_suspend(source->id, relid, state->suspend_reason, state->suspend_hint);
	ereport(WARNING,
			(errmsg("source \"%s\" is suspended: %s", source->name,
					kpi_note_shown(state->suspend_reason, GetUserId(), source->definer,
								   source->definer_oid)),
			 errhint("%s", state->suspend_hint)));
}

static bool
facts_are_needed(const KpiSource *source, const KpiSourceState *state, KpiRunMode mode)
{
	return mode == KPI_RUN_VERIFY || mode == KPI_RUN_REPAIR ||
		!bms_is_empty(streams_to_build(source, state->recompute));
}

/* Under the snapshot: can the source be refreshed, and must it? */
static KpiRunResult
examine(KpiRun *run, int32 source_id, KpiRunMode mode, KpiSourceState **state)
{
	KpiSource  *source = kpi_model_source_load(source_id, true);

	run->source = source;
	if (source == NULL)
		return KPI_RUN_GONE;
	source->code->accept = mode == KPI_RUN_ACCEPT;
	run->calendar = *kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	*state = kpi_refresh_source_state_examine(source, run->snapshot, &run->calendar, &run->table);
	if ((*state)->suspend_reason)
	{
		suspend(source, run->table.relid, *state);
		return KPI_RUN_SUSPENDED;
	}
	if (mode == KPI_RUN_ACCEPT)
		kpi_model_code_save(source);
	if (mode == KPI_RUN_RECHECK || mode == KPI_RUN_ACCEPT)
		return KPI_RUN_RECHECKED;
	if (mode == KPI_RUN_DELTAS && facts_are_needed(source, *state, mode))
		return KPI_RUN_BUILD_DUE;
	if (facts_are_needed(source, *state, mode) && facts_are_being_written(&run->table))
	{
		refuse_being_written(source, mode != KPI_RUN_REFRESH);
		return KPI_RUN_SUSPENDED;
	}
	return KPI_RUN_DONE;
}

/*
 * Takes the snapshot and looks at the source; when facts must be read, locks
 * the relations first and looks again, until neither a relation nor a goal
 * has come meanwhile.  If the result is not KPI_RUN_DONE, that was all, and no snapshot is left.
 */
static KpiRunResult
begin_run(KpiRun *run, int32 source_id, KpiRunMode mode, KpiSourceState **state)
{
	for (;;)
	{
		KpiRunResult result;

		CHECK_FOR_INTERRUPTS();
		take_snapshot(run);
		result = examine(run, source_id, mode, state);
		if (result == KPI_RUN_DONE &&
			(!facts_are_needed(run->source, *state, mode) || is_locked(&run->table)))
			return KPI_RUN_DONE;
		drop_snapshot(run);
		if (result != KPI_RUN_DONE)
			return result;

		if ((*state)->unattached)
			kpi_capture_attach(source_id, run->table.relid, kpi_model_source_definer(run->source));
		lock_relations(&run->table, run->source->relation);
		kpi_refresh_source_state_recheck(source_id, &run->table);
	}
}

/* ---- steps 5 and 6 ---- */

static void
note_days(KpiRunStats *stats, const KpiCellList *days)
{
	for (int i = 0; i < days->nitems; i++)
	{
		DateADT		day = days->items[i].key.day.day;

		if (day == KPI_ERROR_DAY)
			continue;
		stats->first_day = Min(stats->first_day, day);
		stats->last_day = Max(stats->last_day, day);
	}
}

/* Takes the deltas and what moved in the organisation into the cells. */
static void
apply_deltas(KpiRun *run)
{
	KpiCellMap *rollups = kpi_refresh_cellmap_create(run->mcxt);
	KpiPlaces  *places = kpi_refresh_places_create(run);
	KpiQueue   *queue = kpi_refresh_queue_consume(run);
	KpiCellList *days;
	KpiCellList *touched;

	days = kpi_refresh_cellmap_items(queue->cells);
	kpi_refresh_dict_resolve(queue->dict, run->source, days);
	note_days(&run->stats, days);

	kpi_refresh_transfer(run, rollups, places);
	kpi_refresh_fanout(run, days, rollups);
	kpi_refresh_table_apply(run, KPI_DAY_CELL, days, places);
	touched = kpi_refresh_cellmap_list(rollups);
	kpi_refresh_table_apply(run, KPI_ROLLUP_CELL, touched, places);
	CommandCounterIncrement();
	if (!run->plan.new_periods)
		kpi_refresh_places_settle(places);
	kpi_refresh_change_add_days(run, days);
	kpi_refresh_change_add_rollups(run, touched);
	kpi_refresh_rollups_queue(run, days, touched);
}

/* The rows of rollup_cell above day cells, of which the rollups are. */
static KpiCellList *
expected_rollups(KpiRun *run, const KpiCellList *days, KpiCellMap *rollups)
{
	KpiCellList *rows = kpi_refresh_cellmap_items(rollups);
	KpiPlaces  *places = kpi_refresh_places_create(run);

	for (int i = 0; i < days->nitems; i++)
		kpi_refresh_places_add_day(places, &days->items[i].key.day, false);
	for (int i = 0; i < rows->nitems; i++)
		kpi_refresh_places_add_rollup(places, &rows->items[i].key.rollup, false);
	kpi_refresh_places_append(places, rows);
	kpi_refresh_celllist_sort(rows);
	return rows;
}

/* Compares, and with mend makes, the cells of some streams as the facts say. */
static void
reconcile_cells(KpiRun *run, Bitmapset *build, bool mend, KpiReport *report)
{
	int			s = -1;

	while ((s = bms_next_member(build, s)) >= 0)
	{
		int32		stream_id = run->source->streams[s].id;
		KpiCellList *days = kpi_refresh_scan_facts(run, s);
		KpiCellMap *rollups = kpi_refresh_cellmap_create(run->mcxt);
		KpiPlaces  *left = kpi_refresh_places_create(run);

		note_days(&run->stats, days);
		kpi_refresh_fanout(run, days, rollups);
		kpi_refresh_table_sync(run, KPI_DAY_CELL, stream_id, days, mend, report, left);
		kpi_refresh_table_sync(run, KPI_ROLLUP_CELL, stream_id,
							   expected_rollups(run, days, rollups), mend, report, left);
		CommandCounterIncrement();
	}
}

/* The places of streams that were not built, where the calendar has changed. */
static void
renew_places(KpiRun *run)
{
	if (!run->plan.new_periods)
		return;
	for (int s = 0; s < run->source->nstreams; s++)
	{
		if (!bms_is_member(s, run->plan.build))
			kpi_refresh_places_renew(run, &run->source->streams[s]);
	}
}

/* ---- one source ---- */

/*
 * What the run was at.  Keys are data: a refresh can be called by roles that
 * may not read the facts.
 */
static void
run_error_context(void *arg)
{
	KpiRun	   *run = arg;
	KpiFactsAt *at = &run->at;

	if (at->is_known && at->owner != NULL && run->shows_keys)
		errcontext("facts of owner \"%.*s\" on %s", at->owner_len, at->owner, kpi_day_text(at->day));
	else if (at->is_known && at->day != KPI_ERROR_DAY)
		errcontext("facts of %s", kpi_day_text(at->day));
	if (run->source)
		errcontext("refresh of source \"%s\"", run->source->name);
}

/* The date dimension covers what was touched and the two years to plan for. */
static void
extend_calendar_days(const KpiRunStats *stats)
{
	DateADT		today = kpi_calendar_today(kpi_calendar_get(KPI_DEFAULT_CALENDAR));

	kpi_calendar_day_extend(Min(stats->first_day, today), Max(stats->last_day, today + 2 * 366));
}

static KpiPlan
make_plan(const KpiSource *source, const KpiSourceState *state)
{
	KpiPlan		plan = {.build = streams_to_build(source, state->recompute)};

	plan.people_moved = state->org_version != state->applied_org_version;
	plan.new_periods = state->new_periods;
	return plan;
}

static void
refresh_locked(KpiRun *run)
{
	const KpiPlan *plan = &run->plan;

	apply_deltas(run);
	reconcile_cells(run, plan->build, true, NULL);
	renew_places(run);
	if (plan->build != NULL)
		kpi_refresh_dim_sweep(run->source);
	run->stats.changes.all = plan->build != NULL || plan->new_periods;
	extend_calendar_days(&run->stats);
}

/* Refreshed first, so that nothing but a true difference is found. */
static void
check_locked(KpiRun *run, bool mend, KpiReport *report)
{
	Bitmapset  *all = streams_to_build(run->source, true);

	kpi_refresh_attribution_reset(run->attributions, mend);
	reconcile_cells(run, all, mend, report);
	run->stats.changes.all |= mend;
}

static void
log_run(const KpiRun *run, KpiRunMode mode, TimestampTz started, double duration_ms)
{
	KpiLogEntry entry = {
		.source_id = run->source->id,
		.source = run->source->name,
		.kind = mode == KPI_RUN_VERIFY ? "verify" : mode == KPI_RUN_REPAIR ? "repair" :
		run->plan.build != NULL ? "build" : "refresh",
		.started = started,
		.duration_ms = duration_ms,
		.ndeltas = run->stats.ndeltas,
		.ncells = run->stats.ncells
	};

	kpi_refresh_log_run(&entry);
}

/* So many rows of cells make a build worth a look of the planner at once. */
#define ANALYZE_CELLS 5000

/*
 * Readers come before autovacuum does, and without statistics the planner joins
 * names, streams and cells in any order.  Whoever has a table locked, as another
 * build that does the same, is not waited for.
 */
static void
analyze_after_build(const KpiRun *run)
{
	KpiSpi		spi;

	if (run->plan.build == NULL || run->stats.ncells < ANALYZE_CELLS)
		return;
	kpi_spi_begin(&spi);
	kpi_spi_exec("ANALYZE (SKIP_LOCKED) kpi_internal.rollup_cell, kpi_internal.day_cell,"
				 " kpi_internal.applied_attribution, kpi_internal.kpi_stream, kpi_internal.dim,"
				 " kpi.kpi, kpi.team, kpi.member", 0);
	kpi_spi_end(&spi);
}

static double
milliseconds_since(TimestampTz started)
{
	return (GetCurrentTimestamp() - started) / 1000.0;
}

/* Goals follow what the run has changed so far, and the state. */
static void
move_goals(KpiRun *run)
{
	run->stats.changes.source_id = run->source->id;
	run->stats.changes.people_moved = run->plan.people_moved;
	kpi_goal_notify_changes(&run->stats.changes);
}

/* The cells are written: now the state, and what follows from both. */
static void
end_run(KpiRun *run, const KpiSourceState *state, KpiRunMode mode, KpiReport *report, TimestampTz started)
{
	kpi_refresh_source_state_save(run, state, milliseconds_since(started));
	move_goals(run);
	if (mode == KPI_RUN_VERIFY || mode == KPI_RUN_REPAIR)
	{
		bool		mend = mode == KPI_RUN_REPAIR;

		report->source_name = run->source->name;
		kpi_refresh_goals_check(run->source->id, mend, report);
		check_locked(run, mend, report);
		if (mend)
			move_goals(run);
	}
	analyze_after_build(run);
	log_run(run, mode, started, milliseconds_since(started));
}

KpiRunResult
kpi_refresh_source(int32 source_id, KpiRunMode mode, KpiReport *report)
{
	MemoryContext mcxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi run", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(mcxt);
	KpiRun	   *run = palloc0(sizeof(KpiRun));
	KpiSourceState *state = NULL;
	TimestampTz started = GetCurrentTimestamp();
	ErrorContextCallback context = {.previous = error_context_stack,.callback = run_error_context,.arg = run};
	KpiRunResult result;

	run->mcxt = mcxt;
	run->stats.first_day = DATEVAL_NOEND;
	run->stats.last_day = DATEVAL_NOBEGIN;
	kpi_refresh_dim_values_forget();
	error_context_stack = &context;
	result = begin_run(run, source_id, mode, &state);
	if (result == KPI_RUN_DONE)
	{
		run->shows_keys = has_privs_of_role(GetUserId(), kpi_model_source_definer(run->source));
		run->attributions = kpi_refresh_attribution_create(mcxt, run->source->id, run->snapshot);
		run->plan = make_plan(run->source, state);
		refresh_locked(run);
		end_run(run, state, mode, report, started);
		drop_snapshot(run);
	}
	error_context_stack = context.previous;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(mcxt);
	return result;
}
