/*-------------------------------------------------------------------------
 *
 * attribution.c
 *	  Where each owner's facts count on each day.
 *
 * The definitions say who belongs where (people/tree.c); kpi_internal.applied_attribution
 * is the engine's own copy of what they said at the source's last refresh,
 * flattened to one row per owner and interval.  Deltas are fanned out by the
 * copy; when the organisation's version has moved, or for KPIs with credit today
 * the day, it is made anew, and the difference is what transfer.c works off.
 *
 * Where dimensions of the source are attributes of members, an interval also ends when one
 * of them becomes another, and carries their values.
 *
 * The source's lock is held.  Lists of teams, with the values of attributes, are kept once
 * each and known by their number ("path"), as many owners share them.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "model/model.h"
#include "people/people.h"
#include "refresh/refresh_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Columns of kpi_internal.applied_attribution, from 0. */
enum
{
	APPLIED_SOURCE,
	APPLIED_OWNER_KIND,
	APPLIED_OWNER,
	APPLIED_SINCE,
	APPLIED_UNTIL,
	APPLIED_MEMBER,
	APPLIED_TEAMS,
	APPLIED_DIMS,
	APPLIED_COLUMNS
};

/* Its key: all to APPLIED_SINCE. */
#define APPLIED_NKEYS (APPLIED_SINCE + 1)

typedef struct TeamPath
{
	int			nteams;
	int			ndims;			/* 0, or as the source's if it has attributes */
	const int32 *ids;			/* of teams; then the dim value of each
								 * dimension that is an attribute, else 0 */
} TeamPath;

typedef struct PathEntry
{
	TeamPath	path;			/* the key */
	int			number;
} PathEntry;

struct KpiAttributions
{
	const KpiSource *source;
	Snapshot	snapshot;		/* the run's */
	DateADT		today;			/* whose teams count with credit today */
	MemoryContext mcxt;
	HTAB	   *entries;		/* of KpiOwnerAttribution */
	int			npaths;
	int			max_paths;
	TeamPath   *paths;			/* by their numbers */
	HTAB	   *path_numbers;
	HTAB	   *attribute_values;	/* of AttributeValue; NULL: none yet */
	KpiOrg	   *org;			/* NULL, or as of need_org() */
	bool		has_whole_org;
	bool		use_applied;	/* what is stored may be trusted */
	bool		keyed;			/* new attributions are written */
	bool		replaces;		/* in place of what may be stored */
};

