/*-------------------------------------------------------------------------
 *
 * virtual_column.h
 *	  Generated columns that are computed when they are read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_VIRTUAL_COLUMN_H
#define KPI_VIRTUAL_COLUMN_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* Appends what changes whenever an expression of the table's does. */
extern void kpi_virtual_columns_state(StringInfo state, Oid relid);

/*
 * Why a partition's facts would differ from the same rows read through the
 * root, or NULL.  Locks both with ACCESS SHARE while it looks.
 */
extern char *kpi_virtual_columns_problem(Oid root, Oid leaf);

#define KPI_VIRTUAL_COLUMNS_HINT "Give the column the same expression everywhere with ALTER TABLE ... ALTER COLUMN ... SET EXPRESSION."

#endif							/* KPI_VIRTUAL_COLUMN_H */
