/*-------------------------------------------------------------------------
 *
 * goal_close.c
 *	  Periods are closed and reopened: what was reported of their goals is kept.
 *
 * A period is closed by KPI, for all goals in it that are not closed yet: what is kept are the
 * rows of kpi.goal_progress, brought up to date and locked.  So that these are what the facts say, nothing of the
 * period's days may wait: no delta in the queue of a source, no table to be read again, no
 * organisation or rate that the last refresh has not seen.  Changes that are committed
 * later, as changes of other days, do not keep a busy database from closing its books.
 *
 * Locks: kpi.closed_period against others who close or reopen, and against those who lock goals
 * from below or above (kpi_define_goal_closing_wait()); then the goals' rows in the order of their
 * ids, then those of kpi.goal_progress.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "capture/capture.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(kpi_sql_close_period);
PG_FUNCTION_INFO_V1(kpi_sql_reopen_period);

/* What is to be closed or reopened, and by whom. */
typedef struct Closing
{
	KpiGoalPeriod period;
	KpiParam	kpis;			/* text[]; null: all */
	char	   *reason;
	char	   *role;
}			Closing;

/* A stream of the KPIs, and the days on which what waits would move their goals. */
typedef struct Waited
{
	int32		stream_id;
	DateADT		first;
	DateADT		last;
}			Waited;

static KpiParam
date_param(DateADT day)
{
	return KPI_VALUE(DATEOID, DateADTGetDatum(day));
}

/* ---- arguments ---- */

/* Each is a KPI. */
static KpiParam
kpis_arg(FunctionCallInfo fcinfo, int n)
{
	Datum	   *names;
	bool	   *nulls;
	int			nnames;

	if (PG_ARGISNULL(n))
		return KPI_NULL(TEXTARRAYOID);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &nnames);
	if (nnames == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"kpis\" names no KPI"),
				 errhint("Leave it out, for the goals on all KPIs.")));
	for (int i = 0; i < nnames; i++)
	{
		char	   *name = nulls[i] ? NULL : TextDatumGetCString(names[i]);
		char	   *near;

		if (name == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("\"kpis\" must not have a null")));
		if (kpi_first_int4("SELECT id FROM kpi.kpi WHERE name = $1", 1, KPI_TEXT(name)) != 0)
			continue;
		near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.kpi", 0), name);
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" does not exist", name),
				 near ? errhint("Perhaps you mean %s.", near) : errhint("The KPIs are in kpi.kpi.")));
	}
	return KPI_VALUE(TEXTARRAYOID, PG_GETARG_DATUM(n));
}

/* Within kpi_spi_begin(), by the role that called it before. */
static void
read_arguments(FunctionCallInfo fcinfo, Closing * closing)
{
	const KpiCalendar *cal = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	char	   *text = kpi_arg_name(fcinfo, 0, "period");

	kpi_define_goal_period_parse(text, cal, kpi_calendar_today(cal), &closing->period);
	if (closing->period.recurring)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is more than one period", text),
				 errhint("Name one: \"2026-Q4\"; the months and weeks within it are closed with it.")));
	closing->kpis = kpis_arg(fcinfo, 1);
	closing->reason = kpi_arg_text(fcinfo, 2);
	if (closing->reason == NULL || closing->reason[0] == '\0')
		closing->reason = kpi_reason != NULL && kpi_reason[0] != '\0' ? kpi_reason : NULL;
	kpi_spi_exec("LOCK TABLE kpi.closed_period IN SHARE ROW EXCLUSIVE MODE", 0);
}

/* bigint[], or 0 if the statement, of one row and column "goals", finds none. */
static Datum
goals_of(KpiRows *rows)
{
	bool		isnull = true;
	Datum		ids = (Datum) 0;

	if (kpi_rows_next(rows))
		ids = kpi_rows_datum(rows, "goals", &isnull);
	ids = isnull ? (Datum) 0 : PointerGetDatum(DatumGetArrayTypePCopy(ids));
	kpi_rows_end(rows);
	return ids;
}

