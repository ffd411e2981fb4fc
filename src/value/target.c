/*-------------------------------------------------------------------------
 *
 * target.c
 *	  What goals ask for at a place, for formulas.
 *
 * A target is looked up and never computed: it is that of the goal for exactly this KPI,
 * team or member, value of a dimension and period, in its valid version, and where
 * there is none, or only one of a draft, there is no target; those of the teams below are not added up.
 *
 * Read by index under the active snapshot, like cells.  Locks: ACCESS SHARE on our own
 * tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/snapmgr.h"
#include "value/value_internal.h"

enum
{
	Anum_goal_id = 1,
	Anum_goal_plan = 3,
	Anum_goal_is_draft,
	Anum_goal_dimension = 8,
	Anum_goal_dimension_value,
	Anum_goal_grain,
	Anum_goal_period_start = 12,
	Anum_goal_period_end
};

enum
{
	Anum_target_target = 7
};

enum
{
	Anum_dim_source_id = 2,
	Anum_dim_position,
	Anum_dim_vals
};

enum
{
	Anum_dimension_name = 4
};

/* One value of a dimension, by names. */
typedef struct DimensionValue
{
	char	   *dimension;		/* NULL: all facts */
	char	   *value;			/* NULL: those without one */
} DimensionValue;

static char *
text_column(KpiLookup *lookup, AttrNumber attno)
{
	bool		isnull;
	Datum		value = slot_getattr(lookup->found, attno, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static DimensionValue
find_dimension(int32 dim_id)
{
	DimensionValue found = {NULL, NULL};
	KpiLookup	lookup;
	Datum		keys[2];
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (dim_id == 0)
		return found;
	kpi_lookup_open(&lookup, "kpi_internal", "dim", "dim_pkey", 1, GetActiveSnapshot());
	keys[0] = Int32GetDatum(dim_id);
	kpi_lookup_begin(&lookup, keys);
	if (!kpi_lookup_next(&lookup))
		elog(ERROR, "value %d of a dimension is not there", dim_id);
	keys[0] = kpi_lookup_column(&lookup, Anum_dim_source_id);
	keys[1] = kpi_lookup_column(&lookup, Anum_dim_position);
	deconstruct_array(DatumGetArrayTypeP(kpi_lookup_column(&lookup, Anum_dim_vals)), TEXTOID, -1, false, TYPALIGN_INT,
					  &values, &nulls, &n);
	if (n > 0 && !nulls[0])
		found.value = TextDatumGetCString(values[0]);
	kpi_lookup_close(&lookup);

	kpi_lookup_open(&lookup, "kpi", "dimension", "dimension_source_id_position_key", 2, GetActiveSnapshot());
	kpi_lookup_begin(&lookup, keys);
	if (!kpi_lookup_next(&lookup))
		elog(ERROR, "dimension of value %d is not there", dim_id);
	found.dimension = text_column(&lookup, Anum_dimension_name);
	kpi_lookup_close(&lookup);
	return found;
}

static bool
equal_texts(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Whether the goal found has the place among its periods. */
static bool
is_of_place(KpiLookup *goal, const char *plan, const KpiPlace *place, const DimensionValue *dimension)
{
	return DatumGetDateADT(kpi_lookup_column(goal, Anum_goal_period_start)) <= place->start &&
		DatumGetDateADT(kpi_lookup_column(goal, Anum_goal_period_end)) >= place->start &&
		strcmp(text_column(goal, Anum_goal_grain), kpi_calendar_grain_name(place->grain)) == 0 &&
		strcmp(text_column(goal, Anum_goal_plan), plan) == 0 &&
		!DatumGetBool(kpi_lookup_column(goal, Anum_goal_is_draft)) &&
		equal_texts(text_column(goal, Anum_goal_dimension), dimension->dimension) &&
		equal_texts(text_column(goal, Anum_goal_dimension_value), dimension->value);
}

/* What a goal asks for in the period that begins on a day; false: it is none of its. */
static bool
target_of(int64 goal_id, DateADT start, Numeric *target)
{
	Datum		keys[] = {Int64GetDatum(goal_id), DateADTGetDatum(start)};
	KpiLookup	lookup;
	bool		isnull = true;
	bool		found;
	Datum		value;

	kpi_lookup_open(&lookup, "kpi", "goal_target", "goal_target_valid_idx", 2, GetActiveSnapshot());
	kpi_lookup_begin(&lookup, keys);
	found = kpi_lookup_next(&lookup);
	if (found)
		value = slot_getattr(lookup.found, Anum_target_target, &isnull);
	*target = isnull ? NULL : DatumGetNumericCopy(value);
	kpi_lookup_close(&lookup);
	return found;
}

void
kpi_value_refuse_goals(const char *plan, int64 first, int64 second)
{
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("several goals of plan \"%s\" ask for the same KPI, team or member and period", plan),
			 errdetail("They are goals %lld and %lld.", (long long) Min(first, second), (long long) Max(first, second)),
			 errhint("Drop all but one with kpi.drop_goal(), or make them goals of different plans.")));
}

Numeric
kpi_value_target(int32 kpi_id, const char *plan, const KpiPlace *place)
{
	bool		of_member = place->scope_kind == KPI_SCOPE_MEMBER;
	DimensionValue dimension = find_dimension(place->dim_id);
	Datum		keys[] = {Int32GetDatum(kpi_id), Int32GetDatum(place->scope_id)};
	int64		first = 0;
	Numeric		target = NULL;
	KpiLookup	goals;

	kpi_lookup_open(&goals, "kpi", "goal", of_member ? "goal_kpi_member_idx" : "goal_kpi_team_idx", 2,
					GetActiveSnapshot());
	kpi_lookup_begin(&goals, keys);
	while (kpi_lookup_next(&goals))
	{
		int64		id = DatumGetInt64(kpi_lookup_column(&goals, Anum_goal_id));
		Numeric		asked;

		if (!is_of_place(&goals, plan, place, &dimension) || !target_of(id, place->start, &asked))
			continue;
		if (first != 0)
			kpi_value_refuse_goals(plan, first, id);
		first = id;
		target = asked;
	}
	kpi_lookup_close(&goals);
	return target;
}
