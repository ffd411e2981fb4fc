/*-------------------------------------------------------------------------
 *
 * projection.c
 *	  The facts query, compiled for one table: rows in, facts out.
 *
 * A row that is written and one that is scanned are projected by the same
 * code.  A projection holds no lock and no reference into the caches: whoever
 * keeps one drops it when its table or a definition changes.
 *
 * Expressions that cannot raise an error, at all or with the values at hand
 * (guard.c), are evaluated as they are.  When any expression of a
 * stream can, all of the stream's are evaluated in one subtransaction for each
 * row; only if that fails, the fact's own parts (filter, time, owner,
 * dimensions) and then each measure are evaluated in subtransactions of their
 * own, so that one measure's error costs the others nothing.  What may reach a
 * user's function runs as the source's definer.  Only what is evaluated in a
 * subtransaction can depend on settings, which are pinned there.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "executor/executor.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "model/model.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* One value of a row: a plain column needs no expression. */
typedef struct ProjectedValue
{
	AttrNumber	attno;			/* or 0: evaluate state */
	ExprState  *state;
	Oid			type;
} ProjectedValue;

typedef struct StreamProjection
{
	bool		is_left_out;	/* each row is a fact, of no dimensions */
	KpiOwnerKind owner_kind;
	ProjectedValue owner;
	bool		has_currency;
	ProjectedValue currency;	/* the last of fact_dims */
	ProjectedValue at;
	KpiInputs	inputs;			/* of all measures */
	List	   *day_inputs;		/* of these, those that are the day */
	ExprState **input_states;	/* one by one; only if risk > SAFE */
	KpiLayout  *layout;
	KpiCell    *fresh_cell;		/* of the layout */
	KpiExprRisk risk;			/* the highest of all expressions used */
	int			settings;		/* what they depend on, unless safe */
	bool		guarded;		/* no risk while the guards hold */
	KpiColumnSet columns;		/* those its expressions use */
	KpiColumnSet place_columns; /* of these, those that decide whether the row
								 * is a fact, and of which cell */
} StreamProjection;

struct KpiProjection
{
	MemoryContext context;
	ExprContext *econtext;
	Oid			definer;
	bool		has_user_code;
	bool		is_busy;		/* a user's function is running in it */
	ExprState  *filter;			/* or NULL */
	List	   *conditions;		/* ExprState: what the filter is the AND of */
	int			ndims;
	ProjectedValue *dims;
	int			nstreams;
	StreamProjection *streams;
	KpiLoadedAt *loaded;		/* or NULL */
	KpiColumnSet loaded_columns;	/* that it follows from */

	KpiGuards	guards;			/* columns whose values may make an expression
								 * fail */
	KpiUsedColumns used;		/* by the expressions of all streams */

	/* Where the fact last returned keeps its arrays. */
	char	  **fact_dims;
	Datum	   *fact_inputs;
	bool	   *fact_isnull;

	KpiZone		zone;
};

/* What compiling collects on its way. */
typedef struct CompileState
{
	KpiProjection *proj;
	Oid			leaf;
	Bitmapset  *attrs;			/* columns used since this was emptied */
	Bitmapset  *all_attrs;		/* and ever */
	Bitmapset  *guards;
	KpiExprRisk risk;
	KpiExprRisk guarded_risk;	/* while the guards hold */
	int			settings;
	bool		user_code;		/* of the expression compiled last */
	KpiCode    *code;
	KpiFingerprints *fingerprints;	/* or NULL */
} CompileState;

/* The columns that a stream uses, until they have numbers. */
typedef struct StreamAttrs
{
	Bitmapset  *place;
	Bitmapset **measures;
} StreamAttrs;

/* ---- compiling ---- */

