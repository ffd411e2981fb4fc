--
-- Dimensions and owners that come, go, change names and places: nothing that is
-- stored names one that is gone, and what is shown is what the facts say.
--
SET client_min_messages = warning;
SET TimeZone = 'UTC';

CREATE SCHEMA rd;
CREATE TABLE rd.deals (id integer PRIMARY KEY, owner text, squad text, k text, size text, at date, amount numeric);
INSERT INTO rd.deals
SELECT i, (ARRAY['rd ann', 'rd bob'])[1 + i % 2], (ARRAY['rd south', 'rd north'])[1 + i % 2],
       'k' || i % 3, nullif('s' || i % 4, 's0'), date '2026-01-01' + i % 90, i
FROM generate_series(1, 60) i;
SELECT kpi.create_team('rd north') IS NOT NULL AND kpi.create_team('rd south') IS NOT NULL
       AND kpi.add_member('rd ann', team => 'rd north') IS NOT NULL AS made;
SELECT kpi.create_source('rd', relation => 'rd.deals', owner => 'owner', at => 'at',
                         dimensions => '{"k": "k", "size": "size"}') IS NOT NULL AS made;
SELECT kpi.create_kpi('rd count', source => 'rd', measure => 'count(*)') IS NOT NULL
       AND kpi.create_kpi('rd sum', source => 'rd', measure => 'sum(amount)') IS NOT NULL
       AND kpi.create_kpi('rd mean', formula => '"rd sum" / "rd count"') IS NOT NULL AS made;

-- The company's sums per year of some dimensions (names and expressions), from
-- the facts; minus what is shown, and the other way round.
CREATE FUNCTION rd.differences(dimensions jsonb)
RETURNS TABLE (side text, dimension text, dimension_value text, value numeric) LANGUAGE plpgsql AS $$
DECLARE
    facts text := 'SELECT NULL::text AS dimension, NULL::text AS dimension_value, sum(amount) AS value FROM rd.deals';
    d record;
BEGIN
    FOR d IN SELECT * FROM jsonb_each_text(dimensions) LOOP
        facts := facts || format(' UNION ALL SELECT %L, (%s)::text, sum(amount) FROM rd.deals GROUP BY 2', d.key, d.value);
    END LOOP;
    RETURN QUERY EXECUTE format($q$
        WITH f AS (%s), s AS (
            SELECT NULL::text, NULL::text, v.value FROM kpi.team_yearly v WHERE v.kpi = 'rd sum' AND v.team = 'company'
            UNION ALL
            SELECT b.dimension, b.dimension_value, b.value FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id
             WHERE k.name = 'rd sum' AND b.team_id = 1 AND b.grain = 'year')
        SELECT 'facts', * FROM (TABLE f EXCEPT ALL TABLE s) x
        UNION ALL SELECT 'shown', * FROM (TABLE s EXCEPT ALL TABLE f) y ORDER BY 1, 2, 3$q$, facts);
END $$;

-- What is stored of dimensions, streams and KPIs that the source does not have.
CREATE FUNCTION rd.obsolete() RETURNS TABLE (what text, rows bigint) LANGUAGE sql AS $$
    WITH source AS (SELECT s.id, (SELECT count(*) FROM kpi.dimension d WHERE d.source_id = s.id) AS ndims
                      FROM kpi.source s WHERE s.name = 'rd'),
         cell AS (SELECT 'day cell' AS kind, stream_id, dim_id FROM kpi_internal.day_cell
                  UNION ALL SELECT 'rollup cell', stream_id, dim_id FROM kpi_internal.rollup_cell)
    SELECT * FROM (
        SELECT 'dim', count(*) FROM kpi_internal.dim d JOIN source s ON s.id = d.source_id
         WHERE d.position > s.ndims OR d.position = 0 AND cardinality(d.vals) <> s.ndims
        UNION ALL
        SELECT c.kind || ' of a dim', count(*) FROM cell c
          JOIN kpi_internal.stream x ON x.id = c.stream_id JOIN source s ON s.id = x.source_id
          LEFT JOIN kpi_internal.dim d ON d.id = c.dim_id
         WHERE c.dim_id <> 0 AND (d.id IS NULL OR d.source_id <> s.id OR d.position > s.ndims)
         GROUP BY c.kind
        UNION ALL
        SELECT c.kind || ' of a stream', count(*) FROM cell c
         WHERE NOT EXISTS (SELECT FROM kpi_internal.stream x WHERE x.id = c.stream_id) GROUP BY c.kind
        UNION ALL
        SELECT 'breakdown', count(*) FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id
         WHERE k.source_id = (SELECT id FROM source)
           AND NOT EXISTS (SELECT FROM kpi.dimension d WHERE d.source_id = k.source_id AND d.name = b.dimension)) o (what, rows)
     WHERE o.rows > 0 ORDER BY 1 $$;
