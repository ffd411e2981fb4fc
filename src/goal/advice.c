/*-------------------------------------------------------------------------
 *
 * advice.c
 *	  What to ask for, the parts of a target that is split, and what has to be done
 *	  to reach one.
 *
 * As test/goals/MATH.md says it.  A split is exact: it is done in decimals.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "goal/goal_internal.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* Quantiles of the normal curve: 80 % and 25 % lie beyond them. */
#define CAUTIOUS_Z 0.8416212335729143
#define AMBITIOUS_Z 0.6744897501960817

KpiSuggestion
kpi_goal_suggest_around(double likely, double sd, bool down)
{
	double		harder = down ? -sd : sd;
	KpiSuggestion suggestion = {
		.cautious = likely - CAUTIOUS_Z * harder,
		.likely = likely,
		.ambitious = likely + AMBITIOUS_Z * harder,
		.sd = sd
	};

	return suggestion;
}

KpiSuggestion
kpi_goal_suggest(double basis, double noise)
{
	double		rate_error = KPI_RATE_ERROR * basis;

	return kpi_goal_suggest_around(basis, sqrt(noise * basis * (1 + 1 / KPI_HISTORY_WEIGHT) + rate_error * rate_error),
								   false);
}

int
kpi_goal_activities(double missing, double per_deal, const double *rates, int n, double days, double members,
					double *needed, double *per_day)
{
	double		need = Max(missing, 0) / per_deal;

	for (int i = 0; i < n; i++)
	{
		if (!isnan(rates[i]))
		{
			if (!(rates[i] > 0))
				return i;
			need /= rates[i];
		}
		needed[i] = need;
		per_day[i] = days > 0 && members > 0 ? need / days / members : KPI_UNKNOWN;
	}
	return n;
}

static Numeric
call(PGFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

static int
compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

/* A part, and what it is cut by: the rest of a division by the sum of all weights. */
typedef struct Share
{
	int			index;
	Numeric		steps;
	Numeric		rest;
} Share;

/* The most cut first; of equals the one that stands first. */
static int
by_rest(const void *a, const void *b)
{
	const Share *x = a;
	const Share *y = b;
	int			order = compare(y->rest, x->rest);

	return order != 0 ? order : x->index - y->index;
}

/* Each part is cut to whole steps; the steps that are left go to those that were cut most. */
void
kpi_goal_split(Numeric total, Numeric *weights, int n, Numeric step, Numeric *parts)
{
	Share	   *shares = palloc(n * sizeof(Share));
	Numeric		one = int64_to_numeric(1);
	Numeric		zero = int64_to_numeric(0);
	bool		negative = compare(total, zero) < 0;
	Numeric		steps = call(numeric_div_trunc, total, step);
	Numeric		weight = zero;
	Numeric		left;

	steps = DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(steps)));
	left = steps;
	for (int i = 0; i < n; i++)
		weight = call(numeric_add, weight, weights[i]);
	for (int i = 0; i < n; i++)
	{
		Numeric		exact = call(numeric_mul, steps, weights[i]);

		shares[i].index = i;
		shares[i].steps = call(numeric_div_trunc, exact, weight);
		shares[i].rest = call(numeric_sub, exact, call(numeric_mul, shares[i].steps, weight));
		left = call(numeric_sub, left, shares[i].steps);
	}
	qsort(shares, n, sizeof(Share), by_rest);
	for (int i = 0; i < n; i++)
	{
		Share	   *share = &shares[i];

		if (compare(left, zero) > 0)
		{
			share->steps = call(numeric_add, share->steps, one);
			left = call(numeric_sub, left, one);
		}
		if (negative)
			share->steps = DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(share->steps)));
		parts[share->index] = call(numeric_mul, share->steps, step);
	}
}
