/*-------------------------------------------------------------------------
 *
 * apply_run.h
 *	  Running the engine on a source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_APPLY_RUN_H
#define KPI_APPLY_RUN_H

#include "apply.h"

typedef enum KpiRunMode
{
	KPI_RUN_REFRESH,
	KPI_RUN_LOOK,				/* see whether the source can be refreshed */
	KPI_RUN_ACCEPT,				/* the same, and from now on the code of others
								 * that it reaches is known */
	KPI_RUN_VERIFY,				/* refresh, then report differences */
	KPI_RUN_REPAIR				/* refresh, then mend and count them */
} KpiRunMode;

typedef enum KpiRunResult
{
	KPI_RUN_DONE,
	KPI_RUN_LOOKED,				/* it can be refreshed */
	KPI_RUN_SUSPENDED,			/* nothing was done: see kpi.source_status */
	KPI_RUN_GONE				/* the source was dropped meanwhile */
} KpiRunResult;

/* The caller holds the locks of kpi_lock_sources(). */
extern KpiRunResult kpi_run_source(int32 source_id, KpiRunMode mode, KpiReport *report);

#endif							/* KPI_APPLY_RUN_H */
