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

#include "calendar/calendar.h"
#include "model/model.h"
#include "nodes/pg_list.h"

/*
 * A stored cell that has changed: of a team or member, in a day or month.  Days
 * of members have none of their own, they are as days of the base cells.
 */
typedef struct KpiChangedCell
{
	int32		stream_id;
	KpiScopeKind scope_kind;
	int32		scope_id;
	KpiGrain	grain;
	int32		dim_id;			/* 0: all facts */
	DateADT		start;
} KpiChangedCell;

/* What an engine transaction on a source has changed. */
typedef struct KpiChanges
{
	int32		source_id;
	bool		people_moved;	/* who belongs where is another than before */
	bool		all;			/* any cell may have changed; else these have */
	int			ncells;
	int			max_cells;
	KpiChangedCell *cells;
} KpiChanges;

/* Texts in payloads are cut to this many bytes. */
#define KPI_NOTIFY_TEXT 200

/*
 * Each looks at the goals that may have changed and announces those whose
 * status is not what was announced last, within the current transaction.
 *	_changes(): at the end of an engine transaction, by what it wrote
 *	_source(): goals of KPIs that depend on a source
 *	_goal(): one goal, made or altered
 *	_days(): goals by calendars in which a day has begun since it was called
 *		last; nearly free if there is none.  A calendar that another transaction
 *		is following now is left to it.
 */
extern void kpi_goal_notify_changes(const KpiChanges *changes);
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
