/*-------------------------------------------------------------------------
 *
 * team.c
 *	  What becomes of teams: where they stand in the tree from today on.
 *
 * All parents are set at once, whatever the order of the rows: A comes under B and B
 * under C.  What is looked for is a team that would stand above itself, today or on
 * a later day on which a move that is recorded already takes effect; days before
 * today stay as they are, and a new team had nothing under it then, unless this very
 * transaction has given it as a parent.
 *
 * A row is refused with all rows that depend on it: then those teams stay where they
 * are, which may close another circle, so it is looked for again.  Once all are
 * refused the tree is as recorded, where there is none.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "lib/stringinfo.h"
#include "sync/sync_internal.h"

/* Of a circle, so many teams are named. */
#define MAX_SHOWN 6

/* ---- single rows ---- */

static bool
is_listed(const KpiSyncThing *team)
{
	return team->nrecords > 0;
}

/* Its parent by the query; NULL: it names none, or an unknown one. */
static KpiSyncThing *
wanted_parent(const KpiSyncThings *teams, const KpiSyncThing *team)
{
	if (!teams->records->has[KPI_SYNC_TARGET] || team->records->target == NULL)
		return NULL;
	return kpi_sync_thing_by_key(teams, team->records->target);
}

/* What is wrong with a row of the query, whatever becomes of others; NULL: nothing. */
static char *
fault_of(const KpiSyncThings *teams, const KpiSyncThing *team)
{
	const KpiSyncThing *parent = wanted_parent(teams, team);
	const char *parent_key = team->records->target;

	if (team->nrecords > 1)
		return psprintf("its key is there %d times", team->nrecords);
	if (team->id == KPI_TEAM_UNASSIGNED)
		return pstrdup("it is built in");
	if (team->id == KPI_TEAM_COMPANY && parent_key != NULL)
		return pstrdup("it is the root of the tree");
	if (parent_key != NULL && parent == NULL)
		return psprintf("its parent \"%s\" does not exist", parent_key);
	if (parent != NULL && parent->id == KPI_TEAM_UNASSIGNED)
		return psprintf("its parent \"%s\" cannot have teams", parent_key);
	if (team->records->name != NULL && kpi_name_fault(team->records->name) != NULL)
		return psprintf("its name %s", kpi_name_fault(team->records->name));
	return NULL;
}

/* Refuses what depends on refused rows, until nothing more does. */
static void
refuse_dependants(KpiSyncThings *teams)
{
	bool		again = true;

	while (again)
	{
		again = false;
		for (int i = 0; i < teams->n; i++)
		{
			KpiSyncThing *team = &teams->items[i];
			KpiSyncThing *parent;

			if (!is_listed(team) || team->refusal != NULL)
				continue;
			parent = wanted_parent(teams, team);
			if (parent == NULL || parent->refusal == NULL)
				continue;
			team->refusal = psprintf("its parent \"%s\" is refused", parent->key);
			again = true;
		}
	}
}

/* ---- where it stands ---- */

/* From today on up to the next move that is recorded; what is new, always. */
static KpiAssignments *
placed(const KpiSyncThings *teams, const KpiSyncThing *team, DateADT today)
{
	const KpiSyncThing *parent = wanted_parent(teams, team);
	int32		parent_id = parent ? parent->id : KPI_TEAM_COMPANY;
	const KpiAssignment *current;

	if (team->name == NULL)
		return kpi_people_assignments_set(team->before, DATEVAL_NOBEGIN, DATEVAL_NOEND, parent_id);
	current = kpi_people_assignments_at(team->before, today);
	if (!teams->records->has[KPI_SYNC_TARGET] || team->id == KPI_TEAM_COMPANY ||
		(current != NULL && current->target == parent_id))
		return team->before;
	return kpi_people_assignments_set(team->before, today, kpi_people_assignments_next(team->before, today),
									  parent_id);
}

static void
place_all(KpiSyncThings *teams, DateADT today)
{
	for (int i = 0; i < teams->n; i++)
	{
		KpiSyncThing *team = &teams->items[i];

		if (!is_listed(team))
			continue;
		team->new_name = team->refusal ? NULL : team->records->name;
		team->after = team->refusal ? team->before : placed(teams, team, today);
	}
}

