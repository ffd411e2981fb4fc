/*-------------------------------------------------------------------------
 *
 * capture_none.c
 *	  Attaching a source's table to nothing, as long as there is no capture.
 *
 * Called by def_source.c.  Weak, so that capture's own functions win; this
 * file goes with them.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "engine.h"

__attribute__((weak)) void
kpi_capture_attach(int32 source_id, const char *relation)
{
}

__attribute__((weak)) void
kpi_capture_detach(int32 source_id, const char *relation)
{
}
