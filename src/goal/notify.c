/*-------------------------------------------------------------------------
 *
 * notify.c
 *	  NOTIFY kpi_progress when the status of a goal changes.
 *
 * A status may change when values change or a source is suspended, when a
 * goal is altered, and when a day begins in its calendar; each of them calls
 * this.  What was announced last is in kpi_internal.goal_status, written in
 * the same transaction as the notification, so each change is announced once,
 * and only if it commits.
 *
 * A refresh looks at those goals only whose KPI, scope and period it wrote
 * values of, or at all of its source when working days may have changed; what
 * depends on the date alone waits for the beginning of a day.
 * The first status of a goal is noted and not announced; "incomplete" is not
 * noted as a first one, as nobody has seen a number yet.
 *
 * A goal that is made or altered while a refresh has not committed is seen by
 * neither in the light of the other.  So it stays to be rechecked until the source is
 * refreshed again, which waits for that refresh: the source's lock is held.
 *
 * Two transactions that find the same change: the second waits for the
 * first's row, finds its status there, and announces nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "goal/goal.h"
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
	appendStringInfoChar(&payload, '}');

	Async_Notify("kpi_progress", payload.data);
	pfree(payload.data);
}

/* Within kpi_spi_begin(): true if the change is ours to announce. */
static bool
note_status(int64 goal_id, const char *old_status, const char *status)
{
	if (old_status == NULL)
	{
		kpi_spi_exec("INSERT INTO kpi_internal.goal_status VALUES ($1, $2) ON CONFLICT DO NOTHING",
					 2, KPI_INT8(goal_id), KPI_TEXT(status));
		return false;
	}
	return kpi_spi_exec("UPDATE kpi_internal.goal_status SET status = $2 WHERE goal_id = $1 AND status = $3",
						3, KPI_INT8(goal_id), KPI_TEXT(status), KPI_TEXT(old_status)) > 0;
}

