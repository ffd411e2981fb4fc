/*-------------------------------------------------------------------------
 *
 * keyed_behind.c
 *	  What is behind the rows that a keyed source keeps: those of the followed tables; and the rows
 *	  of its query that are kept nowhere.
 *
 * For who looks at single facts.  A follow query says which entities a row touches; asked
 * of all rows of its table, with the condition that the entity is one, it says which rows
 * touch it, and where it is no more than columns of the row, an index on these is used.
 *
 * As in keyed.c the current user is the definer, and statements read only what was
 * examined and locked.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "base/base.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "fact/fact_internal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Names of columns of "changed" that no follow query has. */
#define ROW_TABLE "\"pg_kpi table\""
#define ROW_ID "\"pg_kpi ctid\""
#define ROW_KEY "\"pg_kpi key\""
#define ROW_DATA "\"pg_kpi row\""

KpiKept *
kpi_fact_kept_behind(const KpiSource *source, const KpiKeyed *keyed, Oid relid)
{
	KpiKept    *kept = kpi_fact_kept_open(source, keyed, relid);
	KpiLockWait wait;
	ListCell   *lc;

	kept->relids = kpi_fact_keyed_examine(source, keyed, relid)->relids;
	foreach(lc, kept->relids)
	{
		kpi_fact_lock_wait_begin(&wait, kpi_fact_table_name(lfirst_oid(lc)));
		LockRelationOid(lfirst_oid(lc), AccessShareLock);
		kpi_fact_lock_wait_end(&wait);
	}
	return kept;
}

Datum *
kpi_fact_kept_entity(const KpiKept *kept, TupleTableSlot *row)
{
	Datum	   *entity = palloc(list_length(kept->entity) * sizeof(Datum));
	ListCell   *lc;

	foreach(lc, kept->entity)
	{
		const KpiKeptColumn *column = &kept->columns[lfirst_int(lc) - 1];
		bool		isnull;
		Datum		value = slot_getattr(row, get_attnum(kept->relid, column->name), &isnull);

		if (isnull)
			elog(ERROR, "a kept row of source \"%s\" has no entity", kept->source->name);
		entity[foreach_current_index(lc)] = datumCopy(value, get_typbyval(column->type), get_typlen(column->type));
	}
	return entity;
}

/* ---- rows of a followed table ---- */

/* The key of a row as SQL. */
static char *
key_text(Oid relid, const char *row)
{
	Oid			constraint;
	Bitmapset  *columns = get_primary_key_attnos(relid, true, &constraint);
	StringInfoData sql;
	int			column = -1;

	if (columns == NULL)
		return "NULL::text";
	initStringInfo(&sql);
	while ((column = bms_next_member(columns, column)) >= 0)
		appendStringInfo(&sql, ", %s.%s::text", row,
						 quote_identifier(get_attname(relid, column + FirstLowInvalidHeapAttributeNumber, false)));
	return psprintf("concat_ws(', '%s)", sql.data);
}

static char *
noted_columns(const KpiFollow *follow, const char *row)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, follow->columns)
		appendStringInfo(&sql, ", %s.%s", row, quote_identifier(lfirst(lc)));
	return sql.data;
}

/* That the entity of a follow query is the wanted one. */
static char *
is_entity(const KpiKept *kept, StringInfo names)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	initStringInfo(names);
	foreach(lc, kept->entity)
	{
		int			n = foreach_current_index(lc) + 1;

		appendStringInfo(names, "%se%d", n > 1 ? ", " : "", n);
		appendStringInfo(&sql, "%sf.e%d::%s %s $%d", n > 1 ? " AND " : "", n,
						 kpi_model_type_name(getBaseType(kept->columns[lfirst_int(lc) - 1].type)),
						 kpi_fact_sql_equality(kept, lfirst_int(lc)), n);
	}
	return sql.data;
}

static char *
events_text(const KpiKept *kept, const KpiFollow *follow, Oid relid)
{
	StringInfoData names;
	char	   *condition = is_entity(kept, &names);

	return psprintf("SELECT r.key, r.data FROM (SELECT DISTINCT ON (changed." ROW_TABLE ", changed." ROW_ID ")"
					" changed." ROW_KEY " AS key, changed." ROW_DATA " AS data"
					" FROM (SELECT t.tableoid AS " ROW_TABLE ", t.ctid AS " ROW_ID ", %s AS " ROW_KEY ", to_jsonb(t.*) AS " ROW_DATA "%s"
					" FROM %s%s AS t) AS changed CROSS JOIN LATERAL (%s\n) AS f(%s) WHERE %s) AS r"
					" ORDER BY r.key COLLATE \"C\", r.data",
					key_text(relid, "t"), noted_columns(follow, "t"),
					get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ", follow->relation,
					follow->query, names.data, condition);
}

void
kpi_fact_kept_events(const KpiKept *kept, const KpiFollow *follow, const Datum *entity,
					 void (*take) (void *arg, TupleTableSlot *row), void *arg)
{
	KpiStatement statement = {0};
	Oid			types[KPI_MAX_ENTITY_COLUMNS];
	Tuplestorestate *rows;
	TupleTableSlot *slot;
	ListCell   *lc;

	foreach(lc, kept->entity)
		types[foreach_current_index(lc)] = getBaseType(kept->columns[lfirst_int(lc) - 1].type);
	statement.sql = events_text(kept, follow, kpi_model_relid_by_name(follow->relation));
	kpi_fact_statement_params(&statement, list_length(kept->entity), types, entity);
	kpi_fact_statement_plan(kept, &statement, 0);
	rows = kpi_fact_statement_run(kept, &statement);
	slot = MakeSingleTupleTableSlot(kpi_fact_statement_desc(&statement), &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		slot_getallattrs(slot);
		take(arg, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(rows);
}

/* ---- rows that are no facts ---- */

void
kpi_fact_kept_incomplete(const KpiKept *kept, bool without_key, void (*take) (void *arg, TupleTableSlot *row), void *arg)
{
	Relation	rel = table_open(kept->relid, AccessShareLock);
	TupleTableSlot *row = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
	KpiStatement statement = {0};
	Tuplestorestate *rows;
	TupleTableSlot *slot;
	char	   *has_key = kpi_fact_sql_some(kept->key, "q.", " AND ", " IS NOT NULL");

	statement.sql = psprintf("SELECT %s FROM %s WHERE %s(%s)", kpi_fact_sql_values(kept, "q."), kpi_fact_sql_query(kept),
							 without_key ? "NOT " : "", without_key ? has_key :
							 psprintf("%s AND NOT (%s)", has_key, kpi_fact_sql_some(kept->entity, "q.", " AND ", " IS NOT NULL")));
	kpi_fact_statement_params(&statement, 0, NULL, NULL);
	kpi_fact_statement_plan(kept, &statement, 0);
	rows = kpi_fact_statement_run(kept, &statement);
	slot = MakeSingleTupleTableSlot(kpi_fact_statement_desc(&statement), &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		slot_getallattrs(slot);
		ExecStoreAllNullTuple(row);
		for (int i = 0; i < kept->ncolumns; i++)
		{
			AttrNumber	attnum = get_attnum(kept->relid, kept->columns[i].name);

			row->tts_values[attnum - 1] = slot->tts_values[i];
			row->tts_isnull[attnum - 1] = slot->tts_isnull[i];
		}
		take(arg, row);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(rows);
	ExecDropSingleTupleTableSlot(row);
	table_close(rel, NoLock);
}
