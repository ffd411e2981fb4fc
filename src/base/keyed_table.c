/*-------------------------------------------------------------------------
 *
 * keyed_table.c
 *	  Rows of one of our own tables, found and changed by its unique key.
 *
 * Cells by their index: a refresh touches a hundred thousand of
 * these rows, and a statement through the executor costs several times as
 * much as a descent of the index and a heap update.
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
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* Rows written together: a few pages' worth. */
#define BATCH_ROWS 256

/* Returns the function that searches a key column, of the type's default btree class. */
static RegProcedure
key_procedure(Oid type, StrategyNumber strategy)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
	Oid			input = entry->btree_opintype;
	Oid			op = get_opfamily_member(entry->btree_opf, input, input, strategy);

	if (!OidIsValid(op))
		elog(ERROR, "no btree operator %d for type %u", strategy, type);
	return get_opcode(op);
}

/* Opens the unique index with nkeys columns that begins with first_key. */
static Relation
open_key_index(Relation rel, const char *first_key, int nkeys)
{
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;
	AttrNumber	first = get_attnum(RelationGetRelid(rel), first_key);

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), RowExclusiveLock);

		if (index->rd_index->indisunique &&
			index->rd_index->indnkeyatts == nkeys &&
			index->rd_index->indkey.values[0] == first)
			return index;
		index_close(index, RowExclusiveLock);
	}
	elog(ERROR, "table \"%s\" has no unique index with %d columns",
		 RelationGetRelationName(rel), nkeys);
}

KpiKeyedTable *
kpi_keyed_table_open(const char *schema, const char *table, const char *first_key,
					 int nkeys, Snapshot snapshot)
{
	KpiKeyedTable *keyed = palloc0(sizeof(KpiKeyedTable));
	TupleDesc	desc;

	Assert(nkeys <= KPI_KEYED_TABLE_MAX_KEYS);
	keyed->mcxt = CurrentMemoryContext;
	keyed->rel = table_open(kpi_relation_oid(schema, table), RowExclusiveLock);
	keyed->index = open_key_index(keyed->rel, first_key, nkeys);
	keyed->nkeys = nkeys;
	keyed->snapshot = snapshot;
	desc = RelationGetDescr(keyed->rel);

	for (int i = 0; i < nkeys; i++)
	{
		Form_pg_attribute att;

		keyed->key_attrs[i] = keyed->index->rd_index->indkey.values[i];
		att = TupleDescAttr(desc, keyed->key_attrs[i] - 1);
		keyed->key_collation[i] = att->attcollation;
		fmgr_info(key_procedure(att->atttypid, BTEqualStrategyNumber),
				  &keyed->key_eq[i]);
	}

	keyed->estate = CreateExecutorState();
	keyed->rri = makeNode(ResultRelInfo);
	InitResultRelInfo(keyed->rri, keyed->rel, 0, NULL, 0);
	ExecOpenIndices(keyed->rri, false);
	keyed->found = table_slot_create(keyed->rel, NULL);
	keyed->write = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);

	if (get_attnum(RelationGetRelid(keyed->rel), "id") == 1 &&
		TupleDescAttr(desc, 0)->attidentity != '\0')
		keyed->sequence = kpi_compat_identity_sequence(keyed->rel, 1);

	return keyed;
}

