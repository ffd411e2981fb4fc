/*-------------------------------------------------------------------------
 *
 * dictionary.c
 *	  Owner keys and dimension values become small numbers.
 *
 * While cells are collected (from the queue or from the facts), no statement
 * can be run for each new text: texts get local numbers first, and rows are
 * found or made afterwards for those that a cell still has when all deltas are
 * summed up.  What came and went in between leaves nothing behind.
 *
 * Each text is looked up by an index, so what is read follows the texts that a
 * run meets, however many rows there are.
 *
 * While nothing may be written (prove.c), a text without a row gets a number below
 * zero instead, the same wherever the run meets it: that of a dictionary of its own.
 *
 * Rows of kpi_internal.owner are shared by all sources.  They are inserted
 * in the order of their keys, in one statement per run, so that two runs of
 * different sources never wait for each other in a circle.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Columns of kpi_internal.owner and kpi_internal.dim. */
enum
{
	OWNER_ID = 1,
	OWNER_KEY
};

enum
{
	DIM_ID = 1,
	DIM_SOURCE,
	DIM_POSITION,
	DIM_VALS
};

/* A text's number: local while collecting, then also that of its row. */
typedef struct DictText
{
	int			len;
	char	   *data;			/* not terminated by a zero byte */
	Datum		dim_combination;	/* the array, where it is one */
	bool		used;			/* by a cell that is to be stored */
	int32		id;
} DictText;

/* A text by its bytes, in the hash. */
typedef struct DictKey
{
	const char *data;
	int			len;
} DictKey;

typedef struct DictEntry
{
	DictKey		key;
	int			number;
	uint32		hash;
	char		status;
} DictEntry;

#define SH_PREFIX dicttext
#define SH_ELEMENT_TYPE DictEntry
#define SH_KEY_TYPE DictKey
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key).data, (key).len)
#define SH_EQUAL(tb, a, b) ((a).len == (b).len && memcmp((a).data, (b).data, (a).len) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) ((entry)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct DictTable
{
	int			ntexts;
	int			max;
	DictText   *texts;
	dicttext_hash *numbers;
} DictTable;

struct KpiDict
{
	MemoryContext mcxt;
	DictTable	owners;			/* number 0: no owner */
	DictTable	dim_combinations;	/* number 0: no dimensions */
};

/* Texts without a row, of a run that makes none: number -n is text n; else NULL. */
static KpiDict *unwritten = NULL;

static void
table_init(DictTable *table)
{
	table->max = 64;
	table->texts = palloc0(table->max * sizeof(DictText));
	table->numbers = dicttext_create(CurrentMemoryContext, 128, NULL);
	table->ntexts = 1;			/* number 0 is the absent text, row 0 */
}

