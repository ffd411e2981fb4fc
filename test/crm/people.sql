-- Members of the CRM move, in pg_kpi and for oracle.sql.  After kpis.sql.

-- Each move puts other days into an assignment that there is: in another team, or in none.
CREATE PROCEDURE acceptance.move_people(seed text, moves integer) LANGUAGE plpgsql AS $$
DECLARE
    old crm.rep_team;
    other text;
    first date;
    next date;
BEGIN
    PERFORM setseed(abs(hashtext(seed)) / 2147483648.0);
    FOR i IN 1 .. moves LOOP
        first := date '2025-01-02' + (random() * 480)::integer;
        next := first + 1 + (random() * 200)::integer;
        SELECT * INTO STRICT old FROM crm.rep_team WHERE since < first AND until > next ORDER BY random() LIMIT 1;
        SELECT team INTO other FROM (SELECT team FROM crm.team WHERE team NOT IN ('company', old.team) UNION ALL SELECT NULL) x ORDER BY random() LIMIT 1;
        PERFORM kpi.move_member(old.rep_id, team => other, since => first, until => next);
        UPDATE crm.rep_team SET until = first WHERE rep_id = old.rep_id AND since = old.since;
        INSERT INTO crm.rep_team VALUES (old.rep_id, old.team, next, old.until);
        INSERT INTO crm.rep_team SELECT old.rep_id, other, first, next WHERE other IS NOT NULL;
        RAISE NOTICE '% in % from % to %', old.rep_id, coalesce(other, 'no team'), first, next;
    END LOOP;
END
$$;

-- What a fact counts for, by crm.rep_team as it is.
CREATE PROCEDURE acceptance.credit_people() LANGUAGE sql AS $$
TRUNCATE oracle.credit, oracle.scope;
INSERT INTO oracle.credit
SELECT o.owner, d::date, coalesce(a.above, x.above)
  FROM (SELECT rep_id AS owner FROM crm.rep UNION ALL VALUES ('ghost'), ('')) o CROSS JOIN generate_series(timestamp '2024-12-01', '2026-08-31', '1 day') d
  LEFT JOIN crm.rep_team m ON m.rep_id = o.owner AND d::date >= m.since AND d::date < m.until
  LEFT JOIN oracle.team_above a ON a.team = m.team
  LEFT JOIN (VALUES ('(unassigned)'), ('company')) x (above) ON m.rep_id IS NULL;
INSERT INTO oracle.scope SELECT c.owner, c.day, c.team, p.period FROM oracle.credit c JOIN oracle.period p ON c.day BETWEEN p.first_day AND p.last_day;
ANALYZE oracle.credit, oracle.scope;
$$;
