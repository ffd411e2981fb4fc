/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  SQL functions that define lookups: tables that facts look values up in.
 *
 * A lookup is a name for two columns of a table.  It has rights on nothing: each source that
 * looks something up reads the table as its own definer.  So whoever changes a lookup
 * changes what these read, and must be allowed to change them.
 *
 * The key is unique because an index says so: then no fact is found twice, and
 * rows are found without reading the whole table.
 *
 * Locks: the lookup's row, then the sources (lookup_source.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/table.h"
#include "base/base.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(kpi_sql_create_lookup);
PG_FUNCTION_INFO_V1(kpi_sql_alter_lookup);
PG_FUNCTION_INFO_V1(kpi_sql_drop_lookup);

/* kpi.lookup */
typedef struct LookupRow
{
	int32		id;
	char	   *name;
	char	   *relation;
	char	   *key;
	char	   *value;
	char	   *definer;
} LookupRow;

/* ---- the table ---- */

static void
check_column(Oid relid, const char *column, const char *lookup)
{
	List	   *columns;
	char	   *near;

	if (get_attnum(relid, column) > 0)
		return;
	columns = kpi_all_texts("SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0"
							" AND NOT a.attisdropped ORDER BY a.attnum", 1, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));
	near = kpi_near_names(columns, column);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("table %s of lookup \"%s\" has no column \"%s\"", kpi_fact_table_name(relid), lookup, column),
			 near != NULL ? errhint("Did you mean %s?", near) :
			 errhint("It has columns %s.", kpi_list_join(columns))));
}

/* Whether an index keeps the values of a column apart, all and always. */
static bool
keeps_unique(const Relation index, AttrNumber attnum)
{
	const FormData_pg_index *form = index->rd_index;

	return form->indisunique && form->indisvalid && form->indnkeyatts == 1 &&
		form->indkey.values[0] == attnum && RelationGetIndexPredicate(index) == NIL;
}

static bool
is_unique(Oid relid, const char *column)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		found |= keeps_unique(index, get_attnum(relid, column));
		index_close(index, AccessShareLock);
	}
	table_close(rel, NoLock);
	return found;
}

static void
check_kind(Oid relid, const char *lookup)
{
	char		relkind = get_rel_relkind(relid);

	if ((relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE) ||
		get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s, of lookup \"%s\", is no table that stays", kpi_fact_table_name(relid), lookup),
				 errhint("Name an ordinary or partitioned table; of others, join them in the query of a keyed source.")));
}

/* The table that a name is, as the current user finds it. */
static Oid
find_table(const char *name, const char *lookup)
{
	RangeVar   *rv = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			relid;

	if (rv->schemaname != NULL)
		kpi_expr_schema_require(rv->schemaname);
	relid = RangeVarGetRelid(rv, NoLock, true);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" of lookup \"%s\" does not exist", name, lookup),
				 errhint("Give the table with its schema, like crm.accounts; names with capitals stand in double quotes.")));
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s of lookup \"%s\"", kpi_fact_table_name(relid), lookup),
				 errhint("Run: GRANT SELECT ON %s TO %s;", kpi_fact_table_name(relid),
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	check_kind(relid, lookup);
	return relid;
}

/* What a lookup says of its table; the names as they are then. */
static void
check_table(LookupRow *lookup)
{
	Oid			relid = find_table(lookup->relation, lookup->name);

	check_column(relid, lookup->key, lookup->name);
	check_column(relid, lookup->value, lookup->name);
	if (!is_unique(relid, lookup->key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key \"%s\" of lookup \"%s\" is not unique", lookup->key, lookup->name),
				 errdetail("Table %s has no unique index on this column alone, so a key could have two values.",
						   kpi_fact_table_name(relid)),
				 errhint("Run: CREATE UNIQUE INDEX ON %s (%s); or name another key.", kpi_fact_table_name(relid),
						 quote_identifier(lookup->key))));
	lookup->relation = kpi_fact_table_name(relid);
}

/* ---- the rows ---- */

/* Columns of the sources' kept rows are called by it. */
static void
check_name(const char *name)
{
	if (strlen(name) > NAMEDATALEN / 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name \"%s\" of a lookup is too long", name),
				 errhint("Use 1 to %d bytes.", NAMEDATALEN / 2)));
	if (kpi_first_int4("SELECT 1 FROM kpi.lookup WHERE name = $1", 1, KPI_TEXT(name)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("lookup \"%s\" already exists", name),
				 errhint("Change it with kpi.alter_lookup(), or choose another name.")));
}

