/*-------------------------------------------------------------------------
 *
 * cell.h
 *	  The algebra of states: a cell is what the facts of one place amount to, for
 *	  all measures of a stream.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_CELL_H
#define KPI_CELL_H

#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "utils/numeric.h"

/* ---- compact.c ---- */

/* Kinds are stored: never renumber.  Later kinds get their own file. */
typedef enum KpiKind
{
	KPI_COUNT = 1,				/* facts counted */
	KPI_SUM = 2,				/* exact decimal sum */
	KPI_AVG = 3,				/* stored like KPI_SUM, finalized as a mean */
	KPI_RATE = 4,				/* count of cond over count of "of" */
	KPI_RATIO = 5,				/* sum over sum */
	KPI_ERRORS = 6,				/* facts ignored because an expression failed;
								 * measure id 0: the whole fact */
	KPI_BALANCE = 7,			/* what is held: amounts, and amounts times
								 * their days */
	KPI_VARIANCE = 8,			/* sums of values and of their squares */
	KPI_STDDEV = 9,				/* stored like KPI_VARIANCE */
	KPI_PERCENTILE = 10,		/* a logarithmic histogram */
	KPI_DISTINCT = 11,			/* different values, each with its facts */
	KPI_MIN = 12,				/* the smallest values */
	KPI_MAX = 13,
	KPI_FIRST = 14,				/* the earliest facts, with their values */
	KPI_LAST = 15,
	KPI_DISTINCT_APPROX = 16,	/* different values, estimated */
	KPI_LEFT_OUT = 17			/* facts that count for nothing, by reason */
} KpiKind;

typedef struct KpiCell
{
	int32		vl_len_;		/* varlena header (do not touch directly) */
	uint8		version;		/* KPI_CELL_VERSION */
	uint8		flags;			/* none yet: 0 */
	uint16		nstates;
	uint32		used;			/* bytes in use, header included */
	uint32		padding;
	/* states follow, see cell.c */
} KpiCell;

/* The cell in memory form: the datum itself where it is, else a copy. */
extern KpiCell *kpi_cell_from_datum(Datum datum);
extern KpiCell *kpi_cell_copy_from_datum(Datum datum);

/* The states of one measure alone, at a cost that hardly grows with how many there are. */
extern KpiCell *kpi_cell_of_measure(Datum datum, int32 measure_id);

/* A palloc'd value of kpi.cell to be stored, without empty states. */
extern struct varlena *kpi_cell_compact(const KpiCell *cell);

/* The cell again, palloc'd; error if that is not what it is. */
extern KpiCell *kpi_cell_expand(struct varlena *compact);

/* ---- layout.c ---- */

#define DatumGetKpiCellP(X)		kpi_cell_from_datum(X)
#define DatumGetKpiCellPCopy(X) kpi_cell_copy_from_datum(X)
#define PG_GETARG_KPI_CELL_P(n) DatumGetKpiCellP(PG_GETARG_DATUM(n))
#define PG_GETARG_KPI_CELL_P_COPY(n) DatumGetKpiCellPCopy(PG_GETARG_DATUM(n))
#define PG_RETURN_KPI_CELL_P(x) PG_RETURN_POINTER(x)

/* How the Datum of a measure's input is read. */
typedef enum KpiInputType
{
	KPI_INPUT_BOOL,
	KPI_INPUT_INT2,
	KPI_INPUT_INT4,
	KPI_INPUT_INT8,
	KPI_INPUT_NUMERIC,
	KPI_INPUT_FLOAT4,
	KPI_INPUT_FLOAT8,
	KPI_INPUT_TEXT,				/* from here on no numbers */
	KPI_INPUT_TIME,				/* timestamps, of either kind */
	KPI_INPUT_DATE
} KpiInputType;

/*
 * One measure of a layout.  It takes ninputs consecutive inputs:
 *	count	1 boolean: does the fact count (NULL: no)
 *	sum,avg 1 number (NULL: not a fact of this measure)
 *	rate	2 booleans: cond, of (a fact when "of" is true; cond counts only
 *			among those)
 *	ratio	2 numbers (a fact when either is not NULL; left out of both sums
 *			when either is not finite)
 *	balance	1 number (NULL: not a fact of this measure), its day since
 *			2000-01-01, and 1 where it arrives, -1 where it leaves, 0 where it
 *			would leave before
 *	variance, stddev, percentile	1 number, as sum
 *	min,max	1 number, as avg
 *	first,last	a number, as avg; the time of the fact; its key, a number or a
 *			text
 *	left_out	1 smallint: KpiLeftOut (NULL: not left out)
 */
