/*-------------------------------------------------------------------------
 *
 * explain_internal.h
 *	  What the files of room explain share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_EXPLAIN_INTERNAL_H
#define KPI_EXPLAIN_INTERNAL_H

#include "cell/cell.h"
#include "executor/tuptable.h"
#include "explain/explain.h"
#include "fact/fact.h"
#include "model/model.h"
#include "refresh/refresh.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "nodes/pg_list.h"
#include "utils/date.h"
#include "value/value.h"

/* ---- read.c ---- */

/* A source whose facts are read for the current user. */
typedef struct KpiExplainSource
{
	KpiSource  *source;
	KpiKeyed   *keyed;			/* NULL: it is over a table of the user's own */
	Oid			definer;
	Oid			relid;			/* locked, with its leaves */
	List	   *leaves;
	KpiProjection *projection;
	List	   *key_texts;		/* char *: the expressions whose values are
								 * the key of a fact; NIL: the source has none */
	List	   *keys;			/* KpiFactExpr */
	ErrorData  *error;			/* the definition does not fit its table:
								 * nothing is compiled, and there may be no
								 * table; or NULL */
}			KpiExplainSource;

/*
 * Error, whose hint is the GRANT, unless the current user may SELECT from a relation: all of it, or
 * these columns (offset by FirstLowInvalidHeapAttributeNumber; NULL: all) and use its schema; and row
 * security does not apply.
 */
extern void kpi_explain_check_reader(Oid relid, const Bitmapset *columns);

/*
 * Loads a source under the active snapshot, locks its table until the end of the transaction, and compiles it, in
 * the current memory context.  Error unless the current user may read all that it uses
 * (kpi_explain_check_reader()) and its definer may still be that.
 */
extern KpiExplainSource * kpi_explain_open(int32 source_id);

/* The same, but what is wrong with the source itself is left in ->error, as it was raised. */
extern KpiExplainSource * kpi_explain_try_open(int32 source_id);

/* The columns that expressions use, offset by FirstLowInvalidHeapAttributeNumber. */
extern Bitmapset *kpi_explain_columns(KpiExplainSource * open, List *texts);

/* kpi_explain_open() of a source that is loaded, whatever the tables of definitions say. */
extern KpiExplainSource * kpi_explain_open_loaded(KpiSource *source);
extern void kpi_explain_close(KpiExplainSource * open);

/* An expression over its rows, whose columns it uses anyway, in the current memory context; evaluated in take(). */
extern KpiFactExpr *kpi_explain_expr(KpiExplainSource * open, const char *text);

/* Which rows are wanted; more of them may be handed in. */
typedef struct KpiExplainWanted
{
	int			s;				/* number of a stream, whose time and owner
								 * are meant */
	DateADT		since;			/* of these days; DATEVAL_NOBEGIN and
								 * DATEVAL_NOEND: all, and those without a
								 * time */
	DateADT		until;			/* exclusive */
	bool		and_filtered;	/* as well as those that the source's filter
								 * leaves out */
	List	   *owners;			/* char *: of one of these owners; NIL: of any */
	const char *key;			/* with this key; NULL: any */
	const bool *enough;			/* no more of them, once take() has made that
								 * true; or NULL */
	double		percent;		/* so much of the blocks of the table; 0: all */
}			KpiExplainWanted;

/* A row of a source's table, valid until the next. */
typedef struct KpiExplainRow
{
	char	   *key;			/* NULL: there is none, or it failed */
	TupleTableSlot *slot;		/* by the columns of the table (or root) */
}			KpiExplainRow;

/*
 * Hands in rows as the active snapshot shows them, in no order.  What take() allocates is freed after it
 * returns.  It is called as the definer, so that expressions can be evaluated (kpi_explain_fact()): it runs no
 * other code of users.
 */
extern void kpi_explain_read(KpiExplainSource * open, const KpiExplainWanted * wanted,
							 void (*take) (void *arg, const KpiExplainRow * row), void *arg);

/*
 * What a stream makes of the row, as capture has it.  Its arrays are the projection's, until the next
 * call.
 */
extern void kpi_explain_fact(KpiExplainSource * open, int s, const KpiExplainRow * row, KpiFact *fact);

/* ---- facts_number.c ---- */

/* A measure of a program, and where its source has it. */
typedef struct KpiFactsMeasure
{
	KpiExplainSource *open;
	const KpiProgramNode *node;
	int			s;				/* number of its stream */
	int			m;				/* and of it in that */
	const char *own_currency;	/* of the company, or NULL */
} KpiFactsMeasure;

