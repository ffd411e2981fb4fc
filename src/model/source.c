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
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "expr/expr.h"
#include "lib/stringinfo.h"
#include "model/model_internal.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

static bool
load_source(KpiSource *source)
{
	KpiRows		rows;
	Oid			relid;
	Datum		columns;
	Datum		hold_if_lost;
	bool		isnull;
	bool		found;

	kpi_rows_begin_read(&rows,
						"SELECT s.name, s.relation, s.filter, s.loaded_at, s.stale_seconds, s.grain, s.calendar_id, c.time_zone, "
						"s.definer, s.on_swap = 'follow' AS follows_swaps, s.hold_if_lost, t.definer_oid, t.definer_login, t.code, "
						"t.table_owner, t.relid, t.columns, t.former_relation, t.renamed_at "
						"FROM kpi.source s JOIN kpi.calendar c ON c.id = s.calendar_id "
						"LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id "
						"WHERE s.id = $1", 1, KPI_INT4(source->id));
	found = kpi_rows_next(&rows);
	if (found)
	{
		source->name = kpi_rows_text(&rows, "name");
		source->relation = source->stored_relation = kpi_rows_text(&rows, "relation");
		source->former_relation = kpi_rows_text(&rows, "former_relation");
		if (!kpi_model_former_counts(source->former_relation, kpi_rows_time(&rows, "renamed_at", DT_NOBEGIN)))
			source->former_relation = NULL;
		source->attached = kpi_rows_oid(&rows, "relid");
		hold_if_lost = kpi_rows_datum(&rows, "hold_if_lost", &isnull);
		if (!isnull)
			source->hold_if_lost = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, hold_if_lost));
		source->follows_swaps = kpi_rows_bool(&rows, "follows_swaps");
		relid = kpi_model_source_relid(source);
		if (OidIsValid(relid) && relid != kpi_model_relid_by_name(source->relation))
			source->relation = kpi_stored_name(get_namespace_name(get_rel_namespace(relid)),
											   get_rel_name(relid));
		columns = kpi_rows_datum(&rows, "columns", &isnull);
		if (!isnull)
			source->renames = kpi_model_renames_for(relid, source->attached, DatumGetJsonbP(columns));
		source->filter = kpi_rows_text(&rows, "filter");
		source->loaded_at = kpi_rows_text(&rows, "loaded_at");
		source->stale_seconds = kpi_rows_int4(&rows, "stale_seconds");
		if (!kpi_calendar_grain_parse(kpi_rows_text(&rows, "grain"), &source->grain))
			elog(ERROR, "source \"%s\" has an unknown grain", source->name);
		source->calendar_id = kpi_rows_int4(&rows, "calendar_id");
		source->time_zone = kpi_rows_text(&rows, "time_zone");
		source->definer = kpi_rows_text(&rows, "definer");
		source->definer_oid = kpi_rows_oid(&rows, "definer_oid");
		source->definer_login = kpi_rows_bool(&rows, "definer_login");
		(void) kpi_rows_datum(&rows, "code", &isnull);
		source->code = palloc0(sizeof(KpiCode));
		source->code->is_known = !isnull;
		source->code->known = kpi_rows_texts(&rows, "code");
		source->table_owner = kpi_rows_oid(&rows, "table_owner");
	}
	kpi_rows_end(&rows);
	return found;
}

/* To the facts query an attribute is NULL: who it is of is known, and what it is comes with the team. */
static void
load_dimensions(KpiSource *source)
{
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT name, attribute,"
						" CASE WHEN attribute IS NULL THEN expression ELSE 'NULL::text' END AS expression FROM kpi.dimension "
						"WHERE source_id = $1 ORDER BY position",
						1, KPI_INT4(source->id));
	if (rows.n > 0)
	{
		source->dim_names = palloc(rows.n * sizeof(char *));
		source->dim_exprs = palloc(rows.n * sizeof(char *));
		source->dim_attributes = palloc(rows.n * sizeof(char *));
	}
	while (kpi_rows_next(&rows))
	{
		source->dim_names[source->ndims] = kpi_rows_text(&rows, "name");
		source->dim_attributes[source->ndims] = kpi_rows_text(&rows, "attribute");
		source->has_attributes |= source->dim_attributes[source->ndims] != NULL;
		source->dim_exprs[source->ndims++] = kpi_rows_text(&rows, "expression");
	}
	kpi_rows_end(&rows);
}

