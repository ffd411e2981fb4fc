-- 47_typed: the texts of definitions as they were typed, beside those that are stored.

-- A text that was typed counts as long as what is stored is what was made of it then: where a
-- definition follows a renamed column, or is changed, it says no more what is meant. What is
-- stored as it was typed has no row.
CREATE TABLE kpi_internal.typed_text (
    source_id integer REFERENCES kpi.source ON DELETE CASCADE,
    kpi_id    integer REFERENCES kpi.kpi ON DELETE CASCADE,
    part      text NOT NULL,
    name      text,
    typed     text NOT NULL,
    stored    text NOT NULL,
    CHECK ((source_id IS NULL) <> (kpi_id IS NULL)),
    UNIQUE NULLS NOT DISTINCT (source_id, kpi_id, part, name)
);
COMMENT ON TABLE kpi_internal.typed_text IS 'What was typed where something else is stored: of a source or a KPI';
CREATE INDEX ON kpi_internal.typed_text (kpi_id);
ALTER TABLE kpi_internal.typed_text REPLICA IDENTITY FULL; -- no column of it is never null and a key
SELECT pg_catalog.pg_extension_config_dump('kpi_internal.typed_text', '');

-- What is stored: of a source where there is no kpi_id.
CREATE VIEW kpi_internal.stored_text (source_id, kpi_id, part, name, stored) AS
SELECT s.id, NULL::integer, t.part, NULL::text, t.stored
  FROM kpi.source s
 CROSS JOIN LATERAL (VALUES ('key', s.key), ('owner', s.owner), ('team', s.team), ('at', s.at),
                            ('filter', s.filter), ('loaded_at', s.loaded_at)) t(part, stored)
 WHERE t.stored IS NOT NULL
 UNION ALL
SELECT d.source_id, NULL, 'dimension', d.name, d.expression FROM kpi.dimension d
 UNION ALL
SELECT q.source_id, NULL, 'query', NULL, q.query FROM kpi.keyed_source q WHERE q.facts_relation IS NULL
 UNION ALL
SELECT f.source_id, NULL, 'follow', f.relation, f.query
  FROM kpi.followed_relation f JOIN kpi.keyed_source q ON q.source_id = f.source_id
 WHERE q.facts_relation IS NULL AND f.query IS NOT NULL
 UNION ALL
SELECT k.source_id, k.id, t.part, NULL, t.stored
  FROM kpi.kpi k
 CROSS JOIN LATERAL (VALUES ('measure', k.measure), ('filter', k.filter), ('owner', k.owner), ('team', k.team),
                            ('at', k.at), ('until', k.until), ('formula', k.formula)) t(part, stored)
 WHERE t.stored IS NOT NULL;
