/*-------------------------------------------------------------------------
 *
 * view.c
 *	  What views show of the organisation.
 *
 * Everything here runs under the snapshot of the query that reads the view.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "calendar/calendar.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "people/people_internal.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kpi_sql_team_ancestors);
PG_FUNCTION_INFO_V1(kpi_sql_team_path);
PG_FUNCTION_INFO_V1(kpi_sql_team_level);
PG_FUNCTION_INFO_V1(kpi_sql_team_parent_key);

static void
put_ancestor(ReturnSetInfo *rsinfo, int32 team_id, int32 ancestor_id, int depth,
			 DateADT since, DateADT until)
{
	Datum		values[5];
	bool		nulls[5] = {false};

	values[0] = Int32GetDatum(team_id);
	values[1] = Int32GetDatum(ancestor_id);
	values[2] = Int32GetDatum(depth);
	values[3] = DateADTGetDatum(since);
	values[4] = DateADTGetDatum(until);
	nulls[3] = DATE_IS_NOBEGIN(since);
	nulls[4] = DATE_IS_NOEND(until);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static bool
same_at_depth(const KpiSpan *a, const KpiSpan *b, int depth)
{
	return depth < a->nscopes && depth < b->nscopes &&
		a->scopes[depth] == b->scopes[depth];
}

/*
 * kpi_internal.team_ancestors(): team_id, ancestor_id, depth, since, until.
 * Spans of a team that differ elsewhere are one row for an ancestor that
 * stays at its depth.
 */
Datum
kpi_sql_team_ancestors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	KpiOrg	   *org;

	InitMaterializedSRF(fcinfo, 0);
	org = kpi_people_load_tree();
	for (int t = 0; t < kpi_people_nteams(org); t++)
	{
		int			nspans;
		const KpiSpan *spans = kpi_people_team_spans_at(org, t, &nspans);

		for (int s = 0; s < nspans; s++)
			for (int depth = 0; depth < spans[s].nscopes; depth++)
			{
				int			last = s;

				if (s > 0 && same_at_depth(&spans[s - 1], &spans[s], depth))
					continue;
				while (last + 1 < nspans &&
					   same_at_depth(&spans[last], &spans[last + 1], depth))
					last++;
				put_ancestor(rsinfo, kpi_people_team_id(org, t),
							 spans[s].scopes[depth], depth,
							 spans[s].since, spans[last].until);
			}
	}
	kpi_people_free(org);
	return (Datum) 0;
}

/* Today, for what the tree looks like now. */
static DateADT
org_today(void)
{
	return kpi_calendar_today(kpi_calendar_get(KPI_DEFAULT_CALENDAR));
}

static void
append_path(StringInfo path, const KpiTeam *team, DateADT today)
{
	const KpiTeam *parent = kpi_people_team_parent_on(team, today);

	check_stack_depth();
	if (parent)
	{
		append_path(path, parent, today);
		appendStringInfoString(path, " / ");
	}
	appendStringInfoString(path, team->name);
}

/* kpi_internal.team_path(team_id): names from the company down, today. */
Datum
kpi_sql_team_path(PG_FUNCTION_ARGS)
{
	DateADT		today = org_today();
	const KpiTeam *team = kpi_people_team_find(PG_GETARG_INT32(0));
	StringInfoData path;

	if (team == NULL)
		PG_RETURN_NULL();
	initStringInfo(&path);
	append_path(&path, team, today);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(path.data, path.len));
}

/* kpi_internal.team_level(team_id): 0 for the company, today. */
Datum
kpi_sql_team_level(PG_FUNCTION_ARGS)
{
	DateADT		today = org_today();
	const KpiTeam *team = kpi_people_team_find(PG_GETARG_INT32(0));
	int32		level = 0;

	if (team == NULL)
		PG_RETURN_NULL();
	while ((team = kpi_people_team_parent_on(team, today)) != NULL && level < KPI_MAX_LEVELS)
		level++;
	PG_RETURN_INT32(level);
}

/* kpi_internal.parent_team(team_id): its parent's key, today. */
Datum
kpi_sql_team_parent_key(PG_FUNCTION_ARGS)
{
	DateADT		today = org_today();
	const KpiTeam *team = kpi_people_team_find(PG_GETARG_INT32(0));
	const KpiTeam *parent = team ? kpi_people_team_parent_on(team, today) : NULL;

	if (parent == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(parent->key));
}