void
kpi_keyed_table_close(KpiKeyedTable *keyed)
{
	kpi_keyed_table_flush(keyed);
	for (int i = 0; keyed->batch != NULL && i < BATCH_ROWS && keyed->batch[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(keyed->batch[i]);
	if (keyed->scan)
		index_endscan(keyed->scan);
	ExecDropSingleTupleTableSlot(keyed->found);
	ExecDropSingleTupleTableSlot(keyed->write);
	ExecCloseIndices(keyed->rri);
	FreeExecutorState(keyed->estate);
	index_close(keyed->index, NoLock);
	table_close(keyed->rel, NoLock);
	pfree(keyed);
}

/*
 * Scan keys that take a NULL need their own form; the arguments are set by
 * the caller.
 */
static void
init_key(KpiKeyedTable *keyed, ScanKey key, int column, StrategyNumber strategy,
		 Datum value, bool isnull)
{
	if (isnull)
	{
		ScanKeyEntryInitialize(key, SK_ISNULL | SK_SEARCHNULL, column + 1,
							   InvalidStrategy, InvalidOid, InvalidOid,
							   InvalidOid, (Datum) 0);
		return;
	}
	if (strategy == BTEqualStrategyNumber)
		ScanKeyEntryInitializeWithInfo(key, 0, column + 1, strategy, InvalidOid,
									   keyed->key_collation[column],
									   &keyed->key_eq[column], value);
	else
		ScanKeyEntryInitialize(key, 0, column + 1, strategy, InvalidOid,
							   keyed->key_collation[column],
							   key_procedure(TupleDescAttr(RelationGetDescr(keyed->rel),
														   keyed->key_attrs[column] - 1)->atttypid,
											 strategy),
							   value);
}

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

bool
kpi_keyed_table_find(KpiKeyedTable *keyed, const Datum *keys, const bool *nulls)
{
	ScanKeyData scan_keys[KPI_KEYED_TABLE_MAX_KEYS];

	for (int i = 0; i < keyed->nkeys; i++)
		init_key(keyed, &scan_keys[i], i, BTEqualStrategyNumber, keys[i],
				 nulls != NULL && nulls[i]);
	start_scan(keyed, scan_keys, keyed->nkeys, false);

	return kpi_keyed_table_next(keyed);
}

/* ---- seeking ---- */

/*
 * Entries to step over before a descent from the root is cheaper, which also
 * reads the prefix's entries of the page it comes to once more.
 */
#define SEEK_STEPS 64

/* Compares values of the types that kpi_keyed_table_seek() allows after the prefix. */
static int
compare_values(Datum a, Datum b, bool is_text)
{
	text	   *x = (text *) DatumGetPointer(a);
	text	   *y = (text *) DatumGetPointer(b);
	int			order;

	if (!is_text)
		return (DatumGetInt32(a) > DatumGetInt32(b)) - (DatumGetInt32(a) < DatumGetInt32(b));
	order = memcmp(VARDATA_ANY(x), VARDATA_ANY(y), Min(VARSIZE_ANY_EXHDR(x), VARSIZE_ANY_EXHDR(y)));
	return order != 0 ? order : (int) VARSIZE_ANY_EXHDR(x) - (int) VARSIZE_ANY_EXHDR(y);
}

/* Compares the entry the scan stands on with the wanted key, after the prefix. */
static int
compare_entry(KpiKeyedTable *keyed, int nprefix, const Datum *keys)
{
	for (int i = nprefix; i < keyed->nkeys; i++)
	{
		bool		isnull;
		Datum		entry = index_getattr(keyed->scan->xs_itup, i + 1, keyed->scan->xs_itupdesc, &isnull);
		int			order = compare_values(entry, keys[i], keyed->key_collation[i] != InvalidOid);

		if (order != 0)
			return order;
	}
	return 0;
}

static bool
same_prefix(KpiKeyedTable *keyed, int nprefix, const Datum *keys, const bool *nulls)
{
	if (keyed->seek_nprefix != nprefix)
		return false;
	for (int i = 0; i < nprefix; i++)
	{
		if (keyed->seek_nulls[i] != (nulls != NULL && nulls[i]))
			return false;
		if (!keyed->seek_nulls[i] && keyed->seek_prefix[i] != keys[i] &&
			!DatumGetBool(FunctionCall2Coll(&keyed->key_eq[i], keyed->key_collation[i],
											keyed->seek_prefix[i], keys[i])))
			return false;
	}
	return true;
}

/* Descends to the first entry of the prefix that is not before the key. */
static void
seek_descend(KpiKeyedTable *keyed, int nprefix, const Datum *keys, const bool *nulls)
{
	ScanKeyData scan_keys[KPI_KEYED_TABLE_MAX_KEYS];
	TupleDesc	desc = RelationGetDescr(keyed->rel);

	for (int i = 0; i < nprefix; i++)
	{
		bool		isnull = nulls != NULL && nulls[i];
		Form_pg_attribute att = TupleDescAttr(desc, keyed->key_attrs[i] - 1);

		init_key(keyed, &scan_keys[i], i, BTEqualStrategyNumber, keys[i], isnull);

		/* The prefix outlives the caller's values: compared with the next. */
		if (!att->attbyval && keyed->seek_prefix[i] != (Datum) 0)
			pfree(DatumGetPointer(keyed->seek_prefix[i]));
		keyed->seek_prefix[i] = (Datum) 0;
		keyed->seek_nulls[i] = isnull;
		if (!isnull)
		{
			MemoryContext old = MemoryContextSwitchTo(keyed->mcxt);

			keyed->seek_prefix[i] = datumCopy(keys[i], att->attbyval, att->attlen);
			MemoryContextSwitchTo(old);
		}
	}
	init_key(keyed, &scan_keys[nprefix], nprefix, BTGreaterEqualStrategyNumber, keys[nprefix], false);
	start_scan(keyed, scan_keys, nprefix + 1, true);
	keyed->seek_nprefix = nprefix;
	keyed->seek_entry = false;
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
 * Follows only the entry of the wanted key to the heap.  Several may have
 * the key, as updates that moved the row leave old ones.
 */
bool
kpi_keyed_table_seek(KpiKeyedTable *keyed, int nprefix, const Datum *keys, const bool *nulls)
{
	int			steps = 0;

	if (!keyed->seeking || !same_prefix(keyed, nprefix, keys, nulls))
	{
		seek_descend(keyed, nprefix, keys, nulls);
		(void) seek_step(keyed);
	}
	while (keyed->seek_entry)
	{
		int			order = compare_entry(keyed, nprefix, keys);

		if (order > 0)
			return false;
		if (order == 0 && index_fetch_heap(keyed->scan, keyed->found))
			return true;
		if (order < 0 && ++steps == SEEK_STEPS)
			seek_descend(keyed, nprefix, keys, nulls);
		(void) seek_step(keyed);
	}
	return false;
}

void
kpi_keyed_table_scan(KpiKeyedTable *keyed, int nprefix, const Datum *prefix, bool bounded,
					 Datum low, Datum high)
{
	ScanKeyData scan_keys[KPI_KEYED_TABLE_MAX_KEYS + 1];
	int			n = 0;

	for (; n < nprefix; n++)
		init_key(keyed, &scan_keys[n], n, BTEqualStrategyNumber, prefix[n], false);
	if (bounded)
	{
		init_key(keyed, &scan_keys[n++], nprefix, BTGreaterEqualStrategyNumber, low, false);
		init_key(keyed, &scan_keys[n++], nprefix, BTLessEqualStrategyNumber, high, false);
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
		kpi_keyed_table_flush(keyed);
}

/* Inserts the batch: one WAL record and one buffer lock for a page of rows, not for each. */
void
kpi_keyed_table_flush(KpiKeyedTable *keyed)
{
	if (keyed->nbatch == 0)
		return;
	table_multi_insert(keyed->rel, keyed->batch, keyed->nbatch,
					   GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < keyed->nbatch; i++)
	{
		kpi_compat_insert_index_tuples(keyed->rri, keyed->batch[i], keyed->estate);
		ResetPerTupleExprContext(keyed->estate);
	}
	keyed->nbatch = 0;
}

void
kpi_keyed_table_update_found(KpiKeyedTable *keyed, const Datum *values, const bool *nulls)
{
	ItemPointerData tid = keyed->found->tts_tid;

	fill_slot(keyed, keyed->write, values, nulls);
	kpi_compat_update(keyed->rri, &tid, keyed->write, keyed->estate, keyed->snapshot);
	ResetPerTupleExprContext(keyed->estate);
	keyed->nwritten++;
}

void
kpi_keyed_table_delete_found(KpiKeyedTable *keyed)
{
	simple_table_tuple_delete(keyed->rel, &keyed->found->tts_tid, keyed->snapshot);
	keyed->nwritten++;
}

int64
kpi_keyed_table_next_id(KpiKeyedTable *keyed)
{
	return nextval_internal(keyed->sequence, false);
}
