/*-------------------------------------------------------------------------
 *
 * preview_kpi.c
 *	  kpi.preview_kpi(): what another formula would make of a KPI.
 *
 * The KPI is altered in a subtransaction that is rolled back, and its values are read before and in
 * it.  A formula is evaluated where it is read, so nothing is refreshed, no table of facts is locked and
 * no fact is read.  A measure is not previewed: its facts would have to be read while its table is
 * locked as kpi.alter_kpi() locks it, and writers would wait.
 *
 * It is altered as the caller, whose rights are those that kpi.alter_kpi() asks for.
 *
 * Locks, until the subtransaction ends: those of kpi.alter_kpi().
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kpi_sql_preview_kpi);

#define NCOLUMNS 6

typedef struct KpiPreview
{
	char	   *kpi;
	char	   *formula;
	char	   *grain;
	KpiParam	since;
	KpiParam	until;
	char	   *before;			/* as kpi_internal.preview_kpi_values() has
								 * them */
	char	   *after;
} KpiPreview;

static char *
look(const KpiPreview *preview)
{
	return kpi_first_text("SELECT kpi_internal.preview_kpi_values($1, $2, $3, $4)::text", 4, KPI_TEXT(preview->kpi),
						  KPI_TEXT(preview->grain), preview->since, preview->until);
}

/* The work that is undone. */
static void
alter(void *arg)
{
	KpiPreview *preview = arg;
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2] = {CStringGetTextDatum(preview->kpi), CStringGetTextDatum(preview->formula)};

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT kpi.alter_kpi($1, formula => $2)", 2, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI failed with %s", SPI_result_code_string(SPI_result));
	SPI_finish();
	preview->after = look(preview);
}

static void
put_rows(ReturnSetInfo *rsinfo, const KpiPreview *preview)
{
	static const char *const columns[NCOLUMNS] = {
		"team", "period", "period_start", "old_value", "new_value", "difference"
	};
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT * FROM kpi_internal.preview_kpi_difference($1::jsonb, $2::jsonb, $3)", 3,
				   KPI_TEXT(preview->before), KPI_TEXT(preview->after), KPI_TEXT(preview->grain));
	while (kpi_rows_next(&rows))
	{
		Datum		values[NCOLUMNS];
		bool		nulls[NCOLUMNS];

		for (int c = 0; c < NCOLUMNS; c++)
			values[c] = kpi_rows_datum(&rows, columns[c], &nulls[c]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	kpi_rows_end(&rows);
}

static KpiParam
day_param(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? KPI_NULL(DATEOID) : KPI_VALUE(DATEOID, PG_GETARG_DATUM(n));
}

/* Error unless it is a formula. */
static void
check_kpi(const char *kpi)
{
	char	   *is_formula = kpi_first_text("SELECT (k.source_id IS NULL)::text FROM kpi.kpi k WHERE k.name = $1",
											1, KPI_TEXT(kpi));

	if (is_formula != NULL && strcmp(is_formula, "true") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("KPI \"%s\" is no formula", kpi),
				 errdetail("What another measure would be is known once its facts are read."),
				 errhint("Create a KPI with the new measure beside it, and compare the two.")));
}

/* kpi.preview_kpi(kpi, formula, grain, since, until) */
Datum
kpi_sql_preview_kpi(PG_FUNCTION_ARGS)
{
	KpiPreview	preview = {
		.kpi = kpi_arg_name(fcinfo, 0, "KPI"),
		.formula = kpi_arg_name(fcinfo, 1, "formula"),
		.grain = kpi_arg_name(fcinfo, 2, "grain"),
		.since = day_param(fcinfo, 3),
		.until = day_param(fcinfo, 4)
	};

	(void) kpi_calendar_grain(preview.grain);
	InitMaterializedSRF(fcinfo, 0);
	check_kpi(preview.kpi);
	preview.before = look(&preview);
	kpi_undone(alter, &preview);
	put_rows((ReturnSetInfo *) fcinfo->resultinfo, &preview);
	return (Datum) 0;
}
