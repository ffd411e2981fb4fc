/*-------------------------------------------------------------------------
 *
 * reattach.c
 *	  Another table has come under a source's name: capture moves to it.
 *
 * The lock waits for writers of the new table that have no trigger yet, or one
 * from when it had the name before; the snapshot that is taken afterwards shows what
 * they wrote, and who writes later is captured.  Writers of the table before may
 * still commit what they captured: a schema is renamed under open transactions.
 * Their deltas carry the version before, and mean nothing any more.
 *
 * Nothing is read here, so that writers are locked out for a moment only: the facts
 * are read by a build, in transactions that follow where the caller commits.
 *
 * Locks: SHARE ROW EXCLUSIVE on the new table and its partitions, waited for at
 * most kpi.lock_timeout, to the end of the transaction.  Triggers that stay behind
 * are dropped where that can be had at once.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "capture/capture.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "refresh/refresh_internal.h"

void
kpi_refresh_reattach(const KpiSource *source, Oid relid)
{
	KpiSpi		spi;

	kpi_capture_detach_partitions(source->id, relid);
	kpi_fact_table_lock(relid, ShareRowExclusiveLock);
	kpi_capture_attach(source->id, relid, kpi_model_source_definer(source));

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.stream SET version = version + 1 WHERE source_id = $1",
				 1, KPI_INT4(source->id));
	kpi_refresh_source_state_keep_built(source->id);
	kpi_spi_end(&spi);
	kpi_refresh_tell_writers(source->attached);
}
