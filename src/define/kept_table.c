/*-------------------------------------------------------------------------
 *
 * kept_table.c
 *	  The table of a keyed source's rows: made, changed in place, given, dropped.
 *
 * It belongs to the definer, stands in schema kpi_data, where nobody but the extension's owner
 * may create anything, and is no member of the extension, so that its rows, grants and the views
 * over it are dumped; but it goes with the extension (kpi_capture_bind()).
 *
 * What defines the table runs as the extension's owner, and so none of it may run code
 * of others: columns have no domains, whose constraints would be checked, and no
 * defaults; an index is built as the table's owner, by the server.  What touches rows runs
 * as the definer: a trigger of the table's is the definer's.
 *
 * Locks: ACCESS EXCLUSIVE on the table where it changes.  The caller has it already, taken at
 * once (see kpi_define_keyed_open()).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "capture/capture.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "define/define_internal.h"
#include "executor/spi.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

PG_FUNCTION_INFO_V1(kpi_sql_grant_source);
PG_FUNCTION_INFO_V1(kpi_sql_revoke_source);

#define KEPT_SCHEMA "kpi_data"

/* ---- statements ---- */

static void
run(const char *sql)
{
	int			rc = SPI_execute(sql, false, 0);

	if (rc < 0)
		elog(ERROR, "SPI failed with %s: %s", SPI_result_code_string(rc), sql);
}

/* As the extension's owner; where a table goes does not depend on the session. */
static void
execute(const char *sql)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	(void) set_config_option("default_tablespace", "", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("default_table_access_method", "heap", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	run(sql);
	kpi_spi_end(&spi);
}

static void
execute_as(Oid role, const char *sql)
{
	KpiUser		user;

	kpi_user_switch(&user, role);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	run(sql);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	kpi_user_restore(&user);
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

static bool
is_named(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

static bool
same_names(List *one, List *other)
{
	ListCell   *a;
	ListCell   *b;

	if (list_length(one) != list_length(other))
		return false;
	forboth(a, one, b, other)
	{
		if (strcmp(lfirst(a), lfirst(b)) != 0)
			return false;
	}
	return true;
}

/* ---- what it is to be ---- */

/*
 * The expression of a column as the query has it.  Where the query is made of several
 * there is none.
 */
static char *
column_comment(const Query *query, int resno)
{
	Query	   *one = copyObject(unconstify(Query *, query));
	char	   *text;
	char	   *end;
	ListCell   *lc;

	if (query->setOperations != NULL)
		return pstrdup("Column of the query");
	foreach(lc, one->targetList)
		lfirst_node(TargetEntry, lc)->resjunk |= lfirst_node(TargetEntry, lc)->resno != resno;
	one->cteList = NIL;
	one->distinctClause = NIL;
	one->hasDistinctOn = false;
	text = kpi_expr_query_text(one);
	end = strstr(text, "\n   FROM ");
	if (end != NULL)
		*end = '\0';
	text += strspn(text, " ");
	return strncmp(text, "SELECT ", 7) == 0 ? text + 7 : text;
}

/* Types of which values cannot be kept without standing in their owners' way. */
static void
check_column_type(const char *source, const char *column, Oid type)
{
	Oid			element = get_element_type(type);
	char		typtype = get_typtype(OidIsValid(element) ? element : type);

	if (typtype == TYPTYPE_COMPOSITE || type == RECORDOID || type == RECORDARRAYOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the query of source \"%s\" is a whole row", column, source),
				 errdetail("A table that keeps rows of another cannot outlive a change of that table."),
				 errhint("Name the columns that are needed, or cast the row to text.")));
	if (typtype == TYPTYPE_PSEUDO)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the query of source \"%s\" is of type %s, which no table can keep", column,
						source, format_type_be(type)),
				 errhint("Cast it to a type of values.")));
}

