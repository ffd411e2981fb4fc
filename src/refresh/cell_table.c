/*-------------------------------------------------------------------------
 *
 * cell_table.c
 *	  The two tables of cells: merge deltas into them, compare and mend them.
 *
 * Both tables have the same shape: the key's columns, int4 or date, in the
 * order of the primary key and of the key's struct, then the cell.  Lists come
 * in that order too, so a whole comparison is one merge join of the list with
 * a scan of the index.
 *
 * A cell that tells a hundred thousand values apart has 800 kB, which is written
 * anew in 5 ms, and at each level of the tree.  So what is little beside a large
 * cell is added to one behind it in the row, the recent one, until that is of some
 * size: the large one is then not read, and its bytes stay where they are.  The
 * sum of both is the cell.  Cells of days are smaller and have none.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "cell/cell.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct CellTableShape
{
	const char *name;
	int			nkeys;
	int			nprefix;		/* of the columns within which rows are looked
								 * for in order: what comes next is a date */
} CellTableShape;

/*
 * Two keys with so many days between them have their rows on one page, and so
 * few rows between them that these are passed sooner than the other is found.
 */
#define NEAR_DAYS 64

/* A stream's owner, or all but the start of a rollup's period, is a prefix. */
static const CellTableShape shapes[] = {
	[KPI_DAY_CELL] = {
		"day_cell", KPI_KEY_COLUMNS_BEFORE(KpiDayKey, unused), KPI_KEY_COLUMNS_BEFORE(KpiDayKey, day)
	},
	[KPI_ROLLUP_CELL] = {
		"rollup_cell", KPI_CELL_KEY_COLUMNS, KPI_KEY_COLUMNS_BEFORE(KpiRollupKey, start)
	}
};

KpiKeyedTable *
kpi_refresh_table_open(KpiCellTable table, Snapshot snapshot)
{
	const CellTableShape *shape = &shapes[table];

	return kpi_keyed_table_open("kpi_internal", shape->name, shape->nkeys, snapshot);
}

bool
kpi_refresh_table_seek(KpiKeyedTable *keyed, KpiCellTable table, const KpiCellKey *key, const KpiCellKey *next)
{
	int			nprefix = shapes[table].nprefix;

	return kpi_keyed_table_seek(keyed, key->columns, nprefix,
								next != NULL && memcmp(key, next, nprefix * sizeof(int32)) == 0 &&
								(int64) next->columns[nprefix] - key->columns[nprefix] <= NEAR_DAYS);
}

/* date and int4 are both passed as int32. */
static void
key_values(const KpiCellKey *key, int nkeys, Datum *values)
{
	for (int i = 0; i < nkeys; i++)
		values[i] = Int32GetDatum(key->columns[i]);
}

KpiCellKey
kpi_refresh_table_found_key(KpiKeyedTable *keyed)
{
	KpiCellKey	key = {.columns = {0}};

	slot_getallattrs(keyed->found);
	for (int i = 0; i < keyed->nkeys; i++)
		key.columns[i] = DatumGetInt32(keyed->found->tts_values[i]);
	return key;
}

/* The recent cell of a row; false if there is none. */
static bool
found_recent(KpiKeyedTable *keyed, Datum *recent)
{
	int			column = keyed->nkeys + 1;

	if (column >= keyed->found->tts_tupleDescriptor->natts || keyed->found->tts_isnull[column])
		return false;
	*recent = keyed->found->tts_values[column];
	return true;
}

KpiCell *
kpi_refresh_table_found_cell(KpiKeyedTable *keyed)
{
	KpiCell    *cell;
	Datum		recent;

	slot_getallattrs(keyed->found);
	if (keyed->found->tts_isnull[keyed->nkeys])
		return NULL;
	cell = DatumGetKpiCellPCopy(keyed->found->tts_values[keyed->nkeys]);
	return found_recent(keyed, &recent) ? kpi_cell_merge(cell, DatumGetKpiCellP(recent)) : cell;
}

static bool
measure_exists(int32 measure_id, void *arg)
{
	const KpiStream *stream = arg;

	for (int m = 0; m < stream->nmeasures; m++)
	{
		if (stream->measures[m].id == measure_id)
			return true;
	}
	return false;
}

void
kpi_refresh_drop_unknown_states(KpiCell *cell, const KpiStream *stream)
{
	kpi_cell_filter(cell, measure_exists, unconstify(KpiStream *, stream));
}

