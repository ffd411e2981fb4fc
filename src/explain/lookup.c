/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  What a fact looks up and does not find.
 *
 * Facts of a source with lookups are kept rows, which have for each thing that is looked up
 * a column with the key of what was not found (define/lookup_source.c).  Whether that
 * matters to a KPI follows from the columns that its expressions use.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "explain/explain_internal.h"
#include "fact/fact.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* One thing that is looked up. */
typedef struct LookedUp
{
	char	   *name;
	char	   *column;
	AttrNumber	attno;
	AttrNumber	missing;		/* has the key where nothing was found */
} LookedUp;

struct KpiExplainLookups
{
	List	   *uses;			/* LookedUp */
};

KpiExplainLookups *
kpi_explain_lookups_begin(KpiExplainSource * open)
{
	KpiExplainLookups *lookups;
	List	   *missing = NIL;
	KpiRows		rows;

	if (open->keyed == NULL || open->keyed->facts_relation == NULL)
		return NULL;
	lookups = palloc0(sizeof(KpiExplainLookups));
	kpi_rows_begin_read(&rows, "SELECT l.name, u.column_name, u.missing_column FROM kpi.source_lookup u"
						" JOIN kpi.lookup l ON l.id = u.lookup_id WHERE u.source_id = $1 ORDER BY u.column_name",
						1, KPI_INT4(open->source->id));
	while (kpi_rows_next(&rows))
	{
		LookedUp   *use = palloc0(sizeof(LookedUp));
		char	   *missing_column = kpi_rows_text(&rows, "missing_column");

		use->name = kpi_rows_text(&rows, "name");
		use->column = kpi_rows_text(&rows, "column_name");
		use->attno = get_attnum(open->relid, use->column);
		use->missing = get_attnum(open->relid, missing_column);
		lookups->uses = lappend(lookups->uses, use);
		missing = lappend(missing, pstrdup(quote_identifier(missing_column)));
	}
	kpi_rows_end(&rows);
	kpi_explain_check_reader(open->relid, kpi_explain_columns(open, missing));
	return lookups;
}

List *
kpi_explain_lookups_missing(const KpiExplainLookups *lookups, TupleTableSlot *slot)
{
	List	   *missing = NIL;
	ListCell   *lc;

	foreach(lc, lookups->uses)
	{
		const LookedUp *use = lfirst(lc);
		bool		isnull;
		Datum		key = slot_getattr(slot, use->missing, &isnull);
		KpiExplainMissing *found;

		if (isnull)
			continue;
		found = palloc0(sizeof(KpiExplainMissing));
		found->name = use->name;
		found->column = use->column;
		found->attno = use->attno;
		found->key = kpi_fact_key_bounded(TextDatumGetCString(key));
		missing = lappend(missing, found);
	}
	return missing;
}

Bitmapset *
kpi_explain_lookups_used(KpiExplainSource * open, int s, int m)
{
	const KpiSource *source = open->source;
	const KpiStream *stream = &source->streams[s];
	const char *texts[] = {source->filter, stream->owner, stream->at, stream->currency};
	List	   *used = list_copy(stream->measures[m].inputs);

	for (int i = 0; i < lengthof(texts); i++)
	{
		if (texts[i] != NULL)
			used = lappend(used, unconstify(char *, texts[i]));
	}
	for (int d = 0; d < source->ndims; d++)
		used = lappend(used, source->dim_exprs[d]);
	return kpi_explain_columns(open, used);
}
