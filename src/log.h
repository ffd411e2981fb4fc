/*-------------------------------------------------------------------------
 *
 * log.h
 *	  What refreshes did: kpi.refresh_log, the server's log, NOTIFY.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_LOG_H
#define KPI_LOG_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* What a run did. */
typedef struct KpiLogEntry
{
	int32		source_id;
	const char *source;			/* its name; of a failure NULL */
	const char *kind;			/* refresh, build, verify or repair */
	TimestampTz started;
	double		duration_ms;
	int64		ndeltas;
	int64		ncells;
	int64		nvalues;
	const char *sqlstate;		/* NULL: it succeeded */
	const char *error;
} KpiLogEntry;

/*
 * Tells of a run that succeeded, in its transaction; nothing of a refresh
 * that found nothing to do.
 */
extern void kpi_log_run(const KpiLogEntry *entry);

/*
 * Notes in kpi.refresh_log a refresh that failed; for the worker, in a
 * transaction of its own after the refresh was rolled back.
 */
extern void kpi_log_failure(int32 source_id, TimestampTz started, double duration_ms,
							const char *sqlstate, const char *message);

#endif							/* KPI_LOG_H */
