/*-------------------------------------------------------------------------
 *
 * call.c
 *	  Calls in texts of expressions that stand for something else: lookup('accounts', account).
 *
 * There is no such function: who reads the text puts another in the call's place.
 * The raw parse tree says where a call begins, the server's scanner where it and
 * its arguments end, so that no string or comment is taken for one.  No
 * name is looked up and nothing of the text runs.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "common/keywords.h"
#include "expr/expr_internal.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "parser/scanner.h"

typedef struct CallWalk
{
	const char *name;
	const char *text;
	KpiExprCall *within;		/* the walk is in the arguments of this one */
	List	   *calls;			/* KpiExprCall, by where they begin */
	List	   *columns;		/* char * */
} CallWalk;

static void
fail_at(int location, const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message),
			 errposition(location + 1),
			 errhint("%s", hint)));
}

/* Written with no schema, or with ours. */
static bool
is_named(const FuncCall *call, const char *name)
{
	return strcmp(strVal(llast(call->funcname)), name) == 0 &&
		(list_length(call->funcname) == 1 || strcmp(strVal(linitial(call->funcname)), "kpi") == 0);
}

/* Where the call and its second argument end. */
static void
find_ends(const char *text, int location, KpiExprCall *call)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner;
	core_YYSTYPE value;
	YYLTYPE		at = 0;
	int			depth = 0;
	int			token;
	int			argument = 0;

	scanner = scanner_init(text + location, &extra, &ScanKeywords, ScanKeywordTokens);
	while ((token = core_yylex(&value, &at, scanner)) != 0)
	{
		if (token == '(' || token == '[')
			depth++;
		else if (token == ',' && depth == 1 && argument == 0)
			argument = at + 1;
		else if ((token == ')' || token == ']') && --depth == 0)
			break;
	}
	scanner_finish(scanner);
	call->begin = location;
	call->end = location + at + 1;
	call->argument = pnstrdup(text + location + argument, at - argument);
}

static KpiExprCall *
read_call(const FuncCall *func, CallWalk *walk)
{
	KpiExprCall *call = palloc0(sizeof(KpiExprCall));
	char	   *hint = psprintf("Write %s('accounts', account).", walk->name);
	A_Const    *first;

	if (walk->within != NULL)
		fail_at(func->location, psprintf("%s() within %s()", walk->name, walk->name),
				"Join the tables in the query of a keyed source.");
	if (list_length(func->args) != 2 || func->agg_order != NIL || func->agg_filter != NULL || func->over != NULL ||
		func->agg_star || func->agg_distinct || func->func_variadic)
		fail_at(func->location, psprintf("%s() takes a name and an expression", walk->name), hint);
	first = linitial(func->args);
	if (!IsA(first, A_Const) || first->isnull || !IsA(&first->val, String))
		fail_at(func->location, psprintf("the first argument of %s() is not a name in quotes", walk->name), hint);
	call->name = pstrdup(strVal(&first->val));
	find_ends(walk->text, func->location, call);
	return call;
}

static bool
call_walker(Node *node, CallWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncCall) && is_named((FuncCall *) node, walk->name))
	{
		KpiExprCall *call = read_call((FuncCall *) node, walk);

		walk->calls = lappend(walk->calls, call);
		walk->within = call;
		(void) raw_expression_tree_walker(lsecond(((FuncCall *) node)->args), call_walker, walk);
		walk->within = NULL;
		return false;
	}
	if (IsA(node, ColumnRef) && IsA(llast(((ColumnRef *) node)->fields), String) && walk->within == NULL)
		walk->columns = list_append_unique(walk->columns, llast(((ColumnRef *) node)->fields));
	return raw_expression_tree_walker(node, call_walker, walk);
}

static int
compare_begin(const ListCell *a, const ListCell *b)
{
	return ((KpiExprCall *) lfirst(a))->begin - ((KpiExprCall *) lfirst(b))->begin;
}

List *
kpi_expr_calls(const char *text, const char *name, List **columns)
{
	CallWalk	walk = {.name = name,.text = text};
	ListCell   *lc;

	(void) call_walker(kpi_expr_raw(text), &walk);
	list_sort(walk.calls, compare_begin);
	*columns = NIL;
	foreach(lc, walk.columns)
		* columns = lappend(*columns, strVal(lfirst(lc)));
	return walk.calls;
}
