/*-------------------------------------------------------------------------
 *
 * notify.c
 *	  NOTIFY kpi_progress when the status of a goal changes or a milestone is reached.
 *
 * A status may change when values change or a source is suspended, when a
 * goal is altered, and when a day begins in its calendar; each of them calls
 * this.  What was announced last is in kpi_internal.goal_status, written in
 * the same transaction as the notification and its row in kpi.goal_event, so each
 * change is announced once, and only if it commits.
 *
 * What is settled is announced at once: achieved, over_limit, missed.  Any other
 * status may be another in an hour, so it is when it has come to its next day: when
 * kpi.goal_progress.status_since is of an earlier day than today, which the beginning
 * of a day looks at.  So it follows from rows, not from how often somebody refreshes.
 * A milestone is announced once, even if it is reached a second time.
 *
 * A refresh looks at those goals only below which it changed cells: of a stream
 * of the KPI, of the scope, within the period; or at all of its source when
 * working days may have changed.  What depends on the date alone waits for the
 * beginning of a day.
 * The first status of a goal is noted and not announced; "incomplete" is not
 * noted as a first one, as nobody has seen a number yet.
 *
 * What a refresh and somebody who defines, or two refreshes that each move one
 * input of a formula, do not see of each other, the list of goals to be looked at once
 * more tells the one who comes after both (table.c).
 *
 * Two transactions that find the same change: the second waits for the
 * first's row, finds its status there, and announces nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "goal/goal_internal.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/json.h"

/* Numbers longer than this are left out. */
#define MAX_NUMBER_LEN 200

static void
append_text(StringInfo payload, KpiRows *goal, const char *name)
{
	char	   *value = kpi_rows_text(goal, name);

	appendStringInfo(payload, "%s\"%s\":", payload->len > 1 ? "," : "", name);
	if (value == NULL)
		appendStringInfoString(payload, "null");
	else
		escape_json(payload, pnstrdup(value, pg_mbcliplen(value, strlen(value), KPI_NOTIFY_TEXT)));
}

/* JSON has no NaN and no infinity, and a payload no room for a long number. */
static void
append_number(StringInfo payload, KpiRows *goal, const char *name)
{
	char	   *value = kpi_rows_text(goal, name);
	bool		shown = value != NULL && strlen(value) <= MAX_NUMBER_LEN &&
	strspn(value, "-.0123456789") == strlen(value);

	appendStringInfo(payload, ",\"%s\":%s", name, shown ? value : "null");
}

static bool
is_milestone(KpiRows *goal)
{
	return strcmp(kpi_rows_text(goal, "event"), "milestone") == 0;
}

/* The fields of the payload are columns of kpi_internal.goal_announcement. */
static void
announce(KpiRows *goal)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfoChar(&payload, '{');
	append_text(&payload, goal, "goal");
	append_number(&payload, goal, "goal_id");
	append_text(&payload, goal, "kpi");
	append_text(&payload, goal, "scope");
	append_text(&payload, goal, "period");
	append_text(&payload, goal, "old_status");
	append_text(&payload, goal, "status");
	append_number(&payload, goal, "actual");
	append_number(&payload, goal, "target");
	if (is_milestone(goal))
	{
		append_number(&payload, goal, "milestone");
		append_text(&payload, goal, "milestone_date");
	}
	appendStringInfoChar(&payload, '}');

	Async_Notify("kpi_progress", payload.data);
	pfree(payload.data);
}