static void
note_expr(CompileState *cs, Node *node)
{
	KpiExprRisk risk = kpi_expr_risk(node);

	cs->all_attrs = bms_add_members(cs->all_attrs, cs->attrs);
	cs->proj->has_user_code |= cs->user_code;
	cs->risk = Max(cs->risk, risk);
	if (risk != KPI_EXPR_SAFE)
		cs->settings |= kpi_expr_settings_of(node);
	if (risk == KPI_EXPR_BUILTIN)
		risk = kpi_fact_guarded_risk(node, &cs->guards);
	cs->guarded_risk = Max(cs->guarded_risk, risk);
}

static Node *
compile_expr(CompileState *cs, const char *text)
{
	KpiExprRisk risk;
	Node	   *node = kpi_expr_compile(cs->leaf, text, &cs->attrs, &risk,
										&cs->user_code, cs->code, cs->fingerprints);

	note_expr(cs, node);
	return node;
}

static ProjectedValue
projected_value(Node *node)
{
	ProjectedValue value = {0};

	value.type = exprType(node);
	if (IsA(node, Var) && ((Var *) node)->varattno > 0)
		value.attno = ((Var *) node)->varattno;
	else
		value.state = ExecInitExpr((Expr *) node, NULL);
	return value;
}

/*
 * Types that key_of() writes out itself, where enums are ANYENUM; InvalidOid
 * for others.
 */
static Oid
key_type(Oid type)
{
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
			return TEXTOID;
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case UUIDOID:
			return type;
		default:
			return type_is_enum(type) ? ANYENUMOID : InvalidOid;
	}
}

/*
 * The column of a key may have got another type or collation since the key was
 * defined: then its equality need not be that of this text any more.
 */
static void
check_key(Node *node, const char *text)
{
	KpiExpr		expr = {
		.text = unconstify(char *, text),
		.type = exprType(node),
		.collation = exprCollation(node)
	};

	if (strcmp(kpi_fact_owner_key(&expr, "a key"), text) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("a key is of type %s now: %s", format_type_be(expr.type), text),
				 errhint("Give it to the source or to the KPI anew, with kpi.alter_source() or kpi.alter_kpi().")));
}

/*
 * A text key.  What key_of() knows is taken before its cast to text: writing
 * it out ourselves cannot fail and costs a fraction.
 */
static ProjectedValue
compile_key(CompileState *cs, const char *text)
{
	KpiExprRisk risk;
	Node	   *node = kpi_expr_compile(cs->leaf, text, &cs->attrs, &risk,
										&cs->user_code, cs->code, cs->fingerprints);
	Node	   *inner = NULL;
	ProjectedValue value;

	check_key(node, text);
	if (!OidIsValid(key_type(exprType(node))))
		node = kpi_expr_compile(cs->leaf, psprintf("(%s)::pg_catalog.text", text),
								&cs->attrs, &risk, &cs->user_code, cs->code, cs->fingerprints);

	if (IsA(node, CoerceViaIO) && ((CoerceViaIO *) node)->resulttype == TEXTOID)
		inner = (Node *) ((CoerceViaIO *) node)->arg;
	else if (IsA(node, RelabelType) && ((RelabelType *) node)->resulttype == TEXTOID)
		inner = (Node *) ((RelabelType *) node)->arg;
	if (inner != NULL && OidIsValid(key_type(exprType(inner))))
		node = inner;

	note_expr(cs, node);
	value = projected_value(node);
	value.type = key_type(value.type);
	return value;
}

static List *
input_texts(const KpiSource *source, const KpiStream *stream, const KpiMeasure *m, Oid leaf, Oid at_type)
{
	return stream->is_left_out ? list_make1(kpi_fact_left_out_reason(source, stream, m, leaf, at_type)) : m->inputs;
}

