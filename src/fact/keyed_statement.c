/*-------------------------------------------------------------------------
 *
 * keyed_statement.c
 *	  Statements over the query of a keyed source and its kept rows: their parts,
 *	  and how they are run.
 *
 * All runs as the source's definer in a security-restricted operation, and never by
 * a text that is looked up twice: a statement is analysed, what it reads is compared with
 * what was locked and checked, and that tree is rewritten, planned and run (see
 * cells.c for why).  Columns of the query are called c1 to cn in statements, so no name
 * of a user's can clash with ours; types are compared by their own equality.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/nodeFuncs.h"
#include "nodes/params.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

/* ---- the kept table and its columns ---- */

int
kpi_fact_kept_column(const KpiKept *kept, const char *name)
{
	for (int i = 0; i < kept->ncolumns; i++)
	{
		if (strcmp(kept->columns[i].name, name) == 0)
			return i + 1;
	}
	elog(ERROR, "query of source \"%s\" has no column \"%s\"", kept->source->name, name);
	return 0;
}

static List *
column_numbers(const KpiKept *kept, List *names)
{
	List	   *numbers = NIL;
	ListCell   *lc;

	foreach(lc, names)
		numbers = lappend_int(numbers, kpi_fact_kept_column(kept, lfirst(lc)));
	return numbers;
}

/*
 * In the order of the query.  Columns are known by their names, so that those of the table may
 * stand in another order.
 */
KpiKept *
kpi_fact_kept_open(const KpiSource *source, const KpiKeyed *keyed, Oid relid)
{
	KpiKept    *kept = palloc0(sizeof(KpiKept));
	ListCell   *lc;

	kept->source = source;
	kept->keyed = keyed;
	kept->relid = relid;
	kept->name = kpi_fact_table_name(relid);
	kept->columns = palloc0(Max(list_length(keyed->columns), 1) * sizeof(KpiKeptColumn));
	foreach(lc, keyed->columns)
	{
		KpiKeptColumn *column = &kept->columns[kept->ncolumns++];
		AttrNumber	attnum = get_attnum(relid, lfirst(lc));

		column->name = lfirst(lc);
		column->type = attnum == InvalidAttrNumber ? InvalidOid : get_atttype(relid, attnum);
	}
	kept->key = column_numbers(kept, keyed->key);
	kept->entity = column_numbers(kept, keyed->entity);
	return kept;
}

void
kpi_fact_kept_begin(KpiUser *user, const KpiSource *source)
{
	kpi_user_switch(user, kpi_model_source_definer(source));
	kpi_settings_pin(KPI_SETTINGS_ALL);
	(void) set_config_option("TimeZone", source->time_zone, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* ---- parts of statements ---- */

/* "c1, c2, c3", each with a prefix. */
char *
kpi_fact_sql_columns(const KpiKept *kept, const char *prefix)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= kept->ncolumns; i++)
		appendStringInfo(&sql, "%s%sc%d", i > 1 ? ", " : "", prefix, i);
	return sql.data;
}

/* As the types of the table: values of a domain are kept without it. */
char *
kpi_fact_sql_values(const KpiKept *kept, const char *prefix)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= kept->ncolumns; i++)
		appendStringInfo(&sql, "%s%sc%d::%s", i > 1 ? ", " : "", prefix, i,
						 format_type_extended(kept->columns[i - 1].type, -1,
											  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	return sql.data;
}

/* The names that they have in the table. */
char *
kpi_fact_sql_names(const KpiKept *kept, const char *prefix)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < kept->ncolumns; i++)
		appendStringInfo(&sql, "%s%s%s", i > 0 ? ", " : "", prefix, quote_identifier(kept->columns[i].name));
	return sql.data;
}

char *
kpi_fact_sql_some(List *numbers, const char *prefix, const char *separator, const char *suffix)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, numbers)
		appendStringInfo(&sql, "%s%sc%d%s", sql.len > 0 ? separator : "", prefix, lfirst_int(lc), suffix);
	return sql.data;
}

