/*-------------------------------------------------------------------------
 *
 * histogram.c
 *	  The kind percentile: a logarithmic histogram of signed counts.
 *
 * A state is: header, four int64, and a word for each bucket that has a count,
 * in ascending order of buckets.
 *
 *	n			finite facts: the sum of the counts of the buckets
 *	nonfinite	facts that are NaN, infinite or have too many digits
 *	clamped		those of n that lie outside of what the buckets cover: they are
 *				counted in the bucket next to them
 *	per_doubling	how many buckets there are in each doubling (bucket.c), the
 *				option in the layout; 0 in a state that nothing was added to
 *
 * A word has the bucket's number in its upper 16 bits and its count, which is
 * never 0, in the others, both signed.  Buckets without a count have no word, so
 * a fact that goes leaves what was there before it came, and equal states have
 * equal bytes.
 *
 * Two states of different per_doubling cannot be merged: a measure keeps its own,
 * so that is a cell that was made up.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "cell/cell_internal.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

enum
{
	COUNT_N,
	COUNT_NONFINITE,
	COUNT_CLAMPED,
	PER_DOUBLING,
	NFIELDS
};

#define FRESH_LENGTH (sizeof(KpiState) + NFIELDS * sizeof(int64))
#define COUNT_BITS 48

/* With this what shorten() makes has 64 bits. */
#define MAX_BUCKET_COUNT ((INT64CONST(1) << 46) - 1)

static inline int
word_bucket(int64 word)
{
	return (int) (word >> COUNT_BITS);
}

static inline int64
word_count(int64 word)
{
	return (int64) ((uint64) word << (64 - COUNT_BITS)) >> (64 - COUNT_BITS);
}

static inline int64
word_make(int bucket, int64 count)
{
	return (int64) ((uint64) bucket << COUNT_BITS | ((uint64) count & ((UINT64CONST(1) << COUNT_BITS) - 1)));
}

static inline int64 *
state_words(const KpiState *state)
{
	return kpi_cell_state_counts(state) + NFIELDS;
}

static inline int
state_nwords(const KpiState *state)
{
	return (kpi_cell_state_length(state) - FRESH_LENGTH) / sizeof(int64);
}

static int64
bucket_count_add(int64 a, int64 b, int sign)
{
	int64		sum = sign > 0 ? a + b : a - b;

	if (sum > MAX_BUCKET_COUNT || sum < -MAX_BUCKET_COUNT)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("count of a cell out of range")));
	return sum;
}

/* The first word whose bucket is not before that one. */
static inline int
find_word(const int64 *words, int nwords, int bucket)
{
	int			low = 0;

	while (low < nwords)
	{
		int			middle = low + (nwords - low) / 2;

		if (word_bucket(words[middle]) < bucket)
			low = middle + 1;
		else
			nwords = middle;
	}
	return low;
}

static inline uint32
word_position(int word)
{
	return FRESH_LENGTH + word * sizeof(int64);
}

static bool
is_empty(const KpiState *state)
{
	const int64 *fields = kpi_cell_state_counts(state);

	return fields[COUNT_N] == 0 && fields[COUNT_NONFINITE] == 0 && fields[COUNT_CLAMPED] == 0 &&
		kpi_cell_state_length(state) == FRESH_LENGTH;
}

/* Both are to have the same buckets. */
static void
take_buckets(KpiState *state, int64 per_doubling)
{
	int64	   *own = &kpi_cell_state_counts(state)[PER_DOUBLING];

	if (likely(*own == per_doubling))
		return;
	if (!is_empty(state))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("histograms of " INT64_FORMAT " and of " INT64_FORMAT " buckets in each doubling cannot be merged",
						*own, per_doubling)));
	*own = per_doubling;
}

/* ---- adding a fact ---- */