/* Within kpi_spi_begin(): true if it is ours to announce. */
static bool
note(KpiRows *goal)
{
	int64		id = kpi_rows_int8(goal, "id");
	char	   *old_status = kpi_rows_text(goal, "old_status");
	char	   *status = kpi_rows_text(goal, "status");

	if (old_status == NULL)
	{
		kpi_spi_exec("INSERT INTO kpi_internal.goal_status (id, goal_id, status, milestone)"
					 " SELECT p.id, p.goal_id, $2, (SELECT pg_catalog.max(m.day) FROM kpi.goal_milestone m"
					 "  WHERE m.goal_id = p.goal_id AND m.amount <= p.actual_to_date)"
					 " FROM kpi.goal_progress p WHERE p.id = $1 ON CONFLICT DO NOTHING",
					 2, KPI_INT8(id), KPI_TEXT(status));
		return false;
	}
	if (is_milestone(goal))
		return kpi_spi_exec("UPDATE kpi_internal.goal_status SET milestone = $2"
							" WHERE id = $1 AND coalesce(milestone, '-infinity') < $2", 2, KPI_INT8(id),
							KPI_VALUE(DATEOID, DateADTGetDatum(kpi_rows_date(goal, "milestone_date", DATEVAL_NOBEGIN)))) > 0;
	return kpi_spi_exec("UPDATE kpi_internal.goal_status SET status = $2 WHERE id = $1 AND status = $3",
						3, KPI_INT8(id), KPI_TEXT(status), KPI_TEXT(old_status)) > 0;
}

/* Within kpi_spi_begin() */
static void
keep_event(KpiRows *goal)
{
	char	   *day = kpi_rows_text(goal, "milestone_date");

	kpi_spi_exec("INSERT INTO kpi.goal_event (goal_id, goal, plan, kpi, scope, team, member, dimension, dimension_value,"
				 "  period, period_start, event, old_status, status, actual_to_date, target, milestone, milestone_date, day, happened_at)"
				 " SELECT p.goal_id, p.goal, p.plan, p.kpi, p.scope, p.team, p.member, p.dimension, p.dimension_value,"
				 "  p.period, p.period_start, $2, $3, p.status, p.actual_to_date, p.target, m.amount, m.day, p.as_of_day, kpi_internal.now()"
				 " FROM kpi.goal_progress p LEFT JOIN kpi.goal_milestone m ON m.goal_id = p.goal_id AND m.day = $4::date"
				 " WHERE p.id = $1", 4, KPI_INT8(kpi_rows_int8(goal, "id")), KPI_TEXT(kpi_rows_text(goal, "event")),
				 KPI_TEXT(kpi_rows_text(goal, "old_status")), KPI_TEXT(day));
}

/*
 * Within kpi_spi_begin(): writes the rows of goals, and tells what there is to tell of
 * those that are ours: whoever has another one locked tells of it, or looks at it once more.
 */
void
kpi_goal_notify_rows(Datum ids, bool wait)
{
	Datum		ours = kpi_goal_table_write(ids, wait);
	KpiRows		goals;

	kpi_rows_begin(&goals, "SELECT * FROM kpi_internal.goal_announcement"
				   " WHERE goal_id = ANY ($1) AND (old_status IS NULL OR id IN (SELECT pg_catalog.unnest($2)))"
				   " ORDER BY id, milestone_date",
				   2, KPI_VALUE(INT8ARRAYOID, ids), KPI_VALUE(INT8ARRAYOID, ours));
	while (kpi_rows_next(&goals))
	{
		if (note(&goals))
		{
			keep_event(&goals);
			announce(&goals);
		}
	}
	kpi_rows_end(&goals);
}

/* Ends a statement of one row and one column "goals", bigint[], and notifies those. */
static void
notify_found(KpiRows *found)
{
	bool		isnull = true;
	Datum		ids = (Datum) 0;

	if (kpi_rows_next(found))
		ids = kpi_rows_datum(found, "goals", &isnull);
	if (!isnull)
		kpi_goal_notify_rows(ids, false);
	kpi_rows_end(found);
}

/* A goal that a change may concern, for one of the streams its KPI is measured on. */
typedef struct GoalPeriod
{
	int64		goal_id;
	DateADT		first;			/* days and months that move it begin from */
	DateADT		last;			/* here to here, inclusive */
	bool		changed;
	struct GoalPeriod *next;	/* of the same stream and scope */
} GoalPeriod;

typedef struct GoalScope
{
	int32		stream_id;
	int32		scope_kind;		/* KpiScopeKind */
	int32		scope_id;
} GoalScope;

typedef struct ScopeEntry
{
	GoalScope	scope;
	GoalPeriod *goals;
} ScopeEntry;

