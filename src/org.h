/*-------------------------------------------------------------------------
 *
 * org.h
 *	  The organisation in memory: which teams a day of an owner counts for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_ORG_H
#define KPI_ORG_H

#include "postgres.h"

#include "utils/date.h"

/* Built in, from CREATE EXTENSION on. */
#define KPI_TEAM_COMPANY	1
#define KPI_TEAM_UNASSIGNED 2

/*
 * An interval of days and the teams that count on them: the team itself
 * first, then its ancestors up to the company.  until is exclusive; open ends
 * are DATEVAL_NOBEGIN and DATEVAL_NOEND.
 */
typedef struct KpiSpan
{
	DateADT		since;
	DateADT		until;
	int			nscopes;
	int32	   *scopes;
} KpiSpan;

typedef struct KpiOrg KpiOrg;

/*
 * Reads teams, members and who belonged where under the active snapshot, into
 * a child of the current memory context that holds everything the calls below
 * return.  kpi_org_load_tree() leaves the members out.
 */
extern KpiOrg *kpi_org_load(void);
extern KpiOrg *kpi_org_load_tree(void);
extern void kpi_org_free(KpiOrg *org);

/*
 * The spans of an owner, sorted, covering all days without gap; neighbours
 * differ.  Days without a membership, and unknown keys (NULL is one; *member_id
 * is 0 then), count for {(unassigned), company}.
 */
extern const KpiSpan *kpi_org_member_spans(KpiOrg *org, const char *member_key,
										   int32 *member_id, int *nspans);
extern const KpiSpan *kpi_org_team_spans(KpiOrg *org, const char *team_key, int *nspans);

/* All teams, ascending id. */
extern int	kpi_org_nteams(const KpiOrg *org);
extern int32 kpi_org_team_id(const KpiOrg *org, int index);
extern const KpiSpan *kpi_org_team_spans_at(KpiOrg *org, int index, int *nspans);

/*
 * When the team is its own ancestor on some day: the first such day and the
 * way around, 'emea under dach under emea'; else NULL.  To be asked before the spans of
 * a tree that was just changed.
 */
extern char *kpi_org_cycle(KpiOrg *org, int32 team_id, DateADT *day);

#endif							/* KPI_ORG_H */
