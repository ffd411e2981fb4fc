/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  Triggers that let a dump of the definitions be restored in any order.
 *
 * Rows of the tables that pg_dump dumps (85_restore.sql names them) arrive
 * after CREATE EXTENSION has made its own rows, and with pg_restore -j before
 * the rows they refer to.
 *
 * Locks: KEY SHARE on a row that is referred to, as a foreign key takes it.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(kpi_sql_restore_builtin);
PG_FUNCTION_INFO_V1(kpi_sql_check_reference);
PG_FUNCTION_INFO_V1(kpi_sql_restore_org);
PG_FUNCTION_INFO_V1(kpi_sql_is_defining);

/* While kpi_sql_restore_builtin() writes what a dump says. */
static bool restoring = false;

void
kpi_define_check_our_table(Relation rel)
{
	if (rel->rd_rel->relowner != kpi_extension_owner())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table \"%s\" does not belong to extension \"pg_kpi\"",
						RelationGetRelationName(rel))));
}

/*
 * BEFORE INSERT ROW trigger for tables in which CREATE EXTENSION puts rows
 * itself (kpi_internal.restore_builtin()).  A dump holds those rows too, as
 * users may have changed them.  When one arrives, the row that has its id
 * becomes what the dump says, and nothing is inserted.
 */
Datum
kpi_sql_restore_builtin(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	tupdesc;
	StringInfoData sql;
	Datum		id;
	Datum		row;
	bool		isnull;
	const char *separator = "";
	KpiSpi		spi;
	bool		found = false;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		elog(ERROR, "kpi_internal.restore_builtin() must be called as a trigger before insert");

	kpi_define_check_our_table(trigdata->tg_relation);

	tupdesc = RelationGetDescr(trigdata->tg_relation);
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s SET ",
					 quote_qualified_identifier(get_namespace_name(
																   RelationGetNamespace(trigdata->tg_relation)),
												RelationGetRelationName(trigdata->tg_relation)));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (att->attisdropped || strcmp(NameStr(att->attname), "id") == 0)
			continue;
		appendStringInfo(&sql, "%s%s = ($2).%s", separator,
						 quote_identifier(NameStr(att->attname)),
						 quote_identifier(NameStr(att->attname)));
		separator = ", ";
	}
	appendStringInfoString(&sql, " WHERE id = $1");

	id = SPI_getbinval(trigdata->tg_trigtuple, tupdesc,
					   SPI_fnumber(tupdesc, "id"), &isnull);
	row = heap_copy_tuple_as_datum(trigdata->tg_trigtuple, tupdesc);

	kpi_spi_begin(&spi);
	restoring = true;
	PG_TRY();
	{
		found = kpi_spi_exec(sql.data, 2, KPI_VALUE(INT4OID, id),
							 KPI_VALUE(tupdesc->tdtypeid, row)) > 0;
	}
	PG_FINALLY();
	{
		restoring = false;
	}
	PG_END_TRY();
	kpi_spi_end(&spi);

	return PointerGetDatum(found ? NULL : trigdata->tg_trigtuple);
}

/*
 * AFTER INSERT OR UPDATE ROW trigger with three arguments, a column, and the
 * table and the column of it to which it refers (kpi_internal.check_reference()): what the
 * foreign key would check, but only for rows our own functions write.  Rows of
 * a dump are right already.  What tells them apart is kpi_spi_begin().
 */
Datum
kpi_sql_check_reference(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel;
	HeapTuple	tuple;
	char	   *column;
	char	   *referred;
	Datum		id;
	int			attno;
	bool		isnull;
	KpiSpi		spi;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigdata->tg_trigger->tgnargs != 3)
		elog(ERROR, "kpi_internal.check_reference() must be called as a trigger with three arguments");
	/* Rows that a dump brings define something as well. */
	kpi_wake_request(true);
	if (restoring || !InLocalUserIdChange())
		return PointerGetDatum(NULL);

	rel = trigdata->tg_relation;
	kpi_define_check_our_table(rel);
	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	column = trigdata->tg_trigger->tgargs[0];
	referred = trigdata->tg_trigger->tgargs[1];
	attno = SPI_fnumber(RelationGetDescr(rel), column);
	id = SPI_getbinval(tuple, RelationGetDescr(rel), attno, &isnull);
	if (isnull)
		return PointerGetDatum(NULL);

	kpi_spi_begin(&spi);
	if (kpi_spi_exec(psprintf("SELECT FROM %s WHERE %s = $1 FOR KEY SHARE", referred,
							  quote_identifier(trigdata->tg_trigger->tgargs[2])),
					 1, KPI_VALUE(SPI_gettypeid(RelationGetDescr(rel), attno), id)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("row %s of table \"%s\" does not exist any more",
						SPI_getvalue(tuple, RelationGetDescr(rel), attno), referred),
				 errdetail("Column \"%s\" of table \"%s\" refers to it.",
						   column, RelationGetRelationName(rel)),
				 errhint("It was dropped at the same time: try again.")));
	kpi_spi_end(&spi);

	return PointerGetDatum(NULL);
}

/*
 * AFTER INSERT STATEMENT trigger of the tables of teams and people
 * (kpi_internal.restore_org()): a dump's rows come after a refresh may have
 * computed without them, as our own functions raise the version and COPY does not.
 */
Datum
kpi_sql_restore_org(PG_FUNCTION_ARGS)
{
	KpiSpi		spi;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "kpi_internal.restore_org() must be called as a trigger");
	if (restoring || InLocalUserIdChange())
		return PointerGetDatum(NULL);
	kpi_define_check_our_table(((TriggerData *) fcinfo->context)->tg_relation);
	kpi_spi_begin(&spi);
	kpi_define_touch();
	kpi_spi_end(&spi);
	return PointerGetDatum(NULL);
}

/*
 * Whether a function of ours writes, and not a dump or an administrator, and does not put
 * what it writes into the log itself (kpi_internal.is_defining()).
 */
Datum
kpi_sql_is_defining(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(InLocalUserIdChange() && !restoring && !kpi_people_logs_itself);
}
