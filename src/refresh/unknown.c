/*-------------------------------------------------------------------------
 *
 * unknown.c
 *	  Cells whose sum does not tell their value are made anew.
 *
 * A cell knows some of its most extreme values (cell/extreme.c).  When all of
 * these were taken away it still says how many facts it has, but not which is the largest;
 * its value is missing until it is made anew from what is below it:
 *
 *	rollups		from day cells, in the run that met them: a month of a team from its
 *				days, everything else by the fan-out of the day cells that it is
 *				made of
 *	day cells	from the facts of their day.  Facts are read under locks that were
 *				taken before the snapshot, which a run that applies deltas has
 *				not got: the day is noted (kpi_internal.unknown_day), and a run
 *				that has them comes next, by whoever comes for builds.  It reads
 *				the facts of these days, writes the cells that were not known,
 *				and then the rollups above them that were not, either.
 *
 * What is not known is nowhere wrong: it says how many facts there are, and
 * deltas go on to be merged.  A cell that knows all it should is not written.
 *
 * Facts of sealed days are gone: what a seal does not know stays unknown.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "refresh/refresh_internal.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Days of a transaction; what is left is the next one's. */
#define MOST_DAYS 1000

/* Days so near each other are read together. */
#define NEAR_DAYS 7

/* Of so many teams and members it is not asked which day cells are theirs. */
#define MOST_SCOPES 64

/* Some months, by their first day, in which rollups of a stream are not known. */
typedef struct Month
{
	int32		stream_id;
	DateADT		since;
	DateADT		until;			/* exclusive; less than the month where only
								 * days are not known */
	int			nscopes;
	int32		scopes[MOST_SCOPES];	/* negative: members */
} Month;

void
kpi_refresh_unknown_note(KpiRun *run, KpiCellTable table, const KpiCellKey *key)
{
	if (run->unknown[table] == NULL)
		run->unknown[table] = kpi_refresh_cellmap_create(run);
	kpi_refresh_cellmap_add_place(run->unknown[table], key);
}

/* Those that were noted, sorted; NULL: none.  The caller frees them. */
static KpiCellMap *
take_noted(KpiRun *run, KpiCellTable table)
{
	KpiCellMap *noted = run->unknown[table];

	run->unknown[table] = NULL;
	if (noted != NULL)
		kpi_refresh_cellmap_sort(noted);
	return noted;
}

static bool
may_be_unknown(const KpiStream *stream)
{
	for (int m = 0; m < stream->nmeasures; m++)
	{
		if (kpi_cell_kind_may_be_unknown(stream->measures[m].kind))
			return true;
	}
	return false;
}

bool
kpi_refresh_unknown_waits(const KpiRun *run)
{
	for (int s = 0; s < run->source->nstreams; s++)
	{
		const KpiStream *stream = &run->source->streams[s];
		KpiSpi		spi;
		bool		waits;

		/* What is not built yet is read by the build. */
		if (!may_be_unknown(stream) || run->build.streams[s].is_partial)
			continue;
		kpi_spi_begin(&spi);
		waits = kpi_spi_exec("SELECT FROM kpi_internal.unknown_day u WHERE u.stream_id = $1 LIMIT 1",
							 1, KPI_INT4(stream->id)) > 0;
		kpi_spi_end(&spi);
		if (waits)
			return true;
	}
	return false;
}

/* ---- rollups ---- */

static bool
is_month_of_team(const KpiRollupKey *key)
{
	return key->scope_kind == KPI_SCOPE_TEAM && key->grain == KPI_MONTH && key->dim_value_id == 0;
}

static DateADT
month_of(DateADT day)
{
	return kpi_calendar_period_start(KPI_MONTH, day, kpi_calendar_get(KPI_DEFAULT_CALENDAR));
}

static DateADT
next_month(DateADT month)
{
	return kpi_calendar_period_shift(KPI_MONTH, month, 1, NULL);
}

