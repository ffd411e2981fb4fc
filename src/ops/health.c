/*-------------------------------------------------------------------------
 *
 * health.c
 *	  kpi.health(): one row per problem, and its remedy.
 *
 * It may be asked every minute, also on a standby: it reads, waits for
 * nothing, and what it reads is small.  A check is a query for rows
 * (severity, problem, object, detail, remedy); one that some circumstance
 * makes pointless is left out here.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xlog.h"
#include "base/base.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(kpi_sql_health);

#define NCOLUMNS 5

/*
 * What is wrong with sources.  $1: workers run, so an old as_of alone
 * means nothing, as an idle source is not refreshed.  $3: who asks, as the
 * view would show texts of errors to us.
 */
#define SOURCE_PROBLEMS \
	"SELECT p.severity, p.problem, pg_catalog.format('source \"%s\"', s.source), p.detail, p.remedy" \
	" FROM (SELECT z.*, greatest(2 * z.refresh_seconds, 60) AS patience," \
	"              pg_catalog.format('Changes that wait: %s; the numbers are of %s', z.pending_deltas," \
	"                                coalesce(z.as_of::text, 'never')) AS backlog," \
	"              kpi_internal.error_shown($3, d.definer, t.definer_oid, t.reason) AS reason," \
	"              kpi_internal.error_shown($3, d.definer, t.definer_oid, t.last_error) AS last_error," \
	"              kpi_internal.error_shown($3, d.definer, t.definer_oid, t.last_fact_error) AS last_fact_error" \
	"         FROM (SELECT y.source_id, y.source, y.status, y.hint, y.failing_since, y.last_sqlstate, y.failures, y.capture_problem," \
	"                      y.refresh_mode, y.refresh_seconds, y.pending_deltas, y.oldest_pending_seconds, y.as_of," \
	"                      y.facts_ignored" \
	"                 FROM kpi.source_status y) z" \
	"         JOIN kpi.source d ON d.id = z.source_id" \
	"         LEFT JOIN kpi_internal.source_state t ON t.source_id = z.source_id) s" \
	" CROSS JOIN LATERAL (VALUES" \
	" (s.reason IS NOT NULL, 'error', 'suspended', s.reason, s.hint)," \
	" (s.failing_since IS NOT NULL AND s.status <> 'suspended', 'error', 'failing'," \
	"  pg_catalog.format('%s (SQLSTATE %s), %s times since %s'," \
	"                    pg_catalog.replace(s.last_error, pg_catalog.format(' (SQLSTATE %s)', s.last_sqlstate), '')," \
	"                    s.last_sqlstate, s.failures, s.failing_since)," \
	"  pg_catalog.format('Mend the cause, then run CALL kpi.refresh(%L).', s.source))," \
	" (s.capture_problem IS NOT NULL AND s.reason IS NULL AND s.status <> 'building', 'error', 'capture'," \
	"  s.capture_problem, s.hint)," \
	" (s.status IN ('active', 'building') AND s.refresh_mode <> 'manual' AND s.pending_deltas > 0" \
	"  AND (s.oldest_pending_seconds > s.patience" \
	"       OR NOT $1 AND s.as_of < pg_catalog.statement_timestamp() - s.patience * interval '1 second'), 'error', 'behind', s.backlog," \
	"  pg_catalog.format('Run CALL kpi.refresh(%L); kpi.refresh_log says what refreshes did.', s.source))," \
	" (s.status IN ('active', 'building') AND s.pending_deltas >= 100000, 'warning', 'backlog', s.backlog," \
	"  pg_catalog.format('Run CALL kpi.refresh(%L), and refresh it more often.', s.source))," \
	" (s.status = 'paused' AND s.pending_deltas > 0, 'notice', 'paused', s.backlog," \
	"  pg_catalog.format('Run SELECT kpi.resume(%L) when it may go on.', s.source))," \
	" (s.facts_ignored > 0, 'warning', 'facts_ignored'," \
	"  pg_catalog.format('Facts left out because an expression failed on them: %s%s', s.facts_ignored, '; last error: ' || s.last_fact_error)," \
	"  'Correct the facts, or the expression with kpi.alter_source() or kpi.alter_kpi().')" \
	" ) AS p (is_there, severity, problem, detail, remedy)" \
	" WHERE p.is_there ORDER BY s.source"

