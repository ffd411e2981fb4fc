/*-------------------------------------------------------------------------
 *
 * rename.c
 *	  Which table a source is over, and what its columns are called by now.
 *
 * A definition names its table and columns, and means what had these names when
 * it was last looked at (kpi_internal.source_state).  For the table the declared
 * name wins: whoever has it is the table of the source, and only where nobody has
 * it the table that was attached is, under whatever name.  That name becomes the
 * declared one (refresh/follow.c), but the one before still wins for an hour
 * after: who swaps tables by two renames, each a transaction, means the second.
 *
 * For columns the number wins: where the attached table has the number of a
 * column under another name, the definition reads as if it were written with that.
 * Writers and refreshes both see it so at once, whether or not the stored texts
 * have been rewritten.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "model/model_internal.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* ---- the table ---- */

Oid
kpi_model_relid_by_name(const char *relation)
{
	char	   *schema;
	char	   *name;
	Oid			namespace;

	DeconstructQualifiedName(kpi_qualified_names(relation), &schema, &name);
	namespace = get_namespace_oid(schema, true);
	return OidIsValid(namespace) ? get_relname_relid(name, namespace) : InvalidOid;
}

bool
kpi_model_former_counts(const char *former, TimestampTz since)
{
	TimestampTz now = kpi_now();

	return former != NULL && since <= now && now - since < KPI_FORMER_SECONDS * USECS_PER_SEC;
}

Oid
kpi_model_relid(const char *relation, const char *former, Oid attached)
{
	Oid			relid = former == NULL ? InvalidOid : kpi_model_relid_by_name(former);

	if (!OidIsValid(relid))
		relid = kpi_model_relid_by_name(relation);
	if (!OidIsValid(relid) && OidIsValid(attached) && get_rel_relkind(attached) != '\0')
		relid = attached;
	return relid;
}

Oid
kpi_model_source_relid(const KpiSource *source)
{
	return kpi_model_relid(source->stored_relation, source->former_relation, source->attached);
}

/* ---- its columns ---- */

Datum
kpi_model_columns(Oid relid)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		isnull;
	Datum		columns;
	MemoryContext old;

	kpi_spi_exec("SELECT coalesce(pg_catalog.jsonb_object_agg(a.attname, pg_catalog.concat_ws(' ',"
				 " a.attnum, a.atttypid, a.atttypmod, a.attcollation::pg_catalog.regcollation,"
				 " (SELECT d.oid FROM pg_catalog.pg_attrdef d"
				 "  WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = 'v'))), '{}')"
				 " FROM pg_catalog.pg_attribute a"
				 " WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped",
				 1, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));
	columns = kpi_spi_datum(0, 1, &isnull);
	old = MemoryContextSwitchTo(caller);
	columns = datumCopy(columns, false, -1);
	MemoryContextSwitchTo(old);
	return columns;
}

/* The number with which a column's entry begins. */
static AttrNumber
entry_number(const JsonbValue *value)
{
	char	   *text = pnstrdup(value->val.string.val, value->val.string.len);

	return (AttrNumber) atoi(text);
}

/* The name of a column; NULL: it was dropped. */
static char *
column_name(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attno));
	char	   *name = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	if (!((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped)
		name = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
	ReleaseSysCache(tuple);
	return name;
}

/* Whether a column of this name was seen, and is dropped. */
static bool
takes_place(Oid relid, const Jsonb *columns, const char *name)
{
	JsonbValue	key = {.type = jbvString};
	JsonbValue *value;

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	value = findJsonbValueFromContainer(&unconstify(Jsonb *, columns)->root, JB_FOBJECT, &key);
	return value != NULL && value->type == jbvString && column_name(relid, entry_number(value)) == NULL;
}

/*
 * One that has taken the name of a column that was dropped is not followed: then
 * the name is what the definition means.
 */
static List *
find_renames(Oid relid, Jsonb *columns)
{
	JsonbIterator *it = JsonbIteratorInit(&columns->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	char	   *seen = NULL;
	List	   *renames = NIL;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *name;

		if (token == WJB_KEY)
			seen = pnstrdup(value.val.string.val, value.val.string.len);
		if (token != WJB_VALUE || value.type != jbvString)
			continue;
		name = column_name(relid, entry_number(&value));
		if (name != NULL && strcmp(name, seen) != 0 && !takes_place(relid, columns, name))
		{
			KpiColumnRename *rename = palloc(sizeof(KpiColumnRename));

			rename->from = seen;
			rename->to = name;
			renames = lappend(renames, rename);
		}
	}
	return renames;
}

/*
 * Another table that has come under the name may be made by the new names as well:
 * of it only those count that it has, and not the old ones.
 */
List *
kpi_model_renames_for(Oid relid, Oid attached, Jsonb *columns)
{
	List	   *renames = NIL;
	ListCell   *lc;

	if (!OidIsValid(attached) || !OidIsValid(relid) || relid == attached)
		return OidIsValid(attached) && OidIsValid(relid) ? find_renames(attached, columns) : NIL;
	foreach(lc, find_renames(attached, columns))
	{
		KpiColumnRename *rename = lfirst(lc);

		if (get_attnum(relid, rename->from) == InvalidAttrNumber && get_attnum(relid, rename->to) > 0)
			renames = lappend(renames, rename);
	}
	return renames;
}

List *
kpi_model_renames(int32 source_id, Oid relid)
{
	List	   *renames = NIL;
	KpiRows		rows;
	Datum		columns;
	bool		isnull;

	kpi_rows_begin_read(&rows, "SELECT s.relid, s.columns FROM kpi_internal.source_state s WHERE s.source_id = $1",
						1, KPI_INT4(source_id));
	if (kpi_rows_next(&rows))
	{
		columns = kpi_rows_datum(&rows, "columns", &isnull);
		if (!isnull)
			renames = kpi_model_renames_for(relid, kpi_rows_oid(&rows, "relid"), DatumGetJsonbP(columns));
	}
	kpi_rows_end(&rows);
	return renames;
}

/* ---- in a definition that was loaded ---- */

static void
rename_in(char **text, const List *renames)
{
	*text = kpi_expr_rename_columns(*text, renames);
}

void
kpi_model_rename_source(KpiSource *source)
{
	const List *renames = source->renames;
	ListCell   *lc;

	if (renames == NIL)
		return;
	rename_in(&source->filter, renames);
	rename_in(&source->loaded_at, renames);
	for (int d = 0; d < source->ndims; d++)
		rename_in(&source->dim_exprs[d], renames);
	for (int s = 0; s < source->nstreams; s++)
	{
		KpiStream  *stream = &source->streams[s];

		rename_in(&stream->owner, renames);
		rename_in(&stream->at, renames);
		rename_in(&stream->currency, renames);
		for (int m = 0; m < stream->nmeasures; m++)
		{
			foreach(lc, stream->measures[m].inputs)
				lfirst(lc) = kpi_expr_rename_columns(lfirst(lc), renames);
		}
	}
}
