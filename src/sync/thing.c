/*-------------------------------------------------------------------------
 *
 * thing.c
 *	  Teams and members, those that are recorded beside those in a query.
 *
 * Both are read at once and merged by key, so that what follows is done in memory
 * and in an order that does not depend on that of the rows.
 *
 * What is to be made has an id below 0 until it is written: of the team that
 * stands at place i it is -1 - i.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "sync/sync_internal.h"
#include "utils/memutils.h"

#define TEAMS \
	"SELECT t.id, t.key, t.name, p.parent_id AS target, p.since, p.until, false AS keeps_later," \
	"       e.team_id IS NOT NULL AS is_expected" \
	"  FROM kpi.team t LEFT JOIN kpi.team_parent p ON p.team_id = t.id" \
	"  LEFT JOIN kpi_internal.pending_team e ON e.team_id = t.id" \
	" ORDER BY t.key COLLATE \"C\", p.since NULLS FIRST"
#define MEMBERS \
	"SELECT m.id, m.key, m.name, s.team_id AS target, s.since, s.until, s.later_facts = 'last_team' AS keeps_later," \
	"       false AS is_expected" \
	"  FROM kpi.member m LEFT JOIN kpi.membership s ON s.member_id = m.id" \
	" ORDER BY m.key COLLATE \"C\", s.since NULLS FIRST"

/* ---- what is recorded ---- */

static KpiAssignments *
new_assignments(KpiAssignment *items)
{
	KpiAssignments *assignments = palloc(sizeof(KpiAssignments));

	assignments->n = 0;
	assignments->items = items;
	return assignments;
}

/* By key.  The assignments of all stand in one array. */
static KpiSyncThing *
load_known(const KpiSyncKind *kind, int *n)
{
	KpiSyncThing *known;
	KpiAssignment *item;
	KpiRows		rows;

	kpi_rows_begin(&rows, kind == &kpi_sync_teams ? TEAMS : MEMBERS, 0);
	known = MemoryContextAllocExtended(CurrentMemoryContext, Max(rows.n, 1) * sizeof(KpiSyncThing),
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	item = MemoryContextAllocExtended(CurrentMemoryContext, Max(rows.n, 1) * sizeof(KpiAssignment), MCXT_ALLOC_HUGE);
	*n = 0;
	while (kpi_rows_next(&rows))
	{
		int32		id = kpi_rows_int4(&rows, "id");
		KpiSyncThing *last = *n > 0 ? &known[*n - 1] : NULL;

		if (last == NULL || last->id != id)
		{
			last = &known[(*n)++];
			last->id = id;
			last->key = kpi_rows_text(&rows, "key");
			last->name = kpi_rows_text(&rows, "name");
			last->is_expected = kpi_rows_bool(&rows, "is_expected");
			last->before = last->after = new_assignments(item);
		}
		item->target = kpi_rows_int4(&rows, "target");
		if (item->target == 0)
			continue;
		item->since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		item->until = kpi_rows_date(&rows, "until", DATEVAL_NOEND);
		item->keeps_later = kpi_rows_bool(&rows, "keeps_later");
		last->before->n++;
		item++;
	}
	kpi_rows_end(&rows);
	return known;
}

/* ---- merged ---- */

/* The next thing in the order of keys: a known one, the rows from the next one on, or both. */
static void
merge_next(KpiSyncThings *things, const KpiSyncThing *known, int nknown, int *k, int *r)
{
	KpiSyncRecords *records = things->records;
	KpiSyncThing *thing = &things->items[things->n++];
	int			cmp;

	if (records == NULL || *r >= records->n)
		cmp = -1;
	else if (*k >= nknown)
		cmp = 1;
	else
		cmp = strcmp(known[*k].key, records->items[*r].key);
	if (cmp <= 0)
		*thing = known[(*k)++];
	else
	{
		memset(thing, 0, sizeof(KpiSyncThing));
		thing->id = -things->n;
		thing->key = records->items[*r].key;
		thing->before = thing->after = new_assignments(NULL);
	}
	if (cmp < 0)
		return;
	thing->records = &records->items[*r];
	if (thing->is_expected)
		thing->name = NULL;
	while (*r < records->n && strcmp(records->items[*r].key, thing->key) == 0)
	{
		thing->nrecords++;
		(*r)++;
	}
}

static int
compare_by_id(const void *a, const void *b, void *items)
{
	int32		id_a = ((KpiSyncThing *) items)[*(const int *) a].id;
	int32		id_b = ((KpiSyncThing *) items)[*(const int *) b].id;

	return (id_a > id_b) - (id_a < id_b);
}

static void
sort_by_id(KpiSyncThings *things)
{
	things->by_id = MemoryContextAllocExtended(CurrentMemoryContext, Max(things->n, 1) * sizeof(int), MCXT_ALLOC_HUGE);
	for (int i = 0; i < things->n; i++)
	{
		if (things->items[i].id > 0)
			things->by_id[things->nknown++] = i;
	}
	qsort_arg(things->by_id, things->nknown, sizeof(int), compare_by_id, things->items);
}

/* Rows by an alias are passed over: those by the key of the member say where it is. */
static void
pass_over_aliases(KpiSyncThings *members)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT DISTINCT a.alias, m.key FROM kpi.member_alias a"
				   " JOIN kpi.member m ON m.id = a.member_id", 0);
	while (kpi_rows_next(&rows))
	{
		KpiSyncThing *alias = kpi_sync_thing_by_key(members, kpi_rows_text(&rows, "alias"));

		if (alias == NULL || alias->nrecords == 0)
			continue;
		alias->is_passed_over = true;
		kpi_sync_thing_by_key(members, kpi_rows_text(&rows, "key"))->is_there_by_alias = true;
	}
	kpi_rows_end(&rows);
}

