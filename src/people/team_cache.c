/*-------------------------------------------------------------------------
 *
 * team_cache.c
 *	  The teams as they stand today, kept in this backend's memory.
 *
 * Views ask on every row.  All teams are loaded at once into a memory context
 * of their own, which lives until the first call after a relcache
 * invalidation of kpi.team or kpi.team_parent; triggers of both tables send
 * one.  As in calendar/cache.c the tables are read with a snapshot taken at
 * that moment, by a scan that needs no SPI and no rights and works in
 * parallel workers.
 *
 * Lock: ACCESS SHARE on both tables while loading.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "people/people_internal.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(kpi_sql_definition_changed);

enum
{
	Anum_team_id = 1,
	Anum_team_key,
	Anum_team_name,
	Anum_team_calendar_id
};

enum
{
	Anum_parent_id = 1,
	Anum_parent_team_id,
	Anum_parent_parent_id,
	Anum_parent_since,
	Anum_parent_until
};

typedef struct TeamCache
{
	MemoryContext context;
	uint64		generation;		/* of invalidations, when loading began */
	Oid			team_relid;
	Oid			parent_relid;
	int			nteams;
	KpiTeam    *teams;			/* ascending id */
} TeamCache;

static TeamCache *cache = NULL;
static uint64 generation = 0;

static void
table_changed(Oid relid)
{
	if (cache == NULL || relid == InvalidOid ||
		relid == cache->team_relid || relid == cache->parent_relid)
		generation++;
}

static int
compare_teams(const void *a, const void *b)
{
	int32		x = ((const KpiTeam *) a)->id;
	int32		y = ((const KpiTeam *) b)->id;

	return (x > y) - (x < y);
}

static KpiTeam *
find_team(const TeamCache *in, int32 id)
{
	KpiTeam		wanted = {.id = id};

	return bsearch(&wanted, in->teams, in->nteams, sizeof(KpiTeam), compare_teams);
}

static void
read_teams(TeamCache *new, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	int			room = 64;

	new->teams = palloc(room * sizeof(KpiTeam));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KpiTeam    *team;
		bool		isnull;

		if (new->nteams == room)
		{
			room *= 2;
			new->teams = repalloc(new->teams, room * sizeof(KpiTeam));
		}
		team = &new->teams[new->nteams++];
		memset(team, 0, sizeof(KpiTeam));
		team->id = DatumGetInt32(heap_getattr(tuple, Anum_team_id, desc, &isnull));
		team->key = TextDatumGetCString(heap_getattr(tuple, Anum_team_key, desc, &isnull));
		team->name = TextDatumGetCString(heap_getattr(tuple, Anum_team_name, desc, &isnull));
		team->calendar_id = DatumGetInt32(heap_getattr(tuple, Anum_team_calendar_id, desc, &isnull));
		if (isnull)
			team->calendar_id = 0;
	}
	systable_endscan(scan);
	qsort(new->teams, new->nteams, sizeof(KpiTeam), compare_teams);
}

static void
read_places(TeamCache *new, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KpiTeam    *team;
		KpiTeam    *parent;
		KpiPlace   *place;
		bool		isnull;

		team = find_team(new, DatumGetInt32(heap_getattr(tuple, Anum_parent_team_id, desc, &isnull)));
		parent = find_team(new, DatumGetInt32(heap_getattr(tuple, Anum_parent_parent_id, desc, &isnull)));

		/* The two scans have each their snapshot: the team may be new. */
		if (team == NULL || parent == NULL)
			continue;

		/* Room doubles whenever the count reaches a power of two. */
		if (team->nplaces == 0)
			team->places = palloc(sizeof(KpiPlace));
		else if ((team->nplaces & (team->nplaces - 1)) == 0)
			team->places = repalloc(team->places, 2 * team->nplaces * sizeof(KpiPlace));
		place = &team->places[team->nplaces++];
		place->parent = parent - new->teams;
		place->since = DatumGetDateADT(heap_getattr(tuple, Anum_parent_since, desc, &isnull));
		if (isnull)
			place->since = DATEVAL_NOBEGIN;
		place->until = DatumGetDateADT(heap_getattr(tuple, Anum_parent_until, desc, &isnull));
		if (isnull)
			place->until = DATEVAL_NOEND;
	}
	systable_endscan(scan);
}

/*
 * Loads into a new context and only then lets go of the old one, so that an
 * error leaves nothing half done.  An invalidation that arrives while loading
 * leaves the result a generation behind: it is as of a moment within the call,
 * and the next call reads it again.  Reading until none arrives might not end.
 */
static void
cache_load(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pg_kpi teams",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TeamCache  *new = palloc0(sizeof(TeamCache));
	Relation	team_rel;
	Relation	parent_rel;

	new->context = context;
	new->team_relid = kpi_relation_oid("kpi", "team");
	new->parent_relid = kpi_relation_oid("kpi", "team_parent");
	team_rel = table_open(new->team_relid, AccessShareLock);
	parent_rel = table_open(new->parent_relid, AccessShareLock);

	new->generation = generation;
	read_teams(new, team_rel);
	read_places(new, parent_rel);

	table_close(parent_rel, AccessShareLock);
	table_close(team_rel, AccessShareLock);
	MemoryContextSwitchTo(old);

	MemoryContextSetParent(context, CacheMemoryContext);
	if (cache != NULL)
		MemoryContextDelete(cache->context);
	cache = new;
}

const KpiTeam *
kpi_people_team_find(int32 id)
{
	kpi_on_relcache_change(table_changed);
	if (cache == NULL || cache->generation != generation)
		cache_load();
	return find_team(cache, id);
}

const KpiTeam *
kpi_people_team_parent_on(const KpiTeam *team, DateADT day)
{
	for (int i = 0; i < team->nplaces; i++)
		if (team->places[i].since <= day && day < team->places[i].until)
			return &cache->teams[team->places[i].parent];
	return NULL;
}

int32
kpi_people_team_calendar_id(int32 team_id, DateADT day)
{
	const KpiTeam *team = kpi_people_team_find(team_id);

	for (int level = 0; team && level < KPI_MAX_LEVELS; level++)
	{
		if (team->calendar_id != 0)
			return team->calendar_id;
		team = kpi_people_team_parent_on(team, day);
	}
	return KPI_DEFAULT_CALENDAR;
}

/* Trigger on tables that caches hold: every backend loads them anew. */
Datum
kpi_sql_definition_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "kpi_internal.definition_changed() must be called as a trigger");
	CacheInvalidateRelcache(trigdata->tg_relation);
	return PointerGetDatum(NULL);
}
