/*-------------------------------------------------------------------------
 *
 * team_cache.c
 *	  The teams as they stand today, kept in this backend's memory.
 *
 * The triggers of kpi.team and kpi.team_parent that invalidate them call
 * kpi_internal.definition_changed(), as those of other cached tables do.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "people/people_internal.h"
#include "utils/builtins.h"
#include "utils/inval.h"
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
	int			nteams;
	KpiTeam    *teams;			/* ascending id */
} TeamCache;

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
read_teams(TeamCache *new, Relation rel, Snapshot snapshot)
{
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
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
read_parents(TeamCache *new, Relation rel, Snapshot snapshot)
{
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KpiTeam    *team;
		KpiAssignments *parents;
		KpiAssignment *item;
		bool		isnull;

		/* Foreign keys do not hold where session_replication_role is replica. */
		team = find_team(new, DatumGetInt32(heap_getattr(tuple, Anum_parent_team_id, desc, &isnull)));
		if (team == NULL)
			continue;

		/* Room doubles whenever the count reaches a power of two. */
		parents = &team->parents;
		if (parents->n == 0)
			parents->items = palloc(sizeof(KpiAssignment));
		else if ((parents->n & (parents->n - 1)) == 0)
			parents->items = repalloc(parents->items, 2 * parents->n * sizeof(KpiAssignment));
		item = &parents->items[parents->n++];
		item->target = DatumGetInt32(heap_getattr(tuple, Anum_parent_parent_id, desc, &isnull));
		item->since = DatumGetDateADT(heap_getattr(tuple, Anum_parent_since, desc, &isnull));
		if (isnull)
			item->since = DATEVAL_NOBEGIN;
		item->until = DatumGetDateADT(heap_getattr(tuple, Anum_parent_until, desc, &isnull));
		if (isnull)
			item->until = DATEVAL_NOEND;
	}
	systable_endscan(scan);
}

static void *
read_cache(Relation *rels, Snapshot snapshot)
{
	TeamCache  *new = palloc0(sizeof(TeamCache));

	read_teams(new, rels[0], snapshot);
	read_parents(new, rels[1], snapshot);
	return new;
}

static KpiDefinitionCache cache = {
	.name = "teams",
	.tables = {{"kpi", "team"}, {"kpi", "team_parent"}},
	.read = read_cache
};

const KpiTeam *
kpi_people_team_find(int32 id)
{
	return find_team(kpi_definition_cache_get(&cache), id);
}

const KpiTeam *
kpi_people_team_parent_on(const KpiTeam *team, DateADT day)
{
	const KpiAssignment *parent = kpi_people_assignments_at(&team->parents, day);

	return parent ? find_team(cache.contents, parent->target) : NULL;
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
