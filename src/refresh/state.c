/*-------------------------------------------------------------------------
 *
 * state.c
 *	  What a refresh finds when it looks at a source, and what it leaves.
 *
 * The source's lock is held.  The catalogs are not read under the run's
 * snapshot but as they are now, after it was taken, so whatever was committed
 * before the snapshot is seen.  What is stored for the next comparison was
 * read before the snapshot, so whatever came later differs.
 *
 * A situation the engine does not follow suspends the source: its rollups
 * stay as they are, what is in the queue stays there, and kpi.resume() has it
 * rebuilt from the facts.  So its writers are told to capture nothing more.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/transam.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "capture/capture.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

static void
set_suspend_note(KpiSourceState *state, char *note, const char *hint)
{
	if (state->suspend_reason)
		return;
	state->suspend_reason = note;
	state->suspend_hint = pstrdup(hint);
}

/* In our own words. */
static void
set_suspend(KpiSourceState *state, const char *reason, const char *hint)
{
	set_suspend_note(state, psprintf(KPI_NOTE_OWN "%s", reason), hint);
}

/*
 * A table that was given to another role has its code run, and its columns
 * retyped, by that role: somebody has to say who the definer is from now on.
 */
static void
suspend_given_away(const KpiSource *source, KpiSourceState *state, Oid owner)
{
	char	   *name = quote_literal_cstr(source->name);

	set_suspend(state, psprintf("table %s belongs to role \"%s\" now", source->relation,
								GetUserNameFromId(owner, false)),
				psprintf("If role \"%s\" may go on as the definer of the source, call kpi.resume(%s); else first kpi.alter_source(%s, definer => %s).",
						 source->definer, name, name,
						 quote_literal_cstr(GetUserNameFromId(owner, false))));
}

/*
 * A definer that must not read what belongs to others is replaced by the table's
 * owner: sources from before there was this rule have one, or one that has
 * got more rights since.
 */
static Oid
replace_untrusting(KpiSource *source, Oid relid, KpiSourceState *state, Oid definer)
{
	Oid			untrusted = kpi_fact_definer_untrusted(relid, definer);
	Oid			owner;

	if (!OidIsValid(untrusted))
		return definer;
	owner = kpi_snapshot_is_pinned() ? InvalidOid :
		kpi_fact_definer_give_to_owner(source->id, source->name, relid, definer);
	if (!OidIsValid(owner))
	{
		set_suspend(state, psprintf("role \"%s\", the definer of the source, is %s and must not read table %s of role \"%s\"",
									source->definer, kpi_role_privilege(definer),
									kpi_fact_table_name(untrusted),
									GetUserNameFromId(kpi_fact_table_owner(untrusted), false)),
					psprintf("%s Then call kpi.resume().", kpi_fact_definer_untrusted_hint(relid, untrusted)));
		return definer;
	}
	source->definer = GetUserNameFromId(owner, false);
	source->definer_oid = owner;
	source->definer_login = kpi_role_can_login(owner);
	return owner;
}

static void
check_table_rights(KpiSource *source, Oid relid, KpiSourceState *state, Oid definer)
{
	Oid			owner = kpi_fact_table_owner(relid);
	char	   *grants;

	/* Dropped since: the next recheck sees it. */
	if (!OidIsValid(owner))
		return;
	if (OidIsValid(source->table_owner) && owner != source->table_owner && owner != definer &&
		!(state->swapped && superuser_arg(owner)))
	{
		suspend_given_away(source, state, owner);
		return;
	}
	definer = replace_untrusting(source, relid, state, definer);
	grants = kpi_fact_definer_missing_grants(relid, definer);
	if (grants != NULL && state->swapped)
		grants = psprintf("%s %s", grants, kpi_fact_definer_default_grants(relid, definer));
	if (grants != NULL)
		set_suspend(state, psprintf("role \"%s\", the definer of the source, lacks rights on table %s",
									source->definer, source->relation),
					psprintf("Run: %s SELECT kpi.resume(%s);", grants, quote_literal_cstr(source->name)));
	else if (check_enable_rls(relid, definer, true) == RLS_ENABLED)
		set_suspend(state, psprintf("row security on table %s applies to role \"%s\", the definer of the source",
									source->relation, source->definer),
					"Exempt the role from row security, then call kpi.resume().");
}

