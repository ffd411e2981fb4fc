/*-------------------------------------------------------------------------
 *
 * query_formula.c
 *	  A formula over KPIs, as an expression over common table expressions.
 *
 * Each KPI in each window that the formula asks for is one, with one row: its value, and
 * whether it has one.  What they count for, and when the formula has a value, is as
 * value/formula.c has it; windows are made by the same functions (value/window.c).
 *
 * Numbers are of type numeric, so that nothing is divided as integers are.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "explain/explain_internal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

/* So many common table expressions are as many as anybody reads. */
#define MAX_BLOCKS 200

/* A formula while its expression is made. */
typedef struct Formula
{
	KpiQuery   *query;
	const KpiProgramNode *node;
	List	   *used;			/* KpiQueryBlock: those that say whether it
								 * has a value */
	bool		is_known;		/* it has one, whatever they say */
}			Formula;

static char *number_of(Formula * formula, const KpiFormulaNode *part, const KpiWindow *window);

/* ---- blocks ---- */

static KpiQueryBlock *
find_block(KpiQuery * query, int node, const KpiWindow *window, bool is_average)
{
	ListCell   *lc;

	foreach(lc, query->blocks)
	{
		KpiQueryBlock *block = lfirst(lc);

		if (block->node == node && block->is_average == is_average && kpi_value_window_equal(&block->window, window))
			return block;
	}
	return NULL;
}

/* What a block is about, beside its name. */
static char *
window_text(const KpiWindow *window, bool is_average)
{
	if (window->until <= window->since)
		return psprintf("before %s", kpi_day_text(window->since));
	if (window->until == window->since + 1)
		return psprintf("on %s", kpi_day_text(window->since));
	return psprintf("%s%s to %s", is_average ? "day by day, " : "", kpi_day_text(window->since),
					kpi_day_text(window->until - 1));
}

static KpiQueryBlock *
make_block(KpiQuery * query, int n, const KpiWindow *window, bool is_average)
{
	const KpiProgramNode *node = &query->program->nodes[n];
	KpiQueryBlock *block = palloc0(sizeof(KpiQueryBlock));
	KpiQueryNumber number;
	char	   *value;

	if (list_length(query->blocks) >= MAX_BLOCKS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("KPI \"%s\" is made of more than %d numbers", query->call.kpi, MAX_BLOCKS),
				 errhint("Ask for the KPIs of its formula one by one.")));
	block->node = n;
	block->window = *window;
	block->is_average = is_average;
	if (node->formula != NULL)
		kpi_explain_query_formula(query, node, window, "           ", &number);
	else
		kpi_explain_query_measure(query, node, window, is_average, "    ", &number);
	value = number.value;
	if (node->formula == NULL && node->is_balance && strcmp(number.known, "true") == 0)
		value = number.or_nothing;
	block->name = kpi_explain_query_name(query, kpi_first_text("SELECT name FROM kpi.kpi WHERE id = $1",
															   1, KPI_INT4(node->kpi_id)));
	block->text = psprintf("%s AS (    -- %s\n    SELECT %s AS value,\n           %s AS known\n%s\n)",
						   block->name, window_text(window, is_average), value, number.known, number.from);
	query->blocks = lappend(query->blocks, block);
	return block;
}

static KpiQueryBlock *
use_block(Formula * formula, int n, const KpiWindow *window, bool is_average)
{
	KpiQueryBlock *block = find_block(formula->query, n, window, is_average);

	if (block == NULL)
		block = make_block(formula->query, n, window, is_average);
	formula->used = list_append_unique_ptr(formula->used, block);
	return block;
}

/* ---- expressions ---- */