static void
add_scope(Month *month, const KpiRollupKey *key)
{
	int32		scope = key->scope_kind == KPI_SCOPE_TEAM ? key->scope_id : -key->scope_id;

	for (int i = 0; i < month->nscopes; i++)
	{
		if (i == MOST_SCOPES || month->scopes[i] == scope)
			return;
	}
	if (month->nscopes < MOST_SCOPES)
		month->scopes[month->nscopes] = scope;
	month->nscopes++;
}

/* The months of rollups that are made of day cells. */
static List *
months_of(KpiCellMap *unknown)
{
	List	   *months = NIL;
	const KpiCellItem *item;

	kpi_refresh_cellmap_rewind(unknown);
	while ((item = kpi_refresh_cellmap_next(unknown)) != NULL)
	{
		const KpiRollupKey *key = &item->key.rollup;
		DateADT		until = key->grain == KPI_DAY ? key->start + 1 : next_month(key->start);
		Month	   *month = NULL;
		ListCell   *lc;

		foreach(lc, months)
		{
			month = lfirst(lc);
			if (month->stream_id == key->stream_id && month_of(month->since) == month_of(key->start))
				break;
			month = NULL;
		}
		if (month == NULL)
		{
			month = palloc0(sizeof(Month));
			month->stream_id = key->stream_id;
			month->since = key->start;
			month->until = until;
			months = lappend(months, month);
		}
		month->since = Min(month->since, key->start);
		month->until = Max(month->until, until);
		add_scope(month, key);
	}
	return months;
}

/* Whether a day cell counts for one of the scopes. */
static bool
counts_for(KpiRun *run, const Month *month, const KpiAttribution *span)
{
	const int32 *teams;
	int			nteams;

	if (month->nscopes > MOST_SCOPES)
		return true;
	nteams = kpi_refresh_path_teams(run->attributions, span->path, &teams);
	for (int i = 0; i < month->nscopes; i++)
	{
		if (month->scopes[i] < 0 && span->member_id == -month->scopes[i])
			return true;
		for (int t = 0; t < nteams; t++)
		{
			if (teams[t] == month->scopes[i])
				return true;
		}
	}
	return false;
}

/* What the stored day cells of a month come to, for the scopes that are not known; sorted. */
static KpiCellMap *
fan_out_month(KpiRun *run, const Month *month)
{
	const KpiStream *stream = kpi_model_stream_find(run->source, month->stream_id);
	KpiCellMap *days = kpi_refresh_cellmap_create(run);
	KpiCellMap *rollups = kpi_refresh_cellmap_create(run);
	int32		last_owner = -1;
	KpiDayRows	rows;

	kpi_refresh_day_rows_begin(&rows, stream->id, month->since, month->until);
	for (; rows.more; kpi_refresh_day_rows_next(&rows))
	{
		const KpiDayKey *key = &rows.key.day;
		KpiCell    *cell;

		CHECK_FOR_INTERRUPTS();
		if (key->owner_id != last_owner)
			kpi_refresh_attribution_need(run->attributions, stream->owner_kind, &key->owner_id, 1);
		last_owner = key->owner_id;
		if (!counts_for(run, month, kpi_refresh_attribution_at(run->attributions, stream->owner_kind,
															   key->owner_id, key->day)))
			continue;
		cell = kpi_refresh_table_found_cell(rows.keyed);
		kpi_refresh_drop_unknown_states(cell, stream);
		if (!kpi_cell_is_empty(cell))
			kpi_refresh_cellmap_append(days, &rows.key, cell);
		pfree(cell);
	}
	kpi_refresh_day_rows_end(&rows);
	kpi_refresh_cellmap_sort(days);
	kpi_refresh_fanout(run, days, rollups);
	kpi_refresh_cellmap_free(days);
	kpi_refresh_cellmap_sort(rollups);
	return rollups;
}

