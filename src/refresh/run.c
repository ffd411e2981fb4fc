/*-------------------------------------------------------------------------
 *
 * run.c
 *	  One engine transaction on a source: refresh, verification, repair, proof.
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
 *	   the snapshot are consumed: merged, but discarded as far as the facts are
 *	   still to be read;
 *	6. what is not built is, from the facts at the snapshot, in steps (build.c).
 *
 * A proof is verification where nothing may be written: steps 2 to 4, without a lock of
 * the source, and then what is stored is compared as prove.c says.
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
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

const KpiDays kpi_refresh_all_days = {DATEVAL_NOBEGIN, DATEVAL_NOEND};

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
any_is_being_written(List *relids)
{
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (is_being_written(lfirst_oid(lc)))
			return true;
	}
	return false;
}

static bool
facts_are_being_written(const KpiRunTable *table)
{
	return is_being_written(table->relid) || any_is_being_written(table->leaves);
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

/*
 * Of a partition that is being detached concurrently no scan sees the rows, and
 * writers that began before may still add some.
 */
static void
refuse_detaching(const KpiSource *source, const KpiSourceState *state)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("the facts of source \"%s\" cannot be read while partition %s is being detached",
					source->name, state->detaching),
			 errhint("Try again when ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY is done; where it was interrupted, run it with FINALIZE.")));
}

/* A worker that sees a suspended source again says nothing new. */
static void
suspend(const KpiSource *source, Oid relid, const KpiSourceState *state)
{
	bool		is_news = !state->suspended || state->swapped;

	if (is_news)
		kpi_refresh_source_state_suspend(source->id, relid, state->suspend_reason, state->suspend_hint);
	ereport(is_news || !kpi_am_worker ? WARNING : DEBUG1,
			(errmsg("source \"%s\" is suspended: %s", source->name,
					kpi_note_shown(state->suspend_reason, GetUserId(), source->definer,
								   source->definer_oid)),
			 errhint("%s", state->suspend_hint)));
}

/* Whether what is stored is compared with the facts as a whole. */
static bool
compares(KpiRunMode mode)
{
	return mode == KPI_RUN_VERIFY || mode == KPI_RUN_REPAIR || mode == KPI_RUN_PROVE;
}

static bool
facts_are_needed(const KpiRun *run, const KpiSourceState *state, KpiRunMode mode)
{
	return compares(mode) || state->recompute || state->seals || run->table.new_leaves != NIL ||
		(mode == KPI_RUN_REFRESH &&
		 (kpi_refresh_build_is_due(run) || kpi_refresh_loaded_is_due(run->source, state)));
}

/* Whether a keyed source has rows to be read for it. */
static bool
rows_are_needed(const KpiRun *run, KpiRunMode mode)
{
	return run->keyed != NULL && (compares(mode) || kpi_refresh_keyed_is_due(run));
}

/* A keyed source may also be unfit for what its query reads. */
static void
examine_keyed(KpiRun *run, KpiSourceState *state)
{
	char	   *hint;
	char	   *note;

	if (state->suspend_reason != NULL)
		return;
	note = kpi_refresh_keyed_examine(run, &hint);
	if (note != NULL)
	{
		state->suspend_reason = note;
		state->suspend_hint = hint;
	}
	/* Of which entities a writer has not said. */
	if (run->keyed != NULL && state->marked)
		run->keyed->reading = KPI_READ_ALL;
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

	/*
	 * What the source is called is known in memory; the stored names are a
	 * refresh's.
	 */
	if (mode != KPI_RUN_PROVE && kpi_refresh_must_follow(source))
		return KPI_RUN_RENAMED;
	run->today = kpi_calendar_today(&run->calendar);
	*state = kpi_refresh_source_state_examine(source, run->snapshot, &run->calendar, &run->table);
	examine_keyed(run, *state);
	if (mode == KPI_RUN_PROVE)
	{
		kpi_refresh_build_load(run, (*state)->build_noted);
		if (kpi_refresh_prove_stops(run, *state) != NULL)
			return KPI_RUN_SUSPENDED;
	}
	else if ((*state)->suspend_reason)
	{
		/* Something was renamed after the definition was loaded. */
		if (kpi_refresh_must_follow(kpi_model_source_load(source_id, false)))
			return KPI_RUN_RENAMED;
		suspend(source, run->table.relid, *state);
		return KPI_RUN_SUSPENDED;
	}
	if (mode == KPI_RUN_ACCEPT)
		kpi_model_code_save(source);
	if (mode == KPI_RUN_RECHECK || mode == KPI_RUN_ACCEPT)
		return KPI_RUN_RECHECKED;
	if (kpi_refresh_waits_for_capture(run, *state, mode))
		return KPI_RUN_SUSPENDED;
	kpi_refresh_build_load(run, (*state)->build_noted);
	if (mode == KPI_RUN_DELTAS &&
		((*state)->recompute || (*state)->seals || !kpi_refresh_leaves_are_small(run->table.new_leaves)))
		return KPI_RUN_BUILD_DUE;
	run->may_read = mode != KPI_RUN_DELTAS && (*state)->detaching == NULL && !facts_are_being_written(&run->table);
	run->reads_unknown = mode != KPI_RUN_PROVE && run->may_read && kpi_refresh_unknown_waits(run);
	if ((facts_are_needed(run, *state, mode) && facts_are_being_written(&run->table)) ||
		(rows_are_needed(run, mode) && any_is_being_written(run->keyed->reads->relids)))
	{
		refuse_being_written(source, mode != KPI_RUN_REFRESH);
		return KPI_RUN_SUSPENDED;
	}
	return KPI_RUN_DONE;
}

