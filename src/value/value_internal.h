/*-------------------------------------------------------------------------
 *
 * value_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_VALUE_INTERNAL_H
#define KPI_VALUE_INTERNAL_H

#include "access/skey.h"
#include "cell/cell.h"
#include "value/value.h"

/* ---- cells.c ---- */

/* Days of a team or member, as far as one stream is concerned; each column counts as a key. */
typedef struct KpiDays
{
	int32		source_id;
	int32		stream_id;
	int32		owner_kind;		/* KpiOwnerKind, of the stream */
	int32		scope_kind;		/* KpiScopeKind */
	int32		scope_id;
	int32		dim_id;
	int32		detail;			/* of the stream (KPI_DETAIL_PARTS, ...) */
	DateADT		since;
	DateADT		until;			/* exclusive */
} KpiDays;

/* Columns of the tables of cells. */
enum
{
	Anum_rollup_stream_id = 1,
	Anum_rollup_scope_kind,
	Anum_rollup_scope_id,
	Anum_rollup_grain,
	Anum_rollup_dim_id,
	Anum_rollup_start,
	Anum_rollup_cell,
	Anum_rollup_recent
};

enum
{
	Anum_day_stream_id = 1,
	Anum_day_owner_id,
	Anum_day_day,
	Anum_day_dim_id,
	Anum_day_cell
};

enum
{
	Anum_applied_source_id = 1,
	Anum_applied_owner_kind,
	Anum_applied_owner_id,
	Anum_applied_since,
	Anum_applied_until,
	Anum_applied_member_id,
	Anum_applied_teams,
	Anum_applied_dims
};

/* An int4 column that equals a value. */
extern void kpi_value_key(ScanKey key, AttrNumber attno, int32 value);

/*
 * The sum of all cells on these days under the active snapshot; NULL if there
 * are none.  It is kept, and valid until the next call.
 */
extern const KpiCell *kpi_value_cell(const KpiDays *days);

/*
 * Hands in the cells of one grain that begin on these days, in any order.  Days of a member are cells of
 * its owners, of all facts: there may be more than one a day, which sum to it.
 */
extern void kpi_value_each_cell(const KpiDays *days, KpiGrain grain,
								void (*take) (void *arg, DateADT start, Datum cell), void *arg);

/* The numbers of the owners whose facts count for a member, in a source; until the next call. */
extern const List *kpi_value_member_owners(int32 source_id, int32 member_id);

/* ---- ahead.c ---- */

/*
 * Takes from a sum of one value of a dimension what counts for the team on these days, or
 * adds it; the cost is that of all base cells on them.
 */
extern KpiCell *kpi_value_sum_ahead(KpiCell *sum, const KpiDays *days, DateADT since, DateADT until,
									bool subtract);

/* ---- balance.c ---- */

/*
 * What a balance is when the window closes, and of one that is open today.  False
 * before the scope's first day, and of a window that has not begun.
 */
extern bool kpi_value_balance(const KpiProgramNode *node, const KpiWindow *window, DateADT today, KpiValue *result);

/*
 * The mean of what it was when the window's days ended, until today; before the scope's first
 * day that is 0.
 */
extern bool kpi_value_daily_average(const KpiProgramNode *node, const KpiWindow *window, DateADT today,
									KpiValue *result);

/* The first year in which the stream has facts, of anybody; false: it has none. */
extern bool kpi_value_first_year(int32 stream_id, DateADT *start);

/* kpi_value_each_day() of a balance: what came on each day, less what went. */
extern void kpi_value_each_flow(const KpiProgramNode *node, const KpiPlace *place, DateADT until,
								void (*take) (void *arg, DateADT day, const KpiValue *value), void *arg);

/* ---- parts.c ---- */

/* What a place can be broken down by at once, at most. */
#define KPI_PARTS_MAX	3

typedef enum KpiPartKind
{
	KPI_PART_DIMENSION,
	KPI_PART_MEMBER,
	KPI_PART_TEAM				/* the teams below */
} KpiPartKind;

typedef struct KpiPartKey
{
	KpiPartKind kind;
	char	   *name;
} KpiPartKey;

/* One of what parts are by: the value of a dimension, or a member or team by its id. */
typedef struct KpiPartElement
{
	int32		id;				/* 0: nobody */
	char	   *text;			/* NULL: none */
} KpiPartElement;

typedef struct KpiPart
{
	KpiPartElement elements[KPI_PARTS_MAX];
} KpiPart;

typedef struct KpiParts KpiParts;

