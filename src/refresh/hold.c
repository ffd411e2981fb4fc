/*-------------------------------------------------------------------------
 *
 * hold.c
 *	  A load that removes many facts at once is held back (hold_if_lost), and one
 *	  that brings again what is sealed.
 *
 * A refresh of a source that wants it counts before it changes anything: the facts
 * that its KPIs count, as the company's months have them, and as they would be.
 * Where all facts are to be read again (the table was swapped, truncated, changed)
 * they are counted in a scan of their own; else the deltas say by how many they
 * change.  If more than the share is gone, nothing is consumed and nothing written:
 * the numbers stay, and writers go on to be captured.
 *
 * Another table that has come under the source's name may have the facts again that
 * went with partitions of the one before: they would count twice.  Nobody can tell
 * them from late ones, so where it has facts on the days of a seal somebody has
 * to say which they are.  A stream whose time is not what the table was partitioned by
 * has facts on such days anyway; so all that have something sealed must.
 *
 * Later refreshes look again, a worker at most once a minute, and less often where
 * counting takes long.  kpi.resume() has the next one not look at all.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A worker looks again after this, or so many times as long as it took. */
#define LOOK_AGAIN_SECONDS 60
#define LOOK_AGAIN_FACTOR 20

/* ---- what is lost ---- */

/* The measures of a stream that readers see already, each fact counted once. */
static Bitmapset *
known_measures(const KpiStream *stream)
{
	Bitmapset  *known = NULL;

	for (int m = 0; !stream->is_left_out && m < stream->nmeasures; m++)
	{
		if (stream->measures[m].is_known && !stream->measures[m].is_end)
			known = bms_add_member(known, m);
	}
	return known;
}

int64
kpi_refresh_facts_of(const KpiStream *stream, const Bitmapset *measures, const KpiCell *cell)
{
	int64		facts = 0;
	int			m = -1;

	while ((m = bms_next_member(measures, m)) >= 0)
		facts += kpi_cell_facts(cell, stream->measures[m].id);
	return facts;
}

static int64
stored_facts(int32 source_id)
{
	KpiSpi		spi;
	int64		facts;

	kpi_spi_begin(&spi);
	facts = kpi_first_int8("SELECT coalesce(pg_catalog.sum(kpi_internal.cell_facts(r.cell, b.measure_id)"
						   " + coalesce(kpi_internal.cell_facts(r.recent, b.measure_id), 0)), 0)::bigint"
						   " FROM kpi_internal.stream s"
						   " JOIN kpi_internal.measure_built b ON b.stream_id = s.id AND b.version = s.version"
						   " JOIN kpi_internal.measure m ON m.id = b.measure_id AND m.role = 'value'"
						   " JOIN kpi_internal.rollup_cell r ON r.stream_id = s.id AND r.scope_kind = 1"
						   "  AND r.scope_id = 1 AND r.grain = 2 AND r.dim_id = 0"
						   " WHERE s.source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_end(&spi);
	return facts;
}

/* By how many facts the deltas that the run sees change the source. */
static int64
queued_facts(const KpiRun *run)
{
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi queue row", ALLOCSET_DEFAULT_SIZES);
	int64		facts = 0;
	KpiQueueScan scan;

	kpi_capture_scan_begin(&scan, run->source->id, InvalidOid, run->snapshot, AccessShareLock);
	while (kpi_capture_scan_next(&scan))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);
		KpiUnpack	delta;

		CHECK_FOR_INTERRUPTS();
		if (scan.kind == KPI_DELTA_CELL)
		{
			kpi_capture_unpack_begin(&delta, kpi_capture_scan_data(&scan));
			while (kpi_capture_unpack_next(&delta))
			{
				const KpiStream *stream = kpi_model_stream_find(run->source, delta.stream_id);

				if (stream != NULL && stream->version == delta.version)
					facts += kpi_refresh_facts_of(stream, known_measures(stream), delta.cell);
			}
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
	}
	kpi_capture_scan_end(&scan);
	MemoryContextDelete(row_cxt);
	return facts;
}

/* Those that are gone with their partitions are lost to nobody. */
static int64
sealed_facts(const KpiStream *stream, const Bitmapset *measures)
{
	int64		facts = 0;
	KpiSealedRows rows;
	KpiSealedCell sealed;

	kpi_refresh_sealed_begin(&rows, stream->id, DATEVAL_NOBEGIN, DATEVAL_NOEND);
	while (kpi_refresh_sealed_next(&rows, &sealed))
		facts += kpi_refresh_facts_of(stream, measures, sealed.cell);
	kpi_refresh_sealed_end(&rows);
	return facts;
}

static int64
read_facts(KpiRun *run)
{
	int64		facts = 0;

	for (int s = 0; s < run->source->nstreams; s++)
	{
		Bitmapset  *known = known_measures(&run->source->streams[s]);

		if (known != NULL)
			facts += kpi_refresh_scan_count(run, s, known, &kpi_refresh_all_days) + sealed_facts(&run->source->streams[s], known);
	}
	return facts;
}

/* Says it once. */
static void
hold(const KpiRun *run, const char *reason, const char *hint, TimestampTz started)
{
	const KpiSource *source = run->source;
	int64		pause_ms = Max(LOOK_AGAIN_SECONDS * INT64CONST(1000),
							   LOOK_AGAIN_FACTOR * (GetCurrentTimestamp() - started) / 1000);
	bool		is_news = kpi_refresh_source_state_stop(source->id, "held", reason, hint,
														KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(TimestampTzPlusMilliseconds(kpi_now(), pause_ms))));

	if (is_news)
		kpi_refresh_log_held(source->id, source->name, started);
	ereport(is_news || !kpi_am_worker ? WARNING : DEBUG1,
			(errmsg("source \"%s\" is held: %s", source->name, reason),
			 errhint("%s", hint)));
}

