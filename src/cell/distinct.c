/*-------------------------------------------------------------------------
 *
 * distinct.c
 *	  The kinds of states that tell values apart: a counted multiset.
 *
 * A value is 8 bytes: an integer itself, or a hash of its text.  The state has
 * each value with the number of its facts, so a fact that goes takes with it
 * exactly what it brought, and the union of two places is their sum.  Counts may
 * be negative on the way.  What counts are values with a count above 0.
 *
 * Behind its header a state is: facts, int64; how many values are in order and
 * how many wait, uint32 each; then the values, each with its count.  Those in
 * order come first: ascending, none twice, no count 0.  The others were added
 * since, as they came: a state that is built fact by fact would else be moved
 * with each one.  Whoever reads a state puts these in order before, aside if the
 * state is not his.
 *
 * Invariant: a state has at most KPI_DISTINCT_MAX values in order.  One that
 * would have more forgets them all and keeps two sums over them, which are linear:
 * facts and sums of such states add up and are all 0 when, but for a collision
 * of 128 bits, all facts are gone; then the state is what it was before.  Until
 * then it has no value.
 *
 * The values of kind distinct_approx are those of hll.c, few of them.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell_internal.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

typedef struct Value
{
	int64		key;
	int64		count;
} Value;

typedef struct Distinct
{
	KpiState	header;
	int64		facts;
	uint32		nordered;		/* or FORGOTTEN */
	uint32		nwaiting;
	Value		values[FLEXIBLE_ARRAY_MEMBER];	/* forgotten: the two sums */
} Distinct;

#define FORGOTTEN PG_UINT32_MAX

/* What may wait: some, and a part of what is in order, which it is merged with. */
#define WAITING_LEAST 64
#define WAITING_MOST 32768

StaticAssertDecl(offsetof(Distinct, values) + (KPI_DISTINCT_MAX + WAITING_MOST) * sizeof(Value) <= KPI_STATE_MAX_LENGTH,
				 "a state of the most values must fit");

static inline Distinct *
distinct_at(const KpiCellBuf *buf, uint32 offset)
{
	return (Distinct *) kpi_cell_state_at(buf->cell, offset);
}

static inline bool
is_forgotten(const Distinct *state)
{
	return state->nordered == FORGOTTEN;
}

/* ---- putting values in order ---- */

#define ST_SORT sort_values
#define ST_ELEMENT_TYPE Value
#define ST_COMPARE(a, b) ((a)->key < (b)->key ? -1 : (a)->key > (b)->key)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Sorts what waits and sums what is there twice; returns how many are left. */
static uint32
order_values(Value *values, uint32 nvalues)
{
	uint32		n = 0;

	sort_values(values, nvalues);
	for (uint32 i = 0; i < nvalues; i++)
	{
		if (n > 0 && values[n - 1].key == values[i].key)
			values[n - 1].count = kpi_cell_count_add(values[n - 1].count, values[i].count, 1);
		else
			values[n++] = values[i];
	}
	return n;
}

/* a + sign * b into a place with room for both; returns how many. */
static uint32
merge_values(const Value *a, uint32 na, const Value *b, uint32 nb, int sign, Value *to)
{
	const Value *a_end = a + na;
	const Value *b_end = b + nb;
	Value	   *next = to;

	while (a < a_end || b < b_end)
	{
		if (b == b_end || (a < a_end && a->key < b->key))
			*next = *a++;
		else
		{
			int64		before = 0;

			if (a < a_end && a->key == b->key)
				before = a++->count;
			next->key = b->key;
			next->count = kpi_cell_count_add(before, b++->count, sign);
		}
		if (next->count != 0)
			next++;
	}
	return next - to;
}

/* The values of a state that has not forgotten them, in order. */
typedef struct Ordered
{
	const Value *values;
	uint32		n;
	Value	   *made;			/* to be freed; NULL: they are the state's */
} Ordered;

static void
begin_ordered(const Distinct *state, Ordered *ordered)
{
	Value	   *waiting;
	uint32		nwaiting;

	ordered->values = state->values;
	ordered->n = state->nordered;
	ordered->made = NULL;
	if (state->nwaiting == 0)
		return;
	waiting = palloc(state->nwaiting * sizeof(Value));
	memcpy(waiting, state->values + state->nordered, state->nwaiting * sizeof(Value));
	nwaiting = order_values(waiting, state->nwaiting);
	ordered->made = palloc(((Size) state->nordered + nwaiting) * sizeof(Value));
	ordered->n = merge_values(state->values, state->nordered, waiting, nwaiting, 1, ordered->made);
	ordered->values = ordered->made;
	pfree(waiting);
}

