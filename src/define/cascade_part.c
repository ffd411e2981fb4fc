/*-------------------------------------------------------------------------
 *
 * cascade_part.c
 *	  The parts of a goal that is cut: teams, members or periods.
 *
 * Teams are those right below the goal's team, members those of the team and of all below
 * it, on any day of the period.  Who is there for a part of it and elsewhere for another has
 * a goal for the days there, so that the parts of both teams hold each day once;
 * who comes or leaves within the period has one for all of it, which counts his own
 * days.  So it is with periods: a week that lies only in part in the goal's has its days
 * in it.
 *
 * Parts are in the order of their keys, whatever order rows are in.  Nothing here writes or takes a lock.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "define/cascade.h"
#include "people/people.h"

static KpiParam
date_param(DateADT day)
{
	return KPI_VALUE(DATEOID, DateADTGetDatum(day));
}

/* Days from since until last; the goal's period, if it is that. */
static void
set_days(const KpiCascade *cascade, KpiGoalPeriod *period, DateADT since, DateADT last)
{
	if (since == cascade->period.start && last == cascade->period.end)
	{
		*period = cascade->period;
		return;
	}
	memset(period, 0, sizeof(*period));
	period->range = true;
	period->grain = KPI_DAY;
	period->start = since;
	period->end = last;
	snprintf(period->name, sizeof(period->name), "%s..%s", kpi_day_text(since), kpi_day_text(last));
}

/* ---- teams and members ---- */

/*
 * Each stay of somebody (id, key) in a team, whose working days count, from since until
 * last within the period, by key and day; is_elsewhere: he has days of the period that are none of
 * these.
 */
#define TEAMS \
	"WITH all_days AS (" \
	" SELECT a.team_id AS id, a.ancestor_id, greatest(a.since, $2) AS since, least(a.until - 1, $3) AS last" \
	"  FROM kpi_internal.team_ancestors() a WHERE a.depth = 1 AND a.team_id <> 2)" \
	"SELECT t.id, t.key, t.id AS team_id, d.since, d.last, EXISTS (SELECT FROM all_days o" \
	"   WHERE o.id = d.id AND o.ancestor_id <> $1 AND o.since <= o.last) AS is_elsewhere" \
	" FROM all_days d JOIN kpi.team t ON t.id = d.id" \
	" WHERE d.ancestor_id = $1 AND d.since <= d.last ORDER BY t.key COLLATE \"C\", d.since"

/* Nothing is joined with itself: nobody tells the planner that there are thousands. */
#define MEMBERS \
	"WITH below AS MATERIALIZED (SELECT a.team_id, a.since, a.until FROM kpi_internal.team_ancestors() a WHERE a.ancestor_id = $1)," \
	" all_days AS (" \
	" SELECT h.member_id, h.team_id, greatest(h.since, $2) AS since, least(h.until - 1, $3) AS last," \
	"  pg_catalog.sum(least(h.until - 1, $3) - greatest(h.since, $2) + 1) OVER (PARTITION BY h.member_id) AS n FROM kpi.membership h" \
	"  WHERE coalesce(h.since, '-infinity') <= $3 AND coalesce(h.until, 'infinity') > $2)," \
	" days AS (" \
	" SELECT h.member_id, h.team_id, greatest(h.since, b.since) AS since, least(h.last, b.until - 1) AS last, h.n" \
	"  FROM all_days h JOIN below b ON b.team_id = h.team_id" \
	"  WHERE coalesce(b.since, '-infinity') <= h.last AND coalesce(b.until, 'infinity') > h.since)" \
	"SELECT m.id, m.key, d.team_id, d.since, d.last," \
	" pg_catalog.sum(d.last - d.since + 1) OVER (PARTITION BY d.member_id) < d.n AS is_elsewhere" \
	" FROM days d JOIN kpi.member m ON m.id = d.member_id ORDER BY m.key COLLATE \"C\", d.since"

/* Whether a stay goes on with what the part has. */
static bool
belongs_to(const KpiPart *part, int32 id, bool elsewhere, DateADT since)
{
	if (part == NULL || (part->member_id != 0 ? part->member_id : part->team_id) != id)
		return false;
	return !elsewhere || part->stays[part->nstays - 1].last + 1 == since;
}

static KpiPart *
add_owner(KpiCascade *cascade, KpiRows *rows)
{
	bool		members = cascade->across == KPI_ACROSS_MEMBERS;
	char	   *key = kpi_rows_text(rows, "key");
	int32		id = kpi_rows_int4(rows, "id");
	KpiPart    *part = kpi_define_cascade_add(cascade, key);

	part->team_id = members ? 0 : id;
	part->member_id = members ? id : 0;
	part->team = members ? NULL : key;
	part->member = members ? key : NULL;
	return part;
}

double
kpi_define_cascade_workdays(int32 team_id, DateADT start, DateADT end)
{
	return kpi_calendar_workdays(start, end, kpi_calendar_get(kpi_people_team_calendar_id(team_id, start)));
}

