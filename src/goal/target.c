/*-------------------------------------------------------------------------
 *
 * target.c
 *	  Targets as people write them.
 *
 *	target:		[at least | at most] value		the better side of the KPI, if not said
 *				value .. value					between, both included
 *				[at least | at most] change than
 *				[at least | at most] avg of N periods change
 *	value:		number | number % | number second(s), minute(s), hour(s), day(s), week(s)
 *	change:		a number with its sign and % (of what it is compared with), or pp
 *				(points, which are added)
 *	than:		yoy | qoq | mom | wow
 *	periods:	weeks | months | quarters | years
 *
 * Case and blanks between words do not matter.  A percent is a fraction or a number of
 * percents, as the KPI stores it, and means nothing of money or a count.  Reading
 * a target depends on nothing but its text and the KPI's definition.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "goal/goal.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#define FORMS "Write a number '2000000', a percent '65%%', a change '+5%% yoy' (or qoq, mom, wow; in points '+2pp yoy'), 'avg of 4 quarters +10%%', a range '40..60', 'at least 40' or 'at most 200'; of a KPI in a unit of time '1 hour'."

/* Periods are averaged over as many at most. */
#define MAX_PERIODS 100

typedef struct Parser
{
	const char *what;			/* "target" */
	const char *text;
	const char *next;
	const KpiTargetGround *ground;
} Parser;

/* A number and what stands behind it. */
typedef struct Amount
{
	const char *start;
	Numeric		number;
	bool		is_signed;
	bool		percent;
	bool		points;
	int			seconds;		/* of its unit of time; 0: none */
} Amount;

static const struct
{
	const char *word;
	KpiBaseline baseline;
	KpiGrain	grain;
}			comparisons[] = {
	{"yoy", KPI_BASELINE_YEAR_AGO, KPI_YEAR},
	{"qoq", KPI_BASELINE_PREVIOUS, KPI_QUARTER},
	{"mom", KPI_BASELINE_PREVIOUS, KPI_MONTH},
	{"wow", KPI_BASELINE_PREVIOUS, KPI_WEEK}
};

/* The comparison of periods of a grain with those before them; NULL: there is none. */
static const char *
comparison_of_grain(KpiGrain grain)
{
	for (int i = 1; i < lengthof(comparisons); i++)
	{
		if (comparisons[i].grain == grain)
			return comparisons[i].word;
	}
	return NULL;
}

static const struct
{
	const char *word;
	int			seconds;
}			time_units[] = {
	{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}, {"week", 604800}
};

const char *
kpi_goal_target_kind_name(KpiTargetKind kind)
{
	switch (kind)
	{
		case KPI_AT_LEAST:
			return "at_least";
		case KPI_AT_MOST:
			return "at_most";
		case KPI_BETWEEN:
			return "between";
	}
	elog(ERROR, "unrecognized kind of target %d", (int) kind);
	return NULL;
}

/* ---- words ---- */

static void
skip_blanks(Parser *parser)
{
	while (isspace((unsigned char) *parser->next))
		parser->next++;
}

/* What has been read, for people. */
static char *
read_so_far(Parser *parser)
{
	const char *start = parser->text;
	int			length;

	while (isspace((unsigned char) *start))
		start++;
	length = parser->next - start;
	while (length > 0 && isspace((unsigned char) start[length - 1]))
		length--;
	return length > 0 ? pnstrdup(start, length) : NULL;
}

/* What stands next is not what it should be. */
pg_noreturn static void
malformed(Parser *parser, const char *expected)
{
	char	   *before = read_so_far(parser);
	char	   *rest = *parser->next != '\0' ? psprintf("\"%s\"", parser->next) : pstrdup("nothing");

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" is malformed", parser->what, parser->text),
			 before ?
			 errdetail("Read \"%s\"; then comes %s, where %s is expected.", before, rest, expected) :
			 errdetail("It begins with %s, where %s is expected.", rest, expected),
			 errhint(FORMS)));
}

