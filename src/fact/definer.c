/*-------------------------------------------------------------------------
 *
 * definer.c
 *	  Which role may be the definer of a source over which table.
 *
 * Whoever reads a table runs code of its owner: expressions and predicates of
 * indexes, constraints, statistics, casts from the types of its columns.  A
 * security-restricted operation does not keep that code from using the rights
 * of who reads, so these are what is limited: a role with more rights than those
 * on tables (a privilege, below) is the definer only where it owns all that is
 * read itself, or superusers do.  In a superuser's call the owner of the table
 * therefore takes its place, as in VACUUM and REFRESH MATERIALIZED VIEW.
 *
 * Privileges count through membership as well, inherited or not: code that may
 * SET ROLE has them.  Owners of partitions count like that of the table.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

/* ---- roles ---- */

Oid
kpi_fact_table_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* ---- choosing ---- */

Oid
kpi_fact_definer_named(const char *name)
{
	Oid			role = get_role_oid(name, true);

	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist", name),
				 errhint("The definer is the role whose rights the expressions of a source have: name one that exists.")));
	if (!kpi_can_set_role(GetUserId(), role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to make role \"%s\" the definer of a source", name),
				 errdetail("Role \"%s\" is not a member of it.", GetUserNameFromId(GetUserId(), false)),
				 errhint("Name yourself or a role that you can SET ROLE to.")));
	return role;
}

Oid
kpi_fact_definer_choose(Oid relid, Oid named)
{
	Oid			user = GetUserId();
	Oid			owner = kpi_fact_table_owner(relid);

	if (OidIsValid(named))
		return named;
	if (kpi_role_privilege(user) != NULL && OidIsValid(owner) && kpi_can_set_role(user, owner))
		return owner;
	return user;
}

void
kpi_fact_definer_tell_owner(const char *source, Oid relid)
{
	ereport(NOTICE,
			(errmsg("the definer of source \"%s\" is role \"%s\", the owner of table %s", source,
					GetUserNameFromId(kpi_fact_table_owner(relid), false), kpi_fact_table_name(relid)),
			 errdetail("Its expressions run with the rights of that role, as role \"%s\" is %s.",
					   GetUserNameFromId(GetUserId(), false), kpi_role_privilege(GetUserId())),
			 errhint("If another role should be, name it: definer => 'role'.")));
}

/* ---- checking ---- */

char *
kpi_fact_definer_missing_rights(Oid relid, Oid role, bool needs_trigger)
{
	Oid			namespace = get_rel_namespace(relid);
	const char *role_name = quote_identifier(GetUserNameFromId(role, false));
	StringInfoData grants;
	bool		owns = kpi_class_ownercheck(relid, role);
	bool		select = owns || pg_class_aclcheck(relid, role, ACL_SELECT) == ACLCHECK_OK;
	bool		trigger = owns || !needs_trigger || pg_class_aclcheck(relid, role, ACL_TRIGGER) == ACLCHECK_OK;

	initStringInfo(&grants);
	if (kpi_namespace_aclcheck(namespace, role, ACL_USAGE) != ACLCHECK_OK)
		appendStringInfo(&grants, "GRANT USAGE ON SCHEMA %s TO %s;",
						 quote_identifier(get_namespace_name(namespace)), role_name);
	if (!select || !trigger)
		appendStringInfo(&grants, "%sGRANT %s%s%s ON %s TO %s;", grants.len > 0 ? " " : "",
						 select ? "" : "SELECT", select || trigger ? "" : ", ", trigger ? "" : "TRIGGER",
						 kpi_fact_table_name(relid), role_name);
	return grants.len > 0 ? grants.data : NULL;
}

char *
kpi_fact_definer_missing_grants(Oid relid, Oid role)
{
	return kpi_fact_definer_missing_rights(relid, role, true);
}

char *
kpi_fact_definer_default_grants(Oid relid, Oid role)
{
	return psprintf("ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT SELECT, TRIGGER ON TABLES TO %s;",
					quote_identifier(GetUserNameFromId(kpi_fact_table_owner(relid), false)),
					quote_identifier(get_namespace_name(get_rel_namespace(relid))),
					quote_identifier(GetUserNameFromId(role, false)));
}

