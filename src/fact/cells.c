/*-------------------------------------------------------------------------
 *
 * cells.c
 *	  The facts query, grouped into cells.
 *
 * Reading a table runs code of its owner, already while the statement is
 * planned: expressions and predicates of indexes, constraints, statistics.  So
 * what is read must be the relation that was locked and checked, and no
 * lock keeps a schema from being renamed.  Hence the statement is never looked
 * up by name: the facts query is analysed expression by expression over the
 * relation with the given OID, rewritten, planned and run from that one tree.
 *
 * Two roles take part.  The expressions over facts are analysed as the source's
 * definer, as that may run code (constraints of domains in literals).  The
 * grouping around them names the algebra of cells, in a schema on which the
 * definer needs no rights: it is analysed as the extension's owner, over a stub
 * whose columns are parameters with the types and collations of the facts
 * query, and so names nothing of a user.  Then the facts query takes the
 * stub's place, and all is planned and run as the definer.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "base/base.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "cell/cell.h"
#include "executor/executor.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Of one call of kpi_internal.cell_agg(), whose state is an argument as well. */
#define MAX_AGGREGATE_ARGS (FUNC_MAX_ARGS - 2)

/* ---- the facts, as the definer ---- */

Node *
kpi_fact_analyse_text(ParseState *pstate, Oid relid, const char *text, KpiCode *code)
{
	KpiExprSite site;
	Node	   *node;

	kpi_expr_site_push(&site, text, "expression of a source", relid);
	node = kpi_expr_stored(pstate, text, code);
	kpi_expr_site_pop(&site);
	return node;
}

/* ONLY the table unless it is partitioned, as kpi_fact_query() says. */
static Query *
analyse_facts(const KpiSource *source, const KpiStream *stream, const KpiFactPart *part, Relation rel)
{
	ParseState *pstate = kpi_expr_pstate(rel, NULL);
	Oid			relid = RelationGetRelid(rel);
	Query	   *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Oid			at_type = exprType(kpi_fact_analyse_text(pstate, relid, stream->at, source->code));
	ListCell   *lc;

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	foreach(lc, kpi_fact_columns(source, stream, part->measures, relid, at_type))
	{
		KpiFactColumn *column = lfirst(lc);
		Node	   *node = kpi_fact_analyse_text(pstate, relid, column->text, source->code);

		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) node, list_length(query->targetList) + 1,
													pstrdup(column->name), false));
	}
	ref->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(ref),
								   kpi_fact_analyse_text(pstate, relid,
														 kpi_fact_condition(source, stream, at_type, part),
														 source->code));
	linitial_node(RangeTblEntry, pstate->p_rtable)->inh = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	kpi_compat_set_relations(query, pstate);
	return query;
}

/* ---- the cells, as the extension's owner ---- */

/*
 * The cell of a group.  A function takes FUNC_MAX_ARGS arguments at most, so
 * that many measures need several aggregates, whose cells are merged.
 */
static void
append_cell(StringInfo sql, const KpiLayout *layout)
{
	int			first = 0;

	while (first < layout->nmeasures)
	{
		StringInfoData spec;
		StringInfoData inputs;
		int			nargs = 1;
		int			i;

		initStringInfo(&spec);
		initStringInfo(&inputs);
		for (i = first; i < layout->nmeasures; i++)
		{
			const KpiLayoutMeasure *m = &layout->measures[i];

			if (nargs + m->ninputs > MAX_AGGREGATE_ARGS)
				break;
			nargs += m->ninputs;
			if (i > first)
				appendStringInfoChar(&spec, ',');
			kpi_cell_layout_append(&spec, m);
			for (int j = 1; j <= m->ninputs; j++)
				appendStringInfo(&inputs, ", f.m%d_%d", m->id, j);
		}
		appendStringInfo(sql, "%skpi_internal.cell_agg(%s%s)",
						 first > 0 ? " OPERATOR(kpi.+) " : "",
						 quote_literal_cstr(spec.data), inputs.data);
		first = i;
	}
}

/* The text, with $n for column n of the facts query. */
static char *
cells_text(const KpiSource *source, const KpiStream *stream, const KpiFactPart *part, List *columns)
{
	int			ndims = kpi_model_stream_ndims(source, stream);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT (f.owner)::text AS owner, f.day, ");
	if (ndims == 0)
		appendStringInfoString(&sql, "NULL::text[] AS dims, ");
	else
	{
		for (int i = 0; i < ndims; i++)
			appendStringInfo(&sql, "%s(f.%s)::text", i == 0 ? "ARRAY[" : ", ",
							 quote_identifier(kpi_model_stream_dim_name(source, stream, i)));
		appendStringInfoString(&sql, "] AS dims, ");
	}
	append_cell(&sql, kpi_model_stream_layout(stream, part->measures));
	appendStringInfoString(&sql, " AS cell, pg_catalog.count(*) AS facts\n  FROM (");
	for (int i = 0; i < list_length(columns); i++)
		appendStringInfo(&sql, "%s$%d AS %s", i == 0 ? "SELECT " : ", ", i + 1,
						 quote_identifier(list_nth_node(TargetEntry, columns, i)->resname));
	appendStringInfoString(&sql, ") f\n GROUP BY f.owner, f.day");
	for (int i = 0; i < ndims; i++)
		appendStringInfo(&sql, ", f.%s", quote_identifier(kpi_model_stream_dim_name(source, stream, i)));
	return sql.data;
}

