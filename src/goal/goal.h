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
#include "utils/numeric.h"
#include "value/value.h"

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
	bool		day_moved;		/* until when it has its facts is another
								 * moment than before */
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
 *	_goal(), _goals(): goals, made or altered
 *	_days(): goals by calendars in which a day has begun since it was called
 *		last; nearly free if there is none.  A calendar that another transaction
 *		is following now is left to it.
 */
extern void kpi_goal_notify_changes(const KpiChanges *changes);
extern void kpi_goal_notify_source(int32 source_id);
extern void kpi_goal_notify_goal(int64 goal_id);
extern void kpi_goal_notify_goals(Datum goal_ids);	/* bigint[] */
extern void kpi_goal_notify_days(void);

/*
 * Works off the list of goals to be looked at once more; true if some are left,
 * as somebody has their rows locked.  Nearly free if there are none.
 */
extern bool kpi_goal_recheck(void);

/* Whether there are some. */
extern bool kpi_goal_recheck_waits(void);

/* ---- target.c ---- */

/* Baselines and what follows from them are rounded to as many decimals. */
#define KPI_GOAL_SCALE 10

/* What a goal asks for. */
typedef enum KpiTargetKind
{
	KPI_AT_LEAST,
	KPI_AT_MOST,
	KPI_BETWEEN
} KpiTargetKind;

/* How a KPI's percents are stored. */
typedef enum KpiScale
{
	KPI_SCALE_NONE,				/* it has none: money, counts */
	KPI_SCALE_FRACTION,			/* 65 % is 0.65 */
	KPI_SCALE_PERCENT			/* 65 % is 65 */
} KpiScale;

/* What the text of a target means depends on this. */
typedef struct KpiTargetGround
{
	int32		kpi_id;
	char	   *kpi;			/* name */
	bool		down;			/* less is better */
	KpiScale	scale;
	int			seconds;		/* of the unit, if it is one of time; else 0 */
} KpiTargetGround;

/* What a relative target is compared with. */
typedef enum KpiBaseline
{
	KPI_BASELINE_NONE,			/* it is no relative one */
	KPI_BASELINE_YEAR_AGO,
	KPI_BASELINE_PREVIOUS,
	KPI_BASELINE_AVERAGE		/* of so many closed periods */
} KpiBaseline;

/* A target as it was written. */
typedef struct KpiTargetText
{
	KpiTargetKind kind;
	KpiBaseline baseline;
	KpiGrain	grain;			/* of _PREVIOUS and _AVERAGE */
	int			periods;		/* of _AVERAGE */
	bool		points;			/* the change is added, else it is a fraction
								 * of the baseline */
	Numeric		change;			/* of a relative target; else NULL */
	Numeric		target;			/* of any other */
	Numeric		high;			/* of KPI_BETWEEN */
} KpiTargetText;

extern const char *kpi_goal_target_kind_name(KpiTargetKind kind);

/* Within kpi_spi_begin(): false if there is no such KPI. */
extern bool kpi_goal_target_ground(const char *kpi, KpiTargetGround *ground);

/*
 * Reads a target; the grammar is in target.c.  Error if it is malformed, or
 * means nothing for such a KPI, that says what was read and what to write.
 */
extern void kpi_goal_target_parse(const char *text, const KpiTargetGround *ground, KpiTargetText *target);

/*
 * The same of a number beside it, of no bound and no comparison: what
 * "minimum" and "stretch" are.  "what" names it.
 */
extern Numeric kpi_goal_target_parse_number(const char *text, const char *what, const KpiTargetGround *ground);

/* Error if a target is compared with what a period has none of; range: of no grain. */
extern void kpi_goal_target_check_period(const char *text, const KpiTargetText *target, const char *period,
										 bool range, KpiGrain grain);

/* A relative target, as the number that it is of this baseline. */
extern Numeric kpi_goal_target_resolve(const KpiTargetText *target, Numeric baseline);

/* ---- version.c ---- */

/* What a goal asks for from a day on. */
typedef struct KpiGoalVersion
{
	DateADT		since;
	const char *target_text;
	KpiTargetText target;
	Numeric		minimum;		/* or NULL */
	Numeric		stretch;
	const char *reason;
} KpiGoalVersion;

/*
 * Within kpi_spi_begin(), after which comes kpi_goal_targets_write(): gives a goal a version, if it
 * asks for something else than the last one does.  Those that had not begun and begin
 * after it are replaced, and named in a notice.
 */
extern void kpi_goal_version_add(int64 goal_id, const KpiGoalVersion *version);

/* ---- period.c ---- */

typedef enum KpiTargetChange
{
	KPI_TARGET_GIVEN,			/* the goal is new, or has another target */
	KPI_TARGET_KEPT,			/* something beside it has changed */
	KPI_TARGET_FOLLOWED,		/* a day has begun */
	KPI_TARGET_REPORTED			/* what was reported of its baseline is
								 * another */
} KpiTargetChange;

/*
 * Makes the periods of a goal that have begun, and the next, and what is asked for in each:
 * a version of kpi.goal_target where that is another than the last one.  Of
 * a recurring goal what is over keeps what was asked for.  Error if a goal for one period
 * has nothing to compare with.  Within kpi_spi_begin(), as the next.
 */
extern void kpi_goal_targets_write(int64 goal_id, KpiTargetChange change);

/*
 * The same for many goals, made or altered, that are for one period each and ask for numbers: ids
 * (bigint[]), targets and upper bounds (numeric[]), and the kind that the targets say, or NULL.
 */
