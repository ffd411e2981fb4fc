/*-------------------------------------------------------------------------
 *
 * seal.c
 *	  Facts of partitions that are gone: kept as cells, and taken as they are.
 *
 * The source's lock is held.  When a partition is dropped or detached, what it
 * held is the difference between the day cells that are stored and what the facts
 * that are left say.  That is exact, as all deltas that the run's snapshot shows
 * were merged before, and nobody can have written to a partition that the snapshot
 * does not show: who did has ended before it went.  The difference is kept in
 * kpi_internal.sealed_cell, and each scan of facts adds it to what it finds
 * (scan.c), so builds, verification and repair go on as if the rows were there;
 * neither day cells nor rollups change.  It has texts of owners and dimension
 * values, as it is dumped and their numbers are not.
 *
 * What was not built when the partition went is in no number.  The seal says which
 * measures that concerns, and up to which day; measures that come later have
 * nothing of its days.  So they are complete only from then on (kpi_internal.measure_state).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Columns of kpi_internal.sealed_cell. */
enum
{
	SEALED_STREAM,
	SEALED_DAY,
	SEALED_SEAL,
	SEALED_NUMBER,
	SEALED_OWNER,
	SEALED_DIMS,
	SEALED_CELL,
	SEALED_COLUMNS
};

#define SEALED_KEYS SEALED_OWNER

/* Columns of kpi_internal.dim. */
#define DIM_VALS 4

static KpiKeyedTable *
open_sealed(Snapshot *snapshot)
{
	CommandCounterIncrement();
	*snapshot = RegisterSnapshot(kpi_snapshot_latest());
	return kpi_keyed_table_open("kpi_internal", "sealed_cell", SEALED_KEYS, *snapshot);
}

static void
close_sealed(KpiKeyedTable *keyed, Snapshot snapshot)
{
	kpi_keyed_table_close(keyed);
	UnregisterSnapshot(snapshot);
}

/* ---- reading ---- */

void
kpi_refresh_sealed_begin(KpiSealedRows *rows, int32 stream_id, DateADT since, DateADT until)
{
	rows->keyed = open_sealed(&rows->snapshot);
	kpi_keyed_table_scan(rows->keyed, 1, &stream_id, true, since, until - 1);
}

bool
kpi_refresh_sealed_next(KpiSealedRows *rows, KpiSealedCell *sealed)
{
	TupleTableSlot *found = rows->keyed->found;

	if (!kpi_keyed_table_next(rows->keyed))
		return false;
	slot_getallattrs(found);
	sealed->day = DatumGetDateADT(found->tts_values[SEALED_DAY]);
	sealed->owner = found->tts_isnull[SEALED_OWNER] ? NULL : TextDatumGetCString(found->tts_values[SEALED_OWNER]);
	sealed->has_dims = !found->tts_isnull[SEALED_DIMS];
	sealed->dims = found->tts_values[SEALED_DIMS];
	sealed->cell = DatumGetKpiCellPCopy(found->tts_values[SEALED_CELL]);
	return true;
}

void
kpi_refresh_sealed_end(KpiSealedRows *rows)
{
	close_sealed(rows->keyed, rows->snapshot);
}

/* ---- sealing ---- */

typedef struct Sealing
{
	KpiRun	   *run;
	int32		seal_id;
	List	   *lost;			/* the tables that are gone */
	KpiKeyedTable *sealed;
	KpiLookup	owners;
	KpiLookup	dims;
	MemoryContext row_cxt;
	int32		number;			/* of the last cell */
	int64	   *facts;			/* of each measure of the present stream */
	int64		most_facts;
	DateADT		first_day;		/* of the cells */
	DateADT		last_day;
	List	   *measures;		/* ids of all */
	List	   *unbuilt;		/* and of those that miss facts */
	DateADT		missing_until;
} Sealing;

