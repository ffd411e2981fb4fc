/*-------------------------------------------------------------------------
 *
 * role.c
 *	  Whose rights count.
 *
 * Our own tables are read and written as the extension's owner; a source's
 * expressions run as its definer, in a security-restricted operation.  Both go
 * through kpi_user_switch().  An error in between needs no cleanup here:
 * (sub)transaction abort restores the user and the settings.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/namespace.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/catcache.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

Oid
kpi_relation_oid(const char *schema, const char *name)
{
	Oid			namespace = get_namespace_oid(schema, false);
	Oid			relid = get_relname_relid(name, namespace);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s.%s\" of extension \"pg_kpi\" does not exist",
						schema, name),
				 errhint("The extension's installation is damaged: restore the database, or drop and create the extension.")));
	return relid;
}

void
kpi_user_switch(KpiUser *state, Oid role)
{
	GetUserIdAndSecContext(&state->save_user, &state->save_sec_context);
	SetUserIdAndSecContext(role,
						   state->save_sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	state->guc_nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	kpi_settings_pin(KPI_SETTINGS_READ);
}

void
kpi_user_restore(KpiUser *state)
{
	AtEOXact_GUC(false, state->guc_nest_level);
	SetUserIdAndSecContext(state->save_user, state->save_sec_context);
}

bool
kpi_role_can_login(Oid role)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool		can_login;

	if (!HeapTupleIsValid(tuple))
		return false;
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	return can_login;
}

Oid
kpi_definer_role(const char *source, const char *definer, Oid expected)
{
	Oid			role = get_role_oid(definer, true);

	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\", the definer of source \"%s\", does not exist", definer, source),
				 errhint("Create the role again, or drop the source and create it anew.")));
	if (OidIsValid(expected) && role != expected)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\", the definer of source \"%s\", was dropped and created again", definer, source),
				 errhint("If the new role may have the source, resume it by its name as that role or as a superuser; else drop it.")));
	return role;
}

/*
 * An editor is whoever may UPDATE kpi_internal.version.  The privilege cannot be
 * used directly, as nobody has USAGE on the schema, but it is granted, listed
 * and dumped like any other.
 */
void
kpi_require_editor(void)
{
	kpi_extension_require();
	if (pg_class_aclcheck(kpi_relation_oid("kpi_internal", "version"), GetUserId(),
						  ACL_UPDATE) == ACLCHECK_OK)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to change the definitions of pg_kpi"),
			 errdetail("Role \"%s\" is not an editor.",
					   GetUserNameFromId(GetUserId(), false)),
			 errhint("Ask the owner of the extension to run kpi.grant_editor().")));
}

static const char *
own_privilege(Oid role)
{
	HeapTuple	tuple;
	Form_pg_authid form;
	const char *privilege = NULL;

	switch (role)
	{
		case ROLE_PG_EXECUTE_SERVER_PROGRAM:
			return "a member of pg_execute_server_program";
		case ROLE_PG_READ_SERVER_FILES:
			return "a member of pg_read_server_files";
		case ROLE_PG_WRITE_SERVER_FILES:
			return "a member of pg_write_server_files";
		case ROLE_PG_READ_ALL_DATA:
			return "a member of pg_read_all_data";
		case ROLE_PG_WRITE_ALL_DATA:
			return "a member of pg_write_all_data";
		default:
			break;
	}

	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_authid) GETSTRUCT(tuple);
	if (form->rolsuper)
		privilege = "a superuser";
	else if (form->rolcreaterole)
		privilege = "a role with CREATEROLE";
	else if (form->rolbypassrls)
		privilege = "a role with BYPASSRLS";
	else if (form->rolreplication)
		privilege = "a role with REPLICATION";	/* which decodes what all
												 * tables get */
	ReleaseSysCache(tuple);
	return privilege;
}

const char *
kpi_role_privilege(Oid role)
{
	List	   *roles = list_make1_oid(role);
	ListCell   *lc;

	/* The list grows while it is walked. */
	foreach(lc, roles)
	{
		const char *privilege = own_privilege(lfirst_oid(lc));
		CatCList   *members;

		if (privilege != NULL)
			return privilege;
		members = SearchSysCacheList1(AUTHMEMMEMROLE, ObjectIdGetDatum(lfirst_oid(lc)));
		for (int i = 0; i < members->n_members; i++)
		{
			HeapTuple	tuple = &members->members[i]->tuple;

			roles = list_append_unique_oid(roles, ((Form_pg_auth_members) GETSTRUCT(tuple))->roleid);
		}
		ReleaseSysCacheList(members);
	}
	return NULL;
}

bool
kpi_role_trusts(Oid role, Oid owner)
{
	return owner == role || superuser_arg(owner) || kpi_role_privilege(role) == NULL;
}
