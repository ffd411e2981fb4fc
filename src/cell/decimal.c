/*-------------------------------------------------------------------------
 *
 * decimal.c
 *	  Exact decimals for sums: 128-bit integers where they suffice.
 *
 * Invariants: see cell.h.  Numerics are read from their on-disk
 * format, which pg_upgrade has frozen: behind the varlena header
 *
 *	uint16 header	bits 15-14 = 11: special (NaN, infinities), no digits
 *					bits 15-14 = 10, short form: bit 13 sign, bits 12-7
 *					display scale, bits 6-0 weight in two's complement
 *					else, long form: bits 15-14 = 01 negative, bits 13-0
 *					display scale; an int16 weight follows
 *	int16 digits[]	base 10000, the first one times 10000^weight; neither the
 *					first nor the last is zero
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <float.h>
#include <math.h>

#include "cell/cell_internal.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "utils/builtins.h"

/* More base-10000 digits than this cannot be narrow. */
#define MAX_NARROW_DIGITS 10

typedef struct NumericParts
{
	const char *digits;			/* not aligned */
	int			ndigits;
	int			weight;
	int			dscale;
	bool		negative;
} NumericParts;

static const int64 powers_of_ten[] = {
	INT64CONST(1),
	INT64CONST(10),
	INT64CONST(100),
	INT64CONST(1000),
	INT64CONST(10000),
	INT64CONST(100000),
	INT64CONST(1000000),
	INT64CONST(10000000),
	INT64CONST(100000000),
	INT64CONST(1000000000),
	INT64CONST(10000000000),
	INT64CONST(100000000000),
	INT64CONST(1000000000000),
	INT64CONST(10000000000000),
	INT64CONST(100000000000000),
	INT64CONST(1000000000000000),
	INT64CONST(10000000000000000),
	INT64CONST(100000000000000000),
	INT64CONST(1000000000000000000)
};

#define MAX_POWER (lengthof(powers_of_ten) - 1)

/* *value *= 10^power; false on overflow. */
static bool
multiply_by_power(int128 *value, int power)
{
	while (power > MAX_POWER)
	{
		if (__builtin_mul_overflow(*value, (int128) powers_of_ten[MAX_POWER], value))
			return false;
		power -= MAX_POWER;
	}
	return !__builtin_mul_overflow(*value, (int128) powers_of_ten[power], value);
}

static inline int
digit_at(const NumericParts *parts, int i)
{
	int16		digit;

	memcpy(&digit, parts->digits + i * sizeof(int16), sizeof(int16));
	return digit;
}

/* Takes a numeric apart; false for NaN and infinities. */
static inline bool
numeric_parts(const char *data, int length, NumericParts *parts)
{
	uint16		header;

	memcpy(&header, data, sizeof(uint16));
	if ((header & 0xC000) == 0xC000)
		return false;

	if (header & 0x8000)
	{
		parts->negative = (header & 0x2000) != 0;
		parts->dscale = (header & 0x1F80) >> 7;
		parts->weight = (header & 0x003F) - (header & 0x0040);
		parts->digits = data + sizeof(uint16);
		parts->ndigits = (length - (int) sizeof(uint16)) / (int) sizeof(int16);
	}
	else
	{
		int16		weight;

		memcpy(&weight, data + sizeof(uint16), sizeof(int16));
		parts->negative = (header & 0x4000) != 0;
		parts->dscale = header & 0x3FFF;
		parts->weight = weight;
		parts->digits = data + 2 * sizeof(uint16);
		parts->ndigits = (length - 2 * (int) sizeof(uint16)) / (int) sizeof(int16);
	}
	return true;
}

/* The number times 10^scale, which must be an integer; false if too large. */
static inline bool
parts_to_integer(const NumericParts *parts, int scale, int128 *result)
{
	int			last = parts->ndigits - 1;
	int			fraction = last - parts->weight;	/* base-10000 digits */
	int			excess = fraction * 4 - scale;	/* zeros the last one ends in */
	int128		value;

	if (last < 4)
	{
		int64		small = 0;

		for (int i = 0; i < last; i++)
			small = small * 10000 + digit_at(parts, i);
		value = small;
	}
	else if (last >= MAX_NARROW_DIGITS)
		return false;
	else
	{
		value = 0;
		for (int i = 0; i < last; i++)
			value = value * 10000 + digit_at(parts, i);
	}

	/*
	 * Of a sound number the last digit is not beyond its scale; of a damaged
	 * one it may be.
	 */
	if (excess >= 4)
		return false;
	if (excess >= 0)
	{
		if (__builtin_mul_overflow(value, (int128) powers_of_ten[4 - excess], &value))
			return false;
		value += digit_at(parts, last) / powers_of_ten[excess];
	}
	else
	{
		if (__builtin_mul_overflow(value, (int128) 10000, &value))
			return false;
		value += digit_at(parts, last);
		/* 2^127 has 39 digits */
		if (excess < -39 || !multiply_by_power(&value, -excess))
			return false;
	}
	if (!kpi_cell_decimal_fits(value))
		return false;

	*result = parts->negative ? -value : value;
	return true;
}

