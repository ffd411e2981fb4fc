/*-------------------------------------------------------------------------
 *
 * extension.c
 *	  The extension as it is installed in this database: whose it is, and of
 *	  which version.
 *
 * The library is replaced before ALTER EXTENSION pg_kpi UPDATE runs, and a session
 * keeps the one that it has loaded.  So the objects that call it may be of an
 * earlier version, with fewer columns and tables than it reads, or of a later one,
 * whose definitions mean what it does not know.  Until both are the same
 *
 *	- facts are captured.  A newer library does so as it can; where it cannot, and
 *	  with an older one, a marker has the source recomputed (capture/trigger.c);
 *	- nothing is defined, refreshed or verified, and workers leave;
 *	- what is read is read, or an error says what to do.
 *
 * That they are not is noted whenever the owner is looked up, which every
 * statement of ours begins with: nothing is looked up for it alone.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/base_internal.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#define MAX_VERSION 64

/* Of the objects, when they were looked up last. */
static char noted_version[MAX_VERSION] = KPI_VERSION;

static void
note_version(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		version = heap_getattr(tuple, Anum_pg_extension_extversion, desc, &isnull);

	if (!isnull)
		text_to_cstring_buffer(DatumGetTextPP(version), noted_version, MAX_VERSION);
}

Oid
kpi_extension_owner(void)
{
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("pg_kpi"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
		note_version(tuple, RelationGetDescr(rel));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"pg_kpi\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION pg_kpi.")));
	return owner;
}

const char *
kpi_extension_version(void)
{
	(void) kpi_extension_owner();
	return noted_version;
}

/* Takes the next number of a version, 0 at its end. */
static long
next_number(const char **version)
{
	char	   *end;
	long		number = strtol(*version, &end, 10);

	*version = *end == '.' ? end + 1 : end + strlen(end);
	return number;
}

/* Compares versions by their numbers, else as texts. */
static int
compare_versions(const char *a, const char *b)
{
	const char *a_rest = a;
	const char *b_rest = b;

	while (*a_rest != '\0' || *b_rest != '\0')
	{
		long		x = next_number(&a_rest);
		long		y = next_number(&b_rest);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return strcmp(a, b);
}

int
kpi_extension_difference_noted(void)
{
	return strcmp(KPI_VERSION, noted_version) == 0 ? 0 : compare_versions(KPI_VERSION, noted_version);
}

int
kpi_extension_difference(void)
{
	(void) kpi_extension_owner();
	return kpi_extension_difference_noted();
}

char *
kpi_extension_difference_text(void)
{
	return psprintf("The library is of version %s, its objects in this database are of version %s.",
					KPI_VERSION, noted_version);
}

const char *
kpi_extension_difference_remedy(void)
{
	if (kpi_extension_difference_noted() > 0)
		return "Run ALTER EXTENSION pg_kpi UPDATE.";
	return kpi_preloaded ? "Restart the server, which has loaded an older library; install the newer one before, if it is not there." :
		"Connect anew, as this session has loaded an older library; install the newer one before, if it is not there.";
}

void
kpi_extension_require(void)
{
	/*
	 * Scripts of the extension may write while they are on their way to
	 * another version.
	 */
	if (creating_extension || kpi_extension_difference() == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the library of extension \"pg_kpi\" and its objects are of different versions"),
			 errdetail_internal("%s", kpi_extension_difference_text()),
			 errhint("%s", kpi_extension_difference_remedy())));
}

void
kpi_extension_error_context(void *arg)
{
	if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
		errhint("%s %s", kpi_extension_difference_text(), kpi_extension_difference_remedy());
}
