/*-------------------------------------------------------------------------
 *
 * code.c
 *	  What of other roles a remembered query reaches.
 *
 * Whoever reads a table runs code of its owner (fact/definer.c), and so does
 * whoever calls a function.  The worker does that unattended with the rights
 * of the definer.  So a definer that has more rights than those on tables reaches
 * only what belongs to itself and to superusers; any other reaches of others
 * only what was there when it had the queries remembered: nobody puts a view,
 * a policy or a function of his own in their way later.
 *
 * It is asked after the query was rewritten, which runs no code, and before it is
 * planned, which does.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "base/base.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "sync/sync_internal.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* ---- what is met ---- */

static void
add(List **reached, const char *kind, const char *name, Oid owner)
{
	char	   *item;
	ListCell   *lc;

	if (owner == GetUserId() || superuser_arg(owner))
		return;
	item = psprintf("%s %s of role %s", kind, name, quote_identifier(GetUserNameFromId(owner, false)));
	foreach(lc, *reached)
	{
		if (strcmp(lfirst(lc), item) == 0)
			return;
	}
	*reached = lappend(*reached, item);
}

/* Of a table its partitions and children as well, which are read with it. */
static void
add_relation(List **reached, Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		add(reached, "table", kpi_fact_table_name(lfirst_oid(lc)), kpi_fact_table_owner(lfirst_oid(lc)));
}

static bool
add_function(Oid function, void *context)
{
	HeapTuple	tuple;

	if (function < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	add(context, "function", format_procedure_qualified(function),
		((Form_pg_proc) GETSTRUCT(tuple))->proowner);
	ReleaseSysCache(tuple);
	return false;
}

static void
add_type(List **reached, Oid type)
{
	HeapTuple	tuple;

	if (type < FirstNormalObjectId)
		return;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	add(reached, "type", format_type_be_qualified(type), ((Form_pg_type) GETSTRUCT(tuple))->typowner);
	ReleaseSysCache(tuple);
}

static bool
walker(Node *node, List **reached)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		Oid			relid = ((RangeTblEntry *) node)->relid;

		if (OidIsValid(relid))
			add_relation(reached, relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, walker, reached, QTW_EXAMINE_RTES_BEFORE);
	(void) check_functions_in_node(node, add_function, reached);
	if (IsA(node, CoerceToDomain))
		add_type(reached, ((CoerceToDomain *) node)->resulttype);
	return expression_tree_walker(node, walker, reached);
}

List *
kpi_sync_code_reached(List *queries, List *reached)
{
	ListCell   *lc;

	foreach(lc, queries)
		(void) walker(lfirst(lc), &reached);
	return reached;
}

/* ---- whether it may be ---- */

void
kpi_sync_code_check_role(List *code)
{
	const char *privilege = kpi_role_privilege(GetUserId());
	char	   *role = GetUserNameFromId(GetUserId(), false);

	if (privilege == NULL || code == NIL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" cannot be the definer of queries that the worker runs", role),
			 errdetail("Whoever reads a table runs code of its owner: they reach %s, and role \"%s\" is %s.",
					   kpi_list_join(code), role, privilege),
			 errhint("Run it as a role that has rights on these tables only, such as their owner, after kpi.grant_editor(): SET ROLE ...")));
}

void
kpi_sync_code_check_known(List *code, List *accepted)
{
	List	   *unknown = NIL;
	ListCell   *lc;

	foreach(lc, code)
	{
		bool		found = false;
		ListCell   *la;

		foreach(la, accepted)
			found |= strcmp(lfirst(lc), lfirst(la)) == 0;
		if (!found)
			unknown = lappend(unknown, lfirst(lc));
	}
	if (unknown == NIL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("remembered queries of people would run code of others with the rights of role \"%s\"",
					GetUserNameFromId(GetUserId(), false)),
			 errdetail("When they were remembered they did not reach %s.", kpi_list_join(unknown)),
			 errhint("If that is as it should be, run kpi.sync_people(..., remember => true) again as that role.")));
}
