/*-------------------------------------------------------------------------
 *
 * cell.c
 *	  The cell: format and group operations.
 *
 * Adding facts, merging, subtracting, finalizing.  A cell is a KpiCell
 * followed by nstates states (cell.h), in ascending (measure id,
 * kind), each 8-byte aligned; no two have the same (measure id, kind).
 * Measure id 0 has errors only.  VARSIZE covers the spare room behind "used",
 * so that a datumCopy() keeps it.  What a state holds is known to its kind
 * alone (KpiKindOps).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell_internal.h"
#include "common/int.h"

const KpiKindOps *const kpi_cell_kinds[] = {
	NULL,
	[KPI_COUNT] = &kpi_cell_count_ops,
	[KPI_SUM] = &kpi_cell_sum_ops,
	[KPI_AVG] = &kpi_cell_avg_ops,
	[KPI_RATE] = &kpi_cell_rate_ops,
	[KPI_RATIO] = &kpi_cell_ratio_ops,
	[KPI_ERRORS] = &kpi_cell_errors_ops,
	[KPI_DISTINCT] = &kpi_cell_distinct_ops,
	[KPI_DISTINCT_APPROX] = &kpi_cell_distinct_approx_ops,
	[KPI_BALANCE] = &kpi_cell_balance_ops,
	[KPI_VARIANCE] = &kpi_cell_variance_ops,
	[KPI_STDDEV] = &kpi_cell_stddev_ops,
	[KPI_PERCENTILE] = &kpi_cell_percentile_ops,
	[KPI_MIN] = &kpi_cell_min_ops,
	[KPI_MAX] = &kpi_cell_max_ops,
	[KPI_FIRST] = &kpi_cell_first_ops,
	[KPI_LAST] = &kpi_cell_last_ops,
	[KPI_LEFT_OUT] = &kpi_cell_left_out_ops
};

const int	kpi_cell_nkinds = lengthof(kpi_cell_kinds);

#ifdef USE_ASSERT_CHECKING
#define assert_sound(cell) kpi_cell_check(cell)
#else
#define assert_sound(cell) ((void) 0)
#endif

/* ---- cells being changed ---- */

void
kpi_cell_buf_reserve(KpiCellBuf *buf, uint32 bytes)
{
	uint32		used = buf->cell->used;
	Size		size;
	KpiCell    *larger;

	if (VARSIZE(buf->cell) >= (Size) used + bytes)
		return;

	/* some more, as one that grows once is likely to do so again */
	size = MAXALIGN(used + bytes + used / 4);
	larger = palloc0(size);
	memcpy(larger, buf->cell, used);
	SET_VARSIZE(larger, size);
	if (buf->cell != buf->given)
		pfree(buf->cell);
	buf->cell = larger;
}

/* Inserts zeroed bytes, for which there is room, at an offset of the cell. */
static void
open_gap(KpiCell *cell, uint32 offset, uint32 bytes)
{
	char	   *place = (char *) cell + offset;

	Assert(VARSIZE(cell) >= (Size) cell->used + bytes);
	memmove(place + bytes, place, cell->used - offset);
	memset(place, 0, bytes);
	cell->used += bytes;
}

static void
close_gap(KpiCell *cell, uint32 offset, uint32 bytes)
{
	char	   *place = (char *) cell + offset;

	memmove(place, place + bytes, cell->used - offset - bytes);
	cell->used -= bytes;
}

void
kpi_cell_buf_resize(KpiCellBuf *buf, uint32 offset, uint32 at,
					uint32 old_length, uint32 new_length)
{
	uint32		length = kpi_cell_state_length(kpi_cell_state_at(buf->cell, offset));

	if (old_length == new_length)
		return;
	length = length - old_length + new_length;
	if (length > KPI_STATE_MAX_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("state of a cell is too long")));
	if (new_length > old_length)
	{
		kpi_cell_buf_reserve(buf, new_length - old_length);
		open_gap(buf->cell, offset + at, new_length - old_length);
	}
	else
		close_gap(buf->cell, offset + at, old_length - new_length);
	kpi_cell_state_set_length(kpi_cell_state_at(buf->cell, offset), length);
}

