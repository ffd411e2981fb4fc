/*-------------------------------------------------------------------------
 *
 * finalize.c
 *	  From rollups to the values of the periods they feed.
 *
 * The rollups are written before.  The months of a scope give its months,
 * quarters and years; a team's days give its weeks.  For each period touched,
 * the few cells it consists of are read in one range scan, merged and
 * finalized; only measures that the deltas changed are put.
 *
 * All of a scope's values are collected first and put in the order of the
 * index of kpi.kpi_value, so that their rows are found in one pass each.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "cell/cell.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define MONTHS_A_YEAR 12

typedef struct PendingPut
{
	KpiValueKey key;
	bool		exists;
	KpiValue	value;
} PendingPut;

typedef struct Finalizer
{
	const KpiSource *source;
	KpiValues  *values;
	KpiKeyedTable *cells;		/* the rollups, as they are now */
	const KpiCalendar *calendar;
	MemoryContext row_cxt;		/* reset for every scope */
	int			npending;		/* puts of the scope at hand */
	int			max_pending;
	PendingPut *pending;
} Finalizer;

/* The scope's values in the order in which their rows stand in the index. */
static void
put_pending(Finalizer *fin)
{
	/* The key comes first. */
	qsort(fin->pending, fin->npending, sizeof(PendingPut), kpi_refresh_valuekey_compare);
	for (int i = 0; i < fin->npending; i++)
		kpi_refresh_values_put(fin->values, &fin->pending[i].key, fin->pending[i].exists,
							   &fin->pending[i].value);
	fin->npending = 0;
	MemoryContextReset(fin->row_cxt);
}

static PendingPut *
new_pending(Finalizer *fin)
{
	if (fin->npending == fin->max_pending)
	{
		fin->max_pending *= 2;
		fin->pending = repalloc_huge(fin->pending, fin->max_pending * sizeof(PendingPut));
	}
	return memset(&fin->pending[fin->npending++], 0, sizeof(PendingPut));
}

/* Adds the measures that a delta changes; without a delta it may be any. */
static Bitmapset *
add_changed(Bitmapset *changed, const KpiStream *stream, const KpiCell *delta)
{
	int32	   *ids;
	int			n;

	if (delta == NULL)
		return bms_add_range(changed, 0, stream->nmeasures - 1);
	ids = palloc(Max(delta->nstates, 1) * sizeof(int32));
	n = kpi_cell_measures(delta, ids, delta->nstates);
	for (int m = 0, i = 0; m < stream->nmeasures && i < n;)
	{
		if (stream->measures[m].id == ids[i])
			changed = bms_add_member(changed, m);
		if (stream->measures[m].id <= ids[i])
			m++;
		else
			i++;
	}
	pfree(ids);
	return changed;
}

/* Finalizes the changed measures of a stream for one scope and period. */
static void
put_cell(Finalizer *fin, const KpiStream *stream, const Bitmapset *changed, const KpiRollupKey *scope,
		 KpiGrain grain, DateADT start, const KpiCell *cell)
{
	int			m = -1;

	while ((m = bms_next_member(changed, m)) >= 0)
	{
		const KpiMeasure *measure = &stream->measures[m];
		PendingPut *put = new_pending(fin);
		KpiFinal	final;

		put->key.kpi_id = measure->kpi_id;
		if (scope->scope_kind == KPI_SCOPE_TEAM)
			put->key.team_id = scope->scope_id;
		else
			put->key.member_id = scope->scope_id;
		put->key.dim_value_id = scope->dim_value_id;
		put->key.grain = grain;
		put->key.start = start;
		put->exists = cell != NULL && kpi_cell_final(cell, measure->id, measure->divisor, &final) &&
			final.facts != 0;
		if (put->exists)
		{
			put->value.value = final.value;
			put->value.numerator = final.numerator;
			put->value.denominator = final.denominator;
			put->value.facts = final.facts;
		}
	}
}

static KpiCell *
merged(KpiCell *sum, const KpiCell *cell)
{
	if (cell == NULL)
		return sum;
	if (sum == NULL)
		return kpi_cell_pack(cell);
	return kpi_cell_merge(sum, cell);
}

static void
scan_cells(Finalizer *fin, const KpiRollupKey *scope, DateADT low, DateADT high)
{
	Datum		prefix[] = {
		Int32GetDatum(scope->stream_id), Int32GetDatum(scope->scope_kind), Int32GetDatum(scope->scope_id),
		Int32GetDatum(scope->grain), Int32GetDatum(scope->dim_value_id)
	};

	kpi_keyed_table_scan(fin->cells, lengthof(prefix), prefix, true,
						 DateADTGetDatum(low), DateADTGetDatum(high));
}

/* The next cell of the scan, in the current memory context. */
static KpiCell *
next_cell(Finalizer *fin, DateADT *start)
{
	if (!kpi_keyed_table_next(fin->cells))
		return NULL;
	*start = kpi_refresh_table_found_key(fin->cells).rollup.start;
	return kpi_refresh_table_found_cell(fin->cells);
}

/*
 * One year of a scope's months: items[0..n) are the months touched.  Quarters
 * and the year are merged from all months there are.
 */
