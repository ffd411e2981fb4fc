/*-------------------------------------------------------------------------
 *
 * measure_basic.c
 *	  The measures made of counts and exact sums: count, sum, avg, rate, ratio.
 *
 * What their inputs mean is said beside KpiLayoutMeasure (cell/cell.h).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "expr/expr.h"
#include "model/model_internal.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static void
count_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	if (call->star)
		def->inputs = list_make1(pstrdup(call->filter ? call->filter : "true"));
	else
	{
		/* A row value whose fields are all null counts: IS NOT NULL differs. */
		const char *test = type_is_rowtype(call->args[0].type) ?
		"(%s) IS DISTINCT FROM NULL" : "(%s) IS NOT NULL";

		def->has_value = psprintf(test, call->values[0]);
		def->inputs = list_make1(kpi_model_measure_filtered(call, def->has_value));
	}
}

/* Amounts in the currency that the last argument names. */
static void
set_currency(KpiMeasureDef *def, const KpiMeasureCall *call, int arg)
{
	if (!call->given[arg])
		return;
	if (kpi_model_measure_is_interval(call, 0))
		kpi_model_measure_fail(call, arg, "an interval has no currency", "Leave the currency out.");
	def->currency = palloc(sizeof(KpiExpr));
	*def->currency = call->args[arg];
}

static void
number_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	kpi_model_measure_take_value(def, call, 0);
	if (kpi_model_measure_is_interval(call, 0))
		kpi_model_measure_set_duration(def, call);
	set_currency(def, call, 1);
}

/* The first condition counts only where the second is true, and so the filter. */
static void
rate_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	char	   *condition = call->values[0];

	if (call->args[0].risk != KPI_EXPR_SAFE)
		condition = kpi_model_measure_filtered(call, condition);
	def->inputs = list_make2(condition, kpi_model_measure_filtered(call, call->values[1]));
	def->has_value = call->values[1];
}

static void
ratio_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	bool		interval = kpi_model_measure_is_interval(call, 0);

	def->inputs = list_make2(kpi_model_measure_filtered_value(call, 0),
							 kpi_model_measure_filtered_value(call, 1));
	def->has_value = psprintf("(%s) IS NOT NULL OR (%s) IS NOT NULL", call->values[0], call->values[1]);
	if (kpi_model_measure_is_interval(call, 1) && !interval)
		kpi_model_measure_fail(call, 1, "the denominator is an interval, the numerator is not",
							   "Say in which unit the interval counts, like EXTRACT(epoch FROM x) / 3600.");
	if (interval && !kpi_model_measure_is_interval(call, 1))
		kpi_model_measure_set_duration(def, call);
	set_currency(def, call, 2);
}

const KpiMeasureKind kpi_model_measure_count = {
	.name = "count",.kind = KPI_COUNT,.usage = "count(*) or count(x)",.takes_star = true,
	.nargs = 1,.args = {KPI_ARG_ANY},
	.additive = true,.range = KPI_RANGE_NOT_NEGATIVE,.set_inputs = count_inputs
};

const KpiMeasureKind kpi_model_measure_sum = {
	.name = "sum",.kind = KPI_SUM,.usage = "sum(x [, currency => c])",.nargs = 1,.noptions = 1,
	.args = {KPI_ARG_NUMBER, KPI_ARG_KEY},.names = {[1] = "currency"},
	.additive = true,.set_inputs = number_inputs
};

const KpiMeasureKind kpi_model_measure_avg = {
	.name = "avg",.kind = KPI_AVG,.usage = "avg(x [, currency => c])",.nargs = 1,.noptions = 1,
	.args = {KPI_ARG_NUMBER, KPI_ARG_KEY},.names = {[1] = "currency"},
	.set_inputs = number_inputs
};

const KpiMeasureKind kpi_model_measure_rate = {
	.name = "rate",.kind = KPI_RATE,.usage = "rate(condition, of)",.nargs = 2,.args = {KPI_ARG_CONDITION, KPI_ARG_CONDITION},
	.range = KPI_RANGE_SHARE,.set_inputs = rate_inputs
};

const KpiMeasureKind kpi_model_measure_ratio = {
	.name = "ratio",.kind = KPI_RATIO,.usage = "ratio(numerator, denominator [, currency => c])",.nargs = 2,.noptions = 1,
	.args = {KPI_ARG_NUMBER, KPI_ARG_NUMBER, KPI_ARG_KEY},.names = {[2] = "currency"},
	.set_inputs = ratio_inputs
};
