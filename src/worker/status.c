/*-------------------------------------------------------------------------
 *
 * status.c
 *	  The launcher and the workers as kpi.worker_status shows them.
 *
 * Reads shared memory without any lock but each slot's spinlock, so a row is
 * what was true at some moment.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(kpi_sql_worker_status);

#define STATUS_COLUMNS 9

static void
set_timestamp(Datum *values, bool *nulls, int column, TimestampTz value)
{
	nulls[column] = value == 0 || TIMESTAMP_NOT_FINITE(value);
	values[column] = TimestampTzGetDatum(value);
}

static void
put_launcher(ReturnSetInfo *rsinfo)
{
	Datum		values[STATUS_COLUMNS] = {0};
	bool		nulls[STATUS_COLUMNS];
	uint32		pid = kpi_shared ? pg_atomic_read_u32(&kpi_shared->launcher_pid) : 0;
	TimestampTz no_worker_since = kpi_shared ? pg_atomic_read_u64(&kpi_shared->no_worker_since) : 0;
	const char *state;

	if (kpi_shared == NULL)
		state = "not preloaded";
	else if (pid == 0)
		state = "not running";
	else if (!kpi_enabled)
		state = "disabled";
	else
		state = no_worker_since == 0 ? "running" : "no free process";

	memset(nulls, true, sizeof(nulls));
	values[0] = CStringGetTextDatum("launcher");
	values[2] = CStringGetTextDatum(state);
	nulls[0] = nulls[2] = false;
	if (pid != 0)
	{
		values[3] = Int32GetDatum(pid);
		nulls[3] = false;
		set_timestamp(values, nulls, 4, (TimestampTz) pg_atomic_read_u64(&kpi_shared->launcher_since));
		set_timestamp(values, nulls, 5, no_worker_since);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static const char *
state_name(KpiWorkerState state, bool has_source, bool pending)
{
	switch (state)
	{
		case KPI_WORKER_STARTING:
			return "starting";
		case KPI_WORKER_AWAKE:
			return has_source ? "working" : "waiting";
		case KPI_WORKER_LEAVING:
			return "leaving";
		case KPI_WORKER_NONE:
			break;
	}
	return pending ? "queued" : "asleep";
}

static void
put_slot(ReturnSetInfo *rsinfo, KpiSlot *slot)
{
	Datum		values[STATUS_COLUMNS] = {0};
	bool		nulls[STATUS_COLUMNS] = {false};
	Oid			dbid = pg_atomic_read_u32(&slot->dbid);
	KpiWorkerState state = pg_atomic_read_u32(&slot->state);
	uint64		drained = pg_atomic_read_u64(&slot->drained);
	uint64		wakes = pg_atomic_read_u64(&slot->wakes);
	char		source[NAMEDATALEN];
	TimestampTz since,
				started;
	int			pid;

	/* One that is being asked whether it has the extension is nobody's news. */
	if (!OidIsValid(dbid) || pg_atomic_read_u32(&slot->confirmed) == 0)
		return;
	SpinLockAcquire(&slot->mutex);
	pid = slot->pid;
	since = slot->since;
	started = slot->started;
	memcpy(source, slot->source, NAMEDATALEN);
	SpinLockRelease(&slot->mutex);

	values[0] = CStringGetTextDatum("worker");
	values[1] = ObjectIdGetDatum(dbid);
	values[2] = CStringGetTextDatum(state_name(state, source[0] != '\0', wakes != drained));
	values[3] = Int32GetDatum(pid);
	nulls[3] = pid == 0;
	set_timestamp(values, nulls, 4, started);
	nulls[4] |= pid == 0;
	set_timestamp(values, nulls, 5, since);
	values[6] = CStringGetTextDatum(source);
	nulls[6] = source[0] == '\0';
	values[7] = Int64GetDatum((int64) (wakes - drained));
	set_timestamp(values, nulls, 8, (TimestampTz) pg_atomic_read_u64(&slot->next_due));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* kpi_internal.worker_status() */
Datum
kpi_sql_worker_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	put_launcher(rsinfo);
	for (int i = 0; kpi_shared != NULL && i < kpi_shared->nslots; i++)
		put_slot(rsinfo, &kpi_shared->slots[i]);
	return (Datum) 0;
}
