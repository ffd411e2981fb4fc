/*-------------------------------------------------------------------------
 *
 * recheck.c
 *	  What the catalogs say against a source going on as it is.
 *
 * The same check for a refresh, which suspends the source, and for whoever reads
 * how complete its numbers are before one has come by: kpi.source_status, the
 * views of values and the progress of goals.  Nothing is locked, so a table
 * may go while it is checked, and no rights are asked for: only names of a
 * source's own tables leave here.
 *
 * Views ask for each row they show.  So the answer is kept until a relation or
 * a schema changes, whichever it is: a check is cheap, one a row is not.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "capture/capture.h"
#include "common/hashfn.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kpi_sql_capture_state);
PG_FUNCTION_INFO_V1(kpi_sql_capture_works);

/* Names of at most this many tables stand in one sentence. */
#define MAX_NAMES 3

typedef struct LookKey
{
	int32		source_id;
	Oid			attached;
	uint32		names;
} LookKey;

typedef struct Look
{
	LookKey		key;
	uint64		generation;
	bool		works;
} Look;

/* Grows with each invalidation: what was checked before is out of date. */
static uint64 generation = 0;
static HTAB *looks = NULL;

/* ---- checking ---- */

static bool
set_problem(KpiProblem *problem, char *reason, char *hint)
{
	problem->reason = reason;
	problem->hint = hint;
	return true;
}

static bool
recheck_at_kind(Oid relid, bool is_target, KpiProblem *problem)
{
	KpiTableProblem kind;

	return kpi_fact_table_problem(relid, is_target, &kind) &&
		set_problem(problem, pstrdup(kind.message), psprintf("%s Then call kpi.resume().", kind.mend));
}

bool
kpi_refresh_table_recheck(const char *relation, Oid relid, Oid attached, KpiProblem *problem)
{
	ListCell   *lc;

	if (!OidIsValid(relid))
		return set_problem(problem, psprintf("table %s does not exist", relation),
						   strncmp(relation, "kpi_data.", 9) == 0 ? "Call kpi.resume() to have its rows kept again." :
						   "Create the table again, then call kpi.resume().");
	if (OidIsValid(attached) && relid != attached)
		return set_problem(problem, psprintf("another table is called %s now", relation),
						   "Call kpi.resume() to attach the new table and rebuild the source, or have it followed: kpi.alter_source(..., on_swap => 'follow').");
	if (recheck_at_kind(relid, true, problem))
		return true;
	foreach(lc, kpi_model_leaf_relids(relid))
	{
		if (recheck_at_kind(lfirst_oid(lc), false, problem))
			return true;
	}
	return false;
}

/* The leaves without working triggers, in words; NULL: none. */
static char *
broken_leaves(int32 source_id, List *leaves, char *(*look) (int32 source_id, Oid leaf), const char *trigger)
{
	StringInfoData names;
	int			nbroken = 0;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, leaves)
	{
		Oid			relid = lfirst_oid(lc);
		char	   *name = get_rel_name(relid);

		if (name == NULL || look(source_id, relid)[0] != '\0')
			continue;
		if (nbroken++ < MAX_NAMES)
			appendStringInfo(&names, "%s%s", nbroken > 1 ? ", " : "",
							 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name));
	}
	if (nbroken == 0)
		return NULL;
	if (nbroken > MAX_NAMES)
		appendStringInfo(&names, " and %d more", nbroken - MAX_NAMES);
	return psprintf("the %s trigger is missing or disabled on %s", trigger, names.data);
}

