/*-------------------------------------------------------------------------
 *
 * agenda.c
 *	  Which sources are due, and when something becomes due.
 *
 * A continuous source is due when the queue has rows of it, or when what it
 * was last refreshed with is not what the definitions say now: measures or
 * formulas that are not built, a changed organisation, changed calendars, goals
 * to be rechecked (goal/notify.c).  One with an interval is due when the interval has
 * passed, and also as soon as the queue has rows of it if the last refresh had
 * none: else a change that comes just after such a refresh would wait for as
 * long as one in a busy time, and by a clock that stands still (kpi.now) for
 * ever.  All moments are by kpi_now().
 *
 * A source that has no state at all came with a dump.  It waits until the
 * restore has brought its triggers: before that its table is not filled, and
 * attaching it would make the restore fail over triggers that are there.
 *
 * Locks: ACCESS SHARE on our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "access/tableam.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

/* After a failure: 1 s, doubled each time, up to 5 min. */
#define MAX_RETRY_SECONDS 300

/* Measures below formulas that are not built as they are written now. */
#define SOURCES_OF_NEW_FORMULAS \
	"WITH RECURSIVE part (kpi_id) AS (" \
	" SELECT i.input_kpi_id FROM kpi_internal.formula_input i JOIN kpi.kpi k ON k.id = i.kpi_id" \
	" WHERE NOT EXISTS (SELECT FROM kpi_internal.formula_built b" \
	"  WHERE b.kpi_id = k.id AND b.formula = k.formula)" \
	" UNION SELECT i.input_kpi_id FROM part p JOIN kpi_internal.formula_input i ON i.kpi_id = p.kpi_id) " \
	"SELECT k.source_id FROM part p JOIN kpi.kpi k ON k.id = p.kpi_id WHERE k.source_id IS NOT NULL"

#define SOURCES \
	"SELECT s.id, s.name, s.refresh_mode = 'continuous', coalesce(s.refresh_seconds, 0)," \
	" t.refreshed_at, t.next_try," \
	" t.org_version IS DISTINCT FROM (SELECT p.org FROM kpi_internal.version p)" \
	" OR t.calendar_shape IS DISTINCT FROM $1" \
	" OR t.goals_calendar IS DISTINCT FROM (SELECT p.calendar FROM kpi_internal.version p)" \
	" OR EXISTS (SELECT FROM kpi_internal.goal_recheck d JOIN kpi.goal g ON g.id = d.goal_id" \
	"  JOIN kpi.kpi k ON k.id = ANY (kpi_internal.leaf_kpis(g.kpi_id)) WHERE k.source_id = s.id)," \
	" coalesce(t.yields, 0), coalesce(t.last_deltas, 0) > 0," \
	" t.refreshed_at IS NULL" \
	" OR EXISTS (SELECT FROM kpi_internal.measure m JOIN kpi_internal.stream x ON x.id = m.stream_id" \
	"  WHERE x.source_id = s.id AND NOT EXISTS (SELECT FROM kpi_internal.measure_built b" \
	"   WHERE b.measure_id = m.id AND b.stream_id = x.id AND b.version = x.version))" \
	" OR s.id IN (" SOURCES_OF_NEW_FORMULAS ") " \
	"FROM kpi.source s LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id " \
	"WHERE s.refresh_mode <> 'manual' AND NOT s.is_paused AND t.status IS DISTINCT FROM 'suspended'" \
	" AND (t.source_id IS NOT NULL OR (" RESTORED_TRIGGERS ")) " \
	"ORDER BY t.refreshed_at NULLS FIRST, s.id"

/* Every table that has the row trigger of s has its TRUNCATE trigger, too. */
#define RESTORED_TRIGGERS \
	"SELECT pg_catalog.count(r.oid) > 0 AND pg_catalog.count(r.oid) = pg_catalog.count(c.oid)" \
	" FROM pg_catalog.pg_trigger r LEFT JOIN pg_catalog.pg_trigger c" \
	" ON c.tgrelid = r.tgrelid AND c.tgname = 'kpi_truncate_' || s.id" \
	" WHERE r.tgname = 'kpi_capture_' || s.id" \
	" AND r.tgfoid = 'kpi.capture()'::pg_catalog.regprocedure"

