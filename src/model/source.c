/*-------------------------------------------------------------------------
 *
 * source.c
 *	  Loading definitions of sources, streams and measures.
 *
 * A definition is read as it is committed now.  Nothing is kept here: who
 * needs a definition for longer keeps it in a memory context of its own and
 * drops it on relation cache invalidation of the source's table, which every
 * change of a definition sends (kpi_define_source_redefined()).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "expr/expr.h"
#include "lib/stringinfo.h"
#include "model/model.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/snapmgr.h"

static bool
load_source(KpiSource *source, MemoryContext context)
{
	bool		isnull;

	if (kpi_spi_read("SELECT s.name, s.relation, s.filter, s.grain, s.calendar_id, c.time_zone, s.definer, "
					 "t.definer_oid, t.definer_login, t.code, t.table_owner "
					 "FROM kpi.source s JOIN kpi.calendar c ON c.id = s.calendar_id "
					 "LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id "
					 "WHERE s.id = $1", 1, KPI_INT4(source->id)) == 0)
		return false;

	source->name = kpi_spi_text_in(context, 0, 1);
	source->relation = kpi_spi_text_in(context, 0, 2);
	source->filter = kpi_spi_text_in(context, 0, 3);
	if (!kpi_calendar_grain_parse(kpi_spi_text(0, 4), &source->grain))
		elog(ERROR, "source \"%s\" has an unknown grain", source->name);
	source->calendar_id = kpi_spi_int4(0, 5);
	source->time_zone = kpi_spi_text_in(context, 0, 6);
	source->definer = kpi_spi_text_in(context, 0, 7);
	source->definer_oid = DatumGetObjectId(kpi_spi_datum(0, 8, &isnull));
	source->definer_login = kpi_spi_bool(0, 9);
	source->code = MemoryContextAllocZero(context, sizeof(KpiCode));
	(void) kpi_spi_datum(0, 10, &isnull);
	source->code->is_known = !isnull;
	source->code->known = kpi_spi_texts_in(context, 0, 10);
	source->table_owner = DatumGetObjectId(kpi_spi_datum(0, 11, &isnull));
	return true;
}

static void
load_dimensions(KpiSource *source, MemoryContext context)
{
	source->ndims = kpi_spi_read("SELECT name, expression FROM kpi.dimension "
								 "WHERE source_id = $1 ORDER BY position",
								 1, KPI_INT4(source->id));
	if (source->ndims == 0)
		return;

	source->dim_names = MemoryContextAlloc(context, source->ndims * sizeof(char *));
	source->dim_exprs = MemoryContextAlloc(context, source->ndims * sizeof(char *));
	for (int i = 0; i < source->ndims; i++)
	{
		source->dim_names[i] = kpi_spi_text_in(context, i, 1);
		source->dim_exprs[i] = kpi_spi_text_in(context, i, 2);
	}
}

static KpiOwnerKind
owner_kind(const char *name)
{
	if (strcmp(name, "member") == 0)
		return KPI_OWNER_MEMBER;
	if (strcmp(name, "team") == 0)
		return KPI_OWNER_TEAM;
	return KPI_OWNER_COMPANY;
}

static void
load_measure(KpiMeasure *m, uint64 row, MemoryContext context)
{
	char	   *kind = kpi_spi_text(row, 8);

	m->id = kpi_spi_int4(row, 5);
	m->kpi_id = kpi_spi_int4(row, 6);
	m->kpi_name = kpi_spi_text_in(context, row, 7);
	if (!kpi_cell_kind_parse(kind, &m->kind))
		elog(ERROR, "measure %d has unknown kind \"%s\"", m->id, kind);
	m->inputs = kpi_spi_texts_in(context, row, 9);
	if (list_length(m->inputs) != kpi_cell_kind_ninputs(m->kind))
		elog(ERROR, "measure %d has %d inputs", m->id, list_length(m->inputs));
	m->divisor = kpi_spi_int4(row, 10);
	m->built = kpi_spi_bool(row, 11);
}

/* The rows come by stream; each stream takes the rows that are its own. */
static void
load_streams(KpiSource *source, MemoryContext context)
{
	uint64		nrows;
	KpiStream  *stream = NULL;

	nrows = kpi_spi_read("SELECT s.id, s.version, s.owner_kind, s.owner, m.id, m.kpi_id, k.name, "
						 "m.kind, m.inputs, m.divisor, b.measure_id IS NOT NULL, s.at "
						 "FROM kpi_internal.stream s "
						 "JOIN kpi_internal.measure m ON m.stream_id = s.id "
						 "JOIN kpi.kpi k ON k.id = m.kpi_id "
						 "LEFT JOIN kpi_internal.measure_built b "
						 "ON b.measure_id = m.id AND b.stream_id = s.id AND b.version = s.version "
						 "WHERE s.source_id = $1 ORDER BY s.id, m.id",
						 1, KPI_INT4(source->id));
	if (nrows == 0)
		return;

	source->streams = MemoryContextAllocZero(context, nrows * sizeof(KpiStream));
	for (uint64 row = 0; row < nrows; row++)
	{
		int32		id = kpi_spi_int4(row, 1);

		if (stream == NULL || stream->id != id)
		{
			stream = &source->streams[source->nstreams++];
			stream->id = id;
			stream->version = kpi_spi_int4(row, 2);
			stream->owner_kind = owner_kind(kpi_spi_text(row, 3));
			stream->owner = kpi_spi_text_in(context, row, 4);
			stream->at = kpi_spi_text_in(context, row, 12);
			stream->measures = MemoryContextAllocZero(context,
													  (nrows - row) * sizeof(KpiMeasure));
		}
		load_measure(&stream->measures[stream->nmeasures++], row, context);
	}
}

