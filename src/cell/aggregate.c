/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  Functions, operators and aggregates over cells, callable from SQL.
 *
 * Where AggCheckCallContext() allows, the transition value is changed in
 * place: a cell returned at another address is copied by the executor, with
 * its spare room, and the old one freed.  Final functions never change it.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "cell/cell_internal.h"
#include "common/int.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"

/* A cell that may have been written by a newer library is refused. */
static KpiCell *
known_version(KpiCell *cell)
{
	if (unlikely(cell->version != KPI_CELL_VERSION))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cell has version %d, which this library does not know",
						cell->version)));
	return cell;
}

#define GETARG_CELL(n) known_version(PG_GETARG_KPI_CELL_P(n))
#define GETARG_CELL_COPY(n) known_version(PG_GETARG_KPI_CELL_P_COPY(n))

/* ---- the group ---- */

/* Also the transition and combine function of aggregates. */
PG_FUNCTION_INFO_V1(kpi_sql_merge);
Datum
kpi_sql_merge(PG_FUNCTION_ARGS)
{
	KpiCell    *other = GETARG_CELL(1);

	if (AggCheckCallContext(fcinfo, NULL))
		PG_RETURN_KPI_CELL_P(kpi_cell_merge(GETARG_CELL(0), other));
	PG_RETURN_KPI_CELL_P(kpi_cell_pack(kpi_cell_merge(GETARG_CELL_COPY(0), other)));
}

PG_FUNCTION_INFO_V1(kpi_sql_subtract);
Datum
kpi_sql_subtract(PG_FUNCTION_ARGS)
{
	KpiCell    *cell = GETARG_CELL_COPY(0);

	PG_RETURN_KPI_CELL_P(kpi_cell_pack(kpi_cell_subtract(cell, GETARG_CELL(1))));
}

PG_FUNCTION_INFO_V1(kpi_sql_negate);
Datum
kpi_sql_negate(PG_FUNCTION_ARGS)
{
	KpiCell    *cell = kpi_cell_pack(GETARG_CELL(0));

	kpi_cell_negate(cell);
	PG_RETURN_KPI_CELL_P(cell);
}

PG_FUNCTION_INFO_V1(kpi_sql_pack);
Datum
kpi_sql_pack(PG_FUNCTION_ARGS)
{
	PG_RETURN_KPI_CELL_P(kpi_cell_pack(GETARG_CELL(0)));
}

PG_FUNCTION_INFO_V1(kpi_sql_is_empty);
Datum
kpi_sql_is_empty(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(kpi_cell_is_empty(GETARG_CELL(0)));
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_eq);
Datum
kpi_sql_cell_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(kpi_cell_equal(GETARG_CELL(0), GETARG_CELL(1)));
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_ne);
Datum
kpi_sql_cell_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!kpi_cell_equal(GETARG_CELL(0), GETARG_CELL(1)));
}

/* ---- kpi_internal.cell_agg(spec, inputs) ---- */

/* Per call site, in fn_extra. */
typedef struct CellAggState
{
	KpiLayout  *layout;
	int			spec_length;
	char	   *spec;			/* not terminated */
	KpiCell    *fresh;			/* all states zero */
	Datum	   *inputs;
	bool	   *isnull;
} CellAggState;

#define CELL_AGG_FIRST_INPUT 2

static CellAggState *
cell_agg_init(FunctionCallInfo fcinfo, text * spec)
{
	MemoryContext old_context = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	CellAggState *state = palloc0(sizeof(CellAggState));
	KpiLayout  *layout = kpi_cell_layout_parse(text_to_cstring(spec));
	int			ninputs = PG_NARGS() - CELL_AGG_FIRST_INPUT;
	Oid		   *types;

	if (get_fn_expr_variadic(fcinfo->flinfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("kpi_internal.cell_agg() does not take its inputs as a VARIADIC array")));
	if (ninputs != layout->ninputs)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg_plural("layout \"%s\" takes %d input, not %d",
							   "layout \"%s\" takes %d inputs, not %d",
							   layout->ninputs,
							   text_to_cstring(spec), layout->ninputs, ninputs),
				 errhint("Kinds rate and ratio take two inputs, balance three, the others one.")));
	types = palloc(ninputs * sizeof(Oid));
	for (int i = 0; i < ninputs; i++)
		types[i] = get_fn_expr_argtype(fcinfo->flinfo, CELL_AGG_FIRST_INPUT + i);
	kpi_cell_layout_input_types(layout, types);

	state->layout = layout;
	state->spec_length = VARSIZE_ANY_EXHDR(spec);
	state->spec = palloc(state->spec_length);
	memcpy(state->spec, VARDATA_ANY(spec), state->spec_length);
	state->fresh = kpi_cell_for_layout(layout);
	state->inputs = palloc(ninputs * sizeof(Datum));
	state->isnull = palloc(ninputs * sizeof(bool));

	MemoryContextSwitchTo(old_context);
	fcinfo->flinfo->fn_extra = state;
	return state;
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_agg_trans);
Datum
kpi_sql_cell_agg_trans(PG_FUNCTION_ARGS)
{
	CellAggState *state = fcinfo->flinfo->fn_extra;
	text	   *spec;
	KpiCell    *cell;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "kpi_cell_agg_trans called in non-aggregate context");
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the layout of kpi_internal.cell_agg() must not be null")));

	spec = PG_GETARG_TEXT_PP(1);
	if (state == NULL)
		state = cell_agg_init(fcinfo, spec);
	else if (unlikely(VARSIZE_ANY_EXHDR(spec) != state->spec_length ||
					  memcmp(VARDATA_ANY(spec), state->spec, state->spec_length) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the layout of kpi_internal.cell_agg() must be the same for all rows")));

	if (PG_ARGISNULL(0))
	{
		cell = palloc(state->fresh->used);
		memcpy(cell, state->fresh, state->fresh->used);
	}
	else
		cell = PG_GETARG_KPI_CELL_P(0);

	for (int i = 0; i < state->layout->ninputs; i++)
	{
		state->inputs[i] = PG_GETARG_DATUM(CELL_AGG_FIRST_INPUT + i);
		state->isnull[i] = PG_ARGISNULL(CELL_AGG_FIRST_INPUT + i);
	}
	PG_RETURN_KPI_CELL_P(kpi_cell_add_fact(cell, state->layout, state->inputs,
										   state->isnull, NULL, 1));
}

/* ---- what a cell amounts to ---- */

static void
check_divisor(int32 divisor)
{
	if (divisor < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("divisor must be at least 1, not %d", divisor)));
}

