/*-------------------------------------------------------------------------
 *
 * table.c
 *	  Rollup tables as they are defined: their columns, and which table it is.
 *
 * A definition knows its table by name, as a dump must.  What the last writing
 * saw it by is its OID: a table that was renamed, or whose schema was, is
 * followed, and one that has come in its place is another, to be compared as a
 * whole.
 *
 * Locks: an advisory lock of a class of its own for each rollup table, to the
 * end of the transaction, before any lock on the table.  Who refreshes sources
 * holds their locks already; nobody takes those after one of these.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "rollup/rollup_internal.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* User-level advisory locks have 1 or 2 here, those of sources 0x4B50. */
#define ROLLUP_LOCK_CLASS 0x4B52

/* Which tables have a column. */
#define OF_TEAMS		0x01
#define OF_MEMBERS		0x02
#define OF_DIMENSIONS	0x04
#define OF_ALL			0x07

/* In the order of the table; columns of the key in that of its primary key. */
static const struct
{
	int			of;
	KpiRollupColumn column;
}			name_columns[] = {
	{OF_TEAMS, {"team_id", INT4OID, true, true, false, 0, "The team (kpi.team.id). A team contains the teams below it: do not add teams of different levels up"}},
	{OF_TEAMS, {"team", TEXTOID, true, false, false, 0, "Key of the team"}},
	{OF_TEAMS, {"team_name", TEXTOID, true, false, false, 0, "Name of the team"}},
	{OF_TEAMS, {"team_path", TEXTOID, true, false, false, 0, "Names of the teams from the company down to this one, as the tree stands today"}},
	{OF_TEAMS, {"team_level", INT4OID, true, false, false, 0, "Teams above it, as the tree stands today: 0 is the company"}},
	{OF_TEAMS, {"parent_team", TEXTOID, true, false, true, 0, "Key of the team above it today; NULL for the company"}},
	{OF_MEMBERS, {"member_id", INT4OID, true, true, false, 0, "The member (kpi.member.id)"}},
	{OF_MEMBERS, {"member", TEXTOID, true, false, false, 0, "Key of the member"}},
	{OF_MEMBERS, {"member_name", TEXTOID, true, false, false, 0, "Name of the member"}},
	{OF_MEMBERS, {"team_id", INT4OID, true, false, true, 0, "Team of the member on the last day of the period, or today if that is earlier (kpi.team.id)"}},
	{OF_MEMBERS, {"team", TEXTOID, true, false, true, 0, "Key of that team; NULL: none"}},
	{OF_DIMENSIONS, {"dimension_value", TEXTOID, true, true, false, 0, "Value of the dimension; (none): facts without a value"}},
	{OF_ALL, {"period", TEXTOID, true, false, false, 0, "Name of the period, like 2026-Q4"}},
	{OF_ALL, {"period_start", DATEOID, true, true, false, 0, "First day of the period"}},
	{OF_ALL, {"period_end", DATEOID, true, false, false, 0, "Last day of the period"}}
};

List *
kpi_rollup_name_columns(bool of_members, bool has_dimension)
{
	int			of = (of_members ? OF_MEMBERS : OF_TEAMS) | (has_dimension ? OF_DIMENSIONS : 0);
	List	   *columns = NIL;

	for (int i = 0; i < lengthof(name_columns); i++)
	{
		if (name_columns[i].of == OF_ALL || (name_columns[i].of & of) != 0)
		{
			KpiRollupColumn *column = palloc(sizeof(KpiRollupColumn));

			*column = name_columns[i].column;
			columns = lappend(columns, column);
		}
	}
	return columns;
}

/* "Revenue, in EUR. What it means": of the KPI of a column. */
static char *
kpi_comment(KpiRows *row)
{
	char	   *title = kpi_rows_text(row, "title");
	char	   *unit = kpi_rows_text(row, "unit");
	char	   *description = kpi_rows_text(row, "description");

	if (title == NULL)
		return NULL;
	return psprintf("%s%s%s%s%s", title, unit ? ", in " : "", unit ? unit : "",
					description ? ". " : "", description ? description : "");
}

static List *
load_columns(KpiRollup *rollup)
{
	List	   *columns = kpi_rollup_name_columns(rollup->of_members, rollup->dimension != NULL);
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT c.name, c.kpi_id, k.title, k.unit, k.description"
				   " FROM kpi.rollup_column c LEFT JOIN kpi.kpi k ON k.id = c.kpi_id"
				   " WHERE c.rollup_id = $1 ORDER BY c.position", 1, KPI_INT4(rollup->id));
	while (kpi_rows_next(&rows))
	{
		KpiRollupColumn *column = palloc0(sizeof(KpiRollupColumn));

		column->name = kpi_rows_text(&rows, "name");
		column->type = NUMERICOID;
		column->is_null = true;
		column->kpi_id = kpi_rows_int4(&rows, "kpi_id");
		column->comment = kpi_comment(&rows);
		columns = lappend(columns, column);
	}
	kpi_rows_end(&rows);
	return columns;
}

