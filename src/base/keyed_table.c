/*-------------------------------------------------------------------------
 *
 * keyed_table.c
 *	  Rows of one of our own tables, found and changed by its primary key.
 *
 * Cells by their index: a refresh touches a hundred thousand of these rows, and
 * a statement through the executor costs several times as much as a descent of
 * the index and a heap update.
 *
 * Inserted rows wait for their index entries until they are many or the table is
 * closed, and each index gets its entries in its own order: neighbours then fall
 * on the same page, and entries behind all others need no descent.  That halves
 * the cost of building half a million cells in an index that is not in the order
 * of the key.  Entries of a unique index are checked all the same.
 *
 * Invariants: the caller holds the source's lock, so nobody else changes the
 * rows it asks for, and an update or delete never meets a concurrent one.
 * Each row is changed at most once per snapshot.  No triggers and no foreign
 * keys are run: the engine writes only ids it has just read.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/base.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Rows written together: a few pages' worth. */
#define BATCH_ROWS 256

/* Rows whose index entries are sorted together, in a quarter of maintenance_work_mem: 1 GB at most. */
#define MAX_SORTED_ROWS (1 << 25)

/* ---- opening ---- */

static void
set_comparisons(KpiKeyedTable *keyed, int column, Oid type)
{
	if (type == INT4OID)
	{
		fmgr_info(F_INT4EQ, &keyed->key_eq[column]);
		fmgr_info(F_INT4GE, &keyed->key_ge[column]);
		fmgr_info(F_INT4LE, &keyed->key_le[column]);
	}
	else if (type == DATEOID)
	{
		fmgr_info(F_DATE_EQ, &keyed->key_eq[column]);
		fmgr_info(F_DATE_GE, &keyed->key_ge[column]);
		fmgr_info(F_DATE_LE, &keyed->key_le[column]);
	}
	else
		elog(ERROR, "key column %d of table \"%s\" is of type %u", column + 1,
			 RelationGetRelationName(keyed->rel), type);
}

/* Whether an index has nothing but columns of the key, in their natural order. */
static bool
is_of_key_columns(const KpiKeyedTable *keyed, Relation index, const IndexInfo *info)
{
	if (index->rd_rel->relam != BTREE_AM_OID || !info->ii_ReadyForInserts ||
		info->ii_Predicate != NIL || info->ii_Expressions != NIL || info->ii_ExclusionOps != NULL ||
		info->ii_NumIndexAttrs > KPI_KEYED_TABLE_MAX_KEYS)
		return false;
	for (int i = 0; i < info->ii_NumIndexAttrs; i++)
	{
		if (info->ii_IndexAttrNumbers[i] > keyed->nkeys ||
			(i < info->ii_NumIndexKeyAttrs && index->rd_indoption[i] != 0))
			return false;
	}
	return true;
}

KpiKeyedTable *
kpi_keyed_table_open(const char *schema, const char *table, int nkeys, Snapshot snapshot)
{
	KpiKeyedTable *keyed = palloc0(sizeof(KpiKeyedTable));
	TupleDesc	desc;

	Assert(nkeys <= KPI_KEYED_TABLE_MAX_KEYS);
	keyed->mcxt = CurrentMemoryContext;
	keyed->rel = table_open(kpi_relation_oid(schema, table), RowExclusiveLock);
	keyed->nkeys = nkeys;
	keyed->snapshot = snapshot;
	desc = RelationGetDescr(keyed->rel);
	for (int i = 0; i < nkeys; i++)
		set_comparisons(keyed, i, TupleDescAttr(desc, i)->atttypid);

	keyed->estate = CreateExecutorState();
	keyed->rri = makeNode(ResultRelInfo);
	InitResultRelInfo(keyed->rri, keyed->rel, 0, NULL, 0);
	ExecOpenIndices(keyed->rri, false);
	keyed->sorts_rows = true;
	for (int i = 0; i < keyed->rri->ri_NumIndices; i++)
	{
		Relation	index = keyed->rri->ri_IndexRelationDescs[i];

		if (index->rd_index->indisprimary)
			keyed->index = index;
		keyed->sorts_rows &= is_of_key_columns(keyed, index, keyed->rri->ri_IndexRelationInfo[i]);
	}
	if (keyed->index == NULL || keyed->index->rd_index->indnkeyatts != nkeys)
		elog(ERROR, "table \"%s\" has no primary key of %d columns", RelationGetRelationName(keyed->rel), nkeys);
	keyed->found = table_slot_create(keyed->rel, NULL);
	keyed->write = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	return keyed;
}

/* ---- scans ---- */

/*
 * Restarts the index scan with these keys, reusing it when it has as many.
 * The access method allocates in every call and expects it to last as long as
 * the scan, so the caller's context, often one per row, will not do.
 */