static DateADT
key_start(KpiCellTable table, const KpiCellKey *key)
{
	return table == KPI_DAY_CELL ? key->day.day : key->rollup.start;
}

/*
 * A copy of a stored cell without the states of KPIs that were dropped since:
 * dropping one leaves its states to whoever writes the cell next.  A row that
 * should have a cell and has none is as good as one with an empty one.
 */
static KpiCell *
present_states(const KpiSource *source, int32 stream_id, const KpiCell *stored)
{
	KpiCell    *cell = stored ? kpi_cell_pack(stored) : kpi_cell_empty();

	kpi_refresh_drop_unknown_states(cell, kpi_model_stream_find(source, stream_id));
	return cell;
}

/* Of a row; the cell NULL: a place. */
static void
row_values(const KpiKeyedTable *keyed, const KpiCellKey *key, const KpiCell *cell, Datum *values, bool *nulls)
{
	key_values(key, keyed->nkeys, values);
	memset(nulls, false, keyed->nkeys);
	nulls[keyed->nkeys] = cell == NULL;
	nulls[keyed->nkeys + 1] = true;
	values[keyed->nkeys] = cell ? PointerGetDatum(kpi_cell_compact(cell)) : (Datum) 0;
	values[keyed->nkeys + 1] = (Datum) 0;
}

static void
insert_item(KpiKeyedTable *keyed, const KpiCellItem *item)
{
	Datum		values[KPI_CELL_KEY_COLUMNS + 2];
	bool		nulls[KPI_CELL_KEY_COLUMNS + 2];

	row_values(keyed, &item->key, item->cell, values, nulls);
	kpi_keyed_table_insert(keyed, values, nulls);
}

static void
update_found(KpiKeyedTable *keyed, const KpiCellKey *key, const KpiCell *cell)
{
	Datum		values[KPI_CELL_KEY_COLUMNS + 2];
	bool		nulls[KPI_CELL_KEY_COLUMNS + 2];

	row_values(keyed, key, cell, values, nulls);
	kpi_keyed_table_update_found(keyed, values, nulls);
}

static void
note_places(KpiPlaces *places, KpiCellTable table, const KpiCellKey *key, bool is_gone)
{
	if (places == NULL)
		return;
	if (table == KPI_DAY_CELL)
		kpi_refresh_places_add_day(places, &key->day, is_gone);
	else
		kpi_refresh_places_add_rollup(places, &key->rollup, is_gone);
}

/* From which size on a cell is large, and up to which another is little beside it. */
#define LARGE_CELL (16 * 1024)
#define RECENT_CELL 1024

/*
 * Adds a delta to the recent cell of the row that was found, if its cell is large
 * and what is recent stays little; false, and nothing done, if not.  The sum is
 * not empty: what takes a cell away has the same numbers, and is about as long.
 * A sum that may come to be unknown is made at once.
 */
static bool
add_recent(KpiKeyedTable *keyed, const KpiCellItem *item)
{
	Datum		values[KPI_CELL_KEY_COLUMNS + 2];
	bool		nulls[KPI_CELL_KEY_COLUMNS + 2] = {false};
	Datum		stored;
	Datum		before;
	KpiCell    *recent;
	struct varlena *compact;

	slot_getallattrs(keyed->found);
	stored = keyed->found->tts_values[keyed->nkeys];
	if (item->cell->used > LARGE_CELL || keyed->found->tts_isnull[keyed->nkeys] ||
		keyed->found->tts_tupleDescriptor->natts < keyed->nkeys + 2 ||
		toast_raw_datum_size(stored) < LARGE_CELL || kpi_cell_finished(item->cell) != item->cell)
		return false;
	recent = kpi_cell_pack(item->cell);
	if (found_recent(keyed, &before))
		recent = kpi_cell_merge(recent, DatumGetKpiCellP(before));
	compact = kpi_cell_compact(recent);
	if (VARSIZE_ANY(compact) > RECENT_CELL)
		return false;
	key_values(&item->key, keyed->nkeys, values);
	values[keyed->nkeys] = stored;
	values[keyed->nkeys + 1] = PointerGetDatum(compact);
	nulls[keyed->nkeys + 1] = kpi_cell_is_empty(recent);
	kpi_keyed_table_update_found(keyed, values, nulls);
	return true;
}

