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
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* A table of so many pages is read at once. */
#define SMALL_TABLE 1000

/* So many facts are taken into the rollups in the step that read them. */
#define FEW_FACTS 20000

/* Of the first step by months: the present quarter and the one before. */
#define FIRST_MONTHS 6
#define MOST_MONTHS 1200

/* Measures of a stream that are equally far. */
typedef struct BuildGroup
{
	int			s;
	Bitmapset  *measures;
	KpiFrontier at;
} BuildGroup;

static bool
is_complete(const KpiFrontier *frontier)
{
	return frontier->days_since == DATEVAL_NOBEGIN && frontier->rollups_since == DATEVAL_NOBEGIN;
}

static DateADT
complete_since(const KpiFrontier *frontier)
{
	return Max(frontier->days_since, frontier->rollups_since);
}

static void
look_at_stream(KpiBuild *build, const KpiSource *source, int s)
{
	KpiStreamBuild *stream = &build->streams[s];

	stream->is_partial = false;
	for (int m = 0; m < source->streams[s].nmeasures; m++)
		stream->is_partial |= !is_complete(&stream->measures[m]);
}

bool
kpi_refresh_build_is_due(const KpiRun *run)
{
	for (int s = 0; s < run->source->nstreams; s++)
	{
		if (run->build.streams[s].is_partial)
			return true;
	}
	return false;
}

/* ---- what is stored ---- */

static List *
measures_of(const KpiSource *source)
{
	List	   *ids = NIL;

	for (int s = 0; s < source->nstreams; s++)
	{
		for (int m = 0; m < source->streams[s].nmeasures; m++)
			ids = lappend_int(ids, source->streams[s].measures[m].id);
	}
	return ids;
}

static void
load_progress(KpiRun *run)
{
	KpiBuild   *build = &run->build;
	KpiRows		rows;

	build->is_cancelled = kpi_spi_read("SELECT FROM kpi_internal.build_cancelled b WHERE b.source_id = $1",
									   1, KPI_INT4(run->source->id)) > 0;
	kpi_rows_begin_read(&rows, "SELECT b.by_scan, b.months, b.facts, b.expected_facts, b.milliseconds, b.first_day,"
						" NOT b.measures OPERATOR(pg_catalog.<@) $2 AS has_lost_measures"
						" FROM kpi_internal.build b WHERE b.source_id = $1",
						2, KPI_INT4(run->source->id), KPI_INT4S(measures_of(run->source)));
	build->is_stored = kpi_rows_next(&rows);
	if (build->is_stored)
	{
		build->by_scan = kpi_rows_bool(&rows, "by_scan");
		build->months = kpi_rows_int4(&rows, "months");
		build->facts = kpi_rows_int8(&rows, "facts");
		build->expected_facts = kpi_rows_int8(&rows, "expected_facts");
		build->milliseconds = kpi_rows_int8(&rows, "milliseconds");
		build->first_day = kpi_rows_date(&rows, "first_day", DATEVAL_NOEND);
		build->has_lost_measures = kpi_rows_bool(&rows, "has_lost_measures");
	}
	kpi_rows_end(&rows);
}

void
kpi_refresh_build_load(KpiRun *run, bool is_noted)
{
	const KpiSource *source = run->source;
	KpiBuild   *build = &run->build;
	KpiSpi		spi;

	memset(build, 0, sizeof(KpiBuild));
	build->months = kpi_build_step > 0 ? FIRST_MONTHS : 1;
	build->first_day = DATEVAL_NOEND;
	build->streams = MemoryContextAllocZero(run->mcxt, Max(source->nstreams, 1) * sizeof(KpiStreamBuild));
	for (int s = 0; s < source->nstreams; s++)
	{
		const KpiStream *stream = &source->streams[s];

		build->streams[s].measures = MemoryContextAlloc(run->mcxt, stream->nmeasures * sizeof(KpiFrontier));
		for (int m = 0; m < stream->nmeasures; m++)
		{
			build->streams[s].measures[m].days_since = stream->measures[m].days_since;
			build->streams[s].measures[m].rollups_since = stream->measures[m].rollups_since;
		}
		look_at_stream(build, source, s);
	}
	if (!kpi_refresh_build_is_due(run))
	{
		/* Of measures that were dropped before they were built. */
		build->is_changed = is_noted;
		return;
	}
	kpi_spi_begin(&spi);
	load_progress(run);
	kpi_spi_end(&spi);
}

static bool
is_known(const KpiStream *stream)
{
	for (int m = 0; m < stream->nmeasures; m++)
	{
		if (stream->measures[m].is_known)
			return true;
	}
	return false;
}

static bool
is_unfinished(const KpiStream *stream)
{
	for (int m = 0; m < stream->nmeasures; m++)
	{
		if (stream->measures[m].is_known && stream->measures[m].rollups_since != DATEVAL_NOBEGIN)
			return true;
	}
	return false;
}

