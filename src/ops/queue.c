/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  What waits in the queue, as views show it.
 *
 * The rows are those of the statement's snapshot.  A segment is emptied as a
 * whole (capture/segment.c), so under a snapshot from before that nothing of it
 * is seen any more.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "capture/capture.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(kpi_sql_queue_state);
PG_FUNCTION_INFO_V1(kpi_sql_queue_deltas);

static Datum
time_or_null(TimestampTz at, bool *isnull)
{
	*isnull = at == DT_NOEND;
	return TimestampTzGetDatum(at);
}

/*
 * kpi_internal.queue_state(source_id): how many deltas wait, when the oldest was
 * committed, where that is known, and when it was committed or, else, captured.
 */
Datum
kpi_sql_queue_state(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};
	int64		ndeltas = 0;
	TimestampTz committed = DT_NOEND;
	TimestampTz oldest = DT_NOEND;
	KpiQueueScan scan;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	kpi_capture_scan_begin(&scan, PG_GETARG_INT32(0), InvalidOid, GetActiveSnapshot(), AccessShareLock);
	while (kpi_capture_scan_next(&scan))
	{
		TimestampTz at = kpi_capture_scan_committed_at(&scan);

		ndeltas += scan.ndeltas;
		if (at != 0)
			committed = Min(committed, at);
		else
			at = kpi_capture_scan_captured_at(&scan);
		oldest = Min(oldest, at);
	}
	kpi_capture_scan_end(&scan);

	values[0] = Int64GetDatum(ndeltas);
	values[1] = time_or_null(committed, &nulls[1]);
	values[2] = time_or_null(oldest, &nulls[2]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Columns of kpi_internal.queue_deltas(). */
enum
{
	DELTA_STREAM,
	DELTA_VERSION,
	DELTA_KIND,
	DELTA_OWNER,
	DELTA_DAY,
	DELTA_DIMS,
	DELTA_CELL,
	DELTA_ERROR,
	DELTA_CAPTURED_AT,
	DELTA_LOWEST_XID,
	DELTA_COLUMNS
};

static void
put_deltas(ReturnSetInfo *rsinfo, KpiQueueScan *scan, Datum *values, bool *nulls)
{
	KpiUnpack	delta;

	kpi_capture_unpack_begin(&delta, kpi_capture_scan_data(scan));
	while (kpi_capture_unpack_next(&delta))
	{
		values[DELTA_STREAM] = Int32GetDatum(delta.stream_id);
		values[DELTA_VERSION] = Int32GetDatum(delta.version);
		values[DELTA_DAY] = DateADTGetDatum(delta.day);
		values[DELTA_CELL] = PointerGetDatum(delta.cell);
		nulls[DELTA_STREAM] = nulls[DELTA_VERSION] = nulls[DELTA_DAY] = nulls[DELTA_CELL] = false;
		nulls[DELTA_OWNER] = delta.owner == NULL;
		if (delta.owner != NULL)
			values[DELTA_OWNER] = CStringGetTextDatum(delta.owner);
		nulls[DELTA_DIMS] = delta.ndims == 0;
		if (delta.ndims > 0)
			values[DELTA_DIMS] = kpi_capture_unpack_dims(&delta);
		nulls[DELTA_ERROR] = delta.error == NULL;
		if (delta.error != NULL)
			values[DELTA_ERROR] = CStringGetTextDatum(delta.error);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* kpi_internal.queue_deltas(source_id): one row per delta or marker. */
Datum
kpi_sql_queue_deltas(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	KpiQueueScan scan;

	InitMaterializedSRF(fcinfo, 0);
	kpi_capture_scan_begin(&scan, PG_GETARG_INT32(0), InvalidOid, GetActiveSnapshot(), AccessShareLock);
	while (kpi_capture_scan_next(&scan))
	{
		Datum		values[DELTA_COLUMNS] = {0};
		bool		nulls[DELTA_COLUMNS];
		char	   *error = kpi_capture_scan_error(&scan);

		memset(nulls, true, sizeof(nulls));
		values[DELTA_KIND] = CharGetDatum(scan.kind);
		values[DELTA_CAPTURED_AT] = TimestampTzGetDatum(kpi_capture_scan_captured_at(&scan));
		values[DELTA_LOWEST_XID] = FullTransactionIdGetDatum(kpi_capture_scan_writer(&scan));
		nulls[DELTA_KIND] = nulls[DELTA_CAPTURED_AT] = nulls[DELTA_LOWEST_XID] = false;
		if (scan.kind == KPI_DELTA_CELL)
		{
			put_deltas(rsinfo, &scan, values, nulls);
			continue;
		}
		if (error != NULL)
			values[DELTA_ERROR] = CStringGetTextDatum(error);
		nulls[DELTA_ERROR] = error == NULL;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	kpi_capture_scan_end(&scan);
	return (Datum) 0;
}
