/*-------------------------------------------------------------------------
 *
 * log.c
 *	  Teams and members that a sync has changed are in kpi.definition_log.
 *
 * A row for each of them, as when somebody changes one by hand, as the next row of that
 * one tells what it was by this.  But the trigger of the log (define/definition_log.c) looks
 * at each row that is written, and a sync writes them by the thousand: so it is told to pass
 * these over, and one statement for each kind looks at all of them at the end.
 *
 * Locks: none.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "sync/sync_internal.h"

static bool
has_other_attributes(const KpiSyncThing *thing, const KpiSyncThings *things)
{
	if (thing->attributes == NULL)
		return false;
	for (int i = 0; i < list_length(things->records->attributes); i++)
	{
		if (thing->attributes[i].before != thing->attributes[i].after)
			return true;
	}
	return false;
}

/* The ids of those that are other than they were. */
static List *
changed(const KpiSyncThings *things)
{
	List	   *ids = NIL;

	for (int i = 0; i < things->n; i++)
	{
		const KpiSyncThing *thing = &things->items[i];

		if (thing->id <= 0 || thing->refusal != NULL || thing->is_passed_over)
			continue;
		if (thing->name == NULL || thing->is_dropped || kpi_sync_thing_is_renamed(thing) ||
			kpi_sync_thing_moves(thing) || has_other_attributes(thing, things))
			ids = lappend_int(ids, thing->id);
	}
	return ids;
}

static void
log_changed(const char *kind, const KpiSyncThings *things, Oid role)
{
	List	   *ids = changed(things);

	if (ids != NIL)
		kpi_spi_exec("SELECT kpi_internal.log_people($1, $2, $3, $4, $5)", 5, KPI_TEXT(kind), KPI_INT4S(ids),
					 KPI_TEXT(GetUserNameFromId(role, false)), KPI_TEXT(GetUserNameFromId(GetSessionUserId(), false)),
					 KPI_TEXT(kpi_reason));
}

void
kpi_sync_log(const KpiSyncThings *teams, const KpiSyncThings *members, Oid role)
{
	log_changed("team", teams, role);
	log_changed("member", members, role);
}
