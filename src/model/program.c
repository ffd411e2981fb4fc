/*-------------------------------------------------------------------------
 *
 * program.c
 *	  Programs: what the value of a KPI is computed by.
 *
 * A program is written when a KPI is defined and read whenever a value is: it
 * holds the measures, the formulas over them, the time zone and the periods.  Readers get
 * its text from the row that their snapshot shows and keep what they made of it
 * by that text, so nothing has to be invalidated, and nobody computes by a
 * definition newer than the cells and names beside it.  (Caches of the newest
 * definitions, which the engine has, cannot promise that.)
 *
 * The text has one line for the calendars and one for each KPI, inputs before
 * their users and the KPI itself last:
 *
 *	calendar <day 1..7 the organisation's week begins with> <month 1..12 its fiscal year does> <time zone>
 *	measure <KPI> <additive 0|1> <source> <stream> <owner kind 0..4> <measure> <divisor> <grain 0..4> <reach 0..1>
 *		<kind> <stream and measure of what leaves a balance, or 0 0> <detail 0..7> <parameter or ->
 *	formula <KPI> <additive> <length of the formula> <formula> <number of inputs> <line of each input, from 0>
 *
 * Invariant: a program never changes; another text is another program.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "model/model_internal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* ---- writing ---- */

typedef struct Writer
{
	StringInfoData text;
	List	   *kpi_ids;		/* of the lines so far */
	bool		has_calendar;
} Writer;

static int	write_kpi(Writer *writer, int32 kpi_id);

static void
write_measure(Writer *writer, int32 kpi_id, bool additive)
{
	KpiRows		rows;
	KpiGrain	grain = KPI_DAY;
	KpiOwnerKind owner_kind;
	KpiKind		kind;
	KpiMeasure	measure = {0};
	KpiStream	stream = {.measures = &measure,.nmeasures = 1};

	/* Whoever changes one of them writes the programs anew: it waits. */
	kpi_rows_begin(&rows, "SELECT s.id AS source_id, s.grain, m.stream_id, x.owner_kind, x.credit, m.id AS measure_id, m.kind, x.currency,"
				   " m.divisor, c.time_zone, o.week_start::integer, o.fiscal_year_start::integer, coalesce(m.parameter::text, '-') AS parameter,"
				   " coalesce(e.stream_id, 0) AS end_stream_id, coalesce(e.id, 0) AS end_measure_id"
				   " FROM kpi_internal.measure m JOIN kpi_internal.stream x ON x.id = m.stream_id"
				   " JOIN kpi.source s ON s.id = x.source_id JOIN kpi.calendar c ON c.id = s.calendar_id"
				   " CROSS JOIN kpi.calendar o"
				   " LEFT JOIN kpi_internal.measure e ON e.kpi_id = m.kpi_id AND e.role = 'end'"
				   " WHERE m.kpi_id = $1 AND m.role = 'value' AND o.id = $2 FOR SHARE OF c, o",
				   2, KPI_INT4(kpi_id), KPI_INT4(KPI_DEFAULT_CALENDAR));
	if (!kpi_rows_next(&rows))
		elog(ERROR, "KPI %d has no measure", kpi_id);
	if (!writer->has_calendar)
	{
		StringInfoData first;

		initStringInfo(&first);
		appendStringInfo(&first, "calendar %d %d %s\n%s", kpi_rows_int4(&rows, "week_start"),
						 kpi_rows_int4(&rows, "fiscal_year_start"), kpi_rows_text(&rows, "time_zone"), writer->text.data);
		writer->text = first;
		writer->has_calendar = true;
	}
	(void) kpi_calendar_grain_parse(kpi_rows_text(&rows, "grain"), &grain);
	stream.currency = kpi_rows_text(&rows, "currency");
	if (!kpi_cell_kind_parse(kpi_rows_text(&rows, "kind"), &kind))
		elog(ERROR, "measure of KPI %d is of no kind", kpi_id);
	measure.kind = kind;
	owner_kind = kpi_model_owner_kind(kpi_rows_text(&rows, "owner_kind"), kpi_rows_text(&rows, "credit"));
	appendStringInfo(&writer->text, "measure %d %d %d %d %d %d %d %d %d %d %d %d %d %s\n", kpi_id, additive, kpi_rows_int4(&rows, "source_id"),
					 kpi_rows_int4(&rows, "stream_id"), owner_kind, kpi_rows_int4(&rows, "measure_id"),
					 kpi_rows_int4(&rows, "divisor"), grain, kpi_model_measure_reach(kpi_rows_text(&rows, "kind")),
					 kind, kpi_rows_int4(&rows, "end_stream_id"), kpi_rows_int4(&rows, "end_measure_id"),
					 kpi_model_stream_detail(&stream), kpi_rows_text(&rows, "parameter"));
	kpi_rows_end(&rows);
}

