/*-------------------------------------------------------------------------
 *
 * people_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_PEOPLE_INTERNAL_H
#define KPI_PEOPLE_INTERNAL_H

#include "people/people.h"
#include "utils/date.h"

/* ---- tree.c ---- */

/* All teams, ascending id; not of kpi_people_ask(). */
extern int	kpi_people_nteams(const KpiOrg *org);
extern int32 kpi_people_team_id(const KpiOrg *org, int index);
extern const KpiSpan *kpi_people_team_spans_at(KpiOrg *org, int index, int *nspans);

/* ---- team.c ---- */

typedef struct KpiTeam
{
	int32		id;				/* must be first */
	int32		calendar_id;	/* 0: the parent's */
	char	   *key;
	char	   *name;
	KpiAssignments parents;
} KpiTeam;

/*
 * As the active snapshot shows it, and valid as long as that shows the same.
 * NULL if there is no such team.
 */
extern const KpiTeam *kpi_people_team_find(int32 id);

/* The parent on that day; NULL for the company. */
extern const KpiTeam *kpi_people_team_parent_on(const KpiTeam *team, DateADT day);

/* Deeper than any tree of teams; a bound for walks up. */
#define KPI_MAX_LEVELS 1000

#endif							/* KPI_PEOPLE_INTERNAL_H */