/* The definer must still have the rights that creating the source needed. */
static void
check_rights(KpiSource *source, Oid relid, KpiSourceState *state)
{
	Oid			definer = get_role_oid(source->definer, true);
	char	   *now = OidIsValid(source->definer_oid) ?
	GetUserNameFromId(source->definer_oid, true) : NULL;

	if (now != NULL && strcmp(now, source->definer) != 0)
		set_suspend(state, psprintf("role \"%s\", the definer of the source, was renamed to \"%s\"",
									source->definer, now),
					"Rename it back, then call kpi.resume(), or drop the source and create it as that role.");
	else if (!OidIsValid(definer))
		set_suspend(state, psprintf("role \"%s\", the definer of the source, does not exist", source->definer),
					"Create the role again, then call kpi.resume(), or drop the source and create it as another role.");
	else if (OidIsValid(source->definer_oid) && definer != source->definer_oid)
		set_suspend(state, psprintf("role \"%s\", the definer of the source, was dropped and created again",
									source->definer),
					"If the new role may have the source, resume it by its name as that role or as a superuser; else drop it.");
	else if (source->definer_login && !kpi_role_can_login(definer))
		set_suspend(state, psprintf("role \"%s\", the definer of the source, can no longer log in", source->definer),
					"If the source is to go on, call kpi.resume(); else drop it, or create it as another role.");
	else
		check_table_rights(source, relid, state, definer);
}

static char *
table_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		return pstrdup("a table");
	return psprintf("table %s", quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name));
}

/* What says the same in other words is known by these from now on. */
static bool
leaf_is(int32 source_id, Oid relid, const char *seen, KpiSourceState *state)
{
	char	   *now = kpi_capture_trigger_state(source_id, relid);

	if (!kpi_capture_state_is(now, seen))
		return false;
	if (strcmp(now, seen) != 0)
	{
		state->moved = lappend_oid(state->moved, relid);
		state->moved_states = lappend(state->moved_states, now);
	}
	return true;
}

/* The leaves as they are against the leaves as last seen. */
static void
compare_leaves(const KpiSource *source, KpiRunTable *table, KpiSourceState *state)
{
	ListCell   *lc;
	uint64		rows;

	table->known = NIL;
	/* Those of another table say nothing of this one's. */
	rows = state->swapped ? 0 :
		kpi_spi_exec("SELECT l.relid, l.trigger_state FROM kpi_internal.leaf l WHERE l.source_id = $1",
					 1, KPI_INT4(source->id));
	for (uint64 r = 0; r < rows; r++)
	{
		bool		isnull;
		Oid			relid = DatumGetObjectId(kpi_spi_datum(r, 1, &isnull));

		table->known = lappend_oid(table->known, relid);
		if (!list_member_oid(table->leaves, relid))
			state->lost = lappend_oid(state->lost, relid);
		else if (!leaf_is(source->id, relid, kpi_spi_text(r, 2), state))
			state->recompute = true;
	}
	table->new_leaves = list_difference_oid(table->leaves, table->known);
	state->recompute |= rows == 0 && table->leaves != NIL;
	if (!kpi_capture_segments_exist(source->id))
		state->recompute = state->unattached = true;

	foreach(lc, table->leaves)
	{
		if (kpi_capture_trigger_state(source->id, lfirst_oid(lc))[0] == '\0')
		{
			if (rows == 0)
				state->unattached = true;
			else
				set_suspend(state, psprintf("the capture trigger of %s is missing or disabled",
											table_name(lfirst_oid(lc))),
							"Call kpi.resume() to create the trigger again and rebuild the source.");
		}
		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_RELATION)
			set_suspend(state, psprintf("%s is not a plain table", table_name(lfirst_oid(lc))),
						"Detach the partition, then call kpi.resume().");
	}
}

/*
 * A column may come to mean something else and no row be written: one dropped
 * and added again with a default, a type that is stored
 * alike, another expression of a virtual one.  Columns that came or went
 * concern nobody.  Renamed ones were followed before this (follow.c).
 */
