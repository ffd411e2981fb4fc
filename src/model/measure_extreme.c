/*-------------------------------------------------------------------------
 *
 * measure_extreme.c
 *	  The measures of the most extreme facts: min, max, first, last.
 *
 * Which fact is the first follows from its time and, of several at one time,
 * from the key of the source; both become inputs behind the value, as the stream
 * and the source have them (kpi_model_measure_order()).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "model/model_internal.h"
#include "utils/lsyscache.h"

static void
value_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	kpi_model_measure_take_value(def, call, 0);
	if (kpi_model_measure_is_interval(call, 0))
		kpi_model_measure_set_duration(def, call);
}

bool
kpi_model_measure_is_ordered(KpiKind kind)
{
	return kind == KPI_FIRST || kind == KPI_LAST;
}

void
kpi_model_measure_order(KpiMeasureDef *def, const char *at, const KpiExpr *key, const char *what,
						const char *filter)
{
	char	   *input;

	switch (getBaseType(key->type))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
			input = key->type == getBaseType(key->type) ? key->text :
				psprintf("(%s)::numeric", key->text);
			break;
		default:
			input = psprintf("(%s)::text", kpi_expr_key_text(key, what));
	}
	/* On a row that the filter leaves out nothing may fail. */
	if (filter != NULL && key->risk != KPI_EXPR_SAFE)
		input = psprintf("CASE WHEN (%s) THEN (%s) END", filter, input);
	def->inputs = lappend(lappend(def->inputs, pstrdup(at)), pstrdup(input));
}

#define EXTREME \
	.nargs = 1,.args = {KPI_ARG_NUMBER},.is_large = true,.set_inputs = value_inputs

const KpiMeasureKind kpi_model_measure_min = {
	.name = "min",.kind = KPI_MIN,.usage = "min(x)", EXTREME
};

const KpiMeasureKind kpi_model_measure_max = {
	.name = "max",.kind = KPI_MAX,.usage = "max(x)", EXTREME
};

const KpiMeasureKind kpi_model_measure_first = {
	.name = "first",.kind = KPI_FIRST,.usage = "first(x)", EXTREME
};

const KpiMeasureKind kpi_model_measure_last = {
	.name = "last",.kind = KPI_LAST,.usage = "last(x)", EXTREME
};
