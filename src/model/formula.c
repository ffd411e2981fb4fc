/*-------------------------------------------------------------------------
 *
 * formula.c
 *	  Formulas over KPIs: evaluation, and what follows from how they are made.
 *
 * Evaluating one runs nothing but numeric arithmetic, with no rights at all, is
 * bounded by the number of its nodes and can be cancelled at each of them.  What
 * looks at other periods is asked of the caller.
 *
 * Conditions have three values, as in SQL: what is compared with nothing is unknown.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "model/model.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(kpi_sql_formula_value);

typedef enum Truth
{
	NOT_KNOWN,
	IS_NOT_SO,
	IS_SO
} Truth;

/* ---- numbers ---- */

static int
compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

static Numeric
arithmetic(KpiFormulaOp op, Numeric a, Numeric b)
{
	bool		failed = false;
	Numeric		result;

	if (a == NULL || b == NULL)
		return NULL;
	switch (op)
	{
		case KPI_FORMULA_ADD:
			result = numeric_add_opt_error(a, b, &failed);
			break;
		case KPI_FORMULA_SUBTRACT:
			result = numeric_sub_opt_error(a, b, &failed);
			break;
		case KPI_FORMULA_MULTIPLY:
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
extreme(const KpiFormulaNode *node, const KpiFormulaReader *reader)
{
	Numeric		result = NULL;
	ListCell   *lc;

	foreach(lc, node->args)
	{
		Numeric		value = kpi_model_formula_number(lfirst(lc), reader);

		if (value != NULL &&
			(result == NULL ||
			 (node->op == KPI_FORMULA_GREATEST ? compare(value, result) > 0 : compare(value, result) < 0)))
			result = value;
	}
	return result;
}

static Numeric
first_value(const KpiFormulaNode *node, const KpiFormulaReader *reader)
{
	ListCell   *lc;

	foreach(lc, node->args)
	{
		Numeric		value = kpi_model_formula_number(lfirst(lc), reader);

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

/* ---- conditions ---- */

static Truth condition(const KpiFormulaNode *node, const KpiFormulaReader *reader);

static Truth
comparison(const KpiFormulaNode *node, const KpiFormulaReader *reader)
{
	Numeric		a = kpi_model_formula_number(linitial(node->args), reader);
	Numeric		b = kpi_model_formula_number(lsecond(node->args), reader);
	int			order;
	bool		result;

	if (a == NULL || b == NULL)
		return NOT_KNOWN;
	order = compare(a, b);
	switch (node->op)
	{
		case KPI_FORMULA_LESS:
			result = order < 0;
			break;
		case KPI_FORMULA_LESS_EQUAL:
			result = order <= 0;
			break;
		case KPI_FORMULA_EQUAL:
			result = order == 0;
			break;
		case KPI_FORMULA_NOT_EQUAL:
			result = order != 0;
			break;
		case KPI_FORMULA_GREATER_EQUAL:
			result = order >= 0;
			break;
		default:
			result = order > 0;
			break;
	}
	return result ? IS_SO : IS_NOT_SO;
}

/* AND is false where one is, OR true where one is; else one that is unknown makes it unknown. */
static Truth
combination(const KpiFormulaNode *node, const KpiFormulaReader *reader)
{
	Truth		decisive = node->op == KPI_FORMULA_AND ? IS_NOT_SO : IS_SO;
	Truth		result = node->op == KPI_FORMULA_AND ? IS_SO : IS_NOT_SO;
	ListCell   *lc;

	foreach(lc, node->args)
	{
		Truth		one = condition(lfirst(lc), reader);

		if (one == decisive)
			return decisive;
		if (one == NOT_KNOWN)
			result = NOT_KNOWN;
	}
	return result;
}

static Truth
condition(const KpiFormulaNode *node, const KpiFormulaReader *reader)
{
	Truth		of;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	switch (node->op)
	{
		case KPI_FORMULA_AND:
		case KPI_FORMULA_OR:
			return combination(node, reader);
		case KPI_FORMULA_NOT:
			of = condition(linitial(node->args), reader);
			return of == NOT_KNOWN ? NOT_KNOWN : of == IS_SO ? IS_NOT_SO : IS_SO;
		default:
			return comparison(node, reader);
	}
}

/* CASE in both forms: the first branch that fits, or the last argument if it stands alone. */
static Numeric
branch_value(const KpiFormulaNode *node, const KpiFormulaReader *reader)
{
	bool		is_switch = node->op == KPI_FORMULA_SWITCH;
	int			n = is_switch ? 1 : 0;
	Numeric		value = is_switch ? kpi_model_formula_number(linitial(node->args), reader) : NULL;

	for (; n + 1 < list_length(node->args); n += 2)
	{
		KpiFormulaNode *test = list_nth(node->args, n);
		bool		fits;

		if (is_switch)
		{
			Numeric		other = value ? kpi_model_formula_number(test, reader) : NULL;

			fits = other != NULL && compare(value, other) == 0;
		}
		else
			fits = condition(test, reader) == IS_SO;
		if (fits)
			return kpi_model_formula_number(list_nth(node->args, n + 1), reader);
	}
	return n < list_length(node->args) ? kpi_model_formula_number(list_nth(node->args, n), reader) : NULL;
}

/* ---- evaluation ---- */

static Numeric
calculate(const KpiFormulaNode *node, const KpiFormulaReader *reader)
{
	Numeric		a = kpi_model_formula_number(linitial(node->args), reader);
	Numeric		b = list_length(node->args) > 1 ? kpi_model_formula_number(lsecond(node->args), reader) : NULL;

	switch (node->op)
	{
		case KPI_FORMULA_NEGATE:
			return a ? DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(a))) : NULL;
		case KPI_FORMULA_ABS:
			return a ? DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(a))) : NULL;
		case KPI_FORMULA_NULLIF:
			return a && b && compare(a, b) == 0 ? NULL : a;
		case KPI_FORMULA_ROUND:
			return round_value(a, b, list_length(node->args) > 1);
		default:
			return arithmetic(node->op, a, b);
	}
}