static void
add_to_bucket(KpiCellBuf *buf, uint32 offset, int bucket, int sign)
{
	KpiState   *state = kpi_cell_state_at(buf->cell, offset);
	int64	   *words = state_words(state);
	int			nwords = state_nwords(state);
	int			place = find_word(words, nwords, bucket);
	int64		count;

	if (place == nwords || word_bucket(words[place]) != bucket)
	{
		kpi_cell_buf_resize(buf, offset, word_position(place), 0, sizeof(int64));
		state_words(kpi_cell_state_at(buf->cell, offset))[place] = word_make(bucket, sign);
		return;
	}
	count = bucket_count_add(word_count(words[place]), sign, 1);
	if (count != 0)
		words[place] = word_make(bucket, count);
	else
		kpi_cell_buf_resize(buf, offset, word_position(place), sizeof(int64), 0);
}

static inline float8
number_as_float8(KpiInputType type, Datum input, bool *is_finite)
{
	KpiDecimal	decimal;
	float8		number = 0;

	switch (type)
	{
		case KPI_INPUT_FLOAT4:
			number = DatumGetFloat4(input);
			*is_finite = !isnan(number) && !isinf(number);
			return number;
		case KPI_INPUT_FLOAT8:
			number = DatumGetFloat8(input);
			*is_finite = !isnan(number) && !isinf(number);
			return number;
		default:
			*is_finite = kpi_cell_read_number(type, input, &decimal);
			if (*is_finite)
				number = kpi_cell_decimal_float8(&decimal);
			if (decimal.wide != NULL)
				pfree(decimal.wide);
			return number;
	}
}

static void
percentile_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
			   const Datum *inputs, const bool *isnull, int sign)
{
	KpiState   *state = kpi_cell_state_at(buf->cell, offset);
	int64	   *fields = kpi_cell_state_counts(state);
	float8		number;
	bool		is_finite;
	bool		is_clamped;
	int			bucket;

	if (isnull[0])
		return;
	take_buckets(state, option);
	number = number_as_float8(types[0], inputs[0], &is_finite);
	if (!is_finite)
	{
		fields[COUNT_NONFINITE] += sign;
		return;
	}
	bucket = kpi_cell_bucket_of(kpi_cell_buckets(option), number, &is_clamped);
	fields[COUNT_N] += sign;
	if (is_clamped)
		fields[COUNT_CLAMPED] += sign;
	add_to_bucket(buf, offset, bucket, sign);
}

/* ---- the group ---- */

/* How many of the added words are of buckets that are not there. */
static int
count_missing(const int64 *words, int nwords, const int64 *added, int nadded)
{
	int			missing = 0;
	int			w = 0;

	for (int a = 0; a < nadded; a++)
	{
		while (w < nwords && word_bucket(words[w]) < word_bucket(added[a]))
			w++;
		if (w == nwords || word_bucket(words[w]) != word_bucket(added[a]))
			missing++;
	}
	return missing;
}

/*
 * Adds from the end, into words with room behind them for those that are
 * missing; true if a count has become 0.
 */
static bool
merge_words(int64 *words, int nwords, const int64 *added, int nadded, int missing, int sign)
{
	int			w = nwords - 1;
	bool		has_zero = false;

	for (int a = nadded - 1; a >= 0; a--)
	{
		int			bucket = word_bucket(added[a]);
		int64		count = word_count(added[a]);

		for (; w >= 0 && word_bucket(words[w]) > bucket; w--)
			words[w + missing] = words[w];
		if (w >= 0 && word_bucket(words[w]) == bucket)
		{
			count = bucket_count_add(word_count(words[w]), count, sign);
			words[w + missing] = word_make(bucket, count);
			has_zero |= count == 0;
			w--;
		}
		else
		{
			words[w + missing] = word_make(bucket, sign > 0 ? count : -count);
			missing--;
		}
	}
	return has_zero;
}

static void
remove_zeros(KpiCellBuf *buf, uint32 offset)
{
	KpiState   *state = kpi_cell_state_at(buf->cell, offset);
	int64	   *words = state_words(state);
	int			nwords = state_nwords(state);
	int			kept = 0;

	for (int w = 0; w < nwords; w++)
	{
		if (word_count(words[w]) != 0)
			words[kept++] = words[w];
	}
	kpi_cell_buf_resize(buf, offset, word_position(kept), (nwords - kept) * sizeof(int64), 0);
}

