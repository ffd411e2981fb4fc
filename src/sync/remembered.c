/*-------------------------------------------------------------------------
 *
 * remembered.c
 *	  Queries of people that the worker runs again and again.
 *
 * Triggers on the tables that they read would be DDL on tables of others, and of
 * views and functions nobody knows what they read.  So the worker runs them once in
 * kpi.people_interval, and writes where something differs.
 *
 * They run as their definer, who had them remembered, with names written out and a
 * pinned search_path, in a security-restricted operation; what of others they may
 * reach is in code.c.  The definer must still be an editor.  Only one pair is
 * remembered.
 *
 * The definition is dumped, its state is not, and without a state the worker leaves
 * it alone: the tables may have come already while people are still being restored.
 * The first CALL kpi.refresh() of all sources makes the state.
 *
 * Locks: those of the queries, and for writing those of plan.c.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "sync/sync_internal.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

typedef struct Remembered
{
	KpiSyncOrder order;
	char	   *definer;
	Oid			definer_oid;	/* who had that name then; InvalidOid: nobody,
								 * when it was restored */
	List	   *code;			/* char *: of others, accepted */
} Remembered;

void
kpi_sync_remember(const KpiSyncOrder *order)
{
	List	   *code = NIL;
	char	   *teams = NULL;
	char	   *members = NULL;
	Oid			definer = GetUserId();
	KpiSpi		spi;

	if (order->teams != NULL)
		teams = kpi_sync_query_qualify(&kpi_sync_teams, order->teams, &code);
	if (order->members != NULL)
		members = kpi_sync_query_qualify(&kpi_sync_members, order->members, &code);
	kpi_sync_code_check_role(code);

	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi.people_sync AS s (teams, members, effective, partial, missing, definer, reaches)"
				 " VALUES ($1, $2, $3, $4, $5, $6, pg_catalog.array_to_string($7, E'\\n'))"
				 " ON CONFLICT (id) DO UPDATE SET teams = EXCLUDED.teams, members = EXCLUDED.members,"
				 " effective = EXCLUDED.effective, partial = EXCLUDED.partial, missing = EXCLUDED.missing,"
				 " definer = EXCLUDED.definer, reaches = EXCLUDED.reaches, remembered_at = pg_catalog.now()",
				 7, KPI_TEXT(teams), KPI_TEXT(members), KPI_TEXT(order->history ? "history" : "today"),
				 KPI_BOOL(order->partial), KPI_TEXT(order->keep_missing ? "keep" : "end"),
				 KPI_TEXT(GetUserNameFromId(definer, false)), KPI_TEXTS(code));
	kpi_spi_exec("DELETE FROM kpi_internal.people_sync_state", 0);
	kpi_spi_exec("INSERT INTO kpi_internal.people_sync_state (id, definer_oid) VALUES (1, $1)",
				 1, KPI_VALUE(OIDOID, ObjectIdGetDatum(definer)));
	kpi_spi_end(&spi);
}

bool
kpi_sync_forget(void)
{
	uint64		n;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	n = kpi_spi_exec("DELETE FROM kpi.people_sync", 0);
	kpi_spi_exec("DELETE FROM kpi_internal.people_sync_state", 0);
	kpi_spi_end(&spi);
	return n > 0;
}

void
kpi_sync_take_up(void)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	if (kpi_spi_exec("SELECT FROM kpi.people_sync p WHERE NOT EXISTS"
					 " (SELECT FROM kpi_internal.people_sync_state s WHERE s.id = p.id)", 0) > 0)
		kpi_spi_exec("INSERT INTO kpi_internal.people_sync_state (id, definer_oid)"
					 " SELECT p.id, (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = p.definer)"
					 " FROM kpi.people_sync p ON CONFLICT DO NOTHING", 0);
	kpi_spi_end(&spi);
}

/* What a moment in the future beyond any pause means is that the clock was set back. */
TimestampTz
kpi_sync_due_at(void)
{
	TimestampTz at = DT_NOEND;
	TimestampTz latest;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT s.checked_at, s.next_try FROM kpi.people_sync p"
				   " JOIN kpi_internal.people_sync_state s ON s.id = p.id", 0);
	if (kpi_rows_next(&rows))
	{
		TimestampTz checked = kpi_rows_time(&rows, "checked_at", DT_NOBEGIN);

		at = kpi_rows_time(&rows, "next_try", DT_NOBEGIN);
		if (checked != DT_NOBEGIN)
			at = Max(at, checked + kpi_people_interval * USECS_PER_SEC);
		latest = GetCurrentTimestamp() + Max(kpi_people_interval, KPI_MAX_RETRY_SECONDS) * USECS_PER_SEC;
		if (at > latest)
			at = DT_NOBEGIN;
	}
	kpi_rows_end(&rows);
	return at;
}

