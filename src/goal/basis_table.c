/*-------------------------------------------------------------------------
 *
 * basis_table.c
 *	  kpi.forecast_basis: what forecasts are based on, frozen.
 *
 * A row is made when a period begins, or a goal is made for the running one,
 * and the numbers are complete; and it stays, whatever is corrected later, so that a
 * forecast moves by what happens and not by history that is rewritten.
 * kpi.renew_forecast() has it made anew.
 *
 * Locks: one of the KPI that is only tried for, so nobody waits for a row that another
 * transaction is about to make.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "goal/goal_internal.h"
#include "utils/array.h"

static void
make_rows(int32 kpi_id, Datum goal_ids)
{
	(void) kpi_spi_exec("INSERT INTO kpi_internal.forecast_company"
						" (kpi_id, grain, period_start, season, noise, shares, weight, denominator_shares, denominator_weight)"
						" SELECT w.kpi_id, w.grain, w.period_start, c.*"
						" FROM (SELECT DISTINCT b.kpi_id, b.grain, b.grain_number, b.period_start, b.program"
						"  FROM kpi_internal.goal_without_basis b WHERE b.kpi_id = $1 AND b.goal_id = ANY ($2)"
						"  AND NOT EXISTS (SELECT FROM kpi_internal.forecast_company o"
						"   WHERE o.kpi_id = b.kpi_id AND o.grain = b.grain AND o.period_start = b.period_start)"
						"  OFFSET 0) w" /* what is there is not computed */
						" CROSS JOIN LATERAL kpi_internal.forecast_company_of(w.program, w.grain_number, w.period_start) c"
						" ORDER BY w.period_start", 2, KPI_INT4(kpi_id), KPI_VALUE(INT8ARRAYOID, goal_ids));
	(void) kpi_spi_exec("INSERT INTO kpi.forecast_basis (kpi_id, team_id, member_id, dimension, dimension_value, grain, period,"
						"  period_start, period_end, forecast_basis, closed_periods, level, level_denominator, season, noise, may_fall, made_on)"
						" SELECT w.kpi_id, w.team_id, w.member_id, w.dimension, w.dimension_value, w.grain,"
						"  kpi_internal.period_name(w.period_start, w.grain_number, (SELECT o.fiscal_year_start FROM kpi.calendar o WHERE o.id = 1)),"
						"  w.period_start, kpi_internal.period_end(w.period_start, w.grain_number),"
						"  CASE WHEN c.basis = 'history' AND c.noise IS NULL AND y.noise IS NOT NULL THEN 'company' ELSE c.basis END,"
						"  c.closed_periods, c.level, c.level_denominator, y.season,"
						"  CASE WHEN c.basis <> 'none' THEN coalesce(c.noise, y.noise) END, c.may_fall, w.today"
						" FROM (SELECT DISTINCT b.kpi_id, b.team_id, b.member_id, b.dimension, b.dimension_value, b.grain, b.grain_number,"
						"   b.period_start, b.program, b.scope_kind, b.scope_id, b.dim_id, b.today"
						"  FROM kpi_internal.goal_without_basis b WHERE b.kpi_id = $1 AND b.goal_id = ANY ($2)) w"
						" JOIN kpi_internal.forecast_company y"
						"  ON y.kpi_id = w.kpi_id AND y.grain = w.grain AND y.period_start = w.period_start"
						" CROSS JOIN LATERAL kpi_internal.forecast_scope_of(w.program, w.scope_kind, w.scope_id, w.dim_id,"
						"  w.grain_number, w.period_start) c"
						" ORDER BY w.period_start", 2, KPI_INT4(kpi_id), KPI_VALUE(INT8ARRAYOID, goal_ids));
}

void
kpi_goal_basis_make(Datum goal_ids)
{
	ListCell   *lc;

	foreach(lc, kpi_all_int4("SELECT DISTINCT b.kpi_id FROM kpi_internal.goal_without_basis b WHERE b.goal_id = ANY ($1)"
							 " ORDER BY b.kpi_id", 1, KPI_VALUE(INT8ARRAYOID, goal_ids)))
	{
		int32		kpi_id = lfirst_int(lc);

		if (kpi_basis_try_lock(kpi_id))
			make_rows(kpi_id, goal_ids);
		else
			kpi_spi_exec("INSERT INTO kpi_internal.goal_recheck (goal_id, not_before)"
						 " SELECT g.id, pg_catalog.clock_timestamp() + interval '250 ms'"
						 " FROM kpi.goal g WHERE g.kpi_id = $1 AND g.id = ANY ($2)",
						 2, KPI_INT4(kpi_id), KPI_VALUE(INT8ARRAYOID, goal_ids));
	}
}

/* All that goal's periods that are not over are based on, and what the company's say of them. */
void
kpi_goal_basis_renew(int64 goal_id)
{
	int32		kpi_id = kpi_first_int4("SELECT kpi_id FROM kpi.goal WHERE id = $1", 1, KPI_INT8(goal_id));

	(void) kpi_spi_exec("DELETE FROM kpi.forecast_basis b USING kpi.goal g, kpi.goal_target t, kpi_internal.kpi_state s"
						" WHERE g.id = $1 AND t.goal_id = g.id AND t.valid_until IS NULL AND s.kpi_id = g.kpi_id AND t.period_end >= s.today"
						" AND b.kpi_id = g.kpi_id AND b.grain = t.forecast_grain AND b.period_start = t.forecast_start"
						" AND coalesce(b.team_id, 0) = coalesce(g.team_id, 0) AND coalesce(b.member_id, 0) = coalesce(g.member_id, 0)"
						" AND b.dimension IS NOT DISTINCT FROM g.dimension AND b.dimension_value IS NOT DISTINCT FROM g.dimension_value",
						1, KPI_INT8(goal_id));
	(void) kpi_spi_exec("DELETE FROM kpi_internal.forecast_company y USING kpi.goal g, kpi.goal_target t, kpi_internal.kpi_state s"
						" WHERE g.id = $1 AND t.goal_id = g.id AND t.valid_until IS NULL AND s.kpi_id = g.kpi_id AND t.period_end >= s.today"
						" AND y.kpi_id = g.kpi_id AND y.grain = t.forecast_grain AND y.period_start = t.forecast_start",
						1, KPI_INT8(goal_id));
	kpi_goal_kpi_redefined(kpi_id);
}