static void
compile_stream(CompileState *cs, const KpiSource *source, const KpiStream *stream, StreamProjection *sp,
			   StreamAttrs *attrs)
{
	List	   *nodes = NIL;
	Oid		   *types;
	int			n = 0;
	ListCell   *lc;

	sp->layout = kpi_model_stream_layout(stream, NULL);
	sp->layout->input_types = palloc(sizeof(KpiInputType) * Max(sp->layout->ninputs, 1));
	sp->fresh_cell = kpi_cell_for_layout(sp->layout);
	sp->is_left_out = stream->is_left_out;
	sp->owner_kind = stream->owner_kind;
	if (stream->owner_kind != KPI_OWNER_COMPANY)
		sp->owner = compile_key(cs, stream->owner);
	sp->has_currency = stream->currency != NULL;
	if (sp->has_currency)
		sp->currency = compile_key(cs, stream->currency);

	sp->at = projected_value(compile_expr(cs, stream->at));
	sp->at.type = getBaseType(sp->at.type);
	if (!kpi_fact_is_time(sp->at.type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the time of a fact is of type %s: %s",
						format_type_be(sp->at.type), stream->at),
				 errhint("Use a date, a timestamp or a timestamp with time zone.")));

	attrs->place = cs->attrs;
	attrs->measures = palloc(sizeof(Bitmapset *) * Max(stream->nmeasures, 1));
	for (int m = 0; m < stream->nmeasures; m++)
	{
		cs->attrs = NULL;
		foreach(lc, input_texts(source, stream, &stream->measures[m], cs->leaf, sp->at.type))
		{
			if (strcmp(lfirst(lc), KPI_DAY_INPUT) == 0)
				sp->day_inputs = lappend_int(sp->day_inputs, list_length(nodes));
			nodes = lappend(nodes, compile_expr(cs, lfirst(lc)));
		}
		attrs->measures[m] = cs->attrs;
	}
	Assert(list_length(nodes) == sp->layout->ninputs);
	types = palloc(sizeof(Oid) * Max(list_length(nodes), 1));

	sp->risk = cs->risk;
	sp->settings = cs->settings;
	sp->guarded = (cs->guarded_risk == KPI_EXPR_SAFE);
	if (sp->risk != KPI_EXPR_SAFE)
		sp->input_states = palloc(sizeof(ExprState *) * Max(list_length(nodes), 1));
	foreach(lc, nodes)
	{
		Node	   *node = lfirst(lc);

		types[n] = exprType(node);
		if (sp->risk != KPI_EXPR_SAFE)
			sp->input_states[n] = ExecInitExpr((Expr *) node, NULL);
		n++;
	}
	kpi_cell_layout_input_types(sp->layout, types);
	kpi_fact_inputs_init(&sp->inputs, sp->layout, nodes, cs->proj->econtext, cs->proj->definer);
}

static void
number_columns(const KpiUsedColumns *used, StreamProjection *sp, const StreamAttrs *attrs)
{
	sp->place_columns = kpi_fact_used_set(used, attrs->place);
	sp->columns = sp->place_columns;
	for (int m = 0; m < sp->layout->nmeasures; m++)
	{
		sp->inputs.columns[m] = kpi_fact_used_set(used, attrs->measures[m]);
		sp->columns |= sp->inputs.columns[m];
	}
}

