/*-------------------------------------------------------------------------
 *
 * tree.c
 *	  The organisation in memory: which teams a day of an owner counts for.
 *
 * A team's spans are flattened from the dated tree the first time they are
 * asked for, a member's from the spans of the teams it belonged to.
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

struct KpiOrg
{
	MemoryContext context;
	int			nteams;
	OrgNode    *teams;			/* ascending id */
	int			nmembers;
	OrgNode    *members;
	orgkey_hash *team_keys;
	orgkey_hash *member_keys;
	KpiSpan		unassigned;
};

/* A list of spans under construction. */
typedef struct SpanList
{
	int			n;
	int			max;
	KpiSpan    *spans;
} SpanList;

static int	org_read_nodes(KpiOrg *org, const char *sql, OrgNode **nodes,
						   orgkey_hash **keys);

/* ---- loading ---- */

/*
 * Both queries give one row per node and assignment, sorted by id and since.
 */
#define ORG_TEAMS \
	"SELECT t.id, t.key, p.parent_id AS team_id, p.since, p.until" \
	"  FROM kpi.team t LEFT JOIN kpi.team_parent p ON p.team_id = t.id" \
	" ORDER BY t.id, p.since NULLS FIRST"
#define ORG_MEMBERS \
	"SELECT m.id, m.key, s.team_id, s.since, s.until" \
	"  FROM kpi.member m LEFT JOIN kpi.membership s ON s.member_id = m.id" \
	" ORDER BY m.id, s.since NULLS FIRST"

static KpiOrg *
org_load(bool with_members)
{
	static int32 unassigned[] = {KPI_TEAM_UNASSIGNED, KPI_TEAM_COMPANY};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pg_kpi organisation",
												  ALLOCSET_DEFAULT_SIZES);
	KpiOrg	   *org = MemoryContextAllocZero(context, sizeof(KpiOrg));

	org->context = context;
	org->unassigned = (KpiSpan)
	{
		DATEVAL_NOBEGIN, DATEVAL_NOEND, 2, unassigned
	};

	org->nteams = org_read_nodes(org, ORG_TEAMS, &org->teams, &org->team_keys);
	if (with_members)
		org->nmembers = org_read_nodes(org, ORG_MEMBERS, &org->members, &org->member_keys);
	return org;
}

KpiOrg *
kpi_people_load(void)
{
	return org_load(true);
}

KpiOrg *
kpi_people_load_tree(void)
{
	return org_load(false);
}

void
kpi_people_free(KpiOrg *org)
{
	MemoryContextDelete(org->context);
}

/*
 * Runs the query and makes a node, known by its key, of every id.  The
 * assignments of all nodes stand in one array.
 */
