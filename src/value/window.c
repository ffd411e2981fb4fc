/*-------------------------------------------------------------------------
 *
 * window.c
 *	  Windows: the days over which a KPI is evaluated, and those that functions over
 *	  time make of them.
 *
 * A window is of a place.  It is a period if it begins with the place and ends at
 * most with it; then there is one before it and one a year ago.  Other days are no
 * period, and have neither.  Periods are found by their grain and never by an
 * interval: 31 March is in March, and the month before is February whatever its
 * length.
 *
 * Weeks, quarters and years are those of the organisation's calendar, as the program
 * has it.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "utils/datetime.h"
#include "value/value_internal.h"

/* Longest steps of the calendar from a period to that of a year ago. */
#define WEEKS_A_YEAR 52

KpiPlace
kpi_value_place_shift(const KpiPlace *place, int n)
{
	KpiPlace	shifted = *place;

	shifted.start = kpi_calendar_period_shift(place->grain, place->start, n, NULL);
	return shifted;
}

/* 29 February is compared with 28 February, as the interval of a year has it. */
KpiPlace
kpi_value_place_year_ago(const KpiPlace *place)
{
	static const int periods[] = {[KPI_WEEK] = WEEKS_A_YEAR,[KPI_MONTH] = 12,[KPI_QUARTER] = 4,[KPI_YEAR] = 1};
	KpiPlace	ago = *place;
	int			year,
				month,
				mday;

	if (place->grain != KPI_DAY)
		return kpi_value_place_shift(place, -periods[place->grain]);
	j2date(place->start + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	if (month == 2 && mday == 29)
		mday = 28;
	ago.start = date2j(year - 1, month, mday) - POSTGRES_EPOCH_JDATE;
	return ago;
}

static DateADT
place_until(const KpiPlace *place)
{
	return kpi_calendar_period_shift(place->grain, place->start, 1, NULL);
}

DateADT
kpi_value_place_end(const KpiPlace *place)
{
	return place_until(place) - 1;
}

/* ---- windows of a place ---- */

KpiWindow
kpi_value_window(const KpiPlace *place)
{
	KpiWindow	window = {*place, place->start, place_until(place), true};

	return window;
}

KpiWindow
kpi_value_window_until(const KpiPlace *place, DateADT day)
{
	KpiWindow	window = kpi_value_window(place);

	window.until = Max(Min(day + 1, window.until), window.since);
	return window;
}

KpiWindow
kpi_value_window_days(const KpiPlace *place, DateADT since, DateADT day)
{
	KpiWindow	window = {*place, since, Max(day + 1, since), false};

	return window;
}

static bool
place_equal(const KpiPlace *a, const KpiPlace *b)
{
	return a->scope_kind == b->scope_kind && a->scope_id == b->scope_id && a->grain == b->grain &&
		a->dim_id == b->dim_id && a->start == b->start;
}

bool
kpi_value_window_equal(const KpiWindow *a, const KpiWindow *b)
{
	return a->since == b->since && a->until == b->until && a->is_period == b->is_period &&
		place_equal(&a->place, &b->place);
}

/* ---- what functions over time make of a window ---- */

DateADT
kpi_value_window_last(const KpiWindow *window, DateADT today)
{
	DateADT		last = window->until - 1;

	return today >= window->since ? Min(last, today) : last;
}

bool
kpi_value_window_is_open(const KpiWindow *window, DateADT today)
{
	return today >= window->since && today < (window->is_period ? place_until(&window->place) : window->until);
}

KpiWindow
kpi_value_window_to_date(const KpiWindow *window, DateADT today)
{
	KpiWindow	to_date = *window;

	to_date.until = kpi_value_window_last(window, today) + 1;
	return to_date;
}

bool
kpi_value_window_previous(const KpiWindow *window, KpiWindow *other)
{
	KpiPlace	place = kpi_value_place_shift(&window->place, -1);

	*other = kpi_value_window(&place);
	return window->is_period;
}

bool
kpi_value_window_year_ago(const KpiWindow *window, KpiWindow *other)
{
	KpiPlace	place = kpi_value_place_year_ago(&window->place);

	*other = kpi_value_window(&place);
	return window->is_period;
}

KpiWindow
kpi_value_window_as_far(const KpiWindow *window, const KpiWindow *other, DateADT today)
{
	bool		is_whole = window->until == place_until(&window->place);

	if (is_whole && !kpi_value_window_is_open(window, today))
		return *other;
	return kpi_value_window_until(&other->place, other->since + (kpi_value_window_last(window, today) - window->since));
}

/* The days from the start of the period of a grain that its last day lies in. */
static KpiWindow
since_period(const KpiWindow *window, KpiGrain grain, const KpiProgram *program)
{
	KpiCalendar calendar = kpi_value_calendar(program);
	KpiWindow	days = *window;

	days.since = kpi_calendar_period_start(grain, Max(window->until - 1, window->since), &calendar);
	days.is_period = false;
	return days;
}

KpiWindow
kpi_value_window_ytd(const KpiWindow *window, const KpiProgram *program)
{
	return since_period(window, KPI_YEAR, program);
}

KpiWindow
kpi_value_window_qtd(const KpiWindow *window, const KpiProgram *program)
{
	return since_period(window, KPI_QUARTER, program);
}

KpiWindow
kpi_value_window_rolling_days(const KpiWindow *window, int n, DateADT today)
{
	KpiWindow	days = *window;

	days.until = kpi_value_window_last(window, today) + 1;
	days.since = days.until - n;
	days.is_period = false;
	return days;
}

KpiWindow
kpi_value_window_rolling(const KpiWindow *window, int n, KpiGrain grain, const KpiProgram *program, DateADT today)
{
	KpiWindow	to_date = kpi_value_window_to_date(window, today);
	KpiWindow	days = since_period(&to_date, grain, program);

	days.since = kpi_calendar_period_shift(grain, days.since, 1 - n, NULL);
	return days;
}

KpiWindow
kpi_value_window_opening(const KpiWindow *window)
{
	KpiWindow	instant = *window;

	instant.until = window->since;
	return instant;
}

KpiWindow
kpi_value_window_whole(const KpiWindow *window)
{
	KpiWindow	whole = *window;

	whole.place.dim_id = 0;
	return whole;
}

/* The organisation's, as far as periods go. */
KpiCalendar
kpi_value_calendar(const KpiProgram *program)
{
	KpiCalendar calendar = {.week_start = program->week_start,.fiscal_start = program->fiscal_start};

	return calendar;
}
