/*-------------------------------------------------------------------------
 *
 * definition_log.c
 *	  kpi.definition_log: who has changed which definition.
 *
 * A deferred trigger on each table of definitions, queued only for what our own
 * functions write (kpi_internal.is_defining()), looks at the whole definition at the
 * end of the transaction, once for each row that was touched.  What it was is what the
 * log said last, so a row is added only where there is a difference, and one for a
 * definition however many statements made it.  The choice not taken, to log the rows
 * as they are written, would tell of ids and of steps in between.
 *
 * Nothing here waits for anybody: rows are only added.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(kpi_sql_log_definition);

/* What was said of the target that this transaction has given goal $1. */
#define REASON_OF_GOAL \
	"(SELECT v.reason FROM kpi.goal_version v WHERE v.goal_id = $1 AND v.made_at = pg_catalog.now() ORDER BY v.version DESC LIMIT 1)"

/*
 * The kind is a part of the text, so that each has a plan of its own, of the few tables that it is
 * in.  Where a table is called otherwise and nothing else has changed, it was renamed, and followed, unless
 * somebody has named another (source_table.c).
 */
static void
add_row(const char *kind, KpiParam id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);

	/*
	 * The view is large, and read for one row, however few there are when the
	 * plan is made.
	 */
	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	kpi_spi_exec(psprintf("INSERT INTO kpi.definition_log (role, session_role, action, kind, object_id, name, old, new, reason)"
						  " SELECT $2, $3, CASE WHEN e.definition IS NULL THEN 'drop' WHEN l.new IS NULL THEN 'create'"
						  "   WHEN l.new ->> 'relation' <> e.definition ->> 'relation' AND l.new - 'relation' = e.definition - 'relation'"
						  "     AND EXISTS (SELECT FROM kpi_internal.source_state t WHERE l.kind = 'source' AND t.source_id = $1 AND t.renamed_at IS NOT NULL)"
						  "     OR l.name <> e.name AND l.new - 'name' = e.definition - 'name' AND l.kind = 'rollup' THEN 'follow' ELSE 'alter' END,"
						  "  one.kind, $1, coalesce(e.name, l.name), l.new, e.definition, coalesce(nullif($4, ''), %3$s)"
						  " FROM (SELECT %1$s::text AS kind) one"
						  " LEFT JOIN kpi_internal.exported e ON e.kind = %1$s AND e.%2$s = $1"
						  " LEFT JOIN LATERAL (SELECT d.kind, d.name, d.new FROM kpi.definition_log d WHERE d.kind = %1$s AND d.object_id = $1"
						  "   ORDER BY d.id DESC LIMIT 1) l ON true"
						  " WHERE l.new IS DISTINCT FROM e.definition",
						  quote_literal_cstr(kind), id.type == INT8OID ? "object_id" : "small_id",
						  strcmp(kind, "goal") == 0 ? REASON_OF_GOAL : "NULL"),
				 4, id, KPI_TEXT(GetUserNameFromId(GetOuterUserId(), false)),
				 KPI_TEXT(GetUserNameFromId(GetSessionUserId(), false)), KPI_TEXT(kpi_reason));
	kpi_spi_end(&spi);
}

/* AFTER ROW trigger with two arguments: the kind, and the column that has the id. */
Datum
kpi_sql_log_definition(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	tupdesc;
	HeapTuple	tuple;
	Datum		id;
	bool		isnull;
	int			attno;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigdata->tg_trigger->tgnargs != 2)
		elog(ERROR, "kpi_internal.log_definition() must be called as a trigger with two arguments");
	kpi_define_check_our_table(trigdata->tg_relation);
	tupdesc = RelationGetDescr(trigdata->tg_relation);
	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	attno = SPI_fnumber(tupdesc, trigdata->tg_trigger->tgargs[1]);
	id = SPI_getbinval(tuple, tupdesc, attno, &isnull);
	add_row(trigdata->tg_trigger->tgargs[0], KPI_VALUE(SPI_gettypeid(tupdesc, attno), id));
	return PointerGetDatum(NULL);
}
