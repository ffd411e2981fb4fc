/*-------------------------------------------------------------------------
 *
 * spi_plan.c
 *	  Plans of our own statements, kept for the session.
 *
 * A plan is of the user and search_path of kpi_spi_begin().  A refresh runs a
 * dozen small statements, and planning one takes several times as long as
 * running it.
 *
 * A statement is known by its text and is kept when it comes a second time:
 * many sessions run most of them once.  There are only so many texts, as each
 * stands in our source or differs by the name of one of our own tables;
 * MAX_PLANS is for the case that this is no longer so.
 *
 * PostgreSQL itself makes a plan anew when what it reads was changed, dropped
 * or analyzed, or row security begins to depend on the role; rights are
 * checked whenever it runs.  Names are resolved again then, so plans survive
 * DROP EXTENSION and CREATE EXTENSION.  A type that came with a parameter is
 * resolved by us, so plans are made anew for other types, too.
 *
 * Plans are generic: made without looking at the parameters.  What nobody
 * tells them is that a table grows in a transaction that is still running, so
 * a plan is made anew each time it was used twice as often as before.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base_internal.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/memutils.h"

#define MAX_PLANS 500

/* Uses after which a plan is made anew for the first time. */
#define FIRST_RENEWAL 16

typedef struct KeptPlan
{
	SPIPlanPtr	plan;			/* NULL: not kept yet */
	int			nargs;
	Oid			types[KPI_SPI_MAX_PARAMS];
	int64		uses;
	int64		renew_at;		/* uses */
	int			running;		/* how often it is being executed now */
} KeptPlan;

typedef struct PlanEntry
{
	const char *sql;
	KeptPlan   *kept;
	char		status;
} PlanEntry;

#define SH_PREFIX plans
#define SH_ELEMENT_TYPE PlanEntry
#define SH_KEY_TYPE const char *
#define SH_KEY sql
#define SH_HASH_KEY(tb, key) \
	hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static MemoryContext plan_context = NULL;
static plans_hash *plans = NULL;

/* Returns the statement's entry, made if there is room; else NULL. */
static KeptPlan *
find_plan(const char *sql)
{
	PlanEntry  *entry;
	KeptPlan   *kept;
	bool		found;

	if (plans == NULL)
	{
		plan_context = AllocSetContextCreate(TopMemoryContext, "pg_kpi plans", ALLOCSET_DEFAULT_SIZES);
		plans = plans_create(plan_context, 128, NULL);
	}
	entry = plans_lookup(plans, sql);
	if (entry != NULL)
		return entry->kept;
	if (plans->members >= MAX_PLANS)
		return NULL;
	kept = MemoryContextAllocZero(plan_context, sizeof(KeptPlan));
	entry = plans_insert(plans, MemoryContextStrdup(plan_context, sql), &found);
	entry->kept = kept;
	return kept;
}

static bool
same_types(const KeptPlan *kept, int nargs, const Oid *types)
{
	return kept->nargs == nargs && (nargs == 0 || memcmp(kept->types, types, nargs * sizeof(Oid)) == 0);
}

/* Checks whether there is a plan to be used, and makes one when it is time to. */
static bool
make_ready(KeptPlan *kept, const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan;
	bool		fits = kept->plan != NULL && same_types(kept, nargs, types);

	if (++kept->uses == 1)
		return false;
	if (fits && kept->uses < kept->renew_at)
		return true;
	if (kept->running > 0)
		return fits;

	if (kept->plan != NULL)
	{
		plan = kept->plan;
		kept->plan = NULL;
		SPI_freeplan(plan);
	}
	plan = SPI_prepare_cursor(sql, nargs, types, CURSOR_OPT_GENERIC_PLAN | CURSOR_OPT_PARALLEL_OK);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI failed with %s: %s", SPI_result_code_string(SPI_result), sql);
	kept->plan = plan;
	kept->nargs = nargs;
	memcpy(kept->types, types, nargs * sizeof(Oid));
	kept->renew_at = Max(kept->uses * 2, FIRST_RENEWAL);
	return true;
}

int
kpi_plan_execute(const char *sql, bool read_only, int nargs, Oid *types, Datum *values, const char *nulls)
{
	KeptPlan   *volatile kept = find_plan(sql);
	int			rc;

	if (kept == NULL || !make_ready(kept, sql, nargs, types))
		return SPI_execute_with_args(sql, nargs, types, values, nulls, read_only, 0);

	/* A function that it calls may run the same statement. */
	kept->running++;
	PG_TRY();
	{
		rc = SPI_execute_plan(kept->plan, values, nulls, read_only, 0);
	}
	PG_FINALLY();
	{
		kept->running--;
	}
	PG_END_TRY();
	return rc;
}