static void
end_ordered(Ordered *ordered)
{
	if (ordered->made)
		pfree(ordered->made);
}

/* ---- forgetting ---- */

/* Adds sign * the sums over values to those of a state that forgets. */
static void
add_sums(Value *sums, const Value *values, uint32 n, int sign)
{
	uint64		first = 0;
	uint64		second = 0;

	for (uint32 i = 0; i < n; i++)
	{
		first += (uint64) values[i].count * kpi_cell_distinct_mix(values[i].key, UINT64CONST(0x9e3779b97f4a7c15));
		second += (uint64) values[i].count * kpi_cell_distinct_mix(values[i].key, UINT64CONST(0xd1b54a32d192ed03));
	}
	sums->key = (int64) (sign > 0 ? (uint64) sums->key + first : (uint64) sums->key - first);
	sums->count = (int64) (sign > 0 ? (uint64) sums->count + second : (uint64) sums->count - second);
}

/* Makes room for so many values, behind those that are there, or drops the last ones. */
static Distinct *
set_nvalues(KpiCellBuf *buf, uint32 offset, uint32 n)
{
	uint32		before = kpi_cell_state_length(kpi_cell_state_at(buf->cell, offset));
	uint32		after = offsetof(Distinct, values) + n * sizeof(Value);

	if (after > before)
		kpi_cell_buf_resize(buf, offset, before, 0, after - before);
	else
		kpi_cell_buf_resize(buf, offset, after, before - after, 0);
	return distinct_at(buf, offset);
}

/* The state has forgotten its values; if nothing is left, that is known again. */
static void
set_sums(KpiCellBuf *buf, uint32 offset, Value sums)
{
	bool		nothing = distinct_at(buf, offset)->facts == 0 && sums.key == 0 && sums.count == 0;
	Distinct   *state = set_nvalues(buf, offset, nothing ? 0 : 1);

	state->nordered = nothing ? 0 : FORGOTTEN;
	state->nwaiting = 0;
	if (!nothing)
		state->values[0] = sums;
}

/* The state has these values; they must not be in the cell. */
static void
set_values(KpiCellBuf *buf, uint32 offset, const Value *values, uint32 n)
{
	Value		sums = {0};
	Distinct   *state;

	if (n > KPI_DISTINCT_MAX)
	{
		add_sums(&sums, values, n, 1);
		set_sums(buf, offset, sums);
		return;
	}
	state = set_nvalues(buf, offset, n);
	state->nordered = n;
	state->nwaiting = 0;
	memcpy(state->values, values, n * sizeof(Value));
}

static void
settle(KpiCellBuf *buf, uint32 offset)
{
	Ordered		ordered;

	if (distinct_at(buf, offset)->nwaiting == 0)
		return;
	begin_ordered(distinct_at(buf, offset), &ordered);
	set_values(buf, offset, ordered.values, ordered.n);
	end_ordered(&ordered);
}

/* ---- adding a fact ---- */

int64
kpi_cell_distinct_key(KpiInputType type, Datum input)
{
	switch (type)
	{
		case KPI_INPUT_INT2:
			return DatumGetInt16(input);
		case KPI_INPUT_INT4:
			return DatumGetInt32(input);
		case KPI_INPUT_INT8:
			return DatumGetInt64(input);
		default:
			elog(ERROR, "unexpected type of input: %d", (int) type);
	}
	return 0;
}

void
kpi_cell_distinct_add(KpiCellBuf *buf, uint32 offset, int64 key, int sign)
{
	Distinct   *state = distinct_at(buf, offset);
	Value		value = {.key = key,.count = sign};

	state->facts += sign;
	if (is_forgotten(state))
	{
		Value		sums = state->values[0];

		add_sums(&sums, &value, 1, 1);
		set_sums(buf, offset, sums);
		return;
	}
	state = set_nvalues(buf, offset, state->nordered + state->nwaiting + 1);
	state->values[state->nordered + state->nwaiting++] = value;
	if (state->nwaiting >= Min(Max(state->nordered / 4, WAITING_LEAST), WAITING_MOST))
		settle(buf, offset);
}

static void
distinct_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types, const Datum *inputs, const bool *isnull, int sign)
{
	if (!isnull[0])
		kpi_cell_distinct_add(buf, offset, kpi_cell_distinct_key(types[0], inputs[0]), sign);
}

