/*-------------------------------------------------------------------------
 *
 * keyed_check.c
 *	  What a keyed source reads, and whether that fits: its query, its follow
 *	  queries, the relations of both.
 *
 * The same check when a source is defined and before each reading.  It runs as the
 * definer, analyses every text once, and neither rewrites nor plans.  Its result is
 * the relations that may be read: whoever reads locks them first and checks again.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "base/base.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

/* ---- rights ---- */

/* Error unless the definer may read a relation, and, of one that is followed, put a trigger on it. */
static void
check_rights(Oid relid, bool is_followed)
{
	Oid			definer = GetUserId();
	char	   *name = GetUserNameFromId(definer, false);
	const char *what = is_followed ? "SELECT, TRIGGER" : "SELECT";
	AclMode		missing = pg_class_aclcheck(relid, definer, ACL_SELECT) == ACLCHECK_OK ? 0 : ACL_SELECT;
	Oid			untrusted;

	if (is_followed && pg_class_aclcheck(relid, definer, ACL_TRIGGER) != ACLCHECK_OK)
		missing |= ACL_TRIGGER;
	if (kpi_class_ownercheck(relid, definer))
		missing = 0;
	if (missing != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for relation %s", kpi_fact_table_name(relid)),
				 errdetail("Role \"%s\", the definer of the source, needs %s on it.", name, what),
				 errhint("Run: GRANT %s ON %s TO %s;", what, kpi_fact_table_name(relid), quote_identifier(name))));
	if (check_enable_rls(relid, definer, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security of relation %s applies to role \"%s\"", kpi_fact_table_name(relid), name),
				 errdetail("Rollups would count rows that the role may not see."),
				 errhint("Make the table's owner the definer, who is exempt unless row security is forced.")));
	untrusted = kpi_fact_definer_untrusted(relid, definer);
	if (OidIsValid(untrusted))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot be the definer of a source that reads relation %s", name,
						kpi_fact_table_name(relid)),
				 errdetail("%s", kpi_fact_definer_untrusted_detail(untrusted, definer)),
				 errhint("Name a definer that has rights on these tables only: definer => 'role'.")));
}

/* ---- relations ---- */

static const KpiFollow *
find_follow(const KpiKeyed *keyed, Oid relid)
{
	ListCell   *lc;

	foreach(lc, keyed->follows)
	{
		const KpiFollow *follow = lfirst(lc);

		if (kpi_model_relid_by_name(follow->relation) == relid)
			return follow;
	}
	return NULL;
}

/* What cannot carry a trigger cannot be followed. */
static void
check_kind(Oid relid, char relkind, bool is_followed)
{
	const char *kind = NULL;

	if (relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE || relkind == RELKIND_VIEW)
	{
		KpiTableProblem problem;

		if (is_followed && relkind == RELKIND_RELATION && kpi_fact_table_problem(relid, true, &problem))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table %s cannot be followed: %s", kpi_fact_table_name(relid), problem.message),
					 errhint("%s", problem.mend)));
		return;
	}
	if (relkind == RELKIND_FOREIGN_TABLE)
		kind = "foreign table";
	else if (relkind == RELKIND_MATVIEW)
		kind = "materialized view";
	else
		kind = "relation";
	if (is_followed)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s %s cannot carry a trigger", kind, kpi_fact_table_name(relid)),
				 errhint("Leave \"follow\" out: the query is run again by kpi.set_refresh() and CALL kpi.refresh().")));
}

static void
check_not_ours(Oid relid)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));

	if (strcmp(schema, "kpi") == 0 || strcmp(schema, "kpi_internal") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table %s of pg_kpi itself cannot be read by a source", kpi_fact_table_name(relid))));
}

static void
refuse_unfollowed(const KpiSource *source, Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("the query of source \"%s\" reads table %s, which is neither followed nor static", source->name,
					kpi_fact_table_name(relid)),
			 errdetail("Its changes would go unnoticed."),
			 errhint("Add to follow which entities a change of it touches, like \"%s\": \"SELECT ... WHERE ... = changed.id\"; or, if it never changes, to static.",
					 kpi_fact_table_name(relid))));
}

/* Adds relations to a list of those found so far. */
static void
merge_relations(List **all, List *more)
{
	ListCell   *lc;

	foreach(lc, more)
	{
		KpiQueryRelation *relation = lfirst(lc);
		KpiQueryRelation *known = NULL;
		ListCell   *other;

		foreach(other, *all)
		{
			if (((KpiQueryRelation *) lfirst(other))->relid == relation->relid)
				known = lfirst(other);
		}
		if (known != NULL)
			known->columns = bms_add_members(known->columns, relation->columns);
		else
			*all = lappend(*all, relation);
	}
}