/* Lengths are left to the query: its values fit. */
List *
kpi_define_kept_columns(const char *source, const Query *query)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		KpiDefineKeptColumn *column;

		if (entry->resjunk)
			continue;
		column = palloc0(sizeof(KpiDefineKeptColumn));
		column->name = pstrdup(entry->resname);
		column->type = getBaseType(exprType((Node *) entry->expr));
		check_column_type(source, column->name, column->type);
		column->collation = exprCollation((Node *) entry->expr);
		if (!OidIsValid(column->collation))
			column->collation = get_typcollation(column->type);
		column->comment = column_comment(query, entry->resno);
		columns = lappend(columns, column);
	}
	return columns;
}

static char *
column_definition(const KpiDefineKeptColumn *column)
{
	char	   *type = format_type_extended(column->type, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);

	if (OidIsValid(column->collation) && column->collation != get_typcollation(column->type))
		return psprintf("%s %s COLLATE %s", quote_identifier(column->name), type,
						generate_collation_name(column->collation));
	return psprintf("%s %s", quote_identifier(column->name), type);
}

static const KpiDefineKeptColumn *
find_column(List *columns, const char *name)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		if (strcmp(((KpiDefineKeptColumn *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	}
	return NULL;
}

/* ---- its name ---- */

char *
kpi_define_kept_name(const char *source)
{
	if (strlen(source) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name \"%s\" of a keyed source is too long", source),
				 errhint("Its rows are kept in a table of that name: use at most %d bytes.", NAMEDATALEN - 1)));
	return kpi_stored_name(KEPT_SCHEMA, source);
}

bool
kpi_define_kept_is_name(const char *relation)
{
	return strncmp(relation, KEPT_SCHEMA ".", strlen(KEPT_SCHEMA ".")) == 0;
}

void
kpi_define_kept_require_free(const char *table, const char *source)
{
	if (OidIsValid(kpi_model_relid_by_name(table)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("table %s exists already", table),
				 errdetail("The rows of source \"%s\" would be kept in a table of that name.", source),
				 errhint("Drop the table, or give the source another name.")));
}

void
kpi_define_kept_rename(const char *table, const char *source)
{
	execute(psprintf("ALTER TABLE %s RENAME TO %s", table, quote_identifier(source)));
	CommandCounterIncrement();
}

/* ---- whose it is ---- */

/* What of a table runs code of its owner whenever rows are written. */
#define CODE_QUERY \
	"SELECT pg_catalog.format('trigger %I', t.tgname) FROM pg_catalog.pg_trigger t" \
	" WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND t.tgfoid NOT IN (" \
	"  SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace" \
	"   WHERE n.nspname = 'kpi')" \
	" UNION ALL SELECT pg_catalog.format('rule %I', r.rulename) FROM pg_catalog.pg_rewrite r WHERE r.ev_class = $1" \
	" UNION ALL SELECT pg_catalog.format('constraint %I', c.conname) FROM pg_catalog.pg_constraint c" \
	"  WHERE c.conrelid = $1 AND c.contype = 'c'" \
	" UNION ALL SELECT pg_catalog.format('index %s', i.indexrelid::regclass) FROM pg_catalog.pg_index i" \
	"  WHERE i.indrelid = $1 AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)" \
	" UNION ALL SELECT pg_catalog.format('statistics %I', s.stxname) FROM pg_catalog.pg_statistic_ext s" \
	"  WHERE s.stxrelid = $1 AND s.stxexprs IS NOT NULL" \
	" UNION ALL SELECT pg_catalog.format('policy %I', p.polname) FROM pg_catalog.pg_policy p WHERE p.polrelid = $1" \
	" UNION ALL SELECT pg_catalog.format('default of column %I', a.attname) FROM pg_catalog.pg_attribute a" \
	"  WHERE a.attrelid = $1 AND a.atthasdef AND NOT a.attisdropped ORDER BY 1"

static char *
some_of(const char *sql, Oid relid)
{
	return kpi_list_join(kpi_all_texts(sql, 1, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid))));
}