/* Of what is expected, what was not known and is now. */
static void
collect_known(KpiCellMap *unknown, KpiCellMap *expected, KpiCellMap *mended)
{
	const KpiCellItem *item;
	const KpiCellItem *wanted;

	kpi_refresh_cellmap_rewind(unknown);
	kpi_refresh_cellmap_rewind(expected);
	wanted = kpi_refresh_cellmap_next(unknown);
	item = kpi_refresh_cellmap_next(expected);
	while (wanted != NULL && item != NULL)
	{
		int			order = kpi_refresh_cellkey_compare(&wanted->key, &item->key);

		if (order == 0 && kpi_cell_is_known(item->cell))
			kpi_refresh_cellmap_append(mended, &item->key, kpi_cell_finished(item->cell));
		if (order <= 0)
			wanted = kpi_refresh_cellmap_next(unknown);
		if (order >= 0)
			item = kpi_refresh_cellmap_next(expected);
	}
}

/* Rollups are written, and whoever follows them is told. */
static void
write_rollups(KpiRun *run, KpiCellMap *days, KpiCellMap *mended)
{
	kpi_refresh_cellmap_sort(mended);
	kpi_refresh_table_replace(run, KPI_ROLLUP_CELL, mended);
	kpi_refresh_change_add_rollups(run, mended);
	kpi_refresh_rollups_queue(run, days, mended);
}

/* Days, and what else is made of day cells. */
static void
mend_from_days(KpiRun *run, KpiCellMap *unknown)
{
	KpiCellMap *mended = kpi_refresh_cellmap_create(run);
	KpiCellMap *no_days = kpi_refresh_cellmap_create(run);
	ListCell   *lc;

	foreach(lc, months_of(unknown))
	{
		KpiCellMap *rollups = fan_out_month(run, lfirst(lc));

		collect_known(unknown, rollups, mended);
		kpi_refresh_cellmap_free(rollups);
	}
	kpi_refresh_cellmap_sort(no_days);
	write_rollups(run, no_days, mended);
	kpi_refresh_cellmap_free(no_days);
	kpi_refresh_cellmap_free(mended);
}

/* The sum of a team's days of a month, as they are stored. */
static KpiCell *
sum_of_days(KpiRun *run, KpiKeyedTable *rollups, const KpiRollupKey *key)
{
	int32		prefix[] = {key->stream_id, key->scope_kind, key->scope_id, KPI_DAY, 0};
	KpiCell    *sum = kpi_cell_empty();

	kpi_keyed_table_scan(rollups, lengthof(prefix), prefix, true, key->start, next_month(key->start) - 1);
	while (kpi_keyed_table_next(rollups))
	{
		KpiCell    *cell = kpi_refresh_table_found_cell(rollups);

		if (cell != NULL)
			sum = kpi_cell_merge(sum, cell);
	}
	kpi_refresh_drop_unknown_states(sum, kpi_model_stream_find(run->source, key->stream_id));
	return sum;
}

static void
mend_months_of_teams(KpiRun *run, KpiCellMap *unknown)
{
	KpiCellMap *mended = kpi_refresh_cellmap_create(run);
	KpiCellMap *no_days = kpi_refresh_cellmap_create(run);
	MemoryContext row_cxt = AllocSetContextCreate(run->mcxt, "pg_kpi unknown cell", ALLOCSET_DEFAULT_SIZES);
	const KpiCellItem *item;
	Snapshot	snapshot;
	KpiKeyedTable *rollups;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	rollups = kpi_refresh_table_open(KPI_ROLLUP_CELL, snapshot);
	kpi_refresh_cellmap_rewind(unknown);
	while ((item = kpi_refresh_cellmap_next(unknown)) != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);
		KpiCell    *sum;

		CHECK_FOR_INTERRUPTS();
		sum = sum_of_days(run, rollups, &item->key.rollup);
		if (kpi_cell_is_known(sum))
			kpi_refresh_cellmap_append(mended, &item->key, kpi_cell_finished(sum));
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
	}
	kpi_keyed_table_close(rollups);
	UnregisterSnapshot(snapshot);
	kpi_refresh_cellmap_sort(no_days);
	write_rollups(run, no_days, mended);
	kpi_refresh_cellmap_free(no_days);
	kpi_refresh_cellmap_free(mended);
	MemoryContextDelete(row_cxt);
}

