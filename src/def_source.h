/*-------------------------------------------------------------------------
 *
 * def_source.h
 *	  What the functions that define sources and KPIs share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_DEF_SOURCE_H
#define KPI_DEF_SOURCE_H

#include "def.h"
#include "fmgr.h"
#include "measure.h"
#include "security.h"

/* A row of kpi.source, as its functions change it. */
typedef struct KpiSourceRow
{
	int32		id;
	char	   *name;
	char	   *relation;
	char	   *key;
	char	   *owner;
	char	   *team;
	char	   *at;
	char	   *filter;
	char	   *definer;
	Oid			definer_oid;		/* as in KpiSource */
	Oid			relid;			/* InvalidOid: the table is gone */
} KpiSourceRow;

/*
 * Finds a source that the current user may change, and locks its row and then
 * its table (see source_table.h).  With need_table, error if there is no such table, or the
 * definer has no rights on it any more.
 */
extern KpiSourceRow *kpi_source_row_open(const char *name, bool need_table);

/* Error unless the current user may change the source and its KPIs. */
extern void kpi_require_source_rights(const char *name);

/* Whether the current user may change what this definer made. */
extern bool kpi_is_definer(const char *definer);

/* kpi_user_switch() to the definer of a source. */
extern void kpi_definer_switch(KpiUser *state, const KpiSourceRow *source);

/* A text argument; empty means none. */
extern char *kpi_arg_given(FunctionCallInfo fcinfo, int n);

/*
 * Arguments of kpi.alter_...(): NULL keeps the value, '' clears it; an owner
 * given alone takes the place of a team, and the reverse.
 */
extern char *kpi_arg_changed(FunctionCallInfo fcinfo, int n, char *old);
extern void kpi_arg_change_owner(FunctionCallInfo fcinfo, int owner_arg, int team_arg,
								 char **owner, char **team);

/* ---- def_measure.c ---- */

/* The stream that a KPI's own owner, team and time (each may be NULL) mean. */
typedef struct KpiStreamKey
{
	const char *owner_kind;
	char	   *owner;
	char	   *at;
} KpiStreamKey;

/*
 * Checks the expressions and fills in what comes from the source.  Like the
 * next two it runs as the source's definer.
 */
extern KpiStreamKey kpi_stream_key(const KpiSourceRow *source, const char *kpi_name,
								   const char *owner, const char *team, const char *at);

/* A checked boolean expression, deparsed; NULL for NULL. */
extern char *kpi_filter_check(Oid relid, const char *text, const char *what);

/* A checked expression, deparsed; NULL for NULL. */
extern char *kpi_text_check(Oid relid, const char *text, const char *what);

/*
 * Makes the measure of a KPI what def says, in the stream of this key.  A
 * measure that is the same stays; any other is a new one, with a new id.
 */
extern void kpi_measure_write(int32 source_id, int32 kpi_id, const KpiStreamKey *key,
							  const KpiMeasureDef *def);
extern void kpi_measure_drop(int32 kpi_id);

/* Drops the streams of a source that have no measure (all of them: all). */
extern void kpi_streams_drop(int32 source_id, bool all);

/* ---- def_kpi.c ---- */

/* Checks every KPI of a source again, after the source changed. */
extern void kpi_recheck_measures(const KpiSourceRow *source);

/* Drops a KPI; with cascade, also what uses it. */
extern void kpi_drop(const char *name, bool cascade);

/* Drops all KPIs of a source, and what uses them. */
extern void kpi_drop_of_source(int32 source_id);

#endif							/* KPI_DEF_SOURCE_H */
