/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  The calendars and their holidays, kept in this backend's memory.
 *
 * All calendars are loaded at once into a memory context of their own, which
 * lives until the first call after a relcache invalidation of kpi.calendar or
 * kpi.holiday.  The triggers of both tables send one (day_table.c).
 *
 * The tables are read with a snapshot taken at that moment, not with the
 * transaction's: a cached answer must not depend on which transaction loaded
 * it.  The scan is that of a system catalog, which needs no SPI, no rights and
 * no switch of user, and works in parallel workers.
 *
 * Lock: ACCESS SHARE on both tables while loading.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
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
	MemoryContext context;
	uint64		generation;		/* of invalidations, when loading began */
	Oid			calendar_relid;
	Oid			holiday_relid;
	int			ncalendars;
	KpiCalendar *calendars;
} CalendarCache;

static CalendarCache *cache = NULL;
static uint64 generation = 0;

static void
table_changed(Oid relid)
{
	if (cache == NULL || relid == InvalidOid ||
		relid == cache->calendar_relid || relid == cache->holiday_relid)
		generation++;
}

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
read_calendars(CalendarCache *new, Relation rel)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	int			room = 4;

	new->calendars = palloc(room * sizeof(KpiCalendar));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KpiCalendar *cal;

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
		kpi_calendar_working_days_parse(TextDatumGetCString(attribute(rel, tuple, Anum_calendar_working_days)),
										cal->working_day, NULL);
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
read_holidays(CalendarCache *new, Relation rel)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KpiCalendar *cal;
		int			n;

		cal = find_by_id(new, DatumGetInt32(attribute(rel, tuple, Anum_holiday_calendar_id)));

		/* The two scans have each their snapshot: the calendar may be new. */
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

/*
 * Loads into a new context and only then lets go of the old one, so that an
 * error leaves nothing half done.  An invalidation that arrives while loading
 * leaves the result a generation behind: it is as of a moment within the call,
 * and the next call reads it again.  Reading until none arrives might not end.
 */
static void
cache_load(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pg_kpi calendars",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CalendarCache *new = palloc0(sizeof(CalendarCache));
	Relation	calendar_rel;
	Relation	holiday_rel;

	new->context = context;
	new->calendar_relid = kpi_relation_oid("kpi", "calendar");
	new->holiday_relid = kpi_relation_oid("kpi", "holiday");
	calendar_rel = table_open(new->calendar_relid, AccessShareLock);
	holiday_rel = table_open(new->holiday_relid, AccessShareLock);

	new->generation = generation;
	read_calendars(new, calendar_rel);
	read_holidays(new, holiday_rel);

	table_close(holiday_rel, AccessShareLock);
	table_close(calendar_rel, AccessShareLock);
	MemoryContextSwitchTo(old);

	MemoryContextSetParent(context, CacheMemoryContext);
	if (cache != NULL)
		MemoryContextDelete(cache->context);
	cache = new;
}

static void
cache_ensure(void)
{
	kpi_on_relcache_change(table_changed);
	if (cache == NULL || cache->generation != generation)
		cache_load();
}

/* NULL if there is no such calendar. */
const KpiCalendar *
kpi_calendar_find(int32 id)
{
	cache_ensure();
	return find_by_id(cache, id);
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
	cache_ensure();
	for (int i = 0; i < cache->ncalendars; i++)
	{
		if (strcmp(cache->calendars[i].name, name) == 0)
			return cache->calendars[i].id;
	}

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("calendar \"%s\" does not exist", name),
			 errhint("The calendars are listed in kpi.calendar; kpi.create_calendar() makes a new one.")));
	return 0;
}
