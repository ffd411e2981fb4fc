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

/* Columns of CHANGED_GOALS. */
enum
{
	GOAL_ID = 1,
	GOAL_NAME,
	GOAL_KPI,
	GOAL_SCOPE,
	GOAL_PERIOD,
	GOAL_OLD_STATUS,
	GOAL_STATUS,
	GOAL_ACTUAL,
	GOAL_TARGET
};

#define CHANGED_GOALS \
	"SELECT p.goal_id, p.goal, p.kpi," \
	" CASE WHEN p.member_id IS NULL THEN 'team ' || p.team ELSE 'member ' || p.member END," \
	" p.period, s.status, p.status, p.actual::text, p.target::text" \
	" FROM kpi.goal_progress p LEFT JOIN kpi_internal.goal_status s ON s.goal_id = p.goal_id" \
	" WHERE p.goal_id = ANY ($1) AND s.status IS DISTINCT FROM p.status" \
	" AND (s.status IS NOT NULL OR p.status <> 'incomplete')" \
	" ORDER BY p.goal_id"

static void
append_text(StringInfo payload, const char *name, const char *value)
{
	appendStringInfo(payload, "%s\"%s\":", payload->len > 1 ? "," : "", name);
	if (value == NULL)
		appendStringInfoString(payload, "null");
	else
		escape_json(payload, pnstrdup(value, pg_mbcliplen(value, strlen(value), KPI_NOTIFY_TEXT)));
}

/* JSON has no NaN and no infinity, and a payload no room for a long number. */
static void
append_number(StringInfo payload, const char *name, const char *value)
{
	bool		shown = value != NULL && strlen(value) <= MAX_NUMBER_LEN &&
	strspn(value, "-.0123456789") == strlen(value);

	appendStringInfo(payload, ",\"%s\":%s", name, shown ? value : "null");
}

static void
announce(SPITupleTable *rows, uint64 r)
{
	StringInfoData payload;

#define FIELD(column) SPI_getvalue(rows->vals[r], rows->tupdesc, column)
	initStringInfo(&payload);
	appendStringInfoChar(&payload, '{');
	append_text(&payload, "goal", FIELD(GOAL_NAME));
	append_number(&payload, "goal_id", FIELD(GOAL_ID));
	append_text(&payload, "kpi", FIELD(GOAL_KPI));
	append_text(&payload, "scope", FIELD(GOAL_SCOPE));
	append_text(&payload, "period", FIELD(GOAL_PERIOD));
	append_text(&payload, "old_status", FIELD(GOAL_OLD_STATUS));
	append_text(&payload, "status", FIELD(GOAL_STATUS));
	append_number(&payload, "actual", FIELD(GOAL_ACTUAL));
	append_number(&payload, "target", FIELD(GOAL_TARGET));
	appendStringInfoChar(&payload, '}');
#undef FIELD

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
	SPITupleTable *rows;
	uint64		nrows;

	nrows = kpi_spi_exec(CHANGED_GOALS, 1, KPI_VALUE(INT8ARRAYOID, ids));
	rows = SPI_tuptable;
	for (uint64 r = 0; r < nrows; r++)
	{
		bool		isnull;
		int64		id = DatumGetInt64(SPI_getbinval(rows->vals[r], rows->tupdesc, GOAL_ID, &isnull));

		if (note_status(id, SPI_getvalue(rows->vals[r], rows->tupdesc, GOAL_OLD_STATUS),
						SPI_getvalue(rows->vals[r], rows->tupdesc, GOAL_STATUS)))
			announce(rows, r);
	}
}

/* Goals that a statement with one row and one column, bigint[], has found. */
static void
notify_found(void)
{
	bool		isnull;
	Datum		ids = kpi_spi_datum(0, 1, &isnull);

	if (!isnull)
		notify_goals(ids);
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
static uint64
find_goals(const KpiValueChanges *changes)
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
	return kpi_spi_exec("SELECT g.id, g.kpi_id, g.team_id, g.member_id, g.period_start FROM kpi.goal g"
						" WHERE g.kpi_id = ANY ($1) AND g.period_start BETWEEN $2 AND $3 ORDER BY g.id",
						3, KPI_VALUE(INT4ARRAYOID, int4_array(kpi_ids)),
						KPI_VALUE(DATEOID, DateADTGetDatum(first)), KPI_VALUE(DATEOID, DateADTGetDatum(last)));
}