static void
percentile_merge(KpiCellBuf *buf, uint32 offset, const KpiState *other, int sign)
{
	KpiState   *state = kpi_cell_state_at(buf->cell, offset);
	const int64 *added = kpi_cell_state_counts(other);
	int64	   *fields = kpi_cell_state_counts(state);
	int			nwords = state_nwords(state);
	int			nadded = state_nwords(other);
	int			missing;

	if (is_empty(other))
		return;
	take_buckets(state, added[PER_DOUBLING]);
	for (int i = 0; i < PER_DOUBLING; i++)
		fields[i] = kpi_cell_count_add(fields[i], added[i], sign);

	missing = count_missing(state_words(state), nwords, state_words(other), nadded);
	if (missing > 0)
		kpi_cell_buf_resize(buf, offset, word_position(nwords), 0, missing * sizeof(int64));
	if (merge_words(state_words(kpi_cell_state_at(buf->cell, offset)), nwords,
					state_words(other), nadded, missing, sign))
		remove_zeros(buf, offset);
}

static void
percentile_negate(KpiState *state)
{
	int64	   *fields = kpi_cell_state_counts(state);
	int64	   *words = state_words(state);
	int			nwords = state_nwords(state);

	for (int i = 0; i < PER_DOUBLING; i++)
		fields[i] = -fields[i];
	for (int w = 0; w < nwords; w++)
		words[w] = word_make(word_bucket(words[w]), -word_count(words[w]));
}

static bool
percentile_equal(const KpiState *a, const KpiState *b)
{
	uint32		length = kpi_cell_state_length(a);

	return length == kpi_cell_state_length(b) && memcmp(a + 1, b + 1, length - sizeof(KpiState)) == 0;
}

static const char *
percentile_check(const KpiState *state)
{
	const int64 *fields = kpi_cell_state_counts(state);
	const int64 *words;
	int64		n = 0;
	int			previous = PG_INT32_MIN;
	int64		last = (KPI_BUCKET_HIGHEST - KPI_BUCKET_LOWEST) * fields[PER_DOUBLING];

	if (kpi_cell_state_length(state) < FRESH_LENGTH)
		return "A state is too short.";
	if (is_empty(state) && fields[PER_DOUBLING] == 0)
		return NULL;
	if (fields[PER_DOUBLING] < KPI_BUCKET_MIN_PER_DOUBLING || fields[PER_DOUBLING] > KPI_BUCKET_MAX_PER_DOUBLING)
		return "The number of buckets in a doubling is out of range.";
	for (int i = 0; i < PER_DOUBLING; i++)
		if (fields[i] > KPI_MAX_COUNT || fields[i] < -KPI_MAX_COUNT)
			return "A count is out of range.";

	words = state_words(state);
	for (int w = 0; w < state_nwords(state); w++)
	{
		int			bucket = word_bucket(words[w]);
		int64		count = word_count(words[w]);

		if (bucket <= previous || bucket > last || bucket < -last)
			return "The buckets are out of range or not in ascending order.";
		if (count == 0 || count > MAX_BUCKET_COUNT || count < -MAX_BUCKET_COUNT)
			return "The count of a bucket is out of range.";
		previous = bucket;
		n += count;
	}
	return n == fields[COUNT_N] ? NULL : "The counts of buckets have another sum than the state.";
}

/* ---- finalizing ---- */

/*
 * The value of that rank, counted from 0, and of the next one; some count may be
 * negative in a cell that was made up.
 */
static void
values_at(const KpiState *state, int64 rank, float8 *value, float8 *next_value)
{
	const KpiBuckets *buckets = kpi_cell_buckets((int) kpi_cell_state_counts(state)[PER_DOUBLING]);
	const int64 *words = state_words(state);
	int			last = state_nwords(state) - 1;
	int64		before = 0;
	int			w = 0;

	for (; w < last && before + word_count(words[w]) <= rank; w++)
		before += word_count(words[w]);
	*value = kpi_cell_bucket_value(buckets, word_bucket(words[w]));
	if (w < last && before + word_count(words[w]) == rank + 1)
		w++;
	*next_value = kpi_cell_bucket_value(buckets, word_bucket(words[w]));
}

