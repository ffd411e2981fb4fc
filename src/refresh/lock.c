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
	kpi_extension_require();
	kpi_source_lock(source_id);
}

/* A keyed source over the rows that another keeps comes after it. */
static List *
all_by_level(void)
{
	return kpi_all_int4("WITH RECURSIVE level AS (SELECT s.id, s.relation, 0 AS depth FROM kpi.source s"
						" UNION SELECT s.id, s.relation, l.depth + 1 FROM level l"
						"  JOIN kpi.followed_relation f ON f.relation = l.relation"
						"  JOIN kpi.keyed_source k ON k.source_id = l.id"
						"  JOIN kpi.source s ON s.id = f.source_id WHERE l.depth < 1000)"
						" SELECT id FROM level GROUP BY id ORDER BY max(depth), id", 0);
}

static void
refuse_old_snapshot(const char *action, const char *noun)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot %s in a transaction of isolation level repeatable read or serializable", action),
				 errdetail("A %s needs a snapshot taken after its locks.", noun),
				 errhint("Use a transaction of isolation level read committed.")));
}

List *
kpi_refresh_lock_sources(int32 source_id)
{
	List	   *sources;
	ListCell   *lc;

	refuse_restricted();
	refuse_old_snapshot("refresh", "refresh");
	kpi_extension_require();
	PreventCommandIfReadOnly("kpi.refresh()");
	PreventCommandIfParallelMode("kpi.refresh()");
	kpi_capture_flush_now();

	sources = source_id == 0 ? kpi_all_int4("SELECT id FROM kpi.source ORDER BY id", 0) : list_make1_int(source_id);
	foreach(lc, sources)
		kpi_refresh_lock_source(lfirst_int(lc));
	return source_id == 0 ? list_intersection_int(all_by_level(), sources) : sources;
}

List *
kpi_refresh_sources_to_prove(int32 source_id)
{
	refuse_restricted();
	refuse_old_snapshot("verify", "verification");
	kpi_extension_require();
	PreventCommandIfParallelMode("kpi.verify()");
	/* A transaction may become READ ONLY after it has changed facts. */
	kpi_capture_flush_now();
	return source_id == 0 ? all_by_level() : list_make1_int(source_id);
}
