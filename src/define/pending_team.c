/*-------------------------------------------------------------------------
 *
 * pending_team.c
 *	  Parents of teams that are still to come in a transaction.
 *
 * People bring their teams in any order.  A parent that is not there yet gets its
 * row of kpi.team at once, directly under the company, and one of
 * kpi_internal.pending_team, which kpi.create_team() takes away when it comes.  So
 * whoever reads within the transaction finds a tree that is whole, and nobody else
 * sees it before the commit, at which a deferred trigger refuses what is still
 * pending.
 *
 * kpi_internal.version is locked (team.c), so no two transactions expect a team.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "commands/trigger.h"
#include "define/define_internal.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(kpi_sql_check_pending_team);

void
kpi_define_pending_team_expect(const char *key)
{
	int32		id;

	if (kpi_spi_exec("SELECT FROM kpi.team WHERE key = $1", 1, KPI_TEXT(key)) > 0)
		return;
	id = kpi_first_int4("INSERT INTO kpi.team (key, name) VALUES ($1, $1) RETURNING id", 1, KPI_TEXT(key));
	kpi_spi_exec("INSERT INTO kpi.team_parent (team_id, parent_id) VALUES ($1, 1)", 1, KPI_INT4(id));
	kpi_spi_exec("INSERT INTO kpi_internal.pending_team (team_id) VALUES ($1)", 1, KPI_INT4(id));
}

int32
kpi_define_pending_team_take(const char *key)
{
	return kpi_first_int4("DELETE FROM kpi_internal.pending_team p USING kpi.team t"
						  " WHERE t.id = p.team_id AND t.key = $1 RETURNING t.id", 1, KPI_TEXT(key));
}

void
kpi_define_pending_team_check(int32 id, const char *key)
{
	if (kpi_spi_exec("SELECT FROM kpi_internal.pending_team WHERE team_id = $1", 1, KPI_INT4(id)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("team \"%s\" has not been made yet", key),
				 errdetail("In this transaction it was given as the parent of a team."),
				 errhint("First make it with kpi.create_team().")));
}

static void
refuse(int32 id, const char *key)
{
	char	   *children = kpi_list_some("SELECT DISTINCT '\"' || t.key || '\"' FROM kpi.team_parent p JOIN kpi.team t ON t.id = p.team_id"
										 " WHERE p.parent_id = $1 ORDER BY 1", id);
	char	   *near = kpi_near_names(kpi_all_texts("SELECT key FROM kpi.team WHERE id <> $1 ORDER BY key", 1, KPI_INT4(id)), key);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("team \"%s\" does not exist", key),
			 children ? errdetail("It is the parent of %s, and has not been made in the same transaction.", children) :
			 errdetail("It was given as the parent of a team, and has not been made in the same transaction."),
			 near ? errhint("Perhaps you mean %s.", near) :
			 errhint("The teams are in kpi.team, known by their key; kpi.create_team() makes one.")));
}

/*
 * Deferred AFTER INSERT ROW trigger of kpi_internal.pending_team
 * (kpi_internal.check_pending_team()): error if the team has not come.
 */
Datum
kpi_sql_check_pending_team(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	char	   *key;
	int32		id;
	bool		isnull;
	KpiSpi		spi;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		elog(ERROR, "kpi_internal.check_pending_team() must be called as a trigger after insert");
	kpi_define_check_our_table(trigdata->tg_relation);
	id = DatumGetInt32(SPI_getbinval(trigdata->tg_trigtuple, RelationGetDescr(trigdata->tg_relation), 1, &isnull));

	kpi_spi_begin(&spi);
	key = kpi_first_text("SELECT t.key FROM kpi_internal.pending_team p JOIN kpi.team t ON t.id = p.team_id"
						 " WHERE p.team_id = $1", 1, KPI_INT4(id));
	if (key)
		refuse(id, key);
	kpi_spi_end(&spi);
	return PointerGetDatum(NULL);
}