/* ---- circles ---- */

static KpiSyncThing *
parent_on(const KpiSyncThings *teams, const KpiSyncThing *team, DateADT day)
{
	const KpiAssignment *parent = kpi_people_assignments_at(team->after, day);

	return parent ? kpi_sync_thing_by_id(teams, parent->target) : NULL;
}

/* 'a under b under a', from the team on. */
static char *
circle_text(const KpiSyncThings *teams, const KpiSyncThing *team, DateADT day)
{
	StringInfoData text;
	const KpiSyncThing *next = team;
	int			n = 0;

	initStringInfo(&text);
	do
	{
		next = parent_on(teams, next, day);
		if (n++ == 0)
			appendStringInfoString(&text, team->key);
		if (n <= MAX_SHOWN)
			appendStringInfo(&text, " under %s", next->key);
		else if (n == MAX_SHOWN + 1)
			appendStringInfoString(&text, " ...");
	} while (next != team);
	return text.data;
}

/* Refuses all rows of the circle that this team is on. */
static void
refuse_circle(const KpiSyncThings *teams, KpiSyncThing *start, DateADT day, DateADT today)
{
	KpiSyncThing *team = start;

	do
	{
		if (is_listed(team) && team->refusal == NULL)
			team->refusal = psprintf("%sit would be above itself: %s",
									 day > today ? psprintf("from %s on ", kpi_day_text(day)) : "",
									 circle_text(teams, team, day));
		team = parent_on(teams, team, day);
	} while (team != start);
}

/* Walks up from each team until where another walk has been; who meets his own has found a circle. */
static bool
refuse_circles_on(const KpiSyncThings *teams, DateADT day, DateADT today)
{
	int		   *walk = palloc0(Max(teams->n, 1) * sizeof(int));
	bool		found = false;

	for (int i = 0; i < teams->n; i++)
	{
		KpiSyncThing *team = &teams->items[i];

		while (team != NULL && walk[team - teams->items] == 0)
		{
			walk[team - teams->items] = i + 1;
			team = parent_on(teams, team, day);
		}
		if (team != NULL && walk[team - teams->items] == i + 1)
		{
			refuse_circle(teams, team, day, today);
			found = true;
		}
	}
	pfree(walk);
	return found;
}

static int
compare_days(const ListCell *a, const ListCell *b)
{
	return (lfirst_int(a) > lfirst_int(b)) - (lfirst_int(a) < lfirst_int(b));
}

static bool
any_is_expected(const KpiSyncThings *teams)
{
	for (int i = 0; i < teams->n; i++)
	{
		if (teams->items[i].is_expected)
			return true;
	}
	return false;
}

/*
 * Today, and the later days on which a team is moved, which do not depend on the rows;
 * where a team that has others under it already is made for always, all such days.
 */
static List *
days_of_change(const KpiSyncThings *teams, DateADT today)
{
	List	   *days = list_make1_int(today);
	bool		all = any_is_expected(teams);

	for (int i = 0; i < teams->n; i++)
	{
		const KpiAssignments *before = teams->items[i].before;

		for (int a = 0; a < before->n; a++)
		{
			if (all || before->items[a].since > today)
				days = lappend_int(days, before->items[a].since);
		}
	}
	list_sort(days, compare_days);
	return days;
}

static bool
refuse_circles(const KpiSyncThings *teams, List *days, DateADT today)
{
	DateADT		last = DATEVAL_NOBEGIN;
	ListCell   *lc;

	foreach(lc, days)
	{
		if (lfirst_int(lc) != last && refuse_circles_on(teams, lfirst_int(lc), today))
			return true;
		last = lfirst_int(lc);
	}
	return false;
}

void
kpi_sync_plan_teams(KpiSyncThings *teams, DateADT today)
{
	List	   *days;

	if (teams->records == NULL)
		return;
	for (int i = 0; i < teams->n; i++)
	{
		if (is_listed(&teams->items[i]))
			teams->items[i].refusal = fault_of(teams, &teams->items[i]);
	}
	days = days_of_change(teams, today);
	do
	{
		refuse_dependants(teams);
		place_all(teams, today);
	} while (refuse_circles(teams, days, today));
}