/* ---- the group ---- */

/* One of the two has forgotten its values. */
static void
merge_forgotten(KpiCellBuf *buf, uint32 offset, const Distinct *other, int sign)
{
	Distinct   *state = distinct_at(buf, offset);
	Value		sums = {0};
	Ordered		ordered;

	if (is_forgotten(state))
		sums = state->values[0];
	else
	{
		begin_ordered(state, &ordered);
		add_sums(&sums, ordered.values, ordered.n, 1);
		end_ordered(&ordered);
	}
	if (is_forgotten(other))
	{
		sums.key = (int64) ((uint64) sums.key + (sign > 0 ? (uint64) other->values[0].key : -(uint64) other->values[0].key));
		sums.count = (int64) ((uint64) sums.count + (sign > 0 ? (uint64) other->values[0].count : -(uint64) other->values[0].count));
	}
	else
	{
		begin_ordered(other, &ordered);
		add_sums(&sums, ordered.values, ordered.n, sign);
		end_ordered(&ordered);
	}
	set_sums(buf, offset, sums);
}

static void
distinct_merge(KpiCellBuf *buf, uint32 offset, const KpiState *other_state, int sign)
{
	const Distinct *other = (const Distinct *) other_state;
	Distinct   *state = distinct_at(buf, offset);
	Ordered		ours;
	Ordered		theirs;
	Value	   *sum;
	uint32		n;

	state->facts = kpi_cell_count_add(state->facts, other->facts, sign);
	if (is_forgotten(state) || is_forgotten(other))
	{
		merge_forgotten(buf, offset, other, sign);
		return;
	}
	begin_ordered(state, &ours);
	begin_ordered(other, &theirs);
	sum = palloc(((Size) ours.n + theirs.n) * sizeof(Value));
	n = merge_values(ours.values, ours.n, theirs.values, theirs.n, sign, sum);
	end_ordered(&ours);
	end_ordered(&theirs);
	set_values(buf, offset, sum, n);
	pfree(sum);
}

static void
distinct_negate(KpiState *header)
{
	Distinct   *state = (Distinct *) header;

	state->facts = -state->facts;
	if (is_forgotten(state))
	{
		state->values[0].key = (int64) -(uint64) state->values[0].key;
		state->values[0].count = (int64) -(uint64) state->values[0].count;
		return;
	}
	for (uint32 i = 0; i < state->nordered + state->nwaiting; i++)
		state->values[i].count = -state->values[i].count;
}

static bool
distinct_is_empty(const KpiState *header)
{
	const Distinct *state = (const Distinct *) header;
	Ordered		ordered;
	bool		empty;

	if (state->facts != 0 || is_forgotten(state))
		return false;
	begin_ordered(state, &ordered);
	empty = ordered.n == 0;
	end_ordered(&ordered);
	return empty;
}

/* One that has forgotten differs from one that knows: the latter says more. */
static bool
distinct_equal(const KpiState *a_header, const KpiState *b_header)
{
	const Distinct *a = (const Distinct *) a_header;
	const Distinct *b = (const Distinct *) b_header;
	Ordered		left;
	Ordered		right;
	bool		equal;

	if (a->facts != b->facts || is_forgotten(a) != is_forgotten(b))
		return false;
	if (is_forgotten(a))
		return memcmp(a->values, b->values, sizeof(Value)) == 0;
	begin_ordered(a, &left);
	begin_ordered(b, &right);
	equal = left.n == right.n && memcmp(left.values, right.values, left.n * sizeof(Value)) == 0;
	end_ordered(&left);
	end_ordered(&right);
	return equal;
}

/* What is wrong with values, of which so many are in order. */
static const char *
check_values(const Value *values, uint32 nordered, uint32 n, int64 facts)
{
	int128		sum = 0;

	for (uint32 i = 0; i < n; i++)
	{
		if (values[i].count > KPI_MAX_COUNT || values[i].count < -KPI_MAX_COUNT)
			return "A count is out of range.";
		if (i < nordered && values[i].count == 0)
			return "A value has no facts.";
		if (i > 0 && i < nordered && values[i].key <= values[i - 1].key)
			return "The values are not in ascending order.";
		sum += values[i].count;
	}
	return sum == facts ? NULL : "The facts are not those of the values.";
}

