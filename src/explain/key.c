/*-------------------------------------------------------------------------
 *
 * key.c
 *	  A fact that is asked for by its key: that there is one.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "explain/explain_internal.h"
#include "utils/builtins.h"

void
kpi_explain_require_key(const KpiExplainSource * open)
{
	if (open->key_texts == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" has no key", open->source->name),
				 errdetail("The key says which of its facts is meant."),
				 errhint("Say what identifies a fact: kpi.alter_source(%s, key => 'id').",
						 quote_literal_cstr(open->source->name))));
}

void
kpi_explain_unknown_fact(const KpiExplainSource * open, const char *key)
{
	const KpiSource *source = open->source;
	bool		is_sealed = kpi_first_int4("SELECT 1 FROM kpi_internal.seal WHERE source_id = $1 LIMIT 1",
										   1, KPI_INT4(source->id)) != 0;

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("source \"%s\" has no fact with key \"%s\"", source->name, key),
			 is_sealed ? errdetail("Partitions of the source are gone whose facts still count, and cannot be told apart any more.") : 0,
			 errhint("The key of a fact is %s of table %s, as text.", kpi_list_join(open->key_texts), source->relation)));
}
