/*-------------------------------------------------------------------------
 *
 * model.h
 *	  Definitions in memory: sources, streams, measures, KPIs, formulas; what is
 *	  stored of the state of sources.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_MODEL_H
#define KPI_MODEL_H

#include "postgres.h"

#include "calendar/calendar.h"
#include "cell/cell.h"
#include "expr/expr.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "utils/numeric.h"

/* ---- source.c ---- */

/*
 * An input of a measure that is the day of the fact: in the facts query days since
 * 2000-01-01, where the value of the measure is not NULL.
 */
#define KPI_DAY_INPUT "NULL::integer"

/* kpi_internal.measure */
typedef struct KpiMeasure
{
	int32		id;
	int32		kpi_id;
	char	   *kpi_name;
	KpiKind		kind;
	bool		is_end;			/* what leaves a balance, another measure of
								 * its KPI */
	char	   *options;		/* of its states, as layouts have them; "":
								 * none */
	List	   *inputs;			/* char *: SQL text of the inputs as the facts
								 * query shows them, filter and casts
								 * included; as many as its kind takes, but of
								 * kind left_out what its one is made of
								 * (KPI_LEFT_OUT_TEXTS) */
	int32		divisor;
	bool		is_known;		/* kpi_internal.measure_built has it at the
								 * stream's version, and how far it is */
	DateADT		days_since;
	DateADT		rollups_since;
} KpiMeasure;

/*
 * Whom the facts of a stream count for: what its owner names, and whether on
 * the days of the facts or, with credit today, on all days as today.  Stored, never
 * renumber.
 */
typedef enum KpiOwnerKind
{
	KPI_OWNER_MEMBER,
	KPI_OWNER_TEAM,
	KPI_OWNER_COMPANY,
	KPI_OWNER_MEMBER_TODAY,
	KPI_OWNER_TEAM_TODAY
} KpiOwnerKind;

/* kpi_internal.stream */
typedef struct KpiStream
{
	int32		id;
	int32		version;
	bool		is_left_out;	/* of measures of kind left_out: every row is
								 * a fact of it, of the company, without
								 * dimensions, and has no rollups */
	KpiOwnerKind owner_kind;
	char	   *owner;			/* NULL for KPI_OWNER_COMPANY */
	char	   *at;
	char	   *currency;		/* of amounts that are converted, a key as
								 * owner is; or NULL */
	char	   *exchange;		/* by whose rates */
	int			nmeasures;
	KpiMeasure *measures;		/* ascending id */
} KpiStream;

typedef struct KpiSource
{
	int32		id;
	char	   *name;
	char	   *relation;		/* qualified and quoted: the name of the table
								 * now, if it has one */
	char	   *stored_relation;	/* as in kpi.source */
	char	   *former_relation;	/* its name before, while that counts; or
									 * NULL */
	Oid			attached;		/* the table that was refreshed last, or
								 * InvalidOid */
	List	   *renames;		/* KpiColumnRename: columns that were renamed;
								 * the texts below have the new names */
	bool		follows_swaps;	/* on_swap */
	double		hold_if_lost;	/* a share; 0: never */
	char	   *filter;			/* or NULL */
	char	   *loaded_at;		/* or NULL */
	int32		stale_seconds;	/* 0: never */
	KpiGrain	grain;
	int32		calendar_id;
	char	   *time_zone;
	char	   *definer;
	Oid			definer_oid;	/* the role that had the name when the source
								 * was first looked at; or InvalidOid */
	bool		definer_login;	/* which could log in then */
	KpiCode    *code;			/* of others, that its expressions reach */
	Oid			table_owner;	/* the table's owner then, or InvalidOid */
	int			ndims;
	char	  **dim_names;
	char	  **dim_exprs;		/* already cast to text; of an attribute a
								 * NULL */
	char	  **dim_attributes; /* the attribute of the owner that the
								 * dimension is; NULL: it is of the fact */
	bool		has_attributes; /* one of them is */
	int			nstreams;
	KpiStream  *streams;		/* ascending id; only those with measures */
} KpiSource;

