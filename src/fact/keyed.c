/*-------------------------------------------------------------------------
 *
 * keyed.c
 *	  The rows of a keyed source: read for some entities, compared, kept.
 *
 * The kept table is to have the rows that the query of the source has, each under
 * its key.  Rows are read for entities: for all, or for some, and then what the
 * query says of those is the whole query with a condition on top, so it is what a
 * reading of all would say of them, whatever the query does.  How that is computed is a
 * question of cost alone: an equality with a parameter reaches below a joined
 * aggregate where "= ANY" does not, and "= ANY" reaches below a window function
 * whose partition is only equal to the entity where a parameter does not, so the
 * planner is asked for both and for the whole query.
 *
 * All runs as the source's definer in a security-restricted operation, and never by
 * a text that is looked up twice: a statement is analysed, what it reads is compared with
 * what was locked and checked, and that tree is rewritten, planned and run (see
 * cells.c for why).  Columns of the query are called c1 to cn in statements, so no name
 * of a user's can clash with ours; types are compared by their own equality.
 *
 * Caller's part: the current user is the definer (kpi_fact_kept_begin()), the relations
 * are locked, and the snapshot of the run is active.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
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
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#define FRESH "kpi_fresh"

/* ---- the kept table and its columns ---- */

static int
column_number(const KpiKept *kept, const char *name)
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
		numbers = lappend_int(numbers, column_number(kept, lfirst(lc)));
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
static char *
all_columns(const KpiKept *kept, const char *prefix)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= kept->ncolumns; i++)
		appendStringInfo(&sql, "%s%sc%d", i > 1 ? ", " : "", prefix, i);
	return sql.data;
}

/* As the types of the table: values of a domain are kept without it. */
static char *
all_values(const KpiKept *kept, const char *prefix)
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
static char *
all_names(const KpiKept *kept, const char *prefix)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < kept->ncolumns; i++)
		appendStringInfo(&sql, "%s%s%s", i > 0 ? ", " : "", prefix, quote_identifier(kept->columns[i].name));
	return sql.data;
}

static char *
some_columns(List *numbers, const char *prefix, const char *separator, const char *suffix)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, numbers)
		appendStringInfo(&sql, "%s%sc%d%s", sql.len > 0 ? separator : "", prefix, lfirst_int(lc), suffix);
	return sql.data;
}

/* Rows without a key, or that are of no entity, are no facts. */
static char *
is_complete(const KpiKept *kept, const char *prefix)
{
	return some_columns(list_concat_unique_int(list_copy(kept->key), kept->entity), prefix, " AND ", " IS NOT NULL");
}

/* The equality of a column's type, as its index has it. */
static char *
equality(const KpiKept *kept, int number)
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
static char *
equal_columns(const KpiKept *kept, List *numbers, const char *left, const char *right)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, numbers)
		appendStringInfo(&sql, "%s%sc%d %s %sc%d", sql.len > 0 ? " AND " : "", left, lfirst_int(lc),
						 equality(kept, lfirst_int(lc)), right, lfirst_int(lc));
	return sql.data;
}

/* The entities as rows: unnest($1, $2) AS e(c1, c4). */
static char *
entity_rows(const KpiKept *kept)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= list_length(kept->entity); i++)
		appendStringInfo(&sql, "%s$%d", i > 1 ? ", " : "", i);
	return psprintf("unnest(%s) AS e(%s)", sql.data, some_columns(kept->entity, "", ", ", ""));
}

static char *
query_rows(const KpiKept *kept)
{
	return psprintf("(%s) AS q(%s)", kept->keyed->query, all_columns(kept, ""));
}

/* ---- running ---- */

typedef struct Statement
{
	char	   *sql;
	int			nparams;
	Oid		   *types;
	ParamListInfo params;
	PlannedStmt *plan;
	bool		is_for_any;		/* only planned: parameters have no values */
	bool		is_of_few;		/* kept rows, whatever is known of their table */
	bool		counts_rows;	/* that its scans look at */
	int64		rows_read;
} Statement;

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

