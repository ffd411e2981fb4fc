/*-------------------------------------------------------------------------
 *
 * day_table.c
 *	  kpi.calendar_day, the readable table of days, and the triggers that keep
 *	  it as the calendars say.
 *
 * Rows follow in the transaction that changes kpi.calendar or kpi.holiday, by
 * triggers; a refresh adds the years that its facts need
 * (kpi_calendar_day_extend()).  The triggers also serve a restored dump,
 * whose rows arrive by COPY, so that nothing here needs to be dumped.
 *
 * Invariants: all calendars have the same days, whole calendar years without
 * gap, from FIRST_YEAR or earlier on; each row is what its calendar says.
 * Locks: writing takes the row lock of kpi_internal.version, as every change of
 * a calendar does, so that no row is made of a calendar that is just being
 * changed.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "calendar/calendar_internal.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/inval.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(kpi_sql_calendar_days);
PG_FUNCTION_INFO_V1(kpi_sql_calendar_day_extend);
PG_FUNCTION_INFO_V1(kpi_sql_calendar_changed);

/* What a new installation holds. */
#define FIRST_YEAR 2000
#define YEARS_AHEAD 10

#define FIRST_DAY(year) (date2j(year, 1, 1) - POSTGRES_EPOCH_JDATE)
#define LAST_DAY(year) (date2j(year, 12, 31) - POSTGRES_EPOCH_JDATE)

/* Years known to be filled in this backend; valid while from <= to. */
static int	filled_from = 1;
static int	filled_to = 0;

static void
table_changed(Oid relid)
{
	/* Whatever changed: asking the table again is cheap. */
	filled_from = 1;
	filled_to = 0;
}

static int
year_of(DateADT day)
{
	int			year,
				month,
				mday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	return year;
}

/*
 * kpi_internal.calendar_days(calendar_id, since, until): the computed columns
 * of kpi.calendar_day, in their order there, but for the holiday's name;
 * until is inclusive.  No rows for days that the table never holds, none for a
 * calendar that is gone.
 */
Datum
kpi_sql_calendar_days(PG_FUNCTION_ARGS)
{
	int32		id = PG_GETARG_INT32(0);
	DateADT		since = Max(PG_GETARG_DATEADT(1), FIRST_DAY(KPI_MIN_FACT_YEAR));
	DateADT		until = Min(PG_GETARG_DATEADT(2), LAST_DAY(KPI_MAX_FACT_YEAR));
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const KpiCalendar *cal;

	InitMaterializedSRF(fcinfo, 0);
	cal = kpi_calendar_find(id);
	if (cal == NULL)
		return (Datum) 0;

	for (DateADT day = since; day <= until; day++)
	{
		static const KpiGrain grains[] = {KPI_WEEK, KPI_MONTH, KPI_QUARTER, KPI_YEAR};
		Datum		values[14];
		bool		nulls[14] = {false};
		int			c = 0;
		DateADT		start = day;

		CHECK_FOR_INTERRUPTS();
		values[c++] = Int32GetDatum(id);
		values[c++] = DateADTGetDatum(day);
		values[c++] = Int16GetDatum(kpi_calendar_iso_weekday(day));
		values[c++] = CStringGetTextDatum(kpi_calendar_weekday_name(kpi_calendar_iso_weekday(day)));
		for (int i = 0; i < lengthof(grains); i++)
		{
			char		name[KPI_PERIOD_NAME_LEN];

			start = kpi_calendar_period_start(grains[i], day, cal);
			kpi_calendar_period_name(grains[i], start, cal, name);
			values[c++] = CStringGetTextDatum(name);
			values[c++] = DateADTGetDatum(start);
		}
		values[c++] = BoolGetDatum(kpi_calendar_is_workday(day, cal));
		/* Left by the loop: the start of the year. */
		values[c++] = Int32GetDatum(kpi_calendar_workdays(start, day, cal));
		Assert(c == lengthof(values));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}

	return (Datum) 0;
}