/*
 * What must have been done before the snapshot under which facts are read.  What
 * may be held back is not attached before it is known that it is not.
 */
static void
get_at_facts(KpiRun *run, const KpiSourceState *state)
{
	KpiRunTable *table = &run->table;

	if (state->swapped && table->reattached != table->relid &&
		(table->hold_checked || !kpi_refresh_may_be_held(run->source)))
	{
		kpi_refresh_reattach(run->source, table->relid);
		table->reattached = table->relid;
	}
	else if (state->unattached && !state->swapped)
		kpi_capture_attach(run->source->id, table->relid, kpi_model_source_definer(run->source));
	lock_relations(table, run->source->relation);
	kpi_refresh_source_state_recheck(run->source->id, table);
}

/* The same where nothing is attached. */
static void
get_at_facts_to_prove(KpiRun *run)
{
	if (run->keyed != NULL)
		kpi_refresh_keyed_lock_reads(run);
	lock_relations(&run->table, run->source->relation);
}

/*
 * Takes the snapshot and looks at the source; when facts must be read, locks
 * the relations first and looks again, until neither a relation nor a goal
 * has come meanwhile, nor anything been renamed.  If the result is not KPI_RUN_DONE, that was all, and no snapshot is left.
 */
static KpiRunResult
begin_run(KpiRun *run, int32 source_id, KpiRunMode mode, KpiSourceState **state)
{
	for (;;)
	{
		KpiRunResult result;
		bool		reads_facts;
		bool		is_swapped;

		CHECK_FOR_INTERRUPTS();
		take_snapshot(run);
		result = examine(run, source_id, mode, state);
		is_swapped = result == KPI_RUN_DONE && (*state)->swapped;
		reads_facts = result == KPI_RUN_DONE && (facts_are_needed(run, *state, mode) || run->reads_unknown);
		if (result == KPI_RUN_DONE && (!reads_facts || is_locked(&run->table)) && !run->table.hold_checked &&
			mode != KPI_RUN_PROVE)
		{
			run->table.hold_checked = true;
			if (kpi_refresh_is_held(run, *state))
				result = KPI_RUN_SUSPENDED;
		}
		if (result == KPI_RUN_DONE && (!reads_facts || is_locked(&run->table)) &&
			(!is_swapped || run->table.reattached == run->table.relid) &&
			(!rows_are_needed(run, mode) || kpi_refresh_keyed_is_locked(run)))
		{
			if ((*state)->detaching && reads_facts)
				refuse_detaching(run->source, *state);
			return KPI_RUN_DONE;
		}
		drop_snapshot(run);
		if (result == KPI_RUN_RENAMED)
			(void) kpi_refresh_follow_names(source_id);
		else if (result != KPI_RUN_DONE)
			return result;
		else if (mode == KPI_RUN_PROVE)
			get_at_facts_to_prove(run);
		else
		{
			if (run->keyed != NULL)
				kpi_refresh_keyed_lock(run);
			get_at_facts(run, *state);
		}
	}
}

/* From here on the snapshot shows what this transaction has done since it was taken. */
static void
renew_snapshot(KpiRun *run)
{
	Snapshot	old = run->snapshot;

	CommandCounterIncrement();
	PopActiveSnapshot();
	PushCopiedSnapshot(old);
	UpdateActiveSnapshotCommandId();
	run->snapshot = RegisterSnapshot(GetActiveSnapshot());
	UnregisterSnapshot(old);
}