static void
set_params(Statement *statement, int n, const Oid *types, const Datum *values)
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

static void
set_entities(const KpiKept *kept, Statement *statement, const KpiEntities *entities)
{
	Oid			types[KPI_MAX_ENTITY_COLUMNS];
	int			n = 0;
	ListCell   *lc;

	if (entities == NULL)
	{
		set_params(statement, 0, NULL, NULL);
		return;
	}
	foreach(lc, kept->entity)
		types[n++] = array_type(kept->columns[lfirst_int(lc) - 1].type);
	set_params(statement, n, types, entities->arrays);
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
	fresh->md.name = FRESH;
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
plan_query(Query *query, const Statement *statement, int options)
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

static void
plan_statement(const KpiKept *kept, Statement *statement, int options)
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
run_statement(const KpiKept *kept, Statement *statement, DestReceiver *dest)
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

static Tuplestorestate *
run_to_store(const KpiKept *kept, Statement *statement)
{
	Tuplestorestate *store = tuplestore_begin_heap(true, false, work_mem);
	DestReceiver *dest = CreateDestReceiver(DestTuplestore);

	SetTuplestoreDestReceiverParams(dest, store, CurrentMemoryContext, true, NULL, NULL);
	run_statement(kept, statement, dest);
	dest->rDestroy(dest);
	return store;
}

/* The columns of what a statement that was planned returns. */
static TupleDesc
result_desc(const Statement *statement)
{
	return ExecCleanTypeFromTL(statement->plan->planTree->targetlist);
}

/* ---- which entities ---- */

static void
append_changed(StringInfo sql, const KpiFollow *follow, int first_param)
{
	Oid			relid = kpi_model_relid_by_name(follow->relation);
	int			n = 0;
	StringInfoData arrays;
	ListCell   *lc;

	initStringInfo(&arrays);
	appendStringInfoString(sql, "(SELECT ");
	foreach(lc, follow->columns)
	{
		AttrNumber	attnum = get_attnum(relid, lfirst(lc));
		Oid			type = attnum == InvalidAttrNumber ? TEXTOID : getBaseType(get_atttype(relid, attnum));

		appendStringInfo(&arrays, "%s$%d", n > 0 ? ", " : "", first_param + n);
		n++;
		appendStringInfo(sql, "%su.c%d::%s AS %s", n > 1 ? ", " : "", n, kpi_model_type_name(type),
						 quote_identifier(lfirst(lc)));
	}
	appendStringInfo(sql, " FROM unnest(%s) AS u(", arrays.data);
	for (int i = 1; i <= n; i++)
		appendStringInfo(sql, "%sc%d", i > 1 ? ", " : "", i);
	appendStringInfoString(sql, ")) AS changed");
}

/* Their values become arrays of entity columns. */
static KpiEntities *
collect_entities(const KpiKept *kept, Tuplestorestate *store, TupleDesc desc)
{
	KpiEntities *entities = palloc0(sizeof(KpiEntities));
	int			n = list_length(kept->entity);
	ArrayBuildState **states = palloc0(n * sizeof(ArrayBuildState *));
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);

	for (int i = 0; i < n; i++)
		states[i] = initArrayResult(getBaseType(kept->columns[list_nth_int(kept->entity, i) - 1].type),
									CurrentMemoryContext, false);
	while (tuplestore_gettupleslot(store, true, false, slot))
	{
		slot_getallattrs(slot);
		for (int i = 0; i < n; i++)
			states[i] = accumArrayResult(states[i], slot->tts_values[i], slot->tts_isnull[i],
										 getBaseType(kept->columns[list_nth_int(kept->entity, i) - 1].type),
										 CurrentMemoryContext);
		entities->n++;
	}
	for (int i = 0; i < n; i++)
		entities->arrays[i] = makeArrayResult(states[i], CurrentMemoryContext);
	ExecDropSingleTupleTableSlot(slot);
	return entities;
}

