/*-------------------------------------------------------------------------
 *
 * kpi.c
 *	  SQL functions that define KPIs.
 *
 * A KPI is a measure of one source or a formula over KPIs.  Measures are
 * changed by whoever may change their source, formulas by editors or by who
 * may change every source they rest on.  Locks: a source's table first (see
 * fact/table.c); for formulas, kpi_internal.formula_input against other
 * changes of formulas, so that two of them cannot make a cycle together.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(kpi_sql_create_kpi);
PG_FUNCTION_INFO_V1(kpi_sql_alter_kpi);
PG_FUNCTION_INFO_V1(kpi_sql_drop_kpi);

/* Of kpi.create_kpi() and kpi.alter_kpi(). */
#define CREDIT_ARGUMENT 12
#define SEALED_ARGUMENT 13

/* Of each of the two. */
#define CREATE_UNTIL_ARGUMENT 13
#define ALTER_UNTIL_ARGUMENT 14
#define CREATE_LABEL_ARGUMENT 15
#define ALTER_LABEL_ARGUMENT 16
#define ALTER_SOURCE_ARGUMENT 20

/* A row of kpi.kpi with the name of its source. */
typedef struct KpiRow
{
	int32		id;
	char	   *name;
	char	   *source;
	char	   *measure;
	char	   *filter;
	char	   *owner;
	char	   *team;
	char	   *at;
	char	   *credit;			/* then or today */
	char	   *until;
	char	   *exchange;
	bool		exchange_given; /* just now */
	char	   *formula;
	char	   *unit;
	char	   *direction;
	char	   *title;
	char	   *description;
	bool		is_additive;
} KpiRow;

#define KPI_ROW_COLUMNS \
	"k.id, k.name, s.name AS source, k.measure, k.filter, k.owner, k.team, k.at, k.credit, k.until, k.exchange, k.formula, " \
	"k.unit, k.direction, k.title, k.description, k.is_additive " \
	"FROM kpi.kpi k LEFT JOIN kpi.source s ON s.id = k.source_id "

static KpiRow *
copy_row(KpiRows *rows)
{
	KpiRow	   *kpi = palloc0(sizeof(KpiRow));

	kpi->id = kpi_rows_int4(rows, "id");
	kpi->name = kpi_rows_text(rows, "name");
	kpi->source = kpi_rows_text(rows, "source");
	kpi->measure = kpi_rows_text(rows, "measure");
	kpi->filter = kpi_rows_text(rows, "filter");
	kpi->owner = kpi_rows_text(rows, "owner");
	kpi->team = kpi_rows_text(rows, "team");
	kpi->at = kpi_rows_text(rows, "at");
	kpi->credit = kpi_rows_text(rows, "credit");
	kpi->until = kpi_rows_text(rows, "until");
	kpi->exchange = kpi_rows_text(rows, "exchange");
	kpi->formula = kpi_rows_text(rows, "formula");
	kpi->unit = kpi_rows_text(rows, "unit");
	kpi->direction = kpi_rows_text(rows, "direction");
	kpi->title = kpi_rows_text(rows, "title");
	kpi->description = kpi_rows_text(rows, "description");
	kpi->is_additive = kpi_rows_bool(rows, "is_additive");
	return kpi;
}

static KpiRow *
read_row(const char *name)
{
	KpiRow	   *kpi;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT " KPI_ROW_COLUMNS "WHERE k.name = $1", 1, KPI_TEXT(name));
	if (!kpi_rows_next(&rows))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" does not exist", name),
				 errhint("Table kpi.kpi lists the KPIs.")));
	kpi = copy_row(&rows);
	kpi_rows_end(&rows);
	return kpi;
}

static void
check_new_name(const char *name)
{
	if (kpi_spi_exec("SELECT FROM kpi.kpi WHERE name = $1", 1, KPI_TEXT(name)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("KPI \"%s\" already exists", name),
				 errhint("Change it with kpi.alter_kpi(), or choose another name.")));
}

static void
check_direction(const char *direction, const char *name)
{
	if (direction == NULL ||
		(strcmp(direction, "up") != 0 && strcmp(direction, "down") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown direction \"%s\" of KPI \"%s\"", direction ? direction : "", name),
				 errhint("It is 'up' when more is better, 'down' when less is.")));
}

