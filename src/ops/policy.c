/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  SQL functions that say when sources are refreshed: kpi.set_refresh(),
 *	  kpi.pause(), kpi.resume().
 *
 * The policy is four columns of kpi.source.  Whoever may change a source, and
 * every editor, may set it: it says when numbers are computed, never what they
 * are.  Rebuilding a suspended source attaches triggers with the rights of the
 * extension's owner, so that is for the definer.
 *
 * Locks: the row of the source; resuming takes the engine's locks first, as
 * every refresh does.  Pausing takes none, so that it never waits for a
 * refresh: one that has begun still ends.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "capture/capture.h"
#include "catalog/pg_type.h"
#include "define/define.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "goal/goal.h"
#include "model/model.h"
#include "ops/ops_internal.h"
#include "refresh/refresh.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(kpi_sql_set_refresh);
PG_FUNCTION_INFO_V1(kpi_sql_pause);
PG_FUNCTION_INFO_V1(kpi_sql_resume);

/* What somebody notices after a year is not that a load is late. */
#define MAX_STALE_DAYS 366

/* ---- sources, and who may operate them ---- */

static void
require_operator(const char *definer)
{
	if (!kpi_define_is_definer(definer))
		kpi_require_editor();
}

#define POLICY_QUERY \
	"SELECT s.id, s.name, s.is_paused, coalesce(t.status = 'suspended', false) AS is_suspended," \
	" coalesce(t.status = 'held', false) AS is_held, s.definer," \
	" EXISTS (SELECT FROM kpi_internal.build_cancelled b WHERE b.source_id = s.id) AS is_build_cancelled" \
	" FROM kpi.source s LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id"

/* Reads the sources that a condition on $1 finds, into the caller's memory. */
static List *
read_policies(const char *sql, const char *name)
{
	List	   *policies = NIL;
	List	   *definers = NIL;
	ListCell   *lc;
	KpiRows		rows;

	kpi_rows_begin(&rows, sql, 1, KPI_TEXT(name));
	while (kpi_rows_next(&rows))
	{
		KpiPolicy  *policy = palloc(sizeof(KpiPolicy));

		policy->source_id = kpi_rows_int4(&rows, "id");
		policy->name = kpi_rows_text(&rows, "name");
		policy->paused = kpi_rows_bool(&rows, "is_paused");
		policy->suspended = kpi_rows_bool(&rows, "is_suspended");
		policy->held = kpi_rows_bool(&rows, "is_held");
		policy->build_cancelled = kpi_rows_bool(&rows, "is_build_cancelled");
		policies = lappend(policies, policy);
		definers = lappend(definers, kpi_rows_text(&rows, "definer"));
	}
	kpi_rows_end(&rows);

	foreach(lc, definers)
		require_operator(lfirst(lc));
	return policies;
}

KpiPolicy *
kpi_ops_policy_open(const char *name)
{
	List	   *policies = read_policies(POLICY_QUERY " WHERE s.name = $1", name);

	if (policies == NIL)
		(void) kpi_model_source_id(name);	/* raises the error */
	return linitial(policies);
}

bool
kpi_ops_source_is_paused(int32 source_id)
{
	KpiSpi		spi;
	bool		paused;

	kpi_spi_begin(&spi);
	paused = kpi_spi_exec("SELECT FROM kpi.source WHERE id = $1 AND is_paused", 1, KPI_INT4(source_id)) > 0;
	kpi_spi_end(&spi);
	return paused;
}

void
kpi_ops_require_not_paused(int32 source_id, const char *name)
{
	if (kpi_ops_source_is_paused(source_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" is paused", name),
				 errhint("Call kpi.resume() to refresh it and let it go on.")));
}

static void
set_paused(int32 source_id, bool paused)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.source SET is_paused = $2 WHERE id = $1 AND is_paused <> $2",
				 2, KPI_INT4(source_id), KPI_BOOL(paused));
	kpi_spi_end(&spi);
}

/* ---- kpi.set_refresh() ---- */