/* Decimal digits before the point. */
static int
integer_digits(const NumericParts *parts)
{
	int			digits;

	if (parts->ndigits == 0 || parts->weight < 0)
		return 0;
	digits = parts->weight * 4;
	for (int first = digit_at(parts, 0); first > 0; first /= 10)
		digits++;
	return digits;
}

/* The smallest scale at which the number is an integer. */
static int
smallest_scale(const NumericParts *parts)
{
	int			last = parts->ndigits - 1;
	int			scale = (last - parts->weight) * 4;

	for (int digit = digit_at(parts, last); digit % 10 == 0 && digit > 0; digit /= 10)
		scale--;
	return Max(scale, 0);
}

/* The number as a narrow decimal, if it is one. */
static inline bool
parts_to_narrow(const NumericParts *parts, KpiDecimal *result)
{
	int			scale;

	result->wide = NULL;
	if (parts->ndigits == 0)
	{
		result->value = 0;
		result->scale = 0;
		return true;
	}

	/*
	 * The display scale first: values of one column share it, so that sums
	 * need no realignment.
	 */
	scale = Max(Min(parts->dscale, (parts->ndigits - 1 - parts->weight) * 4), 0);
	if (scale > KPI_MAX_SCALE || !parts_to_integer(parts, scale, &result->value))
	{
		scale = smallest_scale(parts);
		if (scale > KPI_MAX_SCALE || !parts_to_integer(parts, scale, &result->value))
			return false;
	}
	result->scale = scale;
	return true;
}

KpiDecimalClass
kpi_cell_decimal_read(Datum datum, int max_digits, KpiDecimal *result)
{
	struct varlena *given = (struct varlena *) DatumGetPointer(datum);
	struct varlena *flat = PG_DETOAST_DATUM_PACKED(datum);
	KpiDecimalClass class;
	NumericParts parts;

	if (!numeric_parts(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat), &parts))
		class = KPI_DECIMAL_NONFINITE;
	else if (parts_to_narrow(&parts, result))
		class = KPI_DECIMAL_NARROW;
	else if (integer_digits(&parts) > max_digits)
		class = KPI_DECIMAL_NONFINITE;
	else
	{
		result->wide = DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale,
														   PointerGetDatum(flat)));
		class = KPI_DECIMAL_WIDE;
	}

	if (flat != given)
		pfree(flat);
	return class;
}

/*
 * Reads what the shortest-decimal functions print: digits with or without a
 * point, and an exponent or none.  Of at most 17 digits, none of them a zero
 * at the end of a fraction, so what fits is narrow as it stands.
 */
static void
read_shortest(const char *text, KpiDecimal *result)
{
	const char *next = text + (text[0] == '-');
	int64		digits = 0;
	int			scale = 0;
	bool		in_fraction = false;

	for (; *next != '\0' && *next != 'e'; next++)
	{
		if (*next == '.')
		{
			in_fraction = true;
			continue;
		}
		digits = digits * 10 + (*next - '0');
		scale += in_fraction;
	}
	if (*next == 'e')
		scale -= atoi(next + 1);

	result->wide = NULL;
	result->value = text[0] == '-' ? -digits : digits;
	result->scale = Max(scale, 0);
	if (result->scale <= KPI_MAX_SCALE &&
		multiply_by_power(&result->value, Max(-scale, 0)) && kpi_cell_decimal_fits(result->value))
		return;
	result->value = 0;
	result->scale = 0;
	result->wide = DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale,
													   DirectFunctionCall3(numeric_in,
																		   CStringGetDatum(text),
																		   ObjectIdGetDatum(InvalidOid),
																		   Int32GetDatum(-1))));
}

