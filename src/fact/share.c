/*-------------------------------------------------------------------------
 *
 * share.c
 *	  Conditions that several measures test are evaluated once for a row.
 *
 * KPIs of one source test the same few conditions (stage = 'won') again and
 * again; a comparison of texts costs more than all the rest of a measure.
 * Each condition that occurs more than once becomes a column of a slot of its
 * own, computed before the inputs, which then refer to it as a column of the
 * inner tuple.
 *
 * Only what cannot raise an error is shared: it is now evaluated even where
 * a CASE would have left it out.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

typedef struct ShareSearch
{
	List	   *seen;			/* conditions found so far */
	List	   *shared;			/* those found more than once */
} ShareSearch;

static bool
is_condition(Node *node)
{
	return (IsA(node, OpExpr) || IsA(node, ScalarArrayOpExpr)) &&
		exprType(node) == BOOLOID && kpi_expr_risk(node) == KPI_EXPR_SAFE;
}

static bool
find_walker(Node *node, ShareSearch *search)
{
	if (node == NULL)
		return false;
	if (!is_condition(node))
		return expression_tree_walker(node, find_walker, search);

	if (!list_member(search->seen, node))
		search->seen = lappend(search->seen, node);
	else
		search->shared = list_append_unique(search->shared, node);
	return false;
}

static int
position_in(List *list, Node *node)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		if (equal(lfirst(lc), node))
			return foreach_current_index(lc) + 1;
	}
	return 0;
}

static Node *
refer_mutator(Node *node, List *shared)
{
	int			position;

	if (node == NULL)
		return NULL;
	if (is_condition(node) && (position = position_in(shared, node)) > 0)
		return (Node *) makeVar(INNER_VAR, position, BOOLOID, -1, InvalidOid, 0);
	return expression_tree_mutator(node, refer_mutator, shared);
}

static List *
target_list(List *nodes)
{
	List	   *targets = NIL;
	ListCell   *lc;

	foreach(lc, nodes)
		targets = lappend(targets, makeTargetEntry(lfirst(lc), list_length(targets) + 1,
												   NULL, false));
	return targets;
}

static ProjectionInfo *
build_projection(List *nodes, ExprContext *econtext)
{
	List	   *targets = target_list(nodes);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(ExecTypeFromTL(targets), &TTSOpsVirtual);

	return ExecBuildProjectionInfo(targets, econtext, slot, NULL, NULL);
}

void
kpi_fact_build_inputs(List *nodes, ExprContext *econtext,
					  ProjectionInfo **conditions, ProjectionInfo **inputs)
{
	ShareSearch search = {0};

	(void) find_walker((Node *) nodes, &search);
	*conditions = search.shared != NIL ? build_projection(search.shared, econtext) : NULL;
	*inputs = build_projection((List *) refer_mutator((Node *) nodes, search.shared), econtext);
}
