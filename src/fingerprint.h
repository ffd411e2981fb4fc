/*-------------------------------------------------------------------------
 *
 * fingerprint.h
 *	  Fingerprints of what expressions reach.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_FINGERPRINT_H
#define KPI_FINGERPRINT_H

#include "postgres.h"

#include "nodes/nodes.h"

/* The fingerprints of a source, collected while its expressions compile. */
typedef struct KpiPrints KpiPrints;

/* In the current memory context. */
extern KpiPrints *kpi_prints_create(void);

/* Adds what an expression reaches, as it was parsed and as it was compiled. */
extern void kpi_prints_expression(KpiPrints *prints, const char *text, Node *parsed, Node *compiled);

/* Adds what all expressions of a source share: its time zone and its dimensions. */
extern void kpi_prints_source(KpiPrints *prints, const char *time_zone, int ndims, char **names, char **exprs);

/* One text value per key (jsonb), in the current memory context. */
extern Datum kpi_prints_jsonb(KpiPrints *prints);

/*
 * Compares fingerprints of now with those seen before (NULL: none).  True if
 * what they have in common differs; *news says whether there is an expression
 * that was not seen.
 */
extern bool kpi_prints_differ(Datum now, const char *seen, bool *news);

#endif							/* KPI_FINGERPRINT_H */