/* Goals are judged by another day, perhaps: whoever looks at them next waits for nobody. */
static void
set_stale(int32 source_id, int32 seconds)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.source SET stale_seconds = nullif($2, 0) WHERE id = $1",
				 2, KPI_INT4(source_id), KPI_INT4(seconds));
	kpi_spi_end(&spi);
	kpi_goal_source_recheck(source_id);
}

static void
set_mode(int32 source_id, const char *mode, int32 seconds)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.source SET refresh_mode = $2, refresh_seconds = nullif($3, 0) WHERE id = $1",
				 3, KPI_INT4(source_id), KPI_TEXT(mode), KPI_INT4(seconds));
	kpi_spi_end(&spi);
}

void
kpi_ops_policy_set_manual(int32 source_id)
{
	set_mode(source_id, "manual", 0);
}

static char *
interval_text(Interval *every)
{
	return DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(every)));
}

/* Takes an interval to whole seconds; error below one. */
static int32
interval_seconds(Interval *every, const char *source)
{
	int64		days = (int64) every->month * DAYS_PER_MONTH + every->day;
	int64		seconds = days * SECS_PER_DAY + every->time / USECS_PER_SEC;

	if (seconds < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot refresh source \"%s\" every %s", source, interval_text(every)),
				 errhint("Give an interval of one second or more, like interval '5 minutes', or mode => 'continuous'.")));
	if (seconds > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot refresh source \"%s\" every %s", source, interval_text(every)),
				 errhint("Give an interval below 68 years, or mode => 'manual'.")));
	return (int32) seconds;
}

static void
parse_interval(void *arg)
{
	Datum	   *value = arg;

	*value = DirectFunctionCall3(interval_in, *value, ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* After how many seconds facts are stale; an empty text: 0, never. */
static int32
stale_seconds(const char *text, const char *source)
{
	Datum		value = CStringGetDatum(text);
	int64		seconds = 0;

	if (text[0] == '\0')
		return 0;
	if (kpi_try(KPI_ERROR_TRAPPED, parse_interval, &value) == NULL)
	{
		Interval   *interval = DatumGetIntervalP(value);
		int64		days = (int64) interval->month * DAYS_PER_MONTH + interval->day;

		seconds = days * SECS_PER_DAY + interval->time / USECS_PER_SEC;
	}
	if (seconds < 1 || seconds > (int64) MAX_STALE_DAYS * SECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source \"%s\" cannot be stale after \"%s\"", source, text),
				 errhint("Give an interval from one second to %d days, like stale_after => '8 hours'; '' ends it.",
						 MAX_STALE_DAYS)));
	return (int32) seconds;
}

static void
check_mode(const char *mode, bool has_every, bool has_stale, const char *source)
{
	bool		is_interval = mode != NULL && strcmp(mode, "interval") == 0;

	if (mode == NULL && !has_every && !has_stale)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("neither a mode nor an interval is given for source \"%s\"", source),
				 errhint("Give mode => 'continuous', mode => 'manual', every => interval '5 minutes', or stale_after => '8 hours'.")));
	if (mode != NULL && !is_interval && strcmp(mode, "continuous") != 0 && strcmp(mode, "manual") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown refresh mode \"%s\"", mode),
				 errhint("Modes are continuous and manual; every => interval '5 minutes' refreshes at that interval.")));
	if (is_interval && !has_every)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("refresh mode \"interval\" of source \"%s\" needs an interval", source),
				 errhint("Say how often: every => interval '5 minutes'.")));
	if (has_every && mode != NULL && !is_interval)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("refresh mode \"%s\" of source \"%s\" does not go with an interval", mode, source),
				 errhint("Give either mode or every.")));
}