/* Within kpi_spi_begin(). */
static void
notify_goals(Datum ids)
{
	KpiRows		goals;

	kpi_rows_begin(&goals, "SELECT * FROM kpi_internal.goal_announcement"
				   " WHERE goal_id = ANY ($1) ORDER BY goal_id",
				   1, KPI_VALUE(INT8ARRAYOID, ids));
	while (kpi_rows_next(&goals))
	{
		if (note_status(kpi_rows_int8(&goals, "goal_id"), kpi_rows_text(&goals, "old_status"),
						kpi_rows_text(&goals, "status")))
			announce(&goals);
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
		notify_goals(ids);
	kpi_rows_end(found);
}

/* Where the value stands that a goal is measured by. */
typedef struct GoalPlace
{
	int32		kpi_id;
	int32		team_id;		/* or 0 */
	int32		member_id;		/* or 0 */
	DateADT		start;
} GoalPlace;

typedef struct PlaceEntry
{
	GoalPlace	place;
	bool		changed;
} PlaceEntry;

static Datum
int4_array(Bitmapset *members)
{
	Datum	   *values = palloc(bms_num_members(members) * sizeof(Datum));
	int			n = 0;
	int			member = -1;

	while ((member = bms_next_member(members, member)) >= 0)
		values[n++] = Int32GetDatum(member);
	return PointerGetDatum(construct_array(values, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* Goals of the KPIs and the years that the run has changed: more than needed. */
static void
find_goals(KpiRows *goals, const KpiValueChanges *changes)
{
	Bitmapset  *kpi_ids = NULL;
	DateADT		first = DATEVAL_NOEND;
	DateADT		last = DATEVAL_NOBEGIN;

	for (int i = 0; i < changes->nkeys; i++)
	{
		if (i == 0 || changes->keys[i].kpi_id != changes->keys[i - 1].kpi_id)
			kpi_ids = bms_add_member(kpi_ids, changes->keys[i].kpi_id);
		first = Min(first, changes->keys[i].start);
		last = Max(last, changes->keys[i].start);
	}
	kpi_rows_begin(goals, "SELECT g.id, g.kpi_id, g.team_id, g.member_id, g.period_start FROM kpi.goal g"
				   " WHERE g.kpi_id = ANY ($1) AND g.period_start BETWEEN $2 AND $3 ORDER BY g.id",
				   3, KPI_VALUE(INT4ARRAYOID, int4_array(kpi_ids)),
				   KPI_VALUE(DATEOID, DateADTGetDatum(first)), KPI_VALUE(DATEOID, DateADTGetDatum(last)));
}

static PlaceEntry *
enter_goal(HTAB *places, KpiRows *goal)
{
	GoalPlace	place = {
		kpi_rows_int4(goal, "kpi_id"), kpi_rows_int4(goal, "team_id"), kpi_rows_int4(goal, "member_id"),
		kpi_rows_date(goal, "period_start", DATEVAL_NOBEGIN)
	};
	bool		found;
	PlaceEntry *entry = hash_search(places, &place, HASH_ENTER, &found);

	if (!found)
		entry->changed = false;
	return entry;
}

/* Of the goals found, those a value of which has changed. */
static void
notify_changed(const KpiValueChanges *changes, KpiRows *goals)
{
	HASHCTL		ctl = {.keysize = sizeof(GoalPlace),.entrysize = sizeof(PlaceEntry),
	.hcxt = CurrentMemoryContext};
	HTAB	   *places = hash_create("pg_kpi goals", goals->n, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Datum	   *ids = palloc_extended(goals->n * sizeof(Datum), MCXT_ALLOC_HUGE);
	int			n = 0;

	while (kpi_rows_next(goals))
		(void) enter_goal(places, goals);
	for (int i = 0; i < changes->nkeys; i++)
	{
		const KpiValueKey *key = &changes->keys[i];
		GoalPlace	place = {key->kpi_id, key->team_id, key->member_id, key->start};
		PlaceEntry *entry = hash_search(places, &place, HASH_FIND, NULL);

		if (entry)
			entry->changed = true;
	}
	kpi_rows_rewind(goals);
	while (kpi_rows_next(goals))
	{
		if (enter_goal(places, goals)->changed)
			ids[n++] = Int64GetDatum(kpi_rows_int8(goals, "id"));
	}
	if (n > 0)
		notify_goals(PointerGetDatum(construct_array(ids, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
													 TYPALIGN_DOUBLE)));
}

/* Whether the KPI of goal g is measured on source $1, or a formula is over one that is. */
#define KPI_IS_OF_SOURCE \
	"EXISTS (SELECT FROM kpi_internal.kpi_stream s WHERE s.kpi_id = g.kpi_id AND s.source_id = $1)"

/* Within kpi_spi_begin(): goals to be rechecked that the source's KPIs measure. */
static void
notify_rechecks(int32 source_id)
{
	KpiRows		found;

	if (kpi_spi_exec("SELECT FROM kpi_internal.goal_recheck LIMIT 1", 0) == 0)
		return;
	kpi_rows_begin(&found, "WITH seen AS ("
				   " DELETE FROM kpi_internal.goal_recheck d USING kpi.goal g"
				   " WHERE g.id = d.goal_id AND " KPI_IS_OF_SOURCE
				   " RETURNING d.goal_id)"
				   " SELECT pg_catalog.array_agg(DISTINCT s.goal_id) AS goals FROM seen s",
				   1, KPI_INT4(source_id));
	notify_found(&found);
}

/*
 * Within kpi_spi_begin(): whether the working days of goals may be others than
 * those by which the source's goals were looked at last, because a calendar has
 * changed or a team or member is below a team of another calendar now.  Noted
 * before anybody looks, so what comes meanwhile is seen by the next refresh.
 */
static bool
workdays_moved(const KpiValueChanges *changes)
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

void
kpi_goal_notify_changes(const KpiValueChanges *changes)
{
	KpiSpi		spi;
	KpiRows		goals;
	bool		all;

	kpi_spi_begin(&spi);
	notify_rechecks(changes->source_id);
	all = workdays_moved(changes) || changes->all;
	kpi_spi_end(&spi);
	if (all)
		kpi_goal_notify_source(changes->source_id);
	else if (changes->nkeys > 0)
	{
		kpi_spi_begin(&spi);
		find_goals(&goals, changes);
		if (goals.n > 0)
			notify_changed(changes, &goals);
		kpi_rows_end(&goals);
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
				   " WHERE " KPI_IS_OF_SOURCE, 1, KPI_INT4(source_id));
	notify_found(&found);
	kpi_spi_end(&spi);
}

void
kpi_goal_notify_goal(int64 goal_id)
{
	KpiSpi		spi;
	KpiRows		found;

	kpi_spi_begin(&spi);
	kpi_rows_begin(&found,
				   "INSERT INTO kpi_internal.goal_recheck (goal_id) VALUES ($1)"
				   " RETURNING ARRAY[goal_id] AS goals",
				   1, KPI_INT8(goal_id));
	notify_found(&found);
	kpi_spi_end(&spi);
}

/*
 * A calendar's day is noted in the statement that finds its goals, so that of
 * two transactions one announces them.
 */
void
kpi_goal_notify_days(void)
{
	KpiSpi		spi;
	KpiRows		found;

	kpi_spi_begin(&spi);
	if (kpi_spi_exec("SELECT FROM kpi.calendar c LEFT JOIN kpi_internal.announced_day a ON a.calendar_id = c.id"
					 " WHERE a.day IS DISTINCT FROM kpi_internal.today(c.id)", 0) > 0)
	{
		kpi_rows_begin(&found, "WITH moved AS ("
					   " INSERT INTO kpi_internal.announced_day AS a"
					   " SELECT c.id, kpi_internal.today(c.id) FROM kpi.calendar c ORDER BY c.id"
					   " ON CONFLICT (calendar_id) DO UPDATE SET day = EXCLUDED.day"
					   " WHERE a.day <> EXCLUDED.day"
					   " RETURNING a.calendar_id)"
					   " SELECT pg_catalog.array_agg(g.id) AS goals FROM kpi.goal g"
					   " WHERE EXISTS (SELECT FROM kpi_internal.kpi_stream s JOIN kpi.source q ON q.id = s.source_id"
					   "  WHERE s.kpi_id = g.kpi_id AND q.calendar_id IN (SELECT m.calendar_id FROM moved m))",
					   0);
		notify_found(&found);
	}
	kpi_spi_end(&spi);
}
