/*-------------------------------------------------------------------------
 *
 * basic.c
 *	  The kinds of states made of counts and exact sums: count, sum, avg,
 *	  rate, ratio, errors.
 *
 * Called through the tables of operations at the end, by cell.c and
 * io.c.  Such a state is: header, ncounts int64, ndecimals slots, and
 * then the numerics of the wide slots in order, each padded with zeros to 8
 * bytes.
 *
 *	count	facts
 *	sum,avg	finite facts, facts that are not finite; their sum
 *	rate	facts where cond is true as well; facts (where "of" is true)
 *	ratio	finite facts, facts where either number is not finite; two sums
 *	errors	facts ignored
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell_internal.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

#define MAX_DECIMALS 2

static inline int128 *
state_slots(const KpiState *state, int ncounts)
{
	return (int128 *) ((char *) state + sizeof(KpiState) + ncounts * sizeof(int64));
}

/* Bytes from the state's start to the numeric of its wide slot "index". */
static uint32
body_position(const KpiState *state, const KpiKindOps *ops, int index)
{
	const int128 *slots = state_slots(state, ops->ncounts);
	uint32		position = ops->fresh_length;

	for (int i = 0; i < index; i++)
		if (kpi_cell_slot_is_wide(slots[i]))
			position += MAXALIGN(VARSIZE((const char *) state + position));
	return position;
}

/* The decimal points into the state while it is wide. */
void
kpi_cell_state_get_decimal(const KpiState *state, const KpiKindOps *ops, int index, KpiDecimal *result)
{
	int128		slot = state_slots(state, ops->ncounts)[index];

	if (kpi_cell_slot_is_wide(slot))
	{
		result->wide = (Numeric) ((char *) state + body_position(state, ops, index));
		result->value = 0;
		result->scale = 0;
	}
	else
	{
		result->wide = NULL;
		result->value = slot >> 8;
		result->scale = (uint8) slot;
	}
}

/* The decimal must not point into the cell. */
static void
set_decimal(KpiCellBuf *buf, uint32 offset, const KpiKindOps *ops, int index,
			const KpiDecimal *decimal)
{
	KpiState   *state = kpi_cell_state_at(buf->cell, offset);
	uint32		position = body_position(state, ops, index);
	uint32		old_length = 0;
	uint32		new_length = 0;

	if (kpi_cell_slot_is_wide(state_slots(state, ops->ncounts)[index]))
		old_length = MAXALIGN(VARSIZE((char *) state + position));
	if (decimal->wide != NULL)
		new_length = MAXALIGN(VARSIZE(decimal->wide));

	kpi_cell_buf_resize(buf, offset, position, old_length, new_length);
	state = kpi_cell_state_at(buf->cell, offset);
	if (decimal->wide != NULL)
	{
		char	   *body = (char *) state + position;

		memset(body, 0, new_length);
		memcpy(body, decimal->wide, VARSIZE(decimal->wide));
		state_slots(state, ops->ncounts)[index] = KPI_SLOT_WIDE;
	}
	else
		state_slots(state, ops->ncounts)[index] = kpi_cell_slot_make(decimal->value, decimal->scale);
}

/* The general way to add to a decimal, for all that is not narrow. */
static void
add_decimal_slowly(KpiCellBuf *buf, uint32 offset, const KpiKindOps *ops, int index,
				   const KpiDecimal *operand, int sign)
{
	KpiDecimal	sum;

	kpi_cell_state_get_decimal(kpi_cell_state_at(buf->cell, offset), ops, index, &sum);
	kpi_cell_decimal_add(&sum, operand, sign);
	set_decimal(buf, offset, ops, index, &sum);
	if (sum.wide != NULL)
		pfree(sum.wide);
}

void
kpi_cell_state_add_decimal(KpiCellBuf *buf, uint32 offset, const KpiKindOps *ops, int index,
						   const KpiDecimal *operand, int sign)
{
	int128	   *slot = &state_slots(kpi_cell_state_at(buf->cell, offset), ops->ncounts)[index];

	if (operand->wide == NULL && !kpi_cell_slot_is_wide(*slot) &&
		kpi_cell_slot_add(slot, sign > 0 ? operand->value : -operand->value, operand->scale))
		return;
	add_decimal_slowly(buf, offset, ops, index, operand, sign);
}