/*
 * Reads a source's definitions into the current memory context, under the
 * active snapshot if use_active, else under a fresh one (capture: the
 * transaction's own may be older than the source).  NULL if it is not there.
 */
extern KpiSource *kpi_model_source_load(int32 source_id, bool use_active);

/* The kind that owner_kind and credit of kpi_internal.stream name. */
extern KpiOwnerKind kpi_model_owner_kind(const char *name, const char *credit);

/* Whether owners of a kind are members, and whether they count as they are today. */
extern bool kpi_model_owner_is_member(KpiOwnerKind kind);
extern bool kpi_model_owner_is_of_today(KpiOwnerKind kind);

/* The part of a stream (kpi_internal.stream) that is_left_out. */
#define KPI_LEFT_OUT_PART "left_out"

/*
 * What a measure of kind left_out is made of, in the place of inputs: the KPI's filter;
 * whether a fact ends before it begins; whether it has a value; and behind these, any
 * number of them, the numbers of the measure.
 */
#define KPI_LEFT_OUT_TEXTS 3

/*
 * The values that day cells of a stream have besides owner and day: those of the
 * source's dimensions, and behind them the currency of its amounts.
 */
#define KPI_CURRENCY_COLUMN "amount_currency"
extern int	kpi_model_stream_ndims(const KpiSource *source, const KpiStream *stream);
extern const char *kpi_model_stream_dim_name(const KpiSource *source, const KpiStream *stream, int i);
extern const char *kpi_model_stream_dim_expr(const KpiSource *source, const KpiStream *stream, int i);

/*
 * Rollups that a stream has besides months, and the days of teams: where the cells
 * below them are no substitute when a value is read.
 */
#define KPI_DETAIL_PARTS	0x01	/* days of teams by values of dimensions */
#define KPI_DETAIL_MEMBERS	0x02	/* days of members */
#define KPI_DETAIL_YEARS	0x04	/* KPI_ANCHOR_YEAR of all that has months */
extern int	kpi_model_stream_detail(const KpiStream *stream);

/* Whether any of its streams has one. */
extern bool kpi_model_source_has_currency(const KpiSource *source);

/* The stream with this id, or NULL. */
extern const KpiStream *kpi_model_stream_find(const KpiSource *source, int32 stream_id);

/* Error: no source has this name; those that are near it are in the hint. */
pg_noreturn extern void kpi_model_unknown_source(const char *name);

extern int32 kpi_model_source_id(const char *name); /* error if unknown */

/*
 * The role whose rights the source's expressions have.  Error if it does not
 * exist, or if another role has its name by now.
 */
extern Oid	kpi_model_source_definer(const KpiSource *source);

/* The leaf tables that hold rows: the table itself or its leaf partitions. */
extern List *kpi_model_leaf_relids(Oid relid);

/*
 * Whether a stream has a balance, so that what it holds moves with its owners and
 * its rollups have what sums over all days before one are made of.
 */
extern bool kpi_model_stream_has_balance(const KpiStream *stream);

/* Layout of the given measures (indexes into stream->measures; NULL: all). */
extern KpiLayout *kpi_model_stream_layout(const KpiStream *stream, const Bitmapset *which);

/* ---- keyed.c ---- */

/* kpi.followed_relation: a table that the query of a keyed source, or a follow query, reads. */
typedef struct KpiFollow
{
	int			position;
	char	   *relation;		/* qualified and quoted */
	char	   *query;			/* the entities of a row "changed"; NULL: it
								 * does not change */
	List	   *columns;		/* char *: of "changed", that the query needs */
	bool		uses_all;		/* a change of any column matters */
	List	   *used;			/* char *: else of these */
} KpiFollow;