/* ---- what is to be closed ---- */

/* Goals, as p, in the days $1 to $2 and on the KPIs $3. */
#define IN_PERIOD "p.period_start >= $1 AND p.period_end <= $2 AND ($3 IS NULL OR p.kpi = ANY ($3))"
#define IS_CLOSED "EXISTS (SELECT FROM kpi.goal_reported r WHERE r.goal_id = p.goal_id" \
	" AND r.period_start = p.period_start AND r.reopened_at IS NULL)"
#define PERIOD_ARGS(closing) date_param((closing)->period.start), date_param((closing)->period.end), (closing)->kpis

pg_noreturn static void
refuse_nothing_open(const Closing * closing)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT c.period, c.closed_by, pg_catalog.to_char(c.closed_at, 'YYYY-MM-DD') AS closed_on"
				   " FROM kpi.goal_progress p JOIN kpi.goal_reported r ON r.goal_id = p.goal_id AND r.period_start = p.period_start"
				   "  AND r.reopened_at IS NULL JOIN kpi.closed_period c ON c.id = r.closed_period_id"
				   " WHERE " IN_PERIOD " ORDER BY c.id DESC LIMIT 1", 3, PERIOD_ARGS(closing));
	if (kpi_rows_next(&rows))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("period \"%s\" is closed already", closing->period.name),
				 errdetail("Its goals were closed with \"%s\" on %s by role \"%s\".", kpi_rows_text(&rows, "period"),
						   kpi_rows_text(&rows, "closed_on"), kpi_rows_text(&rows, "closed_by")),
				 errhint("What was reported is in kpi.goal_reported; kpi.reopen_period() takes it back.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no goal in period \"%s\"", closing->period.name),
			 errdetail("Goals are closed that are for it, or for a shorter period within it, in a published plan."),
			 errhint("Goals and their periods are in kpi.goal_progress.")));
}

/*
 * The first of the goals that keeps the period from being closed.  What is captured waits in the
 * queue until it is in the numbers, whenever that was; of a query that is run now and then they are
 * as of its last run.
 */
static void
refuse_unfinished(const Closing * closing, Datum goals)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT x.* FROM (SELECT p.id, p.kpi, p.period, p.period_end::text AS last_day, s.today::text AS today,"
				   "  p.is_complete, s.today <= p.period_end AS runs, n.day::text AS numbers_day,"
				   "  coalesce(n.day > p.period_end, false) OR NOT EXISTS (SELECT FROM kpi_internal.kpi_stream i"
				   "   JOIN kpi.keyed_source q ON q.source_id = i.source_id AND NOT q.is_followed WHERE i.kpi_id = p.kpi_id) AS is_read"
				   "  FROM kpi.goal_progress p JOIN kpi_internal.kpi_state s ON s.kpi_id = p.kpi_id"
				   "  CROSS JOIN LATERAL (SELECT kpi_internal.day_of(s.program, s.as_of) AS day) n"
				   "  WHERE " IN_PERIOD " AND p.goal_id = ANY ($4) AND NOT " IS_CLOSED ") x"
				   " WHERE x.runs OR NOT x.is_complete OR NOT x.is_read"
				   " ORDER BY x.runs DESC, x.is_complete, x.kpi COLLATE \"C\", x.last_day, x.id LIMIT 1",
				   4, PERIOD_ARGS(closing), KPI_VALUE(INT8ARRAYOID, goals));
	if (kpi_rows_next(&rows))
	{
		char	   *kpi = kpi_rows_text(&rows, "kpi");

		if (kpi_rows_bool(&rows, "runs"))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("period \"%s\" is not over", closing->period.name),
					 errdetail("A goal on KPI \"%s\" for \"%s\" runs until %s, and the numbers are of %s.", kpi,
							   kpi_rows_text(&rows, "period"), kpi_rows_text(&rows, "last_day"), kpi_rows_text(&rows, "today")),
					 errhint("Close it when it is over, or close a shorter period now.")));
		if (!kpi_rows_bool(&rows, "is_complete"))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the numbers of KPI \"%s\" in period \"%s\" are not complete", kpi, closing->period.name),
					 errhint("See kpi.source_status for what keeps them from it, run CALL kpi.refresh(), and close it then.")));
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the numbers of KPI \"%s\" in period \"%s\" are not final", kpi, closing->period.name),
				 errdetail("Its query was run last on %s.", kpi_rows_text(&rows, "numbers_day")),
				 errhint("Run CALL kpi.refresh(), and close it then.")));
	}
	kpi_rows_end(&rows);
}

