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

#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "value/value_internal.h"

/* The decimals of ratios. */
#define RATIO_SCALE 6

/* What a KPI of the program amounts to in a window. */
typedef struct Known
{
	int			node;
	KpiWindow	window;
	bool		has_value;
	KpiValue	value;
	List	   *reads;			/* KpiValueRead: what a formula was computed
								 * of, if that is noted */
	bool		is_collected;	/* these are */
} Known;

struct KpiEvaluation
{
	const KpiProgram *program;
	DateADT		today;			/* once has_today */
	bool		has_today;
	KpiWindow	given_window;	/* whose cell is at hand, if any is */
	const KpiGivenCell *given;
	MemoryContext cxt;
	int			nknown;
	int			max_known;
	Known	   *known;
	bool		notes_reads;
	List	   *reads;			/* of the formula at hand */
};

static KpiEvaluation
begin(const KpiProgram *program)
{
	KpiEvaluation evaluation = {.program = program,.cxt = CurrentMemoryContext};

	return evaluation;
}

const KpiProgram *
kpi_value_evaluation_program(const KpiEvaluation *evaluation)
{
	return evaluation->program;
}

DateADT
kpi_value_evaluation_today(KpiEvaluation *evaluation)
{
	if (!evaluation->has_today)
	{
		evaluation->today = kpi_value_today(evaluation->program);
		evaluation->has_today = true;
	}
	return evaluation->today;
}

/* ---- measures ---- */

/* Those of a measure. */
static KpiDays
days_of(const KpiPlace *place, const KpiProgramNode *node, DateADT since, DateADT until)
{
	KpiDays		days = {
		node->source_id, node->stream_id, node->owner_kind, place->scope_kind, place->scope_id, place->dim_id,
		node->detail, since, until
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
			KpiDays		days = days_of(place, &program->nodes[n], place->start, kpi_value_place_end(place) + 1);

			return kpi_value_cell(&days);
		}
	}
	return NULL;
}

static bool
finalize(const KpiProgramNode *node, const KpiCell *cell, KpiValue *result)
{
	KpiFinal	final;

	if (!kpi_cell_final(cell, node->measure_id, node->divisor, node->parameter, &final) || final.facts == 0)
		return false;
	result->value = final.value;
	result->numerator = final.numerator;
	result->denominator = final.denominator;
	result->facts = final.facts;
	return true;
}

/* Whether the cell at hand is all of a stream in the window. */
static bool
is_given(const KpiEvaluation *evaluation, int32 stream_id, const KpiWindow *window)
{
	return evaluation->given != NULL && !evaluation->given->isnull && evaluation->given->stream_id == stream_id &&
		kpi_value_window_equal(window, &evaluation->given_window);
}

static bool
evaluate_measure(KpiEvaluation *evaluation, const KpiProgramNode *node, const KpiWindow *window, KpiValue *result)
{
	KpiDays		days = days_of(&window->place, node, window->since, window->until);
	const KpiCell *cell;

	if (node->kind == KPI_BALANCE)
		return kpi_value_balance(node, window, kpi_value_evaluation_today(evaluation), result);
	if (is_given(evaluation, node->stream_id, window))
		cell = kpi_cell_of_measure(evaluation->given->cell, node->measure_id);
	else
		cell = kpi_value_cell(&days);
	return cell != NULL && finalize(node, cell, result);
}

/* ---- KPIs of the program ---- */

Numeric
kpi_value_of_nothing(KpiEvaluation *evaluation, int node, const KpiWindow *window)
{
	const KpiProgramNode *of = &evaluation->program->nodes[node];
	bool		is_held = of->formula == NULL && of->is_balance;

	if (of->additive || (is_held && window->since <= kpi_value_evaluation_today(evaluation)))
		return int64_to_numeric(0);
	return NULL;
}

static Known *
find_known(const KpiEvaluation *evaluation, int node, const KpiWindow *window)
{
	for (int i = 0; i < evaluation->nknown; i++)
	{
		Known	   *known = &evaluation->known[i];

		if (known->node == node && kpi_value_window_equal(&known->window, window))
			return known;
	}
	return NULL;
}