static void
count_facts(Sealing *sealing, const KpiStream *stream, const KpiCell *cell)
{
	for (int m = 0; !stream->is_left_out && m < stream->nmeasures; m++)
	{
		sealing->facts[m] += kpi_cell_facts(cell, stream->measures[m].id);
		sealing->most_facts = Max(sealing->most_facts, sealing->facts[m]);
	}
}

static void
write_cell(Sealing *sealing, const KpiStream *stream, const KpiDayKey *key, const KpiCell *cell)
{
	Datum		values[SEALED_COLUMNS];
	bool		nulls[SEALED_COLUMNS] = {false};
	char	   *owner = kpi_refresh_owner_key(&sealing->owners, key->owner_id);
	Datum		dim_id = Int32GetDatum(key->dim_combination_id);

	values[SEALED_STREAM] = Int32GetDatum(key->stream_id);
	values[SEALED_DAY] = DateADTGetDatum(key->day);
	values[SEALED_SEAL] = Int32GetDatum(sealing->seal_id);
	values[SEALED_NUMBER] = Int32GetDatum(++sealing->number);
	nulls[SEALED_OWNER] = owner == NULL;
	values[SEALED_OWNER] = owner ? CStringGetTextDatum(owner) : (Datum) 0;
	nulls[SEALED_DIMS] = key->dim_combination_id == 0;
	values[SEALED_DIMS] = (Datum) 0;
	if (key->dim_combination_id != 0)
	{
		kpi_lookup_begin(&sealing->dims, &dim_id);
		if (!kpi_lookup_next(&sealing->dims))
			elog(ERROR, "dimension values %d are not there", key->dim_combination_id);
		values[SEALED_DIMS] = kpi_lookup_column(&sealing->dims, DIM_VALS);
	}
	values[SEALED_CELL] = PointerGetDatum(kpi_cell_compact(cell));
	kpi_keyed_table_insert(sealing->sealed, values, nulls);

	count_facts(sealing, stream, cell);
	if (key->day == KPI_ERROR_DAY || stream->is_left_out)
		return;
	sealing->first_day = Min(sealing->first_day, key->day);
	sealing->last_day = Max(sealing->last_day, key->day);
}

/* Writes what is stored and the facts do not say. */
static void
write_difference(Sealing *sealing, int s, KpiCellMap *facts, const KpiFactPart *part)
{
	KpiRun	   *run = sealing->run;
	const KpiStream *stream = &run->source->streams[s];
	const KpiCellItem *fact = kpi_refresh_cellmap_next(facts);
	KpiDayRows	rows;

	kpi_refresh_day_rows_begin(&rows, stream->id, part->since, part->until);
	while (fact != NULL || rows.more)
	{
		int			order = !rows.more ? -1 : fact ? kpi_refresh_cellkey_compare(&fact->key, &rows.key) : 1;
		MemoryContext old = MemoryContextSwitchTo(sealing->row_cxt);
		const KpiDayKey *key = order <= 0 ? &fact->key.day : &rows.key.day;
		KpiCell    *cell = order >= 0 ? kpi_refresh_table_found_cell(rows.keyed) : kpi_cell_empty();
		const KpiCell *finished;

		CHECK_FOR_INTERRUPTS();
		kpi_refresh_drop_unknown_states(cell, stream);
		if (order <= 0)
		{
			KpiCell    *left = kpi_cell_pack(fact->cell);

			if (kpi_refresh_build_takes(run, s, left, key->day))
				cell = kpi_cell_subtract(cell, left);
		}
		finished = kpi_cell_finished(cell);
		if (!kpi_cell_is_empty(finished))
			write_cell(sealing, stream, key, finished);
		MemoryContextSwitchTo(old);
		MemoryContextReset(sealing->row_cxt);
		if (order <= 0)
			fact = kpi_refresh_cellmap_next(facts);
		if (order >= 0)
			kpi_refresh_day_rows_next(&rows);
	}
	kpi_refresh_day_rows_end(&rows);
}