static void
check_relation(const KpiSource *source, const KpiKeyed *keyed, const KpiQueryRelation *relation)
{
	const KpiFollow *follow = find_follow(keyed, relation->relid);
	bool		is_followed = follow != NULL && follow->query != NULL;

	check_not_ours(relation->relid);
	check_kind(relation->relid, relation->relkind, is_followed);
	if (strcmp(kpi_fact_table_name(relation->relid), source->relation) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("source \"%s\" reads its own kept rows", source->name),
				 errhint("Read the tables that they are made from.")));
	if (keyed->is_followed && follow == NULL && relation->relkind != RELKIND_VIEW)
		refuse_unfollowed(source, relation->relid);
	check_rights(relation->relid, is_followed);
}

/* ---- queries ---- */

Query *
kpi_fact_follow_analyse(const KpiSource *source, const char *relation, const char *text, Oid relid, List *columns)
{
	char	   *what = psprintf("follow of table %s of source \"%s\"", relation, source->name);
	char	   *sql = kpi_model_follow_text(text, relid, columns);
	Query	   *query = kpi_expr_query_analyse(sql, what, NULL, 0, NULL, source->code);

	kpi_expr_query_check(query, sql, what, true);
	return query;
}

static Oid
followed_relid(const KpiSource *source, const KpiFollow *follow)
{
	Oid			relid = kpi_model_relid_by_name(follow->relation);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s, which source \"%s\" follows, does not exist", follow->relation, source->name),
				 errhint("Create it again, or change follow with kpi.alter_source(); then call kpi.resume().")));
	return relid;
}

/* The columns of the query are those of the kept table, by name and type. */
static void
check_columns(const KpiSource *source, const KpiKept *kept, const Query *query)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		KpiKeptColumn *column = &kept->columns[n++];

		if (entry->resjunk)
			break;
		if (n > kept->ncolumns || strcmp(entry->resname, column->name) != 0 ||
			exprType((Node *) entry->expr) != column->type)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the query of source \"%s\" does not fit table %s", entry->resname,
							source->name, source->relation),
					 errhint("Give the query again with kpi.alter_source(..., query => ...), which changes the table.")));
	}
}

KpiKeyedReads *
kpi_fact_keyed_examine(const KpiSource *source, const KpiKeyed *keyed, Oid kept_relid)
{
	KpiKeyedReads *reads = palloc0(sizeof(KpiKeyedReads));
	char	   *what = psprintf("query of source \"%s\"", source->name);
	StringInfoData fingerprint;
	Query	   *query = kpi_expr_query_analyse(keyed->query, what, NULL, 0, NULL, source->code);
	ListCell   *lc;

	initStringInfo(&fingerprint);
	kpi_expr_query_check(query, keyed->query, what, keyed->is_followed);
	appendStringInfo(&fingerprint, "%d %s", keyed->version, kpi_expr_query_fingerprint(query));
	if (OidIsValid(kept_relid))
		check_columns(source, kpi_fact_kept_open(source, keyed, kept_relid), query);
	reads->queries = list_make1(query);
	merge_relations(&reads->relations, kpi_expr_query_relations(query));
	foreach(lc, keyed->follows)
	{
		const KpiFollow *follow = lfirst(lc);
		Oid			relid = followed_relid(source, follow);

		if (follow->query == NULL)
			continue;
		reads->followed = list_append_unique_oid(reads->followed, relid);
		query = kpi_fact_follow_analyse(source, follow->relation, follow->query, relid, follow->columns);
		appendStringInfo(&fingerprint, "%s", kpi_expr_query_fingerprint(query));
		reads->queries = lappend(reads->queries, query);
		merge_relations(&reads->relations, kpi_expr_query_relations(query));
	}
	foreach(lc, reads->relations)
	{
		const KpiQueryRelation *relation = lfirst(lc);

		check_relation(source, keyed, relation);
		appendStringInfo(&fingerprint, " %u", relation->relid);
		reads->relids = list_concat_unique_oid(reads->relids, find_all_inheritors(relation->relid, NoLock, NULL));
	}
	foreach(lc, reads->followed)
		reads->relids = list_append_unique_oid(reads->relids, lfirst_oid(lc));
	reads->fingerprint = fingerprint.data;
	return reads;
}
