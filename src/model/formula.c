/*-------------------------------------------------------------------------
 *
 * formula.c
 *	  Formulas over KPIs: parsing and evaluation.
 *
 * A formula is evaluated on values of the same team or member and period.  It is
 * data, not SQL: evaluating one runs nothing but numeric arithmetic, with no
 * rights at all, is bounded by the number of its nodes and can be cancelled at
 * each of them.
 *
 * Grammar:
 *	sum      := product (('+' | '-') product)*
 *	product  := unary (('*' | '/') unary)*
 *	unary    := '-' unary | primary
 *	primary  := number | KPI name | '(' sum ')' | function '(' sum (',' sum)* ')'
 * A name of letters, digits and underscores stands as it is, any other in
 * double quotes.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "model/model.h"
#include "utils/array.h"
#include "utils/builtins.h"

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
	List	   *args;			/* FormulaNode * */
} FormulaNode;

struct KpiFormula
{
	FormulaNode *root;
	List	   *names;
};

static const struct
{
	const char *name;
	Op			op;
	int			min_args;
	int			max_args;
}			functions[] = {
	{"nullif", OP_NULLIF, 2, 2},
	{"coalesce", OP_COALESCE, 1, PG_INT32_MAX},
	{"greatest", OP_GREATEST, 1, PG_INT32_MAX},
	{"least", OP_LEAST, 1, PG_INT32_MAX},
	{"abs", OP_ABS, 1, 1},
	{"round", OP_ROUND, 1, 2}
};

/* ---- tokens ---- */

typedef enum TokenKind
{
	TOKEN_END,
	TOKEN_NUMBER,
	TOKEN_NAME,
	TOKEN_QUOTED,
	TOKEN_SIGN					/* one of + - * / ( ) , */
} TokenKind;

typedef struct Parser
{
	const char *text;
	const char *start;			/* the current token */
	const char *next;			/* behind it */
	TokenKind	kind;
	char	   *value;			/* name or number */
	List	   *names;
	int			nnodes;
} Parser;

/* A refresh evaluates formulas of all roles: none may take it much time. */
#define MAX_NODES 1000

/* Bytes of a formula that is too long, in the error. */
#define SHOWN_LENGTH 100

#define FORMULA_HINT "A formula is made of KPI names (in double quotes where they have other characters than letters, digits and _), numbers, + - * /, parentheses and the functions nullif, coalesce, greatest, least, abs and round."

pg_noreturn static void
syntax_error(Parser *p, const char *problem)
{
	int			position = pg_mbstrlen_with_len(p->text, p->start - p->text) + 1;

	if (p->kind == TOKEN_END)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s at the end of formula: %s", problem, p->text),
				 errhint(FORMULA_HINT)));
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("%s at or near \"%.*s\" in formula: %s", problem,
					(int) (p->next - p->start), p->start, p->text),
			 errdetail("It is at character %d.", position),
			 errhint(FORMULA_HINT)));
}

static bool
is_name_char(unsigned char c, bool first)
{
	return isalpha(c) || c == '_' || IS_HIGHBIT_SET(c) || (!first && isdigit(c));
}

/* At a double quote: reads up to its partner; a doubled one stands for one. */
static void
read_quoted(Parser *p)
{
	StringInfoData name;
	const char *c = p->start + 1;

	initStringInfo(&name);
	for (;;)
	{
		if (*c == '\0')
		{
			p->next = c;
			syntax_error(p, "name without its closing quote");
		}
		if (*c == '"' && *++c != '"')
			break;
		appendStringInfoChar(&name, *c++);
	}
	p->next = c;
	p->value = name.data;
	p->kind = TOKEN_QUOTED;
	if (name.len == 0)
		syntax_error(p, "empty name");
}

static void
read_number(Parser *p)
{
	const char *c = p->start;

	while (isdigit((unsigned char) *c))
		c++;
	if (*c == '.')
	{
		c++;
		while (isdigit((unsigned char) *c))
			c++;
	}
	p->next = c;
	p->kind = TOKEN_NUMBER;
	if (is_name_char(*c, true) || *c == '.' || c - p->start > 100)
	{
		p->next = c + pg_mblen(c);
		syntax_error(p, "malformed number");
	}
	p->value = pnstrdup(p->start, c - p->start);
}

static void
advance(Parser *p)
{
	const char *c = p->next;

	while (isspace((unsigned char) *c))
		c++;
	p->start = c;
	p->value = NULL;
	if (*c == '\0')
	{
		p->next = c;
		p->kind = TOKEN_END;
	}
	else if (*c == '"')
		read_quoted(p);
	else if (isdigit((unsigned char) *c) || (*c == '.' && isdigit((unsigned char) c[1])))
		read_number(p);
	else if (is_name_char(*c, true))
	{
		while (is_name_char(*c, false))
			c++;
		p->next = c;
		p->value = pnstrdup(p->start, c - p->start);
		p->kind = TOKEN_NAME;
	}
	else
	{
		p->next = c + pg_mblen(c);
		p->kind = TOKEN_SIGN;
	}
}

static bool
at_sign(Parser *p, char sign)
{
	return p->kind == TOKEN_SIGN && *p->start == sign;
}

static void
expect(Parser *p, char sign, const char *problem)
{
	if (!at_sign(p, sign))
		syntax_error(p, problem);
	advance(p);
}

/* ---- grammar ---- */

static FormulaNode *parse_sum(Parser *p);