static KpiEntities *
query_entities(const KpiKept *kept, Statement *statement)
{
	Tuplestorestate *store;
	KpiEntities *entities;

	plan_statement(kept, statement, 0);
	store = run_to_store(kept, statement);
	entities = collect_entities(kept, store, result_desc(statement));
	tuplestore_end(store);
	return entities;
}

static char *
entity_casts(const KpiKept *kept, const char *prefix)
{
	StringInfoData sql;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, kept->entity)
	{
		n++;
		appendStringInfo(&sql, "%s%se%d::%s AS e%d", n > 1 ? ", " : "", prefix, n,
						 kpi_model_type_name(getBaseType(kept->columns[lfirst_int(lc) - 1].type)), n);
	}
	return sql.data;
}

static char *
numbered(const char *letter, int n, const char *separator, const char *suffix)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= n; i++)
		appendStringInfo(&sql, "%s%s%d%s", i > 1 ? separator : "", letter, i, suffix);
	return sql.data;
}

static void
entities_statement(const KpiKept *kept, List *notes, Statement *statement)
{
	StringInfoData sql;
	int			nparams = 0;
	int			nentity = list_length(kept->entity);
	Oid		   *types;
	Datum	   *values;
	ListCell   *lc;

	foreach(lc, notes)
		nparams += list_length(((KpiNotes *) lfirst(lc))->follow->columns);
	types = palloc(Max(nparams, 1) * sizeof(Oid));
	values = palloc(Max(nparams, 1) * sizeof(Datum));
	nparams = 0;
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s FROM (", numbered("e", nentity, ", ", ""));
	foreach(lc, notes)
	{
		const KpiNotes *of_one = lfirst(lc);

		appendStringInfo(&sql, "%sSELECT %s FROM ", foreach_current_index(lc) > 0 ? " UNION " : "",
						 entity_casts(kept, "f."));
		append_changed(&sql, of_one->follow, nparams + 1);
		appendStringInfo(&sql, " CROSS JOIN LATERAL (%s\n) AS f(%s)", of_one->follow->query,
						 numbered("e", nentity, ", ", ""));
		for (int i = 0; i < list_length(of_one->follow->columns); i++)
		{
			types[nparams] = TEXTARRAYOID;
			values[nparams++] = of_one->arrays[i];
		}
	}
	appendStringInfo(&sql, ") AS t WHERE %s GROUP BY %s", numbered("e", nentity, " AND ", " IS NOT NULL"),
					 numbered("e", nentity, ", ", ""));
	statement->sql = sql.data;
	set_params(statement, nparams, types, values);
}

KpiEntities *
kpi_fact_kept_entities(const KpiKept *kept, List *notes)
{
	Statement	statement = {0};

	entities_statement(kept, notes, &statement);
	return query_entities(kept, &statement);
}

PlannedStmt *
kpi_fact_kept_plan_follow(const KpiKept *kept, const KpiFollow *follow)
{
	KpiNotes	notes = {.follow = follow};
	Statement	statement = {0};

	notes.arrays = palloc0(list_length(follow->columns) * sizeof(Datum));
	entities_statement(kept, list_make1(&notes), &statement);
	statement.is_for_any = true;
	plan_statement(kept, &statement, 0);
	return statement.plan;
}

/* ---- reading ---- */

static char *
lateral_text(const KpiKept *kept)
{
	return psprintf("SELECT %s FROM %s CROSS JOIN LATERAL (SELECT %s FROM %s WHERE %s OFFSET 0) AS r(%s)",
					all_columns(kept, "r."), entity_rows(kept), all_columns(kept, "q."), query_rows(kept),
					equal_columns(kept, kept->entity, "q.", "e."), all_columns(kept, ""));
}

static char *
any_text(const KpiKept *kept)
{
	int			entity = linitial_int(kept->entity);

	if (list_length(kept->entity) == 1)
		return psprintf("SELECT %s FROM %s WHERE q.c%d %s ANY ($1)", all_columns(kept, "q."), query_rows(kept),
						entity, equality(kept, entity));
	return psprintf("SELECT %s FROM %s WHERE EXISTS (SELECT FROM %s WHERE %s)", all_columns(kept, "q."),
					query_rows(kept), entity_rows(kept), equal_columns(kept, kept->entity, "q.", "e."));
}

static char *
whole_text(const KpiKept *kept)
{
	return psprintf("SELECT %s FROM %s", all_columns(kept, "q."), query_rows(kept));
}

static void
plan_reading(const KpiKept *kept, Statement *statement, char *sql, const KpiEntities *entities)
{
	memset(statement, 0, sizeof(Statement));
	statement->sql = sql;
	set_entities(kept, statement, entities);
	plan_statement(kept, statement, entities ? 0 : CURSOR_OPT_PARALLEL_OK);
}

/* The cheaper of two ways to read some entities. */
static void
plan_cheaper(const KpiKept *kept, Statement *statement, const KpiEntities *entities)
{
	Statement	other;

	plan_reading(kept, statement, lateral_text(kept), entities);
	plan_reading(kept, &other, any_text(kept), entities);
	if (other.plan->planTree->total_cost < statement->plan->planTree->total_cost)
		*statement = other;
}

PlannedStmt *
kpi_fact_kept_plan(KpiKept *kept)
{
	KpiEntities any = {.is_for_any = true};
	Statement	statement;

	plan_cheaper(kept, &statement, &any);
	return statement.plan;
}

void
kpi_fact_kept_end(KpiKept *kept)
{
	if (kept->fresh != NULL)
		tuplestore_end(kept->fresh);
	kept->fresh = NULL;
}

static void
read_rows(KpiKept *kept, Statement *statement)
{
	statement->counts_rows = true;
	kept->fresh_desc = result_desc(statement);
	kept->fresh = run_to_store(kept, statement);
	kept->rows_read += statement->rows_read;
}

void
kpi_fact_kept_read(KpiKept *kept, const KpiEntities *entities)
{
	Statement	statement;

	kpi_fact_kept_end(kept);
	if (entities != NULL)
		plan_cheaper(kept, &statement, entities);
	else
		plan_reading(kept, &statement, whole_text(kept), NULL);
	read_rows(kept, &statement);
}

void
kpi_fact_kept_read_newer(KpiKept *kept, const char *changed_at)
{
	int			number = column_number(kept, changed_at);
	Statement	statement = {0};

	kpi_fact_kept_end(kept);
	statement.sql = psprintf("SELECT %s FROM %s WHERE NOT (q.c%d < (SELECT max(k.%s) FROM ONLY %s AS k)) IS TRUE",
							 all_columns(kept, "q."), query_rows(kept), number, quote_identifier(changed_at),
							 kept->name);
	set_params(&statement, 0, NULL, NULL);
	plan_statement(kept, &statement, CURSOR_OPT_PARALLEL_OK);
	read_rows(kept, &statement);
}

static bool
contains_all(List *numbers, List *others)
{
	ListCell   *lc;

	foreach(lc, others)
	{
		if (!list_member_int(numbers, lfirst_int(lc)))
			return false;
	}
	return true;
}

static char *
fresh_rows(const KpiKept *kept)
{
	return psprintf(FRESH " AS f(%s)", all_columns(kept, ""));
}

static char *
kept_rows(const KpiKept *kept)
{
	return psprintf("(SELECT k.ctid AS kept_row, %s FROM ONLY %s AS k) AS k(kept_row, %s)", all_names(kept, "k."),
					kept->name, all_columns(kept, ""));
}

/* Those of some entities, each looked up by the index, or of all (NULL). */
static char *
kept_rows_of(const KpiKept *kept, const KpiEntities *entities)
{
	if (entities == NULL)
		return psprintf("(SELECT * FROM %s)", kept_rows(kept));
	return psprintf("(SELECT k.* FROM %s CROSS JOIN LATERAL (SELECT * FROM %s WHERE %s OFFSET 0) AS k)",
					entity_rows(kept), kept_rows(kept), equal_columns(kept, kept->entity, "k.", "e."));
}

KpiEntities *
kpi_fact_kept_conflicts(KpiKept *kept, const KpiEntities *entities)
{
	Statement	statement = {0};

	/* A key that says whose it is cannot be kept under another. */
	if (entities == NULL || contains_all(kept->key, kept->entity))
		return NULL;
	/* Those that are kept under these are not looked for one by one. */
	statement.sql = psprintf("SELECT DISTINCT %s FROM (SELECT f.* FROM %s LEFT JOIN %s AS o ON %s WHERE o.kept_row IS NULL OFFSET 0) AS f"
							 " CROSS JOIN LATERAL (SELECT * FROM %s WHERE %s OFFSET 0) AS k WHERE %s",
							 some_columns(kept->entity, "k.", ", ", ""), fresh_rows(kept),
							 kept_rows_of(kept, entities), equal_columns(kept, kept->key, "o.", "f."),
							 kept_rows(kept), equal_columns(kept, kept->key, "k.", "f."),
							 some_columns(kept->entity, "k.", " AND ", " IS NOT NULL"));
	set_entities(kept, &statement, entities);
	statement.is_of_few = true;
	return query_entities(kept, &statement);
}

KpiEntities *
kpi_fact_kept_more(const KpiKept *kept, const KpiEntities *entities, const KpiEntities *more)
{
	KpiEntities *all = palloc0(sizeof(KpiEntities));

	all->n = entities->n + more->n;
	for (int i = 0; i < list_length(kept->entity); i++)
		all->arrays[i] = OidFunctionCall2(F_ARRAY_CAT, entities->arrays[i], more->arrays[i]);
	return all;
}

/* The first row of a statement, as texts. */
static bool
first_row(const KpiKept *kept, Statement *statement, int n, char **texts)
{
	Tuplestorestate *store;
	TupleDesc	desc;
	TupleTableSlot *slot;
	bool		found;

	plan_statement(kept, statement, 0);
	store = run_to_store(kept, statement);
	desc = result_desc(statement);
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	found = tuplestore_gettupleslot(store, true, false, slot);
	for (int i = 0; found && i < n; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, i + 1, &isnull);

		texts[i] = isnull ? NULL : TextDatumGetCString(value);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(store);
	return found;
}

char *
kpi_fact_kept_duplicate(KpiKept *kept)
{
	Statement	statement = {0};
	char	   *key;

	statement.sql = psprintf("SELECT concat_ws(', ', %s) FROM %s WHERE %s GROUP BY %s HAVING count(*) > 1 LIMIT 1",
							 some_columns(kept->key, "f.", ", ", "::text"), fresh_rows(kept), is_complete(kept, "f."),
							 some_columns(kept->key, "f.", ", ", ""));
	set_params(&statement, 0, NULL, NULL);
	return first_row(kept, &statement, 1, &key) ? key : NULL;
}

/* ---- writing ---- */

/*
 * Rows that differ, by key: as they are kept, and as they are to be.  Of some
 * rows, where the others stay as they are.
 */
static char *
difference_body(const KpiKept *kept, const KpiEntities *entities, bool is_part)
{
	return psprintf("FROM %s AS o"
					" %s JOIN (SELECT true AS is_row, %s FROM %s WHERE %s) AS f(is_row, %s) ON %s"
					" WHERE o.kept_row IS NULL OR f.is_row IS NULL OR ROW(%s)::record OPERATOR(pg_catalog.*<>) ROW(%s)::record",
					kept_rows_of(kept, entities), is_part ? "RIGHT" : "FULL",
					all_columns(kept, "f."), fresh_rows(kept), is_complete(kept, "f."), all_columns(kept, ""),
					equal_columns(kept, kept->key, "o.", "f."),
					all_columns(kept, "o."), all_values(kept, "f."));
}

int64
kpi_fact_kept_gain(KpiKept *kept, const KpiEntities *entities)
{
	Statement	statement = {0};
	char	   *gain;

	statement.sql = psprintf("SELECT (count(*) FILTER (WHERE o.kept_row IS NULL) - count(*) FILTER (WHERE f.is_row IS NULL))::text %s",
							 difference_body(kept, entities, false));
	set_entities(kept, &statement, entities);
	statement.is_of_few = entities != NULL;
	(void) first_row(kept, &statement, 1, &gain);
	return pg_strtoint64(gain);
}

static char *
assignments(const KpiKept *kept)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= kept->ncolumns; i++)
		appendStringInfo(&sql, "%s%s = d.c%d", i > 1 ? ", " : "", quote_identifier(kept->columns[i - 1].name), i);
	return sql.data;
}

