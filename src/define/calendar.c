/*-------------------------------------------------------------------------
 *
 * calendar.c
 *	  SQL functions that define calendars and holidays.
 *
 * These functions are for editors (kpi_require_editor()).  Each raises
 * kpi_internal.version.calendar before anything else, whose row lock makes such
 * changes wait for each other; then it checks and writes.  What follows from
 * a change (kpi.calendar_day, caches) is done by the triggers of the tables
 * (calendar/day_table.c).  Another time zone starts a new version in the calendar's
 * sources, under SHARE ROW EXCLUSIVE on their tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "goal/goal.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(kpi_sql_wants_notices);
PG_FUNCTION_INFO_V1(kpi_sql_create_calendar);
PG_FUNCTION_INFO_V1(kpi_sql_alter_calendar);
PG_FUNCTION_INFO_V1(kpi_sql_drop_calendar);
PG_FUNCTION_INFO_V1(kpi_sql_add_holiday);
PG_FUNCTION_INFO_V1(kpi_sql_drop_holiday);

/* What a caller gave; NULL or 0: not given. */
typedef struct CalendarArgs
{
	char	   *name;
	char	   *time_zone;
	int			week_start;
	int			fiscal_start;
	char	   *working_days;
} CalendarArgs;

/* A day of years 1 to 9999; null is none. */
static DateADT
day_arg(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("day must not be null")));
	if (!kpi_calendar_day_in_range(PG_GETARG_DATEADT(n)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("day out of range"),
				 errdetail("Days lie in years 1 to 9999.")));
	return PG_GETARG_DATEADT(n);
}

static int
week_start_arg(const char *name)
{
	int			weekday = kpi_calendar_weekday_parse(name);

	if (weekday == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("week start \"%s\" is not a weekday", name),
				 errhint("Write the weekday's English name, like \"monday\" or \"sun\".")));
	return weekday;
}

/* The list as it is stored: 'mon,tue', in the order of the week. */
static char *
working_days_arg(const char *list)
{
	bool		working_day[8];
	const char *bad;
	StringInfoData stored;

	if (!kpi_calendar_working_days_parse(list, working_day, &bad))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("working days \"%s\" are not a list of weekdays", list),
				 *bad == '\0' ? errdetail("The list is empty.") :
				 errdetail("\"%s\" is not a weekday.", bad),
				 errhint("Write the weekdays' English names with commas between them, like \"mon,tue,wed,thu,fri\".")));

	initStringInfo(&stored);
	for (int i = 1; i <= 7; i++)
	{
		const char *name = kpi_calendar_weekday_name(i);

		if (working_day[i])
			appendStringInfo(&stored, "%s%c%c%c", stored.len > 0 ? "," : "",
							 pg_tolower((unsigned char) name[0]), name[1], name[2]);
	}
	return stored.data;
}

/* Reads and checks all that can be checked without reading a table. */
static void
read_args(FunctionCallInfo fcinfo, CalendarArgs *args)
{
	char	   *week_start = kpi_arg_text(fcinfo, 2);
	char	   *working_days = kpi_arg_text(fcinfo, 4);

	args->name = kpi_arg_name(fcinfo, 0, "calendar");
	args->time_zone = kpi_arg_optional_name(fcinfo, 1, "time zone");
	args->week_start = week_start == NULL ? 0 : week_start_arg(week_start);
	args->fiscal_start = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);
	if (!PG_ARGISNULL(3) && (args->fiscal_start < 1 || args->fiscal_start > 12))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("fiscal year start %d is not a month", args->fiscal_start),
				 errhint("Write the number of the month in which the year begins, 1 for January to 12 for December.")));
	args->working_days = working_days == NULL ? NULL : working_days_arg(working_days);
}

/*
 * The zone's name as PostgreSQL spells it.  Abbreviations are refused, also
 * those which are names of zones too ("CET"): AT TIME ZONE takes them as a
 * fixed offset, so that half of the year's days would begin an hour off.
 */
