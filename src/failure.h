/*-------------------------------------------------------------------------
 *
 * failure.h
 *	  Errors that end a refresh.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_FAILURE_H
#define KPI_FAILURE_H

#include "postgres.h"

#include "apply_run.h"
#include "datatype/timestamp.h"

/*
 * Notes the error in the source's state, with when to try again, and in
 * kpi.refresh_log.  The refresh, begun then, has been rolled back.  True: the
 * last refresh failed by the same error.
 */
extern bool kpi_failure_note(int32 source_id, TimestampTz started, const ErrorData *error);

/* Counts in the source's state a refresh that was cancelled for a waiter. */
extern void kpi_failure_count_give_way(int32 source_id);

/*
 * Refreshes a source in a subtransaction.  An error, unless the session is to
 * stop what it does, is noted and returned; else NULL.
 */
extern ErrorData *kpi_refresh_caught(int32 source_id);

/*
 * kpi_run_source() for whoever has called a function of ours: an error says no
 * more than is for the current user (error_text.h).
 */
extern KpiRunResult kpi_run_for_user(int32 source_id, KpiRunMode mode, KpiReport *report);

#endif							/* KPI_FAILURE_H */