KpiRollup *
kpi_rollup_load(int32 id)
{
	KpiRollup  *rollup = NULL;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT r.relation, r.per = 'member' AS of_members, r.grain, r.dimension, r.since"
				   " FROM kpi.rollup r WHERE r.id = $1", 1, KPI_INT4(id));
	if (kpi_rows_next(&rows))
	{
		rollup = palloc0(sizeof(KpiRollup));
		rollup->id = id;
		rollup->relation = kpi_rows_text(&rows, "relation");
		rollup->of_members = kpi_rows_bool(&rows, "of_members");
		rollup->dimension = kpi_rows_text(&rows, "dimension");
		rollup->since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		if (!kpi_calendar_grain_parse(kpi_rows_text(&rows, "grain"), &rollup->grain))
			elog(ERROR, "rollup table %d has no grain", id);
		rollup->columns = load_columns(rollup);
	}
	kpi_rows_end(&rows);
	return rollup;
}

Oid
kpi_rollup_relid(const KpiRollup *rollup)
{
	Oid			known = InvalidOid;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT s.relid FROM kpi_internal.rollup_state s WHERE s.rollup_id = $1",
				   1, KPI_INT4(rollup->id));
	if (kpi_rows_next(&rows))
		known = kpi_rows_oid(&rows, "relid");
	kpi_rows_end(&rows);
	if (OidIsValid(known) && get_rel_name(known) != NULL)
		return known;
	return kpi_model_relid_by_name(rollup->relation);
}

/* ---- the table as it is ---- */

static void
refuse_misfit(const KpiRollup *rollup, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s %s", rollup->relation, problem),
			 errhint("Change it back, or give it up with kpi.drop_rollup() and create it anew.")));
}

/* Its columns must be what they were created as; others may have come. */
static void
check_columns(const KpiRollup *rollup, Oid relid)
{
	ListCell   *lc;

	foreach(lc, rollup->columns)
	{
		const KpiRollupColumn *column = lfirst(lc);
		AttrNumber	attno = get_attnum(relid, column->name);
		Oid			type;
		int32		typmod;
		Oid			collation;

		if (attno == InvalidAttrNumber)
			refuse_misfit(rollup, psprintf("has no column \"%s\" any more", column->name));
		get_atttypetypmodcoll(relid, attno, &type, &typmod, &collation);
		if (type != column->type || typmod != -1)
			refuse_misfit(rollup, psprintf("has column \"%s\" of type %s instead of %s", column->name,
										   format_type_with_typemod(type, typmod),
										   format_type_be(column->type)));
		if (get_attgenerated(relid, attno) != '\0')
			refuse_misfit(rollup, psprintf("has column \"%s\" generated", column->name));
	}
}

static void
refuse_code(const char *message, Oid owner, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg_internal("%s", message),
			 errdetail("The table's owner \"%s\" is %s.", GetUserNameFromId(owner, false), kpi_role_privilege(owner)),
			 errhint("%s, or give the table to a role without such rights.", hint)));
}

/* A condition runs whatever whoever made the trigger has written, and it does not say who that was. */
static void
check_triggers(Oid relid, Oid owner)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT t.tgname, p.proowner, t.tgqual IS NOT NULL AS has_condition"
				   " FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid"
				   " WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND t.tgenabled <> 'D'", 1,
				   KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));
	while (kpi_rows_next(&rows))
	{
		Oid			other = kpi_rows_oid(&rows, "proowner");
		const char *trigger = psprintf("trigger \"%s\" of table %s", kpi_rows_text(&rows, "tgname"),
									   kpi_fact_table_name(relid));

		if (!kpi_role_trusts(owner, other))
			refuse_code(psprintf("%s runs code of role \"%s\"", trigger, GetUserNameFromId(other, false)), owner,
						"Drop the trigger");
		if (kpi_rows_bool(&rows, "has_condition"))
			refuse_code(psprintf("%s has a condition, which may be anybody's code", trigger), owner,
						"Put the condition into the trigger's function");
	}
	kpi_rows_end(&rows);
}

/* Whoever owns the schema can put another table in the place of this one. */
static void
check_schema(Oid relid, Oid owner)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT CASE n.nspowner WHEN 'pg_database_owner'::regrole THEN d.datdba ELSE n.nspowner END AS owner"
				   " FROM pg_catalog.pg_namespace n, pg_catalog.pg_database d"
				   " WHERE n.oid = $1 AND d.datname = pg_catalog.current_database()",
				   1, KPI_VALUE(OIDOID, ObjectIdGetDatum(get_rel_namespace(relid))));
	if (kpi_rows_next(&rows))
	{
		Oid			other = kpi_rows_oid(&rows, "owner");

		if (!kpi_role_trusts(owner, other))
			refuse_code(psprintf("the schema of table %s belongs to role \"%s\"", kpi_fact_table_name(relid),
								 GetUserNameFromId(other, false)), owner, "Put it into another schema");
	}
	kpi_rows_end(&rows);
}

