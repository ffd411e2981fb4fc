/*-------------------------------------------------------------------------
 *
 * formula.c
 *	  Formulas over KPIs: parsing and evaluation.
 *
 * A formula is written as an SQL expression whose columns are KPIs, and read by
 * the server's own grammar.  Nothing of it is executed as SQL: what a formula
 * may hold is copied from the raw parse tree into nodes of our own, which are
 * evaluated on values of the same team or member and period.  Evaluating one
 * runs nothing but numeric arithmetic, with no rights at all, is bounded by the
 * number of its nodes and can be cancelled at each of them.
 *
 * Invariant: a name means the KPI that the text says, however long it is; the
 * grammar cuts names to the length of an identifier.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/keywords.h"
#include "expr/expr.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/value.h"
#include "parser/parse_node.h"
#include "parser/scansup.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(kpi_sql_formula_value);

typedef enum Op
{
	OP_NUMBER,
	OP_KPI,
	OP_NEGATE,
	OP_ADD,
	OP_SUBTRACT,
	OP_MULTIPLY,
	OP_DIVIDE,
	OP_NULLIF,
	OP_COALESCE,
	OP_GREATEST,
	OP_LEAST,
	OP_ABS,
	OP_ROUND
} Op;

typedef struct FormulaNode
{
	Op			op;
	Numeric		number;			/* OP_NUMBER */
	int			kpi;			/* OP_KPI: index into names */
	int			location;		/* OP_KPI: where in the text its name begins */
	List	   *args;			/* FormulaNode * */
} FormulaNode;

struct KpiFormula
{
	FormulaNode *root;
	List	   *names;
	List	   *uses;			/* the nodes of KPIs, in the order of the text */
};

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

#define FORMULA_HINT "A formula is made of KPI names (in double quotes where they have capitals or other characters than letters, digits and _), numbers, + - * /, parentheses and the functions nullif, coalesce, greatest, least, abs and round."

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
			next[strspn(next, " \t\r\n")] != '(')
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
		case T_CaseExpr:
			name = "CASE";
			location = ((CaseExpr *) raw)->location;
			break;
		case T_A_Expr:
			name = "a comparison";
			location = ((A_Expr *) raw)->location;
			break;
		case T_BoolExpr:
			name = "a condition";
			location = ((BoolExpr *) raw)->location;
			break;
		case T_NullTest:
			name = "a condition";
			location = ((NullTest *) raw)->location;
			break;
		case T_BooleanTest:
			name = "a condition";
			location = ((BooleanTest *) raw)->location;
			break;
		default:
			name = "this expression";
			break;
	}
	fail(b, location, ERRCODE_FEATURE_NOT_SUPPORTED, psprintf("%s is not supported in a formula", name));
}

/* ---- from the raw parse tree to nodes ---- */

static FormulaNode *build(Builder *b, Node *raw);

static FormulaNode *
make_node(Builder *b, Op op)
{
	FormulaNode *node = palloc0(sizeof(FormulaNode));

	if (++b->nnodes > MAX_NODES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("formula of more than %d numbers, KPIs and operations: %.*s...", MAX_NODES,
						pg_mbcliplen(b->text, strlen(b->text), SHOWN_LENGTH), b->text),
				 errhint("Make KPIs of parts of it: a formula can be over other formulas.")));
	node->op = op;
	return node;
}

static FormulaNode *
build_call(Builder *b, Op op, List *args)
{
	FormulaNode *node = make_node(b, op);
	ListCell   *lc;

	foreach(lc, args)
		node->args = lappend(node->args, build(b, lfirst(lc)));
	return node;
}

static FormulaNode *
build_kpi(Builder *b, ColumnRef *column)
{
	FormulaNode *node = make_node(b, OP_KPI);
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
	node->location = column->location;
	formula->uses = lappend(formula->uses, node);
	return node;
}