static void
check_credit(const char *credit, const char *name)
{
	if (strcmp(credit, "then") != 0 && strcmp(credit, "today") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown credit \"%s\" of KPI \"%s\"", credit, name),
				 errhint("It is 'then' when facts count for the team their owner belonged to on their day, 'today' when for the team the owner belongs to today.")));
}

/* ---- measures ---- */

/* What a measure takes besides: until, of a balance; exchange, of amounts in a currency. */
static void
check_ends(const KpiRow *kpi, const KpiMeasureDef *def)
{
	if (kpi->until != NULL && def->kind != KPI_BALANCE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has an until, and its measure is no balance", kpi->name),
				 errhint("Write measure => 'balance(x)' for what is held from one time until another.")));
	if (kpi->exchange_given && def->currency == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has an exchange, and its measure has no currency", kpi->name),
				 errhint("Write measure => 'sum(amount, currency => currency)'.")));
}

/* What comes first, and of several facts at one time the one with the smallest key. */
static void
add_order(KpiMeasureDef *def, const KpiRow *kpi, const KpiSourceRow *source, const KpiStreamKey *key)
{
	char	   *what = psprintf("key of source \"%s\"", source->name);
	KpiExpr		expr;

	if (source->key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" needs a key of source \"%s\": %s", kpi->name, source->name, def->text),
				 errdetail("Of several facts at one time the key says which is the first and which the last."),
				 errhint("Name the column that identifies a row with kpi.alter_source(key => 'id').")));
	expr = kpi_expr_check_full(source->relid, source->key, what);
	kpi_model_measure_order(def, key->at, &expr, what, kpi->filter);
}

/*
 * Checks a measure KPI against its source and leaves its expressions deparsed
 * in the row.
 */
static KpiMeasureDef *
check_measure(KpiRow *kpi, const KpiSourceRow *source, KpiStreamKey *key)
{
	KpiMeasureDef *def;
	KpiUser		user;

	if (kpi->owner != NULL && kpi->team != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has both an owner and a team", kpi->name),
				 errhint("Facts count for members (owner) or for teams (team).")));

	kpi_define_definer_switch(&user, source);
	kpi->filter = kpi_define_filter_check(source->relid, kpi->filter, psprintf("filter of KPI \"%s\"", kpi->name));
	*key = kpi_define_stream_key(source, kpi->name, kpi->owner, kpi->team, kpi->at);
	/* Of the company it is the same. */
	if (key->owner != NULL)
		key->credit = kpi->credit;
	kpi->owner = kpi_define_text_check(source->relid, kpi->owner, "owner");
	kpi->team = kpi_define_text_check(source->relid, kpi->team, "team");
	kpi->at = kpi_define_text_check(source->relid, kpi->at, "time (at)");
	def = kpi_model_measure_parse(source->relid, kpi->measure, kpi->filter, kpi->unit, kpi->name);
	if (def->currency != NULL)
		key->currency = kpi_fact_owner_key(def->currency, psprintf("currency of KPI \"%s\"", kpi->name));
	if (kpi_model_measure_is_ordered(def->kind))
		add_order(def, kpi, source, key);
	kpi->until = kpi_define_text_check(source->relid, kpi->until, "until");
	check_ends(kpi, def);
	if (def->kind == KPI_BALANCE)
		kpi_define_balance(source, kpi->name, kpi->until, def, key);
	kpi_user_restore(&user);
	kpi->exchange = def->currency != NULL ? kpi_define_exchange_of(kpi->exchange) : NULL;
	key->exchange = kpi->exchange;

	kpi->measure = def->text;
	kpi->unit = def->unit;
	kpi->is_additive = def->additive;
	return def;
}

void
kpi_define_recheck_measures(const KpiSourceRow *source, bool discard_sealed)
{
	List	   *kpis = NIL;
	KpiRows		rows;
	ListCell   *lc;

	kpi_rows_begin(&rows, "SELECT " KPI_ROW_COLUMNS "WHERE k.source_id = $1 ORDER BY k.id",
				   1, KPI_INT4(source->id));
	while (kpi_rows_next(&rows))
		kpis = lappend(kpis, copy_row(&rows));
	kpi_rows_end(&rows);

	foreach(lc, kpis)
	{
		KpiRow	   *kpi = lfirst(lc);
		KpiStreamKey key;
		KpiMeasureDef *def = check_measure(kpi, source, &key);

		kpi_define_measure_write(source->id, kpi->id, &key, def, discard_sealed);
	}
}

