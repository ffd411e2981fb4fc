/*-------------------------------------------------------------------------
 *
 * cell_internal.h
 *	  What the kinds of states are made of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_CELL_INTERNAL_H
#define KPI_CELL_INTERNAL_H

#include "cell/cell.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/numeric.h"

/* ---- cell.c ---- */

#define KPI_CELL_VERSION 1

/* Set in the version of a stored cell that is compact (compact.c). */
#define KPI_CELL_COMPACT 0x80

/* Error with ERRCODE_DATA_CORRUPTED unless every invariant of cell.c holds. */
extern void kpi_cell_check(const KpiCell *cell);

/*
 * Header of a state; what follows is the kind's own.  The length, of 24 bits,
 * counts the header too and is a multiple of 8.
 */
typedef struct KpiState
{
	int32		measure_id;
	uint8		kind;
	uint8		length_high;
	uint16		length_low;
} KpiState;

#define KPI_STATE_MAX_LENGTH 0xFFFFF8

/*
 * Counts stay within this, so that they can be negated and two of them added
 * without a thought.
 */
#define KPI_MAX_COUNT (PG_INT64_MAX / 2)

/*
 * A cell being changed.  When it grows, a cell made on the way is freed, the
 * one that was given never is.
 */
typedef struct KpiCellBuf
{
	KpiCell    *cell;
	KpiCell    *given;
} KpiCellBuf;

static inline KpiState *
kpi_cell_state_at(const KpiCell *cell, uint32 offset)
{
	return (KpiState *) ((char *) cell + offset);
}

static inline uint32
kpi_cell_state_length(const KpiState *state)
{
	return (uint32) state->length_high << 16 | state->length_low;
}

static inline void
kpi_cell_state_set_length(KpiState *state, uint32 length)
{
	state->length_high = length >> 16;
	state->length_low = length & 0xFFFF;
}

/* Of a kind that begins with counts. */
static inline int64 *
kpi_cell_state_counts(const KpiState *state)
{
	return (int64 *) ((char *) state + sizeof(KpiState));
}

#define kpi_cell_foreach_state(state, offset, cell) \
	for (uint32 offset = sizeof(KpiCell); \
		 offset < (cell)->used && (state = kpi_cell_state_at(cell, offset), true); \
		 offset += kpi_cell_state_length(state))

/* (measure id, kind) order */
static inline int
kpi_cell_state_compare(const KpiState *state, int32 measure_id, int kind)
{
	if (state->measure_id != measure_id)
		return state->measure_id < measure_id ? -1 : 1;
	return (int) state->kind - kind;
}

/* Makes room for that many bytes behind the last state. */
extern void kpi_cell_buf_reserve(KpiCellBuf *buf, uint32 bytes);

/*
 * Gives bytes at position "at" of the state at offset another length (both
 * multiples of 8), moving what is behind them.
 */
extern void kpi_cell_buf_resize(KpiCellBuf *buf, uint32 offset, uint32 at,
								uint32 old_length, uint32 new_length);

/* Inserts an empty state at an offset; the caller knows that it belongs there. */
extern void kpi_cell_buf_insert(KpiCellBuf *buf, uint32 offset, int32 measure_id, KpiKind kind);

/* a + sign * b; errors beyond KPI_MAX_COUNT. */
extern int64 kpi_cell_count_add(int64 a, int64 b, int sign);

/* Signed numbers as unsigned ones, small where these are near 0: 0, -1, 1, -2, ... */
static inline uint64
kpi_cell_fold(uint64 word)
{
	return (word << 1) ^ (uint64) ((int64) word >> 63);
}

static inline uint64
kpi_cell_unfold(uint64 folded)
{
	return (folded >> 1) ^ (0 - (folded & 1));
}

/* Text input: io.c. */
typedef struct KpiTextInput
{
	const char *text;			/* whole, for errors */
	const char *next;
} KpiTextInput;

/*
 * What a kind can do.  A state of all zero bytes behind its header, of
 * fresh_length, is the kind's empty state.  A kind that is not made of counts
 * and decimals brings functions of its own.
 */
