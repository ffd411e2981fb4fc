/*-------------------------------------------------------------------------
 *
 * view.c
 *	  Columns of the views: values of a KPI at the place of a row.
 *
 * All but the last few functions take what a row of a view has: the program of
 * the KPI, and the columns of a row of kpi_internal.rollup_cell, whose cell is
 * that of the stream that brought the row.
 *
 * Numbers are rounded where they are handed out (shown.c); ratios are short as they are.
 *
 * To date means to date: a period is compared with another by what is dated
 * until today, and of the other by as many days after its start.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "calendar/calendar.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "value/value_internal.h"

PG_FUNCTION_INFO_V1(kpi_sql_has_value);
PG_FUNCTION_INFO_V1(kpi_sql_has_balance);
PG_FUNCTION_INFO_V1(kpi_sql_carried_periods);
PG_FUNCTION_INFO_V1(kpi_sql_value);
PG_FUNCTION_INFO_V1(kpi_sql_numerator);
PG_FUNCTION_INFO_V1(kpi_sql_denominator);
PG_FUNCTION_INFO_V1(kpi_sql_facts);
PG_FUNCTION_INFO_V1(kpi_sql_value_to_date);
PG_FUNCTION_INFO_V1(kpi_sql_previous_value);
PG_FUNCTION_INFO_V1(kpi_sql_previous_value_to_date);
PG_FUNCTION_INFO_V1(kpi_sql_growth_ratio);
PG_FUNCTION_INFO_V1(kpi_sql_year_ago_value);
PG_FUNCTION_INFO_V1(kpi_sql_yoy_growth_ratio);
PG_FUNCTION_INFO_V1(kpi_sql_is_current);
PG_FUNCTION_INFO_V1(kpi_sql_today_of);
PG_FUNCTION_INFO_V1(kpi_sql_day_of);
PG_FUNCTION_INFO_V1(kpi_sql_row_id);

/* The arguments of a column. */
typedef struct ViewRow
{
	const KpiProgram *program;
	KpiPlace	place;
	KpiGivenCell given;
} ViewRow;

/*
 * The views hand in no other grains and days; whoever has USAGE on all schemas
 * could.
 */
static KpiPlace
read_place(int32 grain, DateADT start)
{
	KpiPlace	place = {.grain = (KpiGrain) grain,.start = start};

	if (grain < KPI_DAY || grain > KPI_YEAR || !kpi_calendar_day_in_range(start))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no period of grain %d that begins %d days after 2000-01-01", grain, start)));
	return place;
}

/* (program, stream_id, scope_kind, scope_id, grain, dim_id, start, cell), of which the last may be NULL. */
static bool
read_row(FunctionCallInfo fcinfo, ViewRow *row)
{
	for (int i = 0; i < 7; i++)
	{
		if (PG_ARGISNULL(i))
			return false;
	}
	row->program = kpi_model_program(PG_GETARG_TEXT_PP(0));
	row->given.stream_id = PG_GETARG_INT32(1);
	row->place = read_place(PG_GETARG_INT32(4), PG_GETARG_DATEADT(6));
	row->place.scope_kind = (KpiScopeKind) PG_GETARG_INT32(2);
	row->place.scope_id = PG_GETARG_INT32(3);
	row->place.dim_id = PG_GETARG_INT32(5);
	row->given.isnull = PG_ARGISNULL(7);
	row->given.cell = PG_GETARG_DATUM(7);
	return true;
}

static bool
value_of_row(const ViewRow *row, KpiValue *value)
{
	return kpi_value_at_given(row->program, &row->place, &row->given, value);
}

/*
 * Whether the row is one of the view: the KPI has facts there, and no stream
 * before this one brings the same row, and no balance does (has_balance).
 */
Datum
kpi_sql_has_value(PG_FUNCTION_ARGS)
{
	ViewRow		row;

	if (!read_row(fcinfo, &row) || kpi_value_balance_stream(row.program, &row.place) != 0)
		PG_RETURN_BOOL(false);
	for (int s = 0; s < row.program->nstreams && row.program->streams[s] != row.given.stream_id; s++)
	{
		if (kpi_value_place_cell(row.program, row.program->streams[s], &row.place) != NULL)
			PG_RETURN_BOOL(false);
	}
	PG_RETURN_BOOL(kpi_value_has_facts(row.program, &row.place, &row.given));
}

/*
 * Whether a place that a stream's balances bring is one of the view: one of them is there, and no
 * balance of a stream before this one.
 */
Datum
kpi_sql_has_balance(PG_FUNCTION_ARGS)
{
	ViewRow		row;

	PG_RETURN_BOOL(read_row(fcinfo, &row) &&
				   kpi_value_balance_stream(row.program, &row.place) == row.given.stream_id);
}

#define RETURN_NUMERIC_OR_NULL(number) \
	do { \
		Numeric		returned = (number); \
		if (returned == NULL) \
			PG_RETURN_NULL(); \
		PG_RETURN_NUMERIC(returned); \
	} while (0)

