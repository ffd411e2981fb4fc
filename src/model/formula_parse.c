/*-------------------------------------------------------------------------
 *
 * formula_parse.c
 *	  Formulas over KPIs: from their texts to nodes.
 *
 * A formula is written as an SQL expression whose columns are KPIs, and read by
 * the server's own grammar.  Nothing of it is executed as SQL: what a formula
 * may hold is copied from the raw parse tree into nodes of our own, which are
 * evaluated on values of the same team or member and period (formula.c), or of
 * other periods (value/formula.c).
 *
 * Numbers and conditions are two kinds of nodes, and what takes one is not given
 * the other.  Names of functions are no names of KPIs: "previous" is a KPI,
 * and previous(k) the function.
 *
 * Invariant: a name means the KPI that the text says, however long it is; the
 * grammar cuts names to the length of an identifier.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "common/keywords.h"
#include "expr/expr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/value.h"
#include "parser/parse_node.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

typedef struct Builder
{
	const char *text;
	ParseState *pstate;			/* for positions in errors */
	KpiFormula *formula;
	int			nnodes;
} Builder;

/* A refresh evaluates formulas of all roles: none may take it much time. */
#define MAX_NODES 1000
#define MAX_DIGITS 100

/* Bytes of a formula that is too long, in the error. */
#define SHOWN_LENGTH 100

#define FORMULA_HINT "A formula is made of KPI names (in double quotes where they have capitals or other characters than letters, digits and _, or are keywords of SQL), numbers, + - * /, comparisons, AND, OR, NOT, CASE, parentheses and the functions nullif, coalesce, greatest, least, abs, round, previous, year_ago, growth, ytd, qtd, rolling, opening, closing, daily_average, target, attainment and whole."

/* Days or periods that are rolled over at once. */
#define MAX_ROLLING 10000

/* ---- names in the text ---- */

static bool
is_name_char(unsigned char c, bool first)
{
	return isalpha(c) || c == '_' || IS_HIGHBIT_SET(c) || (!first && (isdigit(c) || c == '$'));
}

/* Behind the name that begins here, quoted or not. */
static const char *
name_end(const char *name)
{
	if (*name != '"')
	{
		while (is_name_char(*name, false))
			name++;
		return name;
	}
	for (name++; *name != '\0'; name++)
	{
		if (*name == '"' && *++name != '"')
			break;
	}
	return name;
}

/* What the name that begins here means. */
static char *
name_at(const char *name)
{
	const char *end = name_end(name);
	StringInfoData value;

	if (*name != '"')
		return downcase_identifier(name, end - name, false, false);
	initStringInfo(&value);
	for (name++; name < end - 1; name++)
	{
		appendStringInfoChar(&value, *name);
		if (*name == '"')
			name++;
	}
	return value.data;
}

