/*-------------------------------------------------------------------------
 *
 * left_out_example.c
 *	  The key of a fact that is left out, for kpi.left_out.
 *
 * With the rights of who asks (read.c): who may not read the facts sees none, and the view is no
 * worse for it.  So whatever keeps the facts from being read is no error here; kpi.facts() says
 * what it is.
 *
 * Cost: the facts until the first with the reason, in the order in which they are read.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "explain/explain_internal.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(kpi_sql_left_out_example);

typedef struct Example
{
	int32		source_id;
	int32		kpi_id;			/* 0: any of the source */
	char	   *reason;
	MemoryContext mcxt;			/* of the key */
	char	   *key;			/* NULL: none was found */
}			Example;

static bool
take_fact(void *arg, const KpiLeftOutFact * fact)
{
	Example    *example = arg;

	if (fact->key != NULL)
		example->key = MemoryContextStrdup(example->mcxt, fact->key);
	return fact->key == NULL;
}

static const KpiFateKpi *
find_kpi(const Example * example, const KpiSource *source)
{
	ListCell   *lc;

	foreach(lc, kpi_explain_fate_kpis(source, NULL))
	{
		const KpiFateKpi *kpi = lfirst(lc);

		if (example->kpi_id == 0 || kpi->id == example->kpi_id)
			return kpi;
	}
	return NULL;
}

static void
find_example(void *arg)
{
	Example    *example = arg;
	KpiExplainSource *open = kpi_explain_open(example->source_id);
	KpiLeftOutWanted wanted = {
		.reason = example->reason,.since = DATEVAL_NOBEGIN,.until = DATEVAL_NOEND,.dim = -1
	};

	kpi_explain_reason_check(example->reason);
	wanted.kpi = find_kpi(example, open->source);
	if (open->key_texts != NIL && wanted.kpi != NULL)
		kpi_explain_left_out_read(open, &wanted, take_fact, example);
	kpi_explain_close(open);
}

/* kpi_internal.left_out_example(source_id, kpi_id, reason) */
Datum
kpi_sql_left_out_example(PG_FUNCTION_ARGS)
{
	Example		example = {.mcxt = CurrentMemoryContext};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	/* What has none is not looked for. */
	if (strcmp(text_to_cstring(PG_GETARG_TEXT_PP(2)), KPI_NO_KEY) == 0)
		PG_RETURN_NULL();
	example.source_id = PG_GETARG_INT32(0);
	example.kpi_id = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
	example.reason = text_to_cstring(PG_GETARG_TEXT_PP(2));
	(void) kpi_try(KPI_ERROR_CONFLICT, find_example, &example);
	if (example.key == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(example.key));
}