/* The old owner's code would run with the rights of the new one. */
static void
give(const char *table, Oid relid, Oid definer)
{
	Oid			owner = kpi_fact_table_owner(relid);
	char	   *code = owner == definer || superuser_arg(owner) ? NULL : some_of(CODE_QUERY, relid);
	const char *role = quote_identifier(GetUserNameFromId(definer, false));

	if (code != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table %s cannot be given to role \"%s\"", table, GetUserNameFromId(definer, false)),
				 errdetail("Code of role \"%s\" would run with the rights of that role: %s.",
						   GetUserNameFromId(owner, false), code),
				 errhint("Drop it first.")));
	execute(psprintf("GRANT USAGE ON SCHEMA " KEPT_SCHEMA " TO %s", role));
	if (owner != definer)
		execute(psprintf("ALTER TABLE %s OWNER TO %s", table, role));
}

/* Default privileges are not meant for it. */
static void
revoke_defaults(const char *table, Oid relid)
{
	List	   *roles = kpi_all_texts("SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'"
									  "  ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END"
									  " FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a"
									  " WHERE c.oid = $1 AND a.grantee <> c.relowner",
									  1, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));
	ListCell   *lc;

	foreach(lc, roles)
		execute(psprintf("REVOKE ALL ON TABLE %s FROM %s", table, (char *) lfirst(lc)));
}

/* ---- made ---- */

static void
create(const char *table, const KpiKeyed *keyed, List *columns)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", table);
	foreach(lc, columns)
		appendStringInfo(&sql, "%s, ", column_definition(lfirst(lc)));
	appendStringInfo(&sql, "PRIMARY KEY (%s))", name_list(keyed->key));
	execute(sql.data);
	CommandCounterIncrement();
	revoke_defaults(table, kpi_model_relid_by_name(table));
}

/* ---- changed in place ---- */

/* Names of columns that the table has and must not, and of those to be added. */
static void
compare_columns(Oid relid, List *columns, List *old_names, List **gone, List **added)
{
	List	   *kept = NIL;
	KpiRows		rows;
	ListCell   *lc;

	kpi_rows_begin(&rows, "SELECT a.attname::text AS name, a.atttypid AS type, a.attcollation AS collation,"
				   " a.attgenerated <> '' AS is_generated FROM pg_catalog.pg_attribute a"
				   " WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
				   1, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));
	while (kpi_rows_next(&rows))
	{
		char	   *name = kpi_rows_text(&rows, "name");
		const KpiDefineKeptColumn *column = find_column(columns, name);

		if (column != NULL && column->type == kpi_rows_oid(&rows, "type") &&
			column->collation == kpi_rows_oid(&rows, "collation") && !kpi_rows_bool(&rows, "is_generated"))
			kept = lappend(kept, name);
		else if (column != NULL || is_named(old_names, name))
			*gone = lappend(*gone, name);
	}
	kpi_rows_end(&rows);
	foreach(lc, columns)
	{
		if (!is_named(kept, ((KpiDefineKeptColumn *) lfirst(lc))->name))
			*added = lappend(*added, lfirst(lc));
	}
}

/* Users' views keep the columns that they read. */
static void
check_views(const char *table, Oid relid, List *gone)
{
	char	   *views = kpi_list_join(kpi_all_texts("SELECT DISTINCT w.ev_class::regclass::text FROM pg_catalog.pg_depend d"
													" JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid"
													" JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
													" WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass"
													"  AND d.refobjid = $1 AND w.ev_class <> $1 AND a.attname = ANY ($2) ORDER BY 1",
													2, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)), KPI_TEXTS(gone)));

	if (views != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("columns of table %s cannot be changed because views read them", table),
				 errdetail("Columns that the query no longer has, or has with another type: %s.  Views: %s.",
						   kpi_list_join(gone), views),
				 errhint("Drop the views first, and create them again after.")));
}

static List *
primary_key(Oid relid)
{
	return kpi_all_texts("SELECT a.attname::text FROM pg_catalog.pg_constraint c,"
						 " pg_catalog.unnest(c.conkey) WITH ORDINALITY k(attnum, n)"
						 " JOIN pg_catalog.pg_attribute a ON a.attrelid = $1 AND a.attnum = k.attnum"
						 " WHERE c.conrelid = $1 AND c.contype = 'p' AND NOT c.condeferrable ORDER BY k.n",
						 1, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));
}