static const char *
distinct_check(const KpiState *header)
{
	const Distinct *state = (const Distinct *) header;
	uint32		length = kpi_cell_state_length(header);
	uint64		n;

	if (length < offsetof(Distinct, values))
		return "A state is too short.";
	if (state->facts > KPI_MAX_COUNT || state->facts < -KPI_MAX_COUNT)
		return "A count is out of range.";
	n = is_forgotten(state) ? 1 : (uint64) state->nordered + state->nwaiting;
	if (length != offsetof(Distinct, values) + n * sizeof(Value))
		return "A state has another length than its values.";
	if (!is_forgotten(state))
		return state->nordered > KPI_DISTINCT_MAX ? "A state has too many values." :
			check_values(state->values, state->nordered, n, state->facts);
	if (state->nwaiting != 0 ||
		(state->facts == 0 && state->values[0].key == 0 && state->values[0].count == 0))
		return "A state has forgotten nothing.";
	return NULL;
}

static int64
distinct_facts(const KpiState *header)
{
	return ((const Distinct *) header)->facts;
}

static void
distinct_final(const KpiState *header, int32 divisor, Numeric parameter, KpiFinal *result)
{
	const Distinct *state = (const Distinct *) header;
	Ordered		ordered;
	int64		n = 0;

	if (is_forgotten(state))
		return;
	begin_ordered(state, &ordered);
	for (uint32 i = 0; i < ordered.n; i++)
		n += ordered.values[i].count > 0;
	end_ordered(&ordered);
	if (ordered.n <= KPI_DISTINCT_MAX)
		result->value = int64_to_numeric(n);
}

bool
kpi_cell_distinct_visit(const KpiState *header, void (*visit) (int64 key, void *arg), void *arg)
{
	const Distinct *state = (const Distinct *) header;
	Ordered		ordered;

	if (is_forgotten(state))
		return false;
	begin_ordered(state, &ordered);
	for (uint32 i = 0; i < ordered.n; i++)
	{
		if (ordered.values[i].count > 0)
			visit		(ordered.values[i].key, arg);
	}
	end_ordered(&ordered);
	return true;
}

/* ---- as it is stored ---- */

/*
 * In order, each value is stored as its distance to the one before: ids that are
 * near each other take a byte or two, and hashes seven where they are many.
 */
static void
distinct_store(KpiState *header)
{
	Distinct   *state = (Distinct *) header;

	if (is_forgotten(state))
		return;
	for (uint32 i = state->nordered; i > 1; i--)
		state->values[i - 1].key = (int64) ((uint64) state->values[i - 1].key - (uint64) state->values[i - 2].key);
}

/* Of damage there is only to know that nothing beyond the state is touched. */
static void
distinct_load(KpiState *header)
{
	Distinct   *state = (Distinct *) header;
	uint32		n = (kpi_cell_state_length(header) - offsetof(Distinct, values)) / sizeof(Value);

	for (uint32 i = 1; i < n; i++)
		state->values[i].key = (int64) ((uint64) state->values[i].key + (uint64) state->values[i - 1].key);
}

/* ---- input and output ---- */

static void
distinct_out(StringInfo buf, const KpiState *header)
{
	const Distinct *state = (const Distinct *) header;
	Ordered		ordered;

	appendStringInfo(buf, " facts=" INT64_FORMAT, state->facts);
	if (is_forgotten(state))
	{
		appendStringInfo(buf, " forgotten=" INT64_FORMAT "*" INT64_FORMAT, state->values[0].key, state->values[0].count);
		return;
	}
	appendStringInfoString(buf, " values=");
	begin_ordered(state, &ordered);
	for (uint32 i = 0; i < ordered.n; i++)
		appendStringInfo(buf, "%s" INT64_FORMAT "*" INT64_FORMAT, i > 0 ? "," : "",
						 ordered.values[i].key, ordered.values[i].count);
	end_ordered(&ordered);
}

static Value
text_value(KpiTextInput *in)
{
	Value		value;

	value.key = kpi_cell_text_integer(in);
	if (*in->next++ != '*')
	{
		in->next--;
		kpi_cell_text_error(in, "An asterisk is missing behind a value.");
	}
	value.count = kpi_cell_text_integer(in);
	return value;
}

/* Whether what was read may be a state; then it is one. */
static const char *
take_values(KpiCellBuf *buf, uint32 offset, int64 facts, const Value *values, uint32 n)
{
	const char *problem = n > KPI_DISTINCT_MAX ? "A state has too many values." : check_values(values, n, n, facts);

	if (problem == NULL)
	{
		set_values(buf, offset, values, n);
		distinct_at(buf, offset)->facts = facts;
	}
	return problem;
}

