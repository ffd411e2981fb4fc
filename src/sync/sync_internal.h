/*-------------------------------------------------------------------------
 *
 * sync_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_SYNC_INTERNAL_H
#define KPI_SYNC_INTERNAL_H

#include "people/people.h"
#include "sync/sync.h"
#include "utils/date.h"

/* ---- query.c ---- */

typedef enum KpiSyncField
{
	KPI_SYNC_KEY,
	KPI_SYNC_NAME,
	KPI_SYNC_TARGET,			/* the parent of a team, the team of a member */
	KPI_SYNC_SINCE,
	KPI_SYNC_UNTIL
} KpiSyncField;

#define KPI_SYNC_NFIELDS 5

/* Teams or members. */
typedef struct KpiSyncKind
{
	const char *noun;
	const char *plural;
	const char *columns[KPI_SYNC_NFIELDS];	/* of the query; NULL: none */
	int			nrequired;		/* so many of them must be there, from the
								 * first */
	const char *required[2];
} KpiSyncKind;

extern const KpiSyncKind kpi_sync_teams;
extern const KpiSyncKind kpi_sync_members;

/* A row of a query. */
typedef struct KpiSyncRecord
{
	int			number;			/* among the rows, from 1 */
	char	   *key;			/* NULL: null */
	char	   *name;			/* NULL: none was given */
	char	   *target;			/* NULL: the company, or no team */
	Timestamp	since_at;		/* of a date, its beginning */
	Timestamp	until_at;
	DateADT		since;			/* first day; DATEVAL_NOBEGIN: always */
	DateADT		until_begun;	/* the day on which it ends: of a moment, its
								 * day */
	DateADT		until;			/* first day without any of it: of a moment
								 * within a day, the next */
	char	  **attributes;		/* as in KpiSyncRecords; each may be NULL */
} KpiSyncRecord;

typedef struct KpiSyncRecords
{
	bool		has[KPI_SYNC_NFIELDS];
	List	   *attributes;		/* char *: names of further columns, of
								 * members */
	int			n;
	KpiSyncRecord *items;		/* by key, since and until */
	List	   *strays;			/* KpiSyncChange: rows without a usable key,
								 * refused */
} KpiSyncRecords;

/*
 * Runs a query as the current user, within a transaction that is read-only
 * meanwhile, and reads its rows.  code: what of other roles it may reach (char *);
 * whatever it is without restrict_code.
 */
extern KpiSyncRecords *kpi_sync_query_read(const KpiSyncKind *kind, const char *sql,
										   bool restrict_code, List *code);

/* The query as it is read under a pinned search_path; adds what of other roles it reaches to *code. */
extern char *kpi_sync_query_qualify(const KpiSyncKind *kind, const char *sql, List **code);

/* ---- code.c ---- */

/*
 * Adds what the queries (Query *, rewritten and not planned) reach that belongs neither to
 * the current user nor to a superuser, as texts: 'table crm.users of role app'.
 */
extern List *kpi_sync_code_reached(List *queries, List *reached);

/* Error if the current user may not run what reaches this of others. */
extern void kpi_sync_code_check_role(List *code);

/* And if it is not among what was accepted. */
extern void kpi_sync_code_check_known(List *code, List *accepted);

/* ---- thing.c ---- */

/* An attribute of a member: the same pointer twice, and it stays. */
typedef struct KpiSyncAttribute
{
	KpiAttributeValues *before;
	KpiAttributeValues *after;
} KpiSyncAttribute;

/* A team or a member, known already or in a query. */
typedef struct KpiSyncThing
{
	int32		id;				/* below 0: to be made (kpi_sync_thing_of()) */
	char	   *key;
	char	   *name;			/* NULL: to be made */
	bool		is_expected;	/* stands in this transaction as the parent of
								 * another, and a row that is not refused
								 * makes it */
	char	   *new_name;		/* NULL: it stays */
	KpiAssignments *before;
	KpiAssignments *after;		/* the same pointer: they stay */
	KpiSyncAttribute *attributes;	/* as in KpiSyncRecords; NULL: none are
									 * looked at */
	KpiSyncRecord *records;		/* of the query, which stand together */
	int			nrecords;
	char	   *refusal;		/* why its rows are refused; NULL: they are
								 * not */
	char	   *reason;			/* of what is not in the query; NULL */
	bool		is_passed_over; /* its key is an alias of a member */
	bool		is_there_by_alias;	/* another row has an alias of it */
	bool		is_missing;		/* to be listed as that only */
	bool		is_dropped;
} KpiSyncThing;

typedef struct KpiSyncThings
{
	const KpiSyncKind *kind;
	KpiSyncRecords *records;	/* NULL: not synced */
	int			n;
	KpiSyncThing *items;		/* by key */
	int			nknown;
	int		   *by_id;			/* indexes of those with an id, by id */
} KpiSyncThings;

/* Those that are recorded, and those in the query (NULL: none is looked at). */
extern KpiSyncThings *kpi_sync_things_load(const KpiSyncKind *kind, KpiSyncRecords *records);

/* NULL: unknown. */
extern KpiSyncThing *kpi_sync_thing_by_key(const KpiSyncThings *things, const char *key);
extern KpiSyncThing *kpi_sync_thing_by_id(const KpiSyncThings *things, int32 id);

/* Whether anything of it is to be written. */
extern bool kpi_sync_thing_moves(const KpiSyncThing *thing);
extern bool kpi_sync_thing_is_renamed(const KpiSyncThing *thing);

/* Whether an assignment holds on that day or later. */
extern bool kpi_sync_assigned_from(const KpiAssignments *assignments, DateADT day);

/* ---- team.c, member.c ---- */

/* Decide what becomes of all that are not refused, which they decide, too. */
extern void kpi_sync_plan_teams(KpiSyncThings *teams, DateADT today);
extern void kpi_sync_plan_members(KpiSyncThings *members, KpiSyncThings *teams, const KpiSyncOrder *order,
								  DateADT today);

/* Of teams that are not in the query: once members have their plan. */
extern void kpi_sync_plan_missing_teams(KpiSyncThings *teams, const KpiSyncThings *members,
										const KpiSyncOrder *order, DateADT today);

/* ---- attribute.c ---- */

/* Of members in the query: what is recorded of the attributes that are columns of it. */
extern void kpi_sync_attributes_load(KpiSyncThings *members);
extern void kpi_sync_plan_attributes(KpiSyncThing *member, const KpiSyncThings *members, const KpiSyncOrder *order,
									 DateADT today);

/* What becomes of one, in words. */
extern char *kpi_sync_attribute_text(const char *name, const KpiSyncAttribute *attribute);

/* As kpi_sync_write(), once new members have their ids. */
extern void kpi_sync_write_attributes(const KpiSyncThings *members);

/* ---- plan.c ---- */

/* kpi_sync_people() of rows that have been read (NULL: none of the kind are synced). */
extern List *kpi_sync_compare_and_write(const KpiSyncOrder *order, KpiSyncRecords *teams,
										KpiSyncRecords *members, bool dry_run);

/* ---- write.c ---- */

/* Within kpi_spi_begin(), under the lock of the organisation. */
extern void kpi_sync_write(KpiSyncThings *teams, KpiSyncThings *members, Oid role);

/* ---- log.c ---- */

/* Puts those that have changed into kpi.definition_log, once all is written.  Within kpi_spi_begin(). */
extern void kpi_sync_log(const KpiSyncThings *teams, const KpiSyncThings *members, Oid role);

#endif							/* KPI_SYNC_INTERNAL_H */
