/*-------------------------------------------------------------------------
 *
 * source_table.c
 *	  kpi.alter_source(relation => ...): a source gets another table.
 *
 * What is defined over the source stays: KPIs, goals and their history, formulas,
 * rollup tables.  All of it is of the other table from then on, and the next refresh
 * reads that.  The choice not taken, to do what a refresh does when another table has
 * come under the name (refresh/state.c): it would compare two tables that nobody said
 * were alike, and the source may be one that does not follow.
 *
 * Locks: the engine's lock of the source, its row, the table that it was over as to drop
 * a trigger, the other one as to change a definition (fact/table.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "capture/capture.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fact/fact.h"
#include "model/model.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"

/* Rows of these are kept in a table of ours. */
static void
refuse_keyed(const char *source, bool has_lookups)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 has_lookups ?
			 errmsg("the table of source \"%s\" cannot be changed, as the source looks values up", source) :
			 errmsg("source \"%s\" has a query, and no table of somebody else's", source),
			 has_lookups ?
			 errhint("Create another source over the other table, and give its name to the KPIs: kpi.alter_kpi(..., source => ...).") :
			 errhint("Change the query: kpi.alter_source(%s, query => ...).", quote_literal_cstr(source))));
}

/*
 * What was seen of the table before means nothing for the other one: also that
 * facts are fewer.
 */
static void
forget_table(int32 source_id, Oid relid, Oid definer)
{
	KpiSpi		spi;

	kpi_refresh_source_state_reset(source_id, relid, definer);
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.source_state SET former_relation = NULL, renamed_at = NULL, accepts_loss = true,"
				 " loaded_at = NULL, loaded_by = NULL WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_end(&spi);
}

bool
kpi_define_source_table_change(const char *name, const char *relation, Oid named_definer, bool discard_sealed)
{
	KpiSourceRow *row = kpi_define_source_row_read(name);
	KpiKeyed   *keyed = kpi_model_keyed_load(row->id, false);
	Oid			definer;
	Oid			relid;
	KpiSpi		spi;

	kpi_define_source_row_require_definer(row);
	if (keyed != NULL)
		refuse_keyed(row->name, keyed->facts_relation != NULL);
	kpi_refresh_lock_source(row->id);

	/*
	 * What dropping a trigger needs, at once: a weaker lock first would
	 * deadlock.
	 */
	(void) kpi_define_source_row_lock(row, AccessExclusiveLock);
	row = kpi_define_source_row_open(name, false);
	definer = OidIsValid(named_definer) ? named_definer : kpi_define_source_row_definer(row);
	relid = kpi_fact_table_open(relation, definer);
	if (relid == row->relid)
		return false;
	if (!discard_sealed)
		kpi_define_sealed_check(row->id, psprintf("the table of source \"%s\"", row->name));

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.source SET relation = $2 WHERE id = $1", 2, KPI_INT4(row->id),
				 KPI_TEXT(kpi_fact_table_name(relid)));
	kpi_spi_end(&spi);
	kpi_capture_detach(row->id, row->relation);
	CommandCounterIncrement();
	kpi_capture_attach(row->id, relid, definer);
	forget_table(row->id, relid, definer);
	return true;
}
