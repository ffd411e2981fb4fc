/*-------------------------------------------------------------------------
 *
 * keyed.c
 *	  Keyed sources as they are defined: the query, what it follows, the table of
 *	  its rows.
 *
 * All that a user writes is analysed as the source's definer.  The table of rows
 * is made as the extension's owner, belongs to the definer and is no member of the
 * extension.  It is a source's table as any other is: expressions, capture, locks
 * and rights are those of source.c.
 *
 * Locks: SHARE ROW EXCLUSIVE on the tables that are followed, at last.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/sysattr.h"
#include "base/base.h"
#include "capture/capture.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "define/define_internal.h"
#include "executor/spi.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

/* ---- arguments ---- */

/* "a, b" becomes a list of names; an error if it is none. */
static List *
parse_columns(const char *text, const char *what, const char *source)
{
	List	   *names;

	if (!SplitIdentifierString(pstrdup(text), ',', &names) || names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of source \"%s\" is no list of columns: %s", what, source, text),
				 errhint("Name columns of the query, like \"deal_id\" or \"deal_id, stage\".")));
	return names;
}

/* The table that a text names, as the current user finds it with its schema. */
static Oid
find_relation(const char *name, const char *source)
{
	List	   *names = textToQualifiedNameList(cstring_to_text(name));
	Oid			relid = RangeVarGetRelid(makeRangeVarFromNameList(names), AccessShareLock, true);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\", which source \"%s\" is to follow, does not exist", name, source),
				 errhint("Give the table with its schema, like crm.deals; names with capitals stand in double quotes.")));
	return relid;
}

static KpiFollow *
add_follow(KpiKeyed *keyed, const char *source, const char *name)
{
	KpiFollow  *follow = palloc0(sizeof(KpiFollow));
	ListCell   *lc;

	follow->relation = kpi_fact_table_name(find_relation(name, source));
	foreach(lc, keyed->follows)
	{
		if (strcmp(((KpiFollow *) lfirst(lc))->relation, follow->relation) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("table %s is named twice in follow and static of source \"%s\"", follow->relation, source),
					 errhint("A table in two roles has one query of its entities, with UNION.")));
	}
	keyed->follows = lappend(keyed->follows, follow);
	follow->position = list_length(keyed->follows);
	return follow;
}

static void
parse_follow(KpiKeyed *keyed, const char *source, Jsonb *json)
{
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	KpiFollow  *follow = NULL;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("follow of source \"%s\" is not a JSON object", source),
				 errhint("Write tables and what a change of them touches, like '{\"crm.lead\": \"lead_id\"}'.")));
	it = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			follow = add_follow(keyed, source, pnstrdup(value.val.string.val, value.val.string.len));
		else if (token == WJB_VALUE)
		{
			if (value.type != jbvString)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("follow of table %s of source \"%s\" is not a string", follow->relation, source),
						 errhint("Write columns that say which entity a changed row belongs to, or a query of entities over \"changed\".")));
			follow->query = pnstrdup(value.val.string.val, value.val.string.len);
		}
	}
}

static void
parse_static(KpiKeyed *keyed, const char *source, ArrayType *array)
{
	Datum	   *names;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			(void) add_follow(keyed, source, TextDatumGetCString(names[i]));
	}
}

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
check_follow(KpiKeyed *keyed, const KpiSource *source, KpiFollow *follow, List *types)
{
	Oid			relid = kpi_model_relid_by_name(follow->relation);
	List	   *names;
	Query	   *query;

	if (get_rel_relkind(relid) == RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("view %s cannot be followed", follow->relation),
				 errhint("Follow the tables that it reads.")));
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

static List *
output_names(const Query *query)
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

/*
 * Whose rights a query runs with that a user with more than rights on tables
 * gives: those of who owns what it reads.
 */
static Oid
choose_definer(const char *source, Query *query, Oid named)
{
	Oid			user = GetUserId();
	Oid			chosen = InvalidOid;
	ListCell   *lc;

	if (OidIsValid(named) || kpi_role_privilege(user) == NULL)
		return OidIsValid(named) ? named : user;
	foreach(lc, kpi_expr_query_relations(query))
	{
		Oid			owner = kpi_fact_table_owner(((KpiQueryRelation *) lfirst(lc))->relid);

		if (owner == user || superuser_arg(owner))
			continue;
		if (OidIsValid(chosen) && chosen != owner)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("source \"%s\" needs a definer", source),
					 errdetail("The tables that its query reads belong to several roles, and role \"%s\" is %s.",
							   GetUserNameFromId(user, false), kpi_role_privilege(user)),
					 errhint("Name a role that may read them: definer => 'role'.")));
		chosen = owner;
	}
	return OidIsValid(chosen) && kpi_can_set_role(user, chosen) ? chosen : user;
}