static void
write_formula(Writer *writer, int32 kpi_id, bool additive, const char *formula)
{
	List	   *names = kpi_model_formula_names(kpi_model_formula_parse(formula));
	StringInfoData inputs;
	ListCell   *lc;

	initStringInfo(&inputs);
	foreach(lc, names)
	{
		int32		input = kpi_first_int4("SELECT input_kpi_id FROM kpi_internal.formula_input"
										   " WHERE kpi_id = $1 AND name = $2",
										   2, KPI_INT4(kpi_id), KPI_TEXT(lfirst(lc)));

		if (input == 0)
			elog(ERROR, "input \"%s\" of formula KPI %d is not there", (char *) lfirst(lc), kpi_id);
		appendStringInfo(&inputs, " %d", write_kpi(writer, input));
	}
	appendStringInfo(&writer->text, "formula %d %d %zu %s %d%s\n", kpi_id, additive, strlen(formula), formula,
					 list_length(names), inputs.data);
}

/* Writes a KPI's line, unless it is there, after those it needs; returns its number. */
static int
write_kpi(Writer *writer, int32 kpi_id)
{
	KpiRows		rows;
	char	   *formula;
	bool		additive;
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, writer->kpi_ids)
	{
		if (lfirst_int(lc) == kpi_id)
			return foreach_current_index(lc);
	}
	kpi_rows_begin(&rows, "SELECT formula, is_additive FROM kpi.kpi WHERE id = $1", 1, KPI_INT4(kpi_id));
	if (!kpi_rows_next(&rows))
		elog(ERROR, "KPI %d is not there", kpi_id);
	formula = kpi_rows_text(&rows, "formula");
	additive = kpi_rows_bool(&rows, "is_additive");
	kpi_rows_end(&rows);
	if (formula == NULL)
		write_measure(writer, kpi_id, additive);
	else
		write_formula(writer, kpi_id, additive, formula);
	writer->kpi_ids = lappend_int(writer->kpi_ids, kpi_id);
	return list_length(writer->kpi_ids) - 1;
}

char *
kpi_model_program_text(int32 kpi_id)
{
	Writer		writer = {.kpi_ids = NIL};

	initStringInfo(&writer.text);
	(void) write_kpi(&writer, kpi_id);
	return writer.text.data;
}

/* ---- reading ---- */

/* More programs than this are forgotten together: a bound, not a target. */
#define MAX_PROGRAMS 4096

typedef struct ProgramEntry
{
	const		text *key;
	KpiProgram *program;
	uint32		hash;
	char		status;
} ProgramEntry;

