/*-------------------------------------------------------------------------
 *
 * agenda.c
 *	  Which sources are due, and when something becomes due.
 *
 * A continuous source is due when the queue has rows of it, or when what it
 * was last refreshed with is not what the definitions say now: measures
 * that are not built, a changed organisation, changed calendars, another day
 * where KPIs count for the teams of today, goals to be rechecked (goal/notify.c).  One with an interval is due when the interval has
 * passed, and also as soon as the queue has rows of it if the last refresh had
 * none: else a change that comes just after such a refresh would wait for as
 * long as one in a busy time, and by a clock that stands still (kpi.now) for
 * ever.  All moments are by kpi_now().
 *
 * What the definitions say is the view kpi_internal.agenda; clock, queue and
 * shape of the calendars are looked at here.
 *
 * Locks: ACCESS SHARE on our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/*
 * Of a suspended source: until it is to be rechecked, as another table may have come,
 * or to be built, as one has.  Of one that waits for kpi.capture: until that is on.
 */
static void
stand_still(KpiAgendaSource *source)
{
	source->must_build = false;
	source->not_before = DT_NOBEGIN;
	source->queue_at = DT_NOEND;
	if (source->interval == 0)
		source->at = DT_NOEND;
}

static KpiAgendaSource *
load_source(KpiRows *rows, const char *calendar_shape)
{
	KpiAgendaSource *source = palloc0(sizeof(KpiAgendaSource));
	TimestampTz now = kpi_now();
	TimestampTz refreshed = kpi_rows_time(rows, "refreshed_at", DT_NOBEGIN);
	const char *shape = kpi_rows_text(rows, "calendar_shape");
	bool		had_deltas = kpi_rows_bool(rows, "had_deltas");
	bool		must_refresh = kpi_rows_bool(rows, "must_refresh") ||
	shape == NULL || strcmp(shape, calendar_shape) != 0;

	source->id = kpi_rows_int4(rows, "source_id");
	source->name = kpi_rows_text(rows, "source");
	source->follows_queue = kpi_rows_bool(rows, "is_continuous");
	source->interval = kpi_rows_int4(rows, "refresh_seconds");
	source->not_before = kpi_rows_time(rows, "next_try", DT_NOBEGIN);
	source->yields = kpi_rows_int4(rows, "yields");
	source->must_build = kpi_rows_bool(rows, "must_build");
	source->build_due = kpi_rows_bool(rows, "build_due");
	source->refreshed = refreshed > GetCurrentTimestamp() ? DT_NOBEGIN : refreshed;
	source->build_fails = kpi_rows_bool(rows, "build_fails");

	/* A clock that was set back must not keep the source waiting. */
	if (refreshed > now)
		refreshed = DT_NOBEGIN;
	if (source->not_before > now + KPI_MAX_RETRY_SECONDS * USECS_PER_SEC)
		source->not_before = now;

	if (source->interval > 0 && refreshed != DT_NOBEGIN)
		source->at = refreshed + source->interval * USECS_PER_SEC;
	else if (source->interval > 0 || source->must_build || must_refresh || source->not_before != DT_NOBEGIN)
		source->at = DT_NOBEGIN;
	else
		source->at = DT_NOEND;
	source->queue_at = source->interval > 0 && had_deltas ? source->at : DT_NOBEGIN;
	if (kpi_rows_bool(rows, "is_suspended") || (!kpi_capture_enabled && kpi_rows_bool(rows, "is_capture_off")))
		stand_still(source);
	return source;
}

KpiAgenda *
kpi_worker_agenda_load(void)
{
	KpiAgenda  *due = palloc0(sizeof(KpiAgenda));
	char	   *calendar_shape;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT * FROM kpi_internal.agenda"
				   " ORDER BY refreshed_at NULLS FIRST, source_id", 0);

	/*
	 * After the statement, whose locks have this backend hear of changes: at
	 * the beginning of a transaction the calendars in memory may be old.
	 */
	calendar_shape = kpi_refresh_calendar_shape(kpi_calendar_get(KPI_DEFAULT_CALENDAR));
	while (kpi_rows_next(&rows))
		due->sources = lappend(due->sources, load_source(&rows, calendar_shape));
	kpi_rows_end(&rows);
	return due;
}

