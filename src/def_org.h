/*-------------------------------------------------------------------------
 *
 * def_org.h
 *	  What the definitions of teams, members and goals share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_DEF_ORG_H
#define KPI_DEF_ORG_H

#include "postgres.h"

/*
 * Tells the engine that teams, members or memberships change in this
 * transaction, and makes other such changes wait for its end.  To be called
 * before anything is checked.  Within kpi_spi_begin(), as all of these.
 */
extern void kpi_org_touch(void);

/*
 * The same for calendars: their periods, their working days, and which of them
 * a team has.
 */
extern void kpi_calendars_touch(void);

/* Ids by key; error if unknown. */
extern int32 kpi_team_id(const char *key);
extern int32 kpi_member_id(const char *key);

#endif							/* KPI_DEF_ORG_H */