bool
kpi_cell_read_number(KpiInputType type, Datum input, KpiDecimal *result)
{
	result->wide = NULL;
	result->scale = 0;
	switch (type)
	{
		case KPI_INPUT_INT2:
			result->value = DatumGetInt16(input);
			return true;
		case KPI_INPUT_INT4:
			result->value = DatumGetInt32(input);
			return true;
		case KPI_INPUT_INT8:
			result->value = DatumGetInt64(input);
			return true;
		case KPI_INPUT_NUMERIC:
			return kpi_cell_decimal_read(input, KPI_MAX_INPUT_DIGITS, result) != KPI_DECIMAL_NONFINITE;
		case KPI_INPUT_FLOAT4:
			return kpi_cell_decimal_from_float4(DatumGetFloat4(input), result);
		case KPI_INPUT_FLOAT8:
			return kpi_cell_decimal_from_float8(DatumGetFloat8(input), result);
		default:
			break;
	}
	elog(ERROR, "unexpected type of input: %d", (int) type);
	return false;
}

/* ---- adding a fact ---- */

static void
count_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
		  const Datum *inputs, const bool *isnull, int sign)
{
	if (!isnull[0] && DatumGetBool(inputs[0]))
		kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset))[0] += sign;
}

static void
rate_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
		 const Datum *inputs, const bool *isnull, int sign)
{
	int64	   *counts = kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset));

	if (isnull[1] || !DatumGetBool(inputs[1]))
		return;
	counts[1] += sign;
	if (!isnull[0] && DatumGetBool(inputs[0]))
		counts[0] += sign;
}

static void
sum_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
		const Datum *inputs, const bool *isnull, int sign)
{
	int64	   *counts = kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset));
	KpiDecimal	number;

	if (isnull[0])
		return;
	if (!kpi_cell_read_number(types[0], inputs[0], &number))
	{
		counts[1] += sign;
		return;
	}
	counts[0] += sign;
	/* avg states have the same shape */
	kpi_cell_state_add_decimal(buf, offset, &kpi_cell_sum_ops, 0, &number, sign);
	if (number.wide != NULL)
		pfree(number.wide);
}

static void
ratio_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
		  const Datum *inputs, const bool *isnull, int sign)
{
	int64	   *counts = kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset));
	KpiDecimal	numbers[MAX_DECIMALS];
	bool		finite = true;

	if (isnull[0] && isnull[1])
		return;
	for (int i = 0; i < MAX_DECIMALS; i++)
	{
		numbers[i].wide = NULL;
		if (!isnull[i] && !kpi_cell_read_number(types[i], inputs[i], &numbers[i]))
			finite = false;
	}

	counts[finite ? 0 : 1] += sign;
	for (int i = 0; i < MAX_DECIMALS; i++)
	{
		if (isnull[i])
			continue;
		if (finite)
			kpi_cell_state_add_decimal(buf, offset, &kpi_cell_ratio_ops, i, &numbers[i], sign);
		if (numbers[i].wide != NULL)
			pfree(numbers[i].wide);
	}
}

/* ---- the group ---- */

void
kpi_cell_basic_merge(KpiCellBuf *buf, uint32 offset, const KpiState *other, int sign)
{
	const KpiKindOps *ops = kpi_cell_kind_ops(other->kind);
	int64	   *counts = kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset));
	const int64 *added = kpi_cell_state_counts(other);

	for (int i = 0; i < ops->ncounts; i++)
		counts[i] = kpi_cell_count_add(counts[i], added[i], sign);
	for (int i = 0; i < ops->ndecimals; i++)
	{
		KpiDecimal	operand;

		kpi_cell_state_get_decimal(other, ops, i, &operand);
		kpi_cell_state_add_decimal(buf, offset, ops, i, &operand, sign);
	}
}

