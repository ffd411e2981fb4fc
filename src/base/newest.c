/*-------------------------------------------------------------------------
 *
 * newest.c
 *	  Rows that are rewritten again and again, found by a unique index.
 *
 * An update that finds no room beside the row leaves an index entry for the
 * version that was and makes one for the version that is.  While a snapshot is
 * held open elsewhere none of them goes away, and who follows each to the heap
 * reads as many pages as there were updates.  The entries of a key are in the order
 * of their pages, and as pages with old versions are full the version that counts
 * is mostly the last.  So rows are looked for from behind, and once one was found
 * the other entries of its key are passed without a look at the heap.
 *
 * That is an order of search only: whatever the snapshot shows is found, and what
 * an old snapshot shows takes longer.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "base/base.h"
#include "utils/rel.h"

void
kpi_newest_begin(KpiNewest *newest, Oid relid, Oid index_id, Snapshot snapshot, ScanKey keys, int nkeys)
{
	newest->rel = table_open(relid, AccessShareLock);
	newest->index = index_open(OidIsValid(index_id) ? index_id : kpi_compat_primary_key(newest->rel), AccessShareLock);
	newest->found = table_slot_create(newest->rel, NULL);
	newest->key_size = 0;
	newest->scan = kpi_compat_beginscan(newest->rel, newest->index, snapshot, nkeys);
	newest->scan->xs_want_itup = true;
	index_rescan(newest->scan, keys, nkeys, NULL, 0);
}

/* The columns of the entry the scan stands on. */
static const char *
entry_key(const KpiNewest *newest, Size *size)
{
	IndexTuple	entry = newest->scan->xs_itup;

	*size = IndexTupleSize(entry) - sizeof(IndexTupleData);
	return (const char *) entry + sizeof(IndexTupleData);
}

static bool
is_of_found(const KpiNewest *newest)
{
	Size		size;
	const char *key = entry_key(newest, &size);

	return newest->key_size == size && memcmp(newest->key, key, size) == 0;
}

static void
remember_key(KpiNewest *newest)
{
	Size		size;
	const char *key = entry_key(newest, &size);

	newest->key_size = size <= sizeof(newest->key) ? size : 0;
	memcpy(newest->key, key, newest->key_size);
}

bool
kpi_newest_next(KpiNewest *newest)
{
	while (index_getnext_tid(newest->scan, BackwardScanDirection) != NULL)
	{
		if (newest->key_size > 0 && is_of_found(newest))
			continue;
		if (!index_fetch_heap(newest->scan, newest->found))
			continue;
		remember_key(newest);
		return true;
	}
	return false;
}

Datum
kpi_newest_column(KpiNewest *newest, AttrNumber attno, bool *isnull)
{
	return slot_getattr(newest->found, attno, isnull);
}

void
kpi_newest_end(KpiNewest *newest)
{
	index_endscan(newest->scan);
	ExecDropSingleTupleTableSlot(newest->found);
	index_close(newest->index, AccessShareLock);
	table_close(newest->rel, AccessShareLock);
}