void
kpi_fact_kept_write(KpiKept *kept, const KpiEntities *entities, bool is_part, KpiKeptChanges *changes)
{
	Statement	statement = {0};
	char	   *texts[4];

	statement.sql =
		psprintf("WITH difference(kept_row, is_row, %s) AS MATERIALIZED (SELECT o.kept_row, f.is_row, %s %s),"
				 " gone AS (DELETE FROM ONLY %s AS k USING difference AS d"
				 "  WHERE k.ctid = d.kept_row AND d.is_row IS NULL RETURNING 1),"
				 " changed AS (UPDATE ONLY %s AS k SET %s FROM difference AS d"
				 "  WHERE k.ctid = d.kept_row AND d.is_row RETURNING 1),"
				 " added AS (INSERT INTO %s (%s) SELECT %s FROM difference AS d WHERE d.kept_row IS NULL RETURNING 1)"
				 " SELECT (SELECT count(*) FROM added)::text, (SELECT count(*) FROM changed)::text,"
				 "  (SELECT count(*) FROM gone)::text, (SELECT count(*) FROM %s WHERE %s)::text",
				 all_columns(kept, ""), all_columns(kept, "f."), difference_body(kept, entities, is_part), kept->name, kept->name, assignments(kept),
				 kept->name, all_names(kept, ""), all_columns(kept, "d."),
				 fresh_rows(kept), is_complete(kept, "f."));
	set_entities(kept, &statement, entities);
	statement.is_of_few = entities != NULL || is_part;
	(void) first_row(kept, &statement, 4, texts);
	CommandCounterIncrement();
	changes->added = pg_strtoint64(texts[0]);
	changes->changed = pg_strtoint64(texts[1]);
	changes->gone = pg_strtoint64(texts[2]);
	changes->kept = pg_strtoint64(texts[3]);
	changes->without_key = tuplestore_tuple_count(kept->fresh) - changes->kept;
}