typedef struct KpiKindOps
{
	const char *name;
	int			ninputs;
	bool		boolean_inputs; /* else numbers, unless takes() says so */
	bool		integer_inputs; /* of these only integers */
	bool		first_decides;	/* the first input being NULL, a fact counts
								 * not */
	uint16		fresh_length;
	int			ncounts;		/* first in the state: int64 each */
	int			ndecimals;		/* then these: a slot each */
	int			nonfinite_count;	/* which count is of facts that are not
									 * finite; 0: none */
	int			clamped_count;	/* which is of facts that count as the next
								 * value their kind can tell; 0: none */
	const char *fields[8];		/* names of counts and decimals in text */

	/*
	 * What its states are made with, as layouts have it in brackets behind
	 * the kind: from min_option to max_option, default_option without
	 * brackets. All 0: there is none.
	 */
	int			min_option;
	int			max_option;
	int			default_option;

	/* Whether an input, from 0, may be of a type; NULL: they are all alike. */
	bool		(*takes) (int input, KpiInputType type);
	/* Adds one fact to the state at offset; may move the cell. */
	void		(*add) (KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
						const Datum *inputs, const bool *isnull, int sign);
	/* Adds sign * other, a state of the same kind; may move the cell. */
	void		(*merge) (KpiCellBuf *buf, uint32 offset, const KpiState *other, int sign);
	void		(*negate) (KpiState *state);
	/* Multiplies what adds up to amounts; NULL: there is nothing. */
	void		(*scale) (KpiCellBuf *buf, uint32 offset, Numeric factor);
	bool		(*is_empty) (const KpiState *state);
	bool		(*equal) (const KpiState *a, const KpiState *b);
	/* NULL when it is sound, else what is wrong, as a sentence. */
	const char *(*check) (const KpiState *state);
	/* Facts that count. */
	int64		(*facts) (const KpiState *state);

	/*
	 * Of a kind that does not know all of its facts, else NULL: drops what
	 * says nothing once facts and deltas have met; whether its value is
	 * known.
	 */
	void		(*finish) (KpiCellBuf *buf, uint32 offset);
	bool		(*is_known) (const KpiState *state);
	/* Fills in everything but facts and errors. */
	void		(*final) (const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result);

	/* Gives a state its only form, and never grows.  NULL: it always has it. */
	void		(*settle) (KpiCellBuf *buf, uint32 offset);

	/*
	 * Makes a settled state, in place, what is stored of it, and the state
	 * again, bounded by its length, whatever it has.  NULL: as it is.
	 */
	void		(*store) (KpiState *state);
	void		(*load) (KpiState *state);

	/* Lossless I/O; in and recv fill the empty state at offset. */
	void		(*out) (StringInfo buf, const KpiState *state);
	void		(*in) (KpiCellBuf *buf, uint32 offset, KpiTextInput *in);
	void		(*send) (StringInfo buf, const KpiState *state);
	void		(*recv) (KpiCellBuf *buf, uint32 offset, StringInfo message);
} KpiKindOps;

/* By KpiKind; NULL for a number that is no kind. */
extern const KpiKindOps *const kpi_cell_kinds[];
extern const int kpi_cell_nkinds;

/* ---- decimal.c ---- */

#define KPI_MAX_SCALE 20
#define KPI_DECIMAL_LIMIT ((int128) 1 << 119)
#define KPI_SLOT_WIDE 0xFF

/*
 * Inputs with more integer digits than the first count as not finite; no sum
 * may have more than the second.  2^63 facts stay far below it, and it stays
 * far below what a numeric holds, so sums cannot overflow.
 */
#define KPI_MAX_INPUT_DIGITS 1000

/* A square has twice as many digits, and is to fit where any input may be. */
#define KPI_MAX_SQUARED_DIGITS (KPI_MAX_INPUT_DIGITS / 2)
#define KPI_MAX_SUM_DIGITS 1100

typedef struct KpiDecimal
{
	int128		value;			/* when narrow */
	int			scale;
	Numeric		wide;			/* NULL: narrow */
} KpiDecimal;

/* What was read from a Datum. */
typedef enum KpiDecimalClass
{
	KPI_DECIMAL_NONFINITE,		/* NaN, an infinity, or too many digits */
	KPI_DECIMAL_NARROW,
	KPI_DECIMAL_WIDE
} KpiDecimalClass;

static inline bool
kpi_cell_decimal_fits(int128 value)
{
	return value > -KPI_DECIMAL_LIMIT && value < KPI_DECIMAL_LIMIT;
}

static inline bool
kpi_cell_slot_is_wide(int128 slot)
{
	return (uint8) slot == KPI_SLOT_WIDE;
}

static inline int128
kpi_cell_slot_make(int128 value, int scale)
{
	return value * 256 + scale;
}

/* Adds to a narrow slot; false, and nothing done, when the sum is not narrow. */
extern bool kpi_cell_slot_add_aligned(int128 *slot, int128 value, int scale);

static inline bool
kpi_cell_slot_add(int128 *slot, int128 value, int scale)
{
	int128		sum;

	if ((uint8) *slot != scale)
		return kpi_cell_slot_add_aligned(slot, value, scale);
	sum = (*slot >> 8) + value;
	if (!kpi_cell_decimal_fits(sum))
		return false;
	*slot = kpi_cell_slot_make(sum, scale);
	return true;
}

