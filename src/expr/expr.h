/*-------------------------------------------------------------------------
 *
 * expr.h
 *	  Expressions over the columns of one table: parsed, checked, their risk, what
 *	  they reach.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_EXPR_H
#define KPI_EXPR_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "parser/parse_node.h"

/* ---- foreign_code.c ---- */

/*
 * Entries are texts: kind, qualified name, owner.  By name, so that a function
 * that its owner drops and creates again is the same.
 */
typedef struct KpiCode
{
	bool		is_known;		/* false after a restore: known is not set */
	List	   *known;			/* entries accepted when the definer last
								 * defined or resumed */
	bool		accept;			/* the definer is doing that now */
	List	   *reached;		/* entries met since this was made */
} KpiCode;

/* The same of an expression that was parsed, and nothing of it run yet. */
extern void kpi_expr_code_check(KpiCode *code, Node *node);

/* ---- parse.c ---- */

/*
 * Where an expression stands, for errors: while one of these is on the error
 * context stack, the error cursor points into text and the context names what.
 */
typedef struct KpiExprSite
{
	const char *text;
	const char *what;			/* e.g. "filter of KPI \"revenue\"" */
	Oid			relid;			/* InvalidOid: not known yet */
	bool		is_query;		/* a whole query, no expression */
	ErrorContextCallback callback;
} KpiExprSite;

extern void kpi_expr_site_push(KpiExprSite *site, const char *text, const char *what, Oid relid);
extern void kpi_expr_site_pop(KpiExprSite *site);

/*
 * Turns the cursor of the error at hand, which is about a text that the client
 * never sent as a statement, into one into that text.  For error context
 * callbacks.
 */
extern void kpi_expr_error_position(const char *text);

/* The raw parse tree of the one expression a text holds. */
extern Node *kpi_expr_raw(const char *text);

/* A ParseState that sees the columns of one relation, with varno 1. */
extern ParseState *kpi_expr_pstate(Relation rel, const char *text);

/* ---- expr.c ---- */

/* How careful the evaluation of an expression must be. */
typedef enum KpiExprRisk
{
	KPI_EXPR_SAFE,				/* cannot raise an error */
	KPI_EXPR_BUILTIN,			/* built-in functions only: may raise */
	KPI_EXPR_USER				/* calls functions of users: runs as the
								 * source's definer, search_path pinned */
} KpiExprRisk;

/*
 * A stored expression, parsed and checked again.  Call it as the definer, with
 * search_path pinned (kpi_user_switch()).
 */
extern Node *kpi_expr_stored(ParseState *pstate, const char *text, KpiCode *code);

/*
 * Notes the code of others that a stored expression reaches, and checks it; runs
 * none of it.  Like the next it is for the definer.
 */
extern void kpi_expr_reach(Oid relid, const char *text, KpiCode *code);

/* The type of a checked expression. */
extern Oid	kpi_expr_type(Oid relid, const char *text, KpiCode *code);

/* The fingerprints of a source, collected while its expressions compile. */
typedef struct KpiFingerprints KpiFingerprints;

/*
 * Parses a checked expression against a relation: a planned Node whose Vars
 * have varno 1.  Column attribute numbers are added to *attrs (offset by
 * FirstLowInvalidHeapAttributeNumber).  *user_code says whether it names a
 * function or type of a user, which compiling may have replaced by what it
 * does.  Runs as the current user, who must be the source's definer.  Error if
 * it reaches code of others that is not known.  Adds to fingerprints
 * unless it is NULL.
 */
extern Node *kpi_expr_compile(Oid relid, const char *text, Bitmapset **attrs,
							  KpiExprRisk *risk, bool *user_code, KpiCode *code,
							  KpiFingerprints *fingerprints);

/* ---- check.c ---- */

/* What a checked expression is. */
typedef struct KpiExpr
{
	char	   *text;			/* deparsed */
	Oid			type;
	Oid			collation;
	KpiExprRisk risk;
} KpiExpr;

/* kpi_expr_check_full() for a raw parse tree cut out of site->text. */
extern KpiExpr kpi_expr_check_raw(KpiExprSite *site, Node *raw);

/*
 * Checks an expression a user wrote over the columns of a relation and
 * returns it deparsed, every name qualified.  "what" names
 * the thing in errors, e.g. "filter of KPI \"revenue\"".  Runs as the current
 * user.  Errors quote the text and say how to mend it: syntax, unknown
 * column, subquery, aggregate, window or set-returning function, anything not
 * immutable.
 */
extern KpiExpr kpi_expr_check_full(Oid relid, const char *text, const char *what);

/* The part of it about who may run what, for any expression (pstate: or NULL). */
extern void kpi_expr_check_access(ParseState *pstate, Node *node);

/* ---- query.c ---- */