/* The expressions of a measure, of which some may look values up. */
static void
prepare_lookups(KpiRow *kpi)
{
	List	   *texts = NIL;

	texts = kpi_define_add_text(texts, &kpi->measure, psprintf("measure of KPI \"%s\"", kpi->name));
	texts = kpi_define_add_text(texts, &kpi->filter, psprintf("filter of KPI \"%s\"", kpi->name));
	texts = kpi_define_add_text(texts, &kpi->owner, psprintf("owner of KPI \"%s\"", kpi->name));
	texts = kpi_define_add_text(texts, &kpi->team, psprintf("team of KPI \"%s\"", kpi->name));
	texts = kpi_define_add_text(texts, &kpi->at, psprintf("time (at) of KPI \"%s\"", kpi->name));
	texts = kpi_define_add_text(texts, &kpi->until, psprintf("until of KPI \"%s\"", kpi->name));
	kpi_define_lookups_prepare(kpi->source, texts);
}

/* ---- formulas ---- */

/*
 * The KPIs a formula names, as ids; error if one does not exist.  Within
 * kpi_spi_begin().
 */
static List *
formula_inputs(const KpiRow *kpi, const KpiFormula *formula)
{
	List	   *ids = NIL;
	ListCell   *lc;

	if (formula->names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("formula of KPI \"%s\" uses no KPI: %s", kpi->name, kpi->formula),
				 errhint("Name the KPIs it is computed from.")));
	foreach(lc, formula->names)
	{
		const char *name = lfirst(lc);
		int32		id;

		if (strcmp(name, kpi->name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("formula of KPI \"%s\" uses the KPI itself: %s", kpi->name, kpi->formula),
					 kpi_model_formula_errposition(kpi->formula, kpi_model_formula_use(formula, name))));
		id = kpi_first_int4("SELECT id FROM kpi.kpi WHERE name = $1", 1, KPI_TEXT(name));
		if (id == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("KPI \"%s\" in formula of KPI \"%s\" does not exist: %s",
							name, kpi->name, kpi->formula),
					 errhint("Table kpi.kpi lists the KPIs; names with capitals or other characters than letters, digits and _ stand in double quotes."),
					 kpi_model_formula_errposition(kpi->formula, kpi_model_formula_use(formula, name))));
		ids = lappend_int(ids, id);
	}
	return ids;
}

/* KPI $1 and all it is computed from. */
#define WITH_INPUTS \
	"WITH RECURSIVE input (id) AS (" \
	" SELECT $1 UNION" \
	" SELECT f.input_kpi_id FROM kpi_internal.formula_input f JOIN input i ON f.kpi_id = i.id)"

/* Whether the current user may change each source that the KPI rests on. */
static bool
is_definer_of_inputs(int32 kpi_id)
{
	List	   *definers;
	ListCell   *lc;

	definers = kpi_all_texts(WITH_INPUTS
							 " SELECT DISTINCT s.definer FROM input i "
							 "JOIN kpi.kpi k ON k.id = i.id JOIN kpi.source s ON s.id = k.source_id",
							 1, KPI_INT4(kpi_id));
	foreach(lc, definers)
	{
		if (!kpi_define_is_definer(lfirst(lc)))
			return false;
	}
	return definers != NIL;
}

static void
require_formula_rights(int32 kpi_id)
{
	if (!is_definer_of_inputs(kpi_id))
		kpi_require_editor();
}

/*
 * Records what a formula uses, and refuses a cycle.  Other changes of
 * formulas wait, and what they committed is seen whatever the transaction's
 * snapshot.
 */
