/*-------------------------------------------------------------------------
 *
 * formula_view.c
 *	  KPIs, formulas too, from the values of the measures below them, for views.
 *
 * The values that are stored come from apply_formula.c; this computes the same
 * for the grains and ranges of days that are not stored.  Definitions are read
 * once in a statement and call site (fn_extra), under its snapshot.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "formula.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(kpi_leaf_kpis);
PG_FUNCTION_INFO_V1(kpi_combine);

typedef struct ViewKpi
{
	int32		id;
	bool		additive;
	KpiFormula *formula;		/* NULL: a measure */
	int			ninputs;
	struct ViewKpi **inputs;	/* in the order of the formula's names */
} ViewKpi;

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

static ViewKpi *view_kpi(FunctionCallInfo fcinfo, int32 id);

/* The definition, with those of its inputs; memory is that of fcinfo. */
static ViewKpi *
load_kpi(FunctionCallInfo fcinfo, int32 id)
{
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	ViewKpi    *kpi = MemoryContextAllocZero(context, sizeof(ViewKpi));
	int32	   *ids;
	uint64		rows;
	ListCell   *lc;
	List	   *names;
	KpiSpi		spi;
	MemoryContext old;

	check_stack_depth();
	kpi->id = id;
	kpi_spi_begin(&spi);
	if (kpi_spi_read("SELECT is_additive, formula FROM kpi.kpi WHERE id = $1", 1,
					 KPI_INT4(id)) == 0)
		elog(ERROR, "KPI %d is not there", id);
	kpi->additive = kpi_spi_bool(0, 1);
	if (kpi_spi_text(0, 2) == NULL)
	{
		kpi_spi_end(&spi);
		return kpi;
	}

	old = MemoryContextSwitchTo(context);
	kpi->formula = kpi_formula_parse(kpi_spi_text(0, 2));
	names = kpi_formula_names(kpi->formula);
	kpi->ninputs = list_length(names);
	kpi->inputs = palloc0(Max(kpi->ninputs, 1) * sizeof(ViewKpi *));
	ids = palloc0(Max(kpi->ninputs, 1) * sizeof(int32));
	MemoryContextSwitchTo(old);
	rows = kpi_spi_read("SELECT name, input_kpi_id FROM kpi_internal.formula_input WHERE kpi_id = $1",
						1, KPI_INT4(id));
	foreach(lc, names)
	{
		for (uint64 r = 0; r < rows; r++)
			if (strcmp(kpi_spi_text(r, 1), lfirst(lc)) == 0)
				ids[foreach_current_index(lc)] = kpi_spi_int4(r, 2);
	}
	kpi_spi_end(&spi);

	for (int i = 0; i < kpi->ninputs; i++)
		kpi->inputs[i] = view_kpi(fcinfo, ids[i]);
	return kpi;
}

static ViewKpi *
view_kpi(FunctionCallInfo fcinfo, int32 id)
{
	List	   *known = fcinfo->flinfo->fn_extra;
	ViewKpi    *kpi;
	ListCell   *lc;
	MemoryContext old;

	foreach(lc, known)
	{
		kpi = lfirst(lc);
		if (kpi->id == id)
			return kpi;
	}
	kpi = load_kpi(fcinfo, id);
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	fcinfo->flinfo->fn_extra = lappend(fcinfo->flinfo->fn_extra, kpi);
	MemoryContextSwitchTo(old);
	return kpi;
}

static List *
collect_leaves(const ViewKpi *kpi, List *leaves)
{
	if (kpi->formula == NULL)
		return list_append_unique_int(leaves, kpi->id);
	for (int i = 0; i < kpi->ninputs; i++)
		leaves = collect_leaves(kpi->inputs[i], leaves);
	return leaves;
}

/* kpi_internal.leaf_kpis(kpi_id): the measures below a formula, or itself. */
Datum
kpi_leaf_kpis(PG_FUNCTION_ARGS)
{
	List	   *leaves = collect_leaves(view_kpi(fcinfo, PG_GETARG_INT32(0)), NIL);
	Datum	   *ids = palloc(Max(list_length(leaves), 1) * sizeof(Datum));
	ListCell   *lc;

	foreach(lc, leaves)
		ids[foreach_current_index(lc)] = Int32GetDatum(lfirst_int(lc));
	PG_RETURN_ARRAYTYPE_P(construct_array(ids, list_length(leaves), INT4OID,
										  sizeof(int32), true, TYPALIGN_INT));
}

/* False when there are no facts for it. */
static bool
evaluate(const ViewKpi *kpi, const ViewInputs *inputs, ViewValue *result)
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

	numbers = palloc0(Max(kpi->ninputs, 1) * sizeof(Numeric));
	for (int i = 0; i < kpi->ninputs; i++)
	{
		ViewValue	input;

		if (evaluate(kpi->inputs[i], inputs, &input))
		{
			numbers[i] = input.value;
			result->facts += input.facts;
		}
		else if (kpi->inputs[i]->additive)
			numbers[i] = int64_to_numeric(0);
	}
	if (result->facts == 0)
		return false;
	result->value = kpi_formula_eval(kpi->formula, numbers, &result->numerator,
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
kpi_combine(PG_FUNCTION_ARGS)
{
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

	if (!evaluate(view_kpi(fcinfo, PG_GETARG_INT32(0)), &inputs, &result))
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
