/*-------------------------------------------------------------------------
 *
 * measure.c
 *	  Streams and measures: what sources and KPIs are compiled to.
 *
 * The source's table is locked (see fact/table.c), which also makes changes
 * of one source wait for each other.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "model/model.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

char *
kpi_define_text_check(Oid relid, const char *text, const char *what)
{
	return text == NULL ? NULL : kpi_expr_check_full(relid, text, what).text;
}

char *
kpi_define_filter_check(Oid relid, const char *text, const char *what)
{
	KpiExpr		expr;

	if (text == NULL)
		return NULL;
	expr = kpi_expr_check_full(relid, text, what);
	if (getBaseType(expr.type) != BOOLOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s is of type %s, not boolean: %s", what,
						format_type_be(expr.type), text),
				 errhint("Write a condition, like stage = 'won'.")));
	return expr.type == BOOLOID ? expr.text : psprintf("(%s)::boolean", expr.text);
}

/* How errors call an expression that the KPI or else its source gives. */
static char *
site_name(const char *part, const char *kpi_name, bool is_own, const KpiSourceRow *source)
{
	if (is_own && kpi_name != NULL)
		return psprintf("%s of KPI \"%s\"", part, kpi_name);
	return psprintf("%s of source \"%s\"", part, source->name);
}

KpiStreamKey
kpi_define_stream_key(const KpiSourceRow *source, const char *kpi_name,
					  const char *owner, const char *team, const char *at)
{
	bool		own_owner = owner != NULL || team != NULL;
	bool		own_at = at != NULL;
	KpiStreamKey key = {.owner_kind = "company",.credit = "then"};
	char	   *what;
	KpiExpr		expr;

	if (!own_owner)
	{
		owner = source->owner;
		team = source->team;
	}
	if (owner != NULL || team != NULL)
	{
		what = site_name(owner ? "owner" : "team", kpi_name, own_owner, source);
		key.owner_kind = owner ? "member" : "team";
		expr = kpi_expr_check_full(source->relid, owner ? owner : team, what);
		key.owner = kpi_fact_owner_key(&expr, what);
	}

	what = site_name("time (at)", kpi_name, own_at, source);
	expr = kpi_expr_check_full(source->relid, own_at ? at : source->at, what);
	kpi_fact_check_time(&expr, what);
	key.at = expr.text;
	return key;
}

/*
 * A stream that another transaction made meanwhile can only be met by a
 * transaction whose snapshot is older: ON CONFLICT makes that the error it
 * is, a failure to serialize.
 */
static int32
find_or_create_stream(int32 source_id, const KpiStreamKey *key, const char *part)
{
	int32		id;

	id = kpi_first_int4("SELECT id FROM kpi_internal.stream WHERE source_id = $1 AND owner_kind = $2 "
						"AND owner IS NOT DISTINCT FROM $3 AND at = $4 AND credit = $5 AND part = $6 "
						"AND currency IS NOT DISTINCT FROM $7 AND exchange IS NOT DISTINCT FROM $8",
						8, KPI_INT4(source_id), KPI_TEXT(key->owner_kind),
						KPI_TEXT(key->owner), KPI_TEXT(key->at), KPI_TEXT(key->credit), KPI_TEXT(part),
						KPI_TEXT(key->currency), KPI_TEXT(key->exchange));
	if (id == 0)
		id = kpi_first_int4("INSERT INTO kpi_internal.stream (source_id, owner_kind, owner, at, credit, part, currency, exchange) "
							"VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
							"ON CONFLICT (source_id, owner_kind, owner, at, credit, part, currency, exchange) DO UPDATE SET at = EXCLUDED.at "
							"RETURNING id",
							8, KPI_INT4(source_id), KPI_TEXT(key->owner_kind),
							KPI_TEXT(key->owner), KPI_TEXT(key->at), KPI_TEXT(key->credit), KPI_TEXT(part),
							KPI_TEXT(key->currency), KPI_TEXT(key->exchange));
	return id;
}

void
kpi_define_measure_drop(int32 kpi_id)
{
	kpi_spi_exec("WITH gone AS (DELETE FROM kpi_internal.measure WHERE kpi_id = $1 RETURNING id) "
				 "DELETE FROM kpi_internal.measure_built WHERE measure_id IN (SELECT id FROM gone)",
				 1, KPI_INT4(kpi_id));
}

/* What a measure is written as: its own, or one that goes with it. */
typedef struct Written
{
	const char *role;
	int32		stream_id;
	KpiKind		kind;
	const char *options;
	List	   *inputs;
	int32		divisor;
	const char *parameter;
} Written;

/*
 * Measures that are large are kept apart from all others; so are balances, as they
 * have more rollups.
 */
static const char *
stream_part(const KpiMeasureDef *def, int32 kpi_id)
{
	if (def->is_large)
		return psprintf("kpi %d", kpi_id);
	return def->kind == KPI_BALANCE ? "balance" : "";
}

