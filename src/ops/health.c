/*-------------------------------------------------------------------------
 *
 * health.c
 *	  kpi.health(): one row per problem, and its remedy.
 *
 * It may be asked every minute, also on a standby: it reads, waits for
 * nothing, and what it reads is small.  What may be wrong is in views,
 * kpi_internal.health_*, each with rows (severity, problem, object, detail,
 * remedy); here is what no view can see.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(kpi_sql_health);
PG_FUNCTION_INFO_V1(kpi_sql_version);

#define NCOLUMNS 5

/* A view can name the table only where pg_cron is there. */
#define LOST_SCHEDULES \
	"SELECT 'warning' AS severity, 'schedule' AS problem," \
	" pg_catalog.format('job %s of pg_cron', j.jobid) AS object," \
	" pg_catalog.format('Its source \"%s\" does not exist any more', j.source) AS detail," \
	" pg_catalog.format('Run SELECT kpi.unschedule(%L).', j.source) AS remedy" \
	" FROM (SELECT c.jobid, pg_catalog.substr(c.jobname, pg_catalog.length(n.prefix) + 1) AS source" \
	"         FROM cron.job c," \
	"              pg_catalog.format('pg_kpi: %s: ', pg_catalog.current_database()) AS n (prefix)" \
	"        WHERE c.database = pg_catalog.current_database() AND pg_catalog.starts_with(c.jobname, n.prefix)) j" \
	" WHERE NOT EXISTS (SELECT FROM kpi.source s WHERE s.name = j.source)" \
	" UNION ALL" \
	" SELECT 'warning', 'schedule', pg_catalog.format('job %s of pg_cron', c.jobid)," \
	" pg_catalog.format('Its database \"%s\" does not exist any more', c.database)," \
	" pg_catalog.format('Run SELECT cron.unschedule(%s); where the database was renamed, run kpi.schedule() in it.', c.jobid)" \
	" FROM cron.job c WHERE pg_catalog.starts_with(c.jobname, 'pg_kpi: ')" \
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname::text = c.database)" \
	" ORDER BY 3"

static void
put(ReturnSetInfo *rsinfo, char *texts[NCOLUMNS])
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];

	for (int i = 0; i < NCOLUMNS; i++)
	{
		nulls[i] = texts[i] == NULL;
		values[i] = texts[i] ? CStringGetTextDatum(texts[i]) : (Datum) 0;
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Adds the rows of a query.  $1: who asks. */
static void
check(ReturnSetInfo *rsinfo, const char *sql, Name viewer)
{
	KpiRows		rows;

	kpi_rows_begin_read(&rows, sql, 1, KPI_VALUE(NAMEOID, NameGetDatum(viewer)));
	while (kpi_rows_next(&rows))
	{
		char	   *texts[NCOLUMNS] = {
			kpi_rows_text(&rows, "severity"), kpi_rows_text(&rows, "problem"), kpi_rows_text(&rows, "object"),
			kpi_rows_text(&rows, "detail"), kpi_rows_text(&rows, "remedy")
		};

		put(rsinfo, texts);
	}
	kpi_rows_end(&rows);
}

/* Adds a row if workers of this database crashed and took all sessions with them. */
static void
check_crashes(ReturnSetInfo *rsinfo)
{
	KpiCrash	crash;
	char	   *texts[NCOLUMNS];
	char	   *source;
	char	   *last;
	TimestampTz retry_at;

	if (!kpi_worker_crash_find(MyDatabaseId, &crash))
		return;
	source = kpi_first_text("SELECT s.name FROM kpi.source s WHERE s.id = $1", 1, KPI_INT4(crash.source_id));
	last = pstrdup(timestamptz_to_str(crash.last));
	retry_at = Max(kpi_worker_crash_retry_at(MyDatabaseId, GetCurrentTimestamp()), crash.last);
	texts[0] = "error";
	texts[1] = "worker_crash";
	texts[2] = source ? psprintf("source \"%s\"", source) : "worker of pg_kpi";
	texts[3] = psprintf("Crashes of this database's worker in a row: %d, the last at %s;"
						" it is not started again before %s",
						crash.crashes, last, timestamptz_to_str(retry_at));
	texts[4] = source ? psprintf("Run SELECT kpi.pause(%s), or drop the source;"
								 " the log of the server says why.",
								 quote_literal_cstr(source)) :
		"The log of the server says why.";
	put(rsinfo, texts);
}

/* Adds a row if the library is of another version than its objects; false if it is not. */
static bool
check_version(ReturnSetInfo *rsinfo)
{
	char	   *texts[NCOLUMNS] = {"error", "version", "extension \"pg_kpi\""};

	if (kpi_extension_difference() == 0)
		return false;
	texts[3] = psprintf("%s Nothing is refreshed or defined until they are the same", kpi_extension_difference_text());
	texts[4] = pstrdup(kpi_extension_difference_remedy());
	put(rsinfo, texts);
	return true;
}

/* kpi.version() */
Datum
kpi_sql_version(PG_FUNCTION_ARGS)
{
	Datum		values[3];
	bool		nulls[3] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(KPI_VERSION);
	values[1] = CStringGetTextDatum(kpi_extension_version());
	values[2] = BoolGetDatum(kpi_extension_difference_noted() == 0);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* kpi.health(); of objects of another version only that is told. */
Datum
kpi_sql_health(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	NameData	viewer;
	KpiSpi		spi;

	namestrcpy(&viewer, GetUserNameFromId(GetUserId(), false));
	InitMaterializedSRF(fcinfo, 0);
	if (check_version(rsinfo))
		return (Datum) 0;
	kpi_spi_begin(&spi);
	check(rsinfo, "SELECT * FROM kpi_internal.health_source WHERE viewer = $1", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_sealed", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_rollup WHERE viewer = $1", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_people WHERE viewer = $1", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_worker", &viewer);
	if (!RecoveryInProgress())
		check_crashes(rsinfo);
	check(rsinfo, "SELECT * FROM kpi_internal.health_process", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_capture", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_publication", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_transaction", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_autovacuum", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_goal", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_unassigned WHERE viewer = $1", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_exchange", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_distinct", &viewer);
	check(rsinfo, "SELECT * FROM kpi_internal.health_left_out", &viewer);
	if (OidIsValid(get_extension_oid("pg_cron", true)))
		check(rsinfo, LOST_SCHEDULES, &viewer);
	kpi_spi_end(&spi);
	return (Datum) 0;
}
