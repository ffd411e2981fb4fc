/*-------------------------------------------------------------------------
 *
 * parts.c
 *	  Parts of what counts for a team or member: by values of dimensions, by members, by the
 *	  teams below.
 *
 * A part has one element for each thing that is broken down by.  All are known by their base
 * cells: what an owner's facts of a day count for, the attribution says (applied_attribution),
 * and their combination of dimension values has all that are the facts' own.  The cells of some days are
 * read once, and summed by part; so a KPI over several parts costs one scan of its
 * days, and each part adds up to the whole even where people and teams moved within them.
 *
 * While parts are looked at (kpi_value_parts_begin()), a place with a number below 0 for
 * its value of a dimension is one of them, so that everything that is evaluated at a place is at
 * a part: formulas and other periods included.
 *
 * As in cells.c: the active snapshot, ACCESS SHARE on our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "people/people.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "value/value_internal.h"

/* Columns of kpi_internal.dim. */
enum
{
	DIM_ID = 1,
	DIM_SOURCE,
	DIM_POSITION,
	DIM_VALS
};

/* Values of dimensions, by their number. */
typedef struct DimTexts
{
	int32		id;				/* the key */
	int			n;
	Datum	   *vals;
	bool	   *isnull;
} DimTexts;

/* Where facts of an owner count, on some days. */
typedef struct OwnerSpan
{
	DateADT		since;
	DateADT		until;
	int32		member_id;
	int			nteams;
	int32	   *teams;
	int			ndims;
	int32	   *dims;
} OwnerSpan;

typedef struct OwnerKey
{
	int32		source_id;
	int32		owner_kind;
	int32		owner_id;
} OwnerKey;

typedef struct Owner
{
	OwnerKey	key;
	int			nspans;
	OwnerSpan  *spans;
} Owner;

/* At which positions the dimensions of a source are; 0: it has none of the name. */
typedef struct SourceKeys
{
	int32		source_id;		/* the key */
	int			positions[KPI_PARTS_MAX];
} SourceKeys;

/* The cells of some days of a stream, by the numbers of parts. */
typedef struct PartTable
{
	KpiDays		days;			/* dim_id 0 */
	int			n;
	KpiCell   **cells;			/* NULL: none */
} PartTable;

typedef struct PartEntry
{
	char	   *text;			/* the key: of all its elements */
	int			number;
} PartEntry;

struct KpiParts
{
	MemoryContext mcxt;
	int			nkeys;
	KpiPartKey	keys[KPI_PARTS_MAX];
	int			nparts;
	int			max_parts;
	KpiPart    *parts;
	HTAB	   *numbers;		/* of PartEntry */
	HTAB	   *dims;
	HTAB	   *owners;
	HTAB	   *sources;
	List	   *tables;			/* PartTable */
};

static KpiParts *looked_at = NULL;

static uint32
text_hash(const void *key, Size keysize)
{
	const char *text = *(char *const *) key;

	return hash_bytes((const unsigned char *) text, strlen(text));
}

static int
text_compare(const void *a, const void *b, Size keysize)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