/* Rows without a key, or that are of no entity, are no facts. */
char *
kpi_fact_sql_complete(const KpiKept *kept, const char *prefix)
{
	return kpi_fact_sql_some(list_concat_unique_int(list_copy(kept->key), kept->entity), prefix, " AND ", " IS NOT NULL");
}

/* The equality of a column's type, as its index has it. */
char *
kpi_fact_sql_equality(const KpiKept *kept, int number)
{
	TypeCacheEntry *type = lookup_type_cache(kept->columns[number - 1].type, TYPECACHE_EQ_OPR);
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(type->eq_opr));
	Form_pg_operator form;
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s of column \"%s\" has no equality", format_type_be(kept->columns[number - 1].type),
						kept->columns[number - 1].name)));
	form = (Form_pg_operator) GETSTRUCT(tuple);
	text = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return text;
}

/* left.c1 = right.c1 AND ... */
char *
kpi_fact_sql_equal(const KpiKept *kept, List *numbers, const char *left, const char *right)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, numbers)
		appendStringInfo(&sql, "%s%sc%d %s %sc%d", sql.len > 0 ? " AND " : "", left, lfirst_int(lc),
						 kpi_fact_sql_equality(kept, lfirst_int(lc)), right, lfirst_int(lc));
	return sql.data;
}

/* The entities as rows: unnest($1, $2) AS e(c1, c4). */
char *
kpi_fact_sql_entities(const KpiKept *kept)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= list_length(kept->entity); i++)
		appendStringInfo(&sql, "%s$%d", i > 1 ? ", " : "", i);
	return psprintf("unnest(%s) AS e(%s)", sql.data, kpi_fact_sql_some(kept->entity, "", ", ", ""));
}

char *
kpi_fact_sql_query(const KpiKept *kept)
{
	return psprintf("(%s) AS q(%s)", kept->keyed->query, kpi_fact_sql_columns(kept, ""));
}

/* ---- running ---- */


static Oid
array_type(Oid type)
{
	Oid			array = get_array_type(getBaseType(type));

	if (!OidIsValid(array))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type %s has no array type", format_type_be(type)),
				 errhint("Cast the column to another type.")));
	return array;
}

void
kpi_fact_statement_params(KpiStatement *statement, int n, const Oid *types, const Datum *values)
{
	statement->nparams = n;
	statement->types = palloc(Max(n, 1) * sizeof(Oid));
	statement->params = makeParamList(n);
	for (int i = 0; i < n; i++)
	{
		ParamExternData *param = &statement->params->params[i];

		statement->types[i] = types[i];
		param->value = values[i];
		param->isnull = false;
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = types[i];
	}
}

void
kpi_fact_statement_entities(const KpiKept *kept, KpiStatement *statement, const KpiEntities *entities)
{
	Oid			types[KPI_MAX_ENTITY_COLUMNS];
	int			n = 0;
	ListCell   *lc;

	if (entities == NULL)
	{
		kpi_fact_statement_params(statement, 0, NULL, NULL);
		return;
	}
	foreach(lc, kept->entity)
		types[n++] = array_type(kept->columns[lfirst_int(lc) - 1].type);
	kpi_fact_statement_params(statement, n, types, entities->arrays);
	statement->is_for_any = entities->is_for_any;
}

/* Only what was locked and checked may be read: names may have come to mean something else. */
static void
check_relations(const KpiKept *kept, Oid relid)
{
	if (relid == kept->relid || list_member_oid(kept->relids, relid))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s has come to the query of source \"%s\" while it was read",
					kpi_fact_table_name(relid), kept->source->name),
			 errhint("Refresh again.")));
}

