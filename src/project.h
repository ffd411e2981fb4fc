/*-------------------------------------------------------------------------
 *
 * project.h
 *	  The facts query, compiled for one table: rows in, facts out.
 *
 * The same for OLD and NEW of a write as for a row that is scanned one by
 * one, when a facts query raises an error in SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_PROJECT_H
#define KPI_PROJECT_H

#include "postgres.h"

#include "def.h"
#include "error_text.h"
#include "executor/tuptable.h"

/* One fact of one stream, valid until the projection's next use. */
typedef struct KpiFact
{
	bool		is_event;		/* false: filtered out, or has no time */
	bool		failed;			/* as a whole: an expression did, or */
	bool		out_of_range;	/* its day is none that facts may have */
	char	   *owner;			/* bounded key or NULL */
	DateADT		day;
	char	  **dims;			/* [ndims] bounded values, each may be NULL */
	Datum	   *inputs;			/* by the layout */
	bool	   *isnull;
	Bitmapset  *failed_measures;	/* indexes whose expression failed */
	const char *error;			/* note of the last failure, or NULL */
	bool		undecided;		/* it failed for want of stack, of which the
								 * caller had used much: it may not elsewhere */
} KpiFact;

typedef struct KpiProjection KpiProjection;

/*
 * Compiles all streams of the source for a leaf table, in a memory context of
 * its own below the given parent.  Raises an error when the table no longer
 * fits (dropped or retyped column).  Unless prints is NULL, what the
 * expressions and the time zone depend on is added to it (fingerprint.h).
 */
extern KpiProjection *kpi_projection_create(const KpiSource *source, Oid leaf,
											MemoryContext parent, KpiPrints *prints);
extern void kpi_projection_free(KpiProjection *proj);

/* True when no column that any expression uses differs between the two. */
extern bool kpi_projection_unchanged(KpiProjection *proj, TupleTableSlot *old_slot,
									 TupleTableSlot *new_slot);

/* The numbers of the columns that expressions use, in the current memory context. */
extern Bitmapset *kpi_projection_columns(KpiProjection *proj);

/* Evaluates stream number s (index into source->streams) on a row. */
extern void kpi_project(KpiProjection *proj, int s, TupleTableSlot *slot, KpiFact *fact);

/*
 * Whether an expression fails on a row that is no event, though that is none of
 * the row's facts: kpi_project() does not evaluate what comes after a condition
 * that is not met, where a planner evaluates what is cheap first.
 */
extern bool kpi_project_hides_error(KpiProjection *proj, int s, TupleTableSlot *slot);

/* The layout of stream number s, all measures. */
extern const KpiLayout *kpi_projection_layout(KpiProjection *proj, int s);

/* Whether an expression may reach a function or a type of a user. */
extern bool kpi_projection_has_user_code(KpiProjection *proj);

/*
 * Whether kpi_project() is under way in it: a function of the definer's writes
 * to the same table.  Such a row needs a projection of its own.
 */
extern bool kpi_projection_is_busy(KpiProjection *proj);

/* A whole fact that failed counts here: owner NULL, this day, no dims. */
#define KPI_ERROR_DAY ((DateADT) DATEVAL_NOBEGIN)

/* What is wrong with a fact whose day is none that facts may have. */
#define KPI_DAY_ERROR KPI_NOTE_OWN "the day of the fact is outside the years 1900 to 2200"

#endif							/* KPI_PROJECT_H */
