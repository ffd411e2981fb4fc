/*-------------------------------------------------------------------------
 *
 * pinned.c
 *	  Settings that expressions run under, whoever's session it is.
 *
 * A fact must mean the same to the writer who inserts it, to the one who
 * deletes it and to a scan, but functions that are marked immutable print
 * floats by extra_float_digits, intervals by IntervalStyle and so on, and the
 * text of an expression is read by standard_conforming_strings.  So expressions
 * are read, compiled and evaluated with these settings at the values that a
 * new cluster has (the time zone is UTC).
 *
 * Setting one costs about as much as evaluating an expression, comparing it
 * next to nothing, and these values are what most sessions have: only what
 * differs is set, and only what an expression can depend on is compared.  What
 * a user's own function looks up beyond this list is that function's lie.
 *
 * The text that a user gives is standard SQL too, but its dates and intervals
 * are those of the user's session, as in any statement: they become constants,
 * which are stored so that they read the same in every session.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_expr.h"
#include "parser/parser.h"
#include "pgtime.h"
#include "tsearch/ts_cache.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/xml.h"

/* As in utils/pg_locale.h, which wants ICU's headers, and packages of the server's do not bring them. */
extern PGDLLIMPORT char *locale_monetary;
extern PGDLLIMPORT char *locale_numeric;
extern PGDLLIMPORT char *locale_time;

typedef struct PinnedSetting
{
	const char *name;
	const char *value;
	int			kinds;
	/* Where its value is; none: it is asked for by name. */
	const bool *boolean;
	const int  *number;
	char	  **string;
	int			wanted;			/* of a boolean or a number */
} PinnedSetting;

static const PinnedSetting settings[] = {
	{"standard_conforming_strings", "on", KPI_SETTINGS_READ,
	.boolean = &standard_conforming_strings,.wanted = true},
	{"backslash_quote", "safe_encoding", KPI_SETTINGS_READ,
	.number = &backslash_quote,.wanted = BACKSLASH_QUOTE_SAFE_ENCODING},
	{"transform_null_equals", "off", KPI_SETTINGS_READ,
	.boolean = &Transform_null_equals,.wanted = false},
	{"array_nulls", "on", KPI_SETTINGS_READ | KPI_SETTINGS_CODE,
	.boolean = &Array_nulls,.wanted = true},
	{"xmloption", "content", KPI_SETTINGS_READ | KPI_SETTINGS_CODE,
	.number = &xmloption,.wanted = XMLOPTION_CONTENT},

	{"bytea_output", "hex", KPI_SETTINGS_PRINT,
	.number = &bytea_output,.wanted = BYTEA_OUTPUT_HEX},
	{"IntervalStyle", "postgres", KPI_SETTINGS_PRINT,
	.number = &IntervalStyle,.wanted = INTSTYLE_POSTGRES},
	{"xmlbinary", "base64", KPI_SETTINGS_PRINT,
	.number = &xmlbinary,.wanted = XMLBINARY_BASE64},
	{"quote_all_identifiers", "off", KPI_SETTINGS_PRINT,
	.boolean = &quote_all_identifiers,.wanted = false},

	{"timezone_abbreviations", "Default", KPI_SETTINGS_ZONE},

	{"lc_monetary", "C", KPI_SETTINGS_CODE,.string = &locale_monetary},
	{"lc_numeric", "C", KPI_SETTINGS_CODE,.string = &locale_numeric},
	{"lc_time", "C", KPI_SETTINGS_CODE,.string = &locale_time},
	{"default_text_search_config", "pg_catalog.english", KPI_SETTINGS_CODE,
	.string = &TSCurrentConfig}
};

static void
pin(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

static bool
is_pinned(const PinnedSetting *setting)
{
	if (setting->boolean != NULL)
		return *setting->boolean == (setting->wanted != 0);
	if (setting->number != NULL)
		return *setting->number == setting->wanted;
	return strcmp(setting->string != NULL ? *setting->string :
				  GetConfigOption(setting->name, false, false), setting->value) == 0;
}

void
kpi_settings_pin(int kinds)
{
	for (int i = 0; i < lengthof(settings); i++)
	{
		if ((settings[i].kinds & kinds) != 0 && !is_pinned(&settings[i]))
			pin(settings[i].name, settings[i].value);
	}

	/* All positive values print the same. */
	if ((kinds & KPI_SETTINGS_PRINT) != 0 && extra_float_digits <= 0)
		pin("extra_float_digits", "1");
	if ((kinds & KPI_SETTINGS_CODE) != 0 &&
		(DateStyle != USE_ISO_DATES || DateOrder != DATEORDER_MDY))
		pin("DateStyle", "ISO, MDY");
	/* The session's zone has a say in abbreviations since 18. */
	if ((kinds & (KPI_SETTINGS_CODE | KPI_ABBREVIATIONS_OF_SESSION * KPI_SETTINGS_ZONE)) != 0 &&
		strcmp(pg_get_timezone_name(session_timezone), "UTC") != 0)
		pin("TimeZone", "UTC");
}

char *
kpi_stored_name(const char *schema, const char *name)
{
	int			nest_level = NewGUCNestLevel();
	char	   *quoted;

	kpi_settings_pin(KPI_SETTINGS_PRINT);
	quoted = quote_qualified_identifier(schema, name);
	AtEOXact_GUC(false, nest_level);
	return quoted;
}
