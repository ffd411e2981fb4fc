/*-------------------------------------------------------------------------
 *
 * compact.c
 *	  The form in which cells are stored: a third of their size in memory.
 *
 * Rows of the queue and of the cell tables hold compact cells; whoever reads
 * one through DatumGetKpiCellP() gets it expanded.  Both forms are values of
 * kpi.cell and mean the same.
 *
 * A compact cell is, behind its varlena header: the version with the bit
 * KPI_CELL_COMPACT, the number of states, the number of words of all states,
 * and for each state the difference of its measure id to the one before, its
 * kind, its number of words, and the words.  A word is 8 bytes of the state
 * behind its header, as a signed number, which is small where counts and sums
 * are, or as a number that its kind makes of it.  All numbers are base 128, least significant digits first, the high
 * bit set on all bytes but the last; signed ones are folded (0, -1, 1, -2, ...)
 * before.
 *
 * What is read was written here, but may be damaged: every read is bounded.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell_internal.h"

#define WORD sizeof(uint64)
#define MAX_NUMBER_LENGTH 10	/* of 64 bits in base 128 */

typedef struct Reader
{
	const uint8 *next;
	const uint8 *end;
} Reader;

static uint8 *
write_number(uint8 *to, uint64 number)
{
	while (number >= 0x80)
	{
		*to++ = (uint8) number | 0x80;
		number >>= 7;
	}
	*to++ = (uint8) number;
	return to;
}

static void
corrupt(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("stored cell is damaged"),
			 errhint("Call kpi.repair() for its source.")));
}

static uint64
read_number(Reader *reader)
{
	uint64		number = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		uint8		byte;

		if (reader->next >= reader->end)
			break;
		byte = *reader->next++;
		number |= (uint64) (byte & 0x7F) << shift;
		if (byte < 0x80)
			return number;
	}
	corrupt();
	pg_unreachable();
}

/* The cell with what is stored of its states: itself, or a copy. */
static const KpiCell *
storable(const KpiCell *cell)
{
	KpiCell    *copy = NULL;
	KpiState   *state;

	kpi_cell_foreach_state(state, offset, cell)
	{
		if (kpi_cell_kinds[state->kind]->store == NULL)
			continue;
		copy = kpi_cell_pack(cell);
		break;
	}
	if (copy == NULL)
		return cell;
	kpi_cell_foreach_state(state, offset, copy)
	{
		if (kpi_cell_kinds[state->kind]->store != NULL)
			kpi_cell_kinds[state->kind]->store(state);
	}
	return copy;
}

/* A palloc'd compact copy, without empty states. */
struct varlena *
kpi_cell_compact(const KpiCell *given)
{
	const KpiCell *cell = storable(given);
	Size		nwords = (cell->used - sizeof(KpiCell)) / WORD;
	struct varlena *compact;
	uint8	   *to;
	int32		measure_id = 0;
	KpiState   *state;
	int			nstates = 0;

	/* The words of the states' headers stand for their three numbers each. */
	compact = palloc(VARHDRSZ + 1 + (2 + nwords + 2 * cell->nstates) * MAX_NUMBER_LENGTH);
	nwords = 0;
	kpi_cell_foreach_state(state, offset, cell)
	{
		if (kpi_cell_kinds[state->kind]->is_empty(state))
			continue;
		nstates++;
		nwords += (kpi_cell_state_length(state) - sizeof(KpiState)) / WORD;
	}

	to = (uint8 *) VARDATA(compact);
	*to++ = KPI_CELL_VERSION | KPI_CELL_COMPACT;
	to = write_number(to, nstates);
	to = write_number(to, nwords);
	kpi_cell_foreach_state(state, offset, cell)
	{
		const uint64 *words = (const uint64 *) (state + 1);
		int			n = (kpi_cell_state_length(state) - sizeof(KpiState)) / WORD;

		if (kpi_cell_kinds[state->kind]->is_empty(state))
			continue;
		to = write_number(to, state->measure_id - measure_id);
		*to++ = state->kind;
		to = write_number(to, n);
		for (int w = 0; w < n; w++)
			to = write_number(to, kpi_cell_fold(words[w]));
		measure_id = state->measure_id;
	}
	SET_VARSIZE(compact, (char *) to - (char *) compact);
	if (cell != given)
		pfree(unconstify(KpiCell *, cell));
	return compact;
}

/* Reads one state to a place with room for that many bytes. */
static Size
expand_state(Reader *reader, KpiState *state, Size room, int32 *measure_id)
{
	uint64		id = *measure_id + read_number(reader);
	uint64		n;
	uint64	   *words = (uint64 *) (state + 1);

	if (reader->next >= reader->end || id > PG_INT32_MAX)
		corrupt();
	state->measure_id = *measure_id = (int32) id;
	state->kind = *reader->next++;
	n = read_number(reader);
	if (n > KPI_STATE_MAX_LENGTH / WORD || sizeof(KpiState) + n * WORD > room ||
		state->kind >= kpi_cell_nkinds || kpi_cell_kinds[state->kind] == NULL ||
		sizeof(KpiState) + n * WORD < kpi_cell_kinds[state->kind]->fresh_length)
		corrupt();
	kpi_cell_state_set_length(state, sizeof(KpiState) + n * WORD);
	for (uint64 w = 0; w < n; w++)
		words[w] = kpi_cell_unfold(read_number(reader));
	if (kpi_cell_kinds[state->kind]->load != NULL)
		kpi_cell_kinds[state->kind]->load(state);
	return sizeof(KpiState) + n * WORD;
}

