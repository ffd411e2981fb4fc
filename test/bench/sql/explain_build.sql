-- The build of five KPIs, and their capture. Variable: source.
SELECT count(kpi.drop_kpi(k.name)) FROM kpi.kpi k JOIN kpi.source s ON s.id = k.source_id WHERE s.name = :'source';
CALL kpi.refresh(:'source');
VACUUM;
SELECT bench.create_alike(:'source');
\ir on.sql
\warn @time explain_build.:source
CALL kpi.refresh(:'source');
\ir off.sql
-- once it tells of KPIs that are new
CALL kpi.refresh(:'source');
\ir on.sql
\warn @time explain_insert.:source
INSERT INTO :source (owner_id, stage, amount, created_at, closed_at)
SELECT i % 500 + 1, (ARRAY['won', 'lost', 'open'])[i % 3 + 1], i % 1000,
       timestamptz '2026-11-01' + i % 10 * interval '1 day', timestamptz '2026-11-18' - i % 90 * interval '1 day'
  FROM generate_series(1, 10000) AS i;
\warn @time explain_refresh.:source
CALL kpi.refresh(:'source');
\ir off.sql
