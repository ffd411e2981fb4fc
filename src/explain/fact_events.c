/*-------------------------------------------------------------------------
 *
 * fact_events.c
 *	  kpi.fact_events(): the rows that a fact is made of.
 *
 * Of a keyed source they are the rows of the tables it follows that touch the entity of the
 * fact (fact/keyed_behind.c); of a source over a table the row itself.  The reader must be
 * allowed to read the whole of each table, as whole rows are shown; they are read as the
 * source's definer, as all of it is (read.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "explain/explain_internal.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kpi_sql_fact_events);

/* Columns of the result. */
enum
{
	OUT_RELATION,
	OUT_KEY,
	OUT_DATA,
	OUT_COLUMNS
};

typedef struct Events
{
	char	   *key;			/* of the fact */
	KpiExplainSource *open;
	KpiKept    *kept;			/* or NULL: of a table */
	List	   *computed;		/* numbers of columns of the table that are
								 * computed when they are read */
	List	   *exprs;			/* and these, KpiFactExpr */
	List	   *entities;		/* Datum *: of the facts with the key */
	int			facts;
	const KpiFollow *follow;	/* at hand */
	ReturnSetInfo *rsinfo;
	MemoryContext mcxt;
}			Events;

static void
put(const Events * events, const char *relation, Datum key, bool no_key, Datum data)
{
	Datum		values[OUT_COLUMNS] = {[OUT_RELATION] = CStringGetTextDatum(relation),[OUT_KEY] = key,[OUT_DATA] = data};
	bool		nulls[OUT_COLUMNS] = {[OUT_KEY] = no_key};

	tuplestore_putvalues(events->rsinfo->setResult, events->rsinfo->setDesc, values, nulls);
}

/* ---- of a table ---- */

/* What a statement that reads the table would show. */
static void
find_computed(Events * events)
{
	Relation	rel = RelationIdGetRelation(events->open->relid);
	TupleDesc	desc;

	if (!RelationIsValid(rel))
		elog(ERROR, "could not open relation with OID %u", events->open->relid);
	desc = RelationGetDescr(rel);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated != 'v')
			continue;
		events->computed = lappend_int(events->computed, i);
		events->exprs = lappend(events->exprs,
								kpi_explain_expr(events->open, quote_identifier(NameStr(att->attname))));
	}
	RelationClose(rel);
}

static void
compute(const Events * events, TupleTableSlot *slot)
{
	ListCell   *number;
	ListCell   *expr;

	forboth(number, events->computed, expr, events->exprs)
	{
		int			i = lfirst_int(number);

		if (!kpi_fact_expr_value(lfirst(expr), slot, &slot->tts_values[i], &slot->tts_isnull[i]))
			slot->tts_isnull[i] = true;
	}
}

/* As the source's definer, as the next. */
static void
take_row(void *arg, const KpiExplainRow * row)
{
	Events	   *events = arg;
	HeapTuple	tuple;
	Datum		json;

	compute(events, row->slot);
	tuple = heap_form_tuple(row->slot->tts_tupleDescriptor, row->slot->tts_values, row->slot->tts_isnull);
	json = DirectFunctionCall1(row_to_json, heap_copy_tuple_as_datum(tuple, row->slot->tts_tupleDescriptor));
	put(events, events->open->source->relation, CStringGetTextDatum(row->key), false,
		DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(json))));
	events->facts++;
}

/* ---- of a keyed source ---- */

static void
take_kept(void *arg, const KpiExplainRow * row)
{
	Events	   *events = arg;
	MemoryContext old = MemoryContextSwitchTo(events->mcxt);

	events->entities = lappend(events->entities, kpi_fact_kept_entity(events->kept, row->slot));
	events->facts++;
	MemoryContextSwitchTo(old);
}

static void
take_event(void *arg, TupleTableSlot *row)
{
	const		Events *events = arg;

	put(events, events->follow->relation, row->tts_values[0], row->tts_isnull[0], row->tts_values[1]);
}

static void
check_followed(const Events * events)
{
	const		KpiExplainSource *open = events->open;
	ListCell   *lc;

	if (!open->keyed->is_followed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" follows no table", open->source->name),
				 errdetail("Its query is read again as a whole, and nothing says which rows a fact is made of."),
				 errhint("Say which entities the rows of its tables touch: kpi.alter_source(%s, follow => ...).",
						 quote_literal_cstr(open->source->name))));
	foreach(lc, open->keyed->follows)
	{
		const KpiFollow *follow = lfirst(lc);
		Oid			relid = kpi_model_relid_by_name(follow->relation);

		/* Of one that is gone the examination tells. */
		if (follow->query != NULL && OidIsValid(relid))
			kpi_explain_check_reader(relid, NULL);
	}
}

static void
open_kept(Events * events)
{
	KpiUser		user;

	check_followed(events);
	kpi_fact_kept_begin(&user, events->open->source);
	events->kept = kpi_fact_kept_behind(events->open->source, events->open->keyed, events->open->relid);
	kpi_user_restore(&user);
}

static void
read_followed(Events * events)
{
	KpiUser		user;
	ListCell   *follow;
	ListCell   *entity;

	kpi_fact_kept_begin(&user, events->open->source);
	foreach(follow, events->open->keyed->follows)
	{
		events->follow = lfirst(follow);
		foreach(entity, events->entities)
		{
			if (events->follow->query != NULL)
				kpi_fact_kept_events(events->kept, events->follow, lfirst(entity), take_event, events);
		}
	}
	kpi_user_restore(&user);
}

/* kpi.fact_events(source, key) */
Datum
kpi_sql_fact_events(PG_FUNCTION_ARGS)
{
	char	   *source_name = kpi_arg_name(fcinfo, 0, "source");
	Events		events = {
		.key = kpi_fact_key_arg(fcinfo, 1, "key"),.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo,
		.mcxt = CurrentMemoryContext
	};
	KpiExplainWanted wanted = {
		.since = DATEVAL_NOBEGIN,.until = DATEVAL_NOEND,.and_filtered = true,.key = events.key
	};

	InitMaterializedSRF(fcinfo, 0);
	events.open = kpi_explain_open(kpi_model_source_id(source_name));
	kpi_explain_require_key(events.open);
	if (events.open->keyed != NULL)
		open_kept(&events);
	else
	{
		kpi_explain_check_reader(events.open->relid, NULL);
		find_computed(&events);
	}
	kpi_explain_read(events.open, &wanted, events.kept ? take_kept : take_row, &events);
	if (events.facts == 0)
		kpi_explain_unknown_fact(events.open, events.key);
	if (events.kept != NULL)
		read_followed(&events);
	kpi_explain_close(events.open);
	return (Datum) 0;
}
