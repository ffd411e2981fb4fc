/*-------------------------------------------------------------------------
 *
 * basis.c
 *	  What forecasts are based on, read from the history that there is.
 *
 * Two functions for rows that are frozen when a period begins, or when a goal is
 * made for the running one (basis_table.c): what the company's closed periods say of
 * the KPI (season, noise, and how a period fills), and what those of a scope say.
 * The rules are those of test/goals/MATH.md, the numbers are season.c's.
 *
 * Reads cells under the active snapshot, and nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal_internal.h"
#include "people/people.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(kpi_sql_forecast_company);
PG_FUNCTION_INFO_V1(kpi_sql_forecast_scope);

/* History goes back as far. */
#define HISTORY_MONTHS 36

/* More than there are periods, weeks included, or days of a year, in it. */
#define MAX_PERIODS 170
#define NOISE_MONTHS 12
#define RATE_DAYS 365
#define SEASON_YEARS 3

/* A period counts if the KPI's first fact lies in this part of it. */
#define FIRST_PART 10

/*
 * Numbers of a place.  Of what adds up, the net flow of a balance, and what adds up over an
 * opening, the denominator is not used.
 */
typedef struct Amounts
{
	double		numerator;
	double		denominator;
} Amounts;

/* Closed periods, the last one last. */
typedef struct Closed
{
	int			n;
	double		numerators[MAX_PERIODS];
	double		denominators[MAX_PERIODS];
	KpiPlace	places[MAX_PERIODS];
} Closed;

struct KpiHistory
{
	const KpiProgram *program;
	KpiShape	shape;
	DateADT		today;			/* what is not over is not closed */
	DateADT		first;			/* day of the KPI's first fact, as far as it
								 * matters */
	bool		any;			/* there is one */
	Closed		closed;			/* to be read into */
};

double
kpi_goal_number(Numeric number)
{
	return number == NULL ? 0 :
		DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(number)));
}

/* What came in a period less what went. */
static double
net_flow(const KpiHistory *history, const KpiPlace *place)
{
	KpiValue	closing;
	KpiValue	opening;

	(void) kpi_value_at(history->program, place, &closing);
	(void) kpi_value_opening(history->program, place, &opening);
	return kpi_goal_number(closing.value) - kpi_goal_number(opening.value);
}

static Amounts
amounts_of(const KpiHistory *history, const KpiPlace *place)
{
	Amounts		amounts = {0, 0};
	KpiValue	value;

	if (history->shape == KPI_SHAPE_BALANCE)
	{
		amounts.numerator = net_flow(history, place);
		return amounts;
	}
	if (!kpi_value_at(history->program, place, &value))
		return amounts;
	if (history->shape == KPI_SHAPE_OF_OPENING)
		amounts.numerator = kpi_goal_number(value.numerator);
	else if (history->shape == KPI_SHAPE_QUOTIENT)
	{
		amounts.numerator = kpi_goal_number(value.numerator);
		amounts.denominator = kpi_goal_number(value.denominator);
	}
	else
		amounts.numerator = kpi_goal_number(value.value);
	return amounts;
}

/* What is in stays in, and more comes. */
static bool
accumulates(const KpiHistory *history)
{
	return history->shape == KPI_SHAPE_ADDITIVE || history->shape == KPI_SHAPE_OF_OPENING;
}

static bool
is_nothing(const Amounts *amounts)
{
	return amounts->numerator == 0 && amounts->denominator == 0;
}

static KpiPlace
company_place(KpiGrain grain, DateADT start)
{
	KpiPlace	place = {KPI_SCOPE_TEAM, KPI_TEAM_COMPANY, grain, 0, start};

	return place;
}

static DateADT
months_before(DateADT day, int months)
{
	int			year,
				month,
				mday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	month -= months;
	while (month < 1)
	{
		month += 12;
		year--;
	}
	return date2j(year, month, 1) - POSTGRES_EPOCH_JDATE + Min(mday, 28) - 1;
}

static DateADT
month_of(DateADT day)
{
	return kpi_calendar_period_start(KPI_MONTH, day, kpi_calendar_get(KPI_DEFAULT_CALENDAR));
}