static inline uint32
hash_text(const text * key)
{
	return hash_bytes((const unsigned char *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
}

static inline bool
equal_texts(const text * a, const text * b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

#define SH_PREFIX programhash
#define SH_ELEMENT_TYPE ProgramEntry
#define SH_KEY_TYPE const text *
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_text(key)
#define SH_EQUAL(tb, a, b) equal_texts(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

static MemoryContext programs_cxt = NULL;
static programhash_hash *programs = NULL;
static const text *last_key = NULL;
static const KpiProgram *last_program = NULL;

static int
next_number(const char **p)
{
	char	   *end;
	long		number = strtol(*p, &end, 10);

	if (end == *p)
		elog(ERROR, "program of a KPI is damaged");
	*p = end;
	return (int) number;
}

static bool
next_word(const char **p, const char *word)
{
	size_t		length = strlen(word);

	if (strncmp(*p, word, length) != 0)
		return false;
	*p += length;
	return true;
}

/* NULL where there is none. */
static Numeric
next_numeric(const char **p)
{
	size_t		length = strcspn(*p + 1, " \n");
	char	   *number = pnstrdup(*p + 1, length);

	*p += 1 + length;
	if (strcmp(number, "-") == 0)
		return NULL;
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(number), ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}

static void
read_formula(KpiProgramNode *node, const char **p, int nnodes)
{
	int			length = next_number(p);

	if (length < 0 || length >= strlen(*p))
		elog(ERROR, "program of a KPI is damaged");
	node->formula = kpi_model_formula_parse(pnstrdup(*p + 1, length));
	*p += 1 + length;
	node->ninputs = next_number(p);
	if (node->ninputs != list_length(kpi_model_formula_names(node->formula)))
		elog(ERROR, "program of a KPI is damaged");
	node->inputs = palloc(Max(node->ninputs, 1) * sizeof(int));
	for (int i = 0; i < node->ninputs; i++)
	{
		node->inputs[i] = next_number(p);
		if (node->inputs[i] < 0 || node->inputs[i] >= nnodes)
			elog(ERROR, "program of a KPI is damaged");
	}
}

/* A mean is a quotient, as a rate is. */
static KpiShape
shape_of_measure(KpiKind kind, bool additive)
{
	if (additive)
		return KPI_SHAPE_ADDITIVE;
	switch (kind)
	{
		case KPI_AVG:
		case KPI_RATE:
		case KPI_RATIO:
			return KPI_SHAPE_QUOTIENT;
		case KPI_BALANCE:
			return KPI_SHAPE_BALANCE;
		default:
			return KPI_SHAPE_OTHER;
	}
}

static KpiShape
shape_of_formula(const KpiProgram *program, const KpiProgramNode *node)
{
	KpiShape   *inputs = palloc(Max(node->ninputs, 1) * sizeof(KpiShape));
	KpiShape	shape;

	for (int i = 0; i < node->ninputs; i++)
		inputs[i] = program->nodes[node->inputs[i]].shape;
	shape = kpi_model_formula_shape(node->formula, inputs);
	pfree(inputs);
	return shape;
}

static void
add_stream(KpiProgram *program, int32 stream_id)
{
	for (int s = 0; s < program->nstreams; s++)
	{
		if (program->streams[s] == stream_id)
			return;
	}
	program->streams[program->nstreams++] = stream_id;
}

/* Into the current memory context. */
static KpiProgram *
read_program(const char *text)
{
	KpiProgram *program = palloc0(sizeof(KpiProgram));
	const char *p = text;
	const char *end;
	int			nlines = 0;

	for (const char *c = text; *c != '\0'; c++)
		nlines += *c == '\n';
	program->nodes = palloc0(Max(nlines, 1) * sizeof(KpiProgramNode));
	program->streams = palloc0(Max(nlines, 1) * sizeof(int32));
	end = strchr(p, '\n');
	if (!next_word(&p, "calendar ") || end == NULL)
		elog(ERROR, "program of a KPI is damaged");
	program->week_start = next_number(&p);
	program->fiscal_start = next_number(&p);
	if (!next_word(&p, " "))
		elog(ERROR, "program of a KPI is damaged");
	program->time_zone = pnstrdup(p, end - p);
	p = end + 1;
	while (*p != '\0')
	{
		KpiProgramNode *node = &program->nodes[program->nnodes];

		if (next_word(&p, "measure "))
		{
			node->kpi_id = next_number(&p);
			node->additive = next_number(&p) != 0;
			node->source_id = next_number(&p);
			node->stream_id = next_number(&p);
			node->owner_kind = (KpiOwnerKind) next_number(&p);
			node->measure_id = next_number(&p);
			node->divisor = next_number(&p);
			node->grain = (KpiGrain) next_number(&p);
			node->reach = (KpiReach) next_number(&p);
			node->kind = (KpiKind) next_number(&p);
			node->end_stream_id = next_number(&p);
			node->end_measure_id = next_number(&p);
			node->detail = next_number(&p);
			node->parameter = next_numeric(&p);
			node->shape = shape_of_measure(node->kind, node->additive);
			program->reach = Max(program->reach, node->reach);
			program->grain = Max(program->grain, node->grain);
			add_stream(program, node->stream_id);
			if (node->end_stream_id != 0)
				add_stream(program, node->end_stream_id);
		}
		else if (next_word(&p, "formula "))
		{
			node->kpi_id = next_number(&p);
			node->additive = next_number(&p) != 0;
			read_formula(node, &p, program->nnodes);
			node->shape = shape_of_formula(program, node);
		}
		if (!next_word(&p, "\n"))
			elog(ERROR, "program of a KPI is damaged");
		program->nnodes++;
	}
	if (program->nnodes == 0)
		elog(ERROR, "program of a KPI is damaged");
	kpi_model_program_look_back(program);
	return program;
}

static void
forget_programs(void)
{
	if (programs_cxt == NULL)
		programs_cxt = AllocSetContextCreate(CacheMemoryContext, "pg_kpi programs", ALLOCSET_DEFAULT_SIZES);
	programs = NULL;
	last_key = NULL;
	MemoryContextReset(programs_cxt);
	programs = programhash_create(programs_cxt, 64, NULL);
}

/* An error while reading leaves no entry, and its garbage until all is forgotten. */
static ProgramEntry *
enter_program(const text * key)
{
	static uint64 nread = 0;
	MemoryContext old;
	KpiProgram *program;
	ProgramEntry *entry;
	text	   *copy;
	bool		found;

	if (programs->members >= MAX_PROGRAMS)
		forget_programs();
	old = MemoryContextSwitchTo(programs_cxt);
	program = read_program(text_to_cstring(key));
	program->number = ++nread;
	copy = cstring_to_text_with_len(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
	MemoryContextSwitchTo(old);
	entry = programhash_insert(programs, copy, &found);
	entry->program = program;
	return entry;
}

/* The columns of a row ask for the same one after the other: the last is compared first. */
const KpiProgram *
kpi_model_program(const text * key)
{
	ProgramEntry *entry;

	if (last_key != NULL && equal_texts(last_key, key))
		return last_program;
	if (programs == NULL)
		forget_programs();
	entry = programhash_lookup(programs, key);
	if (entry == NULL)
		entry = enter_program(key);
	last_key = entry->key;
	last_program = entry->program;
	return last_program;
}
