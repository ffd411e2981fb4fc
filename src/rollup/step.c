/*-------------------------------------------------------------------------
 *
 * step.c
 *	  Rollup tables are brought up to date, a step at a time.
 *
 * A step is a transaction, or a subtransaction of who calls kpi.refresh(), on one
 * table:
 *
 *	1. the rollup's lock, so that steps on a table follow each other;
 *	2. the table is found, looked at and locked;
 *	3. one snapshot, after the locks;
 *	4. either all places of the table are put into the queue, because what all rows
 *	   depend on has changed, or some are taken out of it;
 *	5. what their rows should be is read under the snapshot, as the extension's
 *	   owner, and written as the table's owner.
 *
 * A place is in the queue from the commit on that moved its cells, and whoever
 * takes it out sees those cells, so no change is missed; a later step on the table
 * has a later snapshot, so none is taken back.  What an error ends is done again:
 * the queue is as it was.
 *
 * Errors are noted in the state of the table, and the next try waits.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "refresh/refresh.h"
#include "rollup/rollup_internal.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* What waiting for a lock for too long ends with. */
#define LOCK_SQLSTATE "55P03"

/* ---- one step ---- */

static Snapshot
take_snapshot(void)
{
	Snapshot	snapshot;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(snapshot);
	return snapshot;
}

static void
drop_snapshot(Snapshot snapshot)
{
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
}

/* Finds the table under its locks; NULL: the definition is gone. */
static KpiRollup *
open_rollup(int32 rollup_id, KpiRollupTable *table)
{
	KpiRollup  *rollup = kpi_rollup_load(rollup_id);

	if (rollup == NULL)
		return NULL;
	kpi_rollup_lock(rollup);
	rollup = kpi_rollup_load(rollup_id);
	if (rollup != NULL)
		*table = kpi_rollup_table_open(rollup);
	return rollup;
}

/* shape: what all rows in the queue are of now; NULL: what they were. */
static void
note_success(const KpiRollupTable *table, const char *shape)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.rollup SET relation = $2 WHERE id = $1 AND relation <> $2",
				 2, KPI_INT4(table->rollup->id), KPI_TEXT(table->rollup->relation));
	kpi_spi_exec("INSERT INTO kpi_internal.rollup_state AS s (rollup_id, relid, shape, written_at)"
				 " VALUES ($1, $2, $3, $4)"
				 " ON CONFLICT (rollup_id) DO UPDATE SET relid = EXCLUDED.relid, written_at = EXCLUDED.written_at,"
				 " shape = coalesce(EXCLUDED.shape, s.shape),"
				 " last_error = NULL, last_sqlstate = NULL, hint = NULL, failing_since = NULL, failures = 0,"
				 " next_try = NULL",
				 4, KPI_INT4(table->rollup->id), KPI_VALUE(OIDOID, ObjectIdGetDatum(table->relid)),
				 KPI_TEXT(shape), KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(GetCurrentTimestamp())));
	kpi_spi_end(&spi);
}

static void
forget_definition(int32 rollup_id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi_internal.rollup_queue WHERE rollup_id = $1", 1, KPI_INT4(rollup_id));
	kpi_spi_end(&spi);
}

bool
kpi_rollup_step(int32 rollup_id, bool own_transaction)
{
	KpiRollupTable table;
	KpiRollupPlaces places = {0};
	Snapshot	snapshot;
	char	   *shape;

	if (open_rollup(rollup_id, &table) == NULL)
	{
		forget_definition(rollup_id);
		return false;
	}
	snapshot = take_snapshot();
	shape = kpi_rollup_new_shape(&table);
	if (shape != NULL)
		kpi_rollup_places_queue_all(&table);
	else
		places = kpi_rollup_places_take(table.rollup);
	if (places.n > 0 && !own_transaction)
		kpi_rollup_table_check_deferred(&table);
	if (places.n > 0)
		kpi_rollup_table_write(&table, kpi_rollup_rows_make(table.rollup, &places), own_transaction);
	drop_snapshot(snapshot);
	note_success(&table, shape);
	return shape != NULL || places.n > 0;
}

/* ---- what is due, and what has failed ---- */