static Query *
analyse(const KpiSource *source, const char *text, Oid role)
{
	KpiUser		user;
	Query	   *query;

	kpi_user_switch(&user, role);
	query = kpi_expr_query_analyse(text, psprintf("query of source \"%s\"", source->name), NULL, 0, NULL, NULL);
	kpi_user_restore(&user);
	return query;
}

/* ---- the kept table ---- */

static char *
kept_table(const char *source)
{
	if (strlen(source) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name \"%s\" of a keyed source is too long", source),
				 errhint("Its rows are kept in a table of that name: use at most %d bytes.", NAMEDATALEN - 1)));
	return quote_qualified_identifier("kpi_data", source);
}

/* A statement that defines something, as the extension's owner. */
static void
execute(const char *sql)
{
	KpiSpi		spi;
	int			rc;

	kpi_spi_begin(&spi);
	rc = SPI_execute(sql, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI failed with %s: %s", SPI_result_code_string(rc), sql);
	kpi_spi_end(&spi);
}

static char *
column_definition(const TargetEntry *entry)
{
	Node	   *expr = (Node *) entry->expr;
	Oid			type = exprType(expr);
	Oid			collation = exprCollation(expr);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "%s %s", quote_identifier(entry->resname),
					 format_type_extended(type, exprTypmod(expr), FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(collation) && collation != get_typcollation(type))
		appendStringInfo(&sql, " COLLATE %s", generate_collation_name(collation));
	return sql.data;
}

static char *
name_list(List *names)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, names)
		appendStringInfo(&sql, "%s%s", sql.len > 0 ? ", " : "", quote_identifier(lfirst(lc)));
	return sql.data;
}

/* Whether the primary key finds the rows of an entity as well. */
static bool
key_begins_with_entity(const KpiKeyed *keyed)
{
	ListCell   *entity;
	ListCell   *key;

	if (list_length(keyed->entity) > list_length(keyed->key))
		return false;
	forboth(entity, keyed->entity, key, keyed->key)
	{
		if (strcmp(lfirst(entity), lfirst(key)) != 0)
			return false;
	}
	return true;
}

static void
create_kept_table(const char *table, const KpiKeyed *keyed, const Query *query, Oid definer)
{
	const char *role = quote_identifier(GetUserNameFromId(definer, false));
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", table);
	foreach(lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (!entry->resjunk)
			appendStringInfo(&sql, "%s, ", column_definition(entry));
	}
	appendStringInfo(&sql, "PRIMARY KEY (%s))", name_list(keyed->key));
	execute(sql.data);
	if (!key_begins_with_entity(keyed))
		execute(psprintf("CREATE INDEX ON %s (%s)", table, name_list(keyed->entity)));
	if (keyed->changed_at != NULL)
		execute(psprintf("CREATE INDEX ON %s (%s)", table, quote_identifier(keyed->changed_at)));
	execute(psprintf("GRANT USAGE ON SCHEMA kpi_data TO %s", role));
	execute(psprintf("ALTER TABLE %s OWNER TO %s", table, role));
	execute(psprintf("COMMENT ON TABLE %s IS 'Rows of a keyed source of pg_kpi, as its query says; written by refreshes only'",
					 table));
	CommandCounterIncrement();
}

static void
check_no_table(const char *table, const char *source)
{
	if (OidIsValid(kpi_model_relid_by_name(table)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("table %s exists already", table),
				 errdetail("The rows of source \"%s\" would be kept in a table of that name.", source),
				 errhint("Drop the table, or give the source another name.")));
}

/* ---- the whole ---- */

static int32
interval_seconds(const Interval *every, const char *source)
{
	int64		days = (int64) every->month * DAYS_PER_MONTH + every->day;
	int64		seconds = days * SECS_PER_DAY + every->time / USECS_PER_SEC;

	if (seconds < 1 || seconds > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("full_every of source \"%s\" is not between one second and 68 years", source),
				 errhint("Give an interval like '1 day'.")));
	return (int32) seconds;
}

