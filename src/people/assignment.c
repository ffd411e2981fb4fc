/*-------------------------------------------------------------------------
 *
 * assignment.c
 *	  Dated links: which team a member belongs to, which parent a team has.
 *
 * Whoever changes links holds the row lock on kpi_internal.version, so nobody
 * else does meanwhile.  Invariants of what is stored: the links of one owner
 * do not overlap, and two that touch differ in their target.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "people/people.h"

const KpiLinkTable kpi_people_membership_table = {"kpi.membership", "member_id", "team_id"};
const KpiLinkTable kpi_people_team_parent_table = {"kpi.team_parent", "team_id", "parent_id"};

static KpiLinks *
links_create(const KpiLinkTable *table, int32 owner_id, int max)
{
	KpiLinks   *links = palloc0(sizeof(KpiLinks));

	links->table = table;
	links->owner_id = owner_id;
	links->links = palloc(Max(max, 1) * sizeof(KpiLink));
	return links;
}

KpiLinks *
kpi_people_assignments_load(const KpiLinkTable *table, int32 owner_id)
{
	char	   *sql = psprintf("SELECT %s, since, until FROM %s WHERE %s = $1 ORDER BY since NULLS FIRST",
							   table->target_column, table->table, table->owner_column);
	KpiLinks   *links;
	KpiRows		rows;

	kpi_rows_begin(&rows, sql, 1, KPI_INT4(owner_id));
	links = links_create(table, owner_id, rows.n);
	while (kpi_rows_next(&rows))
	{
		links->links[links->n++] = (KpiLink)
		{
			kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN),
				kpi_rows_date(&rows, "until", DATEVAL_NOEND),
				kpi_rows_int4(&rows, table->target_column)
		};
	}
	kpi_rows_end(&rows);
	return links;
}

static bool
links_contain(const KpiLinks *links, const KpiLink *link)
{
	for (int i = 0; i < links->n; i++)
		if (memcmp(&links->links[i], link, sizeof(KpiLink)) == 0)
			return true;
	return false;
}

static KpiParam
link_day(DateADT day)
{
	if (DATE_NOT_FINITE(day))
		return KPI_NULL(DATEOID);
	return KPI_VALUE(DATEOID, DateADTGetDatum(day));
}

/* Writes what differs; rows that stay keep their id. */
void
kpi_people_assignments_store(const KpiLinks *before, const KpiLinks *after)
{
	const KpiLinkTable *table = after->table;
	char	   *delete = psprintf("DELETE FROM %s WHERE %s = $1 AND since IS NOT DISTINCT FROM $2",
								  table->table, table->owner_column);
	char	   *insert = psprintf("INSERT INTO %s (%s, %s, since, until) VALUES ($1, $2, $3, $4)",
								  table->table, table->owner_column, table->target_column);

	for (int i = 0; i < before->n; i++)
		if (!links_contain(after, &before->links[i]))
			kpi_spi_exec(delete, 2, KPI_INT4(after->owner_id),
						 link_day(before->links[i].since));
	for (int i = 0; i < after->n; i++)
		if (!links_contain(before, &after->links[i]))
			kpi_spi_exec(insert, 4, KPI_INT4(after->owner_id),
						 KPI_INT4(after->links[i].target),
						 link_day(after->links[i].since),
						 link_day(after->links[i].until));
}

const KpiLink *
kpi_people_assignments_at(const KpiLinks *links, DateADT day)
{
	for (int i = 0; i < links->n; i++)
		if (links->links[i].since <= day && day < links->links[i].until)
			return &links->links[i];
	return NULL;
}

DateADT
kpi_people_assignments_next(const KpiLinks *links, DateADT day)
{
	for (int i = 0; i < links->n; i++)
		if (links->links[i].since > day)
			return links->links[i].since;
	return DATEVAL_NOEND;
}

/* Appends a link after all others; joins it with its neighbour if it can. */
static void
links_append(KpiLinks *links, DateADT since, DateADT until, int32 target)
{
	KpiLink    *last = links->n > 0 ? &links->links[links->n - 1] : NULL;

	if (since >= until || target == 0)
		return;
	if (last && last->until == since && last->target == target)
		last->until = until;
	else
		links->links[links->n++] = (KpiLink)
	{
		since, until, target
	};
}

KpiLinks *
kpi_people_assignments_set(const KpiLinks *links, DateADT since, DateADT until, int32 target)
{
	KpiLinks   *result = links_create(links->table, links->owner_id, links->n + 2);

	for (int i = 0; i < links->n; i++)
		links_append(result, links->links[i].since,
					 Min(links->links[i].until, since), links->links[i].target);
	links_append(result, since, until, target);
	for (int i = 0; i < links->n; i++)
		links_append(result, Max(links->links[i].since, until),
					 links->links[i].until, links->links[i].target);
	return result;
}