typedef struct KpiLayoutMeasure
{
	int32		id;
	KpiKind		kind;
	int			option;			/* what its kind makes states with, or 0 */
	int			first_input;
	int			ninputs;
	uint32		offset;			/* where its state is in a fresh cell */
} KpiLayoutMeasure;

/*
 * The measures of a stream in ascending id: what turns inputs into states.
 * Its text form is 'id:kind' or 'id:kind(option)' joined by commas, e.g.
 * '7:count,8:sum,9:percentile(35)'.
 */
typedef struct KpiLayout
{
	int			nmeasures;
	int			ninputs;
	uint32		cell_size;		/* of a cell with all its states, narrow */
	KpiInputType *input_types;	/* [ninputs]; boolean or numeric as the kind
								 * needs, unless the caller or
								 * kpi_cell_layout_input_types() changes it */
	KpiLayoutMeasure measures[FLEXIBLE_ARRAY_MEMBER];
} KpiLayout;

/* layout.c */
extern KpiLayout *kpi_cell_layout_parse(const char *spec);	/* in the current
															 * context; errors on
															 * malformed text */
extern void kpi_cell_layout_append(StringInfo spec, const KpiLayoutMeasure *measure);
extern KpiInputType kpi_cell_input_type(Oid type);	/* error if not one of
													 * them */

/* Sets the types of all inputs; error if a measure cannot take one. */
extern void kpi_cell_layout_input_types(KpiLayout *layout, const Oid *types);
extern int	kpi_cell_kind_ninputs(KpiKind kind);
extern const char *kpi_cell_kind_name(KpiKind kind);

/* How many digits before the decimal point a number may have that a measure takes. */
extern int	kpi_cell_kind_max_digits(KpiKind kind);
extern bool kpi_cell_kind_parse(const char *name, KpiKind *kind);

/* ---- bucket.c ---- */

/*
 * How many buckets in each doubling a percentile needs so as to be off by no
 * more than that part of it: the option of KPI_PERCENTILE.
 */
#define KPI_PERCENTILE_MIN_ERROR 0.001
#define KPI_PERCENTILE_MAX_ERROR 0.08
extern int	kpi_cell_buckets_for_error(float8 error);

/* ---- cell.c ---- */

/* cell.c: the group */
extern KpiCell *kpi_cell_empty(void);
extern KpiCell *kpi_cell_for_layout(const KpiLayout *layout);	/* all states zero */

/*
 * Adds one fact's inputs, sign +1 or -1; a measure whose index is among the
 * failed ones (NULL: none) counts an error instead, and its inputs are not
 * read.  Changes the cell in place when it has room, else returns a larger one
 * allocated in the current memory context (the old one is left to the caller).
 * Allocates nothing for narrow sums.
 */
extern KpiCell *kpi_cell_add_fact(KpiCell *cell, const KpiLayout *layout,
								  const Datum *inputs, const bool *isnull,
								  const Bitmapset *failed, int sign);

/*
 * Whether no input counts for any measure, all being NULL or false: to add such a
 * fact changes nothing.
 */
extern bool kpi_cell_fact_is_void(const KpiLayout *layout, const Datum *inputs, const bool *isnull);

/* Counts facts whose expression failed (measure id 0: the whole fact). */
extern KpiCell *kpi_cell_add_error(KpiCell *cell, int32 measure_id, int64 facts);

/* cell := cell + other (or - other): in place or reallocated, as above. */
extern KpiCell *kpi_cell_merge(KpiCell *cell, const KpiCell *other);
extern KpiCell *kpi_cell_subtract(KpiCell *cell, const KpiCell *other);
extern void kpi_cell_negate(KpiCell *cell); /* in place, never grows */

/* A palloc'd copy whose sums are multiplied, as amounts are that are converted.  It is linear. */
extern KpiCell *kpi_cell_scale(const KpiCell *cell, Numeric factor);

extern bool kpi_cell_is_empty(const KpiCell *cell);
extern bool kpi_cell_equal(const KpiCell *a, const KpiCell *b);

/*
 * Where facts and deltas have met: the cell without what says nothing of facts, a
 * copy if there is such; whether all that it should know it does.
 */
extern const KpiCell *kpi_cell_finished(const KpiCell *cell);
extern bool kpi_cell_is_known(const KpiCell *cell);
extern bool kpi_cell_kind_may_be_unknown(KpiKind kind);

/* A palloc'd copy without empty states and spare room. */
extern KpiCell *kpi_cell_pack(const KpiCell *cell);

/*
 * Drops, in place, the states of every measure for which keep() is false
 * (errors of measure m are kept with m; id 0 is always kept).
 */
extern void kpi_cell_filter(KpiCell *cell, bool (*keep) (int32 measure_id, void *arg), void *arg);