Numeric
kpi_model_formula_number(const KpiFormulaNode *node, const KpiFormulaReader *reader)
{
	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	switch (node->op)
	{
		case KPI_FORMULA_NUMBER:
			return node->number;
		case KPI_FORMULA_KPI:
			return reader->kpi(reader->arg, node->kpi);
		case KPI_FORMULA_COALESCE:
			return first_value(node, reader);
		case KPI_FORMULA_GREATEST:
		case KPI_FORMULA_LEAST:
			return extreme(node, reader);
		case KPI_FORMULA_CASE:
		case KPI_FORMULA_SWITCH:
			return branch_value(node, reader);
		default:
			if (node->op >= KPI_FORMULA_PREVIOUS)
				return reader->over_time != NULL ? reader->over_time(reader->arg, node) : NULL;
			return calculate(node, reader);
	}
}

Numeric
kpi_model_formula_eval(const KpiFormula *formula, const KpiFormulaReader *reader,
					   Numeric *numerator, Numeric *denominator)
{
	const KpiFormulaNode *root = formula->root;

	*numerator = *denominator = NULL;
	if (root->op != KPI_FORMULA_DIVIDE)
		return kpi_model_formula_number(root, reader);

	*numerator = kpi_model_formula_number(linitial(root->args), reader);
	*denominator = kpi_model_formula_number(lsecond(root->args), reader);
	return arithmetic(KPI_FORMULA_DIVIDE, *numerator, *denominator);
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
node_shape(const KpiFormulaNode *node, const KpiShape *inputs)
{
	NodeShape	a;
	NodeShape	b;

	check_stack_depth();
	if (node->op == KPI_FORMULA_NUMBER)
		return NODE_CONSTANT;
	if (node->op == KPI_FORMULA_KPI)
		return inputs[node->kpi] == KPI_SHAPE_ADDITIVE ? NODE_ADDITIVE : NODE_OTHER;
	if (node->op >= KPI_FORMULA_CASE)
		return NODE_OTHER;
	a = node_shape(linitial(node->args), inputs);
	b = list_length(node->args) > 1 ? node_shape(lsecond(node->args), inputs) : NODE_CONSTANT;
	switch (node->op)
	{
		case KPI_FORMULA_NEGATE:
			return a;
		case KPI_FORMULA_ADD:
		case KPI_FORMULA_SUBTRACT:
			return a == b ? a : NODE_OTHER;
		case KPI_FORMULA_MULTIPLY:
			return a == NODE_CONSTANT ? b : b == NODE_CONSTANT ? a : NODE_OTHER;
		case KPI_FORMULA_DIVIDE:
			return b == NODE_CONSTANT ? a : NODE_OTHER;
		case KPI_FORMULA_NULLIF:
		case KPI_FORMULA_COALESCE:

			/*
			 * What keeps a number from being divided by, and nothing from
			 * being none.
			 */
			return b == NODE_CONSTANT && list_length(node->args) == 2 ? a : NODE_OTHER;
		default:
			return a == NODE_CONSTANT && b == NODE_CONSTANT && list_length(node->args) <= 2 ? NODE_CONSTANT : NODE_OTHER;
	}
}

/* Whether it is what was held at the beginning of the window, or a multiple of that. */
static bool
is_opening(const KpiFormulaNode *node, const KpiShape *inputs)
{
	check_stack_depth();
	switch (node->op)
	{
		case KPI_FORMULA_OPENING:
			return true;
		case KPI_FORMULA_MULTIPLY:
			return (is_opening(linitial(node->args), inputs) && node_shape(lsecond(node->args), inputs) == NODE_CONSTANT) ||
				(is_opening(lsecond(node->args), inputs) && node_shape(linitial(node->args), inputs) == NODE_CONSTANT);
		case KPI_FORMULA_DIVIDE:
		case KPI_FORMULA_NULLIF:
			return is_opening(linitial(node->args), inputs) && node_shape(lsecond(node->args), inputs) == NODE_CONSTANT;
		default:
			return false;
	}
}

KpiShape
kpi_model_formula_shape(const KpiFormula *formula, const KpiShape *inputs)
{
	const KpiFormulaNode *root = formula->root;

	if (node_shape(root, inputs) == NODE_ADDITIVE)
		return KPI_SHAPE_ADDITIVE;
	if (root->op == KPI_FORMULA_DIVIDE && node_shape(linitial(root->args), inputs) == NODE_ADDITIVE &&
		node_shape(lsecond(root->args), inputs) == NODE_ADDITIVE)
		return KPI_SHAPE_QUOTIENT;
	if (root->op == KPI_FORMULA_DIVIDE && node_shape(linitial(root->args), inputs) == NODE_ADDITIVE &&
		is_opening(lsecond(root->args), inputs))
		return KPI_SHAPE_OF_OPENING;
	return KPI_SHAPE_OTHER;
}

/* ---- what a formula looks at ---- */

/* Days that a period has, or a year ago is away, at most. */
static const int longest_period[] = {[KPI_DAY] = 1,[KPI_WEEK] = 7,[KPI_MONTH] = 31,[KPI_QUARTER] = 92,[KPI_YEAR] = 366};

static int
added(int a, int b)
{
	return Min(a + b, KPI_LOOKBACK_MAX);
}

static void
visit_node(const KpiFormulaNode *node, KpiFormulaVisit so_far, void (*visit) (void *arg, const KpiFormulaVisit *visit),
		   void *arg)
{
	ListCell   *lc;

	check_stack_depth();
	switch (node->op)
	{
		case KPI_FORMULA_KPI:
			so_far.use = node;
			visit		(arg, &so_far);

			return;
		case KPI_FORMULA_GROWTH:
		case KPI_FORMULA_PREVIOUS:
			so_far.periods = added(so_far.periods, 1);
			break;
		case KPI_FORMULA_YEAR_GROWTH:
		case KPI_FORMULA_YEAR_AGO:
		case KPI_FORMULA_YTD:
			so_far.days = added(so_far.days, longest_period[KPI_YEAR]);
			break;
		case KPI_FORMULA_QTD:
			so_far.days = added(so_far.days, longest_period[KPI_QUARTER]);
			break;
		case KPI_FORMULA_ROLLING:
			so_far.days = added(so_far.days, node->n * longest_period[node->unit]);
			break;
		case KPI_FORMULA_WHOLE:
			so_far.whole = true;
			break;
		case KPI_FORMULA_TARGET:
			so_far.is_target = true;
			break;
		default:
			break;
	}
	if (node->op >= KPI_FORMULA_PREVIOUS)
	{
		bool		is_growth = node->op == KPI_FORMULA_GROWTH || node->op == KPI_FORMULA_YEAR_GROWTH;

		so_far.times = added(Max(so_far.times, 1), is_growth ? Max(so_far.times, 1) : 0);
	}
	foreach(lc, node->args)
		visit_node(lfirst(lc), so_far, visit, arg);
}

void
kpi_model_formula_visit(const KpiFormula *formula, void (*visit) (void *arg, const KpiFormulaVisit *visit), void *arg)
{
	KpiFormulaVisit nothing = {0};

	visit_node(formula->root, nothing, visit, arg);
}

typedef struct TargetSearch
{
	int			kpi;
	bool		found;
} TargetSearch;

static void
search_target(void *arg, const KpiFormulaVisit *visit)
{
	TargetSearch *search = arg;

	search->found |= visit->is_target && visit->use->kpi == search->kpi;
}

bool
kpi_model_formula_has_target(const KpiFormula *formula, int kpi)
{
	TargetSearch search = {kpi, false};

	kpi_model_formula_visit(formula, search_target, &search);
	return search.found;
}

/* ---- calls from SQL ---- */

/* A formula parsed for the calls of one query, which mostly repeat it. */
typedef struct FormulaCache
{
	char	   *text;
	KpiFormula *formula;
} FormulaCache;

static const KpiFormula *
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

static Numeric
given_value(void *arg, int kpi)
{
	return ((Numeric *) arg)[kpi];
}

/* kpi_internal.formula_value(formula, names, vals); other periods have no values here. */
Datum
kpi_sql_formula_value(PG_FUNCTION_ARGS)
{
	const KpiFormula *formula = cached_formula(fcinfo->flinfo, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	Datum	   *names;
	Datum	   *vals;
	bool	   *names_null;
	bool	   *vals_null;
	int			nnames;
	int			nvals;
	Numeric    *values = palloc0(sizeof(Numeric) * Max(1, list_length(formula->names)));
	KpiFormulaReader reader = {.kpi = given_value,.arg = values};
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

	result = kpi_model_formula_number(formula->root, &reader);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(result);
}
