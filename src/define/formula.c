/*-------------------------------------------------------------------------
 *
 * formula.c
 *	  What functions over time need of the KPIs that they are over.
 *
 * Asked of a KPI's program whenever it is written: a formula may become wrong by a
 * change of what it is over, which is refused then.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "define/define_internal.h"
#include "miscadmin.h"
#include "model/model.h"

/*
 * A refresh evaluates formulas of all roles: none may take it much time.  Formulas over
 * formulas multiply what functions over time ask for.
 */
#define MAX_VALUES 2000

/* A formula of the program that is looked at. */
typedef struct FormulaCheck
{
	const KpiProgram *program;
	const KpiProgramNode *node;
} FormulaCheck;

static char *
name_of(const FormulaCheck *check)
{
	return kpi_first_text("SELECT name FROM kpi.kpi WHERE id = $1", 1, KPI_INT4(check->node->kpi_id));
}

static char *
text_of(const FormulaCheck *check)
{
	return kpi_first_text("SELECT formula FROM kpi.kpi WHERE id = $1", 1, KPI_INT4(check->node->kpi_id));
}

static const char *
input_name(const FormulaCheck *check, const KpiFormulaNode *use)
{
	return list_nth(check->node->formula->names, use->kpi);
}

/* The longest grain of a source below a KPI. */
static KpiGrain
grain_of(const KpiProgram *program, int node)
{
	const KpiProgramNode *of = &program->nodes[node];
	KpiGrain	grain = of->formula == NULL ? of->grain : KPI_DAY;

	check_stack_depth();
	for (int i = 0; i < of->ninputs; i++)
		grain = Max(grain, grain_of(program, of->inputs[i]));
	return grain;
}

/* Every KPI in a function of balances must be one. */
static void
check_balances(const FormulaCheck *check, const KpiFormulaNode *call, const KpiFormulaNode *part)
{
	ListCell   *lc;

	if (part->op == KPI_FORMULA_KPI && !check->program->nodes[check->node->inputs[part->kpi]].is_balance)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s() in formula of KPI \"%s\" is of balances, and KPI \"%s\" is none",
						kpi_model_formula_function(call->op), name_of(check), input_name(check, part)),
				 errhint("A KPI that is a balance has a measure like balance(amount)."),
				 kpi_model_formula_errposition(text_of(check), part)));
	foreach(lc, part->args)
		check_balances(check, call, lfirst(lc));
}

static void
check_daily_average(const FormulaCheck *check, const KpiFormulaNode *call)
{
	const KpiFormulaNode *use = linitial(call->args);

	check_balances(check, call, use);
	if (check->program->nodes[check->node->inputs[use->kpi]].formula != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("daily_average() in formula of KPI \"%s\" is of one balance, and KPI \"%s\" is a formula",
						name_of(check), input_name(check, use)),
				 errhint("Write the formula over the averages: daily_average(a) / daily_average(b)."),
				 kpi_model_formula_errposition(text_of(check), use)));
}

/* Days are not cut finer than the facts of a source mean anything. */
static void
check_unit(const FormulaCheck *check, const KpiFormulaNode *call, KpiGrain unit, const KpiFormulaNode *part)
{
	ListCell   *lc;

	if (part->op == KPI_FORMULA_KPI)
	{
		KpiGrain	grain = grain_of(check->program, check->node->inputs[part->kpi]);

		if (unit < grain)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s() in formula of KPI \"%s\" is by %s, and KPI \"%s\" has no values for a %s",
							kpi_model_formula_function(call->op), name_of(check), kpi_calendar_grain_name(unit),
							input_name(check, part), kpi_calendar_grain_name(unit)),
					 errdetail("The facts of its source, or of one of them, are for a %s each.",
							   kpi_calendar_grain_name(grain)),
					 kpi_model_formula_errposition(text_of(check), call)));
	}
	foreach(lc, part->args)
		check_unit(check, call, unit, lfirst(lc));
}

static void
check_node(const FormulaCheck *check, const KpiFormulaNode *node)
{
	ListCell   *lc;

	check_stack_depth();
	switch (node->op)
	{
		case KPI_FORMULA_OPENING:
		case KPI_FORMULA_CLOSING:
			check_balances(check, node, linitial(node->args));
			break;
		case KPI_FORMULA_DAILY_AVERAGE:
			check_daily_average(check, node);
			break;
		case KPI_FORMULA_ROLLING:
			check_unit(check, node, node->unit, linitial(node->args));
			break;
		case KPI_FORMULA_QTD:
			check_unit(check, node, KPI_QUARTER, linitial(node->args));
			break;
		default:
			break;
	}
	foreach(lc, node->args)
		check_node(check, lfirst(lc));
}

void
kpi_define_formula_check(const KpiProgram *program)
{
	FormulaCheck check = {program, NULL};

	for (int n = 0; n < program->nnodes; n++)
	{
		check.node = &program->nodes[n];
		if (check.node->formula != NULL && check.node->formula->over_time)
			check_node(&check, check.node->formula->root);
	}
	if (program->nodes[program->nnodes - 1].formula != NULL && kpi_model_program_cost(program) > MAX_VALUES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a value of KPI \"%s\" would take more than %d values of other KPIs and periods",
						name_of(&check), MAX_VALUES),
				 errhint("Nest fewer functions over time: each multiplies what the formulas in it take.")));
}
