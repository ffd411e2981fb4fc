/*-------------------------------------------------------------------------
 *
 * log.h
 *	  What refreshes did: kpi.refresh_log, the server's log, NOTIFY.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_LOG_H
#define KPI_LOG_H

#include "apply.h"

/*
 * Tells of a run that succeeded, in its transaction; nothing of a refresh
 * that found nothing to do.  kind: refresh, build, verify or repair.
 */
extern void kpi_log_run(const KpiRun *run, const char *kind, TimestampTz started, double duration_ms);

/*
 * Notes in kpi.refresh_log a refresh that failed; for the worker, in a
 * transaction of its own after the refresh was rolled back.
 */
extern void kpi_log_failure(int32 source_id, TimestampTz started, double duration_ms,
							const char *sqlstate, const char *message);

#endif							/* KPI_LOG_H */