/* Words of the grammar that formulas are made of. */
static bool
is_formula_word(const char *word)
{
	static const char *const words[] = {"and", "case", "else", "end", "not", "or", "then", "when"};

	for (int i = 0; i < lengthof(words); i++)
	{
		if (pg_strcasecmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

/*
 * The last word that begins at this position (in characters, from 1; 0: the end)
 * or before and that the grammar does not take for the name of a column; NULL if
 * there is none.  One before a parenthesis is meant as a function.
 */
static char *
keyword_before(const char *text, int position)
{
	int			length = strlen(text);
	const char *limit = text + (position > 0 ? pg_mbcharcliplen(text, length, position - 1) : length);
	const char *next;
	char	   *found = NULL;

	for (const char *c = text; c <= limit && *c != '\0'; c = next)
	{
		char	   *word;
		int			keyword;

		next = c + 1;
		if (*c != '"' && !is_name_char(*c, true))
			continue;
		next = name_end(c);
		word = pnstrdup(c, next - c);
		keyword = ScanKeywordLookup(word, &ScanKeywords);
		if (keyword >= 0 && ScanKeywordCategories[keyword] != UNRESERVED_KEYWORD &&
			!is_formula_word(word) && next[strspn(next, " \t\r\n")] != '(')
			found = word;
	}
	return found;
}

/* ---- errors ---- */

/* Says how to mend what the grammar or this file refuses. */
static void
explain_error(void *arg)
{
	const char *text = arg;
	char	   *keyword = NULL;

	if (geterrcode() == ERRCODE_SYNTAX_ERROR)
		keyword = keyword_before(text, geterrposition());
	if (keyword != NULL)
	{
		errdetail("\"%s\" is a keyword of SQL.", keyword);
		errhint("Write a KPI named like a keyword in double quotes: \"%s\".", keyword);
	}
	else if (geterrcode() == ERRCODE_SYNTAX_ERROR || geterrcode() == ERRCODE_FEATURE_NOT_SUPPORTED)
		errhint(FORMULA_HINT);
	kpi_expr_error_position(text);
	errcontext("formula of a KPI");
}

pg_noreturn static void
fail(Builder *b, int location, int code, const char *message)
{
	ereport(ERROR,
			(errcode(code),
			 errmsg("%s", message),
			 parser_errposition(b->pstate, location)));
}

/*
 * Refuses what is SQL and no formula.  Positions come from the node itself:
 * exprLocation() descends without looking at the depth of the stack.
 */
pg_noreturn static void
fail_construct(Builder *b, Node *raw)
{
	int			location = -1;
	const char *name;

	switch (nodeTag(raw))
	{
		case T_SQLValueFunction:
		case T_SetToDefault:
			fail(b, IsA(raw, SetToDefault) ? ((SetToDefault *) raw)->location :
				 ((SQLValueFunction *) raw)->location,
				 ERRCODE_SYNTAX_ERROR, "KPI named like a keyword in a formula");
		case T_A_Const:
			name = "a constant that is no number";
			location = ((A_Const *) raw)->location;
			if (((A_Const *) raw)->isnull || IsA(&((A_Const *) raw)->val, Boolean))
				fail(b, location, ERRCODE_SYNTAX_ERROR, "KPI named like a keyword in a formula");
			break;
		case T_TypeCast:
			name = "a cast";
			location = ((TypeCast *) raw)->location;
			break;
		case T_ParamRef:
			name = "a parameter";
			location = ((ParamRef *) raw)->location;
			break;
		case T_SubLink:
			name = "a subquery";
			location = ((SubLink *) raw)->location;
			break;
		case T_A_Expr:
			name = "such a comparison";
			location = ((A_Expr *) raw)->location;
			break;
		case T_NullTest:
			name = "IS NULL";
			location = ((NullTest *) raw)->location;
			break;
		case T_BooleanTest:
			name = "such a condition";
			location = ((BooleanTest *) raw)->location;
			break;
		default:
			name = "this expression";
			break;
	}
	fail(b, location, ERRCODE_FEATURE_NOT_SUPPORTED, psprintf("%s is not supported in a formula", name));
}

/* ---- from the raw parse tree to nodes ---- */

static KpiFormulaNode *build(Builder *b, Node *raw);

static KpiFormulaNode *
make_node(Builder *b, KpiFormulaOp op, int location)
{
	KpiFormulaNode *node = palloc0(sizeof(KpiFormulaNode));

	if (++b->nnodes > MAX_NODES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("formula of more than %d numbers, KPIs and operations: %.*s...", MAX_NODES,
						pg_mbcliplen(b->text, strlen(b->text), SHOWN_LENGTH), b->text),
				 errhint("Make KPIs of parts of it: a formula can be over other formulas.")));
	node->op = op;
	node->location = location;
	return node;
}

static bool
is_condition(const KpiFormulaNode *node)
{
	return node->op >= KPI_FORMULA_LESS && node->op <= KPI_FORMULA_NOT;
}

/* What a part of a formula must be; whose it is, for the error. */
static KpiFormulaNode *
build_number_of(Builder *b, Node *raw, const char *user)
{
	KpiFormulaNode *node = build(b, raw);

	if (is_condition(node))
		fail(b, node->location, ERRCODE_DATATYPE_MISMATCH, psprintf("%s a number, and this is a condition", user));
	return node;
}

static KpiFormulaNode *
build_condition_of(Builder *b, Node *raw, const char *user)
{
	KpiFormulaNode *node = build(b, raw);

	if (!is_condition(node))
		fail(b, node->location, ERRCODE_DATATYPE_MISMATCH, psprintf("%s a condition, and this is a number", user));
	return node;
}

static KpiFormulaNode *
build_call(Builder *b, KpiFormulaOp op, int location, const char *name, List *args)
{
	KpiFormulaNode *node = make_node(b, op, location);
	const char *user = psprintf("%s takes", name);
	ListCell   *lc;

	foreach(lc, args)
		node->args = lappend(node->args, build_number_of(b, lfirst(lc), user));
	return node;
}

static KpiFormulaNode *
build_kpi(Builder *b, ColumnRef *column)
{
	KpiFormulaNode *node = make_node(b, KPI_FORMULA_KPI, column->location);
	KpiFormula *formula = b->formula;
	const char *start = b->text + column->location;
	char	   *name;
	ListCell   *lc;

	if (list_length(column->fields) != 1 || !IsA(linitial(column->fields), String))
		fail(b, column->location, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "a name of several parts is not supported in a formula");
	if (pg_strncasecmp(start, "U&\"", 3) == 0)
		fail(b, column->location, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "a name with Unicode escapes is not supported in a formula");

	name = name_at(start);
	foreach(lc, formula->names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			break;
		node->kpi++;
	}
	if (node->kpi == list_length(formula->names))
		formula->names = lappend(formula->names, name);
	formula->uses = lappend(formula->uses, node);
	return node;
}

static KpiFormulaNode *
build_number(Builder *b, A_Const *constant)
{
	KpiFormulaNode *node = make_node(b, KPI_FORMULA_NUMBER, constant->location);
	const char *digits;

	if (!constant->isnull && IsA(&constant->val, Integer))
		digits = psprintf("%d", intVal(&constant->val));
	else if (!constant->isnull && IsA(&constant->val, Float))
		digits = castNode(Float, &constant->val)->fval;
	else
		fail_construct(b, (Node *) constant);

	/* A short text with an exponent is a number of many digits. */
	if (strlen(digits) > MAX_DIGITS || digits[strspn(digits, "-0123456789._")] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a number with an exponent or of more than %d digits is not supported in a formula",
						MAX_DIGITS),
				 parser_errposition(b->pstate, constant->location)));
	node->number = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(digits),
													   ObjectIdGetDatum(InvalidOid),
													   Int32GetDatum(-1)));
	return node;
}