/*
 * Months of teams are kept apart: what the fan-out of some days says of them is
 * not all of them.
 */
static void
mend_rollups(KpiRun *run)
{
	KpiCellMap *unknown = take_noted(run, KPI_ROLLUP_CELL);
	KpiCellMap *months;
	KpiCellMap *others;
	const KpiCellItem *item;

	if (unknown == NULL)
		return;
	months = kpi_refresh_cellmap_create(run);
	others = kpi_refresh_cellmap_create(run);
	kpi_refresh_cellmap_rewind(unknown);
	while ((item = kpi_refresh_cellmap_next(unknown)) != NULL)
		kpi_refresh_cellmap_add_place(is_month_of_team(&item->key.rollup) ? months : others, &item->key);
	kpi_refresh_cellmap_free(unknown);
	kpi_refresh_cellmap_sort(months);
	kpi_refresh_cellmap_sort(others);
	mend_from_days(run, others);
	mend_months_of_teams(run, months);
	kpi_refresh_cellmap_free(others);
	kpi_refresh_cellmap_free(months);
}

/* ---- days ---- */

static void
store_days(KpiRun *run)
{
	KpiCellMap *unknown = take_noted(run, KPI_DAY_CELL);
	const KpiCellItem *item;
	KpiSpi		spi;

	if (unknown == NULL)
		return;
	kpi_spi_begin(&spi);
	while ((item = kpi_refresh_cellmap_next(unknown)) != NULL)
		kpi_spi_exec("INSERT INTO kpi_internal.unknown_day (stream_id, day) VALUES ($1, $2) ON CONFLICT DO NOTHING",
					 2, KPI_INT4(item->key.stream_id), KPI_VALUE(DATEOID, DateADTGetDatum(item->key.day.day)));
	kpi_spi_end(&spi);
	kpi_refresh_cellmap_free(unknown);
}

/* Those of a stream, in order. */
static int
load_days(const KpiStream *stream, DateADT *days)
{
	int			n = 0;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT u.day FROM kpi_internal.unknown_day u WHERE u.stream_id = $1 ORDER BY u.day LIMIT $2",
				   2, KPI_INT4(stream->id), KPI_INT4(MOST_DAYS));
	while (kpi_rows_next(&rows))
		days[n++] = kpi_rows_date(&rows, "day", DATEVAL_NOBEGIN);
	kpi_rows_end(&rows);
	return n;
}

/* The end of the run of days that are near each other. */
static int
end_of_range(const DateADT *days, int first, int n)
{
	int			next = first + 1;

	while (next < n && days[next] - days[next - 1] <= NEAR_DAYS)
		next++;
	return next;
}

static double
cost_of(KpiRun *run, int s, DateADT first, DateADT last)
{
	KpiFactPart part = {.since = first,.until = last + 1};
	KpiFactEstimate estimate;

	return kpi_refresh_scan_estimate(run, s, &part, &estimate) ? estimate.cost : 0;
}

/* Whether the days are read by their ranges, or all that is between them at once: without an index that is cheaper. */
static bool
ranges_pay(KpiRun *run, int s, const DateADT *days, int n)
{
	double		cost = 0;

	for (int first = 0, next; first < n; first = next)
	{
		next = end_of_range(days, first, n);
		if (first == 0 && next == n)
			return true;
		cost += cost_of(run, s, days[first], days[next - 1]);
	}
	return cost < cost_of(run, s, days[0], days[n - 1]);
}