Datum
kpi_sql_value(PG_FUNCTION_ARGS)
{
	ViewRow		row;
	KpiValue	value;

	if (!read_row(fcinfo, &row) || !value_of_row(&row, &value))
		PG_RETURN_NULL();
	RETURN_NUMERIC_OR_NULL(kpi_value_shown(row.program, value.value));
}

Datum
kpi_sql_numerator(PG_FUNCTION_ARGS)
{
	ViewRow		row;
	KpiValue	value;

	if (!read_row(fcinfo, &row) || !value_of_row(&row, &value))
		PG_RETURN_NULL();
	RETURN_NUMERIC_OR_NULL(kpi_value_part_shown(row.program, value.numerator));
}

Datum
kpi_sql_denominator(PG_FUNCTION_ARGS)
{
	ViewRow		row;
	KpiValue	value;

	if (!read_row(fcinfo, &row) || !value_of_row(&row, &value))
		PG_RETURN_NULL();
	RETURN_NUMERIC_OR_NULL(kpi_value_part_shown(row.program, value.denominator));
}

Datum
kpi_sql_facts(PG_FUNCTION_ARGS)
{
	ViewRow		row;
	KpiValue	value;

	if (!read_row(fcinfo, &row) || !value_of_row(&row, &value))
		PG_RETURN_NULL();
	PG_RETURN_INT64(value.facts);
}

/* ---- to date ---- */

/* How far a period has gone. */
typedef enum Progress
{
	NOT_BEGUN,
	CURRENT,
	OVER
} Progress;

static Progress
progress_of(const KpiProgram *program, const KpiPlace *place)
{
	DateADT		today = kpi_value_today(program);

	if (today < place->start)
		return NOT_BEGUN;
	return today <= kpi_value_place_end(place) ? CURRENT : OVER;
}

/* Nothing that adds up is 0, of anything else there is none. */
static Numeric
to_date_of_nothing(const KpiProgram *program)
{
	return program->nodes[program->nnodes - 1].additive ? int64_to_numeric(0) : NULL;
}

static Numeric
value_to_date(const ViewRow *row)
{
	Progress	progress = progress_of(row->program, &row->place);
	KpiValue	value;

	if (progress == OVER)
		return value_of_row(row, &value) ? value.value : NULL;
	if (progress == CURRENT &&
		kpi_value_until(row->program, &row->place, kpi_value_today(row->program), &value))
		return value.value;
	return to_date_of_nothing(row->program);
}

Datum
kpi_sql_value_to_date(PG_FUNCTION_ARGS)
{
	ViewRow		row;

	if (!read_row(fcinfo, &row))
		PG_RETURN_NULL();
	RETURN_NUMERIC_OR_NULL(kpi_value_shown(row.program, value_to_date(&row)));
}

static Numeric
whole_value(const KpiProgram *program, const KpiPlace *place)
{
	KpiValue	value;

	return kpi_value_at(program, place, &value) ? value.value : NULL;
}

/* Of another period, as many days after its start as have begun of the row's, which is current. */
static Numeric
other_to_date(const ViewRow *row, const KpiPlace *other)
{
	DateADT		days = kpi_value_today(row->program) - row->place.start;
	KpiValue	value;

	return kpi_value_until(row->program, other, other->start + days, &value) ? value.value : NULL;
}

Datum
kpi_sql_previous_value(PG_FUNCTION_ARGS)
{
	ViewRow		row;
	KpiPlace	previous;

	if (!read_row(fcinfo, &row))
		PG_RETURN_NULL();
	previous = kpi_value_place_shift(&row.place, -1);
	RETURN_NUMERIC_OR_NULL(kpi_value_shown(row.program, whole_value(row.program, &previous)));
}

Datum
kpi_sql_previous_value_to_date(PG_FUNCTION_ARGS)
{
	ViewRow		row;
	KpiPlace	previous;

	if (!read_row(fcinfo, &row) || progress_of(row.program, &row.place) != CURRENT)
		PG_RETURN_NULL();
	previous = kpi_value_place_shift(&row.place, -1);
	RETURN_NUMERIC_OR_NULL(kpi_value_shown(row.program, other_to_date(&row, &previous)));
}

Datum
kpi_sql_year_ago_value(PG_FUNCTION_ARGS)
{
	ViewRow		row;
	KpiPlace	ago;

	if (!read_row(fcinfo, &row))
		PG_RETURN_NULL();
	ago = kpi_value_place_year_ago(&row.place);
	RETURN_NUMERIC_OR_NULL(kpi_value_shown(row.program, whole_value(row.program, &ago)));
}

/* ---- growth ---- */

Datum
kpi_sql_growth_ratio(PG_FUNCTION_ARGS)
{
	ViewRow		row;

	if (!read_row(fcinfo, &row))
		PG_RETURN_NULL();
	RETURN_NUMERIC_OR_NULL(kpi_value_growth_at_given(row.program, &row.place, &row.given, false));
}