/* One that nothing may be put beside without parentheses. */
static char *
operand(Formula * formula, const KpiFormulaNode *part, const KpiWindow *window)
{
	char	   *text = number_of(formula, part, window);

	switch (part->op)
	{
		case KPI_FORMULA_NUMBER:
			return text[0] == '-' ? psprintf("(%s)", text) : text;
		case KPI_FORMULA_NEGATE:
		case KPI_FORMULA_ADD:
		case KPI_FORMULA_SUBTRACT:
		case KPI_FORMULA_MULTIPLY:
		case KPI_FORMULA_DIVIDE:
		case KPI_FORMULA_PREVIOUS:
		case KPI_FORMULA_YEAR_AGO:
		case KPI_FORMULA_YTD:
		case KPI_FORMULA_QTD:
		case KPI_FORMULA_ROLLING:
		case KPI_FORMULA_OPENING:
		case KPI_FORMULA_CLOSING:
		case KPI_FORMULA_WHOLE:
			return psprintf("(%s)", text);
		default:
			return text;
	}
}

/* What a KPI counts for in the formula (kpi_value_of_nothing()). */
static char *
kpi_of(Formula * formula, int kpi, const KpiWindow *window)
{
	int			n = formula->node->inputs[kpi];
	const KpiProgramNode *node = &formula->query->program->nodes[n];
	KpiQueryBlock *block = use_block(formula, n, window, false);
	bool		is_held = node->formula == NULL && node->is_balance;

	if (node->additive || (is_held && window->since <= formula->query->today))
		return psprintf("coalesce(%s.value, 0)", block->name);
	return psprintf("%s.value", block->name);
}

static char *
constant_of(Numeric number)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
}

/* Whether its type is integer, as that of a formula is never: it would be divided otherwise. */
static bool
is_integer(const KpiFormulaNode *part)
{
	bool		is_case = part->op == KPI_FORMULA_CASE || part->op == KPI_FORMULA_SWITCH;
	int			n = list_length(part->args);
	ListCell   *lc;

	check_stack_depth();
	if (part->op == KPI_FORMULA_NUMBER)
		return strchr(constant_of(part->number), '.') == NULL;
	if (part->op == KPI_FORMULA_KPI || part->op == KPI_FORMULA_ROUND || part->op == KPI_FORMULA_GROWTH ||
		part->op == KPI_FORMULA_YEAR_GROWTH || part->op == KPI_FORMULA_DAILY_AVERAGE || part->op == KPI_FORMULA_TARGET)
		return false;
	foreach(lc, part->args)
	{
		int			i = foreach_current_index(lc) - (part->op == KPI_FORMULA_SWITCH ? 1 : 0);

		/* Of CASE only what follows THEN and ELSE. */
		if (is_case && (i < 0 || (i % 2 == 0 && lnext(part->args, lc) != NULL)))
			continue;
		if (!is_integer(lfirst(lc)))
			return false;
	}
	return n > 0;
}

/* Two numbers, or a condition between them. */
static char *
operation(Formula * formula, const KpiFormulaNode *part, const char *sign, const KpiWindow *window)
{
	const KpiFormulaNode *a = linitial(part->args);
	const KpiFormulaNode *b = lsecond(part->args);
	char	   *left = operand(formula, a, window);
	char	   *right = operand(formula, b, window);

	if (is_integer(a) && is_integer(b))
		left = psprintf("(%s)::numeric", left);
	if (part->op == KPI_FORMULA_DIVIDE)
		right = psprintf("nullif(%s, 0)", right);
	return psprintf("%s %s %s", left, sign, right);
}

/* Parts with something between them. */
static char *
list_of(Formula * formula, List *parts, const char *separator, const KpiWindow *window)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, parts)
		appendStringInfo(&sql, "%s%s", sql.len > 0 ? separator : "", number_of(formula, lfirst(lc), window));
	return sql.data;
}

static char *
call_of(Formula * formula, const char *name, List *parts, const KpiWindow *window)
{
	return psprintf("%s(%s)", name, list_of(formula, parts, ", ", window));
}

static char *
round_of(Formula * formula, const KpiFormulaNode *part, const KpiWindow *window)
{
	char	   *number = number_of(formula, linitial(part->args), window);

	if (list_length(part->args) == 1)
		return psprintf("round((%s)::numeric)", number);
	return psprintf("round((%s)::numeric, (%s)::integer)", number, number_of(formula, lsecond(part->args), window));
}

