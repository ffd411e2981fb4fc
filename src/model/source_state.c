/*-------------------------------------------------------------------------
 *
 * source_state.c
 *	  What the last refresh left of a source.
 *
 * Writers ask as well, in the middle of any transaction: what is committed now
 * counts, whatever their own snapshot shows.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "model/model.h"
#include "utils/snapmgr.h"

Oid
kpi_model_attached_relid(int32 source_id)
{
	Oid			relid = InvalidOid;
	KpiRows		rows;

	PushActiveSnapshot(kpi_snapshot_latest());
	kpi_rows_begin_read(&rows, "SELECT s.relid FROM kpi_internal.source_state s WHERE s.source_id = $1",
						1, KPI_INT4(source_id));
	if (kpi_rows_next(&rows))
		relid = kpi_rows_oid(&rows, "relid");
	kpi_rows_end(&rows);
	PopActiveSnapshot();
	return relid;
}

bool
kpi_model_source_is_suspended(int32 source_id)
{
	bool		suspended;
	KpiSpi		spi;

	PushActiveSnapshot(kpi_snapshot_latest());
	kpi_spi_begin(&spi);
	suspended = kpi_spi_read("SELECT FROM kpi_internal.source_state s"
							 " WHERE s.source_id = $1 AND s.status = 'suspended'",
							 1, KPI_INT4(source_id)) == 1;
	kpi_spi_end(&spi);
	PopActiveSnapshot();
	return suspended;
}

bool
kpi_model_leaf_is_known(int32 source_id, Oid leaf)
{
	bool		known;
	KpiSpi		spi;

	PushActiveSnapshot(kpi_snapshot_latest());
	kpi_spi_begin(&spi);
	known = kpi_spi_read("SELECT FROM kpi_internal.leaf l WHERE l.source_id = $1 AND l.relid = $2",
						 2, KPI_INT4(source_id), KPI_VALUE(OIDOID, ObjectIdGetDatum(leaf))) == 1;
	kpi_spi_end(&spi);
	PopActiveSnapshot();
	return known;
}