static bool
apply_rows(KpiRun *run, bool all, bool may_read_all)
{
	bool		is_done = kpi_refresh_keyed_apply(run, all, may_read_all);

	if (is_done)
	{
		kpi_capture_flush_now();
		renew_snapshot(run);
	}
	return is_done;
}

/* The kept rows of a keyed source first.  False: that is the builder's. */
static bool
read_rows(KpiRun *run, const KpiSourceState *state, KpiRunMode mode)
{
	if (!rows_are_needed(run, mode))
		return true;
	run->keyed->may_lose = run->source->hold_if_lost == 0 || state->accepts_loss;
	/* What only waits is no difference that is mended. */
	if (mode == KPI_RUN_REPAIR && run->keyed->reading == KPI_READ_NOTED)
	{
		(void) apply_rows(run, false, true);
		if (run->keyed->problem != NULL || run->keyed->is_held)
			return true;
		run->keyed->nchanges = 0;
	}
	return apply_rows(run, mode == KPI_RUN_REPAIR, mode != KPI_RUN_DELTAS);
}

/* What nobody follows is as old as its last reading. */
static void
set_as_of_reading(KpiRun *run)
{
	if (run->keyed != NULL && !run->keyed->keyed->is_followed && run->keyed->read_at != DT_NOBEGIN)
		run->as_of = run->keyed->read_at;
}

/* ---- steps 5 and 6 ---- */

/* Changes of day cells, sorted, into the cells; frees them.  transfer: and what moved in the organisation, or of exchange rates. */
static void
apply(KpiRun *run, KpiCellMap *changes, bool transfer)
{
	KpiMerge	merge = {
		.store = changes,
		.fan_out = changes,
		.rollups = kpi_refresh_cellmap_create(run),
		.places = kpi_refresh_places_create(run)
	};

	if (transfer)
	{
		kpi_refresh_transfer(run, merge.rollups, merge.places);
		kpi_refresh_exchange_follow(run, merge.rollups);
	}
	kpi_refresh_merge(run, &merge);
	kpi_refresh_change_add_days(run, merge.store);
	kpi_refresh_change_add_rollups(run, merge.rollups);
	kpi_refresh_rollups_queue(run, merge.store, merge.rollups);
	kpi_refresh_cellmap_free(merge.store);
	kpi_refresh_cellmap_free(merge.rollups);
	kpi_refresh_places_free(merge.places);
}

/* Takes the deltas and what moved in the organisation into the cells. */
static void
apply_deltas(KpiRun *run)
{
	KpiQueue   *queue = kpi_refresh_queue_consume(run);

	kpi_refresh_cellmap_sort(queue->cells);
	apply(run, queue->cells, true);
}

/* What has come and gone with partitions. */
static void
follow_leaves(KpiRun *run, const KpiSourceState *state)
{
	if (state->recompute)
		return;
	for (int s = 0; s < run->source->nstreams && run->table.new_leaves != NIL; s++)
		apply(run, kpi_refresh_scan_new_leaves(run, s), false);
	if (state->seals)
		kpi_refresh_seal(run, state->lost);
}

/*
 * Steps until there is nothing to build, or, unless all is wanted at once, they
 * have taken the time of one.
 */
static void
build(KpiRun *run, bool all)
{
	TimestampTz started = GetCurrentTimestamp();
	bool		is_first = !run->build.is_stored;

	while (kpi_refresh_build_is_due(run))
	{
		kpi_refresh_build_step(run);
		if (!all && TimestampDifferenceExceeds(started, GetCurrentTimestamp(), kpi_build_step))
			break;
	}
	run->stats.changes.all = true;
	if (!kpi_refresh_build_is_due(run))
		kpi_refresh_dim_sweep(run->source);
	if (is_first || run->build.wiped || !kpi_refresh_build_is_due(run))
		kpi_refresh_rollups_queue_all(run->source->id);
}

/* ---- one source ---- */

/* All places, where the calendar has changed. */
static void
renew_places(KpiRun *run)
{
	if (!run->plan.new_periods)
		return;
	for (int s = 0; s < run->source->nstreams; s++)
		kpi_refresh_places_renew(run, &run->source->streams[s]);
}

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
make_plan(const KpiRun *run, const KpiSourceState *state)
{
	KpiPlan		plan = {0};

	plan.people_moved = state->org_version != state->applied_org_version;
	plan.day_came = kpi_refresh_credit_is_due(run->source, run->today);
	plan.new_periods = state->new_periods;
	return plan;
}