static FormulaNode *
build_number(Builder *b, A_Const *constant)
{
	FormulaNode *node = make_node(b, OP_NUMBER);
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

static FormulaNode *
build_operation(Builder *b, A_Expr *operation)
{
	static const struct
	{
		const char *name;
		Op			op;
	}			operators[] = {
		{"+", OP_ADD}, {"-", OP_SUBTRACT}, {"*", OP_MULTIPLY}, {"/", OP_DIVIDE}
	};
	char	   *name;

	if (operation->kind == AEXPR_NULLIF)
		return build_call(b, OP_NULLIF, list_make2(operation->lexpr, operation->rexpr));
	if (operation->kind != AEXPR_OP)
		fail_construct(b, (Node *) operation);

	name = NameListToString(operation->name);
	if (operation->lexpr == NULL && strcmp(name, "-") == 0)
		return build_call(b, OP_NEGATE, list_make1(operation->rexpr));
	for (int i = 0; i < lengthof(operators) && operation->lexpr != NULL; i++)
	{
		if (strcmp(name, operators[i].name) == 0)
			return build_call(b, operators[i].op, list_make2(operation->lexpr, operation->rexpr));
	}
	fail(b, operation->location, ERRCODE_FEATURE_NOT_SUPPORTED,
		 psprintf(operation->lexpr == NULL ? "operator %s before a value is not supported in a formula" :
				  "operator %s is not supported in a formula", name));
}

static FormulaNode *
build_function(Builder *b, FuncCall *call)
{
	char	   *name = NameListToString(call->funcname);
	bool		is_round = strcmp(name, "round") == 0;
	int			nargs = list_length(call->args);
	ListCell   *lc;

	if (!is_round && strcmp(name, "abs") != 0)
		fail(b, call->location, ERRCODE_FEATURE_NOT_SUPPORTED,
			 psprintf("function %s() is not supported in a formula", name));
	if (call->agg_filter != NULL || call->over != NULL || call->agg_order != NIL ||
		call->agg_distinct || call->agg_within_group || call->func_variadic)
		fail(b, call->location, ERRCODE_FEATURE_NOT_SUPPORTED,
			 psprintf("%s() takes nothing but arguments in a formula", name));
	if (call->agg_star || nargs < 1 || nargs > (is_round ? 2 : 1))
		fail(b, call->location, ERRCODE_FEATURE_NOT_SUPPORTED,
			 psprintf(is_round ? "%s() takes one or two arguments" : "%s() takes one argument", name));
	foreach(lc, call->args)
	{
		if (IsA(lfirst(lc), NamedArgExpr))
			fail(b, call->location, ERRCODE_FEATURE_NOT_SUPPORTED,
				 psprintf("arguments of %s() have no names", name));
	}
	return build_call(b, is_round ? OP_ROUND : OP_ABS, call->args);
}

static FormulaNode *
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
		case T_FuncCall:
			return build_function(b, (FuncCall *) raw);
		case T_CoalesceExpr:
			return build_call(b, OP_COALESCE, ((CoalesceExpr *) raw)->args);
		case T_MinMaxExpr:
			return build_call(b, ((MinMaxExpr *) raw)->op == IS_GREATEST ? OP_GREATEST : OP_LEAST,
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
	b.formula->root = build(&b, raw);
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
		FormulaNode *node = lfirst(lc);
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

/* ---- evaluation ---- */

static Numeric eval_node(FormulaNode *node, Numeric *values);

static int
compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

static Numeric
arithmetic(Op op, Numeric a, Numeric b)
{
	bool		failed = false;
	Numeric		result;

	if (a == NULL || b == NULL)
		return NULL;
	switch (op)
	{
		case OP_ADD:
			result = numeric_add_opt_error(a, b, &failed);
			break;
		case OP_SUBTRACT:
			result = numeric_sub_opt_error(a, b, &failed);
			break;
		case OP_MULTIPLY:
			result = numeric_mul_opt_error(a, b, &failed);
			break;
		default:
			result = numeric_div_opt_error(a, b, &failed);
			break;
	}
	return failed ? NULL : result;
}

/* GREATEST, LEAST: arguments without a value do not count, as in SQL. */
static Numeric
extreme(FormulaNode *node, Numeric *values)
{
	Numeric		result = NULL;
	ListCell   *lc;

	foreach(lc, node->args)
	{
		Numeric		value = eval_node(lfirst(lc), values);

		if (value != NULL &&
			(result == NULL ||
			 (node->op == OP_GREATEST ? compare(value, result) > 0 : compare(value, result) < 0)))
			result = value;
	}
	return result;
}

static Numeric
first_value(FormulaNode *node, Numeric *values)
{
	ListCell   *lc;

	foreach(lc, node->args)
	{
		Numeric		value = eval_node(lfirst(lc), values);

		if (value != NULL)
			return value;
	}
	return NULL;
}

static Numeric
round_value(Numeric value, Numeric digits, bool has_digits)
{
	int32		scale = 0;
	bool		failed = false;

	if (value == NULL || (has_digits && digits == NULL))
		return NULL;
	if (has_digits)
		scale = numeric_int4_opt_error(digits, &failed);
	if (failed)
		return NULL;
	return DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(value),
											   Int32GetDatum(scale)));
}

static Numeric
eval_node(FormulaNode *node, Numeric *values)
{
	Numeric		a;
	Numeric		b;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	switch (node->op)
	{
		case OP_NUMBER:
			return node->number;
		case OP_KPI:
			return values[node->kpi];
		case OP_COALESCE:
			return first_value(node, values);
		case OP_GREATEST:
		case OP_LEAST:
			return extreme(node, values);
		default:
			break;
	}

	a = eval_node(linitial(node->args), values);
	b = list_length(node->args) > 1 ? eval_node(lsecond(node->args), values) : NULL;
	switch (node->op)
	{
		case OP_NEGATE:
			return a ? DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(a))) : NULL;
		case OP_ABS:
			return a ? DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(a))) : NULL;
		case OP_NULLIF:
			return a && b && compare(a, b) == 0 ? NULL : a;
		case OP_ROUND:
			return round_value(a, b, list_length(node->args) > 1);
		default:
			return arithmetic(node->op, a, b);
	}
}

