/*-------------------------------------------------------------------------
 *
 * pack.c
 *	  Many deltas in one value: the format of kpi_internal.queue_*.data.
 *
 * The first byte is the version.  The deltas follow, each of:
 *
 *	flags		1 byte: PACK_SAME_STREAM, PACK_HAS_ERROR, PACK_HAS_LEAF
 *	stream		id and version, 4 bytes each, unless they are those before
 *	day			4 bytes
 *	leaf		4 bytes, if there is one
 *	ndims		2 bytes
 *	values		owner, then ndims dimensions: '\0' for NULL, else '\1', the text
 *				and '\0' (as in KpiDeltaKey)
 *	error		text and '\0', if there is one
 *	length		4 bytes
 *	cell		compact (cell/compact.c), without its varlena header
 *
 * Integers are in the order of the machine and not aligned: the queue is never
 * dumped.  What is read was written here, but may be damaged: every read is
 * bounded.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "calendar/calendar.h"
#include "capture/capture_internal.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define PACK_VERSION 1

#define PACK_SAME_STREAM 0x01
#define PACK_HAS_ERROR 0x02
#define PACK_HAS_LEAF 0x04

static void
append_int(StringInfo pack, int32 value)
{
	appendBinaryStringInfo(pack, (char *) &value, sizeof(value));
}

void
kpi_capture_pack_begin(KpiPack *pack)
{
	resetStringInfo(&pack->data);
	/* Room for the header of the value. */
	appendBinaryStringInfo(&pack->data, "\0\0\0\0", VARHDRSZ);
	appendStringInfoChar(&pack->data, PACK_VERSION);
	pack->ndeltas = 0;
}

void
kpi_capture_pack_init(KpiPack *pack)
{
	initStringInfo(&pack->data);
	kpi_capture_pack_begin(pack);
}

Size
kpi_capture_pack_size(const KpiDelta *delta, struct varlena *cell)
{
	return 1 + 4 * sizeof(int32) + sizeof(uint16) +
		delta->key_len - offsetof(KpiDeltaKey, values) +
		(delta->error ? strlen(delta->error) + 1 : 0) +
		sizeof(int32) + VARSIZE_ANY_EXHDR(cell);
}

void
kpi_capture_pack_add(KpiPack *pack, const KpiDelta *delta, struct varlena *cell)
{
	const KpiDeltaKey *key = delta->key;
	bool		same = pack->ndeltas > 0 && pack->stream_id == key->stream_id && pack->version == key->version;
	uint8		flags = (same ? PACK_SAME_STREAM : 0) | (delta->error ? PACK_HAS_ERROR : 0) |
	(OidIsValid(key->leaf) ? PACK_HAS_LEAF : 0);
	uint16		ndims = key->ndims;

	appendStringInfoChar(&pack->data, flags);
	if (!same)
	{
		append_int(&pack->data, key->stream_id);
		append_int(&pack->data, key->version);
		pack->stream_id = key->stream_id;
		pack->version = key->version;
	}
	append_int(&pack->data, key->day);
	if (OidIsValid(key->leaf))
		append_int(&pack->data, key->leaf);
	appendBinaryStringInfo(&pack->data, (char *) &ndims, sizeof(ndims));
	appendBinaryStringInfo(&pack->data, key->values, delta->key_len - offsetof(KpiDeltaKey, values));
	if (delta->error != NULL)
		appendBinaryStringInfo(&pack->data, delta->error, strlen(delta->error) + 1);
	append_int(&pack->data, VARSIZE_ANY_EXHDR(cell));
	appendBinaryStringInfo(&pack->data, VARDATA_ANY(cell), VARSIZE_ANY_EXHDR(cell));
	pack->ndeltas++;
}

Datum
kpi_capture_pack_datum(KpiPack *pack)
{
	SET_VARSIZE(pack->data.data, pack->data.len);
	return PointerGetDatum(pack->data.data);
}

/* ---- reading ---- */

pg_noreturn static void
corrupt(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("row of the queue is damaged"),
			 errhint("Call kpi.resume() for its source, which has it rebuilt from its facts.")));
}

static const char *
read_bytes(KpiUnpack *unpack, Size n)
{
	const char *bytes = unpack->next;

	if (n > unpack->end - unpack->next)
		corrupt();
	unpack->next += n;
	return bytes;
}

