/*-------------------------------------------------------------------------
 *
 * near.c
 *	  Names that are near one that does not exist, for hints.
 *
 * Only ever computed for an error.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_collation.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/varlena.h"

/* So many are offered, and longer ones are not looked at. */
#define MAX_OFFERED 3
#define MAX_LENGTH 100

typedef struct NearName
{
	const char *name;
	int			distance;
} NearName;

static int
compare_distance(const void *a, const void *b)
{
	const NearName *x = a;
	const NearName *y = b;

	return x->distance != y->distance ? x->distance - y->distance : strcmp(x->name, y->name);
}

/* Characters to change, whatever their case; more than the bound: far. */
static int
distance(const char *wanted, const char *name, int bound)
{
	char	   *a = str_tolower(wanted, strlen(wanted), DEFAULT_COLLATION_OID);
	char	   *b = str_tolower(name, strlen(name), DEFAULT_COLLATION_OID);

	return varstr_levenshtein_less_equal(a, strlen(a), b, strlen(b), 1, 1, 1, bound, true);
}

char *
kpi_near_names(List *names, const char *wanted)
{
	NearName   *near = palloc(Max(list_length(names), 1) * sizeof(NearName));
	int			bound = Max(2, pg_mbstrlen(wanted) / 3);
	int			n = 0;
	List	   *offered = NIL;
	ListCell   *lc;

	if (strlen(wanted) > MAX_LENGTH)
		return NULL;
	foreach(lc, names)
	{
		const char *name = lfirst(lc);
		int			d = strlen(name) > MAX_LENGTH ? bound + 1 : distance(wanted, name, bound);

		if (d <= bound && d < pg_mbstrlen(name))
			near[n++] = (NearName)
		{
			name, d
		};
	}
	qsort(near, n, sizeof(NearName), compare_distance);
	for (int i = 0; i < Min(n, MAX_OFFERED); i++)
		offered = lappend(offered, psprintf("\"%s\"", near[i].name));
	return offered == NIL ? NULL : kpi_list_join(offered);
}
