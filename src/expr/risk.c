/*-------------------------------------------------------------------------
 *
 * risk.c
 *	  How careful the evaluation of a compiled expression must be.
 *
 * Capture evaluates what cannot raise an error without protection, and
 * everything else in a subtransaction; only what may reach a function of a
 * user needs a switch to the source's definer.  When in doubt the answer is
 * the more careful one.  Running out of memory and damaged data are not
 * counted as errors of an expression.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "expr/expr.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* Built-in functions that return for every non-null input. */
static bool
is_total_function(Oid funcid)
{
	switch (funcid)
	{
			/* comparisons */
		case F_BOOLEQ:
		case F_BOOLNE:
		case F_BOOLLT:
		case F_BOOLLE:
		case F_BOOLGT:
		case F_BOOLGE:
		case F_INT2EQ:
		case F_INT2NE:
		case F_INT2LT:
		case F_INT2LE:
		case F_INT2GT:
		case F_INT2GE:
		case F_INT4EQ:
		case F_INT4NE:
		case F_INT4LT:
		case F_INT4LE:
		case F_INT4GT:
		case F_INT4GE:
		case F_INT8EQ:
		case F_INT8NE:
		case F_INT8LT:
		case F_INT8LE:
		case F_INT8GT:
		case F_INT8GE:
		case F_INT24EQ:
		case F_INT24NE:
		case F_INT24LT:
		case F_INT24LE:
		case F_INT24GT:
		case F_INT24GE:
		case F_INT42EQ:
		case F_INT42NE:
		case F_INT42LT:
		case F_INT42LE:
		case F_INT42GT:
		case F_INT42GE:
		case F_INT28EQ:
		case F_INT28NE:
		case F_INT28LT:
		case F_INT28LE:
		case F_INT28GT:
		case F_INT28GE:
		case F_INT82EQ:
		case F_INT82NE:
		case F_INT82LT:
		case F_INT82LE:
		case F_INT82GT:
		case F_INT82GE:
		case F_INT48EQ:
		case F_INT48NE:
		case F_INT48LT:
		case F_INT48LE:
		case F_INT48GT:
		case F_INT48GE:
		case F_INT84EQ:
		case F_INT84NE:
		case F_INT84LT:
		case F_INT84LE:
		case F_INT84GT:
		case F_INT84GE:
		case F_FLOAT8EQ:
		case F_FLOAT8NE:
		case F_FLOAT8LT:
		case F_FLOAT8LE:
		case F_FLOAT8GT:
		case F_FLOAT8GE:
		case F_NUMERIC_EQ:
		case F_NUMERIC_NE:
		case F_NUMERIC_LT:
		case F_NUMERIC_LE:
		case F_NUMERIC_GT:
		case F_NUMERIC_GE:
		case F_TEXTEQ:
		case F_TEXTNE:
		case F_TEXT_LT:
		case F_TEXT_LE:
		case F_TEXT_GT:
		case F_TEXT_GE:
		case F_BPCHAREQ:
		case F_BPCHARNE:
		case F_BPCHARLT:
		case F_BPCHARLE:
		case F_BPCHARGT:
		case F_BPCHARGE:
		case F_UUID_EQ:
		case F_UUID_NE:
		case F_UUID_LT:
		case F_UUID_LE:
		case F_UUID_GT:
		case F_UUID_GE:
		case F_ENUM_EQ:
		case F_ENUM_NE:
		case F_DATE_EQ:
		case F_DATE_NE:
		case F_DATE_LT:
		case F_DATE_LE:
		case F_DATE_GT:
		case F_DATE_GE:
		case F_TIMESTAMP_EQ:
		case F_TIMESTAMP_NE:
		case F_TIMESTAMP_LT:
		case F_TIMESTAMP_LE:
		case F_TIMESTAMP_GT:
		case F_TIMESTAMP_GE:
		case F_TIMESTAMPTZ_EQ:
		case F_TIMESTAMPTZ_NE:
		case F_TIMESTAMPTZ_LT:
		case F_TIMESTAMPTZ_LE:
		case F_TIMESTAMPTZ_GT:
		case F_TIMESTAMPTZ_GE:

			/* conversions to a type that holds every value */
		case F_INT4_INT2:
		case F_INT8_INT2:
		case F_INT8_INT4:
		case F_NUMERIC_INT2:
		case F_NUMERIC_INT4:
		case F_NUMERIC_INT8:
		case F_NUMERIC_FLOAT4:
		case F_NUMERIC_FLOAT8:
		case F_FLOAT8_INT2:
		case F_FLOAT8_INT4:
		case F_FLOAT8_INT8:
		case F_FLOAT8_FLOAT4:
		case F_INT4_BOOL:
		case F_TEXT_BOOL:
		case F_TEXT_BPCHAR:
		case F_TEXT_NAME:
		case F_DATE_TIMESTAMP:
		case F_TRIM_SCALE:

			/* lengths and case */
		case F_TEXTLEN:
		case F_LENGTH_TEXT:
		case F_LENGTH_BPCHAR:
		case F_LOWER_TEXT:
		case F_UPPER_TEXT:
			return true;
		default:
			return false;
	}
}