/*
 * Reads a numeric Datum, which may be packed or toasted.  Allocates nothing
 * unless the value is wide or toasted.
 */
extern KpiDecimalClass kpi_cell_decimal_read(Datum datum, int max_digits, KpiDecimal *result);

/*
 * The shortest decimal that is read back as the same binary number, which is
 * the one people see: 7654321 is 7654321 and 0.1 is 0.1, also as real.  The
 * conversions of real and double precision to numeric keep 6 and 15 digits
 * only.  False for NaN and infinities.
 */
extern bool kpi_cell_decimal_from_float4(float4 number, KpiDecimal *result);
extern bool kpi_cell_decimal_from_float8(float8 number, KpiDecimal *result);

/* a := a + sign * b; errors beyond KPI_MAX_SUM_DIGITS. */
extern void kpi_cell_decimal_add(KpiDecimal *a, const KpiDecimal *b, int sign);
extern void kpi_cell_decimal_multiply(KpiDecimal *a, Numeric factor);
extern void kpi_cell_decimal_negate(KpiDecimal *a);
extern int	kpi_cell_decimal_compare(const KpiDecimal *a, const KpiDecimal *b);
extern bool kpi_cell_decimal_equal(const KpiDecimal *a, const KpiDecimal *b);

/* Near it, within two roundings; the same number gives the same, at any scale. */
extern float8 kpi_cell_decimal_float8(const KpiDecimal *a);

/* Drops trailing zeros behind the point. */
extern void kpi_cell_decimal_trim(KpiDecimal *a);

/* As a palloc'd numeric without trailing zeros. */
extern Numeric kpi_cell_decimal_numeric(const KpiDecimal *a);

/* Is this numeric what a wide decimal must be? */
extern bool kpi_cell_decimal_wide_is_valid(Numeric num);

/* ---- io.c ---- */

/* Reads " name=". */
extern void kpi_cell_text_field(KpiTextInput *in, const char *name);

/* Reads " name=" and then a count or a decimal. */
extern int64 kpi_cell_text_count(KpiTextInput *in, const char *name);
extern Numeric kpi_cell_text_decimal(KpiTextInput *in, const char *name);

/* What kinds of their own read with; an integer has no space before it. */
pg_noreturn extern void kpi_cell_text_error(const KpiTextInput *in, const char *detail);
extern bool kpi_cell_text_take(KpiTextInput *in, const char *literal);
extern int64 kpi_cell_text_integer(KpiTextInput *in);

/* The same of an integer of any size; whether a field comes next; and bytes, as hexadecimal digits. */
extern int64 kpi_cell_text_int8(KpiTextInput *in, const char *name);
extern bool kpi_cell_text_has(const KpiTextInput *in, const char *name);
extern char *kpi_cell_text_bytes(KpiTextInput *in, const char *name, int *length);
extern void kpi_cell_text_put_bytes(StringInfo buf, const char *name, const char *bytes, int length);

/* Binary input; checked like text. */
extern int64 kpi_cell_binary_count(StringInfo message);
extern Numeric kpi_cell_binary_decimal(StringInfo message);
pg_noreturn extern void kpi_cell_binary_error(const char *detail);

/* ---- basic.c ---- */

static inline const KpiKindOps *
kpi_cell_kind_ops(int kind)
{
	return kind >= 0 && kind < kpi_cell_nkinds ? kpi_cell_kinds[kind] : NULL;
}

/* False for what is not finite, or has too many digits. */
extern bool kpi_cell_read_number(KpiInputType type, Datum input, KpiDecimal *result);

/* Of kinds that are made of counts and decimals: adds to, and gives, one of these. */
extern void kpi_cell_state_add_decimal(KpiCellBuf *buf, uint32 offset, const KpiKindOps *ops, int index,
									   const KpiDecimal *operand, int sign);
extern Numeric kpi_cell_state_sum(const KpiState *state, int index);

/* The decimal points into the state while it is wide. */
extern void kpi_cell_state_get_decimal(const KpiState *state, const KpiKindOps *ops, int index, KpiDecimal *result);

/* Of kinds whose first counts are of what is finite, and of what is not. */
extern int64 kpi_cell_finite_facts(const KpiState *state);

extern Numeric kpi_cell_quotient(Numeric numerator, Numeric denominator);

extern void kpi_cell_basic_merge(KpiCellBuf *buf, uint32 offset, const KpiState *other, int sign);
extern void kpi_cell_basic_negate(KpiState *state);
extern void kpi_cell_basic_scale(KpiCellBuf *buf, uint32 offset, Numeric factor);
extern bool kpi_cell_basic_is_empty(const KpiState *state);
extern bool kpi_cell_basic_equal(const KpiState *a, const KpiState *b);
extern const char *kpi_cell_basic_check(const KpiState *state);
extern void kpi_cell_basic_out(StringInfo buf, const KpiState *state);
extern void kpi_cell_basic_in(KpiCellBuf *buf, uint32 offset, KpiTextInput *in);
extern void kpi_cell_basic_send(StringInfo buf, const KpiState *state);
extern void kpi_cell_basic_recv(KpiCellBuf *buf, uint32 offset, StringInfo message);

