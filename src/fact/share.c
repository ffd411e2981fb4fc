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
 * A short list, stage IN ('won', 'lost'), is taken as the comparisons that it
 * stands for, which other measures are likely to make as well.
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
#include "utils/array.h"
#include "utils/lsyscache.h"

/* The longest list that is taken apart. */
#define MAX_ALTERNATIVES 4

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

/*
 * x = ANY (list) as x = first OR x = second ...; NIL if it is another test or the
 * list is none of constants or too long.  The operator is strict, so the two say
 * the same of nulls.
 */
static List *
alternatives(ScalarArrayOpExpr *test)
{
	Const	   *list = lsecond(test->args);
	ArrayType  *array;
	Oid			type;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	List	   *comparisons = NIL;

	if (!test->useOr || !IsA(list, Const) || list->constisnull || !func_strict(test->opfuncid))
		return NIL;
	array = DatumGetArrayTypeP(list->constvalue);
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (n < 1 || n > MAX_ALTERNATIVES)
		return NIL;

	type = ARR_ELEMTYPE(array);
	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	deconstruct_array(array, type, typlen, typbyval, typalign, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		Const	   *value = makeConst(type, -1, get_typcollation(type), typlen, values[i], nulls[i], typbyval);
		OpExpr	   *comparison = (OpExpr *) make_opclause(test->opno, BOOLOID, false,
														  linitial(test->args), (Expr *) value,
														  InvalidOid, test->inputcollid);

		comparison->opfuncid = test->opfuncid;
		comparisons = lappend(comparisons, comparison);
	}
	return comparisons;
}

static Node *
expand_mutator(Node *node, void *context)
{
	List	   *comparisons;

	if (node == NULL)
		return NULL;
	if (!IsA(node, ScalarArrayOpExpr) || !is_condition(node) ||
		(comparisons = alternatives((ScalarArrayOpExpr *) node)) == NIL)
		return expression_tree_mutator(node, expand_mutator, context);
	if (list_length(comparisons) == 1)
		return linitial(comparisons);
	return (Node *) makeBoolExpr(OR_EXPR, comparisons, -1);
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

	nodes = (List *) expand_mutator((Node *) nodes, NULL);
	(void) find_walker((Node *) nodes, &search);
	*conditions = search.shared != NIL ? build_projection(search.shared, econtext) : NULL;
	*inputs = build_projection((List *) refer_mutator((Node *) nodes, search.shared), econtext);
}
