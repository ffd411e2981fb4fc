/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Queries that users write: parsed, checked, what they read.
 *
 * A query runs as its source's definer, as expressions do, and the same is
 * checked before anything of it runs: what its literals' types run, whose code
 * its functions are.  What it reads is found in the analysed tree, with the
 * queries of views in place of the views: nothing is rewritten or planned here,
 * which would run code of who owns the tables.
 *
 * Whether an answer follows from the rows alone cannot be proved.  What is
 * refused is what is known not to: volatile functions, the clock, the session,
 * functions of users that may read tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/transam.h"
#include "base/base.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "expr/expr_internal.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

/* ---- parsing ---- */

static void
refuse(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s", message),
			 errhint("%s", hint)));
}

/* One SELECT that writes and locks nothing. */
static RawStmt *
parse(const char *text)
{
	List	   *statements = raw_parser(text, RAW_PARSE_DEFAULT);
	RawStmt    *statement;

	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("not one query"),
				 errhint(KPI_QUERY_HINT)));
	statement = linitial_node(RawStmt, statements);
	if (!IsA(statement->stmt, SelectStmt) || ((SelectStmt *) statement->stmt)->intoClause != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("not a SELECT"),
				 errhint(KPI_QUERY_HINT)));
	return statement;
}

static bool
select_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->commandType != CMD_SELECT || query->utilityStmt != NULL)
			refuse("the query of a source must only read", KPI_QUERY_HINT);
		if (query->rowMarks != NIL)
			refuse("the query of a source must lock no rows", "Leave out FOR UPDATE and its kin.");
		return query_tree_walker(query, select_walker, context, 0);
	}
	return expression_tree_walker(node, select_walker, context);
}

void
kpi_expr_query_require(const char *text, const char *what)
{
	KpiExprSite site;

	kpi_expr_site_push(&site, text, what, InvalidOid);
	site.is_query = true;
	(void) parse(text);
	kpi_expr_site_pop(&site);
}

void
kpi_expr_schema_require(const char *schema)
{
	Oid			namespace = get_namespace_oid(schema, true);
	char	   *role = GetUserNameFromId(GetUserId(), false);

	if (OidIsValid(namespace) && kpi_namespace_aclcheck(namespace, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for schema %s", schema),
				 errdetail("Role \"%s\", the definer of the source, reads a relation in it.", role),
				 errhint("Run: GRANT USAGE ON SCHEMA %s TO %s;", quote_identifier(schema), quote_identifier(role))));
}

/* Before names are looked up, which says less. */
static bool
schema_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeVar) && ((RangeVar *) node)->schemaname != NULL)
		kpi_expr_schema_require(((RangeVar *) node)->schemaname);
	return raw_expression_tree_walker(node, schema_walker, context);
}

char *
kpi_expr_query_text(Query *query)
{
	int			nest_level = NewGUCNestLevel();
	char	   *text;

	kpi_settings_pin(KPI_SETTINGS_ALL);
	text = pg_get_querydef(copyObject(query), false);
	AtEOXact_GUC(true, nest_level);
	return text;
}

/* ---- what is read ---- */

typedef struct ReadWalk
{
	List	   *relations;		/* KpiQueryRelation */
	List	   *views;			/* looked into already */
} ReadWalk;

static bool read_walker(Node *node, ReadWalk *walk);

static void
note_relation(ReadWalk *walk, const RangeTblEntry *rte, Bitmapset *columns)
{
	KpiQueryRelation *relation;
	ListCell   *lc;

	foreach(lc, walk->relations)
	{
		relation = lfirst(lc);
		if (relation->relid == rte->relid)
		{
			relation->columns = bms_add_members(relation->columns, columns);
			return;
		}
	}
	relation = palloc0(sizeof(KpiQueryRelation));
	relation->relid = rte->relid;
	relation->relkind = rte->relkind;
	relation->columns = bms_copy(columns);
	walk->relations = lappend(walk->relations, relation);
}