/* kpi.keyed_source: what a source over kept rows has besides. */
typedef struct KpiKeyed
{
	int32		source_id;
	int32		version;		/* of what notes mean */
	char	   *query;
	List	   *columns;		/* char *: of the query, in its order */
	List	   *key;			/* char *: of these */
	List	   *entity;
	bool		is_followed;
	char	   *changed_at;		/* column; or NULL */
	int32		full_seconds;	/* with changed_at: all are read so often; 0:
								 * never */
	char	   *facts_relation; /* the query is made of this table and of
								 * lookups; or NULL */
	List	   *follows;		/* KpiFollow */
} KpiKeyed;

/* As kpi_model_source_load(); NULL if the source is over a table of the user's own. */
extern KpiKeyed *kpi_model_keyed_load(int32 source_id, bool use_active);

/* The name of a type for casts from text: of any length, where character would be character(1). */
extern char *kpi_model_type_name(Oid type);

/* A follow query beside a row "changed" that has these columns of a table, as one query. */
extern char *kpi_model_follow_text(const char *query, Oid relid, List *columns);

/* ---- rename.c ---- */

extern Oid	kpi_model_relid_by_name(const char *relation);	/* as kpi.source has it */

/* For so long the name that a table had when it was renamed counts. */
#define KPI_FORMER_SECONDS 3600
extern bool kpi_model_former_counts(const char *former, TimestampTz since);

/*
 * The table that a source is over, of whatever kind: the one that has the name it
 * was renamed from (former; or NULL), else its name, else the one that is
 * attached.  InvalidOid: there is none.
 */
extern Oid	kpi_model_relid(const char *relation, const char *former, Oid attached);
extern Oid	kpi_model_source_relid(const KpiSource *source);

/*
 * The columns of a source's table (KpiColumnRename) that are called otherwise than
 * its stored texts do.
 */
extern List *kpi_model_renames(int32 source_id, Oid relid);

/*
 * The columns of a relation, as kpi_internal.source_state.columns keeps them: by
 * name, each as a text that begins with its number.  Within kpi_spi_begin().
 */
extern Datum kpi_model_columns(Oid relid);

/* ---- source_state.c ---- */

/*
 * The table that the last refresh found under the source's name, or
 * InvalidOid.
 */
extern Oid	kpi_model_attached_relid(int32 source_id);

/*
 * False for a leaf that no refresh has seen yet: the first that does reads all
 * its facts.
 */
extern bool kpi_model_leaf_is_known(int32 source_id, Oid leaf);

/*
 * Whether the source is suspended, as of now.  Its writers have nothing to
 * capture: kpi.resume(), which locks them out and tells them, has all facts
 * read again.
 */
extern bool kpi_model_source_is_suspended(int32 source_id);

/* ---- known_code.c ---- */

/*
 * Accepts what the source's expressions reach, or with a kpi_id what that
 * KPI's reach besides.  The caller acts for the definer.
 */
extern void kpi_model_code_accept(int32 source_id, int32 kpi_id);

/* Stores what was met as what is known. */
extern void kpi_model_code_save(const KpiSource *source);

/* ---- formula_parse.c ---- */

