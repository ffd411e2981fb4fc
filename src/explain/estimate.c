/*-------------------------------------------------------------------------
 *
 * estimate.c
 *	  kpi.estimate_source(): what a source would cost, before it is created.
 *
 * The source and a KPI of each measure are created in a subtransaction that is rolled back, by
 * kpi.create_source() and kpi.create_kpi() as the caller: what these refuse is refused here, by the same
 * errors, and nothing has to be checked a second time.  Only what the definitions are compiled to is taken from
 * there.  The rows are read afterwards (estimate_sample.c), when their table is not locked any more.
 *
 * What cells and their indexes take of the disk, and a change of the WAL, is arithmetic over what the sample
 * counts: the formats of rows are known, the rest (how full pages are, what an update logs) is measured, as
 * doc/operations.md says, and stands here as constants.
 *
 * Locks, until the subtransaction ends: those of kpi.create_source().  Then ACCESS SHARE on the table until
 * the end of the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "explain/explain_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "storage/itemid.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(kpi_sql_estimate_source);

#define NCOLUMNS 8

/* Arguments of kpi.create_source(), which are also the first of kpi.estimate_source(). */
static const char *const given[] = {
	"name", "relation", "key", "owner", "team", "at", "filter", "dimensions", "grain", "calendar", "definer"
};

#define DIMENSIONS_ARGUMENT 7
#define MEASURES_ARGUMENT lengthof(given)

typedef struct Estimate
{
	FunctionCallInfo fcinfo;
	char	   *name;
	List	   *measures;		/* char * */
	MemoryContext cxt;
	KpiSource  *source;			/* as it would be */
}			Estimate;

/* ---- the definition ---- */

static void
run_select(const char *sql, int nargs, Oid *types, Datum *values, char *nulls)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, nargs, types, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI failed with %s", SPI_result_code_string(SPI_result));
	SPI_finish();
}

static void
create_source(FunctionCallInfo fcinfo)
{
	Oid			types[lengthof(given)];
	Datum		values[lengthof(given)];
	char		nulls[lengthof(given)];
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < lengthof(given); i++)
	{
		types[i] = i == DIMENSIONS_ARGUMENT ? JSONBOID : TEXTOID;
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
		appendStringInfo(&sql, "%s%s => $%d", i == 0 ? "SELECT kpi.create_source(" : ", ", given[i], i + 1);
	}
	appendStringInfoChar(&sql, ')');
	run_select(sql.data, lengthof(given), types, values, nulls);
}

/* The name is for errors, where it says which of the measures is meant. */
static void
create_kpi(const Estimate * estimate, int n, const char *measure)
{
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID};
	Datum		values[] = {
		CStringGetTextDatum(psprintf("measure %d of kpi.estimate_source()", n)),
		CStringGetTextDatum(estimate->name), CStringGetTextDatum(measure)
	};

	run_select("SELECT kpi.create_kpi($1, source => $2, measure => $3)", lengthof(types), types, values, NULL);
}

static void
check_has_rows(const Estimate * estimate)
{
	if (kpi_model_keyed_load(estimate->source->id, false) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("source \"%s\" would look values up, of which there is no estimate", estimate->name),
				 errdetail("Its rows would be kept in a table of their own, which is not there yet."),
				 errhint("Give columns of the table in place of lookup(): what they would look up has little to do with the size.")));
}

/* The work that is undone. */
static void
create(void *arg)
{
	Estimate   *estimate = arg;
	MemoryContext old;
	int			n = 0;
	ListCell   *lc;

	create_source(estimate->fcinfo);
	foreach(lc, estimate->measures)
		create_kpi(estimate, ++n, lfirst(lc));

	/* What the subtransaction has written is not in the active snapshot. */
	old = MemoryContextSwitchTo(estimate->cxt);
	estimate->source = kpi_model_source_load(kpi_model_source_id(estimate->name), false);
	if (estimate->source == NULL)
		elog(ERROR, "source \"%s\" was not created", estimate->name);
	check_has_rows(estimate);
	MemoryContextSwitchTo(old);
}

/* ---- what it would cost ---- */

/* Bytes before the cell, of a row of kpi_internal.day_cell and of rollup_cell. */
#define DAY_ROW (MAXALIGN(SizeofHeapTupleHeader) + 16)
#define ROLLUP_ROW (MAXALIGN(SizeofHeapTupleHeader) + 24)

/* How full pages are: of tables by their fillfactor, of indexes as they grow. */
#define TABLE_FILL 0.7
#define INDEX_FILL 0.75

/* An entry of the primary keys; and of the other index, whose equal keys share one. */
#define DAY_KEY_ENTRY (MAXALIGN(sizeof(IndexTupleData) + 16) + sizeof(ItemIdData))
#define ROLLUP_KEY_ENTRY (MAXALIGN(sizeof(IndexTupleData) + 24) + sizeof(ItemIdData))
#define SHARED_ENTRY 10

