/*-------------------------------------------------------------------------
 *
 * apply_lock.h
 *	  Locks of sources.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_APPLY_LOCK_H
#define KPI_APPLY_LOCK_H

#include "postgres.h"

#include "nodes/pg_list.h"

/*
 * Begins engine work: refuses where the snapshot is already fixed, writes
 * this transaction's own buffered deltas, and takes until the end of the
 * transaction the lock of a source and of all sources that a formula joins it
 * with (0: of every source).  Returns the ids of the sources asked for.
 */
extern List *kpi_lock_sources(int32 source_id);

/*
 * To be called after the snapshot of a run was taken: a formula may have been
 * made since the locks were, and join the source with others.  Takes their
 * locks if nobody holds them, else it is an error: waiting would be out of
 * order.  True if all were held before; else the snapshot is too old.
 */
extern bool kpi_lock_joined_sources(int32 source_id, const char *name);

/*
 * Only waits until no engine transaction works on the source, and keeps them
 * waiting until the transaction ends: for who drops what they write to.
 */
extern void kpi_lock_source(int32 source_id);
extern void kpi_lock_all_sources(void);

#endif							/* KPI_APPLY_LOCK_H */
