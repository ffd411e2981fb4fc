/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  Stored cells against those that should be: compared, and mended.
 *
 * Rows come in the order of the primary key, and so does what is expected, so a whole
 * comparison is one merge join of a list with a scan of the index.
 *
 * What is stored is, in a proof (prove.c), the row and what the deltas that wait
 * change of it, added up in memory as a refresh would: one more list in the same order.
 * In the periods above what comes and goes with these deltas a place may be missing,
 * or stand for one refresh longer, and is no difference.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "cell/cell.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* ---- telling ---- */

static char *
row_text(const KpiCell *cell)
{
	if (cell == NULL)
		return pstrdup("place");
	return DatumGetCString(DirectFunctionCall1(kpi_sql_cell_out, PointerGetDatum(cell)));
}

static bool
is_measure(int32 measure_id, void *arg)
{
	return measure_id == *(int32 *) arg;
}

static KpiCell *
part_of(const KpiCell *cell, int32 measure_id)
{
	KpiCell    *part = cell ? kpi_cell_pack(cell) : kpi_cell_empty();

	kpi_cell_filter(part, is_measure, &measure_id);
	return part;
}

/* The names of the KPIs whose part of two cells differs; either may be NULL. */
static char *
differing_kpis(const KpiStream *stream, const KpiCell *a, const KpiCell *b)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int m = 0; m < stream->nmeasures; m++)
	{
		const KpiMeasure *measure = &stream->measures[m];

		if (!kpi_cell_equal(part_of(a, measure->id), part_of(b, measure->id)))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", measure->kpi_name);
	}
	return names.len > 0 ? names.data : NULL;
}

static void
set_dimension(const KpiSource *source, KpiDifference *diff, int32 dim_value_id)
{
	if (dim_value_id == 0)
		return;
	if (dim_value_id < 0)
	{
		int			position = kpi_refresh_unwritten_dim_value(dim_value_id, &diff->dimension_value);

		diff->dimension = kpi_first_text("SELECT n.name FROM kpi.dimension n WHERE n.source_id = $1 AND n.position = $2",
										 2, KPI_INT4(source->id), KPI_INT4(position));
		return;
	}
	diff->dimension = kpi_first_text("SELECT n.name FROM kpi_internal.dim d"
									 " JOIN kpi.dimension n ON n.source_id = d.source_id AND n.position = d.position"
									 " WHERE d.id = $1", 1, KPI_INT4(dim_value_id));
	diff->dimension_value = kpi_first_text("SELECT d.vals[1] FROM kpi_internal.dim d WHERE d.id = $1",
										   1, KPI_INT4(dim_value_id));
}

/* A row that is stored, with which cell, against the one that should be; either may be missing. */
static void
report_difference(KpiRun *run, KpiReport *report, KpiCellTable table, const KpiCellKey *key,
				  bool is_stored, const KpiCell *stored, const KpiCellItem *expected)
{
	KpiDifference diff = {0};

	if (report == NULL)
		return;
	if (table == KPI_DAY_CELL)
	{
		diff.level = "day cell";
		diff.owner_id = key->day.owner_id;
		diff.owner = key->day.owner_id < 0 ? kpi_refresh_unwritten_owner(key->day.owner_id) : NULL;
		diff.grain = kpi_calendar_grain_name(KPI_DAY);
	}
	else
	{
		diff.level = kpi_refresh_is_place(&key->rollup) ? "place" : "rollup cell";
		if (key->rollup.scope_kind == KPI_SCOPE_TEAM)
			diff.team_id = key->rollup.scope_id;
		else
			diff.member_id = key->rollup.scope_id;
		diff.grain = kpi_calendar_grain_name(key->rollup.grain);
		set_dimension(run->source, &diff, key->rollup.dim_value_id);
	}
	diff.kpi = differing_kpis(kpi_model_stream_find(run->source, key->stream_id), stored,
							  expected ? expected->cell : NULL);
	diff.start = kpi_refresh_key_start(table, key);
	diff.stored = is_stored ? row_text(stored) : NULL;
	diff.expected = expected ? row_text(expected->cell) : NULL;
	kpi_refresh_report(report, &diff);
}

/* ---- what is expected ---- */

/* Cells and places in one order: their keys differ, by the grain. */
typedef struct ExpectedRows
{
	const KpiExpected *expected;
	const KpiCellItem *cell;	/* the next of each; NULL: no more */
	const KpiCellItem *place;
} ExpectedRows;

static void
expected_begin(ExpectedRows *rows, const KpiExpected *expected)
{
	rows->expected = expected;
	kpi_refresh_cellmap_rewind(expected->cells);
	rows->cell = kpi_refresh_cellmap_next(expected->cells);
	rows->place = NULL;
	if (expected->places)
	{
		kpi_refresh_cellmap_rewind(expected->places);
		rows->place = kpi_refresh_cellmap_next(expected->places);
	}
}