/*
 * Bytes of WAL for what a writer puts into the queue, and for a row that a refresh changes: of its cell a part, and of a large
 * one what changes.
 */
#define WAL_OF_DELTA 60
#define WAL_OF_ROW 95
#define WAL_OF_CELL 0.3
#define MOST_OF_CELL 128

/* Seconds for a row of cells that is put together and written. */
#define SECONDS_OF_CELL 5e-6

static double
bytes_of(const KpiEstimateLevel * level)
{
	double		row = (level->is_day_cell ? DAY_ROW : ROLLUP_ROW) + (level->is_place ? 0 : level->cell_size);
	double		entries = (level->is_day_cell ? DAY_KEY_ENTRY : ROLLUP_KEY_ENTRY) + SHARED_ENTRY;

	return level->cells * ((MAXALIGN((Size) row) + sizeof(ItemIdData)) / TABLE_FILL + entries / INDEX_FILL);
}

/* Of a fact that changes, among a thousand anywhere that are refreshed together. */
static double
wal_of_change(const KpiEstimateSample * sample)
{
	double		bytes = WAL_OF_DELTA * sample->streams_of_fact;
	ListCell   *lc;

	foreach(lc, sample->levels)
	{
		const		KpiEstimateLevel *level = lfirst(lc);

		if (!level->is_place)
			bytes += level->touched * (WAL_OF_ROW + WAL_OF_CELL * Min(level->cell_size, MOST_OF_CELL));
	}
	return bytes;
}

static KpiParam
float8_param(double value)
{
	return KPI_VALUE(FLOAT8OID, Float8GetDatum(value));
}

static void
put_row(ReturnSetInfo *rsinfo, const KpiEstimateSample * sample)
{
	static const char *const columns[NCOLUMNS] = {
		"facts", "facts_read", "day_cells", "rollup_cells", "bytes", "bytes_per_fact", "wal_bytes_per_change", "build_seconds"
	};
	double		day_cells = 0;
	double		rollup_cells = 0;
	double		bytes = 0;
	KpiRows		rows;
	ListCell   *lc;

	foreach(lc, sample->levels)
	{
		const		KpiEstimateLevel *level = lfirst(lc);

		*(level->is_day_cell ? &day_cells : &rollup_cells) += level->cells;
		bytes += bytes_of(level);
	}
	kpi_rows_begin(&rows, "SELECT round($1::numeric)::bigint AS facts, round($2::numeric)::bigint AS facts_read, round($3::numeric)::bigint AS day_cells,"
				   " round($4::numeric)::bigint AS rollup_cells, round($5::numeric)::bigint AS bytes,"
				   " round(($5 / nullif($1, 0))::numeric)::bigint AS bytes_per_fact,"
				   " round($6::numeric)::bigint AS wal_bytes_per_change, round($7::numeric, 1) AS build_seconds", 7,
				   float8_param(sample->facts), float8_param(sample->facts_read), float8_param(day_cells),
				   float8_param(rollup_cells), float8_param(bytes),
				   sample->facts > 0 ? float8_param(wal_of_change(sample)) : KPI_NULL(FLOAT8OID),
				   float8_param(sample->reading_seconds + SECONDS_OF_CELL * (day_cells + rollup_cells)));
	kpi_rows_put(&rows, rsinfo, columns, NCOLUMNS);
}

static List *
read_measures(FunctionCallInfo fcinfo, const char *source)
{
	List	   *measures = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (!PG_ARGISNULL(MEASURES_ARGUMENT))
	{
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(MEASURES_ARGUMENT), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
		for (int i = 0; i < n; i++)
		{
			if (!nulls[i])
				measures = lappend(measures, TextDatumGetCString(values[i]));
		}
	}
	if (measures == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("no measures of source \"%s\" are given", source),
				 errhint("Give those that its KPIs are to have: measures => '{count(*),sum(amount)}'.")));
	return measures;
}

/* kpi.estimate_source(name, relation, key, owner, team, at, filter, dimensions, grain, calendar, definer, measures) */
Datum
kpi_sql_estimate_source(PG_FUNCTION_ARGS)
{
	Estimate	estimate = {
		.fcinfo = fcinfo,
		.name = kpi_arg_name(fcinfo, 0, "name of the source"),
		.cxt = CurrentMemoryContext
	};

	estimate.measures = read_measures(fcinfo, estimate.name);
	InitMaterializedSRF(fcinfo, 0);
	kpi_undone(create, &estimate);
	put_row((ReturnSetInfo *) fcinfo->resultinfo, kpi_explain_estimate_sample(estimate.source));
	return (Datum) 0;
}