/* Of some cells the sum does not tell the value: it is made anew (unknown.c). */
static void
note_unknown(KpiRun *run, KpiCellTable table, const KpiCellKey *key, const KpiCell *cell)
{
	if (!kpi_cell_is_known(cell))
		kpi_refresh_unknown_note(run, table, key);
}

/* Merges a delta into the row that was found; a cell that becomes empty disappears. */
static void
merge_found(KpiRun *run, KpiCellTable table, KpiKeyedTable *keyed, const KpiCellItem *item,
			KpiPlaces *places)
{
	const KpiCell *sum;

	if (add_recent(keyed, item))
		return;
	sum = kpi_cell_finished(kpi_cell_merge(present_states(run->source, item->key.stream_id,
														  kpi_refresh_table_found_cell(keyed)), item->cell));
	if (kpi_cell_is_empty(sum))
	{
		kpi_keyed_table_delete_found(keyed);
		note_places(places, table, &item->key, true);
		return;
	}
	update_found(keyed, &item->key, sum);
	note_unknown(run, table, &item->key, sum);
}

/* A delta becomes a row; what has come and gone within it is none. */
static void
insert_delta(KpiRun *run, KpiCellTable table, KpiKeyedTable *keyed, const KpiCellItem *item,
			 KpiPlaces *places)
{
	KpiCellItem row = {item->key, unconstify(KpiCell *, kpi_cell_finished(item->cell))};

	if (row.cell != item->cell && kpi_cell_is_empty(row.cell))
		return;
	insert_item(keyed, &row);
	note_places(places, table, &item->key, false);
	note_unknown(run, table, &item->key, row.cell);
}

void
kpi_refresh_table_apply(KpiRun *run, KpiCellTable table, KpiCellMap *deltas, KpiPlaces *places, bool all_new)
{
	Snapshot	snapshot;
	KpiKeyedTable *keyed;
	MemoryContext row_cxt;
	MemoryContext old;
	const KpiCellItem *item;

	if (kpi_refresh_cellmap_is_empty(deltas))
		return;
	/* What this transaction has written so far is there to be added to. */
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	keyed = kpi_refresh_table_open(table, snapshot);
	row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi cell row", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(row_cxt);

	kpi_refresh_cellmap_rewind(deltas);
	while ((item = kpi_refresh_cellmap_next(deltas)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		run->at = (KpiFactsAt)
		{
			true, key_start(table, &item->key), NULL, 0
		};
		if (!all_new && kpi_refresh_table_seek(keyed, table, &item->key, kpi_refresh_cellmap_peek(deltas)))
			merge_found(run, table, keyed, item, places);
		else
			insert_delta(run, table, keyed, item, places);
		MemoryContextReset(row_cxt);
	}

	run->at.is_known = false;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_cxt);
	run->stats.ncells += keyed->nwritten;
	kpi_keyed_table_close(keyed);
	UnregisterSnapshot(snapshot);
}

void
kpi_refresh_table_replace(KpiRun *run, KpiCellTable table, KpiCellMap *cells)
{
	Snapshot	snapshot;
	KpiKeyedTable *keyed;
	const KpiCellItem *item;

	if (kpi_refresh_cellmap_is_empty(cells))
		return;
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	keyed = kpi_refresh_table_open(table, snapshot);
	kpi_refresh_cellmap_rewind(cells);
	while ((item = kpi_refresh_cellmap_next(cells)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (kpi_refresh_table_seek(keyed, table, &item->key, kpi_refresh_cellmap_peek(cells)))
			update_found(keyed, &item->key, item->cell);
	}
	run->stats.ncells += keyed->nwritten;
	kpi_keyed_table_close(keyed);
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();
}

void
kpi_refresh_table_note_unknown(KpiRun *run, KpiCellTable table, KpiCellMap *keys)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	KpiKeyedTable *keyed = kpi_refresh_table_open(table, snapshot);
	const KpiCellItem *item;

	kpi_refresh_cellmap_rewind(keys);
	while ((item = kpi_refresh_cellmap_next(keys)) != NULL)
	{
		KpiCell    *cell;

		CHECK_FOR_INTERRUPTS();
		if (!kpi_refresh_table_seek(keyed, table, &item->key, kpi_refresh_cellmap_peek(keys)))
			continue;
		cell = kpi_refresh_table_found_cell(keyed);
		if (cell == NULL)
			continue;
		note_unknown(run, table, &item->key, cell);
		pfree(cell);
	}
	kpi_keyed_table_close(keyed);
	UnregisterSnapshot(snapshot);
}

