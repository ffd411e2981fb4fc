-- What reads facts. A GROUP BY of the same rows is beside it. The statement that kpi.query() says
-- is run as it is pasted; it ends with a semicolon.
SELECT kpi.query('revenue', team => 'team7', period => '2026-Q4') AS query,
       kpi.query('revenue', period => '2026-Q4') AS company_query \gset
\ir on.sql
\warn @time explain.group_by
SELECT owner_id, sum(amount) FROM deals WHERE stage = 'won' AND closed_at >= '2026-10-01' AND closed_at < '2027-01-01' GROUP BY 1;
\warn @time explain.facts
SELECT * FROM kpi.facts('revenue', team => 'team7', period => '2026-Q4');
\warn @time explain.facts_company
SELECT * FROM kpi.facts('revenue', period => '2026-Q4');
\warn @time explain.query
:query
\warn @time explain.query_company
:company_query
\warn @time explain.reconcile
SELECT * FROM kpi.reconcile('revenue', grain => 'quarter', since => '2026-10-01', query =>
    'SELECT owner_id AS owner, closed_at::date AS day, sum(amount) AS amount FROM public.deals WHERE stage = ''won'' AND closed_at >= ''2026-10-01'' GROUP BY 1, 2');
\ir off.sql
SELECT count(*) AS team_facts FROM kpi.facts('revenue', team => 'team7', period => '2026-Q4') \gset
SELECT count(*) AS company_facts FROM kpi.facts('revenue', period => '2026-Q4') \gset
\warn @is explain.team_facts :team_facts
\warn @is explain.company_facts :company_facts
