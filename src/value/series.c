/*-------------------------------------------------------------------------
 *
 * series.c
 *	  kpi.series(): a KPI in one period after the other, without gaps.
 *
 * Every period has a row.  One without facts is 0 where the KPI adds up and has no value
 * where it does not; a balance has what is held.  Goals are read from kpi.goal_progress, once
 * for all periods.
 *
 * A series has no more rows than facts can have days.  Names are looked up as for
 * kpi.value(), and who may call it may read all that it can tell.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
#include "value/value_internal.h"

PG_FUNCTION_INFO_V1(kpi_sql_series);

/* Arguments. */
enum
{
	ARG_KPI,
	ARG_TEAM,
	ARG_MEMBER,
	ARG_GRAIN,
	ARG_SINCE,
	ARG_UNTIL,
	ARG_DIMENSION,
	ARG_DIMENSION_VALUE,
	ARG_PLAN
};

/* Columns of the result. */
enum
{
	OUT_PERIOD,
	OUT_PERIOD_START,
	OUT_PERIOD_END,
	OUT_IS_CURRENT,
	OUT_VALUE,
	OUT_VALUE_TO_DATE,
	OUT_TARGET,
	OUT_EXPECTED,
	OUT_COLUMNS
};

/* What the goal of a period asks for; numbers may be NULL. */
typedef struct Asked
{
	DateADT		start;
	Numeric		target;
	Numeric		expected_today;
} Asked;

typedef struct Series
{
	KpiValueCall call;
	KpiCalendar calendar;
	DateADT		today;
	DateADT		since;			/* the start of a period */
	DateADT		until;			/* exclusive */
	bool		skips;			/* begins with the first period that has facts */
	int			nasked;
	Asked	   *asked;			/* ascending */
	int			next;			/* of those */
} Series;

/* A period with its numbers. */
typedef struct Row
{
	KpiPlace	place;
	bool		has_facts;
	Numeric		value;			/* each may be NULL */
	Numeric		to_date;
	Numeric		target;
	Numeric		expected;
} Row;

/* ---- which periods ---- */

static bool
is_additive(const Series *series)
{
	return series->call.program->nodes[series->call.program->nnodes - 1].additive;
}

/* The period in which the team or member has the first fact of any stream; today's, if that is earlier. */
static DateADT
first_with_facts(const Series *series)
{
	const KpiProgram *program = series->call.program;
	DateADT		first = series->today;
	List	   *streams = NIL;
	KpiRows		rows;

	for (int s = 0; s < program->nstreams; s++)
		streams = lappend_int(streams, program->streams[s]);
	kpi_rows_begin_read(&rows, "SELECT pg_catalog.min(f.start) AS start FROM pg_catalog.unnest($1) s (id) CROSS JOIN LATERAL"
						" (SELECT r.start FROM kpi_internal.rollup_cell r WHERE r.stream_id = s.id AND r.scope_kind = $2"
						"  AND r.scope_id = $3 AND r.grain = $4 AND r.dim_id = 0 ORDER BY r.start LIMIT 1) f",
						4, KPI_INT4S(streams), KPI_INT4(series->call.place.scope_kind), KPI_INT4(series->call.place.scope_id),
						KPI_INT4(KPI_MONTH));
	if (kpi_rows_next(&rows))
		first = Min(first, kpi_rows_date(&rows, "start", first));
	kpi_rows_end(&rows);
	return first;
}

static void
check_day(const char *name, DateADT day)
{
	if (kpi_calendar_fact_day_in_range(day))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is outside of the days that facts can have", name),
			 errdetail("These are those of the years %d to %d.", KPI_MIN_FACT_YEAR, KPI_MAX_FACT_YEAR)));
}