List *
kpi_rollup_due(bool all, bool is_called, TimestampTz *next_try)
{
	TimestampTz now = kpi_now();
	List	   *ids = NIL;
	KpiRows		rows;

	*next_try = DT_NOEND;
	if (all)
		kpi_rows_begin(&rows, "SELECT a.rollup_id, a.next_try, a.last_sqlstate FROM kpi_internal.rollup_agenda a"
					   " WHERE a.must_compare_all OR a.has_places"
					   " UNION SELECT q.rollup_id, NULL, NULL FROM kpi_internal.rollup_queue q"
					   "  WHERE NOT EXISTS (SELECT FROM kpi.rollup r WHERE r.id = q.rollup_id) ORDER BY 1", 0);
	else
		kpi_rows_begin(&rows, "SELECT q.rollup_id, s.next_try, s.last_sqlstate"
					   " FROM (SELECT DISTINCT d.rollup_id FROM kpi_internal.rollup_queue d) q"
					   " LEFT JOIN kpi_internal.rollup_state s ON s.rollup_id = q.rollup_id ORDER BY 1", 0);
	while (kpi_rows_next(&rows))
	{
		TimestampTz at = kpi_rows_time(&rows, "next_try", DT_NOBEGIN);
		char	   *sqlstate = kpi_rows_text(&rows, "last_sqlstate");

		/* Who calls has mended it, maybe, but need not wait for a lock again. */
		if (is_called && sqlstate != NULL && strcmp(sqlstate, LOCK_SQLSTATE) != 0)
			at = DT_NOBEGIN;
		/* A clock that was set back must not keep the table waiting. */
		if (at <= now || at > now + KPI_MAX_RETRY_SECONDS * USECS_PER_SEC)
			ids = lappend_int(ids, kpi_rows_int4(&rows, "rollup_id"));
		else
			*next_try = Min(*next_try, at);
	}
	kpi_rows_end(&rows);
	return ids;
}

/* Who writes the table meanwhile has its state, and nothing has failed for him: nobody waits for that. */
TimestampTz
kpi_rollup_note_failure(int32 rollup_id, const ErrorData *error, bool *is_known)
{
	TimestampTz now = kpi_now();
	TimestampTz next_try;
	char	   *sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	char	   *note = kpi_error_note(error);
	int			failures = 1;
	KpiSpi		spi;
	KpiRows		rows;

	*is_known = false;
	kpi_rows_begin(&rows, "SELECT s.failures, coalesce(s.last_sqlstate = $2 AND s.last_error = $3, false) AS is_known"
				   " FROM kpi_internal.rollup_state s WHERE s.rollup_id = $1",
				   3, KPI_INT4(rollup_id), KPI_TEXT(sqlstate), KPI_TEXT(note));
	if (kpi_rows_next(&rows))
	{
		failures += kpi_rows_int4(&rows, "failures");
		*is_known = kpi_rows_bool(&rows, "is_known");
	}
	kpi_rows_end(&rows);
	next_try = kpi_retry_at(now, failures);
	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi_internal.rollup_state (rollup_id) SELECT r.id FROM kpi.rollup r WHERE r.id = $1"
				 " AND NOT EXISTS (SELECT FROM kpi_internal.rollup_state s WHERE s.rollup_id = $1) ON CONFLICT DO NOTHING",
				 1, KPI_INT4(rollup_id));
	kpi_spi_exec("UPDATE kpi_internal.rollup_state s SET last_error = $2, last_sqlstate = $3, hint = $4, failures = $6,"
				 " failing_since = coalesce(s.failing_since, $5), next_try = $7"
				 " FROM (SELECT l.rollup_id FROM kpi_internal.rollup_state l WHERE l.rollup_id = $1"
				 "  FOR UPDATE SKIP LOCKED) f WHERE s.rollup_id = f.rollup_id",
				 7, KPI_INT4(rollup_id), KPI_TEXT(note), KPI_TEXT(sqlstate), KPI_TEXT(error->hint),
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(now)), KPI_INT4(failures),
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(next_try)));
	kpi_spi_end(&spi);
	return next_try;
}

/* ---- steps within a transaction of somebody else ---- */

