/*-------------------------------------------------------------------------
 *
 * cell_decimal.h
 *	  Exact decimals for sums: 128-bit integers where they suffice.
 *
 * A decimal is value * 10^-scale.  It is narrow while |value| < 2^119 and
 * scale <= KPI_MAX_SCALE; what does not fit (after trailing zeros are
 * trimmed) is wide: a finite numeric without trailing zeros.  Which of the
 * two a number is depends on the number alone, never on how it came about.
 *
 * A cell keeps a decimal in a slot of 16 bytes: value * 256 + scale, or
 * KPI_SLOT_WIDE when the numeric stands behind the state's fixed part.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_CELL_DECIMAL_H
#define KPI_CELL_DECIMAL_H

#include "compat.h"

#include "lib/stringinfo.h"
#include "utils/numeric.h"

#define KPI_MAX_SCALE 20
#define KPI_DECIMAL_LIMIT ((int128) 1 << 119)
#define KPI_SLOT_WIDE 0xFF

/*
 * Inputs with more integer digits than the first count as not finite; no sum
 * may have more than the second.  2^63 facts stay far below it, and it stays
 * far below what a numeric holds, so sums cannot overflow.
 */
#define KPI_MAX_INPUT_DIGITS 1000
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
kpi_decimal_fits(int128 value)
{
	return value > -KPI_DECIMAL_LIMIT && value < KPI_DECIMAL_LIMIT;
}

static inline bool
kpi_slot_is_wide(int128 slot)
{
	return (uint8) slot == KPI_SLOT_WIDE;
}

static inline int128
kpi_slot_make(int128 value, int scale)
{
	return value * 256 + scale;
}

/* Adds to a narrow slot; false, and nothing done, when the sum is not narrow. */
extern bool kpi_slot_add_aligned(int128 *slot, int128 value, int scale);

static inline bool
kpi_slot_add(int128 *slot, int128 value, int scale)
{
	int128		sum;

	if ((uint8) *slot != scale)
		return kpi_slot_add_aligned(slot, value, scale);
	sum = (*slot >> 8) + value;
	if (!kpi_decimal_fits(sum))
		return false;
	*slot = kpi_slot_make(sum, scale);
	return true;
}

/*
 * Reads a numeric Datum, which may be packed or toasted.  Allocates nothing
 * unless the value is wide or toasted.
 */
extern KpiDecimalClass kpi_decimal_read(Datum datum, int max_digits, KpiDecimal *result);

/*
 * The shortest decimal that is read back as the same binary number, which is
 * the one people see: 7654321 is 7654321 and 0.1 is 0.1, also as real.  The
 * conversions of real and double precision to numeric keep 6 and 15 digits
 * only.  False for NaN and infinities.
 */
extern bool kpi_decimal_from_float4(float4 number, KpiDecimal *result);
extern bool kpi_decimal_from_float8(float8 number, KpiDecimal *result);

/* a := a + sign * b; errors beyond KPI_MAX_SUM_DIGITS. */
extern void kpi_decimal_add(KpiDecimal *a, const KpiDecimal *b, int sign);
extern void kpi_decimal_negate(KpiDecimal *a);
extern bool kpi_decimal_equal(const KpiDecimal *a, const KpiDecimal *b);

/* As a palloc'd numeric without trailing zeros. */
extern Numeric kpi_decimal_numeric(const KpiDecimal *a);

/* Is this numeric what a wide decimal must be? */
extern bool kpi_decimal_wide_is_valid(Numeric num);

#endif							/* KPI_CELL_DECIMAL_H */