#define KPI_BASIC_LENGTH(ncounts, ndecimals) \
	(sizeof(KpiState) + (ncounts) * sizeof(int64) + (ndecimals) * sizeof(int128))

#define KPI_BASIC_OPS \
	.merge = kpi_cell_basic_merge, .negate = kpi_cell_basic_negate, .scale = kpi_cell_basic_scale, \
	.is_empty = kpi_cell_basic_is_empty, \
	.equal = kpi_cell_basic_equal, .check = kpi_cell_basic_check, .out = kpi_cell_basic_out, \
	.in = kpi_cell_basic_in, .send = kpi_cell_basic_send, .recv = kpi_cell_basic_recv

extern const KpiKindOps kpi_cell_count_ops;
extern const KpiKindOps kpi_cell_sum_ops;
extern const KpiKindOps kpi_cell_avg_ops;
extern const KpiKindOps kpi_cell_rate_ops;
extern const KpiKindOps kpi_cell_ratio_ops;
extern const KpiKindOps kpi_cell_errors_ops;

/* ---- distinct.c ---- */

/* Values that a state can tell apart: 16 MB of memory. */
#define KPI_DISTINCT_MAX 1000000

extern const KpiKindOps kpi_cell_distinct_ops;
extern const KpiKindOps kpi_cell_distinct_approx_ops;

/* The value that an integer is told apart as, and a fact that has it. */
extern int64 kpi_cell_distinct_key(KpiInputType type, Datum input);
extern void kpi_cell_distinct_add(KpiCellBuf *buf, uint32 offset, int64 key, int sign);

/* Visits the values that have facts, in ascending order; false: they are forgotten. */
extern bool kpi_cell_distinct_visit(const KpiState *state, void (*visit) (int64 key, void *arg), void *arg);

/*
 * A number that says little of the key, and nothing of the one that another seed gives.
 * States are stored by it: it stays as it is.
 */
static inline uint64
kpi_cell_distinct_mix(uint64 key, uint64 seed)
{
	key ^= seed;
	key ^= key >> 33;
	key *= UINT64CONST(0xff51afd7ed558ccd);
	key ^= key >> 33;
	key *= UINT64CONST(0xc4ceb9fe1a85ec53);
	return key ^ (key >> 33);
}

/* ---- hll.c ---- */

/* Of kind distinct_approx. */
extern void kpi_cell_hll_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
							 const Datum *inputs, const bool *isnull, int sign);
extern void kpi_cell_hll_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result);

/* ---- balance.c ---- */

extern const KpiKindOps kpi_cell_balance_ops;
extern int64 kpi_cell_balance_reversed(const KpiState *state);

/* ---- left_out.c ---- */

extern const KpiKindOps kpi_cell_left_out_ops;

/* ---- variance.c ---- */

extern const KpiKindOps kpi_cell_variance_ops;
extern const KpiKindOps kpi_cell_stddev_ops;

/* ---- bucket.c ---- */

/*
 * Every power of two from 2^KPI_BUCKET_LOWEST to the one before
 * 2^KPI_BUCKET_HIGHEST begins a row of per_doubling buckets.  The first of all
 * has number 1; those of negative values have negative numbers, and 0 is zero's.
 */
#define KPI_BUCKET_LOWEST (-30)
#define KPI_BUCKET_HIGHEST 50
#define KPI_BUCKET_MIN_PER_DOUBLING 4
#define KPI_BUCKET_MAX_PER_DOUBLING 400

typedef struct KpiBuckets KpiBuckets;

/* The buckets with that many in each doubling; made once in a session. */
extern const KpiBuckets *kpi_cell_buckets(int per_doubling);

/* The bucket of a finite number; *is_clamped if that is only the nearest one. */
extern int	kpi_cell_bucket_of(const KpiBuckets *buckets, float8 number, bool *is_clamped);

/* What a bucket's numbers are taken for. */
extern float8 kpi_cell_bucket_value(const KpiBuckets *buckets, int bucket);

/* ---- histogram.c ---- */

extern const KpiKindOps kpi_cell_percentile_ops;

/* ---- extreme.c ---- */

extern const KpiKindOps kpi_cell_min_ops;
extern const KpiKindOps kpi_cell_max_ops;
extern const KpiKindOps kpi_cell_first_ops;
extern const KpiKindOps kpi_cell_last_ops;

#endif							/* KPI_CELL_INTERNAL_H */
