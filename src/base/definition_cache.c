/*-------------------------------------------------------------------------
 *
 * definition_cache.c
 *	  Tables of definitions, kept in this backend's memory.
 *
 * Views ask on every row.  So a cache reads all rows of its tables at once, into
 * a memory context of its own, and keeps what it made of them until the first
 * call after a relcache invalidation of one of the tables; triggers of the
 * tables send one.
 *
 * The tables are read with one snapshot, taken at that moment, not with the
 * transaction's: a cached answer must not depend on which transaction loaded
 * it.  The snapshot and the scans are those of system catalogs, which need no
 * SPI, no rights and no switch of user, and work in parallel workers.
 *
 * Invariant: contents are replaced as a whole and only when the new ones are
 * complete, so an error while reading leaves nothing half done.
 *
 * Lock: ACCESS SHARE on the tables while loading.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "base/base.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* All caches that were asked for, for their invalidation. */
static KpiDefinitionCache *caches = NULL;

static bool
reads_table(const KpiDefinitionCache *cache, Oid relid)
{
	for (int i = 0; i < cache->ntables; i++)
	{
		if (cache->relids[i] == relid)
			return true;
	}
	return false;
}

static void
table_changed(Oid relid)
{
	for (KpiDefinitionCache *cache = caches; cache != NULL; cache = cache->next)
	{
		if (!OidIsValid(relid) || reads_table(cache, relid))
			cache->generation++;
	}
}

static void
register_cache(KpiDefinitionCache *cache)
{
	kpi_on_relcache_change(table_changed);
	while (cache->ntables < KPI_DEFINITION_CACHE_MAX_TABLES && cache->tables[cache->ntables].name != NULL)
		cache->ntables++;
	cache->next = caches;
	caches = cache;
	cache->registered = true;
}

/*
 * The generation is that before the snapshot: an invalidation that arrives
 * while reading leaves the result a generation behind.  It is as of a moment
 * within the call, and the next call reads it again.  Reading until none arrives
 * might not end.
 *
 * The tables' OIDs are noted before that: those of an extension that was
 * created anew are others, and nobody would hear of a change during the first
 * reading.  What an error leaves of the old contents is a generation behind.
 */
static void
load_cache(KpiDefinitionCache *cache)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi definitions",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rels[KPI_DEFINITION_CACHE_MAX_TABLES];
	Snapshot	snapshot;
	uint64		generation;
	void	   *contents;

	MemoryContextSetIdentifier(context, cache->name);
	for (int i = 0; i < cache->ntables; i++)
	{
		cache->relids[i] = kpi_relation_oid(cache->tables[i].schema, cache->tables[i].name);
		rels[i] = table_open(cache->relids[i], AccessShareLock);
	}

	generation = cache->generation;
	snapshot = RegisterSnapshot(GetCatalogSnapshot(cache->relids[0]));
	contents = cache->read(rels, snapshot);
	UnregisterSnapshot(snapshot);

	for (int i = cache->ntables - 1; i >= 0; i--)
		table_close(rels[i], AccessShareLock);
	MemoryContextSwitchTo(old);

	MemoryContextSetParent(context, CacheMemoryContext);
	if (cache->context != NULL)
		MemoryContextDelete(cache->context);
	cache->context = context;
	cache->contents = contents;
	cache->loaded = generation;
}

void *
kpi_definition_cache_get(KpiDefinitionCache *cache)
{
	if (!cache->registered)
		register_cache(cache);
	if (cache->contents == NULL || cache->loaded != cache->generation)
		load_cache(cache);
	return cache->contents;
}
