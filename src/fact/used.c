/*-------------------------------------------------------------------------
 *
 * used.c
 *	  The columns that expressions use, and which of them an update changes.
 *
 * Values are compared as they are stored: one that is merely packed otherwise
 * counts as changed, and none is detoasted.  That is also what makes it cheap:
 * most updates leave the beginning of the row as it was, byte by byte, up to the
 * end of the last column that is used, and then the new row need not be taken
 * apart.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "fact/fact_internal.h"
#include "utils/datum.h"

void
kpi_fact_used_collect(KpiUsedColumns *used, TupleDesc desc, const Bitmapset *attrs)
{
	int			member = -1;

	memset(used, 0, sizeof(KpiUsedColumns));
	used->columns = palloc(sizeof(KpiUsedColumn) * Max(bms_num_members(attrs), 1));
	while ((member = bms_next_member(attrs, member)) >= 0)
	{
		AttrNumber	attno = member + FirstLowInvalidHeapAttributeNumber;
		Form_pg_attribute att;

		if (attno <= 0)
		{
			used->any = true;
			continue;
		}
		att = TupleDescAttr(desc, attno - 1);
		used->columns[used->n].attno = attno;
		used->columns[used->n].typlen = att->attlen;
		used->columns[used->n].typbyval = att->attbyval;
		used->n++;
		used->max_attno = attno;
	}
}

Bitmapset *
kpi_fact_used_attrs(const KpiUsedColumns *used)
{
	Bitmapset  *attrs = used->any ? bms_make_singleton(-FirstLowInvalidHeapAttributeNumber) : NULL;

	for (int i = 0; i < used->n; i++)
		attrs = bms_add_member(attrs, used->columns[i].attno - FirstLowInvalidHeapAttributeNumber);
	return attrs;
}

KpiColumnSet
kpi_fact_used_set(const KpiUsedColumns *used, const Bitmapset *attrs)
{
	KpiColumnSet set = 0;

	for (int i = 0; i < used->n; i++)
	{
		if (bms_is_member(used->columns[i].attno - FirstLowInvalidHeapAttributeNumber, attrs))
			set |= KPI_COLUMN_BIT(i);
	}
	return set;
}

/* The row as it is stored, and how much of it the slot has taken apart. */
static HeapTuple
stored_row(TupleTableSlot *slot, uint32 *end)
{
	if (TTS_IS_BUFFERTUPLE(slot))
	{
		*end = ((BufferHeapTupleTableSlot *) slot)->base.off;
		return ((BufferHeapTupleTableSlot *) slot)->base.tuple;
	}
	if (TTS_IS_HEAPTUPLE(slot))
	{
		*end = ((HeapTupleTableSlot *) slot)->off;
		return ((HeapTupleTableSlot *) slot)->tuple;
	}
	return NULL;
}

/*
 * Whether the two rows are the same bytes up to the end of the last column that
 * is used.  Not if one has columns that the other was stored without, or nulls
 * elsewhere.
 */
static bool
begins_alike(const KpiUsedColumns *used, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	uint32		end;
	HeapTuple	old_row = stored_row(old_slot, &end);
	HeapTuple	new_row = stored_row(new_slot, &end);
	HeapTupleHeader old_head;
	HeapTupleHeader new_head;
	uint32		start;

	if (old_row == NULL || new_row == NULL)
		return false;
	old_head = old_row->t_data;
	new_head = new_row->t_data;
	start = old_head->t_hoff;
	if (start != new_head->t_hoff ||
		HeapTupleHeaderGetNatts(old_head) != HeapTupleHeaderGetNatts(new_head) ||
		((old_head->t_infomask ^ new_head->t_infomask) & HEAP_HASNULL) != 0 ||
		memcmp(old_head->t_bits, new_head->t_bits, start - SizeofHeapTupleHeader) != 0)
		return false;

	slot_getsomeattrs(old_slot, used->max_attno);
	(void) stored_row(old_slot, &end);
	end += start;
	return end <= old_row->t_len && end <= new_row->t_len &&
		memcmp((char *) old_head + start, (char *) new_head + start, end - start) == 0;
}

static inline bool
is_same_value(const KpiUsedColumn *column, Datum a, Datum b)
{
	if (column->typbyval)
		return a == b;
	return datumIsEqual(a, b, false, column->typlen);
}

KpiColumnSet
kpi_fact_used_changed(const KpiUsedColumns *used, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	KpiColumnSet changed = 0;

	if (used->any)
		return KPI_ALL_COLUMNS;
	if (used->n == 0 || begins_alike(used, old_slot, new_slot))
		return 0;

	slot_getsomeattrs(old_slot, used->max_attno);
	slot_getsomeattrs(new_slot, used->max_attno);
	for (int i = 0; i < used->n; i++)
	{
		const KpiUsedColumn *column = &used->columns[i];
		int			a = column->attno - 1;
		bool		isnull = old_slot->tts_isnull[a];

		if (isnull != new_slot->tts_isnull[a] ||
			(!isnull && !is_same_value(column, old_slot->tts_values[a], new_slot->tts_values[a])))
			changed |= KPI_COLUMN_BIT(i);
	}
	return changed;
}