/* Everything of kpi_fact_projection_create() that runs as the definer. */
static void
compile_all(KpiProjection *proj, const KpiSource *source, Oid leaf, KpiFingerprints *fingerprints)
{
	CompileState cs = {.proj = proj,.leaf = leaf,.risk = KPI_EXPR_SAFE,
	.code = source->code,.fingerprints = fingerprints};
	Relation	rel = table_open(leaf, AccessShareLock);
	CompileState common;

	/*
	 * What all rows are facts of has neither filter nor dimensions. Its
	 * expressions are those of others, which fingerprints have.
	 */
	CompileState all_rows = {.risk = KPI_EXPR_SAFE};
	StreamAttrs *stream_attrs = palloc(sizeof(StreamAttrs) * Max(source->nstreams, 1));
	Bitmapset  *loaded_attrs = NULL;
	bool		user_code;
	int			max_inputs = 1;

	if (source->filter != NULL)
	{
		Node	   *filter = compile_expr(&cs, source->filter);
		ListCell   *lc;

		proj->filter = ExecInitQual(list_make1(filter), NULL);
		foreach(lc, make_ands_implicit((Expr *) filter))
			proj->conditions = lappend(proj->conditions, ExecInitExpr(lfirst(lc), NULL));
	}

	proj->ndims = source->ndims;
	proj->dims = palloc0(sizeof(ProjectedValue) * Max(source->ndims, 1));
	for (int d = 0; d < source->ndims; d++)
		proj->dims[d] = compile_key(&cs, source->dim_exprs[d]);
	common = cs;

	proj->nstreams = source->nstreams;
	proj->streams = palloc0(sizeof(StreamProjection) * Max(source->nstreams, 1));
	for (int s = 0; s < source->nstreams; s++)
	{
		StreamProjection *sp = &proj->streams[s];
		bool		is_left_out = source->streams[s].is_left_out;
		const CompileState *before = is_left_out ? &all_rows : &common;

		cs.risk = before->risk;
		cs.settings = before->settings;
		cs.guarded_risk = before->guarded_risk;
		cs.attrs = bms_copy(before->attrs);
		cs.fingerprints = is_left_out ? NULL : fingerprints;
		compile_stream(&cs, source, &source->streams[s], sp, &stream_attrs[s]);
		max_inputs = Max(max_inputs, sp->layout->ninputs);
	}

	if (source->loaded_at != NULL)
	{
		proj->loaded = kpi_fact_loaded_compile(source, leaf, &proj->zone, &loaded_attrs, &user_code);
		proj->has_user_code |= user_code;
		cs.all_attrs = bms_add_members(cs.all_attrs, loaded_attrs);
	}
	kpi_fact_used_collect(&proj->used, RelationGetDescr(rel), cs.all_attrs);
	proj->loaded_columns = kpi_fact_used_set(&proj->used, loaded_attrs);
	for (int s = 0; s < source->nstreams; s++)
		number_columns(&proj->used, &proj->streams[s], &stream_attrs[s]);
	kpi_fact_guards_collect(&proj->guards, RelationGetDescr(rel), cs.guards);
	proj->fact_dims = palloc0(sizeof(char *) * (source->ndims + 1));
	proj->fact_inputs = palloc0(sizeof(Datum) * max_inputs);
	proj->fact_isnull = palloc0(sizeof(bool) * max_inputs);
	table_close(rel, NoLock);
}

