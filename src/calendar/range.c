/*-------------------------------------------------------------------------
 *
 * range.c
 *	  Days from one to another, as people write them.
 *
 *	range:		day .. day						both included
 *				[day, day] | [day, day)	...		as a daterange is written
 *
 * Case and blanks around days do not matter.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "utils/builtins.h"

/* So that no range is without an end by a slip of the hand. */
#define MAX_RANGE_YEARS 10

static char *
trimmed(const char *text, const char *end)
{
	while (text < end && isspace((unsigned char) *text))
		text++;
	while (text < end && isspace((unsigned char) end[-1]))
		end--;
	return pnstrdup(text, end - text);
}

/* False: it is no day, and *problem says so. */
static bool
parse_day(char *word, const char *separator, const KpiCalendar *cal, DateADT *day, char **problem)
{
	KpiGrain	grain;

	if (*word == '\0')
	{
		*problem = psprintf("A day is missing on one side of \"%s\".", separator);
		return false;
	}
	kpi_calendar_period_parse(word, cal, &grain, day);
	if (grain != KPI_DAY)
		*problem = psprintf("Read \"%s\", which is no day.", word);
	return grain == KPI_DAY;
}

bool
kpi_calendar_range_parse(const char *text, const KpiCalendar *cal, DateADT *since, DateADT *last, char **problem)
{
	char	   *range = trimmed(text, text + strlen(text));
	char	   *end = range + strlen(range);
	bool		is_daterange = *range == '[' || *range == '(';
	const char *separator = is_daterange ? "," : "..";
	char	   *between = strstr(range, separator);
	const char *first = range;

	*problem = NULL;
	if (between == NULL && !is_daterange)
		return false;
	if (is_daterange)
	{
		first++;
		end--;
		if (between == NULL || (*end != ']' && *end != ')'))
		{
			*problem = "Read a bracket, after which two days with a comma between them and a bracket are expected.";
			return true;
		}
	}
	if (!parse_day(trimmed(first, between), separator, cal, since, problem) ||
		!parse_day(trimmed(between + strlen(separator), end), separator, cal, last, problem))
		return true;
	if (is_daterange)
	{
		*since += *range == '(';
		*last -= *end == ')';
	}
	if (*last < *since)
		*problem = psprintf("It ends on %s, before it begins on %s.", kpi_day_text(*last), kpi_day_text(*since));
	else if (*last - *since > MAX_RANGE_YEARS * 366)
		*problem = psprintf("It lasts more than %d years.", MAX_RANGE_YEARS);
	return true;
}
