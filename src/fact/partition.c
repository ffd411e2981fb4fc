/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  Which days the rows of a partition can be of, by its bounds.
 *
 * Kept while a partition is there (kpi_internal.leaf), for when it is gone.  Only
 * the columns of the root's key are asked for, never its expressions, which
 * would be the owner's code.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* The first column of a key of ranges, or InvalidAttrNumber: there is none such. */
static AttrNumber
first_key_column(Oid root)
{
	HeapTuple	tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(root));
	AttrNumber	attno = InvalidAttrNumber;

	if (!HeapTupleIsValid(tuple))
		return InvalidAttrNumber;
	if (((Form_pg_partitioned_table) GETSTRUCT(tuple))->partstrat == PARTITION_STRATEGY_RANGE)
		attno = ((Form_pg_partitioned_table) GETSTRUCT(tuple))->partattrs.values[0];
	ReleaseSysCache(tuple);
	return attno;
}

/* The one of the root's partitions that a table is, or is below of. */
static Oid
partition_of_root(Oid leaf, List *ancestors)
{
	int			n = list_length(ancestors);

	return n < 2 ? leaf : list_nth_oid(ancestors, n - 2);
}

static PartitionBoundSpec *
bounds_of(Oid partition)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(partition));
	PartitionBoundSpec *bounds = NULL;
	Datum		value;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	value = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &isnull);
	if (!isnull)
		bounds = stringToNode(TextDatumGetCString(value));
	ReleaseSysCache(tuple);
	return bounds;
}

/* The day of a bound, in UTC; false: it is of another type. */
static bool
bound_day(const List *datums, DateADT *day)
{
	const PartitionRangeDatum *datum = linitial_node(PartitionRangeDatum, datums);
	const Const *value;

	if (datum->kind != PARTITION_RANGE_DATUM_VALUE)
	{
		*day = datum->kind == PARTITION_RANGE_DATUM_MINVALUE ? DATEVAL_NOBEGIN : DATEVAL_NOEND;
		return true;
	}
	value = castNode(Const, datum->value);
	switch (value->consttype)
	{
		case DATEOID:
			*day = DatumGetDateADT(value->constvalue);
			return true;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			{
				Timestamp	at = DatumGetTimestamp(value->constvalue);
				int64		days = at / USECS_PER_DAY;

				if (TIMESTAMP_NOT_FINITE(at))
					*day = TIMESTAMP_IS_NOBEGIN(at) ? DATEVAL_NOBEGIN : DATEVAL_NOEND;
				else
					*day = (DateADT) (at % USECS_PER_DAY < 0 ? days - 1 : days);
				return true;
			}
		default:
			return false;
	}
}

/*
 * A day of slack on both sides, as bounds are moments and days are cut in a time
 * zone, and another one above, where the bound itself is in the range.
 */
char *
kpi_fact_partition_days(Oid leaf, DateADT *since, DateADT *until)
{
	List	   *ancestors = get_rel_relispartition(leaf) ? get_partition_ancestors(leaf) : NIL;
	PartitionBoundSpec *bounds;
	AttrNumber	attno;

	if (ancestors == NIL)
		return NULL;
	attno = first_key_column(llast_oid(ancestors));
	bounds = attno == InvalidAttrNumber ? NULL : bounds_of(partition_of_root(leaf, ancestors));
	if (bounds == NULL || bounds->is_default || bounds->strategy != PARTITION_STRATEGY_RANGE ||
		!bound_day(bounds->lowerdatums, since) || !bound_day(bounds->upperdatums, until))
		return NULL;
	if (!DATE_NOT_FINITE(*since))
		*since -= 1;
	if (!DATE_NOT_FINITE(*until))
		*until += 2;
	return get_attname(llast_oid(ancestors), attno, true);
}