/* ---- teams that are not in the query ---- */

typedef struct TeamUse
{
	bool		ever;			/* something refers to it, on whatever day */
	bool		now;			/* it has people today or later, or a team in
								 * use or in the query under it */
} TeamUse;

static TeamUse *
use_of(const KpiSyncThings *teams, int32 id, TeamUse *uses)
{
	return &uses[kpi_sync_thing_by_id(teams, id) - teams->items];
}

static void
count_ever(const KpiSyncThings *teams, const KpiSyncThing *thing, TeamUse *uses)
{
	for (int a = 0; a < thing->after->n; a++)
		use_of(teams, thing->after->items[a].target, uses)->ever = true;
}

/* Whether that is news for any team. */
static bool
count_now(const KpiSyncThings *teams, const KpiSyncThing *thing, DateADT today, TeamUse *uses)
{
	bool		news = false;

	for (int a = 0; a < thing->after->n; a++)
	{
		TeamUse    *use = use_of(teams, thing->after->items[a].target, uses);

		if (thing->after->items[a].until > today && !use->now)
			news = use->now = true;
	}
	return news;
}

static bool
is_absent(const KpiSyncThing *team)
{
	return !is_listed(team) && team->id != KPI_TEAM_COMPANY && team->id != KPI_TEAM_UNASSIGNED;
}

/* Of absent teams: what else would go with them. */
static void
count_stored(const KpiSyncThings *teams, TeamUse *uses)
{
	List	   *ids = NIL;
	KpiRows		rows;

	for (int i = 0; i < teams->n; i++)
	{
		if (is_absent(&teams->items[i]) && !uses[i].ever)
			ids = lappend_int(ids, teams->items[i].id);
	}
	if (ids == NIL)
		return;
	kpi_rows_begin(&rows, "SELECT t.id FROM pg_catalog.unnest($1) AS t (id)"
				   " WHERE EXISTS (SELECT FROM kpi.goal g WHERE g.team_id = t.id)"
				   " OR EXISTS (SELECT FROM kpi_internal.stream s, kpi_internal.rollup_cell c"
				   "             WHERE c.stream_id = s.id AND c.scope_kind = 1 AND c.scope_id = t.id)",
				   1, KPI_INT4S(ids));
	while (kpi_rows_next(&rows))
		use_of(teams, kpi_rows_int4(&rows, "id"), uses)->ever = true;
	kpi_rows_end(&rows);
}

static TeamUse *
count_uses(const KpiSyncThings *teams, const KpiSyncThings *members, DateADT today)
{
	TeamUse    *uses = palloc0(Max(teams->n, 1) * sizeof(TeamUse));
	bool		news;

	for (int i = 0; i < members->n; i++)
	{
		count_ever(teams, &members->items[i], uses);
		(void) count_now(teams, &members->items[i], today, uses);
	}
	for (int i = 0; i < teams->n; i++)
	{
		if (!teams->items[i].is_dropped)
			count_ever(teams, &teams->items[i], uses);
	}
	do
	{
		news = false;
		for (int i = 0; i < teams->n; i++)
		{
			if (is_listed(&teams->items[i]) || uses[i].now)
				news |= count_now(teams, &teams->items[i], today, uses);
		}
	} while (news);
	count_stored(teams, uses);
	return uses;
}

/*
 * A team stays as long as anything refers to it, as its past would lose its
 * place.  One that was never used goes, and then maybe the one above it.
 */
void
kpi_sync_plan_missing_teams(KpiSyncThings *teams, const KpiSyncThings *members, const KpiSyncOrder *order,
							DateADT today)
{
	bool		again = teams->records != NULL;

	while (again)
	{
		TeamUse    *uses = count_uses(teams, members, today);

		again = false;
		for (int i = 0; i < teams->n; i++)
		{
			KpiSyncThing *team = &teams->items[i];

			if (!is_absent(team) || team->is_dropped)
				continue;
			team->reason = pstrdup(uses[i].now ? "not in the query, but in use" : "not in the query");
			team->is_missing = uses[i].now || (order->keep_missing && !uses[i].ever);
			team->is_dropped = !uses[i].ever && !order->keep_missing;
			again |= team->is_dropped;
		}
		pfree(uses);
	}
}
