/*-------------------------------------------------------------------------
 *
 * lookup_source.c
 *	  Sources over a table whose expressions look values up: lookup('accounts', account).
 *
 * Such a source is a keyed source.  Its query is made here, of the table that holds the
 * facts and a LEFT JOIN for each thing that is looked up; it follows all of these tables.
 * In the texts of expressions a column of the kept rows takes the place of the call, and
 * kpi.source_lookup says which.  So whatever reads or checks an expression knows nothing
 * of lookups, and what becomes of a changed row of either table is what becomes of it
 * for any keyed source.
 *
 * The kept rows have the columns of the table that expressions name.  A definition that
 * names another, or looks something else up, widens the query; nothing makes it
 * narrower but the drop of a lookup that nobody uses any more.  A source over a table becomes a
 * keyed one when the first of its expressions looks something up.
 *
 * Locks: the rows of kpi.lookup that are read, shared; then as those who change a keyed source
 * (source.c): the engine's, then the tables that are followed, then that of the kept rows.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture.h"
#include "catalog/namespace.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/value.h"
#include "parser/parse_oper.h"
#include "refresh/refresh.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define LOOKUP_NAME "lookup"

/* A name that columns of tables do not have: the query alone sees it. */
#define KEY_NAME "lookup key"

/* ---- what is looked up ---- */

static KpiDefineLookedUp *
add_use(KpiDefineLookups *lookups, KpiRows *rows)
{
	KpiDefineLookedUp *use = palloc0(sizeof(KpiDefineLookedUp));

	use->lookup_id = kpi_rows_int4(rows, "id");
	use->name = kpi_rows_text(rows, "name");
	use->relation = kpi_rows_text(rows, "relation");
	use->key = kpi_rows_text(rows, "key");
	use->value = kpi_rows_text(rows, "value");
	lookups->uses = lappend(lookups->uses, use);
	return use;
}

static bool
is_named(List *names, const char *name)
{
	return list_member(names, makeString(unconstify(char *, name)));
}

static void
load_uses(KpiDefineLookups *lookups, int32 source_id)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT l.id, l.name, l.relation, l.key, l.value, u.expression, u.column_name, u.missing_column"
				   " FROM kpi.source_lookup u JOIN kpi.lookup l ON l.id = u.lookup_id"
				   " WHERE u.source_id = $1 ORDER BY u.column_name FOR SHARE OF l", 1, KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
	{
		KpiDefineLookedUp *use = add_use(lookups, &rows);

		use->expression = kpi_rows_text(&rows, "expression");
		use->column = kpi_rows_text(&rows, "column_name");
		use->missing = kpi_rows_text(&rows, "missing_column");
		lookups->taken = lappend(lookups->taken, makeString(use->column));
		lookups->taken = lappend(lookups->taken, makeString(use->missing));
	}
	kpi_rows_end(&rows);
}

static void
add_column(KpiDefineLookups *lookups, const char *name)
{
	lookups->columns = lappend(lookups->columns, makeString(pstrdup(name)));
}

/* Those of a source that there is, as its definition has them. */
static KpiDefineLookups *
load_lookups(const KpiSourceRow *row, const KpiKeyed *keyed)
{
	KpiDefineLookups *lookups = palloc0(sizeof(KpiDefineLookups));
	ListCell   *lc;

	lookups->source = row->name;
	lookups->relation = keyed->facts_relation;
	lookups->relid = kpi_model_relid_by_name(keyed->facts_relation);
	if (!OidIsValid(lookups->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of source \"%s\" does not exist", keyed->facts_relation, row->name),
				 errhint("Create it again or give it its name back, or drop the source with kpi.drop_source().")));
	load_uses(lookups, row->id);
	foreach(lc, keyed->columns)
	{
		if (!is_named(lookups->taken, lfirst(lc)))
			add_column(lookups, lfirst(lc));
	}
	lookups->key = keyed->key;
	return lookups;
}

