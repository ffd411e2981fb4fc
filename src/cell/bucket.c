/*-------------------------------------------------------------------------
 *
 * bucket.c
 *	  Buckets of a logarithmic histogram: which one a number falls into, and what
 *	  its numbers are taken for.
 *
 * Every doubling, from 2^k to 2^(k+1), is cut at 2^(k + i/n) into n buckets, so
 * that each is wider than the one before by the same factor g = 2^(1/n), and
 * 2g / (1 + g) times its lower end is off from all its numbers by no more than
 * (g - 1) / (g + 1) of them.
 *
 * A fact is taken away from the bucket that it was added to, maybe years later
 * and on another machine.  So no logarithm is taken, which libraries differ in:
 * the exponent of a number says the doubling, its mantissa is compared with the
 * ends, and these are computed in integers.  A cheaper curve than the logarithm
 * that needs no table (linear, cubic in the mantissa) needs up to 44 % more
 * buckets for the same error.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "cell/cell_internal.h"
#include "utils/memutils.h"

#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define HIDDEN_BIT (UINT64CONST(1) << MANTISSA_BITS)
#define NGUESSES 256
#define GUESS_SHIFT (MANTISSA_BITS - 8)

/* 1 as a number with 63 bits behind the point. */
#define FIXED_ONE (UINT64CONST(1) << 63)
#define FIXED_TO_MANTISSA (63 - MANTISSA_BITS)

struct KpiBuckets
{
	int			per_doubling;
	float8		middle;			/* what a lower end is multiplied by */
	uint16		guesses[NGUESSES];	/* by the first bits of a mantissa: the
									 * bucket of the smallest one with them */
	uint64		lower[FLEXIBLE_ARRAY_MEMBER];	/* mantissas: [per_doubling +
												 * 1] */
};

/* Both at least 1; what is not below 2 becomes 0. */
static inline uint64
fixed_multiply(uint64 a, uint64 b)
{
	unsigned	__int128 product = ((unsigned __int128) a * b) >> 63;

	return product >> 64 == 0 ? (uint64) product : 0;
}

/* The largest number whose power is below 2. */
static uint64
fixed_root_of_two(int power)
{
	uint64		root = FIXED_ONE;

	for (int bit = 62; bit >= 0; bit--)
	{
		uint64		candidate = root | UINT64CONST(1) << bit;
		uint64		product = candidate;

		for (int i = 1; i < power && product != 0; i++)
			product = fixed_multiply(product, candidate);
		if (product != 0)
			root = candidate;
	}
	return root;
}

static KpiBuckets *
make_buckets(int per_doubling)
{
	KpiBuckets *buckets = MemoryContextAlloc(TopMemoryContext,
											 offsetof(KpiBuckets, lower) + (per_doubling + 1) * sizeof(uint64));
	uint64		root = fixed_root_of_two(per_doubling);
	uint64		end = FIXED_ONE;
	float8		factor = (float8) root / (float8) FIXED_ONE;
	int			bucket = 0;

	buckets->per_doubling = per_doubling;
	buckets->middle = 2 * factor / (1 + factor);
	for (int i = 0; i < per_doubling; i++)
	{
		buckets->lower[i] = end >> FIXED_TO_MANTISSA;
		end = fixed_multiply(end, root);
	}
	buckets->lower[per_doubling] = HIDDEN_BIT << 1;
	for (uint64 i = 0; i < NGUESSES; i++)
	{
		while (buckets->lower[bucket + 1] <= (HIDDEN_BIT | i << GUESS_SHIFT))
			bucket++;
		buckets->guesses[i] = bucket;
	}
	return buckets;
}

const KpiBuckets *
kpi_cell_buckets(int per_doubling)
{
	static KpiBuckets *made[KPI_BUCKET_MAX_PER_DOUBLING + 1];

	Assert(per_doubling >= KPI_BUCKET_MIN_PER_DOUBLING && per_doubling <= KPI_BUCKET_MAX_PER_DOUBLING);
	if (unlikely(made[per_doubling] == NULL))
		made[per_doubling] = make_buckets(per_doubling);
	return made[per_doubling];
}

int
kpi_cell_bucket_of(const KpiBuckets *buckets, float8 number, bool *is_clamped)
{
	uint64		bits;
	uint64		mantissa;
	int			exponent;
	int			bucket;

	*is_clamped = false;
	if (number == 0)
		return 0;
	memcpy(&bits, &number, sizeof(bits));
	exponent = (int) ((bits >> MANTISSA_BITS) & 0x7FF) - EXPONENT_BIAS;
	mantissa = (bits & (HIDDEN_BIT - 1)) | HIDDEN_BIT;

	if (exponent < KPI_BUCKET_LOWEST)
	{
		*is_clamped = true;
		bucket = 1;
	}
	else if (exponent >= KPI_BUCKET_HIGHEST)
	{
		*is_clamped = true;
		bucket = (KPI_BUCKET_HIGHEST - KPI_BUCKET_LOWEST) * buckets->per_doubling;
	}
	else
	{
		int			part = buckets->guesses[(mantissa >> GUESS_SHIFT) & (NGUESSES - 1)];

		while (buckets->lower[part + 1] <= mantissa)
			part++;
		bucket = (exponent - KPI_BUCKET_LOWEST) * buckets->per_doubling + part + 1;
	}
	return number < 0 ? -bucket : bucket;
}

float8
kpi_cell_bucket_value(const KpiBuckets *buckets, int bucket)
{
	int			from_lowest = abs(bucket) - 1;
	float8		lower;
	float8		value;

	if (bucket == 0)
		return 0;
	lower = ldexp((float8) buckets->lower[from_lowest % buckets->per_doubling],
				  from_lowest / buckets->per_doubling + KPI_BUCKET_LOWEST - MANTISSA_BITS);
	value = lower * buckets->middle;
	return bucket < 0 ? -value : value;
}

int
kpi_cell_buckets_for_error(float8 error)
{
	/* The value that is shown has six digits: some of the error is theirs. */
	float8		own_error = error - 0.00001;
	float8		factor = (1 + own_error) / (1 - own_error);
	float8		power = factor;
	int			n;

	for (n = 1; power < 2; n++)
		power *= factor;
	return n;
}
