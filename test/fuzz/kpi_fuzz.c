/*-------------------------------------------------------------------------
 *
 * kpi_fuzz.c
 *	  The cell's input in all its forms, given what a corpus and chance make.
 *
 * Text and binary input, and cells as they are stored, which the server itself
 * never checks.  Each input is a sound one with a few changes.  It is refused with
 * an error of input, or it is a cell, which text and binary form give back and
 * which has an inverse.  What is accepted joins those that are changed next, so
 * that few rounds lead far from the corpus.
 *
 * All follows from the seed.  Errors are caught without a subtransaction: the
 * functions that are called hold nothing but memory, and subtransactions would take most
 * of the time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parse_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(kpi_fuzz);

#define MAX_POOL 500
#define LONGEST_INPUT 20000

typedef struct Input
{
	char	   *data;
	int			len;
} Input;

typedef struct Fuzz
{
	uint64		random;
	char		form;			/* 't'ext, 'b'inary, 's'tored */
	Input	   *pool;
	int			npool;
	MemoryContext pool_cxt;
	FmgrInfo	in;
	FmgrInfo	out;
	FmgrInfo	receive;
	FmgrInfo	send;
	FmgrInfo	equal;
	FmgrInfo	merge;
	FmgrInfo	subtract;
	FmgrInfo	is_empty;
	Oid			io_param;
} Fuzz;

/* xorshift: the same on every machine. */
static uint32
next_random(Fuzz *fuzz, uint32 below)
{
	fuzz->random ^= fuzz->random << 13;
	fuzz->random ^= fuzz->random >> 7;
	fuzz->random ^= fuzz->random << 17;
	return below == 0 ? 0 : (fuzz->random >> 11) % below;
}

/* ---- making inputs ---- */

static const char *const words[] = {
	"0", "-0", "-1", "+1", "00", "1e5", ".5", "5.", "NaN", "Infinity", "2147483647", "2147483648",
	"4611686018427387904", "-4611686018427387904", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
	"v1{", "}", "; ", ":", "=", "n=", "count ", "sum ", "entries=", "buckets=", "values=", "facts=", "forgotten=", "bounded=1 ",
	"errors n=1", "99999999999999999999999999999999999999999999"
};

static const unsigned char bytes[] = {0, 1, 2, 3, 4, 7, 8, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc0, 0xfe, 0xff};

static void
put(StringInfo input, int at, int remove, const char *data, int len)
{
	char	   *rest = palloc(input->len - at - remove + 1);
	int			nrest = input->len - at - remove;

	memcpy(rest, input->data + at + remove, nrest);
	input->len = at;
	appendBinaryStringInfo(input, data, len);
	appendBinaryStringInfo(input, rest, nrest);
	pfree(rest);
}

static void
change(Fuzz *fuzz, StringInfo input)
{
	int			at = next_random(fuzz, input->len + 1);
	int			left = input->len - at;
	int			n = next_random(fuzz, next_random(fuzz, 4) == 0 ? left + 1 : Min(left + 1, 9));
	const Input *other = &fuzz->pool[next_random(fuzz, fuzz->npool)];
	char		byte;

	switch (next_random(fuzz, fuzz->form == 't' ? 7 : 6))
	{
		case 0:
			if (left > 0)
				input->data[at] ^= 1 << next_random(fuzz, 8);
			break;
		case 1:
			byte = (char) bytes[next_random(fuzz, lengthof(bytes))];
			put(input, at, Min(left, 1), &byte, 1);
			break;
		case 2:
			put(input, at, n, "", 0);
			break;
		case 3:
			{
				char	   *copy = memcpy(palloc(n + 1), input->data + at, n);

				put(input, at, 0, copy, n);
				break;
			}
		case 4:
			if (other->len > 0)
			{
				int			from = next_random(fuzz, other->len);
				int			len = 1 + next_random(fuzz, Min(other->len - from, 40));

				put(input, at, n, other->data + from, len);
			}
			break;
		case 5:
			{
				uint64		number = next_random(fuzz, 2) ? UINT64CONST(0xffffffffffffffff) >> next_random(fuzz, 64) :
				UINT64CONST(1) << next_random(fuzz, 64);
				int			len = 1 << next_random(fuzz, 4);

				put(input, at, Min(left, len), (char *) &number, len);
				break;
			}
		default:
			{
				const char *word = words[next_random(fuzz, lengthof(words))];

				put(input, at, n, word, strlen(word));
			}
	}
	if (input->len > LONGEST_INPUT)
		input->len = LONGEST_INPUT;
}