static KpiFormulaNode *
build_operation(Builder *b, A_Expr *operation)
{
	static const struct
	{
		const char *name;
		KpiFormulaOp op;
	}			operators[] = {
		{"+", KPI_FORMULA_ADD}, {"-", KPI_FORMULA_SUBTRACT}, {"*", KPI_FORMULA_MULTIPLY}, {"/", KPI_FORMULA_DIVIDE},
		{"<", KPI_FORMULA_LESS}, {"<=", KPI_FORMULA_LESS_EQUAL}, {"=", KPI_FORMULA_EQUAL}, {"<>", KPI_FORMULA_NOT_EQUAL},
		{">=", KPI_FORMULA_GREATER_EQUAL}, {">", KPI_FORMULA_GREATER}
	};
	char	   *name;

	if (operation->kind == AEXPR_NULLIF)
		return build_call(b, KPI_FORMULA_NULLIF, operation->location, "nullif()",
						  list_make2(operation->lexpr, operation->rexpr));
	if (operation->kind != AEXPR_OP)
		fail_construct(b, (Node *) operation);

	name = NameListToString(operation->name);
	if (operation->lexpr == NULL && strcmp(name, "-") == 0)
		return build_call(b, KPI_FORMULA_NEGATE, operation->location, name, list_make1(operation->rexpr));
	for (int i = 0; i < lengthof(operators) && operation->lexpr != NULL; i++)
	{
		if (strcmp(name, operators[i].name) == 0)
			return build_call(b, operators[i].op, operation->location, name,
							  list_make2(operation->lexpr, operation->rexpr));
	}
	fail(b, operation->location, ERRCODE_FEATURE_NOT_SUPPORTED,
		 psprintf(operation->lexpr == NULL ? "operator %s before a value is not supported in a formula" :
				  "operator %s is not supported in a formula", name));
}

