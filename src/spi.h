/*-------------------------------------------------------------------------
 *
 * spi.h
 *	  Statements of our own over SPI, run as the extension's owner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_SPI_H
#define KPI_SPI_H

#include "postgres.h"

#include "executor/spi.h"

/*
 * While it is open, the extension's owner is the current user, search_path is
 * "pg_catalog, pg_temp" and SPI is connected.  An error undoes all of it with
 * the (sub)transaction.
 */
typedef struct KpiSpi
{
	Oid			save_user;
	int			save_sec_context;
	int			guc_nest_level;
} KpiSpi;

extern void kpi_spi_begin(KpiSpi *spi);
extern void kpi_spi_end(KpiSpi *spi);

/*
 * Runs one statement with up to 16 parameters, given as pairs
 * (Oid type, Datum value) after nargs; a NULL parameter is written as
 * KPI_NULL(type).  Returns SPI_processed; rows are in SPI_tuptable.
 *	kpi_spi_exec(): may write, sees everything committed before it.
 *	kpi_spi_read(): reads under the active snapshot (which must be set).
 */
extern uint64 kpi_spi_exec(const char *sql, int nargs,...);
extern uint64 kpi_spi_read(const char *sql, int nargs,...);

/* For parameter lists: KPI_TEXT("x"), KPI_INT4(7); a NULL pointer is NULL. */
typedef struct KpiParam
{
	Oid			type;
	Datum		value;
	bool		isnull;
} KpiParam;

extern KpiParam KPI_TEXT(const char *value);
extern KpiParam KPI_INT4(int32 value);
extern KpiParam KPI_INT8(int64 value);
extern KpiParam KPI_BOOL(bool value);
extern KpiParam KPI_VALUE(Oid type, Datum value);
extern KpiParam KPI_NULL(Oid type);

/* Column c (from 1) of row r (from 0) of SPI_tuptable. */
extern char *kpi_spi_text(uint64 r, int c); /* palloc'd in the SPI context;
											 * NULL if null */
extern char *kpi_spi_text_in(MemoryContext context, uint64 r, int c);	/* outlives SPI */
extern int32 kpi_spi_int4(uint64 r, int c); /* 0 if null */
extern int64 kpi_spi_int8(uint64 r, int c);
extern bool kpi_spi_bool(uint64 r, int c);
extern Datum kpi_spi_datum(uint64 r, int c, bool *isnull);

#endif							/* KPI_SPI_H */