/* Of a source over this table, which has none yet. */
static KpiDefineLookups *
begin_lookups(const char *source, Oid relid, const char *key)
{
	KpiDefineLookups *lookups = palloc0(sizeof(KpiDefineLookups));
	ListCell   *lc;

	lookups->source = source;
	lookups->relid = relid;
	lookups->relation = kpi_fact_table_name(relid);
	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source \"%s\" needs a key to look values up", source),
				 errdetail("Its facts are kept with what was found for them, and are told apart by it."),
				 errhint("Name the columns of table %s that identify a row: key => 'id'.", lookups->relation)));
	lookups->key = kpi_define_keyed_names(key, "key", source);
	if (list_length(lookups->key) > KPI_MAX_ENTITY_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("key of source \"%s\" has more than %d columns", source, KPI_MAX_ENTITY_COLUMNS),
				 errhint("Name the columns that identify a row.")));
	foreach(lc, lookups->key)
	{
		if (get_attnum(relid, lfirst(lc)) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("table %s has no column \"%s\", the key of source \"%s\"", lookups->relation,
							(char *) lfirst(lc), source),
					 errhint("A source that looks values up has columns as its key: key => 'id'.")));
		add_column(lookups, lfirst(lc));
	}
	lookups->is_widened = true;
	return lookups;
}

/* ---- expressions ---- */

/* A name for a column that no other has: accounts, accounts_2, ... */
static char *
free_name(const KpiDefineLookups *lookups, const char *name, const char *suffix)
{
	for (int n = 1;; n++)
	{
		char	   *column = n == 1 ? psprintf("%s%s", name, suffix) : psprintf("%s_%d%s", name, n, suffix);

		if (!is_named(lookups->taken, column) && get_attnum(lookups->relid, column) == InvalidAttrNumber)
			return column;
	}
}

static KpiDefineLookedUp *
find_lookup(KpiDefineLookups *lookups, const char *name)
{
	KpiDefineLookedUp *use;
	KpiRows		rows;
	char	   *near;

	kpi_rows_begin(&rows, "SELECT id, name, relation, key, value FROM kpi.lookup WHERE name = $1 FOR SHARE", 1,
				   KPI_TEXT(name));
	if (kpi_rows_next(&rows))
	{
		use = add_use(lookups, &rows);
		kpi_rows_end(&rows);
		return use;
	}
	kpi_rows_end(&rows);
	near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.lookup ORDER BY name", 0), name);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("lookup \"%s\" does not exist", name),
			 near != NULL ? errhint("Did you mean %s?", near) :
			 errhint("Table kpi.lookup lists the lookups; kpi.create_lookup() makes one.")));
	return NULL;
}

/* Error unless an expression can be compared with the key of a lookup. */
static void
check_types(const KpiDefineLookedUp *use, const KpiExpr *expr)
{
	Oid			relid = kpi_model_relid_by_name(use->relation);
	Oid			type = OidIsValid(relid) ? get_atttype(relid, get_attnum(relid, use->key)) : InvalidOid;
	Operator	equality;

	/* What has gone is told when the query is checked. */
	if (!OidIsValid(type))
		return;
	equality = oper(NULL, list_make1(makeString("=")), type, expr->type, true, -1);
	if (equality != NULL)
		ReleaseSysCache(equality);
	else
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("lookup \"%s\" is by %s, which is of type %s, not %s: %s", use->name, use->key,
						format_type_be(type), format_type_be(expr->type), expr->text),
				 errhint("Cast what is looked for: lookup(%s, (%s)::%s).", quote_literal_cstr(use->name), expr->text,
						 format_type_be(type))));
}