static void
walk_view(ReadWalk *walk, Oid relid)
{
	Relation	view;

	if (list_member_oid(walk->views, relid))
		return;
	walk->views = lappend_oid(walk->views, relid);
	check_stack_depth();
	view = table_open(relid, AccessShareLock);
	(void) read_walker((Node *) get_view_query(view), walk);
	table_close(view, NoLock);
}

/* Of a view's query the entries for OLD and NEW are relations that nobody reads. */
static void
walk_relations(ReadWalk *walk, Query *query)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind != RTE_RELATION || !rte->inFromCl)
			continue;
		note_relation(walk, rte, kpi_compat_selected_columns(query, rte));
		if (rte->relkind == RELKIND_VIEW)
			walk_view(walk, rte->relid);
	}
}

static bool
read_walker(Node *node, ReadWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		walk_relations(walk, (Query *) node);
		return query_tree_walker((Query *) node, read_walker, walk, 0);
	}
	return expression_tree_walker(node, read_walker, walk);
}

List *
kpi_expr_query_relations(Query *query)
{
	ReadWalk	walk = {0};

	(void) read_walker((Node *) query, &walk);
	return walk.relations;
}

/* What a view does runs with the rights of who reads it, but for tables. */
static void
check_views(Query *query, KpiCode *code)
{
	ListCell   *lc;

	foreach(lc, kpi_expr_query_relations(query))
	{
		KpiQueryRelation *relation = lfirst(lc);
		Relation	view;

		if (relation->relkind != RELKIND_VIEW)
			continue;
		view = table_open(relation->relid, AccessShareLock);
		kpi_expr_code_check(code, (Node *) get_view_query(view));
		table_close(view, NoLock);
	}
}

Query *
kpi_expr_query_analyse(const char *text, const char *what, const Oid *types, int ntypes,
					   QueryEnvironment *environment, KpiCode *code)
{
	KpiExprSite site;
	RawStmt    *statement;
	Query	   *query;

	kpi_expr_site_push(&site, text, what, InvalidOid);
	site.is_query = true;
	statement = parse(text);
	(void) schema_walker(statement->stmt, NULL);
	kpi_expr_check_names(make_parsestate(NULL), statement->stmt, code);
	query = parse_analyze_fixedparams(statement, text, types, ntypes, environment);
	kpi_expr_code_check(code, (Node *) query);
	check_views(query, code);
	kpi_expr_site_pop(&site);
	return query;
}

/* Its meaning: the text, what that reaches, and the types of the columns that it reads. */
static void
append_fingerprint(StringInfo text, Query *query)
{
	char	   *sql = kpi_expr_query_text(query);

	appendStringInfo(text, "%016llx %016llx ", (unsigned long long) kpi_expr_fingerprint_query(query),
					 (unsigned long long) hash_bytes_extended((unsigned char *) sql, strlen(sql), 0));
	pfree(sql);
}

static void
append_types(StringInfo text, const KpiQueryRelation *relation)
{
	StringInfoData types;
	int			n = -1;

	initStringInfo(&types);
	while ((n = bms_next_member(relation->columns, n)) >= 0)
	{
		AttrNumber	attnum = n + FirstLowInvalidHeapAttributeNumber;
		Oid			type;
		int32		typmod;
		Oid			collation;

		if (attnum <= 0)
			continue;
		get_atttypetypmodcoll(relation->relid, attnum, &type, &typmod, &collation);
		/* by name, as pg_upgrade gives collations other OIDs */
		appendStringInfo(&types, "%d %u %d %s ", attnum, type, typmod,
						 DatumGetCString(DirectFunctionCall1(regcollationout, ObjectIdGetDatum(collation))));
	}
	appendStringInfo(text, "%08x ", hash_bytes((unsigned char *) types.data, types.len));
}

char *
kpi_expr_query_fingerprint(Query *query)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	append_fingerprint(&text, query);
	foreach(lc, kpi_expr_query_relations(query))
	{
		KpiQueryRelation *relation = lfirst(lc);
		Relation	view;

		append_types(&text, relation);
		if (relation->relkind != RELKIND_VIEW)
			continue;
		view = table_open(relation->relid, AccessShareLock);
		append_fingerprint(&text, get_view_query(view));
		table_close(view, NoLock);
	}
	return text.data;
}