/* Adds the days that are missing for calendar id (0: of all calendars). */
static void
fill_days(int32 id, DateADT since, DateADT until)
{
	kpi_spi_exec("INSERT INTO kpi.calendar_day (calendar_id, day, iso_weekday, weekday,"
				 " week, week_start, month, month_start, quarter, quarter_start,"
				 " year, year_start, is_working_day, workday_number, holiday) "
				 "SELECT d.*, h.name FROM kpi.calendar c,"
				 " kpi_internal.calendar_days(c.id, $2, $3) d"
				 " LEFT JOIN kpi.holiday h ON h.calendar_id = d.calendar_id AND h.day = d.day "
				 "WHERE $1 IN (0, c.id) "
				 "ORDER BY d.calendar_id, d.day "
				 "ON CONFLICT (calendar_id, day) DO NOTHING",
				 3, KPI_INT4(id),
				 KPI_VALUE(DATEOID, DateADTGetDatum(since)),
				 KPI_VALUE(DATEOID, DateADTGetDatum(until)));
}

/* Makes the rows that are there what the calendar says now. */
static void
rewrite_days(int32 id, DateADT since, DateADT until)
{
	kpi_spi_exec("UPDATE kpi.calendar_day t"
				 " SET week = n.week, week_start = n.week_start,"
				 " quarter = n.quarter, quarter_start = n.quarter_start,"
				 " year = n.year, year_start = n.year_start,"
				 " is_working_day = n.is_working_day, workday_number = n.workday_number,"
				 " holiday = n.holiday "
				 "FROM (SELECT d.*, h.name AS holiday"
				 " FROM kpi_internal.calendar_days($1, $2, $3) d"
				 " LEFT JOIN kpi.holiday h ON h.calendar_id = d.calendar_id AND h.day = d.day) n "
				 "WHERE t.calendar_id = $1 AND t.day BETWEEN $2 AND $3 AND t.day = n.day"
				 " AND (t.week, t.week_start, t.quarter, t.quarter_start, t.year, t.year_start,"
				 " t.is_working_day, t.workday_number, t.holiday) IS DISTINCT FROM"
				 " (n.week, n.week_start, n.quarter, n.quarter_start, n.year, n.year_start,"
				 " n.is_working_day, n.workday_number, n.holiday)",
				 3, KPI_INT4(id),
				 KPI_VALUE(DATEOID, DateADTGetDatum(since)),
				 KPI_VALUE(DATEOID, DateADTGetDatum(until)));
}

/*
 * Makes changes of calendars, of holidays and of the table's span wait for
 * each other's end, so that each is made of what the one before left.
 */
static void
lock_calendars(void)
{
	kpi_spi_exec("SELECT FROM kpi_internal.version WHERE id = 1 FOR UPDATE", 0);
}

/* First and last day in the table; false when it is empty. */
static bool
filled_range(DateADT *since, DateADT *until)
{
	KpiRows		rows;
	bool		found;

	kpi_rows_begin(&rows, "SELECT pg_catalog.min(day) AS since, pg_catalog.max(day) AS until "
				   "FROM kpi.calendar_day WHERE calendar_id = "
				   "(SELECT pg_catalog.min(calendar_id) FROM kpi.calendar_day) "
				   "HAVING pg_catalog.min(day) IS NOT NULL", 0);
	found = kpi_rows_next(&rows);
	if (found)
	{
		*since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		*until = kpi_rows_date(&rows, "until", DATEVAL_NOEND);
	}
	kpi_rows_end(&rows);
	return found;
}

static void
invalidate_calendars(void)
{
	CacheInvalidateRelcacheByRelid(kpi_relation_oid("kpi", "calendar"));
	CacheInvalidateRelcacheByRelid(kpi_relation_oid("kpi", "holiday"));
	/* From here on this transaction's own cache has the new state too. */
	CommandCounterIncrement();
}

