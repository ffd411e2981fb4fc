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

#endif							/* KPI_STORAGE_H */