bool
kpi_cell_decimal_from_float4(float4 number, KpiDecimal *result)
{
	char		text[FLOAT_SHORTEST_DECIMAL_LEN];

	if (isnan(number) || isinf(number))
		return false;
	float_to_shortest_decimal_buf(number, text);
	read_shortest(text, result);
	return true;
}

bool
kpi_cell_decimal_from_float8(float8 number, KpiDecimal *result)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (isnan(number) || isinf(number))
		return false;
	double_to_shortest_decimal_buf(number, text);
	read_shortest(text, result);
	return true;
}

bool
kpi_cell_slot_add_aligned(int128 *slot, int128 value, int scale)
{
	int			slot_scale = (uint8) *slot;
	int128		sum = *slot >> 8;

	if (slot_scale == KPI_SLOT_WIDE)
		return false;
	if (slot_scale < scale)
	{
		if (!multiply_by_power(&sum, scale - slot_scale))
			return false;
	}
	else
	{
		if (!multiply_by_power(&value, slot_scale - scale))
			return false;
		scale = slot_scale;
	}
	if (__builtin_add_overflow(sum, value, &sum) || !kpi_cell_decimal_fits(sum))
		return false;
	*slot = kpi_cell_slot_make(sum, scale);
	return true;
}

static bool
numeric_is_negative(Numeric num)
{
	NumericParts parts;

	return numeric_parts(VARDATA(num), VARSIZE(num) - VARHDRSZ, &parts) && parts.negative;
}

/* Both narrow: the same without trailing zeros. */
static void
trim_narrow(KpiDecimal *a)
{
	int128		value = a->value;
	int			scale = a->scale;

	while (scale > 0 && value == (int64) value && (int64) value % 10 == 0)
	{
		value = (int64) value / 10;
		scale--;
	}
	while (scale > 0 && value % 10 == 0)
	{
		value /= 10;
		scale--;
	}
	a->value = value;
	a->scale = scale;
}

/* Put together from two halves; below 2^119 < 10^36 each fits 64 bits. */
static Numeric
numeric_from_int128(int128 value, int scale)
{
	int64		unit = powers_of_ten[MAX_POWER];
	Datum		parts[3];
	Datum		product;
	Datum		sum;

	parts[0] = NumericGetDatum(int64_div_fast_to_numeric((int64) (value / unit), scale));
	parts[1] = NumericGetDatum(int64_to_numeric(unit));
	parts[2] = NumericGetDatum(int64_div_fast_to_numeric((int64) (value % unit), scale));
	product = DirectFunctionCall2(numeric_mul, parts[0], parts[1]);
	sum = DirectFunctionCall2(numeric_add, product, parts[2]);
	for (int i = 0; i < lengthof(parts); i++)
		pfree(DatumGetPointer(parts[i]));
	pfree(DatumGetPointer(product));
	return DatumGetNumeric(sum);
}

Numeric
kpi_cell_decimal_numeric(const KpiDecimal *a)
{
	KpiDecimal	trimmed = *a;
	Numeric		copy;

	if (a->wide != NULL)
	{
		copy = palloc(VARSIZE(a->wide));
		memcpy(copy, a->wide, VARSIZE(a->wide));
		return copy;
	}

	trim_narrow(&trimmed);
	if (trimmed.value == (int64) trimmed.value)
		return int64_div_fast_to_numeric((int64) trimmed.value, trimmed.scale);
	return numeric_from_int128(trimmed.value, trimmed.scale);
}

float8
kpi_cell_decimal_float8(const KpiDecimal *a)
{
	KpiDecimal	trimmed = *a;
	float8		result;

	if (a->wide != NULL)
	{
		result = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
													NumericGetDatum(a->wide)));
		/* what is wide is not 0 */
		if (result == 0)
			result = numeric_is_negative(a->wide) ? -DBL_MIN : DBL_MIN;
		return result;
	}

	/* An integer below 2^53 is one exactly, and so are the powers of ten. */
	if (a->value >= INT64CONST(1) << 53 || a->value <= -(INT64CONST(1) << 53))
		trim_narrow(&trimmed);
	result = (float8) trimmed.value;
	if (trimmed.scale > MAX_POWER)
	{
		result /= (float8) powers_of_ten[trimmed.scale - MAX_POWER];
		trimmed.scale = MAX_POWER;
	}
	return result / (float8) powers_of_ten[trimmed.scale];
}