/* Goals of the source's KPIs, and of formulas over them, in the time of the changes: by stream and id. */
static void
find_goals(KpiRows *goals, const KpiChanges *changes)
{
	DateADT		first = DATEVAL_NOEND;
	DateADT		last = DATEVAL_NOBEGIN;

	for (int i = 0; i < changes->ncells; i++)
	{
		const KpiChangedCell *cell = &changes->cells[i];

		first = Min(first, cell->start);
		last = Max(last, cell->start);
	}

	/*
	 * A month's start stands for its days, but so it does in the goal's
	 * period.
	 */
	kpi_rows_begin(goals, "SELECT g.id, s.stream_id, g.team_id, g.member_id, g.period_end,"
				   "  CASE s.reach WHEN 'own' THEN g.period_start ELSE kpi_internal.lookback_since(s.reach = 'later',"
				   "   s.reach_periods, s.reach_days, g.grain, g.period_start) END AS first"
				   " FROM kpi_internal.kpi_stream s JOIN kpi.goal g ON g.kpi_id = s.kpi_id"
				   " WHERE s.source_id = $1 AND NOT g.is_draft AND g.period_end >= $2 AND (g.period_start <= $3 OR s.reach <> 'own'"
				   "  AND kpi_internal.lookback_since(s.reach = 'later', s.reach_periods, s.reach_days, g.grain,"
				   "   g.period_start) <= $3)"
				   " ORDER BY g.id",
				   3, KPI_INT4(changes->source_id),
				   KPI_VALUE(DATEOID, DateADTGetDatum(first)), KPI_VALUE(DATEOID, DateADTGetDatum(last)));
}

/* The goals found, in the order of the rows, and by their scopes. */
static GoalPeriod *
goals_by_scope(HTAB *scopes, KpiRows *goals)
{
	GoalPeriod *periods = palloc_extended(goals->n * sizeof(GoalPeriod), MCXT_ALLOC_HUGE);
	GoalPeriod *period = periods;

	while (kpi_rows_next(goals))
	{
		int32		member_id = kpi_rows_int4(goals, "member_id");
		GoalScope	scope = {
			kpi_rows_int4(goals, "stream_id"), member_id != 0 ? KPI_SCOPE_MEMBER : KPI_SCOPE_TEAM,
			member_id != 0 ? member_id : kpi_rows_int4(goals, "team_id")
		};
		bool		found;
		ScopeEntry *entry = hash_search(scopes, &scope, HASH_ENTER, &found);

		period->goal_id = kpi_rows_int8(goals, "id");
		period->first = kpi_rows_date(goals, "first", DATEVAL_NOBEGIN);
		period->last = kpi_rows_date(goals, "period_end", DATEVAL_NOEND);
		period->changed = false;
		period->next = found ? entry->goals : NULL;
		entry->goals = period++;
	}
	return periods;
}

/*
 * Days count for goals of months and longer, too: what moves from one day to
 * another within a month may come before today, or after it.
 */
static void
mark_goals(HTAB *scopes, const KpiChangedCell *cell)
{
	GoalScope	scope = {cell->stream_id, cell->scope_kind, cell->scope_id};
	ScopeEntry *entry = hash_search(scopes, &scope, HASH_FIND, NULL);

	for (GoalPeriod *goal = entry ? entry->goals : NULL; goal; goal = goal->next)
	{
		if (cell->start >= goal->first && cell->start <= goal->last)
			goal->changed = true;
	}
}

