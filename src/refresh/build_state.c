/*-------------------------------------------------------------------------
 *
 * build_state.c
 *	  How far builds are, as it is stored.
 *
 * The source's lock is held.  A run loads the frontiers of its measures (build.c)
 * and how the build has gone so far, and saves both in the transaction that wrote the
 * cells.  What belongs to a build that is over, or to none any more because its
 * measures were dropped, is removed.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/date.h"
#include "utils/memutils.h"

/* Of the first step by months: the present quarter and the one before. */
#define FIRST_MONTHS 6

bool
kpi_refresh_is_built(const KpiFrontier *frontier)
{
	return frontier->days_since == DATEVAL_NOBEGIN && frontier->rollups_since == DATEVAL_NOBEGIN;
}

void
kpi_refresh_build_look_at(KpiRun *run, int s)
{
	KpiStreamBuild *stream = &run->build.streams[s];

	stream->is_partial = false;
	for (int m = 0; m < run->source->streams[s].nmeasures; m++)
		stream->is_partial |= !kpi_refresh_is_built(&stream->measures[m]);
}

bool
kpi_refresh_build_is_due(const KpiRun *run)
{
	for (int s = 0; s < run->source->nstreams; s++)
	{
		if (run->build.streams[s].is_partial)
			return true;
	}
	return false;
}

static List *
measures_of(const KpiSource *source)
{
	List	   *ids = NIL;

	for (int s = 0; s < source->nstreams; s++)
	{
		for (int m = 0; m < source->streams[s].nmeasures; m++)
			ids = lappend_int(ids, source->streams[s].measures[m].id);
	}
	return ids;
}

static void
load_progress(KpiRun *run)
{
	KpiBuild   *build = &run->build;
	KpiRows		rows;

	build->is_cancelled = kpi_spi_read("SELECT FROM kpi_internal.build_cancelled b WHERE b.source_id = $1",
									   1, KPI_INT4(run->source->id)) > 0;
	kpi_rows_begin_read(&rows, "SELECT b.by_scan, b.months, b.facts, b.expected_facts, b.milliseconds, b.first_day,"
						" NOT b.measures OPERATOR(pg_catalog.<@) $2 AS has_lost_measures"
						" FROM kpi_internal.build b WHERE b.source_id = $1",
						2, KPI_INT4(run->source->id), KPI_INT4S(measures_of(run->source)));
	build->is_stored = kpi_rows_next(&rows);
	if (build->is_stored)
	{
		build->by_scan = kpi_rows_bool(&rows, "by_scan");
		build->months = kpi_rows_int4(&rows, "months");
		build->facts = kpi_rows_int8(&rows, "facts");
		build->expected_facts = kpi_rows_int8(&rows, "expected_facts");
		build->milliseconds = kpi_rows_int8(&rows, "milliseconds");
		build->first_day = kpi_rows_date(&rows, "first_day", DATEVAL_NOEND);
		build->has_lost_measures = kpi_rows_bool(&rows, "has_lost_measures");
	}
	kpi_rows_end(&rows);
}

void
kpi_refresh_build_load(KpiRun *run, bool is_noted)
{
	const KpiSource *source = run->source;
	KpiBuild   *build = &run->build;
	KpiSpi		spi;

	memset(build, 0, sizeof(KpiBuild));
	build->months = kpi_build_step > 0 ? FIRST_MONTHS : 1;
	build->first_day = DATEVAL_NOEND;
	build->streams = MemoryContextAllocZero(run->mcxt, Max(source->nstreams, 1) * sizeof(KpiStreamBuild));
	for (int s = 0; s < source->nstreams; s++)
	{
		const KpiStream *stream = &source->streams[s];

		build->streams[s].measures = MemoryContextAlloc(run->mcxt, stream->nmeasures * sizeof(KpiFrontier));
		for (int m = 0; m < stream->nmeasures; m++)
		{
			build->streams[s].measures[m].days_since = stream->measures[m].days_since;
			build->streams[s].measures[m].rollups_since = stream->measures[m].rollups_since;
		}
		kpi_refresh_build_look_at(run, s);
	}
	if (!kpi_refresh_build_is_due(run))
	{
		/* Of measures that were dropped before they were built. */
		build->is_changed = is_noted;
		return;
	}
	kpi_spi_begin(&spi);
	load_progress(run);
	kpi_spi_end(&spi);
}

static bool
is_known(const KpiStream *stream)
{
	for (int m = 0; m < stream->nmeasures; m++)
	{
		if (stream->measures[m].is_known)
			return true;
	}
	return false;
}

static bool
is_unfinished(const KpiStream *stream)
{
	for (int m = 0; m < stream->nmeasures; m++)
	{
		if (stream->measures[m].is_known && stream->measures[m].rollups_since != DATEVAL_NOBEGIN)
			return true;
	}
	return false;
}

