/*-------------------------------------------------------------------------
 *
 * mend.c
 *	  A suspended source goes on when its definition has been mended.
 *
 * A source whose column was dropped, or got another type, is suspended until one
 * of both is mended.  If it is the definition, the call that does so is enough:
 * it has the table locked, so no writer is under way that captured nothing, and all
 * facts are read by the next refresh.  What somebody has to accept by name (another
 * table, another owner, another role behind the definer's name) stays for
 * kpi.resume().
 *
 * Locks: the engine's lock of a suspended source comes before its table's.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "capture/capture.h"
#include "define/define.h"
#include "define/define_internal.h"
#include "fact/fact.h"
#include "model/model.h"
#include "refresh/refresh.h"
#include "utils/acl.h"

void
kpi_define_mend_begin(const char *source)
{
	KpiSourceRow *row = kpi_define_source_row_read(source);

	kpi_define_source_row_require_definer(row);
	if (kpi_model_source_is_suspended(row->id) && !IsolationUsesXactSnapshot())
		kpi_refresh_lock_source(row->id);
}

/* Whether nothing has changed that has to be accepted. */
static bool
is_as_accepted(const KpiSource *source)
{
	Oid			relid = kpi_model_source_relid(source);
	Oid			owner = kpi_fact_table_owner(relid);
	Oid			definer = get_role_oid(source->definer, true);

	return OidIsValid(owner) && relid == source->attached &&
		OidIsValid(definer) && definer == source->definer_oid &&
		(owner == source->table_owner || owner == definer) &&
		kpi_fact_definer_missing_grants(relid, definer) == NULL;
}

void
kpi_define_mend_end(int32 source_id)
{
	KpiSource  *source;
	Oid			definer;

	if (!kpi_model_source_is_suspended(source_id) || IsolationUsesXactSnapshot())
		return;
	CommandCounterIncrement();
	source = kpi_model_source_load(source_id, false);
	if (!is_as_accepted(source))
		return;
	definer = kpi_model_source_definer(source);
	kpi_define_source_redefined(source_id);
	kpi_capture_attach(source_id, source->attached, definer);
	kpi_refresh_source_state_reset(source_id, source->attached, definer);
	(void) kpi_refresh_source(source_id, KPI_RUN_RECHECK, NULL);
}