/* kpi.set_refresh(source, mode, every, stale_after) */
Datum
kpi_sql_set_refresh(PG_FUNCTION_ARGS)
{
	KpiPolicy  *policy = kpi_ops_policy_open(kpi_arg_name(fcinfo, 0, "name of the source"));
	char	   *mode = kpi_arg_optional_name(fcinfo, 1, "refresh mode");
	bool		has_every = !PG_ARGISNULL(2);
	char	   *stale_after = kpi_arg_text(fcinfo, 3);
	int32		seconds = 0;
	int32		stale = 0;

	check_mode(mode, has_every, stale_after != NULL, policy->name);
	if (has_every)
		seconds = interval_seconds(PG_GETARG_INTERVAL_P(2), policy->name);
	if (stale_after != NULL)
		stale = stale_seconds(stale_after, policy->name);
	if (has_every || mode != NULL)
		set_mode(policy->source_id, has_every ? "interval" : mode, seconds);
	if (stale_after != NULL)
		set_stale(policy->source_id, stale);
	PG_RETURN_VOID();
}

/* ---- kpi.pause(), kpi.resume() ---- */

/* kpi.pause(source text DEFAULT NULL) */
Datum
kpi_sql_pause(PG_FUNCTION_ARGS)
{
	List	   *policies;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
		policies = read_policies(POLICY_QUERY " WHERE $1 IS NULL ORDER BY s.id", NULL);
	else
		policies = list_make1(kpi_ops_policy_open(kpi_arg_name(fcinfo, 0, "name of the source")));
	foreach(lc, policies)
		set_paused(((KpiPolicy *) lfirst(lc))->source_id, true);
	PG_RETURN_VOID();
}

/*
 * Brings capture back on the table that now has the declared name.  The lock
 * waits for writers that still used the old definitions; their deltas carry
 * the old version, and the rebuild reads their facts.
 */
static void
reattach(int32 source_id, bool accept)
{
	KpiSource  *source;
	KpiKeyed   *keyed;
	Oid			relid;
	Oid			definer;

	/* What it is called now is what is seen from now on. */
	(void) kpi_refresh_follow_names(source_id);
	source = kpi_model_source_load(source_id, false);
	keyed = kpi_define_keyed_restore(source, accept);
	relid = kpi_model_source_relid(source);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of source \"%s\" does not exist", source->relation, source->name),
				 errhint("Create the table again, or drop the source with kpi.drop_source().")));
	/* Before any lock: the name may be another table's by now. */
	definer = kpi_fact_definer_settle(source_id, source->name, relid,
									  kpi_definer_role(source->name, source->definer, InvalidOid));

	/*
	 * What dropping a trigger needs, at once: a weaker lock first would
	 * deadlock.
	 */
	kpi_fact_table_lock(relid, AccessExclusiveLock);
	kpi_define_source_redefined(source_id);
	/* Tables that had the name before may still carry our triggers. */
	kpi_capture_detach(source_id, source->relation);
	CommandCounterIncrement();
	kpi_capture_attach(source_id, relid, definer);
	if (keyed != NULL)
		kpi_define_keyed_attach(source_id, keyed, definer);
	kpi_refresh_source_state_reset(source_id, relid, definer);
}

/*
 * Returns why one of many suspended sources is passed over; NULL: it is not.
 * Who else is to be trusted from now on is a decision on one source.
 */
static const char *
cannot_rebuild(const KpiPolicy *policy)
{
	KpiSource  *source = kpi_model_source_load(policy->source_id, false);
	Oid			definer = get_role_oid(source->definer, true);
	Oid			relid = kpi_model_source_relid(source);
	Oid			owner = kpi_fact_table_owner(relid);

	if (!OidIsValid(owner) && kpi_model_keyed_load(policy->source_id, false) == NULL)
		return "its table does not exist";
	if (!kpi_define_is_definer(source->definer))
		return "only its definer may rebuild it";
	if (!OidIsValid(definer) || (OidIsValid(source->definer_oid) && definer != source->definer_oid))
		return "its definer was dropped";
	if (!OidIsValid(owner))
		return NULL;
	if (OidIsValid(source->table_owner) && owner != source->table_owner && owner != definer)
		return "its table belongs to another role now";
	if (kpi_fact_definer_missing_grants(relid, definer) != NULL)
		return "its definer lacks rights on its table";
	if (kpi_refresh_seals_are_of_another(policy->source_id))
		return "another table has its name, while facts of the one before are sealed";
	return NULL;
}