static char *
check_time_zone(const char *name)
{
	char	   *spelt;

	if (pg_strcasecmp(name, "UTC") != 0 && pg_strcasecmp(name, "GMT") != 0 &&
		kpi_spi_exec("SELECT FROM pg_catalog.pg_timezone_abbrevs "
					 "WHERE pg_catalog.lower(abbrev) = pg_catalog.lower($1)",
					 1, KPI_TEXT(name)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" is an abbreviation", name),
				 errdetail("An abbreviation stands for a fixed offset, without daylight-saving time."),
				 errhint("Write the full name of a time zone, like \"Europe/Berlin\".")));
	spelt = kpi_first_text("SELECT name FROM pg_catalog.pg_timezone_names "
						   "WHERE pg_catalog.lower(name) = pg_catalog.lower($1) "
						   "ORDER BY name = $1 DESC",
						   1, KPI_TEXT(name));
	if (spelt == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" does not exist", name),
				 errhint("Write a name listed in pg_timezone_names, like \"Europe/Berlin\".")));
	return spelt;
}

void
kpi_define_calendars_touch(void)
{
	kpi_spi_exec("UPDATE kpi_internal.version SET calendar = calendar + 1 WHERE id = 1", 0);
}

/* kpi_internal.wants_notices() */
Datum
kpi_sql_wants_notices(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(kpi_compat_wants_notices());
}

static void
note_zone_told(void)
{
	kpi_spi_exec("UPDATE kpi_internal.version SET zone_told = true WHERE id = 1 AND NOT zone_told", 0);
}

void
kpi_define_zone_tell(int32 source_id, int32 calendar_id, const char *at)
{
	KpiSource  *source;
	KpiSpi		spi;
	bool		is_told;

	if (calendar_id != KPI_DEFAULT_CALENDAR)
		return;
	kpi_spi_begin(&spi);
	is_told = kpi_first_int4("SELECT 1 FROM kpi_internal.version WHERE id = 1 AND zone_told", 0) != 0;
	kpi_spi_end(&spi);
	if (is_told)
		return;
	source = kpi_model_source_load(source_id, false);
	if (getBaseType(kpi_fact_type(source, kpi_fact_relation(source), at)) != TIMESTAMPTZOID)
		return;
	kpi_spi_begin(&spi);
	note_zone_told();
	kpi_spi_end(&spi);
	ereport(NOTICE,
			(errmsg("days of source \"%s\" are cut in time zone \"%s\"", source->name, source->time_zone),
			 errdetail("It is that of the default calendar."),
			 errhint("SELECT kpi.alter_calendar('default', time_zone => 'Europe/Berlin') sets another; this is told once.")));
}

/* Id of the calendar, its row locked; *time_zone (if wanted) as stored. */
static int32
lock_calendar(const char *name, char **time_zone)
{
	KpiRows		rows;
	int32		id;

	kpi_rows_begin(&rows, "SELECT id, time_zone FROM kpi.calendar WHERE name = $1 FOR UPDATE",
				   1, KPI_TEXT(name));
	if (!kpi_rows_next(&rows))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("calendar \"%s\" does not exist", name),
				 errhint("The calendars are listed in kpi.calendar; kpi.create_calendar() makes a new one.")));
	if (time_zone != NULL)
		*time_zone = kpi_rows_text(&rows, "time_zone");
	id = kpi_rows_int4(&rows, "id");
	kpi_rows_end(&rows);
	return id;
}

Datum
kpi_sql_create_calendar(PG_FUNCTION_ARGS)
{
	CalendarArgs args;
	int32		id;
	KpiSpi		spi;

	kpi_require_editor();
	read_args(fcinfo, &args);
	kpi_arg_name(fcinfo, 1, "time zone");

	kpi_spi_begin(&spi);
	kpi_define_calendars_touch();
	if (kpi_spi_exec("SELECT FROM kpi.calendar WHERE name = $1", 1, KPI_TEXT(args.name)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("calendar \"%s\" already exists", args.name),
				 errhint("Change it with kpi.alter_calendar().")));
	args.time_zone = check_time_zone(args.time_zone);
	id = kpi_first_int4("INSERT INTO kpi.calendar"
						" (name, time_zone, week_start, fiscal_year_start, working_days) "
						"VALUES ($1, $2, $3, $4, $5) RETURNING id",
						5, KPI_TEXT(args.name), KPI_TEXT(args.time_zone),
						KPI_INT4(args.week_start ? args.week_start : 1),
						KPI_INT4(args.fiscal_start ? args.fiscal_start : 1),
						KPI_TEXT(args.working_days ? args.working_days : "mon,tue,wed,thu,fri"));
	kpi_spi_end(&spi);

	PG_RETURN_INT32(id);
}

