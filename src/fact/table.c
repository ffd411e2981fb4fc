/*-------------------------------------------------------------------------
 *
 * table.c
 *	  The table under a source: what it may be, and its locks.
 *
 * A definition changes only under SHARE ROW EXCLUSIVE on the table and each
 * of its partitions (a lock on the root alone would not stop writers of a
 * partition), held to the end of the transaction: so no writer is in flight
 * that knows the old one.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/base.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

char *
kpi_fact_table_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		return pstrdup("(dropped)");
	return kpi_stored_name(get_namespace_name(get_rel_namespace(relid)), name);
}

static void
refuse_kind(Oid relid, const char *kind)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s \"%s\" cannot be the relation of a source", kind, get_rel_name(relid)),
			 errdetail("A source follows the rows of a permanent table of its own database through triggers."),
			 errhint("Name the table that holds the rows, or load them into one.")));
}

/* What a relation is that is no table with rows; NULL: it is one, or not even like one. */
static const char *
other_kind(char relkind)
{
	switch (relkind)
	{
		case RELKIND_VIEW:
			return "view";
		case RELKIND_MATVIEW:
			return "materialized view";
		case RELKIND_FOREIGN_TABLE:
			return "foreign table";
		default:
			return NULL;
	}
}

static bool
is_table_kind(char relkind)
{
	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE;
}

static void
check_relkind(Oid relid, char relkind)
{
	if (other_kind(relkind) != NULL)
		refuse_kind(relid, other_kind(relkind));
	if (!is_table_kind(relkind))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", get_rel_name(relid)),
				 errhint("Name the table that holds the rows.")));
}

static void
check_persistence(Oid relid, char persistence)
{
	if (persistence == RELPERSISTENCE_TEMP)
		refuse_kind(relid, "temporary table");
}

static void
check_schema(Oid relid, Oid namespace)
{
	char	   *schema = get_namespace_name(namespace);

	if (IsCatalogRelationOid(relid) || IsCatalogNamespace(namespace) ||
		IsToastNamespace(namespace) ||
		strcmp(schema, "information_schema") == 0)
		refuse_kind(relid, "system table");
	if (strcmp(schema, "kpi") == 0 || strcmp(schema, "kpi_internal") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" of pg_kpi itself cannot be the relation of a source",
						get_rel_name(relid))));
	if (strcmp(schema, "kpi_data") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table %s keeps the rows of a source and cannot be the relation of another",
						kpi_fact_table_name(relid)),
				 errhint("Make the KPI of source \"%s\" itself, or create a source with a query that follows the table.",
						 get_rel_name(relid))));
}

static void
find_problem(Oid relid, bool is_target, Form_pg_class form, KpiTableProblem *problem)
{
	if (is_target && !is_table_kind(form->relkind))
	{
		problem->message = other_kind(form->relkind) == NULL ? psprintf("\"%s\" is not a table", NameStr(form->relname)) :
			psprintf("%s \"%s\" cannot be the relation of a source", other_kind(form->relkind), NameStr(form->relname));
		problem->detail = "A source follows the rows of a permanent table of its own database through triggers.";
		problem->hint = "Name the table that holds the rows, or load them into one.";
		problem->mend = "Have a table under this name.";
	}
	else if (form->relpersistence == RELPERSISTENCE_UNLOGGED)
	{
		problem->message = psprintf("unlogged table \"%s\" cannot be the relation of a source",
									NameStr(form->relname));
		problem->detail = "It would be empty after a crash, and its rollups would not.";
		problem->hint = psprintf("Run ALTER TABLE %s SET LOGGED.", kpi_fact_table_name(relid));
		problem->mend = problem->hint;
	}
	else if (is_target && form->relispartition)
	{
		Oid			root = llast_oid(get_partition_ancestors(relid));

		problem->message = psprintf("partition \"%s\" cannot be the relation of a source",
									NameStr(form->relname));
		problem->hint = psprintf("Use the partitioned table %s; a filter can leave out what does not belong.",
								 kpi_fact_table_name(root));
		problem->mend = "Detach it from the partitioned table.";
	}
	else if (is_target && form->relkind == RELKIND_RELATION &&
			 (has_superclass(relid) || find_inheritance_children(relid, NoLock) != NIL))
	{
		problem->message = psprintf("table \"%s\" with inheritance cannot be the relation of a source",
									NameStr(form->relname));
		problem->hint = "Use a partitioned table, or a table without parents and children.";
		problem->mend = "Run ALTER TABLE ... NO INHERIT for its parents and children.";
	}
	else if ((problem->message = kpi_fact_storage_problem(relid)) != NULL)
	{
		problem->detail = "A source follows a table through its row triggers and reads it row by row.";
		problem->hint = "Use a table that has its rows itself: undistribute_table() and ALTER TABLE ... SET ACCESS METHOD heap make it one, or copy the rows into one.";
		problem->mend = "Bring the rows back into the table, with undistribute_table() or ALTER TABLE ... SET ACCESS METHOD heap.";
	}
}