/* A period belongs to the series if one of its days does. */
static void
set_days(FunctionCallInfo fcinfo, Series *series)
{
	KpiGrain	grain = series->call.place.grain;
	DateADT		current = kpi_calendar_period_start(grain, series->today, &series->calendar);

	series->until = kpi_calendar_period_shift(grain, current, 1, &series->calendar);
	if (!PG_ARGISNULL(ARG_UNTIL))
	{
		series->until = PG_GETARG_DATEADT(ARG_UNTIL);
		check_day("until", DATE_NOT_FINITE(series->until) ? series->until : series->until - 1);
	}
	series->skips = PG_ARGISNULL(ARG_SINCE);
	if (series->skips)
		series->since = first_with_facts(series);
	else
	{
		series->since = PG_GETARG_DATEADT(ARG_SINCE);
		check_day("since", series->since);
		if (!PG_ARGISNULL(ARG_UNTIL) && series->since >= series->until)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"since\" must be before \"until\""),
					 errdetail("\"until\" is the day after the last one.")));
	}
	series->since = kpi_calendar_period_start(grain, series->since, &series->calendar);
}

/* ---- goals ---- */

static Numeric
copied_number(KpiRows *rows, const char *column)
{
	bool		isnull;
	Datum		datum = kpi_rows_datum(rows, column, &isnull);

	return isnull ? NULL : DatumGetNumericCopy(datum);
}

/* Those of exactly this team or member, and value of a dimension; error where two are of a period. */
static void
read_goals(Series *series, const char *plan)
{
	const KpiPlace *place = &series->call.place;
	bool		of_member = place->scope_kind == KPI_SCOPE_MEMBER;
	int64		last_id = 0;
	KpiRows		rows;

	kpi_rows_begin_read(&rows, psprintf("SELECT p.goal_id, p.period_start, p.target, p.expected_today FROM kpi.goal g"
										" JOIN kpi.goal_progress p ON p.goal_id = g.id"
										" WHERE g.kpi_id = $1 AND g.%s = $2 AND g.plan = $3 AND g.grain = $4"
										" AND g.dimension IS NOT DISTINCT FROM $5"
										" AND g.dimension_value IS NOT DISTINCT FROM $6"
										" AND p.period_start >= $7 AND p.period_start < $8"
										" ORDER BY p.period_start, p.goal_id", of_member ? "member_id" : "team_id"),
						8, KPI_INT4(series->call.program->nodes[series->call.program->nnodes - 1].kpi_id),
						KPI_INT4(place->scope_id), KPI_TEXT(plan), KPI_TEXT(kpi_calendar_grain_name(place->grain)),
						KPI_TEXT(series->call.dimension), KPI_TEXT(series->call.dimension_value),
						KPI_VALUE(DATEOID, DateADTGetDatum(series->since)),
						KPI_VALUE(DATEOID, DateADTGetDatum(series->until)));
	series->asked = palloc(Max(rows.n, 1) * sizeof(Asked));
	while (kpi_rows_next(&rows))
	{
		Asked	   *asked = &series->asked[series->nasked];
		int64		id = kpi_rows_int8(&rows, "goal_id");

		asked->start = kpi_rows_date(&rows, "period_start", 0);
		asked->target = copied_number(&rows, "target");
		asked->expected_today = copied_number(&rows, "expected_today");
		if (series->nasked > 0 && series->asked[series->nasked - 1].start == asked->start)
			kpi_value_refuse_goals(plan, last_id, id);
		last_id = id;
		series->nasked++;
	}
	kpi_rows_end(&rows);
}

/* A period that is over should have brought what its goal asks for, and one to come nothing yet. */
static void
ask(Series *series, Row *row)
{
	const Asked *asked;

	while (series->next < series->nasked && series->asked[series->next].start < row->place.start)
		series->next++;
	asked = &series->asked[series->next];
	if (series->next == series->nasked || asked->start != row->place.start)
		return;
	row->target = asked->target;
	if (series->today > kpi_value_place_end(&row->place))
		row->expected = asked->target;
	else if (series->today >= row->place.start)
		row->expected = asked->expected_today;
}

/* ---- numbers ---- */

static Numeric
of_nothing(const Series *series)
{
	return is_additive(series) ? int64_to_numeric(0) : NULL;
}

static Numeric
value_to_date(const Series *series, const Row *row)
{
	KpiValue	value;

	if (series->today > kpi_value_place_end(&row->place))
		return row->value;
	if (series->today >= row->place.start && series->call.is_met &&
		kpi_value_until(series->call.program, &row->place, series->today, &value))
		return value.value;
	return of_nothing(series);
}

