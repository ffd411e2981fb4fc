/*-------------------------------------------------------------------------
 *
 * formula.c
 *	  Formula KPIs: values made of values.
 *
 * The locks of every source that a formula is made of are held together, so
 * the values of the other sources stand still while a formula is computed
 * from them.  A formula is computed for each scope and period in which one of
 * its inputs changed.
 *
 * Breakdowns exist for formulas whose inputs all come from one source: only
 * there do dimension values of the inputs mean the same.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/memutils.h"

typedef struct FormulaInput
{
	int32		kpi_id;
	bool		is_additive;	/* nothing there means 0, and so does nothing
								 * but facts that are left out */
	bool		is_ours;		/* this run puts its values */
} FormulaInput;

typedef struct FormulaKpi
{
	int32		kpi_id;
	KpiFormula *formula;
	int			ninputs;		/* in the order of kpi_model_formula_names() */
	FormulaInput *inputs;
	bool		one_source;
} FormulaKpi;

/* The formulas above a source's KPIs, with the longest way up to each. */
#define FORMULAS_OF_SOURCE \
	"WITH RECURSIVE f (kpi_id, depth) AS (" \
	" SELECT i.kpi_id, 1 FROM kpi_internal.formula_input i" \
	" JOIN kpi.kpi k ON k.id = i.input_kpi_id WHERE k.source_id = $1" \
	" UNION SELECT i.kpi_id, f.depth + 1" \
	" FROM f JOIN kpi_internal.formula_input i ON i.input_kpi_id = f.kpi_id)"

List *
kpi_refresh_formulas_find(const KpiSource *source, bool *pending)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *formulas = NIL;
	KpiSpi		spi;
	uint64		rows;

	*pending = false;
	kpi_spi_begin(&spi);
	/* Those of the run's snapshot: whose sources are locked. */
	rows = kpi_spi_read(FORMULAS_OF_SOURCE
						" SELECT f.kpi_id, NOT EXISTS (SELECT FROM kpi.kpi k"
						" JOIN kpi_internal.formula_built b ON b.kpi_id = k.id AND b.formula = k.formula"
						" WHERE k.id = f.kpi_id)"
						" FROM f GROUP BY 1 ORDER BY pg_catalog.max(f.depth), 1",
						1, KPI_INT4(source->id));
	MemoryContextSwitchTo(caller);
	for (uint64 r = 0; r < rows; r++)
	{
		formulas = lappend_int(formulas, kpi_spi_int4(r, 1));
		*pending |= kpi_spi_bool(r, 2);
	}
	kpi_spi_end(&spi);
	return formulas;
}

void
kpi_refresh_formulas_mark_built(const KpiSource *source)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec(FORMULAS_OF_SOURCE
				 " INSERT INTO kpi_internal.formula_built (kpi_id, formula)"
				 " SELECT DISTINCT k.id, k.formula FROM f JOIN kpi.kpi k ON k.id = f.kpi_id"
				 " ON CONFLICT (kpi_id) DO UPDATE SET formula = EXCLUDED.formula",
				 1, KPI_INT4(source->id));
	kpi_spi_end(&spi);
}

/* True when all facts below a formula come from one source. */
static bool
is_one_source(int32 kpi_id)
{
	kpi_spi_exec("WITH RECURSIVE i (kpi_id) AS ("
				 " SELECT input_kpi_id FROM kpi_internal.formula_input WHERE kpi_id = $1"
				 " UNION SELECT f.input_kpi_id FROM i JOIN kpi_internal.formula_input f ON f.kpi_id = i.kpi_id)"
				 " SELECT pg_catalog.count(DISTINCT k.source_id) = 1"
				 " FROM i JOIN kpi.kpi k ON k.id = i.kpi_id WHERE k.kind = 'measure'",
				 1, KPI_INT4(kpi_id));
	return kpi_spi_bool(0, 1);
}