static bool
has_new_measures(const KpiSource *source)
{
	for (int s = 0; s < source->nstreams; s++)
	{
		for (int m = 0; m < source->streams[s].nmeasures; m++)
		{
			if (!source->streams[s].measures[m].is_known)
				return true;
		}
	}
	return false;
}

/*
 * Cells that lost all that they knew are made anew, from facts where these are
 * locked.  Whether another run is to come for those.
 */
static void
mend_unknown(KpiRun *run, KpiRunMode mode)
{
	bool		reads = run->may_read && is_locked(&run->table);

	kpi_refresh_unknown_mend(run, reads);
	while (reads && mode != KPI_RUN_REFRESH && kpi_refresh_unknown_waits(run))
		kpi_refresh_unknown_mend(run, true);
	run->unknown_waits = (run->may_read || mode == KPI_RUN_DELTAS) && kpi_refresh_unknown_waits(run);
}

static void
refresh_locked(KpiRun *run, const KpiSourceState *state, KpiRunMode mode)
{
	bool		builds = facts_are_needed(run, state, mode) && mode != KPI_RUN_DELTAS;

	if (state->lifts)
		kpi_refresh_seals_lift(run->source->id, run->table.leaves);
	if (builds && (state->recompute || has_new_measures(run->source)))
		kpi_refresh_build_begin(run, state->recompute);
	apply_deltas(run);
	follow_leaves(run, state);
	/* Writers of another table get it back before its facts are read. */
	if (state->swapped && mode == KPI_RUN_REFRESH)
		builds = false;
	if (builds && kpi_refresh_loaded_is_due(run->source, state))
		kpi_refresh_loaded_read(run);
	if (builds && kpi_refresh_build_is_due(run) && (!run->build.is_cancelled || mode != KPI_RUN_REFRESH))
		build(run, mode != KPI_RUN_REFRESH);
	renew_places(run);
	mend_unknown(run, mode);
	run->stats.changes.all |= run->plan.new_periods;
	extend_calendar_days(&run->stats);
}

/* Refreshed first, so that nothing but a true difference is found. */
static void
check_locked(KpiRun *run, bool mend, const KpiDays *days, KpiReport *report)
{
	bool		is_part = days->since != DATEVAL_NOBEGIN || days->until != DATEVAL_NOEND;

	kpi_refresh_attribution_reset(run->attributions, mend, is_part);
	kpi_refresh_check(run, mend, days, report);
	run->stats.changes.all |= mend;
}

static const char *
kind_of_run(const KpiRun *run, KpiRunMode mode)
{
	if (mode == KPI_RUN_VERIFY)
		return "verify";
	if (mode == KPI_RUN_REPAIR)
		return "repair";
	if (OidIsValid(run->table.reattached))
		return "reattach";
	return run->build.nsteps > 0 ? "build" : "refresh";
}