static QueryEnvironment *
environment(const KpiKept *kept)
{
	QueryEnvironment *env;
	EphemeralNamedRelation fresh;

	if (kept->fresh == NULL)
		return NULL;
	env = create_queryEnv();
	fresh = palloc0(sizeof(EphemeralNamedRelationData));
	fresh->md.name = KPI_FRESH_ROWS;
	fresh->md.reliddesc = InvalidOid;
	fresh->md.tupdesc = kept->fresh_desc;
	fresh->md.enrtype = ENR_NAMED_TUPLESTORE;
	fresh->md.enrtuples = tuplestore_tuple_count(kept->fresh);
	fresh->reldata = kept->fresh;
	register_ENR(env, fresh);
	return env;
}

/*
 * A kept table that was filled a moment ago has no statistics, and the number of rows
 * that were read is not known to the planner: so it is told that they are few.
 */
static PlannedStmt *
plan_query(Query *query, const KpiStatement *statement, int options)
{
	int			nest_level = NewGUCNestLevel();
	PlannedStmt *plan;

	if (statement->is_of_few)
	{
		(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	}
	plan = pg_plan_query(query, statement->sql, options, statement->is_for_any ? NULL : statement->params);
	AtEOXact_GUC(true, nest_level);
	return plan;
}

void
kpi_fact_statement_plan(const KpiKept *kept, KpiStatement *statement, int options)
{
	char	   *what = psprintf("query of source \"%s\"", kept->source->name);
	Query	   *query = kpi_expr_query_analyse(statement->sql, what, statement->types, statement->nparams,
											   environment(kept), kept->source->code);
	List	   *queries;
	ListCell   *lc;

	foreach(lc, kpi_expr_query_relations(query))
		check_relations(kept, ((KpiQueryRelation *) lfirst(lc))->relid);
	queries = pg_rewrite_query(query);
	if (list_length(queries) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table %s has rules", kept->name),
				 errhint("Drop its rules: the rows of a keyed source are written as the query says.")));
	statement->plan = plan_query(linitial_node(Query, queries), statement, options);
	foreach(lc, statement->plan->relationOids)
		check_relations(kept, lfirst_oid(lc));
}

/* Adds the rows of tables that a plan has looked at. */
static bool
count_rows(PlanState *node, int64 *rows)
{
	if (node->instrument != NULL &&
		(IsA(node, SeqScanState) || IsA(node, IndexScanState) || IsA(node, IndexOnlyScanState) ||
		 IsA(node, BitmapHeapScanState) || IsA(node, ForeignScanState)))
	{
		InstrEndLoop(node->instrument);
		*rows += (int64) (node->instrument->ntuples + node->instrument->nfiltered1);
	}
	return planstate_tree_walker(node, count_rows, rows);
}

static void
run_statement(const KpiKept *kept, KpiStatement *statement, DestReceiver *dest)
{
	QueryDesc  *desc;

	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	desc = CreateQueryDesc(statement->plan, statement->sql, GetActiveSnapshot(), InvalidSnapshot, dest,
						   statement->params, environment(kept), statement->counts_rows ? INSTRUMENT_ROWS : 0);
	ExecutorStart(desc, 0);
	kpi_compat_run_once(desc);
	ExecutorFinish(desc);
	if (statement->counts_rows)
		(void) count_rows(desc->planstate, &statement->rows_read);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	PopActiveSnapshot();
}

Tuplestorestate *
kpi_fact_statement_run(const KpiKept *kept, KpiStatement *statement)
{
	Tuplestorestate *store = tuplestore_begin_heap(true, false, work_mem);
	DestReceiver *dest = CreateDestReceiver(DestTuplestore);

	SetTuplestoreDestReceiverParams(dest, store, CurrentMemoryContext, true, NULL, NULL);
	run_statement(kept, statement, dest);
	dest->rDestroy(dest);
	return store;
}

/* The columns of what a statement that was planned returns. */
TupleDesc
kpi_fact_statement_desc(const KpiStatement *statement)
{
	return ExecCleanTypeFromTL(statement->plan->planTree->targetlist);
}