static FormulaKpi *
load_formula(int32 kpi_id, const KpiSource *source, List *formula_ids)
{
	MemoryContext caller = CurrentMemoryContext;
	FormulaKpi *kpi = palloc0(sizeof(FormulaKpi));
	List	   *names;
	ListCell   *lc;
	KpiSpi		spi;
	MemoryContext old;
	char	   *text;

	kpi->kpi_id = kpi_id;
	kpi_spi_begin(&spi);
	if (kpi_spi_exec("SELECT k.formula FROM kpi.kpi k WHERE k.id = $1", 1, KPI_INT4(kpi_id)) != 1)
		elog(ERROR, "formula KPI %d is not there", kpi_id);
	text = kpi_spi_text(0, 1);
	kpi->one_source = is_one_source(kpi_id);
	old = MemoryContextSwitchTo(caller);
	kpi->formula = kpi_model_formula_parse(text);
	names = kpi_model_formula_names(kpi->formula);
	kpi->ninputs = list_length(names);
	kpi->inputs = palloc0(Max(kpi->ninputs, 1) * sizeof(FormulaInput));
	MemoryContextSwitchTo(old);

	foreach(lc, names)
	{
		FormulaInput *input = &kpi->inputs[foreach_current_index(lc)];

		if (kpi_spi_exec("SELECT k.id, k.is_additive, coalesce(k.source_id = $3, false)"
						 " FROM kpi_internal.formula_input i JOIN kpi.kpi k ON k.id = i.input_kpi_id"
						 " WHERE i.kpi_id = $1 AND i.name = $2",
						 3, KPI_INT4(kpi_id), KPI_TEXT(lfirst(lc)), KPI_INT4(source->id)) != 1)
			elog(ERROR, "input \"%s\" of formula KPI %d is not there", (char *) lfirst(lc), kpi_id);
		input->kpi_id = kpi_spi_int4(0, 1);
		input->is_additive = kpi_spi_bool(0, 2);
		input->is_ours = kpi_spi_bool(0, 3) || list_member_int(formula_ids, input->kpi_id);
	}
	kpi_spi_end(&spi);
	return kpi;
}

/* Scopes and periods in which an input was touched, each once. */
static KpiValueKey *
collect_keys(KpiValues *values, const FormulaKpi *kpi, int *nkeys)
{
	KpiValueKey *touched;
	int			ntouched = kpi_refresh_values_touched(values, &touched);
	KpiValueKey *keys = MemoryContextAllocHuge(CurrentMemoryContext,
											   Max(ntouched, 1) * sizeof(KpiValueKey));
	int			n = 0;
	int			unique = 0;

	for (int t = 0; t < ntouched; t++)
	{
		for (int i = 0; i < kpi->ninputs; i++)
		{
			if (touched[t].kpi_id != kpi->inputs[i].kpi_id)
				continue;
			if (touched[t].dim_value_id != 0 && !kpi->one_source)
				continue;
			keys[n] = touched[t];
			keys[n++].kpi_id = kpi->kpi_id;
			break;
		}
	}
	qsort(keys, n, sizeof(KpiValueKey), kpi_refresh_valuekey_compare);
	for (int k = 0; k < n; k++)
	{
		if (k == 0 || memcmp(&keys[k], &keys[unique - 1], sizeof(KpiValueKey)) != 0)
			keys[unique++] = keys[k];
	}
	*nkeys = unique;
	return keys;
}

static void
put_formula(KpiValues *values, const FormulaKpi *kpi, const KpiValueKey *key)
{
	Numeric    *numbers = palloc0(Max(kpi->ninputs, 1) * sizeof(Numeric));
	KpiValue	result = {0};
	bool		exists = false;

	for (int i = 0; i < kpi->ninputs; i++)
	{
		KpiValueKey input_key = *key;
		KpiValue	input;

		input_key.kpi_id = kpi->inputs[i].kpi_id;
		if (kpi_refresh_values_get(values, &input_key, &input))
		{
			/* The row's memory is the slot's: it goes with the next row. */
			numbers[i] = input.value ?
				DatumGetNumericCopy(NumericGetDatum(input.value)) : NULL;
			result.facts += input.facts;
			exists = true;
		}
		if (numbers[i] == NULL && kpi->inputs[i].is_additive)
			numbers[i] = int64_to_numeric(0);
	}
	if (exists)
		result.value = kpi_model_formula_eval(kpi->formula, numbers, &result.numerator, &result.denominator);
	kpi_refresh_values_put(values, key, exists, &result);
}

static void
update_formula(KpiValues *values, const FormulaKpi *kpi)
{
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi formula", ALLOCSET_DEFAULT_SIZES);
	int			nkeys;
	KpiValueKey *keys = collect_keys(values, kpi, &nkeys);
	MemoryContext old = MemoryContextSwitchTo(row_cxt);

	for (int k = 0; k < nkeys; k++)
	{
		CHECK_FOR_INTERRUPTS();
		put_formula(values, kpi, &keys[k]);
		MemoryContextReset(row_cxt);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_cxt);
	pfree(keys);
}

void
kpi_refresh_formulas_update(KpiValues *values, const KpiSource *source, List *formulas, bool all)
{
	ListCell   *lc;

	foreach(lc, formulas)
	{
		FormulaKpi *kpi = load_formula(lfirst_int(lc), source, formulas);

		kpi_refresh_values_sync(values);
		for (int i = 0; all && i < kpi->ninputs; i++)
		{
			if (!kpi->inputs[i].is_ours)
				kpi_refresh_values_touch_stored(values, kpi->inputs[i].kpi_id);
		}
		update_formula(values, kpi);
		if (all)
			kpi_refresh_values_sweep(values, list_make1_int(kpi->kpi_id));
	}
}
