/*-------------------------------------------------------------------------
 *
 * calendar.c
 *	  Grains and periods: pure date arithmetic.
 *
 * The one place where days become periods.  Nothing here reads a table or the
 * clock (but for kpi_calendar_today()); the calendar comes from cache.c.
 *
 * Invariants, for days of years 1 to 9999: start <= day <= end; the periods of
 * a grain tile the days without gap; months nest in quarters, quarters in
 * years; kpi_calendar_period_parse() of a kpi_calendar_period_name() gives the same period.
 *
 * Names.  A week is known by the ISO week of its fourth day: for weeks that
 * start on Monday this is the ISO week itself, and for every other start each
 * week still has a number of its own.  A year that does not start in January
 * is named by the calendar year in which it ends, with 'FY' before it.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar_internal.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define MIN_YEAR 1
#define MAX_YEAR 9999

static const char *const grain_names[] = {
	"day", "week", "month", "quarter", "year", "calendar year"
};

static DateADT
day_of(int year, int month, int mday)
{
	return date2j(year, month, mday) - POSTGRES_EPOCH_JDATE;
}

bool
kpi_calendar_day_in_range(DateADT day)
{
	return day >= day_of(MIN_YEAR, 1, 1) && day <= day_of(MAX_YEAR, 12, 31);
}

DateADT
kpi_calendar_first_fact_day(void)
{
	return day_of(KPI_MIN_FACT_YEAR, 1, 1);
}

DateADT
kpi_calendar_last_fact_day(void)
{
	return day_of(KPI_MAX_FACT_YEAR, 12, 31);
}

bool
kpi_calendar_fact_day_in_range(DateADT day)
{
	return day >= kpi_calendar_first_fact_day() && day <= kpi_calendar_last_fact_day();
}

DateADT
kpi_calendar_day_clamp(DateADT day)
{
	return Max(Min(day, day_of(MAX_YEAR, 12, 31)), day_of(MIN_YEAR, 1, 1));
}

bool
kpi_calendar_grain_parse(const char *name, KpiGrain *grain)
{
	for (int i = 0; i < KPI_NGRAINS; i++)
	{
		if (strcmp(name, grain_names[i]) == 0)
		{
			*grain = (KpiGrain) i;
			return true;
		}
	}
	return false;
}

KpiGrain
kpi_calendar_grain(const char *name)
{
	KpiGrain	grain;

	if (!kpi_calendar_grain_parse(name, &grain))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("grain \"%s\" does not exist", name),
				 errhint("The grains are day, week, month, quarter and year.")));
	return grain;
}

const char *
kpi_calendar_grain_name(KpiGrain grain)
{
	return grain_names[grain];
}

/* 1 = Monday to 7 = Sunday. */
int
kpi_calendar_iso_weekday(DateADT day)
{
	int			dow = j2day(day + POSTGRES_EPOCH_JDATE);

	return dow == 0 ? 7 : dow;
}

static const char *const weekday_names[] = {
	NULL, "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"
};

const char *
kpi_calendar_weekday_name(int iso_weekday)
{
	return weekday_names[iso_weekday];
}

int
kpi_calendar_weekday_parse(const char *name)
{
	for (int i = 1; i <= 7; i++)
	{
		if (pg_strcasecmp(name, weekday_names[i]) == 0 ||
			(strlen(name) == 3 && pg_strncasecmp(name, weekday_names[i], 3) == 0))
			return i;
	}
	return 0;
}

bool
kpi_calendar_working_days_parse(const char *list, bool working_day[8], const char **bad)
{
	char	   *copy = pstrdup(list);
	char	   *state = NULL;
	int			n = 0;

	memset(working_day, 0, 8 * sizeof(bool));
	for (char *piece = strtok_r(copy, ", ", &state); piece != NULL;
		 piece = strtok_r(NULL, ", ", &state))
	{
		int			weekday = kpi_calendar_weekday_parse(piece);

		if (weekday == 0)
		{
			if (bad != NULL)
				*bad = piece;
			return false;
		}
		working_day[weekday] = true;
		n++;
	}
	if (n == 0 && bad != NULL)
		*bad = "";
	return n > 0;
}