static const char *
take_sums(KpiCellBuf *buf, uint32 offset, int64 facts, const Value *sums)
{
	if (facts == 0 && sums->key == 0 && sums->count == 0)
		return "A state has forgotten nothing.";
	distinct_at(buf, offset)->facts = facts;
	set_sums(buf, offset, *sums);
	return NULL;
}

static void
distinct_in(KpiCellBuf *buf, uint32 offset, KpiTextInput *in)
{
	int64		facts = kpi_cell_text_count(in, "facts");
	const char *problem;

	if (kpi_cell_text_take(in, "forgotten="))
	{
		Value		sums = text_value(in);

		problem = take_sums(buf, offset, facts, &sums);
	}
	else if (kpi_cell_text_take(in, "values="))
	{
		Value	   *values = NULL;
		uint32		n = 0;
		uint32		room = 0;

		while (n == 0 || kpi_cell_text_take(in, ","))
		{
			if (n == room)
			{
				room = Max(room * 2, 64);
				values = values ? repalloc(values, room * sizeof(Value)) : palloc(room * sizeof(Value));
			}
			/* none at all: an empty state */
			if (n == 0 && *in->next != '-' && (*in->next < '0' || *in->next > '9'))
				break;
			values[n++] = text_value(in);
		}
		problem = take_values(buf, offset, facts, values, n);
		pfree(values);
	}
	else
		problem = "Field \"values\" is missing or not in its place.";
	if (problem != NULL)
		kpi_cell_text_error(in, problem);
}

static void
distinct_send(StringInfo buf, const KpiState *header)
{
	const Distinct *state = (const Distinct *) header;
	Ordered		ordered = {.values = state->values,.n = 1};

	if (!is_forgotten(state))
		begin_ordered(state, &ordered);
	pq_sendint64(buf, state->facts);
	pq_sendint32(buf, is_forgotten(state) ? -1 : (int32) ordered.n);
	for (uint32 i = 0; i < ordered.n; i++)
	{
		pq_sendint64(buf, ordered.values[i].key);
		pq_sendint64(buf, ordered.values[i].count);
	}
	end_ordered(&ordered);
}

static void
distinct_recv(KpiCellBuf *buf, uint32 offset, StringInfo message)
{
	int64		facts = kpi_cell_binary_count(message);
	int32		n = (int32) pq_getmsgint(message, 4);
	uint32		nread = n == -1 ? 1 : n;
	const char *problem;
	Value	   *values;

	if (n < -1 || nread > (message->len - message->cursor) / sizeof(Value))
		kpi_cell_binary_error("The number of values is out of range.");
	values = palloc(nread * sizeof(Value));
	for (uint32 i = 0; i < nread; i++)
	{
		values[i].key = pq_getmsgint64(message);
		values[i].count = pq_getmsgint64(message);
	}
	problem = n == -1 ? take_sums(buf, offset, facts, values) : take_values(buf, offset, facts, values, n);
	if (problem != NULL)
		kpi_cell_binary_error(problem);
	pfree(values);
}

const KpiKindOps kpi_cell_distinct_ops = {
	.name = "distinct",.ninputs = 1,.integer_inputs = true,
	.fresh_length = offsetof(Distinct, values),
	.add = distinct_add,.merge = distinct_merge,.negate = distinct_negate,
	.is_empty = distinct_is_empty,.equal = distinct_equal,.check = distinct_check,
	.facts = distinct_facts,.final = distinct_final,
	.settle = settle,.store = distinct_store,.load = distinct_load,
	.out = distinct_out,.in = distinct_in,.send = distinct_send,.recv = distinct_recv
};

const KpiKindOps kpi_cell_distinct_approx_ops = {
	.name = "distinct_approx",.ninputs = 1,.integer_inputs = true,
	.fresh_length = offsetof(Distinct, values),
	.add = kpi_cell_hll_add,.merge = distinct_merge,.negate = distinct_negate,
	.is_empty = distinct_is_empty,.equal = distinct_equal,.check = distinct_check,
	.facts = distinct_facts,.final = kpi_cell_hll_final,
	.settle = settle,.store = distinct_store,.load = distinct_load,
	.out = distinct_out,.in = distinct_in,.send = distinct_send,.recv = distinct_recv
};
