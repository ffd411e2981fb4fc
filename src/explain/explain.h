/*-------------------------------------------------------------------------
 *
 * explain.h
 *	  What is behind a number: its facts, why one does not count, the number as
 *	  plain SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_EXPLAIN_H
#define KPI_EXPLAIN_H

#include "postgres.h"

/*
 * Says, in a NOTICE for each, of which KPIs of a source much counts for nothing: of
 * those that are built, of a source with facts, and of which it has not been said since they were
 * defined.
 */
extern void kpi_explain_left_out_say(int32 source_id);

#endif							/* KPI_EXPLAIN_H */
