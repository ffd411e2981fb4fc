/*-------------------------------------------------------------------------
 *
 * fact.h
 *	  What a row means: as SQL, read as groups, and compiled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_FACT_H
#define KPI_FACT_H

#include "postgres.h"

#include "base/base.h"
#include "cell/cell.h"
#include "executor/tuptable.h"
#include "expr/expr.h"
#include "fmgr.h"
#include "model/model.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "storage/lockdefs.h"
#include "tcop/dest.h"
#include "utils/tuplestore.h"
#include "utils/timestamp.h"

/* ---- query.c ---- */

/* Which of the facts of a stream are read, and what of them. */
typedef struct KpiFactPart
{
	const Bitmapset *measures;	/* numbers of those whose inputs are; NULL:
								 * all */
	DateADT		since;			/* facts of these days, and of some near them */
	DateADT		until;			/* exclusive */
	bool		and_left_out;	/* as well as those of days that facts cannot
								 * have */
} KpiFactPart;

/*
 * The facts query of one stream as people read it, with the inputs of the given
 * measures (NULL: all).  It names the table: what reads facts is cells.c.
 */
extern char *kpi_fact_query(const KpiSource *source, const KpiStream *stream, const Bitmapset *which);

/* The table that a source is over; error if it is gone. */
extern Oid	kpi_fact_relation(const KpiSource *source);

/* The type of a stored expression of the source; and, as SQL, the day that its time is on. */
extern Oid	kpi_fact_type(const KpiSource *source, Oid relid, const char *text);
extern char *kpi_fact_day_text(const KpiSource *source, Oid relid, const char *at);

/* Error unless the expression's type is a point in time or a date. */
extern void kpi_fact_check_time(const KpiExpr *expr, const char *what);

/* ---- key.c ---- */

/*
 * A key or dimension value as it is stored: cut after KPI_MAX_KEY bytes and given
 * a hash of the whole, the same in capture and in scans.  Returns key itself if
 * it is short.
 */
extern char *kpi_fact_key_bounded(char *key);

/*
 * SQL text of a checked expression as an owner: kpi_expr_key_text(), or of a type
 * that groups as its text does.
 */
extern char *kpi_fact_owner_key(const KpiExpr *expr, const char *what);

/*
 * A key of any type that a function is called with: the text that facts with this
 * key have.  Error if its type is no key, it is no name (kpi_arg_name()), or, the
 * second, it is null; "what" names it.
 */
extern char *kpi_fact_key_optional_arg(FunctionCallInfo fcinfo, int n, const char *what);
extern char *kpi_fact_key_arg(FunctionCallInfo fcinfo, int n, const char *what);

/* ---- projection.c ---- */

