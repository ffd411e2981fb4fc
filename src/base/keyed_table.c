/*-------------------------------------------------------------------------
 *
 * keyed_table.c
 *	  Rows of one of our own tables, found and changed by its unique key.
 *
 * Cells and values by their index: a refresh touches a hundred thousand of
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
#include "access/xact.h"
#include "base/base.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* Rows written together: a few pages' worth. */
#define BATCH_ROWS 256

/* The operator a key column is searched with; a type's default btree class. */
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

/* The unique index with nkeys columns that begins with first_key. */
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

KpiStore *
kpi_keyed_table_open(const char *schema, const char *table, const char *first_key,
					 int nkeys, Snapshot snapshot)
{
	KpiStore   *store = palloc0(sizeof(KpiStore));
	TupleDesc	desc;

	Assert(nkeys <= KPI_STORE_MAX_KEYS);
	store->mcxt = CurrentMemoryContext;
	store->rel = table_open(kpi_relation_oid(schema, table), RowExclusiveLock);
	store->index = open_key_index(store->rel, first_key, nkeys);
	store->nkeys = nkeys;
	store->snapshot = snapshot;
	desc = RelationGetDescr(store->rel);

	for (int i = 0; i < nkeys; i++)
	{
		Form_pg_attribute att;

		store->key_attrs[i] = store->index->rd_index->indkey.values[i];
		att = TupleDescAttr(desc, store->key_attrs[i] - 1);
		store->key_collation[i] = att->attcollation;
		fmgr_info(key_procedure(att->atttypid, BTEqualStrategyNumber),
				  &store->key_eq[i]);
	}

	store->estate = CreateExecutorState();
	store->rri = makeNode(ResultRelInfo);
	InitResultRelInfo(store->rri, store->rel, 0, NULL, 0);
	ExecOpenIndices(store->rri, false);
	store->found = table_slot_create(store->rel, NULL);
	store->write = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);

	if (get_attnum(RelationGetRelid(store->rel), "id") == 1 &&
		TupleDescAttr(desc, 0)->attidentity != '\0')
		store->sequence = kpi_compat_identity_sequence(store->rel, 1);

	return store;
}