/* Of a percentile. */
static void
check_part(Numeric part)
{
	float8		number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(part)));

	if (!(number >= 0 && number <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a percentile must be from 0 to 1, not %g", number)));
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_final_row);
Datum
kpi_sql_cell_final_row(PG_FUNCTION_ARGS)
{
	KpiCell    *cell = GETARG_CELL(0);
	TupleDesc	tupdesc = fcinfo->flinfo->fn_extra;
	KpiFinal	final;
	Datum		values[6];
	bool		nulls[6] = {0};

	check_divisor(PG_GETARG_INT32(2));
	check_part(PG_GETARG_NUMERIC(3));
	if (tupdesc == NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		tupdesc = BlessTupleDesc(tupdesc);
		MemoryContextSwitchTo(old_context);
		fcinfo->flinfo->fn_extra = tupdesc;
	}

	kpi_cell_final(cell, PG_GETARG_INT32(1), PG_GETARG_INT32(2), PG_GETARG_NUMERIC(3), &final);
	values[0] = NumericGetDatum(final.value);
	values[1] = NumericGetDatum(final.numerator);
	values[2] = NumericGetDatum(final.denominator);
	nulls[0] = final.value == NULL;
	nulls[1] = final.numerator == NULL;
	nulls[2] = final.denominator == NULL;
	values[3] = Int64GetDatum(final.facts);
	values[4] = Int64GetDatum(final.nonfinite);
	values[5] = Int64GetDatum(final.errors);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_balance);
Datum
kpi_sql_cell_balance(PG_FUNCTION_ARGS)
{
	KpiBalance	balance;
	TupleDesc	tupdesc;
	Datum		values[5];
	bool		nulls[5] = {0};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	nulls[0] = nulls[1] = !kpi_cell_balance(GETARG_CELL(0), PG_GETARG_INT32(1), &balance);
	values[0] = NumericGetDatum(balance.amount);
	values[1] = NumericGetDatum(balance.amount_days);
	values[2] = Int64GetDatum(balance.held);
	values[3] = Int64GetDatum(balance.nonfinite);
	values[4] = Int64GetDatum(balance.reversed);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_carry);
Datum
kpi_sql_cell_carry(PG_FUNCTION_ARGS)
{
	PG_RETURN_KPI_CELL_P(kpi_cell_carry(GETARG_CELL(0), PG_GETARG_DATEADT(1)));
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_value);
Datum
kpi_sql_cell_value(PG_FUNCTION_ARGS)
{
	KpiCell    *cell = GETARG_CELL(0);
	KpiFinal	final;

	check_divisor(PG_GETARG_INT32(2));
	check_part(PG_GETARG_NUMERIC(3));
	kpi_cell_final(cell, PG_GETARG_INT32(1), PG_GETARG_INT32(2), PG_GETARG_NUMERIC(3), &final);
	if (final.value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(final.value);
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_facts);
Datum
kpi_sql_cell_facts(PG_FUNCTION_ARGS)
{
	KpiCell    *cell = GETARG_CELL(0);
	KpiFinal	final;

	kpi_cell_final(cell, PG_GETARG_INT32(1), 1, NULL, &final);
	PG_RETURN_INT64(final.facts);
}

/* Sum over all states of the first count that "count" gives. */
static int64
sum_over_states(const KpiCell *cell, int64 (*count) (const KpiState *state))
{
	const KpiState *state;
	int64		total = 0;

	kpi_cell_foreach_state(state, offset, cell)
	{
		if (pg_add_s64_overflow(total, count(state), &total))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("bigint out of range")));
	}
	return total;
}

static int64
errors_of_state(const KpiState *state)
{
	return state->kind == KPI_ERRORS ? kpi_cell_state_counts(state)[0] : 0;
}

static int64
reversed_of_state(const KpiState *state)
{
	return state->kind == KPI_BALANCE ? kpi_cell_balance_reversed(state) : 0;
}

static int64
nonfinite_of_state(const KpiState *state)
{
	int			index = kpi_cell_kinds[state->kind]->nonfinite_count;

	return index > 0 ? kpi_cell_state_counts(state)[index] : 0;
}

static int64
clamped_of_state(const KpiState *state)
{
	int			index = kpi_cell_kinds[state->kind]->clamped_count;

	return index > 0 ? kpi_cell_state_counts(state)[index] : 0;
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_errors);
Datum
kpi_sql_cell_errors(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(sum_over_states(GETARG_CELL(0), errors_of_state));
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_nonfinite);
Datum
kpi_sql_cell_nonfinite(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(sum_over_states(GETARG_CELL(0), nonfinite_of_state));
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_reversed);
Datum
kpi_sql_cell_reversed(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(sum_over_states(GETARG_CELL(0), reversed_of_state));
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_clamped);
Datum
kpi_sql_cell_clamped(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(sum_over_states(GETARG_CELL(0), clamped_of_state));
}