/* Room for one more. */
static Known *
add_known(KpiEvaluation *evaluation)
{
	if (evaluation->nknown == evaluation->max_known)
	{
		int			max = Max(8, 2 * evaluation->max_known);

		if (evaluation->known == NULL)
			evaluation->known = MemoryContextAlloc(evaluation->cxt, max * sizeof(Known));
		else
			evaluation->known = repalloc(evaluation->known, max * sizeof(Known));
		evaluation->max_known = max;
	}
	return &evaluation->known[evaluation->nknown++];
}

bool
kpi_value_of_node(KpiEvaluation *evaluation, int node, const KpiWindow *window, KpiValue *result)
{
	const KpiProgramNode *of = &evaluation->program->nodes[node];
	Known	   *known = find_known(evaluation, node, window);
	List	   *reads = evaluation->reads;
	MemoryContext old;
	bool		has_value;

	if (known != NULL)
	{
		*result = known->value;
		return known->has_value;
	}
	memset(result, 0, sizeof(*result));
	check_stack_depth();
	old = MemoryContextSwitchTo(evaluation->cxt);
	evaluation->reads = NIL;
	if (of->formula == NULL)
		has_value = evaluate_measure(evaluation, of, window, result);
	else
		has_value = kpi_value_of_formula(evaluation, of, window, result);
	MemoryContextSwitchTo(old);
	known = add_known(evaluation);
	known->node = node;
	known->window = *window;
	known->has_value = has_value;
	known->value = *result;
	known->reads = evaluation->reads;
	known->is_collected = false;
	evaluation->reads = reads;
	return has_value;
}

/* ---- what is read ---- */

static KpiValueRead *
make_read(int node, const KpiWindow *window, bool is_average)
{
	KpiValueRead *read = palloc(sizeof(KpiValueRead));

	read->node = node;
	read->window = *window;
	read->is_average = is_average;
	return read;
}

bool
kpi_value_notes_reads(const KpiEvaluation *evaluation)
{
	return evaluation->notes_reads;
}

void
kpi_value_note_read(KpiEvaluation *evaluation, int node, const KpiWindow *window, bool is_average)
{
	MemoryContext old;

	if (!evaluation->notes_reads)
		return;
	old = MemoryContextSwitchTo(evaluation->cxt);
	evaluation->reads = lappend(evaluation->reads, make_read(node, window, is_average));
	MemoryContextSwitchTo(old);
}

/* Of a measure only the days matter, and not whether they are a period. */
static List *
add_read(List *reads, const KpiValueRead * read)
{
	ListCell   *lc;

	foreach(lc, reads)
	{
		const		KpiValueRead *other = lfirst(lc);

		if (other->node == read->node && other->is_average == read->is_average &&
			other->window.since == read->window.since && other->window.until == read->window.until &&
			other->window.place.dim_id == read->window.place.dim_id)
			return reads;
	}
	return lappend(reads, make_read(read->node, &read->window, read->is_average));
}

/* The measures under one that was read. */
static List *
collect_reads(KpiEvaluation *evaluation, const KpiValueRead * read, List *reads)
{
	Known	   *known;
	ListCell   *lc;

	if (evaluation->program->nodes[read->node].formula == NULL)
		return add_read(reads, read);
	check_stack_depth();
	known = find_known(evaluation, read->node, &read->window);
	if (known == NULL || known->is_collected)
		return reads;
	known->is_collected = true;
	foreach(lc, known->reads)
		reads = collect_reads(evaluation, lfirst(lc), reads);
	return reads;
}

/* ---- growth ---- */

static Numeric
call_numeric(PGFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

Numeric
kpi_value_change(Numeric value, Numeric base)
{
	Numeric		ratio;
	bool		failed = false;

	if (value == NULL || base == NULL)
		return NULL;
	value = call_numeric(numeric_sub, value, base);
	base = DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(base)));
	ratio = numeric_div_opt_error(value, base, &failed);
	if (failed)
		return NULL;
	return DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(ratio), Int32GetDatum(RATIO_SCALE)));
}