static void
evaluate(Series *series, DateADT start, Row *row)
{
	KpiValue	value;

	memset(row, 0, sizeof(*row));
	row->place = series->call.place;
	row->place.start = start;
	row->has_facts = series->call.is_met && kpi_value_at(series->call.program, &row->place, &value);
	row->value = row->has_facts ? value.value : of_nothing(series);
	row->to_date = value_to_date(series, row);
	ask(series, row);
}

/* ---- the result ---- */

static void
set_number(Datum *values, bool *nulls, int column, Numeric number)
{
	nulls[column] = number == NULL;
	if (number != NULL)
		values[column] = NumericGetDatum(number);
}

static void
put_row(ReturnSetInfo *rsinfo, const Series *series, const Row *row)
{
	DateADT		last = kpi_value_place_end(&row->place);
	Datum		values[OUT_COLUMNS] = {0};
	bool		nulls[OUT_COLUMNS] = {false};
	char		name[KPI_PERIOD_NAME_LEN];

	kpi_calendar_period_name(row->place.grain, row->place.start, &series->calendar, name);
	values[OUT_PERIOD] = CStringGetTextDatum(name);
	values[OUT_PERIOD_START] = DateADTGetDatum(row->place.start);
	values[OUT_PERIOD_END] = DateADTGetDatum(last);
	values[OUT_IS_CURRENT] = BoolGetDatum(series->today >= row->place.start && series->today <= last);
	set_number(values, nulls, OUT_VALUE, kpi_value_shown(series->call.program, row->value));
	set_number(values, nulls, OUT_VALUE_TO_DATE, kpi_value_shown(series->call.program, row->to_date));
	set_number(values, nulls, OUT_TARGET, row->target);
	set_number(values, nulls, OUT_EXPECTED, row->expected);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_rows(ReturnSetInfo *rsinfo, Series *series)
{
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "kpi series", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(row_cxt);
	DateADT		start = series->since;

	while (start < series->until)
	{
		DateADT		next = kpi_calendar_period_shift(series->call.place.grain, start, 1, &series->calendar);
		Row			row;

		CHECK_FOR_INTERRUPTS();
		evaluate(series, start, &row);
		if (row.has_facts || next > series->today)
			series->skips = false;
		if (!series->skips)
			put_row(rsinfo, series, &row);
		start = next;
		MemoryContextReset(row_cxt);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row_cxt);
}

/* kpi.series(kpi, team, member, grain, since, until, dimension, dimension_value, plan) */
Datum
kpi_sql_series(PG_FUNCTION_ARGS)
{
	Series		series = {{0}};
	MemoryContext caller = CurrentMemoryContext;
	char	   *plan = kpi_arg_name(fcinfo, ARG_PLAN, "plan");
	KpiSpi		spi;

	series.call.kpi = kpi_arg_name(fcinfo, ARG_KPI, "KPI");
	series.call.team = kpi_fact_key_optional_arg(fcinfo, ARG_TEAM, "team");
	series.call.member = kpi_fact_key_optional_arg(fcinfo, ARG_MEMBER, "member");
	series.call.place.grain = kpi_calendar_grain(kpi_arg_name(fcinfo, ARG_GRAIN, "grain"));
	series.call.dimension = kpi_arg_text(fcinfo, ARG_DIMENSION);
	series.call.dimension_value = kpi_arg_text(fcinfo, ARG_DIMENSION_VALUE);
	InitMaterializedSRF(fcinfo, 0);

	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	kpi_value_call_find_scope(&series.call);
	kpi_value_call_check_grain(&series.call);
	kpi_value_call_find_dimension(&series.call);
	series.calendar = kpi_value_calendar(series.call.program);
	series.today = kpi_value_today(series.call.program);
	set_days(fcinfo, &series);
	read_goals(&series, plan);
	kpi_spi_end(&spi);

	put_rows((ReturnSetInfo *) fcinfo->resultinfo, &series);
	return (Datum) 0;
}
