/*-------------------------------------------------------------------------
 *
 * known_code.c
 *	  Code of others that the definer of a source has accepted.
 *
 * What its expressions may run (expr/foreign_code.c) is stored with the state of the
 * source, which is not dumped.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "expr/expr.h"
#include "model/model.h"

void
kpi_model_code_save(const KpiSource *source)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.source_state SET code = $2 WHERE source_id = $1",
				 2, KPI_INT4(source->id),
				 KPI_TEXTS(source->code->reached));
	kpi_spi_end(&spi);
}

static void
reach(Oid relid, const char *text, KpiCode *code)
{
	if (text != NULL)
		kpi_expr_reach(relid, text, code);
}

static void
reach_stream(Oid relid, const KpiStream *stream, int32 kpi_id, KpiCode *code)
{
	ListCell   *lc;

	for (int m = 0; m < stream->nmeasures; m++)
	{
		if (kpi_id != 0 && stream->measures[m].kpi_id != kpi_id)
			continue;
		reach(relid, stream->owner, code);
		reach(relid, stream->at, code);
		reach(relid, stream->currency, code);
		foreach(lc, stream->measures[m].inputs)
			reach(relid, lfirst(lc), code);
	}
}

static void
reach_query(const char *text, const KpiSource *source)
{
	(void) kpi_expr_query_analyse(text, psprintf("query of source \"%s\"", source->name), NULL, 0, NULL, source->code);
}

/* The queries of a keyed source. */
static void
reach_queries(const KpiSource *source)
{
	KpiKeyed   *keyed = kpi_model_keyed_load(source->id, false);
	ListCell   *lc;

	if (keyed == NULL)
		return;
	reach_query(keyed->query, source);
	foreach(lc, keyed->follows)
	{
		KpiFollow  *follow = lfirst(lc);

		if (follow->query != NULL)
			reach_query(kpi_model_follow_text(follow->query, kpi_model_relid_by_name(follow->relation), follow->columns),
						source);
	}
}

void
kpi_model_code_accept(int32 source_id, int32 kpi_id)
{
	KpiSource  *source;
	Oid			relid;
	KpiUser		user;

	CommandCounterIncrement();
	source = kpi_model_source_load(source_id, false);
	relid = kpi_model_source_relid(source);
	/* As long as nothing is known, what the text says is. */
	if (kpi_id != 0 && !source->code->is_known)
		return;
	source->code->accept = true;
	if (kpi_id != 0)
		source->code->reached = source->code->known;

	kpi_user_switch(&user, kpi_model_source_definer(source));
	if (kpi_id == 0)
	{
		reach(relid, source->filter, source->code);
		reach(relid, source->loaded_at, source->code);
		for (int d = 0; d < source->ndims; d++)
			reach(relid, source->dim_exprs[d], source->code);
		reach_queries(source);
	}
	for (int s = 0; s < source->nstreams; s++)
		reach_stream(relid, &source->streams[s], kpi_id, source->code);
	kpi_user_restore(&user);
	kpi_model_code_save(source);
}