static void
compare_columns(int32 source_id, Oid relid, KpiSourceState *state, const Jsonb *seen, MemoryContext caller)
{
	MemoryContext old = MemoryContextSwitchTo(caller);
	Jsonb	   *columns;

	state->columns = kpi_model_columns(relid);
	MemoryContextSwitchTo(old);
	columns = DatumGetJsonbP(state->columns);
	if (state->swapped ||
		(seen != NULL && VARSIZE(seen) == VARSIZE(columns) && memcmp(seen, columns, VARSIZE(seen)) == 0))
		return;
	if (kpi_spi_exec("SELECT FROM kpi_internal.source_state s,"
					 " LATERAL pg_catalog.jsonb_each_text(s.columns) seen"
					 " JOIN LATERAL pg_catalog.jsonb_each_text($2) now USING (key)"
					 " WHERE s.source_id = $1 AND seen.value <> now.value LIMIT 1",
					 2, KPI_INT4(source_id), KPI_VALUE(JSONBOID, state->columns)) > 0)
		state->recompute = true;
}

/* Partitions must agree with the root on what their columns mean. */
static void
check_virtual_columns(const KpiRunTable *table, KpiSourceState *state)
{
	ListCell   *lc;

	foreach(lc, table->leaves)
	{
		char	   *problem = kpi_expr_virtual_columns_problem(table->relid, lfirst_oid(lc));

		if (problem)
			set_suspend(state, problem, KPI_VIRTUAL_COLUMNS_HINT);
	}
}

char *
kpi_refresh_calendar_shape(const KpiCalendar *calendar)
{
	return psprintf("week %d year %d", calendar->week_start, calendar->fiscal_start);
}

typedef struct ExpressionCheck
{
	const KpiSource *source;
	Oid			relid;
	KpiFingerprints *fingerprints;
} ExpressionCheck;

static void
compile_expressions(void *arg)
{
	ExpressionCheck *check = arg;
	KpiLockWait wait;
	KpiProjection *projection;

	kpi_fact_lock_wait_begin(&wait, check->source->relation);
	projection = kpi_fact_projection_create(check->source, check->relid, CurrentMemoryContext,
											check->fingerprints);
	kpi_fact_projection_free(projection);
	kpi_fact_lock_wait_end(&wait);
}

/*
 * Expressions must still fit the table: a column may have been dropped or
 * changed its type without any row being written since.
 */
static void
check_expressions(const KpiSource *source, Oid relid, KpiSourceState *state)
{
	ExpressionCheck check = {.source = source,.relid = relid,.fingerprints = kpi_expr_fingerprints_create()};
	ErrorData  *error = kpi_try(KPI_ERROR_TRAPPED, compile_expressions, &check);

	if (error != NULL)
		set_suspend_note(state, kpi_error_note(error),
						 "Mend the table, or the source and its KPIs, then call kpi.resume().");
	else
		state->fingerprints = kpi_expr_fingerprints_jsonb(check.fingerprints);
}

/*
 * What the expressions reach against what they reached when last seen.  After
 * a difference all is computed anew.  Writers that have not committed yet may
 * have captured by what was there before; nobody waits for them, so what comes
 * of transactions that are under way now is suspect.
 */
static void
compare_fingerprints(KpiSourceState *state, const char *seen)
{
	bool		news;
	bool		differ = kpi_expr_fingerprints_differ(state->fingerprints, seen, &news);

	state->recompute |= differ;
	if (differ || news)
		state->suspect_before = ReadNextFullTransactionId();
}

/*
 * Whether another table has come under the source's name, and is to be followed.
 * Whatever suspended the source was about the table before.
 */
static bool
is_swapped(const KpiSource *source, Oid relid, Oid known_relid, bool suspended)
{
	return source->follows_swaps && OidIsValid(relid) && relid != known_relid &&
		(OidIsValid(known_relid) || suspended);
}