/* Of the day cells that the facts say, those that are stored and not known. */
static KpiCellMap *
unknown_cells(KpiRun *run, int s, KpiCellMap *facts, const KpiFactPart *part)
{
	KpiCellMap *unknown = kpi_refresh_cellmap_create(run);
	KpiCellMap *mended = kpi_refresh_cellmap_create(run);
	KpiDayRows	rows;

	kpi_refresh_day_rows_begin(&rows, run->source->streams[s].id, part->since, part->until);
	for (; rows.more; kpi_refresh_day_rows_next(&rows))
	{
		KpiCell    *cell = kpi_refresh_table_found_cell(rows.keyed);

		CHECK_FOR_INTERRUPTS();
		if (!kpi_cell_is_known(cell))
			kpi_refresh_cellmap_add_place(unknown, &rows.key);
		pfree(cell);
	}
	kpi_refresh_day_rows_end(&rows);
	kpi_refresh_cellmap_sort(unknown);
	collect_known(unknown, facts, mended);
	kpi_refresh_cellmap_free(unknown);
	kpi_refresh_cellmap_sort(mended);
	return mended;
}

/* The rollups above day cells that are not known, either; loads where their owners count. */
static void
note_rollups_above(KpiRun *run, KpiCellMap *days)
{
	KpiCellMap *rollups = kpi_refresh_cellmap_create(run);

	kpi_refresh_fanout(run, days, rollups);
	kpi_refresh_cellmap_sort(rollups);
	kpi_refresh_table_note_unknown(run, KPI_ROLLUP_CELL, rollups);
	kpi_refresh_cellmap_free(rollups);
}

static void
mend_range(KpiRun *run, int s, DateADT first, DateADT last)
{
	int32		stream_id = run->source->streams[s].id;
	KpiFactPart part = {.since = first,.until = last + 1};
	int64		nfacts;
	KpiCellMap *facts = kpi_refresh_scan_facts(run, s, &part, false, &nfacts);
	KpiCellMap *mended = unknown_cells(run, s, facts, &part);
	KpiCellMap *no_rollups = kpi_refresh_cellmap_create(run);
	KpiSpi		spi;

	kpi_refresh_table_replace(run, KPI_DAY_CELL, mended);
	note_rollups_above(run, mended);
	kpi_refresh_change_add_days(run, mended);
	kpi_refresh_cellmap_sort(no_rollups);
	kpi_refresh_rollups_queue(run, mended, no_rollups);
	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi_internal.unknown_day u WHERE u.stream_id = $1 AND u.day BETWEEN $2 AND $3",
				 3, KPI_INT4(stream_id), KPI_VALUE(DATEOID, DateADTGetDatum(first)),
				 KPI_VALUE(DATEOID, DateADTGetDatum(last)));
	kpi_spi_end(&spi);
	kpi_refresh_cellmap_free(no_rollups);
	kpi_refresh_cellmap_free(mended);
	kpi_refresh_cellmap_free(facts);
}

static void
mend_days(KpiRun *run, int s)
{
	DateADT    *days = palloc(MOST_DAYS * sizeof(DateADT));
	int			n = load_days(&run->source->streams[s], days);
	bool		by_range = n > 0 && ranges_pay(run, s, days, n);

	for (int first = 0, next; first < n; first = next)
	{
		next = by_range ? end_of_range(days, first, n) : n;
		mend_range(run, s, days[first], days[next - 1]);
	}
	pfree(days);
}

/* ---- both ---- */

void
kpi_refresh_unknown_mend(KpiRun *run, bool reads_facts)
{
	mend_rollups(run);
	store_days(run);
	for (int s = 0; reads_facts && s < run->source->nstreams; s++)
	{
		if (may_be_unknown(&run->source->streams[s]) && !run->build.streams[s].is_partial)
			mend_days(run, s);
	}
	mend_rollups(run);
}
