/*-------------------------------------------------------------------------
 *
 * change.c
 *	  What a fact changes in its cell.
 *
 * The one place that says so for facts that are read one by one: capture, which
 * adds them to the buffer or takes them off, and scans add them here, so the two
 * agree on facts that fail, as a whole or for some measures.  The grouped query
 * (cells.c) meets none that fails, and gives its inputs to kpi_cell_add_fact(),
 * as this does.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell.h"
#include "fact/fact.h"

KpiCell *
kpi_fact_change_cell(KpiCell *cell, const KpiLayout *layout, const KpiFact *fact, int sign)
{
	if (fact->failed)
		return kpi_cell_add_error(cell ? cell : kpi_cell_empty(), 0, sign);

	return kpi_cell_add_fact(cell ? cell : kpi_cell_for_layout(layout), layout,
							 fact->inputs, fact->isnull, fact->failed_measures, sign);
}

bool
kpi_fact_changes_nothing(const KpiLayout *layout, const KpiFact *fact)
{
	return !fact->failed && fact->failed_measures == NULL &&
		kpi_cell_fact_is_void(layout, fact->inputs, fact->isnull);
}
