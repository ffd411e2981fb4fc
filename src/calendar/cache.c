/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  The calendars and their holidays, kept in this backend's memory.
 *
 * The triggers of kpi.calendar and kpi.holiday that invalidate them are in
 * day_table.c.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "utils/builtins.h"
#include "utils/rel.h"

enum
{
	Anum_calendar_id = 1,
	Anum_calendar_name,
	Anum_calendar_time_zone,
	Anum_calendar_week_start,
	Anum_calendar_fiscal_year_start,
	Anum_calendar_working_days
};

enum
{
	Anum_holiday_id = 1,
	Anum_holiday_calendar_id,
	Anum_holiday_day
};

typedef struct CalendarCache
{
	int			ncalendars;
	KpiCalendar *calendars;
} CalendarCache;

/* Not null: our tables have no other columns that matter here. */
static Datum
attribute(Relation rel, HeapTuple tuple, AttrNumber attno)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attno, RelationGetDescr(rel), &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d of table \"%s\"",
			 attno, RelationGetRelationName(rel));
	return value;
}

static int
compare_days(const void *a, const void *b)
{
	DateADT		x = *(const DateADT *) a;
	DateADT		y = *(const DateADT *) b;

	return (x > y) - (x < y);
}

static void
read_calendars(CalendarCache *new, Relation rel, Snapshot snapshot)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple	tuple;
	int			room = 4;

	new->calendars = palloc(room * sizeof(KpiCalendar));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KpiCalendar *cal;
		Datum		working_days;

		if (new->ncalendars == room)
		{
			room *= 2;
			new->calendars = repalloc(new->calendars, room * sizeof(KpiCalendar));
		}
		cal = &new->calendars[new->ncalendars++];
		memset(cal, 0, sizeof(KpiCalendar));
		cal->id = DatumGetInt32(attribute(rel, tuple, Anum_calendar_id));
		cal->name = TextDatumGetCString(attribute(rel, tuple, Anum_calendar_name));
		cal->time_zone = TextDatumGetCString(attribute(rel, tuple, Anum_calendar_time_zone));
		cal->week_start = DatumGetInt16(attribute(rel, tuple, Anum_calendar_week_start));
		cal->fiscal_start = DatumGetInt16(attribute(rel, tuple, Anum_calendar_fiscal_year_start));
		working_days = attribute(rel, tuple, Anum_calendar_working_days);
		kpi_calendar_working_days_parse(TextDatumGetCString(working_days), cal->working_day, NULL);
	}
	systable_endscan(scan);
}

static KpiCalendar *
find_by_id(const CalendarCache *in, int32 id)
{
	for (int i = 0; i < in->ncalendars; i++)
	{
		if (in->calendars[i].id == id)
			return &in->calendars[i];
	}
	return NULL;
}

static void
read_holidays(CalendarCache *new, Relation rel, Snapshot snapshot)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KpiCalendar *cal;
		int			n;

		cal = find_by_id(new, DatumGetInt32(attribute(rel, tuple, Anum_holiday_calendar_id)));

		/* Foreign keys do not hold where session_replication_role is replica. */
		if (cal == NULL)
			continue;

		/* Room doubles whenever the count reaches a power of two. */
		n = cal->nholidays;
		if (n == 0)
			cal->holidays = palloc(sizeof(DateADT));
		else if ((n & (n - 1)) == 0)
			cal->holidays = repalloc(cal->holidays, 2 * n * sizeof(DateADT));
		cal->holidays[cal->nholidays++] = DatumGetDateADT(attribute(rel, tuple, Anum_holiday_day));
	}
	systable_endscan(scan);

	for (int i = 0; i < new->ncalendars; i++)
		qsort(new->calendars[i].holidays, new->calendars[i].nholidays,
			  sizeof(DateADT), compare_days);
}

static void *
read_cache(Relation *rels, Snapshot snapshot)
{
	CalendarCache *new = palloc0(sizeof(CalendarCache));

	read_calendars(new, rels[0], snapshot);
	read_holidays(new, rels[1], snapshot);
	return new;
}

static KpiDefinitionCache cache = {
	.name = "calendars",
	.tables = {{"kpi", "calendar"}, {"kpi", "holiday"}},
	.read = read_cache
};

/* NULL if there is no such calendar. */
const KpiCalendar *
kpi_calendar_find(int32 id)
{
	return find_by_id(kpi_definition_cache_get(&cache), id);
}

const KpiCalendar *
kpi_calendar_get(int32 id)
{
	const KpiCalendar *cal = kpi_calendar_find(id);

	if (cal == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("calendar with id %d does not exist", id)));
	return cal;
}

int32
kpi_calendar_id(const char *name)
{
	const CalendarCache *calendars = kpi_definition_cache_get(&cache);

	for (int i = 0; i < calendars->ncalendars; i++)
	{
		if (strcmp(calendars->calendars[i].name, name) == 0)
			return calendars->calendars[i].id;
	}

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("calendar \"%s\" does not exist", name),
			 errhint("The calendars are listed in kpi.calendar; kpi.create_calendar() makes a new one.")));
	return 0;
}