KpiSourceState *
kpi_refresh_source_state_examine(KpiSource *source, Snapshot snapshot, const KpiCalendar *calendar,
								 KpiRunTable *table)
{
	MemoryContext caller = CurrentMemoryContext;
	KpiSourceState *state = palloc0(sizeof(KpiSourceState));
	Oid			known_relid = InvalidOid;
	char	   *fingerprints = NULL;
	Jsonb	   *columns = NULL;
	char	   *marker;
	bool		is_suspect;
	KpiProblem	problem;
	KpiSpi		spi;

	table->relid = kpi_model_source_relid(source);
	state->calendar_shape = kpi_refresh_calendar_shape(calendar);
	kpi_spi_begin(&spi);
	/* What is allocated from here on outlives the connection. */
	MemoryContextSwitchTo(caller);
	if (kpi_spi_exec("SELECT s.status, s.relid, s.org_version, s.calendar_shape, s.reason, s.hint,"
					 " s.fingerprints, s.suspect_before_xid, s.columns,"
					 " EXISTS (SELECT FROM kpi_internal.build b WHERE b.source_id = $1)"
					 " OR EXISTS (SELECT FROM kpi_internal.build_cancelled c WHERE c.source_id = $1), s.accepts_loss,"
					 " s.loaded_by"
					 " FROM kpi_internal.source_state s WHERE s.source_id = $1",
					 1, KPI_INT4(source->id)) > 0)
	{
		char	   *shape = kpi_spi_text(0, 4);
		Datum		suspect_before;
		Datum		seen;
		bool		isnull;

		state->suspended = strcmp(kpi_spi_text(0, 1), "suspended") == 0;
		known_relid = DatumGetObjectId(kpi_spi_datum(0, 2, &isnull));
		if (isnull)
			known_relid = InvalidOid;
		state->swapped = is_swapped(source, table->relid, known_relid, state->suspended);
		if (state->suspended && !state->swapped)
			set_suspend_note(state, kpi_spi_text(0, 5), kpi_spi_text(0, 6));
		state->applied_org_version = kpi_spi_int8(0, 3);
		fingerprints = kpi_spi_text(0, 7);
		suspect_before = kpi_spi_datum(0, 8, &isnull);
		if (!isnull)
			state->suspect_before = DatumGetFullTransactionId(suspect_before);
		seen = kpi_spi_datum(0, 9, &isnull);
		if (!isnull)
			columns = DatumGetJsonbP(seen);
		state->build_noted = DatumGetBool(kpi_spi_datum(0, 10, &isnull));
		state->accepts_loss = DatumGetBool(kpi_spi_datum(0, 11, &isnull));
		state->loaded_by = kpi_spi_text(0, 12);
		/* Without one there are no places. */
		state->new_periods = shape != NULL && strcmp(shape, state->calendar_shape) != 0;
	}
	(void) kpi_spi_read("SELECT s.org FROM kpi_internal.version s", 0);
	state->org_version = kpi_spi_int8(0, 1);

	if (kpi_refresh_table_recheck(source->relation, table->relid, state->swapped ? table->relid : known_relid, &problem))
		set_suspend(state, problem.reason, problem.hint);
	if (state->suspend_reason == NULL)
	{
		table->leaves = kpi_model_leaf_relids(table->relid);
		check_rights(source, table->relid, state);
		compare_leaves(source, table, state);
		compare_columns(source->id, table->relid, state, columns, caller);
		if (state->recompute)
			check_virtual_columns(table, state);
		if (state->suspend_reason == NULL)
			check_expressions(source, table->relid, state);
		if (state->suspend_reason == NULL)
			compare_fingerprints(state, fingerprints);
	}
	kpi_spi_end(&spi);
	MemoryContextSwitchTo(caller);

	kpi_refresh_queue_peek(source->id, snapshot, state->suspect_before, &state->marked, &is_suspect, &marker);
	state->recompute |= state->marked || is_suspect || state->swapped;
	/* What writers of the other table met is gone with it. */
	if (marker && !state->swapped)
		set_suspend_note(state, marker, "Mend the table or the definitions, then call kpi.resume().");
	if (state->suspend_reason == NULL)
		kpi_refresh_leaves_decide(source, table, state);
	return state;
}

/*
 * Has writers of a table, or of a partition of it, load its sources anew.  No
 * lock: it may be gone, and then nobody writes to it.
 */
void
kpi_refresh_tell_writers(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));

	if (!HeapTupleIsValid(tuple))
		return;
	CacheInvalidateRelcacheByTuple(tuple);
	ReleaseSysCache(tuple);
}