static FormulaNode *
make_node(Parser *p, Op op, FormulaNode *left, FormulaNode *right)
{
	FormulaNode *node = palloc0(sizeof(FormulaNode));

	if (++p->nnodes > MAX_NODES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("formula of more than %d numbers, KPIs and operations: %.*s...", MAX_NODES,
						pg_mbcliplen(p->text, strlen(p->text), SHOWN_LENGTH), p->text),
				 errhint("Make KPIs of parts of it: a formula can be over other formulas.")));
	node->op = op;
	if (left != NULL)
		node->args = lappend(node->args, left);
	if (right != NULL)
		node->args = lappend(node->args, right);
	return node;
}

static FormulaNode *
make_kpi(Parser *p, char *name)
{
	FormulaNode *node = make_node(p, OP_KPI, NULL, NULL);
	ListCell   *lc;

	foreach(lc, p->names)
	{
		if (strcmp(lfirst(lc), name) == 0)
		{
			node->kpi = foreach_current_index(lc);
			return node;
		}
	}
	node->kpi = list_length(p->names);
	p->names = lappend(p->names, name);
	return node;
}

static FormulaNode *
parse_function(Parser *p, Parser *name)
{
	FormulaNode *node;
	int			f;

	for (f = 0; f < lengthof(functions); f++)
	{
		if (pg_strcasecmp(name->value, functions[f].name) == 0)
			break;
	}
	if (f == lengthof(functions))
		syntax_error(name, "unknown function");

	node = make_node(p, functions[f].op, NULL, NULL);
	advance(p);
	node->args = list_make1(parse_sum(p));
	while (at_sign(p, ','))
	{
		advance(p);
		node->args = lappend(node->args, parse_sum(p));
	}
	expect(p, ')', "missing \")\"");
	if (list_length(node->args) < functions[f].min_args ||
		list_length(node->args) > functions[f].max_args)
		syntax_error(name, "wrong number of arguments");
	return node;
}

static FormulaNode *
parse_primary(Parser *p)
{
	Parser		name = *p;
	FormulaNode *node;

	switch (p->kind)
	{
		case TOKEN_NUMBER:
			node = make_node(p, OP_NUMBER, NULL, NULL);
			node->number = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(p->value),
															   ObjectIdGetDatum(InvalidOid),
															   Int32GetDatum(-1)));
			advance(p);
			return node;
		case TOKEN_NAME:
			advance(p);
			return at_sign(p, '(') ? parse_function(p, &name) : make_kpi(p, name.value);
		case TOKEN_QUOTED:
			advance(p);
			return make_kpi(p, name.value);
		case TOKEN_SIGN:
			if (at_sign(p, '('))
			{
				advance(p);
				node = parse_sum(p);
				expect(p, ')', "missing \")\"");
				return node;
			}
			break;
		case TOKEN_END:
			break;
	}
	syntax_error(p, "a KPI or a number is missing");
}

static FormulaNode *
parse_unary(Parser *p)
{
	check_stack_depth();
	if (!at_sign(p, '-'))
		return parse_primary(p);
	advance(p);
	return make_node(p, OP_NEGATE, parse_unary(p), NULL);
}

static FormulaNode *
parse_product(Parser *p)
{
	FormulaNode *node = parse_unary(p);

	while (at_sign(p, '*') || at_sign(p, '/'))
	{
		Op			op = *p->start == '*' ? OP_MULTIPLY : OP_DIVIDE;

		advance(p);
		node = make_node(p, op, node, parse_unary(p));
	}
	return node;
}

static FormulaNode *
parse_sum(Parser *p)
{
	FormulaNode *node = parse_product(p);

	while (at_sign(p, '+') || at_sign(p, '-'))
	{
		Op			op = *p->start == '+' ? OP_ADD : OP_SUBTRACT;

		advance(p);
		node = make_node(p, op, node, parse_product(p));
	}
	return node;
}

KpiFormula *
kpi_model_formula_parse(const char *text)
{
	KpiFormula *formula = palloc(sizeof(KpiFormula));
	Parser		p = {0};

	p.text = p.next = text;
	advance(&p);
	formula->root = parse_sum(&p);
	if (p.kind != TOKEN_END)
		syntax_error(&p, "syntax error");
	formula->names = p.names;
	return formula;
}

List *
kpi_model_formula_names(KpiFormula *formula)
{
	return formula->names;
}

static bool
is_plain_name(const char *name)
{
	if (!is_name_char(*name, true))
		return false;
	while (*++name != '\0')
	{
		if (!is_name_char(*name, false))
			return false;
	}
	return true;
}

char *
kpi_model_formula_rename(const char *text, const char *old_name, const char *new_name)
{
	StringInfoData result;
	Parser		p = {0};
	const char *copied = text;

	initStringInfo(&result);
	p.text = p.next = text;
	for (advance(&p); p.kind != TOKEN_END;)
	{
		Parser		name = p;

		advance(&p);
		if ((name.kind != TOKEN_NAME && name.kind != TOKEN_QUOTED) ||
			strcmp(name.value, old_name) != 0 ||
			(name.kind == TOKEN_NAME && at_sign(&p, '(')))
			continue;
		appendBinaryStringInfo(&result, copied, name.start - copied);
		copied = name.next;
		if (is_plain_name(new_name))
			appendStringInfoString(&result, new_name);
		else
		{
			appendStringInfoChar(&result, '"');
			for (const char *c = new_name; *c != '\0'; c++)
				appendStringInfo(&result, *c == '"' ? "\"\"" : "%c", *c);
			appendStringInfoChar(&result, '"');
		}
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
