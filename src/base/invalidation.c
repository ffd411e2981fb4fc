/*-------------------------------------------------------------------------
 *
 * invalidation.c
 *	  Who is told when a table or a catalog entry has changed.
 *
 * A backend has ten places for relcache callbacks, for all extensions together,
 * and one that finds none left ends.  So the library takes one, and one for each
 * system cache it watches, however many caches it keeps; and takes them when the
 * first cache is used, not when the library is loaded: that may be in every
 * session of the server.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "utils/inval.h"

/* Raise it for one more cache. */
#define MAX_HANDLERS 16

static void (*relcache_handlers[MAX_HANDLERS]) (Oid relid);
static int	nrelcache_handlers = 0;

static struct
{
	int			cacheid;
	void		(*handler) (int cacheid);
}			syscache_handlers[MAX_HANDLERS];
static int	nsyscache_handlers = 0;

static void
relcache_callback(Datum arg, Oid relid)
{
	for (int i = 0; i < nrelcache_handlers; i++)
		relcache_handlers[i] (relid);
}

static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	for (int i = 0; i < nsyscache_handlers; i++)
	{
		if (syscache_handlers[i].cacheid == cacheid)
			syscache_handlers[i].handler(cacheid);
	}
}

void
kpi_on_relcache_change(void (*handler) (Oid relid))
{
	for (int i = 0; i < nrelcache_handlers; i++)
	{
		if (relcache_handlers[i] == handler)
			return;
	}
	if (nrelcache_handlers == MAX_HANDLERS)
		elog(ERROR, "too many handlers of relcache changes");
	if (nrelcache_handlers == 0)
		CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	relcache_handlers[nrelcache_handlers++] = handler;
}

void
kpi_on_syscache_change(int cacheid, void (*handler) (int cacheid))
{
	bool		watched = false;

	for (int i = 0; i < nsyscache_handlers; i++)
	{
		if (syscache_handlers[i].cacheid != cacheid)
			continue;
		if (syscache_handlers[i].handler == handler)
			return;
		watched = true;
	}
	if (nsyscache_handlers == MAX_HANDLERS)
		elog(ERROR, "too many handlers of catalog changes");
	if (!watched)
		CacheRegisterSyscacheCallback(cacheid, syscache_callback, (Datum) 0);
	syscache_handlers[nsyscache_handlers].cacheid = cacheid;
	syscache_handlers[nsyscache_handlers++].handler = handler;
}
