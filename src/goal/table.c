/*-------------------------------------------------------------------------
 *
 * table.c
 *	  The rows of kpi.goal_progress, and their history.
 *
 * A row is what the view kpi_internal.goal_now says.  It has two kinds of
 * writers, which have one protocol:
 *
 *	- a refresh writes the rows of the goals it may have moved, at the end of its
 *	  transaction.  It never waits for a row: one that is locked goes on the list
 *	  kpi_internal.goal_recheck, which is worked off by the worker, else by the
 *	  next refresh;
 *	- whoever defines something that rows say writes them, waiting where it must,
 *	  and has them rechecked, as he and a refresh that has not committed yet do
 *	  not see each other.
 *
 * Rows are locked first, in the order of their keys, and computed by a statement
 * that begins thereafter.  So of two that change what a row says one has the row,
 * and the other comes after it or finds it locked: whatever both did is seen by
 * the second, or by the recheck.
 *
 * Locks: rows of kpi.goal_progress, after all others of a refresh.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "goal/goal_internal.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Columns that say when, and alone are no reason to write a row; as_of_day may be (goal_day_matters()). */
static const char *const moments[] = {"as_of_day", "as_of", "refreshed_at", "changed_at", "status_since"};

/* The statements that write rows, made of the columns of this table; InvalidOid: to be made anew. */
static Oid	statements_of = InvalidOid;
static char *update_statement = NULL;
static char *insert_statement = NULL;

static void
table_changed(Oid relid)
{
	if (!OidIsValid(relid) || relid == statements_of)
		statements_of = InvalidOid;
}

/* In the place of the old one. */
static void
keep_statement(char **statement, const char *sql)
{
	char	   *kept = MemoryContextStrdup(TopMemoryContext, sql);

	if (*statement != NULL)
		pfree(*statement);
	*statement = kept;
}

static bool
is_moment(const char *column)
{
	for (int i = 0; i < lengthof(moments); i++)
	{
		if (strcmp(column, moments[i]) == 0)
			return true;
	}
	return false;
}

static void
append_column(StringInfo list, const char *prefix, const char *column)
{
	appendStringInfo(list, "%s%s%s", list->len > 0 ? ", " : "", prefix, quote_identifier(column));
}

static void
make_statements(void)
{
	Oid			relid = kpi_relation_oid("kpi", "goal_progress");
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData columns,
				now,
				compared,
				compared_now;

	initStringInfo(&columns);
	initStringInfo(&now);
	initStringInfo(&compared);
	initStringInfo(&compared_now);
	for (int i = 0; i < desc->natts; i++)
	{
		const char *column = NameStr(TupleDescAttr(desc, i)->attname);

		if (TupleDescAttr(desc, i)->attisdropped || strcmp(column, "changed_at") == 0 ||
			strcmp(column, "status_since") == 0)
			continue;
		append_column(&columns, "", column);
		append_column(&now, "n.", column);
		if (is_moment(column))
			continue;
		append_column(&compared, "p.", column);
		append_column(&compared_now, "n.", column);
	}
	table_close(rel, AccessShareLock);

	keep_statement(&update_statement,
				   psprintf("WITH n AS MATERIALIZED (SELECT * FROM kpi_internal.goal_now WHERE goal_id = ANY ($1))"
							" UPDATE kpi.goal_progress p SET (%s, changed_at, status_since) = ROW (%s, pg_catalog.clock_timestamp(),"
							"  CASE WHEN p.status = n.status THEN p.status_since ELSE kpi_internal.now() END)"
							" FROM n WHERE p.id = n.id AND n.id = ANY ($2) AND ((%s) IS DISTINCT FROM (%s)"
							"  OR kpi_internal.goal_day_matters(p.period_start, p.period_end, p.as_of_day, n.as_of_day))",
							columns.data, now.data, compared.data, compared_now.data));
	keep_statement(&insert_statement,
				   psprintf("INSERT INTO kpi.goal_progress (%s, changed_at, status_since) SELECT %s, pg_catalog.clock_timestamp(), kpi_internal.now()"
							" FROM kpi_internal.goal_now n WHERE n.goal_id = ANY ($1)"
							" AND NOT EXISTS (SELECT FROM kpi.goal_progress p WHERE p.id = n.id)"
							" ORDER BY n.id ON CONFLICT DO NOTHING",
							columns.data, now.data));
	statements_of = relid;
}