/* The column in which the kept rows have what a call finds. */
static const char *
column_of_call(KpiDefineLookups *lookups, const KpiExprCall *call, const char *what)
{
	KpiExpr		expr = kpi_expr_check_full(lookups->relid, call->argument, psprintf("key of a lookup in %s", what));
	KpiDefineLookedUp *use;
	ListCell   *lc;

	foreach(lc, lookups->uses)
	{
		use = lfirst(lc);
		if (strcmp(use->name, call->name) == 0 && strcmp(use->expression, expr.text) == 0)
			return use->column;
	}
	use = find_lookup(lookups, call->name);
	check_types(use, &expr);
	use->expression = expr.text;
	use->column = free_name(lookups, use->name, "");
	lookups->taken = lappend(lookups->taken, makeString(use->column));
	use->missing = free_name(lookups, use->column, "_missing");
	lookups->taken = lappend(lookups->taken, makeString(use->missing));
	lookups->is_widened = true;
	return use->column;
}

/* Columns that an expression names become some of the kept rows'. */
static void
take_columns(KpiDefineLookups *lookups, List *names)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		const char *name = lfirst(lc);

		if (is_named(lookups->taken, name) && get_attnum(lookups->relid, name) > 0)
			ereport(ERROR,
					(errcode(ERRCODE_AMBIGUOUS_COLUMN),
					 errmsg("column \"%s\" of table %s is called as what source \"%s\" looks up", name,
							lookups->relation, lookups->source),
					 errhint("Rename the column of the table.")));
		if (is_named(lookups->columns, name) || is_named(lookups->taken, name))
			continue;
		if (get_attnum(lookups->relid, name) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" does not exist", name)));
		add_column(lookups, name);
		lookups->is_widened = true;
	}
}

/* As the definer. */
static void
rewrite(KpiDefineLookups *lookups, const KpiDefineText *text)
{
	const char *done = *text->text;
	StringInfoData result;
	KpiExprSite site;
	List	   *columns;
	List	   *calls;
	ListCell   *lc;

	kpi_expr_site_push(&site, *text->text, text->what, lookups->relid);
	calls = kpi_expr_calls(*text->text, LOOKUP_NAME, &columns);
	take_columns(lookups, columns);
	kpi_expr_site_pop(&site);
	initStringInfo(&result);
	foreach(lc, calls)
	{
		const KpiExprCall *call = lfirst(lc);

		appendBinaryStringInfo(&result, done, *text->text + call->begin - done);
		appendStringInfoString(&result, quote_identifier(column_of_call(lookups, call, text->what)));
		done = *text->text + call->end;
	}
	appendStringInfoString(&result, done);
	*text->text = result.data;
}

static void
rewrite_all(KpiDefineLookups *lookups, List *texts, Oid definer)
{
	KpiUser		user;
	ListCell   *lc;

	kpi_user_switch(&user, definer);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	foreach(lc, texts)
	{
		const KpiDefineText *text = lfirst(lc);

		if (*text->text != NULL)
			rewrite(lookups, text);
	}
	kpi_user_restore(&user);
}

List *
kpi_define_add_text(List *texts, char **text, const char *what)
{
	KpiDefineText *added = palloc(sizeof(KpiDefineText));

	added->text = text;
	added->what = what;
	return *text == NULL || (*text)[0] == '\0' ? texts : lappend(texts, added);
}

bool
kpi_define_looks_up(List *texts)
{
	bool		found = false;
	KpiUser		user;
	ListCell   *lc;

	kpi_user_switch(&user, GetUserId());
	kpi_settings_pin(KPI_SETTINGS_ALL);
	foreach(lc, texts)
	{
		const KpiDefineText *text = lfirst(lc);
		KpiExprSite site;
		List	   *columns;

		/* A text that is wrong is told about by who checks it. */
		if (strcasestr(*text->text, LOOKUP_NAME) == NULL)
			continue;
		kpi_expr_site_push(&site, *text->text, text->what, InvalidOid);
		found |= kpi_expr_calls(*text->text, LOOKUP_NAME, &columns) != NIL;
		kpi_expr_site_pop(&site);
	}
	kpi_user_restore(&user);
	return found;
}