void
kpi_cell_basic_negate(KpiState *state)
{
	const KpiKindOps *ops = kpi_cell_kind_ops(state->kind);
	int64	   *counts = kpi_cell_state_counts(state);
	int128	   *slots = state_slots(state, ops->ncounts);

	for (int i = 0; i < ops->ncounts; i++)
		counts[i] = -counts[i];
	for (int i = 0; i < ops->ndecimals; i++)
	{
		KpiDecimal	decimal;
		Numeric		body;

		kpi_cell_state_get_decimal(state, ops, i, &decimal);
		body = decimal.wide;
		kpi_cell_decimal_negate(&decimal);
		if (body == NULL)
			slots[i] = kpi_cell_slot_make(decimal.value, decimal.scale);
		else
		{
			/* only the sign differs */
			Assert(VARSIZE(body) == VARSIZE(decimal.wide));
			memcpy(body, decimal.wide, VARSIZE(body));
			pfree(decimal.wide);
		}
	}
}

void
kpi_cell_basic_scale(KpiCellBuf *buf, uint32 offset, Numeric factor)
{
	const KpiKindOps *ops = kpi_cell_kind_ops(kpi_cell_state_at(buf->cell, offset)->kind);

	for (int i = 0; i < ops->ndecimals; i++)
	{
		KpiDecimal	decimal;

		kpi_cell_state_get_decimal(kpi_cell_state_at(buf->cell, offset), ops, i, &decimal);
		kpi_cell_decimal_multiply(&decimal, factor);
		set_decimal(buf, offset, ops, i, &decimal);
	}
}

bool
kpi_cell_basic_is_empty(const KpiState *state)
{
	const KpiKindOps *ops = kpi_cell_kind_ops(state->kind);
	const int64 *counts = kpi_cell_state_counts(state);
	const int128 *slots = state_slots(state, ops->ncounts);

	for (int i = 0; i < ops->ncounts; i++)
		if (counts[i] != 0)
			return false;
	for (int i = 0; i < ops->ndecimals; i++)
		if (kpi_cell_slot_is_wide(slots[i]) || slots[i] >> 8 != 0)
			return false;
	return true;
}

bool
kpi_cell_basic_equal(const KpiState *a, const KpiState *b)
{
	const KpiKindOps *ops = kpi_cell_kind_ops(a->kind);

	if (memcmp(kpi_cell_state_counts(a), kpi_cell_state_counts(b), ops->ncounts * sizeof(int64)) != 0)
		return false;
	for (int i = 0; i < ops->ndecimals; i++)
	{
		KpiDecimal	left;
		KpiDecimal	right;

		kpi_cell_state_get_decimal(a, ops, i, &left);
		kpi_cell_state_get_decimal(b, ops, i, &right);
		if (!kpi_cell_decimal_equal(&left, &right))
			return false;
	}
	return true;
}

const char *
kpi_cell_basic_check(const KpiState *state)
{
	const KpiKindOps *ops = kpi_cell_kind_ops(state->kind);
	const int64 *counts = kpi_cell_state_counts(state);
	const int128 *slots = state_slots(state, ops->ncounts);
	uint32		position = ops->fresh_length;

	if (kpi_cell_state_length(state) < position)
		return "A state is too short.";
	for (int i = 0; i < ops->ncounts; i++)
		if (counts[i] > KPI_MAX_COUNT || counts[i] < -KPI_MAX_COUNT)
			return "A count is out of range.";
	for (int i = 0; i < ops->ndecimals; i++)
	{
		Numeric		body = (Numeric) ((char *) state + position);

		if (!kpi_cell_slot_is_wide(slots[i]))
		{
			if ((uint8) slots[i] > KPI_MAX_SCALE || !kpi_cell_decimal_fits(slots[i] >> 8))
				return "A sum is out of range.";
			continue;
		}
		if (slots[i] != KPI_SLOT_WIDE || kpi_cell_state_length(state) < position + VARHDRSZ ||
			VARATT_IS_EXTENDED(body) ||
			VARSIZE(body) > kpi_cell_state_length(state) - position ||
			!kpi_cell_decimal_wide_is_valid(body))
			return "A sum is malformed.";
		position += MAXALIGN(VARSIZE(body));
	}
	if (kpi_cell_state_length(state) != position)
		return "A state has another length than its numbers.";
	return NULL;
}

/* ---- finalizing ---- */

