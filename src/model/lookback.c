/*-------------------------------------------------------------------------
 *
 * lookback.c
 *	  Which earlier days the value of a KPI follows from, and what it takes to compute it.
 *
 * The value of a measure in a period is that of its days, or of all before them
 * (balances).  A formula over time looks at other periods, so a changed day can move
 * later ones: what is stored of values is rewritten for these.  How far is counted
 * from the KPI down to its measures, along all ways, in periods of whichever grain
 * is asked for and in days beyond them; it may say more than is true, never less.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "model/model_internal.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kpi_sql_lookback_since);

/* Years have so many days at most, and weeks are no longer. */
static const int longest_period[] = {[KPI_DAY] = 1,[KPI_WEEK] = 7,[KPI_MONTH] = 31,[KPI_QUARTER] = 92,[KPI_YEAR] = 366};

typedef struct Descent
{
	KpiProgram *program;
	const KpiProgramNode *node;
} Descent;

static KpiLookback
longer(KpiLookback a, KpiLookback b)
{
	a.all |= b.all;
	a.periods = Max(a.periods, b.periods);
	a.days = Max(a.days, b.days);
	return a;
}

static void
descend(void *arg, const KpiFormulaVisit *visit)
{
	Descent    *descent = arg;
	const KpiProgramNode *node = descent->node;
	KpiProgramNode *input = &descent->program->nodes[node->inputs[visit->use->kpi]];
	KpiLookback lookback = node->lookback;

	lookback.periods = Min(lookback.periods + visit->periods, KPI_LOOKBACK_MAX);
	lookback.days = Min(lookback.days + visit->days, KPI_LOOKBACK_MAX);
	input->lookback = longer(input->lookback, lookback);
	input->by_dimension |= node->by_dimension && !visit->whole;
}

/* From the KPI down: whoever uses a KPI comes behind it. */
void
kpi_model_program_look_back(KpiProgram *program)
{
	program->nodes[program->nnodes - 1].by_dimension = true;
	for (int n = program->nnodes - 1; n >= 0; n--)
	{
		KpiProgramNode *node = &program->nodes[n];
		Descent		descent = {program, node};

		if (node->formula != NULL)
		{
			program->over_time |= node->formula->over_time;
			program->follows_day |= node->formula->follows_day;
			kpi_model_formula_visit(node->formula, descend, &descent);
		}
		else
		{
			node->lookback.all |= node->reach == KPI_REACH_LATER;

			/*
			 * What begins or ends ahead counts when its day comes, and
			 * periods get rows.
			 */
			program->follows_day |= node->kind == KPI_BALANCE;
		}
		program->lookback = longer(program->lookback, node->lookback);
	}
	for (int n = 0; n < program->nnodes; n++)
	{
		KpiProgramNode *node = &program->nodes[n];

		node->is_balance = node->formula != NULL ? node->ninputs > 0 : node->kind == KPI_BALANCE;
		for (int i = 0; i < node->ninputs; i++)
			node->is_balance &= program->nodes[node->inputs[i]].is_balance;
	}
}

static bool
is_of_stream(const KpiProgramNode *node, int32 stream_id)
{
	return node->formula == NULL && (node->stream_id == stream_id || node->end_stream_id == stream_id);
}

KpiLookback
kpi_model_program_lookback(const KpiProgram *program, int32 stream_id)
{
	KpiLookback lookback = {0};

	for (int n = 0; n < program->nnodes; n++)
	{
		if (is_of_stream(&program->nodes[n], stream_id))
			lookback = longer(lookback, program->nodes[n].lookback);
	}
	return lookback;
}

bool
kpi_model_program_by_dimension(const KpiProgram *program, int32 stream_id)
{
	for (int n = 0; n < program->nnodes; n++)
	{
		if (is_of_stream(&program->nodes[n], stream_id) && program->nodes[n].by_dimension)
			return true;
	}
	return false;
}

/* Days that no calendar has come to are before all facts. */
DateADT
kpi_model_lookback_since(const KpiLookback *lookback, KpiGrain grain, DateADT start)
{
	int64		since;

	if (lookback->all || (int64) lookback->periods * longest_period[grain] >= KPI_LOOKBACK_MAX || !kpi_calendar_day_in_range(start))
		return DATEVAL_NOBEGIN;
	since = (int64) start - (int64) lookback->periods * longest_period[grain] - lookback->days;
	if (lookback->periods > 0 && since > kpi_calendar_first_fact_day())
		since = (int64) kpi_calendar_period_shift(grain, start, -lookback->periods, NULL) - lookback->days;
	return since > kpi_calendar_first_fact_day() ? (DateADT) since : DATEVAL_NOBEGIN;
}

/*
 * kpi_internal.lookback_since(all, periods, days, grain, start): the first day that moves a
 * period, or days from start on that are no period, as the start of its month: a month's cell
 * stands for all its days.
 */
Datum
kpi_sql_lookback_since(PG_FUNCTION_ARGS)
{
	KpiLookback lookback = {PG_GETARG_BOOL(0), PG_GETARG_INT32(1), PG_GETARG_INT32(2)};

	/* Months are the same in all. */
	const KpiCalendar calendar = {.week_start = 1,.fiscal_start = 1};
	KpiGrain	grain;
	DateADT		since;

	if (!kpi_calendar_grain_parse(text_to_cstring(PG_GETARG_TEXT_PP(3)), &grain))
	{
		grain = KPI_DAY;
		lookback.periods = 0;
	}
	since = kpi_model_lookback_since(&lookback, grain, PG_GETARG_DATEADT(4));
	if (!DATE_IS_NOBEGIN(since))
		since = kpi_calendar_period_start(KPI_MONTH, since, &calendar);
	PG_RETURN_DATEADT(since);
}

/* ---- what it costs ---- */

/* Values of a KPI: those of its own window, each once, and those that functions over time ask for. */
typedef struct Costs
{
	const KpiProgram *program;
	int64	   *total;			/* of each node, in one window */
	const KpiProgramNode *node;
	Bitmapset  *same_window;	/* nodes that it is computed from there */
	int64		elsewhere;
} Costs;

static void
add_use(void *arg, const KpiFormulaVisit *visit)
{
	Costs	   *costs = arg;
	int			input = costs->node->inputs[visit->use->kpi];

	costs->same_window = bms_add_member(costs->same_window, input);
	if (visit->times > 0 && !visit->is_target)
		costs->elsewhere = Min(costs->elsewhere + visit->times * costs->total[input], PG_INT32_MAX);
}

int
kpi_model_program_cost(const KpiProgram *program)
{
	int64	   *total = palloc0(program->nnodes * sizeof(int64));
	int64	   *elsewhere = palloc0(program->nnodes * sizeof(int64));
	Bitmapset **below = palloc0(program->nnodes * sizeof(Bitmapset *));

	for (int n = 0; n < program->nnodes; n++)
	{
		Costs		costs = {.program = program,.total = total,.node = &program->nodes[n]};
		int			member = -1;

		if (costs.node->formula != NULL)
			kpi_model_formula_visit(costs.node->formula, add_use, &costs);
		elsewhere[n] = costs.elsewhere;
		below[n] = bms_make_singleton(n);
		while ((member = bms_next_member(costs.same_window, member)) >= 0)
			below[n] = bms_add_members(below[n], below[member]);
		member = -1;
		while ((member = bms_next_member(below[n], member)) >= 0)
			total[n] = Min(total[n] + 1 + elsewhere[member], PG_INT32_MAX);
	}
	return (int) total[program->nnodes - 1];
}
