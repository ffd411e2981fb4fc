/*-------------------------------------------------------------------------
 *
 * typed.c
 *	  Texts of definitions as they were typed: kpi_internal.typed_text.
 *
 * What runs is the stored text, which is deparsed.  What was typed is for people, and
 * for who writes a definition down to give it again.  It is kept with the stored text that was made
 * of it: whoever rewrites that one, as names change, need not know of it (47_typed.sql).
 *
 * Locks: those of the row of the definition, which the caller has.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

/* One that was given. */
typedef struct TypedText
{
	const char *part;
	const char *name;			/* of several of a part; or NULL */
	char	   *text;
} TypedText;

static List *
add(List *typed, const char *part, const char *name, char *text)
{
	TypedText  *added = palloc(sizeof(TypedText));

	*added = (TypedText)
	{
		part, name, text
	};
	return lappend(typed, added);
}

List *
kpi_define_typed_add(List *typed, FunctionCallInfo fcinfo, int n, const char *part)
{
	char	   *text = n < PG_NARGS() ? kpi_define_arg_given(fcinfo, n) : NULL;

	return text == NULL ? typed : add(typed, part, NULL, text);
}

List *
kpi_define_typed_add_object(List *typed, FunctionCallInfo fcinfo, int n, const char *part, List *names)
{
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	char	   *name = NULL;
	int			i = 0;

	if (n >= PG_NARGS() || PG_ARGISNULL(n))
		return typed;
	it = JsonbIteratorInit(&PG_GETARG_JSONB_P(n)->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = names == NIL ? pnstrdup(value.val.string.val, value.val.string.len) : list_nth(names, i++);
		else if (token == WJB_VALUE)
			typed = add(typed, part, name, pnstrdup(value.val.string.val, value.val.string.len));
	}
	return typed;
}

void
kpi_define_typed_store(bool of_kpi, int32 id, List *typed)
{
	const char *mine = of_kpi ? "kpi_id = $1" : "source_id = $1 AND kpi_id IS NULL";
	KpiSpi		spi;
	ListCell   *lc;

	kpi_spi_begin(&spi);
	foreach(lc, typed)
	{
		const TypedText *text = lfirst(lc);

		kpi_spi_exec(psprintf("DELETE FROM kpi_internal.typed_text WHERE %s AND part = $2 AND name IS NOT DISTINCT FROM $3",
							  mine),
					 3, KPI_INT4(id), KPI_TEXT(text->part), KPI_TEXT(text->name));
		kpi_spi_exec(psprintf("INSERT INTO kpi_internal.typed_text (source_id, kpi_id, part, name, typed, stored)"
							  " SELECT CASE WHEN kpi_id IS NULL THEN source_id END, kpi_id, part, name, $4, stored"
							  " FROM kpi_internal.stored_text"
							  " WHERE %s AND part = $2 AND name IS NOT DISTINCT FROM $3 AND stored <> $4", mine),
					 4, KPI_INT4(id), KPI_TEXT(text->part), KPI_TEXT(text->name), KPI_TEXT(text->text));
	}
	/* Those of what was cleared, or has another text now. */
	kpi_spi_exec(psprintf("DELETE FROM kpi_internal.typed_text t WHERE %s AND NOT EXISTS"
						  " (SELECT FROM kpi_internal.stored_text s WHERE %s AND s.part = t.part"
						  "  AND s.name IS NOT DISTINCT FROM t.name AND s.stored = t.stored)", mine, mine),
				 1, KPI_INT4(id));
	kpi_spi_end(&spi);
}

static char *
rename_calls(char *text, const char *from, const char *to)
{
	const char *done = text;
	List	   *columns;
	StringInfoData result;
	ListCell   *lc;

	initStringInfo(&result);
	foreach(lc, kpi_expr_calls(text, "lookup", &columns))
	{
		const KpiExprCall *call = lfirst(lc);

		if (strcmp(call->name, from) != 0)
			continue;
		appendBinaryStringInfo(&result, done, text + call->begin - done);
		appendStringInfo(&result, "lookup(%s, %s)", quote_literal_cstr(to), call->argument);
		done = text + call->end;
	}
	appendStringInfoString(&result, done);
	return result.data;
}

void
kpi_define_typed_rename_lookup(int32 lookup_id, const char *from, const char *to)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT t.source_id, t.kpi_id, t.part, t.name, t.typed FROM kpi_internal.typed_text t"
				   " LEFT JOIN kpi.kpi k ON k.id = t.kpi_id"
				   " WHERE t.typed ILIKE '%lookup%' AND EXISTS (SELECT FROM kpi.source_lookup l"
				   "  WHERE l.lookup_id = $1 AND l.source_id = coalesce(t.source_id, k.source_id))",
				   1, KPI_INT4(lookup_id));
	while (kpi_rows_next(&rows))
		kpi_spi_exec("UPDATE kpi_internal.typed_text SET typed = $5"
					 " WHERE coalesce(source_id, 0) = $1 AND coalesce(kpi_id, 0) = $2 AND part = $3"
					 " AND name IS NOT DISTINCT FROM $4",
					 5, KPI_INT4(kpi_rows_int4(&rows, "source_id")), KPI_INT4(kpi_rows_int4(&rows, "kpi_id")),
					 KPI_TEXT(kpi_rows_text(&rows, "part")), KPI_TEXT(kpi_rows_text(&rows, "name")),
					 KPI_TEXT(rename_calls(kpi_rows_text(&rows, "typed"), from, to)));
	kpi_rows_end(&rows);
}
