/*-------------------------------------------------------------------------
 *
 * place.c
 *	  kpi.value(): the value of a KPI at a place that is given by names.
 *
 * Names are looked up under the snapshot of the caller's query, as the extension's
 * owner; who may call the function may read all that it can tell.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "value/value_internal.h"

PG_FUNCTION_INFO_V1(kpi_sql_value_of);

/* An error with the names that may have been meant, or else where all are. */
pg_noreturn static void
unknown(const char *kind, const char *name, const char *all_names, const char *table)
{
	char	   *near = kpi_near_names(kpi_all_texts(all_names, 0), name);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s \"%s\" does not exist", kind, name),
			 near ? errhint("Perhaps you mean %s.", near) : errhint("Table %s lists them.", table)));
}

pg_noreturn static void
unknown_member(const char *name)
{
	char	   *known_as = kpi_first_text("SELECT m.key FROM kpi.member_alias a JOIN kpi.member m ON m.id = a.member_id"
										  " WHERE a.alias = $1 ORDER BY a.id LIMIT 1", 1, KPI_TEXT(name));

	if (known_as)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("member \"%s\" does not exist", name),
				 errdetail("It is an alias of member \"%s\".", known_as),
				 errhint("Give the key of the member.")));
	unknown("member", name, "SELECT key FROM kpi.member", "kpi.member");
}

void
kpi_value_call_read(FunctionCallInfo fcinfo, KpiValueCall *call)
{
	call->kpi = kpi_arg_name(fcinfo, 0, "KPI");
	call->team = kpi_fact_key_optional_arg(fcinfo, 1, "team");
	call->member = kpi_fact_key_optional_arg(fcinfo, 2, "member");
	call->period = kpi_arg_name(fcinfo, 3, "period");
	call->dimension = kpi_arg_text(fcinfo, 4);
	call->dimension_value = kpi_arg_text(fcinfo, 5);
}

static void
find_kpi(KpiValueCall *call)
{
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT s.program, o.has_breakdown, o.for_members, o.for_teams FROM kpi.kpi k"
						" JOIN kpi_internal.kpi_stream s ON s.kpi_id = k.id AND s.position = 1"
						" CROSS JOIN LATERAL (SELECT pg_catalog.bool_or(x.owner_kind = 'member') AS for_members,"
						"  pg_catalog.bool_or(x.owner_kind <> 'company') AS for_teams, pg_catalog.bool_or(t.has_breakdown) AS has_breakdown"
						"  FROM kpi_internal.kpi_stream t JOIN kpi_internal.stream x ON x.id = t.stream_id"
						"  WHERE t.kpi_id = k.id) o WHERE k.name = $1", 1, KPI_TEXT(call->kpi));
	if (!kpi_rows_next(&rows))
		unknown("KPI", call->kpi, "SELECT name FROM kpi.kpi", "kpi.kpi");
	call->program = kpi_model_program(cstring_to_text(kpi_rows_text(&rows, "program")));
	call->has_breakdown = kpi_rows_bool(&rows, "has_breakdown");
	call->for_members = kpi_rows_bool(&rows, "for_members");
	call->for_teams = kpi_rows_bool(&rows, "for_teams");
	kpi_rows_end(&rows);
}

static int32
find_key(const char *sql, const char *key)
{
	KpiRows		rows;
	int32		id = 0;

	kpi_rows_begin_read(&rows, sql, 1, KPI_TEXT(key));
	if (kpi_rows_next(&rows))
		id = kpi_rows_int4(&rows, "id");
	kpi_rows_end(&rows);
	return id;
}

