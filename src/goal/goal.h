/*-------------------------------------------------------------------------
 *
 * goal.h
 *	  Where goals stand, and who is told.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_GOAL_H
#define KPI_GOAL_H

#include "postgres.h"

#include "utils/date.h"

/* A value that goals may follow from. */
typedef struct KpiValueKey
{
	int32		kpi_id;
	int32		team_id;		/* or 0 */
	int32		member_id;		/* or 0 */
	int32		dim_value_id;	/* 0: kpi_value; else kpi_breakdown */
	int32		grain;
	DateADT		start;
} KpiValueKey;

/* What an engine transaction on a source has changed. */
typedef struct KpiValueChanges
{
	int32		source_id;
	bool		people_moved;	/* who belongs where is another than before */
	bool		all;			/* any value of the source's KPIs may have
								 * changed; else these have, by KPI */
	int			nkeys;
	KpiValueKey *keys;
} KpiValueChanges;

/* Texts in payloads are cut to this many bytes. */
#define KPI_NOTIFY_TEXT 200

/*
 * Each looks at the goals that may have changed and announces those whose
 * status is not what was announced last, within the current transaction.
 *	_changes(): at the end of an engine transaction, by what it wrote
 *	_source(): goals of KPIs that depend on a source
 *	_goal(): one goal, made or altered
 *	_days(): goals by calendars in which a day has begun since it was called
 *		last; nearly free if there is none.  The caller holds the locks of all
 *		sources, or can be retried: refreshes write the same rows in another
 *		order.
 */
extern void kpi_goal_notify_changes(const KpiValueChanges *changes);
extern void kpi_goal_notify_source(int32 source_id);
extern void kpi_goal_notify_goal(int64 goal_id);
extern void kpi_goal_notify_days(void);

/*
 * Works off the list of goals to be looked at once more; true if some are left,
 * as somebody has their rows locked.  Nearly free if there are none.
 */
extern bool kpi_goal_recheck(void);

/* Whether there are some. */
extern bool kpi_goal_recheck_waits(void);

/* ---- table.c ---- */

/* To be called by whoever has written a definition that rows of goals show or follow from. */
extern void kpi_goal_kpi_redefined(int32 kpi_id);	/* formulas over it as
													 * well */
extern void kpi_goal_source_redefined(int32 source_id);
extern void kpi_goal_team_redefined(int32 team_id); /* teams below it as well */
extern void kpi_goal_member_redefined(int32 member_id);
extern void kpi_goal_calendar_redefined(int32 calendar_id); /* working days */

#endif							/* KPI_GOAL_H */
