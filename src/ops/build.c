/*-------------------------------------------------------------------------
 *
 * build.c
 *	  SQL functions about builds: kpi.cancel_build().
 *
 * A cancelled build stays where it is: what is built stays complete and is kept
 * current, the rest waits for kpi.resume() or CALL kpi.refresh() of the source.
 * That is a row of kpi_internal.build_cancelled, which each step looks for under
 * its snapshot; a worker in the middle of one is ended, and what that step did goes.
 *
 * Locks: none that a refresh holds.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "fmgr.h"
#include "ops/ops_internal.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kpi_sql_cancel_build);

bool
kpi_ops_build_is_cancelled(int32 source_id)
{
	KpiSpi		spi;
	bool		found;

	kpi_spi_begin(&spi);
	found = kpi_spi_exec("SELECT FROM kpi_internal.build_cancelled WHERE source_id = $1", 1, KPI_INT4(source_id)) > 0;
	kpi_spi_end(&spi);
	return found;
}

void
kpi_ops_build_go_on(int32 source_id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi_internal.build_cancelled WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_end(&spi);
}

/* kpi.cancel_build(source text) */
Datum
kpi_sql_cancel_build(PG_FUNCTION_ARGS)
{
	KpiPolicy  *policy = kpi_ops_policy_open(kpi_arg_name(fcinfo, 0, "name of the source"));
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	if (kpi_spi_exec("SELECT FROM kpi.build_progress WHERE source_id = $1", 1, KPI_INT4(policy->source_id)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" is not being built", policy->name),
				 errhint("View kpi.build_progress lists the sources that are.")));
	kpi_spi_exec("INSERT INTO kpi_internal.build_cancelled (source_id) VALUES ($1) ON CONFLICT DO NOTHING",
				 1, KPI_INT4(policy->source_id));
	kpi_spi_exec("SELECT pg_catalog.pg_terminate_backend(w.pid) FROM kpi.worker_status w"
				 " WHERE w.database = pg_catalog.current_database() AND w.task = 'builds' AND w.source = $1 AND w.pid IS NOT NULL",
				 1, KPI_TEXT(policy->name));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}
