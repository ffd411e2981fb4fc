/*-------------------------------------------------------------------------
 *
 * member_day.c
 *	  Days of members of whom several owners are known: the row of each once.
 *
 * The view kpi_internal.member_day finds the days of a member in the base cells of
 * its owners: its key, and its aliases.  A day on which more than one of them has
 * cells is shown at the first, and no cell there is all of it.
 *
 * As in cells.c: no SPI, no rights, works in parallel workers.  Lock: ACCESS SHARE
 * on the tables read.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "fmgr.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "value/value_internal.h"

PG_FUNCTION_INFO_V1(kpi_sql_has_one_owner);
PG_FUNCTION_INFO_V1(kpi_sql_is_first_owner);

static bool
has_cells(int32 stream_id, int32 owner_id, DateADT day)
{
	ScanKeyData keys[3];
	KpiNewest	cells;
	bool		found;

	kpi_value_key(&keys[0], Anum_day_stream_id, stream_id);
	kpi_value_key(&keys[1], Anum_day_owner_id, owner_id);
	ScanKeyInit(&keys[2], Anum_day_day, BTEqualStrategyNumber, F_DATE_EQ, DateADTGetDatum(day));
	kpi_newest_begin(&cells, kpi_relation_oid("kpi_internal", "day_cell"), InvalidOid, GetActiveSnapshot(), keys,
					 lengthof(keys));
	found = kpi_newest_next(&cells);
	kpi_newest_end(&cells);
	return found;
}

/* kpi_internal.has_one_owner(source_id, member_id) */
Datum
kpi_sql_has_one_owner(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(list_length(kpi_value_member_owners(PG_GETARG_INT32(0), PG_GETARG_INT32(1))) <= 1);
}

/*
 * kpi_internal.is_first_owner(source_id, member_id, stream_id, owner_id, day): no
 * owner of the member before this one has cells of the day.
 */
Datum
kpi_sql_is_first_owner(PG_FUNCTION_ARGS)
{
	const List *owner_ids = kpi_value_member_owners(PG_GETARG_INT32(0), PG_GETARG_INT32(1));
	int32		owner_id = PG_GETARG_INT32(3);
	ListCell   *lc;

	foreach(lc, owner_ids)
	{
		if (lfirst_int(lc) < owner_id && has_cells(PG_GETARG_INT32(2), lfirst_int(lc), PG_GETARG_DATEADT(4)))
			PG_RETURN_BOOL(false);
	}
	PG_RETURN_BOOL(true);
}