Oid
kpi_fact_definer_untrusted(Oid relid, Oid role)
{
	List	   *relids;
	ListCell   *lc;

	if (kpi_role_privilege(role) == NULL)
		return InvalidOid;
	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		relids = find_all_inheritors(relid, NoLock, NULL);
	else
		relids = list_make1_oid(relid);
	foreach(lc, relids)
	{
		Oid			owner = kpi_fact_table_owner(lfirst_oid(lc));

		if (OidIsValid(owner) && owner != role && !superuser_arg(owner))
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

char *
kpi_fact_definer_untrusted_detail(Oid untrusted, Oid role)
{
	return psprintf("Whoever reads a table runs code of its owner (index expressions, constraints): table %s belongs to role \"%s\", and role \"%s\" is %s.",
					kpi_fact_table_name(untrusted), GetUserNameFromId(kpi_fact_table_owner(untrusted), false),
					GetUserNameFromId(role, false), kpi_role_privilege(role));
}

char *
kpi_fact_definer_untrusted_hint(Oid relid, Oid untrusted)
{
	char	   *owner = GetUserNameFromId(kpi_fact_table_owner(relid), false);

	char	   *grants = kpi_fact_definer_missing_grants(relid, kpi_fact_table_owner(relid));

	if (untrusted == relid && grants != NULL)
		return psprintf("Make its owner the definer: run %s and give definer => %s.", grants,
						quote_literal_cstr(owner));
	if (untrusted == relid)
		return psprintf("Make its owner the definer: definer => %s.", quote_literal_cstr(owner));
	return psprintf("Run ALTER TABLE %s OWNER TO %s, or name a definer that has rights on these tables only.",
					kpi_fact_table_name(untrusted), quote_identifier(owner));
}

void
kpi_fact_definer_check(Oid relid, Oid role)
{
	char	   *grants = kpi_fact_definer_missing_grants(relid, role);
	char	   *name = GetUserNameFromId(role, false);
	Oid			untrusted;

	if (grants != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table \"%s\"", get_rel_name(relid)),
				 errdetail("Role \"%s\" needs USAGE on its schema, and must own it or have SELECT and TRIGGER on it.", name),
				 role == kpi_fact_table_owner(relid) ? errhint("Run: %s", grants) :
				 errhint("Make the table's owner the definer, or run: %s", grants)));

	if (check_enable_rls(relid, role, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security of table \"%s\" applies to role \"%s\"", get_rel_name(relid), name),
				 errdetail("Rollups would count rows that the role may not see."),
				 errhint("Make the table's owner the definer, who is exempt unless row security is forced.")));

	untrusted = kpi_fact_definer_untrusted(relid, role);
	if (OidIsValid(untrusted))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot be the definer of a source over table \"%s\"", name,
						get_rel_name(relid)),
				 errdetail("%s", kpi_fact_definer_untrusted_detail(untrusted, role)),
				 errhint("%s", kpi_fact_definer_untrusted_hint(relid, untrusted))));
}

/* ---- changing ---- */

void
kpi_fact_definer_store(int32 source_id, Oid relid, Oid definer)
{
	KpiSpi		spi;
	ListCell   *lc;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.source SET definer = $2 WHERE id = $1",
				 2, KPI_INT4(source_id), KPI_TEXT(GetUserNameFromId(definer, false)));
	kpi_spi_exec("UPDATE kpi_internal.source_state SET definer_oid = $2, definer_login = $3, table_owner = $4"
				 " WHERE source_id = $1",
				 4, KPI_INT4(source_id), KPI_VALUE(OIDOID, ObjectIdGetDatum(definer)),
				 KPI_BOOL(kpi_role_can_login(definer)),
				 KPI_VALUE(OIDOID, ObjectIdGetDatum(kpi_fact_table_owner(relid))));
	kpi_spi_end(&spi);
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
}

Oid
kpi_fact_definer_give_to_owner(int32 source_id, const char *source, Oid relid, Oid definer)
{
	Oid			owner = kpi_fact_table_owner(relid);
	char	   *owner_name = GetUserNameFromId(owner, false);
	Oid			untrusted = kpi_fact_definer_untrusted(relid, definer);

	if (kpi_fact_definer_missing_grants(relid, owner) != NULL ||
		check_enable_rls(relid, owner, true) == RLS_ENABLED ||
		OidIsValid(kpi_fact_definer_untrusted(relid, owner)))
		return InvalidOid;
	kpi_fact_definer_store(source_id, relid, owner);
	ereport(WARNING,
			(errmsg("the definer of source \"%s\" is role \"%s\" from now on, the owner of table %s",
					source, owner_name, kpi_fact_table_name(relid)),
			 errdetail("%s", kpi_fact_definer_untrusted_detail(untrusted, definer)),
			 errhint("Name another role with kpi.alter_source(%s, definer => ...) if it should not be.",
					 quote_literal_cstr(source))));
	return owner;
}

Oid
kpi_fact_definer_settle(int32 source_id, const char *source, Oid relid, Oid definer)
{
	if (OidIsValid(kpi_fact_definer_untrusted(relid, definer)))
	{
		Oid			owner = kpi_fact_definer_give_to_owner(source_id, source, relid, definer);

		if (OidIsValid(owner))
			return owner;
	}
	kpi_fact_definer_check(relid, definer);
	return definer;
}