/* How often all are read where else only newer rows are. */
static void
read_changed_at(FunctionCallInfo fcinfo, int first, const char *source, KpiKeyed *keyed)
{
	List	   *columns;

	keyed->changed_at = kpi_define_arg_given(fcinfo, first);
	if (keyed->changed_at != NULL)
	{
		columns = parse_columns(keyed->changed_at, "changed_at", source);
		keyed->changed_at = linitial(columns);
		if (keyed->is_followed || list_length(columns) > 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("changed_at of source \"%s\" does not go with follow, and is one column", source),
					 errhint("A source that is followed knows what has changed: leave one of them out.")));
	}
	if (PG_ARGISNULL(first + 1))
		return;
	if (keyed->changed_at == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("full_every of source \"%s\" needs changed_at", source),
				 errhint("Without changed_at each reading is of all rows: see kpi.set_refresh().")));
	keyed->full_seconds = interval_seconds(PG_GETARG_INTERVAL_P(first + 1), source);
}

static void
read_definition(FunctionCallInfo fcinfo, int first, KpiSource *source, const char *key, KpiKeyed *keyed)
{
	char	   *entity = kpi_define_arg_given(fcinfo, first + 1);

	keyed->key = parse_columns(key, "key", source->name);
	keyed->entity = parse_columns(entity ? entity : key, "entity", source->name);
	if (list_length(keyed->entity) > KPI_MAX_ENTITY_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("entity of source \"%s\" has more than %d columns", source->name, KPI_MAX_ENTITY_COLUMNS),
				 errhint("Name the columns that say which rows are computed together.")));
	keyed->is_followed = !PG_ARGISNULL(first + 2);
	if (keyed->is_followed)
		parse_follow(keyed, source->name, PG_GETARG_JSONB_P(first + 2));
	if (!PG_ARGISNULL(first + 3))
		parse_static(keyed, source->name, PG_GETARG_ARRAYTYPE_P(first + 3));
	read_changed_at(fcinfo, first + 4, source->name, keyed);
}

/* Checks the definition as its definer, and completes it.  Returns the analysed query. */
static Query *
check_definition(KpiSource *source, KpiKeyed *keyed, const char *text, KpiKeyedReads **reads)
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
	keyed->columns = output_names(query);
	kpi_expr_query_check(query, text, psprintf("query of source \"%s\"", source->name), keyed->is_followed);
	keyed->query = kpi_expr_query_text(query);
	foreach(lc, keyed->follows)
		check_follow(keyed, source, lfirst(lc), types);
	*reads = kpi_fact_keyed_examine(source, keyed, InvalidOid);
	find_used_columns(keyed, *reads);
	return query;
}

/* What is checked before there is a source: names only. */
static KpiSource *
skeleton(const KpiSourceRow *row, const char *table)
{
	KpiSource  *source = palloc0(sizeof(KpiSource));

	source->name = row->name;
	source->relation = unconstify(char *, table);
	source->time_zone = pstrdup("UTC");
	return source;
}

/* A key of several columns is one row: their texts may depend on settings. */
static char *
key_expression(const KpiKeyed *keyed)
{
	return list_length(keyed->key) == 1 ? pstrdup(quote_identifier(linitial(keyed->key))) :
		psprintf("ROW(%s)", name_list(keyed->key));
}

/* Planning runs code of the tables' owners, so it is for the definer. */
static void
warn_of_plans(const KpiSource *source, const KpiKeyed *keyed, Oid relid, Oid definer, const KpiKeyedReads *reads)
{
	KpiKept    *kept = kpi_fact_kept_open(source, keyed, relid);
	KpiUser		user;
	ListCell   *lc;

	kept->relids = reads->relids;
	foreach(lc, reads->relids)
		LockRelationOid(lfirst_oid(lc), AccessShareLock);
	kpi_user_switch(&user, definer);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	kpi_fact_keyed_warn(kept, reads);
	kpi_user_restore(&user);
}

