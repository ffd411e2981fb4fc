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
#include "compat.h"

#include "engine.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "worker_shmem.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	kpi_guc_init();
	kpi_utility_init();
	kpi_capture_init();
	if (process_shared_preload_libraries_in_progress)
	{
		kpi_shmem_init(kpi_crash_shmem_init);
		kpi_launcher_register();
	}
}
