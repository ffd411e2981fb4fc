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
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

/* A relation with its kind, for people. */
static char *
relation_words(Oid relid)
{
	const char *kind;

	switch (get_rel_relkind(relid))
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			kind = "table";
			break;
		case RELKIND_VIEW:
			kind = "view";
			break;
		case RELKIND_MATVIEW:
			kind = "materialized view";
			break;
		case RELKIND_FOREIGN_TABLE:
			kind = "foreign table";
			break;
		case RELKIND_SEQUENCE:
			kind = "sequence";
			break;
		default:
			kind = "relation";
	}
	return psprintf("%s %s", kind, kpi_fact_table_name(relid));
}

/* ---- rights ---- */

/* Error unless the definer may read a relation, and, of one that is followed, put a trigger on it. */
static void
check_rights(Oid relid, bool is_followed)
{
	Oid			definer = GetUserId();
	char	   *name = GetUserNameFromId(definer, false);
	char	   *grants = kpi_fact_definer_missing_rights(relid, definer, is_followed);
	Oid			untrusted;

	if (grants != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for %s", relation_words(relid)),
				 errdetail("Role \"%s\", the definer of the source, needs USAGE on its schema, and %s on it.", name,
						   is_followed ? "SELECT and TRIGGER" : "SELECT"),
				 errhint("Run: %s", grants)));
	if (check_enable_rls(relid, definer, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security of %s applies to role \"%s\"", relation_words(relid), name),
				 errdetail("Rollups would count rows that the role may not see."),
				 errhint("Make the table's owner the definer, who is exempt unless row security is forced.")));
	untrusted = kpi_fact_definer_untrusted(relid, definer);
	if (OidIsValid(untrusted))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot be the definer of a source that reads %s", name,
						relation_words(relid)),
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

/* What cannot carry a trigger, or loses rows without one, cannot be followed. */
static void
check_kind(Oid relid, bool is_followed)
{
	char		relkind = get_rel_relkind(relid);
	KpiTableProblem problem;

	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" is temporary", get_rel_name(relid)),
				 errhint("A source reads what others can read, too: use a table that stays.")));
	if (!is_followed)
		return;
	if (relkind == RELKIND_FOREIGN_TABLE || relkind == RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot carry a trigger", relation_words(relid)),
				 errhint("Leave \"follow\" out: the query is run again by kpi.set_refresh() and CALL kpi.refresh().")));
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s cannot be followed", relation_words(relid)),
				 errhint("Follow tables.")));
	if (IsCatalogRelationOid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot carry a trigger", relation_words(relid)),
				 errdetail("It belongs to the server.")));
	if (kpi_fact_table_problem(relid, true, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be followed", relation_words(relid)),
				 errdetail("As for a source over it: %s.", problem.message),
				 errhint("%s", problem.mend)));
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
	check_kind(relation->relid, is_followed);
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

/* Where in a user's text an error is that was found in ours around it. */
typedef struct Within
{
	ErrorContextCallback callback;
	const char *text;
	int			offset;			/* in characters */
} Within;

static void
within_callback(void *arg)
{
	const Within *within = arg;
	int			position = getinternalerrposition();

	if (position <= within->offset)
		return;
	internalerrposition(position - within->offset);
	internalerrquery(within->text);
}

Query *
kpi_fact_follow_analyse(const KpiSource *source, const char *relation, const char *text, Oid relid, List *columns)
{
	char	   *what = psprintf("follow of table %s of source \"%s\"", relation, source->name);
	char	   *sql = kpi_model_follow_text(text, relid, columns);
	Within		within = {.text = text};
	Query	   *query;

	/* By itself it is one query, so it is one within ours. */
	kpi_expr_query_require(text, what);
	within.offset = pg_mbstrlen_with_len(sql, strstr(sql, text) - sql);
	within.callback.callback = within_callback;
	within.callback.arg = &within;
	within.callback.previous = error_context_stack;
	error_context_stack = &within.callback;
	query = kpi_expr_query_analyse(sql, what, NULL, 0, NULL, source->code);
	kpi_expr_query_check(query, sql, what, true);
	error_context_stack = within.callback.previous;
	return query;
}

/*
 * What is followed must be there, and may be followed, whether or not the query reads it: its
 * triggers are ours.
 */
static void
check_follow(const KpiSource *source, const KpiFollow *follow)
{
	Oid			relid = kpi_model_relid_by_name(follow->relation);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s, which source \"%s\" reads, does not exist", follow->relation, source->name),
				 errhint("Create it again or give it its name back, or give the query anew with kpi.alter_source(%s, query => ..., follow => ...).",
						 quote_literal_cstr(source->name))));
	check_not_ours(relid);
	check_kind(relid, follow->query != NULL);
	check_rights(relid, follow->query != NULL);
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
			getBaseType(exprType((Node *) entry->expr)) != column->type)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the query of source \"%s\" does not fit table %s", entry->resname,
							source->name, source->relation),
					 errhint("Call kpi.resume(%s), which changes the table.", quote_literal_cstr(source->name))));
	}
}

KpiKeyedReads *
kpi_fact_keyed_examine(const KpiSource *source, const KpiKeyed *keyed, Oid kept_relid)
{
	KpiKeyedReads *reads = palloc0(sizeof(KpiKeyedReads));
	char	   *what = psprintf("query of source \"%s\"", source->name);
	StringInfoData fingerprint;
	Query	   *query;
	ListCell   *lc;

	foreach(lc, keyed->follows)
		check_follow(source, lfirst(lc));
	query = kpi_expr_query_analyse(keyed->query, what, NULL, 0, NULL, source->code);
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
		Oid			relid = kpi_model_relid_by_name(follow->relation);

		if (follow->query == NULL || !OidIsValid(relid))
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