/* Or, of what is left out, facts without a day, if some of the lost ones may have none. */
static bool
has_errors(int32 stream_id, DateADT until)
{
	DateADT		last = until > kpi_calendar_last_fact_day() + 1 ? KPI_NO_DAY : KPI_ERROR_DAY;
	KpiDayRows	rows;
	bool		has;

	kpi_refresh_day_rows_begin(&rows, stream_id, KPI_ERROR_DAY, last + 1);
	has = rows.more;
	kpi_refresh_day_rows_end(&rows);
	return has;
}

/*
 * The days that the lost partitions' facts of a stream can be of: known by their
 * bounds where the stream's time is what the table is partitioned by.
 */
static KpiDays
days_of(const Sealing *sealing, const KpiStream *stream)
{
	KpiDays		days = kpi_refresh_all_days;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT pg_catalog.min(l.since) AS since, pg_catalog.max(l.until) AS until FROM kpi_internal.leaf l"
				   " WHERE l.source_id = $1 AND l.relid = ANY ($2)"
				   " HAVING pg_catalog.bool_and(pg_catalog.quote_ident(l.key_column) = $3)",
				   3, KPI_INT4(sealing->run->source->id), kpi_refresh_oids(sealing->lost), KPI_TEXT(stream->at));
	if (kpi_rows_next(&rows))
	{
		days.since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		days.until = kpi_rows_date(&rows, "until", DATEVAL_NOEND);
	}
	kpi_rows_end(&rows);
	return days;
}

/* Up to which day facts that were there are in no number of one of the stream's measures. */
static void
note_missing(Sealing *sealing, int s, const KpiDays *days)
{
	KpiRun	   *run = sealing->run;
	const KpiStream *stream = &run->source->streams[s];
	DateADT		today = kpi_calendar_today(&run->calendar);

	for (int m = 0; m < stream->nmeasures; m++)
	{
		DateADT		until = run->build.streams[s].measures[m].days_since;

		sealing->measures = lappend_int(sealing->measures, stream->measures[m].id);
		until = Min(until, days->until);
		if (until <= days->since)
			continue;
		sealing->unbuilt = lappend_int(sealing->unbuilt, stream->measures[m].id);
		sealing->missing_until = Max(sealing->missing_until, until == DATEVAL_NOEND ? today + 1 : until);
	}
}

static void
seal_stream(Sealing *sealing, int s)
{
	KpiRun	   *run = sealing->run;
	const KpiStream *stream = &run->source->streams[s];
	KpiDays		days = days_of(sealing, stream);
	KpiFactPart part = {.since = days.since,.until = days.until};
	int64		n;
	KpiCellMap *facts;

	/* Facts that were left out as a whole have no day. */
	if (part.since != KPI_ERROR_DAY && has_errors(stream->id, part.until))
	{
		part.since = DATEVAL_NOBEGIN;
		part.until = DATEVAL_NOEND;
	}
	sealing->facts = palloc0(stream->nmeasures * sizeof(int64));
	facts = kpi_refresh_scan_facts(run, s, &part, false, &n);
	write_difference(sealing, s, facts, &part);
	kpi_refresh_cellmap_free(facts);
	pfree(sealing->facts);
	note_missing(sealing, s, &days);
}

static KpiParam
known_day(DateADT day)
{
	return DATE_NOT_FINITE(day) ? KPI_NULL(DATEOID) : KPI_VALUE(DATEOID, DateADTGetDatum(day));
}

