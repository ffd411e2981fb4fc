/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Settings of pg_kpi (prefix "kpi.").
 *
 * Defined when the library is loaded (init.c).  kpi.now is the injectable
 * clock: everything that depends on today's date asks kpi_now().
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include <limits.h>

#include "access/xact.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

bool		kpi_preloaded = false;
int			kpi_buffer_size = 4096;
int			kpi_log_min_duration = -1;
int			kpi_log_retention = 30;
bool		kpi_notify_refresh = false;

static char *kpi_now_string = NULL;

/* The value is parsed at use, as its meaning depends on TimeZone. */
TimestampTz
kpi_now(void)
{
	if (kpi_now_string == NULL || kpi_now_string[0] == '\0')
		return GetCurrentStatementStartTimestamp();

	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												   CStringGetDatum(kpi_now_string),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
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
							   NULL, NULL, NULL);
	DefineCustomIntVariable("kpi.buffer_size",
							"Memory for a transaction's changes before they are spilled to the queue.",
							NULL,
							&kpi_buffer_size,
							4096, 64, MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);

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
	DefineCustomBoolVariable("kpi.notify_refresh",
							 "Sends a notification on channel kpi_refresh after each refresh that had something to do.",
							 NULL,
							 &kpi_notify_refresh,
							 false,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	MarkGUCPrefixReserved("kpi");
}
