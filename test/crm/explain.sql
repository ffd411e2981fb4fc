-- What kpi.query() says of the KPIs of the CRM beside oracle.sql, and whether what it returns has anything of pg_kpi in it.
-- After compare.sql.
CREATE TABLE acceptance.place (team text, member text, grain text, period text, is_open boolean, to_date boolean);

-- Months and quarters that are over, and those of today, mostly to date, of the company, two teams and a member.
CREATE PROCEDURE acceptance.choose(seed text) LANGUAGE sql AS $$
TRUNCATE acceptance.place;
SELECT setseed(abs(hashtext(seed)) / 2147483648.0);
INSERT INTO acceptance.place
SELECT s.team, s.member, p.grain, p.period, p.is_open, p.is_open AND random() < 0.7
  FROM (VALUES (NULL, NULL)
        UNION ALL (SELECT team, NULL FROM (SELECT team FROM crm.team WHERE team <> 'company' UNION ALL VALUES ('(unassigned)')) t ORDER BY random() LIMIT 2)
        UNION ALL (SELECT NULL, rep_id FROM crm.rep ORDER BY random() LIMIT 1)) s (team, member)
 CROSS JOIN ((SELECT grain, period, false FROM oracle.period WHERE grain = 'month' AND last_day BETWEEN '2025-02-01' AND kpi.today() - 1 ORDER BY random() LIMIT 1)
             UNION ALL (SELECT grain, period, false FROM oracle.period WHERE grain = 'quarter' AND last_day BETWEEN '2025-04-01' AND kpi.today() - 1 ORDER BY random() LIMIT 1)
             UNION ALL SELECT grain, period, true FROM oracle.period WHERE kpi.today() BETWEEN first_day AND last_day) p (grain, period, is_open);
$$;

-- Who has rights on the facts, and none on anything of ours.
CREATE ROLE auditor;
GRANT USAGE ON SCHEMA crm TO auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA crm TO auditor;
CREATE FUNCTION acceptance.answer(query text) RETURNS numeric LANGUAGE plpgsql SECURITY DEFINER SET jit = off SET search_path = pg_catalog AS $$
DECLARE
    answer numeric;
BEGIN
    EXECUTE query INTO STRICT answer;
    RETURN answer;
END
$$;
ALTER FUNCTION acceptance.answer(text) OWNER TO auditor;

CREATE TABLE acceptance.answered (kpi text, team text, member text, grain text, period text, is_open boolean, to_date boolean, value numeric, expected numeric);
-- Costs are of teams.
CREATE PROCEDURE acceptance.ask() LANGUAGE sql AS $$
TRUNCATE acceptance.answered;
INSERT INTO acceptance.answered
SELECT d.name, p.team, p.member, p.grain, p.period, p.is_open, p.to_date,
       acceptance.answer(kpi.query(d.name, team => p.team, member => p.member, period => p.period, to_date => p.to_date)),
       CASE WHEN p.to_date THEN (SELECT s.value_to_date FROM kpi.series(d.name, team => p.team, member => p.member, grain => p.grain) s WHERE s.is_current)
            ELSE kpi.value(d.name, team => p.team, member => p.member, period => p.period) END
  FROM acceptance.definition d CROSS JOIN acceptance.place p
 WHERE p.member IS NULL OR d.name NOT IN ('acquisition_cost', 'operating_cost', 'customer_acquisition_cost');
$$;

-- Of what both compute by the same divisions in another order the last digits may differ.
CREATE FUNCTION acceptance.is_near(kpi text, a numeric, b numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
SELECT CASE WHEN kpi LIKE '%median%' THEN NOT acceptance.differs(kpi, a, b)
            ELSE a IS NOT DISTINCT FROM b OR coalesce(abs(a - b) <= 1e-10 * greatest(abs(a), 1), false) END
$$;

-- Answers that are not what kpi.value() or the views say, and of what is over what oracle.sql says.
CREATE FUNCTION acceptance.answer_difference() RETURNS TABLE (kpi text, team text, member text, period text, to_date boolean, value numeric, expected numeric, oracle text)
LANGUAGE sql AS $$
SELECT a.kpi, a.team, a.member, a.period, a.to_date, a.value, a.expected, CASE WHEN e.kpi IS NULL THEN 'no row' ELSE coalesce(e.value::text, 'no value') END
  FROM acceptance.answered a
  LEFT JOIN acceptance.expected e ON e.kpi = a.kpi AND e.team = coalesce(a.team, 'company') AND e.period = a.period
 WHERE NOT acceptance.is_near(a.kpi, a.value, a.expected)
    OR (NOT a.is_open AND a.member IS NULL AND a.kpi IN (SELECT x.kpi FROM acceptance.expected x)
        AND CASE WHEN e.kpi IS NULL THEN a.value <> 0 ELSE acceptance.differs(a.kpi, a.value, e.value) END)
 ORDER BY 1, 2, 3, 4, 5
$$;
