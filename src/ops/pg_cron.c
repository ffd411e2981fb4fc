/*-------------------------------------------------------------------------
 *
 * pg_cron.c
 *	  SQL functions that have pg_cron refresh a source: kpi.schedule(),
 *	  kpi.unschedule().
 *
 * pg_cron keeps its jobs in one database of the cluster, and its functions
 * exist there only.  In another database nothing is done but to say which
 * statement to run there.  pg_cron's functions are called as the current user,
 * who becomes the owner of the job; pg_cron decides what that user may do.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "ops/ops_internal.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(kpi_sql_schedule);
PG_FUNCTION_INFO_V1(kpi_sql_unschedule);

#define PG_CRON_MISSING_HINT \
	"Install the package of pg_cron (Debian: postgresql-%d-cron), add pg_cron to shared_preload_libraries, " \
	"restart the server and run CREATE EXTENSION pg_cron in the database that cron.database_name names."

static char *
database_name(void)
{
	return get_database_name(MyDatabaseId);
}

static char *
job_name(const char *source)
{
	return psprintf("pg_kpi: %s: %s", database_name(), source);
}

/* Raises an error unless pg_cron is in this database; "there" is what to run in its own. */
static void
require_pg_cron(const char *source, const char *there)
{
	const char *database = GetConfigOption("cron.database_name", true, false);

	if (OidIsValid(get_extension_oid("pg_cron", true)))
		return;
	if (database == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"pg_cron\" is not installed"),
				 errdetail("The schedule of source \"%s\" is kept and run by pg_cron.", source),
				 errhint(PG_CRON_MISSING_HINT, KPI_SERVER_MAJOR)));
	if (strcmp(database, database_name()) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"pg_cron\" is not installed in database \"%s\"", database),
				 errhint("Run CREATE EXTENSION pg_cron.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("pg_cron keeps its jobs in database \"%s\", not in \"%s\"", database, database_name()),
			 errhint("Run in database \"%s\": %s", database, there)));
}

/* Runs one of pg_cron's functions as the current user, within SPI. */
static void
call_pg_cron(const char *source, const char *sql, int nargs, Oid *types, Datum *values)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		if (SPI_execute_with_args(sql, nargs, types, values, NULL, false, 0) < 0)
			elog(ERROR, "SPI failed: %s", sql);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (kpi_error_class(error) != KPI_ERROR_TRAPPED)
			PG_RE_THROW();
		FlushErrorState();
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("pg_cron refused the schedule of source \"%s\"", source),
				 errdetail("pg_cron says: %s.", error->message),
				 errhint("A schedule has five fields (minute, hour, day of the month, month, day of the week), like '0 6 * * 1-5'. The caller needs the right to use schema cron.")));
	}
	PG_END_TRY();
}

/* Removes the jobs of this name that the current user may see; returns how many. */
static int
remove_jobs(const char *source)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2];

	values[0] = CStringGetTextDatum(job_name(source));
	values[1] = CStringGetTextDatum(database_name());
	call_pg_cron(source, "SELECT cron.unschedule(j.jobid) FROM cron.job j"
				 " WHERE j.jobname OPERATOR(pg_catalog.=) $1 AND j.database OPERATOR(pg_catalog.=) $2",
				 2, types, values);
	return (int) SPI_processed;
}

/* kpi.schedule(source text, cron text) RETURNS bigint */
Datum
kpi_sql_schedule(PG_FUNCTION_ARGS)
{
	KpiPolicy  *policy = kpi_ops_policy_open(kpi_arg_name(fcinfo, 0, "name of the source"));
	char	   *cron = kpi_arg_name(fcinfo, 1, "cron expression");
	char	   *command = psprintf("CALL kpi.refresh(%s)", quote_literal_cstr(policy->name));
	Oid			types[3] = {TEXTOID, TEXTOID, TEXTOID};
	Datum		values[3];
	int64		job;
	bool		isnull;

	require_pg_cron(policy->name,
					psprintf("SELECT cron.schedule_in_database(%s, %s, %s, %s); and here: SELECT kpi.set_refresh(%s, 'manual');",
							 quote_literal_cstr(job_name(policy->name)), quote_literal_cstr(cron),
							 quote_literal_cstr(command), quote_literal_cstr(database_name()),
							 quote_literal_cstr(policy->name)));

	values[0] = CStringGetTextDatum(job_name(policy->name));
	values[1] = CStringGetTextDatum(cron);
	values[2] = CStringGetTextDatum(command);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	(void) remove_jobs(policy->name);
	call_pg_cron(policy->name, "SELECT cron.schedule($1, $2, $3)", 3, types, values);
	job = DatumGetInt64(kpi_spi_datum(0, 1, &isnull));
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");

	kpi_ops_policy_set_manual(policy->source_id);
	PG_RETURN_INT64(job);
}

/* kpi.unschedule(source text): the source may have been dropped. */
Datum
kpi_sql_unschedule(PG_FUNCTION_ARGS)
{
	char	   *source = kpi_arg_name(fcinfo, 0, "name of the source");
	int			removed;

	require_pg_cron(source, psprintf("SELECT cron.unschedule(%s);", quote_literal_cstr(job_name(source))));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	removed = remove_jobs(source);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	if (removed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("source \"%s\" has no schedule", source),
				 errdetail("There is no job \"%s\" that role \"%s\" may see.", job_name(source),
						   GetUserNameFromId(GetUserId(), false)),
				 errhint("Table cron.job lists the jobs of pg_cron.")));
	PG_RETURN_VOID();
}
