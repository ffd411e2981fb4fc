/*-------------------------------------------------------------------------
 *
 * export.c
 *	  kpi.export(): all definitions as one JSON document.
 *
 * What a definition says is in the view kpi_internal.exported.  It is read as the
 * extension's owner: whoever may call the function may read the tables of
 * definitions, which say the same.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(kpi_sql_export);

/* kpi.export(people) */
Datum
kpi_sql_export(PG_FUNCTION_ARGS)
{
	bool		people = PG_ARGISNULL(0) || PG_GETARG_BOOL(0);
	char	   *document = NULL;
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT kpi_internal.export($1) AS document", 1, KPI_BOOL(people));
	if (kpi_rows_next(&rows))
		document = kpi_rows_text(&rows, "document");
	kpi_rows_end(&rows);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(document)));
}