static void
find_scope(KpiValueCall *call)
{
	call->place.scope_kind = call->member ? KPI_SCOPE_MEMBER : KPI_SCOPE_TEAM;
	call->place.scope_id = 1;
	if (call->member != NULL)
		call->place.scope_id = find_key("SELECT id FROM kpi.member WHERE key = $1", call->member);
	else if (call->team != NULL)
		call->place.scope_id = find_key("SELECT id FROM kpi.team WHERE key = $1", call->team);
	if (call->place.scope_id == 0 && call->member != NULL)
		unknown_member(call->member);
	if (call->place.scope_id == 0)
		unknown("team", call->team, "SELECT key FROM kpi.team", "kpi.team");
	if (call->member != NULL && !call->for_members)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has no values for members", call->kpi),
				 errdetail("Its facts count for teams, or for the company alone."),
				 errhint("Ask for a team, or give its source an owner.")));
	if (call->place.scope_kind == KPI_SCOPE_TEAM && call->place.scope_id != 1 && !call->for_teams)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has no values for teams", call->kpi),
				 errdetail("Its facts count for the company alone."),
				 errhint("Ask without a team, or give its source an owner or a team.")));
}

/* Where facts mean nothing at a shorter grain the days must be periods of that grain. */
static void
check_range(const KpiValueCall *call, const KpiCalendar *calendar)
{
	KpiGrain	grain = call->program->grain;

	if (kpi_calendar_period_start(grain, call->place.start, calendar) == call->place.start &&
		kpi_calendar_period_end(grain, call->last, calendar) == call->last)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("KPI \"%s\" has no values for parts of a %s", call->kpi, kpi_calendar_grain_name(grain)),
			 errdetail("The facts of its source, or of one of them, mean nothing at a grain so short."),
			 errhint("Ask for days from the first of a %s to the last of one.", kpi_calendar_grain_name(grain))));
}

static void
find_period(KpiValueCall *call)
{
	KpiCalendar calendar = {0};
	char	   *problem;
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT name, week_start::integer, fiscal_year_start::integer FROM kpi.calendar WHERE id = $1",
						1, KPI_INT4(KPI_DEFAULT_CALENDAR));
	if (!kpi_rows_next(&rows))
		elog(ERROR, "the default calendar is not there");
	calendar.name = kpi_rows_text(&rows, "name");
	calendar.week_start = kpi_rows_int4(&rows, "week_start");
	calendar.fiscal_start = kpi_rows_int4(&rows, "fiscal_year_start");
	kpi_rows_end(&rows);
	if (kpi_calendar_range_parse(call->period, &calendar, &call->place.start, &call->last, &problem))
	{
		if (problem != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
					 errmsg("period \"%s\" is malformed", call->period),
					 errdetail("%s", problem),
					 errhint("Write days \"2026-10-15..2026-12-15\", both included, or a period \"2026-Q4\".")));
		call->is_range = true;
		call->place.grain = KPI_DAY;
		check_range(call, &calendar);
		return;
	}
	kpi_calendar_period_parse(call->period, &calendar, &call->place.grain, &call->place.start);
	call->last = kpi_value_place_end(&call->place);
}

void
kpi_value_call_check_grain(const KpiValueCall *call)
{
	if (call->is_range || call->program->grain <= call->place.grain)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("KPI \"%s\" has no values for a %s", call->kpi,
					kpi_calendar_grain_name(call->place.grain)),
			 errdetail("The facts of its source, or of one of them, mean nothing at a grain so short."),
			 errhint("Ask for a longer period.")));
}

static void
refuse_dimension(const KpiValueCall *call)
{
	bool		has_place = call->place.scope_kind == KPI_SCOPE_TEAM && call->place.grain >= KPI_MONTH;

	if (!call->has_breakdown)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has no dimension \"%s\"", call->kpi, call->dimension),
				 errdetail("It is a formula over KPIs of several sources, whose dimensions are not the same."),
				 errhint("In a formula whole(k) is all of a KPI, by whatever dimension it is asked for: what is divided by may be of another source then.")));
	if (!has_place)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has no values by dimension for %s of a %s", call->kpi,
						call->is_range ? "days that are no period" : psprintf("a %s", kpi_calendar_grain_name(call->place.grain)),
						call->member ? "member" : "team"),
				 errhint("Values by dimension are of teams, by month, quarter and year.")));
}