/* False: nothing is remembered. */
static bool
load(Remembered *remembered)
{
	KpiRows		rows;
	bool		is_there;

	memset(remembered, 0, sizeof(Remembered));
	kpi_rows_begin(&rows, "SELECT p.teams, p.members, p.effective = 'history' AS is_history, p.partial,"
				   " p.missing = 'keep' AS keeps, p.definer, s.definer_oid,"
				   " pg_catalog.string_to_array(p.reaches, E'\\n') AS code"
				   " FROM kpi.people_sync p JOIN kpi_internal.people_sync_state s ON s.id = p.id", 0);
	is_there = kpi_rows_next(&rows);
	if (is_there)
	{
		remembered->order.teams = kpi_rows_text(&rows, "teams");
		remembered->order.members = kpi_rows_text(&rows, "members");
		remembered->order.history = kpi_rows_bool(&rows, "is_history");
		remembered->order.partial = kpi_rows_bool(&rows, "partial");
		remembered->order.keep_missing = kpi_rows_bool(&rows, "keeps");
		remembered->definer = kpi_rows_text(&rows, "definer");
		remembered->definer_oid = kpi_rows_oid(&rows, "definer_oid");
		remembered->code = kpi_rows_texts(&rows, "code");
	}
	kpi_rows_end(&rows);
	return is_there;
}

static Oid
definer_role(const Remembered *remembered)
{
	Oid			role = get_role_oid(remembered->definer, true);

	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\", the definer of the remembered queries of people, does not exist",
						remembered->definer),
				 errhint("Run kpi.sync_people(..., remember => true) again, or kpi.forget_people().")));
	if (role != remembered->definer_oid)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\", the definer of the remembered queries of people, was dropped and created again",
						remembered->definer),
				 errhint("Run kpi.sync_people(..., remember => true) again, or kpi.forget_people().")));
	return role;
}

static void
note_success(List *changes)
{
	int			nrefused = 0;
	int			nwritten = 0;
	ListCell   *lc;
	KpiSpi		spi;

	foreach(lc, changes)
	{
		const char *action = ((KpiSyncChange *) lfirst(lc))->action;

		if (strcmp(action, "refused") == 0)
			nrefused++;
		else if (strcmp(action, "missing") != 0)
			nwritten++;
	}
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.people_sync_state SET checked_at = $1, refused = $3,"
				 " changed_at = CASE WHEN $2 > 0 THEN $1 ELSE changed_at END,"
				 " changes = CASE WHEN $2 > 0 THEN $2 ELSE changes END,"
				 " last_error = NULL, last_sqlstate = NULL, hint = NULL, failing_since = NULL, failures = 0, next_try = NULL",
				 3, KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(GetCurrentTimestamp())),
				 KPI_INT4(nwritten), KPI_INT4(nrefused));
	kpi_spi_end(&spi);
}

void
kpi_sync_step(void)
{
	Remembered	remembered;
	KpiSyncRecords *teams = NULL;
	KpiSyncRecords *members = NULL;
	KpiUser		user;

	if (kpi_sync_due_at() > GetCurrentTimestamp() || !load(&remembered))
		return;
	kpi_user_switch(&user, definer_role(&remembered));
	kpi_require_editor();
	if (remembered.order.teams != NULL)
		teams = kpi_sync_query_read(&kpi_sync_teams, remembered.order.teams, true, remembered.code);
	if (remembered.order.members != NULL)
		members = kpi_sync_query_read(&kpi_sync_members, remembered.order.members, true, remembered.code);
	kpi_user_restore(&user);
	note_success(kpi_sync_compare_and_write(&remembered.order, teams, members, false));
}

bool
kpi_sync_note_failure(const ErrorData *error)
{
	TimestampTz now = GetCurrentTimestamp();
	char	   *sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	char	   *note = kpi_error_note(error);
	int			failures = 1;
	bool		is_known = false;
	TimestampTz next_try;
	KpiSpi		spi;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT failures, coalesce(last_sqlstate = $1 AND last_error = $2, false) AS is_known"
				   " FROM kpi_internal.people_sync_state", 2, KPI_TEXT(sqlstate), KPI_TEXT(note));
	if (kpi_rows_next(&rows))
	{
		failures += kpi_rows_int4(&rows, "failures");
		is_known = kpi_rows_bool(&rows, "is_known");
	}
	kpi_rows_end(&rows);
	next_try = Max(kpi_retry_at(now, failures), now + kpi_people_interval * USECS_PER_SEC);
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.people_sync_state SET last_error = $1, last_sqlstate = $2, hint = $3,"
				 " failing_since = coalesce(failing_since, $4), failures = $5, next_try = $6",
				 6, KPI_TEXT(note), KPI_TEXT(sqlstate), KPI_TEXT(error->hint),
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(now)), KPI_INT4(failures),
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(next_try)));
	kpi_spi_end(&spi);
	return is_known;
}
