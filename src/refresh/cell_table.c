/*-------------------------------------------------------------------------
 *
 * cell_table.c
 *	  The two tables of cells: merge deltas into them, read them.
 *
 * Both tables have the same shape: the key's columns, int4 or date, in the
 * order of the primary key and of the key's struct, then the cell.  Lists come
 * in that order too.
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

DateADT
kpi_refresh_key_start(KpiCellTable table, const KpiCellKey *key)
{
	return table == KPI_DAY_CELL ? key->day.day : key->rollup.start;
}

/*
 * A copy of a stored cell without the states of KPIs that were dropped since:
 * dropping one leaves its states to whoever writes the cell next.  A row that
 * should have a cell and has none is as good as one with an empty one.
 */
KpiCell *
kpi_refresh_present_states(const KpiSource *source, int32 stream_id, const KpiCell *stored)
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

void
kpi_refresh_table_insert(KpiKeyedTable *keyed, const KpiCellItem *item)
{
	Datum		values[KPI_CELL_KEY_COLUMNS + 2];
	bool		nulls[KPI_CELL_KEY_COLUMNS + 2];

	row_values(keyed, &item->key, item->cell, values, nulls);
	kpi_keyed_table_insert(keyed, values, nulls);
}

void
kpi_refresh_table_update_found(KpiKeyedTable *keyed, const KpiCellKey *key, const KpiCell *cell)
{
	Datum		values[KPI_CELL_KEY_COLUMNS + 2];
	bool		nulls[KPI_CELL_KEY_COLUMNS + 2];

	row_values(keyed, key, cell, values, nulls);
	kpi_keyed_table_update_found(keyed, values, nulls);
}

void
kpi_refresh_places_note(KpiPlaces *places, KpiCellTable table, const KpiCellKey *key, bool is_gone)
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
	sum = kpi_cell_finished(kpi_cell_merge(kpi_refresh_present_states(run->source, item->key.stream_id,
																	  kpi_refresh_table_found_cell(keyed)), item->cell));
	if (kpi_cell_is_empty(sum))
	{
		kpi_keyed_table_delete_found(keyed);
		kpi_refresh_places_note(places, table, &item->key, true);
		return;
	}
	kpi_refresh_table_update_found(keyed, &item->key, sum);
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
	kpi_refresh_table_insert(keyed, &row);
	kpi_refresh_places_note(places, table, &item->key, false);
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
	snapshot = RegisterSnapshot(kpi_snapshot_latest());
	keyed = kpi_refresh_table_open(table, snapshot);
	row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi cell row", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(row_cxt);

	kpi_refresh_cellmap_rewind(deltas);
	while ((item = kpi_refresh_cellmap_next(deltas)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		run->at = (KpiFactsAt)
		{
			true, kpi_refresh_key_start(table, &item->key), NULL, 0
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
	snapshot = RegisterSnapshot(kpi_snapshot_latest());
	keyed = kpi_refresh_table_open(table, snapshot);
	kpi_refresh_cellmap_rewind(cells);
	while ((item = kpi_refresh_cellmap_next(cells)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (kpi_refresh_table_seek(keyed, table, &item->key, kpi_refresh_cellmap_peek(cells)))
			kpi_refresh_table_update_found(keyed, &item->key, item->cell);
	}
	run->stats.ncells += keyed->nwritten;
	kpi_keyed_table_close(keyed);
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();
}

void
kpi_refresh_table_note_unknown(KpiRun *run, KpiCellTable table, KpiCellMap *keys)
{
	Snapshot	snapshot = RegisterSnapshot(kpi_snapshot_latest());
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
	rows->snapshot = RegisterSnapshot(kpi_snapshot_latest());
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

/* ---- states ---- */

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