/* Locked, so that no source comes to use it meanwhile. */
static LookupRow *
open_row(const char *name)
{
	LookupRow  *lookup = palloc0(sizeof(LookupRow));
	char	   *near;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT id, name, relation, key, value, definer FROM kpi.lookup WHERE name = $1 FOR UPDATE",
				   1, KPI_TEXT(name));
	if (!kpi_rows_next(&rows))
	{
		near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.lookup ORDER BY name", 0), name);
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("lookup \"%s\" does not exist", name),
				 near != NULL ? errhint("Did you mean %s?", near) : errhint("Table kpi.lookup lists the lookups.")));
	}
	lookup->id = kpi_rows_int4(&rows, "id");
	lookup->name = kpi_rows_text(&rows, "name");
	lookup->relation = kpi_rows_text(&rows, "relation");
	lookup->key = kpi_rows_text(&rows, "key");
	lookup->value = kpi_rows_text(&rows, "value");
	lookup->definer = kpi_rows_text(&rows, "definer");
	kpi_rows_end(&rows);
	if (!kpi_define_is_definer(lookup->definer))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for lookup \"%s\"", name),
				 errdetail("Its definer is role \"%s\".", lookup->definer),
				 errhint("Only its definer, members of that role and superusers may change a lookup.")));
	return lookup;
}

static List *
sources_of(const LookupRow *lookup)
{
	return kpi_all_texts("SELECT s.name FROM kpi.source s WHERE EXISTS (SELECT FROM kpi.source_lookup u"
						 " WHERE u.source_id = s.id AND u.lookup_id = $1) ORDER BY s.id", 1, KPI_INT4(lookup->id));
}

/* ---- the functions ---- */

/* kpi.create_lookup(name, relation, key, value) */
Datum
kpi_sql_create_lookup(PG_FUNCTION_ARGS)
{
	LookupRow	lookup = {0};

	lookup.name = kpi_arg_name(fcinfo, 0, "name of the lookup");
	lookup.relation = kpi_arg_name(fcinfo, 1, "relation of the lookup");
	lookup.key = kpi_arg_name(fcinfo, 2, "key of the lookup");
	lookup.value = kpi_arg_name(fcinfo, 3, "value of the lookup");
	check_name(lookup.name);
	check_table(&lookup);
	lookup.id = kpi_first_int4("INSERT INTO kpi.lookup (name, relation, key, value, definer)"
							   " VALUES ($1, $2, $3, $4, $5) RETURNING id", 5, KPI_TEXT(lookup.name),
							   KPI_TEXT(lookup.relation), KPI_TEXT(lookup.key), KPI_TEXT(lookup.value),
							   KPI_TEXT(GetUserNameFromId(GetUserId(), false)));
	PG_RETURN_INT32(lookup.id);
}

/* kpi.alter_lookup(name, relation, key, value, new_name) */
Datum
kpi_sql_alter_lookup(PG_FUNCTION_ARGS)
{
	LookupRow  *lookup = open_row(kpi_arg_name(fcinfo, 0, "name of the lookup"));
	char	   *relation = kpi_arg_optional_name(fcinfo, 1, "relation of the lookup");
	char	   *key = kpi_arg_optional_name(fcinfo, 2, "key of the lookup");
	char	   *value = kpi_arg_optional_name(fcinfo, 3, "value of the lookup");
	char	   *new_name = kpi_arg_optional_name(fcinfo, 4, "new name of the lookup");
	KpiSpi		spi;
	ListCell   *lc;

	if (new_name != NULL && strcmp(new_name, lookup->name) != 0)
		check_name(new_name);
	if (new_name != NULL)
		kpi_define_typed_rename_lookup(lookup->id, lookup->name, new_name);
	lookup->name = new_name ? new_name : lookup->name;
	lookup->relation = relation ? relation : lookup->relation;
	lookup->key = key ? key : lookup->key;
	lookup->value = value ? value : lookup->value;
	check_table(lookup);
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.lookup SET name = $2, relation = $3, key = $4, value = $5 WHERE id = $1",
				 5, KPI_INT4(lookup->id), KPI_TEXT(lookup->name), KPI_TEXT(lookup->relation), KPI_TEXT(lookup->key),
				 KPI_TEXT(lookup->value));
	kpi_spi_end(&spi);
	if (relation == NULL && key == NULL && value == NULL)
		PG_RETURN_VOID();
	foreach(lc, sources_of(lookup))
		kpi_define_lookups_remake(lfirst(lc));
	PG_RETURN_VOID();
}

/* kpi.drop_lookup(name) */
Datum
kpi_sql_drop_lookup(PG_FUNCTION_ARGS)
{
	LookupRow  *lookup = open_row(kpi_arg_name(fcinfo, 0, "name of the lookup"));
	List	   *users = NIL;
	KpiSpi		spi;
	ListCell   *lc;

	foreach(lc, sources_of(lookup))
	{
		if (kpi_define_lookups_is_used(lfirst(lc), lookup->id))
			users = lappend(users, unconstify(char *, quote_identifier(lfirst(lc))));
	}
	if (users != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop lookup \"%s\" because sources use it", lookup->name),
				 errdetail("Sources whose expressions, or those of their KPIs, look values up in it: %s.",
						   kpi_list_join(users)),
				 errhint("Change these with kpi.alter_source() and kpi.alter_kpi() first.")));
	foreach(lc, sources_of(lookup))
		kpi_define_lookups_remake(lfirst(lc));
	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi.lookup WHERE id = $1", 1, KPI_INT4(lookup->id));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}
