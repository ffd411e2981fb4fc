/*-------------------------------------------------------------------------
 *
 * program.c
 *	  The programs of KPIs (model/program.c), written anew when a definition changes.
 *
 * In the transaction that changes it, so that a reader sees a definition and its
 * program together.  Whoever changes a measure has its source's row, so the one
 * who makes a formula over it shares that row (ground.c) before reading what the
 * program says; programs above a change are found by a statement that begins
 * after the row was locked.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "model/model.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* Breakdowns exist where all inputs have the dimensions of one source; what is whole() has none. */
static bool
has_one_source(const KpiProgram *program)
{
	int32		source_id = 0;

	for (int n = 0; n < program->nnodes; n++)
	{
		const KpiProgramNode *node = &program->nodes[n];

		if (node->formula != NULL || !node->by_dimension)
			continue;
		if (source_id != 0 && node->source_id != source_id)
			return false;
		source_id = node->source_id;
	}
	return source_id != 0;
}

static KpiParam
array_of(Datum *values, int n, bool of_bool)
{
	return of_bool ? KPI_VALUE(BOOLARRAYOID, PointerGetDatum(construct_array(values, n, BOOLOID, sizeof(bool), true, TYPALIGN_CHAR))) :
		KPI_VALUE(INT4ARRAYOID, PointerGetDatum(construct_array(values, n, INT4OID, sizeof(int32), true, TYPALIGN_INT)));
}

/* Whether a stream has a balance of the KPI: it is carried on without facts. */
static bool
has_balance(const KpiProgram *program, int32 stream_id)
{
	for (int n = 0; n < program->nnodes; n++)
	{
		const KpiProgramNode *node = &program->nodes[n];

		if (node->formula == NULL && node->kind == KPI_BALANCE && node->stream_id == stream_id)
			return true;
	}
	return false;
}

/* Within kpi_spi_begin(). */
static void
write_program(int32 kpi_id)
{
	char	   *text = kpi_model_program_text(kpi_id);
	const KpiProgram *program = kpi_model_program(cstring_to_text(text));
	bool		has_breakdown = has_one_source(program);
	Datum	   *streams = palloc(program->nstreams * sizeof(Datum));
	Datum	   *breakdowns = palloc(program->nstreams * sizeof(Datum));
	Datum	   *all = palloc(program->nstreams * sizeof(Datum));
	Datum	   *periods = palloc(program->nstreams * sizeof(Datum));
	Datum	   *days = palloc(program->nstreams * sizeof(Datum));
	Datum	   *carried = palloc(program->nstreams * sizeof(Datum));

	kpi_define_formula_check(program);
	for (int s = 0; s < program->nstreams; s++)
	{
		KpiLookback lookback = kpi_model_program_lookback(program, program->streams[s]);

		streams[s] = Int32GetDatum(program->streams[s]);
		breakdowns[s] = BoolGetDatum(has_breakdown && kpi_model_program_by_dimension(program, program->streams[s]));
		all[s] = BoolGetDatum(lookback.all);
		periods[s] = Int32GetDatum(lookback.periods);
		days[s] = Int32GetDatum(lookback.days);
		carried[s] = BoolGetDatum(has_balance(program, program->streams[s]));
	}
	kpi_spi_exec("DELETE FROM kpi_internal.kpi_stream WHERE kpi_id = $1 AND program <> $2",
				 2, KPI_INT4(kpi_id), KPI_TEXT(text));
	kpi_spi_exec("INSERT INTO kpi_internal.kpi_stream"
				 " (kpi_id, stream_id, source_id, for_members, owner_kind, position, has_breakdown, reach, reach_periods,"
				 "  reach_days, follows_day, is_carried, program)"
				 " SELECT $1, x.id, x.source_id, x.owner_kind = 'member',"
				 " CASE x.owner_kind WHEN 'member' THEN 0 WHEN 'team' THEN 1 ELSE 2 END"
				 " + CASE x.credit WHEN 'today' THEN 3 ELSE 0 END, s.position, s.has_breakdown,"
				 " CASE WHEN s.looks_at_all THEN 'later' WHEN s.periods > 0 OR s.days > 0 THEN 'near' ELSE 'own' END,"
				 " s.periods, s.days, $8, s.is_carried, $2"
				 " FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6),"
				 "  pg_catalog.unnest($7), pg_catalog.unnest($9))"
				 "  WITH ORDINALITY AS s (id, has_breakdown, looks_at_all, periods, days, is_carried, position)"
				 " JOIN kpi_internal.stream x ON x.id = s.id"
				 " ON CONFLICT DO NOTHING",
				 9, KPI_INT4(kpi_id), KPI_TEXT(text), array_of(streams, program->nstreams, false),
				 array_of(breakdowns, program->nstreams, true), array_of(all, program->nstreams, true),
				 array_of(periods, program->nstreams, false), array_of(days, program->nstreams, false),
				 KPI_BOOL(program->follows_day), array_of(carried, program->nstreams, true));
}

#define AT_OR_ABOVE(condition) \
	"WITH RECURSIVE above (id) AS (" \
	" SELECT k.id FROM kpi.kpi k WHERE " condition \
	" UNION SELECT f.kpi_id FROM above a JOIN kpi_internal.formula_input f ON f.input_kpi_id = a.id)" \
	" SELECT id FROM above ORDER BY id"

static void
write_programs(List *kpi_ids)
{
	ListCell   *lc;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	foreach(lc, kpi_ids)
		write_program(lfirst_int(lc));
	kpi_spi_end(&spi);
}

void
kpi_define_programs_of_kpi(int32 kpi_id)
{
	write_programs(kpi_all_int4(AT_OR_ABOVE("k.id = $1"), 1, KPI_INT4(kpi_id)));
}

void
kpi_define_programs_of_source(int32 source_id)
{
	write_programs(kpi_all_int4(AT_OR_ABOVE("k.source_id = $1"), 1, KPI_INT4(source_id)));
}

/* Of all, as the periods of the organisation are in them. */
void
kpi_define_programs_of_all(void)
{
	write_programs(kpi_all_int4("SELECT id FROM kpi.kpi ORDER BY id", 0));
}

void
kpi_define_program_drop(int32 kpi_id)
{
	kpi_spi_exec("DELETE FROM kpi_internal.kpi_stream WHERE kpi_id = $1", 1, KPI_INT4(kpi_id));
}