static PlaceEntry *
enter_goal(HTAB *places, uint64 r)
{
	GoalPlace	place = {kpi_spi_int4(r, 2), kpi_spi_int4(r, 3), kpi_spi_int4(r, 4), kpi_spi_int4(r, 5)};
	bool		found;
	PlaceEntry *entry = hash_search(places, &place, HASH_ENTER, &found);

	if (!found)
		entry->changed = false;
	return entry;
}

/* Of the goals just found, those a value of which has changed. */
static void
notify_changed(const KpiValueChanges *changes, uint64 ngoals)
{
	HASHCTL		ctl = {.keysize = sizeof(GoalPlace),.entrysize = sizeof(PlaceEntry),
	.hcxt = CurrentMemoryContext};
	HTAB	   *places = hash_create("pg_kpi goals", ngoals, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Datum	   *ids = palloc_extended(ngoals * sizeof(Datum), MCXT_ALLOC_HUGE);
	int			n = 0;

	for (uint64 r = 0; r < ngoals; r++)
		(void) enter_goal(places, r);
	for (int i = 0; i < changes->nkeys; i++)
	{
		const KpiValueKey *key = &changes->keys[i];
		GoalPlace	place = {key->kpi_id, key->team_id, key->member_id, key->start};
		PlaceEntry *entry = hash_search(places, &place, HASH_FIND, NULL);

		if (entry)
			entry->changed = true;
	}
	for (uint64 r = 0; r < ngoals; r++)
	{
		if (enter_goal(places, r)->changed)
			ids[n++] = Int64GetDatum(kpi_spi_int8(r, 1));
	}
	if (n > 0)
		notify_goals(PointerGetDatum(construct_array(ids, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
}

/* Within kpi_spi_begin(): goals to be rechecked that the source's KPIs measure. */
static void
notify_rechecks(int32 source_id)
{
	if (kpi_spi_exec("SELECT FROM kpi_internal.goal_recheck LIMIT 1", 0) == 0)
		return;
	kpi_spi_exec("WITH seen AS ("
				 " DELETE FROM kpi_internal.goal_recheck d USING kpi.goal g"
				 " WHERE g.id = d.goal_id AND kpi_internal.leaf_kpis(g.kpi_id) &&"
				 "  ARRAY(SELECT k.id FROM kpi.kpi k WHERE k.source_id = $1)"
				 " RETURNING d.goal_id)"
				 " SELECT pg_catalog.array_agg(DISTINCT s.goal_id) FROM seen s", 1, KPI_INT4(source_id));
	notify_found();
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
	uint64		ngoals;
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
		ngoals = find_goals(changes);
		if (ngoals > 0)
			notify_changed(changes, ngoals);
		kpi_spi_end(&spi);
	}
}

void
kpi_goal_notify_source(int32 source_id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("SELECT pg_catalog.array_agg(g.id) FROM kpi.goal g"
				 " WHERE kpi_internal.leaf_kpis(g.kpi_id) &&"
				 " ARRAY(SELECT k.id FROM kpi.kpi k WHERE k.source_id = $1)", 1, KPI_INT4(source_id));
	notify_found();
	kpi_spi_end(&spi);
}

void
kpi_goal_notify_goal(int64 goal_id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi_internal.goal_recheck (goal_id) VALUES ($1) RETURNING ARRAY[goal_id]",
				 1, KPI_INT8(goal_id));
	notify_found();
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

	kpi_spi_begin(&spi);
	if (kpi_spi_exec("SELECT FROM kpi.calendar c LEFT JOIN kpi_internal.announced_day a ON a.calendar_id = c.id"
					 " WHERE a.day IS DISTINCT FROM kpi_internal.today(c.id)", 0) > 0)
	{
		kpi_spi_exec("WITH moved AS ("
					 " INSERT INTO kpi_internal.announced_day AS a"
					 " SELECT c.id, kpi_internal.today(c.id) FROM kpi.calendar c ORDER BY c.id"
					 " ON CONFLICT (calendar_id) DO UPDATE SET day = EXCLUDED.day WHERE a.day <> EXCLUDED.day"
					 " RETURNING a.calendar_id)"
					 " SELECT pg_catalog.array_agg(g.id) FROM kpi.goal g"
					 " WHERE kpi_internal.kpi_calendar(g.kpi_id) IN (SELECT m.calendar_id FROM moved m)", 0);
		notify_found();
	}
	kpi_spi_end(&spi);
}