void
kpi_refresh_build_begin(KpiRun *run, bool recompute)
{
	KpiBuild   *build = &run->build;

	for (int s = 0; s < run->source->nstreams; s++)
	{
		const KpiStream *stream = &run->source->streams[s];
		bool		wipe = !is_known(stream) || (recompute && is_unfinished(stream));

		if (wipe)
			build->wiped |= kpi_refresh_table_wipe(stream->id);
		for (int m = 0; m < stream->nmeasures; m++)
		{
			if (wipe || recompute)
				build->streams[s].measures[m].days_since = DATEVAL_NOEND;
			if (wipe)
				build->streams[s].measures[m].rollups_since = DATEVAL_NOEND;
		}
		look_at_stream(build, run->source, s);
	}
	build->is_changed = true;
}

static void
save_frontiers(const KpiRun *run, int s)
{
	const KpiStream *stream = &run->source->streams[s];

	for (int m = 0; m < stream->nmeasures; m++)
	{
		const KpiFrontier *frontier = &run->build.streams[s].measures[m];

		if (stream->measures[m].is_known && stream->measures[m].days_since == frontier->days_since &&
			stream->measures[m].rollups_since == frontier->rollups_since)
			continue;
		kpi_spi_exec("INSERT INTO kpi_internal.measure_built (measure_id, stream_id, version, kpi_id,"
					 " days_since, rollups_since) VALUES ($1, $2, $3, $4, $5, $6)"
					 " ON CONFLICT (measure_id) DO UPDATE SET version = EXCLUDED.version,"
					 " days_since = EXCLUDED.days_since, rollups_since = EXCLUDED.rollups_since",
					 6, KPI_INT4(stream->measures[m].id), KPI_INT4(stream->id), KPI_INT4(stream->version),
					 KPI_INT4(stream->measures[m].kpi_id),
					 KPI_VALUE(DATEOID, DateADTGetDatum(frontier->days_since)),
					 KPI_VALUE(DATEOID, DateADTGetDatum(frontier->rollups_since)));
	}
}

static void
save_progress(const KpiRun *run)
{
	const KpiBuild *build = &run->build;

	kpi_spi_exec("INSERT INTO kpi_internal.build AS b (source_id, by_scan, months, facts, expected_facts,"
				 " milliseconds, first_day, steps, measures) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
				 " ON CONFLICT (source_id) DO UPDATE SET by_scan = EXCLUDED.by_scan, months = EXCLUDED.months,"
				 " facts = EXCLUDED.facts, expected_facts = EXCLUDED.expected_facts, milliseconds = EXCLUDED.milliseconds,"
				 " first_day = EXCLUDED.first_day, steps = b.steps + EXCLUDED.steps,"
				 " measures = CASE WHEN EXCLUDED.measures OPERATOR(pg_catalog.<@) b.measures THEN b.measures"
				 "  ELSE b.measures OPERATOR(pg_catalog.||) EXCLUDED.measures END,"
				 " stepped_at = pg_catalog.clock_timestamp()",
				 9, KPI_INT4(run->source->id), KPI_BOOL(build->by_scan), KPI_INT4(build->months),
				 KPI_INT8(build->facts), KPI_INT8(build->expected_facts),
				 KPI_INT8(build->milliseconds),
				 build->first_day == DATEVAL_NOEND ? KPI_NULL(DATEOID) :
				 KPI_VALUE(DATEOID, DateADTGetDatum(build->first_day)), KPI_INT4(build->nsteps),
				 KPI_INT4S(measures_of(run->source)));
}

void
kpi_refresh_build_save(KpiRun *run)
{
	KpiSpi		spi;

	if (!run->build.is_changed)
		return;
	kpi_spi_begin(&spi);
	for (int s = 0; s < run->source->nstreams; s++)
		save_frontiers(run, s);
	if (kpi_refresh_build_is_due(run))
		save_progress(run);
	else
	{
		kpi_spi_exec("DELETE FROM kpi_internal.build WHERE source_id = $1", 1, KPI_INT4(run->source->id));
		kpi_spi_exec("DELETE FROM kpi_internal.build_cancelled WHERE source_id = $1", 1, KPI_INT4(run->source->id));
	}
	kpi_spi_end(&spi);
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

			if (is_complete(frontier) ||
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
		if (run->build.streams[s].is_partial)
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
		.all_new = is_all_new(run, group)
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
	bool		few = part.since != DATEVAL_NOBEGIN || (n <= FEW_FACTS && kpi_build_step > 0);
	KpiFrontier to = {
		.days_since = part.since,
		.rollups_since = again || few ? Min(part.since, group->at.rollups_since) : group->at.rollups_since
	};
	KpiMerge	merge = {
		.store = facts,
		.rollups = kpi_refresh_cellmap_create(run),
		.all_new = !again && is_all_new(run, group)
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
	look_at_stream(build, run->source, group.s);
	ms = (GetCurrentTimestamp() - started) / 1000.0;
	adapt_months(build, ms, found);
	build->milliseconds += (int64) ms;
	build->nsteps++;
	build->is_changed = true;
}
