/*-------------------------------------------------------------------------
 *
 * build.c
 *	  Builds: facts into cells, in steps that are transactions of their own.
 *
 * How far a measure is built is two days, its frontiers, kept in
 * kpi_internal.measure_built:
 *
 *	days_since		from this day on its states in day cells are what the facts say;
 *					changes of earlier days are dropped, the facts have them when
 *					they are read
 *	rollups_since	from this day on, the first of a month, its states in the
 *					rollups are the sums of those in the day cells; before it the
 *					rollups have none
 *
 * Both go down from infinity to -infinity, newest days first, and a run stores
 * them in the transaction that wrote the cells.  All that a run does at one
 * snapshot is consistent: it consumes every delta that the snapshot shows, by the
 * frontiers as they were, and reads the facts at the same snapshot.  So a delta
 * is either merged or in the facts that are read later, whoever commits when.
 *
 * A first build has rollups_since not before days_since, and nothing of the measure is
 * below either: where all measures of a stream are equally far, there is no row.  When all facts are to be read again (recompute), the rollups
 * stay, and each step merges the difference between facts and day cells, as if
 * somebody had captured it: what did not change is not written.  Then
 * rollups_since is -infinity throughout.  Where a build is not complete, or the
 * stream means something else than before, its cells are deleted first.
 *
 * A step reads the facts of some months, where the planner finds them for about
 * what their share of the table costs (by an index, or partitions); else the rest
 * in one scan, and later steps take some months of day cells into the rollups.
 * The reason for months is that a place is then complete or not there, and that
 * the current ones come first.  Steps by owner would need no second read of the
 * day cells, and would leave every team incomplete to the end.
 *
 * Facts that are ignored as a whole have no day.  They belong to the last step of
 * reading, and make it a scan (scan.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "access/tableam.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "cell/cell.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* A table of so many pages is read at once. */
#define SMALL_TABLE 1000

/* So many facts are taken into the rollups in the step that read them. */
#define FEW_FACTS 20000

#define MOST_MONTHS 1200

/* Measures of a stream that are equally far. */
typedef struct BuildGroup
{
	int			s;
	Bitmapset  *measures;
	KpiFrontier at;
} BuildGroup;

static DateADT
complete_since(const KpiFrontier *frontier)
{
	return Max(frontier->days_since, frontier->rollups_since);
}

/* ---- what is dropped ---- */

/* Which states stay: of measures whose frontier is not after a day. */
typedef struct Passing
{
	const KpiStream *stream;
	const KpiFrontier *frontiers;
	bool		rollups;		/* which of the two frontiers */
	DateADT		day;
} Passing;

static bool
passes(int32 measure_id, void *arg)
{
	const Passing *passing = arg;

	for (int m = 0; m < passing->stream->nmeasures; m++)
	{
		const KpiFrontier *frontier = &passing->frontiers[m];

		if (passing->stream->measures[m].id == measure_id)
			return (passing->rollups ? frontier->rollups_since : frontier->days_since) <= passing->day;
	}
	return false;
}

static void
drop_states(KpiRun *run, int s, KpiCell *cell, DateADT day, bool rollups)
{
	Passing		passing = {
		.stream = &run->source->streams[s],
		.frontiers = run->build.streams[s].measures,
		.rollups = rollups,
		.day = day
	};

	kpi_cell_filter(cell, passes, &passing);
}

bool
kpi_refresh_build_counts_errors(const KpiRun *run, int s, const Bitmapset *without)
{
	for (int m = 0; m < run->source->streams[s].nmeasures; m++)
	{
		if (run->build.streams[s].measures[m].days_since == DATEVAL_NOBEGIN && !bms_is_member(m, without))
			return true;
	}
	return false;
}

bool
kpi_refresh_build_takes(KpiRun *run, int s, KpiCell *cell, DateADT day)
{
	KpiBuild   *build = &run->build;

	if (!build->streams[s].is_partial)
		return true;
	if (day == KPI_ERROR_DAY && !kpi_refresh_build_counts_errors(run, s, NULL))
	{
		build->is_changed |= !build->by_scan;
		build->by_scan = true;
		return false;
	}
	drop_states(run, s, cell, day, false);
	return !kpi_cell_is_empty(cell);
}