bool
kpi_fact_table_problem(Oid relid, bool is_target, KpiTableProblem *problem)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));

	memset(problem, 0, sizeof(KpiTableProblem));
	if (!HeapTupleIsValid(tuple))
		return false;
	find_problem(relid, is_target, (Form_pg_class) GETSTRUCT(tuple), problem);
	ReleaseSysCache(tuple);
	return problem->message != NULL;
}

static void
check_problem(Oid relid, bool is_target)
{
	KpiTableProblem problem;

	if (kpi_fact_table_problem(relid, is_target, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s", problem.message),
				 problem.detail ? errdetail("%s", problem.detail) : 0,
				 errhint("%s", problem.hint)));
}

static void
check_one(Oid relid, bool is_target)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;

	/* Dropped before it was locked: whoever looks it up again says so. */
	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_class) GETSTRUCT(tuple);
	check_relkind(relid, form->relkind);
	check_persistence(relid, form->relpersistence);
	check_schema(relid, form->relnamespace);
	check_problem(relid, is_target);
	ReleaseSysCache(tuple);
}

static void
check_virtual_columns(Oid root, Oid leaf)
{
	char	   *problem = kpi_expr_virtual_columns_problem(root, leaf);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s", problem),
				 errdetail("The same row would count in two ways."),
				 errhint(KPI_VIRTUAL_COLUMNS_HINT)));
}

/* ---- locks ---- */

static void
lock_wait_callback(void *arg)
{
	KpiLockWait *wait = arg;

	if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
		return;
	errmsg("could not obtain a lock on table %s", wait->table);
	errdetail("Others have held it for longer than %d ms.", wait->timeout);
	errhint("Try again when they have ended (pg_locks and pg_stat_activity show them), or wait longer: SET kpi.lock_timeout. Writers queue up behind whoever waits for a table.");
}