static void
finalize_year(Finalizer *fin, const KpiStream *stream, const KpiCellItem *items, int n, DateADT year)
{
	const KpiRollupKey *scope = &items[0].key.rollup;
	KpiGrain	finest = fin->source->grain;
	KpiCell    *months[MONTHS_A_YEAR] = {NULL};
	Bitmapset  *year_changed = NULL;
	DateADT		starts[MONTHS_A_YEAR];
	KpiCell    *cell;
	KpiCell    *whole = NULL;
	DateADT		start;

	for (int m = 0; m < MONTHS_A_YEAR; m++)
		starts[m] = kpi_calendar_period_shift(KPI_MONTH, year, m, fin->calendar);
	scan_cells(fin, scope, year, kpi_calendar_period_end(KPI_YEAR, year, fin->calendar));
	while ((cell = next_cell(fin, &start)) != NULL)
	{
		for (int m = 0; m < MONTHS_A_YEAR; m++)
		{
			if (starts[m] == start)
				months[m] = cell;
		}
	}

	for (int q = 0; q < MONTHS_A_YEAR / 3; q++)
	{
		KpiCell    *quarter = NULL;
		Bitmapset  *quarter_changed = NULL;

		for (int m = q * 3; m < q * 3 + 3; m++)
		{
			for (int i = 0; i < n; i++)
			{
				Bitmapset  *changed;

				if (items[i].key.rollup.start != starts[m])
					continue;
				changed = add_changed(NULL, stream, items[i].cell);
				if (finest <= KPI_MONTH)
					put_cell(fin, stream, changed, scope, KPI_MONTH, starts[m], months[m]);
				quarter_changed = bms_add_members(quarter_changed, changed);
			}
			quarter = merged(quarter, months[m]);
		}
		if (finest <= KPI_QUARTER)
			put_cell(fin, stream, quarter_changed, scope, KPI_QUARTER, starts[q * 3], quarter);
		year_changed = bms_add_members(year_changed, quarter_changed);
		whole = merged(whole, quarter);
	}
	put_cell(fin, stream, year_changed, scope, KPI_YEAR, year, whole);
}

static DateADT
year_of(const Finalizer *fin, const KpiCellItem *item)
{
	return kpi_calendar_period_start(KPI_YEAR, item->key.rollup.start, fin->calendar);
}

static void
finalize_months(Finalizer *fin, const KpiStream *stream, const KpiCellItem *items, int n)
{
	int			first = 0;

	while (first < n)
	{
		DateADT		year = year_of(fin, &items[first]);
		int			next = first + 1;

		while (next < n && year_of(fin, &items[next]) == year)
			next++;
		finalize_year(fin, stream, items + first, next - first, year);
		first = next;
	}
	put_pending(fin);
}

/*
 * A run of touched weeks that follow each other, read in one scan: items[0..n)
 * are the days touched.
 */
static void
finalize_week_run(Finalizer *fin, const KpiStream *stream, const KpiCellItem *items, int n,
				  DateADT first, int nweeks)
{
	DateADT		start = 0;
	KpiCell    *cell;
	int			i = 0;

	scan_cells(fin, &items[0].key.rollup, first, first + nweeks * 7 - 1);
	cell = next_cell(fin, &start);
	for (int w = 0; w < nweeks; w++)
	{
		DateADT		week = first + w * 7;
		KpiCell    *sum = NULL;
		Bitmapset  *changed = NULL;

		for (; i < n && items[i].key.rollup.start < week + 7; i++)
			changed = add_changed(changed, stream, items[i].cell);
		while (cell != NULL && start < week + 7)
		{
			sum = merged(sum, cell);
			cell = next_cell(fin, &start);
		}
		put_cell(fin, stream, changed, &items[0].key.rollup, KPI_WEEK, week, sum);
	}
}

static void
finalize_days(Finalizer *fin, const KpiStream *stream, const KpiCellItem *items, int n)
{
	int			i = 0;

	if (fin->source->grain > KPI_WEEK)
		return;
	while (i < n)
	{
		DateADT		first = kpi_calendar_period_start(KPI_WEEK, items[i].key.rollup.start, fin->calendar);
		int			nweeks = 1;
		int			begin = i;

		while (i < n && items[i].key.rollup.start < first + (nweeks + 1) * 7)
		{
			if (items[i].key.rollup.start >= first + nweeks * 7)
				nweeks++;
			i++;
		}
		finalize_week_run(fin, stream, items + begin, i - begin, first, nweeks);
	}
	put_pending(fin);
}

void
kpi_refresh_values_finalize(const KpiSource *source, KpiValues *values, const KpiCellList *touched)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Finalizer	fin = {.source = source,.values = values,.max_pending = 256};
	int			first = 0;
	int			s = 0;
	MemoryContext old;

	fin.cells = kpi_refresh_table_open(KPI_ROLLUP_CELL, snapshot);
	fin.pending = palloc(fin.max_pending * sizeof(PendingPut));
	fin.row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi periods", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(fin.row_cxt);

	while (first < touched->nitems)
	{
		const KpiCellItem *items = &touched->items[first];
		const KpiRollupKey *scope = &items[0].key.rollup;
		int			n = 1;

		CHECK_FOR_INTERRUPTS();
		fin.calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
		while (first + n < touched->nitems &&
			   memcmp(&items[n].key, scope, offsetof(KpiRollupKey, start)) == 0)
			n++;
		while (source->streams[s].id < scope->stream_id)
			s++;
		if (scope->grain == KPI_MONTH)
			finalize_months(&fin, &source->streams[s], items, n);
		else if (scope->scope_kind == KPI_SCOPE_TEAM)
			finalize_days(&fin, &source->streams[s], items, n);
		first += n;
	}

	MemoryContextSwitchTo(old);
	MemoryContextDelete(fin.row_cxt);
	pfree(fin.pending);
	kpi_keyed_table_close(fin.cells);
	UnregisterSnapshot(snapshot);
}
