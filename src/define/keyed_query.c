/*-------------------------------------------------------------------------
 *
 * keyed_query.c
 *	  Queries of keyed sources as they are defined: what they must return, and what
 *	  follow queries make of a changed row.
 *
 * Only what is asked for once, when somebody defines: what must hold before each
 * reading, too, is in fact/keyed_check.c.  All runs as the source's definer, whom
 * the caller has made the current user.
 *
 * Locks: ACCESS SHARE on what the queries read, as analysing them takes.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/sysattr.h"
#include "base/base.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

/* ---- follow queries ---- */

/* Columns, of the changed row, are short for a query of them. */
static void
expand_columns(KpiFollow *follow, Oid relid)
{
	List	   *names;
	StringInfoData sql;
	ListCell   *lc;

	if (!SplitIdentifierString(pstrdup(follow->query), ',', &names) || names == NIL)
		return;
	initStringInfo(&sql);
	foreach(lc, names)
		appendStringInfo(&sql, "%schanged.%s", sql.len > 0 ? ", " : "SELECT ", quote_identifier(lfirst(lc)));
	follow->query = sql.data;
}

static List *
all_columns(Oid relid)
{
	return kpi_all_texts("SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0"
						 " AND NOT a.attisdropped ORDER BY a.attnum", 1, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));
}

typedef struct ChangedWalk
{
	int			levels;
	Bitmapset  *columns;		/* numbers of those of "changed" */
	bool		whole;
} ChangedWalk;

/* "changed" is the first relation of the outermost query. */
static bool
changed_walker(Node *node, ChangedWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		bool		stop;

		walk->levels++;
		stop = query_tree_walker((Query *) node, changed_walker, walk, 0);
		walk->levels--;
		return stop;
	}
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varlevelsup != walk->levels || var->varno != 1)
			return false;
		if (var->varattno == 0)
			walk->whole = true;
		else
			walk->columns = bms_add_member(walk->columns, var->varattno);
		return false;
	}
	return expression_tree_walker(node, changed_walker, walk);
}

static void
find_changed_columns(KpiFollow *follow, Query *query, List *names, const char *source)
{
	ChangedWalk walk = {0};
	int			n = -1;
	RangeTblEntry *rte = llast_node(RangeTblEntry, query->rtable);
	ListCell   *lc;

	/* The follow query itself: the outer one shows all columns of it. */
	foreach(lc, query->rtable)
	{
		rte = lfirst_node(RangeTblEntry, lc);
		if (rte->rtekind == RTE_SUBQUERY && rte->lateral)
			(void) changed_walker((Node *) rte->subquery, &walk);
	}
	if (walk.whole)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("follow of table %s of source \"%s\" uses the changed row as a whole", follow->relation, source),
				 errhint("Name the columns that it needs, like changed.deal_id.")));
	while ((n = bms_next_member(walk.columns, n)) >= 0)
		follow->columns = lappend(follow->columns, list_nth(names, n - 1));
	if (follow->columns == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("follow of table %s of source \"%s\" names no column of \"changed\"", follow->relation, source),
				 errdetail("It would say the same of every change."),
				 errhint("Say which entities a changed row touches, like SELECT lead_id FROM crm.lead WHERE deal_id = changed.deal_id.")));
}

/* The columns of a follow query are those of the entity. */
static void
check_entity_types(const KpiFollow *follow, const Query *query, List *types, const char *source)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		Oid			type = exprType((Node *) entry->expr);
		Oid			wanted;

		if (entry->resjunk)
			continue;
		wanted = n < list_length(types) ? list_nth_oid(types, n) : InvalidOid;
		n++;
		if (OidIsValid(wanted) && !can_coerce_type(1, &type, &wanted, COERCION_IMPLICIT))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("follow of table %s of source \"%s\" returns %s where the entity is of type %s",
							follow->relation, source, format_type_be(type), format_type_be(wanted)),
					 errhint("Cast what it returns, or return the entity.")));
	}
	if (n != list_length(types))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("follow of table %s of source \"%s\" returns %d columns where the entity has %d",
						follow->relation, source, n, list_length(types)),
				 errhint("Return the columns of the entity, in their order.")));
}