static const KpiCellItem *
expected_item(const ExpectedRows *rows)
{
	if (rows->cell == NULL || rows->place == NULL)
		return rows->cell ? rows->cell : rows->place;
	return kpi_refresh_cellkey_compare(&rows->cell->key, &rows->place->key) < 0 ? rows->cell : rows->place;
}

static void
expected_next(ExpectedRows *rows)
{
	if (expected_item(rows) == rows->cell)
		rows->cell = kpi_refresh_cellmap_next(rows->expected->cells);
	else
		rows->place = kpi_refresh_cellmap_next(rows->expected->places);
}

/* Whether what is expected says anything of a row. */
static bool
is_concerned(const KpiExpected *expected, KpiCellTable table, const KpiCellKey *key)
{
	DateADT		start = kpi_refresh_key_start(table, key);

	if (table == KPI_ROLLUP_CELL && kpi_refresh_is_place(&key->rollup))
		return expected->places != NULL;
	return start >= expected->since && start < expected->until;
}

/* ---- what is stored ---- */

/* The rows of one stream that are concerned, and what waits to be added to them. */
typedef struct StoredRows
{
	KpiRun	   *run;
	KpiCellTable table;
	int32		stream_id;
	const KpiExpected *expected;
	KpiKeyedTable *keyed;
	bool		has_row;		/* the scan stands on one */
	KpiCellKey	row_key;
	KpiCellMap *pending;		/* NULL: nothing waits */
	const KpiCellItem *delta;	/* the next; NULL: no more */
	const KpiCellKey *key;		/* of what comes next; NULL: the end */
} StoredRows;

static void
next_row(StoredRows *rows)
{
	while ((rows->has_row = kpi_keyed_table_next(rows->keyed)))
	{
		CHECK_FOR_INTERRUPTS();
		rows->row_key = kpi_refresh_table_found_key(rows->keyed);
		if (is_concerned(rows->expected, rows->table, &rows->row_key))
			return;
	}
}

