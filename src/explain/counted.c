/*-------------------------------------------------------------------------
 *
 * counted.c
 *	  Where a fact counts: its member, and the team on its day.
 *
 * As the last refresh has applied it (kpi_internal.applied_attribution), as the numbers
 * have it; an owner that no refresh has met counts where the organisation of now says.
 * Read under the active snapshot.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "explain/explain_internal.h"
#include "people/people.h"
#include "utils/snapmgr.h"

/* False: no refresh has met the owner. */
static bool
as_applied(const KpiSource *source, const KpiStream *stream, const char *owner, DateADT day,
		   int32 *team_id, int32 *member_id)
{
	KpiRows		rows;
	bool		found;

	kpi_rows_begin_read(&rows, "SELECT a.teams[1] AS team_id, a.member_id FROM kpi_internal.owner o"
						" JOIN kpi_internal.applied_attribution a ON a.owner_id = o.id"
						" WHERE o.key = $1 AND a.source_id = $2 AND a.owner_kind = $3 AND a.since <= $4 AND a.until > $4",
						4, KPI_TEXT(owner), KPI_INT4(source->id), KPI_INT4(stream->owner_kind),
						KPI_VALUE(DATEOID, DateADTGetDatum(day)));
	found = kpi_rows_next(&rows);
	if (found)
	{
		*team_id = kpi_rows_int4(&rows, "team_id");
		*member_id = kpi_rows_int4(&rows, "member_id");
	}
	kpi_rows_end(&rows);
	return found;
}

static void
as_of_now(const KpiSource *source, const KpiStream *stream, const char *owner, DateADT day,
		  int32 *team_id, int32 *member_id)
{
	KpiOrg	   *org = kpi_people_ask(source->id, GetActiveSnapshot());
	DateADT		on = kpi_model_owner_is_of_today(stream->owner_kind) ? kpi_calendar_today(kpi_calendar_get(KPI_DEFAULT_CALENDAR)) : day;
	const KpiSpan *spans;
	int			n;

	*member_id = 0;
	if (kpi_model_owner_is_member(stream->owner_kind))
		spans = kpi_people_member_spans(org, owner, member_id, &n);
	else
		spans = kpi_people_team_spans(org, owner, &n);
	for (int i = 0; i < n; i++)
	{
		if (spans[i].since <= on && on < spans[i].until)
			*team_id = spans[i].scopes[0];
	}
	kpi_people_free(org);
}

static char *
key_of(const char *sql, int32 id)
{
	return id == 0 ? NULL : kpi_first_text(sql, 1, KPI_INT4(id));
}

bool
kpi_explain_counted_for(const KpiSource *source, const KpiStream *stream, const char *owner, DateADT day,
						char **team, char **member)
{
	int32		team_id = KPI_TEAM_UNASSIGNED;
	int32		member_id = 0;

	if (stream->owner_kind == KPI_OWNER_COMPANY)
		team_id = KPI_TEAM_COMPANY;
	else if (owner != NULL && !as_applied(source, stream, owner, day, &team_id, &member_id))
		as_of_now(source, stream, owner, day, &team_id, &member_id);
	*team = key_of("SELECT key FROM kpi.team WHERE id = $1", team_id);
	*member = key_of("SELECT key FROM kpi.member WHERE id = $1", member_id);
	return member_id != 0 || team_id != KPI_TEAM_UNASSIGNED;
}