/* Text that another encoding's bytes, or a zero, are in never reaches a type. */
static void
make_text(StringInfo input)
{
	for (int i = 0; i < input->len; i++)
	{
		if (input->data[i] == '\0')
			input->data[i] = '0';
	}
	if (!pg_verifymbstr(input->data, input->len, true))
	{
		for (int i = 0; i < input->len; i++)
			input->data[i] &= 0x7f;
		make_text(input);
	}
	appendStringInfoChar(input, '\0');
	input->len--;
}

/*
 * The first byte of what is stored stays: it says that it is compact, and what is not
 * is a cell in memory, which nobody checks.
 */
static void
make_input(Fuzz *fuzz, StringInfo input)
{
	const Input *from = &fuzz->pool[next_random(fuzz, fuzz->npool)];
	int			changes = next_random(fuzz, 5);
	int			first = fuzz->form == 's' ? 1 : 0;

	appendBinaryStringInfo(input, from->data + first, from->len - first);
	while (changes-- > 0)
		change(fuzz, input);
	put(input, 0, 0, from->data, first);
	if (fuzz->form == 't')
		make_text(input);
}

/* ---- what becomes of them ---- */

static Datum
receive(Fuzz *fuzz, const char *data, int len)
{
	StringInfoData message;

	initStringInfo(&message);
	appendBinaryStringInfo(&message, data, len);
	return ReceiveFunctionCall(&fuzz->receive, &message, fuzz->io_param, -1);
}

static Datum
read_input(Fuzz *fuzz, StringInfo input)
{
	struct varlena *stored;

	if (fuzz->form == 't')
		return InputFunctionCall(&fuzz->in, input->data, fuzz->io_param, -1);
	if (fuzz->form == 'b')
		return receive(fuzz, input->data, input->len);
	stored = palloc(input->len + VARHDRSZ);
	SET_VARSIZE(stored, input->len + VARHDRSZ);
	memcpy(VARDATA(stored), input->data, input->len);
	/* Whatever is made of it is made by who looks. */
	return FunctionCall2(&fuzz->merge, PointerGetDatum(stored),
						 InputFunctionCall(&fuzz->in, pstrdup("v1{}"), fuzz->io_param, -1));
}

static bool
same_cells(Fuzz *fuzz, Datum a, Datum b)
{
	return DatumGetBool(FunctionCall2(&fuzz->equal, a, b));
}

/* What is wrong with a cell that was accepted; or NULL. */
static const char *
problem_of(Fuzz *fuzz, Datum cell, bool *may_overflow)
{
	char	   *text = OutputFunctionCall(&fuzz->out, cell);
	Datum		again = InputFunctionCall(&fuzz->in, text, fuzz->io_param, -1);
	bytea	   *sent = SendFunctionCall(&fuzz->send, cell);

	if (!same_cells(fuzz, cell, again) || strcmp(text, OutputFunctionCall(&fuzz->out, again)) != 0)
		return "its text is another cell";
	again = receive(fuzz, VARDATA_ANY(sent), VARSIZE_ANY_EXHDR(sent));
	if (!same_cells(fuzz, cell, again) || strcmp(text, OutputFunctionCall(&fuzz->out, again)) != 0)
		return "its binary form is another cell";
	*may_overflow = true;
	if (strstr(text, "bounded=1") == NULL &&
		!DatumGetBool(FunctionCall1(&fuzz->is_empty, FunctionCall2(&fuzz->subtract, cell, cell))))
		return "less itself it is something";
	if (!same_cells(fuzz, FunctionCall2(&fuzz->subtract, FunctionCall2(&fuzz->merge, cell, cell), cell), cell))
		return "twice and less once it is another";
	return NULL;
}

static bool
is_refusal(const Fuzz *fuzz, int code)
{
	switch (fuzz->form)
	{
		case 't':
			return code == ERRCODE_INVALID_TEXT_REPRESENTATION;
		case 'b':
			return code == ERRCODE_INVALID_BINARY_REPRESENTATION || code == ERRCODE_PROTOCOL_VIOLATION;
		default:
			return code == ERRCODE_DATA_CORRUPTED || code == ERRCODE_FEATURE_NOT_SUPPORTED;
	}
}