static void
write_formula(KpiRow *kpi)
{
	KpiFormula *formula = kpi_model_formula_parse(kpi->formula);
	List	   *ids;
	ListCell   *name;
	ListCell   *id;
	KpiSpi		spi;
	KpiRows		cycle;

	kpi_spi_begin(&spi);
	kpi_spi_exec("LOCK TABLE kpi_internal.formula_input IN SHARE ROW EXCLUSIVE MODE", 0);
	ids = formula_inputs(kpi, formula);
	kpi_spi_exec("DELETE FROM kpi_internal.formula_input WHERE kpi_id = $1", 1, KPI_INT4(kpi->id));
	forboth(name, formula->names, id, ids)
		kpi_spi_exec("INSERT INTO kpi_internal.formula_input (kpi_id, name, input_kpi_id, of_target) VALUES ($1, $2, $3, $4)",
					 4, KPI_INT4(kpi->id), KPI_TEXT(lfirst(name)), KPI_INT4(lfirst_int(id)),
					 KPI_BOOL(kpi_model_formula_has_target(formula, foreach_current_index(name))));

	PushActiveSnapshot(GetLatestSnapshot());
	kpi_rows_begin_read(&cycle, "WITH RECURSIVE input (first, id) AS ("
						"SELECT input_kpi_id, input_kpi_id FROM kpi_internal.formula_input WHERE kpi_id = $1 "
						"UNION SELECT i.first, f.input_kpi_id FROM kpi_internal.formula_input f "
						"JOIN input i ON f.kpi_id = i.id) "
						"SELECT k.name FROM input i JOIN kpi.kpi k ON k.id = i.first "
						"WHERE i.id = $1 ORDER BY k.name",
						1, KPI_INT4(kpi->id));
	if (kpi_rows_next(&cycle))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("formula of KPI \"%s\" uses the KPI itself: %s", kpi->name, kpi->formula),
				 errdetail("KPI \"%s\" is computed from it.", kpi_rows_text(&cycle, "name")),
				 errhint("Write the formula over KPIs that do not depend on it."),
				 kpi_model_formula_errposition(kpi->formula, kpi_model_formula_use(formula, kpi_rows_text(&cycle, "name")))));
	kpi_rows_end(&cycle);
	PopActiveSnapshot();
	/* Nobody changes what it is over until its program is seen. */
	kpi_define_ground_lock(kpi->id);
	kpi_spi_end(&spi);
}

/* ---- the functions ---- */

/* A measure has a source; a formula has nothing of what a measure has. */
static void
check_kind(const KpiRow *kpi)
{
	if (kpi->formula == NULL)
	{
		if (kpi->source == NULL || kpi->measure == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("KPI \"%s\" needs a source and a measure, or a formula", kpi->name),
					 errhint("Write source => 'deals', measure => 'sum(amount)', or formula => 'a / b' over other KPIs.")));
		return;
	}
	if (kpi->source != NULL || kpi->measure != NULL || kpi->filter != NULL ||
		kpi->owner != NULL || kpi->team != NULL || kpi->at != NULL || strcmp(kpi->credit, "then") != 0 ||
		kpi->until != NULL || kpi->exchange != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" with a formula cannot have a source, measure, filter, owner, team, time, credit, until or exchange", kpi->name),
				 errhint("Give these to the KPIs that the formula is over.")));
}

/* Writes the row; a new one when its id is 0. */
static void
write_row(KpiRow *kpi)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	if (kpi->id == 0)
	{
		check_new_name(kpi->name);
		kpi->id = kpi_first_int4("INSERT INTO kpi.kpi"
								 " (name, kind, source_id, measure, formula, title, is_additive) "
								 "SELECT $1, CASE WHEN $4 IS NULL THEN 'measure' ELSE 'formula' END, "
								 "(SELECT id FROM kpi.source WHERE name = $2), $3, $4, $1, false "
								 "RETURNING id",
								 4, KPI_TEXT(kpi->name), KPI_TEXT(kpi->source), KPI_TEXT(kpi->measure),
								 KPI_TEXT(kpi->formula));
	}
	kpi_spi_exec("UPDATE kpi.kpi SET name = $2, measure = $3, filter = $4, owner = $5, team = $6, at = $7, "
				 "formula = $8, unit = $9, direction = $10, title = $11, description = $12, is_additive = $13, "
				 "credit = $14, until = $15, exchange = $16 WHERE id = $1",
				 16, KPI_INT4(kpi->id), KPI_TEXT(kpi->name), KPI_TEXT(kpi->measure),
				 KPI_TEXT(kpi->filter), KPI_TEXT(kpi->owner), KPI_TEXT(kpi->team),
				 KPI_TEXT(kpi->at), KPI_TEXT(kpi->formula), KPI_TEXT(kpi->unit),
				 KPI_TEXT(kpi->direction), KPI_TEXT(kpi->title),
				 KPI_TEXT(kpi->description), KPI_BOOL(kpi->is_additive), KPI_TEXT(kpi->credit),
				 KPI_TEXT(kpi->until), KPI_TEXT(kpi->exchange));
	kpi_spi_end(&spi);
}