static int32
read_int(KpiUnpack *unpack)
{
	int32		value;

	memcpy(&value, read_bytes(unpack, sizeof(value)), sizeof(value));
	return value;
}

/* A text and its '\0', of which the next read begins behind. */
static const char *
read_text(KpiUnpack *unpack)
{
	const char *text = unpack->next;
	const char *end = memchr(text, '\0', unpack->end - text);

	if (end == NULL)
		corrupt();
	unpack->next = end + 1;
	return text;
}

static const char *
read_value(KpiUnpack *unpack)
{
	char		is_value = *read_bytes(unpack, 1);

	if (is_value != '\0' && is_value != '\1')
		corrupt();
	return is_value == '\1' ? read_text(unpack) : NULL;
}

void
kpi_capture_unpack_begin(KpiUnpack *unpack, struct varlena *data)
{
	memset(unpack, 0, sizeof(KpiUnpack));
	unpack->next = VARDATA_ANY(data);
	unpack->end = unpack->next + VARSIZE_ANY_EXHDR(data);
	if (*read_bytes(unpack, 1) != PACK_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row of the queue has version %d, which this library does not know",
						(uint8) unpack->next[-1])));
}

static KpiCell *
read_cell(KpiUnpack *unpack)
{
	int32		length = read_int(unpack);
	struct varlena *compact;
	KpiCell    *cell;

	if (length <= 0 || length > unpack->end - unpack->next)
		corrupt();
	/* Its header must be aligned. */
	compact = palloc(VARHDRSZ + length);
	SET_VARSIZE(compact, VARHDRSZ + length);
	memcpy(VARDATA(compact), read_bytes(unpack, length), length);
	cell = kpi_cell_expand(compact);
	pfree(compact);
	return cell;
}

bool
kpi_capture_unpack_next(KpiUnpack *unpack)
{
	uint8		flags;
	uint16		ndims;

	if (unpack->next == unpack->end)
		return false;
	flags = (uint8) *read_bytes(unpack, 1);
	if ((flags & ~(PACK_SAME_STREAM | PACK_HAS_ERROR | PACK_HAS_LEAF)) != 0 ||
		((flags & PACK_SAME_STREAM) != 0 && unpack->ndeltas == 0))
		corrupt();
	if ((flags & PACK_SAME_STREAM) == 0)
	{
		unpack->stream_id = read_int(unpack);
		unpack->version = read_int(unpack);
	}
	unpack->day = read_int(unpack);
	if (unpack->day != KPI_ERROR_DAY && unpack->day != KPI_NO_DAY && !kpi_calendar_fact_day_in_range(unpack->day))
		corrupt();
	unpack->leaf = (flags & PACK_HAS_LEAF) ? (Oid) read_int(unpack) : InvalidOid;
	memcpy(&ndims, read_bytes(unpack, sizeof(ndims)), sizeof(ndims));
	unpack->ndims = ndims;
	unpack->values = unpack->next;
	unpack->owner = read_value(unpack);
	unpack->owner_len = unpack->owner ? unpack->next - unpack->owner - 1 : 0;
	unpack->dims = unpack->next;
	for (int d = 0; d < unpack->ndims; d++)
		(void) read_value(unpack);
	unpack->values_len = unpack->next - unpack->values;
	unpack->error = (flags & PACK_HAS_ERROR) ? read_text(unpack) : NULL;
	unpack->cell = read_cell(unpack);
	unpack->ndeltas++;
	return true;
}

Datum
kpi_capture_unpack_dims(const KpiUnpack *unpack)
{
	KpiUnpack	at = {.next = unpack->dims,.end = unpack->end};
	int			n = unpack->ndims;
	int			lbound = 1;
	Datum	   *values = palloc(sizeof(Datum) * n);
	bool	   *nulls = palloc(sizeof(bool) * n);

	for (int d = 0; d < n; d++)
	{
		const char *value = read_value(&at);

		nulls[d] = (value == NULL);
		values[d] = value ? CStringGetTextDatum(value) : (Datum) 0;
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lbound,
											  TEXTOID, -1, false, TYPALIGN_INT));
}

List *
kpi_capture_unpack_values(const KpiUnpack *unpack)
{
	KpiUnpack	at = {.next = unpack->values,.end = unpack->end};
	List	   *values = NIL;

	for (int i = 0; i <= unpack->ndims; i++)
		values = lappend(values, unconstify(char *, read_value(&at)));
	return values;
}