void
kpi_refresh_build_begin(KpiRun *run, bool recompute)
{
	KpiBuild   *build = &run->build;

	for (int s = 0; s < run->source->nstreams; s++)
	{
		const KpiStream *stream = &run->source->streams[s];
		bool		wipe = !is_known(stream) || (recompute && is_unfinished(stream));

		if (wipe)
			build->wiped |= kpi_refresh_table_wipe(stream->id);
		for (int m = 0; m < stream->nmeasures; m++)
		{
			if (wipe || recompute)
				build->streams[s].measures[m].days_since = DATEVAL_NOEND;
			if (wipe)
				build->streams[s].measures[m].rollups_since = DATEVAL_NOEND;
		}
		kpi_refresh_build_look_at(run, s);
	}
	build->is_changed = true;
}

static void
save_frontiers(const KpiRun *run, int s)
{
	const KpiStream *stream = &run->source->streams[s];

	for (int m = 0; m < stream->nmeasures; m++)
	{
		const KpiFrontier *frontier = &run->build.streams[s].measures[m];

		if (stream->measures[m].is_known && stream->measures[m].days_since == frontier->days_since &&
			stream->measures[m].rollups_since == frontier->rollups_since)
			continue;
		kpi_spi_exec("INSERT INTO kpi_internal.measure_built (measure_id, stream_id, version, kpi_id,"
					 " days_since, rollups_since) VALUES ($1, $2, $3, $4, $5, $6)"
					 " ON CONFLICT (measure_id) DO UPDATE SET version = EXCLUDED.version,"
					 " days_since = EXCLUDED.days_since, rollups_since = EXCLUDED.rollups_since",
					 6, KPI_INT4(stream->measures[m].id), KPI_INT4(stream->id), KPI_INT4(stream->version),
					 KPI_INT4(stream->measures[m].kpi_id),
					 KPI_VALUE(DATEOID, DateADTGetDatum(frontier->days_since)),
					 KPI_VALUE(DATEOID, DateADTGetDatum(frontier->rollups_since)));
	}
}

static void
save_progress(const KpiRun *run)
{
	const KpiBuild *build = &run->build;

	kpi_spi_exec("INSERT INTO kpi_internal.build AS b (source_id, by_scan, months, facts, expected_facts,"
				 " milliseconds, first_day, steps, measures) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
				 " ON CONFLICT (source_id) DO UPDATE SET by_scan = EXCLUDED.by_scan, months = EXCLUDED.months,"
				 " facts = EXCLUDED.facts, expected_facts = EXCLUDED.expected_facts, milliseconds = EXCLUDED.milliseconds,"
				 " first_day = EXCLUDED.first_day, steps = b.steps + EXCLUDED.steps,"
				 " measures = CASE WHEN EXCLUDED.measures OPERATOR(pg_catalog.<@) b.measures THEN b.measures"
				 "  ELSE b.measures OPERATOR(pg_catalog.||) EXCLUDED.measures END,"
				 " stepped_at = pg_catalog.clock_timestamp()",
				 9, KPI_INT4(run->source->id), KPI_BOOL(build->by_scan), KPI_INT4(build->months),
				 KPI_INT8(build->facts), KPI_INT8(build->expected_facts),
				 KPI_INT8(build->milliseconds),
				 build->first_day == DATEVAL_NOEND ? KPI_NULL(DATEOID) :
				 KPI_VALUE(DATEOID, DateADTGetDatum(build->first_day)), KPI_INT4(build->nsteps),
				 KPI_INT4S(measures_of(run->source)));
}

void
kpi_refresh_build_save(KpiRun *run)
{
	KpiSpi		spi;

	if (!run->build.is_changed)
		return;
	kpi_spi_begin(&spi);
	for (int s = 0; s < run->source->nstreams; s++)
		save_frontiers(run, s);
	if (kpi_refresh_build_is_due(run))
		save_progress(run);
	else
	{
		kpi_spi_exec("DELETE FROM kpi_internal.build WHERE source_id = $1", 1, KPI_INT4(run->source->id));
		kpi_spi_exec("DELETE FROM kpi_internal.build_cancelled WHERE source_id = $1", 1, KPI_INT4(run->source->id));
	}
	kpi_spi_end(&spi);
}

/*
 * A stream that is built in part starts from nothing (build.c); so would all whose
 * version is not known.
 */
void
kpi_refresh_build_compare(int32 source_id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.measure_built b SET days_since = 'infinity', version = s.version"
				 " FROM kpi_internal.stream s"
				 " WHERE s.id = b.stream_id AND s.source_id = $1 AND b.version = s.version - 1"
				 " AND NOT EXISTS (SELECT FROM kpi_internal.measure_built p"
				 "  WHERE p.stream_id = s.id AND p.rollups_since > '-infinity')",
				 1, KPI_INT4(source_id));
	kpi_spi_end(&spi);
}
