/*-------------------------------------------------------------------------
 *
 * cell_internal.h
 *	  States, and what every kind of state must be able to do.
 *
 * Inside of the cell* files: what others may know of a cell is in cell.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_CELL_INTERNAL_H
#define KPI_CELL_INTERNAL_H

#include "compat.h"

#include "cell.h"
#include "lib/stringinfo.h"

/*
 * Header of a state.  length counts the header too and is a multiple of 8;
 * what follows is the kind's own.
 */
typedef struct KpiState
{
	int32		measure_id;
	uint8		kind;
	uint8		flags;			/* none yet: 0 */
	uint16		length;
} KpiState;

#define KPI_STATE_MAX_LENGTH 65528

/*
 * Counts stay within this, so that they can be negated and two of them added
 * without a thought.
 */
#define KPI_MAX_COUNT (PG_INT64_MAX / 2)

/*
 * A cell being changed.  When it grows, a cell made on the way is freed, the
 * one that was given never is.
 */
typedef struct KpiCellBuf
{
	KpiCell    *cell;
	KpiCell    *given;
} KpiCellBuf;

static inline KpiState *
kpi_state_at(const KpiCell *cell, uint32 offset)
{
	return (KpiState *) ((char *) cell + offset);
}

/* Of a kind that begins with counts. */
static inline int64 *
kpi_state_counts(const KpiState *state)
{
	return (int64 *) ((char *) state + sizeof(KpiState));
}

#define kpi_foreach_state(state, offset, cell) \
	for (uint32 offset = sizeof(KpiCell); \
		 offset < (cell)->used && (state = kpi_state_at(cell, offset), true); \
		 offset += state->length)

/* (measure id, kind) order */
static inline int
kpi_state_compare(const KpiState *state, int32 measure_id, int kind)
{
	if (state->measure_id != measure_id)
		return state->measure_id < measure_id ? -1 : 1;
	return (int) state->kind - kind;
}

/* Makes room for that many bytes behind the last state. */
extern void kpi_buf_reserve(KpiCellBuf *buf, uint32 bytes);

/*
 * Gives bytes at position "at" of the state at offset another length (both
 * multiples of 8), moving what is behind them.
 */
extern void kpi_buf_resize(KpiCellBuf *buf, uint32 offset, uint32 at,
						   uint32 old_length, uint32 new_length);

/* Inserts an empty state at an offset; the caller knows that it belongs there. */
extern void kpi_buf_insert(KpiCellBuf *buf, uint32 offset, int32 measure_id, KpiKind kind);

/* a + sign * b; errors beyond KPI_MAX_COUNT. */
extern int64 kpi_count_add(int64 a, int64 b, int sign);

/* Text input: cell_io.c. */
typedef struct KpiTextInput
{
	const char *text;			/* whole, for errors */
	const char *next;
} KpiTextInput;

/* Reads " name=" and then a count or a decimal. */
extern int64 kpi_text_count(KpiTextInput *in, const char *name);
extern Numeric kpi_text_decimal(KpiTextInput *in, const char *name);

/* Binary input; checked like text. */
extern int64 kpi_binary_count(StringInfo message);
extern Numeric kpi_binary_decimal(StringInfo message);

/*
 * What a kind can do.  A state of all zero bytes behind its header, of
 * fresh_length, is the kind's empty state.  A kind that is not made of counts
 * and decimals brings functions of its own.
 */
typedef struct KpiKindOps
{
	const char *name;
	int			ninputs;
	bool		boolean_inputs; /* else numbers */
	uint16		fresh_length;
	int			ncounts;		/* first in the state: int64 each */
	int			ndecimals;		/* then these: a slot each */
	int			nonfinite_count;	/* which count is of facts that are not
									 * finite; 0: none */
	const char *fields[4];		/* names of counts and decimals in text */

	/* Adds one fact to the state at offset; may move the cell. */
	void		(*add) (KpiCellBuf *buf, uint32 offset, const KpiInputType *types,
						const Datum *inputs, const bool *isnull, int sign);
	/* Adds sign * other, a state of the same kind; may move the cell. */
	void		(*merge) (KpiCellBuf *buf, uint32 offset, const KpiState *other, int sign);
	void		(*negate) (KpiState *state);
	bool		(*is_empty) (const KpiState *state);
	bool		(*equal) (const KpiState *a, const KpiState *b);
	/* NULL when it is sound, else what is wrong, as a sentence. */
	const char *(*check) (const KpiState *state);
	/* Fills in everything but errors. */
	void		(*final) (const KpiState *state, int32 divisor, KpiFinal *result);

	/* Lossless I/O; in and recv fill the empty state at offset. */
	void		(*out) (StringInfo buf, const KpiState *state);
	void		(*in) (KpiCellBuf *buf, uint32 offset, KpiTextInput *in);
	void		(*send) (StringInfo buf, const KpiState *state);
	void		(*recv) (KpiCellBuf *buf, uint32 offset, StringInfo message);
} KpiKindOps;

/* By KpiKind; NULL for a number that is no kind. */
extern const KpiKindOps *const kpi_kinds[];
extern const int kpi_nkinds;

static inline const KpiKindOps *
kpi_kind_ops(int kind)
{
	return kind >= 0 && kind < kpi_nkinds ? kpi_kinds[kind] : NULL;
}

/* cell_basic.c */
extern const KpiKindOps kpi_count_ops;
extern const KpiKindOps kpi_sum_ops;
extern const KpiKindOps kpi_avg_ops;
extern const KpiKindOps kpi_rate_ops;
extern const KpiKindOps kpi_ratio_ops;
extern const KpiKindOps kpi_errors_ops;

#endif							/* KPI_CELL_INTERNAL_H */
