/*-------------------------------------------------------------------------
 *
 * tree.c
 *	  The organisation in memory: which teams a day of an owner counts for.
 *
 * A team's spans are flattened from the dated tree the first time they are
 * asked for, a member's from the spans of the teams it belonged to.
 *
 * A refresh asks for few owners among many: of those, and of the teams that
 * they belonged to, nodes are read one at a time, by indexes.
 *
 * Invariants: no team is its own ancestor on any day (kpi_people_cycle(), asked
 * by whoever changes the tree), but two teams may be above each other on
 * different days, so flattening always carries the interval of days along.
 * Scope lists are shared between spans and never changed.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "people/people_internal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

typedef struct OrgNode
{
	int32		id;
	char	   *key;
	KpiAssignments assignments; /* parents of a team, teams of a member; by
								 * since */
	int			nspans;			/* 0: not flattened yet */
	KpiSpan    *spans;
} OrgNode;

typedef struct OrgKey
{
	const char *key;
	OrgNode    *node;
	char		status;
} OrgKey;

#define SH_PREFIX orgkey
#define SH_ELEMENT_TYPE OrgKey
#define SH_KEY_TYPE const char *
#define SH_KEY key
#define SH_HASH_KEY(tb, key) \
	hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct OrgId
{
	int32		id;
	OrgNode    *node;
	char		status;
} OrgId;

#define SH_PREFIX orgid
#define SH_ELEMENT_TYPE OrgId
#define SH_KEY_TYPE int32
#define SH_KEY id
#define SH_HASH_KEY(tb, key) murmurhash32((uint32) (key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct KpiOrg
{
	MemoryContext context;
	int32		source_id;		/* whose aliases count */
	Snapshot	snapshot;		/* nodes are read when asked for; NULL: all
								 * were read */
	int			nteams;
	OrgNode    *teams;			/* all of them, ascending id, if they were */
	orgid_hash *team_ids;		/* nodes that were read */
	orgkey_hash *team_keys;
	orgkey_hash *member_keys;
	KpiSpan		unassigned;
};

/* Where nodes of one kind are, with their assignments. */
typedef struct OrgTables
{
	const char *table;
	const char *key_index;
	const char *assignments;
	const char *assignments_index;
	bool		of_members;
} OrgTables;

static const OrgTables team_tables = {
	"team", "team_key_key", "team_parent", "team_parent_team_id_since_key", false
};
static const OrgTables member_tables = {
	"member", "member_key_key", "membership", "membership_member_id_since_key", true
};

/* Columns of either table of nodes, and of either of assignments. */
enum
{
	NODE_ID = 1,
	NODE_KEY
};

enum
{
	ASSIGNMENT_ID = 1,
	ASSIGNMENT_OF,
	ASSIGNMENT_TARGET,
	ASSIGNMENT_SINCE,
	ASSIGNMENT_UNTIL,
	MEMBERSHIP_LATER_FACTS
};

/* Columns of kpi.member_alias. */
enum
{
	ALIAS_ID = 1,
	ALIAS_KEY,
	ALIAS_MEMBER,
	ALIAS_SOURCE
};

/* A list of spans under construction. */
typedef struct SpanList
{
	int			n;
	int			max;
	KpiSpan    *spans;
} SpanList;

/* ---- all at once ---- */

/*
 * Both queries give one row per node and assignment, sorted by id and since.
 */
#define ORG_TEAMS \
	"SELECT t.id, t.key, p.parent_id AS team_id, p.since, p.until, false AS keeps_later" \
	"  FROM kpi.team t LEFT JOIN kpi.team_parent p ON p.team_id = t.id" \
	" ORDER BY t.id, p.since NULLS FIRST"
#define ORG_MEMBERS \
	"SELECT m.id, m.key, s.team_id, s.since, s.until," \
	" coalesce(s.later_facts = 'last_team', false) AS keeps_later" \
	"  FROM kpi.member m LEFT JOIN kpi.membership s ON s.member_id = m.id" \
	" ORDER BY m.id, s.since NULLS FIRST"

/*
 * Runs the query and makes a node, known by its key, of every id; how many.  The
 * assignments of all nodes stand in one array.
 */
