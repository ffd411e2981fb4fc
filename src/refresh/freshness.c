/*-------------------------------------------------------------------------
 *
 * freshness.c
 *	  How far the numbers of a KPI are: complete, as of when, refreshed when.
 *
 * Columns of the views, on every row; they follow from the KPI's program and the
 * state of its sources, which are looked at once for each program as long as the
 * active snapshot shows the same.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/array.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kpi_sql_is_complete);
PG_FUNCTION_INFO_V1(kpi_sql_complete_since);
PG_FUNCTION_INFO_V1(kpi_sql_as_of);
PG_FUNCTION_INFO_V1(kpi_sql_refreshed_at);

/* So many programs are kept, each in the place that its number gives it. */
#define KEPT_PROGRAMS 256

typedef struct Freshness
{
	uint64		program;		/* its number; 0: none */
	bool		is_captured;	/* changes of facts, of all its sources */
	DateADT		complete_since; /* of the measure that is least far */
	TimestampTz as_of;			/* DT_NOBEGIN: never */
	TimestampTz refreshed_at;
} Freshness;

static KpiSnapshotNote kept_snapshot;
static Freshness kept[KEPT_PROGRAMS];

static Datum
measure_ids(const KpiProgram *program)
{
	Datum	   *ids = palloc(program->nnodes * sizeof(Datum));
	int			n = 0;

	for (int i = 0; i < program->nnodes; i++)
	{
		if (program->nodes[i].formula == NULL)
			ids[n++] = Int32GetDatum(program->nodes[i].measure_id);
	}
	return PointerGetDatum(construct_array(ids, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

static void
look(const KpiProgram *program, Freshness *freshness)
{
	Datum		ids = measure_ids(program);
	KpiRows		rows;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_rows_begin_read(&rows, "SELECT coalesce(pg_catalog.bool_and(m.is_captured)"
						"  AND pg_catalog.count(*) = pg_catalog.cardinality($1), false) AS is_captured,"
						" pg_catalog.max(m.complete_since) AS complete_since,"
						" pg_catalog.min(m.as_of) AS as_of, pg_catalog.min(m.refreshed_at) AS refreshed_at"
						" FROM kpi_internal.measure_state m WHERE m.measure_id = ANY ($1)",
						1, KPI_VALUE(INT4ARRAYOID, ids));
	if (kpi_rows_next(&rows))
	{
		freshness->is_captured = kpi_rows_bool(&rows, "is_captured");
		freshness->complete_since = kpi_rows_date(&rows, "complete_since", DATEVAL_NOEND);
		freshness->as_of = kpi_rows_time(&rows, "as_of", DT_NOBEGIN);
		freshness->refreshed_at = kpi_rows_time(&rows, "refreshed_at", DT_NOBEGIN);
	}
	kpi_rows_end(&rows);
	kpi_spi_end(&spi);
}

static Freshness
freshness_of(FunctionCallInfo fcinfo)
{
	const KpiProgram *program = kpi_model_program(PG_GETARG_TEXT_PP(0));
	uint64		number = program->number;
	Freshness  *entry = &kept[number % KEPT_PROGRAMS];
	Freshness	found = {.program = number};

	if (kpi_snapshot_changed(&kept_snapshot))
		memset(kept, 0, sizeof(kept));
	if (entry->program != number)
	{
		look(program, &found);
		*entry = found;
	}
	return *entry;
}

Datum
kpi_sql_is_complete(PG_FUNCTION_ARGS)
{
	Freshness	freshness = freshness_of(fcinfo);

	PG_RETURN_BOOL(freshness.is_captured && freshness.complete_since <= PG_GETARG_DATEADT(1));
}

Datum
kpi_sql_complete_since(PG_FUNCTION_ARGS)
{
	Freshness	freshness = freshness_of(fcinfo);

	if (DATE_NOT_FINITE(freshness.complete_since))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(freshness.complete_since);
}

static Datum
time_or_null(FunctionCallInfo fcinfo, TimestampTz time)
{
	if (time == DT_NOBEGIN)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(time);
}

Datum
kpi_sql_as_of(PG_FUNCTION_ARGS)
{
	return time_or_null(fcinfo, freshness_of(fcinfo).as_of);
}

Datum
kpi_sql_refreshed_at(PG_FUNCTION_ARGS)
{
	return time_or_null(fcinfo, freshness_of(fcinfo).refreshed_at);
}
