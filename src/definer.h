/*-------------------------------------------------------------------------
 *
 * definer.h
 *	  Which role may be the definer of a source over which table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_DEFINER_H
#define KPI_DEFINER_H

#include "postgres.h"

/* InvalidOid if the table is gone. */
extern Oid	kpi_table_owner(Oid relid);

/* A role that was named, which the current user may be; else an error. */
extern Oid	kpi_definer_named(const char *name);

/*
 * The definer of a source that the current user makes: the named role; else the
 * user, or, of one with a privilege, the owner of the table.
 */
extern Oid	kpi_definer_choose(Oid relid, Oid named);

/* The GRANT statements for what the role lacks to read the table; or NULL. */
extern char *kpi_definer_missing_grants(Oid relid, Oid role);

/*
 * The table or one of its partitions whose owner's code must not run with the
 * rights of the role; InvalidOid: there is none.
 */
extern Oid	kpi_definer_untrusted(Oid relid, Oid role);

/* Why, and what to do about it, for an untrusted table. */
extern char *kpi_definer_untrusted_detail(Oid untrusted, Oid role);
extern char *kpi_definer_untrusted_hint(Oid relid, Oid untrusted);

/* Error unless the role may be the definer of a source over the table. */
extern void kpi_definer_check(Oid relid, Oid role);

/* Tells whose source it is that the table's owner became its definer unasked. */
extern void kpi_definer_tell_owner(const char *source, Oid relid);

/*
 * Makes the table's owner the definer of a source whose own must not read the
 * table, with a warning, and returns it; InvalidOid if the owner cannot be.
 */
extern Oid	kpi_definer_give_to_owner(int32 source_id, const char *source, Oid relid, Oid definer);

/*
 * The definer that a source is to have: its own, or the table's owner, who takes
 * the place of one that must not read it.  Error if neither can be.
 */
extern Oid	kpi_definer_settle(int32 source_id, const char *source, Oid relid, Oid definer);

/* Stores the definer of a source, and makes every backend read it anew. */
extern void kpi_definer_store(int32 source_id, Oid relid, Oid definer);

#endif							/* KPI_DEFINER_H */