static HTAB *
create_entries(MemoryContext mcxt)
{
	HASHCTL		ctl = {.keysize = sizeof(KpiOwnerKey),.entrysize = sizeof(KpiOwnerAttribution),
	.hcxt = mcxt};

	return hash_create("pg_kpi attributions", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static uint32
path_hash(const void *key, Size keysize)
{
	const TeamPath *path = key;

	return hash_bytes((const unsigned char *) path->ids, (path->nteams + path->ndims) * sizeof(int32));
}

static int
path_compare(const void *a, const void *b, Size keysize)
{
	const TeamPath *x = a;
	const TeamPath *y = b;

	if (x->nteams != y->nteams || x->ndims != y->ndims)
		return 1;
	return memcmp(x->ids, y->ids, (x->nteams + x->ndims) * sizeof(int32));
}

static HTAB *
create_path_numbers(MemoryContext mcxt)
{
	HASHCTL		ctl = {.keysize = sizeof(TeamPath),.entrysize = sizeof(PathEntry),
	.hash = path_hash,.match = path_compare,.hcxt = mcxt};

	return hash_create("pg_kpi paths", 64, &ctl, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

KpiAttributions *
kpi_refresh_attribution_create(MemoryContext parent, const KpiSource *source, Snapshot snapshot, DateADT today)
{
	MemoryContext mcxt = AllocSetContextCreate(parent, "pg_kpi attributions", ALLOCSET_DEFAULT_SIZES);
	KpiAttributions *attributions = MemoryContextAllocZero(mcxt, sizeof(KpiAttributions));

	attributions->source = source;
	attributions->snapshot = snapshot;
	attributions->today = today;
	attributions->mcxt = mcxt;
	attributions->entries = create_entries(mcxt);
	attributions->max_paths = 16;
	attributions->paths = MemoryContextAlloc(mcxt, attributions->max_paths * sizeof(TeamPath));
	attributions->path_numbers = create_path_numbers(mcxt);
	attributions->use_applied = true;
	attributions->keyed = !kpi_snapshot_is_pinned();
	return attributions;
}

/* The number of a list of teams with the values of attributes (ndims of them); both are copied. */
static int
path_number(KpiAttributions *attributions, const int32 *teams, int nteams, const int32 *dims, int ndims)
{
	TeamPath	key = {.nteams = nteams,.ndims = ndims};
	int32	   *ids = MemoryContextAlloc(attributions->mcxt, (nteams + ndims) * sizeof(int32));
	bool		found;
	PathEntry  *entry;

	memcpy(ids, teams, nteams * sizeof(int32));
	if (ndims > 0)
		memcpy(ids + nteams, dims, ndims * sizeof(int32));
	key.ids = ids;
	entry = hash_search(attributions->path_numbers, &key, HASH_ENTER, &found);
	if (found)
	{
		pfree(ids);
		return entry->number;
	}
	if (attributions->npaths == attributions->max_paths)
	{
		attributions->max_paths *= 2;
		attributions->paths = repalloc(attributions->paths, attributions->max_paths * sizeof(TeamPath));
	}
	entry->number = attributions->npaths;
	attributions->paths[attributions->npaths] = key;
	return attributions->npaths++;
}

int
kpi_refresh_path_teams(KpiAttributions *attributions, int path, const int32 **teams)
{
	*teams = attributions->paths[path].ids;
	return attributions->paths[path].nteams;
}

int32
kpi_refresh_path_dim_value(KpiAttributions *attributions, int path, int32 dim_combination_id, int k)
{
	const TeamPath *entry = &attributions->paths[path];

	if (k <= entry->ndims && entry->ids[entry->nteams + k - 1] != 0)
		return entry->ids[entry->nteams + k - 1];
	return kpi_refresh_dim_value(attributions->source, dim_combination_id, k);
}

/* ---- attributes ---- */

/* A value of a dimension that is an attribute. */
typedef struct AttributeKey
{
	int			position;
	const char *text;			/* NULL: none */
} AttributeKey;

typedef struct AttributeValue
{
	AttributeKey key;
	int32		dim_value_id;
} AttributeValue;

static uint32
attribute_hash(const void *key, Size keysize)
{
	const AttributeKey *k = key;
	const char *text = k->text ? k->text : "";

	return hash_combine(hash_bytes((const unsigned char *) text, strlen(text)), k->position);
}

static int
attribute_compare(const void *a, const void *b, Size keysize)
{
	const AttributeKey *x = a;
	const AttributeKey *y = b;

	if (x->position != y->position || (x->text == NULL) != (y->text == NULL))
		return 1;
	return x->text == NULL ? 0 : strcmp(x->text, y->text);
}

/* Many owners have the same, so each is looked up once. */
static int32
attribute_dim_value(KpiAttributions *attributions, int position, const char *text)
{
	AttributeKey key = {position, text};
	AttributeValue *entry;
	int32		dim_value_id;
	bool		found;

	if (attributions->attribute_values == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(AttributeKey),.entrysize = sizeof(AttributeValue),
		.hash = attribute_hash,.match = attribute_compare,.hcxt = attributions->mcxt};

		attributions->attribute_values = hash_create("pg_kpi attribute values", 64, &ctl,
													 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	}
	entry = hash_search(attributions->attribute_values, &key, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->dim_value_id;
	dim_value_id = kpi_refresh_dim_value_of_text(attributions->source, position, text);
	if (text != NULL)
		key.text = MemoryContextStrdup(attributions->mcxt, text);
	entry = hash_search(attributions->attribute_values, &key, HASH_ENTER, &found);
	entry->dim_value_id = dim_value_id;
	return dim_value_id;
}

/*
 * What the attributes of a member (0: of nobody) are on a day, as dim values; returns the
 * first day on which they may be others.
 */
static DateADT
attributes_at(KpiAttributions *attributions, KpiLookup *lookup, int32 member_id, DateADT day, int32 *dims)
{
	const KpiSource *source = attributions->source;
	DateADT		until = DATEVAL_NOEND;

	for (int k = 0; k < source->ndims; k++)
	{
		DateADT		end = DATEVAL_NOEND;
		char	   *value = NULL;

		dims[k] = 0;
		if (source->dim_attributes[k] == NULL)
			continue;
		if (member_id != 0)
			value = kpi_people_attribute_at(lookup, member_id, source->dim_attributes[k], day, &end);
		dims[k] = attribute_dim_value(attributions, k + 1, value);
		until = Min(until, end);
	}
	return until;
}

/* ---- the organisation ---- */

/* So many owners have the whole organisation read: one by one they would cost more. */
#define MANY_OWNERS 500

/* To be called before attribution_from_org(), for so many owners. */
static void
need_org(KpiAttributions *attributions, int nowners)
{
	bool		whole = nowners >= MANY_OWNERS;
	MemoryContext old;

	if (attributions->org != NULL && (attributions->has_whole_org || !whole))
		return;
	old = MemoryContextSwitchTo(attributions->mcxt);
	attributions->org = whole ? kpi_people_load(attributions->source->id) :
		kpi_people_ask(attributions->source->id, attributions->snapshot);
	attributions->has_whole_org = whole;
	MemoryContextSwitchTo(old);
}

/* Of the spans, which cover all days, the one that a day is in, for all days. */
static KpiSpan
span_for_all_days(const KpiSpan *spans, DateADT day)
{
	KpiSpan		span;

	while (day >= spans->until)
		spans++;
	span = *spans;
	span.since = DATEVAL_NOBEGIN;
	span.until = DATEVAL_NOEND;
	return span;
}

/* Adds an interval after those that an owner has. */
static void
add_span(KpiAttributions *attributions, KpiOwnerAttribution *entry, DateADT since, DateADT until,
		 int32 member_id, int path)
{
	KpiAttribution *span;

	if (entry->nspans == 0)
		entry->spans = MemoryContextAlloc(attributions->mcxt, sizeof(KpiAttribution));
	else
		entry->spans = repalloc(entry->spans, (entry->nspans + 1) * sizeof(KpiAttribution));
	span = &entry->spans[entry->nspans++];
	span->since = since;
	span->until = until;
	span->member_id = member_id;
	span->path = path;
}

/* A span of teams, cut where attributes change; with credit today they are those of that day. */
static void
add_spans(KpiAttributions *attributions, KpiLookup *lookup, KpiOwnerKind kind, const KpiSpan *span,
		  int32 member_id, KpiOwnerAttribution *entry)
{
	bool		has_attributes = attributions->source->has_attributes && kpi_model_owner_is_member(kind);
	int			ndims = has_attributes ? attributions->source->ndims : 0;
	int32	   *dims = palloc(Max(ndims, 1) * sizeof(int32));
	DateADT		since = span->since;

	while (since < span->until)
	{
		DateADT		until = span->until;

		if (has_attributes && kpi_model_owner_is_of_today(kind))
			(void) attributes_at(attributions, lookup, member_id, attributions->today, dims);
		else if (has_attributes)
			until = Min(until, attributes_at(attributions, lookup, member_id, since, dims));
		add_span(attributions, entry, since, until, member_id,
				 path_number(attributions, span->scopes, span->nscopes, dims, ndims));
		since = until;
	}
	pfree(dims);
}

/* What the definitions say of an owner; lookup: kpi_people_attributes_open(), if the source has any. */
static void
attribution_from_org(KpiAttributions *attributions, KpiLookup *lookup, KpiOwnerKind kind, const char *key,
					 KpiOwnerAttribution *entry)
{
	static const int32 company = KPI_TEAM_COMPANY;
	const KpiSpan *spans;
	KpiSpan		all_days;
	int32		member_id = 0;
	int			n;

	if (kind == KPI_OWNER_COMPANY)
	{
		add_span(attributions, entry, DATEVAL_NOBEGIN, DATEVAL_NOEND, 0,
				 path_number(attributions, &company, 1, NULL, 0));
		return;
	}

	if (kpi_model_owner_is_member(kind))
		spans = kpi_people_member_spans(attributions->org, key, &member_id, &n);
	else
		spans = kpi_people_team_spans(attributions->org, key, &n);
	if (kpi_model_owner_is_of_today(kind))
	{
		all_days = span_for_all_days(spans, attributions->today);
		spans = &all_days;
		n = 1;
	}
	for (int i = 0; i < n; i++)
		add_spans(attributions, lookup, kind, &spans[i], member_id, entry);
}

/* The lookup of attributes, where the source has dimensions that are some. */
static void
open_attributes(KpiAttributions *attributions, KpiLookup *lookup)
{
	if (attributions->source->has_attributes)
		kpi_people_attributes_open(lookup, attributions->snapshot);
}

static void
close_attributes(KpiAttributions *attributions, KpiLookup *lookup)
{
	if (attributions->source->has_attributes)
		kpi_lookup_close(lookup);
}

static KpiKeyedTable *
open_applied(KpiAttributions *attributions)
{
	return kpi_keyed_table_open("kpi_internal", "applied_attribution", APPLIED_NKEYS, attributions->snapshot);
}

static Datum
int4_array(const int32 *ids, int n)
{
	Datum	   *values = palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = Int32GetDatum(ids[i]);
	return PointerGetDatum(construct_array(values, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

static void
store_attribution(KpiKeyedTable *keyed, KpiAttributions *attributions, const KpiOwnerAttribution *entry)
{
	for (int i = 0; i < entry->nspans; i++)
	{
		const KpiAttribution *span = &entry->spans[i];
		const TeamPath *path = &attributions->paths[span->path];
		Datum		values[APPLIED_COLUMNS];

		values[APPLIED_SOURCE] = Int32GetDatum(attributions->source->id);
		values[APPLIED_OWNER_KIND] = Int32GetDatum(entry->key.owner_kind);
		values[APPLIED_OWNER] = Int32GetDatum(entry->key.owner_id);
		values[APPLIED_SINCE] = DateADTGetDatum(span->since);
		values[APPLIED_UNTIL] = DateADTGetDatum(span->until);
		values[APPLIED_MEMBER] = Int32GetDatum(span->member_id);
		values[APPLIED_TEAMS] = int4_array(path->ids, path->nteams);
		values[APPLIED_DIMS] = int4_array(path->ids + path->nteams, path->ndims);
		kpi_keyed_table_insert(keyed, values, NULL);
	}
}

static void
replace_attribution(KpiKeyedTable *keyed, KpiAttributions *attributions, const KpiOwnerAttribution *entry)
{
	int32		owner[] = {attributions->source->id, entry->key.owner_kind, entry->key.owner_id};

	kpi_keyed_table_scan(keyed, lengthof(owner), owner, false, 0, 0);
	while (kpi_keyed_table_next(keyed))
		kpi_keyed_table_delete_found(keyed);
	store_attribution(keyed, attributions, entry);
}

/* The number of a path as it is stored. */
static int
stored_path(KpiAttributions *attributions, ArrayType *teams, ArrayType *dims)
{
	return path_number(attributions, (int32 *) ARR_DATA_PTR(teams), ArrayGetNItems(ARR_NDIM(teams), ARR_DIMS(teams)),
					   (int32 *) ARR_DATA_PTR(dims), ArrayGetNItems(ARR_NDIM(dims), ARR_DIMS(dims)));
}

static KpiOwnerAttribution *
enter(KpiAttributions *attributions, KpiOwnerKind kind, int32 owner_id, bool *found)
{
	KpiOwnerKey key = {kind, owner_id};
	KpiOwnerAttribution *entry = hash_search(attributions->entries, &key, HASH_ENTER, found);

	if (!*found)
	{
		entry->nspans = 0;
		entry->spans = NULL;
	}
	return entry;
}

/* Reads what was applied of an owner, if anything was, by the table's primary key. */
static void
read_applied(KpiLookup *applied, KpiAttributions *attributions, KpiOwnerKind kind, int32 owner_id)
{
	Datum		keys[] = {
		Int32GetDatum(attributions->source->id), Int32GetDatum(kind), Int32GetDatum(owner_id)
	};
	bool		found;

	kpi_lookup_begin(applied, keys);
	while (kpi_lookup_next(applied))
		add_span(attributions, enter(attributions, kind, owner_id, &found),
				 DatumGetDateADT(kpi_lookup_column(applied, APPLIED_SINCE + 1)),
				 DatumGetDateADT(kpi_lookup_column(applied, APPLIED_UNTIL + 1)),
				 DatumGetInt32(kpi_lookup_column(applied, APPLIED_MEMBER + 1)),
				 stored_path(attributions, DatumGetArrayTypeP(kpi_lookup_column(applied, APPLIED_TEAMS + 1)),
							 DatumGetArrayTypeP(kpi_lookup_column(applied, APPLIED_DIMS + 1))));
}

/* Adds an owner as the definitions have it; keyed: writes it to kpi_internal.applied_attribution. */
static void
add_new(KpiLookup *owners, KpiLookup *attributes, KpiKeyedTable *keyed, KpiAttributions *attributions,
		KpiOwnerKind kind, int32 owner_id)
{
	bool		found;
	KpiOwnerAttribution *entry = enter(attributions, kind, owner_id, &found);

	attribution_from_org(attributions, attributes, kind, kpi_refresh_owner_key(owners, owner_id), entry);
	if (keyed && attributions->replaces)
		replace_attribution(keyed, attributions, entry);
	else if (keyed)
		store_attribution(keyed, attributions, entry);
}

/* Takes out of owner_ids those that have an entry; how many are left. */
static int
without_entry(const KpiAttributions *attributions, KpiOwnerKind kind, int32 *owner_ids, int n)
{
	int			left = 0;

	for (int i = 0; i < n; i++)
	{
		KpiOwnerKey key = {kind, owner_ids[i]};

		if (hash_search(attributions->entries, &key, HASH_FIND, NULL) == NULL)
			owner_ids[left++] = owner_ids[i];
	}
	return left;
}

static void
need_applied(KpiAttributions *attributions, KpiOwnerKind kind, const int32 *owner_ids, int n)
{
	MemoryContext per_owner = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi owner", ALLOCSET_DEFAULT_SIZES);
	KpiLookup	applied;

	kpi_lookup_open(&applied, "kpi_internal", "applied_attribution", "applied_attribution_pkey", 3, SnapshotSelf);
	for (int i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(per_owner);

		CHECK_FOR_INTERRUPTS();
		read_applied(&applied, attributions, kind, owner_ids[i]);
		MemoryContextSwitchTo(old);
		MemoryContextReset(per_owner);
	}
	kpi_lookup_close(&applied);
	MemoryContextDelete(per_owner);
}

static void
need_new(KpiAttributions *attributions, KpiOwnerKind kind, const int32 *owner_ids, int n)
{
	MemoryContext per_owner = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi owner", ALLOCSET_DEFAULT_SIZES);
	KpiKeyedTable *keyed = attributions->keyed ? open_applied(attributions) : NULL;
	KpiLookup	owners;
	KpiLookup	attributes;

	need_org(attributions, n);
	kpi_lookup_open(&owners, "kpi_internal", "owner", "owner_pkey", 1, SnapshotSelf);
	open_attributes(attributions, &attributes);
	for (int i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(per_owner);

		CHECK_FOR_INTERRUPTS();
		add_new(&owners, &attributes, keyed, attributions, kind, owner_ids[i]);
		MemoryContextSwitchTo(old);
		MemoryContextReset(per_owner);
	}
	kpi_lookup_close(&owners);
	close_attributes(attributions, &attributes);
	if (keyed)
		kpi_keyed_table_close(keyed);
	MemoryContextDelete(per_owner);
}

void
kpi_refresh_attribution_need(KpiAttributions *attributions, KpiOwnerKind kind, const int32 *owner_ids, int n)
{
	int32	   *missing = palloc(Max(n, 1) * sizeof(int32));

	memcpy(missing, owner_ids, n * sizeof(int32));
	n = without_entry(attributions, kind, missing, n);
	if (n > 0 && attributions->use_applied)
	{
		need_applied(attributions, kind, missing, n);
		n = without_entry(attributions, kind, missing, n);
	}
	if (n > 0)
		need_new(attributions, kind, missing, n);
	pfree(missing);
}

void
kpi_refresh_member_owners_open(KpiLookup *owners)
{
	kpi_lookup_open(owners, "kpi_internal", "applied_attribution", "applied_attribution_member_idx", 2, SnapshotSelf);
}

List *
kpi_refresh_member_owners(KpiLookup *owners, int32 source_id, int32 member_id)
{
	Datum		member[] = {Int32GetDatum(source_id), Int32GetDatum(member_id)};
	List	   *owner_ids = NIL;

	kpi_lookup_begin(owners, member);
	while (kpi_lookup_next(owners))
		owner_ids = list_append_unique_int(owner_ids, DatumGetInt32(kpi_lookup_column(owners, APPLIED_OWNER + 1)));
	return owner_ids;
}

const KpiAttribution *
kpi_refresh_attribution_span(const KpiOwnerAttribution *entry, DateADT day)
{
	for (int i = 0; i < entry->nspans; i++)
	{
		if (day >= entry->spans[i].since && day < entry->spans[i].until)
			return &entry->spans[i];
	}
	elog(ERROR, "owner %d has no attribution on day %d", entry->key.owner_id, day);
}

const KpiOwnerAttribution *
kpi_refresh_attribution_of(KpiAttributions *attributions, KpiOwnerKind kind, int32 owner_id)
{
	KpiOwnerKey key = {kind, owner_id};
	const KpiOwnerAttribution *entry = hash_search(attributions->entries, &key, HASH_FIND, NULL);

	if (entry == NULL)
		elog(ERROR, "owner %d has no attribution", owner_id);
	return entry;
}

const KpiAttribution *
kpi_refresh_attribution_at(KpiAttributions *attributions, KpiOwnerKind kind, int32 owner_id, DateADT day)
{
	return kpi_refresh_attribution_span(kpi_refresh_attribution_of(attributions, kind, owner_id), day);
}

void
kpi_refresh_attribution_reset(KpiAttributions *attributions, bool keyed, bool is_part)
{
	KpiSpi		spi;

	hash_destroy(attributions->entries);
	attributions->entries = create_entries(attributions->mcxt);
	attributions->use_applied = false;
	attributions->keyed = keyed;
	attributions->replaces = is_part;
	if (!keyed || is_part)
		return;
	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi_internal.applied_attribution r WHERE r.source_id = $1", 1,
				 KPI_INT4(attributions->source->id));
	kpi_spi_end(&spi);
}

static bool
attributions_equal(const KpiOwnerAttribution *a, const KpiOwnerAttribution *b)
{
	return a->nspans == b->nspans &&
		memcmp(a->spans, b->spans, a->nspans * sizeof(KpiAttribution)) == 0;
}

/* Takes over the spans of "from", which are in the attributions' memory. */
static List *
add_transfer(KpiAttributions *attributions, List *transfers, const KpiOwnerAttribution *from,
			 const KpiOwnerAttribution *to)
{
	MemoryContext old = MemoryContextSwitchTo(attributions->mcxt);
	KpiTransfer *transfer = palloc(sizeof(KpiTransfer));

	transfer->from = *from;
	transfer->to = to;
	transfers = lappend(transfers, transfer);
	MemoryContextSwitchTo(old);
	return transfers;
}

List *
kpi_refresh_attribution_renew(KpiAttributions *attributions)
{
	List	   *transfers = NIL;
	KpiOwnerAttribution from = {{0}};
	KpiKeyedTable *keyed;
	KpiLookup	attributes;
	KpiSpi		spi;
	uint64		rows;

	kpi_spi_begin(&spi);
	keyed = open_applied(attributions);
	rows = kpi_spi_exec("SELECT r.owner_id, r.since, r.until, r.member_id, r.teams, r.owner_kind, o.key, r.dims"
						" FROM kpi_internal.applied_attribution r"
						" JOIN kpi_internal.owner o ON o.id = r.owner_id"
						" WHERE r.source_id = $1 AND r.owner_kind <> $2"
						" ORDER BY r.owner_kind, r.owner_id, r.since",
						2, KPI_INT4(attributions->source->id), KPI_INT4(KPI_OWNER_COMPANY));
	need_org(attributions, MANY_OWNERS);
	open_attributes(attributions, &attributes);
	for (uint64 r = 0; r < rows; r++)
	{
		bool		last;
		bool		found;
		bool		isnull;
		KpiOwnerAttribution *to;

		CHECK_FOR_INTERRUPTS();
		from.key.owner_kind = kpi_spi_int4(r, 6);
		from.key.owner_id = kpi_spi_int4(r, 1);
		add_span(attributions, &from, DatumGetDateADT(kpi_spi_datum(r, 2, &isnull)),
				 DatumGetDateADT(kpi_spi_datum(r, 3, &isnull)), kpi_spi_int4(r, 4),
				 stored_path(attributions, DatumGetArrayTypeP(kpi_spi_datum(r, 5, &isnull)),
							 DatumGetArrayTypeP(kpi_spi_datum(r, 8, &isnull))));
		last = r + 1 == rows || kpi_spi_int4(r + 1, 6) != from.key.owner_kind ||
			kpi_spi_int4(r + 1, 1) != from.key.owner_id;
		if (!last)
			continue;

		to = enter(attributions, from.key.owner_kind, from.key.owner_id, &found);
		attribution_from_org(attributions, &attributes, from.key.owner_kind, kpi_spi_text(r, 7), to);
		if (attributions_equal(&from, to))
			pfree(from.spans);
		else
		{
			replace_attribution(keyed, attributions, to);
			transfers = add_transfer(attributions, transfers, &from, to);
		}
		from.nspans = 0;
	}
	close_attributes(attributions, &attributes);
	kpi_keyed_table_close(keyed);
	kpi_spi_end(&spi);
	return transfers;
}