/* What a fact amounts to by itself; false: it does not count for the measure. */
extern bool kpi_explain_brings(const KpiFactsMeasure *of, const KpiFact *fact, KpiFinal *final);

/* Of a balance what it holds, from its day on; false: nothing, or it ends before it begins. */
extern bool kpi_explain_holds(const KpiFactsMeasure *of, const KpiFact *fact, KpiFinal *final);

/* ---- key.c ---- */

/* Error unless facts of the source have a key; and that it has none with this one. */
extern void kpi_explain_require_key(const KpiExplainSource * open);
pg_noreturn extern void kpi_explain_unknown_fact(const KpiExplainSource * open, const char *key);

/* ---- lookup.c ---- */

/* A lookup that has no row for a fact. */
typedef struct KpiExplainMissing
{
	char	   *name;			/* of the lookup */
	char	   *column;			/* of the fact, which is NULL */
	AttrNumber	attno;
	char	   *key;			/* that it has no row of */
} KpiExplainMissing;

typedef struct KpiExplainLookups KpiExplainLookups;

/* What facts of the source look up, error unless the reader may see the keys; NULL: they look nothing up. */
extern KpiExplainLookups *kpi_explain_lookups_begin(KpiExplainSource * open);

/* What a row does not find: KpiExplainMissing. */
extern List *kpi_explain_lookups_missing(const KpiExplainLookups *lookups, TupleTableSlot *slot);

/* The columns that a fact of some measure of a stream follows from, dimensions included. */
extern Bitmapset *kpi_explain_lookups_used(KpiExplainSource * open, int s, int m);

/* ---- stored.c ---- */

typedef struct KpiStored KpiStored;

/* How the numbers have a fact, the later the graver. */
typedef enum KpiStoredStatus
{
	KPI_STORED_AS_IT_IS,
	KPI_STORED_UNBUILT,			/* its measure is not built at its day */
	KPI_STORED_PENDING,			/* something of it waits for the next refresh */
	KPI_STORED_SUSPENDED		/* or for the source to go on */
} KpiStoredStatus;

/*
 * What is stored of a source, under the active snapshot.  First all cells that
 * matter are asked for, by numbers that are returned; then kpi_explain_stored_look()
 * looks at what waits.
 */
extern KpiStored *kpi_explain_stored_begin(const KpiSource *source);
extern int	kpi_explain_stored_ask(KpiStored *stored, const KpiStream *stream, const char *owner, DateADT day,
								   char **dims, int ndims);
extern void kpi_explain_stored_look(KpiStored *stored);

/* Why nothing can be said of the facts of a source whose definition does not fit its table, as a sentence. */
extern char *kpi_explain_stored_unfit(const KpiStored *stored, const ErrorData *error);

/*
 * How the numbers of a measure have a fact of a cell (its number; -1: of none) on a day.  *detail
 * is a sentence, unless they have it as it is.
 */
extern KpiStoredStatus kpi_explain_stored_status(const KpiStored *stored, const KpiMeasure *measure, int asked,
												 DateADT day, char **detail);

/* The same of the rows that a keyed source keeps: whether some may be missing. */
extern KpiStoredStatus kpi_explain_stored_kept(const KpiStored *stored, char **detail);

/* ---- counted.c ---- */

/*
 * The team and the member (or NULL), by their keys, that a fact of an owner counts for on a
 * day.  False: the owner is unknown, so the team is (unassigned).
 */
extern bool kpi_explain_counted_for(const KpiSource *source, const KpiStream *stream, const char *owner, DateADT day,
									char **team, char **member);

/* ---- fate.c ---- */

/* A row as a fact of one stream. */
typedef struct KpiFateFact
{
	const KpiStream *stream;
	bool		is_event;		/* as of KpiFact */
	bool		failed;
	Bitmapset  *failed_measures;
	char	   *error;
	char	   *owner;
	char	   *currency;
	DateADT		day;
	KpiCell    *cell;			/* of this fact alone; NULL: it is no event */
	KpiLeftOut *reasons;		/* of a stream of facts that are left out, by
								 * measure; 0: none */
	int			asked;			/* its cell in KpiStored; or -1 */
} KpiFateFact;

/* A row as a fact of all streams of its source. */
typedef struct KpiFateRow
{
	KpiFateFact *facts;
	List	   *missing;		/* KpiExplainMissing */
} KpiFateRow;

/* A measure by numbers: of its stream in the source, and of it in the stream; stream -1: there is none. */
typedef struct KpiFateMeasure
{
	int			stream;
	int			measure;
} KpiFateMeasure;

