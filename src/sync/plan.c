/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Teams and people are made what queries say.
 *
 * First the queries run, which may take long and hold no lock of ours.  Then what is
 * recorded is read and compared in memory: with dry_run, or where nothing differs,
 * that is all, and nothing is written.  Else kpi_internal.version is raised, whose row
 * lock makes others who define people wait (define/team.c); if one of them was
 * faster, it is compared anew, under the lock.  Then the differences are written, a
 * statement for each kind of them.
 *
 * What is told is made from the same plan that is written, so a dry run tells the
 * same.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "sync/sync_internal.h"

/* Of memberships, and of refused rows in an error, so many are told. */
#define MAX_SHOWN 6

typedef struct SyncPlan
{
	const KpiSyncOrder *order;
	DateADT		today;
	KpiSyncThings *teams;
	KpiSyncThings *members;
	List	   *used;			/* char *: attributes that are dimensions */
	List	   *changes;		/* KpiSyncChange */
	bool		moves;			/* something of them is to be written */
	bool		renames;
} SyncPlan;

/* Numbers of what others may have changed meanwhile. */
typedef struct Version
{
	int64		org;
	int64		names;
} Version;

/* ---- what is told ---- */

/* 'team "dach" since 2026-10-05 until 2027-01-01' */
static void
append_assignment(StringInfo text, const SyncPlan *plan, const KpiSyncThings *things, const KpiAssignment *item)
{
	appendStringInfo(text, "%s%steam \"%s\"", text->len > 0 ? ", " : "",
					 things == plan->teams ? "under " : "", kpi_sync_thing_by_id(plan->teams, item->target)->key);
	if (!DATE_IS_NOBEGIN(item->since))
		appendStringInfo(text, " since %s", kpi_day_text(item->since));
	if (!DATE_IS_NOEND(item->until))
		appendStringInfo(text, " until %s", kpi_day_text(item->until));
}

static bool
is_recorded(const KpiSyncThing *thing, const KpiAssignment *wanted)
{
	for (int i = 0; i < thing->before->n; i++)
	{
		const KpiAssignment *item = &thing->before->items[i];

		if (item->since == wanted->since && item->until == wanted->until && item->target == wanted->target)
			return true;
	}
	return false;
}

/* Those that are new or other than they were. */
static char *
assignments_text(const SyncPlan *plan, const KpiSyncThings *things, const KpiSyncThing *thing)
{
	StringInfoData text;
	int			n = 0;

	initStringInfo(&text);
	for (int i = 0; i < thing->after->n; i++)
	{
		if (is_recorded(thing, &thing->after->items[i]))
			continue;
		if (++n <= MAX_SHOWN)
			append_assignment(&text, plan, things, &thing->after->items[i]);
	}
	if (n > MAX_SHOWN)
		appendStringInfo(&text, " and %d others", n - MAX_SHOWN);
	return n == 0 ? NULL : text.data;
}

static void
tell(SyncPlan *plan, const KpiSyncThings *things, const KpiSyncThing *thing, const char *action, char *what,
	 char *reason)
{
	KpiSyncChange *change = palloc(sizeof(KpiSyncChange));

	change->action = action;
	change->object = psprintf("%s \"%s\"", things->kind->noun, thing->key);
	change->what = what;
	change->reason = reason;
	plan->changes = lappend(plan->changes, change);
}

static void
tell_new(SyncPlan *plan, const KpiSyncThings *things, const KpiSyncThing *thing)
{
	char	   *places = assignments_text(plan, things, thing);

	tell(plan, things, thing, "create",
		 psprintf("name \"%s\"%s%s", thing->new_name ? thing->new_name : thing->key,
				  places ? ", " : "", places ? places : ""), NULL);
	plan->moves = true;
}

static void
tell_moved(SyncPlan *plan, const KpiSyncThings *things, const KpiSyncThing *thing)
{
	bool		was_there = kpi_sync_assigned_from(thing->before, plan->today);
	bool		is_there = kpi_sync_assigned_from(thing->after, plan->today);
	char	   *places = assignments_text(plan, things, thing);

	if (was_there && !is_there)
		tell(plan, things, thing, "end", places ? places : psprintf("no team from %s on", kpi_day_text(plan->today)), thing->reason);
	else
		tell(plan, things, thing, is_there && !was_there ? "join" : "move",
			 places ? places : pstrdup("memberships are taken back"), NULL);
	plan->moves = true;
}

static bool
is_used(const SyncPlan *plan, const char *attribute)
{
	ListCell   *lc;

	foreach(lc, plan->used)
	{
		if (strcmp(lfirst(lc), attribute) == 0)
			return true;
	}
	return false;
}

/* An attribute that no dimension is moves nothing, but is written under the same lock. */
static void
tell_attributes(SyncPlan *plan, const KpiSyncThings *things, const KpiSyncThing *thing)
{
	ListCell   *lc;

	if (thing->attributes == NULL)
		return;
	foreach(lc, things->records->attributes)
	{
		const KpiSyncAttribute *attribute = &thing->attributes[foreach_current_index(lc)];

		if (attribute->before == attribute->after)
			continue;
		tell(plan, things, thing, "set", kpi_sync_attribute_text(lfirst(lc), attribute), NULL);
		if (is_used(plan, lfirst(lc)))
			plan->moves = true;
		else
			plan->renames = true;
	}
}

