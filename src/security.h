/*-------------------------------------------------------------------------
 *
 * security.h
 *	  Whose rights count.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_SECURITY_H
#define KPI_SECURITY_H

#include "postgres.h"

/* The role that owns the extension; error if it is not installed. */
extern Oid	kpi_extension_owner(void);

/* OIDs of kpi.<name> or kpi_internal.<name>; error if it does not exist. */
extern Oid	kpi_relation_oid(const char *schema, const char *name);

extern bool kpi_role_can_login(Oid role);

/*
 * The role that has the name of a source's definer.  Error if there is none, or
 * if it is not the expected one (InvalidOid: any).
 */
extern Oid	kpi_definer_role(const char *source, const char *definer, Oid expected);

/*
 * What a role is, or may become, that gives it more rights than tables: "a
 * superuser", "a member of pg_read_server_files", ...; NULL: nothing.
 */
extern const char *kpi_role_privilege(Oid role);

/*
 * Whether what belongs to the owner may run with the rights of the role: any
 * owner of a role without such a privilege, else only itself and superusers.
 */
extern bool kpi_role_trusts(Oid role, Oid owner);

/*
 * A switch of the current user in a security-restricted operation with
 * search_path pinned to "pg_catalog, pg_temp" and SQL read as the standard
 * says (expr_settings.h).  Used with the definer of a source before its
 * expressions are compiled or evaluated.
 */
typedef struct KpiUser
{
	Oid			save_user;
	int			save_sec_context;
	int			guc_nest_level;
} KpiUser;

extern void kpi_user_switch(KpiUser *state, Oid role);
extern void kpi_user_restore(KpiUser *state);

/*
 * Error unless the current user may define organisation-wide things (teams,
 * members, calendars, goals, formulas): a superuser, the extension's owner or
 * a role that kpi.grant_editor() was called for.
 */
extern void kpi_require_editor(void);

#endif							/* KPI_SECURITY_H */
