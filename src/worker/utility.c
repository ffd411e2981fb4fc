/*-------------------------------------------------------------------------
 *
 * utility.c
 *	  Commands that concern the workers.
 *
 * A ProcessUtility hook, in every backend that has loaded the library: when it
 * is preloaded, in all.
 *
 *	- DROP DATABASE, ALTER DATABASE RENAME and SET TABLESPACE, and CREATE
 *	  DATABASE with that template fail when anybody is connected to the
 *	  database.  PostgreSQL makes autovacuum workers leave, and this makes ours
 *	  leave, for who may run the command at all.
 *	- DROP and ALTER EXTENSION need not wait for a refresh, and DROP EXTENSION, or
 *	  DROP OWNED BY its owner, must not meet a writer that comes with its locks in the
 *	  other order, and finds the triggers bound to what it drops.
 *	- Commands that change tables, rights, functions or types may change what a
 *	  source is, and no fact is written: the workers recheck their sources.
 *	- COMMIT PREPARED commits what another transaction has put into the queue, and
 *	  whatever commands it has run.
 *	- CREATE and DROP EXTENSION, a trigger of ours that a restore brings, and a
 *	  copy of a database make the launcher look.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/base.h"
#include "capture/capture.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/user.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"
#include "worker/worker.h"

static ProcessUtility_hook_type previous_hook = NULL;

static DefElem *
find_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst(lc);

		if (strcmp(option->defname, name) == 0)
			return option;
	}
	return NULL;
}

/* Checks whether the user may copy a database because it is marked as a template. */
static bool
may_copy(Oid dbid)
{
	HeapTuple	database = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dbid));
	HeapTuple	role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	bool		result = false;

	if (HeapTupleIsValid(database) && HeapTupleIsValid(role))
		result = ((Form_pg_database) GETSTRUCT(database))->datistemplate &&
			((Form_pg_authid) GETSTRUCT(role))->rolcreatedb;
	if (HeapTupleIsValid(role))
		ReleaseSysCache(role);
	if (HeapTupleIsValid(database))
		ReleaseSysCache(database);
	return result;
}

/* Evicts the worker for who may run the command: nobody else may disturb it. */
static void
evict(const char *name, bool copied)
{
	Oid			dbid = get_database_oid(name, true);

	if (OidIsValid(dbid) &&
		(kpi_database_ownercheck(dbid, GetUserId()) || (copied && may_copy(dbid))))
		(void) kpi_evict(dbid);
}

static bool
may_change_extension(void)
{
	return IsTransactionState() && OidIsValid(get_extension_oid("pg_kpi", true)) &&
		has_privs_of_role(GetUserId(), kpi_extension_owner());
}

static bool
drops_extension(DropStmt *stmt)
{
	ListCell   *lc;

	if (stmt->removeType != OBJECT_EXTENSION)
		return false;
	foreach(lc, stmt->objects)
	{
		if (strcmp(strVal(lfirst(lc)), "pg_kpi") == 0)
			return true;
	}
	return false;
}

/* DROP OWNED BY its owner drops it, too.  A role that is none is the command's error. */
static bool
drops_owner(DropOwnedStmt *stmt)
{
	return OidIsValid(get_extension_oid("pg_kpi", true)) &&
		list_member_oid(roleSpecsToIds(stmt->roles), kpi_extension_owner());
}

static bool
alters_extension(AlterExtensionStmt *stmt)
{
	return strcmp(stmt->extname, "pg_kpi") == 0;
}

/* A refresh may be the first one of a large table. */
static void
before_drop(void)
{
	(void) kpi_evict(MyDatabaseId);
	kpi_capture_before_drop();
}

