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
static const Oid total_functions[] = {
	/* comparisons */
	F_BOOLEQ, F_BOOLNE, F_BOOLLT, F_BOOLLE, F_BOOLGT, F_BOOLGE, F_INT2EQ, F_INT2NE,
	F_INT2LT, F_INT2LE, F_INT2GT, F_INT2GE, F_INT4EQ, F_INT4NE, F_INT4LT, F_INT4LE,
	F_INT4GT, F_INT4GE, F_INT8EQ, F_INT8NE, F_INT8LT, F_INT8LE, F_INT8GT, F_INT8GE,
	F_INT24EQ, F_INT24NE, F_INT24LT, F_INT24LE, F_INT24GT, F_INT24GE, F_INT42EQ,
	F_INT42NE, F_INT42LT, F_INT42LE, F_INT42GT, F_INT42GE, F_INT28EQ, F_INT28NE,
	F_INT28LT, F_INT28LE, F_INT28GT, F_INT28GE, F_INT82EQ, F_INT82NE, F_INT82LT,
	F_INT82LE, F_INT82GT, F_INT82GE, F_INT48EQ, F_INT48NE, F_INT48LT, F_INT48LE,
	F_INT48GT, F_INT48GE, F_INT84EQ, F_INT84NE, F_INT84LT, F_INT84LE, F_INT84GT,
	F_INT84GE, F_FLOAT8EQ, F_FLOAT8NE, F_FLOAT8LT, F_FLOAT8LE, F_FLOAT8GT, F_FLOAT8GE,
	F_NUMERIC_EQ, F_NUMERIC_NE, F_NUMERIC_LT, F_NUMERIC_LE, F_NUMERIC_GT, F_NUMERIC_GE,
	F_TEXTEQ, F_TEXTNE, F_TEXT_LT, F_TEXT_LE, F_TEXT_GT, F_TEXT_GE, F_BPCHAREQ,
	F_BPCHARNE, F_BPCHARLT, F_BPCHARLE, F_BPCHARGT, F_BPCHARGE, F_UUID_EQ, F_UUID_NE,
	F_UUID_LT, F_UUID_LE, F_UUID_GT, F_UUID_GE, F_ENUM_EQ, F_ENUM_NE, F_DATE_EQ,
	F_DATE_NE, F_DATE_LT, F_DATE_LE, F_DATE_GT, F_DATE_GE, F_TIMESTAMP_EQ, F_TIMESTAMP_NE,
	F_TIMESTAMP_LT, F_TIMESTAMP_LE, F_TIMESTAMP_GT, F_TIMESTAMP_GE, F_TIMESTAMPTZ_EQ,
	F_TIMESTAMPTZ_NE, F_TIMESTAMPTZ_LT, F_TIMESTAMPTZ_LE, F_TIMESTAMPTZ_GT,
	F_TIMESTAMPTZ_GE,

	/* conversions to a type that holds every value */
	F_INT4_INT2, F_INT8_INT2, F_INT8_INT4, F_NUMERIC_INT2, F_NUMERIC_INT4, F_NUMERIC_INT8,
	F_NUMERIC_FLOAT4, F_NUMERIC_FLOAT8, F_FLOAT8_INT2, F_FLOAT8_INT4, F_FLOAT8_INT8,
	F_FLOAT8_FLOAT4, F_INT4_BOOL, F_TEXT_BOOL, F_TEXT_BPCHAR, F_TEXT_NAME,
	F_DATE_TIMESTAMP, F_TRIM_SCALE,

	/* without the sign */
	F_ABS_NUMERIC, F_ABS_FLOAT8,

	/* lengths and case */
	F_TEXTLEN, F_LENGTH_TEXT, F_LENGTH_BPCHAR, F_LOWER_TEXT, F_UPPER_TEXT,

	/* what tells texts apart */
	F_HASHTEXTEXTENDED
};

static bool
is_total_function(Oid funcid)
{
	for (int i = 0; i < lengthof(total_functions); i++)
	{
		if (total_functions[i] == funcid)
			return true;
	}
	return false;
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