/* Months since January of year 0. */
static int
month_index(DateADT day)
{
	int			year,
				month,
				mday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	return year * 12 + month - 1;
}

static int
floor_div(int a, int b)
{
	return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static DateADT
month_start(int index)
{
	int			year = floor_div(index, 12);

	return day_of(year, index - year * 12 + 1, 1);
}

/* How many months the grain's periods last; 0 for days and weeks. */
static int
grain_months(KpiGrain grain)
{
	switch (grain)
	{
		case KPI_DAY:
		case KPI_WEEK:
			return 0;
		case KPI_MONTH:
			return 1;
		case KPI_QUARTER:
			return 3;
		case KPI_YEAR:
		case KPI_ANCHOR_YEAR:
			return 12;
	}
	elog(ERROR, "unrecognized grain %d", (int) grain);
	return 0;
}

DateADT
kpi_calendar_period_start(KpiGrain grain, DateADT day, const KpiCalendar *cal)
{
	int			months = grain_months(grain);
	int			first = grain == KPI_ANCHOR_YEAR ? 0 : cal->fiscal_start - 1;

	if (grain == KPI_DAY)
		return day;
	if (grain == KPI_WEEK)
		return day - (kpi_calendar_iso_weekday(day) - cal->week_start + 7) % 7;

	/* A month starts on the same day whatever the fiscal year. */
	return month_start(floor_div(month_index(day) - first, months) * months + first);
}

/* kpi_calendar_period_shift() for n that cannot overflow. */
static DateADT
shift(KpiGrain grain, DateADT start, int n)
{
	if (grain == KPI_DAY)
		return start + n;
	if (grain == KPI_WEEK)
		return start + 7 * n;
	return month_start(month_index(start) + n * grain_months(grain));
}

DateADT
kpi_calendar_period_end(KpiGrain grain, DateADT day, const KpiCalendar *cal)
{
	return shift(grain, kpi_calendar_period_start(grain, day, cal), 1) - 1;
}

/*
 * Start of the period n periods later (or earlier); error when no day of it
 * lies in years 1 to 9999.
 */
DateADT
kpi_calendar_period_shift(KpiGrain grain, DateADT start, int n, const KpiCalendar *cal)
{
	/* More than the days of all years there are: far beyond in any grain. */
	const int	too_many = (MAX_YEAR + 2) * 366;

	if (n > -too_many && n < too_many)
	{
		/* Days and weeks stay within 32 bits, months within 2^31 / 12. */
		int			limited = n;
		DateADT		result;

		if (grain != KPI_DAY && grain != KPI_WEEK)
			limited = Max(Min(n, (MAX_YEAR + 2) * 12), -(MAX_YEAR + 2) * 12);
		result = shift(grain, start, limited);
		if (kpi_calendar_day_in_range(result) || kpi_calendar_day_in_range(shift(grain, result, 1) - 1))
			return result;
	}

	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
			 errmsg("period out of range"),
			 errdetail("Periods lie in years 1 to 9999.")));
	return 0;
}

/* Monday of week 1 of an ISO year: the week that holds January 4. */
static DateADT
iso_year_start(int year)
{
	DateADT		jan4 = day_of(year, 1, 4);

	return jan4 - (kpi_calendar_iso_weekday(jan4) - 1);
}

/* The ISO week of the week's fourth day. */
static void
week_number(DateADT start, int *year, int *week)
{
	DateADT		fourth = start + 3;
	DateADT		thursday = fourth - (kpi_calendar_iso_weekday(fourth) - 1) + 3;
	int			month,
				mday;

	j2date(thursday + POSTGRES_EPOCH_JDATE, year, &month, &mday);
	*week = (thursday - day_of(*year, 1, 1)) / 7 + 1;
}

/* Start of the week with this number; it may belong to the year after. */
static DateADT
week_start(int year, int week, const KpiCalendar *cal)
{
	DateADT		monday = iso_year_start(year) + (week - 1) * 7;
	int			fourth = (cal->week_start + 2) % 7;

	return monday + fourth - 3;
}