extern void kpi_goal_targets_write_many(Datum goal_ids, Datum targets, Datum highs, const char *kind);

/*
 * The same for all goals that recur and for all targets that follow a baseline, when a day has
 * begun.  Waits for nobody.
 */
extern void kpi_goal_targets_follow(void);

/* ---- capacity.c ---- */

/* How much a member can work on some days. */
typedef struct KpiCapacity
{
	int32		member_id;
	double		days;			/* working days, each times the ramp of the
								 * month of tenure */
	int			workdays;
} KpiCapacity;

/*
 * Of the days from start to last, inclusive, on which members belong to a team or one below it
 * (KPI_TEAM_COMPANY: to any): KpiCapacity * of each member (0), or of one, who does on any day, by their keys.
 */
extern List *kpi_goal_capacities(int32 team_id, int32 member_id, DateADT start, DateADT last);

/* ---- basis.c ---- */

/* What history says of a KPI for a scope, before a period. */
typedef struct KpiBasis
{
	const char *basis;			/* history, finer; target: nothing; none: of
								 * such a formula there is no forecast */
	int			closed_periods;
	double		level;			/* what a period brings; of a rate the
								 * numerator, of a balance the net flow */
	double		level_denominator;	/* of a rate */
} KpiBasis;

typedef struct KpiHistory KpiHistory;

/*
 * To be asked about any number of scopes, for periods that begin on a day or later.  What is not over on
 * the day "today" is no history.  In the current memory context.
 */
extern KpiHistory *kpi_goal_history(const KpiProgram *program, DateADT start, DateADT today);

/* The level of a scope in a place that is a period; the numbers are 0 where nothing is known. */
extern KpiBasis kpi_goal_history_basis(KpiHistory *history, const KpiPlace *place);

/* What the time of the year makes of it: the company's season of the same period; 1: nothing. */
extern double kpi_goal_history_season(KpiHistory *history, const KpiPlace *place);

/* How much days differ, and whether one fell; NaN: nothing is known. */
extern double kpi_goal_history_noise(KpiHistory *history, const KpiPlace *place, bool *may_fall);

/* ---- advice.c: what is asked for, in parts, and what to do ---- */

/* Splits a total into multiples of a step by weights; the parts (numeric) sum to it. */
extern void kpi_goal_split(Numeric total, Numeric *weights, int n, Numeric step, Numeric *parts);

/*
 * What has to happen for what is missing to come in: how many of each step, the last
 * one first, and how many a member has to do on each working day left that still
 * counts.  A step's rate says how many of the step after it come of one; not known (NaN):
 * it is the last one itself.  Returns how many steps there are numbers for.
 */
extern int	kpi_goal_activities(double missing, double per_deal, const double *rates, int n, double days,
								double members, double *needed, double *per_day);

/* How much of a period, and of its denominator, is in at the end of a day, as those of the company fill. */
extern double kpi_goal_history_filled(KpiHistory *history, const KpiPlace *place, DateADT day, bool of_denominator,
									  int32 calendar_id);

/* The mean growth from a closed period to the next, as a fraction, and of how many; NaN: of none. */
extern double kpi_goal_history_growth(KpiHistory *history, const KpiPlace *place, int *n);

/* The best value of a closed period, the least if less is better, and the period; NULL: there is none. */
extern Numeric kpi_goal_history_best(KpiHistory *history, const KpiPlace *place, bool down, KpiPlace *best);

/* ---- closed.c ---- */

/*
 * All within kpi_spi_begin(), with the row of the goal locked.  Error if what was reported of
 * goals in a closed period would hold no longer:
 *	_check_target(): the target of a goal is to change from a day on
 *	_check_drop...(): it, all of a KPI or all of a member are to go
 */
extern void kpi_goal_closed_check_target(int64 goal_id, DateADT since);
extern void kpi_goal_closed_check_drop(int64 goal_id);
extern void kpi_goal_closed_check_drop_of_kpi(int32 kpi_id);
extern void kpi_goal_closed_check_drop_of_member(int32 member_id);

/*
 * To be called before and after what is reported of these goals (bigint[]) is written: makes
 * their rows what they should be, and has relative targets follow.
 */
extern void kpi_goal_closed_write(Datum goal_ids);

/* ---- basis_table.c ---- */

/* Within kpi_spi_begin(): has what a goal's forecasts are based on read anew, and writes the rows. */
extern void kpi_goal_basis_renew(int64 goal_id);

/* ---- table.c ---- */

/* To be called by whoever has written a definition that rows of goals show or follow from. */
extern void kpi_goal_kpi_redefined(int32 kpi_id);	/* formulas over it as
													 * well */
extern void kpi_goal_source_redefined(int32 source_id);

/* The goals of a plan that was a draft are followed from now on. */
extern void kpi_goal_plan_published(const char *plan);

/* What the goal asks for is another, or it is about to go: for formulas with target(). */
extern void kpi_goal_target_moved(int64 goal_id);
extern void kpi_goal_team_redefined(int32 team_id); /* teams below it as well */
extern void kpi_goal_member_redefined(int32 member_id);
extern void kpi_goal_people_redefined(List *team_ids, List *member_ids);	/* of many at once */
extern void kpi_goal_calendar_redefined(int32 calendar_id); /* working days */

/* Has them looked at by whoever refreshes next; waits for nobody. */
extern void kpi_goal_source_recheck(int32 source_id);

#endif							/* KPI_GOAL_H */
