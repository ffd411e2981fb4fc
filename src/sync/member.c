/*-------------------------------------------------------------------------
 *
 * member.c
 *	  What becomes of members: to which team they belong on which days.
 *
 * With effective => 'today' the query says where somebody is: what is recorded up
 * to today stays, and so does a move that is recorded for a later day.  Who is new
 * gets the membership that the row says, always where it has no beginning.  With
 * 'history' the rows of a member are its memberships, all of them.
 *
 * Days decide.  A membership that ends within a day has that day, unless another one
 * of the member begins on it.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "sync/sync_internal.h"

static KpiSyncThing *
wanted_team(const KpiSyncThings *teams, const KpiSyncRecord *record)
{
	return record->target ? kpi_sync_thing_by_key(teams, record->target) : NULL;
}

/* What is wrong with a row of the query; NULL: nothing. */
static char *
fault_of_record(const KpiSyncThings *teams, const KpiSyncRecord *record)
{
	const KpiSyncThing *team = wanted_team(teams, record);

	if (record->target != NULL && team == NULL)
		return psprintf("its team \"%s\" does not exist", record->target);
	if (team != NULL && team->id == KPI_TEAM_UNASSIGNED)
		return psprintf("its team \"%s\" cannot have members", record->target);
	if (team != NULL && team->refusal != NULL)
		return psprintf("its team \"%s\" is refused", record->target);
	if (record->until_at < record->since_at)
		return psprintf("its until %s is before its since %s", kpi_day_text(record->until_begun),
						kpi_day_text(record->since));
	if (record->name != NULL && kpi_name_fault(record->name) != NULL)
		return psprintf("its name %s", kpi_name_fault(record->name));
	return NULL;
}

/* Whether a row says nothing of any moment. */
static bool
is_empty(const KpiSyncRecord *record)
{
	return record->since_at == record->until_at;
}

static char *
fault_of(const KpiSyncThings *teams, const KpiSyncThing *member, const KpiSyncOrder *order)
{
	const KpiSyncRecord *last = NULL;

	if (member->nrecords > 1 && !order->history)
		return psprintf("its key is there %d times", member->nrecords);
	for (int i = 0; i < member->nrecords; i++)
	{
		const KpiSyncRecord *record = &member->records[i];
		char	   *fault = fault_of_record(teams, record);

		if (fault != NULL)
			return fault;
		if (is_empty(record))
			continue;
		if (last != NULL && record->since < last->until_begun)
			return psprintf("its memberships overlap on %s", kpi_day_text(record->since));
		last = record;
	}
	return NULL;
}

static int32
team_id(const KpiSyncThings *teams, const KpiSyncRecord *record)
{
	const KpiSyncThing *team = wanted_team(teams, record);

	return team ? team->id : 0;
}

/* All memberships as the rows say; each takes the day from the one before it that they share. */
static KpiAssignments *
as_history(const KpiSyncThings *teams, const KpiSyncThing *member)
{
	KpiAssignments none = {0};
	KpiAssignments *after = kpi_people_assignments_set(&none, DATEVAL_NOBEGIN, DATEVAL_NOEND, 0);

	for (int i = 0; i < member->nrecords; i++)
	{
		const KpiSyncRecord *record = &member->records[i];

		if (!is_empty(record))
			after = kpi_people_assignments_set(after, record->since, record->until, team_id(teams, record));
	}
	return after;
}

/* When another team comes, as it is recorded already; more of the same is what the row says anyway. */
static DateADT
next_other(const KpiAssignments *recorded, DateADT day, int32 team)
{
	for (int i = 0; i < recorded->n; i++)
	{
		if (recorded->items[i].since > day && recorded->items[i].target != team)
			return recorded->items[i].since;
	}
	return DATEVAL_NOEND;
}

/* What is recorded, with what the row says of today and later. */
static KpiAssignments *
as_of_today(const KpiSyncThing *member, int32 team, bool says_until, DateADT today)
{
	const KpiSyncRecord *record = member->records;
	DateADT		since = Max(record->since, today);
	const KpiAssignment *current = kpi_people_assignments_at(member->before, since);
	DateADT		next = next_other(member->before, since, team);
	KpiAssignments *after;

	if (team == 0 || record->until <= since)
		return kpi_people_assignments_set(member->before, team == 0 ? since : Max(record->until, today),
										  DATEVAL_NOEND, 0);
	/* An end that the query knows nothing of stays. */
	if (!says_until && current != NULL && current->target == team)
		return member->before;
	after = kpi_people_assignments_set(member->before, since, Min(record->until, next), team);
	return kpi_people_assignments_set(after, record->until, DATEVAL_NOEND, 0);
}

static void
plan_listed(KpiSyncThing *member, const KpiSyncThings *members, const KpiSyncThings *teams,
			const KpiSyncOrder *order, DateADT today)
{
	/* Of several the last has its name. */
	member->new_name = member->records[member->nrecords - 1].name;
	kpi_sync_plan_attributes(member, members, order, today);
	if (order->history || member->name == NULL)
		member->after = as_history(teams, member);
	else
		member->after = as_of_today(member, team_id(teams, member->records),
									members->records->has[KPI_SYNC_UNTIL], today);
	if (member->records[member->nrecords - 1].target == NULL)
		member->reason = pstrdup("it has no team in the query");
	else if (member->records[member->nrecords - 1].until <= today)
		member->reason = pstrdup("its until is past");
}

static void
plan_missing(KpiSyncThing *member, const KpiSyncOrder *order, DateADT today)
{
	if (member->is_there_by_alias || !kpi_sync_assigned_from(member->before, today))
		return;
	member->reason = pstrdup("not in the query");
	member->is_missing = order->keep_missing;
	if (!order->keep_missing)
		member->after = kpi_people_assignments_set(member->before, today, DATEVAL_NOEND, 0);
}

/* A table that is being loaded is empty for a moment, and that must not end everybody. */
static void
check_not_empty(const KpiSyncThings *members, const KpiSyncOrder *order, DateADT today)
{
	if (members->records->n > 0 || members->records->strays != NIL || order->keep_missing)
		return;
	for (int i = 0; i < members->n; i++)
	{
		if (kpi_sync_assigned_from(members->items[i].before, today))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the query of members has no rows"),
					 errdetail("All members would end."),
					 errhint("If they should, use kpi.end_membership(); missing => 'keep' only lists them.")));
	}
}

void
kpi_sync_plan_members(KpiSyncThings *members, KpiSyncThings *teams, const KpiSyncOrder *order, DateADT today)
{
	if (members->records == NULL)
		return;
	check_not_empty(members, order, today);
	for (int i = 0; i < members->n; i++)
	{
		KpiSyncThing *member = &members->items[i];

		if (member->is_passed_over)
			continue;
		if (member->nrecords == 0)
			plan_missing(member, order, today);
		else if ((member->refusal = fault_of(teams, member, order)) == NULL)
			plan_listed(member, members, teams, order, today);
	}
}