/* ---- what waits ---- */

pg_noreturn static void
refuse_waiting(const Closing * closing, const char *source, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the numbers of period \"%s\" are not final", closing->period.name),
			 errdetail("%s of source \"%s\" that are not in them.", what, source),
			 errhint("Run CALL kpi.refresh(%s), and close it then.", quote_literal_cstr(source))));
}

static bool
moves_goals(const KpiUnpack *delta, const List *waited)
{
	ListCell   *lc;

	if (kpi_capture_is_note(delta->stream_id))
		return true;
	foreach(lc, waited)
	{
		const		Waited *stream = lfirst(lc);

		if (delta->stream_id == stream->stream_id && delta->day >= stream->first && delta->day <= stream->last)
			return true;
	}
	return false;
}

/* Whether the queue of a source has something that would move the goals. */
static bool
queue_moves_goals(int32 source_id, const List *waited)
{
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi queue row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = CurrentMemoryContext;
	KpiQueueScan scan;
	bool		moves = false;

	kpi_capture_scan_begin(&scan, source_id, InvalidOid, GetActiveSnapshot(), AccessShareLock);
	while (!moves && kpi_capture_scan_next(&scan))
	{
		KpiUnpack	delta;

		moves = scan.kind == KPI_DELTA_RECOMPUTE || scan.kind == KPI_DELTA_SUSPEND;
		if (scan.kind != KPI_DELTA_CELL)
			continue;
		MemoryContextSwitchTo(row);
		kpi_capture_unpack_begin(&delta, kpi_capture_scan_data(&scan));
		while (!moves && kpi_capture_unpack_next(&delta))
			moves = moves_goals(&delta, waited);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row);
	}
	kpi_capture_scan_end(&scan);
	MemoryContextDelete(row);
	return moves;
}

