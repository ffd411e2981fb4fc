/*-------------------------------------------------------------------------
 *
 * breakdown.c
 *	  kpi.breakdown(): what a KPI amounts to by parts, and what has become of each.
 *
 * A part is evaluated as the place is (parts.c), so a rate of a part is its numerator over
 * its denominator, and a formula has its KPIs at the part.  Names are looked up as for
 * kpi.value(), and who may call it may read all that it can tell.
 *
 * Enough facts: the difference is told apart from chance where 0 is outside of its 80 %
 * interval, by the normal approximation with the noise that single facts have.  A count has
 * the variance of as many independent facts; a sum, mean or ratio that of facts which
 * differ by as much as they are large; a rate that of its share, with one fact more on both
 * sides so that 0 and 1 are not certain.  Other KPIs say nothing of single facts.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "base/base.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/tuplestore.h"
#include "value/value_internal.h"

PG_FUNCTION_INFO_V1(kpi_sql_breakdown);
PG_FUNCTION_INFO_V1(kpi_sql_parts_between);

/* Standard deviations to either side within which 80 % of a normal distribution are. */
#define EIGHTY_PERCENT 1.281552

/* Columns of the result. */
enum
{
	OUT_PART_1,
	OUT_PART_2,
	OUT_PART_3,
	OUT_VALUE,
	OUT_SHARE,
	OUT_RANK,
	OUT_OTHER,
	OUT_DIFFERENCE,
	OUT_FACTS,
	OUT_ENOUGH,
	OUT_COLUMNS
};

typedef enum Against
{
	AGAINST_NOTHING,
	AGAINST_PREVIOUS,
	AGAINST_YEAR_AGO,
	AGAINST_TARGET
} Against;

/* A part with its numbers. */
typedef struct Row
{
	char	   *names[KPI_PARTS_MAX];
	KpiValue	value;
	KpiValue	other;
	Numeric		share;
	Numeric		difference;
} Row;

typedef struct Breakdown
{
	KpiValueCall call;
	Against		against;
	int			nkeys;
	KpiPartKey	keys[KPI_PARTS_MAX];
	KpiWindow	window;
	KpiWindow	other;
	bool		has_other;
	int			n;
	Row		   *rows;
} Breakdown;

static const KpiProgramNode *
node_of(const Breakdown *breakdown)
{
	return &breakdown->call.program->nodes[breakdown->call.program->nnodes - 1];
}

/* ---- arguments ---- */

static Against
parse_against(const char *text)
{
	if (text == NULL)
		return AGAINST_NOTHING;
	if (strcmp(text, "previous") == 0)
		return AGAINST_PREVIOUS;
	if (strcmp(text, "year_ago") == 0)
		return AGAINST_YEAR_AGO;
	if (strcmp(text, "target") == 0)
		return AGAINST_TARGET;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown \"against\": \"%s\"", text),
			 errhint("It is previous, year_ago or target; or leave it out.")));
}

static void
add_key(Breakdown *breakdown, char *name)
{
	KpiPartKey *key;

	for (int k = 0; k < breakdown->nkeys; k++)
	{
		if (strcmp(breakdown->keys[k].name, name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" is named twice in \"by\"", name)));
	}
	if (breakdown->nkeys == KPI_PARTS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"by\" has more than %d names", KPI_PARTS_MAX),
				 errhint("Break down by fewer at once.")));
	key = &breakdown->keys[breakdown->nkeys++];
	key->name = name;
	key->kind = strcmp(name, "member") == 0 ? KPI_PART_MEMBER :
		strcmp(name, "team") == 0 ? KPI_PART_TEAM : KPI_PART_DIMENSION;
}

static void
read_by(FunctionCallInfo fcinfo, int arg, Breakdown *breakdown)
{
	Datum	   *names = NULL;
	bool	   *nulls = NULL;
	int			n = 0;

	if (!PG_ARGISNULL(arg))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("\"by\" must not have a null")));
		add_key(breakdown, TextDatumGetCString(names[i]));
	}
}

/* ---- what there is ---- */

