/*-------------------------------------------------------------------------
 *
 * document.c
 *	  Documents of definitions are checked before anything is done with them.
 *
 * What there may be follows from the arguments of the functions that define
 * (kpi_internal.definition_field); the first fault is an error of one line
 * that says where it is.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

/* "an object or a string" of "object or string", and "null". */
static char *
with_articles(const char *types)
{
	const char *article = strchr("ao", types[0]) != NULL ? "an" : "a";

	return strcmp(types, "null") == 0 ? pstrdup(types) : psprintf("%s %s", article, types);
}

static void
refuse_field(const char *path, const char *name, List *names)
{
	char	   *near = kpi_near_names(names, name);
	char	   *list = kpi_list_join(names);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 path[0] == '\0' ? errmsg("the definitions have an unknown field \"%s\"", name) :
			 errmsg("%s has an unknown field \"%s\"", path, name),
			 near ? errhint("Perhaps you mean %s.", near) :
			 list_length(names) == 1 ? errhint("There is %s.", list) : errhint("There are %s.", list)));
}

static void
refuse(KpiRows *rows)
{
	char	   *fault = kpi_rows_text(rows, "fault");
	char	   *path = kpi_rows_text(rows, "path");
	char	   *name = kpi_rows_text(rows, "name");

	if (strcmp(fault, "field") == 0)
		refuse_field(path, name, kpi_rows_texts(rows, "names"));
	else if (strcmp(fault, "type") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is %s, not %s", path, with_articles(kpi_rows_text(rows, "found")),
						with_articles(kpi_rows_text(rows, "expected")))));
	else if (strcmp(fault, "missing") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s has no field \"%s\"", path, name)));
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is there already", path),
				 errdetail("Another definition of its kind has the same name."),
				 errhint("Leave one of them out.")));
}

Datum
kpi_define_document_check(Datum document)
{
	KpiRows		rows;

	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(document)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the definitions are not a JSON object"),
				 errhint("Give a document as kpi.export() writes it.")));
	document = DirectFunctionCall1(jsonb_strip_nulls, document);
	kpi_rows_begin(&rows, "SELECT * FROM kpi_internal.definition_faults($1) LIMIT 1", 1, KPI_VALUE(JSONBOID, document));
	if (kpi_rows_next(&rows))
		refuse(&rows);
	kpi_rows_end(&rows);
	return document;
}