static int
read_nodes(KpiOrg *org, const char *sql, OrgNode **nodes, orgkey_hash *keys)
{
	KpiRows		rows;
	MemoryContext old = MemoryContextSwitchTo(org->context);
	KpiAssignment *item;
	bool		found;
	int			n = 0;

	kpi_rows_begin_read(&rows, sql, 0);
	*nodes = MemoryContextAllocExtended(org->context, Max(rows.n, 1) * sizeof(OrgNode),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	item = MemoryContextAllocExtended(org->context, Max(rows.n, 1) * sizeof(KpiAssignment), MCXT_ALLOC_HUGE);
	while (kpi_rows_next(&rows))
	{
		int32		id = kpi_rows_int4(&rows, "id");

		if (n == 0 || (*nodes)[n - 1].id != id)
		{
			(*nodes)[n].id = id;
			(*nodes)[n].key = kpi_rows_text(&rows, "key");
			(*nodes)[n].assignments.items = item;
			orgkey_insert(keys, (*nodes)[n].key, &found)->node = &(*nodes)[n];
			n++;
		}
		item->target = kpi_rows_int4(&rows, "team_id");
		if (item->target == 0)
			continue;
		item->since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		item->until = kpi_rows_date(&rows, "until", DATEVAL_NOEND);
		item->keeps_later = kpi_rows_bool(&rows, "keeps_later");
		(*nodes)[n - 1].assignments.n++;
		item++;
	}
	kpi_rows_end(&rows);
	MemoryContextSwitchTo(old);
	return n;
}

static KpiOrg *
org_create(int32 source_id, Snapshot snapshot)
{
	static int32 unassigned[] = {KPI_TEAM_UNASSIGNED, KPI_TEAM_COMPANY};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pg_kpi organisation",
												  ALLOCSET_DEFAULT_SIZES);
	KpiOrg	   *org = MemoryContextAllocZero(context, sizeof(KpiOrg));

	org->context = context;
	org->source_id = source_id;
	org->snapshot = snapshot;
	org->team_ids = orgid_create(context, 64, NULL);
	org->team_keys = orgkey_create(context, 64, NULL);
	org->member_keys = orgkey_create(context, 64, NULL);
	org->unassigned = (KpiSpan)
	{
		DATEVAL_NOBEGIN, DATEVAL_NOEND, 2, unassigned
	};
	return org;
}

KpiOrg *
kpi_people_ask(int32 source_id, Snapshot snapshot)
{
	return org_create(source_id, snapshot);
}

static void
read_teams(KpiOrg *org)
{
	bool		found;

	org->nteams = read_nodes(org, ORG_TEAMS, &org->teams, org->team_keys);
	for (int i = 0; i < org->nteams; i++)
		orgid_insert(org->team_ids, org->teams[i].id, &found)->node = &org->teams[i];
}

KpiOrg *
kpi_people_load_tree(void)
{
	KpiOrg	   *org = org_create(0, NULL);

	read_teams(org);
	return org;
}

/* Has members be found by their aliases in the organisation's source, too. */
static void
read_aliases(KpiOrg *org)
{
	MemoryContext old = MemoryContextSwitchTo(org->context);
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT a.alias, m.key FROM kpi.member_alias a JOIN kpi.member m ON m.id = a.member_id"
						" WHERE a.source_id IS NULL OR a.source_id = $1", 1, KPI_INT4(org->source_id));
	while (kpi_rows_next(&rows))
	{
		OrgNode    *member = orgkey_lookup(org->member_keys, kpi_rows_text(&rows, "key"))->node;
		bool		found;
		OrgKey	   *entry = orgkey_insert(org->member_keys, kpi_rows_text(&rows, "alias"), &found);

		if (!found)
			entry->node = member;
	}
	kpi_rows_end(&rows);
	MemoryContextSwitchTo(old);
}

KpiOrg *
kpi_people_load(int32 source_id)
{
	KpiOrg	   *org = org_create(source_id, NULL);
	OrgNode    *members;

	read_teams(org);
	(void) read_nodes(org, ORG_MEMBERS, &members, org->member_keys);
	read_aliases(org);
	return org;
}

void
kpi_people_free(KpiOrg *org)
{
	MemoryContextDelete(org->context);
}

/* ---- single nodes ---- */

static DateADT
day_or(const KpiLookup *lookup, AttrNumber attno, DateADT if_null)
{
	bool		isnull;
	Datum		day = slot_getattr(lookup->found, attno, &isnull);

	return isnull ? if_null : DatumGetDateADT(day);
}