static void
refuse_key(const Breakdown *breakdown, const KpiPartKey *key)
{
	if (breakdown->call.member != NULL && key->kind != KPI_PART_DIMENSION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a member has no parts by %s", key->name),
				 errhint("Ask for a team, or for parts by dimensions.")));
	if ((key->kind == KPI_PART_MEMBER && !breakdown->call.for_members) ||
		(key->kind == KPI_PART_TEAM && !breakdown->call.for_teams))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has no values for %ss", breakdown->call.kpi, key->name)));
}

/* What parts need that cells of base days do not have. */
static void
refuse_measures(const Breakdown *breakdown)
{
	const KpiProgram *program = breakdown->call.program;

	for (int n = 0; n < program->nnodes; n++)
	{
		if (program->nodes[n].formula != NULL)
			continue;
		if (program->nodes[n].detail != 0 || program->nodes[n].kind == KPI_BALANCE)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("KPI \"%s\" cannot be broken down so", breakdown->call.kpi),
					 errdetail("It has %s, which are put together above the cells of single days.",
							   program->nodes[n].kind == KPI_BALANCE ? "balances" : "amounts in several currencies"),
					 errhint("Views kpi.team_breakdown_monthly and its kin have it by one dimension, kpi.team_monthly and kpi.member_monthly by teams and members.")));
	}
}

/* 0: the source has none of the name. */
static int
position_of(int32 source_id, const char *dimension)
{
	KpiRows		rows;
	int			position = 0;

	kpi_rows_begin_read(&rows, "SELECT position::integer FROM kpi.dimension WHERE source_id = $1 AND name = $2",
						2, KPI_INT4(source_id), KPI_TEXT(dimension));
	if (kpi_rows_next(&rows))
		position = kpi_rows_int4(&rows, "position");
	kpi_rows_end(&rows);
	return position;
}

/* Tells which source has a dimension where; error if none of the KPI has it. */
static void
find_dimensions(const Breakdown *breakdown, KpiParts *parts)
{
	const KpiProgram *program = breakdown->call.program;
	bool		found[KPI_PARTS_MAX] = {false};

	for (int n = 0; n < program->nnodes; n++)
	{
		int			positions[KPI_PARTS_MAX] = {0};

		if (program->nodes[n].formula != NULL)
			continue;
		for (int k = 0; k < breakdown->nkeys; k++)
		{
			if (breakdown->keys[k].kind == KPI_PART_DIMENSION)
				positions[k] = position_of(program->nodes[n].source_id, breakdown->keys[k].name);
			found[k] |= positions[k] != 0 || breakdown->keys[k].kind != KPI_PART_DIMENSION;
		}
		kpi_value_parts_add_source(parts, program->nodes[n].source_id, positions);
	}
	for (int k = 0; k < breakdown->nkeys; k++)
	{
		char	   *near;

		if (found[k])
			continue;
		near = kpi_near_names(kpi_all_texts("SELECT DISTINCT d.name FROM kpi.dimension d"
											" JOIN kpi_internal.kpi_stream s ON s.source_id = d.source_id"
											" JOIN kpi.kpi k ON k.id = s.kpi_id WHERE k.name = $1",
											1, KPI_TEXT(breakdown->call.kpi)), breakdown->keys[k].name);
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" has no dimension \"%s\"", breakdown->call.kpi, breakdown->keys[k].name),
				 near ? errhint("Perhaps you mean %s.", near) :
				 errhint("Table kpi.dimension lists the dimensions of sources; member and team are parts as well.")));
	}
}

/* ---- the numbers ---- */

/* While the period is open both are to date, as growth has them. */
static void
set_windows(Breakdown *breakdown)
{
	const KpiProgram *program = breakdown->call.program;
	DateADT		today = kpi_value_today(program);
	KpiWindow	whole = kpi_value_window(&breakdown->call.place);

	breakdown->window = whole;
	if (breakdown->against == AGAINST_PREVIOUS)
		breakdown->has_other = kpi_value_window_previous(&whole, &breakdown->other);
	else if (breakdown->against == AGAINST_YEAR_AGO)
		breakdown->has_other = kpi_value_window_year_ago(&whole, &breakdown->other);
	if (!breakdown->has_other)
		return;
	breakdown->window = kpi_value_window_to_date(&whole, today);
	breakdown->other = kpi_value_window_as_far(&whole, &breakdown->other, today);
}

static Numeric
call_numeric(PGFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

static bool
is_zero(Numeric number)
{
	return DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number), NumericGetDatum(int64_to_numeric(0))));
}