static bool
is_written(int32 kpi_id, const Written *written)
{
	return kpi_spi_exec("SELECT FROM kpi_internal.measure WHERE kpi_id = $1 AND stream_id = $2 AND kind = $3 "
						"AND inputs = $4 AND divisor = $5 AND options = $6 AND parameter IS NOT DISTINCT FROM $7::numeric "
						"AND role = $8",
						8, KPI_INT4(kpi_id), KPI_INT4(written->stream_id), KPI_TEXT(kpi_cell_kind_name(written->kind)),
						KPI_TEXTS(written->inputs), KPI_INT4(written->divisor), KPI_TEXT(written->options),
						KPI_TEXT(written->parameter), KPI_TEXT(written->role)) > 0;
}

static void
write_measure(int32 kpi_id, const Written *written)
{
	kpi_spi_exec("INSERT INTO kpi_internal.measure (kpi_id, stream_id, kind, inputs, divisor, options, parameter, role) "
				 "VALUES ($1, $2, $3, $4, $5, $6, $7::numeric, $8)",
				 8, KPI_INT4(kpi_id), KPI_INT4(written->stream_id), KPI_TEXT(kpi_cell_kind_name(written->kind)),
				 KPI_TEXTS(written->inputs), KPI_INT4(written->divisor), KPI_TEXT(written->options),
				 KPI_TEXT(written->parameter), KPI_TEXT(written->role));
}

/* Its own. */
static Written
value_of(int32 source_id, const KpiStreamKey *key, const KpiMeasureDef *def, const char *part)
{
	return (Written)
	{
		.role = "value",
			.stream_id = find_or_create_stream(source_id, key, part),
			.kind = def->kind,
			.options = def->options,
			.inputs = def->inputs,
			.divisor = def->divisor,
			.parameter = def->parameter
	};
}

/* Of a balance: the same amounts, at another time, in the other direction. */
static Written
end_of(int32 source_id, const KpiStreamKey *key, const KpiMeasureDef *def, const char *part)
{
	KpiStreamKey end_key = *key;
	Written		end;

	end_key.at = key->until;
	end = value_of(source_id, &end_key, def, part);
	end.role = "end";
	end.inputs = list_make3(linitial(def->inputs), lsecond(def->inputs), "-1");
	return end;
}

/* The facts that do not count in the first: in a stream that all rows of the source are facts of. */
static Written
left_out_of(int32 source_id, const KpiStreamKey *key, const KpiMeasureDef *def)
{
	KpiStreamKey all_key = {.owner_kind = "company",.at = key->at,.credit = "then"};
	List	   *texts = list_make3(def->filter ? unconstify(char *, def->filter) : "true",
								   def->is_reversed ? def->is_reversed : "false",
								   def->has_value ? def->has_value : "true");

	return (Written)
	{
		.role = "left_out",
			.stream_id = find_or_create_stream(source_id, &all_key, KPI_LEFT_OUT_PART),
			.kind = KPI_LEFT_OUT,
			.options = "",
			.inputs = list_concat_copy(texts, def->numbers),
			.divisor = 1
	};
}

void
kpi_define_measure_write(int32 source_id, int32 kpi_id, const KpiStreamKey *key,
						 const KpiMeasureDef *def, bool discard_sealed)
{
	const char *part = stream_part(def, kpi_id);
	Written		written[3];
	int			n = 0;
	bool		is_same = true;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	written[n++] = value_of(source_id, key, def, part);
	if (key->until != NULL)
		written[n++] = end_of(source_id, key, def, part);
	written[n++] = left_out_of(source_id, key, def);
	for (int i = 0; i < n; i++)
		is_same &= is_written(kpi_id, &written[i]);
	if (!is_same)
	{
		if (!discard_sealed)
			kpi_define_sealed_check(source_id, psprintf("KPI \"%s\"",
														kpi_first_text("SELECT k.name FROM kpi.kpi k WHERE k.id = $1",
																	   1, KPI_INT4(kpi_id))));
		kpi_define_measure_drop(kpi_id);
		for (int i = 0; i < n; i++)
			write_measure(kpi_id, &written[i]);
		kpi_spi_exec("INSERT INTO kpi_internal.left_out_unsaid (kpi_id) VALUES ($1) ON CONFLICT DO NOTHING",
					 1, KPI_INT4(kpi_id));
		kpi_define_streams_drop(source_id, false);
	}
	kpi_spi_end(&spi);
	kpi_model_code_accept(source_id, kpi_id);
}

void
kpi_define_streams_drop(int32 source_id, bool all)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("WITH gone AS (DELETE FROM kpi_internal.stream s WHERE s.source_id = $1 AND "
				 "($2 OR NOT EXISTS (SELECT FROM kpi_internal.measure m WHERE m.stream_id = s.id)) "
				 "RETURNING id), "
				 "days AS (DELETE FROM kpi_internal.day_cell WHERE stream_id IN (SELECT id FROM gone)), "
				 "unknown AS (DELETE FROM kpi_internal.unknown_day WHERE stream_id IN (SELECT id FROM gone)) "
				 "DELETE FROM kpi_internal.rollup_cell WHERE stream_id IN (SELECT id FROM gone)",
				 2, KPI_INT4(source_id), KPI_BOOL(all));
	kpi_spi_end(&spi);
}