void
kpi_calendar_day_extend(DateADT since, DateADT until)
{
	int			from = Max(year_of(Max(since, FIRST_DAY(KPI_MIN_FACT_YEAR))), KPI_MIN_FACT_YEAR);
	int			to = Min(year_of(Min(until, LAST_DAY(KPI_MAX_FACT_YEAR))), KPI_MAX_FACT_YEAR);
	DateADT		first,
				last;
	KpiSpi		spi;

	if (from > to || (filled_from <= from && filled_to >= to))
		return;

	kpi_on_relcache_change(table_changed);
	kpi_spi_begin(&spi);
	if (filled_range(&first, &last) && first <= FIRST_DAY(from) && last >= LAST_DAY(to))
	{
		filled_from = year_of(first);
		filled_to = year_of(last);
	}
	else
	{
		lock_calendars();
		if (filled_range(&first, &last))
		{
			from = Min(from, year_of(first));
			to = Max(to, year_of(last));
			if (FIRST_DAY(from) < first)
				fill_days(0, FIRST_DAY(from), first - 1);
			if (LAST_DAY(to) > last)
				fill_days(0, last + 1, LAST_DAY(to));
		}
		else
			fill_days(0, FIRST_DAY(from), LAST_DAY(to));
		/* Should this be rolled back, table_changed() hears of it. */
		CacheInvalidateRelcacheByRelid(kpi_relation_oid("kpi", "calendar_day"));
	}
	kpi_spi_end(&spi);
}

void
kpi_calendar_day_follow(void)
{
	DateADT		today = kpi_calendar_today(kpi_calendar_get(KPI_DEFAULT_CALENDAR));

	kpi_calendar_day_extend(today, LAST_DAY(year_of(today) + YEARS_AHEAD));
}

Datum
kpi_sql_calendar_day_extend(PG_FUNCTION_ARGS)
{
	kpi_calendar_day_extend(PG_GETARG_DATEADT(0), PG_GETARG_DATEADT(1));
	PG_RETURN_VOID();
}

/* A calendar came or changed: all its days. */
static void
calendar_row_changed(int32 id)
{
	DateADT		first,
				last;

	if (filled_range(&first, &last))
	{
		rewrite_days(id, first, last);
		fill_days(id, first, last);
	}
	else
		fill_days(id, FIRST_DAY(FIRST_YEAR),
				  LAST_DAY(year_of(kpi_calendar_today(kpi_calendar_get(id))) + YEARS_AHEAD));
}

/* A holiday came or went: the numbers of the working days of its year. */
static void
holiday_row_changed(HeapTuple tuple, TupleDesc tupdesc)
{
	bool		isnull;
	int32		id = DatumGetInt32(SPI_getbinval(tuple, tupdesc,
												 SPI_fnumber(tupdesc, "calendar_id"), &isnull));
	DateADT		day = DatumGetDateADT(SPI_getbinval(tuple, tupdesc,
													SPI_fnumber(tupdesc, "day"), &isnull));
	const KpiCalendar *cal = kpi_calendar_find(id);

	if (cal != NULL && kpi_calendar_day_in_range(day))
		rewrite_days(id, kpi_calendar_period_start(KPI_YEAR, day, cal),
					 kpi_calendar_period_end(KPI_YEAR, day, cal));
}

/*
 * AFTER ROW trigger of kpi.calendar and kpi.holiday.  Rows of a calendar that
 * was deleted go by the foreign key.  The functions that define calendars hold
 * the lock already; a parallel restore, which loads both tables at once, does
 * not.
 */
Datum
kpi_sql_calendar_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	tupdesc;
	bool		is_holiday;
	bool		isnull;
	KpiSpi		spi;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "kpi_internal.calendar_changed() must be called as a trigger");

	tupdesc = RelationGetDescr(trigdata->tg_relation);
	is_holiday = RelationGetRelid(trigdata->tg_relation) == kpi_relation_oid("kpi", "holiday");

	kpi_spi_begin(&spi);
	lock_calendars();
	invalidate_calendars();
	if (is_holiday)
	{
		holiday_row_changed(trigdata->tg_trigtuple, tupdesc);
		if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
			holiday_row_changed(trigdata->tg_newtuple, tupdesc);
	}
	else if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		calendar_row_changed(DatumGetInt32(SPI_getbinval(trigdata->tg_newtuple, tupdesc,
														 SPI_fnumber(tupdesc, "id"), &isnull)));
	else if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		calendar_row_changed(DatumGetInt32(SPI_getbinval(trigdata->tg_trigtuple, tupdesc,
														 SPI_fnumber(tupdesc, "id"), &isnull)));
	kpi_spi_end(&spi);

	return PointerGetDatum(NULL);
}