void
kpi_define_lookups_refuse(const char *source)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("source \"%s\" has a query, and so no lookups", source),
			 errhint("Join the table in the query, and follow it.")));
}

/* ---- the query ---- */

static void
append_columns(StringInfo sql, List *names, const char *prefix)
{
	ListCell   *lc;

	foreach(lc, names)
		appendStringInfo(sql, "%s%s%s", foreach_current_index(lc) > 0 ? ", " : "", prefix,
						 quote_identifier(strVal(lfirst(lc))));
}

static char *
query_of(const KpiDefineLookups *lookups)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_columns(&sql, lookups->columns, "t.");
	foreach(lc, lookups->uses)
	{
		const KpiDefineLookedUp *use = lfirst(lc);
		int			n = foreach_current_index(lc) + 1;

		appendStringInfo(&sql, ", l%d.%s AS %s, CASE WHEN l%d.%s IS NULL THEN t.\"" KEY_NAME " %d\"::text END AS %s", n,
						 quote_identifier(use->value), quote_identifier(use->column), n, quote_identifier(use->key), n,
						 quote_identifier(use->missing));
	}
	appendStringInfoString(&sql, " FROM (SELECT ");
	append_columns(&sql, lookups->columns, "f.");
	foreach(lc, lookups->uses)
		appendStringInfo(&sql, ", (%s) AS \"" KEY_NAME " %d\"", ((KpiDefineLookedUp *) lfirst(lc))->expression,
						 foreach_current_index(lc) + 1);
	appendStringInfo(&sql, " FROM %s f) t", lookups->relation);
	foreach(lc, lookups->uses)
	{
		const KpiDefineLookedUp *use = lfirst(lc);
		int			n = foreach_current_index(lc) + 1;

		appendStringInfo(&sql, " LEFT JOIN %s l%d ON l%d.%s = t.\"" KEY_NAME " %d\"", use->relation, n, n,
						 quote_identifier(use->key), n);
	}
	return sql.data;
}

/* A row of the table is one fact; one of a lookup touches those that look for it. */
static void
follow(KpiKeyed *keyed, const KpiDefineLookups *lookups, const char *relation)
{
	KpiFollow  *follow = palloc0(sizeof(KpiFollow));
	StringInfoData sql;
	List	   *key = NIL;
	List	   *parts = NIL;
	ListCell   *lc;

	foreach(lc, keyed->follows)
	{
		if (strcmp(((KpiFollow *) lfirst(lc))->relation, relation) == 0)
			return;
	}
	foreach(lc, lookups->key)
		key = lappend(key, makeString(lfirst(lc)));
	if (strcmp(relation, lookups->relation) == 0)
	{
		initStringInfo(&sql);
		appendStringInfoString(&sql, "SELECT ");
		append_columns(&sql, key, "changed.");
		parts = lappend(parts, makeString(sql.data));
	}
	foreach(lc, lookups->uses)
	{
		const KpiDefineLookedUp *use = lfirst(lc);

		if (strcmp(use->relation, relation) != 0)
			continue;
		initStringInfo(&sql);
		appendStringInfoString(&sql, "SELECT ");
		append_columns(&sql, key, "f.");
		appendStringInfo(&sql, " FROM %s f WHERE (%s) = changed.%s", lookups->relation, use->expression,
						 quote_identifier(use->key));
		parts = list_append_unique(parts, makeString(sql.data));
	}
	initStringInfo(&sql);
	foreach(lc, parts)
		appendStringInfo(&sql, "%s%s", sql.len > 0 ? " UNION " : "", strVal(lfirst(lc)));
	follow->relation = unconstify(char *, relation);
	follow->query = sql.data;
	keyed->follows = lappend(keyed->follows, follow);
	follow->position = list_length(keyed->follows);
}