/* Steps over the rest of a state, behind its measure's id. */
static void
skip_state(Reader *reader)
{
	uint64		n;

	if (reader->next >= reader->end)
		corrupt();
	reader->next++;
	n = read_number(reader);
	for (; n > 0 && reader->next < reader->end; reader->next++)
	{
		if ((*reader->next & 0x80) == 0)
			n--;
	}
	if (n > 0)
		corrupt();
}

/* Reads what comes before the states. */
static void
begin_reading(Reader *reader, struct varlena *compact, uint64 *nstates, uint64 *nwords)
{
	reader->next = (const uint8 *) VARDATA_ANY(compact);
	reader->end = (const uint8 *) VARDATA_ANY(compact) + VARSIZE_ANY_EXHDR(compact);
	if (reader->next == reader->end)
		corrupt();
	if (*reader->next != (KPI_CELL_VERSION | KPI_CELL_COMPACT))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cell has version %d, which this library does not know",
						*reader->next & ~KPI_CELL_COMPACT)));
	reader->next++;
	*nstates = read_number(reader);
	*nwords = read_number(reader);

	/* Each state and each word took a byte at least. */
	if (*nstates > reader->end - reader->next || *nwords > reader->end - reader->next ||
		*nstates > PG_UINT16_MAX)
		corrupt();
}

KpiCell *
kpi_cell_expand(struct varlena *compact)
{
	Reader		reader;
	uint64		nstates;
	uint64		nwords;
	KpiCell    *cell;
	Size		size;
	Size		offset = sizeof(KpiCell);
	int32		measure_id = 0;

	begin_reading(&reader, compact, &nstates, &nwords);
	size = sizeof(KpiCell) + nstates * sizeof(KpiState) + nwords * WORD;
	cell = palloc0(size);
	SET_VARSIZE(cell, size);
	cell->version = KPI_CELL_VERSION;
	cell->nstates = nstates;
	for (uint64 i = 0; i < nstates; i++)
	{
		if (size - offset < sizeof(KpiState))
			corrupt();
		offset += expand_state(&reader, kpi_cell_state_at(cell, offset), size - offset, &measure_id);
	}
	if (offset != size || reader.next != reader.end)
		corrupt();
	cell->used = size;
	/* a word may say how long a sum is */
	kpi_cell_check(cell);
	return cell;
}

static inline bool
is_compact(struct varlena *value)
{
	return VARSIZE_ANY_EXHDR(value) > 0 && (*(uint8 *) VARDATA_ANY(value) & KPI_CELL_COMPACT) != 0;
}

KpiCell *
kpi_cell_from_datum(Datum datum)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(datum);

	if (is_compact(value))
		return kpi_cell_expand(value);
	/* A short header leaves the states unaligned. */
	return (KpiCell *) PG_DETOAST_DATUM(PointerGetDatum(value));
}

KpiCell *
kpi_cell_copy_from_datum(Datum datum)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(datum);

	if (is_compact(value))
		return kpi_cell_expand(value);
	return (KpiCell *) PG_DETOAST_DATUM_COPY(PointerGetDatum(value));
}

/* A measure has at most two states: its own and that of its errors. */
#define MAX_STATES_OF_MEASURE 2

KpiCell *
kpi_cell_of_measure(Datum datum, int32 measure_id)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(datum);
	Reader		reader;
	uint64		nstates;
	uint64		nwords;
	KpiCell    *cell;
	Size		size;
	Size		offset = sizeof(KpiCell);
	int32		last_id = 0;

	if (!is_compact(value))
		return kpi_cell_from_datum(PointerGetDatum(value));
	begin_reading(&reader, value, &nstates, &nwords);
	size = sizeof(KpiCell) + MAX_STATES_OF_MEASURE * sizeof(KpiState) + nwords * WORD;
	cell = palloc0(size);
	cell->version = KPI_CELL_VERSION;
	for (uint64 i = 0; i < nstates; i++)
	{
		Reader		ahead = reader;
		uint64		id = last_id + read_number(&ahead);

		if (id > measure_id)
			break;
		if (id < measure_id)
		{
			last_id = (int32) id;
			reader = ahead;
			skip_state(&reader);
			continue;
		}
		if (size - offset < sizeof(KpiState))
			corrupt();
		offset += expand_state(&reader, kpi_cell_state_at(cell, offset), size - offset, &last_id);
		cell->nstates++;
	}
	SET_VARSIZE(cell, size);
	cell->used = offset;
	kpi_cell_check(cell);
	return cell;
}
