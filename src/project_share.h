/*-------------------------------------------------------------------------
 *
 * project_share.h
 *	  Conditions that several measures test are evaluated once for a row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_PROJECT_SHARE_H
#define KPI_PROJECT_SHARE_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/pg_list.h"

/*
 * Compiles a list of expressions into one projection.  *conditions, unless
 * NULL, must be evaluated before it, and its slot be the inner tuple of the
 * expression context.
 */
extern void kpi_build_inputs(List *nodes, ExprContext *econtext,
							 ProjectionInfo **conditions, ProjectionInfo **inputs);

#endif							/* KPI_PROJECT_SHARE_H */
