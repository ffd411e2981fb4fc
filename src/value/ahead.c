/*-------------------------------------------------------------------------
 *
 * ahead.c
 *	  Base cells of some days, of one value of a dimension, that count for a team.
 *
 * Of a dimension's value there are cells of months only.  What is dated until a
 * day within a month is the month less the days after it: those are few where
 * the day is today, and base cells are found by their day.  Each says by its
 * combination of dimension values and its owner, as the last refresh attributed
 * it, whether it counts; of an attribute the attribution has the value.
 *
 * As in cells.c: no SPI, the active snapshot, ACCESS SHARE on our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "base/base.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "people/people.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "value/value_internal.h"

enum
{
	Anum_dim_id = 1,
	Anum_dim_source_id,
	Anum_dim_position,
	Anum_dim_vals
};

/* Values of dimensions: one alone, at its position, or all of a combination. */
typedef struct DimRow
{
	int			position;
	int			nvals;
	Datum	   *vals;
	bool	   *isnull;
} DimRow;

static bool
read_dim(int32 id, DimRow *dim)
{
	Relation	rel = table_open(kpi_relation_oid("kpi_internal", "dim"), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;

	kpi_value_key(&key, Anum_dim_id, id);
	scan = systable_beginscan(rel, kpi_compat_primary_key(rel), true, GetActiveSnapshot(), 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		dim->position = DatumGetInt16(heap_getattr(tuple, Anum_dim_position, RelationGetDescr(rel), &isnull));
		deconstruct_array(DatumGetArrayTypePCopy(heap_getattr(tuple, Anum_dim_vals, RelationGetDescr(rel), &isnull)),
						  TEXTOID, -1, false, TYPALIGN_INT, &dim->vals, &dim->isnull, &dim->nvals);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/* Whether a combination has the one value at its position. */
static bool
has_value(const DimRow *combination, const DimRow *wanted)
{
	int			i = wanted->position - 1;

	if (i >= combination->nvals || combination->isnull[i] != wanted->isnull[0])
		return false;
	return wanted->isnull[0] ||
		DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, combination->vals[i], wanted->vals[0]));
}

static bool
is_among(Datum teams, int32 team_id)
{
	ArrayType  *array = DatumGetArrayTypeP(teams);
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	const int32 *ids = (const int32 *) ARR_DATA_PTR(array);

	for (int i = 0; i < n; i++)
	{
		if (ids[i] == team_id)
			return true;
	}
	return false;
}

/* Whether that is so, or may be, as the combination has none and an attribute is no part of it. */
static bool
may_have_value(const DimRow *combination, const DimRow *wanted)
{
	return has_value(combination, wanted) ||
		(wanted->position <= combination->nvals && combination->isnull[wanted->position - 1]);
}

/* Whether facts have the value wanted: that of the attribution if it has one at the position, else their own. */
static bool
has_value_of(Datum dims, const KpiDays *days, const DimRow *wanted, const DimRow *combination)
{
	ArrayType  *array = DatumGetArrayTypeP(dims);
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	const int32 *ids = (const int32 *) ARR_DATA_PTR(array);

	if (wanted->position <= n && ids[wanted->position - 1] != 0)
		return ids[wanted->position - 1] == days->dim_id;
	return has_value(combination, wanted);
}

static bool
counts_for_team(const KpiDays *days, const DimRow *wanted, const DimRow *combination, int32 owner_id, DateADT day)
{
	Relation	rel;
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		counts = false;

	if (days->owner_kind == KPI_OWNER_COMPANY)
		return days->scope_id == KPI_TEAM_COMPANY && has_value(combination, wanted);
	rel = table_open(kpi_relation_oid("kpi_internal", "applied_attribution"), AccessShareLock);
	kpi_value_key(&keys[0], Anum_applied_source_id, days->source_id);
	kpi_value_key(&keys[1], Anum_applied_owner_kind, days->owner_kind);
	kpi_value_key(&keys[2], Anum_applied_owner_id, owner_id);
	scan = systable_beginscan(rel, kpi_compat_primary_key(rel), true, GetActiveSnapshot(), lengthof(keys), keys);
	while (!counts && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;

		if (day >= DatumGetDateADT(heap_getattr(tuple, Anum_applied_since, desc, &isnull)) &&
			day < DatumGetDateADT(heap_getattr(tuple, Anum_applied_until, desc, &isnull)))
			counts = is_among(heap_getattr(tuple, Anum_applied_teams, desc, &isnull), days->scope_id) &&
				has_value_of(heap_getattr(tuple, Anum_applied_dims, desc, &isnull), days, wanted, combination);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return counts;
}

/* Takes what counts from the sum, or adds it. */
KpiCell *
kpi_value_sum_ahead(KpiCell *sum, const KpiDays *days, DateADT since, DateADT until, bool subtract)
{
	Relation	rel;
	DimRow		wanted;
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	if (since >= until || !read_dim(days->dim_id, &wanted))
		return sum;
	rel = table_open(kpi_relation_oid("kpi_internal", "day_cell"), AccessShareLock);
	kpi_value_key(&keys[0], Anum_day_stream_id, days->stream_id);
	ScanKeyInit(&keys[1], Anum_day_day, BTGreaterEqualStrategyNumber, F_DATE_GE, DateADTGetDatum(since));
	ScanKeyInit(&keys[2], Anum_day_day, BTLessStrategyNumber, F_DATE_LT, DateADTGetDatum(until));
	scan = systable_beginscan(rel, kpi_relation_oid("kpi_internal", "day_cell_day_idx"), true,
							  GetActiveSnapshot(), lengthof(keys), keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;
		DimRow		combination;
		const KpiCell *cell;

		if (!read_dim(DatumGetInt32(heap_getattr(tuple, Anum_day_dim_id, desc, &isnull)), &combination) ||
			!may_have_value(&combination, &wanted) ||
			!counts_for_team(days, &wanted, &combination,
							 DatumGetInt32(heap_getattr(tuple, Anum_day_owner_id, desc, &isnull)),
							 DatumGetDateADT(heap_getattr(tuple, Anum_day_day, desc, &isnull))))
			continue;
		cell = DatumGetKpiCellP(heap_getattr(tuple, Anum_day_cell, desc, &isnull));
		sum = subtract ? kpi_cell_subtract(sum, cell) : kpi_cell_merge(sum, cell);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return sum;
}