static Datum
copied_array(KpiRows *rows, const char *column)
{
	bool		isnull;

	return PointerGetDatum(DatumGetArrayTypePCopy(kpi_rows_datum(rows, column, &isnull)));
}

/* The rows of some goals. */
typedef struct Rows
{
	Datum		locked;			/* ids of those that are ours now, bigint[] */
	bool		some_locked;
	bool		some_missing;	/* a period has none */
	bool		some_busy;		/* somebody else has one */
} Rows;

/* Thousands may be new since anybody has counted them: each goal is looked up, whatever is known of the tables. */
#define ROWS_OF_GOALS \
	"SELECT ARRAY(SELECT p.id FROM kpi.goal_progress p WHERE p.goal_id = ANY ($1) ORDER BY p.id FOR NO KEY UPDATE %s) AS locked," \
	" (SELECT pg_catalog.count(*) FROM kpi.goal_progress p WHERE p.goal_id = ANY ($1)) AS present," \
	" EXISTS (SELECT FROM kpi.goal g CROSS JOIN LATERAL (" \
	"   SELECT FROM kpi.goal_target t WHERE t.goal_id = g.id AND t.valid_until IS NULL AND NOT EXISTS (" \
	"    SELECT FROM kpi.goal_progress p WHERE p.goal_id = t.goal_id AND p.period_start = t.period_start) OFFSET 0) t" \
	"  WHERE g.id = ANY ($1) AND NOT g.is_draft) AS missing"

static void
lock_rows(Datum goal_ids, bool wait, Rows *rows)
{
	KpiRows		found;
	ArrayType  *locked;
	int			nlocked;

	kpi_rows_begin(&found, psprintf(ROWS_OF_GOALS, wait ? "" : "SKIP LOCKED"), 1, KPI_VALUE(INT8ARRAYOID, goal_ids));
	if (!kpi_rows_next(&found))
		elog(ERROR, "rows of goals cannot be locked");
	rows->locked = copied_array(&found, "locked");
	locked = DatumGetArrayTypeP(rows->locked);
	nlocked = ArrayGetNItems(ARR_NDIM(locked), ARR_DIMS(locked));
	rows->some_locked = nlocked > 0;
	rows->some_busy = nlocked < kpi_rows_int8(&found, "present");
	rows->some_missing = kpi_rows_bool(&found, "missing");
	kpi_rows_end(&found);
}

/*
 * Before rows that are locked are judged by a later day, or are no longer complete: what
 * they said at the end of the day, as far as is known.  If they are complete again before
 * it is over, its end takes that place.  Nothing but a complete row is kept.
 */
static void
keep_history(Datum ids)
{
	kpi_spi_exec("INSERT INTO kpi.goal_progress_history (goal_id, period, period_start, period_end, day, target, actual_to_date,"
				 "  expected_today, forecast, forecast_low, forecast_high, attainment_probability, status)"
				 " SELECT p.goal_id, p.period, p.period_start, p.period_end, p.as_of_day, p.target, p.actual_to_date,"
				 "  p.expected_today, p.forecast, p.forecast_low, p.forecast_high, p.attainment_probability, p.status"
				 " FROM kpi.goal_progress p JOIN kpi.goal g ON g.id = p.goal_id"
				 " JOIN kpi_internal.kpi_stream s ON s.kpi_id = p.kpi_id AND s.position = 1"
				 " WHERE p.id = ANY ($1) AND p.is_complete AND p.as_of_day BETWEEN p.period_start AND p.period_end"
				 " AND (p.as_of_day < kpi_internal.today_of(s.program) OR NOT kpi_internal.is_complete(s.program, g.period_start))"
				 " ORDER BY p.id ON CONFLICT (goal_id, period_start, day) DO UPDATE SET (period, period_end, target, actual_to_date,"
				 "  expected_today, forecast, forecast_low, forecast_high, attainment_probability, status)"
				 " = (excluded.period, excluded.period_end, excluded.target, excluded.actual_to_date, excluded.expected_today,"
				 "  excluded.forecast, excluded.forecast_low, excluded.forecast_high, excluded.attainment_probability, excluded.status)",
				 1, KPI_VALUE(INT8ARRAYOID, ids));
}

