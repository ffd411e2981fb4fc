/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  How many facts of a source find nothing in a lookup: kpi_internal.lookup_state.
 *
 * The kept rows have a column for each thing that is looked up, with the key of
 * those that found nothing.  What a run reads and what it replaces is counted, so that a
 * refresh of a few entities costs as much as these; the sum is what a count of all
 * kept rows would be.
 *
 * Locks: as the run that reads (keyed.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "fact/fact.h"
#include "lib/stringinfo.h"
#include "refresh/refresh_internal.h"

List *
kpi_refresh_lookups_load(int32 source_id)
{
	List	   *lookups = NIL;
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT l.name, u.column_name, u.missing_column FROM kpi.source_lookup u"
						" JOIN kpi.lookup l ON l.id = u.lookup_id WHERE u.source_id = $1 ORDER BY u.column_name",
						1, KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
	{
		KpiRefreshLookup *lookup = palloc0(sizeof(KpiRefreshLookup));

		lookup->name = kpi_rows_text(&rows, "name");
		lookup->column = kpi_rows_text(&rows, "column_name");
		lookup->missing = kpi_rows_text(&rows, "missing_column");
		lookups = lappend(lookups, lookup);
	}
	kpi_rows_end(&rows);
	return lookups;
}

char *
kpi_refresh_lookups_names(List *lookups)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, lookups)
		names = lappend(names, psprintf("\"%s\"", ((KpiRefreshLookup *) lfirst(lc))->name));
	return kpi_list_join(names);
}

void
kpi_refresh_lookups_count(List *lookups, KpiKept *kept, const KpiEntities *entities)
{
	ListCell   *lc;

	foreach(lc, lookups)
	{
		KpiRefreshLookup *lookup = lfirst(lc);

		lookup->missing_rows = kpi_fact_kept_gain_of(kept, entities, lookup->missing);
	}
}

void
kpi_refresh_lookups_save(int32 source_id, List *lookups, bool is_whole)
{
	ListCell   *lc;

	foreach(lc, lookups)
	{
		const KpiRefreshLookup *lookup = lfirst(lc);

		if (lookup->missing_rows != 0 || is_whole)
			kpi_spi_exec("INSERT INTO kpi_internal.lookup_state AS s (source_id, column_name, facts_missing)"
						 " VALUES ($1, $2, $3) ON CONFLICT (source_id, column_name) DO UPDATE"
						 " SET facts_missing = CASE WHEN $4 THEN 0 ELSE s.facts_missing END + EXCLUDED.facts_missing",
						 4, KPI_INT4(source_id), KPI_TEXT(lookup->column), KPI_INT8(lookup->missing_rows),
						 KPI_BOOL(is_whole));
	}
}