/* Finds the day of the KPI's first fact: exactly, where it lies within the history before a day. */
static void
find_first_fact(KpiHistory *history, DateADT before)
{
	KpiPlace	month = company_place(KPI_MONTH, months_before(before, 2 * HISTORY_MONTHS + 12));
	KpiPlace	day = month;
	KpiValue	value;

	month.start = month_of(month.start);
	day.grain = KPI_DAY;
	day.start = month.start - 1;
	history->any = kpi_value_has_begun(history->program, &day);
	history->first = month.start;
	if (history->any)
		return;
	for (; month.start < before && !history->any; month = kpi_value_place_shift(&month, 1))
	{
		if (!kpi_value_at(history->program, &month, &value))
			continue;
		history->any = true;
		history->first = month.start;
		if (history->program->grain > KPI_DAY)
			return;
		for (day.start = month.start; day.start < before && !kpi_value_at(history->program, &day, &value); day.start++)
			;
		history->first = day.start;
	}
}

static bool
counts_as_closed(const KpiHistory *history, const KpiPlace *place)
{
	DateADT		days = kpi_value_place_end(place) + 1 - place->start;

	return history->any && history->first < place->start + Max(days / FIRST_PART, 1);
}

/* The closed periods of a scope before one, as far as they are over, from its first that is not 0. */
static void
read_closed(KpiHistory *history, const KpiPlace *before)
{
	DateADT		until = Min(before->start, history->today);
	DateADT		since = months_before(until, HISTORY_MONTHS);
	Closed	   *closed = &history->closed;
	KpiPlace	first = *before;
	bool		begun = false;

	closed->n = 0;
	while (first.start > since)
		first = kpi_value_place_shift(&first, -1);
	if (first.start < since)
		first = kpi_value_place_shift(&first, 1);
	for (; first.start < until && closed->n < MAX_PERIODS; first = kpi_value_place_shift(&first, 1))
	{
		Amounts		amounts;

		if (!counts_as_closed(history, &first) || kpi_value_place_end(&first) >= until)
			continue;
		amounts = amounts_of(history, &first);
		if (!begun && is_nothing(&amounts))
			continue;
		begun = true;
		closed->numerators[closed->n] = amounts.numerator;
		closed->denominators[closed->n] = amounts.denominator;
		closed->places[closed->n++] = first;
	}
}

/* ---- noise ---- */

/* Amounts of days. */
typedef struct Days
{
	KpiShape	shape;
	DateADT		since;
	double	   *numerators;
	double	   *denominators;
} Days;

static void
take_day(void *arg, DateADT day, const KpiValue *value)
{
	Days	   *days = arg;
	bool		quotient = days->shape == KPI_SHAPE_QUOTIENT;
	bool		sides = quotient || days->shape == KPI_SHAPE_OF_OPENING;

	days->numerators[day - days->since] += kpi_goal_number(sides ? value->numerator : value->value);
	if (quotient)
		days->denominators[day - days->since] += kpi_goal_number(value->denominator);
}

/* What each day from since until, inclusive, brought. */
static Days
read_days(const KpiHistory *history, const KpiPlace *place, DateADT since, DateADT until)
{
	Days		days = {history->shape, since};
	KpiPlace	first = *place;
	int			n = Max(until + 1 - since, 1);

	days.numerators = palloc0(n * sizeof(double));
	days.denominators = palloc0(n * sizeof(double));
	first.grain = KPI_DAY;
	first.start = since;
	if (since <= until)
		kpi_value_each_day(history->program, &first, until, take_day, &days);
	return days;
}

/* Of the net flow of a day; not known without two of them. */
static double
variance_of(const double *values, int n)
{
	double		mean = 0;
	double		sum = 0;

	for (int i = 0; i < n; i++)
		mean += values[i] / n;
	for (int i = 0; i < n; i++)
		sum += (values[i] - mean) * (values[i] - mean);
	return n < 2 ? KPI_UNKNOWN : sum / (n - 1);
}

/* Of complete months before a period, and whether a day of them fell. */
static double
noise_of_months(const KpiHistory *history, const KpiPlace *before, bool *may_fall)
{
	double		values[NOISE_MONTHS * 31];
	int			lengths[NOISE_MONTHS];
	int			nvalues = 0;
	int			n = 0;
	KpiPlace	month = *before;
	DateADT		until;
	Days		days;

	month.grain = KPI_MONTH;
	month.start = month_of(Min(before->start, history->today));
	until = month.start - 1;
	for (; n < NOISE_MONTHS; n++)
	{
		KpiPlace	previous = kpi_value_place_shift(&month, -1);

		if (!counts_as_closed(history, &previous))
			break;
		month = previous;
	}
	days = read_days(history, before, month.start, until);
	/* The last month first. */
	for (int m = 0; m < n; m++)
	{
		KpiPlace	at = kpi_value_place_shift(&month, n - 1 - m);

		lengths[m] = kpi_value_place_end(&at) + 1 - at.start;
		for (int i = 0; i < lengths[m]; i++)
		{
			values[nvalues] = days.numerators[at.start + i - days.since];
			*may_fall |= values[nvalues++] < 0;
		}
	}
	return history->shape == KPI_SHAPE_BALANCE ? variance_of(values, nvalues) : kpi_goal_noise(values, lengths, n);
}