void
kpi_keyed_table_close(KpiStore *store)
{
	kpi_keyed_table_flush(store);
	for (int i = 0; store->batch != NULL && i < BATCH_ROWS && store->batch[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(store->batch[i]);
	if (store->scan)
		index_endscan(store->scan);
	ExecDropSingleTupleTableSlot(store->found);
	ExecDropSingleTupleTableSlot(store->write);
	ExecCloseIndices(store->rri);
	FreeExecutorState(store->estate);
	index_close(store->index, NoLock);
	table_close(store->rel, NoLock);
	pfree(store);
}

/*
 * Scan keys that take a NULL need their own form; the arguments are set by
 * the caller.
 */
static void
init_key(KpiStore *store, ScanKey key, int column, StrategyNumber strategy,
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
									   store->key_collation[column],
									   &store->key_eq[column], value);
	else
		ScanKeyEntryInitialize(key, 0, column + 1, strategy, InvalidOid,
							   store->key_collation[column],
							   key_procedure(TupleDescAttr(RelationGetDescr(store->rel),
														   store->key_attrs[column] - 1)->atttypid,
											 strategy),
							   value);
}

/*
 * Restarts the index scan with these keys, reusing it when it has as many.
 * The access method allocates in every call and expects it to last as long as
 * the scan, so the caller's context, often one per row, will not do.
 */
static void
start_scan(KpiStore *store, ScanKey keys, int nkeys, bool seeking)
{
	MemoryContext old = MemoryContextSwitchTo(store->mcxt);

	if (store->scan && store->scan_nkeys != nkeys)
	{
		index_endscan(store->scan);
		store->scan = NULL;
	}
	if (store->scan == NULL)
	{
		store->scan = kpi_compat_beginscan(store->rel, store->index,
										   store->snapshot, nkeys);
		store->scan_nkeys = nkeys;
	}
	/* The access method looks at this when it starts. */
	store->scan->xs_want_itup = seeking;
	index_rescan(store->scan, keys, nkeys, NULL, 0);
	store->seeking = seeking;
	MemoryContextSwitchTo(old);
}

bool
kpi_keyed_table_find(KpiStore *store, const Datum *keys, const bool *nulls)
{
	ScanKeyData scan_keys[KPI_STORE_MAX_KEYS];

	for (int i = 0; i < store->nkeys; i++)
		init_key(store, &scan_keys[i], i, BTEqualStrategyNumber, keys[i],
				 nulls != NULL && nulls[i]);
	start_scan(store, scan_keys, store->nkeys, false);

	return kpi_keyed_table_next(store);
}

/* ---- seeking ---- */

/*
 * Entries to step over before a descent from the root is cheaper, which also
 * reads the prefix's entries of the page it comes to once more.
 */
#define SEEK_STEPS 64

/* Values of a type that kpi_keyed_table_seek() allows after the prefix. */
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

/* The entry the scan stands on against the wanted key, after the prefix. */
static int
compare_entry(KpiStore *store, int nprefix, const Datum *keys)
{
	for (int i = nprefix; i < store->nkeys; i++)
	{
		bool		isnull;
		Datum		entry = index_getattr(store->scan->xs_itup, i + 1, store->scan->xs_itupdesc, &isnull);
		int			order = compare_values(entry, keys[i], store->key_collation[i] != InvalidOid);

		if (order != 0)
			return order;
	}
	return 0;
}

static bool
same_prefix(KpiStore *store, int nprefix, const Datum *keys, const bool *nulls)
{
	if (store->seek_nprefix != nprefix)
		return false;
	for (int i = 0; i < nprefix; i++)
	{
		if (store->seek_nulls[i] != (nulls != NULL && nulls[i]))
			return false;
		if (!store->seek_nulls[i] && store->seek_prefix[i] != keys[i] &&
			!DatumGetBool(FunctionCall2Coll(&store->key_eq[i], store->key_collation[i],
											store->seek_prefix[i], keys[i])))
			return false;
	}
	return true;
}

/* Descends to the first entry of the prefix that is not before the key. */
static void
seek_descend(KpiStore *store, int nprefix, const Datum *keys, const bool *nulls)
{
	ScanKeyData scan_keys[KPI_STORE_MAX_KEYS];
	TupleDesc	desc = RelationGetDescr(store->rel);

	for (int i = 0; i < nprefix; i++)
	{
		bool		isnull = nulls != NULL && nulls[i];
		Form_pg_attribute att = TupleDescAttr(desc, store->key_attrs[i] - 1);

		init_key(store, &scan_keys[i], i, BTEqualStrategyNumber, keys[i], isnull);

		/* The prefix outlives the caller's values: compared with the next. */
		if (!att->attbyval && store->seek_prefix[i] != (Datum) 0)
			pfree(DatumGetPointer(store->seek_prefix[i]));
		store->seek_prefix[i] = (Datum) 0;
		store->seek_nulls[i] = isnull;
		if (!isnull)
		{
			MemoryContext old = MemoryContextSwitchTo(store->mcxt);

			store->seek_prefix[i] = datumCopy(keys[i], att->attbyval, att->attlen);
			MemoryContextSwitchTo(old);
		}
	}
	init_key(store, &scan_keys[nprefix], nprefix, BTGreaterEqualStrategyNumber, keys[nprefix], false);
	start_scan(store, scan_keys, nprefix + 1, true);
	store->seek_nprefix = nprefix;
	store->seek_entry = false;
}

/* Steps to the next entry; false at the end of the prefix. */
static bool
seek_step(KpiStore *store)
{
	MemoryContext old = MemoryContextSwitchTo(store->mcxt);

	store->seek_entry = index_getnext_tid(store->scan, ForwardScanDirection) != NULL;
	MemoryContextSwitchTo(old);
	return store->seek_entry;
}

/*
 * Only the entry of the wanted key is followed to the heap.  Several may have
 * the key, as updates that moved the row leave old ones.
 */
bool
kpi_keyed_table_seek(KpiStore *store, int nprefix, const Datum *keys, const bool *nulls)
{
	int			steps = 0;

	if (!store->seeking || !same_prefix(store, nprefix, keys, nulls))
	{
		seek_descend(store, nprefix, keys, nulls);
		(void) seek_step(store);
	}
	while (store->seek_entry)
	{
		int			order = compare_entry(store, nprefix, keys);

		if (order > 0)
			return false;
		if (order == 0 && index_fetch_heap(store->scan, store->found))
			return true;
		if (order < 0 && ++steps == SEEK_STEPS)
			seek_descend(store, nprefix, keys, nulls);
		(void) seek_step(store);
	}
	return false;
}

void
kpi_keyed_table_scan(KpiStore *store, int nprefix, const Datum *prefix, bool bounded,
					 Datum low, Datum high)
{
	ScanKeyData scan_keys[KPI_STORE_MAX_KEYS + 1];
	int			n = 0;

	for (; n < nprefix; n++)
		init_key(store, &scan_keys[n], n, BTEqualStrategyNumber, prefix[n], false);
	if (bounded)
	{
		init_key(store, &scan_keys[n++], nprefix, BTGreaterEqualStrategyNumber, low, false);
		init_key(store, &scan_keys[n++], nprefix, BTLessEqualStrategyNumber, high, false);
	}
	start_scan(store, scan_keys, n, false);
}

bool
kpi_keyed_table_next(KpiStore *store)
{
	MemoryContext old = MemoryContextSwitchTo(store->mcxt);
	bool		found = index_getnext_slot(store->scan, ForwardScanDirection, store->found);

	MemoryContextSwitchTo(old);
	return found;
}

static void
fill_slot(KpiStore *store, TupleTableSlot *slot, const Datum *values, const bool *nulls)
{
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, natts * sizeof(Datum));
	if (nulls)
		memcpy(slot->tts_isnull, nulls, natts * sizeof(bool));
	else
		memset(slot->tts_isnull, false, natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(store->rel);
}

void
kpi_keyed_table_insert(KpiStore *store, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot;

	if (store->batch == NULL)
		store->batch = MemoryContextAllocZero(store->mcxt, BATCH_ROWS * sizeof(TupleTableSlot *));
	slot = store->batch[store->nbatch];
	if (slot == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(store->mcxt);

		slot = MakeSingleTupleTableSlot(RelationGetDescr(store->rel), &TTSOpsVirtual);
		store->batch[store->nbatch] = slot;
		MemoryContextSwitchTo(old);
	}
	fill_slot(store, slot, values, nulls);
	ExecMaterializeSlot(slot);
	store->nwritten++;
	if (++store->nbatch == BATCH_ROWS)
		kpi_keyed_table_flush(store);
}

/* One WAL record and one buffer lock for a page of rows, not for each. */
void
kpi_keyed_table_flush(KpiStore *store)
{
	if (store->nbatch == 0)
		return;
	table_multi_insert(store->rel, store->batch, store->nbatch,
					   GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < store->nbatch; i++)
	{
		kpi_compat_insert_index_tuples(store->rri, store->batch[i], store->estate);
		ResetPerTupleExprContext(store->estate);
	}
	store->nbatch = 0;
}

void
kpi_keyed_table_update_found(KpiStore *store, const Datum *values, const bool *nulls)
{
	ItemPointerData tid = store->found->tts_tid;

	fill_slot(store, store->write, values, nulls);
	kpi_compat_update(store->rri, &tid, store->write, store->estate, store->snapshot);
	ResetPerTupleExprContext(store->estate);
	store->nwritten++;
}

void
kpi_keyed_table_delete_found(KpiStore *store)
{
	simple_table_tuple_delete(store->rel, &store->found->tts_tid, store->snapshot);
	store->nwritten++;
}

int64
kpi_keyed_table_next_id(KpiStore *store)
{
	return nextval_internal(store->sequence, false);
}
