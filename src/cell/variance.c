/*-------------------------------------------------------------------------
 *
 * variance.c
 *	  The kinds variance and stddev: sums of numbers and of their squares.
 *
 * Both are exact decimals, so the usual objection to them, that their difference
 * loses digits, is void, and a fact can be taken away again; running means and
 * sums of squared deviations, as floats have them, cannot give back what was
 * there.  Finalized as var_samp() and stddev_samp() of numeric are.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell_internal.h"
#include "utils/builtins.h"

enum
{
	COUNT_N,
	COUNT_NONFINITE
};

enum
{
	SUM,
	SUM_OF_SQUARES
};

static Datum
multiply(Datum a, Datum b)
{
	return DirectFunctionCall2(numeric_mul, a, b);
}

/* False if it has too many digits. */
static bool
square(const KpiDecimal *number, KpiDecimal *result)
{
	Datum		factor;
	Datum		product;

	if (number->wide == NULL && number->scale <= KPI_MAX_SCALE / 2 &&
		!__builtin_mul_overflow(number->value, number->value, &result->value) &&
		kpi_cell_decimal_fits(result->value))
	{
		result->scale = number->scale * 2;
		result->wide = NULL;
		return true;
	}
	factor = NumericGetDatum(kpi_cell_decimal_numeric(number));
	product = multiply(factor, factor);
	pfree(DatumGetPointer(factor));
	result->wide = NULL;
	if (kpi_cell_decimal_read(product, KPI_MAX_INPUT_DIGITS, result) == KPI_DECIMAL_NONFINITE)
	{
		pfree(DatumGetPointer(product));
		return false;
	}
	pfree(DatumGetPointer(product));
	return true;
}

static void
variance_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
			 const Datum *inputs, const bool *isnull, int sign)
{
	int64	   *counts = kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset));
	KpiDecimal	number;
	KpiDecimal	squared;

	if (isnull[0])
		return;
	if (!kpi_cell_read_number(types[0], inputs[0], &number))
	{
		counts[COUNT_NONFINITE] += sign;
		return;
	}
	if (!square(&number, &squared))
	{
		counts[COUNT_NONFINITE] += sign;
		pfree(number.wide);
		return;
	}
	counts[COUNT_N] += sign;
	/* stddev states have the same shape */
	kpi_cell_state_add_decimal(buf, offset, &kpi_cell_variance_ops, SUM, &number, sign);
	kpi_cell_state_add_decimal(buf, offset, &kpi_cell_variance_ops, SUM_OF_SQUARES, &squared, sign);
	if (number.wide != NULL)
		pfree(number.wide);
	if (squared.wide != NULL)
		pfree(squared.wide);
}

/* (n S2 - S^2) / (n (n - 1)); NULL of fewer than two. */
static Numeric
variance_of(const KpiState *state)
{
	int64		n = kpi_cell_state_counts(state)[COUNT_N];
	Datum		sum;
	Datum		numerator;
	Datum		denominator;

	if (n < 2)
		return NULL;
	sum = NumericGetDatum(kpi_cell_state_sum(state, SUM));
	numerator = DirectFunctionCall2(numeric_sub,
									multiply(NumericGetDatum(int64_to_numeric(n)),
											 NumericGetDatum(kpi_cell_state_sum(state, SUM_OF_SQUARES))),
									multiply(sum, sum));
	denominator = multiply(NumericGetDatum(int64_to_numeric(n)), NumericGetDatum(int64_to_numeric(n - 1)));

	/* only in a cell that was made up */
	if (DatumGetBool(DirectFunctionCall2(numeric_lt, numerator, NumericGetDatum(int64_to_numeric(0)))))
		return NULL;
	return kpi_cell_quotient(DatumGetNumeric(numerator), DatumGetNumeric(denominator));
}

static void
variance_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	Numeric		by = int64_to_numeric((int64) divisor * divisor);

	result->nonfinite = kpi_cell_state_counts(state)[COUNT_NONFINITE];
	result->value = variance_of(state);
	if (divisor != 1 && result->value != NULL)
		result->value = kpi_cell_quotient(result->value, by);
}

static void
stddev_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	result->nonfinite = kpi_cell_state_counts(state)[COUNT_NONFINITE];
	result->value = variance_of(state);
	if (result->value == NULL)
		return;
	result->value = DatumGetNumeric(DirectFunctionCall1(numeric_sqrt, NumericGetDatum(result->value)));
	if (divisor != 1)
		result->value = kpi_cell_quotient(result->value, int64_to_numeric(divisor));
}

/* KPI_BASIC_OPS but scale: a square does not grow as its number does. */
#define VARIANCE_OPS \
	.ninputs = 1, .fresh_length = KPI_BASIC_LENGTH(2, 2), .ncounts = 2, .nonfinite_count = COUNT_NONFINITE, \
	.ndecimals = 2, .fields = {"n", "nonfinite", "sum", "squares"}, \
	.add = variance_add, .facts = kpi_cell_finite_facts, \
	.merge = kpi_cell_basic_merge, .negate = kpi_cell_basic_negate, .is_empty = kpi_cell_basic_is_empty, \
	.equal = kpi_cell_basic_equal, .check = kpi_cell_basic_check, .out = kpi_cell_basic_out, \
	.in = kpi_cell_basic_in, .send = kpi_cell_basic_send, .recv = kpi_cell_basic_recv

const KpiKindOps kpi_cell_variance_ops = {.name = "variance",.final = variance_final, VARIANCE_OPS};
const KpiKindOps kpi_cell_stddev_ops = {.name = "stddev",.final = stddev_final, VARIANCE_OPS};
