/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  Which settings the evaluation of an expression may depend on.
 *
 * Pinning them (base/pinned.c) costs a writer on every row, so only those are that
 * what the expression calls may look up: built-in functions are known, a user's
 * code may look up any.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "expr/expr.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

/*
 * Abbreviations have no slash, and a constant has one in the full names that
 * people write, so the most common conversion depends on nothing.
 */
static bool
is_full_zone_name(Node *zone)
{
	return IsA(zone, Const) && !((Const *) zone)->constisnull &&
		strchr(TextDatumGetCString(((Const *) zone)->constvalue), '/') != NULL;
}

static bool
settings_walker(Node *node, int *kinds)
{
	if (node == NULL)
		return false;

	/* It prints values of any type, money and timestamps with time zone too. */
	if (IsA(node, XmlExpr))
		*kinds |= KPI_SETTINGS_ALL;
	if (IsA(node, FuncExpr))
	{
		FuncExpr   *call = (FuncExpr *) node;

		switch (call->funcid)
		{
			case F_TIMEZONE_TEXT_TIMESTAMPTZ:
			case F_TIMEZONE_TEXT_TIMESTAMP:
			case F_TIMEZONE_TEXT_TIMETZ:
				if (!is_full_zone_name(linitial(call->args)))
					*kinds |= KPI_SETTINGS_ZONE;
				break;
			default:
				break;
		}
	}
	return expression_tree_walker(node, settings_walker, kinds);
}

int
kpi_expr_settings_of(Node *node)
{
	int			kinds = KPI_SETTINGS_PRINT;

	if (kpi_expr_risk(node) == KPI_EXPR_USER)
		return KPI_SETTINGS_ALL;
	(void) settings_walker(node, &kinds);
	return kinds;
}
