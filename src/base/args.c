/*-------------------------------------------------------------------------
 *
 * args.c
 *	  Arguments of the defining functions, and the words of their errors.
 *
 * Nothing here takes a lock; an error names the argument.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

char *
kpi_key_text(Oid type, Datum value)
{
	Oid			output;
	bool		is_varlena;

	if (type == TEXTOID)
		return TextDatumGetCString(value);
	if (type == BOOLOID)
		return pstrdup(DatumGetBool(value) ? "true" : "false");
	if (type == NUMERICOID)
		value = DirectFunctionCall1(numeric_trim_scale, value);
	if (type == BPCHAROID)
	{
		value = DirectFunctionCall1(rtrim1, value);
		type = TEXTOID;
	}
	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

static char *
value_text(Oid type, Datum value)
{
	int			nest_level = NewGUCNestLevel();
	char	   *text;

	kpi_settings_pin(KPI_SETTINGS_ALL);
	text = kpi_key_text(type, value);
	AtEOXact_GUC(false, nest_level);
	return text;
}

char *
kpi_arg_text(FunctionCallInfo fcinfo, int n)
{
	Oid			type;

	if (PG_ARGISNULL(n))
		return NULL;
	type = get_fn_expr_argtype(fcinfo->flinfo, n);
	if (type == TEXTOID || !OidIsValid(type))
		return text_to_cstring(PG_GETARG_TEXT_PP(n));
	return value_text(getBaseType(type), PG_GETARG_DATUM(n));
}

KpiParam
kpi_arg_day_param(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? KPI_NULL(DATEOID) : KPI_VALUE(DATEOID, PG_GETARG_DATUM(n));
}

const char *
kpi_name_fault(const char *value)
{
	size_t		length = strlen(value);

	if (length == 0)
		return "is empty";
	if (isspace((unsigned char) value[0]) || isspace((unsigned char) value[length - 1]))
		return "begins or ends with a space";
	if (length > KPI_MAX_KEY)
		return "is too long";
	return NULL;
}

static void
check_name(const char *value, const char *what)
{
	size_t		length = strlen(value);

	if (length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", what)));
	if (isspace((unsigned char) value[0]) ||
		isspace((unsigned char) value[length - 1]))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" must not begin or end with a space", what, value),
				 errhint("Use btrim() on what you pass.")));
	if (length > KPI_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too long", what),
				 errdetail("It has %zu bytes, the limit is %d.", length, KPI_MAX_KEY)));
}

char *
kpi_arg_name(FunctionCallInfo fcinfo, int n, const char *what)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	return kpi_arg_optional_name(fcinfo, n, what);
}

char *
kpi_arg_optional_name(FunctionCallInfo fcinfo, int n, const char *what)
{
	char	   *value = kpi_arg_text(fcinfo, n);

	if (value)
		check_name(value, what);
	return value;
}

DateADT
kpi_arg_day(FunctionCallInfo fcinfo, int n, const char *name, DateADT if_null)
{
	DateADT		day;

	if (PG_ARGISNULL(n))
		return if_null;
	day = PG_GETARG_DATEADT(n);
	if (DATE_NOT_FINITE(day) && day != if_null)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("\"%s\" must be a day, not %s", name,
						DATE_IS_NOBEGIN(day) ? "-infinity" : "infinity")));
	return day;
}

char *
kpi_day_text(DateADT day)
{
	struct pg_tm tm = {0};
	char		buf[MAXDATELEN + 1];

	if (DATE_IS_NOBEGIN(day))
		return pstrdup("always");
	if (DATE_IS_NOEND(day))
		return pstrdup("open");
	j2date(day + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	EncodeDateOnly(&tm, USE_ISO_DATES, buf);
	return pstrdup(buf);
}

char *
kpi_list_join(List *texts)
{
	int			n = list_length(texts);
	int			shown = n > 6 ? 5 : n;
	StringInfoData list;

	if (n == 0)
		return NULL;

	initStringInfo(&list);
	for (int i = 0; i < shown; i++)
		appendStringInfo(&list, "%s%s",
						 i == 0 ? "" : (i == n - 1) ? " and " : ", ",
						 (char *) list_nth(texts, i));
	if (shown < n)
		appendStringInfo(&list, " and %d others", n - shown);
	return list.data;
}

char *
kpi_list_some(const char *sql, int32 id)
{
	return kpi_list_join(kpi_all_texts(sql, 1, KPI_INT4(id)));
}