static bool
keeps_later(KpiLookup *lookup)
{
	text	   *later_facts = DatumGetTextPP(kpi_lookup_column(lookup, MEMBERSHIP_LATER_FACTS));
	static const char last_team[] = "last_team";

	return VARSIZE_ANY_EXHDR(later_facts) == sizeof(last_team) - 1 &&
		memcmp(VARDATA_ANY(later_facts), last_team, sizeof(last_team) - 1) == 0;
}

static int
compare_since(const void *a, const void *b)
{
	DateADT		x = ((const KpiAssignment *) a)->since;
	DateADT		y = ((const KpiAssignment *) b)->since;

	return (x > y) - (x < y);
}

static void
read_assignments(KpiOrg *org, const OrgTables *tables, OrgNode *node)
{
	KpiAssignments *assignments = &node->assignments;
	int			max = 4;
	Datum		key = Int32GetDatum(node->id);
	KpiLookup	lookup;

	assignments->items = MemoryContextAlloc(org->context, max * sizeof(KpiAssignment));
	kpi_lookup_open(&lookup, "kpi", tables->assignments, tables->assignments_index, 1, org->snapshot);
	kpi_lookup_begin(&lookup, &key);
	while (kpi_lookup_next(&lookup))
	{
		KpiAssignment *item;

		if (assignments->n == max)
		{
			max *= 2;
			assignments->items = repalloc(assignments->items, max * sizeof(KpiAssignment));
		}
		item = &assignments->items[assignments->n++];
		item->target = DatumGetInt32(kpi_lookup_column(&lookup, ASSIGNMENT_TARGET));
		item->since = day_or(&lookup, ASSIGNMENT_SINCE, DATEVAL_NOBEGIN);
		item->until = day_or(&lookup, ASSIGNMENT_UNTIL, DATEVAL_NOEND);
		item->keeps_later = tables->of_members && keeps_later(&lookup);
	}
	kpi_lookup_close(&lookup);
	/* The index has the one that has begun always, without a day, last. */
	qsort(assignments->items, assignments->n, sizeof(KpiAssignment), compare_since);
}

/* The node that an index has under this value, or NULL. */
static OrgNode *
read_node(KpiOrg *org, const OrgTables *tables, const char *index, Datum value)
{
	OrgNode    *node = NULL;
	KpiLookup	lookup;

	kpi_lookup_open(&lookup, "kpi", tables->table, index, 1, org->snapshot);
	kpi_lookup_begin(&lookup, &value);
	if (kpi_lookup_next(&lookup))
	{
		MemoryContext old = MemoryContextSwitchTo(org->context);

		node = palloc0(sizeof(OrgNode));
		node->id = DatumGetInt32(kpi_lookup_column(&lookup, NODE_ID));
		node->key = TextDatumGetCString(kpi_lookup_column(&lookup, NODE_KEY));
		MemoryContextSwitchTo(old);
	}
	kpi_lookup_close(&lookup);
	if (node != NULL)
		read_assignments(org, tables, node);
	return node;
}

static OrgNode *
org_team(KpiOrg *org, int32 id)
{
	OrgId	   *entry = orgid_lookup(org->team_ids, id);
	OrgNode    *node = entry ? entry->node : NULL;
	bool		found;

	if (node == NULL && org->snapshot != NULL)
	{
		node = read_node(org, &team_tables, "team_pkey", Int32GetDatum(id));
		if (node != NULL)
			orgid_insert(org->team_ids, id, &found)->node = node;
	}
	if (node == NULL)
		elog(ERROR, "team %d of the organisation is missing", id);
	return node;
}

/* The member of whom this is an alias in the organisation's source, or NULL. */
static OrgNode *
read_member_by_alias(KpiOrg *org, Datum alias)
{
	int32		member_id = 0;
	KpiLookup	lookup;

	kpi_lookup_open(&lookup, "kpi", "member_alias", "member_alias_alias_source_id_key", 1, org->snapshot);
	kpi_lookup_begin(&lookup, &alias);
	while (member_id == 0 && kpi_lookup_next(&lookup))
	{
		bool		everywhere;
		Datum		source_id = slot_getattr(lookup.found, ALIAS_SOURCE, &everywhere);

		if (everywhere || DatumGetInt32(source_id) == org->source_id)
			member_id = DatumGetInt32(kpi_lookup_column(&lookup, ALIAS_MEMBER));
	}
	kpi_lookup_close(&lookup);
	return member_id == 0 ? NULL : read_node(org, &member_tables, "member_pkey", Int32GetDatum(member_id));
}

