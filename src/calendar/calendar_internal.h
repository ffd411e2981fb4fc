/*-------------------------------------------------------------------------
 *
 * calendar_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_CALENDAR_INTERNAL_H
#define KPI_CALENDAR_INTERNAL_H

#include "calendar/calendar.h"
#include "utils/date.h"

extern int	kpi_calendar_iso_weekday(DateADT day);	/* 1 = Monday */

#endif							/* KPI_CALENDAR_INTERNAL_H */