/* CASE in both forms. */
static char *
case_of(Formula * formula, const KpiFormulaNode *part, const KpiWindow *window)
{
	int			n = part->op == KPI_FORMULA_SWITCH ? 1 : 0;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "CASE");
	if (n == 1)
		appendStringInfo(&sql, " %s", number_of(formula, linitial(part->args), window));
	for (; n + 1 < list_length(part->args); n += 2)
		appendStringInfo(&sql, " WHEN %s THEN %s", number_of(formula, list_nth(part->args, n), window),
						 number_of(formula, list_nth(part->args, n + 1), window));
	if (n < list_length(part->args))
		appendStringInfo(&sql, " ELSE %s", number_of(formula, list_nth(part->args, n), window));
	appendStringInfoString(&sql, " END");
	return sql.data;
}

/* ---- functions over time ---- */

static bool
is_balance(const Formula * formula, const KpiFormulaNode *part)
{
	ListCell   *lc;

	if (part->op == KPI_FORMULA_KPI)
		return formula->query->program->nodes[formula->node->inputs[part->kpi]].is_balance;
	foreach(lc, part->args)
	{
		if (!is_balance(formula, lfirst(lc)) && ((KpiFormulaNode *) lfirst(lc))->op != KPI_FORMULA_NUMBER)
			return false;
	}
	return part->args != NIL;
}

static char *
growth_of(Formula * formula, const KpiFormulaNode *call, const KpiWindow *window)
{
	const KpiFormulaNode *part = linitial(call->args);
	DateADT		today = formula->query->today;
	KpiWindow	to_date = kpi_value_window_to_date(window, today);
	KpiWindow	other;
	char	   *base;

	if (!(call->op == KPI_FORMULA_YEAR_GROWTH ? kpi_value_window_year_ago(window, &other) :
		  kpi_value_window_previous(window, &other)))
		return "NULL::numeric";
	if (!is_balance(formula, part))
		other = kpi_value_window_as_far(window, &other, today);
	base = operand(formula, part, &other);
	return psprintf("round((%s - %s) / nullif(abs(%s), 0), 6)", operand(formula, part, &to_date), base, base);
}

static char *
target_of(Formula * formula, const KpiFormulaNode *call, const KpiWindow *window)
{
	int			kpi = ((KpiFormulaNode *) linitial(call->args))->kpi;
	Numeric		target = NULL;

	if (window->is_period && (window->place.dim_id == 0 || formula->query->call.is_met))
		target = kpi_value_target(formula->query->program->nodes[formula->node->inputs[kpi]].kpi_id, call->plan,
								  &window->place);
	if (target == NULL)
		return "NULL::numeric";
	formula->is_known = true;
	kpi_explain_query_note(formula->query, psprintf("The target of %s for these days is %s.",
													(char *) list_nth(formula->node->formula->names, kpi), constant_of(target)));
	return psprintf("%s::numeric", constant_of(target));
}

static char *
over_time(Formula * formula, const KpiFormulaNode *call, const KpiWindow *given)
{
	const KpiProgram *program = formula->query->program;
	const KpiFormulaNode *part = linitial(call->args);
	DateADT		today = formula->query->today;
	KpiWindow	window = *given;
	bool		is_there = true;

	switch (call->op)
	{
		case KPI_FORMULA_PREVIOUS:
			is_there = kpi_value_window_previous(given, &window);
			break;
		case KPI_FORMULA_YEAR_AGO:
			is_there = kpi_value_window_year_ago(given, &window);
			break;
		case KPI_FORMULA_GROWTH:
		case KPI_FORMULA_YEAR_GROWTH:
			return growth_of(formula, call, given);
		case KPI_FORMULA_YTD:
			window = kpi_value_window_ytd(given, program);
			break;
		case KPI_FORMULA_QTD:
			window = kpi_value_window_qtd(given, program);
			break;
		case KPI_FORMULA_ROLLING:
			window = call->unit == KPI_DAY ? kpi_value_window_rolling_days(given, call->n, today) :
				kpi_value_window_rolling(given, call->n, call->unit, program, today);
			break;
		case KPI_FORMULA_OPENING:
			window = kpi_value_window_opening(given);
			break;
		case KPI_FORMULA_WHOLE:
			window = kpi_value_window_whole(given);
			break;
		case KPI_FORMULA_DAILY_AVERAGE:
			return psprintf("%s.value", use_block(formula, formula->node->inputs[part->kpi], given, true)->name);
		case KPI_FORMULA_TARGET:
			return target_of(formula, call, given);
		default:
			break;
	}
	return is_there ? number_of(formula, part, &window) : "NULL::numeric";
}