/* The node with this key, or NULL: that there is none is remembered, too. */
static OrgNode *
org_find(KpiOrg *org, const OrgTables *tables, orgkey_hash *keys, const char *key)
{
	OrgKey	   *entry;
	OrgNode    *node;
	bool		found;

	if (key == NULL)
		return NULL;
	entry = orgkey_lookup(keys, key);
	if (entry != NULL)
		return entry->node;
	if (org->snapshot == NULL)
		return NULL;
	node = read_node(org, tables, tables->key_index, CStringGetTextDatum(key));
	if (node == NULL && tables == &member_tables)
		node = read_member_by_alias(org, CStringGetTextDatum(key));
	entry = orgkey_insert(keys, MemoryContextStrdup(org->context, key), &found);
	entry->node = node;
	return node;
}

/* ---- flattening ---- */

static bool
span_same_scopes(const KpiSpan *a, const KpiSpan *b)
{
	return a->nscopes == b->nscopes &&
		(a->scopes == b->scopes ||
		 memcmp(a->scopes, b->scopes, a->nscopes * sizeof(int32)) == 0);
}

/* Appends to a list whose days come in order; joins equal neighbours. */
static void
span_append(KpiOrg *org, SpanList *list, KpiSpan span)
{
	if (span.since >= span.until)
		return;
	if (list->n > 0 && list->spans[list->n - 1].until == span.since &&
		span_same_scopes(&list->spans[list->n - 1], &span))
	{
		list->spans[list->n - 1].until = span.until;
		return;
	}
	if (list->spans == NULL)
	{
		list->max = 1;
		list->spans = MemoryContextAlloc(org->context, sizeof(KpiSpan));
	}
	else if (list->n == list->max)
	{
		list->max *= 2;
		list->spans = repalloc(list->spans, list->max * sizeof(KpiSpan));
	}
	list->spans[list->n++] = span;
}

/* A team on the way up, above the one below it. */
typedef struct WalkStep
{
	const struct WalkStep *below;
	int32		team_id;
	int			depth;			/* teams so far */
} WalkStep;

/*
 * Walks up from a team over the days [since, until).  Where no parent is
 * recorded the company is the parent.
 */
static void
team_walk(KpiOrg *org, OrgNode *team, DateADT since, DateADT until, const WalkStep *below, SpanList *list)
{
	WalkStep	step = {below, team->id, below ? below->depth + 1 : 1};
	DateADT		next = since;

	check_stack_depth();
	for (const WalkStep *s = below; s != NULL; s = s->below)
	{
		if (s->team_id == team->id)
			elog(ERROR, "the tree of teams has a cycle at team \"%s\"", team->key);
	}
	if (team->id == KPI_TEAM_COMPANY)
	{
		KpiSpan		span = {since, until, step.depth, NULL};

		span.scopes = MemoryContextAlloc(org->context, step.depth * sizeof(int32));
		for (const WalkStep *s = &step; s != NULL; s = s->below)
			span.scopes[s->depth - 1] = s->team_id;
		span_append(org, list, span);
		return;
	}

	for (int i = 0; i < team->assignments.n; i++)
	{
		const KpiAssignment *parent = &team->assignments.items[i];
		DateADT		from = Max(since, parent->since);
		DateADT		to = Min(until, parent->until);

		if (from >= to)
			continue;
		if (next < from)
			team_walk(org, org_team(org, KPI_TEAM_COMPANY), next, from, &step, list);
		team_walk(org, org_team(org, parent->target), from, to, &step, list);
		next = to;
	}
	if (next < until)
		team_walk(org, org_team(org, KPI_TEAM_COMPANY), next, until, &step, list);
}

static const KpiSpan *
org_team_flat(KpiOrg *org, OrgNode *team, int *nspans)
{
	if (team->nspans == 0)
	{
		SpanList	list = {0};

		team_walk(org, team, DATEVAL_NOBEGIN, DATEVAL_NOEND, NULL, &list);
		team->spans = list.spans;
		team->nspans = list.n;
	}
	*nspans = team->nspans;
	return team->spans;
}

