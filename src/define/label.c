/*-------------------------------------------------------------------------
 *
 * label.c
 *	  How the values of a KPI are shown, and where: decimals, format, section, sort.
 *
 * Nothing of it changes a number, so nothing is built anew for it.  Takes no lock
 * but that of the row.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"

/* Given for a number, it says that there is none. */
#define NONE (-1)

/* More than views show would promise what is not there. */
#define MAX_DECIMALS 10

static bool
is_format(const char *word)
{
	return strcmp(word, "number") == 0 || strcmp(word, "percent") == 0 ||
		strcmp(word, "money") == 0 || strcmp(word, "duration") == 0;
}

/* False: it is not given. */
static bool
number_argument(FunctionCallInfo fcinfo, int n, int32 *number)
{
	if (PG_ARGISNULL(n))
		return false;
	*number = PG_GETARG_INT32(n);
	return true;
}

void
kpi_define_label_read(FunctionCallInfo fcinfo, int first, const char *kpi, KpiDefineLabel *label)
{
	memset(label, 0, sizeof(KpiDefineLabel));
	/* The SQL of an earlier version has no such arguments. */
	if (PG_NARGS() <= first + 3)
		return;
	label->has_decimals = number_argument(fcinfo, first, &label->decimals);
	label->format = kpi_arg_text(fcinfo, first + 1);
	label->section = kpi_arg_text(fcinfo, first + 2);
	label->has_sort = number_argument(fcinfo, first + 3, &label->sort);

	if (label->has_decimals && (label->decimals < NONE || label->decimals > MAX_DECIMALS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" cannot have %d decimals", kpi, label->decimals),
				 errhint("Give a number from 0 to %d; %d says that none is given.", MAX_DECIMALS, NONE)));
	if (label->format != NULL && label->format[0] != '\0' && !is_format(label->format))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown format \"%s\" of KPI \"%s\"", label->format, kpi),
				 errhint("It is 'number', 'percent', 'money' or 'duration'.")));
	if (label->section != NULL && label->section[0] != '\0' && kpi_name_fault(label->section) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("section of KPI \"%s\" %s", kpi, kpi_name_fault(label->section)),
				 errdetail("It is \"%s\".", label->section)));
	if (label->has_sort && label->sort < NONE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" cannot have sort %d", kpi, label->sort),
				 errhint("Give a number from 0 on, lower ones come first; %d says that none is given.", NONE)));
}

static KpiParam
number_param(bool given, int32 number)
{
	return given ? KPI_INT4(number) : KPI_NULL(INT4OID);
}

/* A time can only be shown as one if it is known what it is counted in. */
static void
check_unit(int32 kpi_id, const char *kpi)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT unit FROM kpi.kpi WHERE id = $1 AND format = 'duration'"
				   " AND (unit IN ('seconds', 'minutes', 'hours', 'days', 'weeks')) IS NOT TRUE",
				   1, KPI_INT4(kpi_id));
	if (kpi_rows_next(&rows))
	{
		char	   *unit = kpi_rows_text(&rows, "unit");

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has format 'duration', and its unit is no time", kpi),
				 unit ? errdetail("Its unit is \"%s\".", unit) : errdetail("It has no unit."),
				 errhint("Give it unit => 'seconds', 'minutes', 'hours', 'days' or 'weeks', or another format.")));
	}
	kpi_rows_end(&rows);
}

void
kpi_define_label_store(int32 kpi_id, const char *kpi, const KpiDefineLabel *label)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.kpi SET decimals = nullif(coalesce($2, decimals), -1),"
				 " format = coalesce(nullif(coalesce($3, format), ''), 'number'),"
				 " section = nullif(coalesce($4, section), ''), sort = nullif(coalesce($5, sort), -1) WHERE id = $1",
				 5, KPI_INT4(kpi_id), number_param(label->has_decimals, label->decimals), KPI_TEXT(label->format),
				 KPI_TEXT(label->section), number_param(label->has_sort, label->sort));
	kpi_spi_end(&spi);
	check_unit(kpi_id, kpi);
}