static void
start_scan(KpiKeyedTable *keyed, ScanKey keys, int nkeys, bool seeking)
{
	MemoryContext old = MemoryContextSwitchTo(keyed->mcxt);

	if (keyed->scan && keyed->scan_nkeys != nkeys)
	{
		index_endscan(keyed->scan);
		keyed->scan = NULL;
	}
	if (keyed->scan == NULL)
	{
		keyed->scan = kpi_compat_beginscan(keyed->rel, keyed->index,
										   keyed->snapshot, nkeys);
		keyed->scan_nkeys = nkeys;
	}
	/* The access method looks at this when it starts. */
	keyed->scan->xs_want_itup = seeking;
	index_rescan(keyed->scan, keys, nkeys, NULL, 0);
	keyed->seeking = seeking;
	MemoryContextSwitchTo(old);
}

static void
set_key(ScanKey key, int column, StrategyNumber strategy, FmgrInfo *function, int32 value)
{
	ScanKeyEntryInitializeWithInfo(key, 0, column + 1, strategy, InvalidOid, InvalidOid, function,
								   Int32GetDatum(value));
}

void
kpi_keyed_table_scan(KpiKeyedTable *keyed, int nprefix, const int32 *prefix, bool bounded,
					 int32 low, int32 high)
{
	ScanKeyData scan_keys[KPI_KEYED_TABLE_MAX_KEYS + 1];
	int			n = 0;

	for (; n < nprefix; n++)
		set_key(&scan_keys[n], n, BTEqualStrategyNumber, &keyed->key_eq[n], prefix[n]);
	if (bounded)
	{
		set_key(&scan_keys[n++], nprefix, BTGreaterEqualStrategyNumber, &keyed->key_ge[nprefix], low);
		set_key(&scan_keys[n++], nprefix, BTLessEqualStrategyNumber, &keyed->key_le[nprefix], high);
	}
	start_scan(keyed, scan_keys, n, false);
}

bool
kpi_keyed_table_next(KpiKeyedTable *keyed)
{
	MemoryContext old = MemoryContextSwitchTo(keyed->mcxt);
	bool		found = index_getnext_slot(keyed->scan, ForwardScanDirection, keyed->found);

	MemoryContextSwitchTo(old);
	return found;
}

/* Entries to step over before a descent from the root is cheaper. */
#define SEEK_STEPS 64

/* Versions of a row to look at before looking from behind is cheaper. */
#define SEEK_DEAD 3

static int
compare_keys(int32 a, int32 b)
{
	return (a > b) - (a < b);
}

/* Compares the entry the scan stands on with the wanted key, after the prefix. */
static int
compare_entry(KpiKeyedTable *keyed, int nprefix, const int32 *keys)
{
	for (int i = nprefix; i < keyed->nkeys; i++)
	{
		bool		isnull;
		Datum		entry = index_getattr(keyed->scan->xs_itup, i + 1, keyed->scan->xs_itupdesc, &isnull);
		int			order = compare_keys(DatumGetInt32(entry), keys[i]);

		if (order != 0)
			return order;
	}
	return 0;
}

/*
 * Descends to the first entry of the prefix that is not before the key.  As many
 * scan keys as for one row, so that the scan can be kept.
 */
static void
seek_descend(KpiKeyedTable *keyed, int nprefix, const int32 *keys)
{
	ScanKeyData scan_keys[KPI_KEYED_TABLE_MAX_KEYS];

	for (int i = 0; i < nprefix; i++)
		set_key(&scan_keys[i], i, BTEqualStrategyNumber, &keyed->key_eq[i], keys[i]);
	for (int i = nprefix; i < keyed->nkeys; i++)
		set_key(&scan_keys[i], i, BTGreaterEqualStrategyNumber, &keyed->key_ge[i],
				i == nprefix ? keys[i] : PG_INT32_MIN);
	start_scan(keyed, scan_keys, keyed->nkeys, true);
	keyed->seek_nprefix = nprefix;
	memcpy(keyed->seek_prefix, keys, nprefix * sizeof(int32));
}

/* Steps to the next entry; false at the end of the prefix. */
static bool
seek_step(KpiKeyedTable *keyed)
{
	MemoryContext old = MemoryContextSwitchTo(keyed->mcxt);

	keyed->seek_entry = index_getnext_tid(keyed->scan, ForwardScanDirection) != NULL;
	MemoryContextSwitchTo(old);
	return keyed->seek_entry;
}

/*
 * Finds the one row with this key from behind.  Each version that went to
 * another page has an entry of its own, which stays while a snapshot is held
 * open elsewhere.  They are in the order of their pages, and as none of those
 * has room any more the version that counts is mostly the last.
 */