void
kpi_worker_agenda_recheck(KpiAgenda *due)
{
	ListCell   *lc;

	foreach(lc, due->sources)
	{
		KpiAgendaSource *source = lfirst(lc);

		if (source->follows_queue)
			source->at = DT_NOBEGIN;
	}
}

Bitmapset *
kpi_worker_agenda_queued(const KpiAgenda *due)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Bitmapset  *queued = NULL;
	ListCell   *lc;

	foreach(lc, due->sources)
	{
		const KpiAgendaSource *source = lfirst(lc);

		if (kpi_refresh_queue_waits(source->id, snapshot))
			queued = bms_add_member(queued, source->id);
	}
	UnregisterSnapshot(snapshot);
	return queued;
}

TimestampTz
kpi_worker_agenda_build_at(const KpiAgendaSource *source)
{
	if (!source->must_build && !source->build_due)
		return DT_NOEND;
	return Max(source->build_due ? DT_NOBEGIN : source->at, source->not_before);
}

void
kpi_worker_agenda_hand(KpiAgendaSource *source, uint64 wakes, TimestampTz until)
{
	source->build_due = true;
	source->handed = true;
	source->handed_wakes = wakes;
	source->handed_until = until;
	source->at = source->interval > 0 ? kpi_now() + source->interval * USECS_PER_SEC : DT_NOEND;
}

TimestampTz
kpi_worker_agenda_due_at(const KpiAgendaSource *source, Bitmapset *queued)
{
	TimestampTz at = source->at;

	if (bms_is_member(source->id, queued))
		at = Min(at, source->queue_at);
	return Max(at, source->not_before);
}

bool
kpi_worker_agenda_has_builds(const KpiAgenda *due)
{
	ListCell   *lc;

	foreach(lc, due->sources)
	{
		if (kpi_worker_agenda_build_at(lfirst(lc)) != DT_NOEND)
			return true;
	}
	return false;
}

void
kpi_worker_agenda_done(KpiAgendaSource *source, bool had_changes)
{
	if (!source->build_fails)
		source->not_before = DT_NOBEGIN;
	source->refreshed = GetCurrentTimestamp();
	source->at = source->interval > 0 ? kpi_now() + source->interval * USECS_PER_SEC : DT_NOEND;
	source->queue_at = source->interval > 0 && had_changes ? source->at : DT_NOBEGIN;
}

/*
 * Returns the moment at which a day begins in a time zone.
 *
 * A midnight that does not exist is the moment when clocks were set forward
 * over it.  One that comes twice, as clocks are set back over it, is taken for
 * the second by timestamp_zone().
 */
static TimestampTz
day_begin(DateADT day, const char *time_zone)
{
	Datum		zone = CStringGetTextDatum(time_zone);
	Datum		local = DirectFunctionCall1(date_timestamp, DateADTGetDatum(day));
	TimestampTz begin = DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, zone, local));
	TimestampTz before = begin - USECS_PER_HOUR;
	Datum		local_before = DirectFunctionCall2(timestamptz_zone, zone, TimestampTzGetDatum(before));

	return DatumGetTimestamp(local_before) == DatumGetTimestamp(local) ? before : begin;
}

TimestampTz
kpi_worker_agenda_next_day(TimestampTz now)
{
	TimestampTz next = DT_NOEND;
	ListCell   *lc;

	foreach(lc, kpi_all_int4("SELECT id FROM kpi.calendar", 0))
	{
		const KpiCalendar *calendar = kpi_calendar_find(lfirst_int(lc));

		if (calendar != NULL)
			next = Min(next, day_begin(kpi_calendar_today(calendar) + 1, calendar->time_zone));
	}
	/* Where clocks go back at midnight, the day has begun before. */
	return Max(next, now + USECS_PER_SEC);
}
