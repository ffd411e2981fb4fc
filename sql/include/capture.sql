-- The oracle of the tests of capture, in schema capture_test, which is new.
CREATE SCHEMA capture_test;
SET search_path = capture_test;
SET client_min_messages = warning;
SET datestyle = 'ISO';

-- The oracle: the deltas of a source, merged, against a recomputation, days
-- that no fact can have counted apart.  All tables here start empty, so the
-- queue alone must say what they hold.
CREATE FUNCTION differences(source_name text)
RETURNS TABLE (kpi text, owner text, day date, dims text[], queue text, facts text)
LANGUAGE plpgsql AS $$
DECLARE
    stream record;
BEGIN
    FOR stream IN
        SELECT s.id, s.version, min(k.name) AS kpi,
               string_agg(format('SELECT CASE WHEN o.ok THEN f.owner::text END AS owner,
                                        CASE WHEN o.ok THEN f.day ELSE ''-infinity'' END AS day,
                                        CASE WHEN o.ok THEN %s::text[] END AS dims,
                                        kpi_internal.cell_agg(%L, %s) AS cell, count(*) AS facts
                                   FROM (%s) f, LATERAL (SELECT f.day BETWEEN ''1900-01-01'' AND ''2200-12-31'' AS ok) o
                                  GROUP BY 1, 2, 3',
                                 coalesce(d.list, 'NULL'), m.id || ':' || m.kind,
                                 (SELECT string_agg(format('f.m%s_%s', m.id, i), ', ' ORDER BY i) FROM generate_subscripts(m.inputs, 1) i),
                                 kpi_internal.facts_query(source_name, k.name)), ' UNION ALL ') AS facts
          FROM kpi_internal.stream s
          JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.stream_id = s.id
          JOIN kpi.kpi k ON k.id = m.kpi_id
          JOIN kpi.source o ON o.id = s.source_id
         CROSS JOIN LATERAL (SELECT 'ARRAY[' || string_agg(format('f.%I', d.name), ', ' ORDER BY d.position) || ']'
                               FROM kpi.dimension d WHERE d.source_id = o.id) d (list)
         WHERE o.name = source_name
         GROUP BY s.id
    LOOP
        RETURN QUERY EXECUTE format(
            'WITH q AS (SELECT owner, day, dims, kpi_internal.merge(cell) AS cell FROM kpi_internal.delta
                         WHERE stream_id = %s AND version = %s AND kind = ''d'' GROUP BY owner, day, dims),
                  f AS (SELECT u.owner, u.day, u.dims,
                               CASE WHEN u.day = ''-infinity'' THEN format(''v1{0:errors n=%%s}'', max(u.facts))::kpi.cell
                                    ELSE kpi_internal.merge(u.cell) END AS cell
                          FROM (%s) u GROUP BY 1, 2, 3)
             SELECT %L, coalesce(q.owner, f.owner), coalesce(q.day, f.day), coalesce(q.dims, f.dims),
                    q.cell::text, f.cell::text
               FROM q FULL JOIN f
                 ON q.day = f.day AND coalesce(q.owner, ''(null)'') = coalesce(f.owner, ''(null)'')
                    AND coalesce(q.dims::text, '''') = coalesce(f.dims::text, '''')
              WHERE coalesce(q.cell, ''v1{}'') OPERATOR(kpi.<>) coalesce(f.cell, ''v1{}'') ORDER BY 2, 3, 4',
            stream.id, stream.version, stream.facts, stream.kpi);
    END LOOP;
END $$;

-- what the queue holds of a source, and no more
CREATE VIEW queue AS
SELECT s.name AS source, d.kind, d.owner, d.day, d.dims,
       regexp_replace(kpi_internal.merge(d.cell)::text, '[0-9]+:', '#:', 'g') AS cell, count(*) AS rows, max(d.error) AS error
  FROM kpi_internal.delta d JOIN kpi.source s ON s.id = d.source_id
 GROUP BY s.name, d.kind, d.owner, d.day, d.dims;

CREATE PROCEDURE empty_queue() LANGUAGE plpgsql AS $$
DECLARE
    segment name;
BEGIN
    FOR segment IN SELECT c.relname FROM pg_class c
                    WHERE c.relnamespace = 'kpi_internal'::regnamespace AND c.relname ~ '^queue_[0-9]+_[01]$'
    LOOP
        EXECUTE format('DELETE FROM kpi_internal.%I', segment);
    END LOOP;
END $$;