/* Its texts as they were typed; until: the number of that argument. */
static void
store_typed(FunctionCallInfo fcinfo, int until, int32 kpi_id)
{
	static const char *const parts[] = {"measure", "filter", "owner", "team", "at"};
	List	   *typed = NIL;

	for (int i = 0; i < lengthof(parts); i++)
		typed = kpi_define_typed_add(typed, fcinfo, 2 + i, parts[i]);
	kpi_define_typed_store(true, kpi_id, kpi_define_typed_add(typed, fcinfo, until, "until"));
}

/* The SQL of an earlier version has no such argument. */
static char *
credit_argument(FunctionCallInfo fcinfo, char *if_not_given)
{
	if (PG_NARGS() <= CREDIT_ARGUMENT || PG_ARGISNULL(CREDIT_ARGUMENT))
		return if_not_given;
	return kpi_arg_text(fcinfo, CREDIT_ARGUMENT);
}

/* until and exchange, which the SQL of an earlier version has not; true if one of them is given. */
static bool
take_ends(FunctionCallInfo fcinfo, int first, KpiRow *kpi)
{
	if (PG_NARGS() <= first + 1)
		return false;
	kpi->until = kpi_define_arg_changed(fcinfo, first, kpi->until);
	kpi->exchange = kpi_define_arg_changed(fcinfo, first + 1, kpi->exchange);
	kpi->exchange_given = !PG_ARGISNULL(first + 1) && kpi->exchange != NULL;
	return !PG_ARGISNULL(first) || !PG_ARGISNULL(first + 1);
}

static bool
discards_sealed(FunctionCallInfo fcinfo)
{
	return PG_NARGS() > SEALED_ARGUMENT && !PG_ARGISNULL(SEALED_ARGUMENT) && PG_GETARG_BOOL(SEALED_ARGUMENT);
}

/*
 * kpi.create_kpi(name, source, measure, filter, owner, team, at, formula,
 * unit, direction, title, description, credit, until, exchange, decimals,
 * format, section, sort)
 */
Datum
kpi_sql_create_kpi(PG_FUNCTION_ARGS)
{
	KpiRow		kpi = {0};
	KpiDefineLabel label;

	kpi.name = kpi_arg_name(fcinfo, 0, "name of the KPI");
	kpi.source = kpi_arg_optional_name(fcinfo, 1, "name of the source");
	kpi.measure = kpi_define_arg_given(fcinfo, 2);
	kpi.filter = kpi_define_arg_given(fcinfo, 3);
	kpi.owner = kpi_define_arg_given(fcinfo, 4);
	kpi.team = kpi_define_arg_given(fcinfo, 5);
	kpi.at = kpi_define_arg_given(fcinfo, 6);
	kpi.formula = kpi_define_arg_given(fcinfo, 7);
	kpi.unit = kpi_define_arg_given(fcinfo, 8);
	kpi.direction = kpi_arg_text(fcinfo, 9);
	kpi.title = kpi_define_arg_given(fcinfo, 10);
	kpi.description = kpi_define_arg_given(fcinfo, 11);
	kpi.credit = credit_argument(fcinfo, "then");
	(void) take_ends(fcinfo, CREATE_UNTIL_ARGUMENT, &kpi);
	kpi_define_label_read(fcinfo, CREATE_LABEL_ARGUMENT, kpi.name, &label);
	if (kpi.title == NULL)
		kpi.title = kpi.name;
	check_kind(&kpi);
	check_direction(kpi.direction, kpi.name);
	check_credit(kpi.credit, kpi.name);

	if (kpi.formula == NULL)
	{
		KpiSourceRow *source;
		KpiStreamKey key;
		KpiMeasureDef *def;

		prepare_lookups(&kpi);
		source = kpi_define_source_row_open(kpi.source, true);
		def = check_measure(&kpi, source, &key);
		write_row(&kpi);
		kpi_define_measure_write(source->id, kpi.id, &key, def, true);
	}
	else
	{
		(void) kpi_model_formula_parse(kpi.formula);
		write_row(&kpi);
		write_formula(&kpi);
		require_formula_rights(kpi.id);
	}
	kpi_define_label_store(kpi.id, kpi.name, &label);
	store_typed(fcinfo, CREATE_UNTIL_ARGUMENT, kpi.id);
	kpi_define_programs_of_kpi(kpi.id);
	PG_RETURN_INT32(kpi.id);
}

