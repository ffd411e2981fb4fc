/*-------------------------------------------------------------------------
 *
 * source_drop.c
 *	  kpi.drop_source(): a source, and all that is of it.
 *
 * Locks: the engine's lock of the source, the tables that it follows, its row, its table, then other rows of
 * our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh.h"

PG_FUNCTION_INFO_V1(kpi_sql_drop_source);

static void
forget_source(int32 source_id, const char *relation)
{
	static const char *const statements[] = {
		"DELETE FROM kpi_internal.source_state WHERE source_id = $1",
		"DELETE FROM kpi_internal.build WHERE source_id = $1",
		"DELETE FROM kpi_internal.build_cancelled WHERE source_id = $1",
		"DELETE FROM kpi_internal.refresh_log WHERE source_id = $1",
		"DELETE FROM kpi_internal.leaf WHERE source_id = $1",
		"DELETE FROM kpi_internal.dim WHERE source_id = $1",
		"DELETE FROM kpi_internal.applied_attribution WHERE source_id = $1",
		"DELETE FROM kpi.dimension WHERE source_id = $1",
		"DELETE FROM kpi.source WHERE id = $1"
	};
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_define_keyed_drop(source_id, relation);
	for (int i = 0; i < lengthof(statements); i++)
		kpi_spi_exec(statements[i], 1, KPI_INT4(source_id));
	kpi_spi_end(&spi);
}

static void
require_no_kpis(const KpiSourceRow *row)
{
	KpiSpi		spi;
	char	   *users;

	kpi_spi_begin(&spi);
	users = kpi_list_some("SELECT pg_catalog.quote_ident(name) FROM kpi.kpi WHERE source_id = $1 ORDER BY name",
						  row->id);
	if (users != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop source \"%s\" because KPIs use it", row->name),
				 errdetail("KPIs of the source: %s.", users),
				 errhint("Drop them first with kpi.drop_kpi(), or drop all with cascade => true.")));
	kpi_spi_end(&spi);
}

static void
drop_source(const char *name, bool cascade)
{
	KpiSourceRow *row = kpi_define_source_row_read(name);
	KpiKeyed   *keyed;
	ListCell   *lc;

	check_stack_depth();

	/*
	 * The engine's lock before the table's: writers must not wait for a
	 * refresh.
	 */
	kpi_define_source_row_require_definer(row);
	kpi_refresh_lock_source(row->id);
	if (cascade)
	{
		foreach(lc, kpi_define_keyed_readers(row))
			drop_source(lfirst(lc), true);
	}
	keyed = kpi_model_keyed_load(row->id, false);
	if (keyed != NULL)
		kpi_define_keyed_lock_followed(keyed, row->definer, AccessExclusiveLock);

	/*
	 * What dropping a trigger needs, at once: a weaker lock first would
	 * deadlock.
	 */
	(void) kpi_define_source_row_lock(row, AccessExclusiveLock);
	row = kpi_define_source_row_open(row->name, false);
	if (!cascade)
	{
		require_no_kpis(row);
		kpi_define_keyed_require_unread(row, "drop");
	}

	kpi_define_drop_of_source(row->id);
	if (OidIsValid(row->relid))
		kpi_capture_detach(row->id, row->relation);
	kpi_define_streams_drop(row->id, true);
	kpi_capture_segments_drop(row->id);
	kpi_refresh_seals_discard(row->id);
	forget_source(row->id, row->relation);
}

/* kpi.drop_source(name, cascade) */
Datum
kpi_sql_drop_source(PG_FUNCTION_ARGS)
{
	drop_source(kpi_arg_name(fcinfo, 0, "name of the source"), !PG_ARGISNULL(1) && PG_GETARG_BOOL(1));
	PG_RETURN_VOID();
}
