/*-------------------------------------------------------------------------
 *
 * org_cache.h
 *	  The teams as they stand today, for views.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_ORG_CACHE_H
#define KPI_ORG_CACHE_H

#include "postgres.h"

#include "utils/date.h"

/* Where a team stands under a parent, as in org.h. */
typedef struct KpiPlace
{
	DateADT		since;
	DateADT		until;
	int			parent;			/* index into the cache */
} KpiPlace;

typedef struct KpiTeam
{
	int32		id;
	int32		calendar_id;	/* 0: the parent's */
	char	   *key;
	char	   *name;
	int			nplaces;
	KpiPlace   *places;
} KpiTeam;

/*
 * From a backend-local cache that follows changes to kpi.team and
 * kpi.team_parent; valid until the next call that can process invalidations.
 * NULL if there is no such team.
 */
extern const KpiTeam *kpi_team_find(int32 id);

/* The parent on that day; NULL for the company. */
extern const KpiTeam *kpi_team_parent_on(const KpiTeam *team, DateADT day);

/*
 * Whose working days count for a team: its own calendar, else that of the
 * nearest team above it on that day, at last the default.
 */
extern int32 kpi_team_calendar_id(int32 team_id, DateADT day);

/* Deeper than any tree of teams; a bound for walks up. */
#define KPI_MAX_LEVELS 1000

#endif							/* KPI_ORG_CACHE_H */
