/*-------------------------------------------------------------------------
 *
 * check.c
 *	  The cells of a source against its facts: verification, repair, proof.
 *
 * ACCESS SHARE is held on the table and its leaves, and the facts are read under the
 * run's snapshot.  The caller says by which attributions facts count: those of
 * the definitions, or those that were applied.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"

/* The places above cells. */
static KpiCellMap *
expected_places(KpiRun *run, KpiCellMap *days, KpiCellMap *rollups)
{
	KpiCellMap *places = kpi_refresh_cellmap_create(run);
	const KpiCellItem *item;

	kpi_refresh_cellmap_rewind(days);
	while ((item = kpi_refresh_cellmap_next(days)) != NULL)
		kpi_refresh_places_above_day(run, &item->key.day, places);
	kpi_refresh_cellmap_rewind(rollups);
	while ((item = kpi_refresh_cellmap_next(rollups)) != NULL)
		kpi_refresh_places_above_rollup(run, &item->key.rollup, places);
	kpi_refresh_cellmap_sort(places);
	return places;
}

static bool
is_whole(const KpiFactPart *part)
{
	return part->since == DATEVAL_NOBEGIN && part->until == DATEVAL_NOEND;
}

static bool
is_other_day(DateADT day, const KpiFactPart *part)
{
	return day != KPI_ERROR_DAY && (day < part->since || day >= part->until);
}

/* What waits to be added to the stored cells of other days. */
static void
add_pending(KpiRun *run, const KpiStream *stream, const KpiFactPart *part, KpiCellMap *to)
{
	const KpiCellItem *item;

	if (run->pending == NULL)
		return;
	kpi_refresh_cellmap_rewind(run->pending->days);
	while ((item = kpi_refresh_cellmap_next(run->pending->days)) != NULL)
	{
		if (item->key.stream_id == stream->id && is_other_day(item->key.day.day, part))
			kpi_refresh_cellmap_append(to, &item->key, item->cell);
	}
}

/* Day cells, and those that are stored of the days that these are not of. */
static KpiCellMap *
with_other_days(KpiRun *run, const KpiStream *stream, KpiCellMap *days, const KpiFactPart *part)
{
	KpiCellMap *all = kpi_refresh_cellmap_create(run);
	const KpiCellItem *item;
	KpiDayRows	rows;

	kpi_refresh_cellmap_rewind(days);
	while ((item = kpi_refresh_cellmap_next(days)) != NULL)
		kpi_refresh_cellmap_append(all, &item->key, item->cell);
	kpi_refresh_day_rows_begin(&rows, stream->id, KPI_ERROR_DAY, DATEVAL_NOEND);
	for (; rows.more; kpi_refresh_day_rows_next(&rows))
	{
		KpiCell    *cell;

		CHECK_FOR_INTERRUPTS();
		if (!is_other_day(rows.key.day.day, part))
			continue;
		cell = kpi_refresh_table_found_cell(rows.keyed);
		kpi_refresh_drop_unknown_states(cell, stream);
		kpi_refresh_cellmap_append(all, &rows.key, cell);
		pfree(cell);
	}
	kpi_refresh_day_rows_end(&rows);
	add_pending(run, stream, part, all);
	kpi_refresh_cellmap_sort(all);
	return all;
}

/*
 * The rollups of some days, which are sorted.  Those of balances are of earlier days as
 * well, and these of later periods: then of all days, by the cells that are stored.
 */
static KpiCellMap *
expected_rollups(KpiRun *run, const KpiStream *stream, KpiCellMap *days, const KpiFactPart *part,
				 KpiExpected *expected)
{
	KpiCellMap *rollups = kpi_refresh_cellmap_create(run);
	KpiCellMap *all = days;

	if (!is_whole(part) && kpi_model_stream_has_balance(stream))
	{
		all = with_other_days(run, stream, days, part);
		expected->since = DATEVAL_NOBEGIN;
		expected->until = DATEVAL_NOEND;
	}
	kpi_refresh_fanout(run, all, rollups);
	kpi_refresh_cellmap_sort(rollups);
	if (all != days)
		kpi_refresh_cellmap_free(all);
	return rollups;
}

/* Compares, and with mend makes, the cells of a stream as the facts of some days say. */
static void
check_stream(KpiRun *run, int s, const KpiFactPart *part, bool mend, KpiReport *report)
{
	int32		stream_id = run->source->streams[s].id;
	bool		whole = is_whole(part);
	int64		nfacts;
	KpiCellMap *days = kpi_refresh_scan_facts(run, s, part, false, &nfacts);
	KpiPlaces  *left = kpi_refresh_places_create(run);
	KpiExpected expected = {.cells = days,.since = part->since,.until = part->until,.is_part = !whole};
	KpiCellMap *rollups;

	kpi_refresh_table_sync(run, KPI_DAY_CELL, stream_id, &expected, mend, report, left);
	rollups = expected_rollups(run, &run->source->streams[s], days, part, &expected);
	expected.cells = rollups;
	/* In a proof they may be those of another calendar, until a refresh. */
	if (whole && !(run->pending != NULL && run->plan.new_periods))
		expected.places = expected_places(run, days, rollups);
	kpi_refresh_table_sync(run, KPI_ROLLUP_CELL, stream_id, &expected, mend, report, left);
	CommandCounterIncrement();
	if (mend && !whole)
		kpi_refresh_places_settle(left);
	if (expected.places)
		kpi_refresh_cellmap_free(expected.places);
	kpi_refresh_cellmap_free(days);
	kpi_refresh_cellmap_free(rollups);
	kpi_refresh_places_free(left);
}

void
kpi_refresh_check(KpiRun *run, bool mend, const KpiDays *days, KpiReport *report)
{
	KpiFactPart part = {.since = days->since,.until = days->until};

	for (int s = 0; s < run->source->nstreams; s++)
		check_stream(run, s, &part, mend, report);
}