/* Of a formula the days are those that it looks back to, as for goals that a refresh may move (goal/notify.c). */
static List *
streams_of(const Closing * closing, Datum goals, int32 source_id)
{
	KpiRows		rows;
	List	   *waited = NIL;

	kpi_rows_begin(&rows, "SELECT s.stream_id, pg_catalog.max(p.period_end) AS last, pg_catalog.min(CASE s.reach WHEN 'own'"
				   "  THEN p.period_start ELSE kpi_internal.lookback_since(s.reach = 'later', s.reach_periods, s.reach_days,"
				   "   p.grain, p.period_start) END) AS first"
				   " FROM kpi.goal_progress p JOIN kpi_internal.kpi_stream s ON s.kpi_id = p.kpi_id"
				   " WHERE " IN_PERIOD " AND p.goal_id = ANY ($4) AND NOT " IS_CLOSED " AND s.source_id = $5 GROUP BY s.stream_id",
				   5, PERIOD_ARGS(closing), KPI_VALUE(INT8ARRAYOID, goals), KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
	{
		Waited	   *stream = palloc(sizeof(Waited));

		stream->stream_id = kpi_rows_int4(&rows, "stream_id");
		stream->first = kpi_rows_date(&rows, "first", DATEVAL_NOBEGIN);
		stream->last = kpi_rows_date(&rows, "last", DATEVAL_NOEND);
		waited = lappend(waited, stream);
	}
	kpi_rows_end(&rows);
	return waited;
}

static void
refuse_what_waits(const Closing * closing, Datum goals)
{
	KpiRows		sources;

	kpi_rows_begin(&sources, "SELECT DISTINCT c.id, c.name, t.org_version IS DISTINCT FROM v.org AS people_wait,"
				   " t.rates_version IS DISTINCT FROM v.rates AND EXISTS (SELECT FROM kpi_internal.stream x"
				   "  WHERE x.source_id = c.id AND x.currency IS NOT NULL) AS rates_wait"
				   " FROM kpi.goal g JOIN kpi_internal.kpi_stream s ON s.kpi_id = g.kpi_id JOIN kpi.source c ON c.id = s.source_id"
				   " LEFT JOIN kpi_internal.source_state t ON t.source_id = c.id CROSS JOIN kpi_internal.version v"
				   " WHERE g.id = ANY ($1) ORDER BY c.name", 1, KPI_VALUE(INT8ARRAYOID, goals));
	while (kpi_rows_next(&sources))
	{
		int32		source_id = kpi_rows_int4(&sources, "id");
		char	   *name = kpi_rows_text(&sources, "name");

		if (kpi_rows_bool(&sources, "people_wait"))
			refuse_waiting(closing, name, "There are changes of teams or people behind the numbers");
		if (kpi_rows_bool(&sources, "rates_wait"))
			refuse_waiting(closing, name, "There are exchange rates of amounts");
		if (queue_moves_goals(source_id, streams_of(closing, goals, source_id)))
			refuse_waiting(closing, name, "There are changes of facts");
	}
	kpi_rows_end(&sources);
}

/* ---- SQL functions ---- */

void
kpi_define_goal_closing_wait(void)
{
	kpi_spi_exec("LOCK TABLE kpi.closed_period IN ROW EXCLUSIVE MODE", 0);
}

static int64
keep_reported(const Closing * closing, Datum goals)
{
	return kpi_spi_exec("WITH open AS MATERIALIZED (SELECT p.* FROM kpi.goal_progress p"
						"  WHERE " IN_PERIOD " AND p.goal_id = ANY ($4) AND NOT " IS_CLOSED "),"
						" closing AS (INSERT INTO kpi.closed_period (kpi_id, grain, period, period_start, period_end, closed_at, closed_by, reason)"
						"  SELECT DISTINCT o.kpi_id, $5, $6, $1, $2, kpi_internal.now(), $7, $8 FROM open o ORDER BY o.kpi_id"
						"  RETURNING id, kpi_id, closed_at, closed_by, reason)"
						" INSERT INTO kpi.goal_reported (closed_period_id, goal_id, period, period_start, period_end, reported_target,"
						"  reported_actual, reported_numerator, reported_denominator, reported_status, reported_at, reported_by, reason)"
						" SELECT c.id, o.goal_id, o.period, o.period_start, o.period_end, o.target, o.actual, o.numerator, o.denominator,"
						"  o.status, c.closed_at, c.closed_by, c.reason"
						" FROM open o JOIN closing c ON c.kpi_id = o.kpi_id ORDER BY o.id",
						8, PERIOD_ARGS(closing), KPI_VALUE(INT8ARRAYOID, goals),
						KPI_TEXT(closing->period.range ? "range" : kpi_calendar_grain_name(closing->period.grain)),
						KPI_TEXT(closing->period.name), KPI_TEXT(closing->role), KPI_TEXT(closing->reason));
}

/* kpi.close_period(period, kpis, reason) */
Datum
kpi_sql_close_period(PG_FUNCTION_ARGS)
{
	Closing		closing = {.role = GetUserNameFromId(GetUserId(), false)};
	KpiRows		rows;
	Datum		goals;
	int64		closed;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	read_arguments(fcinfo, &closing);
	kpi_rows_begin(&rows, "SELECT pg_catalog.array_agg(DISTINCT p.goal_id) AS goals FROM kpi.goal_progress p"
				   " WHERE " IN_PERIOD " AND NOT " IS_CLOSED, 3, PERIOD_ARGS(&closing));
	goals = goals_of(&rows);
	if (goals == (Datum) 0)
		refuse_nothing_open(&closing);
	kpi_spi_exec("SELECT FROM kpi.goal WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE", 1, KPI_VALUE(INT8ARRAYOID, goals));
	kpi_goal_closed_write(goals);
	refuse_unfinished(&closing, goals);
	PushActiveSnapshot(GetTransactionSnapshot());
	refuse_what_waits(&closing, goals);
	PopActiveSnapshot();
	closed = keep_reported(&closing, goals);
	kpi_goal_closed_write(goals);
	kpi_spi_end(&spi);
	PG_RETURN_INT64(closed);
}

pg_noreturn static void
refuse_not_closed(const Closing * closing)
{
	char	   *with = kpi_first_text("SELECT c.period FROM kpi.closed_period c JOIN kpi.kpi k ON k.id = c.kpi_id"
									  " WHERE c.reopened_at IS NULL AND c.period_start <= $1 AND c.period_end >= $2"
									  " AND ($3 IS NULL OR k.name = ANY ($3)) ORDER BY c.period_end - c.period_start, c.id LIMIT 1",
									  3, PERIOD_ARGS(closing));

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("period \"%s\" is not closed", closing->period.name),
			 with ? errdetail("Goals within it were closed with \"%s\".", with) : 0,
			 with ? errhint("Reopen that one.") : errhint("Closed periods are in kpi.closed_period.")));
}