CREATE FUNCTION rd.alter_to(dimensions jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT kpi.alter_source('rd', dimensions => dimensions) $$;

CALL kpi.refresh('rd');
SELECT * FROM rd.differences('{"k": "k", "size": "size"}');

-- The last one goes.  A writer that knows the old ones comes before the refresh,
-- and somebody who changes teams.
SELECT rd.alter_to('{"k": "k"}');
UPDATE rd.deals SET size = 's9', amount = amount + 1 WHERE id % 5 = 0;
SELECT kpi.move_member('rd ann', team => 'rd south', since => '2026-02-01');
CALL kpi.refresh('rd');
SELECT * FROM rd.obsolete();
SELECT * FROM rd.differences('{"k": "k"}');
SELECT * FROM kpi.verify('rd');

-- All go, and one comes.
SELECT rd.alter_to('{}');
CALL kpi.refresh('rd');
SELECT * FROM rd.obsolete();
SELECT * FROM rd.differences('{}');
SELECT count(*) FROM kpi_internal.dim d JOIN kpi.source s ON s.id = d.source_id WHERE s.name = 'rd';
SELECT rd.alter_to('{"size": "size"}');
CALL kpi.refresh('rd');
SELECT * FROM rd.obsolete();
SELECT * FROM rd.differences('{"size": "size"}');

-- One comes before it, so that it has another place; two change names; one has
-- another expression.  Deltas of the time between are in the queue.
SELECT rd.alter_to('{"a": "owner", "size": "size"}');
INSERT INTO rd.deals VALUES (61, 'rd bob', 'rd south', 'k0', 's1', '2026-03-03', 61);
CALL kpi.refresh('rd');
SELECT * FROM rd.obsolete();
SELECT * FROM rd.differences('{"a": "owner", "size": "size"}');
SELECT rd.alter_to('{"a": "size", "size": "owner"}');
DELETE FROM rd.deals WHERE id = 61;
CALL kpi.refresh('rd');
SELECT * FROM rd.obsolete();
SELECT * FROM rd.differences('{"a": "size", "size": "owner"}');
SELECT rd.alter_to('{"a": "size", "z": "owner", "longer": "upper(k)"}');
CALL kpi.refresh('rd');
SELECT * FROM rd.obsolete();
SELECT * FROM rd.differences('{"a": "size", "z": "owner", "longer": "upper(k)"}');

-- Changed twice before a refresh, and the first one goes with the owner.
SELECT rd.alter_to('{"z": "owner", "longer": "k"}');
SELECT rd.alter_to('{"longer": "k"}');
SELECT kpi.alter_source('rd', team => 'squad');
CALL kpi.refresh('rd');
SELECT * FROM rd.obsolete();
SELECT * FROM rd.differences('{"longer": "k"}');
SELECT v.team, v.value = (SELECT sum(amount) FROM rd.deals WHERE squad = v.team) AS is_right
  FROM kpi.team_yearly v WHERE v.kpi = 'rd sum' AND v.team LIKE 'rd %' ORDER BY 1;
SELECT count(*) FROM kpi.member_yearly WHERE kpi = 'rd sum';
SELECT kpi.alter_source('rd', owner => '', team => '', dimensions => '{}');
CALL kpi.refresh('rd');
SELECT * FROM rd.obsolete();
SELECT * FROM rd.differences('{}');
SELECT count(*) FROM kpi.team_yearly WHERE kpi = 'rd sum' AND team <> 'company';

-- No KPI is left to build while they change.
SELECT rd.alter_to('{"k": "k", "size": "size"}');
CALL kpi.refresh('rd');
SELECT kpi.drop_kpi('rd mean'), kpi.drop_kpi('rd sum'), kpi.drop_kpi('rd count');
SELECT rd.alter_to('{"size": "size"}');
CALL kpi.refresh('rd');
SELECT kpi.create_kpi('rd sum', source => 'rd', measure => 'sum(amount)') IS NOT NULL AS made;
CALL kpi.refresh('rd');
SELECT * FROM rd.obsolete();
SELECT * FROM rd.differences('{"size": "size"}');
SELECT * FROM kpi.verify('rd');

SELECT kpi.drop_source('rd', cascade => true);
SELECT kpi.drop_member('rd ann'), kpi.drop_team('rd north'), kpi.drop_team('rd south');
DROP SCHEMA rd CASCADE;
