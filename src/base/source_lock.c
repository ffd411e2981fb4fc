/*-------------------------------------------------------------------------
 *
 * source_lock.c
 *	  The locks of sources, by which engine transactions take turns.
 *
 * A source's lock is an advisory lock in a key space of its own, so no user's
 * advisory lock can be in its way.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "miscadmin.h"
#include "storage/lock.h"

/* User-level advisory locks have 1 or 2 here. */
#define KPI_LOCK_CLASS 0x4B50

/* What is locked. */
#define OF_SOURCE 0
#define OF_BASIS 1

static void
set_locktag(LOCKTAG *tag, int32 source_id)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) source_id, OF_SOURCE, KPI_LOCK_CLASS);
}

void
kpi_source_lock(int32 source_id)
{
	LOCKTAG		tag;

	set_locktag(&tag, source_id);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

bool
kpi_source_is_busy(int32 source_id)
{
	LOCKTAG		tag;

	set_locktag(&tag, source_id);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, ExclusiveLock, false);
	return false;
}

bool
kpi_basis_try_lock(int32 kpi_id)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) kpi_id, OF_BASIS, KPI_LOCK_CLASS);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}