/*
 * A goal may come on the list more than once: an entry that is seen may be
 * another's who is working it off, from before what is noted here.
 */
Datum
kpi_goal_table_write(Datum goal_ids, bool wait)
{
	Rows		rows;

	kpi_on_relcache_change(table_changed);
	if (!OidIsValid(statements_of))
		make_statements();
	kpi_goal_basis_make(goal_ids);
	lock_rows(goal_ids, wait, &rows);
	if (rows.some_locked)
	{
		keep_history(rows.locked);
		kpi_spi_exec(update_statement, 2, KPI_VALUE(INT8ARRAYOID, goal_ids), KPI_VALUE(INT8ARRAYOID, rows.locked));
	}
	if (rows.some_missing)
		kpi_spi_exec(insert_statement, 1, KPI_VALUE(INT8ARRAYOID, goal_ids));
	if (rows.some_busy)
		kpi_spi_exec("INSERT INTO kpi_internal.goal_recheck (goal_id, not_before)"
					 " SELECT DISTINCT p.goal_id, pg_catalog.clock_timestamp() + interval '250 ms'"
					 " FROM kpi.goal_progress p WHERE p.goal_id = ANY ($1) AND p.id <> ALL ($2)",
					 2, KPI_VALUE(INT8ARRAYOID, goal_ids), KPI_VALUE(INT8ARRAYOID, rows.locked));
	return rows.locked;
}

/* ---- definitions ---- */

/* Writes the rows of goals that a statement finds, and has them looked at once more. */
static void
redefined(const char *goals, KpiParam of)
{
	KpiRows		found;
	bool		isnull;
	Datum		ids;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_rows_begin(&found, psprintf("SELECT pg_catalog.array_agg(x.id) AS goals FROM (%s) x", goals),
				   1, of);
	if (kpi_rows_next(&found))
	{
		ids = kpi_rows_datum(&found, "goals", &isnull);
		if (!isnull)
		{
			kpi_goal_recheck_later(ids);
			kpi_goal_notify_rows(ids, true);
		}
	}
	kpi_rows_end(&found);
	kpi_spi_end(&spi);
}

void
kpi_goal_recheck_later(Datum goal_ids)
{
	kpi_spi_exec("INSERT INTO kpi_internal.goal_recheck (goal_id)"
				 " SELECT g.id FROM kpi.goal g WHERE g.id = ANY ($1) AND NOT g.is_draft", 1, KPI_VALUE(INT8ARRAYOID, goal_ids));
	kpi_wake_request(true);
}

/* Formulas that ask for the targets of some goals g, and those over them. */
#define WITH_FORMULAS_OF_TARGETS \
	"WITH RECURSIVE above (id) AS (" \
	" SELECT f.kpi_id FROM kpi.goal g JOIN kpi_internal.formula_input f ON f.input_kpi_id = g.kpi_id AND f.of_target" \
	"  WHERE NOT g.is_draft AND g.%s = $1" \
	" UNION SELECT f.kpi_id FROM above a JOIN kpi_internal.formula_input f ON f.input_kpi_id = a.id)"

/*
 * Left to the recheck and to the writer of rollup tables: who sets a goal need not wait
 * for the rows of others.
 */