/*
 * From here on until the end, in the current memory context, a place with the dim_id
 * -1 - n is part number n of what the place is without it.  The positions of the dimensions
 * (KPI_PARTS_MAX of them, as keys; 0: it has none) are to be told of each source.
 */
extern KpiParts *kpi_value_parts_begin(int nkeys, const KpiPartKey *keys);
extern void kpi_value_parts_add_source(KpiParts *parts, int32 source_id, const int *positions);
extern void kpi_value_parts_end(KpiParts *parts);

/* Adds the parts that have cells on these days, if the source has all dimensions. */
extern void kpi_value_parts_meet(KpiParts *parts, const KpiDays *days);
extern int	kpi_value_parts_number(const KpiParts *parts);
extern const KpiPart *kpi_value_part(const KpiParts *parts, int number);

/* kpi_value_cell() of a part; error if its source lacks one of the dimensions. */
extern const KpiCell *kpi_value_part_cell(const KpiDays *days);

/* ---- evaluate.c ---- */

/* Has the parts known that the measures of a program have cells of in a window. */
extern void kpi_value_meet_parts(KpiParts *parts, const KpiProgram *program, const KpiWindow *window);

/*
 * One evaluation of a program.  What a KPI amounts to in a window is computed once in it, so
 * that formulas over formulas cost no more than their KPIs; each is kept in the memory context
 * in which the evaluation began.
 */
typedef struct KpiEvaluation KpiEvaluation;

/*
 * What a KPI of the program amounts to in a window.  False, and zeroed, where it has no value
 * because no fact counts; its value may be NULL where some do.
 */
extern bool kpi_value_of_node(KpiEvaluation *evaluation, int node, const KpiWindow *window, KpiValue *result);

/*
 * The change against the period before, or a year ago, as a share of it: while the period is
 * open, of what is dated until today against as many days of the other.  NULL where there is nothing to
 * compare with.
 */
extern Numeric kpi_value_growth(KpiEvaluation *evaluation, int node, const KpiWindow *window, bool year_ago);

/* (value - base) / |base|; NULL where either is, or base is 0. */
extern Numeric kpi_value_change(Numeric value, Numeric base);

/*
 * What a KPI without a value counts for in a formula: 0 if it adds up, or is held and the window has
 * begun; else NULL.
 */
extern Numeric kpi_value_of_nothing(KpiEvaluation *evaluation, int node, const KpiWindow *window);

/* By which day the program is judged (kpi_value_today()). */
extern DateADT kpi_value_evaluation_today(KpiEvaluation *evaluation);
extern const KpiProgram *kpi_value_evaluation_program(const KpiEvaluation *evaluation);

/*
 * Notes that the formula at hand computes its number of a KPI in a window; only where somebody
 * wants to know (kpi_value_reads()).
 */
extern void kpi_value_note_read(KpiEvaluation *evaluation, int node, const KpiWindow *window, bool is_average);
extern bool kpi_value_notes_reads(const KpiEvaluation *evaluation);

/* ---- formula.c ---- */

/* kpi_value_of_node() of one with a formula. */
extern bool kpi_value_of_formula(KpiEvaluation *evaluation, const KpiProgramNode *node, const KpiWindow *window,
								 KpiValue *result);

/* ---- evaluate.c ---- */

/* The cell of a place, as a row of a view has it. */
typedef struct KpiGivenCell
{
	int32		stream_id;
	Datum		cell;
	bool		isnull;			/* a place without a cell of its own */
} KpiGivenCell;

/* kpi_value_growth() of a KPI itself, with one stream's cell at hand. */
extern Numeric kpi_value_growth_at_given(const KpiProgram *program, const KpiPlace *place, const KpiGivenCell *given,
										 bool year_ago);

/* kpi_value_at() with one stream's cell at hand. */
extern bool kpi_value_at_given(const KpiProgram *program, const KpiPlace *place, const KpiGivenCell *given,
							   KpiValue *result);

/*
 * Whether kpi_value_at_given() has facts of measures that are not balances, at less cost: nothing is
 * computed, and nothing looked up if the given cell has facts.
 */
extern bool kpi_value_has_facts(const KpiProgram *program, const KpiPlace *place, const KpiGivenCell *given);

/*
 * The first of the program's streams whose balance is there at a place; 0: there is none.
 */
extern int32 kpi_value_balance_stream(const KpiProgram *program, const KpiPlace *place);

/* The sum of the stream's cells at the place; NULL if there are none. */
extern const KpiCell *kpi_value_place_cell(const KpiProgram *program, int32 stream_id, const KpiPlace *place);

#endif							/* KPI_VALUE_INTERNAL_H */