void
kpi_refresh_hold(const KpiRun *run, int64 before, int64 after, TimestampTz started)
{
	const KpiSource *source = run->source;

	hold(run,
		 psprintf("a load has removed %.0f %% of the facts (" INT64_FORMAT " of " INT64_FORMAT
				  " counted), and more than %.0f %% are held back",
				  100.0 * (before - after) / before, before - after, before,
				  100 * source->hold_if_lost),
		 psprintf("Load the facts again, or accept the loss with kpi.resume(%s).",
				  quote_literal_cstr(source->name)),
		 started);
}

static bool
hold_loss(KpiRun *run, const KpiSourceState *state, TimestampTz started)
{
	const KpiSource *source = run->source;
	int64		before;
	int64		after;

	if (source->hold_if_lost == 0)
		return false;
	before = stored_facts(source->id);
	if (before <= 0)
		return false;
	after = state->recompute ? read_facts(run) : before + queued_facts(run);
	if (before - after <= source->hold_if_lost * before)
		return false;
	kpi_refresh_hold(run, before, after, started);
	return true;
}

/* ---- what is sealed ---- */

static bool
has_seals(int32 source_id)
{
	KpiSpi		spi;
	bool		has;

	kpi_spi_begin(&spi);
	has = kpi_spi_read("SELECT FROM kpi_internal.seal s WHERE s.source_id = $1 AND s.facts > 0 LIMIT 1",
					   1, KPI_INT4(source_id)) > 0;
	kpi_spi_end(&spi);
	return has;
}

bool
kpi_refresh_seals_are_of_another(int32 source_id)
{
	KpiSource  *source = kpi_model_source_load(source_id, false);

	return OidIsValid(source->attached) && kpi_model_source_relid(source) != source->attached && has_seals(source->id);
}

/*
 * From the first to the last that a stream has in seals; those that come back with
 * their partitions are in no doubt.  False: none.
 */
static bool
sealed_days(const KpiRun *run, int32 stream_id, KpiDays *days)
{
	KpiRows		rows;

	*days = kpi_refresh_all_days;
	kpi_rows_begin(&rows, "SELECT pg_catalog.min(c.day) AS since, pg_catalog.max(c.day) + 1 AS until"
				   " FROM kpi_internal.sealed_cell c WHERE c.stream_id = $1 AND c.day > $2 AND NOT EXISTS"
				   "  (SELECT FROM kpi_internal.seals_come_back($3, $4) b WHERE b.seal_id = c.seal_id)",
				   4, KPI_INT4(stream_id), KPI_VALUE(DATEOID, DateADTGetDatum(KPI_ERROR_DAY)),
				   KPI_INT4(run->source->id), kpi_refresh_oids(run->table.leaves));
	if (kpi_rows_next(&rows))
	{
		days->since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		days->until = kpi_rows_date(&rows, "until", DATEVAL_NOBEGIN);
	}
	kpi_rows_end(&rows);
	return days->since < days->until;
}

static bool
hold_sealed(KpiRun *run, const KpiSourceState *state, TimestampTz started)
{
	const KpiSource *source = run->source;
	char	   *name = quote_literal_cstr(source->name);
	bool		is_any = false;

	if (!state->swapped || !has_seals(source->id))
		return false;
	for (int s = 0; s < source->nstreams; s++)
	{
		Bitmapset  *known = known_measures(&source->streams[s]);
		KpiDays		days;

		if (known == NULL || !sealed_days(run, source->streams[s].id, &days))
			continue;
		if (kpi_refresh_scan_count(run, s, known, &days) == 0)
			return false;
		is_any = true;
	}
	if (!is_any)
		return false;
	hold(run,
		 psprintf("the table that is called %s now has facts on days that are sealed, and if they are those of before they would count twice",
				  source->relation),
		 psprintf("If they are, take what is sealed out of the numbers with kpi.alter_source(%s, discard_sealed => true); if they come on top of it, call kpi.resume(%s).",
				  name, name),
		 started);
	return true;
}

/* ---- both ---- */

bool
kpi_refresh_may_be_held(const KpiSource *source)
{
	return source->hold_if_lost != 0 || has_seals(source->id);
}

bool
kpi_refresh_is_held(KpiRun *run, const KpiSourceState *state)
{
	TimestampTz started = GetCurrentTimestamp();

	return !state->accepts_loss && (hold_sealed(run, state, started) || hold_loss(run, state, started));
}

/* ---- kpi.capture ---- */

/*
 * While it is off each transaction that writes asks for all facts to be read: they
 * are once, when it is on again, or now if somebody asks for a repair.
 */
bool
kpi_refresh_waits_for_capture(const KpiRun *run, const KpiSourceState *state, KpiRunMode mode)
{
	const KpiSource *source = run->source;
	const char *reason = "kpi.capture is off, and facts have changed: they are read when it is on again";
	char	   *hint;
	bool		is_news;

	if (kpi_capture_enabled || !state->marked || mode == KPI_RUN_REPAIR || mode == KPI_RUN_PROVE)
		return false;
	hint = psprintf("Set kpi.capture = on and reload the server. SELECT kpi.repair(%s) reads the facts as they are now.",
					quote_literal_cstr(source->name));
	is_news = kpi_refresh_source_state_stop(source->id, "capture_off", reason, hint, KPI_NULL(TIMESTAMPTZOID));
	if (is_news)
		kpi_goal_notify_source(source->id);
	ereport(is_news || !IsBackgroundWorker ? WARNING : DEBUG1,
			(errmsg("source \"%s\" is not refreshed: %s", source->name, reason),
			 errhint("%s", hint)));
	return true;
}
