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
 * Sources joined to one by formulas, directly or over others, itself included.
 * Formulas are few, so their inputs are passed through until nothing is added:
 * a recursive query makes room for far more before it starts.
 */
static List *
joined_sources(int32 source_id)
{
	MemoryContext caller = CurrentMemoryContext;
	Bitmapset  *sources = bms_make_singleton(source_id);
	Bitmapset  *kpis = NULL;
	List	   *ids = NIL;
	bool		added = true;
	int			id = -1;
	KpiSpi		spi;
	uint64		rows;

	kpi_spi_begin(&spi);
	rows = kpi_spi_exec("SELECT i.kpi_id, i.input_kpi_id, k.source_id FROM kpi_internal.formula_input i"
						" JOIN kpi.kpi k ON k.id = i.input_kpi_id", 0);
	MemoryContextSwitchTo(caller);
	while (added)
	{
		added = false;
		for (uint64 r = 0; r < rows; r++)
		{
			int32		formula = kpi_spi_int4(r, 1);
			int32		input = kpi_spi_int4(r, 2);
			int32		source = kpi_spi_int4(r, 3);	/* 0: a formula */

			if (bms_is_member(formula, kpis) && bms_is_member(input, kpis))
				continue;
			if (!bms_is_member(formula, kpis) && !bms_is_member(input, kpis) &&
				!bms_is_member(source, sources))
				continue;
			kpis = bms_add_member(bms_add_member(kpis, formula), input);
			if (source != 0)
				sources = bms_add_member(sources, source);
			added = true;
		}
	}
	kpi_spi_end(&spi);

	while ((id = bms_next_member(sources, id)) >= 0)
		ids = lappend_int(ids, id);
	return ids;
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

void
kpi_refresh_lock_all_sources(void)
{
	List	   *ids = kpi_all_int4("SELECT id FROM kpi.source ORDER BY id", 0);
	ListCell   *lc;

	foreach(lc, ids)
		kpi_refresh_lock_source(lfirst_int(lc));
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

	/* A formula made while we waited may join more sources: start over. */
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
kpi_refresh_lock_joined_sources(int32 source_id, const char *name)
{
	List	   *wanted = joined_sources(source_id);
	bool		complete = true;
	ListCell   *lc;

	foreach(lc, wanted)
	{
		LOCKTAG		tag;

		set_locktag(&tag, lfirst_int(lc));
		switch (LockAcquire(&tag, ExclusiveLock, false, true))
		{
			case LOCKACQUIRE_NOT_AVAIL:
				ereport(ERROR,
						(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						 errmsg("could not lock the sources that a new formula joins with source \"%s\"", name),
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