void
kpi_cell_buf_insert(KpiCellBuf *buf, uint32 offset, int32 measure_id, KpiKind kind)
{
	uint16		length = kpi_cell_kinds[kind]->fresh_length;
	KpiState   *state;

	if (buf->cell->nstates == PG_UINT16_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cell has too many states")));
	kpi_cell_buf_reserve(buf, length);
	open_gap(buf->cell, offset, length);
	buf->cell->nstates++;
	state = kpi_cell_state_at(buf->cell, offset);
	state->measure_id = measure_id;
	state->kind = kind;
	kpi_cell_state_set_length(state, length);
}

/* Removes the state at an offset. */
static void
remove_state(KpiCell *cell, uint32 offset)
{
	close_gap(cell, offset, kpi_cell_state_length(kpi_cell_state_at(cell, offset)));
	cell->nstates--;
}

/*
 * Moves *offset forward to the state (measure id, kind), or to where it
 * belongs if it is not there; true when it is.
 */
static inline bool
find_state(const KpiCell *cell, uint32 *offset, int32 measure_id, KpiKind kind)
{
	while (*offset < cell->used)
	{
		const KpiState *state = kpi_cell_state_at(cell, *offset);
		int			order = kpi_cell_state_compare(state, measure_id, kind);

		if (order >= 0)
			return order == 0;
		*offset += kpi_cell_state_length(state);
	}
	return false;
}

/* The same, inserting an empty state if it is not there. */
static inline void
find_or_insert(KpiCellBuf *buf, uint32 *offset, int32 measure_id, KpiKind kind)
{
	if (!find_state(buf->cell, offset, measure_id, kind))
		kpi_cell_buf_insert(buf, *offset, measure_id, kind);
}

int64
kpi_cell_count_add(int64 a, int64 b, int sign)
{
	/* cannot overflow: see KPI_MAX_COUNT */
	int64		sum = sign > 0 ? a + b : a - b;

	if (sum > KPI_MAX_COUNT || sum < -KPI_MAX_COUNT)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("count of a cell out of range")));
	return sum;
}

/* ---- making cells ---- */

KpiCell *
kpi_cell_empty(void)
{
	KpiCell    *cell = palloc0(sizeof(KpiCell));

	SET_VARSIZE(cell, sizeof(KpiCell));
	cell->version = KPI_CELL_VERSION;
	cell->used = sizeof(KpiCell);
	return cell;
}

KpiCell *
kpi_cell_for_layout(const KpiLayout *layout)
{
	KpiCell    *cell = palloc0(layout->cell_size);

	SET_VARSIZE(cell, layout->cell_size);
	cell->version = KPI_CELL_VERSION;
	cell->used = layout->cell_size;
	cell->nstates = layout->nmeasures;
	for (int i = 0; i < layout->nmeasures; i++)
	{
		const KpiLayoutMeasure *measure = &layout->measures[i];
		KpiState   *state = kpi_cell_state_at(cell, measure->offset);

		state->measure_id = measure->id;
		state->kind = measure->kind;
		kpi_cell_state_set_length(state, kpi_cell_kinds[measure->kind]->fresh_length);
	}
	assert_sound(cell);
	return cell;
}

KpiCell *
kpi_cell_pack(const KpiCell *cell)
{
	KpiCell    *packed = palloc(cell->used);
	KpiCellBuf	buf = {packed, packed};
	const KpiState *state;
	uint32		used = sizeof(KpiCell);
	uint16		nstates = 0;

	memcpy(packed, cell, sizeof(KpiCell));
	kpi_cell_foreach_state(state, offset, cell)
	{
		if (kpi_cell_kinds[state->kind]->is_empty(state))
			continue;
		memcpy((char *) packed + used, state, kpi_cell_state_length(state));
		used += kpi_cell_state_length(state);
		nstates++;
	}
	packed->used = used;
	packed->nstates = nstates;
	kpi_cell_foreach_state(state, offset, packed)
	{
		if (kpi_cell_kinds[state->kind]->settle != NULL)
			kpi_cell_kinds[state->kind]->settle(&buf, offset);
	}
	SET_VARSIZE(packed, packed->used);
	assert_sound(packed);
	return packed;
}