/* A partition that held nothing leaves nothing. */
static void
save_seal(const Sealing *sealing)
{
	KpiParam	id = KPI_INT4(sealing->seal_id);
	KpiParam	source_id = KPI_INT4(sealing->run->source->id);
	KpiParam	lost = kpi_refresh_oids(sealing->lost);
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	if (sealing->number == 0 && sealing->unbuilt == NIL)
		kpi_spi_exec("DELETE FROM kpi_internal.seal WHERE id = $1", 1, id);
	else
	{
		kpi_spi_exec("UPDATE kpi_internal.seal SET first_day = $2, last_day = $3, facts = $4, measures = $5,"
					 " unbuilt = $6, missing_until = $7 WHERE id = $1",
					 7, id, known_day(sealing->first_day), known_day(sealing->last_day),
					 KPI_INT8(sealing->most_facts), KPI_INT4S(sealing->measures), KPI_INT4S(sealing->unbuilt),
					 known_day(sealing->missing_until));
		kpi_refresh_seal_partitions(id, source_id, lost);
	}
	kpi_spi_end(&spi);
}

void
kpi_refresh_seal(KpiRun *run, List *lost)
{
	Sealing		sealing = {
		.run = run,
		.lost = lost,
		.first_day = DATEVAL_NOEND,
		.last_day = DATEVAL_NOBEGIN,
		.missing_until = DATEVAL_NOBEGIN
	};
	Snapshot	snapshot;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	sealing.seal_id = kpi_first_int4("INSERT INTO kpi_internal.seal (source_id)"
									 " VALUES ($1) RETURNING id", 1, KPI_INT4(run->source->id));
	kpi_spi_end(&spi);
	sealing.row_cxt = AllocSetContextCreate(run->mcxt, "pg_kpi sealed cell", ALLOCSET_DEFAULT_SIZES);
	kpi_lookup_open(&sealing.owners, "kpi_internal", "owner", "owner_pkey", 1, SnapshotSelf);
	kpi_lookup_open(&sealing.dims, "kpi_internal", "dim", "dim_pkey", 1, SnapshotSelf);
	sealing.sealed = open_sealed(&snapshot);
	for (int s = 0; s < run->source->nstreams; s++)
		seal_stream(&sealing, s);
	close_sealed(sealing.sealed, snapshot);
	kpi_lookup_close(&sealing.dims);
	kpi_lookup_close(&sealing.owners);
	MemoryContextDelete(sealing.row_cxt);
	CommandCounterIncrement();
	save_seal(&sealing);
}

/* ---- without a scan ---- */

/* Within kpi_spi_begin(): the names of the lost tables, and those that are still there. */
void
kpi_refresh_seal_partitions(KpiParam seal_id, KpiParam source_id, KpiParam lost)
{
	kpi_spi_exec("INSERT INTO kpi_internal.seal_partition (seal_id, name, bounds, is_detached)"
				 " SELECT $1, l.name, l.bounds, EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = l.relid)"
				 " FROM kpi_internal.leaf l WHERE l.source_id = $2 AND l.relid = ANY ($3)",
				 3, seal_id, source_id, lost);
	kpi_spi_exec("INSERT INTO kpi_internal.seal_leaf (seal_id, name, relid) SELECT $1, l.name, l.relid"
				 " FROM kpi_internal.leaf l WHERE l.source_id = $2 AND l.relid = ANY ($3)",
				 3, seal_id, source_id, lost);
}

void
kpi_refresh_seals_lift(int32 source_id, List *leaves)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi_internal.sealed_cell c USING kpi_internal.seals_come_back($1, $2) b"
				 " WHERE c.seal_id = b.seal_id", 2, KPI_INT4(source_id), kpi_refresh_oids(leaves));
	kpi_spi_exec("DELETE FROM kpi_internal.seal s USING kpi_internal.seals_come_back($1, $2) b"
				 " WHERE s.id = b.seal_id", 2, KPI_INT4(source_id), kpi_refresh_oids(leaves));
	kpi_spi_end(&spi);
}

void
kpi_refresh_seals_discard(int32 source_id)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi_internal.sealed_cell c USING kpi_internal.seal s"
				 " WHERE c.seal_id = s.id AND s.source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_exec("DELETE FROM kpi_internal.seal WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_end(&spi);
	kpi_refresh_leaves_forget_lost(source_id);
}