static int64
count_facts(const KpiState *state)
{
	return kpi_cell_state_counts(state)[0];
}

int64
kpi_cell_finite_facts(const KpiState *state)
{
	return kpi_cell_state_counts(state)[0] + kpi_cell_state_counts(state)[1];
}

static int64
rate_facts(const KpiState *state)
{
	return kpi_cell_state_counts(state)[1];
}

/* What was ignored is no fact that counts. */
static int64
errors_facts(const KpiState *state)
{
	return 0;
}

Numeric
kpi_cell_quotient(Numeric numerator, Numeric denominator)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_div,
											   NumericGetDatum(numerator),
											   NumericGetDatum(denominator)));
}

/*
 * value = numerator / denominator, both divided by the divisor but rounded
 * only once.
 */
static void
final_quotient(Numeric numerator, Numeric denominator, int32 divisor, KpiFinal *result)
{
	bool		failed = false; /* by 0: no value */

	result->numerator = numerator;
	result->denominator = denominator;
	if (divisor != 1)
	{
		Numeric		by = int64_to_numeric(divisor);

		result->numerator = kpi_cell_quotient(numerator, by);
		denominator = DatumGetNumeric(DirectFunctionCall2(numeric_mul,
														  NumericGetDatum(denominator),
														  NumericGetDatum(by)));
	}
	result->value = numeric_div_opt_error(numerator, denominator, &failed);
}

Numeric
kpi_cell_state_sum(const KpiState *state, int index)
{
	KpiDecimal	decimal;

	kpi_cell_state_get_decimal(state, kpi_cell_kind_ops(state->kind), index, &decimal);
	return kpi_cell_decimal_numeric(&decimal);
}

static void
count_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	result->value = int64_to_numeric(kpi_cell_state_counts(state)[0]);
	if (divisor != 1)
		result->value = kpi_cell_quotient(result->value, int64_to_numeric(divisor));
}

static void
sum_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	const int64 *counts = kpi_cell_state_counts(state);

	result->nonfinite = counts[1];
	if (counts[0] == 0)
		return;
	result->value = kpi_cell_state_sum(state, 0);
	if (divisor != 1)
		result->value = kpi_cell_quotient(result->value, int64_to_numeric(divisor));
}

static void
avg_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	const int64 *counts = kpi_cell_state_counts(state);

	result->nonfinite = counts[1];
	final_quotient(kpi_cell_state_sum(state, 0), int64_to_numeric(counts[0]), divisor, result);
}

static void
rate_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	const int64 *counts = kpi_cell_state_counts(state);

	final_quotient(int64_to_numeric(counts[0]), int64_to_numeric(counts[1]), divisor, result);
}

static void
ratio_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	const int64 *counts = kpi_cell_state_counts(state);

	result->nonfinite = counts[1];
	final_quotient(kpi_cell_state_sum(state, 0), kpi_cell_state_sum(state, 1), divisor, result);
}

/*
 * Errors have no inputs: kpi_cell_add_error() adds them.  kpi_cell_final()
 * counts them itself, as they accompany another state.
 */
static void
errors_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
}

/* ---- input and output ---- */

void
kpi_cell_basic_out(StringInfo buf, const KpiState *state)
{
	const KpiKindOps *ops = kpi_cell_kind_ops(state->kind);

	for (int i = 0; i < ops->ncounts; i++)
		appendStringInfo(buf, " %s=" INT64_FORMAT, ops->fields[i], kpi_cell_state_counts(state)[i]);
	for (int i = 0; i < ops->ndecimals; i++)
	{
		char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out,
															   NumericGetDatum(kpi_cell_state_sum(state, i))));

		appendStringInfo(buf, " %s=%s", ops->fields[ops->ncounts + i], text);
	}
}

/* The sum was checked by those who read it. */
static void
set_sum(KpiCellBuf *buf, uint32 offset, const KpiKindOps *ops, int index, Numeric num)
{
	KpiDecimal	decimal;

	kpi_cell_decimal_read(NumericGetDatum(num), KPI_MAX_SUM_DIGITS, &decimal);
	set_decimal(buf, offset, ops, index, &decimal);
}

