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

/* Breakdowns exist where all inputs have the dimensions of one source. */
static bool
has_one_source(const KpiProgram *program)
{
	int32		source_id = 0;

	for (int n = 0; n < program->nnodes; n++)
	{
		if (program->nodes[n].formula != NULL)
			continue;
		if (source_id != 0 && program->nodes[n].source_id != source_id)
			return false;
		source_id = program->nodes[n].source_id;
	}
	return true;
}

/* Within kpi_spi_begin(). */
static void
write_program(int32 kpi_id)
{
	char	   *text = kpi_model_program_text(kpi_id);
	const KpiProgram *program = kpi_model_program(cstring_to_text(text));
	Datum	   *streams = palloc(program->nstreams * sizeof(Datum));

	for (int s = 0; s < program->nstreams; s++)
		streams[s] = Int32GetDatum(program->streams[s]);
	kpi_spi_exec("DELETE FROM kpi_internal.kpi_stream WHERE kpi_id = $1 AND program <> $2",
				 2, KPI_INT4(kpi_id), KPI_TEXT(text));
	kpi_spi_exec("INSERT INTO kpi_internal.kpi_stream"
				 " (kpi_id, stream_id, source_id, for_members, owner_kind, position, has_breakdown, reach, program)"
				 " SELECT $1, x.id, x.source_id, x.owner_kind = 'member',"
				 " CASE x.owner_kind WHEN 'member' THEN 0 WHEN 'team' THEN 1 ELSE 2 END"
				 " + CASE x.credit WHEN 'today' THEN 3 ELSE 0 END, s.position, $3, $5, $2"
				 " FROM pg_catalog.unnest($4) WITH ORDINALITY AS s (id, position)"
				 " JOIN kpi_internal.stream x ON x.id = s.id"
				 " ON CONFLICT DO NOTHING",
				 5, KPI_INT4(kpi_id), KPI_TEXT(text), KPI_BOOL(has_one_source(program)),
				 KPI_VALUE(INT4ARRAYOID,
						   PointerGetDatum(construct_array(streams, program->nstreams, INT4OID, sizeof(int32), true,
														   TYPALIGN_INT))),
				 KPI_TEXT(program->reach == KPI_REACH_OWN ? "own" : "later"));
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