/* ---- adding facts ---- */

/*
 * Counts errors of a measure, whose place is not before the offset; returns the
 * place.  By value and apart, so that the loop over the measures of a fact has
 * its offset in a register.
 */
static pg_noinline uint32
add_errors(KpiCellBuf *buf, uint32 offset, int32 measure_id, int64 facts)
{
	int64	   *count;

	find_or_insert(buf, &offset, measure_id, KPI_ERRORS);
	count = kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset));
	*count = kpi_cell_count_add(*count, facts, 1);
	return offset;
}

KpiCell *
kpi_cell_add_fact(KpiCell *cell, const KpiLayout *layout, const Datum *inputs, const bool *isnull,
				  const Bitmapset *failed, int sign)
{
	KpiCellBuf	buf = {cell, cell};
	uint32		offset = sizeof(KpiCell);

	for (int i = 0; i < layout->nmeasures; i++)
	{
		const KpiLayoutMeasure *measure = &layout->measures[i];
		int			first = measure->first_input;

		if (unlikely(failed != NULL) && bms_is_member(i, failed))
		{
			offset = add_errors(&buf, offset, measure->id, sign);
			continue;
		}
		find_or_insert(&buf, &offset, measure->id, measure->kind);
		kpi_cell_kinds[measure->kind]->add(&buf, offset, measure->option, layout->input_types + first,
										   inputs + first, isnull + first, sign);
	}
	return buf.cell;
}

bool
kpi_cell_fact_is_void(const KpiLayout *layout, const Datum *inputs, const bool *isnull)
{
	for (int m = 0; m < layout->nmeasures; m++)
	{
		const KpiLayoutMeasure *measure = &layout->measures[m];
		int			ninputs = kpi_cell_kinds[measure->kind]->first_decides ? 1 : measure->ninputs;

		for (int i = measure->first_input; i < measure->first_input + ninputs; i++)
		{
			if (!isnull[i] && (layout->input_types[i] != KPI_INPUT_BOOL || DatumGetBool(inputs[i])))
				return false;
		}
	}
	return true;
}

KpiCell *
kpi_cell_add_error(KpiCell *cell, int32 measure_id, int64 facts)
{
	KpiCellBuf	buf = {cell, cell};

	(void) add_errors(&buf, sizeof(KpiCell), measure_id, facts);
	return buf.cell;
}

/* ---- the group ---- */

static KpiCell *
merge_signed(KpiCell *cell, const KpiCell *other, int sign)
{
	KpiCellBuf	buf = {cell, cell};
	const KpiState *state;
	uint32		place = sizeof(KpiCell);
	uint32		missing = 0;

	assert_sound(cell);
	assert_sound(other);

	/* make room once for all the states that are not there yet */
	kpi_cell_foreach_state(state, offset, other)
	{
		if (!find_state(cell, &place, state->measure_id, state->kind))
			missing += kpi_cell_state_length(state);
	}
	if (missing > 0)
		kpi_cell_buf_reserve(&buf, missing);

	place = sizeof(KpiCell);
	kpi_cell_foreach_state(state, offset, other)
	{
		find_or_insert(&buf, &place, state->measure_id, state->kind);
		kpi_cell_kinds[state->kind]->merge(&buf, place, state, sign);
	}
	assert_sound(buf.cell);
	return buf.cell;
}

KpiCell *
kpi_cell_merge(KpiCell *cell, const KpiCell *other)
{
	return merge_signed(cell, other, 1);
}

KpiCell *
kpi_cell_subtract(KpiCell *cell, const KpiCell *other)
{
	return merge_signed(cell, other, -1);
}

void
kpi_cell_negate(KpiCell *cell)
{
	KpiState   *state;

	kpi_cell_foreach_state(state, offset, cell)
		kpi_cell_kinds[state->kind]->negate(state);
	assert_sound(cell);
}