static char *
number_of(Formula * formula, const KpiFormulaNode *part, const KpiWindow *window)
{
	static const char *const signs[] = {
		[KPI_FORMULA_ADD] = "+",[KPI_FORMULA_SUBTRACT] = "-",[KPI_FORMULA_MULTIPLY] = "*",[KPI_FORMULA_DIVIDE] = "/",
		[KPI_FORMULA_LESS] = "<",[KPI_FORMULA_LESS_EQUAL] = "<=",[KPI_FORMULA_EQUAL] = "=",
		[KPI_FORMULA_NOT_EQUAL] = "<>",[KPI_FORMULA_GREATER_EQUAL] = ">=",[KPI_FORMULA_GREATER] = ">"
	};

	check_stack_depth();
	switch (part->op)
	{
		case KPI_FORMULA_NUMBER:
			return constant_of(part->number);
		case KPI_FORMULA_KPI:
			return kpi_of(formula, part->kpi, window);
		case KPI_FORMULA_NEGATE:
			return psprintf("- %s", operand(formula, linitial(part->args), window));
		case KPI_FORMULA_NULLIF:
			return call_of(formula, "nullif", part->args, window);
		case KPI_FORMULA_COALESCE:
			return call_of(formula, "coalesce", part->args, window);
		case KPI_FORMULA_GREATEST:
			return call_of(formula, "greatest", part->args, window);
		case KPI_FORMULA_LEAST:
			return call_of(formula, "least", part->args, window);
		case KPI_FORMULA_ABS:
			return call_of(formula, "abs", part->args, window);
		case KPI_FORMULA_ROUND:
			return round_of(formula, part, window);
		case KPI_FORMULA_CASE:
		case KPI_FORMULA_SWITCH:
			return case_of(formula, part, window);
		case KPI_FORMULA_AND:
		case KPI_FORMULA_OR:
			return psprintf("(%s)", list_of(formula, part->args, part->op == KPI_FORMULA_AND ? ") AND (" : ") OR (", window));
		case KPI_FORMULA_NOT:
			return psprintf("NOT (%s)", list_of(formula, part->args, "", window));
		default:
			return part->op >= KPI_FORMULA_PREVIOUS ? over_time(formula, part, window) :
				operation(formula, part, signs[part->op], window);
	}
}

/* ---- the formula ---- */

void
kpi_explain_query_formula(KpiQuery * query, const KpiProgramNode *node, const KpiWindow *window,
						  const char *pad, KpiQueryNumber * number)
{
	Formula		formula = {.query = query,.node = node};
	StringInfoData known;
	StringInfoData from;
	char	   *value;
	ListCell   *lc;

	for (int i = 0; i < node->ninputs; i++)
		(void) use_block(&formula, node->inputs[i], window, false);
	value = number_of(&formula, node->formula->root, window);
	if (is_integer(node->formula->root))
		value = psprintf("(%s)::numeric", value);
	initStringInfo(&known);
	initStringInfo(&from);
	foreach(lc, formula.used)
	{
		KpiQueryBlock *block = lfirst(lc);

		appendStringInfo(&known, "%s%s.known", known.len > 0 ? " OR " : "", block->name);
		appendStringInfo(&from, "%s%s", from.len > 0 ? ", " : "", block->name);
	}
	memset(number, 0, sizeof(*number));
	number->known = formula.is_known ? "true" : known.data;
	number->value = formula.is_known ? value : psprintf("CASE WHEN %s\n%s     THEN %s END", known.data, pad, value);
	number->or_nothing = formula.is_known ? value :
		psprintf("CASE WHEN %s\n%s     THEN %s ELSE 0 END", known.data, pad, value);
	number->from = psprintf("%.*s  FROM %s", Max((int) strlen(pad) - 7, 0), pad, from.data);
}
