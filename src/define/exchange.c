/*-------------------------------------------------------------------------
 *
 * exchange.c
 *	  SQL functions that define the company's currency and exchange rates.
 *
 * Whoever changes rates raises kpi_internal.version.rates, whose row lock makes such
 * changes wait for each other, so versions commit in their order.  What a rate was
 * before is kept by triggers of kpi.exchange_rate; the next refresh of each source
 * with amounts in currencies works off the difference (refresh/exchange.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(kpi_sql_alter_company);
PG_FUNCTION_INFO_V1(kpi_sql_set_exchange_rate);
PG_FUNCTION_INFO_V1(kpi_sql_touch_rates);

#define DEFAULT_EXCHANGE "daily"
#define CURRENCY_LENGTH 3

static char *
currency_argument(FunctionCallInfo fcinfo, int n)
{
	char	   *currency = kpi_arg_name(fcinfo, n, "currency");

	if (strlen(currency) != CURRENCY_LENGTH ||
		strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != CURRENCY_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown currency \"%s\"", currency),
				 errhint("Give its code of three capital letters (ISO 4217), like EUR, as the facts have it.")));
	return currency;
}

/* Error if the company has none. */
static char *
company_currency(void)
{
	char	   *currency = kpi_first_text("SELECT currency FROM kpi.company", 0);

	if (currency == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the company has no currency"),
				 errhint("Say first which one amounts are converted to, like SELECT kpi.alter_company(currency => 'EUR').")));
	return currency;
}

char *
kpi_define_exchange_of(const char *exchange)
{
	char	   *near;

	(void) company_currency();
	if (exchange == NULL || strcmp(exchange, DEFAULT_EXCHANGE) == 0)
		return pstrdup(DEFAULT_EXCHANGE);
	if (kpi_first_int4("SELECT 1 FROM kpi.exchange_rate WHERE exchange = $1 LIMIT 1", 1, KPI_TEXT(exchange)) != 0)
		return pstrdup(exchange);
	near = kpi_near_names(kpi_all_texts("SELECT DISTINCT exchange FROM kpi.exchange_rate", 0), exchange);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("exchange \"%s\" has no rates", exchange),
			 near ? errhint("Perhaps you mean %s.", near) :
			 errhint("Give it some with kpi.set_exchange_rate('USD', '2027-01-01', 0.92, exchange => %s).",
					 quote_literal_cstr(exchange))));
	return NULL;				/* keep compiler quiet */
}

/* Raises the version of rates, once in a transaction unless somebody took notice of it, and returns it. */
Datum
kpi_sql_touch_rates(PG_FUNCTION_ARGS)
{
	KpiSpi		spi;
	int64		version;

	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.version v SET rates = rates + 1 WHERE NOT"
				 " (v.xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid AND EXISTS"
				 "   (SELECT FROM kpi_internal.rate_change c WHERE c.version = v.rates)"
				 "  AND NOT EXISTS (SELECT FROM kpi_internal.source_state s WHERE s.rates_version >= v.rates))", 0);
	(void) kpi_spi_exec("SELECT v.rates FROM kpi_internal.version v", 0);
	version = kpi_spi_int8(0, 1);
	kpi_spi_end(&spi);
	kpi_wake_request(true);
	PG_RETURN_INT64(version);
}

/* kpi.alter_company(currency) */
Datum
kpi_sql_alter_company(PG_FUNCTION_ARGS)
{
	char	   *currency;
	char	   *old;
	char	   *users;
	KpiSpi		spi;

	kpi_require_editor();
	if (PG_ARGISNULL(0))
		PG_RETURN_VOID();
	currency = currency_argument(fcinfo, 0);
	kpi_spi_begin(&spi);
	kpi_spi_exec("SELECT FROM kpi_internal.version FOR UPDATE", 0);
	kpi_spi_end(&spi);
	old = kpi_first_text("SELECT currency FROM kpi.company", 0);
	if (old != NULL && strcmp(old, currency) == 0)
		PG_RETURN_VOID();
	users = kpi_first_text("SELECT pg_catalog.string_agg(pg_catalog.quote_ident(name), ', ' ORDER BY name)"
						   " FROM kpi.kpi WHERE exchange IS NOT NULL", 0);
	if (users != NULL || kpi_first_int4("SELECT 1 FROM kpi.exchange_rate LIMIT 1", 0) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("the company's currency cannot become %s: exchange rates and amounts are in %s", currency, old),
				 users ? errdetail_internal("KPIs: %s.", users) : 0,
				 errhint("Drop KPIs with a currency, and take the rates back with kpi.set_exchange_rate(..., NULL).")));
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi.company SET currency = $1", 1, KPI_TEXT(currency));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}

static void
check_rate(const char *currency, Numeric rate)
{
	if (numeric_is_nan(rate) || numeric_is_inf(rate) ||
		DatumGetBool(DirectFunctionCall2(numeric_le, NumericGetDatum(rate), NumericGetDatum(int64_to_numeric(0)))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rate of currency \"%s\" is not above 0: %s", currency,
						numeric_normalize(rate)),
				 errhint("Give what one unit of %s is worth in the company's currency; NULL takes a rate back.", currency)));
}

static void
check_not_own(const char *currency)
{
	kpi_spi_exec("SELECT FROM kpi_internal.version FOR UPDATE", 0);
	if (strcmp(company_currency(), currency) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("currency \"%s\" is that of the company", currency),
				 errhint("Its rate is 1.")));
}

/* kpi.set_exchange_rate(currency, since, rate, exchange) */
Datum
kpi_sql_set_exchange_rate(PG_FUNCTION_ARGS)
{
	char	   *currency = currency_argument(fcinfo, 0);
	DateADT		since = PG_ARGISNULL(1) ? DATEVAL_NOBEGIN : PG_GETARG_DATEADT(1);
	char	   *exchange = kpi_arg_name(fcinfo, 3, "exchange");
	KpiSpi		spi;

	kpi_require_editor();
	if (strlen(exchange) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of exchange \"%s\" is too long", exchange),
				 errhint("Use at most %d bytes.", NAMEDATALEN - 1)));
	if (since != DATEVAL_NOBEGIN && !kpi_calendar_day_in_range(since))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("day of a rate of currency \"%s\" is out of range", currency),
				 errdetail("Days lie in years 1 to 9999.")));
	if (!PG_ARGISNULL(2))
		check_rate(currency, PG_GETARG_NUMERIC(2));
	kpi_spi_begin(&spi);
	check_not_own(currency);
	if (!PG_ARGISNULL(2))
		kpi_spi_exec("INSERT INTO kpi.exchange_rate (exchange, currency, since, rate) VALUES ($1, $2, $3, $4)"
					 " ON CONFLICT (exchange, currency, since) DO UPDATE SET rate = EXCLUDED.rate"
					 " WHERE exchange_rate.rate <> EXCLUDED.rate",
					 4, KPI_TEXT(exchange), KPI_TEXT(currency), KPI_VALUE(DATEOID, DateADTGetDatum(since)),
					 KPI_VALUE(NUMERICOID, PG_GETARG_DATUM(2)));
	else if (kpi_spi_exec("DELETE FROM kpi.exchange_rate WHERE exchange = $1 AND currency = $2 AND since = $3",
						  3, KPI_TEXT(exchange), KPI_TEXT(currency), KPI_VALUE(DATEOID, DateADTGetDatum(since))) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("currency \"%s\" has no rate since %s in exchange \"%s\"", currency,
						since == DATEVAL_NOBEGIN ? "the beginning" : kpi_day_text(since), exchange),
				 errhint("Table kpi.exchange_rate lists the rates.")));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}
