/*-------------------------------------------------------------------------
 *
 * loaded.c
 *	  When the rows of a source were loaded last.
 *
 * Writers say it with their deltas, so as a rule nothing is read for it.  The table is
 * asked once for an expression, and when the facts are read anew: what a deleted
 * row said stays said until then.  Like other facts it is read under S, so what
 * writers have said until then is in it.  Rows on which the expression fails do not
 * count, as in capture.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "access/tableam.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/memutils.h"

typedef struct LoadedScan
{
	KpiRun	   *run;
	bool		is_read;
	TimestampTz at;
} LoadedScan;

bool
kpi_refresh_loaded_is_due(const KpiSource *source, const KpiSourceState *state)
{
	return source->loaded_at != NULL &&
		(state->recompute || state->loaded_by == NULL || strcmp(state->loaded_by, source->loaded_at) != 0);
}

static void
read_at_once(void *arg)
{
	LoadedScan *scan = arg;
	KpiUser		user;

	kpi_refresh_scan_as_definer(scan->run, &user);
	scan->is_read = kpi_fact_loaded_read(scan->run->source, scan->run->table.relid, scan->run->table.leaves,
										 &scan->at);
	kpi_user_restore(&user);
}

static void
read_leaf(LoadedScan *scan, Oid leaf)
{
	Relation	rel = table_open(leaf, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	KpiProjection *proj = kpi_fact_projection_create(scan->run->source, leaf, scan->run->mcxt, NULL);
	TableScanDesc table_scan = table_beginscan(rel, scan->run->snapshot, 0, NULL);
	TimestampTz at;

	while (table_scan_getnextslot(table_scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (kpi_fact_project_loaded(proj, KPI_ALL_COLUMNS, slot, &at))
			scan->at = Max(scan->at, at);
	}
	table_endscan(table_scan);
	kpi_fact_projection_free(proj);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

void
kpi_refresh_loaded_read(KpiRun *run)
{
	LoadedScan	scan = {.run = run};
	ListCell   *lc;

	(void) kpi_try(KPI_ERROR_TRAPPED, read_at_once, &scan);
	if (!scan.is_read)
	{
		scan.at = DT_NOBEGIN;
		foreach(lc, run->table.leaves)
			read_leaf(&scan, lfirst_oid(lc));
	}
	run->stats.loaded_at = scan.at;
	run->stats.loaded_is_read = true;
}

void
kpi_refresh_loaded_save(const KpiRun *run, const KpiSourceState *state)
{
	bool		is_read = run->stats.loaded_is_read;
	bool		has_built = run->build.nsteps > 0;
	TimestampTz at = run->stats.loaded_at;
	bool		is_left = !is_read && kpi_refresh_loaded_is_due(run->source, state);
	KpiSpi		spi;

	/*
	 * Of what the queue says by another expression, or of another table,
	 * nothing is kept.
	 */
	if (is_left)
		at = DT_NOBEGIN;
	if (!is_read && !is_left && !has_built && at == DT_NOBEGIN)
		return;
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.source_state s SET"
				 " changed_at = CASE WHEN $2 THEN kpi_internal.now() ELSE s.changed_at END,"
				 " loaded_at = CASE WHEN $3 IS NULL THEN greatest(s.loaded_at, $4) ELSE $4 END,"
				 " loaded_by = CASE WHEN $5 THEN NULL ELSE coalesce($3, s.loaded_by) END WHERE s.source_id = $1",
				 5, KPI_INT4(run->source->id), KPI_BOOL(has_built),
				 KPI_TEXT(is_read ? run->source->loaded_at : NULL),
				 at == DT_NOBEGIN ? KPI_NULL(TIMESTAMPTZOID) :
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(at)), KPI_BOOL(is_left));
	kpi_spi_end(&spi);
}

void
kpi_refresh_loaded_rename(int32 source_id, const List *renames)
{
	char	   *loaded_by = kpi_first_text("SELECT t.loaded_by FROM kpi_internal.source_state t WHERE t.source_id = $1",
										   1, KPI_INT4(source_id));

	if (loaded_by != NULL)
		kpi_spi_exec("UPDATE kpi_internal.source_state SET loaded_by = $2 WHERE source_id = $1",
					 2, KPI_INT4(source_id), KPI_TEXT(kpi_expr_rename_columns(loaded_by, renames)));
}

TimestampTz
kpi_refresh_loaded_until(const KpiSource *source)
{
	TimestampTz until = DT_NOEND;
	KpiRows		rows;
	KpiSpi		spi;

	if (source->loaded_at == NULL && source->stale_seconds == 0)
		return until;
	kpi_spi_begin(&spi);
	kpi_rows_begin(&rows, "SELECT l.judged_until FROM kpi_internal.source_load l WHERE l.source_id = $1",
				   1, KPI_INT4(source->id));
	if (kpi_rows_next(&rows))
		until = kpi_rows_time(&rows, "judged_until", DT_NOEND);
	kpi_rows_end(&rows);
	kpi_spi_end(&spi);
	return until;
}