void
kpi_cell_decimal_negate(KpiDecimal *a)
{
	if (a->wide != NULL)
		a->wide = DatumGetNumeric(DirectFunctionCall1(numeric_uminus,
													  NumericGetDatum(a->wide)));
	else
		a->value = -a->value;
}

void
kpi_cell_decimal_add(KpiDecimal *a, const KpiDecimal *b, int sign)
{
	Datum		left;
	Datum		right;
	Datum		sum;

	if (a->wide == NULL && b->wide == NULL)
	{
		int128		slot = kpi_cell_slot_make(a->value, a->scale);

		if (kpi_cell_slot_add(&slot, sign > 0 ? b->value : -b->value, b->scale))
		{
			a->value = slot >> 8;
			a->scale = (uint8) slot;
			return;
		}
	}

	left = NumericGetDatum(kpi_cell_decimal_numeric(a));
	right = NumericGetDatum(kpi_cell_decimal_numeric(b));
	sum = DirectFunctionCall2(sign > 0 ? numeric_add : numeric_sub, left, right);
	pfree(DatumGetPointer(left));
	pfree(DatumGetPointer(right));
	if (kpi_cell_decimal_read(sum, KPI_MAX_SUM_DIGITS, a) == KPI_DECIMAL_NONFINITE)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("sum of a cell out of range"),
				 errdetail("A sum may have at most %d digits before the decimal point.",
						   KPI_MAX_SUM_DIGITS)));
	pfree(DatumGetPointer(sum));
}

void
kpi_cell_decimal_multiply(KpiDecimal *a, Numeric factor)
{
	Datum		product = DirectFunctionCall2(numeric_mul, NumericGetDatum(kpi_cell_decimal_numeric(a)),
											  NumericGetDatum(factor));

	if (kpi_cell_decimal_read(product, KPI_MAX_SUM_DIGITS, a) == KPI_DECIMAL_NONFINITE)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("sum of a cell out of range"),
				 errdetail("A sum may have at most %d digits before the decimal point.",
						   KPI_MAX_SUM_DIGITS)));
}

bool
kpi_cell_decimal_equal(const KpiDecimal *a, const KpiDecimal *b)
{
	KpiDecimal	left = *a;
	KpiDecimal	right = *b;

	/* a wide number is never one that fits the narrow form */
	if ((a->wide != NULL) != (b->wide != NULL))
		return false;
	if (a->wide != NULL)
		return DatumGetBool(DirectFunctionCall2(numeric_eq,
												NumericGetDatum(a->wide),
												NumericGetDatum(b->wide)));
	if (a->scale != b->scale)
	{
		trim_narrow(&left);
		trim_narrow(&right);
	}
	return left.scale == right.scale && left.value == right.value;
}

void
kpi_cell_decimal_trim(KpiDecimal *a)
{
	if (a->wide == NULL)
		trim_narrow(a);
}

int
kpi_cell_decimal_compare(const KpiDecimal *a, const KpiDecimal *b)
{
	int128		left = a->value;
	int128		right = b->value;
	int			order;
	Datum		numbers[2];

	if (a->wide == NULL && b->wide == NULL &&
		(a->scale >= b->scale || multiply_by_power(&left, b->scale - a->scale)) &&
		(b->scale >= a->scale || multiply_by_power(&right, a->scale - b->scale)))
		return (left > right) - (left < right);
	numbers[0] = NumericGetDatum(kpi_cell_decimal_numeric(a));
	numbers[1] = NumericGetDatum(kpi_cell_decimal_numeric(b));
	order = DatumGetInt32(DirectFunctionCall2(numeric_cmp, numbers[0], numbers[1]));
	pfree(DatumGetPointer(numbers[0]));
	pfree(DatumGetPointer(numbers[1]));
	return order;
}

bool
kpi_cell_decimal_wide_is_valid(Numeric num)
{
	KpiDecimal	read;
	NumericParts parts;

	if (VARATT_IS_EXTENDED(num) || VARSIZE(num) < VARHDRSZ + sizeof(uint16) ||
		!numeric_parts(VARDATA(num), VARSIZE(num) - VARHDRSZ, &parts) ||
		parts.ndigits <= 0 || digit_at(&parts, 0) == 0 ||
		digit_at(&parts, parts.ndigits - 1) == 0 ||
		integer_digits(&parts) > KPI_MAX_SUM_DIGITS)
		return false;
	return !parts_to_narrow(&parts, &read) && parts.dscale == smallest_scale(&parts);
}