/* What a node of a formula is.  Those from KPI_FORMULA_PREVIOUS on look at other periods or places. */
typedef enum KpiFormulaOp
{
	KPI_FORMULA_NUMBER,
	KPI_FORMULA_KPI,
	KPI_FORMULA_NEGATE,
	KPI_FORMULA_ADD,
	KPI_FORMULA_SUBTRACT,
	KPI_FORMULA_MULTIPLY,
	KPI_FORMULA_DIVIDE,
	KPI_FORMULA_NULLIF,
	KPI_FORMULA_COALESCE,
	KPI_FORMULA_GREATEST,
	KPI_FORMULA_LEAST,
	KPI_FORMULA_ABS,
	KPI_FORMULA_ROUND,
	KPI_FORMULA_CASE,			/* condition, result, ..., or else */
	KPI_FORMULA_SWITCH,			/* value, compared, result, ..., or else */

	/* conditions */
	KPI_FORMULA_LESS,
	KPI_FORMULA_LESS_EQUAL,
	KPI_FORMULA_EQUAL,
	KPI_FORMULA_NOT_EQUAL,
	KPI_FORMULA_GREATER_EQUAL,
	KPI_FORMULA_GREATER,
	KPI_FORMULA_AND,
	KPI_FORMULA_OR,
	KPI_FORMULA_NOT,

	/* of the period before, or a year ago */
	KPI_FORMULA_PREVIOUS,
	KPI_FORMULA_YEAR_AGO,
	KPI_FORMULA_GROWTH,
	KPI_FORMULA_YEAR_GROWTH,

	/*
	 * of all days of the fiscal year, the quarter, or some days or periods,
	 * until the last of the period
	 */
	KPI_FORMULA_YTD,
	KPI_FORMULA_QTD,
	KPI_FORMULA_ROLLING,
	/* of balances */
	KPI_FORMULA_OPENING,
	KPI_FORMULA_CLOSING,
	KPI_FORMULA_DAILY_AVERAGE,
	/* what a goal asks for; all facts, not those of one value of a dimension */
	KPI_FORMULA_TARGET,
	KPI_FORMULA_WHOLE
} KpiFormulaOp;

typedef struct KpiFormulaNode
{
	KpiFormulaOp op;
	int			location;		/* in the text, where an error is shown */
	Numeric		number;			/* of a number */
	int			kpi;			/* of a KPI: index into the names */
	int			n;				/* rolling: how many */
	KpiGrain	unit;			/* of these */
	char	   *plan;			/* target: of which plan */
	List	   *args;			/* KpiFormulaNode * */
} KpiFormulaNode;

typedef struct KpiFormula
{
	KpiFormulaNode *root;
	List	   *names;			/* char *: the KPIs in it, each once, in order
								 * of first use */
	List	   *uses;			/* the nodes of KPIs, in the order of the text */
	bool		over_time;		/* it has functions over time */
	bool		follows_day;	/* and of those that in an open period go
								 * until today */
} KpiFormula;

/*
 * Parses a formula into the current memory context.  Error if it is malformed,
 * with the position, or too long.
 */
extern KpiFormula *kpi_model_formula_parse(const char *text);

/* Its names. */
extern List *kpi_model_formula_names(KpiFormula *formula);

/* How a function over time is written: previous, year_ago, ... */
extern const char *kpi_model_formula_function(KpiFormulaOp op);

/* The text of a formula with one KPI's name replaced by another, quoted where needed. */
extern char *kpi_model_formula_rename(const char *text, const char *old_name, const char *new_name);

/*
 * To be called within ereport() about a formula: shows where in its text a node, or
 * else the first use of a name, is.
 */
extern int	kpi_model_formula_errposition(const char *text, const KpiFormulaNode *node);
extern const KpiFormulaNode *kpi_model_formula_use(const KpiFormula *formula, const char *name);

/* ---- formula.c ---- */

/* Where the evaluation of a formula has its numbers from; NULL is "no value". */
typedef struct KpiFormulaReader
{
	Numeric		(*kpi) (void *arg, int kpi);
	/* of a function over time; NULL: they have no values */
	Numeric		(*over_time) (void *arg, const KpiFormulaNode *call);
	void	   *arg;
} KpiFormulaReader;

/*
 * The value of a node that is a number.  Raises no error: what is undefined (division
 * by zero, overflow) has no value.
 */
extern Numeric kpi_model_formula_number(const KpiFormulaNode *node, const KpiFormulaReader *reader);

/*
 * The value of a formula.  When it is a quotient as a whole, its two sides are returned
 * as well, else NULL.
 */