static bool
find_newest(KpiKeyedTable *keyed, const int32 *keys)
{
	ScanKeyData scan_keys[KPI_KEYED_TABLE_MAX_KEYS];
	MemoryContext old = MemoryContextSwitchTo(keyed->mcxt);
	bool		found;

	for (int i = 0; i < keyed->nkeys; i++)
		set_key(&scan_keys[i], i, BTEqualStrategyNumber, &keyed->key_eq[i], keys[i]);
	if (keyed->newest == NULL)
		keyed->newest = kpi_compat_beginscan(keyed->rel, keyed->index, keyed->snapshot, keyed->nkeys);
	index_rescan(keyed->newest, scan_keys, keyed->nkeys, NULL, 0);
	found = index_getnext_slot(keyed->newest, BackwardScanDirection, keyed->found);
	MemoryContextSwitchTo(old);
	return found;
}

/*
 * A scan of many rows reads all that a page has of them at once.  That pays
 * where several of them are wanted, else the one is looked for alone.  Follows
 * only entries of the wanted key to the heap, and of these few.
 */
bool
kpi_keyed_table_seek(KpiKeyedTable *keyed, const int32 *keys, int nprefix, bool near_follows)
{
	int			steps = 0;
	int			dead = 0;

	if (!keyed->seeking || keyed->seek_nprefix != nprefix ||
		memcmp(keyed->seek_prefix, keys, nprefix * sizeof(int32)) != 0)
	{
		if (!near_follows)
			return find_newest(keyed, keys);
		seek_descend(keyed, nprefix, keys);
		(void) seek_step(keyed);
	}
	while (keyed->seek_entry)
	{
		int			order = compare_entry(keyed, nprefix, keys);

		if (order > 0)
			return false;
		if (order == 0 && index_fetch_heap(keyed->scan, keyed->found))
			return true;
		if (order == 0 && ++dead == SEEK_DEAD)
			return find_newest(keyed, keys);
		if (order < 0 && ++steps == SEEK_STEPS)
			seek_descend(keyed, nprefix, keys);
		(void) seek_step(keyed);
	}
	return false;
}

/* ---- index entries ---- */

/* Which columns of the key an index has, for sorting. */
typedef struct IndexColumns
{
	int			n;
	int			columns[KPI_KEYED_TABLE_MAX_KEYS];
} IndexColumns;

static inline int
compare_rows(const KpiKeyedRow *a, const KpiKeyedRow *b, const IndexColumns *index)
{
	for (int i = 0; i < index->n; i++)
	{
		int			column = index->columns[i];

		if (a->keys[column] != b->keys[column])
			return a->keys[column] < b->keys[column] ? -1 : 1;
	}
	/* Entries of one key are in the order of the rows. */
	return ItemPointerCompare(unconstify(ItemPointerData *, &a->tid), unconstify(ItemPointerData *, &b->tid));
}

#define ST_SORT sort_rows
#define ST_ELEMENT_TYPE KpiKeyedRow
#define ST_COMPARE_ARG_TYPE const IndexColumns
#define ST_COMPARE(a, b, index) compare_rows(a, b, index)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static void
enter_rows_into(KpiKeyedTable *keyed, Relation index, IndexInfo *info)
{
	IndexColumns columns = {.n = info->ii_NumIndexAttrs};
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS] = {false};
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(keyed->estate));

	for (int i = 0; i < columns.n; i++)
		columns.columns[i] = info->ii_IndexAttrNumbers[i] - 1;
	sort_rows(keyed->rows, keyed->nrows, &columns);
	for (int r = 0; r < keyed->nrows; r++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < columns.n; i++)
			values[i] = Int32GetDatum(keyed->rows[r].keys[columns.columns[i]]);
		(void) index_insert(index, values, nulls, &keyed->rows[r].tid, keyed->rel,
							info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
		ResetPerTupleExprContext(keyed->estate);
	}
	MemoryContextSwitchTo(old);
}

static void
enter_rows(KpiKeyedTable *keyed)
{
	for (int i = 0; keyed->nrows > 0 && i < keyed->rri->ri_NumIndices; i++)
		enter_rows_into(keyed, keyed->rri->ri_IndexRelationDescs[i], keyed->rri->ri_IndexRelationInfo[i]);
	keyed->nrows = 0;
}

/* Keeps rows that were inserted until there are as many as may be sorted in memory. */
static void
add_rows(KpiKeyedTable *keyed, TupleTableSlot **slots, int nslots)
{
	int			most = Min(maintenance_work_mem * (Size) 256 / sizeof(KpiKeyedRow), MAX_SORTED_ROWS);

	if (keyed->nrows + nslots > most)
		enter_rows(keyed);
	if (keyed->nrows + nslots > keyed->max_rows)
	{
		keyed->max_rows = Max(keyed->max_rows * 2, BATCH_ROWS);
		keyed->rows = keyed->rows == NULL ?
			MemoryContextAllocHuge(keyed->mcxt, keyed->max_rows * sizeof(KpiKeyedRow)) :
			repalloc_huge(keyed->rows, keyed->max_rows * sizeof(KpiKeyedRow));
	}
	for (int i = 0; i < nslots; i++)
	{
		KpiKeyedRow *row = &keyed->rows[keyed->nrows++];

		for (int k = 0; k < keyed->nkeys; k++)
			row->keys[k] = DatumGetInt32(slots[i]->tts_values[k]);
		row->tid = slots[i]->tts_tid;
	}
}