/* One fact of one stream, valid until the projection's next use. */
typedef struct KpiFact
{
	bool		is_event;		/* false: filtered out, or has no time */
	bool		failed;			/* as a whole: an expression did, or */
	bool		out_of_range;	/* its day is none that facts may have */
	char	   *owner;			/* bounded key or NULL */
	DateADT		day;
	char	  **dims;			/* [kpi_model_stream_ndims()] bounded values,
								 * each may be NULL */
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
 * fits (dropped or retyped column).  Unless fingerprints is NULL, what the
 * expressions and the time zone depend on is added to it (expr/expr.h).
 */
extern KpiProjection *kpi_fact_projection_create(const KpiSource *source, Oid leaf,
												 MemoryContext parent, KpiFingerprints *fingerprints);
extern void kpi_fact_projection_free(KpiProjection *proj);

/* A set of the columns that the expressions of a projection use. */
typedef uint64 KpiColumnSet;

/* What the comparison of two rows says where it does not know better. */
#define KPI_ALL_COLUMNS PG_UINT64_MAX

/* Which columns of those that expressions use differ between the two rows: 0 if none. */
extern KpiColumnSet kpi_fact_projection_changed(KpiProjection *proj, TupleTableSlot *old_slot,
												TupleTableSlot *new_slot);

/* Whether stream number s may make another fact of a row in which these have changed. */
extern bool kpi_fact_projection_concerns(KpiProjection *proj, int s, KpiColumnSet changed);

/* Evaluates stream number s (index into source->streams) on a row. */
extern void kpi_fact_project(KpiProjection *proj, int s, TupleTableSlot *slot, KpiFact *fact);

/*
 * The same for the old or the new row of an update, which differ in these columns.
 * Inputs that would take off the old row what they add for the new one may be NULL
 * in both.
 */
extern void kpi_fact_project_update(KpiProjection *proj, int s, KpiColumnSet changed,
									TupleTableSlot *slot, KpiFact *fact);

/*
 * Whether an expression fails on a row that is no event, though that is none of
 * the row's facts: kpi_fact_project() does not evaluate what comes after a condition
 * that is not met, where a planner evaluates what is cheap first.
 */
extern bool kpi_fact_project_hides_error(KpiProjection *proj, int s, TupleTableSlot *slot);

/*
 * When the row was loaded, as the source says; false: it does not say, its expression
 * fails on the row or is NULL, or it follows from none of the columns that have changed.
 */
extern bool kpi_fact_project_loaded(KpiProjection *proj, KpiColumnSet changed, TupleTableSlot *slot,
									TimestampTz *loaded_at);

/* The layout of stream number s, all measures. */
extern const KpiLayout *kpi_fact_projection_layout(KpiProjection *proj, int s);

/* A cell of that layout without facts, to be copied. */
extern const KpiCell *kpi_fact_projection_fresh_cell(KpiProjection *proj, int s);

/* The columns that its expressions use, offset by FirstLowInvalidHeapAttributeNumber. */
extern Bitmapset *kpi_fact_projection_columns(KpiProjection *proj);

/* Whether an expression may reach a function or a type of a user. */
extern bool kpi_fact_projection_has_user_code(KpiProjection *proj);

/*
 * Whether kpi_fact_project() is under way in it: a function of the definer's writes
 * to the same table.  Such a row needs a projection of its own.
 */
extern bool kpi_fact_projection_is_busy(KpiProjection *proj);

/* A whole fact that failed counts here: owner NULL, this day, no dims. */
#define KPI_ERROR_DAY ((DateADT) DATEVAL_NOBEGIN)

/* Where a row is counted that has no day, or none that facts may have, in a stream of what is left out. */
#define KPI_NO_DAY (kpi_calendar_first_fact_day() - 1)

/* What is wrong with a fact whose day is none that facts may have. */
#define KPI_DAY_ERROR KPI_NOTE_OWN "the day of the fact is outside the years 1900 to 2200"

/* ---- loaded.c ---- */

/*
 * The latest loaded_at of the rows of a table, DT_NOBEGIN if none says one, read as
 * kpi_fact_cells_run() reads facts.  False: it is infinite, which says nothing of the others.
 */
extern bool kpi_fact_loaded_read(const KpiSource *source, Oid relid, List *leaves, TimestampTz *loaded_at);

/* ---- change.c ---- */

/*
 * Adds a fact to the cell of its place, or takes it off (sign +1 or -1); NULL
 * begins a cell.  Returns the cell, in place or reallocated as
 * kpi_cell_add_fact() does.
 */
extern KpiCell *kpi_fact_change_cell(KpiCell *cell, const KpiLayout *layout,
									 const KpiFact *fact, int sign);

/* True for a fact that would leave any cell as it is. */
extern bool kpi_fact_changes_nothing(const KpiLayout *layout, const KpiFact *fact);

/* ---- table.c ---- */

/* While one of these is open, see kpi_fact_lock_wait_begin(). */
typedef struct KpiLockWait
{
	const char *table;
	int			timeout;		/* in ms; 0: none */
	int			guc_nest_level; /* 0: nothing was set */
	ErrorContextCallback callback;
} KpiLockWait;

/*
 * From here on a lock is waited for at most kpi.lock_timeout, and the error
 * names the table.  An error in between needs no kpi_fact_lock_wait_end().
 */
extern void kpi_fact_lock_wait_begin(KpiLockWait *wait, const char *table);
extern void kpi_fact_lock_wait_end(KpiLockWait *wait);

/*
 * Looks the table up as the current user would, locks it and its partitions
 * against writers and checks that it can be a source of this definer, or, if
 * none was named, of the one that kpi_fact_definer_choose() takes.
 */
extern Oid	kpi_fact_table_open(const char *name, Oid named_definer);

/* Why a table cannot be the relation of a source, or a partition of it. */
typedef struct KpiTableProblem
{
	const char *message;
	const char *detail;			/* or NULL */
	const char *hint;			/* before there is a source */
	const char *mend;			/* when there is one */
} KpiTableProblem;

/*
 * What kpi.create_source() refuses and may come later, too; false if there is
 * nothing of it.  Waits for no lock.
 */
extern bool kpi_fact_table_problem(Oid relid, bool is_target, KpiTableProblem *problem);

/* "schema.table", quoted. */
extern char *kpi_fact_table_name(Oid relid);

/*
 * Waits for all writers and keeps them out until the transaction ends, and
 * makes every backend read the source's definition anew.
 */
extern void kpi_fact_table_lock(Oid relid, LOCKMODE lockmode);

/* ---- partition.c ---- */

/*
 * The name of the column of the root whose values, in rows of this partition,
 * are of days from since to before until; NULL: none is known.
 */
extern char *kpi_fact_partition_days(Oid leaf, DateADT *since, DateADT *until);

/* ---- cells.c ---- */

/*
 * Runs the facts query of a part of one stream over a table known by its OID,
 * grouped, under the active snapshot: columns owner text, day date, dims text[]
 * (NULL without dimensions), cell kpi.cell, facts bigint (how many the group has).
 * The current user is the source's definer (kpi_user_switch()).  The table and
 * its leaves, all that may be read, are locked.
 */
extern void kpi_fact_cells_run(const KpiSource *source, const KpiStream *stream, const KpiFactPart *part,
							   Oid relid, List *leaves, DestReceiver *dest);

/* What the planner expects of that, by one process. */
typedef struct KpiFactEstimate
{
	double		facts;
	double		cost;
} KpiFactEstimate;

extern void kpi_fact_cells_estimate(const KpiSource *source, const KpiStream *stream, const KpiFactPart *part,
									Oid relid, List *leaves, KpiFactEstimate *estimate);

/* ---- rows.c ---- */

/* Rows of the table of a source that are wanted; more of them may be handed in. */
typedef struct KpiFactRows
{
	const KpiSource *source;
	const KpiStream *stream;	/* whose time and owner are meant; NULL: of
								 * any */
	DateADT		since;			/* of these days; DATEVAL_NOBEGIN and
								 * DATEVAL_NOEND: all, and those without a
								 * time */
	DateADT		until;			/* exclusive */
	bool		and_filtered;	/* as well as those that the source's filter
								 * leaves out */
	List	   *owners;			/* char *: of one of these owners; NIL: of any */
	const char *key_expr;		/* of this expression, as text, the value key;
								 * NULL: any */
	const char *key;
	const bool *enough;			/* no more of them, once that is true; or NULL */
	double		percent;		/* those in so much of the blocks of the
								 * table, the same each time; 0: in all */
}			KpiFactRows;

/*
 * Hands in rows under the active snapshot, by the columns of the table (or root), each until take()
 * returns.  The current user is the source's definer, as for kpi_fact_cells_run(), also in take().
 */
extern void kpi_fact_rows_run(const KpiFactRows * wanted, Oid relid, List *leaves,
							  void (*take) (void *arg, TupleTableSlot *row), void *arg);

/* An expression over rows that is no part of the facts query; kept in the current memory context. */
typedef struct KpiFactExpr KpiFactExpr;

/* As the source's definer, as the next. */
extern KpiFactExpr *kpi_fact_expr_compile(const KpiSource *source, Oid relid, const char *text);

/* False: it failed.  The value is there until the next call. */
extern bool kpi_fact_expr_value(KpiFactExpr *expr, TupleTableSlot *row, Datum *value, bool *isnull);
extern Oid	kpi_fact_expr_type(const KpiFactExpr *expr);

/* The columns it uses, offset by FirstLowInvalidHeapAttributeNumber. */
extern const Bitmapset *kpi_fact_expr_columns(const KpiFactExpr *expr);

/* ---- keyed_check.c ---- */

/* What a keyed source reads. */
typedef struct KpiKeyedReads
{
	List	   *relations;		/* KpiQueryRelation, views too */
	List	   *relids;			/* the same with all partitions */
	List	   *followed;		/* those that are followed */
	List	   *queries;		/* Query: that of the source, and those of
								 * what it follows */
	char	   *fingerprint;	/* changes when the query means something else */
} KpiKeyedReads;

/*
 * Checks the query of a keyed source and those of what it follows, as the current
 * user, who must be the definer (kpi_fact_kept_begin()); kept_relid, unless it
 * is InvalidOid, must have the columns of the query.  Any problem is an error.
 */
extern KpiKeyedReads *kpi_fact_keyed_examine(const KpiSource *source, const KpiKeyed *keyed, Oid kept_relid);

/* Analyses and checks a follow query beside a row "changed" with some columns of a table. */
extern Query *kpi_fact_follow_analyse(const KpiSource *source, const char *relation, const char *text,
									  Oid relid, List *columns);

/* ---- keyed.c ---- */

#define KPI_MAX_ENTITY_COLUMNS 4

typedef struct KpiKeptColumn
{
	char	   *name;
	Oid			type;
} KpiKeptColumn;

/* The kept rows of a keyed source, while they are read and written. */
typedef struct KpiKept
{
	const KpiSource *source;
	const KpiKeyed *keyed;
	Oid			relid;
	char	   *name;			/* qualified and quoted */
	List	   *relids;			/* what else may be read: locked and checked */
	int			ncolumns;
	KpiKeptColumn *columns;
	List	   *key;			/* numbers of columns, from 1 */
	List	   *entity;
	Tuplestorestate *fresh;		/* what the query says of the entities that
								 * were read */
	TupleDesc	fresh_desc;
	int64		rows_read;		/* of tables, for these */
} KpiKept;

/* Entities: an array for each of the entity columns. */
typedef struct KpiEntities
{
	int64		n;
	bool		is_for_any;		/* none of them is known: for plans */
	Datum		arrays[KPI_MAX_ENTITY_COLUMNS];
} KpiEntities;

/* What was noted of a relation: an array of texts for each of its noted columns. */
typedef struct KpiNotes
{
	const KpiFollow *follow;
	int64		n;
	Datum	   *arrays;
} KpiNotes;

typedef struct KpiKeptChanges
{
	int64		added;
	int64		changed;
	int64		gone;
	int64		kept;			/* rows that were read and are facts */
	int64		without_key;	/* that are none, as they have no key */
	int64		without_entity; /* or a key, and no entity */
} KpiKeptChanges;

/* The kept table as it is; error if a column of the key or the entity is missing. */
extern KpiKept *kpi_fact_kept_open(const KpiSource *source, const KpiKeyed *keyed, Oid relid);

/* Makes the definer the current user, with the settings that queries run under. */
extern void kpi_fact_kept_begin(KpiUser *user, const KpiSource *source);

/* The entities that changes touch (KpiNotes, at least one), each once. */
extern KpiEntities *kpi_fact_kept_entities(const KpiKept *kept, List *notes);

/* Both lists. */
extern KpiEntities *kpi_fact_kept_more(const KpiKept *kept, const KpiEntities *entities, const KpiEntities *more);

/* Runs the query for some entities, or for all (NULL); its rows are in kept->fresh until kpi_fact_kept_end(). */
extern void kpi_fact_kept_read(KpiKept *kept, const KpiEntities *entities);

/* Runs it for the rows that were changed, by that column, since the latest that is kept, or then. */
extern void kpi_fact_kept_read_newer(KpiKept *kept, const char *changed_at);

/* Forgets the rows that were read, and the files that many of them are in. */
extern void kpi_fact_kept_end(KpiKept *kept);

/* How it would, for some; and how the entities of a change would be found. */
extern PlannedStmt *kpi_fact_kept_plan(KpiKept *kept);
extern PlannedStmt *kpi_fact_kept_plan_follow(const KpiKept *kept, const KpiFollow *follow);

/* ---- keyed_behind.c ---- */

/*
 * The kept table for the functions below: all that the source reads is examined, and locked in ACCESS
 * SHARE until the end of the transaction.  As the definer (kpi_fact_kept_begin()), as they.
 */
extern KpiKept *kpi_fact_kept_behind(const KpiSource *source, const KpiKeyed *keyed, Oid relid);

/* The entity of a kept row, its columns by their order, in the current memory context. */
extern Datum *kpi_fact_kept_entity(const KpiKept *kept, TupleTableSlot *row);

/* Hands in the rows of a followed table that touch the entity: their key as text, or NULL, and the row as jsonb. */
extern void kpi_fact_kept_events(const KpiKept *kept, const KpiFollow *follow, const Datum *entity,
								 void (*take) (void *arg, TupleTableSlot *row), void *arg);

/* Hands in the rows of the query that have no key, or one and no entity, by the columns of the kept table. */
extern void kpi_fact_kept_incomplete(const KpiKept *kept, bool without_key, void (*take) (void *arg, TupleTableSlot *row),
									 void *arg);

/* ---- keyed_plan.c ---- */

/*
 * Warns of tables that are followed, large, and read as a whole for each change,
 * as the definer (kpi_fact_kept_begin()); the relations are locked.
 */
extern void kpi_fact_keyed_warn(KpiKept *kept, const KpiKeyedReads *reads);

/*
 * Other entities, under which keys are kept that have been read for these; NULL or
 * none: there are none.
 */
extern KpiEntities *kpi_fact_kept_conflicts(KpiKept *kept, const KpiEntities *entities);

/* A key that was read twice, as text; or NULL. */
extern char *kpi_fact_kept_duplicate(KpiKept *kept);

/* How many rows more than now are to be kept of the entities, all (NULL) or those that were read. */
extern int64 kpi_fact_kept_gain(KpiKept *kept, const KpiEntities *entities);

/* How many rows with a value in a column more than now; of all (NULL), how many there will be. */
extern int64 kpi_fact_kept_gain_of(KpiKept *kept, const KpiEntities *entities, const char *column);

/*
 * Makes the kept rows of the entities those that were read; is_part: rows that were
 * not read stay.  Triggers fire.
 */
extern void kpi_fact_kept_write(KpiKept *kept, const KpiEntities *entities, bool is_part,
								KpiKeptChanges *changes);

/* Tells of rows that are not as they were read, at most so many. */
extern void kpi_fact_kept_compare(KpiKept *kept, const KpiEntities *entities, int limit,
								  void (*tell) (const char *key, bool is_kept, bool is_expected, void *arg),
								  void *arg);

/* ---- definer.c ---- */

/* InvalidOid if the table is gone. */
extern Oid	kpi_fact_table_owner(Oid relid);

/* A role that was named, which the current user may be; else an error. */
extern Oid	kpi_fact_definer_named(const char *name);

/*
 * The definer of a source that the current user makes: the named role; else the
 * user, or, of one with a privilege, the owner of the table.
 */
extern Oid	kpi_fact_definer_choose(Oid relid, Oid named);

/*
 * The GRANTs that a role needs to read a relation and, where a trigger is to be put on it, for that; NULL: it
 * has all of them.
 */
extern char *kpi_fact_definer_missing_rights(Oid relid, Oid role, bool needs_trigger);

/* The GRANT statements for what the role lacks to read the table; or NULL. */
extern char *kpi_fact_definer_missing_grants(Oid relid, Oid role);

/* The statement after which the role may read what the table's owner creates beside it later. */
extern char *kpi_fact_definer_default_grants(Oid relid, Oid role);

/*
 * The table or one of its partitions whose owner's code must not run with the
 * rights of the role; InvalidOid: there is none.
 */
extern Oid	kpi_fact_definer_untrusted(Oid relid, Oid role);

/* Why, and what to do about it, for an untrusted table. */
extern char *kpi_fact_definer_untrusted_detail(Oid untrusted, Oid role);
extern char *kpi_fact_definer_untrusted_hint(Oid relid, Oid untrusted);

/* Error unless the role may be the definer of a source over the table. */
extern void kpi_fact_definer_check(Oid relid, Oid role);

/* Tells whose source it is that the table's owner became its definer unasked. */
extern void kpi_fact_definer_tell_owner(const char *source, Oid relid);

/*
 * Makes the table's owner the definer of a source whose own must not read the
 * table, with a warning, and returns it; InvalidOid if the owner cannot be.
 */
extern Oid	kpi_fact_definer_give_to_owner(int32 source_id, const char *source, Oid relid, Oid definer);

/*
 * The definer that a source is to have: its own, or the table's owner, who takes
 * the place of one that must not read it.  Error if neither can be.
 */
extern Oid	kpi_fact_definer_settle(int32 source_id, const char *source, Oid relid, Oid definer);

/* Stores the definer of a source, and makes every backend read it anew. */
extern void kpi_fact_definer_store(int32 source_id, Oid relid, Oid definer);

#endif							/* KPI_FACT_H */