KpiProjection *
kpi_fact_projection_create(const KpiSource *source, Oid leaf, MemoryContext parent,
						   KpiFingerprints *fingerprints)
{
	MemoryContext context = AllocSetContextCreate(parent, "pg_kpi projection",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	KpiProjection *proj = palloc0(sizeof(KpiProjection));
	KpiUser		user;

	proj->context = context;
	PG_TRY();
	{
		proj->econtext = CreateStandaloneExprContext();
		kpi_fact_zone_open(&proj->zone, source->time_zone);
		if (fingerprints != NULL)
			kpi_expr_fingerprints_source(fingerprints, source->time_zone, source->ndims,
										 source->dim_names, source->dim_exprs);
		proj->definer = kpi_model_source_definer(source);
		kpi_user_switch(&user, proj->definer);
		compile_all(proj, source, leaf, fingerprints);
		kpi_user_restore(&user);
	}
	PG_CATCH();
	{
		MemoryContextDelete(context);
		PG_RE_THROW();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(oldcontext);
	return proj;
}

void
kpi_fact_projection_free(KpiProjection *proj)
{
	MemoryContextDelete(proj->context);
}

const KpiLayout *
kpi_fact_projection_layout(KpiProjection *proj, int s)
{
	return proj->streams[s].layout;
}

const KpiCell *
kpi_fact_projection_fresh_cell(KpiProjection *proj, int s)
{
	return proj->streams[s].fresh_cell;
}

KpiColumnSet
kpi_fact_projection_changed(KpiProjection *proj, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	return kpi_fact_used_changed(&proj->used, old_slot, new_slot);
}

bool
kpi_fact_projection_concerns(KpiProjection *proj, int s, KpiColumnSet changed)
{
	return changed == KPI_ALL_COLUMNS || (proj->streams[s].columns & changed) != 0;
}

Bitmapset *
kpi_fact_projection_columns(KpiProjection *proj)
{
	return kpi_fact_used_attrs(&proj->used);
}

bool
kpi_fact_projection_has_user_code(KpiProjection *proj)
{
	return proj->has_user_code;
}

bool
kpi_fact_projection_is_busy(KpiProjection *proj)
{
	return proj->is_busy;
}

/* ---- evaluating ---- */

static inline Datum
value_of(const ProjectedValue *value, ExprContext *econtext, bool *isnull)
{
	if (value->attno > 0)
		return slot_getattr(econtext->ecxt_scantuple, value->attno, isnull);
	return ExecEvalExpr(value->state, econtext, isnull);
}

static char *
key_of(const ProjectedValue *value, ExprContext *econtext)
{
	bool		isnull;
	Datum		datum = value_of(value, econtext, &isnull);
	char	   *key;

	if (isnull)
		return NULL;

	switch (value->type)
	{
		case INT2OID:
			key = palloc(8);
			pg_itoa(DatumGetInt16(datum), key);
			return key;
		case INT4OID:
			key = palloc(16);
			pg_ltoa(DatumGetInt32(datum), key);
			return key;
		case INT8OID:
			key = palloc(MAXINT8LEN + 1);
			pg_lltoa(DatumGetInt64(datum), key);
			return key;
		case UUIDOID:
			return DatumGetCString(DirectFunctionCall1(uuid_out, datum));
		case ANYENUMOID:
			return DatumGetCString(DirectFunctionCall1(enum_out, datum));
		default:
			return kpi_fact_key_bounded(TextDatumGetCString(datum));
	}
}

/* False when the row has no time, so that it is no event. */
static bool
day_of(KpiProjection *proj, const ProjectedValue *at, DateADT *day)
{
	bool		isnull;
	Datum		datum = value_of(at, proj->econtext, &isnull);

	return !isnull && kpi_fact_day_of_time(&proj->zone, at->type, datum, day);
}

/* The parts that make the row a fact.  Clears is_event when it is none. */
static void
project_fact(KpiProjection *proj, StreamProjection *sp, KpiFact *fact)
{
	ExprContext *econtext = proj->econtext;

	if (sp->is_left_out)
	{
		if (!day_of(proj, &sp->at, &fact->day) || !kpi_calendar_fact_day_in_range(fact->day))
			fact->day = KPI_NO_DAY;
		return;
	}
	if ((proj->filter != NULL && !ExecQual(proj->filter, econtext)) ||
		!day_of(proj, &sp->at, &fact->day))
	{
		fact->is_event = false;
		return;
	}
	if (!kpi_calendar_fact_day_in_range(fact->day))
	{
		fact->failed = true;
		fact->out_of_range = true;
		fact->error = KPI_DAY_ERROR;
		return;
	}

	fact->owner = sp->owner_kind == KPI_OWNER_COMPANY ? NULL : key_of(&sp->owner, econtext);
	for (int d = 0; d < proj->ndims; d++)
		fact->dims[d] = key_of(&proj->dims[d], econtext);
	if (sp->has_currency)
		fact->dims[proj->ndims] = key_of(&sp->currency, econtext);
}

/* Inputs that are the day, of measures of which the first input is not NULL. */
static void
set_days(const StreamProjection *sp, KpiFact *fact)
{
	ListCell   *lc;

	foreach(lc, sp->day_inputs)
	{
		int			i = lfirst_int(lc);

		fact->inputs[i] = Int32GetDatum(fact->day);
		fact->isnull[i] = fact->isnull[i - 1];
	}
}

static void
project_inputs(KpiProjection *proj, const StreamProjection *sp, const KpiInputPart *part, KpiFact *fact)
{
	TupleTableSlot *slot;

	if (part->conditions != NULL)
		proj->econtext->ecxt_innertuple = ExecProject(part->conditions);
	slot = ExecProject(part->values);
	fact->inputs = slot->tts_values;
	fact->isnull = slot->tts_isnull;
	set_days(sp, fact);
}

static void
project_measure(KpiProjection *proj, StreamProjection *sp, int m)
{
	KpiLayoutMeasure *measure = &sp->layout->measures[m];

	for (int i = measure->first_input; i < measure->first_input + measure->ninputs; i++)
		proj->fact_inputs[i] = ExecEvalExpr(sp->input_states[i], proj->econtext,
											&proj->fact_isnull[i]);
}

/* What decides whether the row is an event, the time included. */
static void
project_conditions(KpiProjection *proj, StreamProjection *sp)
{
	bool		isnull;
	DateADT		day;
	ListCell   *lc;

	foreach(lc, proj->conditions)
		(void) ExecEvalExpr(lfirst(lc), proj->econtext, &isnull);
	(void) day_of(proj, &sp->at, &day);
}

/* What project_trapped() evaluates: one measure (its number) or one of these. */
#define PROJECT_ALL			(-1)
#define PROJECT_FACT		(-2)
#define PROJECT_CONDITIONS	(-3)

typedef struct ProjectCall
{
	KpiProjection *proj;
	StreamProjection *sp;
	const KpiInputPart *part;
	int			what;
	KpiFact    *fact;
} ProjectCall;

static void
project_part(void *arg)
{
	ProjectCall *call = arg;
	KpiFact    *fact = call->fact;

	/* The end of the subtransaction restores them, if no switch does. */
	kpi_settings_pin(call->sp->settings);
	if (call->what == PROJECT_CONDITIONS)
		project_conditions(call->proj, call->sp);
	if (call->what == PROJECT_ALL || call->what == PROJECT_FACT)
		project_fact(call->proj, call->sp, fact);
	if (call->what == PROJECT_ALL && fact->is_event && !fact->failed)
		project_inputs(call->proj, call->sp, call->part, fact);
	if (call->what >= 0)
		project_measure(call->proj, call->sp, call->what);
}

static void
project_part_as_definer(void *arg)
{
	KpiProjection *proj = ((ProjectCall *) arg)->proj;
	KpiUser		user;

	kpi_user_switch(&user, proj->definer);
	proj->is_busy = true;
	PG_TRY();
	{
		project_part(arg);
	}
	PG_FINALLY();
	{
		proj->is_busy = false;
	}
	PG_END_TRY();
	kpi_user_restore(&user);
}

/*
 * In a subtransaction.  False, with fact->error set, if an expression failed.
 * An error that is not the expression's reaches whoever writes or refreshes.
 */
static bool
project_trapped(KpiProjection *proj, StreamProjection *sp, const KpiInputPart *part, int what, KpiFact *fact)
{
	ProjectCall call = {proj, sp, part, what, fact};
	ErrorData  *error = kpi_try(KPI_ERROR_TRAPPED,
								sp->risk == KPI_EXPR_USER ? project_part_as_definer : project_part,
								&call);

	if (error == NULL)
		return true;
	fact->error = kpi_fact_error_note(error);
	fact->undecided |= error->sqlerrcode == ERRCODE_STATEMENT_TOO_COMPLEX;
	return false;
}

/* Something failed: finds out what, and keeps the rest. */
static void
project_piecewise(KpiProjection *proj, StreamProjection *sp, const KpiInputPart *part, KpiFact *fact)
{
	fact->is_event = true;
	fact->failed = false;
	fact->error = NULL;
	fact->undecided = false;
	if (!project_trapped(proj, sp, part, PROJECT_FACT, fact))
	{
		fact->is_event = true;
		fact->failed = !sp->is_left_out;
	}
	if (sp->is_left_out && fact->error != NULL)
	{
		/* Its time fails; whether it is left out for that each measure says. */
		fact->day = KPI_NO_DAY;
		fact->error = NULL;
	}
	if (!fact->is_event || fact->failed)
		return;

	fact->inputs = proj->fact_inputs;
	fact->isnull = proj->fact_isnull;
	for (int m = 0; m < sp->layout->nmeasures; m++)
	{
		if (!kpi_fact_part_leaves_out(&sp->inputs, part, m, proj->fact_isnull) &&
			!project_trapped(proj, sp, part, m, fact))
			fact->failed_measures = bms_add_member(fact->failed_measures, m);
	}
	set_days(sp, fact);
}

/* What evaluates the row next finds it in the projection. */
static void
set_row(KpiProjection *proj, TupleTableSlot *slot, KpiFact *fact)
{
	ResetExprContext(proj->econtext);
	proj->econtext->ecxt_scantuple = slot;
	memset(fact, 0, sizeof(KpiFact));
	fact->is_event = true;
	fact->dims = proj->fact_dims;
}

static void
project_row(KpiProjection *proj, StreamProjection *sp, const KpiInputPart *part,
			TupleTableSlot *slot, KpiFact *fact)
{
	MemoryContext oldcontext;

	set_row(proj, slot, fact);
	oldcontext = MemoryContextSwitchTo(proj->econtext->ecxt_per_tuple_memory);
	if (sp->risk == KPI_EXPR_SAFE || (sp->guarded && kpi_fact_guards_hold(&proj->guards, slot)))
	{
		project_fact(proj, sp, fact);
		if (fact->is_event && !fact->failed)
			project_inputs(proj, sp, part, fact);
	}
	else if (!project_trapped(proj, sp, part, PROJECT_ALL, fact))
		project_piecewise(proj, sp, part, fact);
	MemoryContextSwitchTo(oldcontext);
}

void
kpi_fact_project(KpiProjection *proj, int s, TupleTableSlot *slot, KpiFact *fact)
{
	project_row(proj, &proj->streams[s], &proj->streams[s].inputs.all, slot, fact);
}

void
kpi_fact_project_update(KpiProjection *proj, int s, KpiColumnSet changed,
						TupleTableSlot *slot, KpiFact *fact)
{
	StreamProjection *sp = &proj->streams[s];
	const KpiInputPart *part = &sp->inputs.all;

	if (changed != KPI_ALL_COLUMNS && (changed & sp->place_columns) == 0)
		part = kpi_fact_inputs_part(&sp->inputs, changed & sp->columns);
	project_row(proj, sp, part, slot, fact);
}

bool
kpi_fact_project_hides_error(KpiProjection *proj, int s, TupleTableSlot *slot)
{
	MemoryContext oldcontext;
	KpiFact		fact;
	bool		fails;

	set_row(proj, slot, &fact);
	oldcontext = MemoryContextSwitchTo(proj->econtext->ecxt_per_tuple_memory);
	fails = !project_trapped(proj, &proj->streams[s], &proj->streams[s].inputs.all,
							 PROJECT_CONDITIONS, &fact);
	MemoryContextSwitchTo(oldcontext);
	return fails;
}

bool
kpi_fact_project_loaded(KpiProjection *proj, KpiColumnSet changed, TupleTableSlot *slot, TimestampTz *loaded_at)
{
	if (proj->loaded == NULL || (changed != KPI_ALL_COLUMNS && (changed & proj->loaded_columns) == 0))
		return false;
	ResetExprContext(proj->econtext);
	proj->econtext->ecxt_scantuple = slot;
	return kpi_fact_loaded_of_row(proj->loaded, proj->econtext, proj->definer, &proj->is_busy, loaded_at);
}