/* The goal of exactly this part, of the plan that goals are in by default. */
static Numeric
target_of(const Breakdown *breakdown, const KpiPart *part)
{
	const KpiPlace *place = &breakdown->call.place;
	const KpiPartElement *element = &part->elements[0];
	KpiPartKind kind = breakdown->keys[0].kind;
	bool		of_member = place->scope_kind == KPI_SCOPE_MEMBER || kind == KPI_PART_MEMBER;
	int32		scope_id = kind == KPI_PART_DIMENSION ? place->scope_id : element->id;
	KpiRows		rows;
	Numeric		target = NULL;
	bool		isnull;

	if (breakdown->nkeys > 1 || (kind == KPI_PART_DIMENSION && element->text == NULL))
		return NULL;
	kpi_rows_begin_read(&rows, "SELECT p.target FROM kpi.goal_progress p WHERE p.plan = 'default' AND p.kpi = $1"
						" AND CASE WHEN $2 THEN p.member_id = $3 ELSE p.member_id IS NULL AND p.team_id = $3 END"
						" AND p.dimension IS NOT DISTINCT FROM $4 AND p.dimension_value IS NOT DISTINCT FROM $5"
						" AND p.grain = $6 AND p.period_start = $7",
						7, KPI_TEXT(breakdown->call.kpi), KPI_BOOL(of_member), KPI_INT4(scope_id),
						KPI_TEXT(kind == KPI_PART_DIMENSION ? breakdown->keys[0].name : NULL), KPI_TEXT(element->text),
						KPI_TEXT(kpi_calendar_grain_name(place->grain)), KPI_VALUE(DATEOID, DateADTGetDatum(place->start)));
	if (kpi_rows_next(&rows))
	{
		Datum		datum = kpi_rows_datum(&rows, "target", &isnull);

		if (!isnull)
			target = DatumGetNumericCopy(datum);
	}
	kpi_rows_end(&rows);
	return target;
}

static char *
name_of(const KpiPartKey *key, const KpiPartElement *element)
{
	KpiRows		rows;
	char	   *name = NULL;

	if (key->kind == KPI_PART_DIMENSION)
		return element->text;
	kpi_rows_begin_read(&rows, psprintf("SELECT key FROM kpi.%s WHERE id = $1", key->name), 1, KPI_INT4(element->id));
	if (kpi_rows_next(&rows))
		name = kpi_rows_text(&rows, "key");
	kpi_rows_end(&rows);
	return name;
}

/* Nothing of what adds up is 0. */
static void
evaluate(const Breakdown *breakdown, const KpiWindow *window, int number, KpiValue *value)
{
	KpiWindow	part = *window;

	part.place.dim_id = -1 - number;
	kpi_value_in(breakdown->call.program, &part, value);
	if (value->value == NULL && node_of(breakdown)->additive)
		value->value = int64_to_numeric(0);
}

static bool
evaluate_row(Breakdown *breakdown, KpiParts *parts, int number, Row *row)
{
	const KpiPart *part = kpi_value_part(parts, number);

	memset(row, 0, sizeof(*row));
	evaluate(breakdown, &breakdown->window, number, &row->value);
	if (breakdown->has_other)
		evaluate(breakdown, &breakdown->other, number, &row->other);
	if (row->value.facts == 0 && row->other.facts == 0)
		return false;
	if (breakdown->against == AGAINST_TARGET)
		row->other.value = target_of(breakdown, part);
	for (int k = 0; k < breakdown->nkeys; k++)
		row->names[k] = name_of(&breakdown->keys[k], &part->elements[k]);
	if (row->value.value != NULL && row->other.value != NULL)
		row->difference = call_numeric(numeric_sub, row->value.value, row->other.value);
	return true;
}

