/*-------------------------------------------------------------------------
 *
 * cell_table.c
 *	  The two tables of cells: merge deltas into them, compare and mend them.
 *
 * Both tables have the same shape: integer-like key columns in the order of
 * the primary key, then the cell.  Lists come in that order too, so a whole
 * comparison is one merge join of the list with a scan of the index.
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

/* date and int4 are both passed as int32. */
static void
key_values(const KpiCellKey *key, int nkeys, Datum *values)
{
	for (int i = 0; i < nkeys; i++)
		values[i] = Int32GetDatum(key->part[i]);
}

static KpiCellKey
found_key(KpiKeyedTable *keyed)
{
	KpiCellKey	key = {{0}};

	slot_getallattrs(keyed->found);
	for (int i = 0; i < keyed->nkeys; i++)
		key.part[i] = DatumGetInt32(keyed->found->tts_values[i]);
	return key;
}

static KpiCell *
found_cell(KpiKeyedTable *keyed)
{
	slot_getallattrs(keyed->found);
	return DatumGetKpiCellP(keyed->found->tts_values[keyed->nkeys]);
}

static bool
measure_exists(int32 measure_id, void *arg)
{
	const KpiStream *stream = arg;

	for (int m = 0; stream != NULL && m < stream->nmeasures; m++)
	{
		if (stream->measures[m].id == measure_id)
			return true;
	}
	return false;
}

static KpiStream *
stream_of(const KpiRun *run, int32 stream_id)
{
	for (int s = 0; s < run->source->nstreams; s++)
	{
		if (run->source->streams[s].id == stream_id)
			return &run->source->streams[s];
	}
	return NULL;
}

/*
 * A copy of a stored cell without the states of KPIs that were dropped since:
 * dropping one leaves its states to whoever writes the cell next.
 */
static KpiCell *
present_states(KpiRun *run, const KpiCellKey *key, const KpiCell *stored)
{
	KpiCell    *cell = kpi_cell_pack(stored);

	kpi_cell_filter(cell, measure_exists, stream_of(run, key->part[0]));
	return cell;
}

static void
insert_item(KpiKeyedTable *keyed, const KpiCellItem *item)
{
	Datum		values[KPI_CELL_KEYS + 1];

	key_values(&item->key, keyed->nkeys, values);
	values[keyed->nkeys] = PointerGetDatum(kpi_cell_compact(item->cell));
	kpi_keyed_table_insert(keyed, values, NULL);
}

static void
update_found(KpiKeyedTable *keyed, const KpiCellKey *key, const KpiCell *cell)
{
	Datum		values[KPI_CELL_KEYS + 1];

	if (kpi_cell_is_empty(cell))
	{
		kpi_keyed_table_delete_found(keyed);
		return;
	}
	key_values(key, keyed->nkeys, values);
	values[keyed->nkeys] = PointerGetDatum(kpi_cell_compact(cell));
	kpi_keyed_table_update_found(keyed, values, NULL);
}

void
kpi_refresh_table_apply(KpiRun *run, const char *table, int nkeys, const KpiCellList *deltas)
{
	/* A stream's owner, or all but the start of a rollup's period. */
	int			nprefix = nkeys < KPI_CELL_KEYS ? 2 : KPI_CELL_KEYS - 1;
	KpiKeyedTable *keyed;
	MemoryContext row_cxt;
	MemoryContext old;

	if (deltas->nitems == 0)
		return;
	keyed = kpi_keyed_table_open("kpi_internal", table, "stream_id", nkeys, run->snapshot);
	row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi cell row", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(row_cxt);

	for (int i = 0; i < deltas->nitems; i++)
	{
		const KpiCellItem *item = &deltas->items[i];
		Datum		keys[KPI_CELL_KEYS];

		CHECK_FOR_INTERRUPTS();
		run->at = (KpiFactsAt)
		{
			true, item->key.part[nkeys < KPI_CELL_KEYS ? 2 : 5], NULL, 0
		};
		key_values(&item->key, nkeys, keys);
		if (kpi_keyed_table_seek(keyed, nprefix, keys, NULL))
			update_found(keyed, &item->key,
						 kpi_cell_merge(present_states(run, &item->key, found_cell(keyed)), item->cell));
		else
			insert_item(keyed, item);
		MemoryContextReset(row_cxt);
	}

	run->at.is_known = false;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_cxt);
	run->ncells += keyed->nwritten;
	kpi_keyed_table_close(keyed);
}

