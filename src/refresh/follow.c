/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  A source's table or columns were renamed: its stored definition follows.
 *
 * The numbers stay, as nothing means anything else than before: streams, measures
 * and their versions are what they were, and fingerprints are taken over to the
 * new texts.  Until this is done, whoever loads the definition reads it by the
 * new names all the same (model/rename.c), so no change of a fact is lost, and it
 * does not matter who does it first: a refresh, or who changes the source.
 *
 * Locks: the source's row, as all who change its definition, waited for at most
 * kpi.lock_timeout.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Of one table of definitions: its rows of a source, and their expressions. */
typedef struct RenamedTable
{
	const char *name;
	const char *rows;			/* condition on $1, the source's id */
	const char *columns[6];
} RenamedTable;

static const RenamedTable renamed_tables[] = {
	{"kpi.source", "id = $1", {"key", "owner", "team", "at", "filter", "loaded_at"}},
	{"kpi.dimension", "source_id = $1", {"expression"}},
	{"kpi.kpi", "source_id = $1", {"measure", "filter", "owner", "team", "at", "until"}}
};

bool
kpi_refresh_must_follow(const KpiSource *source)
{
	return source->renames != NIL || source->relation != source->stored_relation;
}

static void
rename_column(const RenamedTable *table, const char *column, int32 source_id, const List *renames)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, psprintf("SELECT t.id, t.%s AS expression FROM %s t WHERE t.%s AND t.%s IS NOT NULL",
								   column, table->name, table->rows, column),
				   1, KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
	{
		char	   *expression = kpi_rows_text(&rows, "expression");
		char	   *renamed = kpi_expr_rename_columns(expression, renames);

		if (strcmp(expression, renamed) != 0)
			kpi_spi_exec(psprintf("UPDATE %s SET %s = $2 WHERE id = $1", table->name, column),
						 2, KPI_INT4(kpi_rows_int4(&rows, "id")), KPI_TEXT(renamed));
	}
	kpi_rows_end(&rows);
}

/*
 * Two streams may change places.  So that no two are alike meanwhile, each has a
 * time of its own first.
 */
static void
rename_streams(int32 source_id, const List *renames)
{
	KpiRows		rows;

	kpi_spi_exec("UPDATE kpi_internal.stream SET at = '#' || id || ' ' || at WHERE source_id = $1",
				 1, KPI_INT4(source_id));
	for (int pass = 0; pass < 2; pass++)
	{
		kpi_rows_begin(&rows, "SELECT s.id, s.owner, s.currency, pg_catalog.substr(s.at, pg_catalog.strpos(s.at, ' ') + 1) AS at"
					   " FROM kpi_internal.stream s WHERE s.source_id = $1", 1, KPI_INT4(source_id));
		while (kpi_rows_next(&rows))
		{
			KpiParam	id = KPI_INT4(kpi_rows_int4(&rows, "id"));

			if (pass == 0)
				kpi_spi_exec("UPDATE kpi_internal.stream SET owner = $2, currency = $3 WHERE id = $1",
							 3, id, KPI_TEXT(kpi_expr_rename_columns(kpi_rows_text(&rows, "owner"), renames)),
							 KPI_TEXT(kpi_expr_rename_columns(kpi_rows_text(&rows, "currency"), renames)));
			else
				kpi_spi_exec("UPDATE kpi_internal.stream SET at = $2 WHERE id = $1",
							 2, id, KPI_TEXT(kpi_expr_rename_columns(kpi_rows_text(&rows, "at"), renames)));
		}
		kpi_rows_end(&rows);
	}
}

static void
rename_measures(int32 source_id, const List *renames)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT m.id, m.inputs FROM kpi_internal.measure m"
				   " JOIN kpi_internal.stream s ON s.id = m.stream_id WHERE s.source_id = $1",
				   1, KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
	{
		List	   *inputs = kpi_rows_texts(&rows, "inputs");
		ListCell   *lc;

		foreach(lc, inputs)
			lfirst(lc) = kpi_expr_rename_columns(lfirst(lc), renames);
		kpi_spi_exec("UPDATE kpi_internal.measure SET inputs = $2 WHERE id = $1 AND inputs <> $2",
					 2, KPI_INT4(kpi_rows_int4(&rows, "id")), KPI_TEXTS(inputs));
	}
	kpi_rows_end(&rows);
}

