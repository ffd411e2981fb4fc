/*-------------------------------------------------------------------------
 *
 * facts_number.c
 *	  What one fact brings to a number.
 *
 * A cell of this fact alone is finalized, so that it is the same algebra that makes the
 * number.  Of spreads that is the number itself, of different values nothing: there
 * they are counted.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "explain/explain_internal.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

static Numeric
divided(Numeric number, int32 divisor)
{
	if (divisor == 1)
		return number;
	return DatumGetNumeric(DirectFunctionCall2(numeric_div, NumericGetDatum(number),
											   NumericGetDatum(int64_to_numeric(divisor))));
}

/* The number that is the first input of the measure, in the unit of its values; NULL: it is none. */
static Numeric
input_number(const KpiFactsMeasure *of, const KpiFact *fact)
{
	const KpiLayout *layout = kpi_fact_projection_layout(of->open->projection, of->s);
	int			i = layout->measures[of->m].first_input;
	Datum		input = fact->inputs[i];
	Numeric		number = NULL;

	if (fact->isnull[i])
		return NULL;
	switch (layout->input_types[i])
	{
		case KPI_INPUT_INT2:
			number = int64_to_numeric(DatumGetInt16(input));
			break;
		case KPI_INPUT_INT4:
			number = int64_to_numeric(DatumGetInt32(input));
			break;
		case KPI_INPUT_INT8:
			number = int64_to_numeric(DatumGetInt64(input));
			break;
		case KPI_INPUT_NUMERIC:
			number = DatumGetNumeric(input);
			break;
		case KPI_INPUT_FLOAT4:
			number = DatumGetNumeric(DirectFunctionCall1(float4_numeric, input));
			break;
		case KPI_INPUT_FLOAT8:
			number = DatumGetNumeric(DirectFunctionCall1(float8_numeric, input));
			break;
		default:
			return NULL;
	}
	return numeric_is_nan(number) || numeric_is_inf(number) ? NULL : divided(number, of->node->divisor);
}

/* By what an amount of a currency is multiplied on a day; NULL: there is no rate. */
static Numeric
rate_of(const KpiFactsMeasure *of, const KpiStream *stream, const char *currency, DateADT day)
{
	char	   *rate;

	if (currency == NULL)
		return NULL;
	if (of->own_currency != NULL && strcmp(of->own_currency, currency) == 0)
		return int64_to_numeric(1);
	rate = kpi_first_text("SELECT r.rate::text FROM kpi.exchange_rate r WHERE r.exchange = $1 AND r.currency = $2 AND r.since <= $3"
						  " ORDER BY r.since DESC LIMIT 1", 3, KPI_TEXT(stream->exchange), KPI_TEXT(currency),
						  KPI_VALUE(DATEOID, DateADTGetDatum(day)));
	if (rate == NULL)
		return NULL;
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(rate), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

bool
kpi_explain_brings(const KpiFactsMeasure *of, const KpiFact *fact, KpiFinal *final)
{
	const KpiSource *source = of->open->source;
	const KpiStream *stream = &source->streams[of->s];
	const KpiLayout *layout = kpi_fact_projection_layout(of->open->projection, of->s);
	KpiCell    *cell = kpi_fact_change_cell(NULL, layout, fact, 1);

	if (stream->currency != NULL)
	{
		Numeric		rate = rate_of(of, stream, fact->dims[source->ndims], fact->day);

		if (rate == NULL)
			return false;
		cell = kpi_cell_scale(cell, rate);
	}
	if (!kpi_cell_final(cell, of->node->measure_id, of->node->divisor, of->node->parameter, final) ||
		final->facts == 0)
		return false;
	switch (of->node->kind)
	{
		case KPI_PERCENTILE:
		case KPI_VARIANCE:
		case KPI_STDDEV:
			final->value = input_number(of, fact);
			break;
		case KPI_DISTINCT:
		case KPI_DISTINCT_APPROX:
			final->value = NULL;
			break;
		default:
			break;
	}
	return true;
}

bool
kpi_explain_holds(const KpiFactsMeasure *of, const KpiFact *fact, KpiFinal *final)
{
	const KpiLayout *layout = kpi_fact_projection_layout(of->open->projection, of->s);
	int			i = layout->measures[of->m].first_input;

	memset(final, 0, sizeof(KpiFinal));
	if (fact->isnull[i] || fact->isnull[i + 2] || DatumGetInt32(fact->inputs[i + 2]) != 1)
		return false;
	final->value = input_number(of, fact);
	return true;
}
