/*-------------------------------------------------------------------------
 *
 * measure_distinct.c
 *	  The measures that count different values: count(DISTINCT x),
 *	  count_distinct_approx(x).
 *
 * States tell 8 bytes apart (cell/distinct.c).  An integer is told apart as it is,
 * anything else by a hash of the text that it would have as a key: two of a
 * hundred thousand texts fall together in one of 3,700,000,000 cases.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "expr/expr.h"
#include "model/model_internal.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static void
distinct_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	KpiMeasureCall told = *call;
	Oid			base = getBaseType(call->args[0].type);

	switch (base)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			told.values[0] = call->args[0].type == base ? call->args[0].text :
				psprintf("(%s)::%s", call->args[0].text, format_type_be(base));
			break;
		default:
			told.values[0] = psprintf("hashtextextended((%s) COLLATE \"C\", 0)", call->values[0]);
	}
	def->inputs = list_make1(kpi_model_measure_filtered_value(&told, 0));
	def->has_value = psprintf("(%s) IS NOT NULL", call->values[0]);
}

void
kpi_model_distinct_need_hll(void)
{
	if (!kpi_cell_hll_is_there())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("count_distinct_approx() needs the extension \"hll\""),
				 errhint("Install the package postgresql-%d-hll, and run CREATE EXTENSION hll in this database.",
						 KPI_SERVER_MAJOR)));
}

static void
approx_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	kpi_model_distinct_need_hll();
	distinct_inputs(def, call);
}

const KpiMeasureKind kpi_model_measure_distinct = {
	.name = "count",.kind = KPI_DISTINCT,.usage = "count(DISTINCT x)",.distinct = true,.is_large = true,
	.nargs = 1,.args = {KPI_ARG_KEY},
	.range = KPI_RANGE_NOT_NEGATIVE,.set_inputs = distinct_inputs
};

const KpiMeasureKind kpi_model_measure_distinct_approx = {
	.name = "count_distinct_approx",.kind = KPI_DISTINCT_APPROX,.usage = "count_distinct_approx(x)",.is_large = true,
	.nargs = 1,.args = {KPI_ARG_KEY},
	.range = KPI_RANGE_NOT_NEGATIVE,.set_inputs = approx_inputs
};
