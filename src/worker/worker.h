/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  When refreshes run by themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_WORKER_H
#define KPI_WORKER_H

#include "postgres.h"

#include "base/base.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "refresh/refresh.h"
#include "storage/spin.h"

/* ---- status.c ---- */

/* ---- crash.c ---- */

/* Reads, in the postmaster, which databases' workers crashed before. */
extern void kpi_worker_crash_shmem_init(void);

/* Finds the crashes of the database's worker, until one has made up for them. */
extern bool kpi_worker_crash_find(Oid dbid, KpiCrash *crash);

/* Returns when a worker may be started at the earliest; DT_NOBEGIN: at once. */
extern TimestampTz kpi_worker_crash_retry_at(Oid dbid, TimestampTz now);

/* ---- utility.c ---- */

extern void kpi_worker_utility_init(void);

/* ---- launcher.c ---- */

extern void kpi_worker_launcher_register(void);
extern PGDLLEXPORT void kpi_worker_launcher_main(Datum arg);
extern PGDLLEXPORT void kpi_worker_main(Datum arg);

/* ---- failure.c ---- */

/*
 * Refreshes a source in a subtransaction.  An error, unless the session is to
 * stop what it does, is noted and returned; else NULL.
 */
extern ErrorData *kpi_worker_refresh_caught(int32 source_id, KpiRunResult *result);

/*
 * Runs kpi_refresh_source_days() for whoever has called a function of ours: an
 * error says no more than is for the current user (base/base.h).
 */
extern KpiRunResult kpi_worker_for_user(int32 source_id, KpiRunMode mode, const KpiDays *days,
										KpiReport *report);

#endif							/* KPI_WORKER_H */