KpiDict *
kpi_refresh_dict_create(MemoryContext parent)
{
	MemoryContext mcxt = AllocSetContextCreate(parent, "pg_kpi dictionary", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(mcxt);
	KpiDict    *dict = palloc0(sizeof(KpiDict));

	dict->mcxt = mcxt;
	table_init(&dict->owners);
	table_init(&dict->dim_combinations);
	MemoryContextSwitchTo(old);
	return dict;
}

void
kpi_refresh_dict_free(KpiDict *dict)
{
	MemoryContextDelete(dict->mcxt);
}

/* The text's number; *is_new tells that it was just given one. */
static int
table_number(KpiDict *dict, DictTable *table, const char *data, int len, bool *is_new)
{
	DictKey		key = {data, len};
	bool		found;
	DictEntry  *entry = dicttext_insert(table->numbers, key, &found);
	MemoryContext old;
	DictText   *text;

	*is_new = !found;
	if (found)
		return entry->number;

	old = MemoryContextSwitchTo(dict->mcxt);
	if (table->ntexts == table->max)
	{
		table->max *= 2;
		table->texts = repalloc(table->texts, table->max * sizeof(DictText));
	}
	text = &table->texts[table->ntexts];
	text->len = len;
	text->data = palloc(len + 1);
	memcpy(text->data, data, len);
	text->dim_combination = (Datum) 0;
	text->used = false;
	text->id = 0;
	MemoryContextSwitchTo(old);

	entry->key.data = text->data;	/* the caller's goes */
	entry->number = table->ntexts;
	return table->ntexts++;
}

int
kpi_refresh_dict_owner(KpiDict *dict, const char *key, int len)
{
	bool		is_new;

	if (key == NULL)
		return 0;
	return table_number(dict, &dict->owners, key, len, &is_new);
}

/* Arrays of the same shape and content are equal byte by byte. */
int
kpi_refresh_dict_dim_combination(KpiDict *dict, Datum dim_combination, bool isnull)
{
	ArrayType  *array;
	int			number;
	bool		is_new;

	if (isnull)
		return 0;
	array = DatumGetArrayTypeP(dim_combination);
	number = table_number(dict, &dict->dim_combinations, (char *) array + VARHDRSZ,
						  VARSIZE(array) - VARHDRSZ, &is_new);
	if (is_new)
	{
		MemoryContext old = MemoryContextSwitchTo(dict->mcxt);

		dict->dim_combinations.texts[number].dim_combination =
			PointerGetDatum(DatumGetArrayTypePCopy(PointerGetDatum(array)));
		MemoryContextSwitchTo(old);
	}
	if ((Pointer) array != DatumGetPointer(dim_combination))
		pfree(array);
	return number;
}

/* ---- owners ---- */

/* Sets the ids of owners that have rows; returns the numbers of those that have none. */
static List *
find_owners(DictTable *table, List *numbers)
{
	KpiLookup	lookup;
	List	   *missing = NIL;
	ListCell   *lc;

	kpi_lookup_open(&lookup, "kpi_internal", "owner", "owner_key_key", 1, SnapshotSelf);
	foreach(lc, numbers)
	{
		DictText   *text = &table->texts[lfirst_int(lc)];
		Datum		key = PointerGetDatum(cstring_to_text_with_len(text->data, text->len));

		CHECK_FOR_INTERRUPTS();
		kpi_lookup_begin(&lookup, &key);
		if (kpi_lookup_next(&lookup))
			text->id = DatumGetInt32(kpi_lookup_column(&lookup, OWNER_ID));
		else
			missing = lappend_int(missing, lfirst_int(lc));
		pfree(DatumGetPointer(key));
	}
	kpi_lookup_close(&lookup);
	return missing;
}

/* Whoever makes the same rows at the same time is waited for. */
static void
insert_owners(const DictTable *table, const List *numbers)
{
	int			n = 0;
	Datum	   *keys = palloc(list_length(numbers) * sizeof(Datum));
	ListCell   *lc;
	KpiSpi		spi;

	foreach(lc, numbers)
	{
		const DictText *text = &table->texts[lfirst_int(lc)];

		keys[n++] = PointerGetDatum(cstring_to_text_with_len(text->data, text->len));
	}
	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi_internal.owner (key) SELECT u.key FROM pg_catalog.unnest($1) u(key)"
				 " ORDER BY u.key COLLATE \"C\" ON CONFLICT DO NOTHING",
				 1, KPI_VALUE(TEXTARRAYOID,
							  PointerGetDatum(construct_array(keys, n, TEXTOID, -1, false, TYPALIGN_INT))));
	kpi_spi_end(&spi);
}

void
kpi_refresh_dict_write_none(MemoryContext mcxt)
{
	unwritten = kpi_refresh_dict_create(mcxt);
}

const char *
kpi_refresh_unwritten_owner(int32 owner_id)
{
	const DictText *text = &unwritten->owners.texts[-owner_id];

	return pnstrdup(text->data, text->len);
}

static void
number_owners(DictTable *table, const List *numbers)
{
	ListCell   *lc;

	foreach(lc, numbers)
	{
		DictText   *text = &table->texts[lfirst_int(lc)];

		text->id = -kpi_refresh_dict_owner(unwritten, text->data, text->len);
	}
}

static void
resolve_owners(KpiDict *dict)
{
	DictTable  *table = &dict->owners;
	List	   *numbers = NIL;

	for (int i = 1; i < table->ntexts; i++)
	{
		if (table->texts[i].used)
			numbers = lappend_int(numbers, i);
	}
	if (numbers != NIL)
		numbers = find_owners(table, numbers);
	if (numbers == NIL)
		return;

	if (unwritten != NULL)
	{
		number_owners(table, numbers);
		return;
	}

	/* An INSERT that finds a key would use up an id for nothing. */
	insert_owners(table, numbers);
	numbers = find_owners(table, numbers);
	if (numbers != NIL)
		elog(ERROR, "%d owner keys have no row", list_length(numbers));
}

