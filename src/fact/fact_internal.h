/*-------------------------------------------------------------------------
 *
 * fact_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_FACT_INTERNAL_H
#define KPI_FACT_INTERNAL_H

#include "expr/expr.h"
#include "fact/fact.h"
#include "model/model.h"
#include "nodes/execnodes.h"
#include "nodes/params.h"
#include "nodes/pg_list.h"
#include "pgtime.h"
#include "utils/date.h"

/* ---- query.c ---- */

/* A column: an expression over the columns of the table, in parentheses. */
typedef struct KpiFactColumn
{
	const char *name;
	char	   *text;
} KpiFactColumn;

/*
 * The columns owner, at, day, the dimensions by name, then the inputs m<id>_1,
 * m<id>_2, ... of the given measures (NULL: all); and the condition that rows meet.
 */
extern List *kpi_fact_columns(const KpiSource *source, const KpiStream *stream,
							  const Bitmapset *which, Oid relid, Oid at_type);

/*
 * The input of a measure of kind left_out: the reason (KpiLeftOut) why a row does not
 * count, smallint; NULL: it does.
 */
extern char *kpi_fact_left_out_reason(const KpiSource *source, const KpiStream *stream,
									  const KpiMeasure *m, Oid relid, Oid at_type);
extern char *kpi_fact_condition(const KpiSource *source, const KpiStream *stream, Oid at_type,
								const KpiFactPart *part);

/*
 * Of it, that times are of some days, and of some near these: a condition that an index on the
 * time can be used for; NULL: all may be.
 */
extern char *kpi_fact_near_days(const KpiStream *stream, Oid at_type, const KpiFactPart *part);

/* ---- day.c ---- */

/* A stretch of time in which the zone's offset is the same. */
typedef struct KpiZoneSpan
{
	pg_time_t	since;			/* Unix seconds, since <= t < until */
	pg_time_t	until;
	long int	gmtoff;
} KpiZoneSpan;

#define KPI_ZONE_SPANS 64

/* A time zone, and the stretches met last. */
typedef struct KpiZone
{
	pg_tz	   *tz;
	KpiZoneSpan spans[KPI_ZONE_SPANS];
} KpiZone;

extern void kpi_fact_zone_open(KpiZone *zone, const char *name);	/* error if unknown */

/*
 * The day of a date, timestamp or timestamp with time zone.  False when it is
 * infinite.
 */
extern bool kpi_fact_day_of_time(KpiZone *zone, Oid type, Datum value, DateADT *day);

/* Whether values of a type are any of these; and the moment that one is, local ones in the zone. */
extern bool kpi_fact_is_time(Oid type);
extern bool kpi_fact_moment_of_time(KpiZone *zone, Oid type, Datum value, TimestampTz *moment);

/* ---- cells.c ---- */

/* A stored expression over the relation of a ParseState, as the definer. */
extern Node *kpi_fact_analyse_text(ParseState *pstate, Oid relid, const char *text, KpiCode *code);

/*
 * A statement of ours with $n for column n of what takes the place of the subquery in which
 * they stand, as the extension's owner.
 */
extern Query *kpi_fact_analyse_over(const char *sql, List *columns);

/* Error if it reads a partition that has come since the others were locked and checked. */
extern void kpi_fact_check_relations(const PlannedStmt *plan, Oid relid, List *leaves);

/* ---- loaded.c ---- */

typedef struct KpiLoadedAt KpiLoadedAt;

/*
 * Compiles the expression for when a row was loaded, in the current memory context and as
 * the definer; *attrs are the columns it uses.  Zone is kept.  Error if it is no time any more.
 */
extern KpiLoadedAt *kpi_fact_loaded_compile(const KpiSource *source, Oid leaf, KpiZone *zone, Bitmapset **attrs,
											bool *user_code);

/*
 * What it says of the row in the context; false: nothing.  *is_busy is true while it runs a
 * user's function.
 */
extern bool kpi_fact_loaded_of_row(KpiLoadedAt *loaded, ExprContext *econtext, Oid definer, bool *is_busy,
								   TimestampTz *loaded_at);

/* ---- guard.c ---- */

typedef struct KpiGuard
{
	AttrNumber	attno;
	Oid			type;
} KpiGuard;

typedef struct KpiGuards
{
	int			n;
	KpiGuard   *columns;
} KpiGuards;

/*
 * The risk of an expression while kpi_fact_guards_hold() for all columns that this
 * adds to *columns (attribute numbers).
 */
extern KpiExprRisk kpi_fact_guarded_risk(Node *node, Bitmapset **columns);

extern void kpi_fact_guards_collect(KpiGuards *guards, TupleDesc desc, const Bitmapset *columns);

/* Whether the row's values of these columns are NULL or usual. */
extern bool kpi_fact_guards_hold(const KpiGuards *guards, TupleTableSlot *slot);

/* ---- share.c ---- */

/*
 * Compiles a list of expressions into one projection.  *conditions, unless
 * NULL, must be evaluated before it, and its slot be the inner tuple of the
 * expression context.
 */
extern void kpi_fact_build_inputs(List *nodes, ExprContext *econtext,
								  ProjectionInfo **conditions, ProjectionInfo **inputs);

/* ---- storage.c ---- */