void
kpi_refresh_build_drop_rollups(KpiRun *run, int s, KpiCell *cell, DateADT day)
{
	if (run->build.streams[s].is_partial)
		drop_states(run, s, cell, day, true);
}

/* ---- which step ---- */

static void
join_group(BuildGroup *group, const KpiRun *run, int s, int m)
{
	const KpiFrontier *frontier = &run->build.streams[s].measures[m];

	group->s = s;
	group->at = *frontier;
	group->measures = bms_make_singleton(m);
	for (int other = 0; other < run->source->streams[s].nmeasures; other++)
	{
		const KpiFrontier *its = &run->build.streams[s].measures[other];

		if (its->days_since == frontier->days_since && its->rollups_since == frontier->rollups_since)
			group->measures = bms_add_member(group->measures, other);
	}
}

/*
 * The measures that are least far.  Of those that have nothing yet, the ones
 * whose rollups are there first: what is stored of errors is theirs.
 */
static bool
find_group(const KpiRun *run, BuildGroup *group)
{
	const KpiFrontier *least = NULL;

	for (int s = 0; s < run->source->nstreams; s++)
	{
		for (int m = 0; m < run->source->streams[s].nmeasures; m++)
		{
			const KpiFrontier *frontier = &run->build.streams[s].measures[m];

			if (kpi_refresh_is_built(frontier) ||
				(least != NULL && complete_since(frontier) < complete_since(least)) ||
				(least != NULL && complete_since(frontier) == complete_since(least) &&
				 frontier->rollups_since >= least->rollups_since))
				continue;
			least = frontier;
			join_group(group, run, s, m);
		}
	}
	return least != NULL;
}

static DateADT
months_before(DateADT day, int months)
{
	int			year;
	int			month;
	int			mday;
	int			n;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	n = year * 12 + month - 1 - months;
	return date2j(n / 12, n % 12 + 1, 1) - POSTGRES_EPOCH_JDATE;
}

/* The first day of the months before a frontier that the next step takes. */
static DateADT
step_since(const KpiRun *run, DateADT frontier)
{
	DateADT		since;

	if (frontier == DATEVAL_NOEND)
	{
		DateADT		today = kpi_calendar_today(&run->calendar);
		KpiGrain	grain = kpi_build_step > 0 ? KPI_QUARTER : KPI_MONTH;

		since = kpi_calendar_period_start(grain, today, &run->calendar);
		since = kpi_calendar_period_start(grain, since - 1, &run->calendar);
	}
	else
		since = months_before(frontier, run->build.months);
	return since > kpi_calendar_first_fact_day() ? since : DATEVAL_NOBEGIN;
}

/* The next one takes about as long as a step should; where there was nothing, it looks further. */
static void
adapt_months(KpiBuild *build, double ms, bool found)
{
	double		factor = found ? kpi_build_step / Max(ms, 1.0) : 4;

	factor = Min(Max(factor, 0.25), 4);
	build->months = Min(Max((int) (build->months * factor), 1), MOST_MONTHS);
}

/* How large the table is, now. */
static void
table_size(const KpiRunTable *table, BlockNumber *pages, double *rows)
{
	ListCell   *lc;

	*pages = 0;
	*rows = 0;
	foreach(lc, table->leaves)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);
		BlockNumber its_pages;
		double		its_rows;
		double		all_visible;

		table_relation_estimate_size(rel, NULL, &its_pages, &its_rows, &all_visible);
		*pages += its_pages;
		*rows += its_rows;
		table_close(rel, NoLock);
	}
}

/* Before the first step: what there is to read, once for each stream. */
static void
expect_facts(KpiRun *run)
{
	BlockNumber pages;
	double		rows;

	table_size(&run->table, &pages, &rows);
	for (int s = 0; s < run->source->nstreams; s++)
	{
		if (run->build.streams[s].is_partial && !run->source->streams[s].is_left_out)
			run->build.expected_facts += (int64) rows;
	}
}

static bool
is_small(const KpiRunTable *table)
{
	BlockNumber pages;
	double		rows;

	if (kpi_build_step == 0)
		return false;
	table_size(table, &pages, &rows);
	return pages <= SMALL_TABLE;
}

