/*-------------------------------------------------------------------------
 *
 * virtual_column.c
 *	  Generated columns that are computed when they are read.
 *
 * Triggers see no value of such a column, so a compiled expression has the
 * column's own expression in its place (kpi_compat_expand_virtual()).  That a
 * table has got another one writes no row and rewrites no table, so it is
 * noticed here by comparing; partitions must agree with their root.
 *
 * A query on a partitioned table computes the column of all rows as the root
 * says, whatever the partitions say, but a writer of a partition knows only
 * the partition: where the two differ there is no source.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "expr/expr.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Setting an expression makes a new row of pg_attrdef. */
void
kpi_expr_virtual_columns_state(StringInfo state, Oid relid)
{
	Relation	pg_attrdef;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!KPI_HAVE_VIRTUAL_COLUMNS)
		return;

	pg_attrdef = table_open(AttrDefaultRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_attrdef_adrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_attrdef, AttrDefaultIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attrdef def = (Form_pg_attrdef) GETSTRUCT(tuple);

		if (get_attgenerated(relid, def->adnum) == ATTRIBUTE_GENERATED_VIRTUAL)
			appendStringInfo(state, " column %d as %u", def->adnum, def->oid);
	}
	systable_endscan(scan);
	table_close(pg_attrdef, AccessShareLock);
}

static bool
same_expression(Relation root, AttrNumber attno, Relation leaf)
{
	const char *name = NameStr(TupleDescAttr(RelationGetDescr(root), attno - 1)->attname);
	AttrNumber	leaf_attno = get_attnum(RelationGetRelid(leaf), name);
	List	   *expression = list_make1(build_column_default(root, attno));

	expression = map_partition_varattnos(expression, 1, leaf, root);
	return equal(linitial(expression), build_column_default(leaf, leaf_attno));
}

static bool
is_virtual(TupleDesc desc, int i)
{
	return TupleDescAttr(desc, i)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
}

static bool
has_virtual_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		if (is_virtual(desc, i))
			return true;
	}
	return false;
}

static char *
difference(Relation root, Relation leaf)
{
	TupleDesc	desc = RelationGetDescr(root);

	for (int i = 0; i < desc->natts; i++)
	{
		if (is_virtual(desc, i) && !same_expression(root, i + 1, leaf))
			return psprintf("partition \"%s\" computes column \"%s\" otherwise than table \"%s\"",
							RelationGetRelationName(leaf),
							NameStr(TupleDescAttr(desc, i)->attname),
							RelationGetRelationName(root));
	}
	return NULL;
}

char *
kpi_expr_virtual_columns_problem(Oid root, Oid leaf)
{
	Relation	root_rel;
	Relation	leaf_rel;
	char	   *problem = NULL;

	if (!KPI_HAVE_VIRTUAL_COLUMNS || root == leaf)
		return NULL;

	/* One that is gone meanwhile has no facts that could differ. */
	root_rel = try_table_open(root, AccessShareLock);
	if (root_rel == NULL)
		return NULL;
	if (has_virtual_columns(root_rel) &&
		(leaf_rel = try_table_open(leaf, AccessShareLock)) != NULL)
	{
		problem = difference(root_rel, leaf_rel);
		table_close(leaf_rel, AccessShareLock);
	}
	table_close(root_rel, AccessShareLock);
	return problem;
}