static void
targets_moved(const char *column, KpiParam value)
{
	KpiSpi		spi;
	int			moved;

	kpi_spi_begin(&spi);
	moved = kpi_spi_exec(psprintf(WITH_FORMULAS_OF_TARGETS
								  " INSERT INTO kpi_internal.goal_recheck (goal_id)"
								  " SELECT g.id FROM kpi.goal g JOIN above a ON a.id = g.kpi_id", column), 1, value);
	moved += kpi_spi_exec(psprintf(WITH_FORMULAS_OF_TARGETS
								   " INSERT INTO kpi_internal.rollup_queue (rollup_id)"
								   " SELECT DISTINCT c.rollup_id FROM kpi.rollup_column c JOIN above a ON a.id = c.kpi_id",
								   column), 1, value);
	kpi_spi_end(&spi);
	if (moved > 0)
		kpi_wake_request(true);
}

void
kpi_goal_target_moved(int64 goal_id)
{
	targets_moved("id", KPI_INT8(goal_id));
}

void
kpi_goal_plan_published(const char *plan)
{
	targets_moved("plan", KPI_TEXT(plan));
	redefined("SELECT g.id FROM kpi.goal g WHERE g.plan = $1", KPI_TEXT(plan));
}

void
kpi_goal_kpi_redefined(int32 kpi_id)
{
	redefined("WITH RECURSIVE above (id) AS (SELECT $1 UNION"
			  "  SELECT f.kpi_id FROM above a JOIN kpi_internal.formula_input f ON f.input_kpi_id = a.id)"
			  " SELECT g.id FROM kpi.goal g JOIN above a ON a.id = g.kpi_id", KPI_INT4(kpi_id));
}

void
kpi_goal_source_redefined(int32 source_id)
{
	redefined("SELECT g.id FROM kpi.goal g WHERE EXISTS (SELECT FROM kpi_internal.kpi_stream s"
			  "  WHERE s.kpi_id = g.kpi_id AND s.source_id = $1)", KPI_INT4(source_id));
}

void
kpi_goal_source_recheck(int32 source_id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	if (kpi_spi_exec("INSERT INTO kpi_internal.goal_recheck (goal_id)"
					 " SELECT g.id FROM kpi.goal g WHERE EXISTS (SELECT FROM kpi_internal.kpi_stream s"
					 "  WHERE s.kpi_id = g.kpi_id AND s.source_id = $1)", 1, KPI_INT4(source_id)) > 0)
		kpi_wake_request(true);
	kpi_spi_end(&spi);
}

/* Paths and calendars of the teams below them follow; those that were there on any day do no harm. */
#define GOALS_OF_TEAMS \
	"WITH RECURSIVE below (id) AS (SELECT i.id FROM pg_catalog.unnest($1) AS i (id) UNION" \
	"  SELECT t.team_id FROM below b JOIN kpi.team_parent t ON t.parent_id = b.id)" \
	" SELECT p.goal_id AS id FROM kpi.goal_progress p JOIN below b ON b.id = p.team_id"

void
kpi_goal_team_redefined(int32 team_id)
{
	redefined(GOALS_OF_TEAMS, KPI_INT4S(list_make1_int(team_id)));
}

void
kpi_goal_member_redefined(int32 member_id)
{
	redefined("SELECT g.id FROM kpi.goal g WHERE g.member_id = $1", KPI_INT4(member_id));
}

void
kpi_goal_people_redefined(List *team_ids, List *member_ids)
{
	if (team_ids != NIL)
		redefined(GOALS_OF_TEAMS, KPI_INT4S(team_ids));
	if (member_ids != NIL)
		redefined("SELECT g.id FROM kpi.goal g WHERE g.member_id = ANY ($1)", KPI_INT4S(member_ids));
}

/* Whichever calendar it is: teams take theirs from above. */
void
kpi_goal_calendar_redefined(int32 calendar_id)
{
	redefined("SELECT p.goal_id AS id FROM kpi.goal_progress p WHERE $1 IS NOT NULL AND NOT p.is_final", KPI_INT4(calendar_id));
}
