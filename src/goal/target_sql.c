/*-------------------------------------------------------------------------
 *
 * target_sql.c
 *	  kpi.parse_target(): what a target means for a KPI.
 *
 * Reads the KPI's definition, and nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(kpi_sql_parse_target);
PG_FUNCTION_INFO_V1(kpi_sql_resolve_target);

/*
 * A rate is a fraction, and what says so by its unit.  So is, as far as anybody knows,
 * any other quotient without a unit.
 */
bool
kpi_goal_target_ground(const char *kpi, KpiTargetGround *ground)
{
	KpiRows		rows;
	bool		found;

	kpi_rows_begin(&rows, "SELECT k.id, k.name, k.direction,"
				   " CASE WHEN pg_catalog.lower(k.unit) IN ('%', 'percent') THEN 'percent'"
				   "  WHEN m.kind = 'rate' OR pg_catalog.lower(k.unit) IN ('fraction', 'ratio') THEN 'fraction'"
				   "  WHEN k.unit IS NULL AND NOT k.is_additive AND coalesce(m.kind, 'ratio') = 'ratio' THEN 'fraction'"
				   " END AS scale,"
				   " CASE pg_catalog.rtrim(pg_catalog.lower(k.unit), 's') WHEN 'second' THEN 1 WHEN 'minute' THEN 60"
				   "  WHEN 'hour' THEN 3600 WHEN 'day' THEN 86400 WHEN 'week' THEN 604800 END AS seconds"
				   " FROM kpi.kpi k LEFT JOIN kpi_internal.measure m ON m.kpi_id = k.id AND m.role = 'value' WHERE k.name = $1",
				   1, KPI_TEXT(kpi));
	found = kpi_rows_next(&rows);
	if (found)
	{
		char	   *scale = kpi_rows_text(&rows, "scale");

		ground->kpi_id = kpi_rows_int4(&rows, "id");
		ground->kpi = pstrdup(kpi);
		ground->down = strcmp(kpi_rows_text(&rows, "direction"), "down") == 0;
		ground->seconds = kpi_rows_int4(&rows, "seconds");
		ground->scale = scale == NULL ? KPI_SCALE_NONE :
			strcmp(scale, "percent") == 0 ? KPI_SCALE_PERCENT : KPI_SCALE_FRACTION;
	}
	kpi_rows_end(&rows);
	return found;
}

static KpiTargetGround
ground_of(char *kpi)
{
	KpiTargetGround ground;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	if (!kpi_goal_target_ground(kpi, &ground))
	{
		char	   *near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.kpi", 0), kpi);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" does not exist", kpi),
				 near ? errhint("Perhaps you mean %s.", near) :
				 errhint("The KPIs are in kpi.kpi; kpi.create_kpi() makes one.")));
	}
	kpi_spi_end(&spi);
	ground.kpi = kpi;
	return ground;
}

static void
set_number(Numeric number, Datum *value, bool *isnull)
{
	*isnull = number == NULL;
	*value = NumericGetDatum(number);
}

/* kpi.parse_target(target, kpi, period) */
Datum
kpi_sql_parse_target(PG_FUNCTION_ARGS)
{
	static const char *const baselines[] = {NULL, "year_ago", "previous", "average"};
	char	   *written = kpi_arg_text(fcinfo, 0);
	char	   *period = kpi_arg_text(fcinfo, 2);
	KpiTargetGround ground = ground_of(kpi_arg_name(fcinfo, 1, "KPI"));
	KpiTargetText target;
	TupleDesc	tupdesc;
	Datum		values[7];
	bool		nulls[7] = {false};

	if (written == NULL)
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	kpi_goal_target_parse(written, &ground, &target);
	if (period != NULL)
	{
		KpiGrain	grain;
		DateADT		start;

		kpi_calendar_period_parse(period, kpi_calendar_get(KPI_DEFAULT_CALENDAR), &grain, &start);
		kpi_goal_target_check_period(written, &target, period, false, grain);
	}
	values[0] = CStringGetTextDatum(kpi_goal_target_kind_name(target.kind));
	set_number(target.target, &values[1], &nulls[1]);
	set_number(target.high, &values[2], &nulls[2]);
	set_number(target.change, &values[3], &nulls[3]);
	nulls[4] = nulls[5] = target.baseline == KPI_BASELINE_NONE;
	if (!nulls[4])
	{
		values[4] = CStringGetTextDatum(target.points ? "points" : "fraction");
		values[5] = CStringGetTextDatum(baselines[target.baseline]);
	}
	nulls[6] = target.baseline != KPI_BASELINE_AVERAGE;
	values[6] = Int32GetDatum(target.periods);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* kpi_internal.resolve_target(target, kpi, baseline) */
Datum
kpi_sql_resolve_target(PG_FUNCTION_ARGS)
{
	char	   *written = text_to_cstring(PG_GETARG_TEXT_PP(0));
	KpiTargetGround ground = ground_of(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	KpiTargetText target;

	kpi_goal_target_parse(written, &ground, &target);
	if (target.baseline == KPI_BASELINE_NONE)
		PG_RETURN_NUMERIC(target.target);
	PG_RETURN_NUMERIC(kpi_goal_target_resolve(&target, PG_GETARG_NUMERIC(2)));
}
