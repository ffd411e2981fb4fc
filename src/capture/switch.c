/*-------------------------------------------------------------------------
 *
 * switch.c
 *	  kpi.capture: whether this transaction captures what it writes.
 *
 * The first change of a transaction decides, for all of it: half of a transaction's changes
 * would be worse than none.  One that does not capture leaves a marker for each source
 * that it writes to, with the fate of the subtransaction that does, and looks at nothing
 * else: neither at a definition nor at a row, as what is wrong with these may be why somebody
 * has switched capture off.  So whoever names a source of others in a trigger of his own has
 * it read once more, and no more than that.
 *
 * What the engine writes to the rows that it keeps of a keyed source is captured
 * always: a refresh would ask for the next one.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture_internal.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

typedef enum Decision
{
	DECISION_NONE,
	DECISION_ON,
	DECISION_OFF
}			Decision;

static Decision decision = DECISION_NONE;

/* What fn_extra points to for the rows of a statement that has left its marker. */
static char is_marked;

int32
kpi_capture_trigger_argument(const Trigger *trigger)
{
	char	   *end;
	long		id;

	if (trigger->tgnargs != 1)
		return 0;
	id = strtol(trigger->tgargs[0], &end, 10);
	return *end != '\0' || id <= 0 || id > PG_INT32_MAX ? 0 : (int32) id;
}

static bool
is_kept(Relation rel)
{
	Oid			namespace = get_namespace_oid("kpi_data", true);

	return OidIsValid(namespace) && RelationGetNamespace(rel) == namespace;
}

bool
kpi_capture_is_off(FunctionCallInfo fcinfo)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	int32		source_id;

	if (decision == DECISION_NONE)
		decision = kpi_capture_enabled ? DECISION_ON : DECISION_OFF;
	if (decision == DECISION_ON)
		return false;
	if (fcinfo->flinfo->fn_extra == &is_marked)
		return true;
	if (is_kept(trigdata->tg_relation))
		return false;
	source_id = kpi_capture_trigger_argument(trigdata->tg_trigger);
	if (source_id != 0)
		kpi_capture_mark(source_id, KPI_DELTA_RECOMPUTE, NULL);
	fcinfo->flinfo->fn_extra = &is_marked;
	return true;
}

void
kpi_capture_switch_forget(void)
{
	decision = DECISION_NONE;
}
