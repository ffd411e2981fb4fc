/*-------------------------------------------------------------------------
 *
 * view.c
 *	  KPIs, formulas too, from the values of the measures below them, for views.
 *
 * The values that are stored come from refresh/formula.c; this computes the same
 * for the grains and ranges of days that are not stored.  Definitions
 * come from model/kpi.c.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "model/model.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(kpi_sql_leaf_kpis);
PG_FUNCTION_INFO_V1(kpi_sql_kpi_calendar);
PG_FUNCTION_INFO_V1(kpi_sql_combine);

/* What the facts give for one KPI; facts 0: nothing. */
typedef struct ViewValue
{
	Numeric		value;
	Numeric		numerator;
	Numeric		denominator;
	int64		facts;
} ViewValue;

/* The measures' values of one call. */
typedef struct ViewInputs
{
	int			n;
	Datum	   *ids;
	Datum	   *values;
	bool	   *value_nulls;
	Datum	   *facts;
} ViewInputs;

/* kpi_internal.leaf_kpis(kpi_id): the measures below a formula, or itself. */
Datum
kpi_sql_leaf_kpis(PG_FUNCTION_ARGS)
{
	const KpiEntry *kpi = kpi_model_kpi_find(PG_GETARG_INT32(0));
	int			n = kpi ? kpi->nleaves : 0;
	Datum	   *ids = palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		ids[i] = Int32GetDatum(kpi->leaves[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(ids, n, INT4OID, sizeof(int32), true,
										  TYPALIGN_INT));
}

/* kpi_internal.kpi_calendar(kpi_id) */
Datum
kpi_sql_kpi_calendar(PG_FUNCTION_ARGS)
{
	const KpiEntry *kpi = kpi_model_kpi_find(PG_GETARG_INT32(0));

	PG_RETURN_INT32(kpi ? kpi->calendar_id : KPI_DEFAULT_CALENDAR);
}

/* False when there are no facts for it. */
static bool
evaluate(const KpiEntry *kpi, const ViewInputs *inputs, ViewValue *result)
{
	Numeric    *numbers;

	memset(result, 0, sizeof(ViewValue));
	if (kpi->formula == NULL)
	{
		for (int i = 0; i < inputs->n; i++)
		{
			if (DatumGetInt32(inputs->ids[i]) != kpi->id)
				continue;
			result->value = inputs->value_nulls[i] ? NULL : DatumGetNumeric(inputs->values[i]);
			result->facts = DatumGetInt64(inputs->facts[i]);
			return true;
		}
		return false;
	}

	check_stack_depth();
	numbers = palloc0(Max(kpi->ninputs, 1) * sizeof(Numeric));
	for (int i = 0; i < kpi->ninputs; i++)
	{
		ViewValue	input;

		if (kpi->inputs[i] == NULL)
			continue;
		if (evaluate(kpi->inputs[i], inputs, &input))
		{
			numbers[i] = input.value;
			result->facts += input.facts;
		}
		/* Nothing there, or nothing but facts that are left out. */
		if (numbers[i] == NULL && kpi->inputs[i]->additive)
			numbers[i] = int64_to_numeric(0);
	}
	if (result->facts == 0)
		return false;
	result->value = kpi_model_formula_eval(kpi->formula, numbers, &result->numerator,
										   &result->denominator);
	return true;
}

static void
deconstruct(FunctionCallInfo fcinfo, int n, Oid type, Datum **values, bool **nulls, int *count)
{
	int16		length;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &length, &byval, &align);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), type, length, byval, align,
					  values, nulls, count);
}

/*
 * kpi_internal.combine(kpi_id, ids, values, facts): the KPI computed from what
 * the measures below it (kpi_internal.leaf_kpis()) amount to; null without
 * facts.
 */
Datum
kpi_sql_combine(PG_FUNCTION_ARGS)
{
	const KpiEntry *kpi;
	ViewInputs	inputs;
	ViewValue	result;
	TupleDesc	tupdesc;
	Datum		values[4];
	bool		nulls[4];
	bool	   *ignored;
	int			nvalues;
	int			nfacts;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	deconstruct(fcinfo, 1, INT4OID, &inputs.ids, &ignored, &inputs.n);
	deconstruct(fcinfo, 2, NUMERICOID, &inputs.values, &inputs.value_nulls, &nvalues);
	deconstruct(fcinfo, 3, INT8OID, &inputs.facts, &ignored, &nfacts);
	if (nvalues != inputs.n || nfacts != inputs.n)
		elog(ERROR, "arrays of kpi_internal.combine() differ in length");

	kpi = kpi_model_kpi_find(PG_GETARG_INT32(0));
	if (kpi == NULL || !evaluate(kpi, &inputs, &result))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = NumericGetDatum(result.value);
	values[1] = NumericGetDatum(result.numerator);
	values[2] = NumericGetDatum(result.denominator);
	values[3] = Int64GetDatum(result.facts);
	nulls[0] = result.value == NULL;
	nulls[1] = result.numerator == NULL;
	nulls[2] = result.denominator == NULL;
	nulls[3] = false;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}