/* The spans of a membership's team, cut to these days. */
static void
member_append(KpiOrg *org, SpanList *list, const KpiAssignment *membership, DateADT since, DateADT until)
{
	const KpiSpan *spans;
	int			nspans;

	spans = org_team_flat(org, org_team(org, membership->target), &nspans);
	for (int i = 0; i < nspans; i++)
	{
		KpiSpan		span = spans[i];

		span.since = Max(span.since, since);
		span.until = Min(span.until, until);
		span_append(org, list, span);
	}
}

/* Days before, between and after memberships count for nobody's team, or still for the last. */
static void
member_flatten(KpiOrg *org, OrgNode *member)
{
	const KpiAssignments *memberships = &member->assignments;
	SpanList	list = {0};
	KpiSpan		gap = org->unassigned;

	gap.until = memberships->n > 0 ? memberships->items[0].since : DATEVAL_NOEND;
	span_append(org, &list, gap);
	for (int i = 0; i < memberships->n; i++)
	{
		const KpiAssignment *membership = &memberships->items[i];
		DateADT		next = i + 1 < memberships->n ? memberships->items[i + 1].since : DATEVAL_NOEND;
		DateADT		until = membership->keeps_later ? next : membership->until;

		member_append(org, &list, membership, membership->since, until);
		gap.since = until;
		gap.until = next;
		span_append(org, &list, gap);
	}
	member->spans = list.spans;
	member->nspans = list.n;
}

/* ---- asking ---- */

const KpiSpan *
kpi_people_member_spans(KpiOrg *org, const char *member_key, int32 *member_id, int *nspans)
{
	OrgNode    *member = org_find(org, &member_tables, org->member_keys, member_key);

	if (member == NULL)
	{
		*member_id = 0;
		*nspans = 1;
		return &org->unassigned;
	}
	if (member->nspans == 0)
		member_flatten(org, member);
	*member_id = member->id;
	*nspans = member->nspans;
	return member->spans;
}

const KpiSpan *
kpi_people_team_spans(KpiOrg *org, const char *team_key, int *nspans)
{
	OrgNode    *team = org_find(org, &team_tables, org->team_keys, team_key);

	if (team == NULL)
	{
		*nspans = 1;
		return &org->unassigned;
	}
	return org_team_flat(org, team, nspans);
}

int
kpi_people_nteams(const KpiOrg *org)
{
	return org->nteams;
}

int32
kpi_people_team_id(const KpiOrg *org, int index)
{
	return org->teams[index].id;
}

const KpiSpan *
kpi_people_team_spans_at(KpiOrg *org, int index, int *nspans)
{
	return org_team_flat(org, &org->teams[index], nspans);
}

/*
 * Looks for the team above the one given, on the days [since, until).  The
 * way found is left in path; returns its length or 0.  Other cycles cannot be
 * there, as the tree had none before this team was moved.
 */
static int
cycle_walk(KpiOrg *org, OrgNode *team, int32 wanted, DateADT since, DateADT until,
		   OrgNode **path, int depth, DateADT *day)
{
	check_stack_depth();
	if (depth >= org->nteams)
		return 0;
	path[depth++] = team;

	for (int i = 0; i < team->assignments.n; i++)
	{
		const KpiAssignment *item = &team->assignments.items[i];
		OrgNode    *parent = org_team(org, item->target);
		DateADT		from = Max(since, item->since);
		DateADT		to = Min(until, item->until);
		int			length;

		if (from >= to)
			continue;
		if (parent->id == wanted)
		{
			*day = from;
			return depth;
		}
		length = cycle_walk(org, parent, wanted, from, to, path, depth, day);
		if (length > 0)
			return length;
	}
	return 0;
}

char *
kpi_people_cycle(KpiOrg *org, int32 team_id, DateADT *day)
{
	OrgNode    *team = org_team(org, team_id);
	OrgNode   **path = palloc(org->nteams * sizeof(OrgNode *));
	int			length;
	StringInfoData text;

	length = cycle_walk(org, team, team_id, DATEVAL_NOBEGIN, DATEVAL_NOEND,
						path, 0, day);
	if (length == 0)
		return NULL;

	initStringInfo(&text);
	for (int i = 0; i < length; i++)
		appendStringInfo(&text, "%s under ", path[i]->key);
	appendStringInfoString(&text, team->key);
	return text.data;
}