static double
noise_of_rate(const KpiHistory *history, const KpiPlace *before)
{
	DateADT		until = Min(before->start, history->today);
	Days		days = read_days(history, before, until - RATE_DAYS, until - 1);

	return kpi_goal_noise_ratio(days.numerators, days.denominators, RATE_DAYS);
}

/* Without factors, which are written without a sign. */
static const KpiFormulaNode *
without_factors(const KpiFormulaNode *node)
{
	for (;;)
	{
		const KpiFormulaNode *a = node->args == NIL ? NULL : linitial(node->args);
		const KpiFormulaNode *b = list_length(node->args) < 2 ? NULL : lsecond(node->args);

		if (node->op == KPI_FORMULA_MULTIPLY && a->op == KPI_FORMULA_NUMBER)
			node = b;
		else if ((node->op == KPI_FORMULA_MULTIPLY || node->op == KPI_FORMULA_DIVIDE) && b->op == KPI_FORMULA_NUMBER)
			node = a;
		else
			return node;
	}
}

/* A difference may fall, whether or not it did. */
static bool
may_fall_by_form(const KpiHistory *history)
{
	const KpiProgram *program = history->program;
	const KpiProgramNode *kpi = &program->nodes[program->nnodes - 1];
	const KpiFormulaNode *numerator;

	if (kpi->formula == NULL || !accumulates(history))
		return false;
	if (history->shape == KPI_SHAPE_ADDITIVE)
		return true;
	numerator = without_factors(linitial(kpi->formula->root->args));
	return numerator->op != KPI_FORMULA_KPI || program->nodes[kpi->inputs[numerator->kpi]].formula != NULL;
}

/* Values by dimension have no days, and sources of longer grains have none that mean anything. */
double
kpi_goal_history_noise(KpiHistory *history, const KpiPlace *place, bool *may_fall)
{
	double		noise = KPI_UNKNOWN;

	*may_fall = false;
	if (place->dim_id == 0 && history->program->grain == KPI_DAY && history->shape != KPI_SHAPE_OTHER)
		noise = history->shape == KPI_SHAPE_QUOTIENT ? noise_of_rate(history, place) :
			noise_of_months(history, place, may_fall);
	if (may_fall_by_form(history))
		*may_fall = true;
	return noise;
}

/* ---- the company ---- */

double
kpi_goal_history_season(KpiHistory *history, const KpiPlace *place)
{
	double		totals[SEASON_YEARS];
	double		levels[SEASON_YEARS];
	KpiPlace	ago = company_place(place->grain, place->start);

	if (!accumulates(history))
		return 1;
	for (int y = 0; y < SEASON_YEARS; y++)
	{
		ago = kpi_value_place_year_ago(&ago);
		read_closed(history, &ago);
		levels[y] = kpi_value_place_end(&ago) < history->today ?
			kpi_goal_level(history->closed.numerators, history->closed.n, place->grain) : KPI_UNKNOWN;
		totals[y] = amounts_of(history, &ago).numerator;
	}
	return kpi_goal_season(totals, levels, SEASON_YEARS);
}

/* How much of a period was in at the end of each of its days. */
typedef struct Profile
{
	int			ndays;
	double	   *shares;			/* of ndays + 1: 0 days gone, 1, ... */
	double		weight;			/* of the closed periods it is the mean of */
} Profile;

/* Of closed periods; denominators: of what is divided by. */
static Profile
profile_of(const KpiPlace *place, double *const *days, const int *lengths, int nperiods)
{
	Profile		profile = {.ndays = kpi_value_place_end(place) + 1 - place->start};
	double	   *shares = palloc(Max(nperiods, 1) * sizeof(double));

	profile.shares = palloc((profile.ndays + 1) * sizeof(double));
	for (int d = 0; d <= profile.ndays; d++)
	{
		for (int i = 0; i < nperiods; i++)
			shares[i] = kpi_goal_share_in(days[i], lengths[i], d / (double) profile.ndays);
		profile.shares[d] = kpi_goal_profile_mean(shares, nperiods, &profile.weight);
	}
	return profile;
}

