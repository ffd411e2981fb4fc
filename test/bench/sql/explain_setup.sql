-- Two tables alike, each with five KPIs of one time: of counted, facts that are left out are
-- counted as always; of bare, that is taken away. Variable: rows.
CREATE TABLE bench.exported AS SELECT kpi.export() AS doc;
CREATE TABLE counted (LIKE deals INCLUDING ALL);
CREATE TABLE bare (LIKE deals INCLUDING ALL);
INSERT INTO counted SELECT * FROM deals ORDER BY id LIMIT :rows;
INSERT INTO bare SELECT * FROM counted;
SELECT setval(pg_get_serial_sequence(name, 'id'), 100000000) FROM unnest('{counted,bare}'::text[]) AS name;
SELECT kpi.create_source(name, relation => 'public.' || name, key => 'id', owner => 'owner_id', at => 'closed_at')
  FROM unnest('{counted,bare}'::text[]) AS name;
CREATE FUNCTION bench.create_alike(source text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM kpi.create_kpi(source || '_' || name, source => source, measure => measure, filter => filter)
       FROM (VALUES ('won', 'count(*)', 'stage = ''won'''), ('revenue', 'sum(amount)', 'stage = ''won'''),
                    ('lost', 'count(*)', 'stage = ''lost'''), ('win_rate', 'rate(stage = ''won'', stage IN (''won'', ''lost''))', NULL),
                    ('cycle', 'avg(closed_at - created_at)', 'stage = ''won''')) AS k (name, measure, filter);
    IF source = 'bare' THEN
        DELETE FROM kpi_internal.measure m USING kpi.kpi k, kpi.source s
         WHERE m.kpi_id = k.id AND s.id = k.source_id AND s.name = 'bare' AND m.role = 'left_out';
        DELETE FROM kpi_internal.stream x USING kpi.source s WHERE x.source_id = s.id AND s.name = 'bare' AND x.part = 'left_out';
    END IF;
END
$$;
