/*-------------------------------------------------------------------------
 *
 * goal_period.c
 *	  Periods of goals as people write them.
 *
 *	period:		2026 | 2026-Q4 | 2026-10 | 2026-W41 | 2026-10-05 | FY2026 ...
 *				(this | next | last) (day | week | month | quarter | year)
 *				day .. day						both included
 *				every (day | week | month | quarter | year) [of period]
 *
 * Case and blanks between words do not matter.  Reads calendars only.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "define/define_internal.h"

#define HINT "Write a period \"2026-Q4\", \"this month\", \"next quarter\", days \"2026-10-15..2026-12-15\" (both included), or \"every month of 2026\"."

/* Words of a text, in lower case: as many as there are, up to max. */
static int
split_words(const char *text, char **words, int max)
{
	char	   *copy = pstrdup(text);
	char	   *rest = NULL;
	int			n = 0;

	for (char *p = copy; *p; p++)
		*p = pg_tolower((unsigned char) *p);
	for (char *word = strtok_r(copy, " \t\n\r", &rest); word != NULL && n < max; word = strtok_r(NULL, " \t\n\r", &rest))
		words[n++] = word;
	return n;
}

pg_noreturn static void
malformed(const char *text, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("period \"%s\" is malformed", text),
			 errdetail("%s", detail),
			 errhint(HINT)));
}

static void
set_period(KpiGoalPeriod *period, KpiGrain grain, DateADT start, const KpiCalendar *cal)
{
	period->grain = grain;
	period->start = start;
	period->end = kpi_calendar_period_end(grain, start, cal);
	kpi_calendar_period_name(grain, start, cal, period->name);
}

static KpiGrain
grain_word(const char *text, const char *word)
{
	KpiGrain	grain;

	if (!kpi_calendar_grain_parse(word, &grain))
		malformed(text, psprintf("Read \"%s\", where day, week, month, quarter or year is expected.", word));
	return grain;
}

/* "this month" */
static bool
relative_period(const char *text, char **words, int n, const KpiCalendar *cal, DateADT today, KpiGoalPeriod *period)
{
	static const char *const steps[] = {"last", "this", "next"};

	for (int i = 0; n > 0 && i < lengthof(steps); i++)
	{
		KpiGrain	grain;
		DateADT		start;

		if (strcmp(words[0], steps[i]) != 0)
			continue;
		if (n != 2)
			malformed(text, psprintf("After \"%s\" comes one word: day, week, month, quarter or year.", steps[i]));
		grain = grain_word(text, words[1]);
		start = kpi_calendar_period_start(grain, today, cal);
		set_period(period, grain, kpi_calendar_period_shift(grain, start, i - 1, cal), cal);
		return true;
	}
	return false;
}

/* "2026-10-15..2026-12-15" */
static bool
range_period(const char *text, const KpiCalendar *cal, KpiGoalPeriod *period)
{
	char	   *problem;

	if (!kpi_calendar_range_parse(text, cal, &period->start, &period->end, &problem))
		return false;
	if (problem != NULL)
		malformed(text, problem);
	period->range = true;
	period->grain = KPI_DAY;
	snprintf(period->name, sizeof(period->name), "%s..%s", kpi_day_text(period->start), kpi_day_text(period->end));
	return true;
}

/* "every month of 2026" */
static bool
recurring_period(const char *text, char **words, int n, const KpiCalendar *cal, DateADT today, KpiGoalPeriod *period)
{
	const char *grain_name;

	if (n == 0 || strcmp(words[0], "every") != 0)
		return false;
	if (strstr(text, "..") != NULL)
		malformed(text, "What recurs is for all periods, or for those of a longer one, not from one day to another.");
	if (n < 2)
		malformed(text, "After \"every\" comes day, week, month, quarter or year.");
	period->recurring = true;
	period->grain = grain_word(text, words[1]);
	grain_name = kpi_calendar_grain_name(period->grain);
	if (n == 2)
	{
		period->start = kpi_calendar_period_start(period->grain, today, cal);
		period->end = DATEVAL_NOEND;
		snprintf(period->name, sizeof(period->name), "every %s", grain_name);
	}
	else
	{
		KpiGrain	longer;
		char		name[KPI_PERIOD_NAME_LEN];
		DateADT		start;

		if (n != 4 || strcmp(words[2], "of") != 0)
			malformed(text, psprintf("After \"every %s\" comes nothing, or \"of\" and one longer period.", grain_name));
		kpi_calendar_period_parse(words[3], cal, &longer, &start);
		if (longer <= period->grain)
			malformed(text, psprintf("A %s has no %ss.", kpi_calendar_grain_name(longer), grain_name));
		period->end = kpi_calendar_period_end(longer, start, cal);
		/* Weeks that begin in it. */
		period->start = kpi_calendar_period_start(period->grain, start, cal);
		if (period->start < start)
			period->start = kpi_calendar_period_shift(period->grain, period->start, 1, cal);
		period->end = kpi_calendar_period_end(period->grain, period->end, cal);
		kpi_calendar_period_name(longer, start, cal, name);
		snprintf(period->name, sizeof(period->name), "every %s of %s", grain_name, name);
	}
	return true;
}

void
kpi_define_goal_period_parse(const char *text, const KpiCalendar *cal, DateADT today, KpiGoalPeriod *period)
{
	char	   *words[5];
	int			n = split_words(text, words, lengthof(words));
	KpiGrain	grain;
	DateADT		start;

	memset(period, 0, sizeof(*period));
	if (recurring_period(text, words, n, cal, today, period) ||
		relative_period(text, words, n, cal, today, period) ||
		range_period(text, cal, period))
		return;
	if (n > 1)
		malformed(text, psprintf("Read \"%s\", which is no period.", words[0]));
	kpi_calendar_period_parse(text, cal, &grain, &start);
	set_period(period, grain, start, cal);
}
