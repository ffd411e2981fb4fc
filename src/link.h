/*-------------------------------------------------------------------------
 *
 * link.h
 *	  Dated links: which team a member belongs to, which parent a team has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_LINK_H
#define KPI_LINK_H

#include "postgres.h"

#include "utils/date.h"

/* kpi.membership or kpi.team_parent. */
typedef struct KpiLinkTable
{
	const char *table;
	const char *owner_column;
	const char *target_column;
} KpiLinkTable;

extern const KpiLinkTable kpi_membership_table;
extern const KpiLinkTable kpi_team_parent_table;

/* Days since until until (exclusive); open ends as in org.h. */
typedef struct KpiLink
{
	DateADT		since;
	DateADT		until;
	int32		target;
} KpiLink;

/* All links of one owner: by since, none overlapping. */
typedef struct KpiLinks
{
	const KpiLinkTable *table;
	int32		owner_id;
	int			n;
	KpiLink    *links;
} KpiLinks;

/* All but the last two run within kpi_spi_begin(). */
extern KpiLinks *kpi_links_load(const KpiLinkTable *table, int32 owner_id);
extern void kpi_links_store(const KpiLinks *before, const KpiLinks *after);

/* The link that covers a day, or NULL; the first that begins after it. */
extern const KpiLink *kpi_links_at(const KpiLinks *links, DateADT day);
extern DateADT kpi_links_next(const KpiLinks *links, DateADT day);

/*
 * A copy in which the days [since, until) belong to the target (0: to
 * nothing) and all others to what they did.
 */
extern KpiLinks *kpi_links_set(const KpiLinks *links, DateADT since, DateADT until,
							   int32 target);

#endif							/* KPI_LINK_H */
