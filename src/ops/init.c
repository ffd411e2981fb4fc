/*-------------------------------------------------------------------------
 *
 * init.c
 *	  Library entry point: settings and callbacks.
 *
 * This runs once in every backend that loads the library.  Nothing here may
 * touch the catalogs: the library can be loaded before a database is chosen.
 * Loaded with shared_preload_libraries, by the postmaster, it also brings the
 * background workers; else everything works but needs kpi.refresh().
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "worker/worker.h"

KPI_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	kpi_guc_init();
	kpi_snapshot_init();
	kpi_worker_utility_init();
	kpi_capture_init();
	if (process_shared_preload_libraries_in_progress)
	{
		kpi_shmem_init(kpi_worker_crash_shmem_init);
		kpi_worker_launcher_register();
	}
}