/* Of the goals found, those below which a cell has changed. */
static void
notify_changed(const KpiChanges *changes, KpiRows *goals)
{
	HASHCTL		ctl = {.keysize = sizeof(GoalScope),.entrysize = sizeof(ScopeEntry),
	.hcxt = CurrentMemoryContext};
	HTAB	   *scopes = hash_create("pg_kpi goals", goals->n, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	GoalPeriod *periods = goals_by_scope(scopes, goals);
	Datum	   *ids = palloc_extended(goals->n * sizeof(Datum), MCXT_ALLOC_HUGE);
	int			n = 0;

	for (int i = 0; i < changes->ncells; i++)
		mark_goals(scopes, &changes->cells[i]);
	for (int i = 0; i < goals->n; i++)
	{
		if (periods[i].changed)
			ids[n++] = Int64GetDatum(periods[i].goal_id);
	}
	if (n > 0)
		kpi_goal_notify_rows(PointerGetDatum(construct_array(ids, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
															 TYPALIGN_DOUBLE)), false);
}

/* Whether the KPI of goal g is measured on source $1, or a formula is over one that is. */
#define KPI_IS_OF_SOURCE \
	"EXISTS (SELECT FROM kpi_internal.kpi_stream s WHERE s.kpi_id = g.kpi_id AND s.source_id = $1)"

/*
 * Entries of this transaction wait for its end: until then no refresh sees what
 * brought them there, so one that comes meanwhile leaves the rows as they are.
 */
#define NOT_MINE "r.xact IS DISTINCT FROM pg_catalog.pg_current_xact_id_if_assigned()"

bool
kpi_goal_recheck_waits(void)
{
	KpiSpi		spi;
	bool		waits;

	kpi_spi_begin(&spi);
	waits = kpi_spi_exec("SELECT FROM kpi_internal.goal_recheck r WHERE " NOT_MINE " LIMIT 1", 0) > 0;
	kpi_spi_end(&spi);
	return waits;
}

/*
 * Within kpi_spi_begin(): puts goals back on the list below which somebody
 * refreshes a source now, who may have begun before what brought them there was committed.
 * Who begins later sees it, and what those before have done is seen by the
 * statements that follow.
 */
static void
recheck_busy(Datum ids)
{
	List	   *busy = NIL;
	KpiRows		sources;

	kpi_rows_begin(&sources, "SELECT DISTINCT s.source_id FROM kpi.goal g"
				   " JOIN kpi_internal.kpi_stream s ON s.kpi_id = g.kpi_id WHERE g.id = ANY ($1)",
				   1, KPI_VALUE(INT8ARRAYOID, ids));
	while (kpi_rows_next(&sources))
	{
		int32		source_id = kpi_rows_int4(&sources, "source_id");

		if (kpi_source_is_busy(source_id))
			busy = lappend_int(busy, source_id);
	}
	kpi_rows_end(&sources);
	if (busy != NIL)
		kpi_spi_exec("INSERT INTO kpi_internal.goal_recheck (goal_id, not_before)"
					 " SELECT g.id, pg_catalog.clock_timestamp() + interval '250 ms'"
					 " FROM kpi.goal g WHERE g.id = ANY ($1) AND EXISTS (SELECT FROM kpi_internal.kpi_stream s"
					 "  WHERE s.kpi_id = g.kpi_id AND s.source_id = ANY ($2))",
					 2, KPI_VALUE(INT8ARRAYOID, ids), KPI_INT4S(busy));
}

/*
 * What is taken from the list and found locked comes back on it.  Of two that
 * work on it at once each has its own.
 */
bool
kpi_goal_recheck(void)
{
	KpiRows		found;
	KpiSpi		spi;
	Datum		ids = (Datum) 0;
	bool		isnull = true;

	if (!kpi_goal_recheck_waits())
		return false;
	kpi_spi_begin(&spi);
	kpi_rows_begin(&found, "WITH seen AS ("
				   " DELETE FROM kpi_internal.goal_recheck d WHERE d.id IN ("
				   "  SELECT r.id FROM kpi_internal.goal_recheck r WHERE r.not_before <= pg_catalog.clock_timestamp()"
				   "   AND " NOT_MINE
				   "  FOR UPDATE SKIP LOCKED)"
				   " RETURNING d.goal_id)"
				   " SELECT pg_catalog.array_agg(DISTINCT s.goal_id) AS goals FROM seen s", 0);
	if (kpi_rows_next(&found))
		ids = kpi_rows_datum(&found, "goals", &isnull);
	if (!isnull)
	{
		recheck_busy(ids);
		kpi_goal_notify_rows(ids, false);
	}
	kpi_rows_end(&found);
	kpi_spi_end(&spi);
	return kpi_goal_recheck_waits();
}

/*
 * Within kpi_spi_begin(): whether the working days of goals may be others than
 * those by which the source's goals were looked at last, because a calendar has
 * changed or a team or member is below a team of another calendar now.  Noted
 * before anybody looks, so what comes meanwhile is seen by the next refresh.
 */
static bool
workdays_moved(const KpiChanges *changes)
{
	bool		moved;

	moved = kpi_spi_exec("UPDATE kpi_internal.source_state t SET goals_calendar = p.calendar"
						 " FROM kpi_internal.version p"
						 " WHERE t.source_id = $1 AND t.goals_calendar IS DISTINCT FROM p.calendar",
						 1, KPI_INT4(changes->source_id)) > 0;
	if (!moved && changes->people_moved)
		moved = kpi_spi_exec("SELECT FROM kpi.team WHERE calendar_id IS NOT NULL LIMIT 1", 0) > 0;
	return moved;
}

/* Within kpi_spi_begin(): goals whose numbers were of an earlier day, and are of today now. */
static void
notify_stale(int32 source_id)
{
	KpiRows		found;

	kpi_rows_begin(&found, "SELECT pg_catalog.array_agg(p.goal_id) AS goals FROM kpi_internal.kpi_stream s"
				   " JOIN kpi.goal_progress p ON p.kpi_id = s.kpi_id AND p.is_stale WHERE s.source_id = $1",
				   1, KPI_INT4(source_id));
	notify_found(&found);
}

/* Within kpi_spi_begin(): goals that are to be judged by another day than they were. */
static void
notify_of_another_day(int32 source_id)
{
	KpiRows		found;

	kpi_rows_begin(&found, "SELECT pg_catalog.array_agg(p.goal_id) AS goals"
				   " FROM (SELECT DISTINCT s.kpi_id FROM kpi_internal.kpi_stream s WHERE s.source_id = $1 OFFSET 0) x"
				   " JOIN LATERAL (SELECT kpi_internal.today_of(f.program) AS day FROM kpi_internal.kpi_stream f"
				   "  WHERE f.kpi_id = x.kpi_id AND f.position = 1 OFFSET 0) t ON true"
				   " JOIN kpi.goal_progress p ON p.kpi_id = x.kpi_id"
				   "  AND kpi_internal.goal_day_matters(p.period_start, p.period_end, p.as_of_day, t.day)",
				   1, KPI_INT4(source_id));
	notify_found(&found);
}

/*
 * Within kpi_spi_begin(): goals that have no facts are at 0 from the KPI's first fact on, whosever
 * it is.  That may have changed only if nobody had one before the days that changed.
 */
static void
notify_begun(const KpiChanges *changes)
{
	DateADT		first = DATEVAL_NOEND;
	KpiRows		found;

	for (int i = 0; i < changes->ncells; i++)
		first = Min(first, changes->cells[i].start);
	kpi_rows_begin(&found, "SELECT pg_catalog.array_agg(p.goal_id) AS goals FROM ("
				   " SELECT k.kpi_id FROM (SELECT DISTINCT s.kpi_id FROM kpi_internal.kpi_stream s"
				   "  WHERE s.source_id = $1 AND EXISTS (SELECT FROM kpi.goal g WHERE g.kpi_id = s.kpi_id) OFFSET 0) k"
				   " JOIN kpi_internal.kpi_stream f ON f.kpi_id = k.kpi_id AND f.position = 1"
				   " WHERE NOT kpi_internal.goal_has_begun(f.program, $2)) x"
				   " JOIN kpi.goal_progress p ON p.kpi_id = x.kpi_id AND (p.actual IS NULL OR p.actual = 0)",
				   2, KPI_INT4(changes->source_id), KPI_VALUE(DATEOID, DateADTGetDatum(first - 1)));
	notify_found(&found);
}

void
kpi_goal_notify_changes(const KpiChanges *changes)
{
	KpiSpi		spi;
	KpiRows		goals;
	bool		all;

	(void) kpi_goal_recheck();
	kpi_spi_begin(&spi);
	all = workdays_moved(changes) || changes->all;
	if (!all)
		notify_stale(changes->source_id);
	if (!all && changes->day_moved)
		notify_of_another_day(changes->source_id);
	kpi_spi_end(&spi);
	if (all)
		kpi_goal_notify_source(changes->source_id);
	else if (changes->ncells > 0)
	{
		kpi_spi_begin(&spi);
		find_goals(&goals, changes);
		if (goals.n > 0)
			notify_changed(changes, &goals);
		kpi_rows_end(&goals);
		notify_begun(changes);
		kpi_spi_end(&spi);
	}
}

void
kpi_goal_notify_source(int32 source_id)
{
	KpiSpi		spi;
	KpiRows		found;

	kpi_spi_begin(&spi);
	kpi_rows_begin(&found, "SELECT pg_catalog.array_agg(g.id) AS goals FROM kpi.goal g"
				   " WHERE NOT g.is_draft AND " KPI_IS_OF_SOURCE, 1, KPI_INT4(source_id));
	notify_found(&found);
	kpi_spi_end(&spi);
}

void
kpi_goal_notify_goals(Datum goal_ids)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_goal_recheck_later(goal_ids);
	kpi_goal_notify_rows(goal_ids, true);
	kpi_spi_end(&spi);
}

