-- 81_exchange: amounts that are not converted, and rates that are old.

CREATE VIEW kpi.amount_without_rate AS
    SELECT kpi_internal.row_id(k.id, c.scope_kind, c.scope_id, c.grain, c.dim_id, c.start) AS id,
           s.name AS source, k.id AS kpi_id, k.name AS kpi, x.exchange, d.vals[1] AS currency,
           pg_catalog.to_char(c.start, 'YYYY-MM') AS period, c.start AS period_start,
           kpi_internal.cell_facts(c.cell, m.id) AS facts
      FROM kpi_internal.stream x
      JOIN kpi.source s ON s.id = x.source_id
      JOIN kpi_internal.measure m ON m.stream_id = x.id
      JOIN kpi.kpi k ON k.id = m.kpi_id
      JOIN kpi_internal.rollup_cell c ON c.stream_id = x.id AND c.scope_kind = 1 AND c.scope_id = 1 AND c.grain = 2
      JOIN kpi_internal.dim d ON d.id = c.dim_id AND d.source_id = s.id
           AND d.position = 1 + (SELECT pg_catalog.count(*) FROM kpi.dimension n WHERE n.source_id = s.id)
     WHERE x.currency IS NOT NULL AND kpi_internal.cell_facts(c.cell, m.id) > 0;
COMMENT ON VIEW kpi.amount_without_rate IS 'Facts that count for no value because their currency has no rate on their day, by KPI, currency and month, as of the last refresh. kpi.set_exchange_rate() gives one, and the next refresh counts them';
COMMENT ON COLUMN kpi.amount_without_rate.id IS 'Surrogate key of the row';
COMMENT ON COLUMN kpi.amount_without_rate.source IS 'The source (kpi.source.name)';
COMMENT ON COLUMN kpi.amount_without_rate.kpi_id IS 'The KPI (kpi.kpi.id)';
COMMENT ON COLUMN kpi.amount_without_rate.kpi IS 'Its name';
COMMENT ON COLUMN kpi.amount_without_rate.exchange IS 'The rates that it is converted by';
COMMENT ON COLUMN kpi.amount_without_rate.currency IS 'The currency as the facts have it; NULL: they have none';
COMMENT ON COLUMN kpi.amount_without_rate.period IS 'The month, like 2026-10';
COMMENT ON COLUMN kpi.amount_without_rate.period_start IS 'Its first day';
COMMENT ON COLUMN kpi.amount_without_rate.facts IS 'Facts that are left out';

CREATE VIEW kpi_internal.health_exchange AS
    SELECT 'warning'::text AS severity, 'rate_missing'::text AS problem, pg_catalog.format('KPI "%s"', w.kpi) AS object,
           pg_catalog.format('%s of its facts %s count for nothing: there is no rate on their day in exchange "%s" (%s to %s)',
                             pg_catalog.sum(w.facts), CASE WHEN w.currency IS NULL THEN 'without a currency' ELSE 'in ' || w.currency END,
                             w.exchange, pg_catalog.min(w.period), pg_catalog.max(w.period)) AS detail,
           CASE WHEN w.currency ~ '^[A-Z]{3}$'
                THEN pg_catalog.format('Run SELECT kpi.set_exchange_rate(%L, since => ..., rate => ..., exchange => %L).', w.currency, w.exchange)
                ELSE 'Correct the currency of these facts, or write an expression that gives codes like EUR.' END AS remedy
      FROM kpi.amount_without_rate w
     GROUP BY w.kpi, w.currency, w.exchange
    UNION ALL
    SELECT 'warning', 'rate_old', pg_catalog.format('currency "%s"', r.currency),
           pg_catalog.format('Its last rate in exchange "daily" is of %s and counts until there is another', r.since),
           pg_catalog.format('Run SELECT kpi.set_exchange_rate(%L, since => ..., rate => ...) as the rates become known.', r.currency)
      FROM (SELECT DISTINCT ON (e.currency) e.currency, e.since FROM kpi.exchange_rate e
             WHERE e.exchange = 'daily' AND e.since <= kpi.today() ORDER BY e.currency, e.since DESC) r
     WHERE r.since > '-infinity' AND r.since < kpi.today() - 7
       AND EXISTS (SELECT FROM kpi_internal.stream x
                     JOIN kpi_internal.dim d ON d.source_id = x.source_id AND d.position = 0
                    WHERE x.exchange = 'daily'
                      AND pg_catalog.cardinality(d.vals) = 1 + (SELECT pg_catalog.count(*) FROM kpi.dimension n WHERE n.source_id = x.source_id)
                      AND d.vals[pg_catalog.cardinality(d.vals)] = r.currency)
     ORDER BY 2, 3, 4;
COMMENT ON VIEW kpi_internal.health_exchange IS 'Currencies of facts that have no rate, and daily rates that are older than a week';