static char *
cell_text(const KpiCell *cell)
{
	if (cell == NULL)
		return NULL;
	return DatumGetCString(DirectFunctionCall1(kpi_sql_cell_out, PointerGetDatum(cell)));
}

static void
report_cell(KpiReport *report, const KpiCellKey *key, bool is_day, const KpiCell *stored, const KpiCell *expected)
{
	KpiDifference diff = {0};

	if (report == NULL)
		return;
	diff.level = is_day ? "day cell" : "rollup cell";
	if (is_day)
		diff.owner_id = key->part[1];
	else if (key->part[1] == KPI_SCOPE_TEAM)
		diff.team_id = key->part[2];
	else
		diff.member_id = key->part[2];
	diff.grain = is_day ? "day" : kpi_calendar_grain_name(key->part[3]);
	diff.start = key->part[is_day ? 2 : 5];
	diff.stored = cell_text(stored);
	diff.expected = cell_text(expected);
	kpi_refresh_report(report, &diff);
}

/* The row the scan stands on is not in the list, or differs from its item. */
static void
sync_found(KpiRun *run, KpiKeyedTable *keyed, const KpiCellKey *key, const KpiCellItem *item,
		   bool mend, KpiReport *report)
{
	KpiCell    *stored = found_cell(keyed);
	KpiCell    *present;

	if (item != NULL && kpi_cell_equal(stored, item->cell))
		return;
	present = present_states(run, key, stored);
	if (item ? !kpi_cell_equal(present, item->cell) : !kpi_cell_is_empty(present))
		report_cell(report, key, keyed->nkeys < KPI_CELL_KEYS, stored, item ? item->cell : NULL);
	if (!mend)
		return;
	if (item)
		update_found(keyed, key, item->cell);
	else
		kpi_keyed_table_delete_found(keyed);
}

void
kpi_refresh_table_sync(KpiRun *run, const char *table, int nkeys, int32 stream_id,
					   const KpiCellList *expected, bool mend, KpiReport *report)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	KpiKeyedTable *keyed = kpi_keyed_table_open("kpi_internal", table, "stream_id", nkeys, snapshot);
	Datum		prefix = Int32GetDatum(stream_id);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi cell row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row_cxt);
	int			i = 0;
	bool		more;

	kpi_keyed_table_scan(keyed, 1, &prefix, false, 0, 0);
	more = kpi_keyed_table_next(keyed);
	while (more || i < expected->nitems)
	{
		const KpiCellItem *item = i < expected->nitems ? &expected->items[i] : NULL;
		KpiCellKey	key = {{0}};
		int			order = 1;

		CHECK_FOR_INTERRUPTS();
		if (more)
		{
			key = found_key(keyed);
			order = item ? kpi_refresh_cellkey_compare(&key, &item->key) : -1;
		}
		if (order > 0)
		{
			report_cell(report, &item->key, nkeys < KPI_CELL_KEYS, NULL, item->cell);
			if (mend)
				insert_item(keyed, item);
		}
		else
		{
			sync_found(run, keyed, &key, order == 0 ? item : NULL, mend, report);
			more = kpi_keyed_table_next(keyed);
		}
		if (order >= 0)
			i++;
		MemoryContextReset(row_cxt);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_cxt);
	run->ncells += keyed->nwritten;
	kpi_keyed_table_close(keyed);
	UnregisterSnapshot(snapshot);
}

KpiCellList *
kpi_refresh_table_rollup_keys(KpiRun *run)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	KpiKeyedTable *keyed = kpi_keyed_table_open("kpi_internal", "rollup_cell", "stream_id", KPI_CELL_KEYS, snapshot);
	KpiCellList *list = palloc0(sizeof(KpiCellList));
	int			max = 1024;

	list->items = palloc(max * sizeof(KpiCellItem));
	for (int s = 0; s < run->source->nstreams; s++)
	{
		Datum		prefix = Int32GetDatum(run->source->streams[s].id);

		kpi_keyed_table_scan(keyed, 1, &prefix, false, 0, 0);
		while (kpi_keyed_table_next(keyed))
		{
			CHECK_FOR_INTERRUPTS();
			if (list->nitems == max)
			{
				max *= 2;
				list->items = repalloc_huge(list->items, max * sizeof(KpiCellItem));
			}
			list->items[list->nitems].key = found_key(keyed);
			list->items[list->nitems++].cell = NULL;
		}
	}
	kpi_keyed_table_close(keyed);
	UnregisterSnapshot(snapshot);
	return list;
}
