/*-------------------------------------------------------------------------
 *
 * source_row.c
 *	  Rows of kpi.source as the defining functions change them: whose they are,
 *	  found and locked.
 *
 * Whoever has the privileges of a source's definer (fact/definer.c) may change
 * it.  Locks: the source's row, then the source's table (fact/table.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

bool
kpi_define_is_definer(const char *definer)
{
	Oid			role = get_role_oid(definer, true);

	return superuser() || (OidIsValid(role) && has_privs_of_role(GetUserId(), role));
}

Oid
kpi_define_source_row_definer(const KpiSourceRow *source)
{
	return kpi_definer_role(source->name, source->definer, source->definer_oid);
}

void
kpi_define_definer_switch(KpiUser *state, const KpiSourceRow *source)
{
	kpi_user_switch(state, kpi_define_source_row_definer(source));
}

void
kpi_define_source_row_require_table(const KpiSourceRow *source)
{
	if (!OidIsValid(source->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of source \"%s\" does not exist", source->relation, source->name),
				 kpi_model_keyed_load(source->id, false) != NULL ?
				 errhint("Call kpi.resume(%s) to have its rows kept again.", quote_literal_cstr(source->name)) :
				 errhint("Create the table again, or drop the source with kpi.drop_source().")));
}

/* Who changes a source has them renamed where they are stored as well. */
static void
rename_columns(KpiSourceRow *row)
{
	List	   *renames = kpi_model_renames(row->id, row->relid);

	row->key = kpi_expr_rename_columns(row->key, renames);
	row->owner = kpi_expr_rename_columns(row->owner, renames);
	row->team = kpi_expr_rename_columns(row->team, renames);
	row->at = kpi_expr_rename_columns(row->at, renames);
	row->filter = kpi_expr_rename_columns(row->filter, renames);
}

/*
 * Under a snapshot of its own: after waiting for a lock, a transaction's may
 * be too old to see what was committed meanwhile.
 */
KpiSourceRow *
kpi_define_source_row_read(const char *name)
{
	KpiSourceRow *row = palloc0(sizeof(KpiSourceRow));
	char	   *former;
	KpiRows		rows;

	PushActiveSnapshot(GetLatestSnapshot());
	kpi_rows_begin_read(&rows,
						"SELECT s.id, s.name, s.relation, s.key, s.owner, s.team, s.at, s.filter, s.definer, "
						"t.definer_oid, t.relid, t.former_relation, t.renamed_at "
						"FROM kpi.source s LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id "
						"WHERE s.name = $1", 1, KPI_TEXT(name));
	if (!kpi_rows_next(&rows))
		kpi_model_unknown_source(name);
	row->id = kpi_rows_int4(&rows, "id");
	row->name = kpi_rows_text(&rows, "name");
	row->relation = kpi_rows_text(&rows, "relation");
	row->key = kpi_rows_text(&rows, "key");
	row->owner = kpi_rows_text(&rows, "owner");
	row->team = kpi_rows_text(&rows, "team");
	row->at = kpi_rows_text(&rows, "at");
	row->filter = kpi_rows_text(&rows, "filter");
	row->definer = kpi_rows_text(&rows, "definer");
	row->definer_oid = kpi_rows_oid(&rows, "definer_oid");
	former = kpi_rows_text(&rows, "former_relation");
	if (!kpi_model_former_counts(former, kpi_rows_time(&rows, "renamed_at", DT_NOBEGIN)))
		former = NULL;
	row->relid = kpi_model_relid(row->relation, former, kpi_rows_oid(&rows, "relid"));
	kpi_rows_end(&rows);
	rename_columns(row);
	PopActiveSnapshot();
	return row;
}

void
kpi_define_source_row_require_definer(const KpiSourceRow *source)
{
	kpi_extension_require();
	if (!kpi_define_is_definer(source->definer))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for source \"%s\"", source->name),
				 errdetail("Its definer is role \"%s\".", source->definer),
				 errhint("Only its definer, members of that role and superusers may change a source and its KPIs.")));
}

void
kpi_define_require_source_rights(const char *name)
{
	kpi_define_source_row_require_definer(kpi_define_source_row_read(name));
}

/*
 * Locks the source's table, unless it is another that has come under its name,
 * on which the definer has no rights: nobody must wait for such a lock.
 */
static bool
lock_table(const KpiSourceRow *row, LOCKMODE lockmode)
{
	Oid			definer = get_role_oid(row->definer, true);

	if (!OidIsValid(row->relid) ||
		(row->relid != kpi_model_attached_relid(row->id) &&
		 !(OidIsValid(definer) && kpi_fact_definer_missing_grants(row->relid, definer) == NULL)))
		return false;
	kpi_fact_table_lock(row->relid, lockmode);
	return true;
}

/*
 * Before the table's lock: whoever holds the row's, for a goal or another
 * definition, may be idle in a transaction, and who waits for that must not
 * keep writers out of the table meanwhile.
 */
static void
lock_row(const KpiSourceRow *row)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("SELECT FROM kpi.source WHERE id = $1 FOR NO KEY UPDATE", 1, KPI_INT4(row->id));
	kpi_spi_end(&spi);
}

bool
kpi_define_source_row_lock(const KpiSourceRow *row, LOCKMODE lockmode)
{
	lock_row(row);
	return lock_table(row, lockmode);
}

void
kpi_define_source_row_set_definer(KpiSourceRow *row, Oid definer)
{
	row->definer = GetUserNameFromId(definer, false);
	row->definer_oid = definer;
}

/* The row of a source, locked; its definer is the named one if that is given. */
static KpiSourceRow *
open_row(const char *name, bool need_table, Oid named_definer)
{
	KpiSourceRow *row = kpi_define_source_row_read(name);

	kpi_define_source_row_require_definer(row);
	if (kpi_define_source_row_lock(row, ShareRowExclusiveLock))
	{
		kpi_refresh_follow_names(row->id);
		/* What the source says may have changed while we waited. */
		row = kpi_define_source_row_read(name);
		kpi_define_source_row_require_definer(row);
	}
	if (!need_table)
		return row;
	kpi_define_source_row_require_table(row);
	if (OidIsValid(named_definer))
	{
		/* The table of kept rows is given to it. */
		if (kpi_model_keyed_load(row->id, false) == NULL)
			kpi_fact_definer_check(row->relid, named_definer);
		kpi_define_source_row_set_definer(row, named_definer);
	}
	else
		kpi_define_source_row_set_definer(row,
										  kpi_fact_definer_settle(row->id, row->name, row->relid,
																  kpi_define_source_row_definer(row)));
	return row;
}

KpiSourceRow *
kpi_define_source_row_open(const char *name, bool need_table)
{
	return open_row(name, need_table, InvalidOid);
}

KpiSourceRow *
kpi_define_source_row_open_as(const char *name, Oid named_definer)
{
	return open_row(name, true, named_definer);
}