#define NOT_PRELOADED \
	"SELECT 'warning', 'not_preloaded', 'library \"pg_kpi\"'," \
	" pg_catalog.format('No background worker runs; sources that are refreshed by CALL kpi.refresh() only: %s'," \
	" pg_catalog.count(*))," \
	" 'Add pg_kpi to shared_preload_libraries and restart the server, or say with kpi.set_refresh() or" \
	" kpi.schedule() that the sources are manual.'" \
	" FROM kpi.source s WHERE s.refresh_mode <> 'manual' AND NOT s.is_paused" \
	" HAVING pg_catalog.count(*) > 0"

#define NO_WORKER \
	"SELECT CASE w.state WHEN 'disabled' THEN 'warning' ELSE 'error' END, 'no_worker', 'launcher of pg_kpi'," \
	" pg_catalog.format('Its state is \"%s\", so that sources are refreshed by CALL kpi.refresh() only', w.state)," \
	" CASE w.state WHEN 'disabled' THEN 'Set kpi.enabled = on and reload the server.'" \
	" WHEN 'no free process' THEN 'Raise max_worker_processes and restart the server.'" \
	" ELSE 'The log of the server says why; max_worker_processes may be too low.' END" \
	" FROM kpi.worker_status w" \
	" WHERE w.kind = 'launcher' AND w.state <> 'running'" \
	" AND NOT (w.state = 'no free process' AND w.state_since > pg_catalog.statement_timestamp() - interval '5 seconds')" \
	" AND EXISTS (SELECT FROM kpi.source s WHERE s.refresh_mode <> 'manual' AND NOT s.is_paused)"

#define TOO_FEW_PROCESSES \
	"SELECT 'warning', 'max_worker_processes', 'setting max_worker_processes'," \
	" pg_catalog.format('It is %s, but the launcher and kpi.max_workers = %s workers need %s'," \
	"                   pg_catalog.current_setting('max_worker_processes')," \
	"                   pg_catalog.current_setting('kpi.max_workers')," \
	"                   pg_catalog.current_setting('kpi.max_workers')::integer + 1)," \
	" 'Raise max_worker_processes and restart the server, or lower kpi.max_workers.'" \
	" WHERE pg_catalog.current_setting('kpi.max_workers')::integer >=" \
	"       pg_catalog.current_setting('max_worker_processes')::integer"

#define PUBLICATIONS \
	"SELECT 'warning', 'publication', pg_catalog.format('publication \"%s\"', p.pubname)," \
	" 'It carries the queue and the cells of pg_kpi, so that each change of a fact is sent several times'," \
	" 'Publish the tables or schemas that subscribers need, without schema kpi_internal.'" \
	" FROM pg_catalog.pg_publication p" \
	" WHERE p.puballtables" \
	" OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace n" \
	" WHERE n.pnpubid = p.oid AND n.pnnspid = 'kpi_internal'::regnamespace::oid)" \
	" OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON c.oid = r.prrelid" \
	" WHERE r.prpubid = p.oid AND c.relnamespace = 'kpi_internal'::regnamespace::oid)" \
	" ORDER BY p.pubname"

#define OLD_SNAPSHOTS \
	"SELECT 'warning', 'old_snapshot', o.object," \
	" pg_catalog.format('Open since %s: rows deleted from the queue since then cannot be reclaimed, and refreshes slow down', o.since)," \
	" o.remedy" \
	" FROM (SELECT pg_catalog.format('process %s of role \"%s\"', a.pid, a.usename) AS object, a.xact_start AS since," \
	"              pg_catalog.format('End that transaction, or run SELECT pg_terminate_backend(%s).', a.pid) AS remedy" \
	"         FROM pg_catalog.pg_stat_activity a" \
	"        WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()" \
	"          AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)" \
	"       UNION ALL" \
	"       SELECT pg_catalog.format('prepared transaction \"%s\"', x.gid), x.prepared," \
	"              pg_catalog.format('Run COMMIT PREPARED %L or ROLLBACK PREPARED %L.', x.gid, x.gid)" \
	"         FROM pg_catalog.pg_prepared_xacts x WHERE x.database = pg_catalog.current_database()) o" \
	" WHERE o.since < $2 - interval '30 minutes'" \
	" AND EXISTS (SELECT FROM kpi.source)" \
	" ORDER BY o.since"