/* A KPI of a source.  Texts are as they were typed. */
typedef struct KpiFateKpi
{
	int32		id;
	char	   *name;
	char	   *source;
	char	   *measure;
	char	   *source_filter;	/* or NULL, as the rest */
	char	   *filter;
	char	   *owner;
	char	   *at;
	char	   *until;
	KpiFateMeasure value;
	KpiFateMeasure end;			/* of a balance */
	KpiFateMeasure left_out;	/* of its facts that count for nothing */
	Bitmapset  *used;			/* columns, where facts look something up */
	Numeric		parameter;
	DateADT		today;			/* by which it is judged */
	KpiExchange *exchange;		/* or NULL */
} KpiFateKpi;

/* What becomes of a fact in a KPI. */
typedef struct KpiFate
{
	const char *status;
	const char *counts_for;		/* NULL: nobody knows */
	bool		by_count;		/* the count of facts left out has it */
	char	   *team;			/* each may be NULL, as the rest */
	char	   *member;
	char	   *owner;
	bool		has_day;
	DateADT		day;
	Numeric		value;
	Numeric		numerator;
	Numeric		denominator;
	char	   *detail;			/* a sentence or two */
} KpiFate;

/*
 * The row as facts of all streams, or of those of one KPI, whose cells are asked for (stored; NULL: they are
 * not).  The last of its errors is kept.
 */
extern KpiFateRow *kpi_explain_fate_row(KpiStored *stored, const KpiSource *source, KpiProjection *projection,
										TupleTableSlot *slot, const KpiFateKpi *only);

/* By the row alone, whatever is stored of it. */
extern void kpi_explain_fate_now(const KpiFateRow *row, const KpiSource *source, const KpiFateKpi *kpi,
								 KpiFate *fate);

/* Once kpi_explain_stored_look() has looked. */
extern void kpi_explain_fate(const KpiFateRow *row, const KpiStored *stored, const KpiSource *source,
							 const KpiFateKpi *kpi, KpiFate *fate);

/* ---- fate_kpi.c ---- */

/* KpiFateKpi: those of a source, or the one with a name, by name. */
extern List *kpi_explain_fate_kpis(const KpiSource *source, const char *name);

/* ---- facts_left_out.c ---- */

#define KPI_LOOKUP_MISSING "lookup_missing"
#define KPI_NO_KEY "no_key"
#define KPI_NO_ENTITY "no_entity"

/* Which facts of a KPI. */
typedef struct KpiLeftOutWanted
{
	const KpiFateKpi *kpi;
	const char *reason;
	DateADT		since;			/* of these days, and those without one */
	DateADT		until;			/* exclusive */
	List	   *owners;			/* as of KpiExplainWanted */
	int			dim;			/* number of a dimension whose value is
								 * wanted; -1: of none */
}			KpiLeftOutWanted;

typedef struct KpiLeftOutFact
{
	const char *key;			/* or NULL, as the next */
	char	   *owner;
	char	   *dim;			/* NULL also of an attribute of people */
	bool		has_day;		/* one that facts may have */
	DateADT		day;
	KpiFate		fate;			/* zeroed: the fact counts */
}			KpiLeftOutFact;

/* Error, with the list, if there is no such reason. */
extern void kpi_explain_reason_check(const char *name);

/* Hands in facts that are left out for a reason, as of now, until take() says that it has enough (false). */
extern void kpi_explain_left_out_read(KpiExplainSource * open, const KpiLeftOutWanted * wanted,
									  bool (*take) (void *arg, const KpiLeftOutFact * fact), void *arg);

/* ---- preview_measure.c ---- */

/* A measure before it is altered; the definition is kept in the current memory context. */
typedef struct KpiPreviewMeasure KpiPreviewMeasure;

extern KpiPreviewMeasure *kpi_explain_preview_begin(const char *kpi);

/* In the subtransaction in which it is altered.  Error if it has no preview. */
extern void kpi_explain_preview_altered(KpiPreviewMeasure *measure);

/*
 * Once that is undone: what it would be for teams in the periods that begin on these days, as
 * kpi_internal.preview_kpi_values() has it.  Reads the facts.
 */
extern char *kpi_explain_preview_values(KpiPreviewMeasure *measure, KpiGrain grain, DateADT since, DateADT until);

/* ---- estimate_sample.c ---- */

/* Rows that cells would be in, of one stream, kind of scope, grain and dimension. */
typedef struct KpiEstimateLevel
{
	bool		is_day_cell;	/* of kpi_internal.day_cell */
	bool		is_place;		/* without a cell */
	double		cells;
	double		cell_size;		/* in bytes */
	double		touched;		/* by a fact that changes, of a thousand that
								 * are refreshed together */
}			KpiEstimateLevel;