Numeric
kpi_model_formula_eval(KpiFormula *formula, Numeric *values,
					   Numeric *numerator, Numeric *denominator)
{
	FormulaNode *root = formula->root;

	*numerator = *denominator = NULL;
	if (root->op != OP_DIVIDE)
		return eval_node(root, values);

	*numerator = eval_node(linitial(root->args), values);
	*denominator = eval_node(lsecond(root->args), values);
	return arithmetic(OP_DIVIDE, *numerator, *denominator);
}

/* ---- shapes ---- */

/* What the days of a node make of a period; a number is the same on all days. */
typedef enum NodeShape
{
	NODE_CONSTANT,
	NODE_ADDITIVE,
	NODE_OTHER
} NodeShape;

static NodeShape
node_shape(const FormulaNode *node, const KpiShape *inputs)
{
	NodeShape	a;
	NodeShape	b;

	check_stack_depth();
	if (node->op == OP_NUMBER)
		return NODE_CONSTANT;
	if (node->op == OP_KPI)
		return inputs[node->kpi] == KPI_SHAPE_ADDITIVE ? NODE_ADDITIVE : NODE_OTHER;
	a = node_shape(linitial(node->args), inputs);
	b = list_length(node->args) > 1 ? node_shape(lsecond(node->args), inputs) : NODE_CONSTANT;
	switch (node->op)
	{
		case OP_NEGATE:
			return a;
		case OP_ADD:
		case OP_SUBTRACT:
			return a == b ? a : NODE_OTHER;
		case OP_MULTIPLY:
			return a == NODE_CONSTANT ? b : b == NODE_CONSTANT ? a : NODE_OTHER;
		case OP_DIVIDE:
			return b == NODE_CONSTANT ? a : NODE_OTHER;
		case OP_NULLIF:
		case OP_COALESCE:

			/*
			 * What keeps a number from being divided by, and nothing from
			 * being none.
			 */
			return b == NODE_CONSTANT && list_length(node->args) == 2 ? a : NODE_OTHER;
		default:
			return a == NODE_CONSTANT && b == NODE_CONSTANT && list_length(node->args) <= 2 ? NODE_CONSTANT : NODE_OTHER;
	}
}

KpiShape
kpi_model_formula_shape(const KpiFormula *formula, const KpiShape *inputs)
{
	const FormulaNode *root = formula->root;

	if (node_shape(root, inputs) == NODE_ADDITIVE)
		return KPI_SHAPE_ADDITIVE;
	if (root->op == OP_DIVIDE && node_shape(linitial(root->args), inputs) == NODE_ADDITIVE &&
		node_shape(lsecond(root->args), inputs) == NODE_ADDITIVE)
		return KPI_SHAPE_QUOTIENT;
	return KPI_SHAPE_OTHER;
}

/* A formula parsed for the calls of one query, which mostly repeat it. */
typedef struct FormulaCache
{
	char	   *text;
	KpiFormula *formula;
} FormulaCache;

static KpiFormula *
cached_formula(FmgrInfo *flinfo, const char *text)
{
	FormulaCache *cache = flinfo->fn_extra;
	MemoryContext context;

	if (cache != NULL && strcmp(cache->text, text) == 0)
		return cache->formula;

	context = MemoryContextSwitchTo(flinfo->fn_mcxt);
	cache = palloc(sizeof(FormulaCache));
	cache->text = pstrdup(text);
	cache->formula = kpi_model_formula_parse(text);
	flinfo->fn_extra = cache;
	MemoryContextSwitchTo(context);
	return cache->formula;
}

/* kpi_internal.formula_value(formula, names, vals) */
Datum
kpi_sql_formula_value(PG_FUNCTION_ARGS)
{
	KpiFormula *formula = cached_formula(fcinfo->flinfo, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	Datum	   *names;
	Datum	   *vals;
	bool	   *names_null;
	bool	   *vals_null;
	int			nnames;
	int			nvals;
	Numeric    *values = palloc0(sizeof(Numeric) * Max(1, list_length(formula->names)));
	Numeric		numerator;
	Numeric		denominator;
	Numeric		result;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &names, &names_null, &nnames);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), NUMERICOID, -1, false, TYPALIGN_INT,
					  &vals, &vals_null, &nvals);
	for (int i = 0; i < Min(nnames, nvals); i++)
	{
		char	   *name = names_null[i] ? NULL : TextDatumGetCString(names[i]);
		ListCell   *lc;

		if (name == NULL || vals_null[i])
			continue;
		foreach(lc, formula->names)
		{
			if (strcmp(lfirst(lc), name) == 0)
				values[foreach_current_index(lc)] = DatumGetNumeric(vals[i]);
		}
	}

	result = kpi_model_formula_eval(formula, values, &numerator, &denominator);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(result);
}
