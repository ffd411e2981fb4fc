/*-------------------------------------------------------------------------
 *
 * sealed.c
 *	  Facts that are gone with their partitions, and definitions that would need them.
 *
 * What such facts amount to is kept as cells (refresh/seal.c), by the definitions
 * that there were.  By others it cannot be computed.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "define/define_internal.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"

static void
refuse(const char *what, const char *source, const char *range)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot change %s because facts that it would need are gone", what),
			 range ?
			 errdetail("Sealed of source \"%s\": %s.", source, range) :
			 errdetail("A partition of the table of source \"%s\" was dropped or detached.", source),
			 errhint("To take them out of the numbers, give discard_sealed => true to kpi.alter_source() or kpi.alter_kpi().")));
}

char *
kpi_define_sealed_days(int32 source_id)
{
	return kpi_list_some("SELECT pg_catalog.format(CASE WHEN s.first_day IS NULL THEN '%s' ELSE '%s from %s to %s' END,"
						 " s.partition, pg_catalog.to_char(s.first_day, 'YYYY-MM-DD'), pg_catalog.to_char(s.last_day, 'YYYY-MM-DD'))"
						 " FROM kpi.sealed s WHERE s.source_id = $1 ORDER BY s.last_day, s.partition", source_id);
}

void
kpi_define_sealed_check(int32 source_id, const char *what)
{
	char	   *source;
	char	   *range;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	source = kpi_first_text("SELECT s.name FROM kpi.source s WHERE s.id = $1", 1, KPI_INT4(source_id));
	range = kpi_define_sealed_days(source_id);
	if (range != NULL || kpi_refresh_leaves_are_lost(source_id))
		refuse(what, source, range);
	kpi_spi_end(&spi);
}

bool
kpi_define_sealed_discard(int32 source_id)
{
	KpiSpi		spi;
	bool		is_any;

	kpi_spi_begin(&spi);
	is_any = kpi_first_int4("SELECT 1 FROM kpi_internal.seal s WHERE s.source_id = $1 LIMIT 1", 1, KPI_INT4(source_id)) != 0 ||
		kpi_refresh_leaves_are_lost(source_id);
	kpi_spi_end(&spi);
	if (is_any)
		kpi_refresh_seals_discard(source_id);
	return is_any;
}
