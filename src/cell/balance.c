/*-------------------------------------------------------------------------
 *
 * balance.c
 *	  The kind balance: what is held, in numbers that days add up.
 *
 * A fact arrives on a day and leaves on another; each is a fact of a stream of its
 * own, and what leaves counts negatively.  The sum of amounts over all days up to
 * one is what is held when it ends.  The sum of amounts times their days (days
 * since 2000-01-01) makes the sum of what was held at the ends of the days from
 * s to e: with A and B the two sums over the days from s to e, and H what was held
 * before s, it is H * (e - s + 1) + A * (e + 1) - B.
 *
 * The sum of facts times their days keeps a state from being empty of which all
 * that has arrived has left again: amounts alone may be 0, or add up to it, and a
 * scope's first day would be forgotten with them.
 *
 * What is held may change hands: kpi_cell_carry().
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell_internal.h"
#include "utils/builtins.h"

enum
{
	COUNT_N,
	COUNT_NONFINITE,
	COUNT_REVERSED,
	COUNT_N_DAYS
};

enum
{
	AMOUNT,
	AMOUNT_DAYS
};

/* A day, or 1, 0, -1. */
static int32
read_integer(KpiInputType type, Datum input)
{
	switch (type)
	{
		case KPI_INPUT_INT2:
			return DatumGetInt16(input);
		case KPI_INPUT_INT4:
			return DatumGetInt32(input);
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("the day and the direction of a balance must be of type smallint or integer")));
	}
}

static void
amount_on_day(const KpiDecimal *amount, int32 day, KpiDecimal *result)
{
	KpiDecimal	factor = {.value = day};
	Datum		left;
	Datum		right;
	Datum		product;

	result->scale = amount->scale;
	result->wide = NULL;
	if (amount->wide == NULL && !__builtin_mul_overflow(amount->value, (int128) day, &result->value) &&
		kpi_cell_decimal_fits(result->value))
		return;

	left = NumericGetDatum(kpi_cell_decimal_numeric(amount));
	right = NumericGetDatum(kpi_cell_decimal_numeric(&factor));
	product = DirectFunctionCall2(numeric_mul, left, right);
	if (kpi_cell_decimal_read(product, KPI_MAX_SUM_DIGITS, result) == KPI_DECIMAL_NONFINITE)
		elog(ERROR, "amount of a balance has too many digits");
	pfree(DatumGetPointer(left));
	pfree(DatumGetPointer(right));
	pfree(DatumGetPointer(product));
}

static void
free_decimal(KpiDecimal *decimal)
{
	if (decimal->wide != NULL)
		pfree(decimal->wide);
}

static void
balance_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
			const Datum *inputs, const bool *isnull, int sign)
{
	int64	   *counts = kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset));
	KpiDecimal	amount;
	KpiDecimal	amount_days;
	int32		direction;
	int32		day;

	if (isnull[0] || isnull[1] || isnull[2])
		return;
	direction = read_integer(types[2], inputs[2]);
	if (direction == 0)
	{
		counts[COUNT_REVERSED] += sign;
		return;
	}
	if (direction < 0)
		sign = -sign;
	if (!kpi_cell_read_number(types[0], inputs[0], &amount))
	{
		counts[COUNT_NONFINITE] += sign;
		return;
	}
	day = read_integer(types[1], inputs[1]);
	counts[COUNT_N] += sign;
	counts[COUNT_N_DAYS] += sign * day;
	amount_on_day(&amount, day, &amount_days);
	kpi_cell_state_add_decimal(buf, offset, &kpi_cell_balance_ops, AMOUNT, &amount, sign);
	kpi_cell_state_add_decimal(buf, offset, &kpi_cell_balance_ops, AMOUNT_DAYS, &amount_days, sign);
	free_decimal(&amount);
	free_decimal(&amount_days);
}

static void
balance_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	result->nonfinite = kpi_cell_state_counts(state)[COUNT_NONFINITE];
	result->value = kpi_cell_state_sum(state, AMOUNT);
	if (divisor != 1)
		result->value = kpi_cell_quotient(result->value, int64_to_numeric(divisor));
}

int64
kpi_cell_balance_reversed(const KpiState *state)
{
	return kpi_cell_state_counts(state)[COUNT_REVERSED];
}

bool
kpi_cell_balance(const KpiCell *cell, int32 measure_id, KpiBalance *balance)
{
	const KpiState *state;

	memset(balance, 0, sizeof(KpiBalance));
	kpi_cell_foreach_state(state, offset, cell)
	{
		const int64 *counts = kpi_cell_state_counts(state);

		if (state->measure_id != measure_id)
			continue;
		if (state->kind == KPI_ERRORS)
			balance->errors = counts[0];
		if (state->kind != KPI_BALANCE || kpi_cell_basic_is_empty(state))
			continue;
		balance->held = counts[COUNT_N];
		balance->nonfinite = counts[COUNT_NONFINITE];
		balance->reversed = counts[COUNT_REVERSED];
		balance->amount = kpi_cell_state_sum(state, AMOUNT);
		balance->amount_days = kpi_cell_state_sum(state, AMOUNT_DAYS);
	}
	return balance->amount != NULL;
}

KpiCell *
kpi_cell_carry(const KpiCell *cell, int32 day)
{
	KpiCellBuf	buf;
	const KpiState *state;

	buf.cell = buf.given = kpi_cell_empty();
	kpi_cell_foreach_state(state, offset, cell)
	{
		const int64 *counts = kpi_cell_state_counts(state);
		int64	   *carried;
		KpiDecimal	amount;
		KpiDecimal	amount_days;
		uint32		end = buf.cell->used;

		if (state->kind != KPI_BALANCE || kpi_cell_basic_is_empty(state))
			continue;
		kpi_cell_buf_insert(&buf, end, state->measure_id, KPI_BALANCE);
		carried = kpi_cell_state_counts(kpi_cell_state_at(buf.cell, end));
		carried[COUNT_N] = counts[COUNT_N];
		carried[COUNT_NONFINITE] = counts[COUNT_NONFINITE];
		carried[COUNT_N_DAYS] = counts[COUNT_N] * day;
		kpi_cell_state_get_decimal(state, &kpi_cell_balance_ops, AMOUNT, &amount);
		amount_on_day(&amount, day, &amount_days);
		kpi_cell_state_add_decimal(&buf, end, &kpi_cell_balance_ops, AMOUNT, &amount, 1);
		kpi_cell_state_add_decimal(&buf, end, &kpi_cell_balance_ops, AMOUNT_DAYS, &amount_days, 1);
		free_decimal(&amount_days);
	}
	return buf.cell;
}

const KpiKindOps kpi_cell_balance_ops = {
	.name = "balance",.ninputs = 3,.first_decides = true,
	.fresh_length = KPI_BASIC_LENGTH(4, 2),.ncounts = 4,.nonfinite_count = COUNT_NONFINITE,.ndecimals = 2,
	.fields = {"n", "nonfinite", "reversed", "n_days", "amount", "amount_days"},
	.add = balance_add,.facts = kpi_cell_finite_facts,.final = balance_final, KPI_BASIC_OPS
};