static void
evaluate_rows(Breakdown *breakdown, KpiParts *parts)
{
	KpiValue	whole;

	kpi_value_meet_parts(parts, breakdown->call.program, &breakdown->window);
	if (breakdown->has_other)
		kpi_value_meet_parts(parts, breakdown->call.program, &breakdown->other);
	kpi_value_in(breakdown->call.program, &breakdown->window, &whole);
	breakdown->rows = palloc(Max(kpi_value_parts_number(parts), 1) * sizeof(Row));

	/*
	 * Evaluation of windows of other functions may meet more, which these do
	 * not have.
	 */
	for (int i = 0, n = kpi_value_parts_number(parts); i < n; i++)
	{
		Row		   *row = &breakdown->rows[breakdown->n];

		CHECK_FOR_INTERRUPTS();
		if (!evaluate_row(breakdown, parts, i, row))
			continue;
		breakdown->n++;
		if (node_of(breakdown)->additive && whole.value != NULL && !is_zero(whole.value) && row->value.value != NULL)
			row->share = DatumGetNumeric(DirectFunctionCall2(numeric_round,
															 NumericGetDatum(call_numeric(numeric_div, row->value.value, whole.value)),
															 Int32GetDatum(6)));
	}
}

/* ---- enough ---- */

static double
number_of(Numeric number)
{
	return number == NULL ? 0 : DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(number)));
}

/* The variance that chance gives a value; below 0: nobody knows. */
static double
variance_of(const KpiProgramNode *node, const KpiValue *value)
{
	double		amount = number_of(value->value);
	double		n = value->facts;
	double		share;

	if (node->formula != NULL)
		return -1;
	if (n == 0 && node->kind != KPI_RATE)
		return 0;
	switch (node->kind)
	{
		case KPI_COUNT:
			return amount;
		case KPI_SUM:
		case KPI_RATIO:
			return 2 * amount * amount / n;
		case KPI_AVG:
			return amount * amount / n;
		case KPI_RATE:
			n = number_of(value->denominator);
			share = (number_of(value->numerator) + 1) / (n + 2);
			return share * (1 - share) / (n + 2);
		default:
			return -1;
	}
}

/* False: *isnull tells that nothing is known, or compared. */
static bool
is_enough(const Breakdown *breakdown, const Row *row, bool *isnull)
{
	double		variance = variance_of(node_of(breakdown), &row->value);
	double		other = breakdown->against == AGAINST_TARGET ? 0 : variance_of(node_of(breakdown), &row->other);

	*isnull = row->difference == NULL || variance < 0 || other < 0;
	return !*isnull && fabs(number_of(row->difference)) > EIGHTY_PERCENT * sqrt(variance + other);
}

/* ---- the result ---- */

static int
compare_names(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a == NULL) - (b == NULL);
	return strcmp(a, b);
}

/* The largest first, nothing last. */
static int
compare_values(const Row *a, const Row *b)
{
	if (a->value.value == NULL || b->value.value == NULL)
		return (a->value.value == NULL) - (b->value.value == NULL);
	return -DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a->value.value),
											  NumericGetDatum(b->value.value)));
}

static int
compare_rows(const void *a, const void *b)
{
	const Row  *x = a;
	const Row  *y = b;
	int			cmp = compare_values(x, y);

	for (int k = 0; k < KPI_PARTS_MAX && cmp == 0; k++)
		cmp = compare_names(x->names[k], y->names[k]);
	return cmp;
}

static void
set_number(Datum *values, bool *nulls, int column, Numeric number)
{
	nulls[column] = number == NULL;
	if (number != NULL)
		values[column] = NumericGetDatum(number);
}