/* With as many digits as mean something; unlike a cast's it depends on no setting. */
static Numeric
numeric_of_six_digits(float8 number)
{
	char	   *text = psprintf("%.6g", number);
	Datum		result = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	pfree(text);
	return DatumGetNumeric(result);
}

/*
 * What percentile_cont() would say of values that are what their buckets are
 * taken for: the one at rank p (n - 1), between two of them in proportion.
 */
static void
percentile_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	const int64 *fields = kpi_cell_state_counts(state);
	float8		part;
	float8		rank;
	float8		value;
	float8		next_value;

	result->nonfinite = fields[COUNT_NONFINITE];
	if (parameter == NULL || fields[COUNT_N] <= 0 || state_nwords(state) == 0)
		return;
	part = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(parameter)));
	if (!(part >= 0 && part <= 1))
		return;
	rank = part * (fields[COUNT_N] - 1);
	values_at(state, (int64) floor(rank), &value, &next_value);
	value += (next_value - value) * (rank - floor(rank));
	result->value = numeric_of_six_digits(value);
	if (divisor != 1)
		result->value = kpi_cell_quotient(result->value, int64_to_numeric(divisor));
}

/* ---- input and output ---- */

static void
percentile_out(StringInfo buf, const KpiState *state)
{
	const int64 *fields = kpi_cell_state_counts(state);
	const int64 *words = state_words(state);
	int			nwords = state_nwords(state);

	appendStringInfo(buf, " nonfinite=" INT64_FORMAT " clamped=" INT64_FORMAT " per_doubling=" INT64_FORMAT " buckets=",
					 fields[COUNT_NONFINITE], fields[COUNT_CLAMPED], fields[PER_DOUBLING]);
	for (int w = 0; w < nwords; w++)
		appendStringInfo(buf, "%s%d:" INT64_FORMAT, w == 0 ? "" : ",", word_bucket(words[w]), word_count(words[w]));
}

/*
 * Appends a bucket that was read; NULL, or what is wrong with it.  How far
 * buckets go is checked when all are read.
 */
static const char *
append_bucket(KpiCellBuf *buf, uint32 offset, int64 bucket, int64 count)
{
	KpiState   *state = kpi_cell_state_at(buf->cell, offset);
	int			nwords = state_nwords(state);

	if (bucket < PG_INT16_MIN || bucket > PG_INT16_MAX ||
		(nwords > 0 && bucket <= word_bucket(state_words(state)[nwords - 1])))
		return "The buckets are out of range or not in ascending order.";
	if (count == 0 || count > MAX_BUCKET_COUNT || count < -MAX_BUCKET_COUNT)
		return "The count of a bucket is out of range.";
	kpi_cell_buf_resize(buf, offset, word_position(nwords), 0, sizeof(int64));
	state = kpi_cell_state_at(buf->cell, offset);
	state_words(state)[nwords] = word_make((int) bucket, count);
	kpi_cell_state_counts(state)[COUNT_N] += count;
	return NULL;
}

static void
percentile_in(KpiCellBuf *buf, uint32 offset, KpiTextInput *in)
{
	static const char *const names[] = {[COUNT_NONFINITE] = "nonfinite",[COUNT_CLAMPED] = "clamped",
	[PER_DOUBLING] = "per_doubling"};
	const char *problem;

	for (int i = COUNT_NONFINITE; i < NFIELDS; i++)
		kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset))[i] = kpi_cell_text_count(in, names[i]);
	kpi_cell_text_field(in, "buckets");
	if (*in->next == '-' || (*in->next >= '0' && *in->next <= '9'))
	{
		do
		{
			int64		bucket = kpi_cell_text_integer(in);

			if (!kpi_cell_text_take(in, ":"))
				kpi_cell_text_error(in, "A colon is missing behind a bucket.");
			problem = append_bucket(buf, offset, bucket, kpi_cell_text_integer(in));
			if (problem != NULL)
				kpi_cell_text_error(in, problem);
		} while (kpi_cell_text_take(in, ","));
	}
	problem = percentile_check(kpi_cell_state_at(buf->cell, offset));
	if (problem != NULL)
		kpi_cell_text_error(in, problem);
}