/* The same for the tables that a keyed source follows. */
static bool
recheck_followed(int32 source_id, KpiProblem *problem)
{
	List	   *relations = NIL;
	List	   *leaves = NIL;
	char	   *broken;
	KpiRows		rows;
	ListCell   *lc;

	kpi_rows_begin_read(&rows, "SELECT f.relation FROM kpi.followed_relation f"
						" WHERE f.source_id = $1 AND f.query IS NOT NULL ORDER BY f.position",
						1, KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
		relations = lappend(relations, kpi_rows_text(&rows, "relation"));
	kpi_rows_end(&rows);
	foreach(lc, relations)
	{
		Oid			relid = kpi_model_relid_by_name(lfirst(lc));

		if (!OidIsValid(relid))
			return set_problem(problem, psprintf("table %s, which the source follows, does not exist", (char *) lfirst(lc)),
							   "Create it again or give it its name back, or give the query anew with kpi.alter_source(); then call kpi.resume().");
		leaves = list_concat(leaves, kpi_model_leaf_relids(relid));
	}
	broken = broken_leaves(source_id, leaves, kpi_capture_follow_state, "follow");
	return broken != NULL &&
		set_problem(problem, broken, "Run CALL kpi.refresh(): it creates the trigger again and runs the query for all entities.");
}

bool
kpi_refresh_source_recheck(int32 source_id, const char *relation, Oid relid, Oid attached,
						   KpiProblem *problem)
{
	char	   *broken;

	if (kpi_refresh_table_recheck(relation, relid, attached, problem))
		return true;
	broken = broken_leaves(source_id, kpi_model_leaf_relids(relid), kpi_capture_trigger_state, "capture");
	if (broken != NULL)
		return set_problem(problem, broken, "Call kpi.resume() to create the trigger again and rebuild the source.");
	return recheck_followed(source_id, problem);
}

/* The arguments of the two functions below: a source as its row and its state have it. */
typedef struct LookArguments
{
	int32		source_id;
	char	   *relation;
	Oid			attached;
	const char *former;			/* NULL: none that counts */
	Oid			relid;
} LookArguments;

static void
get_arguments(FunctionCallInfo fcinfo, LookArguments *args)
{
	args->source_id = PG_GETARG_INT32(0);
	args->relation = text_to_cstring(PG_GETARG_TEXT_PP(1));
	args->attached = PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2);
	args->former = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	if (PG_ARGISNULL(4) || !kpi_model_former_counts(args->former, PG_GETARG_TIMESTAMPTZ(4)))
		args->former = NULL;
}

static bool
recheck(LookArguments *args, KpiProblem *problem)
{
	args->relid = kpi_model_relid(args->relation, args->former, args->attached);
	return kpi_refresh_source_recheck(args->source_id, args->relation, args->relid, args->attached, problem);
}

/*
 * kpi_internal.capture_state(source_id integer, relation text, attached oid, former text,
 * renamed_at timestamptz, follows_swaps boolean, OUT tables integer, OUT problem text, OUT hint text,
 * OUT is_swapped boolean)
 */
Datum
kpi_sql_capture_state(PG_FUNCTION_ARGS)
{
	LookArguments args;
	KpiProblem	problem;
	TupleDesc	tupdesc;
	Datum		values[4] = {Int32GetDatum(0)};
	bool		nulls[4] = {false, true, true, false};
	bool		swapped;

	get_arguments(fcinfo, &args);
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (recheck(&args, &problem))
	{
		swapped = PG_GETARG_BOOL(5) && OidIsValid(args.relid) && OidIsValid(args.attached) && args.relid != args.attached;
		values[1] = CStringGetTextDatum(problem.reason);
		values[2] = CStringGetTextDatum(swapped ? "The next refresh takes it: a worker's, or CALL kpi.refresh()." :
										problem.hint);
		nulls[1] = nulls[2] = false;
		values[3] = BoolGetDatum(swapped);
	}
	if (OidIsValid(args.relid))
		values[0] = Int32GetDatum(list_length(kpi_model_leaf_relids(args.relid)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* ---- whether all is well, kept ---- */

static void
relation_changed(Oid relid)
{
	generation++;
}

static void
schema_changed(int cacheid)
{
	generation++;
}

static void
init_rechecks(void)
{
	HASHCTL		ctl = {.keysize = sizeof(LookKey),.entrysize = sizeof(Look),.hcxt = CacheMemoryContext};

	looks = hash_create("pg_kpi looks at sources", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	kpi_on_relcache_change(relation_changed);
	kpi_on_syscache_change(NAMESPACEOID, schema_changed);
}

/* A hash of the names: of two states of a source they differ, or nothing does. */
static LookKey
look_key(const LookArguments *args)
{
	LookKey		key = {.source_id = args->source_id,.attached = args->attached};

	key.names = hash_bytes((unsigned char *) args->relation, strlen(args->relation));
	if (args->former != NULL)
		key.names = hash_combine(key.names, hash_bytes((unsigned char *) args->former, strlen(args->former)));
	return key;
}

/*
 * kpi_internal.capture_works(source_id integer, relation text, attached oid, former text,
 * renamed_at timestamptz): kpi_refresh_source_recheck() finds nothing.
 */
Datum
kpi_sql_capture_works(PG_FUNCTION_ARGS)
{
	LookArguments args;
	LookKey		key;
	uint64		now;
	bool		works;
	bool		found;
	Look	   *look;

	get_arguments(fcinfo, &args);
	key = look_key(&args);
	if (looks == NULL)
		init_rechecks();
	look = hash_search(looks, &key, HASH_FIND, NULL);
	if (look == NULL || look->generation != generation)
	{
		KpiProblem	problem;

		/*
		 * An invalidation that arrives meanwhile leaves the answer out of
		 * date.
		 */
		now = generation;
		works = !recheck(&args, &problem);
		look = hash_search(looks, &key, HASH_ENTER, &found);
		look->generation = now;
		look->works = works;
	}
	PG_RETURN_BOOL(look->works);
}