/* ---- reading day cells ---- */

/*
 * The index is by owner and then by day.  All days of a stream are read in one
 * scan; of fewer days, those of each owner, and a descent more finds the owner
 * that comes next.
 */
static void
scan_owner(KpiDayRows *rows, int32 owner_id)
{
	int32		owner[] = {rows->stream_id, owner_id};

	rows->owner_id = owner_id;
	kpi_keyed_table_scan(rows->keyed, lengthof(owner), owner, true, rows->since, rows->until - 1);
	rows->more = kpi_keyed_table_next(rows->keyed);
}

/* The next owner after one that has any days at all; false: there is none. */
static bool
next_owner(KpiDayRows *rows, int32 after, int32 *owner_id)
{
	if (after == PG_INT32_MAX)
		return false;
	kpi_keyed_table_scan(rows->keyed, 1, &rows->stream_id, true, after + 1, PG_INT32_MAX);
	if (!kpi_keyed_table_next(rows->keyed))
		return false;
	*owner_id = kpi_refresh_table_found_key(rows->keyed).day.owner_id;
	return true;
}

static void
find_owner(KpiDayRows *rows, int32 after)
{
	int32		owner_id;

	rows->more = false;
	while (!rows->more && next_owner(rows, after, &owner_id))
	{
		CHECK_FOR_INTERRUPTS();
		scan_owner(rows, owner_id);
		after = owner_id;
	}
}

static void
keep_key(KpiDayRows *rows)
{
	if (rows->more)
		rows->key = kpi_refresh_table_found_key(rows->keyed);
}

void
kpi_refresh_day_rows_begin(KpiDayRows *rows, int32 stream_id, DateADT since, DateADT until)
{
	CommandCounterIncrement();
	rows->snapshot = RegisterSnapshot(GetLatestSnapshot());
	rows->keyed = kpi_refresh_table_open(KPI_DAY_CELL, rows->snapshot);
	rows->stream_id = stream_id;
	rows->since = since;
	rows->until = until;
	if (since == KPI_ERROR_DAY && until == DATEVAL_NOEND)
	{
		rows->owner_id = -1;
		kpi_keyed_table_scan(rows->keyed, 1, &stream_id, false, 0, 0);
		rows->more = kpi_keyed_table_next(rows->keyed);
	}
	else
		find_owner(rows, -1);
	keep_key(rows);
}

void
kpi_refresh_day_rows_next(KpiDayRows *rows)
{
	rows->more = kpi_keyed_table_next(rows->keyed);
	if (!rows->more && rows->owner_id >= 0)
		find_owner(rows, rows->owner_id);
	keep_key(rows);
}

void
kpi_refresh_day_rows_end(KpiDayRows *rows)
{
	kpi_keyed_table_close(rows->keyed);
	UnregisterSnapshot(rows->snapshot);
}

bool
kpi_refresh_table_wipe(int32 stream_id)
{
	uint64		n;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	n = kpi_spi_exec("DELETE FROM kpi_internal.day_cell WHERE stream_id = $1", 1, KPI_INT4(stream_id));
	n += kpi_spi_exec("DELETE FROM kpi_internal.rollup_cell WHERE stream_id = $1", 1, KPI_INT4(stream_id));
	kpi_spi_end(&spi);
	return n > 0;
}

/* ---- comparing ---- */

static char *
row_text(const KpiCell *cell)
{
	if (cell == NULL)
		return pstrdup("place");
	return DatumGetCString(DirectFunctionCall1(kpi_sql_cell_out, PointerGetDatum(cell)));
}

typedef struct Kept
{
	const KpiStream *stream;
	const Bitmapset *measures;
} Kept;

static bool
is_kept(int32 measure_id, void *arg)
{
	const Kept *kept = arg;
	int			m = -1;

	while ((m = bms_next_member(kept->measures, m)) >= 0)
	{
		if (kept->stream->measures[m].id == measure_id)
			return true;
	}
	return false;
}