Numeric
kpi_value_growth(KpiEvaluation *evaluation, int node, const KpiWindow *window, bool year_ago)
{
	DateADT		today = kpi_value_evaluation_today(evaluation);
	KpiWindow	to_date = kpi_value_window_to_date(window, today);
	KpiWindow	other;
	KpiValue	value;
	KpiValue	base;

	if (!(year_ago ? kpi_value_window_year_ago(window, &other) : kpi_value_window_previous(window, &other)))
		return NULL;
	/* What is held now is compared with what was held at the end. */
	if (!evaluation->program->nodes[node].is_balance)
		other = kpi_value_window_as_far(window, &other, today);
	/* Nothing yet of what adds up is a loss of all that was there. */
	if (!kpi_value_of_node(evaluation, node, &to_date, &value) && evaluation->program->nodes[node].additive &&
		kpi_value_window_is_open(window, today))
		value.value = int64_to_numeric(0);
	kpi_value_of_node(evaluation, node, &other, &base);
	return kpi_value_change(value.value, base.value);
}

/* ---- the KPI itself ---- */

/* Where the facts of a source mean nothing at so short a grain there is no value. */
static bool
evaluate(KpiEvaluation *evaluation, const KpiWindow *window, KpiValue *result)
{
	if (window->is_period && evaluation->program->grain > window->place.grain)
	{
		memset(result, 0, sizeof(*result));
		return false;
	}
	return kpi_value_of_node(evaluation, evaluation->program->nnodes - 1, window, result);
}

static bool
evaluate_window(const KpiProgram *program, const KpiWindow *window, KpiValue *result)
{
	KpiEvaluation evaluation = begin(program);

	return evaluate(&evaluation, window, result);
}

/* The common case: nothing to look up, and of a wide cell one measure to read. */
static bool
measure_of_given(const KpiProgramNode *node, const KpiPlace *place, const KpiGivenCell *given, KpiValue *result)
{
	memset(result, 0, sizeof(*result));
	return node->grain <= place->grain &&
		finalize(node, kpi_cell_of_measure(given->cell, node->measure_id), result);
}

bool
kpi_value_at_given(const KpiProgram *program, const KpiPlace *place, const KpiGivenCell *given, KpiValue *result)
{
	KpiEvaluation evaluation = begin(program);

	if (program->nnodes == 1 && program->nodes[0].kind != KPI_BALANCE && !given->isnull &&
		given->stream_id == program->nodes[0].stream_id)
		return measure_of_given(&program->nodes[0], place, given, result);
	evaluation.given_window = kpi_value_window(place);
	evaluation.given = given;
	return evaluate(&evaluation, &evaluation.given_window, result);
}