KpiKeyed *
kpi_define_keyed_create(FunctionCallInfo fcinfo, int first, KpiSourceRow *row, Oid named_definer)
{
	KpiKeyed   *keyed = palloc0(sizeof(KpiKeyed));
	char	   *text = kpi_arg_text(fcinfo, first);
	char	   *table = kept_table(row->name);
	KpiSource  *source = skeleton(row, table);
	Oid			definer;
	Query	   *query;
	KpiKeyedReads *reads;
	KpiUser		user;

	if (row->key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source \"%s\" needs a key", row->name),
				 errhint("Name the columns of its query that identify a row: key => 'lead_id'.")));
	check_no_table(table, row->name);
	definer = OidIsValid(named_definer) ? named_definer :
		choose_definer(row->name, analyse(source, text, GetUserId()), named_definer);
	kpi_user_switch(&user, definer);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	read_definition(fcinfo, first, source, row->key, keyed);
	query = check_definition(source, keyed, text, &reads);
	kpi_user_restore(&user);
	create_kept_table(table, keyed, query, definer);
	row->relation = table;
	row->relid = kpi_model_relid_by_name(table);
	row->key = key_expression(keyed);
	kpi_define_source_row_set_definer(row, definer);
	warn_of_plans(source, keyed, row->relid, definer, reads);
	return keyed;
}

static void
store_follows(int32 source_id, const KpiKeyed *keyed)
{
	ListCell   *lc;

	kpi_spi_exec("DELETE FROM kpi.followed_relation WHERE source_id = $1", 1, KPI_INT4(source_id));
	foreach(lc, keyed->follows)
	{
		KpiFollow  *follow = lfirst(lc);

		kpi_spi_exec("INSERT INTO kpi.followed_relation (source_id, position, relation, query, columns, used)"
					 " VALUES ($1, $2::smallint, $3, $4, $5,"
					 "  (SELECT pg_catalog.array_agg(DISTINCT u ORDER BY u) FROM pg_catalog.unnest($6) u))",
					 6, KPI_INT4(source_id), KPI_INT4(follow->position), KPI_TEXT(follow->relation),
					 KPI_TEXT(follow->query), KPI_TEXTS(follow->columns),
					 follow->uses_all ? KPI_NULL(TEXTARRAYOID) : KPI_TEXTS(follow->used));
	}
}

void
kpi_define_keyed_store(int32 source_id, const KpiKeyed *keyed)
{
	kpi_spi_exec("INSERT INTO kpi.keyed_source AS k (source_id, query, columns, key_columns, entity_columns, is_followed,"
				 " changed_at, full_seconds) VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, 0))"
				 " ON CONFLICT (source_id) DO UPDATE SET query = EXCLUDED.query, columns = EXCLUDED.columns,"
				 " key_columns = EXCLUDED.key_columns, entity_columns = EXCLUDED.entity_columns,"
				 " is_followed = EXCLUDED.is_followed, changed_at = EXCLUDED.changed_at,"
				 " full_seconds = EXCLUDED.full_seconds, version = k.version + 1",
				 8, KPI_INT4(source_id), KPI_TEXT(keyed->query), KPI_TEXTS(keyed->columns), KPI_TEXTS(keyed->key),
				 KPI_TEXTS(keyed->entity), KPI_BOOL(keyed->is_followed), KPI_TEXT(keyed->changed_at),
				 KPI_INT4(keyed->full_seconds));
	store_follows(source_id, keyed);
	if (!keyed->is_followed)
		kpi_spi_exec("UPDATE kpi.source SET refresh_mode = 'manual', refresh_seconds = NULL WHERE id = $1",
					 1, KPI_INT4(source_id));
	kpi_spi_exec("DELETE FROM kpi_internal.keyed_state WHERE source_id = $1", 1, KPI_INT4(source_id));
}

void
kpi_define_keyed_attach(int32 source_id, const KpiKeyed *keyed, Oid definer)
{
	ListCell   *lc;

	foreach(lc, keyed->follows)
	{
		KpiFollow  *follow = lfirst(lc);

		if (follow->query != NULL)
			kpi_capture_follow(source_id, kpi_model_relid_by_name(follow->relation), definer);
	}
}

void
kpi_define_keyed_drop(int32 source_id, const char *relation)
{
	if (kpi_model_keyed_load(source_id, false) == NULL)
		return;
	if (OidIsValid(kpi_model_relid_by_name(relation)))
		execute(psprintf("DROP TABLE %s", relation));
	kpi_spi_exec("DELETE FROM kpi.followed_relation WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_exec("DELETE FROM kpi.keyed_source WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_exec("DELETE FROM kpi_internal.keyed_state WHERE source_id = $1", 1, KPI_INT4(source_id));
}
