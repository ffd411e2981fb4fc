/*-------------------------------------------------------------------------
 *
 * fate_kpi.c
 *	  The KPIs of a source as fate.c asks them: where their measures are, and their texts.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "explain/explain_internal.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "value/value.h"

static KpiFateMeasure
find_measure(const KpiSource *source, int32 kpi_id, bool is_end, bool is_left_out)
{
	KpiFateMeasure found = {-1, -1};

	for (int s = 0; s < source->nstreams; s++)
	{
		const KpiStream *stream = &source->streams[s];

		if (stream->is_left_out != is_left_out)
			continue;
		for (int m = 0; m < stream->nmeasures; m++)
		{
			if (stream->measures[m].kpi_id == kpi_id && stream->measures[m].is_end == is_end)
				found = (KpiFateMeasure)
			{
				s, m
			};
		}
	}
	return found;
}

static KpiFateKpi *
read_kpi(const KpiSource *source, KpiRows *rows, KpiExchange *exchange)
{
	const KpiProgram *program = kpi_model_program(cstring_to_text(kpi_rows_text(rows, "program")));
	const KpiProgramNode *node = &program->nodes[program->nnodes - 1];
	int32		kpi_id = kpi_rows_int4(rows, "id");
	KpiFateKpi *kpi = palloc0(sizeof(KpiFateKpi));

	kpi->id = kpi_id;
	kpi->name = kpi_rows_text(rows, "name");
	kpi->source = source->name;
	kpi->measure = kpi_rows_text(rows, "measure");
	kpi->source_filter = kpi_rows_text(rows, "source_filter");
	kpi->filter = kpi_rows_text(rows, "filter");
	kpi->owner = kpi_rows_text(rows, "owner");
	kpi->at = kpi_rows_text(rows, "at");
	kpi->until = kpi_rows_text(rows, "until");
	kpi->value = find_measure(source, kpi_id, false, false);
	kpi->end = find_measure(source, kpi_id, true, false);
	kpi->left_out = find_measure(source, kpi_id, false, true);
	kpi->parameter = node->parameter ? DatumGetNumericCopy(NumericGetDatum(node->parameter)) : NULL;
	kpi->today = kpi_value_today(program);
	kpi->exchange = exchange;
	return kpi;
}

List *
kpi_explain_fate_kpis(const KpiSource *source, const char *name)
{
	KpiExchange *exchange = kpi_refresh_exchange_create(CurrentMemoryContext, source);
	List	   *kpis = NIL;
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT k.id, k.name, p.program,"
						" kpi_internal.typed(s.id, k.id, 'measure', NULL, k.measure) AS measure,"
						" kpi_internal.typed(s.id, NULL, 'filter', NULL, s.filter) AS source_filter,"
						" kpi_internal.typed(s.id, k.id, 'filter', NULL, k.filter) AS filter,"
						" coalesce(kpi_internal.typed(s.id, k.id, 'owner', NULL, k.owner),"
						"  kpi_internal.typed(s.id, k.id, 'team', NULL, k.team),"
						"  kpi_internal.typed(s.id, NULL, 'owner', NULL, s.owner),"
						"  kpi_internal.typed(s.id, NULL, 'team', NULL, s.team)) AS owner,"
						" coalesce(kpi_internal.typed(s.id, k.id, 'at', NULL, k.at),"
						"  kpi_internal.typed(s.id, NULL, 'at', NULL, s.at)) AS at,"
						" kpi_internal.typed(s.id, k.id, 'until', NULL, k.until) AS until"
						" FROM kpi.kpi k JOIN kpi.source s ON s.id = k.source_id"
						" JOIN kpi_internal.kpi_stream p ON p.kpi_id = k.id AND p.position = 1"
						" WHERE k.source_id = $1 AND ($2 IS NULL OR k.name = $2) ORDER BY k.name",
						2, KPI_INT4(source->id), KPI_TEXT(name));
	while (kpi_rows_next(&rows))
		kpis = lappend(kpis, read_kpi(source, &rows, exchange));
	kpi_rows_end(&rows);
	return kpis;
}