/* Days of the calendar's sources now begin at other moments; of most facts the day is the same. */
static void
redefine_sources(int32 id)
{
	ListCell   *lc;

	foreach(lc, kpi_all_int4("SELECT id FROM kpi.source WHERE calendar_id = $1 ORDER BY id", 1, KPI_INT4(id)))
	{
		kpi_define_sealed_check(lfirst_int(lc), "the time zone of a calendar");
		kpi_define_source_redefined(lfirst_int(lc));
		kpi_refresh_build_compare(lfirst_int(lc));
		kpi_define_programs_of_source(lfirst_int(lc));
	}
}

/*
 * Goals are for periods as the default calendar cuts and names them.  Error if
 * one of them is not a period any more that was one before.
 */
static void
refuse_if_goals_move(const KpiCalendar *before, const KpiCalendar *after)
{
	KpiRows		goals;

	kpi_rows_begin(&goals, "SELECT coalesce(g.name, g.id::text) AS goal, g.grain, t.period, t.period_start"
				   " FROM kpi.goal g JOIN kpi.goal_target t ON t.goal_id = g.id AND t.valid_until IS NULL"
				   " WHERE g.grain IN ('week', 'quarter', 'year') ORDER BY t.id", 0);
	while (kpi_rows_next(&goals))
	{
		DateADT		start = kpi_rows_date(&goals, "period_start", DATEVAL_NOBEGIN);
		char	   *period = kpi_rows_text(&goals, "period");
		char		name[KPI_PERIOD_NAME_LEN];
		KpiGrain	grain;

		if (!kpi_calendar_grain_parse(kpi_rows_text(&goals, "grain"), &grain) ||
			kpi_calendar_period_start(grain, start, before) != start)
			continue;
		kpi_calendar_period_name(grain, start, after, name);
		if (kpi_calendar_period_start(grain, start, after) != start || strcmp(name, period) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("goal \"%s\" is for period \"%s\", which calendar \"%s\" would not have any more",
							kpi_rows_text(&goals, "goal"), period, after->name),
					 errhint("Drop the goals for weeks, quarters and years that change, and create them anew afterwards.")));
	}
	kpi_rows_end(&goals);
}

Datum
kpi_sql_alter_calendar(PG_FUNCTION_ARGS)
{
	CalendarArgs args;
	KpiSpi		spi;
	KpiCalendar before;
	int32		id;
	char	   *old_zone;

	kpi_require_editor();
	read_args(fcinfo, &args);

	kpi_spi_begin(&spi);
	kpi_define_calendars_touch();
	id = lock_calendar(args.name, &old_zone);
	if (args.time_zone != NULL)
		args.time_zone = check_time_zone(args.time_zone);
	before = *kpi_calendar_get(id);
	kpi_spi_exec("UPDATE kpi.calendar SET"
				 " time_zone = coalesce($2, time_zone),"
				 " week_start = coalesce(nullif($3, 0), week_start),"
				 " fiscal_year_start = coalesce(nullif($4, 0), fiscal_year_start),"
				 " working_days = coalesce($5, working_days) "
				 "WHERE id = $1",
				 5, KPI_INT4(id), KPI_TEXT(args.time_zone),
				 KPI_INT4(args.week_start), KPI_INT4(args.fiscal_start),
				 KPI_TEXT(args.working_days));
	if (id == KPI_DEFAULT_CALENDAR)
		refuse_if_goals_move(&before, kpi_calendar_get(id));
	if (args.time_zone != NULL && strcmp(args.time_zone, old_zone) != 0)
		redefine_sources(id);
	if (args.time_zone != NULL && id == KPI_DEFAULT_CALENDAR)
		note_zone_told();
	if (id == KPI_DEFAULT_CALENDAR && (args.week_start != 0 || args.fiscal_start != 0))
		kpi_define_programs_of_all();
	kpi_spi_end(&spi);
	kpi_goal_calendar_redefined(id);

	PG_RETURN_VOID();
}