KpiOwnerKind
kpi_model_owner_kind(const char *name, const char *credit)
{
	bool		of_today = strcmp(credit, "today") == 0;

	if (strcmp(name, "member") == 0)
		return of_today ? KPI_OWNER_MEMBER_TODAY : KPI_OWNER_MEMBER;
	if (strcmp(name, "team") == 0)
		return of_today ? KPI_OWNER_TEAM_TODAY : KPI_OWNER_TEAM;
	return KPI_OWNER_COMPANY;
}

bool
kpi_model_owner_is_member(KpiOwnerKind kind)
{
	return kind == KPI_OWNER_MEMBER || kind == KPI_OWNER_MEMBER_TODAY;
}

bool
kpi_model_owner_is_of_today(KpiOwnerKind kind)
{
	return kind == KPI_OWNER_MEMBER_TODAY || kind == KPI_OWNER_TEAM_TODAY;
}

/* As many as its kind takes; of what is left out, with all numbers of the measure. */
static bool
has_inputs(const KpiMeasure *m)
{
	int			n = list_length(m->inputs);

	return m->kind == KPI_LEFT_OUT ? n >= KPI_LEFT_OUT_TEXTS : n == kpi_cell_kind_ninputs(m->kind);
}

static void
load_measure(KpiMeasure *m, KpiRows *rows)
{
	char	   *kind = kpi_rows_text(rows, "kind");

	m->id = kpi_rows_int4(rows, "measure_id");
	m->kpi_id = kpi_rows_int4(rows, "kpi_id");
	m->kpi_name = kpi_rows_text(rows, "kpi");
	if (!kpi_cell_kind_parse(kind, &m->kind))
		elog(ERROR, "measure %d has unknown kind \"%s\"", m->id, kind);
	m->is_end = strcmp(kpi_rows_text(rows, "role"), "end") == 0;
	m->options = kpi_rows_text(rows, "options");
	m->inputs = kpi_rows_texts(rows, "inputs");
	if (!has_inputs(m))
		elog(ERROR, "measure %d has %d inputs", m->id, list_length(m->inputs));
	m->divisor = kpi_rows_int4(rows, "divisor");
	m->is_known = kpi_rows_bool(rows, "is_known");
	m->days_since = kpi_rows_date(rows, "days_since", DATEVAL_NOEND);
	m->rollups_since = kpi_rows_date(rows, "rollups_since", DATEVAL_NOEND);
}

/* The rows come by stream; each stream takes the rows that are its own. */
static void
load_streams(KpiSource *source)
{
	KpiRows		rows;
	KpiStream  *stream = NULL;

	kpi_rows_begin_read(&rows,
						"SELECT s.id, s.version, s.owner_kind, s.credit, s.owner, s.at, s.part, s.currency, s.exchange, m.id AS measure_id, m.kpi_id, m.role, "
						"k.name AS kpi, m.kind, m.options, m.inputs, m.divisor, "
						"b.measure_id IS NOT NULL AS is_known, b.days_since, b.rollups_since "
						"FROM kpi_internal.stream s "
						"JOIN kpi_internal.measure m ON m.stream_id = s.id "
						"JOIN kpi.kpi k ON k.id = m.kpi_id "
						"LEFT JOIN kpi_internal.measure_built b "
						"ON b.measure_id = m.id AND b.stream_id = s.id AND b.version = s.version "
						"WHERE s.source_id = $1 ORDER BY s.id, m.id",
						1, KPI_INT4(source->id));
	if (rows.n > 0)
		source->streams = palloc0(rows.n * sizeof(KpiStream));
	while (kpi_rows_next(&rows))
	{
		int32		id = kpi_rows_int4(&rows, "id");

		if (stream == NULL || stream->id != id)
		{
			stream = &source->streams[source->nstreams++];
			stream->id = id;
			stream->version = kpi_rows_int4(&rows, "version");
			stream->owner_kind = kpi_model_owner_kind(kpi_rows_text(&rows, "owner_kind"), kpi_rows_text(&rows, "credit"));
			stream->owner = kpi_rows_text(&rows, "owner");
			stream->at = kpi_rows_text(&rows, "at");
			stream->is_left_out = strcmp(kpi_rows_text(&rows, "part"), KPI_LEFT_OUT_PART) == 0;
			stream->currency = kpi_rows_text(&rows, "currency");
			stream->exchange = kpi_rows_text(&rows, "exchange");
			stream->measures = palloc0((rows.n - rows.next + 1) * sizeof(KpiMeasure));
		}
		load_measure(&stream->measures[stream->nmeasures++], &rows);
	}
	kpi_rows_end(&rows);
}