void
kpi_calendar_period_name(KpiGrain grain, DateADT start, const KpiCalendar *cal, char *buf)
{
	const char *prefix = cal->fiscal_start == 1 ? "" : "FY";
	int			year,
				month,
				mday,
				week;

	j2date(start + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	switch (grain)
	{
		case KPI_DAY:
			snprintf(buf, KPI_PERIOD_NAME_LEN, "%04d-%02d-%02d", year, month, mday);
			return;
		case KPI_WEEK:
			week_number(start, &year, &week);
			snprintf(buf, KPI_PERIOD_NAME_LEN, "%04d-W%02d", year, week);
			return;
		case KPI_MONTH:
			snprintf(buf, KPI_PERIOD_NAME_LEN, "%04d-%02d", year, month);
			return;
		case KPI_QUARTER:
			if (cal->fiscal_start > 1 && month >= cal->fiscal_start)
				year++;
			snprintf(buf, KPI_PERIOD_NAME_LEN, "%s%04d-Q%d", prefix, year,
					 (month - cal->fiscal_start + 12) % 12 / 3 + 1);
			return;
		case KPI_YEAR:
			if (cal->fiscal_start > 1)
				year++;
			snprintf(buf, KPI_PERIOD_NAME_LEN, "%s%04d", prefix, year);
			return;
		case KPI_ANCHOR_YEAR:
			snprintf(buf, KPI_PERIOD_NAME_LEN, "%04d", year);
			return;
	}
	elog(ERROR, "unrecognized grain %d", (int) grain);
}

pg_noreturn static void
period_malformed(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
			 errmsg("period \"%s\" is malformed", name),
			 errhint("Write a year \"2026\", a quarter \"2026-Q4\", a month \"2026-10\", a week \"2026-W41\" or a day \"2026-10-05\"; with fiscal years, \"FY2026\" and \"FY2026-Q4\".")));
}

pg_noreturn static void
period_out_of_range(const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
			 errmsg("period \"%s\" does not exist", name),
			 errhint("%s", hint)));
}

/* Exactly n digits at *p, which moves on; -1 when they are not there. */
static int
take_digits(const char **p, int n)
{
	int			value = 0;

	for (int i = 0; i < n; i++)
	{
		if (**p < '0' || **p > '9')
			return -1;
		value = value * 10 + (*(*p)++ - '0');
	}
	return value;
}

static bool
take_letter(const char **p, char upper)
{
	if (pg_toupper((unsigned char) **p) != upper)
		return false;
	(*p)++;
	return true;
}

/*
 * What stands after the year and a dash.  Returns false when it is no form of
 * a period; *part is the number of the quarter, week or month, *mday of the
 * day.
 */
static bool
parse_part(const char *p, KpiGrain *grain, int *part, int *mday)
{
	*mday = 1;
	if (take_letter(&p, 'Q'))
	{
		*grain = KPI_QUARTER;
		*part = take_digits(&p, 1);
	}
	else if (take_letter(&p, 'W'))
	{
		*grain = KPI_WEEK;
		*part = take_digits(&p, 2);
	}
	else
	{
		*grain = KPI_MONTH;
		*part = take_digits(&p, 2);
		if (*part >= 0 && *p == '-')
		{
			p++;
			*grain = KPI_DAY;
			*mday = take_digits(&p, 2);
		}
	}
	return *part >= 0 && *mday >= 0 && *p == '\0';
}

static DateADT
fiscal_start_of(int year, int quarter, const KpiCalendar *cal)
{
	int			first = cal->fiscal_start - 1;

	return month_start((first > 0 ? year - 1 : year) * 12 + first + (quarter - 1) * 3);
}

static void
refuse_fiscal_name(const char *name, const char *plain, const KpiCalendar *cal)
{
	if (cal->fiscal_start == 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
				 errmsg("period \"%s\" is a fiscal one, but years of calendar \"%s\" start in January",
						name, cal->name),
				 errhint("Write \"%s\", or set the calendar's fiscal_year_start with kpi.alter_calendar().",
						 plain)));
}