static Node *
column_hook(ParseState *pstate, ParamRef *ref)
{
	List	   *columns = pstate->p_ref_hook_state;
	Node	   *expr = (Node *) list_nth_node(TargetEntry, columns, ref->number - 1)->expr;
	Param	   *param = makeNode(Param);

	param->paramkind = PARAM_EXTERN;
	param->paramid = ref->number;
	param->paramtype = exprType(expr);
	param->paramtypmod = exprTypmod(expr);
	param->paramcollid = exprCollation(expr);
	param->location = ref->location;
	return (Node *) param;
}

static void
setup_columns(ParseState *pstate, void *columns)
{
	pstate->p_paramref_hook = column_hook;
	pstate->p_ref_hook_state = columns;
}

Query *
kpi_fact_analyse_over(const char *sql, List *columns)
{
	RawStmt    *raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	KpiUser		user;
	Query	   *query;

	kpi_user_switch(&user, kpi_extension_owner());
	query = parse_analyze_withcb(raw, sql, setup_columns, columns, NULL);
	kpi_user_restore(&user);
	return query;
}

/* ---- both ---- */

void
kpi_fact_check_relations(const PlannedStmt *plan, Oid relid, List *leaves)
{
	List	   *others = list_difference_oid(plan->relationOids, leaves);
	ListCell   *lc;

	foreach(lc, others)
	{
		Oid			other = lfirst_oid(lc);

		if (other != relid && get_rel_relkind(other) != RELKIND_PARTITIONED_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table %s has come to table %s while its facts were read",
							kpi_fact_table_name(other), kpi_fact_table_name(relid)),
					 errhint("Refresh again.")));
	}
}

/* The casts of keys to text may be users'; all else of the grouping is ours. */
static void
check_key_casts(const KpiSource *source, const Query *cells)
{
	ListCell   *lc;

	foreach(lc, cells->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (entry->resjunk ||
			(strcmp(entry->resname, "owner") != 0 && strcmp(entry->resname, "dims") != 0))
			continue;
		kpi_expr_check_access(NULL, (Node *) entry->expr);
		kpi_expr_code_check(source->code, (Node *) entry->expr);
	}
}

/* The statement over the table, which is open. */
static PlannedStmt *
plan_cells(const KpiSource *source, const KpiStream *stream, const KpiFactPart *part, Relation rel,
		   List *leaves, int options, char **sql)
{
	Query	   *facts;
	Query	   *cells;
	PlannedStmt *plan;

	if (rel->rd_rel->relkind != RELKIND_RELATION && rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table any more", RelationGetRelationName(rel)),
				 errhint("Create the table again.")));
	facts = analyse_facts(source, stream, part, rel);
	*sql = cells_text(source, stream, part, facts->targetList);
	cells = kpi_fact_analyse_over(*sql, facts->targetList);

	check_key_casts(source, cells);
	linitial_node(RangeTblEntry, cells->rtable)->subquery = facts;
	plan = pg_plan_query(linitial_node(Query, pg_rewrite_query(cells)), *sql, options, NULL);
	kpi_fact_check_relations(plan, RelationGetRelid(rel), leaves);
	return plan;
}

void
kpi_fact_cells_run(const KpiSource *source, const KpiStream *stream, const KpiFactPart *part, Oid relid,
				   List *leaves, DestReceiver *dest)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi cells query",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel = table_open(relid, AccessShareLock);
	char	   *sql;
	PlannedStmt *plan = plan_cells(source, stream, part, rel, leaves, CURSOR_OPT_PARALLEL_OK, &sql);
	QueryDesc  *desc;

	desc = CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot, dest, NULL, NULL, 0);
	ExecutorStart(desc, 0);
	kpi_compat_run_once(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	table_close(rel, NoLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* What comes out of the scans below the grouping. */
static double
rows_below(const Plan *plan)
{
	while (IsA(plan, Agg) || IsA(plan, Sort) || IsA(plan, IncrementalSort) || IsA(plan, Result))
	{
		if (plan->lefttree == NULL)
			break;
		plan = plan->lefttree;
	}
	return plan->plan_rows;
}

void
kpi_fact_cells_estimate(const KpiSource *source, const KpiStream *stream, const KpiFactPart *part, Oid relid,
						List *leaves, KpiFactEstimate *estimate)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi cells query",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel = table_open(relid, AccessShareLock);
	char	   *sql;
	PlannedStmt *plan = plan_cells(source, stream, part, rel, leaves, 0, &sql);

	estimate->facts = rows_below(plan->planTree);
	estimate->cost = plan->planTree->total_cost;
	table_close(rel, NoLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
