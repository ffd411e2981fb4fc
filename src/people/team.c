/*-------------------------------------------------------------------------
 *
 * team.c
 *	  Single teams, as the active snapshot shows them.
 *
 * Views ask on every row.  What was read is kept as long as the snapshot shows
 * the same; a team costs two probes of an index the first time, and nobody reads
 * teams that nobody asked for.  (A cache of all teams that follows the newest
 * definitions would show a REPEATABLE READ transaction paths that its other
 * tables do not have.)
 *
 * No SPI and no rights: works in parallel workers.  Lock: ACCESS SHARE on the
 * tables read.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "people/people_internal.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

bool		kpi_people_logs_itself = false;

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

static KpiSnapshotNote teams_snapshot;
static MemoryContext teams_cxt = NULL;
static HTAB *teams = NULL;

static void
forget_teams(void)
{
	HASHCTL		ctl = {.keysize = sizeof(int32),.entrysize = sizeof(KpiTeam)};

	if (teams_cxt == NULL)
		teams_cxt = AllocSetContextCreate(TopMemoryContext, "pg_kpi teams", ALLOCSET_SMALL_SIZES);
	teams = NULL;
	MemoryContextReset(teams_cxt);
	ctl.hcxt = teams_cxt;
	teams = hash_create("pg_kpi teams", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static DateADT
date_or(HeapTuple tuple, AttrNumber attno, TupleDesc desc, DateADT if_null)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attno, desc, &isnull);

	return isnull ? if_null : DatumGetDateADT(value);
}

static void
read_parents(KpiTeam *team)
{
	Relation	rel = table_open(kpi_relation_oid("kpi", "team_parent"), AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_parent_team_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(team->id));
	scan = systable_beginscan(rel, kpi_relation_oid("kpi", "team_parent_team_id_since_key"), true,
							  GetActiveSnapshot(), 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KpiAssignments *parents = &team->parents;
		KpiAssignment *item;
		bool		isnull;

		/* Room doubles whenever the count reaches a power of two. */
		if (parents->n == 0)
			parents->items = palloc(sizeof(KpiAssignment));
		else if ((parents->n & (parents->n - 1)) == 0)
			parents->items = repalloc(parents->items, 2 * parents->n * sizeof(KpiAssignment));
		item = &parents->items[parents->n++];
		item->target = DatumGetInt32(heap_getattr(tuple, Anum_parent_parent_id, desc, &isnull));
		item->since = date_or(tuple, Anum_parent_since, desc, DATEVAL_NOBEGIN);
		item->until = date_or(tuple, Anum_parent_until, desc, DATEVAL_NOEND);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* False when there is no such team. */
static bool
read_team(KpiTeam *team)
{
	Relation	rel = table_open(kpi_relation_oid("kpi", "team"), AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_team_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(team->id));
	scan = systable_beginscan(rel, kpi_compat_primary_key(rel), true, GetActiveSnapshot(), 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		bool		isnull;
		Datum		calendar = heap_getattr(tuple, Anum_team_calendar_id, desc, &isnull);

		team->calendar_id = isnull ? 0 : DatumGetInt32(calendar);
		team->key = TextDatumGetCString(heap_getattr(tuple, Anum_team_key, desc, &isnull));
		team->name = TextDatumGetCString(heap_getattr(tuple, Anum_team_name, desc, &isnull));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

const KpiTeam *
kpi_people_team_find(int32 id)
{
	KpiTeam		team = {.id = id};
	KpiTeam    *found;
	MemoryContext old;

	if (kpi_snapshot_changed(&teams_snapshot) || teams == NULL)
		forget_teams();
	found = hash_search(teams, &id, HASH_FIND, NULL);
	if (found != NULL)
		return found;

	/* Entered when it is complete: an error leaves only memory behind. */
	old = MemoryContextSwitchTo(teams_cxt);
	if (read_team(&team))
	{
		read_parents(&team);
		found = hash_search(teams, &id, HASH_ENTER, NULL);
		*found = team;
	}
	MemoryContextSwitchTo(old);
	return found;
}

const KpiTeam *
kpi_people_team_parent_on(const KpiTeam *team, DateADT day)
{
	const KpiAssignment *parent = kpi_people_assignments_at(&team->parents, day);

	return parent ? kpi_people_team_find(parent->target) : NULL;
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