static bool
must_rebuild(const KpiPolicy *policy)
{
	return policy->suspended || !(policy->paused || policy->build_cancelled || policy->held);
}

/* Has the next refresh take what it was held back for. */
static void
accept_loss(int32 source_id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.source_state SET accepts_loss = true WHERE source_id = $1",
				 1, KPI_INT4(source_id));
	kpi_spi_end(&spi);
}

/* The caller of these holds the source's lock, under which it was checked. */
static void
resume_paused(const KpiPolicy *policy, bool one_of_many)
{
	if (policy->held && !one_of_many)
		accept_loss(policy->source_id);
	set_paused(policy->source_id, false);
	kpi_ops_build_go_on(policy->source_id);
	while (kpi_worker_for_user(policy->source_id, KPI_RUN_REFRESH, &kpi_refresh_all_days, NULL) == KPI_RUN_MORE)
		;
}

/* Who names a source whose table was swapped has not been asked yet (refresh/hold.c). */
static void
warn_of_seals(const KpiPolicy *policy)
{
	if (kpi_refresh_seals_are_of_another(policy->source_id))
		ereport(WARNING,
				(errmsg("what is sealed of source \"%s\" stays in its numbers, though another table has come under its name",
						policy->name),
				 errhint("If the table has those facts again, they count twice: then call kpi.alter_source(%s, discard_sealed => true).",
						 quote_literal_cstr(policy->name))));
}

/*
 * Only rechecks the source: it cannot be built before writers, locked out by
 * attaching it, can go on.  Whoever names it accepts the code of others that it
 * reaches now (expr/foreign_code.c); of many at once, those that reach anything new
 * stay suspended.
 */
static void
resume_rebuilt(const KpiPolicy *policy, bool one_of_many)
{
	if (one_of_many && cannot_rebuild(policy))
	{
		ereport(WARNING,
				(errmsg("source \"%s\" stays suspended: %s", policy->name, cannot_rebuild(policy)),
				 errhint("Resume it by its name to learn more.")));
		return;
	}
	kpi_define_require_source_rights(policy->name);
	if (!policy->suspended && kpi_refresh_leaves_are_lost(policy->source_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot rebuild source \"%s\" before a refresh has seen that a partition is gone", policy->name),
				 errhint("CALL kpi.refresh(%s) seals what it held; rebuilt from the facts that are there, it would be lost.",
						 quote_literal_cstr(policy->name))));
	warn_of_seals(policy);
	set_paused(policy->source_id, false);
	kpi_ops_build_go_on(policy->source_id);
	reattach(policy->source_id, !one_of_many);
	if (!one_of_many)
		accept_loss(policy->source_id);
	(void) kpi_refresh_source(policy->source_id, one_of_many ? KPI_RUN_RECHECK : KPI_RUN_ACCEPT, NULL);
}

/* kpi.resume(source text DEFAULT NULL) */
Datum
kpi_sql_resume(PG_FUNCTION_ARGS)
{
	List	   *policies;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
	{
		(void) kpi_refresh_lock_sources(0);
		policies = read_policies(POLICY_QUERY
								 " WHERE $1 IS NULL AND (s.is_paused OR t.status = 'suspended'"
								 "  OR EXISTS (SELECT FROM kpi_internal.build_cancelled b WHERE b.source_id = s.id))"
								 " ORDER BY s.id", NULL);
	}
	else
	{
		char	   *name = kpi_arg_name(fcinfo, 0, "name of the source");

		(void) kpi_refresh_lock_sources(kpi_ops_policy_open(name)->source_id);
		policies = list_make1(kpi_ops_policy_open(name));
	}
	/* Those to be attached last: it locks out writers of their tables. */
	foreach(lc, policies)
	{
		if (!must_rebuild(lfirst(lc)))
			resume_paused(lfirst(lc), PG_ARGISNULL(0));
	}
	foreach(lc, policies)
	{
		if (must_rebuild(lfirst(lc)))
			resume_rebuilt(lfirst(lc), PG_ARGISNULL(0));
	}
	PG_RETURN_VOID();
}