/* Error when the query finds the name of a user of the calendar. */
static void
refuse_if_used(const char *name, int32 id, const char *kind, const char *sql)
{
	char	   *user = kpi_first_text(sql, 1, KPI_INT4(id));

	if (user == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("calendar \"%s\" is used by %s \"%s\"", name, kind, user),
			 errhint("Give every source and team that uses it another calendar first.")));
}

Datum
kpi_sql_drop_calendar(PG_FUNCTION_ARGS)
{
	char	   *name;
	int32		id;
	KpiSpi		spi;

	kpi_require_editor();
	name = kpi_arg_name(fcinfo, 0, "calendar");

	kpi_spi_begin(&spi);
	kpi_define_calendars_touch();
	id = lock_calendar(name, NULL);
	if (id == KPI_DEFAULT_CALENDAR)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("calendar \"%s\" cannot be dropped", name),
				 errhint("Change it with kpi.alter_calendar().")));
	refuse_if_used(name, id, "source",
				   "SELECT name FROM kpi.source WHERE calendar_id = $1 ORDER BY name LIMIT 1");
	refuse_if_used(name, id, "team",
				   "SELECT key FROM kpi.team WHERE calendar_id = $1 ORDER BY key LIMIT 1");
	kpi_spi_exec("DELETE FROM kpi.calendar_day WHERE calendar_id = $1", 1, KPI_INT4(id));
	kpi_spi_exec("DELETE FROM kpi.holiday WHERE calendar_id = $1", 1, KPI_INT4(id));
	kpi_spi_exec("DELETE FROM kpi.calendar WHERE id = $1", 1, KPI_INT4(id));
	kpi_spi_end(&spi);

	PG_RETURN_VOID();
}

Datum
kpi_sql_add_holiday(PG_FUNCTION_ARGS)
{
	DateADT		day;
	char	   *name;
	char	   *calendar;
	char	   *known;
	int32		id;
	KpiSpi		spi;

	kpi_require_editor();
	day = day_arg(fcinfo, 0);
	name = kpi_arg_name(fcinfo, 1, "holiday");
	calendar = kpi_arg_name(fcinfo, 2, "calendar");

	kpi_spi_begin(&spi);
	kpi_define_calendars_touch();
	id = lock_calendar(calendar, NULL);
	known = kpi_first_text("SELECT name FROM kpi.holiday WHERE calendar_id = $1 AND day = $2",
						   2, KPI_INT4(id), KPI_VALUE(DATEOID, DateADTGetDatum(day)));
	if (known != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("%s is a holiday of calendar \"%s\" already: \"%s\"",
						kpi_day_text(day), calendar, known),
				 errhint("Drop it first with kpi.drop_holiday().")));
	kpi_spi_exec("INSERT INTO kpi.holiday (calendar_id, day, name) VALUES ($1, $2, $3)",
				 3, KPI_INT4(id), KPI_VALUE(DATEOID, DateADTGetDatum(day)), KPI_TEXT(name));
	kpi_spi_end(&spi);
	kpi_goal_calendar_redefined(id);

	PG_RETURN_VOID();
}

Datum
kpi_sql_drop_holiday(PG_FUNCTION_ARGS)
{
	DateADT		day;
	char	   *calendar;
	int32		id;
	KpiSpi		spi;

	kpi_require_editor();
	day = day_arg(fcinfo, 0);
	calendar = kpi_arg_name(fcinfo, 1, "calendar");

	kpi_spi_begin(&spi);
	kpi_define_calendars_touch();
	id = lock_calendar(calendar, NULL);
	if (kpi_spi_exec("DELETE FROM kpi.holiday WHERE calendar_id = $1 AND day = $2",
					 2, KPI_INT4(id), KPI_VALUE(DATEOID, DateADTGetDatum(day))) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("%s is not a holiday of calendar \"%s\"", kpi_day_text(day), calendar),
				 errhint("The holidays are listed in kpi.holiday.")));
	kpi_spi_end(&spi);
	kpi_goal_calendar_redefined(id);

	PG_RETURN_VOID();
}