/* ---- writing ---- */

static void
fill_slot(KpiKeyedTable *keyed, TupleTableSlot *slot, const Datum *values, const bool *nulls)
{
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, natts * sizeof(Datum));
	if (nulls)
		memcpy(slot->tts_isnull, nulls, natts * sizeof(bool));
	else
		memset(slot->tts_isnull, false, natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(keyed->rel);
}

/* Inserts the batch: one WAL record and one buffer lock for a page of rows, not for each. */
static void
flush_batch(KpiKeyedTable *keyed)
{
	if (keyed->nbatch == 0)
		return;
	table_multi_insert(keyed->rel, keyed->batch, keyed->nbatch,
					   GetCurrentCommandId(true), 0, NULL);
	if (keyed->sorts_rows)
		add_rows(keyed, keyed->batch, keyed->nbatch);
	for (int i = 0; !keyed->sorts_rows && i < keyed->nbatch; i++)
	{
		kpi_compat_insert_index_tuples(keyed->rri, keyed->batch[i], keyed->estate);
		ResetPerTupleExprContext(keyed->estate);
	}
	keyed->nbatch = 0;
}

void
kpi_keyed_table_insert(KpiKeyedTable *keyed, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot;

	if (keyed->batch == NULL)
		keyed->batch = MemoryContextAllocZero(keyed->mcxt, BATCH_ROWS * sizeof(TupleTableSlot *));
	slot = keyed->batch[keyed->nbatch];
	if (slot == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(keyed->mcxt);

		slot = MakeSingleTupleTableSlot(RelationGetDescr(keyed->rel), &TTSOpsVirtual);
		keyed->batch[keyed->nbatch] = slot;
		MemoryContextSwitchTo(old);
	}
	fill_slot(keyed, slot, values, nulls);
	ExecMaterializeSlot(slot);
	keyed->nwritten++;
	if (++keyed->nbatch == BATCH_ROWS)
		flush_batch(keyed);
}

/*
 * Enters a version that went to another page.  The key is that of the row it was,
 * so there is no other: who looks for one meets all versions.
 */
static void
enter_version(KpiKeyedTable *keyed)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS] = {false};
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(keyed->estate));

	for (int n = 0; n < keyed->rri->ri_NumIndices; n++)
	{
		IndexInfo  *info = keyed->rri->ri_IndexRelationInfo[n];

		for (int i = 0; i < info->ii_NumIndexAttrs; i++)
			values[i] = keyed->write->tts_values[info->ii_IndexAttrNumbers[i] - 1];
		(void) index_insert(keyed->rri->ri_IndexRelationDescs[n], values, nulls, &keyed->write->tts_tid,
							keyed->rel, UNIQUE_CHECK_NO, true, info);
	}
	MemoryContextSwitchTo(old);
}

void
kpi_keyed_table_update_found(KpiKeyedTable *keyed, const Datum *values, const bool *nulls)
{
	ItemPointerData tid = keyed->found->tts_tid;
	bool		wants_entries = false;

	fill_slot(keyed, keyed->write, values, nulls);
	kpi_compat_update(keyed->rri, &tid, keyed->write, keyed->estate, keyed->snapshot,
					  keyed->sorts_rows ? &wants_entries : NULL);
	if (wants_entries)
		enter_version(keyed);
	ResetPerTupleExprContext(keyed->estate);
	keyed->nwritten++;
}

void
kpi_keyed_table_delete_found(KpiKeyedTable *keyed)
{
	simple_table_tuple_delete(keyed->rel, &keyed->found->tts_tid, keyed->snapshot);
	keyed->nwritten++;
}

void
kpi_keyed_table_close(KpiKeyedTable *keyed)
{
	flush_batch(keyed);
	enter_rows(keyed);
	if (keyed->rows)
		pfree(keyed->rows);
	for (int i = 0; keyed->batch != NULL && i < BATCH_ROWS && keyed->batch[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(keyed->batch[i]);
	if (keyed->scan)
		index_endscan(keyed->scan);
	if (keyed->newest)
		index_endscan(keyed->newest);
	ExecDropSingleTupleTableSlot(keyed->found);
	ExecDropSingleTupleTableSlot(keyed->write);
	ExecCloseIndices(keyed->rri);
	FreeExecutorState(keyed->estate);
	table_close(keyed->rel, NoLock);
	pfree(keyed);
}
