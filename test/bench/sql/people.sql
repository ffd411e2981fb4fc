-- 500 members in 50 teams in 5 regions, and what makes the five KPIs.
SELECT kpi.create_team('region' || r) FROM generate_series(1, 5) AS r;
SELECT kpi.create_team('team' || t, parent => 'region' || (t % 5 + 1)) FROM generate_series(1, 50) AS t;
SELECT kpi.add_member(m::text, team => 'team' || (m % 50 + 1)) FROM generate_series(1, 500) AS m;

-- the same five on any of the tables
CREATE FUNCTION bench.create_kpis(source text, prefix text) RETURNS void LANGUAGE sql AS $$
    SELECT kpi.create_kpi(prefix || 'won', source => source, measure => 'count(*)', filter => 'stage = ''won''');
    SELECT kpi.create_kpi(prefix || 'revenue', source => source, measure => 'sum(amount)',
                          filter => 'stage = ''won''');
    SELECT kpi.create_kpi(prefix || 'lost', source => source, measure => 'count(*)', filter => 'stage = ''lost''',
                          direction => 'down');
    SELECT kpi.create_kpi(prefix || 'win_rate', source => source,
                          measure => 'rate(stage = ''won'', stage IN (''won'', ''lost''))');
    SELECT kpi.create_kpi(prefix || 'cycle', source => source, measure => 'avg(closed_at - created_at)',
                          filter => 'stage = ''won''', direction => 'down');
$$;