/* Rows are known by the key: with another one none of them is. */
static void
make_key(const char *table, Oid relid, const KpiKeyed *keyed)
{
	char	   *name = kpi_first_text("SELECT c.conname FROM pg_catalog.pg_constraint c"
									  " WHERE c.conrelid = $1 AND c.contype = 'p'",
									  1, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));

	if (name != NULL)
		execute(psprintf("ALTER TABLE %s DROP CONSTRAINT %s", table, quote_identifier(name)));
	execute(psprintf("ALTER TABLE %s ADD PRIMARY KEY (%s)", table, name_list(keyed->key)));
}

static bool
any_is_named(List *names, List *others)
{
	ListCell   *lc;

	foreach(lc, others)
	{
		if (is_named(names, lfirst(lc)))
			return true;
	}
	return false;
}

static bool
alter(const char *table, Oid relid, const KpiKeyed *keyed, List *columns, List *old_names, Oid definer)
{
	List	   *gone = NIL;
	List	   *added = NIL;
	StringInfoData sql;
	ListCell   *lc;
	bool		has_key;

	compare_columns(relid, columns, old_names, &gone, &added);
	if (gone != NIL)
		check_views(table, relid, gone);
	has_key = same_names(primary_key(relid), keyed->key) && !any_is_named(gone, keyed->key);
	if (!has_key)
		execute_as(definer, psprintf("TRUNCATE %s", table));
	initStringInfo(&sql);
	foreach(lc, gone)
		appendStringInfo(&sql, "%s DROP COLUMN %s", sql.len > 0 ? "," : "", quote_identifier(lfirst(lc)));
	foreach(lc, added)
		appendStringInfo(&sql, "%s ADD COLUMN %s", sql.len > 0 ? "," : "", column_definition(lfirst(lc)));
	if (sql.len > 0)
		execute(psprintf("ALTER TABLE %s%s", table, sql.data));
	if (!has_key)
		make_key(table, relid, keyed);
	return sql.len > 0 || !has_key;
}

/* ---- the indexes by which rows are found ---- */

/* An index on exactly these columns, that is not of the key. */
static char *
find_index(Oid relid, List *columns)
{
	return kpi_first_text("SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index i"
						  " WHERE i.indrelid = $1 AND NOT i.indisprimary AND i.indpred IS NULL AND i.indexprs IS NULL"
						  "  AND ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, n)"
						  "   JOIN pg_catalog.pg_attribute a ON a.attrelid = $1 AND a.attnum = k.attnum ORDER BY k.n) = $2"
						  " ORDER BY i.indexrelid LIMIT 1",
						  2, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)), KPI_TEXTS(columns));
}

/* Whether the primary key finds the rows of an entity as well. */
static bool
key_begins_with_entity(const KpiKeyed *keyed)
{
	int			n = list_length(keyed->entity);

	return n <= list_length(keyed->key) && same_names(list_truncate(list_copy(keyed->key), n), keyed->entity);
}

/* Rows are looked for by these columns; they were by the old ones. */
static void
make_index(const char *table, Oid relid, List *columns, List *old_columns)
{
	char	   *old = old_columns == NIL || same_names(old_columns, columns) ? NULL : find_index(relid, old_columns);

	if (old != NULL)
		execute(psprintf("DROP INDEX %s", old));
	if (columns != NIL && find_index(relid, columns) == NULL)
		execute(psprintf("CREATE INDEX ON %s (%s)", table, name_list(columns)));
}

static List *
entity_index(const KpiKeyed *keyed)
{
	return keyed == NULL || key_begins_with_entity(keyed) ? NIL : keyed->entity;
}

static List *
changed_at_index(const KpiKeyed *keyed)
{
	return keyed == NULL || keyed->changed_at == NULL ? NIL : list_make1(keyed->changed_at);
}

static void
make_comments(const char *table, List *columns)
{
	ListCell   *lc;

	execute(psprintf("COMMENT ON TABLE %s IS 'Rows of a keyed source of pg_kpi, as its query says; written by refreshes only'",
					 table));
	foreach(lc, columns)
	{
		KpiDefineKeptColumn *column = lfirst(lc);

		execute(psprintf("COMMENT ON COLUMN %s.%s IS %s", table, quote_identifier(column->name),
						 quote_literal_cstr(column->comment)));
	}
}

