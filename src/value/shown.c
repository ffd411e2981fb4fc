/*-------------------------------------------------------------------------
 *
 * shown.c
 *	  Numbers as they are shown: of how many decimals and digits.
 *
 * A quotient has as many decimals as one likes to compute, and programs that read
 * decimals take 28 digits.  So where a number is handed out it is rounded, once; all that is
 * computed inside goes on with what was not.
 *
 * At most 10 decimals are shown, but of what is exact (counts, sums, the largest, what is held) all
 * there are; and of a number as many as leave it 28 digits.  Digits before the decimal point are
 * never cut: a sum of more of them is shown whole, without decimals.  What was rounded ends in no
 * zeros, what was not is as it was: 2.50 stays 2.50.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "value/value_internal.h"

PG_FUNCTION_INFO_V1(kpi_sql_shown);

#define MAX_DIGITS 28

static int
digits_before_point(Numeric number)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	int			digits = strspn(text[0] == '-' ? text + 1 : text, "0123456789");

	pfree(text);
	return digits;
}

static Numeric
rounded(Numeric number, bool is_exact)
{
	int			decimals;
	int			shown;
	Datum		result;

	if (number == NULL || numeric_is_nan(number) || numeric_is_inf(number))
		return number;
	decimals = DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(number)));
	if (decimals == 0)
		return number;
	shown = Min(is_exact ? decimals : Min(decimals, KPI_SHOWN_DECIMALS),
				Max(MAX_DIGITS - digits_before_point(number), 0));
	if (shown == decimals)
		return number;
	result = DirectFunctionCall2(numeric_round, NumericGetDatum(number), Int32GetDatum(shown));
	return DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, result));
}

/* What a measure counts and sums; not by a unit of time, which divides it. */
static bool
has_exact_parts(const KpiProgramNode *node)
{
	return node->formula == NULL && node->divisor == 1;
}

bool
kpi_value_is_exact(const KpiProgram *program)
{
	const KpiProgramNode *node = &program->nodes[program->nnodes - 1];

	switch (node->kind)
	{
		case KPI_AVG:
		case KPI_RATE:
		case KPI_RATIO:
		case KPI_VARIANCE:
		case KPI_STDDEV:
		case KPI_PERCENTILE:
			return false;
		default:
			return has_exact_parts(node);
	}
}

Numeric
kpi_value_shown(const KpiProgram *program, Numeric number)
{
	return rounded(number, kpi_value_is_exact(program));
}

Numeric
kpi_value_part_shown(const KpiProgram *program, Numeric number)
{
	return rounded(number, has_exact_parts(&program->nodes[program->nnodes - 1]));
}

/* kpi_internal.shown(program, number) */
Datum
kpi_sql_shown(PG_FUNCTION_ARGS)
{
	PG_RETURN_NUMERIC(kpi_value_shown(kpi_model_program(PG_GETARG_TEXT_PP(0)), PG_GETARG_NUMERIC(1)));
}
