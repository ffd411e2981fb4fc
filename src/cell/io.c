/*-------------------------------------------------------------------------
 *
 * io.c
 *	  Text and binary input and output of cells.
 *
 * Both forms are lossless and carry a version; input trusts nothing and drops
 * empty states.
 *
 *	text	v1{7:count n=3; 8:sum n=2 nonfinite=0 sum=12.5}
 *	binary	version int8, states int32, and for each: measure id int32, kind
 *			int8, counts int64 each, sums as length int32 and the binary form
 *			of a numeric
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <ctype.h>
#include <errno.h>

#include "cell/cell_internal.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

/* Digits a numeric may have behind the decimal point. */
#define MAX_FRACTION_DIGITS 16383

/* A cell being read: states come in order, the last one may be dropped. */
typedef struct KpiCellReader
{
	KpiCellBuf	buf;
	int64		last_id;
	int			last_kind;
} KpiCellReader;

static void
reader_init(KpiCellReader *reader)
{
	reader->buf.cell = kpi_cell_empty();
	reader->buf.given = NULL;
	reader->last_id = -1;
	reader->last_kind = 0;
}

/*
 * Appends an empty state and sets *offset to it.  Returns NULL, or what is
 * wrong with the state.
 */
static const char *
reader_append(KpiCellReader *reader, int64 id, int kind, uint32 *offset)
{
	if (kpi_cell_kind_ops(kind) == NULL)
		return "The kind of a state is not known.";
	if (id < 0 || id > PG_INT32_MAX || (id == 0 && kind != KPI_ERRORS))
		return "A measure id is out of range.";
	if (id < reader->last_id || (id == reader->last_id && kind <= reader->last_kind))
		return "The states are not in ascending order of measure id and kind.";
	reader->last_id = id;
	reader->last_kind = kind;
	*offset = reader->buf.cell->used;
	kpi_cell_buf_insert(&reader->buf, *offset, (int32) id, (KpiKind) kind);
	return NULL;
}

static KpiCell *
reader_finish(KpiCellReader *reader)
{
	KpiCell    *packed = kpi_cell_pack(reader->buf.cell);

	pfree(reader->buf.cell);
	return packed;
}

/* ---- text ---- */

void
kpi_cell_text_error(const KpiTextInput *in, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", "kpi.cell", in->text),
			 errdetail_internal("%s", detail)));
}

static void
skip_space(KpiTextInput *in)
{
	while (isspace((unsigned char) *in->next))
		in->next++;
}

/* Takes the literal, if it comes next behind spaces. */
bool
kpi_cell_text_take(KpiTextInput *in, const char *literal)
{
	size_t		length = strlen(literal);

	skip_space(in);
	if (strncmp(in->next, literal, length) != 0)
		return false;
	in->next += length;
	return true;
}

void
kpi_cell_text_field(KpiTextInput *in, const char *name)
{
	if (!isspace((unsigned char) *in->next) || !kpi_cell_text_take(in, name) || *in->next != '=')
		kpi_cell_text_error(in, psprintf("Field \"%s\" is missing or not in its place.", name));
	in->next++;
}

/* An integer; no sign but a minus, no space before it. */
int64
kpi_cell_text_integer(KpiTextInput *in)
{
	char	   *end;
	int64		result;

	errno = 0;
	result = strtoll(in->next, &end, 10);
	if (!isdigit((unsigned char) in->next[in->next[0] == '-' ? 1 : 0]))
		kpi_cell_text_error(in, "An integer is missing.");
	if (errno != 0)
		kpi_cell_text_error(in, "An integer is out of range.");
	in->next = end;
	return result;
}

int64
kpi_cell_text_count(KpiTextInput *in, const char *name)
{
	int64		result;

	kpi_cell_text_field(in, name);
	result = kpi_cell_text_integer(in);
	if (result > KPI_MAX_COUNT || result < -KPI_MAX_COUNT)
		kpi_cell_text_error(in, "A count is out of range.");
	return result;
}

int64
kpi_cell_text_int8(KpiTextInput *in, const char *name)
{
	kpi_cell_text_field(in, name);
	return kpi_cell_text_integer(in);
}

