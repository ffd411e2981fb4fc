/*-------------------------------------------------------------------------
 *
 * format.c
 *	  kpi.format(): a value of a KPI as text, as the KPI says.
 *
 * The same everywhere: no locale and no setting of the session is asked.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "value/value_internal.h"

PG_FUNCTION_INFO_V1(kpi_sql_format);

/* Where the KPI does not say. */
#define PERCENT_DECIMALS 1
#define MONEY_DECIMALS 2
#define NUMBER_DECIMALS 10

/* So many seconds fit into our arithmetic. */
#define MAX_SECONDS 1e15

typedef struct Format
{
	char	   *format;
	char	   *unit;
	int			decimals;		/* -1: not said */
} Format;

static void
read_format(const char *kpi, Format *format)
{
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT k.format, k.unit, coalesce(k.decimals, -1) AS decimals FROM kpi.kpi k WHERE k.name = $1",
						1, KPI_TEXT(kpi));
	if (!kpi_rows_next(&rows))
	{
		char	   *near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.kpi ORDER BY name", 0), kpi);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" does not exist", kpi),
				 near ? errhint("Near names: %s.", near) : errhint("Table kpi.kpi lists the KPIs.")));
	}
	format->format = kpi_rows_text(&rows, "format");
	format->unit = kpi_rows_text(&rows, "unit");
	format->decimals = kpi_rows_int4(&rows, "decimals");
	kpi_rows_end(&rows);
}

static char *
rounded(Datum value, int decimals, bool trim)
{
	value = DirectFunctionCall2(numeric_round, value, Int32GetDatum(decimals));
	if (trim)
		value = DirectFunctionCall1(numeric_trim_scale, value);
	return DatumGetCString(DirectFunctionCall1(numeric_out, value));
}

/* 1234567.50 becomes 1,234,567.50. */
static char *
with_thousands(const char *number)
{
	size_t		sign = number[0] == '-' ? 1 : 0;
	size_t		digits = strspn(number + sign, "0123456789");
	StringInfoData text;

	initStringInfo(&text);
	appendBinaryStringInfo(&text, number, sign);
	for (size_t i = 0; i < digits; i++)
	{
		if (i > 0 && (digits - i) % 3 == 0)
			appendStringInfoChar(&text, ',');
		appendStringInfoChar(&text, number[sign + i]);
	}
	appendStringInfoString(&text, number + sign + digits);
	return text.data;
}

static int
seconds_of_unit(const char *unit)
{
	if (strcmp(unit, "minutes") == 0)
		return 60;
	if (strcmp(unit, "hours") == 0)
		return 3600;
	if (strcmp(unit, "days") == 0)
		return 86400;
	return strcmp(unit, "weeks") == 0 ? 7 * 86400 : 1;
}

/* In its two largest parts; days are of 24 hours. */
static char *
duration(Datum value, const Format *format)
{
	Datum		unit = NumericGetDatum(int64_to_numeric(seconds_of_unit(format->unit)));
	Datum		length = DirectFunctionCall2(numeric_mul, value, unit);
	float8		approximate = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, length));
	const char *sign = approximate < 0 ? "-" : "";
	int64		seconds;
	int64		minutes;
	int64		hours;

	if (!(approximate > -MAX_SECONDS && approximate < MAX_SECONDS))
		return psprintf("%s %s", rounded(value, NUMBER_DECIMALS, true), format->unit);
	length = DirectFunctionCall1(numeric_abs, length);
	seconds = DatumGetInt64(DirectFunctionCall1(numeric_int8, length));
	if (seconds < 60)
	{
		char	   *text = rounded(length, Max(format->decimals, 0), false);

		return psprintf("%s%s s", strspn(text, "0.") == strlen(text) ? "" : sign, text);
	}
	minutes = (seconds + 30) / 60;
	hours = (seconds + 1800) / 3600;
	if (seconds < 3600)
		return psprintf("%s" INT64_FORMAT " min %02d s", sign, seconds / 60, (int) (seconds % 60));
	if (minutes < 24 * 60)
		return psprintf("%s" INT64_FORMAT " h %02d min", sign, minutes / 60, (int) (minutes % 60));
	return psprintf("%s" INT64_FORMAT " d %02d h", sign, hours / 24, (int) (hours % 24));
}

char *
kpi_value_formatted(Numeric number, const char *kpi)
{
	Datum		value = NumericGetDatum(number);
	Format		format;
	char	   *result;

	read_format(kpi, &format);
	if (numeric_is_nan(number) || numeric_is_inf(number))
		return DatumGetCString(DirectFunctionCall1(numeric_out, value));
	if (strcmp(format.format, "percent") == 0)
		return psprintf("%s %%", rounded(DirectFunctionCall2(numeric_mul, value, NumericGetDatum(int64_to_numeric(100))),
										 format.decimals < 0 ? PERCENT_DECIMALS : format.decimals, false));
	if (strcmp(format.format, "duration") == 0)
		return duration(value, &format);
	if (strcmp(format.format, "money") != 0)
		return rounded(value, format.decimals < 0 ? NUMBER_DECIMALS : format.decimals, format.decimals < 0);
	result = with_thousands(rounded(value, format.decimals < 0 ? MONEY_DECIMALS : format.decimals, false));
	return format.unit == NULL ? result : psprintf("%s %s", result, format.unit);
}

/* kpi.format(value, kpi) */
Datum
kpi_sql_format(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(kpi_value_formatted(PG_GETARG_NUMERIC(0), text_to_cstring(PG_GETARG_TEXT_PP(1)))));
}
