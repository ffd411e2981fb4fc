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
	KpiRun	   *run;
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
put_cell(Finalizer *fin, const KpiStream *stream, const Bitmapset *changed, const KpiCellKey *scope,
		 KpiGrain grain, DateADT start, const KpiCell *cell)
{
	int			m = -1;

	while ((m = bms_next_member(changed, m)) >= 0)
	{
		const KpiMeasure *measure = &stream->measures[m];
		PendingPut *put = new_pending(fin);
		KpiFinal	final;

		put->key.kpi_id = measure->kpi_id;
		if (scope->part[1] == KPI_SCOPE_TEAM)
			put->key.team_id = scope->part[2];
		else
			put->key.member_id = scope->part[2];
		put->key.dim_id = scope->part[4];
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
scan_cells(Finalizer *fin, const KpiCellKey *scope, DateADT low, DateADT high)
{
	Datum		prefix[5];

	for (int i = 0; i < 5; i++)
		prefix[i] = Int32GetDatum(scope->part[i]);
	kpi_keyed_table_scan(fin->cells, 5, prefix, true, DateADTGetDatum(low), DateADTGetDatum(high));
}

/* The next cell of the scan, in the current memory context. */
static KpiCell *
next_cell(Finalizer *fin, DateADT *start)
{
	if (!kpi_keyed_table_next(fin->cells))
		return NULL;
	slot_getallattrs(fin->cells->found);
	*start = DatumGetDateADT(fin->cells->found->tts_values[5]);
	return DatumGetKpiCellPCopy(fin->cells->found->tts_values[6]);
}

/*
 * One year of a scope's months: items[0..n) are the months touched.  Quarters
 * and the year are merged from all months there are.
 */
static void
finalize_year(Finalizer *fin, const KpiStream *stream, const KpiCellItem *items, int n, DateADT year)
{
	const KpiCellKey *scope = &items[0].key;
	KpiGrain	finest = fin->run->source->grain;
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

				if (items[i].key.part[5] != starts[m])
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

static void
finalize_months(Finalizer *fin, const KpiStream *stream, const KpiCellItem *items, int n)
{
	int			first = 0;

	while (first < n)
	{
		DateADT		year = kpi_calendar_period_start(KPI_YEAR, items[first].key.part[5], fin->calendar);
		int			next = first + 1;

		while (next < n && kpi_calendar_period_start(KPI_YEAR, items[next].key.part[5], fin->calendar) == year)
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

	scan_cells(fin, &items[0].key, first, first + nweeks * 7 - 1);
	cell = next_cell(fin, &start);
	for (int w = 0; w < nweeks; w++)
	{
		DateADT		week = first + w * 7;
		KpiCell    *sum = NULL;
		Bitmapset  *changed = NULL;

		for (; i < n && items[i].key.part[5] < week + 7; i++)
			changed = add_changed(changed, stream, items[i].cell);
		while (cell != NULL && start < week + 7)
		{
			sum = merged(sum, cell);
			cell = next_cell(fin, &start);
		}
		put_cell(fin, stream, changed, &items[0].key, KPI_WEEK, week, sum);
	}
}

static void
finalize_days(Finalizer *fin, const KpiStream *stream, const KpiCellItem *items, int n)
{
	int			i = 0;

	if (fin->run->source->grain > KPI_WEEK)
		return;
	while (i < n)
	{
		DateADT		first = kpi_calendar_period_start(KPI_WEEK, items[i].key.part[5], fin->calendar);
		int			nweeks = 1;
		int			begin = i;

		while (i < n && items[i].key.part[5] < first + (nweeks + 1) * 7)
		{
			if (items[i].key.part[5] >= first + nweeks * 7)
				nweeks++;
			i++;
		}
		finalize_week_run(fin, stream, items + begin, i - begin, first, nweeks);
	}
	put_pending(fin);
}

void
kpi_refresh_values_finalize(KpiRun *run, KpiValues *values, const KpiCellList *touched)
{
	const KpiSource *source = run->source;
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Finalizer	fin = {.run = run,.values = values,.max_pending = 256};
	int			first = 0;
	int			s = 0;
	MemoryContext old;

	fin.cells = kpi_keyed_table_open("kpi_internal", "rollup_cell", "stream_id", KPI_CELL_KEYS, snapshot);
	fin.pending = palloc(fin.max_pending * sizeof(PendingPut));
	fin.row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi periods", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(fin.row_cxt);

	while (first < touched->nitems)
	{
		const KpiCellItem *items = &touched->items[first];
		int			n = 1;

		CHECK_FOR_INTERRUPTS();
		fin.calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
		while (first + n < touched->nitems &&
			   memcmp(&items[n].key, &items[0].key, 5 * sizeof(int32)) == 0)
			n++;
		while (source->streams[s].id < items[0].key.part[0])
			s++;
		if (items[0].key.part[3] == KPI_MONTH)
			finalize_months(&fin, &source->streams[s], items, n);
		else if (items[0].key.part[1] == KPI_SCOPE_TEAM)
			finalize_days(&fin, &source->streams[s], items, n);
		first += n;
	}

	MemoryContextSwitchTo(old);
	MemoryContextDelete(fin.row_cxt);
	pfree(fin.pending);
	kpi_keyed_table_close(fin.cells);
	UnregisterSnapshot(snapshot);
}