/*
 * Whether reading some days alone costs about their share, by what the planner
 * thinks.  For the first ones, which people wait for, somewhat more will do.
 */
static bool
index_pays(KpiRun *run, const BuildGroup *group, const KpiFactPart *part)
{
	KpiFactPart all = {.measures = part->measures,.since = DATEVAL_NOBEGIN,.until = DATEVAL_NOEND};
	KpiFactEstimate whole;
	KpiFactEstimate some;

	if (!kpi_refresh_scan_estimate(run, group->s, &all, &whole) ||
		!kpi_refresh_scan_estimate(run, group->s, part, &some))
		return false;
	if (group->at.days_since == DATEVAL_NOEND && some.cost < whole.cost / 2)
		return true;
	return some.cost / Max(some.facts, 1) < 2 * whole.cost / Max(whole.facts, 1);
}

/* ---- steps ---- */

static void
move_frontier(KpiRun *run, const BuildGroup *group, const KpiFrontier *to)
{
	int			m = -1;

	while ((m = bms_next_member(group->measures, m)) >= 0)
		run->build.streams[group->s].measures[m] = *to;
}

/* Whether other measures of the stream have cells where those of a group have none yet. */
static bool
is_shared(const KpiRun *run, const BuildGroup *group)
{
	return bms_num_members(group->measures) < run->source->streams[group->s].nmeasures;
}

/*
 * Whether there is no row where a group has no cells yet.  Measures that were dropped
 * while the build went on have left theirs.
 */
static bool
is_all_new(const KpiRun *run, const BuildGroup *group)
{
	return !is_shared(run, group) && !run->build.has_lost_measures;
}

static void
free_merge(KpiMerge *merge)
{
	KpiCellMap *days = merge->store ? merge->store : merge->fan_out;

	kpi_refresh_cellmap_free(days);
	kpi_refresh_cellmap_free(merge->rollups);
	if (merge->places)
		kpi_refresh_places_free(merge->places);
}

/* Some months of day cells into the rollups. */
static bool
fan_out_stored(KpiRun *run, const BuildGroup *group)
{
	const KpiStream *stream = &run->source->streams[group->s];
	KpiFrontier to = group->at;
	KpiCellMap *days = kpi_refresh_cellmap_create(run);
	KpiMerge	merge = {
		.fan_out = days,
		.rollups = kpi_refresh_cellmap_create(run),
		.places = kpi_refresh_places_create(run),
		.all_new = is_all_new(run, group),
		.some_held = kpi_model_stream_has_balance(stream)
	};
	KpiDayRows	rows;
	bool		found = false;

	to.rollups_since = Max(step_since(run, group->at.rollups_since), group->at.days_since);
	kpi_refresh_day_rows_begin(&rows, stream->id, to.rollups_since, group->at.rollups_since);
	for (; rows.more; kpi_refresh_day_rows_next(&rows))
	{
		KpiCell    *cell = kpi_refresh_table_found_cell(rows.keyed);

		CHECK_FOR_INTERRUPTS();
		found = true;
		kpi_refresh_places_add_day(merge.places, &rows.key.day, false);
		kpi_refresh_keep_measures(cell, stream, group->measures);
		if (rows.key.day.day != KPI_ERROR_DAY && !kpi_cell_is_empty(cell))
			kpi_refresh_cellmap_append(days, &rows.key, cell);
		pfree(cell);
	}
	kpi_refresh_day_rows_end(&rows);
	kpi_refresh_cellmap_sort(days);
	move_frontier(run, group, &to);
	kpi_refresh_merge(run, &merge);
	free_merge(&merge);
	return found;
}