Datum
kpi_sql_yoy_growth_ratio(PG_FUNCTION_ARGS)
{
	ViewRow		row;
	KpiPlace	ago;
	KpiValue	value;

	if (!read_row(fcinfo, &row) || !value_of_row(&row, &value))
		PG_RETURN_NULL();
	ago = kpi_value_place_year_ago(&row.place);
	RETURN_NUMERIC_OR_NULL(kpi_value_change(value.value, whole_value(row.program, &ago)));
}

/* ---- days ---- */

/* kpi_internal.is_current(program, grain, start) */
Datum
kpi_sql_is_current(PG_FUNCTION_ARGS)
{
	const KpiProgram *program = kpi_model_program(PG_GETARG_TEXT_PP(0));
	KpiPlace	place = read_place(PG_GETARG_INT32(1), PG_GETARG_DATEADT(2));

	PG_RETURN_BOOL(progress_of(program, &place) == CURRENT);
}

/* kpi_internal.today_of(program) */
Datum
kpi_sql_today_of(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(kpi_value_today(kpi_model_program(PG_GETARG_TEXT_PP(0))));
}

/* kpi_internal.day_of(program, moment): the day in the KPI's time zone. */
Datum
kpi_sql_day_of(PG_FUNCTION_ARGS)
{
	pg_tz	   *zone = pg_tzset(kpi_model_program(PG_GETARG_TEXT_PP(0))->time_zone);
	DateADT		day;

	if (!kpi_calendar_day_of_moment(PG_GETARG_TIMESTAMPTZ(1), zone, &day))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(day);
}

/* ---- places that balances bring ---- */

static void
put_periods(ReturnSetInfo *rsinfo, const KpiCalendar *calendar, KpiGrain grain, DateADT since, DateADT until)
{
	DateADT		start = kpi_calendar_period_start(grain, since, calendar);

	while (start <= until)
	{
		DateADT		next = kpi_calendar_period_shift(grain, start, 1, calendar);
		Datum		values[3] = {Int32GetDatum(grain), DateADTGetDatum(start), DateADTGetDatum(next - 1)};
		bool		nulls[3] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		start = next;
	}
}

/*
 * kpi_internal.carried_periods(stream_id, only_grain, week_start, fiscal_year_start): of all grains if that
 * is NULL.  Which of them the balance is there in says has_balance().
 */
Datum
kpi_sql_carried_periods(PG_FUNCTION_ARGS)
{
	KpiCalendar calendar = {.week_start = PG_GETARG_INT16(2),.fiscal_start = PG_GETARG_INT16(3)};
	DateADT		until = kpi_calendar_today_in("UTC") + 1;	/* it is tomorrow
															 * somewhere */
	DateADT		since;

	InitMaterializedSRF(fcinfo, 0);
	if (!kpi_value_first_year(PG_GETARG_INT32(0), &since))
		PG_RETURN_VOID();
	for (int grain = KPI_DAY; grain <= KPI_YEAR; grain++)
	{
		if (PG_ARGISNULL(1) || PG_GETARG_INT32(1) == grain)
			put_periods((ReturnSetInfo *) fcinfo->resultinfo, &calendar, (KpiGrain) grain, since, until);
	}
	PG_RETURN_VOID();
}

/* ---- keys of rows ---- */

/* Widths of the parts of a key; days are counted from 1899, where the first week of 1900 begins. */
#define ROW_ID_DAY_BITS 17
#define ROW_ID_GRAIN_BITS 3
#define ROW_ID_KIND_BITS 1
#define ROW_ID_SCOPE_BITS 24
#define ROW_ID_FIRST_YEAR 1899

/*
 * kpi_internal.row_id(kpi_id, scope_kind, scope_id, grain, dim_id, start): a number
 * for tools that want one in the place of a key of several columns.  With a dimension it
 * does not fit into 64 bits and is a hash.
 */
Datum
kpi_sql_row_id(PG_FUNCTION_ARGS)
{
	uint64		id = PG_GETARG_INT32(0);
	int32		dim_id = PG_GETARG_INT32(4);

	id = id << ROW_ID_SCOPE_BITS | (PG_GETARG_INT32(2) & ((1 << ROW_ID_SCOPE_BITS) - 1));
	id = id << ROW_ID_KIND_BITS | (PG_GETARG_INT32(1) - 1);
	id = id << ROW_ID_GRAIN_BITS | PG_GETARG_INT32(3);
	id = id << ROW_ID_DAY_BITS |
		(PG_GETARG_DATEADT(5) - (date2j(ROW_ID_FIRST_YEAR, 1, 1) - POSTGRES_EPOCH_JDATE));
	if (dim_id != 0)
		id = hash_bytes_extended((const unsigned char *) &id, sizeof(id), dim_id) & PG_INT64_MAX;
	PG_RETURN_INT64((int64) id);
}
