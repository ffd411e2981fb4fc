/*-------------------------------------------------------------------------
 *
 * source_table.h
 *	  The table under a source: what it may be, and its locks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_SOURCE_TABLE_H
#define KPI_SOURCE_TABLE_H

#include "postgres.h"

#include "storage/lockdefs.h"

/* While one of these is open, see kpi_lock_wait_begin(). */
typedef struct KpiLockWait
{
	const char *table;
	int			guc_nest_level; /* 0: nothing was set */
	ErrorContextCallback callback;
} KpiLockWait;

/*
 * From here on a lock is waited for at most kpi.lock_timeout, and the error
 * names the table.  An error in between needs no kpi_lock_wait_end().
 */
extern void kpi_lock_wait_begin(KpiLockWait *wait, const char *table);
extern void kpi_lock_wait_end(KpiLockWait *wait);

/*
 * Looks the table up as the current user would, locks it and its partitions
 * against writers and checks that it can be a source of this definer, or, if
 * none was named, of the one that kpi_definer_choose() takes.
 */
extern Oid	kpi_source_table_open(const char *name, Oid named_definer);

/* Why a table cannot be the relation of a source, or a partition of it. */
typedef struct KpiTableProblem
{
	const char *message;
	const char *detail;			/* or NULL */
	const char *hint;			/* before there is a source */
	const char *mend;			/* when there is one */
} KpiTableProblem;

/*
 * What kpi.create_source() refuses and may come later, too; false if there is
 * nothing of it.  Waits for no lock.
 */
extern bool kpi_source_table_problem(Oid relid, bool is_target, KpiTableProblem *problem);

/* "schema.table", quoted. */
extern char *kpi_source_table_name(Oid relid);

/*
 * Waits for all writers and keeps them out until the transaction ends, and
 * makes every backend read the source's definition anew.
 */
extern void kpi_source_table_lock(Oid relid, LOCKMODE lockmode);

#endif							/* KPI_SOURCE_TABLE_H */
