/*-------------------------------------------------------------------------
 *
 * goal_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_GOAL_INTERNAL_H
#define KPI_GOAL_INTERNAL_H

#include "goal/goal.h"

/* ---- notify.c ---- */

/*
 * Writes the rows of these goals (bigint[]), and tells of those whose status has changed.
 * Within kpi_spi_begin().
 */
extern void kpi_goal_notify_rows(Datum ids, bool wait);

/* ---- table.c ---- */

/*
 * Makes the rows of these goals (bigint[]) what they should be.  Without
 * waiting, those that somebody has locked are put on the list.  Within
 * kpi_spi_begin(), as the next.
 */
extern void kpi_goal_table_write(Datum goal_ids, bool wait);

/* Puts these goals on the list. */
extern void kpi_goal_recheck_later(Datum goal_ids);

#endif							/* KPI_GOAL_INTERNAL_H */
