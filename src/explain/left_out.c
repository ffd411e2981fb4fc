/*-------------------------------------------------------------------------
 *
 * left_out.c
 *	  How many facts count for nothing, by KPI and reason.
 *
 * Summed from the day cells of the streams of what is left out, in one pass, under
 * the reader's snapshot.  A row on which the expression of its reason fails is one that
 * the KPI's own expressions fail on (fact/query.c).  Measures that were dropped may have left states behind,
 * which count for nobody.
 *
 * Who defines a KPI learns from the first CALL kpi.refresh() that finds it built and
 * its source with facts, whoever has built it, of those that it does not count, and only once.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "cell/cell.h"
#include "explain/explain.h"
#include "explain/explain_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "model/model.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kpi_sql_left_out_counts);

/* Reasons, from 1, as KpiLeftOut has them, and behind these: an expression fails. */
#define ERROR_OF_FACT (KPI_LEFT_OUT_REASONS + 1)

static const char *
reason_name(int reason)
{
	return reason == ERROR_OF_FACT ? "error" : kpi_cell_left_out_name(reason);
}

/* Of one measure and reason. */
typedef struct Tally
{
	int64		facts;
	DateADT		first_day;		/* of those that have a day */
	DateADT		last_day;
}			Tally;

typedef struct Measure
{
	int32		id;
	int32		kpi_id;
	int32		source_id;
	Tally		tallies[ERROR_OF_FACT];
}			Measure;

typedef struct Counting
{
	int			n;
	Measure    *measures;		/* ascending id */
	int			next;			/* where the last one of a cell was found */
	DateADT		day;			/* of the cell */
}			Counting;

static void
load_measures(Counting * counting, int32 source_id)
{
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT m.id, m.kpi_id, x.source_id FROM kpi_internal.stream x"
						" JOIN kpi_internal.measure m ON m.stream_id = x.id"
						" WHERE x.part = $1 AND ($2 = 0 OR x.source_id = $2) ORDER BY m.id",
						2, KPI_TEXT(KPI_LEFT_OUT_PART), KPI_INT4(source_id));
	counting->measures = palloc0(Max(rows.n, 1) * sizeof(Measure));
	while (kpi_rows_next(&rows))
	{
		Measure    *measure = &counting->measures[counting->n++];

		measure->id = kpi_rows_int4(&rows, "id");
		measure->kpi_id = kpi_rows_int4(&rows, "kpi_id");
		measure->source_id = kpi_rows_int4(&rows, "source_id");
		for (int i = 0; i < ERROR_OF_FACT; i++)
		{
			measure->tallies[i].first_day = DATEVAL_NOEND;
			measure->tallies[i].last_day = DATEVAL_NOBEGIN;
		}
	}
	kpi_rows_end(&rows);
}

/* Measures come in ascending order within a cell. */
static void
tally(Counting * counting, int32 measure_id, int reason, int64 facts)
{
	Tally	   *to;

	while (counting->next < counting->n && counting->measures[counting->next].id < measure_id)
		counting->next++;
	if (counting->next == counting->n || counting->measures[counting->next].id != measure_id)
		return;
	to = &counting->measures[counting->next].tallies[reason - 1];
	to->facts += facts;
	if (!kpi_calendar_fact_day_in_range(counting->day))
		return;
	to->first_day = Min(to->first_day, counting->day);
	to->last_day = Max(to->last_day, counting->day);
}

static void
tally_left_out(int32 measure_id, KpiLeftOut reason, int64 facts, void *counting)
{
	tally(counting, measure_id, reason, facts);
}

static void
tally_cell(Counting * counting, const KpiCell *cell)
{
	KpiTally   *tallies = palloc(cell->nstates * sizeof(KpiTally));
	int			n = kpi_cell_tally(cell, tallies, cell->nstates);

	counting->next = 0;
	kpi_cell_left_out(cell, tally_left_out, counting);
	counting->next = 0;
	for (int i = 0; i < n; i++)
	{
		if (tallies[i].errors != 0)
			tally(counting, tallies[i].measure_id, ERROR_OF_FACT, tallies[i].errors);
	}
}

