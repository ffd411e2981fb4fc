/*-------------------------------------------------------------------------
 *
 * storage.h
 *	  Whether a table's rows are where triggers and scans meet them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_STORAGE_H
#define KPI_STORAGE_H

#include "postgres.h"

/*
 * Why the table's rows cannot be followed, as a clause that begins with the
 * table, or NULL.
 */
extern char *kpi_storage_problem(Oid relid);

#define KPI_STORAGE_DETAIL "A source follows a table through its row triggers and reads it row by row."

#endif							/* KPI_STORAGE_H */