KpiSyncThings *
kpi_sync_things_load(const KpiSyncKind *kind, KpiSyncRecords *records)
{
	KpiSyncThings *things = palloc0(sizeof(KpiSyncThings));
	int			nknown;
	KpiSyncThing *known = load_known(kind, &nknown);
	int			nrecords = 0;
	int			k = 0;
	int			r = 0;

	things->kind = kind;
	things->records = records;
	if (records != NULL)
		nrecords = records->n;
	things->items = MemoryContextAllocExtended(CurrentMemoryContext,
											   (nknown + nrecords + 1) * sizeof(KpiSyncThing), MCXT_ALLOC_HUGE);
	while (k < nknown || r < nrecords)
		merge_next(things, known, nknown, &k, &r);
	sort_by_id(things);
	if (kind == &kpi_sync_members && records != NULL)
	{
		pass_over_aliases(things);
		kpi_sync_attributes_load(things);
	}
	return things;
}

KpiSyncThing *
kpi_sync_thing_by_key(const KpiSyncThings *things, const char *key)
{
	int			low = 0;
	int			high = things->n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			cmp = strcmp(things->items[middle].key, key);

		if (cmp == 0)
			return &things->items[middle];
		if (cmp < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

KpiSyncThing *
kpi_sync_thing_by_id(const KpiSyncThings *things, int32 id)
{
	int			low = 0;
	int			high = things->nknown;

	if (id < 0)
		return &things->items[-1 - id];
	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		KpiSyncThing *thing = &things->items[things->by_id[middle]];

		if (thing->id == id)
			return thing;
		if (thing->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	elog(ERROR, "%s %d is referred to, but not there", things->kind->noun, id);
	return NULL;
}

bool
kpi_sync_thing_is_renamed(const KpiSyncThing *thing)
{
	return thing->name != NULL && thing->new_name != NULL && strcmp(thing->name, thing->new_name) != 0;
}

bool
kpi_sync_thing_moves(const KpiSyncThing *thing)
{
	const KpiAssignments *before = thing->before;
	const KpiAssignments *after = thing->after;

	if (before == after)
		return false;
	if (before->n != after->n)
		return true;
	for (int i = 0; i < before->n; i++)
	{
		if (before->items[i].since != after->items[i].since || before->items[i].until != after->items[i].until ||
			before->items[i].target != after->items[i].target)
			return true;
	}
	return false;
}

bool
kpi_sync_assigned_from(const KpiAssignments *assignments, DateADT day)
{
	return assignments->n > 0 && assignments->items[assignments->n - 1].until > day;
}