static void
put_row(ReturnSetInfo *rsinfo, const Breakdown *breakdown, const Row *row, int rank)
{
	const KpiProgram *program = breakdown->call.program;
	Datum		values[OUT_COLUMNS] = {0};
	bool		nulls[OUT_COLUMNS] = {false};

	for (int k = 0; k < KPI_PARTS_MAX; k++)
	{
		nulls[OUT_PART_1 + k] = row->names[k] == NULL;
		if (row->names[k] != NULL)
			values[OUT_PART_1 + k] = CStringGetTextDatum(row->names[k]);
	}
	set_number(values, nulls, OUT_VALUE, kpi_value_shown(program, row->value.value));
	set_number(values, nulls, OUT_SHARE, row->share);
	values[OUT_RANK] = Int32GetDatum(rank);
	nulls[OUT_RANK] = row->value.value == NULL;
	set_number(values, nulls, OUT_OTHER, kpi_value_shown(program, row->other.value));
	set_number(values, nulls, OUT_DIFFERENCE, kpi_value_shown(program, row->difference));
	values[OUT_FACTS] = Int64GetDatum(row->value.facts);
	values[OUT_ENOUGH] = BoolGetDatum(is_enough(breakdown, row, &nulls[OUT_ENOUGH]));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* kpi.breakdown(kpi, by, team, member, period, against) */
Datum
kpi_sql_breakdown(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = CurrentMemoryContext;
	Breakdown	breakdown = {{0}};
	KpiParts   *parts;
	int			rank = 1;
	KpiSpi		spi;

	breakdown.call.kpi = kpi_arg_name(fcinfo, 0, "KPI");
	read_by(fcinfo, 1, &breakdown);
	if (breakdown.nkeys == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"by\" names nothing"),
				 errhint("Name dimensions, member or team: by => '{location, product}'.")));
	breakdown.call.team = kpi_fact_key_optional_arg(fcinfo, 2, "team");
	breakdown.call.member = kpi_fact_key_optional_arg(fcinfo, 3, "member");
	breakdown.call.period = kpi_arg_name(fcinfo, 4, "period");
	breakdown.against = parse_against(kpi_arg_text(fcinfo, 5));
	InitMaterializedSRF(fcinfo, 0);

	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	kpi_value_call_find(&breakdown.call);
	if (breakdown.call.is_range)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a breakdown is of a period, not of days \"%s\"", breakdown.call.period),
				 errhint("Ask for a period like \"2026-Q4\" or \"2026-10\".")));
	for (int k = 0; k < breakdown.nkeys; k++)
		refuse_key(&breakdown, &breakdown.keys[k]);
	refuse_measures(&breakdown);
	parts = kpi_value_parts_begin(breakdown.nkeys, breakdown.keys);
	find_dimensions(&breakdown, parts);
	set_windows(&breakdown);
	evaluate_rows(&breakdown, parts);
	kpi_spi_end(&spi);

	qsort(breakdown.rows, breakdown.n, sizeof(Row), compare_rows);
	for (int i = 0; i < breakdown.n; i++)
	{
		if (i > 0 && compare_values(&breakdown.rows[i - 1], &breakdown.rows[i]) != 0)
			rank = i + 1;
		put_row(rsinfo, &breakdown, &breakdown.rows[i], rank);
	}
	kpi_value_parts_end(parts);
	return (Datum) 0;
}

/*
 * kpi_internal.parts_between(program, kpi, scope_kind, scope_id, since, until, by): part_1, part_2, part_3,
 * value, of any days, both included.  By nothing there is one part, which is all.
 */
Datum
kpi_sql_parts_between(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = CurrentMemoryContext;
	Breakdown	breakdown = {{0}};
	KpiParts   *parts;
	KpiSpi		spi;

	breakdown.call.program = kpi_model_program(PG_GETARG_TEXT_PP(0));
	breakdown.call.kpi = text_to_cstring(PG_GETARG_TEXT_PP(1));
	breakdown.call.place.scope_kind = (KpiScopeKind) PG_GETARG_INT32(2);
	breakdown.call.place.scope_id = PG_GETARG_INT32(3);
	breakdown.call.place.grain = KPI_DAY;
	breakdown.call.place.start = PG_GETARG_DATEADT(4);
	read_by(fcinfo, 6, &breakdown);
	InitMaterializedSRF(fcinfo, 0);

	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	refuse_measures(&breakdown);
	parts = kpi_value_parts_begin(breakdown.nkeys, breakdown.keys);
	find_dimensions(&breakdown, parts);
	breakdown.window = kpi_value_window_days(&breakdown.call.place, PG_GETARG_DATEADT(4), PG_GETARG_DATEADT(5));
	evaluate_rows(&breakdown, parts);
	kpi_spi_end(&spi);

	for (int i = 0; i < breakdown.n; i++)
	{
		Datum		values[KPI_PARTS_MAX + 1] = {0};
		bool		nulls[KPI_PARTS_MAX + 1] = {false};

		for (int k = 0; k < KPI_PARTS_MAX; k++)
		{
			nulls[k] = breakdown.rows[i].names[k] == NULL;
			if (!nulls[k])
				values[k] = CStringGetTextDatum(breakdown.rows[i].names[k]);
		}
		set_number(values, nulls, KPI_PARTS_MAX, breakdown.rows[i].value.value);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	kpi_value_parts_end(parts);
	return (Datum) 0;
}
