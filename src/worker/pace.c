/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  Under a snapshot that is held open elsewhere, sources are refreshed less often.
 *
 * A refresh rewrites the same rows again and again: today and this month of the
 * company, where goals stand, the state of the source.  What it leaves behind goes
 * away as soon as nobody can see it, and piles up while somebody can.  So once
 * many refreshes were made and a snapshot from before them is still there, each
 * source is refreshed once a second, and after some more once in five seconds,
 * until that snapshot is gone.  What a user asks for is done at once.
 *
 * Whether it is there is seen by a mark: the transaction number that was next when
 * there was no older snapshot than now.  Mark and number of refreshes are in the
 * database's slot, as the worker comes and goes; kpi.health() reads them.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "access/transam.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

PG_FUNCTION_INFO_V1(kpi_sql_held_snapshot);

/* Refreshes under one snapshot before they are made less often, and before still less. */
#define MANY_REFRESHES 500
#define TOO_MANY_REFRESHES (MANY_REFRESHES + 30)
#define MANY_PAUSE_MS 1000
#define TOO_MANY_PAUSE_MS 5000

/* How often to look for the snapshot. */
#define LOOK_MS 100

static int
pause_of(KpiSlot *slot)
{
	uint32		n = pg_atomic_read_u32(&slot->held_refreshes);

	return n >= TOO_MANY_REFRESHES ? TOO_MANY_PAUSE_MS : n >= MANY_REFRESHES ? MANY_PAUSE_MS : 0;
}

void
kpi_worker_pace_look(void)
{
	static TimestampTz looked = 0;
	KpiSlot    *slot = kpi_worker_self.slot;
	TransactionId mark = pg_atomic_read_u32(&slot->held_mark);
	TimestampTz now = GetCurrentTimestamp();
	Relation	rel;
	TransactionId horizon;

	if (now >= looked && !TimestampDifferenceExceeds(looked, now, LOOK_MS))
		return;
	looked = now;
	rel = table_open(kpi_relation_oid("kpi_internal", "source_state"), AccessShareLock);
	horizon = GetOldestNonRemovableTransactionId(rel);
	table_close(rel, AccessShareLock);
	if (TransactionIdIsNormal(mark) && TransactionIdPrecedes(horizon, mark))
		return;
	pg_atomic_write_u32(&slot->held_refreshes, 0);
	pg_atomic_write_u64(&slot->held_since, now);
	pg_atomic_write_u32(&slot->held_mark, ReadNextTransactionId());
}

void
kpi_worker_pace_count(void)
{
	pg_atomic_fetch_add_u32(&kpi_worker_self.slot->held_refreshes, 1);
}

int
kpi_worker_pace_ms(void)
{
	return pause_of(kpi_worker_self.slot);
}

/* kpi_internal.held_snapshot(OUT since timestamptz, OUT before xid, OUT pause_seconds integer) */
Datum
kpi_sql_held_snapshot(PG_FUNCTION_ARGS)
{
	KpiSlot    *slot = kpi_shared ? kpi_slot_find(MyDatabaseId) : NULL;
	Datum		values[3] = {0};
	bool		nulls[3] = {true, true, true};
	TupleDesc	tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (slot != NULL && pause_of(slot) > 0)
	{
		values[0] = TimestampTzGetDatum((TimestampTz) pg_atomic_read_u64(&slot->held_since));
		values[1] = TransactionIdGetDatum(pg_atomic_read_u32(&slot->held_mark));
		values[2] = Int32GetDatum(pause_of(slot) / 1000);
		memset(nulls, false, sizeof(nulls));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