static TimestampTz
timestamp_or(uint64 row, int column, TimestampTz otherwise)
{
	bool		isnull;
	Datum		value = kpi_spi_datum(row, column, &isnull);

	return isnull ? otherwise : DatumGetTimestampTz(value);
}

static KpiAgendaSource *
load_source(uint64 row, MemoryContext context)
{
	KpiAgendaSource *source = MemoryContextAllocZero(context, sizeof(KpiAgendaSource));
	TimestampTz now = kpi_now();
	TimestampTz refreshed = timestamp_or(row, 5, DT_NOBEGIN);

	source->id = kpi_spi_int4(row, 1);
	source->name = MemoryContextStrdup(context, kpi_spi_text(row, 2));
	source->follows_queue = kpi_spi_bool(row, 3);
	source->interval = kpi_spi_int4(row, 4);
	source->not_before = timestamp_or(row, 6, DT_NOBEGIN);
	source->yields = kpi_spi_int4(row, 8);
	source->must_build = kpi_spi_bool(row, 10);

	/* A clock that was set back must not keep the source waiting. */
	if (refreshed > now)
		refreshed = DT_NOBEGIN;
	if (source->not_before > now + MAX_RETRY_SECONDS * USECS_PER_SEC)
		source->not_before = now;

	if (source->interval > 0 && refreshed != DT_NOBEGIN)
		source->at = refreshed + source->interval * USECS_PER_SEC;
	else if (source->interval > 0 || source->must_build || kpi_spi_bool(row, 7) ||
			 source->not_before != DT_NOBEGIN)
		source->at = DT_NOBEGIN;
	else
		source->at = DT_NOEND;
	source->queue_at = source->interval > 0 && kpi_spi_bool(row, 9) ? source->at : DT_NOBEGIN;
	return source;
}

KpiAgenda *
kpi_worker_agenda_load(void)
{
	MemoryContext caller = CurrentMemoryContext;
	KpiAgenda  *due = palloc0(sizeof(KpiAgenda));
	char	   *shape = kpi_refresh_calendar_shape();
	KpiSpi		spi;
	uint64		rows;

	kpi_spi_begin(&spi);
	rows = kpi_spi_exec(SOURCES, 1, KPI_TEXT(shape));
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < rows; row++)
		due->sources = lappend(due->sources, load_source(row, caller));
	kpi_spi_end(&spi);
	MemoryContextSwitchTo(caller);
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
kpi_worker_agenda_queued(void)
{
	Relation	rel = table_open(kpi_relation_oid("kpi_internal", "delta"), AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	Bitmapset  *queued = NULL;
	int32		last = 0;

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		int32		id = DatumGetInt32(slot_getattr(slot, 1, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (id != last)
			queued = bms_add_member(queued, id);
		last = id;
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
	return queued;
}

TimestampTz
kpi_worker_agenda_when(const KpiAgendaSource *source, Bitmapset *queued)
{
	TimestampTz at = source->at;

	if (bms_is_member(source->id, queued))
		at = Min(at, source->queue_at);
	return Max(at, source->not_before);
}

bool
kpi_worker_agenda_is(const KpiAgendaSource *source, Bitmapset *queued, TimestampTz now)
{
	return kpi_worker_agenda_when(source, queued) <= now;
}

void
kpi_worker_agenda_done(KpiAgendaSource *source, bool had_changes)
{
	source->not_before = DT_NOBEGIN;
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
	KpiSpi		spi;
	uint64		rows;

	kpi_spi_begin(&spi);
	rows = kpi_spi_exec("SELECT id FROM kpi.calendar", 0);
	for (uint64 row = 0; row < rows; row++)
	{
		const KpiCalendar *calendar = kpi_calendar_find(kpi_spi_int4(row, 1));

		if (calendar != NULL)
			next = Min(next, day_begin(kpi_calendar_today(calendar) + 1, calendar->time_zone));
	}
	kpi_spi_end(&spi);
	/* Where clocks go back at midnight, the day has begun before. */
	return Max(next, now + USECS_PER_SEC);
}

TimestampTz
kpi_worker_agenda_retry(TimestampTz now, int failures)
{
	int			seconds = MAX_RETRY_SECONDS;

	if (failures <= 9)
		seconds = 1 << (Max(failures, 1) - 1);
	return now + Min(seconds, MAX_RETRY_SECONDS) * USECS_PER_SEC;
}