/* The share of the period's working days that the part is there. */
static void
find_share(const KpiCascade *cascade, KpiPart *part)
{
	double		all = kpi_define_cascade_workdays(part->stays[0].team_id, cascade->period.start, cascade->period.end);
	double		own = 0;

	for (int i = 0; i < part->nstays; i++)
		own += kpi_define_cascade_workdays(part->stays[i].team_id, part->stays[i].since, part->stays[i].last);
	part->share = all > 0 ? Min(own / all, 1) : 1;
}

static void
find_owners(KpiCascade *cascade)
{
	bool		members = cascade->across == KPI_ACROSS_MEMBERS;
	KpiPart    *part = NULL;
	KpiRows		rows;

	kpi_rows_begin(&rows, members ? MEMBERS : TEAMS, 3, KPI_INT4(cascade->team_id),
				   date_param(cascade->period.start), date_param(cascade->period.end));
	while (kpi_rows_next(&rows))
	{
		int32		id = kpi_rows_int4(&rows, "id");
		bool		elsewhere = kpi_rows_bool(&rows, "is_elsewhere");
		KpiStay		stay = {
			kpi_rows_int4(&rows, "team_id"),
			kpi_rows_date(&rows, "since", cascade->period.start), kpi_rows_date(&rows, "last", cascade->period.end)
		};

		if (!belongs_to(part, id, elsewhere, stay.since))
			part = add_owner(cascade, &rows);
		part->stays = part->stays ? repalloc(part->stays, (part->nstays + 1) * sizeof(KpiStay)) : palloc(sizeof(KpiStay));
		part->stays[part->nstays++] = stay;
		if (elsewhere)
			set_days(cascade, &part->period, part->stays[0].since, stay.last);
	}
	kpi_rows_end(&rows);
	for (int i = 0; i < cascade->nparts; i++)
		find_share(cascade, &cascade->parts[i]);
}

static void
require_owners(const KpiCascade *cascade)
{
	bool		members = cascade->across == KPI_ACROSS_MEMBERS;

	if (cascade->member != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("goal %s is member \"%s\"'s and cannot be cut across %s", cascade->label, cascade->member,
						cascade->across_name),
				 errhint("Cut it across periods: across => 'months'.")));
	if (members && cascade->dimension != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("goal %s is for a dimension's value and cannot be cut across members", cascade->label),
				 errhint("Cut it across teams or periods.")));
}

static void
refuse_nobody(const KpiCascade *cascade)
{
	bool		members = cascade->across == KPI_ACROSS_MEMBERS;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("team \"%s\" has no %s to cut goal %s to", cascade->team, cascade->across_name, cascade->label),
			 errdetail(members ? "Nobody is in it, or in a team below it, in %s." : "No team is right below it in %s.",
					   cascade->period.name),
			 members ? errhint("kpi.add_member() and kpi.move_member() say who belongs to it.") :
			 errhint("Cut it across members, or make teams below it with kpi.create_team(..., parent => '%s').", cascade->team)));
}

/* ---- periods ---- */

static void
find_periods(KpiCascade *cascade, KpiGrain grain)
{
	const KpiCalendar *cal = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	DateADT		start = kpi_calendar_period_start(grain, cascade->period.start, cal);

	if (!cascade->period.range && cascade->period.grain <= grain)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("goal %s cannot be cut across %s", cascade->label, cascade->across_name),
				 errdetail("It is for %s, which has none.", cascade->period.name),
				 errhint("Cut it across shorter periods, teams or members.")));
	while (start <= cascade->period.end)
	{
		DateADT		end;
		KpiPart    *part;

		cal = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
		end = kpi_calendar_period_end(grain, start, cal);
		part = kpi_define_cascade_add(cascade, NULL);
		if (start < cascade->period.start || end > cascade->period.end)
			set_days(cascade, &part->period, Max(start, cascade->period.start), Min(end, cascade->period.end));
		else
		{
			memset(&part->period, 0, sizeof(part->period));
			part->period.grain = grain;
			part->period.start = start;
			part->period.end = end;
			kpi_calendar_period_name(grain, start, cal, part->period.name);
		}
		part->key = pstrdup(part->period.name);
		start = end + 1;
	}
	if (cascade->nparts < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("goal %s cannot be cut across %s", cascade->label, cascade->across_name),
				 errdetail("All of %s lies in one.", cascade->period.name),
				 errhint("Cut it across shorter periods, teams or members.")));
}

void
kpi_define_cascade_parts(KpiCascade *cascade)
{
	switch (cascade->across)
	{
		case KPI_ACROSS_TEAMS:
		case KPI_ACROSS_MEMBERS:
			require_owners(cascade);
			find_owners(cascade);
			if (cascade->nparts == 0)
				refuse_nobody(cascade);
			break;
		case KPI_ACROSS_WEEKS:
			find_periods(cascade, KPI_WEEK);
			break;
		case KPI_ACROSS_MONTHS:
			find_periods(cascade, KPI_MONTH);
			break;
		case KPI_ACROSS_QUARTERS:
			find_periods(cascade, KPI_QUARTER);
			break;
		case KPI_ACROSS_ACTIVITIES:
			break;
	}
}