/* A word of letters, in lower case; NULL, and nothing read, if there is none. */
static char *
take_word(Parser *parser)
{
	const char *start;
	char	   *word;

	skip_blanks(parser);
	start = parser->next;
	while (isalpha((unsigned char) *parser->next))
		parser->next++;
	if (parser->next == start)
		return NULL;
	word = pnstrdup(start, parser->next - start);
	for (char *p = word; *p; p++)
		*p = pg_tolower((unsigned char) *p);
	return word;
}

/* The word, or one of two; nothing is read if it is another. */
static bool
take_this_word(Parser *parser, const char *word, const char *other)
{
	const char *start = parser->next;
	char	   *found = take_word(parser);

	if (found != NULL && (strcmp(found, word) == 0 || (other != NULL && strcmp(found, other) == 0)))
		return true;
	parser->next = start;
	return false;
}

static void
require_word(Parser *parser, const char *word, const char *other, const char *expected)
{
	skip_blanks(parser);
	if (!take_this_word(parser, word, other))
		malformed(parser, expected);
}

/* ---- numbers ---- */

static const char *
skip_digits(const char *p, bool *any)
{
	for (; *p >= '0' && *p <= '9'; p++)
		*any = true;
	return p;
}

/* A finite decimal, as numeric's input takes it; "1..2" are two.  NULL if there is none. */
static const char *
end_of_number(const char *start)
{
	const char *p = start;
	bool		digits = false;

	if (*p == '+' || *p == '-')
		p++;
	p = skip_digits(p, &digits);
	if (*p == '.' && p[1] != '.')
		p = skip_digits(p + 1, &digits);
	if (!digits)
		return NULL;
	if (*p == 'e' || *p == 'E')
	{
		const char *exponent = p + 1;

		digits = false;
		if (*exponent == '+' || *exponent == '-')
			exponent++;
		exponent = skip_digits(exponent, &digits);
		if (digits)
			return exponent;
	}
	return p;
}

static Numeric
numeric_of(const char *text)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static Numeric
call(PGFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

static Numeric
trimmed(Numeric number)
{
	return DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(number)));
}

/* Exact: the decimal point moves. */
static Numeric
hundredth(Numeric number)
{
	return trimmed(call(numeric_mul, number, numeric_of("0.01")));
}

/* "hour" and "hours"; 0: it is no unit of time. */
static int
seconds_of(const char *word)
{
	for (int i = 0; i < lengthof(time_units); i++)
	{
		size_t		length = strlen(time_units[i].word);

		if (strncmp(word, time_units[i].word, length) == 0 &&
			(word[length] == '\0' || strcmp(word + length, "s") == 0))
			return time_units[i].seconds;
	}
	return 0;
}

static Amount
take_amount(Parser *parser)
{
	Amount		amount = {0};
	const char *end;
	const char *unit;
	char	   *word;

	skip_blanks(parser);
	amount.start = parser->next;
	amount.is_signed = *parser->next == '+' || *parser->next == '-';
	end = end_of_number(parser->next);
	if (end == NULL)
		malformed(parser, "a number");
	amount.number = numeric_of(pnstrdup(parser->next, end - parser->next));
	parser->next = end;

	skip_blanks(parser);
	unit = parser->next;
	if (*unit == '%')
	{
		parser->next++;
		amount.percent = true;
		return amount;
	}
	word = take_word(parser);
	if (word != NULL && strcmp(word, "pp") == 0)
		amount.points = true;
	else if (word != NULL && (amount.seconds = seconds_of(word)) == 0)
		parser->next = unit;
	return amount;
}

/* As the amount was written. */
static char *
amount_text(Parser *parser, const Amount *amount)
{
	return pnstrdup(amount->start, parser->next - amount->start);
}

pg_noreturn static void
refuse_percent(Parser *parser, const Amount *amount)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" means nothing for KPI \"%s\"", parser->what, parser->text, parser->ground->kpi),
			 amount->points ?
			 errdetail("Read \"%s\": points are added to a rate, and the KPI is none; nor is its unit %%.",
					   amount_text(parser, amount)) :
			 errdetail("Read \"%s\": a percent is the value of a rate, and the KPI is none; nor is its unit %%.",
					   amount_text(parser, amount)),
			 errhint("Give a number, or a change against another period, e.g. '+5%% yoy'.")));
}