static void
keep(Fuzz *fuzz, StringInfo input)
{
	int			at = fuzz->npool < MAX_POOL ? fuzz->npool++ : (int) next_random(fuzz, MAX_POOL);
	MemoryContext old = MemoryContextSwitchTo(fuzz->pool_cxt);

	fuzz->pool[at].data = memcpy(palloc(input->len + 1), input->data, input->len);
	fuzz->pool[at].len = input->len;
	MemoryContextSwitchTo(old);
}

/* True: it was accepted. */
static bool
try_input(Fuzz *fuzz, StringInfo input, MemoryContext context, char *volatile *problem)
{
	volatile bool accepted = false;
	bool		may_overflow = false;
	const char *wrong;

	PG_TRY();
	{
		Datum		cell = read_input(fuzz, input);

		accepted = true;
		wrong = problem_of(fuzz, cell, &may_overflow);
		/* Damage may have made another cell that looks sound. */
		if (wrong != NULL && fuzz->form != 's')
			*problem = pstrdup(wrong);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (accepted ? error->sqlerrcode != ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE &&
			(fuzz->form != 's' || error->sqlerrcode == ERRCODE_INTERNAL_ERROR) :
			!is_refusal(fuzz, error->sqlerrcode) &&
			!(fuzz->form == 's' && error->sqlerrcode == ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE))
			*problem = psprintf("%s %s", unpack_sql_state(error->sqlerrcode), error->message);
	}
	PG_END_TRY();
	return accepted;
}

static void
find_function(FmgrInfo *info, const char *signature)
{
	fmgr_info(DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum(signature))), info);
}

static void
begin(Fuzz *fuzz, char *form, ArrayType *corpus, int64 seed)
{
	Datum	   *elems;
	int			n;

	fuzz->random = (uint64) seed * UINT64CONST(0x9E3779B97F4A7C15) + 1;
	fuzz->form = form[0];
	fuzz->pool_cxt = CurrentMemoryContext;
	fuzz->pool = palloc0(MAX_POOL * sizeof(Input));
	deconstruct_array(corpus, BYTEAOID, -1, false, TYPALIGN_INT, &elems, NULL, &n);
	for (int i = 0; i < Min(n, MAX_POOL); i++)
	{
		fuzz->pool[i].data = VARDATA_ANY(DatumGetPointer(elems[i]));
		fuzz->pool[i].len = VARSIZE_ANY_EXHDR(DatumGetPointer(elems[i]));
	}
	fuzz->npool = Min(n, MAX_POOL);
	fuzz->io_param = InvalidOid;
	find_function(&fuzz->in, "kpi_internal.cell_in(cstring)");
	find_function(&fuzz->out, "kpi_internal.cell_out(kpi.cell)");
	find_function(&fuzz->receive, "kpi_internal.cell_recv(internal)");
	find_function(&fuzz->send, "kpi_internal.cell_send(kpi.cell)");
	find_function(&fuzz->equal, "kpi_internal.cell_eq(kpi.cell,kpi.cell)");
	find_function(&fuzz->merge, "kpi_internal.merge(kpi.cell,kpi.cell)");
	find_function(&fuzz->subtract, "kpi_internal.subtract(kpi.cell,kpi.cell)");
	find_function(&fuzz->is_empty, "kpi_internal.is_empty(kpi.cell)");
}

/*
 * kpi_fuzz(form text, corpus bytea[], seed bigint, tries integer,
 *			OUT accepted integer, OUT problem text, OUT input bytea)
 */
Datum
kpi_fuzz(PG_FUNCTION_ARGS)
{
	Fuzz		fuzz = {0};
	int			tries = PG_GETARG_INT32(3);
	int			naccepted = 0;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "fuzz", ALLOCSET_DEFAULT_SIZES);
	char	   *volatile problem = NULL;
	StringInfoData input;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, true, true};

	begin(&fuzz, text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_INT64(2));
	for (int i = 0; i < tries && problem == NULL; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		initStringInfo(&input);
		make_input(&fuzz, &input);
		if (try_input(&fuzz, &input, context, &problem))
		{
			naccepted++;
			keep(&fuzz, &input);
		}
		MemoryContextSwitchTo(caller);
	}
	if (problem != NULL)
	{
		values[1] = CStringGetTextDatum(problem);
		values[2] = PointerGetDatum(cstring_to_text_with_len(input.data, input.len));
		nulls[1] = nulls[2] = false;
	}
	values[0] = Int32GetDatum(naccepted);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