/* The key of a row that may be missing on either side, as text. */
static char *
either_key(const KpiKept *kept)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, kept->key)
		appendStringInfo(&sql, "%scoalesce(o.c%d, f.c%d)::text", sql.len > 0 ? ", " : "", lfirst_int(lc),
						 lfirst_int(lc));
	return sql.data;
}

void
kpi_fact_kept_compare(KpiKept *kept, const KpiEntities *entities, int limit,
					  void (*tell) (const char *key, bool is_kept, bool is_expected, void *arg), void *arg)
{
	Statement	statement = {0};
	Tuplestorestate *store;
	TupleTableSlot *slot;

	statement.sql = psprintf("SELECT concat_ws(', ', %s), o.kept_row IS NOT NULL, f.is_row IS NOT NULL %s ORDER BY 1 LIMIT %d",
							 either_key(kept), difference_body(kept, entities, false), limit);
	set_entities(kept, &statement, entities);
	plan_statement(kept, &statement, 0);
	store = run_to_store(kept, &statement);
	slot = MakeSingleTupleTableSlot(result_desc(&statement), &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(store, true, false, slot))
	{
		slot_getallattrs(slot);
		tell(TextDatumGetCString(slot->tts_values[0]), DatumGetBool(slot->tts_values[1]),
			 DatumGetBool(slot->tts_values[2]), arg);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(store);
}
