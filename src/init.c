/*-------------------------------------------------------------------------
 *
 * init.c
 *	  Library entry point: settings and callbacks.
 *
 * Called once in every backend that loads the library.  Nothing here may
 * touch the catalogs: the library can be loaded before a database is chosen.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "fmgr.h"
#include "guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	kpi_guc_init();
}