/* What is to be added to the stored day cells for the facts to be what they say. */
static KpiCellMap *
difference(KpiRun *run, const BuildGroup *group, KpiCellMap *facts, const KpiFactPart *part)
{
	const KpiStream *stream = &run->source->streams[group->s];
	KpiCellMap *differences = kpi_refresh_cellmap_create(run);
	const KpiCellItem *fact = kpi_refresh_cellmap_next(facts);
	bool		keeps_errors = kpi_refresh_build_counts_errors(run, group->s, group->measures);
	KpiDayRows	rows;

	kpi_refresh_day_rows_begin(&rows, stream->id, part->since, part->until);
	while (fact != NULL || rows.more)
	{
		int			order = !rows.more ? -1 : fact ? kpi_refresh_cellkey_compare(&fact->key, &rows.key) : 1;
		KpiCell    *cell = order <= 0 ? kpi_cell_pack(fact->cell) : kpi_cell_empty();

		CHECK_FOR_INTERRUPTS();
		if (order >= 0 && !(keeps_errors && rows.key.day.day == KPI_ERROR_DAY))
		{
			KpiCell    *stored = kpi_refresh_table_found_cell(rows.keyed);

			kpi_refresh_keep_measures(stored, stream, group->measures);
			cell = kpi_cell_subtract(cell, stored);
			pfree(stored);
		}
		if (!kpi_cell_is_empty(cell))
			kpi_refresh_cellmap_append(differences, order <= 0 ? &fact->key : &rows.key, cell);
		pfree(cell);
		if (order <= 0)
			fact = kpi_refresh_cellmap_next(facts);
		if (order >= 0)
			kpi_refresh_day_rows_next(&rows);
	}
	kpi_refresh_day_rows_end(&rows);
	kpi_refresh_cellmap_sort(differences);
	return differences;
}

/* The facts of the next days, which part tells, by index or, all that are left, in one scan. */
static KpiCellMap *
next_facts(KpiRun *run, const BuildGroup *group, KpiFactPart *part, int64 *n)
{
	KpiCellMap *facts = NULL;

	part->measures = group->measures;
	part->until = group->at.days_since;
	part->since = step_since(run, part->until);
	if (!run->build.by_scan && !is_small(&run->table) && index_pays(run, group, part))
		facts = kpi_refresh_scan_facts(run, group->s, part, true, n);
	if (facts != NULL)
		return facts;
	run->build.by_scan = true;
	part->since = DATEVAL_NOBEGIN;
	part->and_left_out = part->until != DATEVAL_NOEND;
	return kpi_refresh_scan_facts(run, group->s, part, false, n);
}

/*
 * Facts into day cells, and into the rollups as well, but for many facts that
 * were read in one scan.
 */
static bool
read_facts(KpiRun *run, const BuildGroup *group)
{
	bool		again = group->at.rollups_since == DATEVAL_NOBEGIN;
	KpiFactPart part = {0};
	int64		n;
	KpiCellMap *facts = next_facts(run, group, &part, &n);
	bool		has_rollups = !run->source->streams[group->s].is_left_out;
	bool		few = part.since != DATEVAL_NOBEGIN || (n <= FEW_FACTS && kpi_build_step > 0) || !has_rollups;
	KpiFrontier to = {
		.days_since = part.since,
		.rollups_since = again || few ? Min(part.since, group->at.rollups_since) : group->at.rollups_since
	};
	KpiMerge	merge = {
		.store = facts,
		.rollups = kpi_refresh_cellmap_create(run),
		.all_new = !again && is_all_new(run, group),
		.some_held = kpi_model_stream_has_balance(&run->source->streams[group->s])
	};

	if (again)
	{
		merge.store = difference(run, group, facts, &part);
		kpi_refresh_cellmap_free(facts);
	}
	if (again || few)
		merge.fan_out = merge.store;

	/* Days of members are there as soon as their cells are. */
	if (merge.fan_out || is_shared(run, group))
		merge.places = kpi_refresh_places_create(run);
	move_frontier(run, group, &to);
	kpi_refresh_merge(run, &merge);
	free_merge(&merge);
	if (has_rollups)
		run->build.facts += n;
	return n > 0;
}

void
kpi_refresh_build_step(KpiRun *run)
{
	KpiBuild   *build = &run->build;
	TimestampTz started = GetCurrentTimestamp();
	BuildGroup	group = {0};
	double		ms;
	bool		found;

	if (!find_group(run, &group))
		return;
	if (!build->is_stored && build->nsteps == 0)
		expect_facts(run);
	if (group.at.days_since < group.at.rollups_since)
		found = fan_out_stored(run, &group);
	else
		found = read_facts(run, &group);
	kpi_refresh_build_look_at(run, group.s);
	ms = (GetCurrentTimestamp() - started) / 1000.0;
	adapt_months(build, ms, found);
	build->milliseconds += (int64) ms;
	build->nsteps++;
	build->is_changed = true;
}