KpiSource *
kpi_model_source_load(int32 source_id, bool use_active)
{
	MemoryContext context = CurrentMemoryContext;
	KpiSource  *source = palloc0(sizeof(KpiSource));
	KpiSpi		spi;
	bool		found;

	source->id = source_id;
	if (!use_active)
		PushActiveSnapshot(GetLatestSnapshot());
	kpi_spi_begin(&spi);
	found = load_source(source, context);
	if (found)
	{
		load_dimensions(source, context);
		load_streams(source, context);
	}
	kpi_spi_end(&spi);
	if (!use_active)
		PopActiveSnapshot();

	if (found)
	{
		List	   *names = kpi_qualified_names(source->relation);

		DeconstructQualifiedName(names, &source->schema_name, &source->relation_name);
		return source;
	}
	pfree(source);
	return NULL;
}

static int32
id_by_name(const char *sql, const char *name)
{
	KpiSpi		spi;
	int32		id = 0;

	kpi_spi_begin(&spi);
	if (kpi_spi_exec(sql, 1, KPI_TEXT(name)) > 0)
		id = kpi_spi_int4(0, 1);
	kpi_spi_end(&spi);
	return id;
}

int32
kpi_model_source_id(const char *name)
{
	int32		id = id_by_name("SELECT id FROM kpi.source WHERE name = $1", name);

	if (id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("source \"%s\" does not exist", name),
				 errhint("Table kpi.source lists the sources.")));
	return id;
}

Oid
kpi_model_relid_by_name(const char *relation)
{
	KpiSource	source = {0};

	DeconstructQualifiedName(kpi_qualified_names(relation),
							 &source.schema_name, &source.relation_name);
	return kpi_model_source_relid(&source);
}

Oid
kpi_model_source_relid(const KpiSource *source)
{
	Oid			namespace = get_namespace_oid(source->schema_name, true);

	return OidIsValid(namespace) ? get_relname_relid(source->relation_name, namespace) : InvalidOid;
}

Oid
kpi_model_source_definer(const KpiSource *source)
{
	return kpi_definer_role(source->name, source->definer, source->definer_oid);
}

/* Takes no lock: who needs the answer to hold locks the table first. */
List *
kpi_model_leaf_relids(Oid relid)
{
	List	   *leaves = NIL;
	ListCell   *lc;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(relid);

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_PARTITIONED_TABLE)
			leaves = lappend_oid(leaves, lfirst_oid(lc));
	}
	return leaves;
}

/* Through the text form, so that there is one place that lays out cells. */
KpiLayout *
kpi_model_stream_layout(const KpiStream *stream, const Bitmapset *which)
{
	StringInfoData spec;

	initStringInfo(&spec);
	for (int i = 0; i < stream->nmeasures; i++)
	{
		if (which != NULL && !bms_is_member(i, which))
			continue;
		appendStringInfo(&spec, "%s%d:%s", spec.len > 0 ? "," : "",
						 stream->measures[i].id,
						 kpi_cell_kind_name(stream->measures[i].kind));
	}
	return kpi_cell_layout_parse(spec.data);
}

const KpiStream *
kpi_model_stream_find(const KpiSource *source, int32 stream_id)
{
	for (int s = 0; s < source->nstreams; s++)
	{
		if (source->streams[s].id == stream_id)
			return &source->streams[s];
	}
	return NULL;
}