/* The ids of the measures that have a non-empty state; returns how many. */
extern int	kpi_cell_measures(const KpiCell *cell, int32 *ids, int max);

/*
 * How many facts of a cell count for a measure, how many of these are left out of its
 * value, and on how many its expression failed.  Measure 0: facts that failed as a whole.
 */
typedef struct KpiTally
{
	int32		measure_id;
	int64		facts;
	int64		nonfinite;
	int64		errors;
} KpiTally;

/* Those of all measures that the cell has states of, ascending; returns how many, at most max. */
extern int	kpi_cell_tally(const KpiCell *cell, KpiTally *tallies, int max);

/* What one measure of a cell amounts to. */
typedef struct KpiFinal
{
	int64		facts;			/* facts that count for the measure */
	int64		nonfinite;		/* NaN and infinite inputs left out */
	int64		errors;			/* facts ignored by this measure */
	Numeric		value;			/* NULL: no value (no facts, denominator 0) */
	Numeric		numerator;		/* avg, rate, ratio; else NULL */
	Numeric		denominator;
} KpiFinal;

/*
 * Finalizes measure id; divisor (1, or 86400 for a duration in days) divides
 * value and numerator, parameter (NULL where its kind takes none) is the p of a
 * percentile.  False when the cell has no state of that measure or
 * all its numbers are zero; then *result is zeroed.
 */
extern bool kpi_cell_final(const KpiCell *cell, int32 measure_id,
						   int32 divisor, Numeric parameter, KpiFinal *result);

/* KpiFinal's facts alone, at less cost. */
extern int64 kpi_cell_facts(const KpiCell *cell, int32 measure_id);

/* ---- balance.c ---- */

/* What a balance amounts to in a cell; what leaves counts negatively. */
typedef struct KpiBalance
{
	int64		held;			/* facts that arrived, less those that left */
	int64		nonfinite;		/* likewise, of those whose amount is not
								 * finite */
	int64		reversed;		/* facts that end before they begin */
	int64		errors;			/* facts ignored by this measure */
	Numeric		amount;			/* of what is held; not divided */
	Numeric		amount_days;	/* amounts times their days since 2000-01-01 */
} KpiBalance;

/* False, and all zero but errors, when the cell has nothing of that measure. */
extern bool kpi_cell_balance(const KpiCell *cell, int32 measure_id, KpiBalance *balance);

/*
 * What a cell of an earlier day brings to this day where what it holds changes
 * hands then: its balances as if they arrived on the day, and nothing else.
 * Additive: the carry of a sum is the sum of the carries.
 */
extern KpiCell *kpi_cell_carry(const KpiCell *cell, int32 day);

/* ---- left_out.c ---- */

/* Why a fact counts for nothing in a measure.  Stored, never renumber. */
typedef enum KpiLeftOut
{
	KPI_LEFT_OUT_FILTER_FALSE = 1,	/* the source's filter or the KPI's */
	KPI_LEFT_OUT_FILTER_NULL = 2,
	KPI_LEFT_OUT_NO_TIME = 3,	/* it is NULL or infinite */
	KPI_LEFT_OUT_DAY_OUT_OF_RANGE = 4,	/* none that facts may have */
	KPI_LEFT_OUT_NO_VALUE = 5,	/* of a rate: "of" is not true */
	KPI_LEFT_OUT_END_BEFORE_START = 6,	/* of a balance */
	KPI_LEFT_OUT_NONFINITE = 7, /* its number is NaN or infinite */
	KPI_LEFT_OUT_TOO_LONG = 8	/* or has too many digits */
} KpiLeftOut;

#define KPI_LEFT_OUT_REASONS 8

/* As people are told. */
extern const char *kpi_cell_left_out_name(KpiLeftOut reason);

/* Tells of each measure and reason that a cell has facts of. */
typedef void (*KpiLeftOutTell) (int32 measure_id, KpiLeftOut reason, int64 facts, void *arg);
extern void kpi_cell_left_out(const KpiCell *cell, KpiLeftOutTell tell, void *arg);

/* ---- adhoc.c ---- */

/*
 * What an aggregate's transition function returns after one more row, or, with
 * sign -1, one less.  The layout has one measure, whose id is 1; the value is of
 * kpi_internal.adhoc_final().
 */
extern Datum kpi_cell_adhoc_change(FunctionCallInfo fcinfo, const KpiLayout *layout,
								   Datum *inputs, const bool *isnull, int sign);

/* ---- hll.c ---- */

/* Whether different values can be estimated: extension hll is there. */
extern bool kpi_cell_hll_is_there(void);

/* ---- io.c ---- */

/* io.c: the type's output function, to show cells in reports */
extern Datum kpi_sql_cell_out(PG_FUNCTION_ARGS);

#endif							/* KPI_CELL_H */