static KpiKeyed *
definition_of(const KpiDefineLookups *lookups)
{
	KpiKeyed   *keyed = palloc0(sizeof(KpiKeyed));
	ListCell   *lc;

	keyed->key = lookups->key;
	keyed->entity = lookups->key;
	keyed->is_followed = true;
	keyed->facts_relation = lookups->relation;
	follow(keyed, lookups, lookups->relation);
	foreach(lc, lookups->uses)
		follow(keyed, lookups, ((KpiDefineLookedUp *) lfirst(lc))->relation);
	return keyed;
}

static void
store_uses(int32 source_id, const KpiDefineLookups *lookups)
{
	ListCell   *lc;

	kpi_spi_exec("DELETE FROM kpi.source_lookup WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_exec("DELETE FROM kpi_internal.lookup_state WHERE source_id = $1", 1, KPI_INT4(source_id));
	foreach(lc, lookups->uses)
	{
		const KpiDefineLookedUp *use = lfirst(lc);

		kpi_spi_exec("INSERT INTO kpi.source_lookup (source_id, lookup_id, expression, column_name, missing_column)"
					 " VALUES ($1, $2, $3, $4, $5)", 5, KPI_INT4(source_id), KPI_INT4(use->lookup_id),
					 KPI_TEXT(use->expression), KPI_TEXT(use->column), KPI_TEXT(use->missing));
	}
}

void
kpi_define_lookups_store(int32 source_id, const KpiKeyed *keyed, const KpiDefineLookups *lookups, bool was_followed)
{
	kpi_define_keyed_store(source_id, keyed, was_followed);
	if (lookups != NULL)
		store_uses(source_id, lookups);
}

/* ---- sources that begin to look something up ---- */

KpiKeyed *
kpi_define_lookups_create(KpiSourceRow *row, const char *table, List *texts, Oid named_definer,
						  KpiDefineLookups **lookups)
{
	Oid			relid = kpi_fact_table_open(table, named_definer);
	Oid			definer = kpi_fact_definer_choose(relid, named_definer);
	KpiKeyed   *keyed;

	*lookups = begin_lookups(row->name, relid, row->key);
	rewrite_all(*lookups, texts, definer);
	keyed = definition_of(*lookups);
	kpi_define_keyed_make(row, keyed, query_of(*lookups), definer);
	return keyed;
}

/* Its expressions name columns, which the kept rows are to have. */
static List *
own_texts(const KpiSource *source, const KpiSourceRow *row)
{
	KpiSourceRow *copy = palloc(sizeof(KpiSourceRow));
	List	   *texts = NIL;
	KpiRows		rows;

	*copy = *row;
	texts = kpi_define_add_text(texts, &copy->owner, "owner");
	texts = kpi_define_add_text(texts, &copy->team, "team");
	texts = kpi_define_add_text(texts, &copy->at, "time (at)");
	texts = kpi_define_add_text(texts, &copy->filter, psprintf("filter of source \"%s\"", row->name));
	for (int i = 0; i < source->ndims; i++)
		texts = kpi_define_add_text(texts, &source->dim_exprs[i], psprintf("dimension \"%s\" of source \"%s\"",
																		   source->dim_names[i], row->name));
	kpi_rows_begin(&rows, "SELECT t.text, k.name FROM kpi.kpi k CROSS JOIN LATERAL"
				   " (VALUES (k.measure), (k.filter), (k.owner), (k.team), (k.at), (k.until)) t(text)"
				   " WHERE k.source_id = $1 AND t.text IS NOT NULL"
				   " UNION ALL SELECT s.loaded_at, s.name FROM kpi.source s WHERE s.id = $1 AND s.loaded_at IS NOT NULL",
				   1, KPI_INT4(row->id));
	while (kpi_rows_next(&rows))
	{
		char	  **text = palloc(sizeof(char *));

		*text = kpi_rows_text(&rows, "text");
		texts = kpi_define_add_text(texts, text, psprintf("expressions of \"%s\"", kpi_rows_text(&rows, "name")));
	}
	kpi_rows_end(&rows);
	return texts;
}

/*
 * A source over a table becomes a keyed one.  The caller holds the engine's lock.  What waits of
 * it is of the table: it is forgotten, and all is read.
 */
static KpiKeyed *
convert(KpiSourceRow *row, List *texts, KpiDefineLookups **lookups)
{
	KpiSource  *source = kpi_model_source_load(row->id, false);
	char	   *relation = row->relation;
	Oid			definer = kpi_define_source_row_definer(row);
	KpiKeyed   *keyed;
	KpiSpi		spi;

	kpi_define_sealed_check(row->id, psprintf("source \"%s\"", row->name));
	*lookups = begin_lookups(row->name, row->relid, row->key);
	rewrite_all(*lookups, own_texts(source, row), definer);
	rewrite_all(*lookups, texts, definer);
	keyed = definition_of(*lookups);
	kpi_define_keyed_make(row, keyed, query_of(*lookups), definer);
	kpi_capture_detach(row->id, relation);
	CommandCounterIncrement();
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.source SET relation = $2, key = $3, on_swap = 'follow', on_detach = 'seal' WHERE id = $1",
				 3, KPI_INT4(row->id), KPI_TEXT(row->relation), KPI_TEXT(row->key));
	kpi_define_lookups_store(row->id, keyed, *lookups, true);
	kpi_spi_end(&spi);
	kpi_capture_attach(row->id, row->relid, definer);
	kpi_refresh_source_state_reset(row->id, row->relid, definer);
	return keyed;
}

