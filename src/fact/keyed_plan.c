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
#include "nodes/value.h"
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

typedef struct JoinWalk
{
	Oid			relid;
	List	   *rtables;		/* of the queries around, the innermost first */
	List	   *columns;		/* char *: that are compared with another
								 * relation's */
} JoinWalk;

static Oid
relation_of(const JoinWalk *walk, const Var *var)
{
	List	   *rtable;

	if (var->varlevelsup >= list_length(walk->rtables))
		return InvalidOid;
	rtable = list_nth(walk->rtables, var->varlevelsup);
	return rt_fetch(var->varno, rtable)->rtekind == RTE_RELATION ? rt_fetch(var->varno, rtable)->relid : InvalidOid;
}

static void
note_join(JoinWalk *walk, Node *left, Node *right)
{
	if (IsA(left, Var) && IsA(right, Var) && relation_of(walk, (Var *) left) == walk->relid &&
		relation_of(walk, (Var *) right) != walk->relid && ((Var *) left)->varattno > 0)
	{
		char	   *name = get_attname(walk->relid, ((Var *) left)->varattno, false);

		if (!list_member(walk->columns, makeString(name)))
			walk->columns = lappend(walk->columns, makeString(name));
	}
}

static bool
join_walker(Node *node, JoinWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		bool		stop;

		walk->rtables = lcons(((Query *) node)->rtable, walk->rtables);
		stop = query_tree_walker((Query *) node, join_walker, walk, 0);
		walk->rtables = list_delete_first(walk->rtables);
		return stop;
	}
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
	{
		Node	   *left = strip_implicit_coercions(linitial(((OpExpr *) node)->args));
		Node	   *right = strip_implicit_coercions(lsecond(((OpExpr *) node)->args));

		note_join(walk, left, right);
		note_join(walk, right, left);
	}
	return expression_tree_walker(node, join_walker, walk);
}

/* The columns by which queries join a table to others, each of which may want an index. */
static char *
index_statements(const PlanWalk *walk, Oid relid)
{
	JoinWalk	joins = {.relid = relid};
	StringInfoData sql;
	ListCell   *lc;

	foreach(lc, walk->reads->queries)
		(void) join_walker(lfirst(lc), &joins);
	initStringInfo(&sql);
	foreach(lc, joins.columns)
		appendStringInfo(&sql, "%sCREATE INDEX ON %s (%s);", sql.len > 0 ? " " : "", kpi_fact_table_name(relid),
						 quote_identifier(strVal(lfirst(lc))));
	return sql.data;
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
tell(PlanWalk *walk, Oid relid, const char *node)
{
	char	   *indexes;

	if (list_member_oid(walk->told, relid) || !list_member_oid(walk->reads->relids, relid) || !is_large(relid))
		return;
	walk->told = lappend_oid(walk->told, relid);
	indexes = index_statements(walk, relid);
	ereport(WARNING,
			(errmsg("source \"%s\" reads table %s as a whole for the entities that a change touches",
					walk->kept->source->name, kpi_fact_table_name(relid)),
			 errdetail("The plan has a %s on it.", node),
			 indexes[0] != '\0' ?
			 errhint("Where such an index is missing, run: %s Else let the query group and join that table by the entity.",
					 indexes) :
			 errhint("Let the query group and join that table by the entity.")));
}

/* ---- plans ---- */

/* An index that is read from end to end. */
static bool
is_full(List *indexqual)
{
	ListCell   *lc;

	foreach(lc, indexqual)
	{
		if (!IsA(lfirst(lc), NullTest))
			return false;
	}
	return true;
}

static void
look_at_scan(PlanWalk *walk, Plan *plan)
{
	Oid			relid = InvalidOid;

	if (IsA(plan, SeqScan) || (IsA(plan, IndexScan) && is_full(((IndexScan *) plan)->indexqual)) ||
		(IsA(plan, IndexOnlyScan) && is_full(((IndexOnlyScan *) plan)->indexqual)))
		relid = rt_fetch(((Scan *) plan)->scanrelid, walk->plan->rtable)->relid;
	if (OidIsValid(relid))
		tell(walk, relid, IsA(plan, SeqScan) ? "Seq Scan" : "full Index Scan");
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