static int
org_read_nodes(KpiOrg *org, const char *sql, OrgNode **nodes, orgkey_hash **keys)
{
	KpiRows		rows;
	MemoryContext old = MemoryContextSwitchTo(org->context);
	KpiAssignment *item;
	int			n = 0;

	kpi_rows_begin_read(&rows, sql, 0);
	*nodes = MemoryContextAllocExtended(org->context,
										Max(rows.n, 1) * sizeof(OrgNode),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	item = MemoryContextAllocExtended(org->context,
									  Max(rows.n, 1) * sizeof(KpiAssignment),
									  MCXT_ALLOC_HUGE);
	while (kpi_rows_next(&rows))
	{
		int32		id = kpi_rows_int4(&rows, "id");

		if (n == 0 || (*nodes)[n - 1].id != id)
		{
			(*nodes)[n].id = id;
			(*nodes)[n].key = kpi_rows_text(&rows, "key");
			(*nodes)[n].assignments.items = item;
			n++;
		}
		item->target = kpi_rows_int4(&rows, "team_id");
		if (item->target == 0)
			continue;
		item->since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		item->until = kpi_rows_date(&rows, "until", DATEVAL_NOEND);
		(*nodes)[n - 1].assignments.n++;
		item++;
	}
	kpi_rows_end(&rows);

	*keys = orgkey_create(org->context, Max(n, 16), NULL);
	for (int i = 0; i < n; i++)
	{
		bool		found;

		orgkey_insert(*keys, (*nodes)[i].key, &found)->node = &(*nodes)[i];
	}
	MemoryContextSwitchTo(old);
	return n;
}

static OrgNode *
org_team(const KpiOrg *org, int32 id)
{
	int			low = 0;
	int			high = org->nteams - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (org->teams[middle].id == id)
			return &org->teams[middle];
		if (org->teams[middle].id < id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	elog(ERROR, "team %d of the organisation is missing", id);
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

/*
 * Walks up from a team over the days [since, until).  path holds the teams
 * below it.  Where no parent is recorded the company is the parent.
 */
static void
team_walk(KpiOrg *org, OrgNode *team, DateADT since, DateADT until,
		  int32 *path, int depth, SpanList *list)
{
	DateADT		next = since;

	check_stack_depth();
	if (depth >= org->nteams)
		elog(ERROR, "the tree of teams has a cycle at team \"%s\"", team->key);
	path[depth++] = team->id;

	if (team->id == KPI_TEAM_COMPANY)
	{
		KpiSpan		span = {since, until, depth, NULL};

		span.scopes = MemoryContextAlloc(org->context, depth * sizeof(int32));
		memcpy(span.scopes, path, depth * sizeof(int32));
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
			team_walk(org, org_team(org, KPI_TEAM_COMPANY), next, from, path, depth, list);
		team_walk(org, org_team(org, parent->target), from, to, path, depth, list);
		next = to;
	}
	if (next < until)
		team_walk(org, org_team(org, KPI_TEAM_COMPANY), next, until, path, depth, list);
}

static const KpiSpan *
org_team_flat(KpiOrg *org, OrgNode *team, int *nspans)
{
	if (team->nspans == 0)
	{
		SpanList	list = {0};
		int32	   *path = palloc(org->nteams * sizeof(int32));

		team_walk(org, team, DATEVAL_NOBEGIN, DATEVAL_NOEND, path, 0, &list);
		pfree(path);
		team->spans = list.spans;
		team->nspans = list.n;
	}
	*nspans = team->nspans;
	return team->spans;
}

/* The team's spans cut to a membership; gaps before it are unassigned. */
static void
member_append(KpiOrg *org, SpanList *list, const KpiAssignment *membership)
{
	const KpiSpan *spans;
	int			nspans;

	spans = org_team_flat(org, org_team(org, membership->target), &nspans);
	for (int i = 0; i < nspans; i++)
	{
		KpiSpan		span = spans[i];

		span.since = Max(span.since, membership->since);
		span.until = Min(span.until, membership->until);
		span_append(org, list, span);
	}
}

static void
member_flatten(KpiOrg *org, OrgNode *member)
{
	SpanList	list = {0};
	KpiSpan		gap = org->unassigned;
	DateADT		next = DATEVAL_NOBEGIN;

	for (int i = 0; i < member->assignments.n; i++)
	{
		const KpiAssignment *membership = &member->assignments.items[i];

		gap.since = next;
		gap.until = membership->since;
		span_append(org, &list, gap);
		member_append(org, &list, membership);
		next = membership->until;
	}
	gap.since = next;
	gap.until = DATEVAL_NOEND;
	span_append(org, &list, gap);
	member->spans = list.spans;
	member->nspans = list.n;
}

/* ---- asking ---- */

static OrgNode *
org_find(orgkey_hash *keys, const char *key)
{
	OrgKey	   *entry;

	if (keys == NULL || key == NULL)
		return NULL;
	entry = orgkey_lookup(keys, key);
	return entry ? entry->node : NULL;
}

const KpiSpan *
kpi_people_member_spans(KpiOrg *org, const char *member_key, int32 *member_id, int *nspans)
{
	OrgNode    *member = org_find(org->member_keys, member_key);

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
	OrgNode    *team = org_find(org->team_keys, team_key);

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
