/*-------------------------------------------------------------------------
 *
 * def.h
 *	  Definitions in memory: sources, streams, measures.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_DEF_H
#define KPI_DEF_H

#include "postgres.h"

#include "calendar.h"
#include "cell.h"
#include "fingerprint.h"
#include "foreign_code.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

/* kpi_internal.measure */
typedef struct KpiMeasure
{
	int32		id;
	int32		kpi_id;
	char	   *kpi_name;
	KpiKind		kind;
	char	   *input1;			/* SQL text of the inputs as the facts query
								 * shows them, filter and casts included */
	char	   *input2;			/* rate, ratio; else NULL */
	int32		divisor;
	bool		built;			/* kpi_internal.measure_built has it at the
								 * stream's epoch */
} KpiMeasure;

typedef enum KpiOwnerKind
{
	KPI_OWNER_MEMBER,
	KPI_OWNER_TEAM,
	KPI_OWNER_COMPANY
} KpiOwnerKind;

/* kpi_internal.stream */
typedef struct KpiStream
{
	int32		id;
	int32		epoch;
	KpiOwnerKind owner_kind;
	char	   *owner;			/* NULL for KPI_OWNER_COMPANY */
	char	   *at;
	int			nmeasures;
	KpiMeasure *measures;		/* ascending id */
} KpiStream;

typedef struct KpiSource
{
	int32		id;
	char	   *name;
	char	   *relation;		/* qualified and quoted, as in kpi.source */
	char	   *schema_name;
	char	   *relation_name;
	char	   *filter;			/* or NULL */
	KpiGrain	grain;
	int32		calendar_id;
	char	   *time_zone;
	char	   *definer;
	Oid			definer_oid;		/* the role that had the name when the source
								 * was first looked at; or InvalidOid */
	bool		definer_login;	/* which could log in then */
	KpiCode    *code;			/* of others, that its expressions reach */
	Oid			table_owner;	/* the table's owner then, or InvalidOid */
	int			ndims;
	char	  **dim_names;
	char	  **dim_exprs;		/* already cast to text */
	int			nstreams;
	KpiStream  *streams;		/* ascending id; only those with measures */
} KpiSource;

/* ---- def_cache.c ---- */

/*
 * Reads a source's definitions into the current memory context, under the
 * active snapshot if use_active, else under a fresh one (capture: the
 * transaction's own may be older than the source).  NULL if it is not there.
 */
extern KpiSource *kpi_source_load(int32 source_id, bool use_active);

extern int32 kpi_source_id(const char *name);	/* error if unknown */
extern Oid	kpi_relid_by_name(const char *relation);	/* as kpi.source has it */
extern Oid	kpi_source_relid(const KpiSource *source);	/* by name; InvalidOid
														 * if it is gone */

/*
 * The role whose rights the source's expressions have.  Error if it does not
 * exist, or if another role has its name by now.
 */
extern Oid	kpi_source_definer(const KpiSource *source);

/* The leaf tables that hold rows: the table itself or its leaf partitions. */
extern List *kpi_leaf_relids(Oid relid);

/* Layout of the given measures (indexes into stream->measures; NULL: all). */
extern KpiLayout *kpi_stream_layout(const KpiStream *stream, const Bitmapset *which);

/* ---- def_source.c ---- */

/*
 * What the rows of a source mean has changed: keeps writers out until the
 * transaction ends, makes every backend read the definition anew and starts a
 * new epoch in each of its streams.  Checks no rights.
 */
extern void kpi_source_redefined(int32 source_id);

/* ---- facts.c ---- */

/*
 * The facts query of one stream as people read it, with the inputs of the given
 * measures (NULL: all).  It names the table: what reads facts is cells_query.c.
 */
extern char *kpi_facts_query(const KpiSource *source, const KpiStream *stream, const Bitmapset *which);

/*
 * Owner keys and dimension values longer than this are cut and given a hash
 * of the whole, the same in capture and in scans.
 */
#define KPI_MAX_KEY 500
extern char *kpi_key_bounded(char *key);	/* returns key itself if short */

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
 * Parses a checked expression against a relation: a planned Node whose Vars
 * have varno 1.  Column attribute numbers are added to *attrs (offset by
 * FirstLowInvalidHeapAttributeNumber).  *user_code says whether it names a
 * function or type of a user, which compiling may have replaced by what it
 * does.  Runs as the current user, who must be the source's definer.  Error if
 * it reaches code of others that is not known.  Adds to prints (fingerprint.h)
 * unless it is NULL.
 */
extern Node *kpi_expr_compile(Oid relid, const char *text, Bitmapset **attrs,
							  KpiExprRisk *risk, bool *user_code, KpiCode *code,
							  KpiPrints *prints);

#endif							/* KPI_DEF_H */