static void
refuse_view(Oid relid, const char *name)
{
	Query	   *query = kpi_expr_query_analyse(psprintf("SELECT FROM %s", name), psprintf("view %s", name),
											   NULL, 0, NULL, NULL);
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, kpi_expr_query_relations(query))
	{
		KpiQueryRelation *relation = lfirst(lc);

		if (relation->relkind != RELKIND_VIEW)
			tables = lappend(tables, kpi_fact_table_name(relation->relid));
	}
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("view %s cannot be followed", name),
			 errhint("Follow the tables that it reads: %s.", tables ? kpi_list_join(tables) : "there are none")));
}

static void
check_follow(KpiKeyed *keyed, const KpiSource *source, KpiFollow *follow, List *types)
{
	Oid			relid = kpi_model_relid_by_name(follow->relation);
	List	   *names;
	Query	   *query;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s, which source \"%s\" follows, does not exist", follow->relation, source->name),
				 errhint("Create it again, or give follow and static anew.")));
	if (get_rel_relkind(relid) == RELKIND_VIEW)
		refuse_view(relid, follow->relation);
	if (follow->query == NULL)
		return;
	expand_columns(follow, relid);
	names = all_columns(relid);
	query = kpi_fact_follow_analyse(source, follow->relation, follow->query, relid, names);
	find_changed_columns(follow, query, names, source->name);
	check_entity_types(follow, query, types, source->name);
}

/* ---- the query ---- */

static List *
column_types(const Query *query, List *names, const char *what, const char *source)
{
	List	   *types = NIL;
	ListCell   *lc;

	foreach(lc, names)
	{
		Oid			type = InvalidOid;
		ListCell   *entry;

		foreach(entry, query->targetList)
		{
			TargetEntry *column = lfirst_node(TargetEntry, entry);

			if (!column->resjunk && strcmp(column->resname, lfirst(lc)) == 0)
				type = getBaseType(exprType((Node *) column->expr));
		}
		if (!OidIsValid(type))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\", %s of source \"%s\", is not a column of its query", (char *) lfirst(lc),
							what, source),
					 errhint("Add it to the SELECT list, or name another.")));
		if (!OidIsValid(lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\", %s of source \"%s\", is of type %s, which has no order", (char *) lfirst(lc),
							what, source, format_type_be(type)),
					 errhint("Cast it in the query to a type that an index can have, like text.")));
		types = lappend_oid(types, type);
	}
	return types;
}

static void
check_output(const Query *query, const char *source)
{
	ListCell   *lc;
	ListCell   *other;

	foreach(lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (entry->resjunk)
			continue;
		if (strcmp(entry->resname, "?column?") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column %d of the query of source \"%s\" has no name", entry->resno, source),
					 errhint("Name it with AS.")));
		foreach(other, query->targetList)
		{
			TargetEntry *twin = lfirst_node(TargetEntry, other);

			if (twin != entry && !twin->resjunk && strcmp(twin->resname, entry->resname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("the query of source \"%s\" has two columns \"%s\"", source, entry->resname),
						 errhint("Give one of them another name with AS.")));
		}
	}
}

List *
kpi_define_keyed_columns(const Query *query)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (!entry->resjunk)
			names = lappend(names, pstrdup(entry->resname));
	}
	return names;
}