Numeric
kpi_value_growth_at_given(const KpiProgram *program, const KpiPlace *place, const KpiGivenCell *given, bool year_ago)
{
	KpiEvaluation evaluation = begin(program);

	evaluation.given_window = kpi_value_window(place);
	evaluation.given = given;
	return kpi_value_growth(&evaluation, program->nnodes - 1, &evaluation.given_window, year_ago);
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

		if (node->formula != NULL || node->kind == KPI_BALANCE || program->grain > place->grain || is_given != of_given)
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

int32
kpi_value_balance_stream(const KpiProgram *program, const KpiPlace *place)
{
	KpiWindow	window = kpi_value_window(place);

	for (int s = 0; s < program->nstreams && program->grain <= place->grain; s++)
	{
		for (int n = 0; n < program->nnodes; n++)
		{
			const KpiProgramNode *node = &program->nodes[n];

			if (node->formula == NULL && node->kind == KPI_BALANCE && node->stream_id == program->streams[s] &&
				kpi_value_has_balance(node, &window, kpi_value_today(program)))
				return node->stream_id;
		}
	}
	return 0;
}

bool
kpi_value_in(const KpiProgram *program, const KpiWindow *window, KpiValue *result)
{
	return evaluate_window(program, window, result);
}

List *
kpi_value_reads(const KpiProgram *program, const KpiWindow *window)
{
	KpiEvaluation evaluation = begin(program);
	KpiValueRead root = {program->nnodes - 1, *window, false};
	KpiValue	value;

	evaluation.notes_reads = true;
	(void) evaluate(&evaluation, window, &value);
	if (find_known(&evaluation, root.node, window) == NULL)
		return NIL;
	return collect_reads(&evaluation, &root, NIL);
}

void
kpi_value_meet_parts(KpiParts *parts, const KpiProgram *program, const KpiWindow *window)
{
	for (int n = 0; n < program->nnodes; n++)
	{
		KpiDays		days = days_of(&window->place, &program->nodes[n], window->since, window->until);

		if (program->nodes[n].formula == NULL)
			kpi_value_parts_meet(parts, &days);
	}
}

bool
kpi_value_at(const KpiProgram *program, const KpiPlace *place, KpiValue *result)
{
	KpiWindow	window = kpi_value_window(place);

	return evaluate_window(program, &window, result);
}

bool
kpi_value_until(const KpiProgram *program, const KpiPlace *place, DateADT day, KpiValue *result)
{
	KpiWindow	window = kpi_value_window_until(place, day);

	return evaluate_window(program, &window, result);
}

/* Whether the facts mean anything at the length of a period was asked before. */
bool
kpi_value_between(const KpiProgram *program, const KpiPlace *place, DateADT day, KpiValue *result)
{
	KpiWindow	window = kpi_value_window_days(place, place->start, day);

	return evaluate_window(program, &window, result);
}

bool
kpi_value_has_begun(const KpiProgram *program, const KpiPlace *place)
{
	DateADT		until = kpi_value_place_end(place) + 1;

	for (int n = 0; n < program->nnodes; n++)
	{
		const KpiProgramNode *node = &program->nodes[n];
		KpiWindow	history = kpi_value_window_days(place, kpi_calendar_first_fact_day(), until - 1);
		KpiDays		days = days_of(place, node, history.since, until);
		const KpiCell *cell;

		if (node->formula != NULL)
			continue;
		if (node->kind == KPI_BALANCE)
		{
			if (kpi_value_has_balance(node, &history, until - 1))
				return true;
			continue;
		}
		cell = kpi_value_cell(&days);
		if (cell != NULL && kpi_cell_facts(cell, node->measure_id) != 0)
			return true;
	}
	return false;
}

bool
kpi_value_opening(const KpiProgram *program, const KpiPlace *place, KpiValue *result)
{
	KpiWindow	window = kpi_value_window(place);

	window = kpi_value_window_opening(&window);
	return evaluate_window(program, &window, result);
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
	KpiValue	value = {0};

	if (finalize(reader->node, kpi_cell_of_measure(cell, reader->node->measure_id), &value))
		reader->take(reader->arg, day, &value);
}

void
kpi_value_each_day(const KpiProgram *program, const KpiPlace *place, DateADT until,
				   void (*take) (void *arg, DateADT day, const KpiValue *value), void *arg)
{
	DayReader	reader = {&program->nodes[0], take, arg};
	KpiPlace	day = *place;
	KpiValue	value;

	if (program->nnodes == 1 && reader.node->kind == KPI_BALANCE)
	{
		kpi_value_each_flow(reader.node, place, until, take, arg);
		return;
	}
	if (program->nnodes == 1)
	{
		KpiDays		days = days_of(place, reader.node, place->start, until + 1);

		kpi_value_each_cell(&days, KPI_DAY, take_cell, &reader);
		return;
	}
	day.grain = KPI_DAY;
	for (; day.start <= until; day.start++)
	{
		if (kpi_value_at(program, &day, &value))
			take(arg, day.start, &value);
	}
}
