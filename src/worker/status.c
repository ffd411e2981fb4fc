/*-------------------------------------------------------------------------
 *
 * status.c
 *	  The launcher and the workers as kpi.worker_status shows them.
 *
 * Reads shared memory without any lock but each post's spinlock, so a row is
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

#define STATUS_COLUMNS 10

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
	values[3] = CStringGetTextDatum(state);
	nulls[0] = nulls[3] = false;
	if (pid != 0)
	{
		values[4] = Int32GetDatum(pid);
		nulls[4] = false;
		set_timestamp(values, nulls, 5, (TimestampTz) pg_atomic_read_u64(&kpi_shared->launcher_since));
		set_timestamp(values, nulls, 6, no_worker_since);
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

/*
 * A database that is being asked whether it has the extension is nobody's news,
 * nor is a builder that nobody has asked for.
 */
static bool
is_news(KpiSlot *slot, KpiWorkerKind kind)
{
	KpiPost    *post = &slot->posts[kind];

	if (!OidIsValid(pg_atomic_read_u32(&slot->dbid)) || pg_atomic_read_u32(&slot->confirmed) == 0)
		return false;
	return kind != KPI_WORKER_BUILDS ||
		pg_atomic_read_u32(&post->state) != KPI_WORKER_NONE ||
		pg_atomic_read_u64(&post->wakes) != pg_atomic_read_u64(&post->drained) ||
		pg_atomic_read_u64(&post->next_due) != DT_NOEND;
}

static void
put_post(ReturnSetInfo *rsinfo, KpiSlot *slot, KpiWorkerKind kind)
{
	Datum		values[STATUS_COLUMNS] = {0};
	bool		nulls[STATUS_COLUMNS] = {false};
	KpiPost    *post = &slot->posts[kind];
	KpiWorkerState state = pg_atomic_read_u32(&post->state);
	uint64		drained = pg_atomic_read_u64(&post->drained);
	uint64		wakes = pg_atomic_read_u64(&post->wakes);
	char		source[NAMEDATALEN];
	TimestampTz since,
				started;
	int			pid;

	SpinLockAcquire(&post->mutex);
	pid = post->pid;
	since = post->since;
	started = post->started;
	memcpy(source, post->source, NAMEDATALEN);
	SpinLockRelease(&post->mutex);

	values[0] = CStringGetTextDatum("worker");
	values[1] = CStringGetTextDatum(kind == KPI_WORKER_BUILDS ? "builds" : "deltas");
	values[2] = ObjectIdGetDatum(pg_atomic_read_u32(&slot->dbid));
	values[3] = CStringGetTextDatum(state_name(state, source[0] != '\0', wakes != drained));
	values[4] = Int32GetDatum(pid);
	nulls[4] = pid == 0;
	set_timestamp(values, nulls, 5, started);
	nulls[5] |= pid == 0;
	set_timestamp(values, nulls, 6, since);
	values[7] = CStringGetTextDatum(source);
	nulls[7] = source[0] == '\0';
	values[8] = Int64GetDatum((int64) (wakes - drained));
	nulls[8] = kind == KPI_WORKER_BUILDS;
	set_timestamp(values, nulls, 9, (TimestampTz) pg_atomic_read_u64(&post->next_due));
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
	{
		for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
		{
			if (is_news(&kpi_shared->slots[i], kind))
				put_post(rsinfo, &kpi_shared->slots[i], kind);
		}
	}
	return (Datum) 0;
}
