/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Settings of pg_kpi (prefix "kpi.").
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_GUC_H
#define KPI_GUC_H

#include "datatype/timestamp.h"

/* Size, in kB, at which a writer's buffer of deltas is spilled to the queue. */
extern int	kpi_buffer_size;

extern void kpi_guc_init(void);

/*
 * The present moment: the setting kpi.now where it is set (tests, what-if
 * demonstrations), else the start of the current statement.
 */
extern TimestampTz kpi_now(void);

#endif							/* KPI_GUC_H */