/* Formulas name their inputs: a new name goes into all that use it. */
static void
rename_in_formulas(int32 kpi_id, const char *old_name, const char *new_name)
{
	KpiSpi		spi;
	KpiRows		users;

	kpi_spi_begin(&spi);
	kpi_rows_begin(&users, "SELECT k.id, k.formula FROM kpi_internal.formula_input f "
				   "JOIN kpi.kpi k ON k.id = f.kpi_id WHERE f.input_kpi_id = $1 ORDER BY k.id",
				   1, KPI_INT4(kpi_id));
	while (kpi_rows_next(&users))
	{
		char	   *formula = kpi_model_formula_rename(kpi_rows_text(&users, "formula"), old_name, new_name);

		kpi_spi_exec("UPDATE kpi.kpi SET formula = $2 WHERE id = $1",
					 2, KPI_INT4(kpi_rows_int4(&users, "id")), KPI_TEXT(formula));
	}
	kpi_rows_end(&users);
	kpi_spi_exec("UPDATE kpi_internal.formula_input SET name = $2 WHERE input_kpi_id = $1",
				 2, KPI_INT4(kpi_id), KPI_TEXT(new_name));
	kpi_spi_end(&spi);
}

/* Takes the arguments; true if one of them changes what the KPI measures. */
static bool
change_row(FunctionCallInfo fcinfo, KpiRow *kpi)
{
	char	   *new_name = kpi_arg_optional_name(fcinfo, 1, "new name of the KPI");
	bool		redefined = false;

	for (int n = 2; n <= 8; n++)
		redefined |= !PG_ARGISNULL(n);
	kpi->credit = credit_argument(fcinfo, kpi->credit);
	redefined |= PG_NARGS() > CREDIT_ARGUMENT && !PG_ARGISNULL(CREDIT_ARGUMENT);
	redefined |= take_ends(fcinfo, ALTER_UNTIL_ARGUMENT, kpi);
	if (PG_NARGS() > ALTER_SOURCE_ARGUMENT && !PG_ARGISNULL(ALTER_SOURCE_ARGUMENT))
	{
		kpi->source = kpi_define_arg_given(fcinfo, ALTER_SOURCE_ARGUMENT);
		redefined = true;
	}

	kpi->measure = kpi_define_arg_changed(fcinfo, 2, kpi->measure);
	kpi->filter = kpi_define_arg_changed(fcinfo, 3, kpi->filter);
	kpi_define_arg_change_owner(fcinfo, 4, 5, &kpi->owner, &kpi->team);
	kpi->at = kpi_define_arg_changed(fcinfo, 6, kpi->at);
	kpi->formula = kpi_define_arg_changed(fcinfo, 7, kpi->formula);
	kpi->unit = kpi_define_arg_changed(fcinfo, 8, kpi->unit);
	if (!PG_ARGISNULL(9))
		kpi->direction = kpi_arg_text(fcinfo, 9);
	if (new_name != NULL && strcmp(kpi->title, kpi->name) == 0)
		kpi->title = new_name;
	if (!PG_ARGISNULL(10))
		kpi->title = kpi_define_arg_given(fcinfo, 10);
	kpi->description = kpi_define_arg_changed(fcinfo, 11, kpi->description);
	if (new_name != NULL)
		kpi->name = new_name;
	if (kpi->title == NULL)
		kpi->title = kpi->name;
	return redefined;
}

/* The engine's locks of two sources, in the order that all take them in. */
static void
lock_both(const KpiSourceRow *one, const KpiSourceRow *other)
{
	kpi_refresh_lock_source(Min(one->id, other->id));
	kpi_refresh_lock_source(Max(one->id, other->id));
}

/*
 * The source of a measure, with its locks, and the KPI as it is then.  Where it is to
 * be of another source, rights on both, and the engine works on neither.
 */
static KpiSourceRow *
open_source(FunctionCallInfo fcinfo, KpiRow **kpi)
{
	char	   *name = (*kpi)->name;
	char	   *from = (*kpi)->source;
	KpiRow	   *wish = *kpi;
	KpiSourceRow *source;

	kpi_define_mend_begin(from);
	(void) change_row(fcinfo, wish);
	if (wish->source != NULL && strcmp(wish->source, from) != 0)
	{
		kpi_define_require_source_rights(wish->source);
		lock_both(kpi_define_source_row_read(from), kpi_define_source_row_read(wish->source));
	}
	if (wish->formula == NULL && wish->source != NULL)
		prepare_lookups(wish);
	/* Both may have changed while we waited for the lock. */
	source = kpi_define_source_row_open(from, false);
	*kpi = read_row(name);
	if (strcmp((*kpi)->source, source->name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("KPI \"%s\" got another source at the same time", name),
				 errhint("Try again.")));
	return source;
}