char *
kpi_refresh_owner_key(KpiLookup *owners, int32 owner_id)
{
	Datum		key = Int32GetDatum(owner_id);
	bool		isnull;
	Datum		value;

	if (owner_id < 0)
		return pstrdup(kpi_refresh_unwritten_owner(owner_id));
	kpi_lookup_begin(owners, &key);
	if (!kpi_lookup_next(owners))
		elog(ERROR, "owner %d has no row", owner_id);
	value = slot_getattr(owners->found, OWNER_KEY, &isnull);
	return isnull ? NULL : TextDatumGetCString(value);
}

/* ---- values of dimensions ---- */

static void
open_dims(KpiLookup *dims)
{
	kpi_lookup_open(dims, "kpi_internal", "dim", "dim_vals_idx", 3, SnapshotSelf);
}

/* A text and one before it, which keeps those of one position from those of another. */
static int32
unwritten_dim_row(int position, Datum vals)
{
	Datum		elems[2];
	bool		nulls[2] = {false};
	int			one = 1;
	int			two = 2;
	int			lower = 1;

	if (position == 0)
		return -kpi_refresh_dict_dim_combination(unwritten, vals, false);
	elems[0] = CStringGetTextDatum(psprintf("%d", position));
	elems[1] = array_get_element(vals, 1, &one, -1, -1, false, TYPALIGN_INT, &nulls[1]);
	return -kpi_refresh_dict_dim_combination(unwritten,
											 PointerGetDatum(construct_md_array(elems, nulls, 1, &two, &lower, TEXTOID,
																				-1, false, TYPALIGN_INT)), false);
}

int
kpi_refresh_unwritten_dim_value(int32 dim_value_id, const char **value)
{
	Datum		vals = unwritten->dim_combinations.texts[-dim_value_id].dim_combination;
	Datum	   *elems;
	bool	   *nulls;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(vals), TEXTOID, -1, false, TYPALIGN_INT, &elems, &nulls, &n);
	*value = nulls[1] ? NULL : TextDatumGetCString(elems[1]);
	return atoi(TextDatumGetCString(elems[0]));
}

/*
 * The row of these values at this position, made if it is not there.  The
 * index is on their hash, as they can be longer than an entry of an index; it
 * is not unique, as two can have the same hash.  That each row comes once
 * follows from the source's lock.
 */
static int32
dim_row(KpiLookup *dims, int32 source_id, int position, Datum vals)
{
	Datum		keys[] = {
		Int32GetDatum(source_id), Int16GetDatum(position),
		OidFunctionCall2Coll(F_HASH_ARRAY_EXTENDED, C_COLLATION_OID, vals, Int64GetDatum(0))
	};
	KpiSpi		spi;
	int32		id;

	kpi_lookup_begin(dims, keys);
	while (kpi_lookup_next(dims))
	{
		if (DatumGetBool(OidFunctionCall2Coll(F_ARRAY_EQ, C_COLLATION_OID,
											  kpi_lookup_column(dims, DIM_VALS), vals)))
			return DatumGetInt32(kpi_lookup_column(dims, DIM_ID));
	}
	if (unwritten != NULL)
		return unwritten_dim_row(position, vals);
	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi_internal.dim (source_id, position, vals) VALUES ($1, $2, $3) RETURNING id",
				 3, KPI_INT4(source_id), KPI_INT4(position), KPI_VALUE(TEXTARRAYOID, vals));
	id = kpi_spi_int4(0, 1);
	kpi_spi_end(&spi);
	return id;
}

static void
resolve_dim_combinations(KpiDict *dict, const KpiSource *source)
{
	KpiLookup	dims;

	if (dict->dim_combinations.ntexts == 1)
		return;
	open_dims(&dims);
	for (int n = 1; n < dict->dim_combinations.ntexts; n++)
	{
		DictText   *text = &dict->dim_combinations.texts[n];

		CHECK_FOR_INTERRUPTS();
		if (text->used)
			text->id = dim_row(&dims, source->id, 0, text->dim_combination);
	}
	kpi_lookup_close(&dims);
}

void
kpi_refresh_dict_use(KpiDict *dict, const KpiDayKey *key)
{
	dict->owners.texts[key->owner_id].used = true;
	dict->dim_combinations.texts[key->dim_combination_id].used = true;
}

void
kpi_refresh_dict_resolve(KpiDict *dict, const KpiSource *source)
{
	resolve_owners(dict);
	resolve_dim_combinations(dict, source);
}