/* LIKE fails on a pattern that ends in an escape, and without equality of bytes. */
static bool
is_total_like(Oid collation, Node *pattern)
{
	return OidIsValid(collation) && get_collation_isdeterministic(collation) &&
		IsA(pattern, Const) &&
		(((Const *) pattern)->constisnull ||
		 strchr(TextDatumGetCString(((Const *) pattern)->constvalue), '\\') == NULL);
}

/* Casts to text through the output function of a type that prints every value. */
static bool
is_total_cast(CoerceViaIO *cast)
{
	Oid			type = getBaseType(exprType((Node *) cast->arg));

	if (cast->resulttype != TEXTOID)
		return false;
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case UUIDOID:
			return true;
		default:
			return type_is_enum(type);
	}
}

/*
 * Whether applying a function to these arguments is sure to return.  The
 * comparisons above look at the collation, and fail when there is none.
 */
static bool
is_total_call(Oid funcid, Oid inputcollid, List *args)
{
	ListCell   *lc;

	/* EXTRACT(epoch FROM interval): only an unknown field name would fail. */
	if (funcid == F_EXTRACT_TEXT_INTERVAL)
		return IsA(linitial(args), Const);
	if (funcid == F_TEXTLIKE || funcid == F_TEXTNLIKE)
		return is_total_like(inputcollid, lsecond(args));

	if (!is_total_function(funcid))
		return false;
	if (OidIsValid(inputcollid))
		return true;
	foreach(lc, args)
	{
		if (type_is_collatable(exprType(lfirst(lc))))
			return false;
	}
	return true;
}

/* Functions and types from the bootstrap catalogs are PostgreSQL's own. */
static bool
is_user_function(Oid funcid, void *context)
{
	return funcid >= FirstGenbkiObjectId;
}

static bool
is_user_type(Oid type)
{
	return type >= FirstGenbkiObjectId && !type_is_enum(type);
}

static bool
is_total_node(Node *node)
{
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_List:
		case T_BoolExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_RelabelType:
		case T_CollateExpr:
			return true;
		case T_FuncExpr:
			return is_total_call(((FuncExpr *) node)->funcid,
								 ((FuncExpr *) node)->inputcollid,
								 ((FuncExpr *) node)->args);
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			return is_total_call(((OpExpr *) node)->opfuncid,
								 ((OpExpr *) node)->inputcollid,
								 ((OpExpr *) node)->args);
		case T_CoerceViaIO:
			return is_total_cast((CoerceViaIO *) node);
		case T_ScalarArrayOpExpr:
			return IsA(lsecond(((ScalarArrayOpExpr *) node)->args), Const) &&
				is_total_call(((ScalarArrayOpExpr *) node)->opfuncid,
							  ((ScalarArrayOpExpr *) node)->inputcollid,
							  list_make1(linitial(((ScalarArrayOpExpr *) node)->args)));
		default:
			return false;
	}
}

/*
 * A built-in function over a user's type can call the type's functions (an
 * array's comparison, a cast through text, a domain's constraint), so types
 * count as well.
 */
static bool
risk_walker(Node *node, KpiExprRisk *risk)
{
	if (node == NULL)
		return false;

	if (check_functions_in_node(node, is_user_function, NULL) ||
		IsA(node, CoerceToDomain) ||
		(IsA(node, Var) && is_user_type(getBaseType(exprType(node)))) ||
		(!IsA(node, Var) && !IsA(node, List) && !IsA(node, CaseWhen) &&
		 is_user_type(exprType(node))))
	{
		*risk = KPI_EXPR_USER;
		return true;
	}
	if (!is_total_node(node))
		*risk = KPI_EXPR_BUILTIN;

	return expression_tree_walker(node, risk_walker, risk);
}

KpiExprRisk
kpi_expr_risk(Node *node)
{
	KpiExprRisk risk = KPI_EXPR_SAFE;

	(void) risk_walker(node, &risk);
	return risk;
}