#define NO_AUTOVACUUM \
	"SELECT 'warning', 'autovacuum', 'setting autovacuum'," \
	" 'It is off: the queue grows, and refreshes slow down', 'Set autovacuum = on and reload the server.'" \
	" WHERE NOT pg_catalog.current_setting('autovacuum')::boolean AND EXISTS (SELECT FROM kpi.source)"

#define LOST_SCHEDULES \
	"SELECT 'warning', 'schedule', pg_catalog.format('job %s of pg_cron', j.jobid)," \
	" pg_catalog.format('Its source \"%s\" does not exist any more', j.source)," \
	" pg_catalog.format('Run SELECT kpi.unschedule(%L).', j.source)" \
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

/* Adds the rows of a query.  $1: workers run, $2: the present moment, $3: who asks. */
static void
check(ReturnSetInfo *rsinfo, const char *sql, Name viewer)
{
	uint64		rows = kpi_spi_read(sql, 3, KPI_BOOL(RecoveryInProgress() ? kpi_preloaded : kpi_worker_workers_run()),
									KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(kpi_now())),
									KPI_VALUE(NAMEOID, NameGetDatum(viewer)));

	for (uint64 r = 0; r < rows; r++)
	{
		Datum		values[NCOLUMNS];
		bool		nulls[NCOLUMNS];

		for (int c = 0; c < NCOLUMNS; c++)
		{
			char	   *text = kpi_spi_text(r, c + 1);

			nulls[c] = text == NULL;
			values[c] = text ? CStringGetTextDatum(text) : (Datum) 0;
		}
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* Adds a row if workers of this database crashed and took all sessions with them. */
static void
check_crashes(ReturnSetInfo *rsinfo)
{
	KpiCrash	crash;
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS] = {false};
	char	   *source = NULL;
	char	   *last;
	TimestampTz retry_at;

	if (!kpi_worker_crash_find(MyDatabaseId, &crash))
		return;
	if (kpi_spi_read("SELECT s.name FROM kpi.source s WHERE s.id = $1", 1, KPI_INT4(crash.source_id)) > 0)
		source = kpi_spi_text(0, 1);
	last = pstrdup(timestamptz_to_str(crash.last));
	retry_at = Max(kpi_worker_crash_retry_at(MyDatabaseId, GetCurrentTimestamp()), crash.last);
	values[0] = CStringGetTextDatum("error");
	values[1] = CStringGetTextDatum("worker_crash");
	values[2] = CStringGetTextDatum(source ? psprintf("source \"%s\"", source) : "worker of pg_kpi");
	values[3] = CStringGetTextDatum(psprintf("Crashes of this database's worker in a row: %d, the last at %s;"
											 " it is not started again before %s",
											 crash.crashes, last, timestamptz_to_str(retry_at)));
	values[4] = CStringGetTextDatum(source ? psprintf("Run SELECT kpi.pause(%s), or drop the source;"
													  " the log of the server says why.",
													  quote_literal_cstr(source)) :
									"The log of the server says why.");
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static bool
has_worker_status(void)
{
	return OidIsValid(get_relname_relid("worker_status", get_namespace_oid("kpi", false)));
}

/* kpi.health() */
Datum
kpi_sql_health(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	NameData	viewer;
	KpiSpi		spi;

	namestrcpy(&viewer, GetUserNameFromId(GetUserId(), false));
	InitMaterializedSRF(fcinfo, 0);
	kpi_spi_begin(&spi);
	check(rsinfo, SOURCE_PROBLEMS, &viewer);
	if (!RecoveryInProgress())
	{
		if (!kpi_preloaded)
			check(rsinfo, NOT_PRELOADED, &viewer);
		else if (has_worker_status())
			check(rsinfo, NO_WORKER, &viewer);
		check_crashes(rsinfo);
	}
	if (kpi_preloaded && GetConfigOption("kpi.max_workers", true, false) != NULL)
		check(rsinfo, TOO_FEW_PROCESSES, &viewer);
	check(rsinfo, PUBLICATIONS, &viewer);
	check(rsinfo, OLD_SNAPSHOTS, &viewer);
	check(rsinfo, NO_AUTOVACUUM, &viewer);
	if (OidIsValid(get_extension_oid("pg_cron", true)))
		check(rsinfo, LOST_SCHEDULES, &viewer);
	kpi_spi_end(&spi);
	return (Datum) 0;
}