typedef struct KpiEstimateSample
{
	double		facts;			/* rows that count in any stream */
	double		facts_read;		/* those of them that all else is estimated by */
	double		streams_of_fact;
	double		reading_seconds;	/* that reading all facts takes, and
									 * putting them into cells */
	List	   *levels;			/* KpiEstimateLevel */
}			KpiEstimateSample;

/* Reads a sample of the facts of a source that may be nowhere stored, for the current user. */
extern KpiEstimateSample * kpi_explain_estimate_sample(KpiSource *source);

/* ---- query.c ---- */

/* A list of values with the days on which they hold, as a common table expression. */
typedef struct KpiQueryList
{
	char	   *name;
	int			source_id;		/* as what it was asked for, with the next two */
	int			kind;
	const char *of;
	const char *columns;		/* without types: owner, since, until */
	DateADT		since;			/* the days that are needed */
	DateADT		until;
	List	   *rows;			/* KpiQueryRow */
}			KpiQueryList;

typedef struct KpiQueryRow
{
	char	   *key;
	DateADT		since;
	DateADT		until;			/* exclusive */
	char	   *value;			/* as SQL; NULL: it has none */
}			KpiQueryRow;

/* What is known of a source in a query. */
typedef struct KpiQuerySource
{
	KpiSource  *source;
	KpiKeyed   *keyed;			/* or NULL */
	Oid			relid;
	char	   *name;			/* of the common table expression of its
								 * facts; NULL: the table itself */
}			KpiQuerySource;

/* A KPI of the program in a window, as a common table expression with the columns value and known. */
typedef struct KpiQueryBlock
{
	int			node;
	KpiWindow	window;
	bool		is_average;		/* of a balance on the days of the window */
	char	   *name;
	char	   *text;
}			KpiQueryBlock;

/* A query under construction. */
typedef struct KpiQuery
{
	KpiValueCall call;
	const KpiProgram *program;
	DateADT		today;			/* by which the KPI is judged */
	DateADT		credit_day;		/* whose teams count with credit today */
	List	   *names;			/* char *: of common table expressions */
	List	   *notes;			/* char *: what is to be said of it */
	List	   *lists;			/* KpiQueryList */
	List	   *sources;		/* KpiQuerySource */
	List	   *blocks;			/* KpiQueryBlock, each after those that it
								 * reads */
}			KpiQuery;

/* The parts of a statement over the facts of a measure: an aggregate, whether there is a value, and what follows. */
typedef struct KpiQueryNumber
{
	char	   *value;			/* NULL where nothing counts */
	char	   *or_nothing;		/* the same, but 0 */
	char	   *known;
	char	   *from;
}			KpiQueryNumber;

/* A name for a common table expression that no other has. */
extern char *kpi_explain_query_name(KpiQuery * query, const char *wanted);

/* Has it said, once; the text may hold names of users. */
extern void kpi_explain_query_note(KpiQuery * query, const char *note);

extern const KpiQuerySource *kpi_explain_query_source(KpiQuery * query, int32 source_id);

/* ---- query_list.c ---- */

/*
 * The owners whose facts count for the place on some days; of (unassigned) those whose
 * facts do not.
 */
extern const KpiQueryList *kpi_explain_query_owners(KpiQuery * query, int32 source_id, KpiOwnerKind kind,
													const KpiPlace *place, DateADT since, DateADT until);

/* The values of an attribute that owners have, and the rates of currencies. */
extern const KpiQueryList *kpi_explain_query_attribute(KpiQuery * query, int32 source_id, KpiOwnerKind kind,
													   const char *attribute, DateADT since, DateADT until);
extern const KpiQueryList *kpi_explain_query_rates(KpiQuery * query, const char *exchange, DateADT since, DateADT until);

/* The keys under which facts of a source name a member, as SQL: 'alice', '17'. */
extern char *kpi_explain_query_member_keys(int32 source_id, int32 member_id);

/* ---- query_measure.c ---- */

/* A measure in a window; lines are indented by pad. */
extern void kpi_explain_query_measure(KpiQuery * query, const KpiProgramNode *node, const KpiWindow *window,
									  bool is_average, const char *pad, KpiQueryNumber * number);

/* ---- query_formula.c ---- */

/* The KPI of a program as an expression over blocks, which are made. */
extern void kpi_explain_query_formula(KpiQuery * query, const KpiProgramNode *node, const KpiWindow *window,
									  const char *pad, KpiQueryNumber * number);

#endif							/* KPI_EXPLAIN_INTERNAL_H */