static void
log_run(const KpiRun *run, KpiRunMode mode, TimestampTz started, double duration_ms)
{
	KpiLogEntry entry = {
		.source_id = run->source->id,
		.source = run->source->name,
		.kind = kind_of_run(run, mode),
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
	int			nest_level;
	KpiSpi		spi;

	if (run->build.nsteps == 0 || run->stats.ncells < ANALYZE_CELLS ||
		(run->build.is_stored && kpi_refresh_build_is_due(run)))
		return;
	/* What it skips is nobody's concern, and it warns of it. */
	nest_level = NewGUCNestLevel();
	(void) set_config_option("client_min_messages", "error", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	kpi_spi_begin(&spi);
	kpi_spi_exec("ANALYZE (SKIP_LOCKED) kpi_internal.rollup_cell, kpi_internal.day_cell,"
				 " kpi_internal.applied_attribution, kpi_internal.kpi_stream, kpi_internal.dim,"
				 " kpi.kpi, kpi.team, kpi.member", 0);
	kpi_spi_end(&spi);
	AtEOXact_GUC(false, nest_level);
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
end_run(KpiRun *run, const KpiSourceState *state, KpiRunMode mode, const KpiDays *days, KpiReport *report,
		TimestampTz started)
{
	TimestampTz had_until = kpi_refresh_loaded_until(run->source);

	kpi_refresh_build_save(run);
	kpi_refresh_source_state_save(run, state, mode, milliseconds_since(started));
	run->stats.changes.day_moved = kpi_refresh_loaded_until(run->source) != had_until;
	if (run->plan.day_came)
		kpi_refresh_credit_save(run->source, run->today);
	kpi_refresh_exchange_save(run);
	move_goals(run);
	if (mode == KPI_RUN_VERIFY || mode == KPI_RUN_REPAIR)
	{
		bool		mend = mode == KPI_RUN_REPAIR;

		report->source_name = run->source->name;
		if (run->keyed != NULL && !mend)
			kpi_refresh_keyed_verify(run, report);
		kpi_refresh_goals_check(run->source->id, mend, report);
		check_locked(run, mend, days, report);
		if (mend && run->keyed != NULL)
			report->ndifferences += run->keyed->nchanges;
		if (mend)
			move_goals(run);
	}
	if (OidIsValid(run->table.reattached))
		kpi_capture_detach_others(run->source->id, run->table.relid);
	analyze_after_build(run);
	log_run(run, mode, started, milliseconds_since(started));
}

/* What the steps that follow begin. */
static void
begin_work(KpiRun *run, const KpiSourceState *state)
{
	set_as_of_reading(run);
	run->shows_keys = has_privs_of_role(GetUserId(), kpi_model_source_definer(run->source));
	run->attributions = kpi_refresh_attribution_create(run->mcxt, run->source, run->snapshot, run->today);
	run->exchange = kpi_refresh_exchange_create(run->mcxt, run->source);
	run->plan = make_plan(run, state);
}

/* A source that was begun, with nothing but looks; a suspended one has no snapshot. */
static KpiRunResult
prove(KpiRun *run, const KpiSourceState *state, KpiRunResult begun, const KpiDays *days, KpiReport *report)
{
	if (begun == KPI_RUN_GONE)
		return begun;
	report->source_name = run->source->name;
	if (begun != KPI_RUN_DONE)
	{
		kpi_refresh_prove_stopped(run, state, report);
		return KPI_RUN_DONE;
	}
	begin_work(run, state);
	kpi_refresh_prove(run, days, report);
	drop_snapshot(run);
	return KPI_RUN_DONE;
}

/* The kept rows of a keyed source, before its cells; what else than KPI_RUN_DONE ends the run. */
static KpiRunResult
begin_rows(KpiRun *run, KpiSourceState *state, KpiRunMode mode)
{
	if (!read_rows(run, state, mode))
		return KPI_RUN_BUILD_DUE;
	if (run->keyed != NULL && run->keyed->problem != NULL)
	{
		state->suspend_reason = run->keyed->problem;
		state->suspend_hint = run->keyed->hint;
		suspend(run->source, run->table.relid, state);
		return KPI_RUN_SUSPENDED;
	}
	return run->keyed != NULL && run->keyed->is_held ? KPI_RUN_SUSPENDED : KPI_RUN_DONE;
}

KpiRunResult
kpi_refresh_source_days(int32 source_id, KpiRunMode mode, const KpiDays *days, KpiReport *report)
{
	MemoryContext mcxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi run", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(mcxt);
	KpiRun	   *run = palloc0(sizeof(KpiRun));
	KpiSourceState *state = NULL;
	TimestampTz started = GetCurrentTimestamp();
	ErrorContextCallback context = {.previous = error_context_stack,.callback = run_error_context,.arg = run};
	KpiRunResult result;

	run->mcxt = mcxt;
	kpi_refresh_cell_memory_init(&run->memory);
	run->stats.first_day = DATEVAL_NOEND;
	run->stats.last_day = DATEVAL_NOBEGIN;
	run->stats.loaded_at = DT_NOBEGIN;
	kpi_refresh_dim_values_forget();
	error_context_stack = &context;
	if (mode == KPI_RUN_PROVE)
		kpi_capture_segments_lock(source_id);
	result = begin_run(run, source_id, mode, &state);
	if (mode == KPI_RUN_PROVE)
		result = prove(run, state, result, days, report);
	else if (result == KPI_RUN_DONE)
	{
		result = begin_rows(run, state, mode);
		if (result == KPI_RUN_DONE)
		{
			begin_work(run, state);
			refresh_locked(run, state, mode);
			end_run(run, state, mode, days, report, started);
			result = (kpi_refresh_build_is_due(run) && !run->build.is_cancelled) || run->unknown_waits ?
				KPI_RUN_MORE : KPI_RUN_DONE;
		}
		drop_snapshot(run);
	}
	error_context_stack = context.previous;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(mcxt);
	return result;
}

KpiRunResult
kpi_refresh_source(int32 source_id, KpiRunMode mode, KpiReport *report)
{
	return kpi_refresh_source_days(source_id, mode, &kpi_refresh_all_days, report);
}
