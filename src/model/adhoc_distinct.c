/*-------------------------------------------------------------------------
 *
 * adhoc_distinct.c
 *	  The aggregate kpi.count_distinct_approx(x) for SQL.
 *
 * A measure reads its x by an expression (measure_distinct.c); here the same is
 * done by value: an integer as it is, anything else by the hash of its text as a
 * key.  So the number is that of a KPI over the same rows, and types of which
 * equal values have different texts are refused in the same way.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "expr/expr.h"
#include "model/model_internal.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(kpi_sql_distinct_approx_add);
PG_FUNCTION_INFO_V1(kpi_sql_distinct_approx_remove);

/* Of a call site, in fn_extra. */
typedef struct DistinctSite
{
	KpiLayout  *layout;
	Oid			type;			/* of x; of a domain, what is below it */
} DistinctSite;

static DistinctSite *
make_site(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 1);
	Oid			input = INT8OID;
	DistinctSite *site;
	MemoryContext old_context;

	kpi_model_distinct_need_hll();
	kpi_expr_key_check(type, PG_GET_COLLATION(), "argument of kpi.count_distinct_approx()");
	old_context = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	site = palloc0(sizeof(DistinctSite));
	site->type = getBaseType(type);
	site->layout = kpi_cell_layout_parse("1:distinct_approx");
	kpi_cell_layout_input_types(site->layout, &input);
	MemoryContextSwitchTo(old_context);
	fcinfo->flinfo->fn_extra = site;
	return site;
}

/* As kpi_expr_key_text() has it, whatever DateStyle says; NULL: it is infinite. */
static char *
date_text(DateADT date)
{
	int			year;
	int			month;
	int			day;

	if (DATE_NOT_FINITE(date))
		return NULL;
	j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	return psprintf("%d-%02d-%02d", year > 0 ? year : year - 1, month, day);
}

/* What a value is told apart by; false: it is none. */
static bool
distinct_key(Oid type, Datum value, Datum *key)
{
	char	   *text;

	switch (type)
	{
		case INT2OID:
			*key = Int64GetDatum(DatumGetInt16(value));
			return true;
		case INT4OID:
			*key = Int64GetDatum(DatumGetInt32(value));
			return true;
		case INT8OID:
			*key = value;
			return true;
		case DATEOID:
			text = date_text(DatumGetDateADT(value));
			break;
		default:
			text = kpi_key_text(type, value);
	}
	if (text == NULL)
		return false;
	*key = DirectFunctionCall2Coll(hashtextextended, C_COLLATION_OID, CStringGetTextDatum(text), Int64GetDatum(0));
	return true;
}

static Datum
change(FunctionCallInfo fcinfo, int sign)
{
	DistinctSite *site = fcinfo->flinfo->fn_extra;
	Datum		input = (Datum) 0;
	bool		isnull;

	if (unlikely(site == NULL))
		site = make_site(fcinfo);
	isnull = PG_ARGISNULL(1) || !distinct_key(site->type, PG_GETARG_DATUM(1), &input);
	return kpi_cell_adhoc_change(fcinfo, site->layout, &input, &isnull, sign);
}

Datum
kpi_sql_distinct_approx_add(PG_FUNCTION_ARGS)
{
	return change(fcinfo, 1);
}

Datum
kpi_sql_distinct_approx_remove(PG_FUNCTION_ARGS)
{
	return change(fcinfo, -1);
}