/* The columns whose change can matter, of each table that is followed. */
static void
find_used_columns(KpiKeyed *keyed, const KpiKeyedReads *reads)
{
	ListCell   *lc;

	foreach(lc, keyed->follows)
	{
		KpiFollow  *follow = lfirst(lc);
		Oid			relid = kpi_model_relid_by_name(follow->relation);
		ListCell   *cell;

		follow->used = list_copy(follow->columns);
		foreach(cell, reads->relations)
		{
			KpiQueryRelation *relation = lfirst(cell);
			int			n = -1;

			if (relation->relid != relid)
				continue;
			while ((n = bms_next_member(relation->columns, n)) >= 0)
			{
				AttrNumber	attnum = n + FirstLowInvalidHeapAttributeNumber;

				if (attnum <= 0)
					follow->uses_all = true;
				else
					follow->used = lappend(follow->used, get_attname(relid, attnum, false));
			}
		}
	}
}

/* ---- the whole ---- */

/* Rows that a source keeps must not come from themselves. */
static void
check_cycle(const KpiSource *source, const KpiKeyed *keyed)
{
	List	   *relations = NIL;
	char	   *through;
	ListCell   *lc;

	foreach(lc, keyed->follows)
		relations = lappend(relations, ((KpiFollow *) lfirst(lc))->relation);
	through = kpi_first_text("WITH RECURSIVE reached AS ("
							 " SELECT s.id, s.name, s.name AS through FROM kpi.source s"
							 "  JOIN kpi.keyed_source k ON k.source_id = s.id WHERE s.relation = ANY ($1)"
							 " UNION SELECT s.id, s.name, r.through FROM reached r"
							 "  JOIN kpi.followed_relation f ON f.source_id = r.id"
							 "  JOIN kpi.source s ON s.relation = f.relation JOIN kpi.keyed_source k ON k.source_id = s.id)"
							 " SELECT through FROM reached WHERE name = $2 ORDER BY 1 LIMIT 1",
							 2, KPI_TEXTS(relations), KPI_TEXT(source->name));
	if (through != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("source \"%s\" would read its own rows through source \"%s\"", source->name, through),
				 errhint("Read the tables that they are made from.")));
}

/*
 * Of a source that nobody follows, too, it is known which kept rows it reads: they
 * are refreshed before, and do not go.
 */
static void
add_kept_reads(KpiKeyed *keyed, const KpiKeyedReads *reads)
{
	ListCell   *lc;

	if (keyed->is_followed)
		return;
	foreach(lc, reads->relations)
	{
		char	   *relation = kpi_fact_table_name(((KpiQueryRelation *) lfirst(lc))->relid);
		bool		found = false;
		KpiFollow  *follow;
		ListCell   *other;

		foreach(other, keyed->follows)
			found |= strcmp(((KpiFollow *) lfirst(other))->relation, relation) == 0;
		if (found || !kpi_define_kept_is_name(relation))
			continue;
		follow = palloc0(sizeof(KpiFollow));
		follow->relation = relation;
		keyed->follows = lappend(keyed->follows, follow);
		follow->position = list_length(keyed->follows);
	}
}

Query *
kpi_define_keyed_check(KpiSource *source, KpiKeyed *keyed, const char *text, KpiKeyedReads **reads)
{
	Query	   *query = kpi_expr_query_analyse(text, psprintf("query of source \"%s\"", source->name), NULL, 0, NULL,
											   NULL);
	List	   *types;
	ListCell   *lc;

	check_output(query, source->name);
	(void) column_types(query, keyed->key, "key", source->name);
	if (keyed->changed_at != NULL)
		(void) column_types(query, list_make1(keyed->changed_at), "changed_at", source->name);
	types = column_types(query, keyed->entity, "entity", source->name);
	keyed->columns = kpi_define_keyed_columns(query);
	kpi_expr_query_check(query, text, psprintf("query of source \"%s\"", source->name), keyed->is_followed);
	keyed->query = kpi_expr_query_text(query);
	foreach(lc, keyed->follows)
		check_follow(keyed, source, lfirst(lc), types);
	*reads = kpi_fact_keyed_examine(source, keyed, InvalidOid);
	add_kept_reads(keyed, *reads);
	find_used_columns(keyed, *reads);
	check_cycle(source, keyed);
	return query;
}
