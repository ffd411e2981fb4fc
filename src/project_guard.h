/*-------------------------------------------------------------------------
 *
 * project_guard.h
 *	  Expressions that cannot fail as long as the columns hold usual values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_PROJECT_GUARD_H
#define KPI_PROJECT_GUARD_H

#include "postgres.h"

#include "def.h"

/*
 * The risk of an expression while kpi_guard_holds() for the non-null values
 * of all columns that this adds to *columns (attribute numbers).
 */
extern KpiExprRisk kpi_guarded_risk(Node *node, Bitmapset **columns);

/* Tests a column's value: numeric, timestamp or timestamptz. */
extern bool kpi_guard_holds(Oid type, Datum value);

#endif							/* KPI_PROJECT_GUARD_H */
