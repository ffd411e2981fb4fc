/*-------------------------------------------------------------------------
 *
 * measure_balance.c
 *	  The measure balance: what is held from one time until another.
 *
 * Its inputs are the amount, the day and the direction (cell/cell.h).  The day is
 * left open: the facts query has it as it has that of the fact (KPI_DAY_INPUT).
 * The direction follows from the KPI's times (define/balance.c).
 *
 * A balance has no currency: what leaves would be converted by the rate of another day
 * than what came, and something would be held for ever.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "model/model_internal.h"

static void
balance_inputs(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	kpi_model_measure_take_value(def, call, 0);
	def->inputs = list_make3(linitial(def->inputs), pstrdup(KPI_DAY_INPUT), pstrdup("1"));
	if (kpi_model_measure_is_interval(call, 0))
		kpi_model_measure_set_duration(def, call);
}

const KpiMeasureKind kpi_model_measure_balance = {
	.name = "balance",.kind = KPI_BALANCE,.usage = "balance(x)",.nargs = 1,.args = {KPI_ARG_NUMBER},
	.reach = KPI_REACH_LATER,.set_inputs = balance_inputs
};