extern Numeric kpi_model_formula_eval(const KpiFormula *formula, const KpiFormulaReader *reader,
									  Numeric *numerator, Numeric *denominator);

/* How the values of days make that of a longer period. */
typedef enum KpiShape
{
	KPI_SHAPE_ADDITIVE,			/* they add up */
	KPI_SHAPE_QUOTIENT,			/* both sides of it do */
	KPI_SHAPE_OF_OPENING,		/* the numerator does, and the denominator is
								 * what was held when the period began */
	KPI_SHAPE_BALANCE,			/* what they change it by does */
	KPI_SHAPE_OTHER				/* neither */
} KpiShape;

/*
 * Visits each use of a KPI in a formula, with what the functions over time around it are: from
 * the outermost inwards, as they are evaluated.
 */
typedef struct KpiFormulaVisit
{
	const KpiFormulaNode *use;
	int			periods;		/* as in KpiLookback */
	int			days;
	int			times;			/* how often it is evaluated in another
								 * window; 0: it is not */
	bool		whole;
	bool		is_target;
} KpiFormulaVisit;

/* Whether it asks for the target of a KPI, by its index into the names. */
extern bool kpi_model_formula_has_target(const KpiFormula *formula, int kpi);

/* More periods, days and times than this are as many. */
#define KPI_LOOKBACK_MAX 1000000

extern void kpi_model_formula_visit(const KpiFormula *formula, void (*visit) (void *arg, const KpiFormulaVisit *visit),
									void *arg);

/* The shape of a formula, by those of the KPIs in it, in the order of its names. */
extern KpiShape kpi_model_formula_shape(const KpiFormula *formula, const KpiShape *inputs);

/* ---- program.c ---- */

/* Whom a cell and a value are of; stored, never renumber. */
typedef enum KpiScopeKind
{
	KPI_SCOPE_TEAM = 1,
	KPI_SCOPE_MEMBER = 2
} KpiScopeKind;

/*
 * Which periods a changed day can move.  What is stored of a KPI's values is
 * rewritten for its reach.
 */
typedef enum KpiReach
{
	KPI_REACH_OWN,				/* those that it lies in */
	KPI_REACH_LATER				/* and all later ones */
} KpiReach;

/*
 * From which earlier days the value of a KPI in a period may follow: those of so many periods
 * of its grain before it, and of so many days before these.
 */
typedef struct KpiLookback
{
	bool		all;			/* of all earlier days */
	int			periods;
	int			days;
} KpiLookback;

/* A KPI of a program: a measure, or a formula over KPIs before it. */
typedef struct KpiProgramNode
{
	int32		kpi_id;
	bool		additive;
	bool		is_balance;		/* all its measures are */
	bool		by_dimension;	/* of a value of a dimension it is that of the
								 * value, not whole() */
	KpiLookback lookback;		/* of the KPI, for changes of this one */
	KpiShape	shape;
	KpiFormula *formula;		/* NULL: a measure */
	int			ninputs;
	int		   *inputs;			/* in the order of the formula's names */
	int32		source_id;		/* of a measure, as the rest */
	int32		stream_id;
	KpiOwnerKind owner_kind;	/* of the stream */
	int32		measure_id;
	KpiKind		kind;
	int32		end_stream_id;	/* of a balance: what leaves it; else 0 */
	int32		end_measure_id;
	Numeric		parameter;		/* NULL: its kind takes none */
	int			detail;			/* of the stream */
	int32		divisor;
	KpiGrain	grain;			/* the shortest its source has values of */
	KpiReach	reach;
} KpiProgramNode;

/*
 * All that the value of a KPI is computed by, besides cells.  Its text is in
 * kpi_internal.kpi_stream, so a reader has that of the definition its snapshot
 * shows.
 */
