/*-------------------------------------------------------------------------
 *
 * preview_kpi.c
 *	  kpi.preview_kpi(): what another definition would make of a KPI.
 *
 * The KPI is altered in a subtransaction that is rolled back.  A formula is evaluated where it is
 * read, so its values are read in it.  Of a measure only what it would be is taken from there: its
 * facts are read afterwards (preview_measure.c), when its table is not locked any more as kpi.alter_kpi()
 * locks it, so that no writer waits for that.
 *
 * It is altered as the caller, whose rights are those that kpi.alter_kpi() asks for.
 *
 * Locks, until the subtransaction ends: those of kpi.alter_kpi().  Then, of a measure, ACCESS SHARE on its
 * table until the end of the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "explain/explain_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kpi_sql_preview_kpi);

#define NCOLUMNS 6

/* Arguments of kpi.alter_kpi(), from the second of kpi.preview_kpi() on. */
static const char *const altered[] = {"formula", "measure", "filter", "owner", "at"};

/* Behind them. */
enum
{
	ARG_GRAIN = lengthof(altered) + 1,
	ARG_SINCE,
	ARG_UNTIL
};

typedef struct Preview
{
	char	   *kpi;
	char	   *given[lengthof(altered)];	/* NULL: it stays */
	char	   *grain;
	KpiParam	since;
	KpiParam	until;
	char	   *before;			/* as kpi_internal.preview_kpi_values() has
								 * them */
	char	   *after;
	KpiPreviewMeasure *measure; /* NULL: a formula */
} Preview;

static char *
look(const Preview *preview)
{
	return kpi_first_text("SELECT kpi_internal.preview_kpi_values($1, $2, $3, $4)::text", 4, KPI_TEXT(preview->kpi),
						  KPI_TEXT(preview->grain), preview->since, preview->until);
}

/* As the caller. */
static void
alter(const Preview *preview)
{
	Oid			types[lengthof(altered) + 1] = {TEXTOID};
	Datum		values[lengthof(altered) + 1] = {CStringGetTextDatum(preview->kpi)};
	int			n = 1;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT kpi.alter_kpi($1");
	for (int i = 0; i < lengthof(altered); i++)
	{
		if (preview->given[i] == NULL)
			continue;
		types[n] = TEXTOID;
		values[n++] = CStringGetTextDatum(preview->given[i]);
		appendStringInfo(&sql, ", %s => $%d", altered[i], n);
	}
	appendStringInfoChar(&sql, ')');
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql.data, n, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI failed with %s", SPI_result_code_string(SPI_result));
	SPI_finish();
}

/* The work that is undone. */
static void
alter_and_look(void *arg)
{
	Preview    *preview = arg;

	alter(preview);
	if (preview->measure != NULL)
		kpi_explain_preview_altered(preview->measure);
	else
		preview->after = look(preview);
}

static void
put_rows(ReturnSetInfo *rsinfo, const Preview *preview)
{
	static const char *const columns[NCOLUMNS] = {
		"team", "period", "period_start", "old_value", "new_value", "difference"
	};
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT * FROM kpi_internal.preview_kpi_difference($1::jsonb, $2::jsonb, $3)", 3,
				   KPI_TEXT(preview->before), KPI_TEXT(preview->after), KPI_TEXT(preview->grain));
	kpi_rows_put(&rows, rsinfo, columns, NCOLUMNS);
}

static void
read_given(FunctionCallInfo fcinfo, Preview *preview)
{
	bool		is_given = false;

	for (int i = 0; i < lengthof(altered); i++)
	{
		preview->given[i] = kpi_arg_text(fcinfo, i + 1);
		is_given |= preview->given[i] != NULL;
	}
	if (!is_given)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("nothing is said that KPI \"%s\" would have another of", preview->kpi),
				 errhint("Give formula =>, or measure =>, filter =>, owner => or at =>, as for kpi.alter_kpi().")));
}

/* kpi.preview_kpi(kpi, formula, measure, filter, owner, at, grain, since, until) */
Datum
kpi_sql_preview_kpi(PG_FUNCTION_ARGS)
{
	Preview		preview = {
		.kpi = kpi_arg_name(fcinfo, 0, "KPI"),
		.grain = kpi_arg_name(fcinfo, ARG_GRAIN, "grain"),
		.since = kpi_arg_day_param(fcinfo, ARG_SINCE),
		.until = kpi_arg_day_param(fcinfo, ARG_UNTIL)
	};
	KpiGrain	grain = kpi_calendar_grain(preview.grain);
	char	   *source;

	read_given(fcinfo, &preview);
	InitMaterializedSRF(fcinfo, 0);
	source = kpi_first_text("SELECT k.source_id::text FROM kpi.kpi k WHERE k.name = $1", 1, KPI_TEXT(preview.kpi));
	if (source != NULL)
		preview.measure = kpi_explain_preview_begin(preview.kpi);
	preview.before = look(&preview);
	kpi_undone(alter_and_look, &preview);
	if (preview.measure != NULL)
		preview.after = kpi_explain_preview_values(preview.measure, grain,
												   PG_ARGISNULL(ARG_SINCE) ? DATEVAL_NOBEGIN : PG_GETARG_DATEADT(ARG_SINCE),
												   PG_ARGISNULL(ARG_UNTIL) ? DATEVAL_NOEND : PG_GETARG_DATEADT(ARG_UNTIL));
	put_rows((ReturnSetInfo *) fcinfo->resultinfo, &preview);
	return (Datum) 0;
}