static void
tell_thing(SyncPlan *plan, const KpiSyncThings *things, const KpiSyncThing *thing)
{
	if (thing->is_passed_over)
		return;
	if (thing->refusal != NULL)
		tell(plan, things, thing, "refused", NULL, thing->refusal);
	else if (thing->is_missing)
		tell(plan, things, thing, "missing", NULL, thing->reason);
	else if (thing->is_dropped)
	{
		tell(plan, things, thing, "drop", pstrdup("nothing refers to it"), thing->reason);
		plan->moves = true;
	}
	else if (thing->name == NULL)
	{
		tell_new(plan, things, thing);
		tell_attributes(plan, things, thing);
	}
	else
	{
		if (kpi_sync_thing_is_renamed(thing))
		{
			tell(plan, things, thing, "rename",
				 psprintf("name \"%s\" becomes \"%s\"", thing->name, thing->new_name), NULL);
			plan->renames = true;
		}
		if (kpi_sync_thing_moves(thing))
			tell_moved(plan, things, thing);
		tell_attributes(plan, things, thing);
	}
}

static void
tell_all(SyncPlan *plan, const KpiSyncThings *things)
{
	if (things->records != NULL)
		plan->changes = list_concat(plan->changes, things->records->strays);
	for (int i = 0; i < things->n; i++)
		tell_thing(plan, things, &things->items[i]);
}

static void
check_refused(const SyncPlan *plan)
{
	StringInfoData detail;
	int			n = 0;
	ListCell   *lc;

	if (plan->order->partial)
		return;
	initStringInfo(&detail);
	foreach(lc, plan->changes)
	{
		const KpiSyncChange *change = lfirst(lc);

		if (strcmp(change->action, "refused") != 0)
			continue;
		if (++n <= MAX_SHOWN)
			appendStringInfo(&detail, "%s%s: %s", n > 1 ? "; " : "", change->object, change->reason);
	}
	if (n == 0)
		return;
	if (n > MAX_SHOWN)
		appendStringInfo(&detail, "; and %d others", n - MAX_SHOWN);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_plural("%d team or member of the queries is refused",
						   "%d teams and members of the queries are refused", n, n),
			 errdetail_internal("%s.", detail.data),
			 errhint("Mend the tables, or have the rest done: partial => true; with dry_run => true as well it is only told.")));
}

/* ---- comparing ---- */

/* Compares the rows with what is recorded now. */
static void
compare(SyncPlan *plan, KpiSyncRecords *teams, KpiSyncRecords *members)
{
	plan->teams = kpi_sync_things_load(&kpi_sync_teams, teams);
	plan->members = kpi_sync_things_load(&kpi_sync_members, members);
	kpi_sync_plan_teams(plan->teams, plan->today);
	kpi_sync_plan_members(plan->members, plan->teams, plan->order, plan->today);
	kpi_sync_plan_missing_teams(plan->teams, plan->members, plan->order, plan->today);
	plan->used = kpi_all_texts("SELECT DISTINCT attribute FROM kpi.dimension WHERE attribute IS NOT NULL", 0);
	plan->changes = NIL;
	plan->moves = plan->renames = false;
	tell_all(plan, plan->teams);
	tell_all(plan, plan->members);
	check_refused(plan);
}

static Version
read_version(void)
{
	Version		version = {0};
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT org, names FROM kpi_internal.version WHERE id = 1", 0);
	if (kpi_rows_next(&rows))
	{
		version.org = kpi_rows_int8(&rows, "org");
		version.names = kpi_rows_int8(&rows, "names");
	}
	kpi_rows_end(&rows);
	return version;
}

/* Raises it, and returns what it was before: nobody else changes people until we commit. */
static Version
raise_version(const SyncPlan *plan)
{
	Version		version = {0};
	KpiRows		rows;

	kpi_rows_begin(&rows, "UPDATE kpi_internal.version SET org = org + $1, names = names + $2 WHERE id = 1"
				   " RETURNING org - $1 AS org, names - $2 AS names",
				   2, KPI_INT4(plan->moves), KPI_INT4(plan->renames));
	if (kpi_rows_next(&rows))
	{
		version.org = kpi_rows_int8(&rows, "org");
		version.names = kpi_rows_int8(&rows, "names");
	}
	kpi_rows_end(&rows);
	return version;
}

static void
write_under_lock(SyncPlan *plan, Version seen, KpiSyncRecords *teams, KpiSyncRecords *members)
{
	Version		version = raise_version(plan);
	bool		moves = plan->moves;
	Oid			role = GetUserId();
	KpiSpi		spi;

	if (version.org != seen.org || version.names != seen.names)
		compare(plan, teams, members);
	if (plan->moves && !moves)
		(void) raise_version(plan);
	kpi_spi_begin(&spi);
	kpi_sync_write(plan->teams, plan->members, role);
	kpi_spi_end(&spi);
}

List *
kpi_sync_compare_and_write(const KpiSyncOrder *order, KpiSyncRecords *teams, KpiSyncRecords *members, bool dry_run)
{
	SyncPlan	plan = {.order = order};
	Version		seen = read_version();

	plan.today = kpi_calendar_today(kpi_calendar_get(KPI_DEFAULT_CALENDAR));
	compare(&plan, teams, members);
	if (!dry_run && (plan.moves || plan.renames))
		write_under_lock(&plan, seen, teams, members);
	return plan.changes;
}

List *
kpi_sync_people(const KpiSyncOrder *order, bool dry_run)
{
	KpiSyncRecords *teams = NULL;
	KpiSyncRecords *members = NULL;

	if (order->teams != NULL)
		teams = kpi_sync_query_read(&kpi_sync_teams, order->teams, false, NIL);
	if (order->members != NULL)
		members = kpi_sync_query_read(&kpi_sync_members, order->members, false, NIL);
	return kpi_sync_compare_and_write(order, teams, members, dry_run);
}