/* Adds the tables in which a deleted or changed row of this one changes rows. */
static List *
add_followers(List *tables, Oid relid)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT c.conrelid FROM pg_catalog.pg_constraint c"
				   " WHERE c.contype = 'f' AND c.confrelid = $1"
				   " AND (c.confdeltype IN ('c', 'n', 'd') OR c.confupdtype IN ('c', 'n', 'd'))",
				   1, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));
	while (kpi_rows_next(&rows))
		tables = list_append_unique_oid(tables, kpi_rows_oid(&rows, "conrelid"));
	kpi_rows_end(&rows);
	return tables;
}

/*
 * Code that a role with more rights than those on tables has run is its own or
 * that of one like it: that of the table, of partitions and tables that inherit,
 * and of those that foreign keys change, since their triggers run with it, too.
 */
static void
check_code(Oid relid, Oid owner)
{
	List	   *tables = find_all_inheritors(relid, RowExclusiveLock, NULL);
	ListCell   *lc;

	check_schema(relid, owner);
	/* The list grows while it is walked. */
	foreach(lc, tables)
	{
		Oid			part = lfirst_oid(lc);
		Oid			other = kpi_fact_table_owner(part);

		if (!OidIsValid(other))
			continue;			/* dropped meanwhile */
		if (!kpi_role_trusts(owner, other))
			refuse_code(psprintf("table %s, which changes with table %s, belongs to role \"%s\"",
								 kpi_fact_table_name(part), kpi_fact_table_name(relid),
								 GetUserNameFromId(other, false)), owner, "Give it the same owner");
		check_triggers(part, owner);
		tables = add_followers(tables, part);
	}
}

/* What is written is for who may read it anywhere. */
static void
check_owner(const KpiRollup *rollup, Oid relid, Oid owner)
{
	char	   *name = GetUserNameFromId(owner, false);

	if (pg_class_aclcheck(kpi_relation_oid("kpi", "kpi_value"), owner, ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\", the owner of table %s, may not read KPIs", name, rollup->relation),
				 errhint("Run SELECT kpi.grant_reader(%s).", quote_literal_cstr(name))));
	if (kpi_role_privilege(owner) != NULL)
		check_code(relid, owner);
}

void
kpi_rollup_table_check_deferred(const KpiRollupTable *table)
{
	char	   *trigger = kpi_first_text("SELECT t.tgname FROM pg_catalog.pg_trigger t"
										 " WHERE t.tgrelid = $1 AND t.tginitdeferred AND t.tgenabled <> 'D'"
										 " ORDER BY t.tgname LIMIT 1",
										 1, KPI_VALUE(OIDOID, ObjectIdGetDatum(table->relid)));

	if (trigger != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("trigger \"%s\" of table %s is deferred, and cannot wait for the end of this transaction",
						trigger, table->rollup->relation),
				 errhint("The background worker writes the table; where there is none, make the trigger or constraint INITIALLY IMMEDIATE.")));
}

KpiRollupTable
kpi_rollup_table_open(KpiRollup *rollup)
{
	KpiRollupTable table = {.rollup = rollup,.relid = kpi_rollup_relid(rollup)};
	KpiLockWait wait;
	char		relkind;

	if (OidIsValid(table.relid))
	{
		kpi_fact_lock_wait_begin(&wait, rollup->relation);
		LockRelationOid(table.relid, RowExclusiveLock);
		kpi_fact_lock_wait_end(&wait);
		table.owner = kpi_fact_table_owner(table.relid);
	}
	if (!OidIsValid(table.owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s does not exist any more", rollup->relation),
				 errhint("Run SELECT kpi.drop_rollup(%s).", quote_literal_cstr(rollup->relation))));
	rollup->relation = kpi_fact_table_name(table.relid);
	relkind = get_rel_relkind(table.relid);
	if ((relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE) ||
		get_rel_persistence(table.relid) == RELPERSISTENCE_TEMP)
		refuse_misfit(rollup, "is no permanent table");
	check_columns(rollup, table.relid);
	check_owner(rollup, table.relid, table.owner);
	return table;
}

void
kpi_rollup_adopt(const KpiRollup *rollup)
{
	Oid			relid = kpi_model_relid_by_name(rollup->relation);
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.rollup SET relation = $2 WHERE id = $1 AND relation <> $2",
				 2, KPI_INT4(rollup->id), KPI_TEXT(rollup->relation));
	kpi_spi_exec("INSERT INTO kpi_internal.rollup_state (rollup_id, relid) VALUES ($1, $2)"
				 " ON CONFLICT (rollup_id) DO UPDATE SET relid = EXCLUDED.relid, shape = NULL,"
				 " last_error = NULL, last_sqlstate = NULL, hint = NULL, failing_since = NULL,"
				 " failures = 0, next_try = NULL",
				 2, KPI_INT4(rollup->id), KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));
	kpi_spi_end(&spi);
}

void
kpi_rollup_lock(const KpiRollup *rollup)
{
	LOCKTAG		tag;
	KpiLockWait wait;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) rollup->id, 0, ROLLUP_LOCK_CLASS);
	kpi_fact_lock_wait_begin(&wait, rollup->relation);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	kpi_fact_lock_wait_end(&wait);
}