KpiSource *
kpi_model_source_load(int32 source_id, bool use_active)
{
	KpiSource  *source = palloc0(sizeof(KpiSource));
	bool		found;

	source->id = source_id;
	if (!use_active)
		PushActiveSnapshot(kpi_snapshot_latest());
	found = load_source(source);
	if (found)
	{
		load_dimensions(source);
		load_streams(source);
		kpi_model_rename_source(source);
	}
	if (!use_active)
		PopActiveSnapshot();

	if (found)
		return source;
	pfree(source);
	return NULL;
}

void
kpi_model_unknown_source(const char *name)
{
	char	   *near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.source ORDER BY name", 0), name);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("source \"%s\" does not exist", name),
			 near ? errhint("Perhaps you mean %s.", near) : errhint("Table kpi.source lists the sources.")));
}

int32
kpi_model_source_id(const char *name)
{
	int32		id = kpi_first_int4("SELECT id FROM kpi.source WHERE name = $1", 1, KPI_TEXT(name));

	if (id == 0)
		kpi_model_unknown_source(name);
	return id;
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

bool
kpi_model_stream_has_balance(const KpiStream *stream)
{
	for (int m = 0; m < stream->nmeasures; m++)
	{
		if (stream->measures[m].kind == KPI_BALANCE)
			return true;
	}
	return false;
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
		if (stream->measures[i].options[0] != '\0')
			appendStringInfo(&spec, "(%s)", stream->measures[i].options);
	}
	return kpi_cell_layout_parse(spec.data);
}

int
kpi_model_stream_ndims(const KpiSource *source, const KpiStream *stream)
{
	return stream->is_left_out ? 0 : source->ndims + (stream->currency != NULL);
}

const char *
kpi_model_stream_dim_name(const KpiSource *source, const KpiStream *stream, int i)
{
	return i < source->ndims ? source->dim_names[i] : KPI_CURRENCY_COLUMN;
}

const char *
kpi_model_stream_dim_expr(const KpiSource *source, const KpiStream *stream, int i)
{
	return i < source->ndims ? source->dim_exprs[i] : stream->currency;
}

/*
 * Amounts are converted on their way to the rollups, and not where they are read.  Of a
 * balance all days before one count, so that a value of a dimension cannot be had from
 * the cells of owners.
 */
int
kpi_model_stream_detail(const KpiStream *stream)
{
	int			detail = 0;

	if (stream->currency != NULL)
		detail |= KPI_DETAIL_PARTS | KPI_DETAIL_MEMBERS;
	if (kpi_model_stream_has_balance(stream))
		detail |= KPI_DETAIL_PARTS | KPI_DETAIL_YEARS;
	return detail;
}

bool
kpi_model_source_has_currency(const KpiSource *source)
{
	for (int s = 0; s < source->nstreams; s++)
	{
		if (source->streams[s].currency != NULL)
			return true;
	}
	return false;
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
