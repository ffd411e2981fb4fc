/*-------------------------------------------------------------------------
 *
 * credit.c
 *	  KPIs with credit today: the day whose teams their facts count for.
 *
 * Their attributions (attribution.c) are those of one day for all days.  Which day
 * that is, is noted with the state of the source; on another day the attributions are
 * made anew, and what moves are the cells of owners who belong elsewhere than on
 * the day that is noted (transfer.c).  Until then the numbers of those owners are
 * those of yesterday, so they are not complete.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/date.h"

PG_FUNCTION_INFO_V1(kpi_sql_credit_moves);

static bool
has_credit_today(const KpiSource *source)
{
	for (int s = 0; s < source->nstreams; s++)
	{
		if (kpi_model_owner_is_of_today(source->streams[s].owner_kind))
			return true;
	}
	return false;
}

bool
kpi_refresh_credit_is_due(const KpiSource *source, DateADT today)
{
	return has_credit_today(source) &&
		kpi_first_int4("SELECT 1 FROM kpi_internal.source_state s WHERE s.source_id = $1 AND s.credit_day = $2",
					   2, KPI_INT4(source->id), KPI_VALUE(DATEOID, DateADTGetDatum(today))) == 0;
}

void
kpi_refresh_credit_save(const KpiSource *source, DateADT today)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.source_state SET credit_day = $2 WHERE source_id = $1",
				 2, KPI_INT4(source->id), KPI_VALUE(DATEOID, DateADTGetDatum(today)));
	kpi_spi_end(&spi);
}

/*
 * kpi_internal.credit_moves(credit_day): whether an assignment of a member or a team, or an attribute, begins or ends
 * between that day and today.
 */
Datum
kpi_sql_credit_moves(PG_FUNCTION_ARGS)
{
	DateADT		today = kpi_calendar_today(kpi_calendar_get(KPI_DEFAULT_CALENDAR));
	KpiRows		rows;
	KpiSpi		spi;
	bool		moves;

	if (PG_ARGISNULL(0) || PG_GETARG_DATEADT(0) == today)
		PG_RETURN_BOOL(false);
	kpi_spi_begin(&spi);
	kpi_rows_begin_read(&rows, "SELECT FROM (SELECT since, until FROM kpi.membership"
						"  UNION ALL SELECT since, until FROM kpi.team_parent"
						"  UNION ALL SELECT t.since, t.until FROM kpi.member_attribute t"
						"   WHERE EXISTS (SELECT FROM kpi.dimension d WHERE d.attribute = t.name)) a"
						" WHERE a.since > least($1, $2) AND a.since <= greatest($1, $2)"
						" OR a.until > least($1, $2) AND a.until <= greatest($1, $2) LIMIT 1",
						2, KPI_VALUE(DATEOID, PG_GETARG_DATUM(0)), KPI_VALUE(DATEOID, DateADTGetDatum(today)));
	moves = kpi_rows_next(&rows);
	kpi_rows_end(&rows);
	kpi_spi_end(&spi);
	PG_RETURN_BOOL(moves);
}