/* ---- sources that are changed ---- */

/* Takes the locks that a change of the query needs; the row as it is then. */
static KpiSourceRow *
lock_source(const char *name, KpiKeyed **keyed)
{
	KpiSourceRow *row = kpi_define_source_row_read(name);

	kpi_define_source_row_require_definer(row);
	kpi_refresh_lock_source(row->id);
	*keyed = kpi_model_keyed_load(row->id, false);
	if (*keyed != NULL)
		kpi_define_keyed_lock_followed(*keyed, row->definer, ShareRowExclusiveLock);
	(void) kpi_define_source_row_lock(row, AccessExclusiveLock);
	return kpi_define_source_row_open(name, true);
}

KpiKeyed *
kpi_define_lookups_change(KpiSourceRow *row, const KpiKeyed *old, const char *key, KpiDefineLookups **lookups,
						  bool *altered)
{
	KpiKeyed   *keyed;

	*lookups = load_lookups(row, old);
	if (key != NULL)
	{
		KpiDefineLookups *with_key = begin_lookups(row->name, (*lookups)->relid, key);

		with_key->columns = list_concat_unique(with_key->columns, (*lookups)->columns);
		with_key->uses = (*lookups)->uses;
		with_key->taken = (*lookups)->taken;
		*lookups = with_key;
	}
	keyed = definition_of(*lookups);
	kpi_define_keyed_remake(row, keyed, old, query_of(*lookups), altered);
	return keyed;
}

/* All that follows from another query, for who changes nothing else of the source. */
static void
change_alone(KpiSourceRow *row, const KpiKeyed *old, KpiDefineLookups *lookups)
{
	KpiKeyed   *keyed = definition_of(lookups);
	bool		altered;
	KpiSpi		spi;

	kpi_define_keyed_remake(row, keyed, old, query_of(lookups), &altered);
	kpi_spi_begin(&spi);
	kpi_define_lookups_store(row->id, keyed, lookups, true);
	kpi_spi_end(&spi);
	kpi_define_source_follow_change(row, altered, true, false, false);
	kpi_define_keyed_attach(row->id, keyed, row->definer_oid);
}

/* The texts as they are, so that they can be rewritten more than once. */
static List *
copies_of(List *texts)
{
	List	   *copies = NIL;
	ListCell   *lc;

	foreach(lc, texts)
	{
		const KpiDefineText *text = lfirst(lc);
		char	  **copy = palloc(sizeof(char *));

		*copy = *text->text;
		copies = kpi_define_add_text(copies, copy, text->what);
	}
	return copies;
}

