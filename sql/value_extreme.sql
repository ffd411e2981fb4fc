-- KPIs of the largest, smallest, first and last value, through changes of every kind.
SET timezone = 'UTC';
CREATE SCHEMA ex;
CREATE TABLE ex.deals (id bigint PRIMARY KEY, rep text, amount numeric, closed_at timestamptz, product text);
SELECT kpi.create_team('ex_north') + kpi.create_team('ex_south') > 0 AS made;
SELECT count(kpi.add_member('ex_' || g, team => CASE WHEN g < 3 THEN 'ex_north' ELSE 'ex_south' END)) FROM generate_series(1, 4) g;
INSERT INTO ex.deals
SELECT g, 'ex_' || g % 4 + 1, (g * 7919) % 10007, '2026-01-05'::timestamptz + (g % 90) * interval '1 day' + (g % 3) * interval '1 hour',
       (ARRAY['a', 'b'])[g % 2 + 1] FROM generate_series(1, 12000) g;
SELECT kpi.create_source('ex_deals', relation => 'ex.deals', owner => 'rep', at => 'closed_at', dimensions => '{"product": "product"}') > 0 AS made;

-- What is wrong is said.
SELECT kpi.create_kpi('ex_first', source => 'ex_deals', measure => 'first(amount)');
SELECT kpi.create_kpi('ex_top', source => 'ex_deals', measure => 'max(product)');
SELECT kpi.create_kpi('ex_top', source => 'ex_deals', measure => 'max(amount, id)');
SELECT kpi.alter_source('ex_deals', key => 'id');
SELECT count(kpi.create_kpi(name, source => 'ex_deals', measure => measure)) FROM
  (VALUES ('ex_top', 'max(amount)'), ('ex_low', 'min(amount)'), ('ex_first', 'first(amount)'), ('ex_last', 'last(amount)')) k (name, measure);
SELECT kpi.create_kpi('ex_top_a', source => 'ex_deals', measure => 'max(amount)', filter => $$product = 'a'$$) > 0 AS made;
SELECT kpi.alter_source('ex_deals', key => '');
CALL kpi.refresh();

-- What plain SQL says, of teams and the company.
CREATE VIEW ex.oracle AS
WITH fact AS (
    SELECT d.*, (d.closed_at AT TIME ZONE 'UTC')::date AS day, t.team
      FROM ex.deals d
      JOIN kpi.member m ON m.key = d.rep
      JOIN kpi.membership s ON s.member_id = m.id AND (d.closed_at AT TIME ZONE 'UTC')::date >= coalesce(s.since, '-infinity')
       AND (d.closed_at AT TIME ZONE 'UTC')::date < coalesce(s.until, 'infinity')
      CROSS JOIN LATERAL (SELECT key AS team FROM kpi.team WHERE id = s.team_id UNION ALL SELECT 'company') t)
SELECT k.kpi, f.team, g.grain, date_trunc(g.grain, f.day)::date AS start,
       CASE k.kpi WHEN 'ex_top' THEN max(amount) WHEN 'ex_low' THEN min(amount) WHEN 'ex_top_a' THEN max(amount) FILTER (WHERE product = 'a')
                  WHEN 'ex_first' THEN (array_agg(amount ORDER BY closed_at, id) FILTER (WHERE amount IS NOT NULL))[1]
                  ELSE (array_agg(amount ORDER BY closed_at DESC, id DESC) FILTER (WHERE amount IS NOT NULL))[1] END AS value
  FROM fact f, (VALUES ('day'), ('week'), ('month'), ('quarter')) g (grain),
       (VALUES ('ex_top'), ('ex_low'), ('ex_top_a'), ('ex_first'), ('ex_last')) k (kpi)
 GROUP BY 1, 2, 3, 4;
CREATE FUNCTION ex.wrong() RETURNS TABLE (kpi text, team text, grain text, start date, ours numeric, theirs numeric) LANGUAGE sql AS $$
    SELECT coalesce(v.kpi, o.kpi), coalesce(v.team, o.team), coalesce(v.grain, o.grain), coalesce(v.start, o.start), v.value, o.value
      FROM (SELECT kpi, team, 'day' AS grain, period_start AS start, value FROM kpi.team_daily UNION ALL
            SELECT kpi, team, 'week', period_start, value FROM kpi.team_weekly UNION ALL
            SELECT kpi, team, 'month', period_start, value FROM kpi.team_monthly UNION ALL
            SELECT kpi, team, 'quarter', period_start, value FROM kpi.team_quarterly) v
      FULL JOIN (SELECT * FROM ex.oracle o WHERE o.value IS NOT NULL) o USING (kpi, team, grain, start)
     WHERE v.value IS DISTINCT FROM o.value AND coalesce(v.kpi, o.kpi) LIKE 'ex\_%'
     ORDER BY 1, 2, 3, 4 LIMIT 10
$$;
CREATE FUNCTION ex.wrong_parts() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*)
      FROM (SELECT period_start AS start, dimension_value AS product, team, value
              FROM kpi.team_breakdown_monthly WHERE kpi = 'ex_top') v
      FULL JOIN (SELECT date_trunc('month', closed_at)::date AS start, product, 'company' AS team, max(amount) AS value
                   FROM ex.deals GROUP BY 1, 2 HAVING count(amount) > 0) o USING (start, product, team)
     WHERE team = 'company' AND v.value IS DISTINCT FROM o.value
