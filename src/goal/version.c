/*-------------------------------------------------------------------------
 *
 * version.c
 *	  What goals asked for before: kpi.goal_version.
 *
 * A version says what is asked for from a day on.  On a day the last of those
 * applies that begin by then, so whoever gives a target for an earlier day replaces what
 * was given before for the days from that one on.  kpi.goal repeats what applies today,
 * for whoever reads goals.  A version that begins later is pending until its day has come
 * (kpi_goal_targets_follow()), or another one replaces it.
 *
 * Locks: rows of kpi.goal_version, after that of the goal.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "goal/goal_internal.h"
#include "miscadmin.h"

static KpiParam
numeric_param(Numeric number)
{
	return number == NULL ? KPI_NULL(NUMERICOID) : KPI_VALUE(NUMERICOID, NumericGetDatum(number));
}

static KpiParam
date_param(DateADT day)
{
	return KPI_VALUE(DATEOID, DateADTGetDatum(day));
}

/* Those that would have begun after the last one. */
static void
replace_pending(int64 goal_id, DateADT since)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "UPDATE kpi.goal_version v SET is_pending = false"
				   " WHERE v.goal_id = $1 AND v.is_pending AND v.since >= $2"
				   " AND v.version < (SELECT pg_catalog.max(z.version) FROM kpi.goal_version z WHERE z.goal_id = $1) RETURNING v.target_text, v.since",
				   2, KPI_INT8(goal_id), date_param(since));
	while (kpi_rows_next(&rows))
		ereport(NOTICE,
				(errmsg("target \"%s\" from %s on is replaced", kpi_rows_text(&rows, "target_text"),
						kpi_day_text(kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN)))));
	kpi_rows_end(&rows);
}

void
kpi_goal_version_add(int64 goal_id, const KpiGoalVersion *version)
{
	if (kpi_spi_exec("INSERT INTO kpi.goal_version"
					 " (goal_id, version, since, target_text, target, target_high, minimum, stretch, is_pending, made_by, reason)"
					 " SELECT g.id, coalesce(v.version, 0) + 1, $2, $3, $4, $5, $6, $7,"
					 "  $2 > g.period_start AND $2 > (SELECT s.today FROM kpi_internal.kpi_state s WHERE s.kpi_id = g.kpi_id), $8, $9"
					 " FROM kpi.goal g LEFT JOIN LATERAL (SELECT z.* FROM kpi.goal_version z WHERE z.goal_id = g.id"
					 "  ORDER BY z.version DESC LIMIT 1) v ON true"
					 " WHERE g.id = $1 AND (v.version IS NULL OR v.since > $2"
					 "  OR (v.target_text, v.minimum, v.stretch) IS DISTINCT FROM ($3, $6, $7))", 9,
					 KPI_INT8(goal_id), date_param(version->since), KPI_TEXT(version->target_text),
					 numeric_param(version->target.target), numeric_param(version->target.high),
					 numeric_param(version->minimum), numeric_param(version->stretch), KPI_TEXT(GetUserNameFromId(GetOuterUserId(), false)),
					 KPI_TEXT(version->reason)) > 0)
		replace_pending(goal_id, version->since);
}

static Numeric
number_column(KpiRows *rows, const char *column)
{
	bool		isnull;
	Datum		number = kpi_rows_datum(rows, column, &isnull);

	return isnull ? NULL : DatumGetNumericCopy(number);
}

List *
kpi_goal_versions_read(int64 goal_id)
{
	List	   *versions = NIL;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT v.since, v.target_text, v.minimum, v.stretch, v.is_pending FROM kpi.goal_version v"
				   " WHERE v.goal_id = $1 ORDER BY v.version DESC", 1, KPI_INT8(goal_id));
	while (kpi_rows_next(&rows))
	{
		KpiStoredVersion *version = palloc0(sizeof(KpiStoredVersion));

		version->since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		version->target_text = kpi_rows_text(&rows, "target_text");
		version->minimum = number_column(&rows, "minimum");
		version->stretch = number_column(&rows, "stretch");
		version->pending = kpi_rows_bool(&rows, "is_pending");
		versions = lappend(versions, version);
	}
	kpi_rows_end(&rows);
	return versions;
}

const KpiStoredVersion *
kpi_goal_version_of_day(List *versions, DateADT day)
{
	ListCell   *lc;

	foreach(lc, versions)
	{
		const KpiStoredVersion *version = lfirst(lc);

		if (version->since <= day)
			return version;
	}
	return llast(versions);
}

void
kpi_goal_versions_begin(int64 goal_id, List *versions, DateADT today)
{
	if (list_length(versions) == 1)
		return;
	(void) kpi_spi_exec("UPDATE kpi.goal_version v SET is_pending = false"
						" WHERE v.goal_id = $1 AND v.is_pending AND v.since <= $2", 2, KPI_INT8(goal_id), date_param(today));
	(void) kpi_spi_exec("UPDATE kpi.goal g SET (target_text, target, minimum, stretch) = (v.target_text, v.target, v.minimum, v.stretch)"
						" FROM (SELECT z.* FROM kpi.goal_version z JOIN kpi.goal o ON o.id = z.goal_id"
						"  WHERE z.goal_id = $1 AND z.since <= greatest(o.period_start, least($2, o.period_end))"
						"  ORDER BY z.version DESC LIMIT 1) v"
						" WHERE g.id = $1 AND (g.target_text, g.target, g.minimum, g.stretch)"
						"  IS DISTINCT FROM (v.target_text, v.target, v.minimum, v.stretch)", 2, KPI_INT8(goal_id), date_param(today));
}