bool
kpi_cell_text_has(const KpiTextInput *in, const char *name)
{
	KpiTextInput ahead = *in;

	return kpi_cell_text_take(&ahead, name) && *ahead.next == '=';
}

char *
kpi_cell_text_bytes(KpiTextInput *in, const char *name, int *length)
{
	size_t		digits;
	char	   *bytes;

	kpi_cell_text_field(in, name);
	digits = strspn(in->next, "0123456789abcdef");
	if (digits % 2 != 0)
		kpi_cell_text_error(in, "Bytes have two hexadecimal digits each.");
	bytes = palloc(digits / 2 + 1);
	*length = (int) hex_decode(in->next, digits, bytes);
	in->next += digits;
	return bytes;
}

void
kpi_cell_text_put_bytes(StringInfo buf, const char *name, const char *bytes, int length)
{
	appendStringInfo(buf, " %s=", name);
	enlargeStringInfo(buf, 2 * length);
	buf->len += (int) hex_encode(bytes, length, buf->data + buf->len);
	buf->data[buf->len] = '\0';
}

Numeric
kpi_cell_text_decimal(KpiTextInput *in, const char *name)
{
	const char *digits;
	size_t		whole;
	size_t		fraction = 0;
	char	   *number;
	Datum		result;

	kpi_cell_text_field(in, name);
	digits = in->next + (*in->next == '-' ? 1 : 0);
	whole = strspn(digits, "0123456789");
	if (digits[whole] == '.')
		fraction = strspn(digits + whole + 1, "0123456789");
	if (whole == 0 || (digits[whole] == '.' && fraction == 0))
		kpi_cell_text_error(in, "A decimal number is missing.");
	if (whole - strspn(digits, "0") > KPI_MAX_SUM_DIGITS && strspn(digits, "0") < whole)
		kpi_cell_text_error(in, psprintf("A sum has more than %d digits before the decimal point.",
										 KPI_MAX_SUM_DIGITS));
	if (fraction > MAX_FRACTION_DIGITS)
		kpi_cell_text_error(in, psprintf("A sum has more than %d digits behind the decimal point.",
										 MAX_FRACTION_DIGITS));

	digits += whole + (fraction > 0 ? fraction + 1 : 0);
	number = pnstrdup(in->next, digits - in->next);
	in->next = digits;
	result = DirectFunctionCall3(numeric_in, CStringGetDatum(number),
								 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	pfree(number);
	return DatumGetNumeric(result);
}

/* Reads 'id:kind' and its fields. */
static void
text_state(KpiTextInput *in, KpiCellReader *reader)
{
	char		name[NAMEDATALEN];
	KpiKind		kind = KPI_COUNT;
	uint32		offset;
	int64		id;
	const char *problem;
	size_t		length;

	skip_space(in);
	id = kpi_cell_text_integer(in);
	if (*in->next != ':')
		kpi_cell_text_error(in, "A colon is missing behind a measure id.");
	in->next++;
	length = strspn(in->next, "abcdefghijklmnopqrstuvwxyz_");
	strlcpy(name, in->next, Min(length + 1, sizeof(name)));
	if (length >= sizeof(name) || !kpi_cell_kind_parse(name, &kind))
		kpi_cell_text_error(in, "The kind of a state is not known.");
	in->next += length;
	problem = reader_append(reader, id, kind, &offset);
	if (problem != NULL)
		kpi_cell_text_error(in, problem);
	kpi_cell_kinds[kind]->in(&reader->buf, offset, in);
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_in);
Datum
kpi_sql_cell_in(PG_FUNCTION_ARGS)
{
	KpiTextInput in;
	KpiCellReader reader;

	in.text = in.next = PG_GETARG_CSTRING(0);
	reader_init(&reader);

	if (!kpi_cell_text_take(&in, "v1"))
		kpi_cell_text_error(&in, "A cell begins with its version, \"v1\".");
	if (!kpi_cell_text_take(&in, "{"))
		kpi_cell_text_error(&in, "An opening brace is missing.");
	if (!kpi_cell_text_take(&in, "}"))
	{
		do
			text_state(&in, &reader);
		while (kpi_cell_text_take(&in, ";"));
		if (!kpi_cell_text_take(&in, "}"))
			kpi_cell_text_error(&in, "A closing brace or a semicolon is missing.");
	}
	skip_space(&in);
	if (*in.next != '\0')
		kpi_cell_text_error(&in, "There is something behind the closing brace.");

	PG_RETURN_KPI_CELL_P(reader_finish(&reader));
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_out);
Datum
kpi_sql_cell_out(PG_FUNCTION_ARGS)
{
	KpiCell    *cell = PG_GETARG_KPI_CELL_P(0);
	const KpiState *state;
	const char *separator = "";
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "v%d{", KPI_CELL_VERSION);
	kpi_cell_foreach_state(state, offset, cell)
	{
		const KpiKindOps *ops = kpi_cell_kinds[state->kind];

		if (ops->is_empty(state))
			continue;
		appendStringInfo(&buf, "%s%d:%s", separator, state->measure_id, ops->name);
		ops->out(&buf, state);
		separator = "; ";
	}
	appendStringInfoChar(&buf, '}');
	PG_RETURN_CSTRING(buf.data);
}

