/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Settings of pg_kpi (prefix "kpi.").
 *
 * Defined when the library is loaded (ops/init.c).  kpi.now is the injectable
 * clock: everything that depends on today's date asks kpi_now().
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/parallel.h"
#include <limits.h>

#include "access/xact.h"
#include "base/base.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

bool		kpi_preloaded = false;
int			kpi_buffer_size = 4096;
int			kpi_segment_size = 256;
int			kpi_lock_timeout = 10000;
int			kpi_rollup_timeout = 5000;
int			kpi_log_min_duration = -1;
int			kpi_log_retention = 30;
bool		kpi_notify_refresh = false;
bool		kpi_enabled = true;
bool		kpi_capture_enabled = true;
int			kpi_max_workers = 2;
int			kpi_max_databases = 64;
int			kpi_worker_idle_timeout = 5000;
int			kpi_build_delay = 2000;
int			kpi_query_limit = 600000;
int			kpi_people_interval = 60;
int			kpi_close_reminder = 10;
int			kpi_focus_limit = 5;
char	   *kpi_reason = NULL;
int			kpi_build_step = 1000;
int			kpi_naptime = 60;

static char *kpi_now_string = NULL;

static TimestampTz
parse_now(const char *string)
{
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												   CStringGetDatum(string),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
}

/* Parses the value at each use, as its meaning depends on TimeZone. */
TimestampTz
kpi_now(void)
{
	if (kpi_now_string == NULL || kpi_now_string[0] == '\0')
		return GetCurrentStatementStartTimestamp();

	return parse_now(kpi_now_string);
}