/* What it was of the source before goes; error if that needs facts which are gone. */
static void
change_source(const KpiRow *kpi, const KpiSourceRow *from, const KpiSourceRow *to, bool discard_sealed)
{
	KpiSpi		spi;

	if (!discard_sealed)
		kpi_define_sealed_check(from->id, psprintf("the source of KPI \"%s\"", kpi->name));
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.kpi SET source_id = $2 WHERE id = $1", 2, KPI_INT4(kpi->id), KPI_INT4(to->id));
	kpi_define_measure_drop(kpi->id);
	kpi_spi_end(&spi);
	kpi_define_streams_drop(from->id, false);
}

/*
 * kpi.alter_kpi(name, new_name, measure, filter, owner, team, at, formula,
 * unit, direction, title, description, credit, discard_sealed, until, exchange,
 * decimals, format, section, sort, source)
 */
Datum
kpi_sql_alter_kpi(PG_FUNCTION_ARGS)
{
	char	   *old_name = kpi_arg_name(fcinfo, 0, "name of the KPI");
	KpiRow	   *kpi = read_row(old_name);
	bool		is_formula = kpi->formula != NULL;
	bool		redefined;
	KpiSourceRow *source = NULL;
	KpiSourceRow *from;
	KpiMeasureDef *def = NULL;
	KpiStreamKey key;
	KpiDefineLabel label;
	KpiSpi		spi;

	kpi_define_label_read(fcinfo, ALTER_LABEL_ARGUMENT, old_name, &label);
	if (is_formula)
		require_formula_rights(kpi->id);
	else
		source = open_source(fcinfo, &kpi);
	from = source;

	redefined = change_row(fcinfo, kpi);
	if (is_formula != (kpi->formula != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 is_formula ?
				 errmsg("KPI \"%s\" is a formula and cannot be without one", old_name) :
				 errmsg("KPI \"%s\" is a measure and cannot get a formula", old_name),
				 errhint("Drop it and create it anew.")));
	check_kind(kpi);
	check_direction(kpi->direction, kpi->name);
	check_credit(kpi->credit, kpi->name);
	if (strcmp(old_name, kpi->name) != 0)
	{
		kpi_spi_begin(&spi);
		check_new_name(kpi->name);
		kpi_spi_end(&spi);
	}

	if (redefined && !is_formula)
	{
		prepare_lookups(kpi);
		source = kpi_define_source_row_open(kpi->source, true);
		def = check_measure(kpi, source, &key);
		if (source->id != from->id)
			change_source(kpi, from, source, discards_sealed(fcinfo));
	}
	write_row(kpi);
	kpi_define_label_store(kpi->id, kpi->name, &label);
	store_typed(fcinfo, ALTER_UNTIL_ARGUMENT, kpi->id);
	/* Of another source all is new, and needs nothing that is gone. */
	if (def != NULL)
		kpi_define_measure_write(source->id, kpi->id, &key, def, source->id != from->id || discards_sealed(fcinfo));
	if (redefined && is_formula)
	{
		write_formula(kpi);
		require_formula_rights(kpi->id);
	}
	if (strcmp(old_name, kpi->name) != 0)
		rename_in_formulas(kpi->id, old_name, kpi->name);
	if (redefined || strcmp(old_name, kpi->name) != 0)
		kpi_define_programs_of_kpi(kpi->id);
	if (redefined)
		kpi_define_ground_check_kpi(kpi->id, old_name);
	kpi_goal_kpi_redefined(kpi->id);
	if (def != NULL)
		kpi_define_mend_end(source->id);
	PG_RETURN_VOID();
}

static void
append_users(StringInfo users, const char *kind, const char *names)
{
	if (names != NULL)
		appendStringInfo(users, "%s%s: %s", users->len > 0 ? "; " : "", kind, names);
}