/* What it is in the KPI's unit. */
static Numeric
in_unit(Parser *parser, const Amount *amount)
{
	int			unit = parser->ground->seconds;

	if (amount->percent || amount->points)
	{
		if (parser->ground->scale == KPI_SCALE_NONE)
			refuse_percent(parser, amount);
		return parser->ground->scale == KPI_SCALE_FRACTION ? hundredth(amount->number) : amount->number;
	}
	if (amount->seconds == 0 || amount->seconds == unit)
		return amount->number;
	if (unit == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" means nothing for KPI \"%s\"", parser->what, parser->text, parser->ground->kpi),
				 errdetail("Read \"%s\": the unit of the KPI is none of time.", amount_text(parser, amount)),
				 errhint("Give a number in the KPI's unit.")));
	return trimmed(call(numeric_div, call(numeric_mul, amount->number, int64_to_numeric(amount->seconds)),
						int64_to_numeric(unit)));
}

/* ---- changes ---- */

static void
set_change(Parser *parser, const Amount *amount, KpiTargetText *target)
{
	target->points = amount->points;
	target->change = amount->points ? in_unit(parser, amount) : hundredth(amount->number);
}

static void
take_comparison(Parser *parser, KpiTargetText *target)
{
	const char *start;
	char	   *word;

	skip_blanks(parser);
	start = parser->next;
	word = take_word(parser);
	for (int i = 0; word != NULL && i < lengthof(comparisons); i++)
	{
		if (strcmp(word, comparisons[i].word) == 0)
		{
			target->baseline = comparisons[i].baseline;
			target->grain = comparisons[i].grain;
			return;
		}
	}
	parser->next = start;
	malformed(parser, "what it is compared with (yoy, qoq, mom, wow)");
}

/* After "avg": of 4 quarters +10% */
static void
take_average(Parser *parser, KpiTargetText *target)
{
	Amount		amount;
	char	   *word;
	const char *start;
	bool		digits = false;

	require_word(parser, "of", NULL, "\"of\"");
	skip_blanks(parser);
	start = parser->next;
	for (const char *end = skip_digits(start, &digits); parser->next < end; parser->next++)
		target->periods = Min(target->periods * 10 + (*parser->next - '0'), MAX_PERIODS + 1);
	if (!digits || target->periods < 1 || target->periods > MAX_PERIODS)
	{
		parser->next = start;
		malformed(parser, "a number of periods from 1 to 100");
	}
	skip_blanks(parser);
	start = parser->next;
	word = take_word(parser);
	if (word != NULL && word[0] != '\0' && word[strlen(word) - 1] == 's')
		word[strlen(word) - 1] = '\0';
	if (word == NULL || !kpi_calendar_grain_parse(word, &target->grain) || target->grain == KPI_DAY)
	{
		parser->next = start;
		malformed(parser, "weeks, months, quarters or years");
	}
	skip_blanks(parser);
	start = parser->next;
	amount = take_amount(parser);
	if (!amount.is_signed || !(amount.percent || amount.points))
	{
		parser->next = start;
		malformed(parser, "a change (+10%, +2pp)");
	}
	target->baseline = KPI_BASELINE_AVERAGE;
	set_change(parser, &amount, target);
}

/* After a value and "..": the upper one. */
static void
take_upper_bound(Parser *parser, KpiTargetText *target)
{
	const char *start;
	Amount		amount;

	parser->next += 2;
	skip_blanks(parser);
	start = parser->next;
	amount = take_amount(parser);
	if (amount.points)
	{
		parser->next = start;
		malformed(parser, "a value");
	}
	target->kind = KPI_BETWEEN;
	target->high = in_unit(parser, &amount);
	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(target->target),
										  NumericGetDatum(target->high))) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" has crossed bounds", parser->what, parser->text),
				 errdetail("Read at least %s and at most %s.",
						   DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(target->target))),
						   DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(target->high)))),
				 errhint("Write the lower bound first, e.g. '40..60'.")));
}