void
kpi_refresh_dict_translate(const KpiDict *dict, KpiDayKey *key)
{
	key->owner_id = dict->owners.texts[key->owner_id].id;
	key->dim_combination_id = dict->dim_combinations.texts[key->dim_combination_id].id;
}

typedef struct DimValueKey
{
	int32		dim_combination_id;
	int32		position;
} DimValueKey;

typedef struct DimValueEntry
{
	DimValueKey key;
	int32		dim_value_id;
} DimValueEntry;

static HTAB *dim_values = NULL;

void
kpi_refresh_dim_values_forget(void)
{
	if (dim_values)
		hash_destroy(dim_values);
	dim_values = NULL;
	unwritten = NULL;
}

void
kpi_refresh_dim_sweep(const KpiSource *source)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi_internal.dim d WHERE d.source_id = $1"
				 " AND (d.position > $3 OR d.position = 0 AND pg_catalog.cardinality(d.vals) NOT IN ($2, $3))",
				 3, KPI_INT4(source->id), KPI_INT4(source->ndims),
				 KPI_INT4(source->ndims + kpi_model_source_has_currency(source)));
	kpi_spi_end(&spi);
	kpi_refresh_dim_values_forget();
}

Datum
kpi_refresh_dim_combination(int32 dim_combination_id)
{
	Datum		key = Int32GetDatum(dim_combination_id);
	Datum		vals;
	KpiLookup	dims;

	if (dim_combination_id < 0)
		return unwritten->dim_combinations.texts[-dim_combination_id].dim_combination;
	kpi_lookup_open(&dims, "kpi_internal", "dim", "dim_pkey", 1, SnapshotSelf);
	kpi_lookup_begin(&dims, &key);
	if (!kpi_lookup_next(&dims))
		elog(ERROR, "dimension values %d are not there", dim_combination_id);
	vals = PointerGetDatum(DatumGetArrayTypePCopy(kpi_lookup_column(&dims, DIM_VALS)));
	kpi_lookup_close(&dims);
	return vals;
}

/* One dimension's value of a combination, as the values of a row of its own. */
static Datum
value_of_combination(int32 dim_combination_id, int position)
{
	bool		isnull;
	int			lower = 1;
	int			one = 1;
	Datum		value = array_get_element(kpi_refresh_dim_combination(dim_combination_id), 1, &position, -1, -1, false,
										  TYPALIGN_INT, &isnull);

	return PointerGetDatum(construct_md_array(&value, &isnull, 1, &one, &lower, TEXTOID, -1, false, TYPALIGN_INT));
}

int32
kpi_refresh_dim_value(const KpiSource *source, int32 dim_combination_id, int position)
{
	DimValueKey key = {dim_combination_id, position};
	DimValueEntry *entry;
	bool		found;
	KpiLookup	dims;
	MemoryContext old;
	int32		dim_value_id;

	if (dim_values == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(DimValueKey),.entrysize = sizeof(DimValueEntry)};

		dim_values = hash_create("pg_kpi dimension values", 256, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(dim_values, &key, HASH_FIND, NULL);
	if (entry)
		return entry->dim_value_id;

	open_dims(&dims);
	/* There can be very many: what each leaves goes with the lookup. */
	old = MemoryContextSwitchTo(dims.mcxt);
	dim_value_id = dim_row(&dims, source->id, position, value_of_combination(dim_combination_id, position));
	MemoryContextSwitchTo(old);
	kpi_lookup_close(&dims);

	entry = hash_search(dim_values, &key, HASH_ENTER, &found);
	entry->dim_value_id = dim_value_id;
	return dim_value_id;
}

int32
kpi_refresh_dim_value_of_text(const KpiSource *source, int position, const char *text)
{
	Datum		value = text ? CStringGetTextDatum(text) : (Datum) 0;
	bool		isnull = text == NULL;
	int			one = 1;
	int			lower = 1;
	ArrayType  *vals = construct_md_array(&value, &isnull, 1, &one, &lower, TEXTOID, -1, false, TYPALIGN_INT);
	KpiLookup	dims;
	int32		dim_value_id;

	open_dims(&dims);
	dim_value_id = dim_row(&dims, source->id, position, PointerGetDatum(vals));
	kpi_lookup_close(&dims);
	pfree(vals);
	return dim_value_id;
}
