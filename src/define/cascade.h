/*-------------------------------------------------------------------------
 *
 * cascade.h
 *	  What the files of kpi.cascade() share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_CASCADE_H
#define KPI_CASCADE_H

#include "define/define_internal.h"
#include "goal/goal.h"
#include "utils/numeric.h"
#include "value/value.h"

/* What a goal is cut into. */
typedef enum KpiAcross
{
	KPI_ACROSS_TEAMS,
	KPI_ACROSS_MEMBERS,
	KPI_ACROSS_WEEKS,
	KPI_ACROSS_MONTHS,
	KPI_ACROSS_QUARTERS,
	KPI_ACROSS_ACTIVITIES
} KpiAcross;

/* How much each part has to bring. */
typedef enum KpiCascadeBy
{
	KPI_BY_HISTORY,
	KPI_BY_SEASON,
	KPI_BY_CAPACITY,
	KPI_BY_EQUAL,
	KPI_BY_WEIGHTS				/* that are given */
} KpiCascadeBy;

/* Days, both included, on which a team or member belongs where the goal is. */
typedef struct KpiStay
{
	int32		team_id;		/* whose working days they are */
	DateADT		since;
	DateADT		last;
} KpiStay;

/* A part: a goal that is there or is to be. */
typedef struct KpiPart
{
	char	   *key;			/* of the team or member; name of the period */
	char	   *kpi;
	int32		kpi_id;
	int32		team_id;		/* 0: a member's */
	int32		member_id;		/* 0: a team's */
	char	   *team;			/* keys of these */
	char	   *member;
	KpiGoalPeriod period;
	int			nstays;			/* of a team or member that is cut to: its
								 * days there */
	KpiStay    *stays;
	double		share;			/* of the period's working days in these */

	Numeric		weight;			/* NULL: nothing is split */
	char	   *target_text;	/* NULL: it is to have none */
	Numeric		target;
	Numeric		high;			/* NULL: it is no range */
	Numeric		needed;			/* of an activity, as the next; NULL: not
								 * known */
	Numeric		per_day;

	int64		goal_id;		/* 0: not there */
	const char *action;
	const char *message;		/* NULL: nothing to say */
} KpiPart;

/* A call of kpi.cascade(). */
typedef struct KpiCascade
{
	MemoryContext context;		/* of all that follows */

	/* what is asked for */
	KpiAcross	across;
	const char *across_name;
	KpiCascadeBy by;
	char	   *weights;		/* jsonb, as it was written */
	Numeric		step;			/* NULL: by the KPI */
	Numeric		over_assign;
	List	   *steps;			/* char *: KPIs */
	char	   *per;
	char	   *cycle;

	/* the goal that is cut */
	int64		goal_id;
	char	   *label;
	char	   *kpi;
	int32		kpi_id;
	char	   *measure;		/* NULL: a formula */
	char	   *program;
	KpiShape	shape;
	char	   *plan;
	char	   *team;
	char	   *member;
	int32		team_id;
	int32		member_id;
	char	   *dimension;
	int32		dim_id;			/* -1: no fact has the value */
	KpiGoalPeriod period;
	char	   *target_text;
	bool		relative;
	const char *kind;			/* that the target says, or NULL */
	Numeric		target;
	Numeric		high;
	KpiGrain	history_grain;	/* whose closed periods are history */
	DateADT		history_start;
	DateADT		today;

	/* what it is cut into */
	int			nparts;
	int			max_parts;
	KpiPart    *parts;
} KpiCascade;

/* A new part at the end: of the goal's KPI, scope and period. */
extern KpiPart *kpi_define_cascade_add(KpiCascade *cascade, char *key);

/* ---- cascade_part.c ---- */

/* Finds the parts, by key; error if there are none. */
extern void kpi_define_cascade_parts(KpiCascade *cascade);

/* Working days of a team's calendar. */
extern double kpi_define_cascade_workdays(int32 team_id, DateADT start, DateADT end);

/* ---- cascade_weight.c ---- */

/* Gives each part its weight; error if they are none. */
extern void kpi_define_cascade_weigh(KpiCascade *cascade);

/* ---- cascade_split.c ---- */

/* Gives each part its target. */
extern void kpi_define_cascade_split(KpiCascade *cascade);

/* As it is written for a goal of the KPI. */
extern char *kpi_define_cascade_target_text(const char *kind, Numeric target, Numeric high);

/* ---- cascade_activity.c ---- */

/* Finds the activities, and how many of each there have to be. */
extern void kpi_define_cascade_activities(KpiCascade *cascade);

/* ---- cascade_write.c ---- */

/* Makes the goals what the parts say, and says of each part what that was. */
extern void kpi_define_cascade_write(KpiCascade *cascade);

/* ---- numbers ---- */

extern Numeric kpi_define_numeric(double number);
extern int	kpi_define_numeric_sign(Numeric number);
extern int	kpi_define_numeric_compare(Numeric a, Numeric b);
extern Numeric kpi_define_numeric_call(PGFunction function, Numeric a, Numeric b);
extern char *kpi_define_numeric_text(Numeric number);	/* without zeros at the
														 * end */

#endif							/* KPI_CASCADE_H */
