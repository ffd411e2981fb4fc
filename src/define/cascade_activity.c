/*-------------------------------------------------------------------------
 *
 * cascade_activity.c
 *	  What has to be done for a goal to be met.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "define/cascade.h"

void
kpi_define_cascade_activities(KpiCascade *cascade)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("goal %s cannot be cut across activities yet", cascade->label)));
}