void
kpi_refresh_source_state_suspend(int32 source_id, Oid relid, const char *reason, const char *hint)
{
	KpiSpi		spi;

	kpi_refresh_tell_writers(relid);
	kpi_refresh_tell_writers(kpi_model_attached_relid(source_id));
	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi_internal.source_state (source_id, status, reason, hint)"
				 " VALUES ($1, 'suspended', $2, $3)"
				 " ON CONFLICT (source_id) DO UPDATE"
				 " SET status = EXCLUDED.status, reason = EXCLUDED.reason, hint = EXCLUDED.hint, build_due = false",
				 3, KPI_INT4(source_id), KPI_TEXT(reason), KPI_TEXT(hint));
	kpi_spi_end(&spi);
	kpi_goal_notify_source(source_id);
}

/*
 * The version was raised to discard what is queued; cells of the last one mean the
 * same.
 */
void
kpi_refresh_source_state_keep_built(int32 source_id)
{
	kpi_spi_exec("UPDATE kpi_internal.measure_built b SET days_since = 'infinity', version = s.version"
				 " FROM kpi_internal.stream s"
				 " WHERE s.id = b.stream_id AND s.source_id = $1 AND b.version = s.version - 1",
				 1, KPI_INT4(source_id));
}

bool
kpi_refresh_source_state_stop(int32 source_id, const char *status, const char *reason, const char *hint,
							  KpiParam next_try)
{
	KpiSpi		spi;
	bool		is_news;

	kpi_spi_begin(&spi);
	is_news = kpi_spi_exec("SELECT FROM kpi_internal.source_state WHERE source_id = $1 AND status = $2",
						   2, KPI_INT4(source_id), KPI_TEXT(status)) == 0;
	kpi_spi_exec("INSERT INTO kpi_internal.source_state AS s (source_id, status, reason, hint, next_try)"
				 " VALUES ($1, $2, $3, $4, $5)"
				 " ON CONFLICT (source_id) DO UPDATE SET status = EXCLUDED.status, reason = EXCLUDED.reason,"
				 " hint = EXCLUDED.hint, next_try = EXCLUDED.next_try, build_due = s.build_due AND EXCLUDED.next_try IS NOT NULL",
				 5, KPI_INT4(source_id), KPI_TEXT(status), KPI_TEXT(psprintf(KPI_NOTE_OWN "%s", reason)),
				 KPI_TEXT(hint), next_try);
	kpi_spi_end(&spi);
	return is_news;
}

void
kpi_refresh_source_state_reset(int32 source_id, Oid relid, Oid definer)
{
	KpiSpi		spi;

	kpi_refresh_leaves_forget(source_id);
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.source_state SET status = 'building', reason = NULL, hint = NULL,"
				 " relid = $5, definer_oid = $2, definer_login = $3, table_owner = $4, fingerprints = NULL, suspect_before_xid = NULL,"
				 " columns = $6,"
				 " last_fact_error = NULL, last_error = NULL, last_sqlstate = NULL,"
				 " failing_since = NULL, failures = 0, next_try = NULL, build_fails = false WHERE source_id = $1",
				 6, KPI_INT4(source_id), KPI_VALUE(OIDOID, ObjectIdGetDatum(definer)),
				 KPI_BOOL(kpi_role_can_login(definer)),
				 KPI_VALUE(OIDOID, ObjectIdGetDatum(kpi_fact_table_owner(relid))),
				 KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)), KPI_VALUE(JSONBOID, kpi_model_columns(relid)));
	kpi_refresh_queue_forget(source_id);
	/* A stream that is built in part starts from nothing, see build.c. */
	kpi_spi_exec("DELETE FROM kpi_internal.measure_built b USING kpi_internal.stream s"
				 " WHERE s.id = b.stream_id AND s.source_id = $1 AND EXISTS ("
				 "  SELECT FROM kpi_internal.measure_built p"
				 "   WHERE p.stream_id = s.id AND p.rollups_since > '-infinity')",
				 1, KPI_INT4(source_id));

	kpi_refresh_source_state_keep_built(source_id);
	kpi_spi_end(&spi);
}

void
kpi_refresh_source_state_recheck(int32 source_id, KpiRunTable *table)
{
	ListCell   *lc;

	table->leaf_states = NIL;
	foreach(lc, table->locked)
		table->leaf_states = lappend(table->leaf_states,
									 kpi_capture_trigger_state(source_id, lfirst_oid(lc)));
}

/*
 * A refresh that succeeded takes back the errors of those before; but deltas that
 * could be applied say nothing of a build that fails.
 */