static KpiFormulaNode *
build_bool(Builder *b, BoolExpr *expr)
{
	static const KpiFormulaOp ops[] = {
		[AND_EXPR] = KPI_FORMULA_AND,[OR_EXPR] = KPI_FORMULA_OR,[NOT_EXPR] = KPI_FORMULA_NOT
	};
	static const char *const users[] = {[AND_EXPR] = "AND takes",[OR_EXPR] = "OR takes",[NOT_EXPR] = "NOT takes"};
	KpiFormulaNode *node = make_node(b, ops[expr->boolop], expr->location);
	ListCell   *lc;

	foreach(lc, expr->args)
		node->args = lappend(node->args, build_condition_of(b, lfirst(lc), users[expr->boolop]));
	return node;
}

static KpiFormulaNode *
build_case(Builder *b, CaseExpr *expr)
{
	KpiFormulaNode *node = make_node(b, expr->arg ? KPI_FORMULA_SWITCH : KPI_FORMULA_CASE, expr->location);
	ListCell   *lc;

	if (expr->arg != NULL)
		node->args = list_make1(build_number_of(b, (Node *) expr->arg, "CASE takes"));
	foreach(lc, expr->args)
	{
		CaseWhen   *branch = lfirst(lc);

		node->args = lappend(node->args, expr->arg ? build_number_of(b, (Node *) branch->expr, "WHEN takes") :
							 build_condition_of(b, (Node *) branch->expr, "WHEN takes"));
		node->args = lappend(node->args, build_number_of(b, (Node *) branch->result, "THEN takes"));
	}
	if (expr->defresult != NULL)
		node->args = lappend(node->args, build_number_of(b, (Node *) expr->defresult, "ELSE takes"));
	return node;
}

/* ---- functions ---- */

/* What may stand behind the first argument, which is a number. */
typedef enum MoreArguments
{
	MORE_NONE,
	MORE_NUMBER,				/* or nothing */
	MORE_YEAR_AGO,				/* or nothing */
	MORE_DAYS,					/* a count, and maybe a unit */
	MORE_PLAN					/* or nothing */
} MoreArguments;

typedef struct FormulaFunction
{
	const char *name;
	KpiFormulaOp op;
	bool		of_kpi;			/* its argument is a KPI and nothing else */
	MoreArguments more;
	const char *usage;
} FormulaFunction;