void
kpi_fact_lock_wait_begin(KpiLockWait *wait, const char *table)
{
	wait->table = table;
	wait->guc_nest_level = 0;
	if (kpi_lock_timeout > 0 && (LockTimeout == 0 || LockTimeout > kpi_lock_timeout))
	{
		wait->guc_nest_level = NewGUCNestLevel();
		(void) set_config_option("lock_timeout", psprintf("%d", kpi_lock_timeout),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	}
	wait->timeout = LockTimeout;
	wait->callback.callback = lock_wait_callback;
	wait->callback.arg = wait;
	wait->callback.previous = error_context_stack;
	error_context_stack = &wait->callback;
}

void
kpi_fact_lock_wait_end(KpiLockWait *wait)
{
	error_context_stack = wait->callback.previous;
	if (wait->guc_nest_level > 0)
		AtEOXact_GUC(true, wait->guc_nest_level);
}

/* ---- the table and its partitions ---- */

typedef struct TreeLock
{
	Oid			relid;
	LOCKMODE	lockmode;
	const char *name;			/* to be looked up, or NULL: relid is given */
	Oid			named_definer;
} TreeLock;

/*
 * Partitions, as long as the table is locked: a writer of one of them who then
 * writes to the table would wait for us as we for him, and the server ends who
 * notices that last, the writer.  So this wait is over before he looks.
 */
static List *
lock_partitions(const TreeLock *lock)
{
	int			guc_nest_level = NewGUCNestLevel();
	int			timeout = Max(DeadlockTimeout / 2, 1);
	List	   *relids;

	if (LockTimeout == 0 || LockTimeout > timeout)
		(void) set_config_option("lock_timeout", psprintf("%d", timeout),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	relids = find_all_inheritors(lock->relid, lock->lockmode, NULL);
	AtEOXact_GUC(true, guc_nest_level);
	return relids;
}

/*
 * Locks all with body, in a subtransaction: where a partition is not free in
 * time, the table is given back for those who wait for it, and it begins anew.
 */
static void
lock_tree(TreeLock *lock, void (*body) (void *arg), const KpiLockWait *wait)
{
	TimestampTz started = GetCurrentTimestamp();
	ErrorData  *error;

	/* A subtransaction begins with no invalidation under way. */
	CommandCounterIncrement();
	while ((error = kpi_try(KPI_ERROR_CONFLICT, body, lock)) != NULL)
	{
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE ||
			(wait->timeout > 0 && TimestampDifferenceExceeds(started, GetCurrentTimestamp(), wait->timeout)))
			ReThrowError(error);
		FreeErrorData(error);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Rights come first: who has none must not make others wait for a lock. */
static void
lookup_callback(const RangeVar *rv, Oid relid, Oid old_relid, void *named_definer)
{
	if (!OidIsValid(relid))
		return;
	check_one(relid, true);
	kpi_fact_definer_check(relid, kpi_fact_definer_choose(relid, *(Oid *) named_definer));
}

static void
open_tree(void *arg)
{
	TreeLock   *lock = arg;
	List	   *names = textToQualifiedNameList(cstring_to_text(lock->name));
	Oid			relid;
	ListCell   *lc;

	relid = RangeVarGetRelidExtended(makeRangeVarFromNameList(names), lock->lockmode,
									 RVR_MISSING_OK, lookup_callback, &lock->named_definer);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" does not exist", lock->name),
				 errhint("Give the table with its schema, like crm.deals; names with capitals stand in double quotes.")));

	/* Both again: it may have changed before the lock was there. */
	check_one(relid, true);
	kpi_fact_definer_check(relid, kpi_fact_definer_choose(relid, lock->named_definer));
	lock->relid = relid;
	foreach(lc, lock_partitions(lock))
	{
		check_one(lfirst_oid(lc), false);
		check_virtual_columns(relid, lfirst_oid(lc));
	}
}

Oid
kpi_fact_table_open(const char *name, Oid named_definer)
{
	TreeLock	lock = {.lockmode = ShareRowExclusiveLock,.name = name,.named_definer = named_definer};
	KpiLockWait wait;

	kpi_fact_lock_wait_begin(&wait, name);
	lock_tree(&lock, open_tree, &wait);
	kpi_fact_lock_wait_end(&wait);
	return lock.relid;
}

static void
lock_given(void *arg)
{
	TreeLock   *lock = arg;
	ListCell   *lc;

	LockRelationOid(lock->relid, lock->lockmode);
	foreach(lc, lock_partitions(lock))
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
}

void
kpi_fact_table_lock(Oid relid, LOCKMODE lockmode)
{
	TreeLock	lock = {.relid = relid,.lockmode = lockmode};
	KpiLockWait wait;

	kpi_fact_lock_wait_begin(&wait, kpi_fact_table_name(relid));
	lock_tree(&lock, lock_given, &wait);
	kpi_fact_lock_wait_end(&wait);
}