typedef struct KpiProgram
{
	uint64		number;			/* of this text, in this backend */
	char	   *time_zone;		/* which day is today */
	int			week_start;		/* of the organisation's calendar, by which
								 * periods are cut */
	int			fiscal_start;
	KpiReach	reach;			/* the longest of its measures */
	KpiGrain	grain;			/* the shortest that all of them have values
								 * of */
	int			nnodes;
	KpiProgramNode *nodes;		/* inputs before users; the last is the KPI */
	int			nstreams;
	int32	   *streams;		/* of its measures, each once */
	KpiLookback lookback;		/* the longest of its nodes */
	bool		over_time;		/* a formula has functions over time */
	bool		follows_day;	/* in an open period it is another on each day */
} KpiProgram;

/* For the measures of one stream: how far the KPI looks back, and whether its breakdowns are theirs. */
extern KpiLookback kpi_model_program_lookback(const KpiProgram *program, int32 stream_id);
extern bool kpi_model_program_by_dimension(const KpiProgram *program, int32 stream_id);

/* The first day that a value in a period depends on; DATEVAL_NOBEGIN: there is none. */
extern DateADT kpi_model_lookback_since(const KpiLookback *lookback, KpiGrain grain, DateADT start);

/* How many values of KPIs it takes, each in a window; PG_INT32_MAX: as many or more. */
extern int	kpi_model_program_cost(const KpiProgram *program);

/*
 * The program of a text, kept in this backend's memory; valid until the next call.
 */
extern const KpiProgram *kpi_model_program(const text * program);

/* The text of a KPI's program, by its definition as of now.  Within kpi_spi_begin(). */
extern char *kpi_model_program_text(int32 kpi_id);

/* ---- measure.c ---- */

/* What the values of a measure can be, whatever the facts are. */
typedef enum KpiMeasureRange
{
	KPI_RANGE_ANY,
	KPI_RANGE_NOT_NEGATIVE,
	KPI_RANGE_SHARE				/* from 0 to 1 */
} KpiMeasureRange;

/*
 * By the name of a kind of measure.  NULL is a formula's: nobody knows its
 * range, so it is KPI_RANGE_ANY.
 */
extern KpiMeasureRange kpi_model_measure_range(const char *kind);

/* By the name of a kind of measure. */
extern KpiReach kpi_model_measure_reach(const char *kind);

typedef struct KpiMeasureDef
{
	KpiKind		kind;
	char	   *text;			/* as kpi.kpi.measure shows it */
	char	   *options;		/* as in kpi_internal.measure */
	List	   *inputs;			/* char *: likewise */
	const char *filter;			/* that is in them; or NULL */
	char	   *has_value;		/* whether a fact that meets it counts; NULL:
								 * each does */
	List	   *numbers;		/* char *: those that it is of, without the
								 * filter */
	char	   *is_reversed;	/* of a balance: whether it ends before it
								 * begins; else NULL */
	int32		divisor;
	char	   *parameter;		/* a number; NULL: its kind takes none */
	bool		is_large;		/* its states are kept apart from those of
								 * other measures */
	KpiExpr    *currency;		/* of its amounts; NULL: none is given */
	char	   *unit;			/* as given, or what durations are counted in */
	bool		additive;		/* values of different days add up */
} KpiMeasureDef;

/*
 * Checks a measure and combines it with the KPI's filter (a checked boolean
 * expression, or NULL).  Runs as the current user, who must be the source's
 * definer.
 */
extern KpiMeasureDef *kpi_model_measure_parse(Oid relid, const char *text, const char *filter,
											  const char *unit, const char *kpi_name);

/* ---- measure_extreme.c ---- */

/* Whether a measure goes by the order of its facts. */
extern bool kpi_model_measure_is_ordered(KpiKind kind);

/*
 * Adds the inputs that say the order: the time of the stream, and the key of the
 * source, checked, which "what" names in errors.
 */
extern void kpi_model_measure_order(KpiMeasureDef *def, const char *at, const KpiExpr *key,
									const char *what, const char *filter);

#endif							/* KPI_MODEL_H */
