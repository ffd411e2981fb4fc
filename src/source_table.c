/*-------------------------------------------------------------------------
 *
 * source_table.c
 *	  The table under a source: what it may be, who may use it, its locks.
 *
 * A definition changes only under SHARE ROW EXCLUSIVE on the table and each
 * of its partitions (a lock on the root alone would not stop writers of a
 * partition), held to the end of the transaction: so no writer is in flight
 * that knows the old one.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/partition.h"
#include "guc.h"
#include "miscadmin.h"
#include "source_table.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/varlena.h"
#include "virtual_column.h"

char *
kpi_source_table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
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

static void
check_relkind(Oid relid, char relkind)
{
	switch (relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			break;
		case RELKIND_VIEW:
			refuse_kind(relid, "view");
			break;
		case RELKIND_MATVIEW:
			refuse_kind(relid, "materialized view");
			break;
		case RELKIND_FOREIGN_TABLE:
			refuse_kind(relid, "foreign table");
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a table", get_rel_name(relid)),
					 errhint("Name the table that holds the rows.")));
	}
}

static void
check_persistence(Oid relid, char persistence)
{
	if (persistence == RELPERSISTENCE_TEMP)
		refuse_kind(relid, "temporary table");
	if (persistence == RELPERSISTENCE_UNLOGGED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("unlogged table \"%s\" cannot be the relation of a source",
						get_rel_name(relid)),
				 errdetail("It would be empty after a crash, and its rollups would not."),
				 errhint("Run ALTER TABLE %s SET LOGGED.", kpi_source_table_name(relid))));
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
}

static void
check_inheritance(Oid relid, Form_pg_class form)
{
	if (form->relispartition)
	{
		Oid			root = llast_oid(get_partition_ancestors(relid));

		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("partition \"%s\" cannot be the relation of a source", get_rel_name(relid)),
				 errhint("Use the partitioned table %s; a filter can leave out what does not belong.",
						 kpi_source_table_name(root))));
	}
	if (form->relkind == RELKIND_RELATION &&
		(has_superclass(relid) || find_inheritance_children(relid, NoLock) != NIL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" with inheritance cannot be the relation of a source",
						get_rel_name(relid)),
				 errhint("Use a partitioned table, or a table without parents and children.")));
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
	if (is_target)
		check_inheritance(relid, form);
	ReleaseSysCache(tuple);
}

static void
check_virtual_columns(Oid root, Oid leaf)
{
	char	   *problem = kpi_virtual_columns_problem(root, leaf);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s", problem),
				 errdetail("The same row would count in two ways."),
				 errhint(KPI_VIRTUAL_COLUMNS_HINT)));
}

bool
kpi_source_table_has_rights(Oid relid, Oid role)
{
	return kpi_class_ownercheck(relid, role) ||
		(pg_class_aclcheck(relid, role, ACL_SELECT) == ACLCHECK_OK &&
		 pg_class_aclcheck(relid, role, ACL_TRIGGER) == ACLCHECK_OK);
}

void
kpi_source_table_check_role(Oid relid, Oid role)
{
	if (!kpi_source_table_has_rights(relid, role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table \"%s\"", get_rel_name(relid)),
				 errdetail("Role \"%s\" does not own it, and has not both SELECT and TRIGGER on it.",
						   GetUserNameFromId(role, false)),
				 errhint("Create the source as the table's owner, or run GRANT SELECT, TRIGGER ON %s TO %s.",
						 kpi_source_table_name(relid),
						 quote_identifier(GetUserNameFromId(role, false)))));

	if (check_enable_rls(relid, role, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security of table \"%s\" applies to role \"%s\"",
						get_rel_name(relid), GetUserNameFromId(role, false)),
				 errdetail("Rollups would count rows that the role may not see."),
				 errhint("Create the source as the table's owner, or as a role with BYPASSRLS.")));
}

/* ---- locks ---- */

static void
lock_wait_callback(void *arg)
{
	KpiLockWait *wait = arg;

	if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
		return;
	errmsg("could not obtain a lock on table %s", wait->table);
	errdetail("Others have held it for longer than %d ms.", LockTimeout);
	errhint("Try again when they have ended (pg_locks and pg_stat_activity show them), or wait longer: SET kpi.lock_timeout. Writers queue up behind whoever waits for a table.");
}

void
kpi_lock_wait_begin(KpiLockWait *wait, const char *table)
{
	wait->table = table;
	wait->guc_nest_level = 0;
	if (kpi_lock_timeout > 0 && (LockTimeout == 0 || LockTimeout > kpi_lock_timeout))
	{
		wait->guc_nest_level = NewGUCNestLevel();
		(void) set_config_option("lock_timeout", psprintf("%d", kpi_lock_timeout),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	}
	wait->callback.callback = lock_wait_callback;
	wait->callback.arg = wait;
	wait->callback.previous = error_context_stack;
	error_context_stack = &wait->callback;
}

void
kpi_lock_wait_end(KpiLockWait *wait)
{
	error_context_stack = wait->callback.previous;
	if (wait->guc_nest_level > 0)
		AtEOXact_GUC(true, wait->guc_nest_level);
}

/* Rights come first: who has none must not make others wait for a lock. */
static void
lookup_callback(const RangeVar *rv, Oid relid, Oid old_relid, void *arg)
{
	if (!OidIsValid(relid))
		return;
	check_one(relid, true);
	kpi_source_table_check_role(relid, GetUserId());
}

Oid
kpi_source_table_open(const char *name)
{
	List	   *names = textToQualifiedNameList(cstring_to_text(name));
	KpiLockWait wait;
	Oid			relid;
	ListCell   *lc;

	kpi_lock_wait_begin(&wait, name);
	relid = RangeVarGetRelidExtended(makeRangeVarFromNameList(names), ShareRowExclusiveLock,
									 RVR_MISSING_OK, lookup_callback, NULL);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" does not exist", name),
				 errhint("Give the table with its schema, like crm.deals; names with capitals stand in double quotes.")));

	/* Both again: it may have changed before the lock was there. */
	check_one(relid, true);
	kpi_source_table_check_role(relid, GetUserId());
	foreach(lc, find_all_inheritors(relid, ShareRowExclusiveLock, NULL))
	{
		check_one(lfirst_oid(lc), false);
		check_virtual_columns(relid, lfirst_oid(lc));
	}
	kpi_lock_wait_end(&wait);
	return relid;
}

void
kpi_source_table_lock(Oid relid, LOCKMODE lockmode)
{
	KpiLockWait wait;
	ListCell   *lc;

	kpi_lock_wait_begin(&wait, kpi_source_table_name(relid));
	LockRelationOid(relid, lockmode);
	foreach(lc, find_all_inheritors(relid, lockmode, NULL))
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
	kpi_lock_wait_end(&wait);
}
