/*-------------------------------------------------------------------------
 *
 * part.c
 *	  The inputs of a stream's measures, all or only those that an update moves.
 *
 * What a measure makes of a row depends on the columns it uses.  If an update
 * leaves these and the place of the fact as they were, the measure takes off what
 * it adds, so it need not be evaluated on either row: its inputs are NULL, which
 * changes nothing in a cell.  Both rows must be treated alike, so which part is
 * evaluated follows from the changed columns alone.
 *
 * A part is compiled when columns first change without the others, a few for
 * each stream; all measures are evaluated where that fails or spares little.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "executor/executor.h"
#include "fact/fact_internal.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

static bool
is_left_out(const KpiInputs *inputs, KpiColumnSet changed, int m)
{
	return (inputs->columns[m] & changed) == 0;
}

/* Whether at least half of the inputs are left out. */
static bool
spares_much(const KpiInputs *inputs, KpiColumnSet changed)
{
	int			n = 0;

	for (int m = 0; m < inputs->layout->nmeasures; m++)
	{
		if (is_left_out(inputs, changed, m))
			n += inputs->layout->measures[m].ninputs;
	}
	return 2 * n >= inputs->layout->ninputs;
}

/* The expressions of all inputs, NULL in place of those that are left out. */
static List *
nodes_of_part(const KpiInputs *inputs, KpiColumnSet changed)
{
	List	   *nodes = NIL;

	for (int m = 0; m < inputs->layout->nmeasures; m++)
	{
		const KpiLayoutMeasure *measure = &inputs->layout->measures[m];

		for (int i = measure->first_input; i < measure->first_input + measure->ninputs; i++)
		{
			Node	   *node = list_nth(inputs->nodes, i);

			if (is_left_out(inputs, changed, m))
				node = (Node *) makeNullConst(exprType(node), exprTypmod(node), exprCollation(node));
			nodes = lappend(nodes, node);
		}
	}
	return nodes;
}

void
kpi_fact_inputs_init(KpiInputs *inputs, const KpiLayout *layout, List *nodes,
					 ExprContext *econtext, Oid definer)
{
	memset(inputs, 0, sizeof(KpiInputs));
	inputs->context = CurrentMemoryContext;
	inputs->layout = layout;
	inputs->nodes = nodes;
	inputs->econtext = econtext;
	inputs->definer = definer;
	inputs->columns = palloc0(sizeof(KpiColumnSet) * Max(layout->nmeasures, 1));
	kpi_fact_build_inputs(nodes, econtext, &inputs->all.conditions, &inputs->all.values);
}

typedef struct CompileCall
{
	KpiInputs  *inputs;
	KpiInputPart *part;
} CompileCall;

/* As the definer, whose right to call the functions is asked for again. */
static void
compile_part(void *arg)
{
	CompileCall *call = arg;
	KpiInputs  *inputs = call->inputs;
	KpiUser		user;

	kpi_user_switch(&user, inputs->definer);
	kpi_fact_build_inputs(nodes_of_part(inputs, call->part->changed), inputs->econtext,
						  &call->part->conditions, &call->part->values);
	kpi_user_restore(&user);
}

const KpiInputPart *
kpi_fact_inputs_part(KpiInputs *inputs, KpiColumnSet changed)
{
	KpiInputPart *part;
	MemoryContext oldcontext;
	CompileCall call;

	for (int i = 0; i < inputs->nparts; i++)
	{
		part = &inputs->parts[i];
		if (part->changed == changed)
			return part->values != NULL ? part : &inputs->all;
	}
	if (inputs->nparts == KPI_INPUT_PARTS)
		return &inputs->all;

	part = &inputs->parts[inputs->nparts];
	memset(part, 0, sizeof(KpiInputPart));
	part->changed = changed;
	if (spares_much(inputs, changed))
	{
		call.inputs = inputs;
		call.part = part;
		oldcontext = MemoryContextSwitchTo(inputs->context);
		if (kpi_try(KPI_ERROR_TRAPPED, compile_part, &call) != NULL)
			part->values = NULL;
		MemoryContextSwitchTo(oldcontext);
	}
	inputs->nparts++;
	return part->values != NULL ? part : &inputs->all;
}

bool
kpi_fact_part_leaves_out(const KpiInputs *inputs, const KpiInputPart *part, int m, bool *isnull)
{
	const KpiLayoutMeasure *measure = &inputs->layout->measures[m];

	if (part == &inputs->all || !is_left_out(inputs, part->changed, m))
		return false;
	memset(isnull + measure->first_input, true, measure->ninputs);
	return true;
}
