/*-------------------------------------------------------------------------
 *
 * storage.c
 *	  Whether a table's rows are where triggers and scans meet them.
 *
 * A table that is distributed by Citus is a shell: its rows are in other
 * tables, mostly of other servers, no trigger of the shell fires for them, and
 * a scan of it finds nothing.  Reference tables and those that Citus only keeps
 * in its metadata are shells, too.
 *
 * Of table access methods, those are accepted that have rows like the heap's:
 * known by a TID, with AFTER ROW triggers for each change, and seen by a scan
 * under a snapshot.  Nothing in the catalogs tells them apart; column stores are
 * the ones known to differ, so they are named, and one that is not named
 * refuses our triggers itself, or works.  Accepting the heap alone would shut
 * out row stores for no reason.
 *
 * Lock: ACCESS SHARE on Citus' catalog, for a moment.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "fact/fact_internal.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define CITUS_CATALOG "pg_dist_partition"
#define CITUS_RELATION "logicalrelid"

/* Citus names its own "columnar", and so does what was made from it. */
static const char *const column_stores[] = {"columnar", "columnstore"};

static bool
is_in_citus_catalog(Oid relid)
{
	Oid			catalog = get_relname_relid(CITUS_CATALOG, PG_CATALOG_NAMESPACE);
	AttrNumber	attno;
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	if (!OidIsValid(catalog) || get_rel_relkind(catalog) != RELKIND_RELATION)
		return false;
	attno = get_attnum(catalog, CITUS_RELATION);
	if (attno == InvalidAttrNumber || get_atttype(catalog, attno) != REGCLASSOID)
		return false;
	rel = try_table_open(catalog, AccessShareLock);
	if (rel == NULL)
		return false;

	ScanKeyInit(&key, attno, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* The name of the column store that keeps the table, or NULL. */
static char *
column_store(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	name = get_am_name(((Form_pg_class) GETSTRUCT(tuple))->relam);
	ReleaseSysCache(tuple);
	for (int i = 0; name != NULL && i < lengthof(column_stores); i++)
	{
		if (strcmp(name, column_stores[i]) == 0)
			return name;
	}
	return NULL;
}

char *
kpi_fact_storage_problem(Oid relid)
{
	char	   *keyed = column_store(relid);

	if (keyed != NULL)
		return psprintf("table %s is stored by access method \"%s\"", kpi_fact_table_name(relid), keyed);
	if (is_in_citus_catalog(relid))
		return psprintf("the rows of table %s are distributed by Citus", kpi_fact_table_name(relid));
	return NULL;
}
