/*-------------------------------------------------------------------------
 *
 * measure_spread.c
 *	  The measures of how values are spread: median, percentile, stddev,
 *	  variance.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell.h"
#include "model/model_internal.h"

/* Off by one part in a hundred is what nobody sees in a dashboard. */
#define DEFAULT_ERROR 0.01

static void
value_input(KpiMeasureDef *def, const KpiMeasureCall *call, int arg)
{
	kpi_model_measure_take_value(def, call, arg);
	if (kpi_model_measure_is_interval(call, arg))
		kpi_model_measure_set_duration(def, call);
}

static void
set_error(KpiMeasureDef *def, const KpiMeasureCall *call, int arg)
{
	float8		error = DEFAULT_ERROR;

	if (call->given[arg])
		error = kpi_model_measure_constant(call, arg, KPI_PERCENTILE_MIN_ERROR, KPI_PERCENTILE_MAX_ERROR,
										   "the error of a percentile must be from 0.001 to 0.08",
										   "It is relative: 0.01, the default, is one percent of the value.");
	def->options = psprintf("%d", kpi_cell_buckets_for_error(error));
}

static void
median_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	value_input(def, call, 0);
	set_error(def, call, 1);
	def->parameter = pstrdup("0.5");
}

static void
percentile_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	(void) kpi_model_measure_constant(call, 0, 0, 1, "a percentile must be from 0 to 1",
									  "Write the share of facts below the value first, like percentile(0.9, x).");
	def->parameter = pstrdup(call->values[0]);
	value_input(def, call, 1);
	set_error(def, call, 2);
}

static void
stddev_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	value_input(def, call, 0);
}

/* Of an interval it would be in squared hours, which are no unit anybody reads. */
static void
variance_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	if (kpi_model_measure_is_interval(call, 0))
		kpi_model_measure_fail(call, 0, "the variance of an interval has no unit",
							   "Take stddev(), or say in which unit the interval counts, like EXTRACT(epoch FROM x) / 3600.");
	value_input(def, call, 0);
}

const KpiMeasureKind kpi_model_measure_median = {
	.name = "median",.kind = KPI_PERCENTILE,.usage = "median(x)",.is_large = true,
	.nargs = 1,.noptions = 1,.args = {KPI_ARG_NUMBER, KPI_ARG_CONSTANT},.names = {NULL, "error"},
	.set_inputs = median_inputs
};

const KpiMeasureKind kpi_model_measure_percentile = {
	.name = "percentile",.kind = KPI_PERCENTILE,.usage = "percentile(p, x)",.is_large = true,
	.nargs = 2,.noptions = 1,.args = {KPI_ARG_CONSTANT, KPI_ARG_NUMBER, KPI_ARG_CONSTANT},.names = {NULL, NULL, "error"},
	.set_inputs = percentile_inputs
};

const KpiMeasureKind kpi_model_measure_stddev = {
	.name = "stddev",.kind = KPI_STDDEV,.usage = "stddev(x)",.nargs = 1,.args = {KPI_ARG_NUMBER},
	.range = KPI_RANGE_NOT_NEGATIVE,.set_inputs = stddev_inputs
};

const KpiMeasureKind kpi_model_measure_variance = {
	.name = "variance",.kind = KPI_VARIANCE,.usage = "variance(x)",.nargs = 1,.args = {KPI_ARG_NUMBER},
	.range = KPI_RANGE_NOT_NEGATIVE,.set_inputs = variance_inputs
};