static void
before_command(Node *command)
{
	DefElem    *option;

	switch (nodeTag(command))
	{
		case T_DropdbStmt:
			evict(((DropdbStmt *) command)->dbname, false);
			break;
		case T_CreatedbStmt:
			option = find_option(((CreatedbStmt *) command)->options, "template");
			evict(option && option->arg ? defGetString(option) : "template1", true);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) command)->renameType == OBJECT_DATABASE)
				evict(((RenameStmt *) command)->subname, false);
			break;
		case T_AlterDatabaseStmt:
			if (find_option(((AlterDatabaseStmt *) command)->options, "tablespace") != NULL)
				evict(((AlterDatabaseStmt *) command)->dbname, false);
			break;
		case T_DropStmt:
			if (drops_extension((DropStmt *) command) && may_change_extension())
				before_drop();
			break;
		case T_DropOwnedStmt:
			if (may_change_extension() && drops_owner((DropOwnedStmt *) command))
				before_drop();
			break;
		case T_AlterExtensionStmt:
			if (alters_extension((AlterExtensionStmt *) command) && may_change_extension())
				(void) kpi_evict(MyDatabaseId);
			break;
		default:
			break;
	}
}

static bool
is_our_trigger(CreateTrigStmt *stmt)
{
	char	   *schema;
	char	   *function;

	DeconstructQualifiedName(stmt->funcname, &schema, &function);
	return schema != NULL && strcmp(schema, "kpi") == 0 &&
		(strncmp(function, "capture", 7) == 0 || strncmp(function, "follow", 6) == 0);
}

/* Checks whether this command can change a source's table, rights, functions or types. */
static bool
may_change_sources(Node *command)
{
	switch (nodeTag(command))
	{
		case T_CreateStmt:
			return ((CreateStmt *) command)->relation->relpersistence != RELPERSISTENCE_TEMP;
		case T_CreateTableAsStmt:
			return ((CreateTableAsStmt *) command)->into->rel->relpersistence != RELPERSISTENCE_TEMP;
		case T_AlterTableStmt:
		case T_AlterObjectSchemaStmt:
		case T_AlterOwnerStmt:
		case T_AlterDomainStmt:
		case T_AlterCollationStmt:
		case T_AlterEnumStmt:
		case T_RenameStmt:
		case T_DropStmt:
		case T_TruncateStmt:
		case T_DropOwnedStmt:
		case T_ReassignOwnedStmt:
		case T_CreateFunctionStmt:
		case T_AlterFunctionStmt:
		case T_CreatePolicyStmt:
		case T_GrantStmt:
			return true;
		default:
			return false;
	}
}

/* Asks for what a command makes necessary; a database it made is found by name. */
static void
after_command(Node *command)
{
	if (may_change_sources(command))
		kpi_wake_request_recheck(false);

	switch (nodeTag(command))
	{
		case T_TransactionStmt:
			if (((TransactionStmt *) command)->kind == TRANS_STMT_COMMIT_PREPARED)
			{
				kpi_wake(MyDatabaseId, true);
				kpi_wake_request_recheck(true);
			}
			break;
		case T_CreateExtensionStmt:
			if (strcmp(((CreateExtensionStmt *) command)->extname, "pg_kpi") == 0)
				kpi_wake_request(true);
			break;
		case T_DropStmt:
			if (drops_extension((DropStmt *) command))
				kpi_wake_request(true);
			break;
		case T_AlterExtensionStmt:
			if (alters_extension((AlterExtensionStmt *) command))
				kpi_wake_request(true);
			break;
		case T_CreateTrigStmt:
			if (is_our_trigger((CreateTrigStmt *) command))
				kpi_wake_request(true);
			break;
		case T_GrantRoleStmt:
		case T_AlterRoleStmt:
		case T_DropRoleStmt:
			kpi_wake_request_recheck(true);
			break;
		case T_CreatedbStmt:
			kpi_wake_request_database(get_database_oid(((CreatedbStmt *) command)->dbname, true));
			break;
		default:
			break;
	}
}

static void
utility_hook(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *command = pstmt->utilityStmt;

	/* These may roll back, and the plan with the statement is gone then. */
	bool		may_vanish = IsA(command, CallStmt) || IsA(command, DoStmt);

	before_command(command);
	if (previous_hook)
		previous_hook(pstmt, query_string, read_only_tree, context, params, query_env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params, query_env, dest, qc);
	if (!may_vanish)
		after_command(command);
}

void
kpi_worker_utility_init(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
}