/* What the last refresh saw, under the new names. */
static void
rename_state(const KpiSource *stored, const List *renames)
{
	char	   *fingerprints = kpi_first_text("SELECT fingerprints::text FROM kpi_internal.source_state"
											  " WHERE source_id = $1", 1, KPI_INT4(stored->id));
	ListCell   *lc;

	if (fingerprints != NULL)
		kpi_spi_exec("UPDATE kpi_internal.source_state SET fingerprints = $2::pg_catalog.jsonb WHERE source_id = $1",
					 2, KPI_INT4(stored->id),
					 KPI_TEXT(kpi_expr_fingerprints_rename(fingerprints, renames, stored->ndims,
														   stored->dim_names, stored->dim_exprs)));

	/* All at once, as names may change places. */
	foreach(lc, renames)
	{
		const KpiColumnRename *rename = lfirst(lc);

		kpi_spi_exec("UPDATE kpi_internal.source_state"
					 " SET columns = columns - $2 || pg_catalog.jsonb_build_object('#' || $3, columns -> $2)"
					 " WHERE source_id = $1",
					 3, KPI_INT4(stored->id), KPI_TEXT(rename->from), KPI_TEXT(rename->to));
	}
	foreach(lc, renames)
	{
		const KpiColumnRename *rename = lfirst(lc);

		kpi_spi_exec("UPDATE kpi_internal.source_state"
					 " SET columns = columns - ('#' || $2) || pg_catalog.jsonb_build_object($2, columns -> ('#' || $2))"
					 " WHERE source_id = $1",
					 2, KPI_INT4(stored->id), KPI_TEXT(rename->to));
	}
}

/* The texts of the dimensions as they are stored. */
static void
load_stored_dimensions(KpiSource *source)
{
	for (int d = 0; d < source->ndims; d++)
		source->dim_exprs[d] = kpi_first_text("SELECT CASE WHEN attribute IS NULL THEN expression ELSE 'NULL::text' END"
											  " FROM kpi.dimension WHERE source_id = $1 AND name = $2",
											  2, KPI_INT4(source->id), KPI_TEXT(source->dim_names[d]));
}

static void
rename_columns(KpiSource *source)
{
	load_stored_dimensions(source);
	rename_state(source, source->renames);
	for (int t = 0; t < lengthof(renamed_tables); t++)
	{
		for (int c = 0; c < lengthof(renamed_tables[t].columns) && renamed_tables[t].columns[c] != NULL; c++)
			rename_column(&renamed_tables[t], renamed_tables[t].columns[c], source->id, source->renames);
	}
	kpi_refresh_loaded_rename(source->id, source->renames);
	rename_streams(source->id, source->renames);
	rename_measures(source->id, source->renames);
}

/*
 * The name before is kept while the table is the same, unless it has it again; the
 * first of several counts.
 */
static void
rename_table(const KpiSource *source)
{
	const char *former = source->former_relation ? source->former_relation : source->stored_relation;
	bool		keeps = kpi_model_source_relid(source) == source->attached && strcmp(former, source->relation) != 0;

	kpi_spi_exec("UPDATE kpi.source SET relation = $2 WHERE id = $1",
				 2, KPI_INT4(source->id), KPI_TEXT(source->relation));
	kpi_spi_exec("UPDATE kpi_internal.source_state SET former_relation = $2,"
				 " renamed_at = CASE WHEN $4 THEN renamed_at ELSE $3 END WHERE source_id = $1",
				 4, KPI_INT4(source->id), KPI_TEXT(keeps ? former : NULL),
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(kpi_now())),
				 KPI_BOOL(source->former_relation != NULL));
}

bool
kpi_refresh_follow_names(int32 source_id)
{
	KpiSource  *source = kpi_model_source_load(source_id, false);
	KpiLockWait wait;
	KpiSpi		spi;

	if (source == NULL || !kpi_refresh_must_follow(source))
		return false;
	kpi_spi_begin(&spi);
	kpi_fact_lock_wait_begin(&wait, source->relation);
	kpi_spi_exec("SELECT FROM kpi.source WHERE id = $1 FOR NO KEY UPDATE", 1, KPI_INT4(source_id));
	kpi_fact_lock_wait_end(&wait);

	/* Somebody else may have done it. */
	source = kpi_model_source_load(source_id, false);
	if (source->renames != NIL)
		rename_columns(source);
	if (source->relation != source->stored_relation)
		rename_table(source);
	kpi_spi_end(&spi);
	CommandCounterIncrement();
	return true;
}