static const FormulaFunction functions[] = {
	{"abs", KPI_FORMULA_ABS, false, MORE_NONE, "abs(k)"},
	{"round", KPI_FORMULA_ROUND, false, MORE_NUMBER, "round(k) or round(k, 2)"},
	{"previous", KPI_FORMULA_PREVIOUS, false, MORE_NONE, "previous(k)"},
	{"year_ago", KPI_FORMULA_YEAR_AGO, false, MORE_NONE, "year_ago(k)"},
	{"growth", KPI_FORMULA_GROWTH, false, MORE_YEAR_AGO, "growth(k) or growth(k, 'year_ago')"},
	{"ytd", KPI_FORMULA_YTD, false, MORE_NONE, "ytd(k)"},
	{"qtd", KPI_FORMULA_QTD, false, MORE_NONE, "qtd(k)"},
	{"rolling", KPI_FORMULA_ROLLING, false, MORE_DAYS, "rolling(k, 28) for days, or rolling(k, 4, 'quarter')"},
	{"opening", KPI_FORMULA_OPENING, false, MORE_NONE, "opening(k)"},
	{"closing", KPI_FORMULA_CLOSING, false, MORE_NONE, "closing(k)"},
	{"daily_average", KPI_FORMULA_DAILY_AVERAGE, true, MORE_NONE, "daily_average(k)"},
	{"target", KPI_FORMULA_TARGET, true, MORE_PLAN, "target(k) or target(k, 'plan')"},
	{"attainment", KPI_FORMULA_DIVIDE, true, MORE_PLAN, "attainment(k) or attainment(k, 'plan')"},
	{"whole", KPI_FORMULA_WHOLE, false, MORE_NONE, "whole(k)"}
};

const char *
kpi_model_formula_function(KpiFormulaOp op)
{
	if (op == KPI_FORMULA_YEAR_GROWTH)
		op = KPI_FORMULA_GROWTH;
	for (int i = 0; i < lengthof(functions); i++)
	{
		if (functions[i].op == op && op >= KPI_FORMULA_PREVIOUS)
			return functions[i].name;
	}
	return NULL;
}

pg_noreturn static void
fail_function(Builder *b, const FormulaFunction *function, int location, const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message),
			 errhint("Write %s.", function->usage),
			 parser_errposition(b->pstate, location)));
}

/* The location of what may stand behind the first argument. */
static int
location_of(Node *raw, int if_unknown)
{
	return IsA(raw, A_Const) ? ((A_Const *) raw)->location : if_unknown;
}

/* A text that is written there; NULL: it is something else. */
static char *
text_of(Node *raw)
{
	if (!IsA(raw, A_Const) || ((A_Const *) raw)->isnull || !IsA(&((A_Const *) raw)->val, String))
		return NULL;
	return pstrdup(strVal(&((A_Const *) raw)->val));
}

static void
take_rolling(Builder *b, const FormulaFunction *function, KpiFormulaNode *node, List *more)
{
	Node	   *count = linitial(more);
	A_Const    *number = (A_Const *) count;
	char	   *unit = list_length(more) > 1 ? text_of(lsecond(more)) : NULL;

	if (!IsA(count, A_Const) || number->isnull || !IsA(&number->val, Integer) ||
		intVal(&number->val) < 1 || intVal(&number->val) > MAX_ROLLING)
		fail_function(b, function, location_of(count, node->location),
					  psprintf("rolling() takes a whole number from 1 to %d", MAX_ROLLING));
	node->n = intVal(&number->val);
	node->unit = KPI_DAY;
	if (list_length(more) > 1 && (unit == NULL || !kpi_calendar_grain_parse(unit, &node->unit)))
		fail_function(b, function, location_of(lsecond(more), node->location),
					  "the unit of rolling() is 'day', 'week', 'month', 'quarter' or 'year'");
}

/* Reads what stands behind the first argument of a function, into its node. */
static void
take_more(Builder *b, const FormulaFunction *function, KpiFormulaNode *node, List *more)
{
	char	   *text = more != NIL ? text_of(linitial(more)) : NULL;
	int			location = more != NIL ? location_of(linitial(more), node->location) : -1;

	switch (function->more)
	{
		case MORE_NONE:
			break;
		case MORE_NUMBER:
			if (more != NIL)
				node->args = lappend(node->args, build_number_of(b, linitial(more), psprintf("%s() takes", function->name)));
			break;
		case MORE_YEAR_AGO:
			if (more == NIL)
				break;
			if (text == NULL || strcmp(text, "year_ago") != 0)
				fail_function(b, function, location, "growth() takes nothing but 'year_ago' as its second argument");
			node->op = KPI_FORMULA_YEAR_GROWTH;
			break;
		case MORE_DAYS:
			take_rolling(b, function, node, more);
			break;
		case MORE_PLAN:
			if (more != NIL && text == NULL)
				fail_function(b, function, location, psprintf("the plan of %s() is a text", function->name));
			node->plan = text ? text : pstrdup("default");
			break;
	}
}

