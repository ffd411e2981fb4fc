/*-------------------------------------------------------------------------
 *
 * report.c
 *	  What a verification tells of a difference.
 *
 * Differences are found by ids; people are told names.  Nothing is locked: a row
 * that is gone by now is called by its number.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/tuplestore.h"

/* A name by id, or the id itself where the row is gone. */
char *
kpi_refresh_name_of(const char *sql, int32 id)
{
	char	   *name = kpi_first_text(sql, 1, KPI_INT4(id));

	return name ? name : psprintf("#%d", id);
}

/* 'team emea', 'member alice', 'owner 42', as people know them. */
static char *
scope_text(const KpiDifference *diff)
{
	if (diff->team_id != 0)
		return psprintf("team %s", kpi_refresh_name_of("SELECT key FROM kpi.team WHERE id = $1", diff->team_id));
	if (diff->member_id != 0)
		return psprintf("member %s", kpi_refresh_name_of("SELECT key FROM kpi.member WHERE id = $1", diff->member_id));
	if (diff->owner != NULL)
		return psprintf("owner %s", diff->owner);
	if (diff->owner_id != 0)
		return psprintf("owner %s", kpi_refresh_name_of("SELECT key FROM kpi_internal.owner WHERE id = $1", diff->owner_id));
	return pstrdup("no owner");
}

static void
set_text(Datum *values, bool *nulls, int column, const char *value)
{
	nulls[column] = value == NULL;
	values[column] = value ? CStringGetTextDatum(value) : (Datum) 0;
}

void
kpi_refresh_report(KpiReport *report, const KpiDifference *diff)
{
	Datum		values[10];
	bool		nulls[10] = {false};

	report->ndifferences++;
	if (report->tupstore == NULL)
		return;
	set_text(values, nulls, 0, report->source_name);
	set_text(values, nulls, 1, diff->level);
	set_text(values, nulls, 2, diff->kpi);
	set_text(values, nulls, 3, diff->level_is_source ? NULL : scope_text(diff));
	set_text(values, nulls, 4, diff->grain);
	values[5] = DateADTGetDatum(diff->start);
	nulls[5] = diff->level_is_source;
	set_text(values, nulls, 6, diff->dimension);
	set_text(values, nulls, 7, diff->dimension_value);
	set_text(values, nulls, 8, diff->stored);
	set_text(values, nulls, 9, diff->expected);
	tuplestore_putvalues(report->tupstore, report->tupdesc, values, nulls);
}