/* ---- binary ---- */

void
kpi_cell_binary_error(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid binary representation of type %s", "kpi.cell"),
			 errdetail_internal("%s", detail)));
}

int64
kpi_cell_binary_count(StringInfo message)
{
	int64		result = pq_getmsgint64(message);

	if (result > KPI_MAX_COUNT || result < -KPI_MAX_COUNT)
		kpi_cell_binary_error("A count is out of range.");
	return result;
}

Numeric
kpi_cell_binary_decimal(StringInfo message)
{
	StringInfoData image;
	int			length = (int) pq_getmsgint(message, 4);
	KpiDecimal	decimal;
	Datum		result;

	if (length < 0 || length > message->len - message->cursor)
		kpi_cell_binary_error("A sum does not fit in the message.");
	initStringInfo(&image);
	appendBinaryStringInfo(&image, pq_getmsgbytes(message, length), length);
	result = DirectFunctionCall3(numeric_recv, PointerGetDatum(&image),
								 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	if (image.cursor != image.len)
		kpi_cell_binary_error("A sum is longer than its digits.");
	pfree(image.data);
	if (kpi_cell_decimal_read(result, KPI_MAX_SUM_DIGITS, &decimal) == KPI_DECIMAL_NONFINITE)
		kpi_cell_binary_error("A sum is not finite or has too many digits.");
	return DatumGetNumeric(result);
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_recv);
Datum
kpi_sql_cell_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	KpiCellReader reader;
	KpiCell    *cell;
	int			nstates;

	reader_init(&reader);
	if (pq_getmsgbyte(message) != KPI_CELL_VERSION)
		kpi_cell_binary_error("The version of the cell is not known.");
	nstates = (int) pq_getmsgint(message, 4);
	if (nstates < 0 || nstates > PG_UINT16_MAX)
		kpi_cell_binary_error("The number of states is out of range.");
	for (int i = 0; i < nstates; i++)
	{
		int32		id = (int32) pq_getmsgint(message, 4);
		int			kind = pq_getmsgbyte(message);
		uint32		offset;
		const char *problem = reader_append(&reader, id, kind, &offset);

		if (problem != NULL)
			kpi_cell_binary_error(problem);
		kpi_cell_kinds[kind]->recv(&reader.buf, offset, message);
	}

	cell = reader_finish(&reader);
	kpi_cell_check(cell);
	PG_RETURN_KPI_CELL_P(cell);
}

PG_FUNCTION_INFO_V1(kpi_sql_cell_send);
Datum
kpi_sql_cell_send(PG_FUNCTION_ARGS)
{
	KpiCell    *cell = kpi_cell_pack(PG_GETARG_KPI_CELL_P(0));
	const KpiState *state;
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendbyte(&buf, KPI_CELL_VERSION);
	pq_sendint32(&buf, cell->nstates);
	kpi_cell_foreach_state(state, offset, cell)
	{
		pq_sendint32(&buf, state->measure_id);
		pq_sendbyte(&buf, state->kind);
		kpi_cell_kinds[state->kind]->send(&buf, state);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}
