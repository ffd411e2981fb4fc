/*-------------------------------------------------------------------------
 *
 * apply_lock.c
 *	  Locks of sources: one engine transaction at a time on each.
 *
 * Called first by everything that runs the engine.  A source's lock is an
 * advisory lock in a key space of its own, held until the end of the
 * transaction; several are always taken in ascending order of source id,
 * before any row is written, so engine transactions cannot deadlock over
 * them.  Writers of facts never take one.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "access/xact.h"
#include "apply_lock.h"
#include "engine.h"
#include "miscadmin.h"
#include "spi.h"
#include "storage/lock.h"

/* User-level advisory locks have 1 or 2 here. */
#define KPI_LOCK_CLASS 0x4B50

/* Sources joined to $1 by formulas, directly or over others, $1 included. */
#define JOINED_SOURCES \
	"WITH RECURSIVE leaf (root, input) AS (" \
	" SELECT kpi_id, input_kpi_id FROM kpi_internal.formula_input" \
	" UNION SELECT l.root, i.input_kpi_id FROM leaf l JOIN kpi_internal.formula_input i ON i.kpi_id = l.input)," \
	" link (root, source_id) AS (" \
	" SELECT DISTINCT l.root, k.source_id FROM leaf l JOIN kpi.kpi k ON k.id = l.input WHERE k.kind = 'measure')," \
	" joined (source_id) AS (" \
	" SELECT $1 UNION SELECT b.source_id FROM joined j" \
	" JOIN link a ON a.source_id = j.source_id JOIN link b ON b.root = a.root)" \
	" SELECT source_id FROM joined ORDER BY 1"

#define ALL_SOURCES "SELECT id FROM kpi.source WHERE $1 = 0 ORDER BY 1"

static List *
sources_to_lock(int32 source_id)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *ids = NIL;
	KpiSpi		spi;
	uint64		rows;

	kpi_spi_begin(&spi);
	rows = kpi_spi_exec(source_id == 0 ? ALL_SOURCES : JOINED_SOURCES, 1, KPI_INT4(source_id));
	MemoryContextSwitchTo(caller);
	for (uint64 r = 0; r < rows; r++)
		ids = lappend_int(ids, kpi_spi_int4(r, 1));
	kpi_spi_end(&spi);
	MemoryContextSwitchTo(caller);
	return ids;
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
kpi_lock_source(int32 source_id)
{
	LOCKTAG		tag;

	refuse_restricted();

	set_locktag(&tag, source_id);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
kpi_lock_all_sources(void)
{
	List	   *ids = sources_to_lock(0);
	ListCell   *lc;

	foreach(lc, ids)
		kpi_lock_source(lfirst_int(lc));
}

List *
kpi_lock_sources(int32 source_id)
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
			kpi_lock_source(lfirst_int(lc));
		locked = wanted;
		wanted = sources_to_lock(source_id);
	}

	return source_id == 0 ? wanted : list_make1_int(source_id);
}
