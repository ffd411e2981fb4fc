/*-------------------------------------------------------------------------
 *
 * keyed.c
 *	  Loading definitions of keyed sources.
 *
 * A keyed source is a source over the table of its kept rows; this is what it
 * has besides: the query of the rows, and what is to be noted of changes.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/attnum.h"
#include "base/base.h"
#include "lib/stringinfo.h"
#include "model/model.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

static void
load_follows(KpiKeyed *keyed)
{
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT position::integer AS position, relation, query, columns, used"
						" FROM kpi.followed_relation WHERE source_id = $1 ORDER BY position",
						1, KPI_INT4(keyed->source_id));
	while (kpi_rows_next(&rows))
	{
		KpiFollow  *follow = palloc0(sizeof(KpiFollow));
		bool		isnull;

		follow->position = kpi_rows_int4(&rows, "position");
		follow->relation = kpi_rows_text(&rows, "relation");
		follow->query = kpi_rows_text(&rows, "query");
		follow->columns = kpi_rows_texts(&rows, "columns");
		(void) kpi_rows_datum(&rows, "used", &isnull);
		follow->uses_all = isnull;
		follow->used = kpi_rows_texts(&rows, "used");
		keyed->follows = lappend(keyed->follows, follow);
	}
	kpi_rows_end(&rows);
}

static bool
load_keyed(KpiKeyed *keyed)
{
	KpiRows		rows;
	bool		found;

	kpi_rows_begin_read(&rows, "SELECT query, columns, key_columns, entity_columns, is_followed, changed_at,"
						" full_seconds, version, facts_relation"
						" FROM kpi.keyed_source WHERE source_id = $1", 1, KPI_INT4(keyed->source_id));
	found = kpi_rows_next(&rows);
	if (found)
	{
		keyed->query = kpi_rows_text(&rows, "query");
		keyed->columns = kpi_rows_texts(&rows, "columns");
		keyed->key = kpi_rows_texts(&rows, "key_columns");
		keyed->entity = kpi_rows_texts(&rows, "entity_columns");
		keyed->is_followed = kpi_rows_bool(&rows, "is_followed");
		keyed->changed_at = kpi_rows_text(&rows, "changed_at");
		keyed->full_seconds = kpi_rows_int4(&rows, "full_seconds");
		keyed->version = kpi_rows_int4(&rows, "version");
		keyed->facts_relation = kpi_rows_text(&rows, "facts_relation");
	}
	kpi_rows_end(&rows);
	return found;
}

KpiKeyed *
kpi_model_keyed_load(int32 source_id, bool use_active)
{
	KpiKeyed   *keyed = palloc0(sizeof(KpiKeyed));
	bool		found;

	keyed->source_id = source_id;
	if (!use_active)
		PushActiveSnapshot(kpi_snapshot_latest());
	found = load_keyed(keyed);
	if (found)
		load_follows(keyed);
	if (!use_active)
		PopActiveSnapshot();
	return found ? keyed : NULL;
}

char *
kpi_model_type_name(Oid type)
{
	return format_type_extended(type, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* The columns of a row "changed", without values. */
static char *
changed_columns(Oid relid, List *names)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, names)
	{
		AttrNumber	attnum = get_attnum(relid, lfirst(lc));

		if (attnum == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("table \"%s\" has no column \"%s\"", get_rel_name(relid), (char *) lfirst(lc)),
					 errhint("Name columns of the table that has changed.")));
		appendStringInfo(&sql, "%sNULL::%s AS %s", sql.len > 0 ? ", " : "",
						 kpi_model_type_name(getBaseType(get_atttype(relid, attnum))),
						 quote_identifier(lfirst(lc)));
	}
	return sql.data;
}

char *
kpi_model_follow_text(const char *query, Oid relid, List *columns)
{
	return psprintf("SELECT f.* FROM (SELECT %s) AS changed CROSS JOIN LATERAL (%s\n) AS f",
					changed_columns(relid, columns), query);
}