static HTAB *
create_table(MemoryContext mcxt, const char *name, Size keysize, Size entrysize)
{
	HASHCTL		ctl = {.keysize = keysize,.entrysize = entrysize,.hcxt = mcxt};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

KpiParts *
kpi_value_parts_begin(int nkeys, const KpiPartKey *keys)
{
	MemoryContext mcxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi parts", ALLOCSET_DEFAULT_SIZES);
	KpiParts   *parts = MemoryContextAllocZero(mcxt, sizeof(KpiParts));
	HASHCTL		ctl = {.keysize = sizeof(char *),.entrysize = sizeof(PartEntry),.hash = text_hash,.match = text_compare,
	.hcxt = mcxt};

	parts->mcxt = mcxt;
	parts->nkeys = nkeys;
	memcpy(parts->keys, keys, nkeys * sizeof(KpiPartKey));
	parts->max_parts = 64;
	parts->parts = MemoryContextAlloc(mcxt, parts->max_parts * sizeof(KpiPart));
	parts->numbers = hash_create("pg_kpi part numbers", 64, &ctl, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	parts->dims = create_table(mcxt, "pg_kpi values of parts", sizeof(int32), sizeof(DimTexts));
	parts->owners = create_table(mcxt, "pg_kpi owners of parts", sizeof(OwnerKey), sizeof(Owner));
	parts->sources = create_table(mcxt, "pg_kpi sources of parts", sizeof(int32), sizeof(SourceKeys));
	looked_at = parts;
	return parts;
}

void
kpi_value_parts_add_source(KpiParts *parts, int32 source_id, const int *positions)
{
	bool		found;
	SourceKeys *source = hash_search(parts->sources, &source_id, HASH_ENTER, &found);

	memcpy(source->positions, positions, sizeof(source->positions));
}

void
kpi_value_parts_end(KpiParts *parts)
{
	looked_at = NULL;
	MemoryContextDelete(parts->mcxt);
}

int
kpi_value_parts_number(const KpiParts *parts)
{
	return parts->nparts;
}

const KpiPart *
kpi_value_part(const KpiParts *parts, int number)
{
	return &parts->parts[number];
}

/* ---- what cells say ---- */

/* In the parts' memory, as the next. */
static const DimTexts *
dim_texts(KpiParts *parts, int32 id)
{
	bool		found;
	DimTexts   *entry = hash_search(parts->dims, &id, HASH_ENTER, &found);
	KpiLookup	lookup;
	Datum		key = Int32GetDatum(id);

	if (found)
		return entry;
	entry->n = 0;
	kpi_lookup_open(&lookup, "kpi_internal", "dim", "dim_pkey", 1, GetActiveSnapshot());
	kpi_lookup_begin(&lookup, &key);
	if (kpi_lookup_next(&lookup))
		deconstruct_array(DatumGetArrayTypePCopy(kpi_lookup_column(&lookup, DIM_VALS)), TEXTOID, -1, false,
						  TYPALIGN_INT, &entry->vals, &entry->isnull, &entry->n);
	kpi_lookup_close(&lookup);
	return entry;
}

static int32 *
ids_of(Datum array, int *n)
{
	ArrayType  *ids = DatumGetArrayTypePCopy(array);

	*n = ArrayGetNItems(ARR_NDIM(ids), ARR_DIMS(ids));
	return (int32 *) ARR_DATA_PTR(ids);
}

static const OwnerSpan *
owner_span(KpiParts *parts, const KpiDays *days, int32 owner_id, DateADT day)
{
	OwnerKey	key = {days->source_id, days->owner_kind, owner_id};
	Datum		keys[] = {Int32GetDatum(days->source_id), Int32GetDatum(days->owner_kind), Int32GetDatum(owner_id)};
	bool		found;
	Owner	   *owner = hash_search(parts->owners, &key, HASH_ENTER, &found);

	if (!found)
	{
		KpiLookup	lookup;

		owner->nspans = 0;
		owner->spans = palloc(sizeof(OwnerSpan));
		kpi_lookup_open(&lookup, "kpi_internal", "applied_attribution", "applied_attribution_pkey", 3,
						GetActiveSnapshot());
		kpi_lookup_begin(&lookup, keys);
		while (kpi_lookup_next(&lookup))
		{
			OwnerSpan  *span;

			owner->spans = repalloc(owner->spans, (owner->nspans + 1) * sizeof(OwnerSpan));
			span = &owner->spans[owner->nspans++];
			span->since = DatumGetDateADT(kpi_lookup_column(&lookup, Anum_applied_since));
			span->until = DatumGetDateADT(kpi_lookup_column(&lookup, Anum_applied_until));
			span->member_id = DatumGetInt32(kpi_lookup_column(&lookup, Anum_applied_member_id));
			span->teams = ids_of(kpi_lookup_column(&lookup, Anum_applied_teams), &span->nteams);
			span->dims = ids_of(kpi_lookup_column(&lookup, Anum_applied_dims), &span->ndims);
		}
		kpi_lookup_close(&lookup);
	}
	for (int i = 0; i < owner->nspans; i++)
	{
		if (day >= owner->spans[i].since && day < owner->spans[i].until)
			return &owner->spans[i];
	}
	return NULL;
}

/* Where a team stands among those of a span; -1: nowhere. */
static int
place_of_team(const OwnerSpan *span, int32 team_id)
{
	for (int i = 0; i < span->nteams; i++)
	{
		if (span->teams[i] == team_id)
			return i;
	}
	return -1;
}

static bool
counts(const KpiDays *days, const OwnerSpan *span)
{
	if (days->scope_kind == KPI_SCOPE_MEMBER)
		return span->member_id == days->scope_id;
	return place_of_team(span, days->scope_id) >= 0;
}

/* ---- the part of a cell ---- */

static void
set_dimension(KpiParts *parts, KpiPartElement *element, const OwnerSpan *span, int32 dim_id, int position)
{
	const DimTexts *texts;

	element->id = 0;
	element->text = NULL;
	if (position <= span->ndims && span->dims[position - 1] != 0)
	{
		dim_id = span->dims[position - 1];
		position = 1;
	}
	texts = dim_texts(parts, dim_id);
	if (position <= texts->n && !texts->isnull[position - 1])
		element->text = TextDatumGetCString(texts->vals[position - 1]);
}

/* The team below the one that is asked for, or that one itself, which facts may count for directly. */
static int32
team_below(const KpiDays *days, const OwnerSpan *span)
{
	int			at = place_of_team(span, days->scope_id);

	return span->teams[Max(at - 1, 0)];
}

static void
describe(KpiParts *parts, const KpiDays *days, const OwnerSpan *span, int32 dim_id, KpiPart *part)
{
	const SourceKeys *source = hash_search(parts->sources, &days->source_id, HASH_FIND, NULL);

	for (int k = 0; k < parts->nkeys; k++)
	{
		KpiPartElement *element = &part->elements[k];

		element->text = NULL;
		if (parts->keys[k].kind == KPI_PART_MEMBER)
			element->id = span->member_id;
		else if (parts->keys[k].kind == KPI_PART_TEAM)
			element->id = team_below(days, span);
		else
			set_dimension(parts, element, span, dim_id, source->positions[k]);
	}
}

/* The number of a part; one that was not met yet is added. */
static int
part_number(KpiParts *parts, const KpiPart *part)
{
	StringInfoData text;
	PartEntry  *entry;
	bool		found;

	initStringInfo(&text);
	for (int k = 0; k < parts->nkeys; k++)
	{
		const KpiPartElement *element = &part->elements[k];

		if (element->text != NULL)
			appendStringInfo(&text, "%zu:%s", strlen(element->text), element->text);
		else
			appendStringInfo(&text, "#%d", element->id);
	}
	entry = hash_search(parts->numbers, &text.data, HASH_ENTER, &found);
	if (found)
	{
		pfree(text.data);
		return entry->number;
	}
	if (parts->nparts == parts->max_parts)
	{
		parts->max_parts *= 2;
		parts->parts = repalloc(parts->parts, parts->max_parts * sizeof(KpiPart));
	}
	entry->text = text.data;
	entry->number = parts->nparts;
	parts->parts[parts->nparts] = *part;
	return parts->nparts++;
}

/* ---- reading ---- */

static void
add_cell(KpiParts *parts, PartTable *table, const OwnerSpan *span, int32 dim_id, Datum cell)
{
	KpiPart		part;
	int			number;

	describe(parts, &table->days, span, dim_id, &part);
	number = part_number(parts, &part);
	if (number >= table->n)
	{
		int			n = Max(2 * table->n, number + 64);

		table->cells = table->cells == NULL ? palloc0(n * sizeof(KpiCell *)) : repalloc(table->cells, n * sizeof(KpiCell *));
		memset(table->cells + table->n, 0, (n - table->n) * sizeof(KpiCell *));
		table->n = n;
	}
	if (table->cells[number] == NULL)
		table->cells[number] = DatumGetKpiCellPCopy(cell);
	else
		table->cells[number] = kpi_cell_merge(table->cells[number], DatumGetKpiCellP(cell));
}

/* An owner of the company's has no attribution of its own. */
static const OwnerSpan *
company_span(void)
{
	static int32 teams[] = {KPI_TEAM_COMPANY};
	static OwnerSpan span =
	{
		.nteams = 1,.teams = teams
	};

	return &span;
}

static void
read_cells(KpiParts *parts, PartTable *table)
{
	const KpiDays *days = &table->days;
	Relation	rel = table_open(kpi_relation_oid("kpi_internal", "day_cell"), AccessShareLock);
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	kpi_value_key(&keys[0], Anum_day_stream_id, days->stream_id);
	ScanKeyInit(&keys[1], Anum_day_day, BTGreaterEqualStrategyNumber, F_DATE_GE, DateADTGetDatum(days->since));
	ScanKeyInit(&keys[2], Anum_day_day, BTLessStrategyNumber, F_DATE_LT, DateADTGetDatum(days->until));
	scan = systable_beginscan(rel, kpi_relation_oid("kpi_internal", "day_cell_day_idx"), true, GetActiveSnapshot(),
							  lengthof(keys), keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;
		int32		owner_id = DatumGetInt32(heap_getattr(tuple, Anum_day_owner_id, desc, &isnull));
		DateADT		day = DatumGetDateADT(heap_getattr(tuple, Anum_day_day, desc, &isnull));
		const OwnerSpan *span = days->owner_kind == KPI_OWNER_COMPANY ? company_span() :
		owner_span(parts, days, owner_id, day);

		CHECK_FOR_INTERRUPTS();
		if (span != NULL && counts(days, span))
			add_cell(parts, table, span, DatumGetInt32(heap_getattr(tuple, Anum_day_dim_id, desc, &isnull)),
					 heap_getattr(tuple, Anum_day_cell, desc, &isnull));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* Whether a source has all that is broken down by. */
static bool
has_all(const KpiParts *parts, int32 source_id, int *missing)
{
	const SourceKeys *source = hash_search(parts->sources, &source_id, HASH_FIND, NULL);

	for (int k = 0; k < parts->nkeys; k++)
	{
		*missing = k;
		if (parts->keys[k].kind == KPI_PART_DIMENSION && (source == NULL || source->positions[k] == 0))
			return false;
	}
	return true;
}

static const PartTable *
table_of(KpiParts *parts, const KpiDays *days)
{
	MemoryContext old;
	KpiDays		whole = *days;
	PartTable  *table;
	ListCell   *lc;

	whole.dim_id = 0;
	foreach(lc, parts->tables)
	{
		table = lfirst(lc);
		if (memcmp(&table->days, &whole, sizeof(KpiDays)) == 0)
			return table;
	}
	old = MemoryContextSwitchTo(parts->mcxt);
	table = palloc0(sizeof(PartTable));
	table->days = whole;
	read_cells(parts, table);
	parts->tables = lappend(parts->tables, table);
	MemoryContextSwitchTo(old);
	return table;
}

void
kpi_value_parts_meet(KpiParts *parts, const KpiDays *days)
{
	int			missing;

	if (has_all(parts, days->source_id, &missing) && days->since < days->until)
		(void) table_of(parts, days);
}

const KpiCell *
kpi_value_part_cell(const KpiDays *days)
{
	int			number = -1 - days->dim_id;
	const PartTable *table;
	int			missing;

	if (looked_at == NULL)
		elog(ERROR, "no parts are looked at");
	if (!has_all(looked_at, days->source_id, &missing))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("dimension \"%s\" is not one of all KPIs of the formula", looked_at->keys[missing].name),
				 errdetail("One of them is of a source without it."),
				 errhint("Give that source the dimension with kpi.alter_source(), or write whole() around the KPI in the formula, where the part is to be compared with all.")));
	if (days->since >= days->until)
		return NULL;
	table = table_of(looked_at, days);
	return number < table->n && table->cells[number] != NULL && !kpi_cell_is_empty(table->cells[number]) ?
		table->cells[number] : NULL;
}