static void
percentile_send(StringInfo buf, const KpiState *state)
{
	const int64 *words = kpi_cell_state_counts(state);
	int			nwords = state_nwords(state);

	for (int i = COUNT_NONFINITE; i < NFIELDS; i++)
		pq_sendint64(buf, words[i]);
	pq_sendint32(buf, nwords);
	for (int w = 0; w < nwords; w++)
	{
		pq_sendint16(buf, (uint16) word_bucket(words[NFIELDS + w]));
		pq_sendint64(buf, word_count(words[NFIELDS + w]));
	}
}

static void
percentile_recv(KpiCellBuf *buf, uint32 offset, StringInfo message)
{
	const char *problem;
	int			nwords;

	for (int i = COUNT_NONFINITE; i < NFIELDS; i++)
		kpi_cell_state_counts(kpi_cell_state_at(buf->cell, offset))[i] = kpi_cell_binary_count(message);
	nwords = (int) pq_getmsgint(message, 4);
	for (int w = 0; w < nwords; w++)
	{
		int64		bucket = (int16) pq_getmsgint(message, 2);

		problem = append_bucket(buf, offset, bucket, kpi_cell_binary_count(message));
		if (problem != NULL)
			kpi_cell_binary_error(problem);
	}
	problem = percentile_check(kpi_cell_state_at(buf->cell, offset));
	if (problem != NULL)
		kpi_cell_binary_error(problem);
}

/* ---- the stored form ---- */

#define NEAR_BITS 5
#define FAR_BITS 16

/*
 * A word as it is stored: how far its bucket is from the one before, and its count
 * less the 1 that it has at least.  Where both are small, as in the cell of a day,
 * that is a byte.
 */
static int64
shorten(int64 word, int previous)
{
	int64		count = word_count(word);
	uint64		size = (uint64) (count > 0 ? count - 1 : -count - 1) << 1 | (count < 0);
	uint64		distance = (uint64) (word_bucket(word) - previous);

	if (distance < (1 << NEAR_BITS))
		return (int64) kpi_cell_unfold((size << NEAR_BITS | distance) << 1);
	return (int64) kpi_cell_unfold((size << FAR_BITS | distance) << 1 | 1);
}

static int64
lengthen(int64 stored, int previous)
{
	uint64		number = kpi_cell_fold((uint64) stored);
	int			bits = number & 1 ? FAR_BITS : NEAR_BITS;
	uint64		size = number >> (bits + 1);
	int64		count = (int64) (size >> 1) + 1;
	int			bucket = previous + (int) (number >> 1 & ((1 << bits) - 1));

	return word_make(bucket, size & 1 ? -count : count);
}

static void
percentile_store(KpiState *state)
{
	int64	   *words = state_words(state);

	for (int w = state_nwords(state) - 1; w >= 0; w--)
		words[w] = shorten(words[w], w == 0 ? PG_INT16_MIN : word_bucket(words[w - 1]));
}

static void
percentile_load(KpiState *state)
{
	int64	   *words = state_words(state);
	int			nwords = state_nwords(state);

	for (int w = 0; w < nwords; w++)
		words[w] = lengthen(words[w], w == 0 ? PG_INT16_MIN : word_bucket(words[w - 1]));
}

const KpiKindOps kpi_cell_percentile_ops = {
	.name = "percentile",.ninputs = 1,
	.fresh_length = FRESH_LENGTH,.nonfinite_count = COUNT_NONFINITE,.clamped_count = COUNT_CLAMPED,
	.min_option = KPI_BUCKET_MIN_PER_DOUBLING,.max_option = KPI_BUCKET_MAX_PER_DOUBLING,.default_option = 35,
	.add = percentile_add,.merge = percentile_merge,.negate = percentile_negate,.is_empty = is_empty,
	.equal = percentile_equal,.check = percentile_check,.facts = kpi_cell_finite_facts,.final = percentile_final,
	.out = percentile_out,.in = percentile_in,.send = percentile_send,.recv = percentile_recv,
	.store = percentile_store,.load = percentile_load
};
