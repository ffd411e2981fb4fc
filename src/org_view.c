/*-------------------------------------------------------------------------
 *
 * org_view.c
 *	  What views show of the organisation.
 *
 * Called from the views of schema kpi only; runs under the snapshot of the
 * query that reads the view.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "org.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kpi_team_ancestors);

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
kpi_team_ancestors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	KpiOrg	   *org;

	InitMaterializedSRF(fcinfo, 0);
	org = kpi_org_load_tree();
	for (int t = 0; t < kpi_org_nteams(org); t++)
	{
		int			nspans;
		const KpiSpan *spans = kpi_org_team_spans_at(org, t, &nspans);

		for (int s = 0; s < nspans; s++)
			for (int depth = 0; depth < spans[s].nscopes; depth++)
			{
				int			last = s;

				if (s > 0 && same_at_depth(&spans[s - 1], &spans[s], depth))
					continue;
				while (last + 1 < nspans &&
					   same_at_depth(&spans[last], &spans[last + 1], depth))
					last++;
				put_ancestor(rsinfo, kpi_org_team_id(org, t),
							 spans[s].scopes[depth], depth,
							 spans[s].since, spans[last].until);
			}
	}
	kpi_org_free(org);
	return (Datum) 0;
}