/* kpi.reopen_period(period, kpis, reason) */
Datum
kpi_sql_reopen_period(PG_FUNCTION_ARGS)
{
	Closing		closing = {.role = GetUserNameFromId(GetUserId(), false)};
	KpiRows		rows;
	Datum		goals;
	int64		reopened;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	read_arguments(fcinfo, &closing);
	if (closing.reason == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("reason must not be null"),
				 errhint("Say why what was reported does not hold: reason => '...'.")));
	kpi_rows_begin(&rows, "SELECT pg_catalog.array_agg(DISTINCT r.goal_id) AS goals FROM kpi.closed_period c"
				   " JOIN kpi.kpi k ON k.id = c.kpi_id JOIN kpi.goal_reported r ON r.closed_period_id = c.id"
				   " WHERE c.period_start = $1 AND c.period_end = $2 AND ($3 IS NULL OR k.name = ANY ($3)) AND c.reopened_at IS NULL",
				   3, PERIOD_ARGS(&closing));
	goals = goals_of(&rows);
	if (goals == (Datum) 0)
		refuse_not_closed(&closing);
	kpi_spi_exec("SELECT FROM kpi.goal WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE", 1, KPI_VALUE(INT8ARRAYOID, goals));
	reopened = kpi_spi_exec("WITH reopened AS (UPDATE kpi.closed_period c SET reopened_at = kpi_internal.now(), reopened_by = $4,"
							"  reopen_reason = $5 FROM kpi.kpi k WHERE k.id = c.kpi_id AND c.period_start = $1 AND c.period_end = $2"
							"  AND ($3 IS NULL OR k.name = ANY ($3)) AND c.reopened_at IS NULL RETURNING c.*)"
							" UPDATE kpi.goal_reported r SET reopened_at = o.reopened_at, reopened_by = o.reopened_by,"
							"  reopen_reason = o.reopen_reason FROM reopened o WHERE r.closed_period_id = o.id",
							5, PERIOD_ARGS(&closing), KPI_TEXT(closing.role), KPI_TEXT(closing.reason));
	kpi_goal_closed_write(goals);
	kpi_spi_end(&spi);
	PG_RETURN_INT64(reopened);
}
