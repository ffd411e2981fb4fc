/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  Locks of sources: one engine transaction at a time on each.
 *
 * Nothing of a source is refreshed without its lock.  A source's lock is an
 * advisory lock in a key space of its own, held until the end of the
 * transaction; several are always taken in ascending order of source id,
 * before any row is written, so engine transactions cannot deadlock over
 * them.  Writers of facts never take one.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "capture/capture.h"
#include "miscadmin.h"
#include "refresh/refresh_internal.h"
#include "storage/lock.h"

/* User-level advisory locks have 1 or 2 here. */
#define KPI_LOCK_CLASS 0x4B50

/*
 * The source, and those that a goal joins it with: the goal's KPI is a formula
 * over both.  Ascending.  Two refreshes at once, each moving one input of the
 * formula, would both see the goal where it was, and nobody would announce it.
 * Values are computed by who reads them, so other formulas join nothing.
 */
static List *
joined_sources(int32 source_id)
{
	return kpi_all_int4("SELECT $1 UNION"
						" SELECT o.source_id FROM kpi_internal.kpi_stream s"
						"  JOIN kpi_internal.kpi_stream o ON o.kpi_id = s.kpi_id AND o.source_id <> s.source_id"
						" WHERE s.source_id = $1 AND EXISTS (SELECT FROM kpi.goal g WHERE g.kpi_id = s.kpi_id)"
						" ORDER BY 1", 1, KPI_INT4(source_id));
}

/* In ascending order; 0: all of them. */
static List *
sources_to_lock(int32 source_id)
{
	return source_id == 0 ? kpi_all_int4("SELECT id FROM kpi.source ORDER BY id", 0) : joined_sources(source_id);
}

static void
set_locktag(LOCKTAG *tag, int32 source_id)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) source_id, 0, KPI_LOCK_CLASS);
}

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
	LOCKTAG		tag;

	refuse_restricted();

	set_locktag(&tag, source_id);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

List *
kpi_refresh_lock_sources(int32 source_id)
{
	List	   *locked = NIL;
	List	   *wanted;
	ListCell   *lc;
	LOCKTAG		tag;

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

	/* A goal made while we waited may join more sources: start over. */
	wanted = sources_to_lock(source_id);
	while (list_difference_int(wanted, locked) != NIL)
	{
		foreach(lc, locked)
		{
			set_locktag(&tag, lfirst_int(lc));
			LockRelease(&tag, ExclusiveLock, false);
		}
		foreach(lc, wanted)
			kpi_refresh_lock_source(lfirst_int(lc));
		locked = wanted;
		wanted = sources_to_lock(source_id);
	}

	return source_id == 0 ? wanted : list_make1_int(source_id);
}

bool
kpi_refresh_lock_joined_sources(int32 source_id, const char *name, List **joined)
{
	bool		complete = true;
	ListCell   *lc;

	*joined = joined_sources(source_id);
	foreach(lc, *joined)
	{
		LOCKTAG		tag;

		set_locktag(&tag, lfirst_int(lc));
		switch (LockAcquire(&tag, ExclusiveLock, false, true))
		{
			case LOCKACQUIRE_NOT_AVAIL:
				ereport(ERROR,
						(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						 errmsg("could not lock the sources that a new goal joins with source \"%s\"", name),
						 errhint("Another refresh is under way: try again.")));
				break;
			case LOCKACQUIRE_OK:
				complete = false;
				break;
			default:
				break;
		}
	}
	return complete;
}
