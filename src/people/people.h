/*-------------------------------------------------------------------------
 *
 * people.h
 *	  Who belongs where on which day.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_PEOPLE_H
#define KPI_PEOPLE_H

#include "postgres.h"

#include "base/base.h"
#include "utils/date.h"
#include "utils/snapshot.h"

/* ---- tree.c ---- */

/* Built in, from CREATE EXTENSION on. */
#define KPI_TEAM_COMPANY	1
#define KPI_TEAM_UNASSIGNED 2

/*
 * An interval of days and the teams that count on them: the team itself
 * first, then its ancestors up to the company.  until is exclusive; open ends
 * are DATEVAL_NOBEGIN and DATEVAL_NOEND.
 */
typedef struct KpiSpan
{
	DateADT		since;
	DateADT		until;
	int			nscopes;
	int32	   *scopes;
} KpiSpan;

typedef struct KpiOrg KpiOrg;

/*
 * The organisation, in a child of the current memory context that holds
 * everything the calls below return.  kpi_people_load() reads all teams and
 * members at once, as the active snapshot shows them; kpi_people_load_tree()
 * leaves the members out.  kpi_people_ask() is for few owners: reads no more than
 * it is asked for, when it is; the snapshot stays registered so long.  Members are known
 * by their keys, and by the aliases that they have in this source.
 */
extern KpiOrg *kpi_people_load(int32 source_id);
extern KpiOrg *kpi_people_load_tree(void);
extern KpiOrg *kpi_people_ask(int32 source_id, Snapshot snapshot);
extern void kpi_people_free(KpiOrg *org);

/*
 * The spans of an owner, sorted, covering all days without gap; neighbours
 * differ.  Days without a membership, unless one before keeps later facts, and unknown
 * keys (NULL is one; *member_id is 0 then), count for {(unassigned), company}.
 */
extern const KpiSpan *kpi_people_member_spans(KpiOrg *org, const char *member_key,
											  int32 *member_id, int *nspans);
extern const KpiSpan *kpi_people_team_spans(KpiOrg *org, const char *team_key, int *nspans);

/*
 * When the team is its own ancestor on some day: the first such day and the
 * way around, 'emea under dach under emea'; else NULL.  To be asked before the spans of
 * a tree that was just changed.
 */
extern char *kpi_people_cycle(KpiOrg *org, int32 team_id, DateADT *day);

/* ---- team.c ---- */

/*
 * Whose working days count for a team: its own calendar, else that of the
 * nearest team above it on that day, at last the default.
 */
extern int32 kpi_people_team_calendar_id(int32 team_id, DateADT day);

/* Whoever writes teams and members now puts them into kpi.definition_log, all at once (sync/log.c). */
extern bool kpi_people_logs_itself;

/* ---- assignment.c ---- */

/*
 * The team, by its id, that something belongs to on the days from since to until
 * (exclusive); open ends are DATEVAL_NOBEGIN and DATEVAL_NOEND.
 */
typedef struct KpiAssignment
{
	DateADT		since;
	DateADT		until;
	int32		target;
	bool		keeps_later;	/* of a membership that ends: facts of later
								 * days, up to the next, count for it as well */
} KpiAssignment;

/* All assignments of one owner, a member or a team; none overlapping. */
typedef struct KpiAssignments
{
	int			n;
	KpiAssignment *items;
} KpiAssignments;

/* kpi.membership or kpi.team_parent. */
typedef struct KpiAssignmentTable
{
	const char *table;
	const char *owner_column;
	const char *target_column;
	const char *later_column;	/* NULL: it has none */
} KpiAssignmentTable;

extern const KpiAssignmentTable kpi_people_membership_table;
extern const KpiAssignmentTable kpi_people_team_parent_table;

/* By since.  This and the next run within kpi_spi_begin(). */
extern KpiAssignments *kpi_people_assignments_load(const KpiAssignmentTable *table, int32 owner_id);

/* Writes what differs; rows that stay keep their id. */
extern void kpi_people_assignments_store(const KpiAssignmentTable *table, int32 owner_id,
										 const KpiAssignments *before, const KpiAssignments *after);

/* The assignment that covers a day, or NULL. */
extern const KpiAssignment *kpi_people_assignments_at(const KpiAssignments *assignments, DateADT day);

/* The first day after this one on which an assignment begins; they are by since. */
extern DateADT kpi_people_assignments_next(const KpiAssignments *assignments, DateADT day);

/*
 * A copy in which the days [since, until) belong to the target (0: to
 * nothing) and all others to what they did; they are by since.  What keeps later
 * facts does so as long as it ends on the same day.
 */
extern KpiAssignments *kpi_people_assignments_set(const KpiAssignments *assignments, DateADT since,
												  DateADT until, int32 target);

/* The assignment that ends on a day keeps later facts, or does not. */
extern void kpi_people_assignments_end(KpiAssignments *assignments, DateADT until, bool keeps_later);

/* ---- attribute.c ---- */

/* A value of an attribute on the days from since to until (exclusive); open ends as of assignments. */
typedef struct KpiAttributeValue
{
	DateADT		since;
	DateADT		until;
	char	   *value;
} KpiAttributeValue;

/* All values of one attribute of a member; none overlapping, by since. */
typedef struct KpiAttributeValues
{
	int			n;
	KpiAttributeValue *items;
} KpiAttributeValues;

/* None yet, with room for some. */
extern KpiAttributeValues *kpi_people_attribute_none(int max);

/* This and the next run within kpi_spi_begin(). */
extern KpiAttributeValues *kpi_people_attribute_load(int32 member_id, const char *name);

/* Writes what differs; rows that stay keep their id. */
extern void kpi_people_attribute_store(int32 member_id, const char *name, const KpiAttributeValues *before,
									   const KpiAttributeValues *after);

/* Whether one of the values is this, on exactly its days; and whether all of both are the same. */
extern bool kpi_people_attribute_has(const KpiAttributeValues *values, const KpiAttributeValue *wanted);
extern bool kpi_people_attribute_equal(const KpiAttributeValues *a, const KpiAttributeValues *b);

/* A copy in which the days [since, until) have the value (NULL: none), and all others what they had. */
extern KpiAttributeValues *kpi_people_attribute_set(const KpiAttributeValues *values, DateADT since, DateADT until,
													char *value);

/* The first day after this one on which a value begins. */
extern DateADT kpi_people_attribute_next(const KpiAttributeValues *values, DateADT day);

/*
 * The value of an attribute that a member has on a day, palloc'd, or NULL; *until is the
 * first day on which it may be another.  A lookup for many, to be closed with
 * kpi_lookup_close().
 */
extern void kpi_people_attributes_open(KpiLookup *attributes, Snapshot snapshot);
extern char *kpi_people_attribute_at(KpiLookup *attributes, int32 member_id, const char *name, DateADT day,
									 DateADT *until);

#endif							/* KPI_PEOPLE_H */
