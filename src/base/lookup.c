/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Rows of one of our own tables, found by one of its indexes.
 *
 * A statement finds few rows among many only if the planner knows that they are
 * many.  It does not while nobody has analyzed the table, nor, in a plan that
 * is kept, once the table has grown: then one change reads a whole dictionary.
 * Here the index is always taken, and no plan is needed.
 *
 * SnapshotSelf shows rows as they are now, those that this very command has
 * written included.  It is for rows that are never updated, and for those that
 * a lock of the caller's keeps others from.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "base/base.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* The equality by which a column of the index is searched. */
static void
set_equal(KpiLookup *lookup, int column)
{
	Oid			type = lookup->index->rd_opcintype[column];
	Oid			op = get_opfamily_member(lookup->index->rd_opfamily[column], type, type, BTEqualStrategyNumber);

	if (!OidIsValid(op))
		elog(ERROR, "index \"%s\" has no equality", RelationGetRelationName(lookup->index));
	fmgr_info_cxt(get_opcode(op), &lookup->equal[column], lookup->mcxt);
}

void
kpi_lookup_open(KpiLookup *lookup, const char *schema, const char *table, const char *index, int nkeys,
				Snapshot snapshot)
{
	Assert(nkeys <= KPI_LOOKUP_MAX_KEYS);
	lookup->mcxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi lookup", ALLOCSET_DEFAULT_SIZES);
	lookup->rel = table_open(kpi_relation_oid(schema, table), AccessShareLock);
	lookup->index = index_open(kpi_relation_oid(schema, index), AccessShareLock);
	lookup->nkeys = nkeys;
	if (snapshot == SnapshotSelf && kpi_snapshot_is_pinned())
		snapshot = GetActiveSnapshot();
	for (int i = 0; i < nkeys; i++)
		set_equal(lookup, i);
	lookup->scan = kpi_compat_beginscan(lookup->rel, lookup->index, snapshot, nkeys);
	lookup->found = table_slot_create(lookup->rel, NULL);
}

/*
 * The access method allocates in every call and expects it to last as long as
 * the scan, so it is called in the lookup's own context.
 */
void
kpi_lookup_begin(KpiLookup *lookup, const Datum *keys)
{
	ScanKeyData scan_keys[KPI_LOOKUP_MAX_KEYS];
	MemoryContext old = MemoryContextSwitchTo(lookup->mcxt);

	for (int i = 0; i < lookup->nkeys; i++)
		ScanKeyEntryInitializeWithInfo(&scan_keys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
									   lookup->index->rd_indcollation[i], &lookup->equal[i], keys[i]);
	index_rescan(lookup->scan, scan_keys, lookup->nkeys, NULL, 0);
	MemoryContextSwitchTo(old);
}

bool
kpi_lookup_next(KpiLookup *lookup)
{
	MemoryContext old = MemoryContextSwitchTo(lookup->mcxt);
	bool		found = index_getnext_slot(lookup->scan, ForwardScanDirection, lookup->found);

	MemoryContextSwitchTo(old);
	return found;
}

Datum
kpi_lookup_column(KpiLookup *lookup, AttrNumber attno)
{
	bool		isnull;
	Datum		value = slot_getattr(lookup->found, attno, &isnull);

	if (isnull)
		elog(ERROR, "column %d of table \"%s\" is null", attno, RelationGetRelationName(lookup->rel));
	return value;
}

void
kpi_lookup_close(KpiLookup *lookup)
{
	ExecDropSingleTupleTableSlot(lookup->found);
	index_endscan(lookup->scan);
	index_close(lookup->index, AccessShareLock);
	table_close(lookup->rel, AccessShareLock);
	MemoryContextDelete(lookup->mcxt);
}
