/*-------------------------------------------------------------------------
 *
 * capacity.c
 *	  How much members can work: the working days on which they belong to a team,
 *	  each times the ramp of the month of their tenure.
 *
 * A day counts by the calendar of the team that the member belongs to on it, and by
 * one ramp: the member's own, else that of this team or the nearest one above it on
 * that day, at last the company's; without any it counts as a whole.  Tenure
 * begins with the first day on which the member belonged to any team: a move
 * does not begin it anew.
 *
 * Reads ramps and the organisation as the active snapshot shows them.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal_internal.h"
#include "people/people.h"
#include "utils/array.h"
#include "utils/hsearch.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kpi_sql_member_capacity);

/* Of a team, or of a member: the other is 0. */
typedef struct RampKey
{
	int32		team_id;
	int32		member_id;
} RampKey;

typedef struct Ramp
{
	RampKey		key;
	int			n;
	double	   *shares;			/* by month of tenure */
} Ramp;

static HTAB *
read_ramps(void)
{
	HASHCTL		ctl = {.keysize = sizeof(RampKey),.entrysize = sizeof(Ramp),.hcxt = CurrentMemoryContext};
	HTAB	   *ramps = hash_create("pg_kpi ramps", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT team_id, member_id, ramp::float8[] AS ramp FROM kpi_internal.ramp", 0);
	while (kpi_rows_next(&rows))
	{
		RampKey		key = {kpi_rows_int4(&rows, "team_id"), kpi_rows_int4(&rows, "member_id")};
		Ramp	   *ramp = hash_search(ramps, &key, HASH_ENTER, NULL);
		Datum	   *items;
		bool		isnull;

		deconstruct_array(DatumGetArrayTypeP(kpi_rows_datum(&rows, "ramp", &isnull)), FLOAT8OID, sizeof(float8),
						  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &items, NULL, &ramp->n);
		ramp->shares = palloc(ramp->n * sizeof(double));
		for (int i = 0; i < ramp->n; i++)
			ramp->shares[i] = DatumGetFloat8(items[i]);
	}
	kpi_rows_end(&rows);
	return ramps;
}

/* On days that count for these teams, the nearest first; NULL: there is none. */
static const Ramp *
ramp_of(HTAB *ramps, int32 member_id, const KpiSpan *span)
{
	RampKey		key = {0, member_id};
	const Ramp *ramp = hash_search(ramps, &key, HASH_FIND, NULL);

	key.member_id = 0;
	for (int i = 0; ramp == NULL && i < span->nscopes; i++)
	{
		key.team_id = span->scopes[i];
		ramp = hash_search(ramps, &key, HASH_FIND, NULL);
	}
	return ramp;
}

static bool
counts_for(const KpiSpan *span, int32 team_id)
{
	for (int i = 0; i < span->nscopes; i++)
	{
		if (span->scopes[i] == team_id)
			return true;
	}
	return false;
}

/* Adds days of a membership that count for one team after the other. */
static void
add_days(KpiCapacity *capacity, HTAB *ramps, const KpiSpan *span, DateADT first, DateADT last, DateADT hired)
{
	const KpiCalendar *cal = kpi_calendar_get(kpi_people_team_calendar_id(span->scopes[0], first));
	const Ramp *ramp = hired == DATEVAL_NOBEGIN ? NULL : ramp_of(ramps, capacity->member_id, span);
	int			workdays = kpi_calendar_workdays(first, last, cal);

	capacity->workdays += workdays;
	capacity->days += ramp == NULL ? workdays : kpi_goal_capacity(first, last, hired, ramp->shares, ramp->n, cal);
}

/* All memberships that have one of the days, those of a member together. */
static void
begin_memberships(KpiRows *rows, int32 member_id, DateADT start, DateADT last)
{
	kpi_rows_begin_read(rows, "SELECT m.id AS member_id, t.key AS team, s.since, s.until,"
						" (SELECT pg_catalog.min(coalesce(h.since, '-infinity')) FROM kpi.membership h WHERE h.member_id = m.id) AS hired"
						" FROM kpi.membership s JOIN kpi.member m ON m.id = s.member_id JOIN kpi.team t ON t.id = s.team_id"
						" WHERE (s.since IS NULL OR s.since <= $3) AND (s.until IS NULL OR s.until > $2)"
						" AND ($1 = 0 OR m.id = $1) ORDER BY m.key COLLATE \"C\", s.since NULLS FIRST", 3, KPI_INT4(member_id),
						KPI_VALUE(DATEOID, DateADTGetDatum(start)), KPI_VALUE(DATEOID, DateADTGetDatum(last)));
}

List *
kpi_goal_capacities(int32 team_id, int32 member_id, DateADT start, DateADT last)
{
	KpiOrg	   *org = kpi_people_load_tree();
	HTAB	   *ramps = read_ramps();
	KpiCapacity *capacity = NULL;
	List	   *capacities = NIL;
	KpiRows		rows;

	begin_memberships(&rows, member_id, start, last);
	while (kpi_rows_next(&rows))
	{
		int32		member = kpi_rows_int4(&rows, "member_id");
		DateADT		first = Max(start, kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN));
		DateADT		end = Min(last, kpi_rows_date(&rows, "until", DATEVAL_NOEND) - 1);
		DateADT		hired = kpi_rows_date(&rows, "hired", DATEVAL_NOBEGIN);
		int			nspans;
		const KpiSpan *spans = kpi_people_team_spans(org, kpi_rows_text(&rows, "team"), &nspans);

		for (int i = 0; i < nspans; i++)
		{
			DateADT		since = Max(first, spans[i].since);
			DateADT		until = Min(end, spans[i].until - 1);

			if (since > until || !counts_for(&spans[i], team_id))
				continue;
			if (capacity == NULL || capacity->member_id != member)
			{
				capacity = palloc0(sizeof(KpiCapacity));
				capacity->member_id = member;
				capacities = lappend(capacities, capacity);
			}
			add_days(capacity, ramps, &spans[i], since, until, hired);
		}
	}
	kpi_rows_end(&rows);
	hash_destroy(ramps);
	kpi_people_free(org);
	return capacities;
}

/* kpi_internal.member_capacity(team_id, member_id, first_day, last_day): member_id, days, workdays */
Datum
kpi_sql_member_capacity(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, kpi_goal_capacities(PG_GETARG_INT32(0), PG_GETARG_INT32(1),
									kpi_calendar_day_clamp(PG_GETARG_DATEADT(2)), kpi_calendar_day_clamp(PG_GETARG_DATEADT(3))))
	{
		const KpiCapacity *capacity = lfirst(lc);
		Datum		values[] = {
			Int32GetDatum(capacity->member_id), Float8GetDatum(capacity->days), Int32GetDatum(capacity->workdays)
		};
		bool		nulls[lengthof(values)] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
