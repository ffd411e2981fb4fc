-- One KPI is built, and then another of the same source.
SELECT bench.drop_kpis('deals', '');
CALL kpi.refresh('deals');
VACUUM;
SELECT kpi.create_kpi('won', source => 'deals', measure => 'count(*)', filter => 'stage = ''won''');
\ir on.sql
\warn @time build.one
CALL kpi.refresh('deals');
\ir off.sql
VACUUM;
SELECT kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount)', filter => 'stage = ''won''');
\ir on.sql
\warn @time build.second
CALL kpi.refresh('deals');
\ir off.sql
SELECT kpi.drop_kpi('won'), kpi.drop_kpi('revenue');
SELECT bench.create_kpis('deals', '');