typedef struct StepCall
{
	int32		rollup_id;
	bool		more;
} StepCall;

static void
step(void *arg)
{
	StepCall   *call = arg;

	/* What a step leaves is in the subtransaction's memory. */
	MemoryContextSwitchTo(CurTransactionContext);
	call->more = kpi_rollup_step(call->rollup_id, false);
}

ErrorData *
kpi_rollup_write_caught(int32 rollup_id)
{
	StepCall	call = {.rollup_id = rollup_id,.more = true};
	ErrorData  *error = NULL;
	bool		is_known;

	while (call.more && error == NULL)
		error = kpi_try(KPI_ERROR_SERVER, step, &call);
	if (error != NULL)
		(void) kpi_rollup_note_failure(rollup_id, error, &is_known);
	return error;
}

void
kpi_rollup_warn(int32 rollup_id, const ErrorData *error)
{
	KpiRollup  *rollup = kpi_rollup_load(rollup_id);
	Oid			relid = rollup ? kpi_rollup_relid(rollup) : InvalidOid;
	Oid			owner = OidIsValid(relid) ? kpi_fact_table_owner(relid) : InvalidOid;
	char	   *name = OidIsValid(owner) ? GetUserNameFromId(owner, true) : NULL;

	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("rollup table %s could not be written: %s", rollup ? rollup->relation : "(dropped)",
					kpi_note_shown(kpi_error_note(error), GetUserId(), name ? name : "", owner)),
			 error->hint ? errhint("%s", error->hint) : 0));
}

/* ---- verification ---- */

typedef struct Comparison
{
	const KpiRollupTable *table;
	KpiReport  *report;
	bool		mend;
} Comparison;

static void
compare(const KpiRollupPlaces *places, void *arg)
{
	Comparison *comparison = arg;
	KpiRollupRows *rows = kpi_rollup_rows_make(comparison->table->rollup, places);
	int64		before = comparison->report->ndifferences;

	kpi_rollup_table_compare(comparison->table, rows, comparison->report);
	if (comparison->mend && comparison->report->ndifferences > before)
		kpi_rollup_table_write(comparison->table, rows, false);
}

/* Of whose rows some wait to be written. */
static bool
waits(int32 rollup_id)
{
	return kpi_first_int4("SELECT 1 FROM kpi_internal.rollup_agenda a WHERE a.rollup_id = $1"
						  " AND (a.must_compare_all OR a.has_places)", 1, KPI_INT4(rollup_id)) != 0;
}

typedef struct ProveCall
{
	int32		rollup_id;
	KpiReport  *report;
	bool		is_compared;
} ProveCall;

static void
prove(void *arg)
{
	ProveCall  *call = arg;
	KpiRollup  *rollup = kpi_rollup_load(call->rollup_id);
	KpiRollupTable table;
	Comparison	comparison = {.table = &table,.report = call->report};
	Snapshot	snapshot;

	if (rollup == NULL)
		return;
	table = kpi_rollup_table_open(rollup);
	snapshot = take_snapshot();
	call->is_compared = !waits(call->rollup_id);
	call->report->source_name = pstrdup(rollup->relation);
	if (call->is_compared)
		kpi_rollup_places_all(&table, compare, &comparison);
	drop_snapshot(snapshot);
}

ErrorData *
kpi_rollup_prove_caught(int32 rollup_id, KpiReport *report, bool *is_compared)
{
	ProveCall	call = {.rollup_id = rollup_id,.report = report,.is_compared = true};
	ErrorData  *error = kpi_try(KPI_ERROR_SERVER, prove, &call);

	*is_compared = call.is_compared;
	return error;
}

void
kpi_rollup_verify(int32 rollup_id, bool mend, KpiReport *report)
{
	KpiRollupTable table;
	Comparison	comparison = {.table = &table,.report = report,.mend = mend};
	Snapshot	snapshot;

	if (open_rollup(rollup_id, &table) == NULL)
		return;
	snapshot = take_snapshot();
	report->source_name = table.rollup->relation;
	kpi_rollup_places_all(&table, compare, &comparison);
	drop_snapshot(snapshot);
}