/* attainment(k) is k / target(k). */
static KpiFormulaNode *
build_attainment(Builder *b, KpiFormulaNode *target)
{
	KpiFormulaNode *node = make_node(b, KPI_FORMULA_DIVIDE, target->location);

	node->args = list_make2(linitial(target->args), target);
	return node;
}

static const FormulaFunction *
find_function(Builder *b, FuncCall *call)
{
	char	   *name = NameListToString(call->funcname);

	for (int i = 0; i < lengthof(functions); i++)
	{
		if (strcmp(name, functions[i].name) == 0)
			return &functions[i];
	}
	fail(b, call->location, ERRCODE_FEATURE_NOT_SUPPORTED,
		 psprintf("function %s() is not supported in a formula", name));
}

static void
check_arguments(Builder *b, const FormulaFunction *function, FuncCall *call)
{
	static const int least[] = {[MORE_NONE] = 1,[MORE_NUMBER] = 1,[MORE_YEAR_AGO] = 1,[MORE_DAYS] = 2,[MORE_PLAN] = 1};
	static const int most[] = {[MORE_NONE] = 1,[MORE_NUMBER] = 2,[MORE_YEAR_AGO] = 2,[MORE_DAYS] = 3,[MORE_PLAN] = 2};
	static const char *const counts[] = {
		[MORE_NONE] = "one argument",[MORE_NUMBER] = "one or two arguments",[MORE_YEAR_AGO] = "one or two arguments",
		[MORE_DAYS] = "two or three arguments",[MORE_PLAN] = "one or two arguments"
	};
	int			nargs = list_length(call->args);
	ListCell   *lc;

	if (call->agg_filter != NULL || call->over != NULL || call->agg_order != NIL ||
		call->agg_distinct || call->agg_within_group || call->func_variadic)
		fail(b, call->location, ERRCODE_FEATURE_NOT_SUPPORTED,
			 psprintf("%s() takes nothing but arguments in a formula", function->name));
	if (call->agg_star || nargs < least[function->more] || nargs > most[function->more])
		fail_function(b, function, call->location, psprintf("%s() takes %s", function->name, counts[function->more]));
	foreach(lc, call->args)
	{
		if (IsA(lfirst(lc), NamedArgExpr))
			fail(b, call->location, ERRCODE_FEATURE_NOT_SUPPORTED,
				 psprintf("arguments of %s() have no names", function->name));
	}
	if (function->of_kpi && !IsA(linitial(call->args), ColumnRef))
		fail_function(b, function, call->location, psprintf("%s() takes the name of a KPI", function->name));
}

static KpiFormulaNode *
build_function(Builder *b, FuncCall *call)
{
	const FormulaFunction *function = find_function(b, call);
	bool		is_attainment = function->op == KPI_FORMULA_DIVIDE;
	KpiFormulaNode *node;

	check_arguments(b, function, call);
	node = build_call(b, is_attainment ? KPI_FORMULA_TARGET : function->op, call->location,
					  psprintf("%s()", function->name), list_make1(linitial(call->args)));
	take_more(b, function, node, list_copy_tail(call->args, 1));
	if (node->op >= KPI_FORMULA_PREVIOUS)
		b->formula->over_time = true;
	if (node->op == KPI_FORMULA_GROWTH || node->op == KPI_FORMULA_YEAR_GROWTH || node->op == KPI_FORMULA_ROLLING)
		b->formula->follows_day = true;
	return is_attainment ? build_attainment(b, node) : node;
}

