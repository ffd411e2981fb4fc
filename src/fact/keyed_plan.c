/*-------------------------------------------------------------------------
 *
 * keyed_plan.c
 *	  Whether the rows of a few entities can be read without reading whole tables.
 *
 * The planner is asked how it would read them were sequential scans to be avoided.
 * Where it must use one all the same, on a table that is followed and no longer small, each
 * change costs as much as the table is large: an index is missing, or the query
 * does not let the entity through (a common table expression that is used twice, an
 * aggregate that is not grouped by the entity).  That is told when the source is defined;
 * it is right in any case.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "base/base.h"
#include "fact/fact_internal.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* A table of fewer pages is read at once. */
#define SMALL_PAGES 64

typedef struct PlanWalk
{
	const KpiKept *kept;
	const KpiKeyedReads *reads;
	const PlannedStmt *plan;
	List	   *told;			/* OIDs of tables */
} PlanWalk;

/* ---- what is told ---- */

static bool
column_walker(Node *node, List **numbers)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno > 0 && !IS_SPECIAL_VARNO(((Var *) node)->varno))
		*numbers = list_append_unique_int(*numbers, ((Var *) node)->varattno);
	return expression_tree_walker(node, column_walker, numbers);
}

static bool
contain_param(Node *node, void *context)
{
	return node != NULL && (IsA(node, Param) || expression_tree_walker(node, contain_param, context));
}

/* Columns that are compared with something that is known by then. */
static List *
compared_columns(List *qual)
{
	List	   *numbers = NIL;
	ListCell   *lc;

	foreach(lc, qual)
	{
		Node	   *clause = lfirst(lc);

		/* A condition on a constant says nothing of the entity. */
		if (contain_param(clause, NULL))
			(void) column_walker(clause, &numbers);
	}
	return numbers;
}

static char *
index_columns(const PlanWalk *walk, Oid relid, List *qual)
{
	StringInfoData columns;
	List	   *numbers = compared_columns(qual);
	ListCell   *lc;

	initStringInfo(&columns);
	foreach(lc, numbers)
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "",
						 quote_identifier(get_attname(relid, lfirst_int(lc), false)));
	if (numbers != NIL)
		return columns.data;
	foreach(lc, walk->kept->keyed->follows)
	{
		const KpiFollow *follow = lfirst(lc);
		ListCell   *cell;

		if (kpi_model_relid_by_name(follow->relation) != relid)
			continue;
		foreach(cell, follow->columns)
			appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "", quote_identifier(lfirst(cell)));
	}
	return columns.data;
}

static bool
is_large(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		large = RELKIND_HAS_STORAGE(rel->rd_rel->relkind) && RelationGetNumberOfBlocks(rel) > SMALL_PAGES;

	table_close(rel, NoLock);
	return large;
}

static void
tell(PlanWalk *walk, Oid relid, const char *node, List *qual)
{
	char	   *table = kpi_fact_table_name(relid);

	if (list_member_oid(walk->told, relid) || !list_member_oid(walk->reads->relids, relid) || !is_large(relid))
		return;
	walk->told = lappend_oid(walk->told, relid);
	ereport(WARNING,
			(errmsg("source \"%s\" reads table %s as a whole for each entity that a change touches",
					walk->kept->source->name, table),
			 errdetail("The plan has a %s on it.", node),
			 errhint("Run CREATE INDEX ON %s (%s); if that does not help, let the query group and join that table by the entity.",
					 table, index_columns(walk, relid, qual))));
}

/* ---- plans ---- */

static void
look_at_scan(PlanWalk *walk, Plan *plan)
{
	Oid			relid = InvalidOid;

	if (IsA(plan, SeqScan) || (IsA(plan, IndexScan) && ((IndexScan *) plan)->indexqual == NIL) ||
		(IsA(plan, IndexOnlyScan) && ((IndexOnlyScan *) plan)->indexqual == NIL))
		relid = rt_fetch(((Scan *) plan)->scanrelid, walk->plan->rtable)->relid;
	if (OidIsValid(relid))
		tell(walk, relid, IsA(plan, SeqScan) ? "Seq Scan" : "full Index Scan", plan->qual);
}

static void walk_plans(PlanWalk *walk, List *plans);

static void
walk_plan(PlanWalk *walk, Plan *plan)
{
	if (plan == NULL)
		return;
	check_stack_depth();
	look_at_scan(walk, plan);
	walk_plan(walk, plan->lefttree);
	walk_plan(walk, plan->righttree);
	if (IsA(plan, Append))
		walk_plans(walk, ((Append *) plan)->appendplans);
	else if (IsA(plan, MergeAppend))
		walk_plans(walk, ((MergeAppend *) plan)->mergeplans);
	else if (IsA(plan, SubqueryScan))
		walk_plan(walk, ((SubqueryScan *) plan)->subplan);
}

static void
walk_plans(PlanWalk *walk, List *plans)
{
	ListCell   *lc;

	foreach(lc, plans)
		walk_plan(walk, lfirst(lc));
}

static void
walk_statement(PlanWalk *walk, const PlannedStmt *plan)
{
	walk->plan = plan;
	walk_plan(walk, plan->planTree);
	walk_plans(walk, plan->subplans);
}

void
kpi_fact_keyed_warn(KpiKept *kept, const KpiKeyedReads *reads)
{
	PlanWalk	walk = {.kept = kept,.reads = reads};
	int			nest_level = NewGUCNestLevel();
	ListCell   *lc;

	if (!kept->keyed->is_followed)
		return;
	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	walk_statement(&walk, kpi_fact_kept_plan(kept));
	foreach(lc, kept->keyed->follows)
	{
		const KpiFollow *follow = lfirst(lc);

		if (follow->query != NULL)
			walk_statement(&walk, kpi_fact_kept_plan_follow(kept, follow));
	}
	AtEOXact_GUC(true, nest_level);
}