static void
next_delta(StoredRows *rows)
{
	while ((rows->delta = kpi_refresh_cellmap_next(rows->pending)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (rows->delta->key.stream_id == rows->stream_id &&
			is_concerned(rows->expected, rows->table, &rows->delta->key))
			return;
	}
}

static bool
is_row_next(const StoredRows *rows)
{
	return rows->has_row &&
		(rows->delta == NULL || kpi_refresh_cellkey_compare(&rows->row_key, &rows->delta->key) <= 0);
}

static bool
is_delta_next(const StoredRows *rows)
{
	return rows->delta != NULL &&
		(!rows->has_row || kpi_refresh_cellkey_compare(&rows->delta->key, &rows->row_key) <= 0);
}

static void
set_key(StoredRows *rows)
{
	rows->key = is_row_next(rows) ? &rows->row_key : rows->delta ? &rows->delta->key : NULL;
}

static void
stored_begin(StoredRows *rows)
{
	kpi_keyed_table_scan(rows->keyed, 1, &rows->stream_id, false, 0, 0);
	next_row(rows);
	if (rows->pending != NULL)
	{
		kpi_refresh_cellmap_rewind(rows->pending);
		next_delta(rows);
	}
	set_key(rows);
}

static void
stored_next(StoredRows *rows)
{
	bool		row = is_row_next(rows);
	bool		delta = is_delta_next(rows);

	if (row)
		next_row(rows);
	if (delta)
		next_delta(rows);
	set_key(rows);
}

/*
 * The cell that comes next, NULL for a place, as a refresh would leave it.  False:
 * what is there, and is nothing any more.
 */
static bool
stored_cell(const StoredRows *rows, KpiPlaces *left, KpiCell **cell)
{
	const KpiCell *sum;

	*cell = is_row_next(rows) ? kpi_refresh_table_found_cell(rows->keyed) : NULL;
	if (!is_delta_next(rows))
		return true;
	sum = is_row_next(rows) ?
		kpi_cell_merge(kpi_refresh_present_states(rows->run->source, rows->stream_id, *cell), rows->delta->cell) :
		rows->delta->cell;
	sum = kpi_cell_finished(sum);
	*cell = unconstify(KpiCell *, sum);
	kpi_refresh_places_note(left, rows->table, rows->key, kpi_cell_is_empty(sum));
	return !kpi_cell_is_empty(sum);
}

/* ---- comparing ---- */

static bool
same_cell(const KpiCell *a, const KpiCell *b)
{
	return a != NULL && b != NULL ? kpi_cell_equal(a, b) : a == b;
}

/* In a proof: a cell of which some value is not known, until a refresh makes it anew. */
static bool
is_to_be_made_anew(KpiRun *run, const KpiCell *stored)
{
	if (run->pending == NULL || stored == NULL || kpi_cell_is_known(stored))
		return false;
	run->pending->nunknown++;
	return true;
}

/*
 * Whether what is stored differs from its item, or should not be there, as far as
 * measures are concerned that are still there.
 */
static bool
stored_differs(KpiRun *run, KpiCellTable table, const KpiCellKey *key, const KpiCell *stored,
			   const KpiCellItem *item, KpiPlaces *left)
{
	KpiCell    *present;

	if (table == KPI_ROLLUP_CELL && kpi_refresh_is_place(&key->rollup))
		return item ? stored != NULL : !kpi_refresh_places_contain(left, key);
	if (is_to_be_made_anew(run, stored))
		return false;
	present = kpi_refresh_present_states(run->source, key->stream_id, stored);
	if (item)
		return !kpi_cell_equal(present, item->cell);
	if (!kpi_cell_is_empty(present) || stored == NULL)
		return true;
	kpi_refresh_places_note(left, table, key, false);
	return false;
}

/* What is one comparison. */
typedef struct Comparison
{
	KpiRun	   *run;
	KpiCellTable table;
	const KpiExpected *expected;
	bool		mend;
	KpiReport  *report;
	KpiPlaces  *left;
} Comparison;

/* An item that is not stored. */
static void
sync_missing(const Comparison *comparison, KpiKeyedTable *keyed, const KpiCellItem *item)
{
	if (comparison->run->pending != NULL && item->cell == NULL &&
		kpi_refresh_places_contain(comparison->left, &item->key))
		return;
	report_difference(comparison->run, comparison->report, comparison->table, &item->key, false, NULL, item);
	if (!comparison->mend)
		return;
	kpi_refresh_table_insert(keyed, item);
	if (comparison->expected->is_part)
		kpi_refresh_places_note(comparison->left, comparison->table, &item->key, false);
}

/* What is stored is not expected (item NULL), or may differ from its item. */
static void
sync_stored(const Comparison *comparison, const StoredRows *stored, const KpiCellItem *item)
{
	KpiCell    *cell;

	if (!stored_cell(stored, comparison->left, &cell))
	{
		if (item != NULL)
			sync_missing(comparison, stored->keyed, item);
		return;
	}
	if (item != NULL && same_cell(cell, item->cell))
		return;
	if (stored_differs(comparison->run, comparison->table, stored->key, cell, item, comparison->left))
		report_difference(comparison->run, comparison->report, comparison->table, stored->key, true, cell, item);
	if (!comparison->mend)
		return;
	if (item)
		kpi_refresh_table_update_found(stored->keyed, stored->key, item->cell);
	else
	{
		kpi_keyed_table_delete_found(stored->keyed);
		if (comparison->expected->is_part)
			kpi_refresh_places_note(comparison->left, comparison->table, stored->key, true);
	}
}

static KpiCellMap *
pending_of(const KpiRun *run, KpiCellTable table)
{
	if (run->pending == NULL)
		return NULL;
	return table == KPI_DAY_CELL ? run->pending->days : run->pending->rollups;
}

void
kpi_refresh_table_sync(KpiRun *run, KpiCellTable table, int32 stream_id, const KpiExpected *expected,
					   bool mend, KpiReport *report, KpiPlaces *left)
{
	Snapshot	snapshot = RegisterSnapshot(kpi_snapshot_latest());
	Comparison	comparison = {run, table, expected, mend, report, left};
	StoredRows	stored = {.run = run,.table = table,.stream_id = stream_id,.expected = expected};
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi cell row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	ExpectedRows rows;
	const KpiCellItem *item;

	stored.keyed = kpi_refresh_table_open(table, snapshot);
	stored.pending = pending_of(run, table);
	old = MemoryContextSwitchTo(row_cxt);
	expected_begin(&rows, expected);
	stored_begin(&stored);
	while ((item = expected_item(&rows)) != NULL || stored.key != NULL)
	{
		int			order = stored.key == NULL ? 1 : item ? kpi_refresh_cellkey_compare(stored.key, &item->key) : -1;

		CHECK_FOR_INTERRUPTS();
		if (order > 0)
			sync_missing(&comparison, stored.keyed, item);
		else
		{
			sync_stored(&comparison, &stored, order == 0 ? item : NULL);
			stored_next(&stored);
		}
		if (order >= 0)
			expected_next(&rows);
		MemoryContextReset(row_cxt);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_cxt);
	run->stats.ncells += stored.keyed->nwritten;
	kpi_keyed_table_close(stored.keyed);
	UnregisterSnapshot(snapshot);
}