/* Error, naming them, if formulas, goals or rollup tables use the KPI. */
static void
check_unused(const KpiRow *kpi)
{
	StringInfoData users;
	char	   *rollups = kpi_list_some("SELECT r.relation FROM kpi.rollup r WHERE r.id IN"
										" (SELECT c.rollup_id FROM kpi.rollup_column c WHERE c.kpi_id = $1)"
										" ORDER BY 1", kpi->id);

	initStringInfo(&users);
	append_users(&users, "Formulas of KPIs",
				 kpi_list_some("SELECT pg_catalog.quote_ident(k.name) FROM kpi_internal.formula_input f "
							   "JOIN kpi.kpi k ON k.id = f.kpi_id WHERE f.input_kpi_id = $1 ORDER BY 1", kpi->id));
	append_users(&users, "Goals",
				 kpi_list_some("SELECT coalesce(pg_catalog.quote_literal(name), 'of ' || period) FROM kpi.goal "
							   "WHERE kpi_id = $1 ORDER BY 1", kpi->id));
	append_users(&users, "Rollup tables", rollups);
	if (users.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop KPI \"%s\" because other definitions use it", kpi->name),
				 errdetail_internal("%s.", users.data),
				 rollups ?
				 errhint("Drop them first, or drop all with cascade => true; a rollup table keeps the column, empty.") :
				 errhint("Drop them first, or drop all with cascade => true.")));
}

/*
 * Waits for the engine where it may be writing values of the KPI, before any
 * table is locked: writers must not wait for a refresh.
 */
static void
lock_sources_of(int32 kpi_id)
{
	List	   *sources;
	ListCell   *lc;

	sources = kpi_all_int4(WITH_INPUTS
						   " SELECT DISTINCT k.source_id FROM input i JOIN kpi.kpi k ON k.id = i.id "
						   "WHERE k.source_id IS NOT NULL ORDER BY 1",
						   1, KPI_INT4(kpi_id));
	foreach(lc, sources)
		kpi_refresh_lock_source(lfirst_int(lc));
}

/* Error unless the current user may drop the KPI. */
static void
require_rights(const KpiRow *kpi)
{
	if (kpi->source != NULL)
		kpi_define_require_source_rights(kpi->source);
	else
		require_formula_rights(kpi->id);
}

void
kpi_define_drop(const char *name, bool cascade)
{
	KpiRow	   *kpi = read_row(name);
	KpiSourceRow *source = NULL;
	char	   *user;
	KpiSpi		spi;

	check_stack_depth();
	require_rights(kpi);
	if (!cascade)
		check_unused(kpi);
	lock_sources_of(kpi->id);
	if (kpi->source != NULL)
		source = kpi_define_source_row_open(kpi->source, false);

	/* What uses it may have changed while we waited. */
	if (!cascade)
		check_unused(kpi);
	while ((user = kpi_first_text("SELECT k.name FROM kpi_internal.formula_input f "
								  "JOIN kpi.kpi k ON k.id = f.kpi_id "
								  "WHERE f.input_kpi_id = $1 ORDER BY k.id LIMIT 1",
								  1, KPI_INT4(kpi->id))) != NULL)
		kpi_define_drop(user, true);
	if (kpi_first_int4("SELECT 1 FROM kpi.goal WHERE kpi_id = $1"
					   " UNION ALL SELECT 1 FROM kpi.rollup_column WHERE kpi_id = $1 LIMIT 1",
					   1, KPI_INT4(kpi->id)) != 0)
		kpi_require_editor();

	kpi_spi_begin(&spi);
	kpi_goal_closed_check_drop_of_kpi(kpi->id);
	kpi_spi_exec("DELETE FROM kpi.goal WHERE kpi_id = $1", 1, KPI_INT4(kpi->id));
	kpi_spi_exec("DELETE FROM kpi_internal.formula_input WHERE kpi_id = $1", 1, KPI_INT4(kpi->id));
	kpi_define_measure_drop(kpi->id);
	kpi_define_program_drop(kpi->id);
	kpi_spi_exec("DELETE FROM kpi.kpi WHERE id = $1", 1, KPI_INT4(kpi->id));
	if (source != NULL)
		kpi_define_streams_drop(source->id, false);
	kpi_spi_end(&spi);
}

void
kpi_define_drop_of_source(int32 source_id)
{
	char	   *name;

	while ((name = kpi_first_text("SELECT name FROM kpi.kpi WHERE source_id = $1 ORDER BY id LIMIT 1",
								  1, KPI_INT4(source_id))) != NULL)
		kpi_define_drop(name, true);
}

/* kpi.drop_kpi(name, cascade) */
Datum
kpi_sql_drop_kpi(PG_FUNCTION_ARGS)
{
	kpi_define_drop(kpi_arg_name(fcinfo, 0, "name of the KPI"),
					!PG_ARGISNULL(1) && PG_GETARG_BOOL(1));
	PG_RETURN_VOID();
}