KpiCell *
kpi_cell_scale(const KpiCell *cell, Numeric factor)
{
	KpiCell    *copy = kpi_cell_pack(cell);
	KpiCellBuf	buf = {copy, copy};

	for (uint32 offset = sizeof(KpiCell); offset < buf.cell->used;
		 offset += kpi_cell_state_length(kpi_cell_state_at(buf.cell, offset)))
	{
		const KpiKindOps *ops = kpi_cell_kinds[kpi_cell_state_at(buf.cell, offset)->kind];

		if (ops->scale != NULL)
			ops->scale(&buf, offset, factor);
	}
	assert_sound(buf.cell);
	return buf.cell;
}

bool
kpi_cell_is_empty(const KpiCell *cell)
{
	const KpiState *state;

	kpi_cell_foreach_state(state, offset, cell)
	{
		if (!kpi_cell_kinds[state->kind]->is_empty(state))
			return false;
	}
	return true;
}

/* Moves *offset forward to a state that is not empty; NULL at the end. */
static const KpiState *
skip_empty(const KpiCell *cell, uint32 *offset)
{
	while (*offset < cell->used)
	{
		const KpiState *state = kpi_cell_state_at(cell, *offset);

		if (!kpi_cell_kinds[state->kind]->is_empty(state))
			return state;
		*offset += kpi_cell_state_length(state);
	}
	return NULL;
}

bool
kpi_cell_equal(const KpiCell *a, const KpiCell *b)
{
	uint32		a_offset = sizeof(KpiCell);
	uint32		b_offset = sizeof(KpiCell);

	for (;;)
	{
		const KpiState *a_state = skip_empty(a, &a_offset);
		const KpiState *b_state = skip_empty(b, &b_offset);

		if (a_state == NULL || b_state == NULL)
			return a_state == b_state;
		if (kpi_cell_state_compare(a_state, b_state->measure_id, b_state->kind) != 0 ||
			!kpi_cell_kinds[a_state->kind]->equal(a_state, b_state))
			return false;
		a_offset += kpi_cell_state_length(a_state);
		b_offset += kpi_cell_state_length(b_state);
	}
}

/* ---- where facts and deltas have met ---- */

static bool
must_finish(const KpiCell *cell)
{
	const KpiState *state;

	kpi_cell_foreach_state(state, offset, cell)
	{
		if (kpi_cell_kinds[state->kind]->finish != NULL)
			return true;
	}
	return false;
}

const KpiCell *
kpi_cell_finished(const KpiCell *cell)
{
	KpiCellBuf	buf;
	const KpiState *state;

	if (!must_finish(cell))
		return cell;
	buf.given = buf.cell = kpi_cell_pack(cell);
	kpi_cell_foreach_state(state, offset, buf.cell)
	{
		if (kpi_cell_kinds[state->kind]->finish != NULL)
			kpi_cell_kinds[state->kind]->finish(&buf, offset);
	}
	assert_sound(buf.cell);
	return buf.cell;
}

bool
kpi_cell_kind_may_be_unknown(KpiKind kind)
{
	return kpi_cell_kinds[kind]->is_known != NULL;
}

bool
kpi_cell_is_known(const KpiCell *cell)
{
	const KpiState *state;

	kpi_cell_foreach_state(state, offset, cell)
	{
		if (kpi_cell_kinds[state->kind]->is_known != NULL && !kpi_cell_kinds[state->kind]->is_known(state))
			return false;
	}
	return true;
}

/* ---- looking into cells ---- */

void
kpi_cell_filter(KpiCell *cell, bool (*keep) (int32 measure_id, void *arg), void *arg)
{
	uint32		offset = sizeof(KpiCell);

	while (offset < cell->used)
	{
		const KpiState *state = kpi_cell_state_at(cell, offset);

		if (state->measure_id == 0 || keep(state->measure_id, arg))
			offset += kpi_cell_state_length(state);
		else
			remove_state(cell, offset);
	}
	assert_sound(cell);
}

int
kpi_cell_measures(const KpiCell *cell, int32 *ids, int max)
{
	const KpiState *state;
	int			n = 0;

	kpi_cell_foreach_state(state, offset, cell)
	{
		if (n == max)
			break;
		if (state->measure_id == 0 || (n > 0 && ids[n - 1] == state->measure_id) ||
			kpi_cell_kinds[state->kind]->is_empty(state))
			continue;
		ids[n++] = state->measure_id;
	}
	return n;
}