void
kpi_goal_notify_goal(int64 goal_id)
{
	Datum		id = Int64GetDatum(goal_id);

	kpi_goal_notify_goals(PointerGetDatum(construct_array(&id, 1, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
														  TYPALIGN_DOUBLE)));
}

/*
 * A calendar's day is noted in the statement that finds its goals, so that of
 * two transactions one announces them.  A dated move that the day brings changes
 * the teams' paths, and the teams of members, also of goals whose period is over
 * or has not begun.  So do announcements that have waited for the day.
 */
static const char *const find_goals_of_day =
"WITH free AS (SELECT a.calendar_id FROM kpi_internal.announced_day a FOR UPDATE SKIP LOCKED),"
" turned AS ("
" SELECT c.id, coalesce(a.day, '-infinity') AS before, kpi_internal.today(c.id) AS day"
"  FROM kpi.calendar c LEFT JOIN kpi_internal.announced_day a ON a.calendar_id = c.id"
"  WHERE a.day IS DISTINCT FROM kpi_internal.today(c.id)"
"   AND (a.calendar_id IS NULL OR a.calendar_id IN (SELECT f.calendar_id FROM free f))),"
" noted AS ("
" INSERT INTO kpi_internal.announced_day AS a SELECT t.id, t.day FROM turned t ORDER BY t.id"
" ON CONFLICT (calendar_id) DO UPDATE SET day = EXCLUDED.day WHERE a.day <> EXCLUDED.day"
" RETURNING a.calendar_id),"
" team_moved AS ("
" SELECT FROM turned t JOIN kpi.team_parent m"
"  ON m.since > least(t.before, t.day) AND m.since <= greatest(t.before, t.day)),"
" member_moved AS ("
" SELECT m.member_id FROM turned t JOIN kpi.membership m"
"  ON m.since > least(t.before, t.day) AND m.since <= greatest(t.before, t.day)"
"  OR m.until > least(t.before, t.day) AND m.until <= greatest(t.before, t.day))"
" SELECT pg_catalog.array_agg(p.goal_id) AS goals FROM kpi.goal_progress p"
" JOIN kpi_internal.kpi_stream s ON s.kpi_id = p.kpi_id AND s.position = 1"
" WHERE (SELECT pg_catalog.count(*) FROM noted) > 0"
" AND (kpi_internal.goal_day_matters(p.period_start, p.period_end, p.as_of_day, kpi_internal.today_of(s.program))"
"  OR EXISTS (SELECT FROM team_moved)"
"  OR p.member_id IN (SELECT m.member_id FROM member_moved m)"
"  OR EXISTS (SELECT FROM kpi_internal.goal_status a WHERE a.id = p.id AND a.status <> p.status))";

void
kpi_goal_notify_days(void)
{
	KpiSpi		spi;
	KpiRows		found;

	kpi_spi_begin(&spi);
	if (kpi_spi_exec("SELECT FROM kpi.calendar c LEFT JOIN kpi_internal.announced_day a ON a.calendar_id = c.id"
					 " WHERE a.day IS DISTINCT FROM kpi_internal.today(c.id)", 0) > 0)
	{
		kpi_goal_targets_follow();
		kpi_rows_begin(&found, find_goals_of_day, 0);
		notify_found(&found);
	}
	kpi_spi_end(&spi);
}