static KpiFormulaNode *
build(Builder *b, Node *raw)
{
	check_stack_depth();
	switch (nodeTag(raw))
	{
		case T_ColumnRef:
			return build_kpi(b, (ColumnRef *) raw);
		case T_A_Const:
			return build_number(b, (A_Const *) raw);
		case T_A_Expr:
			return build_operation(b, (A_Expr *) raw);
		case T_BoolExpr:
			return build_bool(b, (BoolExpr *) raw);
		case T_CaseExpr:
			return build_case(b, (CaseExpr *) raw);
		case T_FuncCall:
			return build_function(b, (FuncCall *) raw);
		case T_CoalesceExpr:
			return build_call(b, KPI_FORMULA_COALESCE, ((CoalesceExpr *) raw)->location, "coalesce()",
							  ((CoalesceExpr *) raw)->args);
		case T_MinMaxExpr:
			return build_call(b, ((MinMaxExpr *) raw)->op == IS_GREATEST ? KPI_FORMULA_GREATEST : KPI_FORMULA_LEAST,
							  ((MinMaxExpr *) raw)->location,
							  ((MinMaxExpr *) raw)->op == IS_GREATEST ? "greatest()" : "least()",
							  ((MinMaxExpr *) raw)->args);
		default:
			fail_construct(b, raw);
	}
}

/*
 * The raw parse tree, in the current memory context.  The scanner would tell of
 * long names that it cuts them, which concerns nobody here: see name_at().
 */
static Node *
parse_raw(const char *text)
{
	int			nest_level = NewGUCNestLevel();
	Node	   *raw;

	(void) set_config_option("client_min_messages", "warning", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	raw = kpi_expr_raw(text);
	AtEOXact_GUC(true, nest_level);
	return raw;
}

KpiFormula *
kpi_model_formula_parse(const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext raw_context = AllocSetContextCreate(context, "pg_kpi formula parse tree",
													  ALLOCSET_DEFAULT_SIZES);
	Builder		b = {.text = text};
	ErrorContextCallback callback = {
		.previous = error_context_stack,.callback = explain_error,.arg = unconstify(char *, text)
	};
	Node	   *raw;

	error_context_stack = &callback;
	MemoryContextSwitchTo(raw_context);
	raw = parse_raw(text);
	b.pstate = make_parsestate(NULL);
	b.pstate->p_sourcetext = text;
	MemoryContextSwitchTo(context);

	b.formula = palloc0(sizeof(KpiFormula));
	b.formula->root = build_number_of(&b, raw, "a formula is");
	error_context_stack = callback.previous;
	MemoryContextDelete(raw_context);
	return b.formula;
}

List *
kpi_model_formula_names(KpiFormula *formula)
{
	return formula->names;
}

char *
kpi_model_formula_rename(const char *text, const char *old_name, const char *new_name)
{
	KpiFormula *formula = kpi_model_formula_parse(text);
	StringInfoData result;
	const char *copied = text;
	ListCell   *lc;

	initStringInfo(&result);
	foreach(lc, formula->uses)
	{
		KpiFormulaNode *node = lfirst(lc);
		const char *name = text + node->location;

		if (strcmp(list_nth(formula->names, node->kpi), old_name) != 0)
			continue;
		appendBinaryStringInfo(&result, copied, name - copied);
		appendStringInfoString(&result, quote_identifier(new_name));
		copied = name_end(name);
	}
	appendStringInfoString(&result, copied);
	return result.data;
}

const KpiFormulaNode *
kpi_model_formula_use(const KpiFormula *formula, const char *name)
{
	ListCell   *lc;

	foreach(lc, formula->uses)
	{
		if (strcmp(list_nth(formula->names, ((KpiFormulaNode *) lfirst(lc))->kpi), name) == 0)
			return lfirst(lc);
	}
	return formula->root;
}

int
kpi_model_formula_errposition(const char *text, const KpiFormulaNode *node)
{
	internalerrposition(pg_mbstrlen_with_len(text, node->location) + 1);
	return internalerrquery(text);
}