/* ---- what does not follow from the rows ---- */

/*
 * Functions of the server that are stable as they look at the clock, the session or
 * the catalogs.  Others are stable for the sake of settings, which are pinned.
 */
static bool
looks_elsewhere(Oid funcid)
{
	static const char *const prefixes[] = {
		"pg_", "has_", "current_", "session_", "txid_", "inet_", "to_reg", "row_security_",
		"query_to_xml", "table_to_xml", "cursor_to_xml", "schema_to_xml", "database_to_xml"
	};
	static const char *const names[] = {
		"now", "transaction_timestamp", "statement_timestamp", "getdatabaseencoding", "version",
		"obj_description", "col_description", "shobj_description", "format_type"
	};
	const char *name = get_func_name(funcid);

	for (int i = 0; i < lengthof(prefixes); i++)
	{
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return strcmp(name, "age") == 0 && get_func_nargs(funcid) == 1;
}

typedef struct ConstantCheck
{
	bool		is_followed;
	List	   *views;
} ConstantCheck;

static bool
constant_checker(Oid funcid, void *context)
{
	const ConstantCheck *check = context;
	char		provolatile = func_volatile(funcid);

	if (provolatile == PROVOLATILE_IMMUTABLE)
		return false;
	if (provolatile == PROVOLATILE_VOLATILE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("function %s is volatile", format_procedure(funcid)),
				 errhint("The same rows must give the same answer: leave it out, or keep its result in a column.")));
	if (!check->is_followed)
		return false;
	if (funcid >= FirstNormalObjectId)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("function %s is not immutable", format_procedure(funcid)),
				 errdetail("It may read tables whose changes nobody follows."),
				 errhint("Put what it reads into the query, mark it IMMUTABLE if it reads nothing, or leave out \"follow\" and have the source read again by kpi.set_refresh().")));
	if (looks_elsewhere(funcid))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("function %s depends on the clock or the session", format_procedure(funcid)),
				 errhint("What a row means must not change by itself: compare with a column or a constant.")));
	return false;
}

static bool
constant_walker(Node *node, ConstantCheck *check)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		ListCell   *lc;

		foreach(lc, ((Query *) node)->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
			Relation	view;

			if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_VIEW ||
				list_member_oid(check->views, rte->relid))
				continue;
			check->views = lappend_oid(check->views, rte->relid);
			view = table_open(rte->relid, AccessShareLock);
			(void) constant_walker((Node *) get_view_query(view), check);
			table_close(view, NoLock);
		}
		return query_tree_walker((Query *) node, constant_walker, check, 0);
	}
	if (IsA(node, NextValueExpr) || (check->is_followed && IsA(node, SQLValueFunction)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the current time, date or user is not immutable"),
				 errhint("What a row means must not change by itself: compare with a column or a constant.")));
	(void) check_functions_in_node(node, constant_checker, check);
	return expression_tree_walker(node, constant_walker, check);
}

/* A part of a query whose rows depend on how many there are before them. */
static bool
is_cut(const Query *query)
{
	return query->limitCount != NULL || query->limitOffset != NULL;
}

/* Subqueries that are cut must look at the rows around them. */
static bool
cut_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		if (is_cut((Query *) node) && !contain_vars_of_level(node, 1))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("LIMIT or OFFSET of the query does not keep to one entity"),
					 errdetail("Which rows are left depends on the rows of other entities."),
					 errhint("Use it in a LATERAL subquery that names the entity, or count with row_number() OVER (PARTITION BY ...).")));
		return query_tree_walker((Query *) node, cut_walker, context, 0);
	}
	return expression_tree_walker(node, cut_walker, context);
}

void
kpi_expr_query_check(Query *query, const char *text, const char *what, bool is_followed)
{
	KpiExprSite site;
	ConstantCheck check = {.is_followed = is_followed};

	kpi_expr_site_push(&site, text, what, InvalidOid);
	site.is_query = true;
	(void) select_walker((Node *) query, NULL);
	(void) constant_walker((Node *) query, &check);
	if (is_followed)
		(void) cut_walker((Node *) query, NULL);
	kpi_expr_site_pop(&site);
}