/* Checks by parsing, which only computes: catching its error leaves nothing behind. */
static bool
is_moment(const char *string)
{
	MemoryContext context = CurrentMemoryContext;
	volatile TimestampTz moment = DT_NOBEGIN;

	PG_TRY();
	{
		moment = parse_now(string);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return !TIMESTAMP_NOT_FINITE(moment);
}

/*
 * Refuses what is no moment: whoever asks for the time must not meet an error.  A
 * parallel worker takes what its leader has checked: while settings are restored there, those that a
 * moment is read by, as the abbreviations of time zones, are not there yet.
 */
static bool
check_now(char **newval, void **extra, GucSource source)
{
	if (InitializingParallelWorker)
		return true;
	if (*newval == NULL || (*newval)[0] == '\0' || is_moment(*newval))
		return true;
	GUC_check_errdetail("It is not a moment.");
	GUC_check_errhint("Give a date and a time, like '2026-11-16 12:00+00', or '' for the real clock.");
	return false;
}

/* Refuses more than max_worker_processes allows; the launcher takes a place, too. */
static bool
check_max_workers(int *newval, void **extra, GucSource source)
{
	if (source == PGC_S_DEFAULT || *newval < max_worker_processes)
		return true;
	GUC_check_errdetail("Launcher and workers need %d of max_worker_processes, which is %d.",
						*newval + 1, max_worker_processes);
	GUC_check_errhint("Raise max_worker_processes and restart the server, or choose less.");
	return false;
}

static void
worker_guc_init(void)
{
	/* What sizes shared memory exists only where it can be set. */
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("kpi.max_databases",
								"Databases with the extension that are woken by their commits.",
								"Databases beyond that take turns, see kpi.naptime.",
								&kpi_max_databases,
								64, 1, 4096,
								PGC_POSTMASTER,
								0,
								NULL, NULL, NULL);
	DefineCustomBoolVariable("kpi.enabled",
							 "Lets background workers keep the KPIs current.",
							 "Changes of facts are captured all the same; kpi.refresh() works.",
							 &kpi_enabled,
							 true,
							 PGC_SIGHUP,
							 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.max_workers",
							"Background workers of pg_kpi at a time, over all databases.",
							NULL,
							&kpi_max_workers,
							2, 1, 1024,
							PGC_SIGHUP,
							0,
							check_max_workers, NULL, NULL);
	DefineCustomIntVariable("kpi.worker_idle_timeout",
							"Time that a worker waits for more work before it leaves the database.",
							NULL,
							&kpi_worker_idle_timeout,
							5000, 0, INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.build_delay",
							"Time that a worker waits after a definition for the next one before it builds.",
							"Definitions that follow each other are built together; 0 builds after each.",
							&kpi_build_delay,
							2000, 0, 3600 * 1000,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.query_limit",
							"Time that a step of a background worker's build may take.",
							"Then it is cancelled, noted and tried again; 0 sets no limit. CALL kpi.refresh() has none.",
							&kpi_query_limit,
							600000, 0, INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.people_interval",
							"Time between two runs of the queries of people that kpi.sync_people() has remembered.",
							NULL,
							&kpi_people_interval,
							60, 1, 7 * 24 * 3600,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.focus_limit",
							"How many goals a team or member may have at once before kpi.check_goals() warns.",
							NULL,
							&kpi_focus_limit,
							5, 1, 1000,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.naptime",
							"Time between turns of databases beyond kpi.max_databases.",
							NULL,
							&kpi_naptime,
							60, 1, INT_MAX / 1000,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL, NULL, NULL);
}

static void
capture_guc_init(void)
{
	/* Of the whole server: who refreshes must know of all who write. */
	DefineCustomBoolVariable("kpi.capture",
							 "Captures changes of facts.",
							 "While it is off, transactions note that a source has changed and nothing else; when it is on again, such sources are computed anew from their facts.",
							 &kpi_capture_enabled,
							 true,
							 PGC_SIGHUP,
							 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.buffer_size",
							"Memory for a transaction's changes before they are spilled to the queue.",
							NULL,
							&kpi_buffer_size,
							4096, 64, MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.segment_size",
							"Size from which on one of the two tables of a source's queue is left by writers, and emptied as a whole.",
							"A refresh reads as much of rows that were consumed before.",
							&kpi_segment_size,
							256, 8, MAX_KILOBYTES,
							PGC_SUSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
}

static void
timeout_guc_init(void)
{
	DefineCustomIntVariable("kpi.lock_timeout",
							"Time for which refreshes and definitions wait for a lock on a table of facts or a rollup table.",
							"Writers queue up behind whoever waits for a table; 0 waits without end. lock_timeout holds too.",
							&kpi_lock_timeout,
							10000, 0, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.rollup_timeout",
							"Time that a background worker spends on a part of a rollup table at most.",
							"Triggers of the table count; 0 sets no limit.",
							&kpi_rollup_timeout,
							5000, 0, INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.build_step",
							"Time that a step of a build takes, after which it commits and others have their turn.",
							"Small tables are built in one step; 0 makes the steps as small as they can be.",
							&kpi_build_step,
							1000, 0, 3600 * 1000,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
}

static void
report_guc_init(void)
{
	DefineCustomIntVariable("kpi.log_min_duration",
							"Logs refreshes that take at least this long.",
							"0 logs all that had something to do, -1 none.",
							&kpi_log_min_duration,
							-1, -1, INT_MAX,
							PGC_SUSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.log_retention",
							"Days for which kpi.refresh_log keeps what refreshes did.",
							"0 keeps no log.",
							&kpi_log_retention,
							30, 0, 36500,
							PGC_SUSET,
							0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.close_reminder",
							"Days after the end of a period from which on kpi.health() reminds of closing it.",
							"Of KPIs of which an earlier one was closed; 0 never reminds.",
							&kpi_close_reminder,
							10, 0, 36500,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("kpi.notify_refresh",
							 "Sends a notification on channel kpi_refresh after each refresh that had something to do.",
							 NULL,
							 &kpi_notify_refresh,
							 false,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);
}

void
kpi_guc_init(void)
{
	kpi_preloaded = process_shared_preload_libraries_in_progress;

	DefineCustomStringVariable("kpi.now",
							   "Pretends that this is the present moment.",
							   "For tests and demonstrations; empty means the real clock.",
							   &kpi_now_string,
							   "",
							   PGC_SUSET,
							   GUC_NOT_IN_SAMPLE,
							   check_now, NULL, NULL);
	DefineCustomStringVariable("kpi.reason",
							   "Says why definitions are changed: kpi.definition_log keeps it.",
							   "As it is at the end of the transaction.",
							   &kpi_reason,
							   "",
							   PGC_USERSET,
							   0,
							   NULL, NULL, NULL);
	capture_guc_init();
	timeout_guc_init();
	report_guc_init();
	worker_guc_init();

	MarkGUCPrefixReserved("kpi");
}