void
kpi_value_call_find_dimension(KpiValueCall *call)
{
	int32		source_id = 0;
	KpiRows		rows;

	call->is_met = true;
	if (call->dimension == NULL && call->dimension_value != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a dimension_value needs a dimension"),
				 errhint("Write dimension => 'product', dimension_value => 'basic'.")));
	if (call->dimension == NULL)
		return;
	refuse_dimension(call);
	for (int n = 0; n < call->program->nnodes; n++)
	{
		if (call->program->nodes[n].by_dimension)
			source_id = Max(source_id, call->program->nodes[n].source_id);
	}
	kpi_rows_begin_read(&rows, "SELECT d.position, (SELECT x.id FROM kpi_internal.dim x WHERE x.source_id = $1"
						"  AND x.position = d.position"
						"  AND pg_catalog.hash_array_extended(x.vals, 0)"
						"   = pg_catalog.hash_array_extended(ARRAY[$3] COLLATE \"C\", 0)"
						"  AND x.vals = ARRAY[$3] COLLATE \"C\") AS dim_id"
						" FROM kpi.dimension d WHERE d.source_id = $1 AND d.name = $2",
						3, KPI_INT4(source_id), KPI_TEXT(call->dimension), KPI_TEXT(call->dimension_value));
	if (!kpi_rows_next(&rows))
	{
		char	   *near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.dimension WHERE source_id = $1",
														1, KPI_INT4(source_id)), call->dimension);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" has no dimension \"%s\"", call->kpi, call->dimension),
				 near ? errhint("Perhaps you mean %s.", near) :
				 errhint("Table kpi.dimension lists the dimensions of sources.")));
	}
	call->place.dim_id = kpi_rows_int4(&rows, "dim_id");
	call->is_met = call->place.dim_id != 0;
	kpi_rows_end(&rows);
}

void
kpi_value_call_find_scope(KpiValueCall *call)
{
	if (call->team != NULL && call->member != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("both a team and a member are given"),
				 errhint("Give one of them; neither means the company.")));
	find_kpi(call);
	find_scope(call);
}

void
kpi_value_call_find(KpiValueCall *call)
{
	kpi_value_call_find_scope(call);
	find_period(call);
	kpi_value_call_check_grain(call);
}

KpiWindow
kpi_value_call_window(const KpiValueCall *call)
{
	return call->is_range ? kpi_value_window_days(&call->place, call->place.start, call->last) :
		kpi_value_window(&call->place);
}

KpiWindow
kpi_value_call_window_until(const KpiValueCall *call, DateADT day)
{
	return call->is_range ? kpi_value_window_days(&call->place, call->place.start, Min(call->last, day)) :
		kpi_value_window_until(&call->place, day);
}

bool
kpi_value_call_may_have_facts(const KpiValueCall *call)
{
	return call->place.start <= kpi_calendar_last_fact_day() && call->last >= kpi_calendar_first_fact_day();
}

bool
kpi_value_call_has_begun(const KpiValueCall *call)
{
	KpiPlace	place = call->place;

	if (call->is_range)
		place.start = call->last;
	return kpi_value_has_begun(call->program, &place);
}

/* kpi.value(kpi, team, member, period, dimension, dimension_value) */
Datum
kpi_sql_value_of(PG_FUNCTION_ARGS)
{
	KpiValueCall call = {0};
	MemoryContext caller = CurrentMemoryContext;
	KpiWindow	window;
	KpiValue	value;
	KpiSpi		spi;

	kpi_value_call_read(fcinfo, &call);
	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	kpi_value_call_find(&call);
	kpi_value_call_find_dimension(&call);
	kpi_spi_end(&spi);

	/*
	 * No facts can be there; and days far away are none that periods are
	 * computed of.
	 */
	if (!call.is_met || !kpi_value_call_may_have_facts(&call))
		PG_RETURN_NULL();
	window = kpi_value_call_window(&call);
	if (kpi_value_in(call.program, &window, &value))
	{
		if (value.value == NULL)
			PG_RETURN_NULL();
		PG_RETURN_NUMERIC(kpi_value_shown(call.program, value.value));
	}
	if (call.program->nodes[call.program->nnodes - 1].additive && kpi_value_call_has_begun(&call))
		PG_RETURN_NUMERIC(int64_to_numeric(0));
	PG_RETURN_NULL();
}