void
kpi_refresh_source_state_save(const KpiRun *run, const KpiSourceState *state, KpiRunMode mode,
							  double duration_ms)
{
	bool		is_built = !kpi_refresh_build_is_due(run) || run->build.is_cancelled;
	int			left_to_build = is_built ? 0 : mode == KPI_RUN_DELTAS ? 2 : 1;
	Oid			definer = kpi_model_source_definer(run->source);
	bool		is_suspect = FullTransactionIdIsValid(state->suspect_before) &&
	TransactionIdPrecedes(run->snapshot->xmin, XidFromFullTransactionId(state->suspect_before));
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_refresh_leaves_save(run->source->id, &run->table, state);
	kpi_spi_exec("INSERT INTO kpi_internal.source_state AS s (source_id, status, relid, org_version,"
				 " calendar_shape, as_of, refreshed_at, duration_ms, deltas_applied, last_fact_error, columns,"
				 " last_deltas, last_cells, definer_oid, definer_login,"
				 " fingerprints, suspect_before_xid, build_due, table_owner)"
				 " VALUES ($1, 'active', $2, $3, $4, $5, $6, $7, $8, $9, $10, $8, $11, $12, $13, $14, $15, $16 > 0,"
				 " (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = $2))"
				 " ON CONFLICT (source_id) DO UPDATE SET status = 'active', reason = NULL, hint = NULL, accepts_loss = false,"
				 " relid = EXCLUDED.relid, definer_oid = EXCLUDED.definer_oid,"
				 " definer_login = EXCLUDED.definer_login, table_owner = EXCLUDED.table_owner,"
				 " fingerprints = EXCLUDED.fingerprints, suspect_before_xid = EXCLUDED.suspect_before_xid, org_version = EXCLUDED.org_version,"
				 " calendar_shape = EXCLUDED.calendar_shape, columns = EXCLUDED.columns,"
				 " as_of = EXCLUDED.as_of,"
				 " refreshed_at = EXCLUDED.refreshed_at, duration_ms = EXCLUDED.duration_ms,"
				 " deltas_applied = s.deltas_applied + EXCLUDED.deltas_applied,"
				 " last_fact_error = coalesce(EXCLUDED.last_fact_error, s.last_fact_error),"
				 " (last_error, last_sqlstate, failing_since, failures, next_try, yields, build_fails) ="
				 "  (SELECT s.last_error, s.last_sqlstate, s.failing_since, s.failures, s.next_try, s.yields, true"
				 "    WHERE $16 = 2 AND s.build_fails"
				 "   UNION ALL SELECT NULL, NULL, NULL, 0, NULL, CASE WHEN $16 = 2 THEN s.yields ELSE 0 END, false"
				 "    WHERE NOT ($16 = 2 AND s.build_fails)), build_due = EXCLUDED.build_due,"
				 " queue_blocks = 0,"
				 " changed_at = CASE WHEN EXCLUDED.last_deltas > 0 THEN kpi_internal.now() ELSE s.changed_at END,"
				 " last_deltas = EXCLUDED.last_deltas, last_cells = EXCLUDED.last_cells",
				 16, KPI_INT4(run->source->id), KPI_VALUE(OIDOID, ObjectIdGetDatum(run->table.relid)),
				 KPI_INT8(state->org_version), KPI_TEXT(state->calendar_shape),
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(run->as_of)),
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(GetCurrentTimestamp())),
				 KPI_VALUE(FLOAT8OID, Float8GetDatum(duration_ms)),
				 KPI_INT8(run->stats.ndeltas), KPI_TEXT(run->stats.fact_error),
				 KPI_VALUE(JSONBOID, state->columns), KPI_INT8(run->stats.ncells),
				 KPI_VALUE(OIDOID, ObjectIdGetDatum(definer)),
				 KPI_BOOL(kpi_role_can_login(definer)), KPI_VALUE(JSONBOID, state->fingerprints),
				 is_suspect ? KPI_VALUE(XID8OID, FullTransactionIdGetDatum(state->suspect_before)) :
				 KPI_NULL(XID8OID),
				 KPI_INT4(left_to_build));
	kpi_spi_end(&spi);
	kpi_refresh_loaded_save(run, state);
	if (!run->source->code->is_known)
		kpi_model_code_save(run->source);
}
