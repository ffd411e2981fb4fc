/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  Locks of sources: one engine transaction at a time on each.
 *
 * Nothing of a source is refreshed without its lock (base/source_lock.c), which is
 * held until the end of the transaction; several are always taken in ascending order of source id,
 * before any row is written, so engine transactions cannot deadlock over
 * them.  Writers of facts never take one.  A formula joins no sources here: who
 * reads it computes it, and of two refreshes that move one goal the second finds
 * its row locked (goal/table.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "capture/capture.h"
#include "miscadmin.h"
#include "refresh/refresh_internal.h"

/*
 * An expression of a source must not start a refresh, or change a definition,
 * in the middle of one: our session's locks would not stop it.
 */
static void
refuse_restricted(void)
{
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot refresh or drop a source within security-restricted operation")));
}

void
kpi_refresh_lock_source(int32 source_id)
{
	refuse_restricted();
	kpi_source_lock(source_id);
}

List *
kpi_refresh_lock_sources(int32 source_id)
{
	List	   *sources;
	ListCell   *lc;

	refuse_restricted();
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot refresh in a transaction of isolation level repeatable read or serializable"),
				 errdetail("A refresh needs a snapshot taken after its locks."),
				 errhint("Use a transaction of isolation level read committed.")));
	PreventCommandIfReadOnly("kpi.refresh()");
	PreventCommandIfParallelMode("kpi.refresh()");
	kpi_capture_flush_now();

	sources = source_id == 0 ? kpi_all_int4("SELECT id FROM kpi.source ORDER BY id", 0) : list_make1_int(source_id);
	foreach(lc, sources)
		kpi_refresh_lock_source(lfirst_int(lc));
	return sources;
}