void
kpi_refresh_keep_measures(KpiCell *cell, const KpiStream *stream, const Bitmapset *measures)
{
	Kept		kept = {stream, measures};

	if (measures != NULL)
		kpi_cell_filter(cell, is_kept, &kept);
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
set_dimension(KpiDifference *diff, int32 dim_value_id)
{
	if (dim_value_id == 0)
		return;
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
		set_dimension(&diff, key->rollup.dim_value_id);
	}
	diff.kpi = differing_kpis(kpi_model_stream_find(run->source, key->stream_id), stored,
							  expected ? expected->cell : NULL);
	diff.start = key_start(table, key);
	diff.stored = is_stored ? row_text(stored) : NULL;
	diff.expected = expected ? row_text(expected->cell) : NULL;
	kpi_refresh_report(report, &diff);
}

static bool
same_cell(const KpiCell *a, const KpiCell *b)
{
	return a != NULL && b != NULL ? kpi_cell_equal(a, b) : a == b;
}

/*
 * Whether the row the scan stands on differs from its item, or should not be
 * there, as far as measures are concerned that are still there.
 */
static bool
found_differs(KpiRun *run, KpiCellTable table, const KpiCellKey *key, const KpiCell *stored,
			  const KpiCellItem *item, KpiPlaces *left)
{
	KpiCell    *present;

	if (table == KPI_ROLLUP_CELL && kpi_refresh_is_place(&key->rollup))
		return item ? stored != NULL : !kpi_refresh_places_contain(left, key);
	present = present_states(run->source, key->stream_id, stored);
	if (item)
		return !kpi_cell_equal(present, item->cell);
	if (!kpi_cell_is_empty(present) || stored == NULL)
		return true;
	note_places(left, table, key, false);
	return false;
}

/* The row the scan stands on is not expected, or may differ from its item. */
static void
sync_found(KpiRun *run, KpiCellTable table, KpiKeyedTable *keyed, const KpiCellKey *key,
		   const KpiCellItem *item, bool mend, bool is_part, KpiReport *report, KpiPlaces *left)
{
	KpiCell    *stored = kpi_refresh_table_found_cell(keyed);

	if (item != NULL && same_cell(stored, item->cell))
		return;
	if (found_differs(run, table, key, stored, item, left))
		report_difference(run, report, table, key, true, stored, item);
	if (!mend)
		return;
	if (item)
		update_found(keyed, key, item->cell);
	else
	{
		kpi_keyed_table_delete_found(keyed);
		if (is_part)
			note_places(left, table, key, true);
	}
}

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
	DateADT		start = key_start(table, key);

	if (table == KPI_ROLLUP_CELL && kpi_refresh_is_place(&key->rollup))
		return expected->places != NULL;
	return start >= expected->since && start < expected->until;
}

/* To the next row that is to be compared; false: there is none. */
static bool
next_concerned(KpiKeyedTable *keyed, KpiCellTable table, const KpiExpected *expected, KpiCellKey *key)
{
	while (kpi_keyed_table_next(keyed))
	{
		CHECK_FOR_INTERRUPTS();
		*key = kpi_refresh_table_found_key(keyed);
		if (is_concerned(expected, table, key))
			return true;
	}
	return false;
}

void
kpi_refresh_table_sync(KpiRun *run, KpiCellTable table, int32 stream_id, const KpiExpected *expected,
					   bool mend, KpiReport *report, KpiPlaces *left)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	KpiKeyedTable *keyed = kpi_refresh_table_open(table, snapshot);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi cell row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row_cxt);
	ExpectedRows rows;
	const KpiCellItem *item;
	KpiCellKey	key;
	bool		more;

	expected_begin(&rows, expected);
	kpi_keyed_table_scan(keyed, 1, &stream_id, false, 0, 0);
	more = next_concerned(keyed, table, expected, &key);
	while ((item = expected_item(&rows)) != NULL || more)
	{
		int			order = !more ? 1 : item ? kpi_refresh_cellkey_compare(&key, &item->key) : -1;

		CHECK_FOR_INTERRUPTS();
		if (order > 0)
		{
			report_difference(run, report, table, &item->key, false, NULL, item);
			if (mend)
				insert_item(keyed, item);
			if (mend && expected->is_part)
				note_places(left, table, &item->key, false);
		}
		else
		{
			sync_found(run, table, keyed, &key, order == 0 ? item : NULL, mend, expected->is_part, report, left);
			more = next_concerned(keyed, table, expected, &key);
		}
		if (order >= 0)
			expected_next(&rows);
		MemoryContextReset(row_cxt);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_cxt);
	run->stats.ncells += keyed->nwritten;
	kpi_keyed_table_close(keyed);
	UnregisterSnapshot(snapshot);
}
