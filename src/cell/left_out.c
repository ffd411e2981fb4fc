/*-------------------------------------------------------------------------
 *
 * left_out.c
 *	  The kind left_out: facts that count for nothing, by why they do.
 *
 * A state is a count for each reason.  The one input is the reason of a fact, NULL
 * where it counts.  The names of reasons are those of the counts in text, here and
 * nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell_internal.h"

StaticAssertDecl(KPI_LEFT_OUT_REASONS <= lengthof(((KpiKindOps *) 0)->fields),
				 "each reason has a name");

static void
left_out_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
			 const Datum *inputs, const bool *isnull, int sign)
{
	int16		reason;

	if (isnull[0])
		return;
	if (types[0] != KPI_INPUT_INT2)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the reason why a fact is left out must be of type smallint")));
	reason = DatumGetInt16(inputs[0]);
	if (reason < 1 || reason > KPI_LEFT_OUT_REASONS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("there is no reason %d why a fact is left out", reason)));
	kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset))[reason - 1] += sign;
}

static int64
left_out_facts(const KpiState *state)
{
	int64		facts = 0;

	for (int i = 0; i < KPI_LEFT_OUT_REASONS; i++)
		facts += kpi_cell_state_counts(state)[i];
	return facts;
}

static void
left_out_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	result->value = int64_to_numeric(left_out_facts(state));
}

void
kpi_cell_left_out(const KpiCell *cell, KpiLeftOutTell tell, void *arg)
{
	const KpiState *state;

	kpi_cell_foreach_state(state, offset, cell)
	{
		const int64 *counts = kpi_cell_state_counts(state);

		for (int i = 0; state->kind == KPI_LEFT_OUT && i < KPI_LEFT_OUT_REASONS; i++)
		{
			if (counts[i] != 0)
				tell(state->measure_id, i + 1, counts[i], arg);
		}
	}
}

const char *
kpi_cell_left_out_name(KpiLeftOut reason)
{
	return kpi_cell_left_out_ops.fields[reason - 1];
}

const KpiKindOps kpi_cell_left_out_ops = {
	.name = "left_out",.ninputs = 1,.integer_inputs = true,
	.fresh_length = KPI_BASIC_LENGTH(KPI_LEFT_OUT_REASONS, 0),.ncounts = KPI_LEFT_OUT_REASONS,
	.fields = {
		[KPI_LEFT_OUT_FILTER_FALSE - 1] = "filter_false",
		[KPI_LEFT_OUT_FILTER_NULL - 1] = "filter_null",
		[KPI_LEFT_OUT_NO_TIME - 1] = "no_time",
		[KPI_LEFT_OUT_DAY_OUT_OF_RANGE - 1] = "day_out_of_range",
		[KPI_LEFT_OUT_NO_VALUE - 1] = "no_value",
		[KPI_LEFT_OUT_END_BEFORE_START - 1] = "end_before_start",
		[KPI_LEFT_OUT_NONFINITE - 1] = "nonfinite",
		[KPI_LEFT_OUT_TOO_LONG - 1] = "too_long"
	},
	.add = left_out_add,.facts = left_out_facts,.final = left_out_final, KPI_BASIC_OPS
};
