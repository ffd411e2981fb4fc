/*-------------------------------------------------------------------------
 *
 * notify.c
 *	  NOTIFY kpi_progress when the status of a goal changes.
 *
 * Called wherever a status may change: by the engine when values have changed
 * or a source is suspended, when a goal is altered, and for the goals of a
 * calendar when a day begins in it.  What was announced last is in kpi_internal.goal_status, written
 * in the same transaction as the notification, so each change is announced
 * once, and only if it commits.
 *
 * A refresh looks at those goals only whose KPI, scope and period it wrote
 * values of; what depends on the date alone waits for the beginning of a day.
 * The first status of a goal is noted and not announced; "incomplete" is not
 * noted as a first one, as nobody has seen a number yet.
 *
 * Two transactions that find the same change: the second waits for the
 * first's row, finds its status there, and announces nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "access/xact.h"
#include "apply.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "notify.h"
#include "spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
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

static KpiParam
int4_array(const KpiValueKey *keys, int n, int32 (*column) (const KpiValueKey *key), Oid element)
{
	Datum	   *values = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);
	ArrayType  *array;

	for (int i = 0; i < n; i++)
		values[i] = Int32GetDatum(column(&keys[i]));
	array = construct_array(values, n, element, sizeof(int32), true, TYPALIGN_INT);
	pfree(values);
	return KPI_VALUE(element == DATEOID ? DATEARRAYOID : INT4ARRAYOID, PointerGetDatum(array));
}

static int32
key_kpi(const KpiValueKey *key)
{
	return key->kpi_id;
}

static int32
key_team(const KpiValueKey *key)
{
	return key->team_id;
}

static int32
key_member(const KpiValueKey *key)
{
	return key->member_id;
}

static int32
key_start(const KpiValueKey *key)
{
	return key->start;
}

void
kpi_progress_notify_run(const KpiRun *run)
{
	int			n = run->nchanged;
	KpiSpi		spi;

	if (run->all_changed)
		kpi_progress_notify_source(run->source->id);
	else if (n > 0)
	{
		kpi_spi_begin(&spi);
		kpi_spi_exec("SELECT pg_catalog.array_agg(DISTINCT g.id)"
					 " FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2),"
					 " pg_catalog.unnest($3), pg_catalog.unnest($4)) AS c (kpi_id, team_id, member_id, start)"
					 " JOIN kpi.goal g ON g.kpi_id = c.kpi_id AND g.period_start = c.start"
					 " AND coalesce(g.team_id, 0) = c.team_id AND coalesce(g.member_id, 0) = c.member_id",
					 4, int4_array(run->changed, n, key_kpi, INT4OID),
					 int4_array(run->changed, n, key_team, INT4OID),
					 int4_array(run->changed, n, key_member, INT4OID),
					 int4_array(run->changed, n, key_start, DATEOID));
		notify_found();
		kpi_spi_end(&spi);
	}
}

void
kpi_progress_notify_source(int32 source_id)
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
kpi_progress_notify_goal(int64 goal_id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("SELECT ARRAY[$1]", 1, KPI_INT8(goal_id));
	notify_found();
	kpi_spi_end(&spi);
}

/*
 * A calendar's day is noted in the statement that finds its goals, so that of
 * two transactions one announces them.
 */
void
kpi_progress_notify_days(void)
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