bool
kpi_define_kept_fit(const char *table, const KpiKeyed *keyed, const KpiKeyed *old, List *columns, Oid definer)
{
	Oid			relid = kpi_model_relid_by_name(table);
	bool		is_new = !OidIsValid(relid);
	bool		changed = is_new;

	if (is_new)
	{
		create(table, keyed, columns);
		relid = kpi_model_relid_by_name(table);
	}
	give(table, relid, definer);
	CommandCounterIncrement();
	if (!is_new)
		changed = alter(table, relid, keyed, columns, old->columns, definer);
	make_index(table, relid, entity_index(keyed), entity_index(old));
	make_index(table, relid, changed_at_index(keyed), changed_at_index(old));
	make_comments(table, columns);
	kpi_capture_bind(relid);
	CommandCounterIncrement();
	return changed;
}

/* ---- dropped ---- */

void
kpi_define_kept_drop(const char *table)
{
	Oid			relid = kpi_model_relid_by_name(table);
	char	   *views;

	if (!OidIsValid(relid))
		return;
	views = some_of("SELECT DISTINCT w.ev_class::regclass::text FROM pg_catalog.pg_depend d"
					" JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid WHERE d.classid = 'pg_rewrite'::regclass"
					" AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND w.ev_class <> $1 ORDER BY 1", relid);
	if (views != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop table %s because views read it", table),
				 errdetail("Views: %s.", views),
				 errhint("Drop the views first.")));
	execute(psprintf("DROP TABLE %s", table));
}

/* ---- who may read it ---- */

/* The kept table of a source of the caller's. */
static char *
own_kept_table(FunctionCallInfo fcinfo)
{
	KpiSourceRow *row = kpi_define_source_row_read(kpi_arg_name(fcinfo, 0, "name of the source"));

	kpi_define_source_row_require_definer(row);
	if (kpi_model_keyed_load(row->id, false) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("source \"%s\" keeps no rows", row->name),
				 errdetail("It is over table %s, whose owner grants what others may read of it.", row->relation),
				 errhint("Run: GRANT SELECT ON %s TO ...;", row->relation)));
	kpi_define_source_row_require_table(row);
	return row->relation;
}

static char *
role_argument(FunctionCallInfo fcinfo)
{
	char	   *name = kpi_arg_name(fcinfo, 1, "role");

	/* Not left to GRANT, which takes "public" for everybody. */
	if (!OidIsValid(get_role_oid(name, true)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist", name)));
	return name;
}

/* kpi.grant_source(source, role) */
Datum
kpi_sql_grant_source(PG_FUNCTION_ARGS)
{
	char	   *table = own_kept_table(fcinfo);
	const char *role = quote_identifier(role_argument(fcinfo));

	execute(psprintf("GRANT USAGE ON SCHEMA " KEPT_SCHEMA " TO %s", role));
	execute(psprintf("GRANT SELECT ON TABLE %s TO %s", table, role));
	PG_RETURN_VOID();
}

/* kpi.revoke_source(source, role): the schema stays open to who may read another of its tables. */
Datum
kpi_sql_revoke_source(PG_FUNCTION_ARGS)
{
	char	   *table = own_kept_table(fcinfo);
	char	   *name = role_argument(fcinfo);

	execute(psprintf("REVOKE SELECT ON TABLE %s FROM %s", table, quote_identifier(name)));
	CommandCounterIncrement();
	if (kpi_first_int4("SELECT 1 FROM pg_catalog.pg_class c WHERE c.relnamespace = 'kpi_data'::regnamespace"
					   " AND (c.relowner = $1::regrole OR EXISTS ("
					   "  SELECT FROM pg_catalog.aclexplode(c.relacl) a WHERE a.grantee = $1::regrole)) LIMIT 1",
					   1, KPI_VALUE(REGROLEOID, ObjectIdGetDatum(get_role_oid(name, false)))) == 0)
		execute(psprintf("REVOKE USAGE ON SCHEMA " KEPT_SCHEMA " FROM %s", quote_identifier(name)));
	PG_RETURN_VOID();
}