void
kpi_calendar_period_parse(const char *name, const KpiCalendar *cal, KpiGrain *grain, DateADT *start)
{
	const char *p = name;
	bool		fiscal = take_letter(&p, 'F') && take_letter(&p, 'Y');
	const char *plain = p;
	int			year,
				part = 1,
				mday = 1,
				found_year,
				found_week;

	if (!fiscal)
		plain = p = name;
	year = take_digits(&p, 4);
	*grain = KPI_YEAR;
	if (year < 0 || (*p != '\0' && *p != '-'))
		period_malformed(name);
	if (*p == '-' && !parse_part(p + 1, grain, &part, &mday))
		period_malformed(name);
	if (fiscal && *grain != KPI_YEAR && *grain != KPI_QUARTER)
		period_malformed(name);
	if (fiscal)
		refuse_fiscal_name(name, plain, cal);
	if (year < MIN_YEAR)
		period_out_of_range(name, "Years go from 0001 to 9999.");

	switch (*grain)
	{
		case KPI_YEAR:
			*start = fiscal_start_of(year, 1, cal);
			break;
		case KPI_QUARTER:
			if (part < 1 || part > 4)
				period_out_of_range(name, "Quarters go from Q1 to Q4.");
			*start = fiscal_start_of(year, part, cal);
			break;
		case KPI_WEEK:
			*start = week_start(year, part, cal);
			week_number(*start, &found_year, &found_week);
			if (found_year != year || found_week != part)
				period_out_of_range(name, "Weeks go from W01 to W52, in some years to W53.");
			break;
		case KPI_MONTH:
		case KPI_DAY:
			if (part < 1 || part > MONTHS_PER_YEAR)
				period_out_of_range(name, "Months go from 01 to 12.");
			if (mday < 1 || mday > day_tab[isleap(year)][part - 1])
				period_out_of_range(name, "The month has no such day.");
			*start = day_of(year, part, mday);
			break;
		case KPI_ANCHOR_YEAR:
			break;
	}
}

/* Index of the first holiday on the day or after it. */
static int
first_holiday(const KpiCalendar *cal, DateADT day)
{
	int			low = 0;
	int			high = cal->nholidays;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (cal->holidays[middle] < day)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
kpi_calendar_is_workday(DateADT day, const KpiCalendar *cal)
{
	int			i;

	if (!cal->working_day[kpi_calendar_iso_weekday(day)])
		return false;
	i = first_holiday(cal, day);
	return i == cal->nholidays || cal->holidays[i] != day;
}

int
kpi_calendar_workdays(DateADT since, DateADT until, const KpiCalendar *cal)
{
	int			per_week = 0;
	int			days;
	int			count;

	since = Max(since, day_of(MIN_YEAR, 1, 1));
	until = Min(until, day_of(MAX_YEAR, 12, 31));
	if (until < since)
		return 0;

	for (int i = 1; i <= 7; i++)
		per_week += cal->working_day[i];
	days = until - since + 1;
	count = days / 7 * per_week;
	for (DateADT day = since + days / 7 * 7; day <= until; day++)
		count += cal->working_day[kpi_calendar_iso_weekday(day)];

	for (int i = first_holiday(cal, since);
		 i < cal->nholidays && cal->holidays[i] <= until; i++)
		count -= cal->working_day[kpi_calendar_iso_weekday(cal->holidays[i])];

	return count;
}

/*
 * The zone is taken as AT TIME ZONE takes it, so that "today" and the days of
 * facts follow the same rules.  Asked on each row of a view, so the last answer
 * is kept.
 */
DateADT
kpi_calendar_today_in(const char *time_zone)
{
	static char last_zone[TZ_STRLEN_MAX + 1] = "";
	static TimestampTz last_now = 0;
	static DateADT last_today = 0;
	TimestampTz now = kpi_now();

	if (now != last_now || strcmp(time_zone, last_zone) != 0)
	{
		Datum		local = DirectFunctionCall2(timestamptz_zone, CStringGetTextDatum(time_zone),
												TimestampTzGetDatum(now));

		last_today = DatumGetDateADT(DirectFunctionCall1(timestamp_date, local));
		strlcpy(last_zone, time_zone, sizeof(last_zone));
		last_now = now;
	}
	return last_today;
}

DateADT
kpi_calendar_today(const KpiCalendar *cal)
{
	return kpi_calendar_today_in(cal->time_zone);
}