/* A value, a range or a change; of a bound no range. */
static void
take_value(Parser *parser, bool bound, KpiTargetText *target)
{
	const char *start;
	Amount		amount;

	skip_blanks(parser);
	start = parser->next;
	amount = take_amount(parser);
	if ((amount.is_signed && amount.percent) || amount.points)
	{
		if (!amount.is_signed)
		{
			parser->next = start;
			malformed(parser, "a sign (+2pp)");
		}
		take_comparison(parser, target);
		set_change(parser, &amount, target);
		return;
	}
	target->target = in_unit(parser, &amount);
	skip_blanks(parser);
	if (!bound && strncmp(parser->next, "..", 2) == 0)
		take_upper_bound(parser, target);
}

static void
require_end(Parser *parser)
{
	skip_blanks(parser);
	if (*parser->next != '\0')
		malformed(parser, "the end");
}

void
kpi_goal_target_parse(const char *text, const KpiTargetGround *ground, KpiTargetText *target)
{
	Parser		parser = {"target", text, text, ground};
	bool		bound = false;

	memset(target, 0, sizeof(*target));
	target->kind = ground->down ? KPI_AT_MOST : KPI_AT_LEAST;
	if (take_this_word(&parser, "at", NULL))
	{
		bound = true;
		target->kind = KPI_AT_LEAST;
		skip_blanks(&parser);
		if (!take_this_word(&parser, "least", NULL))
		{
			require_word(&parser, "most", NULL, "\"least\" or \"most\"");
			target->kind = KPI_AT_MOST;
		}
	}
	if (take_this_word(&parser, "avg", "average"))
		take_average(&parser, target);
	else
		take_value(&parser, bound, target);
	require_end(&parser);
}

Numeric
kpi_goal_target_parse_number(const char *text, const char *what, const KpiTargetGround *ground)
{
	Parser		parser = {what, text, text, ground};
	Amount		amount = take_amount(&parser);

	if ((amount.is_signed && amount.percent) || amount.points)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" is malformed", what, text),
				 errdetail("Read \"%s\", which is a change.", amount_text(&parser, &amount)),
				 errhint("Only the target is relative; give the number itself.")));
	require_end(&parser);
	return in_unit(&parser, &amount);
}

void
kpi_goal_target_check_period(const char *text, const KpiTargetText *target, const char *period,
							 bool range, KpiGrain grain)
{
	const char *has = range ? "range" : kpi_calendar_grain_name(grain);
	const char *previous = range ? NULL : comparison_of_grain(grain);

	if (target->baseline == KPI_BASELINE_NONE || target->baseline == KPI_BASELINE_YEAR_AGO ||
		(!range && target->grain == grain))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("target \"%s\" does not fit period \"%s\"", text, period),
			 target->baseline == KPI_BASELINE_AVERAGE ?
			 errdetail("Read an average of %ss; the period is a %s.", kpi_calendar_grain_name(target->grain), has) :
			 errdetail("Read a change against the %s before; the period is a %s.",
					   kpi_calendar_grain_name(target->grain), has),
			 target->baseline == KPI_BASELINE_AVERAGE && previous ?
			 errhint("Write 'avg of %d %ss' and the change, or compare with the year before: yoy.", target->periods,
					 kpi_calendar_grain_name(grain)) :
			 previous ?
			 errhint("Compare with the %s before, %s, or with the year before, yoy.",
					 kpi_calendar_grain_name(grain), previous) :
			 errhint("Compare with the year before: yoy.")));
}

Numeric
kpi_goal_target_resolve(const KpiTargetText *target, Numeric baseline)
{
	Numeric		change = target->change;

	if (!target->points)
		change = call(numeric_mul, baseline, change);
	return trimmed(DatumGetNumeric(DirectFunctionCall2(numeric_round,
													   NumericGetDatum(call(numeric_add, baseline, change)),
													   Int32GetDatum(KPI_GOAL_SCALE))));
}