bool
kpi_cell_final(const KpiCell *cell, int32 measure_id, int32 divisor, Numeric parameter, KpiFinal *result)
{
	const KpiState *state;
	bool		found = false;

	memset(result, 0, sizeof(KpiFinal));
	kpi_cell_foreach_state(state, offset, cell)
	{
		if (state->measure_id < measure_id)
			continue;
		if (state->measure_id > measure_id)
			break;
		if (kpi_cell_kinds[state->kind]->is_empty(state))
			continue;
		if (state->kind == KPI_ERRORS)
			result->errors = *(const int64 *) (state + 1);
		else
			kpi_cell_kinds[state->kind]->final(state, divisor, parameter, result);
		result->facts += kpi_cell_kinds[state->kind]->facts(state);
		found = true;
	}
	return found;
}

int64
kpi_cell_facts(const KpiCell *cell, int32 measure_id)
{
	const KpiState *state;
	int64		facts = 0;

	kpi_cell_foreach_state(state, offset, cell)
	{
		if (state->measure_id == measure_id)
			facts += kpi_cell_kinds[state->kind]->facts(state);
	}
	return facts;
}

int
kpi_cell_tally(const KpiCell *cell, KpiTally *tallies, int max)
{
	const KpiState *state;
	int			n = 0;

	kpi_cell_foreach_state(state, offset, cell)
	{
		const KpiKindOps *ops = kpi_cell_kinds[state->kind];

		if (n == 0 || tallies[n - 1].measure_id != state->measure_id)
		{
			if (n == max)
				break;
			tallies[n++] = (KpiTally)
			{
				.measure_id = state->measure_id
			};
		}
		tallies[n - 1].facts += ops->facts(state);
		if (state->kind == KPI_ERRORS)
			tallies[n - 1].errors += kpi_cell_state_counts(state)[0];
		else if (ops->nonfinite_count > 0)
			tallies[n - 1].nonfinite += kpi_cell_state_counts(state)[ops->nonfinite_count];
	}
	return n;
}

static void
corrupt_cell(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("cell is corrupt"),
			 errdetail_internal("%s", detail)));
}

void
kpi_cell_check(const KpiCell *cell)
{
	const KpiState *previous = NULL;
	uint32		offset = sizeof(KpiCell);
	int			nstates = 0;

	if (VARATT_IS_EXTENDED(cell) || VARSIZE(cell) < sizeof(KpiCell))
		corrupt_cell("It is shorter than its header.");
	if (cell->version != KPI_CELL_VERSION || cell->flags != 0 || cell->padding != 0)
		corrupt_cell("Its version is not known.");
	if (cell->used < sizeof(KpiCell) || cell->used > VARSIZE(cell) ||
		cell->used != MAXALIGN(cell->used))
		corrupt_cell("Its states do not fit in it.");

	while (offset < cell->used)
	{
		const KpiState *state = kpi_cell_state_at(cell, offset);
		const char *problem;

		if (kpi_cell_state_length(state) < sizeof(KpiState) || kpi_cell_state_length(state) != MAXALIGN(kpi_cell_state_length(state)) ||
			kpi_cell_state_length(state) > cell->used - offset)
			corrupt_cell("A state does not fit in it.");
		if (kpi_cell_kind_ops(state->kind) == NULL)
			corrupt_cell("The kind of a state is not known.");
		if (state->measure_id < 0 || (state->measure_id == 0 && state->kind != KPI_ERRORS))
			corrupt_cell("The measure id of a state is out of range.");
		if (previous != NULL &&
			kpi_cell_state_compare(previous, state->measure_id, state->kind) >= 0)
			corrupt_cell("The states are not in order.");
		problem = kpi_cell_kinds[state->kind]->check(state);
		if (problem != NULL)
			corrupt_cell(problem);
		previous = state;
		offset += kpi_cell_state_length(state);
		nstates++;
	}
	if (nstates != cell->nstates)
		corrupt_cell("The number of states is wrong.");
}