$$;
CREATE FUNCTION ex.wrong_members() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*)
      FROM (SELECT 'month' AS grain, period_start AS start, member, value FROM kpi.member_monthly WHERE kpi = 'ex_last' UNION ALL
            SELECT 'day', period_start, member, value FROM kpi.member_daily WHERE kpi = 'ex_last') v
      FULL JOIN (SELECT grain, date_trunc(grain, closed_at)::date AS start, rep AS member,
                        (array_agg(amount ORDER BY closed_at DESC, id DESC) FILTER (WHERE amount IS NOT NULL))[1] AS value
                   FROM ex.deals, (VALUES ('day'), ('month')) g (grain)
                  GROUP BY 1, 2, 3 HAVING count(amount) > 0) o USING (grain, start, member)
     WHERE v.value IS DISTINCT FROM o.value
$$;
CREATE FUNCTION ex.check() RETURNS TABLE (wrong bigint, parts bigint, members bigint, differences bigint, unknown bigint) LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM ex.wrong()), ex.wrong_parts(), ex.wrong_members(), (SELECT count(*) FROM kpi.verify('ex_deals')),
           (SELECT count(*) FROM kpi_internal.unknown_day)
$$;
SELECT * FROM ex.check();

-- A removal that cannot matter writes the cells that count its fact, and nothing else: for each KPI (one of them has
-- product a only) its day cell, the month of its member, and of two teams the day, the month and that of its product.
DELETE FROM ex.deals WHERE id = (SELECT min(id) FROM ex.deals WHERE product = 'b' AND amount BETWEEN 4000 AND 6000);
CALL kpi.refresh();
SELECT kind, deltas, cells FROM kpi.refresh_log ORDER BY id DESC LIMIT 1;
SELECT * FROM ex.check();
-- The 200 largest at once, and the first and the last of each day.
DELETE FROM ex.deals WHERE id IN (SELECT id FROM ex.deals ORDER BY amount DESC LIMIT 200);
CALL kpi.refresh();
SELECT * FROM ex.check();
DELETE FROM ex.deals d WHERE amount > 2000 OR closed_at < '2026-01-20' AND amount % 2 = 0;
CALL kpi.refresh();
SELECT * FROM ex.check();
-- In one transaction: what a statement put in is taken out again, and what was there goes to another day.
BEGIN;
INSERT INTO ex.deals SELECT 100000 + g, 'ex_1', 100000 + g, '2026-02-03', 'a' FROM generate_series(1, 100) g;
DELETE FROM ex.deals WHERE id > 100000;
UPDATE ex.deals SET closed_at = closed_at + interval '3 days', amount = amount + 1 WHERE id % 5 = 0;
UPDATE ex.deals SET amount = NULL WHERE id % 7 = 0;
CALL kpi.refresh();
SELECT * FROM ex.wrong();
COMMIT;
SELECT * FROM ex.check();
-- Who goes takes the largest values along; then into the past.
UPDATE ex.deals SET amount = amount + 50000 WHERE rep = 'ex_1';
CALL kpi.refresh();
SELECT kpi.move_member('ex_1', team => 'ex_south', since => '2026-02-10');
CALL kpi.refresh();
SELECT * FROM ex.check();
SELECT kpi.move_member('ex_1', team => 'ex_south', since => '2026-01-10');
CALL kpi.refresh();
SELECT * FROM ex.check();

-- While a statement of this session writes to the table its facts cannot be read: what is not known has no value, and
-- the next refresh knows.
CREATE FUNCTION ex.refresh() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM kpi_internal.unknown_day) = 0 AND NEW.id = 999999 THEN
        CALL kpi.refresh('ex_deals');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refresh AFTER INSERT ON ex.deals FOR EACH ROW EXECUTE FUNCTION ex.refresh();
INSERT INTO ex.deals SELECT 200000 + g, 'ex_1', 200000 + g, '2026-02-20', 'a' FROM generate_series(1, 200) g;
CALL kpi.refresh();
BEGIN;
DELETE FROM ex.deals WHERE amount > 200050;
INSERT INTO ex.deals VALUES (999999, 'ex_1', 1, '2026-01-01', 'a');
COMMIT;
SELECT count(*) > 0 AS unknown FROM kpi_internal.unknown_day;
SELECT count(*) FILTER (WHERE ours IS NOT NULL AND kpi NOT IN ('ex_first', 'ex_last', 'ex_low')) AS wrong, count(*) > 0 AS missing FROM ex.wrong();
CALL kpi.refresh();
SELECT * FROM ex.check();
-- Another key, another time: who is the first follows.
SELECT kpi.alter_source('ex_deals', key => '-id');
CALL kpi.refresh();
SELECT count(*) FILTER (WHERE kpi IN ('ex_first', 'ex_last')) > 0 AS by_key, count(*) FILTER (WHERE kpi IN ('ex_top', 'ex_low')) AS others FROM ex.wrong();
SELECT kpi.alter_source('ex_deals', key => 'id');
CALL kpi.refresh();
SELECT * FROM ex.check();
TRUNCATE ex.deals;
CALL kpi.refresh();
SELECT * FROM ex.check();
SELECT kpi.drop_source('ex_deals', cascade => true);
SELECT count(kpi.drop_member('ex_' || g)) FROM generate_series(1, 4) g;
SELECT kpi.drop_team('ex_north'), kpi.drop_team('ex_south');
SET client_min_messages = warning;
DROP SCHEMA ex CASCADE;