static void
count_cells(Counting * counting, int32 source_id)
{
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi cells", ALLOCSET_DEFAULT_SIZES);
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT d.day, d.cell FROM kpi_internal.stream x"
						" JOIN kpi_internal.day_cell d ON d.stream_id = x.id"
						" WHERE x.part = $1 AND ($2 = 0 OR x.source_id = $2)",
						2, KPI_TEXT(KPI_LEFT_OUT_PART), KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		counting->day = kpi_rows_date(&rows, "day", DATEVAL_NOBEGIN);
		tally_cell(counting, DatumGetKpiCellP(kpi_rows_datum(&rows, "cell", &isnull)));
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
	}
	kpi_rows_end(&rows);
	MemoryContextDelete(row_cxt);
}

static void
put_row(ReturnSetInfo *rsinfo, const Measure * measure, int reason)
{
	const		Tally *tally = &measure->tallies[reason - 1];
	bool		has_day = tally->first_day <= tally->last_day;
	Datum		values[] = {
		Int32GetDatum(measure->source_id), Int32GetDatum(measure->kpi_id),
		CStringGetTextDatum(reason_name(reason)), Int64GetDatum(tally->facts),
		DateADTGetDatum(tally->first_day), DateADTGetDatum(tally->last_day)
	};
	bool		nulls[] = {false, false, false, false, !has_day, !has_day};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* kpi_internal.left_out_counts(source_id): of all sources if that is NULL. */
Datum
kpi_sql_left_out_counts(PG_FUNCTION_ARGS)
{
	int32		source_id = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0);
	MemoryContext caller = CurrentMemoryContext;
	Counting	counting = {0};
	KpiSpi		spi;

	InitMaterializedSRF(fcinfo, 0);
	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	load_measures(&counting, source_id);
	count_cells(&counting, source_id);
	kpi_spi_end(&spi);
	for (int m = 0; m < counting.n; m++)
	{
		for (int reason = 1; reason <= ERROR_OF_FACT; reason++)
		{
			if (counting.measures[m].tallies[reason - 1].facts != 0)
				put_row((ReturnSetInfo *) fcinfo->resultinfo, &counting.measures[m], reason);
		}
	}
	return (Datum) 0;
}

void
kpi_explain_left_out_say(int32 source_id)
{
	KpiSpi		spi;
	KpiRows		rows;
	bool		isnull;
	Datum		built;

	kpi_spi_begin(&spi);
	/* What counts is read only for these: other refreshes cost nothing more. */
	kpi_spi_exec("WITH now_said AS (DELETE FROM kpi_internal.left_out_unsaid u"
				 "  USING kpi.kpi k WHERE k.id = u.kpi_id AND k.source_id = $1"
				 "    AND u.kpi_id IN (SELECT b.kpi_id FROM kpi_internal.kpi_built b)"
				 "    AND EXISTS (SELECT FROM kpi_internal.stream x JOIN kpi_internal.day_cell d ON d.stream_id = x.id"
				 "                 WHERE x.source_id = $1)"
				 "  RETURNING u.kpi_id)"
				 " SELECT pg_catalog.array_agg(n.kpi_id) FROM now_said n", 1, KPI_INT4(source_id));
	built = kpi_spi_datum(0, 1, &isnull);
	if (!isnull)
	{
		kpi_rows_begin(&rows, "SELECT m.says, m.remedy FROM kpi_internal.left_out_much m"
					   "  WHERE m.source_id = $1 AND m.kpi_id = ANY ($2) ORDER BY m.kpi",
					   2, KPI_INT4(source_id), KPI_VALUE(INT4ARRAYOID, built));
		while (kpi_rows_next(&rows))
			ereport(NOTICE,
					(errmsg_internal("%s", kpi_rows_text(&rows, "says")),
					 errhint("%s", kpi_rows_text(&rows, "remedy"))));
		kpi_rows_end(&rows);
	}
	kpi_spi_end(&spi);
}