/*
 * Why the table's rows cannot be followed, as a clause that begins with the
 * table, or NULL.
 */
extern char *kpi_fact_storage_problem(Oid relid);

/* ---- used.c ---- */

typedef struct KpiUsedColumn
{
	AttrNumber	attno;
	int16		typlen;
	bool		typbyval;
} KpiUsedColumn;

typedef struct KpiUsedColumns
{
	bool		any;			/* whole rows or system columns: whatever
								 * changes */
	int			n;
	KpiUsedColumn *columns;		/* by attno */
	AttrNumber	max_attno;
} KpiUsedColumns;

/* The bit of one in a set of them: all beyond the last share it. */
#define KPI_COLUMN_BIT(i) (UINT64CONST(1) << Min(i, 63))

/* Of the given attributes, which are numbered as pull_varattnos() does. */
extern void kpi_fact_used_collect(KpiUsedColumns *used, TupleDesc desc, const Bitmapset *attrs);
extern Bitmapset *kpi_fact_used_attrs(const KpiUsedColumns *used);
extern KpiColumnSet kpi_fact_used_set(const KpiUsedColumns *used, const Bitmapset *attrs);

/* Which of the columns differ between the two rows. */
extern KpiColumnSet kpi_fact_used_changed(const KpiUsedColumns *used, TupleTableSlot *old_slot,
										  TupleTableSlot *new_slot);

/* ---- part.c ---- */

/* Compiled inputs; the conditions, unless NULL, are what they share (share.c). */
typedef struct KpiInputPart
{
	KpiColumnSet changed;		/* inputs of measures that use none of these
								 * are NULL */
	ProjectionInfo *conditions;
	ProjectionInfo *values;		/* NULL: not worth it, or it failed */
} KpiInputPart;

#define KPI_INPUT_PARTS 4

/* The inputs of a stream's measures. */
typedef struct KpiInputs
{
	MemoryContext context;		/* of all that is compiled */
	const KpiLayout *layout;
	List	   *nodes;			/* an expression for each input */
	ExprContext *econtext;
	Oid			definer;
	KpiColumnSet *columns;		/* those each measure uses */
	KpiInputPart all;
	int			nparts;
	KpiInputPart parts[KPI_INPUT_PARTS];
} KpiInputs;

/* Compiles all; the caller fills in the columns. */
extern void kpi_fact_inputs_init(KpiInputs *inputs, const KpiLayout *layout, List *nodes,
								 ExprContext *econtext, Oid definer);

/*
 * What to evaluate of two rows that differ in these columns, which do not decide
 * about the place of the fact: the same for both.
 */
extern const KpiInputPart *kpi_fact_inputs_part(KpiInputs *inputs, KpiColumnSet changed);

/* Whether a part does so with measure number m, whose inputs are then NULL. */
extern bool kpi_fact_part_leaves_out(const KpiInputs *inputs, const KpiInputPart *part, int m,
									 bool *isnull);

/* ---- keyed_statement.c ---- */

/* What rows that were read are called in statements. */
#define KPI_FRESH_ROWS "kpi_fresh"

typedef struct KpiStatement
{
	char	   *sql;
	int			nparams;
	Oid		   *types;
	ParamListInfo params;
	PlannedStmt *plan;
	bool		is_for_any;		/* only planned: parameters have no values */
	bool		is_of_few;		/* kept rows, whatever is known of their table */
	bool		counts_rows;	/* that its scans look at */
	int64		rows_read;
} KpiStatement;

/* The number of a column of the query, from 1. */
extern int	kpi_fact_kept_column(const KpiKept *kept, const char *name);

/* Lists of columns, each with a prefix: c1, c2, ...; with casts to the types of the table; by the names of the table. */
extern char *kpi_fact_sql_columns(const KpiKept *kept, const char *prefix);
extern char *kpi_fact_sql_values(const KpiKept *kept, const char *prefix);
extern char *kpi_fact_sql_names(const KpiKept *kept, const char *prefix);
extern char *kpi_fact_sql_some(List *numbers, const char *prefix, const char *separator, const char *suffix);

/* That neither the key nor the entity is NULL. */
extern char *kpi_fact_sql_complete(const KpiKept *kept, const char *prefix);

/* The equality of a column's type, and that columns on both sides are equal. */
extern char *kpi_fact_sql_equality(const KpiKept *kept, int number);
extern char *kpi_fact_sql_equal(const KpiKept *kept, List *numbers, const char *left, const char *right);

/* The entities that are a statement's parameters, as e; the query, as q. */
extern char *kpi_fact_sql_entities(const KpiKept *kept);
extern char *kpi_fact_sql_query(const KpiKept *kept);

extern void kpi_fact_statement_params(KpiStatement *statement, int n, const Oid *types, const Datum *values);
extern void kpi_fact_statement_entities(const KpiKept *kept, KpiStatement *statement,
										const KpiEntities *entities);
extern void kpi_fact_statement_plan(const KpiKept *kept, KpiStatement *statement, int options);

/* Runs a statement that was planned; its rows, and what columns they have. */
extern Tuplestorestate *kpi_fact_statement_run(const KpiKept *kept, KpiStatement *statement);
extern TupleDesc kpi_fact_statement_desc(const KpiStatement *statement);

#endif							/* KPI_FACT_INTERNAL_H */