void
kpi_cell_basic_in(KpiCellBuf *buf, uint32 offset, KpiTextInput *in)
{
	const KpiKindOps *ops = kpi_cell_kind_ops(kpi_cell_state_at(buf->cell, offset)->kind);

	for (int i = 0; i < ops->ncounts; i++)
		kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset))[i] =
			kpi_cell_text_count(in, ops->fields[i]);
	for (int i = 0; i < ops->ndecimals; i++)
		set_sum(buf, offset, ops, i, kpi_cell_text_decimal(in, ops->fields[ops->ncounts + i]));
}

void
kpi_cell_basic_send(StringInfo buf, const KpiState *state)
{
	const KpiKindOps *ops = kpi_cell_kind_ops(state->kind);

	for (int i = 0; i < ops->ncounts; i++)
		pq_sendint64(buf, kpi_cell_state_counts(state)[i]);
	for (int i = 0; i < ops->ndecimals; i++)
	{
		bytea	   *image = DatumGetByteaP(DirectFunctionCall1(numeric_send,
															   NumericGetDatum(kpi_cell_state_sum(state, i))));

		pq_sendint32(buf, VARSIZE(image) - VARHDRSZ);
		pq_sendbytes(buf, VARDATA(image), VARSIZE(image) - VARHDRSZ);
	}
}

void
kpi_cell_basic_recv(KpiCellBuf *buf, uint32 offset, StringInfo message)
{
	const KpiKindOps *ops = kpi_cell_kind_ops(kpi_cell_state_at(buf->cell, offset)->kind);

	for (int i = 0; i < ops->ncounts; i++)
		kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset))[i] = kpi_cell_binary_count(message);
	for (int i = 0; i < ops->ndecimals; i++)
		set_sum(buf, offset, ops, i, kpi_cell_binary_decimal(message));
}

const KpiKindOps kpi_cell_count_ops = {
	.name = "count",.ninputs = 1,.boolean_inputs = true,
	.fresh_length = KPI_BASIC_LENGTH(1, 0),.ncounts = 1,.fields = {"n"},
	.add = count_add,.facts = count_facts,.final = count_final, KPI_BASIC_OPS
};

const KpiKindOps kpi_cell_sum_ops = {
	.name = "sum",.ninputs = 1,
	.fresh_length = KPI_BASIC_LENGTH(2, 1),.ncounts = 2,.nonfinite_count = 1,.ndecimals = 1,
	.fields = {"n", "nonfinite", "sum"},
	.add = sum_add,.facts = kpi_cell_finite_facts,.final = sum_final, KPI_BASIC_OPS
};

const KpiKindOps kpi_cell_avg_ops = {
	.name = "avg",.ninputs = 1,
	.fresh_length = KPI_BASIC_LENGTH(2, 1),.ncounts = 2,.nonfinite_count = 1,.ndecimals = 1,
	.fields = {"n", "nonfinite", "sum"},
	.add = sum_add,.facts = kpi_cell_finite_facts,.final = avg_final, KPI_BASIC_OPS
};

const KpiKindOps kpi_cell_rate_ops = {
	.name = "rate",.ninputs = 2,.boolean_inputs = true,
	.fresh_length = KPI_BASIC_LENGTH(2, 0),.ncounts = 2,.fields = {"num", "den"},
	.add = rate_add,.facts = rate_facts,.final = rate_final, KPI_BASIC_OPS
};

const KpiKindOps kpi_cell_ratio_ops = {
	.name = "ratio",.ninputs = 2,
	.fresh_length = KPI_BASIC_LENGTH(2, 2),.ncounts = 2,.nonfinite_count = 1,.ndecimals = 2,
	.fields = {"n", "nonfinite", "num", "den"},
	.add = ratio_add,.facts = kpi_cell_finite_facts,.final = ratio_final, KPI_BASIC_OPS
};

const KpiKindOps kpi_cell_errors_ops = {
	.name = "errors",.ninputs = 0,.boolean_inputs = true,
	.fresh_length = KPI_BASIC_LENGTH(1, 0),.ncounts = 1,.fields = {"n"},
	.facts = errors_facts,.final = errors_final, KPI_BASIC_OPS
};
