/*-------------------------------------------------------------------------
 *
 * formula.c
 *	  The value of a formula in a window, functions over time included.
 *
 * A function over time evaluates its argument, whatever that is made of, in another
 * window (window.c).  Days that are no period have no period before them and no
 * target: such functions have no value there.
 *
 * An input of no facts, or of none but facts that are left out, is 0 where it is
 * additive, in whichever window, else nothing.  A formula has a value where any of
 * its inputs has facts, there or in a window that it looks at, or a target.  Its facts
 * are those of the window itself.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "utils/fmgrprotos.h"
#include "value/value_internal.h"

/* A formula, or a part of it, in a window. */
typedef struct FormulaRead
{
	KpiEvaluation *evaluation;
	const KpiProgramNode *node;
	KpiWindow	window;
	bool		has_value;
} FormulaRead;

static Numeric read_kpi(void *arg, int kpi);
static Numeric read_over_time(void *arg, const KpiFormulaNode *call);

static Numeric
read_kpi(void *arg, int kpi)
{
	FormulaRead *read = arg;
	int			input = read->node->inputs[kpi];
	KpiValue	value;

	kpi_value_note_read(read->evaluation, input, &read->window, false);
	read->has_value |= kpi_value_of_node(read->evaluation, input, &read->window, &value);
	return value.value != NULL ? value.value : kpi_value_of_nothing(read->evaluation, input, &read->window);
}

static Numeric
number_in(FormulaRead *read, const KpiFormulaNode *node, const KpiWindow *window)
{
	FormulaRead there = {read->evaluation, read->node, *window, false};
	KpiFormulaReader reader = {read_kpi, read_over_time, &there};
	Numeric		number = kpi_model_formula_number(node, &reader);

	read->has_value |= there.has_value;
	return number;
}

/* Whether all that a part of the formula is over are balances. */
static bool
is_balance(const FormulaRead *read, const KpiFormulaNode *part)
{
	ListCell   *lc;

	if (part->op == KPI_FORMULA_KPI)
		return kpi_value_evaluation_program(read->evaluation)->nodes[read->node->inputs[part->kpi]].is_balance;
	foreach(lc, part->args)
	{
		if (!is_balance(read, lfirst(lc)) && ((KpiFormulaNode *) lfirst(lc))->op != KPI_FORMULA_NUMBER)
			return false;
	}
	return part->args != NIL;
}

/* The rule of kpi_value_growth(), of any part of a formula. */
static Numeric
growth(FormulaRead *read, const KpiFormulaNode *part, bool year_ago)
{
	DateADT		today = kpi_value_evaluation_today(read->evaluation);
	KpiWindow	to_date = kpi_value_window_to_date(&read->window, today);
	KpiWindow	other;

	if (!(year_ago ? kpi_value_window_year_ago(&read->window, &other) :
		  kpi_value_window_previous(&read->window, &other)))
		return NULL;
	/* What is held now is compared with what was held at the end. */
	if (!is_balance(read, part))
		other = kpi_value_window_as_far(&read->window, &other, today);
	return kpi_value_change(number_in(read, part, &to_date), number_in(read, part, &other));
}

static Numeric
target(FormulaRead *read, const KpiFormulaNode *call)
{
	const KpiProgram *program = kpi_value_evaluation_program(read->evaluation);
	int			kpi = ((KpiFormulaNode *) linitial(call->args))->kpi;
	Numeric		number = NULL;

	if (read->window.is_period)
		number = kpi_value_target(program->nodes[read->node->inputs[kpi]].kpi_id, call->plan, &read->window.place);
	read->has_value |= number != NULL;
	return number;
}

/* Of one balance (kpi_define_formula_check()). */
static Numeric
daily_average(FormulaRead *read, const KpiFormulaNode *part)
{
	const KpiProgram *program = kpi_value_evaluation_program(read->evaluation);
	int			input = read->node->inputs[part->kpi];
	KpiValue	value = {0};

	kpi_value_note_read(read->evaluation, input, &read->window, true);
	read->has_value |= kpi_value_daily_average(&program->nodes[input], &read->window,
											   kpi_value_evaluation_today(read->evaluation), &value);
	return value.value;
}

static Numeric
read_over_time(void *arg, const KpiFormulaNode *call)
{
	FormulaRead *read = arg;
	const KpiFormulaNode *part = linitial(call->args);
	const KpiProgram *program = kpi_value_evaluation_program(read->evaluation);
	KpiWindow	window = read->window;

	switch (call->op)
	{
		case KPI_FORMULA_PREVIOUS:
			return kpi_value_window_previous(&read->window, &window) ? number_in(read, part, &window) : NULL;
		case KPI_FORMULA_YEAR_AGO:
			return kpi_value_window_year_ago(&read->window, &window) ? number_in(read, part, &window) : NULL;
		case KPI_FORMULA_GROWTH:
		case KPI_FORMULA_YEAR_GROWTH:
			return growth(read, part, call->op == KPI_FORMULA_YEAR_GROWTH);
		case KPI_FORMULA_YTD:
			window = kpi_value_window_ytd(&read->window, program);
			break;
		case KPI_FORMULA_QTD:
			window = kpi_value_window_qtd(&read->window, program);
			break;
		case KPI_FORMULA_ROLLING:
			window = call->unit == KPI_DAY ?
				kpi_value_window_rolling_days(&read->window, call->n, kpi_value_evaluation_today(read->evaluation)) :
				kpi_value_window_rolling(&read->window, call->n, call->unit, program,
										 kpi_value_evaluation_today(read->evaluation));
			break;
		case KPI_FORMULA_OPENING:
			window = kpi_value_window_opening(&read->window);
			break;
		case KPI_FORMULA_WHOLE:
			window = kpi_value_window_whole(&read->window);
			break;
		case KPI_FORMULA_DAILY_AVERAGE:
			return daily_average(read, part);
		case KPI_FORMULA_TARGET:
			return target(read, call);
		case KPI_FORMULA_CLOSING:
			break;
		default:
			return NULL;
	}
	return number_in(read, part, &window);
}

bool
kpi_value_of_formula(KpiEvaluation *evaluation, const KpiProgramNode *node, const KpiWindow *window, KpiValue *result)
{
	FormulaRead read = {evaluation, node, *window, false};
	KpiFormulaReader reader = {read_kpi, read_over_time, &read};

	for (int i = 0; i < node->ninputs; i++)
	{
		KpiValue	input;

		read.has_value |= kpi_value_of_node(evaluation, node->inputs[i], window, &input);
		result->facts += input.facts;
	}
	if (!read.has_value && !node->formula->over_time && !kpi_value_notes_reads(evaluation))
		return false;
	result->value = kpi_model_formula_eval(node->formula, &reader, &result->numerator, &result->denominator);
	if (!read.has_value)
		memset(result, 0, sizeof(*result));
	return read.has_value;
}