static void
read_profiles(const KpiHistory *history, const KpiPlace *place, Profile *numerators, Profile *denominators)
{
	double	  **days[2] = {palloc(MAX_PERIODS * sizeof(double *)), palloc(MAX_PERIODS * sizeof(double *))};
	int			lengths[MAX_PERIODS];

	/* Net flows of days go up and down: no share of them is ever in. */
	int			nperiods = history->program->grain > KPI_DAY || history->shape == KPI_SHAPE_BALANCE ? 0 : history->closed.n;

	for (int i = 0; i < nperiods; i++)
	{
		const KpiPlace *at = &history->closed.places[i];
		Days		read = read_days(history, at, at->start, kpi_value_place_end(at));

		lengths[i] = kpi_value_place_end(at) + 1 - at->start;
		days[0][i] = read.numerators;
		days[1][i] = read.denominators;
	}
	*numerators = profile_of(place, days[0], lengths, nperiods);
	*denominators = profile_of(place, days[1], lengths, nperiods);
}

static Datum
profile_datum(const Profile *profile)
{
	Datum	   *items = palloc((profile->ndays + 1) * sizeof(Datum));

	for (int d = 0; d <= profile->ndays; d++)
		items[d] = Float8GetDatum(profile->shares[d]);
	return PointerGetDatum(construct_array(items, profile->ndays + 1, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

KpiHistory *
kpi_goal_history(const KpiProgram *program, DateADT start, DateADT today)
{
	KpiHistory *history = palloc0(sizeof(KpiHistory));

	history->program = program;
	history->shape = program->nodes[program->nnodes - 1].shape;
	history->today = today;
	find_first_fact(history, Min(start, today));
	return history;
}

/*
 * kpi_internal.forecast_company_of(program, grain, start): season, noise, shares,
 * weight, denominator_shares, denominator_weight
 */
Datum
kpi_sql_forecast_company(PG_FUNCTION_ARGS)
{
	const KpiProgram *program = kpi_model_program(PG_GETARG_TEXT_PP(0));
	KpiPlace	place = company_place((KpiGrain) PG_GETARG_INT32(1), PG_GETARG_DATEADT(2));
	KpiHistory *history = kpi_goal_history(program, place.start, place.start);
	Profile		numerators;
	Profile		denominators;
	TupleDesc	tupdesc;
	Datum		values[6];
	bool		nulls[6] = {false};
	double		noise;
	bool		may_fall;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Float8GetDatum(kpi_goal_history_season(history, &place));
	/* The variance of all is not that of one. */
	noise = history->shape == KPI_SHAPE_BALANCE ? KPI_UNKNOWN : kpi_goal_history_noise(history, &place, &may_fall);
	values[1] = Float8GetDatum(noise);
	nulls[1] = isnan(noise);
	read_closed(history, &place);
	read_profiles(history, &place, &numerators, &denominators);
	values[2] = profile_datum(&numerators);
	values[3] = Float8GetDatum(numerators.weight);
	nulls[4] = nulls[5] = history->shape != KPI_SHAPE_QUOTIENT;
	values[4] = profile_datum(&denominators);
	values[5] = Float8GetDatum(denominators.weight);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* ---- a scope ---- */

/* How many periods of a finer grain one holds. */
static double
how_many(KpiGrain grain, KpiGrain finer, const KpiPlace *place)
{
	if (grain == KPI_QUARTER && finer == KPI_WEEK)
		return 13;
	if (finer == KPI_WEEK)
		return grain == KPI_YEAR ? 52 : (kpi_value_place_end(place) + 1 - place->start) / 7.0;
	return kpi_goal_grain_months(grain) / kpi_goal_grain_months(finer);
}

/* The level of the next finer grain that has closed periods, as much as the period holds. */
static bool
finer_level(KpiHistory *history, const KpiPlace *place, KpiBasis *basis)
{
	const Closed *closed = &history->closed;

	for (KpiGrain grain = place->grain - 1; grain >= KPI_WEEK && grain >= history->program->grain; grain--)
	{
		KpiPlace	finer = *place;
		double		n = how_many(place->grain, grain, place);

		finer.grain = grain;
		finer.start = kpi_calendar_period_start(grain, place->start, kpi_calendar_get(KPI_DEFAULT_CALENDAR));
		read_closed(history, &finer);
		if (closed->n == 0)
			continue;
		basis->level = n * kpi_goal_level(closed->numerators, closed->n, grain);
		basis->level_denominator = n * kpi_goal_level(closed->denominators, closed->n, grain);
		return true;
	}
	return false;
}

KpiBasis
kpi_goal_history_basis(KpiHistory *history, const KpiPlace *place)
{
	const Closed *closed = &history->closed;
	KpiBasis	basis = {.basis = "target"};

	read_closed(history, place);
	basis.closed_periods = closed->n;
	if (history->shape == KPI_SHAPE_OTHER)
		basis.basis = "none";
	else if (closed->n > 0)
	{
		basis.basis = "history";
		basis.level = kpi_goal_level(closed->numerators, closed->n, place->grain);
		basis.level_denominator = kpi_goal_level(closed->denominators, closed->n, place->grain);
	}
	else if (finer_level(history, place, &basis))
		basis.basis = "finer";
	return basis;
}

double
kpi_goal_history_filled(KpiHistory *history, const KpiPlace *place, DateADT day, bool of_denominator,
						int32 calendar_id)
{
	KpiPlace	company = company_place(place->grain, place->start);
	DateADT		end = kpi_value_place_end(place);
	double		gone = kpi_goal_gone_days(place->start, end, day);
	double		shares[MAX_PERIODS];
	int			n = 0;

	if (day < place->start || day >= end)
		return day >= end;
	read_closed(history, &company);
	/* As read_profiles() has it. */
	if (history->program->grain == KPI_DAY && history->shape != KPI_SHAPE_BALANCE)
	{
		for (; n < history->closed.n; n++)
		{
			const KpiPlace *at = &history->closed.places[n];
			DateADT		last = kpi_value_place_end(at);
			Days		days = read_days(history, at, at->start, last);

			shares[n] = kpi_goal_share_in(of_denominator ? days.denominators : days.numerators, last + 1 - at->start, gone);
		}
	}
	return kpi_goal_profile(kpi_goal_gone_workdays(place->start, end, day, kpi_calendar_get(calendar_id)), shares, n);
}

double
kpi_goal_history_growth(KpiHistory *history, const KpiPlace *place, int *n)
{
	const Closed *closed = &history->closed;
	double		previous = KPI_UNKNOWN;
	double		sum = 0;

	*n = 0;
	if (history->shape != KPI_SHAPE_ADDITIVE && history->shape != KPI_SHAPE_QUOTIENT)
		return KPI_UNKNOWN;
	read_closed(history, place);
	for (int i = 0; i < closed->n; i++)
	{
		double		value = closed->numerators[i];

		if (history->shape == KPI_SHAPE_QUOTIENT)
			value = closed->denominators[i] > 0 ? value / closed->denominators[i] : KPI_UNKNOWN;
		if (previous > 0 && !isnan(value))
		{
			sum += value / previous - 1;
			(*n)++;
		}
		previous = value;
	}
	return *n > 0 ? sum / *n : KPI_UNKNOWN;
}

Numeric
kpi_goal_history_best(KpiHistory *history, const KpiPlace *place, bool down, KpiPlace *best)
{
	const Closed *closed = &history->closed;
	Numeric		found = NULL;

	read_closed(history, place);
	for (int i = 0; i < closed->n; i++)
	{
		KpiValue	value;
		int			order;

		if (!kpi_value_at(history->program, &closed->places[i], &value) || value.value == NULL)
			continue;
		order = found == NULL ? 1 : DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(value.value),
																	  NumericGetDatum(found)));
		if (found != NULL && (down ? order >= 0 : order <= 0))
			continue;
		found = value.value;
		*best = closed->places[i];
	}
	return found;
}

/*
 * kpi_internal.forecast_scope_of(program, scope_kind, scope_id, dim_id, grain, start):
 * basis, closed_periods, level, level_denominator, noise, may_fall
 */
Datum
kpi_sql_forecast_scope(PG_FUNCTION_ARGS)
{
	const KpiProgram *program = kpi_model_program(PG_GETARG_TEXT_PP(0));
	KpiPlace	place = {
		(KpiScopeKind) PG_GETARG_INT32(1), PG_GETARG_INT32(2), (KpiGrain) PG_GETARG_INT32(4),
		PG_GETARG_INT32(3), PG_GETARG_DATEADT(5)
	};
	KpiHistory *history = kpi_goal_history(program, place.start, place.start);
	KpiBasis	basis = kpi_goal_history_basis(history, &place);
	bool		may_fall;
	double		noise = kpi_goal_history_noise(history, &place, &may_fall);
	TupleDesc	tupdesc;
	Datum		values[6];
	bool		nulls[6] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(basis.basis);
	values[1] = Int32GetDatum(basis.closed_periods);
	nulls[2] = strcmp(basis.basis, "target") == 0 || strcmp(basis.basis, "none") == 0;
	values[2] = Float8GetDatum(basis.level);
	nulls[3] = nulls[2] || history->shape != KPI_SHAPE_QUOTIENT;
	values[3] = Float8GetDatum(basis.level_denominator);
	nulls[4] = isnan(noise);
	values[4] = Float8GetDatum(noise);
	values[5] = BoolGetDatum(may_fall);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
