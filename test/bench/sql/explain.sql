-- What people ask about numbers, of one team and quarter.
\ir on.sql
\warn @time explain.value
SELECT kpi.value('revenue', team => 'team7', period => '2026-Q4');
\warn @time explain.value_yield
SELECT kpi.value('yield', team => 'team7', period => '2026-Q4');
\warn @time explain.series
SELECT * FROM kpi.series('revenue', team => 'team7', grain => 'quarter');
\warn @time explain.series_days
SELECT * FROM kpi.series('revenue', team => 'team7', grain => 'day', since => '2026-10-01', until => '2027-01-01');
\warn @time explain.breakdown
SELECT * FROM kpi.breakdown('revenue', by => '{member}', team => 'team7', period => '2026-Q4');
\warn @time explain.breakdown_change
SELECT * FROM kpi.breakdown('win_rate', by => '{member}', team => 'team7', period => '2026-Q4', against => 'previous');
\warn @time explain.why
SELECT * FROM kpi.why('deals', key => '150000');
\warn @time explain.why_kpi
SELECT * FROM kpi.why('deals', key => '150000', kpi => 'revenue');
\warn @time explain.left_out
SELECT * FROM kpi.left_out WHERE source = 'deals';
\warn @time explain.left_out_kpi
SELECT * FROM kpi.left_out WHERE kpi = 'revenue';
\warn @time explain.definition
SELECT * FROM kpi.definition;
\warn @time explain.definition_kpi
SELECT * FROM kpi.definition WHERE kpi = 'revenue';
\warn @time explain.export
SELECT kpi.export(people => false);
\warn @time explain.export_people
SELECT kpi.export();
\warn @time explain.apply
SELECT * FROM kpi.apply((SELECT doc FROM bench.exported), dry_run => true);
\warn @time explain.query_text
SELECT kpi.query('revenue', team => 'team7', period => '2026-Q4');
\ir off.sql