/*
 * Analyses one SELECT as the current user, who must be the
 * source's definer (kpi_user_switch()).  Nothing of it is run but the input functions of
 * its literals, after it was checked whose code that is.  It may have parameters
 * of these types, and read what the environment names.
 */
extern Query *kpi_expr_query_analyse(const char *text, const char *what, const Oid *types, int ntypes,
									 QueryEnvironment *environment, KpiCode *code);

/* Error unless a text is one SELECT by itself. */
extern void kpi_expr_query_require(const char *text, const char *what);

/* Error, with the GRANT, if the current user may not use a schema that there is. */
extern void kpi_expr_schema_require(const char *schema);

/* Its text, with every name outside pg_catalog qualified. */
extern char *kpi_expr_query_text(Query *query);

/* A relation that a query reads, itself or through a view. */
typedef struct KpiQueryRelation
{
	Oid			relid;
	char		relkind;
	Bitmapset  *columns;		/* that it reads, offset by
								 * FirstLowInvalidHeapAttributeNumber */
} KpiQueryRelation;

/* All of them, views too, each once. */
extern List *kpi_expr_query_relations(Query *query);

/* A text that changes when a view or a function that the query reaches is replaced. */
extern char *kpi_expr_query_fingerprint(Query *query);

/*
 * Error if the query writes, or its answer does not follow from the rows alone: volatile functions; and of
 * one that is followed also those that look at the clock or the session, users' own that are
 * not immutable, and LIMIT over more than an entity.
 */
extern void kpi_expr_query_check(Query *query, const char *text, const char *what, bool is_followed);

/* ---- risk.c ---- */

extern KpiExprRisk kpi_expr_risk(Node *node);

/* ---- fingerprint.c ---- */

/* In the current memory context. */
extern KpiFingerprints *kpi_expr_fingerprints_create(void);

/* Adds what all expressions of a source share: its time zone and its dimensions. */
extern void kpi_expr_fingerprints_source(KpiFingerprints *fingerprints, const char *time_zone,
										 int ndims, char **names, char **exprs);

/* One text value per key (jsonb), in the current memory context. */
extern Datum kpi_expr_fingerprints_jsonb(KpiFingerprints *fingerprints);

/*
 * Compares fingerprints of now with those seen before (NULL: none).  True if
 * what they have in common differs; *news says whether there is an expression
 * that was not seen.
 */
extern bool kpi_expr_fingerprints_differ(Datum now, const char *seen, bool *news);

/*
 * What was seen (jsonb as text) as it is seen of the same source after columns
 * were renamed: its expressions have other texts, and its dimensions as well.
 */
extern char *kpi_expr_fingerprints_rename(const char *seen, const List *renames,
										  int ndims, char **names, char **exprs);

/* ---- rename.c ---- */

/* A column that has another name now. */
typedef struct KpiColumnRename
{
	char	   *from;
	char	   *to;
} KpiColumnRename;

/* A stored expression or measure (NULL: none) by the new names of columns, all at once. */
extern char *kpi_expr_rename_columns(const char *text, const List *renames);

/* ---- key.c ---- */

/*
 * SQL text of a checked expression as a text that is the same for equal values and
 * for no others.  Error if its type has none; "what" names it.
 */
extern char *kpi_expr_key_text(const KpiExpr *expr, const char *what);

/* Error if values of a type are no keys. */
extern void kpi_expr_key_check(Oid type, Oid collation, const char *what);

/* ---- call.c ---- */

/* A call of two arguments in a text, the first of which is a name in quotes. */
typedef struct KpiExprCall
{
	int			begin;			/* bytes of the text */
	int			end;
	char	   *name;
	char	   *argument;		/* the second, as written */
} KpiExprCall;

/*
 * The calls of a function of this name in the text of an expression, from left to right;
 * *columns are the names (char *) of columns outside of them.  Error if one is malformed or within
 * another.
 */
extern List *kpi_expr_calls(const char *text, const char *name, List **columns);

/* ---- virtual_column.c ---- */

/* Appends what changes whenever an expression of the table's does. */
extern void kpi_expr_virtual_columns_state(StringInfo state, Oid relid);

/*
 * Why a partition's facts would differ from the same rows read through the
 * root, or NULL.  Locks both with ACCESS SHARE while it looks.
 */
extern char *kpi_expr_virtual_columns_problem(Oid root, Oid leaf);

#define KPI_VIRTUAL_COLUMNS_HINT \
	"Give the column the same expression everywhere with ALTER TABLE ... ALTER COLUMN ... SET EXPRESSION."

/* ---- settings.c ---- */

/*
 * The kinds of settings that the evaluation of a compiled expression may
 * depend on.  One of risk KPI_EXPR_SAFE depends on none, whatever this says.
 */
extern int	kpi_expr_settings_of(Node *node);

#endif							/* KPI_EXPR_H */