void
kpi_define_lookups_prepare(const char *source, List *texts)
{
	KpiSourceRow *row = kpi_define_source_row_read(source);
	KpiKeyed   *keyed = kpi_model_keyed_load(row->id, false);
	bool		looks_up = kpi_define_looks_up(texts);
	KpiDefineLookups *lookups;

	if (keyed != NULL && keyed->facts_relation == NULL && looks_up)
		kpi_define_lookups_refuse(source);
	if (texts == NIL || (keyed == NULL ? !looks_up : keyed->facts_relation == NULL))
		return;
	kpi_define_source_row_require_definer(row);
	if (keyed != NULL)
	{
		List	   *tried = copies_of(texts);
		ListCell   *lc;
		ListCell   *copy;

		lookups = load_lookups(row, keyed);
		rewrite_all(lookups, tried, kpi_define_source_row_definer(row));
		if (!lookups->is_widened)
		{
			forboth(lc, texts, copy, tried)
				* ((KpiDefineText *) lfirst(lc))->text = *((KpiDefineText *) lfirst(copy))->text;
			return;
		}
	}
	row = lock_source(source, &keyed);
	if (keyed == NULL)
	{
		keyed = convert(row, texts, &lookups);
		kpi_define_source_follow_change(row, true, true, false, false);
		kpi_define_keyed_attach(row->id, keyed, row->definer_oid);
		return;
	}
	lookups = load_lookups(row, keyed);
	rewrite_all(lookups, texts, row->definer_oid);
	change_alone(row, keyed, lookups);
}

/* ---- lookups that are changed ---- */

/* Without what no expression of the source or its KPIs names any more. */
static void
prune(KpiDefineLookups *lookups, const KpiSourceRow *row)
{
	List	   *named = NIL;
	List	   *uses = NIL;
	ListCell   *lc;

	foreach(lc, own_texts(kpi_model_source_load(row->id, false), row))
	{
		List	   *columns;
		ListCell   *column;

		(void) kpi_expr_calls(*((KpiDefineText *) lfirst(lc))->text, LOOKUP_NAME, &columns);
		foreach(column, columns)
			named = lappend(named, makeString(lfirst(column)));
	}
	foreach(lc, lookups->uses)
	{
		KpiDefineLookedUp *use = lfirst(lc);

		if (is_named(named, use->column) || is_named(named, use->missing))
			uses = lappend(uses, use);
	}
	lookups->uses = uses;
}

bool
kpi_define_lookups_is_used(const char *source, int32 lookup_id)
{
	KpiSourceRow *row = kpi_define_source_row_read(source);
	KpiDefineLookups *lookups = load_lookups(row, kpi_model_keyed_load(row->id, false));
	ListCell   *lc;

	prune(lookups, row);
	foreach(lc, lookups->uses)
	{
		if (((KpiDefineLookedUp *) lfirst(lc))->lookup_id == lookup_id)
			return true;
	}
	return false;
}

void
kpi_define_lookups_remake(const char *source)
{
	KpiKeyed   *keyed;
	KpiSourceRow *row = lock_source(source, &keyed);
	KpiDefineLookups *lookups = load_lookups(row, keyed);
	ListCell   *lc;

	prune(lookups, row);
	foreach(lc, lookups->uses)
	{
		const KpiDefineLookedUp *use = lfirst(lc);
		KpiExpr		expr;
		KpiUser		user;

		kpi_user_switch(&user, row->definer_oid);
		kpi_settings_pin(KPI_SETTINGS_ALL);
		expr = kpi_expr_check_full(lookups->relid, use->expression, psprintf("key of a lookup of source \"%s\"", source));
		check_types(use, &expr);
		kpi_user_restore(&user);
	}
	change_alone(row, keyed, lookups);
}
