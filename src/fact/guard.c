/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Expressions that cannot fail as long as the columns hold usual values.
 *
 * An expression that cannot fail needs no protection.  closed_at - created_at
 * raises an error only if one of the two is infinite, price * quantity only
 * if a number has tens of thousands of digits.  A test of the columns for
 * each row is far cheaper than a subtransaction, so such expressions get
 * guards: columns to test.  While all guards hold, the expression may be
 * evaluated unprotected.
 *
 * Only operators whose arguments are columns, constants and other guarded
 * operators are taken; anything else keeps the risk that expr/risk.c says.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/*
 * With this bit in its first word a numeric is stored in the short format,
 * below 10^256 and with at most 63 decimals, or is NaN or infinite.  Whatever
 * MAX_GUARDED_NODES operators make of such numbers is far within numeric's
 * limits.
 */
#define SMALL_NUMERIC_BIT 0x8000
#define MAX_GUARDED_NODES 100

/* Within 146,000 years of 2000: not infinite, and differences fit. */
#define USUAL_TIMESTAMP (INT64CONST(1) << 62)

typedef struct GuardSearch
{
	Bitmapset  *columns;
	int			nodes;
} GuardSearch;

/* Tests a column's value: numeric, timestamp or timestamptz. */
static bool
guard_holds(Oid type, Datum value)
{
	if (type == NUMERICOID)
	{
		struct varlena *numeric = (struct varlena *) DatumGetPointer(value);
		uint16		word;

		if (VARATT_IS_EXTERNAL(numeric) || VARATT_IS_COMPRESSED(numeric))
			return false;
		memcpy(&word, VARDATA_ANY(numeric), sizeof(word));
		return (word & SMALL_NUMERIC_BIT) != 0;
	}
	return DatumGetTimestamp(value) > -USUAL_TIMESTAMP && DatumGetTimestamp(value) < USUAL_TIMESTAMP;
}

static bool
is_guarded_type(Oid type)
{
	return type == NUMERICOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
}

static bool
is_usual_constant(Const *constant)
{
	return constant->constisnull ||
		(is_guarded_type(constant->consttype) &&
		 guard_holds(constant->consttype, constant->constvalue));
}

static bool
is_zero(Node *node)
{
	Const	   *constant = (Const *) node;

	return !IsA(node, Const) || constant->constisnull ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, constant->constvalue,
										  NumericGetDatum(int64_to_numeric(0)))) == 0;
}

static bool is_guarded(Node *node, GuardSearch *search);

static bool
is_guarded_call(Oid funcid, List *args, GuardSearch *search)
{
	ListCell   *lc;

	switch (funcid)
	{
		case F_TIMESTAMP_MI:
		case F_TIMESTAMPTZ_MI:
		case F_NUMERIC_ADD:
		case F_NUMERIC_SUB:
		case F_NUMERIC_MUL:
		case F_NUMERIC_UMINUS:
		case F_NUMERIC_UPLUS:
		case F_NUMERIC_ABS:
		case F_ABS_NUMERIC:
			break;
		case F_NUMERIC_DIV:
			if (is_zero(lsecond(args)))
				return false;
			break;
		case F_NUMERIC_INT2:
		case F_NUMERIC_INT4:
		case F_NUMERIC_INT8:
			return IsA(linitial(args), Var);
		default:
			return false;
	}

	foreach(lc, args)
	{
		if (!is_guarded(lfirst(lc), search))
			return false;
	}
	return true;
}

static bool
is_guarded(Node *node, GuardSearch *search)
{
	if (++search->nodes > MAX_GUARDED_NODES)
		return false;

	switch (nodeTag(node))
	{
		case T_Var:
			if (!is_guarded_type(((Var *) node)->vartype) || ((Var *) node)->varattno <= 0)
				return false;
			search->columns = bms_add_member(search->columns, ((Var *) node)->varattno);
			return true;
		case T_Const:
			return is_usual_constant((Const *) node);
		case T_OpExpr:
			return is_guarded_call(((OpExpr *) node)->opfuncid, ((OpExpr *) node)->args, search);
		case T_FuncExpr:
			return is_guarded_call(((FuncExpr *) node)->funcid, ((FuncExpr *) node)->args, search);
		default:
			return false;
	}
}

/* Puts a constant in place of every guarded operator. */
static Node *
guard_mutator(Node *node, Bitmapset **columns)
{
	GuardSearch search = {0};

	if (node == NULL)
		return NULL;
	if ((IsA(node, OpExpr) || IsA(node, FuncExpr)) && is_guarded(node, &search))
	{
		*columns = bms_add_members(*columns, search.columns);
		return (Node *) makeNullConst(exprType(node), exprTypmod(node), exprCollation(node));
	}
	return expression_tree_mutator(node, guard_mutator, columns);
}

/*
 * The risk of an expression while the guards hold; adds the columns that must
 * be tested to *columns.
 */
KpiExprRisk
kpi_fact_guarded_risk(Node *node, Bitmapset **columns)
{
	return kpi_expr_risk(guard_mutator(node, columns));
}

void
kpi_fact_guards_collect(KpiGuards *guards, TupleDesc desc, const Bitmapset *columns)
{
	int			attno = -1;

	guards->n = 0;
	guards->columns = palloc(sizeof(KpiGuard) * Max(bms_num_members(columns), 1));
	while ((attno = bms_next_member(columns, attno)) >= 0)
	{
		guards->columns[guards->n].attno = attno;
		guards->columns[guards->n].type = TupleDescAttr(desc, attno - 1)->atttypid;
		guards->n++;
	}
}

bool
kpi_fact_guards_hold(const KpiGuards *guards, TupleTableSlot *slot)
{
	for (int i = 0; i < guards->n; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, guards->columns[i].attno, &isnull);

		if (!isnull && !guard_holds(guards->columns[i].type, value))
			return false;
	}
	return true;
}
