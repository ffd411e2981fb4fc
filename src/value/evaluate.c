/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *	  The value of a KPI over some days: cells finalized, formulas evaluated.
 *
 * A formula's input of no facts, or of none but facts that are left out, is 0
 * where the input is additive, else nothing; a formula has a value where any of
 * its inputs has facts.  Where the facts of a source mean nothing at a shorter
 * grain nothing over them has a value: an input left out would be a wrong number.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "utils/datetime.h"
#include "value/value_internal.h"

/* Longest steps of the calendar from a period to that of a year ago. */
#define WEEKS_A_YEAR 52

/* What each KPI of a program amounts to. */
typedef struct NodeValue
{
	KpiValue	value;
	bool		has_facts;
} NodeValue;

KpiPlace
kpi_value_place_shift(const KpiPlace *place, int n)
{
	KpiPlace	shifted = *place;

	shifted.start = kpi_calendar_period_shift(place->grain, place->start, n, NULL);
	return shifted;
}

/* 29 February is compared with 28 February, as the interval of a year has it. */
KpiPlace
kpi_value_place_year_ago(const KpiPlace *place)
{
	static const int periods[] = {[KPI_WEEK] = WEEKS_A_YEAR,[KPI_MONTH] = 12,[KPI_QUARTER] = 4,[KPI_YEAR] = 1};
	KpiPlace	ago = *place;
	int			year,
				month,
				mday;

	if (place->grain != KPI_DAY)
		return kpi_value_place_shift(place, -periods[place->grain]);
	j2date(place->start + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	if (month == 2 && mday == 29)
		mday = 28;
	ago.start = date2j(year - 1, month, mday) - POSTGRES_EPOCH_JDATE;
	return ago;
}

static DateADT
place_until(const KpiPlace *place)
{
	return kpi_calendar_period_shift(place->grain, place->start, 1, NULL);
}

DateADT
kpi_value_place_end(const KpiPlace *place)
{
	return place_until(place) - 1;
}

/* Those of a measure. */
static KpiDays
days_of(const KpiPlace *place, const KpiProgramNode *node, DateADT until)
{
	KpiDays		days = {
		node->source_id, node->stream_id, node->owner_kind, place->scope_kind, place->scope_id, place->dim_id,
		place->start, until
	};

	return days;
}

const KpiCell *
kpi_value_place_cell(const KpiProgram *program, int32 stream_id, const KpiPlace *place)
{
	for (int n = 0; n < program->nnodes; n++)
	{
		if (program->nodes[n].formula == NULL && program->nodes[n].stream_id == stream_id)
		{
			KpiDays		days = days_of(place, &program->nodes[n], place_until(place));

			return kpi_value_cell(&days);
		}
	}
	return NULL;
}

static void
finalize(const KpiProgramNode *node, const KpiCell *cell, NodeValue *result)
{
	KpiFinal	final;

	if (!kpi_cell_final(cell, node->measure_id, node->divisor, node->parameter, &final) || final.facts == 0)
		return;
	result->has_facts = true;
	result->value.value = final.value;
	result->value.numerator = final.numerator;
	result->value.denominator = final.denominator;
	result->value.facts = final.facts;
}

static void
evaluate_formula(const KpiProgramNode *node, const KpiProgram *program, const NodeValue *values, NodeValue *result)
{
	Numeric    *numbers = palloc0(Max(node->ninputs, 1) * sizeof(Numeric));

	for (int i = 0; i < node->ninputs; i++)
	{
		const NodeValue *input = &values[node->inputs[i]];

		numbers[i] = input->value.value;
		result->value.facts += input->value.facts;
		result->has_facts |= input->has_facts;
		if (numbers[i] == NULL && program->nodes[node->inputs[i]].additive)
			numbers[i] = int64_to_numeric(0);
	}
	if (result->has_facts)
		result->value.value = kpi_model_formula_eval(node->formula, numbers, &result->value.numerator,
													 &result->value.denominator);
}

/* The measures of one stream: its cell is valid until the next is asked for. */
static void
evaluate_stream(const KpiProgram *program, int32 stream_id, const KpiPlace *place, DateADT until,
				const KpiGivenCell *given, NodeValue *values)
{
	const KpiCell *cell = NULL;
	bool		asked = false;

	for (int n = 0; n < program->nnodes; n++)
	{
		const KpiProgramNode *node = &program->nodes[n];

		if (node->formula != NULL || node->stream_id != stream_id || program->grain > place->grain)
			continue;
		if (!asked)
		{
			KpiDays		days = days_of(place, node, until);

			if (given != NULL && given->stream_id == stream_id && !given->isnull)
				cell = DatumGetKpiCellP(given->cell);
			else
				cell = kpi_value_cell(&days);
			asked = true;
		}
		if (cell != NULL)
			finalize(node, cell, &values[n]);
	}
}

static bool
evaluate(const KpiProgram *program, const KpiPlace *place, DateADT until, const KpiGivenCell *given,
		 KpiValue *result)
{
	NodeValue  *values = palloc0(program->nnodes * sizeof(NodeValue));
	NodeValue  *last = &values[program->nnodes - 1];

	for (int s = 0; s < program->nstreams; s++)
		evaluate_stream(program, program->streams[s], place, until, given, values);
	for (int n = 0; n < program->nnodes; n++)
	{
		if (program->nodes[n].formula != NULL)
			evaluate_formula(&program->nodes[n], program, values, &values[n]);
	}
	*result = last->value;
	return last->has_facts;
}

/* The common case: nothing to look up, and of a wide cell one measure to read. */
static bool
measure_of_given(const KpiProgramNode *node, const KpiPlace *place, const KpiGivenCell *given, KpiValue *result)
{
	NodeValue	value = {.has_facts = false};

	if (node->grain <= place->grain)
		finalize(node, kpi_cell_of_measure(given->cell, node->measure_id), &value);
	*result = value.value;
	return value.has_facts;
}

bool
kpi_value_at_given(const KpiProgram *program, const KpiPlace *place, const KpiGivenCell *given, KpiValue *result)
{
	if (program->nnodes == 1 && !given->isnull && given->stream_id == program->nodes[0].stream_id)
		return measure_of_given(&program->nodes[0], place, given, result);
	return evaluate(program, place, place_until(place), given, result);
}

/* Facts of the measures of one stream, or of all but one stream. */
static bool
has_facts(const KpiProgram *program, const KpiPlace *place, const KpiGivenCell *given, bool of_given)
{
	for (int n = 0; n < program->nnodes; n++)
	{
		const KpiProgramNode *node = &program->nodes[n];
		bool		is_given = node->stream_id == given->stream_id && !given->isnull;
		const KpiCell *cell;

		if (node->formula != NULL || program->grain > place->grain || is_given != of_given)
			continue;
		if (is_given)
			cell = kpi_cell_of_measure(given->cell, node->measure_id);
		else
			cell = kpi_value_place_cell(program, node->stream_id, place);
		if (cell != NULL && kpi_cell_facts(cell, node->measure_id) != 0)
			return true;
	}
	return false;
}

bool
kpi_value_has_facts(const KpiProgram *program, const KpiPlace *place, const KpiGivenCell *given)
{
	return has_facts(program, place, given, true) || has_facts(program, place, given, false);
}

bool
kpi_value_at(const KpiProgram *program, const KpiPlace *place, KpiValue *result)
{
	return evaluate(program, place, place_until(place), NULL, result);
}

bool
kpi_value_until(const KpiProgram *program, const KpiPlace *place, DateADT day, KpiValue *result)
{
	DateADT		until = place_until(place);

	return evaluate(program, place, Min(day + 1, until), NULL, result);
}

/* Of a period that is as long as any source's: whether they mean anything at a shorter one was asked before. */
bool
kpi_value_between(const KpiProgram *program, const KpiPlace *place, DateADT day, KpiValue *result)
{
	KpiPlace	days = *place;

	days.grain = KPI_YEAR;
	return evaluate(program, &days, day + 1, NULL, result);
}

/* Longer than any history, as a place. */
bool
kpi_value_has_begun(const KpiProgram *program, const KpiPlace *place)
{
	KpiPlace	history = *place;
	DateADT		until = place_until(place);
	KpiValue	value;

	history.grain = KPI_YEAR;
	history.start = date2j(KPI_MIN_FACT_YEAR, 1, 1) - POSTGRES_EPOCH_JDATE;
	return evaluate(program, &history, until, NULL, &value);
}

/* ---- days, one by one ---- */

typedef struct DayReader
{
	const KpiProgramNode *node;
	void		(*take) (void *arg, DateADT day, const KpiValue *value);
	void	   *arg;
} DayReader;

static void
take_cell(void *arg, DateADT day, Datum cell)
{
	DayReader  *reader = arg;
	NodeValue	value = {.has_facts = false};

	finalize(reader->node, kpi_cell_of_measure(cell, reader->node->measure_id), &value);
	if (value.has_facts)
		reader->take(reader->arg, day, &value.value);
}

void
kpi_value_each_day(const KpiProgram *program, const KpiPlace *place, DateADT until,
				   void (*take) (void *arg, DateADT day, const KpiValue *value), void *arg)
{
	DayReader	reader = {&program->nodes[0], take, arg};
	KpiPlace	day = *place;
	KpiValue	value;

	if (program->nnodes == 1)
	{
		KpiDays		days = days_of(place, reader.node, until + 1);

		kpi_value_scan_days(&days, take_cell, &reader);
		return;
	}
	day.grain = KPI_DAY;
	for (; day.start <= until; day.start++)
	{
		if (kpi_value_at(program, &day, &value))
			take(arg, day.start, &value);
	}
}
